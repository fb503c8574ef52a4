"""A graph over inputs of other sizes: names of sizes are read off the new inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph.errors import DTypeError
from symgraph.ir.graph import Graph, Input, Variable, apply
from symgraph.ir.types import Size, TensorType, same_size
from symgraph.scalar import Expr, as_expr, as_size, substitute

Sizes = dict[Expr, Expr]


def with_sizes_of(graph: Graph, values: Sequence[Variable]) -> list[Variable]:
    """The outputs of a graph with ``values`` in the places of its inputs; a size name of an input's
    type becomes the size that the value has there, everywhere in the graph.

    Raises DTypeError for another dtype or rank, ShapeError where sizes surely disagree.
    """
    sizes: Sizes = {}
    for v, value in zip(graph.inputs, values, strict=True):
        if v.dtype != value.dtype or v.ndim != value.ndim:
            raise DTypeError(f"{v.label()} is {v.type.text()}, given {value.type.text()}")
        for size, given in zip(v.shape, value.shape, strict=True):
            if isinstance(size, Expr) and size.op == "var":
                sizes.setdefault(size, as_expr(given))
            elif isinstance(size, int):
                same_size(size, given, f"{v.label()}: sizes differ")
    return _moved(graph, dict(zip(graph.inputs, values, strict=True)), sizes)


def _moved(graph: Graph, new: dict[Variable, Variable], sizes: Sizes) -> list[Variable]:
    for node in graph.toposort():
        inputs = [new.get(v, v) for v in node.inputs]
        values = [_value(v, sizes) for v in node.op._values]
        op = node.op
        if any(a is not b for a, b in zip(values, op._values, strict=True)):
            op = op.replace(**dict(zip(op.fields, values, strict=True)))
        fresh = apply(op, inputs, node.origins)
        new.update(zip(node.outputs, fresh.outputs, strict=True))
    return [new.get(v, v) for v in graph.outputs]


def _value(value: Any, sizes: Sizes) -> Any:
    """A parameter of an op with the sizes in it replaced; the same object when there are none."""
    if isinstance(value, Expr):
        return _size(value, sizes)
    if isinstance(value, TensorType):
        return _type(value, sizes)
    if isinstance(value, tuple):
        parts = [_value(v, sizes) for v in value]
        same = all(a is b for a, b in zip(parts, value, strict=True))
        return value if same else type(value)(parts)
    if isinstance(value, Graph):
        return _graph(value, sizes)
    return value


def _graph(graph: Graph, sizes: Sizes) -> Graph:
    inputs = [Input(_type(v.type, sizes), v.name) for v in graph.inputs]
    new: dict[Variable, Variable] = dict(zip(graph.inputs, inputs, strict=True))
    return Graph(inputs, _moved(graph, new, sizes))


def _type(t: TensorType, sizes: Sizes) -> TensorType:
    return t.with_shape([_size(s, sizes) for s in t.shape])


def _size(size: Size, sizes: Sizes) -> Size:
    if not isinstance(size, Expr):
        return size
    found = substitute(size, sizes)
    return size if found is size else as_size(found)
