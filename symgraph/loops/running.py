"""Running folds: a recurrence whose turns may be combined in blocks.

    Fold((total, ...), "next", i, n, "vector") { let new = total + term; ...; store ... } yield new

The carried value is combined each turn with a term that does not need it, by an operation that may
be taken in any tree order, and each turn stores what it is by then. Such a ``next`` fold may be of
kind "vector"; read turn by turn it means what it always means.

A long sum of float64 carries its rounding errors as a second value (Knuth's two-sum), so that the
error of an element does not grow with its place.
"""

from __future__ import annotations

from symgraph import dtypes
from symgraph.loops.statements import Fold, Let, Size, Stmt, Store
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, const, postorder, var
from symgraph.scalar import functions as F

COMBINE = {
    "add": F.add, "mul": F.mul, "maximum": F.maximum, "minimum": F.minimum, "and": F.and_,
    "or": F.or_, "xor": F.xor,
}  # fmt: skip


class Running(NamedTuple):
    """What a running fold combines, by what operation, whether it carries rounding errors, the
    value that is stored, as an expression of ``new``, and where."""

    combiner: str
    term: Expr
    compensated: bool
    new: Expr
    store: Store


def running_fold(
    combiner: str, index: Expr, extent: Size, term: Expr, start: Expr, store: Store
) -> Fold:
    """The fold that stores, each turn, an expression of ``var("_new", term.dtype)``.

    >>> x, i, new = var("x", "int64"), var("_i0"), var("_new", "int64")
    >>> s = running_fold("add", i, 5, x, const(0), Store("out", (i,), new))
    >>> s.combiner, running(s).term is x
    ('next', True)
    """
    total, new = var("_total", term.dtype), var("_new", term.dtype)
    body = (Let(new, COMBINE[combiner](total, term)), store)
    return Fold((total,), "next", index, extent, "vector", body, (new,), (start,))


def compensated_sum(
    index: Expr, extent: Size, term: Expr, buffer: str, at: tuple[Expr, ...]
) -> Fold:
    """The fold that stores running sums of floats whose error does not grow."""
    total, error, new, kept = (var(n, term.dtype) for n in ("_total", "_error", "_new", "_kept"))
    zero = const(0.0, term.dtype)
    body = _compensated(total, error, new, kept, term, buffer, at)
    return Fold((total, error), "next", index, extent, "vector", body, (new, kept), (zero, zero))


def _compensated(
    total: Expr, error: Expr, new: Expr, kept: Expr, term: Expr, buffer: str, at: tuple[Expr, ...]
) -> tuple[Stmt, ...]:
    """Beyond an infinity the error is NaN and left out."""
    part, lost = var("_part", term.dtype), var("_lost", term.dtype)
    return (
        Let(new, F.add(total, term)),
        Let(part, F.sub(new, total)),
        Let(lost, F.add(F.sub(total, F.sub(new, part)), F.sub(term, part))),
        Let(kept, F.add(error, lost)),
        Store(buffer, at, F.add(new, F.select(F.isnan(kept), const(0.0, term.dtype), kept))),
    )


def running(s: Fold) -> Running | None:
    """What a fold of the two forms above combines; None for any other."""
    first, last = (s.body[0], s.body[-1]) if s.body else (None, None)
    if s.combiner != "next" or not isinstance(first, Let) or not isinstance(last, Store):
        return None
    op, total = first.value.op, s.names[0]
    if s.values[0] is not first.name or op not in COMBINE or len(s.names) > 2:
        return None
    left, term = first.value.args
    if left is not total:
        left, term = term, left
    if left is not total or any(n in s.names for n in postorder([term])):
        return None
    found = Running(op, term, len(s.names) == 2, first.name, last)
    if found.compensated:
        names = (total, s.names[1], first.name, s.values[1])
        same = s.body == _compensated(*names, term, last.buffer, last.indices)
        return found if same and op == "add" and dtypes.is_float(term.dtype) else None
    needed = {n for n in postorder([last.value]) if n.op == "var"}
    alone = len(s.body) == 2 and needed <= {first.name, s.index}
    exact = not dtypes.is_float(term.dtype) or op in ("add", "maximum", "minimum")
    return found if alone and exact else None
