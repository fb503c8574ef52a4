"""`keras.ops.image`: colours."""

from __future__ import annotations

from typing import Any

from keras.src.backend.config import standardize_data_format

import symgraph as sg
from keras_symgraph.src.ops.promotion import is_inexact, result_type
from keras_symgraph.src.tensor import Tensor, node_of, wrap
from symgraph import Variable, dtypes


def check_rank(images: Variable) -> None:
    """Raises ValueError for what is neither an image nor a batch of them."""
    if images.ndim not in (3, 4):
        raise ValueError(
            "Invalid images rank: expected rank 3 (single image) or rank 4 (batch of images). "
            f"Received input with shape: images.shape={images.shape}"
        )


def _channel_axis(data_format: str | None) -> int:
    return -1 if standardize_data_format(data_format) == "channels_last" else -3


def rgb_to_grayscale(images: Any, data_format: str | None = None) -> Tensor:
    """Weights of ITU-R BT.601."""
    node, axis = node_of(images), _channel_axis(data_format)
    check_rank(node)
    if node.shape[axis] not in (1, 3):
        raise ValueError(
            "Invalid channel size: expected 3 (RGB) or 1 (Grayscale). "
            f"Received input with shape: images.shape={node.shape}"
        )
    if node.shape[axis] == 1:
        return wrap(node)
    weights = sg.constant([0.2989, 0.5870, 0.1140], result_type(node.dtype, float))
    placed = sg.reshape(weights, (3,) if axis == -1 else (3, 1, 1))
    gray = sg.sum(node.astype(weights.dtype) * placed, axis, keepdims=True)
    return wrap(gray.astype(node.dtype))


def _planes(images: Any, data_format: str | None) -> tuple[Variable, Variable, Variable, int]:
    node, axis = node_of(images), _channel_axis(data_format)
    check_rank(node)
    if not is_inexact(node.dtype):
        raise ValueError(
            f"Invalid images dtype: expected float dtype. Received: images.dtype={node.dtype}"
        )
    a, b, c = (sg.squeeze(p, axis) for p in sg.split(node, 3, axis))
    return a, b, c, axis


def rgb_to_hsv(images: Any, data_format: str | None = None) -> Tensor:
    """Smith's hexcone (1978). Channels below the dtype's precision count as 0."""
    *planes, axis = _planes(images, data_format)
    tiny = dtypes.limits(planes[0].dtype).eps
    r, g, b = (sg.where(sg.less(sg.abs(p), tiny), 0.0, p).astype(p.dtype) for p in planes)
    value = sg.maximum(sg.maximum(r, g), b)
    span = value - sg.minimum(sg.minimum(r, g), b)
    one, zero = sg.ones_like(value), sg.zeros_like(value)
    bright, colored = sg.greater(value, 0), sg.greater(span, 0)
    saturation = sg.where(bright, span / sg.where(bright, value, one), zero)
    norm = 1.0 / (6.0 * sg.where(colored, span, one))
    hue = sg.where(sg.equal(value, g), norm * (b - r) + 2.0 / 6.0, norm * (r - g) + 4.0 / 6.0)
    hue = sg.where(sg.equal(value, r), norm * (g - b), hue)
    hue = sg.where(colored, hue, zero)
    hue = hue + sg.less(hue, 0).astype(hue.dtype)
    return wrap(sg.stack([hue, saturation, value], axis))


def hsv_to_rgb(images: Any, data_format: str | None = None) -> Tensor:
    hue, saturation, value, axis = _planes(images, data_format)
    turn = sg.mod(hue, 1.0) * 6.0
    shares = (
        sg.clip(sg.abs(turn - 3.0) - 1.0, 0.0, 1.0),
        sg.clip(2.0 - sg.abs(turn - 2.0), 0.0, 1.0),
        sg.clip(2.0 - sg.abs(turn - 4.0), 0.0, 1.0),
    )
    rest = 1.0 - saturation
    return wrap(sg.stack([value * (rest + saturation * s) for s in shares], axis))
