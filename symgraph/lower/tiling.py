"""Transposed reads in squares: ``out[i, j] = x[j, i] + y[i, j]``.

A loop that runs over j as vectors reads one element of every row of x, from as many cache lines.
Here both axes are cut into squares of EDGE elements. A square of x is read along its rows and kept
transposed in a small buffer, from which the loop over j reads neighbours. The code generator makes
the turn in registers (codegen/squares_llvm.py); to the interpreter it is a store like any other.
Of a square at the end of the columns some rows are the last one, several times.

    for ib in 0 .. I / EDGE
      for jb in 0 .. J / EDGE rounded up
        alloc square[EDGE, EDGE]
        for b, for a vector: square[a, b] = x[min(EDGE jb + b, J - 1), EDGE ib + a]
        for a, for b in 0 .. min(EDGE, J - EDGE jb) vector:
          the body at i = EDGE ib + a, j = EDGE jb + b
    for piece of the columns
      for the rows that are left over, for b vector: the body

The rows of x that a piece of the columns belongs to stay in cache for all rows that are left over,
which may be all there are.
"""

from __future__ import annotations

from symgraph import dtypes
from symgraph.loops.statements import Alloc, For, Kernel, Let, Param, Size, Stmt, Store
from symgraph.lower.rewriting import around, independent, moved, perfect_nest, position, reads
from symgraph.scalar import Expr, as_expr, as_size, coefficient, const, load, substitute, var
from symgraph.scalar import functions as F

EDGE, FEW = 16, 4  # of columns FEW, or twice as many, do where there are no more
ROWS, COLUMNS = 4, 4  # of squares that are turned one after another
ROOM = 6  # squares of one body at most
PIECE = 512  # columns that go together where rows are left over
BLOCK, STRIP, P, Q, A, B = (var(f"_i{n}") for n in ("block", "strip", "p", "q", "a", "b"))


def tile(kernel: Kernel) -> Kernel:
    """The kernel with its transposed reads in squares; itself where there are none, or where it is
    not one nest of loops around Lets and Stores, the innermost one of kind "vector", whose turns
    are independent of each other."""
    path = perfect_nest(kernel.body)
    if len(path) < 2 or path[-1].kind != "vector":
        return kernel
    body = path[-1].body
    if not all(isinstance(s, Let | Store) for s in body) or not independent(body):
        return kernel
    params = {p.name: p for p in kernel.params}
    turned = _turned(body, params, path)
    if not turned:
        backwards = _turned(body, params, path, -1)
        return _reversed(kernel, path, backwards[0][1]) if backwards else kernel
    places = [at for _, at in turned]
    place = max(places, key=places.count)
    chosen = [x for x, at in turned if at == place][:ROOM]
    if path[-1].extent == 1 or path[place].extent == 1:
        return kernel
    if _never_whole(path[place].extent):
        if _never_whole(path[-1].extent):
            return kernel
        return kernel._replace(body=around(path[:place], _left_over(path, place, const(0))))
    return kernel._replace(body=_squares(path, place, chosen))


def _never_whole(extent: Size) -> bool:
    return isinstance(extent, int) and extent < EDGE


def _reversed(kernel: Kernel, path: list[For], place: int) -> Kernel:
    """The kernel, one of whose outer loops runs the other way round: what it reads backwards, as
    ``rot90`` does, then has neighbours along it."""
    loop = path[place]
    at = {loop.index: as_expr(loop.extent) - 1 - loop.index}
    turned = kernel._replace(body=around(path, moved(path[-1].body, at)))
    tiled = tile(turned)
    return kernel if tiled is turned else tiled


def _turned(
    body: tuple[Stmt, ...], params: dict[str, Param], path: list[For], step: int = 1
) -> list[tuple[Expr, int]]:
    """The loads whose neighbours lie along another axis than the innermost, and which one."""
    found: list[tuple[Expr, int]] = []
    for x in reads(body):
        if x.op != "load" or dtypes.is_complex(x.dtype):
            continue
        place = position(x.args, params[x.attr].shape)
        steps = [coefficient(place, loop.index) for loop in path]
        if steps[-1] is None or (steps[-1].is_const and abs(steps[-1].value) <= 1):
            continue
        ones = [k for k, s in enumerate(steps[:-1]) if s is not None and s is const(step)]
        if ones:
            found.append((x, ones[-1]))
    return found


def _squares(path: list[For], place: int, chosen: list[Expr]) -> tuple[Stmt, ...]:
    inner, outer, middle = path[-1], path[place], path[place + 1 : -1]
    rows, columns = as_expr(outer.extent), as_expr(inner.extent)
    first = rows // EDGE * EDGE
    blocks = as_size((rows + (ROWS * EDGE - 1)) // (ROWS * EDGE))
    strips = (columns + (COLUMNS * EDGE - 1)) // (COLUMNS * EDGE)
    if columns.is_const:
        edge = next((e for e in (FEW, 2 * FEW) if columns.value <= e), EDGE)
        ways = [(edge, strips)]
    else:
        few = F.le(columns, FEW)
        ways = [(FEW, F.select(few, strips, const(0))), (EDGE, F.select(few, const(0), strips))]
    turns = tuple(
        For(STRIP, as_size(count), "serial", _strip(path, place, chosen, edge))
        for edge, count in ways
    )
    nests: tuple[Stmt, ...] = (For(BLOCK, blocks, "serial", around(middle, turns)),)
    if as_size(rows - first) != 0:
        nests += _left_over(path, place, first)
    return around(path[:place], nests)


def _left_over(path: list[For], place: int, first: Expr) -> tuple[Stmt, ...]:
    """The rows from one on, a piece of the columns after the other."""
    inner, outer, middle = path[-1], path[place], path[place + 1 : -1]
    columns = as_expr(inner.extent)
    at = {outer.index: first + A, inner.index: STRIP * PIECE + B}
    line = For(B, _part(columns, STRIP, PIECE), "vector", moved(inner.body, at))
    rows = For(A, as_size(as_expr(outer.extent) - first), "serial", (line,))
    pieces = as_size((columns + (PIECE - 1)) // PIECE)
    return around(middle, (For(STRIP, pieces, "serial", (rows,)),))


def _part(extent: Expr, number: Expr, most: int) -> Size:
    """The length of a piece of at most so many: ``most`` itself where it divides the extent."""
    if extent.is_const and extent.value % most == 0:
        return most
    return as_size(F.minimum(extent - number * most, const(most)))


def _strip(path: list[For], place: int, chosen: list[Expr], edge: int) -> tuple[Stmt, ...]:
    """The squares of each of the chosen loads, ``edge`` columns of them, then the body along them.
    There are no more columns where that is less than EDGE."""
    inner, outer = path[-1], path[place]
    rows, columns = as_expr(outer.extent), as_expr(inner.extent)
    down = as_size(as_expr(_part(rows, BLOCK, ROWS * EDGE)) // EDGE)
    width = _part(columns, STRIP, COLUMNS * EDGE)
    if edge < EDGE:
        width = as_size(F.minimum(columns, const(edge)))
    across = as_size((as_expr(width) + (edge - 1)) // edge)
    row, start = BLOCK * (ROWS * EDGE), STRIP * (COLUMNS * EDGE)
    column = start + Q * edge + B
    if not (columns.is_const and columns.value % edge == 0):
        column = F.minimum(column, columns - 1)  # the last one several times
    fills: list[Stmt] = []
    instead: dict[Expr, Expr] = {}
    for k, x in enumerate(chosen):
        name = f"squares{k}" if edge == EDGE else f"few{k}"
        at = {inner.index: column, outer.index: row + P * EDGE + A}
        turn = Store(name, (P * EDGE + A, Q * edge + B), substitute(x, at))
        square = For(B, edge, "serial", (For(A, EDGE, "vector", (turn,)),))
        fills.append(Alloc(name, x.dtype, (ROWS * EDGE, COLUMNS * EDGE if edge == EDGE else edge)))
        fills.append(For(Q, across, "serial", (For(P, down, "serial", (square,)),)))
        instead[x] = load(name, (A, B), x.dtype)
    at = {inner.index: start + B, outer.index: row + A}
    line = For(B, width, "vector", moved(inner.body, at, instead))
    return (*fills, For(A, as_size(as_expr(down) * EDGE), "serial", (line,)))
