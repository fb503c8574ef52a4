"""Folds down the columns of row-major data, some rows after the others.

Few rows go down in strips of columns (lower/strips.py). Of more than LONG rows each LONG do so, and
what they come to lies in memory until it is folded, too:

    for part in 0 .. ceil(R / LONG)
      for strip in 0 .. ceil(n / WIDTH): carried[j] over these rows; parts[part, j] = carried[j]
    for j vector: fold over parts[part, j]; what is made of the folds

So each thread reads whole rows that follow each other, which memory, its pages and whatever
foresees reads like best. Half of the columns of rows 4096 bytes apart lie in half of the sets of
each cache, besides (sums of 1024x1024 floats, two threads: 71 us, of half of the rows 31), and few
columns are work for several threads. If there turns out to be one part, what is made of it is made
at once.

Folds that need folds stay in strips, where rows that fit the second cache are read from afar once;
but for squares of deviations from a mean, which each part takes from a mean of its own.
"""

from __future__ import annotations

from symgraph.loops.statements import Fold, For, If, Kernel, Let, Param, Size, Stmt, Store
from symgraph.lower.rewriting import (
    around,
    independent,
    moved,
    perfect_nest,
    place_of,
    position,
    reads,
)
from symgraph.lower.strips import (
    Column,
    J,
    K,
    Strips,
    alike,
    fold_down,
    levels_of,
    stores_last,
)
from symgraph.records import NamedTuple
from symgraph.scalar import (
    Expr,
    as_expr,
    as_size,
    coefficient,
    const,
    load,
    node,
    substitute,
    var,
)
from symgraph.scalar import functions as F

LONG = 128  # rows that go down together
FEW, LONGER = 64, 1024  # up to so many columns, and rows that go down together there
SHORT = 32  # rows up to which a vector of columns goes down alone, where the number is known
PART = var("_ipart")


def strip(kernel: Kernel) -> Kernel:
    """The kernel with its long folds down columns in strips, perhaps with more parameters: memory
    of its own. Itself where it has none, or where it is not one nest of loops round folds, then
    Lets, then Stores, the innermost of kind "vector"."""
    path = perfect_nest(kernel.body)
    if not path or path[-1].kind != "vector":
        return kernel
    loop = path[-1]
    columns = [fold_down(s) for s in loop.body if isinstance(s, Fold)]
    shapes = {p.name: p.shape for p in kernel.params}
    found = [c for c in columns if c is not None]
    if len(found) < len(columns) or not any(_goes_down(c, loop, shapes) for c in found):
        return kernel
    if not stores_last(loop.body) or not independent(loop.body):
        return kernel
    parts = _Parts(loop, found)
    if len(path) == 1 and parts.fits():
        body = parts.build()
        return kernel._replace(params=(*kernel.params, *parts.params), body=body)
    return kernel._replace(body=around(path[:-1], Strips(loop, found).build()))


def _goes_down(column: Column, loop: For, shapes: dict[str, tuple[Size, ...]]) -> bool:
    """Whether it is long and reads neighbours along the loop."""
    extents = [n for _, n in column.loops]
    long = not all(isinstance(n, int) for n in extents)
    length = 1
    for n in extents:
        length *= n if isinstance(n, int) else 1
    long = long or length > SHORT
    for x in reads(tuple(Let(v, v) for v in column.values)):
        place = position(place_of(x), shapes[x.attr])
        steps = [coefficient(place, i) for i in (loop.index, column.loops[-1][0])]
        if long and steps[0] is const(1) and steps[1] is not const(0):
            return True
    return False


def _parts(extent: Size, columns: Size) -> tuple[Size, Size]:
    """The rows of a part, and the number of parts."""
    long, longer = ((as_expr(extent) + (n - 1)) // n for n in (LONG, LONGER))
    if isinstance(columns, int):
        return (LONGER, as_size(longer)) if columns <= FEW else (LONG, as_size(long))
    few = F.le(columns, FEW)
    return as_size(F.select(few, const(LONGER), const(LONG))), as_size(F.select(few, longer, long))


class _Deviation(NamedTuple):
    """A fold that adds squares of deviations from a mean of the same values."""

    column: Column
    centre: Expr  # the name of the mean
    total: Expr  # the name of the sum that it is made of
    value: Expr  # what deviates


def _deviations(body: tuple[Stmt, ...], columns: list[Column]) -> dict[Expr, _Deviation]:
    """Such folds, by their names."""
    lets = {s.name: s.value for s in body if isinstance(s, Let)}
    sums = {c.names[0]: c for c in columns if c.combiner == "add" and len(c.loops) == 1}
    found = {}
    for name, c in sums.items():
        (square,), (index, extent) = c.values, c.loops[0]
        if square.op != "mul" or square.args[0] is not square.args[1]:
            continue
        difference = square.args[0]
        mean = lets.get(difference.args[-1]) if difference.op == "sub" else None
        if mean is None or mean.op != "div" or mean.args[0] not in sums:
            continue
        total, count = mean.args
        whole = sums[total]
        value = difference.args[0]
        same = substitute(value, {index: whole.loops[0][0]}) is whole.values[0]
        if same and extent == whole.loops[0][1] and count is _as_float(extent, count.dtype):
            found[name] = _Deviation(c, difference.args[1], total, value)
    return found


def _as_float(size: Size, dtype: str) -> Expr:
    if isinstance(size, int):
        return const(float(size), dtype)
    return node("cast", (size,), dtype)


class _Parts(Strips):
    """Two loops: the parts of all rows, and what is made of them."""

    WIDTH = 1024  # the parts are work for all threads already

    def __init__(self, loop: For, columns: list[Column]) -> None:
        super().__init__(loop, columns)
        self.params: list[Param] = []
        self.deviations = _deviations(loop.body, columns)
        self.parts: dict[Expr, str] = {}  # what each part of a fold comes to
        self.extent = columns[0].loops[-1][1]
        self.rows, self.count = _parts(self.extent, loop.extent)

    def fits(self) -> bool:
        """Whether there may be several parts, whose folds do not need each other."""
        columns = self.columns.values()
        plain = {
            s: s._replace(values=(self.deviations[s.names[0]].value,))
            if isinstance(s, Fold) and s.names[0] in self.deviations else s
            for s in self.loop.body
        }  # fmt: skip
        levels = levels_of(tuple(plain.values()))
        one = all(len(c.loops) == 1 and c.loops[0][1] == self.extent for c in columns)
        return one and max(levels.values()) == 0 and self.count != 1

    def build(self) -> tuple[Stmt, ...]:
        """The loops."""
        columns = list(self.columns.values())
        after = [c for c in columns if c.names[0] in self.deviations]
        nest, ends = self._part([c for c in columns if c not in after], after)
        one = F.le(as_expr(self.count), 1)
        column = self.at[self.loop.index]
        stores: list[Stmt] = []
        for name in (n for c in columns for n in c.names):
            parts = self.parts[name] = self._memory(name.dtype)
            stores.append(Store(parts, (PART, column), name))
        made = [s for s in self.loop.body if not isinstance(s, Fold)]
        ends += [If(one, moved(tuple(made), self.at)), If(F.not_(one), tuple(stores))]
        whole = [self._whole(self.columns[s.names]) if isinstance(s, Fold) else s
                 for s in self.loop.body]  # fmt: skip
        together = self.across(moved(tuple(whole), self.at))
        strips = self.across_strips((*self.rooms, *nest, self.across(tuple(ends))))
        parts_of_all = For(PART, self.count, "serial", (strips,))
        other = F.not_(F.eq(as_expr(self.count), 1))  # of no rows there is no part
        return parts_of_all, If(other, (self.across_strips((together,)),))

    def _part(self, columns: list[Column], after: list[Column]) -> tuple[list[Stmt], list[Stmt]]:
        """The folds of a part, and then deviations from means of those."""
        begin, most = PART * as_expr(self.rows), as_expr(self.rows)
        nest: list[Stmt] = []
        ends: list[Stmt] = []
        for first in alike(columns):
            loops, finals = self.down(first, begin, most)
            nest, ends = [*nest, *loops], [*ends, *finals]
        if not after:
            return nest, ends
        nest.append(self.across((*ends, *self._centres(after, PART))))
        for second in alike(after):
            loops, finals = self.down(second, begin, most)
            nest, ends = [*nest, *loops], [*ends, *finals]
        for c in after:
            self.at.pop(self.deviations[c.names[0]].centre, None)
        return nest, ends

    def _length(self, part: Expr, dtype: str) -> Expr:
        """The number of rows of a part."""
        rows = as_expr(self.rows)
        return node("cast", (F.minimum(as_expr(self.extent) - part * rows, rows),), dtype)

    def _centres(self, columns: list[Column], part: Expr) -> list[Stmt]:
        """The means of a part."""
        stores: list[Stmt] = []
        for c in columns:
            d = self.deviations[c.names[0]]
            if d.centre not in self.at:
                room = self.room(d.centre.dtype)
                mean = F.div(d.total, self._length(part, d.centre.dtype))
                stores.append(Store(room, (J,), mean))
                self.at[d.centre] = load(room, (J,), d.centre.dtype)
        return stores

    def _whole(self, c: Column) -> Fold:
        """The fold over what the parts come to."""
        values = tuple(self._held(n) for n in c.names)
        if c.names[0] in self.deviations:
            values = (self._moved(c.names[0]),)
        return Fold(c.names, c.combiner, K, self.count, "serial", (), values)

    def _held(self, name: Expr) -> Expr:
        return load(self.parts[name], (K, self.loop.index), name.dtype)

    def _moved(self, name: Expr) -> Expr:
        """The squares of a part's deviations from its own mean, as from that of all: Chan, Golub
        and LeVeque, Algorithms for computing the sample variance, 1983. So the values are read once
        from afar, and what is lost by a mean far away is lost in neither."""
        d = self.deviations[name]
        count = self._length(K, name.dtype)
        far = F.sub(F.div(self._held(d.total), count), d.centre)
        return F.add(self._held(name), F.mul(count, F.mul(far, far)))

    def _memory(self, dtype: str) -> str:
        name = f"parts{len(self.params)}"
        count = as_expr(self.count)
        several = as_size(F.select(F.le(count, 1), const(0), count))
        self.params.append(Param(name, dtype, (several, self.loop.extent), "out"))
        return name
