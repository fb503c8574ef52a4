"""Checks and branches that are decided on the device: nobody waits, and nothing happens that must
not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config
from symgraph.cuda import guards
from symgraph.errors import IndexOutOfRange
from symgraph.runtime.cuda.device import Device, using
from tests.cuda.fake_driver import FakeDriver


@pytest.fixture
def gpu() -> Iterator[Device]:
    with using(FakeDriver()) as made:
        yield made


def fake(gpu: Device) -> Any:
    return gpu.driver


def taken() -> tuple[Any, Any]:
    """x[i] with an update that counts calls."""
    x, i = sg.vector("x", dtype="float32"), sg.scalar("i", dtype="int64")
    s = sg.shared(np.float32(0), "s")
    return sg.compile([x, i], x[i] * 2, updates={s: s + 1}, target="cuda"), s


ONES = np.ones(3, "float32")


# checks -------------------------------------------------------------------------------------------


def test_an_error_is_told_to_who_waits_for_the_result(gpu: Device) -> None:
    f, s = taken()
    good, bad, later = (f.on_device(ONES, k) for k in (1, 7, 2))
    assert not fake(gpu).calls["synchronize"]
    assert good.numpy() == 2
    for _ in range(2):  # as often as somebody looks
        with pytest.raises(IndexOutOfRange, match=r"x\[i\]"):
            bad.block_until_ready()
    assert later.numpy() == 2 and s.get_value() == 2


def test_an_error_that_nobody_looked_for_comes_with_the_next_wait(gpu: Device) -> None:
    f, s = taken()
    f.on_device(ONES, 7)
    with pytest.raises(IndexOutOfRange):
        s.get_value()
    assert s.get_value() == 0
    f.on_device(ONES, -9)
    with pytest.raises(IndexOutOfRange):
        gpu.synchronize()
    gpu.synchronize()
    assert f(ONES, 0) == 2


def test_a_call_that_waits_names_the_value(gpu: Device) -> None:
    f, _ = taken()
    for _ in range(4):  # by the walk, then by a graph
        with pytest.raises(IndexOutOfRange, match="7"):
            f(ONES, 7)
        assert f(ONES, 2) == 2


def test_the_number_says_which_check_it_was(gpu: Device) -> None:
    x, i, j = sg.vector("x"), sg.scalar("i", dtype="int64"), sg.scalar("j", dtype="int64")
    f = sg.compile([x, i, j], [x[i], sg.exp(x)[j]], target="cuda")
    for args, name in (((5, 1), "i"), ((1, 5), "j")):
        with pytest.raises(IndexOutOfRange, match=rf"\[{name}\]"):
            f(np.ones(3), *args)
    assert [float(v) for v in f(np.zeros(3), 0, 1)] == [0.0, 1.0]


def test_state_that_is_exchanged_stays_after_a_failure(gpu: Device) -> None:
    a, b = sg.shared(np.arange(300.0), "a"), sg.shared(-np.arange(300.0), "b")
    i = sg.scalar("i", dtype="int64")
    f = sg.compile([i], a[i], updates={a: b, b: a}, target="cuda")
    assert any(name.startswith("copy") for name in f.code.functions)
    with pytest.raises(IndexOutOfRange):
        f(300)
    assert a.get_value()[1] == 1 and b.get_value()[1] == -1
    assert f(2) == 2
    assert a.get_value()[299] == -299 and b.get_value()[299] == 299


def test_a_check_inside_a_loop(gpu: Device) -> None:
    x, index = sg.vector("x", dtype="float32"), sg.vector("index", dtype="int64")
    s = sg.shared(np.float32(0), "s")
    sums = sg.scan(lambda i, before: before + x[i], [index], [sg.constant(np.float32(0))])
    f = sg.compile([x, index], sums, updates={s: s + sums[-1]}, target="cuda")
    values = np.array([1, 2, 4], "float32")
    assert f(values, [2, 0, 1]).tolist() == [4, 5, 7]
    with pytest.raises(IndexOutOfRange):
        f(values, [2, 3, 1])
    assert s.get_value() == 7


def test_a_loop_ends_when_something_has_failed(gpu: Device) -> None:
    """What a while loop would ask has not been computed then."""
    x, i = sg.vector("x", dtype="float32"), sg.scalar("i", dtype="int64")
    y = sg.while_loop(lambda v: v < 100, lambda v: v * 2, x[i])
    f = sg.compile([x, i], y, target="cuda")
    assert f(ONES, 1) == 128
    with pytest.raises(IndexOutOfRange):
        f(ONES, 3)
    assert f(ONES * 3, 0) == 192


def test_the_host_does_nothing_after_a_failure(gpu: Device) -> None:
    seen = []

    @sg.python_op(infer="float32[] -> float32[]")
    def note(v: np.ndarray) -> np.ndarray:
        seen.append(float(v))
        return v + 1

    x, i = sg.vector("x", dtype="float32"), sg.scalar("i", dtype="int64")
    f = sg.compile([x, i], note(x[i]), target="cuda")
    with pytest.raises(IndexOutOfRange):
        f(ONES, 3)
    assert not seen and f(ONES, 0) == 2 and seen == [1.0]


# branches -----------------------------------------------------------------------------------------


def chosen() -> Any:
    x = sg.vector("x", dtype="float32")
    y = sg.cond(sg.sum(x) > 0, lambda: sg.cumsum(x), lambda: -x)
    return sg.compile([x], y + 1, target="cuda")


def test_short_branches_need_no_answer(gpu: Device) -> None:
    f = chosen()
    for sign in (1, -1) * 3:
        x = np.full(4, sign, "float32")
        expected = (np.cumsum(x) if sign > 0 else -x) + 1
        fake(gpu).calls.clear()
        np.testing.assert_array_equal(f(x), expected)
        assert fake(gpu).calls["synchronize"] == 1  # for the result
    assert fake(gpu).replayed["launch"]


def test_long_branches_are_steered_by_the_host(
    gpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "MOST_LAUNCHES", 0)
    with config.change(cache=False):
        f = chosen()
    for sign in (1, -1):
        x = np.full(4, sign, "float32")
        fake(gpu).calls.clear()
        f(x)
        assert fake(gpu).calls["synchronize"] == 2


def test_branches_inside_of_each_other_and_of_loops(gpu: Device) -> None:
    x = sg.vector("x", dtype="float32")

    def step(v: Any, before: Any) -> Any:
        inner = lambda: sg.cond(v > 5, lambda: before * 2, lambda: before + v)
        return sg.cond(v > 0, inner, lambda: before - 1)

    y = sg.scan(step, [x], [sg.constant(np.float32(1))])
    f = sg.compile([x], y, target="cuda")
    values = np.array([1, -2, 7, 3, -1], "float32")
    expected, now = [], 1.0
    for v in values:
        now = (now * 2 if v > 5 else now + v) if v > 0 else now - 1
        expected.append(now)
    fake(gpu).calls.clear()
    np.testing.assert_array_equal(f(values), np.array(expected, "float32"))
    assert fake(gpu).calls["synchronize"] == 1


def test_a_branch_after_a_check(gpu: Device) -> None:
    x, i = sg.vector("x", dtype="float32"), sg.scalar("i", dtype="int64")
    s = sg.shared(np.zeros(3, "float32"), "s")
    new = sg.cond(x[i] > 0, lambda: s + sg.cumsum(x), lambda: s - x)
    f = sg.compile([x, i], [], updates={s: new}, target="cuda")
    f(ONES, 0)
    with pytest.raises(IndexOutOfRange):
        f(ONES, 3)
    f(-ONES, 0)
    assert s.get_value().tolist() == [2, 3, 4]
