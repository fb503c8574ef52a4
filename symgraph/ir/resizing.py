"""Graphs written anew with other sizes: names replaced in the parameters of ops and in types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph.ir.graph import Apply, Graph, Input, Variable, apply, creating_with, making
from symgraph.ir.op import Op
from symgraph.ir.operators import in_language
from symgraph.ir.types import Size, TensorType
from symgraph.scalar import Expr, as_size, substitute

Sizes = dict[Expr, Expr]


def moved(
    order: Sequence[Apply],
    outputs: Sequence[Variable],
    new: dict[Variable, Variable],
    sizes: Sizes,
) -> list[Variable]:
    """The outputs with variables and sizes replaced; both tables grow by what follows from them."""
    for node in order:
        if all(o in new for o in node.outputs):
            continue
        inputs = [new.get(v, v) for v in node.inputs]
        op = resized(node.op, sizes)
        if op is node.op and all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
            continue
        if op.makes:
            with creating_with(node.origins):
                fresh = making(op, inputs)
            before, after = (getattr(x, op.makes) for x in (node.op, fresh.op))
            if before is not after:
                sizes[before] = after
        else:
            fresh = apply(op, inputs, node.origins)
        for old, out in zip(node.outputs, fresh.outputs, strict=True):
            new.setdefault(old, out)
    return [new.get(v, v) for v in outputs]


@in_language("resized")
def resized(op: Op, sizes: Sizes) -> Op:
    """The op with the sizes in its parameters replaced; the same object when there are none."""
    if not sizes or not op._values:
        return op
    values = [_value(v, sizes) for v in op._values]
    if all(a is b for a, b in zip(values, op._values, strict=True)):
        return op
    return op.replace(**dict(zip(op.fields, values, strict=True)))


def _value(value: Any, sizes: Sizes) -> Any:
    """A parameter of an op with the sizes in it replaced; the same object when there are none."""
    if isinstance(value, Expr):
        return _size(value, sizes)
    if isinstance(value, TensorType):
        return retyped(value, sizes)
    if isinstance(value, tuple):
        parts = [_value(v, sizes) for v in value]
        same = all(a is b for a, b in zip(parts, value, strict=True))
        return value if same else type(value)(parts)
    if isinstance(value, Graph):
        return _graph(value, sizes)
    return value


def _graph(graph: Graph, sizes: Sizes) -> Graph:
    inputs = [Input(retyped(v.type, sizes), v.name) for v in graph.inputs]
    new: dict[Variable, Variable] = dict(zip(graph.inputs, inputs, strict=True))
    return Graph(inputs, moved(graph.toposort(), graph.outputs, new, sizes))


def retyped(t: TensorType, sizes: Sizes) -> TensorType:
    """The type with the sizes in it replaced."""
    return t.with_shape([_size(s, sizes) for s in t.shape])


def _size(size: Size, sizes: Sizes) -> Size:
    if not isinstance(size, Expr):
        return size
    found = substitute(size, sizes)
    return size if found is size else as_size(found)
