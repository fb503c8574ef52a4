"""Walks over scalar expressions: substitution, guarding, evaluation. None of them recurses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.scalar.expr import Expr, const, load_if, node
from symgraph.scalar.polynomial import normalize
from symgraph.scalar.table import SCALAR_OPS


def postorder(roots: Iterable[Expr]) -> list[Expr]:
    """Every node below the roots once, operands before users."""
    out: list[Expr] = []
    seen: set[Expr] = set()
    stack: list[Expr | None] = [*roots]
    stack.reverse()
    while stack:
        e = stack.pop()
        if e is None:  # the operands of the next one are done
            out.append(stack.pop())  # type: ignore[arg-type]
        elif e not in seen:
            seen.add(e)
            if e.args:
                stack += (e, None, *e.args[::-1])
            else:
                out.append(e)
    return out


def rebuild(e: Expr, args: tuple[Expr, ...]) -> Expr:
    """The node with other operands; canonical int64 arithmetic stays canonical."""
    if args == e.args:
        return e
    if e.dtype == "int64" and e.op in ("add", "sub", "mul", "floordiv", "mod"):
        return normalize(e.op, args[0], args[1])
    if e.op == "load_if":
        return load_if(e.attr, args[0], args[1:], e.dtype)
    if e.op == "select" and args[0].is_const:
        return args[1] if args[0].value else args[2]
    return node(e.op, args, e.dtype, e.attr)


def transform(roots: Iterable[Expr], visit: Callable[[Expr, tuple[Expr, ...]], Expr]) -> list[Expr]:
    """Rebuild bottom-up: ``visit(node, new_args)`` returns the replacement of each node."""
    roots = list(roots)
    new: dict[Expr, Expr] = {}
    for e in postorder(roots):
        new[e] = visit(e, tuple(map(new.__getitem__, e.args)))
    return [new[r] for r in roots]


def substitute(e: Expr, mapping: Mapping[Expr, Expr]) -> Expr:
    """Replace leaves (or whole nodes) by other expressions.

    >>> from symgraph.scalar.expr import var
    >>> i, j = var("i"), var("j")
    >>> str(substitute(2 * i + 1, {i: j - 1}))
    '2*j - 1'
    """
    if e in mapping:
        return mapping[e]
    return transform([e], lambda n, args: mapping[n] if n in mapping else rebuild(n, args))[0]


def guard(e: Expr, cond: Expr) -> Expr:
    """The same expression with every load made conditional on ``cond``."""

    def visit(n: Expr, args: tuple[Expr, ...]) -> Expr:
        if n.op == "load":
            return load_if(n.attr, cond, args, n.dtype)
        if n.op == "load_if":
            return load_if(n.attr, node("and", (cond, args[0]), "bool"), args[1:], n.dtype)
        return rebuild(n, args)

    if cond.is_const:
        return e if cond.value else const(0, e.dtype)
    return transform([e], visit)[0]


def loads(e: Expr) -> list[Expr]:
    """The loads of an expression in order of first use."""
    return [n for n in postorder([e]) if n.op in ("load", "load_if")]


def variables(e: Expr) -> list[Expr]:
    """The named scalars of an expression in order of first use."""
    if not e.args:  # most sizes
        return [e] if e.op == "var" else []
    return [n for n in postorder([e]) if n.op == "var"]


def evaluate(
    e: Expr, env: Mapping[str, Any], buffers: Mapping[str, np.ndarray] | None = None
) -> Any:
    """The value by NumPy, with variables from ``env`` and loads from ``buffers``: the oracle.

    Variables may be bound to arrays, which broadcast: the value at many indices at once. Raises
    IndexError for a load outside its buffer.

    >>> from symgraph.scalar.expr import var
    >>> int(evaluate(var("n") * 2 + 1, {"n": 5}))
    11
    """
    with np.errstate(all="ignore"):
        return evaluate_in_order(postorder([e]), env, buffers or {})


def evaluate_in_order(
    order: list[Expr], env: Mapping[str, Any], buffers: Mapping[str, np.ndarray]
) -> Any:
    """The value of the last of some nodes that stand in postorder (found once, used many times)."""
    memo: dict[Expr, Any] = {}
    for n in order:
        memo[n] = _value(n, [memo[a] for a in n.args], env, buffers)
    return memo[order[-1]]


def _value(
    n: Expr, args: list[Any], env: Mapping[str, Any], buffers: Mapping[str, np.ndarray]
) -> Any:
    kind = dtypes.numpy_dtype(n.dtype)
    if n.op == "const":
        return kind.type(n.attr)
    if n.op == "var":
        return np.asarray(env[n.attr]).astype(kind, copy=False)[()]
    if n.op == "load":
        return element(n.attr, buffers[n.attr], args)
    if n.op == "load_if":
        return _element_if(n.attr, buffers[n.attr], args[0], args[1:])
    if n.op == "cast":
        parts = dtypes.is_complex(n.args[0].dtype) and dtypes.kind(n.dtype) not in "bc"
        return np.asarray(args[0].real if parts else args[0]).astype(kind)[()]
    if n.op == "bitcast":
        return np.asarray(args[0]).view(kind)[()]
    return np.asarray(SCALAR_OPS[n.op].reference(*args)).astype(kind, copy=False)[()]


def element(name: str, buffer: np.ndarray, indices: list[Any]) -> Any:
    """buffer[indices], with indices that may be arrays; IndexError unless all lie inside."""
    for axis, (i, n) in enumerate(zip(indices, buffer.shape, strict=True)):
        low, high = (i, i) if np.ndim(i) == 0 else (i.min(initial=0), i.max(initial=n - 1))
        if not 0 <= low <= high < n and np.size(i):
            raise IndexError(f"{name}: index {low if low < 0 else high} on axis {axis} of size {n}")
    return buffer[tuple(indices)]


def _element_if(name: str, buffer: np.ndarray, cond: Any, indices: list[Any]) -> Any:
    if np.ndim(cond) == 0 and all(np.ndim(i) == 0 for i in indices):
        return element(name, buffer, indices) if cond else buffer.dtype.type(0)
    cond, *indices = np.broadcast_arrays(cond, *indices)
    out = np.zeros(cond.shape, buffer.dtype)
    out[cond] = element(name, buffer, [i[cond] for i in indices])
    return out


def evaluate_size(size: Expr | int, env: Mapping[str, int]) -> int:
    """A size as a Python int (exact, so that an overflow is seen and not wrapped)."""
    if isinstance(size, int):
        return size
    if size.op == "var":
        return int(env[size.attr])
    memo: dict[Expr, int] = {}
    for n in _order(size):
        if n.op == "const":
            memo[n] = int(n.attr)
        elif n.op == "var":
            memo[n] = int(env[n.attr])
        else:
            memo[n] = _INTEGER[n.op](*(memo[a] for a in n.args))
    return memo[size]


@functools.lru_cache(maxsize=1024)
def _order(size: Expr) -> tuple[Expr, ...]:
    """Sizes are asked for again and again, by calls of a compiled program too."""
    return tuple(postorder([size]))


_INTEGER: dict[str, Callable[..., int]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
    "floordiv": lambda a, b: a // b if b else 0, "mod": lambda a, b: a % b if b else 0,
    "minimum": min, "maximum": max, "neg": lambda a: -a, "abs": abs,
    "select": lambda c, a, b: a if c else b, "lt": lambda a, b: a < b, "le": lambda a, b: a <= b,
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "and": lambda a, b: a & b,
    "or": lambda a, b: a | b, "not": lambda a: not a,
}  # fmt: skip
