"""Sums of products over named axes: einsum, tensordot, dot.

Operands are contracted two at a time. A pair becomes one matrix product (the axes sorted into
batch, left, contracted and right ones), or a product and a sum when BLAS could not help.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, AxisError, RankError
from symgraph.ir.graph import Variable
from symgraph.ir.operators import in_language
from symgraph.ir.types import Shape, Size, same_size
from symgraph.ops import reductions
from symgraph.ops.cast import computed_in, to_dtype
from symgraph.ops.matrix import diagonal, matmul, multiply_matrices, promoted
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import expand_dims, is_one, normalize_axes, reshape, squeeze, transpose
from symgraph.records import NamedTuple
from symgraph.scalar import product

__all__ = ["dot", "einsum", "inner", "tensordot"]

Label = Hashable
Labels = tuple[Label, ...]
UNKNOWN = 64  # what a symbolic size counts when the order of contractions is chosen


class Term(NamedTuple):
    """A tensor with a label for each axis."""

    x: Variable
    labels: tuple[Label, ...]

    def size(self, label: Label) -> Size:
        return self.x.shape[self.labels.index(label)]


# einsum -------------------------------------------------------------------------------------------


def einsum(subscripts: str, *operands: Any) -> Variable:
    """Einstein's summation: letters name axes, repeated letters are multiplied and summed.

    ``"ij,jk->ik"`` is the matrix product; without ``->`` the letters that occur once, sorted, are
    the result. An ellipsis stands for leading axes that broadcast.
    Raises ArgumentError for malformed subscripts, ShapeError where sizes of a letter differ.

    >>> import symgraph as sg
    >>> sg.einsum("ij,j->i", [[1, 2], [3, 4]], [1, 10]).eval().tolist()
    [21, 43]
    """
    xs = promoted(*operands) if operands else []
    inputs, output = _parse(subscripts, [x.ndim for x in xs])
    dtype = xs[0].dtype
    xs = [computed_in(x) for x in xs]
    sizes = _sizes(xs, inputs)
    terms = []
    for x, labels in zip(xs, inputs, strict=True):
        ones = [k for k, n in enumerate(labels) if is_one(x.shape[k]) and not is_one(sizes[n])]
        kept = tuple(n for k, n in enumerate(labels) if k not in ones)
        terms.append(_take_diagonals(Term(squeeze(x, ones) if ones else x, kept)))
    while len(terms) > 1:
        i, j = _cheapest(terms, output)
        b, a = terms.pop(j), terms.pop(i)
        needed = set(output).union(*(t.labels for t in terms))
        terms.append(_contract(_reduced(a, needed | set(b.labels)),
                               _reduced(b, needed | set(a.labels)), needed))  # fmt: skip
    return to_dtype(_ordered(_reduced(terms[0], set(output)), output), dtype)


def _parse(subscripts: str, ranks: Sequence[int]) -> tuple[list[Labels], Labels]:
    """The labels of the operands and of the result; an ellipsis becomes labels (".", k), counted
    from its end."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(ranks):
        raise ArgumentError(f"einsum: {len(parts)} terms in {subscripts!r}, {len(ranks)} operands")
    inputs = [_labels(p, rank, subscripts) for p, rank in zip(parts, ranks, strict=True)]
    dots = max((sum(isinstance(n, tuple) for n in labels) for labels in inputs), default=0)
    every = [n for labels in inputs for n in labels]
    if arrow:
        output = _labels(right, dots + len(right.replace("...", "")), subscripts)
    else:
        once = sorted(n for n in set(every) if isinstance(n, str) and every.count(n) == 1)
        output = (*((".", k) for k in range(dots, 0, -1)), *once)
    if len(set(output)) != len(output) or not set(output) <= set(every):
        raise ArgumentError(f"einsum: {subscripts!r} has a repeated or unknown letter after ->")
    return inputs, output


def _labels(part: str, rank: int, subscripts: str) -> tuple[Label, ...]:
    letters = part.replace("...", "", 1)
    if letters and not letters.isalpha():
        raise ArgumentError(f"einsum: malformed subscripts {subscripts!r}")
    rest = rank - len(letters)
    if rest < 0 or (rest > 0 and "..." not in part):
        raise RankError(f"einsum: {part!r} names {len(letters)} axes, its operand has {rank}")
    at = part.find("...")
    dots = tuple((".", k) for k in range(rest, 0, -1))
    return (*part[:at], *dots, *part[at + 3 :]) if at >= 0 else tuple(part)


def _sizes(xs: Sequence[Variable], inputs: Sequence[tuple[Label, ...]]) -> dict[Label, Size]:
    sizes: dict[Label, Size] = {}
    for x, labels in zip(xs, inputs, strict=True):
        for n, size in zip(labels, x.shape, strict=True):
            if n not in sizes or is_one(sizes[n]):
                sizes[n] = size
            elif not is_one(size):
                name = n if isinstance(n, str) else "..."
                sizes[n] = same_size(sizes[n], size, f"einsum: sizes of {name!r} differ")
    return sizes


def _take_diagonals(t: Term) -> Term:
    """A term in which no label stands twice."""
    for n in dict.fromkeys(t.labels):
        while t.labels.count(n) > 1:
            i = t.labels.index(n)
            j = t.labels.index(n, i + 1)
            rest = tuple(m for k, m in enumerate(t.labels) if k not in (i, j))
            t = Term(diagonal(t.x, 0, i, j), (*rest, n))
    return t


def _reduced(t: Term, needed: set[Label]) -> Term:
    """The term summed over labels that nobody needs."""
    axes = tuple(k for k, n in enumerate(t.labels) if n not in needed)
    if not axes:
        return t
    labels = tuple(n for n in t.labels if n in needed)
    fold = reductions.any if t.x.dtype == "bool" else reductions.sum
    return Term(to_dtype(fold(t.x, axis=axes), t.x.dtype), labels)


def _cheapest(terms: Sequence[Term], output: Sequence[Label]) -> tuple[int, int]:
    """The pair whose product is the smallest compared with what it replaces."""
    best = None
    for j in range(1, len(terms)):
        for i in range(j):
            a, b = terms[i], terms[j]
            needed = set(output).union(*(t.labels for t in terms if t is not a and t is not b))
            union = {n: _cost(t.size(n)) for t in (a, b) for n in t.labels}
            result = _count([c for n, c in union.items() if n in needed])
            old = sum(_count([_cost(s) for s in t.x.shape]) for t in (a, b))
            score = (result - old, _count(list(union.values())), i, j)
            best = score if best is None or score < best else best
    assert best is not None
    return best[2], best[3]


def _cost(size: Size) -> int:
    return size if isinstance(size, int) else UNKNOWN


def _count(sizes: Sequence[int]) -> int:
    total = 1
    for s in sizes:
        total *= s
    return total


# one pair -----------------------------------------------------------------------------------------


def _contract(a: Term, b: Term, needed: set[Label]) -> Term:
    """The product of two terms, summed over the labels they share and nobody needs."""
    shared = [n for n in a.labels if n in b.labels]
    batch = tuple(n for n in shared if n in needed)
    inner_ = tuple(n for n in shared if n not in needed)
    left = tuple(n for n in a.labels if n not in shared)
    right = tuple(n for n in b.labels if n not in shared)
    labels = (*batch, *left, *right)
    if not inner_ or not (left or right) or not dtypes.is_inexact(a.x.dtype):
        every = (*labels, *inner_)
        return _reduced(Term(_aligned(a, every) * _aligned(b, every), every), needed)
    x, ta = _matrix(a, batch, left, inner_)
    y, tb = _matrix(b, batch, inner_, right)
    out = multiply_matrices(x, y, ta, tb)
    shape = (*out.shape[: len(batch)], *map(a.size, left), *map(b.size, right))
    return Term(reshape(out, shape), labels)


def _matrix(
    t: Term, batch: tuple[Label, ...], rows: tuple[Label, ...], columns: tuple[Label, ...]
) -> tuple[Variable, bool]:
    """The term as matrices (rows, columns) behind the batch axes, or as their transposes when that
    spares moving memory."""
    turned = t.labels == (*batch, *columns, *rows) and t.labels != (*batch, *rows, *columns)
    first, second = (columns, rows) if turned else (rows, columns)
    x = _ordered(t, (*batch, *first, *second))
    shape: Shape = tuple(map(t.size, batch))
    sides = (product(tuple(map(t.size, side))) for side in (first, second))
    return reshape(x, (*shape, *sides)), turned


def _ordered(t: Term, labels: Sequence[Label]) -> Variable:
    return transpose(t.x, [t.labels.index(n) for n in labels])


def _aligned(t: Term, labels: Sequence[Label]) -> Variable:
    """The term with its axes in the order of ``labels`` and axes of size 1 for those it lacks."""
    x = _ordered(t, [n for n in labels if n in t.labels])
    return expand_dims(x, tuple(k for k, n in enumerate(labels) if n not in t.labels))


# tensordot, dot -----------------------------------------------------------------------------------


def tensordot(a: Any, b: Any, axes: Any = 2) -> Variable:
    """Products summed over axes of a paired with axes of b: the last ``axes`` of a with the
    first of b, or two lists.

    Raises AxisError when the lists differ in length, ShapeError when sizes do.

    >>> import symgraph as sg
    >>> sg.tensordot([[1, 2], [3, 4]], [[1, 0], [0, 1]], 2).eval().item()
    5
    """
    a, b = promoted(a, b)
    if isinstance(axes, int):
        if not 0 <= axes <= min(a.ndim, b.ndim):
            raise AxisError(f"tensordot: {axes} axes of tensors with {a.ndim} and {b.ndim}")
        of_a, of_b = tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes))
    else:
        of_a = normalize_axes(axes[0], a.ndim, "tensordot")
        of_b = normalize_axes(axes[1], b.ndim, "tensordot")
    if len(of_a) != len(of_b):
        raise AxisError("tensordot: the lists of axes differ in length")
    left: list[Label] = [("a", k) for k in range(a.ndim)]
    right: list[Label] = [("b", k) for k in range(b.ndim)]
    for i, j in zip(of_a, of_b, strict=True):
        same_size(a.shape[i], b.shape[j], f"tensordot: sizes of axes {i} and {j} differ")
        right[j] = left[i]
    output = [n for n in left + right if not (n in left and n in right)]
    terms = Term(computed_in(a), tuple(left)), Term(computed_in(b), tuple(right))
    return to_dtype(_ordered(_contract(*terms, set(output)), output), a.dtype)


@in_language("dot")
def dot(a: Any, b: Any) -> Variable:
    """NumPy's dot: the inner product of vectors, the product of matrices, else the sum over the
    last axis of a and the last but one of b.

    >>> import symgraph as sg
    >>> sg.dot([1, 2], [3, 4]).eval().item()
    11
    """
    a, b = as_variable(a), as_variable(b)
    if not a.ndim or not b.ndim:
        return a * b  # type: ignore[no-any-return]
    if b.ndim <= 2:
        return matmul(a, b)
    return tensordot(a, b, ([a.ndim - 1], [b.ndim - 2]))


def inner(a: Any, b: Any) -> Variable:
    """Products summed over the last axes of both.

    >>> import symgraph as sg
    >>> sg.inner([[1, 2], [3, 4]], [1, 1]).eval().tolist()
    [3, 7]
    """
    a, b = as_variable(a), as_variable(b)
    if not a.ndim or not b.ndim:
        return a * b  # type: ignore[no-any-return]
    return matmul(a, b) if a.ndim == b.ndim == 1 else tensordot(a, b, ([a.ndim - 1], [b.ndim - 1]))
