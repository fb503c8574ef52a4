r"""Formulas as mathematics: LaTeX of an expression, with what is used twice defined first.

    \exp\left(-x^{2}\right)

Views (casts, added and stretched axes) are not shown, as in a formula on paper; a parameter that
changes the meaning of an op (axes, offsets) stands in its index.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgraph.errors import ArgumentError
from symgraph.ir.graph import Apply, Constant, Variable
from symgraph.passes.properties import is_identity

# how tightly things bind: what binds less than its place asks for gets brackets
_CHOICE, _COMPARED, _SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(7)
Written = tuple[str, int]

_VIEWS = {"cast", "expand_dims", "squeeze", "broadcast_to", "identity", "assume", "stop_gradient"}
_INFIX = {
    "add": ("+", _SUM), "subtract": ("-", _SUM), "multiply": (r"\,", _PRODUCT),
    "matmul": (r"\,", _PRODUCT), "equal": ("=", _COMPARED), "not_equal": (r"\ne", _COMPARED),
    "less": ("<", _COMPARED), "less_equal": (r"\le", _COMPARED),
    "logical_and": (r"\land", _CHOICE), "logical_or": (r"\lor", _CHOICE),
    "remainder": (r"\bmod", _PRODUCT),
}  # fmt: skip
_BETWEEN = {
    "absolute": (r"\left|", r"\right|"), "floor": (r"\left\lfloor", r"\right\rfloor"),
    "ceil": (r"\left\lceil", r"\right\rceil"), "sqrt": (r"\sqrt{", "}"),
}  # fmt: skip
_AFTER = {
    "square": "^{2}", "transpose": r"^{\top}", "conj": "^{*}", "invert": "^{c}",
    "reciprocal": "^{-1}",
}  # fmt: skip
_NAMES = {
    **{n: rf"\{n}" for n in ("exp", "sin", "cos", "tan", "sinh", "cosh", "tanh", "det", "max",
                             "min")},
    "log": r"\ln", "gamma": r"\Gamma", "sigmoid": r"\sigma", "gammaln": r"\ln\Gamma",
    "digamma": r"\psi", "sum": r"\sum", "prod": r"\prod",
}  # fmt: skip
_GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau"
    " upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega".split()
)
_SHORT = 14  # characters of a value that is written again where it is used again
_SMALL = 9  # elements of a constant that is written out


def latex(*outputs: Any) -> str:
    r"""The formulas of expressions in LaTeX, one line each, without dollar signs.

    Values that more than one other uses get names, \(t_1, t_2, ...\), and lines before; several
    lines are an ``aligned`` block. Raises ArgumentError for what is no expression.

    >>> import symgraph as sg
    >>> x, mu = sg.vector("x"), sg.scalar("mu")
    >>> print(sg.latex(sg.exp(-((x - mu) ** 2) / 2).sum()))
    \sum_{0} \exp\left(\frac{-\left(x - \mu\right)^{2}}{2}\right)
    """
    for v in outputs:
        if not isinstance(v, Variable):
            raise ArgumentError(f"latex: {v!r:.60} is no expression")
    writer = _Writer(outputs)
    lines = [f"{name} &= {text}" for name, text in writer.named]
    last = [writer.write(v)[0] for v in outputs]
    if not lines and len(last) == 1:
        return last[0]
    body = " \\\\\n".join([*lines, *(f"& {text}" for text in last)])
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"


class _Writer:
    def __init__(self, outputs: Sequence[Variable]) -> None:
        self.done: dict[Variable, Written] = {}
        self.named: list[tuple[str, str]] = []
        order = _order(outputs)
        uses: dict[Variable, int] = {}
        for node in order:
            for v in _operands(node):
                uses[v] = uses.get(v, 0) + 1
        for node in order:  # operands first: no recursion is deeper than one node
            for k, v in enumerate(node.outputs):
                text = self._of(node, k)
                if uses.get(v, 0) > 1 and len(text[0]) > _SHORT:
                    self.named.append((name := f"t_{{{len(self.named) + 1}}}", text[0]))
                    text = name, _ATOM
                self.done[v] = text

    def write(self, v: Variable) -> Written:
        found = self.done.get(v)
        if found is None:
            found = self.done[v] = _constant(v) if isinstance(v, Constant) else _symbol(v)
        return found

    def inside(self, v: Variable, least: int) -> str:
        """A value in a place where only what binds as tightly as this needs no brackets."""
        text, binds = self.write(v)
        return text if binds >= least else _bracketed(text)

    def _of(self, node: Apply, k: int) -> Written:
        op, name = node.op, node.op.name
        if is_identity(node.outputs[k]):
            return r"\mathrm{I}", _ATOM
        if name in _VIEWS and k == 0:
            return self.write(node.inputs[0])
        if name in _INFIX and len(node.inputs) == 2:
            return self._infix(node, *_INFIX[name])
        if name in _BETWEEN:
            left, right = _BETWEEN[name]
            return f"{left} {self.write(node.inputs[0])[0]} {right}", _ATOM
        if name in _AFTER and (name != "transpose" or _turns(node)):
            return self.inside(node.inputs[0], _ATOM) + _AFTER[name], _POWER
        special = _SPECIAL.get(name)
        if special is not None:
            return special(self, node)
        written = _NAMES.get(name) or rf"\operatorname{{{_plain(name)}}}"
        index = _index(op)
        if len(node.outputs) > 1:
            index.append(str(k))
        written += f"_{{{', '.join(index)}}}" if index else ""
        if name in ("sum", "prod"):
            return f"{written} {self.inside(node.inputs[0], _PRODUCT)}", _PRODUCT
        return written + _bracketed(", ".join(self.write(v)[0] for v in node.inputs)), _ATOM

    def _infix(self, node: Apply, sign: str, binds: int) -> Written:
        strict = node.op.name in ("subtract", "remainder") or binds == _COMPARED
        left = self.inside(node.inputs[0], binds + (binds == _COMPARED))
        right = self.inside(node.inputs[1], binds + strict)
        if sign == r"\," and right[:1] in "-0123456789":
            sign, right = r"\cdot", right if right[:1] != "-" else _bracketed(right)
        return f"{left} {sign} {right}", binds


#: how many operands of an op stand in a formula; the others are how the value is found
_SHOWN = {"solution": 2, "det": 1, "log_abs_det": 1, "det_sign": 1}


def _operands(node: Apply) -> Sequence[Variable]:
    if is_identity(node.outputs[0]):
        return ()
    return node.inputs[: _SHOWN.get(node.op.name)]


def _order(outputs: Sequence[Variable]) -> list[Apply]:
    """The nodes that are written, operands first."""
    done: dict[Apply, None] = {}
    stack: list[tuple[Apply, bool]] = [(v.owner, False) for v in reversed(outputs) if v.owner]
    while stack:
        node, ready = stack.pop()
        if ready:
            done[node] = None
        elif node not in done:
            stack.append((node, True))
            inner = [v.owner for v in reversed(_operands(node)) if v.owner is not None]
            stack += [(n, False) for n in inner if n not in done]
    return list(done)


def _negative(w: _Writer, node: Apply) -> Written:
    return f"-{w.inside(node.inputs[0], _PRODUCT)}", _SUM


def _quotient(w: _Writer, node: Apply) -> Written:
    a, b = (w.write(v)[0] for v in node.inputs)
    return rf"\frac{{{a}}}{{{b}}}", _PRODUCT


def _power(w: _Writer, node: Apply) -> Written:
    x, y = node.inputs
    return f"{w.inside(x, _ATOM)}^{{{w.write(y)[0]}}}", _POWER


def _where(w: _Writer, node: Apply) -> Written:
    c, a, b = (w.write(v)[0] for v in node.inputs)
    return (rf"\begin{{cases}} {a} & \text{{if }} {c} \\ {b} & \text{{otherwise}} \end{{cases}}",
            _CHOICE)  # fmt: skip


def _solution(w: _Writer, node: Apply) -> Written:
    a, b = node.inputs[:2]
    power = r"^{-\top}" if node.op.trans else "^{-1}"  # type: ignore[attr-defined]
    if is_identity(b):
        return w.inside(a, _ATOM) + power, _POWER
    return rf"{w.inside(a, _ATOM)}{power} \, {w.inside(b, _PRODUCT)}", _PRODUCT


_SPECIAL: dict[str, Callable[[_Writer, Apply], Written]] = {
    "negative": _negative, "divide": _quotient, "power": _power, "where": _where,
    "solution": _solution,
    "det": lambda w, node: (rf"\det{_bracketed(w.write(node.inputs[0])[0])}", _ATOM),
    "log_abs_det": lambda w, node: (
        rf"\ln\left|\det {w.inside(node.inputs[0], _ATOM)}\right|", _ATOM),
    "iota": lambda w, node: (r"\left(0, 1, \ldots\right)", _ATOM),
    "size_value": lambda w, node: (_plain(str(node.op._values[0])), _ATOM),
}  # fmt: skip


def _bracketed(text: str) -> str:
    return rf"\left({text}\right)"


def _turns(node: Apply) -> bool:
    axes = node.op.axes  # type: ignore[attr-defined]
    return axes == (*range(len(axes) - 2), len(axes) - 1, len(axes) - 2)


def _index(op: Any) -> list[str]:
    """The numbers among an op's parameters, as for axes."""
    found = []
    for value in op._values:
        parts = value if isinstance(value, tuple) else (value,)
        if parts and all(type(p) is int for p in parts):
            found.append(",".join(map(str, parts)))
    return found


def _constant(v: Constant) -> Written:
    if v.data.size == 1:
        return _number(v.data.reshape(-1)[0])
    if v.data.size > _SMALL or v.ndim > 2:
        shape = r" \times ".join(map(str, v.data.shape))
        return rf"\mathbf{{C}}_{{{shape}}}", _ATOM
    rows = np.atleast_2d(v.data)
    body = r" \\ ".join(" & ".join(_number(x)[0] for x in row) for row in rows)
    return rf"\begin{{bmatrix}} {body} \end{{bmatrix}}", _ATOM


def _number(x: Any) -> Written:
    value = x.item()
    if isinstance(value, bool):
        return rf"\text{{{str(value).lower()}}}", _ATOM
    if isinstance(value, complex):
        return f"({value:.6g})".strip("()"), _SUM
    if isinstance(value, int) or np.isfinite(value):
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
        head, _, tail = text.partition("e")
        written = rf"{head} \cdot 10^{{{int(tail)}}}" if tail else head
        return written, _SIGN if written[0] == "-" else _PRODUCT if tail else _ATOM
    if np.isnan(value):
        return r"\text{NaN}", _ATOM
    return (r"\infty", _ATOM) if value > 0 else (r"-\infty", _SIGN)


def _symbol(v: Variable) -> Written:
    """The name of an input: w_1 and alpha as in print, words upright."""
    word, _, index = v.label().partition("_")
    return _letters(word) + (f"_{{{_plain(index)}}}" if index else ""), _ATOM


def _letters(word: str) -> str:
    if word in _GREEK:
        return rf"\{word}"
    split = re.fullmatch(r"([A-Za-z])(\d+)", word)
    if split:
        return f"{split[1]}_{{{split[2]}}}"
    return word if len(word) == 1 and word.isalnum() else rf"\mathrm{{{_plain(word)}}}"


def _plain(text: str) -> str:
    return re.sub(r"([_#%&$])", r"\\\1", re.sub(r"[{}\\^~]", "", text))
