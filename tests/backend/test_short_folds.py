"""Rows of a few elements read as they lie, a row in each lane."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config, stages
from symgraph.codegen import llvm
from symgraph.codegen.writer import ModuleWriter
from tests.backend.test_near_rows import ROWS, at_the_end_of_memory

WIDE = "avx512f" in ModuleWriter(llvm.host().features).features
FOLDS = ("sum", "prod", "max", "min")


def compiled(dtype: str, n: int | None, names: tuple[str, ...] = FOLDS) -> Any:
    x = sg.tensor("x", dtype=dtype, shape=(None, n))
    with config.change(cache=False):
        return [sg.compile([x], getattr(sg, name)(x, 1)) for name in names]


def is_expanding(f: Any) -> bool:
    d = f.definition
    optimized = stages.optimized_graph(d)
    kernels = stages.emit(d, optimized, stages.lower(d, optimized)).kernels
    return any("masked.expandload" in text for text in kernels.values())


@pytest.mark.parametrize("n", [None, 1, 2, 3, 4, 5, 7, 8, 9])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_values(dtype: str, n: int | None) -> None:
    """Whole numbers, of which every order has the same sum."""
    found, rng = compiled(dtype, n), np.random.default_rng(n or 0)
    if WIDE and dtype != "int32":  # whose sums are of int64
        assert is_expanding(found[0]) == (n is None or 2 <= n <= 8)
    for rows in ROWS:
        for columns in [n] if n else range(1, 11):
            a = rng.integers(-4, 5, size=(rows, columns)).astype(dtype)
            for name, f in zip(FOLDS, found, strict=True):
                wanted = getattr(np, name)(a, 1)
                assert (f(a) == wanted).all(), (name, rows, columns)


@pytest.mark.parametrize("n", [None, 3, 4])
def test_strange_values(n: int | None) -> None:
    found, rng = compiled("float32", n), np.random.default_rng(0)
    strange = np.array([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan], "float32")
    a = rng.choice(strange, size=(5000, n or 5))
    for name, f in zip(FOLDS, found, strict=True):
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(f(a), getattr(np, name)(a, 1))


def test_rows_that_are_not_one_after_another() -> None:
    x, rng = sg.tensor("x", dtype="float32", shape=(None, 6)), np.random.default_rng(0)
    a = rng.integers(0, 9, size=(100, 6)).astype("float32")
    parts = [x[:, :4], x[:, 2:], x[::2], x[:, ::2], x[:, ::-1]]
    wanted = [a[:, :4], a[:, 2:], a[::2], a[:, ::2], a[:, ::-1]]
    for part, values in zip(parts, wanted, strict=True):
        f = sg.compile([x], sg.sum(part, 1))
        assert (f(a) == values.sum(1)).all()
    assert (sg.compile([x], sg.sum(x, 1))(a[:, ::-1]) == a.sum(1)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_beyond_the_rows_is_touched(dtype: str) -> None:
    unknown = compiled(dtype, None, ("sum",))[0]
    for n in (1, 3, 4, 5, 7, 8):
        known = compiled(dtype, n, ("sum",))[0]
        for rows in ROWS:
            a = np.arange(rows * n, dtype=dtype).reshape(rows, n)
            _, held = at_the_end_of_memory(a)
            assert (unknown(held) == a.sum(1)).all()
            assert (known(held) == a.sum(1)).all()


ROWS_OF = {
    "softmax": lambda x: sg.nn.softmax(x, axis=1),
    "log_softmax": lambda x: sg.nn.log_softmax(x, axis=1),
    "layer_norm": lambda x: sg.nn.layer_norm(x),
    "normalised": lambda x: x / sg.sqrt(sg.sum(x * x, 1, keepdims=True)),
    "both": lambda x: sg.nn.softmax(x, axis=1) * sg.max(x, 1, keepdims=True) + x,
    "conditions": lambda x: sg.concatenate([sg.max(x, 1, keepdims=True), x], 1),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ROWS_OF)
def test_rows_that_are_stored(name: str, dtype: str) -> None:
    """Rows in lanes are the same numbers as rows one by one, but for the order of sums."""
    x, rng = sg.tensor("x", dtype=dtype, shape=(None, None)), np.random.default_rng(0)
    f = sg.compile([x], ROWS_OF[name](x))
    for rows in ROWS:
        for columns in (1, 2, 3, 7, 8, 9, 14, 15, 16, 17):
            a = rng.normal(size=(rows, columns)).astype(dtype)
            wanted = sg.compile([x], ROWS_OF[name](x), mode="interpret")(a)
            found = f(a)
            np.testing.assert_allclose(found, wanted, 64 * np.finfo(dtype).eps, 1e-6)
            assert f(a[-1:]).tobytes() == found[-1:].tobytes()  # whichever rows are beside it


def test_a_loop_inside_a_loop_along_rows_is_kept() -> None:
    """The fuzzer's seed 338."""
    x, i = (sg.tensor(name, dtype="int32", shape=(8, None)) for name in "xi")
    outputs = [sg.sum(sg.cast(i, "float64"), 1), x[:, ::-1][i % 8]]
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, (8, 7)).astype("int32"), rng.integers(0, 9, (8, 7)).astype("int32")
    sums, rows = sg.compile([x, i], outputs)(a, b)
    assert (sums == b.sum(1)).all() and (rows == a[:, ::-1][b % 8]).all()
