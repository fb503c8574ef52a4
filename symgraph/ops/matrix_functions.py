"""Functions of whole matrices: determinants, pseudo-inverses, exponentials, powers, norms, ranks.

Where a short rule gives the derivative of a value that is computed in several steps, an op carries
the value on and holds the rule: ``det``, ``log_abs_det``, ``pinv``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, AxisError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import Size, TensorType
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.loops.routine import Routine
from symgraph.ops.arithmetic import absolute, power, sign
from symgraph.ops.cast import to_dtype
from symgraph.ops.comparison import where
from symgraph.ops.complex_numbers import conj, real
from symgraph.ops.creation import eye, iota, zeros_like
from symgraph.ops.decompositions import LUFactor
from symgraph.ops.exponential import log
from symgraph.ops.joining import concatenate, part_of
from symgraph.ops.matrix import diagonal, matmul, multiply_matrices
from symgraph.ops.moments import root
from symgraph.ops.operands import as_variable
from symgraph.ops.padding import pad
from symgraph.ops.reductions import max as max_of
from symgraph.ops.reductions import min as min_of
from symgraph.ops.reductions import prod
from symgraph.ops.reductions import sum as sum_of
from symgraph.ops.shape import as_int, broadcast_to, expand_dims, moveaxis, normalize_axes
from symgraph.ops.solving import inv
from symgraph.ops.spectral import Eigh, svd, svdvals
from symgraph.ops.triangular import adjoint, float_operand, matrix_operand, square_size, turned

__all__ = [
    "cond", "det", "expm", "lstsq", "matrix_norm", "matrix_power", "matrix_rank", "norm", "pinv",
    "slogdet", "vector_norm",
]  # fmt: skip


# determinants -------------------------------------------------------------------------------------


class OfDeterminant(Op, abstract=True):
    """A value that is known to be a function of the determinant of a, and so has its derivative."""

    def infer(self, a: TensorType, value: TensorType) -> TensorType:
        square_size(a, self.name)
        return value

    def reference(self, a: Any, value: Any) -> Any:
        return value

    def lower(self, out: TensorType, a: Operand, value: Operand) -> Compute:
        return pointwise(out.shape, lambda *i: value(*i))


class Det(OfDeterminant):
    """The value, which is known to be the determinant of a, with the derivative of that: the
    matrix of cofactors, defined for singular matrices too."""

    name = "det"

    def vjp(self, g: Variable, y: Variable, a: Variable, value: Variable) -> tuple[Any, None]:
        return Cofactors()(a) * expand_dims(g, (-1, -2)), None


class Cofactors(Op):
    """The matrix of cofactors, det(a) a^-T where a is regular, by singular values: also right for
    singular a. Its own derivative needs a regular a."""

    name = "cofactors"

    def infer(self, a: TensorType) -> TensorType:
        square_size(a, "cofactors")
        return a

    def reference(self, a: Any) -> Any:
        n = a.shape[-1]
        if not np.isfinite(a).all():
            return np.full_like(a, np.nan)
        u, s, vh = np.linalg.svd(a)
        others = np.where(np.eye(n, dtype=bool), 1, s[..., None, :]).prod(-1)
        flip = np.linalg.det(u) * np.linalg.det(vh)
        return (((u * others[..., None, :]) @ vh).conj() * flip[..., None, None]).astype(a.dtype)

    def vjp(self, g: Variable, y: Variable, a: Variable) -> tuple[Variable]:
        turned_inverse = turned(inv(a))
        weight = sum_of(g * y, (-1, -2), keepdims=True)
        right = multiply_matrices(multiply_matrices(y, g, False, True), turned_inverse)
        return (weight * turned_inverse - right,)

    def extern(self, a: TensorType) -> Routine:
        return Routine("python")


class LogAbsDet(OfDeterminant):
    """The value, which is known to be log |det a|, with the derivative of that: a^-T."""

    name = "log_abs_det"

    def vjp(self, g: Variable, y: Variable, a: Variable, value: Variable) -> tuple[Any, None]:
        return turned(inv(a)) * expand_dims(g, (-1, -2)), None


class DetSign(OfDeterminant):
    """The value, which is known to be the sign of det a: its derivative is 0."""

    name = "det_sign"

    def vjp(self, g: Variable, y: Variable, a: Variable, value: Variable) -> tuple[Any, Any]:
        return None, g


def _factored(a: Any, name: str) -> tuple[Variable, Variable, Variable]:
    """The matrix, the diagonal of its upper factor, and the sign of its row swaps."""
    a = matrix_operand(a, name)
    square_size(a.type, name)
    lu, pivots = LUFactor()(a)
    moved = to_dtype(sum_of(pivots != iota(pivots.shape[-1]), -1) % 2, a.dtype)
    return a, diagonal(lu, 0, -2, -1), 1 - 2 * moved


def det(a: Any) -> Variable:
    """The determinants of matrices [..., n, n].

    The first derivative exists for singular matrices too (the cofactors), the second raises
    LinAlgError there.

    >>> import symgraph as sg
    >>> sg.linalg.det([[1.0, 2.0], [3.0, 4.0]]).eval().round(12).item()
    -2.0
    """
    a, pivots, swaps = _factored(a, "det")
    return Det()(a, prod(pivots, -1) * swaps)  # type: ignore[no-any-return]


def slogdet(a: Any) -> tuple[Variable, Variable]:
    """(sign, log |det|) of matrices [..., n, n]; (0, -inf) for singular ones.

    >>> import symgraph as sg
    >>> sign, logdet = sg.linalg.slogdet([[2.0, 0.0], [0.0, -0.5]])
    >>> sign.eval().item(), logdet.eval().item()
    (-1.0, 0.0)
    """
    a, pivots, swaps = _factored(a, "slogdet")
    total = sum_of(log(absolute(pivots)), -1)
    return DetSign()(a, prod(sign(pivots), -1) * swaps), LogAbsDet()(a, total)


# pseudo-inverses ----------------------------------------------------------------------------------


class Pinv(Op):
    """The value p, which is known to be the pseudo-inverse of a, with the derivative of that where
    the rank of a stays the same (Golub and Pereyra, 1973)."""

    name = "pinv"

    def infer(self, a: TensorType, p: TensorType) -> TensorType:
        return p

    def reference(self, a: Any, p: Any) -> Any:
        return p

    def vjp(self, g: Variable, y: Variable, a: Variable, p: Variable) -> tuple[Any, None]:
        def times(x: Variable, z: Variable, tx: bool = False, tz: bool = False) -> Variable:
            return multiply_matrices(conj(x) if tx else x, conj(z) if tz else z, tx, tz)

        g = conj(g)
        gp = times(g, y, True)  # g^T p
        pg = times(y, g, False, True)  # p g^T
        first = times(times(y, g, True), y, False, True)
        ppt = times(gp, y, False, True)
        second = ppt - times(a, times(y, ppt))
        third = times(times(y, pg, True), eye(a.shape[-1], dtype=a.dtype) - times(y, a))
        return conj(second + third - first), None

    def lower(self, out: TensorType, a: Operand, p: Operand) -> Compute:
        return pointwise(out.shape, lambda *i: p(*i))


def _tolerance(a: Variable, rtol: Any) -> Any:
    """The relative size below which singular values count as 0."""
    if rtol is not None:
        return as_variable(rtol).astype(dtypes.real_of(a.dtype))
    eps = dtypes.limits(a.dtype).eps
    m, n = a.shape[-2:]
    if isinstance(m, int) and isinstance(n, int):
        return as_variable(eps * max(m, n), dtypes.real_of(a.dtype))
    longer = max_of(stack_sizes(m, n))
    return longer.astype(dtypes.real_of(a.dtype)) * eps


def stack_sizes(m: Size, n: Size) -> Variable:
    """Two sizes as an integer vector."""
    return concatenate([expand_dims(as_variable(s), 0) for s in (m, n)])


def _largest(s: Variable) -> Variable:
    """The largest of numbers that are not negative, 0 where there are none."""
    return max_of(pad(s, [(0, 0)] * (s.ndim - 1) + [(0, 1)]), -1, keepdims=True)


def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Variable:
    """The Moore-Penrose pseudo-inverses [..., n, m] of matrices [..., m, n].

    Singular values up to ``rtol`` (or ``rcond``; max(m, n) times the dtype's epsilon if None) times
    the largest count as 0; ``hermitian`` takes eigenvalues of the symmetric part instead.

    >>> import symgraph as sg
    >>> sg.linalg.pinv([[2.0, 0.0], [0.0, 0.0]]).eval().tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    a = matrix_operand(a, "pinv")
    cut = _tolerance(a, rtol if rcond is None else rcond)
    cut = expand_dims(cut, -1) if cut.ndim else cut
    if hermitian:
        s, u = Eigh()(a)
        v = u
    else:
        u, s, vh = svd(a, full_matrices=False)
        v = adjoint(vh)
    size = absolute(s)
    kept = size > cut * _largest(size)
    inverse = where(kept, 1 / where(kept, s, 1.0), 0.0)
    p = multiply_matrices(v * expand_dims(inverse, -2), conj(u), False, True)
    return Pinv()((a + adjoint(a)) * 0.5 if hermitian else a, p)  # type: ignore[no-any-return]


def lstsq(a: Any, b: Any, rcond: Any = None) -> tuple[Variable, Variable, Variable, Variable]:
    """(x, residuals, rank, s): the x of least norm that minimises |b - a x|, for a [..., m, n] and
    b [m] or [..., m, k]; the squares |b - a x|^2 for each column, always (NumPy leaves them out
    unless m > n = rank); the rank of a; its singular values.

    Singular values up to ``rcond`` (max(m, n) times epsilon if None) times the largest count as 0.

    >>> import symgraph as sg
    >>> x, residuals, rank, s = sg.linalg.lstsq([[1.0], [1.0]], [1.0, 3.0])
    >>> x.eval().round(12).tolist(), residuals.eval().round(12).tolist(), rank.eval().item()
    ([2.0], 2.0, 1)
    """
    a, b = matrix_operand(a, "lstsq"), float_operand(b, "lstsq")
    x = matmul(pinv(a, rcond), b)
    s = svdvals(a)
    rest = b - matmul(a, x)
    residuals = sum_of(_squares(rest), -1 if b.ndim == 1 else -2)
    return x, residuals, matrix_rank(a, rtol=rcond), s


def matrix_rank(a: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Variable:
    """How many singular values of matrices [..., m, n] are above ``tol``, or ``rtol`` (max(m, n)
    times epsilon if None) times the largest; as int64.

    >>> import symgraph as sg
    >>> sg.linalg.matrix_rank([[1.0, 2.0], [2.0, 4.0]]).eval().item()
    1
    """
    a = matrix_operand(a, "matrix_rank")
    s = absolute(Eigh()(a)[0]) if hermitian else svdvals(a)
    if tol is None:
        cut = _tolerance(a, rtol)
        bound = (expand_dims(cut, -1) if cut.ndim else cut) * _largest(s)
    else:
        bound = as_variable(tol)
        bound = expand_dims(bound, -1) if bound.ndim else bound
    return to_dtype(sum_of(s > bound, -1), "int64")


# exponentials and powers --------------------------------------------------------------------------


class Expm(Op):
    """The matrix exponential (Al-Mohy and Higham, 2009, in SciPy); its derivative is a block of the
    exponential of a matrix of twice the size (Najfeld and Havel, 1995)."""

    name = "expm"

    def infer(self, a: TensorType) -> TensorType:
        square_size(a, "expm")
        return a

    def reference(self, a: Any) -> Any:
        from scipy.linalg import expm

        return expm(a) if a.size else np.array(a)

    def vjp(self, g: Variable, y: Variable, a: Variable) -> tuple[Variable]:
        n, at = a.shape[-1], turned(a)
        above = concatenate([at, g], -1)
        below = concatenate([zeros_like(at), at], -1)
        whole = Expm()(concatenate([above, below], -2))
        return (part_of(part_of(whole, -2, 0, n), -1, n, n),)

    def extern(self, a: TensorType) -> Routine:
        return Routine("python")


def expm(a: Any) -> Variable:
    """The exponentials of matrices [..., n, n].

    >>> import symgraph as sg
    >>> sg.linalg.expm([[0.0, 1.0], [0.0, 0.0]]).eval().tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    return Expm()(matrix_operand(a, "expm"))  # type: ignore[no-any-return]


def matrix_power(a: Any, n: int) -> Variable:
    """The n-th powers of matrices [..., m, m], by repeated squaring; of the inverse for negative n.

    >>> import symgraph as sg
    >>> sg.linalg.matrix_power([[1, 1], [0, 1]], 5).eval().tolist()
    [[1, 5], [0, 1]]
    """
    a, n = as_variable(a), as_int(n, "matrix_power")
    if n < 0 or a.ndim < 2 or not dtypes.is_int(a.dtype):
        a = matrix_operand(a, "matrix_power")
    size = square_size(a.type, "matrix_power")
    if n == 0:
        return broadcast_to(eye(size, dtype=a.dtype), a.shape)
    base, result = (inv(a) if n < 0 else a), None
    n = abs(n)
    while True:
        if n % 2:
            result = base if result is None else matmul(result, base)
        n //= 2
        if not n:
            assert result is not None
            return result
        base = matmul(base, base)


# norms --------------------------------------------------------------------------------------------


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Variable:
    """The norm of vectors or matrices, as NumPy's: of all elements (``ord`` None), of the vectors
    along one ``axis`` (any number, inf, -inf, 0), or of the matrices of two axes ("fro", "nuc", 1,
    -1, 2, -2, inf, -inf).

    Raises ArgumentError for an unknown ``ord``, AxisError for axes that do not fit.

    >>> import symgraph as sg
    >>> sg.linalg.norm([3.0, 4.0]).eval().item()
    5.0
    """
    x = float_operand(x, "norm")
    if axis is None:
        if ord is None or (x.ndim == 2 and ord == "fro") or (x.ndim == 1 and ord == 2):
            return root(sum_of(_squares(x), keepdims=keepdims))
        axis = tuple(range(x.ndim))
    axes = normalize_axes(axis, x.ndim, "norm")
    if len(axes) == 1:
        return _vector_norm(x, 2 if ord is None else ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, "fro" if ord is None else ord, axes, keepdims)
    raise AxisError(f"norm: vectors have one axis and matrices two, not {len(axes)}")


def _squares(x: Variable) -> Variable:
    """The squares of the magnitudes."""
    return real(x * conj(x))


def _vector_norm(x: Variable, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Variable:
    if isinstance(ord, str):
        raise ArgumentError(f"norm: vectors have no norm {ord!r}")
    size = absolute(x)
    if ord == math.inf:
        return max_of(size, axes, keepdims=keepdims)
    if ord == -math.inf:
        return min_of(size, axes, keepdims=keepdims)
    if ord == 0:
        return to_dtype(sum_of(x != 0, axes, keepdims=keepdims), size.dtype)
    if ord == 1:
        return sum_of(size, axes, keepdims=keepdims)
    if ord == 2:
        return root(sum_of(_squares(x), axes, keepdims=keepdims))
    total = sum_of(power(size, ord), axes, keepdims=keepdims)
    if not isinstance(ord, int | float) or ord <= 1:
        return power(total, 1.0 / ord)
    nothing = total == 0  # there the root's slope is infinite; the norm's is taken as 0
    return where(nothing, 0, power(where(nothing, 1, total), 1.0 / ord))


def _matrix_norm(x: Variable, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Variable:
    rows, columns = axes
    if ord == "fro":
        return root(sum_of(_squares(x), axes, keepdims=keepdims))
    if ord in (1, -1, math.inf, -math.inf):
        inner, outer = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = sum_of(absolute(x), inner, keepdims=True)
        y = (max_of if ord > 0 else min_of)(sums, outer, keepdims=True)
    elif ord in ("nuc", 2, -2):
        s = svdvals(moveaxis(x, (rows, columns), (-2, -1)))
        y = sum_of(s, -1) if ord == "nuc" else (max_of if ord > 0 else min_of)(s, -1)
        y = expand_dims(y, tuple(sorted(axes)))
    else:
        raise ArgumentError(f"norm: matrices have no norm {ord!r}")
    return y if keepdims else y.squeeze(axes)  # type: ignore[no-any-return]


def vector_norm(x: Any, ord: Any = 2, axis: Any = None, keepdims: bool = False) -> Variable:
    """The norm of the vectors along one axis, or of all elements over several (None: all) axes.

    >>> import symgraph as sg
    >>> sg.linalg.vector_norm([[1.0, -2.0], [3.0, 0.0]], ord=1).eval().item()
    6.0
    """
    x = float_operand(x, "vector_norm")
    axes = tuple(range(x.ndim)) if axis is None else normalize_axes(axis, x.ndim, "vector_norm")
    return _vector_norm(x, ord, axes, keepdims)


def matrix_norm(x: Any, ord: Any = "fro", keepdims: bool = False) -> Variable:
    """The norm of the matrices of the last two axes; see :func:`norm`.

    >>> import symgraph as sg
    >>> sg.linalg.matrix_norm([[1.0, -2.0], [3.0, 0.0]], ord=1).eval().item()
    4.0
    """
    x = matrix_operand(x, "matrix_norm")
    return _matrix_norm(x, ord, (x.ndim - 2, x.ndim - 1), keepdims)


def cond(x: Any, p: Any = None) -> Variable:
    """The condition number of matrices [..., m, n]: the ratio of the largest and the smallest
    singular value (``p`` None or 2), else norm(x, p) norm(inv(x), p).

    >>> import symgraph as sg
    >>> sg.linalg.cond([[4.0, 0.0], [0.0, 2.0]]).eval().item()
    2.0
    """
    x = matrix_operand(x, "cond")
    if p in (None, 2, -2):
        s = svdvals(x)
        large, small = max_of(s, -1), min_of(s, -1)
        return small / large if p == -2 else large / small
    return matrix_norm(x, p) * matrix_norm(inv(x), p)
