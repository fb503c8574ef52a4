"""`keras.ops.image`: images at other sizes, as sums of weighted pixels along each axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from keras.src.backend.config import standardize_data_format

import symgraph as sg
from keras_symgraph.src.ops.image_colors import check_rank
from keras_symgraph.src.ops.promotion import is_inexact
from keras_symgraph.src.ops.sizes import shape_of
from keras_symgraph.src.tensor import Tensor, node_of, wrap
from symgraph import Variable

RESIZE_INTERPOLATIONS = ("bilinear", "nearest", "lanczos3", "lanczos5", "bicubic")
SCALE_AND_TRANSLATE_METHODS = {
    "linear", "bilinear", "trilinear", "cubic", "bicubic", "tricubic", "lanczos3", "lanczos5",
}  # fmt: skip


def _triangle(x: Variable) -> Variable:
    return sg.maximum(1 - x, 0.0)


def _keys(x: Variable) -> Variable:
    """Keys' cubic kernel (1981) with a = -1/2."""
    near = ((1.5 * x - 2.5) * x) * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return sg.where(sg.greater_equal(x, 2.0), 0.0, sg.where(sg.greater_equal(x, 1.0), far, near))


def _lanczos(radius: float) -> Callable[[Variable], Variable]:
    def kernel(x: Variable) -> Variable:
        wave = radius * sg.sin(math.pi * x) * sg.sin(math.pi * x / radius)
        clear = sg.greater(x, 1e-3)
        inner = sg.where(clear, wave / sg.where(clear, math.pi**2 * x * x, 1.0), 1.0)
        return sg.where(sg.greater(x, radius), 0.0, inner)

    return kernel


_KERNELS: dict[str, Callable[[Variable], Variable]] = {
    "linear": _triangle, "bilinear": _triangle, "trilinear": _triangle,
    "cubic": _keys, "bicubic": _keys, "tricubic": _keys,
    "lanczos3": _lanczos(3.0), "lanczos5": _lanczos(5.0),
}  # fmt: skip


def _weights(
    old: Any, new: Any, scale: Variable, translation: Variable, method: str, antialias: bool
) -> Variable:
    """[old, new]: how much each pixel counts in each new one. The weights of a new pixel add to 1,
    or are 0 for one outside of the image."""
    dtype = scale.dtype
    back = 1.0 / scale
    width = sg.maximum(back, 1.0) if antialias else 1.0
    at = (sg.arange(new).astype(dtype) + 0.5) * back - translation * back - 0.5
    pixels = sg.reshape(sg.arange(old).astype(dtype), (old, 1))
    weights = _KERNELS[method](sg.abs(at - pixels) / width).astype(dtype)
    total = sg.sum(weights, 0, keepdims=True)
    enough = sg.greater(sg.abs(total), 1000.0 * 1.1920929e-07)
    scaled = sg.where(enough, weights / sg.where(enough, total, 1.0), 0.0)
    seen = sg.logical_and(
        sg.greater_equal(at, -0.5), sg.less_equal(at, sg.as_variable(old).astype(dtype) - 0.5)
    )
    return sg.where(seen, scaled, 0.0).astype(dtype)


def _along(x: Variable, weights: Variable, axis: int) -> Variable:
    """`x` with its axis multiplied by a matrix."""
    return sg.moveaxis(sg.tensordot(x, weights, ((axis,), (0,))), -1, axis)


def scale_and_translate(
    images: Any, output_shape: Any, scale: Any, translation: Any, spatial_dims: Any, method: str,
    antialias: bool = True,
) -> Tensor:  # fmt: skip
    """Raises ValueError for an unknown method."""
    if method not in SCALE_AND_TRANSLATE_METHODS:
        raise ValueError(
            "Invalid value for argument `method`. Expected of one "
            f"{SCALE_AND_TRANSLATE_METHODS}. Received: method={method}"
        )
    x = node_of(images)
    x = x if is_inexact(x.dtype) else x.astype("float32")
    factors, moves = (node_of(v).astype("float32") for v in (scale, translation))
    sizes = shape_of(output_shape)
    for k, dim in enumerate(spatial_dims):
        axis = dim % x.ndim
        matrix = _weights(x.shape[axis], sizes[axis], factors[k], moves[k], method, antialias)
        x = _along(x, matrix.astype(x.dtype), axis)
    return wrap(x)


# resize -------------------------------------------------------------------------------------------


def resize(
    images: Any, size: Any, interpolation: str = "bilinear", antialias: bool = False,
    crop_to_aspect_ratio: bool = False, pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant", fill_value: Any = 0.0, data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Cutting and filling up to an aspect ratio need images of known size."""
    form = standardize_data_format(data_format)
    _check(size, interpolation, crop_to_aspect_ratio, pad_to_aspect_ratio, fill_mode)
    x = node_of(images)
    check_rank(x)
    target = shape_of(size)
    axes = (x.ndim - 3, x.ndim - 2) if form == "channels_last" else (x.ndim - 2, x.ndim - 1)
    if crop_to_aspect_ratio:
        x = _cropped(x, axes, target)
    elif pad_to_aspect_ratio:
        x = _filled(x, axes, target, fill_value)
    if interpolation == "nearest":
        return wrap(_nearest(x, axes, target))
    dtype = x.dtype if is_inexact(x.dtype) else "float32"
    x = x.astype(dtype)
    for axis, new in zip(axes, target, strict=True):
        old = x.shape[axis]
        if isinstance(old, int) and old == new:
            continue
        wide = "float64" if dtype == "float64" else "float32"
        ratio = sg.as_variable(new).astype(wide) / sg.as_variable(old).astype(wide)
        matrix = _weights(old, new, ratio, sg.zeros_like(ratio), interpolation, antialias)
        x = _along(x.astype(wide), matrix, axis)
    return wrap(x.astype(dtype))


def _check(size: Any, interpolation: str, crop: bool, fill: bool, fill_mode: str) -> None:
    if interpolation not in RESIZE_INTERPOLATIONS:
        raise ValueError(
            "Invalid value for argument `interpolation`. Expected of one "
            f"{RESIZE_INTERPOLATIONS}. Received: interpolation={interpolation}"
        )
    if fill_mode != "constant":
        raise ValueError(
            "Invalid value for argument `fill_mode`. Only `'constant'` "
            f"is supported. Received: fill_mode={fill_mode}"
        )
    if fill and crop:
        raise ValueError(
            "Only one of `pad_to_aspect_ratio` & `crop_to_aspect_ratio` can be `True`."
        )
    if len(size) != 2:
        raise ValueError(
            "Argument `size` must be a tuple of two elements "
            f"(height, width). Received: size={size}"
        )


def _nearest(x: Variable, axes: tuple[int, int], target: tuple[Any, ...]) -> Variable:
    for axis, new in zip(axes, target, strict=True):
        old = sg.as_variable(x.shape[axis]).astype("float32")
        step = old / sg.as_variable(new).astype("float32")
        at = sg.floor((sg.arange(new).astype("float32") + 0.5) * step).astype("int64")
        x = sg.take(x, at, axis, mode="clip")
    return x


def _cropped(x: Variable, axes: tuple[int, int], target: tuple[Any, ...]) -> Variable:
    height, width = x.shape[axes[0]], x.shape[axes[1]]
    rows = max(min(height, int(float(width * target[0]) / target[1])), 1)
    columns = max(min(width, int(float(height * target[1]) / target[0])), 1)
    index: list[Any] = [slice(None)] * x.ndim
    for axis, old, new in ((axes[0], height, rows), (axes[1], width, columns)):
        start = int(float(old - new) / 2)
        index[axis] = slice(start, start + new)
    return x[tuple(index)]


def _filled(
    x: Variable, axes: tuple[int, int], target: tuple[Any, ...], fill_value: Any
) -> Variable:
    """As much on one side as on the other; along one axis, the first that is too short."""
    height, width = x.shape[axes[0]], x.shape[axes[1]]
    rows = max(height, int(float(width * target[0]) / target[1]))
    columns = max(width, int(float(height * target[1]) / target[0]))
    widths = [(0, 0)] * x.ndim
    for axis, old, new in ((axes[0], height, rows), (axes[1], width, columns)):
        border = int(float(new - old) / 2)
        if border > 0:
            widths[axis] = (border, border)
            return sg.pad(x, tuple(widths), constant_values=fill_value)
    return x
