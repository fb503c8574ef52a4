"""PyMC's models with symgraph's mode: logp and gradient, and draws."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

pm = pytest.importorskip("pymc")
pytestmark = pytest.mark.filterwarnings("ignore")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import symgraph.interop.pytensor  # noqa: F401
    from benchmarks.pymc.measure import compiled
    from benchmarks.pymc.models import MODELS


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str) -> None:
    model = MODELS[name]()
    ours, point = compiled(model, "SYMGRAPH")
    theirs, _ = compiled(model, "FAST_COMPILE")
    for a, b in zip(ours(point), theirs(point), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6 if name == "gp_latent" else 1e-9, atol=1e-9)
    assert not ours.vm.program.performed


def test_draws() -> None:
    with pm.Model():
        x = pm.Normal("x", 1.0, 2.0, shape=2)
        pm.Normal("y", x, 1.0, observed=np.array([1.0, 3.0]))
        options = {"mode": "SYMGRAPH"}
        trace = pm.sample(
            200, tune=200, chains=1, cores=1, random_seed=1, progressbar=False,
            nuts_sampler="pymc", compile_kwargs=options,
        )  # fmt: skip
        prior = pm.sample_prior_predictive(50, random_seed=1, compile_kwargs=options)
    assert abs(float(trace.posterior["x"].mean()) - 1.8) < 0.5
    assert prior.prior["x"].shape == (1, 50, 2)
