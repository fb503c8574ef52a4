"""Many small matrix products and small factorisations at once."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from peers import array_formulas

from workloads import Workload, arrays

PRODUCT = array_formulas(*[lambda x, y: x @ y] * 5)
PER_ROW = array_formulas(*[lambda x, y: (x[:, :, None] * y[:, None, :]).sum(0)] * 5)


def products(count: int, n: int) -> Workload:
    return Workload(
        f"batched.matmul_{count}x{n}", f"{count} products of {n}x{n} floats",
        arrays((count, n, n), (count, n, n), dtype="float32"), PRODUCT, flops=2.0 * count * n**3,
    )  # fmt: skip


def definite(count: int, n: int) -> Any:
    def make() -> tuple[np.ndarray, ...]:
        a = np.random.default_rng(0).normal(size=(count, n, n))
        return (a @ a.transpose(0, 2, 1) + n * np.eye(n),)

    return make


CHOLESKY = array_formulas(
    numpy=lambda a: np.linalg.cholesky(a),
    symgraph=lambda a: importlib.import_module("symgraph").linalg.cholesky(a),
    jax=lambda a: importlib.import_module("jax").numpy.linalg.cholesky(a),
    torch=lambda a: importlib.import_module("torch").linalg.cholesky(a),
)

WORKLOADS = [
    products(10_000, 4),
    products(4096, 8),
    products(1024, 16),
    products(512, 32),
    products(128, 64),
    Workload("batched.outer_sum", "the sum of 1000 outer products of 64 floats",
             arrays((1000, 64), (1000, 64), dtype="float32"), PER_ROW, flops=2.0 * 1000 * 64 * 64),
    Workload("batched.cholesky", "1000 of 16x16 doubles", definite(1000, 16), CHOLESKY),
]  # fmt: skip
