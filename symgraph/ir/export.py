"""Graphs for other tools: networkx for analysis and drawing, JSON for everything else."""

from __future__ import annotations

from typing import Any

from symgraph.ir.graph import Constant, Graph, Input, Variable, toposort
from symgraph.ir.op import Op
from symgraph.ir.shared import Shared
from symgraph.ir.text import INLINE, constant_text, digest, type_text
from symgraph.ir.types import TensorType
from symgraph.scalar import Expr

SCHEMA = "symgraph.graph"
SCHEMA_VERSION = 1


def to_networkx(graph: Graph) -> Any:
    """The graph as a ``networkx.DiGraph`` with a node for each variable's maker.

    Nodes are ``"v0", "v1", ...`` for inputs, constants and shared variables and ``"n0", ...`` for
    applied ops, with attributes ``kind``, ``op``, ``name``, ``type``, ``origin`` and ``output``
    (the positions among the graph's outputs). An edge carries ``positions``: pairs of (output of
    the source, input of the target).

    >>> from symgraph.ir.graph import Input
    >>> x = Input(TensorType("float64", (3,)), "x")
    >>> list(to_networkx(Graph((x,), (x,))).nodes(data="type"))
    [('v0', 'float64[3]')]
    """
    import networkx

    out = networkx.DiGraph()
    table = _Table(graph)
    for v, key in table.leaves.items():
        out.add_node(
            key, kind=_kind(v), op="", name=v.name or "", type=type_text(v.type),
            origin=_origin(v), output=[],
        )  # fmt: skip
    for node, key in table.nodes.items():
        types = ", ".join(type_text(o.type) for o in node.outputs)
        name = ", ".join(o.name for o in node.outputs if o.name)
        out.add_node(
            key, kind="apply", op=repr(node.op), name=name, type=types,
            origin=_origin(node.outputs[0]), output=[],
        )  # fmt: skip
        for k, v in enumerate(node.inputs):
            source, index = table.place(v)
            if not out.has_edge(source, key):
                out.add_edge(source, key, positions=[])
            out.edges[source, key]["positions"].append((index, k))
    for k, v in enumerate(graph.outputs):
        out.nodes[table.place(v)[0]]["output"].append(k)
    return out


def to_json(graph: Graph) -> dict[str, Any]:
    """The graph as plain lists, dicts, strings and numbers, ready for ``json.dumps``.

    ``leaves`` and ``nodes`` are numbered by position; a variable is ``["leaf", number]`` or
    ``["node", number, output]``. Inner graphs stand inside the parameters of their op. The values
    of large constants and of shared variables are not included; ir.save keeps them.
    """
    return {"schema": SCHEMA, "version": SCHEMA_VERSION, **_graph_json(graph)}


def _graph_json(graph: Graph) -> dict[str, Any]:
    table = _Table(graph)
    number = {
        key: k for group in (table.leaves, table.nodes) for k, key in enumerate(group.values())
    }

    def ref(v: Variable) -> list[Any]:
        key, index = table.place(v)
        return ["leaf", number[key]] if v.owner is None else ["node", number[key], index]

    nodes = []
    for node in table.nodes:
        fields = zip(node.op.fields, node.op._values, strict=True)
        nodes.append({
            "op": node.op.name,
            "parameters": {name: _value(value) for name, value in fields},
            "inputs": [ref(v) for v in node.inputs],
            "outputs": [{"name": o.name, "type": _type(o.type)} for o in node.outputs],
            "origin": _origin(node.outputs[0]),
        })  # fmt: skip
    return {
        "inputs": [ref(v) for v in graph.inputs],
        "leaves": [_leaf(v) for v in table.leaves],
        "nodes": nodes,
        "outputs": [ref(v) for v in graph.outputs],
    }


class _Table:
    """The keys of a graph's leaves (inputs first) and nodes."""

    def __init__(self, graph: Graph) -> None:
        order = toposort(graph.outputs, sized=True)
        leaves = dict.fromkeys(graph.inputs)
        leaves.update({v: None for node in order for v in node.inputs if v.owner is None})
        leaves.update({v: None for v in graph.outputs if v.owner is None})
        self.leaves = {v: f"v{k}" for k, v in enumerate(leaves)}
        self.nodes = {node: f"n{k}" for k, node in enumerate(order)}

    def place(self, v: Variable) -> tuple[str, int]:
        """The key of what makes the variable, and which of its outputs it is."""
        return (self.leaves[v], 0) if v.owner is None else (self.nodes[v.owner], v.index)


def _kind(v: Variable) -> str:
    if isinstance(v, Constant):
        return "constant"
    return "shared" if isinstance(v, Shared) else "input"


def _origin(v: Variable) -> str:
    return v.origin.text() if v.origin is not None else ""


def _leaf(v: Variable) -> dict[str, Any]:
    out: dict[str, Any] = {
        "kind": _kind(v),
        "name": v.name,
        "type": _type(v.type),
        "origin": _origin(v),
    }
    if isinstance(v, Constant):
        small = v.data.size <= INLINE
        out |= {"value": constant_text(v.data)} if small else {"digest": digest(v.data)}
    if isinstance(v, Input):
        out["has_default"] = v.default is not None
    return out


def _type(t: TensorType) -> dict[str, Any]:
    return {"dtype": t.dtype, "shape": [s if isinstance(s, int) else str(s) for s in t.shape]}


def _value(value: Any) -> Any:
    """A parameter: what JSON has no word for becomes a dict with one key that tells its kind."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else {"float": repr(value)}
    if isinstance(value, Expr):
        return {"size": str(value)}
    if isinstance(value, TensorType):
        return {"type": _type(value)}
    if isinstance(value, tuple):
        return [_value(v) for v in value]
    if isinstance(value, slice):
        return {"slice": [_value(v) for v in (value.start, value.stop, value.step)]}
    if isinstance(value, Graph):
        return {"graph": _graph_json(value)}
    if isinstance(value, Op):
        return {"op": repr(value)}
    return {"opaque": repr(value)}
