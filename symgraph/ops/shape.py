"""Another shape for the same elements: reshape, transpose, broadcast_to, flip, tile, repeat ..."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph.errors import ArgumentError, AxisError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.operators import LANGUAGE, in_language
from symgraph.ir.types import Shape, Size, TensorType, broadcast_shapes, normalize_axis, same_size
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.loops.routine import Routine
from symgraph.ops.data_sizes import size_from
from symgraph.ops.operands import as_variable
from symgraph.scalar import Expr, as_expr, as_size, product

__all__ = [
    "broadcast_arrays", "broadcast_to", "expand_dims", "flip", "moveaxis", "ravel", "repeat",
    "reshape", "squeeze", "swapaxes", "tile", "transpose",
]  # fmt: skip


# ops ----------------------------------------------------------------------------------------------


class Reshape(Op):
    """The same elements in C order under another shape; no memory moves."""

    name = "reshape"
    shape: Shape

    def infer(self, x: TensorType) -> TensorType:
        try:
            same_size(product(x.shape), product(self.shape), "reshape: numbers of elements differ")
        except ShapeError as error:
            error.hint = "one size may be -1: it is found from the others"
            raise
        return x.with_shape(self.shape)

    def reference(self, x: Any) -> Any:
        return np.reshape(x, self.shape)

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (Reshape(x.shape)(g),)

    def extern(self, x: TensorType) -> Routine:
        return Routine("reshape")


class Transpose(Op):
    """Axis k of the result is axis ``axes[k]`` of x."""

    name = "transpose"
    axes: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        return x.with_shape([x.shape[a] for a in self.axes])

    def reference(self, x: Any) -> Any:
        return np.transpose(x, self.axes)

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (Transpose(inverse(self.axes))(g),)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        back = inverse(self.axes)
        return pointwise(out.shape, lambda *i: x(*(i[k] for k in back)))


class ExpandDims(Op):
    """New axes of size 1 at the positions ``axes`` of the result (sorted, from 0)."""

    name = "expand_dims"
    axes: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        shape = list(x.shape)
        for a in self.axes:
            shape.insert(a, 1)
        return x.with_shape(shape)

    def reference(self, x: Any) -> Any:
        return np.expand_dims(x, self.axes)

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (Squeeze(self.axes)(g),)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        return pointwise(out.shape, lambda *i: x(*_without(i, self.axes)))


class Squeeze(Op):
    """The axes ``axes``, all of size 1, are taken out."""

    name = "squeeze"
    axes: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        for a in self.axes:
            same_size(x.shape[a], 1, f"squeeze: size of axis {a} is not 1")
        return x.with_shape(_without(x.shape, self.axes))

    def reference(self, x: Any) -> Any:
        return np.squeeze(x, self.axes)

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (ExpandDims(self.axes)(g),)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        def element(*i: Expr) -> Expr:
            indices = list(i)
            for a in self.axes:
                indices.insert(a, as_expr(0))
            return x(*indices)

        return pointwise(out.shape, element)


class BroadcastTo(Op):
    """x repeated along axes of size 1 and new leading axes, as NumPy broadcasts.

    Autodiff sums the cotangent back over those axes, as it does for elementwise ops.
    """

    name = "broadcast_to"
    shape: Shape

    def infer(self, x: TensorType) -> TensorType:
        if x.ndim > len(self.shape):
            raise RankError(f"broadcast_to: {x.ndim} axes do not fit into {len(self.shape)}")
        lead = len(self.shape) - x.ndim
        for k, size in enumerate(x.shape):
            if not is_one(size):
                same_size(size, self.shape[lead + k], f"broadcast_to: sizes differ on axis {k}")
        return x.with_shape(self.shape)

    def reference(self, x: Any) -> Any:
        return np.broadcast_to(x, self.shape)

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (g,)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        return pointwise(out.shape, lambda *i: x.at_broadcast(i))


class Flip(Op):
    """The order of the elements along ``axes`` reversed."""

    name = "flip"
    axes: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        return x

    def reference(self, x: Any) -> Any:
        return np.flip(x, self.axes)

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (Flip(self.axes)(g),)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        def element(*i: Expr) -> Expr:
            return x(*(x.shape[k] - 1 - j if k in self.axes else j for k, j in enumerate(i)))

        return pointwise(out.shape, element)


class Tile(Op):
    """The whole of x repeated ``reps[k]`` times along axis k."""

    name = "tile"
    reps: tuple[Size, ...]

    def infer(self, x: TensorType) -> TensorType:
        rows = zip(x.shape, self.reps, strict=True)
        return x.with_shape([as_size(as_expr(n) * r) for n, r in rows])

    def reference(self, x: Any) -> Any:
        return np.tile(x, self.reps)

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        pairs = [s for pair in zip(self.reps, x.shape, strict=True) for s in pair]
        return (Reshape(tuple(pairs))(g).sum(axis=tuple(range(0, 2 * x.ndim, 2))),)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        def element(*i: Expr) -> Expr:
            rows = zip(i, x.shape, self.reps, strict=True)
            return x(*(j if is_one(r) else j % n for j, n, r in rows))

        return pointwise(out.shape, element)


class Repeat(Op):
    """Each element repeated ``repeats`` times in a row along ``axis``."""

    name = "repeat"
    repeats: Size
    axis: int

    def infer(self, x: TensorType) -> TensorType:
        shape = list(x.shape)
        shape[self.axis] = as_size(as_expr(shape[self.axis]) * self.repeats)
        return x.with_shape(shape)

    def reference(self, x: Any) -> Any:
        return np.repeat(x, self.repeats, self.axis)

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        shape = list(x.shape)
        shape.insert(self.axis + 1, self.repeats)
        return (Reshape(tuple(shape))(g).sum(axis=self.axis + 1),)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        def element(*i: Expr) -> Expr:
            return x(*(j // self.repeats if k == self.axis else j for k, j in enumerate(i)))

        return pointwise(out.shape, element)


# helpers ------------------------------------------------------------------------------------------


def is_one(size: Size) -> bool:
    """Whether a size is the constant 1 (a symbolic size never stretches)."""
    return isinstance(size, int) and size == 1


def inverse(axes: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes ``axes``."""
    return tuple(sorted(range(len(axes)), key=lambda k: axes[k]))


def _without(items: Sequence[Any], axes: Sequence[int]) -> tuple[Any, ...]:
    return tuple(v for k, v in enumerate(items) if k not in axes)


def normalize_axes(axis: Any, ndim: int, what: str) -> tuple[int, ...]:
    """One axis or several, counted from the front, in the order given; AxisError for doubles."""
    given = tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    axes = tuple(normalize_axis(as_int(a, what), ndim, f"{what}: axis") for a in given)
    if len(set(axes)) != len(axes):
        raise AxisError(f"{what}: an axis is named twice in {given}")
    return axes


def as_int(value: Any, what: str) -> int:
    """A Python int from anything that is one exactly."""
    try:
        return operator.index(value)
    except TypeError:
        if isinstance(value, Variable | Expr):
            raise  # with words of its own
        raise ArgumentError(
            f"{what}: expected an int, got {type(value).__name__}",
            hint="write // for a whole number" if isinstance(value, float) else "",
        ) from None


def as_shape(shape: Any, what: str) -> Shape:
    """A shape from a size or a sequence of sizes; sizes are ints, size expressions or 0-d integer
    tensors."""
    given = shape if isinstance(shape, tuple | list) else (shape,)
    return tuple(as_size(s) if isinstance(s, Expr) else _static(s, what) for s in given)


def _static(size: Any, what: str) -> Size:
    if isinstance(size, Variable):
        return size_from(size)
    value = as_int(size, what)
    if value < 0:
        raise ShapeError(f"{what}: a size cannot be negative: {value}")
    return value


# functions ----------------------------------------------------------------------------------------


def reshape(x: Any, shape: Any) -> Variable:
    """The elements of x in C order under ``shape``; one size may be -1 and is then computed.

    Raises ShapeError when the number of elements differs.

    >>> import symgraph as sg
    >>> sg.reshape([1, 2, 3, 4], (2, -1)).eval().tolist()
    [[1, 2], [3, 4]]
    """
    x = as_variable(x)
    given = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    holes = [k for k, s in enumerate(given) if not isinstance(s, Expr | Variable) and s == -1]
    if len(holes) > 1:
        raise ShapeError("reshape: only one size may be -1")
    sizes = list(as_shape([s for k, s in enumerate(given) if k not in holes], "reshape"))
    if holes:
        rest = product(tuple(sizes))
        if isinstance(rest, int) and rest == 0:
            raise ShapeError("reshape: the size for -1 is not determined beside a size 0")
        sizes.insert(holes[0], as_size(as_expr(product(x.shape)) // rest))
    target = tuple(sizes)
    return x if target == x.shape else Reshape(target)(x)  # type: ignore[no-any-return]


@in_language("reshape_method")
def _reshape_method(x: Variable, *shape: Any) -> Variable:
    return reshape(x, shape[0] if len(shape) == 1 else shape)


@in_language("ravel")
def ravel(x: Any) -> Variable:
    """All elements in C order along one axis.

    >>> import symgraph as sg
    >>> sg.ravel([[1, 2], [3, 4]]).eval().tolist()
    [1, 2, 3, 4]
    """
    return reshape(x, -1) if as_variable(x).ndim != 1 else as_variable(x)


@in_language("transpose")
def transpose(x: Any, axes: Sequence[int] | None = None) -> Variable:
    """x with its axes in the order ``axes``, reversed when not given.

    Raises AxisError when ``axes`` is no permutation.

    >>> import symgraph as sg
    >>> sg.transpose([[1, 2], [3, 4]]).eval().tolist()
    [[1, 3], [2, 4]]
    """
    x = as_variable(x)
    order = tuple(reversed(range(x.ndim)))
    if axes is not None:
        order = normalize_axes(tuple(axes), x.ndim, "transpose")
    if len(order) != x.ndim:
        raise AxisError(f"transpose: {len(order)} axes given for {x.ndim} dimensions")
    return x if order == tuple(range(x.ndim)) else Transpose(order)(x)  # type: ignore[no-any-return]


@in_language("transpose_method")
def _transpose_method(x: Variable, *axes: Any) -> Variable:
    if len(axes) == 1 and not isinstance(axes[0], int):
        return transpose(x, axes[0])
    return transpose(x, axes or None)


@in_language("swapaxes")
def swapaxes(x: Any, axis1: int, axis2: int) -> Variable:
    """x with two axes exchanged.

    >>> import symgraph as sg
    >>> sg.swapaxes([[1, 2]], 0, 1).eval().tolist()
    [[1], [2]]
    """
    x = as_variable(x)
    a, b = (normalize_axis(k, x.ndim, "swapaxes: axis") for k in (axis1, axis2))
    order = list(range(x.ndim))
    order[a], order[b] = b, a
    return transpose(x, order)


def moveaxis(x: Any, source: Any, destination: Any) -> Variable:
    """x with the axes ``source`` moved to the positions ``destination``, the others in order.

    >>> import symgraph as sg
    >>> sg.moveaxis(sg.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = as_variable(x)
    moved = normalize_axes(source, x.ndim, "moveaxis")
    places = normalize_axes(destination, x.ndim, "moveaxis")
    if len(moved) != len(places):
        raise ArgumentError("moveaxis: source and destination differ in length")
    order = [k for k in range(x.ndim) if k not in moved]
    for place, axis in sorted(zip(places, moved, strict=True)):
        order.insert(place, axis)
    return transpose(x, order)


def expand_dims(x: Any, axis: int | Sequence[int]) -> Variable:
    """New axes of size 1 at the positions ``axis`` of the result.

    >>> import symgraph as sg
    >>> sg.expand_dims([1, 2], (0, -1)).shape
    (1, 2, 1)
    """
    x = as_variable(x)
    count = len(axis) if isinstance(axis, tuple | list) else 1
    axes = tuple(sorted(normalize_axes(axis, x.ndim + count, "expand_dims")))
    return ExpandDims(axes)(x) if axes else x  # type: ignore[no-any-return]


@in_language("squeeze")
def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Variable:
    """x without the axes ``axis``, or without all axes whose size is the constant 1.

    Raises ShapeError when such an axis has another size.

    >>> import symgraph as sg
    >>> sg.squeeze([[1, 2]]).shape
    (2,)
    """
    x = as_variable(x)
    if axis is None:
        axes = tuple(k for k, s in enumerate(x.shape) if is_one(s))
    else:
        axes = tuple(sorted(normalize_axes(axis, x.ndim, "squeeze")))
    return Squeeze(axes)(x) if axes else x  # type: ignore[no-any-return]


def broadcast_to(x: Any, shape: Any) -> Variable:
    """x repeated to ``shape`` by NumPy's broadcasting; only axes of size 1 stretch.

    Raises ShapeError when a size does not fit, RankError for too few axes.

    >>> import symgraph as sg
    >>> sg.broadcast_to([1, 2], (2, 2)).eval().tolist()
    [[1, 2], [1, 2]]
    """
    x = as_variable(x)
    target = as_shape(shape, "broadcast_to")
    return x if target == x.shape else BroadcastTo(target)(x)  # type: ignore[no-any-return]


def broadcast_arrays(*xs: Any) -> list[Variable]:
    """All operands repeated to their common shape.

    >>> import symgraph as sg
    >>> [y.shape for y in sg.broadcast_arrays([1, 2], [[1], [2], [3]])]
    [(3, 2), (3, 2)]
    """
    variables = [as_variable(x) for x in xs]
    what = "broadcast_arrays: sizes differ"
    shape = broadcast_shapes(*(v.shape for v in variables), what=what)
    return [broadcast_to(v, shape) for v in variables]


def flip(x: Any, axis: int | Sequence[int] | None = None) -> Variable:
    """The order of the elements along the axes reversed (all axes when not given).

    >>> import symgraph as sg
    >>> sg.flip([1, 2, 3]).eval().tolist()
    [3, 2, 1]
    """
    x = as_variable(x)
    axes = range(x.ndim) if axis is None else normalize_axes(axis, x.ndim, "flip")
    return Flip(tuple(sorted(axes)))(x) if axes else x  # type: ignore[no-any-return]


def tile(x: Any, reps: Any) -> Variable:
    """x repeated as a whole, ``reps[k]`` times along axis k; missing counts and axes are 1.

    >>> import symgraph as sg
    >>> sg.tile([1, 2], 2).eval().tolist()
    [1, 2, 1, 2]
    """
    x = as_variable(x)
    counts = as_shape(reps, "tile")
    counts = (1,) * (x.ndim - len(counts)) + counts
    x = expand_dims(x, tuple(range(len(counts) - x.ndim)))
    return x if all(map(is_one, counts)) else Tile(counts)(x)  # type: ignore[no-any-return]


@in_language("repeat")
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Variable:
    """Each element repeated ``repeats`` times in a row along ``axis`` (flattened when not given).

    ``repeats`` is one size, or one count for each element along the axis: ints, or an integer
    vector, whose sum is then the size of the result.

    >>> import symgraph as sg
    >>> sg.repeat([1, 2], 2).eval().tolist(), sg.repeat([1, 2], [1, 2]).eval().tolist()
    ([1, 1, 2, 2], [1, 2, 2])
    """
    x = ravel(x) if axis is None else as_variable(x)
    k = normalize_axis(0 if axis is None else axis, x.ndim, "repeat: axis")
    if isinstance(repeats, Variable) and repeats.ndim == 1:
        return LANGUAGE["repeat_counts"](x, repeats, k)  # type: ignore[no-any-return]
    if isinstance(repeats, tuple | list | np.ndarray) and np.size(repeats) != 1:
        n = x.shape[k]
        if not isinstance(n, int) or n != len(repeats):
            raise ShapeError(f"repeat: {len(repeats)} counts for an axis of size {n}")
        rows = np.repeat(np.arange(n), repeats)
        return x[(slice(None),) * k + (rows,)]  # type: ignore[no-any-return]
    several = isinstance(repeats, tuple | list | np.ndarray)
    (count,) = as_shape(np.ravel(repeats).tolist() if several else repeats, "repeat")
    return x if is_one(count) else Repeat(count, k)(x)  # type: ignore[no-any-return]
