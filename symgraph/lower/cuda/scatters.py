"""Scatters with many places: the terms of each place found by sorting, added in their order.

    for k { x[i[k], :] += v[k, :] }   ->   keys[k] = the place of x[i[k]];  order = argsort(keys)

Of the sorted keys each first one of its kind has a thread for each trailing element, which goes
through the keys that equal it: the sort keeps the order of equal ones, so the sums are those of the
loop, to the bit, without atomic operations. A place that many terms go to takes its thread long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgraph.loops.program import Buffer, Call, Run, Step
from symgraph.loops.statements import (
    Fold,
    For,
    If,
    Kernel,
    Let,
    Param,
    Stmt,
    Store,
    expressions,
    walk,
)
from symgraph.lower.cuda import sorting
from symgraph.lower.cuda.frame import LOADS, Frame
from symgraph.lower.cuda.nest import Nest, few, position
from symgraph.lower.cuda.spread import THREADS, blocks_of
from symgraph.lower.nests import sizes_of
from symgraph.scalar import (
    Expr,
    as_expr,
    as_size,
    call,
    const,
    depends,
    load,
    postorder,
    product,
    rebuild,
    substitute,
    transform,
    var,
)
from symgraph.scalar import functions as F

FEW = 64  # terms that one thread goes through
ENOUGH = 1 << 14  # trailing elements that keep a GPU busy

Room = Callable[..., str]


def scattered(frame: Frame, step: Run, room: Room) -> list[Step] | None:
    """The steps of a kernel that scatters; None for any other, or where there are few terms."""
    body = frame.kernel.body
    if len(body) != 1 or not isinstance(body[0], For):
        return None
    nest = Nest(frame, body[0])
    store = nest.body[0]
    if len(nest.body) != 1 or not isinstance(store, Store) or not nest.others or nest.private:
        return None
    count, rest = (product(tuple(p.extent for p in side)) for side in (nest.others, nest.parallel))
    if few(count, FEW) or (isinstance(rest, int) and rest >= ENOUGH):
        return None
    nodes = postorder([store.value, *store.indices])
    own = [e for e in nodes if e.op in LOADS and frame.home[e.attr] == frame.home[store.buffer]]
    if any(e.op != "load" or e.args != store.indices for e in own):
        return None
    places = [i for i in store.indices if any(e.op in LOADS for e in postorder([i]))]
    if not places or any(depends(i, p.index) for i in places for p in nest.parallel):
        return None
    plain = [i for i in store.indices if i not in places]
    if sorted(map(id, plain)) != sorted(id(p.index) for p in nest.parallel):
        return None
    return _Scatter(frame, step, nest, store, room).steps()


class _Scatter:
    def __init__(self, frame: Frame, step: Run, nest: Nest, store: Store, room: Room) -> None:
        self.frame, self.step, self.nest, self.store, self.room = frame, step, nest, store, room
        self.count = product(tuple(p.extent for p in nest.others))
        self.total = as_expr(self.count)
        self.keys = Buffer(room("int64", (self.count,)), "int64", (self.count,), "temp")
        self.order = Buffer(room("int64", (self.count,)), "int64", (self.count,), "temp")

    def steps(self) -> list[Step]:
        sort = Call("sort", (self.keys.name, self.order.name), (), self.step.origins)
        flags = {"descending": False, "positions": True}
        made = sorting.sort_steps(self.keys, self.order, flags, sort, self.room)
        assert made is not None
        return [self._places(), *made, self._sums()]

    def _split(self, q: Expr) -> dict[Expr, Expr]:
        """The indices of a term from its number."""
        found: dict[Expr, Expr] = {}
        for k, p in enumerate(reversed(self.nest.others)):
            last = k == len(self.nest.others) - 1
            found[p.index] = q if last else q % as_expr(p.extent)
            q = q if last else q // as_expr(p.extent)
        return found

    def _run(self, word: str, turn: Sequence[Stmt], turns: Any, more: Sequence[Buffer]) -> Run:
        q, block, thread = var("_turn"), var("_block"), var("_thread")
        first = Let(q, block * THREADS + thread)
        body = blocks_of(block, thread, q, (first, *turn), turns)
        written = {s.buffer for s in walk(tuple(turn)) if isinstance(s, Store)}
        read = {
            e.attr for s in walk(tuple(turn)) for e in postorder(expressions(s)) if e.op in LOADS
        }
        named = {**self.frame.params}
        bound = dict(self.frame.bound)
        for name, b in zip(("keys", "order"), more, strict=False):
            named[name], bound[name] = Param(name, "int64", b.shape, "in"), b.name
        used = [n for n in named if n in written | read]
        own = {"keys": "out", self.store.buffer: self.frame.params[self.store.buffer].mode}
        modes = {n: own[n] if n in written else "in" for n in used}
        ports = [named[n]._replace(mode=modes[n]) for n in used]
        kernel = Kernel(word, tuple(ports), sizes_of(body, ports), body)
        return Run(kernel, tuple(bound[n] for n in used), self.step.origins)

    def _places(self) -> Run:
        """The place that each term goes to: of the first trailing element."""
        q = var("_turn")
        zero = {p.index: const(0) for p in self.nest.parallel}
        shape = self.frame.params[self.store.buffer].shape
        place = substitute(position(self.store.indices, shape), {**zero, **self._split(q)})
        return self._run("places", [Store("keys", (q,), place)], self.count, [self.keys])

    def _sums(self) -> Run:
        """The first term of each place, with a thread for each trailing element."""
        q, s = var("_turn"), var("_first")
        rest = product(tuple(p.extent for p in self.nest.parallel))
        lets: list[Stmt] = [Let(s, q // as_expr(rest))]
        left: Expr = q % as_expr(rest)
        for k, p in enumerate(reversed(self.nest.parallel)):
            last = k == len(self.nest.parallel) - 1
            lets.append(Let(p.index, left if last else left % as_expr(p.extent)))
            left = left // as_expr(p.extent)
        if not self.nest.parallel:
            lets = [Let(s, q)]

        def key(at: Expr) -> Expr:
            return load("keys", (load("order", (at,), "int64"),), "int64")

        mine, begins = var("_mine"), var("_begins", "bool")
        before = call("maximum", s - 1, const(0))
        lets += [Let(mine, key(s)), Let(begins, F.or_(F.eq(s, const(0)), F.ne(key(before), mine)))]
        turns = as_size(as_expr(self.count) * as_expr(rest))
        inner = (*self._end(s, mine, key), *self._added(s))
        return self._run("scatter", [*lets, If(begins, inner)], turns, [self.keys, self.order])

    def _end(self, s: Expr, mine: Expr, key: Callable[[Expr], Expr]) -> list[Stmt]:
        """The first term after those of the place, by bisection."""
        low, high, middle = (var(w) for w in ("_low", "_high", "_middle"))
        same = var("_same", "bool")
        at = call("minimum", middle, self.total - 1)
        body: tuple[Stmt, ...] = (
            Let(middle, (low + high) // 2),
            Let(same, F.and_(F.lt(low, high), F.eq(key(at), mine))),
        )
        upper = F.select(F.and_(F.lt(low, high), F.not_(same)), middle, high)
        values = (F.select(same, middle + 1, low), upper)
        end = var("_all")
        bits = int(self.count).bit_length() if isinstance(self.count, int) else sorting.STEPS
        steps = Fold((low, high), "next", var("_step"), bits, "serial", body, values, (s, end))
        return [Let(end, self.total), steps]

    def _added(self, s: Expr) -> list[Stmt]:
        """What a place holds, then its terms one after another."""
        store, r, number = self.store, var("_r"), var("_number")
        first = self._split(load("order", (s,), "int64"))
        target = tuple(substitute(i, first) for i in store.indices)
        dtype = store.value.dtype
        held, start = var("_held", dtype), var("_start", dtype)
        split = self._split(number)

        def visit(e: Expr, args: tuple[Expr, ...]) -> Expr:
            if e.op == "load" and e.attr == store.buffer and e.args == store.indices:
                return held
            return split.get(e) or rebuild(e, args)

        value = transform([store.value], visit)[0]
        body: tuple[Stmt, ...] = (Let(number, load("order", (s + r,), "int64")),)
        extent = as_size(var("_low") - s)
        adds = depends(value, held)  # else the last term stays, and what was there is not needed
        first_value = start if adds else const(0, dtype)
        fold = Fold((held,), "next", r, extent, "serial", body, (value,), (first_value,))
        before = [Let(start, load(store.buffer, target, dtype))] if adds else []
        return [*before, fold, Store(store.buffer, target, held)]
