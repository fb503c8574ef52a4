"""Hypergeometric functions, exponential and elliptic integrals, Lambert's W, Student's t."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symgraph.errors import ArgumentError
from symgraph.ir.graph import Variable
from symgraph.ops.arithmetic import absolute, negative
from symgraph.ops.comparison import equal, less, where
from symgraph.ops.elementwise import elementwise, to_float
from symgraph.ops.exponential import exp, log, log1p
from symgraph.ops.special_gamma import lgamma
from symgraph.ops.special_rows import in_float64, no_slope, scalar
from symgraph.scalar import functions

__all__ = [
    "ellipe", "ellipk", "exp1", "expi", "hyp1f1", "hyp2f1", "hyp2f1_da", "hyp2f1_dc",
    "lambertw", "spence", "stdtr", "stdtrit", "wrightomega",
]  # fmt: skip

_PARAMETER = "a parameter of the series"
_TWICE = "the derivative by a parameter of a derivative by one"


# hypergeometric functions -------------------------------------------------------------------------

hyp1f1 = no_slope(elementwise(
    "hyp1f1", "Kummer's confluent hypergeometric function 1F1(a; b; x).",
    **scalar("hyp1f1"),
    vjp=lambda g, y, a, b, x: (None, None, g * (a / b) * hyp1f1(a + 1, b + 1, x)),
    domain=((0.5, 3), (0.5, 3), (-2, 2)), example="special.hyp1f1(1.0, 2.0, 0.0) -> 1.0",
), {0: _PARAMETER, 1: _PARAMETER})  # fmt: skip


def _up(a: Any, b: Any, c: Any, z: Any) -> tuple[Any, Any, Any, Any]:
    return a + 1, b + 1, c + 1, z


hyp2f1_da = no_slope(elementwise(
    "hyp2f1_da", "The derivative of hyp2f1(a, b, c, z) by a, for z < 1 (by b: exchange a and b).",
    **scalar("hyp2f1_da"),
    vjp=lambda g, y, a, b, c, z: (
        None, None, None,
        g * (b / c) * (hyp2f1(*_up(a, b, c, z)) + a * hyp2f1_da(*_up(a, b, c, z))),
    ),
    domain=((0.5, 3), (0.5, 3), (0.5, 3), (-0.8, 0.8)),
    example="special.hyp2f1_da(1.0, 2.0, 3.0, 0.0) -> 0.0",
), {0: _TWICE, 1: _TWICE, 2: _TWICE})  # fmt: skip
hyp2f1_dc = no_slope(elementwise(
    "hyp2f1_dc", "The derivative of hyp2f1(a, b, c, z) by c, for z < 1.",
    **scalar("hyp2f1_dc"),
    vjp=lambda g, y, a, b, c, z: (
        None, None, None,
        g * (a * b / c) * (hyp2f1_dc(*_up(a, b, c, z)) - hyp2f1(*_up(a, b, c, z)) / c),
    ),
    domain=((0.5, 3), (0.5, 3), (0.5, 3), (-0.8, 0.8)),
    example="special.hyp2f1_dc(1.0, 2.0, 3.0, 0.0) -> 0.0",
), {0: _TWICE, 1: _TWICE, 2: _TWICE})  # fmt: skip
hyp2f1 = elementwise(
    "hyp2f1", "Gauss's hypergeometric function 2F1(a, b; c; z).",
    **scalar("hyp2f1"),
    vjp=lambda g, y, a, b, c, z: (
        g * hyp2f1_da(a, b, c, z), g * hyp2f1_da(b, a, c, z), g * hyp2f1_dc(a, b, c, z),
        g * (a * b / c) * hyp2f1(*_up(a, b, c, z)),
    ),
    domain=((0.5, 3), (0.5, 3), (0.5, 3), (-0.8, 0.8)),
    example="special.hyp2f1(1.0, 1.0, 1.0, 0.5) -> 2.0",
)  # fmt: skip


# integrals ----------------------------------------------------------------------------------------

exp1 = elementwise(
    "exp1", "The exponential integral E1, of exp(-t)/t from x to infinity.",
    **scalar("exp1"), vjp=lambda g, y, x: (negative(g * exp(-x) / x),), domain=(0.2, 5),
    example="special.exp1([0.0]) -> [inf]",
)  # fmt: skip
expi = elementwise(
    "expi", "The exponential integral Ei, of exp(t)/t from -infinity to x.",
    **scalar("expi"), vjp=lambda g, y, x: (g * exp(x) / x,), domain=(0.2, 5),
    example="special.expi([0.0]) -> [-inf]",
)  # fmt: skip


def _spence_slope(g: Any, y: Any, z: Any) -> tuple[Any]:
    one = equal(z, 1)
    return (g * where(one, -1, log(z) / where(one, 1, 1 - z)),)


spence = elementwise(
    "spence", "Spence's function: the integral of log(t)/(1 - t) from 1 to z; dilog(1 - z).",
    **scalar("spence"), vjp=_spence_slope, domain=(0.2, 5),
    example="special.spence([1.0]) -> [0.0]",
)  # fmt: skip

# squares of the coefficients of (1 - m)^(-1/2)
_SQUARES = [(math.comb(2 * n, n) / 4.0**n) ** 2 for n in range(6)]


def _near_zero(m: Any, coefficients: list[float], otherwise: Any) -> Any:
    """A power series below 1e-3, ``otherwise(m)`` elsewhere: that cancels at 0."""
    near = less(absolute(m), 1e-3)
    small, total = where(near, m, 0), coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = total * small + c
    return where(near, total, otherwise(where(near, 0.5, m)))


ellipk = elementwise(
    "ellipk", "The complete elliptic integral of the first kind, of the parameter m = k*k.",
    **scalar("ellipk"),
    vjp=lambda g, y, m: (g * _near_zero(
        m, [math.pi / 2 * n * _SQUARES[n] for n in range(1, 6)],
        lambda m: (ellipe(m) / (1 - m) - ellipk(m)) / (2 * m),
    ),),
    domain=(0.1, 0.9), example="special.ellipk([1.0]) -> [inf]",
)  # fmt: skip
ellipe = elementwise(
    "ellipe", "The complete elliptic integral of the second kind, of the parameter m = k*k.",
    **scalar("ellipe"),
    vjp=lambda g, y, m: (g * _near_zero(
        m, [-math.pi / 2 * n * _SQUARES[n] / (2 * n - 1) for n in range(1, 6)],
        lambda m: (ellipe(m) - ellipk(m)) / (2 * m),
    ),),
    domain=(0.1, 0.9), example="special.ellipe([1.0]) -> [1.0]",
)  # fmt: skip


# solutions of equations ---------------------------------------------------------------------------

wrightomega = elementwise(
    "wrightomega", "The w with w + log(w) = x.",
    **scalar("wrightomega"), vjp=lambda g, y, x: (g * (y / (1 + y)),), domain=(-3, 5),
    example="special.wrightomega([1.0]) -> [1.0]",
)  # fmt: skip


def _lambert_start(x: Any, f: Any) -> Any:
    """W to about 2 digits: around the branch point, around 0, and beyond (R. Iacono, J. P. Boyd,
    New approximations to the principal real-valued branch of the Lambert W-function, 2017)."""
    p = f.sqrt(f.maximum(f.mul(f.fma(x, math.e, 1.0), 2), 0))
    series = f.fma(p, f.fma(p, f.fma(p, f.fma(p, -43 / 540, 11 / 72), -1 / 3), 1.0), -1.0)
    under = f.fma(x, f.fma(x, 5 / 6, 7 / 3), 1.0)
    middle = f.div(f.mul(x, f.fma(x, 4 / 3, 1.0)), under)
    ell = f.log1p(x)
    beyond = f.mul(ell, f.sub(1.0, f.div(f.log1p(ell), f.add(ell, 2))))
    return f.select(f.lt(x, -0.25), series, f.select(f.lt(x, 0.5), middle, beyond))


def _lambert(x: Any, f: Any) -> Any:
    """Two steps of F. N. Fritsch, R. E. Shafer, W. P. Crowley's iteration, of fourth order."""
    w = _lambert_start(x, f)
    for _ in range(2):
        z = f.sub(f.log(f.div(x, w)), w)
        one = f.add(w, 1)
        q = f.mul(f.mul(one, 2), f.fma(z, 2 / 3, one))
        step = f.mul(f.div(z, one), f.div(f.sub(q, z), f.sub(q, f.mul(z, 2))))
        step = f.select(f.isfinite(step), step, 0.0)  # at the branch point, -1/e
        w = f.fma(w, step, w)
    w = f.select(f.or_(f.eq(x, 0), f.eq(x, float("inf"))), x, w)
    return f.select(f.le(-math.exp(-1), x), w, float("nan"))


class _Numpy:
    """The words of `_lambert` on arrays."""

    fma = staticmethod(lambda a, b, c: a * b + c)
    add, sub, mul, div = np.add, np.subtract, np.multiply, np.divide
    sqrt, log, log1p, maximum = np.sqrt, np.log, np.log1p, np.maximum
    select, lt, le, eq, or_ = np.where, np.less, np.less_equal, np.equal, np.logical_or
    isfinite = np.isfinite


def _np_lambert(x: Any) -> Any:
    with np.errstate(all="ignore"):
        return _lambert(np.asarray(x, "float64"), _Numpy).astype(np.result_type(x))[()]


_lambertw = elementwise(
    "lambertw", "The real w >= -1 with w * exp(w) = x; NaN below -1/e.",
    dtype=to_float, reference=_np_lambert, lower=in_float64(lambda x: _lambert(x, functions)),
    vjp=lambda g, y, x: (g * exp(-y) / (1 + y),), domain=(-0.3, 5),
    example="special.lambertw([0.0, 2.718281828459045]) -> [0.0, 1.0]",
)  # fmt: skip


def lambertw(x: Any, k: int = 0) -> Variable:
    """Lambert's W on the real line, the principal branch: the w >= -1 with w * exp(w) = x.

    NaN below -1/e. Raises ArgumentError for other branches than k = 0.

    >>> import symgraph as sg
    >>> sg.special.lambertw([0.0]).eval().tolist()
    [0.0]
    """
    if k != 0:
        raise ArgumentError(f"lambertw: only the principal branch, k = 0, is real here, not {k!r}")
    return _lambertw(x)


# Student's t --------------------------------------------------------------------------------------


def _t_density(df: Any, t: Any) -> Any:
    half = (df + 1) / 2
    norm = lgamma(half) - lgamma(df / 2) - 0.5 * log(df * math.pi)
    return exp(norm - half * log1p(t * t / df))


stdtr = no_slope(elementwise(
    "stdtr", "The distribution function of Student's t with df degrees of freedom.",
    **scalar("stdtr"), vjp=lambda g, y, df, t: (None, g * _t_density(df, t)),
    domain=((1, 9), (-3, 3)), example="special.stdtr(1.0, 0.0) -> 0.5",
), {0: "the degrees of freedom"})  # fmt: skip
stdtrit = no_slope(elementwise(
    "stdtrit", "The inverse of stdtr: the t with stdtr(df, t) = p.",
    **scalar("stdtrit"), vjp=lambda g, y, df, p: (None, g / _t_density(df, y)),
    domain=((1, 9), (0.1, 0.9)), example="special.stdtrit(1.0, 0.5) -> 0.0",
), {0: "the degrees of freedom"})  # fmt: skip
