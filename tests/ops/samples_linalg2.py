"""Rows for banded systems, Riccati equations and functions of matrices: what a call means in SciPy.

ROWS are tested by test_linalg2.py, at tolerances that suit factorisations. SAMPLES, which the tests
of all ops see, show each op once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from symgraph.ops import linalg
from symgraph.ops.trigonometric import sin
from tests.ops.samples import Sample, array
from tests.ops.samples_linalg import (
    BATCH,
    EMPTY,
    POSITIVE,
    TALL,
    WIDE,
    A,
    P,
    _each,
    _named,
    _sample,
)


def _band(low: int, up: int, *batch: int, n: int = 4, seed: int = 0) -> Any:
    """Diagonals of matrices far from singular."""
    ab = array(*batch, low + up + 1, n, seed=seed, low=-1.0, high=1.0)
    ab[..., up, :] += 4.0
    return ab


def _full(low: int, up: int, ab: Any) -> Any:
    """The matrices of which ab holds the diagonals."""
    n = ab.shape[-1]
    a = np.zeros((*ab.shape[:-2], n, n), ab.dtype)
    for i in range(n):
        for j in range(max(i - low, 0), min(i + up + 1, n)):
            a[..., i, j] = ab[..., up + i - j, j]
    return a


def _vectors(x: Any) -> Any:
    return x[..., None] if x.ndim == 1 else x


def _solved(a: Any, b: Any) -> Any:
    """NumPy's solution, for vectors too."""
    x = np.linalg.solve(a, _vectors(b))
    return x[..., 0] if b.ndim == 1 else x


def _banded(low: int, up: int, ab: Any, b: Any) -> Sample:
    return _sample("banded_solve", lambda ab, b: linalg.solve_banded((low, up), ab, b),
                   lambda ab, b: _solved(_full(low, up, ab), b), ab, b, symbolic=False)  # fmt: skip


def _hermitian(ab: Any, b: Any, lower: bool) -> Sample:
    def reference(ab: Any, b: Any) -> Any:
        u = ab.shape[-2] - 1
        half = _full(u, 0, ab) if lower else _full(0, u, ab)
        return _solved(half + half.swapaxes(-1, -2) - np.eye(ab.shape[-1]) * half, b)

    return _sample("banded_solve", lambda ab, b: linalg.solveh_banded(ab, b, lower), reference,
                   ab, b, symbolic=False)  # fmt: skip


def _tridiagonal(dl: Any, d: Any, du: Any) -> Any:
    n = d.shape[-1]
    ab = np.zeros((*d.shape[:-1], 3, n), d.dtype)
    ab[..., 0, 1:], ab[..., 1, :], ab[..., 2, : n - 1] = du, d, dl
    return _full(1, 1, ab)


def _gttrf(a: Any) -> Any:
    *factors, ipiv, _ = scipy.linalg.lapack.dgttrf(*(np.diagonal(a, k).copy() for k in (-1, 0, 1)))
    return *factors, ipiv.astype("int64") - 1


B4, V4 = array(2, 4, 3, seed=5), array(4, seed=6)
THREE = (array(3, seed=7), array(4, seed=8), array(3, seed=9))  # rows are swapped
T4 = _tridiagonal(*THREE)
LEFT, RIGHT = array(4, seed=3) + 6 * np.eye(4)[0], array(4, seed=4)

ROWS: list[Sample] = [
    _banded(1, 2, _band(1, 2), V4),
    _banded(2, 1, _band(2, 1, 2), B4),
    _banded(0, 1, _band(0, 1), B4),
    _banded(1, 1, _band(1, 1, 2), B4[0]),
    _banded(0, 0, _band(0, 0), V4),
    _banded(5, 4, _band(5, 4), V4),
    _banded(1, 2, _band(1, 2).astype("float32"), V4.astype("float32")),
    _banded(1, 1, _band(1, 1, n=1), np.ones(1)),
    _banded(1, 1, _band(1, 1, n=0), np.ones(0)),
    _hermitian(_band(0, 2), V4, False),
    _hermitian(_band(0, 1, 2), B4, False),
    _hermitian(_band(2, 0, 2), B4, True),
    _hermitian(_band(0, 0), V4, True),
    _named("banded_solve", "solve_tridiagonal",
           lambda *x: _solved(_tridiagonal(*x[:3]), x[3]), *THREE, V4, symbolic=False),
    _named("banded_solve", "solve_tridiagonal",
           lambda *x: _solved(_tridiagonal(*x[:3]), x[3]), *THREE, B4, symbolic=False),
    *(_sample(op, lambda a, b, kind=kind, t=t: linalg.solve(a, b, kind, transposed=t),
              lambda a, b, t=t: _solved(a.swapaxes(-1, -2) if t else a, b), a, b, symbolic=False)
      for kind, op in (("tridiagonal", "banded_solve"), ("banded", "banded_matrix_solve"))
      for a, b in ((_tridiagonal(*THREE), V4), (_tridiagonal(*THREE), B4),
                   (2 * np.eye(1), np.ones(1)))
      for t in (False, True)),
    _sample("banded_matrix_solve", lambda a, b: linalg.solve(a, b, "banded"),
            _solved, _full(1, 2, _band(1, 2, 2)), B4),
    _named("where", "tridiagonal_lu_factor", _gttrf, T4),
    *(_sample("where", lambda a, b, t=t: linalg.tridiagonal_lu_solve(
          linalg.tridiagonal_lu_factor(a), b, transposed=t),
          lambda a, b, t=t: _solved(a.swapaxes(-1, -2) if t else a, b), a, b)
      for t in (False, True)
      for a, b in ((T4, V4), (T4, B4), (T4[:2, :2], V4[:2]), (T4[:1, :1], V4[:1]))),
    _sample("where", lambda a, b: linalg.tridiagonal_lu_solve(
        linalg.tridiagonal_lu_factor(a), b, b_ndim=1),
        lambda a, b: _solved(a, b.swapaxes(0, 1)).swapaxes(0, 1), T4, B4[0].T),
    _sample("toeplitz_solve", lambda c, r, b: linalg.solve_toeplitz((c, r), b),
            lambda c, r, b: scipy.linalg.solve_toeplitz((c, r), b), LEFT, RIGHT, B4[0]),
    _named("toeplitz_solve", "solve_toeplitz", scipy.linalg.solve_toeplitz, LEFT, V4),
    _sample("toeplitz_solve", linalg.solve_toeplitz,
            lambda c, b: np.stack(list(map(scipy.linalg.solve_toeplitz, c, b))),
            np.stack([LEFT, 2 * LEFT]), B4),
    _named("toeplitz_solve", "solve_toeplitz", scipy.linalg.solve_toeplitz, np.ones(1), np.ones(1)),
]  # fmt: skip


# Riccati equations --------------------------------------------------------------------------------


def _symmetric(x: Any) -> Any:
    return (x + x.swapaxes(-1, -2)) / 2


def _are(name: str) -> Any:
    solve = getattr(scipy.linalg, name)
    return _each(lambda a, b, q, r, *more: solve(a, b, _symmetric(q), _symmetric(r), *more))


B2 = array(3, 2, seed=11)
Q, R = P + 0.1 * A, np.array([[2.0, 0.3], [0.1, 1.0]])
E, S = np.eye(3) + 0.1 * A, array(3, 2, seed=12) / 10

ROWS += [
    *(_named("solve_are", name, _are(name), *arrays)
      for name in ("solve_discrete_are", "solve_continuous_are")
      for arrays in ((A, B2, Q, R), (BATCH, B2, Q, R), (A, B2, Q, R, E, S))),
    _named("solve_are", "solve_discrete_are", _are("solve_discrete_are"),
           *(2 * np.ones((1, 1)),) * 4),
    *(_sample("ordqz", lambda a, b, o=o: linalg.ordqz(a, b, "iuc", o),
              lambda a, b, o=o: scipy.linalg.ordqz(a, b, "iuc", o), A, P, grad=False)
      for o in ("real", "complex")),
    _sample("ordqz", lambda a, b: linalg.ordqz(a, b, "ouc"),
            _each(lambda a, b: scipy.linalg.ordqz(a, b, "ouc")), POSITIVE, BATCH, grad=False),
]  # fmt: skip


# functions of matrices ----------------------------------------------------------------------------

_UNROOTED = -np.eye(2)


def _third(a: Any) -> Any:
    return scipy.linalg.fractional_matrix_power(a, -1 / 3)


def _sine(a: Any) -> Any:
    w, v = np.linalg.eigh(_symmetric(a))
    return (v * np.sin(w)[..., None, :]) @ v.swapaxes(-1, -2)


NEAR = P + 0.2 * A
ROWS += [
    *(_named(name, name, _each(getattr(scipy.linalg, name)), x)
      for name in ("sqrtm", "logm") for x in (NEAR, POSITIVE, np.array([[2.0]]))),
    *(_named(name, name, lambda a: np.full_like(a, np.nan), _UNROOTED, grad=False)
      for name in ("sqrtm", "logm")),
    *(_named(name, name, getattr(scipy.linalg, name), _UNROOTED.astype("complex128"))
      for name in ("sqrtm", "logm")),
    *(_named(name, name, lambda a: a, EMPTY) for name in ("sqrtm", "logm")),
    *(_sample("fractional_matrix_power", lambda a: linalg.fractional_matrix_power(a, -1 / 3),
              _each(_third), x) for x in (NEAR, POSITIVE)),
    _sample("eigh", lambda a: linalg.funm(a, sin), _sine, BATCH),
    *(_sample("polar_factor", lambda a, side=side: linalg.polar(a, side),
              _each(lambda a, side=side: scipy.linalg.polar(a, side)), x,
              symbolic=x.shape == (3, 3))
      for side in ("right", "left") for x in (A, BATCH, TALL, WIDE)),
    _named("polar_factor", "polar", lambda a: (a, np.eye(3)), np.eye(3)[[1, 2, 0]]),
    *(_sample("ldl", lambda a, low=low: linalg.ldl(a, low),
              lambda a, low=low: scipy.linalg.ldl(a, low), A + A.T, grad=False)
      for low in (True, False)),
    _named("ldl", "ldl", _each(scipy.linalg.ldl), POSITIVE, grad=False),
]  # fmt: skip


SAMPLES = [r._replace(grad=False) for k, r in enumerate(ROWS)
           if r.op not in {s.op for s in ROWS[:k]} | {"where", "eigh"}]  # fmt: skip
