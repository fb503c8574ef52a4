"""Samplers over symgraph's functions: nutpie by addresses, PyMC's own by the mode; warm starts."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

pm = pytest.importorskip("pymc")
pytestmark = pytest.mark.filterwarnings("ignore")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pytensor

    import symgraph
    import symgraph.interop.pytensor

ROOT = Path(__file__).resolve().parents[2]
MODE = {"mode": "SYMGRAPH"}
PLAIN = {"mode": "FAST_COMPILE"}


def conjugate() -> Any:
    """Normal means whose posterior is known: means 1.8 and 5, variance 0.8."""
    with pm.Model(coords={"place": ["here", "there"]}) as model:
        x = pm.Normal("x", 1.0, 2.0, dims="place")
        pm.Normal("y", x, 1.0, observed=np.array([2.0, 6.0]), dims="place")
    return model


def test_nutpie_by_addresses_and_through_python() -> None:
    pytest.importorskip("nutpie")
    model = conjugate()
    traces = [
        symgraph.pymc.sample(
            400,
            tune=300,
            chains=2,
            cores=2,
            random_seed=3,
            model=model,
            compile_kwargs={"native": native},
        )
        for native in (True, False)
    ]
    first, second = (np.asarray(t.posterior["x"]) for t in traces)
    assert first.shape == (2, 400, 2)
    np.testing.assert_array_equal(first, second)  # the same code, asked in two ways
    np.testing.assert_allclose(first.mean((0, 1)), [1.8, 5.0], atol=0.2)
    np.testing.assert_allclose(first.std((0, 1)), np.sqrt(0.8), atol=0.12)
    assert list(traces[0].posterior["x"].coords["place"].values) == ["here", "there"]
    assert {"observed_data", "sample_stats"} <= set(traces[0].children)


def test_nutpie_with_other_data() -> None:
    nutpie = pytest.importorskip("nutpie")
    with pm.Model() as model:
        data = pm.Data("data", np.array([1.0, 2.0]))
        x = pm.Normal("x", 0.0, 1.0)
        pm.Normal("y", x, 1.0, observed=data)
    made = symgraph.pymc.compile_pymc_model(model)
    options = {"draws": 500, "tune": 300, "chains": 2, "seed": 2, "progress_bar": False}
    for values in ([1.0, 2.0], [4.0, 4.0, 4.0]):
        trace = nutpie.sample(made.with_data(data=values), **options)
        wanted = sum(values) / (1 + len(values))
        assert float(trace.posterior["x"].mean()) == pytest.approx(wanted, abs=0.15)


def test_a_density_that_python_refuses_is_a_divergence() -> None:
    pytest.importorskip("nutpie")
    with pm.Model() as model:
        x = pm.Normal("x", 1.0, 0.3)
        pm.Normal("y", 0, x, observed=1.0)  # negative scales are refused by a check
    for native in (True, False):
        trace = symgraph.pymc.sample(
            200, tune=200, chains=1, random_seed=1, model=model,
            compile_kwargs={"native": native},
        )  # fmt: skip
        assert float(trace.posterior["x"].min()) > 0


def test_pymcs_sampler_and_predictions() -> None:
    with conjugate():
        trace = pm.sample(
            200, tune=200, chains=1, cores=1, random_seed=1, progressbar=False,
            nuts_sampler="pymc", compile_kwargs=MODE,
        )  # fmt: skip
        assert abs(float(trace.posterior["x"].mean()) - 3.4) < 0.5
        for draw in (pm.sample_posterior_predictive, pm.sample_prior_predictive):
            first = [trace] if draw is pm.sample_posterior_predictive else []
            options = {"random_seed": 5}
            if first:
                options["progressbar"] = False
            ours, again, theirs = (
                draw(*first, **options, compile_kwargs=k) for k in (MODE, MODE, PLAIN)
            )
            name = "posterior_predictive" if first else "prior"
            for key in ours[name].data_vars:  # NumPy's own generators, in the same order
                np.testing.assert_array_equal(ours[name][key], again[name][key])
                np.testing.assert_array_equal(ours[name][key], theirs[name][key])


def test_the_mode_of_the_posterior_and_a_variational_fit() -> None:
    with conjugate():
        if "compile_kwargs" in inspect.signature(pm.find_MAP).parameters:
            found = pm.find_MAP(progressbar=False, compile_kwargs=MODE)
        else:  # of PyMC 5 it compiles in the mode of the configuration
            with pytensor.config.change_flags(mode=symgraph.interop.pytensor.mode()):
                found = pm.find_MAP(progressbar=False)
        np.testing.assert_allclose(found["x"], [1.8, 5.0], atol=1e-3)
        fit = pm.fit(300, random_seed=1, progressbar=False, compile_kwargs=MODE)
    assert np.isfinite(fit.hist).all()
    assert fit.hist[-50:].mean() < fit.hist[:50].mean()


WARM = """
import json, sys, warnings
warnings.simplefilter("ignore")
import numpy as np, pymc as pm
import symgraph.interop.pytensor
from symgraph.interop.pymc import densities
rng = np.random.default_rng(int(sys.argv[1]))
rows = int(sys.argv[2])
group, x = rng.integers(0, 7, rows), rng.normal(size=rows)
with pm.Model() as model:
    level = pm.Normal("level", 0, 2, shape=7)
    slope, sigma = pm.Normal("slope"), pm.HalfNormal("sigma")
    pm.Normal("y", level[group] + slope * x, sigma, observed=rng.normal(size=rows))
made = densities(model)
function = model.logp_dlogp_function(ravel_inputs=True, mode="SYMGRAPH")._pytensor_function
point = np.full(9, 0.1)
wanted = model.compile_logp(mode="FAST_COMPILE")(dict(zip(
    ["level", "slope", "sigma_log__"], [point[:7], point[7], point[8]])))
assert np.isclose(made.logp_and_gradient(point)[0], wanted, rtol=1e-12)
assert np.isclose(function(point)[0], wanted, rtol=1e-12)
found = [f.statistics for f in
         (made.logp.function, made.expand.function, function.vm.program.function)]
print(json.dumps([[s["cached"], s["total"]] for s in found]))
"""


@pytest.mark.parametrize(("count", "functions"), [(40, 2), (600, 3)])
def test_a_second_process_with_new_data_compiles_nothing(
    tmp_path: Path, count: int, functions: int
) -> None:
    """Data of the same shapes find the machine code that the first process left: always by
    `symgraph.pymc`, and by the mode where data are more than a formula's constants."""
    env = {**os.environ, "SYMGRAPH_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    rows = []
    for seed in ("1", "2"):
        command = [sys.executable, "-c", WARM, seed, str(count)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        rows.append(json.loads(done.stdout.splitlines()[-1])[:functions])
    cold, warm = rows
    assert not any(cached for cached, _ in cold)
    assert all(cached for cached, _ in warm)
    assert sum(s for _, s in warm) < sum(s for _, s in cold)


@pytest.mark.slow
def test_the_example_finds_the_reference_posterior(tmp_path: Path) -> None:
    """Three samplings of one posterior, and a picture of them."""
    env = {**os.environ, "SYMGRAPH_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "pymc_hierarchical.py"), "--draws", "400",
         "--reference", "FAST_COMPILE"],
        env=env, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (errors,) = re.findall(r"at most ([\d.]+) standard errors", done.stdout)
    assert float(errors) < 5  # the largest of thirty-two
    (tau,) = re.findall(r"^tau +0\.400 +([\d.]+) ", done.stdout, re.M)
    assert float(tau) == pytest.approx(0.38, abs=0.05)
    picture = ElementTree.parse(tmp_path / "out" / "pymc_hierarchical.svg").getroot()
    samplers = done.stdout.count("with compiling")
    assert len(picture.findall(".//{*}circle")) == 16 * samplers
