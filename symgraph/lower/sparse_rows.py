"""What the nests of sparse matrices share: rows of elements, checks of them, sums over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from symgraph import dtypes
from symgraph.ir.graph import Apply
from symgraph.ir.types import Size
from symgraph.loops.program import Buffer
from symgraph.loops.statements import Fold, For, Let, Stmt, Store
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, as_expr, as_size, const, load, var
from symgraph.scalar import functions as F

if TYPE_CHECKING:
    from symgraph.lower.build import Builder, Context

LOOK = 64  # rows that are looked at and then used
PAIRED = {"float32": "int32", "float64": "int64", "int32": "int32", "int64": "int64"}


def sorts(apply: Apply, ctx: Context) -> bool:
    """Whether a product with a transposed matrix sorts its elements (lower/sparse_turned.py): there
    are columns, of a dtype that the number of a row fits beside. 64-bit indices may be those of
    more rows than 32 bits count."""
    out, (_, _, indptr, right) = apply.output, apply.inputs
    rows = ctx.simplify(right.shape[0])
    few = isinstance(rows, int) and rows < 1 << 31
    fits = few or dtypes.itemsize(out.dtype) == 8 or dtypes.itemsize(indptr.dtype) < 8
    known = ctx.scheduled and not ctx.device and out.dtype in PAIRED
    return known and fits and ctx.simplify(out.shape[1]) != 1


class Look(NamedTuple):
    """The statements that look at a block of rows, of ``blocks``; whether they are sound, and then
    where their elements begin and how many they are."""

    body: tuple[Stmt, ...]
    good: Expr
    first: Expr
    many: Expr
    rows: Size
    blocks: Size


class Rows:
    """The rows of a matrix in two parameters of a kernel, indices and indptr."""

    def __init__(self, b: Builder, names: list[str], indices: int, indptr: int) -> None:
        self.index = f"p{indices}", b.buffers[names[indices]].dtype
        self.ptr = f"p{indptr}", b.buffers[names[indptr]].dtype
        self.count = as_size(as_expr(b.buffers[names[indptr]].shape[0]) - 1)

    def start(self, i: Expr) -> Expr:
        return F.cast(load(self.ptr[0], (i,), self.ptr[1]), "int64")

    def column(self, p: Expr) -> Expr:
        return F.cast(load(self.index[0], (p,), self.index[1]), "int64")

    def each(
        self, i: Expr, names: str, body: Callable[[Expr], tuple[Stmt, ...]]
    ) -> tuple[Stmt, ...]:
        """The body for every element of row i, given its position; three new names are bound."""
        first, length, turn = (var(f"_{names}{k}") for k in ("first", "length", "turn"))
        return (
            Let(first, self.start(i)),
            Let(length, self.start(i + 1) - first),
            For(turn, length, "serial", body(first + turn)),
        )

    def tight(self, stored: Size) -> Expr:
        """Whether the first row begins with the first element and the last ends with the last."""
        ends = F.eq(self.start(as_expr(self.count)), as_expr(stored))
        return F.and_(F.eq(self.start(const(0)), const(0)), ends)

    def looked_at(self, begin: Expr, count: Expr, block: Expr, stored: Size, minor: Size) -> Look:
        """A look at block number ``block`` of some rows of a matrix of so many elements and
        columns."""
        r, p = var("_in_block"), var("_in_place")
        first, end, many = (var(f"_look_{name}") for name in ("first", "end", "many"))
        rising, sane, good = (var(f"_look_{name}", "bool") for name in ("rising", "sane", "good"))
        here, start = as_size(F.minimum(count - block * LOOK, const(LOOK))), begin + block * LOOK
        kind = f"u{self.index[1].removeprefix('u')}"  # of which a negative index is a large one
        index, most = load(self.index[0], (first + p,), self.index[1]), var("_look_most", kind)
        wide = "uint64" if dtypes.itemsize(kind) == 8 else "int64"
        inside = F.lt(F.cast(most, wide), F.cast(as_expr(minor), wide))
        begins = [load(self.ptr[0], (start + r + k,), self.ptr[1]) for k in (0, 1)]
        within = F.and_(F.le(const(0), first), F.le(end, as_expr(stored)))
        body = (
            Fold((rising,), "and", r, here, "vector", (), (F.le(*begins),)),
            Let(first, self.start(start)),
            Let(end, self.start(start + as_expr(here))),
            Let(sane, F.and_(rising, within)),
            Let(many, F.select(sane, end - first, const(0))),
            Fold((most,), "maximum", p, many, "vector", (), (F.cast(index, kind),)),
            Let(good, F.and_(sane, F.or_(F.le(many, const(0)), inside))),
        )
        return Look(body, good, first, many, here, as_size((count + (LOOK - 1)) // LOOK))


def row_of_sums(
    i: Expr, start: Callable[[Expr], Expr], element: Callable[[Expr], tuple[Expr, Expr]],
    out: Buffer, right: str, target: str, wide: bool = False,
) -> tuple[Stmt, ...]:  # fmt: skip
    """A row of a product with a dense matrix ``right``: a sum over the row's elements, held in
    registers. ``element`` gives a value and its row in that matrix; ``wide``: of one column, and
    the elements go as vectors."""
    k, first, length = var("_k"), var("_first"), var("_length")
    total, turn = var("_total", out.dtype), var("_turn")
    single = out.shape[1] == 1
    column = const(0) if single else k
    value, place = element(first + turn)
    term = F.mul(value, load(right, (place, column), out.dtype))
    fold = Fold((total,), "add", turn, length, "vector" if wide else "serial", (), (term,))
    whole: tuple[Stmt, ...] = (fold, Store(target, (i, column), total))
    if not single:
        # in blocks of columns, each of which reads the row's elements again, from the cache
        whole = (For(k, out.shape[1], "vector", whole),)
    return (Let(first, start(i)), Let(length, start(i + 1) - first), *whole)
