"""Positions of the largest and the smallest element: argmax and argmin.

Turns come in order, so an element takes the place of an earlier one only where it is better in
itself: greater (less), or the first NaN. Each lane keeps its best value, and the turn that it came
from in integers of the value's width rather than 64 bits. At the end the best value of all lanes is
found, then the first position among the lanes that hold it.

Down columns each turn waits for the one before. There lanes keep the turn of their first NaN apart,
so that it waits for one maximum and for no comparison.
"""

from __future__ import annotations

from symgraph import dtypes
from symgraph.codegen import scalar_llvm as scalars
from symgraph.codegen.folds_llvm import Carried, Host, part_of
from symgraph.codegen.lanes_llvm import most_of
from symgraph.codegen.literals import constant, lane_numbers, llvm_type, suffix
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.loops.compute import identity
from symgraph.loops.statements import Fold
from symgraph.scalar import Expr, coefficient, const

CHUNK = 1 << 30  # turns counted in 32 bits


def offset(s: Fold) -> Expr | None:
    """What the position of a turn is besides the turn's number; None where it is made otherwise."""
    if s.combiner not in ("argmax", "argmin") or s.body:
        return None
    if coefficient(s.values[1], s.index) is not const(1):
        return None
    return s.values[1] - s.index


def emit(host: Host, s: Fold, extent: Value, lanes: int, rest: Expr) -> None:
    """Write the fold, ``lanes`` turns at a time (1: turn by turn in the lanes around it)."""
    _Positions(host, s, extent, lanes).write(rest)


class _Positions:
    def __init__(self, host: Host, s: Fold, extent: Value, lanes: int) -> None:
        self.host, self.s, self.extent, self.lanes = host, s, extent, lanes
        self.values, self.fn = host.values, host.values.fn
        self.dtype = s.names[0].dtype
        self.width = lanes if lanes > 1 else self.values.lanes
        self.short = dtypes.itemsize(self.dtype) <= 4
        self.kind = llvm_type(self.dtype, self.width)
        self.places = llvm_type("int32" if self.short else "int64", self.width)

    def write(self, rest: Expr) -> None:
        value, turn = self._chunks()
        wide = llvm_type("int64", 1 if self.lanes > 1 else self.width)
        if self.lanes > 1:
            place = self.fn.val(f"add i64 {turn}, {self.values.uniform(rest)}")
            self.values.bind(self.s.names[0], (value, 1))
            self.values.bind(self.s.names[1], (place, 1))
            return
        place = self.fn.val(f"add {wide} {turn}, {self.values.wide(rest)}")
        self.values.bind(self.s.names[0], (value, self.width))
        self.values.bind(self.s.names[1], (place, self.width))

    def _chunks(self) -> list[Value]:
        """The best value and its turn, as 64 bits."""
        most = int(self.extent) if self.extent.isdigit() else most_of(self.s.extent)
        if not self.short or (most is not None and most <= CHUNK):
            return self._chunk("0", self.extent)
        fn, width = self.fn, 1 if self.lanes > 1 else self.width
        kind, wide = llvm_type(self.dtype, width), llvm_type("int64", width)
        neutral = constant(self.dtype, width, identity(self.s.combiner, self.dtype))
        start = [(kind, neutral), (wide, constant("int64", width, 0))]

        def chunk(i: Value, carried: list[Value]) -> list[Value]:
            left = fn.val(f"sub i64 {self.extent}, {i}")
            fn.declare("i64", "llvm.smin.i64", ["i64", "i64"])
            count = fn.val(f"call i64 @llvm.smin.i64(i64 {left}, i64 {CHUNK})")
            value, turn = self._chunk(i, count)
            begin = scalars.splat(fn, i, "int64", width)
            turn = fn.val(f"add {wide} {turn}, {begin}")
            wins = _wins(fn, self.s.combiner, self.dtype, width, value, carried[0])
            flags = llvm_type("bool", width)
            return [
                fn.val(f"select {flags} {wins}, {kind} {value}, {kind} {carried[0]}"),
                fn.val(f"select {flags} {wins}, {wide} {turn}, {wide} {carried[1]}"),
            ]

        return fn.loop(0, self.extent, CHUNK, start, chunk)

    def _chunk(self, begin: Value, count: Value) -> list[Value]:
        fn, s = self.fn, self.s
        flags = llvm_type("bool", self.width)
        neutral = constant(self.dtype, self.width, identity(s.combiner, self.dtype))
        word = "int32" if self.short else "int64"
        zero = constant(word, self.width, 0)
        start: Carried = [(self.kind, neutral), (self.places, zero), (self.places, zero)]
        step = constant(word, self.width, self.lanes)
        apart = dtypes.is_float(self.dtype) and self.lanes == 1
        never = constant(word, self.width, dtypes.max_value(word))
        if apart:
            start = [*start, (self.places, never)]

        def turn(i: Value, mask: Value | None, carried: list[Value]) -> list[Value]:
            old, turns, here, *strange = carried
            new = self._value(i if begin == "0" else fn.val(f"add i64 {begin}, {i}"), mask)
            if apart:
                wins = _beyond(fn, s.combiner, self.dtype, self.width, new, old)
                strange = [self._first_strange(new, here, strange[0], never)]
            else:
                wins = _wins(fn, s.combiner, self.dtype, self.width, new, old)
            if mask is not None:
                wins = fn.val(f"and {flags} {wins}, {mask}")
            return [
                fn.val(f"select {flags} {wins}, {self.kind} {new}, {self.kind} {old}"),
                fn.val(f"select {flags} {wins}, {self.places} {here}, {self.places} {turns}"),
                fn.val(f"add {self.places} {here}, {step}"),
                *strange,
            ]

        if self.lanes > 1:
            size = 4 if self.short else 8
            finals = self.host.vectors(count, self.lanes, start, turn, size=size)
            return self._across(*finals[:2])
        finals = fn.loop(0, count, 1, start, lambda i, c: turn(i, None, c))
        value, place = self._with_strange(finals, never)
        if self.short:
            wide = llvm_type("int64", self.width)
            place = fn.val(f"sext {self.places} {place} to {wide}")
        return [value, place]

    def _first_strange(self, new: Value, here: Value, first: Value, never: Value) -> Value:
        """The turn of the first NaN, of which ``never`` is none."""
        fn, flags = self.fn, llvm_type("bool", self.width)
        odd = fn.val(f"fcmp uno {self.kind} {new}, {new}")
        mine = fn.val(f"select {flags} {odd}, {self.places} {here}, {self.places} {never}")
        name = f"llvm.smin.{suffix('int32' if self.short else 'int64', self.width)}"
        return fn.call(self.places, name, [(self.places, first), (self.places, mine)])

    def _with_strange(self, finals: list[Value], never: Value) -> list[Value]:
        """The best values and their turns: the first NaN of lanes that met one."""
        fn, flags = self.fn, llvm_type("bool", self.width)
        value, place, _, *strange = finals
        if not strange:
            return [value, place]
        nan = constant(self.dtype, self.width, float("nan"))
        met = fn.val(f"icmp ne {self.places} {strange[0]}, {never}")
        return [
            fn.val(f"select {flags} {met}, {self.kind} {nan}, {self.kind} {value}"),
            fn.val(f"select {flags} {met}, {self.places} {strange[0]}, {self.places} {place}"),
        ]

    def _value(self, i: Value, mask: Value | None) -> Value:
        """The elements of a turn."""
        if self.lanes > 1:
            with self.values.vector(self.s.index, self.lanes, i, mask):
                return self.values.wide(self.s.values[0])
        with self.values.inside():
            self.values.bind(self.s.index, (i, 1))
            return self.values.wide(self.s.values[0])

    def _across(self, held: Value, places: Value) -> list[Value]:
        """The best value of all lanes and the smallest turn of those that hold it."""
        fn, lanes = self.fn, self.lanes
        name = "maximum" if self.s.combiner == "argmax" else "minimum"
        if self.dtype == "bool":
            name = "or" if name == "maximum" else "and"
        best, width = held, lanes
        while width > 1:
            width //= 2
            halves = [part_of(fn, best, self.dtype, 2 * width, k) for k in (0, width)]
            best = scalars.emit(
                fn, self.values.module, name, self.dtype, width, halves, [self.dtype] * 2
            )
        flags = llvm_type("bool", lanes)
        same = scalars.splat(fn, best, self.dtype, lanes)
        if dtypes.is_float(self.dtype):
            hit = fn.val(f"fcmp oeq {self.kind} {held}, {same}")
            hit = fn.val(f"or {flags} {hit}, {fn.val(f'fcmp uno {self.kind} {held}, {held}')}")
        else:
            hit = fn.val(f"icmp eq {self.kind} {held}, {same}")
        word = "int32" if self.short else "int64"
        numbers = constant_lanes(word, lanes)
        turns = fn.val(f"add {self.places} {places}, {numbers}")
        last = constant(word, lanes, dtypes.max_value(word))
        turns = fn.val(f"select {flags} {hit}, {self.places} {turns}, {self.places} {last}")
        first = "i32" if self.short else "i64"
        bits = 32 if self.short else 64
        reduce = f"llvm.vector.reduce.smin.v{lanes}i{bits}"
        place = fn.call(first, reduce, [(self.places, turns)])
        return [best, fn.val(f"sext i32 {place} to i64") if self.short else place]


def constant_lanes(dtype: str, lanes: int) -> str:
    """0, 1, 2 ... as a literal of an integer dtype.

    >>> constant_lanes("int32", 2)
    '<i32 0, i32 1>'
    """
    if dtype == "int64":
        return lane_numbers(lanes)
    return f"<{', '.join(f'i32 {k}' for k in range(lanes))}>"


def _wins(
    fn: FunctionWriter, combiner: str, dtype: str, lanes: int, new: Value, old: Value
) -> Value:
    """Whether a later value is better: beyond the old one, or the first NaN."""
    kind, flags = llvm_type(dtype, lanes), llvm_type("bool", lanes)
    if not dtypes.is_float(dtype):
        return _beyond(fn, combiner, dtype, lanes, new, old)
    # unordered counts as better, unless the old one is NaN
    way = "ugt" if combiner == "argmax" else "ult"
    known = fn.val(f"fcmp ord {kind} {old}, {old}")
    return fn.val(f"and {flags} {fn.val(f'fcmp {way} {kind} {new}, {old}')}, {known}")


def _beyond(
    fn: FunctionWriter, combiner: str, dtype: str, lanes: int, new: Value, old: Value
) -> Value:
    """Whether a value is greater (less)."""
    kind, way = llvm_type(dtype, lanes), "gt" if combiner == "argmax" else "lt"
    if dtypes.is_float(dtype):
        return fn.val(f"fcmp o{way} {kind} {new}, {old}")
    sign = "s" if dtypes.kind(dtype) == "i" else "u"
    return fn.val(f"icmp {sign}{way} {kind} {new}, {old}")
