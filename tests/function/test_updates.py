"""Shared variables: updates read the old values and are stored together, or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import IndexOutOfRange, InputValueError, SymgraphError

MODES = ("run", "interpret", "debug")


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def state(*values: Any) -> list[Any]:
    return [sg.shared(np.asarray(v, float), f"w{k}") for k, v in enumerate(values)]


def held(*variables: Any) -> list[Any]:
    return [v.get_value().tolist() for v in variables]


def test_a_counter(mode: str) -> None:
    n = sg.shared(np.int64(0), "n")
    count = sg.compile([], n, updates={n: n + 1}, mode=mode)
    assert [int(count()) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert n.get_value() == 5


def test_an_output_is_the_old_value(mode: str) -> None:
    (w,) = state([1, 2])
    f = sg.compile([], [w, w * 10], updates={w: w + 1}, mode=mode)
    old, ten = f()
    assert old.tolist() == [1, 2] and ten.tolist() == [10, 20] and held(w) == [[2, 3]]


def test_an_output_is_the_new_value(mode: str) -> None:
    (w,) = state([1, 2])
    f = sg.compile([], w + 1, updates={w: w + 1}, mode=mode)
    new = f()
    assert new.tolist() == [2, 3] and held(w) == [[2, 3]]
    new[:] = 0
    assert held(w) == [[2, 3]]


@pytest.mark.parametrize("backwards", [False, True])
def test_swap(mode: str, backwards: bool) -> None:
    a, b = state([1, 2], [3, 4])
    updates = [(a, b), (b, a)]
    sg.compile([], [], updates=updates[::-1] if backwards else updates, mode=mode)()
    assert held(a, b) == [[3, 4], [1, 2]]


@pytest.mark.parametrize("backwards", [False, True])
def test_an_update_reads_the_old_value_of_another(mode: str, backwards: bool) -> None:
    a, b = state([1, 2], [10, 20])
    updates = [(a, b), (b, a + b)]
    f = sg.compile([], [], updates=updates[::-1] if backwards else updates, mode=mode)
    f()
    assert held(a, b) == [[10, 20], [11, 22]]
    f()
    assert held(a, b) == [[11, 22], [21, 42]]


def test_a_cycle_of_three(mode: str) -> None:
    a, b, c = state([1], [2], [3])
    f = sg.compile([], a + b + c, updates={a: b * 1, b: c, c: a.reshape((1,))}, mode=mode)
    assert f() == 6 and held(a, b, c) == [[2], [3], [1]]


def test_one_value_for_two_variables(mode: str) -> None:
    a, b = state([1, 2], [3, 4])
    value = sg.exp(a) + b
    want = (np.exp([1, 2]) + [3, 4]).tolist()
    out = sg.compile([], value, updates={a: value, b: value}, mode=mode)()
    np.testing.assert_allclose([out, *held(a, b)], [want] * 3)


def test_an_update_by_itself_or_a_constant(mode: str) -> None:
    a, b = state([1, 2], [3, 4])
    sg.compile([], [], updates={a: a, b: np.array([7.0, 8.0])}, mode=mode)()
    assert held(a, b) == [[1, 2], [7, 8]]


def test_an_update_by_an_input(mode: str) -> None:
    (a,) = state([0, 0])
    x = sg.vector("x", shape=(2,))
    given = np.array([5.0, 6.0])
    sg.compile([x], [], updates={a: x}, mode=mode)(given)
    given[:] = 0
    assert held(a) == [[5, 6]]


def test_reversed_in_place(mode: str) -> None:
    """The new value reads the old one at other places than it is written to."""
    (a,) = state(np.arange(40))
    f = sg.compile([], [], updates={a: a[::-1] + a}, mode=mode)
    f()
    assert held(a) == [[39.0] * 40]


def test_shifted_in_place(mode: str) -> None:
    (a,) = state(np.arange(40))
    sg.compile([], [], updates={a: sg.concatenate([a[1:], a[:1]])}, mode=mode)()
    assert held(a) == [np.roll(np.arange(40.0), -1).tolist()]


def test_transposed_in_place(mode: str) -> None:
    (a,) = state(np.arange(9).reshape(3, 3))
    sg.compile([], [], updates={a: a.T}, mode=mode)()
    assert held(a) == [np.arange(9.0).reshape(3, 3).T.tolist()]


def test_a_product_in_place(mode: str) -> None:
    m = np.random.default_rng(0).normal(size=(5, 5))
    (a,) = state(m)
    sg.compile([], [], updates={a: a @ a + a}, mode=mode)()
    np.testing.assert_allclose(a.get_value(), m @ m + m)


def test_momentum(mode: str) -> None:
    w, v = state([1.0, -2.0], [0.0, 0.0])
    x = sg.vector("x")
    loss = sg.sum((w - x) ** 2)
    new = 0.9 * v - 0.1 * sg.grad(loss, w)
    f = sg.compile([x], loss, updates={v: new, w: w + new}, mode=mode)
    position, speed, goal = np.array([1.0, -2.0]), np.zeros(2), np.array([3.0, 3.0])
    for _ in range(5):
        want = ((position - goal) ** 2).sum()
        assert float(f(goal)) == pytest.approx(want)
        speed = 0.9 * speed - 0.2 * (position - goal)
        position = position + speed
    np.testing.assert_allclose(w.get_value(), position)


def test_two_functions_share_a_state(mode: str) -> None:
    (w,) = state([1.0, 2.0])
    up = sg.compile([], [], updates={w: w + 1}, mode=mode)
    double = sg.compile([], w, updates={w: w * 2}, mode=mode)
    up()
    assert double().tolist() == [2, 3]
    up()
    assert held(w) == [[5, 7]]


def test_set_value_is_seen(mode: str) -> None:
    (w,) = state([1.0, 2.0])
    f = sg.compile([], w * 2, mode=mode)
    f()
    w.set_value([5, 6])
    assert f().tolist() == [10, 12]


def test_borrowed_values_follow(mode: str) -> None:
    (w,) = state([1.0, 2.0])
    inside, copy = w.get_value(borrow=True), w.get_value()
    sg.compile([], [], updates={w: w + 1}, mode=mode)()
    assert inside.tolist() == [2, 3] and copy.tolist() == [1, 2]


def test_free_axes_grow_by_set_value(mode: str) -> None:
    data = sg.shared(np.zeros((2, 3)), "data", shape=(None, 3))
    f = sg.compile([], [data.sum(0), sg.as_variable(data.shape[0])], mode=mode)
    for n in (2, 5, 0, 3):
        data.set_value(np.ones((n, 3)))
        total, count = f()
        assert total.tolist() == [n] * 3 and count == n


def test_an_update_keeps_free_axes(mode: str) -> None:
    w = sg.shared(np.ones(3), "w", shape=("n",))
    x = sg.vector("x", shape=("n",))
    f = sg.compile([x], [], updates={w: w + x}, mode=mode)
    f([1.0, 2.0, 3.0])
    assert held(w) == [[2, 3, 4]]
    with pytest.raises(InputValueError):
        f([1.0])
    w.set_value(np.zeros(5))
    f(np.arange(5.0))
    assert held(w) == [[0, 1, 2, 3, 4]]


# failing calls ------------------------------------------------------------------------------------


def failing(mode: str, build: Any) -> None:
    """A call with a bad index fails and leaves the state as it was; a good one goes on."""
    a, b = state([1, 2, 3], [4, 5, 6])
    x, i = sg.vector("x", shape=(3,)), sg.scalar("i", dtype="int64")
    f = build(a, b, x, i, mode)
    given = np.arange(3.0)
    before = held(a, b)
    for bad in (3, -4, 99):
        with pytest.raises(IndexOutOfRange) as error:
            f(given, bad)
        assert error.value.code == "SG301"
        assert held(a, b) == before
    f(given, 1)
    assert held(a, b) != before


def test_an_index_out_of_range_in_an_output(mode: str) -> None:
    failing(mode, lambda a, b, x, i, mode: sg.compile(
        [x, i], sg.exp(x)[i], updates={a: a + 1, b: b * a}, mode=mode))  # fmt: skip


def test_an_index_out_of_range_in_an_update(mode: str) -> None:
    failing(mode, lambda a, b, x, i, mode: sg.compile(
        [x, i], x + 1, updates={a: a + 1, b: b + x[i]}, mode=mode))  # fmt: skip


def test_an_index_out_of_range_after_a_product(mode: str) -> None:
    failing(mode, lambda a, b, x, i, mode: sg.compile(
        [x, i], (sg.outer(a, x) @ b)[i], updates={a: a + x, b: a}, mode=mode))  # fmt: skip


def test_an_index_out_of_range_inside_a_scan(mode: str) -> None:
    def build(a: Any, b: Any, x: Any, i: Any, mode: str) -> Any:
        out = sg.scan(lambda r, s: s + r * a[i], [x], [sg.constant(0.0)])
        return sg.compile([x, i], out, updates={a: a + 1, b: b * 2}, mode=mode)

    failing(mode, build)


def test_an_index_out_of_range_inside_a_branch(mode: str) -> None:
    def build(a: Any, b: Any, x: Any, i: Any, mode: str) -> Any:
        out = sg.cond(sg.sum(x) > 0, lambda: x[i] * 2, lambda: sg.sum(a))
        return sg.compile([x, i], out, updates={a: a + 1, b: b * 2}, mode=mode)

    failing(mode, build)


def test_the_branch_that_is_not_taken_cannot_fail(mode: str) -> None:
    x, i = sg.vector("x"), sg.scalar("i", dtype="int64")
    f = sg.compile([x, i], sg.cond(sg.sum(x) > 0, lambda: x[i], lambda: sg.sum(x)), mode=mode)
    assert f([-1.0, 0.5], 10) == -0.5
    with pytest.raises(IndexOutOfRange):
        f([1.0, 0.5], 10)


def test_sizes_that_disagree_change_nothing(mode: str) -> None:
    (a,) = state([1, 2, 3])
    x, y = sg.vector("x"), sg.vector("y")
    f = sg.compile([x, y], x + y, updates={a: a + 1}, mode=mode)
    with pytest.raises(SymgraphError):
        f(np.ones(3), np.ones(4))
    assert held(a) == [[1, 2, 3]]
    f(np.ones(3), np.ones(3))
    assert held(a) == [[2, 3, 4]]


# set_value ----------------------------------------------------------------------------------------


def test_set_value_converts_within_the_kind() -> None:
    w = sg.shared(np.zeros(2, "float32"), "w")
    w.set_value(np.array([1.5, 2.5]))
    assert w.get_value().dtype == np.float32
    with pytest.raises(sg.errors.DTypeError):
        sg.shared(np.zeros(2, "int64"), "n").set_value([1.5, 2.5])
    with pytest.raises(sg.errors.ShapeError):
        w.set_value(np.zeros(3))
    assert held(w) == [[1.5, 2.5]]


def test_the_initial_value_is_copied() -> None:
    start = np.ones(2)
    w = sg.shared(start, "w")
    start[:] = 5
    assert held(w) == [[1, 1]]


# random streams -----------------------------------------------------------------------------------


def test_streams_advance_and_start_again(mode: str) -> None:
    stream = sg.random.Stream(seed=3)
    draw = sg.compile([], stream.normal(4), mode=mode)
    first = [draw().tolist() for _ in range(3)]
    assert len({tuple(f) for f in first}) == 3
    stream.seed(3)
    assert [draw().tolist() for _ in range(3)] == first
    stream.seed(4)
    assert draw().tolist() != first[0]


def test_draws_of_a_stream_are_independent(mode: str) -> None:
    stream = sg.random.Stream(seed=3)
    a, b = stream.uniform(5), stream.uniform(5)
    f = sg.compile([], [a, b, a], mode=mode)
    x, y, again = f()
    assert x.tolist() != y.tolist() and x.tolist() == again.tolist()


def test_native_and_interpreted_draws_are_equal() -> None:
    draws = []
    for mode in MODES:
        stream = sg.random.Stream(seed=11)
        f = sg.compile([], [stream.uniform((3, 5)), stream.randint(7, 0, 100)], mode=mode)
        draws.append([[x.tolist() for x in f()] for _ in range(2)])
    assert draws[0] == draws[1] == draws[2]


def test_an_explicit_update_replaces_the_default_one(mode: str) -> None:
    stream = sg.random.Stream(seed=3)
    draw = stream.uniform(2)
    ((_, counter),) = stream.states
    f = sg.compile([], draw, updates={counter: counter + np.uint64(2)}, mode=mode)
    f()
    assert counter.get_value() == 2
