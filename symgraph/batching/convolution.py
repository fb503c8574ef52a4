"""How convolutions are batched: a batch of images is a larger batch, one of weights more channels,
and where both operands differ every one of the batch becomes a group of channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph.batching.engine import Batch, Value, by_rows, rule
from symgraph.ir.graph import Apply, Variable
from symgraph.ops.convolution_ops import Convolving
from symgraph.ops.shape import Reshape, Transpose
from symgraph.scalar import as_expr, as_size


def _joined(v: Variable, axis: int) -> Variable:
    """The first axis joined to another one (counted without it), as its slower part."""
    if axis:
        order = (*range(1, axis + 1), 0, *range(axis + 1, v.ndim))
        v = Transpose(order)(v)
    both = as_size(as_expr(v.shape[axis]) * v.shape[axis + 1])
    return Reshape((*v.shape[:axis], both, *v.shape[axis + 2 :]))(v)  # type: ignore[no-any-return]


def _parted(v: Variable, axis: int, size: Any) -> Variable:
    """The slower part of an axis, of this size, as a new first axis."""
    rest = as_size(as_expr(v.shape[axis]) // size)
    v = Reshape((*v.shape[:axis], size, rest, *v.shape[axis + 1 :]))(v)
    if not axis:
        return v
    order = (axis, *range(axis), *range(axis + 1, v.ndim))
    return Transpose(order)(v)  # type: ignore[no-any-return]


def _channels(op: Convolving) -> int:
    """The axis of an image's channels, without the batch of vmap."""
    return len(op.stride) + 1 if op.last else 1


def _outputs(op: Convolving) -> int:
    """The axis of the output channels of weights."""
    return len(op.stride) + 1 if op.last else 0


def _grouped(batch: Batch, node: Apply, given: list[Value], axes: tuple[int, ...]) -> list[Value]:
    """Every one of the batch as groups of its own; ``axes`` are those of the channels that tell
    the groups apart, in the operands and in the result."""
    op: Any = node.op
    pair = [_joined(batch.full(x), a) for x, a in zip(given, axes, strict=False)]
    out = op.replace(groups=op.groups * batch.size)(*pair)
    return [Value(_parted(out, axes[2], batch.size), True)]


@rule("convolution", "convolution_input")
def _images(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    op: Any = node.op
    x, w = given
    if not w.batched:
        return [Value(_parted(op(_joined(x.v, 0), w.v), 0, batch.size), True)]
    channels, outputs = _channels(op), _outputs(op)
    if op.name == "convolution" and not x.batched and op.groups == 1:
        out = op(x.v, _joined(w.v, outputs))
        return [Value(_parted(out, channels, batch.size), True)]
    if not isinstance(batch.size, int):
        return by_rows(batch, node, given)
    return _grouped(batch, node, given, (channels, outputs, channels))


@rule("convolution_weights")
def _weights(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    op: Any = node.op
    channels, outputs = _channels(op), _outputs(op)
    x, y = given
    if not x.batched and op.groups == 1:
        out = op(x.v, _joined(y.v, channels))
        return [Value(_parted(out, outputs, batch.size), True)]
    if not isinstance(batch.size, int):
        return by_rows(batch, node, given)
    return _grouped(batch, node, given, (channels, channels, outputs))
