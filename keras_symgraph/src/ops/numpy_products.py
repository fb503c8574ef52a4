"""`keras.ops.numpy`: sums of products, differences, and functions over axes of matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras.src.backend.common.backend_utils import vectorize_impl

import symgraph as sg
from keras_symgraph.src.ops.promotion import (
    accumulator,
    is_inexact,
    kind,
    promoted,
    result_type,
)
from keras_symgraph.src.tensor import Tensor, node_of, wrap
from symgraph import Variable


def _product(function: Any, *xs: Any) -> Variable:
    """A sum of products: int8 with int8 makes int32, truth values make a truth value."""
    nodes = promoted(*xs)
    dtype = nodes[0].dtype
    if dtype == "bool":
        return function(*(x.astype("int32") for x in nodes)).astype("bool")
    return function(*nodes).astype(dtype)


def _wide_product(function: Any, *xs: Any) -> Variable:
    if all(kind(x) == "int8" for x in xs):
        return function(*(node_of(x).astype("int32") for x in xs))
    return _product(function, *xs)


def matmul(x1: Any, x2: Any) -> Tensor:
    return wrap(_wide_product(sg.matmul, x1, x2))


def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Tensor:
    return wrap(_wide_product(lambda *xs: sg.einsum(subscripts, *xs), *operands))


def dot(x1: Any, x2: Any) -> Tensor:
    return wrap(_product(sg.dot, x1, x2))


def vdot(x1: Any, x2: Any) -> Tensor:
    return wrap(_product(sg.vdot, x1, x2))


def inner(x1: Any, x2: Any) -> Tensor:
    return wrap(_product(sg.inner, x1, x2))


def outer(x1: Any, x2: Any) -> Tensor:
    return wrap(_product(sg.outer, x1, x2))


def kron(x1: Any, x2: Any) -> Tensor:
    return wrap(_product(sg.kron, x1, x2))


def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Tensor:
    pair = axes if isinstance(axes, int) else tuple(_tuple(a) for a in axes)
    return wrap(_product(lambda a, b: sg.tensordot(a, b, pair), x1, x2))


def _tuple(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list | tuple) else axis


def cross(
    x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Tensor:
    """Vectors of two elements lie in the plane; two of them give the third component alone."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = promoted(x1, x2)
    a, b = sg.moveaxis(a, axisa, -1), sg.moveaxis(b, axisb, -1)
    if a.shape[-1] == 2 and b.shape[-1] == 2:
        return wrap(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
    a, b = _in_space(a), _in_space(b)
    parts = [a[..., i] * b[..., j] - a[..., j] * b[..., i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return wrap(sg.moveaxis(sg.stack(parts, -1), -1, axisc))


def _in_space(v: Variable) -> Variable:
    if v.shape[-1] == 3:
        return v
    if v.shape[-1] != 2:
        raise ValueError(f"cross: vectors have 2 or 3 elements, not {v.shape[-1]}")
    return sg.concatenate([v, sg.zeros_like(v[..., :1])], -1)


def correlate(x1: Any, x2: Any, mode: str = "valid") -> Tensor:
    dtype = result_type(kind(x1), kind(x2))
    if dtype in ("int64", "uint64"):
        dtype = "float64"
    elif not is_inexact(dtype):
        dtype = "float32"
    return wrap(sg.correlate(node_of(x1, dtype), node_of(x2, dtype), mode).astype(dtype))


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    node = node_of(x)
    dtype = accumulator(node.dtype)
    return wrap(sg.trace(node.astype(dtype), int(offset), axis1, axis2).astype(dtype))


def diff(a: Any, n: int = 1, axis: int = -1) -> Tensor:
    return wrap(sg.diff(node_of(a), n, axis))


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Tensor:
    dtype = result_type(kind(y), float)
    at = None if x is None else node_of(x).astype(dtype)
    step = dx if isinstance(dx, int | float) else node_of(dx).astype(dtype)
    return wrap(sg.trapezoid(node_of(y, dtype), at, step, axis).astype(dtype))


def slogdet(x: Any) -> tuple[Tensor, Tensor]:
    node = node_of(x)
    found = sg.linalg.slogdet(node if is_inexact(node.dtype) else node.astype("float32"))
    return wrap(found[0]), wrap(found[1])


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None
) -> Callable[..., Any]:
    return vectorize_impl(pyfunc, _batched, excluded=excluded, signature=signature)


def _batched(function: Callable[..., Any], in_axes: Any) -> Callable[..., Any]:
    """`function` of tensors along the axes of its arguments."""

    def on_nodes(*nodes: Variable) -> Any:
        out = function(*map(wrap, nodes))
        return tuple(map(node_of, out)) if isinstance(out, list | tuple) else node_of(out)

    def batched(*xs: Any) -> Any:
        out = sg.vmap(on_nodes, in_axes)(*map(node_of, xs))
        return tuple(map(wrap, out)) if isinstance(out, tuple) else wrap(out)

    return batched
