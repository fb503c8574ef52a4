"""Values whose derivative is another, and derivatives of parts of a graph."""

from __future__ import annotations

import numpy as np
import pytest

import symgraph as sg

V = np.array([3.0, -0.2, 0.5])


def test_gates_are_the_identity_with_another_derivative() -> None:
    x = sg.vector("x")
    gates = [sg.grad_clip(x, -1, 1), sg.grad_scale(x, 0.5), sg.zero_grad(x)]
    values = sg.compile([x], [*gates, *(sg.grad(sg.sum(g**2), x) for g in gates)])(V)
    for same in values[:3]:
        np.testing.assert_array_equal(same, V)
    for found, want in zip(values[3:], (np.clip(2 * V, -1, 1), V, 0 * V), strict=True):
        np.testing.assert_allclose(found, want)


def test_gates_inside_a_scan() -> None:
    x = sg.scalar("x")
    (last,) = sg.scan(lambda s: sg.grad_clip(s * 2, -3, 3), None, [x], n_steps=4)[-1:]
    assert sg.grad(last, x).eval({x: 1.0}) == 6.0  # 1 -> 2 -> 4, clipped to 3, -> 6


def test_gradients_layer_by_layer() -> None:
    x, w = sg.vector("x"), [sg.scalar(n) for n in "abc"]
    layers = [x]
    for k in w:
        layers.append(sg.tanh(layers[-1] * k))
    cost = sg.sum(layers[-1] ** 2)
    found, start = [], None
    for k in (2, 1, 0):
        slope, back = sg.subgraph_grad(w[k], [layers[k]], start, cost if k == 2 else None)
        start = {layers[k]: back[0]}
        found.append(slope)
    f = sg.compile([x, *w], [*found, *reversed(sg.grad(cost, w))])
    values = f(V, 0.5, 1.5, -0.7)
    np.testing.assert_allclose(values[:3], values[3:], rtol=1e-12)


def test_a_part_stops_at_its_beginning() -> None:
    x, a = sg.scalar("x"), sg.scalar("a")
    hidden = sg.exp(a * x)
    slope, (back,) = sg.subgraph_grad(a, [hidden], cost=hidden * a)
    point = {x: 1.0, a: 2.0}
    np.testing.assert_allclose([slope.eval(point), back.eval(point)], [np.exp(2.0), 2.0])


def test_mistakes() -> None:
    with pytest.raises(sg.errors.ArgumentError, match="lower is 2, upper is 1"):
        sg.grad_clip(sg.scalar("x"), 2, 1)
