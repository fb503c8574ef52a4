"""Cumulative sums and their like by many threads, in a fixed order.

    chunk c of 64 elements: a thread combines them               parts[c]
    the same for chunks of parts, until few are left             parts of parts
    one thread goes through those                                what is before each
    back down: a thread goes through each chunk, beginning with what is before it

So each element is read twice, and the order of operations depends on sizes alone. A running sum of
float64 carries its rounding errors along as a second value, in parts as well.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgraph.loops.running import COMBINE, Running, running
from symgraph.loops.statements import Fold, For, Let, Size, Stmt, Store
from symgraph.lower.cuda.frame import Frame, rewritten
from symgraph.lower.cuda.nest import Nest, few
from symgraph.lower.cuda.spread import divided_up, spread
from symgraph.lower.cuda.team import alone
from symgraph.lower.turns import accesses
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, as_expr, as_size, call, const, load, substitute
from symgraph.scalar import functions as F

CHUNK = 64  # elements that a thread goes through
FEW = 512  # elements for which one thread is enough
ENOUGH = 1 << 15  # rows for each of which one thread is enough
LEVELS = 3  # of parts, where the number of elements is not known


class _Level(NamedTuple):
    """The parts of a level: their number, and for each value that is carried a parameter for the
    parts and one for what all up to a part give."""

    chunks: Size
    parts: tuple[str, ...]
    totals: tuple[str, ...]


def scanned(frame: Frame, loops: Sequence[For], s: Fold, after: set[Expr]) -> bool:
    """Add the launches of a running fold with these loops around it, whose turns are independent;
    nothing, and False, for any other fold or where threads would not help."""
    found = running(s)
    if found is None or few(s.extent, FEW) or not frame.told(s.extent) or set(s.names) & after:
        return False
    rows = 1
    for p in loops:
        rows = rows * p.extent if isinstance(p.extent, int) else ENOUGH
    store = frame.home.get(found.store.buffer)
    reads = [a for a in accesses((s,)) if not a.written]
    if rows >= ENOUGH or any(frame.home.get(a.buffer) == store for a in reads):
        return False
    _Scan(frame, loops, s, found).launches()
    return True


class _Scan:
    def __init__(self, frame: Frame, loops: Sequence[For], s: Fold, found: Running) -> None:
        self.frame, self.loops, self.fold, self.found = frame, list(loops), s, found
        self.at = tuple(p.index for p in loops)
        self.dtypes = tuple(n.dtype for n in s.names)

    def launches(self) -> None:
        levels = [self._level(self.fold.extent)]
        while not few(levels[-1].chunks, FEW) and len(levels) < LEVELS:
            levels.append(self._level(levels[-1].chunks))
        below: Size = self.fold.extent
        for k, level in enumerate(levels):
            self._up(level, below, levels[k - 1].parts if k else None)
            below = level.chunks
        self._top(levels[-1])
        for k in range(len(levels) - 1, 0, -1):
            self._down(levels[k], levels[k - 1])
        self._elements(levels[0])

    def _level(self, below: Size) -> _Level:
        count = divided_up(below, CHUNK)
        shape = (*(p.extent for p in self.loops), count)
        rooms = [tuple(self.frame.room(d, shape, w) for d in self.dtypes) for w in ("part", "upto")]
        return _Level(count, rooms[0], rooms[1])

    # what is combined -----------------------------------------------------------------------------

    def _combined(self, old: Sequence[Expr], term: Sequence[Expr]) -> tuple[list[Stmt], list[Expr]]:
        """The statements and values of one more element, or part."""
        if not self.found.compensated:
            return [], [COMBINE[self.found.combiner](old[0], term[0])]
        name = self.frame.name
        new, part, lost = (name(w, self.dtypes[0]) for w in ("new", "part", "lost"))
        lets: list[Stmt] = [
            Let(new, F.add(old[0], term[0])),
            Let(part, F.sub(new, old[0])),
            Let(lost, F.add(F.sub(old[0], F.sub(new, part)), F.sub(term[0], part))),
        ]
        error = F.add(F.add(old[1], lost), term[1]) if len(term) > 1 else F.add(old[1], lost)
        return lets, [new, error]

    def _names(self, word: str) -> tuple[Expr, ...]:
        return tuple(self.frame.name(word, d) for d in self.dtypes)

    # launches -------------------------------------------------------------------------------------

    def _chunks(self, count: Size, below: Size) -> tuple[Expr, Expr, Expr, Size]:
        """The index of a chunk, that inside it, the place of the element, and the turns."""
        chunk, r = self.frame.name("chunk"), self.frame.name("r")
        left = as_expr(below) - chunk * CHUNK
        turns = as_size(call("minimum", const(CHUNK), left))
        return chunk, r, chunk * CHUNK + r, turns

    def _launch(self, chunk: Expr, count: Size, body: Sequence[Stmt]) -> None:
        nest: For = For(chunk, count, "serial", tuple(body))
        for p in reversed(self.loops):
            nest = p._replace(kind="serial", body=(nest,))
        spread(self.frame, Nest(self.frame, nest))

    def _up(self, level: _Level, below: Size, parts: tuple[str, ...] | None) -> None:
        """The chunks' parts, of the elements or of the parts one level below."""
        chunk, r, place, turns = self._chunks(level.chunks, below)
        names = self._names("part")
        if parts is None:
            term = [substitute(self.found.term, {self.fold.index: place})]
        else:
            pairs = zip(parts, self.dtypes, strict=True)
            term = [load(x, (*self.at, place), d) for x, d in pairs]
        lets, values = self._combined(names, term)
        fold = Fold(names, "next", r, turns, "serial", tuple(lets), tuple(values), self.fold.starts)
        stores = [Store(x, (*self.at, chunk), n) for x, n in zip(level.parts, names, strict=True)]
        self._launch(chunk, level.chunks, (fold, *stores))

    def _walk(
        self, level: _Level, r: Expr, place: Expr, turns: Size, starts: tuple[Expr, ...]
    ) -> Fold:
        """Parts one after another; what all up to each of them give."""
        names = self._names("total")
        pairs = zip(level.parts, self.dtypes, strict=True)
        term = [load(x, (*self.at, place), d) for x, d in pairs]
        lets, values = self._combined(names, term)
        stores = [Store(x, (*self.at, place), v) for x, v in zip(level.totals, values, strict=True)]
        body = (*lets, *stores)
        return Fold(names, "next", r, turns, "serial", body, tuple(values), starts)

    def _top(self, level: _Level) -> None:
        r = self.frame.name("r")
        body: Stmt = self._walk(level, r, r, level.chunks, self.fold.starts)
        if not self.loops:
            alone(self.frame, (body,))
            return
        for p in reversed(self.loops):
            body = p._replace(kind="serial", body=(body,))
        assert isinstance(body, For)
        spread(self.frame, Nest(self.frame, body))

    def _before(self, chunk: Expr, upper: _Level) -> tuple[list[Stmt], tuple[Expr, ...]]:
        """What all chunks before one give."""
        names = self._names("before")
        lets: list[Stmt] = []
        for n, x, start in zip(names, upper.totals, self.fold.starts, strict=True):
            last = (*self.at, call("maximum", chunk - 1, const(0)))
            found = load(x, last, n.dtype)
            lets.append(Let(n, F.select(F.lt(const(0), chunk), found, start)))
        return lets, names

    def _down(self, upper: _Level, level: _Level) -> None:
        """What is before each part of a level, from that of the chunks that it has above."""
        chunk, r, place, turns = self._chunks(upper.chunks, level.chunks)
        lets, before = self._before(chunk, upper)
        self._launch(chunk, upper.chunks, (*lets, self._walk(level, r, place, turns, before)))

    def _elements(self, level: _Level) -> None:
        chunk, r, place, turns = self._chunks(level.chunks, self.fold.extent)
        lets, before = self._before(chunk, level)
        moved = {self.fold.index: place}
        body = rewritten(self.fold.body, lambda e: substitute(e, moved))
        fold = self.fold._replace(index=r, extent=turns, kind="serial", body=body, starts=before)
        self._launch(chunk, level.chunks, (*lets, fold))
