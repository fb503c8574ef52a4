"""`keras.random`: draws that are pure functions of a seed.

A seed is Keras' pair of a number and a counter (uint32[2]) and serves as a key of `sg.random`,
whose generator is counter-based: a traced function draws the same numbers as an eager one, and
`SeedGenerator` needs only to count.
"""

from __future__ import annotations

from typing import Any

from keras.src.backend.config import floatx
from keras.src.random.seed_generator import SeedGenerator, draw_seed, make_default_seed

import symgraph as sg
from keras_symgraph.src.ops.promotion import floating
from keras_symgraph.src.ops.sizes import shape_of, size
from keras_symgraph.src.tensor import Tensor, node_of, wrap
from symgraph import Variable

__all__ = [
    "SeedGenerator", "beta", "binomial", "categorical", "draw_seed", "dropout", "gamma",
    "make_default_seed", "normal", "randint", "shuffle", "truncated_normal", "uniform",
]  # fmt: skip


def _key(seed: Any) -> Variable:
    """A key from an integer, a SeedGenerator, None (the global one), or a tensor that is one."""
    drawn = seed if isinstance(seed, Tensor | Variable) else draw_seed(seed)
    return node_of(drawn, "uint32")


def _dtype(dtype: Any) -> tuple[str, str]:
    """The dtype of a draw, and the one in which it is computed."""
    wanted = str(dtype or floatx())
    return wanted, wanted if wanted in ("float32", "float64") else "float32"


def _parameter(x: Any, dtype: str) -> Any:
    return x if isinstance(x, int | float) else node_of(x, dtype)


def normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    wanted, wide = _dtype(dtype)
    drawn = sg.random.normal(_key(seed), shape_of(shape), wide)
    moved = drawn * _parameter(stddev, wide) + _parameter(mean, wide)
    return wrap(moved.astype(wanted))


def truncated_normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Cut at two standard deviations."""
    wanted, wide = _dtype(dtype)
    drawn = sg.random.truncated_normal(_key(seed), -2.0, 2.0, shape_of(shape), wide)
    moved = drawn * _parameter(stddev, wide) + _parameter(mean, wide)
    return wrap(moved.astype(wanted))


def uniform(
    shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Never ``maxval`` itself: what a narrow dtype rounds up to it becomes the number before."""
    wanted, wide = _dtype(dtype)
    low, high = _parameter(minval, wide), _parameter(maxval, wide)
    drawn = sg.random.uniform(_key(seed), shape_of(shape), wide) * (high - low) + low
    drawn = drawn.astype(wanted)
    last = sg.nextafter(node_of(maxval, wanted), node_of(minval, wanted))
    return wrap(sg.where(sg.less(drawn, node_of(maxval, wanted)), drawn, last))


def randint(shape: Any, minval: Any, maxval: Any, dtype: Any = "int32", seed: Any = None) -> Tensor:
    low, high = _whole(minval), _whole(maxval)
    drawn = sg.random.integers(_key(seed), low, high, shape_of(shape), "int64")
    return wrap(drawn.astype(str(dtype)))


def _whole(x: Any) -> Any:
    return int(x) if isinstance(x, int | float) else node_of(x, "int64")


def categorical(logits: Any, num_samples: Any, dtype: Any = "int32", seed: Any = None) -> Tensor:
    """[batch, categories] -> [batch, samples]"""
    node = floating(logits)
    shape = (node.shape[0], size(num_samples))
    drawn = sg.random.categorical(_key(seed), sg.expand_dims(node, 1), shape)
    return wrap(drawn.astype(str(dtype)))


def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Tensor:
    """``noise_shape`` has None, or 1 where elements share their fate along an axis."""
    node = node_of(inputs)
    if rate == 0.0:
        return wrap(node)
    if rate == 1.0:
        return wrap(sg.zeros_like(node))
    keep = 1.0 - rate
    shape = node.shape
    if noise_shape is not None:
        pairs = zip(noise_shape, shape, strict=True)
        shape = tuple(n if m is None else size(m) for m, n in pairs)
    # one comparison of raw bits: half the time of a uniform number, and as exact as 32 bits are
    limit = min(round(keep * 2**32), 2**32 - 1)
    kept = sg.less(sg.random.bits(_key(seed), shape), sg.constant(limit, "uint32"))
    return wrap(sg.where(kept, node / keep, 0.0).astype(node.dtype))


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Tensor:
    """Every row along ``axis`` in an order of its own."""
    return wrap(sg.random.permutation(_key(seed), node_of(x), axis, independent=True))


def gamma(shape: Any, alpha: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    wanted, wide = _dtype(dtype)
    drawn = sg.random.gamma(_key(seed), _parameter(alpha, wide), shape_of(shape), wide)
    return wrap(drawn.astype(wanted))


def beta(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    wanted, wide = _dtype(dtype)
    a, b = _parameter(alpha, wide), _parameter(beta, wide)
    return wrap(sg.random.beta(_key(seed), a, b, shape_of(shape), wide).astype(wanted))


def binomial(
    shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None
) -> Tensor:
    wanted, wide = _dtype(dtype)
    n, p = _parameter(counts, wide), _parameter(probabilities, wide)
    return wrap(sg.random.binomial(_key(seed), n, p, shape_of(shape), wide).astype(wanted))
