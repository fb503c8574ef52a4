"""Forward derivatives: against reverse ones, and through what has no reverse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg

A = np.array([[0.3, -1.2], [0.7, 0.4]])
V = np.array([0.4, -0.8])
D = np.array([1.5, 0.5])


def along(fn: Any, at: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """The derivative by central differences of the fourth order, of the interpreter's values."""
    x = sg.tensor("x", shape=at.shape)
    f = sg.compile([x], fn(x), mode="interpret")
    h = 1e-3
    near = f(at + h * direction) - f(at - h * direction)
    far = f(at + 2 * h * direction) - f(at - 2 * h * direction)
    return np.asarray((8 * near - far) / (12 * h))


def loop(x: Any) -> Any:
    """Newton's iteration for the root of the sum, until it stands: forward mode only."""
    target = sg.sum(x * x) + 2.0

    def going(s: Any) -> Any:
        return abs(s * s - target) > 1e-13

    return sg.while_loop(going, lambda s: 0.5 * (s + target / s), target) * x


def scanned(x: Any) -> Any:
    states, kept = sg.scan(
        lambda row, s: (sg.tanh(row * s.sum() + x), s * row), [sg.constant(A)], [x, None]
    )
    return states.sum(0) + kept[-1] * x


def chosen(x: Any) -> Any:
    return sg.cond(x[0] > 0, lambda: sg.sin(x) * x[0], lambda: sg.zeros(2))


def own(x: Any) -> Any:
    f = sg.custom_jvp(lambda v: sg.exp(v), lambda vs, ts: (sg.exp(vs[0]), sg.exp(vs[0]) * ts[0]))
    g = sg.function_graph(lambda v: sg.while_loop(lambda s: s < 3, lambda s: s * 2, v.sum() + 2.0))
    return f(x) * g(x)


FUNCTIONS = {
    "elementwise": lambda x: sg.sin(x) * sg.exp(x) / (1 + x * x),
    "broadcast": lambda x: (x[:, None] * sg.constant(A) + x).sum(1),
    "products": lambda x: sg.constant(A) @ x * sg.linalg.det(x[:, None] * x + sg.eye(2)),
    "indexing": lambda x: x.at[sg.constant([0, 0, 1])].add(x[sg.constant([1, 1, 0])] ** 2),
    "scan": scanned,
    "while": loop,
    "cond": chosen,
    "own derivative": own,
    "several outputs": lambda x: sg.linalg.eigh(x[:, None] * x + sg.constant(A + A.T))[0],
    "expm": lambda x: sg.linalg.expm(x[:, None] * sg.constant(A))[0] * x,
    "sorting": lambda x: sg.sort(x) * sg.cumsum(x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_along_a_direction(name: str) -> None:
    fn = FUNCTIONS[name]
    x, d = sg.vector("x", shape=(2,)), sg.vector("d", shape=(2,))
    f = sg.compile([x, d], sg.jvp(fn(x), x, d), on_unused_input="ignore")
    np.testing.assert_allclose(f(V, D), along(fn, V, D), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"while", "own derivative"}))
@pytest.mark.parametrize("vectorize", [True, False])
def test_jacobians_agree(name: str, vectorize: bool) -> None:
    x = sg.vector("x", shape=("n",))
    y = FUNCTIONS[name](sg.specify_shape(x, (2,)))
    pair = [sg.jacobian(y, x, mode, vectorize) for mode in ("reverse", "forward")]
    a, b = sg.compile([x], pair, on_unused_input="ignore")(V)
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    assert a.shape == (2, 2)


def test_forward_over_forward_and_over_reverse() -> None:
    x = sg.scalar("x")
    y = sg.while_loop(lambda s: s < 10.0, lambda s: s * x, x)
    once = sg.jvp(y, x, 1.0)
    f = sg.compile([x], [once, sg.jvp(once, x, 1.0)])
    np.testing.assert_allclose(f(2.0), [4 * 2.0**3, 12 * 2.0**2])
    v = sg.vector("v", shape=(2,))
    cost = sg.sum(scanned(v) ** 2)
    g = sg.compile([v], [sg.hessian(cost, v), sg.jacobian(sg.grad(cost, v), v)])
    a, b = g(V)
    np.testing.assert_allclose(a, b, rtol=1e-10)
    np.testing.assert_allclose(a, a.T, rtol=1e-10)


def test_blocks_of_a_hessian() -> None:
    x, w = sg.vector("x", shape=(2,)), sg.scalar("w")
    found = sg.hessian(sg.sum(x * x) * w + w**3, {"x": x, "w": w})
    f = sg.compile([x, w], [found["x"]["x"], found["x"]["w"], found["w"]["x"], found["w"]["w"]])
    xx, xw, wx, ww = f(V, 2.0)
    np.testing.assert_allclose(xx, 4 * np.eye(2))
    np.testing.assert_allclose(xw, 2 * V)
    np.testing.assert_allclose(wx, 2 * V)
    np.testing.assert_allclose(ww, 12.0)


def test_linearize_shares_what_does_not_move() -> None:
    x = sg.vector("x")
    along_x = sg.linalg.inv, sg.linearize(sg.exp(sg.sin(x)), x)
    first, second = along_x[1](sg.ones_like(x)), along_x[1](x)
    assert sum(n.op.name == "exp" for n in sg.Graph([x], [first, second]).toposort()) == 1
    f = sg.compile([x], [first, second])
    slope = np.exp(np.sin(V)) * np.cos(V)
    np.testing.assert_allclose(f(V), [slope, slope * V])


def test_nothing_moves() -> None:
    x, y = sg.vector("x"), sg.vector("y", shape=(2,))
    assert sg.jvp(sg.exp(y), x, sg.ones_like(x)).eval({y: V, x: V}).tolist() == [0, 0]
    i = sg.argmax(x)
    assert sg.jvp(sg.stop_gradient(x) * 2 + i, x, x).eval({x: V}).tolist() == [0, 0]


def test_mistakes() -> None:
    x, i = sg.vector("x"), sg.vector("i", dtype="int64")
    with pytest.raises(sg.errors.GradientError, match="jvp: i is int64"):
        sg.jvp(x * i, i, i)
    with pytest.raises(sg.errors.ArgumentError, match='"reverse" or "forward"'):
        sg.jacobian(x, x, mode="sideways")
    with pytest.raises(sg.errors.ArgumentError, match="1 inputs and 2 tangents"):
        sg.jvp(x, x, [x, x])
