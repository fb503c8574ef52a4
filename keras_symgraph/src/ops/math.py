"""`keras.ops.math`: segments, the greatest, Fourier transforms and their frames."""

from __future__ import annotations

import math as _math
from typing import Any

import numpy as np

import symgraph as sg
from keras_symgraph.src.ops.numpy_products import slogdet
from keras_symgraph.src.ops.numpy_reductions import axes_of
from keras_symgraph.src.ops.numpy_reductions import histogram as histogram
from keras_symgraph.src.ops.promotion import floating, is_inexact, promoted
from keras_symgraph.src.ops.sizes import size
from keras_symgraph.src.tensor import Tensor, node_of, wrap
from symgraph import Variable

Pair = tuple[Tensor, Tensor]


# segments -----------------------------------------------------------------------------------------


def segment_sum(
    data: Any, segment_ids: Any, num_segments: Any = None, sorted: bool = False
) -> Tensor:
    """Rows whose segment is negative count nowhere."""
    return _segments("add", 0, 0, data, segment_ids, num_segments)


def segment_prod(
    data: Any, segment_ids: Any, num_segments: Any = None, sorted: bool = False
) -> Tensor:
    """See `segment_sum`; a segment without rows is 1."""
    return _segments("multiply", 1, 1, data, segment_ids, num_segments)


def segment_max(
    data: Any, segment_ids: Any, num_segments: Any = None, sorted: bool = False
) -> Tensor:
    """See `segment_sum`; a segment without rows is -inf, or the least integer."""
    return _segments("max", -_math.inf, "min", data, segment_ids, num_segments)


def segment_min(
    data: Any, segment_ids: Any, num_segments: Any = None, sorted: bool = False
) -> Tensor:
    """See `segment_sum`; a segment without rows is inf, or the greatest integer."""
    return _segments("min", _math.inf, "max", data, segment_ids, num_segments)


def _segments(
    how: str, empty: float, limit: Any, data: Any, segment_ids: Any, num_segments: Any
) -> Tensor:
    rows, ids = node_of(data), node_of(segment_ids).astype("int64")
    if num_segments is None:
        num_segments = sg.max(ids) + 1
    count = size(num_segments)
    first: Any = empty
    if not is_inexact(rows.dtype):
        first = getattr(np.iinfo(rows.dtype), limit) if isinstance(limit, str) else limit
    outside = sg.logical_or(sg.less(ids, 0), sg.greater_equal(ids, count))
    at = sg.where(outside, count, ids)  # one segment more, for what counts nowhere
    start = sg.full((count + 1, *rows.shape[1:]), first, rows.dtype)
    return wrap(getattr(start.at[at], how)(rows)[:count])


# the greatest -------------------------------------------------------------------------------------


def top_k(x: Any, k: int, sorted: bool = True) -> Pair:
    values, places = sg.topk(node_of(x), k)
    return wrap(values), wrap(places.astype("int32"))


def in_top_k(targets: Any, predictions: Any, k: int) -> Tensor:
    """NaN is no great probability."""
    labels, scores = node_of(targets), node_of(predictions)
    own = sg.take_along_axis(scores, sg.expand_dims(labels, -1), -1)
    own = sg.where(sg.isnan(own), -_math.inf, own)
    rank = 1 + sg.sum(sg.greater(scores, own).astype("int32"), -1)
    return wrap(sg.less_equal(rank, k))


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    return wrap(sg.logsumexp(floating(x), axes_of(axis), keepdims))


def cdist(x: Any, y: Any) -> Tensor:
    """Raises ValueError for vectors of other sizes or inputs of one axis."""
    a, b = promoted(x, y)
    if a.ndim < 2 or b.ndim < 2:
        raise ValueError("`cdist` inputs must have rank >= 2")
    if a.shape[-1] != b.shape[-1]:
        raise ValueError("Last dimension of inputs to `cdist` must match")
    gap = sg.expand_dims(a, -2) - sg.expand_dims(b, -3)
    return wrap(sg.sqrt(sg.sum(gap * gap, -1)))


# elements -----------------------------------------------------------------------------------------


def rsqrt(x: Any) -> Tensor:
    return wrap(sg.rsqrt(floating(x)))


def erf(x: Any) -> Tensor:
    return wrap(sg.special.erf(floating(x)))


def erfc(x: Any) -> Tensor:
    return wrap(sg.special.erfc(floating(x)))


def erfinv(x: Any) -> Tensor:
    return wrap(sg.special.erfinv(floating(x)))


def lgamma(x: Any) -> Tensor:
    return wrap(sg.special.gammaln(floating(x)))


def gammainc(x1: Any, x2: Any) -> Tensor:
    return wrap(sg.special.gammainc(*promoted(x1, x2, also=(float,))))


def logdet(x: Any) -> Tensor:
    return slogdet(x)[1]


# Fourier transforms -------------------------------------------------------------------------------


def _get_complex_tensor_from_tuple(x: Any) -> Tensor:
    return wrap(_complex(x))


def _complex(x: Any) -> Variable:
    """Complex numbers from the pair of their parts; raises ValueError for what is no such pair."""
    if not isinstance(x, tuple | list) or len(x) != 2:
        raise ValueError(
            f"Input `x` should be a tuple of two tensors - real and imaginary.Received: x={x}"
        )
    real, imag = map(node_of, x)
    if real.shape != imag.shape:
        raise ValueError(
            "Input `x` should be a tuple of two tensors - real and imaginary."
            "Both the real and imaginary parts should have the same shape. "
            f"Received: x[0].shape = {real.shape}, x[1].shape = {imag.shape}"
        )
    if not ("float" in real.dtype and "float" in imag.dtype):
        raise ValueError(f"At least one tensor in input `x` is not of type float.Received: x={x}.")
    return sg.complex(*promoted(real, imag))


def _parts(x: Variable) -> Pair:
    return wrap(sg.real(x)), wrap(sg.imag(x))


def fft(x: Any) -> Pair:
    return _parts(sg.fft.fft(_complex(x)))


def fft2(x: Any) -> Pair:
    return _parts(sg.fft.fft2(_complex(x)))


def ifft2(x: Any) -> Pair:
    return _parts(sg.fft.ifft2(_complex(x)))


def rfft(x: Any, fft_length: int | None = None) -> Pair:
    return _parts(sg.fft.rfft(floating(x), fft_length))


def irfft(x: Any, fft_length: int | None = None) -> Tensor:
    return wrap(sg.fft.irfft(_complex(x), fft_length))


def extract_sequences(x: Any, sequence_length: int, sequence_stride: int) -> Tensor:
    return wrap(_frames(node_of(x), sequence_length, sequence_stride))


def _frames(x: Variable, length: int, stride: int) -> Variable:
    """[..., time] -> [..., frames, length]"""
    windows = sg.sliding_window_view(x, length, -1)
    return windows[..., ::stride, :]


def stft(
    x: Any, sequence_length: int, sequence_stride: int, fft_length: int, window: Any = "hann",
    center: bool = True,
) -> Pair:  # fmt: skip
    """Raises TypeError for other dtypes than float32 and float64, ValueError for lengths and
    windows that do not fit."""
    node = node_of(x)
    if node.dtype not in ("float32", "float64"):
        raise TypeError(
            "Invalid input type. Expected `float32` or `float64`. "
            f"Received: input type={node.dtype}"
        )
    if fft_length < sequence_length:
        raise ValueError(
            "`fft_length` must equal or larger than `sequence_length`. "
            f"Received: sequence_length={sequence_length}, fft_length={fft_length}"
        )
    weights = _window(window, sequence_length, fft_length, node.dtype)
    if center:
        edge = (fft_length // 2, fft_length // 2)
        node = sg.pad(node, ((0, 0),) * (node.ndim - 1) + (edge,), mode="reflect")
    return _parts(sg.fft.rfft(_frames(node, fft_length, sequence_stride) * weights, fft_length))


def istft(
    x: Any, sequence_length: int, sequence_stride: int, fft_length: int,
    length: int | None = None, window: Any = "hann", center: bool = True,
) -> Tensor:  # fmt: skip
    """Frames are weighted and added up. The weights at one time add to 1 where frames stand on all
    sides (Griffin and Lim, 1984); without a window frames are only added. Raises ValueError for
    fewer than two axes."""
    spectrum = _complex(x)
    if spectrum.ndim < 2:
        raise ValueError(
            f"Input `x` must have at least 2 dimensions. Received shape: {spectrum.shape}"
        )
    dtype = sg.real(spectrum).dtype
    frames = sg.fft.irfft(spectrum, fft_length).astype(dtype)
    if window is not None:
        weights = _window(window, sequence_length, fft_length, dtype)
        frames = frames * (weights / _repeated_squares(weights, sequence_stride))
    *batch, count, _ = frames.shape
    total = fft_length + sequence_stride * (count - 1)
    rows = sg.reshape(frames, (-1, count, fft_length))
    signal = sg.reshape(_overlapped(rows, total, fft_length, sequence_stride), (*batch, total))
    start = fft_length // 2 if center else 0
    if length is not None:
        return wrap(signal[..., start : start + length])
    return wrap(signal[..., start : total - start] if center else signal)


def _repeated_squares(weights: Variable, stride: int) -> Variable:
    """The sum of the squares of all the weights that stand at one time, when a window begins at
    every stride."""
    length = int(weights.shape[0])
    turns = -(-length // stride)
    squares = sg.pad(sg.square(weights), (0, turns * stride - length))
    once = sg.sum(sg.reshape(squares, (turns, stride)), 0)
    once = sg.where(sg.greater(once, 0), once, 1.0).astype(weights.dtype)
    return sg.tile(once, turns)[:length]


def _overlapped(rows: Variable, total: Any, length: int, stride: int) -> Variable:
    """[batch, frames, length] -> [batch, total], what stands at the same time added up."""
    columns = sg.matrix_transpose(rows)
    return sg.nn.fold(columns, (total,), (length,), (stride,))[:, 0]


def _window(window: Any, sequence_length: int, fft_length: int, dtype: str) -> Variable:
    """The weights, in the middle of zeros up to ``fft_length``; ones for None. The windows that
    have names are periodic."""
    left = (fft_length - sequence_length) // 2
    if window is None:
        return sg.ones(fft_length, dtype)
    if isinstance(window, str):
        if window not in ("hann", "hamming"):
            raise ValueError(
                "If a string is passed to `window`, it must be one of "
                f'`"hann"`, `"hamming"`. Received: window={window}'
            )
        a = 0.5 if window == "hann" else 0.54
        turn = 2 * np.pi * np.arange(sequence_length) / sequence_length
        weights: Variable = sg.constant(a - (1 - a) * np.cos(turn), dtype)
    else:
        weights = node_of(window, dtype)
    if weights.ndim != 1 or weights.shape[-1] != sequence_length:
        raise ValueError(
            "The shape of `window` must be equal to [sequence_length]."
            f"Received: window shape={weights.shape}"
        )
    return sg.pad(weights, (left, fft_length - sequence_length - left))
