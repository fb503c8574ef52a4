"""Tensors put together and taken apart in NumPy's many ways: block, dstack, array_split, rot90."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from symgraph.errors import ArgumentError, IndexOutOfRange, RankError, ShapeError
from symgraph.ir.graph import Constant, Variable
from symgraph.ir.operators import LANGUAGE
from symgraph.ir.types import Size, normalize_axis, same_size
from symgraph.ir.types import broadcast_shapes as _broadcast_shapes
from symgraph.ops.cast import to_dtype
from symgraph.ops.indexing import take
from symgraph.ops.joining import concatenate, part_of, split, stack
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import (
    as_int,
    as_shape,
    broadcast_to,
    expand_dims,
    flip,
    moveaxis,
    normalize_axes,
    ravel,
    reshape,
    squeeze,
    swapaxes,
    tile,
    transpose,
)
from symgraph.scalar import as_expr, as_size
from symgraph.scalar.sizes import smaller

__all__ = [
    "append", "array_split", "astype", "atleast_1d", "atleast_2d", "atleast_3d", "block",
    "broadcast_shapes", "column_stack", "compress", "concat", "delete", "dsplit", "dstack",
    "fliplr", "flipud", "hsplit", "insert", "join_dims", "permute_dims",
    "resize", "rollaxis", "rot90", "specify_shape", "split_dims", "stacklists", "unstack",
    "vsplit",
]  # fmt: skip

concat, permute_dims = concatenate, transpose


# axes ---------------------------------------------------------------------------------------------


def _atleast(xs: tuple[Any, ...], raise_to: Any) -> Any:
    found = [raise_to(as_variable(x)) for x in xs]
    return found[0] if len(found) == 1 else found


def atleast_1d(*xs: Any) -> Any:
    """Each operand with at least one axis (a list of several).

    >>> import symgraph as sg
    >>> sg.atleast_1d(1.0).shape
    (1,)
    """
    return _atleast(xs, lambda x: expand_dims(x, 0) if x.ndim == 0 else x)


def atleast_2d(*xs: Any) -> Any:
    """Each operand with at least two axes; vectors become rows.

    >>> import symgraph as sg
    >>> sg.atleast_2d([1, 2, 3]).shape
    (1, 3)
    """
    return _atleast(xs, lambda x: expand_dims(x, tuple(range(2 - x.ndim))) if x.ndim < 2 else x)


def atleast_3d(*xs: Any) -> Any:
    """Each operand with at least three axes: vectors in the middle one, matrices in the first two.

    >>> import symgraph as sg
    >>> sg.atleast_3d([1, 2, 3]).shape
    (1, 3, 1)
    """
    added = {0: (0, 1, 2), 1: (0, 2), 2: (2,)}
    return _atleast(xs, lambda x: expand_dims(x, added[x.ndim]) if x.ndim < 3 else x)


def flipud(x: Any) -> Variable:
    """The order along the first axis reversed.

    >>> import symgraph as sg
    >>> sg.flipud([[1, 2], [3, 4]]).eval().tolist()
    [[3, 4], [1, 2]]
    """
    return flip(x, 0)


def fliplr(x: Any) -> Variable:
    """The order along the second axis reversed.

    >>> import symgraph as sg
    >>> sg.fliplr([[1, 2], [3, 4]]).eval().tolist()
    [[2, 1], [4, 3]]
    """
    return flip(x, 1)


def rot90(x: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Variable:
    """x turned by ``k`` quarters from the first towards the second of the axes.

    >>> import symgraph as sg
    >>> sg.rot90([[1, 2], [3, 4]]).eval().tolist()
    [[2, 4], [1, 3]]
    """
    x = as_variable(x)
    if len(axes) != 2:
        raise ArgumentError("rot90 turns in the plane of two axes")
    a, b = normalize_axes(tuple(axes), x.ndim, "rot90")
    turns = as_int(k, "rot90") % 4
    if turns == 0:
        return x
    if turns == 2:
        return flip(x, (a, b))
    return swapaxes(flip(x, b), a, b) if turns == 1 else flip(swapaxes(x, a, b), b)


def rollaxis(x: Any, axis: int, start: int = 0) -> Variable:
    """x with ``axis`` moved back to stand before ``start``.

    >>> import symgraph as sg
    >>> sg.rollaxis(sg.zeros((2, 3, 4)), 2).shape
    (4, 2, 3)
    """
    x = as_variable(x)
    axis = normalize_axis(axis, x.ndim, "rollaxis: axis")
    start = normalize_axis(start, x.ndim + 1, "rollaxis: start")
    return moveaxis(x, axis, start - 1 if axis < start else start)


def join_dims(x: Any, start: int = 0, count: int | None = None) -> Variable:
    """``count`` neighbouring axes from ``start`` on as one (all that follow when not given).

    >>> import symgraph as sg
    >>> sg.join_dims(sg.zeros((2, 3, 4)), 0, 2).shape
    (6, 4)
    """
    x = as_variable(x)
    start = normalize_axis(start, x.ndim + 1, "join_dims: start")
    stop = x.ndim if count is None else start + as_int(count, "join_dims")
    if stop > x.ndim:
        raise RankError(f"join_dims: axes {start} to {stop - 1} of {x.ndim} dimensions")
    size: Size = 1
    for n in x.shape[start:stop]:
        size = as_size(as_expr(size) * n)
    return reshape(x, (*x.shape[:start], size, *x.shape[stop:]))


def split_dims(x: Any, shape: Any, axis: int = 0) -> Variable:
    """One axis as several of the given sizes, of which one may be -1.

    >>> import symgraph as sg
    >>> sg.split_dims(sg.zeros((6, 4)), (2, -1)).shape
    (2, 3, 4)
    """
    x = as_variable(x)
    axis = normalize_axis(axis, x.ndim, "split_dims: axis")
    sizes = list(shape) if isinstance(shape, tuple | list) else [shape]
    holes = [k for k, s in enumerate(sizes) if isinstance(s, int) and s == -1]
    if len(holes) > 1:
        raise ShapeError("split_dims: only one size may be -1")
    if holes:
        rest = as_expr(1)
        for k, s in enumerate(sizes):
            rest = rest * s if k != holes[0] else rest
        sizes[holes[0]] = as_size(as_expr(x.shape[axis]) // rest)
    return reshape(x, (*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))


def specify_shape(x: Any, shape: Any) -> Variable:
    """x, of which the sizes in ``shape`` are asserted: None leaves one open. A size that is not
    known now is checked when the function runs.

    >>> import symgraph as sg
    >>> sg.specify_shape(sg.matrix("x"), (None, 3)).shape[1]
    3
    """
    x = as_variable(x)
    sizes = shape if isinstance(shape, tuple | list) else (shape,)
    if len(sizes) != x.ndim:
        raise RankError(f"specify_shape: {len(sizes)} sizes for {x.ndim} dimensions")
    target = [n if s is None else s for s, n in zip(sizes, x.shape, strict=True)]
    wanted = as_shape(tuple(target), "specify_shape")
    for axis, (n, s) in enumerate(zip(x.shape, wanted, strict=True)):
        same_size(n, s, f"specify_shape: sizes differ on axis {axis}")
    out = broadcast_to(x, wanted)
    if out.owner is not None and out is not x:
        told = (c.what.replace("broadcast_to", "specify_shape") for c in out.owner.checks)
        renamed = (c._replace(what=w) for c, w in zip(out.owner.checks, told, strict=True))
        out.owner.checks = tuple(renamed)
    return out


def broadcast_shapes(*shapes: Any) -> tuple[Size, ...]:
    """The shape that these shapes broadcast to. Raises ShapeError.

    >>> import symgraph as sg
    >>> sg.broadcast_shapes((3, 1), (4,), 1)
    (3, 4)
    """
    return _broadcast_shapes(*(as_shape(s, "broadcast_shapes") for s in shapes))


def astype(x: Any, dtype: Any) -> Variable:
    """x converted to another dtype, see :func:`cast`.

    >>> import symgraph as sg
    >>> sg.astype([1.5], "int32").eval().tolist()
    [1]
    """
    return as_variable(x).astype(dtype)  # type: ignore[no-any-return]


# joining ------------------------------------------------------------------------------------------


def dstack(xs: Sequence[Any]) -> Variable:
    """Tensors joined along the third axis.

    >>> import symgraph as sg
    >>> sg.dstack(([1, 2], [3, 4])).eval().tolist()
    [[[1, 3], [2, 4]]]
    """
    return concatenate([atleast_3d(x) for x in xs], 2)


def column_stack(xs: Sequence[Any]) -> Variable:
    """Vectors and matrices joined as the columns of a matrix.

    >>> import symgraph as sg
    >>> sg.column_stack(([1, 2], [3, 4])).eval().tolist()
    [[1, 3], [2, 4]]
    """
    parts = [as_variable(x) for x in xs]
    return concatenate([reshape(p, (-1, 1)) if p.ndim < 2 else p for p in parts], 1)


def block(rows: Any) -> Variable:
    """A tensor from nested lists of blocks: the innermost lists are joined along the last axis, the
    next ones along the one before it.

    >>> import symgraph as sg
    >>> sg.block([[sg.eye(1), sg.zeros((1, 2))], [sg.ones((1, 3))]]).eval().tolist()
    [[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    depth = _depth(rows)
    ndim = max([depth, *(leaf.ndim for leaf in _leaves(rows))])
    return _block(rows, depth, ndim)


def _depth(rows: Any) -> int:
    if not isinstance(rows, list):
        return 0
    depths = {_depth(r) for r in rows}
    if len(depths) != 1:
        raise ArgumentError("block: the lists are nested to different depths, or empty")
    return 1 + depths.pop()


def _leaves(rows: Any) -> list[Variable]:
    if not isinstance(rows, list):
        return [as_variable(rows)]
    return [leaf for r in rows for leaf in _leaves(r)]


def _block(rows: Any, depth: int, ndim: int) -> Variable:
    if depth == 0:
        x = as_variable(rows)
        return expand_dims(x, tuple(range(ndim - x.ndim))) if x.ndim < ndim else x
    return concatenate([_block(r, depth - 1, ndim) for r in rows], -depth)


def stacklists(rows: Any) -> Variable:
    """A tensor from nested lists of tensors of one shape, each list a new axis.

    >>> import symgraph as sg
    >>> sg.stacklists([[1.0, 2.0], [sg.ones(()), 4.0]]).eval().tolist()
    [[1.0, 2.0], [1.0, 4.0]]
    """
    return stack([stacklists(r) for r in rows]) if isinstance(rows, list) else as_variable(rows)


def append(x: Any, values: Any, axis: int | None = None) -> Variable:
    """``values`` joined behind x along ``axis`` (both flattened when not given).

    >>> import symgraph as sg
    >>> sg.append([1, 2], [[3], [4]]).eval().tolist()
    [1, 2, 3, 4]
    """
    return concatenate([as_variable(x), as_variable(values)], axis)


def insert(x: Any, at: Any, values: Any, axis: int | None = None) -> Variable:
    """x with values inserted before the positions ``at`` (constants) along ``axis`` (flattened when
    not given).

    >>> import symgraph as sg
    >>> [v.eval().tolist() for v in (sg.insert([1, 2, 3], 1, 9), sg.insert([1, 2], [0, 2], [8, 9]))]
    [[1, 9, 2, 3], [8, 1, 2, 9]]
    """
    x = ravel(x) if axis is None else as_variable(x)
    axis = normalize_axis(0 if axis is None else axis, x.ndim, "insert: axis")
    n = _known(x.shape[axis], "insert")
    kind = np.arange(n)[at] if isinstance(at, slice) else np.asarray(_constant(at, "insert"))
    single = kind.ndim == 0
    v = to_dtype(values, x.dtype)
    if single or kind.size == 1:
        position = int(kind.reshape(-1)[0])
        if not -n <= position <= n:
            raise IndexOutOfRange(f"insert: position {position} in an axis of size {n}")
        position += n if position < 0 else 0
        v = expand_dims(v, tuple(range(x.ndim - v.ndim))) if v.ndim < x.ndim else v
        v = moveaxis(v, 0, axis) if single else v
        count = v.shape[axis]
        v = broadcast_to(v, (*x.shape[:axis], count, *x.shape[axis + 1 :]))
        head, tail = part_of(x, axis, 0, position), part_of(x, axis, position, n - position)
        return concatenate([head, v, tail], axis)
    positions = np.where(kind < 0, kind + n, kind)
    if ((positions < 0) | (positions > n)).any():
        raise IndexOutOfRange(f"insert: positions {kind.tolist()} in an axis of size {n}")
    places = positions.copy()
    places[positions.argsort(kind="stable")] += np.arange(len(positions))
    whole = np.full(n + len(positions), -1)
    kept = np.ones(len(whole), bool)
    kept[places] = False
    whole[kept] = np.arange(n)
    whole[places] = n + np.arange(len(positions))
    shape = (*x.shape[:axis], len(positions), *x.shape[axis + 1 :])
    return take(concatenate([x, broadcast_to(v, shape)], axis), whole, axis)


def delete(x: Any, at: Any, axis: int | None = None) -> Variable:
    """x without the elements at the positions ``at`` (constant ints, a slice or a mask) along
    ``axis`` (flattened when not given).

    >>> import symgraph as sg
    >>> sg.delete([1, 2, 3, 4], [0, 2]).eval().tolist()
    [2, 4]
    """
    x = ravel(x) if axis is None else as_variable(x)
    axis = normalize_axis(0 if axis is None else axis, x.ndim, "delete: axis")
    if isinstance(at, Variable) and not isinstance(at, Constant):
        rest = broadcast_to(to_dtype(True, "bool"), (x.shape[axis],)).at[at].set(False)
        return LANGUAGE["compressed"](rest, x, axis)  # type: ignore[no-any-return]
    n = _known(x.shape[axis], "delete")
    where = at if isinstance(at, slice) else _constant(at, "delete")
    if not isinstance(where, slice) and where.size == 0:
        where = where.astype("int64")
    try:
        kept = np.delete(np.arange(n), where)
    except IndexError as error:
        raise IndexOutOfRange(f"delete: {error}") from None
    except ValueError as error:
        raise ShapeError(f"delete: {error}") from None
    return take(x, kept, axis)


def _known(size: Size, name: str) -> int:
    if not isinstance(size, int):
        raise ShapeError(f"{name}: the axis must have a known size, not {size}")
    return size


def _constant(value: Any, name: str) -> Any:
    if isinstance(value, Constant):
        return value.data
    if isinstance(value, Variable):
        raise ArgumentError(f"{name}: the positions must be constants: sizes depend on them")
    return np.asarray(value)


def compress(condition: Any, x: Any, axis: int | None = None) -> Variable:
    """The slices of x along ``axis`` (elements of the flattened x when not given) at which the
    vector ``condition`` is true; missing conditions are false.

    >>> import symgraph as sg
    >>> sg.compress([True, False, True], [1, 2, 3]).eval().tolist()
    [1, 3]
    """
    if isinstance(condition, Variable) and not isinstance(condition, Constant):
        x = ravel(x) if axis is None else as_variable(x)
        axis = normalize_axis(0 if axis is None else axis, x.ndim, "compress: axis")
        return LANGUAGE["compressed"](condition, x, axis)  # type: ignore[no-any-return]
    mask = np.asarray(_constant(condition, "compress"))
    if mask.ndim != 1:
        raise RankError(f"compress: the condition is a vector, not of {mask.ndim} dimensions")
    x = ravel(x) if axis is None else as_variable(x)
    return take(x, np.flatnonzero(mask), 0 if axis is None else axis)


def resize(x: Any, shape: Any) -> Variable:
    """The elements of x in C order, over and over again, under another shape.

    >>> import symgraph as sg
    >>> sg.resize([1, 2, 3], (2, 2)).eval().tolist()
    [[1, 2], [3, 1]]
    """
    flat = ravel(as_variable(x))
    sizes = as_shape(shape, "resize")
    total = as_expr(1)
    for s in sizes:
        total = total * s
    n, count = flat.shape[0], as_size(total)
    if isinstance(n, int) and n == 0:
        return broadcast_to(to_dtype(0, flat.dtype), sizes)
    if isinstance(n, int) and isinstance(count, int) and count <= n:
        return reshape(flat[:count], sizes)
    times = as_size((total + n - 1) // as_expr(n))
    return reshape(tile(flat, times)[:count], sizes)


# taking apart -------------------------------------------------------------------------------------


def array_split(x: Any, parts: Any, axis: int = 0) -> list[Variable]:
    """x cut along an axis into ``parts`` nearly equal ones, the first ones longer by one where it
    must be; or before the positions ``parts``.

    >>> import symgraph as sg
    >>> [p.eval().tolist() for p in sg.array_split([1, 2, 3, 4, 5], 3)]
    [[1, 2], [3, 4], [5]]
    """
    x = as_variable(x)
    axis = normalize_axis(axis, x.ndim, "array_split: axis")
    if isinstance(parts, tuple | list | np.ndarray):
        return split(x, parts, axis)
    count = as_int(parts, "array_split")
    if count < 1:
        raise ArgumentError("array_split: the number of parts is positive")
    n = as_expr(x.shape[axis])
    each, more = n // count, as_size(n % count)
    cuts = [as_size(each * k + smaller(k, more)) for k in range(count + 1)]
    return [part_of(x, axis, a, as_size(as_expr(b) - a)) for a, b in pairwise(cuts)]


def vsplit(x: Any, parts: Any) -> list[Variable]:
    """:func:`split` along the first axis of at least two.

    >>> import symgraph as sg
    >>> [p.shape for p in sg.vsplit(sg.zeros((4, 2)), 2)]
    [(2, 2), (2, 2)]
    """
    return split(_of_rank(x, 2, "vsplit"), parts, 0)


def hsplit(x: Any, parts: Any) -> list[Variable]:
    """:func:`split` along the second axis, along the only one of a vector.

    >>> import symgraph as sg
    >>> [p.shape for p in sg.hsplit(sg.zeros((4, 2)), 2)]
    [(4, 1), (4, 1)]
    """
    x = _of_rank(x, 1, "hsplit")
    return split(x, parts, 1 if x.ndim > 1 else 0)


def dsplit(x: Any, parts: Any) -> list[Variable]:
    """:func:`split` along the third axis.

    >>> import symgraph as sg
    >>> [p.shape for p in sg.dsplit(sg.zeros((4, 2, 2)), 2)]
    [(4, 2, 1), (4, 2, 1)]
    """
    return split(_of_rank(x, 3, "dsplit"), parts, 2)


def _of_rank(x: Any, rank: int, name: str) -> Variable:
    x = as_variable(x)
    if x.ndim < rank:
        raise RankError(f"{name} needs {rank} axes, got {x.ndim}")
    return x


def unstack(x: Any, axis: int = 0) -> list[Variable]:
    """The slices of x along an axis of known size.

    >>> import symgraph as sg
    >>> [p.eval().tolist() for p in sg.unstack([[1, 2], [3, 4]], axis=1)]
    [[1, 3], [2, 4]]
    """
    x = as_variable(x)
    axis = normalize_axis(axis, x.ndim, "unstack: axis")
    count = _known(x.shape[axis], "unstack")
    return [squeeze(part_of(x, axis, k, 1), axis) for k in range(count)]
