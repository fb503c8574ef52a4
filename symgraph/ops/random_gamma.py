"""The gamma distribution and what is made of it, with derivatives in all parameters.

Sampler: Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26, 2000;
below shape 1 a draw of shape a + 1 times u**(1/a), kept as a logarithm, so that nothing is lost for
tiny shapes. Derivatives are implicit: Figurnov, Mohamed and Mnih, "Implicit reparameterization
gradients", NeurIPS 2018.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symgraph.errors import RankError
from symgraph.ir.graph import Variable, constant
from symgraph.ops.arithmetic import abs as absolute
from symgraph.ops.arithmetic import minimum, sqrt
from symgraph.ops.comparison import equal, less, logical_and, where
from symgraph.ops.exponential import exp, expm1, log, log1p
from symgraph.ops.functions import custom_vjp
from symgraph.ops.operands import as_variable
from symgraph.ops.random_bits import Source
from symgraph.ops.random_continuous import SCALE, standard_normal
from symgraph.ops.random_counts import poissons
from symgraph.ops.random_draws import (
    NAN,
    NOT_NEGATIVE,
    POSITIVE,
    Draw,
    accepted,
    draw,
    drawn_shape,
    known,
    located,
)
from symgraph.ops.reductions import max as max_of
from symgraph.ops.reductions import sum as sum_of
from symgraph.ops.shape import broadcast_to, expand_dims
from symgraph.ops.special import sigmoid, stop_gradient
from symgraph.ops.special_gamma import digamma
from symgraph.ops.trigonometric import cos

__all__ = [
    "beta", "chi2", "chisquare", "dirichlet", "f", "gamma", "inverse_gamma", "loggamma",
    "noncentral_chisquare", "noncentral_f", "student_t",
]  # fmt: skip


# sampling -----------------------------------------------------------------------------------------


def _candidate(words: Source, d: Variable, c: Variable) -> tuple[Variable, Variable]:
    """One attempt for shape d + 1/3 with c = 1 / sqrt(9 d): all from one block, the angle and the
    uniform number of the test from one word each."""
    x = sqrt(-2 * log(words.inside("float64"))) * cos(2 * math.pi * words.coarse(2))
    v = 1 + c * x
    v = v * v * v
    positive = v > 0
    bound = 0.5 * x * x + d * (1 - v + log(where(positive, v, 1.0)))
    return d * v, logical_and(positive, less(log(words.coarse(3)), bound))


def _sampled(draw: Draw, words: Source, a: Variable) -> tuple[Variable, Variable]:
    """(v, b): a gamma number of shape ``a`` is v * exp(b). float64."""
    given = known(a)
    if given is not None and ((given >= 1) & (given < math.inf)).all():
        v = accepted(draw, words, _candidate, (a - 1 / 3, 1 / sqrt(9 * a - 3)), True)
        return v, constant(0.0)
    small = less(a, 1)
    boosted = where(small, a + 1, a)
    valid = logical_and(a > 0, a < math.inf)
    d = boosted - 1 / 3
    v = accepted(draw, words, _candidate, (d, 1 / sqrt(9 * d)), valid)
    power = log(words.part(1).inside("float64")) / where(small & valid, a, 1.0)
    boost = where(small, power, 0.0)
    v = where(valid, v, where(equal(a, 0), 0.0, NAN))
    return v, where(valid, boost, 0.0)


def log_gammas(draw: Draw, words: Source, a: Any) -> Variable:
    """Logarithms of gamma numbers of shape ``a`` in float64, -inf for shape 0; differentiable."""
    rows = Draw(draw.name, words, draw.shape, "float64", "float64", ())

    def sample(a: Variable) -> Variable:
        v, boost = _sampled(rows, words, a)
        return log(v) + boost

    def slope(g: Variable, y: Variable, a: Variable) -> Variable:
        return g * log_gamma_slope(a, y)

    return custom_vjp(sample, slope)(draw.full(a, "float64"))  # type: ignore[no-any-return]


def gammas(draw: Draw, words: Source, a: Any) -> Variable:
    """Gamma numbers of shape ``a`` in float64; differentiable."""
    rows = Draw(draw.name, words, draw.shape, "float64", "float64", ())

    def sample(a: Variable) -> Variable:
        v, boost = _sampled(rows, words, a)
        return v * exp(boost)

    def slope(g: Variable, y: Variable, a: Variable) -> Variable:
        positive = y > 0
        moved = y * log_gamma_slope(a, log(where(positive, y, 1.0)))
        return g * where(positive, moved, 0.0)  # an underflowed draw stays at 0

    return custom_vjp(sample, slope)(draw.full(a, "float64"))  # type: ignore[no-any-return]


# the implicit derivative --------------------------------------------------------------------------


def _nodes(count: int = 56, low: float = -3.6, high: float = 3.9) -> tuple[Any, Any]:
    """Nodes and weights for integrals over (0, inf) of what falls off as exp(-s) or faster: the
    trapezoidal rule after s = exp(x - exp(-x)) (Takahasi and Mori, "Double exponential formulas for
    numerical integration", 1974)."""
    x = np.linspace(low, high, count)
    s = np.exp(x - np.exp(-x))
    return s, s * (1 + np.exp(-x)) * (x[1] - x[0])


def log_gamma_slope(a: Any, y: Any) -> Variable:
    """The derivative by ``a`` of the logarithm y of a gamma number of shape a at fixed
    probability, -(dF/da) / (dF/dy), in float64; relative error about 1e-13.

    With z = exp(y) and p = digamma(a) the definition of F gives integrals over t > 0: for z < a of
    (p - y + t) exp(-a t + z (1 - exp(-t))), and for z > a, from the other tail, of
    (y - p + log1p(t)) exp((a - 1) log1p(t) - z t). Nothing cancels, however far the tails.
    """
    s, w = (constant(v) for v in _nodes())
    z = exp(y)
    left = less(z, a)
    rate = absolute(a - z) + minimum(sqrt(z), z)
    rate = where(rate > 1e-300, rate, 1e-300)
    psi = digamma(a)
    left, a, z, rate, gap = (expand_dims(v, -1) for v in (left, a, z, rate, psi - y))
    t = s / rate
    far = log1p(t)
    power = where(left, -a * t - z * expm1(-t), (a - 1) * far - z * t)
    return sum_of(where(left, gap + t, far - gap) * exp(power) * (w / rate), -1)


# distributions ------------------------------------------------------------------------------------


def gamma(
    key: Any, a: Any, shape: Any = None, dtype: Any = "float64", scale: Any = 1.0, *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """The gamma distribution of shape ``a`` >= 0 and the given scale (1 / rate), by the method of
    Marsaglia and Tsang (2000). Below about a = 0.01 most numbers are too small for a float and
    become 0: :func:`loggamma` keeps them.

    Differentiable in ``a`` (implicitly: Figurnov et al., 2018) and ``scale``.

    >>> import symgraph as sg
    >>> sg.random.gamma(sg.random.key(0), [0.5, 1.0, 20.0]).type.text()
    'float64[3]'
    """
    rules = {"a": NOT_NEGATIVE, **SCALE}
    d = draw("gamma", key, shape, size, dtype, {"a": a, "scale": scale}, rules, "float64")
    return d.result(located(gammas(d, d.words, d.values[0]), 0, d.values[1]))


def loggamma(
    key: Any, a: Any, shape: Any = None, dtype: Any = "float64", *, size: Any = None
) -> Variable:
    """The logarithm of a gamma number of shape ``a`` and scale 1, without underflow for tiny
    shapes. Differentiable in ``a``.

    >>> import symgraph as sg
    >>> bool(sg.isfinite(sg.random.loggamma(sg.random.key(0), 1e-5)).eval())
    True
    """
    d = draw("loggamma", key, shape, size, dtype, {"a": a}, {"a": NOT_NEGATIVE}, "float64")
    return d.result(log_gammas(d, d.words, *d.values))


def inverse_gamma(
    key: Any, a: Any, shape: Any = None, dtype: Any = "float64", scale: Any = 1.0, *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """scale / g for a gamma number g of shape ``a`` > 0. Differentiable in both.

    >>> import symgraph as sg
    >>> sg.random.inverse_gamma(sg.random.key(0), 3.0, 4).type.text()
    'float64[4]'
    """
    rules = {"a": POSITIVE, **SCALE}
    d = draw("inverse_gamma", key, shape, size, dtype, {"a": a, "scale": scale}, rules, "float64")
    return d.result(located(exp(-log_gammas(d, d.words, d.values[0])), 0, d.values[1]))


def chisquare(
    key: Any, df: Any, shape: Any = None, dtype: Any = "float64", *, size: Any = None
) -> Variable:
    """The chi-square distribution of ``df`` degrees of freedom: twice a gamma number of shape
    df / 2. Differentiable in ``df``.

    >>> import symgraph as sg
    >>> sg.random.chisquare(sg.random.key(0), 2.0, 4).type.text()
    'float64[4]'
    """
    d = draw("chisquare", key, shape, size, dtype, {"df": df}, {"df": NOT_NEGATIVE}, "float64")
    return d.result(2 * gammas(d, d.words, d.values[0] * 0.5))


chi2 = chisquare


def f(
    key: Any, dfnum: Any, dfden: Any, shape: Any = None, dtype: Any = "float64", *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """Fisher's F distribution: the quotient of two chi-square numbers, each over its degrees of
    freedom. Differentiable in both.

    >>> import symgraph as sg
    >>> sg.random.f(sg.random.key(0), 3.0, 8.0, 4).type.text()
    'float64[4]'
    """
    rules = {"dfnum": POSITIVE, "dfden": POSITIVE}
    d = draw("f", key, shape, size, dtype, {"dfnum": dfnum, "dfden": dfden}, rules, "float64")
    m, n = (d.full(v) for v in d.values)
    up = log_gammas(d, d.words, m * 0.5)
    return d.result(exp(up - log_gammas(d, d.words.part(2), n * 0.5)) * (n / m))


def student_t(
    key: Any, df: Any, shape: Any = None, dtype: Any = "float64", loc: Any = 0.0,
    scale: Any = 1.0, *, size: Any = None,
) -> Variable:  # fmt: skip
    """Student's t distribution of ``df`` > 0 degrees of freedom: a normal number over the root of
    an independent chi-square number over df. Differentiable in df, loc and scale.

    >>> import symgraph as sg
    >>> sg.random.student_t(sg.random.key(0), 3.0, 4).type.text()
    'float64[4]'
    """
    params = {"df": df, "loc": loc, "scale": scale}
    rules = {"df": POSITIVE, **SCALE}
    d = draw("student_t", key, shape, size, dtype, params, rules, "float64")
    half = d.full(d.values[0]) * 0.5
    ratio = exp(0.5 * (log(half) - log_gammas(d, d.words, half)))
    return d.result(located(standard_normal(d.words.part(2), "float64") * ratio, *d.values[1:]))


def beta(
    key: Any, a: Any, b: Any, shape: Any = None, dtype: Any = "float64", *, size: Any = None
) -> Variable:
    """The beta distribution: x / (x + y) for gamma numbers x of shape ``a`` and y of shape ``b``,
    from their logarithms, so that tiny shapes give numbers near 0 and 1 and no 0 / 0.
    Differentiable in a and b.

    >>> import symgraph as sg
    >>> sg.random.beta(sg.random.key(0), 2.0, [1.0, 3.0]).type.text()
    'float64[2]'
    """
    rules = {"a": POSITIVE, "b": POSITIVE}
    d = draw("beta", key, shape, size, dtype, {"a": a, "b": b}, rules, "float64")
    x = log_gammas(d, d.words, d.values[0])
    return d.result(sigmoid(x - log_gammas(d, d.words.part(2), d.values[1])))


def dirichlet(
    key: Any, alpha: Any, shape: Any = None, dtype: Any = "float64", *, size: Any = None
) -> Variable:
    """The Dirichlet distribution over the last axis of ``alpha``: gamma numbers over their sum, by
    logarithms, so that rows of tiny alpha still add to 1. ``shape`` is without the last axis.
    Differentiable in alpha. Raises RankError for a scalar.

    >>> import symgraph as sg
    >>> sg.random.dirichlet(sg.random.key(0), [1e-8, 1e-8], 5).eval().sum(axis=1).round(12).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    given = as_variable(alpha)
    if given.ndim == 0:
        raise RankError("random.dirichlet: alpha has no axis", hint="give a vector of shapes")
    batch = broadcast_to(0.0, given.shape[:-1])
    full = (*drawn_shape("dirichlet", shape, size, (), (batch,)), given.shape[-1])
    d = draw("dirichlet", key, full, None, dtype, {"alpha": alpha}, {"alpha": POSITIVE}, "float64")
    y = log_gammas(d, d.words, d.values[0])
    share = exp(y - stop_gradient(max_of(y, -1, keepdims=True)))
    return d.result(share / sum_of(share, -1, keepdims=True))


def noncentral_chisquare(
    key: Any, df: Any, nonc: Any, shape: Any = None, dtype: Any = "float64", *, size: Any = None
) -> Variable:
    """The noncentral chi-square distribution: for df > 1 (z + sqrt(nonc))**2 plus a chi-square
    number of df - 1 degrees, else one of df + 2 k degrees, k a Poisson number of mean nonc / 2
    (Johnson, Kotz and Balakrishnan, "Continuous univariate distributions 2", 1995, chapter 29).
    Differentiable where df > 1; elsewhere k carries no derivative.

    >>> import symgraph as sg
    >>> sg.random.noncentral_chisquare(sg.random.key(0), 3.0, 1.0, 4).type.text()
    'float64[4]'
    """
    rules = {"df": POSITIVE, "nonc": NOT_NEGATIVE}
    params = {"df": df, "nonc": nonc}
    d = draw("noncentral_chisquare", key, shape, size, dtype, params, rules, "float64")
    return d.result(_noncentral(d, d.words, *(d.full(v) for v in d.values)))


def _noncentral(d: Draw, words: Source, df: Variable, nonc: Variable) -> Variable:
    wide = df > 1
    extra = poissons(d, words.part(2), nonc * 0.5)
    rest = 2 * gammas(d, words, where(wide, df - 1, df + 2 * extra) * 0.5)
    shifted = standard_normal(words.part(4), "float64") + sqrt(where(nonc > 0, nonc, 0.0))
    return where(wide, shifted * shifted, 0.0) + rest


def noncentral_f(
    key: Any, dfnum: Any, dfden: Any, nonc: Any, shape: Any = None, dtype: Any = "float64", *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """The noncentral F distribution: a noncentral chi-square number over dfnum, divided by a
    chi-square number over dfden. Differentiable where :func:`noncentral_chisquare` is.

    >>> import symgraph as sg
    >>> sg.random.noncentral_f(sg.random.key(0), 3.0, 8.0, 1.0, 4).type.text()
    'float64[4]'
    """
    params = {"dfnum": dfnum, "dfden": dfden, "nonc": nonc}
    rules = {"dfnum": POSITIVE, "dfden": POSITIVE, "nonc": NOT_NEGATIVE}
    d = draw("noncentral_f", key, shape, size, dtype, params, rules, "float64")
    m, n, nonc = (d.full(v) for v in d.values)
    up = _noncentral(d, d.words, m, nonc)
    return d.result(up / m * (n * 0.5) * exp(-log_gammas(d, d.words.part(6), n * 0.5)))
