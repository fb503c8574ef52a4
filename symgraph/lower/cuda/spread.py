"""A thread for each turn: elementwise kernels, gathers, columns, and whatever else has turns.

Neighbouring threads take neighbouring turns of the loop that walks through memory one by one. Where
everything that a turn touches lies side by side, a thread takes so many turns that it moves 16
bytes at a time; what is left over at the end is done by the first threads one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgraph import dtypes
from symgraph.loops.statements import For, If, Let, Size, Stmt, Store, expressions
from symgraph.lower.cuda.frame import LOADS, Frame, rewritten, serial, split_index
from symgraph.lower.cuda.nest import Nest, position
from symgraph.lower.rewriting import around
from symgraph.lower.turns import Access, accesses
from symgraph.scalar import (
    Expr,
    as_expr,
    as_size,
    coefficient,
    const,
    depends,
    polynomial,
    postorder,
    substitute,
)
from symgraph.scalar import functions as F

THREADS = 256
WIDE = 16  # bytes of one access


def spread(frame: Frame, nest: Nest) -> None:
    """Add the launch of a nest, one thread for each turn of its parallel loops."""
    loops = _fastest_last(frame, nest)
    shapes = {n: p.shape for n, p in frame.params.items()}
    lanes = _lanes(frame, nest, loops, shapes)
    if lanes > 1:
        _vectors(frame, nest, loops, lanes)
        return
    block, thread, q = frame.name("block"), frame.name("thread"), frame.name("turn")
    body = around([s._replace(kind="serial") for s in nest.others], serial(nest.body))
    for name in sorted(nest.private):
        body = frame.private(body, name, nest.turns, q)
    turn = (Let(q, block * THREADS + thread), *split_index(frame, q, loops), *body)
    frame.launch(blocks_of(block, thread, q, turn, nest.turns))


def blocks_of(
    block: Expr, thread: Expr, q: Expr, turn: tuple[Stmt, ...], turns: Size
) -> tuple[Stmt, ...]:
    """Blocks of threads around one turn, whose first statement gives its number ``q``."""
    if not (isinstance(turns, int) and turns % THREADS == 0):
        turn = (turn[0], If(F.lt(q, as_expr(turns)), turn[1:]))
    inner = For(thread, THREADS, "block", turn)
    return (For(block, divided_up(turns, THREADS), "grid", (inner,)),)


def divided_up(size: Size, by: int) -> Size:
    """The quotient rounded up.

    >>> divided_up(1000, 256)
    4
    """
    return as_size((as_expr(size) + (by - 1)) // by)


def _fastest_last(frame: Frame, nest: Nest) -> list[For]:
    """The parallel loops, the one last that walks through memory for most accesses."""
    shapes = {n: p.shape for n, p in frame.params.items()}
    body = nest.body
    loops = list(nest.parallel)
    best = max(range(len(loops)), key=lambda k: (nest.contiguous(loops[k].index, body, shapes), k))
    return [*loops[:best], *loops[best + 1 :], loops[best]]


# 16 bytes at a time -------------------------------------------------------------------------------


def _lanes(frame: Frame, nest: Nest, loops: list[For], shapes: dict[str, tuple[Size, ...]]) -> int:
    """How many turns of the last loop a thread can take as one vector; 1 where it cannot."""
    if nest.others or nest.private or not frame.aligned:
        return 1
    if not all(isinstance(s, Let | Store) for s in nest.body):
        return 1
    last = loops[-1]
    lanes = lanes_of(frame, nest.body, last.index, shapes)
    whole = isinstance(last.extent, int) and last.extent % lanes == 0
    return lanes if whole or len(loops) == 1 else 1


def lanes_of(
    frame: Frame, body: tuple[Stmt, ...], index: Expr, shapes: dict[str, tuple[Size, ...]]
) -> int:
    """How many turns of a loop over statements make vectors of neighbours; 1 where none do."""
    found = accesses(body)
    if any(a.buffer not in shapes for a in found):
        return 1
    nodes = postorder([e for s in body for e in expressions(s)])
    if any(e.op == "load_if" or (e.op == "load" and _reads(e.args)) for e in nodes):
        return 1
    moving = [a for a in found if depends(position(a.indices, shapes[a.buffer]), index)]
    if not moving:
        return 1
    dtype = {e.attr: e.dtype for e in nodes if e.op == "load"}
    dtype |= {s.buffer: s.value.dtype for s in body if isinstance(s, Store)}
    lanes = min(WIDE // max(dtypes.itemsize(dtype[a.buffer]) for a in moving), 8)
    apart = not all(_side_by_side(a, index, lanes, shapes) for a in moving)
    return 1 if lanes < 2 or apart else lanes


def _reads(roots: Sequence[Expr]) -> bool:
    return any(e.op in LOADS for e in postorder(roots))


def _side_by_side(a: Access, index: Expr, lanes: int, shapes: dict[str, tuple[Size, ...]]) -> bool:
    """Whether vectors of the index are neighbours, the first at a multiple of their number."""
    place = position(a.indices, shapes[a.buffer])
    if coefficient(place, index) is not const(1):
        return False
    return all(c % lanes == 0 for c in polynomial(place - index).values())


def _vectors(frame: Frame, nest: Nest, loops: list[For], lanes: int) -> None:
    last = loops[-1]
    count = as_size(as_expr(last.extent) // lanes)
    block, thread, q, v = (frame.name(w) for w in ("block", "thread", "turn", "v"))
    start = frame.name("at")
    vectors = last._replace(index=start, extent=count)
    moved = _at(nest.body, {last.index: start * lanes + v})
    turn: tuple[Stmt, ...] = (
        *split_index(frame, q, [*loops[:-1], vectors]), For(v, lanes, "vector", moved),
    )  # fmt: skip
    turns = as_size(as_expr(nest.turns) // lanes)
    first = Let(q, block * THREADS + thread)
    if isinstance(last.extent, int) and last.extent % lanes == 0:
        frame.launch(blocks_of(block, thread, q, (first, *turn), turns))
        return
    whole = as_expr(count) * lanes  # a single loop: the rest of it goes one by one
    rest = _at(nest.body, {last.index: whole + q})
    left = as_expr(last.extent) - whole
    body = (first, If(F.lt(q, as_expr(turns)), turn), If(F.lt(q, left), rest))
    inner = For(thread, THREADS, "block", body)
    blocks = divided_up(divided_up(last.extent, lanes), THREADS)
    frame.launch((For(block, blocks, "grid", (inner,)),))


def _at(body: tuple[Stmt, ...], mapping: dict[Expr, Expr]) -> tuple[Stmt, ...]:
    return rewritten(body, lambda e: substitute(e, mapping))
