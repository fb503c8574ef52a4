"""Banded systems, Riccati equations, functions of matrices: values by SciPy, derivatives of first
and second order by differences, batches, complex matrices, and failures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg

import symgraph as sg
from symgraph.errors import (
    ArgumentError,
    GradientError,
    LinAlgError,
    RankError,
    ShapeError,
    SymgraphError,
)
from symgraph.ir.graph import toposort
from symgraph.ir.op import OPS
from tests.ops import test_linalg
from tests.ops.samples import Sample
from tests.ops.samples_linalg import BATCH, POSITIVE, A, P, V
from tests.ops.samples_linalg2 import B2, NEAR, ROWS, T4, THREE, V4, Q, R

L = sg.linalg
FILES = ("banded", "matrix_roots", "riccati")
OWN = {n for n, op in OPS.items() if getattr(op, "__module__", "").rpartition(".")[2] in FILES}
SMOOTH = [s for s in ROWS if test_linalg.differentiable(s)]
ids = test_linalg.ids


@pytest.mark.parametrize("symbolic", [False, True], ids=["known", "symbolic"])
@pytest.mark.parametrize("sample", ROWS, ids=ids(ROWS))
def test_values(sample: Sample, symbolic: bool) -> None:
    test_linalg.test_values(sample, symbolic)


@pytest.mark.parametrize("sample", SMOOTH, ids=ids(SMOOTH))
def test_first_derivative(sample: Sample) -> None:
    test_linalg.test_first_derivative(sample)


@pytest.mark.parametrize("sample", SMOOTH, ids=ids(SMOOTH))
def test_second_derivative(sample: Sample) -> None:
    test_linalg.test_second_derivative(sample)


def test_every_op_has_a_row() -> None:
    assert OWN - {s.op for s in ROWS} == set()


# complex matrices ---------------------------------------------------------------------------------

C = A + 0.3j * BATCH[1]
H = P + 0.2j * (BATCH[1] - BATCH[1].T)
COMPLEX: dict[str, tuple[Any, Any, tuple[Any, ...]]] = {
    "sqrtm": (L.sqrtm, scipy.linalg.sqrtm, (C,)),
    "logm": (L.logm, scipy.linalg.logm, (C,)),
    "power": (lambda a: L.fractional_matrix_power(a, 0.3),
              lambda a: scipy.linalg.fractional_matrix_power(a, 0.3), (C,)),
    "polar": (L.polar, scipy.linalg.polar, (C,)),
    "funm": (lambda a: L.funm(a, sg.exp), lambda a: scipy.linalg.expm((a + a.conj().T) / 2), (C,)),
    "continuous": (lambda a, b: L.solve_continuous_are(a, b, H, R),
                   lambda a, b: scipy.linalg.solve_continuous_are(a, b, H, (R + R.T) / 2),
                   (C, B2 + 0.1j)),
    "discrete": (lambda a, b: L.solve_discrete_are(a, b, H, R),
                 lambda a, b: scipy.linalg.solve_discrete_are(a, b, H, (R + R.T) / 2),
                 (C, B2 + 0.1j)),
    "tridiagonal": (lambda d: L.solve_tridiagonal(THREE[0], d, THREE[2], V4),
                    lambda d: np.linalg.solve(T4 - np.diag(THREE[1]) + np.diag(d), V4),
                    (THREE[1] + 1j,)),
    "factors": (lambda a: L.tridiagonal_lu_solve(L.tridiagonal_lu_factor(a), V4),
                lambda a: np.linalg.solve(a, V4), (T4 + 1j * np.eye(4),)),
    "toeplitz": (L.solve_toeplitz, scipy.linalg.solve_toeplitz, (V4 + 5j * V4[::-1] + 9, V4 + 1j)),
    "banded": (lambda ab: L.solveh_banded(ab, V4, True),
               lambda ab: scipy.linalg.solveh_banded(ab, V4.astype(complex), lower=True),
               (np.stack([9 + V4 + 0j, V4 + 1j]),)),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_matrices(name: str) -> None:
    function, reference, arrays = COMPLEX[name]
    outputs = test_linalg.outputs_of(function(*(sg.constant(a) for a in arrays)))
    wanted = reference(*arrays)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    for f, w in zip(sg.compile([], outputs)(), wanted, strict=True):
        np.testing.assert_allclose(f, w, rtol=1e-11, atol=1e-11)
    sg.verify_grad(function, arrays)


@pytest.mark.parametrize("sort", ["lhp", "rhp", "iuc", "ouc"])
@pytest.mark.parametrize("kind", ["float32", "complex64", "complex128"])
def test_ordered_forms(sort: str, kind: str) -> None:
    a, b = C.astype(kind) if "c" in kind else A.astype(kind), P.astype(kind)
    found = L.ordqz(a, b, sort)
    for y, w in zip(found, scipy.linalg.ordqz(a, b, sort), strict=True):
        assert str(w.dtype) == y.dtype
        np.testing.assert_allclose(y.eval(), w, rtol=1e-5, atol=1e-5)


# batches and derivatives --------------------------------------------------------------------------


def test_batched_by_vmap() -> None:
    rng = np.random.default_rng(0)
    three = tuple(rng.normal(size=(2, n)) for n in (3, 4, 3))
    cases: list[tuple[Any, tuple[Any, ...]]] = [
        (L.sqrtm, (POSITIVE,)),
        (lambda a: L.solve_continuous_are(a, B2, Q, R), (BATCH,)),
        (lambda a: L.polar(a)[0], (BATCH,)),
        (lambda a: L.tridiagonal_lu_factor(a)[1], (POSITIVE,)),
        (lambda *x: L.solve_tridiagonal(*x, V4), three),
        (lambda c: L.solve_toeplitz(c, V), (BATCH[:, 0] + 9 * np.eye(3)[0],)),
    ]
    for function, arrays in cases:
        found = sg.vmap(function)(*(sg.constant(a) for a in arrays)).eval()
        for k in range(2):
            one = function(*(sg.constant(a[k]) for a in arrays)).eval()
            np.testing.assert_allclose(found[k], one, rtol=1e-12, atol=1e-12)


def test_what_has_no_derivative_says_so() -> None:
    a = sg.matrix("a", shape=(3, 3))
    for y in (L.ldl(a)[0], L.ordqz(a, P)[0]):
        with pytest.raises(GradientError):
            sg.grad(y.sum(), a)
    b = sg.matrix("b")
    with pytest.raises(GradientError, match="unknown sizes"):
        sg.grad(L.polar(b)[0].sum(), b)


def test_roots_invert_powers() -> None:
    root = L.sqrtm(NEAR)
    np.testing.assert_allclose((root @ root).eval(), NEAR, rtol=1e-12)
    np.testing.assert_allclose(L.expm(L.logm(NEAR)).eval(), NEAR, rtol=1e-11, atol=1e-12)


# failures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["run", "interpret"])
def test_failures_when_running(mode: str) -> None:
    ab, d = sg.tensor("ab", shape=(2, 3, 4)), sg.vector("d", shape=(4,))
    three = np.ones((3, 4)) * np.array([[1.0], [4.0], [1.0]])
    bad = np.stack([three, 0 * three])
    cases: list[tuple[Any, Any, Any, str]] = [
        (ab, L.solve_banded((1, 1), ab, V4), bad, "solve_banded.*singular.*batch index 1"),
        (ab, L.solve_banded((2, 0), ab, V4), bad[:, [1, 0, 2]], "singular.*batch index 1"),
        (ab, L.solveh_banded(ab, V4), -bad, "not positive definite .leading minor 1"),
        (d, L.solve_tridiagonal(0 * d[1:], d, 0 * d[1:], V4), np.zeros(4), "solve_tridiagonal"),
        (d, L.solve_toeplitz(d, V4), np.zeros(4), "solve_toeplitz"),
    ]
    a = sg.matrix("a", shape=(3, 3))
    cases.append((a, L.logm(a), np.diag([1.0, 0.0, 1.0]), "logm: the matrix is singular"))
    cases += [
        (a, solve(a, np.zeros((3, 1)), P, [[1.0]]), 3 * np.eye(3), "stabilising")
        for solve in (L.solve_continuous_are, L.solve_discrete_are)
    ]
    for x, y, value, words in cases:
        f = sg.compile([x], y, mode=mode)
        with pytest.raises(LinAlgError, match=words):
            f(value)


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: L.solve_banded((1, 1), np.ones((2, 4)), V4), ShapeError, "rows of diagonals"),
        (lambda: L.solve_banded((1, -1), np.ones((2, 4)), V4), ArgumentError,
         "number of diagonals"),
        (lambda: L.solve_banded(3, np.ones((2, 4)), V4), ArgumentError, "two numbers"),
        (lambda: L.solve_banded((1, 0), np.ones((2, 4)), V), ShapeError, "sizes differ"),
        (lambda: L.solveh_banded(sg.matrix("ab"), V), ShapeError, "not known"),
        (lambda: L.solve_tridiagonal(V4, V4, V4, V4), ShapeError, "one element less"),
        (lambda: L.solve_tridiagonal(1.0, V4, V, V4), RankError, "scalar"),
        (lambda: L.tridiagonal_lu_factor(np.ones((2, 3))), ShapeError, "not square"),
        (lambda: L.tridiagonal_lu_factor(np.ones((0, 0))), ShapeError, "empty"),
        (lambda: L.tridiagonal_lu_solve((V, V), V4), ArgumentError, "a_diagonals"),
        (lambda: L.tridiagonal_lu_solve(L.tridiagonal_lu_factor(T4), V4, b_ndim=2), ArgumentError,
         "b_ndim"),
        (lambda: L.tridiagonal_lu_solve(L.tridiagonal_lu_factor(T4), V), ShapeError, "sizes"),
        (lambda: L.tridiagonal_lu_solve((1.0, 2.0, V4, V4, V4), V4), RankError, "a scalar"),
        (lambda: L.solve_toeplitz((V, V4), V), ShapeError, "not square"),
        (lambda: L.solve_toeplitz((V, V, V), V), ArgumentError, "c_or_cr"),
        (lambda: L.solve_toeplitz(V, V4), ShapeError, "sizes differ"),
        (lambda: L.solve_continuous_are(A, B2, P, P), ShapeError, "b and r"),
        (lambda: L.solve_discrete_are(A, B2, R, R), ShapeError, "a and q"),
        (lambda: L.solve_discrete_are(A, B2[:2], P, R), ShapeError, "a and b"),
        (lambda: L.ordqz(A, P, "up"), ArgumentError, "sort"),
        (lambda: L.ordqz(A, P, output="short"), ArgumentError, "output"),
        (lambda: L.ordqz(A, R), ShapeError, "ordqz"),
        (lambda: L.polar(A, "up"), ArgumentError, "side"),
        (lambda: L.fractional_matrix_power(A, "2"), ArgumentError, "Python number"),
        (lambda: L.funm(A, lambda w: w.sum()), ShapeError, "func returned"),
        (lambda: L.funm(A, lambda w: w[1:]), ShapeError, "number of values"),
        *((lambda f=f: f(B2), ShapeError, "not square") for f in (L.sqrtm, L.logm, L.ldl, L.funm)
          if f is not L.funm),
    ],
)  # fmt: skip
def test_refused(build: Any, error: type[SymgraphError], words: str) -> None:
    with pytest.raises(error, match=words):
        build()


def test_one_call_for_value_and_gradient() -> None:
    a = sg.matrix("a", shape=(3, 3))
    x = L.solve_continuous_are(a, B2, Q, R)
    nodes = toposort([x, sg.grad(x.sum(), a)])
    assert sum(n.op.name == "solve_are" for n in nodes) == 1


BAD = np.array([[np.nan, 1.0], [2.0, 3.0]])


@pytest.mark.parametrize("mode", ["run", "interpret"])
def test_matrices_with_nan_have_no_eigenvalues(mode: str) -> None:
    m = sg.matrix("m", shape=("n", "n"))
    outputs = [sg.linalg.eigh(m)[0], sg.linalg.eigvalsh(m)]
    for w in sg.compile([m], outputs, mode=mode)(BAD):
        assert np.isnan(w).all()
    one = sg.compile([m], sg.linalg.eigvalsh(m, symmetrize=False), mode=mode)
    np.testing.assert_allclose(one(np.array([[1.0, np.nan], [0.0, 3.0]])), [1.0, 3.0])


@pytest.mark.parametrize("build", [sg.linalg.schur, lambda m: sg.linalg.qz(m, m)])
def test_schur_forms_refuse_matrices_with_nan(build: Any) -> None:
    m = sg.matrix("m", shape=("n", "n"))
    f = sg.compile([m], list(build(m)))
    with pytest.raises(sg.errors.LinAlgError, match="holds NaN or infinities"):
        f(BAD)
