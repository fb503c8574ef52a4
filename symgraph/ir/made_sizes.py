"""Sizes that depend on data: which node makes them, and which nodes speak of them.

An op with such a result (``makes``) holds the name of its size as a parameter. The name leads back
to the node that made it (``Expr.maker``): a graph may use the size of an array, for zeros say,
without the array.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import Any

from symgraph.scalar import Expr, variables

_made: weakref.WeakValueDictionary[Any, Any] = weakref.WeakValueDictionary()
_any = False  # whether this process has made one: most never do, and look no further


def exist() -> bool:
    """Whether there can be such sizes in a graph."""
    return _any


def register(node: Any) -> None:
    """Remember a node that makes a size."""
    global _any
    _any = True
    size = getattr(node.op, node.op.makes)
    if isinstance(size, Expr) and size.op == "var":
        if size.maker is None:
            size.maker = node
        _made.setdefault(_key(node.op, node.inputs), node)


def known(op: Any, inputs: Sequence[Any]) -> Any:
    """The node that was made of this op, but for the name of its size, and these inputs."""
    return _made.get(_key(op, inputs))


def _key(op: Any, inputs: Sequence[Any]) -> Any:
    rest = tuple(v for n, v in zip(op.fields, op._values, strict=True) if n != op.makes)
    return (type(op), rest, *map(id, inputs))  # the node holds its inputs, so their ids stay valid


def names(value: Any) -> Iterator[Expr]:
    """The names of sizes in a size, a type, a parameter of an op or a graph."""
    if isinstance(value, Expr):
        yield from variables(value)
    elif isinstance(value, tuple):
        for v in value:
            yield from names(v)
    elif isinstance(value, slice):
        yield from names((value.start, value.stop, value.step))
    elif hasattr(value, "toposort"):
        yield from _names_in_graph(value)


def _names_in_graph(graph: Any) -> Iterator[Expr]:
    own: set[Expr] = set()
    found: dict[Expr, None] = {}
    for v in graph.inputs:
        found.update(dict.fromkeys(names(v.type)))
    for node in graph.toposort():
        found.update(dict.fromkeys(names(node.op._values)))
        if node.op.makes:
            own.add(getattr(node.op, node.op.makes))
    yield from (n for n in found if n not in own)


def needs(node: Any) -> list[Any]:
    """The nodes that make the sizes of which the parameters of a node speak."""
    found = {n.maker: None for n in names(node.op._values) if n.maker is not None}
    found.pop(node, None)
    if node.op.makes:
        own = getattr(node.op, node.op.makes)
        found = {m: None for m in found if getattr(m.op, m.op.makes) is not own}
    return list(found)


def made(size: Any) -> bool:
    """Whether a size depends on data."""
    return any(n.maker is not None for n in names(size))


def in_graph(graph: Any) -> bool:
    """Whether a graph, or one inside it, makes a size that depends on data."""
    if not _any:
        return False
    order = graph.sized_toposort()
    return any(node.op.makes or any(makers_inside(node.op)) for node in order)


def makers_inside(op: Any) -> Iterator[Any]:
    """The nodes inside the graphs that an op owns whose results have such sizes."""
    inner = getattr(op, "inner", None)
    for graph in inner() if inner is not None else ():
        for node in graph.toposort():
            if node.op.makes:
                yield node
            yield from makers_inside(node.op)


def belongs_inside(v: Any, op: Any) -> bool:
    """Whether a variable is an input of a graph that an op owns, or of one inside that."""
    inner = getattr(op, "inner", None)
    return any(
        any(i is v for i in graph.inputs)
        or any(belongs_inside(v, node.op) for node in graph.toposort())
        for graph in (inner() if inner is not None else ())
    )
