"""The Bessel functions j0 j1, i0 i1 (and i0e i1e), k0 k1 (and k0e k1e).

Method: quotients of polynomials near 0, with two zeros of j0 and j1 taken out in two parts; far
away Hankel's expansions in 1/x, fitted. M. Abramowitz, I. A. Stegun, Handbook, 1964, chapter 9.
"""

from __future__ import annotations

import math

from symgraph.codegen.vmath import special_coefficients as table
from symgraph.codegen.vmath.lanes import Lanes
from symgraph.codegen.vmath.logarithm import INFINITY, NAN, log
from symgraph.codegen.vmath.pieces import Table, fitted, times_exp
from symgraph.codegen.vmath.trigonometric import sin_cos
from symgraph.codegen.writer import Value

_LOW_I, _LOW_J = 15.0, 8.0


# i0, i1 -------------------------------------------------------------------------------------------


def _i(b: Lanes, x: Value, order: int, scaled: bool) -> Value:
    a = b.abs(x)
    low: Table = table.I1_LOW if order else table.I0_LOW
    high: Table = table.I1_HIGH if order else table.I0_HIGH
    small = b.cmp("ole", a, _LOW_I)
    inside = b.sel(small, a, _LOW_I)
    square, lost = b.two_product(inside, inside)
    near = fitted(b, low, square)
    if b.kind == "d":  # the slope magnifies what the square lacks, by x/2; it is about 1/(2x + 1)
        near = b.fma(near, b.div(b.mul(lost, 0.5), b.add(inside, 1.5 if order else 0.5)), near)
    near = b.mul(near, inside) if order else near
    outside = b.sel(small, _LOW_I, a)
    far = b.div(fitted(b, high, b.div(1.0, outside)), b.sqrt(outside))
    if scaled:
        y = b.sel(small, times_exp(b, near, b.neg(inside)), far)
    else:
        y = b.sel(small, near, times_exp(b, far, outside))
        y = b.sel(b.cmp("oeq", a, INFINITY), a, y)
    y = b.copysign(y, x) if order else y
    return b.sel(b.cmp("uno", x, x), x, y)


def i0(b: Lanes, x: Value) -> Value:
    """The modified Bessel function of the first kind of order 0."""
    return _i(b, x, 0, False)


def i1(b: Lanes, x: Value) -> Value:
    """The modified Bessel function of the first kind of order 1."""
    return _i(b, x, 1, False)


def i0e(b: Lanes, x: Value) -> Value:
    """e^-|x| i0(x)."""
    return _i(b, x, 0, True)


def i1e(b: Lanes, x: Value) -> Value:
    """e^-|x| i1(x)."""
    return _i(b, x, 1, True)


# k0, k1 -------------------------------------------------------------------------------------------


def _k(b: Lanes, x: Value, order: int, scaled: bool) -> Value:
    small = b.cmp("ole", x, 1.0)
    inside = b.sel(small, x, 1.0)
    z, logarithm = b.mul(inside, inside), log(b, inside)
    if order:
        more = b.fma(logarithm, fitted(b, table.K1_LOG, z), fitted(b, table.K1_LOW, z))
        near = b.fma(inside, more, b.div(1.0, inside))
        near = b.sel(b.cmp("olt", inside, 1e-30), b.div(1.0, inside), near)
    else:
        near = b.nfma(logarithm, fitted(b, table.K0_LOG, z), fitted(b, table.K0_LOW, z))
    outside = b.sel(small, 1.0, x)
    rows: Table = table.K1_HIGH if order else table.K0_HIGH
    far = b.div(fitted(b, rows, b.div(1.0, outside)), b.sqrt(outside))
    if scaled:
        y = b.sel(small, times_exp(b, near, inside), far)
    else:
        y = b.sel(small, near, times_exp(b, far, b.neg(outside)))
    y = b.sel(b.cmp("oeq", x, 0.0), INFINITY, y)
    y = b.sel(b.cmp("oeq", x, INFINITY), 0.0, y)
    return b.sel(b.cmp("ult", x, 0.0), NAN, y)


def k0(b: Lanes, x: Value) -> Value:
    """The modified Bessel function of the second kind of order 0; NaN below 0."""
    return _k(b, x, 0, False)


def k1(b: Lanes, x: Value) -> Value:
    """The modified Bessel function of the second kind of order 1; NaN below 0."""
    return _k(b, x, 1, False)


def k0e(b: Lanes, x: Value) -> Value:
    """e^x k0(x)."""
    return _k(b, x, 0, True)


def k1e(b: Lanes, x: Value) -> Value:
    """e^x k1(x)."""
    return _k(b, x, 1, True)


# j0, j1 -------------------------------------------------------------------------------------------


def _j(b: Lanes, x: Value, order: int) -> Value:
    a = b.abs(x)
    rows: list[Table] = (
        [table.J1_LOW, table.J1_P, table.J1_Q] if order else [table.J0_LOW, table.J0_P, table.J0_Q]
    )
    small = b.cmp("ole", a, _LOW_J)
    inside = b.sel(small, a, _LOW_J)
    near = fitted(b, rows[0], b.nfma(inside, inside, _LOW_J * _LOW_J))
    for high, low in table.J1_ROOTS if order else table.J0_ROOTS:
        gap = b.sub(b.sub(inside, high), low)
        near = b.mul(near, b.mul(gap, b.add(inside, high)))
    near = b.mul(near, inside) if order else near

    def far() -> list[Value]:
        outside = b.sel(small, _LOW_J, a)
        sine, cosine = sin_cos(b, outside)
        total, gap = b.add(sine, cosine), b.sub(sine, cosine)
        w = b.div(1.0, outside)
        z = b.mul(w, w)
        even, odd = fitted(b, rows[1], z), b.mul(fitted(b, rows[2], z), w)
        wave = b.fma(even, gap, b.mul(odd, total)) if order else b.nfma(
            odd, gap, b.mul(even, total)
        )  # fmt: skip
        y = b.div(wave, b.sqrt(b.mul(outside, math.pi)))
        y = b.sel(b.cmp("ogt", a, 1e300), b.mul(b.div(wave, b.sqrt(outside)), _ROOT), y)
        y = b.sel(b.cmp("oeq", a, INFINITY), 0.0, y)
        return [b.sel(small, near, y)]

    y = b.fn.if_(b.any(b.invert(small)), far, lambda: [near], [b.F])[0]
    return b.mul(y, b.copysign(1.0, x)) if order else y


_ROOT = 1 / math.sqrt(math.pi)


def j0(b: Lanes, x: Value) -> Value:
    """The Bessel function of the first kind of order 0."""
    return _j(b, x, 0)


def j1(b: Lanes, x: Value) -> Value:
    """The Bessel function of the first kind of order 1."""
    return _j(b, x, 1)
