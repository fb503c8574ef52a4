"""Folds over short rows, one row in each lane.

    for i { fold r in 0 .. n vector: x[i, r]; store out[i] }

A row of a few elements fills a part of a register, whose lanes must then be combined. Where n is at
most SHORT, or less, the lanes take a row each instead; n is looked at when the kernel runs, and one
of two loops has no turns:

    for block { if n <= SHORT: for i vector { fold r in 0 .. n: ... } }
    for i { fold r in 0 .. n vector: ... }

Inside other loops it is one loop of blocks, which does either.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from symgraph.loops.statements import Fold, For, If, Kernel, Let, Size, Stmt, Store
from symgraph.lower.rewriting import around, independent, moved, perfect_nest, position
from symgraph.scalar import Expr, as_expr, as_size, coefficient, const, postorder, var
from symgraph.scalar import functions as F

SHORT = 16  # elements of a row,
PLAIN = 8  # and of one of which only the sum is wanted: the lanes of a register are soon added
ROWS = 256  # rows of a block, so that what is asked of n is asked seldom
LEAST = 4  # rows below which there is nothing to gain
BLOCK, ROW = var("_iblock"), var("_irow")


def short_rows(kernel: Kernel) -> Kernel:
    """The kernel with a row in each lane where rows are short; itself where it is not one nest of
    loops round folds along rows, Lets and Stores."""
    path = perfect_nest(kernel.body)
    if not path or path[-1].kind != "serial" or not _fits(path[-1], kernel):
        return kernel
    loop = path[-1]
    most = _most(loop)
    extents = dict.fromkeys(s.extent for s in loop.body if isinstance(s, Fold))
    known = [n for n in extents if isinstance(n, int)]
    if any(n > most for n in known):
        return kernel
    if len(known) == len(extents):
        return kernel._replace(body=around(path[:-1], (_rows(loop, {}, loop.index, loop.extent),)))
    tests = [F.le(n, most) for n in extents if isinstance(n, Expr)]
    short = functools.reduce(F.and_, tests)
    at = {loop.index: BLOCK * ROWS + ROW}
    count = as_size(F.minimum(as_expr(loop.extent) - BLOCK * ROWS, const(ROWS)))
    if isinstance(loop.extent, int):
        count = loop.extent if loop.extent <= ROWS else count
    in_lanes = If(short, (_rows(loop, at, ROW, count),))
    blocks = (as_expr(loop.extent) + (ROWS - 1)) // ROWS
    if len(path) == 1:  # threads share the blocks, or the rows
        first = For(BLOCK, as_size(F.select(short, blocks, const(0))), "serial", (in_lanes,))
        rows = as_size(F.select(short, const(0), as_expr(loop.extent)))
        return kernel._replace(body=(first, For(loop.index, rows, "serial", loop.body)))
    others = For(ROW, count, "serial", moved(loop.body, at))
    body = (in_lanes, If(F.not_(short), (others,)))
    return kernel._replace(body=around(path[:-1], (For(BLOCK, as_size(blocks), "serial", body),)))


def _fits(loop: For, kernel: Kernel) -> bool:
    """Whether turns do not need each other and hold folds along the lanes, and no other loop."""
    folds = [s for s in loop.body if isinstance(s, Fold)]
    if not folds or not all(isinstance(s, Fold | Let | Store) for s in loop.body):
        return False
    if any(s.kind != "vector" or s.body or s.combiner == "next" for s in folds):
        return False
    own = {loop.index, *(s.name for s in loop.body if isinstance(s, Let))}
    if any(own & set(postorder([as_expr(s.extent)])) for s in folds):  # known in their turn only
        return False
    if isinstance(loop.extent, int) and loop.extent < LEAST:
        return False
    shapes = {p.name: p.shape for p in kernel.params}
    return independent(loop.body) and _apart(loop.body, loop.index, shapes)


def _apart(body: Sequence[Stmt], index: Expr, shapes: dict[str, tuple[Size, ...]]) -> bool:
    """Whether stores of different turns go to neighbouring places."""
    stores = [s for s in body if isinstance(s, Store)]
    steps = [coefficient(position(s.indices, shapes[s.buffer]), index) for s in stores]
    return all(step is const(1) for step in steps)


def _most(loop: For) -> int:
    """The elements of rows that are short."""
    folds = [s for s in loop.body if isinstance(s, Fold)]
    plain = len(folds) == 1 and folds[0].combiner == "add" and folds[0].values[0].op == "load"
    return PLAIN if plain else SHORT


def _rows(loop: For, at: dict[Expr, Expr], index: Expr, count: Size) -> For:
    """The turns with a lane for each; rows are known to be short."""
    most = _most(loop)
    body = tuple(
        s._replace(kind="serial", extent=_short(s.extent, most)) if isinstance(s, Fold) else s
        for s in loop.body
    )
    return For(index, count, "vector", moved(body, at) if at else body)


def _short(extent: Size, most: int) -> Size:
    """The extent, so written that its bound shows."""
    if isinstance(extent, int):
        return extent
    return as_size(F.minimum(extent, const(most)))
