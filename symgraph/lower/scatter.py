"""Scatters: elements that are put, or added, where indices say.

for i { out[index[i]] = out[index[i]] + v[i] }

Any two terms may meet in one place, so they come one after another. Where a small table collects
many terms, parts of them fill tables of their own, and these are added up afterwards. Whether there
are parts depends on the sizes alone, which are looked at when the kernel runs; so the result does
not depend on the threads that share the parts. With ``some`` 1 or 0:

    for part in 0 .. PARTS * some { clear tables[part]; its terms }
    for i in 0 .. rows * (1 - some) { term }
    for j in 0 .. places * some { out[j] = out[j] + fold part: tables[part, j] }
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from symgraph import dtypes
from symgraph.ir.graph import Apply, Variable
from symgraph.ir.types import Size, TensorType
from symgraph.loops.compute import Operand, identity, index_axes
from symgraph.loops.program import Copy, Step
from symgraph.loops.statements import Fold, Stmt, Store
from symgraph.lower.build import Builder
from symgraph.lower.kernels import kernel, nest
from symgraph.lower.rewriting import moved
from symgraph.lower.sequences import COMBINE
from symgraph.scalar import Expr, as_expr, as_size, const, load, transform, var
from symgraph.scalar import functions as F
from symgraph.scalar import rebuild as rebuild_expr

PARTS = 8  # or none
EACH = 1 << 14  # terms of a part, at least
FULL = 8  # terms of a part for each place of its table, at least
TOGETHER = 8  # terms of one turn of a loop over single elements
ROWS = 64  # turns of the outermost loop in a part, at least
GAP = 128  # bytes between tables, so that threads never write to one cache line
MERGED = ("add", "mul", "maximum", "minimum")


def scatter(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """out = x, in its memory where nothing else reads it; then for each place of the index arrays,
    out[place] = v or combined with v; trailing axes go as vectors. The operands may be views."""
    made = _Scatter(b, apply, params)
    x, *others = apply.inputs
    alone = all(i is not x for i in others) and b.buffer(x) not in made.names
    in_place = alone and b.take_over(x, made.out)
    step = made.step()
    steps: list[Step] = [step] if in_place else [Copy(made.out, b.buffer(x)), step]
    needs = needs.union(*(b.needs_of(v) for v in others))
    b.add_steps([b.buffer(x), *made.names], [made.out, *made.tables], steps, needs)


class _Scatter:
    """One scatter's kernel: p0 is the result, the next parameters are what it reads, then come the
    tables of the parts."""

    def __init__(self, b: Builder, apply: Apply, params: dict[str, Any]) -> None:
        self.b, self.apply, self.mode = b, apply, params["mode"]
        self.axes: tuple[int, ...] = params["axes"]
        x, v, *index = apply.inputs
        self.v, self.index, self.ndim, self.dtype = v, index, x.ndim, x.dtype
        self.out = b.buffer(apply.output)
        self.shape = b.buffers[self.out].shape
        self.common = v.ndim - (x.ndim - len(self.axes))
        self.places = list(index_axes(v.ndim))
        self.extents = [b.ctx.simplify(n) for n in v.shape]
        self.names: list[str] = []
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
            target.append(F.select(F.lt(i, const(0)), i + as_expr(self.shape[k]), i))
        return target

    def _term(self, table: str = "p0", *first: Expr) -> Store:
        place, value = (*first, *self.target), self.value
        if self.mode != "set":
            value = COMBINE[self.mode](load(table, place, self.dtype), value)
        return Store(table, place, value)

    def step(self) -> Step:
        trailing = len(self.places) > self.common and (self.ndim - 1) not in self.axes
        self.kind = "vector" if trailing else "serial"
        body = nest(self.places, self.extents, (self._term(),), self.kind)
        some = self._parted()
        if some is not None:
            body = self._in_parts(some)
        buffers, modes = [self.out, *self.names], "o" + "i" * len(self.names)
        buffers, modes = [*buffers, *self.tables], modes + "o" * len(self.tables)
        return kernel(self.b, buffers, modes, body, self.apply.origins)

    def _parted(self) -> Expr | None:
        """1 where there are parts, 0 where there are none; None where the latter is known."""
        plain = self.dtype == "bool" or dtypes.is_int(self.dtype) or dtypes.is_float(self.dtype)
        plain = plain and not dtypes.is_narrow(self.dtype)
        if self.mode not in MERGED or not self.common or not plain or not self.b.ctx.scheduled:
            return None
        terms, cells = _product(self.extents), _product(self.shape)
        least = F.maximum(cells * (PARTS * FULL), const(PARTS * EACH))
        some = F.minimum(terms // least, const(1))
        if self.common > 1:
            some = F.minimum(as_expr(self.extents[0]) // (PARTS * ROWS), some)
        return None if some.is_const and some.value == 0 else some

    def _in_parts(self, some: Expr) -> tuple[Stmt, ...]:
        rows, part, k = as_expr(self.extents[0]), var("_part"), var("_k")
        parts, chunk = as_size(some * PARTS), (rows + (PARTS - 1)) // PARTS
        at = list(index_axes(self.ndim))
        across = as_size(_product(self.shape[1:]))
        gap: Size = GAP // dtypes.itemsize(self.dtype)  # elements, then rows that hold as many
        if isinstance(across, int):
            gap = -(-gap // max(across, 1))
        room = (parts, as_size(as_expr(self.shape[0]) + as_expr(gap)), *self.shape[1:])
        self.tables = [self.b.scratch(TensorType(self.dtype, room))]
        table = f"p{1 + len(self.names)}"
        neutral = const(identity(self.mode, self.dtype), self.dtype)
        clear = nest(at, self.shape, (Store(table, (part, *at), neutral),), "vector")
        here = as_size(F.minimum(rows - part * chunk, chunk))
        row = self.places[0]

        def terms(extent: Size, *stores: Stmt) -> tuple[Stmt, ...]:
            if len(self.places) > 1:
                return nest(self.places, [extent, *self.extents[1:]], stores, self.kind)
            # elements that follow no order are not vectors; several to a turn count less
            whole = as_expr(extent) // TOGETHER
            several = [moved(stores, {row: row * TOGETHER + k}) for k in range(TOGETHER)]
            rest = moved(stores, {row: whole * TOGETHER + row})
            return (
                *nest([row], [as_size(whole)], tuple(s for each in several for s in each)),
                *nest([row], [as_size(as_expr(extent) - whole * TOGETHER)], rest),
            )

        own = moved((self._term(table, part),), {row: part * chunk + row})
        total = var("_total", self.dtype)
        read = load(table, (k, *at), self.dtype)
        held = COMBINE[self.mode](load("p0", tuple(at), self.dtype), total)
        fold = Fold((total,), self.mode, k, parts, "serial", (), (read,))
        ends: Sequence[Size] = [as_size(as_expr(self.shape[0]) * some), *self.shape[1:]]
        return (
            *nest([part], [parts], (*clear, *terms(here, *own))),
            *terms(as_size(rows * (1 - some)), self._term()),
            *nest(at, ends, (fold, Store("p0", tuple(at), held)), "vector"),
        )


def _product(sizes: Sequence[Size]) -> Expr:
    return functools.reduce(lambda a, n: a * as_expr(n), sizes, const(1))
