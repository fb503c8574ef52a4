"""A hierarchical model of PyMC, compiled by symgraph: logp against PyTensor's own mode, then draws.

    python examples/pytensor_hierarchical.py [--draws 500]

Needs PyMC (`pip install pymc`). Houses in counties have a radon level of their own; levels of
counties are drawn from a common distribution.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
import pymc as pm

import symgraph.interop.pytensor  # noqa: F401  (registers the mode "SYMGRAPH")

COUNTIES, HOUSES = 30, 400


def hierarchical(rng: np.random.Generator) -> tuple[pm.Model, np.ndarray]:
    """The model over made-up houses, and the county effects they were made with."""
    county = rng.integers(0, COUNTIES, HOUSES)
    floor = rng.integers(0, 2, HOUSES).astype(float)
    effects = rng.normal(1.5, 0.4, COUNTIES)
    radon = effects[county] - 0.7 * floor + rng.normal(0, 0.5, HOUSES)
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 3)
        tau = pm.HalfNormal("tau", 1)
        z = pm.Normal("z", 0, 1, shape=COUNTIES)
        level = pm.Deterministic("level", mu + tau * z)
        slope = pm.Normal("slope", 0, 2)
        sigma = pm.HalfNormal("sigma", 1)
        pm.Normal("radon", level[county] + slope * floor, sigma, observed=radon)
    return model, effects


def logp_and_gradient(model: pm.Model, mode: str) -> tuple[list[Any], float, float]:
    """Values at a fixed point, seconds to compile, microseconds per call."""
    t = time.perf_counter()
    function = model.logp_dlogp_function(ravel_inputs=True, mode=mode)
    function.set_extra_values({})
    size = sum(int(np.prod(v.type.shape)) for v in model.value_vars)
    point = 0.1 * np.sin(np.arange(size, dtype=float))
    values = function._pytensor_function(point)
    compiled = time.perf_counter() - t
    function._pytensor_function.trust_input = True
    t = time.perf_counter()
    for _ in range(2000):
        function._pytensor_function(point)
    return [np.asarray(v) for v in values], compiled, (time.perf_counter() - t) / 2000 * 1e6


def main() -> None:
    """Compare, sample, compare with what the data were made with."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--reference", default="NUMBA")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    model, effects = hierarchical(np.random.default_rng(7))
    ours, compiled, call = logp_and_gradient(model, "SYMGRAPH")
    print(f"SYMGRAPH: compiled in {compiled:.2f} s, {call:.1f} us per call")
    theirs, compiled, call = logp_and_gradient(model, args.reference)
    print(f"{args.reference}: compiled in {compiled:.2f} s, {call:.1f} us per call")
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)
    print(f"logp {float(ours[0]):.6f} and its gradient agree")
    if args.draws:
        with model:
            trace = pm.sample(
                args.draws, tune=args.draws, chains=2, cores=1, random_seed=1, progressbar=False,
                nuts_sampler="pymc", compile_kwargs={"mode": "SYMGRAPH"},
            )  # fmt: skip
        posterior = trace.posterior
        found = posterior["level"].mean(("chain", "draw")).values
        error = float(np.sqrt(np.mean((found - effects) ** 2)))
        print(f"slope {float(posterior['slope'].mean()):.2f} (made with -0.70)")
        print(f"levels of counties: root mean square error {error:.2f}")
        assert error < 0.3


if __name__ == "__main__":
    main()
