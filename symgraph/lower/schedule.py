"""Choices about a kernel's loops that do not change what it computes.

``collapse``: two neighbouring loops of a perfect nest that walk through memory as one become one,
so that short rows do not waste vector lanes and loop ends.
"""

from __future__ import annotations

from symgraph.loops.statements import For, Kernel, Let, Param, Stmt, Store
from symgraph.scalar import Expr, as_expr, as_size, node, postorder, transform
from symgraph.scalar import rebuild as rebuild_expr


def schedule(kernel: Kernel) -> Kernel:
    """The kernel as it will be emitted."""
    while True:
        collapsed = _collapse(kernel)
        if collapsed is kernel:
            return kernel
        kernel = collapsed


def _collapse(kernel: Kernel) -> Kernel:
    """Merge the two innermost loops of a perfect nest of Lets and Stores when every access has both
    indices side by side over an axis of exactly that extent, or neither."""
    path = _perfect(kernel)
    if len(path) < 2:
        return kernel
    outer, inner = path[-2], path[-1]
    if not all(isinstance(s, Let | Store) for s in inner.body):
        return kernel
    shapes = {p.name: p.shape for p in kernel.params}
    merged: dict[str, int] = {}
    accesses = _accesses(inner.body)
    for buffer, indices in accesses:
        spot = _side_by_side(indices, outer.index, inner.index)
        if spot is None or (spot >= 0 and shapes[buffer][spot + 1] != inner.extent):
            return kernel
        if merged.setdefault(buffer, spot) != spot:
            return kernel
    if _uses_elsewhere(inner.body, outer.index, inner.index):
        return kernel
    index = outer.index
    extent = as_size(as_expr(outer.extent) * as_expr(inner.extent))
    body = tuple(_drop(s, inner.index, merged) for s in inner.body)
    loop: Stmt = For(index, extent, inner.kind, body)
    for f in reversed(path[:-2]):
        loop = f._replace(body=(loop,))
    params = tuple(_merge_shape(p, merged.get(p.name, -1)) for p in kernel.params)
    return kernel._replace(params=params, body=(loop,))


def _perfect(kernel: Kernel) -> list[For]:
    path: list[For] = []
    body = kernel.body
    while len(body) == 1 and isinstance(body[0], For):
        path.append(body[0])
        body = body[0].body
    return path


def _accesses(body: tuple[Stmt, ...]) -> list[tuple[str, tuple[Expr, ...]]]:
    out: list[tuple[str, tuple[Expr, ...]]] = []
    for e in postorder(_roots(body)):
        if e.op == "load":
            out.append((e.attr, e.args))
        elif e.op == "load_if":
            out.append((e.attr, e.args[1:]))
    return out + [(s.buffer, s.indices) for s in body if isinstance(s, Store)]


def _roots(body: tuple[Stmt, ...]) -> list[Expr]:
    values = [s.value for s in body if isinstance(s, Let | Store)]
    return values + [i for s in body if isinstance(s, Store) for i in s.indices]


def _side_by_side(indices: tuple[Expr, ...], i: Expr, j: Expr) -> int | None:
    """The place of (i, j) in the indices; -1 where neither occurs, None where not side by side."""
    found = [k for k, e in enumerate(indices) if {i, j} & set(postorder([e]))]
    if not found:
        return -1
    k = found[0]
    if len(found) == 2 and found[1] == k + 1 and indices[k] is i and indices[k + 1] is j:
        return k
    return None


def _uses_elsewhere(body: tuple[Stmt, ...], i: Expr, j: Expr) -> bool:
    """Whether i or j is used other than as an index of an access."""
    inside: set[Expr] = set()
    for e in postorder(_roots(body)):
        operands = e.args if e.op == "load" else () if e.op != "load_if" else e.args[1:]
        inside.update(operands)
        plain = e.args if e.op not in ("load", "load_if") else e.args[:1] * (e.op == "load_if")
        if any(a is i or a is j for a in plain):
            return True
    return any(s.value is i or s.value is j for s in body if isinstance(s, Let | Store))


def _drop(s: Stmt, j: Expr, merged: dict[str, int]) -> Stmt:
    def without(buffer: str, indices: tuple[Expr, ...]) -> tuple[Expr, ...]:
        spot = merged.get(buffer, -1)
        return indices if spot < 0 else indices[: spot + 1] + indices[spot + 2 :]

    def visit(e: Expr, args: tuple[Expr, ...]) -> Expr:
        if e.op == "load":
            return node("load", without(e.attr, args), e.dtype, e.attr)
        if e.op == "load_if":
            return node("load_if", (args[0], *without(e.attr, args[1:])), e.dtype, e.attr)
        return rebuild_expr(e, args)

    def expr(e: Expr) -> Expr:
        return transform([e], visit)[0]

    if isinstance(s, Let):
        return s._replace(value=expr(s.value))
    assert isinstance(s, Store)
    return Store(s.buffer, without(s.buffer, tuple(map(expr, s.indices))), expr(s.value))


def _merge_shape(p: Param, spot: int) -> Param:
    if spot < 0:
        return p
    both = as_size(as_expr(p.shape[spot]) * as_expr(p.shape[spot + 1]))
    return p._replace(shape=(*p.shape[:spot], both, *p.shape[spot + 2 :]))
