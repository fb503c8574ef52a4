"""Regular slices of tensors: reading one, zeros around one, replacing one; turning axes round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph.errors import ArgumentError, IndexOutOfRange, ShapeError
from symgraph.ir.graph import Variable, constant
from symgraph.ir.op import Op
from symgraph.ir.types import Shape, Size, TensorType, same_size
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.ops.shape import BroadcastTo, as_int
from symgraph.scalar import Expr, as_expr, as_size, const, guard, postorder
from symgraph.scalar.functions import and_, eq, le, lt, select
from symgraph.scalar.sizes import (
    at_least_zero,
    ceil_div,
    count_from_end,
    larger,
    nonnegative,
    smaller,
)


class Slice(Op):
    """Element i of an axis is element ``start + step * i`` of x; ``size`` elements of each axis."""

    name = "slice"
    start: tuple[Size, ...]
    step: tuple[int, ...]
    size: tuple[Size, ...]

    def infer(self, x: TensorType) -> TensorType:
        check_in_range(x.shape, self.start, self.step, self.size)
        return x.with_shape(self.size)

    def reference(self, x: Any) -> Any:
        return x[_grid(self.start, self.step, self.size)]

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (Embed(self.start, self.step, x.shape)(g),)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        def element(*i: Expr) -> Expr:
            rows = zip(i, self.start, self.step, strict=True)
            return x(*(start + step * j for j, start, step in rows))

        return pointwise(out.shape, element)


class Embed(Op):
    """Zeros of ``shape`` with x at the places that Slice(start, step) reads: its transpose.

    With steps of 1 this pads x by zeros.
    """

    name = "embed"
    start: tuple[Size, ...]
    step: tuple[int, ...]
    shape: Shape

    def infer(self, x: TensorType) -> TensorType:
        check_in_range(self.shape, self.start, self.step, x.shape)
        return x.with_shape(self.shape)

    def reference(self, x: Any) -> Any:
        out: Any = np.zeros(self.shape, x.dtype)  # type: ignore[type-var]
        out[_grid(self.start, self.step, x.shape)] = x
        return out

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (Slice(self.start, self.step, x.shape)(g),)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        def element(*i: Expr) -> Expr:
            cond, indices = inside(i, self.start, self.step, x.shape, out.shape)
            return guard(x(*indices), cond)

        return pointwise(out.shape, element)


class Roll(Op):
    """Element i of axis ``axes[k]`` is element ``i - shifts[k]`` of x, counted round the axis."""

    name = "roll"
    shifts: tuple[Size, ...]
    axes: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        return x

    def reference(self, x: Any) -> Any:
        return np.roll(x, self.shifts, self.axes)

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        back = tuple(as_size(0 - as_expr(s)) for s in self.shifts)
        return (Roll(back, self.axes)(g),)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        moved = dict(zip(self.axes, self.shifts, strict=True))

        def element(*i: Expr) -> Expr:
            return x(*(_behind(j, moved[k], x.shape[k]) if k in moved else j
                       for k, j in enumerate(i)))  # fmt: skip

        return pointwise(out.shape, element)


def _behind(i: Expr, shift: Size, n: Size) -> Expr:
    """The place ``shift`` before i, round an axis of size n."""
    begin = as_size(as_expr(shift) % as_expr(n)) if not isinstance(n, int) or n else 0
    return select(lt(i, as_expr(begin)), i - begin + n, i - begin)


class SliceUpdate(Op):
    """x with the elements that Slice(start, step) reads replaced by v."""

    name = "slice_update"
    start: tuple[Size, ...]
    step: tuple[int, ...]

    def infer(self, x: TensorType, v: TensorType) -> TensorType:
        check_in_range(x.shape, self.start, self.step, v.shape)
        return x

    def reference(self, x: Any, v: Any) -> Any:
        out = np.array(x)
        out[_grid(self.start, self.step, v.shape)] = v
        return out

    def vjp(self, g: Variable, y: Variable, x: Variable, v: Variable) -> tuple[Variable, Variable]:
        rest = self(g, zeros(v.type))
        return rest, Slice(self.start, self.step, v.shape)(g)

    def lower(self, out: TensorType, x: Operand, v: Operand) -> Compute:
        def element(*i: Expr) -> Expr:
            cond, indices = inside(i, self.start, self.step, v.shape, out.shape)
            return select(cond, guard(v(*indices), cond), x(*i))

        return pointwise(out.shape, element)


# helpers of the ops -------------------------------------------------------------------------------


def zeros(type: TensorType) -> Variable:
    """Zeros of a type: one stored element, repeated."""
    return fill(type, 0)


def fill(type: TensorType, value: float | int | bool) -> Variable:
    """A tensor that has the value everywhere."""
    scalar = constant(value, type.dtype)
    return BroadcastTo(type.shape)(scalar) if type.shape else scalar


def _grid(start: Any, step: Any, size: Any) -> Any:
    """The index of a slice for NumPy; empty ones may start anywhere, so no slice objects."""
    if not size:
        return ()
    return np.ix_(*(np.arange(n) * k + s for s, k, n in zip(start, step, size, strict=True)))


def inside(
    i: Sequence[Expr], start: Sequence[Size], step: Sequence[int], size: Shape, whole: Shape
) -> tuple[Expr, list[Expr]]:
    """Whether index i of the whole lies in the slice, and its index there."""
    cond: Expr = const(True, "bool")
    indices = []
    for j, first, stride, n, total in zip(i, start, step, size, whole, strict=True):
        distance = (j - first) * (1 if stride > 0 else -1)
        index = distance // abs(stride)
        indices.append(index)
        end = as_size(as_expr(first) + n - total) if stride == 1 else None
        tests = []
        if stride != 1 or first != 0:
            tests.append(le(0, distance))
        if end != 0:
            tests.append(lt(index, as_expr(n)))
        if abs(stride) != 1:
            tests.append(eq(distance % abs(stride), 0))
        for test in tests:
            cond = test if cond.is_const else and_(cond, test)
    return cond, indices


def check_in_range(
    whole: Shape, start: Sequence[Size], step: Sequence[int], size: Sequence[Size]
) -> None:
    """Refuse slices that surely leave their axis; those that may leave it are checked at run time.

    Slices of symbolic size whose bounds hold a minimum or a maximum were clamped when they were
    made; the others must fit.
    """
    for axis, (n, first, stride, count) in enumerate(zip(whole, start, step, size, strict=True)):
        if not isinstance(count, int):
            _fits(n, first, stride, count, axis)
            continue
        if count == 0:
            continue
        last = as_size(first + stride * (count - 1))
        low, high = (first, last) if stride > 0 else (last, first)
        for room in (low, as_size(n - 1 - high)):
            if nonnegative(room):
                continue
            what = f"index {first} is out of range for axis {axis} of size {n}"
            if isinstance(room, int):
                raise IndexOutOfRange(what, hint=valid_indices(n))
            same_size(smaller(room, 0), 0, what)


def _fits(n: Size, first: Size, stride: int, count: Expr, axis: int) -> None:
    room = as_size(as_expr(n) - first - count)
    clamped = any(e.op in ("minimum", "maximum") for e in postorder([as_expr(room)]))
    if stride == 1 and not nonnegative(room) and not clamped:
        what = f"index {first} to {as_size(as_expr(first) + count)} leaves axis {axis} of size {n}"
        same_size(smaller(room, 0), 0, what)


# reading Python's slices --------------------------------------------------------------------------


STEP_HINT = "x[::-1] reverses, x[::2] takes every second element"


def valid_indices(n: Size) -> str:
    """The hint for an index that is out of range."""
    if n == 0:
        return "the axis has no elements"
    return f"valid indices are -{n} to {n - 1}" if isinstance(n, int) else ""


def slice_of(part: slice, n: Size) -> tuple[Size, int, Size]:
    """(start, step, size) of a Python slice of an axis of size n, clamped as Python does.

    >>> from symgraph.scalar import var
    >>> slice_of(slice(None, None, -1), 5)
    (4, -1, 5)
    >>> start, step, size = slice_of(slice(1, None), var("n"))
    >>> start, str(size)
    (1, 'maximum(n - 1, 0)')
    """
    step = 1 if part.step is None else as_int(part.step, "slice step")
    if step == 0:
        raise ArgumentError("slice step cannot be zero", hint=STEP_HINT)
    start, stop = (_bound(b, n) for b in (part.start, part.stop))
    if isinstance(n, int) and not isinstance(start, Expr) and not isinstance(stop, Expr):
        span = range(*slice(start, stop, step).indices(n))
        return (span.start if len(span) else 0), step, len(span)
    if step > 0:
        first = 0 if start is None else larger(count_from_end(start, n), 0)
        end = n if stop is None else smaller(count_from_end(stop, n), n)
        return first, step, at_least_zero(ceil_div(as_size(as_expr(end) - first), step))
    top = as_size(as_expr(n) - 1)
    first = top if start is None else smaller(count_from_end(start, n), top)
    end = -1 if stop is None else larger(count_from_end(stop, n), -1)
    return first, step, at_least_zero(ceil_div(as_size(as_expr(first) - end), -step))


def _bound(bound: Any, n: Size) -> Size | None:
    if bound is None:
        return None
    if isinstance(bound, Variable):
        raise ShapeError(
            "a slice bound that is a tensor would give a size known only at run time",
            hint="x[start + sg.arange(size)] reads a window of fixed size",
        )
    return as_size(bound) if isinstance(bound, Expr) else as_int(bound, "slice bound")
