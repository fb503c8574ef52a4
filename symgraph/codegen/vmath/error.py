"""erf and erfc.

Method: erf(x) = x (1 + P(x^2)) up to 1 and 1 - e^(Q(x)) beyond, Q minimax for log(erfc); in float32
a polynomial is erfc itself.
erfc(x) = e^(-x^2) G(t)/(1 + 2x) with t = (x-4)/(x+4), which keeps relative accuracy to the end, in
float32 arithmetic t = (x-2)/(x+2), whose slope at 0 is smaller
(M. M. Shepherd, J. G. Laframboise, Chebyshev approximation of (1+2x) exp(x^2) erfc(x), 1981).
Polynomials minimax (Remez).
"""

from __future__ import annotations

from symgraph.codegen.vmath import coefficients as table
from symgraph.codegen.vmath.exponential import exp_parts, exp_plain, exp_remainder, one_plus
from symgraph.codegen.vmath.lanes import Lanes
from symgraph.codegen.writer import Value


def erf(b: Lanes, x: Value) -> Value:
    """The error function."""
    a = b.abs(x)
    small = b.fma(a, b.poly(table.ERF_LOW[b.kind], b.mul(a, a)), a)
    last = 6.0 if b.kind == "d" else 3.95
    high = b.sel(b.cmp("ogt", a, last), last, a)
    if b.kind == "f":
        e = b.poly(table.ERF_TAIL["f"], b.sub(high, 2.5))
    else:
        e = exp_plain(b, b.poly(table.ERF_HIGH[b.kind], high))
    return b.copysign(b.sel(b.cmp("ogt", a, 1.0), b.sub(1.0, e), small), x)


def erfc(b: Lanes, x: Value) -> Value:
    """1 - erf(x), accurate also where it is tiny."""
    if b.kind == "f":
        return _erfc_narrow(b, x)
    a, limit = b.abs(x), 27.5 if b.kind == "d" else 10.5
    a = b.sel(b.cmp("ogt", a, limit), limit, a)
    g = b.poly(table.ERFC[b.kind], shifted_ratio(b, a))
    square, low = b.two_product(a, a)
    n, r, t = exp_parts(b, b.neg(square))
    if b.kind == "m":
        v = b.add(b.add(r, t), 1.0)
        q = b.div(g, b.fma(a, 2.0, 1.0))
        y = b.mul(b.nfma(v, low, v), q)
    else:
        v, rest = b.fast_two_sum(*one_plus(b, r, t))
        d, d_low = b.two_sum(b.mul(a, 2.0), 1.0)
        q = b.div(g, d)
        # e^-low = 1 - low, and the rounding of the divisor
        rest = b.nfma(b.add(low, b.div(d_low, d)), v, rest)
        y = b.fma(v, q, b.mul(rest, q))
    y = b.scale(y, n)
    y = b.sel(b.cmp("olt", x, 0.0), b.sub(2.0, y), y)
    if b.kind == "m":
        return y
    # around 0 the slope of t magnifies every rounding, up to 4 ulp
    series = b.poly(table.ERFC_LOW["d"], b.mul(x, x))
    near = b.sub(1.0, b.fma(x, series, x))
    return b.sel(b.cmp("olt", b.abs(x), 0.5), near, y)


def _erfc_narrow(b: Lanes, x: Value) -> Value:
    """The same in float32 arithmetic. One division makes both quotients; what roundings lose on the
    way is added to the last product."""
    a, limit = b.abs(x), 10.5
    a = b.sel(b.cmp("ogt", a, limit), limit, a)
    p, (d, d_low) = b.add(a, 2.0), b.fast_two_sum(b.add(a, a), b.c(1.0))
    both = b.div(1.0, b.mul(p, d))
    inverse = b.mul(both, d)
    t = b.mul(b.sub(a, 2.0), inverse)
    t = b.fma(b.nfma(t, a, b.fma(b.add(t, 1.0), -2.0, a)), inverse, t)
    g, inverse = b.poly(table.ERFC["f"], t), b.mul(both, p)
    q = b.mul(g, inverse)
    rest = b.mul(b.nfma(q, d, g), inverse)
    square, low = b.two_product(a, a)
    count, r = exp_remainder(b, b.neg(square))
    v = b.fma(b.fma(b.poly(table.EXP["f"], r), r, 1.0), r, 1.0)
    rest = b.nfma(q, b.fma(d_low, inverse, low), rest)  # e^-low = 1 - low
    y = b.scale(b.fma(v, q, b.mul(v, rest)), count)
    y = b.sel(b.cmp("olt", x, 0.0), b.sub(2.0, y), y)
    # around 0 the slope of t magnifies every rounding, up to 4 ulp
    series = b.poly(table.ERF_LOW["f"], b.mul(a, a))
    return b.sel(b.cmp("olt", a, 0.5), b.sub(1.0, b.fma(x, series, x)), y)


def shifted_ratio(b: Lanes, a: Value) -> Value:
    """(a - 4)/(a + 4), correctly rounded or nearly so: the slope there magnifies its error."""
    inverse = b.div(1.0, b.add(a, 4.0))
    t = b.mul(b.sub(a, 4.0), inverse)
    if b.kind == "m":
        return t
    rest = b.nfma(t, a, b.fma(b.add(t, 1.0), -4.0, a))
    return b.fma(rest, inverse, t)
