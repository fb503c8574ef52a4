"""`keras.ops.nn`: activations and what normalizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import symgraph as sg
from keras_symgraph.src.ops.promotion import floating, is_inexact
from keras_symgraph.src.ops.sizes import shape_of
from keras_symgraph.src.tensor import Tensor, node_of, wrap
from symgraph import Variable, nn


def _of_floats(function: Any, name: str) -> Callable[[Any], Tensor]:
    def op(x: Any) -> Tensor:
        return wrap(function(floating(x)))

    op.__name__ = op.__qualname__ = name
    return op


sigmoid = _of_floats(nn.sigmoid, "sigmoid")
sparse_sigmoid = _of_floats(nn.sparse_sigmoid, "sparse_sigmoid")
tanh = _of_floats(nn.tanh, "tanh")
tanh_shrink = _of_floats(nn.tanh_shrink, "tanh_shrink")
softplus = _of_floats(nn.softplus, "softplus")
softsign = _of_floats(nn.softsign, "softsign")
sparse_plus = _of_floats(nn.sparse_plus, "sparse_plus")
silu = _of_floats(nn.silu, "silu")
log_sigmoid = _of_floats(nn.log_sigmoid, "log_sigmoid")
hard_sigmoid = _of_floats(nn.hard_sigmoid, "hard_sigmoid")
hard_silu = _of_floats(nn.hard_silu, "hard_silu")
selu = _of_floats(nn.selu, "selu")
hard_tanh = _of_floats(nn.hard_tanh, "hard_tanh")


def relu(x: Any) -> Tensor:
    return wrap(nn.relu(node_of(x)))


def relu6(x: Any) -> Tensor:
    return wrap(nn.relu6(node_of(x)))


def soft_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    return wrap(nn.soft_shrink(floating(x), threshold))


def squareplus(x: Any, b: float = 4) -> Tensor:
    return wrap(nn.squareplus(floating(x), b))


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    return wrap(nn.leaky_relu(floating(x), negative_slope))


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    return wrap(nn.elu(floating(x), alpha))


def celu(x: Any, alpha: float = 1.0) -> Tensor:
    return wrap(nn.celu(floating(x), alpha))


def gelu(x: Any, approximate: bool = True) -> Tensor:
    return wrap(nn.gelu(floating(x), approximate))


def glu(x: Any, axis: int = -1) -> Tensor:
    """Raises ValueError for an odd axis."""
    node = floating(x)
    if isinstance(node.shape[axis], int) and node.shape[axis] % 2:
        raise ValueError(
            f"axis size must be divisible by 2. Received: x.shape={node.shape} with axis={axis}"
        )
    return wrap(nn.glu(node, axis))


def hard_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    return wrap(nn.hard_shrink(floating(x), threshold))


def threshold(x: Any, threshold: float, default_value: float) -> Tensor:
    return wrap(nn.threshold(node_of(x), threshold, default_value))


def softmax(x: Any, axis: Any = -1) -> Tensor:
    """Over all elements where ``axis`` is None."""
    node = floating(x)
    return wrap(nn.softmax(node, _axes(axis, node)))


def log_softmax(x: Any, axis: Any = -1) -> Tensor:
    """Over all elements where ``axis`` is None."""
    node = floating(x)
    return wrap(nn.log_softmax(node, _axes(axis, node)))


def _axes(axis: Any, x: Variable) -> Any:
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(axis) if isinstance(axis, list | tuple) else axis


def sparsemax(x: Any, axis: int = -1) -> Tensor:
    """The point of the simplex nearest to `x` (Martins and Astudillo, 2016)."""
    node = floating(x)
    places: list[Any] = [1] * node.ndim
    places[axis] = node.shape[axis]
    rank = sg.reshape(sg.arange(1, node.shape[axis] + 1), tuple(places)).astype(node.dtype)
    ordered = sg.sort(node, axis, descending=True)
    summed = sg.cumsum(ordered, axis)
    support = sg.greater(ordered - (summed - 1) / rank, 0)
    kept = sg.sum(support.astype(node.dtype), axis, keepdims=True)
    total = sg.sum(sg.where(support, ordered, 0).astype(node.dtype), axis, keepdims=True)
    return wrap(sg.maximum(node - (total - 1) / kept, sg.zeros_like(node)))


def moments(
    x: Any, axes: Any, keepdims: bool = False, synchronized: bool = False
) -> tuple[Tensor, Tensor]:
    """Mean and variance; there is one replica, with which all are synchronized. Halves are
    computed in float32 and cut to the range of float16."""
    node = node_of(x)
    axis = tuple(axes) if isinstance(axes, list | tuple) else axes
    narrow = node.dtype in ("float16", "bfloat16")
    wide = node.astype("float32") if narrow or not is_inexact(node.dtype) else node
    found = (sg.mean(wide, axis, keepdims=keepdims), sg.var(wide, axis, keepdims=keepdims))
    if narrow:
        cut = (sg.clip(v, -65504.0, 65504.0).astype(node.dtype) for v in found)
        return tuple(map(wrap, cut))  # type: ignore[return-value]
    return wrap(found[0]), wrap(found[1])


def batch_normalization(
    x: Any, mean: Any, variance: Any, axis: int, offset: Any = None, scale: Any = None,
    epsilon: float = 1e-3,
) -> Tensor:  # fmt: skip
    node, center = node_of(x), node_of(mean)
    shape: list[Any] = [1] * node.ndim
    shape[axis] = center.shape[0]

    def placed(v: Any) -> Variable:
        return sg.reshape(node_of(v), shape_of(shape))

    factor = sg.rsqrt(placed(variance) + epsilon)
    if scale is not None:
        factor = factor * placed(scale)
    shift = -placed(mean) * factor
    if offset is not None:
        shift = shift + placed(offset)
    return wrap(node * factor + shift)


def psnr(x1: Any, x2: Any, max_val: Any) -> Tensor:
    """Raises ValueError for shapes that differ."""
    a, b = node_of(x1), node_of(x2)
    if a.shape != b.shape:
        raise ValueError(f"Input shapes {a.shape} and {b.shape} must match for PSNR calculation. ")
    top = node_of(max_val, b.dtype)
    return wrap(20 * sg.log10(top) - 10 * sg.log10(sg.mean(sg.square(a - b))))
