"""Distributions whose derivatives follow from their distribution function (see random_gamma.py):
truncated normal, von Mises, Wald. All are computed in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symgraph.ir.graph import Variable, constant
from symgraph.ops.arithmetic import abs as absolute
from symgraph.ops.arithmetic import clip, maximum, minimum, remainder, sqrt
from symgraph.ops.comparison import less, less_equal, logical_and, where
from symgraph.ops.exponential import exp, log
from symgraph.ops.functions import custom_vjp
from symgraph.ops.random_bits import Source
from symgraph.ops.random_continuous import standard_normal
from symgraph.ops.random_draws import NAN, NOT_NEGATIVE, POSITIVE, Draw, accepted, draw
from symgraph.ops.reductions import sum as sum_of
from symgraph.ops.shape import expand_dims
from symgraph.ops.special import stop_gradient
from symgraph.ops.special_bessel import i0e, i1e
from symgraph.ops.special_normal import erfcx, ndtr, ndtri
from symgraph.ops.trigonometric import acos, cos

__all__ = ["truncated_normal", "vonmises", "wald"]

_HALF = math.sqrt(0.5)


# the tail of the normal distribution --------------------------------------------------------------


def mills(x: Variable) -> Variable:
    """The probability of a normal number above x > 0 over its density there."""
    return math.sqrt(math.pi / 2) * erfcx(x * _HALF)


def _beyond(a: Variable, v: Variable) -> Variable:
    """x >= a with v times the probability above a > 0 above it, by Halley's method for the
    logarithm, which falls monotonously onto the root."""
    drop = -2 * log(v)
    step = drop / (sqrt(a * a + drop) + a)
    start = mills(a)
    for _ in range(5):
        x = a + step
        m = mills(x)
        g = 0.5 * drop - step * (a + 0.5 * step) + log(m / start)
        step = maximum(step + 2 * g * m / (2 - g * (x * m - 1)), 0.0)
    return a + step


def _truncated(a: Variable, b: Variable, u: Variable) -> Variable:
    """The standard normal quantile of u between a and b, where a + b >= 0."""
    tail = a > 0.5
    start = where(tail, a, 1.0)
    gap = where(tail, b - a, 1.0)
    end = minimum(start + gap, 1e200)
    beyond = exp(-0.5 * minimum(gap, 1e150) * (start + end)) * mills(end) / mills(start)
    far = _beyond(start, 1 - u * (1 - beyond))
    above, below = ndtr(-a) * (1 - u) + ndtr(-b) * u, ndtr(a) * (1 - u) + ndtr(b) * u
    x = ndtri(minimum(above, below))
    near = where(less(above, below), -x, x)
    return clip(where(tail, far, near), a, b)


def _truncated_slopes(
    g: Variable, x: Variable, a: Variable, b: Variable, u: Variable
) -> tuple[Any, ...]:
    """At fixed u the density at x moves what the densities at the ends move."""
    at = [exp(0.5 * (x - e) * (x + e)) for e in (a, b)]
    return g * at[0] * (1 - u), g * at[1] * u, None


def truncated_normal(
    key: Any, low: Any, high: Any, shape: Any = None, dtype: Any = "float64", loc: Any = 0.0,
    scale: Any = 1.0, *, size: Any = None,
) -> Variable:  # fmt: skip
    """Normal numbers of mean ``loc`` and standard deviation ``scale`` before truncation, given that
    they lie in [low, high] (either may be infinite), by inversion, which keeps its digits however
    far the interval is from loc. NaN where low > high. Differentiable in all parameters.

    >>> import symgraph as sg
    >>> x = sg.random.truncated_normal(sg.random.key(0), 50.0, 51.0, 9).eval()
    >>> bool(((x >= 50) & (x <= 51)).all())
    True
    """
    params = {"low": low, "high": high, "loc": loc, "scale": scale}
    d = draw("truncated_normal", key, shape, size, dtype, params, {"scale": POSITIVE}, "float64")
    low, high, loc, scale = (d.full(v) for v in d.values)
    a, b = (low - loc) / scale, (high - loc) / scale
    left = a + b < 0  # the interval leans to the left: turn it round
    first, last = where(left, -b, a), where(left, -a, b)
    x = custom_vjp(_truncated, _truncated_slopes)(first, last, d.words.inside("float64"))
    x = clip(loc + scale * where(left, -x, x), low, high)
    return d.result(where(less_equal(low, high), x, NAN))


# von Mises ----------------------------------------------------------------------------------------


def _turn(words: Source, kappa: Variable, r: Variable) -> tuple[Variable, Variable]:
    """One attempt of Best and Fisher, as an angle from 0 to pi."""
    z = cos(math.pi * words.inside("float64"))
    w = (1 + r * z) / (r + z)
    c = kappa * (r - w)
    v = words.coarse(2)
    return acos(clip(w, -1.0, 1.0)), (c * (2 - c) > v) | (log(c / v) + 1 >= c)


def _angles(d: Draw, words: Source, kappa: Variable) -> Variable:
    """Angles from 0 to pi: uniform for kappa near 0, folded normal ones from 1e8 on, where the
    difference is below the last digit of a float32."""
    middle = logical_and(kappa > 1e-7, kappa < 1e8)
    k = where(middle, kappa, 1.0)
    root = sqrt(1 + 4 * k * k)
    # of r = (1 + rho**2) / (2 rho), rho = (tau - sqrt(2 tau)) / (2 k), without differences
    tau = 1 + root
    rho = 2 * k / (tau + sqrt(2 * tau))
    r = (1 + rho * rho) / (2 * rho)
    found = accepted(d, words, _turn, (k, r), middle, 2)
    sharp = absolute(standard_normal(words.part(1), "float64")) / sqrt(maximum(kappa, 1e8))
    even = words.part(1).unit("float64") * math.pi
    found = where(middle, found, where(kappa > 1, sharp, even))
    return where(kappa >= 0, found, NAN)


def _angle_slope(g: Variable, z: Variable, kappa: Variable) -> Variable:
    """dz/dkappa at fixed probability: the integral over t of (cos t - I1/I0) exp(kappa (cos t -
    cos z)) from z to pi, or where cos z > I1/I0 minus that from 0 to z, so that nothing cancels;
    by Gauss and Legendre, as far as the integrand counts."""
    mean = i1e(kappa) / i0e(kappa)
    inner = cos(z) > mean
    reach = acos(maximum(cos(z) - 40 / maximum(kappa, 1e-300), -1.0))
    first, last = where(inner, 0.0, z), where(inner, z, reach)
    x, w = (constant(v) for v in np.polynomial.legendre.leggauss(40))
    half = expand_dims(0.5 * (last - first), -1)
    t = expand_dims(0.5 * (first + last), -1) + half * x
    kappa, mean, z = (expand_dims(v, -1) for v in (kappa, mean, z))
    total = sum_of((cos(t) - mean) * exp(kappa * (cos(t) - cos(z))) * (w * half), -1)
    return g * where(inner, -total, total)


def vonmises(
    key: Any, mu: Any, kappa: Any, shape: Any = None, dtype: Any = "float64", *, size: Any = None
) -> Variable:
    """Angles in [-pi, pi] around ``mu`` of density proportional to exp(kappa cos(x - mu)), kappa >=
    0, by Best and Fisher, "Efficient simulation of the von Mises distribution", Applied Statistics
    28, 1979. Differentiable in mu and kappa.

    >>> import symgraph as sg
    >>> sg.random.vonmises(sg.random.key(0), 0.0, [0.0, 1.0, 100.0]).type.text()
    'float64[3]'
    """
    rules = {"kappa": NOT_NEGATIVE}
    d = draw("vonmises", key, shape, size, dtype, {"mu": mu, "kappa": kappa}, rules, "float64")

    def angles(kappa: Variable) -> Variable:
        return _angles(d, d.words, kappa)

    z = custom_vjp(angles, _angle_slope)(d.full(d.values[1]))
    side = 1.0 - 2.0 * (d.words.part(2).word(0) >> 31)
    turned = side * z + d.values[0]
    turns = stop_gradient(remainder(turned + math.pi, 2 * math.pi) - (turned + math.pi))
    return d.result(clip(turned + turns, -math.pi, math.pi))


# Wald ---------------------------------------------------------------------------------------------


def _unit_wald(phi: Variable, z: Variable, u: Variable) -> Variable:
    """An inverse Gaussian number of mean 1 and shape phi by Michael, Schucany and Haas, with the
    smaller root in a form without differences."""
    w = 0.5 * z * z / phi
    x = 1 / (1 + w + sqrt(w * (2 + w)))
    return where(u * (1 + x) <= 1, x, 1 / x)


def _wald_slopes(
    g: Variable, x: Variable, phi: Variable, z: Variable, u: Variable
) -> tuple[Any, ...]:
    """dx/dphi = x/phi - 2 m x**1.5 / sqrt(phi), m Mills' ratio at sqrt(phi / x) (x + 1)."""
    m = mills(sqrt(phi / x) * (x + 1))
    return g * (x / phi - 2 * m * x * sqrt(x / phi)), None, None


def wald(
    key: Any, mean: Any, shape: Any = None, dtype: Any = "float64", scale: Any = 1.0, *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """The Wald or inverse Gaussian distribution of the given ``mean`` and shape parameter ``scale``
    (both > 0), by Michael, Schucany and Haas, "Generating random variates using transformations
    with multiple roots", The American Statistician 30, 1976. Differentiable in both.

    >>> import symgraph as sg
    >>> sg.random.wald(sg.random.key(0), 3.0, 2).type.text()
    'float64[2]'
    """
    rules = {"mean": POSITIVE, "scale": POSITIVE}
    d = draw("wald", key, shape, size, dtype, {"mean": mean, "scale": scale}, rules, "float64")
    mean, scale = (d.full(v) for v in d.values)
    z, u = standard_normal(d.words, "float64"), d.words.at(1).unit("float64")
    return d.result(mean * custom_vjp(_unit_wald, _wald_slopes)(scale / mean, z, u))
