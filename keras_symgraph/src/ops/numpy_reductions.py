"""`keras.ops.numpy`: what is folded along axes: sums, extremes, moments, quantiles, positions."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

from keras.src.backend.config import floatx

import symgraph as sg
from keras_symgraph.src.ops.promotion import (
    accumulator,
    floating,
    is_inexact,
    kind,
    real_of,
    result_type,
)
from keras_symgraph.src.tensor import Tensor, node_of, wrap
from symgraph import Variable

Axis = Any  # None, an integer or a sequence of integers
Reduction = Callable[..., Tensor]


def axes_of(axis: Axis) -> Any:
    """An axis, or several as a tuple."""
    return tuple(int(a) for a in axis) if isinstance(axis, list | tuple) else axis


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    node = node_of(x)
    return wrap(sg.sum(node, axes_of(axis), accumulator(node.dtype), keepdims))


def prod(x: Any, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Tensor:
    node = node_of(x)
    kind = accumulator(node.dtype) if dtype is None else str(dtype)
    return wrap(sg.prod(node.astype(kind), axes_of(axis), kind, keepdims))


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Halves are summed in float32."""
    node = node_of(x)
    kind = node.dtype if is_inexact(node.dtype) else result_type(node.dtype, "float32")
    return wrap(sg.mean(node.astype(kind), axes_of(axis), keepdims=keepdims).astype(kind))


def var(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return wrap(_moment(sg.var, x, axis, keepdims))


def std(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return wrap(_moment(sg.std, x, axis, keepdims))


def nanvar(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return wrap(_moment(sg.nanvar, x, axis, keepdims))


def nanstd(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return wrap(_moment(sg.nanstd, x, axis, keepdims))


def _moment(function: Any, x: Any, axis: Axis, keepdims: bool) -> Variable:
    """Squares of halves pass their range, so they are computed in float32."""
    node = floating(x)
    wide = node.astype("float32") if node.dtype in ("float16", "bfloat16") else node
    return function(wide, axes_of(axis), keepdims=keepdims).astype(node.dtype)


def max(x: Any, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    return wrap(_extreme(sg.max, sg.maximum, x, axis, keepdims, initial))


def min(x: Any, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    return wrap(_extreme(sg.min, sg.minimum, x, axis, keepdims, initial))


def amax(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return max(x, axis, keepdims)


def amin(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return min(x, axis, keepdims)


def _extreme(fold: Any, pair: Any, x: Any, axis: Axis, keepdims: bool, initial: Any) -> Variable:
    node, axis = node_of(x), axes_of(axis)
    if initial is None:
        return fold(node, axis, keepdims)
    first = node_of(initial, node.dtype)
    if any_zero(node.shape):  # nothing but the initial value
        shape = sg.sum(node, axis, keepdims=keepdims).shape
        return sg.broadcast_to(first, shape)
    return pair(fold(node, axis, keepdims), first)


def any_zero(shape: tuple[Any, ...]) -> bool:
    """Whether an array of this shape surely has no elements."""
    return builtins.any(isinstance(n, int) and n == 0 for n in shape)


def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return wrap(sg.all(node_of(x).astype("bool"), axes_of(axis), keepdims))


def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return wrap(sg.any(node_of(x).astype("bool"), axes_of(axis), keepdims))


def count_nonzero(x: Any, axis: Axis = None) -> Tensor:
    return wrap(sg.count_nonzero(node_of(x), axes_of(axis)).astype("int32"))


def ptp(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    node, axis = node_of(x), axes_of(axis)
    return wrap(sg.max(node, axis, keepdims) - sg.min(node, axis, keepdims))


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    return wrap(_position(sg.argmax, x, axis, keepdims))


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    return wrap(_position(sg.argmin, x, axis, keepdims))


def _position(function: Any, x: Any, axis: int | None, keepdims: bool) -> Variable:
    """The first place of an extreme; -0.0 counts as less than 0.0, as in the other backends."""
    node = node_of(x)
    if node.ndim == 0:
        return sg.zeros_like(node, "int32")
    if is_inexact(node.dtype):
        node = node.astype(result_type(node.dtype, "float32"))
        below = sg.logical_and(sg.equal(node, 0), sg.signbit(node))
        node = sg.where(below, -_TINY[node.dtype], node).astype(node.dtype)
    return function(node, axis, keepdims).astype("int32")


_TINY = {"float32": math.ldexp(1.0, -126), "float64": math.ldexp(1.0, -1022)}


def nanargmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    return _nan_position(argmax, x, axis, keepdims, -math.inf)


def nanargmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    return _nan_position(argmin, x, axis, keepdims, math.inf)


def _nan_position(
    function: Reduction, x: Any, axis: int | None, keepdims: bool, least: float
) -> Tensor:
    """-1 where there is nothing but NaN."""
    node = node_of(x)
    if not is_inexact(node.dtype):
        return function(node, axis, keepdims)
    nan = sg.isnan(node)
    found = node_of(function(sg.where(nan, least, node).astype(node.dtype), axis, keepdims))
    return wrap(sg.where(sg.all(nan, axis, keepdims), -1, found).astype("int32"))


def nanmax(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return wrap(_nan_fold(sg.nanmax, sg.max, node_of(x), axis, keepdims=keepdims))


def nanmin(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return wrap(_nan_fold(sg.nanmin, sg.min, node_of(x), axis, keepdims=keepdims))


def nansum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    node = _accumulated(x)
    return wrap(_nan_fold(sg.nansum, sg.sum, node, axis, dtype=node.dtype, keepdims=keepdims))


def nanprod(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    node = _accumulated(x)
    return wrap(_nan_fold(sg.nanprod, sg.prod, node, axis, dtype=node.dtype, keepdims=keepdims))


def _accumulated(x: Any) -> Variable:
    node = node_of(x)
    return node.astype(accumulator(node.dtype))


def _nan_fold(function: Any, plain: Any, node: Variable, axis: Axis, **options: Any) -> Variable:
    """What cannot be NaN is folded the plain way."""
    fold = function if is_inexact(node.dtype) else plain
    return fold(node, axes_of(axis), **options)


def nanmean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    node = floating(x)
    return wrap(sg.nanmean(node, axes_of(axis), keepdims=keepdims).astype(node.dtype))


def average(x: Any, axis: Axis = None, weights: Any = None) -> Tensor:
    kinds = [kind(x), float] + ([] if weights is None else [kind(weights)])
    dtype = result_type(*kinds)
    node, axis = node_of(x, dtype), axes_of(axis)
    if weights is None:
        return wrap(sg.mean(node, axis).astype(dtype))
    return wrap(sg.average(node, axis, node_of(weights, dtype)).astype(dtype))


def median(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    node = floating(x)
    return wrap(sg.median(node, axes_of(axis), keepdims).astype(node.dtype))


def nanmedian(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    node = floating(x)
    return wrap(sg.nanmedian(node, axes_of(axis), keepdims).astype(node.dtype))


def quantile(
    x: Any, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    return wrap(_quantile(sg.quantile, x, q, axis, method, keepdims))


def nanquantile(
    x: Any, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    return wrap(_quantile(sg.nanquantile, x, q, axis, method, keepdims))


def percentile(
    x: Any, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    return wrap(_quantile(sg.percentile, x, q, axis, method, keepdims))


def nanpercentile(
    x: Any, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    return wrap(_quantile(sg.nanpercentile, x, q, axis, method, keepdims))


def _quantile(function: Any, x: Any, q: Any, axis: Axis, method: str, keepdims: bool) -> Variable:
    """Halves are interpolated in float32."""
    node = floating(x)
    wide = node.astype(result_type(node.dtype, "float32"))
    at = node_of(q).astype(wide.dtype)
    return function(wide, at, axes_of(axis), method, keepdims).astype(node.dtype)


def histogram(x: Any, bins: int = 10, range: Any = None) -> tuple[Tensor, Tensor]:
    """Counts and edges, both in the dtype of the edges, as in the other backends."""
    node = node_of(x)
    wide = node.astype(floatx()) if not is_inexact(node.dtype) else node
    counts, edges = sg.histogram(wide, bins, range)
    return wrap(counts.astype(real_of(wide.dtype))), wrap(edges.astype(wide.dtype))


def corrcoef(x: Any) -> Tensor:
    return wrap(_among_rows(sg.corrcoef, x))


def cov(x: Any) -> Tensor:
    return wrap(_among_rows(sg.cov, x))


def _among_rows(function: Any, x: Any) -> Variable:
    node = node_of(x)
    dtype = node.dtype if "complex" in node.dtype else real_of(node.dtype)
    return function(node.astype(result_type(dtype, "float32"))).astype(dtype)
