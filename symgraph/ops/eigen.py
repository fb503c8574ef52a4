"""Eigenvalues and eigenvectors of general matrices, Schur forms, and roots of polynomials.

The results are complex, whatever the matrix. The derivatives are those of Giles (2008), extended to
vectors of length 1: they say how a vector turns, not how its phase moves, which LAPACK chooses.
Functions of the vectors whose value depends on the phase have no derivative.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, LinAlgError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType
from symgraph.loops.routine import Routine
from symgraph.ops.cast import to_dtype
from symgraph.ops.comparison import where
from symgraph.ops.complex_numbers import conj
from symgraph.ops.creation import eye
from symgraph.ops.joining import concatenate
from symgraph.ops.matrix import DiagonalEmbed, diagonal, multiply_matrices
from symgraph.ops.shape import expand_dims
from symgraph.ops.solving import solve
from symgraph.ops.spectral import converged
from symgraph.ops.triangular import adjoint, float_operand, matrix_operand, square_size, turned

__all__ = ["eig", "eigvals", "qz", "schur"]


def finite(name: str, a: Any) -> Any:
    """The matrix. Raises LinAlgError where it holds NaN or infinities, for which the iterations of
    LAPACK need not end."""
    if not np.isfinite(a).all():
        raise LinAlgError(f"{name}: the matrix holds NaN or infinities")
    return a


class Eig(Op):
    """(w, v): the eigenvalues of square matrices in LAPACK's order, eigenvectors of length 1 as
    columns; both complex."""

    name = "eig"
    any_sign = {1: -2}

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType]:
        n, dtype = square_size(a, "eig"), dtypes.complex_of(a.dtype)
        return TensorType(dtype, (*a.shape[:-2], n)), TensorType(dtype, (*a.shape[:-2], n, n))

    def reference(self, a: Any) -> Any:
        w, v = converged("eig", lambda: np.linalg.eig(a))
        kind = dtypes.numpy_dtype(dtypes.complex_of(str(a.dtype)))
        return w.astype(kind), v.astype(kind)

    def vjp(self, g: Any, y: Any, a: Variable) -> tuple[Variable]:
        (w, v), (gw, gv) = y, g
        n = w.shape[-1]
        inner = None if gw is None else DiagonalEmbed(0, n, n)(conj(gw))
        if gv is not None:
            inner = _turning(w, v, conj(gv)) + (0 if inner is None else inner)
        right = multiply_matrices(inner, conj(v), False, True)
        return (conj(solve(adjoint(v), right)),)

    def extern(self, a: TensorType) -> Routine:
        return Routine("python")


def _turning(w: Variable, v: Variable, g: Variable) -> Variable:
    """What a gradient of the vectors asks of v^-1 a v: what is along a vector changes nothing."""
    vh = conj(v)
    product = multiply_matrices(vh, g, True)
    along = expand_dims(diagonal(product, 0, -2, -1), -2)
    gap = conj(expand_dims(w, -2) - expand_dims(w, -1))
    same = gap == 0
    share = where(same, 0.0, 1.0 / where(same, 1.0, gap))
    return share * (product - multiply_matrices(vh, v, True) * along)


class Eigenvalues(Op):
    """The eigenvalues of square matrices, complex, in LAPACK's order."""

    name = "eigvals"

    def infer(self, a: TensorType) -> TensorType:
        return Eig().infer(a)[0]

    def reference(self, a: Any) -> Any:
        w = converged("eigvals", lambda: np.linalg.eigvals(a))
        return w.astype(dtypes.numpy_dtype(dtypes.complex_of(str(a.dtype))))

    def vjp(self, g: Variable, y: Variable, a: Variable) -> tuple[Variable]:
        _, v = Eig()(a)
        right = turned(v * expand_dims(g, -2))
        return (solve(turned(v), right),)

    def extern(self, a: TensorType) -> Routine:
        return Routine("python")


def eig(a: Any) -> tuple[Variable, Variable]:
    """(w, v) of matrices [..., n, n]: eigenvalues and, as the columns of v, eigenvectors of length
    1; both complex (NumPy gives real ones where all are). a v = v diag(w).

    Derivatives exist where the eigenvalues differ, those of v for functions that do not depend on
    the phases of the vectors. Raises LinAlgError (SG302) when the iteration does not converge.

    >>> import symgraph as sg
    >>> w, v = sg.linalg.eig([[0.0, 1.0], [-1.0, 0.0]])
    >>> w.eval().tolist()
    [1j, -1j]
    """
    w, v = Eig()(matrix_operand(a, "eig"))
    return w, v


def eigvals(a: Any) -> Variable:
    """The eigenvalues of matrices [..., n, n], complex, in LAPACK's order; see :func:`eig`.

    >>> import symgraph as sg
    >>> sg.linalg.eigvals([[2.0, 1.0], [0.0, 3.0]]).eval().tolist()
    [(2+0j), (3+0j)]
    """
    return Eigenvalues()(matrix_operand(a, "eigvals"))  # type: ignore[no-any-return]


# Schur forms --------------------------------------------------------------------------------------


class Schur(Op):
    """(t, z) with a = z t z^H: t upper triangular, or for ``output`` "real" with blocks of two rows
    where eigenvalues are complex; z unitary."""

    name = "schur"
    output: str
    nondifferentiable = "the order of the eigenvalues and the phases are LAPACK's choice"

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType]:
        square_size(a, "schur")
        kind = dtypes.complex_of(a.dtype) if self.output == "complex" else a.dtype
        return a.with_dtype(kind), a.with_dtype(kind)

    def reference(self, a: Any) -> Any:
        from scipy.linalg import schur

        kind = dtypes.numpy_dtype(self.infer(TensorType(str(a.dtype), a.shape))[0].dtype)
        t, z = np.zeros(a.shape, kind), np.zeros(a.shape, kind)
        for place in np.ndindex(a.shape[:-2]) if a.size else ():
            t[place], z[place] = schur(finite("schur", a[place]), output=self.output)
        return t, z

    def extern(self, a: TensorType) -> Routine:
        return Routine("python")


def schur(a: Any, output: str = "real") -> tuple[Variable, Variable]:
    """(t, z) of matrices [..., n, n] with a = z t z^H, as SciPy's: unitary z, and t upper
    triangular for ``output`` "complex" and for complex matrices, else with blocks of two rows.

    >>> import symgraph as sg
    >>> t, z = sg.linalg.schur([[2.0, 1.0], [0.0, 3.0]])
    >>> t.eval().tolist()
    [[2.0, 1.0], [0.0, 3.0]]
    """
    if output not in ("real", "complex"):
        raise ArgumentError(f'schur: output is "real" or "complex", not {output!r}')
    t, z = Schur(output)(matrix_operand(a, "schur"))
    return t, z


class QZ(Op):
    """(aa, bb, q, z) with a = q aa z^H and b = q bb z^H: the generalised Schur form."""

    name = "qz"
    nondifferentiable = "the order of the eigenvalues and the phases are LAPACK's choice"

    def infer(self, a: TensorType, b: TensorType) -> tuple[TensorType, ...]:
        square_size(a, "qz")
        if a != b:
            raise ShapeError(f"qz: a is {a.text()}, b {b.text()}")
        return (a,) * 4

    def reference(self, a: Any, b: Any) -> Any:
        from scipy.linalg import qz

        output = "complex" if a.dtype.kind == "c" else "real"
        outs = [np.zeros(a.shape, a.dtype) for _ in range(4)]
        for place in np.ndindex(a.shape[:-2]) if a.size else ():
            pair = finite("qz", a[place]), finite("qz", b[place])
            for out, part in zip(outs, qz(*pair, output), strict=True):
                out[place] = part
        return tuple(outs)

    def extern(self, a: TensorType, b: TensorType) -> Routine:
        return Routine("python")


def qz(a: Any, b: Any) -> tuple[Variable, ...]:
    """(aa, bb, q, z) of two matrices [..., n, n] with a = q aa z^H and b = q bb z^H, as SciPy's: bb
    upper triangular, aa too but for blocks of two rows where the matrices are real.

    >>> import symgraph as sg
    >>> aa, bb, q, z = sg.linalg.qz([[2.0]], [[4.0]])
    >>> (aa / bb).eval().tolist()
    [[0.5]]
    """
    a, b = matrix_operand(a, "qz"), matrix_operand(b, "qz")
    dtype = dtypes.promote(a.dtype, b.dtype)
    return tuple(QZ()(to_dtype(a, dtype), to_dtype(b, dtype)))


# polynomials --------------------------------------------------------------------------------------


def roots(p: Any) -> Variable:
    """The roots, complex, of the polynomial with the coefficients p, that of the highest power
    first: the eigenvalues of its companion matrix. The first coefficient must not be 0 (NumPy drops
    leading zeros; here the number of roots is known before the values are).

    Raises RankError, ShapeError for less than one coefficient or an unknown number.

    >>> import symgraph as sg
    >>> sorted(sg.roots([1.0, -3.0, 2.0]).eval().real.round(12).tolist())
    [1.0, 2.0]
    """
    p = float_operand(p, "roots")
    if p.ndim != 1:
        raise RankError(f"roots: takes a vector of coefficients, got {p.type.text()}")
    n = p.shape[0]
    if not isinstance(n, int) or n < 1:
        raise ShapeError("roots: takes a vector of known size, of one coefficient or more")
    first = expand_dims(-p[1:] / p[0], 0)
    if n < 3:
        return to_dtype(first[0], dtypes.complex_of(p.dtype))
    below = eye(n - 2, n - 1, dtype=p.dtype)
    return Eigenvalues()(concatenate([first, below], 0))  # type: ignore[no-any-return]
