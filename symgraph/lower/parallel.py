"""Which loops of a program are shared out to threads, and how a kernel is cut for it.

A kernel whose work may exceed a quarter of the setting `parallel_from` (from there on threads that
are awake take part, from the setting on the others are woken) is replaced by *phases*, run one
after another. A phase is a kernel that does the turns ``_begin <= t < _end`` of its outermost loop,
so that any thread can do any part of them; or one without such a loop, for what lies between.

    outermost loop with independent turns    one phase; two short loops are first made one
    fold over everything                     a phase that folds blocks, then one that folds those
    several loops and folds in a row         several phases; scalars between them lie in memory

How a kernel is cut depends on its sizes alone and never on the number of threads: each turn
computes what it would in one thread, and blocks are combined in one order, so results are equal to
the bit for any number of threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from symgraph import config, dtypes
from symgraph.loops.cost import AWAKE, UNKNOWN, body_cost, kernel_cost
from symgraph.loops.memory import owner_of, touched
from symgraph.loops.program import BEGIN, END, Branch, Buffer, Loop, Phase, Program, Run
from symgraph.loops.statements import (
    Alloc,
    Barrier,
    Fold,
    For,
    If,
    Kernel,
    Let,
    Param,
    Size,
    Stmt,
    Store,
    expressions,
    walk,
)
from symgraph.lower.nests import sizes_of
from symgraph.lower.rewriting import bound_names, moved
from symgraph.lower.turns import Access, Turns, accesses, is_scratch
from symgraph.scalar import (
    Expr,
    as_expr,
    as_size,
    call,
    const,
    load,
    postorder,
    substitute,
    var,
    variables,
)
from symgraph.scalar import functions as F

BLOCK = 4_000_000  # picoseconds of work in one block of a fold
FEW = 64  # turns below which an outermost loop is joined with the next one
VECTORS = 64  # a range of a vector loop is a multiple of this: whole vectors and cache lines


def share_out(program: Program) -> Program:
    """The program with phases for all kernels that may be worth it."""
    return _Sharing(config.get("parallel_from") * 1000 // AWAKE).program(program)


class SinglePhases:
    """Steps as one phase, cut for their own sake where their work is not worth sharing out."""

    def __init__(self) -> None:
        self._sharing = _Sharing(0)

    def of(self, program: Program, step: Run) -> Phase | None:
        """A step as one phase; None where it has several, or memory between them."""
        if step.phases:
            return step.phases[0] if len(step.phases) == 1 else None
        phases, between = self._sharing.cut(program, step)
        if len(phases) != 1 or between:
            return None
        kernel = phases[0].kernel._replace(name=f"{step.kernel.name}_rows")
        return phases[0]._replace(kernel=kernel)


class _Sharing:
    def __init__(self, least: int) -> None:
        self.least = least
        self.cuts: dict[tuple[int, tuple[int, ...], frozenset[str]], _Cut] = {}

    def program(self, program: Program) -> Program:
        buffers = dict(program.buffers)
        uses: dict[str, int] = {}
        for step in program.steps:
            for name in dict.fromkeys(touched(step)):
                home = owner_of(program.buffers, name)
                uses[home] = uses.get(home, 0) + 1
        steps = []
        for step in program.steps:
            match step:
                case Run():
                    step = self._run(program, step, uses, buffers)
                case Loop():
                    step = step._replace(body=self.program(step.body))
                case Branch():
                    step = step._replace(
                        then=self.program(step.then), otherwise=self.program(step.otherwise)
                    )
            steps.append(step)
        return program._replace(buffers=buffers, steps=tuple(steps))

    def _run(
        self, program: Program, step: Run, uses: Mapping[str, int], buffers: dict[str, Buffer]
    ) -> Run:
        if not self.worth(kernel_cost(step.kernel)):
            return step
        phases, between = self.cut(program, step, uses)
        buffers.update(between)
        return step._replace(phases=phases)

    def cut(
        self, program: Program, step: Run, uses: Mapping[str, int] | None = None
    ) -> tuple[tuple[Phase, ...], dict[str, Buffer]]:
        """The phases of a step, none when no loop of its kernel can be shared out, and the memory
        that lies between them. ``uses`` counts the steps that touch some memory."""
        homes = [owner_of(program.buffers, b) for b in step.buffers]
        own = frozenset(
            p.name
            for p, home in zip(step.kernel.params, homes, strict=True)
            if uses is not None and program.buffers[home].role == "temp" and uses[home] == 1
            and homes.count(home) == 1
        )  # fmt: skip
        same = tuple(map(homes.index, homes))
        key = (id(step.kernel), same, own)
        found = self.cuts.get(key)
        if found is None:  # it keeps the kernel, whose number is no other's therefore
            found = self.cuts[key] = _Cut(self, step.kernel, same, own)
        return found.bound(step.buffers)

    def worth(self, cost: Size) -> bool:
        """Whether work of this cost may be worth a thread; sizes may turn out to be large."""
        return not isinstance(cost, int) or cost >= self.least


class _Cut:
    """One kernel on its way to phases, over parameters instead of buffers: layers that are alike
    differ in these alone. ``homes`` are equal for parameters that share memory, ``own`` those whose
    memory no other step sees; ``rooms`` collects the memory that lies between phases."""

    def __init__(
        self, sharing: _Sharing, kernel: Kernel, homes: Sequence[int], own: Set[str]
    ) -> None:
        self.sharing, self.kernel, self.own = sharing, kernel, own
        self.home = {p.name: h for p, h in zip(kernel.params, homes, strict=True)}
        self.shape = {p.name: p.shape for p in kernel.params}
        self.rooms: list[Param] = []
        self.params: dict[str, Param] = {p.name: p for p in kernel.params}
        self.made: list[Phase] = []
        self.held: dict[Expr, str] = {}  # scalars of earlier phases: the parameter that has them
        if not self._cut():
            self.made, self.rooms = [], []

    def bound(self, buffers: Sequence[str]) -> tuple[tuple[Phase, ...], dict[str, Buffer]]:
        """The phases over these buffers, and the memory between them."""
        names = dict(zip(self.shape, buffers, strict=True))
        first = next(iter(buffers), "none")  # a kernel may touch no memory at all
        between: dict[str, Buffer] = {}
        for room in self.rooms:
            name = names[room.name] = f"{first}_{self.kernel.name}_{room.name}"
            between[name] = Buffer(name, room.dtype, room.shape, "temp")
        phases = (p._replace(buffers=tuple(names[x] for x in p.buffers)) for p in self.made)
        return tuple(phases), between

    def _cut(self) -> bool:
        """Make the phases; whether any loop of the kernel can be shared out."""
        body = self.kernel.body
        if any(isinstance(s, Barrier) or (isinstance(s, Alloc) and s in body) for s in walk(body)):
            return False
        waiting: list[Stmt] = []
        wide = 0
        for k, s in enumerate(body):
            shared = self._shared_loop(s) if isinstance(s, For) else None
            if shared is None and not self._can_block(s):
                waiting.append(s)
                continue
            wide += 1
            if _meet(waiting, s):
                self._narrow(waiting, body[k:])
                waiting = []
            if isinstance(s, Fold):
                waiting.append(self._blocks(s))
            elif shared is not None:
                self._ranges(*shared, self._cost(s))
        if wide and waiting:
            self._narrow(waiting, ())
        return wide > 0

    # outermost loops ------------------------------------------------------------------------------

    def _shared_loop(self, s: For) -> tuple[For, set[str]] | None:
        """The loop to share out, and the scratch memory of its turns, of which each thread needs
        its own; None where its turns depend on each other."""
        if not self.sharing.worth(self._cost(s)) or not self._told(s.extent):
            return None
        if s.kind == "vector" and isinstance(s.extent, int) and s.extent <= VECTORS:
            return None  # one range, whose length would be unknown to its vectors
        if s.kind == "apart":
            return s, set()
        private = self._independent(s, s.index)
        if private is None:
            return None
        inner = s.body[0] if len(s.body) == 1 else None
        if not isinstance(inner, For) or (isinstance(s.extent, int) and s.extent >= FEW):
            return s, private
        deep = any(isinstance(x, For) for x in inner.body) or inner.kind == "serial"
        more = self._independent(s, inner.index) if deep else None
        if more is None or not self._told(inner.extent):
            return s, private
        t = var("_turn")
        lets = (Let(s.index, t // inner.extent), Let(inner.index, t % as_expr(inner.extent)))
        extent = as_size(as_expr(s.extent) * as_expr(inner.extent))
        return For(t, extent, "serial", (*lets, *inner.body)), private | more

    def _cost(self, s: Stmt) -> Size:
        """Picoseconds of a statement, in sizes that the program knows."""
        cost = as_expr(body_cost([s]))
        unknown = [v for v in variables(cost) if v.attr not in self.kernel.sizes]
        return as_size(substitute(cost, dict.fromkeys(unknown, const(UNKNOWN))))

    def _told(self, extent: Size) -> bool:
        """Whether the program knows it before the kernel runs."""
        nodes = postorder([as_expr(extent)])
        return all(
            e.attr in self.kernel.sizes if e.op == "var" else e.op not in ("load", "load_if")
            for e in nodes
        )

    def _independent(self, s: For, index: Expr) -> set[str] | None:
        """Whether every buffer that is written is touched, in different turns, in different places;
        or is scratch memory of one turn: the names of those. None where neither holds."""
        turns, private = Turns(s, index), set()
        alone = _without(s.body, F.le(as_expr(s.extent), 1)) if index is s.index else s.body
        for name, same in self._written(s._replace(body=alone)):
            shapes = {self.shape[a.buffer] for a in same}
            if len(shapes) == 1 and turns.apart(same):
                continue
            others = [o for o in self.kernel.body if o is not s]
            if any(a.buffer == name for a in accesses(others)):
                return None
            if name not in self.own or not is_scratch(s.body, name, index, self.shape[name]):
                return None
            private.add(name)
        return private

    def _written(self, s: For) -> Iterator[tuple[str, list[Access]]]:
        """The buffers that a loop writes, but for those of its turns, with all accesses to them."""
        found = accesses(s.body)
        written = dict.fromkeys(a.buffer for a in found if a.written)
        for name in (n for n in written if n in self.home):
            home = self.home[name]
            yield name, [a for a in found if self.home.get(a.buffer) == home]

    def _ranges(self, s: For, private: set[str], cost: Size) -> None:
        begin = var(BEGIN)
        body = moved(s.body, {s.index: begin + s.index})
        loop = s._replace(extent=as_size(var(END) - begin), body=body)
        multiple = VECTORS if s.kind == "vector" else 1
        self._phase([loop], s.extent, cost, private, multiple)

    # folds ----------------------------------------------------------------------------------------

    def _can_block(self, s: Stmt) -> bool:
        if not isinstance(s, Fold) or not self.sharing.worth(self._cost(s)):
            return False
        if not self._told(s.extent):
            return False
        if s.combiner == "next":  # each turn needs the one before
            return False
        if any(dtypes.is_narrow(n.dtype) for n in s.names):
            return False  # their folds carry a float32, which a block's result would round
        return not any(isinstance(x, Store) for x in walk(s.body))

    def _blocks(self, s: Fold) -> Fold:
        """The phase that folds blocks; returns the fold of their results."""
        turn = self._cost(s._replace(extent=1))
        if isinstance(turn, int):  # a power of two, so that its quotients are shifts
            size = const(max(1, 1 << max(0, (BLOCK // turn).bit_length() - 1)))
        else:
            size = const(BLOCK) // turn + 1
        extent = as_expr(s.extent)
        count = as_size((extent + size - 1) // size)
        block, begin = var("_block"), var(BEGIN)
        start = (begin + block) * size
        mapping = {s.index: start + s.index}
        values = tuple(substitute(v, mapping) for v in s.values)
        length = as_size(call("minimum", size, extent - start))
        inner = s._replace(extent=length, body=moved(s.body, mapping), values=values)
        rooms = [self._room(n.dtype, (count,)) for n in s.names]
        stores = [Store(r, (begin + block,), n) for r, n in zip(rooms, s.names, strict=True)]
        loop = For(block, as_size(var(END) - begin), "serial", (inner, *stores))
        self._phase([loop], count, self._cost(s), set(), 1)
        k = var("_part")
        parts = tuple(load(r, (k,), n.dtype) for r, n in zip(rooms, s.names, strict=True))
        return s._replace(index=k, extent=count, kind="serial", body=(), values=parts)

    # phases ---------------------------------------------------------------------------------------

    def _narrow(self, body: Sequence[Stmt], after: Sequence[Stmt]) -> None:
        """A phase of one run; the scalars that later statements need go to memory."""
        needed = _free(after)
        out: list[Stmt] = []
        for s in body:
            out.append(s)
            for name in bound_names(s):
                if name in needed:
                    room = self._room(name.dtype, ())
                    out.append(Store(room, (), name))
        self._phase(out, None, 0, set(), 1)
        rooms = {room.name for room in self.rooms}
        for s in out:
            if isinstance(s, Store) and s.value.op == "var" and s.buffer in rooms:
                self.held[s.value] = s.buffer

    def _room(self, dtype: str, shape: tuple[Size, ...]) -> str:
        """A parameter over new memory."""
        name = f"s{len(self.rooms)}"
        self.rooms.append(Param(name, dtype, shape, "inout"))
        self.params[name] = self.rooms[-1]
        return name

    def _phase(
        self, body: list[Stmt], turns: Size | None, cost: Size, private: set[str], multiple: int
    ) -> None:
        free = _free(body)
        first = [Let(e, load(room, (), e.dtype)) for e, room in self.held.items() if e in free]
        whole = (*first, *body)
        used = [n for n in dict.fromkeys(a.buffer for a in accesses(whole)) if n in self.params]
        written = {a.buffer for a in accesses(whole) if a.written}
        params = [
            self.params[name]._replace(mode="out" if name in written else "in") for name in used
        ]
        sizes = tuple(n for n in sizes_of(whole, params) if n not in (BEGIN, END))
        if turns is not None:
            sizes = (*sizes, BEGIN, END)
        name = f"{self.kernel.name}_{len(self.made)}"
        places = tuple(k for k, n in enumerate(used) if n in private)
        kernel = Kernel(name, tuple(params), sizes, whole)
        self.made.append(Phase(kernel, tuple(used), turns, cost, places, multiple))


# statements ---------------------------------------------------------------------------------------


def _meet(earlier: Sequence[Stmt], s: Stmt) -> bool:
    """Whether a statement needs something of earlier ones, or changes what they read."""
    if _free([s]) & {n for e in earlier for n in bound_names(e)}:
        return True
    before, here = accesses(earlier), accesses([s])
    written = {a.buffer for a in before if a.written}
    changed = {a.buffer for a in here if a.written}
    return any(a.buffer in written for a in here) or any(a.buffer in changed for a in before)


def _without(body: tuple[Stmt, ...], condition: Expr) -> tuple[Stmt, ...]:
    """The statements but for what is done where a condition holds."""
    kept = [s for s in body if not (isinstance(s, If) and s.cond is condition)]
    return tuple(
        s._replace(body=_without(s.body, condition)) if isinstance(s, For | If) else s for s in kept
    )


def _free(body: Iterable[Stmt]) -> set[Expr]:
    """The variables that statements read (those they bind themselves included)."""
    body = tuple(body)
    roots = [e for s in walk(body) for e in expressions(s)]
    return {e for e in postorder(roots) if e.op == "var"}
