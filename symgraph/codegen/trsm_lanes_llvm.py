"""Triangular systems of many small matrices, one system in each lane (`in_lanes_llvm.py`).

Substitution, row by row; each element of a row is one chain of multiplications and additions. What
is solved for lies in the result's memory, which is solved in place.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from symgraph import dtypes
from symgraph.codegen.in_lanes_llvm import MOST, Group, emit_groups, kernel_text
from symgraph.codegen.tables import Table
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.program import Buffer


class _Systems(Group):
    """The text of a kernel; the third word of its context is where to note a 0 in a diagonal, the
    last one how many columns the right sides have."""

    def __init__(self, fn: FunctionWriter, dtype: str, vector_bits: int) -> None:
        super().__init__(fn, dtype, vector_bits, more=1)
        (self.columns,) = self.more
        self.right = (
            fn.slot(self.kind, MOST * MOST + self.lanes), fn.slot("ptr", self.lanes, 8),
            fn.val(f"mul i64 {self.n}, {self.columns}"),
        )  # fmt: skip

    def point_inside(self) -> None:
        super().point_inside()
        with self.of_right():
            super().point_inside()

    @contextmanager
    def of_right(self) -> Iterator[None]:
        """The right sides in the place of the matrices."""
        own = self.held, self.inside, self.whole
        self.held, self.inside, self.whole = self.right
        yield
        self.held, self.inside, self.whole = own

    def right_at(self, row: Value, column: Value) -> Value:
        """Where a vector of elements of the right sides is."""
        place = self.fn.val(f"add i64 {self.fn.val(f'mul i64 {row}, {self.columns}')}, {column}")
        return self.fn.val(f"getelementptr {self.kind}, ptr {self.right[0]}, i64 {place}")

    def substitute(self, low: bool, trans: bool, unit: bool) -> Value:
        """The solutions in the place of the right sides; lanes with a 0 in the diagonal."""
        fn = self.fn
        last = fn.val(f"sub i64 {self.n}, 1")

        def turned(step: Value) -> Value:
            return step if low != trans else fn.val(f"sub i64 {last}, {step}")

        def row(step: Value, failed: list[Value]) -> list[Value]:
            i = turned(step)
            pivot = "" if unit else self.load(self.at(i, i))

            def column(c: Value, _: list[Value]) -> list[Value]:
                def before(earlier: Value, carried: list[Value]) -> list[Value]:
                    j = turned(earlier)
                    factor = self.load(self.at(j, i) if trans else self.at(i, j))
                    known = self.load(self.right_at(j, c))
                    return [self.op("fma", self.op("fneg", factor), known, carried[0])]

                place = self.right_at(i, c)
                value = fn.loop("0", step, 1, [(self.kind, self.load(place))], before)[0]
                self.store(value if unit else self.op("fdiv", value, pivot), place)
                return []

            fn.loop("0", self.columns, 1, [], column)
            if unit:
                return failed
            zero = fn.fresh(f"fcmp oeq {self.kind} {pivot}, zeroinitializer")
            return [fn.fresh(f"or {self.flags} {failed[0]}, {zero}")]

        return fn.loop("0", self.n, 1, [(self.flags, "zeroinitializer")], row)[0]


@functools.cache
def module_text(dtype: str, low: bool, trans: bool, unit: bool, vector_bits: int) -> str:
    """The module of the kernel."""

    def group(g: _Systems, first: Value, last: Value) -> None:
        g.point(g.a, first, last)
        g.blocks(outwards=False)
        with g.of_right():
            g.point(g.out, first, last)
            g.blocks(outwards=False)
        failed = g.substitute(low, trans, unit)
        note = f"store atomic i32 1, ptr {g.third} monotonic, align 4"
        g.fn.if_(g.any_of(failed), lambda: g.fn.raw(note), likely=False)
        with g.of_right():
            g.blocks(outwards=True)

    return kernel_text(lambda fn: _Systems(fn, dtype, vector_bits), group)


def emit_solutions(
    fn: FunctionWriter, table: Table, values: Values, name: str,
    operands: Sequence[tuple[Value, Buffer]], vector_bits: int, least: int,
) -> Value:  # fmt: skip
    """Call the kernel of that name for all systems; whether a diagonal holds a 0, as i1. ``least``:
    from how many nanoseconds of work on threads take part."""
    (a, held), _, (x, solved) = operands
    lanes = vector_bits // (8 * dtypes.itemsize(held.dtype))
    n, columns = map(values.uniform, solved.shape[-2:])
    count, failed = values.uniform(elements(held.shape[:-2])), fn.slot("i32", 1, 8)
    fn.raw(f"store i32 0, ptr {failed}")
    emit_groups(fn, table, name, (a, x, failed, n, count, columns), lanes, least)
    return fn.fresh(f"icmp ne i32 {fn.fresh(f'load i32, ptr {failed}')}, 0")
