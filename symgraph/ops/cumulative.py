"""Running folds along an axis: cumsum, cumprod, cummax, cummin, cumlogsumexp.

Derivatives run back along the axis; where the weight of a step depends on the place, that is a
first-order linear recurrence, an op of its own that is closed under differentiation.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from symgraph import dtypes
from symgraph.errors import DTypeError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.operators import in_language
from symgraph.ir.types import TensorType, normalize_axis, same_size
from symgraph.loops.routine import Routine
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.comparison import equal, greater, isnan, less, logical_or, not_equal, where
from symgraph.ops.creation import iota
from symgraph.ops.exponential import exp, log1p
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import BroadcastTo, ravel, reshape
from symgraph.ops.slicing import Roll
from symgraph.scalar import as_expr

__all__ = ["cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum", "nancumprod", "nancumsum"]


class Running(Op, abstract=True):
    """What the running folds share: along ``axis`` the fold of the elements up to and including
    each, counted from the end when ``reverse``."""

    axis: int
    reverse: bool = False
    combiner: ClassVar[str]
    ufunc: ClassVar[np.ufunc]

    def infer(self, x: TensorType) -> TensorType:
        if dtypes.is_complex(x.dtype) and self.combiner not in ("add", "mul"):
            raise DTypeError(
                f"{self.name}: complex numbers have no order",
                hint="take x.real, x.imag or sg.abs(x)",
            )
        return x

    def reference(self, x: Any) -> Any:
        if self.reverse:
            return np.flip(self._forward(np.flip(x, self.axis)), self.axis)
        return self._forward(x)

    def _forward(self, x: Any) -> Any:
        return self.ufunc.accumulate(x, self.axis, dtype=x.dtype)

    def extern(self, x: TensorType) -> Routine:
        params = (("combiner", self.combiner), ("axis", self.axis), ("reverse", self.reverse))
        return Routine("cumulative", params)

    def back(self, weight: Variable, g: Variable) -> Variable:
        """r[k] = g[k] + weight[k] * r[k+1] against the direction of the fold."""
        return LinearRecurrence(self.axis, not self.reverse)(weight, g)  # type: ignore[no-any-return]

    def prior(self, x: Variable, first: Any) -> Variable:
        """The element before each, ``first`` for the first one."""
        return _neighbour(x, self.axis, self.reverse, first)

    def following(self, x: Variable) -> Variable:
        """The element after each; the last one gets the first."""
        return Roll((1 if self.reverse else -1,), (self.axis,))(x)  # type: ignore[no-any-return]


class CumSum(Running):
    """Along ``axis`` the sum of the elements up to and including each, counted from the end when
    ``reverse``."""

    name = "cumsum"
    combiner, ufunc = "add", np.add

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (CumSum(self.axis, not self.reverse)(g),)


class CumProd(Running):
    """Along ``axis`` the product of the elements up to and including each. The derivative divides
    by nothing, so it is right also where elements are 0."""

    name = "cumprod"
    combiner, ufunc = "mul", np.multiply

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (self.prior(y, 1) * self.back(self.following(x), g),)


class CumMax(Running):
    """Along ``axis`` the greatest of the elements up to and including each, NaN from the first NaN
    on. The derivative goes to the first of equal greatest."""

    name = "cummax"
    combiner, ufunc = "maximum", np.maximum

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (_to_records(self, g, greater(x, self.prior(y, -math.inf)), x, y),)


class CumMin(Running):
    """Along ``axis`` the least of the elements up to and including each, NaN from the first NaN
    on. The derivative goes to the first of equal least."""

    name = "cummin"
    combiner, ufunc = "minimum", np.minimum

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (_to_records(self, g, less(x, self.prior(y, math.inf)), x, y),)


def _to_records(op: Running, g: Variable, new: Variable, x: Variable, y: Variable) -> Variable:
    """The derivative collected at the places where the running extreme changes: the first element,
    new records, the first NaN."""
    record = logical_or(new, _is_first(x, op.axis, op.reverse))
    record = logical_or(record, isnan(x) & ~isnan(op.prior(y, 0)))
    goes_on = cast(~op.following(record), g.dtype)
    return where(record, op.back(goes_on, g), 0)


class CumLogSumExp(Running):
    """Along ``axis`` log(sum(exp(x))) of the elements up to and including each; no overflow."""

    name = "cumlogsumexp"
    combiner, ufunc = "logaddexp", np.logaddexp

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        # d y[t] / d x[k] = exp(x[k] - y[t]); the steps from y[t-1] to y[t] are never above 1
        nothing = equal(y, -math.inf)
        step = where(nothing, 0, exp(y - self.following(y)))
        share = where(nothing, 0, exp(x - y))
        return (share * self.back(step, g),)

    def by_records(self, x: Variable) -> Variable:
        """The same with one exponential and one logarithm of each element, none of which waits for
        another: with the greatest so far, m, the sum of the other terms over exp(m) is a linear
        recurrence. At a new greatest it and the old greatest's term, 1, are scaled down."""
        top = CumMax(self.axis, self.reverse)(x)
        before = self.prior(top, -math.inf)
        record = greater(x, before)
        less = where(record, before, x)
        same = equal(less, top)  # two infinities have no difference
        term = exp(where(same, 0, less) - where(same, 0, top))
        rest = LinearRecurrence(self.axis, self.reverse)(where(record, term, 1), term)
        return top + log1p(rest)


class LinearRecurrence(Op):
    """y[k] = a[k] * y[k-1] + x[k] along ``axis``, starting with x[0]; from the end when
    ``reverse``."""

    name = "linear_recurrence"
    axis: int
    reverse: bool = False

    def infer(self, a: TensorType, x: TensorType) -> TensorType:
        for k, (m, n) in enumerate(zip(a.shape, x.shape, strict=True)):
            same_size(m, n, f"linear_recurrence: sizes differ on axis {k}")
        return x

    def reference(self, a: Any, x: Any) -> Any:
        y = np.array(x)
        weights, rows = (np.moveaxis(v, self.axis, 0) for v in (a, y))
        if self.reverse:
            weights, rows = weights[::-1], rows[::-1]
        for k in range(1, len(rows)):
            rows[k] += weights[k] * rows[k - 1]
        return y

    def vjp(self, g: Variable, y: Variable, a: Variable, x: Variable) -> tuple[Variable, Variable]:
        weight = Roll((1 if self.reverse else -1,), (self.axis,))(a)
        back = LinearRecurrence(self.axis, not self.reverse)(weight, g)
        return back * _neighbour(y, self.axis, self.reverse, 0), back

    def extern(self, a: TensorType, x: TensorType) -> Routine:
        return Routine("recurrence", (("axis", self.axis), ("reverse", self.reverse)))


def other_factors(x: Variable, axis: int) -> Variable:
    """For each element the product of the others along ``axis``: of those before it times those
    behind it. No quotient is taken, so derivatives of every order are right at zeros too."""
    before = _neighbour(CumProd(axis)(x), axis, False, 1)
    return before * _neighbour(CumProd(axis, True)(x), axis, True, 1)


def other_factors_of_groups(v: Variable, group: Variable) -> Variable:
    """The same along axis 0, among the rows of one group only: rows of a group are neighbours, and
    ``group`` [n] numbers them."""
    edges = reshape(group, (group.shape[0], *(1 for _ in v.shape[1:])))
    found = []
    for back in (False, True):
        alone = not_equal(edges, Roll((-1 if back else 1,), (0,))(edges))
        first = BroadcastTo(v.shape)(logical_or(alone, _is_first(v, 0, back)))
        weight = where(first, 0, _neighbour(v, 0, back, 0))
        found.append(LinearRecurrence(0, back)(weight, cast(first, v.dtype)))
    return found[0] * found[1]


def _is_first(x: Variable, axis: int, reverse: bool) -> Variable:
    """Where the fold begins, as a mask that broadcasts."""
    n = x.shape[axis]
    return equal(iota(n, x.ndim, axis), as_expr(n) - 1 if reverse else 0)


def _neighbour(x: Variable, axis: int, reverse: bool, first: Any) -> Variable:
    moved = Roll((-1 if reverse else 1,), (axis,))(x)
    return where(_is_first(x, axis, reverse), first, moved)


# functions ----------------------------------------------------------------------------------------


def _running(op: type[Running], x: Any, axis: int | None, dtype: Any, name: str) -> Variable:
    x = ravel(x) if axis is None else as_variable(x)
    axis = normalize_axis(0 if axis is None else axis, x.ndim, f"{name}: axis")
    return op(axis)(to_dtype(x, dtype(x.dtype)))  # type: ignore[no-any-return]


def _accumulator(dtype: Any) -> Any:
    """NumPy's dtype of sums and products: 64 bits for integers and bools unless one is given."""

    def choose(own: str) -> str:
        if dtype is not None:
            return dtypes.as_dtype(dtype)
        if dtypes.kind(own) not in "biu":
            return own
        return "uint64" if dtypes.kind(own) == "u" else "int64"

    return choose


@in_language("cumsum")
def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Variable:
    """The running sum along ``axis`` (of the flattened x when not given).

    Bools and integers narrower than 64 bits are summed in 64 bits unless ``dtype`` says otherwise.

    >>> import symgraph as sg
    >>> sg.cumsum([1, 2, 3]).eval().tolist()
    [1, 3, 6]
    """
    return _running(CumSum, x, axis, _accumulator(dtype), "cumsum")


def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Variable:
    """The running product along ``axis`` (of the flattened x when not given), with the dtypes of
    :func:`cumsum`. The derivative is right also where elements are 0.

    >>> import symgraph as sg
    >>> sg.cumprod([1, 2, 3, 4]).eval().tolist()
    [1, 2, 6, 24]
    """
    return _running(CumProd, x, axis, _accumulator(dtype), "cumprod")


def cummax(x: Any, axis: int | None = None) -> Variable:
    """The running maximum along ``axis`` (of the flattened x when not given), NaN from the first
    NaN on: ``np.maximum.accumulate``.

    >>> import symgraph as sg
    >>> sg.cummax([1, 3, 2, 5]).eval().tolist()
    [1, 3, 3, 5]
    """
    return _running(CumMax, x, axis, str, "cummax")


def cummin(x: Any, axis: int | None = None) -> Variable:
    """The running minimum along ``axis`` (of the flattened x when not given), NaN from the first
    NaN on: ``np.minimum.accumulate``.

    >>> import symgraph as sg
    >>> sg.cummin([4, 3, 5, 1]).eval().tolist()
    [4, 3, 3, 1]
    """
    return _running(CumMin, x, axis, str, "cummin")


def cumlogsumexp(x: Any, axis: int | None = None) -> Variable:
    """The running log(sum(exp(x))) along ``axis`` (of the flattened x when not given), without
    overflow; integers and bools as float64.

    >>> import symgraph as sg
    >>> sg.cumlogsumexp([0.0, 0.0, 1000.0]).eval().round(6).tolist()
    [0.0, 0.693147, 1000.0]
    """
    kind = lambda own: own if dtypes.is_float(own) else "float64"  # noqa: E731
    return _running(CumLogSumExp, x, axis, kind, "cumlogsumexp")


def nancumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Variable:
    """:func:`cumsum` with NaN counted as 0.

    >>> import symgraph as sg
    >>> sg.nancumsum([1.0, float("nan"), 2.0]).eval().tolist()
    [1.0, 1.0, 3.0]
    """
    return cumsum(_filled(x, 0), axis, dtype)


def nancumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Variable:
    """:func:`cumprod` with NaN counted as 1.

    >>> import symgraph as sg
    >>> sg.nancumprod([2.0, float("nan"), 2.0]).eval().tolist()
    [2.0, 2.0, 4.0]
    """
    return cumprod(_filled(x, 1), axis, dtype)


def _filled(x: Any, value: int) -> Variable:
    x = as_variable(x)
    return where(isnan(x), value, x) if dtypes.is_inexact(x.dtype) else x
