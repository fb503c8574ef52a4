"""Cholesky factors of many matrices in lanes: the kernel for every width of registers, beside
memory that it must not touch, and whole calls on either side of the largest matrix."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config, stages
from symgraph.codegen import cholesky_lanes_llvm, in_lanes_llvm, llvm
from symgraph.codegen.writer import ModuleWriter
from symgraph.executor import load_code
from symgraph.loops.text import program_text
from symgraph.lower.lapack import IN_LANES

HOST = ModuleWriter(llvm.host().features).features
WIDTHS = [128, 256, *[512] * ("avx512f" in HOST)]
ATOL = {"float64": 1e-12, "float32": 2e-5}


def matrices(count: int, n: int, dtype: str = "float64") -> np.ndarray:
    a = np.random.default_rng(count * n).standard_normal((count, n, n))
    return (a @ a.transpose(0, 2, 1) + max(n, 1) * np.eye(n)).astype(dtype)


@functools.cache
def kernel(dtype: str, symmetrize: bool, nan: bool, bits: int) -> tuple[Any, Any]:
    text = cholesky_lanes_llvm.module_text(dtype, symmetrize, nan, bits)
    code = load_code(llvm.compile_object(text), ["kernel"])
    address, word = code.address("kernel"), ctypes.c_int64
    return code, ctypes.CFUNCTYPE(None, ctypes.c_void_p, word, word, word)(address)


def factors(
    a: np.ndarray, bits: int, symmetrize: bool = True, nan: bool = False, step: int = 100
) -> tuple[np.ndarray, bool]:
    """The factors and whether one failed; ``step`` groups at a time, the last ones first."""
    held = np.full(a.size + 64, 7.0, a.dtype)
    failed = ctypes.c_int32(0)
    words = (a.ctypes.data, held.ctypes.data, ctypes.addressof(failed), a.shape[-1], len(a))
    context = (ctypes.c_int64 * 5)(*words)
    groups = -(-len(a) // (bits // 8 // a.itemsize))
    for first in reversed(range(0, groups, step)):
        run = kernel(str(a.dtype), symmetrize, nan, bits)[1]
        run(ctypes.addressof(context), first, min(groups, first + step), 0)
    assert (held[a.size :] == 7).all()
    return held[: a.size].reshape(a.shape), bool(failed.value)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_factors_in_lanes(dtype: str, bits: int) -> None:
    for n in (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 31, 32):
        for count in (1, 2, 7, 8, 9, 16, 17, 33):
            a = matrices(count, n, dtype)
            found, failed = factors(a, bits)
            np.testing.assert_allclose(found, np.linalg.cholesky(a), 0, ATOL[dtype])
            assert not failed
            np.testing.assert_array_equal(factors(a, bits, step=1)[0], found)


@pytest.mark.parametrize("bits", WIDTHS)
def test_only_the_triangle_is_read_where_nothing_is_made_symmetric(bits: int) -> None:
    a = matrices(11, 9)
    other = np.tril(a) + np.triu(np.full_like(a, np.nan), 1)
    found, _ = factors(other, bits, symmetrize=False)
    np.testing.assert_allclose(found, np.linalg.cholesky(a), 0, 1e-12)
    skew = np.tril(np.ones((9, 9)), -1)
    np.testing.assert_allclose(factors(a + skew - skew.T, bits)[0], found, 0, 1e-12)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("place", [0, 5, 10])
def test_a_matrix_that_is_not_positive_definite(place: int, bits: int) -> None:
    a = matrices(11, 6)
    a[place, 4, 4] = -1.0
    assert factors(a, bits)[1]
    found, failed = factors(a, bits, nan=True)
    assert not failed and np.isnan(found[place]).all()
    rest = np.arange(11) != place
    np.testing.assert_array_equal(found[rest], factors(matrices(11, 6), bits)[0][rest])
    zero = matrices(11, 6)
    zero[place] = 0.0
    assert factors(zero, bits)[1]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("known", [False, True])
def test_calls_on_either_side_of_the_largest_matrix(dtype: str, known: bool) -> None:
    assert in_lanes_llvm.MOST == IN_LANES
    for n in (3, IN_LANES, IN_LANES + 1, 70):
        a = matrices(40, n, dtype)
        x = sg.tensor("x", dtype, a.shape if known else (None, None, None))
        wanted = np.linalg.cholesky(a)
        found = []
        for threads in (1, 2):
            with config.change(num_threads=threads, parallel_from=0):
                found.append(sg.compile([x], sg.linalg.cholesky(x))(a))
        np.testing.assert_array_equal(*found)
        np.testing.assert_allclose(found[0], wanted, 0, ATOL[dtype] * n**0.5)


def test_the_unscheduled_program_leaves_all_to_the_library() -> None:
    x = sg.tensor("x", "float64", (None, None, None))
    d = sg.compile([x], sg.linalg.cholesky(x)).definition
    lanes, plain = (program_text(stages.lower(d, stages.optimized_graph(d), s)) for s in (1, 0))
    assert "symmetrize" in lanes and "symmetrize" not in plain
    one = sg.tensor("x", "float64", (None, None))
    alone = sg.compile([one], sg.linalg.cholesky(one)).definition
    assert "symmetrize" not in program_text(stages.lower(alone, stages.optimized_graph(alone)))


def test_bits_do_not_depend_on_the_neighbours() -> None:
    x = sg.tensor("x", "float64", (None, None, None, None))
    f = sg.compile([x], sg.linalg.cholesky(x))
    a = matrices(30, 10).reshape(5, 6, 10, 10)
    found = f(a)
    for k in range(5):
        np.testing.assert_array_equal(f(a[k : k + 1, ::-1])[0], found[k, ::-1])
    assert f(a[:0]).shape == (0, 6, 10, 10)
    with pytest.raises(sg.errors.LinAlgError, match="leading minor 1, batch index"):
        f(-a)
