"""Left sides of rules that ask what two sums differ by: differences, fractions, quadratics."""

from __future__ import annotations

from symgraph.ir.graph import Input, toposort
from symgraph.ir.types import TensorType
from symgraph.ops.arithmetic import cbrt, sqrt
from symgraph.ops.exponential import exp, log
from symgraph.ops.stable_forms import root_difference
from symgraph.ops.trigonometric import sin

LANES = 200


def pair():
    return [Input(TensorType("float64", (LANES,)), n) for n in "xy"]


def sums_with_a_common_part():
    x, y = pair()
    for left in (sin(x + y) - sin(x), cbrt(x) - cbrt(x - 1.5), exp(x - y) - exp(x),
                 1 / (x + y) - 1 / x, log(x + 1) - log(x)):  # fmt: skip
        yield left, [i for i in (x, y) if i is x or y in inputs_of(left)]


def negative_multiples():
    x, y = pair()
    yield 3 / (x + y) + -3 / x, [x, y]


def quotients():
    x, y = pair()
    yield log((x + y) / x), [x, y]
    yield log((1 - x) / (1 + x)), [x]


def roots():
    x, y = pair()
    yield sqrt(x + y) - sqrt(x), [x, y]
    yield sqrt(1 + x) - sqrt(1 - x), [x]


def fractions():
    x, _ = pair()
    yield 1 / (x + 1) - 2 / x + 1 / (x - 1), [x]
    yield 1 / (x - 1) + 1 / (x + 1) - 2 / x, [x]
    yield x / (x + 1) - (x + 1) / (x - 1), [x]
    yield 1 / (x + 1) + 1 / (2 - x), [x]
    yield (x + 1) / (x + 3) - 1, [x]


def quadratics():
    b, a = pair()
    yield root_difference(b, -(4.0 * (a * 1.5))) / (a * 2.0), [b, a]
    yield root_difference(b, a * b * 3.0) / a, [b, a]
    yield root_difference(-b, a) / (a * 4.0), [b, a]


def inputs_of(v):
    """The inputs that a value depends on."""
    return {i for n in toposort([v]) for i in n.inputs if isinstance(i, Input)}
