"""Floor division and remainder of floats, with the sign of the divisor as in Python.

Method: the remainder of a by b is exact in floats. While the quotient is below 2^53 one
a - trunc(a/b) b by fused multiply-add gives it, up to one correction by b. Greater quotients are
taken apart in steps of 52 bits, from the highest b 2^(52 k) below a downwards; all lanes walk
together, and those that are done divide by their own b, which changes nothing.
"""

from __future__ import annotations

from symgraph.codegen.vmath.lanes import Lanes
from symgraph.codegen.writer import Value

INFINITY = float("inf")


def _step(b: Lanes, a: Value, d: Value) -> Value:
    """a mod d for 0 <= a < 2^(mantissa+1) d. The rounded quotient can be one too great."""
    rest = b.nfma(b.trunc(b.div(a, d)), d, a)
    return b.sel(b.cmp("olt", rest, 0.0), b.add(rest, d), rest)


def _magnitude(b: Lanes, x: Value, y: Value) -> Value:
    """|x| mod |y|. Lanes without a remainder (x infinite, y zero, NaN) hold any number."""
    a, d = b.abs(x), b.abs(y)
    usable = b.both(b.cmp("one", a, INFINITY), b.cmp("ogt", d, 0.0))
    a, d = b.sel(usable, a, 0.0), b.sel(usable, d, 1.0)
    endless = b.cmp("oeq", d, INFINITY)
    limit = 2.0**b.mantissa
    # for a divisor of infinite size the quotient is 0, but 0 times infinity is NaN
    d = b.sel(endless, 1.0, d)
    kept = a
    a = b.sel(endless, 0.0, a)
    far = b.cmp("oge", a, b.mul(d, limit))
    one = [(b.F, a)]

    def slow() -> list[Value]:
        up = 2.0**b.mantissa

        def below(v: list[Value]) -> Value:
            return b.any(b.cmp("ole", b.mul(v[0], up), a))

        def raise_(v: list[Value]) -> list[Value]:
            higher = b.mul(v[0], up)
            return [b.sel(b.cmp("ole", higher, a), higher, v[0])]

        top = b.fn.while_([(b.F, d)], below, raise_)[0]

        def above(v: list[Value]) -> Value:
            return b.any(b.cmp("ogt", v[1], d))

        def lower(v: list[Value]) -> list[Value]:
            rest = _step(b, v[0], v[1])
            down = b.mul(v[1], 2.0**-b.mantissa)
            return [rest, b.sel(b.cmp("ogt", v[1], d), down, v[1])]

        return [b.fn.while_([*one, (b.F, top)], above, lower)[0]]

    reduced = b.fn.if_(b.any(far), slow, lambda: [a], [b.F], likely=False)[0]
    return b.sel(endless, kept, _step(b, reduced, d))


def _c_remainder(b: Lanes, x: Value, y: Value) -> Value:
    """C's fmod: the sign of x; NaN for infinite x and for y = 0."""
    rest = b.copysign(_magnitude(b, x, y), x)
    bad = b.either(b.cmp("ueq", b.abs(x), INFINITY), b.cmp("ueq", y, 0.0))
    return b.sel(bad, float("nan"), rest)


def _remainder(b: Lanes, x: Value, y: Value) -> tuple[Value, Value, Value]:
    """(C's remainder, mask where the divisor was added, Python's remainder)."""
    rest = _c_remainder(b, x, y)
    left = b.cmp("une", rest, 0.0)
    opposite = b.int_cmp("slt", b.int_op("xor", b.to_bits(rest), b.to_bits(y)), 0)
    moved = b.both(left, opposite)
    y_rest = b.sel(moved, b.add(rest, y), rest)
    return rest, moved, b.sel(left, y_rest, b.copysign(0.0, y))


def mod(b: Lanes, x: Value, y: Value) -> Value:
    """x % y."""
    return _remainder(b, x, y)[2]


def floordiv(b: Lanes, x: Value, y: Value) -> Value:
    """x // y: the exact quotient (x - x % y)/y rounded to an integer, as NumPy computes it."""
    rest, moved, _ = _remainder(b, x, y)
    q = b.div(b.sub(x, rest), y)
    q = b.sel(moved, b.sub(q, 1.0), q)
    down = b.floor(q)
    down = b.sel(b.cmp("ogt", b.sub(q, down), 0.5), b.add(down, 1.0), down)
    plain = b.div(x, y)
    value = b.sel(b.cmp("une", q, 0.0), down, b.copysign(0.0, plain))
    return b.sel(b.cmp("oeq", y, 0.0), plain, value)
