"""Sums and other reductions: everything, along each axis, and with work fused into them."""

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


def over(axis: Any) -> dict[str, Any]:
    return array_formulas(*[lambda x: x.sum(axis)] * 5)


def largest(axis: int | None) -> dict[str, Any]:
    return array_formulas(
        numpy=lambda x: np.max(x, axis=axis),
        symgraph=lambda x: importlib.import_module("symgraph").max(x, axis),
        jax=lambda x: importlib.import_module("jax").numpy.max(x, axis=axis),
        torch=lambda x: x.max() if axis is None else x.amax(axis),
        pytensor=lambda x: x.max(axis=axis),
    )


def positive_loop(x: Any) -> Any:
    out = 0
    for i in range(x.size):
        out += x[i] > 0
    return out


def masked(x: Any, m: Any) -> Any:
    return (x * (m > 0)).sum(0)


NORM = array_formulas(
    numpy=lambda x: np.sqrt(np.sum(x * x)),
    symgraph=lambda x: importlib.import_module("symgraph").sqrt((x * x).sum()),
    jax=lambda x: importlib.import_module("jax").numpy.linalg.norm(x),
    torch=lambda x: importlib.import_module("torch").linalg.vector_norm(x),
    pytensor=lambda x: importlib.import_module("pytensor.tensor").sqrt((x * x).sum()),
)
DOT = array_formulas(
    numpy=lambda x, y: x @ y, symgraph=lambda x, y: x @ y, jax=lambda x, y: x @ y,
    torch=lambda x, y: x @ y, pytensor=lambda x, y: x @ y,
)  # fmt: skip
SQUARE = arrays((1024, 1024), dtype="float32")
MILLION = arrays((1_000_000,))
TWO = arrays((1_000_000,), (1_000_000,))

WORKLOADS = [
    Workload("sums.all", "1024x1024 floats", SQUARE, total(None)),
    Workload("sums.axis1", "1024x1024 floats", SQUARE, total(1)),
    Workload("sums.axis0", "1024x1024 floats", SQUARE, total(0)),
    Workload("sums.large", "1e7 floats", arrays((10_000_000,), dtype="float32"), total(None)),
    Workload("sums.middle", "64x256x256 floats over axis 1",
             arrays((64, 256, 256), dtype="float32"), over(1)),
    Workload("sums.outer_two", "64x256x256 floats over axes 0 and 2",
             arrays((64, 256, 256), dtype="float32"), over((0, 2))),
    Workload("sums.short_rows", "250000x4 floats over axis 1",
             arrays((250_000, 4), dtype="float32"), total(1)),
    Workload("sums.doubles", "1e6 doubles", MILLION, total(None)),
    Workload("sums.distance", "sum((x - y)**2), 1e6 doubles", TWO,
             array_formulas(*[distance] * 5)
             | {"numba": numba_formula(distance_loop, fastmath=True)}),
    Workload("sums.norm", "sqrt(sum(x * x)), 1e6 doubles", MILLION, NORM),
    Workload("sums.dot", "x @ y, 1e6 doubles", TWO, DOT),
    Workload("sums.positive", "how many of 1e6 doubles are positive", MILLION,
             array_formulas(*[lambda x: (x > 0).sum()] * 5)
             | {"numba": numba_formula(positive_loop)}),
    Workload("sums.masked", "sum over axis 0 of x * (m > 0), 1024x1024 floats",
             arrays((1024, 1024), (1024, 1024), dtype="float32"), array_formulas(*[masked] * 5)),
    Workload("sums.largest", "max of 1024x1024 floats", SQUARE, largest(None)),
    Workload("sums.largest.axis0", "max of 1024x1024 floats over axis 0", SQUARE, largest(0)),
]  # fmt: skip
