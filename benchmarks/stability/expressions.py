"""Textbook formulas that lose digits in floating point, as functions of a library's words.

A formula gets a namespace `m` (numpy's words: exp, log1p, sum, ...) and its arguments, so that
every library, and mpmath, computes the same text. An argument's range says where to look: `Near`
samples magnitudes log-uniformly, which finds cancellation and overflow alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Near(NamedTuple):
    """Numbers ``about`` + or - a magnitude between ``small`` and ``large``, by their logarithms.
    ``signs``: both, +1 or -1."""

    small: float
    large: float
    about: float = 0.0
    signs: str = "both"

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        magnitude = np.exp(rng.uniform(np.log(self.small), np.log(self.large), shape))
        sign = {"both": rng.choice([-1.0, 1.0], shape), "+": 1.0, "-": -1.0}[self.signs]
        return np.asarray(self.about + sign * magnitude)


class Case(NamedTuple):
    """A formula; ``rows`` > 0 when its arguments are vectors of so many elements."""

    name: str
    formula: Callable[..., Any]
    arguments: tuple[Near, ...]
    rows: int = 0


TINY = Near(1e-18, 1.0)
WIDE = Near(1e-8, 700.0)
HUGE = Near(1e-8, 1500.0)  # mpmath needs as many digits as the exponentials of these
ANGLE = Near(0.01, 1000.0)
STEP = Near(1e-15, 1e-3)  # from a place to a neighbour
COEFFICIENT = Near(1e-120, 1e120)
POSITIVE = Near(1e-12, 1e12, signs="+")


def _quadratic(m: Any, b: Any, c: Any) -> Any:
    """The root of x*x + b*x + c that is nearer to zero, for b > 0."""
    return (-b + m.sqrt(b * b - 4 * c)) / 2


def _variance(m: Any, x: Any) -> Any:
    return m.mean(x * x) - m.mean(x) ** 2


CASES = (
    Case("log(1 + x)", lambda m, x: m.log(1 + x), (Near(1e-18, 0.9),)),
    Case("log(x + 1), large too", lambda m, x: m.log(x + 1), (POSITIVE,)),
    Case("log(1 - x)", lambda m, x: m.log(1 - x), (Near(1e-18, 0.9),)),
    Case("exp(x) - 1", lambda m, x: m.exp(x) - 1, (WIDE,)),
    Case("1 - exp(x)", lambda m, x: 1 - m.exp(x), (WIDE,)),
    Case("(exp(x) - 1) / x", lambda m, x: (m.exp(x) - 1) / x, (TINY,)),
    Case("log(exp(a) + exp(b))", lambda m, a, b: m.log(m.exp(a) + m.exp(b)), (HUGE, HUGE)),
    Case("log(1 + exp(x))", lambda m, x: m.log(1 + m.exp(x)), (HUGE,)),
    Case("log(sum(exp(x)))", lambda m, x: m.log(m.sum(m.exp(x))), (HUGE,), 8),
    Case("log(mean(exp(x)))", lambda m, x: m.log(m.mean(m.exp(x))), (HUGE,), 8),
    Case("softmax", lambda m, x: m.exp(x) / m.sum(m.exp(x)), (HUGE,), 6),
    Case("log of softmax", lambda m, x: m.log(m.exp(x) / m.sum(m.exp(x))), (HUGE,), 6),
    Case("cross-entropy of softmax",
         lambda m, x, y: -m.sum(y * m.log(m.exp(x) / m.sum(m.exp(x)))),
         (HUGE, Near(0.1, 1.0, signs="+")), 6),
    Case("sigmoid", lambda m, x: 1 / (1 + m.exp(-x)), (HUGE,)),
    Case("1 - sigmoid", lambda m, x: 1 - 1 / (1 + m.exp(-x)), (WIDE,)),
    Case("log of sigmoid", lambda m, x: m.log(1 / (1 + m.exp(-x))), (HUGE,)),
    Case("log of 1 - sigmoid", lambda m, x: m.log(1 - 1 / (1 + m.exp(-x))), (HUGE,)),
    Case("cross-entropy of sigmoid",
         lambda m, x, y: -(y * m.log(1 / (1 + m.exp(-x)))
                           + (1 - y) * m.log(1 - 1 / (1 + m.exp(-x)))),
         (HUGE, Near(0.1, 0.9, signs="+"))),
    Case("log(1 - exp(x))", lambda m, x: m.log(1 - m.exp(x)), (Near(1e-18, 700, signs="-"),)),
    Case("log(exp(x) - 1)", lambda m, x: m.log(m.exp(x) - 1), (Near(1e-18, 1e4, signs="+"),)),
    Case("sqrt(x + 1) - sqrt(x)", lambda m, x: m.sqrt(x + 1) - m.sqrt(x), (POSITIVE,)),
    Case("sqrt(x + 1) - 1", lambda m, x: m.sqrt(x + 1) - 1, (Near(1e-16, 0.9),)),
    Case("sqrt(1 + x*x) - 1", lambda m, x: m.sqrt(1 + x * x) - 1, (TINY,)),
    Case("1/(x + 1) - 1/x", lambda m, x: 1 / (x + 1) - 1 / x, (POSITIVE,)),
    Case("(1 - cos(x)) / x**2", lambda m, x: (1 - m.cos(x)) / x**2, (Near(1e-12, 3.0),)),
    Case("1 - cos(x)", lambda m, x: 1 - m.cos(x), (Near(1e-12, 3.0),)),
    Case("x - sin(x)", lambda m, x: x - m.sin(x), (Near(1e-6, 3.0),)),
    Case("sin(x) - x", lambda m, x: m.sin(x) - x, (Near(1e-6, 3.0),)),
    Case("tan(x) - x", lambda m, x: m.tan(x) - x, (Near(1e-6, 1.2),)),
    Case("tan(x) - sin(x)", lambda m, x: m.tan(x) - m.sin(x), (Near(1e-6, 1.2),)),
    Case("log(x + 1) - log(x)", lambda m, x: m.log(x + 1) - m.log(x), (POSITIVE,)),
    Case("sqrt(x*x + y*y)", lambda m, x, y: m.sqrt(x * x + y * y),
         (Near(1e-250, 1e250), Near(1e-250, 1e250))),
    Case("norm of a vector", lambda m, x: m.sqrt(m.sum(x * x)), (Near(1e-200, 1e200),), 4),
    Case("sinh by exponentials", lambda m, x: (m.exp(x) - m.exp(-x)) / 2, (WIDE,)),
    Case("cosh by exponentials", lambda m, x: (m.exp(x) + m.exp(-x)) / 2, (WIDE,)),
    Case("tanh by exponentials",
         lambda m, x: (m.exp(x) - m.exp(-x)) / (m.exp(x) + m.exp(-x)), (HUGE,)),
    Case("tanh by one exponential",
         lambda m, x: (m.exp(2 * x) - 1) / (m.exp(2 * x) + 1), (HUGE,)),
    Case("log(cosh(x))", lambda m, x: m.log(m.cosh(x)), (HUGE,)),
    Case("x**2 - y**2", lambda m, x, y: x**2 - y**2,
         (Near(1e-9, 1e-3, about=1.0), Near(1e-9, 1e-3, about=1.0))),
    Case("1 - x**2 near 1", lambda m, x: 1 - x**2, (Near(1e-15, 0.1, about=1.0),)),
    Case("x * log(x) down to 0", lambda m, x: x * m.log(x), (Near(1e-300, 10.0, signs="+"),)),
    Case("log(prod(x))", lambda m, x: m.log(m.prod(x)), (Near(1e-80, 1e80, signs="+"),), 16),
    Case("log(x * y)", lambda m, x, y: m.log(x * y),
         (Near(1e-250, 1e250, signs="+"), Near(1e-250, 1e250, signs="+"))),
    Case("log(x / y)", lambda m, x, y: m.log(x / y),
         (Near(1e-250, 1e250, signs="+"), Near(1e-250, 1e250, signs="+"))),
    Case("1 - erf(x)", lambda m, x: 1 - m.erf(x), (Near(1e-8, 26.0),)),
    Case("log(erfc(x))", lambda m, x: m.log(m.erfc(x)), (Near(1e-8, 40.0),)),
    Case("normal's log distribution",
         lambda m, x: m.log(0.5 * (1 + m.erf(x / 1.4142135623730951))), (Near(1e-8, 40.0),)),
    Case("sin(x) / x", lambda m, x: m.sin(x) / x, (Near(1e-300, 30.0),)),
    Case("variance by moments", _variance, (Near(1e-3, 1.0, about=1e6),), 16),
    Case("root of a quadratic", _quadratic,
         (Near(1.0, 1e9, signs="+"), Near(1e-9, 0.2, signs="+"))),
    Case("log(1 + x) - log(1 - x)", lambda m, x: m.log(1 + x) - m.log(1 - x), (Near(1e-18, 0.9),)),
    Case("exp(x) - exp(-x)", lambda m, x: m.exp(x) - m.exp(-x), (WIDE,)),
    Case("exp(x) / (exp(x) - 1)", lambda m, x: m.exp(x) / (m.exp(x) - 1), (HUGE,)),
    Case("(1 + 1/n)**n", lambda m, n: (1 + 1 / n) ** n, (Near(1.0, 1e15, signs="+"),)),
    Case("exp(a) * exp(b)", lambda m, a, b: m.exp(a) * m.exp(b),
         (Near(1.0, 1000.0, signs="+"), Near(1.0, 1000.0, signs="-"))),
    Case("exp(a) / exp(b)", lambda m, a, b: m.exp(a) / m.exp(b),
         (Near(700.0, 1000.0, signs="+"), Near(700.0, 1000.0, signs="+"))),
    Case("log(1 + exp(-x)) + x", lambda m, x: m.log(1 + m.exp(-x)) + x, (HUGE,)),
    Case("cbrt(x + 1) - cbrt(x)", lambda m, x: m.cbrt(x + 1) - m.cbrt(x), (POSITIVE,)),
    Case("atan(x + 1) - atan(x)", lambda m, x: m.arctan(x + 1) - m.arctan(x), (POSITIVE,)),
    Case("1/sqrt(x) - 1/sqrt(x + 1)", lambda m, x: 1 / m.sqrt(x) - 1 / m.sqrt(x + 1), (POSITIVE,)),
    Case("1/(x + 1) - 2/x + 1/(x - 1)", lambda m, x: 1 / (x + 1) - 2 / x + 1 / (x - 1),
         (Near(1.5, 1e12),)),
    Case("exp(x) - 2 + exp(-x)", lambda m, x: m.exp(x) - 2 + m.exp(-x), (WIDE,)),
    Case("sin(x + e) - sin(x)", lambda m, x, e: m.sin(x + e) - m.sin(x), (ANGLE, STEP)),
    Case("cos(x + e) - cos(x)", lambda m, x, e: m.cos(x + e) - m.cos(x), (ANGLE, STEP)),
    Case("sin(x + e) - sin(x - e)", lambda m, x, e: m.sin(x + e) - m.sin(x - e), (ANGLE, STEP)),
    Case("cos(x + e) - cos(x - e)", lambda m, x, e: m.cos(x + e) - m.cos(x - e), (ANGLE, STEP)),
    Case("cbrt(x + y) - cbrt(x + 1)", lambda m, x, y: m.cbrt(x + y) - m.cbrt(x + 1),
         (POSITIVE, Near(1e-12, 0.5, 1.0))),
    Case("tan(x + e) - tan(x)", lambda m, x, e: m.tan(x + e) - m.tan(x), (ANGLE, STEP)),
    Case("1/x - cot(x)", lambda m, x: 1 / x - 1 / m.tan(x), (Near(1e-9, 1.5),)),
    Case("(1 - cos(x)) / sin(x)", lambda m, x: (1 - m.cos(x)) / m.sin(x), (Near(1e-12, 3.0),)),
    Case("(x - sin(x)) / (x - tan(x))", lambda m, x: (x - m.sin(x)) / (x - m.tan(x)),
         (Near(1e-9, 1.2),)),
    Case("(n+1) log(n+1) - n log(n) - 1",
         lambda m, n: (n + 1) * m.log(n + 1) - n * m.log(n) - 1, (Near(1.0, 1e15, signs="+"),)),
    Case("(x + 1)**(1/n) - x**(1/n)", lambda m, x, n: (x + 1) ** (1 / n) - x ** (1 / n),
         (POSITIVE, Near(1.0, 50.0, signs="+"))),
    Case("log((1 + x) / (1 - x))", lambda m, x: m.log((1 + x) / (1 - x)), (Near(1e-18, 0.9),)),
    Case("sqrt(1 + x) - sqrt(1 - x)", lambda m, x: m.sqrt(1 + x) - m.sqrt(1 - x),
         (Near(1e-18, 0.9),)),
    Case("exp(x + e) - exp(x)", lambda m, x, e: m.exp(x + e) - m.exp(x), (Near(0.01, 10.0), STEP)),
    Case("log(x + sqrt(x*x + 1))", lambda m, x: m.log(x + m.sqrt(x * x + 1)),
         (Near(1e-18, 1e200),)),
    Case("acos(1 - x)", lambda m, x: m.arccos(1 - x), (Near(1e-18, 0.9, signs="+"),)),
    Case("a root of a x^2 + b x + c",
         lambda m, a, b, c: (-b + m.sqrt(b * b - 4 * a * c)) / (2 * a), (COEFFICIENT,) * 3),
    Case("the other root", lambda m, a, b, c: (-b - m.sqrt(b * b - 4 * a * c)) / (2 * a),
         (COEFFICIENT,) * 3),
    Case("sqrt(x*x + y*y + z*z)", lambda m, x, y, z: m.sqrt(x * x + y * y + z * z),
         (Near(1e-250, 1e250),) * 3),
    Case("sqrt(x*x - y*y)", lambda m, x, y: m.sqrt(x * x - y * y),
         (Near(1e100, 1e250), Near(1e-250, 1e99))),
)  # fmt: skip
