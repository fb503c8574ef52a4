"""Derivatives by parameters that have no closed form, as series and continued fractions.

``gammainc_log_slope(a, x)`` is d log(S) / da for x <= a + 1, where S is the series of gammainc, and
d log(C) / da beyond, where C is the continued fraction of gammaincc. ``betainc_log_slope(p, q, u,
t)`` is the derivative of the logarithm of betainc's continued fraction by p (t = 1) or q (t = 0),
for u <= (p + 1)/(p + q + 2). ``hyp2f1_da`` and ``hyp2f1_dc`` are derivatives of hyp2f1(a, b, c, z)
for z < 1 by the series. All by recurrences on pairs (value, derivative); R. J. Boik, J. F.
Robison-Cox, Derivatives of the incomplete beta function, 1998; DLMF 8.9.2, 8.11.4, 8.17.22, 15.2.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

EPSILON = 2.0**-54
ROUNDS = 40000
LARGEST = 1e7  # parameters, for which so many rounds are enough; NaN beyond
LOST = 2.0**-33  # of the greatest term: a sum of less than that has cancelled; NaN
OUTERMOST = 0.999  # ... and arguments of hyp2f1, after Pfaff's transformation
Pair = tuple[Any, Any]  # a value and its derivative


def _in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """Broadcast, compute in float64, return the operands' dtype."""

    def call(*operands: Any) -> Any:
        wide = np.broadcast_arrays(*(np.asarray(x, "float64") for x in operands))
        with np.errstate(all="ignore"):
            return np.asarray(function(*wide)).astype(np.result_type(*operands))[()]

    return call


def mul(a: Pair, b: Pair) -> Pair:
    return a[0] * b[0], a[0] * b[1] + a[1] * b[0]


def quotient(a: Pair, b: Pair) -> Pair:
    q = a[0] / b[0]
    return q, (a[1] - q * b[1]) / b[0]


def _series(a: Any, x: Any) -> Any:
    """d log(1 + x/(a+1) + x^2/((a+1)(a+2)) + ...) / da."""
    term, slope = np.ones_like(a), np.zeros_like(a)
    total, total_slope = term, slope
    for n in range(1, ROUNDS):
        factor = x / (a + n)
        slope = (slope - term / (a + n)) * factor
        term = term * factor
        total, total_slope = total + term, total_slope + slope
        if np.all(abs(slope) <= EPSILON * abs(total_slope)):
            break
    return total_slope / total


def _fraction(a: Any, x: Any) -> Any:
    """d log(C) / da, C = 1/(x+1-a - 1(1-a)/(x+3-a - ...)), by Lentz's method."""
    c: Pair = (np.full_like(a, 1e300), np.zeros_like(a))
    b = x + 1 - a
    d: Pair = (1 / b, 1 / (b * b))
    total = d[1] / d[0]
    for n in range(1, ROUNDS):
        step, b = (n * (a - n), np.full_like(a, float(n))), b + 2
        ratio = quotient(step, c)
        c = b + ratio[0], ratio[1] - 1
        under = mul(step, d)
        d = quotient((1.0, 0.0), (b + under[0], under[1] - 1))
        change = c[1] / c[0] + d[1] / d[0]
        total = total + change
        if np.all(abs(change) <= EPSILON * abs(total)):
            break
    return total


@_in_float64
def gammainc_log_slope(a: Any, x: Any) -> Any:
    good = (a > 0) & (x > 0) & (a <= LARGEST) & np.isfinite(x)
    low = x <= a + 1
    first = _series(np.where(good & low, a, 1.0), np.where(good & low, x, 0.5))
    second = _fraction(np.where(good & ~low, a, 1.0), np.where(good & ~low, x, 3.0))
    return np.where(good, np.where(low, first, second), np.nan)


@_in_float64
def betainc_log_slope(p: Any, q: Any, u: Any, t: Any) -> Any:
    good = (p > 0) & (q > 0) & (u >= 0) & (u < 1) & (p <= LARGEST) & (q <= LARGEST)
    p, q, u = np.where(good, p, 1.0), np.where(good, q, 1.0), np.where(good, u, 0.0)
    dp, dq = t, 1 - t
    c: Pair = (np.ones_like(p), np.zeros_like(p))
    d: Pair = (np.zeros_like(p), np.zeros_like(p))
    total = np.zeros_like(p)
    for m in range(ROUNDS):
        if m:
            top = (m * (q - m) * u, m * u * dq)
            under = mul((p + (2 * m - 1), dp), (p + 2 * m, dp))
            c, d, first = _lentz(quotient(top, under), c, d)
        else:
            first = np.zeros_like(p)
        top = mul((p + m, dp), (p + q + m, dp + dq))
        under = mul((p + 2 * m, dp), (p + (2 * m + 1), dp))
        c, d, second = _lentz(quotient((-top[0] * u, -top[1] * u), under), c, d)
        change = first + second
        total = total + change
        if m > 1 and np.all(abs(change) <= EPSILON * abs(total)):
            break
    return np.where(good, -total, np.nan)  # the fraction stands in a denominator


def _lentz(step: Pair, c: Pair, d: Pair) -> tuple[Pair, Pair, Any]:
    """One step of 1 + step/(1 + ...): the new c and d, and how much the logarithm's slope grows."""
    ratio = quotient(step, c)
    c = 1 + ratio[0], ratio[1]
    under = mul(step, d)
    d = quotient((1.0, 0.0), (1 + under[0], under[1]))
    return c, d, c[1] / c[0] + d[1] / d[0]


def _hypergeometric(a: Any, b: Any, c: Any, z: Any, da: float, dc: float) -> Any:
    """The derivative along (da, 0, dc). Negative z by Pfaff: (1-z)^-b F(c-a, b, c, z/(z-1))."""
    good = (z <= OUTERMOST) & (z >= -OUTERMOST / (1 - OUTERMOST))
    good &= np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
    mirrored = good & (z < 0)
    first = np.where(good, np.where(mirrored, c - a, a), 1.0)
    slope_of_first = np.where(mirrored, dc - da, da)
    b, c = np.where(good, b, 1.0), np.where(good, c, 1.0)
    w = np.where(good, np.where(mirrored, z / (z - 1), z), 0.0)
    term, slope = np.ones_like(w), np.zeros_like(w)
    total, greatest = np.zeros_like(w), np.zeros_like(w)
    settled = np.zeros(w.shape, bool)
    for n in range(ROUNDS):
        factor = (b + n) * w / (n + 1)
        top = mul((term, slope), (first + n, slope_of_first))
        term, slope = quotient((top[0] * factor, top[1] * factor), (c + n, dc))
        total = total + slope
        greatest = np.maximum(greatest, abs(slope))
        settled = ((abs(slope) <= EPSILON * abs(total)) & (n > 2)) | ~np.isfinite(slope)
        if np.all(settled):
            break
    scale = np.where(mirrored, np.power(1 - np.where(mirrored, z, 0.0), -b), 1.0)
    good = good & settled & np.isfinite(total) & (abs(total) >= LOST * greatest)
    return np.where(good, total * scale, np.nan)


@_in_float64
def hyp2f1_da(a: Any, b: Any, c: Any, z: Any) -> Any:
    return _hypergeometric(a, b, c, z, 1.0, 0.0)


@_in_float64
def hyp2f1_dc(a: Any, b: Any, c: Any, z: Any) -> Any:
    return _hypergeometric(a, b, c, z, 0.0, 1.0)


SLOPES: dict[str, tuple[int, Callable[..., Any]]] = {
    "gammainc_log_slope": (2, gammainc_log_slope),
    "betainc_log_slope": (4, betainc_log_slope),
    "hyp2f1_da": (4, hyp2f1_da),
    "hyp2f1_dc": (4, hyp2f1_dc),
}
