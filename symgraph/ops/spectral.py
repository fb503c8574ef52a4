"""Singular values and vectors, and the eigenvalues and eigenvectors of symmetric matrices.

Derivatives are those of Giles (2008) and Townsend, "Differentiating the singular value
decomposition" (2016); those of vectors need values that differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, GradientError, LinAlgError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType, broadcast_shapes
from symgraph.loops.routine import Routine
from symgraph.ops.cast import to_dtype
from symgraph.ops.comparison import isfinite, where
from symgraph.ops.complex_numbers import conj, imag
from symgraph.ops.creation import tril
from symgraph.ops.decompositions import (
    cholesky,
    surely_equal,
    symmetric_cotangent,
    symmetric_part,
)
from symgraph.ops.matrix import DiagonalEmbed, diagonal, multiply_matrices, promoted
from symgraph.ops.reductions import all as all_
from symgraph.ops.shape import broadcast_to, expand_dims
from symgraph.ops.triangular import TriangularSolve, adjoint, matrix_operand, square_size, turned
from symgraph.scalar import as_expr, as_size
from symgraph.scalar.sizes import nonnegative, smaller

__all__ = ["eigh", "eigvalsh", "svd", "svdvals"]


def _native(a: TensorType, routine: Routine) -> Routine:
    """LAPACK's real routines are called by native code; complex matrices go to NumPy's."""
    return Routine("python") if dtypes.is_complex(a.dtype) else routine


def _outer_gaps(w: Variable) -> Variable:
    """1 / (w[j] - w[i]), and 0 on the diagonal and where values are equal."""
    gap = expand_dims(w, -2) - expand_dims(w, -1)
    same = gap == 0
    return where(same, 0.0, 1.0 / where(same, 1.0, gap))


# singular values ----------------------------------------------------------------------------------


class SVD(Op):
    """(u, s, vh) with a = u diag(s) vh; ``full`` makes u and vh square."""

    name = "svd"
    any_sign = {0: -2, 2: -1}
    full: bool = False

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType, TensorType]:
        *batch, m, n = a.shape
        k = smaller(m, n)
        u, v = (m, n) if self.full else (k, k)
        s = TensorType(dtypes.real_of(a.dtype), (*batch, k))
        return a.with_shape((*batch, m, u)), s, a.with_shape((*batch, v, n))

    def reference(self, a: Any) -> Any:
        return converged("svd", lambda: tuple(np.linalg.svd(a, self.full)))

    def vjp(self, g: Any, y: Any, a: Variable) -> tuple[Variable]:
        (u, s, vh), (gu, gs, gvh) = y, g
        m, n = a.shape[-2:]
        if self.full and not (gu is None and gvh is None):
            what = "svd: full matrices have no derivative: their last columns are not determined"
            raise GradientError(what, hint="use full_matrices=False")
        if self.full:
            u, s, vh = SVD()(a)
        inner = None if gs is None else DiagonalEmbed(0, s.shape[-1], s.shape[-1])(gs)
        row, v, outside = expand_dims(s, -2), adjoint(vh), None
        gaps = _outer_gaps(s * s) if gu is not None or gvh is not None else None
        if gu is not None:
            gu, uh = conj(gu), conj(u)
            product = multiply_matrices(uh, gu, True)
            part = gaps * product
            inner = _plus(inner, (part + adjoint(part)) * row)
            if dtypes.is_complex(a.dtype):  # the phases, which LAPACK leaves open, turn with u
                phases = imag(diagonal(product, 0, -2, -1)) / s
                inner = inner + 1j * DiagonalEmbed(0, s.shape[-1], s.shape[-1])(phases)
            if not nonnegative(as_size(as_expr(n) - m)):
                scaled = gu / row
                rest = scaled - multiply_matrices(u, multiply_matrices(uh, scaled, True))
                outside = multiply_matrices(rest, vh)
        if gvh is not None:
            gv, vc = turned(gvh), conj(v)
            part = gaps * multiply_matrices(vc, gv, True)
            inner = _plus(inner, turned(row) * (part + adjoint(part)))
            if not nonnegative(as_size(as_expr(m) - n)):
                scaled = gv / row
                rest = scaled - multiply_matrices(v, multiply_matrices(vc, scaled, True))
                outside = _plus(outside, multiply_matrices(u, conj(rest), False, True))
        whole = multiply_matrices(u, multiply_matrices(to_dtype(inner, u.dtype), vh))
        return (conj(_plus(outside, whole)),)

    def extern(self, a: TensorType) -> Routine:
        return _native(a, Routine("svd", (("job", "A" if self.full else "S"),)))


def _plus(a: Any, b: Any) -> Any:
    """The sum of what there is."""
    return b if a is None else a + b


def converged(name: str, function: Callable[[], Any]) -> Any:
    """The value; raises our LinAlgError for NumPy's."""
    try:
        return function()
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"{name}: the iteration did not converge",
                          hint="the matrix may hold NaN or infinities") from error  # fmt: skip


class SingularValues(Op):
    """The singular values alone, the largest first."""

    name = "svdvals"

    def infer(self, a: TensorType) -> TensorType:
        return SVD().infer(a)[1]

    def reference(self, a: Any) -> Any:
        return converged("svdvals", lambda: np.linalg.svd(a, compute_uv=False))

    def vjp(self, g: Variable, y: Variable, a: Variable) -> tuple[Variable]:
        u, _, vh = SVD()(a)
        return (conj(multiply_matrices(u * expand_dims(g, -2), vh)),)

    def extern(self, a: TensorType) -> Routine:
        return _native(a, Routine("svd", (("job", "N"),)))


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """(u, s, vh) of matrices [..., m, n] with a = u diag(s) vh, or s alone without ``compute_uv``.

    ``full_matrices=False`` gives min(m, n) columns of u and rows of vh; only these have
    derivatives, and they do where singular values differ. Raises LinAlgError (SG302) when the
    iteration does not converge.

    >>> import symgraph as sg
    >>> sg.linalg.svd([[3.0, 0.0], [0.0, -2.0]], compute_uv=False).eval().round(12).tolist()
    [3.0, 2.0]
    """
    a = matrix_operand(a, "svd")
    if not compute_uv:
        return SingularValues()(a)
    u, s, vh = SVD(bool(full_matrices) and not surely_equal(*a.shape[-2:]))(a)
    return u, s, vh


def svdvals(a: Any) -> Variable:
    """The singular values of matrices [..., m, n], the largest first.

    >>> import symgraph as sg
    >>> sg.linalg.svdvals([[0.0, 2.0], [1.0, 0.0]]).eval().tolist()
    [2.0, 1.0]
    """
    return SingularValues()(matrix_operand(a, "svdvals"))  # type: ignore[no-any-return]


# symmetric eigenvalues ----------------------------------------------------------------------------


class Eigh(Op):
    """(w, v): eigenvalues of symmetric matrices in ascending order, eigenvectors as columns."""

    name = "eigh"
    any_sign = {1: -2}
    symmetrize: bool = True

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType]:
        n = square_size(a, "eigh")
        w = TensorType(dtypes.real_of(a.dtype), (*a.shape[:-2], n))
        return w, a.with_shape((*a.shape[:-2], n, n))

    def reference(self, a: Any) -> Any:
        s = symmetric_part(a, self.symmetrize)
        return converged("eigh", lambda: tuple(np.linalg.eigh(s)))

    def vjp(self, g: Any, y: Any, a: Variable) -> tuple[Variable]:
        (w, v), (gw, gv) = y, g
        inner = None if gw is None else DiagonalEmbed(0, w.shape[-1], w.shape[-1])(gw)
        if gv is not None:
            inner = _plus(inner, _outer_gaps(w) * multiply_matrices(conj(v), conj(gv), True))
        inner = to_dtype(inner, v.dtype)
        s = multiply_matrices(v, multiply_matrices(inner, conj(v), False, True))
        # of the lower triangle alone, an element off the diagonal stands for two
        return (symmetric_cotangent(conj(s), self.symmetrize),)

    def extern(self, a: TensorType) -> Routine:
        more = (("symmetrize", self.symmetrize), ("vectors", True))
        return _native(a, Routine("eigh", more))


class EigenvaluesH(Op):
    """The eigenvalues of symmetric matrices, in ascending order."""

    name = "eigvalsh"
    symmetrize: bool = True

    def infer(self, a: TensorType) -> TensorType:
        n = square_size(a, "eigvalsh")
        return TensorType(dtypes.real_of(a.dtype), (*a.shape[:-2], n))

    def reference(self, a: Any) -> Any:
        s = symmetric_part(a, self.symmetrize)
        return converged("eigvalsh", lambda: np.linalg.eigvalsh(s))

    def vjp(self, g: Variable, y: Variable, a: Variable) -> tuple[Variable]:
        _, v = Eigh(self.symmetrize)(a)
        s = multiply_matrices(v * expand_dims(g, -2), conj(v), False, True)
        return (symmetric_cotangent(conj(s), self.symmetrize),)

    def extern(self, a: TensorType) -> Routine:
        more = (("symmetrize", self.symmetrize), ("vectors", False))
        return _native(a, Routine("eigh", more))


def eigh(a: Any, b: Any = None, *, UPLO: str = "L", symmetrize: bool = True) -> Any:
    """(w, v) of symmetric matrices [..., n, n]: eigenvalues in ascending order, and eigenvectors as
    the columns of v; with a positive definite ``b`` those of a v = b v diag(w).

    The symmetric part of a is taken; ``symmetrize=False`` reads the triangle ``UPLO`` alone.
    Derivatives of v exist where the eigenvalues differ. A matrix with NaN or infinities has NaN.
    Raises LinAlgError (SG302) when the iteration does not converge.

    >>> import symgraph as sg
    >>> w, v = sg.linalg.eigh([[2.0, 1.0], [1.0, 2.0]])
    >>> w.eval().round(12).tolist()
    [1.0, 3.0]
    """
    a = _triangle(a, UPLO, symmetrize, "eigh")
    if b is None:
        w, v = Eigh(bool(symmetrize))(a)
        return _of_finite(a if symmetrize else tril(a), w), v
    factor, whole = _ordinary(a, b, UPLO, symmetrize, "eigh")
    w, z = Eigh(True)(whole)
    return _of_finite(whole, w), TriangularSolve(True, True, False, "eigh")(conj(factor), z)


def _ordinary(
    a: Variable, b: Any, uplo: str, symmetrize: bool, name: str
) -> tuple[Variable, Variable]:
    """(l, l^-1 a l^-H) for b = l l^H: the ordinary problem with the eigenvalues of a and b."""
    a, b = promoted(a, _triangle(b, uplo, symmetrize, name))
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2], what=f"{name}: batch sizes differ")
    a, b = (broadcast_to(x, (*batch, *x.shape[-2:])) for x in (a, b))
    factor = cholesky(b, symmetrize=symmetrize)
    forward = TriangularSolve(True, False, False, name)
    half = forward(factor, a if symmetrize else _filled(a))
    return factor, forward(factor, adjoint(half))


def _of_finite(a: Variable, w: Variable) -> Variable:
    """Eigenvalues, NaN for a matrix with NaN or infinities, of which LAPACK makes numbers."""
    return where(all_(isfinite(a), (-2, -1), keepdims=True)[..., 0], w, math.nan)  # type: ignore[no-any-return]


def _filled(a: Variable) -> Variable:
    return tril(a) + adjoint(tril(a, -1))


def _triangle(a: Any, uplo: str, symmetrize: bool, name: str) -> Variable:
    a = matrix_operand(a, name)
    if uplo not in ("L", "U"):
        raise ArgumentError(f'{name}: UPLO is "L" or "U", not {uplo!r}')
    return adjoint(a) if uplo == "U" and not symmetrize else a


def eigvalsh(a: Any, b: Any = None, *, UPLO: str = "L", symmetrize: bool = True) -> Variable:
    """The eigenvalues of symmetric matrices [..., n, n] in ascending order, with a positive
    definite ``b`` those of a v = b v diag(w); see :func:`eigh`.

    >>> import symgraph as sg
    >>> sg.linalg.eigvalsh([[2.0, 0.0], [0.0, 1.0]]).eval().tolist()
    [1.0, 2.0]
    """
    a = _triangle(a, UPLO, symmetrize, "eigvalsh")
    if b is not None:
        _, whole = _ordinary(a, b, UPLO, symmetrize, "eigvalsh")
        return _of_finite(whole, EigenvaluesH(True)(whole))
    w = EigenvaluesH(bool(symmetrize))(a)
    return _of_finite(a if symmetrize else tril(a), w)
