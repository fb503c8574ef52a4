"""Arithmetic and functions of complex numbers written on their real and imaginary parts.

A pair ``(x, y)`` of real expressions stands for x + iy. The formulas avoid overflow and underflow
in between and give the values of C99's annex G at infinities and signed zeros. Sources: Smith,
"Algorithm 116", CACM 5 (1962) for the quotient; Kahan, "Branch cuts for complex elementary
functions" (1987) for roots and inverse functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from symgraph.scalar import functions as F
from symgraph.scalar.expr import Expr, const

Pair = tuple[Expr, Expr]

MULTIPLIED = 64  # the largest constant integer power that is computed by multiplying


class _Range:
    """Powers of two with which squares of a float type neither overflow nor lose digits."""

    def __init__(self, dtype: str) -> None:
        wide = dtype == "float64"
        self.large, self.down = 2.0 ** (500 if wide else 60), 2.0 ** (-600 if wide else -80)
        self.small, self.up = 2.0 ** (-500 if wide else -60), 2.0 ** (700 if wide else 100)
        self.limit = 700.0 if wide else 80.0  # exp is finite below, with room
        self.moved = 100.0 if wide else 20.0
        self.flat = 22.0 if wide else 11.0  # tanh is 1 above
        self.huge = 2.0 ** (500 if wide else 60)


def _scale(m: Expr) -> tuple[Expr, Expr, Expr]:
    """A power of two by which numbers up to m may be multiplied before they are squared; the root
    of its reciprocal and its logarithm."""
    r = _Range(m.dtype)
    above, below = F.lt(r.large, m), F.lt(m, r.small)

    def choose(down: float, up: float, else_: float) -> Expr:
        low = F.select(below, const(up, m.dtype), const(else_, m.dtype))
        return F.select(above, const(down, m.dtype), low)

    factor = choose(r.down, r.up, 1.0)
    root = choose(r.down**-0.5, r.up**-0.5, 1.0)
    return factor, root, choose(math.log(r.down), math.log(r.up), 0.0)


def _inverse(factor: Expr) -> Expr:
    return F.div(1.0, factor)


# arithmetic ---------------------------------------------------------------------------------------


def add(a: Pair, b: Pair) -> Pair:
    return F.add(a[0], b[0]), F.add(a[1], b[1])


def sub(a: Pair, b: Pair) -> Pair:
    return F.sub(a[0], b[0]), F.sub(a[1], b[1])


def neg(a: Pair) -> Pair:
    return F.neg(a[0]), F.neg(a[1])


def mul(a: Pair, b: Pair) -> Pair:
    # no fused products: the imaginary part of z times its conjugate is exactly 0
    real = F.sub(F.mul(a[0], b[0]), F.mul(a[1], b[1]))
    return real, F.add(F.mul(a[0], b[1]), F.mul(a[1], b[0]))


def div(a: Pair, b: Pair) -> Pair:
    """Smith's quotient: the larger part of the divisor is taken out."""
    (p, q), (x, y) = a, b
    first = F.le(F.abs_(y), F.abs_(x))
    long, short = F.select(first, x, y), F.select(first, y, x)
    nothing = F.eq(long, 0.0)
    ratio = F.select(nothing, 0.0, F.div(short, long))
    whole = F.select(nothing, F.abs_(long), F.add(long, F.mul(short, ratio)))
    u, v = F.select(first, p, q), F.select(first, q, p)
    real = F.div(F.add(u, F.mul(v, ratio)), whole)
    imag = F.div(F.sub(v, F.mul(u, ratio)), whole)
    return real, F.select(first, imag, F.neg(imag))


def abs_(a: Pair) -> Expr:
    """sqrt(x*x + y*y); infinite if a part is, even if the other is NaN."""
    x, y = F.abs_(a[0]), F.abs_(a[1])
    factor, _, _ = _scale(F.maximum(x, y))
    u, v = F.mul(x, factor), F.mul(y, factor)
    length = F.mul(F.sqrt(F.add(F.mul(u, u), F.mul(v, v))), _inverse(factor))
    return F.select(F.or_(F.isinf(x), F.isinf(y)), math.inf, length)


def angle(a: Pair) -> Expr:
    return F.atan2(a[1], a[0])


def sign(a: Pair) -> Pair:
    """z / |z|, 0 for 0; where one part is infinite, its direction, as NumPy has it."""
    length = abs_(a)
    nothing = F.eq(length, 0.0)
    divisor = F.select(nothing, 1.0, length)
    endless = [F.isinf(part) for part in a]
    found = []
    for part, own in zip(a, endless, strict=True):
        far = F.select(F.and_(*endless), math.nan, F.select(own, F.copysign(1.0, part), 0.0))
        near = F.select(nothing, 0.0, F.div(part, divisor))
        found.append(F.select(F.or_(*endless), far, near))
    return found[0], found[1]


# exponentials and logarithms ----------------------------------------------------------------------


def exp(a: Pair) -> Pair:
    x, y = a
    r = _Range(x.dtype)
    large = F.lt(r.limit, x)  # the power may be infinite where its product with sin or cos is not
    e = F.exp(F.sub(x, F.select(large, const(r.moved, x.dtype), 0.0)))
    rest = F.select(large, const(math.exp(r.moved), x.dtype), 1.0)
    real, imag = (F.mul(F.mul(e, part), rest) for part in (F.cos(y), F.sin(y)))
    imag = F.select(F.eq(y, 0.0), y, imag)
    lost = F.not_(F.isfinite(y))
    down, up = F.and_(lost, F.eq(x, -math.inf)), F.and_(lost, F.eq(x, math.inf))
    return F.select(down, 0.0, F.select(up, x, real)), F.select(down, 0.0, imag)


def expm1(a: Pair) -> Pair:
    """exp(z) - 1 = expm1(x) cos y - 2 sin(y/2)**2 + i exp(x) sin y."""
    x, y = a
    half = F.sin(F.mul(y, 0.5))
    real, imag = exp(a)
    near = F.sub(F.mul(F.expm1(x), F.cos(y)), F.mul(F.mul(half, half), 2.0))
    return F.select(F.lt(F.abs_(x), 1.0), near, F.sub(real, 1.0)), imag


def _two_sum(a: Expr, b: Expr) -> Pair:
    """The rounded sum and what rounding lost (Knuth)."""
    total = F.add(a, b)
    part = F.sub(total, a)
    return total, F.add(F.sub(a, F.sub(total, part)), F.sub(b, part))


def _log_near_one(m: Expr, n: Expr) -> Expr:
    """log(m*m + n*n) / 2 for a sum near 1, which is formed in twice the precision."""
    p, q = F.mul(m, m), F.mul(n, n)
    lost = F.add(F.fma(m, m, F.neg(p)), F.fma(n, n, F.neg(q)))
    first, more = _two_sum(p, const(-1.0, m.dtype))
    total, rest = _two_sum(first, q)
    return F.mul(F.log1p(F.add(total, F.add(F.add(rest, more), lost))), 0.5)


def _log_abs(a: Pair) -> Expr:
    x, y = F.abs_(a[0]), F.abs_(a[1])
    m, n = F.maximum(x, y), F.minimum(x, y)
    factor, _, log_factor = _scale(m)
    u, v = F.mul(m, factor), F.mul(n, factor)
    square = F.add(F.mul(u, u), F.mul(v, v))
    far = F.sub(F.mul(F.log(square), 0.5), log_factor)
    near = F.and_(F.le(0.5, square), F.and_(F.le(square, 2.0), F.eq(factor, 1.0)))
    usual = F.select(near, _log_near_one(m, n), far)
    return F.select(F.or_(F.isinf(x), F.isinf(y)), math.inf, usual)


def log(a: Pair) -> Pair:
    return _log_abs(a), angle(a)


def log1p(a: Pair) -> Pair:
    x, y = a
    away = F.add(x, 1.0), y
    inner = F.add(F.mul(x, F.add(x, 2.0)), F.mul(y, y))
    small = F.and_(F.lt(F.abs_(x), 0.5), F.lt(F.abs_(y), 0.5))
    return F.select(small, F.mul(F.log1p(inner), 0.5), _log_abs(away)), angle(away)


def _times(a: Pair, factor: float) -> Pair:
    return F.mul(a[0], factor), F.mul(a[1], factor)


def exp2(a: Pair) -> Pair:
    return exp(_times(a, math.log(2.0)))


def log2(a: Pair) -> Pair:
    return _times(log(a), 1 / math.log(2.0))


def log10(a: Pair) -> Pair:
    return _times(log(a), 1 / math.log(10.0))


# powers -------------------------------------------------------------------------------------------


def sqrt(a: Pair) -> Pair:
    """The root with a real part >= 0; on the cut the sign of y decides."""
    x, y = a
    factor, root, _ = _scale(F.maximum(F.abs_(x), F.abs_(y)))
    u, v = F.mul(x, factor), F.mul(y, factor)
    length = F.sqrt(F.add(F.mul(u, u), F.mul(v, v)))
    t = F.mul(F.sqrt(F.mul(F.add(F.abs_(u), length), 0.5)), root)
    nothing = F.eq(t, 0.0)
    other = F.div(F.abs_(y), F.select(nothing, 1.0, F.add(t, t)))
    right = F.le(0.0, x)
    real = F.select(F.lt(x, 0.0), other, t)
    imag = F.copysign(F.select(right, other, t), y)
    imag = F.select(F.isnan(y), y, F.select(nothing, y, imag))
    unbounded = F.isinf(y)
    return F.select(unbounded, math.inf, real), F.select(unbounded, y, imag)


def integer_power(a: Pair, n: int) -> Pair:
    """a**n by squaring; negative n divide once at the end."""
    one = const(1.0, a[0].dtype), const(0.0, a[0].dtype)
    if n == 0:
        return one
    result: Pair | None = None
    square, left = a, abs(n)
    while left:
        if left & 1:
            result = square if result is None else mul(result, square)
        left >>= 1
        square = mul(square, square) if left else square
    assert result is not None
    return result if n > 0 else div(one, result)


def pow_(a: Pair, b: Pair) -> Pair:
    """exp(b log a); 1 for b = 0, and 0 for a = 0 with a positive real part of b."""
    if b[0].is_const and b[1].is_const and b[1].value == 0.0:
        n = b[0].value
        if math.isfinite(n) and n == int(n) and abs(n) <= MULTIPLIED:
            return integer_power(a, int(n))
    real, imag = exp(mul(b, log(a)))
    base, exponent = (F.and_(F.eq(z[0], 0.0), F.eq(z[1], 0.0)) for z in (a, b))
    lost = F.select(F.lt(0.0, b[0]), const(0.0, real.dtype), math.nan)
    real, imag = F.select(base, lost, real), F.select(base, lost, imag)
    return F.select(exponent, 1.0, real), F.select(exponent, 0.0, imag)


# hyperbolic and trigonometric ---------------------------------------------------------------------


def _hyperbolic(a: Pair, odd: bool) -> Pair:
    """sinh (odd) or cosh of x, times cos y and its partner times sin y."""
    x, y = a
    r = _Range(x.dtype)
    size = F.abs_(x)
    large = F.lt(r.limit, size)
    e = F.exp(F.sub(size, r.moved))
    growth = const(math.exp(r.moved) / 2, x.dtype)
    c, s = F.cos(y), F.sin(y)
    first, second = (F.sinh(x), F.cosh(x)) if odd else (F.cosh(x), F.sinh(x))
    signs = (F.copysign(1.0, x), const(1.0, x.dtype))
    one, two = signs if odd else signs[::-1]
    real = F.select(large, F.mul(F.mul(F.mul(e, c), growth), one), F.mul(first, c))
    imag = F.select(large, F.mul(F.mul(F.mul(e, s), growth), two), F.mul(second, s))
    lost = F.and_(F.isinf(x), F.not_(F.isfinite(y)))
    real = F.select(lost, x if odd else size, real)
    level = F.mul(y, two)
    imag = F.select(F.eq(y, 0.0), level, imag)
    if odd:
        real = F.select(F.and_(F.eq(x, 0.0), F.not_(F.isfinite(y))), x, real)
    else:
        imag = F.select(F.eq(x, 0.0), F.mul(F.copysign(1.0, x), F.copysign(0.0, s)), imag)
    return real, imag


def sinh(a: Pair) -> Pair:
    return _hyperbolic(a, True)


def cosh(a: Pair) -> Pair:
    return _hyperbolic(a, False)


def tanh(a: Pair) -> Pair:
    """Kahan's form in tan y and sinh x; beyond ``flat`` the imaginary part is 4 sin y cos y
    exp(-2|x|)."""
    x, y = a
    r = _Range(x.dtype)
    size = F.abs_(x)
    s, t = F.sinh(F.minimum(F.maximum(x, -r.flat), r.flat)), F.tan(y)
    beta = F.add(F.mul(t, t), 1.0)
    whole = F.add(F.mul(beta, F.mul(s, s)), 1.0)
    root = F.sqrt(F.add(F.mul(s, s), 1.0))
    real = F.div(F.mul(F.mul(beta, root), s), whole)
    imag = F.div(t, whole)
    flat = F.le(r.flat, size)
    double = F.mul(F.mul(F.sin(y), F.cos(y)), 4.0)
    tail = F.mul(double, F.exp(F.mul(size, -2.0)))
    tail = F.select(F.isinf(x), F.copysign(0.0, F.select(F.isfinite(y), double, y)), tail)
    real = F.select(flat, F.copysign(1.0, x), real)
    # the imaginary part of a real number is its zero, also beside a NaN
    return real, F.select(F.eq(y, 0.0), y, F.select(flat, tail, imag))


def _turned(a: Pair) -> Pair:
    """i z."""
    return F.neg(a[1]), a[0]


def _turned_back(a: Pair) -> Pair:
    """z / i."""
    return a[1], F.neg(a[0])


def sin(a: Pair) -> Pair:
    return _turned_back(sinh(_turned(a)))


def cos(a: Pair) -> Pair:
    return cosh(_turned(a))


def tan(a: Pair) -> Pair:
    return _turned_back(tanh(_turned(a)))


# inverse functions --------------------------------------------------------------------------------


def _conj(a: Pair) -> Pair:
    return a[0], F.neg(a[1])


def _roots(a: Pair) -> tuple[Pair, Pair]:
    """sqrt(1 - z) and sqrt(1 + z)."""
    x, y = a
    return sqrt((F.sub(1.0, x), F.neg(y))), sqrt((F.add(x, 1.0), y))


def asin(a: Pair) -> Pair:
    left, right = _roots(a)
    real = F.atan2(a[0], mul(left, right)[0])
    return real, F.asinh(mul(_conj(left), right)[1])


def acos(a: Pair) -> Pair:
    left, right = _roots(a)
    real = F.mul(F.atan2(left[0], right[0]), 2.0)
    return real, F.asinh(mul(_conj(right), left)[1])


def asinh(a: Pair) -> Pair:
    return _turned_back(asin(_turned(a)))


def acosh(a: Pair) -> Pair:
    x, y = a
    left, right = sqrt((F.sub(x, 1.0), y)), sqrt((F.add(x, 1.0), y))
    real = F.asinh(mul(_conj(left), right)[0])
    return real, F.mul(F.atan2(left[1], right[0]), 2.0)


def atanh(a: Pair) -> Pair:
    """log1p(4x / ((1-x)**2 + y**2)) / 4 + i atan2(2y, (1-x)(1+x) - y**2) / 2; far out it is
    1/z + i pi/2."""
    x, y = a
    r = _Range(x.dtype)
    far = F.lt(r.huge, F.maximum(F.abs_(x), F.abs_(y)))
    u, v = F.select(far, 0.0, x), F.select(far, 0.0, y)
    gap, square = F.sub(1.0, F.abs_(u)), F.mul(v, v)
    ratio = F.div(F.mul(F.abs_(u), 4.0), F.add(F.mul(gap, gap), square))
    real = F.mul(F.copysign(F.log1p(ratio), x), 0.25)
    turn = F.mul(F.atan2(F.add(v, v), F.sub(F.mul(gap, F.add(F.abs_(u), 1.0)), square)), 0.5)
    outside = div((const(1.0, x.dtype), const(0.0, x.dtype)), a)[0]
    quarter = F.copysign(math.pi / 2, y)
    return F.select(far, F.copysign(F.abs_(outside), x), real), F.select(far, quarter, turn)


def atan(a: Pair) -> Pair:
    return _turned_back(atanh(_turned(a)))


PAIRS: dict[str, Callable[..., Pair]] = {
    "add": add, "sub": sub, "mul": mul, "div": div, "neg": neg, "sign": sign, "conj": _conj,
    "pow": pow_, "sqrt": sqrt, "exp": exp, "exp2": exp2, "expm1": expm1, "log": log,
    "log1p": log1p, "log2": log2, "log10": log10, "sin": sin, "cos": cos, "tan": tan,
    "asin": asin, "acos": acos, "atan": atan, "sinh": sinh, "cosh": cosh, "tanh": tanh,
    "asinh": asinh, "acosh": acosh, "atanh": atanh,
}  # fmt: skip


def _any(test: Callable[[Expr], Expr]) -> Callable[[Pair], Expr]:
    return lambda a: F.or_(test(a[0]), test(a[1]))


REALS: dict[str, Callable[..., Expr]] = {
    "abs": abs_,
    "real": lambda a: a[0],
    "imag": lambda a: a[1],
    "eq": lambda a, b: F.and_(F.eq(a[0], b[0]), F.eq(a[1], b[1])),
    "ne": lambda a, b: F.or_(F.ne(a[0], b[0]), F.ne(a[1], b[1])),
    "isnan": _any(F.isnan),
    "isinf": _any(F.isinf),
    "isfinite": lambda a: F.and_(F.isfinite(a[0]), F.isfinite(a[1])),
}
