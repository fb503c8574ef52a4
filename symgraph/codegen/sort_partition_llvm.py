"""Words of a segment parted by a pivot, a register at a time, for quicksort.

Of a register the lesser words are brought to its front and the others to its end, by a permutation
from a table or by compress and expand instructions (B. Bramas, "A novel hybrid quicksort algorithm
vectorized using AVX-512", 2017), and it is written whole on either side: masked stores, of which
each side would need one, are slower than what is written in vain.
"""

from __future__ import annotations

from collections.abc import Callable

from symgraph.codegen.literals import lane_numbers
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value


class Vectors:
    """Loads and stores of words, so many lanes at a time, in one function."""

    def __init__(self, fn: FunctionWriter, bits: int, lanes: int) -> None:
        self.fn, self.bits, self.lanes = fn, bits, lanes
        self.kind, self.flags = f"<{lanes} x i{bits}>", f"<{lanes} x i1>"

    def at(self, base: Value, index: Value, bits: int = 0) -> Value:
        return self.fn.fresh(f"getelementptr i{bits or self.bits}, ptr {base}, i64 {index}")

    def splat(self, value: Value, bits: int = 0) -> Value:
        kind = f"<{self.lanes} x i{bits or self.bits}>"
        first = self.fn.fresh(f"insertelement {kind} poison, i{bits or self.bits} {value}, i64 0")
        zeros = f"<{self.lanes} x i32> zeroinitializer"
        return self.fn.fresh(f"shufflevector {kind} {first}, {kind} poison, {zeros}")

    def below(self, count: Value) -> Value:
        """The first lanes."""
        numbers = lane_numbers(self.lanes)
        return self.fn.fresh(f"icmp ult <{self.lanes} x i64> {numbers}, {self.splat(count, 64)}")

    def load(self, where: Value, mask: Value = "", other: int = -1, bits: int = 0) -> Value:
        bits = bits or self.bits
        kind = f"<{self.lanes} x i{bits}>"
        if not mask:
            return self.fn.fresh(f"load {kind}, ptr {where}, align {bits // 8}")
        name = f"llvm.masked.load.v{self.lanes}i{bits}.p0"
        self.fn.declare(kind, name, ["ptr", "i32", self.flags, kind])
        words = f"ptr {where}, i32 {bits // 8}, {self.flags} {mask}, {kind} splat (i{bits} {other})"
        return self.fn.fresh(f"call {kind} @{name}({words})")

    def store(self, where: Value, value: Value, mask: Value = "") -> None:
        if not mask:
            self.fn.raw(f"store {self.kind} {value}, ptr {where}, align {self.bits // 8}")
            return
        name = f"llvm.masked.store.v{self.lanes}i{self.bits}.p0"
        self.fn.declare("void", name, [self.kind, "ptr", "i32", self.flags])
        words = f"{self.kind} {value}, ptr {where}, i32 {self.bits // 8}, {self.flags} {mask}"
        self.fn.raw(f"call void @{name}({words})")

    def each(self, start: Value, stop: Value, body: Callable[[Value, Value], None]) -> None:
        """``body(index, mask)`` for whole registers, then under a mask for what is left."""
        fn = self.fn
        count = fn.fresh(f"sub i64 {stop}, {start}")
        whole = fn.fresh(f"add i64 {start}, {fn.fresh(f'and i64 {count}, {-self.lanes}')}")

        def turn(i: Value, _: list[Value]) -> list[Value]:
            body(i, "")
            return []

        fn.loop(start, whole, self.lanes, [], turn)
        left = fn.fresh(f"sub i64 {stop}, {whole}")
        more = fn.fresh(f"icmp sgt i64 {left}, 0")
        fn.if_(more, lambda: body(whole, self.below(left)))


class Partition:
    """``partition(source, target, lo, hi, pivot)``: the words lo to hi of source go to the same
    places of target; the result is where those that are not less than the pivot begin."""

    def __init__(self, module: ModuleWriter, bits: int, lanes: int) -> None:
        self.module, self.bits, self.lanes = module, bits, lanes

    def call(
        self, fn: FunctionWriter, source: Value, target: Value, lo: Value, hi: Value, pivot: Value
    ) -> Value:
        t = f"i{self.bits}"
        params = [("ptr", n, "") for n in ("source", "target")]
        params += [("i64", "lo", ""), ("i64", "hi", ""), (t, "pivot", "")]
        self.module.once("partition", params, "i64", self._body, "noinline nounwind")
        words = f"(ptr {source}, ptr {target}, i64 {lo}, i64 {hi}, {t} {pivot})"
        return fn.fresh(f"call i64 @partition{words}")

    def _body(self, fn: FunctionWriter) -> None:
        """Where the words that are not less than the pivot begin. Of a register the lesser words
        are brought to its front and the others to its end, and all of it is written on either
        side: what is too much lies between the sides, whose distance is whole registers, once the
        few words that fill none are done."""
        v, lanes = Vectors(fn, self.bits, self.lanes), self.lanes
        pivot = v.splat("%pivot")

        def less_than(held: Value) -> Value:
            return fn.fresh(f"icmp ult {v.kind} {held}, {pivot}")

        def few(i: Value, c: list[Value]) -> list[Value]:
            left, right = c
            some = v.below(fn.fresh(f"sub i64 %hi, {i}"))
            held = v.load(v.at("%source", i), some)
            less = fn.fresh(f"and {v.flags} {less_than(held)}, {some}")
            other = fn.fresh(f"xor {v.flags} {less}, {some}")
            lesser, rest = self._count(v, less), self._count(v, other)
            v.store(v.at("%target", left), self._compressed(v, held, less), v.below(lesser))
            right = fn.fresh(f"sub i64 {right}, {rest}")
            v.store(v.at("%target", right), self._compressed(v, held, other), v.below(rest))
            return [fn.fresh(f"add i64 {left}, {lesser}"), right]

        def turn(i: Value, c: list[Value]) -> list[Value]:
            left, right = c
            held = v.load(v.at("%source", i))
            less = less_than(held)
            lesser = self._count(v, less)
            parted = self._parted(v, held, less, lesser)
            v.store(v.at("%target", left), parted)
            v.store(v.at("%target", fn.fresh(f"sub i64 {right}, {lanes}")), parted)
            right = fn.fresh(f"sub i64 {right}, {fn.fresh(f'sub i64 {lanes}, {lesser}')}")
            return [fn.fresh(f"add i64 {left}, {lesser}"), right]

        size = fn.fresh("sub i64 %hi, %lo")
        whole = fn.fresh(f"add i64 %lo, {fn.fresh(f'and i64 {size}, {-lanes}')}")
        ends = fn.loop(whole, "%hi", lanes, [("i64", "%lo"), ("i64", "%hi")], few)
        left, _ = fn.loop("%lo", whole, lanes, list(zip(["i64"] * 2, ends, strict=True)), turn)
        fn.ret("i64", left)

    def _compressed(self, v: Vectors, held: Value, mask: Value) -> Value:
        name = f"llvm.experimental.vector.compress.v{self.lanes}i{self.bits}"
        v.fn.declare(v.kind, name, [v.kind, v.flags, v.kind])
        words = f"{v.kind} {held}, {v.flags} {mask}, {v.kind} poison"
        return v.fn.fresh(f"call {v.kind} @{name}({words})")

    def _count(self, v: Vectors, mask: Value) -> Value:
        fn, lanes = v.fn, self.lanes
        bits = fn.fresh(f"bitcast {v.flags} {mask} to i{lanes}")
        number = fn.call(f"i{lanes}", f"llvm.ctpop.i{lanes}", [(f"i{lanes}", bits)])
        return fn.fresh(f"zext i{lanes} {number} to i64")

    def _parted(self, v: Vectors, held: Value, less: Value, lesser: Value) -> Value:
        """The words of the mask, then the others. Of eight lanes a table has the order for every
        mask; of more the others are put behind by the expand instruction."""
        fn, lanes = v.fn, self.lanes
        if lanes == 8 and self.bits == 64:
            orders = [sorted((~m >> k & 1, k) for k in range(8)) for m in range(256)]
            numbers = ", ".join(
                f"i64 {int.from_bytes([k for _, k in order], 'little')}" for order in orders
            )
            table = self.module.constant("[256 x i64]", f"[{numbers}]")
            row = fn.fresh(f"zext i8 {fn.fresh(f'bitcast {v.flags} {less} to i8')} to i64")
            order = fn.fresh(f"load <8 x i8>, ptr {v.at(table, row)}")
            order = fn.fresh(f"zext <8 x i8> {order} to {v.kind}")
            name = "llvm.x86.avx512.permvar.di.512"
            return fn.call(v.kind, name, [(v.kind, held), (v.kind, order)])
        other = fn.fresh(f"xor {v.flags} {less}, splat (i1 true)")
        parts = [self._compressed(v, held, mask) for mask in (less, other)]
        behind = fn.fresh(f"shl i64 -1, {lesser}")
        behind = fn.fresh(
            f"bitcast i{lanes} {fn.fresh(f'trunc i64 {behind} to i{lanes}')} to {v.flags}"
        )
        name = f"llvm.x86.avx512.mask.expand.v{lanes}i{self.bits}"
        words = [(v.kind, parts[1]), (v.kind, parts[0]), (v.flags, behind)]
        return fn.call(v.kind, name, words)
