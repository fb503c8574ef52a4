"""`keras.ops.numpy`: tensors from sizes and numbers."""

from __future__ import annotations

import math
from typing import Any

from keras.src.backend.common.variables import standardize_dtype
from keras.src.backend.config import floatx

import symgraph as sg
from keras_symgraph.src.ops.promotion import is_inexact, is_int, kind, result_type
from keras_symgraph.src.ops.sizes import Size, numbers, shape_of, size
from keras_symgraph.src.tensor import Tensor, node_of, wrap
from symgraph import Variable


def _dtype(dtype: Any) -> str:
    return floatx() if dtype is None else str(standardize_dtype(dtype))


def array(x: Any, dtype: Any = None) -> Tensor:
    return wrap(node_of(x, None if dtype is None else _dtype(dtype)))


def zeros(shape: Any, dtype: Any = None) -> Tensor:
    return wrap(sg.zeros(shape_of(shape), _dtype(dtype)))


def ones(shape: Any, dtype: Any = None) -> Tensor:
    return wrap(sg.ones(shape_of(shape), _dtype(dtype)))


def empty(shape: Any, dtype: Any = None) -> Tensor:
    return zeros(shape, dtype)


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    return wrap(sg.broadcast_to(node_of(fill_value).astype(_dtype(dtype)), shape_of(shape)))


def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    node = node_of(x)
    return wrap(sg.zeros(node.shape, _dtype(dtype or node.dtype)))


def ones_like(x: Any, dtype: Any = None) -> Tensor:
    node = node_of(x)
    return wrap(sg.ones(node.shape, _dtype(dtype or node.dtype)))


def empty_like(x: Any, dtype: Any = None) -> Tensor:
    return zeros_like(x, dtype)


def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    node = node_of(x)
    value = node_of(fill_value).astype(_dtype(dtype or node.dtype))
    return wrap(sg.broadcast_to(value, node.shape))


def eye(N: Any, M: Any = None, k: int = 0, dtype: Any = None) -> Tensor:
    return wrap(sg.eye(size(N), None if M is None else size(M), int(k), _dtype(dtype)))


def identity(n: Any, dtype: Any = None) -> Tensor:
    return wrap(sg.eye(size(n), dtype=_dtype(dtype)))


def tri(N: Any, M: Any = None, k: int = 0, dtype: Any = None) -> Tensor:
    return wrap(sg.tri(size(N), None if M is None else size(M), int(k), _dtype(dtype)))


def meshgrid(*x: Any, indexing: str = "xy") -> list[Tensor]:
    return [wrap(g) for g in sg.meshgrid(*map(node_of, x), indexing=indexing)]


def vander(x: Any, N: Any = None, increasing: bool = False) -> Tensor:
    node = node_of(x)
    wide = node.astype(result_type(node.dtype, floatx()))
    made = sg.vander(wide, None if N is None else size(N), increasing)
    return wrap(made.astype(node.dtype))


# ranges -------------------------------------------------------------------------------------------


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Tensor:
    """Integers are ranges over sizes, so that the type of the result knows its length."""
    if dtype is None:
        dtype = result_type(*(kind(v) for v in (start, stop, step) if v is not None))
    dtype = str(standardize_dtype(dtype))
    if stop is None:
        start, stop = 0, start
    first, last, by = (_bound(v) for v in (start, stop, 1 if step is None else step))
    if any(isinstance(b, float) or _is_float(b) for b in (first, last, by)):
        wide = dtype if dtype in ("float32", "float64") else "float32"
        return wrap(sg.arange(first, last, by, wide).astype(dtype))
    return wrap(sg.arange(first, last, by, "int64").astype(dtype))


def _bound(value: Any) -> Any:
    if isinstance(value, int | float):
        return value
    node = node_of(value)
    if is_int(node.dtype) or node.dtype == "bool":
        return size(node.astype("int64"))
    return numbers(value)


def _is_float(bound: Any) -> bool:
    return isinstance(bound, Variable) and is_inexact(bound.dtype)


def linspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, retstep: bool = False,
    dtype: Any = None, axis: int = 0,
) -> Any:  # fmt: skip
    dtype = _spaced_dtype(start, stop, dtype)
    first, last, wide = _ends(start, stop, dtype)
    grid, step = _line(first, last, size(num), endpoint)
    if is_int(dtype):
        grid = sg.floor(grid)
    made = wrap(sg.moveaxis(grid, 0, axis).astype(dtype))
    return (made, wrap(step.astype(wide))) if retstep else made


def logspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10,
    dtype: Any = None, axis: int = 0,
) -> Tensor:  # fmt: skip
    dtype = _spaced_dtype(start, stop, dtype)
    first, last, wide = _ends(start, stop, dtype)
    grid, _ = _line(first, last, size(num), endpoint)
    powers = sg.power(node_of(base).astype(wide), grid)
    return wrap(sg.moveaxis(powers, 0, axis).astype(dtype))


def geomspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Tensor:
    """start * (stop / start)**t for t from 0 to 1: two negative ends need no care then."""
    dtype = _spaced_dtype(start, stop, dtype)
    first, last, wide = _ends(start, stop, dtype)
    n = size(num)
    t, _ = _line(sg.constant(0.0, wide), sg.constant(1.0, wide), n, endpoint)
    grown = first * sg.power(last / first, _column(t, first.ndim))
    if endpoint:
        grown = _with_last(grown, last, n)
    return wrap(sg.moveaxis(grown, 0, axis).astype(dtype))


def _spaced_dtype(start: Any, stop: Any, dtype: Any) -> str:
    if dtype is None:
        return result_type(kind(start), kind(stop), float)
    return str(standardize_dtype(dtype))


def _ends(start: Any, stop: Any, dtype: str) -> tuple[Variable, Variable, str]:
    """The ends in one float dtype and shape: narrow floats and integers are spaced in float64,
    so that floor and rounding see the exact points."""
    wide = dtype if dtype in ("float32", "float64") else "float64"
    first, last = sg.broadcast_arrays(node_of(start).astype(wide), node_of(stop).astype(wide))
    return first, last, wide


def _line(first: Variable, last: Variable, n: Size, endpoint: bool) -> tuple[Variable, Variable]:
    """``n`` evenly spaced points along a new first axis, and the step between them."""
    gaps = n - 1 if endpoint else n
    if isinstance(gaps, int) and gaps <= 0:
        step = sg.full_like(first, math.nan)
        return sg.broadcast_to(first, (n, *first.shape)), step
    step = (last - first) / sg.as_variable(gaps).astype(first.dtype)
    at = _column(sg.arange(n, dtype="int64").astype(first.dtype), first.ndim)
    grid = first + at * step
    return (_with_last(grid, last, n) if endpoint else grid), step


def _column(t: Variable, ndim: int) -> Variable:
    return sg.reshape(t, (t.shape[0], *(1,) * ndim))


def _with_last(grid: Variable, last: Variable, n: Size) -> Variable:
    """The last point is the end itself, without rounding."""
    if isinstance(n, int) and n < 2:
        return grid
    at = _column(sg.arange(n), last.ndim)
    return sg.where(sg.equal(at, n - 1), last, grid)


# windows ------------------------------------------------------------------------------------------


def _length(x: Any) -> Size:
    node = node_of(x)
    return size(node if is_int(node.dtype) else node.astype("int64"))


def bartlett(x: Any) -> Tensor:
    return wrap(sg.bartlett(_length(x)).astype(floatx()))


def blackman(x: Any) -> Tensor:
    return wrap(sg.blackman(_length(x)).astype(floatx()))


def hamming(x: Any) -> Tensor:
    return wrap(sg.hamming(_length(x)).astype(floatx()))


def hanning(x: Any) -> Tensor:
    return wrap(sg.hanning(_length(x)).astype(floatx()))


def kaiser(x: Any, beta: Any) -> Tensor:
    return wrap(sg.kaiser(_length(x), numbers(beta)).astype(floatx()))


def ndim(x: Any) -> int:
    return node_of(x).ndim
