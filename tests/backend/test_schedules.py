"""Schedules of single kernels: each is forced by shapes and sizes, must be seen in the scheduled
program, and must agree with the interpreter of the unscheduled loops and with NumPy."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config, stages
from symgraph.codegen import folds_llvm
from symgraph.function import Definition, bind_sizes
from symgraph.loops import memory
from symgraph.loops.interpret import run_program
from symgraph.loops.text import program_text
from symgraph.loops.verify import verify_program
from symgraph.lower import columns, row_order, scatter_sizes, strips, tiling

INF, NAN = np.inf, np.nan


def symbols(arrays: Sequence[np.ndarray], known: bool) -> list[Any]:
    return [
        sg.tensor(f"x{k}", shape=a.shape if known else (None,) * a.ndim, dtype=str(a.dtype))
        for k, a in enumerate(arrays)
    ]


def interpreted(d: Definition, arrays: Sequence[np.ndarray], scheduled: bool) -> list[np.ndarray]:
    program = stages.lower(d, stages.optimized_graph(d), scheduled)
    verify_program(program)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(run_program(program, list(arrays), bind_sizes(d, arrays)))


def agree(
    formula: Callable[..., Any], arrays: Sequence[np.ndarray], wanted: Sequence[np.ndarray],
    *, seen: str = "", known: bool = False, rtol: float = 0.0, loops: bool = True,
) -> str:  # fmt: skip
    """Native code and both interpreted programs against NumPy; the text of the schedule."""
    inputs = symbols(arrays, known)
    f = sg.compile(inputs, formula(*inputs))
    results = [("native", f(*arrays))]
    if loops:
        results += [(str(s), interpreted(f.definition, arrays, s)) for s in (True, False)]
    for way, found in results:
        for a, b in zip(found if isinstance(found, list | tuple) else [found], wanted, strict=True):
            assert np.shape(a) == np.shape(b), way
            if rtol:
                np.testing.assert_allclose(a, b, rtol, atol=rtol, err_msg=way)
            else:
                np.testing.assert_array_equal(a, b, err_msg=way)
    text = program_text(stages.lower(f.definition, stages.optimized_graph(f.definition)))
    assert seen in text
    return text


def numbers(shape: Sequence[int], dtype: str = "float32", seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=shape) * 50
    return values.astype(dtype) if dtype != "bool" else values > 0


# squares ------------------------------------------------------------------------------------------

ORDERS = [
    ((16, 16), (1, 0)), ((5, 7), (1, 0)), ((33, 70), (1, 0)), ((70, 33), (1, 0)),
    ((130, 65), (1, 0)),
    ((64, 64), (1, 0)), ((3, 40, 50), (0, 2, 1)), ((40, 3, 50), (2, 1, 0)),
    ((20, 18, 19), (1, 2, 0)),
    ((20, 18, 19), (2, 0, 1)), ((2, 17, 3, 18), (0, 3, 2, 1)), ((0, 5), (1, 0)), ((100, 1), (1, 0)),
]  # fmt: skip


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int16", "bool", "float16"])
def test_transposed_reads(dtype: str, known: bool) -> None:
    for shape, order in ORDERS:
        a = numbers(shape, dtype)
        turned = np.ascontiguousarray(a.transpose(order))
        if dtype == "bool":
            agree(lambda x, y, o=order: sg.transpose(x, o) ^ y, [a, turned],
                  [turned ^ turned], known=known, loops=False)  # fmt: skip
            continue
        wanted = [turned, turned - (turned + turned)]
        agree(lambda x, y, o=order: [sg.transpose(x, o) + 0, sg.transpose(x, o) - (y + y)],
              [a, turned], wanted, known=known, loops=False)  # fmt: skip


@pytest.mark.parametrize("shape", [(16, 16), (20, 50), (70, 17), (65, 130)])
def test_squares_are_there_and_mean_the_same(shape: tuple[int, int]) -> None:
    a, b = numbers(shape), numbers(shape[::-1], seed=1)
    agree(lambda x, y: [x.T * 2 + y, sg.exp(y * 0)], [a, b], [a.T * 2 + b, np.ones_like(b)],
          seen="alloc squares0", rtol=1e-6)  # fmt: skip


def test_two_transposed_reads_and_one_along() -> None:
    a, b = numbers((40, 40)), numbers((40, 40), "float64", 1)
    agree(lambda x, y: x.T + y.T + x, [a, b], [a.T + b.T + a], seen="alloc squares1", rtol=1e-12)


@pytest.mark.parametrize("turns", [1, 3])
@pytest.mark.parametrize("shape", [(1, 40), (33, 70), (64, 64), (130, 17)])
def test_turned_by_a_quarter(shape: tuple[int, int], turns: int) -> None:
    """One of the axes is read backwards."""
    a = numbers(shape, "float32")
    agree(lambda x: sg.rot90(x, turns) * 2 + 1, [a], [np.rot90(a, turns) * 2 + 1],
          seen="alloc squares0", rtol=1e-6)  # fmt: skip


def test_short_axes_have_no_squares() -> None:
    a = numbers((3, 1000))
    text = agree(lambda x: sg.transpose(x) * 2, [a], [a.T * 2], known=True)
    assert "squares" not in text


def test_in_place_updates_through_squares() -> None:
    data = numbers((50, 40))
    w, x = sg.shared(data, "w"), sg.matrix("x", dtype="float32")
    step = sg.compile([x], [], updates={w: w + sg.transpose(x)})
    a = numbers((40, 50), seed=2)
    step(a)
    np.testing.assert_array_equal(w.get_value(), data + a.T)


# strips -------------------------------------------------------------------------------------------

COLUMNS = [(40, 7), (100, 130), (33, 1100), (1, 5), (17, 16), (1000, 1), (16, 512), (2, 600)]


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "bool"])
def test_folds_down_columns(dtype: str, known: bool) -> None:
    for shape in COLUMNS:
        a = numbers(shape, dtype)
        ways = [(sg.sum, np.sum), (sg.max, np.max), (sg.min, np.min), (sg.argmax, np.argmax),
                (sg.argmin, np.argmin), (sg.all, np.all), (sg.any, np.any)]  # fmt: skip
        wanted = [f(a, axis=0) for _, f in ways]
        agree(lambda x, w=ways: [f(x, axis=0) for f, _ in w], [a], wanted, known=known,
              rtol=1e-4 if dtype == "float32" else 1e-12, loops=shape[0] < 50)  # fmt: skip


@pytest.mark.parametrize("shape", [(40, 7), (70, 600), (3, 50, 70), (200, 33)])
def test_folds_that_need_folds(shape: tuple[int, ...]) -> None:
    a = numbers(shape, "float64") / 50
    axis = len(shape) - 2
    mean = a.mean(axis, keepdims=True)
    normal = (a - mean) / np.sqrt(a.var(axis, keepdims=True) + 1e-5)
    e = np.exp(a - a.max(axis, keepdims=True))
    wanted = [a.var(axis), normal, e / e.sum(axis, keepdims=True), np.log(np.exp(a).sum(axis))]
    agree(lambda x: [sg.var(x, axis), sg.nn.layer_norm(x, axis), sg.nn.softmax(x, axis),
                     sg.logsumexp(x, axis)],
          [a], wanted, seen="alloc strip", rtol=1e-10)  # fmt: skip


def test_folds_over_several_axes() -> None:
    a = numbers((20, 30, 40), "float64")
    agree(lambda x: [sg.sum(x, (0, 1)), sg.max(x, (0, 1))], [a], [a.sum((0, 1)), a.max((0, 1))],
          seen="alloc strip", rtol=1e-12)  # fmt: skip


def test_short_columns_go_down_alone() -> None:
    a = numbers((columns.SHORT, 100))
    text = agree(lambda x: sg.max(x, 0), [a], [a.max(0)], known=True)
    assert "strip" not in text


def test_sums_of_infinities_down_columns() -> None:
    a = numbers((50, 20), "float64")
    a[7, 3], a[9, 4], a[11, 4], a[13, 5] = INF, INF, -INF, NAN
    with np.errstate(invalid="ignore"):
        agree(lambda x: sg.sum(x, 0), [a], [a.sum(0)], rtol=1e-12)


MANY = [(129, 70), (150, 1100), (300, 600), (1024, 9), (1025, 64), (2100, 3), (128, 65),
        (257, 513), (3, 2100)]  # fmt: skip


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "bool"])
def test_many_rows_go_down_in_parts(dtype: str, known: bool) -> None:
    for shape in MANY:
        a = numbers(shape, dtype)
        a[-1, 0] = a[0, 0]  # positions in the first and in the last part
        ways = [(sg.sum, np.sum), (sg.max, np.max), (sg.min, np.min), (sg.argmax, np.argmax),
                (sg.argmin, np.argmin), (sg.all, np.all), (sg.any, np.any)]  # fmt: skip
        wanted = [f(a, axis=0) for _, f in ways]
        long = columns.LONGER if shape[1] <= columns.FEW else columns.LONG
        seen = "" if known and shape[0] <= long else "parts0["
        agree(lambda x, w=ways: [f(x, axis=0) for f, _ in w], [a], wanted, known=known, seen=seen,
              rtol=1e-4 if dtype == "float32" else 1e-12, loops=a.size < 10_000)  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", [(130, 70), (2100, 3), (1030, 64), (400, 600)])
def test_parts_are_the_same_for_any_number_of_threads(shape: tuple[int, int], threads: int) -> None:
    a = (numbers(shape) / 50).astype("float32")
    x = sg.matrix("x", dtype="float32")
    formulas = [sg.sum(x, 0), sg.argmax(x, 0), sg.var(x, 0), sg.logsumexp(x, 0),
                sg.nn.softmax(x, 0), sg.nn.layer_norm(x, 0)]  # fmt: skip
    with config.change(num_threads=1, parallel_from=1 << 60):
        alone = sg.compile([x], formulas)(a)
    with config.change(num_threads=threads, parallel_from=0):
        found = sg.compile([x], formulas)(a)
    for one, other in zip(alone, found, strict=True):
        np.testing.assert_array_equal(one, other)
    wide = a.astype("float64")
    np.testing.assert_allclose(found[2], wide.var(0), 1e-5)
    np.testing.assert_allclose(found[3], np.log(np.exp(wide).sum(0)), 1e-5)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_deviations_from_the_mean_of_a_part(dtype: str, known: bool) -> None:
    """Values far from zero, whose mean drifts from part to part; infinities; a row too many."""
    for shape in [(130, 9), (257, 70), (1025, 30), (2100, 3)]:
        a = numbers(shape, "float64") + 3000 + np.arange(shape[0])[:, None]
        a[7, 0], a[9, 1], a[-1, 2] = INF, NAN, -INF
        a = a.astype(dtype)
        wide = a.astype("float64")
        with np.errstate(invalid="ignore"):
            wanted = [wide.var(0), wide.std(0, ddof=1), wide.sum(0)]
        agree(lambda x: [sg.var(x, 0), sg.std(x, 0, ddof=1), sg.sum(x, 0)], [a], wanted,
              known=known, seen="" if known else "parts1[", loops=a.size < 10_000,
              rtol=1e-5 if dtype == "float32" else 1e-12)  # fmt: skip


def test_parts_with_nothing_in_them() -> None:
    a = numbers((0, 5), "float64")
    agree(lambda x: [sg.sum(x, 0), sg.prod(x, 0)], [a], [a.sum(0), a.prod(0)], seen="parts0[")


@pytest.mark.parametrize("shape", [(600, 500), (40, 9), (1, 1)])
def test_large_temporaries_are_made_in_the_result(shape: tuple[int, int]) -> None:
    """Where the result is made of them element by element, and nothing reads them later."""
    a = (numbers(shape) / 50).astype("float32")
    e = np.exp(a - a.max(0))
    share = e / e.sum(0)
    turned = np.flip(e, 0) / e.sum(0)
    cases: list[tuple[Any, list[np.ndarray], int]] = [
        (lambda x: [sg.nn.softmax(x, 0)], [share], 1),
        (lambda x: [sg.flip(sg.exp(x - sg.max(x, 0)), 0) / sg.exp(x - sg.max(x, 0)).sum(0)],
         [turned], 0),
    ]  # fmt: skip
    for formula, wanted, count in cases:
        x = sg.matrix("x", dtype="float32")
        f = sg.compile([x], formula(x))
        program = stages.lower(f.definition, stages.optimized_graph(f.definition))
        assert len(memory.plan(program, True).in_results) == count
        assert not memory.plan(program).in_results
        for found, other in zip(f(a), wanted, strict=True):
            np.testing.assert_allclose(found, other, 2e-6)


# rows in the order of memory ----------------------------------------------------------------------

FAR = [(5, 40, 30), (3, 17, 64), (2, 1, 5), (20, 16, 300), (0, 3, 4), (3, 0, 4), (3, 4, 0)]


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
def test_folds_over_rows_far_apart(dtype: str, known: bool) -> None:
    for shape in FAR:
        a = numbers(shape, dtype)
        ways: list[Any] = [(sg.sum, np.sum), (sg.any, np.any)]
        if a.size:
            ways += [(sg.max, np.max), (sg.min, np.min)]
        agree(lambda x, w=ways: [f(x, (0, 2)) for f, _ in w], [a],
              [f(a, axis=(0, 2)) for _, f in ways], known=known,
              seen="" if 0 in shape or 1 in shape else "alloc strip0",
              rtol=1e-4 if dtype == "float32" else 1e-11, loops=a.size < 6000)  # fmt: skip


def test_folds_over_rows_far_apart_with_more_around_them() -> None:
    a, w = numbers((2, 3, 18, 5), "float64"), numbers((3, 5), "float64", 1)
    wanted = [a.sum((1, 3)), a.sum((0, 1, 3)), (a * w[:, None]).sum((0, 1, 3)) + 1]
    agree(lambda x, w: [sg.sum(x, (1, 3)), sg.sum(x, (0, 1, 3)),
                        sg.sum(x * w[:, None], (0, 1, 3)) + 1],
          [a, w], wanted, seen="alloc strip0", rtol=1e-12)  # fmt: skip


def test_sums_of_infinities_over_rows_far_apart() -> None:
    a = numbers((4, 20, 6), "float64")
    a[1, 3, 2], a[1, 4, 1], a[3, 4, 5], a[2, 5, 0] = INF, INF, -INF, NAN
    with np.errstate(invalid="ignore"):
        agree(lambda x: sg.sum(x, (0, 2)), [a], [a.sum((0, 2))], rtol=1e-12)


LENGTHS = (0, 1, 15, 17, 63, 65, 300, 511, 512, 513, 1023, 1024, 1025, 1100, 2055, 9000)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_of_rows_of_all_lengths(dtype: str) -> None:
    """One block and a rest, several blocks, and what is no whole vector of lanes; infinities in the
    rest, in the last block and in one before it. A row's sum does not depend on its neighbours."""
    x = sg.matrix("x", dtype=dtype)
    f = sg.compile([x], [sg.sum(x, 1), sg.sum(x * x, 1)])
    for length in LENGTHS:
        a = numbers((6, length), dtype)
        if length > 20:
            a[0, -1], a[1, 3], a[1, -1], a[4, 2], a[5, length // 2] = INF, INF, -INF, -INF, NAN
            a[2, ::7] *= 1e6
        with np.errstate(invalid="ignore"):
            wanted = [a.sum(1), (a * a).sum(1)]
        found = [np.asarray(r) for r in f(a)]
        for one, other in zip(found, wanted, strict=True):
            strange = ~np.isfinite(other)
            np.testing.assert_array_equal(one[strange], other[strange])
        for k in range(6):
            alone = [np.asarray(r) for r in f(a[k : k + 1])]
            for one, other in zip(alone, found, strict=True):
                np.testing.assert_array_equal(one, other[k : k + 1], strict=True)
        exact = [math.fsum(row) for row in a[2:4].astype("float64")]
        close = 1e-6 if dtype == "float32" else 1e-15
        np.testing.assert_allclose(found[0][2:4], exact, close, close * np.abs(a[2:4]).sum())


# positions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "int8", "uint64", "int64", "bool"]
)
def test_positions(dtype: str) -> None:
    for shape in [(3, 1), (3, 10), (2, 64), (2, 65), (2, 200), (3, 1000), (5, 7, 9)]:
        a = np.round(numbers(shape, dtype) / (1 if dtype == "bool" else 20)).astype(dtype)
        axes = [None, *range(len(shape))]
        wanted = [f(a, axis) for axis in axes for f in (np.argmax, np.argmin)]
        agree(lambda x, n=axes: [f(x, k) for k in n for f in (sg.argmax, sg.argmin)], [a], wanted,
              loops=a.size < 200)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", [1, 5, 64, 100, 300])
def test_positions_of_special_values(dtype: str, length: int) -> None:
    rows = [np.full(length, v) for v in (-INF, INF, NAN, 0.0, -0.0)]
    for k in {0, length // 2, length - 1}:
        for v in (NAN, INF, -INF):
            rows += [np.zeros(length), np.arange(length, dtype="float64"), np.full(length, -INF)]
            for row in rows[-3:]:
                row[k] = v
    rows.append(np.where(np.arange(length) % 3, NAN, 1.0))
    rows.append(np.where(np.arange(length) % 2, -0.0, 0.0))
    a = np.array(rows, dtype)
    agree(lambda x: [sg.argmax(x, 1), sg.argmin(x, 1)], [a], [a.argmax(1), a.argmin(1)],
          loops=length < 50)  # fmt: skip
    b = np.ascontiguousarray(a.T)
    agree(lambda x: [sg.argmax(x, 0), sg.argmin(x, 0)], [b], [b.argmax(0), b.argmin(0)],
          loops=length < 50)  # fmt: skip


# joined folds and loops ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(100, 3), (5, 7, 9), (1, 4), (0, 3), (600, 2)])
def test_folds_over_everything_are_one(shape: tuple[int, ...]) -> None:
    a = numbers(shape, "float64")
    text = agree(lambda x: [sg.sum(x), sg.sum(x * x)], [a], [a.sum(), (a * a).sum()], rtol=1e-12)
    assert text.count("fold ") == 2


def test_folds_that_read_an_array_in_two_ways_stay() -> None:
    a = numbers((9, 9), "float64")
    agree(lambda x: [sg.sum(x * x.T), sg.sum(x)], [a], [(a * a.T).sum(), a.sum()], rtol=1e-12)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 1, 9, 7), (1, 4, 4, 20)])
def test_loops_over_the_axes_of_folds_are_one_with_them(
    shape: tuple[int, ...], known: bool
) -> None:
    """What is normalised over three axes is read by folds and by the loop that stores it."""
    a = numbers(shape, "float64")
    b = numbers(shape[1:2], "float64", 1)

    def formula(x: Any, scale: Any) -> list[Any]:
        high = x - sg.max(x, (1, 2, 3), keepdims=True)
        return [high / (sg.sum(high, (1, 2, 3), keepdims=True) - 1), high * scale[:, None, None]]

    high = a - a.max((1, 2, 3), keepdims=True)
    wanted = [high / (high.sum((1, 2, 3), keepdims=True) - 1), high * b[:, None, None]]
    agree(formula, [a, b], wanted, known=known, rtol=1e-12)
    text = agree(lambda x: formula(x, sg.ones(1))[0], [a], wanted[:1], known=known, rtol=1e-12)
    assert text.count("fold ") <= 4  # two, for short rows in lanes and for long ones


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("rows", [1, 20, 33])
def test_loops_of_few_turns(rows: int, known: bool) -> None:
    """Written out, as tuples or rows; and repeated rows without remainders."""
    a, b = numbers((rows,), "float64"), numbers((rows, 3), "float64", 1)
    agree(lambda x: [sg.stack([x, x * 2, -x], 1), sg.stack([x, x * 2, -x], 0)], [a],
          [np.stack([a, a * 2, -a], 1), np.stack([a, a * 2, -a], 0)], known=known)  # fmt: skip
    agree(lambda y: [sg.tile(y, (2, 4)) * 2, sg.repeat(y, 5, 1)], [b],
          [np.tile(b, (2, 4)) * 2, np.repeat(b, 5, 1)], known=known)  # fmt: skip


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("shape", [(5, 3), (70, 2), (130, 15), (9, 16)])
def test_elements_of_short_rows_wait_on_the_stack(shape: tuple[int, int], known: bool) -> None:
    a = numbers(shape, "float64") / 50
    high = np.exp(a - a.max(1, keepdims=True))
    total = high.sum(1, keepdims=True)

    def formula(x: Any) -> list[Any]:
        high = sg.exp(x - sg.max(x, 1, keepdims=True))
        return [high / sg.sum(high, 1, keepdims=True), high, sg.sum(high * x, 1)]

    wanted = [high / total, high, (high * a).sum(1)]
    agree(formula, [a], wanted, known=known, rtol=1e-12)


@pytest.mark.parametrize("size", [1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200, 1000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_interleaved_chains(size: int, dtype: str) -> None:
    a = numbers((size,), dtype) / 50

    def chain(x: Any, tanh: Any) -> Any:
        return ((((x * 0.5 + 1) * x + 2) * x - 1) * x + 3) * tanh(x)

    for known in (False, True):
        agree(lambda x: chain(x, sg.tanh), [a], [chain(a, np.tanh)], known=known,
              rtol=1e-5 if dtype == "float32" else 1e-13)  # fmt: skip


# every other element, and backwards ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "bool", "float16", "complex64"])
def test_strided_loads(dtype: str) -> None:
    parts = [slice(None, None, 2), slice(1, None, 2), slice(None, None, -1), slice(None, None, -2)]
    for size in (1, 2, 3, 16, 17, 33, 64, 129):
        a = numbers((size,), dtype)
        for known in (False, True):
            wanted = [a[p] for p in parts] + [np.concatenate([a[::-1], a[::2]])]
            agree(lambda x: [*(x[p] for p in parts), sg.concatenate([x[::-1], x[::2]])],
                  [a], wanted, known=known, loops=False)  # fmt: skip


# scatters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("rows", [0, 1, 3, 40])
def test_scatters_along_inner_axes(rows: int, known: bool) -> None:
    """Rows come one after another; the terms of a place keep their order."""
    rng = np.random.default_rng(rows)
    a, i, j = rng.normal(size=(rows, 7, 5)), rng.integers(-7, 7, 30), rng.integers(-5, 5, 30)
    rows_of, pairs = rng.normal(size=(rows, 30, 5)), rng.normal(size=(rows, 30))
    lines = rng.normal(size=(rows, 7, 30))
    given = a, i, j, rows_of, pairs, lines
    x, k, m, v, w, u = (
        sg.tensor(f"x{n}", dtype=str(g.dtype), shape=g.shape if known else (None,) * g.ndim)
        for n, g in enumerate(given)
    )
    outs = [x.at[:, k].add(v), x.at[:, k].set(v), x.at[:, :, m].max(u), x.at[:, :, m].add(u),
            x.at[:, k, m].add(w), x.at[:, k, m].set(w)]  # fmt: skip
    got = sg.compile([x, k, m, v, w, u], outs)(*given)
    wanted = [a.copy() for _ in outs]
    every = slice(None)
    np.add.at(wanted[0], (every, i), rows_of)
    wanted[1][:, i] = rows_of
    np.maximum.at(wanted[2], (every, every, j), lines)
    np.add.at(wanted[3], (every, every, j), lines)
    np.add.at(wanted[4], (every, i, j), pairs)
    wanted[5][:, i, j] = pairs
    for f, n in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(f, n)


def test_rows_are_added_to_a_table_in_place() -> None:
    v, i = numbers((6, 4)), np.array([1, 3, 1, 0, -1, 3])
    table = np.zeros((5, 4), "float32")
    np.add.at(table, i, v)
    text = agree(lambda v, i: sg.zeros((5, 4), "float32").at[i].add(v), [v, i], [table], rtol=1e-6)
    assert "copy" not in text


def test_a_table_that_is_read_again_is_kept() -> None:
    v, i = numbers((6, 4)), np.array([1, 3, 1, 0, -1, 3])
    base = numbers((5, 4), seed=3)
    table = base * 2
    np.add.at(table, i, v)
    text = agree(lambda t, v, i: [(t * 2).at[i].add(v), t * 2], [base, v, i],
                 [table, base * 2], rtol=1e-6)  # fmt: skip
    assert "copy" in text


def test_a_view_is_added_where_it_lies() -> None:
    v, i = numbers((6, 1)), np.array([1, 3, 1, 0, -1, 3], "int32")
    base = numbers((5, 4), seed=3)
    table = base.copy()
    np.add.at(table, i[::-1], np.broadcast_to(v[:, ::-1], (6, 4)))
    text = agree(lambda t, v, i: t.at[i[::-1]].add(sg.broadcast_to(v[:, ::-1], (6, 4))),
                 [base, v, i], [table], rtol=1e-6, known=True)  # fmt: skip
    assert text.count("run ") == 2  # the check of the indices and the scatter


def test_a_view_of_the_table_itself() -> None:
    base, i = numbers((6, 4)), np.array([5, 3, 1, 0, -1, 3])
    table = base.copy()
    np.add.at(table, i, base[::-1])
    agree(lambda t, i: t.at[i].add(t[::-1]), [base, i], [table], rtol=1e-6)
    state = sg.shared(base, "state")
    index = sg.vector("i", dtype="int64")
    sg.compile([index], [], updates={state: state.at[index].add(state[::-1])})(i)
    np.testing.assert_allclose(state.get_value(), table, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool", "float16"])
@pytest.mark.parametrize("shape", [(5,), (3, 4), (1, 2, 70)], ids=str)
def test_many_terms_fill_tables_of_their_own(
    shape: tuple[int, ...], dtype: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("EACH", "FULL", "ROWS"):
        monkeypatch.setattr(scatter_sizes, name, 2)
    rng = np.random.default_rng(len(shape))
    with config.change(cache_dir=str(tmp_path), parallel_from=0):
        for count in (0, 3, 100, 1001):
            i = rng.integers(-shape[0], shape[0], count)
            x = rng.integers(0, 9, shape).astype(dtype)
            v = rng.integers(0, 3, (count, *shape[1:])).astype(dtype)
            ways = {"add": np.add, "max": np.maximum, "min": np.minimum}
            wanted = []
            for ufunc in ways.values():
                held = x.copy()
                ufunc.at(held, i, v)
                wanted.append(held)
            agree(lambda x, v, i: [getattr(x.at[i], n)(v) for n in ways], [x, v, i], wanted,
                  seen="for _part in 0 .. 8*minimum", loops=count < 200)  # fmt: skip


@pytest.mark.parametrize("count", [131_072, 131_075, 200_001])
@pytest.mark.parametrize("known", [False, True])
def test_a_scatter_of_many_terms_looks_at_its_indices(count: int, known: bool) -> None:
    """One wrong index anywhere fails the call, which changes no state."""
    rng = np.random.default_rng(count)
    held = rng.normal(size=50)
    table = sg.shared(held, "table")
    size = count if known else "n"
    i, v = (sg.vector(n, shape=(size,), dtype=d) for n, d in (("i", "int64"), ("v", "float64")))
    f = sg.compile([i, v], [], updates={table: table.at[i].add(v)})
    text = program_text(stages.lower(f.definition, stages.optimized_graph(f.definition)))
    assert "fold _part_good: bool = and" in text
    index, values = rng.integers(0, 50, count), rng.normal(size=count)
    chunk = -(-count // 8)
    last = min(chunk, count - 7 * chunk)
    for at in (0, 511, 512, chunk // 2, chunk - 1, chunk, 7 * chunk + last // 2, count - 1):
        for wrong in (50, -51, 1 << 40, -(1 << 63)):
            broken = index.copy()
            broken[at] = wrong
            with pytest.raises(sg.errors.IndexOutOfRange):
                f(broken, values)
            np.testing.assert_array_equal(table.get_value(), held)
    index[[3, 700, chunk, count - 1]] = [-1, -50, -7, -3]  # from the end
    for threads in (1, 3):
        table.set_value(held)
        with config.change(parallel_from=0, num_threads=threads):
            f(index, values)
        wanted = held.copy()
        np.add.at(wanted, index, values)
        np.testing.assert_allclose(table.get_value(), wanted, rtol=1e-9)
    if not known:
        table.set_value(held)
        f(index[:9], values[:9])
        np.testing.assert_allclose(
            table.get_value(), held + np.bincount(index[:9] % 50, values[:9], 50)
        )
        with pytest.raises(sg.errors.IndexOutOfRange):
            f(np.array([3, 50]), values[:2])


@pytest.mark.parametrize("count", [1, 9, 40, 100])
def test_gathered_rows_are_added_row_by_row(count: int) -> None:
    """The numbers of the rows do not make it a fold along rows."""
    x, i = numbers((30, 70), "float64"), np.random.default_rng(count).integers(-30, 30, count)
    agree(lambda x, i: [sg.sum(x[i], 0), sg.max(x[i] * 2, 0)], [x, i],
          [x[i].sum(0), (x[i] * 2).max(0)], seen="strip0", rtol=1e-9)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_elements_are_sorted_by_column(dtype: str) -> None:
    """Turns of a loop of kind "apart" touch different memory: the interpreter goes backwards."""
    rng = np.random.default_rng(7)
    for shape in ((40, 9), (2, 30), (130, 7)):
        dense = rng.integers(1, 9, shape) * (rng.random(shape) < 0.4)
        indptr = np.concatenate([[0], np.cumsum((dense != 0).sum(1))])
        indices = np.nonzero(dense)[1].astype("int32")
        x = rng.integers(-9, 9, (shape[0], 5)).astype(dtype)
        arrays = [dense[dense != 0].astype(dtype), indices, indptr.astype("int32"), x]
        agree(lambda d, i, p, x, shape=shape: sg.sparse.CSR(d, i, p, shape).T @ x, arrays,
              [(dense.T @ x).astype(dtype)], seen="for _part in 0 .. 4 apart")  # fmt: skip


def test_the_sizes_of_schedules() -> None:
    """What the shapes above were chosen for."""
    assert (tiling.EDGE, tiling.ROWS, tiling.COLUMNS) == (16, 4, 4)
    assert (strips.Strips.WIDTH, strips.ROWS, columns.SHORT) == (512, 8, 32)
    assert (columns.LONG, columns.FEW, columns.LONGER) == (128, 64, 1024)
    assert (row_order.ROWS, folds_llvm.BLOCK, scatter_sizes.PARTS) == (16, 16, 8)
