"""Derivatives where a function has a corner, a pole beside it, or nothing to choose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg

ZEROS = np.zeros(3)
# at zero, each by the convention of docs/derivatives.md
CORNERS: dict[str, tuple[Any, list[float]]] = {
    "abs": (lambda x: sg.sum(sg.abs(x)), [0, 0, 0]),
    "relu": (lambda x: sg.sum(sg.nn.relu(x)), [0, 0, 0]),
    "max": (sg.max, [1 / 3] * 3),
    "maximum": (lambda x: sg.sum(sg.maximum(x, x * 0)), [0.5] * 3),
    "norm": (sg.linalg.norm, [0, 0, 0]),
    "third norm": (lambda x: sg.linalg.norm(x, 3), [0, 0, 0]),
    "norms of rows": (lambda x: sg.sum(sg.linalg.norm(x[:, None] * x, axis=1)), [0, 0, 0]),
    "frobenius": (lambda x: sg.linalg.norm(sg.outer(x, sg.ones(3))), [0, 0, 0]),
    "hypot": (lambda x: sg.sum(sg.hypot(x, x)), [0, 0, 0]),
    "a norm written out": (lambda x: sg.sqrt(sg.sum(x**2)), [0, 0, 0]),
    "of two": (lambda x: sg.sum(sg.sqrt(x * x + (2 * x) ** 2)), [0, 0, 0]),
    "of one": (lambda x: sg.sum(sg.sqrt(x * x)), [0, 0, 0]),
    "distances of all pairs": (
        lambda x: sg.sum(sg.sqrt(sg.sum((x[:, None, None] - x[None, :, None]) ** 2, axis=-1))),
        [0, 0, 0],
    ),
    "a formula with a hole": (lambda x: sg.sum(sg.sin(x) / x), [0, 0, 0]),
    "std": (sg.std, [0, 0, 0]),
    "sort": (lambda x: sg.sort(x)[0], [1, 0, 0]),
    "root not chosen": (lambda x: sg.sum(sg.where(x > 0, sg.sqrt(x), x)), [1, 1, 1]),
    "logarithm not chosen": (lambda x: sg.sum(sg.where(x > 0, sg.log(x), 0)), [0, 0, 0]),
    "pole not chosen": (lambda x: sg.sum(sg.where(x != 0, x / x, x)), [1, 1, 1]),
    "nested choices": (
        lambda x: sg.sum(sg.where(x >= 0, sg.where(x > 0, sg.log(sg.sqrt(x)), x), 1 / x)),
        [1, 1, 1],
    ),
}


@pytest.mark.parametrize("mode", ["run", "interpret"])
@pytest.mark.parametrize("name", CORNERS)
def test_derivative_at_zero(name: str, mode: str) -> None:
    fn, wanted = CORNERS[name]
    x = sg.vector("x", shape=(3,))
    f = sg.compile([x], sg.grad(fn(x), x), mode=mode)
    np.testing.assert_allclose(f(ZEROS), wanted)


def test_second_derivatives_beside_corners() -> None:
    x = sg.vector("x", shape=(3,))
    f = sg.compile([x], sg.hessian(sg.linalg.norm(x) ** 2, x))
    np.testing.assert_allclose(f(np.ones(3)), 2 * np.eye(3), atol=1e-12)


def test_logaddexp_of_equal_operands_bends() -> None:
    a, b = sg.scalar("a"), sg.scalar("b")
    first = sg.grad(sg.logaddexp(a, b), [a, b])
    second = [sg.grad(g, v) for g in first for v in (a, b)]
    assert [float(v) for v in sg.compile([a, b], second)(-3, -3)] == [0.25, -0.25, -0.25, 0.25]
    assert [float(v) for v in sg.compile([a, b], first)(np.inf, np.inf)] == [0.5, 0.5]
