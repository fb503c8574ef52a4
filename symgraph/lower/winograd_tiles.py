"""Tiles of images in Winograd's basis: how many, where they lie, and loops over a block of them.

A tile is two by two results of a convolution by filters of 3x3, which see four by four elements of
an image; each of the sixteen planes of the basis holds one number for each tile and channel:

    channels first   planes[plane, channel, tile]
    channels last    planes[plane, tile, channel]

A block is some rows of tiles of one or several images: few enough to stay in cache. Rows whose
length is not known are cut into pieces, so that the memory of a block is.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

from symgraph import config
from symgraph.ir.types import Size
from symgraph.loops.program import Call
from symgraph.loops.statements import Let, Stmt, Store
from symgraph.lower.convolution_frame import Frame, most, times
from symgraph.lower.convolution_steps import Steps
from symgraph.lower.kernels import nest
from symgraph.scalar import Expr, as_expr, as_size, const, load, load_if, var
from symgraph.scalar import functions as F

TILE, TAPS = 2, 3  # results, and elements of a filter, along an axis
BASIS = TILE + TAPS - 1
PLANES = BASIS * BASIS
CHANNELS = 16  # of images and of results that are worth it,
FEWEST = 16  # tiles of an image, or of all where their number is known,
VOLUME = 1 << 15  # and so many of all three multiplied
USUAL = 64  # tiles that an image of unknown size is taken to have
BUDGET = 1 << 20  # bytes of a block in the basis, both of images and of results
ENOUGH = 64  # tiles of a block that are worth reading the filters for
LANES = 16  # tiles that fill a vector
PIECE = 64  # tiles of a row of unknown length that stay together
DTYPE = "float32"  # who computes with doubles wants their digits

Line = Callable[[Sequence[Expr]], list[Expr]]  # what a change of basis does along one axis
Grid = Sequence[Sequence[Expr]]


def pays(f: Frame) -> bool:
    """Whether a convolution is of the kind, and has enough channels and tiles."""
    if not config.get("winograd") or f.dtype != DTYPE or f.groups != 1:
        return False
    if f.kernel != (TAPS, TAPS) or f.stride != (1, 1) or f.dilation != (1, 1):
        return False
    known = [f.own, f.made, *f.before]
    if not all(isinstance(n, int) for n in known) or min(f.own, f.made) < CHANNELS:
        return False
    tiles = USUAL
    if all(isinstance(n, int) for n in f.out):
        tiles = math.prod(-(-n // TILE) for n in f.out) * (f.n if isinstance(f.n, int) else 1)
    return tiles >= FEWEST and tiles * f.own * f.made >= VOLUME


def both(turned: Line, grid: Grid) -> tuple[list[Let], Grid]:
    """A change of basis along rows, then along columns, with names for all on the way."""
    body: list[Let] = []

    def named(grid: Grid, prefix: str) -> Grid:
        names = [[var(f"_{prefix}{i}{j}", x.dtype) for j, x in enumerate(row)]
                 for i, row in enumerate(grid)]  # fmt: skip
        for row, values in zip(names, grid, strict=True):
            body.extend(Let(name, x) for name, x in zip(row, values, strict=True))
        return names

    rows = named([turned(row) for row in grid], "y")
    columns = [turned(column) for column in zip(*rows, strict=True)]
    return body, named(list(zip(*columns, strict=True)), "z")


class Tiles:
    """The tiles of one convolution whose numbers of channels are known."""

    high: Expr  # rows of tiles in a block
    tiles: Size  # tiles in a block
    room: int  # for so many

    def __init__(self, s: Steps) -> None:
        self.s, self.f = s, s.f
        self.down, across = (_tiles(n) for n in s.f.out)
        self.even = tuple(as_size(as_expr(n) * TILE) for n in (self.down, across))
        self.row = self.across = across  # tiles of a row, and of the part of one that is a row here
        self.pieces = const(1)
        if not isinstance(across, int):
            self.pieces = as_expr(across) // PIECE + 1
            self.across = as_size((as_expr(across) + (self.pieces - 1)) // self.pieces)
        self.total = times(s.f.n, self.down, self.pieces)  # rows of tiles

    def heights(self) -> tuple[Expr, Expr, int]:
        """The least and most rows of tiles of a block, and what they are best a multiple of; makes
        room for so many. Rows of planes begin at whole vectors."""
        f, across = self.f, self.across
        tile = PLANES * 4 * (f.own + f.made)
        if not isinstance(across, int):
            self.room = -(-max(2 * ENOUGH, BUDGET // tile) // LANES) * LANES
            length = as_expr(across)
            return (length + (ENOUGH - 1)) // length, self.room // length, 1
        row = across * tile
        few = -(-ENOUGH // across)

        def cost(high: int) -> float:
            vectors = -(-high * across // LANES) * LANES / (high * across)
            return vectors * (1.05 if high * row > BUDGET else 1.0)

        many = min(range(max(2 * few, BUDGET // row), few - 1, -1), key=cost)
        unit = LANES // math.gcd(across, LANES)
        self.room = -(-many * across // LANES) * LANES
        return const(few), const(many), unit if many % unit == 0 else 1

    def set_height(self, high: Expr) -> None:
        """The rows of tiles of each block."""
        self.high, self.tiles = high, as_size(high * as_expr(self.across))

    def places(self, row: Expr) -> list[Expr]:
        """Of a row of tiles: its image, the row of results where it begins and, of a piece, how
        many tiles of the row are before it."""
        if self.row is self.across:
            return [row // self.down, row % self.down * TILE]
        rest = row % times(self.down, self.pieces)
        return [row // times(self.down, self.pieces), rest // self.pieces * TILE,
                rest % self.pieces * self.across]  # fmt: skip

    # memory ---------------------------------------------------------------------------------------

    def planes(self, channels: Size) -> tuple[Size, ...]:
        """The shape of a block in the basis. There is a row more than needed: planes a multiple of
        4096 bytes apart would compete for the same places of a cache."""
        if self.f.last:
            return PLANES, self.room + 1, channels
        return PLANES, as_size(as_expr(channels) + 1), self.room

    def place(self, plane: int, channel: Expr, r: Expr, t: Expr) -> tuple[Expr, ...]:
        """The index, there, of a channel of tile t in row r of the block."""
        tile = r * self.across + t
        return (const(plane), tile, channel) if self.f.last else (const(plane), channel, tile)

    def in_pairs(self, n: Size, channels: Size, sizes: Sequence[Size]) -> tuple[Size, ...]:
        """The shape of images whose columns are taken apart into even and odd ones."""
        h, w = sizes
        if self.f.last:
            return n, h, w, channels
        return (n, channels, h, as_size(as_expr(w) // 2), 2) if _is_even(w) else (n, channels, h, w)

    def index(self, n: Expr, c: Expr, row: Expr, t: Expr, first: int, w: Size) -> tuple[Expr, ...]:
        """The index, there, of the column ``first`` of tile t in a row of width w."""
        if self.f.last:
            return n, row, t * TILE + first, c
        if not _is_even(w):
            return n, c, row, t * TILE + first
        q, odd = divmod(first, 2)
        return n, c, row, t + q, const(odd)

    # loops ----------------------------------------------------------------------------------------

    def turn(
        self, s: Steps, turned: Line, images: str, at: Sequence[str], planes: str, channels: Size,
        sizes: Sequence[Size], before: Sequence[int], count: int,
    ) -> None:  # fmt: skip
        """Elements of images, ``count`` by ``count`` for each tile of a block, in the basis."""
        c, r, t = var("_c"), var("_r"), var("_t")
        n, top, tile = self.at(r, t, len(at))
        seen = [[self._seen(n, c, top + (i - before[0]), tile, j - before[1], sizes)
                 for j in range(count)] for i in range(count)]  # fmt: skip
        lets, found = both(turned, seen)
        target = f"p{len(at) + 1}"
        stores = [Store(target, self.place(BASIS * i + j, c, r, t), found[i][j])
                  for i in range(BASIS) for j in range(BASIS)]  # fmt: skip
        modes = f"i{'i' * len(at)}o"
        s.run([images, *at, planes], modes, self.nest(c, channels, r, t, (*lets, *stores)))

    def at(self, r: Expr, t: Expr, count: int) -> tuple[Expr, Expr, Expr]:
        """The image and the row of results of row r of a block, and the number in its row of the
        tile t; ``count``: of how many numbers these are listed."""
        n, top, *left = (load(f"p{k + 1}", (r,), "int64") for k in range(count))
        return n, top, left[0] + t if left else t

    def _seen(
        self, n: Expr, c: Expr, row: Expr, t: Expr, first: int, sizes: Sequence[Size]
    ) -> Expr:
        """An element of an image, 0 outside: in some row, and the column ``first`` of tile t."""
        h, w = sizes
        inside, column = [F.le(0, row), F.lt(row, as_expr(h))], t * TILE + first
        if first < 0:
            inside.append(F.le(0, column))
        known = isinstance(self.row, int) and isinstance(w, int)
        if not known or first + TILE * (self.row - 1) >= w:
            inside.append(F.lt(column, as_expr(w)))
        index = self.index(n, c, row, t, first, w)
        return load_if("p0", functools.reduce(F.and_, inside), index, self.f.dtype)

    def nest(
        self, channel: Expr, channels: Size, r: Expr, t: Expr, body: tuple[Let | Store, ...]
    ) -> tuple[Stmt, ...]:
        """The loops over a block, the innermost of which are vectors."""
        high = as_size(self.high)
        if self.f.last:
            return nest([r, t, channel], [high, self.across, channels], body, "vector")
        return nest([channel, r, t], [channels, high, self.across], body, "vector")

    def multiply(
        self, s: Steps, names: Sequence[str], sizes: Sequence[Size], turned: str = "",
        adds: int = 0,
    ) -> None:  # fmt: skip
        """names[2] = names[0] @ names[1] in every plane, or added to it; sizes are m, n, k, and the
        operand ``turned`` lies transposed."""
        none = s.scratch((1,), "int32")  # tables of places, of which there are none
        apart = {}
        for x, name in zip("abc", names, strict=True):
            rows, columns = s.b.buffers[name].shape[-2:]
            steps = (1, columns) if x == turned else (columns, 1)
            apart[x] = (*steps, as_size(times(rows, columns)), 0)
        m, n, k = sizes
        params = {
            "images": "", "batch": PLANES, "m": m, "n": n, "k": k, "groups": 1, "adds": adds,
            **apart, "run": 1,
        }  # fmt: skip
        buffers = names[0], names[1], none, none, names[2]
        s.steps.append(Call("convolution", buffers, tuple(params.items()), s.origins))


def _tiles(n: Size) -> Size:
    """The tiles over some results, one where there are none: they divide."""
    tiles = (as_expr(n) + (TILE - 1)) // TILE
    return as_size(tiles if isinstance(n, int) else most(tiles, const(1)))


def _is_even(w: Size) -> bool:
    """Whether a width is known to be."""
    if isinstance(w, int):
        return w % 2 == 0
    return w.op == "mul" and any(a is const(TILE) for a in w.args)
