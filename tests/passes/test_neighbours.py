"""f(u) - f(v) in all spellings whose difference u - v is known: recognized, and never worse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import pytest

import symgraph as sg
from symgraph.ir.graph import Graph, toposort
from symgraph.passes.differences import DIFFERENCES_OF_NEIGHBOURS
from symgraph.passes.pipeline import optimize
from tests.passes.equations import compare, right_side, samples
from tests.passes.sums import inputs_of

RULE = DIFFERENCES_OF_NEIGHBOURS[0]
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "cbrt": sg.cbrt, "rsqrt": lambda x: 1 / sg.sqrt(x), "log": sg.log,
    "reciprocal": lambda x: 2.0 / x, "power": lambda x: x**0.3, "exp": sg.exp, "sin": sg.sin,
    "cos": sg.cos, "tan": sg.tan, "atan": sg.arctan,
}  # fmt: skip
PAIRS: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    "x + e, x": lambda x, e: (x + e, x),
    "x, e + x": lambda x, e: (x, e + x),
    "x - e, x": lambda x, e: (x - e, x),
    "x + 1, x": lambda x, e: (x + 1, x),
    "x, x - 1.5": lambda x, e: (x, x - 1.5),
    "2x + e, 2x": lambda x, e: (x * 2 + e, x * 2),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_never_worse(name: str, pair: str) -> None:
    x, e = (sg.tensor(n, dtype="float64", shape=(200,)) for n in "xe")
    u, v = PAIRS[pair](x, e)
    left = FUNCTIONS[name](u) - FUNCTIONS[name](v)
    right = right_side(RULE, left)
    assert right is not None
    with mpmath.workprec(2600):
        assert not compare(RULE, left, right, samples(sorted(inputs_of(left), key=str), seed=7))


BETWEEN: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    "x + e, x - e": lambda x, e: (x + e, x - e),
    "x - e, x + e": lambda x, e: (x - e, x + e),
    "e + 2x, 2x - e": lambda x, e: (e + 2 * x, 2 * x - e),
    "x + e, x + 2": lambda x, e: (x + e, x + 2),
}


@pytest.mark.parametrize("pair", BETWEEN)
@pytest.mark.parametrize("name", ["sin", "cos", "cbrt", "log"])
def test_between_rounded_sums(name: str, pair: str) -> None:
    x, e = (sg.tensor(n, dtype="float64", shape=(200,)) for n in "xe")
    u, v = BETWEEN[pair](x, e)
    left = FUNCTIONS[name](u) - FUNCTIONS[name](v)
    right = right_side(RULE, left)
    if name in ("sin", "cos") and pair == "x + e, x + 2":
        assert right is None  # the middle is a sum of three
        return
    assert right is not None
    with mpmath.workprec(2600):
        assert not compare(RULE, left, right, samples(sorted(inputs_of(left), key=str), seed=7))


def test_central_differences_have_all_digits() -> None:
    x, h = sg.scalar("x"), sg.scalar("h")
    f = sg.compile([x, h], [sg.sin(x + h) - sg.sin(x - h), sg.cos(x + h) - sg.cos(x - h)])
    with mpmath.workdps(60):
        for at, step in ((1.0, 1e-12), (100.0, 1e-20), (1e8, 1e-9)):
            a, b = mpmath.mpf(at), mpmath.mpf(step)
            wanted = [mpmath.sin(a + b) - mpmath.sin(a - b), mpmath.cos(a + b) - mpmath.cos(a - b)]
            for got, w in zip(f(at, step), wanted, strict=True):
                assert got == pytest.approx(float(w), rel=1e-15)


@pytest.mark.parametrize("pair", [*PAIRS.values(), lambda x, e: (1 + x, 1 - x),
                                  lambda x, e: (x + e, x + 2)])  # fmt: skip
def test_roots_and_logarithms_of_sums(pair: Any) -> None:
    x, e = (sg.tensor(n, dtype="float64", shape=(200,)) for n in "xe")
    u, v = pair(x, e)
    for rule, left in zip(DIFFERENCES_OF_NEIGHBOURS[2:4], (sg.sqrt(u) - sg.sqrt(v), sg.log(u / v)),
                          strict=True):  # fmt: skip
        right = right_side(rule, left)
        assert right is not None
        with mpmath.workprec(2600):
            assert not compare(rule, left, right, samples(sorted(inputs_of(left), key=str), seed=7))


@pytest.mark.parametrize(
    "formula",
    [
        lambda x, y: (x + y) - x,  # so compensated sums are written
        lambda x, y: sg.sin(x) - sg.sin(y),
        lambda x, y: sg.sin(x) - sg.cos(x + y),
        lambda x, y: sg.tan(x + y) - sg.tan(x + 2),  # (x + 2) + (y - 2) is not x + y
        lambda x, y: sg.arctan(x) - sg.arctan(-x),
        lambda x, y: (x + 1) ** 0.3 - x**0.4,
    ],
)
def test_what_is_left_alone(formula: Callable[..., Any]) -> None:
    x, y = (sg.tensor(n, dtype="float64", shape=(3,)) for n in "xy")
    after = optimize(Graph([x, y], [formula(x, y)]))
    assert not [n for n in toposort(after.outputs) if n.op.name.endswith("_step")]


def test_sizes_that_only_a_check_makes_equal() -> None:
    x, y, z = (sg.tensor(n, dtype="float64", shape=(None,)) for n in "xyz")
    for formula in (sg.sqrt(x * x + (y * y + z * z)), sg.sqrt(x * x + y * y + z * z)):
        f = sg.compile([x, y, z], formula)
        assert f([3e200], [4e200], [12e200]).tolist() == [13e200]


def test_derivatives_are_repaired_too() -> None:
    x = sg.scalar("x", dtype="float64")
    y = 1 / sg.sqrt(x) - 1 / sg.sqrt(x + 1)
    first = sg.grad(y, x)
    f = sg.compile([x], [y, first, sg.grad(first, x)])
    with mpmath.workdps(80):
        for at in (0.5, 1e3, 1e12):
            true = mpmath.taylor(lambda t: 1 / mpmath.sqrt(t) - 1 / mpmath.sqrt(t + 1), at, 2)
            for k, (got, bits) in enumerate(zip(f(at), (1e-14, 1e-12, 1e-11), strict=True)):
                wanted = float(true[k] * mpmath.factorial(k))
                assert got == pytest.approx(wanted, rel=bits), (at, k)
