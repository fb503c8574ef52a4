"""`keras.ops.nn`: convolutions and windows over images of any number of axes."""

from __future__ import annotations

from typing import Any

from keras.src.backend.common.backend_utils import (
    check_conv_input_channels,
    check_conv_transpose_input_channels,
    compute_conv_transpose_padding_args_for_jax,
)
from keras.src.backend.config import standardize_data_format

import symgraph as sg
from keras_symgraph.src.ops.promotion import is_inexact, promoted
from keras_symgraph.src.tensor import Tensor, node_of, wrap
from symgraph import Variable, nn


def _each(value: Any, n: int) -> tuple[int, ...]:
    """One number for each of ``n`` axes."""
    return (value,) * n if isinstance(value, int) else tuple(value)


def _spatial(value: Any, n: int) -> tuple[int, ...]:
    """As `_each`, of what may also name the batch and the channels."""
    found = _each(value, n)
    return found[1:-1] if len(found) == n + 2 else found


def _layout(x: Variable, data_format: str) -> str:
    sizes = "DHW"[-(x.ndim - 2) :]
    return f"N{sizes}C" if data_format == "channels_last" else f"NC{sizes}"


def _filters(w: Variable, data_format: str) -> Variable:
    """Keras' filters have the channels last in both formats."""
    if data_format == "channels_last":
        return w
    return sg.transpose(w, (w.ndim - 1, w.ndim - 2, *range(w.ndim - 2)))


def _channels(x: Variable, data_format: str) -> Any:
    return x.shape[-1] if data_format == "channels_last" else x.shape[1]


def _convolve(
    x: Variable, w: Variable, strides: Any, padding: str, data_format: str, dilation: Any,
    groups: Any = 1,
) -> Variable:  # fmt: skip
    n = x.ndim - 2
    return nn.conv(
        x, _filters(w, data_format), _each(strides, n), padding.lower(), _each(dilation, n),
        groups=groups, layout=_layout(x, data_format),
    )  # fmt: skip


def conv(
    inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid",
    data_format: str | None = None, dilation_rate: Any = 1,
) -> Tensor:  # fmt: skip
    """Raises ValueError for channels that the filters do not divide, and for windows that do not
    fit anywhere."""
    form = standardize_data_format(data_format)
    x, w = promoted(inputs, kernel)
    channels, each = _channels(x, form), w.shape[-2]
    if isinstance(channels, int) and channels % each:
        raise ValueError(
            "The number of input channels must be evenly divisible by kernel's in_channels. "
            f"Received input channels {channels} and kernel in_channels {each}. "
        )
    groups = channels // each
    out = _convolve(x, w, strides, padding, form, dilation_rate, groups)
    if any(isinstance(n, int) and n == 0 for n in out.shape) and all(x.shape):
        raise ValueError(
            "The convolution operation resulted in an empty output. This can happen if the input "
            "is too small for the given kernel size, strides, dilation rate, and padding mode. "
            "Please check the input shape and convolution parameters."
        )
    return wrap(out)


def depthwise_conv(
    inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid",
    data_format: str | None = None, dilation_rate: Any = 1,
) -> Tensor:  # fmt: skip
    form = standardize_data_format(data_format)
    x, w = promoted(inputs, kernel)
    check_conv_input_channels(x, w, form)
    each = sg.reshape(w, (*w.shape[:-2], 1, w.shape[-2] * w.shape[-1]))
    groups = w.shape[-2]
    return wrap(_convolve(x, each, strides, padding, form, dilation_rate, groups))


def separable_conv(
    inputs: Any, depthwise_kernel: Any, pointwise_kernel: Any, strides: Any = 1,
    padding: str = "valid", data_format: str | None = None, dilation_rate: Any = 1,
) -> Tensor:  # fmt: skip
    form = standardize_data_format(data_format)
    between = depthwise_conv(inputs, depthwise_kernel, strides, padding, form, dilation_rate)
    return conv(between, pointwise_kernel, 1, "valid", form, dilation_rate)


def conv_transpose(
    inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid", output_padding: Any = None,
    data_format: str | None = None, dilation_rate: Any = 1,
) -> Tensor:  # fmt: skip
    """Keras' padding is told as what is cut from the whole transposed convolution."""
    form = standardize_data_format(data_format)
    x, w = promoted(inputs, kernel)
    check_conv_transpose_input_channels(x, w, form)
    n = x.ndim - 2
    steps, spread = _each(strides, n), _each(dilation_rate, n)
    pads = compute_conv_transpose_padding_args_for_jax(
        x.shape, w.shape, strides, padding, output_padding, dilation_rate
    )
    spans = [(k - 1) * d for k, d in zip(w.shape, spread, strict=False)]
    cuts = [(s - before, s - after) for s, (before, after) in zip(spans, pads, strict=True)]
    return wrap(
        nn.conv_transpose(
            x,
            _filters(w, form),
            steps,
            tuple((a, max(b, 0)) for a, b in cuts),
            tuple(max(-b, 0) for _, b in cuts),
            spread,
            layout=_layout(x, form),
        )
    )


# windows ------------------------------------------------------------------------------------------


def max_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:  # fmt: skip
    x, window, steps, layout = _pooling(inputs, pool_size, strides, padding, data_format)
    return wrap(nn.max_pool(x, window, steps, padding.lower(), layout=layout))


def average_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """What is padded does not count."""
    x, window, steps, layout = _pooling(inputs, pool_size, strides, padding, data_format)
    mean = nn.avg_pool(x, window, steps, padding.lower(), count_include_pad=False, layout=layout)
    return wrap(mean.astype(x.dtype if is_inexact(x.dtype) else mean.dtype))


def _pooling(
    inputs: Any, pool_size: Any, strides: Any, padding: str, data_format: str | None
) -> tuple[Variable, tuple[int, ...], tuple[int, ...], str]:
    if padding.lower() not in ("same", "valid"):
        raise ValueError(f"Invalid padding '{padding}', must be 'same' or 'valid'.")
    x = node_of(inputs)
    n = x.ndim - 2
    window = _spatial(pool_size, n)
    steps = window if strides is None else _spatial(strides, n)
    return x, window, steps, _layout(x, standardize_data_format(data_format))


def adaptive_average_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> Tensor:
    x = node_of(inputs)
    form = standardize_data_format(data_format)
    return wrap(nn.adaptive_avg_pool(x, _each(output_size, x.ndim - 2), _layout(x, form)))


def adaptive_max_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> Tensor:
    x = node_of(inputs)
    form = standardize_data_format(data_format)
    return wrap(nn.adaptive_max_pool(x, _each(output_size, x.ndim - 2), _layout(x, form)))


def unfold(
    input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    x = node_of(input)
    n = x.ndim - 2
    return wrap(
        nn.unfold(x, _each(kernel_size, n), _each(stride, n), _each(padding, n), _each(dilation, n))
    )


def fold(
    x: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    return wrap(
        nn.fold(
            node_of(x),
            _each(output_size, 2),
            _each(kernel_size, 2),
            _each(stride, 2),
            _each(padding, 2),
            _each(dilation, 2),
        )
    )


def depth_to_space(x: Any, block_size: int, data_format: str = "channels_last") -> Tensor:
    node, b = node_of(x), block_size
    if data_format == "channels_last":
        n, h, w, c = node.shape
        blocks = sg.reshape(node, (n, h, w, b, b, c // b**2))
        mixed = sg.transpose(blocks, (0, 1, 3, 2, 4, 5))
        return wrap(sg.reshape(mixed, (n, h * b, w * b, c // b**2)))
    n, c, h, w = node.shape
    blocks = sg.reshape(node, (n, c // b**2, b, b, h, w))
    mixed = sg.transpose(blocks, (0, 1, 4, 2, 5, 3))
    return wrap(sg.reshape(mixed, (n, c // b**2, h * b, w * b)))


def space_to_depth(x: Any, block_size: int, data_format: str = "channels_last") -> Tensor:
    node, b = node_of(x), block_size
    if data_format == "channels_last":
        n, h, w, c = node.shape
        blocks = sg.reshape(node, (n, h // b, b, w // b, b, c))
        mixed = sg.transpose(blocks, (0, 1, 3, 2, 4, 5))
        return wrap(sg.reshape(mixed, (n, h // b, w // b, c * b**2)))
    n, c, h, w = node.shape
    blocks = sg.reshape(node, (n, c, h // b, b, w // b, b))
    mixed = sg.transpose(blocks, (0, 1, 3, 5, 2, 4))
    return wrap(sg.reshape(mixed, (n, c * b**2, h // b, w // b)))
