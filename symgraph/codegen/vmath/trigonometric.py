"""sin, cos, tan and asin, acos, atan, atan2.

Method: reduction to |r| <= pi/4 (reduction.py), minimax polynomials (Remez) for sine, cosine and
tangent. The inverse functions have a single polynomial each: asin reduces by the half-angle formula
above 1/2, as FDLIBM does, and atan by the reciprocal above 1.
"""

from __future__ import annotations

from symgraph.codegen.vmath import coefficients as table
from symgraph.codegen.vmath.lanes import Lanes, Pair
from symgraph.codegen.vmath.reduction import reduce_narrow, reduce_quadrant
from symgraph.codegen.writer import Value

INFINITY, NAN = float("inf"), float("nan")
THIRD = {"d": 1 / 3, "f": 11184811 / 2**25}  # next to 1/3


def sine_near(b: Lanes, r: Value, low: Value | None) -> Pair:
    """sin(r + low), |r| <= pi/4, as an unrounded sum."""
    z = b.mul(r, r)
    s = b.poly(table.SIN[b.kind], z)
    cube = b.mul(r, z)
    if low is None:
        return r, b.mul(cube, s)
    return r, b.fma(cube, s, b.mul(low, b.fma(z, -0.5, 1.0)))


def cosine_near(b: Lanes, r: Value, low: Value | None) -> Pair:
    """cos(r + low), |r| <= pi/4: 1 - z/2 is summed without error."""
    z = b.mul(r, r)
    half = b.mul(z, 0.5)
    high = b.sub(1.0, half)
    e = b.sub(b.sub(1.0, high), half)
    if low is not None:
        square_low = b.fma(r, r, b.neg(z))
        e = b.sub(e, b.fma(r, low, b.mul(square_low, 0.5)))
    return high, b.fma(b.mul(z, z), b.poly(table.COS[b.kind], z), e)


def _odd(b: Lanes, q: Value) -> Value:
    return b.int_cmp("ne", b.int_op("and", q, 1), 0)


def _flip(b: Lanes, v: Value, q: Value, x: Value | None = None) -> Value:
    """v with its sign flipped in the quadrants 2 and 3, and where x is negative."""
    sign = b.int_op("shl", q, b.bits - 2)
    sign = sign if x is None else b.int_op("xor", sign, b.to_bits(x))
    return b.from_bits(b.int_op("xor", b.to_bits(v), b.int_op("and", sign, 1 << (b.bits - 1))))


def _sine_cosine(b: Lanes, r: Value, low: Value) -> Pair:
    """sin(r + low) and cos(r + low), |r| <= pi/4; the cosine's roundings before the last count .4
    ulp."""
    z = b.fma(r, r, b.mul(r, b.add(low, low)))
    s = b.add(b.fma(b.mul(r, z), b.poly(table.SIN[b.kind], z), low), r)
    return s, b.fma(b.fma(b.poly(table.COS[b.kind], z), z, -0.5), z, 1.0)


def _reduced(b: Lanes, x: Value) -> tuple[Value, Value, Value]:
    """(r, low, q) with x = q pi/2 + r + low, |r| <= pi/4."""
    if b.kind == "f":
        return reduce_narrow(b, x)
    r, low, q = reduce_quadrant(b, x)
    assert low is not None  # in float64 arithmetic for doubles there are two parts
    return r, low, q


def _wave(b: Lanes, x: Value, phase: int, sign: Value | None = None) -> Value:
    """sin(x + phase pi/2), negated where `sign` is negative."""
    r, low, q = _reduced(b, x)
    s, c = _sine_cosine(b, r, low)
    q = b.int_op("add", q, phase) if phase else q
    return _flip(b, b.sel(_odd(b, q), c, s), q, sign)


def sin(b: Lanes, x: Value) -> Value:
    """The sine."""
    return _wave(b, b.abs(x), 0, x)


def cos(b: Lanes, x: Value) -> Value:
    """The cosine."""
    return _wave(b, x, 1)


def tan(b: Lanes, x: Value) -> Value:
    """The tangent: tan(r + low) = r + r^3 T(r^2), or -1 by that in odd quadrants."""
    r, low, q = _reduced(b, b.abs(x))
    z, lost = b.two_product(r, r)
    cube, third = b.mul(r, z), THIRD[b.kind]
    # what `low` and roundings change, by the slopes that they meet
    rest = b.fma(b.mul(r, 0.5), lost, b.mul(low, b.fma(z, 1.5, 1.0)))
    first, *others = table.TAN[b.kind]
    tail = b.fma(cube, b.poly((first - third, *others), z), b.fma(cube, third, rest))
    t, rest = b.fast_two_sum(r, tail)
    inverse = b.div(-1.0, t)
    wrong = b.fma(inverse, rest, b.fma(inverse, t, b.c(1.0)))
    y = b.sel(_odd(b, q), b.fma(inverse, wrong, inverse), t)
    sign = b.int_op("and", b.to_bits(x), 1 << (b.bits - 1))
    return b.from_bits(b.int_op("xor", b.to_bits(y), sign))


# inverse functions --------------------------------------------------------------------------------


def _arc_tangent(b: Lanes, p: Value, q: Value, start: Pair, away: Value) -> Value:
    """start + atan(p / q), or start - atan(p / q) where `away` holds, for 0 <= p <= q, q of
    moderate size. The polynomial is one of u^2 - 1/2, of which nothing cancels up to u = 1."""
    inverse = b.div(1.0, q)
    u = b.mul(p, inverse)
    w = b.fma(u, u, -0.5)
    first, *others = table.ATAN[b.kind]
    slope = b.fma(b.poly(tuple(others), w), w, first)  # atan(u)/u - 1
    # what the quotient lacks, by nearly 1 / (1 + u^2)
    rest = b.mul(b.mul(b.nfma(u, q, p), inverse), b.fma(w, -0.5, 0.71875))
    u, rest = b.sel(away, b.neg(u), u), b.sel(away, b.neg(rest), rest)
    high, low = b.fast_two_sum(start[0], u)
    return b.add(high, b.fma(u, slope, b.add(low, b.add(start[1], rest))))


def _from_angle(b: Lanes, base: int, angle: Pair) -> Pair:
    """base pi/2 - angle, for 0 <= angle <= pi/2."""
    p1, p2, _ = table.PI_2["f" if b.kind == "f" else "d"]
    high, low = b.fast_two_sum(base * p1, b.neg(angle[0]))
    return high, b.add(low, b.sub(base * p2, angle[1]))


def atan(b: Lanes, x: Value) -> Value:
    """The inverse tangent."""
    a = b.abs(x)
    a = b.sel(b.cmp("ogt", a, 2.0**64), 2.0**64, a)  # so that the quotient stays normal
    big = b.cmp("ogt", a, 1.0)
    high, low, _ = table.PI_2[b.kind]
    start = b.sel(big, high, 0.0), b.sel(big, low, 0.0)
    y = _arc_tangent(b, b.sel(big, 1.0, a), b.sel(big, a, 1.0), start, big)
    return b.copysign(y, x)


def atan2(b: Lanes, y: Value, x: Value) -> Value:
    """The angle of the point (x, y), with the signs of zeros and infinities as C99 has them."""
    ay, ax = b.abs(y), b.abs(x)
    steep = b.cmp("ogt", ay, ax)
    p, q = b.sel(steep, ax, ay), b.sel(steep, ay, ax)
    infinite = b.cmp("oeq", q, INFINITY)
    p = b.sel(infinite, b.sel(b.cmp("oeq", p, INFINITY), 1.0, 0.0), p)
    q = b.sel(b.either(infinite, b.cmp("oeq", q, 0.0)), 1.0, q)
    left = b.int_cmp("slt", b.to_bits(x), 0)
    # four quarters: angle, pi - angle, pi/2 - angle, pi/2 + angle
    high, low = (b.sel(steep, part, b.sel(left, 2 * part, 0.0)) for part in table.PI_2[b.kind][:2])
    away = b.fn.val(f"xor {b.M} {steep}, {left}")
    angle = _arc_tangent(b, *_normalise(b, p, q), (high, low), away)
    return b.sel(b.cmp("uno", x, y), NAN, b.copysign(angle, y))


def _normalise(b: Lanes, p: Value, q: Value) -> Pair:
    """Both times a power of two after which 1/q, and what p/q lacks, are normal numbers wherever
    p/q is one."""
    half = b.bias // 2
    factor = b.sel(b.cmp("ogt", q, 2.0**half), 2.0**-half, 1.0)
    factor = b.sel(b.cmp("olt", q, 1.0), 2.0 ** (half + 7), factor)
    return b.mul(p, factor), b.mul(q, factor)


def _half_angle(b: Lanes, a: Value) -> tuple[Value, Pair]:
    """(mask of a < 1/2, t) with asin(a) = t there and pi/2 - 2 t elsewhere."""
    small = b.cmp("olt", a, 0.5)
    z = b.sel(small, b.mul(a, a), b.fma(a, -0.5, 0.5))
    root = b.sqrt(z)
    s = b.sel(small, a, root)
    tail = b.mul(b.mul(s, z), b.poly(table.ASIN[b.kind], z))
    rest = b.div(b.mul(b.nfma(root, root, z), 0.5), b.sel(b.cmp("oeq", root, 0.0), 1.0, root))
    return small, (s, b.add(tail, b.sel(small, 0.0, rest)))


def asin(b: Lanes, x: Value) -> Value:
    """The inverse sine; NaN outside [-1, 1]."""
    small, t = _half_angle(b, b.abs(x))
    other = _from_angle(b, 1, (b.mul(t[0], 2.0), b.mul(t[1], 2.0)))
    return b.copysign(b.add(b.sel(small, t[0], other[0]), b.sel(small, t[1], other[1])), x)


def acos(b: Lanes, x: Value) -> Value:
    """The inverse cosine; NaN outside [-1, 1]."""
    small, t = _half_angle(b, b.abs(x))
    twice = b.mul(t[0], 2.0), b.mul(t[1], 2.0)
    negative = b.cmp("olt", x, 0.0)
    middle = _from_angle(b, 1, (b.copysign(t[0], x), _signed(b, t[1], x)))
    far = _from_angle(b, 2, twice)
    pair = [b.sel(small, middle[k], b.sel(negative, far[k], twice[k])) for k in range(2)]
    return b.add(*pair)


def _signed(b: Lanes, v: Value, x: Value) -> Value:
    """v, negated where x is negative."""
    return b.sel(b.cmp("olt", x, 0.0), b.neg(v), v)
