"""sin, cos, tan and asin, acos, atan, atan2.

Method: reduction to |r| <= pi/4 (reduction.py), minimax polynomials (Remez) for sine, cosine and
tangent. The inverse functions reduce as FDLIBM does: asin by the half-angle formula above 1/2, atan
by one rotation of pi/4, with a single polynomial each.
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


def _arc_tangent(b: Lanes, p: Value, q: Value) -> Pair:
    """atan(p / q) for 0 <= p <= q, q of moderate size. Above tan(pi/8) it is
    pi/4 + atan((p - q)/(p + q))."""
    big = b.cmp("ogt", p, b.mul(q, 0.41421356237309503))
    if b.kind == "m":
        top, under = b.sel(big, b.sub(p, q), p), b.sel(big, b.add(p, q), q)
        u, rest = b.div(top, under), b.c(0.0)
    else:
        d, s = b.fast_two_sum(q, b.neg(p)), b.fast_two_sum(q, p)
        top_pair = b.sel(big, b.neg(d[0]), p), b.sel(big, b.neg(d[1]), 0.0)
        u, rest = b.ratio(top_pair, (b.sel(big, s[0], q), b.sel(big, s[1], 0.0)))
    z = b.mul(u, u)
    tail = b.fma(b.mul(u, z), b.poly(table.ATAN[b.kind], z), rest)
    p1, p2, _ = table.PI_2["f" if b.kind == "f" else "d"]
    high, low = b.fast_two_sum(b.sel(big, p1 / 2, 0.0), u)
    return high, b.add(b.add(low, b.sel(big, p2 / 2, 0.0)), tail)


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
    angle = _arc_tangent(b, b.sel(big, 1.0, a), b.sel(big, a, 1.0))
    other = _from_angle(b, 1, angle)
    y = b.add(b.sel(big, other[0], angle[0]), b.sel(big, other[1], angle[1]))
    return b.copysign(b.sel(b.cmp("uno", x, x), NAN, y), x)


def atan2(b: Lanes, y: Value, x: Value) -> Value:
    """The angle of the point (x, y), with the signs of zeros and infinities as C99 has them."""
    ay, ax = b.abs(y), b.abs(x)
    steep = b.cmp("ogt", ay, ax)
    p, q = b.sel(steep, ax, ay), b.sel(steep, ay, ax)
    infinite = b.cmp("oeq", q, INFINITY)
    p = b.sel(infinite, b.sel(b.cmp("oeq", p, INFINITY), 1.0, 0.0), p)
    q = b.sel(b.either(infinite, b.cmp("oeq", q, 0.0)), 1.0, q)
    if b.kind == "d":
        p, q = _normalise(b, p, q)
    angle = _arc_tangent(b, p, q)
    other = _from_angle(b, 1, angle)
    down = b.from_bits(b.int_op("and", b.to_bits(x), b.int_op("shl", 1, b.bits - 1)))
    left = b.int_cmp("ne", b.to_bits(down), 0)
    # four quarters: angle, pi - angle, pi/2 - angle, pi/2 + angle
    turned = b.neg(angle[0]), b.neg(angle[1])
    mirrored = _from_angle(b, 1, turned)
    opposite = _from_angle(b, 2, angle)
    pair = [
        b.sel(
            steep,
            b.sel(left, mirrored[k], other[k]),
            b.sel(left, opposite[k], angle[k]),
        )
        for k in range(2)
    ]
    value = b.copysign(b.add(*pair), y)
    return b.sel(b.cmp("uno", x, y), NAN, value)


def _normalise(b: Lanes, p: Value, q: Value) -> Pair:
    """Both times the power of two that brings q near 1, which cannot overflow since p <= q."""
    exponent = b.int_op("sub", b.int_op("lshr", b.to_bits(q), b.mantissa), b.bias)
    low = b.int_sel(b.int_cmp("slt", exponent, 1 - b.bias), 1 - b.bias, exponent)
    factor = b.pow2(b.int_op("sub", 0, b.int_min(low, b.bias - 1)))
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
