"""Rows sorted by bytes, on every processor and for words of every size.

Short rows are sorted by insertion, or, where words have 32 or 64 bits, by networks in registers
(codegen/sort_networks_llvm.py); longer ones by bytes from the lowest (LSD radix sort: Knuth, The
Art of Computer Programming, vol. 3, 5.2.5; all counts are taken in one pass, and a byte that is the
same in all keys is skipped), where positions of elements of 64 bits are carried along.
"""

from __future__ import annotations

from collections.abc import Callable

from symgraph.codegen.literals import lane_numbers
from symgraph.codegen.sort_keys_llvm import Keys
from symgraph.codegen.sort_networks_llvm import VectorNetwork
from symgraph.codegen.sort_vectors_llvm import Vectors
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value

SHORT = 48  # up to here insertion is faster than counting bytes
_SIZES = (2, 4, 8, 16)  # registers of the networks


def write_rows(module: ModuleWriter, keys: Keys, vector_bits: int) -> None:
    """Write ``kernel(x, a, b, places, spare, out, rows, n, count)``, where a, b and, for positions
    that are carried along, ``places`` and ``spare`` are rooms for n words, and the first ``count``
    results of each row are stored."""
    params = [("ptr", p, "") for p in ("x", "a", "b", "places", "spare", "out")]
    params += [("i64", p, "") for p in ("rows", "n", "count")]
    fn = module.function("kernel", params, "void", "", "nounwind")
    networks = None
    if keys.word in (32, 64) and (keys.paired or not keys.positions):
        networks = _Networks(module, keys, vector_bits)
    _Rows(fn, keys, networks).write()


class _Networks:
    """Writes functions that sort few words."""

    def __init__(self, module: ModuleWriter, keys: Keys, vector_bits: int) -> None:
        self.module, self.keys = module, keys
        self.bits, self.lanes = keys.word, vector_bits // keys.word
        most = 16 if vector_bits == 512 else 8  # half of the registers there are
        self.sizes = [n for n in _SIZES if n <= most]
        self.base = self.lanes * self.sizes[-1]  # words that the largest network sorts

    def encode(self, fn: FunctionWriter, x: Value, room: Value) -> None:
        """The words of all %n elements from x on."""
        v, narrow = Vectors(fn, self.bits, self.lanes), self.keys.bits

        def turn(i: Value, mask: Value, _: list[Value]) -> list[Value]:
            raw = v.load(v.at(x, i, narrow), mask, 0, narrow)
            places = ""
            if self.keys.paired:
                wide = f"<{self.lanes} x i64>"
                places = fn.fresh(f"add {wide} {v.splat(i, 64)}, {lane_numbers(self.lanes)}")
            key = self.keys.encoded(fn, raw, self.lanes)
            v.store(v.at(room, i), self.keys.worded(fn, key, places, self.lanes), mask)
            return []

        with fn.scope():
            v.each("%n", turn)

    def sort(self, fn: FunctionWriter, source: Value, out: Value) -> None:
        """Sort %n words, at most ``base``, and store the results of the first %count."""
        params = [("ptr", "source", ""), ("ptr", "out", ""), ("i64", "n", ""), ("i64", "count", "")]
        words = f"(ptr {source}, ptr {out}, i64 %n, i64 %count)"

        def choose(sizes: list[int]) -> None:
            name = f"network{sizes[0]}"
            self.module.once(name, params, "void", self._network(sizes[0]), "noinline nounwind")
            if len(sizes) == 1:
                fn.raw(f"call void @{name}{words}")
                return
            fits = fn.fresh(f"icmp sle i64 %n, {sizes[0] * self.lanes}")
            fn.if_(fits, lambda: fn.raw(f"call void @{name}{words}"), lambda: choose(sizes[1:]))

        choose(self.sizes)

    def _network(self, size: int) -> Callable[[FunctionWriter], None]:
        def build(fn: FunctionWriter) -> None:
            v = Vectors(fn, self.bits, self.lanes)
            numbers, wide = lane_numbers(self.lanes), f"<{self.lanes} x i64>"
            limits = {name: v.splat(name, 64) for name in ("%n", "%count")}

            def inside(k: int, limit: str) -> Value:
                at = fn.fresh(f"add {wide} {numbers}, splat (i64 {k * self.lanes})")
                return fn.fresh(f"icmp slt {wide} {at}, {limits[limit]}")

            rows = [
                v.load(v.at("%source", str(k * self.lanes)), inside(k, "%n")) for k in range(size)
            ]
            for k, row in enumerate(VectorNetwork(fn, rows, self.bits, self.lanes).sorted()):
                held = self.keys.result(fn, row, self.lanes)
                v.store(v.at("%out", str(k * self.lanes)), held, inside(k, "%count"))

        return build


class _Rows:
    """Writes the function that sorts all rows."""

    def __init__(self, fn: FunctionWriter, keys: Keys, networks: _Networks | None) -> None:
        self.fn, self.keys, self.networks = fn, keys, networks
        self.key, self.word = f"i{keys.bits}", f"i{keys.word}"
        self.apart = keys.positions and not keys.paired  # positions are carried along
        self.first = 4 if keys.paired else 0  # the lowest byte that counts: positions rise anyway
        self.last = self.first + keys.bits // 8
        self.result = "i64" if keys.positions else self.key

    def write(self) -> None:
        self.counts = self.fn.slot("i64", 256 * self.last)
        self.fn.loop(0, "%rows", 1, [], self._row)

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
        x = self._at("%x", self.key, fn.fresh(f"mul i64 {row}, %n"))
        out = self._at("%out", self.result, fn.fresh(f"mul i64 {row}, %count"))
        networks = self.networks
        if networks is None:
            self._scalars(x, out)
            return []

        def long() -> None:
            self._radix()
            self._finish(out)

        networks.encode(fn, x, "%a")
        fits = fn.fresh(f"icmp sle i64 %n, {networks.base}")
        fn.if_(fits, lambda: networks.sort(fn, "%a", out), long)
        return []

    def _finish(self, out: Value) -> None:
        """The results of the first words."""

        def turn(i: Value) -> None:
            if self.apart:
                result = self._read("%places", "i64", i)
            else:
                result = self.keys.result(self.fn, self._read("%a", self.word, i))
            self._write(out, self.result, i, result)

        with self.fn.scope():
            self._each("%count", turn)

    def _scalars(self, x: Value, out: Value) -> None:
        fn = self.fn

        def encode(i: Value) -> None:
            key = self.keys.encoded(fn, self._read(x, self.key, i))
            self._write("%a", self.word, i, self.keys.worded(fn, key, i))
            if self.apart:
                self._write("%places", "i64", i, i)

        with fn.scope():
            self._each("%n", encode)
        short = fn.fresh(f"icmp sle i64 %n, {SHORT}")
        fn.if_(short, self._insertion, self._radix)
        self._finish(out)

    # insertion ------------------------------------------------------------------------------------

    def _insertion(self) -> None:
        """Each key moves down past the greater ones before it."""
        fn = self.fn

        def insert(i: Value, _: list[Value]) -> list[Value]:
            key = self._read("%a", self.word, i)
            position = self._read("%places", "i64", i) if self.apart else ""

            def goes_on(c: list[Value]) -> Value:
                inside = fn.fresh(f"icmp sgt i64 {c[0]}, 0")
                before = fn.fresh(f"sub i64 {c[0]}, 1")
                safe = fn.fresh(f"select i1 {inside}, i64 {before}, i64 0")
                other = self._read("%a", self.word, safe)
                greater = fn.fresh(f"icmp ugt {self.word} {other}, {key}")
                return fn.fresh(f"and i1 {inside}, {greater}")

            def move(c: list[Value]) -> list[Value]:
                before = fn.fresh(f"sub i64 {c[0]}, 1")
                self._write("%a", self.word, c[0], self._read("%a", self.word, before))
                if self.apart:
                    self._write("%places", "i64", c[0], self._read("%places", "i64", before))
                return [before]

            (place,) = fn.while_([("i64", i)], goes_on, move)
            self._write("%a", self.word, place, key)
            if self.apart:
                self._write("%places", "i64", place, position)
            return []

        fn.loop(1, "%n", 1, [], insert)

    # radix ----------------------------------------------------------------------------------------

    def _digit(self, key: Value, k: int) -> Value:
        bits = self.keys.word
        shifted = self.fn.fresh(f"lshr {self.word} {key}, {8 * k}") if k else key
        low = self.fn.fresh(f"and {self.word} {shifted}, 255") if bits > 8 else shifted
        return low if bits == 64 else self.fn.fresh(f"zext {self.word} {low} to i64")

    def _radix(self) -> None:
        """Passes that copy between two rooms; keys and positions end in the first one."""
        fn = self.fn
        self._each(str(256 * self.last), lambda i: self._write(self.counts, "i64", i, "0"))

        def count(i: Value) -> None:
            key = self._read("%a", self.word, i)
            for k in range(self.first, self.last):
                place = fn.fresh(f"add i64 {self._digit(key, k)}, {256 * k}")
                old = self._read(self.counts, "i64", place)
                self._write(self.counts, "i64", place, fn.fresh(f"add i64 {old}, 1"))

        self._each("%n", count)
        rooms = ["%a", "%b"] + (["%places", "%spare"] if self.apart else [])
        for k in range(self.first, self.last):
            rooms = self._pass(k, rooms)
        size = fn.fresh(f"mul i64 %n, {self.keys.word // 8}")
        self._bring("%a", rooms[0], size)
        if self.apart:
            self._bring("%places", rooms[2], fn.fresh("mul i64 %n, 8"))

    def _pass(self, k: int, rooms: list[Value]) -> list[Value]:
        """Distribute by byte k unless it is the same everywhere; the rooms then change places."""
        fn = self.fn
        counts = self._at(self.counts, "i64", str(256 * k))
        first = self._digit(self._read(rooms[0], self.word, "0"), k)
        same = fn.fresh(f"icmp eq i64 {self._read(counts, 'i64', first)}, %n")

        def distribute() -> list[Value]:
            def total(i: Value, c: list[Value]) -> list[Value]:
                here = self._read(counts, "i64", i)
                self._write(counts, "i64", i, c[0])
                return [fn.fresh(f"add i64 {c[0]}, {here}")]

            fn.loop(0, 256, 1, [("i64", "0")], total)

            def put(i: Value) -> None:
                key = self._read(rooms[0], self.word, i)
                digit = self._digit(key, k)
                place = self._read(counts, "i64", digit)
                self._write(counts, "i64", digit, fn.fresh(f"add i64 {place}, 1"))
                self._write(rooms[1], self.word, place, key)
                if self.apart:
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
