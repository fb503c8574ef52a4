"""Reading and writing at places that are computed: gather, scatter, take_along_axis.

Indices are int64; negative ones count from the end. Each op states by ``requires`` what must hold
of them when the function runs; the code it becomes then reads without looking.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph.errors import IndexOutOfRange, ShapeError
from symgraph.ir.graph import Apply, Constant, Variable
from symgraph.ir.hashing import is_large
from symgraph.ir.op import Op
from symgraph.ir.types import Shape, TensorType, broadcast_shapes, same_size
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.loops.routine import Routine
from symgraph.ops import reductions
from symgraph.ops.alternatives import ComputedAs
from symgraph.ops.cast import cast
from symgraph.ops.comparison import equal, where
from symgraph.ops.creation import iota
from symgraph.ops.cumulative import other_factors_of_groups
from symgraph.ops.operands import as_variable
from symgraph.ops.ordering import ArgSort
from symgraph.ops.shape import (
    BroadcastTo,
    ExpandDims,
    Reshape,
    Squeeze,
    Transpose,
    broadcast_arrays,
    is_one,
)
from symgraph.ops.slicing import fill, zeros
from symgraph.scalar import Expr, as_expr, as_size, product
from symgraph.scalar.functions import lt, select
from symgraph.scalar.sizes import nonnegative

_UFUNCS = {"add": np.add, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum}
Requirement = tuple[Variable, str, str, str]  # a 0-d bool, and the code, text and hint if it fails


class Gather(Op):
    """x read at index arrays along ``axes``: the result has the broadcast axes of the arrays, then
    the remaining axes of x in order."""

    name = "gather"
    axes: tuple[int, ...]

    def infer(self, x: TensorType, *idx: TensorType) -> TensorType:
        return x.with_shape(gathered_shape(x.shape, self.axes, idx))

    def reference(self, x: Any, *idx: Any) -> Any:
        check_values(x.shape, self.axes, idx)
        front = np.moveaxis(x, self.axes, range(len(self.axes)))
        return front[tuple(idx)]

    def vjp(self, g: Variable, y: Variable, x: Variable, *idx: Variable) -> tuple[Any, ...]:
        return (scatter("add", self.axes, zeros(x.type), g, idx), *(None for _ in idx))

    def lower(self, out: TensorType, x: Operand, *idx: Operand) -> Compute:
        count = max(i.ndim for i in idx)

        def element(*i: Expr) -> Expr:
            rest = iter(i[count:])
            at = dict(zip(self.axes, (k.at_broadcast(i[:count]) for k in idx), strict=True))
            return x(*(wrap(at[k], n) if k in at else next(rest) for k, n in enumerate(x.shape)))

        return pointwise(out.shape, element)

    def requires(self, x: Variable, *idx: Variable) -> list[Requirement]:
        return in_range(x, self.axes, idx)


class Scatter(Op):
    """x with v written at the places that Gather(axes) reads: "set" (of several values for a place
    the last wins), or combined with what is there by "add", "mul", "maximum", "minimum" (several
    values all count). The index arrays have one shape. Of equal extremes all share the derivative.
    """

    name = "scatter"
    mode: str
    axes: tuple[int, ...]

    def infer(self, x: TensorType, v: TensorType, *idx: TensorType) -> TensorType:
        for i in idx[1:]:
            for a, b in zip(idx[0].shape, i.shape, strict=True):
                same_size(a, b, "scatter: shapes of index arrays differ")
        places = gathered_shape(x.shape, self.axes, idx)
        for k, (a, b) in enumerate(zip(places, v.shape, strict=True)):
            same_size(a, b, f"scatter: sizes differ on axis {k}")
        return x

    def reference(self, x: Any, v: Any, *idx: Any) -> Any:
        check_values(x.shape, self.axes, idx)
        out = np.array(x)
        front = np.moveaxis(out, self.axes, range(len(self.axes)))
        if self.mode != "set":
            _UFUNCS[self.mode].at(front, tuple(idx), v)
        else:
            for k in np.ndindex(idx[0].shape):
                front[tuple(i[k] for i in idx)] = v[k]
        return out

    def vjp(
        self, g: Variable, y: Variable, x: Variable, v: Variable, *idx: Variable
    ) -> tuple[Any, ...]:
        none = tuple(None for _ in idx)
        read = Gather(self.axes)
        if self.mode == "add":
            return (g, read(g, *idx), *none)
        if self.mode == "mul":
            return (*self._factors(g, x, v, idx), *none)
        if self.mode != "set":
            held, hit = equal(x, y), equal(v, read(y, *idx))
            total = Scatter("add", self.axes)(cast(held, g.dtype), cast(hit, g.dtype), *idx)
            share = g / where(equal(total, 0), 1, total)
            return (where(held, share, 0), where(hit, read(share, *idx), 0), *none)
        gx = Scatter("set", self.axes)(g, zeros(v.type), *idx)
        return (gx, where(self._last(x, v, idx), read(g, *idx), 0), *none)

    def _factors(
        self, g: Variable, x: Variable, v: Variable, idx: tuple[Variable, ...]
    ) -> tuple[Variable, Variable]:
        """The derivatives of a product by its factors: the product of the others, which is the
        quotient by this one, or where this is the only 0 the product of those that are not 0."""
        read = Gather(self.axes)
        zero = equal(v, 0)
        zeros_there = Scatter("add", self.axes)(zeros(x.type), cast(zero, x.dtype), *idx)
        ones = fill(x.type, 1)
        others = read(self(ones, where(zero, 1, v), *idx), *idx)
        count = read(zeros_there, *idx)
        usual = where(equal(count, 0), others / where(zero, 1, v), 0)
        others = where(zero, where(equal(count, 1), others, 0), usual)
        right = ComputedAs()(others, self._others(x, v, idx))
        return g * self(ones, v, *idx), read(g * x, *idx) * right

    def _others(self, x: Variable, v: Variable, idx: tuple[Variable, ...]) -> Variable:
        """For each value the product of the others for its place, by running products over values
        sorted by their places; no quotient, so that derivatives of all orders are right at 0."""
        place = as_variable(0)
        for axis, index in zip(self.axes, idx, strict=True):
            n = x.shape[axis]
            place = place * n + where(index < 0, index + n, index)
        count = product(idx[0].shape)
        place = Reshape((count,))(place)
        rows = Reshape((count, *v.shape[idx[0].ndim :]))(v)
        order, read = ArgSort()(place), Gather((0,))
        found = other_factors_of_groups(read(rows, order), read(place, order))
        return Reshape(v.shape)(read(found, ArgSort()(order)))  # type: ignore[no-any-return]

    def _last(self, x: Variable, v: Variable, idx: tuple[Variable, ...]) -> Variable:
        """Which elements of v stand in the result: overwritten ones have no derivative."""
        places = v.shape[: len(v.shape) - (x.ndim - len(self.axes))]
        count = product(places)
        number = Reshape(places)(iota(count))
        kept = tuple(n for k, n in enumerate(x.shape) if k not in self.axes)
        if kept:
            number = ExpandDims(tuple(range(len(places), v.ndim)))(number)
        number = BroadcastTo(v.shape)(number)
        winner = Scatter("set", self.axes)(zeros(TensorType("int64", x.shape)), number, *idx)
        return equal(Gather(self.axes)(winner, *idx), number)

    def extern(self, *types: TensorType) -> Routine:
        return Routine("scatter", (("mode", self.mode), ("axes", self.axes)))

    def requires(self, x: Variable, v: Variable, *idx: Variable) -> list[Requirement]:
        return in_range(x, self.axes, idx)


class TakeAlongAxis(Op):
    """Along ``axis`` the elements of x at the indices; the other axes broadcast."""

    name = "take_along_axis"
    axis: int

    def infer(self, x: TensorType, index: TensorType) -> TensorType:
        shape, other = list(x.shape), list(index.shape)
        shape[self.axis] = other[self.axis]
        return x.with_shape(broadcast_shapes(shape, other, what="take_along_axis: sizes differ"))

    def reference(self, x: Any, index: Any) -> Any:
        check_values(x.shape, (self.axis,), (index,))
        return np.take_along_axis(x, index, self.axis)

    def vjp(self, g: Variable, y: Variable, x: Variable, index: Variable) -> tuple[Any, ...]:
        n = x.shape[self.axis]
        if is_one(index.shape[self.axis]):
            # one index for each row: a comparison fuses where a scatter would be a pass of its own
            hit = equal(where(index < 0, index + n, index), iota(n, x.ndim, self.axis))
            return where(hit, g, 0), None
        axes = tuple(range(x.ndim))
        places = [index if k == self.axis else iota(y.shape[k], x.ndim, k) for k in axes]
        whole = list(y.shape)
        whole[self.axis] = n
        return scatter("add", axes, zeros(x.type.with_shape(whole)), g, places), None

    def lower(self, out: TensorType, x: Operand, index: Operand) -> Compute:
        def element(*i: Expr) -> Expr:
            at = list(i)
            at[self.axis] = wrap(index.at_broadcast(i), x.shape[self.axis])
            zero = as_expr(0)
            rows = enumerate(zip(at, x.shape, strict=True))
            return x(*(zero if is_one(n) and k != self.axis else j for k, (j, n) in rows))

        return pointwise(out.shape, element)

    def requires(self, x: Variable, index: Variable) -> list[Requirement]:
        return in_range(x, (self.axis,), (index,))


# what they share ----------------------------------------------------------------------------------


def scatter(
    mode: str, axes: tuple[int, ...], x: Variable, v: Variable, idx: Sequence[Variable]
) -> Variable:
    """Scatter with index arrays that broadcast."""
    return Scatter(mode, axes)(x, v, *broadcast_arrays(*idx))  # type: ignore[no-any-return]


def gathered_shape(shape: Shape, axes: tuple[int, ...], idx: tuple[TensorType, ...]) -> Shape:
    """The shape that Gather reads."""
    if len(idx) != len(axes):
        raise ShapeError(f"gather: {len(idx)} index arrays for {len(axes)} axes")
    places = broadcast_shapes(*(i.shape for i in idx), what="index arrays: sizes differ")
    return places + tuple(n for k, n in enumerate(shape) if k not in axes)


def wrap(index: Expr, n: Any) -> Expr:
    """The index counted from the front."""
    if index.is_const and index.value >= 0:
        return index
    return select(lt(index, 0), index + n, index)


def check_values(shape: Any, axes: tuple[int, ...], idx: Any) -> None:
    """The check of the reference: all indices lie in their axes."""
    for axis, index in zip(axes, idx, strict=True):
        n = shape[axis]
        bad = np.asarray(index)[(index < -n) | (index >= n)]
        if bad.size:
            what = f"index {bad[0]} is out of range for axis {axis} of size {n}"
            raise IndexOutOfRange(what, hint="indices run from -size to size - 1")


def in_range(x: Variable, axes: tuple[int, ...], idx: tuple[Variable, ...]) -> list[Requirement]:
    """The run-time checks of indices. Constants into known sizes were checked when the graph was
    built; one that a pass has computed fails when its node is run, which may be never."""
    found = []
    for axis, index in zip(axes, idx, strict=True):
        n = x.shape[axis]
        if isinstance(index, Constant) and isinstance(n, int) and not is_large(index):
            if ((index.data >= -n) & (index.data < n)).all():
                continue
        if _counts_below(index, n):
            continue
        if _is_wrapped(index, n):  # into an axis of unknown size, which must have elements
            flag = (as_variable(n) > 0) | equal(as_variable(product(index.shape)), 0)
        else:
            flag = reductions.all((index >= -n) & (index < n))
        # no names: the code and its messages serve every program of this structure
        what = f"index out of range for axis {axis}" + (
            f" of size {n}" if isinstance(n, int) else ""
        )
        found.append((flag, IndexOutOfRange.code, what, "indices run from -size to size - 1"))
    return found


def _counts_below(index: Variable, n: Any) -> bool:
    """Whether an index is at least 0 and below n by construction: ops whose results are positions
    say below what they stay (``bound``)."""
    node = _source(index)
    bound = getattr(node.op, "bound", None) if node is not None else None
    if node is None or bound is None:
        return isinstance(n, int) and n > 0 and _is_wrapped(index, n)
    return nonnegative(as_size(as_expr(n) - bound(*(i.type for i in node.inputs))))


def _source(index: Variable) -> Apply | None:
    """What made the elements of an index."""
    views = ExpandDims | BroadcastTo | Reshape | Transpose | Squeeze
    while index.owner is not None and isinstance(index.owner.op, views):
        index = index.owner.inputs[0]
    return index.owner


def _is_wrapped(index: Variable, n: Any) -> bool:
    """Whether an index is a remainder by n, or clipped between 0 and n - 1."""
    node = _source(index)
    if node is None:
        return False
    if node.op.name == "remainder":
        return _is_size(node.inputs[1], n)
    return (
        node.op.name == "clip"
        and _is_size(node.inputs[1], 0)
        and _is_size(node.inputs[2], as_size(as_expr(n) - 1))
    )


def _is_size(x: Variable, size: Any) -> bool:
    """Whether an operand is the size as a 0-d tensor."""
    if isinstance(x, Constant):
        return x.ndim == 0 and isinstance(size, int) and int(x.data) == size
    if x.owner is None or x.owner.op.name != "size_value":
        return False
    return bool(x.owner.op == type(x.owner.op)(size))
