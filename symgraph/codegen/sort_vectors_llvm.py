"""Loads and stores of whole registers and of their first lanes, for sorting."""

from __future__ import annotations

from collections.abc import Callable

from symgraph.codegen.literals import lane_numbers
from symgraph.codegen.writer import FunctionWriter, Value

TOGETHER = 2  # registers of one turn of a loop: fewer turns, where nothing else is optimised


class Vectors:
    """Loads and stores of words, so many lanes at a time, in one function."""

    def __init__(self, fn: FunctionWriter, bits: int, lanes: int) -> None:
        self.fn, self.bits, self.lanes = fn, bits, lanes
        self.kind, self.flags = f"<{lanes} x i{bits}>", f"<{lanes} x i1>"

    def at(self, base: Value, index: Value, bits: int = 0) -> Value:
        """The address of a word of so many bits."""
        return self.fn.fresh(f"getelementptr i{bits or self.bits}, ptr {base}, i64 {index}")

    def splat(self, value: Value, bits: int = 0) -> Value:
        """A word in all lanes."""
        kind = f"<{self.lanes} x i{bits or self.bits}>"
        first = self.fn.fresh(f"insertelement {kind} poison, i{bits or self.bits} {value}, i64 0")
        zeros = f"<{self.lanes} x i32> zeroinitializer"
        return self.fn.fresh(f"shufflevector {kind} {first}, {kind} poison, {zeros}")

    def below(self, count: Value) -> Value:
        """The first lanes."""
        numbers = lane_numbers(self.lanes)
        return self.fn.fresh(f"icmp slt <{self.lanes} x i64> {numbers}, {self.splat(count, 64)}")

    def load(self, where: Value, mask: Value = "", other: int = -1, bits: int = 0) -> Value:
        """Words of so many bits; under a mask, ``other`` in the lanes that are not loaded."""
        bits = bits or self.bits
        kind = f"<{self.lanes} x i{bits}>"
        if not mask:
            return self.fn.fresh(f"load {kind}, ptr {where}, align {bits // 8}")
        name = f"llvm.masked.load.v{self.lanes}i{bits}.p0"
        self.fn.declare(kind, name, ["ptr", "i32", self.flags, kind])
        words = f"ptr {where}, i32 {bits // 8}, {self.flags} {mask}, {kind} splat (i{bits} {other})"
        return self.fn.fresh(f"call {kind} @{name}({words})")

    def store(self, where: Value, value: Value, mask: Value = "", bits: int = 0) -> None:
        """Store words of so many bits, or those of the mask."""
        bits = bits or self.bits
        kind = f"<{self.lanes} x i{bits}>"
        if not mask:
            self.fn.raw(f"store {kind} {value}, ptr {where}, align {bits // 8}")
            return
        name = f"llvm.masked.store.v{self.lanes}i{bits}.p0"
        self.fn.declare("void", name, [kind, "ptr", "i32", self.flags])
        words = f"{kind} {value}, ptr {where}, i32 {bits // 8}, {self.flags} {mask}"
        self.fn.raw(f"call void @{name}({words})")

    def each(
        self, count: Value, body: Callable[[Value, Value, list[Value]], list[Value]],
        carried: list[tuple[str, Value]] | None = None,
        rest: Callable[[Value, Value], None] | None = None,
    ) -> list[Value]:  # fmt: skip
        """``body(index, mask, carried)`` for all registers of so many words, some of them in each
        turn; the result are the carried values at the end. The last register overlaps the one
        before it, as loads under a mask are slow where they cross a cache line, and what is
        written under a mask cannot be read at once; words that fill none are done under a mask.
        ``rest(index, begin)`` does a register that begins earlier than its index."""
        fn, lanes, carried = self.fn, self.lanes, carried or []
        kinds = [kind for kind, _ in carried]
        last = fn.fresh(f"sub i64 {count}, {lanes}")

        def several(i: Value, c: list[Value]) -> list[Value]:
            for k in range(TOGETHER):
                c = body(fn.fresh(f"add i64 {i}, {k * lanes}") if k else i, "", c)
            return c

        def one(i: Value, c: list[Value]) -> list[Value]:
            begin = fn.call("i64", "llvm.smin.i64", [("i64", i), ("i64", last)])
            if rest is None:
                return body(begin, "", c)
            rest(i, begin)
            return c

        def many() -> list[Value]:
            whole = fn.fresh(f"and i64 {count}, {-TOGETHER * lanes}")
            found = fn.loop("0", whole, TOGETHER * lanes, carried, several)
            return fn.loop(whole, count, lanes, list(zip(kinds, found, strict=True)), one)

        def few() -> list[Value]:
            return body("0", self.below(count), [value for _, value in carried])

        return fn.if_(fn.fresh(f"icmp sge i64 {last}, 0"), many, few, kinds)
