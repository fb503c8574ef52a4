"""Pieces that the schedules share: what a nest reads and writes, and nests with other indices."""

from __future__ import annotations

from collections.abc import Mapping

from symgraph.loops.statements import (
    Fold,
    For,
    Let,
    Size,
    Stmt,
    Store,
    expressions,
    replaced,
    walk,
)
from symgraph.scalar import Expr, as_expr, const, postorder

Indices = tuple[Expr, ...]


def perfect_nest(body: tuple[Stmt, ...]) -> list[For]:
    """The loops that hold nothing but the next one, from the outermost."""
    path: list[For] = []
    while len(body) == 1 and isinstance(body[0], For):
        path.append(body[0])
        body = body[0].body
    return path


def around(loops: list[For], body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """The body inside these loops, the first of them outermost."""
    for loop in reversed(loops):
        body = (loop._replace(body=body),)
    return body


def reads(body: tuple[Stmt, ...]) -> list[Expr]:
    """Every load of the statements, once."""
    roots = [e for s in walk(body) for e in expressions(s)]
    return [e for e in postorder(roots) if e.op in ("load", "load_if")]


def place_of(read: Expr) -> Indices:
    """The indices of a load."""
    return read.args if read.op == "load" else read.args[1:]


def bound_names(s: Stmt) -> tuple[Expr, ...]:
    """The scalars that a statement binds for those after it."""
    if isinstance(s, Fold):
        return s.names
    return (s.name,) if isinstance(s, Let) else ()


def accesses(body: tuple[Stmt, ...]) -> list[tuple[str, Indices]]:
    """The buffer and the indices of every load and store."""
    found = [(e.attr, place_of(e)) for e in reads(body)]
    return found + [(s.buffer, s.indices) for s in walk(body) if isinstance(s, Store)]


def independent(body: tuple[Stmt, ...]) -> bool:
    """Whether memory that is written is read, if at all, only at the place of the write."""
    places: dict[str, Indices] = {}
    for s in walk(body):
        if isinstance(s, Store) and places.setdefault(s.buffer, s.indices) != s.indices:
            return False
    return all(places.get(e.attr, place_of(e)) == place_of(e) for e in reads(body))


def position(indices: Indices, shape: tuple[Size, ...]) -> Expr:
    """The place of an element in its buffer: the row-major polynomial of its indices."""
    total, stride = const(0), const(1)
    for index, size in zip(reversed(indices), reversed(shape), strict=True):
        total = total + index * stride
        stride = stride * as_expr(size)
    return total


def moved(
    body: tuple[Stmt, ...], at: Mapping[Expr, Expr], instead: Mapping[Expr, Expr] | None = None
) -> tuple[Stmt, ...]:
    """The statements at other indices; a node of ``instead`` is replaced as a whole, by an
    expression that holds the other indices already."""
    return replaced(body, {**at, **(instead or {})})
