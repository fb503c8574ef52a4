"""Rows for pooling, windows taken apart and normalisation, against loops over every window.

max_pool with indices, avg_pool, lp_pool, adaptive pools, unfold, fold, max_unpool, batch, group,
instance, rms and local response norm were compared once by hand with PyTorch 2.13, values and
gradients: no difference beyond rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from symgraph.ops import nn
from symgraph.ops.pooling_ops import Patches, PatchesSum, Pool, PoolPosition
from tests.ops.samples import Sample, array, ints
from tests.ops.samples_convolution import W2, X1, X2, X3, first, last, windows

SAMPLES: list[Sample] = []


# pooling ------------------------------------------------------------------------------------------


def slow_pool(
    fold: Callable[[Any], Any], x: Any, axes: Any, k: Any, s: Any, pads: Any, d: Any
) -> Any:
    """fold of the elements of each window that are in x."""
    sizes = [x.shape[a] for a in axes]
    counts, each = windows(sizes, k, s, pads, d)
    shape = list(x.shape)
    for a, n in zip(axes, counts, strict=True):
        shape[a] = n
    y: Any = None
    for o, pairs in each:
        rows = []
        for _, place in pairs:
            at: list[Any] = [slice(None)] * x.ndim
            for a, p in zip(axes, place, strict=True):
                at[a] = p
            rows.append(x[tuple(at)])
        value = fold(np.stack(rows))
        if y is None:
            y = np.zeros(shape, value.dtype)
        at = [slice(None)] * x.ndim
        for a, p in zip(axes, o, strict=True):
            at[a] = p
        y[tuple(at)] = value
    return y


HOLES = X2.copy()
HOLES[0, 0, 1, 1:3] = np.nan
HOLES[1, 1, 2:, :] = -np.inf
EVEN = array(1, 2, 4, 6, seed=3)
TWO = (2, 3)


def pool_row(
    function: Callable[..., Any], fold: Any, x: Any, k: Any, s: Any, p: Any = ((0, 0), (0, 0)),
    d: Any = (1, 1), grad: bool = True, **more: Any,
) -> list[Sample]:  # fmt: skip
    options = {"padding": p, **({"dilation": d} if d != (1, 1) else {}), **more}
    return [
        Sample("pool", lambda x: function(x, k, s, **options),
               lambda x: slow_pool(fold, x, TWO, k, s, p, d), (x,), grad=grad),
        Sample("pool", lambda x: function(x, k, s, layout="NHWC", **options),
               lambda x: last(slow_pool(fold, first(x), TWO, k, s, p, d)), (last(x),), grad=grad),
    ]  # fmt: skip


def greatest(x: Any) -> Any:
    return x.max(0)


def mean(x: Any) -> Any:
    return x.mean(0)


SAMPLES += [
    *pool_row(nn.max_pool, greatest, X2, (2, 2), (2, 2)),
    *pool_row(nn.max_pool, greatest, X2, (3, 2), (1, 3), ((1, 1), (0, 1))),
    *pool_row(nn.max_pool, greatest, X2, (2, 2), (2, 1), ((0, 0), (1, 1)), (2, 3)),
    *pool_row(nn.max_pool, greatest, HOLES, (2, 3), (2, 2), ((1, 1), (1, 1)), grad=False),
    *pool_row(nn.max_pool, greatest, ints(2, 3, 5, 5, dtype="int8"), (3, 3), (2, 2)),
    *pool_row(nn.max_pool, greatest, array(1, 1, 7, 8), (6, 7), (1, 1)),
    *pool_row(nn.avg_pool, mean, X2, (2, 2), (2, 2)),
    *pool_row(nn.avg_pool, mean, X2, (3, 2), (1, 2), ((1, 1), (1, 0)), count_include_pad=False),
    *pool_row(nn.avg_pool, lambda v: v.sum(0) / 6, EVEN, (3, 2), (1, 1), ((1, 1), (1, 0))),
    *pool_row(nn.avg_pool, mean, X2, (2, 2), (1, 1), d=(2, 3)),
    *pool_row(lambda x, k, s, **o: nn.lp_pool(x, 3.0, k, s, **o),
              lambda v: (np.abs(v) ** 3).sum(0) ** (1 / 3), X2, (2, 2), (2, 2)),
    Sample("pool", lambda x: nn.max_pool(x, 2, ceil_mode=True),
           lambda x: slow_pool(greatest, x, TWO, (2, 2), (2, 2), ((0, 1), (0, 0)), (1, 1)), (X2,)),
    Sample("pool", lambda x: nn.avg_pool(x, 2, ceil_mode=True),
           lambda x: slow_pool(mean, x, TWO, (2, 2), (2, 2), ((0, 1), (0, 0)), (1, 1)), (X2,)),
    Sample("pool", lambda x: nn.max_pool(x, 3, 2, "same"),
           lambda x: slow_pool(greatest, x, (2,), (3,), (2,), ((1, 1),), (1,)), (X1,)),
    Sample("pool", lambda x: nn.max_pool(x, 2),
           lambda x: slow_pool(greatest, x, (2, 3, 4), (2,) * 3, (2,) * 3, ((0, 0),) * 3, (1,) * 3),
           (X3,)),
    Sample("pool", nn.global_max_pool, lambda x: x.max((2, 3)), (X2,)),
    Sample("pool", lambda x: nn.global_max_pool(x, "NHWC", True),
           lambda x: x.max((1, 2), keepdims=True), (X2,)),
    Sample("sum", nn.global_avg_pool, lambda x: x.mean((2, 3)), (X2,)),
    *(Sample("pool", lambda x, c=c: nn.reduce_window(x, c, (1, 2, 3, 1), (1, 2, 1, 1), p),
             lambda x, f=f: slow_pool(f, x, (1, 2), (2, 3), (2, 1), ((0, 0), (0, 0)), (1, 1)), (x,))
      for c, f in (("sum", lambda v: v.sum(0)), ("min", lambda v: v.min(0)), ("mean", mean),
                   ("prod", lambda v: v.prod(0)), ("max", greatest))
      for x, p in ((array(2, 4, 4, 2), "valid"),)),
]  # fmt: skip


def adaptive(fold: Any, goals: Any, x: Any) -> Any:
    y = np.zeros((*x.shape[:2], *goals))
    for o in np.ndindex(*goals):
        part = tuple(
            slice(i * n // m, -(-(i + 1) * n // m))
            for i, n, m in zip(o, x.shape[2:], goals, strict=True)
        )
        y[(..., *o)] = fold(x[(..., *part)].reshape(*x.shape[:2], -1))
    return y


SAMPLES += [
    *(
        Sample(op, partial(f, output_size=m), partial(adaptive, g, m), (x,))
        for op, f, g in (
            ("matmul", nn.adaptive_avg_pool, lambda v: v.mean(-1)),
            ("take_along_axis", nn.adaptive_max_pool, lambda v: v.max(-1)),
        )
        for x, m in ((X2, (3, 4)), (X2, (5, 3)), (X1, (7,)), (X1, (3,)), (X3, (2, 4, 3)))
    ),
    Sample("pool", lambda x: nn.adaptive_avg_pool(x, (None, 2)),
           lambda x: adaptive(lambda v: v.mean(-1), (5, 2), x), (X2,)),
]  # fmt: skip


# positions, patches, sums of patches --------------------------------------------------------------

GRID = ((2, 3), (2, 3), (2, 1), (1, 0), (1, 2), (3, 2))
LARGE = ((1, 2), (6, 7), (1, 2), (0, 1), (1, 1), (2, 2))
SPARSE = ((2, 3), (2, 2), (3, 2), (0, 1), (2, 2), (2, 3))


def slow_patches(grid: Any, x: Any) -> Any:
    axes, k, s, b, d, counts = grid
    out: Any = np.zeros((*_counted(x.shape, axes, counts), *k), x.dtype)
    for o in np.ndindex(*counts):
        for tap in np.ndindex(*k):
            at: list[Any] = [slice(None)] * x.ndim
            to: list[Any] = [slice(None)] * x.ndim
            rows = zip(axes, o, tap, s, b, d, strict=True)
            places = [(a, i, i * s_ + t * d_ - b_) for a, i, t, s_, b_, d_ in rows]
            if all(0 <= p < x.shape[a] for a, _, p in places):
                for a, i, p in places:
                    at[a], to[a] = p, i
                out[(*to, *tap)] = x[tuple(at)]
    return out


def _counted(shape: Any, axes: Any, counts: Any) -> list[int]:
    found = list(shape)
    for a, n in zip(axes, counts, strict=True):
        found[a] = n
    return found


def slow_sum(grid: Any, sizes: Any, p: Any) -> Any:
    """By the transpose of slow_patches, column by column."""
    axes, k = grid[0], grid[1]
    shape = _counted(p.shape[: p.ndim - len(k)], axes, sizes)
    out: Any = np.zeros(shape, p.dtype)
    for place in np.ndindex(*shape):
        unit: Any = np.zeros(shape, p.dtype)
        unit[place] = 1
        out[place] = (slow_patches(grid, unit) * p).sum(dtype=p.dtype)
    return out


def slow_position(grid: Any, x: Any, sign: int) -> Any:
    held = slow_patches(grid, np.ones_like(x)).astype(bool)
    d = len(grid[0])
    flat = (slow_patches(grid, x) * sign).reshape(*held.shape[:-d], -1)
    there = held.reshape(flat.shape)
    masked = np.where(there, flat, -np.inf)
    lowest = masked.max(-1) == -np.inf  # padding does not count
    best = np.where(lowest, np.argmax(there, -1), np.argmax(masked, -1))
    kind = "int32" if flat.shape[-1] <= 32 else "int64"
    return np.where(there.any(-1), best, flat.shape[-1]).astype(kind)


SMALL = array(1, 2, 4, 4, seed=4)
SAMPLES += [
    *(Sample("patches", Patches(*g), partial(slow_patches, g), (x,), symbolic=False)
      for g, x in ((GRID, SMALL), (LARGE, array(1, 7, 8)), (SPARSE, SMALL),
                   (GRID, ints(1, 1, 4, 4)))),
    *(Sample("patches_sum", PatchesSum(*g, z), partial(slow_sum, g, z),
             (array(*slow_patches(g, np.zeros((1, 1, *z) if g is not LARGE else (1, *z))).shape),),
             symbolic=False)
      for g, z in ((GRID, (4, 4)), (LARGE, (7, 8)), (SPARSE, (5, 5)))),
    *(Sample("pool_position", PoolPosition(*g, way), partial(slow_position, g, sign=sign), (x,),
             symbolic=False)
      for way, sign in (("maximum", 1), ("minimum", -1))
      for g, x in ((GRID, SMALL), (LARGE, array(1, 7, 8)), (SPARSE, SMALL),
                   (GRID, np.zeros((1, 1, 4, 4))), (GRID, np.full((1, 1, 4, 4), -np.inf * sign)))),
    Sample("pool", Pool(*LARGE, "minimum"), lambda x: slow_pool(lambda v: v.min(0), x, (1, 2),
           (6, 7), (1, 2), ((0, 0), (1, 1)), (1, 1)), (array(1, 7, 8),), symbolic=False),
    Sample("patches", lambda x: nn.unfold(x, (2, 3), (2, 1), 1),
           lambda x: slow_patches(((2, 3), (2, 3), (2, 1), (1, 1), (1, 1), (3, 6)), x)
           .transpose(0, 1, 4, 5, 2, 3).reshape(2, 12, 18), (X2,)),
    Sample("patches_sum", lambda x: nn.fold(x, (3, 4), 2),
           lambda x: slow_sum(((2, 3), (2, 2), (1, 1), (0, 0), (1, 1), (2, 3)), (3, 4),
                              x.reshape(1, 2, 2, 2, 2, 3).transpose(0, 1, 4, 5, 2, 3)),
           (array(1, 8, 6),), symbolic=False),
    Sample("patches", lambda x: nn.images2neibs(x, (2, 3)),
           lambda x: x[:, :, :4].reshape(2, 2, 2, 2, 2, 3).transpose(0, 1, 2, 4, 3, 5)
           .reshape(-1, 6), (X2,)),
    Sample("patches_sum", lambda x: nn.neibs2images(x, (2, 3), (1, 1, 5, 6)),
           lambda x: np.pad(x.reshape(2, 2, 2, 3).transpose(0, 2, 1, 3).reshape(1, 1, 4, 6),
                            ((0, 0), (0, 0), (0, 1), (0, 0))), (array(4, 6),), symbolic=False),
]  # fmt: skip


# normalisation ------------------------------------------------------------------------------------

S2 = np.array([0.5, -2.0])


def standard(x: Any, axes: Any, epsilon: float = 1e-5) -> Any:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def by_channel(v: Any) -> Any:
    return v[:, None, None]


SAMPLES += [
    Sample("sum", nn.batch_norm, lambda x, s, b: by_channel(s) * standard(x, (0, 2, 3))
           + by_channel(b), (X2, S2, S2[::-1])),
    Sample("sum", lambda x: nn.batch_norm(x, layout="NHWC"), lambda x: standard(x, (0, 1, 2)),
           (last(X2),)),
    Sample("sum", lambda x, m, v: nn.batch_norm(x, None, None, m, v, momentum=0.25),
           lambda x, m, v: (standard(x, (0, 2, 3)), 0.75 * m + 0.25 * x.mean((0, 2, 3)),
                            0.75 * v + 0.25 * x.var((0, 2, 3), ddof=1)), (X2, S2, S2**2),
           grad=False),
    Sample("rsqrt", lambda x, m, v: nn.batch_norm(x, None, None, m, v, training=False),
           lambda x, m, v: (x - by_channel(m)) / np.sqrt(by_channel(v) + 1e-5), (X2, S2, S2**2)),
    Sample("sum", lambda x: nn.group_norm(x, 2),
           lambda x: standard(x.reshape(1, 2, 2, 2, 3), (2, 3, 4)).reshape(x.shape),
           (array(1, 4, 2, 3),)),
    Sample("sum", lambda x: nn.group_norm(x, 2, layout="NHWC"),
           lambda x: standard(x.reshape(1, 2, 3, 2, 2), (1, 2, 4)).reshape(x.shape),
           (array(1, 2, 3, 4),)),
    Sample("sum", nn.instance_norm, lambda x, s, b: by_channel(s) * standard(x, (2, 3))
           + by_channel(b), (X2, S2, S2)),
    Sample("sum", nn.rms_norm, lambda x, s: s * x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6),
           (array(3, 2), S2)),
    *(Sample("pool", lambda x, n=n: nn.local_response_norm(x, n, 0.3, 0.6, 1.5),
             lambda x, n=n: x / (1.5 + 0.3 * slow_pool(lambda v: v.sum(0), x**2, (1,), (n,), (1,),
             ((n // 2, (n - 1) // 2),), (1,))) ** 0.6, (array(1, 5, 2, 2),)) for n in (1, 2, 3, 7)),
    Sample("sum", nn.weight_standardization, lambda w: standard(w, (1, 2, 3)), (W2,)),
]  # fmt: skip
