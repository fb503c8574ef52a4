"""The examples in Keras: each trains for a few batches, and its loss is that of the JAX backend."""

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
# Batches and the mean loss over them: what Keras' JAX backend gave, for resnet what symgraph gave.
LOSSES = {
    "mlp": (4, 2.3327174),
    "lenet": (4, 2.3001640),
    "lstm": (4, 0.7685795),
    "autoencoder": (4, 0.1704734),
    "transformer": (4, 1.1724162),
    "resnet": (1, 1.9763720),
}
ALL = ["mlp", *(pytest.param(name, marks=pytest.mark.slow) for name in LOSSES if name != "mlp")]


def loss_on(backend: str, name: str, steps: int) -> float:
    """The mean loss of some batches, as the example prints it."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": paths}
    command = [sys.executable, str(ROOT / "examples" / f"keras_{name}.py"), "--steps", str(steps)]
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"keras_{name} on {backend}:" in done.stdout
    (loss,) = re.findall(r"epoch  1 .*\bloss ([\d.]+)", done.stdout)
    return float(loss)


@pytest.mark.parametrize("name", ALL)
def test_loss(name: str) -> None:
    steps, expected = LOSSES[name]
    loss = loss_on("symgraph", name, steps)
    assert loss == pytest.approx(expected, rel=1e-4)
    if importlib.util.find_spec("jax") is not None:
        assert loss == pytest.approx(loss_on("jax", name, steps), rel=1e-4)
