"""References for j0 and j1: long doubles that err by some 2^-60 of the function's envelope, mpmath
far out, and the doubles next to zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mpmath
import numpy as np

Array = Any
LONG = np.longdouble
_SERIES, _HANKEL = 2.0, 25.0  # where the ways change
_START = 80  # of the recurrence downwards


def j0(x: Array) -> Array:
    return _j(0, x)


def j1(x: Array) -> Array:
    return _j(1, x)


def _j(order: int, x: Array) -> Array:
    a, y = abs(x), np.zeros_like(x)
    low, high = a <= _SERIES, (a > _HANKEL) & np.isfinite(a)
    middle = (a > _SERIES) & (a <= _HANKEL)
    y[low] = _series(order, a[low])
    y[middle] = _recurrence(order, a[middle])
    y[high] = _hankel(order, a[high])
    y[np.isnan(x)] = np.nan
    return np.where(np.signbit(x), -y, y) if order else y


def _series(order: int, x: Array) -> Array:
    z, term, total = -x * x / 4, np.ones_like(x), np.ones_like(x)
    for k in range(1, 16):
        term = term * z / (k * (k + order))
        total = total + term
    return total * x / 2 if order else total


def _recurrence(order: int, x: Array) -> Array:
    """J_(n-1) = 2 n/x J_n - J_(n+1) downwards, and J0 + 2 J2 + 2 J4 + ... = 1 (J. C. P. Miller)."""
    above, here = np.zeros_like(x), np.full_like(x, LONG(2) ** -400)
    total, first = np.zeros_like(x), here
    for n in range(_START, 0, -1):
        above, here = here, 2 * n / x * here - above
        if n % 2:
            total = total + (here if n == 1 else 2 * here)
        if n == 2:
            first = here
    return (first if order else here) / total


def _hankel(order: int, x: Array) -> Array:
    """Hankel's expansion (DLMF 10.17.3)."""
    even, odd, term = np.ones_like(x), np.zeros_like(x), np.ones_like(x)
    for k in range(1, 31):
        term = term * (4 * order - (2 * k - 1) ** 2) / (8 * k * x)
        sign = -1 if k % 4 in (2, 3) else 1
        even, odd = (even, odd + sign * term) if k % 2 else (even + sign * term, odd)
    s, c = np.sin(x), np.cos(x)
    wave = even * (s - c) + odd * (s + c) if order else even * (s + c) - odd * (s - c)
    return wave / np.sqrt(x) / np.sqrt(LONG("3.14159265358979323846264338327950288"))


def exact(order: int, x: Any) -> Any:
    """By mpmath, far out by Hankel's expansion with digits for all of x."""
    if abs(x) < 1000:
        with mpmath.workdps(80):  # near a zero 20 digits cancel
            return mpmath.besselj(order, x)
    a = abs(x)
    with mpmath.workdps(90 + int(mpmath.log10(a))):
        even, odd, term = mpmath.mpf(1), mpmath.mpf(0), mpmath.mpf(1)
        for k in range(1, 40):
            term *= (4 * order - (2 * k - 1) ** 2) / (8 * k * a)
            sign = -1 if k % 4 in (2, 3) else 1
            even, odd = (even, odd + sign * term) if k % 2 else (even + sign * term, odd)
        angle = a - mpmath.pi / 4 - order * mpmath.pi / 2
        wave = even * mpmath.cos(angle) - odd * mpmath.sin(angle)
        value = wave * mpmath.sqrt(2 / (mpmath.pi * a))
        return -value if x < 0 and order else value


def near_zeros(order: int, count: int, rng: np.random.Generator) -> Iterator[float]:
    """The two doubles around zeros: the first thirty, then others up to 1e6 and up to 1e15."""
    few = np.arange(1, 31)
    many = [np.exp(rng.uniform(np.log(30), np.log(end), count // 2)) for end in (3e5, 3e14)]
    for k in np.concatenate([few, *(np.round(m) for m in many)]).astype(np.int64):
        with mpmath.workdps(60):
            zero = float(_zero(order, int(k)))
        yield zero
        yield float(np.nextafter(zero, np.inf))
        yield float(np.nextafter(zero, 0))


def _zero(order: int, k: int) -> Any:
    """By McMahon's expansion (DLMF 10.21.19), and Newton's method where that is not enough."""
    if k <= 30:
        return mpmath.besseljzero(order, k)
    m = 4 * order
    b = (k + mpmath.mpf(order) / 2 - mpmath.mpf(1) / 4) * mpmath.pi * 8
    series = [(m - 1), 4 * (m - 1) * (7 * m - 31) / mpmath.mpf(3),
              32 * (m - 1) * (83 * m**2 - 982 * m + 3779) / mpmath.mpf(15)]  # fmt: skip
    return b / 8 - sum(c / b ** (2 * i + 1) for i, c in enumerate(series))
