"""Cholesky factors of many small matrices, one matrix in each lane (`in_lanes_llvm.py`).

A column is made of dot products of rows before it (left-looking), TILE rows at a time; the last
tile runs over the end of the matrix, into rows of zeros.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from symgraph import dtypes
from symgraph.codegen.in_lanes_llvm import SPARE, Group, emit_groups, kernel_text
from symgraph.codegen.tables import Table
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.program import Buffer

TILE = SPARE + 1  # rows whose dot products run beside each other


class _Factors(Group):
    """The text of a kernel; the third word of its context is where to note a failure."""

    def lower(self, symmetrize: bool) -> None:
        """The lower triangle of what is factorised, and zeros above it."""
        fn = self.fn

        def row(i: Value, _: list[Value]) -> list[Value]:
            def column(j: Value, _: list[Value]) -> list[Value]:
                below, above = self.at(i, j), self.at(j, i)
                if symmetrize:
                    both = self.op("fadd", self.load(below), self.load(above))
                    self.store(self.op("fmul", both, self.number(0.5)), below)
                self.store("zeroinitializer", above)
                return []

            fn.loop("0", i, 1, [], column)
            return []

        fn.loop("1", self.n, 1, [], row)

    def factorise(self) -> Value:
        """The factors in the place of the lower triangles; the lanes that failed, as flags."""
        fn, kind = self.fn, self.kind

        def column(j: Value, carried: list[Value]) -> list[Value]:
            def tile(i: Value, c: list[Value]) -> list[Value]:
                values = self.dots(i, j)

                def first() -> list[Value]:
                    root = self.op("sqrt", values[0])
                    return [values[0], root, self.op("fdiv", self.number(1.0), root)]

                c = fn.if_(fn.val(f"icmp eq i64 {i}, {j}"), first, lambda: c, [kind] * 3)
                for t, value in enumerate(values):
                    row = fn.val(f"add i64 {i}, {t}")
                    self.store(self.op("fmul", value, c[2]), self.at(row, j))
                return c

            nothing = [(kind, "zeroinitializer")] * 3
            pivot, root, _ = fn.loop(j, self.n, TILE, nothing, tile)
            self.store(root, self.at(j, j))
            bad = fn.fresh(f"fcmp ole {kind} {pivot}, zeroinitializer")
            return [fn.fresh(f"or {self.flags} {carried[0]}, {bad}")]

        start = [(self.flags, "zeroinitializer")]
        return fn.loop("0", self.n, 1, start, column)[0]

    def note(self, failed: Value, nan: bool) -> None:
        """What becomes of lanes that failed: NaN, or a word to the caller."""
        fn = self.fn
        if not nan:
            fn.raw(f"store atomic i32 1, ptr {self.third} monotonic, align 4")
            return

        def spoil(place: Value) -> None:
            words = f"{self.flags} {failed}, {self.kind} {self.number(float('nan'))}, {self.kind}"
            self.store(fn.fresh(f"select {words} {self.load(place)}"), place)

        self.each(spoil)

    def dots(self, i: Value, j: Value) -> list[Value]:
        """Column j of rows i, i + 1 ... less what the columns before it contribute."""
        fn = self.fn
        rows = [fn.val(f"add i64 {i}, {t}") if t else i for t in range(TILE)]

        def term(k: Value, carried: list[Value]) -> list[Value]:
            other = self.op("fneg", self.load(self.at(j, k)))
            mine = [self.load(self.at(row, k)) for row in rows]
            return [self.op("fma", m, other, c) for m, c in zip(mine, carried, strict=True)]

        starts = [(self.kind, self.load(self.at(row, j))) for row in rows]
        return fn.loop("0", j, 1, starts, term)


@functools.cache
def module_text(dtype: str, symmetrize: bool, nan: bool, vector_bits: int) -> str:
    """The module of the kernel. ``nan``: a matrix that is not positive definite becomes NaN,
    otherwise it is noted."""

    def group(g: _Factors, first: Value, last: Value) -> None:
        g.point(g.a, first, last)
        g.blocks(outwards=False)
        rest = g.fn.val(f"mul i64 {g.n}, {TILE - 1}")
        g.each(lambda place: g.store("zeroinitializer", place), g.whole, rest)
        g.lower(symmetrize)
        failed = g.factorise()
        g.fn.if_(g.any_of(failed), lambda: g.note(failed, nan), likely=False)
        g.point(g.out, first, last)
        g.blocks(outwards=True)

    return kernel_text(lambda fn: _Factors(fn, dtype, vector_bits), group)


def emit_factors(
    fn: FunctionWriter, table: Table, values: Values, name: str,
    operands: Sequence[tuple[Value, Buffer]], vector_bits: int, least: int,
) -> Value:  # fmt: skip
    """Call the kernel of that name for all matrices; whether one failed, as i1. ``least``: from how
    many nanoseconds of work on threads take part."""
    (a, held), (out, _) = operands
    lanes = vector_bits // (8 * dtypes.itemsize(held.dtype))
    n, count = values.uniform(held.shape[-1]), values.uniform(elements(held.shape[:-2]))
    failed = fn.slot("i32", 1, 8)
    fn.raw(f"store i32 0, ptr {failed}")
    emit_groups(fn, table, name, (a, out, failed, n, count), lanes, least)
    return fn.fresh(f"icmp ne i32 {fn.fresh(f'load i32, ptr {failed}')}, 0")
