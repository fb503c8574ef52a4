"""Ops that state their derivative forwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.loops.compute import pointwise
from symgraph.scalar import functions as F

X, D = np.array([0.3, 1.0]), np.array([1.0, 2.0])


class Waves(sg.Op):
    """sin(factor x), by tangents alone."""

    name = "test_waves"
    factor: float

    def infer(self, x: Any) -> Any:
        return x

    def reference(self, x: Any) -> Any:
        return np.sin(self.factor * x)

    def jvp(self, tangents: Any, y: Any, x: Any) -> Any:
        return tangents[0] * self.factor * sg.cos(self.factor * x)

    def lower(self, out: Any, x: Any) -> Any:
        return pointwise(out.shape, lambda *i: F.sin(F.mul(x(*i), self.factor)))


class Bent(Waves):
    """A rule that is no linear map of the tangents."""

    name = "test_bent"

    def jvp(self, tangents: Any, y: Any, x: Any) -> Any:
        return tangents[0] ** 2


class Both(Waves):
    """Two rules, to see which one is asked."""

    name = "test_both"

    def jvp(self, tangents: Any, y: Any, x: Any) -> Any:
        return tangents[0] * 10

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return (g * 20,)


def test_one_rule_serves_both_directions() -> None:
    x = sg.vector("x")
    y = Waves(2.0)(x)
    cost = sg.sum(y * y)
    found = sg.compile([x], [sg.jvp(y, x, sg.constant(D)), sg.grad(cost, x),
                             sg.hvp(cost, x, sg.constant(D)), sg.hessian(cost, x)])(X)  # fmt: skip
    np.testing.assert_allclose(found[0], 2 * np.cos(2 * X) * D)
    np.testing.assert_allclose(found[1], 2 * np.sin(4 * X))
    np.testing.assert_allclose(found[2], 8 * np.cos(4 * X) * D)
    np.testing.assert_allclose(found[3], np.diag(8 * np.cos(4 * X)))
    assert sg.verify_grad(Waves(3.0), [X]).error < 1e-8


def test_inside_a_loop_and_a_choice() -> None:
    def fn(x: Any) -> Any:
        y = sg.scan(lambda s: Waves(0.5)(s) + s, outputs_info=[x], n_steps=3)[-1]
        return sg.cond(x[0] > 0, lambda: Waves(2.0)(y), lambda: y)

    sg.verify_grad(fn, [X])
    x = sg.vector("x", shape=(2,))
    a, b = (sg.jacobian(fn(x), x, mode) for mode in ("forward", "reverse"))
    np.testing.assert_allclose(*sg.compile([x], [a, b])(X))


def test_forward_mode_asks_for_tangents() -> None:
    x = sg.vector("x")
    y = Both(1.0)(x)
    assert sg.jvp(y, x, sg.ones_like(x)).eval({x: X}).tolist() == [10, 10]
    assert sg.grad(sg.sum(y), x).eval({x: X}).tolist() == [20, 20]


def test_a_rule_that_is_not_linear() -> None:
    x = sg.vector("x")
    with pytest.raises(sg.errors.GradientError, match="test_bent: its jvp is not linear"):
        sg.grad(sg.sum(Bent(1.0)(x)), x)


def test_python_functions() -> None:
    def tangent(t: Any, y: Any, a: Any, s: Any) -> Any:
        parts = [None if t[0] is None else t[0] * s, None if t[1] is None else a * t[1]]
        return sum(p for p in parts if p is not None), t[1]

    @sg.python_op(infer="float64[n], float64 -> float64[n], float64", jvp=tangent)
    def scaled(a: Any, s: Any) -> Any:
        return a * s, s

    a, s = sg.vector("a"), sg.scalar("s")
    first, second = scaled(a, s)
    slopes = sg.grad(first.sum() + 3 * second, [a, s])
    f = sg.compile([a, s], slopes, on_unused_input="ignore")
    assert [v.tolist() for v in f(X, 2.0)] == [[2, 2], sum(X) + 3]
    wrong = sg.python_op(lambda a: a, infer="float64 -> float64", jvp=lambda t, y, a: (t[0], t[0]))
    with pytest.raises(sg.errors.ArgumentError, match="2 tangents for 1 outputs"):
        sg.jvp(wrong(s), s, 1.0)
