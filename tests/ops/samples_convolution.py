"""Rows for convolution, against loops over every window.

conv1d to conv3d and conv_transpose2d were compared once by hand with PyTorch 2.13, values and
gradients: no difference beyond rounding.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from symgraph.ops import nn
from symgraph.ops.convolution_ops import ConvolutionInput, ConvolutionWeights
from tests.ops import samples
from tests.ops.samples import Sample, ints

Pairs = Sequence[tuple[int, int]]
array = partial(samples.array, low=0.2)  # sums without cancellation, to be compared digit by digit


def first(x: Any) -> Any:
    return np.moveaxis(x, -1, 1)


def last(x: Any) -> Any:
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def window_places(
    n: int, k: int, s: int, pad: tuple[int, int], d: int
) -> list[list[tuple[int, int]]]:
    """For each window of an axis the pairs (tap, place) that lie in it."""
    count = (n + sum(pad) - (k - 1) * d - 1) // s + 1
    return [
        [(t, o * s + t * d - pad[0]) for t in range(k) if 0 <= o * s + t * d - pad[0] < n]
        for o in range(count)
    ]


def windows(
    sizes: Sequence[int], kernel: Sequence[int], stride: Any, pads: Pairs, dilation: Any
) -> tuple[tuple[int, ...], Iterator[tuple[tuple[int, ...], Any]]]:
    """The counts of windows, and each window with its (taps, places)."""
    axes = [window_places(*row) for row in zip(sizes, kernel, stride, pads, dilation, strict=True)]
    counts = tuple(len(a) for a in axes)

    def each() -> Iterator[tuple[tuple[int, ...], Any]]:
        for o in np.ndindex(*counts):
            pairs = itertools.product(*(a[j] for a, j in zip(axes, o, strict=True)))
            yield o, [tuple(zip(*p, strict=True)) for p in pairs]

    return counts, each()


def slow_conv(
    x: Any, w: Any, stride: Any = 1, pads: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Window by window, tap by tap, channel by channel."""
    d = x.ndim - 2
    stride, dilation = (v if isinstance(v, tuple) else (v,) * d for v in (stride, dilation))
    pads = pads if isinstance(pads, tuple) else ((pads, pads),) * d
    counts, each = windows(x.shape[2:], w.shape[2:], stride, pads, dilation)
    y: Any = np.zeros((len(x), len(w), *counts), x.dtype)
    own, made = w.shape[1], len(w) // groups
    for o, pairs in each:
        for tap, place in pairs:
            for out in range(len(w)):
                g = out // made
                seen = x[(slice(None), slice(g * own, (g + 1) * own), *place)]
                y[(slice(None), out, *o)] += (seen * w[(out, slice(None), *tap)]).sum(
                    1, dtype=x.dtype
                )
    return y


def slow_transposed(x: Any, w: Any, sizes: Any, stride: Any, pads: Any, dilation: Any) -> Any:
    """Every element of x adds its filter to its window."""
    counts, each = windows(sizes, w.shape[2:], stride, pads, dilation)
    assert counts == x.shape[2:]
    y: Any = np.zeros((len(x), w.shape[1], *sizes), x.dtype)
    for o, pairs in each:
        for tap, place in pairs:
            y[(slice(None), slice(None), *place)] += (
                x[(slice(None), slice(None), *o)] @ w[(slice(None), slice(None), *tap)]
            )
    return y


# convolution --------------------------------------------------------------------------------------

X1, X2, X3 = array(2, 2, 7), array(2, 2, 5, 6, seed=1), array(1, 2, 3, 4, 3, seed=2)
W1, W2, W3 = array(3, 2, 3, seed=3), array(3, 2, 3, 2, seed=4), array(2, 2, 2, 3, 2, seed=5)
G2, D2 = array(4, 1, 2, 2, seed=6), array(2, 1, 3, 2, seed=7)


def conv_row(x: Any, w: Any, symbolic: bool = True, **options: Any) -> list[Sample]:
    """The same convolution with the channels first and last."""
    given = dict(options)
    pads = given.pop("padding", 0)
    slow = partial(slow_conv, pads=pads, **given)
    both = [Sample("convolution", partial(nn.conv, **options), slow, (x, w), symbolic=symbolic)]
    turned = np.ascontiguousarray(np.moveaxis(w, (0, 1), (-1, -2)))
    both.append(
        Sample(
            "convolution",
            partial(nn.conv, layout="NHWC", **options),
            lambda x, w: last(slow(first(x), np.moveaxis(w, (-1, -2), (0, 1)))),
            (last(x), turned),
            symbolic=symbolic,
        )
    )
    return both


SAMPLES: list[Sample] = [
    *conv_row(X1, W1),
    *conv_row(X1, W1, stride=2, padding=((2, 1),), dilation=2),
    *conv_row(X2, W2),
    *conv_row(X2, W2, padding=1, stride=(1, 2)),
    *conv_row(X2, W2, padding=((-1, 0), (2, -1))),
    *conv_row(X2, array(3, 2, 1, 1)),
    *conv_row(X2, array(3, 2, 1, 1), stride=2),
    *conv_row(X2, array(3, 2, 1, 1), padding=1, stride=2),
    *conv_row(X2, G2, groups=2, padding=1, symbolic=False),
    *conv_row(X2, G2, groups=2, stride=2, symbolic=False),
    *conv_row(X2, D2, groups=2, stride=2, padding=1, symbolic=False),
    *conv_row(array(1, 4, 4, 4), array(4, 2, 2, 2), groups=2, stride=2, symbolic=False),
    *conv_row(X3, W3, padding=((1, 0), (0, 1), (1, 1)), stride=(1, 2, 1)),
    *conv_row(X2.astype("float32"), W2.astype("float32")),
    *conv_row(ints(2, 3, 5, 4), ints(2, 3, 3, 3), padding=1),
    *conv_row(ints(2, 2, 5, 4, dtype="int8"), ints(2, 2, 2, 3, dtype="int8"), stride=2),
    *conv_row(np.ones((0, 2, 5, 6)), W2, symbolic=False),
    *conv_row(array(1, 2, 3, 2), W2),
    Sample(
        "convolution",
        lambda x, w: nn.conv2d(x, w, flip=True, padding="full"),
        lambda x, w: slow_conv(x, w[:, :, ::-1, ::-1], pads=((2, 2), (1, 1))),
        (X2, W2),
    ),
    *(
        Sample(
            "convolution",
            lambda x, w, p=p: nn.conv1d(x, w, stride=2, padding=p),
            lambda x, w, q=q: slow_conv(x, w, 2, (q,)),
            (array(1, 2, 8), array(1, 2, 4)),
        )
        for p, q in (
            ("same", (1, 1)), ("valid", (0, 0)), ("half", (2, 2)), ("full", (3, 3)), (2, (2, 2)),
            (((1, 3),), (1, 3)),
        )
    ),
    Sample(
        "convolution",
        lambda x, w: nn.conv1d(x, w, padding="same_lower"),
        lambda x, w: slow_conv(x, w, 1, ((2, 1),)),
        (X1, array(1, 2, 4)),
    ),
    Sample(
        "convolution",
        lambda x, w: nn.conv(x, w, input_dilation=(2, 3), padding=1),
        lambda x, w: slow_conv(_spread(x), w, 1, ((1, 1), (1, 1))),
        (array(1, 2, 3, 2), W2),
    ),
    Sample(
        "convolution",
        lambda x, d, p: nn.separable_conv2d(x, d, p, padding="same"),
        lambda x, d, p: slow_conv(slow_conv(x, d, 1, ((1, 1), (0, 1)), groups=2), p),
        (X2, D2, array(3, 2, 1, 1)),
        symbolic=False,
    ),
]  # fmt: skip


def _spread(x: Any) -> Any:
    out = np.zeros((*x.shape[:2], 2 * x.shape[2] - 1, 3 * x.shape[3] - 2))
    out[:, :, ::2, ::3] = x
    return out


def back_row(x: Any, w: Any, sizes: Any, pads: Any, **options: Any) -> Sample:
    stride, dilation = (options.get(n, 1) for n in ("stride", "dilation"))
    d = x.ndim - 2
    stride, dilation = (v if isinstance(v, tuple) else (v,) * d for v in (stride, dilation))
    return Sample(
        "convolution_input",
        partial(nn.conv_transpose, **options),
        lambda x, w: slow_transposed(x, w, sizes, stride, pads, dilation),
        (x, w),
    )


SAMPLES += [
    back_row(X1, array(2, 3, 3), (15,), ((0, 0),), stride=2),
    back_row(X2, array(2, 3, 3, 2), (7, 7), ((0, 0), (0, 0))),
    back_row(X2, array(2, 3, 3, 2), (10, 12), ((0, 1), (0, 0)), stride=2, padding="same"),
    back_row(
        X2, array(2, 1, 3, 2), (10, 12), ((1, 1), (0, 0)), stride=2, padding=(1, 0),
        output_padding=(1, 0),
    ),
    back_row(X2, array(2, 1, 2, 2), (9, 8), ((0, 0), (0, 0)), dilation=(4, 2)),
    Sample(
        "convolution_input",
        lambda x, w: nn.conv_transpose2d(x, w, stride=2, layout="NHWC"),
        lambda x, w: last(
            slow_transposed(
                first(x), np.moveaxis(w, (-1, -2), (0, 1)), (11, 12), (2, 2), ((0, 0),) * 2, (1, 1)
            )
        ),
        (last(X2), array(3, 2, 3, 2)),
    ),
]  # fmt: skip


def weights_row(x: Any, w: Any, **options: Any) -> Sample:
    """The derivative by the weights, which is linear in the result's cotangent."""
    stride, pads = options.get("stride", (1, 1)), options.get("pads", ((0, 0), (0, 0)))
    dilation, groups = options.get("dilation", (1, 1)), options.get("groups", 1)
    before, after = zip(*pads, strict=True)
    op = ConvolutionWeights(stride, before, after, dilation, groups, False, w.shape[2:])
    y = slow_conv(x, w, stride, pads, dilation, groups)

    def slow(x: Any, g: Any) -> Any:
        out: Any = np.zeros_like(w)
        for place in np.ndindex(w.shape):
            unit: Any = np.zeros_like(w)
            unit[place] = 1
            out[place] = (slow_conv(x, unit, stride, pads, dilation, groups) * g).sum()
        return out

    return Sample("convolution_weights", op, slow, (x, array(*y.shape, seed=9)), symbolic=False)


SAMPLES += [
    weights_row(X2, W2),
    weights_row(X2, W2, stride=(2, 1), pads=((1, 1), (0, 2))),
    weights_row(X2, G2, groups=2, dilation=(2, 3)),
    weights_row(X2, D2, groups=2, pads=((1, 0), (0, 1))),
    Sample(
        "convolution_input",
        ConvolutionInput((2, 2), (1, 0), (0, 1), (1, 1), 1, False, (5, 6)),
        lambda y, w: slow_transposed(y, w, (5, 6), (2, 2), ((1, 0), (0, 1)), (1, 1)),
        (array(2, 3, 2, 3), W2),
        symbolic=False,
    ),
]
