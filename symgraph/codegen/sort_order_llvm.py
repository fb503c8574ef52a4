"""The order of elements of 64 bits: positions sorted by keys, where the processor has AVX-512.

A word holds a position in its low bits, as many as the row needs, and above them the highest bits
of the key that differ within the row: the least key is taken away, and what is left is shifted up.
No two words are equal, so quicksort of words (codegen/sort_rows_llvm.py) is stable; it works in the
memory of the result. Mostly that is all: keys of integers and those of a million doubles differ in
the 44 bits that are left, or have nothing below them. Where keys had more bits, runs of words that
are equal above their positions are sorted again, by the next bits of their keys.
"""

from __future__ import annotations

from symgraph.codegen.sort_rows_llvm import DEPTH, Names, Rows
from symgraph.codegen.sort_vectors_llvm import Vectors
from symgraph.codegen.writer import FunctionWriter, Value

_TIES = ["job", "work", "x", "least", "shift", "low", "lo", "hi", "used"]  # pointers are the first


class Order(Rows):
    """Writes the module of one kind of keys of 64 bits with positions."""

    least_bits = 1  # of positions: more of them leave less for keys, which the tests make use of

    def row(self, fn: FunctionWriter, names: Names) -> None:
        """Sort a row."""
        fn.if_(fn.fresh(f"icmp sgt i64 {names['n']}, 0"), lambda: self._row(fn, names))

    def _row(self, fn: FunctionWriter, names: Names) -> None:
        n, work = names["n"], names["work"]
        words = f"ptr {names['x']}, i64 {n}, ptr {work}"
        params = [("ptr", "x", ""), ("i64", "n", ""), ("ptr", "found", "")]
        self.module.once("range", params, "void", self._range, "noinline nounwind")
        fn.raw(f"call void @range({words})")
        least, greatest, differing = (
            fn.fresh(f"load i64, ptr {self.place(fn, work, str(k), 64)}") for k in range(3)
        )
        spread = fn.fresh(f"or i64 {fn.fresh(f'sub i64 {greatest}, {least}')}, 1")
        shift = self._bits(fn, "ctlz", spread)
        below = self._bits(fn, "cttz", fn.fresh(f"or i64 {differing}, {-(1 << 63)}"))
        last = fn.fresh(f"or i64 {fn.fresh(f'sub i64 {n}, 1')}, {(1 << self.least_bits) - 1}")
        above = self._bits(fn, "ctlz", last)  # the bits that keys have
        low = fn.fresh(f"lshr i64 -1, {above}")
        known = fn.fresh(f"add i64 {fn.fresh(f'add i64 {shift}, {below}')}, {above}")
        exact = fn.fresh(f"icmp sge i64 {known}, 64")
        names = names | {"least": least, "shift": shift, "low": low, "used": above}
        self._encode_words(fn, names)

        def sort() -> None:
            self.begin(fn, names)
            self.sort(fn, names)

        def again() -> None:
            self.begin(fn, names | {"out": names["a"], "count": n, "low": "-1"})
            self.sort(fn, names)
            self._ties(fn, names | {"lo": "0", "hi": n})
            self._copy(fn, names)

        fn.if_(exact, sort, again)

    def _bits(self, fn: FunctionWriter, name: str, value: Value) -> Value:
        return fn.call("i64", f"llvm.{name}.i64", [("i64", value), ("i1", "true")])

    def _range(self, fn: FunctionWriter) -> None:
        """The least key, the greatest one, and the bits in which keys differ."""
        v = Vectors(fn, 64, self.lanes)
        kind = v.kind
        first = fn.fresh("load i64, ptr %x")
        first = v.splat(self.keys.encoded(fn, first))

        def turn(i: Value, mask: Value, c: list[Value]) -> list[Value]:
            key = self.keys.encoded(fn, v.load(v.at("%x", i), mask, 0), self.lanes)
            if mask:
                key = fn.fresh(f"select {v.flags} {mask}, {kind} {key}, {kind} {first}")
            bounds = [
                fn.call(kind, f"llvm.{name}.v{self.lanes}i64", [(kind, b), (kind, key)])
                for name, b in (("umin", c[0]), ("umax", c[1]))
            ]
            changed = fn.fresh(f"xor {kind} {key}, {first}")
            return [*bounds, fn.fresh(f"or {kind} {c[2]}, {changed}")]

        start = [(kind, first), (kind, first), (kind, "zeroinitializer")]
        for k, (name, found) in enumerate(
            zip(("umin", "umax", "or"), v.each("%n", turn, start), strict=True)
        ):
            total = fn.call("i64", f"llvm.vector.reduce.{name}.v{self.lanes}i64", [(kind, found)])
            fn.raw(f"store i64 {total}, ptr {v.at('%found', str(k), 64)}")
        fn.ret()

    def _encode_words(self, fn: FunctionWriter, names: Names) -> None:
        def body(fn: FunctionWriter) -> None:
            v = Vectors(fn, 64, self.lanes)
            kind = v.kind
            least, shift, low = (v.splat(f"%{name}") for name in ("least", "shift", "low"))
            high = fn.fresh(f"xor {kind} {low}, splat (i64 -1)")

            def words(i: Value, mask: Value) -> Value:
                key = self.keys.encoded(fn, v.load(v.at("%x", i), mask, 0), self.lanes)
                key = fn.fresh(f"shl {kind} {fn.fresh(f'sub {kind} {key}, {least}')}, {shift}")
                key = fn.fresh(f"and {kind} {key}, {high}")
                return fn.fresh(f"or {kind} {key}, {self.positions(v, i)}")

            self.fill(v, words)

        params = [("ptr", "x", ""), ("ptr", "room", "")]
        params += [("i64", name, "") for name in ("n", "least", "shift", "low")]
        self.module.once("encode", params, "void", body, "noinline nounwind")
        values = (names[k] for k in ("n", "least", "shift", "low"))
        words = ", ".join(f"i64 {value}" for value in values)
        fn.raw(f"call void @encode(ptr {names['x']}, ptr {names['a']}, {words})")

    def finished(self, v: Vectors, words: Value) -> Value:
        """The low bits that the job says: positions, or all."""
        low = v.splat(self.read(v.fn, "%job", "low"))
        return v.fn.fresh(f"and {v.kind} {words}, {low}")

    def _copy(self, fn: FunctionWriter, names: Names) -> None:
        """Store the positions of all words that are wanted."""
        v, count = Vectors(fn, 64, self.lanes), names["count"]
        low = v.splat(names["low"])
        whole = fn.fresh(f"and i64 {count}, {-self.lanes}")

        def several(i: Value, _: list[Value]) -> list[Value]:
            held = v.load(v.at(names["a"], i))
            v.store(v.at(names["out"], i), fn.fresh(f"and {v.kind} {held}, {low}"))
            return []

        def one(i: Value, _: list[Value]) -> list[Value]:
            held = fn.fresh(f"load i64, ptr {v.at(names['a'], i)}")
            held = fn.fresh(f"and i64 {held}, {names['low']}")
            fn.raw(f"store i64 {held}, ptr {v.at(names['out'], i)}")
            return []

        fn.loop("0", whole, self.lanes, [], several)
        fn.loop(whole, count, 1, [], one)

    # ties -----------------------------------------------------------------------------------------

    def _ties(self, fn: FunctionWriter, names: Names) -> None:
        params = [("ptr" if k < 3 else "i64", name, "") for k, name in enumerate(_TIES)]
        self.module.once("ties", params, "void", self._runs, "noinline nounwind")
        fn.raw(f"call void @ties({', '.join(f'{t} {names[n]}' for t, n, _ in params)})")

    def _runs(self, fn: FunctionWriter) -> None:
        """The words lo to hi are in order by the bits of keys that they have: those that are equal
        but for their positions are sorted by the bits that follow."""
        v = Vectors(fn, 64, self.lanes)
        a, kind = self.read(fn, "%job", "a"), v.kind

        def word(i: Value) -> Value:
            return fn.fresh(f"load i64, ptr {self.place(fn, a, i)}")

        def inside(c: list[Value]) -> Value:
            return fn.fresh(f"icmp slt i64 {fn.fresh(f'add i64 {c[0]}, 1')}, %hi")

        def look(c: list[Value]) -> list[Value]:
            """From a word on, to the first that equals the next, or some words further."""
            (i,) = c
            following = fn.fresh(f"add i64 {i}, 1")

            def several() -> list[Value]:
                here, after = v.load(v.at(a, i)), v.load(v.at(a, following))
                different = fn.fresh(f"xor {kind} {here}, {after}")
                same = fn.fresh(f"icmp ule {kind} {different}, {v.splat('%low')}")
                bits = fn.fresh(f"bitcast {v.flags} {same} to i{self.lanes}")
                number = fn.fresh(f"zext i{self.lanes} {bits} to i64")
                number = fn.fresh(f"or i64 {number}, {1 << self.lanes}")
                steps = self._bits(fn, "cttz", number)
                return [fn.fresh(f"icmp ult i64 {steps}, {self.lanes}"), steps]

            def one() -> list[Value]:
                different = fn.fresh(f"xor i64 {word(i)}, {word(following)}")
                same = fn.fresh(f"icmp ule i64 {different}, %low")
                return [same, fn.fresh(f"select i1 {same}, i64 0, i64 1")]

            wide = fn.fresh(f"icmp slt i64 {fn.fresh(f'add i64 {i}, {self.lanes}')}, %hi")
            found, steps = fn.if_(wide, several, one, ["i1", "i64"])
            begin = fn.fresh(f"add i64 {i}, {steps}")
            return fn.if_(found, lambda: [self._run(fn, a, begin)], lambda: [begin], ["i64"])

        fn.while_([("i64", "%lo")], inside, look)
        fn.ret()

    def _run(self, fn: FunctionWriter, a: Value, begin: Value) -> Value:
        """Sort the run that begins here; the result is its end."""
        first = fn.fresh(f"load i64, ptr {self.place(fn, a, begin)}")

        def same(c: list[Value]) -> Value:
            inside = fn.fresh(f"icmp slt i64 {c[0]}, %hi")
            safe = fn.fresh(f"select i1 {inside}, i64 {c[0]}, i64 {begin}")
            other = fn.fresh(f"load i64, ptr {self.place(fn, a, safe)}")
            equal = fn.fresh(f"icmp ule i64 {fn.fresh(f'xor i64 {other}, {first}')}, %low")
            return fn.fresh(f"and i1 {inside}, {equal}")

        second = fn.fresh(f"add i64 {begin}, 1")
        (end,) = fn.while_([("i64", second)], same, lambda c: [fn.fresh(f"add i64 {c[0]}, 1")])
        high = fn.fresh("xor i64 %low, -1")

        def again(i: Value, c: list[Value]) -> list[Value]:
            place = self.place(fn, a, i)
            position = fn.fresh(f"and i64 {fn.fresh(f'load i64, ptr {place}')}, %low")
            raw = fn.fresh(f"load i64, ptr {self.place(fn, '%x', position)}")
            key = fn.fresh(f"sub i64 {self.keys.encoded(fn, raw)}, %least")
            key = fn.fresh(f"shl i64 {fn.fresh(f'shl i64 {key}, %shift')}, %used")
            word = fn.fresh(f"or i64 {fn.fresh(f'and i64 {key}, {high}')}, {position}")
            fn.raw(f"store i64 {word}, ptr {place}")
            rising = fn.fresh(f"icmp ule i64 {c[0]}, {word}")
            return [word, fn.fresh(f"and i1 {c[1]}, {rising}")]

        _, rising = fn.loop(begin, end, 1, [("i64", "0"), ("i1", "true")], again)
        part = (begin, end, str(DEPTH))
        fn.if_(rising, lambda: None, lambda: self.quick(fn, "%job", "%work", part))
        # the next bits, if the keys have more of them than a word
        above = self._bits(fn, "ctlz", "%low")
        used = fn.fresh(f"add i64 %used, {above}")
        more = fn.fresh(f"icmp slt i64 {fn.fresh(f'add i64 {used}, %shift')}, 64")
        inner = {name: f"%{name}" for name in _TIES} | {"lo": begin, "hi": end, "used": used}
        fn.if_(more, lambda: self._ties(fn, inner))
        return end
