"""Sums of many numbers: no further from the truth than NumPy's pairwise sum, along every axis."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import symgraph as sg

N = 1 << 20
LIMIT = 4.0  # roundings; NumPy's pairwise sum of N numbers is within log2(N) / 2 of them


def _data(kind: str, dtype: str) -> np.ndarray:
    if kind == "equal":
        return np.full(N, 0.1, dtype)
    if kind == "alternating":
        return np.where(np.arange(N) % 2 == 0, 1e6, 0.37).astype(dtype)
    return np.random.default_rng(1).random(N).astype(dtype)


def _roundings(found: Any, a: np.ndarray, axis: int) -> float:
    """The largest relative error in units of the dtype's epsilon; the truth is a sum of halves, in
    which each addition is exact to 64 bits and errors cannot pile up."""
    true = _pairwise(np.moveaxis(a.astype("longdouble"), axis, 0))
    return float(np.max(np.abs(found - true) / true)) / float(np.finfo(a.dtype).eps)


def _pairwise(a: np.ndarray) -> np.ndarray:
    while len(a) > 1:
        half = len(a) // 2
        a = np.concatenate([a[:half] + a[half : 2 * half], a[2 * half :]])
    return a[0]


@pytest.mark.parametrize("kind", ["equal", "alternating", "random"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(N,), (N // 4, 4), (4, N // 4), (1024, 1024), (64, 128, 128)])
def test_sums(kind: str, dtype: str, shape: tuple[int, ...]) -> None:
    a = _data(kind, dtype).reshape(shape)
    x = sg.tensor("x", shape=(None,) * len(shape), dtype=dtype)
    for axis in range(len(shape)):
        found = sg.compile([x], [sg.sum(x, axis=axis), sg.mean(x, axis=axis)])(a)
        assert _roundings(found[0], a, axis) < LIMIT
        assert _roundings(found[1] * a.dtype.type(shape[axis]), a, axis) < LIMIT + 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_and_whole_arrays(dtype: str) -> None:
    a = _data("equal", dtype)
    x, m = sg.vector("x", dtype=dtype), sg.matrix("m", dtype=dtype)
    dot, squares = sg.compile([x], [sg.dot(x, x), sg.sum(x * x)])(a)
    true = np.longdouble(a[0]) ** 2 * N
    assert abs(dot - true) / true < LIMIT * np.finfo(dtype).eps
    assert abs(squares - true) / true < LIMIT * np.finfo(dtype).eps
    assert _roundings(sg.compile([m], sg.sum(m))(a.reshape(-1, 2)), a, 0) < LIMIT


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "axis"), [((N,), 0), ((N // 4, 4), 0), ((4, N // 4), 1)])
def test_running_sums(dtype: str, shape: tuple[int, ...], axis: int) -> None:
    a = _data("equal", dtype).reshape(shape)
    x = sg.tensor("x", shape=(None,) * len(shape), dtype=dtype)
    found = np.moveaxis(sg.compile([x], sg.cumsum(x, axis=axis))(a), axis, -1)
    true = np.longdouble(a.flat[0]) * np.arange(1, shape[axis] + 1)
    assert np.max(np.abs(found - true) / true) < 2 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinities_of_running_sums(dtype: str) -> None:
    a = np.array([1, np.inf, 2, -np.inf, 3], dtype)
    x = sg.vector("x", dtype=dtype)
    found = sg.compile([x], sg.cumsum(x))(a)
    assert np.array_equal(found, [1, np.inf, np.inf, np.nan, np.nan], equal_nan=True)


def test_infinities_down_columns() -> None:
    a = np.ones((1000, 3))
    a[500, 0], a[700, 1] = np.inf, np.nan
    x = sg.matrix("x")
    found = sg.compile([x], sg.sum(x, axis=0))(a)
    assert np.array_equal(found, [np.inf, np.nan, 1000], equal_nan=True)


@pytest.mark.parametrize("dtype", [np.dtype("float16"), np.dtype(ml_dtypes.bfloat16)])
def test_narrow_floats_accumulate_in_float32(dtype: np.dtype[Any]) -> None:
    a = np.full((6000, 2), 0.1).astype(dtype)
    x = sg.matrix("x", dtype=dtype.name)
    outputs = [sg.sum(x, axis=0), sg.mean(x, axis=0), sg.sum(x * x, axis=0), sg.cumsum(x, 0)[-1]]
    one = float(a[0, 0])
    wanted = [6000 * one, one, 6000 * float(dtype.type(one * one)), 6000 * one]
    step = float(ml_dtypes.finfo(dtype).eps)
    for found, value in zip(sg.compile([x], outputs)(a), wanted, strict=True):
        assert np.all(np.abs(found.astype("float64") / value - 1) < step)
