"""cbrt.

Method: x = 2^(3q) M; s near M^(-1/3) by a minimax polynomial (Remez) to about half the precision,
so that y = M s^2 is near the root, and one step of Newton's, y + (M - y^3) s^2 / 3, without a
division.
"""

from __future__ import annotations

from symgraph.codegen.vmath import coefficients as table
from symgraph.codegen.vmath.lanes import Lanes
from symgraph.codegen.vmath.logarithm import INFINITY, exponent_and_rest
from symgraph.codegen.writer import Value

_LESS, _MORE = 2 ** (1 / 3), 2 ** (-1 / 3)
# 2^k and 2^(-k/3) for k = -1, 0, 1 as polynomials of k
_POWER = (1.0, 0.75, 0.25)
_INVERSE_ROOT = (1.0, (_MORE - _LESS) / 2, (_MORE + _LESS) / 2 - 1)


def cbrt(b: Lanes, x: Value) -> Value:
    """The real cube root."""
    a = b.abs(x)
    n, m = exponent_and_rest(b, a)
    q, thirds = b.round_scaled(n, 1 / 3)
    k = b.fma(q, -3.0, n)
    s = b.mul(b.poly(table.INV_CBRT[b.kind], b.sub(m, 1.0)), b.poly(_INVERSE_ROOT, k))
    m = b.mul(m, b.poly(_POWER, k))
    square = b.mul(s, s)
    y = b.mul(m, square)
    y2, y2_low = b.two_product(y, y)
    rest = b.nfma(y2_low, y, b.nfma(y2, y, m))
    y = b.scale(b.fma(rest, b.mul(square, 1 / 3), y), thirds)
    return _ends(b, x, a, b.copysign(y, x))


def _ends(b: Lanes, x: Value, a: Value, y: Value) -> Value:
    """0, the infinities and NaN are their own roots."""
    if b.avx512:  # a digit for each class of x: itself, or y for 1 and other numbers
        return b.x86("mask.fixupimm", "FFIN", y, x, b.i(0x00110122), "0")
    return b.sel(b.both(b.cmp("ogt", a, 0.0), b.cmp("olt", a, INFINITY)), y, x)
