"""The Bessel functions j0 j1, i0 i1 (and i0e i1e), k0 k1 (and k0e k1e).

Method: polynomials and quotients of them near 0, the zeros of j0 and j1 taken out in two parts; far
away Hankel's expansions in 1/x, fitted, of j0 and j1 as modulus and phase (bessel_phase.py).
M. Abramowitz, I. A. Stegun, Handbook, 1964, chapter 9.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from symgraph.codegen.vmath import bessel_coefficients as waves
from symgraph.codegen.vmath import special_coefficients as table
from symgraph.codegen.vmath.bessel_phase import wave
from symgraph.codegen.vmath.lanes import Lanes
from symgraph.codegen.vmath.logarithm import INFINITY, NAN, log
from symgraph.codegen.vmath.pieces import Table, fitted, over_root, times_exp
from symgraph.codegen.writer import Value

_LOW_I = 15.0
_ROOT_HALF_PI, _ROOT_HALF_OVER_PI = math.sqrt(math.pi / 2), math.sqrt(0.5 / math.pi)


# i0, i1 -------------------------------------------------------------------------------------------


def _i(b: Lanes, x: Value, order: int, scaled: bool) -> Value:
    a = b.abs(x)
    low: Table = table.I1_LOW if order else table.I0_LOW
    high: Table = table.I1_HIGH if order else table.I0_HIGH
    small = b.cmp("ole", a, _LOW_I)
    inside = b.sel(small, a, _LOW_I)
    square, lost = b.two_product(inside, inside)
    near = fitted(b, low, square)
    if b.kind == "d":
        # the slope magnifies what the square lacks, by x/2, and what the square's square lacks in
        # the evaluation; it is about 1/(2x + 1)
        _, more = b.two_product(square, square)
        step = b.mul(b.add(inside, 1.5 if order else 0.5), b.fma(square, 4.0, 2.0**-100))
        lost = b.div(b.fma(b.mul(lost, 2.0), square, more), step)
        near = b.fma(near, lost, near)
    near = b.mul(near, inside) if order else near
    outside = b.sel(small, _LOW_I, a)
    far, far_low = over_root(b, high, b.div(1.0, outside), outside, _ROOT_HALF_OVER_PI)
    if scaled:
        y = b.sel(small, times_exp(b, near, b.neg(inside)), b.add(far, far_low))
    else:
        y = b.sel(small, near, times_exp(b, far, outside, c_low=far_low))
    y = b.sel(b.cmp("oeq", a, INFINITY), 0.0 if scaled else a, y)
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
    far, far_low = over_root(b, rows, b.div(1.0, outside), outside, _ROOT_HALF_PI)
    if scaled:
        y = b.sel(small, times_exp(b, near, inside), b.add(far, far_low))
    else:
        y = b.sel(small, near, times_exp(b, far, b.neg(outside), c_low=far_low))
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
    a, end = b.abs(x), waves.ENDS[order][2]
    small = b.cmp("ole", a, end)

    def near() -> list[Value]:
        return [_j_near(b, b.sel(small, a, end), order)]

    def far(y: Value) -> list[Value]:
        inside = b.both(b.cmp("ogt", a, end), b.cmp("olt", a, INFINITY))
        found = b.sel(inside, wave(b, b.sel(inside, a, end), order), b.mul(b.div(1.0, a), 0.0))
        return [b.sel(small, y, found)]  # 0 at infinity, and NaN

    y = b.fn.if_(b.any(small), near, lambda: [b.c(0.0)], [b.F])[0]
    y = b.fn.if_(b.any(b.invert(small)), lambda: far(y), lambda: [y], [b.F])[0]
    return b.mul(y, b.copysign(1.0, x)) if order else y


def _j_near(b: Lanes, a: Value, order: int) -> Value:
    """On three pieces, whose zeros are factors in two parts."""
    starts, firsts, seconds = _J_PIECES[order]
    z = b.mul(a, a)
    y = b.mul(z, b.poly(starts[b.kind], z))
    y = b.fma(a, y, b.mul(a, 0.5)) if order else b.add(y, 1.0)
    for rows, k in ((firsts, 0), (seconds, 1)):
        high, low = _J_ZEROS[order][k]
        h = b.sub(b.sub(a, high), low)
        piece = b.mul(h, b.poly(rows[b.kind], h))
        y = b.sel(b.cmp("ogt", a, waves.ENDS[order][k]), piece, y)
    return y


_J_ZEROS = (waves.J0_ZEROS, waves.J1_ZEROS)
_J_PIECES: tuple[tuple[Mapping[str, tuple[float, ...]], ...], ...] = (
    (waves.J0_START, waves.J0_FIRST, waves.J0_SECOND),
    (waves.J1_START, waves.J1_FIRST, waves.J1_SECOND),
)


def j0(b: Lanes, x: Value) -> Value:
    """The Bessel function of the first kind of order 0."""
    return _j(b, x, 0)


def j1(b: Lanes, x: Value) -> Value:
    """The Bessel function of the first kind of order 1."""
    return _j(b, x, 1)
