"""Median, quantiles and percentiles, by sorting; all of NumPy's methods.

The methods are those of Hyndman and Fan, Sample quantiles in statistical packages, The American
Statistician 50 (1996), and NumPy's older ones: lower, higher, midpoint, nearest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError
from symgraph.ir.graph import Constant, Variable
from symgraph.ir.types import Size
from symgraph.ops import reductions
from symgraph.ops.arithmetic import ceil, clip, floor, maximum, minimum, rint
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.comparison import equal, isnan, where
from symgraph.ops.indexing import take_along_axis
from symgraph.ops.operands import as_variable, promotable
from symgraph.ops.reductions import reduced_axes
from symgraph.ops.shape import broadcast_to, expand_dims, moveaxis, reshape
from symgraph.ops.sorting import sort
from symgraph.scalar import as_expr, as_size, product

__all__ = [
    "median", "nanmedian", "nanpercentile", "nanquantile", "percentile", "quantile",
]  # fmt: skip

_CONTINUOUS = {
    "interpolated_inverted_cdf": (0.0, 1.0), "hazen": (0.5, 0.5), "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3, 1 / 3), "normal_unbiased": (3 / 8, 3 / 8),
}  # fmt: skip
_METHODS = (
    "linear", "lower", "higher", "midpoint", "nearest", "inverted_cdf", "averaged_inverted_cdf",
    "closest_observation", *_CONTINUOUS,
)  # fmt: skip


def _places(q: Variable, n: Any, method: str) -> Variable:
    """Where the quantiles lie among n sorted elements, counted from 0; fractions interpolate."""
    if method in ("linear", "lower", "higher", "midpoint", "nearest"):
        place = (n - 1) * q
        if method == "midpoint":
            return 0.5 * (floor(place) + ceil(place))
        whole = {"lower": floor, "higher": ceil, "nearest": rint}.get(method)
        return whole(place) if whole is not None else place
    if method in _CONTINUOUS:
        alpha, beta = _CONTINUOUS[method]
        return n * q + (alpha + q * (1 - alpha - beta)) - 1
    place = n * q - 1
    below = floor(place)
    if method == "averaged_inverted_cdf":
        return where(equal(place, below), below + 0.5, below + 1)
    if method == "inverted_cdf":
        return where(equal(place, below), below, below + 1)
    place = place - 0.5
    below = floor(place)  # closest_observation: halves go to the even one, counted from 1
    return where(equal(place, below) & equal(below % 2, 1), below, below + 1)


def _rows(x: Variable, axis: Any, name: str) -> tuple[Variable, tuple[int, ...]]:
    """x with the reduced axes as one last axis."""
    axes = reduced_axes(axis, x.ndim, name)
    kept = tuple(k for k in range(x.ndim) if k not in axes)
    moved = moveaxis(x, axes, tuple(range(len(kept), x.ndim)))
    size = product(tuple(x.shape[k] for k in axes))
    return reshape(moved, (*(x.shape[k] for k in kept), size)), axes


def _float(x: Any) -> Variable:
    x = as_variable(x)
    return x if dtypes.is_float(x.dtype) else cast(x, "float64")


def _between(rows: Variable, place: Variable, n: Any) -> Variable:
    """The values at real places of the sorted last axis, of which n elements count, interpolated;
    ``place`` has the leading axes of rows and one of its own."""
    top = maximum(as_variable(n) - 1, 0)
    low = clip(floor(place), 0, top)
    high = minimum(low + 1, top)
    share = where(place < 0, 0, where(place >= top, 0, place - low))
    first = take_along_axis(rows, cast(low, "int64"), -1)
    second = take_along_axis(rows, cast(high, "int64"), -1)
    share = to_dtype(share, rows.dtype)
    gap = second - first
    inner = where(share >= 0.5, second - gap * (1 - share), first + gap * share)
    return where(equal(first, second), first, inner)


def _quantile(
    x: Any, q: Any, axis: Any, method: str, keepdims: bool, skip_nan: bool, name: str
) -> Variable:
    if method not in _METHODS:
        raise ArgumentError(f"{name}: unknown method {method!r}", hint=", ".join(_METHODS))
    x = _float(x)
    weak = not isinstance(q, Variable | np.ndarray | np.generic)
    kind = x.dtype if weak else dtypes.promote(x.dtype, promotable(q), float)
    points = to_dtype(q, kind)
    if points.ndim > 1:
        raise RankError(f"{name}: q is a number or a vector, not of {points.ndim} dimensions")
    if isinstance(points, Constant) and not ((points.data >= 0) & (points.data <= 1)).all():
        raise ArgumentError(f"{name}: q lies between 0 and 1 (percentiles: 0 and 100)")
    rows, axes = _rows(x, axis, name)
    if rows.shape[-1] == 0:
        return _of_nothing(rows, points, kind, axes, keepdims)
    rows = sort(to_dtype(rows, kind))
    line = reshape(points, (1,) * (rows.ndim - 1) + (-1,))
    nothing = expand_dims(isnan(rows[..., -1]), rows.ndim - 1)
    count: Any = as_expr(rows.shape[-1])
    if skip_nan:
        count = reductions.sum(~isnan(rows), -1, keepdims=True, dtype="int64")
        nothing = equal(count, 0)
    count = as_variable(as_size(count)) if not isinstance(count, Variable) else count
    found = _between(rows, _places(line, cast(count, kind), method), cast(count, kind))
    found = moveaxis(where(nothing, np.array(np.nan, kind), found), -1, 0)
    if points.ndim == 0:
        found = found[0]
    if keepdims:
        lead = points.ndim
        found = expand_dims(found, tuple(k + lead for k in axes))
    return found


def _of_nothing(rows: Variable, q: Variable, kind: str, axes: Any, keepdims: bool) -> Variable:
    found = broadcast_to(to_dtype(math.nan, kind), (*q.shape, *rows.shape[:-1]))
    return expand_dims(found, tuple(k + q.ndim for k in axes)) if keepdims else found


# functions ----------------------------------------------------------------------------------------


def median(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The middle element along the axes, the mean of the middle two of an even number; NaN if one
    is. Integers and bools as float64. Raises AxisError.

    >>> import symgraph as sg
    >>> sg.median([3, 1, 10, 2]).eval().tolist()
    2.5
    """
    rows, axes = _rows(_float(x), axis, "median")
    n: Size = rows.shape[-1]
    if isinstance(n, int) and n == 0:
        return _quantile(x, 0.5, axis, "midpoint", keepdims, False, "median")
    rows = sort(rows)
    low, high = as_size((as_expr(n) - 1) // 2), as_size(as_expr(n) // 2)
    first = rows[..., low]
    same = isinstance(n, int) and low == high
    middle = first if same else where(equal(first, rows[..., high]), first,
                                      0.5 * first + 0.5 * rows[..., high])  # fmt: skip
    top = rows[..., -1]
    found = where(isnan(top), top, middle)
    return expand_dims(found, axes) if keepdims and axes else found


def quantile(
    x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Variable:
    """The element at the fraction ``q`` (a number, or a vector: a first axis of the result) of the
    sorted elements along the axes, interpolated by ``method``; NaN if one is NaN.

    Methods are NumPy's: linear, lower, higher, midpoint, nearest, inverted_cdf,
    averaged_inverted_cdf, closest_observation, interpolated_inverted_cdf, hazen, weibull,
    median_unbiased, normal_unbiased. Raises ArgumentError, AxisError.

    >>> import symgraph as sg
    >>> sg.quantile([4.0, 1.0, 2.0, 3.0], [0.0, 0.5, 0.9]).eval().round(6).tolist()
    [1.0, 2.5, 3.7]
    """
    return _quantile(x, q, axis, method, keepdims, False, "quantile")


def percentile(
    x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Variable:
    """:func:`quantile` for ``q`` between 0 and 100.

    >>> import symgraph as sg
    >>> sg.percentile([4.0, 1.0, 2.0, 3.0], 25).eval().tolist()
    1.75
    """
    return _quantile(x, _hundredth(q), axis, method, keepdims, False, "percentile")


def nanmedian(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """:func:`median` of the elements that are not NaN; NaN where there are none.

    >>> import symgraph as sg
    >>> sg.nanmedian([3.0, float("nan"), 1.0]).eval().tolist()
    2.0
    """
    return _quantile(x, 0.5, axis, "linear", keepdims, True, "nanmedian")


def nanquantile(
    x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Variable:
    """:func:`quantile` of the elements that are not NaN; NaN where there are none.

    >>> import symgraph as sg
    >>> sg.nanquantile([3.0, float("nan"), 1.0], 0.25).eval().tolist()
    1.5
    """
    return _quantile(x, q, axis, method, keepdims, True, "nanquantile")


def nanpercentile(
    x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Variable:
    """:func:`percentile` of the elements that are not NaN; NaN where there are none.

    >>> import symgraph as sg
    >>> sg.nanpercentile([3.0, float("nan"), 1.0], 50).eval().tolist()
    2.0
    """
    return _quantile(x, _hundredth(q), axis, method, keepdims, True, "nanpercentile")


def _hundredth(q: Any) -> Any:
    if isinstance(q, Variable):
        return q / 100
    if isinstance(q, np.ndarray | np.generic):
        return np.true_divide(q, 100)
    return np.true_divide(q, 100).tolist()
