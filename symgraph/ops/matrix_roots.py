"""Roots, logarithms and other functions of matrices, polar and LDL decompositions.

Functions of a matrix that are analytic have the derivative that the function of a block matrix of
twice the size shows (Mathias, "A chain rule for matrix functions and applications", 1996).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, GradientError, LinAlgError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType, same_size
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.loops.routine import Routine
from symgraph.ops.complex_numbers import conj
from symgraph.ops.creation import zeros_like
from symgraph.ops.joining import concatenate, part_of
from symgraph.ops.matrix import matmul, multiply_matrices
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import expand_dims
from symgraph.ops.solving import Sylvester, solve, solve_sylvester
from symgraph.ops.spectral import Eigh, svd
from symgraph.ops.triangular import adjoint, first_failure, matrix_operand, square_size, turned
from symgraph.scalar import as_expr, as_size
from symgraph.scalar.sizes import nonnegative

__all__ = ["fractional_matrix_power", "funm", "ldl", "logm", "polar", "sqrtm"]


# roots and logarithms -----------------------------------------------------------------------------


def _of_each(function: Callable[[Any], Any], a: Any) -> Any:
    """A function of SciPy's for each matrix of a batch, in the dtype of a and computed in double
    precision: NaN where a is not finite, or the value of a real matrix is not real."""
    out = np.empty_like(a)
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    for place in np.ndindex(a.shape[:-2]) if a.size else ():
        one = a[place].astype(wide)
        with np.errstate(all="ignore"):
            found: Any = np.asarray(function(one) if np.isfinite(one).all() else np.nan)
        if wide is np.float64 and np.iscomplexobj(found):
            bound = 1e3 * np.finfo(np.float64).eps * max(1.0, np.abs(found).max())
            found = found.real if np.abs(found.imag).max() <= bound else np.nan
        out[place] = found
    return out


class SquareRoot(Op):
    """The principal square roots of matrices, by Schur forms (Björck and Hammarling, 1983)."""

    name = "sqrtm"

    def infer(self, a: TensorType) -> TensorType:
        square_size(a, "sqrtm")
        return a

    def reference(self, a: Any) -> Any:
        from scipy.linalg import sqrtm

        return _of_each(sqrtm, a)

    def vjp(self, g: Variable, y: Variable, a: Variable) -> tuple[Variable]:
        root = turned(y)  # dy y + y dy = da
        return (Sylvester()(root, root, g),)

    def extern(self, a: TensorType) -> Routine:
        return Routine("python")


def _by_blocks(op: Op, a: Variable, g: Variable) -> Variable:
    """The derivative of an analytic function of a: a block of its value at [[a^T, g], [0, a^T]]."""
    n, at = a.shape[-1], turned(a)
    below = concatenate([zeros_like(at), at], -1)
    whole = op(concatenate([concatenate([at, g], -1), below], -2))
    return part_of(part_of(whole, -2, 0, n), -1, n, n)


class Logarithm(Op):
    """The principal logarithms of matrices, by inverse scaling and squaring (Al-Mohy and Higham,
    2012)."""

    name = "logm"

    def infer(self, a: TensorType) -> TensorType:
        square_size(a, "logm")
        return a

    def reference(self, a: Any) -> Any:
        from scipy.linalg import logm

        words, found = first_failure(a, lambda one: int(np.linalg.slogdet(one)[0] == 0))
        if found:
            raise LinAlgError(f"logm: the matrix is singular{words}", hint="it has no logarithm")
        return _of_each(logm, a)

    def vjp(self, g: Variable, y: Variable, a: Variable) -> tuple[Variable]:
        return (_by_blocks(self, a, g),)

    def extern(self, a: TensorType) -> Routine:
        return Routine("python")


class FractionalPower(Op):
    """The principal powers of matrices with a fixed exponent (Higham and Lin, 2013)."""

    name = "fractional_matrix_power"
    exponent: float

    def infer(self, a: TensorType) -> TensorType:
        square_size(a, "fractional_matrix_power")
        return a

    def reference(self, a: Any) -> Any:
        from scipy.linalg import fractional_matrix_power

        return _of_each(lambda one: fractional_matrix_power(one, self.exponent), a)

    def vjp(self, g: Variable, y: Variable, a: Variable) -> tuple[Variable]:
        return (_by_blocks(self, a, g),)

    def extern(self, a: TensorType) -> Routine:
        return Routine("python")


def sqrtm(a: Any) -> Variable:
    """The principal square roots of matrices [..., n, n]: x x = a, the eigenvalues of x having no
    negative real part.

    The root has the dtype of a: a real matrix whose root is not real gives NaN, as sg.sqrt does;
    cast it to complex for the complex root. Where a is singular the root may not exist, of which
    SciPy warns, and its derivative does not: what is computed for it means nothing.

    >>> import symgraph as sg
    >>> sg.linalg.sqrtm([[4.0, 0.0], [0.0, 9.0]]).eval().tolist()
    [[2.0, 0.0], [0.0, 3.0]]
    """
    return SquareRoot()(matrix_operand(a, "sqrtm"))  # type: ignore[no-any-return]


def logm(a: Any) -> Variable:
    """The principal logarithms of matrices [..., n, n]: expm(logm(a)) = a.

    The logarithm has the dtype of a: a real matrix whose logarithm is not real gives NaN, as sg.log
    does; cast it to complex for the complex one. Raises LinAlgError (SG302) when the function runs
    and a matrix is singular.

    >>> import symgraph as sg
    >>> sg.linalg.logm([[1.0, 1.0], [0.0, 1.0]]).eval().round(12).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    return Logarithm()(matrix_operand(a, "logm"))  # type: ignore[no-any-return]


def fractional_matrix_power(a: Any, t: float) -> Variable:
    """The principal powers of matrices [..., n, n], expm(t logm(a)), for a Python number t.

    The power has the dtype of a: a real matrix whose power is not real gives NaN; cast it to
    complex for the complex one. Raises ArgumentError for another exponent.

    >>> import symgraph as sg
    >>> sg.linalg.fractional_matrix_power([[4.0, 0.0], [0.0, 9.0]], 0.5).eval().tolist()
    [[2.0, 0.0], [0.0, 3.0]]
    """
    if isinstance(t, bool) or not isinstance(t, int | float | np.integer | np.floating):
        raise ArgumentError(f"fractional_matrix_power: t is a Python number, not {t!r}")
    a = matrix_operand(a, "fractional_matrix_power")
    return FractionalPower(float(t))(a)  # type: ignore[no-any-return]


def funm(a: Any, func: Callable[[Variable], Any]) -> Variable:
    """A function of symmetric (Hermitian) matrices [..., n, n]: v diag(func(w)) v^H, where w are
    the eigenvalues and v the eigenvectors of the symmetric part of a.

    ``func`` takes the eigenvalues [..., n] and returns as many values. The derivative exists where
    the eigenvalues differ. Raises ShapeError where func returns another shape.

    >>> import symgraph as sg
    >>> sg.linalg.funm([[3.0, 0.0], [0.0, 4.0]], sg.square).eval().tolist()
    [[9.0, 0.0], [0.0, 16.0]]
    """
    w, v = Eigh()(matrix_operand(a, "funm"))
    f = as_variable(func(w))
    if f.ndim != w.ndim:
        raise ShapeError(f"funm: func returned {f.type.text()} for {w.type.text()}")
    same_size(f.shape[-1], w.shape[-1], "funm: func changed the number of values")
    return multiply_matrices(v * expand_dims(f, -2), conj(v), False, True)


# polar decomposition ------------------------------------------------------------------------------


class Polar(Op):
    """The value u, which is known to be the unitary factor of a = u p, with the derivative of that
    where a has full rank (Higham, "Computing the polar decomposition", 1986)."""

    name = "polar_factor"

    def infer(self, a: TensorType, u: TensorType) -> TensorType:
        return u

    def reference(self, a: Any, u: Any) -> Any:
        return u

    def vjp(self, g: Variable, y: Variable, a: Variable, u: Variable) -> tuple[Any, None]:
        g = conj(g)
        m, n = a.shape[-2:]
        if nonnegative(as_size(as_expr(m) - n)):
            return conj(_polar_cotangent(a, y, g)), None
        if nonnegative(as_size(as_expr(n) - m)):
            return conj(adjoint(_polar_cotangent(adjoint(a), adjoint(y), adjoint(g)))), None
        raise GradientError(
            "polar: the derivative depends on which of two unknown sizes is the larger",
            hint="give the matrix known sizes",
        )

    def lower(self, out: TensorType, a: Operand, u: Operand) -> Compute:
        return pointwise(out.shape, lambda *i: u(*i))


def _polar_cotangent(a: Variable, u: Variable, g: Variable) -> Variable:
    """For m >= n, where du = u w + (1 - u u^H) da p^-1 and w p + p w = u^H da - da^H u."""
    uh = adjoint(u)
    p = matmul(uh, a)
    p = (p + adjoint(p)) * 0.5
    inner = matmul(uh, g)
    turn = solve_sylvester(p, p, inner)
    ga = matmul(u, turn - adjoint(turn))
    if as_size(as_expr(a.shape[-2]) - a.shape[-1]) == 0:
        return ga
    rest = g - matmul(u, inner)
    return ga + adjoint(solve(p, adjoint(rest)))


def polar(a: Any, side: str = "right") -> tuple[Variable, Variable]:
    """(u, p) of matrices [..., m, n]: orthonormal columns (rows where m < n) and a symmetric
    (Hermitian) positive semidefinite matrix, with a = u p, or a = p u for ``side`` "left".

    By singular values. Derivatives exist where a has full rank, equal singular values or not.

    >>> import symgraph as sg
    >>> u, p = sg.linalg.polar([[0.0, -2.0], [3.0, 0.0]])
    >>> u.eval().round(12).tolist(), p.eval().round(12).tolist()
    ([[0.0, -1.0], [1.0, 0.0]], [[3.0, 0.0], [0.0, 2.0]])
    """
    if side not in ("right", "left"):
        raise ArgumentError(f'polar: side is "right" or "left", not {side!r}')
    a = matrix_operand(a, "polar")
    w, _, vh = svd(a, full_matrices=False)
    u = Polar()(a, matmul(w, vh))
    p = matmul(adjoint(u), a) if side == "right" else matmul(a, adjoint(u))
    return u, (p + adjoint(p)) * 0.5


# LDL ----------------------------------------------------------------------------------------------


class LDL(Op):
    """(l, d, perm) with a = l d l^H for symmetric matrices, by Bunch and Kaufman (1977)."""

    name = "ldl"
    low: bool
    hermitian: bool
    nondifferentiable = "which rows are exchanged and which blocks are taken jumps with the matrix"

    def infer(self, a: TensorType) -> tuple[TensorType, ...]:
        n = square_size(a, "ldl")
        return a, a, TensorType("int64", (*a.shape[:-2], n))

    def reference(self, a: Any) -> Any:
        from scipy.linalg import ldl

        out, d = np.zeros_like(a), np.zeros_like(a)
        perm = np.zeros(a.shape[:-1], "int64")
        for place in np.ndindex(a.shape[:-2]) if a.size else ():
            out[place], d[place], perm[place] = ldl(a[place], self.low, self.hermitian)
        return out, d, perm

    def extern(self, a: TensorType) -> Routine:
        return Routine("python")


def ldl(a: Any, lower: bool = True, hermitian: bool = True) -> tuple[Variable, ...]:
    """(l, d, perm) of symmetric matrices [..., n, n] with a = l d l^H (l d l^T without
    ``hermitian``), as SciPy's: the rows ``perm`` of l are unit triangular, and d is block-diagonal
    with blocks of one or two rows.

    Only the triangle that ``lower`` names is read. There is no derivative. Method: LAPACK's sytrf.

    >>> import symgraph as sg
    >>> l, d, perm = sg.linalg.ldl([[2.0, 1.0], [1.0, 3.0]])
    >>> (l @ d @ sg.linalg.matrix_transpose(l)).eval().tolist()
    [[2.0, 1.0], [1.0, 3.0]]
    """
    a = matrix_operand(a, "ldl")
    use = bool(hermitian) and dtypes.is_complex(a.dtype)
    return tuple(LDL(bool(lower), use)(a))
