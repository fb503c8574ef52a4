"""How a user would write a node: operators, indices and public functions, to be tried in turn."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

from symgraph import api
from symgraph.ir.op import Op
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, postorder

_INFIX: dict[str, tuple[str, Callable[..., Any]]] = {
    "add": ("+", operator.add), "subtract": ("-", operator.sub), "multiply": ("*", operator.mul),
    "divide": ("/", operator.truediv), "floor_divide": ("//", operator.floordiv),
    "remainder": ("%", operator.mod), "power": ("**", operator.pow), "less": ("<", operator.lt),
    "less_equal": ("<=", operator.le), "greater": (">", operator.gt),
    "greater_equal": (">=", operator.ge), "matmul": ("@", operator.matmul),
}  # fmt: skip
_HOMES = ("", "linalg", "special", "nn")


class Spelling(NamedTuple):
    """A way to write a node: what it makes of operands, and its text for their words."""

    make: Callable[[list[Any]], Any]
    text: Callable[[list[str]], str]


def spellings(op: Op, value: Callable[[Any], str]) -> Iterator[Spelling]:
    """The ways in which a node of this op may have been written; ``value`` writes a parameter.
    Which of them, if any, makes it is for the caller to try.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> [s.text(["x"]) for s in spellings(sg.negative(x).owner.op, repr)][:2]
    ['-x', 'sg.negative(x)']
    """
    if op.name in _INFIX:
        sign, infix = _INFIX[op.name]
        yield Spelling(lambda v: infix(*v), lambda w: f"{w[0]} {sign} {w[1]}")
    if op.name == "negative":
        yield Spelling(lambda v: -v[0], lambda w: f"-{w[0]}")
    if op.name == "slice":
        yield from _slices(op, value)
    fields = {n: getattr(op, n) for n in op.fields} if type(op).__name__ != "Elementwise" else {}
    for home in _HOMES:
        space = getattr(api, home) if home else api
        function = getattr(space, op.name, None)
        if op.name not in getattr(space, "__all__", ()) or not callable(function):
            continue
        word = f"sg.{home}.{op.name}" if home else f"sg.{op.name}"
        yield from _calls(function, word, fields, value)


def _slices(op: Op, value: Callable[[Any], str]) -> Iterator[Spelling]:
    """Indices: what is taken from the beginning to the end first, as most often it is."""
    rows = list(zip(op.start, op.size, op.step, strict=True))  # type: ignore[attr-defined]
    ways = [_open(*r) for r in rows], [_clipped(*r) for r in rows], [_closed(*r) for r in rows]
    for parts in ways:
        index = tuple(slice(*p) for p in parts)
        while len(parts) > 1 and parts[-1] == (None, None, None):
            parts.pop()
        texts = [":".join("" if v is None else value(v) for v in (p if p[2] else p[:2]))
                 for p in parts]  # fmt: skip
        yield Spelling(
            lambda v, index=index: v[0][index],  # type: ignore[misc]
            lambda w, texts=texts: f"{w[0]}[{', '.join(texts)}]",  # type: ignore[misc]
        )


Part = tuple[Any, Any, Any]  # start, stop and step; None is not written


def _open(start: Any, size: Any, step: int) -> Part:
    """To the end, where the size is not a number or it begins at the beginning."""
    whole = isinstance(size, Expr) or (start == 0 and step == 1)
    if not whole:
        return _closed(start, size, step)
    begin = start if step > 0 and start != 0 else None
    return begin, None, step if step != 1 else None


def _clipped(start: Any, size: Any, step: int) -> Part:
    """Up to a number that an axis of unknown size may not reach: it stands in the size."""
    if isinstance(size, int):
        return _open(start, size, step)
    numbers = [e.value for e in postorder([size]) if e.is_const and e.value > 0]
    return start if start != 0 else None, max(numbers, default=None), step if step != 1 else None


def _closed(start: Any, size: Any, step: int) -> Part:
    return start, start + size * step, step if step != 1 else None


def _calls(
    function: Callable[..., Any], word: str, fields: dict[str, Any], value: Callable[[Any], str]
) -> Iterator[Spelling]:
    ways: list[dict[str, Any]] = [{}]
    if fields:
        ways.append(fields)
        if "axes" in fields:
            axes = fields["axes"]
            rest = {n: v for n, v in fields.items() if n != "axes"}
            ways += [{**rest, "axis": axes[0]}] if len(axes) == 1 else []
            ways += [{**rest, "axis": axes}]
    for way in ways:
        texts = [f"{n}={value(v)}" for n, v in way.items()]
        yield Spelling(
            lambda v, way=way: function(*v, **way),  # type: ignore[misc]
            lambda w, texts=texts: f"{word}({', '.join([*w, *texts])})",  # type: ignore[misc]
        )
    texts = [f"{n}={value(v)}" for n, v in fields.items()]
    yield Spelling(
        lambda v: function(v, **fields),
        lambda w: f"{word}({', '.join(['[' + ', '.join(w) + ']', *texts])})",
    )
