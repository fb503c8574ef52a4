"""odeint and quadrature against SciPy, closed forms and differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.integrate as si

import symgraph as sg
from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ops.debugging import AssertionFailed
from tests.optimize.differences import slopes

T = np.linspace(0, 3, 7)
WAYS: list[tuple[str, dict[str, Any]]] = [
    ("dopri5", {"rtol": 1e-9, "atol": 1e-12}),
    ("rk4", {"substeps": 40}),
    ("rk4", {"substeps": 40, "checkpoint": False}),
]


def logistic(r: float, y0: float, t: Any) -> Any:
    return 1 / (1 + (1 / y0 - 1) * np.exp(-r * (t - t[0])))


@pytest.mark.parametrize(("method", "options"), WAYS)
def test_the_logistic_equation(method: str, options: dict[str, Any]) -> None:
    r, y0, t = sg.scalar("r"), sg.scalar("y0"), sg.vector("t", shape=(7,))
    y = sg.integrate.odeint(lambda y, t, r: r * y * (1 - y), y0, t, (r,), method, **options)
    gr, gy, gt = sg.grad(sg.sum(y**2), [r, y0, t])
    second = [sg.grad(gr, r), sg.jvp(gr, r, 1.0)]
    along = sg.jvp(y, [r, y0, t], [1.0, 0.5, 0.1 * sg.ones(7)])
    f = sg.compile([r, y0, t], [y, gr, gy, gt, *second, along])
    value, gr, gy, gt, *second, along = f(1.3, 0.1, T)
    np.testing.assert_allclose(value, logistic(1.3, 0.1, T), atol=1e-8)

    def cost(r: Any = 1.3, y0: Any = 0.1, t: Any = T) -> Any:
        return np.sum(logistic(r, y0, t) ** 2)

    np.testing.assert_allclose(gr, slopes(lambda r: cost(r=r), np.array(1.3)), rtol=1e-7)
    np.testing.assert_allclose(gy, slopes(lambda v: cost(y0=v), np.array(0.1)), rtol=1e-6)
    np.testing.assert_allclose(gt, slopes(lambda v: cost(t=v), T), atol=1e-7)
    step = 1e-4
    bend = (cost(r=1.3 + step) + cost(r=1.3 - step) - 2 * cost()) / step**2
    np.testing.assert_allclose(second, [bend, bend], rtol=1e-5)
    ends = [logistic(1.3 + h, 0.1 + 0.5 * h, T + 0.1 * h) for h in (step, -step)]
    np.testing.assert_allclose(along, (ends[0] - ends[1]) / (2 * step), atol=1e-6)


def van_der_pol(mu: Any, t: Any = T, **options: Any) -> Any:
    fn = lambda s, t: (s[1], mu * (1 - s[0] ** 2) * s[1] - s[0])
    return sg.integrate.odeint(fn, (2.0, 0.0), t, **options)


def test_a_batch_of_oscillators() -> None:
    mu = sg.vector("mu", shape=(3,))
    x, v = sg.vmap(lambda mu: van_der_pol(mu, rtol=1e-9, atol=1e-11))(mu)
    total = sg.sum(x**2)
    f = sg.compile([mu], [x, v, total, sg.grad(total, mu), sg.jvp(x, mu, sg.ones(3))])
    at = np.array([0.5, 1.0, 3.0])
    x, v, _, g, along = f(at)
    for k, m in enumerate(at):
        wanted = si.solve_ivp(
            lambda t, s, m=m: [s[1], m * (1 - s[0] ** 2) * s[1] - s[0]], (0, 3), [2, 0],
            t_eval=T, rtol=1e-10, atol=1e-12,
        )  # fmt: skip
        np.testing.assert_allclose([x[k], v[k]], wanted.y, atol=1e-7)
    np.testing.assert_allclose(g, slopes(lambda m: f(m)[2], at), rtol=1e-5)
    ends = [f(at + h)[0] for h in (1e-4, -1e-4)]
    np.testing.assert_allclose(along, (ends[0] - ends[1]) / 2e-4, atol=1e-5)


def test_back_in_time_and_float32() -> None:
    y0 = sg.scalar("y0", dtype="float32")
    y = sg.integrate.odeint(lambda y, t: y * t, y0, [1.0, 0.5, 0.0])
    got, g = sg.compile([y0], [y, sg.grad(y[2], y0)])(np.float32(2))
    assert got.dtype == g.dtype == "float32"
    np.testing.assert_allclose(got, 2 * np.exp([0, -0.375, -0.5]), rtol=1e-5)
    np.testing.assert_allclose(g, np.exp(-0.5), rtol=1e-5)


@pytest.mark.parametrize("method", ["euler", "midpoint", "heun", "rk4"])
def test_orders(method: str) -> None:
    def error(n: int) -> float:
        y = sg.integrate.odeint(lambda y, t: -y + t, 1.0, [0.0, 1.0], method=method, substeps=n)
        return float(abs(y[1].eval() - 2 * np.exp(-1.0)))

    order = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4}[method]
    assert abs(np.log2(error(10) / error(20)) - order) < 0.15


def test_one_time_and_many_parameters() -> None:
    a, y0 = sg.matrix("a", shape=(3, 3)), sg.vector("y0", shape=(3,))
    only = sg.integrate.odeint(lambda y, t: a @ y, y0, [1.0])
    value = np.random.default_rng(0).normal(size=(3, 3))
    f = sg.compile([a, y0], [only, sg.grad(sg.sum(only), y0)])
    np.testing.assert_allclose(f(value, np.arange(3.0))[0], [[0, 1, 2]])
    np.testing.assert_allclose(f(value, np.arange(3.0))[1], np.ones(3))
    rows = sg.integrate.odeint(lambda y, t: a @ y, y0, [0.0, 1.0], rtol=1e-10, atol=1e-12)
    exact = sg.linalg.expm(a) @ y0
    costs = [sg.sum(rows[1] ** 2), sg.sum(exact**2)]
    f = sg.compile([a, y0], [g for c in costs for g in sg.grad(c, [a, y0])])
    ga, gy, wa, wy = f(value, np.arange(3.0))
    np.testing.assert_allclose(ga, wa, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(gy, wy, rtol=1e-6, atol=1e-7)


def test_errors() -> None:
    blows_up = sg.integrate.odeint(lambda y, t: y * y, 1.0, [0.0, 2.0])
    with pytest.raises(AssertionFailed, match=r"more than 10000 steps(.*\n)+.*test_integrate.py"):
        blows_up.eval()
    with pytest.raises(ArgumentError, match="unknown method 'lsoda'"):
        sg.integrate.odeint(lambda y, t: y, 1.0, [0.0, 1.0], method="lsoda")
    with pytest.raises(RankError, match="t is a vector of times"):
        sg.integrate.odeint(lambda y, t: y, 1.0, 3.0)
    with pytest.raises(ShapeError, match=r"part 0 of fn\(y, t\) is float64\[3\]"):
        sg.integrate.odeint(lambda y, t: sg.ones(3), sg.ones(2), [0.0, 1.0])


# quadrature ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 4, 7, 8])
def test_samples(n: int) -> None:
    rng = np.random.default_rng(n)
    y, x = rng.normal(size=(2, n, 3)), np.sort(rng.uniform(size=n))
    for options in ({}, {"dx": 0.3}, {"x": x}):
        got = sg.integrate.simpson(y, axis=1, **options).eval()
        np.testing.assert_allclose(got, si.simpson(y, axis=1, **options), rtol=1e-9, atol=1e-12)
        got = sg.integrate.trapezoid(y, axis=1, **options).eval()
        np.testing.assert_allclose(got, si.trapezoid(y, axis=1, **options), rtol=1e-12, atol=1e-14)
        got = sg.integrate.cumulative_trapezoid(y, axis=1, initial=0, **options).eval()
        wanted = si.cumulative_trapezoid(y, axis=1, initial=0, **options)
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-14)
    with pytest.raises(ShapeError, match="even and odd"):
        sg.integrate.simpson(sg.vector("v", shape=("n",)))


def test_fixed_quad() -> None:
    a, b, k = sg.scalar("a"), sg.scalar("b"), sg.scalar("k")
    area = sg.integrate.fixed_quad(lambda x: sg.exp(-k * x) * sg.constant([1.0, 2.0]), a, b)
    f = sg.compile([a, b, k], [area, *sg.grad(area[0], [a, b, k])])
    value, ga, gb, gk = f(0.5, 2.0, 1.5)
    exact = lambda k: (np.exp(-0.5 * k) - np.exp(-2.0 * k)) / k
    np.testing.assert_allclose(value, exact(1.5) * np.array([1, 2]))
    np.testing.assert_allclose([ga, gb], [-np.exp(-0.75), np.exp(-3.0)])
    np.testing.assert_allclose(gk, slopes(exact, np.array(1.5)))
    with pytest.raises(ArgumentError):
        sg.integrate.fixed_quad(sg.exp, 0.0, 1.0, n=0)
