"""The three ops of convolution. Each is bilinear, and their derivatives are one another:

    y = Convolution(x, w)     dx = ConvolutionInput(g, w)     dw = ConvolutionWeights(x, g)

so that gradients of every order stay among them; ConvolutionInput is the transposed convolution.

    y[n, o, i] = sum over c, k of x[n, c, i * stride + k * dilation - before] * w[o, c, k]

over one or more axes of i and k; x is 0 outside. The convolution of neural networks does not turn
the filter round: it is what signal processing calls a correlation.

Arrays are ``(batch, channels, *sizes)`` with weights ``(out, in / groups, *kernel)``, or with
``last`` ``(batch, *sizes, channels)`` with weights ``(*kernel, in / groups, out)``. With groups the
channels are cut into as many equal parts, and each part of the outputs sees one of the inputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import Shape, Size, TensorType, same_size
from symgraph.loops.routine import Routine
from symgraph.records import NamedTuple
from symgraph.scalar import as_expr, as_size
from symgraph.scalar.sizes import nonnegative, smaller

NATIVE = ("float32", "float64")


def reach(size: Size, dilation: int) -> Size:
    """The places that a window of ``size`` elements spans.

    >>> reach(3, 2)
    5
    """
    return as_size((size - 1) * dilation + 1)


def places(
    size: Size, window: Size, stride: int, before: Size, after: Size, dilation: int, what: str
) -> Size:
    """How many windows stand on an axis. Raises ShapeError where not even one does.

    >>> places(28, 5, 1, 0, 0, 1, "conv")
    24
    """
    span = reach(window, dilation)
    room = as_size(size + before + after - span)
    if isinstance(room, int) and room < 0:
        padded = f" padded by {before} and {after}" if before or after else ""
        raise ShapeError(f"{what}: a window of {span} does not fit into {size}{padded}")
    if not nonnegative(room):
        same_size(smaller(room, 0), 0, f"{what}: a window of {span} does not fit")
    return as_size(room // stride + 1)


class Layout(NamedTuple):
    """Where the axes of images and weights are: ``last`` puts the channels there."""

    last: bool
    spatial: int

    def image(self, n: Any, c: Any, sizes: Sequence[Any]) -> tuple[Any, ...]:
        """The entries of an array of images in their order."""
        return (n, *sizes, c) if self.last else (n, c, *sizes)

    def of_image(self, entries: Sequence[Any]) -> tuple[Any, Any, tuple[Any, ...]]:
        """(batch, channels, sizes) of the entries of an array of images."""
        if self.last:
            return entries[0], entries[-1], tuple(entries[1:-1])
        return entries[0], entries[1], tuple(entries[2:])

    def weights(self, o: Any, c: Any, sizes: Sequence[Any]) -> tuple[Any, ...]:
        """The entries of an array of weights in their order."""
        return (*sizes, c, o) if self.last else (o, c, *sizes)

    def of_weights(self, entries: Sequence[Any]) -> tuple[Any, Any, tuple[Any, ...]]:
        """(outputs, inputs of a group, sizes) of the entries of an array of weights."""
        if self.last:
            return entries[-1], entries[-2], tuple(entries[:-2])
        return entries[0], entries[1], tuple(entries[2:])


class Convolving(Op, abstract=True):
    """What the three ops share: the geometry."""

    stride: tuple[int, ...]
    before: tuple[Size, ...]
    after: tuple[Size, ...]
    dilation: tuple[int, ...]
    groups: int
    last: bool

    @property
    def layout(self) -> Layout:
        return Layout(self.last, len(self.stride))

    def geometry(self) -> tuple[Any, ...]:
        """The parameters that the three ops share."""
        return self._values[:6]

    def windows(self, sizes: Sequence[Size], kernel: Sequence[Size]) -> Shape:
        """The sizes of the result over an image of these sizes."""
        rows = zip(sizes, kernel, self.stride, self.before, self.after, self.dilation, strict=True)
        return tuple(places(*row, self.name) for row in rows)

    def routine(self, name: str, dtype: str) -> Routine:
        """The routine at a dtype; derivatives of other dtypes than BLAS has are the reference's."""
        if dtype not in NATIVE and not (dtypes.is_int(dtype) and name == "convolution"):
            return Routine("python")
        fields = ("stride", "before", "after", "dilation", "groups", "last")
        return Routine(name, tuple((n, getattr(self, n)) for n in fields))


class Convolution(Convolving):
    """Images x with the filters w; see the module."""

    name = "convolution"

    def infer(self, x: TensorType, w: TensorType) -> TensorType:
        n, c, sizes = self.layout.of_image(x.shape)
        o, own, kernel = self.layout.of_weights(w.shape)
        same_size(c, as_size(as_expr(own) * self.groups), "convolution: numbers of channels differ")
        _divides(self.groups, o, "output channels")
        return x.with_shape(self.layout.image(n, o, self.windows(sizes, kernel)))

    def reference(self, x: Any, w: Any) -> Any:
        frame = _Frame(self, x.shape, w.shape)
        images, filters = frame.images(x), frame.filters(w)
        out: Any = np.zeros(frame.result, x.dtype)
        for at, view in frame.taps(frame.padded(images)):
            out += np.einsum("ngc...,goc->ngo...", view, filters[at])
        return frame.joined(out)

    def vjp(self, g: Variable, y: Variable, x: Variable, w: Variable) -> tuple[Variable, Variable]:
        _, _, sizes = self.layout.of_image(x.shape)
        _, _, kernel = self.layout.of_weights(w.shape)
        shared = self.geometry()
        return ConvolutionInput(*shared, sizes)(g, w), ConvolutionWeights(*shared, kernel)(x, g)

    def extern(self, x: TensorType, w: TensorType) -> Routine:
        return self.routine("convolution", x.dtype)


class ConvolutionInput(Convolving):
    """Images of these ``sizes`` from results y and filters w: every result adds its filter, scaled,
    to the window that it came from. The transpose of Convolution as a map of its images."""

    name = "convolution_input"
    sizes: Shape

    def infer(self, y: TensorType, w: TensorType) -> TensorType:
        n, o, found = self.layout.of_image(y.shape)
        outputs, own, kernel = self.layout.of_weights(w.shape)
        same_size(o, outputs, "convolution_input: numbers of channels differ")
        _divides(self.groups, o, "output channels")
        for a, b in zip(self.windows(self.sizes, kernel), found, strict=True):
            same_size(a, b, "convolution_input: sizes differ")
        c = as_size(as_expr(own) * self.groups)
        return y.with_shape(self.layout.image(n, c, self.sizes))

    def reference(self, y: Any, w: Any) -> Any:
        n, _, _ = self.layout.of_image(y.shape)
        _, own, _ = self.layout.of_weights(w.shape)
        frame = _Frame(self, self.layout.image(n, own * self.groups, self.sizes), w.shape)
        results, filters = frame.results(y), frame.filters(w)
        whole: Any = np.zeros(frame.whole, y.dtype)
        for at, view in frame.taps(whole):
            view += np.einsum("ngo...,goc->ngc...", results, filters[at])
        return frame.joined(frame.cropped(whole))

    def vjp(self, g: Variable, x: Variable, y: Variable, w: Variable) -> tuple[Variable, Variable]:
        _, _, kernel = self.layout.of_weights(w.shape)
        shared = self.geometry()
        return Convolution(*shared)(g, w), ConvolutionWeights(*shared, kernel)(g, y)

    def extern(self, y: TensorType, w: TensorType) -> Routine:
        return self.routine("convolution_input", y.dtype)


class ConvolutionWeights(Convolving):
    """Filters of these ``sizes`` from images x and results y, summed over the batch and all places.
    The transpose of Convolution as a map of its filters."""

    name = "convolution_weights"
    sizes: Shape

    def infer(self, x: TensorType, y: TensorType) -> TensorType:
        n, c, sizes = self.layout.of_image(x.shape)
        m, o, found = self.layout.of_image(y.shape)
        same_size(n, m, "convolution_weights: batch sizes differ")
        _divides(self.groups, c, "input channels")
        _divides(self.groups, o, "output channels")
        for a, b in zip(self.windows(sizes, self.sizes), found, strict=True):
            same_size(a, b, "convolution_weights: sizes differ")
        own = as_size(as_expr(c) // self.groups)
        return x.with_shape(self.layout.weights(o, own, self.sizes))

    def reference(self, x: Any, y: Any) -> Any:
        _, c, _ = self.layout.of_image(x.shape)
        _, o, _ = self.layout.of_image(y.shape)
        shape = self.layout.weights(o, c // self.groups, self.sizes)
        frame = _Frame(self, x.shape, shape)
        images, results = frame.images(x), frame.results(y)
        out: Any = np.zeros((*self.sizes, *frame.filter), x.dtype)
        for at, view in frame.taps(frame.padded(images)):
            pair = (a.reshape(*a.shape[:3], math.prod(a.shape[3:])) for a in (view, results))
            out[at] = np.einsum("ngcp,ngop->goc", *pair)
        out = out.reshape(*self.sizes, o, c // self.groups)
        order = range(len(self.sizes))
        d = len(self.sizes)
        moved = (*order, d + 1, d) if self.last else (d, d + 1, *order)
        return np.ascontiguousarray(out.transpose(moved))

    def vjp(self, g: Variable, w: Variable, x: Variable, y: Variable) -> tuple[Variable, Variable]:
        _, _, sizes = self.layout.of_image(x.shape)
        shared = self.geometry()
        return ConvolutionInput(*shared, sizes)(y, g), Convolution(*shared)(x, g)

    def extern(self, x: TensorType, y: TensorType) -> Routine:
        return self.routine("convolution_weights", x.dtype)


def _divides(groups: int, channels: Size, what: str) -> None:
    rest = as_size(channels % groups)
    if isinstance(rest, int) and rest:
        raise ShapeError(f"{channels} {what} cannot be cut into {groups} equal groups")
    same_size(rest, 0, f"{what} that {groups} groups cannot share equally")


class _Frame:
    """One convolution over NumPy arrays: images as (n, group, channel, *sizes) and, for each tap of
    the filter, the part of the padded images that it sees."""

    def __init__(self, op: Convolving, x: Sequence[int], w: Sequence[int]) -> None:
        self.op, self.layout = op, op.layout
        n, _, self.sizes = self.layout.of_image(x)
        o, own, self.kernel = self.layout.of_weights(w)
        g = op.groups
        self.out = op.windows(self.sizes, self.kernel)
        self.filter = (g, o // g, own)
        self.image, self.result = (n, g, own, *self.sizes), (n, g, o // g, *self.out)
        rows = zip(self.out, self.kernel, op.stride, op.dilation, strict=True)
        self.whole = (n, g, own, *(s * (m - 1) + d * (k - 1) + 1 for m, k, s, d in rows))

    def images(self, x: Any) -> Any:
        return self._split(x, self.image)

    def results(self, y: Any) -> Any:
        return self._split(y, self.result)

    def _split(self, x: Any, shape: tuple[int, ...]) -> Any:
        return (np.moveaxis(x, -1, 1) if self.op.last else x).reshape(shape)

    def joined(self, x: Any) -> Any:
        """An array of images from one with a group axis."""
        x = x.reshape(x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:])
        return np.ascontiguousarray(np.moveaxis(x, 1, -1)) if self.op.last else x

    def filters(self, w: Any) -> Any:
        """The weights as (*kernel, group, out, in)."""
        w = w if self.op.last else np.moveaxis(w, (0, 1), (-1, -2))
        *kernel, own, o = w.shape
        w = w.reshape(*kernel, own, self.op.groups, o // self.op.groups)
        return np.moveaxis(w, -3, -1)

    def taps(self, whole: Any) -> Iterator[tuple[tuple[int, ...], Any]]:
        """Each tap, and its view of the padded images."""
        for at in np.ndindex(*self.kernel):
            rows = zip(at, self.out, self.op.stride, self.op.dilation, strict=True)
            part = (slice(k * d, k * d + s * (m - 1) + 1, s) for k, m, s, d in rows)
            yield at, whole[(..., *part)]

    def padded(self, images: Any) -> Any:
        whole: Any = np.zeros(self.whole, images.dtype)
        inner, outer = self._overlap()
        whole[(..., *outer)] = images[(..., *inner)]
        return whole

    def cropped(self, whole: Any) -> Any:
        images: Any = np.zeros(self.image, whole.dtype)
        inner, outer = self._overlap()
        images[(..., *inner)] = whole[(..., *outer)]
        return images

    def _overlap(self) -> tuple[list[slice], list[slice]]:
        """Where the images meet what the windows see, as slices of both."""
        inner, outer = [], []
        for size, whole, before in zip(self.sizes, self.whole[3:], self.op.before, strict=True):
            first, end = max(0, -int(before)), min(size, whole - int(before))
            end = max(first, end)
            inner.append(slice(first, end))
            outer.append(slice(first + int(before), end + int(before)))
        return inner, outer
