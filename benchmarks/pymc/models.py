"""The models that are measured: small data, made here from fixed seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

MODELS: dict[str, Callable[[], Any]] = {}


def model(function: Callable[[Any], None]) -> Callable[[Any], None]:
    """Register a function that fills a model, under its name."""

    def build() -> Any:
        import pymc as pm

        with pm.Model() as made:
            function(np.random.default_rng(20))
        return made

    MODELS[function.__name__] = build
    return function


@model
def linear(rng: Any) -> None:
    """Ordinary regression: 500 rows, 8 columns."""
    import pymc as pm

    x = rng.normal(size=(500, 8))
    y = x @ rng.normal(size=8) + rng.normal(size=500)
    b = pm.Normal("b", 0, 2, shape=8)
    a = pm.Normal("a", 0, 5)
    s = pm.HalfNormal("s", 2)
    pm.Normal("y", a + x @ b, s, observed=y)


@model
def eight_schools(rng: Any) -> None:
    """Rubin's schools, not centred."""
    import pymc as pm

    y = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
    sigma = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    mu = pm.Normal("mu", 0, 5)
    tau = pm.HalfCauchy("tau", 5)
    z = pm.Normal("z", 0, 1, shape=8)
    pm.Normal("obs", mu + tau * z, sigma, observed=y)


@model
def radon(rng: Any) -> None:
    """A hierarchical regression like the radon study: 85 counties, 919 houses."""
    import pymc as pm

    county = rng.integers(0, 85, 919)
    floor = rng.integers(0, 2, 919).astype(float)
    y = rng.normal(1.3, 0.8, 919)
    mu_a = pm.Normal("mu_a", 0, 10)
    sigma_a = pm.HalfNormal("sigma_a", 5)
    mu_b = pm.Normal("mu_b", 0, 10)
    sigma_b = pm.HalfNormal("sigma_b", 5)
    a = mu_a + sigma_a * pm.Normal("za", 0, 1, shape=85)
    b = mu_b + sigma_b * pm.Normal("zb", 0, 1, shape=85)
    eps = pm.HalfCauchy("eps", 5)
    pm.Normal("y", a[county] + b[county] * floor, eps, observed=y)


@model
def logistic(rng: Any) -> None:
    """Logistic regression: 1000 rows, 10 columns."""
    import pymc as pm

    x = rng.normal(size=(1000, 10))
    y = (rng.uniform(size=1000) < 0.4).astype(int)
    b = pm.Normal("b", 0, 1, shape=10)
    pm.Bernoulli("y", logit_p=x @ b, observed=y)


@model
def gp_marginal(rng: Any) -> None:
    """A Gaussian process with noise: 100 points."""
    import pymc as pm

    x = np.linspace(0, 10, 100)[:, None]
    y = np.sin(x[:, 0]) + 0.3 * rng.normal(size=100)
    length = pm.Gamma("length", 2, 1)
    height = pm.HalfCauchy("height", 5)
    noise = pm.HalfCauchy("noise", 5)
    process = pm.gp.Marginal(cov_func=height**2 * pm.gp.cov.Matern52(1, length))
    process.marginal_likelihood("y", X=x, y=y, sigma=noise)


@model
def gp_latent(rng: Any) -> None:
    """A latent Gaussian process under counts: 60 points."""
    import pymc as pm

    x = np.linspace(0, 10, 60)[:, None]
    length = pm.InverseGamma("length", 5, 5)
    height = pm.HalfNormal("height", 2)
    f = pm.gp.Latent(cov_func=height**2 * pm.gp.cov.ExpQuad(1, length)).prior("f", X=x)
    pm.Poisson("y", mu=pm.math.exp(f), observed=rng.poisson(3.0, 60))


@model
def mixture(rng: Any) -> None:
    """A mixture of three normals: 500 points."""
    import pymc as pm

    y = np.concatenate([rng.normal(m, 1, n) for m, n in ((-3, 200), (0, 200), (4, 100))])
    w = pm.Dirichlet("w", np.ones(3))
    mu = pm.Normal("mu", [-3.0, 0.0, 3.0], 2, shape=3)
    s = pm.HalfNormal("s", 2, shape=3)
    pm.NormalMixture("y", w, mu, s, observed=y)


@model
def autoregression(rng: Any) -> None:
    """An AR(2) series of 200 steps."""
    import pymc as pm

    rho = pm.Normal("rho", 0, 0.5, shape=2)
    sigma = pm.HalfNormal("sigma", 1)
    pm.AR("y", rho, sigma=sigma, init_dist=pm.Normal.dist(0, 1, shape=2),
          observed=rng.normal(size=200))  # fmt: skip


@model
def random_walk(rng: Any) -> None:
    """Volatility that drifts: a random walk of 300 steps under Student-t returns."""
    import pymc as pm

    step = pm.Exponential("step", 10)
    nu = pm.Exponential("nu", 0.1)
    v = pm.GaussianRandomWalk("v", sigma=step, init_dist=pm.Normal.dist(0, 1), shape=300)
    pm.StudentT("y", nu=nu, lam=pm.math.exp(-2 * v), observed=rng.standard_t(5, 300))


@model
def lkj(rng: Any) -> None:
    """Correlated normals with an LKJ prior: 4 columns, 200 rows."""
    import pymc as pm

    chol, _, _ = pm.LKJCholeskyCov(
        "chol", n=4, eta=2.0, sd_dist=pm.Exponential.dist(1.0, shape=4), compute_corr=True
    )
    mu = pm.Normal("mu", 0, 2, shape=4)
    pm.MvNormal("y", mu, chol=chol, observed=rng.normal(size=(200, 4)))


@model
def ordered(rng: Any) -> None:
    """Ordered logistic regression with five grades: 400 rows."""
    import pymc as pm
    from pymc.distributions.transforms import ordered as increasing

    x = rng.normal(size=400)
    b = pm.Normal("b", 0, 1)
    cuts = pm.Normal(
        "cuts", 0, 2, shape=4, transform=increasing, initval=np.array([-2.0, -1, 1, 2])
    )
    pm.OrderedLogistic("y", eta=b * x, cutpoints=cuts, observed=rng.integers(0, 5, 400))


@model
def zero_inflated(rng: Any) -> None:
    """Counts with too many zeros: 500 rows."""
    import pymc as pm

    x = rng.normal(size=(500, 3))
    y = rng.poisson(2.0, 500) * (rng.uniform(size=500) < 0.6)
    psi = pm.Beta("psi", 1, 1)
    b = pm.Normal("b", 0, 1, shape=3)
    pm.ZeroInflatedPoisson("y", psi=psi, mu=pm.math.exp(x @ b), observed=y)


@model
def censored(rng: Any) -> None:
    """Weibull lifetimes that are cut off: 300 rows."""
    import pymc as pm

    alpha = pm.HalfNormal("alpha", 2)
    beta = pm.HalfNormal("beta", 5)
    y = np.minimum(rng.weibull(1.5, 300) * 3, 4.0)
    pm.Censored("y", pm.Weibull.dist(alpha, beta), lower=None, upper=4.0, observed=y)


@model
def scan_level(rng: Any) -> None:
    """A local level filtered by a loop of 200 steps."""
    import pytensor
    import pytensor.tensor as pt

    import pymc as pm

    y = np.cumsum(rng.normal(size=200))
    gain = pm.Beta("gain", 2, 2)
    sigma = pm.HalfNormal("sigma", 2)

    def step(value: Any, level: Any, gain: Any) -> Any:
        return level + gain * (value - level)

    found = pytensor.scan(
        step, sequences=[pt.as_tensor(y[:-1])], outputs_info=[pt.constant(0.0, dtype="float64")],
        non_sequences=[gain],
    )  # fmt: skip
    levels = found[0] if isinstance(found, tuple) else found
    pm.Normal("y", levels, sigma, observed=y[1:])
