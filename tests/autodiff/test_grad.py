"""grad and its relatives: values, structure, depth, and what errors say."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.autodiff.check import verify_grad
from symgraph.autodiff.products import hessian, hvp, jacobian, jvp
from symgraph.autodiff.reverse import grad, value_and_grad, vjp
from symgraph.batching import vectorize  # noqa: F401  (Jacobians are batches)
from symgraph.errors import ArgumentError, GradientError
from symgraph.ir.graph import Variable, constant
from symgraph.ir.shared import shared
from symgraph.ops.arithmetic import absolute
from symgraph.ops.cast import cast
from symgraph.ops.comparison import where
from symgraph.ops.creation import zeros
from symgraph.ops.exponential import exp
from symgraph.ops.functions import Function
from symgraph.ops.scanning import scan
from symgraph.ops.shape import broadcast_to
from symgraph.ops.special import stop_gradient
from symgraph.ops.trigonometric import cos, sin
from tests.autodiff.values import value, values, variable

V, W = np.array([0.5, -1.0, 2.0]), np.array([1.0, 3.0, -2.0])


def test_any_variable_and_structure() -> None:
    x, w = variable("x", 3), shared(W, name="w")
    inner = x * w
    cost = (inner * inner).sum()
    found = grad(cost, {"x": x, "inner": inner, "w": w})
    assert list(found) == ["x", "inner", "w"]
    np.testing.assert_allclose(value(found["x"], {x: V}), 2 * V * W * W)
    np.testing.assert_allclose(value(found["inner"], {x: V}), 2 * V * W)
    np.testing.assert_allclose(value(found["w"], {x: V}), 2 * V * V * W)
    assert isinstance(grad(cost, (x,)), tuple) and isinstance(grad(cost, [x]), list)
    same, slope = value_and_grad(cost, x)
    assert same is cost and slope is found["x"]


def test_broadcast_operands_are_summed_back() -> None:
    a, b, c = variable("a", "n", 3), variable("b", 3), variable("c", "n", 1)
    cost = (a * b + sin(c) * b).sum() + (exp(b[0]) * a).sum()
    for g, v in zip(grad(cost, [a, b, c]), (a, b, c), strict=True):
        assert g.type == v.type
    arrays = [V[None] * W[:, None], W, V[:, None]]
    verify_grad(lambda a, b, c: (a * b + sin(c) * b) * exp(b[0]), arrays)
    verify_grad(lambda s: broadcast_to(s, (2, 3)) * W, [np.array(2.0)])


def test_dtype_is_that_of_the_variable() -> None:
    x, y = variable("x", 3, dtype="float32"), variable("y", 3)
    for g, v in zip(grad((x * y).sum(), [x, y]), (x, y), strict=True):
        assert g.dtype == v.dtype


def test_constants_and_known_gradients() -> None:
    x = variable("x", 3)
    y = sin(x)
    cost = (x * y).sum()
    found = value(grad(cost, x, consider_constant=[y]), {x: V})
    np.testing.assert_allclose(found, np.sin(V))
    np.testing.assert_allclose(value(grad((x * stop_gradient(y)).sum(), x), {x: V}), np.sin(V))
    known = grad(None, x, known_grads={y: constant(W)})
    np.testing.assert_allclose(value(known, {x: V}), np.cos(V) * W)
    both = grad(cost, x, known_grads={y: constant(W)})
    np.testing.assert_allclose(value(both, {x: V}), np.sin(V) + np.cos(V) * (V + W))


def test_many_uses_of_a_variable() -> None:
    x = variable("x")
    total: Any = constant(0.0)
    for k in range(100):
        total = total + x * k
    assert value(grad(total, x), {x: 1.0}) == 4950


def test_deep_graphs() -> None:
    x = variable("x")
    y: Variable = x
    for _ in range(50_000):
        y = y * 0.9999
    assert abs(value(grad(y, x), {x: 1.0}) - 0.9999**50_000) < 1e-12


# products -----------------------------------------------------------------------------------------


def test_vjp_and_jvp_are_transposes() -> None:
    x = variable("x", 3)
    y = scan(lambda e, s: s * e + sin(s), x, constant(1.0))
    full = value(jacobian(y, x), {x: V})
    np.testing.assert_allclose(value(vjp(y, x, constant(W)), {x: V}), W @ full)
    np.testing.assert_allclose(value(jvp(y, x, constant(W)), {x: V}), full @ W)


def test_jvp_of_several() -> None:
    a, b = variable("a", 3), variable("b")
    outputs = [a * b, a.sum(), b * 0 + 1, cast(a, "int64")]
    found = values(jvp(outputs, [a, b], [constant(W), constant(2.0)]), {a: V, b: 3.0})
    np.testing.assert_allclose(found[0], W * 3 + V * 2)
    assert found[1] == W.sum() and found[2] == 0 and found[3].tolist() == [0, 0, 0]


def test_hessians() -> None:
    x = variable("x", "n")
    cost = (sin(x) * x).sum() * x[0]
    full = value(hessian(cost, x), {x: V})
    np.testing.assert_allclose(full, full.T)
    np.testing.assert_allclose(value(hvp(cost, x, constant(W)), {x: V}), full @ W)
    verify_grad(lambda x: grad((sin(x) * x).sum() * x[0], x), [V])


def test_jacobian_shapes() -> None:
    x, w = variable("x", 2, 3), variable("w", 3)
    jx, jw = jacobian(x * w, [x, w])
    assert jx.shape == (2, 3, 2, 3) and jw.shape == (2, 3, 3)
    arrays = {x: np.stack([V, W]), w: W}
    found = value(jx, arrays)
    np.testing.assert_allclose(found, np.einsum("ac,bd,d->abcd", np.eye(2), np.eye(3), W))
    assert jacobian(w.sum(), x).shape == (2, 3)


# errors -------------------------------------------------------------------------------------------


def test_cost_must_be_a_float_scalar() -> None:
    x, k = variable("x", 3), variable("k", dtype="int64")
    with pytest.raises(GradientError, match=r"(?s)no scalar but float64\[3\].*sg.sum"):
        grad(x * x, x)
    with pytest.raises(GradientError, match="int64"):
        grad(k * k, x)
    with pytest.raises(GradientError, match="k is int64"):
        grad(x.sum(), k)
    with pytest.raises(ArgumentError):
        grad(x.sum(), 3.0)
    with pytest.raises(ArgumentError):
        grad(x.sum(), x, disconnected="ignore")


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda x, w: w.sum(), "does not depend on x"),
        (lambda x, w: (w * x.argmax()).sum(), "only through argmax"),
        (lambda x, w: (w * cast(x, "int64")).sum(), "only through cast .*its result is int64"),
        (lambda x, w: where(x > 0, w, 0).sum(), "only through less .*the result is a truth value"),
        (lambda x, w: (w * stop_gradient(x)).sum(), "only through stop_gradient"),
    ],
)  # fmt: skip
def test_disconnected(build: Any, reason: str) -> None:
    x, w = variable("x", 3), variable("w", 3)
    cost = build(x, w)
    with pytest.raises(GradientError) as caught:
        grad(cost, x)
    text = " ".join(str(caught.value).split())
    assert re.search(reason, text), text
    assert "test_grad.py" in text
    assert value(grad(cost, x, disconnected="zero"), {x: V, w: W}).tolist() == [0, 0, 0]


def test_constant_path_is_named() -> None:
    x = variable("x", 3)
    y = x * 2
    with pytest.raises(GradientError, match="consider_constant"):
        grad(y.sum(), x, consider_constant=[y])


def test_verify_grad_finds_a_wrong_rule() -> None:
    with pytest.raises(GradientError, match=r"derivative by w\[[012]\] is"):
        verify_grad(lambda x, w: x + stop_gradient(w) * w, [V, W])
    many = np.linspace(0, 1, 300)
    scale = np.where(np.arange(300) == 37, 1.01, 1.0)
    wrong = Function(lambda v: sin(v), "wrong", lambda g, y, v: g * cos(v) * scale)
    with pytest.raises(GradientError, match=r"derivative by angles\[37\] is 1") as caught:
        verify_grad(lambda x, angles: x.sum() + wrong(angles), [V, many])
    assert "angles: float64[300]" in str(caught.value)
    sines = Function(
        lambda v: sin(v), "sines", lambda g, y, v: g * (cos(v) + stop_gradient(v)) - g * v
    )
    assert verify_grad(sines, [V]).error < 1e-6
    with pytest.raises(GradientError, match=r"derivative by x\[\d\] is"):
        verify_grad(lambda x: sines(x), [V], order=2)
    with pytest.raises(ArgumentError, match="order is 1 or 2"):
        verify_grad(sin, [V], order=3)
    assert verify_grad(lambda x: absolute(x), [[1e-4, -3e-4]], order=2).error < 1e-6
    with pytest.raises(ArgumentError):
        verify_grad(lambda k: k + 1, [np.arange(3)])
    worst = verify_grad(lambda x, k: exp(x)[k], [V, np.array([0, 2])])
    assert worst.error < 1e-8 and worst.position == 0
    assert verify_grad(lambda x: [x, zeros(2)], [V.astype("float32")]).error < 1e-8


@pytest.mark.parametrize(
    "x", [[1.0, 2, 3, 4], [0.0, 2, 3, 4], [0.0, 0, 3, 4], [2.0, 0, 3, 0], [0.0, 0, 0, 4]]
)
def test_products_of_all_but_one_and_all_but_two(x: list[float]) -> None:
    v, n = sg.vector("v"), range(len(x))
    f = sg.compile([v], [sg.grad(sg.prod(v), v), sg.hessian(sg.prod(v), v)])
    first, second = f(np.array(x))
    assert first.tolist() == [np.prod(np.delete(x, i)) for i in n]
    assert second.tolist() == [
        [0 if i == j else np.prod(np.delete(x, [i, j])) for j in n] for i in n
    ]
