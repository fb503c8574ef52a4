"""Systems of equations with tridiagonal, banded and Toeplitz matrices, stored by their diagonals.

A solution's derivative is another system with the transposed matrix, whose diagonals are those of
the matrix moved (Giles 2008), so memory and time stay linear in the size. The factors of a
tridiagonal matrix are made by a loop in the graph and can be differentiated any number of times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, LinAlgError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType, broadcast_shapes, same_size
from symgraph.loops.routine import Routine
from symgraph.ops.arithmetic import absolute
from symgraph.ops.cast import to_dtype
from symgraph.ops.comparison import where
from symgraph.ops.complex_numbers import conj, imag, real
from symgraph.ops.creation import iota, zeros_like
from symgraph.ops.joining import concatenate, part_of, stack
from symgraph.ops.matrix import diagonal, multiply_matrices, promoted
from symgraph.ops.operands import as_variable
from symgraph.ops.padding import pad
from symgraph.ops.reductions import sum as sum_of
from symgraph.ops.scanning import scan
from symgraph.ops.shape import as_int, broadcast_to, expand_dims, flip, moveaxis, reshape
from symgraph.ops.triangular import (
    LETTERS,
    float_operand,
    matrix_operand,
    on_columns,
    square_size,
    turned,
)
from symgraph.scalar import as_expr, as_size
from symgraph.scalar.sizes import at_least_zero

__all__ = [
    "solve_banded", "solve_toeplitz", "solve_tridiagonal", "solveh_banded",
    "tridiagonal_lu_factor", "tridiagonal_lu_solve",
]  # fmt: skip


# banded matrices ----------------------------------------------------------------------------------


def _equal_batch(name: str, a: TensorType, b: TensorType, core: int) -> None:
    for k, (m, n) in enumerate(zip(a.shape[:-core], b.shape[:-2], strict=True)):
        same_size(m, n, f"{name}: sizes differ on axis {k}")


class BandedSolve(Op):
    """x with a x = b for a with ``low`` diagonals below and ``up`` above the main one: element i, j
    of a is element up + i - j, j of ab [..., low + up + 1, n]; b is [..., n, k].

    ``positive``: a is known to be Hermitian, and its lower half is factorised by Cholesky (LAPACK's
    pbsv; else gtsv for three diagonals, or gbsv). ``what`` is what failures are reported for.
    """

    name = "banded_solve"
    low: int
    up: int
    positive: bool = False
    what: str = "solve_banded"

    def infer(self, ab: TensorType, b: TensorType) -> TensorType:
        same_size(ab.shape[-1], b.shape[-2], f"{self.what}: sizes differ")
        if ab.shape[-2] != self.low + self.up + 1:
            rows = f"{self.low} + {self.up} + 1 rows of diagonals, got {ab.text()}"
            raise ShapeError(f"{self.what}: needs {rows}")
        _equal_batch(self.what, ab, b, 2)
        return b

    def reference(self, ab: Any, b: Any) -> Any:
        out = np.array(b)
        for place in np.ndindex(ab.shape[:-2]) if b.size else ():
            out[place], failed = self._one(ab[place], b[place])
            if failed:
                index = place[0] if len(place) == 1 else place
                words = f" (batch index {index})" if place else ""
                fault = f"is not positive definite (leading minor {failed})"
                raise LinAlgError(
                    f"{self.what}: the matrix {fault if self.positive else 'is singular'}{words}",
                    hint="sg.linalg.lstsq or pinv accept the full matrix",
                )
        return out

    def _one(self, ab: Any, b: Any) -> tuple[Any, int]:
        from scipy.linalg import lapack

        letter, low, up = LETTERS[str(ab.dtype)], self.low, self.up
        if self.positive:
            below = np.vstack([ab[up : up + 1].real.astype(ab.dtype), ab[up + 1 :]])
            return tuple(getattr(lapack, letter + "pbsv")(below, b, lower=1)[1:])  # type: ignore[return-value]
        if low == up == 1 and b.shape[0] > 1:
            out = getattr(lapack, letter + "gtsv")(ab[2, :-1], ab[1], ab[0, 1:], b)
            return out[-2], out[-1]
        whole = np.zeros((2 * low + up + 1, ab.shape[-1]), ab.dtype)
        whole[low:] = ab
        return tuple(getattr(lapack, letter + "gbsv")(low, up, whole, b)[2:])  # type: ignore[return-value]

    def vjp(self, g: Variable, y: Variable, ab: Variable, b: Variable) -> tuple[Variable, Variable]:
        other = self.replace(low=self.up, up=self.low)
        gb = other(_transposed(ab, self.low, self.up), g)
        moved = [_moved(gb, r - self.up, -2) for r in range(self.low + self.up + 1)]
        return stack([-sum_of(m * y, -1) for m in moved], -2), gb

    def extern(self, ab: TensorType, b: TensorType) -> Routine:
        return Routine("python")


def _moved(x: Variable, by: int, axis: int) -> Variable:
    """Element j of the result is element j + by of x along an axis, 0 where there is none."""
    if by == 0:
        return x
    axis += x.ndim
    widths = [(0, 0)] * x.ndim
    widths[axis] = (max(-by, 0), max(by, 0))
    return part_of(pad(x, widths), axis, max(by, 0), x.shape[axis])


def _transposed(ab: Variable, low: int, up: int) -> Variable:
    """The diagonals of the transposed matrix: the same ones from the last to the first, moved."""
    count = low + up + 1
    rows = [_moved(ab[..., count - 1 - r, :], r - low, -1) for r in range(count)]
    return stack(rows, -2)


def _band_width(n: Any, name: str, what: str) -> int:
    n = as_int(n, name)
    if n < 0:
        raise ArgumentError(f"{name}: {what} is a number of diagonals, not {n}")
    return int(n)


def solve_banded(l_and_u: tuple[int, int], ab: Any, b: Any) -> Variable:
    """x with a x = b, where a [..., n, n] has ``l`` diagonals below and ``u`` above the main one.

    Element i, j of a is element u + i - j, j of ``ab`` [..., l + u + 1, n], as in SciPy and LAPACK;
    the corners of ab that belong to no element are not read. b is [n] or [..., n, k]; batches
    broadcast. By LU decomposition with pivoting (LAPACK's gbsv). Raises ShapeError for another
    number of rows, LinAlgError (SG302) when the function runs and a is singular.

    >>> import symgraph as sg
    >>> ab = [[0.0, 1.0, 1.0], [2.0, 2.0, 2.0]]
    >>> sg.linalg.solve_banded((0, 1), ab, [3.0, 3.0, 2.0]).eval().tolist()
    [1.0, 1.0, 1.0]
    """
    if not isinstance(l_and_u, Sequence) or len(l_and_u) != 2:
        raise ArgumentError(f"solve_banded: l_and_u is two numbers of diagonals, not {l_and_u!r}")
    low, up = (_band_width(n, "solve_banded", "l_and_u") for n in l_and_u)
    return on_columns("solve_banded", ab, b, BandedSolve(low, up))


def solveh_banded(ab: Any, b: Any, lower: bool = False) -> Variable:
    """x with a x = b for symmetric (Hermitian) positive definite banded a [..., n, n].

    ``ab`` [..., u + 1, n] holds the upper diagonals: element i, j of a is element u + i - j, j; or
    with ``lower`` the lower ones: element i - j, j. b is [n] or [..., n, k]; batches broadcast. By
    Cholesky decomposition (LAPACK's pbsv). Raises LinAlgError (SG302) when the function runs and a
    is not positive definite.

    >>> import symgraph as sg
    >>> sg.linalg.solveh_banded([[0.0, 1.0], [2.0, 2.0]], [3.0, 3.0]).eval().round(12).tolist()
    [1.0, 1.0]
    """
    ab = matrix_operand(ab, "solveh_banded")
    count = ab.shape[-2]
    if not isinstance(count, int) or count < 1:
        raise ShapeError(f"solveh_banded: the number of diagonals is not known: {ab.type.text()}")
    u = count - 1
    half = [ab[..., k if lower else u - k, :] for k in range(count)]  # the k-th beside the main one
    main = to_dtype(real(half[0]), ab.dtype) if dtypes.is_complex(ab.dtype) else half[0]
    sides = [(conj(h), _moved(h, -k if lower else k, -1)) for k, h in enumerate(half)][1:]
    if lower:
        above, below = [_moved(c, -k, -1) for k, (c, _) in enumerate(sides, 1)], half[1:]
    else:
        above, below = half[1:], [_moved(c, k, -1) for k, (c, _) in enumerate(sides, 1)]
    whole = stack([*reversed(above), main, *below], -2)
    return on_columns("solveh_banded", whole, b, BandedSolve(u, u, True, "solveh_banded"))


class BandedMatrixSolve(Op):
    """x with a x = b for a [..., n, n] whose elements far from the diagonal are 0: how far is seen
    when the function runs. The derivative is that of any matrix."""

    name = "banded_matrix_solve"

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        same_size(square_size(a, "solve"), b.shape[-2], "solve: sizes differ")
        _equal_batch("solve", a, b, 2)
        return b

    def reference(self, a: Any, b: Any) -> Any:
        out = np.array(b)
        for place in np.ndindex(a.shape[:-2]) if b.size else ():
            rows, columns = np.nonzero(a[place])
            low, up = (int(max(0, (s * (rows - columns)).max(initial=0))) for s in (1, -1))
            n = a.shape[-1]
            ab = np.zeros((low + up + 1, n), a.dtype)
            for k in range(-low, up + 1):
                ab[up - k, max(k, 0) : n + min(k, 0)] = np.diagonal(a[place], k)
            solver = BandedSolve(low, up, False, "solve")
            out[place] = solver.reference(ab, b[place])
        return out

    def vjp(self, g: Variable, y: Variable, a: Variable, b: Variable) -> tuple[Variable, Variable]:
        gb = BandedMatrixSolve()(turned(a), g)
        return -multiply_matrices(gb, y, False, True), gb

    def extern(self, a: TensorType, b: TensorType) -> Routine:
        return Routine("python")


# tridiagonal matrices -----------------------------------------------------------------------------


def _diagonals(name: str, dl: Any, d: Any, du: Any) -> list[Variable]:
    """The three diagonals, of one dtype and one batch."""
    xs = promoted(*(float_operand(x, name) for x in (dl, d, du)))
    if any(x.ndim == 0 for x in xs):
        raise RankError(f"{name}: a diagonal is a scalar")
    less = as_size(as_expr(xs[1].shape[-1]) - 1)
    for x in (xs[0], xs[2]):
        same_size(x.shape[-1], less, f"{name}: dl and du have one element less than d")
    batch: Any = ()
    for x in xs:
        batch = broadcast_shapes(batch, x.shape[:-1], what=f"{name}: batch sizes differ")
    return [broadcast_to(x, (*batch, x.shape[-1])) for x in xs]


def solve_tridiagonal(dl: Any, d: Any, du: Any, b: Any) -> Variable:
    """x with a x = b for tridiagonal a: d [..., n] is its diagonal, dl and du [..., n - 1] are the
    ones below and above; b is [n] or [..., n, k]; batches broadcast.

    By elimination with pivoting (LAPACK's gtsv). Raises ShapeError where lengths do not fit,
    LinAlgError (SG302) when the function runs and a is singular.

    >>> import symgraph as sg
    >>> sg.linalg.solve_tridiagonal([1.0], [2.0, 2.0], [1.0], [3.0, 3.0]).eval().tolist()
    [1.0, 1.0]
    """
    dl, d, du = _diagonals("solve_tridiagonal", dl, d, du)
    zero = zeros_like(part_of(d, -1, 0, 1)) if d.shape[-1] != 0 else d
    ab = stack([concatenate([zero, du], -1), d, concatenate([dl, zero], -1)], -2)
    ab = broadcast_to(ab, (*ab.shape[:-1], d.shape[-1]))
    return on_columns("solve_tridiagonal", ab, b, BandedSolve(1, 1, False, "solve_tridiagonal"))


def tridiagonal_solution(a: Variable, b: Variable) -> Variable:
    """x with a x = b for the tridiagonal part of a [..., n, n] and b [..., n, k]."""
    return solve_tridiagonal(*(diagonal(a, k, -2, -1) for k in (-1, 0, 1)), b)


def _size(x: Variable) -> Variable:
    """How LAPACK measures a pivot: |re| + |im|."""
    return absolute(real(x)) + absolute(imag(x)) if dtypes.is_complex(x.dtype) else absolute(x)


def tridiagonal_lu_factor(a: Any) -> tuple[Variable, ...]:
    """(dl, d, du, du2, ipiv): the LU decomposition with pivoting of the tridiagonal part of
    matrices [..., n, n], n >= 1, for :func:`tridiagonal_lu_solve`.

    d [..., n], du [..., n - 1] and du2 [..., n - 2] are the diagonals of the upper factor, dl
    [..., n - 1] the multipliers of the elimination; row i was swapped with row ipiv[i] = i or
    i + 1. This is the algorithm of LAPACK's gttrf, as a loop of the graph.

    >>> import symgraph as sg
    >>> dl, d, du, du2, ipiv = sg.linalg.tridiagonal_lu_factor([[1.0, 2.0], [4.0, 4.0]])
    >>> dl.eval().tolist(), d.eval().tolist(), du.eval().tolist(), ipiv.eval().tolist()
    ([0.25], [4.0, 1.0], [4.0], [1, 1])
    """
    a = matrix_operand(a, "tridiagonal_lu_factor")
    n = square_size(a.type, "tridiagonal_lu_factor")
    if n == 0:
        raise ShapeError("tridiagonal_lu_factor: the matrix is empty")
    dl, d, du = (moveaxis(diagonal(a, k, -2, -1), -1, 0) for k in (-1, 0, 1))
    less = as_size(as_expr(n) - 1)
    last = zeros_like(d[:1])
    later = part_of(concatenate([du, last], 0), 0, 1, less)
    dl, rows = _sized(dl, less), part_of(d, 0, 1, less)

    def step(low: Variable, mid: Variable, right: Variable, c: Variable, u: Variable) -> Any:
        swap = _size(low) > _size(c)
        pivot = where(swap, low, c)
        factor = where(swap, c, low) / where(pivot == 0, 1, pivot)
        top, bottom = where(swap, mid, u), where(swap, u, mid)
        beyond = where(swap, right, 0)
        following = where(swap, -factor * right, right)
        return bottom - factor * top, following, factor, pivot, top, beyond, swap

    first = [d[0], (du if n != 1 else last)[0] if isinstance(n, int) else _sized_first(du, last)]
    ends, _, factors, pivots, tops, beyonds, swaps = scan(
        step, [dl, rows, later], [*first, None, None, None, None, None]
    )
    final = part_of(concatenate([d[:1], ends], 0), 0, less, 1)
    du2 = part_of(beyonds, 0, 0, at_least_zero(as_size(as_expr(n) - 2)))
    moved = pad(to_dtype(swaps, "int64"), [(0, 1)] + [(0, 0)] * (swaps.ndim - 1))
    places = moveaxis(moved, 0, -1)
    found = (factors, concatenate([pivots, final], 0), tops, du2)
    return *(moveaxis(x, 0, -1) for x in found), places + iota(places.shape[-1])


def _sized(x: Variable, n: Any) -> Variable:
    """x, whose first axis is known to have the size n."""
    return broadcast_to(x, (n, *x.shape[1:]))


def _sized_first(du: Variable, last: Variable) -> Variable:
    """The first row of du, or zeros where it has none."""
    return concatenate([du, last], 0)[0]


def tridiagonal_lu_solve(
    a_diagonals: Sequence[Any], b: Any, *, b_ndim: int | None = None, transposed: bool = False
) -> Variable:
    """x with a x = b, or a^T x = b if ``transposed``, given what :func:`tridiagonal_lu_factor`
    says of a; b is [n] or [..., n, k], batches broadcast.

    ``b_ndim`` 1 makes b a batch of vectors [..., n]; 2 (the default where b has more than one axis)
    one of matrices. A singular a gives infinities or NaN, as LAPACK's gttrs, whose algorithm it is.

    >>> import symgraph as sg
    >>> factors = sg.linalg.tridiagonal_lu_factor([[1.0, 2.0], [4.0, 4.0]])
    >>> sg.linalg.tridiagonal_lu_solve(factors, [3.0, 8.0]).eval().tolist()
    [1.0, 1.0]
    """
    name = "tridiagonal_lu_solve"
    if len(a_diagonals) != 5:
        raise ArgumentError(f"{name}: a_diagonals is (dl, d, du, du2, ipiv)")
    *parts, b = promoted(*(float_operand(x, name) for x in (*a_diagonals[:4], b)))
    places = as_variable(a_diagonals[4])
    if not all(x.ndim for x in (*parts, places)):
        raise RankError(f"{name}: a_diagonals is (dl, d, du, du2, ipiv), none of them a scalar")
    b_ndim = min(b.ndim, 2) if b_ndim is None else b_ndim
    if b_ndim not in (1, 2) or b.ndim < b_ndim:
        raise ArgumentError(f"{name}: b_ndim is 1 or 2 and b has that many axes, not {b_ndim!r}")
    n = parts[1].shape[-1]
    same_size(n, b.shape[-b_ndim], f"{name}: sizes differ")
    b = expand_dims(b, -1) if b_ndim == 1 else b
    batch = broadcast_shapes(parts[1].shape[:-1], b.shape[:-2], what=f"{name}: batch sizes differ")
    b = moveaxis(broadcast_to(b, (*batch, *b.shape[-2:])), -2, 0)
    less = as_size(as_expr(n) - 1)
    swaps = part_of(places != iota(places.shape[-1]), -1, 0, less)
    dl, d, du, du2, swap = (_by_rows(x, batch) for x in (*parts, swaps))
    short = as_size(as_expr(n) - du2.shape[0])
    du2 = pad(du2, [(0, short)] + [(0, 0)] * (du2.ndim - 1))
    du = pad(du, [(0, 1)] + [(0, 0)] * (du.ndim - 1))
    solve = _backwards if transposed else _forwards
    x = moveaxis(solve(dl, d, du, du2, swap, b, less), 0, -2)
    return x.squeeze(-1) if b_ndim == 1 else x  # type: ignore[no-any-return]


def _by_rows(x: Variable, batch: Any) -> Variable:
    """[..., n] as [n, ..., 1], so that a step of a loop sees one row for all columns of b."""
    return expand_dims(moveaxis(broadcast_to(x, (*batch, x.shape[-1])), -1, 0), -1)


def _forwards(dl: Any, d: Any, du: Any, du2: Any, swap: Any, b: Any, less: Any) -> Variable:
    def down(factor: Variable, s: Variable, row: Variable, above: Variable) -> Any:
        top, bottom = where(s, row, above), where(s, above, row)
        return bottom - factor * top, top

    ends, tops = scan(down, [dl, swap, part_of(b, 0, 1, less)], [b[0], None])
    z = concatenate([tops, part_of(concatenate([b[:1], ends], 0), 0, less, 1)], 0)

    def up(p: Any, u: Any, v: Any, row: Variable, one: Variable, two: Variable) -> Any:
        return (row - u * one - v * two) / p, one

    zero = zeros_like(b[0])
    x, _ = scan(up, [d, du, du2, z], [zero, zero], go_backwards=True)
    return flip(x, 0)


def _backwards(dl: Any, d: Any, du: Any, du2: Any, swap: Any, b: Any, less: Any) -> Variable:
    def down(p: Any, u: Any, v: Any, row: Variable, one: Variable, two: Variable) -> Any:
        return (row - u * one - v * two) / p, one

    zero = zeros_like(b[0])
    u, v = _moved(du, -1, -du.ndim), _moved(du2, -2, -du2.ndim)
    y, _ = scan(down, [d, u, v, b], [zero, zero])

    def up(factor: Variable, s: Variable, row: Variable, below: Variable) -> Any:
        v = row - factor * below
        return where(s, below, v), where(s, v, below)

    last = part_of(y, 0, less, 1)
    ends, rows = scan(up, [dl, swap, part_of(y, 0, 0, less)], [last[0], None], go_backwards=True)
    first = part_of(concatenate([last, ends], 0), 0, less, 1)
    return concatenate([first, flip(rows, 0)], 0)


# Toeplitz matrices --------------------------------------------------------------------------------


class ToeplitzSolve(Op):
    """x with t x = b, where element i, j of t is element n - 1 + i - j of v [..., 2 n - 1] and b is
    [..., n, k]; by Levinson's recursion (SciPy's solve_toeplitz)."""

    name = "toeplitz_solve"

    def infer(self, v: TensorType, b: TensorType) -> TensorType:
        count = as_size(as_expr(b.shape[-2]) * 2 - 1)
        same_size(v.shape[-1], count, "solve_toeplitz: sizes differ")
        _equal_batch("solve_toeplitz", v, b, 1)
        return b

    def reference(self, v: Any, b: Any) -> Any:
        from scipy.linalg import solve_toeplitz

        out, n = np.array(b), b.shape[-2]
        try:
            for place in np.ndindex(v.shape[:-1]) if b.size else ():
                row = v[place]
                out[place] = solve_toeplitz((row[n - 1 :], row[n - 1 :: -1]), b[place])
        except np.linalg.LinAlgError as error:
            raise LinAlgError(
                "solve_toeplitz: a leading minor of the matrix is singular",
                hint="build the matrix and use sg.linalg.solve, which pivots",
            ) from error
        return out

    def vjp(self, g: Variable, y: Variable, v: Variable, b: Variable) -> tuple[Variable, Variable]:
        gb = ToeplitzSolve()(flip(v, -1), g)
        # sums along the diagonals of -gb y^T: rows laid out one element further each
        pairs = -multiply_matrices(gb, turned(flip(y, -2)))
        n = y.shape[-2]
        wide = pad(pairs, [(0, 0)] * (pairs.ndim - 1) + [(0, n)])
        flat = reshape(wide, (*pairs.shape[:-2], as_size(as_expr(n) * n * 2)))
        skewed = part_of(flat, -1, 0, as_size(as_expr(n) * n * 2 - n))
        rows = reshape(skewed, (*pairs.shape[:-2], n, as_size(as_expr(n) * 2 - 1)))
        return sum_of(rows, -2), gb

    def extern(self, v: TensorType, b: TensorType) -> Routine:
        return Routine("python")


def solve_toeplitz(c_or_cr: Any, b: Any) -> Variable:
    """x with t x = b for Toeplitz matrices t with the first column c [..., n] and the first row r:
    ``c_or_cr`` is (c, r), or c alone, where r is the conjugate of c. r[0] is not read, c[0] is.

    b is [n] or [..., n, k]; batches broadcast. By Levinson's recursion in n^2 steps, which does not
    pivot: LinAlgError (SG302) is raised when the function runs and a leading minor is singular.

    >>> import symgraph as sg
    >>> sg.linalg.solve_toeplitz(([2.0, 1.0], [2.0, 0.0]), [2.0, 5.0]).eval().tolist()
    [1.0, 2.0]
    """
    name = "solve_toeplitz"
    both = c_or_cr if isinstance(c_or_cr, tuple) else (c_or_cr,)
    if len(both) not in (1, 2):
        raise ArgumentError(f"{name}: c_or_cr is c or (c, r)")
    c, r, b = promoted(*(float_operand(x, name) for x in (both[0], both[-1], b)))
    r = conj(r) if len(both) == 1 else r
    if c.ndim == 0 or r.ndim == 0 or b.ndim == 0:
        raise RankError(f"{name}: an operand is a scalar")
    n = same_size(c.shape[-1], r.shape[-1], f"{name}: the matrix is not square")
    vector = b.ndim == 1
    b = expand_dims(b, -1) if vector else b
    same_size(n, b.shape[-2], f"{name}: sizes differ")
    batch = broadcast_shapes(c.shape[:-1], r.shape[:-1], what=f"{name}: batch sizes differ")
    batch = broadcast_shapes(batch, b.shape[:-2], what=f"{name}: batch sizes differ")
    c, r = (broadcast_to(x, (*batch, x.shape[-1])) for x in (c, r))
    beyond = part_of(r, -1, 1, at_least_zero(as_size(as_expr(n) - 1)))
    v = concatenate([flip(beyond, -1), c], -1)
    x = ToeplitzSolve()(v, broadcast_to(b, (*batch, *b.shape[-2:])))
    return x.squeeze(-1) if vector else x  # type: ignore[no-any-return]
