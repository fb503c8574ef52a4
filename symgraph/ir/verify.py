"""The grammar of graphs, checked: run after every pass in tests and under SYMGRAPH_VERIFY=1."""

from __future__ import annotations

from typing import Any

from symgraph.errors import SymgraphError, UnboundVariableError, VerifyError
from symgraph.ir.graph import Apply, Constant, Graph, Input, Variable, toposort
from symgraph.ir.hashing import inner_graphs
from symgraph.ir.op import incomplete
from symgraph.ir.shared import Shared
from symgraph.ir.types import Size, TensorType
from symgraph.scalar import Expr, substitute, variables


def verify(graph: Graph, what: str = "graph") -> None:
    """Check a graph and its inner graphs; ``what`` (a pass, say) begins the message.

    Every node's types must be those that its op infers now, every leaf an input of the graph, a
    constant or a shared variable, every op complete, every node after those it reads.

    Raises UnboundVariableError naming a free variable, VerifyError naming the node and the reason.

    >>> x = Input(TensorType("float64", (3,)), "x")
    >>> verify(Graph((x,), (x,)))
    """
    complete: set[Any] = set()
    seen = {graph}
    todo = [(graph, what)]
    while todo:
        current, where = todo.pop()
        for inner, place in _verify_one(current, where, complete):
            if inner not in seen:
                seen.add(inner)
                todo.append((inner, place))


def _verify_one(graph: Graph, what: str, complete: set[Any]) -> list[tuple[Graph, str]]:
    known: set[Variable] = set()
    for v in graph.inputs:
        if not isinstance(v, Variable) or isinstance(v, Constant):
            raise VerifyError(f"{what}: {v!r} cannot be an input")
        if v in known:
            raise VerifyError(f"{what}: {v.label()} is an input twice", origin=v.origin)
        known.add(v)
    for v in graph.outputs:
        if not isinstance(v, Variable):
            raise VerifyError(f"{what}: {v!r} is not a variable")
    inner: list[tuple[Graph, str]] = []
    for node in toposort(graph.outputs):
        for v in node.inputs:
            if v not in known:
                _leaf(v, what, node)
                known.add(v)
        op = node.op
        if type(op) not in complete:
            _complete(op, what)
            complete.add(type(op))
        _types(node, what)
        known.update(node.outputs)
        inner += [(g, f"{what}: inner graph of {op.name}") for g in inner_graphs(op)]
    for v in graph.outputs:
        if v not in known:
            _leaf(v, what, None)
    return inner


def _leaf(v: Variable, what: str, node: Apply | None) -> None:
    reader = f", read by {node.op.name}" if node is not None else ""
    if isinstance(v, Constant):
        if str(v.data.dtype) != v.dtype or v.data.shape != v.shape or v.data.flags.writeable:
            raise VerifyError(f"{what}: constant {v.type.text()} holds other data{reader}")
    elif v.owner is not None:
        raise VerifyError(f"{what}: {v.label()} is used before it is computed{reader}")
    elif not isinstance(v, Shared):
        kind = "input" if isinstance(v, Input) else "variable"
        raise UnboundVariableError(
            f"{what}: the {kind} {v.label()}: {v.type.text()} is not among the inputs{reader}",
            origin=v.origin,
            hint="add it to the inputs, or replace it by a value with givens",
        )


def _complete(op: Any, what: str) -> None:
    if not op.elementwise or type(op).fields != ("name",):  # rows are checked when they are made
        missing = incomplete(type(op))
        if missing:
            raise VerifyError(f"{what}: op {op.name} is incomplete: {missing}")


def _types(node: Apply, what: str) -> None:
    try:
        inferred = node.op.types(*(i.type for i in node.inputs))
    except SymgraphError as error:
        raise VerifyError(
            f"{what}: {node.op!r} does not accept its inputs: {error.what}", origin=node.origin
        ) from error
    for k, v in enumerate(node.outputs):
        if v.owner is not node or v.index != k:
            raise VerifyError(f"{what}: output {k} of {node.op!r} belongs to another node")
    declared = tuple(v.type for v in node.outputs)
    if inferred != declared and not types_agree(inferred, declared):
        texts = [", ".join(t.text() for t in types) for types in (declared, inferred)]
        raise VerifyError(
            f"{what}: {node.op!r} is marked {texts[0]}, its type rule says {texts[1]}",
            origin=node.origin,
            operands=[(i.label(), i.type.text(), i.origin) for i in node.inputs],
        )


def types_agree(a: tuple[TensorType, ...], b: tuple[TensorType, ...]) -> bool:
    """Whether types are equal but for the names of unnamed sizes (``?7``), which are new each time
    that a type rule makes one."""
    if len(a) != len(b):
        return False
    renamed: dict[Expr, Expr] = {}
    for s, t in zip(a, b, strict=True):
        if s.dtype != t.dtype or s.ndim != t.ndim:
            return False
        if not all(_sizes_agree(m, n, renamed) for m, n in zip(s.shape, t.shape, strict=True)):
            return False
    return True


def _sizes_agree(m: Size, n: Size, renamed: dict[Expr, Expr]) -> bool:
    if not isinstance(m, Expr) or not isinstance(n, Expr):
        return m is n or (not isinstance(m, Expr) and not isinstance(n, Expr) and m == n)
    for x, y in zip(variables(m), variables(n), strict=False):
        if x.attr.startswith("?") and y.attr.startswith("?"):
            renamed.setdefault(x, y)
    return substitute(m, renamed) is n
