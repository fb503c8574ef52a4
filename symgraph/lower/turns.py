"""What the turns of a loop touch: whether they can be done in any order, by any thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from symgraph.loops.statements import (
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
from symgraph.scalar import Expr, as_expr, coefficient, depends, postorder, substitute, var


class Access:
    """A load or store, and the loops around it from the outside in."""

    __slots__ = ("around", "buffer", "indices", "written")

    def __init__(
        self, buffer: str, indices: tuple[Expr, ...], written: bool, around: tuple[For | Fold, ...]
    ) -> None:
        self.buffer, self.indices, self.written, self.around = buffer, indices, written, around


def accesses(body: Iterable[Stmt], around: tuple[For | Fold, ...] = ()) -> list[Access]:
    """All accesses in the order of the text; as deep as loops are nested."""
    found: list[Access] = []
    for s in body:
        loop = (*around, s) if isinstance(s, For | Fold) else around
        if not isinstance(s, Fold):
            found += _loads(expressions(s), around)
        if isinstance(s, For | Fold | If):
            found += accesses(s.body, loop)
        if isinstance(s, Fold):
            found += _loads(expressions(s), loop)
        if isinstance(s, Store):
            found.append(Access(s.buffer, s.indices, True, around))
    return found


def _loads(roots: Iterable[Expr], around: tuple[For | Fold, ...]) -> Iterator[Access]:
    for e in postorder(roots):
        if e.op in ("load", "load_if"):
            yield Access(e.attr, e.args[e.op == "load_if" :], False, around)


class Turns:
    """What is known of the indices in one turn of a loop: the extents of the loops inside, and that
    ``minimum(n - c * index, c)``, the length of a block, is not above c."""

    def __init__(self, s: For, index: Expr) -> None:
        self.index = index
        loops = [x for x in walk((s,)) if isinstance(x, For | Fold)]
        self.length: dict[Expr, Expr] = {}
        self.most: dict[Expr, int] = {}
        for x in loops:
            if x.index is index:
                self._block_lengths(x, loops)

    def _block_lengths(self, s: For | Fold, loops: Sequence[For | Fold]) -> None:
        roots = [as_expr(x.extent) for x in loops]
        roots += [i for a in accesses(s.body) for i in a.indices]
        for e in postorder(roots):
            if e.op != "minimum" or e.dtype != "int64" or not any(a.is_const for a in e.args):
                continue  # an index may be computed from floats
            limit, rest = sorted(e.args, key=lambda a: not a.is_const)
            size = rest + self.index * limit
            if not depends(size, self.index) and (size + limit - 1) // limit is as_expr(s.extent):
                name = var(f"_length{len(self.length)}")
                self.length[e] = name
                self.most[name] = int(limit.value)

    def apart(self, touched: Sequence[Access]) -> bool:
        """Whether on some axis all accesses lie in the window of their turn: c * index, and up to
        c - 1 more."""
        for axis in range(len(touched[0].indices)):
            scales = {self._window(a.indices[axis], a.around) for a in touched}
            if len(scales) == 1 and None not in scales:
                return True
        return False

    def _window(self, e: Expr, around: tuple[For | Fold, ...]) -> int | None:
        if e is self.index:
            return 1
        e = substitute(e, self.length)
        c = coefficient(e, self.index)
        if c is None or not c.is_const or c.value < 1:
            return None
        scale, rest = int(c.value), e - self.index * int(c.value)
        if not self._not_negative(rest, {x.index for x in around}):
            return None
        for x in reversed(around):  # at most the last turn of the loops around
            if depends(rest, x.index):
                extent = substitute(as_expr(x.extent), self.length)
                if any(depends(extent, y.index) for y in around):
                    return None  # a triangle: the last turn need not be the one that goes furthest
                rest = substitute(rest, {x.index: extent - 1})
        return scale if self._upper(rest) < scale else None

    def _not_negative(self, e: Expr, indices: set[Expr]) -> bool:
        """Sums and products of what is not negative."""
        if e.is_const:
            return bool(e.value >= 0)
        if e.op in ("add", "mul", "floordiv", "minimum"):
            return all(self._not_negative(a, indices) for a in e.args)
        return e in self.most or e in indices

    def _upper(self, e: Expr) -> float:
        """An upper bound, infinite where none is known."""
        if e.is_const:
            return float(e.value)
        if e in self.most:
            return float(self.most[e])
        if e.op == "minimum":
            return min(map(self._upper, e.args))
        if e.op == "add":
            return sum(map(self._upper, e.args))
        if e.op == "sub":
            less = float(e.args[1].value) if e.args[1].is_const else 0.0
            positive = e.args[1].is_const or self._not_negative(e.args[1], set())
            return self._upper(e.args[0]) - less if positive else float("inf")
        if e.op == "mul" and any(a.is_const and a.value > 0 for a in e.args):
            return self._upper(e.args[0]) * self._upper(e.args[1])
        if e.op == "floordiv" and e.args[1].is_const and e.args[1].value > 0:
            return self._upper(e.args[0]) // float(e.args[1].value)
        return float("inf")


def is_scratch(body: Sequence[Stmt], name: str, index: Expr, shape: Sequence[Size]) -> bool:
    """Whether each turn writes the buffer before it reads it, without a condition, at places that
    do not depend on the turn; or on an axis wherever it likes, as all of it is written first."""
    order = accesses(body)
    same = [a for a in order if a.buffer == name]
    if any(index in postorder(a.indices) for a in same):
        return False
    guarded = [s for s in walk(tuple(body)) if isinstance(s, If)]
    if any(a.buffer == name for s in guarded for a in accesses(s.body)):
        return False
    lets = {s.name for s in walk(tuple(body)) if isinstance(s, Let)}
    whole = {x.index: as_expr(x.extent) for x in same[0].around}
    left = [k for k, e in enumerate(same[0].indices) if whole.get(e) is not as_expr(shape[k])]
    if any(lets & set(postorder([a.indices[k] for k in left])) for a in same):
        return False
    return same[0].written
