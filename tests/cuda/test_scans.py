"""Cumulative ops by many threads."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.loops.text import program_text
from tests.cuda import running
from tests.cuda.test_products import emulated
from tests.cuda.test_schedules import launches

RNG = np.random.default_rng(41)


@pytest.mark.parametrize(("count", "steps"), [(513, 3), (40_000, 5)])
def test_levels(count: int, steps: int) -> None:
    x = sg.tensor("x", dtype="float32", shape=(count,))
    assert launches(running.scheduled(sg.cumsum(x))[1]) == steps


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("shape", [(5000,), (2, 700)])
def test_running_sums(dtype: str, shape: tuple[int, ...]) -> None:
    x = sg.tensor("x", dtype=dtype, shape=(None,) * len(shape))
    array = (RNG.standard_normal(shape) * 50).astype(dtype)
    found = emulated([sg.cumsum(x, axis=-1)], {"x": array})
    wanted = np.cumsum(array, axis=-1, dtype="int64" if dtype == "int32" else "longdouble")
    rtol, atol = (2e-7, 1e-5) if dtype == "float32" else (1e-15, 1e-12)
    np.testing.assert_allclose(found[0], wanted.astype("float64"), rtol=rtol, atol=atol)


def test_the_error_of_a_long_sum_does_not_grow() -> None:
    x = sg.vector("x")
    array = np.concatenate([[1e16], RNG.standard_normal(1500), [-1e16], np.ones(700)])
    (found,) = emulated([sg.cumsum(x)], {"x": array})
    total, exact = Fraction(0), []
    for v in array:
        total += Fraction(float(v))
        exact.append(float(total))
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("name", ["cummax", "cummin"])
def test_running_extremes_with_nan(name: str) -> None:
    x = sg.tensor("x", dtype="float32", shape=(900,))
    array = RNG.standard_normal(900).astype("float32")
    array[700] = np.nan
    (found,) = emulated([getattr(sg, name)(x)], {"x": array})
    function = np.maximum if name == "cummax" else np.minimum
    np.testing.assert_array_equal(found, function.accumulate(array))


def test_text_of_a_scan(golden: Any) -> None:
    x = sg.tensor("x", dtype="float32", shape=(1000,))
    golden("cuda/scheduled_scan", program_text(running.scheduled(sg.cumsum(x))[1]))
