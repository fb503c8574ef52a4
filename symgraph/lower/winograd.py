"""Convolutions by filters of 3x3 with fewer multiplications: Winograd's F(2x2, 3x3).

Two by two results see four by four elements of an image. In another basis,

    Y = A' ((G g G') * (B' d B)) A

each of sixteen pairs of elements is multiplied once, where directly four results take thirty-six
multiplications. Summed over the channels those are sixteen products of matrices, one for each plane
of the basis (`winograd_tiles.py`):

    channels first   M[filters, tiles] = U[filters, channels] V[channels, tiles]
    channels last    M[tiles, filters] = V[tiles, channels] U[channels, filters]

A block of rows of tiles is turned to the basis, multiplied and turned back while it lies in cache;
threads share the blocks.

Rounding: sums are a ninth as long as direct ones, and factors are sums of four elements, so errors
are about the same on the whole. They are errors of a tile: what lies in the four by four elements,
a large number or an infinity, is felt in all four results (docs/accuracy.md).

Sources: S. Winograd, "Arithmetic complexity of computations" (1980); A. Lavin and S. Gray, "Fast
algorithms for convolutional neural networks" (2016).
"""

from __future__ import annotations

from collections.abc import Sequence

from symgraph.loops.statements import Store
from symgraph.lower.convolution_frame import least, most
from symgraph.lower.convolution_steps import Steps, Turns
from symgraph.lower.kernels import nest
from symgraph.lower.winograd_tiles import BASIS, PLANES, TAPS, TILE, Tiles, both
from symgraph.scalar import Expr, as_expr, as_size, const, load, var
from symgraph.scalar import functions as F

SHARES = 4  # blocks that there are at least, where there are tiles enough


def forward(s: Steps, x: str, w: str, y: str) -> None:
    """The steps that make y from images and filters."""
    _Forward(s).steps(x, w, y)


def of_images(d: Sequence[Expr]) -> list[Expr]:
    """B'."""
    return [F.sub(d[0], d[2]), F.add(d[1], d[2]), F.sub(d[2], d[1]), F.sub(d[1], d[3])]


def _of_filters(g: Sequence[Expr]) -> list[Expr]:
    """G."""
    ends, half = F.add(g[0], g[2]), const(0.5, g[0].dtype)
    return [g[0], F.mul(half, F.add(ends, g[1])), F.mul(half, F.sub(ends, g[1])), g[2]]


def _to_results(m: Sequence[Expr]) -> list[Expr]:
    """A'."""
    return [F.add(F.add(m[0], m[1]), m[2]), F.sub(F.sub(m[1], m[2]), m[3])]


class _Forward(Tiles):
    def __init__(self, s: Steps) -> None:
        super().__init__(s)
        few, many, unit = self.heights()
        shares = (self.total + (SHARES - 1)) // SHARES
        each = least(most((shares + (unit - 1)) // unit * unit, few), many)
        self.set_height(least(each, most(self.total, const(1))))
        self.count = (self.total + (self.high - 1)) // self.high

    def steps(self, x: str, w: str, y: str) -> None:
        s, f = self.s, self.f
        target = y if self.even == f.out else s.scratch(f.layout.image(f.n, f.made, self.even))
        filters, rows = self._filters(w), self._rows()
        turns = Turns(s)
        at = [turns.take(name, rows=True) for name in rows]
        u = turns.take(filters)
        images = turns.take(s.view(x, self.in_pairs(f.n, f.own, f.sizes)))
        results = turns.give(s.view(target, self.in_pairs(f.n, f.made, self.even)))
        v, m = (turns.inner.scratch(self.planes(n)) for n in (f.own, f.made))
        self.turn(turns.inner, of_images, images, at, v, f.own, f.sizes, f.before, BASIS)
        if f.last:
            self.multiply(turns.inner, (v, u, m), (self.tiles, f.made, f.own))
        else:
            self.multiply(turns.inner, (u, v, m), (f.made, self.tiles, f.own))
        self._turn_back(turns.inner, m, at, results)
        s.steps.append(turns.loop(self.count, apart=True))
        if target != y:
            shape = f.layout.image(f.n, f.made, f.out)
            s.fill(shape, y, [target], lambda *i: load("p1", i, f.dtype))

    def _rows(self) -> list[str]:
        """The places of each row of tiles of a block. The last block ends with the last row, so it
        begins with rows that another one has too; and so does the last piece of a row."""
        s = self.s
        shape = [as_size(self.count), as_size(self.high)]
        block, r = var("_b"), var("_r")
        values = self.places(least(block * self.high, self.total - self.high) + r)
        if len(values) > 2:
            values[2] = least(values[2], as_expr(self.row) - self.across)
        found = [s.scratch(shape, "int64") for _ in values]
        body = tuple(Store(f"p{k}", (block, r), v) for k, v in enumerate(values))
        s.run(found, "o" * len(found), nest([block, r], shape, body))
        return found

    def _filters(self, w: str) -> str:
        """U = G g G'."""
        s, f = self.s, self.f
        c, o = var("_c"), var("_o")

        def tap(i: int, j: int) -> Expr:
            at = (const(i), const(j))
            return load("p1", (*at, c, o) if f.last else (o, c, *at), f.dtype)

        axes, sizes = ([c, o], [f.own, f.made]) if f.last else ([o, c], [f.made, f.own])
        lets, found = both(_of_filters, [[tap(i, j) for j in range(TAPS)] for i in range(TAPS)])
        target = s.scratch((PLANES, as_size(as_expr(sizes[0]) + 1), sizes[1]))
        stores = [Store("p0", (const(BASIS * i + j), *axes), found[i][j])
                  for i in range(BASIS) for j in range(BASIS)]  # fmt: skip
        source = s.view(w, f.layout.weights(f.made, f.own, f.kernel))
        s.run([target, source], "oi", nest(axes, sizes, (*lets, *stores), "vector"))
        return target

    def _turn_back(self, s: Steps, m: str, at: list[str], y: str) -> None:
        """Y = A' M A."""
        f = self.f
        o, r, t = var("_o"), var("_r"), var("_t")
        n, top, tile = self.at(r, t, len(at))
        source = f"p{len(at) + 1}"
        planes = [[load(source, self.place(BASIS * i + j, o, r, t), f.dtype) for j in range(BASIS)]
                  for i in range(BASIS)]  # fmt: skip
        lets, found = both(_to_results, planes)
        stores = [Store("p0", self.index(n, o, top + i, tile, j, self.even[1]), found[i][j])
                  for i in range(TILE) for j in range(TILE)]  # fmt: skip
        modes = f"o{'i' * len(at)}i"
        s.run([y, *at, m], modes, self.nest(o, f.made, r, t, (*lets, *stores)))
