"""Mistakes that random graphs have found, each as the smallest program that showed it."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import stages
from symgraph.codegen import llvm
from symgraph.executor import load_code

MODES = ("run", "interpret")


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_integers_divided_by_themselves_may_be_zero(mode: str) -> None:
    """The polynomials of sizes cancel x // x; data may be 0."""
    x = sg.vector("x", dtype="int64")
    f = sg.compile([x], [x // x, x % x, (x * 6) // (x * 3)], mode=mode)
    for found, want in zip(f([0, 1, -5]), ([0, 1, 1], [0, 0, 0], [0, 2, 2]), strict=True):
        assert found.tolist() == want


def test_products_of_data_wrap_around_before_they_are_divided(mode: str) -> None:
    x = sg.vector("x", dtype="int64")
    f = sg.compile([x], (x * 4) // 4, mode=mode)
    assert f([2**62, 3]).tolist() == [0, 3]


def test_counters_divided_by_themselves(mode: str) -> None:
    i = sg.arange(5)
    x = sg.matrix("x", shape=("n", 3))
    f = sg.compile([x], x[:, (i // i) % 3], mode=mode)
    assert f([[1.0, 2.0, 3.0]]).tolist() == [[1, 2, 2, 2, 2]]


@pytest.mark.parametrize("columns", [9, 17, 33])
@pytest.mark.parametrize(
    ("wide", "narrow"), [("int64", "uint8"), ("int64", "int16"), ("float64", "bool")]
)
def test_a_narrowing_store_of_one_lane_writes_no_more(columns: int, wide: str, narrow: str) -> None:
    """LLVM 22 makes a masked store of one constant lane as wide as the value before truncation."""
    x = sg.tensor("x", wide, (5, columns))
    d = sg.compile([x], sg.cast(x, narrow)[:, ::-1][:, ::-1], mode="interpret").definition
    d = d._replace(options={"mode": "run"})
    low = stages.emit(d, d.graph, stages.lower(d, d.graph, scheduled=False))
    (text,) = low.kernels.values()
    code = load_code(llvm.compile_object(text), ["kernel"])
    source = np.arange(5 * columns).reshape(5, columns).astype(wide)
    target = np.full(5 * columns + 64, 7, "uint8").view("uint8")
    target = np.full((5 * columns + 64) * np.dtype(narrow).itemsize, 7, "uint8")
    kernel = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(code.address("kernel"))
    kernel(source.ctypes.data, target.ctypes.data)
    size = 5 * columns * np.dtype(narrow).itemsize
    assert (target[size:] == 7).all()
    np.testing.assert_array_equal(target[:size].view(narrow), source.ravel().astype(narrow))


def test_a_view_of_the_old_value_is_read_before_the_update(mode: str) -> None:
    w = sg.shared(np.arange(6.0).reshape(3, 2), "w")
    flat = w.reshape((6,))
    f = sg.compile([], [sg.nn.log_softmax(flat), flat], updates={w: w + 5.0}, mode=mode)
    assert f()[1].tolist() == list(range(6)) and f()[1].tolist() == list(range(5, 11))


def test_numbers_that_look_like_truths(mode: str) -> None:
    p = sg.vector("p", dtype="bool")
    one, zero = sg.constant(1), sg.constant(0)
    f = sg.compile([p], [sg.where(p, one, zero), sg.where(p, zero, one)], mode=mode)
    a, b = f(np.array([True, False]))
    assert a.dtype == b.dtype == "int64" and a.tolist() == [1, 0] and b.tolist() == [0, 1]


def test_a_branch_on_a_constant(mode: str) -> None:
    x = sg.scalar("x")
    out = sg.cond(sg.constant(True), lambda: sg.constant(2.0) * 3, lambda: sg.constant(1.0))
    assert sg.compile([x], out + x, mode=mode)(1.0) == 7


def test_positions_in_rows_of_which_there_are_none(mode: str) -> None:
    x = sg.matrix("x")
    f = sg.compile([x], [sg.argmax(x, 1), sg.max(x, 1)], mode=mode)
    assert [o.shape for o in f(np.ones((0, 3)))] == [(0,), (0,)]


def test_an_index_that_a_pass_computes_may_lie_outside(mode: str) -> None:
    """It is an error of the call, and only where the index is used."""
    x = sg.vector("x", shape=(3,))
    flag = sg.scalar("flag", dtype="bool")
    index = sg.constant([3, 4]) % sg.constant(5)
    f = sg.compile([x, flag], sg.cond(flag, lambda: x[index], lambda: x[:2]), mode=mode)
    assert f([1.0, 2.0, 3.0], False).tolist() == [1, 2]
    with pytest.raises(sg.errors.IndexOutOfRange):
        f([1.0, 2.0, 3.0], True)


def test_failing_after_many_outputs() -> None:
    """The way out of a failing call is shared: code grows with the number of outputs, no faster."""
    x = sg.vector("x")

    def size(count: int) -> int:
        f: Any = sg.compile([x], [x + k for k in range(count)])
        return int(f.statistics["object_bytes"])

    assert size(160) < 2.5 * size(80)
