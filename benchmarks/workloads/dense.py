"""Matrix products, square and skinny, and with a bias and relu behind them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from peers import array_formulas

from workloads import Workload, arrays

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


PRODUCT = array_formulas(*[lambda x, w: x @ w] * 5)


def pair(rows: int, inner: int, columns: int, dtype: str = "float32") -> Any:
    return arrays((rows, inner), (inner, columns), dtype=dtype)


SQUARES = (16, 32, 64, 128, 256, 512, 1024, 2048)
SKINNY = ((4096, 64, 64), (64, 4096, 64), (64, 64, 4096), (2048, 2048, 8), (1, 2048, 2048))
LAYERS = ((16, 16, 16), (64, 64, 64), (256, 256, 256), (1024, 1024, 1024), (128, 784, 10))

WORKLOADS = [
    Workload(f"dense.matmul_{n}", f"x @ w, {n} square, floats", pair(n, n, n), PRODUCT,
             flops=2.0 * n**3)
    for n in SQUARES
] + [
    Workload(f"dense.matmul_{m}x{k}x{n}", "x @ w, floats", pair(m, k, n), PRODUCT,
             flops=2.0 * m * k * n)
    for m, k, n in SKINNY
] + [
    Workload("dense.matmul_512_doubles", "x @ w, 512 square, doubles",
             pair(512, 512, 512, "float64"), PRODUCT, flops=2.0 * 512**3),
    Workload("dense.matvec_2048", "x @ v, 2048 square, floats",
             arrays((2048, 2048), (2048,), dtype="float32"), PRODUCT, flops=2.0 * 2048**2),
] + [
    Workload(f"dense.layer_{m}x{k}x{n}", "relu(x @ w + b), floats", layer(m, k, n), LAYER,
             flops=2.0 * m * k * n)
    for m, k, n in LAYERS
]  # fmt: skip
