"""Loops along repeated rows, a row at a time.

    for i in 0 .. r*n vector { store out[i] = x[i % n] + y[i] }

asks for a remainder in each lane, which takes longer than all the rest. Where the whole length is
known to hold some rows and nothing more, as in what `tile` makes, the rows are a loop of their own
(and so are those of one element again and again, i // n, that `repeat` makes):

    for row in 0 .. r { for i in 0 .. n vector { store out[row*n + i] = x[i] + y[row*n + i] } }
"""

from __future__ import annotations

from symgraph.loops.statements import For, Kernel, Let, Store, expressions
from symgraph.lower.rewriting import around, moved, perfect_nest
from symgraph.scalar import Expr, as_expr, as_size, postorder, var
from symgraph.scalar.polynomial import floordiv

ROW = var("_irow")


def periods(kernel: Kernel) -> Kernel:
    """The kernel with a loop for the rows that its innermost loop repeats; itself where it repeats
    none, or rows of several lengths."""
    path = perfect_nest(kernel.body)
    if not path or path[-1].kind != "vector":
        return kernel
    loop = path[-1]
    if not all(isinstance(s, Let | Store) for s in loop.body):
        return kernel
    nodes = postorder([e for s in loop.body for e in expressions(s)])
    parts = [e for e in nodes if e.op in ("mod", "floordiv") and e.args[0] is loop.index]
    lengths = {e.args[1] for e in parts if not _is_shift(e)}
    if len(lengths) != 1:
        return kernel
    (length,) = lengths
    rows = floordiv(as_expr(loop.extent), length)
    if rows * length is not as_expr(loop.extent) or _is_found_inside(length, path, loop):
        return kernel
    own = {e: loop.index if e.op == "mod" else ROW for e in parts if e.args[1] is length}
    body = moved(loop.body, {loop.index: ROW * length + loop.index}, own)
    inner = For(loop.index, as_size(length), "vector", body)
    return kernel._replace(
        body=around([*path[:-1], For(ROW, as_size(rows), "serial", ())], (inner,))
    )


def _is_shift(e: Expr) -> bool:
    by = e.args[1]
    return by.is_const and by.value > 0 and by.value & (by.value - 1) == 0


def _is_found_inside(length: Expr, path: list[For], loop: For) -> bool:
    """Whether a length is known in the turns of a loop only."""
    made = {p.index for p in path} | {s.name for s in loop.body if isinstance(s, Let)}
    nodes = postorder([length])
    return bool(made & set(nodes)) or any(e.op in ("load", "load_if") for e in nodes)
