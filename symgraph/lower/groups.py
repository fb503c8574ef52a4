"""Roots that share one loop nest.

A group runs over outer axes P. In a *column* group every member has exactly the shape P (or folds
over inner serial loops) and the last axis of P is the vector axis. In a *row* group members may
also have further inner axes Q, or fold over them, and the innermost of those is the vector axis:
softmax, layer normalisation and their gradients become one pass over rows that stay in cache. A
member reads another one only at the same P.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symgraph.loops.statements import Size
from symgraph.lower.partition import Root
from symgraph.scalar import Expr, coefficient, postorder

LOOK_BACK = 48  # how many groups back a root looks for company
LARGEST = 1200  # expression nodes of a group: code generators slow down on longer blocks
WINDOW = 8  # elements up to which a fold along the last axis is a window
SMALL = 4096  # elements up to which same-shape neighbours share a kernel though they share no data


class Group:
    """Roots in order of computation, their kind and the extents of their common outer axes."""

    __slots__ = ("by_buffer", "kind", "length", "members", "number", "outer", "sources")

    def __init__(self, number: int, root: Root, kind: str, outer: tuple[Size, ...]) -> None:
        self.number, self.kind, self.outer = number, kind, outer
        self.members: list[Root] = []
        self.by_buffer: dict[str, Root] = {}
        self.sources: set[str] = set()
        self.length = 0
        self.add(root)

    def add(self, root: Root) -> None:
        """Take a root in."""
        self.members.append(root)
        self.by_buffer[root.buffer] = root
        self.sources.update(root.sources)
        self.length += root.length


def natural_kind(root: Root) -> str:
    """Row when a fold's innermost axis is the one along which its loads go better, else column. A
    short window that moves along the last axis is no row: its folds side by side fill the lanes."""
    if root.reduction is None or not root.reduction.axes:
        return "column"
    if not root.axes:
        return "row"
    width = root.reduction.extents[-1]
    if isinstance(width, int) and width <= WINDOW:
        if any(_slides(x, root.axes[-1], root.reduction.axes[-1]) for x in root.reads):
            return "column"
    numbers = set(loads_inside(root.reads))  # which say what is read: one for each row, as a rule
    reads = [x for x in root.reads if x not in numbers]
    row, column = (_along(reads, axis) for axis in (root.reduction.axes[-1], root.axes[-1]))
    return "row" if row >= column else "column"


def _along(reads: Sequence[Expr], axis: Expr) -> int:
    """How many loads have neighbours along an axis, less those that jump along it; one that does
    not depend on it is the same for all lanes."""
    near = sum(unit_stride(x, axis) for x in reads)
    return 2 * near - sum(axis in postorder([x]) for x in reads)


def loads_inside(reads: Sequence[Expr]) -> Iterator[Expr]:
    """The loads that indices of other loads are made of."""
    for x in reads:
        indices = x.args if x.op == "load" else x.args[1:]
        yield from (e for e in postorder(indices) if e.op in ("load", "load_if"))


def _slides(read: Expr, axis: Expr, window: Expr) -> bool:
    """Whether the last index of a read is made of both."""
    indices = read.args if read.op == "load" else read.args[1:]
    steps = [coefficient(indices[-1], a) for a in (axis, window)] if indices else []
    return bool(steps) and all(s is not None and not (s.is_const and s.value == 0) for s in steps)


def unit_stride(read: Expr, axis: Expr) -> bool:
    """Whether consecutive values of ``axis`` read consecutive elements."""
    indices = read.args if read.op == "load" else read.args[1:]
    if not indices:
        return False
    one = coefficient(indices[-1], axis)
    others = all(_constant_in(i, axis) for i in indices[:-1])
    return one is not None and one.is_const and one.value == 1 and others


def _constant_in(index: Expr, axis: Expr) -> bool:
    c = coefficient(index, axis)
    return c is not None and c.is_const and c.value == 0


def _aligned(root: Root, group: Group, depth: int) -> bool:
    """All reads of members happen at the same first ``depth`` axes as they were stored."""
    outer = set(root.axes[:depth])
    for read in root.reads:
        member = group.by_buffer.get(read.attr)
        if member is None:
            continue
        indices = read.args if read.op == "load" else read.args[1:]
        mine = set(member.axes[:depth])
        for stored, used in zip(member.target, indices, strict=True):
            if (stored in mine or used in outer or stored.is_const) and stored is not used:
                return False
    return True


def _shares(root: Root, group: Group) -> bool:
    return any(b in group.by_buffer or b in group.sources for b in root.sources)


def _tiny(extents: tuple[Size, ...]) -> bool:
    total = 1
    for e in extents:
        if not isinstance(e, int):
            return False
        total *= e
    return total <= SMALL


def joins(root: Root, kind: str, group: Group) -> tuple[str, tuple[Size, ...]] | None:
    """The (kind, outer axes) of the group once ``root``, of this natural kind, is in it; None when
    it does not fit."""
    if group.length + root.length > LARGEST:
        return None
    shape = root.extents
    folding = root.reduction is not None and bool(root.reduction.axes)
    outer = group.outer
    if group.kind == "column" and outer == shape and not (folding and kind == "row"):
        close = _shares(root, group) or _tiny(outer)
        return ("column", outer) if close and _aligned(root, group, len(outer)) else None
    if group.kind == "row" and not (folding and kind == "column"):
        fits = shape == outer if folding else shape[: len(outer)] == outer
        if fits and _shares(root, group) and _aligned(root, group, len(outer)):
            return "row", outer
        return None
    if folding and kind == "row" and group.kind == "column" and len(outer) >= len(shape):
        points = all(m.reduction is None or not m.reduction.axes for m in group.members)
        prefix = outer[: len(shape)] == shape
        reads = any(b in group.by_buffer for b in root.sources)
        if points and prefix and reads and _aligned(root, group, len(shape)):
            return "row", shape
    return None


class Grouping:
    """Places roots and other steps into an order of groups without making a cycle."""

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.owner: dict[str, int] = {}  # buffer -> number of the group or step that makes it
        self.direct: list[set[int]] = []  # by number: what it depends on
        self.closure: list[int] = []  # the same, transitively, as bit masks

    def add_step(self, reads: list[str], writes: list[str], needs: set[int]) -> int:
        """A step that is no kernel: it stands alone."""
        number = self._number(reads, needs)
        for w in writes:
            self.owner[w] = number
        return number

    def add_root(self, root: Root) -> int:
        """Put the root into the latest group that can take it, or into one of its own."""
        direct = {self.owner[b] for b in root.sources if b in self.owner} | root.needs
        kind = natural_kind(root)
        for group in reversed(self.groups[-LOOK_BACK:]):
            if any(d != group.number and self.closure[d] >> group.number & 1 for d in direct):
                continue  # something between would have to run both after and before the group
            joined = joins(root, kind, group)
            if joined is not None:
                group.kind, group.outer = joined
                group.add(root)
                self._extend(group.number, direct)
                self.owner[root.buffer] = group.number
                return group.number
        number = self._number(list(root.sources), root.needs)
        self.groups.append(Group(number, root, kind, root.extents))
        self.owner[root.buffer] = number
        return number

    def _number(self, reads: list[str], needs: set[int]) -> int:
        direct = {self.owner[r] for r in reads if r in self.owner} | needs
        mask = 0
        for d in direct:
            mask |= self.closure[d] | 1 << d
        self.direct.append(direct)
        self.closure.append(mask)
        return len(self.direct) - 1

    def _extend(self, number: int, direct: set[int]) -> None:
        mask = 0
        for d in direct - {number}:
            mask |= self.closure[d] | 1 << d
        self.direct[number] |= direct - {number}
        if mask & ~self.closure[number]:
            self.closure[number] |= mask
            for k in range(len(self.closure)):
                if self.closure[k] >> number & 1:
                    self.closure[k] |= mask

    def order(self) -> list[int]:
        """All numbers, each after what it depends on, otherwise as they were added."""
        out: list[int] = []
        done: set[int] = set()
        for first in range(len(self.direct)):
            stack = [first]
            while stack:
                waiting = self.direct[stack[-1]] - done
                if waiting:
                    stack.extend(sorted(waiting, reverse=True))
                    continue
                top = stack.pop()
                if top not in done:
                    done.add(top)
                    out.append(top)
        return out
