"""Sets of values: unique and its kin, unions, intersections and differences.

The values are sorted; the first of each run of equal ones is where a value differs from the one
before it. How many there are depends on the values, so the result has a size that is known when the
runs are (one further part of a compiled function), unless ``size`` fixes it.
"""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.errors import ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.types import normalize_axis
from symgraph.loops.compute import elements
from symgraph.ops import reductions
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.comparison import equal, isnan, not_equal, where
from symgraph.ops.creation import iota, zeros
from symgraph.ops.cumulative import cumsum
from symgraph.ops.indexing import take
from symgraph.ops.joining import concatenate
from symgraph.ops.nonzeros import positions
from symgraph.ops.numpy_names import isin
from symgraph.ops.operands import as_variable, promotable
from symgraph.ops.shape import moveaxis, ravel, reshape
from symgraph.ops.sorting import argsort, lexsort, searchsorted, sort
from symgraph.ops.windows import roll
from symgraph.records import NamedTuple

__all__ = [
    "intersect1d", "setdiff1d", "setxor1d", "union1d", "unique", "unique_all", "unique_counts",
    "unique_inverse", "unique_values",
]  # fmt: skip


class Runs(NamedTuple):
    """Rows in ascending order, which of them begin a run of equal ones, and where each came from
    (None when nobody asks)."""

    rows: Variable
    first: Variable
    order: Variable | None


def _runs(x: Variable, ordered: bool, equal_nan: bool) -> Runs:
    """The runs of a vector, or of the rows of a matrix in lexicographic order."""
    if x.ndim == 1:
        order = argsort(x) if ordered else None
        rows = sort(x) if order is None else take(x, order)
    else:
        width = x.shape[1]
        if not isinstance(width, int):
            raise ShapeError(
                f"unique along an axis: the number of elements of each entry, {width}, is not known"
            )
        keys = [x[:, k] for k in reversed(range(width))]
        order = lexsort(tuple(keys)) if keys else iota(x.shape[0])
        rows = take(x, order, 0)
    before = roll(rows, 1, 0)
    differs = not_equal(rows, before)
    if equal_nan and dtypes.is_float(x.dtype):
        differs = differs & ~(isnan(rows) & isnan(before))
    if x.ndim > 1:
        differs = reductions.any(differs, 1)
    return Runs(rows, differs | equal(iota(x.shape[0]), 0), order)


def _inverse(runs: Runs) -> Variable:
    """For each row of the input its place among the distinct ones."""
    assert runs.order is not None
    rank = cumsum(cast(runs.first, "int64")) - 1
    return zeros(runs.first.shape, "int64").at[runs.order].set(rank)  # type: ignore[no-any-return]


def unique(
    x: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
    axis: int | None = None, *, equal_nan: bool = True, size: Any = None, fill_value: Any = None,
) -> Any:  # fmt: skip
    """The distinct elements of x in ascending order (of the flattened x), or its distinct slices
    along ``axis`` in lexicographic order.

    In this order follow, where asked for: the position of the first occurrence of each, for every
    element of x its place among them, and how often each occurs. All NaNs are one unless
    ``equal_nan`` is false. With ``size`` there are just so many: further ones are left out, missing
    ones are ``fill_value`` (the least element when not given), with the count 0.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> values, counts = sg.unique(x, return_counts=True)
    >>> values.eval({x: [3.0, 1.0, 3.0]}).tolist(), counts.eval({x: [3.0, 1.0, 3.0]}).tolist()
    ([1.0, 3.0], [1, 2])
    """
    x = as_variable(x)
    k = 0 if axis is None else normalize_axis(axis, x.ndim, "unique: axis")
    front = ravel(x) if axis is None else moveaxis(x, k, 0)
    rest = front.shape[1:]
    rows = front if axis is None else reshape(front, (front.shape[0], elements(rest)))
    runs = _runs(rows, return_index or return_inverse, equal_nan)
    n = rows.shape[0]
    places = positions(runs.first, size, 0)
    count = places.shape[0]
    found = take(runs.rows, places, 0)
    number = iota(count)
    total = as_variable(count) if size is None else reductions.sum(runs.first, dtype="int64")
    if size is not None and fill_value is not None:
        here = number < total
        here = reshape(here, (count, *(1 for _ in found.shape[1:])))
        found = where(here, found, to_dtype(fill_value, found.dtype))
    values = found if axis is None else moveaxis(reshape(found, (count, *rest)), 0, k)
    out = [values]
    if return_index:
        assert runs.order is not None
        out.append(take(runs.order, places))
    if return_inverse:
        inverse = _inverse(runs)
        out.append(reshape(inverse, x.shape) if axis is None else inverse)
    if return_counts:
        ends = where(number + 1 < total, roll(places, -1), as_variable(n))
        if size is not None:
            following = positions(runs.first, _one_more(count), n)[1:]
            ends = where(number < total, following, places)
        out.append(ends - places)
    return tuple(out) if len(out) > 1 else out[0]


def _one_more(count: Any) -> Any:
    return count + 1


def unique_values(x: Any, **options: Any) -> Variable:
    """:func:`unique` with every NaN for itself.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.unique_values(x).eval({x: [2.0, 1.0, 2.0]}).tolist()
    [1.0, 2.0]
    """
    return unique(x, equal_nan=False, **options)  # type: ignore[no-any-return]


def unique_counts(x: Any, **options: Any) -> tuple[Variable, Variable]:
    """The distinct elements and how often each occurs, with every NaN for itself.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.unique_counts(x)[1].eval({x: [2.0, 1.0, 2.0]}).tolist()
    [1, 2]
    """
    return unique(x, return_counts=True, equal_nan=False, **options)  # type: ignore[no-any-return]


def unique_inverse(x: Any, **options: Any) -> tuple[Variable, Variable]:
    """The distinct elements and, for each element of x, its place among them, with every NaN for
    itself.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.unique_inverse(x)[1].eval({x: [2.0, 1.0, 2.0]}).tolist()
    [1, 0, 1]
    """
    return unique(x, return_inverse=True, equal_nan=False, **options)  # type: ignore[no-any-return]


def unique_all(x: Any, **options: Any) -> tuple[Variable, Variable, Variable, Variable]:
    """The distinct elements, their first positions, the places of the elements of x among them and
    how often each occurs, with every NaN for itself.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> [v.eval({x: [2.0, 1.0, 2.0]}).tolist() for v in sg.unique_all(x)]
    [[1.0, 2.0], [1, 0], [1, 0, 1], [1, 2]]
    """
    return unique(x, True, True, True, equal_nan=False, **options)  # type: ignore[no-any-return]


# two sets -----------------------------------------------------------------------------------------


def _two(a: Any, b: Any) -> tuple[Variable, Variable]:
    dtype = dtypes.promote(promotable(a), promotable(b))
    return ravel(to_dtype(a, dtype)), ravel(to_dtype(b, dtype))


def _kept(values: Variable, keep: Variable, size: Any, fill_value: Any) -> Variable:
    """The values to be kept, in order; a fixed number of them when there is a size."""
    found = positions(keep, size, -1)
    if size is None:
        return take(values, found)
    inside = found >= 0
    rest = to_dtype(0 if fill_value is None else fill_value, values.dtype)
    return where(inside, take(values, where(inside, found, 0), mode="clip"), rest)  # type: ignore[no-any-return]


def union1d(a: Any, b: Any, size: Any = None, fill_value: Any = None) -> Variable:
    """The distinct elements of both, in ascending order.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.union1d(x, [1.0, 2.0]).eval({x: [3.0, 2.0]}).tolist()
    [1.0, 2.0, 3.0]
    """
    return unique(concatenate(_two(a, b)), size=size, fill_value=fill_value)  # type: ignore[no-any-return]


def intersect1d(
    a: Any, b: Any, assume_unique: bool = False, return_indices: bool = False, *, size: Any = None,
    fill_value: Any = None,
) -> Any:  # fmt: skip
    """The distinct elements that a and b share, in ascending order; with ``return_indices`` also
    the positions of their first occurrences in the flattened a and b. NaN is in none.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.intersect1d(x, [1.0, 2.0]).eval({x: [3.0, 2.0, 2.0]}).tolist()
    [2.0]
    """
    x, y = _two(a, b)
    runs = _runs(x, return_indices, True)
    keep = runs.first & isin(runs.rows, y)
    found = _kept(runs.rows, keep, size, fill_value)
    if not return_indices:
        return found
    assert runs.order is not None
    first = _kept(runs.order, keep, size, 0)
    order = argsort(y)
    place = searchsorted(take(y, order), found)
    return found, first, take(order, place, mode="clip" if size is not None else "raise")


def setdiff1d(
    a: Any, b: Any, assume_unique: bool = False, *, size: Any = None, fill_value: Any = None
) -> Variable:
    """The distinct elements of a that are not in b, in ascending order, or as they stand in a with
    ``assume_unique``.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.setdiff1d(x, [1.0, 2.0]).eval({x: [3.0, 2.0, 3.0]}).tolist()
    [3.0]
    """
    x, y = _two(a, b)
    if assume_unique:
        return _kept(x, isin(x, y, invert=True), size, fill_value)
    runs = _runs(x, False, True)
    return _kept(runs.rows, runs.first & isin(runs.rows, y, invert=True), size, fill_value)


def setxor1d(
    a: Any, b: Any, assume_unique: bool = False, *, size: Any = None, fill_value: Any = None
) -> Variable:
    """The distinct elements that are in one of a and b only, in ascending order.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.setxor1d(x, [1.0, 2.0]).eval({x: [3.0, 2.0]}).tolist()
    [1.0, 3.0]
    """
    x, y = _two(a, b)
    runs = _runs(concatenate([x, y]), False, True)
    keep = not_equal(isin(runs.rows, x), isin(runs.rows, y))
    if dtypes.is_float(x.dtype):
        keep = keep | isnan(runs.rows)
    return _kept(runs.rows, runs.first & keep, size, fill_value)
