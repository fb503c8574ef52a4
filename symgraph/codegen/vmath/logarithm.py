"""log, log1p, log2, log10, softplus.

Method: x = 2^n m with m in [3/4, 3/2). In float32 a polynomial of m - 1 follows, in float64 one of
r = c m - 1, where c and -log(c) come from a table of sixteen; polynomials minimax (Remez). The
leading terms are summed without error. P. T. P. Tang, Table-driven implementation of the
logarithm, 1990.
"""

from __future__ import annotations

from symgraph.codegen.vmath import coefficients as table
from symgraph.codegen.vmath.exponential import (
    LN2,
    LOWEST,
    exp_parts,
    one_plus,
    reduced,
)
from symgraph.codegen.vmath.lanes import Lanes, Pair
from symgraph.codegen.writer import Value

Parts = tuple[float, ...]
INFINITY, NAN = float("inf"), float("nan")
# the least m: the root of 1/2, and in float32 3/4
_THREE_QUARTERS = {"float64": 0x3FE8000000000000, "float32": 0x3F400000}
_SQRT_HALF_BITS = {"float64": 0x3FE6A09E667F3BCD, "float32": 0x3F400000}


def split_exponent(
    b: Lanes, x: Value, subnormal: bool = True, lowest: int = 0
) -> tuple[Value, Value]:
    """Positive finite x -> (integer lanes n, m in [sqrt(1/2), sqrt(2))) with x = 2^n m; `lowest`
    are the bits of another least m."""
    offset: Value | int = 0
    if subnormal and b.kind != "m":  # a float32 is no subnormal as a double
        tiny, up = b.cmp("olt", x, 2.0 ** (1 - b.bias)), b.mantissa + 2
        x = b.sel(tiny, b.mul(x, 2.0**up), x)
        offset = b.int_sel(tiny, -up, 0)
    bits = b.to_bits(x)
    n = b.int_op("ashr", b.int_op("sub", bits, lowest or _SQRT_HALF_BITS[b.dtype]), b.mantissa)
    m = b.from_bits(b.int_op("sub", bits, b.int_op("shl", n, b.mantissa)))
    return (n if offset == 0 else b.int_op("add", n, offset)), m


def exponent_and_rest(b: Lanes, x: Value, subnormal: bool = True) -> tuple[Value, Value]:
    """Positive finite x -> (n, m in [3/4, 3/2)), both floats, with x = 2^n m. What else there is
    gets numbers without meaning."""
    if b.avx512:
        m = b.x86("mask.getmant", "FNF", x, "3", x)
        n, one = (b.x86("mask.getexp", "FF", v, v) for v in (x, m))
        return b.sub(n, one), m
    n, m = split_exponent(b, x, subnormal, _THREE_QUARTERS[b.dtype])
    return b.to_float(n), m


def log_parts(b: Lanes, n: Value, m: Value, low: Value | None = None) -> Pair:
    """log(2^n (m + low)) for floats n and m in [3/4, 3/2), in two parts of which the first is not
    rounded last; the second is 0 in kind "m"."""
    if b.kind == "f":
        return _log_parts_by_polynomial(b, n, m, low)
    index = b.int_op("lshr", b.to_bits(m), 48)
    c, start = b.lookup(table.RECIPROCAL, index), b.lookup(table.RECIPROCAL_LOG, index)
    r = b.fma(c, m, -1.0)
    if b.kind == "m":
        r = r if low is None else b.fma(c, low, r)
        start = b.fma(n, LN2, start)
        return b.add(start, b.fma(b.mul(r, r), b.poly(table.LOG1P["m"], r), r)), b.c(0.0)
    tail = b.lookup(table.RECIPROCAL_LOG_LOW, index)
    high_2, low_2 = table.LN2["d"]
    start, tail = b.fma(n, high_2, start), b.fma(n, low_2, tail)  # the first is exact
    rest = None
    if low is not None:
        r, rest = b.fast_two_sum(r, b.mul(c, low))  # where r is not 0, and small, log(c) counts
    total, e = b.fast_two_sum(start, r)  # start is 0 or greater than r
    tail = b.fma(b.mul(r, r), b.poly(table.LOG1P["d"], r), b.add(tail, e))
    return total, tail if rest is None else b.fma(rest, b.sub(1.0, r), tail)


def _log_parts_by_polynomial(b: Lanes, n: Value, m: Value, low: Value | None) -> Pair:
    """The same in float32, where one polynomial serves all m."""
    f, e = b.sub(m, 1.0), None
    if low is not None:  # d log(1+f) = e / (1+f)
        f, e = b.fast_two_sum(f, low)
        e = b.mul(e, b.fma(b.sub(f, 1.0), f, 1.0))
    square, slope = b.mul(f, f), b.poly(table.LOG1P_CUBE["f"], f)
    ln_2, ln_2_low = table.LN2["f"]
    total, lost = b.fast_two_sum(b.mul(n, ln_2), f)  # n is 0 or |n ln 2| > |f|
    tail = b.fma(n, ln_2_low, lost if e is None else b.add(lost, e))
    return total, b.fma(square, b.fma(slope, f, -0.5), tail)


def _log_near_one(b: Lanes, m: Value) -> Pair:
    """log(m) in float32, of which f - f^2/2 without error."""
    f = b.sub(m, 1.0)
    square, slope = b.mul(f, f), b.poly(table.LOG1P_CUBE["f"], f)
    half = b.mul(f, -0.5)
    high = b.fma(half, f, f)
    lost = b.fma(half, f, b.sub(f, high))
    return high, b.fma(b.mul(square, f), slope, lost)


def log_of(b: Lanes, n: Value, m: Value, low: Value | None = None) -> Value:
    """log(2^n (m + low)), n as float lanes."""
    parts = log_parts(b, n, m, low)
    return parts[0] if b.kind == "m" else b.total(parts)


def log_pair(b: Lanes, high: Value, low: Value, doublings: Value | None = None) -> Value:
    """log((high + low) 2^doublings) for positive normal `high`; exact where the sum is near 1."""
    return log_of(b, *_pair_split(b, high, low, doublings))


def _pair_split(
    b: Lanes, high: Value, low: Value, doublings: Value | None = None
) -> tuple[Value, Value, Value]:
    if b.avx512:
        n, m = exponent_and_rest(b, high)
        low = b.x86("mask.scalef", "FFF", low, b.neg(n), low)
    else:
        count, m = split_exponent(b, high, False, _THREE_QUARTERS[b.dtype])
        low = b.mul(low, b.pow2(b.int_op("sub", 0, b.int_min(count, b.bias - 2))))
        n = b.to_float(count)
    return n if doublings is None else b.add(n, doublings), m, low


def _ends(b: Lanes, x: Value, y: Value) -> Value:
    """The special values of the logarithm of x, y otherwise."""
    if b.avx512:
        # a digit for each class of x: -inf for 0, NaN for negative ones, inf and NaN themselves
        return b.x86("mask.fixupimm", "FFIN", y, x, b.i(0x03530422), "0")
    y = b.sel(b.cmp("oeq", x, 0.0), -INFINITY, y)
    y = b.sel(b.cmp("ult", x, 0.0), NAN, y)
    return b.sel(b.cmp("oeq", x, INFINITY), INFINITY, y)


def log(b: Lanes, x: Value) -> Value:
    """The natural logarithm."""
    n, m = exponent_and_rest(b, x)
    return _ends(b, x, log_of(b, n, m))


def log1p(b: Lanes, x: Value) -> Value:
    """log(1 + x); what the sum 1 + x loses is carried along."""
    above = b.cmp("ogt", x, 1.0)
    high, low = b.fast_two_sum(b.sel(above, x, 1.0), b.sel(above, 1.0, x))
    y = _ends(b, high, log_pair(b, high, low))
    return b.sel(b.cmp("olt", b.abs(x), 2.0 ** -(b.mantissa + 2)), x, y)  # -0, subnormals


def _to_base(b: Lanes, x: Value, unit: Parts, log2: Parts, logs: tuple[Parts, Parts]) -> Value:
    """log(x) unit, where log2 is log(2) unit and `logs` are -log(c) unit of the table, all in two
    parts; of the first order everything is carried."""
    n, m = exponent_and_rest(b, x)
    if b.kind == "f":
        start, start_low = b.mul(n, log2[0]), None
        r, rest = _log_near_one(b, m)
    else:
        index = b.int_op("lshr", b.to_bits(m), 48)
        start = b.fma(n, log2[0], b.lookup(logs[0], index))  # exact
        start_low = b.lookup(logs[1], index)
        r = b.fma(b.lookup(table.RECIPROCAL, index), m, -1.0)
        rest = b.mul(b.mul(r, r), b.poly(table.LOG1P["d"], r))
    p, tail = b.two_product(r, unit[0])
    tail = b.fma(n, log2[1], tail) if log2[1] else tail
    tail = b.fma(r, unit[1], tail if start_low is None else b.add(tail, start_low))
    total, lost = b.fast_two_sum(start, p)  # start is 0 or greater than p
    tail = b.fma(rest, unit[0], b.add(tail, lost))
    return _ends(b, x, b.add(total, tail))


def log2(b: Lanes, x: Value) -> Value:
    """The logarithm to base 2, exact for powers of 2."""
    logs = table.RECIPROCAL_LOG2, table.RECIPROCAL_LOG2_LOW
    return _to_base(b, x, table.INV_LN2[b.kind], (1.0, 0.0), logs)


def log10(b: Lanes, x: Value) -> Value:
    """The logarithm to base 10."""
    logs = table.RECIPROCAL_LOG10, table.RECIPROCAL_LOG10_LOW
    return _to_base(b, x, table.INV_LN10[b.kind], table.LOG10_2[b.kind], logs)


def softplus(b: Lanes, x: Value) -> Value:
    """log(1 + e^x) = max(x, 0) + log1p(e^-|x|)."""
    a = b.neg(b.abs(x))
    a = b.sel(b.cmp("olt", a, LOWEST[b.kind]), LOWEST[b.kind], a)
    if b.kind == "f":
        return _softplus_by_polynomial(b, x, a)
    n, r, t = exp_parts(b, a)
    high, low = b.fast_two_sum(*one_plus(b, r, t))
    e, e_low = b.scale(high, n), b.scale(low, n)
    one, rest = b.fast_two_sum(1.0, e)
    log, log_low = log_parts(b, *_pair_split(b, one, b.add(rest, e_low)))
    top = b.sel(b.cmp("olt", x, 0.0), 0.0, x)
    y, e = b.two_sum(top, log)
    y = b.add(y, b.add(e, log_low))
    return b.sel(b.cmp("oeq", top, INFINITY), top, y)


def _softplus_by_polynomial(b: Lanes, x: Value, a: Value) -> Value:
    """The same in float32 with a = -|x|: log1p(e) = e k + e v, where e = e^a has two parts, k is 1
    or, for greater e, 3/4, and v is small, of a polynomial around e = 1/2. What the products and
    the sums with e k lose is carried along."""
    n, r, rest = reduced(b, a)
    assert rest is not None
    tail = b.fma(b.mul(r, r), b.poly(table.EXP["f"], r), rest)
    high, low = b.fast_two_sum(r, tail)  # e^a = 2^n (1 + high + low)
    power = b.scale(b.c(1.0), n)
    e = b.fma(power, high, power)
    low = b.fma(power, low, b.fma(power, high, b.sub(power, e)))
    u = b.sub(e, 0.5)
    first, *others = table.SOFTPLUS["f"]
    great = b.cmp("ogt", e, 0.25)
    k, start = b.sel(great, 0.75, 1.0), b.sel(great, first + 0.25, first)
    v = b.fma(b.poly(tuple(others), u), u, start)
    main, lost = b.two_product(e, k)
    small = b.fma(e, v, b.fma(low, k, lost))
    top = b.sel(b.cmp("olt", x, 0.0), 0.0, x)
    y, lost = b.two_sum(top, main)
    y = b.add(y, b.add(small, lost))
    return b.sel(b.cmp("oeq", top, INFINITY), top, y)
