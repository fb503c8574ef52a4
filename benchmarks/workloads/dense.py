"""Matrix products with a bias and relu behind them."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np
from peers import array_formulas

from workloads import Workload

LAYER = array_formulas(
    numpy=lambda x, w, b: np.maximum(x @ w + b, np.float32(0)),
    symgraph=lambda x, w, b: importlib.import_module("symgraph").nn.relu(x @ w + b),
    jax=lambda x, w, b: importlib.import_module("jax").nn.relu(x @ w + b),
    torch=lambda x, w, b: importlib.import_module("torch").addmm(b, x, w).relu_(),
    pytensor=lambda x, w, b: importlib.import_module("pytensor.tensor").maximum(x @ w + b, 0),
)


def layer(rows: int, inner: int, columns: int) -> Callable[[], tuple[np.ndarray, ...]]:
    def make() -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(0)
        shapes: list[tuple[int, ...]] = [(rows, inner), (inner, columns), (columns,)]
        return tuple(rng.normal(size=s).astype("float32") for s in shapes)

    return make


WORKLOADS = [
    Workload(f"dense.layer_{m}x{k}x{n}", "relu(x @ w + b), floats", layer(m, k, n), LAYER)
    for m, k, n in ((16, 16, 16), (64, 64, 64), (256, 256, 256), (1024, 1024, 1024), (128, 784, 10))
]
