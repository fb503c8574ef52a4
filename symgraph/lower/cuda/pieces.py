"""A kernel cut into launches: wherever all blocks of a launch have to have ended.

The statements at the top of a kernel are taken in order. A nest whose turns are independent is a
launch of its own, a long fold two; what lies between is done by a single block. Scalars that later
launches need go through memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgraph.loops.launch import WARP
from symgraph.loops.running import running
from symgraph.loops.statements import Fold, For, Stmt, Store
from symgraph.lower.cuda import chunks, scans
from symgraph.lower.cuda.frame import LOADS, Frame, free_names, names_of
from symgraph.lower.cuda.nest import Nest, few
from symgraph.lower.cuda.spread import spread
from symgraph.lower.cuda.team import alone, team
from symgraph.lower.cuda.tiles import transposed
from symgraph.lower.turns import accesses
from symgraph.scalar import Expr, as_expr, postorder

FEW_TURNS = 32  # of an inner loop that one thread does by itself


def cut(frame: Frame) -> None:
    """Add the launches of a kernel to its frame."""
    waiting: list[Stmt] = []
    body = list(frame.kernel.body)
    while body:
        s = body.pop(0)
        if isinstance(s, For):
            nest = Nest(frame, s)
            if nest.parallel:
                _flush(frame, waiting, [s, *body])
                waiting = []
                _nest(frame, nest)
                continue
        if isinstance(s, Fold) and running(s) is not None and not few(s.extent, scans.FEW):
            _flush(frame, waiting, [s, *body])
            waiting = []
            if scans.scanned(frame, (), s, free_names(body)):
                continue
        if isinstance(s, Fold):
            found = chunks.whole_fold(frame, s)
            if found is not None:
                _flush(frame, waiting, [s, *body])
                waiting = [found[1]]
                _nest(frame, Nest(frame, found[0]))
                continue
        waiting.append(s)
    _flush(frame, waiting, ())


def _flush(frame: Frame, waiting: Sequence[Stmt], after: Sequence[Stmt]) -> None:
    """A launch of one block; the scalars that later statements need go to memory."""
    if not waiting:
        return
    needed = free_names(after)
    out: list[Stmt] = []
    rooms: dict[Expr, str] = {}
    for s in waiting:
        out.append(s)
        for n in names_of(s):
            if n in needed:
                rooms[n] = frame.room(n.dtype, ())
                out.append(Store(rooms[n], (), n))
    alone(frame, out)
    frame.known |= rooms


def _nest(frame: Frame, nest: Nest) -> None:
    """The launches of a nest with independent turns."""
    if transposed(frame, nest):
        return
    inner_fold = nest.body[0] if len(nest.body) == 1 else None
    plain = not nest.others and not nest.private
    if isinstance(inner_fold, Fold) and plain:
        if scans.scanned(frame, nest.path, inner_fold, set()):
            return
    inner = [s for s in nest.body if isinstance(s, For | Fold)]
    long = [s for s in inner if not few(s.extent, FEW_TURNS)]
    if not long or nest.others:
        spread(frame, nest)
        return
    shared = [s for s in long if _for_a_team(frame, s)]
    if shared and _walks_inside(frame, nest, shared):
        team(frame, nest)
        return
    staged = chunks.column_folds(frame, nest)
    if staged is None:
        spread(frame, nest)
        return
    spread(frame, Nest(frame, staged[0]))
    team(frame, Nest(frame, staged[1]), WARP)  # a 64th of the elements


def _for_a_team(frame: Frame, s: For | Fold) -> bool:
    """Whether several threads can share the turns of an inner loop."""
    if any(e.op in LOADS for e in postorder([as_expr(s.extent)])):
        return False  # such as rows of sparse matrices, which are short
    if isinstance(s, Fold):
        return s.combiner != "next" and not any(isinstance(x, Store) for x in s.body)
    return s.kind == "vector"


def _walks_inside(frame: Frame, nest: Nest, inner: Sequence[For | Fold]) -> bool:
    """Whether the inner loops, rather than those around, walk through memory one by one."""
    shapes = {n: p.shape for n, p in frame.params.items()}
    inside = around = 0
    last = nest.parallel[-1].index
    for s in inner:
        deepest: For | Fold = s
        while len(deepest.body) == 1 and isinstance(deepest.body[0], For | Fold):
            deepest = deepest.body[0]
        inside += nest.contiguous(deepest.index, (s,), shapes)
        around += nest.contiguous(last, (s,), shapes)
    if inside == around:
        return not accesses(tuple(inner))
    return inside > around
