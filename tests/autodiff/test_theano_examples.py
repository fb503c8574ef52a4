"""The examples that Theano's and PyTensor's pages and docstrings give for derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg

RNG = np.random.default_rng(0)


def test_subgraph_grad_layer_by_layer() -> None:
    x, t = sg.vector("x"), sg.vector("t")
    w1, w2 = sg.shared(RNG.normal(size=(3, 4))), sg.shared(RNG.normal(size=(4, 2)))
    a1 = sg.tanh(x @ w1)
    a2 = sg.tanh(a1 @ w2)
    cost2 = sg.sum((a2 - t) ** 2) + sg.sum(w2) ** 2
    cost1 = sg.sum(w1) ** 2
    params, costs, ends = [[w2], [w1]], [cost2, cost1], [[a1], [x]]
    start: Any = None
    found: list[Any] = []
    for k in range(2):
        slopes, back = sg.subgraph_grad(params[k], ends[k], start=start, cost=costs[k])
        start = dict(zip(ends[k], back, strict=True))
        found += slopes
    whole = sg.grad(cost1 + cost2, [w2, w1])
    f = sg.compile([x, t], [*found, *whole])
    a, b, c, d = f(RNG.normal(size=3), RNG.normal(size=2))
    np.testing.assert_allclose(a, c)
    np.testing.assert_allclose(b, d)


@pytest.mark.parametrize("cut", ["y", "z", "both"])
def test_known_grads(cut: str) -> None:
    """A gradient is the same from any full set of values whose cotangents are known."""
    coeffs, t, x = sg.vector("coeffs"), sg.scalar("t"), sg.vector("x", dtype="int64")
    y = coeffs[x]
    z = (y - t) ** 2
    cost = sg.sum(z)
    values = {"y": [y], "z": [z], "both": [coeffs, t]}[cut]
    known = dict(zip(values, sg.grad(cost, values), strict=True))
    wrt = [coeffs, t] if cut != "y" else [coeffs]
    again = sg.grad(None, wrt, known_grads=known)
    f = sg.compile([coeffs, t, x], [*sg.grad(cost, wrt), *again])
    got = f(RNG.normal(size=4), 0.3, np.array([2, 0, 2]))
    for a, b in zip(got[: len(wrt)], got[len(wrt) :], strict=True):
        np.testing.assert_allclose(a, b)


def test_consider_constant() -> None:
    """Persistent contrastive divergence: the sample is not differentiated."""
    a = sg.vector("a")
    expressions = [
        (sg.sum(a * a), [a * a], None),
        (sg.sum(sg.exp(a) * a), [sg.exp(a)], np.exp),
        (sg.sum((a * 10) * sg.exp(a)), [sg.exp(a)], lambda v: 10 * np.exp(v)),
    ]
    v = RNG.normal(size=3)
    for cost, constants, wanted in expressions:
        if wanted is None:
            with pytest.raises(sg.errors.GradientError, match="consider_constant"):
                sg.grad(cost, a, consider_constant=constants)
            continue
        slope = sg.grad(cost, a, consider_constant=constants)
        np.testing.assert_allclose(slope.eval({a: v}), wanted(v))


def test_tutorial() -> None:
    """Gradient, Jacobian, Hessian, R and L operator of the tutorial "Derivatives in Theano"."""
    x, (w, m) = sg.vector("x"), (sg.matrix("W"), sg.matrix("V"))
    y = x**2
    found = sg.compile([x], [sg.jacobian(y, x), sg.hessian(y.sum(), x)])(np.array([4.0, 4.0]))
    np.testing.assert_array_equal(found[0], 8 * np.eye(2))
    np.testing.assert_array_equal(found[1], 2 * np.eye(2))
    z = x @ w
    rop = sg.compile([w, m, x], sg.jvp(z, w, m), on_unused_input="ignore")
    two = np.array([[1.0, 1.0], [1.0, 1.0]])
    np.testing.assert_array_equal(rop(two, 2 * two, [0.0, 1.0]), [2, 2])
    v = sg.vector("v")
    lop = sg.compile([v, x, w], sg.vjp(z, w, v), on_unused_input="ignore")
    np.testing.assert_array_equal(lop([2.0, 2.0], [0.0, 1.0], two), [[0, 0], [2, 2]])
    hessian_times = sg.compile([x, v], sg.hvp(sg.sum(x**2), x, v), on_unused_input="ignore")
    np.testing.assert_array_equal(hessian_times([4.0, 4.0], [2.0, 2.0]), [4, 4])


def test_disconnected_inputs() -> None:
    """Theano's disconnected_inputs and null gradients: an error with the path, or zeros."""
    x, k = sg.vector("x"), sg.vector("k", dtype="int64")
    with pytest.raises(sg.errors.GradientError, match="only through argmax"):
        sg.grad(sg.cast(sg.argmax(x), "float64") * 1.0, x)
    with pytest.raises(sg.errors.GradientError, match="k is int64; only floats have derivatives"):
        sg.grad(sg.sum(k * x), k)
    zeros = sg.grad(sg.sum(sg.stop_gradient(x)), x, disconnected="zero")
    assert zeros.eval({x: [1.0, 2.0]}).tolist() == [0, 0]
