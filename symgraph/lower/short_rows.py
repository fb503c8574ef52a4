"""Folds over short rows, one row in each lane.

    for i { fold r in 0 .. n vector: x[i, r]; store out[i] }
    for i { fold r in 0 .. n vector: x[i, r]; for r in 0 .. n vector: store out[i, r] }
    for i { fold total = next(0) over r in 0 .. n vector: total + x[i, r]; store out[i, r] }

A row of a few elements fills a part of a register, whose lanes must then be combined. Where n is at
most SHORT, or less, the lanes take a row each instead, also where there is but one, as what a row
comes to does not depend on others. n is looked at when the kernel runs, and one of two loops has no
turns:

    for block { if n <= SHORT: for i vector { fold r in 0 .. n: ... } }
    for i { fold r in 0 .. n vector: ... }

Inside other loops it is one loop of blocks, which does either.
"""

from __future__ import annotations

import functools
from collections.abc import Set
from typing import TYPE_CHECKING

from symgraph import dtypes
from symgraph.loops.statements import Fold, For, If, Kernel, Let, Size, Stmt, Store, walk
from symgraph.lower.rewriting import around, independent, moved, perfect_nest, position, reads
from symgraph.runtime.later import Later
from symgraph.scalar import Expr, as_expr, as_size, coefficient, const, postorder, substitute, var
from symgraph.scalar import functions as F

if TYPE_CHECKING:
    from symgraph.loops import running
else:
    running = Later("symgraph.loops.running")

SHORT = 16  # elements of a row,
PLAIN = 8  # and of one of which only the sum is wanted: the lanes of a register are soon added
# and of those that are stored, each row's elements next to each other: after several folds, each of
# which waits for the one before (running folds of up to 4 bytes: SHORT), and after one
SPREAD, SPREAD_SOON = 15, 8
ROWS = 256  # rows of a block, so that what is asked of n is asked seldom
LEAST = 4  # rows below which there is nothing to gain
BLOCK, ROW = var("_iblock"), var("_irow")


def short_rows(kernel: Kernel, rooms: Set[str] | None = frozenset()) -> Kernel:
    """The kernel with a row in each lane where rows are short; itself where it is not one nest of
    loops round folds and loops along rows, Lets and Stores. ``rooms``: as `schedule` says."""
    path = perfect_nest(kernel.body)
    if not path or path[-1].kind != "serial":
        return kernel
    loop = path[-1]
    inner = loop._replace(body=_without(rooms or frozenset(), loop.body))
    if not _fits(inner, kernel):
        return kernel
    if rooms is None and any(_stored(s) for s in inner.body):
        return kernel
    most = _most(inner)
    extents = dict.fromkeys(s.extent for s in inner.body if isinstance(s, Fold | For))
    known = [n for n in extents if isinstance(n, int)]
    if any(n > most for n in known):
        return kernel
    if len(known) == len(extents):
        rows = _rows(inner, {}, loop.index, loop.extent)
        return kernel._replace(body=around(path[:-1], (rows,)))
    tests = [F.le(n, most) for n in extents if isinstance(n, Expr)]
    short = functools.reduce(F.and_, tests)
    at = {loop.index: BLOCK * ROWS + ROW}
    count = as_size(F.minimum(as_expr(loop.extent) - BLOCK * ROWS, const(ROWS)))
    if isinstance(loop.extent, int):
        count = loop.extent if loop.extent <= ROWS else count
    in_lanes = If(short, (_rows(inner, at, ROW, count),))
    blocks = (as_expr(loop.extent) + (ROWS - 1)) // ROWS
    if len(path) == 1:  # threads share the blocks, or the rows
        first = For(BLOCK, as_size(F.select(short, blocks, const(0))), "serial", (in_lanes,))
        rest = as_size(F.select(short, const(0), as_expr(loop.extent)))
        return kernel._replace(body=(first, For(loop.index, rest, "serial", loop.body)))
    others = For(ROW, count, "serial", moved(loop.body, at))
    body = (in_lanes, If(F.not_(short), (others,)))
    return kernel._replace(body=around(path[:-1], (For(BLOCK, as_size(blocks), "serial", body),)))


def _without(rooms: Set[str], body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """The body without the memory for one row at a time: each lane would need its own, and of few
    elements what it holds is as well computed again."""
    held: dict[str, tuple[Expr, Expr]] = {}
    out: list[Stmt] = []
    for s in body:
        loads = [e for e in reads((s,)) if e.op == "load" and e.attr in held]
        instead = {e: substitute(held[e.attr][1], {held[e.attr][0]: e.args[0]}) for e in loads}
        (s,) = moved((s,), {}, instead)
        if not isinstance(s, For):
            out.append(s)
            continue
        named: dict[Expr, Expr] = {}
        kept: list[Stmt] = []
        for x in s.body:
            if isinstance(x, Let):
                named[x.name] = substitute(x.value, named)
            elif isinstance(x, Store) and x.buffer in rooms and x.indices == (s.index,):
                held[x.buffer] = s.index, substitute(x.value, named)
                continue
            kept.append(x)
        if len(kept) == len(s.body) or not all(isinstance(x, Let) for x in kept):
            out.append(s._replace(body=tuple(kept)))
    left = {e.attr for e in reads(tuple(out))}  # as by a read that depends on a condition
    return body if left & held.keys() else tuple(out)


def _fits(loop: For, kernel: Kernel) -> bool:
    """Whether turns do not need each other and hold folds along the lanes, and no loops but along
    them."""
    along = [s for s in loop.body if isinstance(s, Fold | For)]
    if not all(isinstance(s, Fold | For | Let | Store) for s in loop.body):
        return False
    folds = [s for s in along if isinstance(s, Fold)]
    if not folds or not all(_is_known(s) for s in folds):
        return False
    if any(s.kind != "vector" for s in along):
        return False
    inner = [x for s in along for x in s.body]
    if not all(isinstance(x, Let | Store) for x in inner):
        return False
    own = {loop.index, *(s.name for s in loop.body if isinstance(s, Let))}
    if any(own & set(postorder([as_expr(s.extent)])) for s in along):  # known in their turn only
        return False
    if isinstance(loop.extent, int) and loop.extent < LEAST:
        return False
    shapes = {p.name: p.shape for p in kernel.params}
    return independent(loop.body) and _apart(loop, shapes)


def _is_known(s: Fold) -> bool:
    """Whether it folds values, or runs and stores."""
    if s.combiner != "next":
        return not s.body
    return running.running(s) is not None


def _apart(loop: For, shapes: dict[str, tuple[Size, ...]]) -> bool:
    """Whether stores of different turns go to neighbouring places, or to rows one after another."""

    def step(s: Store, index: Expr) -> Expr | None:
        return coefficient(position(s.indices, shapes[s.buffer]), index)

    for s in loop.body:
        for x in s.body if isinstance(s, For | Fold) else (s,):
            if not isinstance(x, Store):
                continue
            if isinstance(s, For | Fold) and step(x, s.index) is not const(1):
                return False
            apart = as_expr(s.extent) if isinstance(s, For | Fold) else const(1)
            if step(x, loop.index) is not apart:
                return False
    return True


def _most(loop: For) -> int:
    """The elements of rows that are short."""
    folds = [s for s in loop.body if isinstance(s, Fold)]
    if any(_stored(s) for s in loop.body):
        if any(s.combiner == "next" for s in folds):
            stored = [x.value.dtype for x in walk(loop.body) if isinstance(x, Store)]
            return SHORT if max(map(dtypes.itemsize, stored)) <= 4 else SPREAD_SOON
        return SPREAD if len(folds) > 1 else SPREAD_SOON
    plain = len(folds) == 1 and folds[0].combiner == "add" and folds[0].values[0].op == "load"
    return PLAIN if plain else SHORT


def _stored(s: Stmt) -> bool:
    """Whether it writes something for each element of a row."""
    return isinstance(s, For | Fold) and any(isinstance(x, Store) for x in s.body)


def _rows(loop: For, at: dict[Expr, Expr], index: Expr, count: Size) -> For:
    """The turns with a lane for each; rows are known to be short."""
    most = _most(loop)
    body = tuple(
        s._replace(kind="serial", extent=_short(s.extent, most)) if isinstance(s, Fold | For) else s
        for s in loop.body
    )
    return For(index, count, "vector", moved(body, at) if at else body)


def _short(extent: Size, most: int) -> Size:
    """The extent, so written that its bound shows."""
    if isinstance(extent, int):
        return extent
    return as_size(F.minimum(extent, const(most)))
