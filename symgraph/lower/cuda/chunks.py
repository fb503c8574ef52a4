"""Long folds with few turns around them, in two stages.

    for i { fold t over r in 0 .. n { ... } rest }

becomes a nest over (i, chunk) that folds the turns of a chunk and leaves the result in memory, and
the nest over i with a fold over the chunks. The number of chunks depends on sizes alone, so that
the order of additions, and with it the result, is always the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgraph import dtypes
from symgraph.loops.statements import Fold, For, Stmt, Store, walk
from symgraph.lower.cuda.frame import Frame, free_names, names_of, rewritten
from symgraph.lower.cuda.nest import Nest, few
from symgraph.lower.cuda.spread import divided_up
from symgraph.lower.cuda.team_work import flattened
from symgraph.lower.turns import accesses
from symgraph.scalar import as_expr, as_size, call, const, load, substitute

PER_BLOCK = 8192  # turns that one block folds without help, and those of a chunk
PER_THREAD = 64  # the same for a thread
ENOUGH = 1 << 16  # threads that keep a large GPU busy


def whole_fold(frame: Frame, s: Fold) -> tuple[For, Fold] | None:
    """The two stages of a fold that has no loop around it; None where one block is enough."""
    if not _can(frame, s, ()):
        return None
    s = flattened(frame, s)
    if few(s.extent, PER_BLOCK) or not frame.told(s.extent):
        return None
    return _staged(frame, s, (), PER_BLOCK)


def column_folds(frame: Frame, nest: Nest) -> tuple[For, For] | None:
    """The two nests of columns of which there are too few, or nobody knows how many."""
    turns = nest.turns
    if nest.others or nest.private or (isinstance(turns, int) and turns >= ENOUGH):
        return None
    chosen = [s for s in nest.body if isinstance(s, Fold) and not few(s.extent, PER_THREAD)]
    if len(chosen) != 1 or not _can(frame, chosen[0], nest.body):
        return None
    old = chosen[0]
    s = flattened(frame, old)
    if not frame.told(s.extent) or (few(s.extent, 4 * PER_THREAD)):
        return None
    first, second = _staged(frame, s, nest.parallel, PER_THREAD)
    body = tuple(second if x is old else x for x in nest.body)
    for loop in reversed(nest.path):
        body = (loop._replace(body=body),)
    assert isinstance(body[0], For)
    return first, body[0]


def _can(frame: Frame, s: Fold, around: Sequence[Stmt]) -> bool:
    """Whether the fold needs nothing that is made beside it."""
    if s.combiner == "next" or any(isinstance(x, Store) for x in walk(s.body)):
        return False
    if any(dtypes.is_narrow(n.dtype) for n in s.names):
        return False
    made = {n for x in around if x is not s for n in names_of(x)}
    if made & free_names((s,)):
        return False
    written = {frame.home.get(a.buffer) for a in accesses(tuple(around)) if a.written}
    return not any(frame.home.get(a.buffer) in written for a in accesses((s,)))


def _staged(frame: Frame, s: Fold, loops: Sequence[For], length: int) -> tuple[For, Fold]:
    """The nest that folds chunks of so many turns, and the fold of their results."""
    chunk, r, part = (frame.name(w) for w in ("chunk", "r", "part"))
    extent = as_expr(s.extent)
    count = divided_up(s.extent, length)
    left = extent - chunk * length
    names = tuple(frame.name(n.attr.strip("_"), n.dtype) for n in s.names)
    moved = {s.index: chunk * length + r}
    inner = rewritten(s.body, lambda e: substitute(e, moved))
    values = tuple(substitute(v, moved) for v in s.values)
    turns = as_size(call("minimum", const(length), left))
    fold = Fold(names, s.combiner, r, turns, s.kind, inner, values)
    shape = (*(p.extent for p in loops), count)
    rooms = [frame.room(n.dtype, shape) for n in s.names]
    at = tuple(p.index for p in loops)
    stores = tuple(Store(x, (*at, chunk), n) for x, n in zip(rooms, names, strict=True))
    nest: For = For(chunk, count, "serial", (fold, *stores))
    for p in reversed(loops):
        nest = p._replace(kind="serial", body=(nest,))
    parts = tuple(load(x, (*at, part), n.dtype) for x, n in zip(rooms, s.names, strict=True))
    return nest, s._replace(index=part, extent=count, kind="serial", body=(), values=parts)
