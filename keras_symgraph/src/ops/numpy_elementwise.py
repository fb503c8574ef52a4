"""`keras.ops.numpy`: functions of one tensor, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from keras.src.backend.common.variables import standardize_dtype

import symgraph as sg
from keras_symgraph.src.ops.promotion import accumulator, floating, is_inexact, is_int, real_of
from keras_symgraph.src.tensor import Tensor, node_of, wrap
from symgraph import TensorType, Variable

Unary = Callable[[Any], Tensor]


def _of_floats(function: Any, name: str) -> Unary:
    """A function that takes integers as floats."""

    def op(x: Any) -> Tensor:
        return wrap(function(floating(x)))

    op.__name__ = op.__qualname__ = name
    return op


def _of_any(function: Any, name: str) -> Unary:
    """A function that takes every dtype as it is."""

    def op(x: Any) -> Tensor:
        return wrap(function(node_of(x)))

    op.__name__ = op.__qualname__ = name
    return op


def _of_computed(function: Any, name: str) -> Unary:
    """A function that JAX computes itself, with float64 for 64-bit integers."""

    def op(x: Any) -> Tensor:
        node = node_of(x)
        return wrap(function(node.astype(real_of(node.dtype))))

    op.__name__ = op.__qualname__ = name
    return op


arccos = _of_floats(sg.arccos, "arccos")
arccosh = _of_floats(sg.arccosh, "arccosh")
arcsin = _of_floats(sg.arcsin, "arcsin")
arcsinh = _of_floats(sg.arcsinh, "arcsinh")
arctan = _of_floats(sg.arctan, "arctan")
arctanh = _of_floats(sg.arctanh, "arctanh")
ceil = _of_floats(sg.ceil, "ceil")
cos = _of_floats(sg.cos, "cos")
cosh = _of_floats(sg.cosh, "cosh")
exp = _of_floats(sg.exp, "exp")
exp2 = _of_floats(sg.exp2, "exp2")
expm1 = _of_floats(sg.expm1, "expm1")
fabs = _of_floats(sg.abs, "fabs")
floor = _of_floats(sg.floor, "floor")
log = _of_floats(sg.log, "log")
log10 = _of_floats(sg.log10, "log10")
log1p = _of_floats(sg.log1p, "log1p")
log2 = _of_floats(sg.log2, "log2")
reciprocal = _of_floats(sg.reciprocal, "reciprocal")
sin = _of_floats(sg.sin, "sin")
sinc = _of_floats(sg.sinc, "sinc")
sinh = _of_floats(sg.sinh, "sinh")
sqrt = _of_floats(sg.sqrt, "sqrt")
tan = _of_floats(sg.tan, "tan")
tanh = _of_floats(sg.tanh, "tanh")

cbrt = _of_computed(sg.cbrt, "cbrt")
deg2rad = _of_computed(sg.deg2rad, "deg2rad")
rad2deg = _of_computed(sg.rad2deg, "rad2deg")
i0 = _of_computed(sg.i0, "i0")

absolute = _of_any(sg.abs, "absolute")
abs = _of_any(sg.abs, "abs")
bitwise_invert = _of_any(sg.bitwise_not, "bitwise_invert")
bitwise_not = _of_any(sg.bitwise_not, "bitwise_not")
conj = _of_any(sg.conj, "conj")
conjugate = _of_any(sg.conj, "conjugate")
imag = _of_any(sg.imag, "imag")
isfinite = _of_any(sg.isfinite, "isfinite")
isinf = _of_any(sg.isinf, "isinf")
isnan = _of_any(sg.isnan, "isnan")
isneginf = _of_any(sg.isneginf, "isneginf")
isposinf = _of_any(sg.isposinf, "isposinf")
isreal = _of_any(sg.isreal, "isreal")
logical_not = _of_any(sg.logical_not, "logical_not")
negative = _of_any(sg.negative, "negative")
real = _of_any(sg.real, "real")


def angle(x: Any) -> Tensor:
    node = floating(x)
    if "complex" in node.dtype:
        return wrap(sg.angle(node))
    # the angle of a real number is 0 or pi, and NaN where there is none
    turned = sg.where(sg.less(node, 0), sg.full_like(node, math.pi), sg.zeros_like(node))
    return wrap(sg.where(sg.isnan(node), node, turned))


def sign(x: Any) -> Tensor:
    node = node_of(x)
    return wrap(node if node.dtype == "bool" else sg.sign(node))


def signbit(x: Any) -> Tensor:
    node = node_of(x)
    if is_inexact(node.dtype):
        return wrap(sg.signbit(node))
    if node.dtype == "bool":
        return wrap(sg.zeros_like(node))
    return wrap(sg.less(node, sg.zeros_like(node)))


def square(x: Any) -> Tensor:
    node = node_of(x)
    return wrap(sg.square(node.astype("int32") if node.dtype == "bool" else node))


def trunc(x: Any) -> Tensor:
    node = node_of(x)
    return wrap(sg.trunc(node) if is_inexact(node.dtype) else node)


def round(x: Any, decimals: int = 0) -> Tensor:
    """Halves go to even. Integers stay integers, also where digits before the point are cut."""
    node = node_of(x)
    if is_inexact(node.dtype):
        return wrap(sg.round(node, decimals))
    if node.dtype == "bool" or decimals >= 0:
        return wrap(node)
    return wrap(sg.round(node.astype("float64"), decimals).astype(node.dtype))


def nan_to_num(x: Any, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Tensor:
    node = node_of(x)
    if not is_inexact(node.dtype):
        return wrap(node)
    return wrap(sg.nan_to_num(node, nan, posinf, neginf))


def clip(x: Any, x_min: Any, x_max: Any) -> Tensor:
    """The result has the dtype of `x`; integers are compared with floats as float64."""
    node = node_of(x)
    if node.dtype == "bool":
        node = node.astype("int32")
    dtype = node.dtype
    bounds = [None if v is None else node_of(v) for v in (x_min, x_max)]
    fine = is_int(dtype) and any(b is not None and is_inexact(b.dtype) for b in bounds)
    wide = "float64" if fine else dtype
    low, high = (None if b is None else b.astype(wide) for b in bounds)
    return wrap(sg.clip(node.astype(wide), low, high).astype(dtype))


def copy(x: Any) -> Tensor:
    return wrap(node_of(x))


def view(x: Any, dtype: Any = None) -> Tensor:
    """The same bits as elements of another dtype; the last axis grows or shrinks with its size.
    Raises ValueError where the last axis does not divide."""
    node = node_of(x)
    return wrap(node if dtype is None else _bits_as(node, standardize_dtype(dtype)))


def _bits_as(node: Variable, dtype: str) -> Variable:
    old, new = np.dtype(node.dtype).itemsize, np.dtype(dtype).itemsize
    if node.ndim == 0 and old != new:
        raise ValueError(f"view: a scalar of {node.dtype} is not one of {dtype}")
    rest, last = node.shape[:-1], node.shape[-1:]
    if isinstance(node.shape[-1] if last else 0, int) and last and last[0] * old % new:
        raise ValueError(f"view: a last axis of {last[0]} {node.dtype} is not a row of {dtype}")
    shape = (*rest, *(n * old // new for n in last))
    kind = TensorType(dtype, shape)
    return sg.python_op(lambda a: np.ascontiguousarray(a).view(dtype), infer=lambda *_: kind)(node)


def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
    return wrap(_cumulative(sg.cumsum, x, axis, dtype))


def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
    return wrap(_cumulative(sg.cumprod, x, axis, dtype))


def nancumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
    return wrap(_cumulative(sg.nancumsum, x, axis, dtype))


def nancumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
    return wrap(_cumulative(sg.nancumprod, x, axis, dtype))


def _cumulative(function: Any, x: Any, axis: int | None, dtype: Any) -> Variable:
    node = node_of(x)
    kind = node.dtype if dtype is None else str(dtype)
    kind = accumulator(kind) if kind == "bool" else kind
    return function(node.astype(kind), axis=axis, dtype=kind)
