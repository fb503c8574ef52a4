"""`keras.ops.image`: images convolved and bent."""

from __future__ import annotations

from typing import Any

from keras.src.backend.config import standardize_data_format
from keras.src.random.seed_generator import draw_seed

import symgraph as sg
from keras_symgraph.src.ops.image_colors import check_rank
from keras_symgraph.src.ops.image_sampling import (
    AFFINE_TRANSFORM_FILL_MODES,
    AFFINE_TRANSFORM_INTERPOLATIONS,
    as_batch,
    like,
    sampled,
)
from keras_symgraph.src.tensor import Tensor, node_of, value_of, wrap
from symgraph import Variable, nn


def _depthwise(batch: Variable, kernel: Variable) -> Variable:
    """[batch, height, width, channels], each channel with the same filter [height, width]."""
    channels: Any = batch.shape[-1]
    w = sg.broadcast_to(sg.reshape(kernel, (*kernel.shape, 1, 1)), (*kernel.shape, 1, channels))
    return nn.conv(batch, w, padding="same", groups=channels, layout="NHWC")


def gaussian_blur(
    images: Any, kernel_size: Any = (3, 3), sigma: Any = (1.0, 1.0), data_format: str | None = None
) -> Tensor:
    form = standardize_data_format(data_format)
    x = node_of(images)
    check_rank(x)
    kernel = _gaussian(kernel_size, node_of(sigma, x.dtype), x.dtype)
    return wrap(like(_depthwise(as_batch(x, form), kernel), x, form))


def _gaussian(kernel_size: Any, sigma: Variable, dtype: str) -> Variable:
    def bell(n: int, s: Variable) -> Variable:
        x = sg.arange(n).astype(dtype) - (n - 1) / 2
        height = sg.exp(-0.5 * sg.square(x / s))
        return height / sg.sum(height)

    first, second = (bell(int(kernel_size[k]), sigma[k]) for k in (0, 1))
    return sg.outer(second, first)


def sobel_edges(images: Any, data_format: str | None = None) -> Tensor:
    """Along a last axis the slopes down and across."""
    form = standardize_data_format(data_format)
    x = node_of(images)
    batch = as_batch(x, form)
    across = sg.constant([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], x.dtype)
    slopes = [like(_depthwise(batch, k), x, form) for k in (sg.transpose(across), across)]
    return wrap(sg.stack(slopes, -1))


def elastic_transform(
    images: Any, alpha: Any = 20.0, sigma: Any = 5.0, interpolation: str = "bilinear",
    fill_mode: str = "reflect", fill_value: Any = 0.0, seed: Any = None,
    data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Pixels moved by blurred noise (Simard, Steinkraus and Platt, 2003). ``sigma`` says how large
    a filter is and has to be a known number."""
    form = standardize_data_format(data_format)
    if interpolation not in AFFINE_TRANSFORM_INTERPOLATIONS:
        raise ValueError(
            "Invalid value for argument `interpolation`. Expected of one "
            f"{set(AFFINE_TRANSFORM_INTERPOLATIONS.keys())}. Received: "
            f"interpolation={interpolation}"
        )
    if fill_mode not in AFFINE_TRANSFORM_FILL_MODES:
        raise ValueError(
            "Invalid value for argument `fill_mode`. Expected of one "
            f"{AFFINE_TRANSFORM_FILL_MODES}. Received: fill_mode={fill_mode}"
        )
    x = node_of(images)
    check_rank(x)
    batch = as_batch(x, form)
    n, height, width, _ = batch.shape
    wide = "float64" if x.dtype == "float64" else "float32"
    spread = float(value_of(sigma))
    side = int(6 * spread) | 1
    kernel = _gaussian((side, side), sg.constant([spread, spread], wide), wide)
    keys = sg.random.split(node_of(draw_seed(seed), "uint32"))

    def moved(start: Variable, key: Variable) -> Variable:
        noise = sg.random.normal(key, (n, height, width, 1), wide) * spread
        return start + node_of(alpha, wide) * _depthwise(noise, kernel)[..., 0]

    row = sg.reshape(sg.arange(height).astype(wide), (1, height, 1))
    column = sg.reshape(sg.arange(width).astype(wide), (1, 1, width))
    places = [moved(row, keys[0]), moved(column, keys[1])]
    order = AFFINE_TRANSFORM_INTERPOLATIONS[interpolation]
    out = sampled(batch, places, order, fill_mode, fill_value, batched=True)
    return wrap(like(out, x, form))
