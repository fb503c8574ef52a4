"""What the special functions are put together from: quotients of polynomials, logarithms in two
parts, exponentials scaled last, the sine of pi x."""

from __future__ import annotations

from collections.abc import Mapping

from symgraph.codegen.vmath import coefficients as elementary
from symgraph.codegen.vmath import special_coefficients as table
from symgraph.codegen.vmath.exponential import exp_parts
from symgraph.codegen.vmath.lanes import Lanes, Operand, Pair
from symgraph.codegen.vmath.logarithm import log_fraction, log_of, split_exponent
from symgraph.codegen.writer import Value

Rational = tuple[tuple[float, ...], tuple[float, ...]]
Table = Mapping[str, Rational]


def parts(b: Lanes, rows: Table, x: Value) -> tuple[Value, Value]:
    """Numerator and denominator of a fitted function at x."""
    top, under = rows[b.kind]
    return b.poly(top, x), b.c(1.0) if len(under) == 1 else b.poly(under, x)


def fitted(b: Lanes, rows: Table, x: Value) -> Value:
    """A fitted function at x."""
    top, under = parts(b, rows, x)
    return top if len(rows[b.kind][1]) == 1 else b.div(top, under)


def log_in_parts(b: Lanes, x: Value) -> Pair:
    """log(x) of positive finite x, high and low; the low part is 0 in kind "m"."""
    n, m = split_exponent(b, x)
    count, f = b.to_float(n), b.sub(m, 1.0)
    if b.kind == "m":
        return log_of(b, count, f), b.c(0.0)
    high, low = elementary.LN2[b.kind]
    fraction, rest = log_fraction(b, f)
    total, e = b.fast_two_sum(b.mul(count, high), fraction)
    return b.fast_two_sum(total, b.fma(count, low, b.add(e, rest)))


def times_exp(b: Lanes, c: Operand, x: Value, low: Value | None = None) -> Value:
    """c e^(x + low): the power of two is multiplied last, so that only the result may overflow."""
    limit = 1400.0 if b.kind == "d" else 700.0
    n, r, t = exp_parts(b, b.clamp(x, -limit, limit))
    if low is not None:
        t = b.fma(b.add(r, t), low, b.add(t, low))
    return b.scale(b.mul(b.add(b.add(r, t), 1.0), c), n)


def sin_pi(b: Lanes, x: Value) -> tuple[Value, Value]:
    """sin(pi r) with r = x - rint(x), which is 0 for integers, and cos(pi r); of either sine or
    cosine of pi x it is the value but for the sign of odd rint(x)."""
    r = b.sub(x, b.rint(x))
    rest = b.sub(0.5, b.abs(r))
    sine = b.mul(r, fitted(b, table.SINPI, b.mul(r, r)))
    return sine, b.mul(rest, fitted(b, table.SINPI, b.mul(rest, rest)))


def is_odd(b: Lanes, whole: Value) -> Value:
    """Whether a whole number, as a float, is odd."""
    half = b.mul(whole, 0.5)
    return b.cmp("une", b.rint(half), half)
