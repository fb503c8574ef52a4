"""A graph over inputs of other sizes: names of sizes are read off the new inputs."""

from __future__ import annotations

from collections.abc import Sequence

from symgraph.errors import DTypeError
from symgraph.ir import made_sizes
from symgraph.ir.graph import (
    Graph,
    Variable,
    rebuild,
    toposort,
)
from symgraph.ir.resizing import Sizes, moved
from symgraph.ir.types import same_size
from symgraph.scalar import Expr, as_expr


def replaced(outputs: Sequence[Variable], mapping: dict[Variable, Variable]) -> list[Variable]:
    """The outputs with variables replaced by others: a size without a name of a replaced input is
    the one of its replacement then, and a size that depends on data gets another name where its
    node reads something else now, wherever the graph speaks of it."""
    sizes: Sizes = {}
    for v, new in mapping.items():
        for a, b in zip(v.shape, new.shape, strict=True):
            unnamed = isinstance(a, Expr) and a.op == "var" and a.attr.startswith("?")
            if v.owner is None and unnamed and a is not b:
                sizes[as_expr(a)] = as_expr(b)
    if not sizes and not made_sizes.exist():
        return rebuild(outputs, mapping)
    return moved(toposort(outputs, sized=True), outputs, dict(mapping), sizes)


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
    order = toposort(graph.outputs, sized=True)
    return moved(order, graph.outputs, dict(zip(graph.inputs, values, strict=True)), sizes)
