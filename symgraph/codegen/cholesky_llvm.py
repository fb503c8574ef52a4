"""Derivatives of Cholesky factors in blocks: plain loops on the diagonal, BLAS beside it.

The algorithms are those of Murray, "Differentiation of the Cholesky decomposition" (2016), section
4: each costs two factorizations, where formulas with full products and solutions cost twelve. All
matrices lie in rows of n elements; BLAS sees them transposed.
"""

from __future__ import annotations

from typing import Any

from symgraph.codegen.lapack_writer import Writer
from symgraph.codegen.literals import constant, llvm_type
from symgraph.codegen.writer import Value

BLOCK = 24  # rows of a block; larger ones leave more to plain loops, smaller ones to small products


class Blocks:
    """Addresses and arithmetic inside matrices of n columns, and BLAS on their parts."""

    def __init__(self, w: Writer, k: int) -> None:
        self.w, self.fn, self.n = w, w.fn, w.values.uniform(w.shape(k)[-1])
        self.kind, self.of = llvm_type(w.dtype(k)), k
        self.one = constant(w.dtype(k), 1, 1.0)

    def scalar(self, x: float) -> Value:
        return self.w.place(self.kind, constant(self.w.dtype(self.of), 1, x))

    def integers(self, *sizes: Value) -> list[Value]:
        return [self.w.place("i64", s) for s in sizes]

    def at(self, base: Value, row: Value, column: Value) -> Value:
        """The address of an element."""
        fn = self.fn
        place = fn.val(f"add i64 {fn.val(f'mul i64 {row}, {self.n}')}, {column}")
        return fn.val(f"getelementptr {self.kind}, ptr {base}, i64 {place}")

    def load(self, base: Value, row: Value, column: Value) -> Value:
        return self.fn.fresh(f"load {self.kind}, ptr {self.at(base, row, column)}")

    def store(self, value: Value, base: Value, row: Value, column: Value) -> None:
        self.fn.raw(f"store {self.kind} {value}, ptr {self.at(base, row, column)}")

    def op(self, word: str, a: Value, b: Value) -> Value:
        return self.fn.fresh(f"{word} {self.kind} {a}, {b}")

    def less(self, a: Value, b: Value, c: Value) -> Value:
        """a - b c"""
        self.fn.declare(self.kind, f"llvm.fma.{self.short}", [self.kind] * 3)
        turned = self.fn.fresh(f"fneg {self.kind} {b}")
        words = f"{self.kind} {turned}, {self.kind} {c}, {self.kind} {a}"
        return self.fn.fresh(f"call {self.kind} @llvm.fma.{self.short}({words})")

    @property
    def short(self) -> str:
        return "f64" if self.kind == "double" else "f32"

    def gemm(
        self, c: Value, a: Value, b: Value, m: Value, n: Value, k: Value, ta: bool = False,
        tb: bool = False, alpha: float = -1.0, beta: float = 1.0, lead: str = "",
        lead_a: str = "", lead_b: str = "",
    ) -> None:  # fmt: skip
        """c [m, n] = alpha op(a) op(b) + beta c; rows are n elements long where not given"""
        w = self.w
        leads = self.integers(*(own or self.n for own in (lead_b, lead_a, lead)))
        letters = [w.letter("T" if t else "N") for t in (tb, ta)]
        sizes = self.integers(n, m, k)
        scale, old = self.scalar(alpha), self.scalar(beta)
        words = (scale, b, leads[0], a, leads[1], old, c, leads[2])
        w.call(w.routine("gemm", self.of), *letters, *sizes, *words)

    def solve(self, c: Value, d: Value, rows: Value, size: Value, turned: bool) -> None:
        """c [rows, size] = c d^-1, or c d^-T if ``turned``, with lower triangular d."""
        w, lead = self.w, self.integers(self.n)[0]
        letters = [w.letter(x) for x in ("L", "U", "T" if turned else "N", "N")]
        sizes, one = self.integers(size, rows), self.scalar(1.0)
        w.call(w.routine("trsm", self.of), *letters, *sizes, one, d, lead, c, lead)

    def each(self, body: Any, backwards: bool) -> None:
        """``body(first, size, end)`` for each block of rows, in one function if there is one."""
        fn, n = self.fn, self.n
        if n.isdigit() and int(n) <= BLOCK:
            body("0", n, n)
            return
        more = fn.val(f"add i64 {n}, {BLOCK - 1}")
        count = fn.val(f"udiv i64 {more}, {BLOCK}")

        def one(i: Value, _: list[Value]) -> list[Value]:
            k = fn.val(f"sub i64 {fn.val(f'sub i64 {count}, 1')}, {i}") if backwards else i
            first = fn.val(f"mul i64 {k}, {BLOCK}")
            rest = fn.val(f"sub i64 {n}, {first}")
            short = fn.val(f"icmp ult i64 {rest}, {BLOCK}")
            size = fn.val(f"select i1 {short}, i64 {rest}, i64 {BLOCK}")
            body(first, size, fn.val(f"add i64 {first}, {size}"))
            return []

        fn.loop(0, count, 1, [], one)

    def sub(self, a: Value, b: Value) -> Value:
        if a.isdigit() and b.isdigit():
            return str(int(a) - int(b))
        return self.fn.val(f"sub i64 {a}, {b}")

    def some(self, size: Value, then: Any) -> None:
        """``then()`` unless a size is 0."""
        if size.isdigit():
            if size != "0":
                then()
            return
        self.fn.if_(self.fn.val(f"icmp ne i64 {size}, 0"), then)


# pulling back -------------------------------------------------------------------------------------


def pull(w: Writer, params: dict[str, Any]) -> Value:
    """Operands l, g: the lower triangle of g, a cotangent of the factor l, becomes that of the
    lower triangle of the matrix."""
    b = Blocks(w, 1)

    def turn(at: list[Value]) -> None:
        factor, bar = at

        def block(j: Value, q: Value, k: Value) -> None:
            p = b.sub(b.n, k)
            d, dbar = b.at(factor, j, j), b.at(bar, j, j)
            c, cbar = b.at(factor, k, j), b.at(bar, k, j)
            r, rbar = b.at(factor, j, "0"), b.at(bar, j, "0")

            def below() -> None:
                b.solve(cbar, d, p, q, False)
                b.gemm(dbar, cbar, c, q, q, p, ta=True)
                b.some(j, beside)

            def beside() -> None:
                low, lowbar = b.at(factor, k, "0"), b.at(bar, k, "0")
                b.gemm(lowbar, cbar, r, p, j, q)
                b.gemm(rbar, cbar, low, q, j, p, ta=True)

            b.some(p, below)
            _pull_block(b, d, dbar, q)
            b.some(j, lambda: _symmetric_product(b, rbar, dbar, r, q, j))

        b.each(block, True)

    return w.batch((2, 2), turn, 1)


def _symmetric_product(b: Blocks, c: Value, s: Value, r: Value, q: Value, j: Value) -> None:
    """c -= (s + s^T) r of lower triangular s."""
    _scale_diagonal(b, s, q, 2.0)
    w, lead = b.w, b.integers(b.n)[0]
    letters, sizes = [w.letter("R"), w.letter("U")], b.integers(j, q)
    words = (b.scalar(-1.0), s, lead, r, lead, b.scalar(1.0), c, lead)
    w.call(w.routine("symm", b.of), *letters, *sizes, *words)
    _scale_diagonal(b, s, q, 0.5)


def _scale_diagonal(b: Blocks, s: Value, q: Value, by: float) -> None:
    def one(i: Value, _: list[Value]) -> list[Value]:
        b.store(b.op("fmul", b.load(s, i, i), constant(b.w.dtype(b.of), 1, by)), s, i, i)
        return []

    b.fn.loop(0, q, 1, [], one)


def _pull_block(b: Blocks, low: Value, bar: Value, q: Value) -> None:
    """Murray's section 4.1: the factorization of one block row by row, run backwards."""
    fn, half, two = b.fn, constant(b.w.dtype(b.of), 1, 0.5), constant(b.w.dtype(b.of), 1, 2.0)

    def row(step: Value, _: list[Value]) -> list[Value]:
        j = b.sub(b.sub(q, "1"), step)
        after = fn.val(f"add i64 {j}, 1")
        pivot = b.load(low, j, j)

        def scaled(i: Value, carried: list[Value]) -> list[Value]:
            value = b.op("fdiv", b.load(bar, i, j), pivot)
            b.store(value, bar, i, j)
            return [b.less(carried[0], b.load(low, i, j), value)]

        (total,) = fn.loop(after, q, 1, [(b.kind, b.load(bar, j, j))], scaled)
        mine = b.op("fdiv", b.op("fmul", total, half), pivot)
        b.store(mine, bar, j, j)
        twice = b.op("fmul", mine, two)

        def beside(m: Value, _: list[Value]) -> list[Value]:
            value = b.less(b.load(bar, j, m), twice, b.load(low, j, m))
            b.store(value, bar, j, m)
            return []

        fn.loop(0, j, 1, [], beside)

        def later(i: Value, _: list[Value]) -> list[Value]:
            c = b.load(bar, i, j)

            def one(m: Value, _: list[Value]) -> list[Value]:
                b.store(b.less(b.load(bar, j, m), c, b.load(low, i, m)), bar, j, m)
                b.store(b.less(b.load(bar, i, m), c, b.load(low, j, m)), bar, i, m)
                return []

            fn.loop(0, j, 1, [], one)
            return []

        fn.loop(after, q, 1, [], later)
        return []

    fn.loop(0, q, 1, [], row)


# pushing forward ----------------------------------------------------------------------------------


def push(w: Writer, params: dict[str, Any]) -> Value:
    """Operands l, t: the lower triangle of t, a tangent of the matrix, becomes that of its factor;
    above it are zeros."""
    b = Blocks(w, 1)

    def turn(at: list[Value]) -> None:
        factor, dot = at

        def block(j: Value, q: Value, k: Value) -> None:
            p = b.sub(b.n, k)
            d, ddot = b.at(factor, j, j), b.at(dot, j, j)
            c, cdot = b.at(factor, k, j), b.at(dot, k, j)
            r, rdot = b.at(factor, j, "0"), b.at(dot, j, "0")

            def before() -> None:
                words = (b.scalar(-1.0), r, lead, rdot, lead, b.scalar(1.0), ddot, lead)
                letters = [w.letter("U"), w.letter("T")]
                w.call(w.routine("syr2k", 1), *letters, *b.integers(q, j), *words)

            def below() -> None:
                def beside() -> None:
                    b.gemm(cdot, b.at(dot, k, "0"), r, p, q, j, tb=True)
                    b.gemm(cdot, b.at(factor, k, "0"), rdot, p, q, j, tb=True)

                b.some(j, beside)
                b.gemm(cdot, c, ddot, p, q, q, tb=True)
                b.solve(cdot, d, p, q, True)

            lead = b.integers(b.n)[0]
            b.some(j, before)
            _push_block(b, d, ddot, q)
            b.some(p, below)

        b.each(block, False)

    return w.batch((2, 2), turn, 1)


def _push_block(b: Blocks, low: Value, dot: Value, q: Value) -> None:
    """The factorization of one block column by column, with its derivative."""
    fn, two = b.fn, constant(b.w.dtype(b.of), 1, 2.0)

    def column(j: Value, _: list[Value]) -> list[Value]:
        pivot = b.load(low, j, j)

        def row(i: Value, diagonal: Value | None) -> Value:
            def one(m: Value, carried: list[Value]) -> list[Value]:
                value = b.less(carried[0], b.load(dot, i, m), b.load(low, j, m))
                return [b.less(value, b.load(low, i, m), b.load(dot, j, m))]

            (total,) = fn.loop(0, j, 1, [(b.kind, b.load(dot, i, j))], one)
            if diagonal is None:
                return b.op("fdiv", total, b.op("fmul", pivot, two))
            return b.op("fdiv", b.less(total, b.load(low, i, j), diagonal), pivot)

        mine = row(j, None)
        b.store(mine, dot, j, j)

        def below(i: Value, _: list[Value]) -> list[Value]:
            b.store(row(i, mine), dot, i, j)
            return []

        fn.loop(fn.val(f"add i64 {j}, 1"), q, 1, [], below)
        return []

    fn.loop(0, q, 1, [], column)


# products -----------------------------------------------------------------------------------------


def lower_product(w: Writer, params: dict[str, Any]) -> Value:
    """Operands a, t, y: block columns of y = op(a) t on and below the diagonal, of lower triangular
    t; op transposes for ``ta``."""
    b = Blocks(w, 2)

    def turn(at: list[Value]) -> None:
        a, t, y = at

        def block(j: Value, q: Value, k: Value) -> None:
            rest = b.sub(b.n, j)
            left, right, out = (b.at(x, j, j) for x in (a, t, y))
            b.gemm(out, left, right, rest, q, rest, ta=params["ta"], alpha=1.0, beta=0.0)

        b.each(block, False)

    return w.batch((2, 2, 2), turn, 2)
