"""Rows that a kernel keeps only to read them again are computed again instead.

    for r { row[r] = exp(x[i, r] - m) }   fold s += row[r];   for r { y[i, r] = row[r] / s }

On a CPU the row lies in the nearest cache. On a GPU it would go through shared memory or, when its
length is not known, through the memory of the device, which costs more than the arithmetic; and
where a thread has a row's elements in registers, what it computes twice is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgraph.loops.statements import For, Let, Stmt, Store, expressions
from symgraph.lower.cuda.frame import LOADS, rewritten
from symgraph.lower.turns import accesses
from symgraph.scalar import Expr, postorder, rebuild, substitute, transform

MOST = 40  # nodes of an element


def forwarded(body: Sequence[Stmt], names: set[str]) -> tuple[tuple[Stmt, ...], set[str]]:
    """The statements without those of the buffers that can go, and the names of these."""
    gone: set[str] = set()
    for name in sorted(names):
        found = _without(tuple(body), name)
        if found is not None:
            body = found
            gone.add(name)
    return tuple(body), gone


def _without(body: tuple[Stmt, ...], name: str) -> tuple[Stmt, ...] | None:
    stores = [a for a in accesses(body) if a.written and a.buffer == name]
    if len(stores) != 1:
        return None
    for k, s in enumerate(body):
        element = _element(s, name)
        if element is None:
            continue
        indices, value = element
        written = {a.buffer for a in accesses(body) if a.written}
        nodes = postorder([value])
        if len(nodes) > MOST or any(e.op in LOADS and e.attr in written for e in nodes):
            return None
        later = body[k + 1 :]
        if any(e.op == "load_if" and e.attr == name for e in _nodes(later)):
            return None
        kept = _without_store(s, name)
        return (*body[:k], *kept, *_replaced(later, name, indices, value))
    return None


def _nodes(body: Sequence[Stmt]) -> list[Expr]:
    found: list[Expr] = []
    for s in body:
        found += postorder(expressions(s))
        found += _nodes(getattr(s, "body", ()))
    return found


def _element(s: Stmt, name: str) -> tuple[tuple[Expr, ...], Expr] | None:
    """The indices of the loops of a nest and the value that it stores at just these."""
    path: list[Expr] = []
    body: tuple[Stmt, ...] = (s,)
    while len(body) == 1 and isinstance(body[0], For):
        path.append(body[0].index)
        body = body[0].body
    known: dict[Expr, Expr] = {}
    for x in body:
        if isinstance(x, Let):
            known[x.name] = substitute(x.value, known)
        elif not isinstance(x, Store):
            return None
        elif x.buffer == name:
            value = substitute(x.value, known)
            same = sorted(map(id, x.indices)) == sorted(map(id, path))
            return (x.indices, value) if same else None
    return None


def _without_store(s: Stmt, name: str) -> tuple[Stmt, ...]:
    """The nest without the store; nothing where it did nothing else."""
    if isinstance(s, For):
        body = tuple(x for inner in s.body for x in _without_store(inner, name))
        return (s._replace(body=body),) if any(not isinstance(x, Let) for x in body) else ()
    return () if isinstance(s, Store) and s.buffer == name else (s,)


def _replaced(
    body: tuple[Stmt, ...], name: str, indices: tuple[Expr, ...], value: Expr
) -> tuple[Stmt, ...]:
    def again(root: Expr) -> Expr:
        def visit(e: Expr, args: tuple[Expr, ...]) -> Expr:
            if e.op == "load" and e.attr == name:
                return substitute(value, dict(zip(indices, args, strict=True)))
            return rebuild(e, args)

        return transform([root], visit)[0]

    return rewritten(body, again)
