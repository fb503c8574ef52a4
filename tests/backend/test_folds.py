"""Folds along and down lanes at every count near a register, a group of registers and a block, on
this processor and on one with registers half as wide."""

from __future__ import annotations

import ctypes
import mmap
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import symgraph as sg
from symgraph import config, stages
from symgraph.codegen import ahead_llvm
from symgraph.compiler import stage_definition
from symgraph.loops.text import program_text

COUNTS = (1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 79, 80, 81, 127, 129, 200, 260)


def numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    values = np.random.default_rng(sum(shape)).normal(size=shape) * 50
    values.flat[:: max(1, values.size // 7)] = 50.0  # the same largest value several times
    return values.astype(dtype)


def before_a_hole(a: np.ndarray) -> np.ndarray:
    """A copy that ends where memory does."""
    if sys.platform != "linux":
        return a.copy()
    size = -(-max(a.nbytes, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
    room = mmap.mmap(-1, size + mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(room))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(start + size), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    held = np.frombuffer(room, a.dtype, a.size, size - a.nbytes).reshape(a.shape)
    held[...] = a
    return held


def formulas(x: Any, axis: int) -> list[Any]:
    return [sg.sum(x, axis), sg.max(x, axis), sg.argmax(x, axis), sg.var(x, axis),
            sg.logsumexp(x, axis)]  # fmt: skip


def wanted(a: np.ndarray, axis: int) -> list[np.ndarray]:
    a = a.astype("float64")
    top = a.max(axis, keepdims=True)
    sums = np.log(np.exp(a - top).sum(axis)) + top.squeeze(axis)
    return [a.sum(axis), a.max(axis), a.argmax(axis), a.var(axis), sums]


def check(f: Any, a: np.ndarray, axis: int) -> None:
    close = 2e-5 if a.dtype == "float32" else 1e-12
    for found, right in zip(f(before_a_hole(a)), wanted(a, axis), strict=True):
        np.testing.assert_allclose(found, right, close, close * 50, err_msg=str(a.shape))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_columns_of_every_count(dtype: str, registers: int) -> None:
    x = sg.matrix("x", dtype=dtype)
    f = sg.compile([x], formulas(x, 0))
    assert "alloc strip" in program_text(
        stages.lower(f.definition, stages.optimized_graph(f.definition))
    )
    for count in (*COUNTS, 511, 513, 600):
        for rows in (1, 16, 37):
            check(f, numbers((rows, count), dtype), 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_of_every_length(dtype: str, registers: int) -> None:
    x = sg.matrix("x", dtype=dtype)
    f = sg.compile([x], formulas(x, 1))
    for count in (*COUNTS, 1023, 1025, 2100):
        check(f, numbers((3, count), dtype), 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_count_of_short_rows(dtype: str, registers: int) -> None:
    """Short rows are read by gathers, of which those of dead lanes repeat the last row."""
    x = sg.matrix("x", dtype=dtype)
    f = sg.compile([x], formulas(x, 1))
    for count in (*COUNTS, 255, 257, 300, 513):
        for length in (1, 3, 4, 16):
            check(f, numbers((count, length), dtype), 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", [1, 2, 4, 15, 16])
def test_elements_of_short_rows_that_are_read_again(
    dtype: str, length: int, registers: int
) -> None:
    """They wait on the stack, be they memory of a row, results or both; known and unknown."""

    def formulas_of(x: Any) -> list[Any]:
        scaled = (x - 1) / 3
        high = sg.exp(scaled - sg.max(scaled, 1, keepdims=True))
        total = sg.sum(high, 1, keepdims=True)
        return [scaled, high, high / total, sg.sum(high * scaled, 1), -total]

    x, y = sg.matrix("x", dtype=dtype), sg.tensor("y", dtype=dtype, shape=(None, length))
    f, g = sg.compile([x], formulas_of(x)), sg.compile([y], formulas_of(y))
    for count in (1, 3, 5, 63, 64, 65, 200):
        a = numbers((count, length), dtype)
        wide = a.astype("float64")
        scaled = (wide - 1) / 3
        high = np.exp(scaled - scaled.max(1, keepdims=True))
        total = high.sum(1, keepdims=True)
        right = [scaled, high, high / total, (high * scaled).sum(1), -total]
        for one, other, same in zip(f(a), right, g(a), strict=True):
            np.testing.assert_allclose(one, other, 1e-5 if dtype == "float32" else 1e-13, 1e-6)
            np.testing.assert_allclose(one, same, 1e-5 if dtype == "float32" else 1e-13, 1e-6)


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint16", "bool"])
def test_integers_of_every_count(dtype: str, registers: int) -> None:
    x = sg.matrix("x", dtype=dtype)
    ways = [(sg.max, np.max), (sg.argmin, np.argmin), (sg.any, np.any), (sg.sum, np.sum)]
    f = sg.compile([x], [way(x, axis) for axis in (0, 1) for way, _ in ways])
    for shape in [(20, c) for c in COUNTS] + [(c, 5) for c in COUNTS]:
        a = numbers(shape, "float64") > 0 if dtype == "bool" else numbers(shape, "int64") % 100
        a = a.astype(dtype)
        right = [way(a, axis) for axis in (0, 1) for _, way in ways]
        for one, other in zip(f(a), right, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=str(shape))


@pytest.mark.parametrize("known", [16, 24, 33, 40])
def test_columns_of_a_known_count(known: int, registers: int) -> None:
    """Groups, and single registers, of which only the last is under a mask."""
    x = sg.tensor("x", dtype="float32", shape=(None, known))
    y = sg.tensor("y", dtype="float32", shape=(20, known))
    a = numbers((20, known), "float32")
    check(sg.compile([x], formulas(x, 0)), a, 0)
    check(sg.compile([y], formulas(y, 0)), a, 0)
    check(sg.compile([y], formulas(y, 1)), a, 1)


def test_sums_beside_other_folds_over_the_same_rows(registers: int) -> None:
    """A long sum carries its error through the blocks, the largest value its own lanes."""
    x = sg.matrix("x", dtype="float32")
    f = sg.compile([x], [sg.sum(x, 1) * sg.max(x, 1) + sg.min(x, 1), sg.sum(x * x, 1)])
    for count in (1, 40, 64, 1000, 1024, 2600):
        a = numbers((5, count), "float32")
        wide = a.astype("float64")
        right = [wide.sum(1) * wide.max(1) + wide.min(1), (wide * wide).sum(1)]
        for one, other in zip(f(a), right, strict=True):
            np.testing.assert_allclose(one, other, 1e-5, 1e-3 * np.sqrt(count))


def test_a_single_value_is_computed_as_in_a_register() -> None:
    """The end of a long row has one value, where short rows have a register of them."""
    x = sg.matrix("x", dtype="float32")
    f = sg.compile([x], sg.log1p(sg.sum(sg.absolute(x), 1)))
    alone = sg.vector("s", dtype="float32")
    g, total = sg.compile([alone], sg.log1p(alone)), sg.compile([x], sg.sum(sg.absolute(x), 1))
    for count in (3, 16, 17, 300):
        a = numbers((40, count), "float32")
        np.testing.assert_array_equal(f(a), g(total(a)))


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_of_a_length_that_is_found(
    dtype: str, one_by_one: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Sparse rows, in registers under a mask and, as on a Zen 4, element by element."""
    monkeypatch.setattr(ahead_llvm, "is_zen_4", lambda features: one_by_one)
    rng = np.random.default_rng(3)
    with config.change(cache_dir=str(tmp_path)):
        for rows, density in ((5, 0.0), (40, 0.1), (300, 0.05), (9, 1.0), (700, 0.5)):
            m = sparse.random_array((rows, rows), density=density, format="csr", rng=rng)
            x = sg.tensor("x", shape=(rows,), dtype=dtype)
            f = sg.compile([x], sg.sparse.shared(m.astype(dtype)) @ x)
            b = rng.normal(size=rows).astype(dtype)
            wanted = m @ b.astype("float64")
            np.testing.assert_allclose(f(b), wanted, 1e-5, 1e-4 if dtype == "float32" else 1e-12)


def test_empty_folds(registers: int) -> None:
    x = sg.matrix("x")
    f = sg.compile([x], [sg.sum(x, 0), sg.sum(x, 1), sg.any(x > 0, 0), sg.all(x > 0, 1)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for shape in ((0, 5), (5, 0), (0, 0), (0, 600), (300, 0)):
            a = np.zeros(shape)
            right = [a.sum(0), a.sum(1), (a > 0).any(0), (a > 0).all(1)]
            for one, other in zip(f(a), right, strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_positions_down_columns_with_nan_and_infinities(dtype: str, registers: int) -> None:
    """The first NaN wins, then the first of the largest; nothing is greater than the start."""
    x = sg.matrix("x", dtype=dtype)
    ways = [(sg.argmax, np.argmax), (sg.argmin, np.argmin), (sg.max, np.max), (sg.min, np.min)]
    f = sg.compile([x], [way(x, 0) for way, _ in ways])
    rng = np.random.default_rng(7)
    kinds = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0]
    for count in (1, 3, 10, 16, 17, 33, 64, 70):
        for rows in (1, 2, 9, 40):
            for some in (2, 4, 6, 8):
                a = rng.choice(kinds[-some:], size=(rows, count)).astype(dtype)
                a[:, ::5] = rng.choice([-np.inf, np.inf], size=count)[::5]
                for one, (_, way) in zip(f(a), ways, strict=True):
                    np.testing.assert_array_equal(one, way(a, axis=0), err_msg=str(a.shape))


@pytest.mark.parametrize("name", ["exp", "log"])
def test_folds_of_one_quick_function_take_several_registers(registers: int, name: str) -> None:
    """Along and down lanes; the rest a register at a time."""
    x = sg.matrix("x", dtype="float32")
    for axis in (0, 1):
        total = sg.sum(getattr(sg, name)(x), axis=axis)
        d = stage_definition(total)
        graph = stages.optimized_graph(d)
        text = stages.emit(d, graph, stages.lower(d, graph)).text
        lanes = registers // 32
        many = lanes * (4 if registers == 512 else 2)
        assert f"@sg_{name}_f32_{many}(" in text and f"@sg_{name}_f32_{lanes}(" in text
        f = sg.compile([x], total)
        for count in COUNTS:
            value = np.random.default_rng(count).uniform(0.5, 2, (count, count)).astype("float32")
            expected = getattr(np, name)(value.astype("float64")).sum(axis=axis)
            np.testing.assert_allclose(f(value), expected, rtol=2e-6, atol=2e-6 * count)
