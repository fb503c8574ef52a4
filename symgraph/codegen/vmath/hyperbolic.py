"""sinh, cosh, tanh and asinh, acosh, atanh.

Method: with x = n ln 2 + r the first two are sums of products of those of n ln 2, which are exact
or nearly so, and those of r, which are polynomials; tanh is a division by e^2x + 1 in two parts;
the inverse functions are logarithms of an argument in two parts, so that nothing cancels near zero.
"""

from __future__ import annotations

from symgraph.codegen.vmath import coefficients as table
from symgraph.codegen.vmath.exponential import exp_plus_one, inverse_pair, reduced
from symgraph.codegen.vmath.lanes import Lanes, Pair
from symgraph.codegen.vmath.logarithm import INFINITY, NAN, log_pair
from symgraph.codegen.writer import Value


def _bounded(b: Lanes, x: Value, wide: float, narrow: float) -> Value:
    """|x| cut where the result is known: at `wide` for float64, at `narrow` for float32."""
    a, limit = b.abs(x), wide if b.kind == "d" else narrow
    return b.sel(b.cmp("ogt", a, limit), limit, a)


def _sum(b: Lanes, x: Value, sign: int) -> Value:
    """(e^|x| + e^-|x|)/2, or with the sign -1 the difference: with |x| = n ln 2 + r it is
    p cosh r + q sinh r, where p is half of 2^n + 2^-n and q of 2^n - 2^-n, or the other way round.
    What p and p + q r lose is carried along."""
    n, r, rest = reduced(b, _bounded(b, x, 710.6, 89.6))
    assert rest is not None  # kind "m" has no need of these functions
    up = b.pow2(b.int_op("sub", n, 3))  # a quarter of it all, which does not overflow
    turned = b.int_op("sub", (2 * b.bias - 6) << b.mantissa, b.to_bits(up))
    down = b.from_bits(b.int_max(turned, 0))  # 2^(-n-3), or 0 where it does not matter
    less, more = b.neg(down), down
    p, p_low = b.fast_two_sum(up, more if sign > 0 else less)
    q = b.add(up, less if sign > 0 else more)
    z = b.mul(r, r)
    s = b.fma(b.mul(r, z), b.poly(table.SINH[b.kind], z), rest)
    high = b.fma(q, r, p)
    lost = b.add(b.fma(q, r, b.sub(p, high)), p_low)
    tail = b.fma(q, s, b.fma(b.mul(p, z), b.poly(table.COSH[b.kind], z), lost))
    return b.mul(b.add(high, tail), 4.0)


def sinh(b: Lanes, x: Value) -> Value:
    """(e^x - e^-x)/2."""
    near = 2.0**-27 if b.kind == "d" else 2.0**-12  # where sinh x = x, which may be subnormal
    return b.copysign(b.sel(b.cmp("olt", b.abs(x), near), x, _sum(b, x, -1)), x)


def cosh(b: Lanes, x: Value) -> Value:
    """(e^x + e^-x)/2."""
    return _sum(b, x, 1)


def tanh(b: Lanes, x: Value) -> Value:
    """x + x^3 P(x^2) up to 5/8, and beyond 1 - 2 / (e^(2|x|) + 1), of which rounding errors count
    a third."""
    a = b.abs(x)
    z = b.mul(a, a)
    near = b.fma(b.mul(a, z), b.poly(table.TANH[b.kind], z), a)
    bounded = _bounded(b, x, 20.0, 10.0)
    inverse, rest = inverse_pair(b, *exp_plus_one(b, b.add(bounded, bounded)))
    far = b.fma(b.fma(inverse, rest, inverse), -2.0, 1.0)
    return b.copysign(b.sel(b.cmp("olt", a, 0.625), near, far), x)


def _root_of_square_plus(b: Lanes, a: Value, one: float) -> Pair:
    """sqrt(a^2 + one) in two parts; 0 gives 0."""
    square, square_low = b.two_product(a, a)
    t, e = b.two_sum(square, one) if one > 0 else b.fast_two_sum(square, one)
    root = b.sqrt(t)
    safe = b.sel(b.cmp("oeq", root, 0.0), 1.0, root)
    rest = b.add(b.nfma(root, root, t), b.add(e, square_low))
    return root, b.div(b.mul(rest, 0.5), safe)


def _log_of_sum(b: Lanes, a: Value, one: float) -> Value:
    """log(a + sqrt(a^2 + one)); above 2^28 (where the root is a) log(2 a)."""
    large = b.cmp("ogt", a, 2.0**28)
    root, low = _root_of_square_plus(b, b.sel(large, 1.0, a), one)
    high, e = b.fast_two_sum(root, a) if one > 0 else b.fast_two_sum(a, root)
    high, low = b.sel(large, a, high), b.sel(large, 0.0, b.add(e, low))
    return log_pair(b, high, low, b.sel(large, 1.0, 0.0))


def asinh(b: Lanes, x: Value) -> Value:
    """log(|x| + sqrt(x^2 + 1)) with the sign of x."""
    a = b.abs(x)
    y = b.sel(b.cmp("oeq", a, INFINITY), a, _log_of_sum(b, a, 1.0))
    # NaN and what is so small that asinh x = x
    return b.copysign(b.sel(b.cmp("ult", a, 2.0**-28), x, y), x)


def acosh(b: Lanes, x: Value) -> Value:
    """log(x + sqrt(x^2 - 1)); NaN below 1."""
    y = b.sel(b.cmp("oeq", x, INFINITY), INFINITY, _log_of_sum(b, x, -1.0))
    return b.sel(b.cmp("ult", x, 1.0), NAN, y)


def atanh(b: Lanes, x: Value) -> Value:
    """log((1+a)/(1-a))/2 with a = |x|, the quotient in two parts; where a^4 counts no more,
    a + a^3/3."""
    a = b.abs(x)
    up, down = b.fast_two_sum(1.0, a), b.fast_two_sum(1.0, b.neg(a))
    inner = b.cmp("olt", a, 1.0)
    ratio = b.ratio(up, (b.sel(inner, down[0], 1.0), down[1]))
    near = b.fma(b.mul(b.mul(a, a), a), 1 / 3, a)
    y = b.sel(b.cmp("olt", a, 2.0 ** -(b.mantissa // 3)), near, b.mul(log_pair(b, *ratio), 0.5))
    y = b.sel(inner, y, b.sel(b.cmp("oeq", a, 1.0), INFINITY, NAN))
    return b.copysign(y, x)
