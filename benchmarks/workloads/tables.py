"""Gathers from a large table and the scatter-add of their gradient."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from peers import (
    Contender,
    jax_formula,
    jax_module,
    numba_formula,
    numpy_formula,
    pytensor_formula,
    symgraph_formula,
    torch_formula,
)

from workloads import Workload

ROWS, WIDTH, BATCH = 50_000, 64, 4096


def table() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(ROWS, WIDTH)).astype("float32"),
        rng.integers(0, ROWS, size=BATCH),
        rng.normal(size=(BATCH, WIDTH)).astype("float32"),
    )


def gather_loss(rows: Any, c: Any) -> Any:
    return (rows * rows * c).sum()


def numpy_gradient(e: Any, idx: Any, c: Any) -> Any:
    out = np.zeros_like(e)
    np.add.at(out, idx, 2 * e[idx] * c)
    return out


def loop_gradient(e: Any, idx: Any, c: Any) -> Any:
    out = np.zeros_like(e)
    for i in range(idx.size):
        for k in range(e.shape[1]):
            out[idx[i], k] += np.float32(2) * e[idx[i], k] * c[i, k]
    return out


def symgraph_gradient(e: Any, idx: Any, c: Any) -> Any:
    return importlib.import_module("symgraph").grad(gather_loss(e[idx], c), e)


def jax_gradient(e: Any, idx: Any, c: Any) -> Any:
    return jax_module().grad(lambda table: gather_loss(table[idx], c))(e)


def torch_gradient(e: Any, idx: Any, c: Any) -> Any:
    torch = importlib.import_module("torch")
    e = e.detach().requires_grad_(True)
    rows = torch.nn.functional.embedding(idx, e)
    return torch.autograd.grad(gather_loss(rows, c), e)[0]


def pytensor_gradient(e: Any, idx: Any, c: Any) -> Any:
    return importlib.import_module("pytensor").grad(gather_loss(e[idx], c), e)


GRADIENT: dict[str, Contender] = {
    "symgraph": symgraph_formula(symgraph_gradient),
    "numpy": numpy_formula(numpy_gradient),
    "numba": numba_formula(loop_gradient),
    "jax": jax_formula(jax_gradient),
    "torch": torch_formula(torch_gradient),
    "pytensor": pytensor_formula(pytensor_gradient),
}

WORKLOADS = [
    Workload("tables.embedding_gradient", f"{BATCH} rows of {ROWS}x{WIDTH} floats", table, GRADIENT)
]
