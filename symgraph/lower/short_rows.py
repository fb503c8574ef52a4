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

Inside other loops it is one loop of blocks, which does either. Elements of a row that are read
again wait on the stack, side by side with those of the other rows of the block:

    for block { if n <= SHORT {
      alloc row[SHORT, HELD]
      for i vector { for r in 0 .. n: row[r, i] = ...;  fold r in 0 .. n: row[r, i] } } }
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Set
from typing import TYPE_CHECKING

from symgraph import dtypes
from symgraph.loops.statements import (
    Alloc,
    Fold,
    For,
    If,
    Kernel,
    Let,
    Size,
    Stmt,
    Store,
    walk,
)
from symgraph.lower.rewriting import (
    Indices,
    around,
    independent,
    moved,
    perfect_nest,
    position,
    reads,
)
from symgraph.runtime.later import Later
from symgraph.scalar import Expr, as_expr, as_size, coefficient, const, load, postorder, var
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
ROWS = 256  # rows of a block, so that what is asked of n is asked seldom,
HELD = 64  # the same where elements of the rows wait on the stack
LEAST = 4  # rows below which there is nothing to gain
BLOCK, ROW = var("_iblock"), var("_irow")


def short_rows(kernel: Kernel, rooms: Set[str] | None = frozenset()) -> Kernel:
    """The kernel with a row in each lane where rows are short; itself where it is not one nest of
    loops round folds and loops along rows, Lets and Stores. ``rooms``: as `schedule` says."""
    path = perfect_nest(kernel.body)
    if not path or path[-1].kind != "serial":
        return kernel
    loop = path[-1]
    inner, held = _held(rooms or frozenset(), loop)
    bare = _bare(inner, held)
    if not _fits(bare, kernel):
        return kernel
    if rooms is None and any(_stored(s) for s in bare.body):
        return kernel
    waiting = tuple(Alloc(name, dtype, (_most(bare), HELD)) for name, dtype in held.items())
    return _in_lanes(kernel, inner, waiting, _most(bare))


def _in_lanes(kernel: Kernel, rows: For, waiting: tuple[Alloc, ...], most: int) -> Kernel:
    """The kernel whose loop over rows of up to ``most`` elements runs as ``rows`` in lanes."""
    path = perfect_nest(kernel.body)
    loop = path[-1]
    extents = dict.fromkeys(s.extent for s in rows.body if isinstance(s, Fold | For))
    tests = [F.le(n, most) for n in extents if isinstance(n, Expr)]
    if any(isinstance(n, int) and n > most for n in extents):
        return kernel
    if not tests and not waiting:
        turned = rows._replace(kind="vector", body=_serial(rows, most))
        return kernel._replace(body=around(path[:-1], (turned,)))
    size = HELD if waiting else ROWS
    count = as_size(F.minimum(as_expr(loop.extent) - BLOCK * size, const(size)))
    if isinstance(loop.extent, int) and loop.extent <= size:
        count = loop.extent
    lanes: tuple[Stmt, ...] = (*waiting, _rows(rows, most, BLOCK * size, count))
    blocks = (as_expr(loop.extent) + (size - 1)) // size
    each = For(BLOCK, as_size(blocks), "serial", lanes)
    if not tests:
        return kernel._replace(body=around(path[:-1], (each,)))
    short = functools.reduce(F.and_, tests)
    if len(path) == 1:  # threads share the blocks, or the rows
        some = as_size(F.select(short, blocks, const(0)))
        rest = as_size(F.select(short, const(0), as_expr(loop.extent)))
        first = each._replace(extent=some, body=(If(short, lanes),))
        return kernel._replace(body=(first, loop._replace(extent=rest)))
    others = For(ROW, count, "serial", moved(loop.body, {loop.index: BLOCK * size + ROW}))
    body: tuple[Stmt, ...] = (If(short, lanes), If(F.not_(short), (others,)))
    return kernel._replace(body=around(path[:-1], (each._replace(body=body),)))


def _held(rooms: Set[str], loop: For) -> tuple[For, dict[str, str]]:
    """The loop in which elements of a row that are read again wait in buffers (whose dtypes are
    given by name), those of neighbouring rows side by side. They stand for the memory for one row
    at a time, and for results: what lanes have scattered is not soon there to be gathered."""
    body, held = list(loop.body), dict[str, str]()
    for k, s in enumerate(loop.body):
        for x in s.body if isinstance(s, For) else ():
            if not isinstance(x, Store) or not _waits(x, loop, k, x.buffer in rooms):
                continue
            name, spot = f"_row{len(held)}", x.indices.index(s.index)  # type: ignore[union-attr]
            held[name] = x.value.dtype
            again = [e for e in reads(tuple(body)) if e.attr == x.buffer]
            body = list(moved(
                tuple(body), {}, {e: load(name, (e.args[spot], ROW), e.dtype) for e in again}
            ))  # fmt: skip
            gone = x.buffer in rooms or _last(x.buffer, loop) > k
            body[k] = _keeping(body[k], x.buffer, spot, name, gone)
    return loop._replace(body=tuple(body)), held


def _last(buffer: str, loop: For) -> int:
    """The number of the last statement that stores to a buffer."""
    return max(k for k, s in enumerate(loop.body) if _stores(s, buffer))


def _stores(s: Stmt, buffer: str) -> list[Indices]:
    """Where a statement stores in a buffer."""
    return [x.indices for x in walk((s,)) if isinstance(x, Store) and x.buffer == buffer]


def _waits(x: Store, loop: For, k: int, own: bool) -> bool:
    """Whether what the k-th statement stores is read by later ones, until a row of the buffer is
    stored once more, and only elements of the row. ``own``: it is memory for one row at a time."""
    body, last = loop.body, _last(x.buffer, loop)
    s, end = body[k], body[last]
    if not isinstance(s, For) or not isinstance(end, For) or s.extent != end.extent:
        return False
    if x.indices.count(s.index) != 1 or not (own or loop.index in postorder(x.indices)):
        return False
    spot = x.indices.index(s.index)
    rest = _but(x.indices, spot)
    places = [(n, at) for n, y in enumerate(body) for at in _stores(y, x.buffer)]
    if [n for n, _ in places] != sorted({k, last}) or any(
        _but(at, spot) != rest for _, at in places
    ):
        return False
    if places[-1][1][spot] is not end.index:
        return False
    again = [e for e in reads(body) if e.attr == x.buffer]
    soon = [e for e in reads(body[k + 1 : last + 1 if last > k else None]) if e.attr == x.buffer]
    return again == soon != [] and all(e.op == "load" and _but(e.args, spot) == rest for e in again)


def _but(indices: Indices, spot: int) -> Indices:
    return indices[:spot] + indices[spot + 1 :]


def _keeping(s: Stmt, buffer: str, spot: int, name: str, instead: bool) -> Stmt:
    """The statement, which also stores in ``name`` what it stores in the buffer, or ``instead``."""
    assert isinstance(s, For)
    body: list[Stmt] = []
    for x in s.body:
        stores = isinstance(x, Store) and x.buffer == buffer
        if not (stores and instead):
            body.append(x)
        if isinstance(x, Store) and stores:
            body.append(Store(name, (x.indices[spot], ROW), x.value))
    return s._replace(body=tuple(body))


def _bare(loop: For, held: Collection[str]) -> For:
    """The loop without the stores to what is held."""

    def bare(s: Stmt) -> Stmt:
        if not isinstance(s, For):
            return s
        inner = (x for x in s.body if not (isinstance(x, Store) and x.buffer in held))
        return s._replace(body=tuple(inner))

    return loop._replace(body=tuple(map(bare, loop.body)))


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


def _rows(loop: For, most: int, first: Expr, count: Size) -> For:
    """``count`` turns from the ``first`` with a lane for each; rows are known to be short."""
    return For(ROW, count, "vector", moved(_serial(loop, most), {loop.index: first + ROW}))


def _serial(loop: For, most: int) -> tuple[Stmt, ...]:
    """What a lane does for its row, element by element."""
    return tuple(
        s._replace(kind="serial", extent=_short(s.extent, most)) if isinstance(s, Fold | For) else s
        for s in loop.body
    )


def _short(extent: Size, most: int) -> Size:
    """The extent, so written that its bound shows."""
    if isinstance(extent, int):
        return extent
    return as_size(F.minimum(extent, const(most)))
