"""LU factors of many small matrices, one matrix in each lane (`in_lanes_llvm.py`).

Elimination by rows with the largest element of each column as pivot, the first one of equals as in
LAPACK. Lanes have pivots in different rows: a row is exchanged in the lanes that have theirs there.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from symgraph import dtypes
from symgraph.codegen.in_lanes_llvm import MOST, Group, emit_groups, kernel_text
from symgraph.codegen.literals import llvm_type
from symgraph.codegen.scalar_llvm import splat
from symgraph.codegen.tables import Table
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.program import Buffer


class _Factors(Group):
    """The text of a kernel; the third word of its context is where the pivots go, as int64."""

    def __init__(self, fn: FunctionWriter, dtype: str, vector_bits: int) -> None:
        super().__init__(fn, dtype, vector_bits)
        self.count_type = "int64" if self.size == 8 else "int32"
        self.counts = llvm_type(self.count_type, self.lanes)
        self.pivots = fn.slot(self.counts, MOST)

    def each_row(self, i: Value) -> Value:
        """The number of a row in each lane."""
        short = i if self.size == 8 else self.fn.val(f"trunc i64 {i} to i32")
        return splat(self.fn, short, self.count_type, self.lanes)

    def factorise(self) -> None:
        """The factors in the place of the matrices."""
        fn = self.fn

        def step(k: Value, _: list[Value]) -> list[Value]:
            after = fn.val(f"add i64 {k}, 1")
            self._exchange(k, after, self._pivot(k, after))
            self._eliminate(k, after)
            return []

        fn.loop("0", self.n, 1, [], step)

    def _pivot(self, k: Value, after: Value) -> Value:
        """Where the largest element of column k is, from row k on."""
        fn, kind = self.fn, self.kind

        def row(i: Value, carried: list[Value]) -> list[Value]:
            size = self.op("fabs", self.load(self.at(i, k)))
            more = fn.fresh(f"fcmp ogt {kind} {size}, {carried[0]}")
            pairs = ((kind, size, carried[0]), (self.counts, self.each_row(i), carried[1]))
            return [fn.fresh(f"select {self.flags} {more}, {t} {a}, {t} {b}") for t, a, b in pairs]

        first = self.op("fabs", self.load(self.at(k, k)))
        start = [(kind, first), (self.counts, self.each_row(k))]
        _, pivot = fn.loop(after, self.n, 1, start, row)
        place = fn.val(f"getelementptr {self.counts}, ptr {self.pivots}, i64 {k}")
        fn.raw(f"store {self.counts} {pivot}, ptr {place}")
        return pivot

    def _exchange(self, k: Value, after: Value, pivot: Value) -> None:
        """Row k for the pivot's, in each lane."""
        fn, kind = self.fn, self.kind

        def row(i: Value, _: list[Value]) -> list[Value]:
            here = fn.fresh(f"icmp eq {self.counts} {pivot}, {self.each_row(i)}")

            def column(j: Value, _: list[Value]) -> list[Value]:
                places = self.at(k, j), self.at(i, j)
                a, b = map(self.load, places)
                for place, new, old in zip(places, (b, a), (a, b), strict=True):
                    words = f"{self.flags} {here}, {kind} {new}, {kind} {old}"
                    self.store(fn.fresh(f"select {words}"), place)
                return []

            def exchange() -> None:
                fn.loop("0", self.n, 1, [], column)

            fn.if_(self.any_of(here), exchange)
            return []

        fn.loop(after, self.n, 1, [], row)

    def _eliminate(self, k: Value, after: Value) -> None:
        """Rows after k less their part of row k; where the pivot is 0, all of them are."""
        fn, kind = self.fn, self.kind
        pivot = self.load(self.at(k, k))
        zero = fn.fresh(f"fcmp oeq {kind} {pivot}, zeroinitializer")
        words = f"{self.flags} {zero}, {kind} {self.number(1.0)}, {kind} {pivot}"
        pivot = fn.fresh(f"select {words}")

        def row(i: Value, _: list[Value]) -> list[Value]:
            place = self.at(i, k)
            part = self.op("fdiv", self.load(place), pivot)
            self.store(part, place)
            less = self.op("fneg", part)

            def column(j: Value, _: list[Value]) -> list[Value]:
                place = self.at(i, j)
                above = self.load(self.at(k, j))
                self.store(self.op("fma", less, above, self.load(place)), place)
                return []

            fn.loop(after, self.n, 1, [], column)
            return []

        fn.loop(after, self.n, 1, [], row)

    def give_pivots(self, first: Value, last: Value) -> None:
        """The pivots of a group's matrices, from the first on, none after the last."""
        fn, word = self.fn, f"i{8 * self.size}"

        def matrix(lane: Value, _: list[Value]) -> list[Value]:
            mine = fn.fresh(f"add i64 {first}, {lane}")
            number = fn.fresh(f"call i64 @llvm.smin.i64(i64 {mine}, i64 {last})")
            start = fn.fresh(f"mul i64 {number}, {self.n}")

            def one(k: Value, _: list[Value]) -> list[Value]:
                at = fn.fresh(f"add i64 {fn.fresh(f'mul i64 {k}, {self.lanes}')}, {lane}")
                source = fn.fresh(f"getelementptr {word}, ptr {self.pivots}, i64 {at}")
                value = fn.fresh(f"load {word}, ptr {source}")
                if self.size != 8:
                    value = fn.fresh(f"zext {word} {value} to i64")
                at = fn.fresh(f"add i64 {start}, {k}")
                target = fn.fresh(f"getelementptr i64, ptr {self.third}, i64 {at}")
                fn.raw(f"store i64 {value}, ptr {target}")
                return []

            fn.loop("0", self.n, 1, [], one)
            return []

        fn.loop("0", self.lanes, 1, [], matrix)


@functools.cache
def module_text(dtype: str, vector_bits: int) -> str:
    """The module of the kernel."""

    def group(g: _Factors, first: Value, last: Value) -> None:
        g.point(g.a, first, last)
        g.blocks(outwards=False)
        g.factorise()
        g.point(g.out, first, last)
        g.blocks(outwards=True)
        g.give_pivots(first, last)

    return kernel_text(lambda fn: _Factors(fn, dtype, vector_bits), group)


def emit_factors(
    fn: FunctionWriter, table: Table, values: Values, name: str,
    operands: Sequence[tuple[Value, Buffer]], vector_bits: int, least: int,
) -> Value:  # fmt: skip
    """Call the kernel of that name for all matrices; none fails. ``least``: from how many
    nanoseconds of work on threads take part."""
    (a, held), (lu, _), (pivots, _) = operands[0], *operands[-2:]
    lanes = vector_bits // (8 * dtypes.itemsize(held.dtype))
    n, count = values.uniform(held.shape[-1]), values.uniform(elements(held.shape[:-2]))
    emit_groups(fn, table, name, (a, lu, pivots, n, count), lanes, least)
    return "false"
