"""pow.

Method: log |x| as a double-double (series in s = (m-1)/(m+1), minimax by Remez, leading terms and
their errors carried), times y, then e to a double-double. Special cases as C99 F.9.4.4, which are
NumPy's. Float32 goes through a plain float64 logarithm.
"""

from __future__ import annotations

from symgraph.codegen.vmath import coefficients as table
from symgraph.codegen.vmath.exponential import exp_parts
from symgraph.codegen.vmath.lanes import Lanes, Pair
from symgraph.codegen.vmath.logarithm import (
    INFINITY,
    NAN,
    exponent_and_rest,
    log_of,
    split_exponent,
)
from symgraph.codegen.writer import Value


def pow(b: Lanes, x: Value, y: Value) -> Value:
    """x^y."""
    a = b.abs(x)
    exponent = b.clamp(y, -(2.0**80), 2.0**80)  # more would make inf - inf in the products
    if b.kind == "m":
        logarithm = log_of(b, *exponent_and_rest(b, a))
        product = b.clamp(b.mul(logarithm, exponent), -300.0, 300.0)
        k, r, t = exp_parts(b, product)
        v = b.mul(b.add(b.add(r, t), 1.0), b.pow2(k))
    else:
        n, m = split_exponent(b, a)
        v = _exp_pair(b, *times(b, log_double(b, b.to_float(n), b.sub(m, 1.0)), exponent))
    plain = b.both(b.cmp("ogt", x, 0.0), b.cmp("olt", a, INFINITY))
    plain = b.both(plain, b.cmp("olt", b.abs(y), INFINITY))
    mixed = b.any(b.invert(plain))  # a fifth of the time is saved where all lanes are plain
    return b.fn.if_(mixed, lambda: [_special(b, x, y, a, v)], lambda: [v], [b.F])[0]


def log_double(b: Lanes, count: Value, f: Value) -> Pair:
    """log(2^count (1 + f)) to about 68 bits."""
    d = b.add(f, 2.0)
    d_low = b.sub(f, b.sub(d, 2.0))
    inverse = b.div(1.0, d)
    s = b.mul(f, inverse)
    s_low = b.mul(b.nfma(s, d_low, b.nfma(s, d, f)), inverse)
    z = b.mul(s, s)
    z_low = b.fma(s, b.mul(s_low, 2.0), b.fma(s, s, b.neg(z)))
    third, third_low = table.TWO_THIRDS["d"]
    g, g_low = b.fast_two_sum(third, b.mul(b.poly(table.POW_LOG["d"], z), z))
    g_low = b.add(g_low, third_low)
    u, u_low = b.two_product(z, g)  # z (2/3 + ...)
    u_low = b.fma(z, g_low, b.fma(z_low, g, u_low))
    v, v_low = b.two_product(s, u)
    v_low = b.fma(s, u_low, b.fma(s_low, u, v_low))
    high, low = table.LN2["d"]
    a, e1 = b.fast_two_sum(b.mul(count, high), b.mul(s, 2.0))
    a, e2 = b.fast_two_sum(a, v)
    rest = b.add(b.fma(count, low, b.fma(s_low, 2.0, e1)), b.add(e2, v_low))
    return b.fast_two_sum(a, rest)


def times(b: Lanes, logarithm: Pair, y: Value) -> Pair:
    p, low = b.two_product(logarithm[0], y)
    low = b.fma(logarithm[1], y, low)
    over = b.cmp("ogt", b.abs(p), 1000.0)
    return b.clamp(p, -1000.0, 1000.0), b.sel(over, 0.0, low)


def _exp_pair(b: Lanes, high: Value, low: Value) -> Value:
    n, r, t = exp_parts(b, high)
    t = b.fma(b.add(r, t), low, b.add(t, low))
    return b.scale(b.add(b.add(r, t), 1.0), n)


def _special(b: Lanes, x: Value, y: Value, a: Value, v: Value) -> Value:
    whole = b.cmp("oeq", b.rint(y), y)
    half = b.mul(y, 0.5)
    odd = b.both(whole, b.cmp("one", b.rint(half), half))
    rising = b.cmp("ogt", y, 0.0)
    v = b.sel(b.cmp("oeq", a, INFINITY), b.sel(rising, INFINITY, 0.0), v)
    v = b.sel(b.cmp("oeq", a, 0.0), b.sel(rising, 0.0, INFINITY), v)
    v = b.sel(b.both(b.int_cmp("slt", b.to_bits(x), 0), odd), b.neg(v), v)
    finite_negative = b.both(b.cmp("olt", x, 0.0), b.cmp("one", a, INFINITY))
    v = b.sel(b.both(finite_negative, b.invert(whole)), NAN, v)
    unit = b.both(b.cmp("oeq", a, 1.0), b.cmp("oeq", b.abs(y), INFINITY))
    v = b.sel(unit, 1.0, v)
    v = b.sel(b.cmp("uno", x, y), NAN, v)
    return b.sel(b.either(b.cmp("oeq", x, 1.0), b.cmp("oeq", y, 0.0)), 1.0, v)
