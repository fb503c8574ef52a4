"""Transposed reads through shared memory.

    for i { for j { y[i, j] = f(x[j, i], ...) } }

Threads that write neighbours would read places that lie far apart. Here a block takes a square of
turns: it reads x along i into shared memory, and after a barrier each thread takes from there what
it needs to write along j. A row of the square is one element longer than it need be, so that a
column's elements lie in different banks.
"""

from __future__ import annotations

from collections.abc import Callable

from symgraph.loops.statements import Alloc, Barrier, For, If, Let, Size, Stmt, Store
from symgraph.lower.cuda.frame import Frame, rewritten, split_index
from symgraph.lower.cuda.nest import Nest, loads_of, position
from symgraph.lower.cuda.spread import divided_up
from symgraph.scalar import (
    Expr,
    as_expr,
    coefficient,
    const,
    depends,
    load,
    postorder,
    product,
    rebuild,
    transform,
)
from symgraph.scalar import functions as F

SIDE, THREADS = 32, 256
MOST = 4  # squares of one block


def transposed(frame: Frame, nest: Nest) -> bool:
    """Add the launch of a nest that reads across; nothing, and False, for any other."""
    if len(nest.parallel) < 2 or nest.others or nest.private:
        return False
    if not all(isinstance(s, Let | Store) for s in nest.body):
        return False
    shapes = {n: p.shape for n, p in frame.params.items()}
    last = nest.parallel[-1]
    if nest.contiguous(last.index, nest.body, shapes) == 0:
        return False
    for across in nest.parallel[:-1]:
        found = _across(nest, across.index, last.index, shapes)
        if found and _large(across.extent) and _large(last.extent):
            _squares(frame, nest, across, last, found)
            return True
    return False


def _large(extent: Size) -> bool:
    return not isinstance(extent, int) or extent >= SIDE // 2


def _across(nest: Nest, i: Expr, j: Expr, shapes: dict[str, tuple[Size, ...]]) -> list[Expr]:
    """The loads that walk one by one with i and in larger steps with j; none where the nest stores
    along i too, or there are too many."""
    written = {s.buffer for s in nest.body if isinstance(s, Store)}
    found: dict[Expr, None] = {}
    for s in nest.body:
        for e in loads_of(s):
            if e.op != "load" or e.attr in written or e.attr not in shapes:
                continue
            place = position(e.args, shapes[e.attr])
            along = coefficient(place, i) is const(1)
            if along and depends(place, j) and not _reads(e):
                found[e] = None
    return list(found) if len(found) <= MOST else []


def _reads(e: Expr) -> bool:
    return any(n.op in ("load", "load_if") for n in postorder(e.args))


def _squares(frame: Frame, nest: Nest, across: For, last: For, reads: list[Expr]) -> None:
    block, thread = frame.name("block"), frame.name("thread")
    rest = [p for p in nest.parallel if p is not across and p is not last]
    squares = [
        For(frame.name("square"), divided_up(p.extent, SIDE), "serial", ()) for p in (across, last)
    ]
    corners = split_index(frame, block, [*rest, *squares])
    qi, qj = (s.index * SIDE for s in squares)
    tiles = [f"tile{k}" for k in range(len(reads))]
    shared = [Alloc(t, e.dtype, (SIDE, SIDE + 1)) for t, e in zip(tiles, reads, strict=True)]

    def fill(a: Expr, b: Expr) -> tuple[Stmt, ...]:
        return tuple(Store(t, (a, b), e) for t, e in zip(tiles, reads, strict=True))

    def body(a: Expr, b: Expr) -> tuple[Stmt, ...]:
        stand = {e: load(t, (b, a), e.dtype) for t, e in zip(tiles, reads, strict=True)}

        def value(root: Expr) -> Expr:
            return transform([root], lambda n, args: stand.get(n) or rebuild(n, args))[0]

        return rewritten(nest.body, value)

    first = _share(frame, thread, (last, qj), (across, qi), fill)
    second = _share(frame, thread, (across, qi), (last, qj), body)
    inner = For(thread, THREADS, "block", (*corners, first, Barrier(), second))
    blocks = product(tuple(p.extent for p in (*rest, *squares)))
    frame.launch((For(block, blocks, "grid", (*shared, inner)),))


def _share(
    frame: Frame, thread: Expr, slow: tuple[For, Expr], fast: tuple[For, Expr],
    write: Callable[[Expr, Expr], tuple[Stmt, ...]],
) -> For:  # fmt: skip
    """The turns of a square, those of the fast loop by neighbouring threads."""
    k, a, b = (frame.name(w) for w in "kab")
    i, j = slow[0].index, fast[0].index
    inside = F.and_(F.lt(i, as_expr(slow[0].extent)), F.lt(j, as_expr(fast[0].extent)))
    turn = (
        Let(a, thread // SIDE + k * (THREADS // SIDE)), Let(b, thread % SIDE),
        Let(i, slow[1] + a), Let(j, fast[1] + b), If(inside, write(a, b)),
    )  # fmt: skip
    return For(k, SIDE * SIDE // THREADS, "serial", turn)
