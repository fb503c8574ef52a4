"""Linear systems by factorisation, inverses, least squares, and the equations of Sylvester.

A system's derivative needs no derivative of the factorisation: for a x = b it is another system
with the transposed matrix and the same factors (Giles 2008). The op ``solution`` carries that rule;
its value is computed by permutations and triangular systems before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph.errors import ArgumentError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType, same_size
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.loops.routine import Routine
from symgraph.ops.assumptions import CheckedDiagonal
from symgraph.ops.banded import BandedMatrixSolve, tridiagonal_solution
from symgraph.ops.complex_numbers import conj
from symgraph.ops.creation import eye
from symgraph.ops.decompositions import LUFactor, cholesky, swap_rows
from symgraph.ops.matrix import diagonal, matmul, multiply_matrices, promoted
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import as_int, broadcast_to, expand_dims, is_one, moveaxis, reshape
from symgraph.ops.triangular import (
    TriangularSolve,
    adjoint,
    float_operand,
    matrix_operand,
    nan_on_failure,
    nan_where_singular,
    on_columns,
    solve_triangular,
    square_size,
    turned,
)
from symgraph.scalar import product

__all__ = [
    "cho_factor", "cho_solve", "inv", "lu_solve", "solve", "solve_continuous_lyapunov",
    "solve_discrete_lyapunov", "solve_sylvester", "tensorinv", "tensorsolve",
]  # fmt: skip


# one system ---------------------------------------------------------------------------------------


class Solution(Op):
    """x, which is known to solve op(a) x = b, with the derivative of that; op transposes if
    ``trans``. ``factors`` are of a: (lu, pivots), or (l,) of a symmetric positive definite a."""

    name = "solution"
    trans: bool = False

    def infer(self, a: TensorType, b: TensorType, x: TensorType, *factors: TensorType) -> Any:
        return x

    def reference(self, a: Any, b: Any, x: Any, *factors: Any) -> Any:
        return x

    def vjp(
        self, g: Variable, y: Variable, a: Variable, b: Variable, x: Variable, *factors: Variable
    ) -> tuple[Any, ...]:
        thin = _thin(g)
        if thin is None:
            gb = solved(a, g, factors, not self.trans)
            left, right = (y, gb) if self.trans else (gb, y)
        else:  # of g = p q^T, as of the inverse in inverse @ q, the few columns are solved for
            left, right = solved(a, thin[0], factors, not self.trans), multiply_matrices(y, thin[1])
            gb = multiply_matrices(left, thin[1], False, True)
            left, right = (right, left) if self.trans else (left, right)
        ga = -multiply_matrices(left, right, False, True)
        if len(factors) == 1:
            ga = (ga + adjoint(ga)) * 0.5
        return (ga, gb, None, *(None for _ in factors))

    def lower(self, out: TensorType, a: Operand, b: Operand, x: Operand, *more: Operand) -> Compute:
        return pointwise(out.shape, lambda *i: x(*i))


def _thin(g: Variable) -> tuple[Variable, Variable] | None:
    """p and q with g = p q^T, where that has far fewer columns than g."""
    node = g.owner
    if node is None or node.op.name not in ("multiply", "matmul"):
        return None
    p, q = node.inputs
    if node.op.name == "matmul":
        op: Any = node.op
        inner, columns = p.shape[-2 if op.ta else -1], g.shape[-1]
        if not isinstance(inner, int) or not isinstance(columns, int) or 2 * inner > columns:
            return None
        return (turned(p) if op.ta else p), (q if op.tb else turned(q))
    if p.ndim == q.ndim == g.ndim and is_one(p.shape[-2]) and is_one(q.shape[-1]):
        p, q = q, p
    batch, (rows, columns) = g.shape[:-2], g.shape[-2:]
    if p.shape != (*batch, rows, 1) or q.shape != (*batch, 1, columns) or is_one(columns):
        return None
    return p, turned(q)


def solved(
    a: Variable, b: Variable, factors: Sequence[Variable], trans: bool = False, nan: bool = False
) -> Variable:
    """The solution of op(a) x = b by the factors of a; ``nan`` in place of an error."""
    if len(factors) == 1:
        x = _by_cholesky(conj(factors[0]) if trans else factors[0], b, True, nan)
    else:
        x = _by_lu(*factors, b, trans, nan)
    return Solution(trans)(a, b, x, *factors)  # type: ignore[no-any-return]


def _by_cholesky(factor: Variable, b: Variable, low: bool, nan: bool = False) -> Variable:
    """l l^H x = b, or u^H u x = b."""
    other = conj(factor)
    back = TriangularSolve(low, low, False, "cho_solve", checked=not nan)
    half = back.replace(trans=not low)(factor if low else other, b)
    x: Variable = back(other if low else factor, half)
    return nan_where_singular(factor, x) if nan else x


def _by_lu(lu: Variable, pivots: Variable, b: Variable, trans: bool, nan: bool = False) -> Variable:
    low = TriangularSolve(True, trans, True, "solve")
    up = TriangularSolve(False, trans, False, "solve", checked=not nan)
    x: Variable
    if trans:
        x = swap_rows(low(lu, up(lu, b)), pivots, True)
    else:
        x = up(lu, low(lu, swap_rows(b, pivots)))
    return nan_where_singular(lu, x) if nan else x


_KINDS = {
    "gen": "lu", "general": "lu", "sym": "lu", "symmetric": "lu", "her": "lu", "hermitian": "lu",
    "pos": "cholesky", "positive definite": "cholesky", "diagonal": "diagonal",
    "lower triangular": "lower", "upper triangular": "upper", "tridiagonal": "tridiagonal",
    "banded": "banded",
}  # fmt: skip


def solve(
    a: Any, b: Any, assume_a: str = "gen", lower: bool = False, transposed: bool = False,
    on_failure: str = "raise",
) -> Variable:  # fmt: skip
    """x with a x = b for matrices a [..., n, n] and b [n] or [..., n, k]; batches broadcast.

    ``assume_a``: "gen" (LU), "sym" (LU too), "pos" (Cholesky; the symmetric part of a is taken),
    "diagonal", "tridiagonal" (of a nothing else is read), "banded" (as many diagonals as a has when
    the function runs), "lower triangular", "upper triangular". ``lower`` is SciPy's and changes
    nothing.
    ``transposed`` solves a^T x = b. Raises LinAlgError (SG302) when the function runs and a is
    singular, or not positive definite where that is assumed; with ``on_failure="nan"`` dense
    systems ("gen", "sym", "pos" and the triangles) give NaN then.

    >>> import symgraph as sg
    >>> sg.linalg.solve([[2.0, 1.0], [1.0, 3.0]], [4.0, 7.0]).eval().round(12).tolist()
    [1.0, 2.0]
    """
    kind = _KINDS.get(assume_a)
    if kind is None:
        known = ", ".join(repr(k) for k in _KINDS)
        raise ArgumentError(f"solve: unknown assume_a {assume_a!r}", hint=f"known are {known}")
    if kind in ("lower", "upper"):
        return solve_triangular(a, b, transposed, kind == "lower", on_failure=on_failure)
    nan = nan_on_failure("solve", on_failure)

    def one(a: Variable, b: Variable) -> Variable:
        square_size(a.type, "solve")
        if kind == "diagonal":
            return b / expand_dims(CheckedDiagonal("solve")(diagonal(a, 0, -2, -1)), -1)
        if kind in ("tridiagonal", "banded"):
            a = turned(a) if transposed else a
            return BandedMatrixSolve()(a, b) if kind == "banded" else tridiagonal_solution(a, b)
        if kind == "cholesky":
            return solved(a, b, (cholesky(a, on_failure=on_failure),), bool(transposed), nan)
        return solved(a, b, LUFactor()(a), bool(transposed), nan)

    return on_columns("solve", a, b, one)


def cho_factor(a: Any, lower: bool = False) -> tuple[Variable, bool]:
    """(c, lower): the Cholesky factor of a and whether it is lower triangular, for
    :func:`cho_solve`.

    >>> import symgraph as sg
    >>> c, low = sg.linalg.cho_factor([[4.0]])
    >>> sg.linalg.cho_solve((c, low), [8.0]).eval().tolist()
    [2.0]
    """
    return cholesky(a, lower), bool(lower)


def cho_solve(c_and_lower: tuple[Any, bool], b: Any, on_failure: str = "raise") -> Variable:
    """x with a x = b, given (c, lower): the factor of a by :func:`cholesky` and which one it is.

    A zero on the diagonal of c raises LinAlgError (SG302) when the function runs, or gives NaN with
    ``on_failure="nan"``.

    >>> import symgraph as sg
    >>> l = sg.linalg.cholesky([[4.0, 2.0], [2.0, 5.0]])
    >>> sg.linalg.cho_solve((l, True), [8.0, 12.0]).eval().tolist()
    [1.0, 2.0]
    """
    c, low = c_and_lower
    nan = nan_on_failure("cho_solve", on_failure)
    return on_columns("cho_solve", c, b, lambda c, b: _by_cholesky(c, b, bool(low), nan))


def lu_solve(lu_and_piv: tuple[Any, Any], b: Any, trans: int = 0) -> Variable:
    """x with a x = b (a^T x = b for ``trans`` 1, a^H x = b for 2), given the (lu, piv) of
    :func:`lu_factor`.

    >>> import symgraph as sg
    >>> factors = sg.linalg.lu_factor([[2.0, 1.0], [1.0, 3.0]])
    >>> sg.linalg.lu_solve(factors, [4.0, 7.0]).eval().round(12).tolist()
    [1.0, 2.0]
    """
    if trans not in (0, 1, 2):
        raise ArgumentError(f"lu_solve: trans is 0, 1 or 2, not {trans!r}")
    pivots = as_variable(lu_and_piv[1])

    def one(lu: Variable, b: Variable) -> Variable:
        lu = conj(lu) if trans == 2 else lu
        own = broadcast_to(pivots, (*lu.shape[:-2], pivots.shape[-1]))
        return _by_lu(lu, own, b, bool(trans))

    return on_columns("lu_solve", lu_and_piv[0], b, one)


def inv(a: Any) -> Variable:
    """The inverses of matrices [..., n, n]. Raises LinAlgError (SG302) when the function runs and
    one is singular.

    >>> import symgraph as sg
    >>> sg.linalg.inv([[2.0, 0.0], [1.0, 1.0]]).eval().tolist()
    [[0.5, 0.0], [-0.5, 1.0]]
    """
    a = matrix_operand(a, "inv")
    n = square_size(a.type, "inv")
    one = broadcast_to(eye(n, dtype=a.dtype), (*a.shape[:-2], n, n))
    return solved(a, one, LUFactor()(a))


# tensors as matrices ------------------------------------------------------------------------------


def tensorinv(a: Any, ind: int = 2) -> Variable:
    """The inverse of tensordot(a, ., ind): with the first ``ind`` axes as rows and the others as
    columns, the inverse matrix, in the shape a.shape[ind:] + a.shape[:ind].

    >>> import symgraph as sg
    >>> sg.linalg.tensorinv(sg.eye(6).reshape(2, 3, 6), ind=2).type.text()
    'float64[6, 2, 3]'
    """
    a, ind = float_operand(a, "tensorinv"), as_int(ind, "tensorinv")
    if not 0 < ind < a.ndim:
        raise ArgumentError(f"tensorinv: ind is between 1 and {a.ndim - 1}, not {ind}")
    rows, columns = product(a.shape[:ind]), product(a.shape[ind:])
    same_size(rows, columns, "tensorinv: the matrix is not square")
    return reshape(inv(reshape(a, (rows, columns))), (*a.shape[ind:], *a.shape[:ind]))


def tensorsolve(a: Any, b: Any, axes: Sequence[int] | None = None) -> Variable:
    """x with tensordot(a, x, x.ndim) = b, where a.shape is b.shape + x.shape after the ``axes`` of
    a were moved to its end.

    >>> import symgraph as sg
    >>> sg.linalg.tensorsolve(2 * sg.eye(4).reshape(2, 2, 4), sg.ones((2, 2))).eval().tolist()
    [0.5, 0.5, 0.5, 0.5]
    """
    a, b = promoted(float_operand(a, "tensorsolve"), float_operand(b, "tensorsolve"))
    if axes is not None:
        for k in axes:
            a = moveaxis(a, k, -1)
    shape = a.shape[b.ndim :]
    n = product(shape)
    if not shape and b.ndim:
        raise ShapeError("tensorsolve: a has no axes left for the solution")
    x = solve(reshape(a, (product(b.shape), n)), reshape(b, (product(b.shape),)))
    return reshape(x, shape)


# equations of matrices ----------------------------------------------------------------------------


class Sylvester(Op):
    """x with a x + x b = q, by the Schur forms of a and b (Bartels and Stewart, 1972)."""

    name = "solve_sylvester"

    def infer(self, a: TensorType, b: TensorType, q: TensorType) -> TensorType:
        m, n = square_size(a, self.name), square_size(b, self.name)
        same_size(m, q.shape[-2], "solve_sylvester: sizes of a and q differ")
        same_size(n, q.shape[-1], "solve_sylvester: sizes of b and q differ")
        return q

    def reference(self, a: Any, b: Any, q: Any) -> Any:
        from scipy.linalg import solve_sylvester

        out = np.empty_like(q)
        for place in np.ndindex(q.shape[:-2]) if q.size else ():
            out[place] = solve_sylvester(a[place], b[place], q[place])
        return out

    def vjp(self, g: Variable, y: Variable, *ab: Variable) -> tuple[Variable, Variable, Variable]:
        a, b, _ = ab
        gq = Sylvester()(turned(a), turned(b), g)
        ga = -multiply_matrices(gq, y, False, True)
        return ga, -multiply_matrices(y, gq, True), gq

    def extern(self, *types: TensorType) -> Routine:
        return Routine("python")


def _same_batch(name: str, *xs: Any) -> list[Variable]:
    matrices = promoted(*(matrix_operand(x, name) for x in xs))
    batch = max((x.shape[:-2] for x in matrices), key=len)
    return [broadcast_to(x, (*batch, *x.shape[-2:])) for x in matrices]


def solve_sylvester(a: Any, b: Any, q: Any) -> Variable:
    """x with a x + x b = q, for a [..., m, m], b [..., n, n] and q [..., m, n].

    >>> import symgraph as sg
    >>> sg.linalg.solve_sylvester([[1.0]], [[3.0]], [[8.0]]).eval().tolist()
    [[2.0]]
    """
    return Sylvester()(*_same_batch("solve_sylvester", a, b, q))  # type: ignore[no-any-return]


def solve_continuous_lyapunov(a: Any, q: Any) -> Variable:
    """x with a x + x a^T = q (a^H for complex a), for matrices [..., n, n].

    >>> import symgraph as sg
    >>> sg.linalg.solve_continuous_lyapunov([[2.0]], [[8.0]]).eval().tolist()
    [[2.0]]
    """
    a, q = _same_batch("solve_continuous_lyapunov", a, q)
    return Sylvester()(a, adjoint(a), q)  # type: ignore[no-any-return]


def solve_discrete_lyapunov(a: Any, q: Any) -> Variable:
    """x with a x a^T - x + q = 0 (a^H for complex a), for matrices [..., n, n], by the bilinear
    transformation to a continuous equation (as SciPy for larger matrices).

    >>> import symgraph as sg
    >>> sg.linalg.solve_discrete_lyapunov([[0.5]], [[3.0]]).eval().round(12).tolist()
    [[4.0]]
    """
    a, q = _same_batch("solve_discrete_lyapunov", a, q)
    n = square_size(a.type, "solve_discrete_lyapunov")
    one = eye(n, dtype=a.dtype)
    right = inv(adjoint(a) + one)
    b = matmul(adjoint(a) - one, right)
    c = 2 * matmul(matmul(inv(a + one), q), right)
    return Sylvester()(adjoint(b), b, -c)  # type: ignore[no-any-return]
