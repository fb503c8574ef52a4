"""Operations of derivatives after optimization, counted on the loops of the compiled program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from benchmarks.derivatives.costs import GRADIENT, PRODUCT, cost, models
from benchmarks.derivatives.counting import program_cost
from symgraph import stages

MODELS = {m.name: m for m in models()}


def _operations(inputs: list[Any], outputs: Any) -> float:
    d = sg.compile(inputs, outputs).definition
    return program_cost(stages.lower(d, stages.optimized_graph(d)))


def test_counts() -> None:
    x, a = sg.vector("x", shape=(100,)), sg.matrix("a", shape=(20, 100))
    assert _operations([x], x * 2.0 + 1.0) == 200
    assert _operations([x], sg.exp(x)) == 1000
    assert _operations([x], sg.sum(x * x)) == 200
    assert _operations([a, x], a @ x) == 2 * 20 * 100
    assert _operations([x], x[:50]) == 0


def test_what_does_not_change_in_a_loop_counts_once() -> None:
    a, s = sg.matrix("a", shape=(30, 100)), sg.scalar("s")
    assert _operations([a, s], a * sg.exp(s)) == 30 * 100 + 10


def test_loops_count_each_turn() -> None:
    x = sg.matrix("x", shape=(50, 4))
    last = sg.reduce(lambda row, h: row * h + 1.0, x, sg.ones(4))
    assert _operations([x], last) == 50 * 4 * 2


SCANS = ["Kalman filter, 100 steps of 4", "LSTM, 100 steps of 32", "pendulum, 100 steps"]


OTHERS = ["attention", "planets", "MLP, 64-128-64-10, batch 64", "Gaussian process, 96 points"]


@pytest.mark.parametrize("name", [*SCANS, *OTHERS])
def test_goals(name: str) -> None:
    function, gradient, product = cost(MODELS[name], timed=False).operations
    assert gradient <= GRADIENT * function
    assert product <= PRODUCT * gradient


def test_factors_cost_two_more_of_their_kind() -> None:
    """Of the LU decomposition backwards, which is elimination run backwards."""
    a, w = sg.matrix("a", shape=(64, 64)), np.arange(64.0 * 64).reshape(64, 64)
    value = sg.sum(sg.linalg.lu_factor(a)[0] * w)
    function = _operations([a], value)
    assert _operations([a], [value, sg.grad(value, a)]) <= 3.1 * function


@pytest.mark.parametrize("turned", [False, True])
def test_the_derivative_of_an_inverse_times_a_vector_is_two_systems(turned: bool) -> None:
    a, v = sg.matrix("a", shape=(64, 64)), sg.vector("v", shape=(64,))
    inverse = sg.linalg.inv(a)
    value = sg.sum(v @ inverse if turned else inverse @ v)
    function = _operations([a, v], value)
    assert _operations([a, v], [value, *sg.grad(value, [a, v])]) <= 1.3 * function


def test_products_of_a_loop_are_kept_for_its_derivative() -> None:
    """The backward loop reads h @ w of each step instead of computing it again."""
    w, x = sg.matrix("w", shape=(16, 16)), sg.matrix("x", shape=(40, 16))
    h = sg.reduce(lambda row, s: sg.tanh(s @ w + row), x, sg.zeros(16))
    function = _operations([w, x], h)
    gradient = _operations([w, x], [h, sg.grad(sg.sum(h), w)])
    products = 40 * 2 * 16 * 16
    assert function >= products
    assert gradient < 3.6 * products + 40 * 16 * 60


def test_the_loop_is_read_off_its_tangent() -> None:
    """A derivative along a direction carries the state too: there is one loop, not two."""
    w, x = sg.matrix("w", shape=(16, 16)), sg.matrix("x", shape=(40, 16))
    h = sg.reduce(lambda row, s: sg.tanh(s @ w + row), x, sg.zeros(16))
    direction = sg.constant(np.ones((16, 16)))
    moved = sg.jvp(h, [w], [direction])
    graph = stages.optimized_graph(sg.compile([w, x], [h, moved]).definition)
    assert sum(node.op.name == "scan" for node in graph.toposort()) == 1
