"""Whole programs, run by the fake driver and on hardware: expressions, updates and arguments."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

import symgraph as sg


class Made(NamedTuple):
    """What compile() takes, and the arguments of some calls."""

    inputs: list[Any]
    outputs: Any
    calls: list[list[Any]]
    updates: dict[Any, Any] = {}
    rtol: float = 3e-6


def _random(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def elementwise() -> Made:
    x, y = sg.matrix("x", dtype="float32"), sg.vector("y", dtype="float32")
    return Made([x, y], {"a": sg.tanh(x + y) * sg.exp(-x), "b": x > y},
                [[_random(5, 33), _random(33)], [_random(2, 7), _random(7)]])  # fmt: skip


def reductions() -> Made:
    x = sg.matrix("x", dtype="float32")
    outputs = [x.sum(), x.mean(axis=0), x.max(axis=1), sg.argmax(x), sg.any(x > 2)]
    return Made([x], outputs, [[_random(9, 65)], [_random(1, 1)]])


def softmax() -> Made:
    x = sg.matrix("x", dtype="float32")
    return Made([x], sg.nn.softmax(x, axis=1), [[_random(6, 40)]])


def product() -> Made:
    x, y = sg.matrix("x", dtype="float32"), sg.matrix("y", dtype="float32")
    return Made([x, y], sg.maximum(x @ y + 1, 0), [[_random(17, 9), _random(9, 21)]])


def views() -> Made:
    x = sg.tensor("x", dtype="float32", shape=(None, None, None))
    outputs = (sg.transpose(x, (2, 0, 1)) + 1, x.reshape((-1,))[::2], x[:, ::-1])
    return Made([x], outputs, [[_random(3, 4, 5)]], rtol=0)


def sorting() -> Made:
    x = sg.matrix("x", dtype="float32")
    return Made([x], [sg.sort(x, axis=1), sg.argsort(x, axis=0)], [[_random(5, 19)]], rtol=0)


def indexing() -> Made:
    x, i = sg.matrix("x", dtype="float32"), sg.vector("i", dtype="int64")
    index = np.array([0, -1, 2, 2])
    return Made([x, i], [x[i], sg.grad(sg.sum(x[i] ** 2), x)], [[_random(4, 6), index]])


def scanned() -> Made:
    x, h = sg.matrix("x", dtype="float32"), sg.vector("h", dtype="float32")
    w = sg.matrix("w", dtype="float32")
    states = sg.scan(lambda row, before: sg.tanh(row + before @ w), [x], [h])
    return Made([x, h, w], [states, sg.grad(sg.sum(states), w)],
                [[_random(5, 4), _random(4), _random(4, 4)]], rtol=2e-5)  # fmt: skip


def chosen() -> Made:
    x = sg.vector("x", dtype="float32")
    y = sg.cond(sg.sum(x) > 0, lambda: sg.cumsum(x), lambda: -x)
    return Made([x], y, [[np.full(9, 1.5, "float32")], [np.full(9, -1.5, "float32")]])


def repeated() -> Made:
    x = sg.vector("x", dtype="float32")
    y = sg.while_loop(lambda v: sg.sum(v) < 100, lambda v: v * 2, x)
    return Made([x], y, [[np.full(3, 1.0, "float32")], [np.full(3, 50.0, "float32")]])


def counter() -> Made:
    n, x = sg.shared(np.zeros(3, "float32"), "n"), sg.vector("x", dtype="float32")
    return Made([x], n * 2, [[_random(3)], [_random(3, seed=2)]], {n: n + x})


def training() -> Made:
    x, t = sg.matrix("x", dtype="float32"), sg.vector("t", dtype="int64")
    w1, b1 = sg.shared(_random(12, 16) / 3, "w1"), sg.shared(np.zeros(16, "float32"), "b1")
    w2 = sg.shared(_random(16, 5) / 4, "w2")
    hidden = sg.maximum(x @ w1 + b1, 0)
    chances = sg.nn.log_softmax(hidden @ w2, axis=1)
    loss = -sg.mean(sg.take_along_axis(chances, t[:, None], axis=1))
    values = [w1, b1, w2]
    updates = {v: v - 0.1 * g for v, g in zip(values, sg.grad(loss, values), strict=True)}
    target = np.random.default_rng(3).integers(0, 5, 10)
    calls = [[_random(10, 12, seed=k), target] for k in range(3)]
    return Made([x, t], loss, calls, updates, 2e-5)


def digits() -> Made:
    """Softmax regression, as in examples/digits_softmax.py."""
    x, t = sg.matrix("x", dtype="float32"), sg.vector("t", dtype="int64")
    w, b = sg.shared(np.zeros((9, 4), "float32"), "w"), sg.shared(np.zeros(4, "float32"), "b")
    chances = sg.nn.log_softmax(x @ w + b, axis=1)
    loss = -sg.mean(sg.take_along_axis(chances, t[:, None], axis=1))
    return _descent([x, t], loss, [w, b], [_random(6, 9), _classes(6, 4)])


def lenet() -> Made:
    """Convolution, pooling, convolution, product: LeNet at the size of a stamp."""
    x = sg.tensor("x", dtype="float32", shape=(None, 1, 10, 10))
    t = sg.vector("t", dtype="int64")
    k1 = sg.shared(_random(2, 1, 3, 3, seed=4) / 3, "k1")
    k2 = sg.shared(_random(3, 2, 3, 3, seed=5) / 4, "k2")
    w = sg.shared(_random(12, 4, seed=6) / 4, "w")
    h = sg.nn.max_pool(sg.maximum(sg.nn.conv2d(x, k1), 0), (2, 2))
    h = sg.maximum(sg.nn.conv2d(h, k2), 0)
    chances = sg.nn.log_softmax(h.reshape((x.shape[0], 12)) @ w, axis=1)
    loss = -sg.mean(sg.take_along_axis(chances, t[:, None], axis=1))
    return _descent([x, t], loss, [k1, k2, w], [_random(3, 1, 10, 10), _classes(3, 4)])


def lstm() -> Made:
    """An LSTM over a short sequence, through a scan and its derivative."""
    x, y = sg.tensor("x", dtype="float32", shape=(None, None, 3)), sg.matrix("y", dtype="float32")
    w = sg.shared(_random(3, 16, seed=7) / 2, "w")
    u, out = sg.shared(_random(4, 16, seed=8) / 2, "u"), sg.shared(_random(4, 1, seed=9), "out")

    def step(row: Any, h: Any, c: Any) -> Any:
        gates = row @ w + h @ u
        i, f, o, g = (gates[:, 4 * k : 4 * k + 4] for k in range(4))
        new = sg.sigmoid(f) * c + sg.sigmoid(i) * sg.tanh(g)
        return sg.sigmoid(o) * sg.tanh(new), new

    zero = sg.zeros((x.shape[1], 4), dtype="float32")
    states, _ = sg.scan(step, [x], [zero, zero])
    loss = sg.mean((states[-1] @ out - y) ** 2)
    return _descent([x, y], loss, [w, u, out], [_random(4, 2, 3), _random(2, 1)])


def _classes(count: int, classes: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, classes, count)


def _descent(inputs: list[Any], loss: Any, values: list[Any], args: list[Any]) -> Made:
    slopes = sg.grad(loss, values)
    updates = {v: v - 0.1 * g for v, g in zip(values, slopes, strict=True)}
    return Made(inputs, loss, [args, args, args], updates, 5e-5)


def solving() -> Made:
    a, b = sg.matrix("a", dtype="float32"), sg.vector("b", dtype="float32")
    matrix = _random(4, 4) + 4 * np.eye(4, dtype="float32")
    return Made([a, b], sg.linalg.solve(a, b) * 2, [[matrix, _random(4)]], rtol=1e-4)


def random() -> Made:
    stream = sg.random.Stream(7)
    return Made([], stream.uniform((5, 3), dtype="float32"), [[], []], rtol=0)


def empty() -> Made:
    x = sg.matrix("x", dtype="float32")
    return Made([x], [x * 2, x.sum(axis=0)], [[np.zeros((0, 4), "float32")]])


def constants() -> Made:
    x = sg.vector("x", dtype="float32")
    table = _random(300)
    return Made([x], (x + table, x + np.arange(300, dtype="float32")), [[_random(300)]], rtol=0)


PROGRAMS: dict[str, Callable[[], Made]] = {
    f.__name__: f
    for f in (
        elementwise, reductions, softmax, product, views, sorting, indexing, scanned, chosen,
        repeated, counter, training, solving, random, empty, constants,
    )
}  # fmt: skip


STEPS: dict[str, Callable[[], Made]] = {f.__name__: f for f in (digits, training, lenet, lstm)}
ALL = {**PROGRAMS, **STEPS}


def results(made: Made, target: str) -> tuple[Any, list[list[np.ndarray]], list[np.ndarray]]:
    """The function, the outputs of each call and what shared variables hold after the last; these
    are set back to what they held before."""
    before = {s: s.get_value() for s in made.updates}
    f = sg.compile(made.inputs, made.outputs, updates=made.updates, target=target)
    found = []
    for args in made.calls:
        value = f(*args)
        nest = value.values() if isinstance(value, dict) else value
        found.append(list(nest) if isinstance(value, dict | list | tuple) else [value])
    state = [s.get_value() for s in made.updates]
    for s, value in before.items():
        s.set_value(value)
    return f, found, state


def check(name: str) -> Any:
    """A program on the GPU against the CPU; returns the function."""
    made = ALL[name]()
    f, found, state = results(made, "cuda")
    _, expected, after = results(ALL[name](), "cpu")
    for a, b in zip([*chain(*found), *state], [*chain(*expected), *after], strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=made.rtol, atol=made.rtol, err_msg=name)
    return f
