"""Triangular systems of many matrices in lanes, against SciPy: every kind, sizes on either side of
the largest, matrices that are singular, right sides that are shared."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import linalg

import symgraph as sg
from symgraph import config, stages
from symgraph.compiler import stage_definition
from symgraph.loops.text import program_text
from symgraph.lower.lapack import IN_LANES


def matrices(count: int, n: int, dtype: str = "float64") -> np.ndarray:
    a = np.random.default_rng(count * n).standard_normal((count, n, n)) / max(n, 1)
    return (a + 2 * np.eye(n)).astype(dtype)


def solutions(a: np.ndarray, b: np.ndarray, **kind: Any) -> np.ndarray:
    pairs = zip(a.astype("float64"), b.astype("float64"), strict=True)
    found = [linalg.solve_triangular(x, y, **kind) for x, y in pairs]
    return np.array(found).reshape(b.shape)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("known", [False, True])
def test_systems_of_every_kind(dtype: str, known: bool) -> None:
    near = 1e-11 if dtype == "float64" else 2e-5
    for low, trans, unit in itertools.product((False, True), repeat=3):
        kind = {"lower": low, "trans": int(trans), "unit_diagonal": unit}
        shape = (None, None, None)
        if not known:
            x, y = (sg.tensor(name, dtype, shape) for name in "xy")
            f = sg.compile([x, y], sg.linalg.solve_triangular(x, y, **kind))
        for n, k in ((1, 1), (3, 1), (5, 4), (IN_LANES, 2), (4, IN_LANES + 1), (IN_LANES + 1, 3)):
            a = matrices(21, n, dtype)
            b = np.random.default_rng(k).standard_normal((21, n, k)).astype(dtype)
            if known:
                x, y = sg.tensor("x", dtype, a.shape), sg.tensor("y", dtype, b.shape)
                f = sg.compile([x, y], sg.linalg.solve_triangular(x, y, **kind))
            wanted = solutions(a, b, **kind)
            np.testing.assert_allclose(f(a, b), wanted, near, near * np.abs(wanted).max())


def test_threads_and_neighbours_do_not_change_a_bit() -> None:
    x, y = (sg.tensor(name, "float64", (None, None, None)) for name in "xy")
    a, b = matrices(50, 7), np.random.default_rng(0).standard_normal((50, 7, 3))
    found = []
    for threads in (1, 2, 3):
        with config.change(num_threads=threads, parallel_from=0):
            found.append(sg.compile([x, y], sg.linalg.solve_triangular(x, y, lower=True))(a, b))
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)
    f = sg.compile([x, y], sg.linalg.solve_triangular(x, y, lower=True))
    np.testing.assert_array_equal(f(a[9:10], b[9:10])[0], found[0][9])
    assert f(a[:0], b[:0]).shape == (0, 7, 3) and f(a, b[:, :, :0]).shape == (50, 7, 0)


def test_a_singular_matrix_is_an_error() -> None:
    x, y = (sg.tensor(name, "float64", (None, None, None)) for name in "xy")
    f = sg.compile([x, y], sg.linalg.solve_triangular(x, y, lower=True))
    a, b = matrices(20, 4), np.ones((20, 4, 2))
    a[13, 2, 2] = 0.0
    with pytest.raises(sg.errors.LinAlgError, match="13"):
        f(a, b)


def test_one_matrix_for_many_right_sides_goes_to_the_library() -> None:
    x, y = sg.tensor("x", "float64", (None, None)), sg.tensor("y", "float64", (None, None, None))
    out = sg.linalg.solve_triangular(x, y, lower=True)
    a, b = matrices(1, 4)[0], np.random.default_rng(1).standard_normal((9, 4, 2))
    wanted = solutions(np.broadcast_to(a, (9, 4, 4)), b, lower=True)
    np.testing.assert_allclose(sg.compile([x, y], out)(a, b), wanted, 1e-12)
    z = sg.tensor("z", "float64", (None, None, None))
    several = stage_definition(sg.linalg.solve_triangular(z, y, lower=True))
    for scheduled in (True, False):
        text = program_text(stages.lower(several, stages.optimized_graph(several), scheduled))
        assert ("lanes" in text) == scheduled
