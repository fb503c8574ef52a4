"""Elemwise and DimShuffle: what works on each element, and the order of axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgraph import api as sg
from symgraph.interop.pytensor.performers import is_tensor
from symgraph.interop.pytensor.scalars import scalar_result
from symgraph.interop.pytensor.sparse_values import Matrix
from symgraph.interop.pytensor.table import Untranslatable, translates
from symgraph.ir.types import Size
from symgraph.scalar import as_expr, as_size
from symgraph.scalar.sizes import larger, smaller

_SIZES: dict[str, Callable[..., Size]] = {
    "Add": lambda a, b: as_size(as_expr(a) + b),
    "Sub": lambda a, b: as_size(as_expr(a) - b),
    "Mul": lambda a, b: as_size(as_expr(a) * b),
    "IntDiv": lambda a, b: as_size(as_expr(a) // b),
    "Mod": lambda a, b: as_size(as_expr(a) % b),
    "Maximum": larger, "ScalarMaximum": larger,
    "Minimum": smaller, "ScalarMinimum": smaller,
}  # fmt: skip
_DECIDED: dict[str, Callable[[int, int], bool]] = {
    "LT": lambda a, b: a < b, "GT": lambda a, b: a > b, "LE": lambda a, b: a <= b,
    "GE": lambda a, b: a >= b, "EQ": lambda a, b: a == b, "NEQ": lambda a, b: a != b,
}  # fmt: skip


@translates("Elemwise")
def elemwise(op: Any, node: Any, t: Any) -> Any:
    """A scalar op for each element; of sizes it makes a size."""
    if _of_sizes(op.scalar_op, node, t):
        return None
    found = scalar_result(op.scalar_op, node, [t.get(v) for v in node.inputs])
    if len(node.outputs) == 1:
        return _spread(found, node, t)
    return tuple(_spread(x, node, t) for x in found)


@translates("ScalarOp")
def on_scalars(op: Any, node: Any, t: Any) -> Any:
    """A scalar op between numbers that are no tensors."""
    if _of_sizes(op, node, t):
        return None
    return scalar_result(op, node, [t.get(v) for v in node.inputs])


def _spread(x: Any, node: Any, t: Any) -> Any:
    """A result with the shape of all operands, also of those that it does not read."""
    if x.ndim == node.outputs[0].type.ndim and all(
        t.get(v).ndim == 0 or t.get(v).shape == x.shape for v in node.inputs
    ):
        return x
    return sg.broadcast_to(x, sg.broadcast_shapes(*(t.get(v).shape for v in node.inputs)))


def _of_sizes(op: Any, node: Any, t: Any) -> bool:
    """Enter the result as a size where all operands are sizes."""
    (out, *more) = node.outputs
    if more or getattr(out.type, "ndim", 0) or out.type.dtype not in ("int64", "bool"):
        return False
    known = [t.known(v) for v in node.inputs]
    if any(k is None or isinstance(k, tuple) for k in known):
        return _chosen(op, node, t, known)
    name = type(op).__name__
    if name in ("Cast", "Identity") and out.type.dtype == "int64":
        t.sizes[out] = known[0]
        return True
    if name == "Neg":
        t.sizes[out] = as_size(0 - as_expr(known[0]))
        return True
    if name in _SIZES and out.type.dtype == "int64":
        if name in ("IntDiv", "Mod") and not (isinstance(known[1], int) and known[1] > 0):
            return False
        result = known[0]
        for k in known[1:]:
            result = _SIZES[name](result, k)
        t.sizes[out] = result
        return True
    if name in _DECIDED:
        gap = as_size(as_expr(known[0]) - known[1])
        if isinstance(gap, int):
            t.values[out] = sg.constant(_DECIDED[name](gap, 0))
            return True
    return _chosen(op, node, t, known)


def _chosen(op: Any, node: Any, t: Any, known: list[Any]) -> bool:
    """switch(condition known now, size, size)."""
    if type(op).__name__ != "Switch" or any(k is None for k in known[1:]):
        return False
    test = t.get(node.inputs[0])
    if not hasattr(test, "data") or test.ndim:
        return False
    found = known[1] if test.data else known[2]
    if isinstance(found, tuple) or node.outputs[0].type.dtype != "int64":
        return False
    t.sizes[node.outputs[0]] = found
    return True


@translates("DimShuffle")
def dimshuffle(op: Any, node: Any, t: Any) -> Any:
    """Axes dropped, reordered and added."""
    order = op.new_order
    (source,) = node.inputs
    known = t.known(source)
    if known is not None and not order and isinstance(known, tuple) and len(known) == 1:
        t.sizes[node.outputs[0]] = known[0]
        return None
    if known is not None and not isinstance(known, tuple) and tuple(order) == ("x",):
        t.sizes[node.outputs[0]] = (known,)
        return None
    x = t.get(source)
    kept = [a for a in order if a != "x"]
    drop = [a for a in range(x.ndim) if a not in kept]
    if drop:
        x = sg.specify_shape(x, tuple(1 if a in drop else None for a in range(x.ndim)))
        x = sg.squeeze(x, tuple(drop))
        kept = [a - sum(d < a for d in drop) for a in kept]
    if kept != sorted(kept):
        x = sg.transpose(x, kept)
    added = tuple(k for k, a in enumerate(order) if a == "x")
    return sg.expand_dims(x, added) if added else x


@translates("ScalarFromTensor", "TensorFromScalar")
def same_number(op: Any, node: Any, t: Any) -> Any:
    """A number as a tensor and back."""
    known = t.known(node.inputs[0])
    if known is not None:
        t.sizes[node.outputs[0]] = known
        return None
    return t.get(node.inputs[0])


@translates("ViewOp", "TypeCastingOp", "OutputGuard", "CpuContiguous", "Rename",
            "GradClip", "GradScale", "ZeroGrad", "DisconnectedGrad", "UndefinedGrad")  # fmt: skip
def identity(op: Any, node: Any, t: Any) -> Any:
    """The same values."""
    known = t.known(node.inputs[0])
    if known is not None:
        t.sizes[node.outputs[0]] = known
        return None
    return t.get(node.inputs[0])


identity.objects = True  # type: ignore[attr-defined]  # also of generators and the like


@translates("DeepCopyOp")
def copied(op: Any, node: Any, t: Any) -> Any:
    """The same values, for the user to keep: objects are copied by their own means."""
    if not is_tensor(node.inputs[0]) and not isinstance(t.get(node.inputs[0]), Matrix):
        raise Untranslatable("a copy of an object")
    return identity(op, node, t)


copied.objects = True  # type: ignore[attr-defined]


@translates("Assert", "CheckAndRaise")
def check(op: Any, node: Any, t: Any) -> Any:
    """The first input, where all conditions hold."""
    known = t.known(node.inputs[0])
    conditions = [t.get(v) for v in node.inputs[1:]]
    if known is not None and all(hasattr(c, "data") and c.data.all() for c in conditions):
        t.sizes[node.outputs[0]] = known
        return None
    x = t.get(node.inputs[0])
    if not all(s.type.ndim == 0 for s in node.inputs[1:]):
        raise Untranslatable("a condition is no scalar")
    text = f"{op.msg}" or "assertion failed"
    if not issubclass(op.exc_type, AssertionError):
        text = f"{op.exc_type.__name__}: {text}"
    t.raises[text] = (op.exc_type, op.msg)
    for c in conditions:
        x = sg.assert_(x, sg.cast(c, "bool"), text)
    return x
