"""Functions take the place of their calls, so that everything later sees one graph."""

from __future__ import annotations

from symgraph.ir.graph import Apply, Graph, Variable, apply, rebuild
from symgraph.ops.functions import FunctionGraph


def inline_functions(graph: Graph) -> Graph:
    """The graph with the body of every function that allows it in the place of its call."""
    while True:
        order = graph.toposort()
        if not any(map(_goes, order)):
            return graph
        graph = Graph(graph.inputs, _once(graph, order))


def _goes(node: Apply) -> bool:
    return isinstance(node.op, FunctionGraph) and node.op.inline


def _once(graph: Graph, order: list[Apply]) -> list[Variable]:
    new: dict[Variable, Variable] = {}
    for node in order:
        inputs = [new.get(v, v) for v in node.inputs]
        if _goes(node):
            body: Graph = node.op.body  # type: ignore[attr-defined]
            found = rebuild(body.outputs, dict(zip(body.inputs, inputs, strict=True)))
        elif any(a is not b for a, b in zip(inputs, node.inputs, strict=True)):
            found = list(apply(node.op, inputs, node.origins).outputs)
        else:
            continue
        new.update(zip(node.outputs, found, strict=True))
    return [new.get(v, v) for v in graph.outputs]
