"""Kernels for a GPU: how their loops are bound to blocks and threads, and the rules of that.

    for _block in 0 .. blocks grid {            blocks run in any order, several at a time
      alloc tile: float32[32, 33]               memory that the threads of a block share
      for _thread in 0 .. 256 block {           the threads of a block, all at the same time
        ...
        barrier                                 all arrive before any goes on
        fold total: float32 = add over _w in 0 .. 256 block { yield part }
      }
    }

A fold of kind ``block`` combines one value of each thread; all threads know the result, and they
meet there as at a barrier. What is combined with what is fixed: 32 neighbouring threads by halves
(thread k with k + 16, then k + 8 ...), those results from the first to the last. An ``Alloc``
inside the threads' loop belongs to one thread. A kernel without such loops runs on the CPU only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from symgraph import dtypes
from symgraph.loops.compute import elements
from symgraph.loops.statements import (
    Alloc,
    Barrier,
    Fold,
    For,
    If,
    Kernel,
    Let,
    Size,
    Stmt,
    expressions,
    walk,
)
from symgraph.scalar import Expr, as_expr, postorder

WARP = 32  # threads that run in step
MOST_THREADS = 1024
MOST_SHARED = 48 << 10  # bytes that every architecture gives a block without being asked

Fail = Callable[[str], None]


class Launch(NamedTuple):
    """How a kernel is run: so many blocks of so many threads, which share these pieces of memory.

    ``blocks`` may be 0, when nothing is to be launched.
    """

    grid: For
    block: For
    shared: tuple[Alloc, ...]

    @property
    def blocks(self) -> Size:
        return self.grid.extent

    @property
    def threads(self) -> int:
        assert isinstance(self.block.extent, int)
        return self.block.extent

    @property
    def shared_bytes(self) -> int:
        """The memory that a block shares, without what folds over threads need."""
        return sum(_bytes(a) for a in self.shared)


def launch(kernel: Kernel) -> Launch | None:
    """How a kernel runs on a GPU; None for one without blocks and threads.

    >>> from symgraph.scalar import var
    >>> inner = For(var("_thread"), 256, "block", ())
    >>> launch(Kernel("k", (), (), (For(var("_block"), 7, "grid", (inner,)),))).threads
    256
    """
    grid = kernel.body[0] if len(kernel.body) == 1 else None
    if not isinstance(grid, For) or grid.kind != "grid" or not grid.body:
        return None
    block = grid.body[-1]
    if not isinstance(block, For) or block.kind != "block":
        return None
    return Launch(grid, block, tuple(s for s in grid.body if isinstance(s, Alloc)))


def needs_launch(kernel: Kernel) -> bool:
    """Whether any loop of a kernel is bound to blocks or threads."""
    loops = (s for s in walk(kernel.body) if isinstance(s, For | Fold))
    return any(s.kind in ("grid", "block") for s in loops)


def meets(s: Stmt) -> bool:
    """Whether threads meet somewhere in a statement."""
    return any(
        isinstance(x, Barrier) or (isinstance(x, Fold) and x.kind == "block") for x in walk((s,))
    )


def check_launch(kernel: Kernel, fail: Fail) -> None:
    """The rules of kernels with blocks and threads; what is wrong is told to ``fail``.

    Loops of these kinds stand where the module's text shows them; memory that is shared, and the
    number of threads, is known when compiling; threads meet where all of them come by.
    """
    found = launch(kernel)
    if found is None:
        fail("one loop over the grid around memory and one loop over the threads of a block")
        return
    if any(not isinstance(s, Alloc) for s in found.grid.body[:-1]):
        fail("between the grid and the threads there is shared memory only")
    if any(e.op in ("load", "load_if") for e in postorder([as_expr(found.blocks)])):
        fail(f"the number of blocks is not known at the launch: {found.blocks}")
    threads = found.block.extent
    if not isinstance(threads, int) or not 0 < threads <= MOST_THREADS:
        fail(f"a block has 1 to {MOST_THREADS} threads, not {threads}")
    for a in found.shared:
        if not isinstance(elements(a.shape), int):
            fail(f"the size of the shared memory {a.buffer} is not known: {a.shape}")
    if found.shared_bytes > MOST_SHARED:
        fail(f"{found.shared_bytes} bytes of shared memory, {MOST_SHARED} can be had")
    _Threads(found, fail).block(found.block.body, True)


class _Threads:
    """Which values are the same for all threads of a block; where threads may meet."""

    def __init__(self, found: Launch, fail: Fail) -> None:
        self.threads, self.fail = found.threads, fail
        self.differs: set[Expr] = {found.block.index}
        self.private: set[str] = set()

    def differ(self, roots: Sequence[Expr]) -> bool:
        return any(
            e in self.differs or (e.op in ("load", "load_if") and e.attr in self.private)
            for e in postorder(roots)
        )

    def block(self, body: Sequence[Stmt], same: bool) -> None:
        """``same``: all threads come by here, the same number of times."""
        for s in body:
            match s:
                case Barrier():
                    if not same:
                        self.fail("a barrier where not all threads of a block come by")
                case Fold() if s.kind == "block":
                    self.fold(s, same)
                case For() | Fold():
                    self.loop(s, same)
                case If():
                    self.block(s.body, same and not self.differ([s.cond]))
                case Let():
                    if self.differ([s.value]):
                        self.differs.add(s.name)
                case Alloc():
                    self.private.add(s.buffer)

    def loop(self, s: For | Fold, same: bool) -> None:
        if s.kind in ("grid", "block"):
            self.fail(f"a loop of kind {s.kind} inside the threads of a block")
        differ = self.differ([as_expr(s.extent)])
        if isinstance(s, Fold) and (s.combiner == "next" or differ or self._reads_thread(s)):
            self.differs.update(s.names)
        self.block(s.body, same and not differ)
        if isinstance(s, Fold) and self.differ(s.values):
            self.differs.update(s.names)

    def _reads_thread(self, s: Fold) -> bool:
        inner = [e for x in walk(s.body) for e in expressions(x)]
        return self.differ([*s.values, *inner])

    def fold(self, s: Fold, same: bool) -> None:
        if not same:
            self.fail(f"the fold {s.names[0]} of all threads where not all of them come by")
        if s.extent != self.threads or s.body or s.combiner == "next":
            self.fail(f"the fold {s.names[0]} of kind block takes one value of each thread")
        if self.threads % WARP:
            self.fail(f"{self.threads} threads are no whole warps, which folds over threads need")
        if any(e is s.index for e in postorder(s.values)):
            self.fail(f"the fold {s.names[0]} of kind block reads its index")


def _bytes(a: Alloc) -> int:
    count = elements(a.shape)
    return (count if isinstance(count, int) else 0) * dtypes.itemsize(a.dtype)
