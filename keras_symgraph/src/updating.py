"""Slices at given starts, and changed copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import symgraph as sg
from keras_symgraph.src.tensor import Tensor, known, node_of, wrap
from symgraph import Variable

_Slice = slice  # of Python; Keras' function has its name


def slice(inputs: Any, start_indices: Any, shape: Sequence[Any]) -> Tensor:
    """The block of a shape that begins at the indices, moved to lie inside as in JAX."""
    x = node_of(inputs)
    starts = _starts(start_indices, x.ndim)
    sizes = [_size(n, x, k) for k, n in enumerate(shape)]
    if len(starts) != len(sizes):
        raise ValueError(
            "Length of `start_indices` must match length of `shape`. "
            f"Received: start_indices={start_indices}, shape={shape}"
        )
    fixed: list[Any] = [_Slice(None)] * x.ndim
    moving: list[tuple[int, Variable]] = []
    for axis, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        if isinstance(start, int):
            fixed[axis] = _within(start, size, x.shape[axis])
        else:
            moving.append((axis, _rows(start, size, x.shape[axis])))
    x = x[tuple(fixed)]
    for axis, rows in moving:
        x = sg.take(x, rows, axis=axis)
    return wrap(x)  # type: ignore[no-any-return]


def _starts(start_indices: Any, ndim: int) -> list[Any]:
    """One start for each axis: an integer where it is known, else a node."""
    value = known(start_indices) if not isinstance(start_indices, list | tuple) else None
    if value is not None:
        return [int(v) for v in np.ravel(value)]
    if isinstance(start_indices, list | tuple):
        each = start_indices
    else:
        each = [start_indices[k] for k in range(ndim)]
    found = [known(v) for v in each]
    return [
        int(v) if v is not None else sg.cast(node_of(x), "int64")
        for x, v in zip(each, found, strict=True)
    ]


def _size(n: Any, x: Variable, axis: int) -> Any:
    value = known(n)
    if value is None:
        return sg.size_from(node_of(n))
    return int(value) if int(value) >= 0 else x.shape[axis]


def _within(start: int, size: Any, length: Any) -> Any:
    if isinstance(length, int) and isinstance(size, int):
        start = max(0, min(start + (length if start < 0 else 0), length - size))
    return _Slice(start, start + size)


def _rows(start: Variable, size: Any, length: Any) -> Variable:
    """The indices of a block along one axis."""
    last = sg.as_variable(length, "int64") - size
    start = sg.where(start < 0, start + sg.as_variable(length, "int64"), start)
    return sg.clip(start, 0, last) + sg.arange(size)


def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Tensor:
    """The inputs with the block at the indices replaced."""
    x = node_of(inputs)
    new = node_of(updates, x.dtype)
    starts = _starts(start_indices, x.ndim)
    if all(isinstance(s, int) for s in starts):
        pairs = zip(starts, new.shape, x.shape, strict=True)
        return wrap(x.at[tuple(_within(*p) for p in pairs)].set(new))  # type: ignore[no-any-return]
    index = []
    for axis, (start, size, length) in enumerate(zip(starts, new.shape, x.shape, strict=True)):
        rows = _rows(sg.as_variable(start, "int64"), size, length)
        index.append(sg.reshape(rows, [size if k == axis else 1 for k in range(x.ndim)]))
    return wrap(x.at[tuple(index)].set(new, mode="clip"))  # type: ignore[no-any-return]


def _columns(indices: Variable) -> tuple[Variable, ...]:
    """The last axis taken apart: one array of indices for each axis that is indexed."""
    return tuple(indices[..., k] for k in range(int(indices.shape[-1])))


def scatter(indices: Any, values: Any, shape: Any) -> Tensor:
    """Zeros of a shape with the values added at the indices."""
    where = node_of(indices)
    new = node_of(values)
    sizes = [int(v) if (v := known(n)) is not None else sg.size_from(node_of(n)) for n in shape]
    zeros = sg.zeros(tuple(sizes), new.dtype)
    return wrap(zeros.at[_columns(where)].add(new))  # type: ignore[no-any-return]


def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> Tensor:
    """The inputs changed at the indices: set, or combined by "add", "max", "min" or "mul"."""
    x = node_of(inputs)
    places = x.at[_columns(node_of(indices))]
    methods = {None: "set", "add": "add", "max": "max", "min": "min", "mul": "multiply"}
    if reduction not in methods:
        raise ValueError(f"Unsupported reduction: {reduction}")
    return wrap(getattr(places, methods[reduction])(node_of(updates, x.dtype)))  # type: ignore[no-any-return]
