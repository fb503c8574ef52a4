"""LU factors of many matrices in lanes: the kernel for every width of registers, beside memory that
it must not touch, against LAPACK; and what is made of them on either side of the largest matrix."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np
import pytest
from scipy.linalg import lapack

import symgraph as sg
from symgraph import config
from symgraph.codegen import llvm, lu_lanes_llvm
from symgraph.codegen.writer import ModuleWriter
from symgraph.executor import load_code
from symgraph.lower.lapack import IN_LANES

HOST = ModuleWriter(llvm.host().features).features
WIDTHS = [128, 256, *[512] * ("avx512f" in HOST)]
ATOL = {"float64": 1e-11, "float32": 2e-3}


def matrices(count: int, n: int, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(count * n).standard_normal((count, n, n)).astype(dtype)


@functools.cache
def kernel(dtype: str, bits: int) -> tuple[Any, Any]:
    code = load_code(llvm.compile_object(lu_lanes_llvm.module_text(dtype, bits)), ["kernel"])
    address, word = code.address("kernel"), ctypes.c_int64
    return code, ctypes.CFUNCTYPE(None, ctypes.c_void_p, word, word, word)(address)


def factors(a: np.ndarray, bits: int, step: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """The factors and the pivots; ``step`` groups at a time, the last ones first."""
    held, rows = np.full(a.size + 64, 7.0, a.dtype), a.shape[0] * a.shape[1]
    pivots = np.full(rows + 64, -7, np.int64)
    words = (a.ctypes.data, held.ctypes.data, pivots.ctypes.data, a.shape[-1], len(a))
    context = (ctypes.c_int64 * 5)(*words)
    groups = -(-len(a) // (bits // 8 // a.itemsize))
    for first in reversed(range(0, groups, step)):
        run = kernel(str(a.dtype), bits)[1]
        run(ctypes.addressof(context), first, min(groups, first + step), 0)
    assert (held[a.size :] == 7).all() and (pivots[rows:] == -7).all()
    return held[: a.size].reshape(a.shape), pivots[:rows].reshape(a.shape[:2])


def by_lapack(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    factor = lapack.dgetrf if a.dtype == "float64" else lapack.sgetrf
    found = [factor(x)[:2] for x in a]
    return np.array([lu for lu, _ in found]), np.array([p for _, p in found])


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_factors_in_lanes(dtype: str, bits: int) -> None:
    for n in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32):
        for count in (1, 2, 7, 8, 9, 16, 17, 33):
            a = matrices(count, n, dtype)
            (lu, pivots), (wanted, rows) = factors(a, bits), by_lapack(a)
            np.testing.assert_array_equal(pivots, rows)
            np.testing.assert_allclose(lu, wanted, ATOL[dtype], ATOL[dtype])
            for one, other in zip(factors(a, bits, step=1), (lu, pivots), strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("bits", WIDTHS)
def test_equal_and_missing_pivots(bits: int) -> None:
    """The first of equals; a column of zeros is left as it is; no matrix at all."""
    a = np.zeros((11, 4, 4))
    a[::2] = [[1.0, 2, 3, 4], [-1, 2, 0, 1], [1, 1, 1, 1], [0, 0, 2, 2]]
    a[1::4, 1:, 1:] = np.eye(3)[::-1]
    (lu, pivots), (wanted, rows) = factors(a, bits), by_lapack(a)
    np.testing.assert_array_equal(pivots, rows)
    np.testing.assert_allclose(lu, wanted, 0, 1e-14)
    for shape in ((0, 3, 3), (5, 0, 0)):
        assert factors(np.zeros(shape), bits)[0].shape == shape


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("known", [False, True])
def test_systems_on_either_side_of_the_largest_matrix(dtype: str, known: bool) -> None:
    for n in (1, 3, IN_LANES, IN_LANES + 1):
        a, b = matrices(40, n, dtype) + 3 * np.eye(n, dtype=dtype), matrices(40, n, dtype)
        x = sg.tensor("x", dtype, a.shape if known else (None, None, None))
        y = sg.tensor("y", dtype, a.shape if known else (None, None, None))
        outputs = [sg.linalg.det(x), sg.linalg.inv(x), sg.linalg.solve(x, y)]
        cost = sg.sum(sg.linalg.slogdet(x)[1])
        found = []
        for threads in (1, 2):
            with config.change(num_threads=threads, parallel_from=0):
                found.append(sg.compile([x, y], [*outputs, sg.grad(cost, x)])(a, b))
        wide = a.astype("float64")
        inverse = np.linalg.inv(wide)
        wanted = [np.linalg.det(wide), inverse, inverse @ b, inverse.transpose(0, 2, 1)]
        for one, other, right in zip(*found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
            scale = np.abs(right).max()
            np.testing.assert_allclose(
                one, right, 0, (1e-10 if dtype == "float64" else 2e-2) * scale
            )


def test_matrices_that_are_not_square_go_to_the_library() -> None:
    x = sg.tensor("x", "float64", (None, 4, 3))
    a = np.random.default_rng(0).standard_normal((9, 4, 3))
    lu, pivots = sg.compile([x], sg.linalg.lu_factor(x))(a)
    wanted, rows = by_lapack(a)
    np.testing.assert_array_equal(pivots, rows)
    np.testing.assert_allclose(lu, wanted, 0, 1e-13)
