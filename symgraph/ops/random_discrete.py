"""Distributions of whole numbers and truth values. None carries a derivative: a count does not
move with its parameters, so they count as constants (stop_gradient), and an estimate of the
derivative of an expectation needs a relaxation or the score function.

Where a parameter is impossible the result is -1 (NaN in a float dtype).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, DTypeError
from symgraph.ir.graph import Variable
from symgraph.ops.arithmetic import clip, floor, maximum, minimum, sqrt
from symgraph.ops.cast import cast
from symgraph.ops.comparison import isnan, less, less_equal, logical_and, where
from symgraph.ops.exponential import exp, expm1, log, log1p
from symgraph.ops.operands import as_variable
from symgraph.ops.random_bits import Source, bits, source
from symgraph.ops.random_counts import GREATEST, binomials, poissons, stirling_tail
from symgraph.ops.random_draws import (
    NONZERO_PROBABILITY,
    POSITIVE,
    PROBABILITY,
    Draw,
    accepted,
    counted,
    drawn_shape,
    parameter,
)
from symgraph.ops.random_gamma import gammas, log_gammas
from symgraph.ops.special import sigmoid, stop_gradient

__all__ = [
    "bernoulli", "beta_binomial", "binomial", "geometric", "hypergeometric", "integers",
    "logseries", "negative_binomial", "poisson", "rademacher", "randint", "zipf",
]  # fmt: skip

WHOLE = (
    lambda v: (v >= 0) & (v < GREATEST) & (v // 1 == v),
    "no whole number of at least 0",
)
MANY = (
    lambda v: (v >= 0) & (v <= 1e12) & (v // 1 == v),
    "no whole number from 0 to 1e12",
)
BELOW_ONE = (lambda v: (v >= 0) & (v < 1), "not in [0, 1)")
ABOVE_ONE = (lambda v: v > 1, "not above 1")


def _fixed(value: Any) -> Any:
    """A parameter that carries no derivative."""
    return stop_gradient(value) if isinstance(value, Variable) else value


def whole(d: Draw, value: Variable) -> Variable:
    """Counts in the dtype of the draw; NaN becomes -1 in an integer dtype."""
    if dtypes.is_float(d.dtype):
        return d.result(value)
    impossible = isnan(value)
    count = clip(where(impossible, 0, value), -GREATEST, GREATEST)
    return where(impossible, -1, cast(count, d.dtype))


# truth values and uniform integers ----------------------------------------------------------------


def bernoulli(key: Any, p: Any = 0.5, shape: Any = None, *, size: Any = None) -> Variable:
    """True with probability p, which is compared with 53 random bits; False where p is NaN.
    No derivative passes to p. Raises ArgumentError for a constant p that is no probability.

    >>> import symgraph as sg
    >>> sg.random.bernoulli(sg.random.key(0), 1.0, 3).eval().tolist()
    [True, True, True]
    """
    p = parameter("bernoulli", "p", p, PROBABILITY, "float64")
    full = drawn_shape("bernoulli", shape, size, (p,))
    return less(source(key, full).unit("float64"), p)


def rademacher(key: Any, shape: Any = (), dtype: Any = "int64", *, size: Any = None) -> Variable:
    """-1 or 1, with equal probability, in any signed dtype.

    >>> import symgraph as sg
    >>> sorted(set(sg.random.rademacher(sg.random.key(0), 99).eval().tolist()))
    [-1, 1]
    """
    kind = dtypes.as_dtype(dtype)
    if dtypes.kind(kind) not in "if":
        raise DTypeError(f"random.rademacher draws signed numbers, not {kind}")
    full = drawn_shape("rademacher", shape if size is None else None, size)
    return 1 - 2 * cast(source(key, full).word(0) >> 31, kind)


def randint(
    key: Any, shape: Any = None, low: Any = 0, high: Any = None, dtype: Any = "int64", *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """Integers from low up to and without high (without high: from 0 up to low), from 64 random
    bits each (the probabilities differ by less than (high - low) / 2**64). low and high are
    integers or integer tensors; where a tensor leaves no integer the result is low.

    Raises ArgumentError for a constant empty range, DTypeError, OutOfRangeError.

    >>> import symgraph as sg
    >>> sg.random.randint(sg.random.key(0), 2, 5, 6).eval().tolist()
    [5, 5]
    """
    if high is None:
        low, high = 0, low
    kind = dtypes.as_dtype(dtype)
    if not dtypes.is_int(kind):
        raise DTypeError(f"random.randint draws integers, not {kind}")
    if all(isinstance(v, int | np.integer) for v in (low, high)):
        low, high = int(low), int(high)
        if not low < high:
            raise ArgumentError(f"random.randint: no integers from {low} up to {high}")
        dtypes.check_in_range(low, kind)
        dtypes.check_in_range(high - 1, kind)
        full = drawn_shape("randint", shape, size)
        offset = cast(bits(key, full, "uint64") % (high - low), kind)
        return offset + low if low else offset
    low, high = (_bound(v) for v in (low, high))
    full = drawn_shape("randint", shape, size, (low, high))
    width = cast(maximum(high - low, 1), "uint64")
    return cast(cast(bits(key, full, "uint64") % width, "int64") + low, kind)


def _bound(value: Any) -> Variable:
    found = as_variable(value)
    if not dtypes.is_int(found.dtype):
        raise DTypeError(f"random.randint: a bound is an integer, not {found.type.text()}")
    return cast(found, "int64")


def integers(
    key: Any, low: Any, high: Any = None, shape: Any = None, dtype: Any = "int64",
    endpoint: bool = False, *, size: Any = None,
) -> Variable:  # fmt: skip
    """:func:`randint` with the order of arguments of NumPy's ``Generator.integers``; ``endpoint``
    includes high.

    >>> import symgraph as sg
    >>> sg.random.integers(sg.random.key(0), 3, 3, 2, endpoint=True).eval().tolist()
    [3, 3]
    """
    if high is None:
        low, high = 0, low
    return randint(key, shape, low, high + 1 if endpoint else high, dtype, size=size)


# counts -------------------------------------------------------------------------------------------


def poisson(
    key: Any, lam: Any = 1.0, shape: Any = None, dtype: Any = "int64", *, size: Any = None
) -> Variable:
    """The number of events of mean ``lam`` >= 0: inversion below 10, Hormann's rejection PTRS
    (1993) from there. No derivative passes to lam; -1 (NaN in a float dtype) where lam is negative,
    NaN or above 9.2e18. Raises ArgumentError for such a constant.

    >>> import symgraph as sg
    >>> sg.random.poisson(sg.random.key(0), [0.0, 0.0]).eval().tolist()
    [0, 0]
    """
    rules = {"lam": (lambda v: (v >= 0) & (v < GREATEST), "no mean below 9.2e18")}
    d = counted("poisson", key, shape, size, dtype, {"lam": lam}, rules)
    return whole(d, poissons(d, d.words, d.full(_fixed(d.values[0]))))


def binomial(
    key: Any, n: Any, p: Any, shape: Any = None, dtype: Any = "int64", *, size: Any = None
) -> Variable:
    """The number of successes in ``n`` trials of probability ``p``: inversion while n times the
    smaller of p and 1 - p is below 10, Hormann's rejection BTRS (1993) from there. No derivative
    passes; -1 (NaN in a float dtype) where n is no whole number >= 0 or p no probability.

    >>> import symgraph as sg
    >>> sg.random.binomial(sg.random.key(0), 7, [0.0, 1.0]).eval().tolist()
    [0, 7]
    """
    rules = {"n": WHOLE, "p": PROBABILITY}
    d = counted("binomial", key, shape, size, dtype, {"n": n, "p": p}, rules)
    n, p = (d.full(_fixed(v)) for v in d.values)
    return whole(d, binomials(d, d.words, n, p))


def geometric(
    key: Any, p: Any, shape: Any = None, dtype: Any = "int64", *, size: Any = None
) -> Variable:
    """The number of trials of probability ``p`` up to the first success, 1 or more, by inversion:
    1 + floor(log(u) / log(1 - p)). No derivative passes to p; -1 (NaN in a float dtype) where p is
    not in (0, 1].

    >>> import symgraph as sg
    >>> sg.random.geometric(sg.random.key(0), 1.0, 3).eval().tolist()
    [1, 1, 1]
    """
    d = counted("geometric", key, shape, size, dtype, {"p": p}, {"p": NONZERO_PROBABILITY})
    p = as_variable(_fixed(d.values[0]))
    return whole(d, 1 + floor(log(d.words.inside("float64")) / log1p(-p)))


def negative_binomial(
    key: Any, n: Any, p: Any, shape: Any = None, dtype: Any = "int64", *, size: Any = None
) -> Variable:
    """The number of failures before ``n`` > 0 successes (n need not be whole) of probability ``p``:
    a Poisson number whose mean is a gamma number of shape n and scale (1 - p) / p. No derivative
    passes; -1 (NaN in a float dtype) for impossible parameters.

    >>> import symgraph as sg
    >>> sg.random.negative_binomial(sg.random.key(0), 3.0, 1.0, 2).eval().tolist()
    [0, 0]
    """
    rules = {"n": POSITIVE, "p": NONZERO_PROBABILITY}
    d = counted("negative_binomial", key, shape, size, dtype, {"n": n, "p": p}, rules)
    n, p = (d.full(_fixed(v)) for v in d.values)
    mean = stop_gradient(gammas(d, d.words.part(2), n)) * ((1 - p) / p)
    return whole(d, poissons(d, d.words, mean))


def beta_binomial(
    key: Any, n: Any, a: Any, b: Any, shape: Any = None, dtype: Any = "int64", *, size: Any = None
) -> Variable:
    """Successes in ``n`` trials whose common probability is a beta number of shapes a and b. No
    derivative passes; -1 (NaN in a float dtype) for impossible parameters.

    >>> import symgraph as sg
    >>> sg.random.beta_binomial(sg.random.key(0), 0, 1.0, 1.0).eval().item()
    0
    """
    rules = {"n": WHOLE, "a": POSITIVE, "b": POSITIVE}
    d = counted("beta_binomial", key, shape, size, dtype, {"n": n, "a": a, "b": b}, rules)
    n, a, b = (d.full(_fixed(v)) for v in d.values)
    x, y = log_gammas(d, d.words.part(2), a), log_gammas(d, d.words.part(4), b)
    return whole(d, binomials(d, d.words, n, stop_gradient(sigmoid(x - y))))


def logseries(
    key: Any, p: Any, shape: Any = None, dtype: Any = "int64", *, size: Any = None
) -> Variable:
    """The logarithmic series distribution, P(k) = -p**k / (k log(1 - p)) for k >= 1, by Kemp's
    second method ("Efficient generation of logarithmically distributed pseudo-random variables",
    Applied Statistics 30, 1981). No derivative passes; -1 (NaN in a float dtype) where p is not in
    [0, 1).

    >>> import symgraph as sg
    >>> sg.random.logseries(sg.random.key(0), 0.0, 2).eval().tolist()
    [1, 1]
    """
    d = counted("logseries", key, shape, size, dtype, {"p": p}, {"p": BELOW_ONE})
    p = d.full(_fixed(d.values[0]))
    v = d.words.inside("float64")
    q = -expm1(log1p(-p) * d.words.at(1).inside("float64"))
    k = floor(1 + log(v) / log(q))
    k = where(v > q, 1.0, where(v <= q * q, maximum(k, 1.0), 2.0))
    return whole(d, where(isnan(p), p, where(v >= p, 1.0, k)))


def zipf(
    key: Any, a: Any, shape: Any = None, dtype: Any = "int64", *, size: Any = None
) -> Variable:
    """The zeta distribution, P(k) proportional to k**-a for k >= 1 and ``a`` > 1, by rejection
    (Devroye, "Non-uniform random variate generation", 1986, X.6.1); numbers above 2**62 are drawn
    again. No derivative passes; -1 (NaN in a float dtype) where a is not above 1.

    >>> import symgraph as sg
    >>> sg.random.zipf(sg.random.key(0), 900.0, 2).eval().tolist()
    [1, 1]
    """
    d = counted("zipf", key, shape, size, dtype, {"a": a}, {"a": ABOVE_ONE})
    a = d.full(_fixed(d.values[0]))
    valid = a > 1
    slope = where(valid, a, 2.0) - 1
    found = accepted(d, d.words, _zipf_candidate, (slope,), valid, 2)
    return whole(d, where(valid, found, math.nan))


def _zipf_candidate(words: Source, slope: Variable) -> tuple[Variable, Variable]:
    """Of the exponent slope + 1; the test in a form that does not overflow."""
    low = exp(-slope * (62 * math.log(2.0)))  # u above this keeps the candidate below 2**62
    u = low + (1 - low) * words.inside("float64")
    x = floor(exp(-log(u) / slope))
    steep = slope * log1p(1 / x)  # log t, t = (1 + 1/x)**slope
    v = words.coarse(2)
    # v x (t - 1) / (b - 1) <= t / b with b = 2**slope
    fall = expm1(steep) / exp(steep)
    top = -expm1(-slope * math.log(2.0))
    return x, less_equal(v * x * fall, top)


def hypergeometric(
    key: Any, ngood: Any, nbad: Any, nsample: Any, shape: Any = None, dtype: Any = "int64", *,
    size: Any = None,
) -> Variable:  # fmt: skip
    """The number of good ones among ``nsample`` taken without replacement from ngood good and nbad
    bad ones: one by one for at most 10 (of the taken or of the left ones), else by the ratio of
    uniforms (Stadlober, "The ratio of uniforms approach for generating discrete random variates",
    Journal of Computational and Applied Mathematics 31, 1990). No derivative passes; -1 (NaN in a
    float dtype) where nsample is above ngood + nbad or a number is not whole or above 1e12.

    >>> import symgraph as sg
    >>> sg.random.hypergeometric(sg.random.key(0), 5, 0, [3, 5]).eval().tolist()
    [3, 5]
    """
    rules = {"ngood": MANY, "nbad": MANY, "nsample": MANY}
    params = {"ngood": ngood, "nbad": nbad, "nsample": nsample}
    d = counted("hypergeometric", key, shape, size, dtype, params, rules)
    good, bad, taken = (d.full(_fixed(v)) for v in d.values)
    total = good + bad
    valid = less_equal(taken, total)
    good, bad, taken = (where(valid, v, 0.0) for v in (good, bad, taken))
    total = good + bad
    few, rare = minimum(taken, total - taken), minimum(good, bad)
    large = few > ONE_BY_ONE
    some = (where(large, rare, 50.0), where(large, total - rare, 50.0), where(large, few, 50.0))
    found = accepted(d, d.words, _hypergeometric_candidate, some, large, 2)
    k = where(large, found, _one_by_one(d.words.part(1), rare, total, where(large, 0.0, few)))
    k = where(less(bad, good), few - k, k)
    return whole(d, where(valid, where(few < taken, good - k, k), math.nan))


ONE_BY_ONE = 10


def _one_by_one(words: Source, good: Variable, total: Variable, count: Variable) -> Variable:
    """Good ones among ``count`` (at most ONE_BY_ONE)."""
    left = good
    for k in range(ONE_BY_ONE):
        hit = words.at(k).unit("float64") * (total - k) < left
        left = where(hit & (k < count), left - 1, left)
    return good - left


def _log_factorial(k: Variable) -> Variable:
    return (k + 0.5) * log(k + 1) - (k + 1) + stirling_tail(k)


def _log_hypergeometric(k: Variable, good: Variable, bad: Variable, taken: Variable) -> Variable:
    """The logarithm of the probability of k, but for what does not depend on k."""
    parts = (k, good - k, taken - k, bad - taken + k)
    return -(_log_factorial(parts[0]) + _log_factorial(parts[1])) - (
        _log_factorial(parts[2]) + _log_factorial(parts[3])
    )


def _hypergeometric_candidate(
    words: Source, good: Variable, bad: Variable, taken: Variable
) -> tuple[Variable, Variable]:
    """Stadlober's HRUA; good and taken are at most half of all."""
    total = good + bad
    p = good / total
    center = taken * p + 0.5
    spread = sqrt((total - taken) * taken * p * (1 - p) / (total - 1) + 0.5)
    width = 1.7155277699214135 * spread + 0.8989161620588988
    mode = floor((taken + 1) * (good + 1) / (total + 2))
    u = words.inside("float64")
    k = floor(center + width * (words.coarse(3) - 0.5) / u)
    last = minimum(minimum(taken, good) + 1, floor(center + 16 * spread))
    within = logical_and(k >= 0, less(k, last))
    at = where(within, k, mode)
    rise = _log_hypergeometric(at, good, bad, taken) - _log_hypergeometric(mode, good, bad, taken)
    return k, logical_and(within, less_equal(2 * log(u), rise))
