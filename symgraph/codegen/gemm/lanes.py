"""The few instructions that products are made of: vectors of one length, and 64-bit integers with
literal operands folded."""

from __future__ import annotations

from collections.abc import Callable

from symgraph import dtypes
from symgraph.codegen.literals import llvm_type, suffix
from symgraph.codegen.writer import FunctionWriter, Value

Integer = Value | int


class Ints:
    """64-bit integers of one function; operands are values or Python integers.

    >>> fn = FunctionWriter("f", [("i64", "n", "")])
    >>> Ints(fn).mul(3, 4), Ints(fn).mul("%n", 1)
    (12, '%n')
    """

    def __init__(self, fn: FunctionWriter) -> None:
        self.fn = fn

    def _two(self, word: str, a: Integer, b: Integer) -> Integer:
        return self.fn.val(f"{word} i64 {a}, {b}")

    def add(self, a: Integer, b: Integer) -> Integer:
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        return b if a == 0 else a if b == 0 else self._two("add nsw", a, b)

    def sub(self, a: Integer, b: Integer) -> Integer:
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if b == 0 else self._two("sub nsw", a, b)

    def mul(self, a: Integer, b: Integer) -> Integer:
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        if a == 0 or b == 0:
            return 0
        return b if a == 1 else a if b == 1 else self._two("mul nsw", a, b)

    def div(self, a: Integer, b: Integer) -> Integer:
        """Of numbers that are not negative."""
        if isinstance(a, int) and isinstance(b, int):
            return a // b
        return a if b == 1 else self._two("udiv", a, b)

    def rest(self, a: Integer, b: Integer) -> Integer:
        """What is left of a number that is not negative."""
        return a % b if isinstance(a, int) and isinstance(b, int) else self._two("urem", a, b)

    def two_to(self, n: Integer) -> Integer:
        """The number whose bit n is set."""
        return 1 << n if isinstance(n, int) else self._two("shl", 1, n)

    def union(self, *bits: tuple[Integer, Value]) -> Integer:
        """The bits of those numbers whose flag is set."""
        found: Integer = 0
        for some, flag in bits:
            held = some if flag == "true" else self.pick(flag, some, 0)
            found = held if found == 0 else self._two("or", found, held)
        return found

    def ceil(self, a: Integer, b: Integer) -> Integer:
        """a / b rounded up."""
        return self.div(self.add(a, self.sub(b, 1)), b)

    def up(self, a: Integer, b: int) -> Integer:
        """a rounded up to a multiple of b."""
        return self.mul(self.ceil(a, b), b)

    def min(self, a: Integer, b: Integer) -> Integer:
        return self._of("slt", min, a, b)

    def max(self, a: Integer, b: Integer) -> Integer:
        return self._of("sgt", max, a, b)

    def _of(
        self, relation: str, of_numbers: Callable[[int, int], int], a: Integer, b: Integer
    ) -> Integer:
        """Without LLVM's intrinsics, which its fast selection of instructions has no way for."""
        if isinstance(a, int) and isinstance(b, int):
            return of_numbers(a, b)
        return self.pick(self.is_(relation, a, b), a, b)

    def is_(self, relation: str, a: Integer, b: Integer) -> Value:
        """An i1."""
        return self.fn.val(f"icmp {relation} i64 {a}, {b}")

    def pick(self, flag: Value, a: Integer, b: Integer) -> Integer:
        return self.fn.val(f"select i1 {flag}, i64 {a}, i64 {b}")


class Lanes:
    """Vectors of ``lanes`` elements of one dtype in one function."""

    def __init__(self, fn: FunctionWriter, dtype: str, lanes: int) -> None:
        self.fn, self.dtype, self.lanes = fn, dtype, lanes
        self.element, self.kind = llvm_type(dtype), llvm_type(dtype, lanes)
        self.flags = llvm_type("bool", lanes)
        self.size = dtypes.itemsize(dtype)

    def at(self, base: Value, index: Integer) -> Value:
        """The address of an element."""
        if index == 0:
            return base
        return self.fn.val(f"getelementptr {self.element}, ptr {base}, i64 {index}")

    def first(self, count: Integer) -> Value:
        """A mask of the first ``count`` lanes."""
        fn, n = self.fn, self.lanes
        numbers = "<" + ", ".join(f"i32 {k}" for k in range(n)) + ">"
        short = count if isinstance(count, int) else fn.val(f"trunc i64 {count} to i32")
        one = fn.val(f"insertelement <{n} x i32> poison, i32 {short}, i32 0")
        zeros = f"<{n} x i32> zeroinitializer"
        all_ = fn.val(f"shufflevector <{n} x i32> {one}, <{n} x i32> poison, {zeros}")
        return fn.val(f"icmp slt <{n} x i32> {numbers}, {all_}")

    def load(self, place: Value, mask: Value | None = None) -> Value:
        if mask is None:
            return self.fn.fresh(f"load {self.kind}, ptr {place}, align {self.size}")
        name = f"llvm.masked.load.{suffix(self.dtype, self.lanes)}.p0"
        self.fn.declare(self.kind, name, ["ptr", "i32", self.flags, self.kind])
        words = f"ptr {place}, i32 {self.size}, {self.flags} {mask}, {self.kind} zeroinitializer"
        return self.fn.fresh(f"call {self.kind} @{name}({words})")

    def store(self, value: Value, place: Value, mask: Value | None = None) -> None:
        if mask is None:
            self.fn.raw(f"store {self.kind} {value}, ptr {place}, align {self.size}")
            return
        name = f"llvm.masked.store.{suffix(self.dtype, self.lanes)}.p0"
        self.fn.declare("void", name, [self.kind, "ptr", "i32", self.flags])
        words = f"{self.kind} {value}, ptr {place}, i32 {self.size}, {self.flags} {mask}"
        self.fn.raw(f"call void @{name}({words})")

    def scalar(self, place: Value) -> Value:
        """One element."""
        return self.fn.fresh(f"load {self.element}, ptr {place}, align {self.size}")

    def splat(self, value: Value) -> Value:
        one = self.fn.val(f"insertelement {self.kind} poison, {self.element} {value}, i32 0")
        zeros = f"<{self.lanes} x i32> zeroinitializer"
        return self.fn.val(f"shufflevector {self.kind} {one}, {self.kind} poison, {zeros}")

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """a * b + c, rounded once."""
        args = [(self.kind, x) for x in (a, b, c)]
        return self.fn.call(self.kind, f"llvm.fma.{suffix(self.dtype, self.lanes)}", args)

    def add(self, a: Value, b: Value) -> Value:
        return self.fn.val(f"fadd {self.kind} {a}, {b}")

    def shuffle(self, a: Value, b: Value, picks: list[int]) -> Value:
        """A vector of elements of two, numbered through."""
        words = ", ".join(f"i32 {k}" for k in picks)
        pair = f"{self.kind} {a}, {self.kind} {b}"
        return self.fn.val(f"shufflevector {pair}, <{len(picks)} x i32> <{words}>")

    def total(self, value: Value) -> Value:
        """The sum of the lanes, in a fixed tree."""
        half, kind = self.lanes // 2, self.kind
        while half:
            words = ", ".join(f"i32 {k + half if k < half else k}" for k in range(self.lanes))
            mask = f"<{self.lanes} x i32> <{words}>"
            other = self.fn.val(f"shufflevector {kind} {value}, {kind} poison, {mask}")
            value = self.add(value, other)
            half //= 2
        return self.fn.val(f"extractelement {kind} {value}, i32 0")


def turn(v: Lanes, rows: list[Value]) -> list[Value]:
    """Rows of a matrix (a power of two) as its transpose, laid out in as many vectors: each round
    interleaves the first half with the second one, which rotates the bits of an element's number
    by one place."""
    half, n = len(rows) // 2, v.lanes
    low = [x for k in range(n // 2) for x in (k, n + k)]
    high = [x + n // 2 for x in low]
    rounds = len(rows).bit_length() - 1
    for _ in range(rounds):
        pairs = [(rows[i], rows[i + half]) for i in range(half)]
        rows = [v.shuffle(a, b, picks) for a, b in pairs for picks in (low, high)]
    return rows
