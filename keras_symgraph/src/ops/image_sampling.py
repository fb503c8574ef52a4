"""`keras.ops.image`: images read at other places than their pixels."""

from __future__ import annotations

import itertools
from typing import Any

from keras.src.backend.config import standardize_data_format

import symgraph as sg
from keras_symgraph.src.ops.image_colors import check_rank
from keras_symgraph.src.ops.promotion import is_inexact
from keras_symgraph.src.tensor import Tensor, node_of, wrap
from symgraph import Variable

AFFINE_TRANSFORM_INTERPOLATIONS = {"nearest": 0, "bilinear": 1}
AFFINE_TRANSFORM_FILL_MODES = {"constant", "nearest", "wrap", "mirror", "reflect"}
MAP_COORDINATES_FILL_MODES = {"constant", "nearest", "wrap", "mirror", "reflect"}

Corner = tuple[Variable, "Variable | None", Any]  # an index, whether it is inside, its weight


def map_coordinates(
    inputs: Any, coordinates: Any, order: int, fill_mode: str = "constant", fill_value: Any = 0.0
) -> Tensor:
    """Raises ValueError for coordinates that do not fit, and for other orders than 0 and 1."""
    x, at = node_of(inputs), node_of(coordinates)
    if at.shape[0] != x.ndim:
        raise ValueError(
            "First dim of `coordinates` must be the same as the rank of `inputs`. "
            f"Received inputs with shape: {x.shape} and coordinate leading dim of {at.shape[0]}"
        )
    if at.ndim < 2:
        raise ValueError(
            "Invalid coordinates rank: expected at least rank 2."
            f" Received input with shape: {at.shape}"
        )
    if fill_mode not in MAP_COORDINATES_FILL_MODES:
        raise ValueError(
            "Invalid value for argument `fill_mode`. Expected one of "
            f"{set(MAP_COORDINATES_FILL_MODES)}. Received: fill_mode={fill_mode}"
        )
    if order not in range(2):
        raise ValueError(
            f"Invalid value for argument `order`. Expected one of {[0, 1]}. Received: order={order}"
        )
    rows = [at[k] for k in range(x.ndim)]
    return wrap(sampled(x, rows, order, fill_mode, fill_value))


def sampled(
    x: Variable, at: list[Variable], order: int, mode: str, fill: Any, batched: bool = False
) -> Variable:
    """The values of `x` at coordinates along its first axes (all further axes are kept); with
    ``batched`` the first axis of all belongs together. Linear in each axis with ``order`` 1."""
    lead = 1 if batched else 0
    rest = x.shape[lead + len(at) :]
    sizes = x.shape[lead : lead + len(at)]
    flat = sg.reshape(x, (-1, *rest))
    corners = [_corners(c, n, order, mode) for c, n in zip(at, sizes, strict=True)]
    wide = "float64" if x.dtype == "float64" else "float32"
    total: Any = None
    for choice in itertools.product(*corners):
        index = _flat_index(choice, sizes, x.shape[0] if batched else None)
        value = sg.take(flat, index, 0, mode="clip").astype(wide)
        inside = [c[1] for c in choice if c[1] is not None]
        for test in inside:
            value = sg.where(_with_axes(test, len(rest)), value, node_of(fill, wide))
        for _, _, weight in choice:
            value = value if weight is None else value * _with_axes(weight, len(rest))
        total = value if total is None else total + value
    return (total if is_inexact(x.dtype) else sg.round(total)).astype(x.dtype)


def _with_axes(x: Variable, count: int) -> Variable:
    return sg.reshape(x, (*x.shape, *(1,) * count))


def _flat_index(choice: Any, sizes: Any, batch: Any) -> Variable:
    index: Any = 0
    if batch is not None:
        ndim = choice[0][0].ndim
        index = sg.reshape(sg.arange(batch), (batch, *(1,) * (ndim - 1)))
    for (place, _, _), n in zip(choice, sizes, strict=True):
        index = index * n + place
    return index


def _corners(c: Variable, n: Any, order: int, mode: str) -> list[Corner]:
    """The pixels about a coordinate, with their weights."""
    if not is_inexact(c.dtype):
        c = c.astype("float32")
    if order == 0:
        nearest = sg.trunc(c + sg.copysign(sg.full_like(c, 0.5), c))  # halves away from 0
        return [(*_inside(nearest.astype("int64"), n, mode), None)]
    lower = sg.floor(c)
    upper = c - lower
    first = lower.astype("int64")
    return [(*_inside(first, n, mode), 1 - upper), (*_inside(first + 1, n, mode), upper)]


def _inside(index: Variable, n: Any, mode: str) -> tuple[Variable, Variable | None]:
    """A pixel that is there for one that may not be; in mode "constant" also whether it was."""
    last = sg.as_variable(n) - 1
    if mode == "wrap":
        return sg.mod(index, sg.as_variable(n)), None
    if mode == "mirror":
        return _mirrored(index, last), None
    if mode == "reflect":
        return sg.floor_divide(_mirrored(2 * index + 1, 2 * last + 2), 2), None
    near = sg.minimum(sg.maximum(index, 0), last)
    return near, (sg.equal(near, index) if mode == "constant" else None)


def _mirrored(index: Variable, last: Variable) -> Variable:
    """Back and forth between 0 and ``last``; there may be one pixel only."""
    turn = sg.maximum(2 * last, 1)
    return sg.abs(sg.mod(index + last, turn) - last)


# transforms ---------------------------------------------------------------------------------------


def _check_interpolation(interpolation: str) -> int:
    if interpolation not in AFFINE_TRANSFORM_INTERPOLATIONS:
        raise ValueError(
            "Invalid value for argument `interpolation`. Expected of one "
            f"{set(AFFINE_TRANSFORM_INTERPOLATIONS.keys())}. Received: "
            f"interpolation={interpolation}"
        )
    return AFFINE_TRANSFORM_INTERPOLATIONS[interpolation]


def affine_transform(
    images: Any, transform: Any, interpolation: str = "bilinear", fill_mode: str = "constant",
    fill_value: Any = 0, data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """(x, y) of the result reads (a0 x + a1 y + a2, b0 x + b1 y + b2) of the image; ``transform``
    is [a0, a1, a2, b0, b1, b2, 0, 0], or one for each image."""
    form = standardize_data_format(data_format)
    order = _check_interpolation(interpolation)
    if fill_mode not in AFFINE_TRANSFORM_FILL_MODES:
        raise ValueError(
            "Invalid value for argument `fill_mode`. Expected of one "
            f"{AFFINE_TRANSFORM_FILL_MODES}. Received: fill_mode={fill_mode}"
        )
    x, t = node_of(images), node_of(transform)
    check_rank(x)
    if t.ndim not in (1, 2):
        raise ValueError(
            "Invalid transform rank: expected rank 1 (single transform) or rank 2 "
            f"(batch of transforms). Received input with shape: transform.shape={t.shape}"
        )
    batch = as_batch(x, form)
    n, height, width, _ = batch.shape
    row, column = _grid(height, width)
    t = t.astype("float64" if t.dtype == "float64" else "float32")
    t = sg.broadcast_to(sg.expand_dims(t, 0) if t.ndim == 1 else t, (n, t.shape[-1]))
    a0, a1, a2, b0, b1, b2 = (sg.reshape(t[:, k], (n, 1, 1)) for k in range(6))
    across = column * a0 + row * a1 + a2
    down = column * b0 + row * b1 + b2
    out = sampled(batch, [down, across], order, fill_mode, fill_value, batched=True)
    return wrap(like(out, x, form))


def as_batch(x: Variable, data_format: str) -> Variable:
    """Images as [batch, height, width, channels]."""
    batch = sg.expand_dims(x, 0) if x.ndim == 3 else x
    return batch if data_format == "channels_last" else sg.transpose(batch, (0, 2, 3, 1))


def like(batch: Variable, x: Variable, data_format: str) -> Variable:
    """[batch, height, width, channels] in the form that `x` had."""
    out = batch if data_format == "channels_last" else sg.transpose(batch, (0, 3, 1, 2))
    return sg.squeeze(out, 0) if x.ndim == 3 else out


def _grid(height: Any, width: Any) -> tuple[Variable, Variable]:
    row = sg.reshape(sg.arange(height).astype("float32"), (1, height, 1))
    return row, sg.reshape(sg.arange(width).astype("float32"), (1, 1, width))


def perspective_transform(
    images: Any, start_points: Any, end_points: Any, interpolation: str = "bilinear",
    fill_value: Any = 0, data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """The image in which each start point has come to lie at its end point."""
    form = standardize_data_format(data_format)
    order = _check_interpolation(interpolation)
    x, start, end = node_of(images), node_of(start_points), node_of(end_points)
    check_rank(x)
    for name, points in (("start_points", start), ("end_points", end)):
        if points.shape[-2:] != (4, 2) or points.ndim not in (2, 3):
            raise ValueError(
                f"Invalid {name} shape: expected (4,2) for a single image"
                f" or (N,4,2) for a batch. Received shape: {points.shape}"
            )
    if start.shape != end.shape:
        raise ValueError(
            "start_points and end_points must have the same shape."
            f" Received start_points.shape={start.shape}, end_points.shape={end.shape}"
        )
    batch = as_batch(x, form)
    start, end = (sg.expand_dims(p, 0) if p.ndim == 2 else p for p in (start, end))
    h = _homography(start.astype("float32"), end.astype("float32"))
    n, height, width, _ = batch.shape
    row, column = _grid(height, width)
    t = [sg.reshape(h[:, k], (h.shape[0], 1, 1)) for k in range(8)]
    below = t[6] * column + t[7] * row + 1.0
    across = (t[0] * column + t[1] * row + t[2]) / below
    down = (t[3] * column + t[4] * row + t[5]) / below
    places = [sg.broadcast_to(c, (n, height, width)) for c in (down, across)]
    out = sampled(batch, places, order, "constant", fill_value, batched=True)
    return wrap(like(out, x, form))


def compute_homography_matrix(start_points: Any, end_points: Any) -> Tensor:
    return wrap(_homography(node_of(start_points), node_of(end_points)))


def _homography(start: Variable, end: Variable) -> Variable:
    """Eight numbers for each batch of four points: the projection of the end points to the start
    points, from eight equations."""
    x0, y0, x1, y1 = start[..., 0], start[..., 1], end[..., 0], end[..., 1]
    zero, one = sg.zeros_like(x1), sg.ones_like(x1)
    first = sg.stack([x1, y1, one, zero, zero, zero, -x0 * x1, -x0 * y1], -1)
    second = sg.stack([zero, zero, zero, x1, y1, one, -y0 * x1, -y0 * y1], -1)
    matrix = sg.concatenate([first, second], 1)
    target = sg.expand_dims(sg.concatenate([x0, y0], -1), -1)
    return sg.squeeze(sg.linalg.solve(matrix, target), -1)
