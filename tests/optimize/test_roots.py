"""root, root_scalar, fixed_point and linear_solve against SciPy, closed forms and differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize as so

import symgraph as sg
from symgraph.errors import ArgumentError, LinAlgError, RankError, ShapeError
from symgraph.ops.debugging import AssertionFailed
from symgraph.optimize import LinearSolution, Root
from tests.optimize.differences import slopes

RNG = np.random.default_rng(1)


# one equation -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"bracket": (0.0, 4.0)}, {"bracket": (0, 4), "method": "bisect"}, {"x0": 1.0}]
)
def test_kepler(options: dict[str, Any]) -> None:
    e, m = sg.scalar("e"), sg.scalar("m")
    found = sg.optimize.root_scalar(lambda x: x - e * sg.sin(x) - m, **options)
    by_e, by_m = sg.grad(found.x, [e, m])
    f = sg.compile([e, m], [*found, by_e, by_m, sg.grad(by_m, m), sg.jvp(found.x, e, 1.0)])
    x, fun, converged, _, by_e, by_m, second, along = f(0.5, 1.0)
    wanted = so.root_scalar(lambda x: x - 0.5 * np.sin(x) - 1.0, bracket=(0, 4)).root
    c = 1 - 0.5 * np.cos(wanted)
    assert converged and abs(fun) < 1e-12
    np.testing.assert_allclose(x, wanted, rtol=1e-13)
    np.testing.assert_allclose([by_e, by_m, along], np.array([np.sin(x), 1, np.sin(x)]) / c)
    np.testing.assert_allclose(second, -0.5 * np.sin(x) / c**3)


CURVES = [
    (lambda x, m: x**3 - 2 * x - 5, 0.0, 3.0),
    (lambda x, m: m.exp(x) - 1e6, 0.0, 50.0),
    (lambda x, m: m.tanh(20 * (x - 0.7)), -100.0, 3.0),
    (lambda x, m: (x - 1) ** 9, -3.0, 2.5),
    (lambda x, m: x, 0.0, 1.0),
    (lambda x, m: x - 1, 0.0, 1.0),
]


@pytest.mark.parametrize("case", CURVES)
@pytest.mark.parametrize("method", ["brent", "bisect"])
def test_brackets(case: Any, method: str) -> None:
    fn, a, b = case
    found = sg.optimize.root_scalar(lambda x: fn(x, sg), bracket=(a, b), method=method)
    got = Root(*sg.compile([], found)())
    wanted = so.root_scalar(lambda x: fn(x, np), bracket=(a, b), method="brentq")
    assert got.converged
    flat = 1e-2 if fn(1.001, np) == fn(0, np) * 0 + 0.001**9 else 1e-12
    np.testing.assert_allclose(got.x, wanted.root, atol=flat)
    assert got.steps <= (2 * wanted.iterations + 10 if method == "brent" else 80)


def test_bracket_without_a_change_of_sign() -> None:
    a = sg.scalar("a")
    found = sg.optimize.root_scalar(lambda x: x * x - a, bracket=(1.0, 3.0))
    f = sg.compile([a], [found.x, found.converged])
    np.testing.assert_allclose(f(4.0), [2.0, 1.0])
    with pytest.raises(AssertionFailed, match=r"same sign(.*\n)+.*test_roots.py"):
        f(10.0)
    with pytest.raises(AssertionFailed):
        f(np.nan)


def test_roots_of_a_batch() -> None:
    a = sg.vector("a", dtype="float32")
    one = lambda a: sg.optimize.root_scalar(lambda x: x**3 - a, bracket=(0.0, a + 1)).x
    x = sg.vmap(one)(a)
    f = sg.compile([a], [x, sg.grad(sg.sum(x), a)])
    value = np.array([1e-3, 1.0, 27.0], "float32")
    got, by_a = f(value)
    assert got.dtype == "float32"
    np.testing.assert_allclose(got, np.cbrt(value), rtol=1e-5)
    np.testing.assert_allclose(by_a, 1 / (3 * got**2), rtol=1e-5)


def test_errors() -> None:
    with pytest.raises(ArgumentError, match="brent needs bracket"):
        sg.optimize.root_scalar(sg.sin, method="brent", x0=1.0)
    with pytest.raises(ArgumentError, match="newton needs x0"):
        sg.optimize.root_scalar(sg.sin)
    with pytest.raises(ArgumentError, match="unknown method 'ridder'"):
        sg.optimize.root_scalar(sg.sin, method="ridder", bracket=(0, 1))
    with pytest.raises(RankError, match="x0 is a scalar"):
        sg.optimize.root_scalar(sg.sin, x0=sg.ones(2))
    with pytest.raises(ArgumentError, match="a pair of numbers"):
        sg.optimize.root_scalar(sg.sin, bracket=3.0)
    with pytest.raises(ShapeError, match=r"part 0 of fn\(x\) is float64\[3\], of the unknown"):
        sg.optimize.root(lambda x: sg.ones(3), sg.ones(2))
    with pytest.raises(ArgumentError, match="has 2 parts, the unknown 1"):
        sg.optimize.root(lambda x: (x, x), sg.ones(2))
    with pytest.raises(ArgumentError, match="unknown method"):
        sg.optimize.fixed_point(sg.cos, 1.0, method="newton")


# systems ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "solver"),
    [("newton", "dense"), ("broyden", "gmres"), ("krylov", "bicgstab"), ("newton", "normal_cg")],
)
def test_a_system(method: str, solver: str) -> None:
    a = sg.vector("a", shape=(3,))

    def equations(x: Any) -> Any:
        return [x[0] ** 3 + x[1] - a[:2], sg.sum(x[0]) - x[1] * a[2]]

    found = sg.optimize.root(equations, [sg.ones(2), 1.0], method=method, solver=solver)
    out = sg.sum(found.x[0] ** 2) + found.x[1]
    first = sg.grad(out, a)
    f = sg.compile([a], [*found.x, *found.fun, found.converged, out, first, sg.hessian(out, a)])
    at = np.array([2.0, 3.0, 1.5])
    u, v, r, s, converged, _, g, h = f(at)
    wanted = so.root(
        lambda z: [z[0] ** 3 + z[2] - 2, z[1] ** 3 + z[2] - 3, z[0] + z[1] - 1.5 * z[2]], np.ones(3)
    )
    assert converged and abs(r).max() < 1e-9 and abs(s) < 1e-9
    np.testing.assert_allclose([*u, v], wanted.x, rtol=1e-7)
    np.testing.assert_allclose(g, slopes(lambda z: f(z)[5], at), rtol=1e-7)
    np.testing.assert_allclose(h[0], slopes(lambda z: f(z)[6][0], at), rtol=1e-6)


def test_newton_halves_its_steps() -> None:
    x = sg.compile([], sg.optimize.root(sg.arctan, 5.0))()
    assert Root(*x).converged and abs(x[0]) < 1e-9


def test_no_root() -> None:
    for method in ("newton", "broyden"):
        got = Root(*sg.compile([], sg.optimize.root(lambda x: x * x + 1, 1.0, method=method))())
        assert not got.converged and np.isfinite(got.x)
    got = Root(*sg.compile([], sg.optimize.root(lambda x: sg.log(-x * x - 1), 1.0))())
    assert not got.converged and got.x == 1.0


def test_a_singular_jacobian() -> None:
    a = sg.scalar("a")
    x = sg.optimize.root(lambda x: [x[0] + x[1] - a, (x[0] + x[1]) ** 2 - a * a], [1.0, 1.0]).x
    f = sg.compile([a], [*x])
    np.testing.assert_allclose(sum(f(3.0)), 3.0)
    with pytest.raises(LinAlgError):
        sg.compile([a], sg.grad(x[0], a))(3.0)


def test_arguments_and_expressions() -> None:
    x, a = sg.vector("x", shape=(2,)), sg.vector("a", shape=(2,))
    plain = sg.optimize.root(lambda x, a: x * x - a, x, args=(a,)).x
    as_expression = sg.optimize.root(x * x - a, x).x
    f = sg.compile([x, a], [plain, as_expression, sg.grad(sg.sum(as_expression), a)])
    p, q, g = f(np.ones(2), np.array([4.0, 9.0]))
    np.testing.assert_allclose([p, q], [[2, 3], [2, 3]])
    np.testing.assert_allclose(g, [1 / 4, 1 / 6])


# fixed points -------------------------------------------------------------------------------------

W = RNG.normal(size=(5, 5)) * 0.3


@pytest.mark.parametrize("method", ["iteration", "anderson"])
@pytest.mark.parametrize("solver", ["dense", "gmres", "normal_cg"])
def test_an_equilibrium(method: str, solver: str) -> None:
    b = sg.vector("b", shape=(5,))
    found = sg.optimize.fixed_point(
        lambda x: sg.tanh(W @ x + b), sg.zeros(5), method=method, solver=solver
    )
    along = sg.jvp(found.x, b, sg.ones(5))
    f = sg.compile([b], [found.x, found.converged, sg.jacobian(found.x, b), along])
    at = np.arange(5.0) / 4
    x, converged, j, along = f(at)
    assert converged
    np.testing.assert_allclose(x, np.tanh(W @ x + at), atol=1e-10)
    d = np.diag(1 - x * x)
    wanted = np.linalg.solve(np.eye(5) - d @ W, d)
    np.testing.assert_allclose(j, wanted, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(along, wanted.sum(1), rtol=1e-6)


def test_square_roots_of_a_batch() -> None:
    a = sg.vector("a", dtype="float32")
    one = lambda a: sg.optimize.fixed_point(lambda x: (x + a / x) / 2, a)
    found = sg.vmap(one)(a)
    f = sg.compile([a], [found.x, found.converged, sg.grad(sg.sum(found.x), a)])
    value = np.array([0.01, 2.0, 400.0], "float32")
    x, converged, g = f(value)
    assert converged.all() and x.dtype == "float32"
    np.testing.assert_allclose(x, np.sqrt(value), rtol=1e-4)
    np.testing.assert_allclose(g, 0.5 / np.sqrt(value), rtol=1e-4)


def test_a_map_that_expands() -> None:
    found = sg.optimize.fixed_point(lambda x: x * x + 2, 1.0, method="iteration")
    got = Root(*sg.compile([], found)())
    assert not got.converged and np.isfinite(got.x)


# linear systems -----------------------------------------------------------------------------------

SPD = (lambda m: m @ m.T + 5 * np.eye(6))(RNG.normal(size=(6, 6)))
ANY = SPD + np.triu(RNG.normal(size=(6, 6)))
B = RNG.normal(size=6)


@pytest.mark.parametrize("method", ["dense", "cg", "gmres", "bicgstab", "normal_cg"])
def test_linear_systems(method: str) -> None:
    value = SPD if method == "cg" else ANY
    a, b = sg.matrix("a", shape=(6, 6)), sg.vector("b", shape=(6,))
    found = sg.optimize.linear_solve(lambda x: a @ x, b, method)
    weights = np.arange(6.0)
    ga, gb = sg.grad(sg.sum(found.x**2 * weights), [a, b])
    again = sg.jvp(gb, b, sg.ones(6))
    along = sg.jvp(found.x, b, weights)
    f = sg.compile([a, b], [found.x, found.converged, found.residual, ga, gb, again, along])
    x, converged, residual, ga, gb, again, along = f(value, B)
    inverse = np.linalg.inv(value)
    left = inverse.T @ (2 * weights * (inverse @ B))
    assert converged and residual < 1e-8
    np.testing.assert_allclose(x, inverse @ B, atol=1e-9)
    np.testing.assert_allclose(gb, left, atol=1e-9)
    np.testing.assert_allclose(ga, -np.outer(left, x), atol=1e-9)
    np.testing.assert_allclose(again, inverse.T @ (2 * weights * (inverse @ np.ones(6))), atol=1e-9)
    np.testing.assert_allclose(along, inverse @ weights, atol=1e-9)


@pytest.mark.parametrize("method", ["dense", "cg", "gmres", "bicgstab", "normal_cg"])
def test_batches_of_linear_systems(method: str) -> None:
    a, b = sg.matrix("a", shape=(6, 6)), sg.matrix("b", shape=("k", 6))
    x = sg.vmap(lambda b: sg.optimize.linear_solve(a, b, method).x)(b)
    f = sg.compile([a, b], [x, sg.grad(sg.sum(x**2), a)])
    rows = RNG.normal(size=(3, 6))
    got, ga = f(SPD, rows)
    wanted = np.linalg.solve(SPD, rows.T).T
    np.testing.assert_allclose(got, wanted, atol=1e-8)
    np.testing.assert_allclose(ga, -np.linalg.solve(SPD, 2 * wanted.T) @ wanted, atol=1e-8)


def test_large_systems_need_no_matrix() -> None:
    n, k = 5000, sg.scalar("k")
    fn = lambda x: k * x - sg.roll(x, 1) - 0.5 * sg.roll(x, -1)
    found = sg.optimize.linear_solve(fn, sg.arange(n) / n)
    f = sg.compile([k], [*found, sg.grad(sg.sum(found.x**2), k)])
    x, converged, steps, _, g = f(3.0)
    assert converged and steps < 200
    right = 3 * x - np.roll(x, 1) - 0.5 * np.roll(x, -1)
    np.testing.assert_allclose(right, np.arange(n) / n, atol=1e-8)
    step = 1e-4
    near = [np.sum(f(3.0 + h)[0] ** 2) for h in (step, -step)]
    np.testing.assert_allclose(g, (near[0] - near[1]) / (2 * step), rtol=1e-6)


def test_a_system_that_is_not_solved() -> None:
    a = sg.matrix("a", shape=(6, 6))
    found = sg.optimize.linear_solve(lambda x: a @ x, B, "gmres", max_steps=0)
    got = LinearSolution(*sg.compile([a], found)(ANY))
    assert not got.converged and got.steps == 0
    # a singular system has no derivative
    singular = sg.optimize.linear_solve(lambda x: a @ x, sg.ones(6), "gmres")
    with pytest.raises(AssertionFailed, match="linear_solve: gmres did not solve"):
        sg.compile([a], sg.grad(singular.x[1], a))(np.diag([1.0, 0, 0, 0, 0, 0]))


def test_nests_and_errors() -> None:
    b = (sg.ones(2), sg.constant(6.0))
    found = sg.optimize.linear_solve(lambda x: (2 * x[0] + x[1], 3 * x[1]), b)
    np.testing.assert_allclose(sg.compile([], [*found.x])()[0], [-0.5, -0.5])
    with pytest.raises(ArgumentError, match="a is a function or"):
        sg.optimize.linear_solve(np.eye(2), b)
    with pytest.raises(ArgumentError, match="unknown solver 'lu'"):
        sg.optimize.linear_solve(np.eye(2), sg.ones(2), "lu")
