"""Sorted rows: ranks of short ones, runs and merges of longer ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.lower.cuda import sorting
from tests.cuda import running
from tests.cuda.test_products import emulated
from tests.cuda.test_schedules import launches

RNG = np.random.default_rng(61)


@pytest.fixture(autouse=True)
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that rows that an emulator has time for need several merges."""
    monkeypatch.setattr(sorting, "RUN", 8)
    monkeypatch.setattr(sorting, "SHORT", 16)


def rows(dtype: str, *shape: int) -> np.ndarray:
    array = RNG.integers(-20, 20, shape).astype(dtype)  # many are equal
    if dtype.startswith("float"):
        array[..., ::7], array[..., 3] = np.nan, -np.inf
    return array


@pytest.mark.parametrize("dtype", ["float32", "int64"])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("count", [7, 100])
def test_sort_and_argsort(dtype: str, known: bool, count: int) -> None:
    array = rows(dtype, 2, count)
    x = sg.tensor("x", dtype=dtype, shape=array.shape if known else (None, None))
    found = emulated([sg.sort(x, axis=1), sg.argsort(x, axis=1)], {"x": array})
    np.testing.assert_array_equal(found[0], np.sort(array, axis=1))
    np.testing.assert_array_equal(found[1], np.argsort(array, axis=1, kind="stable"))


def test_the_greatest() -> None:
    array = RNG.permutation(50).astype("float32")
    x = sg.tensor("x", dtype="float32", shape=(50,))
    values, places = emulated(list(sg.topk(x, 4)), {"x": array})
    np.testing.assert_array_equal(values, np.sort(array)[::-1][:4])
    np.testing.assert_array_equal(places, np.argsort(-array, kind="stable")[:4])


def test_the_number_of_launches() -> None:
    def count(n: Any) -> int:
        return launches(running.scheduled(sg.sort(sg.tensor("x", dtype="float32", shape=(n,))))[1])

    assert [count(n) for n in (16, 17, 64)] == [1, 3, 4]  # runs of 8, then merges
    assert count("n") == 3  # runs, their length, and a copy around a loop of merges
