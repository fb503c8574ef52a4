"""The loop nests of sparse matrices: rows of compressed elements, each as long as it is.

Parameters p0, p1 ... of a nest are the operands of the op in order, then the result. Rows are taken
one after another; where there are dense columns they run as vectors, with the sums of a row in
registers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.ir.graph import Apply
from symgraph.ir.types import Size, TensorType
from symgraph.loops.program import Buffer, Require, Step
from symgraph.loops.statements import Fold, For, If, Let, Stmt, Store
from symgraph.lower import sparse_turned
from symgraph.lower.build import Builder
from symgraph.lower.kernels import kernel
from symgraph.lower.sparse_rows import LOOK, Rows, row_of_sums, sorts
from symgraph.scalar import Expr, as_expr, as_size, const, load, var
from symgraph.scalar import functions as F

STRIPE = 64  # bytes of a row of sums in one block of columns: a cache line


def _names(b: Builder, apply: Apply) -> list[str]:
    return [b.buffer(v) for v in (*apply.inputs, apply.output)]


def _add(b: Builder, apply: Apply, names: list[str], body: tuple[Stmt, ...],
         needs: set[int], more: tuple[str, ...] = (),
         after: Sequence[Step] = ()) -> None:  # fmt: skip
    buffers = [*names, *more]
    modes = "i" * len(apply.inputs) + "o" * (1 + len(more))
    step = kernel(b, buffers, modes, body, apply.origins)
    b.add_steps(names[:-1], [names[-1], *more], [step, *after], needs)


def element_rows(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """The number of its row for each element."""
    names = _names(b, apply)
    first, length, i, turn = (var(f"_{k}") for k in ("first", "length", "i", "turn"))
    kind = b.buffers[names[0]].dtype
    start = F.cast(load("p0", (i,), kind), "int64")
    end = F.cast(load("p0", (i + 1,), kind), "int64")
    row = (
        Let(first, start),
        Let(length, end - first),
        For(turn, length, "vector", (Store("p1", (first + turn,), i),)),
    )
    count = as_size(as_expr(b.buffers[names[0]].shape[0]) - 1)
    _add(b, apply, names, (For(i, count, "serial", row),), needs)


# sparse times dense -------------------------------------------------------------------------------


def sparse_matmul(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """out = A b or A^T b; operands: elements, indices, indptr, b."""
    names = _names(b, apply)
    rows, out = Rows(b, names, 1, 2), b.buffers[names[4]]
    more: tuple[str, ...] = ()
    if not params["transposed"]:
        _product(b, apply, names, needs)
        return
    if sorts(apply, b.ctx):
        sparse_turned.turned_product(b, apply, names, needs)
        return
    if out.shape[1] == 1:
        body = _scattered(rows, out, "p4", const(0), 1)
    elif not b.ctx.scheduled:
        body = _scattered(rows, out, "p4", const(0), out.shape[1])
    else:
        width = as_size(F.minimum(as_expr(out.shape[1]), const(_columns(out.dtype))))
        more = (b.scratch(TensorType(out.dtype, (out.shape[0], width))),)
        body = _in_blocks(rows, out)
    _add(b, apply, names, body, needs, more)


def _product(b: Builder, apply: Apply, names: list[str], needs: set[int]) -> None:
    """A b row by row; with a check each block of rows is looked at before."""
    rows, out = Rows(b, names, 1, 2), b.buffers[names[4]]
    minor = b.ctx.simplify(apply.op.minor)  # type: ignore[attr-defined]
    stored = b.buffers[names[1]].shape[0]
    plain = dtypes.is_float(out.dtype) and not dtypes.is_narrow(out.dtype)
    wide = plain and out.shape[1] == 1 and b.ctx.scheduled and not b.ctx.device
    failure = b.own_checks.get(apply)

    def element(p: Expr) -> tuple[Expr, Expr]:
        return load("p0", (p,), out.dtype), rows.column(p)

    def row(i: Expr) -> tuple[Stmt, ...]:
        return row_of_sums(i, rows.start, element, out, "p3", "p4", wide)

    if failure is None:
        i = var("_i")
        _add(b, apply, names, (For(i, rows.count, "serial", row(i)),), needs)
        return
    block, r, whole = var("_look"), var("_row"), var("_whole", "bool")
    look = rows.looked_at(const(0), as_expr(rows.count), block, stored, minor)
    use = If(look.good, (For(r, look.rows, "serial", row(block * LOOK + r)),))
    told = load("p5", (block,), "bool")
    body = (
        For(block, look.blocks, "serial", (*look.body, Store("p5", (block,), look.good), use)),
        Fold((whole,), "and", block, look.blocks, "serial", (), (told,)),
        Store("p6", (), F.and_(whole, rows.tight(stored))),
    )
    flags, flag = b.scratch(TensorType("bool", (look.blocks,))), b.scratch(TensorType("bool"))
    _add(b, apply, names, body, needs, (flags, flag), [Require(flag, failure)])


def zero_of(dtype: str) -> Expr:
    """0 of a dtype."""
    return const(False, "bool") if dtype == "bool" else const(0, dtype)


def _scattered(rows: Rows, out: Buffer, target: str, start: Expr, count: Size) -> tuple[Stmt, ...]:
    """Each element adds a multiple of ``count`` columns of b, from ``start`` on, to a row."""
    i, j, k = var("_i"), var("_j"), var("_k")

    def across(body: Callable[[Expr], Stmt]) -> Stmt:
        return body(const(0)) if count == 1 else For(k, count, "vector", (body(k),))

    def element(p: Expr) -> tuple[Stmt, ...]:
        column, factor = var("_column"), var("_factor", out.dtype)

        def move(at: Expr) -> Store:
            more = F.mul(factor, load("p3", (i, start + at), out.dtype))
            place = column, at
            return Store(target, place, F.add(load(target, place, out.dtype), more))

        read = (Let(column, rows.column(p)), Let(factor, load("p0", (p,), out.dtype)))
        return (*read, across(move))

    zero = zero_of(out.dtype)
    clear = For(j, out.shape[0], "serial", (across(lambda at: Store(target, (j, at), zero)),))
    return (clear, For(i, rows.count, "serial", rows.each(i, "", element)))


def _in_blocks(rows: Rows, out: Buffer) -> tuple[Stmt, ...]:
    """The same in blocks of columns, so narrow that rows of sums, which are met in any order, are
    soon found again in the cache; for that they lie close together in memory of their own, p5.
    Threads share the blocks: every sum is added up in the order of the rows."""
    block, i, k = var("_block"), var("_i"), var("_k")
    size, width = as_expr(out.shape[1]), _columns(out.dtype)
    start = block * width
    count = as_size(F.minimum(size - start, const(width)))
    copy = Store("p4", (i, start + k), load("p5", (i, k), out.dtype))
    back = For(i, out.shape[0], "serial", (For(k, count, "vector", (copy,)),))
    body = (*_scattered(rows, out, "p5", start, count), back)
    return (For(block, as_size((size + (width - 1)) // width), "serial", body),)


def _columns(dtype: str) -> int:
    """The columns of a block."""
    return max(1, STRIPE // dtypes.itemsize(dtype))


# sampled products ---------------------------------------------------------------------------------


def sampled_dot(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """Operands: indices, indptr, left, right; each element is a product of two dense rows."""
    names = _names(b, apply)
    rows = Rows(b, names, 0, 1)
    out, width = b.buffers[names[4]], b.buffers[names[2]].shape[1]
    i, k = var("_i"), var("_k")

    def element(p: Expr) -> tuple[Stmt, ...]:
        column, total = var("_column"), var("_total", out.dtype)

        def product(at: Expr) -> Expr:
            right = load("p3", (column, at), out.dtype)
            return F.mul(load("p2", (i, at), out.dtype), right)

        read = Let(column, rows.column(p))
        if width == 1:
            return (read, Store("p4", (p,), product(const(0))))
        fold = Fold((total,), "add", k, width, "vector", (), (product(k),))
        return (read, fold, Store("p4", (p,), total))

    body = (For(i, rows.count, "serial", rows.each(i, "", element)),)
    _add(b, apply, names, body, needs)


def sampled_product(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """Operands: elements, indices, indptr of a and of b, indices and indptr of the result. A dense
    row collects a row of the product; only what was written is read and cleared."""
    names = _names(b, apply)
    left, right, wanted = (Rows(b, names, *at) for at in ((1, 2), (4, 5), (6, 7)))
    dtype = b.buffers[names[8]].dtype
    size: Size = b.ctx.simplify(params["minor"])
    room = b.scratch(TensorType(dtype, (size,)))
    i, j = var("_i"), var("_j")
    zero = const(0, dtype)

    def over(value: Callable[[Expr, Expr, Expr], Expr], tag: str) -> tuple[Stmt, ...]:
        """Store value(p, q, place) at the place of every product of row i."""

        def inner(p: Expr) -> Callable[[Expr], tuple[Stmt, ...]]:
            def store(q: Expr) -> tuple[Stmt, ...]:
                place = var(f"_place{tag}")
                return Let(place, right.column(q)), Store("p9", (place,), value(p, q, place))

            return store

        def outer(p: Expr) -> tuple[Stmt, ...]:
            row = var(f"_row{tag}")
            return (Let(row, left.column(p)), *right.each(row, f"b{tag}", inner(p)))

        return left.each(i, f"a{tag}", outer)

    def added(p: Expr, q: Expr, place: Expr) -> Expr:
        product = F.mul(load("p0", (p,), dtype), load("p3", (q,), dtype))
        return F.add(load("p9", (place,), dtype), product)

    read = wanted.each(i, "c", lambda s: (
        Store("p8", (s,), load("p9", (wanted.column(s),), dtype)),
    ))  # fmt: skip
    row = (*over(added, "x"), *read, *over(lambda p, q, place: zero, "y"))
    clear = For(j, size, "vector", (Store("p9", (j,), zero),))
    body = (clear, For(i, left.count, "serial", row))
    _add(b, apply, names, body, needs, (room,))
