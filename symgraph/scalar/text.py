"""Printing scalar expressions as one readable line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph import dtypes
from symgraph.scalar import expr as _expr
from symgraph.scalar.expr import Expr
from symgraph.scalar.table import SCALAR_OPS

_PRECEDENCE = {
    "or": 1, "xor": 2, "and": 3, "lt": 4, "le": 4, "eq": 4, "ne": 4, "shl": 5, "shr": 5,
    "add": 6, "sub": 6, "mul": 7, "div": 7, "floordiv": 7, "mod": 7, "neg": 8, "not": 8, "pow": 9,
    "ipow": 9,
}  # fmt: skip


Piece = Any  # a string, or (expression, the precedence below which it needs brackets)


def text(root: Expr) -> str:
    """The expression in infix notation; deep expressions are printed without recursion."""
    out: list[str] = []
    stack: list[Piece] = [(root, 0)]
    while stack:
        piece = stack.pop()
        if isinstance(piece, str):
            out.append(piece)
            continue
        e, level = piece
        own, parts = _pieces(e)
        stack.extend(reversed(parts if own >= level else ["(", *parts, ")"]))
    return "".join(out)


def _pieces(e: Expr) -> tuple[int, list[Piece]]:
    """The precedence of a node, and what it prints."""
    if e.op == "const":
        plain = dtypes.kind(e.dtype) in "bc" or e.value >= 0  # complex ones have brackets
        return 10 if plain else 8, [str(e.value)]
    if e.op == "var":
        return 10, [str(e.attr)]
    if e.op == "load":
        return 10, [f"{e.attr}[", *_list(e.args), "]"]
    if e.op == "load_if":
        return 10, [f"{e.attr}[", *_list(e.args[1:]), " if ", (e.args[0], 0), "]"]
    level = _PRECEDENCE.get(e.op)
    if level is None:
        kind = f"<{e.dtype}>" if e.op in ("cast", "bitcast") else ""
        return 10, [f"{e.op}{kind}(", *_list(e.args), ")"]
    symbol = SCALAR_OPS[e.op].symbol
    if len(e.args) == 1:
        return level, [symbol, (e.args[0], level)]
    # Comparisons do not chain; a quotient in a product has brackets on either side; a right operand
    # of equal precedence has them unless it is the same operation and that is associative (floats
    # are not: a + (b + c) is not a + b + c).
    quotient = e.op == "mul" and e.args[0].op in ("div", "floordiv", "mod")
    same = e.args[1].op == e.op in ("add", "mul", "and", "or", "xor")
    loose = same and not dtypes.is_float(e.dtype)
    space = "" if level >= 7 else " "
    left, right = level + (level == 4 or quotient), level + (not loose)
    return level, [(e.args[0], left), f"{space}{symbol}{space}", (e.args[1], right)]


def _list(args: Sequence[Expr]) -> list[Piece]:
    out: list[Piece] = []
    for a in args:
        out += [", ", (a, 0)]
    return out[1:]


_expr._printer = text
