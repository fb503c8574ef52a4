"""Differences of a function at neighbouring points, f(x + e) - f(x), without cancellation.

Rewriting puts these in the place of ``f(u) - f(v)`` where it knows ``u - v``; users need not know
them. Where an identity overflows or is undefined the difference is computed as it is written.
Sources: Hamming, Numerical Methods for Scientists and Engineers, 1973, chapter 3; the sums with
their rounding error are Knuth's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgraph.ops.arithmetic import absolute, cbrt, power, sqrt, square
from symgraph.ops.comparison import less, where
from symgraph.ops.exponential import exp, expm1, log
from symgraph.ops.stable_forms import Body, log_of_quotient, row
from symgraph.ops.trigonometric import cos, sin, tan
from symgraph.scalar import Expr, functions
from symgraph.scalar.functions import abs_, and_, const, div, gt, isfinite, lt, select

__all__: list[str] = []

_POSITIVE = ((0.5, 4), (0.1, 2))


def _step(function: Callable[[Expr], Expr], body: Body) -> Body:
    """The difference by an identity where that is finite, else as it is written."""

    def whole(x: Expr, e: Expr) -> Expr:
        found = body(x, e)
        return select(isfinite(found), found, function(x + e) - function(x))

    return whole


def _sum(a: Expr, b: Expr) -> tuple[Expr, Expr, Expr]:
    """The sum, its rounding error exactly, and whether that is so small that its square is
    nothing."""
    total = a + b
    part = total - a
    error = (a - (total - part)) + (b - part)
    limit = 2.0**-26 if a.dtype == "float64" else 2.0**-12
    return total, error, lt(abs_(error), limit)


def _log_of_ratio(x: Expr, e: Expr) -> Expr:
    return _log_near_one(x + e, x, e)


def _log_near_one(u: Expr, v: Expr, e: Expr) -> Expr:
    ratio = div(e, v)
    return select(lt(abs_(ratio), 0.5), functions.log1p(ratio), log_of_quotient.body(u, v))


# powers -------------------------------------------------------------------------------------------


def _gap_over_sum(p: Expr, q: Expr, e: Expr) -> Expr:
    found = div(e, p + q)
    return select(isfinite(found), found, p - q)


def _gap_over_squares(p: Expr, q: Expr, e: Expr) -> Expr:
    found = div(e, p * p + p * q + q * q)
    return select(isfinite(found), found, p - q)


def _cbrt_step(x: Expr, e: Expr) -> Expr:
    p, q = functions.cbrt(x + e), functions.cbrt(x)
    return div(e, p * p + p * q + q * q)


def _rsqrt(x: Expr) -> Expr:
    return div(1.0, functions.sqrt(x))


def _rsqrt_step(x: Expr, e: Expr) -> Expr:
    p, q = functions.sqrt(x + e), functions.sqrt(x)
    return div(div(div(-e, p + q), p), q)


def _reciprocal_step(x: Expr, e: Expr) -> Expr:
    end = x + e
    back = lt(abs_(end), abs_(x))
    larger, smaller = select(back, x, end), select(back, end, x)
    whole = and_(functions.isinf(end), functions.isinf(e))  # then e / end is 1
    return div(select(whole, const(-1.0, x.dtype), div(-e, larger)), smaller)


def _power_step(x: Expr, e: Expr, p: Expr) -> Expr:
    part = p * _log_of_ratio(x, e)
    near = and_(gt(x, 0), lt(abs_(part), 1))
    base = functions.pow_(x, p)
    found = base * functions.expm1(part)
    good = and_(near, isfinite(found))
    return select(good, found, functions.pow_(x + e, p) - base)


gap_over_sum = row(
    "gap_over_sum", "e / (p + q): p - q if e is the difference of their squares.", _gap_over_sum,
    lambda g, y, p, q, e: (-g * y / (p + q), -g * y / (p + q), g / (p + q)), 3,
    ((0.5, 3), (0.5, 3), (-2, 2)),
)  # fmt: skip
gap_over_squares = row(
    "gap_over_squares", "e / (p**2 + p q + q**2): p - q if e is the difference of their cubes.",
    _gap_over_squares,
    lambda g, y, p, q, e: (
        -g * y * (2 * p + q) / (p * p + p * q + q * q),
        -g * y * (p + 2 * q) / (p * p + p * q + q * q),
        g / (p * p + p * q + q * q),
    ),
    3, ((0.5, 3), (0.5, 3), (-2, 2)),
)  # fmt: skip
cbrt_step = row(
    "cbrt_step", "cbrt(x + e) - cbrt(x).", _step(functions.cbrt, _cbrt_step),
    lambda g, y, x, e: _cbrt_vjp(g, y, cbrt(x + e), cbrt(x)), 2, _POSITIVE,
)  # fmt: skip
rsqrt_step = row(
    "rsqrt_step", "1 / sqrt(x + e) - 1 / sqrt(x).", _step(_rsqrt, _rsqrt_step),
    lambda g, y, x, e: (g * -0.5 * power_step(x, e, -1.5), g * -0.5 / sqrt(x + e) / (x + e)), 2,
    _POSITIVE,
)  # fmt: skip
reciprocal_step = row(
    "reciprocal_step", "1 / (x + e) - 1 / x.", _reciprocal_step,
    lambda g, y, x, e: (-g * y * (1 / (x + e) + 1 / x), -g / square(x + e)), 2, _POSITIVE,
)  # fmt: skip
power_step = row(
    "power_step", "(x + e) ** p - x ** p.", _power_step,
    lambda g, y, x, e, p: (
        g * p * power_step(x, e, p - 1),
        g * p * power(x + e, p - 1),
        g * (y * log(x + e) + power(x, p) * log_step(x, e)),
    ),
    3, (*_POSITIVE, (-3, 3)),
)  # fmt: skip


def _cbrt_vjp(g: Any, y: Any, p: Any, q: Any) -> tuple[Any, Any]:
    return g * y * (p + q) / square(p * q) * (-1.0 / 3.0), g / square(p) * (1.0 / 3.0)


# logarithms and exponentials ----------------------------------------------------------------------


def _log_step(x: Expr, e: Expr) -> Expr:
    return select(gt(x, 0), _log_of_ratio(x, e), functions.log(x + e) - functions.log(x))


def _exp_step(x: Expr, e: Expr) -> Expr:
    base = functions.exp(x)
    near = and_(lt(abs_(e), 1), isfinite(base))
    return select(near, base * functions.expm1(e), functions.exp(x + e) - base)


def _log_exp_step(x: Expr, e: Expr) -> Expr:
    direct = functions.log(_exp_step(x, e))
    far = e + functions.log1p(-functions.exp(-e))
    whole = x + select(gt(e, 1), far, functions.log(functions.expm1(e)))
    return _unless_near_zero(direct, whole, x)


def _log_exp_fall(x: Expr, e: Expr) -> Expr:
    direct = functions.log(-_exp_step(x, e))
    far = functions.log1p(-functions.exp(e))
    whole = x + select(lt(e, -1), far, functions.log(-functions.expm1(e)))
    return _unless_near_zero(direct, whole, x)


def _unless_near_zero(direct: Expr, whole: Expr, x: Expr) -> Expr:
    """The sum of logarithms, but where it cancels or is that of nothing."""
    near_zero = functions.or_(lt(abs_(direct), 1), functions.eq(x, float("-inf")))
    return select(near_zero, direct, whole)


def _xlogx(x: Expr) -> Expr:
    return select(functions.eq(x, 0), const(0.0, x.dtype), x * functions.log(x))


def _xlogx_step(x: Expr, e: Expr) -> Expr:
    return x * _log_step(x, e) + e * functions.log(x + e)


log_step = row(
    "log_step", "log(x + e) - log(x).", _log_step,
    lambda g, y, x, e: (g * reciprocal_step(x, e), g / (x + e)), 2, _POSITIVE,
)  # fmt: skip
log_near_one = row(
    "log_near_one", "log(u / v) if e is u - v.", _log_near_one, lambda g, *a: _log_vjp(g, *a), 3,
    ((1, 2), (1, 2), (-0.4, 0.4)),
)  # fmt: skip
exp_step = row(
    "exp_step", "exp(x + e) - exp(x).", _exp_step,
    lambda g, y, x, e: (g * y, g * exp(x + e)), 2,
)  # fmt: skip
log_exp_step = row(
    "log_exp_step", "log(exp(x + e) - exp(x)), also where the exponentials are out of range.",
    _log_exp_step, lambda g, y, x, e: (g, g * exp(e) / expm1(e)), 2, ((-3, 3), (0.2, 2)),
)  # fmt: skip
log_exp_fall = row(
    "log_exp_fall", "log(exp(x) - exp(x + e)), also where the exponentials are out of range.",
    _log_exp_fall, lambda g, y, x, e: (g, g * exp(e) / expm1(e)), 2, ((-3, 3), (-2, -0.2)),
)  # fmt: skip
xlogx_step = row(
    "xlogx_step", "(x + e) * log(x + e) - x * log(x).", _step(_xlogx, _xlogx_step),
    lambda g, y, x, e: (g * log_step(x, e), g * (log(x + e) + 1)), 2, _POSITIVE,
)  # fmt: skip


def _log_vjp(g: Any, y: Any, u: Any, v: Any, e: Any) -> tuple[Any, Any, Any]:
    near = less(absolute(e / v), 0.5)
    by_end = where(near, 1 / (v + e), 1 / u)
    return g * where(near, 0, 1 / u), -g * where(near, e / v, 1 / by_end / v) * by_end, (
        g * where(near, by_end, 0))  # fmt: skip


# angles -------------------------------------------------------------------------------------------


# Where x is so large that x + e loses more than the last digits of an angle, the functions are
# taken at the rounded sum, as they are written.


def _sin_step(x: Expr, e: Expr) -> Expr:
    middle, error, good = _sum(x, e * 0.5)
    p = functions.sin(select(good, e * 0.5, x + e))
    q = functions.sin(select(good, middle, x))
    return select(good, (functions.cos(middle) - error * q) * p * 2, p - q)


def _cos_step(x: Expr, e: Expr) -> Expr:
    middle, error, good = _sum(x, e * 0.5)
    q = functions.cos(select(good, middle, x))
    near = (functions.sin(middle) + error * q) * functions.sin(e * 0.5) * -2
    return select(good, near, functions.cos(x + e) - q)


def _tan_step(x: Expr, e: Expr) -> Expr:
    end, error, good = _sum(x, e)
    sine, cosine, start = functions.sin(end), functions.cos(end), functions.cos(x)
    near = div(functions.sin(e), start * (cosine - error * sine))
    return select(good, near, functions.tan(end) - functions.tan(x))


def _atan_step(x: Expr, e: Expr) -> Expr:
    product = x * (x + e)
    far = functions.atan(x + e) - functions.atan(x)
    return select(isfinite(product), functions.atan2(e, product + 1), far)


sin_step = row(
    "sin_step", "sin(x + e) - sin(x).", _sin_step,
    lambda g, y, x, e: (g * cos_step(x, e), g * cos(x + e)), 2,
)  # fmt: skip
cos_step = row(
    "cos_step", "cos(x + e) - cos(x).", _cos_step,
    lambda g, y, x, e: (-g * sin_step(x, e), -g * sin(x + e)), 2,
)  # fmt: skip
tan_step = row(
    "tan_step", "tan(x + e) - tan(x).", _tan_step,
    lambda g, y, x, e: (g * y * (tan(x + e) + tan(x)), g * (square(tan(x + e)) + 1)), 2,
    ((-0.7, 0.7), (-0.6, 0.6)),
)  # fmt: skip
atan_step = row(
    "atan_step", "arctan(x + e) - arctan(x).", _step(functions.atan, _atan_step),
    lambda g, y, x, e: (
        -g * (e / (square(x + e) + 1)) * ((x + e + x) / (square(x) + 1)),
        g / (square(x + e) + 1),
    ),
    2,
)  # fmt: skip
