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
from typing import Any

import numpy as np

from symgraph import config
from symgraph.loops.program import Buffer, Call
from symgraph.lower.convolution_frame import Frame, times
from symgraph.lower.convolution_steps import Steps
from symgraph.ops.convolution_ops import NATIVE
from symgraph.scalar import as_size, load

LARGEST = 1 << 14  # entries of a table of places
AGAIN = 1 << 22  # bytes of weights that may be read for every image,
OFTEN = 512  # unless an image has so many windows
WIDE, LANES = 32, 16  # filters that fill vectors: so many, in multiples of these
WINDOWS = 256  # that are enough to copy the weights for
FEWEST = 4  # rows of a product that are worth copying an image for
SUMS = 2

Steps_ = tuple[int, int, int, int]


class Direct:
    """One convolution of known sizes; only the number of images may be open."""

    def __init__(self, s: Steps) -> None:
        self.s, self.f = s, s.f
        f = s.f
        image = tuple(int(str(x)) for x in f.image_shape()[1:])
        self.strides = [math.prod(image[k + 1 :]) for k in range(len(image))]
        self.image = math.prod(image)
        self.out = tuple(int(str(x)) for x in f.out)
        self.kernel = tuple(int(str(x)) for x in f.kernel)
        self.own, self.made = int(str(f.own)), int(str(f.made))
        self.o, self.plane = self.made * f.groups, math.prod(self.out)
        self.taps = self.own * math.prod(self.kernel)
        self.group = self.own if f.last else self.image // f.groups

    # tables ---------------------------------------------------------------------------------------

    def table(self, values: np.ndarray) -> str:
        """A constant of the code."""
        b = self.s.b
        data = np.ascontiguousarray(values.reshape(-1), "int32")
        name = f"places{len(b.buffers)}"
        b.buffers[name] = Buffer(name, "int32", data.shape, "constant", 0, "", data.tobytes())
        return name

    def tap_table(self) -> str:
        """Where the taps of all channels are, in the order of the weights."""
        f = self.f
        total = np.zeros((), "int64")
        if f.last:
            steps = [*self.strides[: len(self.kernel)]]
            for k, d, step in zip(self.kernel, f.dilation, steps, strict=True):
                total = np.add.outer(total, np.arange(k) * d * step)
            return self.table(np.add.outer(total, np.arange(self.own)))
        total = np.add.outer(total, np.arange(self.own) * self.strides[1])
        steps = self.strides[2 : 1 + len(self.kernel)]
        for k, d, step in zip(self.kernel, f.dilation, steps, strict=False):
            total = np.add.outer(total, np.arange(k) * d * step)
        shift, s = np.arange(self.kernel[-1]) * f.dilation[-1], 1 if f.apart else f.stride[-1]
        last = shift % s * self.strides[-2] + shift // s
        return self.table(np.add.outer(total, last))

    def place_table(self, runs: bool = False) -> str:
        """Where the windows are, or those that begin a run."""
        f = self.f
        total = np.zeros((), "int64")
        steps = self.strides[:-2] if f.last else [*self.strides[2:-2], 1]
        strides = f.stride if f.last or f.apart else (*f.stride[:-1], 1)
        sizes = (*self.out[:-1], 1) if runs else self.out
        for n, s, step in zip(sizes, strides, steps, strict=True):
            total = np.add.outer(total, np.arange(n) * s * step)
        return self.table(total)

    # steps ----------------------------------------------------------------------------------------

    def forward(self, images: str, w: str, y: str) -> None:
        f, count = self.f, as_size(times(self.f.n, self.f.groups))
        if f.last:
            sizes = self.plane, self.made, self.taps
            words: dict[str, Any] = {
                "a": (0, 0, self.image, self.group), "b": (self.o, 1, 0, self.made),
                "c": (self.o, 1, self.plane * self.o, self.made), "run": 1,
            }  # fmt: skip
            names = [images, w, self.place_table(), self.tap_table()]
            shape = (f.n, self.plane, self.o) if f.groups == 1 else self.s.b.buffers[y].shape
            self.call("a", [*names, self.s.view(y, shape)], count, sizes, words)
            return
        result = self.s.view(y, (count, self.made, self.plane))
        if by_windows(f):
            sizes = self.plane, self.made, self.taps
            words = {
                "a": (0, 0, self.image, self.group), "b": (1, self.taps, 0, self.made * self.taps),
                "c": (1, self.plane, self.o * self.plane, self.made * self.plane), "run": 1,
            }  # fmt: skip
            names = [images, w, self.place_table(), self.tap_table(), result]
            self.call("a", names, count, sizes, words)
            return
        sizes = self.made, self.plane, self.taps
        words = {
            "a": (self.taps, 1, 0, self.made * self.taps), "b": (0, 1, self.image, self.group),
            "c": (self.plane, 1, self.o * self.plane, self.made * self.plane),
            "run": self.out[-1],
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
            of_b: Steps_ = (self.o, 1, self.plane * self.o, self.made)
            of_c: Steps_ = (self.o, 1, 0, self.made)
        else:
            of_b = (1, self.plane, self.o * self.plane, self.made * self.plane)
            of_c = (self.made, 1, 0, self.taps * self.made)
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
        of_a: Steps_ = (1, self.own, 0, 0) if back else (self.own, 1, 0, 0)
        words: dict[str, Any] = {
            "a": of_a, "b": (self.plane, 1, k * self.plane, 0),
            "c": (self.plane, 1, m * self.plane, 0), "run": 1,
        }  # fmt: skip
        none = self.table(np.zeros(1))
        given, made = (y, images) if back else (images, y)
        result = self.s.view(made, (self.f.n, m, self.plane))
        self.call("", [w, given, none, none, result], self.f.n, (m, self.plane, k), words)

    def call(
        self, images: str, names: list[str], batch: Any, sizes: tuple[int, int, int],
        words: dict[str, Any],
    ) -> None:  # fmt: skip
        m, n, k = sizes
        params = {
            "images": images, "batch": batch, "m": m, "n": n, "k": k, "groups": self.f.groups,
            "adds": 0, **words,
        }  # fmt: skip
        self.s.steps.append(Call("convolution", tuple(names), tuple(params.items()),
                                 self.s.origins))  # fmt: skip


# which convolutions -------------------------------------------------------------------------------


def known(f: Frame) -> bool:
    """Whether a convolution can be done so: all sizes but the number of images are known, none is
    0, and the tables are of some use and not too long."""
    if config.get("matmul") != "own" or f.dtype not in NATIVE or f.plain():
        return False
    sizes = [*f.image_shape()[1:], *f.out, *f.kernel, f.own, f.made]
    if not all(isinstance(s, int) and s > 0 for s in sizes) or f.n == 0:
        return False
    taps = math.prod(int(str(s)) for s in (f.own, *f.kernel))
    places = math.prod(int(str(s)) for s in f.out)
    image = math.prod(int(str(s)) for s in f.image_shape()[1:])
    return max(taps, places) <= LARGEST and image < 1 << 31


def by_windows(f: Frame) -> bool:
    """Whether, with the channels first, there are so many filters that vectors hold elements of
    results of one window: then nothing is copied but the weights, once for many windows."""
    if f.last or not isinstance(f.made, int) or f.made < WIDE or f.made % LANES:
        return False
    return math.prod(int(str(s)) for s in f.out) >= WINDOWS


def read_once(f: Frame) -> bool:
    """Whether the weights of a group are few enough to be read again for every image."""
    weights = math.prod(int(str(s)) for s in (f.own, f.made, *f.kernel))
    windows = math.prod(int(str(s)) for s in f.out)
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
