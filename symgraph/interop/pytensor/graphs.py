"""Ops that hold graphs: OpFromGraph, IfElse, and Scan in loops.py."""

from __future__ import annotations

from typing import Any

from symgraph import api as sg
from symgraph.interop.pytensor.performers import is_tensor
from symgraph.interop.pytensor.sparse_values import number_of
from symgraph.interop.pytensor.table import Untranslatable, translates
from symgraph.interop.pytensor.translation import Translation


@translates("OpFromGraph")
def op_from_graph(op: Any, node: Any, t: Any) -> Any:
    """The inner graph in the op's place."""
    inner = Translation(t.objects, t.outer)
    inner.performed, inner.raises, inner.performers = t.performed, t.raises, t.performers
    inner.loose, inner.strict, inner.rewriter = t.loose, t.strict, t.rewriter
    fgraph = t.inner(op.fgraph)
    for v, outer in zip(fgraph.inputs, node.inputs, strict=True):
        known = t.known(outer)
        if known is not None and is_tensor(v):
            inner.sizes[v] = known
        else:
            inner.values[v] = t.get(outer)
    found = inner.graph(fgraph)
    for v, o in zip(fgraph.outputs, node.outputs, strict=True):
        if v in inner.sizes:
            t.sizes[o] = inner.sizes[v]
    return found


op_from_graph.objects = True  # type: ignore[attr-defined]


@translates("IfElse")
def if_else(op: Any, node: Any, t: Any) -> Any:
    """One of two groups of values; only the chosen one is computed."""
    test = sg.cast(t.get(node.inputs[0]), "bool")
    values = [number_of(t.get(v)) for v in node.inputs[1:]]
    count = op.n_outs
    return _choice(test, values[:count], values[count:], node)


@translates("LazyIfElse")
def lazy_if_else(op: Any, node: Any, t: Any) -> Any:
    """The graph of one of two branches."""
    test = sg.cast(t.get(node.inputs[0]), "bool")
    branches = []
    for graph in (op.true_branch, op.false_branch):
        inner = Translation(t.objects, t)
        for v, outer in zip(graph.inputs, node.inputs[1:], strict=True):
            inner.values[v] = t.get(outer)
        branches.append([number_of(x) for x in inner.graph(graph)])
    yes, no = branches
    return _choice(test, yes, no, node)


def _choice(test: Any, yes: list[Any], no: list[Any], node: Any) -> list[Any]:
    pairs = []
    for a, b, v in zip(yes, no, node.outputs, strict=True):
        if is_tensor(v):
            if a.ndim != b.ndim:
                raise Untranslatable("branches of different rank")
            if any(m is not n and m != n for m, n in zip(a.shape, b.shape, strict=True)):
                raise Untranslatable("branches of different shape")
            a, b = (sg.cast(x, v.type.dtype) for x in (a, b))
        pairs.append((a, b))
    found = sg.cond(test, [a for a, _ in pairs], [b for _, b in pairs])
    return list(found)
