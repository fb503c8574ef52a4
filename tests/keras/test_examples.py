"""The examples in Keras: batch by batch the losses are those of the JAX backend, and what they
learn in the end is as good. Training multiplies differences of rounding, so that only the first
batches can be compared number by number where there are many layers."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("keras")

ROOT = Path(__file__).resolve().parent.parent.parent
# Mean losses over 1, 4 and 8 batches, as Keras' JAX backend gave them.
LOSSES = {
    "mlp": (2.3209422, 2.3327174, 2.2225142),
    "lenet": (2.3330054, 2.3001640, 2.2396514),
    "lstm": (1.1125046, 0.7685795, 0.4822591),
    "autoencoder": (0.1759257, 0.1704734, 0.1660371),
    "transformer": (0.7484318, 1.1724162, 0.9758823),
    "resnet": (1.9763720, 1.6961279, 1.5585191),
}
# After all epochs: what is looked at, what the JAX backend gave, and how far off it may be.
SCORES = {
    "mlp": ("val_accuracy", 0.9833, 0.01),
    "lenet": ("val_accuracy", 0.9777, 0.015),
    "lstm": ("val_loss", 0.00053, 0.0004),
    "autoencoder": ("val_loss", 0.01938, 0.0005),
    "transformer": ("val_accuracy", 0.998, 0.03),
    "resnet": ("accuracy", 0.99, 0.03),
}
ALL = ["mlp", *(pytest.param(name, marks=pytest.mark.slow) for name in LOSSES if name != "mlp")]


def printed(backend: str, name: str, *options: str) -> str:
    """What an example prints."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": paths}
    command = [sys.executable, str(ROOT / "examples" / f"keras_{name}.py"), *options]
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"keras_{name} on {backend}:" in done.stdout
    return done.stdout


def losses_on(backend: str, name: str) -> list[float]:
    """The mean losses of 1, 2, ... 8 batches."""
    found = re.findall(r"^step +\d+ +loss ([\d.]+)$", printed(backend, name, "--steps", "8"), re.M)
    assert len(found) == 8
    return [float(loss) for loss in found]


@pytest.mark.parametrize("name", ALL)
def test_losses_of_the_first_batches(name: str) -> None:
    losses = losses_on("symgraph", name)
    assert (losses[0], losses[3], losses[7]) == pytest.approx(LOSSES[name], rel=1e-4)
    if importlib.util.find_spec("jax") is not None:
        assert losses == pytest.approx(losses_on("jax", name), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SCORES))
def test_score_in_the_end(name: str) -> None:
    what, expected, tolerance = SCORES[name]
    *_, last = re.findall(r"^epoch.*$", printed("symgraph", name), re.M)
    (score,) = re.findall(rf"\b{what} ([\d.]+)", last)
    assert float(score) == pytest.approx(expected, abs=tolerance)
