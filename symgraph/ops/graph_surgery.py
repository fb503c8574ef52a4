"""Taking graphs apart and putting others in the places of their parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symgraph.errors import ArgumentError
from symgraph.ir import made_sizes
from symgraph.ir.graph import Apply, Graph, Input, Variable, rebuild, toposort
from symgraph.ir.shared import Shared
from symgraph.ops.nests import flatten
from symgraph.ops.operands import as_variable
from symgraph.ops.retyping import with_sizes_of
from symgraph.scalar import Expr

__all__ = ["ancestors", "graph_inputs", "graph_replace", "node_sizes"]


def graph_replace(outputs: Any, replace: Mapping[Variable, Any]) -> Any:
    """The same expressions with some of their variables replaced, at once.

    ``outputs``: a variable or a nest of them; the result has its form. ``replace``: inputs, shared
    variables or intermediate values, to what takes their places, of the same dtype and number of
    axes. Where an input's size is a name, it becomes the size of what replaces it. Graphs never
    change: the old expressions stay as they were.

    Raises ArgumentError for what is not a variable of these expressions, DTypeError and ShapeError
    for a replacement that does not fit.

    >>> import symgraph as sg
    >>> x, y = sg.scalar("x"), sg.scalar("y")
    >>> z = sg.graph_replace(sg.exp(x) + y, {sg.exp(x): y * 2, y: 3.0})
    >>> z.eval({y: 5.0}).item()
    13.0
    """
    leaves, pack = flatten(outputs)
    leaves = [as_variable(v) for v in leaves]
    known = set(ancestors(leaves))
    olds, news = [], []
    for old, new in replace.items():
        if not isinstance(old, Variable) or old not in known:
            label = old.label() if isinstance(old, Variable) else repr(old)
            raise ArgumentError(
                f"graph_replace: {label} does not occur in these expressions",
                hint="sg.graph_inputs(outputs) lists their inputs, sg.ancestors all values",
            )
        olds.append(old)
        news.append(as_variable(new))
    places = [Input(old.type, old.name) for old in olds]
    cut = rebuild(leaves, dict(zip(olds, places, strict=True)))
    made = with_sizes_of(Graph(places, cut), news)
    return pack(made)


def graph_inputs(outputs: Any) -> list[Variable]:
    """The inputs and shared variables on which expressions depend, in the order of use.

    >>> import symgraph as sg
    >>> x, w = sg.vector("x"), sg.shared([1.0, 2.0], "w")
    >>> [v.name for v in sg.graph_inputs(sg.sum(x * w))]
    ['x', 'w']
    """
    return [v for v in ancestors(outputs) if isinstance(v, Input | Shared)]


def ancestors(outputs: Any) -> list[Variable]:
    """Every value that expressions depend on, themselves included: each after what it is made of.

    >>> import symgraph as sg
    >>> x = sg.scalar("x")
    >>> len(sg.ancestors(sg.exp(x) + x))
    3
    """
    leaves = [as_variable(v) for v in flatten(outputs)[0]]
    found: dict[Variable, None] = {}
    for node in toposort(leaves):
        found.update(dict.fromkeys((*node.inputs, *node.outputs)))
    found.update(dict.fromkeys(leaves))
    return list(found)


def node_sizes(node: Apply) -> list[tuple[Expr, Apply | None]]:
    """The names of sizes in the parameters of a node, such as the shape that it reshapes to: each
    with the node that makes it, for a size that depends on data, or None for a size of an input.

    Whoever walks over a graph and computes its nodes needs these too, beside `Apply.inputs`. A
    size that the node itself makes is not among them.

    >>> import symgraph as sg
    >>> mask = sg.vector("mask", dtype="bool")
    >>> places = sg.nonzero(mask)[0]
    >>> zeros = sg.zeros(places.shape[0] * 2)
    >>> [maker.op.name for _, maker in sg.node_sizes(zeros.owner)]
    ['flatnonzero']
    """
    own = getattr(node.op, node.op.makes) if node.op.makes else None
    names = dict.fromkeys(made_sizes.names(node.op._values))
    return [(n, n.maker) for n in names if n is not own]
