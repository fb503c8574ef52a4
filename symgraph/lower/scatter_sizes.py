"""Whether a scatter goes in parts, which fill tables of their own: its sizes alone say."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from symgraph import dtypes
from symgraph.ir.graph import Apply
from symgraph.ir.types import Size
from symgraph.scalar import Expr, as_expr, const, evaluate_size, variables
from symgraph.scalar import functions as F

if TYPE_CHECKING:
    from symgraph.lower.build import Context

PARTS = 8  # or none
EACH = 1 << 14  # terms of a part, at least
FULL = 8  # terms of a part for each place of its table, at least
ROWS = 64  # turns of the outermost loop in a part, at least
MERGED = ("add", "mul", "maximum", "minimum")


def parted(apply: Apply, ctx: Context) -> Expr | None:
    """1 where there are parts, 0 where there are none; None where the latter is known."""
    op, (x, v, *_) = apply.op, apply.inputs
    common = common_axes(apply)
    plain = x.dtype == "bool" or dtypes.is_int(x.dtype) or dtypes.is_float(x.dtype)
    plain = plain and not dtypes.is_narrow(x.dtype)
    if op.mode not in MERGED or not common or not plain or not ctx.scheduled:  # type: ignore[attr-defined]
        return None
    extents, shape = ([ctx.simplify(n) for n in y.shape] for y in (v, x))
    terms, cells = product(extents), product(shape)
    least = F.maximum(cells * (PARTS * FULL), const(PARTS * EACH))
    some = F.minimum(terms // least, const(1))
    if common > 1:
        some = F.minimum(as_expr(extents[0]) // (PARTS * ROWS), some)
    if not variables(some):
        some = const(evaluate_size(some, {}))
    return None if some.is_const and some.value == 0 else some


def common_axes(apply: Apply) -> int:
    """The axes of the values that are those of the indices."""
    x, v = apply.inputs[:2]
    return v.ndim - (x.ndim - len(apply.op.axes))  # type: ignore[attr-defined]


def product(sizes: Sequence[Size]) -> Expr:
    """The product of sizes."""
    return functools.reduce(lambda a, n: a * as_expr(n), sizes, const(1))
