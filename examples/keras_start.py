"""What the Keras examples share: the choice of a backend, weights to start from, and a report.

    python examples/keras_mlp.py                     # on symgraph
    KERAS_BACKEND=jax python examples/keras_mlp.py   # the same losses, up to rounding
    python examples/keras_mlp.py --steps 3           # three batches instead of all

Backends of Keras have random numbers of their own, so weights start from NumPy's, and batches come
in the order of the data. What is left to differ is the arithmetic.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "symgraph")

import keras_symgraph  # isort: skip  # noqa: F401  Keras learns of the backend by it
import keras  # isort: skip


def same_start(model: Any, seed: int = 0) -> None:
    """Give matrices and kernels random values of Glorot and Bengio (2010), the same everywhere.

    Vectors (biases, scales) keep what Keras gave them, which is not random.
    """
    rng = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        shape = tuple(weight.shape)
        if len(shape) > 1:
            field = int(np.prod(shape[:-2]))
            limit = np.sqrt(6 / (field * (shape[-2] + shape[-1])))
            weight.assign(rng.uniform(-limit, limit, shape).astype("float32"))


def steps_asked() -> int | None:
    """How many batches to train on; None for all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, help="train on this many batches, once")
    return parser.parse_args().steps


class Report(keras.callbacks.Callback):
    """Prints the mean loss of the batches so far, after each."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keras' hook."""
        print(f"step {batch + 1:2}  loss {logs['loss']:.7f}")


def train(
    model: Any, x: np.ndarray, y: np.ndarray, epochs: int, batch: int, held_out: float = 0.2
) -> dict[str, list[float]]:
    """Fit a compiled model on the first rows, validate on the rest, print and return the history.

    With ``--steps N`` only N batches are seen, in one epoch, and each has a line for the loss.
    """
    steps = steps_asked()
    cut = len(x) - int(held_out * len(x))
    validation: Any = (x[cut:], y[cut:])
    if steps is not None:
        cut, epochs, validation = min(cut, steps * batch), 1, None
    same_start(model)
    print(f"{model.name} on {keras.backend.backend()}: {model.count_params()} parameters")
    start = time.perf_counter()
    history = model.fit(
        x[:cut],
        y[:cut],
        batch_size=batch,
        epochs=epochs,
        shuffle=False,
        validation_data=validation,
        callbacks=None if steps is None else [Report()],
        verbose=0,
    ).history
    seconds = time.perf_counter() - start
    for epoch in range(epochs):
        row = "  ".join(f"{name} {values[epoch]:.7f}" for name, values in history.items())
        print(f"epoch {epoch + 1:2}  {row}")
    print(f"{seconds:.1f} s")
    return history
