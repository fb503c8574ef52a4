"""Convolutions as products in tiles whose operands are read where they lie in the images.

    forward    y[o, at]   = sum over (c, taps) of  w[o, (c, taps)] * x[(c, taps), at]
    input      x[c, p]    = sum over (o, taps) of  w[c, (o, taps)] * y[(o, taps), p]
    weights    w[o, (c, taps)] = sum over (n, at) of  y[o, (n, at)] * x[(n, at), (c, taps)]

There is a product for each image and group, or for each group; with the channels last it is the
transposed one. The matrix of what the windows see is never made: its elements are found as they are
brought into shared memory (product_tiles.py). Few weights are sums of many terms: then blocks share
out the terms, and their parts are added in a second launch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgraph.ir.types import Size
from symgraph.loops.program import Buffer, Call, Run, Step
from symgraph.loops.statements import Fold, For, Kernel, Param, Stmt, Store
from symgraph.lower.convolution_frame import Frame
from symgraph.lower.cuda.product_tiles import Operand, TiledProduct
from symgraph.lower.cuda.products import tiles_for
from symgraph.lower.cuda.spread import divided_up
from symgraph.lower.nests import sizes_of
from symgraph.scalar import Expr, as_expr, as_size, const, load, load_if, product, var
from symgraph.scalar import functions as F

BLOCKS = 256  # that keep a GPU busy
PARTS = 64  # of a sum at most,
LEAST = 256  # with so many terms at least
UNKNOWN = 16  # parts where nobody knows how many blocks there are

Index = tuple[Expr, ...]
Room = Callable[..., str]


def convolution_steps(
    step: Call, operands: Sequence[Buffer], params: dict[str, Any], room: Room
) -> list[Step]:
    """The steps of a call "windows" over images x, weights w and results y: ``kind`` says which of
    them is made and comes last, after the others in this order."""
    kind = params["kind"]
    named = dict(zip([n for n in "xwy" if n != kind] + [kind], operands, strict=True))
    x, w, y = (named[n].shape for n in "xwy")
    frame = Frame(x, w, y, operands[-1].dtype, params)
    return _Windows(kind, frame, named, step, room).steps()


class _Windows:
    def __init__(
        self, kind: str, f: Frame, named: dict[str, Buffer], step: Call, room: Room
    ) -> None:
        self.kind, self.f, self.named, self.step, self.room = kind, f, named, step, room
        last = f.last
        channels = f.made if kind != "x" else f.own  # the axis of weights that is not summed
        inner = (f.made if kind == "x" else f.own, f.kernel)
        windows = self._joined(*inner)
        if kind == "w":
            self.wide, self.summed = windows, (f.n, *f.out)
        else:
            self.wide, self.summed = (f.out if kind == "y" else f.sizes), windows
        self.batch: tuple[Size, ...] = (f.groups,) if kind == "w" else (f.n, f.groups)
        lone, wide = channels, product(self.wide)
        self.rows: Size = wide if last else lone
        self.columns: Size = lone if last else wide
        self.terms = product(self.summed)
        self.parts = self._parts() if kind == "w" else 1
        self.length = divided_up(self.terms, self.parts)

    def _joined(self, channel: Any, places: Sequence[Any]) -> tuple[Any, ...]:
        """A channel and taps in the order of the weights."""
        return (*places, channel) if self.f.last else (channel, *places)

    def _apart(self, index: Index) -> tuple[Expr, Index]:
        """The reverse."""
        return (index[-1], index[:-1]) if self.f.last else (index[0], index[1:])

    def _parts(self) -> int:
        """How many blocks share the terms of a sum."""
        tiles = product((divided_up(self.rows, 64), divided_up(self.columns, 64), self.f.groups))
        parts = min(PARTS, -(-BLOCKS // max(tiles, 1))) if isinstance(tiles, int) else UNKNOWN
        return max(1, min(parts, self.terms // LEAST)) if isinstance(self.terms, int) else parts

    # operands -------------------------------------------------------------------------------------

    def _index(self, name: str, n: Expr, g: Expr, channel: Expr, at: Index) -> Index:
        """Of an element of images ("x") or results."""
        return (n, *at, g, channel) if self.f.last else (n, g, channel, *at)

    def _image(self, n: Expr, g: Expr, c: Expr, at: Index, taps: Index) -> tuple[Index, Expr]:
        """What a tap of a window sees, and whether that is no padding."""
        f, places, cond = self.f, [], const(True, "bool")
        rows = zip(at, taps, f.stride, f.dilation, f.before, f.sizes, strict=True)
        for i, k, s, d, before, size in rows:
            place = i * s + k * d - as_expr(before)
            places.append(place)
            if f.padded:
                cond = _both(cond, _within(place, size))
        return self._index("x", n, g, c, tuple(places)), cond

    def _result(self, n: Expr, g: Expr, o: Expr, p: Index, taps: Index) -> tuple[Index, Expr]:
        """The result that sees an element of an image by a tap, and whether there is one."""
        f, places, cond = self.f, [], const(True, "bool")
        rows = zip(p, taps, f.stride, f.dilation, f.before, f.out, strict=True)
        for i, k, s, d, before, size in rows:
            far = i + as_expr(before) - k * d
            place = far // s
            places.append(place)
            cond = _both(cond, _within(place, size))
            if s != 1:
                cond = _both(cond, F.eq(far % s, const(0)))
        return self._index("y", n, g, o, tuple(places)), cond

    def _lone(self, batch: Index, depth: Expr, across: Expr) -> Expr:
        """An element of the operand that has the channels that are not summed."""
        term, held = self._term(batch, depth)
        if self.kind == "w":
            n, *at = term
            index, cond = self._index("y", n, batch[-1], across, tuple(at)), held
            return load_if("y", cond, index, self.f.dtype)
        channel, taps = self._apart(term)
        c, o = (channel, across) if self.kind == "y" else (across, channel)
        g = batch[-1]
        return load("w", (*taps, c, g, o) if self.f.last else (g, o, c, *taps), self.f.dtype)

    def _seen(self, batch: Index, depth: Expr, across: Expr) -> Expr:
        """An element of the operand that lies in images or, for their gradient, in results."""
        term, held = self._term(batch, depth)
        wide = _split(across, self.wide)
        if self.kind == "w":
            n, *at = term
            channel, taps = self._apart(wide)
            index, cond = self._image(n, batch[-1], channel, tuple(at), taps)
            return load_if("x", _both(held, cond), index, self.f.dtype)
        n, g = batch
        channel, taps = self._apart(term)
        name, place = ("x", self._image) if self.kind == "y" else ("y", self._result)
        index, cond = place(n, g, channel, wide, taps)
        return load_if(name, cond, index, self.f.dtype)

    def _term(self, batch: Index, depth: Expr) -> tuple[Index, Expr]:
        """The summed indices, and whether there is such a term: the last part may be shorter."""
        if self.parts == 1:
            return _split(depth, self.summed), const(True, "bool")
        depth = batch[0] * as_expr(self.length) + depth
        return _split(depth, self.summed), F.lt(depth, as_expr(self.terms))

    # kernels --------------------------------------------------------------------------------------

    def steps(self) -> list[Step]:
        shape: tuple[Size, ...] = (*self.batch, self.rows, self.columns)
        result = self.named[self.kind].name
        if self.parts == 1:
            return self._products(shape, result, self._shape(self.kind), self._stored)
        whole = self._shape("w")
        shape, held = (self.parts, *shape), (self.parts, *whole)
        name = self.room(self.f.dtype, held)
        steps = self._products(shape, name, held, self._part)
        return [*steps, self._added(name, as_size(as_expr(product(whole))))]

    def _shape(self, name: str) -> tuple[Size, ...]:
        """With an axis for the groups."""
        f = self.f
        if name == "w":
            taps = f.kernel
            return (*taps, f.own, f.groups, f.made) if f.last else (f.groups, f.made, f.own, *taps)
        return f.plain_shape() if name == "x" else f.result_shape()

    def _products(
        self, shape: tuple[Size, ...], target: str, held: tuple[Size, ...], place: Any
    ) -> list[Step]:
        f, dtype = self.f, self.f.dtype
        names = [n for n in "xwy" if n != self.kind]
        params = [Param(n, dtype, self._shape(n), "in") for n in names]
        params.append(Param("out", dtype, held, "out"))
        bound = (*(self.named[n].name for n in names), target)
        sides = (self._seen, self._lone) if f.last else (self._lone, self._seen)
        a, b = (self._operand(n, shape, read) for n, read in zip("ab", sides, strict=True))

        def finish(at: Index, total: Expr) -> tuple[Stmt, ...]:
            return (Store("out", place(at), total),)

        made: list[Step] = []
        for tile, times in tiles_for(shape, dtype):
            body = TiledProduct(tile, a, b, shape, dtype, finish, False, times).body()
            kernel = Kernel("windows", tuple(params), sizes_of(body, params), body)
            made.append(Run(kernel, bound, self.step.origins))
        return made

    def _operand(self, side: str, shape: tuple[Size, ...], read: Any) -> Operand:
        """``turned`` says whether neighbours lie along the summed axis (of b) or across it."""
        turned = (self.kind, self.f.last, side) in _TURNED
        across = shape[-2] if side == "a" else shape[-1]
        first = (side == "a") == turned  # of the two axes, the summed one
        core = (self.length, across) if first else (across, self.length)
        return Operand("p0" if side == "a" else "p1", turned, (*shape[:-2], *core), read)

    def _stored(self, at: Index) -> Index:
        """The place of an element of the product in the result."""
        *batch, row, column = at
        wide, lone = (row, column) if self.f.last else (column, row)
        places = _split(wide, self.wide)
        if self.kind != "w":
            n, g = batch
            return self._index(self.kind, n, g, lone, places)
        channel, taps = self._apart(places)
        g = batch[-1]
        return (*taps, channel, g, lone) if self.f.last else (g, lone, channel, *taps)

    def _part(self, at: Index) -> Index:
        return (at[0], *self._stored(at[1:]))

    def _added(self, parts: str, count: Size) -> Run:
        """The sum of the parts, one after another."""
        i, s, total = var("_i"), var("_s"), var("_total", self.f.dtype)
        value = load("p0", (s, i), self.f.dtype)
        fold = Fold((total,), "add", s, self.parts, "serial", (), (value,))
        body = (For(i, count, "vector", (fold, Store("p1", (i,), total))),)
        params = [Param("p0", self.f.dtype, (self.parts, count), "in"),
                  Param("p1", self.f.dtype, (count,), "out")]  # fmt: skip
        kernel = Kernel("parts", tuple(params), sizes_of(body, params), body)
        return Run(kernel, (parts, self.named["w"].name), self.step.origins)


_TURNED = {("x", True, "b"), ("w", False, "b"), ("w", True, "a")}


def _split(q: Expr, sizes: Sequence[Size]) -> Index:
    """The indices of an element from its number.

    >>> [str(i) for i in _split(var("q"), (4, 5))]
    ['q//5', 'q%5']
    """
    found: list[Expr] = []
    for k, size in enumerate(reversed(sizes)):
        if k == len(sizes) - 1:
            found.append(q)
        elif isinstance(size, int) and size == 1:
            found.append(const(0))
        else:
            found.append(q % as_expr(size))
            q = q // as_expr(size)
    return tuple(reversed(found))


def _within(place: Expr, size: Size) -> Expr:
    return F.and_(F.le(const(0), place), F.lt(place, as_expr(size)))


def _both(a: Expr, b: Expr) -> Expr:
    if a.is_const and a.value:
        return b
    return a if b.is_const and b.value else F.and_(a, b)
