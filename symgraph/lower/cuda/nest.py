"""Which loops of a nest can be given to different threads."""

from __future__ import annotations

from collections.abc import Sequence

from symgraph.loops.compute import elements
from symgraph.loops.statements import Fold, For, Size, Stmt, expressions, walk
from symgraph.lower.cuda.frame import LOADS, Frame
from symgraph.lower.turns import Turns, accesses, is_scratch
from symgraph.scalar import Expr, as_expr, coefficient, const, postorder, product


class Nest:
    """A loop nest, ``path`` from the outermost loop on, around ``body``. The turns of the loops
    ``parallel`` can be done in any order, at the same time, if each has its own copy of the memory
    ``private``; ``others`` are done one after another."""

    def __init__(self, frame: Frame, s: For) -> None:
        self.statement = s
        self.path, self.body = _path(frame, s)
        self.parallel: list[For] = []
        self.private: set[str] = set()
        for loop in self.path:
            private = independent(frame, s, loop)
            if private is not None:
                self.parallel.append(loop)
                self.private |= private
        self.others = [p for p in self.path if p not in self.parallel]
        inner = {x.index for x in walk(self.body) if isinstance(x, For | Fold)}
        assert not inner & {p.index for p in self.path}

    @property
    def turns(self) -> Size:
        """How many turns the parallel loops have together."""
        return product(tuple(p.extent for p in self.parallel))

    def contiguous(self, index: Expr, roots: Sequence[Stmt], shapes: dict[str, tuple[Size, ...]]
                   ) -> int:  # fmt: skip
        """How many loads and stores of statements walk through memory one by one with an index."""
        count = 0
        for a in accesses(roots):
            if a.buffer in shapes:
                step = coefficient(position(a.indices, shapes[a.buffer]), index)
                count += step is const(1)
        return count


def _path(frame: Frame, s: For) -> tuple[list[For], tuple[Stmt, ...]]:
    """The perfect nest, as far as its sizes are known before it runs."""
    path: list[For] = []
    body: tuple[Stmt, ...] = (s,)
    while len(body) == 1 and isinstance(body[0], For) and frame.told(body[0].extent):
        path.append(body[0])
        body = body[0].body
    return path, body


def independent(frame: Frame, s: For, loop: For) -> set[str] | None:
    """The memory of which each turn of ``loop``, a loop of the nest ``s``, needs its own copy, if
    its turns can then be done in any order over the whole nest; else None."""
    turns, private = Turns(s, loop.index), set()
    found = accesses((s,))
    shapes = {n: p.shape for n, p in frame.params.items()}
    for name in dict.fromkeys(a.buffer for a in found if a.written):
        if name not in frame.home:  # memory of a turn
            continue
        home = frame.home[name]
        same = [a for a in found if frame.home.get(a.buffer) == home]
        if len({shapes[a.buffer] for a in same}) == 1 and turns.apart(same):
            continue
        others = [o for o in frame.kernel.body if o is not s and o not in walk((s,))]
        if any(a.buffer == name for a in accesses(others)):
            return None
        if name not in frame.own or not is_scratch(loop.body, name, loop.index, shapes[name]):
            return None
        private.add(name)
    return private


def position(indices: Sequence[Expr], shape: Sequence[Size]) -> Expr:
    """The place of an element in its buffer."""
    total, stride = const(0), const(1)
    for index, size in zip(reversed(indices), reversed(shape), strict=True):
        total = total + index * stride
        stride = stride * as_expr(size)
    return total


def has_loops(body: Sequence[Stmt]) -> bool:
    """Whether there is a loop or a fold among the statements."""
    return any(isinstance(x, For | Fold) for x in walk(tuple(body)))


def few(extent: Size, most: int) -> bool:
    """Whether an extent is known and at most so large."""
    return isinstance(extent, int) and extent <= most


def loads_of(s: Stmt) -> list[Expr]:
    """The loads of a statement and of those inside it."""
    roots = [e for x in walk((s,)) for e in expressions(x)]
    return [e for e in postorder(roots) if e.op in LOADS]


def count_of(shape: Sequence[Size]) -> int | None:
    """The number of elements where it is known."""
    found = elements(tuple(shape))
    return found if isinstance(found, int) else None
