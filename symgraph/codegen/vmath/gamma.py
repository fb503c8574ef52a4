"""gamma, lgamma and their derivatives digamma, trigamma, and the zeta function of Hurwitz.

Method: on [1, 3] quotients of polynomials, with the zeros taken out; above Stirling's formula with
a fitted correction, the logarithm in two parts; below 1 one step of the recurrence; negative
arguments by reflection, in a block that is skipped where no lane has one. J. F. Hart et al.,
Computer Approximations, 1968; zeta by Euler and Maclaurin's summation as S. L. Moshier's Cephes.
"""

from __future__ import annotations

import math

from symgraph.codegen.vmath import coefficients as elementary
from symgraph.codegen.vmath import special_coefficients as table
from symgraph.codegen.vmath.exponential import exp_parts
from symgraph.codegen.vmath.lanes import Lanes, Pair
from symgraph.codegen.vmath.logarithm import INFINITY, NAN, log, split_exponent
from symgraph.codegen.vmath.pieces import fitted, is_odd, log_in_parts, sin_cos_pi
from symgraph.codegen.vmath.power import log_double, pow, times
from symgraph.codegen.writer import Value

_LOW_END = 3.0
_ROOT_2_PI = math.sqrt(2 * math.pi)
_SHIFT = 0.5 * math.log(2 * math.pi) - 0.5
PI = 2 * elementary.PI_2["d"][0], 2 * elementary.PI_2["d"][1]
_TINY = 2.0**-520  # here 1/x^2 overflows, and what is beside 1/x is lost


def _reduced(b: Lanes, a: Value) -> tuple[Value, Value]:
    """(s, below): the argument of the fits on [1, 3] is 1 + s, below 1 one step up."""
    below = b.cmp("olt", a, 1.0)
    return b.sel(below, a, b.sub(a, 1.0)), below


def _reflected(b: Lanes, x: Value, y: Value, value: object) -> Value:
    """y, or where some x is negative `value()`, skipped where none is."""
    negative = b.cmp("olt", x, 0.0)

    def mirror() -> list[Value]:
        return [b.sel(negative, value(), y)]  # type: ignore[operator]

    return b.fn.if_(b.any(negative), mirror, lambda: [y], [b.F])[0]


def lgamma(b: Lanes, x: Value) -> Value:
    """log|gamma(x)|."""
    a = b.abs(x)
    s, below = _reduced(b, a)
    zeros = b.mul(s, b.sel(below, b.sub(a, 1.0), b.sub(a, 2.0)))
    whole = b.add(b.mul(zeros, fitted(b, table.LGAMMA_LOW, s, 0.45)), 0.0)  # -0 at 1
    high, low = log_in_parts(b, a)
    logarithm = b.add(high, low)
    y = b.sel(below, b.sub(b.sub(whole, high), low), whole)
    w = b.div(1.0, a)
    d, e = b.fast_two_sum(high, -1.0)  # (a - 1/2) (log a - 1) + ..., where nothing cancels
    factor = b.sub(a, 0.5)
    rest = b.fma(w, fitted(b, table.LGAMMA_HIGH, b.mul(w, w)), _SHIFT)
    large = b.fma(factor, d, b.fma(factor, b.add(e, low), rest))
    y = b.sel(b.cmp("olt", a, _LOW_END), y, large)
    y = b.sel(b.cmp("oeq", a, 0.0), INFINITY, y)

    def mirror() -> Value:
        sine = b.mul(b.abs(b.total(sin_cos_pi(b, a)[0])), 1 / math.pi)
        value = b.neg(b.add(log(b, sine), b.add(logarithm, y)))
        return b.sel(b.cmp("oeq", b.rint(a), a), INFINITY, value)  # where y is infinite, too

    y = _reflected(b, x, y, mirror)
    y = b.sel(b.cmp("oeq", a, INFINITY), x, y)
    return b.sel(b.cmp("uno", x, x), x, y)


def _stirling(b: Lanes, a: Value) -> tuple[Value, Value]:
    """gamma(a) for a >= 3: a^(a - 1/2) e^-a times a fitted factor, without its power of two."""
    a = b.clamp(a, 1.0, 180.0 if b.kind == "d" else 100.0)  # beyond it overflows
    n, m = split_exponent(b, a, subnormal=False)
    count, f = b.to_float(n), b.sub(m, 1.0)
    factor, correction = b.sub(a, 0.5), fitted(b, table.GAMMA_HIGH, b.div(1.0, a), _ROOT_2_PI)
    if b.kind == "m":
        high, low = log_in_parts(b, a)
        k, r, t = exp_parts(b, b.fma(factor, high, b.neg(a)))
        return b.mul(b.add(b.add(r, t), 1.0), correction), k
    high, low = times(b, log_double(b, count, f), factor)
    high, e = b.two_sum(high, b.neg(a))
    high, low = b.fast_two_sum(high, b.add(e, low))
    k, r, t = exp_parts(b, high)
    t = b.fma(b.add(r, t), low, b.add(t, low))
    return b.fma(b.add(r, t), correction, correction), k


def gamma(b: Lanes, x: Value) -> Value:
    """The gamma function; NaN at negative integers, infinity with the sign of x at 0."""
    a = b.abs(x)
    s, below = _reduced(b, a)
    one_up = fitted(b, table.GAMMA_LOW, s, 1.0)  # gamma(a + 1) below 1
    low, (high, k) = b.cmp("olt", a, _LOW_END), _stirling(b, a)
    y = b.sel(low, b.sel(below, b.div(one_up, a), one_up), b.scale(high, k))
    whole = b.rint(a)

    def mirror() -> Value:
        y = _mirrored(b, a, b.sel(below, 1.0, a), b.sel(low, one_up, high))
        y = b.scale(y, b.int_sel(low, 0, b.int_op("sub", 0, k)))
        y = b.sel(b.cmp("olt", a, 2.0**-60), b.div(-1.0, a), y)
        y = b.sel(is_odd(b, whole), b.neg(y), y)
        return b.sel(b.cmp("oeq", whole, a), NAN, y)

    y = _reflected(b, x, y, mirror)
    y = b.sel(b.cmp("oeq", x, 0.0), b.copysign(INFINITY, x), y)
    return b.sel(b.cmp("uno", x, x), x, y)


def _mirrored(b: Lanes, a: Value, factor: Value, value: Value) -> Value:
    """-pi / (sin(pi r) factor value), r as in sin_cos_pi; only `value` brings an error."""
    sine = sin_cos_pi(b, a)[0]
    if b.kind == "m":
        return b.div(-math.pi, b.mul(b.mul(b.total(sine), factor), value))
    s, s_low = b.fast_two_sum(*sine)
    d, d_low = b.two_product(s, factor)
    d_low = b.fma(s_low, factor, d_low)
    under, under_low = b.two_product(d, value)
    high, low = PI
    return b.total(b.ratio((b.c(-high), b.c(-low)), (under, b.fma(d_low, value, under_low))))


def _less_root(b: Lanes, a: Value, below: Value) -> Value:
    """a, or a + 1 below 1, less the positive zero of digamma."""
    (high, low), (high1, low1) = table.DIGAMMA_ROOT[0], table.DIGAMMA_ROOT_LESS_1[0]
    return b.sel(below, b.sub(b.sub(a, high1), low1), b.sub(b.sub(a, high), low))


def _over_sine(b: Lanes, a: Value, cosine: bool) -> Pair:
    """pi cot(pi r) or pi / sin(pi r), r as in sin_cos_pi, in two parts."""
    s, c = sin_cos_pi(b, a)
    if b.kind == "m":
        return b.div(b.mul(b.total(c), PI[0]) if cosine else PI[0], b.total(s)), b.c(0.0)
    top = b.c(PI[0]), b.c(PI[1])
    if cosine:
        high, low = b.fast_two_sum(*c)
        p, e = b.two_product(high, PI[0])
        top = p, b.add(e, b.fma(high, PI[1], b.mul(low, PI[0])))
    return b.ratio(top, b.fast_two_sum(*s))


def digamma(b: Lanes, x: Value) -> Value:
    """The derivative of log(gamma(x)); NaN at negative integers."""
    a = b.abs(x)
    s, below = _reduced(b, a)
    near = b.mul(_less_root(b, a, below), fitted(b, table.DIGAMMA_LOW, s, 0.75))
    w = b.div(1.0, a)
    z = b.mul(w, w)
    far = b.nfma(z, fitted(b, table.DIGAMMA_HIGH, z), b.fma(w, -0.5, log(b, a)))
    y = b.sel(b.cmp("olt", a, _LOW_END), near, far)  # of a + 1 below 1
    one_up = b.sel(below, y, b.add(y, w))
    y = b.sel(below, b.sub(y, w), y)

    def mirror() -> Value:
        high, low = _over_sine(b, a, cosine=True)
        value, e = b.two_sum(one_up, high)
        value = b.sel(b.cmp("olt", a, _TINY), w, b.add(value, b.add(e, low)))
        return b.sel(b.cmp("oeq", b.rint(a), a), NAN, value)

    y = _reflected(b, x, y, mirror)
    y = b.sel(b.cmp("oeq", a, INFINITY), b.sel(b.cmp("ogt", x, 0.0), INFINITY, NAN), y)
    y = b.sel(b.cmp("oeq", x, 0.0), b.neg(b.copysign(INFINITY, x)), y)
    return b.sel(b.cmp("uno", x, x), x, y)


def trigamma(b: Lanes, x: Value) -> Value:
    """The derivative of digamma; infinity at its poles."""
    a = b.abs(x)
    up = b.either(b.cmp("olt", a, 1.0), b.cmp("olt", x, 0.0))
    w = b.div(1.0, b.sel(up, b.add(a, 1.0), a))
    one_up = b.fma(b.mul(w, w), fitted(b, table.TRIGAMMA, w), w)
    inverse = b.div(1.0, a)
    y = b.sel(up, b.fma(inverse, inverse, one_up), one_up)

    def mirror() -> Value:
        high, low = _over_sine(b, a, cosine=False)
        value = b.fma(high, high, b.fma(b.mul(high, 2.0), low, b.neg(one_up)))
        pole = b.either(b.cmp("oeq", b.rint(a), a), b.cmp("olt", a, _TINY))
        return b.sel(pole, INFINITY, value)

    y = _reflected(b, x, y, mirror)
    return b.sel(b.cmp("uno", x, x), x, y)


# zeta ---------------------------------------------------------------------------------------------

# (2k)! / B_2k, k = 1 to 12
_BERNOULLI = (
    12.0, -720.0, 30240.0, -1209600.0, 47900160.0, -1307674368000.0 / 691, 74724249600.0,
    -10670622842880000.0 / 3617, 5109094217170944000.0 / 43867, -802857662698291200000.0 / 174611,
    14101100039391805440000.0 / 77683, -1693824136731743669452800000.0 / 236364091,
)  # fmt: skip
_TERMS = 9  # summed one by one, and so many more that q has passed it
_LOWEST = -(2.0**14)  # poles up to here are passed one by one


def zeta(b: Lanes, x: Value, q: Value) -> Value:
    """The sum of (q + k)^-x for k = 0, 1, ...: infinity at x = 1 and where q + k is 0, NaN for
    x < 1, for q < 0 unless x is whole, and for q below -2^14."""
    whole_q, whole_x = b.cmp("oeq", b.floor(q), q), b.cmp("oeq", b.floor(x), x)
    pole = b.both(b.cmp("ole", q, 0.0), whole_q)
    lost = b.both(b.cmp("olt", q, 0.0), b.invert(whole_x))
    lost = b.either(lost, b.either(b.cmp("ult", x, 1.0), b.cmp("ult", q, _LOWEST)))
    start = b.sel(b.either(pole, lost), 1.0, q)
    start = b.sel(b.cmp("ogt", start, 1e300), 1e300, start)
    power = b.neg(b.clamp(x, 1.0, 1e300))
    count = b.c(0.0)

    def short(v: list[Value]) -> Value:
        return b.any(b.either(b.cmp("olt", v[2], float(_TERMS)), b.cmp("olt", v[1], float(_TERMS))))

    def turn(v: list[Value]) -> list[Value]:
        total, at, k = v
        going = b.either(b.cmp("olt", k, float(_TERMS)), b.cmp("olt", at, float(_TERMS)))
        more = b.add(total, pow(b, at, power))
        return [b.sel(going, more, total), b.sel(going, b.add(at, 1.0), at), b.add(k, 1.0)]

    carried = [(b.F, b.c(0.0)), (b.F, start), (b.F, count)]
    total, at, _ = b.fn.while_(carried, short, turn)
    y = b.add(total, _tail(b, power, at))
    y = b.sel(lost, NAN, b.sel(b.cmp("oeq", x, 1.0), INFINITY, y))
    y = b.sel(b.both(pole, b.cmp("oge", x, 1.0)), INFINITY, y)
    y = b.sel(b.both(b.cmp("oeq", q, INFINITY), b.cmp("ogt", x, 1.0)), 0.0, y)
    return b.sel(b.cmp("uno", x, q), NAN, y)


def _tail(b: Lanes, power: Value, at: Value) -> Value:
    """The sum of (at + k)^power, by the integral and Bernoulli's numbers."""
    x = b.neg(power)
    x = b.sel(b.cmp("ogt", x, 1e3), 1e3, x)  # of so great an exponent nothing is left here
    p = pow(b, at, b.neg(x))
    integral = b.div(b.mul(p, at), b.sub(x, 1.0))
    inverse = b.div(1.0, at)
    total, factor = b.fma(p, 0.5, integral), b.mul(b.mul(p, inverse), x)
    squared = b.mul(inverse, inverse)
    for k, divisor in enumerate(_BERNOULLI):
        total = b.fma(factor, 1 / divisor, total)
        step = b.mul(b.add(x, 2 * k + 1.0), b.add(x, 2 * k + 2.0))
        factor = b.mul(b.mul(factor, squared), step)
    return total
