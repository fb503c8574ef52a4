"""Matrix products in tiles: the fallback where no library of NVIDIA's makes them.

A block makes a square of the result, each of its threads some rows of one column group. The summed
axis goes by in strips: all threads bring a strip of both operands into shared memory, meet, add
what they find there to their sums in registers, and meet again before the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from symgraph.loops.program import Buffer
from symgraph.loops.statements import (
    Alloc,
    Barrier,
    Fold,
    For,
    If,
    Kernel,
    Let,
    Param,
    Size,
    Stmt,
    Store,
)
from symgraph.lower.cuda.spread import divided_up
from symgraph.lower.nests import sizes_of
from symgraph.scalar import Expr, as_expr, const, load, node, product, var
from symgraph.scalar import functions as F

SIDE, DEPTH, EACH = 64, 16, 4  # of a block's square, of a strip, rows and columns of a thread
THREADS = (SIDE // EACH) ** 2


class _Operand(NamedTuple):
    """An operand of a batch of products: the parameter, whether it is turned round, its shape."""

    name: str
    turned: bool
    shape: tuple[Size, ...]


def product_kernel(name: str, operands: Sequence[Buffer], flags: tuple[bool, bool, bool]) -> Kernel:
    """The kernel of c = a b or, with the third flag, c += a b; the others say that a and b are
    turned round. Leading axes of size 1 are repeated along those of c."""
    dtype = operands[2].dtype
    modes = ("in", "in", "out")
    params = [
        Param(f"p{k}", dtype, b.shape, m)
        for k, (b, m) in enumerate(zip(operands, modes, strict=True))
    ]
    a, b = (_Operand(f"p{k}", flags[k], operands[k].shape) for k in (0, 1))
    body = _Product(a, b, operands[2].shape, dtype, flags[2]).body()
    return Kernel(name, tuple(params), sizes_of(body, params), body)


class _Product:
    def __init__(
        self, a: _Operand, b: _Operand, shape: tuple[Size, ...], dtype: str, adds: bool
    ) -> None:
        self.a, self.b, self.shape, self.dtype, self.adds = a, b, shape, dtype, adds
        self.m, self.n = (as_expr(s) for s in shape[-2:])
        self.k = as_expr(a.shape[-2 if a.turned else -1])
        self.block, self.thread = var("_block"), var("_thread")
        self.batch = [var(f"_batch{j}") for j in range(len(shape) - 2)]
        self.row, self.column = var("_row"), var("_column")
        self.sums = tuple(var(f"_sum{i}_{j}", dtype) for i in range(EACH) for j in range(EACH))

    def body(self) -> tuple[Stmt, ...]:
        down, along = (as_expr(divided_up(s, SIDE)) for s in self.shape[-2:])
        grid = product((*self.shape[:-2], down, along))
        tiles = [Alloc(t, self.dtype, (DEPTH, SIDE + 1)) for t in ("tile_a", "tile_b")]
        inside = (*self._place(down, along), self._strips(), *self._results())
        inner = For(self.thread, THREADS, "block", inside)
        return (For(self.block, grid, "grid", (*tiles, inner)),)

    def _place(self, down: Expr, along: Expr) -> list[Stmt]:
        """Where the block's square lies, and which matrices it is a square of."""
        rest: Expr = var("_rest")
        lets: list[Stmt] = []
        lets.append(Let(self.column, self.block % along * SIDE))
        lets.append(Let(rest, self.block // along))
        lets.append(Let(self.row, rest % down * SIDE))
        rest = rest // down
        for index, size in zip(reversed(self.batch), reversed(self.shape[:-2]), strict=True):
            lets.append(Let(index, rest % as_expr(size)))
            rest = rest // as_expr(size)
        return lets

    def _strips(self) -> Fold:
        strip = var("_strip")
        depth = strip * DEPTH
        body = (
            self._bring("tile_a", self.a, self.row, self.m, depth, not self.a.turned),
            self._bring("tile_b", self.b, self.column, self.n, depth, self.b.turned),
            Barrier(), self._sum(), Barrier(),
        )  # fmt: skip
        after = tuple(var(f"{s.attr}_after", self.dtype) for s in self.sums)
        zero = (const(0.0, self.dtype),) * len(self.sums)
        count = divided_up(self.k if not self.k.is_const else int(self.k.value), DEPTH)
        return Fold(self.sums, "next", strip, count, "serial", body, after, zero)

    def _bring(
        self, tile: str, x: _Operand, first: Expr, size: Expr, depth: Expr, depth_fast: bool
    ) -> For:
        """A strip of an operand into shared memory, read along its rows."""
        word = tile[-1]
        turn, q, d, at = (var(f"_{w}_{word}") for w in ("turn", "q", "depth", "at"))
        fast, slow = (DEPTH, SIDE) if depth_fast else (SIDE, DEPTH)
        inner, outer = q % fast, q // fast
        lets = (
            Let(q, self.thread + turn * THREADS),
            Let(d, inner if depth_fast else outer),
            Let(at, outer if depth_fast else inner),
        )
        there = F.and_(F.lt(depth + d, self.k), F.lt(first + at, size))
        left = x.name == "p0"
        pair = (first + at, depth + d) if left else (depth + d, first + at)
        value = self._load_if(x, there, pair)
        store = Store(tile, (d, at), value)
        return For(turn, fast * slow // THREADS, "serial", (*lets, store))

    def _load_if(self, x: _Operand, there: Expr, pair: tuple[Expr, Expr]) -> Expr:
        places = pair[::-1] if x.turned else pair
        lead = self.batch[len(self.batch) - (len(x.shape) - 2) :]
        batch = [const(0) if s == 1 else i for s, i in zip(x.shape[:-2], lead, strict=True)]
        return node("load_if", (there, *batch, *places), self.dtype, x.name)

    def _sum(self) -> Fold:
        """The products of a strip added to the sums of a thread."""
        d = var("_d")
        after = tuple(var(f"{s.attr}_after", self.dtype) for s in self.sums)
        down, along = self.thread // (SIDE // EACH), self.thread % (SIDE // EACH)
        lets, values = [], []
        for i in range(EACH):
            for t, place in (("a", down), ("b", along)):
                name = var(f"_{t}{i}", self.dtype)
                at = place * EACH + i if t == "a" else place + i * (SIDE // EACH)
                lets.append(Let(name, load(f"tile_{t}", (d, at), self.dtype)))
        for k, s in enumerate(after):
            a, b = (var(f"_{t}{n}", self.dtype) for t, n in (("a", k // EACH), ("b", k % EACH)))
            values.append(F.fma(a, b, s))
        return Fold(after, "next", d, DEPTH, "serial", tuple(lets), tuple(values), self.sums)

    def _results(self) -> list[Stmt]:
        """Each thread's sums to where they belong."""
        down, along = self.thread // (SIDE // EACH), self.thread % (SIDE // EACH)
        out: list[Stmt] = []
        for k, s in enumerate(self.sums):
            i = self.row + down * EACH + k // EACH
            j = self.column + along + k % EACH * (SIDE // EACH)
            at = (*self.batch, i, j)
            value = load("p2", at, self.dtype) + s if self.adds else s
            out.append(If(F.and_(F.lt(i, self.m), F.lt(j, self.n)), (Store("p2", at, value),)))
        return out
