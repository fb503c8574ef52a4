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
A fold of kind ``warp`` is the same for 32 threads, which need not wait for the rest of the block.

A fold of kind ``tensor`` is a recurrence (``next``) that tensor cores may do for a warp together:

    fold s0_0, s0_1, s1_0, s1_1, ... = next over d in 0 .. 16 tensor from ... {
      let a0 = tile_a[half, row0, d]   ...   let b0 = tile_b[half, column0, d]   ...
      yield fma(a0, b0, s0_0), fma(a0, b1, s0_1), fma(a1, b0, s1_0) ...
    }

It means what the same fold of kind "serial" means, but for the order and rounding of its additions.
``_group`` is the number of the thread in its warp divided by 4, ``_pair`` the rest: rows are
``r + _group`` and ``r + 8 + _group`` in turn, columns ``c + 2*_pair`` and ``c + 2*_pair + 1``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, as_expr, const, postorder, substitute, var

WARP = 32  # threads that run in step
MOST_THREADS = 1024
MOST_SHARED = 48 << 10  # bytes that every architecture gives a block without being asked

GROUP, PAIR = var("_group"), var("_pair")  # of a thread in its warp, for tensor cores

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
        isinstance(x, Barrier) or (isinstance(x, Fold) and x.kind in ("block", "warp"))
        for x in walk((s,))
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
        self.inside: set[Expr] = {found.block.index}  # what differs within warps
        self.warp = found.block.index // WARP
        self.private: set[str] = set()

    def differ(self, roots: Sequence[Expr]) -> bool:
        return any(
            e in self.differs or (e.op in ("load", "load_if") and e.attr in self.private)
            for e in postorder(roots)
        )

    def differ_in_warps(self, roots: Sequence[Expr]) -> bool:
        """Whether a value differs between threads of a warp: its number does not."""
        found: set[Expr] = set()
        for e in postorder(roots):
            own = e in self.inside or (e.op in ("load", "load_if") and e.attr in self.private)
            if e is not self.warp and (own or any(a in found for a in e.args)):
                found.add(e)
        return any(e in found for e in roots)

    def block(self, body: Sequence[Stmt], same: bool, warp: bool = True) -> None:
        """``same``: all threads come by here, the same number of times; ``warp``: those of a
        warp do."""
        for s in body:
            match s:
                case Barrier():
                    if not same:
                        self.fail("a barrier where not all threads of a block come by")
                case Fold() if s.kind in ("block", "warp"):
                    self.fold(s, same if s.kind == "block" else warp)
                case For() | Fold():
                    self.loop(s, same, warp)
                case If():
                    in_warp = warp and not self.differ_in_warps([s.cond])
                    self.block(s.body, same and not self.differ([s.cond]), in_warp)
                case Let():
                    if self.differ([s.value]):
                        self.differs.add(s.name)
                    if self.differ_in_warps([s.value]):
                        self.inside.add(s.name)
                case Alloc():
                    self.private.add(s.buffer)

    def loop(self, s: For | Fold, same: bool, warp: bool) -> None:
        if s.kind in ("grid", "block"):
            self.fail(f"a loop of kind {s.kind} inside the threads of a block")
        differ = self.differ([as_expr(s.extent)])
        if isinstance(s, Fold) and (s.combiner == "next" or differ or self._reads_thread(s)):
            self.differs.update(s.names)
            self.inside.update(s.names)
        if isinstance(s, Fold) and s.kind == "tensor":
            self.tensor(s, same)
        warp = warp and not self.differ_in_warps([as_expr(s.extent)])
        self.block(s.body, same and not differ, warp)
        if isinstance(s, Fold) and self.differ(s.values):
            self.differs.update(s.names)
            self.inside.update(s.names)

    def tensor(self, s: Fold, same: bool) -> None:
        if not same or self.threads % WARP:
            self.fail(f"the fold {s.names[0]} of kind tensor where not whole warps come by")
        found = fragments(s)
        if found is None:
            self.fail(f"the fold {s.names[0]} of kind tensor is no product of fragments")

    def _reads_thread(self, s: Fold) -> bool:
        inner = [e for x in walk(s.body) for e in expressions(x)]
        return self.differ([*s.values, *inner])

    def fold(self, s: Fold, same: bool) -> None:
        width = self.threads if s.kind == "block" else WARP
        if not same:
            self.fail(f"the fold {s.names[0]} of all threads where not all of them come by")
        if s.extent != width or s.body or s.combiner == "next":
            self.fail(f"the fold {s.names[0]} of kind {s.kind} takes one value of each thread")
        if self.threads % WARP:
            self.fail(f"{self.threads} threads are no whole warps, which folds over threads need")
        if any(e is s.index for e in postorder(s.values)):
            self.fail(f"the fold {s.names[0]} of kind {s.kind} reads its index")
        if s.kind == "warp":
            self.differs.update(s.names)  # from one warp to the next


class Fragments(NamedTuple):
    """What a fold of kind tensor multiplies: for each pair of rows, and of columns, the load of the
    first; the dtype that it loads."""

    rows: tuple[Expr, ...]
    columns: tuple[Expr, ...]
    dtype: str


def fragments(s: Fold) -> Fragments | None:
    """The rows and columns of a fold of kind tensor; None for one that is not of the form above."""
    lets = {x.name: _loaded(x.value) for x in s.body if isinstance(x, Let)}
    if len(lets) != len(s.body) or any(v.op != "fma" or v.args[2] not in s.names for v in s.values):
        return None
    rows, columns = (list(dict.fromkeys(v.args[k] for v in s.values)) for k in (0, 1))
    pairs = [(a, b) for a in rows for b in columns]
    if [v.args for v in s.values] != [(*p, n) for p, n in zip(pairs, s.names, strict=False)]:
        return None
    loads = [[lets.get(x) for x in side] for side in (rows, columns)]
    if any(e is None or e.op != "load" or len(e.args) != 3 or e.args[2] is not s.index
           for side in loads for e in side):  # fmt: skip
        return None
    if len({e.dtype for side in loads for e in side if e is not None}) != 1:
        return None
    found = [_first_of_pairs(side, step) for side, step in zip(loads, (8, 1), strict=True)]
    if found[0] is None or found[1] is None:
        return None
    return Fragments(found[0], found[1], found[0][0].dtype)


def _loaded(e: Expr) -> Expr:
    return e.args[0] if e.op == "cast" and dtypes.is_narrow(e.args[0].dtype) else e


def _first_of_pairs(side: Sequence[Expr | None], step: int) -> tuple[Expr, ...] | None:
    """Every other load, if the next one is so many places on and they depend on the thread as the
    fragments of tensor cores do."""
    firsts: list[Expr] = []
    index, scale = (GROUP, 1) if step == 8 else (PAIR, 2)
    for a, b in zip(side[::2], side[1::2], strict=False):
        if a is None or b is None or b.args[1] is not a.args[1] + step:
            return None
        if (a.attr, a.args[0]) != (b.attr, b.args[0]):
            return None
        rest = substitute(a.args[1], {index: const(0)})
        if a.args[1] is not rest + index * scale:
            return None
        firsts.append(a)
    return tuple(firsts) if firsts and len(side) % 2 == 0 else None


def _bytes(a: Alloc) -> int:
    count = elements(a.shape)
    return (count if isinstance(count, int) else 0) * dtypes.itemsize(a.dtype)
