"""Folds down the columns of row-major data, some rows after the others.

Few rows go down in strips of columns (lower/strips.py). Of more than LONG rows each LONG do so, and
what they come to lies in memory until it is folded, too:

    for part in 0 .. ceil(R / LONG)
      for strip in 0 .. ceil(n / WIDTH): carried[j] over these rows; parts[part, j] = carried[j]
    for j vector: fold over parts[part, j]; what is made of the folds; rows[j] = what is read again

So each thread reads whole rows that follow each other, which memory, its pages and whatever
foresees reads like best. Half of the columns of rows 4096 bytes apart lie in half of the sets of
each cache, besides (sums of 1024x1024 floats, two threads: 71 us, of half of the rows 31), and few
columns are work for several threads.
"""

from __future__ import annotations

from symgraph.loops.statements import Fold, For, Kernel, Let, Param, Size, Stmt, Store
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
    expressions_within,
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
    postorder,
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
    if len(path) == 1 and _are_many(found):
        parts = _Parts(loop, found)
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


def _are_many(columns: list[Column]) -> bool:
    """Whether there may be more rows than go together."""
    rows = [c.loops[0][1] for c in columns]
    alone = all(len(c.loops) == 1 for c in columns)
    return alone and any(not isinstance(n, int) or n > LONG for n in rows)


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
    """Loops one after another: each level of folds, and what is made of them."""

    def __init__(self, loop: For, columns: list[Column]) -> None:
        super().__init__(loop, columns)
        self.params: list[Param] = []
        self.deviations = _deviations(loop.body, columns)
        self.parts: dict[Expr, str] = {}  # what each part of a fold comes to

    def build(self) -> tuple[Stmt, ...]:
        """The loops."""
        levels = self._levels()
        out: list[Stmt] = []
        for level in range(max(levels.values()) + 1):
            now = [s for s in self.loop.body if levels[s] == level]
            columns = [self.columns[s.names] for s in now if isinstance(s, Fold)]
            second = [c for c in columns if c.names[0] in self.deviations]
            whole: dict[Expr, Fold] = {}
            for first in alike([c for c in columns if c not in second]):
                names = {c.names[0] for c in first}
                after = [c for c in second if self.deviations[c.names[0]].total in names]
                out.append(self._in_parts(first, after))
                whole.update((c.names[0], self._whole(c)) for c in (*first, *after))
            later = [s for s in self.loop.body if levels[s] > level]
            made = [whole[s.names[0]] if isinstance(s, Fold) else s for s in now]
            if made:
                out.append(self._made(made, later))
        return tuple(out)

    def _levels(self) -> dict[Stmt, int]:
        """Deviations are found in the pass that finds the mean."""
        plain = {
            s: s._replace(values=(self.deviations[s.names[0]].value,))
            if isinstance(s, Fold) and s.names[0] in self.deviations else s
            for s in self.loop.body
        }  # fmt: skip
        levels = levels_of(tuple(plain.values()))
        return {s: levels[x] for s, x in plain.items()}

    def _in_parts(self, first: list[Column], after: list[Column]) -> For:
        """The loop over the parts of all rows: some folds, and deviations from means of those."""
        extent = first[0].loops[0][1]
        rows, count = _parts(extent, self.loop.extent)
        begin, most = PART * as_expr(rows), as_expr(rows)
        self.rooms = []
        nest, ends = self.down(first, begin, most)
        if after:
            centres = self._centres(after, F.minimum(as_expr(extent) - begin, most))
            nest.append(self.across((*ends, *centres)))
            more, finals = self.down(after, begin, most)
            nest += more
            ends += finals
            for c in after:
                self.at.pop(self.deviations[c.names[0]].centre, None)
        stores: list[Stmt] = []
        for name in (n for c in (*first, *after) for n in c.names):
            parts = self.parts[name] = self._memory(name.dtype, (count, self.loop.extent))
            stores.append(Store(parts, (PART, self.at[self.loop.index]), name))
        strips = self.across_strips((*self.rooms, *nest, self.across((*ends, *stores))))
        return For(PART, count, "serial", (strips,))

    def _whole(self, c: Column) -> Fold:
        """The fold over what the parts come to."""
        extent = c.loops[0][1]
        rows, count = _parts(extent, self.loop.extent)
        values = tuple(self._part(n) for n in c.names)
        if c.names[0] in self.deviations:
            length = F.minimum(as_expr(extent) - K * as_expr(rows), as_expr(rows))
            values = (self._moved(c.names[0], length),)
        return Fold(c.names, c.combiner, K, count, "serial", (), values)

    def _part(self, name: Expr) -> Expr:
        return load(self.parts[name], (K, self.at[self.loop.index]), name.dtype)

    def _centres(self, columns: list[Column], rows: Expr) -> list[Stmt]:
        """The means of a part."""
        stores: list[Stmt] = []
        for c in columns:
            d = self.deviations[c.names[0]]
            if d.centre not in self.at:
                room = self.room(d.centre.dtype)
                mean = F.div(d.total, node("cast", (rows,), d.centre.dtype))
                stores.append(Store(room, (J,), mean))
                self.at[d.centre] = load(room, (J,), d.centre.dtype)
        return stores

    def _moved(self, name: Expr, rows: Expr) -> Expr:
        """The squares of a part's deviations from its own mean, as from that of all: Chan, Golub
        and LeVeque, Algorithms for computing the sample variance, 1983. So the values are read once
        from afar, and what is lost by a mean far away is lost in neither."""
        d = self.deviations[name]
        count = node("cast", (rows,), name.dtype)
        far = F.sub(F.div(self._part(d.total), count), d.centre)
        return F.add(self._part(name), F.mul(count, F.mul(far, far)))

    def _made(self, statements: list[Stmt], later: list[Stmt]) -> For:
        """What is made of the folds of a level; names that are wanted later go to memory."""
        made = [n for s in statements for n in getattr(s, "names", (getattr(s, "name", None),))]
        wanted = {e for s in later for e in postorder(expressions_within(s))}
        inner = list(moved(tuple(statements), self.at))
        column = self.at[self.loop.index]
        for name in (n for n in made if n in wanted):
            row = self._memory(name.dtype, (self.loop.extent,))
            inner.append(Store(row, (column,), name))
            self.at[name] = load(row, (column,), name.dtype)
        return self.across_strips((self.across(tuple(inner)),))

    def _memory(self, dtype: str, shape: tuple[Size, ...]) -> str:
        name = f"parts{len(self.params)}"
        self.params.append(Param(name, dtype, shape, "out"))
        return name
