"""The geometry of a convolution: where its windows stand, and which of them make a block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph import dtypes
from symgraph.ir.types import Size
from symgraph.ops.convolution_ops import NATIVE, Layout
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, as_expr, as_size, call, const, product, var
from symgraph.scalar import functions as F

BUDGET = 512 * 1024  # bytes of the columns of a block: they stay in the second level of cache
ENOUGH = 256  # windows of a block that are worth reading the weights for
MOST = 4 * 1024 * 1024  # bytes of the columns all the same


class Walk(NamedTuple):
    """One loop of a copy between an image and a dense matrix: ``offset`` is what a turn adds to the
    place in the image, None for the rows of windows, whose places are listed."""

    axis: Expr
    extent: Size
    offset: Expr | None


def times(*sizes: Any) -> Expr:
    """The product of sizes."""
    return as_expr(product(tuple(as_size(as_expr(s)) for s in sizes)))


def least(a: Expr, b: Expr) -> Expr:
    """The minimum of two sizes."""
    if a.is_const and b.is_const:
        return const(min(a.value, b.value))
    return a if a is b else call("minimum", a, b)


def most(a: Expr, b: Expr) -> Expr:
    """The maximum of two sizes."""
    if a.is_const and b.is_const:
        return const(max(a.value, b.value))
    return a if a is b else call("maximum", a, b)


def _up(a: Expr, b: Expr) -> Expr:
    """a / b rounded up; b is positive."""
    return (a + b - 1) // b


def _zero(size: Size) -> bool:
    return isinstance(size, int) and size == 0


def is_one(size: Any) -> bool:
    """Whether a size is known to be 1."""
    return as_size(as_expr(size)) == 1  # type: ignore[no-any-return]


class Frame:
    """The sizes of one convolution of a group of ``own`` input and ``made`` output channels, and
    the places of its windows in images laid out with their padding. ``apart``: elements of images
    are read one by one, so that it does not matter whether those of neighbouring windows are
    neighbours."""

    def __init__(
        self, x: Sequence[Size], w: Sequence[Size], y: Sequence[Size], dtype: str,
        params: dict[str, Any], apart: bool = False,
    ) -> None:  # fmt: skip
        self.apart = apart
        self.stride, self.before, self.after = (params[k] for k in ("stride", "before", "after"))
        self.dilation, self.last, self.groups = (params[k] for k in ("dilation", "last", "groups"))
        layout = self.layout = Layout(self.last, len(self.stride))
        self.n, self.channels, self.sizes = layout.of_image(x)
        self.o, self.own, self.kernel = layout.of_weights(w)
        _, _, self.out = layout.of_image(y)
        self.made = as_size(as_expr(self.o) // self.groups)
        self.dtype = dtype
        self._images()
        self._blocks()

    # images with their padding --------------------------------------------------------------------

    def _images(self) -> None:
        rows = zip(self.out, self.kernel, self.stride, self.dilation, strict=True)
        seen = [(as_expr(m) - 1) * s + (as_expr(k) - 1) * d + 1 for m, k, s, d in rows]
        self.padded = any(not _zero(p) for p in (*self.before, *self.after))
        s, d, k = self.stride[-1], self.dilation[-1], as_expr(self.kernel[-1])
        self.phases = 1
        if not self.padded and (self.last or s == 1 or self.apart):
            seen = [as_expr(n) for n in self.sizes]
        elif not self.last and s > 1 and not self.apart:
            span = (k - 1) * d + 1
            self.phases = min(s, span.value) if span.is_const else s
            seen[-1] = as_expr(self.out[-1]) + ((k - 1) * d) // s
        self.laid = self.padded or self.phases > 1 or (not self.last and s > 1 and not self.apart)
        self.seen = tuple(map(as_size, seen))

    def image_shape(self) -> tuple[Size, ...]:
        """The shape of the images as the windows read them."""
        if self.last:
            return (self.n, *self.seen, self.groups, self.own)
        return (self.n, self.groups, self.own, *self.seen[:-1], self.phases, self.seen[-1])

    def image_index(
        self, n: Expr, g: Expr, c: Expr, at: Sequence[Expr], taps: Sequence[Expr]
    ) -> tuple[Expr, ...]:
        """The index of what tap ``taps`` of the window ``at`` sees."""
        rows = zip(at, taps, self.stride, self.dilation, strict=True)
        places = [i * s + k * d for i, k, s, d in rows]
        if self.last:
            return (n, *places, g, c)
        if self.apart:
            return (n, g, c, *places[:-1], const(0), places[-1])
        shift = taps[-1] * self.dilation[-1]
        if not self.laid or self.stride[-1] == 1:
            return (n, g, c, *places[:-1], const(0), at[-1] + shift)
        s = self.stride[-1]
        return (n, g, c, *places[:-1], shift % s, at[-1] + shift // s)

    def source(self, indices: Sequence[Expr]) -> tuple[tuple[Expr, ...], Expr]:
        """From an index of the laid images to that of the plain ones (group and channel apart), and
        whether it is in there."""
        if self.last:
            n, *at, g, c = indices
        else:
            n, g, c, *at, phase, q = indices
            at.append(q * self.stride[-1] + phase if self._split() else q)
        places, cond = [], const(True, "bool")
        for i, b, size in zip(at, self.before, self.sizes, strict=True):
            place = i - as_expr(b)
            places.append(place)
            inside = F.and_(F.le(0, place), F.lt(place, as_expr(size)))
            cond = inside if cond.is_const else F.and_(cond, inside)
        index = (n, *places, g, c) if self.last else (n, g, c, *places)
        return tuple(index), cond

    def _split(self) -> bool:
        return self.laid and not self.last and self.stride[-1] > 1 and not self.apart

    def target(self, indices: Sequence[Expr]) -> tuple[tuple[Expr, ...], Expr]:
        """From an index of plain images to that of the laid ones, and whether it is in there."""
        if self.last:
            n, *at, g, c = indices
        else:
            n, g, c, *at = indices
        places, cond = [], const(True, "bool")
        for k, (i, b, size) in enumerate(zip(at, self.before, self.seen, strict=True)):
            place = i + as_expr(b)
            phase = const(0)
            if k == len(at) - 1 and self._split():
                phase, place = place % self.stride[-1], place // self.stride[-1]
                cond = F.and_(cond, F.lt(phase, self.phases))
            cond = F.and_(cond, F.and_(F.le(0, place), F.lt(place, as_expr(size))))
            places.append(place)
        index = (n, *places, g, c) if self.last else (n, g, c, *places[:-1], phase, places[-1])
        return tuple(index), cond

    def plain_shape(self) -> tuple[Size, ...]:
        """The shape of the plain images with an axis for the groups."""
        if self.last:
            return (self.n, *self.sizes, self.groups, self.own)
        return (self.n, self.groups, self.own, *self.sizes)

    def result_shape(self) -> tuple[Size, ...]:
        """The shape of the results with an axis for the groups."""
        if self.last:
            return (self.n, *self.out, self.groups, self.made)
        return (self.n, self.groups, self.made, *self.out)

    def one_tap(self) -> bool:
        """Whether the images are the columns: windows of one element, side by side."""
        taps = self.laid or not all(map(is_one, self.kernel)) or any(s > 1 for s in self.stride)
        return not taps and not (self.last and self.groups > 1) and self.dtype in NATIVE

    def plain(self) -> bool:
        """Whether a loop nest is better than matrices."""
        return self.dtype not in NATIVE or (self.groups > 1 and is_one(self.own))

    # blocks of windows ----------------------------------------------------------------------------

    def _blocks(self) -> None:
        """Windows are counted in rows, along the last axis; long rows are cut into segments. A
        block has ``rows`` of them, ``length`` windows each. The last segment and the last block
        end where the others would, so they begin with windows that were done before."""
        held = times(self.own, *self.kernel, dtypes.itemsize(self.dtype))
        room = most(const(BUDGET), least(held * ENOUGH, const(MOST)))
        longest = most(const(16), room // most(held, const(1)))
        length = as_expr(self.out[-1])
        self.segments = most(_up(length, longest), const(1))
        self.length = _up(length, self.segments)
        self.total = times(self.n, *self.out[:-1], self.segments)
        rows = most(room // most(held * self.length, const(1)), const(1))
        self.rows = least(rows, most(self.total, const(1)))
        self.count = _up(self.total, self.rows)
        if self.count.is_const and self.count.value:
            self.rows = _up(self.total, self.count)
            self.count = _up(self.total, self.rows)
        even = self.count * self.rows - self.total, self.segments * self.length - length
        self.twice = any(not e.is_const or e.value for e in even)  # some windows are done twice

    def columns_shape(self) -> tuple[Size, Size]:
        """The matrix of a block's columns."""
        inner, outer = times(self.own, *self.kernel), self.rows * self.length
        both = (outer, inner) if self.last else (inner, outer)
        return as_size(both[0]), as_size(both[1])

    def results_shape(self) -> tuple[Size, Size]:
        """The matrix of a block's results."""
        outer = self.rows * self.length
        both = (outer, as_expr(self.made)) if self.last else (as_expr(self.made), outer)
        return as_size(both[0]), as_size(both[1])

    def weights_shape(self) -> tuple[Size, Size, Size]:
        """The weights of each group as a matrix."""
        inner = as_size(times(self.own, *self.kernel))
        return (self.groups, inner, self.made) if self.last else (self.groups, self.made, inner)


# loops between images and dense matrices ----------------------------------------------------------


def linear(index: Sequence[Expr], shape: Sequence[Size]) -> Expr:
    """The place of an element in memory."""
    total, stride = const(0), const(1)
    for i, size in zip(reversed(index), reversed(shape), strict=True):
        total = total + i * stride
        stride = stride * as_expr(size)
    return total


def image_walk(f: Frame) -> list[Walk]:
    """The loops over a block's columns, in the order of their memory."""
    shape = f.image_shape()
    zero = const(0)

    def offset(c: Expr, j: Expr, taps: Sequence[Expr]) -> Expr:
        window = [zero] * (len(taps) - 1) + [j]
        return linear(f.image_index(zero, zero, c, window, taps), shape)

    none = [zero] * len(f.kernel)
    c, j = var("_c"), var("_j")
    taps = []
    for axis, size in enumerate(f.kernel):
        k = var(f"_k{axis}")
        taps.append(Walk(k, size, offset(zero, zero, [*none[:axis], k, *none[axis + 1 :]])))
    rows = Walk(var("_r"), as_size(f.rows), None)
    windows = Walk(j, as_size(f.length), offset(zero, j, none))
    channels = Walk(c, f.own, offset(c, zero, none))
    if not f.last:
        return [channels, *taps, rows, windows]
    if f.groups == 1 and f.dilation[-1] == 1:  # neighbouring taps are neighbours in memory
        both = as_size(as_expr(f.kernel[-1]) * as_expr(f.own))
        return [rows, windows, *taps[:-1], Walk(c, both, c)]
    return [rows, windows, *taps, channels]


def result_walk(f: Frame) -> list[Walk]:
    """The loops over a block's results, in the order of their memory."""
    o, j = var("_o"), var("_j")
    rows = Walk(var("_r"), as_size(f.rows), None)
    if f.last:
        if f.groups == 1:
            return [rows, Walk(j, as_size(f.length * as_expr(f.made)), j)]
        return [rows, Walk(j, as_size(f.length), j * as_expr(f.o)), Walk(o, f.made, o)]
    plane = times(*f.out)
    return [Walk(o, f.made, o * plane), rows, Walk(j, as_size(f.length), j)]


def merged_results(f: Frame) -> bool:
    """Whether the windows and channels of results are one loop."""
    return f.last and f.groups == 1
