"""Rows in order, by rank: a thread for each element counts those that come before it.

Equal elements keep their order and NaN comes last (first when descending), as on the CPU. The work
grows with the square of a row's length, all of it in parallel: good for rows up to some thousands.
"""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.loops.program import Buffer, Call, Run
from symgraph.loops.statements import Fold, If, Kernel, Let, Param, Stmt, Store
from symgraph.lower.cuda.spread import THREADS, blocks_of
from symgraph.lower.nests import sizes_of
from symgraph.scalar import Expr, as_expr, load, product, var
from symgraph.scalar import functions as F


def sort_run(x: Buffer, out: Buffer, params: dict[str, Any], step: Call) -> Run | None:
    """The launch that stores the first elements of each sorted row, or where they came from; None
    for a dtype whose elements cannot be compared as they lie in memory."""
    if dtypes.is_narrow(x.dtype) or dtypes.is_complex(x.dtype):
        return None
    q, j, k = var("_turn"), var("_j"), var("_k")
    n, rest = as_expr(x.shape[-1]), var("_row")
    lead = [var(f"_i{a}") for a in range(len(x.shape) - 1)]
    lets: list[Stmt] = [Let(j, q % n), Let(rest, q // n)]
    left: Expr = rest
    for index, size in zip(reversed(lead), reversed(x.shape[:-1]), strict=True):
        lets.append(Let(index, left % as_expr(size)))
        left = left // as_expr(size)
    mine, other = var("_mine", x.dtype), load("p0", (*lead, k), x.dtype)
    before = _before(other, mine, F.lt(k, j), params["descending"])
    rank = var("_rank")
    count = Fold((rank,), "add", k, x.shape[-1], "serial", (), (F.cast(before, "int64"),))
    value = j if params["positions"] else mine
    place = Store("p1", (*lead, rank), F.cast(value, out.dtype))
    turn = (
        *lets, Let(mine, load("p0", (*lead, j), x.dtype)), count,
        If(F.lt(rank, as_expr(out.shape[-1])), (place,)),
    )  # fmt: skip
    block, thread = var("_block"), var("_thread")
    first = Let(q, block * THREADS + thread)
    body = blocks_of(block, thread, q, (first, *turn), product(x.shape))
    ports = [Param("p0", x.dtype, x.shape, "in"), Param("p1", out.dtype, out.shape, "out")]
    kernel = Kernel("sort", tuple(ports), sizes_of(body, ports), body)
    return Run(kernel, (step.buffers[0], step.buffers[-1]), step.origins)


def _before(a: Expr, b: Expr, earlier: Expr, descending: bool) -> Expr:
    """Whether a comes before b, an equal one only if it is the earlier."""
    less, equal = F.lt(b, a) if descending else F.lt(a, b), F.eq(a, b)
    if dtypes.is_float(a.dtype):
        strange, other = F.isnan(a), F.isnan(b)
        last = F.and_(strange, F.not_(other)) if descending else F.and_(F.not_(strange), other)
        less, equal = F.or_(less, last), F.or_(equal, F.and_(strange, other))
    return F.or_(less, F.and_(equal, earlier))
