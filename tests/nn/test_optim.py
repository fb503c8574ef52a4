"""Optimizers: figures of PyTorch's, loops in NumPy, clipping, schedules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import ArgumentError, DTypeError, GradientError

O = sg.optim  # noqa: E741
A = np.sin(np.arange(15.0)).reshape(5, 3)
B = np.cos(np.arange(5.0))
START = np.array([1.0, -0.5, 0.25])

RULES: dict[str, Callable[[Any, Any], Any]] = {
    "sgd": lambda loss, w: O.sgd(loss, w, 0.01),
    "momentum": lambda loss, w: O.sgd(loss, w, 0.01, 0.9, weight_decay=0.1),
    "nesterov": lambda loss, w: O.sgd(loss, w, 0.01, 0.9, nesterov=True),
    "adagrad": lambda loss, w: O.adagrad(
        loss, w, 0.1, rate_decay=0.1, initial=0.2, weight_decay=0.1
    ),
    "rmsprop": lambda loss, w: O.rmsprop(loss, w),
    "rmsprop_centered": lambda loss, w: O.rmsprop(loss, w, 0.01, momentum=0.5, centered=True),
    "adadelta": lambda loss, w: O.adadelta(loss, w, 0.5),
    "adam": lambda loss, w: O.adam(loss, w, 0.01, weight_decay=0.1),
    "amsgrad": lambda loss, w: O.adam(loss, w, 0.3, amsgrad=True),
    "adamw": lambda loss, w: O.adamw(loss, w, 0.01),
    "adamax": lambda loss, w: O.adamax(loss, w, 0.01),
    "nadam": lambda loss, w: O.nadam(loss, w, 0.01),
}
# torch.optim of PyTorch 2 after 12 steps in float64
PYTORCH: dict[str, list[float]] = {
    "sgd": [0.9617270896637888, -0.31451301145406885, 0.4887110055760187],
    "momentum": [1.002596258272857, -0.19050965627561228, 0.4838326371087469],
    "nesterov": [1.0680880497483407, -0.20538772090493307, 0.5002713377159246],
    "adagrad": [0.8700244280408305, -0.24605883284458732, 0.4663041412251615],
    "rmsprop": [0.982204857724493, -0.21357636855149897, 0.48421366517819164],
    "rmsprop_centered": [1.118265383136451, -0.14760359937419248, 0.48714805087925145],
    "adadelta": [0.9803694589970167, -0.48012464540943867, 0.26982178874284196],
    "adam": [0.8848954120389346, -0.3831905823601396, 0.3662467715024343],
    "amsgrad": [1.4187746084431723, 0.13339710344300387, 0.5707062069404055],
    "adamw": [0.884500331409622, -0.3826996780856671, 0.365938476964891],
    "adamax": [0.9007593263047902, -0.39422539149399544, 0.3543360096679369],
    "nadam": [0.9129668735375366, -0.4089906587979049, 0.3401872171973651],
}


def trained(rule: Callable[[Any, Any], Any], steps: int = 12, dtype: str = "float64") -> Any:
    """The parameters after some steps down a sum of squares."""
    w = sg.shared(START, name="w", dtype=dtype)
    loss = sg.sum((sg.constant(A, dtype) @ w - sg.constant(B, dtype)) ** 2)
    step = sg.compile([], loss, updates=rule(loss, w))
    losses = [step() for _ in range(steps)]
    assert losses[-1] < losses[0]
    return w.get_value()


@pytest.mark.parametrize("name", RULES)
def test_figures_of_pytorch(name: str) -> None:
    # 1e-8: nadam's product of momenta is a float32 there
    np.testing.assert_allclose(trained(RULES[name]), PYTORCH[name], rtol=1e-8)
    single = trained(RULES[name], dtype="float32")
    assert single.dtype == "float32"
    np.testing.assert_allclose(single, PYTORCH[name], rtol=2e-4)


def descend(step: Callable[[Any, Any, int], Any], steps: int = 12) -> Any:
    w = START.copy()
    for n in range(1, steps + 1):
        w = step(w, 2 * A.T @ (A @ w - B), n)
    return w


def test_adam_in_numpy() -> None:
    m, v = np.zeros(3), np.zeros(3)

    def step(w: Any, g: Any, n: int) -> Any:
        m[:] = 0.8 * m + 0.2 * g
        v[:] = 0.9 * v + 0.1 * g * g
        return w - 0.05 * (m / (1 - 0.8**n)) / (np.sqrt(v / (1 - 0.9**n)) + 1e-3)

    found = trained(lambda loss, w: O.adam(loss, w, 0.05, 0.8, 0.9, 1e-3))
    np.testing.assert_allclose(found, descend(step), rtol=1e-12)


def test_lion_in_numpy() -> None:
    m = np.zeros(3)

    def step(w: Any, g: Any, n: int) -> Any:
        new = w - 0.01 * (np.sign(0.9 * m + 0.1 * g) + 0.5 * w)
        m[:] = 0.99 * m + 0.01 * g
        return new

    found = trained(lambda loss, w: O.lion(loss, w, 0.01, weight_decay=0.5))
    np.testing.assert_allclose(found, descend(step), rtol=1e-12)


def test_schedules_and_tensors_as_rates() -> None:
    rates = [0.05 * 0.5 ** (n // 3) for n in range(12)]
    wanted = descend(lambda w, g, n: w - rates[n - 1] * g)
    by_schedule = trained(lambda loss, w: O.sgd(loss, w, O.step_decay(0.05, 3, 0.5)))
    np.testing.assert_allclose(by_schedule, wanted, rtol=1e-12)
    rate, w = sg.scalar("rate"), sg.shared(START.astype("float32"))
    loss = sg.sum(w**2)
    step = sg.compile([rate], loss, updates=O.sgd(loss, w, rate))
    step(0.25)
    np.testing.assert_array_equal(w.get_value(), START.astype("float32") / 2)
    step(0.0)
    np.testing.assert_array_equal(w.get_value(), START.astype("float32") / 2)


def test_several_parameters_and_gradients() -> None:
    a, b = sg.shared([1.0], name="a"), sg.shared([[2.0]], name="b", dtype="float32")
    loss = sg.sum(a**2) + sg.sum(b**2)
    clipped = O.clip_by_value(sg.grad(loss, [a, b]), 1.0)
    updates = O.sgd(clipped, [a, b], 0.5, 0.9)
    assert [v.name for v in updates if v.name] == ["sgd_velocity_a", "a", "sgd_velocity_b", "b"]
    sg.compile([], [], updates=updates)()
    assert a.get_value() == 0.5 and b.get_value() == 1.5


def test_free_axes() -> None:
    w = sg.shared(np.ones(3), shape=("n",))
    step = sg.compile([], [], updates=O.sgd(sg.sum(w**2), w, 0.25, momentum=0.5))
    step()
    assert w.get_value().tolist() == [0.5] * 3


def test_moving_average() -> None:
    w = sg.shared(START, name="w")
    updates, (mean,) = O.moving_average(O.sgd(sg.sum(w**2), [w], 0.25), [w], 0.5)
    step = sg.compile([], [], updates=updates)
    step()
    step()
    np.testing.assert_allclose(mean.get_value(), START * (0.75 / 2 + 0.125))


# clipping -----------------------------------------------------------------------------------------


def test_clipping() -> None:
    x = sg.constant([3.0, -4.0])
    y = sg.constant(np.full((2, 2), 6.0, "float32"))
    assert O.global_norm([x, y]).eval() == 13
    assert O.clip_by_value([x], 3.5)[0].eval().tolist() == [3, -3.5]
    np.testing.assert_allclose(O.clip_by_norm([x, y], 2.5)[0].eval(), [1.5, -2])
    small, same = O.clip_by_global_norm([x, y], 6.5)
    np.testing.assert_allclose(small.eval(), [1.5, -2])
    assert same.dtype == "float32" and same.eval().tolist() == [[3, 3], [3, 3]]
    assert O.clip_by_global_norm([x], 5.0)[0].eval().tolist() == [3, -4]
    assert O.clip_by_norm([0 * x], 1.0)[0].eval().tolist() == [0, 0]


# schedules ----------------------------------------------------------------------------------------


def cosine(part: float) -> float:
    return (1 + math.cos(math.pi * min(part, 1))) / 2


SCHEDULES: dict[str, tuple[Any, Callable[[int], float]]] = {
    "constant": (O.constant(0.5), lambda n: 0.5),
    "exponential": (O.exponential_decay(2.0, 10, 0.5), lambda n: 2 * 0.5 ** (n / 10)),
    "step": (O.step_decay(2.0, 4, 0.5), lambda n: 2 * 0.5 ** (n // 4)),
    "piecewise": (
        O.piecewise_constant([3, 8], [1.0, 0.5, 0.1]),
        lambda n: 1.0 if n < 3 else 0.5 if n < 8 else 0.1,
    ),
    "polynomial": (
        O.polynomial_decay(1.0, 10, 0.2, 2.0), lambda n: 0.8 * (1 - min(n / 10, 1)) ** 2 + 0.2,
    ),
    "cosine": (O.cosine_decay(1.0, 10, 0.2), lambda n: 0.2 + 0.8 * cosine(n / 10)),
    "inverse": (
        O.inverse_square_root(0.5, 9), lambda n: 0.5 * min(n / 9, 3 / math.sqrt(max(n, 1))),
    ),
    "warmup": (O.warmup(5, 0.3), lambda n: 0.3 * min(n / 5, 1)),
    "warmup_then": (
        O.warmup(5, O.cosine_decay(1.0, 5)), lambda n: n / 5 if n < 5 else cosine((n - 5) / 5),
    ),
    "one_cycle": (
        O.one_cycle(1.0, 10, 0.3),
        lambda n: 1 - 0.96 * cosine(n / 3) if n < 3
        else 4e-6 + (1 - 4e-6) * cosine((n - 3) / 7),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name: str) -> None:
    schedule, wanted = SCHEDULES[name]
    n = sg.scalar("n", dtype="int64")
    f = sg.compile([n], schedule(n), on_unused_input="ignore")
    steps = (0, 1, 2, 3, 4, 5, 7, 8, 10, 30)
    found = [float(f(k)) for k in steps]
    np.testing.assert_allclose(found, [wanted(k) for k in steps], rtol=1e-12, atol=1e-15)
    assert schedule(3).dtype == "float64"


# mistakes -----------------------------------------------------------------------------------------


def test_mistakes_are_named() -> None:
    w = sg.shared(START, name="w")
    loss = sg.sum(w**2)
    with pytest.raises(ArgumentError, match="sgd: nesterov needs momentum"):
        O.sgd(loss, w, 0.1, nesterov=True)
    with pytest.raises(ArgumentError, match=r"adam: .* is no shared variable"):
        O.adam(loss, sg.vector("x"))
    with pytest.raises(DTypeError, match="adam: the parameter k is int64"):
        O.adam(loss, sg.shared([1], name="k"))
    with pytest.raises(ArgumentError, match="1 gradients for 2 parameters"):
        O.adam([w], [w, w])
    with pytest.raises(ArgumentError, match="the learning rate is no scalar"):
        O.adam(loss, w, sg.vector("rate"))
    with pytest.raises(GradientError):
        O.adam(loss, sg.shared([1.0]))
    with pytest.raises(ArgumentError, match="1 boundaries for 1 rates"):
        O.piecewise_constant([5], [1.0])
    with pytest.raises(ArgumentError, match="there is no tensor"):
        O.global_norm([])
