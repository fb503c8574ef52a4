"""What the vector functions are compared with.

``wide`` is the fast reference: doubles for float32, and for float64 80-bit long doubles, of the C
library where it has the function (extended.py, bessel.py for the others). ``exact`` is mpmath's:
the places where the fast reference sees the largest errors are measured again with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import scipy.special as special

from benchmarks.accuracy import bessel, extended

Array = Any
LONG = np.longdouble


def _sigmoid(x: Array) -> Array:
    e = np.exp(-abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def _softplus(x: Array) -> Array:
    return np.where(x < 0, 0, x) + np.log1p(np.exp(-abs(x)))


# in the precision of their argument
ELEMENTARY: dict[str, Callable[..., Array]] = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log1p": np.log1p,
    "log2": np.log2, "log10": np.log10, "sigmoid": _sigmoid, "softplus": _softplus,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "atan2": np.arctan2, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "cbrt": np.cbrt,
    "pow": np.power,
}  # fmt: skip
# in doubles, for float32
SPECIAL: dict[str, Callable[..., Array]] = {
    "erf": special.erf, "erfc": special.erfc, "erfcx": special.erfcx, "erfinv": special.erfinv,
    "erfcinv": special.erfcinv, "ndtr": special.ndtr, "ndtri": special.ndtri,
    "gamma": special.gamma, "lgamma": special.gammaln, "digamma": special.digamma,
    "trigamma": lambda x: extended.trigamma(x.astype(LONG)).astype(np.float64),
    "i0": special.i0, "i1": special.i1, "i0e": special.i0e, "i1e": special.i1e, "k0": special.k0,
    "k1": special.k1, "k0e": special.k0e, "k1e": special.k1e,
}  # fmt: skip
# in long doubles, for float64
EXTENDED: dict[str, Callable[..., Array]] = {
    "erf": extended.erf, "erfc": extended.erfc, "erfcx": extended.erfcx, "erfinv": extended.erfinv,
    "erfcinv": extended.erfcinv, "ndtr": extended.ndtr, "ndtri": extended.ndtri,
    "gamma": extended.gamma, "lgamma": extended.lgamma, "digamma": extended.digamma,
    "trigamma": extended.trigamma,
    **{f"i{k}{e}": extended.modified_first(k, bool(e)) for k in (0, 1) for e in ("", "e")},
    **{f"k{k}{e}": extended.modified_second(k, bool(e)) for k in (0, 1) for e in ("", "e")},
}  # fmt: skip
# in long doubles, relative to the envelope: bessel.py
WAVES: dict[str, Callable[..., Array]] = {"j0": bessel.j0, "j1": bessel.j1}
NAMES = (*ELEMENTARY, *SPECIAL, *WAVES)
GOAL = dict.fromkeys(ELEMENTARY, 1.0) | dict.fromkeys((*SPECIAL, *WAVES), 4.0)
PAIRS = ("atan2", "pow")
# left of 0 these have zeros between their poles, where the terms of the reflection cancel: there an
# error is relative to at least this term, in the same precision
TERM: dict[str, Callable[[Array], Array]] = {
    "lgamma": lambda x: 1 + special.gammaln(1 - x),
    "digamma": lambda x: abs(special.digamma(1 - x)),
}


def _inverse_of_erfc(y: Any) -> Any:
    """The inverse of erfc by Newton's method on the logarithm."""
    if y > 1:
        return -_inverse_of_erfc(2 - y)
    if y > 0.1:
        return mpmath.erfinv(1 - y)
    x = mpmath.mpf(min(float(special.erfcinv(float(y))), 27.0))
    for _ in range(6):
        e = mpmath.erfc(x)
        x += (mpmath.log(e) - mpmath.log(y)) * e * mpmath.sqrt(mpmath.pi) / 2 * mpmath.exp(x * x)
    return x


def _scaled(function: Any, order: int, sign: int) -> Any:
    """exp(-x) I(x) or exp(x) K(x); far out by Hankel's series (DLMF 10.40)."""

    def value(x: Any) -> Any:
        if abs(x) < 2000:
            return mpmath.exp(sign * abs(x)) * function(order, x)
        total = term = mpmath.mpf(1)
        for k in range(1, 30):
            term *= sign * (4 * order**2 - (2 * k - 1) ** 2) / (8 * k * abs(x))
            total += term
        lead = 1 / mpmath.sqrt(2 * mpmath.pi * abs(x)) * (1 if x > 0 or not order else -1)
        return total * (lead if sign < 0 else lead * mpmath.pi)

    return value


def _erfcx(x: Any) -> Any:
    if x < 1000:
        return mpmath.exp(x * x) * mpmath.erfc(x)
    total = term = mpmath.mpf(1)
    for k in range(1, 20):
        term *= -(2 * k - 1) / (2 * x * x)
        total += term
    return total / (x * mpmath.sqrt(mpmath.pi))


def _trigamma(x: Any) -> Any:
    """By recurrence and Stirling's series (DLMF 5.15.8); mpmath's own takes long far out."""
    if x < 0:
        return (mpmath.pi / mpmath.sinpi(x)) ** 2 - _trigamma(1 - x)
    passed = mpmath.mpf(0)
    while x < 50:
        passed += 1 / x**2
        x += 1
    series = sum(mpmath.bernoulli(2 * k) / x ** (2 * k + 1) for k in range(1, 50))
    return passed + 1 / x + 1 / (2 * x * x) + series


AT_INFINITY = {"i0": "inf", "i1": "inf", "j0": 0, "j1": 0}
# where a function is 0 for certain, and mpmath would take forever
VANISHES: dict[str, Callable[[float], bool]] = {
    "gamma": lambda x: x < -190, "erfc": lambda x: x > 30, "ndtr": lambda x: x < -40,
    "k0": lambda x: x > 800, "k1": lambda x: x > 800,
}  # fmt: skip


EXACT: dict[str, Callable[..., Any]] = {
    "exp2": lambda x: mpmath.power(2, x),
    "log2": lambda x: mpmath.log(x) / mpmath.log(2),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
    "pow": mpmath.power,
    "lgamma": lambda x: mpmath.loggamma(x).real,
    "trigamma": _trigamma,
    "erfcx": _erfcx,
    "erfcinv": _inverse_of_erfc,
    "ndtr": mpmath.ncdf,
    "ndtri": lambda p: -mpmath.sqrt(2) * _inverse_of_erfc(2 * p),
    **{f"i{k}": lambda x, k=k: mpmath.besseli(k, x) for k in (0, 1)},
    **{f"j{k}": lambda x, k=k: bessel.exact(k, x) for k in (0, 1)},
    **{f"k{k}": lambda x, k=k: mpmath.besselk(k, x) for k in (0, 1)},
    **{f"i{k}e": _scaled(mpmath.besseli, k, -1) for k in (0, 1)},
    **{f"k{k}e": _scaled(mpmath.besselk, k, 1) for k in (0, 1)},
}


def wide(name: str, xs: tuple[Array, ...], dtype: str) -> Array:
    """The fast reference: doubles for float32, long doubles for float64."""
    with np.errstate(all="ignore"):
        if name in WAVES:
            return WAVES[name](xs[0].astype(LONG))
        if name in SPECIAL and dtype == "float64":
            return EXTENDED[name](xs[0].astype(LONG))
        if name in SPECIAL:
            return SPECIAL[name](*(x.astype(np.float64) for x in xs))
        kind = np.float64 if dtype == "float32" else LONG
        return ELEMENTARY[name](*(x.astype(kind) for x in xs))


def least_size(name: str, x: Array) -> Array:
    """What an error of the fast reference is at least relative to."""
    if name in WAVES:  # near zeros it has no relative accuracy
        return np.where(abs(x) > 2, np.sqrt(2 / np.pi / abs(x.astype(LONG))), 0)
    if name in TERM:
        return np.where(x < 0, TERM[name](np.minimum(x, 0).astype(np.float64)), 0)
    return 0.0


def exact(name: str, xs: tuple[float, ...]) -> Any:
    """The value by mpmath with 60 digits."""
    with mpmath.workdps(60):
        if np.isinf(xs[0]) and name in AT_INFINITY:  # SciPy has NaN there
            return mpmath.mpf(AT_INFINITY[name])
        if name in VANISHES and VANISHES[name](xs[0]):
            return mpmath.mpf(0)
        function = EXACT.get(name) or getattr(mpmath, name)
        return function(*(mpmath.mpf(float(x)) for x in xs))


def exact_error(name: str, xs: tuple[float, ...], got: float, dtype: str) -> float:
    """The error of a result in units of the last place of the true value."""
    info = np.finfo(dtype)
    with mpmath.workdps(60):
        true = exact(name, xs)
        if np.isinf(xs[0]) and name in AT_INFINITY:
            return 0.0 if abs(got) == abs(float(true)) else 1e9
        if abs(true) > mpmath.mpf(float(info.max)):
            return 0.0 if np.isinf(got) or abs(got) == info.max else 1e9
        if not np.isfinite(got):
            beyond = abs(true) > mpmath.mpf(float(info.max)) * (1 - mpmath.mpf(2) ** -60)
            return 0.0 if beyond else 1e9
        size = abs(true)
        if name in TERM and xs[0] < 0:
            size = max(size, mpmath.mpf(float(TERM[name](np.float64(xs[0])))))
        unit = mpmath.ldexp(1, max(int(mpmath.frexp(size)[1]) - 1, info.minexp) - info.nmant)
        return float(abs(mpmath.mpf(float(got)) - true) / unit)
