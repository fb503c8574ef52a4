"""Gradients of filters of 3x3 in Winograd's basis (`winograd.py`):

    dg = G' (sum over tiles of (A dY A') * (B' d B)) G

which are sixteen products of matrices over the tiles, one for each plane:

    channels first   dU[filters, channels] = W[filters, tiles] V[channels, tiles]'
    channels last    dU[channels, filters] = V[tiles, channels]' W[tiles, filters]

Threads share slices of the tiles. A slice is done in blocks, whose products add up in cache; the
sums of slices are added in their order, whose number depends on sizes alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgraph.loops.program import Call, Loop
from symgraph.loops.statements import Fold, Stmt, Store
from symgraph.lower.convolution_frame import least, most
from symgraph.lower.convolution_steps import Steps, Turns
from symgraph.lower.kernels import nest
from symgraph.lower.winograd import of_images
from symgraph.lower.winograd_tiles import BASIS, PLANES, TAPS, TILE, Tiles, both
from symgraph.scalar import Expr, as_expr, as_size, const, load, var
from symgraph.scalar import functions as F

SLICES, FEW = 16, 4  # at most and, where there are so many blocks, at least
EACH = 4  # blocks of a slice before there are more slices than that
MEMORY, LEAST = 8 << 20, 2  # bytes of their sums, and slices that may have more


def weights(s: Steps, x: str, w: str, y: str) -> None:
    """The steps that make w from images and the gradient of results."""
    _Weights(s).steps(x, w, y)


def _of_results(y: Sequence[Expr]) -> list[Expr]:
    """A."""
    return [y[0], F.add(y[0], y[1]), F.sub(y[0], y[1]), F.neg(y[1])]


def _to_filters(u: Sequence[Expr]) -> list[Expr]:
    """G'."""
    half = const(0.5, u[0].dtype)
    mean, apart = F.mul(half, F.add(u[1], u[2])), F.mul(half, F.sub(u[1], u[2]))
    return [F.add(u[0], mean), apart, F.add(mean, u[3])]


class _Weights(Tiles):
    def __init__(self, s: Steps) -> None:
        super().__init__(s)
        f = s.f
        _, many, unit = self.heights()
        blocks = most((self.total + (many - 1)) // many, const(1))
        room = MEMORY // (PLANES * 4 * f.own * f.made)
        several = least(most(blocks // EACH, const(FEW)), const(min(SLICES, max(room, LEAST))))
        self.slices = least(blocks, several)
        self.each = (blocks + (self.slices - 1)) // self.slices  # blocks of a slice
        count = self.slices * self.each
        even = most((self.total + (count - 1)) // count, const(1))
        self.set_height((even + (unit - 1)) // unit * unit)
        rows, columns = (f.own, f.made) if f.last else (f.made, f.own)
        self.shape = PLANES, as_size(as_expr(rows) + 1), columns

    def steps(self, x: str, w: str, y: str) -> None:
        s, f = self.s, self.f
        images = s.view(x, self.in_pairs(f.n, f.own, f.sizes))
        results = s.view(y, self.in_pairs(f.n, f.made, f.out))
        sums = s.scratch((as_size(self.slices), *self.shape))
        rows = self._rows()
        turns = Turns(s)
        given = [turns.take(images), turns.take(results)]
        given += [turns.take(name, rows=True) for name in rows]
        first, others = self._blocks(turns.inner, given, turns.give(sums, rows=True))
        turns.inner.steps += [first, others]
        s.steps.append(turns.loop(self.slices, apart=True))
        self._filters(sums, w)

    def _rows(self) -> list[str]:
        """The places of each row of tiles of a block; after the last one rows of no image, which
        are zeros."""
        s, f = self.s, self.f
        shape = [as_size(n) for n in (self.slices, self.each, self.high)]
        # below the images, yet near: an address without memory is dear beneath a mask too
        below = most(as_expr(f.out[0]), as_expr(f.sizes[0]) + f.before[0]) + BASIS
        part, block, r = var("_s"), var("_b"), var("_r")
        row = (part * self.each + block) * self.high + r
        there = F.lt(row, self.total)
        values = [F.select(there, value, below if k == 1 else const(0))
                  for k, value in enumerate(self.places(row))]  # fmt: skip
        found = [s.scratch(shape, "int64") for _ in values]
        body = tuple(Store(f"p{k}", (part, block, r), v) for k, v in enumerate(values))
        s.run(found, "o" * len(found), nest([part, block, r], shape, body))
        return found

    def _blocks(self, s: Steps, given: Sequence[str], sums: str) -> tuple[Loop, Loop]:
        """The first block of a slice, and the others, whose products are added to its."""
        f = self.f
        turns = Turns(s)
        x, y = (turns.take(name) for name in given[:2])
        at = [turns.take(name, rows=True) for name in given[2:]]
        du = turns.give(sums)
        v, w = (turns.inner.scratch(self.planes(n)) for n in (f.own, f.made))
        self.turn(turns.inner, of_images, x, at, v, f.own, f.sizes, f.before, BASIS)
        self.turn(turns.inner, _of_results, y, at, w, f.made, f.out, (0, 0), TILE)
        if f.last:
            self.multiply(turns.inner, (v, w, du), (f.own, f.made, self.tiles), turned="a")
        else:
            self.multiply(turns.inner, (w, v, du), (f.made, f.own, self.tiles), turned="b")
        first = turns.loop(const(1))
        product = first.body.steps[-1]
        assert isinstance(product, Call)
        adding = product._replace(params=tuple({**dict(product.params), "adds": 1}.items()))
        body = first.body._replace(steps=(*first.body.steps[:-1], adding))
        rows = tuple(r._replace(start=1) if r.rows else r for r in first.rows)
        return first, Loop(as_size(self.each - 1), body, rows, ())

    def _filters(self, sums: str, w: str) -> None:
        """dg = G' dU G, of the sums of all slices."""
        s, f = self.s, self.f
        c, o, part = var("_c"), var("_o"), var("_s")
        axes, sizes = ([c, o], [f.own, f.made]) if f.last else ([o, c], [f.made, f.own])
        names = [[var(f"_u{i}{j}", f.dtype) for j in range(BASIS)] for i in range(BASIS)]
        body: list[Stmt] = []
        for k in range(PLANES):
            one = load("p1", (part, const(k), *axes), f.dtype)
            name = names[k // BASIS][k % BASIS]
            body.append(Fold((name,), "add", part, as_size(self.slices), "serial", (), (one,)))
        lets, found = both(_to_filters, names)
        body += lets
        for i in range(TAPS):
            for j in range(TAPS):
                at = (const(i), const(j))
                index = (*at, c, o) if f.last else (o, c, *at)
                body.append(Store("p0", index, found[i][j]))
        target = s.view(w, f.layout.weights(f.made, f.own, f.kernel))
        s.run([target, sums], "oi", nest(axes, sizes, tuple(body), "vector"))
