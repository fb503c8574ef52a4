"""Derivatives of while_loop, whose number of turns is known at run time only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import GradientError

X = np.array([1.0, 2.0, 3.0])
CASES = [(X, 2.0), (X, 1.5), (X, 1000.0), (X * 1000, 2.0)]  # four turns, seven, one, none


def grown(x: Any, w: Any, **options: Any) -> Any:
    """x is multiplied and pushed until it is large."""
    return sg.while_loop(lambda s: sg.sum(s) < 100, lambda s: s * w + sg.sin(s), x, **options)


def differences(f: Callable[..., Any], w: float, step: float = 1e-6) -> float:
    """The slope of a function of one number."""
    return float(f(w + step) - f(w - step)) / (2 * step)


def check(cost: Any, x: Any, w: Any, x0: np.ndarray, w0: float) -> None:
    """The compiled gradients of a cost are its finite differences."""
    f = sg.compile([x, w], [cost, *sg.grad(cost, [x, w], disconnected="zero")])
    _, by_x, by_w = f(x0, w0)
    np.testing.assert_allclose(by_w, differences(lambda v: f(x0, v)[0], w0), rtol=1e-6, atol=1e-6)
    for place in np.ndindex(x0.shape):
        unit = np.zeros_like(x0)
        unit[place] = 1
        slope = differences(lambda v, u=unit: f(x0 + v * u, w0)[0], 0.0)
        np.testing.assert_allclose(by_x[place], slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("x0", "w0"), CASES)
@pytest.mark.parametrize("options", [{}, {"maximum": 30}, {"maximum": 2}])
def test_gradient(x0: np.ndarray, w0: float, options: dict[str, int]) -> None:
    x, w = sg.vector("x", dtype="float64"), sg.scalar("w", dtype="float64")
    check(sg.sum(grown(x, w, **options) ** 2), x, w, x0, w0)


def test_second_derivative_and_jacobian() -> None:
    x, w = sg.vector("x", dtype="float64"), sg.scalar("w", dtype="float64")
    slope = sg.grad(sg.sum(grown(x, w)), w)
    check(slope, x, w, X, 1.5)
    doubled = sg.while_loop(lambda s: sg.sum(s) < 50, lambda s: s * w, x)
    rows = sg.compile([x, w], sg.jacobian(doubled, x))(X, 2.0)
    np.testing.assert_array_equal(rows, np.eye(3) * 16)


def test_inside_of_a_scan_and_of_a_choice() -> None:
    x, w = sg.matrix("x", dtype="float64"), sg.scalar("w", dtype="float64")

    def total(row: Any) -> Any:
        return sg.sum(grown(row, w, maximum=20))

    check(sg.sum(sg.map(total, x)), x, w, np.stack([X, X * 2]), 1.5)
    check(sg.cond(w > 0, lambda: total(x), lambda: sg.sum(x)), x, w, X[None], 1.5)
    check(sg.checkpoint(total)(x), x, w, X[None], 1.5)


def test_inside_of_a_scan_without_a_bound_is_refused() -> None:
    x, w = sg.matrix("x", dtype="float64"), sg.scalar("w", dtype="float64")
    ends = sg.map(lambda row: sg.sum(grown(row, w)), x)
    with pytest.raises(GradientError, match="number of turns is known at run time only") as caught:
        sg.grad(sg.sum(ends), w)
    assert "maximum=100" in str(caught.value)


def test_bounds_that_are_tensors() -> None:
    n = sg.scalar("n", dtype="int64")
    w = sg.scalar("w", dtype="float64")
    power = sg.fori_loop(0, n, lambda i, s: s * w, sg.constant(1.0))
    f = sg.compile([n, w], sg.grad(power, w))
    assert [float(f(k, 3.0)) for k in range(4)] == [0, 1, 6, 27]


def test_counters_are_no_obstacle() -> None:
    """A state of integers beside one that is differentiated."""
    w = sg.scalar("w", dtype="float64")
    turns, value = sg.while_loop(
        lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * w), (0, sg.constant(2.0))
    )
    assert [v.item() for v in sg.compile([w], [turns, sg.grad(value, w)])(5.0)] == [3, 150]
