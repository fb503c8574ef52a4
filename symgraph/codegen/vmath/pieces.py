"""What the special functions are put together from: quotients of polynomials, logarithms in two
parts, exponentials scaled last, sine and cosine of pi x."""

from __future__ import annotations

from collections.abc import Mapping

from symgraph.codegen.vmath import coefficients as elementary
from symgraph.codegen.vmath.exponential import exp_parts
from symgraph.codegen.vmath.lanes import Lanes, Operand, Pair
from symgraph.codegen.vmath.logarithm import exponent_and_rest, log_parts
from symgraph.codegen.vmath.trigonometric import cosine_near, sine_near
from symgraph.codegen.writer import Value

Rational = tuple[tuple[float, ...], tuple[float, ...]]
Table = Mapping[str, Rational]


def parts(b: Lanes, rows: Table, x: Value) -> tuple[Value, Value]:
    """Numerator and denominator of a fitted function at x."""
    top, under = rows[b.kind]
    return b.poly(top, x), b.c(1.0) if len(under) == 1 else b.poly(under, x)


def fitted(b: Lanes, rows: Table, x: Value, lead: float = 0.0) -> Value:
    """A fitted function at x, less `lead` in the fit: of the fit's errors the sum keeps a part."""
    part = _quotient(b, rows, x)
    return b.add(part, lead) if lead else part


def _quotient(b: Lanes, rows: Table, x: Value) -> Value:
    top, under = parts(b, rows, x)
    return top if len(rows[b.kind][1]) == 1 else b.div(top, under)


def over_root(b: Lanes, rows: Table, w: Value, x: Value, lead: float) -> Pair:
    """(lead + a function fitted at w) / sqrt(x) in two parts; the second is 0 in kind "m"."""
    root = b.sqrt(x)
    if b.kind == "m":
        return b.div(fitted(b, rows, w, lead), root), b.c(0.0)
    top, e = b.fast_two_sum(lead, _quotient(b, rows, w))
    inverse = b.div(1.0, root)
    q = b.mul(top, inverse)
    lost = b.mul(b.mul(b.nfma(root, root, x), 0.5), inverse)  # what the root lacks
    return q, b.mul(b.nfma(q, lost, b.add(b.nfma(q, root, top), e)), inverse)


def log_in_parts(b: Lanes, x: Value) -> Pair:
    """log(x) of positive finite x, high and low; the low part is 0 in kind "m"."""
    high, low = log_parts(b, *exponent_and_rest(b, x))
    return (high, low) if b.kind == "m" else b.fast_two_sum(high, low)


def times_exp(
    b: Lanes, c: Operand, x: Value, low: Value | None = None, c_low: Value | None = None
) -> Value:
    """(c + c_low) e^(x + low): the power of two is multiplied last, so that only the result may
    overflow."""
    limit = 1400.0 if b.kind == "d" else 700.0
    n, r, t = exp_parts(b, b.clamp(x, -limit, limit))
    if low is not None:
        t = b.fma(b.add(r, t), low, b.add(t, low))
    factor, growth = b.c(c), b.add(r, t)
    if c_low is None:
        return b.scale(b.fma(growth, factor, factor), n)
    rest = b.fma(growth, c_low, c_low)
    return b.scale(b.add(factor, b.fma(growth, factor, rest)), n)


def sin_cos_pi(b: Lanes, x: Value) -> tuple[Pair, Pair]:
    """sin(pi r) and cos(pi r) with r = x - rint(x), each as an unrounded sum; of either sine or
    cosine of pi x it is the value but for the sign of odd rint(x). The sine is 0 for integers."""
    r = b.sub(x, b.rint(x))
    turn = b.rint(b.mul(r, 2.0))  # -1, 0 or 1 quarters
    t = b.fma(turn, -0.5, r)
    pi = 2 * elementary.PI_2["d"][0], 2 * elementary.PI_2["d"][1]
    high = b.mul(t, pi[0])
    low = None if b.kind == "m" else b.fma(t, pi[1], b.fma(t, pi[0], b.neg(high)))
    s, c = sine_near(b, high, low), cosine_near(b, high, low)
    still = b.cmp("oeq", turn, 0.0)
    sine = [b.sel(still, s[k], b.copysign(c[k], turn) if k == 0 else b.mul(c[k], turn))
            for k in range(2)]  # fmt: skip
    cosine = [b.sel(still, c[k], b.mul(s[k], b.neg(turn))) for k in range(2)]
    return (sine[0], sine[1]), (cosine[0], cosine[1])


def is_odd(b: Lanes, whole: Value) -> Value:
    """Whether a whole number, as a float, is odd."""
    half = b.mul(whole, 0.5)
    return b.cmp("une", b.rint(half), half)
