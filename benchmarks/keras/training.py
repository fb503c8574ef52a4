"""Training in Keras: the first call of `fit` and a steady step, on symgraph beside JAX.

    python benchmarks/keras/training.py --out keras.json

Each figure comes from a process of its own; processes of the contenders take turns, and of their
figures the medians are kept. "cold" has an empty disk cache, "warm" finds what the process before
has compiled there; JAX keeps no cache unless it is told to. A step is the mean over an epoch of 40
batches of 32 without a progress bar; of `EPOCHS` epochs the fastest counts. Wall time tells of the
machine's load too, CPU time of all threads does not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
BATCH, BATCHES, EPOCHS = 32, 40, 8
FIGURES = ("first_wall", "first_cpu", "step_wall", "step_cpu")


def networks(keras: Any) -> dict[str, tuple[list[Any], tuple[int, ...]]]:
    """Layers and the shape of one sample, by name."""
    layers = keras.layers
    return {
        "mlp": (
            [layers.Dense(256, "relu"), layers.Dense(128, "relu"), layers.Dense(10)],
            (784,),
        ),
        "cnn": (
            [
                layers.Conv2D(16, 3, activation="relu"),
                layers.MaxPooling2D(2),
                layers.Conv2D(32, 3, activation="relu"),
                layers.MaxPooling2D(2),
                layers.Flatten(),
                layers.Dense(10),
            ],
            (28, 28, 1),
        ),
        "lstm": ([layers.LSTM(32), layers.Dense(10)], (20, 8)),
    }


def timed(work: Any) -> tuple[float, float]:
    """Seconds on the wall and of all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(name: str) -> dict[str, float]:
    """The figures of one network, with the backend of this process."""
    import keras_symgraph  # isort: skip  # noqa: F401  Keras learns of the backend by it
    import keras  # isort: skip

    layers, shape = networks(keras)[name]
    model = keras.Sequential([keras.Input(shape), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH * BATCHES, *shape)).astype("float32")
    y = rng.integers(0, 10, BATCH * BATCHES)

    def fit(count: int) -> None:
        model.fit(x[:count], y[:count], batch_size=BATCH, shuffle=False, verbose=0)

    first = timed(lambda: fit(BATCH))
    fit(len(x))
    steps = [timed(lambda: fit(len(x))) for _ in range(EPOCHS)]
    wall, cpu = (min(s[k] for s in steps) / BATCHES for k in range(2))
    return dict(zip(FIGURES, (*first, wall, cpu), strict=True))


def in_process(backend: str, name: str, cache: str) -> dict[str, float]:
    """The figures of one network, out of a new process."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "KERAS_BACKEND": backend, "SYMGRAPH_CACHE_DIR": cache, "PYTHONPATH": paths}
    command = [sys.executable, __file__, "--child", name]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def compare(name: str, rounds: int) -> dict[str, dict[str, float]]:
    """Medians of some rounds, by contender."""
    found: dict[str, list[dict[str, float]]] = {"symgraph": [], "symgraph warm": [], "jax": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            found["symgraph"].append(in_process("symgraph", name, cache))
            found["symgraph warm"].append(in_process("symgraph", name, cache))
            found["jax"].append(in_process("jax", name, cache))
    return {
        who: {f: statistics.median(row[f] for row in rows) for f in FIGURES}
        for who, rows in found.items()
    }


def show(name: str, rows: dict[str, dict[str, float]]) -> None:
    """One line for each contender, with ratios to JAX."""
    for who, row in rows.items():
        cells = [f"{f} {1e3 * row[f]:9.2f} ms ({row[f] / rows['jax'][f]:5.2f})" for f in FIGURES]
        print(f"{name:5} {who:14} {'  '.join(cells)}", flush=True)


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description="Keras on symgraph beside JAX")
    parser.add_argument("--child", help="measure one network in this process")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(measure(asked.child)))
        return
    found = {}
    for name in ("mlp", "cnn", "lstm"):
        found[name] = compare(name, asked.rounds)
        show(name, found[name])
    if asked.out:
        machine = {"machine": platform.machine(), "cores": os.cpu_count()}
        asked.out.write_text(json.dumps({**machine, "seconds": found}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
