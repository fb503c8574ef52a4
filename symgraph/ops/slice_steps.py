"""Slices whose step is a tensor: the places they read, as many as the values say."""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.errors import DTypeError
from symgraph.ir.graph import Constant, Variable
from symgraph.ir.types import Size
from symgraph.ops.arithmetic import floor_divide, maximum, minimum
from symgraph.ops.cast import to_dtype
from symgraph.ops.comparison import greater, less, not_equal, where
from symgraph.ops.creation import iota
from symgraph.ops.data_sizes import size_from
from symgraph.ops.debugging import assert_
from symgraph.ops.operands import as_variable

__all__: list[str] = []


def has_tensor_step(part: Any) -> bool:
    """Whether an item of a key is a slice whose step is known at run time only."""
    return isinstance(part, slice) and isinstance(part.step, Variable)


def integer(value: Any, what: str) -> Variable:
    """A 0-d int64. Raises DTypeError."""
    at = as_variable(value)
    if at.ndim or not dtypes.is_int(at.dtype):
        raise DTypeError(f"a slice {what} is a 0-d integer, not {at.type.text()}")
    return to_dtype(at, "int64")


def places(part: slice, n: Size) -> Variable:
    """The positions on an axis of size n that a slice reads, clamped as Python does; a step of 0
    raises AssertionFailed when the function runs."""
    step = integer(part.step, "step")
    step = assert_(step, not_equal(step, 0), "slice step cannot be zero")
    size, up = as_variable(n), greater(step, 0)
    first = _edge(part.start, where(up, 0, size - 1), size, up)
    end = _edge(part.stop, where(up, size, -1), size, up)
    span = where(up, end - first, first - end)
    stride = where(up, step, -step)
    count = size_from(maximum(floor_divide(span + stride - 1, stride), 0))
    return first + step * iota(count)  # type: ignore[no-any-return]


def _edge(bound: Any, default: Variable, size: Variable, up: Variable) -> Variable:
    """A bound as a position: from 0 to n upwards, from -1 to n - 1 downwards."""
    if bound is None:
        return default
    at, low = integer(bound, "bound"), where(up, 0, -1)
    return where(less(at, 0), maximum(at + size, low), minimum(at, size + low))


def plain(part: slice) -> slice:
    """The slice with the int that a constant step is."""
    if isinstance(part.step, Constant) and part.step.ndim == 0:
        return slice(part.start, part.stop, int(integer(part.step, "step").data))  # type: ignore[attr-defined]
    return part
