"""Between arrays and bundles: as many sequences as lanes, brought in, turned if need be, and back.

Vectors are numbered in a bundle: the real parts of number i are vector 2i, its imaginary parts
2i + 1. ``spread`` and ``turn`` say where the i-th real vector goes, to (spread i) xor turn: so real
numbers become complex ones, two of them one, and a turned sign of the exponent is the exchange of
real and imaginary parts on both ends.
"""

from __future__ import annotations

from symgraph import dtypes
from symgraph.codegen.fourier.pairs import Pairs
from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes, turn
from symgraph.codegen.literals import llvm_type
from symgraph.codegen.writer import FunctionWriter, Value

#: of all functions here: array and bundle, bytes between rows of the array, how many numbers,
#: how many lanes are there, where vectors go, the scale
PARAMS = [
    ("ptr", "array", ""), ("ptr", "bundle", ""), ("i64", "step", ""), ("i64", "count", ""),
    ("i64", "live", ""), ("i64", "spread", ""), ("i64", "turn", ""),
]  # fmt: skip


def params_of(dtype: str, name: str) -> list[tuple[str, str, str]]:
    """The parameters of a function."""
    return [*PARAMS, (llvm_type(dtype), "scale", "")] if name.endswith("out") else PARAMS


def write_end(fn: FunctionWriter, dtype: str, lanes: int, name: str) -> None:
    """Write what brings bundles in or back, one of ENDS_OF_BUNDLES: real numbers whose lanes lie
    beside each other, or in rows, of which ``count`` is that of real numbers. Complex ones beside
    each other are read and written by passes."""
    getattr(_End(fn, dtype, lanes), name)()


class _End:
    def __init__(self, fn: FunctionWriter, dtype: str, lanes: int) -> None:
        self.fn, self.ints, self.v = fn, Ints(fn), Lanes(fn, dtype, lanes)
        self.pairs, self.lanes = Pairs(self.v), lanes
        self.size = dtypes.itemsize(dtype)

    def row(self, i: Integer) -> Value:
        """Where row i of the array begins."""
        return self.fn.val(f"getelementptr i8, ptr %array, i64 {self.ints.mul(i, '%step')}")

    def vector(self, i: Integer) -> Value:
        """Where the i-th vector goes."""
        number = self.fn.val(f"xor i64 {self.ints.mul(i, '%spread')}, %turn")
        return self.v.at("%bundle", self.ints.mul(number, self.lanes))

    def scaled(self, value: Value) -> Value:
        return self.pairs.mul(value, self.v.splat("%scale"))

    # lanes beside each other ----------------------------------------------------------------------

    def reals_in(self) -> None:
        mask = self.v.first("%live")

        def one(i: Value, _: list[Value]) -> list[Value]:
            self.v.store(self.v.load(self.row(i), mask), self.vector(i))
            return []

        self.fn.loop("0", "%count", 1, [], one)

    def reals_out(self) -> None:
        mask = self.v.first("%live")

        def one(i: Value, _: list[Value]) -> list[Value]:
            self.v.store(self.scaled(self.v.load(self.vector(i))), self.row(i), mask)
            return []

        self.fn.loop("0", "%count", 1, [], one)

    # rows, turned ---------------------------------------------------------------------------------

    def places(self) -> list[Value]:
        """Where the rows are; in place of those that are not there the last one is named."""
        last = self.ints.sub("%live", 1)
        return [self.row(self.ints.min(k, last)) for k in range(self.lanes)]

    def rows_in(self) -> None:
        places = self.places()

        def block(first: Value, _: list[Value]) -> list[Value]:
            mask = self.v.first(self.ints.sub("%count", first))
            rows = [self.v.load(self.v.at(p, first), mask) for p in places]
            for k, value in enumerate(turn(self.v, rows)):
                self.v.store(value, self.vector(self.ints.add(first, k)))
            return []

        self.fn.loop("0", "%count", self.lanes, [], block)

    def rows_out(self) -> None:
        places, last = self.places(), self.ints.sub("%count", 1)

        def block(first: Value, _: list[Value]) -> list[Value]:
            mask = self.v.first(self.ints.sub("%count", first))
            numbers = [self.ints.min(self.ints.add(first, k), last) for k in range(self.lanes)]
            held = [self.v.load(self.vector(number)) for number in numbers]
            for place, row in zip(places, turn(self.v, held), strict=True):
                self.v.store(self.scaled(row), self.v.at(place, first), mask)
            return []

        self.fn.loop("0", "%count", self.lanes, [], block)
