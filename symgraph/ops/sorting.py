"""Sorting and searching: sort, argsort, lexsort, partition, topk, searchsorted, digitize.

Sorting is stable everywhere and puts NaN last, as NumPy's stable sort does; -0.0 comes before 0.0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Constant, Variable
from symgraph.ir.op import Op
from symgraph.ir.operators import in_language
from symgraph.ir.types import Size, TensorType, normalize_axis, same_size
from symgraph.loops.routine import Routine
from symgraph.ops.cast import to_dtype
from symgraph.ops.comparison import where
from symgraph.ops.creation import iota
from symgraph.ops.gathering import scatter
from symgraph.ops.indexing import take, take_along_axis
from symgraph.ops.operands import as_variable, promotable
from symgraph.ops.ordering import NATIVE, ArgSort, order_of, sorting_routine
from symgraph.ops.shape import as_int, as_shape, flip, is_one, moveaxis, ravel
from symgraph.ops.slicing import zeros
from symgraph.scalar import as_expr, as_size
from symgraph.scalar.functions import minimum

__all__ = [
    "argpartition", "argsort", "digitize", "lexsort", "partition", "searchsorted", "sort", "topk",
]  # fmt: skip


# ops ----------------------------------------------------------------------------------------------


class Sort(Op):
    """The elements along the last axis in ascending order; NaN last, -0.0 before 0.0."""

    name = "sort"

    def infer(self, x: TensorType) -> TensorType:
        return x

    def reference(self, x: Any) -> Any:
        y = np.sort(x, -1, kind="stable")
        if y.dtype.kind != "f":
            return y
        zero = y == 0
        turn = np.cumsum(zero, -1) <= np.sum(zero & np.signbit(y), -1, keepdims=True)
        y = np.where(zero, np.where(turn, -0.0, 0.0), y).astype(y.dtype)
        return np.where(np.isnan(y), np.array(np.nan, y.dtype), y)

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        places = [iota(n, x.ndim, k) for k, n in enumerate(x.shape[:-1])]
        places.append(ArgSort()(x))
        return (scatter("add", tuple(range(x.ndim)), zeros(x.type), g, places),)

    def extern(self, x: TensorType) -> Routine:
        return sorting_routine(x, False)


class TopPositions(Op):
    """The positions (int64) along the last axis of the ``count`` least elements in order, or of the
    greatest ones when ``descending``: the first columns of :class:`ArgSort`."""

    name = "top_positions"
    nondifferentiable = "the result are positions"
    count: Size
    descending: bool = False

    def infer(self, x: TensorType) -> TensorType:
        enough = as_size(minimum(as_expr(x.shape[-1]), as_expr(self.count)))
        same_size(enough, self.count, "topk: elements there are and elements wanted")
        return TensorType("int64", (*x.shape[:-1], self.count))

    def bound(self, x: TensorType) -> Size:
        """The positions are below this."""
        return x.shape[-1]

    def reference(self, x: Any) -> Any:
        return order_of(x, self.descending)[..., : self.count]

    def extern(self, x: TensorType) -> Routine:
        return sorting_routine(x, True, self.descending)


class SearchSorted(Op):
    """Where each element of v belongs in the sorted last axis of a: before equal elements, or
    behind them when ``right``. a is a vector, or has the leading axes of v."""

    name = "searchsorted"
    nondifferentiable = "the result are positions"
    right: bool

    def infer(self, a: TensorType, v: TensorType) -> TensorType:
        for k, (m, n) in enumerate(zip(a.shape[:-1], v.shape[:-1], strict=len(a.shape) > 1)):
            same_size(m, n, f"searchsorted: sizes differ on axis {k}")
        return v.with_dtype("int64")

    def reference(self, a: Any, v: Any) -> Any:
        side: Any = "right" if self.right else "left"
        if a.ndim == 1:
            return np.searchsorted(a, v, side).astype("int64")
        out = np.empty(v.shape, "int64")
        for k in np.ndindex(a.shape[:-1]):
            out[k] = np.searchsorted(a[k], v[k], side)
        return out

    def extern(self, a: TensorType, v: TensorType) -> Routine:
        known = a.dtype in NATIVE
        return Routine("searchsorted", (("right", self.right),)) if known else Routine("python")


# sorting ------------------------------------------------------------------------------------------


def _along(op: Op, x: Any, axis: int | None, name: str) -> Variable:
    """An op on the last axis applied along another one."""
    x = ravel(x) if axis is None else as_variable(x)
    if x.ndim == 0:
        raise RankError(f"{name}: a tensor without axes cannot be sorted")
    k = normalize_axis(-1 if axis is None else axis, x.ndim, f"{name}: axis")
    if is_one(x.shape[k]):
        return x if isinstance(op, Sort) else zeros(x.type.with_dtype("int64"))
    return op(x) if k == x.ndim - 1 else moveaxis(op(moveaxis(x, k, -1)), -1, k)


@in_language("sort")
def sort(x: Any, axis: int | None = -1, *, descending: bool = False) -> Variable:
    """x in ascending order along ``axis`` (flattened first when that is None), NaN last; or in
    descending order, NaN first. The derivative goes to where the elements came from.

    Radix sort on the bits of the elements: the time grows with their number alone.

    >>> import symgraph as sg
    >>> sg.sort([[3, 1, 2], [9, 8, 7]]).eval().tolist()
    [[1, 2, 3], [7, 8, 9]]
    """
    y = _along(Sort(), x, axis, "sort")
    return flip(y, 0 if axis is None else axis) if descending else y


@in_language("argsort")
def argsort(x: Any, axis: int | None = -1, *, descending: bool = False) -> Variable:
    """The positions (int64) that sort x along ``axis`` (flattened first when that is None). Equal
    elements keep their order, also when descending.

    >>> import symgraph as sg
    >>> sg.argsort([3, 1, 2, 1]).eval().tolist()
    [1, 3, 2, 0]
    """
    return _along(ArgSort(descending), x, axis, "argsort")


def lexsort(keys: Any, axis: int = -1) -> Variable:
    """The positions that sort by several keys, the last one first: ``keys`` are tensors of one
    shape, or the rows of one tensor.

    >>> import symgraph as sg
    >>> sg.lexsort(([9, 4, 0, 4], [1, 1, 2, 1])).eval().tolist()
    [1, 3, 0, 2]
    """
    if isinstance(keys, Variable):
        keys = [keys[k] for k in range(as_int(keys.shape[0], "lexsort"))]
    rows = [as_variable(k) for k in keys]
    if not rows:
        raise ArgumentError("lexsort needs at least one key")
    order = argsort(rows[0], axis)
    for key in rows[1:]:
        order = take_along_axis(order, argsort(take_along_axis(key, order, axis), axis), axis)
    return order


def partition(x: Any, kth: Any, axis: int | None = -1) -> Variable:
    """x rearranged along ``axis`` so that element ``kth`` (or each of several) stands where sorting
    would put it, lesser ones before and others behind. Here all of them are sorted.

    >>> import symgraph as sg
    >>> sg.partition([3, 1, 2], 1).eval().tolist()
    [1, 2, 3]
    """
    _check_kth(x, kth, axis)
    return sort(x, axis)


def argpartition(x: Any, kth: Any, axis: int | None = -1) -> Variable:
    """The positions that :func:`partition` x; here those that sort it.

    >>> import symgraph as sg
    >>> sg.argpartition([3, 1, 2], 1).eval().tolist()
    [1, 2, 0]
    """
    _check_kth(x, kth, axis)
    return argsort(x, axis)


def _check_kth(x: Any, kth: Any, axis: int | None) -> None:
    x = ravel(x) if axis is None else as_variable(x)
    n = x.shape[normalize_axis(-1 if axis is None else axis, x.ndim, "partition: axis")]
    for k in np.ravel(kth).tolist():
        if isinstance(n, int) and not -n <= as_int(k, "partition: kth") < n:
            raise ArgumentError(f"partition: element {k} of an axis of size {n}")


def topk(x: Any, k: Any, axis: int = -1, largest: bool = True) -> tuple[Variable, Variable]:
    """The ``k`` greatest (or least) elements along ``axis`` in order, and their positions (int64).
    Of equal ones those that stand first come first; NaN counts as the greatest.

    Raises ShapeError when there are fewer than k.

    >>> import symgraph as sg
    >>> [v.eval().tolist() for v in sg.topk([3, 9, 5, 9], 3)]
    [[9, 9, 5], [1, 3, 2]]
    """
    x = as_variable(x)
    axis = normalize_axis(axis, x.ndim, "topk: axis")
    (count,) = as_shape(k, "topk")
    n = x.shape[axis]
    if isinstance(n, int) and isinstance(count, int) and count > n:
        raise ShapeError(f"topk: {count} elements of an axis of size {n}")
    last = x if axis == x.ndim - 1 else moveaxis(x, axis, -1)
    places = TopPositions(count, largest)(last)
    places = places if axis == x.ndim - 1 else moveaxis(places, -1, axis)
    return take_along_axis(x, places, axis), places


# searching ----------------------------------------------------------------------------------------


def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Variable:
    """Where each element of v belongs in the sorted vector a, so that it stays sorted: before equal
    elements ("left") or behind them ("right"). ``sorter`` are positions that sort a.

    a may have leading axes that v has too: each row of v is then looked up in its own row of a.

    >>> import symgraph as sg
    >>> sg.searchsorted([1, 2, 4], [0, 2, 3, 9]).eval().tolist()
    [0, 1, 2, 3]
    """
    if side not in ("left", "right"):
        raise ArgumentError(f"searchsorted: side is left or right, not {side!r}")
    dtype = dtypes.promote(promotable(a), promotable(v))
    table, values = to_dtype(a, dtype), to_dtype(v, dtype)
    if sorter is not None:
        table = take(table, sorter)
    if table.ndim == 0 or (table.ndim > 1 and table.ndim != values.ndim):
        raise RankError(
            f"searchsorted: {table.ndim} and {values.ndim} dimensions do not go together"
        )
    return SearchSorted(side == "right")(table, values)  # type: ignore[no-any-return]


def digitize(x: Any, bins: Any, right: bool = False) -> Variable:
    """The number of the bin of each element: i where ``bins[i-1] <= x < bins[i]`` (where ``<`` and
    ``<=`` change places when ``right``), 0 below all and len(bins) above. Bins may descend.

    >>> import symgraph as sg
    >>> sg.digitize([0.2, 6.4, 3.0], [0.0, 1.0, 2.5, 4.0]).eval().tolist()
    [1, 4, 3]
    """
    edges, side = as_variable(bins), "left" if right else "right"
    if edges.ndim != 1:
        raise RankError(f"digitize: bins are a vector, not of {edges.ndim} dimensions")
    n = edges.shape[0]
    if isinstance(edges, Constant):
        steps = edges.data[1:] >= edges.data[:-1]
        if not (steps.all() or (edges.data[1:] <= edges.data[:-1]).all()):
            raise ArgumentError("digitize: bins neither rise nor fall")
        if steps.all():
            return searchsorted(edges, x, side)
        return n - searchsorted(flip(edges), x, side)  # type: ignore[operator]
    if isinstance(n, int) and n < 2:
        return searchsorted(edges, x, side)
    falls = edges[0] > edges[-1]
    found = searchsorted(where(falls, flip(edges), edges), x, side)
    return where(falls, n - found, found)
