"""The command that measures everything on a GPU, tiny and on an emulated device."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cuda import __main__ as bench
from benchmarks.cuda import factors, kernels, words
from benchmarks.cuda.models import MODELS
from symgraph.runtime.cuda.device import using
from tests.cuda.fake_driver import FakeDriver


@pytest.mark.slow
def test_everything_runs_dry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--dry-run", "--out", str(tmp_path)]) == 0
    (path,) = tmp_path.iterdir()
    found = json.loads(path.read_text())
    assert found["about"]["dry"] and found["about"]["date"] and found["about"]["driver"]
    assert set(found["figures"]["step us"]) == set(MODELS)
    assert set(found["figures"]["ms"]) == set(factors.works(True))
    assert all("own kernels" in row for row in found["figures"]["ms"].values())
    assert set(found["figures"]["GB/s"]) | set(found["figures"]["TFLOP/s"]) == set(
        kernels.works(True)
    )
    assert "| softmax |" in capsys.readouterr().out


def test_a_part_and_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "PARTS", (bench.copies,))
    assert bench.main(["--dry-run", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "cuda_emulated_GPU.json").read_text())
    assert set(found["figures"]) == {"copy GB/s"}
    assert all(row["symgraph"] > 0 for row in found["figures"]["copy GB/s"].values())


def test_a_failure_costs_no_other_figure(capsys: pytest.CaptureFixture[str]) -> None:
    with using(FakeDriver()) as gpu:
        made = bench.Bench(gpu, True, (), 100.0)
        made.note("part", "work", "bad", lambda: 1 / 0)
        made.note("part", "work", "good", lambda: 2.0)
        late = bench.Bench(gpu, True, (), -1.0)
        late.note("part", "work", "any", lambda: 2.0)
    assert made.found["part"]["work"]["good"] == 2.0
    assert str(made.found["part"]["work"]["bad"]).startswith("failed: ZeroDivisionError")
    assert late.found["part"]["work"]["any"] == "left out: no time"
    assert bench.table(made.found).splitlines()[2] == "| part | work | failed | 2 |"


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def none() -> Any:
        raise bench.TargetError("there is no GPU here")

    monkeypatch.setattr(bench, "device", none)
    assert bench.main([]) == 2
    assert "no GPU here" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
@pytest.mark.parametrize("name", MODELS)
def test_models_are_the_same_in_jax(name: str) -> None:
    import jax
    import numpy as np

    import symgraph as sg

    model = MODELS[name](True)
    params, batch = model.arrays()
    shared = [sg.shared(a) for a in params]
    inputs = [sg.tensor(n, dtype="float32", shape=s) for n, s in model.batch.items()]
    own = sg.compile(inputs, model.loss(words.Symgraph, shared, *inputs))(*batch)
    other = model.loss(words.Jax(jax), [jax.numpy.asarray(p) for p in params], *batch)
    np.testing.assert_allclose(own, other, rtol=1e-4)
