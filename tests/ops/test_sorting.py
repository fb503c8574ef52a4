"""Sorting in native code against NumPy, over dtypes, sizes and special values; what is refused;
the routines along an axis in the loop language's own interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import dtypes
from symgraph.codegen.sort_bytes_llvm import SHORT
from symgraph.errors import ArgumentError, IndexOutOfRange, RankError, ShapeError, SymgraphError
from symgraph.ir.graph import Graph
from symgraph.ir.interpret import interpret
from symgraph.loops.interpret import run_program
from symgraph.loops.verify import verify_program
from symgraph.lower.build import Builder, context
from symgraph.lower.routines import realise
from symgraph.ops.cumulative import CumLogSumExp

PLAIN = dtypes.REALS
SPECIAL = (0.0, -0.0, float("inf"), -float("inf"), float("nan"), -float("nan"), 1.0, -1.0, 5e-324)


def values(dtype: str, n: int, wide: bool) -> Any:
    rng = np.random.default_rng(n)
    if dtype == "bool":
        return rng.integers(0, 2, (3, n)).astype(bool)
    if dtypes.is_int(dtype):
        info = np.iinfo(dtype)
        low, high = (info.min, info.max) if wide else (0, 4)
        return rng.integers(low, high, (3, n), dtype=dtype, endpoint=True)
    kind = dtypes.numpy_dtype(dtype)
    if wide:
        return rng.standard_normal((3, n)).astype(kind)
    return rng.choice(np.array(SPECIAL).astype(kind), (3, n))


@pytest.mark.parametrize("dtype", PLAIN)
def test_sorted_as_numpy_does(dtype: str) -> None:
    x = sg.tensor("x", dtype, ("r", "n"))
    outputs = [sg.sort(x), sg.argsort(x), sg.argsort(x, 0), sg.argsort(x, descending=True)]
    f = sg.compile([x], outputs)
    for n in (0, 1, 2, 5, SHORT, SHORT + 1, 300):
        for wide in (False, True):
            a = values(dtype, n, wide)
            y, places, columns, down = f(a)
            assert y.tobytes() == interpret(Graph([x], outputs[:1]), [a])[0].tobytes()
            if dtypes.is_narrow(dtype):  # as what NumPy knows the NaN of
                a, y = a.astype("float32"), y.astype("float32")
            np.testing.assert_array_equal(y, np.sort(a))
            np.testing.assert_array_equal(places, np.argsort(a, kind="stable"))
            np.testing.assert_array_equal(columns, np.argsort(a, 0, kind="stable"))
            back = np.flip(np.argsort(np.flip(a, -1), kind="stable"), -1)
            np.testing.assert_array_equal(down, n - 1 - back)


def test_inside_a_scan() -> None:
    x = sg.tensor("x", shape=("k", "n"))
    y = sg.scan(lambda row, total: total + sg.sort(row)[0], [x], [sg.constant(0.0)])
    data = np.random.default_rng(0).normal(size=(5, 60))
    found = sg.compile([x], y)(data)
    last = found[-1] if isinstance(found, np.ndarray) else found
    np.testing.assert_allclose(np.ravel(last)[-1], data.min(1).sum())


def runs_in_the_loop_language(
    outputs: list[Any], inputs: list[Any], arrays: list[Any]
) -> list[Any]:
    builder = Builder(Graph(inputs, outputs), "f", (), context((), {}, True))
    program = builder.build([], realise)
    verify_program(program)
    sizes = {
        s.attr: n
        for v, a in zip(inputs, arrays, strict=True)
        for s, n in zip(v.shape, a.shape, strict=True)
    }
    return list(run_program(program, arrays, sizes))


def test_routines_along_an_axis() -> None:
    x, k = sg.tensor("x", shape=("n", "m")), sg.tensor("k", "int32", ("n", "m"))
    a = np.random.default_rng(1).normal(size=(4, 5))
    i = np.random.default_rng(2).integers(-30, 30, (4, 5)).astype("int32")
    outputs = [sg.cumprod(x, 0), sg.cummax(x, 1), sg.cumlogsumexp(x, 1), sg.gcd(k, 12)]
    outputs += [sg.searchsorted([-1.0, 0.0, 1.0], x), k.at[[1, 1]].multiply(2)]
    found = runs_in_the_loop_language(outputs, [x, k], [a, i])
    twice = i.copy()
    twice[1] *= 4
    wanted = [
        np.cumprod(a, 0), np.maximum.accumulate(a, 1), np.logaddexp.accumulate(a, 1),
        np.gcd(i, 12), np.searchsorted([-1.0, 0.0, 1.0], a), twice,
    ]  # fmt: skip
    for f, w in zip(found, wanted, strict=True):
        np.testing.assert_allclose(f, w, rtol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
def test_running_logsumexp_of_hard_rows(axis: int, reverse: bool) -> None:
    """Ties, infinities, NaN, terms far below the greatest, and long rows of which none is."""
    inf, rng = np.inf, np.random.default_rng(0)
    rows = np.zeros((7, 60))
    rows[0, 1:] = -50  # log(1 + e^-50) is not 0
    rows[1] = np.sort(300 * rng.normal(size=60))
    rows[2] = rows[1, ::-1]
    rows[3, :4] = -inf
    rows[4, [5, 20, 21]] = inf, -inf, inf
    rows[5, [0, 3]] = -inf, np.nan
    rows[6] = rng.normal(size=60)
    rows = rows if axis else np.ascontiguousarray(rows.T)
    x = sg.matrix("x")
    y = CumLogSumExp(axis, reverse)(x)
    got = sg.compile([x], y)(rows)
    turned = np.flip(rows, axis) if reverse else rows
    with np.errstate(invalid="ignore"):
        want = np.logaddexp.accumulate(turned.astype("longdouble"), axis)
    want = np.flip(want, axis) if reverse else want
    np.testing.assert_allclose(got, want.astype("float64"), rtol=2e-15)
    mended = np.where(np.isfinite(rows), rows, 1.0)
    slope = sg.compile([x], sg.grad((y * y).sum(), x))
    slow = sg.compile([x], sg.grad((y * y).sum(), x), mode="interpret")
    np.testing.assert_allclose(slope(mended), slow(mended), rtol=1e-12)


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("right", [False, True], ids=["left", "right"])
def test_searching_in_rows_of_all_lengths(known: bool, right: bool) -> None:
    """Round powers of two, where a position has a bit more, and round the blocks of values."""
    side = "right" if right else "left"
    rng = np.random.default_rng(0)
    v, rows = sg.vector("v"), sg.matrix("rows")
    for n in (0, 1, 2, 3, 4, 5, 8, 15, 16, 17, 63, 64, 65, 300):
        a = sg.vector("a", shape=(n if known else "n",))
        f = sg.compile([a, v, rows], [sg.searchsorted(a, x, side=side) for x in (v, rows, v[0])])
        held = np.sort(rng.integers(-n, n + 1, n) * 1.0)
        for count in (1, 511, 512, 513, 1500):
            values = np.r_[np.nan, np.inf, -np.inf, rng.integers(-n - 2, n + 3, count) * 1.0]
            some = values[: len(values) // 2 * 2].reshape(2, -1)
            for got, given in zip(f(held, values, some), (values, some, values[0]), strict=True):
                np.testing.assert_array_equal(got, np.searchsorted(held, given, side))


# what is refused ----------------------------------------------------------------------------------

X, SYMBOLIC = sg.constant([[1.0, 2.0], [3.0, 4.0]]), sg.vector("s", dtype="int64", shape=("n",))
REFUSED = [
    (lambda: sg.sort(1.0), RankError),
    (lambda: sg.sort(X, 2), SymgraphError),
    (lambda: sg.topk([1, 2], 3), ShapeError),
    (lambda: sg.partition([1, 2], 5), ArgumentError),
    (lambda: sg.searchsorted([1.0], 2.0, side="middle"), ArgumentError),
    (lambda: sg.digitize(1.0, [1.0, 3.0, 2.0]), ArgumentError),
    (lambda: sg.quantile(X, 1.5), ArgumentError),
    (lambda: sg.quantile(X, 0.5, method="guess"), ArgumentError),
    (lambda: sg.bincount([1.5]), SymgraphError),
    (lambda: sg.histogram(X, "auto"), ArgumentError),
    (lambda: sg.histogram(X, [2.0, 1.0]), ArgumentError),
    (lambda: sg.take([1], 0, mode="bounce"), ArgumentError),
    (lambda: sg.pad([1], 1, mode="bounce"), ArgumentError),
    (lambda: sg.pad(np.ones((0,)), 1, mode="edge"), ShapeError),
    (lambda: sg.convolve([1.0], [], "full"), ShapeError),
    (lambda: sg.sliding_window_view([1, 2], 3), ShapeError),
    (lambda: sg.gcd(1.5, 2), SymgraphError),
    (lambda: sg.specify_shape(X, (3, None)), ShapeError),
    (lambda: sg.array_split(X, 0), ArgumentError),
    (lambda: sg.block([[X], X]), ArgumentError),
    (lambda: sg.constant([1]).at[0].divide(2), SymgraphError),
    (lambda: sg.diff(X, -1), ArgumentError),
    (lambda: sg.gradient([1.0]), ShapeError),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_refused(number: int) -> None:
    build, error = REFUSED[number]
    with pytest.raises(error):
        build()


def test_counted_integers_are_checked_when_it_runs() -> None:
    f = sg.compile([SYMBOLIC], sg.bincount(SYMBOLIC, length=3))
    np.testing.assert_array_equal(f(np.array([0, 2, 2])), [1, 0, 2])
    for bad in (-1, 3):
        with pytest.raises(IndexOutOfRange):
            f(np.array([0, bad]))


def test_wrapped_indices_need_no_check_but_of_an_empty_axis() -> None:
    x, i = sg.vector("x", shape=("n",)), sg.vector("i", dtype="int64", shape=("k",))
    f = sg.compile([x, i], sg.take(x, i, mode="wrap"))
    np.testing.assert_array_equal(f(np.arange(3.0), np.array([4, -1])), [1.0, 2.0])
    assert f(np.zeros(0), np.zeros(0, "int64")).shape == (0,)
    with pytest.raises(IndexOutOfRange):
        f(np.zeros(0), np.array([1]))


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize(("n", "m"), [(0, 2), (2, 0), (0, 0)])
def test_convolutions_refuse_empty_operands_when_they_run(mode: str, n: int, m: int) -> None:
    a, v = sg.vector("a"), sg.vector("v")
    for run in ("run", "interpret"):
        f = sg.compile([a, v], [sg.convolve(a, v, mode), sg.correlate(a, v, mode)], mode=run)
        with pytest.raises(SymgraphError, match=r"empty|windows of"):
            f(np.ones(n), np.ones(m))
