"""Folds over rows that lie far apart, in the order in which memory has them.

    for i { fold r { fold k vector: x[r, i, k] }; store out[i] }

For each i this goes through all of x with a jump from row to row. Here some neighbouring i go
together, with what they carry in small buffers, so that each r reads their rows as one stretch:

    for strip in 0 .. ceil(n / ROWS)
      alloc carried[ROWS]
      for j: carried[j] = identity
      for r
        for j { fold k vector: x[r, strip * ROWS + j, k]; carried[j] = carried[j] (+) its value }
      for j vector: what is made of the folds

Sums of floats carry the rounding errors of adding the rows.
"""

from __future__ import annotations

from symgraph.loops.compute import identity
from symgraph.loops.statements import Alloc, Fold, For, Kernel, Let, Stmt, Store
from symgraph.lower.rewriting import around, independent, moved, perfect_nest, place_of, reads
from symgraph.lower.strips import (
    STRIP,
    Column,
    J,
    finished,
    fold_down,
    folds_first,
    is_compensated,
    joined,
)
from symgraph.records import NamedTuple
from symgraph.scalar import (
    Expr,
    as_expr,
    as_size,
    const,
    depends,
    load,
    postorder,
    substitute,
    var,
)
from symgraph.scalar import functions as F

ROWS = 16  # neighbours that go together


def row_order(kernel: Kernel) -> Kernel:
    """The kernel with such folds in the order of memory; itself where it is not one nest of loops
    round some of them, Lets and Stores."""
    path = perfect_nest(kernel.body)
    if not path or path[-1].kind != "serial":
        return kernel
    loop = path[-1]
    folds = [s for s in loop.body if isinstance(s, Fold)]
    others = tuple(s for s in loop.body if not isinstance(s, Fold))
    if not folds or any(not isinstance(s, Let | Store) for s in others):
        return kernel
    columns = [fold_down(s) for s in folds]
    rows = [_Row(c, _innermost(s)) for c, s in zip(columns, folds, strict=True) if c is not None]
    made = {s.name for s in others if isinstance(s, Let)}
    if len(rows) < len(folds) or not _alike(rows, made):
        return kernel
    if not all(_jumps(r, loop.index) for r in rows) or not independent(loop.body):
        return kernel
    if isinstance(loop.extent, int) and loop.extent < 2:
        return kernel
    return kernel._replace(body=around(path[:-1], _strips(loop, rows, others)))


class _Row(NamedTuple):
    """A fold over rows, and the fold along one of them."""

    column: Column
    inner: Fold


def _alike(rows: list[_Row], made: set[Expr]) -> bool:
    """Whether the folds go over the same rows and need neither each other nor what is ``made``."""
    loops = rows[0].column.loops
    names = made | {r.column.names[0] for r in rows}
    return len(loops) > 1 and all(
        r.column.loops == loops and len(r.column.names) == 1 and r.inner.kind == "vector"
        and not names & set(postorder(r.column.values)) for r in rows
    )  # fmt: skip


def _innermost(fold: Fold) -> Fold:
    while fold.body and isinstance(fold.body[0], Fold):
        fold = fold.body[0]
    return fold


def _jumps(row: _Row, i: Expr) -> bool:
    """Whether memory has rows of an outer loop of the fold further apart than those of i, and each
    of them as a stretch."""
    column, inner = row
    found = False
    for x in reads(tuple(Let(v, v) for v in column.values)):
        at = place_of(x)
        if not depends(x, inner.index) or not depends(x, i):
            continue
        rows = [k for k, e in enumerate(at) if e is i]
        outer = [k for k, e in enumerate(at) if any(depends(e, r) for r, _ in column.loops[:-1])]
        if at[-1] is not inner.index or not rows or not outer:
            return False
        found = found or min(outer) < rows[0]
    return found


def _strips(loop: For, rows: list[_Row], others: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    at = {loop.index: STRIP * ROWS + J}
    width = as_size(F.minimum(as_expr(loop.extent) - STRIP * ROWS, const(ROWS)))
    if isinstance(loop.extent, int) and loop.extent % ROWS == 0:
        width = ROWS

    def each(kind: str, *body: Stmt) -> For:
        return For(J, width, kind, body)

    rooms: list[Alloc] = []
    starts: list[Stmt] = []
    turns: list[Stmt] = []
    ends: list[Stmt] = []
    for k, (column, inner) in enumerate(rows):
        name, dtype = column.names[0], column.names[0].dtype
        values = [const(identity(column.combiner, dtype), dtype)]
        if is_compensated(column.combiner, dtype):
            values.append(const(0.0, dtype))
        own = [(f"strip{len(rooms) + n}", value) for n, value in enumerate(values)]
        rooms += [Alloc(room, dtype, (ROWS,)) for room, _ in own]
        starts += [Store(room, (J,), value) for room, value in own]
        part, held = var(f"_part{k}", dtype), [load(room, (J,), dtype) for room, _ in own]
        along = tuple(substitute(v, at) for v in inner.values)
        turns.append(inner._replace(names=(part,), values=along))
        turns += joined(column.combiner, k, own, held, (part,))
        ends += [Let(name, value) for value in finished(column.combiner, held)]
    nest: tuple[Stmt, ...] = (each("serial", *folds_first(turns)),)
    for r, n in reversed(rows[0].column.loops[:-1]):
        nest = (For(r, n, "serial", nest),)
    body = (*rooms, each("vector", *starts), *nest, each("vector", *ends, *moved(others, at)))
    strips = as_size((as_expr(loop.extent) + (ROWS - 1)) // ROWS)
    return (For(STRIP, strips, "serial", body),)
