"""A^T b for a sparse matrix in rows: its elements are first sorted by column.

Row by row, each element would add to a row of the result somewhere, which is read and written
there for every element. Sorted by column (a counting sort, the elements of a column in the order
of the rows), a row of the result is a sum in registers and is written once:

    for part { counts[part] = how many elements of each column are in its rows }
    for j: for part { where they go: starts[j], places[part, j] }
    for part { for row i: for its elements: sorted[places[part, column]++] = value, i }
    for j { out[j] = fold over sorted[starts[j] .. starts[j + 1]]: value * b[i] }

An element and its row lie side by side in memory, as one line is fetched for either. How a sorted
array looks does not depend on the parts, nor do the sums, which go in the order of the rows.
"""

from __future__ import annotations

from symgraph.ir.graph import Apply
from symgraph.ir.types import Size, TensorType
from symgraph.loops.program import Require, Step
from symgraph.loops.statements import Fold, For, If, Let, Stmt, Store
from symgraph.lower.build import Builder
from symgraph.lower.kernels import kernel
from symgraph.lower.sparse_rows import PAIRED, Rows, row_of_sums
from symgraph.scalar import Expr, as_expr, as_size, const, load, var
from symgraph.scalar import functions as F

PARTS = 4  # that threads share; each has a number for every column


def turned_product(b: Builder, apply: Apply, names: list[str], needs: set[int]) -> None:
    """The steps; ``names`` are elements, indices, indptr, b and the result."""
    indices, indptr, result = names[1], names[2], names[4]
    out, dtype = b.buffers[result], b.buffers[indptr].dtype
    stored = b.buffers[indices].shape[0]
    counts = b.scratch(TensorType(dtype, (PARTS, out.shape[0])))
    starts = b.scratch(TensorType(dtype, (as_size(as_expr(out.shape[0]) + 1),)))
    pairs = b.scratch(TensorType(out.dtype, (as_size(as_expr(stored) * 2),)))
    failure = b.own_checks.get(apply)
    counted = [indices, indptr, counts]
    rows, flag = Rows(b, counted, 0, 1), ""
    if failure is not None:
        flag = b.scratch(TensorType("bool"))
        counted += [b.scratch(TensorType("bool", (PARTS,))), flag]
    body = _counted(rows, out.shape[0], stored, bool(flag))
    steps = [kernel(b, counted, "iiooo"[: len(counted)], body, apply.origins)]
    if failure is not None:
        steps.append(Require(flag, failure))
    steps.append(_sorted_product(b, apply, [*names, counts, starts, pairs]))
    b.add_steps(names[:-1], [result, starts, pairs, *counted[2:]], steps, needs)


def _part_rows(rows: Rows, part: Expr) -> tuple[Expr, Expr]:
    """The first row of a part, and how many it has."""
    count = as_expr(rows.count)
    chunk = count // PARTS  # and the last one has the rest
    here = F.select(F.lt(part, const(PARTS - 1)), chunk, count - chunk * (PARTS - 1))
    return part * chunk, here


def _counted(rows: Rows, columns: Size, stored: Size, looks: bool) -> tuple[Stmt, ...]:
    """p2[part, j]: how many elements of column j lie in the rows of a part. With a check p3 tells
    of each part whether it is sound, p4 whether all is."""
    part, j, p, block = (var(f"_{n}") for n in ("part", "j", "p", "look"))
    begin, here = _part_rows(rows, part)
    dtype = rows.ptr[1]
    clear = For(j, columns, "vector", (Store("p2", (part, j), const(0, dtype)),))

    def count(first: Expr, many: Expr) -> For:
        place = part, rows.column(first + p)
        more = F.add(load("p2", place, dtype), const(1, dtype))
        return For(p, as_size(many), "serial", (Store("p2", place, more),))

    if not looks:
        first, many = var("_first"), var("_many")
        ends = rows.start(begin), rows.start(begin + here)
        lets = (Let(first, ends[0]), Let(many, ends[1] - first))
        return (For(part, PARTS, "serial", (clear, *lets, count(first, many))),)
    look = rows.looked_at(begin, here, block, stored, columns)
    good, whole = var("_part_good", "bool"), var("_whole", "bool")
    use = If(look.good, (count(look.first, look.many),))
    blocks = Fold((good,), "and", block, look.blocks, "serial", (*look.body, use), (look.good,))
    told = load("p3", (j,), "bool")
    return (
        For(part, PARTS, "serial", (clear, blocks, Store("p3", (part,), good))),
        Fold((whole,), "and", j, PARTS, "serial", (), (told,)),
        Store("p4", (), F.and_(whole, rows.tight(stored))),
    )


def _sorted_product(b: Builder, apply: Apply, names: list[str]) -> Step:
    """p5: counts, then places; p6: where columns start; p7: elements with their rows."""
    rows, out = Rows(b, names, 1, 2), b.buffers[names[4]]
    dtype, paired = rows.ptr[1], PAIRED[out.dtype]
    part, i, j = (var(f"_{n}") for n in ("part", "i", "j"))
    column, place, row, side = (var(f"_{n}") for n in ("column", "place", "row", "side"))
    begin, here = _part_rows(rows, part)

    def deal(p: Expr) -> tuple[Stmt, ...]:
        number = F.bitcast(F.cast(row, paired), out.dtype)
        both = F.select(F.eq(side, const(0)), load("p0", (p,), out.dtype), number)
        return (
            Let(column, rows.column(p)),
            Let(place, F.cast(load("p5", (part, column), dtype), "int64")),
            For(side, 2, "vector", (Store("p7", (place * 2 + side,), both),)),  # one store
            Store("p5", (part, column), F.cast(place + 1, dtype)),
        )

    def element(p: Expr) -> tuple[Expr, Expr]:
        number = F.bitcast(load("p7", (p * 2 + 1,), out.dtype), paired)
        return load("p7", (p * 2,), out.dtype), F.cast(number, "int64")

    def start(k: Expr) -> Expr:
        return F.cast(load("p6", (k,), dtype), "int64")

    dealt = (Let(row, begin + i), *rows.each(row, "", deal))
    # the rows of parts go to places of their own, which only their counts tell
    parts = For(part, PARTS, "apart", (For(i, as_size(here), "serial", dealt),))
    sums = row_of_sums(j, start, element, out, "p3", "p4")
    product = For(j, out.shape[0], "serial", sums)
    body = (*_placed(out.shape[0], dtype), parts, product)
    return kernel(b, names, "iiiioooo", body, apply.origins)


def _placed(columns: Size, dtype: str) -> tuple[Stmt, ...]:
    """From counts to places: of a column, those of the first part come first."""
    j, part, total, held, count = (var(f"_{n}") for n in ("j", "part", "placed", "held", "count"))
    each = Fold(
        (held,), "next", part, PARTS, "serial",
        (Let(count, F.cast(load("p5", (part, j), dtype), "int64")),
         Store("p5", (part, j), F.cast(held, dtype))),
        (held + count,), (total,),
    )  # fmt: skip
    begin = Store("p6", (j,), F.cast(total, dtype))
    all_ = Fold((total,), "next", j, columns, "serial", (begin, each), (held,), (const(0),))
    return (all_, Store("p6", (as_expr(columns),), F.cast(total, dtype)))
