"""Products of many complex matrices, which are made of real ones, against NumPy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config, stages
from symgraph.compiler import stage_definition
from symgraph.loops.text import program_text

RNG = np.random.default_rng(11)
SIZES = [
    (1, 1, 1),
    (2, 2, 2),
    (3, 1, 4),
    (1, 5, 1),
    (7, 4, 9),
    (16, 33, 17),
    (2, 0, 3),
    (40, 20, 1),
]


def numbers(*shape: int, dtype: str = "complex128") -> np.ndarray:
    return (RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)).astype(dtype)


def turned(x: Any, way: bool) -> Any:
    if not way:
        return x
    return sg.swapaxes(x, -1, -2) if isinstance(x, sg.Variable) else np.swapaxes(x, -1, -2)


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
@pytest.mark.parametrize("known", [False, True])
def test_every_layout(dtype: str, known: bool) -> None:
    for (m, k, n), ta, tb in itertools.product(SIZES, (False, True), (False, True)):
        a = numbers(2, 3, *((k, m) if ta else (m, k)), dtype=dtype)
        b = numbers(2, 3, *((n, k) if tb else (k, n)), dtype=dtype)
        x = sg.tensor("x", dtype, a.shape if known else (None,) * 4)
        y = sg.tensor("y", dtype, b.shape if known else (None,) * 4)
        z = turned(x, ta) @ turned(y, tb)
        found = sg.compile([x, y], [z, sg.abs(z) + 1, sg.sum(z.real, -1)])(a, b)
        wanted = turned(a, ta) @ turned(b, tb)
        near = {"rtol": 1e-4, "atol": 1e-4} if dtype == "complex64" else {"atol": 1e-12}
        for f, w in zip(found, (wanted, abs(wanted) + 1, wanted.real.sum(-1)), strict=True):
            np.testing.assert_allclose(f, w, **near)


def test_many_are_real_products_and_two_are_a_call_of_blas() -> None:
    for ndim, own in ((2, False), (3, True)):
        x, y = (sg.tensor(name, "complex128", (None,) * ndim) for name in "xy")
        d = stage_definition(x @ y)
        text = program_text(stages.lower(d, stages.optimized_graph(d)))
        assert ("pairs=True" in text) == own
        with config.change(matmul="blas"):
            assert "pairs" not in program_text(stages.lower(d, stages.optimized_graph(d)))


def test_threads_do_not_change_a_bit_and_derivatives() -> None:
    x, y = (sg.tensor(name, "complex128", (None, None, None)) for name in "xy")
    a, b, found = numbers(9, 20, 30), numbers(9, 30, 10), []
    for threads in (1, 2, 3):
        with config.change(num_threads=threads, parallel_from=0):
            found.append(sg.compile([x, y], x @ y)(a, b))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    sg.verify_grad(lambda p, q: sg.abs(p @ q), [numbers(2, 2, 3), numbers(2, 3, 2)])


def test_an_infinity_spoils_its_row_and_column_only() -> None:
    a, b = numbers(2, 3, 4), numbers(2, 4, 5)
    a[0, 1, 2] = np.inf
    x, y = (sg.tensor(name, "complex128", (None, None, None)) for name in "xy")
    found = sg.compile([x, y], x @ y)(a, b)
    assert not np.isfinite(found[0, 1]).any()
    rest = np.isfinite(found)
    rest[0, 1] = True
    assert rest.all()
