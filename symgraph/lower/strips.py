"""Folds down the columns of row-major data, row by row.

    for j vector { fold r: x[r, j] ... ; store out[j] }

A vector of columns that goes down all rows touches one cache line of each; rows a power of two
apart fall into the same set of the cache, and a second fold over the same columns finds nothing of
the first. Here a strip of columns goes down together, ROWS rows at a time, with what it carries in
small buffers:

    for strip in 0 .. ceil(n / WIDTH)
      alloc carried[WIDTH] ...
      for the folds that do not need each other, together
        for j vector: carried[j] = identity
        for block in 0 .. ceil(R / ROWS)
          for j vector: fold over ROWS rows; carried[j] = carried[j] (+) its value
      for j vector: what is made of the folds; later folds find it in buffers

Sums of floats carry the rounding errors of adding the blocks, as those of the code generator do.
"""

from __future__ import annotations

from symgraph import dtypes
from symgraph.loops.compute import identity
from symgraph.loops.statements import (
    Alloc,
    Fold,
    For,
    Let,
    Size,
    Stmt,
    Store,
    expressions,
)
from symgraph.lower.rewriting import moved
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, as_expr, as_size, const, load, postorder, substitute, var
from symgraph.scalar import functions as F

# rows folded in registers before they join what is carried: as many lines of the same set of the
# first cache as stay there, so that a line which two vectors of columns share is read once
ROWS = 8
STRIP, BLOCK, J, K = (var(f"_i{name}") for name in ("strip", "rows", "j", "k"))
_COMBINE = {
    "add": F.add, "mul": F.mul, "maximum": F.maximum, "minimum": F.minimum,
    "and": F.and_, "or": F.or_,
}  # fmt: skip


class Column(NamedTuple):
    """A fold with the loops of the folds inside it."""

    names: tuple[Expr, ...]
    combiner: str
    loops: tuple[tuple[Expr, Size], ...]
    values: tuple[Expr, ...]


def fold_down(s: Fold) -> Column | None:
    """A fold with those inside it; None where it is none of the known kinds, or holds more."""
    loops = [(s.index, s.extent)]
    inner = s
    while inner.body:
        below = inner.body[0]
        if len(inner.body) > 1 or not isinstance(below, Fold) or inner.values != below.names:
            return None
        if below.combiner != s.combiner:
            return None
        inner = below
        loops.append((inner.index, inner.extent))
    if s.combiner not in (*_COMBINE, "argmax", "argmin"):
        return None
    plain = all(dtypes.is_int(v.dtype) or v.dtype in _PLAIN for v in inner.values)
    return Column(s.names, s.combiner, tuple(loops), inner.values) if plain else None


_PLAIN = ("bool", "float32", "float64")


def stores_last(body: tuple[Stmt, ...]) -> bool:
    """Whether stores come last."""
    stores = [isinstance(s, Store) for s in body]
    known = all(isinstance(s, Fold | Let | Store) for s in body)
    return known and stores == sorted(stores)


class Strips:
    """One loop over strips of columns, with the folds down each of them."""

    WIDTH = 512  # columns of a strip

    def __init__(self, loop: For, columns: list[Column]) -> None:
        self.loop = loop
        self.columns = {c.names: c for c in columns}
        self.rooms: list[Stmt] = []
        self.width = as_size(
            F.minimum(as_expr(loop.extent) - STRIP * self.WIDTH, const(self.WIDTH))
        )
        if isinstance(loop.extent, int) and loop.extent <= self.WIDTH:
            self.width = loop.extent
        elif isinstance(loop.extent, int) and loop.extent % self.WIDTH == 0:
            self.width = self.WIDTH
        self.at: dict[Expr, Expr] = {loop.index: STRIP * self.WIDTH + J}

    def build(self) -> tuple[Stmt, ...]:
        """The loop."""
        levels = levels_of(self.loop.body)
        last = max(levels.values())
        body: list[Stmt] = []
        for level in range(last + 1):
            now = [s for s in self.loop.body if levels[s] == level]
            folds = [self.columns[s.names] for s in now if isinstance(s, Fold)]
            ends: list[Stmt] = []
            for together in alike(folds):
                nest, finals = self.down(together)
                body += nest
                ends += finals
            ends += [s for s in now if not isinstance(s, Fold)]
            later = [s for s in self.loop.body if levels[s] > level]
            body += self._points(ends, later)
        return (self.across_strips((*self.rooms, *body)),)

    def across_strips(self, body: tuple[Stmt, ...]) -> For:
        """The body for each strip."""
        strips = as_size((as_expr(self.loop.extent) + (self.WIDTH - 1)) // self.WIDTH)
        return For(STRIP, strips, "serial", body)

    def _points(self, statements: list[Stmt], later: list[Stmt]) -> list[Stmt]:
        """Lets and stores of the whole strip; names that are wanted later go to buffers, but for
        those of what lies in one."""
        held = [s for s in statements if isinstance(s, Let) and s.value.op == "load"
                and s.value.args == (J,)]  # fmt: skip
        self.at.update((s.name, s.value) for s in held)
        statements = [s for s in statements if s not in held]
        if not statements:
            return []
        made = [s.name for s in statements if isinstance(s, Let)]
        wanted = {e for s in later for e in postorder(expressions_within(s))}
        inner = list(moved(tuple(statements), self.at))
        kept = [(name, self.room(name.dtype)) for name in made if name in wanted]
        inner += [Store(room, (J,), name) for name, room in kept]
        self.at.update({name: load(room, (J,), name.dtype) for name, room in kept})
        return [self.across(tuple(inner))]

    def across(self, body: tuple[Stmt, ...]) -> For:
        """The body for each column of a strip."""
        return For(J, self.width, "vector", body)

    def room(self, dtype: str) -> str:
        """A buffer of a value for each column."""
        name = f"strip{len(self.rooms)}"
        self.rooms.append(Alloc(name, dtype, (self.WIDTH,)))
        return name

    def down(
        self, columns: list[Column], begin: Expr | None = None, most: Expr | None = None
    ) -> tuple[list[Stmt], list[Stmt]]:
        """The loops of some folds of equal extents, and the Lets of their values: down all rows, or
        down the ``most`` rows (fewer at the end) from ``begin`` on."""
        first, rest = columns[0], columns[0].loops[:-1]
        extent = first.loops[-1][1]
        starts: list[Stmt] = []
        turns: list[Stmt] = []
        ends: list[Stmt] = []
        row, length = BLOCK * ROWS, as_expr(extent)
        if begin is not None and most is not None:
            row, length = begin + row, F.minimum(length - begin, most)
        for k, c in enumerate(columns):
            rooms = self._rooms_of(c)
            starts += [Store(room, (J,), value) for room, value in rooms]
            pairs = zip(c.loops[:-1], rest, strict=True)
            at = {**self.at, **{mine: same for (mine, _), (same, _) in pairs}}
            at[c.loops[-1][0]] = row + K
            values = tuple(substitute(v, at) for v in c.values)
            names = tuple(var(f"_part{k}{n}", v.dtype) for n, v in enumerate(values))
            count = as_size(F.minimum(length - BLOCK * ROWS, const(ROWS)))
            if isinstance(extent, int) and extent % ROWS == 0:
                count = ROWS
            turns.append(Fold(names, c.combiner, K, count, "serial", (), values))
            held = [load(room, (J,), v.dtype) for room, v in rooms]
            turns += joined(c.combiner, k, rooms, held, names)
            ends += [Let(n, v) for n, v in zip(c.names, finished(c.combiner, held), strict=False)]
        blocks = as_size((length + (ROWS - 1)) // ROWS)
        together = self.across(tuple(folds_first(turns)))
        nest: tuple[Stmt, ...] = (For(BLOCK, blocks, "serial", (together,)),)
        for i, n in reversed(rest):
            nest = (For(i, n, "serial", nest),)
        return [self.across(tuple(starts)), *nest], ends

    def _rooms_of(self, c: Column) -> list[tuple[str, Expr]]:
        """The buffers of what a fold carries, with the values that they start from."""
        dtype = c.values[0].dtype
        out = [(self.room(dtype), const(identity(c.combiner, dtype), dtype))]
        if len(c.values) == 2:
            out.append((self.room("int64"), const(dtypes.max_value("int64"))))
        elif is_compensated(c.combiner, dtype):
            out.append((self.room(dtype), const(0.0, dtype)))
        return out


def folds_first(turns: list[Stmt]) -> list[Stmt]:
    """In this order folds over the same row share a loop."""
    return sorted(turns, key=lambda s: not isinstance(s, Fold))


def alike(columns: list[Column]) -> list[list[Column]]:
    """Folds that go over the same rows, together."""
    found: dict[tuple[Size, ...], list[Column]] = {}
    for c in columns:
        found.setdefault(tuple(n for _, n in c.loops), []).append(c)
    return list(found.values())


def expressions_within(s: Stmt) -> list[Expr]:
    """The expressions of a statement and of those inside it."""
    found = list(expressions(s))
    for inner in getattr(s, "body", ()):
        found += expressions_within(inner)
    return found


def levels_of(body: tuple[Stmt, ...]) -> dict[Stmt, int]:
    """The number of the pass that makes each statement: a fold comes one after what it reads."""
    of: dict[Expr, int] = {}
    out: dict[Stmt, int] = {}
    for s in body:
        needs = postorder(expressions_within(s))
        level = max((of[e] for e in needs if e in of), default=-1 if isinstance(s, Fold) else 0)
        if isinstance(s, Fold):
            level += 1
            of.update(dict.fromkeys(s.names, level))
        elif isinstance(s, Let):
            of[s.name] = level
        out[s] = level
    last = max(out.values())
    return {s: last if isinstance(s, Store) else level for s, level in out.items()}


def is_compensated(combiner: str, dtype: str) -> bool:
    return combiner == "add" and dtypes.is_float(dtype)


def joined(
    combiner: str, k: int, rooms: list[tuple[str, Expr]], held: list[Expr], new: tuple[Expr, ...]
) -> list[Stmt]:
    """What is carried, with one block more."""
    if len(new) == 2:
        return _better(combiner, k, rooms, held, new)
    x = new[0]
    if not is_compensated(combiner, x.dtype):
        return [Store(rooms[0][0], (J,), _COMBINE[combiner](held[0], x))]
    total, error = (var(f"_{word}{k}", x.dtype) for word in ("total", "error"))
    part = F.sub(total, held[0])
    lost = F.add(F.sub(held[0], F.sub(total, part)), F.sub(x, part))
    return [
        Let(total, F.add(held[0], x)),
        Let(error, F.add(held[1], lost)),
        Store(rooms[0][0], (J,), total),
        Store(rooms[1][0], (J,), error),
    ]


def _better(
    combiner: str, k: int, rooms: list[tuple[str, Expr]], held: list[Expr], new: tuple[Expr, ...]
) -> list[Stmt]:
    """Value and position: NaN first, then the extreme, then the earlier."""
    (old, old_at), (value, at) = held, new
    wins = F.lt(old, value) if combiner == "argmax" else F.lt(value, old)
    same = F.eq(old, value)
    if dtypes.is_float(value.dtype):
        known = F.not_(F.isnan(old))
        wins = F.and_(known, F.or_(wins, F.isnan(value)))
    wins = F.or_(wins, F.and_(same, F.lt(at, old_at)))
    names = [var(f"_best{k}{n}", v.dtype) for n, v in enumerate(new)]
    return [
        Let(names[0], F.select(wins, value, old)),
        Let(names[1], F.select(wins, at, old_at)),
        Store(rooms[0][0], (J,), names[0]),
        Store(rooms[1][0], (J,), names[1]),
    ]


def finished(combiner: str, held: list[Expr]) -> list[Expr]:
    """The value of a fold; an infinite total has a NaN error and is the answer alone."""
    if not is_compensated(combiner, held[0].dtype):
        return held
    total, error = held
    return [F.add(total, F.select(F.isnan(error), const(0.0, error.dtype), error))]
