"""Sorting rows in native code: stable, NaN last, the same result on every machine.

Elements become unsigned keys whose order is that of the elements. Short rows are sorted by
insertion, longer ones by bytes from the lowest (LSD radix sort: Knuth, The Art of Computer
Programming, vol. 3, 5.2.5; all counts are taken in one pass, and a byte that is the same in all
keys is skipped). With positions the keys carry them along; -0 and 0 are then one key.
"""

from __future__ import annotations

from collections.abc import Callable

from symgraph import dtypes
from symgraph.codegen.literals import ELEMENTS, memory_type
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.program import Buffer, Call

_INFINITY = {
    "float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000, "float64": 0x7FF0000000000000,
}  # fmt: skip
SHORT = 48  # up to here insertion is faster than counting bytes


def emit_sort(
    fn: FunctionWriter, module: ModuleWriter, values: Values, step: Call,
    operands: list[tuple[Value, Buffer]],
) -> None:  # fmt: skip
    """Write a Call step: x, two rooms for keys, one for positions if they are asked for, out."""
    positions = bool(dict(step.params)["positions"])
    x = operands[0][1]
    rows = values.uniform(elements(x.shape[:-1]))
    size = values.uniform(x.shape[-1])
    name = f"sg_{'argsort' if positions else 'sort'}_{x.dtype}"
    params = [("ptr", "x", ""), ("ptr", "a", ""), ("ptr", "b", "")]
    params += [("ptr", "spare", "")] if positions else []
    params += [("ptr", "out", ""), ("i64", "rows", ""), ("i64", "n", "")]
    module.once(name, params, "void", _Rows(x.dtype, positions).write, "noinline nounwind")
    words = [f"ptr {address}" for address, _ in operands]
    fn.raw(f"call void @{name}({', '.join(words)}, i64 {rows}, i64 {size})")


class _Rows:
    """Writes the function that sorts all rows of one dtype."""

    def __init__(self, dtype: str, positions: bool) -> None:
        self.dtype = dtype
        self.kind = ELEMENTS[dtype].kind
        self.bits = 8 if dtype == "bool" else ELEMENTS[dtype].bits
        self.key = f"i{self.bits}"
        self.memory = self.key if self.kind != "f" else memory_type(dtype)
        self.positions = positions
        self.passes = self.bits // 8

    def write(self, fn: FunctionWriter) -> None:
        self.fn = fn
        self.counts = fn.slot("i64", 256 * self.passes)
        fn.loop(0, "%rows", 1, [], self._row)

    # memory ---------------------------------------------------------------------------------------

    def _at(self, base: Value, kind: str, index: Value) -> Value:
        return self.fn.fresh(f"getelementptr {kind}, ptr {base}, i64 {index}")

    def _read(self, base: Value, kind: str, index: Value) -> Value:
        return self.fn.fresh(f"load {kind}, ptr {self._at(base, kind, index)}")

    def _write(self, base: Value, kind: str, index: Value, value: Value) -> None:
        self.fn.raw(f"store {kind} {value}, ptr {self._at(base, kind, index)}")

    def _each(self, count: Value, body: Callable[[Value], None]) -> None:
        def turn(i: Value, _: list[Value]) -> list[Value]:
            body(i)
            return []

        self.fn.loop(0, count, 1, [], turn)

    # one row --------------------------------------------------------------------------------------

    def _row(self, row: Value, _: list[Value]) -> list[Value]:
        fn = self.fn
        begin = fn.fresh(f"mul i64 {row}, %n")
        x = self._at("%x", self.key, begin)
        out = self._at("%out", "i64" if self.positions else self.key, begin)

        def encode(i: Value) -> None:
            self._write("%a", self.key, i, self._encoded(self._read(x, self.key, i)))
            if self.positions:
                self._write(out, "i64", i, i)

        self._each("%n", encode)
        fn.if_(fn.fresh(f"icmp sle i64 %n, {SHORT}"), lambda: self._insertion(out),
               lambda: self._radix(out))  # fmt: skip
        if not self.positions:
            self._each(
                "%n",
                lambda i: self._write(
                    out, self.key, i, self._decoded(self._read("%a", self.key, i))
                ),
            )
        return []

    # keys -----------------------------------------------------------------------------------------

    @property
    def _top(self) -> int:
        return -(1 << (self.bits - 1))  # the highest bit, as a literal of a signed type

    def _encoded(self, raw: Value) -> Value:
        """The key of an element given by its bits."""
        fn, t = self.fn, self.key
        if self.kind in "bu":
            return raw
        if self.kind == "i":
            return fn.fresh(f"xor {t} {raw}, {self._top}")
        infinity = _INFINITY[self.dtype]
        size = fn.fresh(f"and {t} {raw}, {~self._top}")
        if self.positions:
            zero = fn.fresh(f"icmp eq {t} {size}, 0")
            raw = fn.fresh(f"select i1 {zero}, {t} 0, {t} {raw}")
        sign = fn.fresh(f"ashr {t} {raw}, {self.bits - 1}")
        mask = fn.fresh(f"or {t} {sign}, {self._top}")
        key = fn.fresh(f"xor {t} {raw}, {mask}")
        strange = fn.fresh(f"icmp ugt {t} {size}, {infinity}")
        return fn.fresh(f"select i1 {strange}, {t} -1, {t} {key}")

    def _decoded(self, key: Value) -> Value:
        fn, t = self.fn, self.key
        if self.kind in "bu":
            return key
        if self.kind == "i":
            return fn.fresh(f"xor {t} {key}, {self._top}")
        nan = _INFINITY[self.dtype] | 1 << (dtypes.limits(self.dtype).digits - 1)
        sign = fn.fresh(f"ashr {t} {key}, {self.bits - 1}")
        mask = fn.fresh(f"xor {t} {sign}, -1")
        raw = fn.fresh(f"xor {t} {key}, {fn.fresh(f'or {t} {mask}, {self._top}')}")
        strange = fn.fresh(f"icmp eq {t} {key}, -1")
        return fn.fresh(f"select i1 {strange}, {t} {nan}, {t} {raw}")

    # insertion ------------------------------------------------------------------------------------

    def _insertion(self, out: Value) -> None:
        """Each key moves down past the greater ones before it."""
        fn = self.fn

        def insert(i: Value, _: list[Value]) -> list[Value]:
            key = self._read("%a", self.key, i)
            position = self._read(out, "i64", i) if self.positions else ""

            def goes_on(c: list[Value]) -> Value:
                inside = fn.fresh(f"icmp sgt i64 {c[0]}, 0")
                before = fn.fresh(f"sub i64 {c[0]}, 1")
                safe = fn.fresh(f"select i1 {inside}, i64 {before}, i64 0")
                greater = fn.fresh(f"icmp ugt {self.key} {self._read('%a', self.key, safe)}, {key}")
                return fn.fresh(f"and i1 {inside}, {greater}")

            def move(c: list[Value]) -> list[Value]:
                before = fn.fresh(f"sub i64 {c[0]}, 1")
                self._write("%a", self.key, c[0], self._read("%a", self.key, before))
                if self.positions:
                    self._write(out, "i64", c[0], self._read(out, "i64", before))
                return [before]

            (place,) = fn.while_([("i64", i)], goes_on, move)
            self._write("%a", self.key, place, key)
            if self.positions:
                self._write(out, "i64", place, position)
            return []

        fn.loop(1, "%n", 1, [], insert)

    # radix ----------------------------------------------------------------------------------------

    def _digit(self, key: Value, k: int) -> Value:
        shifted = self.fn.fresh(f"lshr {self.key} {key}, {8 * k}") if k else key
        low = self.fn.fresh(f"and {self.key} {shifted}, 255") if self.bits > 8 else shifted
        if self.bits == 64:
            return low
        return self.fn.fresh(f"zext {self.key} {low} to i64")

    def _radix(self, out: Value) -> None:
        """Passes that copy between two rooms; keys and positions end in the first one."""
        fn = self.fn
        self._each(str(256 * self.passes), lambda i: self._write(self.counts, "i64", i, "0"))

        def count(i: Value) -> None:
            key = self._read("%a", self.key, i)
            for k in range(self.passes):
                place = fn.fresh(f"add i64 {self._digit(key, k)}, {256 * k}")
                old = self._read(self.counts, "i64", place)
                self._write(self.counts, "i64", place, fn.fresh(f"add i64 {old}, 1"))

        self._each("%n", count)
        rooms = ["%a", "%b"] + ([out, "%spare"] if self.positions else [])
        for k in range(self.passes):
            rooms = self._pass(k, rooms)
        size = fn.fresh(f"mul i64 %n, {self.bits // 8}")
        self._bring("%a", rooms[0], size)
        if self.positions:
            self._bring(out, rooms[2], fn.fresh("mul i64 %n, 8"))

    def _pass(self, k: int, rooms: list[Value]) -> list[Value]:
        """Distribute by byte k unless it is the same everywhere; the rooms then change places."""
        fn = self.fn
        counts = self._at(self.counts, "i64", str(256 * k))
        first = self._digit(self._read(rooms[0], self.key, "0"), k)
        same = fn.fresh(f"icmp eq i64 {self._read(counts, 'i64', first)}, %n")

        def distribute() -> list[Value]:
            def total(i: Value, c: list[Value]) -> list[Value]:
                here = self._read(counts, "i64", i)
                self._write(counts, "i64", i, c[0])
                return [fn.fresh(f"add i64 {c[0]}, {here}")]

            fn.loop(0, 256, 1, [("i64", "0")], total)

            def put(i: Value) -> None:
                key = self._read(rooms[0], self.key, i)
                digit = self._digit(key, k)
                place = self._read(counts, "i64", digit)
                self._write(counts, "i64", digit, fn.fresh(f"add i64 {place}, 1"))
                self._write(rooms[1], self.key, place, key)
                if self.positions:
                    self._write(rooms[3], "i64", place, self._read(rooms[2], "i64", i))

            self._each("%n", put)
            return [rooms[j ^ 1] for j in range(len(rooms))]

        return fn.if_(same, lambda: rooms, distribute, ["ptr"] * len(rooms))

    def _bring(self, home: Value, found: Value, size: Value) -> None:
        name = "llvm.memmove.p0.p0.i64"
        self.fn.declare("void", name, ["ptr", "ptr", "i64", "i1"])
        there = self.fn.fresh(f"icmp eq ptr {home}, {found}")
        call = f"call void @{name}(ptr {home}, ptr {found}, i64 {size}, i1 false)"
        self.fn.if_(there, lambda: None, lambda: self.fn.raw(call))
