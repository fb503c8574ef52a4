"""Replacing parts of expressions, and listing what they are made of."""

from __future__ import annotations

import numpy as np
import pytest

import symgraph as sg


def test_inputs_and_inner_values_are_replaced_at_once() -> None:
    x, y = sg.scalar("x"), sg.scalar("y")
    inner = sg.exp(x)
    made = sg.graph_replace({"z": inner + y, "w": [x]}, {x: y, y: x, inner: sg.constant(4.0)})
    assert made["z"].eval({x: 3.0}).item() == 7.0
    assert made["w"][0] is y


def test_sizes_follow_the_new_input() -> None:
    x = sg.vector("x", shape=("n",))
    tail = sg.matrix("m", shape=("k", 2))[1:, 0]
    made = sg.graph_replace(sg.reshape(x * 2, (x.shape[0], 1)), {x: tail})
    f = sg.compile([sg.graph_inputs(made)[0]], made)
    assert f(np.arange(6.0).reshape(3, 2)).tolist() == [[4.0], [8.0]]


def test_shared_variables_are_replaced() -> None:
    w, v = sg.shared(np.ones(2), "w"), sg.vector("v", shape=(2,))
    f = sg.compile([v], sg.graph_replace(sg.sum(w * 3), {w: v}))
    assert f([1.0, 2.0]) == 9.0


def test_mistakes() -> None:
    x, y = sg.vector("x", shape=(3,)), sg.matrix("y")
    with pytest.raises(sg.errors.ArgumentError, match="y does not occur"):
        sg.graph_replace(x + 1, {y: 1.0})
    with pytest.raises(sg.errors.DTypeError, match="given float64"):
        sg.graph_replace(x + 1, {x: y})
    with pytest.raises(sg.errors.ShapeError):
        sg.graph_replace(x + 1, {x: sg.vector("z", shape=(4,))})


def test_ancestors_come_before_what_they_make() -> None:
    x = sg.scalar("x")
    y = sg.exp(x)
    z = y * y + x
    found = sg.ancestors(z)
    assert found[0] is x and found[-1] is z and len(found) == 4


def test_sizes_of_a_node_and_who_makes_them() -> None:
    mask, x = sg.vector("mask", dtype="bool"), sg.tensor("x", "float64", ("n", 2))
    count = sg.nonzero(mask)[0].shape[0]
    flat = sg.reshape(x, (x.shape[0] * 2,))
    both = sg.zeros((count, x.shape[0]))
    assert [(str(n), m) for n, m in sg.node_sizes(flat.owner)] == [("n", None)]
    makers = [m for _, m in sg.node_sizes(both.owner)]
    assert [m and m.op.name for m in makers] == ["flatnonzero", None]
    assert sg.node_sizes(sg.exp(x).owner) == []
    assert all(n is not count for n, _ in sg.node_sizes(makers[0]))  # its own size
