"""Linear algebra by kernels of our own: a block for each matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import LinAlgError
from symgraph.loops.program import Call
from tests.cuda import running
from tests.cuda.test_products import emulated

RNG = np.random.default_rng(51)


def spd(*batch: int, n: int = 6, dtype: str = "float64") -> np.ndarray:
    a = RNG.standard_normal((*batch, n, n)).astype(dtype)
    return (a @ np.swapaxes(a, -1, -2) + n * np.eye(n, dtype=dtype)).astype(dtype)


def tensor(name: str, array: np.ndarray) -> Any:
    return sg.tensor(name, dtype=str(array.dtype), shape=(None,) * array.ndim)


def stays(*outputs: Any) -> list[Any]:
    return [s for s in running.scheduled(*outputs)[1].steps if isinstance(s, Call)]


@pytest.mark.parametrize(("batch", "dtype"), [((), "float64"), ((3,), "float32")])
def test_cholesky(batch: tuple[int, ...], dtype: str) -> None:
    array = spd(*batch, dtype=dtype)
    a = tensor("a", array)
    y = sg.linalg.cholesky(a)
    assert not stays(y)
    (found,) = emulated([y], {"a": array})
    rtol = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(found, np.linalg.cholesky(array), rtol=rtol, atol=rtol)


def test_matrices_that_are_not_positive_definite() -> None:
    good, bad = spd(n=4), spd(n=4)
    bad[2, 2] = -9.0
    a = tensor("a", good)
    with pytest.raises(LinAlgError, match="not positive definite"):
        emulated([sg.linalg.cholesky(a)], {"a": bad})
    both = np.stack([good, bad])
    a = tensor("a", both)
    (found,) = emulated([sg.linalg.cholesky(a, on_failure="nan")], {"a": both})
    np.testing.assert_allclose(found[0], np.linalg.cholesky(good), rtol=1e-12, atol=1e-12)
    assert np.isnan(found[1][np.tril_indices(4)]).all()


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize("unit", [True, False])
def test_triangular_systems(lower: bool, turned: bool, unit: bool) -> None:
    a, b = RNG.standard_normal((5, 5)) + 4 * np.eye(5), RNG.standard_normal((5, 3))
    x, y = tensor("x", a), tensor("y", b)
    z = sg.linalg.solve_triangular(x, y, lower=lower, trans=int(turned), unit_diagonal=unit)
    assert not stays(z)
    held = np.tril(a) if lower else np.triu(a)
    if unit:
        np.fill_diagonal(held, 1)
    wanted = np.linalg.solve(held.T if turned else held, b)
    np.testing.assert_allclose(emulated([z], {"x": a, "y": b})[0], wanted, rtol=1e-10, atol=1e-10)


def test_a_singular_triangular_system() -> None:
    a, b = np.eye(3), np.ones((3, 1))
    a[1, 1] = 0
    x, y = tensor("x", a), tensor("y", b)
    with pytest.raises(LinAlgError, match="singular"):
        emulated([sg.linalg.solve_triangular(x, y, lower=True)], {"x": a, "y": b})


@pytest.mark.parametrize("shape", [(6, 6), (2, 5, 5)])
def test_systems_by_lu_with_pivots(shape: tuple[int, ...]) -> None:
    a = RNG.standard_normal(shape)
    a[..., 0, 0] = 0  # the first pivot is another row's
    b = RNG.standard_normal((*shape[:-1], 2))
    x, y = tensor("x", a), tensor("y", b)
    found = emulated([sg.linalg.solve(x, y), sg.linalg.det(x)], {"x": a, "y": b})
    np.testing.assert_allclose(found[0], np.linalg.solve(a, b), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found[1], np.linalg.det(a), rtol=1e-10)


def test_large_matrices_are_left_to_libraries() -> None:
    a = sg.tensor("a", dtype="float64", shape=(2000, 2000))
    assert [dict(s.params)["name"] for s in stays(sg.linalg.cholesky(a))] == ["potrf"]
