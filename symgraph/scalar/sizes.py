"""Arithmetic of sizes that knows they are not negative: clamping without needless minima."""

from __future__ import annotations

from symgraph.scalar.expr import Expr, as_expr, call
from symgraph.scalar.functions import le, select
from symgraph.scalar.polynomial import as_size, build, key, polynomial

Size = int | Expr


def nonnegative(size: Size) -> bool:
    """Whether an expression over sizes is surely not negative; False when that is not known.

    >>> from symgraph.scalar import var
    >>> nonnegative(2 * var("n") + 1), nonnegative(var("n") - 1)
    (True, False)
    """
    if isinstance(size, int):
        return size >= 0
    return all(c >= 0 and all(map(_atom_nonnegative, m)) for m, c in polynomial(size).items())


def _atom_nonnegative(atom: Expr) -> bool:
    if atom.op == "var":
        return True
    if atom.op == "maximum":
        return any(map(nonnegative, map(as_size, atom.args)))
    if atom.op in ("minimum", "floordiv"):
        return all(map(nonnegative, map(as_size, atom.args)))
    return atom.op == "mod" and nonnegative(as_size(atom.args[1]))


def larger(a: Size, b: Size) -> Size:
    """The maximum of two sizes, decided now where that is possible."""
    return _choose("maximum", a, b)


def smaller(a: Size, b: Size) -> Size:
    """The minimum of two sizes, decided now where that is possible.

    >>> from symgraph.scalar import var
    >>> str(smaller(var("n"), var("n") + 1)), str(smaller(3, var("n")))
    ('n', 'minimum(n, 3)')
    """
    return _choose("minimum", a, b)


def _choose(op: str, a: Size, b: Size) -> Size:
    gap = as_size(as_expr(a) - b)
    if nonnegative(gap):
        return a if op == "maximum" else b
    if nonnegative(as_size(0 - as_expr(gap))):
        return b if op == "maximum" else a
    # One order of the operands, constants last: equal sizes are then the same node.
    first, second = sorted((as_expr(a), as_expr(b)), key=lambda e: (e.is_const, key(e)))
    return as_size(call(op, first, second))


def at_least_zero(size: Size) -> Size:
    """max(size, 0), simplified so that slices of slices have the size that one slice has.

    >>> from symgraph.scalar import var
    >>> n = var("n")
    >>> str(at_least_zero(at_least_zero(n - 1) - 1)), str(at_least_zero(n - at_least_zero(n - 3)))
    ('maximum(n - 2, 0)', 'minimum(n, 3)')
    """
    if isinstance(size, Expr):
        terms = polynomial(size)
        for monomial, c in terms.items():
            atom = monomial[0] if len(monomial) == 1 else None
            if atom is None or atom.op != "maximum" or not _is_zero(atom.args[1]):
                continue
            rest = build({m: k for m, k in terms.items() if m is not monomial})
            if c == 1 and rest.is_const and rest.value <= 0:
                size = as_size(atom.args[0] + rest)  # max(max(q, 0) - k, 0) = max(q - k, 0)
                break
            if c == -1:
                # r - max(q, 0) = min(r - q, r)
                return at_least_zero(smaller(as_size(rest - atom.args[0]), as_size(rest)))
    return larger(size, 0)


def _is_zero(e: Expr) -> bool:
    return e.is_const and e.value == 0


def count_from_end(position: Size, size: Size) -> Size:
    """A position of Python's indexing: negative ones count from the end."""
    if nonnegative(position):
        return position
    wrapped = as_size(as_expr(size) + position)
    if isinstance(position, int) or nonnegative(as_size(-1 - position)):
        return wrapped
    return as_size(select(le(0, position), position, as_expr(wrapped)))


def ceil_div(a: Size, step: int) -> Size:
    """a / step rounded up, for a positive step."""
    return as_size((as_expr(a) + (step - 1)) // step)
