"""Scatters: elements that are put, or added, where indices say.

for i { out[index[i]] = out[index[i]] + v[i] }

Any two terms may meet in one place, so they come one after another. Where a small table collects
many terms, parts of them fill tables of their own, and these are added up afterwards. Whether there
are parts depends on the sizes alone, which are looked at when the kernel runs; so the result does
not depend on the threads that share the parts. With ``some`` 1 or 0:

    for part in 0 .. PARTS * some { clear tables[part]; its terms }    (two tables, see _halves)
    for i in 0 .. rows * (1 - some) { term }
    for j in 0 .. places * some { out[j] = out[j] + fold part: tables[part, j] }

Where the rows in front of the axis are many, each collects its own terms:

for row { for i { out[row, index[i]] = out[row, index[i]] + v[i, row] } }

Where a scatter checks its indices itself (lower/own_checks.py), LOOK of them at a time are looked
at and used, if all of them are good; whether all were is one more result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from symgraph import dtypes
from symgraph.ir.graph import Apply, Variable
from symgraph.ir.types import Size, TensorType
from symgraph.loops.compute import Operand, identity, index_axes
from symgraph.loops.program import Copy, Require, Step
from symgraph.loops.statements import Fold, For, If, Stmt, Store
from symgraph.lower.build import Builder
from symgraph.lower.kernels import kernel, nest
from symgraph.lower.rewriting import moved
from symgraph.lower.scatter_sizes import PARTS, common_axes, parted, product
from symgraph.lower.sequences import COMBINE
from symgraph.scalar import Expr, as_expr, as_size, const, load, substitute, transform, var
from symgraph.scalar import functions as F
from symgraph.scalar import rebuild as rebuild_expr

ROWS = 8  # that are scattered one after another; of fewer the terms may be shared in parts
TOGETHER = 4  # terms of one turn of a loop over single elements
GAP = 128  # bytes between tables, so that threads never write to one cache line
LOOK = 512  # indices that are looked at and then used: with what is added a few pages


def scatter(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """out = x, in its memory where nothing else reads it; then for each place of the index arrays,
    out[place] = v or combined with v; trailing axes go as vectors. The operands may be views."""
    failure = b.own_checks.get(apply)
    made = _Scatter(b, apply, params, failure is not None)
    x, *others = apply.inputs
    alone = all(i is not x for i in others) and b.buffer(x) not in made.names
    in_place = alone and b.take_over(x, made.out)
    step = made.step()
    steps: list[Step] = [step] if in_place else [Copy(made.out, b.buffer(x)), step]
    if failure is not None:
        steps.append(Require(made.flag, failure))
    needs = needs.union(*(b.needs_of(v) for v in others))
    b.add_steps([b.buffer(x), *made.names], [made.out, *made.tables], steps, needs)


class _Scatter:
    """One scatter's kernel: p0 is the result, the next parameters are what it reads, then come the
    tables of the parts, whether each part's indices are good, and whether all are."""

    def __init__(self, b: Builder, apply: Apply, params: dict[str, Any], looks: bool) -> None:
        self.looks, self.flag = looks, ""
        self.b, self.apply, self.mode = b, apply, params["mode"]
        self.axes: tuple[int, ...] = params["axes"]
        x, v, *index = apply.inputs
        self.v, self.index, self.ndim, self.dtype = v, index, x.ndim, x.dtype
        self.out = b.buffer(apply.output)
        self.shape = b.buffers[self.out].shape
        self.common = common_axes(apply)
        self.places = list(index_axes(v.ndim))
        self.extents = [b.ctx.simplify(n) for n in v.shape]
        self.names: list[str] = []
        self.single = v.ndim == x.ndim == 1 and self.common == 1
        self.value = self._read(v, tuple(self.places))
        self.target = self._target()
        self.tables: list[str] = []

    def _read(self, v: Variable, indices: tuple[Expr, ...]) -> Expr:
        """An element of an operand, whose buffers become parameters."""

        def renamed(e: Expr, args: tuple[Expr, ...]) -> Expr:
            if e.op != "load":
                return rebuild_expr(e, args)
            if e.attr not in self.names:
                self.names.append(e.attr)
            return load(f"p{1 + self.names.index(e.attr)}", args, e.dtype)

        return transform([self.b.element(v, indices)], renamed)[0]

    def _target(self) -> list[Expr]:
        rest = iter(self.places[self.common :])
        target: list[Expr] = []
        for k in range(self.ndim):
            if k not in self.axes:
                target.append(next(rest))
                continue
            index = self.index[self.axes.index(k)]
            shape = [self.b.ctx.simplify(n) for n in index.shape]
            held = Operand("", index.dtype, shape).at_broadcast(self.places[: self.common])
            i = F.cast(self._read(index, held.args), "int64")
            self.place = i
            target.append(F.select(F.lt(i, const(0)), i + as_expr(self.shape[k]), i))
        return target

    def _term(self, table: str = "p0", *first: Expr, wrapped: bool = True) -> Store:
        place, value = (*first, *(self.target if wrapped else [self.place])), self.value
        if self.mode != "set":
            value = COMBINE[self.mode](load(table, place, self.dtype), value)
        return Store(table, place, value)

    def step(self) -> Step:
        trailing = len(self.places) > self.common and (self.ndim - 1) not in self.axes
        self.kind = "vector" if trailing else "serial"
        order = self._in_rows()
        extents = [self.extents[k] for k in order]
        body = nest([self.places[k] for k in order], extents, (self._term(),), self.kind)
        some = parted(self.apply, self.b.ctx) if order == sorted(order) else None
        if some is not None:
            body = self._in_parts(some)
        buffers, modes = [self.out, *self.names], "o" + "i" * len(self.names)
        buffers, modes = [*buffers, *self.tables], modes + "o" * len(self.tables)
        return kernel(self.b, buffers, modes, body, self.apply.origins)

    def _in_rows(self) -> list[int]:
        """The order of the loops: that of the places, but where some or many rows are scattered
        along an inner axis each on its own, the rows come first and stay in cache."""
        lead = min(self.axes)
        rows = [self.common + k for k in range(lead)]
        count = product([self.extents[k] for k in rows])
        if isinstance(count, int) and count < ROWS:
            rows = []
        return [*rows, *(k for k in range(len(self.places)) if k not in rows)]

    def _in_parts(self, some: Expr) -> tuple[Stmt, ...]:
        rows, part, k = as_expr(self.extents[0]), var("_part"), var("_k")
        parts, chunk = as_size(some * PARTS), (rows + (PARTS - 1)) // PARTS
        begin, here = part * chunk, F.minimum(rows - part * chunk, chunk)
        at, across = list(index_axes(self.ndim)), as_size(product(self.shape[1:]))
        gap: Size = GAP // dtypes.itemsize(self.dtype)  # elements, then rows that hold as many
        if isinstance(across, int):
            gap = -(-gap // max(across, 1))
        each = 2 if self.single else 1
        tables = as_size(as_expr(parts) * each)
        room = (tables, as_size(as_expr(self.shape[0]) + as_expr(gap)), *self.shape[1:])
        self.tables = [self.b.scratch(TensorType(self.dtype, room))]
        table = f"p{1 + len(self.names)}"
        clear: list[Stmt] = []
        neutral = const(identity(self.mode, self.dtype), self.dtype)
        for own in range(each):
            zero = Store(table, (part * each + own, *at), neutral)
            clear += nest(at, self.shape, (zero,), "vector")
        if self.single:
            terms = self._halves(table, part, begin, here)
        else:
            extents = [as_size(here), *self.extents[1:]]
            stores = moved((self._term(table, part),), {self.places[0]: begin + self.places[0]})
            terms = nest(self.places, extents, stores, self.kind)
        rest = self._rest(as_size(rows * (1 - some)))
        self.rest = bool(rest)
        total = var("_total", self.dtype)
        read = load(table, (k, *at), self.dtype)
        held = COMBINE[self.mode](load("p0", tuple(at), self.dtype), total)
        fold = Fold((total,), self.mode, k, tables, "serial", (), (read,))
        ends: Sequence[Size] = [as_size(as_expr(self.shape[0]) * some), *self.shape[1:]]
        return (
            For(part, parts, "serial", (*clear, *terms, *self._told(part, parts))),
            *rest,
            *self._all_told(parts),
            *nest(at, ends, (fold, Store("p0", tuple(at), held)), "vector"),
        )

    # single elements, which follow no order and are no vectors

    def _halves(self, table: str, part: Expr, begin: Expr, here: Expr) -> tuple[Stmt, ...]:
        """The terms of a part, of which each half has a table: a term that meets the one before in
        a place waits for it, while one of the other half does not."""
        half, row = here // 2, self.places[0]

        def stores(start: Expr, wrapped: bool) -> tuple[Stmt, ...]:
            pairs = [(part * 2, begin + start), (part * 2 + 1, begin + half + start)]
            made = [moved((self._term(table, own, wrapped=wrapped),), {row: at + row})
                    for own, at in pairs]  # fmt: skip
            return tuple(s for each in made for s in each)

        left = begin + half * 2
        last = moved((self._term(table, part * 2),), {row: left + row})
        odd = For(row, as_size(here - half * 2), "serial", last)
        if not self.looks:
            return (*self._together(as_size(half), stores(const(0), True), 2), odd)
        tests = [begin, begin + half]
        both = self._looked("_part", as_size(half), tests, stores)
        good = var("_odd_good", "bool")
        test = self._inside({row: left + row}, -self._limit())
        look = Fold((good,), "and", row, odd.extent, "serial", (), (test,))
        return (*both, look, If(good, (odd,)))

    def _rest(self, count: Size) -> tuple[Stmt, ...]:
        """All terms, where there are no parts."""
        row = self.places[0]
        if count == 0:
            return ()
        if not self.single:
            return nest(self.places, [count, *self.extents[1:]], (self._term(),), self.kind)

        def stores(start: Expr, wrapped: bool) -> tuple[Stmt, ...]:
            return moved((self._term(wrapped=wrapped),), {row: start + row})

        if self.looks:
            return self._looked("_rest", count, [const(0)], stores)
        return self._together(count, stores(const(0), True), 1)

    def _together(self, count: Size, stores: tuple[Stmt, ...], each: int) -> tuple[Stmt, ...]:
        """Stores of ``each`` terms for so many turns; several to a turn count less."""
        row, several = self.places[0], TOGETHER // each
        whole = as_expr(count) // several
        many = [moved(stores, {row: row * several + k}) for k in range(several)]
        rest = moved(stores, {row: whole * several + row})
        return (
            For(row, as_size(whole), "serial", tuple(s for some in many for s in some)),
            For(row, as_size(as_expr(count) - whole * several), "serial", rest),
        )

    # checks

    def _limit(self) -> Expr:
        return as_expr(self.shape[self.axes[0]])

    def _inside(self, at: dict[Expr, Expr], least: Expr) -> Expr:
        """Whether an index is good and, with ``least`` 0, counts from the front."""
        i = substitute(self.place, at)
        return F.and_(F.le(least, i), F.lt(i, self._limit()))

    def _looked(
        self, name: str, count: Size, begins: Sequence[Expr],
        stores: Callable[[Expr, bool], tuple[Stmt, ...]],
    ) -> tuple[Stmt, ...]:  # fmt: skip
        """Terms of so many turns, which begin at some rows, with a check; ``name`` and "_good"
        says whether all were good. Few programs count from the end: where no index of a block
        does, none is asked for it again."""
        block, row = var(f"{name}_block"), self.places[0]
        plain, good, whole = (var(f"{name}_{w}", "bool") for w in ("plain", "here", "good"))
        left = F.minimum(as_expr(count) - block * LOOK, const(LOOK))
        at = [{row: begin + block * LOOK + row} for begin in begins]

        def fold(flag: Expr, turns: Size, least: Expr, kind: str) -> Stmt:
            tests = [self._inside(places, least) for places in at]
            return Fold((flag,), "and", row, turns, kind, (), (reduce(F.and_, tests),))

        again = as_size(F.select(plain, const(0), left))
        wrapped = For(row, as_size(left), "serial", stores(block * LOOK, True))
        body = (
            fold(plain, as_size(left), const(0), "vector"),
            fold(good, again, -self._limit(), "serial"),
            If(plain, self._together(as_size(left), stores(block * LOOK, False), len(begins))),
            If(F.and_(good, F.not_(plain)), (wrapped,)),
        )
        blocks = as_size((as_expr(count) + (LOOK - 1)) // LOOK)
        return (Fold((whole,), "and", block, blocks, "serial", body, (good,)),)

    def _told(self, part: Expr, parts: Size) -> tuple[Stmt, ...]:
        """Each part tells whether its indices were good."""
        if not self.looks:
            return ()
        self.flag = self.b.scratch(TensorType("bool"))
        self.tables += [self.b.scratch(TensorType("bool", (parts,))), self.flag]
        good = F.and_(var("_part_good", "bool"), var("_odd_good", "bool"))
        return (Store(f"p{2 + len(self.names)}", (part,), good),)

    def _all_told(self, parts: Size) -> tuple[Stmt, ...]:
        """Whether all indices were good."""
        if not self.looks:
            return ()
        k, good = var("_k"), var("_parts_good", "bool")
        read = load(f"p{2 + len(self.names)}", (k,), "bool")
        whole = F.and_(good, var("_rest_good", "bool")) if self.rest else good
        return (
            Fold((good,), "and", k, parts, "serial", (), (read,)),
            Store(f"p{3 + len(self.names)}", (), whole),
        )
