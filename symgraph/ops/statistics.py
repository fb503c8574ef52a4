"""Statistics made of reductions: ranges, weighted means, covariance, reductions that skip NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ops import moments, reductions
from symgraph.ops.arithmetic import clip, maximum, sqrt, square
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.comparison import isnan, where
from symgraph.ops.complex_numbers import complex, conj, real
from symgraph.ops.joining import concatenate
from symgraph.ops.matrix import diagonal, matmul
from symgraph.ops.operands import as_variable, promotable
from symgraph.ops.reductions import reduced_axes
from symgraph.ops.shape import broadcast_to, expand_dims, reshape
from symgraph.scalar import as_expr, as_size

__all__ = [
    "average", "corrcoef", "cov", "nanargmax", "nanargmin", "nanmax", "nanmean", "nanmin",
    "nanprod", "nanstd", "nansum", "nanvar", "ptp",
]  # fmt: skip


def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The greatest minus the least over the axes.

    >>> import symgraph as sg
    >>> sg.ptp([[1, 9], [2, 4]], axis=1).eval().tolist()
    [8, 2]
    """
    return reductions.max(x, axis, keepdims) - reductions.min(x, axis, keepdims)  # type: ignore[no-any-return]


def average(
    x: Any, axis: Any = None, weights: Any = None, returned: bool = False, keepdims: bool = False
) -> Any:
    """The mean over the axes, weighted by ``weights`` of the shape of x, or of that of the axes.
    With ``returned`` also the sum of the weights. Integers and bools as float64.

    >>> import symgraph as sg
    >>> sg.average([1.0, 2.0, 3.0], weights=[3, 1, 0]).eval().tolist()
    1.25
    """
    x = as_variable(x)
    x = x if dtypes.is_inexact(x.dtype) else cast(x, "float64")
    axes = reduced_axes(axis, x.ndim, "average")
    if weights is None:
        found = moments.mean(x, axis, keepdims=keepdims)
        if not returned:
            return found
        count = reductions.sum(x * 0 + 1, axis, keepdims=keepdims)
        return found, count
    w = to_dtype(weights, dtypes.promote(x.dtype, promotable(weights)))
    if w.ndim != x.ndim:
        if w.ndim != len(axes):
            raise ShapeError(f"average: weights of {w.ndim} dimensions for {len(axes)} axes")
        order = list(axis) if isinstance(axis, tuple | list) else list(axes)
        order = [a % x.ndim for a in order]
        w = w.transpose(tuple(int(k) for k in np.argsort(order))) if w.ndim > 1 else w
        w = expand_dims(w, tuple(k for k in range(x.ndim) if k not in axes))
    total = reductions.sum(w, axis, keepdims=keepdims)
    found = reductions.sum(x * w, axis, keepdims=keepdims) / total
    return (found, broadcast_to(total, found.shape)) if returned else found


def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None,
    fweights: Any = None, aweights: Any = None,
) -> Variable:  # fmt: skip
    """The covariance matrix of the rows of m (the columns when not ``rowvar``), and of those of y.

    Divides by n - 1, by n with ``bias``, by n - ddof when that is given; ``fweights`` count
    observations, ``aweights`` weigh them. Raises RankError above two dimensions.

    >>> import symgraph as sg
    >>> sg.cov([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]).eval().tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    rows = _observations(m, rowvar)
    if y is not None:
        rows = concatenate([rows, _observations(y, rowvar)])
    ddof = (0 if bias else 1) if ddof is None else ddof
    n = rows.shape[1]
    weights = None
    for w in (fweights, aweights):
        if w is not None:
            given = to_dtype(w, rows.dtype)
            if given.ndim != 1:
                raise RankError("cov: weights are vectors")
            weights = given if weights is None else weights * given
    if weights is None:
        scale: Any = as_size(as_expr(n) - ddof)
        scale = max(scale, 0) if isinstance(scale, int) else scale
        distance = rows - moments.mean(rows, 1, keepdims=True)
        weighted = distance
    else:
        total = reductions.sum(weights)
        distance = rows - reductions.sum(rows * weights, 1, keepdims=True) / total
        weighted = distance * weights
        if aweights is None or ddof == 0:
            scale = total - ddof
        else:
            scale = total - ddof * reductions.sum(weights * to_dtype(aweights, rows.dtype)) / total
        scale = maximum(scale, 0)
    found = matmul(weighted, conj(distance.T)) / scale
    return reshape(found, ()) if _is_vector(m) and y is None else found


def _is_vector(m: Any) -> bool:
    return as_variable(m).ndim < 2


def _observations(m: Any, rowvar: bool) -> Variable:
    x = as_variable(m)
    x = x if dtypes.is_inexact(x.dtype) else cast(x, "float64")
    if x.ndim > 2:
        raise RankError(f"cov takes a vector or a matrix, not {x.ndim} dimensions")
    if x.ndim < 2:
        return reshape(x, (1, -1))
    return x if rowvar or x.shape[0] == 1 else x.T  # type: ignore[no-any-return]


def corrcoef(m: Any, y: Any = None, rowvar: bool = True) -> Variable:
    """The correlation coefficients of the rows of m (the columns when not ``rowvar``), and of those
    of y, clipped to [-1, 1].

    >>> import symgraph as sg
    >>> sg.corrcoef([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]).eval().tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    c = cov(m, y, rowvar)
    if c.ndim == 0:
        return c / c  # type: ignore[no-any-return]
    deviation = sqrt(real(diagonal(c)))
    found = c / expand_dims(deviation, 1) / expand_dims(deviation, 0)
    if dtypes.is_complex(c.dtype):
        return complex(clip(found.real, -1, 1), clip(found.imag, -1, 1))
    return clip(found, -1, 1)


# without NaN --------------------------------------------------------------------------------------


def _without_nan(x: Any, filled: Any) -> tuple[Variable, Variable | None]:
    """x with NaN replaced, and where it was (None for dtypes without NaN)."""
    x = as_variable(x)
    if not dtypes.is_inexact(x.dtype):
        return x, None
    missing = isnan(x)
    return where(missing, filled, x), missing


def nansum(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Variable:
    """The sum over the axes, NaN counted as 0.

    >>> import symgraph as sg
    >>> sg.nansum([1.0, float("nan"), 2.0]).eval().tolist()
    3.0
    """
    return reductions.sum(_without_nan(x, 0)[0], axis, dtype, keepdims)


def nanprod(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Variable:
    """The product over the axes, NaN counted as 1.

    >>> import symgraph as sg
    >>> sg.nanprod([2.0, float("nan"), 2.0]).eval().tolist()
    4.0
    """
    return reductions.prod(_without_nan(x, 1)[0], axis, dtype, keepdims)


def _count(missing: Variable, axis: Any, dtype: str) -> Variable:
    return cast(reductions.sum(~missing, axis, dtype="int64", keepdims=True), dtype)


def _squeezed(y: Variable, axis: Any, keepdims: bool, ndim: int) -> Variable:
    axes = reduced_axes(axis, ndim, "nan")
    return y if keepdims or not axes else y.squeeze(axes)  # type: ignore[no-any-return]


def nanmean(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The mean of the elements that are not NaN; NaN where there are none.

    >>> import symgraph as sg
    >>> sg.nanmean([1.0, float("nan"), 2.0]).eval().tolist()
    1.5
    """
    filled, missing = _without_nan(x, 0)
    if missing is None:
        return moments.mean(filled, axis, keepdims=keepdims)
    total = reductions.sum(filled, axis, keepdims=True)
    return _squeezed(total / _count(missing, axis, total.dtype), axis, keepdims, filled.ndim)


def nanvar(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Variable:
    """The variance of the elements that are not NaN, divided by their number - ddof; NaN where
    that is not positive.

    >>> import symgraph as sg
    >>> sg.nanvar([1.0, float("nan"), 2.0]).eval().tolist()
    0.25
    """
    filled, missing = _without_nan(x, 0)
    if missing is None:
        return moments.var(filled, axis, ddof=ddof, keepdims=keepdims)
    mean = reductions.sum(filled, axis, keepdims=True) / _count(missing, axis, filled.dtype)
    distance = where(missing, 0, filled - mean)
    free = _count(missing, axis, filled.dtype) - ddof
    total = reductions.sum(square(distance), axis, keepdims=True)
    found = where(free > 0, total / where(free > 0, free, 1), np.array(np.nan, filled.dtype))
    return _squeezed(found, axis, keepdims, filled.ndim)


def nanstd(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Variable:
    """The standard deviation of the elements that are not NaN, the root of :func:`nanvar`.

    >>> import symgraph as sg
    >>> sg.nanstd([1.0, float("nan"), 2.0]).eval().tolist()
    0.5
    """
    return sqrt(nanvar(x, axis, ddof, keepdims))


def _nan_extreme(function: Any, x: Any, neutral: float, axis: Any, keepdims: bool) -> Variable:
    filled, missing = _without_nan(x, neutral)
    found = function(filled, axis, keepdims=keepdims)
    if missing is None:
        return found  # type: ignore[no-any-return]
    nothing = reductions.all(missing, axis, keepdims=keepdims)
    return where(nothing, np.array(np.nan, filled.dtype), found)


def nanmax(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The greatest of the elements that are not NaN; NaN where there are none.

    >>> import symgraph as sg
    >>> sg.nanmax([1.0, float("nan"), 2.0]).eval().tolist()
    2.0
    """
    return _nan_extreme(reductions.max, x, -np.inf, axis, keepdims)


def nanmin(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The least of the elements that are not NaN; NaN where there are none.

    >>> import symgraph as sg
    >>> sg.nanmin([1.0, float("nan"), 2.0]).eval().tolist()
    1.0
    """
    return _nan_extreme(reductions.min, x, np.inf, axis, keepdims)


def _nan_position(function: Any, x: Any, neutral: float, axis: Any, keepdims: bool) -> Variable:
    x = as_variable(x)
    filled, missing = _without_nan(x, neutral)
    found = function(filled, axis, keepdims=keepdims)
    if missing is None:
        return found  # type: ignore[no-any-return]
    nothing = reductions.all(missing, axis, keepdims=keepdims)
    return where(nothing, -1, found)


def nanargmax(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The first position (int64) of the greatest element that is not NaN; -1 where there are none
    (NumPy raises).

    >>> import symgraph as sg
    >>> sg.nanargmax([1.0, float("nan"), 2.0]).eval().tolist()
    2
    """
    return _nan_position(reductions.argmax, x, -np.inf, axis, keepdims)


def nanargmin(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The first position (int64) of the least element that is not NaN; -1 where there are none
    (NumPy raises).

    >>> import symgraph as sg
    >>> sg.nanargmin([float("nan"), 1.0, 2.0]).eval().tolist()
    1
    """
    return _nan_position(reductions.argmin, x, np.inf, axis, keepdims)
