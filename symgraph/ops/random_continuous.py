"""Distributions of floats by closed formulas of one or two uniform or normal numbers.

All are differentiable in their parameters by construction: a draw is a smooth function of the
parameters and of numbers that do not depend on them.
"""

from __future__ import annotations

import math
from typing import Any

from symgraph import dtypes
from symgraph.ir.graph import Variable
from symgraph.ops.arithmetic import abs as absolute
from symgraph.ops.arithmetic import sqrt
from symgraph.ops.cast import cast
from symgraph.ops.comparison import less, right_shift, where
from symgraph.ops.exponential import exp, log
from symgraph.ops.random_bits import Source
from symgraph.ops.random_draws import NAN, NOT_NEGATIVE, POSITIVE, draw, located
from symgraph.ops.trigonometric import cos, tan

__all__ = [
    "cauchy", "exponential", "gumbel", "half_cauchy", "half_normal", "laplace", "logistic",
    "lognormal", "maxwell", "normal", "pareto", "power", "rayleigh", "triangular", "uniform",
    "weibull",
]  # fmt: skip

SCALE = {"scale": NOT_NEGATIVE}


# parts --------------------------------------------------------------------------------------------


def standard_normal(words: Source, kind: str) -> Variable:
    """Box and Muller's polar form of one block."""
    if kind == "float32":
        u = (cast(words.word(0), kind) + 0.5) * 2.0**-32  # all 32 bits: how far the tail goes
    else:
        u = 1 - words.unit(kind)  # in (0, 1]
    return sqrt(-2 * log(u)) * cos(2 * math.pi * words.unit(kind, 2))


def standard_exponential(words: Source, kind: str) -> Variable:
    """-log(u), never 0."""
    return -log(words.inside(kind))


def _sign(words: Source, kind: str) -> Variable:
    """1 or -1 by a bit that :meth:`Source.inside` does not use."""
    return 1 - 2 * cast(right_shift(words.word(2), 31), kind)


# location and scale -------------------------------------------------------------------------------


def uniform(
    key: Any, shape: Any = None, dtype: Any = "float64", low: Any = 0.0, high: Any = 1.0, *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """Floats uniform in [low, high): 53 random bits for float64, 24 for float32, 11 for float16 and
    8 for bfloat16 (where rounding of low + (high - low) * u may give high itself).

    >>> import symgraph as sg
    >>> sg.random.uniform(sg.random.key(0), ("n", 3)).type.text()
    'float64[n, 3]'
    """
    d = draw("uniform", key, shape, size, dtype, {"low": low, "high": high})
    low, high = d.values
    # as many bits as the dtype holds: one more would be rounded, at the end to 1
    u = d.words.unit(d.kind, digits=min(24, dtypes.limits(d.dtype).digits + 1))
    if isinstance(low, float) and isinstance(high, float):
        return d.result(located(u, low, high - low))
    return d.result(low + (high - low) * u)


def normal(
    key: Any, shape: Any = None, dtype: Any = "float64", loc: Any = 0.0, scale: Any = 1.0, *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """Normally distributed floats with mean ``loc`` and standard deviation ``scale``, by the polar
    form sqrt(-2 log u) cos(2 pi v) of one block for each element (Box and Muller, 1958).

    >>> import symgraph as sg
    >>> sg.random.normal(sg.random.key(0), (2, 3), "float32").type.text()
    'float32[2, 3]'
    """
    d = draw("normal", key, shape, size, dtype, {"loc": loc, "scale": scale}, SCALE)
    return d.result(located(standard_normal(d.words, d.kind), *d.values))


def half_normal(
    key: Any, shape: Any = None, dtype: Any = "float64", loc: Any = 0.0, scale: Any = 1.0, *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """loc + scale * abs(z) for a standard normal z.

    >>> import symgraph as sg
    >>> bool((sg.random.half_normal(sg.random.key(0), 9).eval() > 0).all())
    True
    """
    d = draw("half_normal", key, shape, size, dtype, {"loc": loc, "scale": scale}, SCALE)
    return d.result(located(absolute(standard_normal(d.words, d.kind)), *d.values))


def lognormal(
    key: Any, shape: Any = None, dtype: Any = "float64", mean: Any = 0.0, sigma: Any = 1.0, *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """exp(mean + sigma * z) for a standard normal z.

    >>> import symgraph as sg
    >>> sg.random.lognormal(sg.random.key(0), 2, mean=1.0, sigma=0.0).eval().round(6).tolist()
    [2.718282, 2.718282]
    """
    rules = {"sigma": NOT_NEGATIVE}
    d = draw("lognormal", key, shape, size, dtype, {"mean": mean, "sigma": sigma}, rules)
    return d.result(exp(located(standard_normal(d.words, d.kind), *d.values)))


def exponential(
    key: Any, shape: Any = None, dtype: Any = "float64", scale: Any = 1.0, *, size: Any = None
) -> Variable:
    """Exponentially distributed floats with mean ``scale``: -scale * log(u), never 0.

    >>> import symgraph as sg
    >>> bool((sg.random.exponential(sg.random.key(0), 9).eval() > 0).all())
    True
    """
    d = draw("exponential", key, shape, size, dtype, {"scale": scale}, SCALE)
    return d.result(located(standard_exponential(d.words, d.kind), 0, *d.values))


def laplace(
    key: Any, shape: Any = None, dtype: Any = "float64", loc: Any = 0.0, scale: Any = 1.0, *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """The double exponential distribution: an exponential with a random sign.

    >>> import symgraph as sg
    >>> sg.random.laplace(sg.random.key(0), 3).type.text()
    'float64[3]'
    """
    d = draw("laplace", key, shape, size, dtype, {"loc": loc, "scale": scale}, SCALE)
    z = _sign(d.words, d.kind) * standard_exponential(d.words, d.kind)
    return d.result(located(z, *d.values))


def logistic(
    key: Any, shape: Any = None, dtype: Any = "float64", loc: Any = 0.0, scale: Any = 1.0, *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """The logistic distribution, by inversion of the distribution of the magnitude,
    log((2 - q) / q), which is exact in both tails, and a random sign.

    >>> import symgraph as sg
    >>> sg.random.logistic(sg.random.key(0), 3).type.text()
    'float64[3]'
    """
    d = draw("logistic", key, shape, size, dtype, {"loc": loc, "scale": scale}, SCALE)
    q = d.words.inside(d.kind)
    return d.result(located(_sign(d.words, d.kind) * log((2 - q) / q), *d.values))


def gumbel(
    key: Any, shape: Any = None, dtype: Any = "float64", loc: Any = 0.0, scale: Any = 1.0, *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """The Gumbel distribution of the greatest of many: loc - scale * log(e), e exponential.

    >>> import symgraph as sg
    >>> sg.random.gumbel(sg.random.key(0), 3).type.text()
    'float64[3]'
    """
    d = draw("gumbel", key, shape, size, dtype, {"loc": loc, "scale": scale}, SCALE)
    return d.result(located(-log(standard_exponential(d.words, d.kind)), *d.values))


def _half_cauchy(words: Source, kind: str) -> Variable:
    """By inversion from the far end, cot(pi q / 2), exact however far."""
    return 1 / tan(words.inside(kind) * (math.pi / 2))


def cauchy(
    key: Any, shape: Any = None, dtype: Any = "float64", loc: Any = 0.0, scale: Any = 1.0, *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """The Cauchy distribution: cot(pi q / 2) with a random sign, exact in both tails.

    >>> import symgraph as sg
    >>> sg.random.cauchy(sg.random.key(0), 3).type.text()
    'float64[3]'
    """
    d = draw("cauchy", key, shape, size, dtype, {"loc": loc, "scale": scale}, SCALE)
    z = _sign(d.words, d.kind) * _half_cauchy(d.words, d.kind)
    return d.result(located(z, *d.values))


def half_cauchy(
    key: Any, shape: Any = None, dtype: Any = "float64", loc: Any = 0.0, scale: Any = 1.0, *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """The magnitude of a Cauchy number, times scale, plus loc.

    >>> import symgraph as sg
    >>> bool((sg.random.half_cauchy(sg.random.key(0), 9).eval() > 0).all())
    True
    """
    d = draw("half_cauchy", key, shape, size, dtype, {"loc": loc, "scale": scale}, SCALE)
    return d.result(located(_half_cauchy(d.words, d.kind), *d.values))


def rayleigh(
    key: Any, shape: Any = None, dtype: Any = "float64", scale: Any = 1.0, *, size: Any = None
) -> Variable:
    """The length of a normal vector of two axes: scale * sqrt(-2 log u).

    >>> import symgraph as sg
    >>> sg.random.rayleigh(sg.random.key(0), 3).type.text()
    'float64[3]'
    """
    d = draw("rayleigh", key, shape, size, dtype, {"scale": scale}, SCALE)
    z = sqrt(2 * standard_exponential(d.words, d.kind))
    return d.result(located(z, 0, *d.values))


def maxwell(
    key: Any, shape: Any = None, dtype: Any = "float64", scale: Any = 1.0, *, size: Any = None
) -> Variable:
    """The length of a normal vector of three axes: the squares of two of them add to an
    exponential number.

    >>> import symgraph as sg
    >>> sg.random.maxwell(sg.random.key(0), 3).type.text()
    'float64[3]'
    """
    d = draw("maxwell", key, shape, size, dtype, {"scale": scale}, SCALE)
    z = standard_normal(d.words.at(1), d.kind)
    length = sqrt(2 * standard_exponential(d.words, d.kind) + z * z)
    return d.result(located(length, 0, *d.values))


# with a parameter of shape ------------------------------------------------------------------------


def weibull(
    key: Any, a: Any, shape: Any = None, dtype: Any = "float64", scale: Any = 1.0, *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """The Weibull distribution of shape ``a``: scale * e**(1/a), e exponential.

    >>> import symgraph as sg
    >>> sg.random.weibull(sg.random.key(0), [0.5, 1.0, 2.0]).type.text()
    'float64[3]'
    """
    rules = {"a": POSITIVE, **SCALE}
    d = draw("weibull", key, shape, size, dtype, {"a": a, "scale": scale}, rules)
    z = exp(log(standard_exponential(d.words, d.kind)) / d.values[0])
    return d.result(located(z, 0, d.values[1]))


def pareto(
    key: Any, b: Any, shape: Any = None, dtype: Any = "float64", scale: Any = 1.0, *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """The Pareto distribution of tail index ``b`` on [scale, inf): scale * exp(e / b), e
    exponential. As in SciPy and JAX; NumPy's ``Generator.pareto`` is this minus 1.

    >>> import symgraph as sg
    >>> bool((sg.random.pareto(sg.random.key(0), 2.0, 9).eval() >= 1).all())
    True
    """
    rules = {"b": POSITIVE, **SCALE}
    d = draw("pareto", key, shape, size, dtype, {"b": b, "scale": scale}, rules)
    z = exp(standard_exponential(d.words, d.kind) / d.values[0])
    return d.result(located(z, 0, d.values[1]))


def power(
    key: Any, a: Any, shape: Any = None, dtype: Any = "float64", *, size: Any = None
) -> Variable:
    """The power function distribution on [0, 1], of density a * x**(a - 1): exp(-e / a), e
    exponential.

    >>> import symgraph as sg
    >>> bool((sg.random.power(sg.random.key(0), 2.0, 9).eval() <= 1).all())
    True
    """
    d = draw("power", key, shape, size, dtype, {"a": a}, {"a": POSITIVE})
    return d.result(exp(-standard_exponential(d.words, d.kind) / d.values[0]))


def triangular(
    key: Any, left: Any, mode: Any, right: Any, shape: Any = None, dtype: Any = "float64", *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """The triangular distribution on [left, right] with its peak at ``mode``, by inversion.
    NaN where left <= mode <= right does not hold.

    >>> import symgraph as sg
    >>> sg.random.triangular(sg.random.key(0), 0.0, 1.0, 3.0, 5).type.text()
    'float64[5]'
    """
    params = {"left": left, "mode": mode, "right": right}
    d = draw("triangular", key, shape, size, dtype, params)
    left, mode, right = (d.full(v) for v in d.values)
    u = d.words.inside(d.kind)
    whole, up, down = right - left, mode - left, right - mode
    rising = less(u * whole, up)
    gap = where(rising, up, down) * whole * where(rising, u, 1 - u)
    step = sqrt(where(gap > 0, gap, 1)) * cast(gap > 0, d.kind)  # no infinite slope at the ends
    x = where(rising, left + step, right - step)
    return d.result(where((left <= mode) & (mode <= right), x, NAN))
