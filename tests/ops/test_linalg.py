"""Linear algebra: values by NumPy's and SciPy's functions, interpreted and compiled, derivatives of
first and second order by differences, and the failures that only show when a function runs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import symgraph as sg
from symgraph.errors import ArgumentError, DTypeError, GradientError, LinAlgError, ShapeError
from symgraph.ir.graph import toposort
from symgraph.ir.op import OPS
from tests.ops import evaluation
from tests.ops.samples import Sample
from tests.ops.samples_linalg import BATCH, COLUMNS, POSITIVE, ROWS, TALL, A, P, V
from tests.ops.test_registry import outputs_of

TOLERANCE = {"float32": 3e-5, "float64": 1e-11}
L = sg.linalg
FILES = ("decompositions", "matrix_functions", "solving", "spectral", "triangular")
OWN = {n for n, op in OPS.items() if getattr(op, "__module__", "").rpartition(".")[2] in FILES}


def ids(rows: list[Sample]) -> list[str]:
    return [f"{k}-{s.op}" for k, s in enumerate(rows)]


def close(found: Any, wanted: Any) -> None:
    assert found.shape == np.shape(wanted)
    rtol = TOLERANCE.get(str(found.dtype), 0)
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("symbolic", [False, True], ids=["known", "symbolic"])
@pytest.mark.parametrize("sample", ROWS, ids=ids(ROWS))
def test_values(sample: Sample, symbolic: bool) -> None:
    if symbolic and not sample.symbolic:
        return
    inputs = evaluation.inputs_for(list(sample.arrays), symbolic)
    outputs = outputs_of(sample.build(*inputs))
    with np.errstate(all="ignore"):
        wanted = outputs_of(sample.reference(*sample.arrays))
    if sample.op in OWN:
        assert any(n.op.name == sample.op for n in toposort(outputs))
    for mode in ("run", "interpret"):
        found = sg.compile(inputs, outputs, mode=mode, on_unused_input="ignore")(*sample.arrays)
        for f, w, y in zip(found, wanted, outputs, strict=True):
            assert str(f.dtype) == y.dtype
            close(f, w)


def differentiable(sample: Sample) -> bool:
    real = all(a.dtype == "float64" and a.size for a in sample.arrays)
    return bool(sample.grad and real and sample.arrays)


SMOOTH = [s for s in ROWS if differentiable(s)]


def real_outputs(sample: Sample, xs: Any) -> list[Any]:
    return [y for y in outputs_of(sample.build(*xs)) if y.dtype == "float64"]


@pytest.mark.parametrize("sample", SMOOTH, ids=ids(SMOOTH))
def test_first_derivative(sample: Sample) -> None:
    if real_outputs(sample, evaluation.inputs_for(list(sample.arrays))):
        sg.verify_grad(lambda *xs: real_outputs(sample, xs), sample.arrays, directions=3)


@pytest.mark.parametrize("sample", SMOOTH, ids=ids(SMOOTH))
def test_second_derivative(sample: Sample) -> None:
    if not real_outputs(sample, evaluation.inputs_for(list(sample.arrays))):
        return

    def slopes(*xs: Any) -> Any:
        ys = real_outputs(sample, xs)
        cost = sum(((y + 0.5) ** 2).sum() * (k + 1) for k, y in enumerate(ys))
        return sg.grad(cost, list(xs), disconnected="zero")

    sg.verify_grad(slopes, sample.arrays, directions=1, rtol=1e-5)


def test_gradients_compile() -> None:
    a, b = sg.tensor("a", shape=("b", "n", "n")), sg.tensor("b", shape=("b", "n", "k"))
    s = a @ L.matrix_transpose(a) + sg.eye(3)
    cost = L.solve(a, b).sum() + (L.cholesky(s) ** 2).sum() + L.slogdet(s)[1].sum() + L.det(a).sum()
    cost += (
        L.svdvals(a).sum() + (L.eigh(s)[1] ** 4).sum() + L.qr(a)[0].sum() + (L.lu(a)[1] ** 2).sum()
    )
    both = [sg.compile([a, b], sg.grad(cost, [a, b]), mode=m) for m in ("run", "interpret")]
    for found, wanted in zip(*(f(BATCH, COLUMNS) for f in both), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


def test_every_op_has_a_row() -> None:
    assert OWN - {s.op for s in ROWS} == set()


# conventions --------------------------------------------------------------------------------------


def test_the_gradient_of_a_symmetric_matrix_is_symmetric() -> None:
    a = sg.matrix("a")
    for y in (L.cholesky(a), L.eigh(a)[1] ** 3, L.solve(a, V, "pos")):
        (g,) = sg.compile([a], [sg.grad(y.sum(), a)])(P)
        np.testing.assert_allclose(g, g.T, rtol=1e-10)


def test_one_factorisation_serves_value_and_gradient() -> None:
    a, b = sg.matrix("a"), sg.vector("b")
    cost = L.solve(a, b).sum() + L.slogdet(a)[1] + L.inv(a).sum()
    grads = sg.grad(cost, [a, b])
    assert sum(n.op.name == "lu_factor" for n in toposort([cost, *grads])) == 1


THIN = {
    "inverse @ vector": lambda a, v: sg.linalg.inv(a) @ v[:, 0],
    "vector @ inverse": lambda a, v: v[:, 0] @ sg.linalg.inv(a),
    "inverse @ columns": lambda a, v: sg.linalg.inv(a) @ v,
    "rows @ inverse": lambda a, v: v.T @ sg.linalg.inv(a),
    "transposed": lambda a, v: sg.linalg.solve(a, sg.eye(5), transposed=True) @ v,
    "positive definite": lambda a, v: sg.linalg.solve(a @ a.T, sg.eye(5), assume_a="pos") @ v,
    "batch": lambda a, v: sg.linalg.inv(sg.stack([a, a.T])) @ v,
}


@pytest.mark.parametrize("name", THIN)
def test_derivatives_of_inverses_that_few_columns_are_multiplied_with(name: str) -> None:
    """They solve for the columns, not for their outer products."""
    rng = np.random.default_rng(8)
    a, v = rng.normal(size=(5, 5)) + 3 * np.eye(5), rng.normal(size=(5, 2))
    sg.verify_grad(THIN[name], [a, v], order=2)


def test_det_has_a_derivative_at_singular_matrices() -> None:
    a = sg.matrix("a")
    f = sg.compile([a], sg.grad(L.det(a), a))
    np.testing.assert_allclose(f(np.array([[1.0, 2.0], [2.0, 4.0]])), [[4, -2], [-2, 1]])


# failures -----------------------------------------------------------------------------------------


def spoiled() -> Any:
    bad = POSITIVE.copy()
    bad[1, 2, 2] = -1
    return bad


@pytest.mark.parametrize("mode", ["run", "interpret"])
def test_a_matrix_that_is_not_positive_definite_is_named(mode: str) -> None:
    a = sg.tensor("a", shape=(None, None, None))
    state = sg.shared(0.0)
    f = sg.compile([a], L.cholesky(a), updates={state: state + 1}, mode=mode)
    f(POSITIVE)
    with pytest.raises(LinAlgError, match=r"leading minor 3, batch index 1") as error:
        f(spoiled())
    assert error.value.code == "SG302"
    assert "test_linalg.py" in str(error.value) and "L.cholesky(a)" in str(error.value)
    assert state.get_value() == 1
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize("mode", ["run", "interpret"])
def test_nan_by_choice(mode: str) -> None:
    a = sg.tensor("a", shape=(None, None, None))
    found = sg.compile([a], L.cholesky(a, on_failure="nan"), mode=mode)(spoiled())
    close(found[0], np.linalg.cholesky(POSITIVE[0]))
    assert np.isnan(found[1]).all()


@pytest.mark.parametrize("mode", ["run", "interpret"])
@pytest.mark.parametrize("name", ["solve", "inv", "pos", "triangular"])
def test_singular_matrices_raise(mode: str, name: str) -> None:
    a = sg.tensor("a", shape=(None, 3, 3))
    build = {
        "solve": lambda: L.solve(a, V), "inv": lambda: L.inv(a),
        "pos": lambda: L.solve(a, V, "pos"), "triangular": lambda: L.solve_triangular(a, V),
    }[name]  # fmt: skip
    f = sg.compile([a], build(), mode=mode)
    singular = np.stack([np.eye(3), np.diag([1.0, 0.0, 1.0])])
    assert np.isfinite(f(singular[:1])).all()
    with pytest.raises(LinAlgError, match="batch index 1"):
        f(singular)


@pytest.mark.parametrize("mode", ["run", "interpret"])
def test_singular_matrices_give_nan_by_choice(mode: str) -> None:
    a = sg.tensor("a", shape=(None, 3, 3))
    b = sg.constant(np.stack([np.ones((3, 2)), np.ones((3, 2))]))
    functions = {
        "solve": L.solve(a, b, on_failure="nan"),
        "transposed": L.solve(a, b, transposed=True, on_failure="nan"),
        "pos": L.solve(a, b, "pos", on_failure="nan"),
        "upper": L.solve(a, b, "upper triangular", on_failure="nan"),
        "triangular": L.solve_triangular(a, b, lower=True, on_failure="nan"),
        "factor": L.cho_solve((a, True), b, on_failure="nan"),
    }
    f = sg.compile([a], functions, mode=mode)
    for name, x in f(np.stack([np.eye(3), np.diag([1.0, 0.0, 1.0])])).items():
        close(x[0], np.ones((3, 2)))
        assert np.isnan(x[1]).all(), name
    for wrong in (lambda: L.solve(a, b, on_failure="no"), lambda: L.cho_solve((a, True), b, "no")):
        with pytest.raises(ArgumentError, match="on_failure"):
            wrong()


@pytest.mark.parametrize("mode", ["run", "interpret"])
@pytest.mark.parametrize("name", ["svdvals", "eigvalsh"])
def test_what_does_not_converge_raises_or_is_nan(mode: str, name: str) -> None:
    a = sg.matrix("a")
    f = sg.compile([a], getattr(L, name)(a), mode=mode)
    with np.errstate(all="ignore"):
        try:
            assert np.isnan(f(np.full((3, 3), np.nan))).all()
        except LinAlgError as error:
            assert "did not converge" in str(error)


def test_a_failure_inside_a_scan_is_raised() -> None:
    xs = sg.tensor("xs", shape=("t", 2, 2))
    f = sg.compile([xs], sg.scan(lambda x: L.cholesky(x).sum(), [xs]))
    np.testing.assert_allclose(f(np.stack([np.eye(2)] * 3)), [2, 2, 2])
    with pytest.raises(LinAlgError, match="leading minor 1"):
        f(np.stack([np.eye(2), -np.eye(2)]))


def test_refused() -> None:
    a, wide = sg.matrix("a", shape=(3, 3)), sg.matrix("w", shape=(2, 3))
    for function in (L.cholesky, L.inv, L.det, L.eigh, L.expm, lambda x: L.solve(x, V)):
        with pytest.raises(ShapeError, match="not square"):
            function(wide)
    with pytest.raises(ShapeError, match="sizes differ"):
        L.solve(a, np.ones(4))
    with pytest.raises(ValueError, match="needs a matrix"):
        L.inv(V)
    with pytest.raises(ArgumentError, match="assume_a"):
        L.solve(a, V, assume_a="nice")
    with pytest.raises(ArgumentError, match="on_failure"):
        L.cholesky(a, on_failure="ignore")
    for bad in (lambda: L.norm(a, "nuclear"), lambda: L.norm(V, "fro", 0), lambda: L.qr(a, "full")):
        with pytest.raises(ArgumentError):
            bad()
    with pytest.raises(ShapeError, match="three elements"):
        L.cross(np.ones(2), np.ones(2))
    with pytest.raises(DTypeError):
        L.inv(sg.matrix("c", dtype="bool") + "x")


def test_full_factors_have_no_derivative() -> None:
    a = sg.matrix("a", shape=TALL.shape)
    for y in (L.svd(a)[0], L.qr(a, "complete")[0]):
        with pytest.raises(GradientError, match="not determined"):
            sg.grad(y.sum(), a)


def test_a_run_time_shape_is_checked() -> None:
    a = sg.matrix("a")
    with pytest.raises(ValueError, match="not square"):
        sg.compile([a], L.inv(a))(np.ones((2, 3)))


# sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [40, 150])
def test_blocked_algorithms(n: int) -> None:
    """Sizes at which LAPACK works in blocks and uses all of its workspace."""
    rng = np.random.default_rng(n)
    x = rng.normal(size=(2, n, n + 7))
    p = x @ x.swapaxes(-1, -2) + n * np.eye(n)
    a, w = sg.tensor("a", shape=(None, None, None)), sg.tensor("w", shape=(None, None, None))
    u, s, vh = L.svd(w, full_matrices=False)
    q, r = L.qr(w)
    e, v = L.eigh(a)
    outputs = [(u * s[..., None, :]) @ vh, q @ r, (v * e[..., None, :]) @ v.swapaxes(-1, -2),
               L.cholesky(a) @ L.cholesky(a, lower=False), L.inv(a) @ a,
               L.svdvals(w) - s]  # fmt: skip
    eye = np.broadcast_to(np.eye(n), p.shape)
    found = sg.compile([a, w], outputs)(p, x)
    for f, want in zip(found, (x, x, p, p, eye, 0 * found[-1]), strict=True):
        np.testing.assert_allclose(f, want, atol=1e-10 * n * n)


def test_generalised_eigenvectors() -> None:
    a, b = sg.matrix("a"), sg.matrix("b")
    symmetric = A + A.T
    w, v = sg.compile([a, b], list(L.eigh(a, b)))(symmetric, P)
    np.testing.assert_allclose(symmetric @ v, P @ v * w, atol=1e-12)
    np.testing.assert_allclose(w, scipy.linalg.eigh(symmetric, P)[0], rtol=1e-12)


@pytest.mark.parametrize(
    "sizes", [(300, 300, 20, 300), (3, 90, 80, 70), (5, 5, 5, 5), (0, 4, 3, 2)]
)
def test_the_order_of_three_products_is_chosen_when_sizes_are_known(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=pair) for pair in itertools.pairwise(sizes)]
    xs = [sg.matrix(name) for name in "abc"]
    y = sg.linalg.multi_dot(xs)
    f = sg.compile(xs, [y, *sg.grad((y * y).sum(), xs)])
    a, b, c = arrays
    product = np.linalg.multi_dot(arrays)
    slopes = 2 * product @ (b @ c).T, 2 * a.T @ product @ c.T, 2 * (a @ b).T @ product
    for got, want in zip(f(*arrays), (product, *slopes), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)
