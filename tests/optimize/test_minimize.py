"""minimize, minimize_scalar and least_squares against SciPy, closed forms and differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize as so

import symgraph as sg
from symgraph.errors import ArgumentError, DTypeError, GradientError, RankError
from symgraph.optimize import LeastSquares, Minimum, ScalarMinimum
from tests.optimize.differences import slopes

METHODS = ["bfgs", "l-bfgs", "newton", "newton-cg", "gradient_descent"]
RNG = np.random.default_rng(0)
A, Y = RNG.normal(size=(20, 3)), RNG.normal(size=20)


def rosenbrock(x: Any) -> Any:
    return sg.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rosenbrock(method: str, dtype: str) -> None:
    x0 = sg.vector("x0", shape=(4,), dtype=dtype)
    found = sg.optimize.minimize(rosenbrock, x0, method=method, max_steps=5000)
    got = Minimum(*sg.compile([x0], found)(np.array([1.3, 0.7, 0.8, 1.9], dtype)))
    assert got.x.dtype == got.fun.dtype == dtype
    if method == "gradient_descent":  # too slow for this valley
        assert got.fun < 1e-4
        return
    assert got.converged and got.steps < 100
    np.testing.assert_allclose(got.x, 1, atol=1e-6 if dtype == "float64" else 3e-3)
    assert got.slope < 1e-2


def test_as_scipy_does() -> None:
    x = np.array([1.3, 0.7, 0.8, 1.9])
    ours = sg.optimize.minimize(rosenbrock, sg.constant(x)).steps.eval()
    theirs = so.minimize(so.rosen, x, jac=so.rosen_der, method="BFGS", options={"gtol": 1e-8}).nit
    assert ours < 1.5 * theirs


SOLVERS = ["cg", "gmres", "bicgstab", "normal_cg"]


@pytest.mark.parametrize(
    ("method", "solver"), [*((m, "dense") for m in METHODS), *(("bfgs", s) for s in SOLVERS)]
)
def test_ridge_regression(method: str, solver: str) -> None:
    a, y = sg.matrix("a", shape=("m", "n")), sg.vector("y", shape=("m",))
    penalty = sg.scalar("penalty")
    w = sg.optimize.minimize(
        lambda w: sg.sum((a @ w - y) ** 2) + penalty * sg.sum(w * w), sg.zeros((a.shape[1],)),
        method=method, solver=solver, tol=1e-10,
    ).x  # fmt: skip
    first = sg.grad(sg.sum(w**3), penalty)
    along = sg.jvp(w, penalty, 1.0)
    f = sg.compile([a, y, penalty], [w, along, first, sg.grad(first, penalty)])
    got = f(A, Y, 2.0)
    h = A.T @ A + 2.0 * np.eye(3)
    x = np.linalg.solve(h, A.T @ Y)
    dx = -np.linalg.solve(h, x)
    ddx = -2 * np.linalg.solve(h, dx)
    wanted = [x, dx, 3 * x**2 @ dx, 6 * x * dx @ dx + 3 * x**2 @ ddx]
    for g, w_ in zip(got, wanted, strict=True):
        np.testing.assert_allclose(g, w_, rtol=1e-7, atol=1e-9)


def test_gradients_by_all_that_fn_reads() -> None:
    a, y, s = sg.matrix("a", shape=(20, 3)), sg.vector("y", shape=(20,)), sg.shared(0.5)

    def cost(p: Any, y: Any) -> Any:
        r = a @ p["w"] + p["b"] - y
        return sg.sum(sg.sqrt(1 + r * r)) + s * (sg.sum(p["w"] ** 2) + p["b"] ** 2)

    found = sg.optimize.minimize(cost, {"w": sg.zeros(3), "b": 0.0}, args=(y,), tol=1e-12)
    out = sg.sum(found.x["w"] ** 2) + sg.sin(found.x["b"])
    gradients = sg.grad(out, [a, y, s])
    f = sg.compile([a, y], [out, *gradients, found.converged])
    _, ga, gy, gs, converged = f(A, Y)
    assert converged
    np.testing.assert_allclose(gy, slopes(lambda v: f(A, v)[0], Y), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ga, slopes(lambda v: f(v, Y)[0], A), rtol=1e-6, atol=1e-9)

    def at(v: np.ndarray) -> Any:
        s.set_value(v)
        return f(A, Y)[0]

    np.testing.assert_allclose(gs, slopes(at, np.array(0.5)), rtol=1e-6)


def test_many_unknowns_need_no_matrix() -> None:
    k = sg.scalar("k")
    n = 600
    t = np.linspace(0, 1, n)
    found = sg.optimize.minimize(
        lambda x: sg.sum((x - t) ** 2) + k * sg.sum((x[1:] - x[:-1]) ** 2), sg.zeros(n),
        method="newton-cg", tol=1e-11,
    )  # fmt: skip
    f = sg.compile([k], [found.x, sg.jvp(found.x, k, 1.0), sg.grad(sg.sum(found.x**2), k)])
    x, dx, g = f(2.0)
    d = np.diff(np.eye(n), axis=0)
    h = np.eye(n) + 2.0 * d.T @ d
    np.testing.assert_allclose(x, np.linalg.solve(h, t), atol=1e-9)
    wanted = -np.linalg.solve(h, d.T @ d @ np.linalg.solve(h, t))
    np.testing.assert_allclose(dx, wanted, atol=1e-8)
    np.testing.assert_allclose(g, 2 * x @ wanted, atol=1e-8)


def test_batches() -> None:
    c = sg.matrix("c", shape=("k", 2))
    k = sg.scalar("k")

    def one(c: Any) -> Any:
        return sg.optimize.minimize(lambda x: sg.sum((x - c) ** 2) + k * sg.sum(x**4), c * 0)

    found = sg.vmap(one)(c)
    gradients = sg.grad(sg.sum(found.x**2), [c, k])
    f = sg.compile([c, k], [found.x, found.steps, found.converged, *gradients])
    value = RNG.normal(size=(3, 2)) * 3
    x, steps, converged, gc, gk = f(value, 0.3)
    assert steps.shape == (3,) and converged.all()
    for row, alone in zip(x, value, strict=True):
        np.testing.assert_allclose(row, f(alone[None], 0.3)[0][0], atol=1e-7)
    h = 2 + 12 * 0.3 * x**2
    np.testing.assert_allclose(gc, 2 * x * 2 / h, rtol=1e-6)
    np.testing.assert_allclose(gk, np.sum(2 * x * -4 * x**3 / h), rtol=1e-6)


def test_inside_a_scan() -> None:
    a = sg.scalar("a")

    def step(x: Any) -> Any:
        return sg.optimize.minimize(lambda z: sg.exp(z) - z * (x + a), x, tol=1e-12).x

    last = sg.scan(step, None, [sg.constant(0.5)], n_steps=3)[-1]
    f = sg.compile([a], [last, sg.grad(last, a)])
    x, dx = 0.5, 0.0
    for _ in range(3):
        x, dx = np.log(x + 2.0), (dx + 1) / (x + 2.0)
    np.testing.assert_allclose(f(2.0), [x, dx], rtol=1e-7)


def test_an_expression_as_in_pytensor() -> None:
    x, a = sg.scalar("x"), sg.scalar("a")
    found = sg.optimize.minimize((x - a) ** 2 + 1, x)
    f = sg.compile([x, a], [found.x, found.fun, sg.grad(found.x, a)])
    np.testing.assert_allclose(f(10.0, 2.0), [2.0, 1.0, 1.0], atol=1e-9)


def test_not_converged() -> None:
    x0 = sg.vector("x0", shape=(4,))
    f = sg.compile([x0], sg.optimize.minimize(rosenbrock, x0, max_steps=3))
    got = Minimum(*f(np.zeros(4)))
    assert not got.converged and got.steps == 3 and np.isfinite(got.x).all()
    # a cost without a minimum, and one that is nowhere finite
    for cost in (lambda x: -sg.exp(x), lambda x: sg.log(-x * x - 1)):
        got = Minimum(*sg.compile([], sg.optimize.minimize(cost, 1.0))())
        assert not got.converged and np.isfinite(got.x)


def test_a_cost_that_is_not_finite_everywhere() -> None:
    got = Minimum(*sg.compile([], sg.optimize.minimize(lambda x: x - sg.log(x), 0.01))())
    assert got.converged
    np.testing.assert_allclose(got.x, 1.0, atol=1e-7)


def test_errors() -> None:
    x = sg.vector("x", shape=(3,))
    with pytest.raises(GradientError, match=r"minimize: fn gives float64\[3\].*\n.*test_minimize"):
        sg.optimize.minimize(lambda x: x * 2, x)
    with pytest.raises(GradientError, match="does not depend on x"):
        sg.optimize.minimize(lambda x: sg.scalar("c") ** 2, x)
    with pytest.raises(ArgumentError, match="unknown method 'simplex'"):
        sg.optimize.minimize(sg.sum, x, method="simplex")
    with pytest.raises(ArgumentError, match="unknown solver 'lu'"):
        sg.optimize.minimize(lambda x: sg.sum(x**2), x, solver="lu")
    with pytest.raises(DTypeError, match="the unknown is complex128"):
        sg.optimize.minimize(lambda x: sg.sum(abs(x)), x * 1j)
    with pytest.raises(GradientError, match="stop_gradient"):
        sg.grad(sg.optimize.minimize(lambda z: sg.sum(z**2), x).x.sum(), x)


# one unknown --------------------------------------------------------------------------------------

CURVES: list[tuple[Any, Any, dict[str, Any]]] = [
    (lambda x, m: (x - 2) ** 2 * (1 + x**2) + x, "bounded", {"bounds": (0.0, 5.0)}),
    (lambda x, m: m.cos(x) + x / 7, "bounded", {"bounds": (0.0, 7.0)}),
    (lambda x, m: m.exp(x) - 3 * x, "brent", {"bracket": (10.0, 11.0)}),
    (lambda x, m: abs(x - 0.3), "brent", {}),
]


@pytest.mark.parametrize("case", CURVES)
@pytest.mark.parametrize("method", ["brent", "golden"])
def test_scalar_minima(case: Any, method: str) -> None:
    fn, theirs, options = case
    found = sg.optimize.minimize_scalar(lambda x: fn(x, sg), method=method, **options)
    got = ScalarMinimum(*sg.compile([], found)())
    fine = {"options": {"xatol": 1e-9}} if theirs == "bounded" else {"tol": 1e-9}
    wanted = so.minimize_scalar(lambda x: fn(x, np), method=theirs, **fine, **options)
    assert got.converged
    np.testing.assert_allclose(got.x, wanted.x, atol=3e-6)
    np.testing.assert_allclose(got.fun, wanted.fun, atol=1e-7)


def test_scalar_minimum_at_a_bound() -> None:
    high, a = sg.scalar("high"), sg.scalar("a")
    x = sg.optimize.minimize_scalar(lambda x: (x - a) ** 2, bounds=(0.0, high)).x
    f = sg.compile([high, a], [x, *sg.grad(x, [high, a])])
    np.testing.assert_allclose(f(1.5, 2.0), [1.5, 1.0, 0.0])
    np.testing.assert_allclose(f(2.5, 2.0), [2.0, 0.0, 1.0], atol=1e-8)
    np.testing.assert_allclose(f(2.5, -1.0), [0.0, 0.0, 0.0])


def test_scalar_minima_of_a_batch() -> None:
    a = sg.vector("a", dtype="float32")
    x = sg.vmap(lambda a: sg.optimize.minimize_scalar(lambda x: sg.cosh(x - a), (a - 3, a)).x)(a)
    f = sg.compile([a], [x, sg.grad(sg.sum(x * x), a)])
    value = np.array([-1.0, 0.5, 2.0], "float32")
    got = f(value)
    assert got[0].dtype == "float32"
    np.testing.assert_allclose(got[0], value, atol=2e-3)
    np.testing.assert_allclose(got[1], 2 * got[0], rtol=1e-5)


def test_scalar_without_end_or_derivative() -> None:
    got = ScalarMinimum(*sg.compile([], sg.optimize.minimize_scalar(lambda x: -x))())
    assert not got.converged
    a = sg.scalar("a")
    found = sg.optimize.minimize_scalar(lambda x: sg.stop_gradient(abs(x - a)), bounds=(0.0, 4.0))
    np.testing.assert_allclose(found.x.eval({a: 1.25}), 1.25, atol=1e-7)
    with pytest.raises(GradientError):
        sg.grad(found.x, a)
    with pytest.raises(ArgumentError, match="bracket or bounds"):
        sg.optimize.minimize_scalar(abs, bracket=(0, 1), bounds=(0, 1))
    with pytest.raises(RankError, match="pair of scalars"):
        sg.optimize.minimize_scalar(abs, bounds=(sg.vector("v"), 1.0))


# least squares ------------------------------------------------------------------------------------

T = np.linspace(0, 4, 30)
DATA = 3 * np.exp(-1.3 * T) + 0.5 + 0.05 * RNG.normal(size=30)


@pytest.mark.parametrize("solver", ["dense", "cg"])
def test_least_squares(solver: str) -> None:
    y = sg.vector("y", shape=(30,))
    found = sg.optimize.least_squares(
        lambda p: p[0] * sg.exp(-p[1] * T) + p[2] - y, sg.constant([1.0, 1.0, 0.0]), solver=solver
    )
    j = sg.jacobian(found.x, y)
    f = sg.compile([y], [found.x, found.cost, found.converged, found.steps, j])
    x, cost, converged, steps, j = f(DATA)
    wanted = so.least_squares(
        lambda p: p[0] * np.exp(-p[1] * T) + p[2] - DATA, [1, 1, 0], xtol=1e-15, ftol=1e-15
    )
    assert converged and steps < 30
    np.testing.assert_allclose(x, wanted.x, atol=1e-6)
    np.testing.assert_allclose(cost, wanted.cost, rtol=1e-9)
    np.testing.assert_allclose(j[0], slopes(lambda v: f(v)[0][0], DATA), atol=1e-7)


def test_least_squares_of_nests() -> None:
    found = sg.optimize.least_squares(
        lambda p: (10 * (p["b"] - p["a"] ** 2), 1 - p["a"]), {"a": -1.2, "b": 1.0}
    )
    got = LeastSquares(*sg.compile([], found)())
    assert got.converged
    np.testing.assert_allclose([got.x["a"], got.x["b"], got.cost], [1, 1, 0], atol=1e-8)
    with pytest.raises(GradientError):
        sg.optimize.least_squares(lambda p: sg.ones(2) * sg.scalar("c"), sg.ones(2))
