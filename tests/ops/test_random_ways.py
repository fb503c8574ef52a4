"""A draw by every way to run it: interpreted, compiled, any number of threads, in a loop, under
vmap, with sizes known late; and derivatives of draws.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special as sp
import scipy.stats as st

import symgraph as sg
from symgraph.errors import ArgumentError, DTypeError, GradientError, RankError, ShapeError
from symgraph.ops import random as R
from symgraph.ops.random_draws import accepted, draw
from symgraph.ops.random_gamma import log_gamma_slope
from tests.ops.test_random_laws import COUNTS, FLOATS

PICKS: list[tuple[str, Any]] = [
    ("bits", lambda k: R.bits(k, (3, 500), "uint64")),
    ("split", lambda k: R.split(k, 9)),
    ("permutation", lambda k: R.permutation(k, 100)),
    ("shuffle", lambda k: R.shuffle(k, np.arange(60).reshape(6, 10), 1)),
    ("choice", lambda k: R.choice(k, 50, 20, replace=False, p=np.arange(1.0, 51))),
    ("multinomial", lambda k: R.multinomial(k, 1000, [0.2, 0.3, 0.5], 50)),
    ("categorical", lambda k: R.categorical(k, np.log(np.arange(1.0, 13)).reshape(3, 4), (50, 3))),
]
VECTORS: list[tuple[str, Any]] = [
    ("dirichlet", lambda k: R.dirichlet(k, [0.01, 1, 30], 99)),
    ("multivariate_normal", lambda k: R.multivariate_normal(k, [0, 1], [[2, 1], [1, 2]], 99)),
    ("orthogonal", lambda k: R.orthogonal(k, 3, 9)),
    ("wishart", lambda k: R.wishart(k, 4, np.eye(3), 9)),
    ("lkj_cholesky", lambda k: R.lkj_cholesky(k, 3, 2, 9)),
    ("ball", lambda k: R.ball(k, 3, 1.5, 9)),
]


# the same numbers ---------------------------------------------------------------------------------


def once(rows: list[Any]) -> list[Any]:
    """One row of each family."""
    return list({row[0].partition(" ")[0].strip(","): row for row in rows}.values())


def test_compiled_draws_are_the_interpreted_ones() -> None:
    key = sg.tensor("key", "uint32", (2,))
    exact = [(n, b(key, shape=900)) for n, b, _ in once(COUNTS)] + [(n, b(key)) for n, b in PICKS]
    near = [(n, b(key, shape=900)) for n, b, _ in once(FLOATS)] + [(n, b(key)) for n, b in VECTORS]
    near += [(n, b(key, shape=900, dtype="float32")) for n, b, _ in FLOATS[:17]]
    outputs = [y for _, y in (*exact, *near)]
    run, wanted = (
        sg.compile([key], outputs, mode=m)(np.array([7, 9], "uint32")) for m in ("run", "interpret")
    )
    for (name, _), f, w in zip(exact, run, wanted, strict=False):
        np.testing.assert_array_equal(f, w, err_msg=name)
    for (name, _), f, w in zip(near, run[len(exact) :], wanted[len(exact) :], strict=True):
        assert f.dtype == w.dtype
        rtol = 3e-12 if f.dtype == "float64" else 3e-6
        scale = np.median(np.abs(w))
        np.testing.assert_allclose(f, w, rtol=rtol, atol=rtol * scale, err_msg=name)


def test_threads_do_not_change_a_draw() -> None:
    draws = [R.normal(R.key(1), 300_000), R.gamma(R.key(2), 1.5, 300_000)]
    found = []
    for threads in (1, 2, 3):
        with sg.config.change(num_threads=threads):
            found.append(sg.compile([], draws)())
    for a, *others in zip(*found, strict=True):
        for b in others:
            np.testing.assert_array_equal(a, b)


def test_sizes_known_late() -> None:
    x = sg.tensor("x", shape=("n", 3))
    draws = [
        R.gamma(R.key(1), 2.0, x.shape), R.poisson(R.key(2), 30.0, (x.shape[0] + 1,)),
        R.normal(R.key(3), loc=x), R.permutation(R.key(4), x.shape[0]),
        R.categorical(R.key(5), x), R.choice(R.key(6), x, 2, replace=False),
    ]  # fmt: skip
    f = sg.compile([x], draws)
    for n in (2, 5):
        a = np.arange(3.0 * n).reshape(n, 3)
        found = f(a)
        assert [v.shape for v in found] == [(n, 3), (n + 1,), (n, 3), (n,), (n,), (2, 3)]
        np.testing.assert_allclose(found[0], sg.random.gamma(R.key(1), 2.0, (n, 3)).eval())
        assert sorted(found[3]) == list(range(n))


def test_vmap_over_keys_is_one_by_one() -> None:
    keys = R.split(R.key(3), 4)
    builds = [
        lambda k: R.normal(k, 3), lambda k: R.gamma(k, [0.5, 20.0]),
        lambda k: R.poisson(k, [0.5, 200.0]), lambda k: R.permutation(k, 5),
        lambda k: R.categorical(k, p=[0.5, 0.5], shape=3), lambda k: R.dirichlet(k, [1.0, 2.0]),
        lambda k: R.multinomial(k, 50, [0.5, 0.5]), lambda k: R.vonmises(k, 0.0, 2.0, 3),
    ]  # fmt: skip
    together = sg.compile([], [sg.vmap(b)(keys) for b in builds])()
    alone = sg.compile([], [b(keys[j]) for b in builds for j in range(4)])()
    for i, found in enumerate(together):
        np.testing.assert_allclose(found, np.stack(alone[4 * i : 4 * i + 4]), rtol=1e-14)


def test_vmap_of_long_draws() -> None:
    keys = R.split(R.key(3), 3)
    rows = sg.vmap(lambda k: R.gamma(k, 1.5, (30, 40)))(keys).eval()
    for j in range(3):
        np.testing.assert_array_equal(rows[j], R.gamma(keys[j], 1.5, (30, 40)).eval())


def test_rejection_that_seldom_accepts() -> None:
    """More elements are left than are gathered at a time."""

    def propose(words: Any, level: Any) -> Any:
        return words.unit("float64"), words.coarse(2) < level

    d = draw("any", R.key(1), (2000,), None, "float64", {})
    wide, narrow = (
        accepted(d, d.words, propose, (d.full(0.05),), d.full(True, "bool"), share).eval()
        for share in (1, 40)
    )
    np.testing.assert_array_equal(wide, narrow)
    assert st.kstest(wide, "uniform").pvalue > 1e-3 and (wide > 0).all()
    none = accepted(d, d.words, propose, (d.full(0.05),), d.full(False, "bool")).eval()
    assert not none.any()


def test_vmap_over_parameters() -> None:
    a = np.array([0.3, 2.0, 50.0])
    rows = sg.vmap(lambda a: R.gamma(R.key(1), a, 4))(a).eval()
    for k in range(3):
        np.testing.assert_allclose(rows[k], R.gamma(R.key(1), a[k], 4).eval(), rtol=1e-14)


def test_in_a_scan() -> None:
    def step(t: Any, total: Any) -> Any:
        return total + R.gamma(R.fold_in(R.key(5), t), 0.7)

    sums = sg.compile([], sg.scan(step, sg.arange(6), sg.constant(0.0)))()
    parts = [R.gamma(R.fold_in(R.key(5), t), 0.7).eval() for t in range(6)]
    np.testing.assert_allclose(sums, np.cumsum(parts), rtol=1e-14)


def test_draws_begin_alike() -> None:
    for many in (lambda n: R.gamma(R.key(1), 0.5, n), lambda n: R.binomial(R.key(1), 90, 0.4, n)):
        long = many(3000).eval()  # rejected ones are gathered
        for n in (0, 4, 700):
            np.testing.assert_array_equal(long[:n], many(n).eval())
    x = sg.vector("x", shape=("n",))
    draws = [R.gamma(R.key(1), 0.5, x.shape), R.poisson(R.key(1), 30.0, x.shape)]
    f = sg.compile([x], draws, on_unused_input="ignore")
    for n in (0, 4, 3000):
        found = f(np.zeros(n))
        np.testing.assert_array_equal(found[0], R.gamma(R.key(1), 0.5, 3000).eval()[:n])
        np.testing.assert_array_equal(found[1], R.poisson(R.key(1), 30.0, 3000).eval()[:n])


# shapes and parameters ----------------------------------------------------------------------------


def test_parameters_broadcast() -> None:
    column, row = np.ones((3, 1)), np.arange(1.0, 5)
    for pair in (R.beta, R.f, R.binomial):
        assert pair(R.key(0), column, row / 5).eval().shape == (3, 4)
    assert R.normal(R.key(0), (2, 3, 4), loc=row).eval().shape == (2, 3, 4)
    assert R.gamma(R.key(0), row, size=(2, 4)).eval().shape == (2, 4)
    assert R.poisson(R.key(0), np.zeros((0, 3))).eval().shape == (0, 3)
    assert R.dirichlet(R.key(0), np.ones((2, 3)), (5, 2)).eval().shape == (5, 2, 3)
    assert R.multinomial(R.key(0), [3, 4], [0.5, 0.5]).eval().sum(-1).tolist() == [3, 4]
    assert R.multivariate_normal(R.key(0), np.zeros((4, 2)), np.eye(2)).eval().shape == (4, 2)
    z = R.normal(R.key(0), loc=np.zeros(2)).eval()
    assert z[0] != z[1]  # parameters of a shape mean draws of that shape


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_narrow_dtypes(dtype: str) -> None:
    for x in (R.normal(R.key(0), 9, dtype), R.gamma(R.key(0), 2.0, 9, dtype)):
        assert x.dtype == dtype and np.isfinite(x.eval().astype("float32")).all()
    assert R.poisson(R.key(0), 3.0, 9, "int8").eval().dtype == "int8"


def test_mistakes_are_named() -> None:
    key, x = R.key(0), sg.vector("x")
    for wrong, text in (
        (lambda: R.normal(key, 3, scale=-1.0), "random.normal: scale is negative: -1.0"),
        (lambda: R.gamma(key, [1.0, -2.0]), "random.gamma: a is negative: -2.0"),
        (lambda: R.beta(key, 0, 1.0), "random.beta: a is not positive: 0.0"),
        (lambda: R.binomial(key, 2.5, 0.5), "n is no whole number of at least 0: 2.5"),
        (lambda: R.bernoulli(key, 1.5), "p is no probability: 1.5"),
        (lambda: R.geometric(key, 0.0), r"p is not in \(0, 1\]: 0.0"),
        (lambda: R.poisson(key, float("nan")), "lam is no mean"),
        (lambda: R.choice(key, 3, 4, replace=False), "4 elements of 3 cannot"),
        (lambda: R.categorical(key), "exactly one of logits and p"),
        (lambda: R.uniform(key, 3, size=3), "two names of one argument"),
        (lambda: R.multivariate_normal(key, [0.0], [[1.0]], method="qr"), "method is one of"),
    ):
        with pytest.raises(ArgumentError, match=text):
            wrong()
    with pytest.raises(ShapeError, match=r"parameters of shape \(3,\) do not fit into the shape"):
        R.normal(key, (), loc=[1.0, 2.0, 3.0])
    with pytest.raises(ShapeError, match="sizes of shape and parameters differ"):
        R.gamma(key, [1.0, 2.0], 3)
    with pytest.raises(DTypeError, match="draws signed integers"):
        R.poisson(key, 1.0, 3, "uint8")
    with pytest.raises(RankError, match="alpha has no axis"):
        R.dirichlet(key, 1.0)
    with pytest.raises(ShapeError, match="a key is uint32"):
        R.normal(R.split(key, 3), 2)
    with pytest.raises(DTypeError, match="a bound is an integer"):
        R.randint(key, 3, 0.0, x)


def test_impossible_elements_are_marked() -> None:
    v = sg.vector("v")
    key = R.key(0)
    draws = [
        R.normal(key, scale=v), R.gamma(key, v), R.beta(key, 1.0, v), R.vonmises(key, 0.0, v),
        R.wald(key, v), R.truncated_normal(key, 0.0, v), R.student_t(key, v), R.weibull(key, v),
        R.poisson(key, v), R.binomial(key, v, 0.5), R.geometric(key, v), R.zipf(key, v),
        R.hypergeometric(key, 3, v, 1), R.negative_binomial(key, v, 0.5),
        R.poisson(key, v, dtype="float64"),
    ]  # fmt: skip
    for x in (-1.0, np.nan):
        for k, found in enumerate(sg.compile([v], draws)(np.array([x, x]))):
            assert np.isnan(found).all() if found.dtype == "float64" else (found == -1).all(), k


# derivatives --------------------------------------------------------------------------------------


def slopes(build: Any, *at: float) -> tuple[Any, list[Any]]:
    """Draws with one parameter for all of them, and the derivative of each by each parameter."""
    xs = [sg.vector(f"x{k}") for k in range(len(at))]
    y = build(*xs)
    found = sg.compile(xs, [y, *sg.grad(sg.sum(y), xs)])(*(np.full(60, v) for v in at))
    return found[0], found[1:]


def by_quantile(law: Any, y: Any, at: tuple[float, ...], k: int) -> Any:
    """dy/dparameter at fixed probability by differences of SciPy's distribution function."""
    h = 1e-5 * at[k]
    up, down = ([*at[:k], at[k] + s * h, *at[k + 1 :]] for s in (1, -1))
    cdf, sf = (getattr(law(*up), n)(y) - getattr(law(*down), n)(y) for n in ("cdf", "sf"))
    change = np.where(law(*at).cdf(y) < 0.5, cdf, -sf)
    return -change / (2 * h) / law(*at).pdf(y)


@pytest.mark.parametrize(
    "build, law, at",
    [
        (lambda a: R.gamma(R.key(1), a), st.gamma, (0.3,)),
        (lambda a: R.gamma(R.key(1), a), st.gamma, (2.5,)),
        (lambda a: R.gamma(R.key(1), a), st.gamma, (70.0,)),
        (lambda a: R.loggamma(R.key(1), a), st.loggamma, (0.4,)),
        (lambda a: R.inverse_gamma(R.key(1), a), st.invgamma, (2.5,)),
        (lambda a: R.chisquare(R.key(1), a), st.chi2, (3.0,)),
        (lambda k: R.vonmises(R.key(1), 0.0, k), st.vonmises, (0.5,)),
        (lambda k: R.vonmises(R.key(1), 0.0, k), st.vonmises, (20.0,)),
        (lambda a, b: R.truncated_normal(R.key(1), a, b), st.truncnorm, (0.3, 2.0)),
        (lambda a, b: R.truncated_normal(R.key(1), a, b), st.truncnorm, (5.0, 6.0)),
        (lambda a, b: R.truncated_normal(R.key(1), a, b), st.truncnorm, (-3.0, 1.0)),
        (lambda m: R.wald(R.key(1), m), lambda m: st.invgauss(m), (1.5,)),
        (lambda s: R.wald(R.key(1), 1.0, scale=s), lambda s: st.invgauss(1 / s, scale=s), (30.0,)),
        (lambda a: R.weibull(R.key(1), a), st.weibull_min, (1.7,)),
        (lambda a: R.pareto(R.key(1), a), st.pareto, (1.7,)),
        (lambda p: R.generalized_normal(R.key(1), p), st.gennorm, (1.7,)),
    ],
)
def test_derivatives_are_those_of_quantiles(build: Any, law: Any, at: tuple[float, ...]) -> None:
    y, found = slopes(build, *at)
    for k, g in enumerate(found):
        wanted = by_quantile(law, y, at, k)
        np.testing.assert_allclose(g, wanted, rtol=2e-5, atol=2e-7 * np.abs(wanted).max())


def test_gamma_slope_far_out() -> None:
    # mpmath: -dF/da / (z F'(z)) by central differences with 30 digits
    cases = [
        (1e-4, -4.193060535161258, 36862.88901303461),
        (1e-4, -39.21034037197618, 386332.89188461844),
        (0.1, -2.162823150618887, 20.34563037311757),
        (2000.0, 7.600678827740605, 0.000500097583442673),
        (2000.0, 7.601126041343559, 0.000499985770724053),
    ]
    a, y, wanted = np.array(cases).T
    np.testing.assert_allclose(log_gamma_slope(a, y).eval(), wanted, rtol=1e-9)
    tiny = log_gamma_slope(np.array([1e-3]), np.array([-1e5])).eval()
    np.testing.assert_allclose(tiny, (sp.digamma(1e-3) + 1e5) / 1e-3 + 1e6, rtol=1e-9)


def test_means_move_as_they_should() -> None:
    a, b = sg.scalar("a"), sg.scalar("b")
    n = 40000
    x = R.beta(R.key(3), sg.broadcast_to(a, (n,)), b)
    rows = R.dirichlet(R.key(4), sg.stack([a, b]), n)
    t = R.student_t(R.key(5), sg.broadcast_to(a + 6, (n,)))
    costs = [sg.mean(x), sg.mean(rows[:, 0]), sg.mean(t * t)]
    found = sg.compile([a, b], [sg.grad(c, a) for c in costs])(2.0, 3.0)
    np.testing.assert_allclose(found, [3 / 25, 3 / 25, -2 / 36], rtol=0.08)


def test_second_derivative_of_gamma() -> None:
    a = sg.vector("a")
    y = R.loggamma(R.key(1), a)
    (slope,) = sg.grad(sg.sum(y), [a])
    (bend,) = sg.grad(sg.sum(slope), [a])
    at, h = np.full(40, 2.5), 1e-4
    y, slope, bend = sg.compile([a], [y, slope, bend])(at)
    up, down = (log_gamma_slope(at + s * h, y + s * h * slope).eval() for s in (1, -1))
    np.testing.assert_allclose(bend, (up - down) / (2 * h), rtol=1e-6)


def test_counts_carry_no_derivative() -> None:
    lam = sg.scalar("lam")
    with pytest.raises(GradientError):
        sg.grad(sg.sum(R.poisson(R.key(0), lam, 9, "float64")), lam)


# streams ------------------------------------------------------------------------------------------


def test_every_distribution_is_a_method_of_streams() -> None:
    apart = {"RandomStream", "Stream", "fold_in", "key", "split"}
    assert set(R.__all__) - apart <= set(vars(R.Stream))


def test_streams_advance() -> None:
    stream = sg.random.RandomStream(3)
    draws = [stream.gamma(2.0, 3), stream.poisson(4.0, size=3), stream.permutation(9)]
    f = sg.compile([], draws)
    first, second = f(), f()
    assert not any(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    stream.seed(3)
    for a, b in zip(f(), first, strict=True):
        np.testing.assert_array_equal(a, b)
    assert list(stream.updates()) == [c for _, c in stream.states]
