"""What a team of threads is made for: how many threads, which accesses keep them from going on, and
folds as they share them out."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from symgraph.loops.launch import WARP
from symgraph.loops.statements import Fold, For, Let, Size, Stmt, walk
from symgraph.lower.cuda.frame import Frame
from symgraph.lower.cuda.nest import Nest
from symgraph.records import NamedTuple
from symgraph.scalar import as_expr, as_size, variables

MOST = 512  # threads of a team
UNKNOWN = 2048  # turns of a loop about whose length nothing is known
MOST_HELD = 16  # vectors of a row that a thread keeps in registers


class Touch(NamedTuple):
    """An access to memory; equal keys say that the same thread goes to the same place."""

    home: str
    written: bool
    key: Hashable


def around_others(nest: Nest) -> tuple[Stmt, ...]:
    """The body with the loops that go turn by turn around it."""
    body = nest.body
    for s in reversed(nest.others):
        body = (s._replace(kind="serial", body=body),)
    return body


def threads_for(s: Stmt) -> int:
    """How many threads share a statement: so many that each has a few turns of its longest loop; a
    warp, which need not wait for others, for up to 512."""
    extents = [x.extent for x in walk((s,)) if isinstance(x, For | Fold)]
    inner = extents[1:] if isinstance(s, For) else extents
    if not inner:
        return WARP
    most = max(map(_likely, inner))
    threads = WARP
    while threads < MOST and threads * MOST_HELD < most:
        threads *= 2
    return threads


def _likely(extent: Size) -> int:
    """The number of turns, at most or as a guess."""
    if isinstance(extent, int):
        return extent
    limits = [int(a.value) for a in extent.args if extent.op == "minimum" and a.is_const]
    return min(limits, default=UNKNOWN)


def conflict(before: Sequence[Touch], after: Sequence[Touch]) -> bool:
    """Whether threads must meet between two groups of accesses."""
    written = {t.home for t in (*before, *after) if t.written}
    seen: dict[str, list[Touch]] = {}
    for t in before:
        if t.home in written:
            seen.setdefault(t.home, []).append(t)
    return any(
        (a.written or b.written) and (a.key is None or a.key != b.key)
        for b in after
        for a in seen.get(b.home, ())
    )


def flattened(frame: Frame, s: Fold) -> Fold:
    """A fold of nothing but another one as a single fold over both."""
    while len(s.body) == 1 and isinstance(s.body[0], Fold):
        inner = s.body[0]
        same = inner.combiner == s.combiner and inner.names == s.values
        if not same or s.index in variables(as_expr(inner.extent)):
            break
        q = frame.name("q")
        size = as_expr(inner.extent)
        lets = (Let(s.index, q // size), Let(inner.index, q % size))
        extent = as_size(as_expr(s.extent) * size)
        s = s._replace(index=q, extent=extent, body=(*lets, *inner.body), values=inner.values)
    return s
