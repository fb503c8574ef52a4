"""Gathers from a large table, the scatter-add of their gradient, and one into a small table."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from peers import (
    Contender,
    array_formulas,
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

# rows of a table ----------------------------------------------------------------------------------

TAKE = array_formulas(*[lambda e, idx, c: e[idx] * c] * 5)


# a histogram: a million numbers added into a small table ------------------------------------------

BINS, COUNT = 1000, 1_000_000


def binned() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    return np.zeros(BINS, "float32"), rng.integers(0, BINS, COUNT), rng.random(COUNT, "float32")


def add_loop(table: Any, idx: Any, values: Any) -> Any:
    out = table.copy()
    for i in range(idx.size):
        out[idx[i]] += values[i]
    return out


def add_numpy(table: Any, idx: Any, values: Any) -> Any:
    return (table + np.bincount(idx, values, BINS)).astype("float32")


ADD: dict[str, Contender] = {
    "symgraph": symgraph_formula(lambda t, idx, v: t.at[idx].add(v)),
    "numpy": numpy_formula(add_numpy),
    "numba": numba_formula(add_loop),
    "jax": jax_formula(lambda t, idx, v: t.at[idx].add(v)),
    "torch": torch_formula(lambda t, idx, v: t.index_add(0, idx, v)),
    "torch.compile": torch_formula(lambda t, idx, v: t.index_add(0, idx, v), compiled=True),
    "pytensor": pytensor_formula(
        lambda t, idx, v: importlib.import_module("pytensor.tensor").inc_subtensor(t[idx], v)
    ),
}

WORKLOADS = [
    Workload("tables.gather", f"{BATCH} rows of {ROWS}x{WIDTH} floats, times others", table, TAKE,
             moved=BATCH * WIDTH * 12.0),
    Workload("tables.embedding_gradient", f"{BATCH} rows of {ROWS}x{WIDTH} floats", table, GRADIENT,
             moved=ROWS * WIDTH * 4.0 + BATCH * WIDTH * 12.0),
    Workload("tables.scatter_add", f"{COUNT} floats into {BINS}", binned, ADD),
]  # fmt: skip
