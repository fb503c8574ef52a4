"""Folds as LLVM loops: along lanes, or turn by turn inside a loop that has the lanes.

A vector fold keeps one accumulator per lane and combines the lanes in a fixed tree at the end. Long
float sums, along lanes and down columns alike, add blocks into a compensated total, so that the
error does not grow with the length. Folds over the same turns share one loop. Positions
(argmax, argmin) have a file of their own, codegen/positions_llvm.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from symgraph import dtypes
from symgraph.codegen import ahead_llvm
from symgraph.codegen import scalar_llvm as scalars
from symgraph.codegen.lanes_llvm import SLOW, computed, live, most_of, register
from symgraph.codegen.literals import constant, llvm_type
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.loops.compute import identity
from symgraph.loops.statements import Fold, Stmt
from symgraph.runtime.later import Later
from symgraph.scalar import Expr, as_expr, depends, postorder, substitute, variables

if TYPE_CHECKING:
    from symgraph.codegen import short_folds_llvm
else:
    short_folds_llvm = Later("symgraph.codegen.short_folds_llvm")

BLOCK = 16  # vectors added one after another before they join the compensated total: NumPy's too
FOUND = 16  # turns at once of a fold whose length is found in the data: most rows are one step
_SUMS, _PAIRS = ("add", "complex_add"), ("complex_add", "complex_mul")

Block = Callable[[Value, Value | None, list[Value]], list[Value]]
Carried = list[tuple[str, Value]]


class Host(Protocol):
    """What a fold needs of the writer of loops around it."""

    values: Values
    vector_bits: int

    def body(self, statements: Sequence[Stmt]) -> None: ...

    def vectors(
        self, extent: Value, lanes: int, carried: Carried, block: Block, short: bool = False,
        size: int = 0,
    ) -> list[Value]: ...  # fmt: skip


def join(folds: Sequence[Fold], s: Stmt) -> bool:
    """Whether a fold can share the loop of those before it: the same turns, nothing of them needed,
    no statements inside."""
    if not isinstance(s, Fold) or s.combiner in ("next", "argmax", "argmin"):
        return False
    if not folds:
        return True
    first = folds[0]
    if (s.index, s.extent, s.kind) != (first.index, first.extent, first.kind):
        return False
    if first.body or s.body:
        return False
    made = {n for f in folds for n in f.names}
    return not any(e in made for e in postorder(s.values))


class Folds:
    """Some folds over the same turns."""

    def __init__(self, host: Host, folds: Sequence[Fold], extent: Value) -> None:
        self.host, self.folds, self.extent = host, list(folds), extent
        self.values, self.fn = host.values, host.values.fn
        self.turns = 1  # how many go at a time
        self.width = self.one = 1  # lanes of what is folded now, and of a single register

    def serial(self) -> None:
        """A loop that carries one value each (or one per lane of the enclosing vector loop)."""
        self.width = self.one = self.values.lanes
        index = self.folds[0].index
        short = self.values.lane is not None and most_of(self.folds[0].extent) is not None
        short = short and "avx512f" in self.values.module.features
        if short and short_folds_llvm.fits(self.values, self.folds):
            self._short()
            return

        def turn(i: Value, _: Value | None, carried: list[Value]) -> list[Value]:
            with self.values.inside():
                self.values.bind(index, (i, 1), True)
                self._fetch_ahead()
                self._find_rows()
                return self._turn(carried, None)

        for s, finals in zip(self.folds, self._run(1, turn), strict=True):
            for name, value in zip(s.names, finals, strict=True):
                self.values.bind(name, (value, self.width))

    def _short(self) -> None:
        """The rows of all lanes, read as they lie."""
        (s,) = self.folds

        def combine(lanes: int, a: Value, b: Value) -> Value:
            return self._combine(s, lanes, [a], [b])[0]

        found = short_folds_llvm.folded(self.values, s, combine)
        self.values.bind(s.names[0], (found, self.width))

    def vector(self, lanes: int) -> None:
        """So many turns at a time, then single registers under a mask."""
        found = self._is_found()
        if found and self._gathers_slowly():
            self.serial()
            return
        registers = [register(s, self.host.vector_bits) for s in self.folds]
        self.turns, self.one = lanes, min(lanes, *registers)
        index = self.folds[0].index

        def block(base: Value, mask: Value | None, carried: list[Value]) -> list[Value]:
            with self.values.vector(index, self.width, base, mask):
                if mask is None and self.values.ahead is None:
                    self._further_on()
                elif mask is None:
                    ahead_llvm.ask(self.values, self.folds)
                return self._turn(carried, mask)

        finals = self._found(lanes, block) if found else self._ended(lanes, block)
        for s, held in zip(self.folds, self._split(finals), strict=True):
            for name, value in zip(s.names, held, strict=True):
                self.values.bind(name, (value, 1))

    def _ended(self, lanes: int, block: Block) -> list[Value]:
        """All turns, brought to one lane."""
        pairs = zip(self.folds, self._run(lanes, block), strict=True)
        return [v for s, held in pairs for v in self._halved(s, held, self.one, 1)]

    def _is_found(self) -> bool:
        """Whether floats are folded and the number of turns is found in the data, as that of a
        sparse row is: no size and no index."""
        names = variables(as_expr(self.folds[0].extent))
        floats = all(dtypes.is_float(s.names[0].dtype) for s in self.folds)
        return floats and any(v not in self.values.counts for v in names)

    def _gathers_slowly(self) -> bool:
        """Whether the processor does better one by one: without masks, or from here and there."""
        if self.host.vector_bits < 512:
            return True
        loads = [e for s in self.folds for e in postorder(s.values) if e.op in ("load", "load_if")]
        apart = any(ahead_llvm.reads(place) for e in loads for place in e.args)
        return apart and ahead_llvm.is_zen_4(self.values.module.features)

    def _found(self, lanes: int, block: Block) -> list[Value]:
        """A few registers at a time under a mask: the lengths of short rows follow no order, so a
        loop over single registers, or elements, ends where no processor expects it, which costs
        more than the row. Long rows go as others do."""
        fn, width = self.fn, max(self.one, min(FOUND, lanes))
        few = fn.val(f"icmp sle i64 {self.extent}, {BLOCK * lanes}")
        kinds = [kind for s in self.folds for kind, _ in self.start(s, 1)]

        def masked(i: Value, carried: list[Value]) -> list[Value]:
            left = fn.val(f"sub i64 {self.extent}, {i}")
            return block(i, live(fn, left, width, self._size()), carried)

        def short() -> list[Value]:
            self.width = width
            start = [pair for s in self.folds for pair in self.start(s)]
            held = self._split(fn.loop(0, self.extent, width, start, masked))
            pairs = zip(self.folds, held, strict=True)
            return [v for s, new in pairs for v in self._halved(s, new, width, 1)]

        def long() -> list[Value]:
            self.width = self.one
            return self._ended(lanes, block)

        return fn.if_(few, short, long, kinds, likely=True)

    def _further_on(self) -> None:
        """A light fold asks for what it will read of its one array. Of several arrays, or rows that
        are not one after another, nothing is gained."""
        order = [*dict.fromkeys(e for s in self.folds for e in computed(s))]
        if self.turns == self.one or self.values.rooms or any(e.op in SLOW for e in order):
            return
        loads = [e for e in order if e.op in ("load", "load_if")]
        if len(loads) == 1 and not ahead_llvm.is_zen_4(self.values.module.features):
            ahead_llvm.further_on(self.values, loads, most_of(self.folds[0].extent))

    def _fetch_ahead(self) -> None:
        """Ask for what the next block of rows reads of these columns. Rows lie far apart, which no
        processor foresees, and slow functions leave no room to begin their loads early."""
        first = self.folds[0]
        order = [*dict.fromkeys(e for s in self.folds for e in computed(s))]
        rows = most_of(first.extent)
        if self.width == 1 or rows is None or not any(e.op in SLOW for e in order):
            return
        values = self.values
        for e in order:
            if e.op != "load" or not depends(e, first.index):
                continue
            place = values.linear(e.attr, e.args)
            ready = ahead_llvm.told(values, place) and not ahead_llvm.reads(place)
            if ready and values.step_of(place) == 1:
                place = substitute(place, {first.index: first.index + rows})
                where = values.address(e.attr, place, e.dtype)
                ahead_llvm.lines(self.fn, where, self.width * dtypes.itemsize(e.dtype), False, 2)

    def _find_rows(self) -> None:
        """Ask for rows of which only memory tells the numbers, in a loop that may be long enough
        or is followed by others that go on where it ends."""
        first, values = self.folds[0], [v for s in self.folds for v in s.values]
        most = most_of(first.extent)
        if most is None or most > ahead_llvm.LATER:
            ahead_llvm.found_rows(self.values, values, first.index)

    def start(self, s: Fold, lanes: int = 0) -> Carried:
        """The type and the neutral value of each name, in all lanes if not said otherwise."""
        neutral, lanes = identity(s.combiner, s.names[0].dtype), lanes or self.width
        start = [(llvm_type(s.names[0].dtype, lanes), constant(s.names[0].dtype, lanes, neutral))]
        if s.combiner in _PAIRS:
            start.append((start[0][0], constant(s.names[1].dtype, lanes, 0.0)))
        elif len(s.names) == 2:  # the position of nothing comes after every other
            last = dtypes.max_value("int64")
            start.append((llvm_type("int64", lanes), constant("int64", lanes, last)))
        return start

    def _turn(self, carried: list[Value], mask: Value | None) -> list[Value]:
        out: list[Value] = []
        for s in self.folds:
            self.host.body(s.body)
            new, start = [self.values.wide(v) for v in s.values], self.start(s)
            if mask is not None:
                new = [
                    self._masked(mask, e, v, *pair)
                    for e, v, pair in zip(s.values, new, start, strict=True)
                ]
            old = carried[len(out) : len(out) + len(new)]
            begins = s.combiner in _SUMS and old == [zero for _, zero in start]
            out += new if begins else self._combine(s, self.width, old, new)
        return out

    def _masked(self, mask: Value, e: Expr, value: Value, kind: str, neutral: Value) -> Value:
        """A value that is neutral in dead lanes, as a load is by itself where that is 0."""
        if e.op == "load" and self.values.known[e][1] > 1:
            if neutral == constant(e.dtype, self.width, 0):
                return value
        flags = llvm_type("bool", self.width)
        return self.fn.val(f"select {flags} {mask}, {kind} {value}, {kind} {neutral}")

    def _run(self, lanes: int, turn: Block) -> list[list[Value]]:
        """All turns; the final values of each fold, in a register."""
        if any(map(self._is_long, self.folds)):
            return self._compensated(lanes, turn)
        whole, self.width = self._whole(lanes), lanes if lanes > 1 else self.width
        start = [pair for s in self.folds for pair in self.start(s)]
        flat = self.fn.loop(0, whole, lanes, start, lambda i, c: turn(i, None, c))
        if lanes == 1:
            return self._split(flat)
        pairs = zip(self.folds, self._split(flat), strict=True)
        held = [v for s, new in pairs for v in self._halved(s, new, lanes, self.one)]
        return self._split(self._rest(whole, held, turn))

    def _whole(self, lanes: int) -> Value:
        """How many turns are whole vectors."""
        if self.extent.isdigit():
            return str(int(self.extent) // lanes * lanes)
        return self.extent if lanes == 1 else self.fn.val(f"and i64 {self.extent}, {-lanes}")

    def _rest(self, whole: Value, held: list[Value], turn: Block) -> list[Value]:
        """Some values with the turns beyond whole vectors, a register at a time."""
        self.width = self.one
        fn, kinds = self.fn, [kind for s in self.folds for kind, _ in self.start(s)]
        known = self.extent.isdigit()

        def masked(i: Value, carried: list[Value]) -> list[Value]:
            if known and i.isdigit():
                left = str(int(self.extent) - int(i))
            else:
                left = fn.val(f"sub i64 {self.extent}, {i}")
            return turn(i, live(fn, left, self.one, self._size()), carried)

        if self.one < self.turns or known:
            return fn.loop(whole, self.extent, self.one, [*zip(kinds, held, strict=True)], masked)
        more = fn.val(f"icmp slt i64 {whole}, {self.extent}")
        return fn.if_(more, lambda: masked(whole, held), lambda: held, kinds)

    def _size(self) -> int:
        """Bytes of what is folded."""
        return max(dtypes.itemsize(s.names[0].dtype) for s in self.folds)

    def _split(self, flat: list[Value]) -> list[list[Value]]:
        """One list for each fold."""
        out, at = [], 0
        for s in self.folds:
            out.append(flat[at : at + len(s.names)])
            at += len(s.names)
        return out

    # long sums ------------------------------------------------------------------------------------

    def _compensated(self, lanes: int, turn: Block) -> list[list[Value]]:
        """Sums of BLOCK vectors, each of which is brought to one register and joins a total with
        its rounding error (Knuth's two-sum), but for the last, after which nobody asks for an
        error. A total begins with what is no whole vector. Other folds go on through the blocks."""
        fn, step, whole = self.fn, BLOCK * lanes, self._whole(lanes)
        rests = [[zero for _, zero in self.start(s, self.one)] for s in self.folds]
        if lanes > 1:
            rests = self._split(self._rest(whole, [v for rest in rests for v in rest], turn))
            self.width = lanes
        carried: Carried = [("i64", "0")]
        places = []
        for s, rest in zip(self.folds, rests, strict=True):
            first = self.start(s)
            if self._is_long(s):
                pairs = zip(self.start(s, self.one), rest, strict=True)
                first = [(t, v) for (t, zero), value in pairs for v in (value, zero)]
            places.append(slice(len(carried), len(carried) + len(first)))
            carried += first
        sums: list[list[Value]] = []

        def block(held: list[Value]) -> Value:
            """Fold one; whether there is another one."""
            end = fn.val(f"add i64 {held[0]}, {step}")
            last = fn.call("i64", "llvm.smin.i64", [("i64", end), ("i64", whole)])
            start: Carried = []
            for s, place in zip(self.folds, places, strict=True):
                zeros = self.start(s)
                old = [v for _, v in zeros] if self._is_long(s) else held[place]
                start += [(t, v) for (t, _), v in zip(zeros, old, strict=True)]
            found = fn.loop(held[0], last, lanes, start, lambda i, c: turn(i, None, c))
            for s, new in zip(self.folds, self._split(found), strict=True):
                sums.append(self._halved(s, new, self.width, self.one) if self._is_long(s) else new)
            return fn.val(f"icmp slt i64 {end}, {self.extent}")

        def join(held: list[Value]) -> list[Value]:
            out = [fn.val(f"add i64 {held[0]}, {step}")]
            for s, place, new in zip(self.folds, places, sums, strict=True):
                if not self._is_long(s):
                    out += new
                    continue
                kind, old = llvm_type(s.names[0].dtype, self.one), held[place]
                for total, error, x in zip(old[::2], old[1::2], new, strict=True):
                    out += two_sum(fn, kind, total, error, x)
            return out

        held = fn.while_(carried, block, join)
        out = []
        for s, place, new, rest in zip(self.folds, places, sums, rests, strict=True):
            if self._is_long(s):
                new = self._finished(s, held[place], new)
            elif lanes > 1:
                new = self._combine(s, self.one, self._halved(s, new, lanes, self.one), rest)
            out.append(new)
        return out

    def _is_long(self, s: Fold) -> bool:
        return long_sum(s, self.extent, self.turns)

    def _finished(self, s: Fold, sums: list[Value], last: list[Value]) -> list[Value]:
        """Totals with their errors and the last block. An infinite total has a NaN error: it is the
        answer alone."""
        fn, width = self.fn, self.one
        kind, flags = llvm_type(s.names[0].dtype, width), llvm_type("bool", width)
        zero = constant(s.names[0].dtype, width, 0.0)
        found = []
        for total, error, x in zip(sums[::2], sums[1::2], last, strict=True):
            sane = fn.val(f"fcmp ord {kind} {error}, {zero}")
            kept = fn.val(f"select {flags} {sane}, {kind} {error}, {kind} {zero}")
            found.append(fn.val(f"fadd {kind} {fn.val(f'fadd {kind} {total}, {kept}')}, {x}"))
        return found

    # combiners ------------------------------------------------------------------------------------

    def combined(self, s: Fold, old: list[Value], new: list[Value]) -> list[Value]:
        """Two results of a fold as one, for a single lane."""
        return self._combine(s, 1, old, new)

    def _combine(self, s: Fold, lanes: int, old: list[Value], new: list[Value]) -> list[Value]:
        kind = s.names[0].dtype

        def op(name: str, a: Value, b: Value) -> Value:
            return scalars.emit(self.fn, self.values.module, name, kind, lanes, [a, b], [kind] * 2)

        if s.combiner == "complex_add":
            return [op("add", a, b) for a, b in zip(old, new, strict=True)]
        if s.combiner == "complex_mul":
            (a, b), (c, d) = old, new
            real = op("sub", op("mul", a, c), op("mul", b, d))
            return [real, op("add", op("mul", a, d), op("mul", b, c))]
        if len(old) == 2:
            return _better(self.fn, s, lanes, old, new)
        return [op(s.combiner, old[0], new[0])]

    def _halved(self, s: Fold, held: list[Value], width: int, least: int) -> list[Value]:
        """Combine the lanes by halves until so many are left."""
        while width > least:
            half = width // 2
            parts = []
            for start in (0, half):
                pairs = zip(held, s.names, strict=True)
                parts.append([part_of(self.fn, v, n.dtype, width, start) for v, n in pairs])
            held = self._combine(s, half, parts[0], parts[1])
            width = half
        return held


def two_sum(fn: FunctionWriter, kind: str, total: Value, error: Value, x: Value) -> list[Value]:
    """A total with one more term, and the rounding errors so far with its own (Knuth).

    >>> fn = FunctionWriter("f", [("double", n, "") for n in "tex"])
    >>> two_sum(fn, "double", "%t", "%e", "%x")
    ['%v1', '%v7']
    """
    new = fn.val(f"fadd {kind} {total}, {x}")
    part = fn.val(f"fsub {kind} {new}, {total}")
    lost = fn.val(f"fsub {kind} {new}, {part}")
    lost = fn.val(f"fsub {kind} {total}, {lost}")
    rest = fn.val(f"fsub {kind} {x}, {part}")
    return [new, fn.val(f"fadd {kind} {error}, {fn.val(f'fadd {kind} {lost}, {rest}')}")]


def part_of(fn: FunctionWriter, v: Value, dtype: str, width: int, start: int) -> Value:
    """Half of the lanes of a value, from lane ``start`` on.

    >>> part_of(FunctionWriter("f", [("<2 x i8>", "x", "")]), "%x", "int8", 2, 1)
    '%v1'
    """
    t, half = llvm_type(dtype, width), width // 2
    if half == 1:
        return fn.val(f"extractelement {t} {v}, i64 {start}")
    order = ", ".join(f"i32 {k + start}" for k in range(half))
    return fn.val(f"shufflevector {t} {v}, {t} poison, <{half} x i32> <{order}>")


def _better(
    fn: FunctionWriter, s: Fold, lanes: int, old: list[Value], new: list[Value]
) -> list[Value]:
    """The pair (value, position) that wins: NaN first, then the extreme, then the earlier."""
    kind = s.names[0].dtype
    t, b = llvm_type(kind, lanes), llvm_type("bool", lanes)
    if dtypes.is_float(kind):
        way = "ogt" if s.combiner == "argmax" else "olt"
        wins = fn.val(f"fcmp {way} {t} {new[0]}, {old[0]}")
        strange, was = (fn.val(f"fcmp uno {t} {v}, {v}") for v in (new[0], old[0]))
        first = fn.val(f"xor {b} {was}, {constant('bool', lanes, True)}")
        wins = fn.val(f"or {b} {wins}, {fn.val(f'and {b} {strange}, {first}')}")
        same = fn.val(f"fcmp oeq {t} {new[0]}, {old[0]}")
        same = fn.val(f"or {b} {same}, {fn.val(f'and {b} {strange}, {was}')}")
        wins = fn.val(f"and {b} {wins}, {fn.val(f'or {b} {strange}, {first}')}")
    else:
        sign = "s" if dtypes.kind(kind) == "i" else "u"
        way = "gt" if s.combiner == "argmax" else "lt"
        wins = fn.val(f"icmp {sign}{way} {t} {new[0]}, {old[0]}")
        same = fn.val(f"icmp eq {t} {new[0]}, {old[0]}")
    wide = llvm_type("int64", lanes)
    earlier = fn.val(f"icmp slt {wide} {new[1]}, {old[1]}")
    wins = fn.val(f"or {b} {wins}, {fn.val(f'and {b} {same}, {earlier}')}")
    return [
        fn.val(f"select {b} {wins}, {t} {new[0]}, {t} {old[0]}"),
        fn.val(f"select {b} {wins}, {wide} {new[1]}, {wide} {old[1]}"),
    ]


def long_sum(s: Fold, extent: Value, lanes: int) -> bool:
    """Whether it adds so many floats that the rounding errors would show."""
    most = int(extent) if extent.isdigit() else most_of(s.extent)
    long = most is None or most > 2 * BLOCK * lanes
    return s.combiner in _SUMS and dtypes.is_float(s.names[0].dtype) and long
