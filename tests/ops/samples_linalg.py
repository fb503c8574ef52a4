"""Rows for linear algebra: what a call means in NumPy or SciPy, and matrices to try it on.

ROWS are tested by test_linalg.py, at tolerances that suit factorisations. SAMPLES, which the tests
of all ops see, show each op once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from symgraph.ir.graph import constant
from symgraph.ops import linalg, matrix_functions
from symgraph.ops.cholesky_derivatives import CholeskyPull, CholeskyPush, LowerProduct
from symgraph.ops.creation import tril
from symgraph.ops.decompositions import Permutation, swap_rows
from symgraph.ops.lu_derivatives import LUPull, LUPush
from tests.ops.samples import Sample, array, ints


def _spread(*shape: int, seed: int = 0) -> Any:
    """Random matrices with well separated singular values, far from singular."""
    a = array(*shape, seed=seed, low=-1.0, high=1.0)
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return (u * np.linspace(3.0, 1.0, s.shape[-1])) @ vh


A = _spread(3, 3, seed=1)
BATCH = _spread(2, 3, 3, seed=2)
TALL, WIDE = _spread(4, 2, seed=3), _spread(2, 2, 4, seed=4)
POSITIVE = BATCH @ BATCH.swapaxes(-1, -2) + np.eye(3)
P = POSITIVE[0]
V, COLUMNS = array(3, seed=5), array(2, 3, 2, seed=6)
LOWER = np.tril(BATCH) + 2 * np.eye(3)
ONE, EMPTY = np.array([[2.0]]), np.ones((0, 0))


def _sample(op: str, build: Any, reference: Any, *arrays: Any, **options: Any) -> Sample:
    return Sample(op, build, reference, arrays, **options)


def _named(op: str, name: str, reference: Any, *arrays: Any, **options: Any) -> Sample:
    return Sample(op, lambda *xs: getattr(linalg, name)(*xs), reference, arrays, **options)


def _each(function: Any) -> Any:
    """A function of matrices over the leading axes of all operands."""

    def run(*xs: Any) -> Any:
        batch = np.broadcast_shapes(*(x.shape[:-2] for x in xs))
        full = [np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in xs]
        parts = [function(*(x[i] for x in full)) for i in np.ndindex(batch)]
        several = isinstance(parts[0], tuple)
        rows = list(zip(*parts, strict=True)) if several else [parts]
        out = [np.reshape(np.stack(r), (*batch, *np.shape(r[0]))) for r in rows]
        return tuple(out) if several else out[0]

    return run


def _lu_factor(a: Any) -> Any:
    lu, pivots = scipy.linalg.lu_factor(a)
    return lu, pivots.astype("int64")


# factorisations -----------------------------------------------------------------------------------

ROWS: list[Sample] = [
    *(_named("cholesky", "cholesky", np.linalg.cholesky, x) for x in (P, POSITIVE, ONE, EMPTY)),
    _sample("cholesky", lambda a: linalg.cholesky(a, lower=False),
            lambda a: np.linalg.cholesky(a).swapaxes(-1, -2), POSITIVE),
    _sample("cholesky", lambda a: linalg.cholesky(a, symmetrize=False), np.linalg.cholesky,
            np.tril(POSITIVE) + np.triu(np.ones((3, 3)), 1)),
    _sample("cholesky", lambda a: linalg.cholesky(a, False, symmetrize=False),
            lambda a: np.linalg.cholesky(a.swapaxes(-1, -2)).swapaxes(-1, -2), np.triu(POSITIVE)),
    _named("cholesky", "cholesky", np.linalg.cholesky, POSITIVE.astype("float32")),
    _named("cholesky", "cholesky", np.linalg.cholesky, 3 * np.eye(2, dtype="int64")),
    *(_named("lu_factor", "lu_factor", _lu_factor, x) for x in (A, TALL, WIDE[0])),
    _sample("lu_factor", lambda a: linalg.lu(a)[1:], lambda a: scipy.linalg.lu(a)[1:], BATCH),
    _sample("lu_factor", lambda a: linalg.lu(a)[1:], lambda a: scipy.linalg.lu(a)[1:], TALL),
    _sample("lu_factor", lambda a: linalg.lu(a, True), lambda a: scipy.linalg.lu(a, True), WIDE),
    _named("permutation", "lu", scipy.linalg.lu, BATCH, grad=False),
    _sample("permutation", lambda p: Permutation(4, True)(p),
            lambda p: Permutation(4, True).reference(p), np.array([[3, 2, 2, 3], [0, 1, 3, 3]])),
    _sample("permute_rows", lambda a: swap_rows(a, constant([[1, 2, 2], [2, 2, 2]])),
            lambda a: np.stack([a[0, [1, 2, 0]], a[1, [2, 0, 1]]]), BATCH, symbolic=False),
    *(_named("qr", "qr", lambda a: tuple(np.linalg.qr(a)), x)
      for x in (A, BATCH, TALL, WIDE, BATCH.astype("float32"), np.ones((3, 0)), np.ones((0, 3)))),
    _sample("qr", lambda a: linalg.qr(a, "complete"),
            lambda a: tuple(np.linalg.qr(a, "complete")), TALL, grad=False),
    _sample("qr_r", lambda a: linalg.qr(a, "r"), lambda a: np.linalg.qr(a, "r"), WIDE),
    _sample("qr_r", lambda a: linalg.qr(a, "r"), lambda a: np.linalg.qr(a, "r"), TALL),
    *(_sample("svd", lambda a: linalg.svd(a, full_matrices=False),
              lambda a: tuple(np.linalg.svd(a, False)), x)
      for x in (A, BATCH, TALL, WIDE, TALL.astype("float32"), np.ones((3, 0)))),
    _named("svd", "svd", lambda a: tuple(np.linalg.svd(a)), WIDE, grad=False),
    _named("svd", "svd", lambda a: tuple(np.linalg.svd(a)), np.ones((3, 0)), grad=False),
    _sample("svd", lambda a: linalg.svd(a)[1], lambda a: np.linalg.svd(a)[1], TALL),
    _named("svdvals", "svdvals", lambda a: np.linalg.svd(a, compute_uv=False), WIDE),
    _sample("svdvals", lambda a: linalg.svd(a, compute_uv=False),
            lambda a: np.linalg.svd(a, compute_uv=False), TALL),
    *(_named("eigh", "eigh", lambda a: tuple(np.linalg.eigh(a)), x)
      for x in (P, POSITIVE, ONE, EMPTY, P.astype("float32"))),
    _sample("eigh", lambda a: linalg.eigh(a, UPLO="U", symmetrize=False),
            lambda a: tuple(np.linalg.eigh(a, "U")), np.triu(POSITIVE)),
    _sample("eigh", lambda a, b: linalg.eigh(a, b)[0],
            _each(lambda a, b: scipy.linalg.eigh(a, b)[0]), BATCH + BATCH.swapaxes(-1, -2),
            POSITIVE),
    _named("eigvalsh", "eigvalsh", np.linalg.eigvalsh, POSITIVE),
    _named("eigvalsh", "eigvalsh", _each(scipy.linalg.eigvalsh), BATCH + BATCH.swapaxes(-1, -2),
           POSITIVE),
    _named("eigvalsh", "eigvalsh", _each(scipy.linalg.eigvalsh), BATCH + BATCH.swapaxes(-1, -2), P),
    _sample("eigvalsh", lambda a: linalg.eigvalsh(a, symmetrize=False), np.linalg.eigvalsh,
            np.tril(POSITIVE)),
]  # fmt: skip


# systems ------------------------------------------------------------------------------------------


def _triangular(trans: int, lower: bool, unit: bool, a: Any, b: Any) -> Sample:
    return _sample(
        "triangular_solve", lambda a, b: linalg.solve_triangular(a, b, trans, lower, unit),
        _each(lambda a, b: scipy.linalg.solve_triangular(a, b, trans, lower, unit)), a, b,
    )  # fmt: skip


ROWS += [
    *(_triangular(t, low, unit, LOWER + LOWER.swapaxes(-1, -2), COLUMNS)
      for t in (0, 1) for low in (False, True) for unit in (False, True)),
    *(_triangular(t, True, False, LOWER, COLUMNS[..., :1]) for t in (0, 1)),
    _triangular(0, True, False, LOWER[0], COLUMNS),
    _triangular(1, False, False, LOWER.swapaxes(-1, -2).astype("float32"),
                COLUMNS.astype("float32")),
    _sample("triangular_solve", lambda a, b: linalg.solve_triangular(a, b, "T", lower=True),
            lambda a, b: scipy.linalg.solve_triangular(a, b, "T", lower=True), LOWER[0], V),
    _named("solution", "solve", np.linalg.solve, A, V),
    _named("solution", "solve", np.linalg.solve, BATCH, COLUMNS),
    _named("solution", "solve", np.linalg.solve, A, COLUMNS),
    _named("solution", "solve", np.linalg.solve, BATCH, COLUMNS[0]),
    _named("solution", "solve", np.linalg.solve, BATCH, V),
    _named("solution", "solve", np.linalg.solve, A.astype("float32"), V.astype("float32")),
    _sample("solution", lambda a, b: linalg.solve(a, b, transposed=True),
            lambda a, b: np.linalg.solve(a.swapaxes(-1, -2), b), BATCH, COLUMNS),
    _sample("solution", lambda a, b: linalg.solve(a, b, "pos"), np.linalg.solve, POSITIVE, COLUMNS),
    _sample("solution", lambda a, b: linalg.solve(a, b, "sym"), np.linalg.solve, P, V),
    _sample("divide", lambda a, b: linalg.solve(a, b, "diagonal"),
            lambda a, b: np.linalg.solve(a * np.eye(3), b), POSITIVE, COLUMNS),
    _sample("triangular_solve", lambda a, b: linalg.solve(a, b, "lower triangular"),
            np.linalg.solve, LOWER, COLUMNS),
    _sample("triangular_solve", lambda a, b: linalg.solve(a, b, "upper triangular"),
            lambda a, b: np.linalg.solve(np.triu(a), b), POSITIVE, COLUMNS),
    *(_sample("triangular_solve", lambda a, b, low=low: linalg.cho_solve(
          linalg.cho_factor(a, low), b), np.linalg.solve, POSITIVE, COLUMNS)
      for low in (False, True)),
    *(_sample("triangular_solve",
              lambda a, b, t=t: linalg.lu_solve(linalg.lu_factor(a), b, t),
              lambda a, b, t=t: np.linalg.solve(a.swapaxes(-1, -2) if t else a, b), BATCH, COLUMNS)
      for t in (0, 1)),
    _named("solution", "inv", np.linalg.inv, BATCH),
    _named("solution", "inv", np.linalg.inv, EMPTY),
    _named("solution", "inv", np.linalg.inv, ints(2, 2, seed=3)),
    _sample("solution", lambda a: linalg.tensorinv(a, 1), lambda a: np.linalg.tensorinv(a, 1),
            _spread(4, 4).reshape(4, 2, 2)),
    _named("solution", "tensorsolve", np.linalg.tensorsolve, _spread(4, 4).reshape(2, 2, 4),
           array(2, 2)),
    _sample("solution", lambda a, b: linalg.tensorsolve(a, b, (0,)),
            lambda a, b: np.linalg.tensorsolve(a, b, (0,)), _spread(4, 4).reshape(4, 2, 2),
            array(2, 2), symbolic=False),
    _named("solve_sylvester", "solve_sylvester", _each(scipy.linalg.solve_sylvester), POSITIVE, P,
           BATCH),
    _named("solve_sylvester", "solve_sylvester", scipy.linalg.solve_sylvester, P, ONE, V[:, None]),
    _named("solve_sylvester", "solve_continuous_lyapunov",
           _each(scipy.linalg.solve_continuous_lyapunov), POSITIVE, BATCH),
    _named("solve_sylvester", "solve_discrete_lyapunov",
           _each(scipy.linalg.solve_discrete_lyapunov), BATCH / 4, POSITIVE),
]  # fmt: skip


# known structure ----------------------------------------------------------------------------------

ROWS += [
    _sample("assume", lambda a: linalg.assume(tril(a), "lower_triangular"), np.tril, BATCH),
    _sample("checked_diagonal", lambda a, b: linalg.solve(a, b, "diagonal"),
            lambda a, b: b / np.diagonal(a, 0, -2, -1)[..., None], LOWER, COLUMNS),
]  # fmt: skip


# functions of matrices ----------------------------------------------------------------------------

INF = float("inf")

ROWS += [
    *(_named("det", "det", np.linalg.det, x) for x in (A, BATCH, ONE, EMPTY, ints(3, 3))),
    _sample("cofactors", lambda a: matrix_functions.Cofactors()(a),
            lambda a: np.linalg.det(a)[..., None, None] * np.linalg.inv(a).swapaxes(-1, -2), BATCH),
    _named("log_abs_det", "slogdet", lambda a: tuple(np.linalg.slogdet(a)), BATCH),
    _named("log_abs_det", "slogdet", lambda a: tuple(np.linalg.slogdet(a)), np.ones((2, 2)),
           grad=False),
    _sample("det_sign", lambda a: linalg.slogdet(a)[0], lambda a: np.linalg.slogdet(a)[0], BATCH,
            grad=False),
    *(_named("pinv", "pinv", np.linalg.pinv, x) for x in (A, TALL, WIDE)),
    _sample("pinv", lambda a: linalg.pinv(a, hermitian=True), np.linalg.pinv, POSITIVE),
    _named("pinv", "pinv", np.linalg.pinv, np.diag([2.0, 0.0]), grad=False),
    _sample("pinv", lambda a: linalg.pinv(a, 0.5), lambda a: np.linalg.pinv(a, 0.5), A,
            grad=False),
    _sample("pinv", lambda a, b: linalg.lstsq(a, b)[:2],
            lambda a, b: (np.linalg.lstsq(a, b)[0], np.linalg.lstsq(a, b)[1]), TALL, array(4, 2)),
    _sample("pinv", lambda a, b: linalg.lstsq(a, b)[0], lambda a, b: np.linalg.lstsq(a, b)[0],
            WIDE[0], array(2)),
    _sample("sum", lambda a, b: linalg.lstsq(a, b)[2:],
            lambda a, b: (np.asarray(int(np.linalg.lstsq(a, b)[2])), np.linalg.lstsq(a, b)[3]),
            TALL, array(4), grad=False),
    *(_named("sum", "matrix_rank", np.linalg.matrix_rank, x)
      for x in (WIDE, np.ones((3, 2)), np.zeros((2, 2)))),
    _sample("sum", lambda a: linalg.matrix_rank(a, 1.5), lambda a: np.linalg.matrix_rank(a, 1.5),
            BATCH),
    _named("expm", "expm", scipy.linalg.expm, BATCH),
    *(_sample("matmul", lambda a, n=n: linalg.matrix_power(a, n),
              lambda a, n=n: np.linalg.matrix_power(a, n), BATCH, grad=n != 0)
      for n in (-2, 0, 1, 2, 5)),
    _sample("sum", lambda a: linalg.matrix_power(a, 3), lambda a: np.linalg.matrix_power(a, 3),
            ints(2, 2)),
    *(_sample("sqrt", lambda a, o=o: linalg.norm(a, o), lambda a, o=o: np.linalg.norm(a, o), x)
      for x, orders in ((V, (None, 1, 2, 3, 0.5, INF, -INF)),
                        (TALL, (None, "fro", "nuc", 1, -1, 2, -2, INF, -INF)))
      for o in orders),
    _sample("sum", lambda a: linalg.norm(a, 0), lambda a: np.linalg.norm(a, 0), V, grad=False),
    *(_sample("sqrt", lambda a, o=o: linalg.norm(a, o, (2, 0), True),
              lambda a, o=o: np.linalg.norm(a, o, (2, 0), True), BATCH)
      for o in ("fro", "nuc", 1, -INF, 2)),
    _sample("sqrt", lambda a: linalg.norm(a, axis=1), lambda a: np.linalg.norm(a, axis=1), BATCH),
    _named("sqrt", "vector_norm", np.linalg.vector_norm, BATCH),
    _named("sqrt", "matrix_norm", np.linalg.matrix_norm, BATCH),
    *(_sample("divide", lambda a, p=p: linalg.cond(a, p), lambda a, p=p: np.linalg.cond(a, p),
              BATCH) for p in (None, -2, 1, "fro", INF)),
]  # fmt: skip


# products and shapes ------------------------------------------------------------------------------

ROWS += [
    _named("multiply", "kron", np.kron, A, TALL),
    _named("multiply", "kron", np.kron, V, TALL),
    _named("multiply", "kron", np.kron, BATCH, A),
    _named("concatenate", "block_diag", scipy.linalg.block_diag, A, TALL, V, np.array(2.0)),
    _named("concatenate", "block_diag", _each(scipy.linalg.block_diag), BATCH, COLUMNS),
    _sample("matmul", lambda *xs: linalg.multi_dot(xs), lambda *xs: np.linalg.multi_dot(xs),
            V, A, TALL[:3], WIDE[0]),
    _sample("matmul", lambda *xs: linalg.multi_dot(xs), lambda *xs: np.linalg.multi_dot(xs),
            V, A, V),
    _named("concatenate", "cross", np.linalg.cross, BATCH, V, symbolic=False),
    _sample("concatenate", lambda a, b: linalg.cross(a, b, axis=0),
            lambda a, b: np.cross(a, b, axis=0), A, A.T, symbolic=False),
    _named("power", "vander", np.vander, V),
    _sample("power", lambda x: linalg.vander(x, 4, True), lambda x: np.vander(x, 4, True), V),
    _sample("power", lambda x: linalg.vander(x, 3), lambda x: np.vander(x, 3), ints(4)),
    _named("transpose", "matrix_transpose", np.matrix_transpose, BATCH),
    _named("sum", "trace", np.linalg.trace, BATCH),
]  # fmt: skip


# what derivatives of Cholesky factors are made of: the defining equations, solved densely ---------


def _kron_solved(low: Any, push: Any) -> Any:
    """The matrix t -> tril(t l^T + l t^T) over lower triangles, and their places."""
    n = len(low)
    rows, columns = np.tril_indices(n)
    units = np.zeros((len(rows), n, n))
    units[np.arange(len(rows)), rows, columns] = 1
    images = units @ np.tril(low).T + np.tril(low) @ units.swapaxes(1, 2)
    return push(images[:, rows, columns].T, rows, columns)


def _pushed(low: Any, a: Any) -> Any:
    def solve(m: Any, rows: Any, columns: Any) -> Any:
        out = np.zeros_like(a)
        out[rows, columns] = np.linalg.solve(m, ((a + a.T) / 2)[rows, columns])
        return out

    return _kron_solved(low, solve)


def _pulled(low: Any, g: Any) -> Any:
    def solve(m: Any, rows: Any, columns: Any) -> Any:
        out = np.zeros_like(g)
        out[rows, columns] = np.linalg.solve(m.T, g[rows, columns])
        return (out + out.T) / 2

    return _kron_solved(low, solve)


_LARGE = np.tril(array(30, 30, seed=50)) / 6 + 3 * np.eye(30)
ROWS += [
    *(_sample(name, op, _each(reference), low, array(*low.shape, seed=51), grad=len(low) < 20)
      for low in (LOWER, _LARGE, ONE)
      for name, op, reference in (("cholesky_pull", CholeskyPull(), _pulled),
                                  ("cholesky_push", CholeskyPush(), _pushed))),
    *(_sample("lower_product", LowerProduct(ta), _each(
        lambda a, t, ta=ta: np.tril((a.T if ta else a) @ np.tril(t))), a, t, grad=len(a) < 20)
      for ta in (False, True)
      for a, t in ((BATCH, LOWER), (_LARGE.T, _LARGE), (EMPTY, EMPTY))),
]  # fmt: skip


def _lu_pushed(lu: Any, a: Any) -> Any:
    """The tangent of the factors by the columns of the linear equation that defines it."""
    n = len(lu)
    low, up = np.tril(lu, -1) + np.eye(n), np.triu(lu)
    units = np.eye(n * n).reshape(n * n, n, n)
    columns = [(np.tril(u, -1) @ up + low @ np.triu(u)).ravel() for u in units]
    return np.linalg.solve(np.array(columns).T, a.ravel()).reshape(n, n)


def _lu_pulled(lu: Any, g: Any) -> Any:
    """The transpose of the same map."""
    n = len(lu)
    pushed = [_lu_pushed(lu, u).ravel() for u in np.eye(n * n).reshape(n * n, n, n)]
    return (np.array(pushed).reshape(n * n, n * n) @ g.ravel()).reshape(n, n)


_PACKED = array(2, 4, 4, seed=52) + 4 * np.eye(4)
_LARGE_PACKED = array(30, 30, seed=53) / 6 + 3 * np.eye(30)  # more than one block
for _op, _reference in ((LUPush(), _each(_lu_pushed)), (LUPull(), _each(_lu_pulled))):
    ROWS += [
        *(_sample(_op.name, _op, _reference, a, array(*a.shape, seed=54)) for a in (_PACKED, ONE)),
        _sample(_op.name, _op, lambda lu, x: x, EMPTY, EMPTY),
        _sample(_op.name, _op, _op.reference, _LARGE_PACKED, array(30, 30, seed=55), grad=False),
    ]


def _one_of_each() -> list[Sample]:
    first: dict[str, Sample] = {}
    for row in ROWS:
        first.setdefault(row.op, row._replace(grad=False))
    return list(first.values())


SAMPLES = _one_of_each()
