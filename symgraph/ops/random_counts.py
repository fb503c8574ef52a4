"""Poisson and binomial numbers: small means by inversion, large ones by transformed rejection.

Source of both rejections: Hormann, "The transformed rejection method for generating Poisson random
variables", Insurance: Mathematics and Economics 12, 1993 (PTRS), and "The generation of binomial
random variates", Journal of Statistical Computation and Simulation 46, 1993 (BTRS). Probabilities
are compared by their deviance (Loader, "Fast and accurate computation of binomial probabilities",
2000), which keeps its digits for means of 1e15.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.ir.graph import Variable
from symgraph.ops.arithmetic import abs as absolute
from symgraph.ops.arithmetic import floor, minimum, sqrt
from symgraph.ops.comparison import less, less_equal, logical_and, logical_not, where
from symgraph.ops.elementwise import elementwise
from symgraph.ops.exponential import log, log1p
from symgraph.ops.random_bits import Source
from symgraph.ops.random_draws import Draw, accepted, known
from symgraph.scalar import Expr, functions

__all__: list[str] = []

SMALL = 10.0  # means below are drawn by inversion
LAST = 56  # the probability of more than this at mean 10 is below 2**-63
NEAR_ONE = 1 - 2.0**-46  # beyond this the last digits of a sum of probabilities would decide
GREATEST = 9.2e18  # fits into int64


def _real(*operands: Any) -> str:
    """float64 for whatever is real."""
    found = dtypes.promote(*operands)
    return "" if dtypes.is_complex(found) else "float64"


# by inversion -------------------------------------------------------------------------------------


def _poisson_chain(f: Any, u: Any, mean: Any) -> Any:
    """How many of the cumulated probabilities are at most u."""
    u = f.minimum(u, NEAR_ONE)
    p = total = f.exp(f.neg(mean))
    count = f.cast(f.le(total, u), "float64")
    for k in range(1, LAST):
        p = f.mul(p, f.mul(mean, 1.0 / k))
        total = f.add(total, p)
        count = f.add(count, f.cast(f.le(total, u), "float64"))
    return count


def _binomial_chain(f: Any, u: Any, n: Any, p: Any) -> Any:
    """The same for n trials of probability p."""
    u = f.minimum(u, NEAR_ONE)
    odds = f.div(p, f.sub(1.0, p))
    term = total = f.exp(f.mul(n, f.log1p(f.neg(p))))
    count = f.cast(f.le(total, u), "float64")
    for k in range(1, LAST):
        left = f.maximum(f.sub(n, k - 1.0), 0.0)
        term = f.mul(f.mul(term, f.mul(left, 1.0 / k)), odds)
        total = f.add(total, term)
        count = f.add(count, f.cast(f.le(total, u), "float64"))
    return f.minimum(count, n)


def _stirling_chain(f: Any, k: Any) -> Any:
    """log k! - (log(2 pi) / 2 + (k + 1/2) log(k + 1) - (k + 1)) for whole k >= 0."""
    x = f.div(1.0, f.add(k, 1.0))
    q = f.mul(x, x)
    value: Any = 1 / 1188
    for c in (-1 / 1680, 1 / 1260, -1 / 360, 1 / 12):
        value = f.add(f.mul(value, q), c)
    value = f.mul(value, x)
    for j, exact in enumerate(_TAILS):
        value = f.select(f.eq(k, float(j)), exact, value)
    return value


_TAILS = (
    0.081061466795327258, 0.041340695955409294, 0.027677925684998339, 0.020790672103765093,
    0.016644691189821193, 0.013876128823070748, 0.011896709945891770, 0.010411265261972096,
    0.0092554621827127329, 0.0083305634333631258,
)  # fmt: skip


class _NumPy:
    """NumPy's functions under the names of the scalar language."""

    exp, neg, add, sub, mul, div = np.exp, np.negative, np.add, np.subtract, np.multiply, np.divide
    le, eq, select, log1p = np.less_equal, np.equal, np.where, np.log1p
    maximum, minimum = np.maximum, np.minimum

    @staticmethod
    def cast(x: Any, dtype: str) -> Any:
        return np.asarray(x).astype(dtype)


def _row(name: str, doc: str, chain: Any, arity: int, domain: Any) -> Any:
    def reference(*operands: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.asarray(chain(_NumPy, *operands))

    def lower(*operands: Expr) -> Expr:
        return chain(functions, *operands)  # type: ignore[no-any-return]

    return elementwise(
        name, doc, dtype=_real, reference=reference, lower=lower, arity=arity, domain=domain,
        nondifferentiable="a count, or a step towards one",
    )  # fmt: skip


poisson_quantile = _row(
    "poisson_quantile", "The smallest count whose probability to be not exceeded is above u, of a "
    "Poisson number of mean at most 10 (operands u, mean); float64.", _poisson_chain, 2,
    ((0, 1), (0, 10)),
)  # fmt: skip
binomial_quantile = _row(
    "binomial_quantile", "The same for n trials of probability p at most 1/2 with n p at most 10 "
    "(operands u, n, p); float64.", _binomial_chain, 3, ((0, 1), (1, 20), (0, 0.5)),
)  # fmt: skip
stirling_tail = _row(
    "stirling_tail", "What Stirling's formula at k + 1 leaves of log k!, for whole k >= 0.",
    _stirling_chain, 1, (0, 100),
)  # fmt: skip


# by rejection -------------------------------------------------------------------------------------


def deviance(t: Variable) -> Variable:
    """(1 + t) log(1 + t) - t for t > -1."""
    return (1 + t) * log1p(t) - t


def _hat(words: Source, a: Any, b: Any, c: Any) -> tuple[Variable, Variable, Variable]:
    """A candidate of the transformed uniform numbers, the distance to their edge and the number
    for the test."""
    u = words.inside("float64") - 0.5
    us = 0.5 - absolute(u)
    return floor((2 * a / us + b) * u + c), us, words.coarse(3)


def _log_poisson(k: Variable, mean: Variable) -> Variable:
    """The logarithm of the probability of k >= 0, without the constant log(2 pi) / 2."""
    z = k + 1
    t = (z - mean) / mean
    return log1p(t) - mean * deviance(t) - 0.5 * log(z) - stirling_tail(k)


def _poisson_candidate(words: Source, mean: Variable) -> tuple[Variable, Variable]:
    b = 0.931 + 2.53 * sqrt(mean)
    a = -0.059 + 0.02483 * b
    k, us, v = _hat(words, a, b, mean + 0.43)
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    level = log(v * inverse_alpha / (a / (us * us) + b))
    positive = k >= 0
    log_p = _log_poisson(where(positive, k, 0.0), mean) - 0.91893853320467274
    quick = logical_and(us >= 0.07, less_equal(v, 0.9277 - 3.6224 / (b - 2)))
    no = logical_and(us < 0.013, less(us, v))
    slow = logical_and(logical_and(positive, logical_not(no)), less_equal(level, log_p))
    return k, quick | slow


def poissons(d: Draw, words: Source, mean: Variable) -> Variable:
    """Poisson numbers as float64, NaN where the mean is none."""
    given = known(mean)
    if given is not None and (given < SMALL).all():
        return poisson_quantile(words.part(1).unit("float64"), mean)  # type: ignore[no-any-return]
    valid = logical_and(mean >= 0, mean < GREATEST)
    large = logical_and(valid, mean >= SMALL)
    big = accepted(d, words, _poisson_candidate, (where(large, mean, SMALL),), large, 3)
    u = words.part(1).unit("float64")
    small = poisson_quantile(u, where(valid & ~large, mean, 0.0))
    return where(valid, where(large, big, small), float("nan"))


def _binomial_candidate(words: Source, n: Variable, p: Variable) -> tuple[Variable, Variable]:
    spread = sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    k, us, v = _hat(words, a, b, n * p + 0.5)
    quick = logical_and(us >= 0.07, less_equal(v, 0.92 - 4.2 / b))
    within = logical_and(k >= 0, less_equal(k, n))
    alpha = (2.83 + 5.1 / b) * spread
    level = log(v * alpha / (a / (us * us) + b))
    mode = floor((n + 1) * p)
    rise = _log_binomial(where(within, k, mode), n, p) - _log_binomial(mode, n, p)
    return k, quick | logical_and(within, less_equal(level, rise))


def _log_binomial(k: Variable, n: Variable, p: Variable) -> Variable:
    """The logarithm of the probability of k, but for what does not depend on k."""
    one, other = k + 1, n - k + 1
    means = (n + 2) * p, (n + 2) * (1 - p)
    gone = sum(m * deviance((c - m) / m) for c, m in zip((one, other), means, strict=True))
    return 0.5 * log(one * other) - gone - stirling_tail(k) - stirling_tail(n - k)


def binomials(d: Draw, words: Source, n: Variable, p: Variable) -> Variable:
    """Binomial numbers as float64, NaN where n is no whole number or p no probability."""
    valid = (n >= 0) & (n < GREATEST) & (floor(n) == n) & (p >= 0) & (p <= 1)
    turned = p > 0.5
    q = where(turned, 1 - p, p)
    large = valid & (n * q >= SMALL)
    big = accepted(
        d, words, _binomial_candidate, (where(large, n, 40.0), where(large, q, 0.5)), large, 3
    )
    rest = valid & ~large
    u = words.part(1).unit("float64")
    k = where(large, big, binomial_quantile(u, where(rest, n, 0.0), where(rest, q, 0.0)))
    k = minimum(k, where(valid, n, 0.0))
    return where(valid, where(turned, n - k, k), float("nan"))
