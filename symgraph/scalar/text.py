"""Printing scalar expressions as one readable line."""

from __future__ import annotations

from symgraph import dtypes
from symgraph.scalar import expr as _expr
from symgraph.scalar.expr import Expr
from symgraph.scalar.table import SCALAR_OPS

_PRECEDENCE = {
    "or": 1, "xor": 2, "and": 3, "lt": 4, "le": 4, "eq": 4, "ne": 4, "shl": 5, "shr": 5,
    "add": 6, "sub": 6, "mul": 7, "div": 7, "floordiv": 7, "mod": 7, "neg": 8, "not": 8, "pow": 9,
    "ipow": 9,
}  # fmt: skip


def text(root: Expr) -> str:
    """The expression in infix notation; deep expressions are printed without recursion."""
    done: dict[Expr, tuple[str, int]] = {}
    stack = [root]
    while stack:
        e = stack[-1]
        missing = [a for a in e.args if a not in done]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        done[e] = _one(e, [done[a] for a in e.args])
    return done[root][0]


def _one(e: Expr, args: list[tuple[str, int]]) -> tuple[str, int]:
    if e.op == "const":
        return (str(e.value), 10 if e.dtype == "bool" or e.value >= 0 else 8)
    if e.op == "var":
        return (str(e.attr), 10)
    inner = [a[0] for a in args]
    if e.op == "load":
        return (f"{e.attr}[{', '.join(inner)}]", 10)
    if e.op == "load_if":
        return (f"{e.attr}[{', '.join(inner[1:])} if {inner[0]}]", 10)
    if e.op in ("cast", "bitcast"):
        return (f"{e.op}<{e.dtype}>({inner[0]})", 10)
    level = _PRECEDENCE.get(e.op)
    if level is None:
        return (f"{e.op}({', '.join(inner)})", 10)
    symbol = SCALAR_OPS[e.op].symbol
    if len(args) == 1:
        return (symbol + _wrap(args[0], level), level)
    # Comparisons do not chain; a quotient in a product has brackets on either side; a right operand
    # of equal precedence has them unless it is the same operation and that is associative (floats
    # are not: a + (b + c) is not a + b + c).
    quotient = e.op == "mul" and e.args[0].op in ("div", "floordiv", "mod")
    left = _wrap(args[0], level + (level == 4 or quotient))
    same = e.args[1].op == e.op in ("add", "mul", "and", "or", "xor")
    right = _wrap(args[1], level + (not same or dtypes.is_float(e.dtype)))
    space = "" if level >= 7 else " "
    return (f"{left}{space}{symbol}{space}{right}", level)


def _wrap(part: tuple[str, int], level: int) -> str:
    return part[0] if part[1] >= level else f"({part[0]})"


_expr._printer = text
