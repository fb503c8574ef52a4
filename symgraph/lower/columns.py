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
    K,
    Strips,
    alike,
    expressions_within,
    fold_down,
    levels_of,
    stores_last,
)
from symgraph.scalar import as_expr, as_size, coefficient, const, load, postorder, var
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


class _Parts(Strips):
    """Loops one after another: each level of folds, and what is made of them."""

    def __init__(self, loop: For, columns: list[Column]) -> None:
        super().__init__(loop, columns)
        self.params: list[Param] = []

    def build(self) -> tuple[Stmt, ...]:
        """The loops."""
        levels = levels_of(self.loop.body)
        out: list[Stmt] = []
        for level in range(max(levels.values()) + 1):
            now = [s for s in self.loop.body if levels[s] == level]
            folds: list[Stmt] = []
            for together in alike([self.columns[s.names] for s in now if isinstance(s, Fold)]):
                nest, whole = self._in_parts(together)
                out.append(nest)
                folds += whole
            others = [s for s in now if not isinstance(s, Fold)]
            later = [s for s in self.loop.body if levels[s] > level]
            if folds or others:
                out.append(self._made([*folds, *others], later))
        return tuple(out)

    def _in_parts(self, columns: list[Column]) -> tuple[Stmt, list[Stmt]]:
        """The loop over the parts of all rows, and the folds over what they come to."""
        extent = columns[0].loops[0][1]
        rows, count = _parts(extent, self.loop.extent)
        column = self.at[self.loop.index]
        self.rooms = []
        nest, ends = self.down(columns, PART * as_expr(rows), as_expr(rows))
        folds: list[Stmt] = []
        stores: list[Stmt] = []
        for c in columns:
            parts = [self._memory(v.dtype, (count, self.loop.extent)) for v in c.values]
            stores += [Store(p, (PART, column), n)
                       for p, n in zip(parts, c.names, strict=True)]  # fmt: skip
            values = tuple(load(p, (K, column), n.dtype)
                           for p, n in zip(parts, c.names, strict=True))  # fmt: skip
            folds.append(Fold(c.names, c.combiner, K, count, "serial", (), values))
        strips = self.across_strips((*self.rooms, *nest, self.across((*ends, *stores))))
        return For(PART, count, "serial", (strips,)), folds

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
