"""The derivatives of formulas that the compiler repairs are as good as the repaired formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from benchmarks.stability.expressions import Case
from benchmarks.stability.slopes import SCALAR, slope_bits

BITS = 4.1  # at the worst of the samples
# Slopes that are small differences of what the repaired formula is made of: 1 - tanh(x)**2, the
# logarithm of 1 + 1/n less 1/(n + 1), the slopes of a quadratic's roots.
LEFT = {
    "log(exp(a) + exp(b))": 6.0, "cross-entropy of sigmoid": 7.7, "log(erfc(x))": 7.0,
    "tan(x + e) - tan(x)": 11.0,
}  # fmt: skip
OPEN = frozenset((
    "tanh by exponentials", "tanh by one exponential", "(1 + 1/n)**n",
    "(x - sin(x)) / (x - tan(x))", "a root of a x^2 + b x + c", "the other root",
))  # fmt: skip


@pytest.mark.parametrize("case", [c for c in SCALAR if c.name not in OPEN], ids=lambda c: c.name)
def test_slopes_of_formulas(case: Case) -> None:
    worst, _ = slope_bits(case, 20)
    assert worst <= LEFT.get(case.name, BITS)


def test_a_variable_on_the_way_is_kept() -> None:
    """Rules look past what derivatives are asked for; the variable itself stays."""
    x = sg.vector("x", shape=(3,))
    e = sg.exp(x)
    slope = sg.grad(sg.sum(sg.log(1 + e)), e)
    found = sg.compile([x], slope)(np.array([-800.0, 0.0, 3.0]))
    np.testing.assert_allclose(found, [1.0, 0.5, 1 / (1 + np.exp(3.0))], rtol=1e-15)


def test_gates_and_constants_stay() -> None:
    x = sg.vector("x", shape=(3,))
    shifted = sg.exp(x - sg.stop_gradient(x))
    through = sg.sqrt(x) + sg.stop_gradient(sg.round(x) - sg.sqrt(x))
    at = np.array([0.5, 1.5, 4.0])
    for y, wanted in ((shifted, np.ones(3)), (through, 0.5 / np.sqrt(at))):
        np.testing.assert_allclose(sg.compile([x], sg.grad(sg.sum(y), x))(at), wanted)
    e = sg.expm1(x)
    held = sg.grad(sg.sum(e / x), x, consider_constant=[e])
    np.testing.assert_allclose(sg.compile([x], held)(at), -np.expm1(at) / at**2)


WAYS: dict[str, Any] = {
    "grad": lambda y, x: sg.grad(sg.sum(y), x),
    "vjp": lambda y, x: sg.vjp(y, x, sg.ones_like(y)),
    "jvp": lambda y, x: sg.jvp(y, x, sg.ones_like(x)),
    "jacobian": lambda y, x: sg.sum(sg.jacobian(y, x), axis=0),
    "forward jacobian": lambda y, x: sg.sum(sg.jacobian(y, x, mode="forward"), axis=1),
}


@pytest.mark.parametrize("way", WAYS)
def test_all_ways_take_the_stable_form(way: str) -> None:
    x = sg.vector("x", shape=(3,))
    f = sg.compile([x], WAYS[way]((sg.exp(x) - 1) / x, x))
    np.testing.assert_allclose(f(np.array([1e-9, 1e-200, 0.0])), [0.5, 0.5, 0.5], rtol=1e-8)


def test_second_derivatives_take_it_too() -> None:
    x = sg.vector("x", shape=(2,))
    (found,) = sg.hvp(sg.sum((1 - sg.cos(x)) / x**2), [x], [sg.ones_like(x)])
    np.testing.assert_allclose(sg.compile([x], found)(np.array([1e-7, 0.0])), [-1 / 12] * 2)


def test_disconnected_ends_are_reported_at_the_user_s_line() -> None:
    x, w = sg.vector("x"), sg.vector("w")
    with pytest.raises(sg.errors.GradientError, match="only through argmax") as caught:
        sg.grad(sg.sum(sg.log(1 + w) * sg.argmax(x)), x)
    assert "test_stable.py" in str(caught.value)
