"""Factorisations of matrices in finitely many steps: Cholesky, LU, QR.

Every op works on the last two axes and keeps the leading ones as a batch. Values come from LAPACK,
called inside the compiled program; derivatives are those of Giles, "Collected matrix derivative
results for forward and reverse mode algorithmic differentiation" (2008), and Murray,
"Differentiation of the Cholesky decomposition" (2016).

A matrix that must be symmetric is read as (a + a^T)/2, as in JAX, so that its gradient is symmetric
and agrees with differences in every direction; ``symmetrize=False`` reads one triangle. Complex
matrices are Hermitian there: of all that is transposed the conjugate is meant. Rules that are not
holomorphic are written for the gradient df/dx + i df/dy, the conjugate of a cotangent.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, GradientError, LinAlgError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import Size, TensorType, same_size
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.loops.routine import Routine
from symgraph.ops.cast import to_dtype
from symgraph.ops.cholesky_derivatives import CholeskyPull
from symgraph.ops.comparison import where
from symgraph.ops.complex_numbers import conj, real
from symgraph.ops.creation import eye, iota, tril, triu, zeros_like
from symgraph.ops.joining import concatenate, part_of
from symgraph.ops.lu_derivatives import LUPull
from symgraph.ops.matrix import multiply_matrices
from symgraph.ops.shape import expand_dims
from symgraph.ops.triangular import (
    LETTERS,
    TriangularSolve,
    adjoint,
    first_failure,
    matrix_operand,
    square_size,
    turned,
)
from symgraph.scalar import Expr, as_expr, as_size
from symgraph.scalar.functions import cast as cast_expr
from symgraph.scalar.sizes import nonnegative, smaller

__all__ = ["cholesky", "lu", "lu_factor", "qr"]


# symmetric operands -------------------------------------------------------------------------------


def symmetric_part(a: Any, symmetrize: bool) -> Any:
    """What a symmetric matrix is read as, in NumPy."""
    if symmetrize:
        return (a + np.swapaxes(a, -1, -2).conj()) / 2
    low = np.tril(a)
    return low + np.swapaxes(np.tril(a, -1), -1, -2).conj()


def symmetric_cotangent(s: Variable, symmetrize: bool) -> Variable:
    """The cotangent of a matrix of which the symmetric part, or the lower triangle, was read."""
    if symmetrize:
        return (s + adjoint(s)) * 0.5
    if dtypes.is_complex(s.dtype):  # of the diagonal the real part was read
        return tril(s, -1) + tril(adjoint(s), -1) + where(_diagonal_of(s), real(s), 0.0)
    return tril(s) + tril(turned(s), -1)


def _eye_like(x: Variable) -> Variable:
    return eye(x.shape[-2], x.shape[-1], dtype=x.dtype)


def _diagonal_of(x: Variable) -> Variable:
    return eye(x.shape[-2], x.shape[-1], dtype="bool")


# Cholesky -----------------------------------------------------------------------------------------


class Cholesky(Op):
    """The lower triangular l with l l^T = a, for symmetric positive definite matrices.

    ``on_failure``: "raise" an error, or "nan" where a matrix is not positive definite.
    """

    name = "cholesky"
    symmetrize: bool = True
    on_failure: str = "raise"

    def infer(self, a: TensorType) -> TensorType:
        n = square_size(a, "cholesky")
        return a.with_shape((*a.shape[:-2], n, n))

    def reference(self, a: Any) -> Any:
        s = symmetric_part(a, self.symmetrize)
        try:
            return np.linalg.cholesky(s)
        except np.linalg.LinAlgError:
            if self.on_failure == "raise":
                where_, minor = first_failure(s, _leading_minor)
                raise LinAlgError(
                    f"cholesky: matrix is not positive definite (leading minor {minor}{where_})",
                    hint='add a multiple of the identity, or use on_failure="nan"',
                ) from None
        out = np.empty_like(s)
        for place in np.ndindex(s.shape[:-2]):
            out[place] = np.nan if _leading_minor(s[place]) else np.linalg.cholesky(s[place])
        return out

    def vjp(self, g: Variable, y: Variable, a: Variable) -> tuple[Variable]:
        if not dtypes.is_complex(a.dtype):
            s = CholeskyPull()(y, g)
            return (s if self.symmetrize else symmetric_cotangent(s, False),)
        below = conj(y)
        product = multiply_matrices(below, conj(g), True)
        halved = tril(product, -1) + where(_diagonal_of(product), product * 0.5, 0.0)
        solve = TriangularSolve(True, True, False, "cholesky derivative")
        s = turned(solve(y, turned(solve(below, halved))))
        return (symmetric_cotangent(conj(s), self.symmetrize),)

    def extern(self, a: TensorType) -> Routine:
        params = (("symmetrize", self.symmetrize), ("on_failure", self.on_failure))
        return Routine("cholesky", params)


def _leading_minor(s: Any) -> int:
    """The first leading minor that is not positive definite, counted from 1; 0 when all are."""
    for k in range(1, len(s) + 1):
        try:
            np.linalg.cholesky(s[:k, :k])
        except np.linalg.LinAlgError:
            return k
    return 0


def cholesky(
    a: Any, lower: bool = True, *, symmetrize: bool = True, on_failure: str = "raise"
) -> Variable:
    """The triangular factor of symmetric positive definite matrices [..., n, n]: a = l l^T, or with
    ``lower=False`` the upper u of a = u^T u (for complex Hermitian a: l l^H and u^H u).

    A matrix that is not positive definite raises LinAlgError (SG302) when the function runs, or
    with ``on_failure="nan"`` gives NaN. The symmetric part (a + a^T)/2 is factorised;
    ``symmetrize=False`` reads only the triangle that ``lower`` names.

    >>> import symgraph as sg
    >>> sg.linalg.cholesky([[4.0, 2.0], [2.0, 5.0]]).eval().tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """
    if on_failure not in ("raise", "nan"):
        raise ArgumentError(f'cholesky: on_failure is "raise" or "nan", not {on_failure!r}')
    a = matrix_operand(a, "cholesky")
    factor = Cholesky(bool(symmetrize), on_failure)
    if lower:
        return factor(a)  # type: ignore[no-any-return]
    return adjoint(factor(a if symmetrize else adjoint(a)))


# LU -----------------------------------------------------------------------------------------------


class LUFactor(Op):
    """LU decomposition with row pivoting: (lu, pivots). The unit lower and the upper factor share a
    matrix; row k was swapped with row pivots[k] >= k, one after another."""

    name = "lu_factor"

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType]:
        return a, TensorType("int64", (*a.shape[:-2], smaller(*a.shape[-2:])))

    def reference(self, a: Any) -> Any:
        from scipy.linalg import lapack

        lu, pivots = np.array(a), np.empty((*a.shape[:-2], min(a.shape[-2:])), "int64")
        factor = getattr(lapack, LETTERS[str(a.dtype)] + "getrf")
        for place in np.ndindex(a.shape[:-2]) if a.size else ():
            lu[place], pivots[place], _ = factor(a[place])
        return lu, pivots

    def vjp(self, g: Any, y: Any, a: Variable) -> tuple[Variable]:
        (g, _), (lu, pivots) = g, y
        m, n = a.shape[-2:]
        k = smaller(m, n)
        square = part_of(part_of(lu, -2, 0, k), -1, 0, k)
        gs = part_of(part_of(g, -2, 0, k), -1, 0, k)
        by_low = TriangularSolve(True, True, True, "lu derivative")
        by_up = TriangularSolve(False, False, False, "lu derivative")
        gl, gu = tril(gs, -1), triu(gs)
        right = below = None
        if not surely_equal(n, k):  # columns beyond the square part: u2 = l^-1 (p a)2
            u2, gu2 = (_columns_after(part_of(x, -2, 0, k), k) for x in (lu, g))
            right = by_low(square, gu2)
            gl = gl - tril(multiply_matrices(right, u2, False, True), -1)
        if not surely_equal(m, k):  # rows beyond it: l2 = (p a)2 u^-1
            l2, gl2 = (_rows_after(part_of(x, -1, 0, k), k) for x in (lu, g))
            below = turned(by_up(square, turned(gl2)))
            gu = gu - triu(multiply_matrices(l2, below, True))
        if dtypes.is_complex(a.dtype):
            low = tril(square, -1) + _eye_like(square)
            inner = tril(multiply_matrices(low, gl, True), -1)
            inner = inner + triu(multiply_matrices(gu, triu(square), False, True))
            whole = turned(by_up(square, turned(by_low(square, inner))))
        else:
            whole = LUPull()(square, gl + gu)
        if below is not None:
            whole = concatenate([whole, below], -2)
        if right is not None:
            empty = zeros_like(_columns_after(_rows_after(g, k), k))
            whole = concatenate([whole, concatenate([right, empty], -2)], -1)
        return (swap_rows(whole, pivots, True),)

    def extern(self, a: TensorType) -> Routine:
        return Routine("lu_factor")


def surely_equal(a: Size, b: Size) -> bool:
    return as_size(as_expr(a) - b) == 0


def _rows_after(x: Variable, k: Size) -> Variable:
    return part_of(x, x.ndim - 2, k, as_size(as_expr(x.shape[-2]) - k))


def _columns_after(x: Variable, k: Size) -> Variable:
    return part_of(x, x.ndim - 1, k, as_size(as_expr(x.shape[-1]) - k))


class Permutation(Op):
    """The permutation of ``size`` rows that the swaps ``pivots`` make one after another: row i of
    the result is row p[i] of what is permuted; ``inverse`` undoes it."""

    name = "permutation"
    size: Size
    inverse: bool = False
    nondifferentiable = "a permutation is made of integers"

    def infer(self, pivots: TensorType) -> TensorType:
        return pivots.with_shape((*pivots.shape[:-1], self.size))

    def reference(self, pivots: Any) -> Any:
        out = np.empty((*pivots.shape[:-1], self.size), "int64")
        for place in np.ndindex(pivots.shape[:-1]):
            p = np.arange(self.size)
            swaps = list(enumerate(pivots[place]))
            for i, j in reversed(swaps) if self.inverse else swaps:
                p[i], p[j] = p[j], p[i]
            out[place] = p
        return out

    def extern(self, pivots: TensorType) -> Routine:
        return Routine("permutation", (("inverse", self.inverse),))


class PermuteRows(Op):
    """Row i of the result is row p[i] of x; the permutation p is that of ``pivots``."""

    name = "permute_rows"
    inverse: bool = False

    def infer(self, x: TensorType, p: TensorType, pivots: TensorType) -> TensorType:
        same_size(x.shape[-2], p.shape[-1], "permute_rows: sizes differ")
        return x

    def reference(self, x: Any, p: Any, pivots: Any) -> Any:
        return np.take_along_axis(x, p[..., None], -2)

    def vjp(self, g: Variable, y: Variable, x: Variable, *more: Variable) -> tuple[Any, ...]:
        return swap_rows(g, more[1], not self.inverse), None, None

    def lower(self, out: TensorType, x: Operand, p: Operand, pivots: Operand) -> Compute:
        def element(*i: Expr) -> Expr:
            return x(*i[:-2], cast_expr(p(*i[:-1]), "int64"), i[-1])

        return pointwise(out.shape, element)


def swap_rows(x: Variable, pivots: Variable, inverse: bool = False) -> Variable:
    """x with the swaps of an LU decomposition done to its rows, or undone."""
    p = Permutation(x.shape[-2], inverse)(pivots)
    return PermuteRows(inverse)(x, p, pivots)  # type: ignore[no-any-return]


def lu_factor(a: Any) -> tuple[Variable, Variable]:
    """(lu, piv) of matrices [..., m, n]: the unit lower triangular factor below the diagonal of lu,
    the upper one on and above it; row k was swapped with row piv[k], as in SciPy.

    >>> import symgraph as sg
    >>> lu, piv = sg.linalg.lu_factor([[1.0, 2.0], [4.0, 4.0]])
    >>> lu.eval().tolist(), piv.eval().tolist()
    ([[4.0, 4.0], [0.25, 1.0]], [1, 1])
    """
    lu, pivots = LUFactor()(matrix_operand(a, "lu_factor"))
    return lu, pivots


def lu(a: Any, permute_l: bool = False) -> tuple[Variable, ...]:
    """(p, l, u) of matrices [..., m, n] with a = p l u: a permutation matrix, a unit lower and an
    upper triangular one; with ``permute_l`` the two factors (p l, u).

    >>> import symgraph as sg
    >>> p, l, u = sg.linalg.lu([[1.0, 2.0], [4.0, 4.0]])
    >>> p.eval().tolist(), l.eval().tolist()
    ([[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.25, 1.0]])
    """
    a = matrix_operand(a, "lu")
    packed, pivots = lu_factor(a)
    k = smaller(*a.shape[-2:])
    left, upper = part_of(packed, a.ndim - 1, 0, k), triu(part_of(packed, a.ndim - 2, 0, k))
    low = tril(left, -1) + _eye_like(left)
    if permute_l:
        return swap_rows(low, pivots, True), upper
    order = Permutation(a.shape[-2], False)(pivots)
    rows = iota(a.shape[-2], a.ndim, -2)
    return to_dtype(expand_dims(order, -2) == rows, dtypes.real_of(a.dtype)), low, upper


# QR -----------------------------------------------------------------------------------------------


class QR(Op):
    """(q, r) with a = q r: orthonormal columns and an upper triangular matrix. ``complete``: q is
    square, else it has min(m, n) columns."""

    name = "qr"
    any_sign = {0: -2, 1: -1}  # of a column that depends on others
    complete: bool = False

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType]:
        *batch, m, n = a.shape
        k = m if self.complete else smaller(m, n)
        return a.with_shape((*batch, m, k)), a.with_shape((*batch, k, n))

    def reference(self, a: Any) -> Any:
        if a.size == 0:
            k = a.shape[-2] if self.complete else min(a.shape[-2:])
            q = np.broadcast_to(np.eye(a.shape[-2], k, dtype=a.dtype), (*a.shape[:-1], k))
            return q, np.zeros((*a.shape[:-2], k, a.shape[-1]), a.dtype)
        return tuple(np.linalg.qr(a, "complete" if self.complete else "reduced"))

    def vjp(self, g: Any, y: Any, a: Variable) -> tuple[Variable]:
        m, n = a.shape[-2:]
        k = smaller(m, n)
        if self.complete and not surely_equal(m, k):
            what = "qr: the complete q has no derivative: its last columns are not determined"
            raise GradientError(what, hint='use mode="reduced"')
        q, r = y
        gq, gr = (zeros_like(v) if h is None else conj(h) for h, v in zip(g, y, strict=True))
        if surely_equal(n, k):
            return (conj(_qr_cotangent(q, r, gq, gr)),)
        # a = [x y], q u = x, r = [u, q^T y]: the columns beyond the square part
        last, glast = _columns_after(a, k), _columns_after(gr, k)
        first, gfirst = (part_of(v, v.ndim - 1, 0, k) for v in (r, gr))
        gq = gq + multiply_matrices(last, conj(glast), False, True)
        ga = _qr_cotangent(q, first, gq, gfirst)
        return (conj(concatenate([ga, multiply_matrices(q, glast)], -1)),)

    def extern(self, a: TensorType) -> Routine:
        return Routine("qr", (("complete", self.complete), ("with_q", True)))


def _qr_cotangent(q: Variable, r: Variable, gq: Variable, gr: Variable) -> Variable:
    """For m >= n: (gq + q sym(m)) r^-H, m = r gr^H - gq^H q, sym copying the lower triangle (of
    complex m the conjugate; the diagonal of r is real)."""
    m = multiply_matrices(r, conj(gr), False, True) - multiply_matrices(conj(gq), q, True)
    both = tril(m, -1) + where(_diagonal_of(m), real(m), 0.0) + adjoint(tril(m, -1))
    right = gq + multiply_matrices(q, both)
    solve = TriangularSolve(False, False, False, "qr derivative")
    return turned(solve(conj(r), turned(right)))


class QRTriangle(Op):
    """The r of a QR decomposition alone."""

    name = "qr_r"

    def infer(self, a: TensorType) -> TensorType:
        return QR().infer(a)[1]

    def reference(self, a: Any) -> Any:
        return QR().reference(a)[1]

    def vjp(self, g: Variable, y: Variable, a: Variable) -> tuple[Variable]:
        q, r = QR()(a)
        return QR().vjp((None, g), (q, r), a)

    def extern(self, a: TensorType) -> Routine:
        return Routine("qr", (("complete", False), ("with_q", False)))


def qr(a: Any, mode: str = "reduced") -> Any:
    """(q, r) of matrices [..., m, n] with a = q r. ``mode`` is "reduced" (min(m, n) columns in q),
    "complete" (q square; no derivative unless m <= n), or "r" (only r).

    >>> import symgraph as sg
    >>> q, r = sg.linalg.qr([[3.0, 0.0], [4.0, 5.0]])
    >>> r.eval().round(12).tolist()
    [[-5.0, -4.0], [0.0, 3.0]]
    """
    a = matrix_operand(a, "qr")
    if mode == "r":
        return QRTriangle()(a)
    if mode not in ("reduced", "complete"):
        raise ArgumentError(f'qr: mode is "reduced", "complete" or "r", not {mode!r}')
    wide = nonnegative(as_size(as_expr(a.shape[-1]) - a.shape[-2]))  # then both modes are one
    q, r = QR(mode == "complete" and not wide)(a)
    return q, r
