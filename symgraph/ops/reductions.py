"""Reductions over axes: sum, prod, max, min, argmax, argmin, all, any and what is made of them.

The ops reduce the axes of a field, in the dtype they are given; the functions choose axes and
dtypes as NumPy does (``axis``: None for all, an int or a tuple; ``keepdims`` keeps axes of size 1;
``where``, which fits x, says which elements count, and ``initial`` what the result begins with).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from symgraph import dtypes
from symgraph.errors import AxisError, DTypeError, ShapeError
from symgraph.ir.graph import Variable, constant
from symgraph.ir.op import Op
from symgraph.ir.operators import in_language
from symgraph.ir.types import Size, TensorType, normalize_axis
from symgraph.loops.compute import Compute, Operand, Reduction, elements, index_axes, reduce_axes
from symgraph.ops.alternatives import ComputedAs
from symgraph.ops.arithmetic import maximum, minimum, negative
from symgraph.ops.cast import cast, computed_in, to_dtype
from symgraph.ops.comparison import equal, greater_equal, invert, isfinite, not_equal
from symgraph.ops.comparison import where as chosen
from symgraph.ops.cumulative import other_factors
from symgraph.ops.exponential import exp, log1p
from symgraph.ops.masked import initial_of, masked
from symgraph.ops.operands import as_variable
from symgraph.ops.settled import stable_as_written
from symgraph.ops.shape import BroadcastTo, ExpandDims, Reshape, Squeeze, Transpose, as_int
from symgraph.ops.special import stop_gradient
from symgraph.rewrite.pattern import is_pattern
from symgraph.rewrite.pattern import node as pattern_node
from symgraph.scalar import Expr, as_expr

__all__ = [
    "all", "any", "argmax", "argmin", "count_nonzero", "logsumexp", "max", "min", "prod", "sum",
]  # fmt: skip


# ops ----------------------------------------------------------------------------------------------


class Reduce(Op, abstract=True):
    """What the reductions share: sorted, distinct ``axes`` vanish from the shape."""

    axes: tuple[int, ...]
    combiner: ClassVar[str]

    def infer(self, x: TensorType) -> TensorType:
        return x.with_shape(self.kept(x.shape))

    def kept(self, whole: Any) -> tuple[Any, ...]:
        """The entries of a sequence over all axes that belong to the axes that stay."""
        return tuple(v for k, v in enumerate(whole) if k not in self.axes)

    def folded(self, x: TensorType | Operand) -> tuple[Size, ...]:
        """The sizes of the axes that vanish."""
        return tuple(x.shape[k] for k in self.axes)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        own, inner = index_axes(out.ndim), reduce_axes(len(self.axes))
        indices = self.restored(own, inner)
        reduction = Reduction(self.folding(x.dtype), inner, self.folded(x))
        return Compute(own, out.shape, self.values(x, indices, inner), reduction)

    def restored(self, own: tuple[Expr, ...], inner: tuple[Expr, ...]) -> list[Expr]:
        """The indices into x from those of the result and of the reduction."""
        indices = list(own)
        for axis, index in zip(self.axes, inner, strict=True):
            indices.insert(axis, index)
        return indices

    def folding(self, dtype: str) -> str:
        """The combiner at a dtype."""
        return self.combiner

    def values(self, x: Operand, indices: list[Expr], inner: tuple[Expr, ...]) -> tuple[Expr, ...]:
        """What is folded."""
        return (x(*indices),)

    def spread(self, g: Variable, x: Variable) -> Variable:
        """A value of the result's shape at each element of x that went into it."""
        return BroadcastTo(x.shape)(ExpandDims(self.axes)(g))  # type: ignore[no-any-return]


class Sum(Reduce):
    """The sum over ``axes``, in the dtype of x; 0 over nothing."""

    combiner = "add"

    def reference(self, x: Any) -> Any:
        return np.sum(x, axis=self.axes, dtype=x.dtype)

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (self.spread(g, x),)


class Prod(Reduce):
    """The product over ``axes``, in the dtype of x; 1 over nothing.

    The derivative by an element is the product of the others: y / x where x is not 0, at a lone
    zero the product of all others, else 0. Derivatives of that are those of products before and
    behind each element, which are right at zeros to every order and cancel nothing.
    """

    combiner = "mul"

    def reference(self, x: Any) -> Any:
        return np.prod(x, axis=self.axes, dtype=x.dtype)

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        zero = equal(x, 0)
        zeros = Sum(self.axes)(cast(zero, "int64"))
        filled = chosen(zero, 1, x)
        lone = chosen(equal(zeros, 1), Prod(self.axes)(filled), 0)
        others = chosen(zero, self.spread(lone, x), self.spread(y, x) / filled)
        return (self.spread(g, x) * ComputedAs()(others, self._others(x)),)

    def _others(self, x: Variable) -> Variable:
        """For each element the product of the others, by running products over the flat axes."""
        if len(self.axes) == 1:
            return other_factors(x, self.axes[0])
        order = (*self.kept(range(x.ndim)), *self.axes)
        turned = Transpose(order)(x)
        kept = self.kept(x.shape)
        flat = Reshape((*kept, elements(self.folded(x.type))))(turned)
        found = Reshape(turned.shape)(other_factors(flat, len(kept)))
        return Transpose(tuple(map(order.index, range(x.ndim))))(found)  # type: ignore[no-any-return]


class Extreme(Reduce, abstract=True):
    """What max, min and their positions share: there is none over nothing."""

    def infer(self, x: TensorType) -> TensorType:
        if dtypes.is_complex(x.dtype):
            raise DTypeError(
                f"{self.name}: complex numbers have no order",
                hint="take x.real, x.imag or sg.abs(x)",
            )
        for k in self.axes:
            if x.shape[k] == 0:
                raise ShapeError(f"{self.name} over axis {k}, which has no elements")
        return x.with_shape(self.kept(x.shape))

    def requires(self, x: Variable) -> list[tuple[Variable, str, str, str]]:
        """At run time, axes of unknown size must have elements."""
        size = elements(self.folded(x.type))
        if isinstance(size, int):
            return []
        flag = not_equal(as_variable(size), 0)
        return [(flag, "SG101", f"{self.name} over axes that have no elements", "")]

    def some(self, x: Any) -> Any:
        """x for the reference; raises ShapeError where there is nothing to choose from."""
        if 0 in self.folded(x):
            raise ShapeError(f"{self.name} over axes that have no elements")
        return x


class Max(Extreme):
    """The greatest over ``axes``, NaN if there is one. Equal greatest share the derivative."""

    combiner = "maximum"

    def reference(self, x: Any) -> Any:
        return np.max(self.some(x), axis=self.axes)

    def folding(self, dtype: str) -> str:
        return "or" if dtype == "bool" else self.combiner

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (_shared_by_ties(self, g, y, x),)


class Greatest(Max):
    """The greatest over ``axes``, over nothing the least number (of floats minus infinity): what is
    taken out of sums of exponentials, which are defined over nothing, or compared with another."""

    name = "greatest"

    def infer(self, x: TensorType) -> TensorType:
        return Reduce.infer(self, x)

    def reference(self, x: Any) -> Any:
        least: Any = False if x.dtype == np.bool_ else -np.inf
        if x.dtype.kind in "iu":
            least = np.iinfo(x.dtype).min
        return np.max(x, axis=self.axes, initial=least)

    def requires(self, x: Variable) -> list[tuple[Variable, str, str, str]]:
        return []


class Min(Extreme):
    """The least over ``axes``, NaN if there is one. Equal least share the derivative."""

    combiner = "minimum"

    def reference(self, x: Any) -> Any:
        return np.min(self.some(x), axis=self.axes)

    def folding(self, dtype: str) -> str:
        return "and" if dtype == "bool" else self.combiner

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (_shared_by_ties(self, g, y, x),)


def _shared_by_ties(op: Reduce, g: Variable, y: Variable, x: Variable) -> Variable:
    hit = equal(x, op.spread(y, x))
    count = Sum(op.axes)(cast(hit, g.dtype))
    return chosen(hit, op.spread(g / count, x), 0)


class Position(Extreme, abstract=True):
    """What argmax and argmin share: the position counts over ``axes`` in C order."""

    nondifferentiable = "the result is a position"

    def infer(self, x: TensorType) -> TensorType:
        return super().infer(x).with_dtype("int64")

    def bound(self, x: TensorType) -> Size:
        """The positions are below this."""
        return elements(self.folded(x))

    def values(self, x: Operand, indices: list[Expr], inner: tuple[Expr, ...]) -> tuple[Expr, ...]:
        position = as_expr(0)
        for index, extent in zip(inner, self.folded(x), strict=True):
            position = position * extent + index
        return x(*indices), position

    def flattened(self, x: Any) -> Any:
        """x with ``axes`` as one last axis, for the reference."""
        moved = np.moveaxis(self.some(x), self.axes, range(x.ndim - len(self.axes), x.ndim))
        return moved.reshape(*self.kept(x.shape), int(np.prod(self.folded(x))))


class ArgMax(Position):
    """The first position of the greatest over ``axes``; of the first NaN if there is one."""

    combiner = "argmax"

    def reference(self, x: Any) -> Any:
        return np.argmax(self.flattened(x), axis=-1).astype("int64")


class ArgMin(Position):
    """The first position of the least over ``axes``; of the first NaN if there is one."""

    combiner = "argmin"

    def reference(self, x: Any) -> Any:
        return np.argmin(self.flattened(x), axis=-1).astype("int64")


class Logic(Reduce, abstract=True):
    """What all and any share: they fold bools."""

    nondifferentiable = "the result is a truth value"

    def infer(self, x: TensorType) -> TensorType:
        if x.dtype != "bool":
            raise DTypeError(f"{self.name} computes in bool, not {x.dtype}")
        return x.with_shape(self.kept(x.shape))


class All(Logic):
    """Whether all over ``axes`` are true; true over nothing."""

    combiner = "and"

    def reference(self, x: Any) -> Any:
        return np.all(x, axis=self.axes)


class Any_(Logic):
    """Whether any over ``axes`` is true; false over nothing."""

    name = "any"
    combiner = "or"

    def reference(self, x: Any) -> Any:
        return np.any(x, axis=self.axes)


# functions ----------------------------------------------------------------------------------------


def reduced_axes(axis: Any, ndim: int, name: str) -> tuple[int, ...]:
    """The axes meant by ``axis``, sorted and from the front. Raises AxisError."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, tuple | list) else (axis,)
    found = [normalize_axis(as_int(a, f"{name}: axis"), ndim, f"{name}: axis") for a in given]
    if len(set(found)) != len(found):
        raise AxisError(f"{name}: an axis is named twice in {tuple(given)}")
    return tuple(sorted(found))


def _reduce(op: type[Reduce], x: Any, axis: Any, keepdims: bool) -> Any:
    if is_pattern(x):
        return pattern_node(op.name, (x,), {} if axis is None else {"axes": axis})
    axes = reduced_axes(axis, x.ndim, op.name)
    y = op(axes)(x) if axes else x
    return ExpandDims(axes)(y) if keepdims and axes else y


def _accumulated(x: Any, dtype: Any) -> Any:
    """x in the dtype in which NumPy sums: small integers and bool as 64 bits."""
    if is_pattern(x):
        return x
    x = as_variable(x)
    if dtype is None and not dtypes.is_inexact(x.dtype):
        dtype = "uint64" if dtypes.kind(x.dtype) == "u" else "int64"
    if dtype is not None and dtypes.as_dtype(dtype) == "bool":
        raise DTypeError("sums and products are not taken in bool", hint="use sg.any or sg.all")
    return x if dtype is None else cast(x, dtype)


@in_language("sum")
def sum(
    x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, *, initial: Any = None,
    where: Any = None,
) -> Variable:  # fmt: skip
    """The sum over axes, 0 over nothing. Integers and bools are summed in 64 bits unless ``dtype``
    says otherwise. Raises AxisError.

    >>> import symgraph as sg
    >>> sg.sum([[1, 2], [3, 4]], axis=0).eval().tolist()
    [4, 6]
    >>> sg.sum([1, 2, 3], where=[True, False, True], initial=10).eval().tolist()
    14
    """
    x = _accumulated(x, dtype)
    if where is not None:
        x = masked(x, where, 0, "sum")
    total = _reduce(Sum, x, axis, keepdims)
    return total if initial is None else total + to_dtype(as_variable(initial), x.dtype)  # type: ignore[no-any-return]


@in_language("prod")
def prod(
    x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, *, initial: Any = None,
    where: Any = None,
) -> Variable:  # fmt: skip
    """The product over axes, 1 over nothing, with the dtypes of :func:`sum`. The derivative is
    right also where elements are 0.

    >>> import symgraph as sg
    >>> sg.prod([[1, 2], [3, 4]], axis=1).eval().tolist()
    [2, 12]
    """
    x = _accumulated(x, dtype)
    if where is not None:
        x = masked(x, where, 1, "prod")
    total = _reduce(Prod, x, axis, keepdims)
    return total if initial is None else total * to_dtype(as_variable(initial), x.dtype)  # type: ignore[no-any-return]


def _tensor(x: Any) -> Any:
    return x if is_pattern(x) else as_variable(x)


@in_language("max")
def max(
    x: Any, axis: Any = None, keepdims: bool = False, *, initial: Any = None, where: Any = None
) -> Variable:
    """The greatest over axes, NaN if there is one; equal ones share the derivative.

    Raises ShapeError over an axis without elements and without an ``initial`` value, AxisError,
    ArgumentError for ``where`` without ``initial``.

    >>> import symgraph as sg
    >>> sg.max([[1, 5], [3, 4]], axis=1).eval().tolist()
    [5, 4]
    """
    x = _tensor(x)
    first = None if is_pattern(x) else initial_of(x, initial, where, "max")
    if first is None:
        return _reduce(Max, x, axis, keepdims)  # type: ignore[no-any-return]
    return maximum(_reduce(Greatest, masked(x, where, first, "max"), axis, keepdims), first)  # type: ignore[no-any-return]


def greatest(x: Variable, axis: Any) -> Variable:
    """The greatest over axes, which are kept; the least number over axes without elements."""
    return _reduce(Greatest, x, axis, True)  # type: ignore[no-any-return]


@in_language("min")
def min(
    x: Any, axis: Any = None, keepdims: bool = False, *, initial: Any = None, where: Any = None
) -> Variable:
    """The least over axes, NaN if there is one; equal ones share the derivative.

    Raises the errors of :func:`max`.

    >>> import symgraph as sg
    >>> sg.min([[1, 5], [3, 4]], axis=1).eval().tolist()
    [1, 3]
    """
    x = _tensor(x)
    first = None if is_pattern(x) else initial_of(x, initial, where, "min")
    if first is None:
        return _reduce(Min, x, axis, keepdims)  # type: ignore[no-any-return]
    turned = _turned(_reduce(Greatest, _turned(masked(x, where, first, "min")), axis, keepdims))
    return minimum(turned, first)


def _turned(x: Variable) -> Variable:
    """x in the opposite order."""
    return negative(x) if dtypes.is_float(x.dtype) else invert(x)


def _position(op: type[Reduce], x: Any, axis: Any, keepdims: bool) -> Any:
    x = _tensor(x)
    if not is_pattern(x) and x.ndim == 0:
        reduced_axes(axis if axis not in (0, -1) else None, 0, op.name)
        return constant(0, "int64")
    return _reduce(op, x, axis, keepdims)


@in_language("argmax")
def argmax(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The first position (int64) of the greatest, or of the first NaN; without ``axis`` counted
    over the flattened array. Raises ShapeError over an axis without elements, AxisError.

    >>> import symgraph as sg
    >>> sg.argmax([[1, 5], [3, 4]], axis=0).eval().tolist()
    [1, 0]
    """
    return _position(ArgMax, x, axis, keepdims)  # type: ignore[no-any-return]


@in_language("argmin")
def argmin(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The first position (int64) of the least, or of the first NaN; see :func:`argmax`.

    >>> import symgraph as sg
    >>> sg.argmin([3, 1, 1]).eval().tolist()
    1
    """
    return _position(ArgMin, x, axis, keepdims)  # type: ignore[no-any-return]


def _truths(x: Any) -> Any:
    return x if is_pattern(x) else cast(as_variable(x), "bool")


@in_language("all")
def all(x: Any, axis: Any = None, keepdims: bool = False, *, where: Any = None) -> Variable:
    """Whether all over the axes are true (not 0); true over nothing.

    >>> import symgraph as sg
    >>> sg.all([[True, False], [True, True]], axis=1).eval().tolist()
    [False, True]
    """
    x = _truths(x)
    if where is not None:
        x = masked(x, where, True, "all")
    return _reduce(All, x, axis, keepdims)  # type: ignore[no-any-return]


@in_language("any")
def any(x: Any, axis: Any = None, keepdims: bool = False, *, where: Any = None) -> Variable:
    """Whether any over the axes is true (not 0); false over nothing.

    >>> import symgraph as sg
    >>> sg.any([[0, 0], [0, 1]], axis=1).eval().tolist()
    [False, True]
    """
    x = _truths(x)
    if where is not None:
        x = masked(x, where, False, "any")
    return _reduce(Any_, x, axis, keepdims)  # type: ignore[no-any-return]


def count_nonzero(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The number (int64) of elements that are not 0.

    >>> import symgraph as sg
    >>> sg.count_nonzero([0, 3, -1]).eval().tolist()
    2
    """
    return sum(_truths(x), axis, keepdims=keepdims)


# of several steps ---------------------------------------------------------------------------------


def as_float(x: Any, dtype: Any) -> Variable:
    x = as_variable(x)
    if dtype is None:
        return x if dtypes.is_inexact(x.dtype) else cast(x, "float64")
    return cast(x, dtype)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """log(sum(exp(x))) without overflow: the greatest element is taken out first, so that the
    exponentials are at most 1; -inf over elements that all are -inf and over none, inf if one is.

    >>> import symgraph as sg
    >>> sg.logsumexp([1000.0, -float("inf")]).eval().tolist()
    1000.0
    """
    given = as_float(x, None)
    x = computed_in(given)
    top = greatest(x, axis)
    shift = stop_gradient(chosen(isfinite(top), top, 0))
    y = log_of_sum(x - shift, axis) + shift
    axes = reduced_axes(axis, x.ndim, "logsumexp")
    return cast(y if keepdims or not axes else Squeeze(axes)(y), given.dtype)


@stable_as_written
def log_of_sum(rest: Variable, axis: Any = None) -> Variable:
    """log(sum(exp(rest))), the axes kept, where the greatest elements are 0: these are counted, the
    others added up by themselves, so that no digit is lost where one element is nearly all."""
    e = exp(rest)
    greatest = cast(greater_equal(rest, 0), rest.dtype)
    others = sum(e - greatest, axis, keepdims=True)  # derivatives: those of exp, everywhere
    return log1p(others + (sum(greatest, axis, keepdims=True) - 1))
