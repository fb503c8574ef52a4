"""`keras.ops.numpy`: the same elements under other shapes and orders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import symgraph as sg
from keras_symgraph.src.ops.promotion import promoted
from keras_symgraph.src.ops.sizes import numbers, shape_of
from keras_symgraph.src.ops.sizes import size as size_of
from keras_symgraph.src.tensor import Tensor, node_of, wrap
from symgraph import Variable


def reshape(x: Any, newshape: Any) -> Tensor:
    return wrap(sg.reshape(node_of(x), shape_of(newshape)))


def ravel(x: Any) -> Tensor:
    return wrap(sg.ravel(node_of(x)))


def transpose(x: Any, axes: Sequence[int] | None = None) -> Tensor:
    return wrap(sg.transpose(node_of(x), None if axes is None else tuple(axes)))


def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    return wrap(sg.swapaxes(node_of(x), axis1, axis2))


def moveaxis(x: Any, source: Any, destination: Any) -> Tensor:
    return wrap(sg.moveaxis(node_of(x), _axes(source), _axes(destination)))


def squeeze(x: Any, axis: Any = None) -> Tensor:
    return wrap(sg.squeeze(node_of(x), _axes(axis)))


def expand_dims(x: Any, axis: Any) -> Tensor:
    return wrap(sg.expand_dims(node_of(x), _axes(axis)))


def broadcast_to(x: Any, shape: Any) -> Tensor:
    return wrap(sg.broadcast_to(node_of(x), shape_of(shape)))


def size(x: Any) -> Any:
    """A Python integer where all sizes are known, else a 0-d tensor."""
    node = node_of(x)
    if all(isinstance(n, int) for n in node.shape):
        return math.prod(node.shape)
    return wrap(sg.as_variable(sg.size(node)).astype("int32"))


def _axes(axis: Any) -> Any:
    return tuple(int(a) for a in axis) if isinstance(axis, list | tuple) else axis


# joining and splitting ----------------------------------------------------------------------------


def concatenate(xs: Sequence[Any], axis: int | None = 0) -> Tensor:
    nodes = promoted(*xs)
    if axis is None:
        return wrap(sg.concatenate([sg.ravel(x) for x in nodes], 0))
    return wrap(sg.concatenate(nodes, axis))


def append(x1: Any, x2: Any, axis: int | None = None) -> Tensor:
    return concatenate([x1, x2], axis)


def stack(x: Sequence[Any], axis: int = 0) -> Tensor:
    return wrap(sg.stack(promoted(*x), axis))


def hstack(xs: Sequence[Any]) -> Tensor:
    return wrap(sg.hstack(promoted(*xs)))


def vstack(xs: Sequence[Any]) -> Tensor:
    return wrap(sg.vstack(promoted(*xs)))


def dstack(xs: Sequence[Any]) -> Tensor:
    return wrap(sg.dstack(promoted(*xs)))


def column_stack(xs: Sequence[Any]) -> Tensor:
    return wrap(sg.column_stack(promoted(*xs)))


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    return [wrap(p) for p in sg.split(node_of(x), _parts(indices_or_sections), axis)]


def array_split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    return [wrap(p) for p in sg.array_split(node_of(x), _parts(indices_or_sections), axis)]


def hsplit(x: Any, indices_or_sections: Any) -> list[Tensor]:
    return [wrap(p) for p in sg.hsplit(node_of(x), _parts(indices_or_sections))]


def vsplit(x: Any, indices_or_sections: Any) -> list[Tensor]:
    return [wrap(p) for p in sg.vsplit(node_of(x), _parts(indices_or_sections))]


def dsplit(x: Any, indices_or_sections: Any) -> list[Tensor]:
    return [wrap(p) for p in sg.dsplit(node_of(x), _parts(indices_or_sections))]


def _parts(given: Any) -> Any:
    """A number of parts, or the places of the cuts."""
    if isinstance(given, int | np.integer):
        return int(given)
    found = shape_of(given)
    return found[0] if getattr(given, "ndim", None) == 0 else list(found)


# repetition and order -----------------------------------------------------------------------------


def tile(x: Any, repeats: Any) -> Tensor:
    return wrap(sg.tile(node_of(x), shape_of(repeats)))


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Tensor:
    node = node_of(x)
    if isinstance(repeats, int | np.integer):
        return wrap(sg.repeat(node, int(repeats), axis))
    times = numbers(repeats)
    if not isinstance(times, Variable):
        times = times[0] if isinstance(times, list) and len(times) == 1 else times
    elif times.ndim == 0 or times.shape == (1,):
        times = size_of(sg.reshape(times, ()))
    return wrap(sg.repeat(node, times, axis))


def roll(x: Any, shift: Any, axis: Any = None) -> Tensor:
    return wrap(sg.roll(node_of(x), _axes(numbers(shift)), _axes(axis)))


def flip(x: Any, axis: Any = None) -> Tensor:
    return wrap(sg.flip(node_of(x), _axes(axis)))


def fliplr(x: Any) -> Tensor:
    return wrap(sg.fliplr(node_of(x)))


def flipud(x: Any) -> Tensor:
    return wrap(sg.flipud(node_of(x)))


def rot90(array: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Tensor:
    """Raises ValueError for fewer than two axes, or for axes that are one."""
    node = node_of(array)
    if node.ndim < 2:
        raise ValueError(
            f"Input array must have at least 2 dimensions. Received: array.ndim={node.ndim}"
        )
    if len(axes) != 2 or axes[0] == axes[1]:
        raise ValueError(f"Invalid axes: {axes}. Axes must be a tuple of two different dimensions.")
    return wrap(sg.rot90(node, k, (axes[0], axes[1])))


# borders and diagonals ----------------------------------------------------------------------------


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Tensor:
    """Raises ValueError for ``constant_values`` in a mode that has no use for them."""
    if constant_values is not None and mode != "constant":
        raise ValueError(
            "Argument `constant_values` can only be provided when `mode == 'constant'`. "
            f"Received: mode={mode}"
        )
    node = node_of(x)
    widths = _widths(pad_width)
    if constant_values is None:
        return wrap(sg.pad(node, widths, mode))
    return wrap(sg.pad(node, widths, mode, constant_values=numbers(constant_values)))


def _widths(given: Any) -> Any:
    given = numbers(given)
    if isinstance(given, Variable):
        rows = range(int(given.shape[0]))
        return tuple(tuple(size_of(given[r, side]) for side in (0, 1)) for r in rows)
    if isinstance(given, list | tuple):
        return tuple(_widths(w) for w in given)
    return size_of(given)


def tril(x: Any, k: int = 0) -> Tensor:
    node = node_of(x)
    return wrap(sg.tril(node, int(k)).astype(node.dtype))


def triu(x: Any, k: int = 0) -> Tensor:
    node = node_of(x)
    return wrap(sg.triu(node, int(k)).astype(node.dtype))


def diag(x: Any, k: int = 0) -> Tensor:
    return wrap(sg.diag(node_of(x), int(k)))


def diagflat(x: Any, k: int = 0) -> Tensor:
    return wrap(sg.diagflat(node_of(x), int(k)))


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    return wrap(sg.diagonal(node_of(x), int(offset), axis1, axis2))
