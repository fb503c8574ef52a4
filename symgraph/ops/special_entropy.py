"""Products with logarithms, entropies, log-odds, powers of Box and Cox: safe at their edges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symgraph.ir.graph import Variable
from symgraph.ops.arithmetic import absolute, clip, minimum, sqrt
from symgraph.ops.comparison import equal, less, where
from symgraph.ops.elementwise import elementwise, to_float
from symgraph.ops.exponential import exp, expm1, log, log1p
from symgraph.ops.special_rows import in_float64
from symgraph.scalar import Expr, functions

__all__ = [
    "boxcox", "boxcox1p", "entr", "exprel", "huber", "inv_boxcox", "inv_boxcox1p", "kl_div",
    "log1mexp", "logit", "pseudo_huber", "rel_entr", "xlog1py", "xlogy",
]  # fmt: skip

_LN2 = math.log(2.0)
INFINITY = float("inf")


def _wide(function: Any) -> Any:
    """Computed in float64, rounded to the operands' dtype."""

    def call(*operands: Any) -> Any:
        with np.errstate(all="ignore"):
            found = function(*(np.asarray(x, "float64") for x in operands))
            return np.asarray(found).astype(np.result_type(*operands))[()]

    return call


# x log y ------------------------------------------------------------------------------------------


def _xlogy(x: Expr, y: Expr) -> Expr:
    return _product(x, y, functions.log(y))


def _xlog1py(x: Expr, y: Expr) -> Expr:
    return _product(x, y, functions.log1p(y))


def _product(x: Expr, y: Expr, logarithm: Expr) -> Expr:
    nothing = functions.and_(functions.eq(x, 0), functions.not_(functions.isnan(y)))
    return functions.select(nothing, 0.0, functions.mul(x, logarithm))


def _masked(value: Any, mask: Any, other: Any) -> Any:
    return np.where(mask, np.asarray(other, value.dtype), value)[()]


def _np_xlogy(x: Any, y: Any, log: Any = np.log) -> Any:
    with np.errstate(all="ignore"):
        return _masked(x * log(y), np.equal(x, 0) & ~np.isnan(y), 0)


def _share(x: Variable, a: Variable) -> Variable:
    """x / a, and 0 where x is 0: there the product is 0 whatever its logarithm."""
    return where(equal(x, 0), 0, x / a)


xlogy = elementwise(
    "xlogy", "x * log(y), and 0 where x is 0 (and y not NaN).",
    dtype=to_float, arity=2, reference=_np_xlogy, lower=_xlogy,
    vjp=lambda g, y, x, a: (g * log(a), g * _share(x, a)), domain=(0.2, 5),
    example="special.xlogy([0.0, 2.0], [0.0, 1.0]) -> [0.0, 0.0]",
)  # fmt: skip
xlog1py = elementwise(
    "xlog1py", "x * log1p(y), and 0 where x is 0 (and y not NaN).",
    dtype=to_float, arity=2, reference=lambda x, y: _np_xlogy(x, y, np.log1p), lower=_xlog1py,
    vjp=lambda g, y, x, a: (g * log1p(a), g * _share(x, 1 + a)), domain=(0.2, 5),
    example="special.xlog1py([0.0, 2.0], [-1.0, 0.0]) -> [0.0, 0.0]",
)  # fmt: skip


# entropies ----------------------------------------------------------------------------------------


def _entr(x: Expr) -> Expr:
    f = functions
    usual = f.select(f.lt(x, 0), -INFINITY, f.neg(f.mul(x, f.log(x))))
    return f.select(f.eq(x, 0), 0.0, usual)


def _np_entr(x: Any) -> Any:
    with np.errstate(all="ignore"):
        return _masked(_masked(-(x * np.log(x)), np.less(x, 0), -np.inf), np.equal(x, 0), 0)


entr = elementwise(
    "entr", "-x * log(x): 0 at 0, -infinity below.",
    dtype=to_float, reference=_np_entr, lower=_entr, vjp=lambda g, y, x: (-g * (log(x) + 1),),
    domain=(0.1, 5), example="special.entr([0.0, 1.0]) -> [0.0, -0.0]",
)  # fmt: skip


_TINY, _HUGE = 2.0**-1022, 2.0**1023


def _log_ratio(x: Expr, y: Expr) -> Expr:
    """log(x / y), where the quotient may be near 1 or out of range."""
    f = functions
    gap, ratio = f.sub(x, y), f.div(x, y)
    inside = f.and_(f.le(_TINY, ratio), f.le(ratio, _HUGE))
    apart = f.sub(f.log(f.select(inside, ratio, x)), f.select(inside, 0.0, f.log(y)))
    close = f.lt(f.abs_(gap), f.mul(y, 0.5))
    return f.select(close, f.log1p(f.div(gap, y)), apart)


def _relative(extra: bool) -> Any:
    def lower(x: Expr, y: Expr) -> Expr:
        f = functions
        value = f.mul(x, _log_ratio(x, y))
        value = f.add(f.sub(value, x), y) if extra else value
        inside = f.and_(f.lt(0, x), f.lt(0, y))
        edge = f.and_(f.eq(x, 0), f.le(0, y))
        strange = f.or_(f.isnan(x), f.isnan(y))
        value = f.select(f.or_(inside, strange), value, INFINITY)
        return f.select(edge, y if extra else f.sub(x, x), value)

    return in_float64(lower)


def _np_relative(extra: bool) -> Any:
    def reference(x: Any, y: Any) -> Any:
        ratio, gap = x / y, x - y
        inside = (ratio >= _TINY) & (ratio <= _HUGE)
        apart = np.log(np.where(inside, ratio, x)) - np.where(inside, 0, np.log(y))
        value = x * np.where(abs(gap) < y * 0.5, np.log1p(gap / y), apart)
        value = value - x + y if extra else value
        inside = ((x > 0) & (y > 0)) | np.isnan(x) | np.isnan(y)
        value = _masked(value, ~inside, np.inf)
        return _masked(value, np.equal(x, 0) & np.greater_equal(y, 0), y if extra else 0)

    return _wide(reference)


rel_entr = elementwise(
    "rel_entr", "x * log(x / y): 0 where x is 0, infinite outside x >= 0, y > 0.",
    dtype=to_float, arity=2, reference=_np_relative(False), lower=_relative(False),
    vjp=lambda g, v, x, y: (g * (log(x / y) + 1), -g * x / y), domain=(0.2, 5),
    example="special.rel_entr([0.0, 1.0], [1.0, 1.0]) -> [0.0, 0.0]",
)  # fmt: skip
kl_div = elementwise(
    "kl_div", "x * log(x / y) - x + y, infinite outside x >= 0, y > 0.",
    dtype=to_float, arity=2, reference=_np_relative(True), lower=_relative(True),
    vjp=lambda g, v, x, y: (g * log(x / y), g * (1 - x / y)), domain=(0.2, 5),
    example="special.kl_div([0.0, 1.0], [1.0, 1.0]) -> [1.0, 0.0]",
)  # fmt: skip


# log-odds -----------------------------------------------------------------------------------------


def _logit(p: Expr) -> Expr:
    f = functions
    middle = f.sub(f.mul(p, 2), 1)  # exact around 1/2
    odds = f.log(f.div(p, f.sub(1.0, p)))
    return f.select(f.lt(f.abs_(middle), 0.5), f.mul(f.atanh(middle), 2), odds)


def _np_logit(p: Any) -> Any:
    with np.errstate(all="ignore"):
        middle = 2 * p - 1
        odds = np.log(p / (1 - p))
        return np.where(abs(middle) < 0.5, 2 * np.arctanh(middle), odds).astype(odds.dtype)[()]


logit = elementwise(
    "logit", "log(p / (1 - p)), the inverse of the logistic function; NaN outside [0, 1].",
    dtype=to_float, reference=_np_logit, lower=_logit, vjp=lambda g, y, p: (g / (p * (1 - p)),),
    domain=(0.05, 0.95), example="special.logit([0.5, 1.0]) -> [0.0, inf]",
)  # fmt: skip


def _log1mexp(x: Expr) -> Expr:
    f = functions
    near = f.log(f.neg(f.expm1(x)))
    return f.select(f.lt(-_LN2, x), near, f.log1p(f.neg(f.exp(x))))


def _np_log1mexp(x: Any) -> Any:
    with np.errstate(all="ignore"):
        near = np.log(-np.expm1(x))
        return np.where(np.less(-_LN2, x), near, np.log1p(-np.exp(x))).astype(near.dtype)[()]


log1mexp = elementwise(
    "log1mexp", "log(1 - exp(x)) for x < 0, without cancellation (Mächler, 2012); NaN above 0.",
    dtype=to_float, reference=_np_log1mexp, lower=_log1mexp,
    vjp=lambda g, y, x: (-g / expm1(-x),), domain=(-5, -0.1),
    example="special.log1mexp([0.0, -1000.0]) -> [-inf, -0.0]",
)  # fmt: skip


# losses -------------------------------------------------------------------------------------------


def _huber(delta: Expr, r: Expr) -> Expr:
    f = functions
    size = f.abs_(r)
    far = f.mul(delta, f.sub(size, f.mul(delta, 0.5)))
    value = f.select(f.le(size, delta), f.mul(f.mul(r, r), 0.5), far)
    return f.select(f.lt(delta, 0), INFINITY, value)


def _np_huber(delta: Any, r: Any) -> Any:
    with np.errstate(all="ignore"):
        half = np.result_type(r).type(0.5)
        far = delta * (abs(r) - delta * half)
        return _masked(np.where(abs(r) <= delta, r * r * half, far), np.less(delta, 0), np.inf)


huber = elementwise(
    "huber", "Huber's loss: r*r/2 up to abs(r) = delta, delta (abs(r) - delta/2) beyond.",
    dtype=to_float, arity=2, reference=_np_huber, lower=_huber,
    vjp=lambda g, y, d, r: (
        g * (absolute(r) - minimum(absolute(r), d)), g * clip(r, -d, d),
    ),
    domain=((0.5, 2), (-4, 4)), example="special.huber(1.0, [0.5, 3.0]) -> [0.125, 2.5]",
)  # fmt: skip


def _pseudo_huber(delta: Expr, r: Expr) -> Expr:
    f = functions
    ratio = f.div(r, delta)
    bend = f.expm1(f.mul(f.log1p(f.mul(ratio, ratio)), 0.5))
    value = f.mul(f.mul(delta, delta), bend)
    value = f.select(f.or_(f.eq(delta, 0), f.eq(r, 0)), 0.0, value)
    return f.select(f.lt(delta, 0), INFINITY, value)


def _np_pseudo_huber(delta: Any, r: Any) -> Any:
    with np.errstate(all="ignore"):
        half = np.result_type(r).type(0.5)
        value = delta * delta * np.expm1(np.log1p((r / delta) ** 2) * half)
        value = _masked(value, np.equal(delta, 0) | np.equal(r, 0), 0)
        return _masked(value, np.less(delta, 0), np.inf)


def _pseudo_huber_slopes(g: Any, y: Any, d: Any, r: Any) -> tuple[Any, Any]:
    root = sqrt(1 + (r / d) * (r / d))
    # 2 y / d less r^2 / (d root), without cancellation: d (root - 1)^2 / root
    bend = (r / d) * (r / d) / (root + 1)
    return g * d * bend * bend / root, g * r / root


pseudo_huber = elementwise(
    "pseudo_huber", "The smooth Huber loss delta**2 (sqrt(1 + (r/delta)**2) - 1).",
    dtype=to_float, arity=2, reference=_wide(_np_pseudo_huber), lower=in_float64(_pseudo_huber),
    vjp=_pseudo_huber_slopes, domain=((0.5, 2), (-4, 4)),
    example="special.pseudo_huber(1.0, [0.0]) -> [0.0]",
)  # fmt: skip


# Box and Cox --------------------------------------------------------------------------------------


def _exprel(x: Expr) -> Expr:
    f = functions
    value = f.select(f.eq(x, 0), 1.0, f.div(f.expm1(x), x))
    return f.select(f.eq(x, INFINITY), INFINITY, value)


def _np_exprel(x: Any) -> Any:
    with np.errstate(all="ignore"):
        value = _masked(np.expm1(x) / x, np.equal(x, 0), 1)
        return _masked(value, np.isposinf(x), np.inf)


def _series(x: Any, coefficients: list[float]) -> Any:
    total = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total


def _exprel_slope(x: Any, y: Any) -> Any:
    """The derivative of y = exprel(x): by its series below 1, where the quotient cancels."""
    near = less(absolute(x), 1)
    small, large = where(near, x, 0), where(near, 1, x)
    series = _series(small, [(n + 1) / math.factorial(n + 2) for n in range(17)])
    return where(near, series, (exp(large) - y) / large)


exprel = elementwise(
    "exprel", "(exp(x) - 1) / x, and 1 at 0.",
    dtype=to_float, reference=_np_exprel, lower=_exprel,
    vjp=lambda g, y, x: (g * _exprel_slope(x, y),), domain=(-4, 4),
    example="special.exprel([0.0]) -> [1.0]",
)  # fmt: skip


_SMALL = 1e-19  # exponents that SciPy takes for 0


def _power_mean(logarithm: Expr, k: Expr) -> Expr:
    """(e^(k L) - 1)/k, and L where k is 0."""
    f = functions
    value = f.div(f.expm1(f.mul(k, logarithm)), k)
    return f.select(f.lt(f.abs_(k), _SMALL), logarithm, value)


def _np_power_mean(logarithm: Any, k: Any) -> Any:
    return np.where(abs(k) < _SMALL, logarithm, np.expm1(k * logarithm) / k)


def _boxcox_slopes(g: Any, y: Any, logarithm: Any, k: Any) -> tuple[Any, Any]:
    scaled = k * logarithm
    bend = _exprel_slope(scaled, exprel(scaled))
    return g * exp(scaled - logarithm), g * logarithm * logarithm * bend


boxcox = elementwise(
    "boxcox", "The transformation of Box and Cox: (x**k - 1) / k, and log(x) where k is 0.",
    dtype=to_float, arity=2, reference=_wide(lambda x, k: _np_power_mean(np.log(x), k)),
    lower=in_float64(lambda x, k: _power_mean(functions.log(x), k)),
    vjp=lambda g, y, x, k: _boxcox_slopes(g, y, log(x), k), domain=((0.2, 4), (-2, 2)),
    example="special.boxcox([1.0], 0.5) -> [0.0]",
)  # fmt: skip
boxcox1p = elementwise(
    "boxcox1p", "boxcox of 1 + x, accurate for small x.",
    dtype=to_float, arity=2, reference=_wide(lambda x, k: _np_power_mean(np.log1p(x), k)),
    lower=in_float64(lambda x, k: _power_mean(functions.log1p(x), k)),
    vjp=lambda g, y, x, k: _boxcox_slopes(g, y, log1p(x), k), domain=((-0.5, 4), (-2, 2)),
    example="special.boxcox1p([0.0], 1.0) -> [0.0]",
)  # fmt: skip


def _log_mean(y: Expr, k: Expr) -> Expr:
    """log1p(k y)/k, and y where k is 0."""
    f = functions
    return f.select(f.eq(k, 0), y, f.div(f.log1p(f.mul(k, y)), k))


def _np_log_mean(y: Any, k: Any) -> Any:
    return np.where(k == 0, y, np.log1p(k * y) / k)


def _inverse_slopes(g: Any, x_plus: Any, y: Any, k: Any) -> tuple[Any, Any]:
    """``x_plus`` is e^L of L = log1p(t)/k, t = k y; dL/dk = y^2 (1/(1+t) - log1p(t)/t)/t."""
    t = k * y
    near = less(absolute(t), 0.1)
    small, large = where(near, t, 0), where(near, 1, t)
    series = _series(small, [(-1.0) ** (n + 1) * (n + 1) / (n + 2) for n in range(17)])
    bend = where(near, series, (1 / (1 + large) - log1p(large) / large) / large)
    return g * x_plus / (1 + t), g * x_plus * y * y * bend


inv_boxcox = elementwise(
    "inv_boxcox", "The x with boxcox(x, k) = y.",
    dtype=to_float, arity=2, reference=_wide(lambda y, k: np.exp(_np_log_mean(y, k))),
    lower=in_float64(lambda y, k: functions.exp(_log_mean(y, k))),
    vjp=lambda g, x, y, k: _inverse_slopes(g, x, y, k), domain=((-0.4, 0.4), (-2, 2)),
    example="special.inv_boxcox([0.0], 0.5) -> [1.0]",
)  # fmt: skip
inv_boxcox1p = elementwise(
    "inv_boxcox1p", "The x with boxcox1p(x, k) = y.",
    dtype=to_float, arity=2, reference=_wide(lambda y, k: np.expm1(_np_log_mean(y, k))),
    lower=in_float64(lambda y, k: functions.expm1(_log_mean(y, k))),
    vjp=lambda g, x, y, k: _inverse_slopes(g, x + 1, y, k), domain=((-0.4, 0.4), (-2, 2)),
    example="special.inv_boxcox1p([0.0], 1.0) -> [0.0]",
)  # fmt: skip
