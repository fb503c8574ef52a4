"""Reductions along axes, products of matrices, sums along the way, sorting."""

from __future__ import annotations

from typing import Any

from symgraph import api as sg
from symgraph.interop.pytensor.scalars import to
from symgraph.interop.pytensor.table import Untranslatable, translates

_FOLDS = {
    "Add": sg.sum, "Mul": sg.prod, "Maximum": sg.max, "ScalarMaximum": sg.max,
    "Minimum": sg.min, "ScalarMinimum": sg.min, "AND": sg.all, "OR": sg.any,
}  # fmt: skip


@translates("CAReduce")
def careduce(op: Any, node: Any, t: Any) -> Any:
    """A fold along axes."""
    x = t.get(node.inputs[0])
    axes = tuple(range(x.ndim)) if op.axis is None else tuple(op.axis)
    name = type(op.scalar_op).__name__
    out = node.outputs[0].type.dtype
    if name == "MulWithoutZeros":
        return sg.prod(sg.where(x == 0, sg.constant(1, x.dtype), x), axis=axes)
    fold = _FOLDS.get(name)
    if fold is None or (name in ("AND", "OR") and x.dtype != "bool"):
        raise Untranslatable(f"a fold by {name}")
    if name in ("Add", "Mul"):
        acc = getattr(op, "acc_dtype", None) or out
        return to(fold(to(x, acc), axis=axes, dtype=acc), out) if axes else to(x, out)
    return fold(x, axis=axes) if axes else x


@translates("Argmax")
def argmax(op: Any, node: Any, t: Any) -> Any:
    """The place of the largest element along axes."""
    x = t.get(node.inputs[0])
    axes = tuple(range(x.ndim)) if op.axis is None else tuple(op.axis)
    if len(axes) == 1:
        return sg.argmax(x, axis=axes[0])
    kept = [a for a in range(x.ndim) if a not in axes]
    x = sg.transpose(x, [*kept, *axes])
    x = sg.reshape(x, (*x.shape[: len(kept)], -1))
    return sg.argmax(x, axis=-1)


@translates("CumOp")
def cumulative(op: Any, node: Any, t: Any) -> Any:
    """Sums or products of all elements so far."""
    x = to(t.get(node.inputs[0]), node.outputs[0].type.dtype)
    fold = sg.cumsum if op.mode == "add" else sg.cumprod
    return fold(sg.ravel(x) if op.axis is None else x, axis=0 if op.axis is None else op.axis)


@translates("SortOp", "ArgSortOp")
def sort(op: Any, node: Any, t: Any) -> Any:
    """Elements in order along an axis, or their places."""
    source, *given = node.inputs
    at = op.axis if not given or not hasattr(given[0].type, "dtype") else t.known(given[0])
    if not isinstance(at, int | None) or (at is None and given and hasattr(given[0].type, "dtype")):
        raise Untranslatable("the axis depends on data")
    x = t.get(source)
    if at is None:
        x, at = sg.ravel(x), 0
    return sg.sort(x, axis=at) if type(op).__name__ == "SortOp" else sg.argsort(x, axis=at)


@translates("SearchsortedOp")
def searchsorted(op: Any, node: Any, t: Any) -> Any:
    """Where values would stand in a sorted vector."""
    if len(node.inputs) > 2:
        raise Untranslatable("with a sorter")
    x, v = (t.get(i) for i in node.inputs)
    return sg.searchsorted(x, v, side=op.side)


@translates("Dot", "Dot22", "BatchedDot")
def dot(op: Any, node: Any, t: Any) -> Any:
    """Products of matrices and vectors."""
    dtype = node.outputs[0].type.dtype
    return sg.matmul(*(to(t.get(v), dtype) for v in node.inputs))


@translates("Dot22Scalar")
def dot_scaled(op: Any, node: Any, t: Any) -> Any:
    """a * dot(x, y)."""
    x, y, a = (t.get(v) for v in node.inputs)
    return a * sg.matmul(x, y)


@translates("Gemm", "Gemv", "CGemv")
def gemm(op: Any, node: Any, t: Any) -> Any:
    """b * z + a * dot(x, y)."""
    z, a, x, y, b = (t.get(v) for v in node.inputs)
    return b * z + a * sg.matmul(x, y)


@translates("Ger", "CGer")
def ger(op: Any, node: Any, t: Any) -> Any:
    """z + a * outer(x, y)."""
    z, a, x, y = (t.get(v) for v in node.inputs)
    return z + a * sg.outer(x, y)


@translates("Softmax")
def softmax(op: Any, node: Any, t: Any) -> Any:
    """exp(x) over its sum."""
    return sg.nn.softmax(t.get(node.inputs[0]), axis=op.axis)


@translates("LogSoftmax")
def log_softmax(op: Any, node: Any, t: Any) -> Any:
    """The logarithm of softmax."""
    return sg.nn.log_softmax(t.get(node.inputs[0]), axis=op.axis)


@translates("SoftmaxGrad")
def softmax_grad(op: Any, node: Any, t: Any) -> Any:
    """The derivative of softmax from its result."""
    dy, y = (t.get(v) for v in node.inputs)
    scaled = dy * y
    return scaled - sg.sum(scaled, axis=op.axis, keepdims=True) * y
