"""Rows in order, by ranks: each element counts those that come before it, and goes there.

Equal elements keep their order and NaN comes last (first when descending), as on the CPU. Short
rows are done in one launch. Longer ones begin as runs of 256 elements, each in order; then pairs of
neighbouring runs become one, in which an element's rank is its own place plus, by bisection, the
number of elements of the other run that come before it. The work is n log^2 n, all in parallel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgraph import dtypes
from symgraph.loops.program import Buffer, Call, Loop, Program, Row, Run, Step
from symgraph.loops.statements import Fold, If, Kernel, Let, Param, Size, Stmt, Store
from symgraph.lower.cuda.spread import THREADS, blocks_of
from symgraph.lower.nests import sizes_of
from symgraph.scalar import Expr, as_expr, as_size, call, const, load, product, var
from symgraph.scalar import functions as F

RUN = 256  # elements that are put in order by comparing all of them
SHORT = 2048  # elements of a row for which that is good enough for the whole
STEPS = 40  # of a bisection among elements of which nobody knows how many there are

Room = Callable[..., str]
Pair = tuple[Buffer, Buffer | None]  # keys, and their positions


def sort_steps(
    x: Buffer, out: Buffer, params: dict[str, Any], step: Call, room: Room
) -> list[Step] | None:
    """The steps that store the first elements of each sorted row, or where they came from; None
    for a dtype whose elements cannot be compared as they lie in memory."""
    if dtypes.is_narrow(x.dtype) or dtypes.is_complex(x.dtype):
        return None
    writer = _Sort(x, out, params, step, room)
    n = x.shape[-1]
    if isinstance(n, int) and n <= SHORT:
        return [writer.ranked(0, None)]
    return writer.merged()


class _Sort:
    def __init__(
        self, x: Buffer, out: Buffer, params: dict[str, Any], step: Call, room: Room
    ) -> None:
        self.x, self.out, self.step, self.room = x, out, step, room
        self.descending, self.positions = params["descending"], params["positions"]
        self.n = as_expr(x.shape[-1])
        self.j, self.lead = var("_j"), [var(f"_i{a}") for a in range(len(x.shape) - 1)]

    def _launch(self, buffers: list[Buffer], turn: list[Stmt], word: str) -> Run:
        """A thread for each element, whose indices are known."""
        q, rest = var("_turn"), var("_row")
        lets: list[Stmt] = [Let(self.j, q % self.n), Let(rest, q // self.n)]
        left: Expr = rest
        for index, size in zip(reversed(self.lead), reversed(self.x.shape[:-1]), strict=True):
            lets.append(Let(index, left % as_expr(size)))
            left = left // as_expr(size)
        block, thread = var("_block"), var("_thread")
        first = Let(q, block * THREADS + thread)
        body = blocks_of(block, thread, q, (first, *lets, *turn), product(self.x.shape))
        written = {s.buffer for s in _stores(turn)}
        ports = [
            Param(f"p{k}", b.dtype, b.shape, "out" if f"p{k}" in written else "in")
            for k, b in enumerate(buffers)
        ]
        kernel = Kernel(word, tuple(ports), sizes_of(body, ports), body)
        return Run(kernel, tuple(b.name for b in buffers), self.step.origins)

    def _at(self, place: Expr) -> tuple[Expr, ...]:
        return (*self.lead, place)

    # runs -----------------------------------------------------------------------------------------

    def ranked(self, run: int, into: Pair | None) -> Run:
        """Runs of so many elements in order (0: whole rows), to the result, or to keys and
        positions."""
        k, mine, rank = var("_k"), var("_mine", self.x.dtype), var("_rank")
        start = self.j // run * run if run else const(0)
        length: Size = (
            as_size(call("minimum", const(run), self.n - start)) if run else as_size(self.n)
        )
        other = load("p0", self._at(start + k), self.x.dtype)
        before = self._before(other, mine, F.lt(start + k, self.j))
        turn: list[Stmt] = [Let(mine, load("p0", self._at(self.j), self.x.dtype))]
        turn.append(Fold((rank,), "add", k, length, "serial", (), (F.cast(before, "int64"),)))
        buffers, stores = self._results(into, start + rank, mine, self.j)
        return self._launch([self.x, *buffers], [*turn, *stores], "sort")

    def _results(
        self, into: Pair | None, place: Expr, key: Expr, position: Expr,
        first: int = 1,
    ) -> tuple[list[Buffer], list[Stmt]]:  # fmt: skip
        """Where an element goes: to keys and positions, or, last of all, to the result."""
        if into is None:
            value = position if self.positions else key
            store = Store(f"p{first}", self._at(place), F.cast(value, self.out.dtype))
            kept = as_expr(self.out.shape[-1])
            return [self.out], [If(F.lt(place, kept), (store,))]
        keys, positions = into
        stores: list[Stmt] = [Store(f"p{first}", self._at(place), key)]
        if positions is None:
            return [keys], stores
        stores.append(Store(f"p{first + 1}", self._at(place), position))
        return [keys, positions], stores

    def _pair(self) -> Pair:
        """Memory for the keys of all rows, and their positions where these are wanted."""
        names = [(self.room(d, self.x.shape), d) for d in (self.x.dtype, "int64")]
        made = [Buffer(n, d, self.x.shape, "temp") for n, d in names[: 1 + self.positions]]
        return made[0], made[1] if self.positions else None

    # merges ---------------------------------------------------------------------------------------

    def merged(self) -> list[Step]:
        """Runs, then merges: a launch for each, or where a row's length is not known a loop."""
        n = self.x.shape[-1]
        here, there = self._pair(), self._pair()
        steps: list[Step] = [self.ranked(RUN, here)]
        width = RUN
        if isinstance(n, int):
            while width < n:
                last = 2 * width >= n
                steps.append(self._merge(here, None if last else there, const(width)))
                here, there, width = there, here, 2 * width
            return steps
        loop = self._repeated(here, there)
        ports = (Param("p0", "int64", (), "out"),)
        set_width = Kernel("width", ports, (), (Store("p0", (), const(RUN)),))
        steps += [Run(set_width, (self.width,), self.step.origins), loop]
        key = load("p0", self._at(self.j), self.x.dtype)
        position = load("p1", self._at(self.j), "int64") if self.positions else self.j
        buffers, stores = self._results(None, self.j, key, position, 1 + self.positions)
        given = [b for b in there if b is not None]
        return [*steps, self._launch([*given, *buffers], stores, "sorted")]

    def _repeated(self, here: Pair, there: Pair) -> Loop:
        """Merges until runs are as long as rows: what a turn makes is what the next one reads. The
        length of runs is one of these things."""
        starts = [b for b in here if b is not None]
        ends = [b for b in there if b is not None]
        buffers: dict[str, Buffer] = {}
        rows: list[list[Row]] = [[], []]
        for k, b in enumerate(starts):
            ring = self.room(b.dtype, (2, *b.shape))
            rows[0].append(Row(ring, 0, 1, 2, b.name, True))
            rows[1].append(Row(ring, 1, 1, 2, "", True))
            for word, role in (("before", "input"), ("after", "output")):
                buffers[f"{word}{k}"] = Buffer(f"{word}{k}", b.dtype, b.shape, role, k)
        ring = self.room("int64", (2,))
        rows[0].append(Row(ring, 0, 1, 2, self._first_width(), True))
        rows[1].append(Row(ring, 1, 1, 2, "", True))
        count = len(starts)
        names = [(f"before{k}", f"after{k}") for k in range(count)]
        widths = [Buffer(n, "int64", (), r, count)
                  for n, r in (("width", "input"), ("twice", "output"))]  # fmt: skip
        buffers |= {b.name: b for b in widths}
        source, into = ([buffers[n[side]] for n in names] for side in (0, 1))
        width = load(f"p{2 * count}", (), "int64")
        merge = self._merge(_pair_of(source), _pair_of(into), width, widths[0])
        body = Program(
            "merge", (*(n for n, _ in names), "width"), (*(n for _, n in names), "twice"), buffers,
            merge.kernel.sizes, (), (merge, self._doubled(widths)),
        )  # fmt: skip
        turns: Expr = const(0)
        for bits in range(RUN.bit_length() - 1, 40):  # one more for each doubling that is needed
            turns = turns + F.select(F.lt(const(1 << bits), self.n), const(1), const(0))
        finals = tuple((e.name, row) for e, row in zip(ends, rows[0], strict=False))
        return Loop(as_size(turns), body, (*rows[0], *rows[1]), finals)

    def _doubled(self, widths: list[Buffer]) -> Run:
        ports = (Param("p0", "int64", (), "in"), Param("p1", "int64", (), "out"))
        body = (Store("p1", (), load("p0", (), "int64") * 2),)
        return Run(Kernel("twice", ports, (), body), tuple(b.name for b in widths))

    def _first_width(self) -> str:
        """Memory for the length of the first runs."""
        self.width = self.room("int64", ())
        return self.width

    def _merge(self, source: Pair, into: Pair | None, length: Expr, held: Buffer | None = None
               ) -> Run:  # fmt: skip
        """Neighbouring runs of so many elements as one of twice as many; ``held`` has their length
        where that is loaded."""
        given = [b for b in source if b is not None]
        mine = var("_mine", self.x.dtype)
        is_left, other, width = var("_is_left", "bool"), var("_other"), var("_width")
        start, there = self.j // (2 * width) * (2 * width), var("_there")
        turn: list[Stmt] = [
            Let(width, length),
            Let(mine, load("p0", self._at(self.j), self.x.dtype)),
            Let(is_left, F.lt(self.j - start, width)),
            Let(other, call("minimum", start + F.select(is_left, width, const(0)), self.n)),
            Let(there, call("minimum", width, self.n - other)),
        ]
        low, high, step = var("_low"), var("_high"), var("_step")
        middle, found = var("_middle"), var("_found", "bool")
        at = call("minimum", other + middle, self.n - 1)
        key = load("p0", self._at(at), self.x.dtype)
        body: tuple[Stmt, ...] = (
            Let(middle, (low + high) // 2),
            Let(found, F.and_(F.lt(low, high), self._before(key, mine, F.not_(is_left)))),
        )
        upper = F.select(F.and_(F.lt(low, high), F.not_(found)), middle, high)
        values = (F.select(found, middle + 1, low), upper)
        bits = int(length.value).bit_length() if length.is_const else STEPS
        turn.append(
            Fold((low, high), "next", step, bits, "serial", body, values, (const(0), there))
        )
        place = F.add(F.select(is_left, self.j, self.j - width), low)
        position = load("p1", self._at(self.j), "int64") if self.positions else self.j
        buffers, stores = self._results(into, place, mine, position, len(given))
        more = [] if held is None else [held]
        return self._launch([*given, *buffers, *more], [*turn, *stores], "merge")

    def _before(self, a: Expr, b: Expr, earlier: Expr) -> Expr:
        """Whether a comes before b, an equal one only if it is the earlier."""
        less, equal = F.lt(b, a) if self.descending else F.lt(a, b), F.eq(a, b)
        if dtypes.is_float(a.dtype):
            strange, other = F.isnan(a), F.isnan(b)
            last = (
                F.and_(strange, F.not_(other))
                if self.descending
                else F.and_(F.not_(strange), other)
            )
            less, equal = F.or_(less, last), F.or_(equal, F.and_(strange, other))
        return F.or_(less, F.and_(equal, earlier))


def _pair_of(found: list[Buffer]) -> Pair:
    return found[0], found[1] if len(found) > 1 else None


def _stores(body: list[Stmt]) -> list[Store]:
    found: list[Store] = []
    for s in body:
        if isinstance(s, Store):
            found.append(s)
        elif isinstance(s, If):
            found += _stores(list(s.body))
    return found
