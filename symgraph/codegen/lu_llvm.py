"""Derivatives of LU factors in blocks: plain loops on the diagonal, BLAS beside it.

Elimination in blocks is p11 = l11 u11, l21 = a21 u11^-1, u12 = l11^-1 a12, and the same for
a22 - l21 u12. The routines run this with tangents, or backwards with cotangents; rows have been
swapped before. All matrices lie in rows of n elements; BLAS sees them transposed.
"""

from __future__ import annotations

from typing import Any

from symgraph.codegen.cholesky_llvm import BLOCK, Blocks
from symgraph.codegen.lapack_writer import Writer
from symgraph.codegen.writer import Value

ROOM = str(BLOCK)


class _Parts(Blocks):
    """The parts of the factors beside a block on the diagonal, and small matrices on the stack."""

    def small(self) -> Value:
        return self.fn.slot(self.kind, BLOCK * BLOCK)

    def in_small(self, base: Value, row: Value, column: Value) -> Value:
        place = self.fn.val(f"add i64 {self.fn.val(f'mul i64 {row}, {BLOCK}')}, {column}")
        return self.fn.val(f"getelementptr {self.kind}, ptr {base}, i64 {place}")

    def divide_left(self, c: Value, d: Value, size: Value, columns: Value, turned: bool) -> None:
        """c [size, columns] = l^-1 c, or l^-T c if ``turned``; d holds unit lower l."""
        self._solve(("R", "U", "T" if turned else "N", "U"), c, d, columns, size)

    def divide_right(self, c: Value, d: Value, rows: Value, size: Value, turned: bool) -> None:
        """c [rows, size] = c u^-1, or c u^-T if ``turned``; d holds upper u."""
        self._solve(("L", "L", "T" if turned else "N", "N"), c, d, size, rows)

    def _solve(self, letters: tuple[str, ...], c: Value, d: Value, m: Value, n: Value) -> None:
        w, lead = self.w, self.integers(self.n)[0]
        sizes, one = self.integers(m, n), self.scalar(1.0)
        words = [w.letter(x) for x in letters]
        w.call(w.routine("trsm", self.of), *words, *sizes, one, d, lead, c, lead)

    def each_element(self, q: Value, body: Any) -> None:
        """``body(i, m)`` for the elements of a block."""
        fn = self.fn

        def row(i: Value, _: list[Value]) -> list[Value]:
            fn.loop(0, q, 1, [], lambda m, _: body(i, m) or [])
            return []

        fn.loop(0, q, 1, [], row)


# pulling back -------------------------------------------------------------------------------------


def pull(w: Writer, params: dict[str, Any]) -> Value:
    """Operands lu, g: a cotangent g of the packed factors becomes that of the matrix."""
    b = _Parts(w, 1)
    left, right = b.small(), b.small()

    def turn(at: list[Value]) -> None:
        factor, bar = at

        def block(j: Value, q: Value, k: Value) -> None:
            p = b.sub(b.n, k)
            d, dbar = b.at(factor, j, j), b.at(bar, j, j)

            def beside() -> None:
                low, lowbar = b.at(factor, k, j), b.at(bar, k, j)
                up, upbar = b.at(factor, j, k), b.at(bar, j, k)
                rest = b.at(bar, k, k)
                b.gemm(lowbar, rest, up, p, q, p, tb=True)
                b.gemm(upbar, low, rest, q, p, p, ta=True)
                b.divide_left(upbar, d, q, p, True)
                b.divide_right(lowbar, d, p, q, True)
                b.gemm(left, upbar, up, q, q, p, tb=True, alpha=1.0, beta=0.0, lead=ROOM)
                b.gemm(right, low, lowbar, q, q, p, ta=True, alpha=1.0, beta=0.0, lead=ROOM)
                _subtract_triangles(b, dbar, left, right, q)

            b.some(p, beside)
            _pull_block(b, d, dbar, q)

        b.each(block, True)

    return w.batch((2, 2), turn, 1)


def _subtract_triangles(b: _Parts, c: Value, left: Value, right: Value, q: Value) -> None:
    """c -= tril(left, -1) + triu(right)"""
    fn = b.fn

    def one(i: Value, m: Value) -> None:
        below = fn.val(f"icmp ult i64 {m}, {i}")
        source = fn.val(f"select i1 {below}, ptr {left}, ptr {right}")
        value = fn.fresh(f"load {b.kind}, ptr {b.in_small(source, i, m)}")
        b.store(b.op("fsub", b.load(c, i, m), value), c, i, m)

    b.each_element(q, one)


def _pull_block(b: _Parts, lu: Value, bar: Value, q: Value) -> None:
    """Elimination of one block column by column, run backwards."""
    fn = b.fn

    def column(step: Value, _: list[Value]) -> list[Value]:
        r = b.sub(b.sub(q, "1"), step)
        after = fn.val(f"add i64 {r}, 1")
        pivot = b.load(lu, r, r)

        def below(i: Value, carried: list[Value]) -> list[Value]:
            def one(m: Value, total: list[Value]) -> list[Value]:
                return [b.less(total[0], b.load(bar, i, m), b.load(lu, r, m))]

            (total,) = fn.loop(after, q, 1, [(b.kind, b.load(bar, i, r))], one)
            value = b.op("fdiv", total, pivot)
            b.store(value, bar, i, r)
            return [b.less(carried[0], b.load(lu, i, r), value)]

        def beside(m: Value, _: list[Value]) -> list[Value]:
            c = b.load(lu, m, r)

            def one(i: Value, _: list[Value]) -> list[Value]:
                b.store(b.less(b.load(bar, r, i), c, b.load(bar, m, i)), bar, r, i)
                return []

            fn.loop(after, q, 1, [], one)
            return []

        (mine,) = fn.loop(after, q, 1, [(b.kind, b.load(bar, r, r))], below)
        b.store(mine, bar, r, r)
        fn.loop(after, q, 1, [], beside)
        return []

    fn.loop(0, q, 1, [], column)


# pushing forward ----------------------------------------------------------------------------------


def push(w: Writer, params: dict[str, Any]) -> Value:
    """Operands lu, t: a tangent t of the matrix becomes that of the packed factors."""
    b = _Parts(w, 1)
    left, right = b.small(), b.small()

    def turn(at: list[Value]) -> None:
        factor, dot = at

        def block(j: Value, q: Value, k: Value) -> None:
            p = b.sub(b.n, k)
            d, ddot = b.at(factor, j, j), b.at(dot, j, j)

            def beside() -> None:
                low, lowdot = b.at(factor, k, j), b.at(dot, k, j)
                up, updot = b.at(factor, j, k), b.at(dot, j, k)
                rest = b.at(dot, k, k)
                _split_triangles(b, ddot, left, right, q)
                b.gemm(updot, left, up, q, p, q, lead_a=ROOM)
                b.divide_left(updot, d, q, p, False)
                b.gemm(lowdot, low, right, p, q, q, lead_b=ROOM)
                b.divide_right(lowdot, d, p, q, False)
                b.gemm(rest, lowdot, up, p, p, q)
                b.gemm(rest, low, updot, p, p, q)

            _push_block(b, d, ddot, q)
            b.some(p, beside)

        b.each(block, False)

    return w.batch((2, 2), turn, 1)


def _split_triangles(b: _Parts, c: Value, left: Value, right: Value, q: Value) -> None:
    """left = tril(c, -1), right = triu(c)"""
    fn, zero = b.fn, "0.0"

    def one(i: Value, m: Value) -> None:
        below = fn.val(f"icmp ult i64 {m}, {i}")
        value = b.load(c, i, m)
        for base, own in ((left, (value, zero)), (right, (zero, value))):
            words = f"{b.kind} {own[0]}, {b.kind} {own[1]}"
            part = fn.val(f"select i1 {below}, {words}")
            fn.raw(f"store {b.kind} {part}, ptr {b.in_small(base, i, m)}")

    b.each_element(q, one)


def _push_block(b: _Parts, lu: Value, dot: Value, q: Value) -> None:
    """Elimination of one block column by column, with its derivative."""
    fn = b.fn

    def column(r: Value, _: list[Value]) -> list[Value]:
        after = fn.val(f"add i64 {r}, 1")
        pivot, moved = b.load(lu, r, r), b.load(dot, r, r)

        def below(i: Value, _: list[Value]) -> list[Value]:
            low = b.load(lu, i, r)
            value = b.op("fdiv", b.less(b.load(dot, i, r), low, moved), pivot)
            b.store(value, dot, i, r)

            def one(m: Value, _: list[Value]) -> list[Value]:
                rest = b.less(b.load(dot, i, m), value, b.load(lu, r, m))
                b.store(b.less(rest, low, b.load(dot, r, m)), dot, i, m)
                return []

            fn.loop(after, q, 1, [], one)
            return []

        fn.loop(after, q, 1, [], below)
        return []

    fn.loop(0, q, 1, [], column)
