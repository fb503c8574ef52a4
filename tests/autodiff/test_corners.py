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


# the value, the first and the second derivative at 0, where the first factor's 0 meets infinity
INFINITE: dict[str, tuple[Any, list[float]]] = {
    "x sqrt x": (lambda x: x * sg.sqrt(x), [0, 0, np.inf]),
    "root of the cube": (lambda x: sg.sqrt(x**3), [0, 0, np.inf]),
    "square of the root": (lambda x: sg.sqrt(x) ** 2, [0, 1, 0]),
    "root times root": (lambda x: sg.sqrt(x) * sg.sqrt(x), [0, 1, 0]),
    "x log x": (lambda x: x * sg.log(x), [0, -np.inf, np.inf]),
    "entropy": (sg.special.entr, [0, np.inf, -np.inf]),
    "cube root": (sg.cbrt, [0, np.inf, -np.inf]),
    "power": (lambda x: x**1.5, [0, 0, np.inf]),
    "power of abs": (lambda x: sg.abs(x) ** 1.5, [0, 0, np.nan]),
    "angle": (lambda x: sg.arctan2(x, 0.0), [0, np.nan, np.nan]),
}


@pytest.mark.parametrize("name", INFINITE)
def test_infinite_slopes_at_zero(name: str) -> None:
    x = sg.scalar("x")
    y = INFINITE[name][0](x)
    first = sg.grad(y, x)
    f = sg.compile([x], [y, first, sg.grad(first, x)])
    np.testing.assert_equal([float(v) for v in f(0.0)], INFINITE[name][1])


ROOTS = {
    "x sqrt x": (lambda x: x * sg.sqrt(x), lambda v: 1.5 * np.sqrt(v)),
    "root of the cube": (lambda x: sg.sqrt(x**3), lambda v: 1.5 * np.sqrt(v)),
    "square of the root": (lambda x: sg.sqrt(x) ** 2, lambda v: np.sqrt(v) / np.sqrt(v)),
    "cube root": (sg.cbrt, lambda v: np.cbrt(v) / (3 * v)),
}


@pytest.mark.parametrize("name", ROOTS)
def test_slopes_of_roots_elsewhere(name: str) -> None:
    x = sg.vector("x")
    at = np.array([-2.0, 1e-300, 0.3, 7.0, 1e200])
    fn, slope = ROOTS[name]
    with np.errstate(invalid="ignore"):
        wanted = slope(at)
    found = sg.compile([x], sg.grad(sg.sum(fn(x)), x))(at)
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_norms_that_are_multiplied_keep_their_convention() -> None:
    x = sg.vector("x", shape=(3,))
    square = sg.sum(x**2)
    f = sg.compile([x], sg.hessian(square * sg.sqrt(square), x))
    np.testing.assert_equal(f(ZEROS), np.zeros((3, 3)))


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
