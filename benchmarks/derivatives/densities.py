"""Log-densities of forty distributions by all their parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.derivatives.formulas import Case, numbers

LOG_2PI = math.log(2 * math.pi)
Density = Callable[..., Any]


def _binomial(m: Any, n: Any, k: Any) -> Any:
    g = m.special.gammaln
    return g(n + 1) - g(k + 1) - g(n - k + 1)


def _t(m: Any, x: Any, mu: Any, s: Any, df: Any) -> Any:
    g, z = m.special.gammaln, (x - mu) / s
    return (g((df + 1) / 2) - g(df / 2) - 0.5 * m.log(df * math.pi) - m.log(s)
            - (df + 1) / 2 * m.log1p(z * z / df))  # fmt: skip


def _beta(m: Any, x: Any, a: Any, b: Any) -> Any:
    g = m.special.gammaln
    return (a - 1) * m.log(x) + (b - 1) * m.log1p(-x) + g(a + b) - g(a) - g(b)


def _gamma(m: Any, x: Any, a: Any, b: Any) -> Any:
    return a * m.log(b) - m.special.gammaln(a) + (a - 1) * m.log(x) - b * x


def _normal(m: Any, x: Any, mu: Any, s: Any) -> Any:
    return -0.5 * ((x - mu) / s) ** 2 - m.log(s) - 0.5 * LOG_2PI


DENSITIES: dict[str, Density] = {
    "normal": _normal,
    "half normal": lambda m, x, a, s: -0.5 * (x / s) ** 2 - m.log(s) + a * 0,
    "log normal": lambda m, x, mu, s: _normal(m, m.log(x), mu, s) - m.log(x),
    "student t": lambda m, x, mu, s: _t(m, x, mu, s, 4.0 + s),
    "cauchy": lambda m, x, mu, s: -m.log(math.pi * s) - m.log1p(((x - mu) / s) ** 2),
    "half cauchy": lambda m, x, a, s: -m.log(s) - m.log1p((x / s) ** 2) + a * x,
    "laplace": lambda m, x, mu, s: -m.abs(x - mu) / s - m.log(2 * s),
    "asymmetric laplace": lambda m, x, k, s: m.log(s / (k + 1 / k))
    - m.where(x > 0.9, (x - 0.9) * s * k, (0.9 - x) * s / k),
    "logistic": lambda m, x, mu, s: -(x - mu) / s - m.log(s)
    - 2 * m.nn.softplus(-(x - mu) / s),
    "gumbel": lambda m, x, mu, s: -(x - mu) / s - m.exp(-(x - mu) / s) - m.log(s),
    "exponential": lambda m, x, a, s: m.log(s) - s * x + a * 0,
    "gamma": _gamma,
    "inverse gamma": lambda m, x, a, b: a * m.log(b) - m.special.gammaln(a)
    - (a + 1) * m.log(x) - b / x,
    "chi squared": lambda m, x, k, s: _gamma(m, x * s, k / 2, 0.5),
    "weibull": lambda m, x, k, s: m.log(k / s) + (k - 1) * m.log(x / s) - (x / s) ** k,
    "pareto": lambda m, x, a, s: m.log(a) + a * m.log(s) - (a + 1) * m.log(x + s),
    "beta": lambda m, x, a, b: _beta(m, x / 3, a, b),
    "kumaraswamy": lambda m, x, a, b: m.log(a * b) + (a - 1) * m.log(x / 3)
    + (b - 1) * m.log1p(-((x / 3) ** a)),
    "uniform": lambda m, x, a, b: -m.log(a + b + x * 0),
    "triangular": lambda m, x, a, b: m.log(2 * x / 3) - m.log(a * b),
    "von mises": lambda m, x, mu, k: k * m.cos(x - mu) - LOG_2PI - m.log(m.special.i0e(k)) - k,
    "inverse gaussian": lambda m, x, mu, k: 0.5 * m.log(k / (2 * math.pi * x**3))
    - k * (x - mu) ** 2 / (2 * mu**2 * x),
    "exponentially modified normal": lambda m, x, s, k: m.log(k / 2) + k * (k * s * s - 2 * x) / 2
    + m.log(m.erfc((k * s * s - x) / (math.sqrt(2) * s))),
    "skew normal": lambda m, x, mu, s: _normal(m, x, mu, s)
    + m.special.log_ndtr(2 * (x - mu) / s),
    "truncated normal": lambda m, x, mu, s: _normal(m, x, mu, s)
    - m.log(m.special.ndtr((3 - mu) / s) - m.special.ndtr(-mu / s)),
    "generalized normal": lambda m, x, a, b: m.log(b / (2 * a)) - m.special.gammaln(1 / b)
    - m.abs(x / a) ** b,
    "moyal": lambda m, x, mu, s: -0.5 * ((x - mu) / s + m.exp(-(x - mu) / s)) - m.log(s),
    "rice": lambda m, x, v, s: m.log(x / s**2) - (x - v) ** 2 / (2 * s**2)
    + m.log(m.special.i0e(x * v / s**2)),
    "maxwell": lambda m, x, a, s: 2 * m.log(x) - x**2 / (2 * s**2) - 3 * m.log(s) + a * 0,
    "rayleigh": lambda m, x, a, s: m.log(x) - 2 * m.log(s) - x**2 / (2 * s**2) + a * x,
    "bernoulli logit": lambda m, x, a, b: 0.3 * (a * x + b) - m.nn.softplus(a * x + b),
    "binomial": lambda m, x, a, b: _binomial(m, 9.0, 4.0) + 4 * m.log(m.special.expit(a * x))
    + 5 * m.log1p(-m.special.expit(a * x)) + b * 0,
    "beta binomial": lambda m, x, a, b: _binomial(m, 9.0, 4.0) + m.special.betaln(4 + a * x, 5 + b)
    - m.special.betaln(a * x, b),
    "poisson": lambda m, x, a, b: 3 * m.log(a * x) - a * x + b * 0,
    "negative binomial": lambda m, x, mu, a: m.special.gammaln(3 + a) - m.special.gammaln(a)
    + a * m.log(a / (mu * x + a)) + 3 * m.log(mu * x / (mu * x + a)),
    "zero inflated poisson": lambda m, x, p, lam: m.log(m.special.expit(p)
    + (1 - m.special.expit(p)) * m.exp(-lam * x)),
    "geometric": lambda m, x, a, b: m.log(m.special.expit(a)) + x * m.log1p(-m.special.expit(a)),
    "dirichlet": lambda m, x, a, b: m.special.gammaln(a + b + x) - m.special.gammaln(a)
    - m.special.gammaln(b) - m.special.gammaln(x) + (a - 1) * m.log(0.2) + (b - 1) * m.log(0.3),
    "mixture of normals": lambda m, x, mu, s: m.logaddexp(
        _normal(m, x, mu, s) + math.log(0.3), _normal(m, x, 2 * mu, 0.5 * s) + math.log(0.7)),
    "ordered logistic": lambda m, x, a, b: m.log(m.special.expit(a + b - x)
    - m.special.expit(a - x)),
}  # fmt: skip


def densities() -> Iterator[Case]:
    """Each summed over five observations, by the observations and both parameters."""
    x = np.array([0.4, 0.8, 1.1, 1.7, 2.3])
    a, b = np.array(1.3), np.array(0.9)
    for name, density in DENSITIES.items():

        def formula(m: Any, x: Any, a: Any, b: Any, density: Density = density) -> Any:
            return m.sum(density(m, x, a, b))

        yield Case("log-densities", name, formula, (x, a, b))


def multivariate() -> Iterator[Case]:
    """A normal vector, an LKJ correlation, and a Wishart matrix, by Cholesky factors."""
    data = numbers(6, 3, seed=8)
    factor = np.tril(numbers(3, 3, seed=9)) + 2 * np.eye(3)

    def normal(m: Any, mu: Any, low: Any) -> Any:
        low = m.tril(low)
        z = m.linalg.solve_triangular(low, (data - mu).T, lower=True)
        return -0.5 * m.sum(z * z) - 6 * m.sum(m.log(m.diagonal(low)))

    def wishart(m: Any, mu: Any, low: Any) -> Any:
        low = m.tril(low)
        scale = low @ low.T
        return m.linalg.slogdet(scale)[1] - m.trace(m.linalg.solve(scale, data.T @ data)) + m.sum(
            mu**2)  # fmt: skip

    yield Case("log-densities", "multivariate normal", normal, (numbers(3, seed=10), factor))
    yield Case("log-densities", "wishart", wishart, (numbers(3, seed=10), factor))
