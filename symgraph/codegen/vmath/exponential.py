"""exp, exp2, expm1, sigmoid.

Method: Cody and Waite's reduction x = n ln 2 + r with |r| <= ln(2)/2, the remainder kept in two
parts, a minimax polynomial (Remez) for (e^r - 1 - r)/r^2, scaling by 2^n through the exponent bits.
W. J. Cody, W. Waite, Software Manual for the Elementary Functions, 1980; K. C. Ng in FDLIBM.
"""

from __future__ import annotations

import math

from symgraph.codegen.vmath import coefficients as table
from symgraph.codegen.vmath.lanes import Lanes, Pair
from symgraph.codegen.writer import Value

LN2 = math.log(2)
# beyond these exp is 0 or infinite; in kind "m" after rounding to float32
LOWEST = {"d": -746.0, "f": -104.0, "m": -104.0}
HIGHEST = {"d": 710.0, "f": 89.0, "m": 89.0}


def exp_parts(b: Lanes, x: Value) -> tuple[Value, Value, Value]:
    """Integer lanes n, and r and t with e^x = 2^n (1 + r + t); t also holds what r lacks."""
    count, r, rest = reduced(b, x)
    return count, r, _tail(b, r, rest)


def reduced(b: Lanes, x: Value) -> tuple[Value, Value, Value | None]:
    """(n, r, rest) with x = n ln 2 + r + rest; the rest is None in kind "m"."""
    n, count = b.round_scaled(x, table.INV_LN2["d"][0])
    high, low = table.LN2["f" if b.kind == "f" else "d"]
    r0 = b.fma(n, -high, x)  # exact: the first part of ln 2 is short
    r = b.fma(n, -low, r0)
    return count, r, None if b.kind == "m" else b.fma(n, -low, b.sub(r0, r))


def _tail(b: Lanes, r: Value, rest: Value | None) -> Value:
    """e^(r + rest) - 1 - r."""
    t = b.mul(b.mul(r, r), b.poly(table.EXP[b.kind], r))
    return t if rest is None else b.add(t, rest)


def one_plus(b: Lanes, r: Value, t: Value) -> Pair:
    """1 + r + t as a pair."""
    high, low = b.fast_two_sum(1.0, r)
    return high, b.add(low, t)


def exp(b: Lanes, x: Value) -> Value:
    """e^x."""
    return exp_plain(b, b.clamp(x, LOWEST[b.kind], HIGHEST[b.kind]))


def exp_plain(b: Lanes, x: Value) -> Value:
    """e^x between the bounds. What the remainder and the last product but one lose is a fifth of
    an ulp each."""
    count, r = exp_remainder(b, x)
    slope = b.fma(b.poly(table.EXP[b.kind], r), r, 1.0)
    return b.scale(b.fma(slope, r, 1.0), count)


def exp_plus_one(b: Lanes, x: Value) -> Pair:
    """e^x + 1 for x >= 0 that does not overflow, in two parts."""
    n, r = exp_remainder(b, x)
    s = b.fma(b.mul(r, r), b.poly(table.EXP[b.kind], r), r)
    power = b.scale(b.c(1.0), n)
    one_more = b.add(power, 1.0)
    high = b.fma(power, s, one_more)
    return high, b.fma(power, s, b.sub(one_more, high))


def exp_remainder(b: Lanes, x: Value) -> tuple[Value, Value]:
    """(n, r) with x = n ln 2 + r, rounded."""
    n, count = b.round_scaled(x, table.INV_LN2["d"][0])
    high, low = table.LN2["f" if b.kind == "f" else "d"]
    return count, b.fma(n, -low, b.fma(n, -high, x))


def exp2(b: Lanes, x: Value) -> Value:
    """2^x: the remainder f = x - n is exact, the polynomial of e^(f ln 2) one of f."""
    x = b.clamp(x, *{"d": (-1080.0, 1025.0), "f": (-152.0, 129.0)}[b.kind])
    n, count = b.round_scaled(x, 1.0)
    f = b.sub(x, n)
    slope = b.poly(tuple(c * LN2**k for k, c in enumerate(table.EXP[b.kind], 2)), f)
    return b.scale(b.fma(b.fma(slope, f, LN2), f, 1.0), count)


def expm1(b: Lanes, x: Value) -> Value:
    """e^x - 1 = (2^n - 1) + 2^n r + 2^n (e^r - 1 - r); what the first two sums lose is carried
    along, all by halves, which do not overflow. The sign of x is copied back for -0."""
    low = -40.0 if b.kind == "d" else -20.0
    n, r, rest = reduced(b, b.clamp(x, low, HIGHEST[b.kind]))
    assert rest is not None  # kind "m" has no need of this function
    power = b.pow2(b.int_op("sub", n, 1))
    start = b.sub(power, 0.5)
    lost = b.sub(b.sub(power, start), 0.5)  # it counts from 2^54 (2^25) on
    high = b.fma(power, r, start)
    lost = b.add(b.fma(power, r, b.sub(start, high)), lost)
    first, *others = table.EXP["d" if b.kind == "d" else "m"]  # a degree more than exp itself has
    square = b.mul(r, r)
    cube = b.fma(b.mul(square, r), b.poly(tuple(others), r), rest)
    tail = b.fma(b.mul(power, square), first, b.fma(power, cube, lost))
    y = b.mul(b.add(high, tail), 2.0)
    near = 2.0 ** -(b.mantissa + 2)  # where e^x - 1 = x, which may be subnormal
    return b.copysign(b.sel(b.cmp("olt", b.abs(x), near), x, y), x)


def inverse_pair(b: Lanes, d: Value, low: Value) -> Pair:
    """(i, w) with 1 / (d + low) = i (1 + w)."""
    inverse = b.div(1.0, d)
    return inverse, b.nfma(inverse, low, b.nfma(inverse, d, b.c(1.0)))


def sigmoid(b: Lanes, x: Value) -> Value:
    """1 / (1 + e^-x) = 2^n / (2^n + e^(n ln 2 - x)), where nothing overflows or cancels; the sum is
    made in two parts."""
    x = b.clamp(x, LOWEST[b.kind], 40.0 if b.kind == "d" else 20.0)
    count, r = exp_remainder(b, x)
    r = b.neg(r)
    square, slope = b.mul(r, r), b.poly(table.EXP[b.kind], r)
    s = b.fma(square, slope, r)
    power = b.scale(b.c(1.0), count)
    small = b.cmp("olt", power, 1.0)
    more, less = b.sel(small, 1.0, power), b.sel(small, power, 1.0)
    high, low = b.fast_two_sum(more, less)
    high, rest = b.fast_two_sum(high, s)
    low = b.add(low, b.fma(square, slope, b.sub(r, s)))
    inverse, w = inverse_pair(b, high, b.add(rest, low))
    return b.scale(b.fma(inverse, w, inverse), count)
