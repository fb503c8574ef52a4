"""Derivatives of Cholesky's and LU's factors as kernels: a block of threads for each matrix.

    cholesky_pull   Murray, "Differentiation of the Cholesky decomposition" (2016), section 4.1: the
                    factorization row by row, run backwards
    cholesky_push   the factorization column by column, with its derivative
    lu_pull, lu_push    the same of elimination without pivoting

The second operand is changed in its place. Matrices known to have more rows than a block is enough
for are left to the host, and of others the rows of a call decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgraph.loops.compute import index_axes
from symgraph.loops.program import Buffer, Call, Step
from symgraph.loops.statements import Fold, If, Let, Stmt
from symgraph.lower.cuda.linear import DTYPES, MOST, Matrix, over, turns
from symgraph.lower.kernels import nest
from symgraph.scalar import Expr, as_size, const, var
from symgraph.scalar import functions as F


def steps_of(step: Call, operands: Sequence[Buffer]) -> tuple[list[Step] | None, list[Step]] | None:
    """The kernel, and what else may be done, as a choice; None for other routines and dtypes."""
    writer = _ROUTINES.get(dict(step.params)["name"])
    if writer is None or operands[1].dtype not in DTYPES:
        return None
    held = operands[1]
    rows = held.shape[-1]
    if isinstance(rows, int) and rows > MOST:
        return None, [step]
    batch = index_axes(len(held.shape))[:-2]
    body = writer(Matrix("p0", operands[0], batch), Matrix("p1", held, batch))
    whole = nest(batch, held.shape[:-2], body)
    made: list[Step] = [over(step, tuple(step.buffers), list(operands), "ib", whole)]
    if isinstance(rows, int):
        return None, made
    small = Call("small", step.buffers[1:], (("rows", MOST),), step.origins)
    return [small, *made], [step]


def _less(a: Expr, b: Expr, c: Expr) -> Expr:
    """a - b c"""
    return F.fma(F.neg(b), c, a)


def _sum(name: str, index: Expr, count: Expr, b: Expr, c: Expr) -> Fold:
    """The variable ``name`` = sum of b c over an index."""
    total = var(name, b.dtype)
    return Fold((total,), "add", index, as_size(count), "serial", (), (F.mul(b, c),))


def _cholesky_pull(low: Matrix, bar: Matrix) -> tuple[Stmt, ...]:
    step, i, m, s = (var(w) for w in ("_step", "_i", "_m", "_s"))
    n = bar.rows
    j = n - 1 - step
    kind = bar.dtype
    pivot, mine, half = var("_pivot", kind), var("_mine", kind), const(0.5, kind)
    total, row = var("_total", kind), var("_row", kind)
    below, later = j + 1 + i, j + 1 + s
    rest = n - 1 - j
    return (turns(
        step, n,
        Let(pivot, low(j, j)),
        turns(i, rest, bar.put(below, j, F.div(bar(below, j), pivot))),
        _sum("_total", s, rest, low(later, j), bar(later, j)),
        Let(mine, F.div(F.mul(F.sub(bar(j, j), total), half), pivot)),
        bar.put(j, j, mine),
        turns(
            m, j, _sum("_row", s, rest, bar(later, j), low(later, m)),
            bar.put(j, m, F.sub(_less(bar(j, m), F.add(mine, mine), low(j, m)), row)),
        ),
        turns(i, rest, turns(m, j, bar.put(below, m, _less(bar(below, m), bar(below, j),
                                                          low(j, m))))),
    ),)  # fmt: skip


def _cholesky_push(low: Matrix, dot: Matrix) -> tuple[Stmt, ...]:
    k, i, row, column = (var(w) for w in ("_k", "_i", "_row", "_column"))
    n, kind = dot.rows, dot.dtype
    pivot, moved = var("_pivot", kind), var("_moved", kind)
    below, p, q = k + 1 + i, k + 1 + row, k + 1 + column
    rest = n - 1 - k
    less = _less(_less(dot(p, q), dot(p, k), low(q, k)), low(p, k), dot(q, k))
    return (turns(
        k, n,
        Let(pivot, low(k, k)),
        Let(moved, F.div(F.mul(dot(k, k), const(0.5, kind)), pivot)),
        dot.put(k, k, moved),
        turns(i, rest, dot.put(below, k, F.div(_less(dot(below, k), low(below, k), moved), pivot))),
        turns(row, rest, turns(column, rest, If(F.le(column, row), (dot.put(p, q, less),)))),
    ),)  # fmt: skip


def _lu_pull(lu: Matrix, bar: Matrix) -> tuple[Stmt, ...]:
    step, i, m, s = (var(w) for w in ("_step", "_i", "_m", "_s"))
    n, kind = bar.rows, bar.dtype
    r = n - 1 - step
    pivot, total, mine, row = (var(w, kind) for w in ("_pivot", "_total", "_mine", "_row"))
    below, right, later = r + 1 + i, r + 1 + m, r + 1 + s
    rest = n - 1 - r
    return (turns(
        step, n,
        Let(pivot, lu(r, r)),
        turns(
            i, rest, _sum("_total", s, rest, bar(below, later), lu(r, later)),
            bar.put(below, r, F.div(F.sub(bar(below, r), total), pivot)),
        ),
        _sum("_mine", s, rest, lu(later, r), bar(later, r)),
        bar.put(r, r, F.sub(bar(r, r), mine)),
        turns(
            m, rest, _sum("_row", s, rest, lu(later, r), bar(later, right)),
            bar.put(r, right, F.sub(bar(r, right), row)),
        ),
    ),)  # fmt: skip


def _lu_push(lu: Matrix, dot: Matrix) -> tuple[Stmt, ...]:
    r, i, row, column = (var(w) for w in ("_r", "_i", "_row", "_column"))
    n, kind = dot.rows, dot.dtype
    pivot, moved = var("_pivot", kind), var("_moved", kind)
    below, p, q = r + 1 + i, r + 1 + row, r + 1 + column
    rest = n - 1 - r
    less = _less(_less(dot(p, q), dot(p, r), lu(r, q)), lu(p, r), dot(r, q))
    return (turns(
        r, n,
        Let(pivot, lu(r, r)), Let(moved, dot(r, r)),
        turns(i, rest, dot.put(below, r, F.div(_less(dot(below, r), lu(below, r), moved), pivot))),
        turns(row, rest, turns(column, rest, dot.put(p, q, less))),
    ),)  # fmt: skip


_ROUTINES: dict[str, Callable[[Matrix, Matrix], tuple[Stmt, ...]]] = {
    "cholesky_pull": _cholesky_pull, "cholesky_push": _cholesky_push, "lu_pull": _lu_pull,
    "lu_push": _lu_push,
}  # fmt: skip
