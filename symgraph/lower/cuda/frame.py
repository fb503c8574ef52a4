"""A kernel while it is cut into launches: its parameters and the memory behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph.loops.program import Buffer, Program, Run
from symgraph.loops.statements import (
    Alloc,
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
from symgraph.lower.turns import accesses
from symgraph.scalar import Expr, as_expr, const, load, node, postorder, rebuild, transform, var

LOADS = ("load", "load_if")


class Frame:
    """``own`` are the parameters whose memory no other step sees; ``buffers`` collects new memory,
    ``runs`` the launches; ``aligned`` says that addresses are multiples of 16 bytes."""

    def __init__(
        self, program: Program, step: Run, kernel: Kernel, own: set[str], prefix: str, aligned: bool
    ) -> None:
        self.step, self.kernel, self.own, self.prefix = step, kernel, own, prefix
        self.aligned = aligned
        names = [p.name for p in kernel.params]
        self.params = {p.name: p for p in kernel.params}
        self.bound = dict(zip(names, step.buffers, strict=True))
        self.home = {p: memory(program, b) for p, b in self.bound.items()}
        self.buffers: dict[str, Buffer] = {}
        self.runs: list[Run] = []
        self.known: dict[Expr, str] = {}  # scalars of earlier launches: the parameter that has them
        self._names = 0
        self._taken = {str(e.attr) for s in walk(kernel.body) for e in _bound(s)}

    def name(self, word: str, dtype: str = "int64") -> Expr:
        """A variable that no other statement binds."""
        self._names += 1
        while f"_{word}{self._names}" in self._taken:
            self._names += 1
        return var(f"_{word}{self._names}", dtype)

    def room(self, dtype: str, shape: Sequence[Size], word: str = "m") -> str:
        """A parameter over new memory."""
        name = f"{word}{len(self.buffers)}"
        buffer = f"{self.prefix}_{name}"
        self.buffers[buffer] = Buffer(buffer, dtype, tuple(shape), "temp")
        self.params[name] = Param(name, dtype, tuple(shape), "inout")
        self.bound[name] = self.home[name] = buffer
        return name

    def told(self, size: Size) -> bool:
        """Whether a size is known before the kernel runs."""
        return all(
            e.attr in self.kernel.sizes if e.op == "var" else e.op not in LOADS
            for e in postorder([as_expr(size)])
        )

    def launch(self, body: Sequence[Stmt]) -> None:
        """Add a launch; what it reads of earlier ones comes first."""
        free = free_names(body)
        first = tuple(
            Let(e, load(room, (), e.dtype)) for e, room in self.known.items() if e in free
        )
        whole = tuple(body) if not first else _after(tuple(body), first)
        found = accesses(whole)
        written = {a.buffer for a in found if a.written}
        used = [n for n in dict.fromkeys(a.buffer for a in found) if n in self.params]
        params = [self.params[n]._replace(mode="out" if n in written else "in") for n in used]
        name = f"{self.prefix}_{len(self.runs)}"
        kernel = Kernel(name, tuple(params), sizes_of(whole, params), whole)
        bound = tuple(self.bound[n] for n in used)
        self.runs.append(Run(kernel, bound, self.step.origins))

    def private(
        self, body: tuple[Stmt, ...], name: str, copies: Size, at: Expr
    ) -> tuple[Stmt, ...]:
        """The statements with memory of their own in the place of a parameter: number ``at``."""
        old = self.params[name]
        room = self.room(old.dtype, (copies, *old.shape), name)
        return renamed(body, name, room, (at,))


def memory(program: Program, name: str) -> str:
    """The buffer that owns the memory of a buffer."""
    while program.buffers[name].alias:
        name = program.buffers[name].alias
    return name


def _after(body: tuple[Stmt, ...], first: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """The statements at the beginning of each thread."""
    grid = body[0]
    assert isinstance(grid, For)
    block = grid.body[-1]
    assert isinstance(block, For)
    block = block._replace(body=(*first, *block.body))
    return (grid._replace(body=(*grid.body[:-1], block)),)


def free_names(body: Sequence[Stmt]) -> set[Expr]:
    """The variables that statements read, those that they bind themselves included."""
    roots = [e for s in walk(tuple(body)) for e in expressions(s)]
    return {e for e in postorder(roots) if e.op == "var"}


def names_of(s: Stmt) -> tuple[Expr, ...]:
    """The scalars that a statement binds for those after it."""
    if isinstance(s, Fold):
        return s.names
    return (s.name,) if isinstance(s, Let) else ()


def _bound(s: Stmt) -> tuple[Expr, ...]:
    """All that a statement binds, for itself or for those after it."""
    return (s.index, *names_of(s)) if isinstance(s, For | Fold) else names_of(s)


def serial(body: Sequence[Stmt]) -> tuple[Stmt, ...]:
    """The statements as one thread does them, turn by turn."""

    def one(s: Stmt) -> Stmt:
        if isinstance(s, For | Fold):
            return s._replace(kind="serial", body=serial(s.body))
        return s._replace(body=serial(s.body)) if isinstance(s, If) else s

    return tuple(map(one, body))


def renamed(
    body: tuple[Stmt, ...], old: str, new: str, first: tuple[Expr, ...] = ()
) -> tuple[Stmt, ...]:
    """The statements with another buffer in the place of one, with these indices first."""

    def value(e: Expr) -> Expr:
        def visit(n: Expr, args: tuple[Expr, ...]) -> Expr:
            if n.op not in LOADS or n.attr != old:
                return rebuild(n, args)
            k = 1 if n.op == "load_if" else 0
            return node(n.op, (*args[:k], *first, *args[k:]), n.dtype, new)

        return transform([e], visit)[0]

    return rewritten(body, value, lambda b, i: (new, (*first, *i)) if b == old else (b, i))


def rewritten(body: tuple[Stmt, ...], value: Any, place: Any = None) -> tuple[Stmt, ...]:
    """The statements with every expression changed by ``value`` and, if given, the targets of
    stores by ``place(buffer, indices)``."""

    def size(n: Size) -> Size:
        return value(n) if isinstance(n, Expr) else n  # type: ignore[no-any-return]

    def one(s: Stmt) -> Stmt:
        match s:
            case For():
                return s._replace(extent=size(s.extent), body=tuple(map(one, s.body)))
            case Fold():
                return s._replace(
                    extent=size(s.extent), body=tuple(map(one, s.body)),
                    values=tuple(map(value, s.values)), starts=tuple(map(value, s.starts)),
                )  # fmt: skip
            case Let():
                return Let(s.name, value(s.value))
            case If():
                return If(value(s.cond), tuple(map(one, s.body)))
            case Store():
                indices = tuple(map(value, s.indices))
                buffer, indices = place(s.buffer, indices) if place else (s.buffer, indices)
                return Store(buffer, indices, value(s.value))
            case Alloc():
                return s._replace(shape=tuple(map(size, s.shape)))
        return s

    return tuple(map(one, body))


def split_index(frame: Frame, q: Expr, loops: Sequence[For]) -> tuple[Stmt, ...]:
    """The indices of a nest from the number of a turn, the last loop's fastest."""
    lets: list[Stmt] = []
    rest = q
    for k, s in enumerate(reversed(loops)):
        if k == len(loops) - 1:
            lets.append(Let(s.index, rest))
            break
        size = as_expr(s.extent)
        lets.append(Let(s.index, rest % size))
        following = frame.name("q")
        lets.append(Let(following, rest // size))
        rest = following
    return tuple(lets) if loops else (Let(q, const(0)),)
