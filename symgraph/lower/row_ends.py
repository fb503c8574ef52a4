"""Functions of what rows come to, for several rows at once.

    for i { fold r: x[i, r] ...; y = log(total); store out[i] = y }

The logarithm is that of one number, computed in a register made for many, and nothing else of the
row is left to do meanwhile. So the totals of some rows wait on the stack, and the rows' ends follow
in lanes:

    for strip in 0 .. ceil(n / ROWS)
      alloc held[ROWS]
      for i in 0 .. ROWS: fold r: x[i, r] ...; held[i] = total
      for i in 0 .. ROWS vector: y = log(held[i]); store out[i] = y

What goes over the row once more follows in a loop of its own over the ROWS rows, as in log_softmax:

      for i in 0 .. ROWS vector: held[i] = log(held[i])
      for i in 0 .. ROWS: for r: out[i, r] = x[i, r] - held[i]

Only short rows of a known length go that way: long ones have left the nearest cache by then, and a
row that is not finished before the next one is begun cannot ask for that.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgraph.loops.cost import is_slow
from symgraph.loops.statements import (
    Alloc,
    Fold,
    For,
    Kernel,
    Let,
    Size,
    Stmt,
    Store,
    expressions,
    walk,
)
from symgraph.lower.rewriting import bound_names, independent, moved
from symgraph.scalar import Expr, as_expr, as_size, const, load, postorder, var
from symgraph.scalar import functions as F

ROWS = 16
NEAR = 256  # elements of rows that wait for those beside them
STRIP, ROW = var("_istrip"), var("_irow")


def row_ends(kernel: Kernel) -> Kernel:
    """The kernel in which slow functions of rows' folds run over several rows; itself where there
    are none."""
    body = tuple(_in_strips(s) if isinstance(s, For) else s for s in kernel.body)
    return kernel if body == kernel.body else kernel._replace(body=body)


def _in_strips(loop: For) -> For:
    at, until = _end(loop)
    if not at or not independent(loop.body):
        return loop
    head, end, again = loop.body[:at], loop.body[at:until], loop.body[until:]
    here = {loop.index: STRIP * ROWS + ROW}
    extent = as_expr(loop.extent)
    count: Size = as_size(F.minimum(extent - STRIP * ROWS, const(ROWS)))
    rooms: dict[Expr, str] = {}
    ends = _parted(head, end + again, rooms), _parted(end, again, rooms)
    read = {n: load(room, (ROW,), n.dtype) for n, room in rooms.items()}

    def step(kind: str, body: tuple[Stmt, ...], keep: Sequence[Expr]) -> For:
        """A loop over the rows of a strip, with what it needs of those before."""
        bound = {n for s in body for n in bound_names(s)}
        needed = _needed(body)
        back = (Let(n, value) for n, value in read.items() if n in needed and n not in bound)
        kept = (Store(rooms[n], (ROW,), n) for n in keep)
        return For(ROW, count, kind, (*back, *moved(body, here), *kept))

    body: tuple[Stmt, ...] = (
        *(Alloc(room, n.dtype, (ROWS,)) for n, room in rooms.items()),
        step("serial", head, ends[0]),
        step("vector", end, ends[1]),
        *([step("serial", again, ())] if again else []),
    )
    return For(STRIP, as_size((extent + (ROWS - 1)) // ROWS), "serial", body)


def _parted(body: tuple[Stmt, ...], later: tuple[Stmt, ...], rooms: dict[Expr, str]) -> list[Expr]:
    """What statements bind for later ones, each of which gets a room."""
    needed = _needed(later)
    names = [n for s in body for n in bound_names(s) if n in needed]
    for n in names:
        rooms[n] = f"_held{len(rooms)}"
    return names


def _needed(body: tuple[Stmt, ...]) -> set[Expr]:
    return {e for s in walk(body) for e in postorder(expressions(s))}


def _end(loop: For) -> tuple[int, int]:
    """Where in the body of a loop over rows their folds are done, and where the function that
    follows is; (0, 0) where there is no such place."""
    if loop.kind != "serial" or (isinstance(loop.extent, int) and loop.extent < ROWS):
        return 0, 0
    folds = [k for k, s in enumerate(loop.body) if isinstance(s, Fold)]
    loops = [k for k, s in enumerate(loop.body) if isinstance(s, For)]
    at, until = max(folds, default=-1) + 1, min(loops, default=len(loop.body))
    if not 0 < at < until or not all(map(_is_plain, loop.body)):
        return 0, 0
    end = loop.body[at:until]
    slow = any(is_slow(e) for s in end for e in expressions(s))
    stores = not loops or any(isinstance(s, Store) for s in end)
    fits = slow and (not stores or _side_by_side(end, loop.index))
    return (at, until) if fits else (0, 0)


def _is_plain(s: Stmt) -> bool:
    """A fold of one expression, a loop over a short row, or what stands for a row as a whole."""
    if isinstance(s, Fold):
        return s.kind == "vector" and not s.body and s.combiner != "next"
    if isinstance(s, For):
        near = isinstance(s.extent, int) and s.extent <= NEAR
        return near and s.kind == "vector" and all(isinstance(x, Let | Store) for x in s.body)
    return isinstance(s, Let | Store)


def _side_by_side(end: tuple[Stmt, ...], index: Expr) -> bool:
    """Whether each row stores next to where the one before did."""
    stores = [s for s in end if isinstance(s, Store)]
    return bool(stores) and all(
        index in s.indices and all(i is index or i.is_const for i in s.indices) for s in stores
    )
