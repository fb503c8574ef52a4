"""Functions of what rows come to, for several rows at once.

    for i { fold r: x[i, r] ...; y = log(total); store out[i] = y }

The logarithm is that of one number, computed in a register made for many, and nothing else of the
row is left to do meanwhile. So the totals of some rows wait on the stack, and the rows' ends follow
in lanes:

    for strip in 0 .. ceil(n / ROWS)
      alloc held[ROWS]
      for i in 0 .. ROWS: fold r: x[i, r] ...; held[i] = total
      for i in 0 .. ROWS vector: y = log(held[i]); store out[i] = y

Rows that are read again after their folds stay as they are: those before have left the nearest
cache by then.
"""

from __future__ import annotations

from symgraph.loops.cost import is_slow
from symgraph.loops.statements import Alloc, Fold, For, Kernel, Let, Size, Stmt, Store, expressions
from symgraph.lower.rewriting import bound_names, independent, moved
from symgraph.scalar import Expr, as_expr, as_size, const, load, postorder, var
from symgraph.scalar import functions as F

ROWS = 16
STRIP, ROW = var("_istrip"), var("_irow")


def row_ends(kernel: Kernel) -> Kernel:
    """The kernel in which slow functions of rows' folds run over several rows; itself where there
    are none."""
    body = tuple(_in_strips(s) if isinstance(s, For) else s for s in kernel.body)
    return kernel if body == kernel.body else kernel._replace(body=body)


def _in_strips(loop: For) -> For:
    at = _end(loop)
    if not at or not independent(loop.body):
        return loop
    head, end = loop.body[:at], loop.body[at:]
    needed = {e for s in end for e in postorder(expressions(s))}
    names = [n for s in head for n in bound_names(s) if n in needed]
    rooms = {n: f"_held{k}" for k, n in enumerate(names)}
    here = {loop.index: STRIP * ROWS + ROW}
    keep = tuple(Store(room, (ROW,), n) for n, room in rooms.items())
    back = tuple(Let(n, load(room, (ROW,), n.dtype)) for n, room in rooms.items())
    extent = as_expr(loop.extent)
    count: Size = as_size(F.minimum(extent - STRIP * ROWS, const(ROWS)))
    body: tuple[Stmt, ...] = (
        *(Alloc(room, n.dtype, (ROWS,)) for n, room in rooms.items()),
        For(ROW, count, "serial", (*moved(head, here), *keep)),
        For(ROW, count, "vector", (*back, *moved(end, here))),
    )
    return For(STRIP, as_size((extent + (ROWS - 1)) // ROWS), "serial", body)


def _end(loop: For) -> int:
    """Where in the body of a loop over rows their folds are done and a slow function follows; 0
    where there is no such place."""
    if loop.kind != "serial" or (isinstance(loop.extent, int) and loop.extent < ROWS):
        return 0
    folds = [k for k, s in enumerate(loop.body) if isinstance(s, Fold)]
    flat = all(isinstance(s, Fold | Let | Store) for s in loop.body)
    if not folds or not flat:
        return 0
    for s in (loop.body[k] for k in folds):
        if not isinstance(s, Fold) or s.kind != "vector" or s.body or s.combiner == "next":
            return 0
    at = folds[-1] + 1
    end = loop.body[at:]
    slow = any(is_slow(e) for s in end for e in expressions(s))
    return at if slow and _side_by_side(end, loop.index) else 0


def _side_by_side(end: tuple[Stmt, ...], index: Expr) -> bool:
    """Whether each row stores next to where the one before did."""
    stores = [s for s in end if isinstance(s, Store)]
    return bool(stores) and all(
        index in s.indices and all(i is index or i.is_const for i in s.indices) for s in stores
    )
