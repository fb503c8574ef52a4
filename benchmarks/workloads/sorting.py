"""Sorting, the order of elements, the largest ones, and running sums."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from peers import array_formulas, numba_formula

from workloads import Workload, arrays


def named(name: str, torch: Any, pytensor: bool = True, **options: Any) -> dict[str, Any]:
    """A function that all libraries have under one name but torch."""

    def of(module: str) -> Any:
        return lambda x: getattr(importlib.import_module(module), name)(x, **options)

    return array_formulas(
        numpy=of("numpy"), symgraph=of("symgraph"), jax=of("jax.numpy"), torch=torch,
        pytensor=of("pytensor.tensor") if pytensor else None,
    )  # fmt: skip


def cumsum_loop(x: Any) -> Any:
    out, total = np.empty_like(x), x.dtype.type(0)
    for i in range(x.size):
        total += x[i]
        out[i] = total
    return out


TOP = array_formulas(
    numpy=lambda x: np.flip(np.sort(np.partition(x, -16, -1)[:, -16:], -1), -1),
    symgraph=lambda x: importlib.import_module("symgraph").topk(x, 16)[0],
    jax=lambda x: importlib.import_module("jax").lax.top_k(x, 16)[0],
    torch=lambda x: importlib.import_module("torch").topk(x, 16)[0],
)
MILLION = arrays((1_000_000,))
ROWS = arrays((4096, 256), dtype="float32")

WORKLOADS = [
    Workload("sorting.sort", "1e6 doubles", MILLION,
             named("sort", lambda x: x.sort()[0]) | {"numba": numba_formula(lambda x: np.sort(x))}),
    Workload("sorting.sort_rows", "4096x256 floats along axis 1", ROWS,
             named("sort", lambda x: x.sort(1)[0], axis=1)),
    Workload("sorting.argsort", "1e6 doubles", MILLION,
             named("argsort", lambda x: x.argsort())
             | {"numba": numba_formula(lambda x: np.argsort(x))}),
    Workload("sorting.top16", "the 16 largest of 256 floats, 4096 rows", ROWS, TOP),
    Workload("sorting.cumsum", "1e6 doubles", MILLION,
             named("cumsum", lambda x: x.cumsum(0)) | {"numba": numba_formula(cumsum_loop)}),
    Workload("sorting.cumsum.axis1", "4096x256 floats along axis 1", ROWS,
             named("cumsum", lambda x: x.cumsum(1), axis=1)),
    Workload("sorting.cumsum.axis0", "4096x256 floats along axis 0", ROWS,
             named("cumsum", lambda x: x.cumsum(0), axis=0)),
]  # fmt: skip
