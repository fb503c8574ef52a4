"""Nested inputs and outputs, and outputs of special kinds."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import symgraph as sg

MODES = ("run", "interpret", "debug")
X = np.arange(3.0)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def same(found: Any, wanted: Any) -> None:
    """Equal in structure and in the leaves."""
    if isinstance(wanted, dict):
        assert type(found) is dict and list(found) == list(wanted)
        for key in wanted:
            same(found[key], wanted[key])
    elif isinstance(wanted, list | tuple):
        assert type(found) is type(wanted) and len(found) == len(wanted)
        for f, w in zip(found, wanted, strict=True):
            same(f, w)
    else:
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, wanted)


NESTS: dict[str, Any] = {
    "one": lambda x: x + 1,
    "list of one": lambda x: [x + 1],
    "list": lambda x: [x, x * 2, x - 1],
    "tuple": lambda x: (x + 1, x),
    "dict": lambda x: {"b": x + 1, "a": x * 2},
    "nested": lambda x: {"rest": [x, (x * 2, x * 3)], "first": x + 1},
    "empty list": lambda x: [],
    "empty parts": lambda x: {"none": [], "some": (x + 1,), "more": {}},
    "deep": lambda x: [[[[x + 1]]]],
}


@pytest.mark.parametrize("name", NESTS)
def test_outputs(name: str, mode: str) -> None:
    x = sg.vector("x")
    f = sg.compile([x], NESTS[name](x), on_unused_input="ignore", mode=mode)
    same(f(X), NESTS[name](X))


def test_nested_inputs(mode: str) -> None:
    x, w, b = sg.vector("x"), sg.vector("w"), sg.scalar("b")
    f = sg.compile([x, {"w": w, "more": [b]}], x * w + b, mode=mode)
    same(f(X, {"w": X, "more": [1.0]}), X * X + 1)
    same(f(X, {"more": (1,), "w": [1, 2, 3]}), X * [1, 2, 3] + 1)


def test_the_same_output_twice(mode: str) -> None:
    x = sg.vector("x")
    a, b, c = sg.compile([x], [x + 1, x + 1, (x + 1)[::-1]], mode=mode)(X)
    same([a, b, c], [X + 1, X + 1, (X + 1)[::-1]])
    a[:] = 0
    same(b, X + 1)


def test_an_input_as_output_is_a_copy(mode: str) -> None:
    x = sg.vector("x")
    given = X.copy()
    a, b = sg.compile([x], [x, x], mode=mode)(given)
    a[:] = 7
    same([given, b], [X, X])


def test_a_view_of_an_input_as_output_is_a_copy(mode: str) -> None:
    x = sg.vector("x")
    given = X.copy()
    out = sg.compile([x], x.reshape((-1, 1)), mode=mode)(given)
    out[:] = 7
    same(given, X)


def test_constants_as_outputs(mode: str) -> None:
    x = sg.vector("x")
    f = sg.compile(
        [x], [sg.constant([1, 2]), 3, 2.5, True, np.ones((2, 2), "float32"), x], mode=mode
    )
    for _ in range(2):
        got = f(X)
        same(got, [np.array([1, 2]), 3, 2.5, True, np.ones((2, 2)), X])
        assert [str(g.dtype) for g in got[:5]] == ["int64", "int64", "float64", "bool", "float32"]
        got[0][:] = 9  # the next call gives the constant again


def test_large_constants(mode: str) -> None:
    table = np.random.default_rng(0).normal(size=(60, 50))
    i = sg.vector("i", dtype="int64")
    f = sg.compile([i], [sg.constant(table)[i], sg.constant(table)], mode=mode)
    rows, whole = f(np.array([3, -1]))
    same([rows, whole], [table[[3, -1]], table])
    whole[:] = 0
    same(f(np.array([3]))[1], table)


def test_a_shared_variable_as_output_is_a_copy(mode: str) -> None:
    w = sg.shared(X, "w")
    out = sg.compile([], [w], mode=mode)()[0]
    out[:] = 9
    same(w.get_value(), X)


def test_a_named_tuple_comes_back_as_a_tuple(mode: str) -> None:
    class Pair(NamedTuple):
        a: Any
        b: Any

    x = sg.vector("x")
    got = sg.compile([x], Pair(x, x + 1), mode=mode)(X)
    assert isinstance(got, tuple)
    same(tuple(got), (X, X + 1))


def test_scalars_come_back_as_arrays(mode: str) -> None:
    x = sg.vector("x")
    total = sg.compile([x], sg.sum(x), mode=mode)(X)
    assert type(total) is np.ndarray and total.shape == () and float(total) == 3.0


def test_givens_replace_what_they_name(mode: str) -> None:
    x, y = sg.vector("x"), sg.vector("y")
    data = sg.shared(X, "data")
    loss = sg.sum(x * y)
    f = sg.compile([y], loss, givens={x: data * 2}, mode=mode)
    same(f(X), (2 * X * X).sum())
    data.set_value([1.0, 1.0, 1.0])
    same(f(X), (2 * X).sum())


def test_givens_replace_inner_expressions(mode: str) -> None:
    x, y = sg.vector("x"), sg.vector("y")
    inner = sg.exp(x)
    f = sg.compile([y], inner + 1, givens=[(inner, y)], mode=mode)
    same(f(X), X + 1)


def test_givens_reach_updates(mode: str) -> None:
    x, y = sg.vector("x"), sg.vector("y")
    w = sg.shared(np.zeros(3), "w")
    f = sg.compile([y], [], updates={w: w + x}, givens={x: y * 2}, mode=mode)
    f(X)
    same(w.get_value(), 2 * X)


def test_givens_take_numbers(mode: str) -> None:
    x, k = sg.vector("x"), sg.scalar("k")
    same(sg.compile([x], x * k, givens={k: 3.0}, mode=mode)(X), 3 * X)


def test_eval() -> None:
    x = sg.vector("x")
    y = x * 2 + 1
    same(y.eval({x: X}), 2 * X + 1)
    same(sg.sum(y).eval({y: X}), 3.0)
