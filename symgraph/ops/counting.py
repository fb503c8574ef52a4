"""Counting: bincount and histograms. The number of bins is known when the graph is built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, DTypeError, RankError, ShapeError
from symgraph.ir.graph import Constant, Variable
from symgraph.ir.types import Size, TensorType, same_size
from symgraph.ops import reductions
from symgraph.ops.arithmetic import maximum
from symgraph.ops.bounds import InRange
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.comparison import equal, where
from symgraph.ops.creation import linspace
from symgraph.ops.data_sizes import size_from
from symgraph.ops.gathering import scatter
from symgraph.ops.joining import concatenate
from symgraph.ops.operands import as_variable, promotable
from symgraph.ops.shape import as_shape, expand_dims, ravel, reshape
from symgraph.ops.slicing import fill, zeros
from symgraph.ops.sorting import searchsorted
from symgraph.scalar import Expr, as_expr, as_size, product

__all__ = ["bincount", "histogram", "histogram2d", "histogram_bin_edges", "histogramdd"]


def bincount(x: Any, weights: Any = None, minlength: Any = 0, length: Any = None) -> Variable:
    """How often each of 0, 1, ..., length - 1 occurs among the integers of the vector x, or the sum
    of the ``weights`` (as float64) of its occurrences.

    The size of the result is the greatest integer plus 1, at least ``minlength``: it depends on the
    values (docs/sizes.md). ``length`` fixes it; an integer outside, as a negative one in any case,
    is an error when the function runs. Raises RankError, DTypeError.

    >>> import symgraph as sg
    >>> sg.bincount([1, 3, 1]).eval().tolist()
    [0, 2, 0, 1]
    >>> x = sg.vector("x", dtype="int64")
    >>> sg.compile([x], sg.bincount(x, length=4))([3, 3]).tolist()
    [0, 0, 0, 2]
    """
    index = as_variable(x)
    if dtypes.is_float(index.dtype) and index.shape == (0,):
        index = cast(index, "int64")
    if index.ndim != 1:
        raise RankError(f"bincount takes a vector, not {index.ndim} dimensions")
    if not dtypes.is_int(index.dtype) and index.dtype != "bool":
        raise DTypeError(f"bincount counts integers, not {index.dtype}")
    if length is None:
        if isinstance(index, Constant):
            found = int(index.data.max()) + 1 if index.data.size else 0
            length = max(found, int(minlength))
        else:
            padded = concatenate([cast(index, "int64"), to_dtype([-1], "int64")])
            length = size_from(maximum(reductions.max(padded) + 1, minlength))
    (size,) = as_shape(length, "bincount")
    index = cast(index, "int64")
    index = InRange(size, True)(index)
    if weights is None:
        values = fill(TensorType("int64", index.shape), 1)
    else:
        values = cast(as_variable(weights), "float64")
        same_size(values.shape[0], index.shape[0], "bincount: weights and x differ in size")
    return scatter("add", (0,), zeros(TensorType(values.dtype, (size,))), values, (index,))


def histogram_bin_edges(x: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Variable:
    """The edges of the bins that :func:`histogram` uses.

    >>> import symgraph as sg
    >>> sg.histogram_bin_edges([0.0, 4.0], 4).eval().tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    return _edges(ravel(as_variable(x)), bins, range)


def _edges(x: Variable, bins: Any, bounds: Any) -> Variable:
    if isinstance(bins, str):
        raise ArgumentError("histogram: rules for the number of bins would depend on data")
    if isinstance(bins, Variable) and bins.ndim == 0:
        bins = size_from(bins)
    counted = isinstance(bins, int | np.integer | Expr)
    given = None if counted else as_variable(bins)
    if given is not None and given.ndim == 1:
        if isinstance(given, Constant) and (given.data[:-1] > given.data[1:]).any():
            raise ArgumentError("histogram: the edges of bins rise")
        return given
    if given is not None:
        raise RankError("histogram: bins are an int or a vector of edges")
    if not isinstance(bins, Expr) and bins < 1:
        raise ArgumentError("histogram: there is at least one bin")
    if bounds is not None:
        low, high = bounds
        kind = dtypes.promote(*(promotable(v) for v in (low, high, x)), float)
        if not isinstance(low, Variable) and not isinstance(high, Variable) and low > high:
            raise ArgumentError("histogram: the range ends before it begins")
        first, last = to_dtype(low, kind), to_dtype(high, kind)
    elif any(isinstance(s, int) and s == 0 for s in x.shape):
        kind = dtypes.promote(x.dtype, float)
        first, last = to_dtype(0, kind), to_dtype(1, kind)
    else:
        kind = dtypes.promote(x.dtype, float)
        first, last = cast(reductions.min(x), kind), cast(reductions.max(x), kind)
    flat = equal(first, last)
    first, last = where(flat, first - 0.5, first), where(flat, last + 0.5, last)
    return linspace(first, last, bins + 1 if isinstance(bins, Expr) else int(bins) + 1)


def _bins_of(x: Variable, edges: Variable) -> tuple[Variable, Variable]:
    """The bin of each element and whether it is in one; the last bin has both its edges."""
    last = as_size(as_expr(edges.shape[0]) - 1)
    found = searchsorted(edges, x, "right") - 1
    at_end = equal(x, edges[-1])
    found = where(at_end, as_variable(as_size(as_expr(last) - 1)), found)
    inside = (found >= 0) & (found < as_variable(last))
    return where(inside, found, 0), inside


def _tally(
    places: Sequence[Variable], inside: Variable, sizes: Sequence[Size], weights: Any
) -> Variable:
    index: Variable | None = None
    for p, n in zip(places, sizes, strict=True):
        index = p if index is None else index * as_variable(n) + p
    assert index is not None
    if weights is None:
        values = cast(inside, "int64")
    else:
        given = ravel(as_variable(weights))
        given = cast(given, "int64") if given.dtype == "bool" else given
        same_size(given.shape[0], index.shape[0], "histogram: weights and x differ in size")
        values = where(inside, given, 0)
    total = product(tuple(sizes))
    flat = scatter("add", (0,), zeros(TensorType(values.dtype, (total,))), values, (index,))
    return reshape(flat, tuple(sizes)) if len(sizes) > 1 else flat


def histogram(
    x: Any, bins: Any = 10, range: Any = None, density: bool = False, weights: Any = None
) -> tuple[Variable, Variable]:
    """How many elements of x fall into each bin (int64, or the sum of their ``weights``), and the
    edges of the bins. ``bins`` are a number of equal ones from the least to the greatest element
    (or over ``range``), or a vector of edges; the last bin includes its upper edge. ``density``
    divides by the total and the widths.

    Raises ArgumentError, RankError.

    >>> import symgraph as sg
    >>> [v.eval().tolist() for v in sg.histogram([1.0, 2.0, 1.0], [0.0, 1.0, 2.0, 3.0])]
    [[0, 2, 1], [0.0, 1.0, 2.0, 3.0]]
    """
    values = ravel(as_variable(x))
    values = cast(values, "uint8") if values.dtype == "bool" else values
    edges = _edges(values, bins, range)
    size = as_size(as_expr(edges.shape[0]) - 1)
    place, inside = _bins_of(values, edges)
    counts = _tally([place], inside, [size], weights)
    if density:
        counts = cast(counts, "float64") / _widths(edges) / reductions.sum(counts)
    return counts, edges


def _widths(edges: Variable) -> Variable:
    return cast(edges[1:] - edges[:-1], "float64")


def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: bool = False, weights: Any = None
) -> tuple[Variable, list[Variable]]:
    """How many rows of the matrix ``sample`` fall into each bin of a grid (float64), and the edges
    along each of its columns; ``bins`` and ``range`` are one for all or a list.

    >>> import symgraph as sg
    >>> h, edges = sg.histogramdd([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]], 2)
    >>> h.eval().tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    points = as_variable(sample)
    if points.ndim == 1:
        points = expand_dims(points, 1)
    if points.ndim != 2 or not isinstance(points.shape[1], int):
        raise RankError("histogramdd takes a matrix with a known number of columns")
    count = points.shape[1]
    each = list(bins) if isinstance(bins, tuple | list) else [bins] * count
    ranges = [None] * count if range is None else list(range)
    if not count:
        raise ShapeError("histogramdd: the matrix has no columns")
    if len(each) != count or len(ranges) != count:
        raise ShapeError(f"histogramdd: {len(each)} bins, {len(ranges)} ranges, {count} columns")
    columns = [points[:, k] for k in np.arange(count).tolist()]
    edges = [_edges(c, b, r) for c, b, r in zip(columns, each, ranges, strict=True)]
    found = [_bins_of(c, e) for c, e in zip(columns, edges, strict=True)]
    inside = found[0][1]
    for _, more in found[1:]:
        inside = inside & more
    sizes = [as_size(as_expr(e.shape[0]) - 1) for e in edges]
    places = [where(inside, p, 0) for p, _ in found]
    counts = cast(_tally(places, inside, sizes, weights), "float64")
    if density:
        total = reductions.sum(counts)
        for k, e in enumerate(edges):
            others = tuple(j for j in np.arange(count).tolist() if j != k)
            counts = counts / expand_dims(_widths(e), others)
        counts = counts / total
    return counts, edges


def histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, density: bool = False, weights: Any = None
) -> tuple[Variable, Variable, Variable]:
    """:func:`histogramdd` of two vectors: the counts and both vectors of edges.

    >>> import symgraph as sg
    >>> h, _, _ = sg.histogram2d([0.0, 1.0, 1.0], [0.0, 1.0, 0.0], 2)
    >>> h.eval().tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    first, second = as_variable(x), as_variable(y)
    dtype = dtypes.promote(first.dtype, second.dtype)
    if first.ndim != 1 or second.ndim != 1:
        raise RankError("histogram2d takes two vectors")
    points = concatenate([expand_dims(to_dtype(v, dtype), 1) for v in (first, second)], 1)
    given = bins
    if isinstance(bins, tuple | list) and len(bins) != 2:
        given = [as_variable(bins)] * 2
    counts, edges = histogramdd(points, given, range, density, weights)
    return counts, edges[0], edges[1]
