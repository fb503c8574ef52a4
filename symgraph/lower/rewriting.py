"""Pieces that the schedules share: what a nest reads and writes, and nests with other indices."""

from __future__ import annotations

from collections.abc import Mapping

from symgraph.loops.statements import (
    Alloc,
    Fold,
    For,
    If,
    Let,
    Size,
    Stmt,
    Store,
    expressions,
    walk,
)
from symgraph.scalar import Expr, as_expr, as_size, const, postorder, substitute

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
    stands = {**at, **(instead or {})}

    def value(e: Expr) -> Expr:
        return substitute(e, stands)

    def size(n: Size) -> Size:
        return as_size(value(n)) if isinstance(n, Expr) else n

    def statement(s: Stmt) -> Stmt:
        match s:
            case For():
                return s._replace(extent=size(s.extent), body=tuple(map(statement, s.body)))
            case Fold():
                inner, values = tuple(map(statement, s.body)), tuple(map(value, s.values))
                starts = tuple(map(value, s.starts))
                return s._replace(extent=size(s.extent), body=inner, values=values, starts=starts)
            case Let():
                return Let(s.name, value(s.value))
            case If():
                return If(value(s.cond), tuple(map(statement, s.body)))
            case Store():
                return Store(s.buffer, tuple(map(value, s.indices)), value(s.value))
            case Alloc():
                return s._replace(shape=tuple(map(size, s.shape)))
        return s

    return tuple(map(statement, body))
