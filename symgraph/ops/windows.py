"""Elements seen from their neighbours: roll, sliding windows, convolution, running products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import Size, TensorType, same_size
from symgraph.loops.compute import Compute, Operand, Reduction, index_axes, pointwise, reduce_axes
from symgraph.ops import reductions
from symgraph.ops.cast import to_dtype
from symgraph.ops.complex_numbers import conj
from symgraph.ops.debugging import assert_
from symgraph.ops.operands import as_variable, promotable
from symgraph.ops.shape import as_int, as_shape, expand_dims, flip, normalize_axes, ravel, reshape
from symgraph.ops.slicing import Embed, Roll, Slice
from symgraph.scalar import Expr, as_expr, as_size, const, guard
from symgraph.scalar.functions import and_, le, lt, select
from symgraph.scalar.sizes import larger, nonnegative, smaller

__all__ = ["convolve", "correlate", "roll", "sliding_window_view"]


class WindowView(Op):
    """Windows of ``size`` elements along ``axis``: element j of window i is element i + j of x. The
    axis holds the windows, a new last axis their elements. ``few`` says that there are fewer
    windows than elements in each: the derivative then sums over the windows."""

    name = "window_view"
    size: Size
    axis: int
    few: bool = False

    def infer(self, x: TensorType) -> TensorType:
        room = as_size(as_expr(x.shape[self.axis]) - self.size)
        what = f"windows of {self.size} do not fit axis {self.axis} of size {x.shape[self.axis]}"
        if isinstance(room, int) and room < 0:
            raise ShapeError(what)
        if not nonnegative(room):
            same_size(smaller(room, 0), 0, what)
        shape = list(x.shape)
        shape[self.axis] = as_size(as_expr(room) + 1)
        return x.with_shape([*shape, self.size])

    def reference(self, x: Any) -> Any:
        return np.lib.stride_tricks.sliding_window_view(x, self.size, self.axis)

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (WindowSum(self.axis, self.few)(g),)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        def element(*i: Expr) -> Expr:
            return x(*(j + i[-1] if k == self.axis else j for k, j in enumerate(i[:-1])))

        return pointwise(out.shape, element)


class WindowSum(Op):
    """The transpose of WindowView: each element is the sum over the windows that it is in, which
    are found by its place in them, or one after another when they are ``few``."""

    name = "window_sum"
    axis: int
    few: bool = False

    def infer(self, x: TensorType) -> TensorType:
        shape = list(x.shape[:-1])
        shape[self.axis] = as_size(as_expr(shape[self.axis]) + x.shape[-1] - 1)
        return x.with_shape(shape)

    def reference(self, x: Any) -> Any:
        windows, size = x.shape[self.axis], x.shape[-1]
        shape = list(x.shape[:-1])
        shape[self.axis] = windows + size - 1
        out: Any = np.zeros(shape, x.dtype)
        front = np.moveaxis(out, self.axis, 0)
        for j in range(size):
            front[j : j + windows] += np.moveaxis(x[..., j], self.axis, 0)
        return out

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (WindowView(x.shape[-1], self.axis, self.few)(g),)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        own, (j,) = index_axes(out.ndim), reduce_axes(1)
        rest = own[self.axis] - j
        window, place = (j, rest) if self.few else (rest, j)
        searched, folded = self.axis, x.ndim - 1
        if self.few:
            searched, folded = folded, searched
        held = and_(le(const(0), rest), lt(rest, as_expr(x.shape[searched])))
        at = [window if k == self.axis else i for k, i in enumerate(own)]
        body = guard(x(*at, place), held)
        return Compute(own, out.shape, (body,), Reduction("add", (j,), (x.shape[folded],)))


# functions ----------------------------------------------------------------------------------------


def roll(x: Any, shift: Any, axis: int | Sequence[int] | None = None) -> Variable:
    """The elements moved by ``shift`` places along the axes; those that leave at one end come back
    at the other. Without ``axis`` x is flattened for it and gets its shape back.

    >>> import symgraph as sg
    >>> sg.roll([1, 2, 3, 4], 1).eval().tolist()
    [4, 1, 2, 3]
    """
    x = as_variable(x)
    if axis is None:
        return reshape(roll(ravel(x), _total(shift), 0), x.shape)
    places = axis if isinstance(axis, tuple | list) else (axis,)
    given = shift if isinstance(shift, tuple | list) else (shift,) * len(places)
    if len(places) == 1 and len(given) > 1:
        places = tuple(places) * len(given)
    if len(given) != len(places):
        raise ArgumentError(f"roll: {len(given)} shifts for {len(places)} axes")
    sums: dict[int, Size] = {}
    for s, a in zip(given, places, strict=True):
        (k,) = normalize_axes(a, x.ndim, "roll")
        sums[k] = as_size(as_expr(sums.get(k, 0)) + _shift(s))
    shifts = {k: s for k, s in sorted(sums.items()) if not (isinstance(s, int) and s == 0)}
    return Roll(tuple(shifts.values()), tuple(shifts))(x) if shifts else x  # type: ignore[no-any-return]


def _shift(shift: Any) -> Size:
    return as_size(shift) if isinstance(shift, Expr) else as_int(shift, "roll: shift")


def _total(shift: Any) -> Size:
    given = shift if isinstance(shift, tuple | list) else (shift,)
    return as_size(sum((as_expr(_shift(s)) for s in given), start=as_expr(0)))


def sliding_window_view(
    x: Any, window_shape: Any, axis: int | Sequence[int] | None = None
) -> Variable:
    """Every window of ``window_shape`` elements along the axes (all of them when not given): the
    axes count the windows, new last axes their elements. Nothing is copied.

    Raises ShapeError when a window does not fit.

    >>> import symgraph as sg
    >>> sg.sliding_window_view([1, 2, 3, 4], 3).eval().tolist()
    [[1, 2, 3], [2, 3, 4]]
    """
    x = as_variable(x)
    sizes = as_shape(window_shape, "sliding_window_view")
    given = range(x.ndim) if axis is None else axis
    axes = tuple(given) if isinstance(given, tuple | list | range) else (given,)
    if len(sizes) != len(axes):
        raise ArgumentError(f"sliding_window_view: {len(sizes)} sizes for {len(axes)} axes")
    ndim = x.ndim
    for size, a in zip(sizes, axes, strict=True):
        (k,) = normalize_axes(a, ndim, "sliding_window_view")
        x = WindowView(size, k)(x)
    return x


def convolve(a: Any, v: Any, mode: str = "full") -> Variable:
    """The discrete convolution of two vectors: element n is the sum over m of a[m] * v[n - m].

    ``mode`` "full" gives every n where they overlap (len(a) + len(v) - 1), "same" the middle
    max(len(a), len(v)) of these, "valid" those where they overlap wholly. Computed as the sum over
    windows, len(a) * len(v) products. Raises RankError, ShapeError for an empty operand.

    >>> import symgraph as sg
    >>> sg.convolve([1, 2, 3], [0, 1, 0.5]).eval().tolist()
    [0.0, 1.0, 2.5, 4.0, 1.5]
    """
    a, v = _signals(a, v, mode, "convolve")
    if _shorter(a, v):
        a, v = v, a
    if mode == "full" or _shorter(v, a):
        return _slide(a, flip(v), mode)
    n, m = a.shape[0], v.shape[0]  # which is the longer one is known at run time only
    return _middle(
        _slide(a, flip(v), "full"), mode, n, m, as_size((as_expr(smaller(n, m)) - 1) // 2)
    )


def correlate(a: Any, v: Any, mode: str = "valid") -> Variable:
    """The cross-correlation of two vectors, the sums of a[n + k] * conj(v[n]); the modes are
    those of :func:`convolve`.

    >>> import symgraph as sg
    >>> sg.correlate([1, 2, 3], [0, 1, 0.5]).eval().tolist()
    [3.5]
    """
    a, v = _signals(a, conj(v), mode, "correlate")
    if mode == "full" or _shorter(v, a):
        return _slide(a, v, mode)
    if _shorter(a, v):
        return flip(_slide(v, a, mode))
    n, m = a.shape[0], v.shape[0]
    first = as_size(select(le(as_expr(m), as_expr(n)), (as_expr(m) - 1) // 2, as_expr(n) // 2))
    return _middle(_slide(a, v, "full"), mode, n, m, first)


def _middle(full: Variable, mode: str, n: Size, m: Size, first: Size) -> Variable:
    """The part of the full sums that a mode keeps: "same" begins at ``first``."""
    if mode == "same":
        return Slice((first,), (1,), (larger(n, m),))(full)  # type: ignore[no-any-return]
    less = smaller(n, m)
    size = as_size(as_expr(larger(n, m)) - less + 1)
    return Slice((as_size(as_expr(less) - 1),), (1,), (size,))(full)  # type: ignore[no-any-return]


def _signals(a: Any, v: Any, mode: str, name: str) -> tuple[Variable, Variable]:
    if mode not in ("full", "same", "valid"):
        raise ArgumentError(f"{name}: unknown mode {mode!r}", hint="full, same or valid")
    dtype = dtypes.promote(promotable(a), promotable(v))
    x, y = (to_dtype(s, dtype) for s in (a, v))
    if x.ndim != 1 or y.ndim != 1:
        raise RankError(f"{name} takes two vectors, got {x.ndim} and {y.ndim} dimensions")
    return _not_empty(x, name), _not_empty(y, name)


def _not_empty(x: Variable, name: str) -> Variable:
    n = x.shape[0]
    if n == 0:
        raise ShapeError(f"{name}: an operand is empty")
    if isinstance(n, int):
        return x
    return assert_(x, as_variable(n) > 0, f"{name}: an operand is empty")


def _shorter(a: Variable, v: Variable) -> bool:
    """Whether a is surely not longer than v."""
    return nonnegative(as_size(as_expr(v.shape[0]) - a.shape[0]))


def _slide(a: Variable, v: Variable, mode: str) -> Variable:
    """The sums of v times the windows of a, padded by zeros as the mode says."""
    n, m = a.shape[0], v.shape[0]
    before = {"full": as_size(as_expr(m) - 1), "same": as_size(as_expr(m) // 2), "valid": 0}[mode]
    after = as_size(as_expr(m) - 1 - before) if mode == "same" else before
    if mode != "valid":
        whole = as_size(as_expr(n) + before + after)
        a = Embed((before,), (1,), (whole,))(a)
    # window k holds what element k of v is multiplied with: the sum runs along the rows of memory
    count = as_size(as_expr(a.shape[0]) - m + 1)
    products = WindowView(count, 0, True)(a) * expand_dims(v, 1)
    if products.dtype == "bool":
        return reductions.any(products, 0)
    return reductions.sum(products, 0, dtype=products.dtype)
