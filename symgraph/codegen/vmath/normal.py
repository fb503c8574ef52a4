"""erfcx, the normal distribution ndtr, and the inverses erfinv, erfcinv, ndtri.

Method: erfcx by a quotient of polynomials up to 2, the fit of erfc up to 28 and the asymptotic
series beyond; ndtr is e^(-x^2/2) erfcx(|x| / sqrt 2) / 2 with the square in two parts, so that far
tails keep their relative accuracy. The inverses are odd functions in the middle and functions of
sqrt(-log(tail)) outside (M. J. Wichura, Algorithm AS 241, 1988), with fits of our own.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from symgraph.codegen.vmath import coefficients as elementary
from symgraph.codegen.vmath import special_coefficients as table
from symgraph.codegen.vmath.error import shifted_ratio
from symgraph.codegen.vmath.lanes import Lanes, Pair
from symgraph.codegen.vmath.logarithm import INFINITY, NAN
from symgraph.codegen.vmath.pieces import fitted, log_in_parts, parts, times_exp
from symgraph.codegen.writer import Value

_ROOT_2 = math.sqrt(2.0), -9.667293313452913e-17  # the second part is what the first lacks
_ROOT_PI = 1 / math.sqrt(math.pi)
# 1 - w/2 + 3w^2/4 - ..., (2k-1)!! / (-2)^k
_ASYMPTOTIC = tuple(
    math.prod(range(1, 2 * k, 2)) / (-2.0) ** k for k in range(8)
)  # fmt: skip
_FAR = {"d": 28.0, "m": 12.0}


def _scaled(b: Lanes, a: Value) -> tuple[Value, Callable[[], Value]]:
    """erfcx(a) for a >= 0, and what writes the rest that its quotient lacks in the middle."""
    far = _FAR[b.kind]
    near = fitted(b, table.ERFCX_LOW, a, 0.5)
    inside = b.sel(b.cmp("ogt", a, far), far, a)
    top, under = b.poly(elementary.ERFC[b.kind], shifted_ratio(b, inside)), b.fma(inside, 2.0, 1.0)
    middle = b.div(top, under)
    w = b.div(1.0, a)
    last = b.mul(b.mul(w, _ROOT_PI), b.poly(_ASYMPTOTIC, b.mul(w, w)))
    low_end, high_end = b.cmp("olt", a, 2.0), b.cmp("ogt", a, far)
    y = b.sel(low_end, near, b.sel(high_end, last, middle))

    def rest() -> Value:
        under_low = b.fma(inside, 2.0, b.sub(1.0, under))  # exact, as 1 - under is
        lost = b.div(b.nfma(middle, under_low, b.nfma(middle, under, top)), under)
        return b.sel(low_end, 0.0, b.sel(high_end, 0.0, lost))

    return y, rest


def erfcx(b: Lanes, x: Value) -> Value:
    """e^(x^2) erfc(x); infinite for very negative x."""
    a = b.abs(x)
    y = _scaled(b, a)[0]
    negative = b.cmp("olt", x, 0.0)

    def mirror() -> list[Value]:
        bounded = b.sel(b.cmp("ogt", a, 30.0), 30.0, a)
        square, low = b.two_product(bounded, bounded)
        return [b.sel(negative, b.sub(times_exp(b, 2.0, square, low), y), y)]

    y = b.fn.if_(b.any(negative), mirror, lambda: [y], [b.F])[0]
    return b.sel(b.cmp("uno", x, x), x, y)


def ndtr(b: Lanes, x: Value) -> Value:
    """The probability that a standard normal number is below x."""
    a, limit = b.abs(x), 40.0 if b.kind == "d" else 16.0
    a = b.sel(b.cmp("ogt", a, limit), limit, a)
    square, low = b.two_product(a, a)
    high, rest = _ROOT_2[0] / 2, _ROOT_2[1] / 2
    h = b.mul(a, high)
    scaled, scaled_rest = _scaled(b, h)
    scaled = b.mul(scaled, 0.5)
    lost = None
    if b.kind == "d":  # the slope of erfcx is about -erfcx/(x + sqrt(pi)/2)
        step = b.fma(a, rest, b.fma(a, high, b.neg(h)))
        lost = b.div(b.mul(b.neg(scaled), step), b.add(h, 0.5 / _ROOT_PI))
        lost = b.fma(scaled_rest(), 0.5, lost)
    y = times_exp(b, scaled, b.mul(square, -0.5), b.mul(low, -0.5), lost)
    y = b.sel(b.cmp("ogt", x, 0.0), b.sub(1.0, y), y)
    return b.sel(b.cmp("uno", x, x), x, y)


def _inverse(b: Lanes, x: Value, tail: Value, x_low: Value | None = None) -> Pair:
    """erfinv(x) for x >= 0 as an unrounded sum, where tail = 1 - x is exact where it is small;
    x_low is what x lacks."""
    middle = b.cmp("ogt", tail, 0.2)
    v = b.nfma(x, x, 0.64)
    log, log_low = log_in_parts(b, b.sel(middle, 0.2, tail))
    square = b.neg(log)
    r = b.sqrt(square)
    top, under = parts(b, table.ERFINV_LOW, v)
    top2, under2 = parts(b, table.ERFINV_MID, r)
    top3, under3 = parts(b, table.ERFINV_HIGH, r)
    distant = b.cmp("ogt", r, 6.05)
    top = b.sel(middle, top, b.sel(distant, top3, top2))
    under = b.sel(middle, under, b.sel(distant, under3, under2))
    start = b.sel(middle, x, r)
    if b.kind == "m":
        return start, b.mul(start, b.div(top, under))
    # the slope in r is about 1, that in x rises from 1.11 to 2.01 where x is not exact
    lost = b.mul(b.sub(b.nfma(r, r, square), log_low), b.div(0.5, r))
    if x_low is not None:
        lost = b.sel(middle, b.mul(x_low, b.fma(x, 3.0, -0.39)), lost)
    else:
        lost = b.sel(middle, 0.0, lost)
    return start, b.fma(start, b.div(top, under), lost)


def _ended(b: Lanes, y: Value, tail: Value) -> Value:
    y = b.sel(b.cmp("oeq", tail, 0.0), INFINITY, y)
    return b.sel(b.cmp("ult", tail, 0.0), NAN, y)


def erfinv(b: Lanes, x: Value) -> Value:
    """The inverse of erf on [-1, 1]; NaN outside."""
    a = b.abs(x)
    tail = b.sub(1.0, a)
    return b.copysign(_ended(b, b.total(_inverse(b, a, tail)), tail), x)


def erfcinv(b: Lanes, y: Value) -> Value:
    """The inverse of erfc on [0, 2]; NaN outside."""
    above = b.cmp("ogt", y, 1.0)
    x, low = b.fast_two_sum(1.0, b.neg(y))
    tail = b.sel(above, b.sub(2.0, y), y)
    found = _ended(b, b.total(_inverse(b, b.abs(x), tail, low)), tail)
    return b.sel(above, b.neg(found), found)


def ndtri(b: Lanes, p: Value) -> Value:
    """The inverse of ndtr on [0, 1]; NaN outside."""
    above = b.cmp("ogt", p, 0.5)
    x, low = b.fast_two_sum(1.0, b.mul(p, -2.0))
    tail = b.mul(b.sel(above, b.sub(1.0, p), p), 2.0)
    high, rest = _inverse(b, b.abs(x), tail, low)
    high, rest = b.fast_two_sum(high, rest)
    root, root_low = _ROOT_2
    found = b.fma(high, root, b.fma(high, root_low, b.mul(rest, root)))
    found = _ended(b, found, tail)
    return b.sel(above, found, b.sub(0.0, found))
