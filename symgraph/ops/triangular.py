"""Triangular systems, and what all of linear algebra shares: operands, transposition, messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph.errors import ArgumentError, DTypeError, LinAlgError, RankError, ShapeError
from symgraph.ir.graph import Variable, constant
from symgraph.ir.op import Op
from symgraph.ir.types import Size, TensorType, broadcast_shapes, same_size
from symgraph.loops.routine import Routine
from symgraph.ops.cast import to_dtype
from symgraph.ops.comparison import equal, where
from symgraph.ops.complex_numbers import conj
from symgraph.ops.creation import tril, triu
from symgraph.ops.matrix import diagonal, multiply_matrices, promoted
from symgraph.ops.operands import as_variable
from symgraph.ops.reductions import any as any_of
from symgraph.ops.shape import broadcast_to, expand_dims, moveaxis, reshape, swapaxes
from symgraph.scalar import product

__all__ = ["solve_triangular"]


# how BLAS and LAPACK begin the names of their routines
LETTERS = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}


# operands -----------------------------------------------------------------------------------------


def float_operand(x: Any, name: str) -> Variable:
    """A float32, float64 or complex tensor; integers become float64, as in NumPy."""
    x = as_variable(x)
    if x.dtype in LETTERS:
        return x
    if not x.dtype.startswith(("int", "uint", "bool")):
        hint = 'cast it: x.astype("float32")'
        raise DTypeError(f"{name}: works in {', '.join(LETTERS)}, got {x.dtype}", hint=hint)
    return to_dtype(x, "float64")


def matrix_operand(x: Any, name: str) -> Variable:
    """A float tensor of at least two axes."""
    x = float_operand(x, name)
    if x.ndim < 2:
        raise RankError(f"{name}: needs a matrix, got {x.type.text()}")
    return x


def square_size(a: TensorType, name: str) -> Size:
    """The size of a square matrix; sizes that surely differ are refused, others checked later."""
    try:
        return same_size(a.shape[-2], a.shape[-1], f"{name}: the matrix is not square")
    except ShapeError as error:
        error.hint = "sg.linalg.lstsq, pinv, qr and svd take matrices of any shape"
        raise


def turned(x: Variable) -> Variable:
    """The transposed matrices."""
    return swapaxes(x, -1, -2)


def adjoint(x: Variable) -> Variable:
    """The transposed matrices, of complex ones the conjugates."""
    return turned(conj(x))


def on_columns(
    name: str, a: Any, b: Any, solve: Callable[[Variable, Variable], Variable]
) -> Variable:
    """``solve(a, b)`` for a right side that is a vector, a matrix, or a batch that broadcasts.

    One matrix and a batch of right sides is one system with many columns.
    """
    a, b = promoted(matrix_operand(a, name), float_operand(b, name))
    if b.ndim == 0:
        raise RankError(f"{name}: the right side is a scalar")
    vector = b.ndim == 1
    same_size(a.shape[-1], b.shape[-1 if vector else -2], f"{name}: sizes differ")
    b = expand_dims(b, -1) if vector else b
    if a.ndim == 2 and b.ndim > 2:
        front = moveaxis(b, -2, 0)
        flat = reshape(front, (b.shape[-2], product((*b.shape[:-2], b.shape[-1]))))
        return moveaxis(reshape(solve(a, flat), front.shape), 0, -2)
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2], what=f"{name}: batch sizes differ")
    a = broadcast_to(a, (*batch, *a.shape[-2:])) if a.ndim - 2 < len(batch) else a
    x = solve(a, broadcast_to(b, (*batch, *b.shape[-2:])))
    return x.squeeze(-1) if vector else x  # type: ignore[no-any-return]


def first_failure(s: Any, test: Callable[[Any], int]) -> tuple[str, int]:
    """Where in a batch of matrices ``test`` first gives a number: words for it, and the number."""
    for place in np.ndindex(s.shape[:-2]):
        found = test(s[place])
        if found:
            index = place[0] if len(place) == 1 else place
            return (f", batch index {index}" if place else ""), found
    return "", 0


# the op -------------------------------------------------------------------------------------------


class TriangularSolve(Op):
    """x with op(a) x = b, for triangular a [..., n, n] and b [..., n, k]; ``trans``: op transposes.

    Only the triangle is read, with ``unit`` not even the diagonal, which then is all ones. ``what``
    is the operation that a singular matrix is reported for, unless it is not ``checked``: then the
    solution has what dividing by 0 gives.
    """

    name = "triangular_solve"
    low: bool
    trans: bool = False
    unit: bool = False
    what: str = "solve_triangular"
    checked: bool = True

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        n = square_size(a, self.what)
        same_size(n, b.shape[-2], f"{self.what}: sizes differ")
        for k, (m, n) in enumerate(zip(a.shape[:-2], b.shape[:-2], strict=True)):
            same_size(m, n, f"{self.what}: sizes differ on axis {k}")
        return b

    def reference(self, a: Any, b: Any) -> Any:
        from scipy.linalg import blas

        if self.checked and not self.unit:
            words, k = first_failure(a, _zero_on_diagonal)
            if k:
                what = f"{self.what}: the matrix is singular (element {k - 1} of the diagonal is 0"
                raise LinAlgError(f"{what}{words})", hint="sg.linalg.lstsq or pinv accept it")
        out = np.array(b)
        solve = getattr(blas, LETTERS[str(a.dtype)] + "trsm")
        for place in np.ndindex(a.shape[:-2]) if b.size else ():
            out[place] = solve(
                1.0, a[place], b[place], lower=self.low, trans_a=self.trans, diag=self.unit
            )
        return out

    def vjp(self, g: Variable, y: Variable, a: Variable, b: Variable) -> tuple[Variable, Variable]:
        gb = self.replace(trans=not self.trans)(a, g)
        left, right = (y, gb) if self.trans else (gb, y)
        ga = -multiply_matrices(left, right, False, True)
        return tril(ga, -int(self.unit)) if self.low else triu(ga, int(self.unit)), gb

    def extern(self, a: TensorType, b: TensorType) -> Routine:
        params = (("low", self.low), ("trans", self.trans), ("unit", self.unit))
        return Routine("triangular_solve", (*params, ("checked", self.checked and not self.unit)))


def _zero_on_diagonal(a: Any) -> int:
    zeros = np.flatnonzero(np.diagonal(a) == 0)
    return int(zeros[0]) + 1 if len(zeros) else 0


_TRANS = {0: False, "N": False, 1: True, "T": True, 2: True, "C": True}


def solve_triangular(
    a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False,
    on_failure: str = "raise",
) -> Variable:  # fmt: skip
    """x with a x = b for upper triangular a [..., n, n] (lower with ``lower``), and b [n] or
    [..., n, k]; ``trans`` 1 or "T" solves with the transposed a, 2 or "C" with its conjugate too.

    Only the named triangle is read; ``unit_diagonal`` takes the diagonal as ones. Raises
    LinAlgError (SG302) when the function runs and an element of the diagonal is 0, or with
    ``on_failure="nan"`` gives NaN.

    >>> import symgraph as sg
    >>> sg.linalg.solve_triangular([[2.0, 0.0], [1.0, 4.0]], [2.0, 9.0], lower=True).eval().tolist()
    [1.0, 2.0]
    """
    if trans not in _TRANS:
        raise ArgumentError(f'solve_triangular: trans is 0, 1, 2, "N", "T" or "C", not {trans!r}')
    unit, nan = bool(unit_diagonal), nan_on_failure("solve_triangular", on_failure)
    op = TriangularSolve(bool(lower), _TRANS[trans], unit, checked=not nan)
    a = conj(a) if trans in (2, "C") else a

    def solve(a: Variable, b: Variable) -> Variable:
        return nan_where_singular(a, op(a, b)) if nan and not unit else op(a, b)

    return on_columns("solve_triangular", a, b, solve)


def nan_on_failure(name: str, on_failure: str) -> bool:
    """Whether NaN shall stand for a solution that does not exist, in place of an error."""
    if on_failure not in ("raise", "nan"):
        raise ArgumentError(f'{name}: on_failure is "raise" or "nan", not {on_failure!r}')
    return on_failure == "nan"


def nan_where_singular(factor: Variable, x: Variable) -> Variable:
    """The solution x by a triangular factor; NaN where this has a zero on its diagonal."""
    zero = expand_dims(any_of(equal(diagonal(factor, 0, -2, -1), 0), axis=-1), (-2, -1))
    return where(zero, constant(np.nan, x.dtype), x)
