"""Sums: everything, along either axis, and with work fused into them."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from peers import array_formulas, numba_formula

from workloads import Workload, arrays


def total(axis: int | None) -> dict[str, Any]:
    return array_formulas(
        numpy=lambda x: np.sum(x, axis=axis),
        symgraph=lambda x: importlib.import_module("symgraph").sum(x, axis),
        jax=lambda x: importlib.import_module("jax").numpy.sum(x, axis=axis),
        torch=lambda x: x.sum() if axis is None else x.sum(axis),
        pytensor=lambda x: x.sum(axis=axis),
    )


def distance(x: Any, y: Any) -> Any:
    return ((x - y) ** 2).sum()


def distance_loop(x: Any, y: Any) -> Any:
    out = 0.0
    for i in range(x.size):
        out += (x[i] - y[i]) ** 2
    return out


SQUARE = arrays((1024, 1024), dtype="float32")

WORKLOADS = [
    Workload("sums.all", "1024x1024 floats", SQUARE, total(None)),
    Workload("sums.axis1", "1024x1024 floats", SQUARE, total(1)),
    Workload("sums.axis0", "1024x1024 floats", SQUARE, total(0)),
    Workload("sums.doubles", "1e6 doubles", arrays((1_000_000,)), total(None)),
    Workload(
        "sums.distance", "sum((x - y)**2), 1e6 doubles", arrays((1_000_000,), (1_000_000,)),
        array_formulas(*[distance] * 5) | {"numba": numba_formula(distance_loop, fastmath=True)},
    ),
]  # fmt: skip
