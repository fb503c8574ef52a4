"""Every distribution against scipy.stats, with fixed seeds: Kolmogorov and Smirnov for floats,
chi-square for counts. Interpreted; test_random_ways.py compares the other ways to run a draw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats as st

from symgraph.batching.vectorize import vmap
from symgraph.ir.graph import Graph
from symgraph.ir.interpret import interpret
from symgraph.ops import random as R

N = 20000
Build = Callable[..., Any]

FLOATS: list[tuple[str, Build, Any]] = [
    ("uniform", lambda k, **o: R.uniform(k, low=-2, high=3, **o), st.uniform(-2, 5)),
    ("normal", lambda k, **o: R.normal(k, loc=1, scale=2, **o), st.norm(1, 2)),
    ("half_normal", R.half_normal, st.halfnorm()),
    ("lognormal", lambda k, **o: R.lognormal(k, mean=0.5, sigma=0.7, **o),
     st.lognorm(0.7, scale=np.exp(0.5))),
    ("exponential", lambda k, **o: R.exponential(k, scale=3, **o), st.expon(scale=3)),
    ("laplace", lambda k, **o: R.laplace(k, loc=1, scale=2, **o), st.laplace(1, 2)),
    ("logistic", lambda k, **o: R.logistic(k, loc=1, scale=2, **o), st.logistic(1, 2)),
    ("gumbel", lambda k, **o: R.gumbel(k, loc=1, scale=2, **o), st.gumbel_r(1, 2)),
    ("cauchy", lambda k, **o: R.cauchy(k, loc=1, scale=2, **o), st.cauchy(1, 2)),
    ("half_cauchy", R.half_cauchy, st.halfcauchy()),
    ("rayleigh", lambda k, **o: R.rayleigh(k, scale=2, **o), st.rayleigh(scale=2)),
    ("maxwell", lambda k, **o: R.maxwell(k, scale=2, **o), st.maxwell(scale=2)),
    ("weibull", lambda k, **o: R.weibull(k, 0.7, scale=2, **o), st.weibull_min(0.7, scale=2)),
    ("pareto", lambda k, **o: R.pareto(k, 2.5, scale=2, **o), st.pareto(2.5, scale=2)),
    ("power", lambda k, **o: R.power(k, 2.5, **o), st.powerlaw(2.5)),
    ("triangular", lambda k, **o: R.triangular(k, -1, 0, 3, **o), st.triang(0.25, -1, 4)),
    ("gamma", lambda k, **o: R.gamma(k, 2.5, scale=2, **o), st.gamma(2.5, scale=2)),
    ("gamma at 0.1", lambda k, **o: R.gamma(k, 0.1, **o), st.gamma(0.1)),
    ("gamma at 1", lambda k, **o: R.gamma(k, 1, **o), st.gamma(1)),
    ("gamma at 1e6", lambda k, **o: R.gamma(k, 1e6, **o), st.gamma(1e6)),
    ("loggamma", lambda k, **o: R.loggamma(k, 0.3, **o), st.loggamma(0.3)),
    ("inverse_gamma", lambda k, **o: R.inverse_gamma(k, 3, scale=2, **o), st.invgamma(3, scale=2)),
    ("chisquare", lambda k, **o: R.chisquare(k, 3, **o), st.chi2(3)),
    ("f", lambda k, **o: R.f(k, 3, 8, **o), st.f(3, 8)),
    ("student_t", lambda k, **o: R.student_t(k, 3, loc=1, scale=2, **o), st.t(3, 1, 2)),
    ("student_t at 0.5", lambda k, **o: R.student_t(k, 0.5, **o), st.t(0.5)),
    ("beta", lambda k, **o: R.beta(k, 2, 0.7, **o), st.beta(2, 0.7)),
    ("noncentral_chisquare", lambda k, **o: R.noncentral_chisquare(k, 3, 4, **o), st.ncx2(3, 4)),
    ("noncentral_chisquare below 1", lambda k, **o: R.noncentral_chisquare(k, 0.8, 4, **o),
     st.ncx2(0.8, 4)),
    ("noncentral_f", lambda k, **o: R.noncentral_f(k, 3, 8, 2, **o), st.ncf(3, 8, 2)),
    ("generalized_normal", lambda k, **o: R.generalized_normal(k, 1.5, **o), st.gennorm(1.5)),
    ("truncated_normal", lambda k, **o: R.truncated_normal(k, -1, 2, **o), st.truncnorm(-1, 2)),
    ("truncated_normal, left", lambda k, **o: R.truncated_normal(k, -9, -8, **o),
     st.truncnorm(-9, -8)),
    ("truncated_normal, right", lambda k, **o: R.truncated_normal(k, 20, np.inf, **o),
     st.truncnorm(20, np.inf)),
    ("truncated_normal, half", lambda k, **o: R.truncated_normal(k, 0.4, np.inf, **o),
     st.truncnorm(0.4, np.inf)),
    ("truncated_normal, whole", lambda k, **o: R.truncated_normal(k, -np.inf, np.inf, **o),
     st.norm()),
    ("truncated_normal, moved", lambda k, **o: R.truncated_normal(k, 0, 5, loc=-3, scale=2, **o),
     st.truncnorm(1.5, 4, -3, 2)),
    ("vonmises", lambda k, **o: R.vonmises(k, 0.5, 3, **o), st.vonmises(3, 0.5)),
    ("vonmises at 0.1", lambda k, **o: R.vonmises(k, 0, 0.1, **o), st.vonmises(0.1)),
    ("vonmises at 0", lambda k, **o: R.vonmises(k, 0, 0, **o), st.uniform(-np.pi, 2 * np.pi)),
    ("vonmises at 500", lambda k, **o: R.vonmises(k, 0, 500, **o), st.vonmises(500)),
    ("vonmises at 1e9", lambda k, **o: R.vonmises(k, 0, 1e9, **o), st.norm(0, 1e9**-0.5)),
    ("wald", lambda k, **o: R.wald(k, 3, scale=2, **o), st.invgauss(1.5, scale=2)),
    ("wald, narrow", lambda k, **o: R.wald(k, 1, scale=1e4, **o), st.invgauss(1e-4, scale=1e4)),
]  # fmt: skip

COUNTS: list[tuple[str, Build, Any]] = [
    ("poisson at 0.1", lambda k, **o: R.poisson(k, 0.1, **o), st.poisson(0.1)),
    ("poisson at 3", lambda k, **o: R.poisson(k, 3, **o), st.poisson(3)),
    ("poisson at 9.99", lambda k, **o: R.poisson(k, 9.99, **o), st.poisson(9.99)),
    ("poisson at 10", lambda k, **o: R.poisson(k, 10, **o), st.poisson(10)),
    ("poisson at 70", lambda k, **o: R.poisson(k, 70, **o), st.poisson(70)),
    ("binomial 10 0.3", lambda k, **o: R.binomial(k, 10, 0.3, **o), st.binom(10, 0.3)),
    ("binomial 10 0.8", lambda k, **o: R.binomial(k, 10, 0.8, **o), st.binom(10, 0.8)),
    ("binomial 100 0.02", lambda k, **o: R.binomial(k, 100, 0.02, **o), st.binom(100, 0.02)),
    ("binomial 20 0.5", lambda k, **o: R.binomial(k, 20, 0.5, **o), st.binom(20, 0.5)),
    ("binomial 200 0.7", lambda k, **o: R.binomial(k, 200, 0.7, **o), st.binom(200, 0.7)),
    ("geometric", lambda k, **o: R.geometric(k, 0.3, **o), st.geom(0.3)),
    ("negative_binomial", lambda k, **o: R.negative_binomial(k, 2.5, 0.3, **o),
     st.nbinom(2.5, 0.3)),
    ("beta_binomial", lambda k, **o: R.beta_binomial(k, 12, 2, 3, **o), st.betabinom(12, 2, 3)),
    ("logseries", lambda k, **o: R.logseries(k, 0.7, **o), st.logser(0.7)),
    ("logseries near 1", lambda k, **o: R.logseries(k, 0.97, **o), st.logser(0.97)),
    ("zipf", lambda k, **o: R.zipf(k, 2.5, **o), st.zipf(2.5)),
    ("zipf near 1", lambda k, **o: R.zipf(k, 1.2, **o), st.zipf(1.2)),
    ("hypergeometric 5 of 20", lambda k, **o: R.hypergeometric(k, 8, 12, 5, **o),
     st.hypergeom(20, 8, 5)),
    ("hypergeometric 16 of 20", lambda k, **o: R.hypergeometric(k, 12, 8, 16, **o),
     st.hypergeom(20, 12, 16)),
    ("hypergeometric 30 of 90", lambda k, **o: R.hypergeometric(k, 40, 50, 30, **o),
     st.hypergeom(90, 40, 30)),
    ("hypergeometric 60 of 90", lambda k, **o: R.hypergeometric(k, 50, 40, 60, **o),
     st.hypergeom(90, 50, 60)),
    ("bernoulli", lambda k, **o: R.bernoulli(k, 0.3, o["shape"]), st.bernoulli(0.3)),
    ("rademacher", lambda k, **o: R.rademacher(k, **o) + 2, st.randint(1, 4)),
    ("randint", lambda k, **o: R.randint(k, low=-2, high=9, **o), st.randint(-2, 9)),
    ("categorical by p", lambda k, **o: R.categorical(k, p=[0.1, 0, 0.5, 0.4], **o),
     st.rv_discrete(values=([0, 2, 3], [0.1, 0.5, 0.4]))),
    ("categorical by logits",
     lambda k, **o: R.categorical(k, [[5.0, 5.0 + np.log(3.0), -np.inf]], **o),
     st.bernoulli(0.75)),
]  # fmt: skip


def values(*outputs: Any) -> list[Any]:
    return interpret(Graph([], list(outputs)), [])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name, build, law", FLOATS, ids=[row[0] for row in FLOATS])
def test_floats(name: str, build: Build, law: Any, dtype: str) -> None:
    (x,) = values(build(R.key(sum(map(ord, name))), shape=N, dtype=dtype))
    assert x.dtype == dtype and x.shape == (N,) and np.isfinite(x).all()
    x = x.astype("float64")
    assert st.kstest(x, law.cdf).pvalue > 1e-3
    low, high = law.support()
    assert x.min() >= low - 1e-6 * abs(low) and x.max() <= high + 1e-6 * abs(high)
    if name.startswith(("vonmises", "truncated", "lognormal", "student", "inverse", "f", "nonc")):
        return  # moments that SciPy integrates slowly, or that are far from normal
    wanted, variance, excess = map(float, law.stats("mvk"))
    if np.isfinite(variance) and np.isfinite(excess):
        assert abs(x.mean() - wanted) < 4 * (variance / N) ** 0.5
        assert abs(x.var() / variance - 1) < 6 * ((excess + 2) / N) ** 0.5


@pytest.mark.parametrize("name, build, law", COUNTS, ids=[row[0] for row in COUNTS])
def test_counts(name: str, build: Build, law: Any) -> None:
    (x,) = values(build(R.key(sum(map(ord, name)) + 1), shape=N))
    x = x.astype("int64")
    if name == "rademacher":
        assert set(x.tolist()) == {1, 3} and abs(x.mean() - 2) < 0.03
        return
    assert fits(x, law) > 1e-3


def fits(x: Any, law: Any) -> float:
    """The probability of a deviation like this, by chi-square over cells of at least 20."""
    top = min(int(x.min()) + 300, int(x.max()))
    places = np.arange(int(x.min()), top + 1)
    wanted = law.pmf(places) * x.size
    found = np.array([(x == k).sum() for k in places], float)
    keep = wanted >= 20
    assert not found[wanted == 0].any()
    wanted = np.append(wanted[keep], x.size - wanted[keep].sum())
    found = np.append(found[keep], x.size - found[keep].sum())
    if wanted[-1] < 5:
        wanted[-2], found[-2] = wanted[-2:].sum(), found[-2:].sum()
        wanted, found = wanted[:-1], found[:-1]
    return float(st.chisquare(found, wanted).pvalue)


def test_hypergeometric_of_few() -> None:
    (x,) = values(R.hypergeometric(R.key(5), 3, 0, [0, 1, 3], (200, 3)))
    np.testing.assert_array_equal(x, np.broadcast_to([0, 1, 3], (200, 3)))


# tails and extremes -------------------------------------------------------------------------------


def test_huge_means_keep_their_spread() -> None:
    mean = np.array([1e6, 1e9, 1e12, 1e15])
    (x,) = values(R.poisson(R.key(3), mean, (4000, 4)))
    z = (x - mean) / np.sqrt(mean)
    assert all(st.kstest(column, "norm").pvalue > 1e-3 for column in z.T)
    (y,) = values(R.binomial(R.key(4), mean, 0.25, (4000, 4)))
    z = (y - mean / 4) / np.sqrt(mean * 3 / 16)
    assert all(st.kstest(column, "norm").pvalue > 1e-3 for column in z.T)


def test_tiny_shapes_do_not_divide_zero_by_zero() -> None:
    a = 1e-4
    y, b, rows = values(
        R.loggamma(R.key(1), a, N), R.beta(R.key(2), a, a, N), R.dirichlet(R.key(3), [a] * 3, N)
    )
    # y = log g with g of shape a: a * y is almost the logarithm of a uniform number
    assert np.isfinite(y).all() and st.kstest(-a * y, "expon").pvalue > 1e-3
    assert np.isfinite(b).all() and abs((b > 0.5).mean() - 0.5) < 0.02
    np.testing.assert_allclose(rows.sum(-1), 1, rtol=1e-12)
    assert np.abs(np.bincount(rows.argmax(-1)) / N - 1 / 3).max() < 0.02


def test_limits_of_parameters() -> None:
    key = R.key(1)
    found = values(
        R.gamma(key, 0.0, 2), R.gamma(key, 3.0, 2, scale=0.0), R.normal(key, 2, loc=5, scale=0),
        R.poisson(key, 0.0, 2), R.binomial(key, [0, 9, 9, 10**9], [0.5, 0, 1, 1]),
        R.negative_binomial(key, 2, 1.0, 2), R.geometric(key, 1e-300, 2), R.logseries(key, 0.0, 2),
        R.bernoulli(key, [0.0, 1.0], (99, 2)), R.vonmises(key, 0.0, 1e300, 2),
        R.truncated_normal(key, 1e8, np.inf, 2), R.wald(key, 1e-200, 2), R.zipf(key, 500.0, 2),
    )  # fmt: skip
    wanted: list[Any] = [
        [0, 0], [0, 0], [5, 5], [0, 0], [0, 0, 9, 10**9], [0, 0], None, [1, 1],
        np.broadcast_to([False, True], (99, 2)), None, [1e8, 1e8], [1e-200, 1e-200], [1, 1],
    ]  # fmt: skip
    for k, (f, w) in enumerate(zip(found, wanted, strict=True)):
        assert np.isfinite(f).all(), k
        if w is not None:
            np.testing.assert_allclose(f, w, rtol=1e-7, err_msg=str(k))
    assert (found[6] > 1e18).all()


def test_far_tails() -> None:
    """What is far out is as likely as it should be, also in float32."""
    for dtype in ("float32", "float64"):
        (e, g, c) = values(
            R.exponential(R.key(7), 10**6, dtype), R.gumbel(R.key(8), 10**6, dtype),
            R.cauchy(R.key(9), 10**6, dtype),
        )  # fmt: skip
        assert 10 < e.max() < 20 and len(np.unique(np.sort(e)[-200:])) == 200
        assert 10 < g.max() < 20 and -3.2 < g.min() < -2
        assert abs((np.abs(c) > 6.4e4).sum() - 9.9) < 10 and abs((c > 0).mean() - 0.5) < 0.002


# vectors ------------------------------------------------------------------------------------------


def test_dirichlet_and_multinomial() -> None:
    alpha = np.array([0.5, 1.0, 2.5])
    (x,) = values(R.dirichlet(R.key(1), alpha, N))
    np.testing.assert_allclose(x.sum(-1), 1, rtol=1e-12)
    for k in range(3):
        assert st.kstest(x[:, k], st.beta(alpha[k], 4 - alpha[k]).cdf).pvalue > 1e-3
    p = np.array([0.1, 0.0, 0.6, 0.3])
    (m,) = values(R.multinomial(R.key(2), 20, p * 5, N))
    assert (m.sum(-1) == 20).all() and not m[:, 1].any()
    for k in (0, 2, 3):
        assert fits(m[:, k], st.binom(20, p[k])) > 1e-3
    law = st.multinomial(20, p)
    np.testing.assert_allclose(np.cov(m.T), law.cov(), atol=0.12)


@pytest.mark.parametrize("method", ["cholesky", "eigh", "svd"])
def test_multivariate_normal(method: str) -> None:
    cov = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.5]])
    mean = np.array([1.0, -1.0, 0.0])
    (x,) = values(R.multivariate_normal(R.key(3), mean, cov, N, method=method))
    z = np.linalg.solve(np.linalg.cholesky(cov), (x - mean).T)
    assert all(st.kstest(row, "norm").pvalue > 1e-3 for row in z)
    assert st.kstest((z**2).sum(0), st.chi2(3).cdf).pvalue > 1e-3


def test_singular_covariance() -> None:
    (x,) = values(R.multivariate_normal(R.key(3), [0, 0], np.ones((2, 2)), 50, method="eigh"))
    np.testing.assert_allclose(x[:, 0], x[:, 1], rtol=1e-7)


def test_matrices() -> None:
    q, w, root, b = values(
        R.orthogonal(R.key(1), 3, 4000), R.wishart(R.key(2), 5.0, np.diag([1.0, 4.0]), 8000),
        R.lkj_cholesky(R.key(3), 3, 2.0, 8000), R.ball(R.key(4), 3, shape=8000),
    )  # fmt: skip
    np.testing.assert_allclose(q @ np.swapaxes(q, -1, -2), np.broadcast_to(np.eye(3), q.shape),
                               atol=1e-12)  # fmt: skip
    assert st.kstest(q[:, 0, 0], st.uniform(-1, 2).cdf).pvalue > 1e-3  # Archimedes
    assert abs((np.linalg.det(q) > 0).mean() - 0.5) < 0.03
    np.testing.assert_allclose(w.mean(0), 5 * np.diag([1.0, 4.0]), atol=0.4)
    assert st.kstest(w[:, 1, 1] / 4, st.chi2(5).cdf).pvalue > 1e-3
    corr = root @ np.swapaxes(root, -1, -2)
    np.testing.assert_allclose(np.diagonal(corr, 0, 1, 2), 1, rtol=1e-12)
    for i, j in ((1, 0), (2, 0), (2, 1)):  # each is beta(eta + n/2 - 1) on (-1, 1)
        assert st.kstest((corr[:, i, j] + 1) / 2, st.beta(2.5, 2.5).cdf).pvalue > 1e-3
    assert st.kstest(np.linalg.norm(b, axis=-1) ** 3, "uniform").pvalue > 1e-3


# picking ------------------------------------------------------------------------------------------


def test_choice() -> None:
    p = np.array([0.1, 0.0, 0.6, 0.3])
    with_p, even, order, few = values(
        R.choice(R.key(1), 4, N, p=p), R.choice(R.key(2), [5, 6, 7], N),
        R.choice(R.key(3), 9, 9, replace=False), R.choice(R.key(4), 4, 3, replace=False, p=p),
    )  # fmt: skip
    assert fits(with_p, st.rv_discrete(values=([0, 2, 3], p[[0, 2, 3]]))) > 1e-3
    assert fits(even, st.randint(5, 8)) > 1e-3
    assert sorted(order) == list(range(9)) and sorted(few) == [0, 2, 3]


def test_weighted_choice_without_replacement() -> None:
    p = np.array([0.1, 0.2, 0.7])
    draw = vmap(lambda k: R.choice(k, 3, 2, replace=False, p=p))
    (found,) = values(draw(R.split(R.key(9), 2000)))
    first, second = found.T
    assert abs((first == 2).mean() - 0.7) < 0.04
    given = second[first == 2]
    assert abs((given == 1).mean() - 2 / 3) < 0.05


def test_permutations_are_equally_likely() -> None:
    (orders,) = values(vmap(lambda k: R.permutation(k, 3))(R.split(R.key(2), 6000)))
    found = [tuple(v) for v in orders.tolist()]
    tally = [found.count(v) for v in sorted(set(found))]
    assert len(tally) == 6 and st.chisquare(tally).pvalue > 1e-3
    x = np.arange(12.0).reshape(3, 4)
    rows, columns, lines = values(
        R.permutation(R.key(1), x), R.shuffle(R.key(1), x, axis=1),
        R.permutation(R.key(1), x, axis=1, independent=True),
    )  # fmt: skip
    assert sorted(map(tuple, rows)) == sorted(map(tuple, x))
    assert sorted(map(tuple, columns.T)) == sorted(map(tuple, x.T))
    np.testing.assert_array_equal(np.sort(lines, 1), x)
    assert (lines - x[:, :1]).tolist()[0] != (lines - x[:, :1]).tolist()[1]


def test_an_infinite_shape_ends() -> None:
    a = np.array([2.0, np.inf])
    for draw in (R.gamma(R.key(1), a), R.gamma(R.key(1), np.inf, 1000)):
        (found,) = values(draw)
        assert np.isnan(found[-1]) and found[0] != 0
