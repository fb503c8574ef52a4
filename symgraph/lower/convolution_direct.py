"""Convolutions as products of matrices one of which is never made: its elements are read where they
lie in the images, through tables of places.

    y[o, j] = sum over p of w[o, p] * image[taps[p] + places[j]]

p runs through the channels and taps of a filter, j through the windows of an image; both tables are
constants of the code. A window's elements are neighbours of the next one's along the last axis, so
as the right operand the image is copied into strips of vectors, just before they are used; as the
left operand, whose elements are used one by one, it is not copied at all.

    channels first   y = weights @ image          weights' = image @ results'   (summed over images)
    many filters     y' = image' @ weights'       the same
    channels last    y = image @ weights          weights  = image @ results

Gradients of images are convolutions of the results with the filters turned round, where windows
stand side by side. The step is ``convolution`` over (a, b, row_table, col_table, c):

    images   which operand lies in images: a, b, or none of them
    batch    the number of products: images times groups
    m n k    the sizes of one of them
    a b c    how far rows, columns, images and groups of an operand lie apart, in elements
    run      how many columns of b are side by side: their places are those of the first ones
    adds     2 where the result is the sum over the images
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgraph import config
from symgraph.ir.types import Size
from symgraph.loops.program import Buffer, Call, Failure, Require
from symgraph.lower.convolution_frame import Frame, most, times
from symgraph.lower.convolution_steps import Steps
from symgraph.ops.convolution_ops import NATIVE
from symgraph.scalar import Expr, as_expr, as_size, const, load
from symgraph.scalar import functions as F

LARGEST = 1 << 14  # entries of a table of places that is part of the code
MOST = 1 << 31  # places in an image
AGAIN = 1 << 22  # bytes of weights that may be read for every image,
OFTEN = 512  # unless an image has so many windows
WIDE, LANES = 32, 16  # filters that fill vectors: so many, in multiples of these
WINDOWS = 256  # that are enough to copy the weights for
FEWEST = 4  # rows of a product that are worth copying an image for
SUMS = 2

Apart = tuple[Any, Any, Any, Any]  # how far rows, columns, images and groups lie apart


class Direct:
    """One convolution. Sizes that are not known are expressions, and tables of them are filled when
    the function runs."""

    def __init__(self, s: Steps) -> None:
        self.s, self.f = s, s.f
        f = s.f
        image = f.image_shape()[1:]
        self.strides = [as_size(times(*image[k + 1 :])) for k in range(len(image))]
        self.image = as_size(times(*image))
        self.own, self.made = f.own, f.made
        self.o, self.plane = as_size(times(f.made, f.groups)), as_size(times(*f.out))
        self.taps = as_size(times(f.own, *f.kernel))
        self.group = f.own if f.last else as_size(as_expr(self.image) // f.groups)
        if not isinstance(self.image, int):
            self._require_places(self.image)

    def _require_places(self, image: Expr) -> None:
        """Tables hold numbers of 32 bits."""
        flag = self.s.scratch((), "bool")
        self.s.fill((), flag, [], lambda: F.lt(image, const(MOST)))
        what = "a convolution over images of 2**31 elements or more"
        hint = "give the sizes of the images: sg.tensor(..., shape=('n', 64, 40000, 40000))"
        self.s.steps.append(Require(flag, Failure("SG101", what, hint, self.s.origins)))

    # tables ---------------------------------------------------------------------------------------

    def table(self, extents: Sequence[Size], place: Callable[..., Any]) -> str:
        """The places at all indices: a constant of the code, or memory that a loop fills."""
        s = self.s
        known = all(isinstance(n, int) for n in (*extents, *self.strides))
        if not known or _product(*extents) > LARGEST:
            name = s.scratch(extents, "int32")
            s.fill(extents, name, [], lambda *i: F.cast(as_expr(place(*i)), "int32"))
            return s.flat(name)
        shape = tuple(int(str(n)) for n in extents)
        return self.constant(np.broadcast_to(place(*np.indices(shape)), shape))

    def constant(self, places: np.ndarray) -> str:
        """A table that is part of the code."""
        b, data = self.s.b, places.astype("int32").reshape(-1)
        name = f"places{len(b.buffers)}"
        b.buffers[name] = Buffer(name, "int32", data.shape, "constant", 0, "", data.tobytes())
        return name

    def tap_table(self) -> str:
        """Where the taps of all channels are, in the order of the weights."""
        f, strides, axes = self.f, self.strides, len(self.f.kernel)

        def last(*i: Any) -> Any:
            taps = zip(i[:axes], f.dilation, strides, strict=False)
            return sum((k * d * step for k, d, step in taps), i[axes])

        def first(c: Any, *i: Any) -> Any:
            taps = zip(i[:-1], f.dilation, strides[2:], strict=False)
            at = sum((k * d * step for k, d, step in taps), c * strides[1])
            shift, s = i[-1] * f.dilation[-1], 1 if f.apart else f.stride[-1]
            return at + shift % s * strides[-2] + shift // s

        return (
            self.table((*f.kernel, f.own), last)
            if f.last
            else self.table((f.own, *f.kernel), first)
        )

    def place_table(self, runs: bool = False) -> str:
        """Where the windows are, or those that begin a run."""
        f = self.f
        steps = self.strides[:-2] if f.last else [*self.strides[2:-2], 1]
        strides = f.stride if f.last or f.apart else (*f.stride[:-1], 1)
        sizes = (*f.out[:-1], 1) if runs else f.out

        def place(*i: Any) -> Any:
            return sum(k * s * step for k, s, step in zip(i, strides, steps, strict=True))

        return self.table(sizes, place)

    # steps ----------------------------------------------------------------------------------------

    def forward(self, images: str, w: str, y: str) -> None:
        f, count = self.f, as_size(times(self.f.n, self.f.groups))
        weights, results = times(self.made, self.taps), times(self.o, self.plane)
        if f.last:
            sizes = self.plane, self.made, self.taps
            words: dict[str, Any] = {
                "a": (0, 0, self.image, self.group), "b": (self.o, 1, 0, self.made),
                "c": (self.o, 1, results, self.made), "run": 1,
            }  # fmt: skip
            names = [images, w, self.place_table(), self.tap_table()]
            shape = (f.n, self.plane, self.o) if f.groups == 1 else self.s.b.buffers[y].shape
            self.call("a", [*names, self.s.view(y, shape)], count, sizes, words)
            return
        result = self.s.view(y, (count, self.made, self.plane))
        if by_windows(f):
            sizes = self.plane, self.made, self.taps
            words = {
                "a": (0, 0, self.image, self.group), "b": (1, self.taps, 0, weights),
                "c": (1, self.plane, results, times(self.made, self.plane)), "run": 1,
            }  # fmt: skip
            names = [images, w, self.place_table(), self.tap_table(), result]
            self.call("a", names, count, sizes, words)
            return
        sizes = self.made, self.plane, self.taps
        words = {
            "a": (self.taps, 1, 0, weights), "b": (0, 1, self.image, self.group),
            "c": (self.plane, 1, results, times(self.made, self.plane)),
            "run": as_size(most(as_expr(f.out[-1]), const(1))),
        }  # fmt: skip
        names = [w, images, self.tap_table(), self.place_table(runs=True)]
        self.call("b", [*names, result], count, sizes, words)

    def weights(self, images: str, w: str, y: str) -> None:
        """The weights as sums over images; with the channels first their matrix is turned first."""
        f, s = self.f, self.s
        count = as_size(times(f.n, f.groups))
        sizes = self.taps, self.made, self.plane
        of_a = (0, 0, self.image, self.group)
        held = w
        if f.last:
            of_b: Apart = (self.o, 1, times(self.plane, self.o), self.made)
            of_c: Apart = (self.o, 1, 0, self.made)
        else:
            of_b = (1, self.plane, times(self.o, self.plane), times(self.made, self.plane))
            of_c = (self.made, 1, 0, times(self.taps, self.made))
            held = s.scratch((f.groups, self.taps, self.made))
        if not (isinstance(f.n, int) and f.n):
            s.zeros((), held)
        names = [images, y, self.tap_table(), self.place_table(), held]
        words = {"a": of_a, "b": of_b, "c": of_c, "run": 1, "adds": SUMS}
        self.call("a", names, count, sizes, words)
        if not f.last:
            s.fill((f.groups, self.made, self.taps), w, [held],
                   lambda g, o, k: load("p1", (g, k, o), f.dtype))  # fmt: skip

    def one_tap(self, images: str, w: str, y: str, back: bool) -> None:
        """Windows of one element, channels first: the images are matrices as they lie."""
        m, k = (self.own, self.made) if back else (self.made, self.own)
        of_a: Apart = (1, self.own, 0, 0) if back else (self.own, 1, 0, 0)
        words: dict[str, Any] = {
            "a": of_a, "b": (self.plane, 1, times(k, self.plane), 0),
            "c": (self.plane, 1, times(m, self.plane), 0), "run": 1,
        }  # fmt: skip
        none = self.constant(np.zeros(1))
        given, made = (y, images) if back else (images, y)
        result = self.s.view(made, (self.f.n, m, self.plane))
        self.call("", [w, given, none, none, result], self.f.n, (m, self.plane, k), words)

    def call(
        self, images: str, names: list[str], batch: Any, sizes: tuple[Size, Size, Size],
        words: dict[str, Any],
    ) -> None:  # fmt: skip
        m, n, k = sizes
        for x in "abc":
            words[x] = tuple(as_size(as_expr(step)) for step in words[x])
        params = {
            "images": images, "batch": batch, "m": m, "n": n, "k": k, "groups": self.f.groups,
            "adds": 0, **words,
        }  # fmt: skip
        self.s.steps.append(Call("convolution", tuple(names), tuple(params.items()),
                                 self.s.origins))  # fmt: skip


# which convolutions -------------------------------------------------------------------------------


def direct(f: Frame) -> bool:
    """Whether a convolution can be done so: none of its sizes is known to be 0, and the tables,
    of numbers of 32 bits, are of some use."""
    if config.get("matmul") != "own" or f.dtype not in NATIVE or f.plain():
        return False
    sizes = [*f.image_shape(), *f.out, *f.kernel, f.own, f.made]
    if any(isinstance(s, int) and s == 0 for s in sizes):
        return False
    return _product(*f.image_shape()[1:]) < MOST


def _product(*sizes: Size, unknown: int = 1) -> int:
    """The product of the known ones, each other one taken for ``unknown``."""
    return math.prod(s if isinstance(s, int) else unknown for s in sizes)


def by_windows(f: Frame) -> bool:
    """Whether, with the channels first, there are so many filters that vectors hold elements of
    results of one window: then nothing is copied but the weights, once for many windows."""
    if f.last or not isinstance(f.made, int) or f.made < WIDE or f.made % LANES:
        return False
    return _product(*f.out, unknown=WINDOWS) >= WINDOWS


def read_once(f: Frame) -> bool:
    """Whether the weights of a group are few enough to be read again for every image."""
    weights = _product(f.own, f.made, *f.kernel)
    windows = _product(*f.out, unknown=OFTEN)
    return weights * (4 if f.dtype == "float32" else 8) <= AGAIN or windows >= OFTEN


# gradients of images as convolutions --------------------------------------------------------------


def side_by_side(f: Frame) -> bool:
    """Whether windows stand side by side, so that the gradient of images is a convolution."""
    few = isinstance(f.own, int) and f.own < FEWEST and not f.plain()
    return all(s == 1 for s in f.stride) and f.dtype in NATIVE and not few


def transposed(f: Frame) -> Frame:
    """The frame of the convolution that makes images from results."""
    spans = [(k - 1) * d for k, d in zip(_exprs(f.kernel), f.dilation, strict=True)]
    before = tuple(as_size(s - b) for s, b in zip(spans, _exprs(f.before), strict=True))
    after = tuple(
        as_size(x + s - y - b)
        for x, s, y, b in zip(_exprs(f.sizes), spans, _exprs(f.out), _exprs(before), strict=True)
    )
    layout = f.layout
    params = {
        "stride": f.stride, "before": before, "after": after, "dilation": f.dilation,
        "last": f.last, "groups": f.groups,
    }  # fmt: skip
    x, w = layout.image(f.n, f.o, f.out), layout.weights(f.channels, f.made, f.kernel)
    return Frame(x, w, layout.image(f.n, f.channels, f.sizes), f.dtype, params)


def _exprs(sizes: Any) -> list[Any]:
    return [times(s) for s in sizes]


def turned_round(s: Steps, w: str) -> str:
    """The filters of the transposed frame: turned round, with inputs and outputs exchanged."""
    f = s.f
    ends = [times(k) - 1 for k in f.kernel]
    if f.last:
        target = s.scratch((*f.kernel, f.made, f.groups, f.own))
        source = s.view(w, (*f.kernel, f.own, f.groups, f.made))

        def element(*i: Any) -> Any:
            *at, o, g, c = i
            back = [e - k for e, k in zip(ends, at, strict=True)]
            return load("p1", (*back, c, g, o), f.dtype)

        s.fill((*f.kernel, f.made, f.groups, f.own), target, [source], element)
        return target
    target = s.scratch((f.groups, f.own, f.made, *f.kernel))
    source = s.view(w, (f.groups, f.made, f.own, *f.kernel))

    def element_first(*i: Any) -> Any:
        g, c, o, *at = i
        back = [e - k for e, k in zip(ends, at, strict=True)]
        return load("p1", (g, o, c, *back), f.dtype)

    s.fill((f.groups, f.own, f.made, *f.kernel), target, [source], element_first)
    return target
