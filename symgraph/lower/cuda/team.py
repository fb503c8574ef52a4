"""A block of threads for each turn of a nest: rows, and what has no turns to share out at all.

The threads of a block go through the statements together. Of a fold each takes every so-manieth
turn, then their parts are combined; of a loop whose turns do not depend on each other likewise; a
store is done by one thread, and so is what cannot be shared out. Between statements of which one
writes what another thread may have read or written before stands a barrier.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from symgraph import dtypes
from symgraph.loops.launch import MOST_SHARED, WARP
from symgraph.loops.statements import (
    Alloc,
    Barrier,
    Fold,
    For,
    If,
    Let,
    Size,
    Stmt,
    Store,
    walk,
)
from symgraph.lower.cuda.forwarding import forwarded
from symgraph.lower.cuda.frame import Frame, names_of, renamed, rewritten, serial, split_index
from symgraph.lower.cuda.nest import Nest, count_of, few, has_loops, independent
from symgraph.lower.cuda.spread import divided_up, lanes_of
from symgraph.lower.cuda.team_work import (
    Touch,
    around_others,
    conflict,
    flattened,
    threads_for,
)
from symgraph.lower.turns import accesses
from symgraph.scalar import (
    Expr,
    as_expr,
    as_size,
    call,
    const,
    load,
    product,
    substitute,
    var,
    variables,
)
from symgraph.scalar import functions as F

SMALL = 4  # turns of a fold that every thread rather does by itself
PER_BLOCK = 4  # rows that are done by a warp each
BLOCKS = 1024  # blocks that keep memory of their own between statements
_ONE: Hashable = "one"  # the key of what thread 0 does
_VALUE = var("_value")


def team(frame: Frame, nest: Nest, threads: int = 0) -> None:
    """Add the launch of a nest with a block for each turn of its parallel loops; so many threads,
    or what suits its longest loop."""
    block, thread, row = (frame.name(w) for w in ("block", "thread", "row"))
    threads = threads or threads_for(nest.statement)
    body, gone = forwarded(around_others(nest), nest.private)
    rows = nest.turns
    private = nest.private - gone
    shared = _shared(frame, private)
    blocks = rows
    if shared is None:
        shared = []
        if not few(rows, BLOCKS):
            blocks = as_size(call("minimum", as_expr(rows), const(BLOCKS)))
        for name in sorted(private):
            body = frame.private(body, name, blocks, block)
    for a in shared:
        body = renamed(body, frame_name(a), a.buffer)
    writer = _Team(frame, thread, threads, shared)
    if blocks is rows:
        inside = (*split_index(frame, block, nest.parallel), *writer.block(body))
    else:
        turns = as_size((as_expr(rows) - block + (as_expr(blocks) - 1)) // as_expr(blocks))
        k = frame.name("k")
        first = (Let(row, block + k * as_expr(blocks)), *split_index(frame, row, nest.parallel))
        inside = tuple(writer.loop(For(k, turns, "serial", body), first))
    _launch(frame, writer, block, thread, blocks, inside, [a for a in shared])


def frame_name(a: Alloc) -> str:
    """The parameter that shared memory stands for.

    >>> frame_name(Alloc("p1_shared", "int8", ()))
    'p1'
    """
    return a.buffer.removesuffix("_shared")


def alone(frame: Frame, body: Sequence[Stmt]) -> None:
    """Add the launch of a single block for statements without turns to share out over the grid."""
    block, thread = frame.name("block"), frame.name("thread")
    longest = max((threads_for(s) for s in body), default=WARP)
    writer = _Team(frame, thread, longest)
    inside = tuple(writer.block(tuple(body)))
    _launch(frame, writer, block, thread, 1, inside, [])


def _launch(
    frame: Frame, writer: _Team, block: Expr, thread: Expr, blocks: Size,
    inside: tuple[Stmt, ...], shared: Sequence[Alloc],
) -> None:  # fmt: skip
    memory = (*shared, *writer.shared)
    if (
        writer.threads == WARP
        and not memory
        and not any(isinstance(s, Barrier) for s in walk(inside))
    ):
        if not few(blocks, PER_BLOCK):
            frame.launch(_by_warps(frame, block, thread, blocks, inside))
            return
    inner = For(thread, writer.threads, "block", inside)
    frame.launch((For(block, blocks, "grid", (*memory, inner)),))


def _by_warps(
    frame: Frame, block: Expr, thread: Expr, rows: Size, inside: tuple[Stmt, ...]
) -> tuple[Stmt, ...]:
    """Several rows in a block, a warp for each: they never wait for each other."""
    whole, number = frame.name("block"), frame.name("thread")

    def folded(s: Stmt) -> Stmt:
        if isinstance(s, Fold) and s.kind == "block":
            return s._replace(kind="warp")
        return s._replace(body=tuple(map(folded, s.body))) if isinstance(s, For | Fold | If) else s

    body = (Let(thread, number % WARP), *map(folded, inside))
    row = Let(block, whole * PER_BLOCK + number // WARP)
    if not (isinstance(rows, int) and rows % PER_BLOCK == 0):
        body = (If(F.lt(block, as_expr(rows)), body),)
    inner = For(number, PER_BLOCK * WARP, "block", (row, *body))
    return (For(whole, divided_up(rows, PER_BLOCK), "grid", (inner,)),)


def _shared(frame: Frame, private: Iterable[str]) -> list[Alloc] | None:
    """Shared memory for what every turn needs its own copy of; None where it is too large."""
    found, room = [], MOST_SHARED // 2
    for name in sorted(private):
        p = frame.params[name]
        count = count_of(p.shape)
        room -= (room + 1) if count is None else count * dtypes.itemsize(p.dtype)
        if room < 0:
            return None
        found.append(Alloc(f"{name}_shared", p.dtype, p.shape))
    return found


class _Team:
    """Writes statements for all threads of a block. ``since`` are the accesses after the last
    place where they met."""

    def __init__(
        self, frame: Frame, thread: Expr, threads: int, given: Sequence[Alloc] = ()
    ) -> None:
        self.frame, self.thread, self.threads, self.given = frame, thread, threads, given
        self.local = {a.buffer for a in given}
        self.shared: list[Alloc] = []
        self.since: list[Touch] = []
        self.all: list[Touch] = []

    def block(self, body: Sequence[Stmt]) -> list[Stmt]:
        """Statements one after another."""
        out: list[Stmt] = []
        for s in body:
            match s:
                case Fold():
                    out += self.fold(s)
                case For():
                    out += self.turns(s)
                case Let():
                    out += self.put([s], self.touches((s,), None))
                case If():
                    out += self.put([], self.touches((Let(var("_c", "bool"), s.cond),), None))
                    out.append(If(s.cond, tuple(self.block(s.body))))
                case Alloc():
                    self.local.add(s.buffer)
                    self.shared.append(s)
                case _:
                    out += self.by_one([s])
        return out

    # where threads meet ---------------------------------------------------------------------------

    def touches(self, body: Sequence[Stmt], key: Hashable) -> list[Touch]:
        """The accesses of statements to memory that threads share."""
        found = []
        for a in accesses(body):
            if a.buffer in self.frame.home or a.buffer in self.local:
                found.append(Touch(self.frame.home.get(a.buffer, a.buffer), a.written, key))
        return found

    def put(self, statements: list[Stmt], touches: list[Touch]) -> list[Stmt]:
        """The statements, after a barrier where one is needed."""
        before: list[Stmt] = []
        if conflict(self.since, touches):
            before, self.since = [Barrier()], []
        self.since += touches
        self.all += touches
        return [*before, *statements]

    # statements -----------------------------------------------------------------------------------

    def by_one(self, body: Sequence[Stmt]) -> list[Stmt]:
        """Thread 0 does it; scalars that it binds go to the others through shared memory."""
        made = [n for s in body for n in names_of(s)]
        done, stores, lets = list(serial(body)), [], []
        for n in made:
            name = f"scalar{len(self.shared)}"
            self.shared.append(Alloc(name, n.dtype, ()))
            self.local.add(name)
            inner = self.frame.name(n.attr.strip("_"), n.dtype)
            done = [_renamed_result(s, n, inner) for s in done]
            stores.append(Store(name, (), inner))
            lets.append(Let(n, load(name, (), n.dtype)))
        first: Stmt = If(F.eq(self.thread, const(0)), (*done, *stores))
        out = self.put([first], self.touches((*body, *stores), _ONE))
        for s in lets:
            out += self.put([s], self.touches((s,), None))
        return out

    def fold(self, s: Fold) -> list[Stmt]:
        """A fold whose turns the threads share out."""
        stores = any(isinstance(x, Store) for x in walk(s.body))
        if s.combiner == "next" or stores:
            if stores:
                return self.by_one([s])
            return self.put(list(serial((s,))), self.touches((s,), None))
        if few(s.extent, SMALL) or self.threads % WARP:
            return self.put(list(serial((s,))), self.touches((s,), None))
        s = flattened(self.frame, s)
        w = self.frame.name("w")
        parts = tuple(self.frame.name(n.attr.strip("_") + "_part", n.dtype) for n in s.names)
        lanes = self._lanes((Let(_VALUE, v) for v in s.values), s) if not s.body else 1
        inner = self._part(s, parts, lanes if len(parts) == 1 else 1)
        given: tuple[Expr, ...] = parts
        if s.combiner in ("argmax", "argmin"):  # a thread without turns has no position
            last = const(dtypes.max_value("int64"))
            given = (parts[0], F.select(F.lt(self.thread, as_expr(s.extent)), parts[1], last))
        whole = Fold(s.names, s.combiner, w, self.threads, "block", (), given)
        out = self.put([inner, whole], self._keyed(s, [s], lanes))
        self.since = []
        return out

    def _part(self, s: Fold, names: tuple[Expr, ...], lanes: int) -> Fold:
        """The turns of one thread, so many at a time."""
        k = self.frame.name("k")
        turn = self.thread + k * self.threads
        if lanes == 1:
            body = (Let(s.index, turn), *serial(s.body))
            extent = self._share(s.extent)
            return Fold(names, s.combiner, k, extent, "serial", body, s.values)
        at, v = self.frame.name("at"), self.frame.name("v")
        several = self.frame.name("several", names[0].dtype)
        values = tuple(substitute(e, {s.index: at * lanes + v}) for e in s.values)
        vector = Fold((several,), s.combiner, v, lanes, "vector", (), values)
        extent = self._share(as_size(as_expr(s.extent) // lanes))
        return Fold(names, s.combiner, k, extent, "serial", (Let(at, turn), vector), (several,))

    def _lanes(self, body: Iterable[Stmt], s: For | Fold) -> int:
        """How many turns a thread can take as one vector: the rows must be whole vectors."""
        shapes = {n: p.shape for n, p in self.frame.params.items()}
        shapes |= {a.buffer: a.shape for a in (*self.given, *self.shared)}
        lanes = lanes_of(self.frame, tuple(body), s.index, shapes) if self.frame.aligned else 1
        few_turns = not isinstance(s.extent, int) or s.extent < lanes * WARP
        return 1 if few_turns or int(s.extent) % lanes else lanes  # type: ignore[call-overload]

    def _share(self, extent: Size) -> Size:
        """How many turns of so many a thread has: a number where all have the same."""
        if isinstance(extent, int) and extent % self.threads == 0:
            return extent // self.threads
        return as_size((as_expr(extent) - self.thread + (self.threads - 1)) // self.threads)

    def turns(self, s: For) -> list[Stmt]:
        """A loop: its turns shared out where they are independent."""
        path: list[For] = []
        body: tuple[Stmt, ...] = (s,)
        outer = {s.index}
        while len(body) == 1 and isinstance(body[0], For) and self._independent(s, body[0]):
            if path and any(e in outer for e in variables(as_expr(body[0].extent))):
                break
            path.append(body[0])
            outer.add(body[0].index)
            body = body[0].body
        if not path:
            if not _shareable(s.body):
                return self.by_one([s])
            return self.loop(s, ())
        lanes = 1
        if len(path) == 1 and all(isinstance(x, Let | Store) for x in body):
            lanes = self._lanes(body, s)
        if lanes > 1:
            return self.put([self._vectors(s, body, lanes)], self._keyed(s, path, lanes))
        k, q = self.frame.name("k"), self.frame.name("q")
        extent = product(tuple(p.extent for p in path))
        number = Let(q, self.thread + k * self.threads)
        inner = (number, *split_index(self.frame, q, path), *serial(body))
        loop = For(k, self._share(extent), "serial", inner)
        return self.put([loop], self._keyed(s, path))

    def _vectors(self, s: For, body: tuple[Stmt, ...], lanes: int) -> For:
        k, at, v = (self.frame.name(w) for w in ("k", "at", "v"))
        moved = {s.index: at * lanes + v}
        inner = For(v, lanes, "vector", rewritten(body, lambda e: substitute(e, moved)))
        turns = self._share(as_size(as_expr(s.extent) // lanes))
        return For(k, turns, "serial", (Let(at, self.thread + k * self.threads), inner))

    def _independent(self, s: For, loop: For) -> bool:
        if loop.kind == "vector" and loop is s:
            return True
        return independent(self.frame, s, loop) == set()

    def _keyed(self, s: For | Fold, path: Sequence[For | Fold], lanes: int = 1) -> list[Touch]:
        """The accesses of a shared loop; a place that is told by its turn alone has a key."""
        found = []
        one = path[0] if len(path) == 1 else None
        for a in accesses((s,)):
            if a.buffer not in self.frame.home and a.buffer not in self.local:
                continue
            key: Hashable = ("nest", id(s))  # its own turns do not touch each other's places
            if one is not None and one.index in a.indices:
                key = ("turn", a.indices.index(one.index), one.extent, a.buffer, lanes)
            home = self.frame.home.get(a.buffer, a.buffer)
            found.append(Touch(home, a.written, key))
        return found

    def loop(self, s: For, first: Sequence[Stmt]) -> list[Stmt]:
        """A loop that all threads go through together, turn by turn."""
        whole = self.touches((s,), None)
        out = self.put([], whole)
        before, self.all, self.since = self.all, [], []
        body = [*first, *self.block(s.body)]
        if conflict(self.all, self.all) and not (body and isinstance(body[-1], Barrier)):
            body.append(Barrier())
        self.all, self.since = before + whole, whole
        return [*out, s._replace(kind="serial", body=tuple(body))]


def _shareable(body: Sequence[Stmt]) -> bool:
    """Whether there is something among the statements that several threads can do."""
    return has_loops(body)


def _renamed_result(s: Stmt, old: Expr, new: Expr) -> Stmt:
    """The statement with another name for what it binds."""
    if isinstance(s, Let):
        return s._replace(name=new if s.name is old else s.name)
    if isinstance(s, Fold) and old in s.names:
        changed = rewritten((s,), lambda e: substitute(e, {old: new}))[0]
        assert isinstance(changed, Fold)
        return changed._replace(names=tuple(new if n is old else n for n in s.names))
    return rewritten((s,), lambda e: substitute(e, {old: new}))[0]
