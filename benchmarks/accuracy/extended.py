"""References for the special functions in 80-bit long doubles: erf, erfc, gamma and lgamma of the C
library, the others by series, recurrences and Newton's method. They err by some 2^-60, a hundredth
of what is measured with them; where one is worse, mpmath has the last word (measure.py).
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as special

from symgraph.codegen import llvm

Array = Any
LONG = np.longdouble
PI = LONG("3.14159265358979323846264338327950288")
_ROOT_PI = np.sqrt(PI)
_ROOT_HALF = np.sqrt(LONG(1) / 2)
_ROOT_HALF_LOW = LONG(1.8950325588932572e-20)  # what it lacks
_FAR = 16.0  # digamma and trigamma by their expansions from here
# B_2k for k = 1 to 12
_BERNOULLI = [LONG(n) / d for n, d in (
    (1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510),
    (43867, 798), (-174611, 330), (854513, 138), (-236364091, 2730),
)]  # fmt: skip


@functools.cache
def _library(name: str) -> Callable[[Array], Array]:
    """A function of the C library over arrays of long doubles."""
    text = f"""
declare x86_fp80 @{name}(x86_fp80)
define void @loop(ptr %o, ptr %x, i64 %n) {{
entry:
  %some = icmp sgt i64 %n, 0
  br i1 %some, label %head, label %done
head:
  %i = phi i64 [ 0, %entry ], [ %next, %head ]
  %at = getelementptr x86_fp80, ptr %x, i64 %i
  %to = getelementptr x86_fp80, ptr %o, i64 %i
  %v = load x86_fp80, ptr %at, align 16
  %r = call x86_fp80 @{name}(x86_fp80 %v)
  store x86_fp80 %r, ptr %to, align 16
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %head, label %done
done:
  ret void
}}
"""
    loaded = llvm.load_orc(llvm.compile_object(text), ["loop"])
    types = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    native = ctypes.CFUNCTYPE(None, *types)(loaded.address("loop"))

    def run(x: Array, keep: Any = loaded) -> Array:
        x = np.ascontiguousarray(x, LONG)
        y = np.empty_like(x)
        native(y.ctypes.data, x.ctypes.data, x.size)
        return y

    return run


def _pieces(x: Array, *ways: tuple[Array, Callable[[Array], Array]]) -> Array:
    """Each way where its mask holds; NaN where none does."""
    y = np.full(x.shape, np.nan, LONG)
    for mask, way in ways:
        if mask.any():
            y[mask] = way(x[mask])
    return y


def _halves(x: Array) -> tuple[Array, Array]:
    """Doubles as sums of two numbers of 26 bits."""
    high = (x.astype(np.float64).view(np.int64) & ~((1 << 27) - 1)).view(np.float64).astype(LONG)
    return high, x - high


# errors and normal numbers ------------------------------------------------------------------------


def erf(x: Array) -> Array:
    return _library("erfl")(x)


def erfc(x: Array) -> Array:
    return _library("erfcl")(x)


def erfcx(x: Array) -> Array:
    def product(x: Array) -> Array:
        high, low = _halves(x)
        square, rest = high * high, 2 * high * low
        total = square + rest
        return np.exp(total) * (1 + (rest - (total - square)) + low * low) * erfc(x)

    def series(x: Array) -> Array:
        term, total = np.ones_like(x), np.ones_like(x)
        for k in range(1, 13):
            term = -term * (2 * k - 1) / (2 * x * x)
            total = total + term
        return total / x / _ROOT_PI

    return _pieces(x, (x <= 50, product), (x > 50, series))


def ndtr(x: Array) -> Array:
    high, low = _halves(x)
    factor = LONG(np.float32(_ROOT_HALF))
    first = -high * factor
    rest = -low * factor - x * (_ROOT_HALF - factor) - x * _ROOT_HALF_LOW
    h = first + rest
    lost = rest - (h - first)
    return (erfc(h) - 2 / _ROOT_PI * np.exp(-h * h) * np.where(np.isfinite(lost), lost, 0)) / 2


def _inverse_tail(t: Array) -> Array:
    """The inverse of erfc on (0, 1]."""
    y = special.erfcinv(np.maximum(t, 1e-290).astype(np.float64)).astype(LONG)
    y = np.where(t < 1e-290, LONG(25.8) + (LONG(-667) - np.log(t)) / 52, y)
    for _ in range(4):
        y = y + np.log(erfc(y) / t) * erfcx(y) * _ROOT_PI / 2
    return y


def erfinv(x: Array) -> Array:
    def middle(x: Array) -> Array:
        y = special.erfinv(x.astype(np.float64)).astype(LONG)
        return y - (erf(y) - x) * _ROOT_PI / 2 * np.exp(y * y)

    a = abs(x)
    y = _pieces(a, (a < 0.5, middle), ((a >= 0.5) & (a < 1), lambda v: _inverse_tail(1 - v)),
                (a == 1, lambda v: v * np.inf))  # fmt: skip
    return np.copysign(y, x)


def erfcinv(t: Array) -> Array:
    return _pieces(t, (t == 0, lambda v: v + np.inf), (t == 2, lambda v: v - np.inf),
                   ((t > 0) & (t < 0.5), _inverse_tail),
                   ((t >= 0.5) & (t <= 1.5), lambda v: erfinv(1 - v)),
                   ((t > 1.5) & (t < 2), lambda v: -_inverse_tail(2 - v)))  # fmt: skip


def ndtri(p: Array) -> Array:
    return np.where(p > 0.5, erfcinv(2 * (1 - p)), -erfcinv(2 * p)) / _ROOT_HALF + 0


# gamma --------------------------------------------------------------------------------------------


def gamma(x: Array) -> Array:
    return np.where((x < 0) & (np.rint(x) == x), np.nan, _library("tgammal")(x))


def lgamma(x: Array) -> Array:
    return _library("lgammal")(x)


def _raised(x: Array, power: int) -> tuple[Array, Array]:
    """(x raised to at least 16, the sum of 1/(x + k)^power passed on the way)."""
    total = np.zeros_like(x)
    for _ in range(int(_FAR)):
        low = x < _FAR
        total = np.where(low, total + (1 / x if power == 1 else 1 / x / x), total)
        x = np.where(low, x + 1, x)
    return x, total


def _sum_in(coefficients: list[Any], w: Array) -> Array:
    """The sum of coefficient k times w^(k+1)."""
    total = np.zeros_like(w)
    for c in reversed(coefficients):
        total = (total + c) * w
    return total


def digamma(x: Array) -> Array:
    def right(x: Array) -> Array:
        a, passed = _raised(x, 1)
        series = _sum_in([c / (2 * k + 2) for k, c in enumerate(_BERNOULLI)], 1 / a / a)
        return np.where(np.isinf(x), x, np.log(a) - 1 / (2 * a) - series - passed)

    def left(x: Array) -> Array:
        r = x - np.rint(x)
        y = right(1 - x) - PI * np.cos(PI * r) / np.sin(PI * r)
        return np.where((r == 0) | np.isinf(x), np.nan, y)

    y = _pieces(x, (x > 0, right), (x < 0, left))
    return np.where(x == 0, -np.copysign(LONG(np.inf), x), y)


def trigamma(x: Array) -> Array:
    def right(x: Array) -> Array:
        a, passed = _raised(x, 2)
        series = _sum_in(_BERNOULLI, 1 / a / a) / a
        return passed + 1 / a + 1 / (2 * a * a) + series

    def left(x: Array) -> Array:
        r = x - np.rint(x)
        return np.where((r == 0) | np.isinf(x), np.inf, (PI / np.sin(PI * r)) ** 2 - right(1 - x))

    return _pieces(x, (x > 0, right), (x < 0, left), (x == 0, lambda v: v + np.inf))


# modified Bessel functions ------------------------------------------------------------------------


def _hankel(order: int, x: Array, sign: int) -> Array:
    """1 + sign a_1/x + a_2/x^2 + ... of DLMF 10.40.1 and 10.40.2."""
    term, total = np.ones_like(x), np.ones_like(x)
    for k in range(1, 40):
        term = term * sign * (4 * order - (2 * k - 1) ** 2) / (8 * k * x)
        total = total + term
    return total


def _power_series(order: int, x: Array) -> Array:
    term, z = np.ones_like(x), x * x / 4
    total = term
    for k in range(1, 75):
        term = term * z / (k * (k + order))
        total = total + term
    return total * x / 2 if order else total


def modified_first(order: int, scaled: bool) -> Callable[[Array], Array]:
    """I_0 or I_1, times e^-|x| if scaled."""

    def low(a: Array) -> Array:
        return _power_series(order, a) * (np.exp(-a) if scaled else 1)

    def high(a: Array) -> Array:
        y = _hankel(order, a, -1) / np.sqrt(2 * PI * a)
        y = y if scaled else y * np.exp(a)
        return np.where(np.isinf(a), 0 if scaled else np.inf, y)

    def value(x: Array) -> Array:
        a = abs(x)
        y = _pieces(a, (a <= 30, low), (a > 30, high))
        return np.copysign(y, x) if order else y

    return value


def modified_second(order: int, scaled: bool) -> Callable[[Array], Array]:
    """K_0 or K_1, times e^x if scaled."""

    def low(x: Array) -> Array:
        """DLMF 10.31."""
        z, logarithm = x * x / 4, np.log(x / 2)
        euler = LONG("0.57721566490153286060651209008240243")
        term, total = np.ones_like(x), np.zeros_like(x)
        harmonic = -euler
        for k in range(30):
            inner = harmonic + (harmonic + LONG(1) / (k + 1)) if order else harmonic
            total = total + term * inner
            harmonic = harmonic + LONG(1) / (k + 1)
            term = term * z / ((k + 1) * (k + 1 + order))
        first = logarithm * _power_series(order, x)
        y = 1 / x + first - x / 4 * total if order else total - first
        return y * (np.exp(x) if scaled else 1)

    def middle(x: Array) -> Array:
        """The integral of e^(-x (cosh t - 1)) cosh(order t) by the trapezoidal rule."""
        step, total = (
            np.minimum(LONG("0.18"), LONG("0.5") / np.sqrt(x)),
            np.full_like(x, LONG(1) / 2),
        )
        for k in range(1, 26):
            t = k * step
            weight = np.cosh(t) if order else LONG(1)
            total = total + np.exp(-2 * x * np.sinh(t / 2) ** 2) * weight
        return total * step * (1 if scaled else np.exp(-x))

    def high(x: Array) -> Array:
        y = _hankel(order, x, 1) * np.sqrt(PI / (2 * x))
        return np.where(np.isinf(x), 0, y if scaled else y * np.exp(-x))

    def value(x: Array) -> Array:
        return _pieces(x, (x == 0, lambda v: v * 0 + np.inf), ((x > 0) & (x <= 1.5), low),
                       ((x > 1.5) & (x <= 30), middle), (x > 30, high))  # fmt: skip

    return value
