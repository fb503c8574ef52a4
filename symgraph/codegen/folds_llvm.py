"""Folds as LLVM loops: along lanes, or turn by turn inside a loop that has the lanes.

A vector fold keeps one accumulator per lane and combines the lanes in a fixed tree at the end. Long
float sums, along lanes and down columns alike, add blocks into a compensated total, so that the
error does not grow with the length. Folds over the same turns share one loop. Positions
(argmax, argmin) have a file of their own, codegen/positions_llvm.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from symgraph import dtypes
from symgraph.codegen import scalar_llvm as scalars
from symgraph.codegen.literals import constant, lane_numbers, llvm_type
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.loops.compute import identity
from symgraph.loops.statements import Fold, Size, Stmt
from symgraph.scalar import Expr, depends, postorder, substitute
from symgraph.scalar.special import SPECIAL

BLOCK = 16  # vectors added one after another before they join the compensated total: NumPy's too
FEW_NODES = 24  # of the terms of sums that are written twice, for few terms and for many
SLOW = frozenset(
    "exp exp2 expm1 log log1p log2 log10 sin cos tan asin acos atan atan2 sinh cosh tanh asinh"
    " acosh atanh sigmoid softplus erf erfc pow mod floordiv div".split()
) | set(SPECIAL)
_SUMS, _PAIRS = ("add", "complex_add"), ("complex_add", "complex_mul")

Block = Callable[[Value, Value | None, list[Value]], list[Value]]
Carried = list[tuple[str, Value]]


class Host(Protocol):
    """What a fold needs of the writer of loops around it."""

    values: Values

    def body(self, statements: Sequence[Stmt]) -> None: ...

    def vectors(self, extent: Value, lanes: int, carried: Carried, block: Block) -> list[Value]: ...


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
        self.long: list[bool] = []
        self.width = 1

    def serial(self) -> None:
        """A loop that carries one value each (or one per lane of the enclosing vector loop)."""
        self.width = self.values.lanes
        index = self.folds[0].index

        def turn(i: Value, _: Value | None, carried: list[Value]) -> list[Value]:
            with self.values.inside():
                self.values.bind(index, (i, 1))
                self._fetch_ahead()
                return self._turn(carried, None)

        for s, finals in zip(self.folds, self._run(1, turn), strict=True):
            for name, value in zip(s.names, finals, strict=True):
                self.values.bind(name, (value, self.width))

    def vector(self, lanes: int) -> None:
        """So many turns at a time."""
        self.width = lanes
        index = self.folds[0].index

        def block(base: Value, mask: Value | None, carried: list[Value]) -> list[Value]:
            with self.values.vector(index, lanes, base, mask):
                return self._turn(carried, mask)

        for s, finals in zip(self.folds, self._run(lanes, block), strict=True):
            for name, value in zip(s.names, self._across(s, lanes, finals), strict=True):
                self.values.bind(name, (value, 1))

    def _fetch_ahead(self) -> None:
        """Ask for what the next block of rows reads of these columns. Rows lie far apart, which no
        processor foresees, and slow functions leave no room to begin their loads early."""
        first = self.folds[0]
        order = postorder([v for s in self.folds for v in s.values])
        rows = most_of(first.extent)
        if self.width == 1 or rows is None or not any(e.op in SLOW for e in order):
            return
        values = self.values
        for e in order:
            if e.op != "load" or not depends(e, first.index):
                continue
            place = values.linear(e.attr, e.args)
            if values.step_of(place) == 1:
                place = substitute(place, {first.index: first.index + rows})
                self.fn.prefetch(values.address(e.attr, place, e.dtype), False, 2)

    def start(self, s: Fold) -> Carried:
        """The type and the neutral value of each name."""
        neutral, lanes = identity(s.combiner, s.names[0].dtype), self.width
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
            new = [self.values.wide(v) for v in s.values]
            if mask is not None:
                flags = llvm_type("bool", self.width)
                new = [
                    self.fn.val(f"select {flags} {mask}, {t} {v}, {t} {z}")
                    for v, (t, z) in zip(new, self.start(s), strict=True)
                ]
            old = carried[len(out) : len(out) + len(new)]
            out += self._combine(s, self.width, old, new)
        return out

    def _run(self, lanes: int, turn: Block) -> list[list[Value]]:
        """All turns; the final values of each fold."""
        self.long = [long_sum(s, self.extent, lanes) for s in self.folds]
        if any(self.long):
            return self._compensated(lanes, turn)
        start = [pair for s in self.folds for pair in self.start(s)]
        if lanes == 1:
            flat = self.fn.loop(0, self.extent, 1, start, lambda i, c: turn(i, None, c))
        else:
            flat = self.host.vectors(self.extent, lanes, start, turn)
        return self._split(flat, 1)

    def _split(self, flat: list[Value], times: int) -> list[list[Value]]:
        """One list for each fold; ``times`` values for each that a long sum carries."""
        out, at = [], 0
        for s, long in zip(self.folds, self.long, strict=True):
            count = len(s.names) * (times if long else 1)
            out.append(flat[at : at + count])
            at += count
        return out

    # long sums ------------------------------------------------------------------------------------

    def _compensated(self, lanes: int, turn: Block) -> list[list[Value]]:
        """Sums of BLOCK vectors, added with the rounding error carried along (Knuth's two-sum);
        other folds go on through the blocks."""
        fn, extent = self.fn, self.extent
        step = BLOCK * lanes
        whole = extent if lanes == 1 else fn.val(f"and i64 {extent}, {-lanes}")
        if lanes > 1 and self._may_be_short():
            return self._perhaps_short(lanes, whole, turn)
        start: Carried = []
        for s, long in zip(self.folds, self.long, strict=True):
            start += [(t, z) for t, z in self.start(s) for _ in range(2 if long else 1)]
        kinds = [t for t, _ in start]

        def inside(carried: list[Value]) -> Carried:
            """What the loop over one block starts from."""
            out: Carried = []
            for s, long, held in zip(self.folds, self.long, self._split(carried, 2), strict=True):
                first = self.start(s)
                out += first if long else [(t, v) for (t, _), v in zip(first, held, strict=True)]
            return out

        def joined(carried: list[Value], parts: list[Value]) -> list[Value]:
            out: list[Value] = []
            pairs = zip(self._split(carried, 2), self._split(parts, 1), strict=True)
            for s, long, (held, new) in zip(self.folds, self.long, pairs, strict=True):
                kind = llvm_type(s.names[0].dtype, self.width)
                for k, x in enumerate(new):
                    out += two_sum(self.fn, kind, held[2 * k], held[2 * k + 1], x) if long else [x]
            return out

        def blocks(i: Value, carried: list[Value]) -> list[Value]:
            end = fn.val(f"add i64 {i}, {step}")
            fn.declare("i64", "llvm.smin.i64", ["i64", "i64"])
            end = fn.val(f"call i64 @llvm.smin.i64(i64 {end}, i64 {whole})")
            parts = fn.loop(i, end, lanes, inside(carried), lambda k, c: turn(k, None, c))
            return joined(carried, parts)

        sums = fn.loop(0, whole, step, start, blocks)

        def tail() -> list[Value]:
            left = fn.val(f"sub i64 {extent}, {whole}")
            wide = llvm_type("int64", lanes)
            limit = scalars.splat(fn, left, "int64", lanes)
            mask = fn.val(f"icmp slt {wide} {lane_numbers(lanes)}, {limit}")
            return joined(sums, turn(whole, mask, [v for _, v in inside(sums)]))

        if lanes > 1:
            more = fn.val(f"icmp slt i64 {whole}, {extent}")
            sums = fn.if_(more, tail, lambda: sums, kinds)
        split = self._split(sums, 2)
        return [
            self._finished(s, held) if long else held
            for s, long, held in zip(self.folds, self.long, split, strict=True)
        ]

    def _may_be_short(self) -> bool:
        """Whether the error of a sum is dear beside its terms where there are few of them."""
        light = all(s.combiner == "add" and not s.body for s in self.folds) and all(self.long)
        nodes = postorder([v for s in self.folds for v in s.values])
        return light and len(nodes) <= FEW_NODES and not self.extent.isdigit()

    def _perhaps_short(self, lanes: int, whole: Value, turn: Block) -> list[list[Value]]:
        """The same for terms that may be one block and a rest: two additions have no error that
        would change their sum. How many there are is looked at when the kernel runs."""
        fn, extent, step = self.fn, self.extent, BLOCK * lanes
        start = [pair for s in self.folds for pair in self.start(s)]
        kinds, zeros = [t for t, _ in start], [z for _, z in start]

        def rest() -> list[Value]:
            left = fn.val(f"sub i64 {extent}, {whole}")
            limit = scalars.splat(fn, left, "int64", lanes)
            wide = llvm_type("int64", lanes)
            mask = fn.val(f"icmp slt {wide} {lane_numbers(lanes)}, {limit}")
            return turn(whole, mask, zeros)

        def smaller(a: Value, b: Value) -> Value:
            fn.declare("i64", "llvm.smin.i64", ["i64", "i64"])
            return fn.val(f"call i64 @llvm.smin.i64(i64 {a}, i64 {b})")

        def plain(i: Value, carried: list[Value]) -> list[Value]:
            return turn(i, None, carried)

        more = fn.val(f"icmp slt i64 {whole}, {extent}")
        last = fn.if_(more, rest, lambda: zeros, kinds)
        first = fn.loop(0, smaller(whole, str(step)), lanes, start, plain)

        def added(carried: list[Value], parts: list[Value]) -> list[Value]:
            out: list[Value] = []
            for k, (kind, x) in enumerate(zip(kinds, parts, strict=True)):
                out += two_sum(fn, kind, carried[2 * k], carried[2 * k + 1], x)
            return out

        def block(i: Value, carried: list[Value]) -> list[Value]:
            end = smaller(fn.val(f"add i64 {i}, {step}"), whole)
            return added(carried, fn.loop(i, end, lanes, start, plain))

        def long() -> list[Value]:
            pairs = [(t, v) for k, t in enumerate(kinds) for v in (first[k], zeros[k])]
            sums = added(fn.loop(step, whole, step, pairs, block), last)
            found = zip(self.folds, self._split(sums, 2), strict=True)
            return [v for s, held in found for v in self._finished(s, held)]

        def short() -> list[Value]:
            triples = zip(kinds, first, last, strict=True)
            return [fn.val(f"fadd {kind} {a}, {b}") for kind, a, b in triples]

        many = fn.val(f"icmp sgt i64 {whole}, {step}")
        return self._split(fn.if_(many, long, short, kinds), 1)

    def _finished(self, s: Fold, sums: list[Value]) -> list[Value]:
        """Totals with their errors. An infinite total has a NaN error: it is the answer alone."""
        fn, kind = self.fn, llvm_type(s.names[0].dtype, self.width)
        flags, zero = llvm_type("bool", self.width), constant(s.names[0].dtype, self.width, 0.0)
        found = []
        for total, error in zip(sums[::2], sums[1::2], strict=True):
            sane = fn.val(f"fcmp ord {kind} {error}, {zero}")
            kept = fn.val(f"select {flags} {sane}, {kind} {error}, {kind} {zero}")
            found.append(fn.val(f"fadd {kind} {total}, {kept}"))
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

    def _across(self, s: Fold, lanes: int, finals: list[Value]) -> list[Value]:
        """Combine the lanes by halves."""
        width = lanes
        while width > 1:
            half = width // 2
            parts = []
            for start in (0, half):
                pairs = zip(finals, s.names, strict=True)
                parts.append([part_of(self.fn, v, n.dtype, width, start) for v, n in pairs])
            finals = self._combine(s, half, parts[0], parts[1])
            width = half
        return finals


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


def most_of(extent: Size) -> int | None:
    """A number that an extent never exceeds, where one is seen."""
    if isinstance(extent, int):
        return extent
    if not isinstance(extent, Expr) or extent.op != "minimum":
        return None
    return min((a.value for a in extent.args if a.is_const), default=None)
