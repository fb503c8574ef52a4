"""Transposed reads in squares: ``out[i, j] = x[j, i] + y[i, j]``.

A loop that runs over j as vectors reads one element of every row of x, from as many cache lines.
Here both axes are cut into squares of EDGE elements. A square of x is read along its rows and kept
transposed in a small buffer, from which the loop over j reads neighbours. The code generator makes
the turn in registers (codegen/squares_llvm.py); to the interpreter it is a store like any other.

    for ib in 0 .. I / EDGE
      for jb in 0 .. J / EDGE
        alloc square[EDGE, EDGE]
        for b, for a vector: square[a, b] = x[EDGE jb + b, EDGE ib + a]
        for a, for b vector: the body at i = EDGE ib + a, j = EDGE jb + b
      the columns that are left over: in squares, some rows of which are read several times
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

EDGE, FEW = 16, 4
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
    height = _part(rows, BLOCK, ROWS * EDGE)
    down = as_size(as_expr(height) // EDGE)
    across = as_size(columns // EDGE)
    strips = as_size((as_expr(across) + (COLUMNS - 1)) // COLUMNS)
    strip = _strip(path, place, chosen, (down, _part(as_expr(across), STRIP, COLUMNS)))
    blocks = as_size((rows + (ROWS * EDGE - 1)) // (ROWS * EDGE))
    left, first = as_size(columns - as_expr(across) * EDGE), rows // EDGE * EDGE
    turned: tuple[Stmt, ...] = (For(STRIP, strips, "serial", strip),) if strips != 0 else ()
    if left != 0:
        turned += _edge(path, place, chosen, down, (as_expr(across) * EDGE, left))
    nests: tuple[Stmt, ...] = (For(BLOCK, blocks, "serial", around(middle, turned)),)
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


def _strip(
    path: list[For], place: int, chosen: list[Expr], counts: tuple[Size, Size]
) -> tuple[Stmt, ...]:
    """The squares of each of the chosen loads, then the body along them."""
    down, across = counts
    start = STRIP * (COLUMNS * EDGE) + Q * EDGE
    named = {x: f"squares{k}" for k, x in enumerate(chosen)}
    fills: list[Stmt] = []
    for x, name in named.items():
        square = _square(path, place, x, name, start + B)
        fills.append(Alloc(name, x.dtype, (ROWS * EDGE, COLUMNS * EDGE)))
        fills.append(For(Q, across, "serial", (For(P, down, "serial", (square,)),)))
    line = _line(path, place, named, start, EDGE)
    whole = as_size(as_expr(down) * EDGE)
    return (*fills, For(A, whole, "serial", (For(Q, across, "serial", (line,)),)))


def _edge(
    path: list[For], place: int, chosen: list[Expr], down: Size, columns: tuple[Expr, Size]
) -> tuple[Stmt, ...]:
    """The same for what is left over of the columns, less than EDGE of them from one on."""
    left = as_expr(columns[1])
    if left.is_const:
        width = next(w for w in (FEW, 2 * FEW, EDGE) if left.value <= w)
        return _thin(path, place, chosen, down, columns, (width, left))
    few = F.le(left, FEW)
    some, many = F.select(few, left, const(0)), F.select(few, const(0), left)
    return tuple(
        s for width in ((FEW, some), (EDGE, many))
        for s in _thin(path, place, chosen, down, columns, width)
    )  # fmt: skip


def _thin(
    path: list[For], place: int, chosen: list[Expr], down: Size, columns: tuple[Expr, Size],
    width: tuple[int, Expr],
) -> tuple[Stmt, ...]:  # fmt: skip
    """The same in squares of fewer columns, and how many of these are there: none, where those of
    another width take them."""
    start, last = columns[0], as_expr(columns[1]) - 1
    most, count = width
    named = {x: f"edges{most}_{k}" for k, x in enumerate(chosen)}
    rooms = [Alloc(name, x.dtype, (ROWS * EDGE, most)) for x, name in named.items()]
    fills = [
        For(P, down, "serial", (_square(path, place, x, name, start + F.minimum(B, last), most),))
        for x, name in named.items()
    ]
    line = _line(path, place, named, start, as_size(count))
    lines = For(A, as_size(as_expr(down) * EDGE), "serial", (line,))
    either = For(Q, as_size(F.minimum(count, const(1))), "serial", (*fills, lines))
    return (*rooms, *moved((either,), {Q: const(0)}))


def _square(
    path: list[For], place: int, x: Expr, name: str, column: Expr, width: int = EDGE
) -> For:
    """The elements of a load at columns that B numbers, turned."""
    at = {path[-1].index: column, path[place].index: BLOCK * (ROWS * EDGE) + P * EDGE + A}
    turn = Store(name, (P * EDGE + A, Q * EDGE + B), substitute(x, at))
    return For(B, width, "serial", (For(A, EDGE, "vector", (turn,)),))


def _line(path: list[For], place: int, named: dict[Expr, str], start: Expr, extent: Size) -> For:
    """The body along some columns from one on, with what has been turned."""
    at = {path[-1].index: start + B, path[place].index: BLOCK * (ROWS * EDGE) + A}
    instead = {x: load(name, (A, Q * EDGE + B), x.dtype) for x, name in named.items()}
    return For(B, extent, "vector", moved(path[-1].body, at, instead))
