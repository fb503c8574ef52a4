"""Images of other sizes: resize by nearest, linear, cubic and area interpolation, and its kin.

Axes are interpolated one after the other. Without antialiasing an element of the result is a sum
of one, two or four taps along an axis, read where they are; with it (and for "area") it is a sum
over a whole row, a product with a matrix of weights.

Positions: the centre of pixel i is at i + 1/2 (``half_pixel``, as in PyTorch, TensorFlow 2 and
JAX), or at i ("corner"), or the centres of the first and the last pixels of both images meet
(``align_corners``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.types import Size
from symgraph.ops.activations import as_floats
from symgraph.ops.arithmetic import absolute, floor, maximum
from symgraph.ops.cast import cast
from symgraph.ops.comparison import greater, less, where
from symgraph.ops.creation import iota
from symgraph.ops.indexing import take
from symgraph.ops.matrix import matmul
from symgraph.ops.operands import as_variable
from symgraph.ops.reductions import sum
from symgraph.ops.shape import as_shape, expand_dims, moveaxis, repeat, reshape, transpose
from symgraph.scalar import as_expr, as_size

__all__ = [
    "bilinear_upsampling", "pixel_shuffle", "pixel_unshuffle", "resize", "rgb_to_grayscale",
    "upsample",
]  # fmt: skip

METHODS = {"nearest": 0, "linear": 1, "bilinear": 1, "trilinear": 1, "cubic": 2, "bicubic": 2,
           "area": 3}  # fmt: skip
NEAREST, LINEAR, CUBIC, AREA = 0, 1, 2, 3


def resize(
    x: Any, size: Any, method: str = "bilinear", *, align_corners: bool = False,
    half_pixel: bool = True, antialias: bool = False, cubic: float | None = None,
    layout: str = "NCHW",
) -> Variable:  # fmt: skip
    """Images x [batch, channels, height, width] at another ``size`` (height, width).

    ``layout`` "NHWC" has the channels last; there may be one, two or three axes of space, as many
    as ``size`` has entries ("NC..." or "N...C"). ``method`` is nearest, linear (bilinear), cubic
    (bicubic) or area (means of the pixels under each new one). ``antialias`` widens the kernel
    where the image becomes smaller. ``cubic`` is the parameter of Keys' kernel, -0.75 as in
    PyTorch, or with ``antialias`` -0.5 as in JAX, TensorFlow and Pillow.

    PyTorch's "nearest" is ``half_pixel=False``, its "nearest-exact" is the default here. Integers
    stay integers for nearest, else become floats. Raises ArgumentError, ShapeError, RankError.

    >>> import symgraph as sg
    >>> sg.nn.resize([[[[0.0, 4.0]]]], (1, 4)).eval().tolist()
    [[[[0.0, 1.0, 3.0, 4.0]]]]
    """
    if method not in METHODS:
        raise ArgumentError(
            f"resize: unknown method {method!r}", hint="nearest, linear, cubic, area"
        )
    kind = METHODS[method]
    if antialias and (kind in (NEAREST, AREA) or align_corners or not half_pixel):
        raise ArgumentError("resize: antialias is for linear and cubic with half_pixel")
    x = as_variable(x) if kind == NEAREST else as_floats(x)
    sizes = as_shape(size, "resize: size")
    a = cubic if cubic is not None else (-0.5 if antialias else -0.75)
    for axis, n in zip(space_axes(x, len(sizes), layout, "resize"), sizes, strict=True):
        old = x.shape[axis]
        if n is old or (isinstance(n, int) and isinstance(old, int) and n == old):
            continue
        if antialias or kind == AREA:
            weights = (
                _area(old, n, x.dtype) if kind == AREA else _smoothed(old, n, kind, a, x.dtype)
            )
            x = _weighted(x, axis, weights)
        elif kind == NEAREST:
            x = take(x, _nearest(old, n, align_corners, half_pixel), axis, mode="clip")
        else:
            source = _positions(old, n, align_corners, half_pixel, _precision(x.dtype))
            x = _tapped(x, axis, source, kind, a)
    return x


def space_axes(x: Variable, count: int, layout: str, what: str) -> list[int]:
    """The axes of space. Raises ArgumentError for another layout, RankError for other axes."""
    if x.ndim != count + 2:
        raise RankError(
            f"{what}: {count} axes of space beside batch and channels in {x.type.text()}"
        )
    if not layout.startswith("N") or "C" not in (layout[1:2], layout[-1:]):
        raise ArgumentError(f"{what}: unknown layout {layout!r}", hint="NCHW or NHWC")
    first = 1 if layout.endswith("C") else 2
    return list(range(first, first + count))


def _precision(dtype: str) -> str:
    return dtype if dtypes.itemsize(dtype) >= 4 else "float32"


# positions ----------------------------------------------------------------------------------------


def _nearest(old: Size, new: Size, align_corners: bool, half_pixel: bool) -> Variable:
    """The pixel that each new one takes, in integers, so that none is off by a rounding."""
    place = iota(new)
    n, m = as_variable(old), as_variable(new)
    if align_corners:
        last = maximum(m - 1, 1)  # rounded to the nearest
        return (2 * place * (n - 1) + last) // (2 * last)
    if half_pixel:
        return ((2 * place + 1) * n) // (2 * m)
    return place * n // m


def _positions(old: Size, new: Size, align_corners: bool, half_pixel: bool, kind: str) -> Variable:
    """Where in the old image the centres of the new pixels are."""
    place = cast(iota(new), kind)
    n, m = cast(as_variable(old), kind), cast(as_variable(new), kind)
    if align_corners:
        return place * ((n - 1) / maximum(m - 1, 1))
    if half_pixel:
        return (place + 0.5) * (n / m) - 0.5
    return place * (n / m)


# taps ---------------------------------------------------------------------------------------------


def _tapped(x: Variable, axis: int, source: Variable, kind: int, a: float) -> Variable:
    """The sum of the taps around each position, the border repeated beyond the image."""
    below = floor(source)
    part = cast(source - below, x.dtype)
    first = cast(below, "int64")
    if kind == LINEAR:
        low = take(x, first, axis, mode="clip")
        return low + _along(part, x.ndim, axis) * (take(x, first + 1, axis, mode="clip") - low)
    total: Any = 0
    for k in (-1, 0, 1, 2):
        weight = _along(_keys(part - k, a), x.ndim, axis)
        total = total + weight * take(x, first + k, axis, mode="clip")
    return total


def _along(v: Variable, ndim: int, axis: int) -> Variable:
    return expand_dims(v, tuple(k for k in range(ndim) if k != axis)) if ndim > 1 else v


def _triangle(t: Variable) -> Variable:
    return maximum(1 - absolute(t), 0)


def _keys(t: Variable, a: float) -> Variable:
    """The kernel of cubic convolution (Keys, 1981)."""
    d = absolute(t)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return where(less(d, 1), near, where(less(d, 2), far, 0))


# matrices -----------------------------------------------------------------------------------------


def _weighted(x: Variable, axis: int, weights: Variable) -> Variable:
    """Along the axis the product with weights [new, old]."""
    return moveaxis(matmul(moveaxis(x, axis, -1), transpose(weights)), -1, axis)


def _smoothed(old: Size, new: Size, kind: int, a: float, dtype: str) -> Variable:
    """Weights of a kernel as wide as a new pixel, or an old one if that is wider."""
    precision = _precision(dtype)
    scale = cast(as_variable(old), precision) / cast(as_variable(new), precision)
    width = maximum(scale, 1)
    centre = expand_dims(_positions(old, new, False, True, precision), 1)
    apart = (expand_dims(cast(iota(old), precision), 0) - centre) / width
    weights = _triangle(apart) if kind == LINEAR else _keys(apart, a)
    return cast(weights / sum(weights, 1, keepdims=True), dtype)


def _area(old: Size, new: Size, dtype: str) -> Variable:
    """Weights of the mean over the pixels that a new one touches, as adaptive pooling has them."""
    place, n, m = expand_dims(iota(new), 1), as_variable(old), as_variable(new)
    first, end = place * n // m, ((place + 1) * n + m - 1) // m
    column = expand_dims(iota(old), 0)
    inside = greater(end, column) & greater(column + 1, first)
    return where(inside, 1 / cast(end - first, dtype), 0)


# by whole factors ---------------------------------------------------------------------------------


def upsample(
    x: Any, scale: Any, method: str = "nearest", layout: str = "NCHW", **options: Any
) -> Variable:
    """Images with each axis of space ``scale`` times as long: an int, or one for each axis.
    ``options`` are those of :func:`resize`.

    >>> import symgraph as sg
    >>> sg.nn.upsample([[[[1, 2]]]], 2).eval().tolist()
    [[[[1, 1, 2, 2], [1, 1, 2, 2]]]]
    """
    x = as_variable(x)
    count = x.ndim - 2
    factors = list(scale) if isinstance(scale, Sequence) else [scale] * count
    axes = space_axes(x, len(factors), layout, "upsample")
    if any(not isinstance(f, int) or f < 1 for f in factors):
        raise ArgumentError(
            f"upsample: scales are whole numbers, not {scale}", hint="use sg.nn.resize"
        )
    if method == "nearest":
        for axis, f in zip(axes, factors, strict=True):
            x = repeat(x, f, axis) if f > 1 else x
        return x
    sizes = [as_size(as_expr(x.shape[k]) * f) for k, f in zip(axes, factors, strict=True)]
    return resize(x, tuple(sizes), method, layout=layout, **options)


def bilinear_upsampling(x: Any, ratio: int) -> Variable:
    """Theano's: images [batch, channels, height, width] ``ratio`` times as large by bilinear
    interpolation, the pixel i of the old image standing at ratio * i + (ratio - 1) // 2 of the new.
    For odd ratios this is :func:`resize`. Raises ArgumentError, RankError.

    >>> import symgraph as sg
    >>> sg.nn.bilinear_upsampling([[[[0.0, 2.0]]]], 2).eval()[0, 0, 0].tolist()
    [0.0, 1.0, 2.0, 2.0]
    """
    x = as_floats(x)
    if not isinstance(ratio, int) or ratio < 1:
        raise ArgumentError(f"bilinear_upsampling: the ratio is a positive int, not {ratio}")
    for axis in space_axes(x, 2, "NCHW", "bilinear_upsampling"):
        new = as_size(as_expr(x.shape[axis]) * ratio)
        place = cast(iota(new) - (ratio - 1) // 2, _precision(x.dtype))
        x = _tapped(x, axis, place / ratio, LINEAR, 0.0)
    return x


def pixel_shuffle(x: Any, factor: int, layout: str = "NCHW") -> Variable:
    """Images with factor**2 times fewer channels, each axis of space ``factor`` times as long: the
    channels c * factor**2 + i * factor + j become the pixels (i, j) of a square (Shi et al., 2016).
    Raises ShapeError, RankError, ArgumentError.

    >>> import symgraph as sg
    >>> sg.nn.pixel_shuffle([[[[1]], [[2]], [[3]], [[4]]]], 2).eval().tolist()
    [[[[1, 2], [3, 4]]]]
    """
    x = as_variable(x)
    space_axes(x, 2, layout, "pixel_shuffle")
    x = moveaxis(x, -1, 1) if layout.endswith("C") else x
    n, c, h, w = x.shape
    if isinstance(c, int) and c % factor**2:
        raise ShapeError(f"pixel_shuffle: {c} channels are no multiple of {factor**2}")
    few = as_size(as_expr(c) // factor**2)
    apart = reshape(x, (n, few, factor, factor, h, w))
    mixed = transpose(apart, (0, 1, 4, 2, 5, 3))
    tall, wide = as_size(as_expr(h) * factor), as_size(as_expr(w) * factor)
    out = reshape(mixed, (n, few, tall, wide))
    return moveaxis(out, 1, -1) if layout.endswith("C") else out


def pixel_unshuffle(x: Any, factor: int, layout: str = "NCHW") -> Variable:
    """The inverse of :func:`pixel_shuffle`. Raises ShapeError, RankError, ArgumentError.

    >>> import symgraph as sg
    >>> sg.nn.pixel_unshuffle([[[[1, 2], [3, 4]]]], 2).eval().tolist()
    [[[[1]], [[2]], [[3]], [[4]]]]
    """
    x = as_variable(x)
    space_axes(x, 2, layout, "pixel_unshuffle")
    x = moveaxis(x, -1, 1) if layout.endswith("C") else x
    n, c, h, w = x.shape
    if any(isinstance(s, int) and s % factor for s in (h, w)):
        raise ShapeError(f"pixel_unshuffle: {h} times {w} pixels are no multiples of {factor}")
    low, short = as_size(as_expr(h) // factor), as_size(as_expr(w) // factor)
    apart = reshape(x, (n, c, low, factor, short, factor))
    mixed = transpose(apart, (0, 1, 3, 5, 2, 4))
    out = reshape(mixed, (n, as_size(as_expr(c) * factor**2), low, short))
    return moveaxis(out, 1, -1) if layout.endswith("C") else out


def rgb_to_grayscale(x: Any, layout: str = "NCHW") -> Variable:
    """The luminance 0.2989 r + 0.587 g + 0.114 b of images with three channels, as one channel
    (ITU-R BT.601). Raises ShapeError, RankError, ArgumentError.

    >>> import symgraph as sg
    >>> sg.nn.rgb_to_grayscale([[[[1.0]], [[0.0]], [[0.0]]]]).eval().tolist()
    [[[[0.2989]]]]
    """
    x = as_floats(x)
    first = space_axes(x, 2, layout, "rgb_to_grayscale")[0]
    axis = 3 if first == 1 else 1
    if isinstance(x.shape[axis], int) and x.shape[axis] != 3:
        raise ShapeError(f"rgb_to_grayscale: {x.shape[axis]} channels, not 3")
    factors = cast(as_variable([0.2989, 0.587, 0.114]), x.dtype)
    return sum(x * _along(factors, 4, axis), axis, keepdims=True)
