"""Tensors from nothing: inputs, filled arrays, ranges, grids and triangles.

Filled arrays are broadcasts of a scalar and everything else is made of ranges, so all of it is
computed inside the loops that use it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError
from symgraph.ir.graph import Input, Variable, checked_name
from symgraph.ir.op import Op
from symgraph.ir.types import Size, TensorType, tensor_type
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.ops.arithmetic import ceil
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.comparison import equal, less_equal, where
from symgraph.ops.data_sizes import size_from
from symgraph.ops.operands import as_variable, promotable
from symgraph.ops.shape import BroadcastTo, ExpandDims
from symgraph.scalar import Expr, as_expr, as_size
from symgraph.scalar.sizes import at_least_zero, ceil_div

__all__ = [
    "arange", "eye", "full", "full_like", "identity", "linspace", "matrix", "ones", "ones_like",
    "scalar", "tensor", "tri", "tril", "triu", "vector", "zeros", "zeros_like",
]  # fmt: skip


# inputs -------------------------------------------------------------------------------------------


def tensor(
    name: str | None = None, dtype: Any = "float64", shape: Sequence[Any] = (), default: Any = None
) -> Input:
    """An input of a function to be compiled. A size in ``shape`` is an int, a name (the same name
    is the same size everywhere), an expression of sizes or None for one of its own.

    ``default`` is the value when a call gives none. Raises DTypeError, ShapeError, ArgumentError.

    >>> import symgraph as sg
    >>> sg.tensor("x", dtype="float32", shape=("batch", 784))
    <x: float32[batch, 784]>
    """
    if isinstance(shape, int | str | Expr):
        shape = (shape,)
    return Input(tensor_type(dtype, shape), checked_name(name), default)


def scalar(name: str | None = None, dtype: Any = "float64", default: Any = None) -> Input:
    """An input without axes.

    >>> import symgraph as sg
    >>> sg.scalar("i", dtype="int64")
    <i: int64>
    """
    return tensor(name, dtype, (), default)


def vector(
    name: str | None = None, dtype: Any = "float64", shape: Any = (None,), default: Any = None
) -> Input:
    """An input with one axis, of any size unless ``shape`` says. Raises RankError.

    >>> import symgraph as sg
    >>> sg.vector("y", dtype="int64", shape=("batch",))
    <y: int64[batch]>
    """
    return _of_rank(1, tensor(name, dtype, shape, default))


def matrix(
    name: str | None = None, dtype: Any = "float64", shape: Any = (None, None), default: Any = None
) -> Input:
    """An input with two axes, of any size unless ``shape`` says. Raises RankError.

    >>> import symgraph as sg
    >>> sg.matrix("w", shape=(3, "n"))
    <w: float64[3, n]>
    """
    return _of_rank(2, tensor(name, dtype, shape, default))


def _of_rank(rank: int, x: Input) -> Input:
    if x.ndim != rank:
        raise RankError(f"the shape has {x.ndim} sizes, not {rank}", hint="sg.tensor takes any")
    return x


# filled -------------------------------------------------------------------------------------------


def _shape(shape: Any) -> tuple[Size, ...]:
    given = shape if isinstance(shape, tuple | list) else (shape,)
    sizes = [size_from(s) if isinstance(s, Variable) else s for s in given]
    return tensor_type("bool", sizes).shape


def full(shape: Any, value: Any, dtype: Any = None) -> Variable:
    """A tensor of the shape filled with ``value`` (which broadcasts), in its dtype unless given.

    Sizes are ints, expressions of sizes, names or 0-d integer tensors. Raises ShapeError,
    DTypeError.

    >>> import symgraph as sg
    >>> sg.full((2, 2), 7).eval().tolist()
    [[7, 7], [7, 7]]
    """
    x = as_variable(value) if dtype is None else to_dtype(value, dtypes.as_dtype(dtype))
    return BroadcastTo(_shape(shape))(x)  # type: ignore[no-any-return]


def zeros(shape: Any, dtype: Any = "float64") -> Variable:
    """A tensor of the shape filled with 0.

    >>> import symgraph as sg
    >>> sg.zeros(3).eval().tolist()
    [0.0, 0.0, 0.0]
    """
    return full(shape, 0, dtype)


def ones(shape: Any, dtype: Any = "float64") -> Variable:
    """A tensor of the shape filled with 1.

    >>> import symgraph as sg
    >>> sg.ones((1, 2), "int32").eval().tolist()
    [[1, 1]]
    """
    return full(shape, 1, dtype)


def full_like(x: Any, value: Any, dtype: Any = None) -> Variable:
    """``value`` in the shape and, unless given, the dtype of x.

    >>> import symgraph as sg
    >>> sg.full_like([1.0, 2.0], 5).eval().tolist()
    [5.0, 5.0]
    """
    x = as_variable(x)
    return full(x.shape, value, x.dtype if dtype is None else dtype)


def zeros_like(x: Any, dtype: Any = None) -> Variable:
    """Zeros in the shape and, unless given, the dtype of x.

    >>> import symgraph as sg
    >>> sg.zeros_like([1, 2]).eval().tolist()
    [0, 0]
    """
    return full_like(x, 0, dtype)


def ones_like(x: Any, dtype: Any = None) -> Variable:
    """Ones in the shape and, unless given, the dtype of x.

    >>> import symgraph as sg
    >>> sg.ones_like([3, 4], "float32").eval().tolist()
    [1.0, 1.0]
    """
    return full_like(x, 1, dtype)


# ranges -------------------------------------------------------------------------------------------


class Iota(Op):
    """The integers 0, 1, ... ``size`` - 1 as int64."""

    name = "iota"
    size: Size

    def infer(self) -> TensorType:
        return TensorType("int64", (self.size,))

    def reference(self) -> Any:
        return np.arange(self.size, dtype="int64")

    def bound(self) -> Size:
        """The positions are below this."""
        return self.size

    def vjp(self, g: Variable, y: Variable) -> tuple[()]:
        return ()

    def lower(self, out: TensorType, *xs: Operand) -> Compute:
        return pointwise(out.shape, lambda i: i)


def iota(size: Any, ndim: int = 1, axis: int = -1) -> Variable:
    """The positions along one axis, with further axes of size 1 (to broadcast)."""
    (n,) = _shape(size)
    x = Iota(n)()
    others = tuple(k for k in range(ndim) if k != axis % ndim)
    return ExpandDims(others)(x) if others else x  # type: ignore[no-any-return]


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Variable:
    """The numbers start, start + step, ... before stop; ``arange(stop)`` starts at 0.

    Bounds are Python numbers, size expressions (int64) or 0-d tensors, of which the length then
    depends (docs/sizes.md). Raises ArgumentError.

    >>> import symgraph as sg
    >>> sg.arange(3).eval().tolist(), sg.arange(5, 0, -2).eval().tolist()
    ([0, 1, 2], [5, 3, 1])
    """
    if stop is None:
        start, stop = 0, start
    if any(isinstance(v, Variable) for v in (start, stop, step)):
        return _tensor_range(start, stop, step, dtype)
    start, stop, step = _bound(start), _bound(stop), _bound(step)
    if not isinstance(step, Expr) and step == 0:
        raise ArgumentError("arange: the step is 0")
    found = "float64" if any(isinstance(v, float) for v in (start, stop, step)) else "int64"
    kind = found if dtype is None else dtypes.as_dtype(dtype)
    steps = iota(_length(start, stop, step))
    if found == "int64":
        return cast(_line(steps, start, step), kind)
    if not dtypes.is_inexact(kind):
        first, second = (int(v) for v in (start, start + step))  # as NumPy: both are converted
        return cast(_line(steps, first, second - first), kind)
    return cast(_line(cast(steps, "float64"), start, (start + step) - start), kind)


def _tensor_range(start: Any, stop: Any, step: Any, dtype: Any) -> Variable:
    """A range whose length tensors tell; a step of 0 gives an empty one."""
    bounds = [as_variable(v) for v in (start, stop, step)]
    for v in bounds:
        if v.ndim:
            raise RankError(f"arange: a bound is a scalar, got {v.type.text()}")
    kind = "float64" if any(dtypes.is_float(v.dtype) for v in bounds) else "int64"
    low, high, gap = (to_dtype(v, kind) for v in bounds)
    whole = kind == "int64"
    count = -((low - high) // gap) if whole else cast(ceil((high - low) / gap), "int64")
    steps = iota(size_from(count))
    if kind == "int64":
        return cast(_line(steps, low, gap), kind if dtype is None else dtype)
    line = _line(cast(steps, kind), low, (low + gap) - low)
    return line if dtype is None else cast(line, dtype)


def _line(steps: Variable, start: Any, step: Any) -> Variable:
    scaled = steps if _is(step, 1) else steps * step
    return scaled if _is(start, 0) else scaled + start


def _is(value: Any, number: int) -> bool:
    return isinstance(value, int | float) and value == number


def _bound(value: Any) -> Any:
    if isinstance(value, Expr):
        return as_size(value)
    value = np.asarray(value)
    kind = dtypes.kind_of(value.dtype)
    if value.ndim or kind not in ("b", "i", "u", "f"):
        raise ArgumentError("arange: bounds are numbers")
    return float(value) if kind == "f" else int(value)


def _length(start: Any, stop: Any, step: Any) -> Size:
    if not any(isinstance(v, Expr) for v in (start, stop, step)):
        exact = (stop - start) / step if isinstance(stop - start + step, float) else None
        return max(0, math.ceil(exact) if exact is not None else -((start - stop) // step))
    if not isinstance(step, int) or isinstance(start, float) or isinstance(stop, float):
        raise ArgumentError("arange: with symbolic sizes the bounds are sizes and the step an int")
    distance = as_expr(stop) - start if step > 0 else as_expr(start) - stop
    return at_least_zero(ceil_div(as_size(distance), abs(step)))


def linspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None
) -> Variable:
    """``num`` evenly spaced numbers from start to stop, the last one exactly stop, or with
    ``endpoint=False`` one step before it. start and stop are 0-d: numbers or tensors.

    Raises RankError, ShapeError for a negative ``num``.

    >>> import symgraph as sg
    >>> sg.linspace(0, 1, 5).eval().tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    low, high = as_variable(start), as_variable(stop)
    if low.ndim or high.ndim:
        raise RankError("linspace: start and stop have no axes")
    kind = dtypes.promote(promotable(start), promotable(stop), float)
    low, high = cast(low, kind), cast(high, kind)
    (count,) = _shape(num)
    steps = iota(count)
    gaps = as_size(as_expr(count) - 1) if endpoint else count
    x = cast(steps, kind) * ((high - low) / gaps) + low
    if endpoint and not _is(count, 1):
        x = where(equal(steps, gaps), high, x) if not _is(count, 0) else x
    elif _is(count, 1):
        x = BroadcastTo((1,))(low)
    return x if dtype is None else cast(x, dtype)


# grids and triangles ------------------------------------------------------------------------------


def eye(n: Any, m: Any = None, k: int = 0, dtype: Any = "float64") -> Variable:
    """The n x m matrix with ones on diagonal k (m is n unless given; positive k above the main).

    >>> import symgraph as sg
    >>> sg.eye(2, dtype="int64").eval().tolist()
    [[1, 0], [0, 1]]
    """
    row, column = iota(n, 2, 0), iota(n if m is None else m, 2, 1)
    return cast(equal(row + k if k else row, column), dtype)


def identity(n: Any, dtype: Any = "float64") -> Variable:
    """The n x n identity matrix.

    >>> import symgraph as sg
    >>> sg.identity(2, "int64").eval().tolist()
    [[1, 0], [0, 1]]
    """
    return eye(n, dtype=dtype)


def _lower_triangle(n: Any, m: Any, k: int) -> Variable:
    row, column = iota(n, 2, 0), iota(m, 2, 1)
    return less_equal(column, row + k if k else row)


def tri(n: Any, m: Any = None, k: int = 0, dtype: Any = "float64") -> Variable:
    """The n x m matrix with ones on and below diagonal k.

    >>> import symgraph as sg
    >>> sg.tri(2, dtype="int64").eval().tolist()
    [[1, 0], [1, 1]]
    """
    return cast(_lower_triangle(n, n if m is None else m, k), dtype)


def tril(x: Any, k: int = 0) -> Variable:
    """The last two axes of x with 0 above diagonal k. Raises RankError below two axes.

    >>> import symgraph as sg
    >>> sg.tril([[1, 2], [3, 4]]).eval().tolist()
    [[1, 0], [3, 4]]
    """
    x = _with_two_axes(x, "tril")
    return where(_lower_triangle(*x.shape[-2:], k), x, _nothing(x))


def triu(x: Any, k: int = 0) -> Variable:
    """The last two axes of x with 0 below diagonal k. Raises RankError below two axes.

    >>> import symgraph as sg
    >>> sg.triu([[1, 2], [3, 4]]).eval().tolist()
    [[1, 2], [0, 4]]
    """
    x = _with_two_axes(x, "triu")
    return where(_lower_triangle(*x.shape[-2:], k - 1), _nothing(x), x)


def _nothing(x: Variable) -> int:
    """A 0 beside which x keeps its dtype."""
    return False if x.dtype == "bool" else 0


def _with_two_axes(x: Any, name: str) -> Variable:
    x = as_variable(x)
    if x.ndim < 2:
        raise RankError(f"{name} needs two axes, got {x.ndim}")
    return x
