"""log, log1p, log2, log10, softplus.

Method: x = 2^n m with m in [sqrt(1/2), sqrt(2)), then with f = m - 1 and s = f/(2+f)
log(1+f) = f - f^2/2 + s (f^2/2 + R(s^2)), R minimax (Remez). The leading terms are summed without
error. K. C. Ng in FDLIBM; P. T. P. Tang, Table-driven implementation of the logarithm, 1990.
"""

from __future__ import annotations

from symgraph.codegen.vmath import coefficients as table
from symgraph.codegen.vmath.exponential import LOWEST, exp_parts, one_plus
from symgraph.codegen.vmath.lanes import Lanes, Pair
from symgraph.codegen.writer import Value

Parts = tuple[float, ...]
INFINITY, NAN = float("inf"), float("nan")
_SQRT_HALF_BITS = {"float64": 0x3FE6A09E667F3BCD, "float32": 0x3F3504F3}


def split_exponent(b: Lanes, x: Value, subnormal: bool = True) -> tuple[Value, Value]:
    """Positive finite x -> (integer lanes n, m in [sqrt(1/2), sqrt(2))) with x = 2^n m."""
    offset: Value | int = 0
    if subnormal and b.kind != "m":  # a float32 is no subnormal as a double
        tiny, up = b.cmp("olt", x, 2.0 ** (1 - b.bias)), b.mantissa + 2
        x = b.sel(tiny, b.mul(x, 2.0**up), x)
        offset = b.int_sel(tiny, -up, 0)
    bits = b.to_bits(x)
    n = b.int_op("ashr", b.int_op("sub", bits, _SQRT_HALF_BITS[b.dtype]), b.mantissa)
    m = b.from_bits(b.int_op("sub", bits, b.int_op("shl", n, b.mantissa)))
    return (n if offset == 0 else b.int_op("add", n, offset)), m


def log_fraction(b: Lanes, f: Value, f_low: Value | None = None) -> Pair:
    """log(1 + f + f_low) as a pair, for 1 + f in [sqrt(1/2), sqrt(2)]."""
    s = b.div(f, b.add(f, 2.0))
    z = b.mul(s, s)
    rest = b.mul(z, b.poly(table.LOG[b.kind], z))
    half = b.mul(f, 0.5)
    square = b.mul(half, f)
    low = b.fma(half, f, b.neg(square))
    high, e = b.fast_two_sum(f, b.neg(square))
    low = b.sub(e, low)
    if f_low is not None:  # d log(1+f) = f_low / (1+f), and 1/(1+f) = (1-s)/(1+s) = 1 - 2s + 2s^2
        low = b.fma(f_low, b.fma(b.fma(s, 2.0, -2.0), s, 1.0), low)
    return high, b.fma(s, b.add(square, rest), low)


def _log_short(b: Lanes, f: Value) -> Value:
    """log(1 + f) in kind "m"."""
    s = b.div(f, b.add(f, 2.0))
    z = b.mul(s, s)
    square = b.mul(b.mul(f, 0.5), f)
    rest = b.mul(z, b.poly(table.LOG[b.kind], z))
    return b.sub(f, b.sub(square, b.mul(s, b.add(square, rest))))


def log_parts(b: Lanes, n: Value, f: Value, f_low: Value | None = None) -> Pair:
    """log(2^n (1 + f + f_low)), n as float lanes, in two parts of which the first is not rounded
    last; the second is 0 in kind "m"."""
    if b.kind == "m":
        f = f if f_low is None else b.add(f, f_low)
        return b.fma(n, table.LN2_DD["d"][0], _log_short(b, f)), b.c(0.0)
    high, low = table.LN2[b.kind]
    fraction, rest = log_fraction(b, f, f_low)
    total, e = b.fast_two_sum(b.mul(n, high), fraction)  # n is 0 or |n ln 2| > |fraction|
    return total, b.fma(n, low, b.add(e, rest))


def log_of(b: Lanes, n: Value, f: Value, f_low: Value | None = None) -> Value:
    """log(2^n (1 + f + f_low)), n as float lanes."""
    high, low = log_parts(b, n, f, f_low)
    return high if b.kind == "m" else b.add(high, low)


def log_pair(b: Lanes, high: Value, low: Value, doublings: Value | int = 0) -> Value:
    """log((high + low) 2^doublings) for positive normal `high`; exact where the sum is near 1."""
    return log_of(b, *_pair_split(b, high, low, doublings))


def _pair_split(
    b: Lanes, high: Value, low: Value, doublings: Value | int = 0
) -> tuple[Value, Value, Value]:
    n, m = split_exponent(b, high, subnormal=False)
    low = b.mul(low, b.pow2(b.int_op("sub", 0, b.int_min(n, b.bias - 2))))
    f, rest = b.two_sum(b.sub(m, 1.0), low)
    n = n if doublings == 0 else b.int_op("add", n, doublings)
    return b.to_float(n), f, rest


def _ends(b: Lanes, x: Value, y: Value, zero: float) -> Value:
    """The special values of a logarithm whose argument vanishes at x = `zero`."""
    y = b.sel(b.cmp("oeq", x, zero), -INFINITY, y)
    y = b.sel(b.cmp("ult", x, zero), NAN, y)
    return b.sel(b.cmp("oeq", x, INFINITY), INFINITY, y)


def log(b: Lanes, x: Value) -> Value:
    """The natural logarithm."""
    n, m = split_exponent(b, x)
    return _ends(b, x, log_of(b, b.to_float(n), b.sub(m, 1.0)), 0.0)


def log1p(b: Lanes, x: Value) -> Value:
    """log(1 + x); what the sum 1 + x loses is carried along."""
    y = _ends(b, x, log_pair(b, *b.two_sum(x, 1.0)), -1.0)
    return b.sel(b.cmp("olt", b.abs(x), 2.0 ** -(b.mantissa + 2)), x, y)  # -0, subnormals


def _scaled_log(b: Lanes, x: Value, unit: Parts, log2: Parts) -> Value:
    """n log2 + log(m) unit, both constants in two parts."""
    n, m = split_exponent(b, x)
    high, low = log_fraction(b, b.sub(m, 1.0))
    high, low = b.fast_two_sum(high, low)
    p, e = b.two_product(high, unit[0])
    e = b.add(e, b.fma(high, unit[1], b.mul(low, unit[0])))
    count = b.to_float(n)
    total, rest = b.fast_two_sum(b.mul(count, log2[0]), p)
    return _ends(b, x, b.add(total, b.fma(count, log2[1], b.add(rest, e))), 0.0)


def log2(b: Lanes, x: Value) -> Value:
    """The logarithm to base 2, exact for powers of 2."""
    return _scaled_log(b, x, table.INV_LN2[b.kind], (1.0, 0.0))


def log10(b: Lanes, x: Value) -> Value:
    """The logarithm to base 10."""
    return _scaled_log(b, x, table.INV_LN10[b.kind], table.LOG10_2[b.kind])


def softplus(b: Lanes, x: Value) -> Value:
    """log(1 + e^x) = max(x, 0) + log1p(e^-|x|)."""
    a = b.neg(b.abs(x))
    a = b.sel(b.cmp("olt", a, LOWEST[b.kind]), LOWEST[b.kind], a)
    n, r, t = exp_parts(b, a)
    high, low = b.fast_two_sum(*one_plus(b, r, t))
    e, e_low = b.scale(high, n), b.scale(low, n)
    one, rest = b.fast_two_sum(1.0, e)
    log, log_low = log_parts(b, *_pair_split(b, one, b.add(rest, e_low)))
    top = b.sel(b.cmp("olt", x, 0.0), 0.0, x)
    y, e = b.two_sum(top, log)
    y = b.add(y, b.add(e, log_low))
    return b.sel(b.cmp("oeq", top, INFINITY), top, y)
