"""The gamma function and its relatives: incomplete gamma and beta functions, zeta, binomials.

Definitions and branches are SciPy's. Derivatives by parameters of the incomplete functions come
from series and continued fractions (scalar/slopes.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symgraph.errors import ArgumentError
from symgraph.ir.graph import Variable
from symgraph.ops.elementwise import elementwise, to_float
from symgraph.ops.exponential import exp, log
from symgraph.ops.operands import as_variable
from symgraph.ops.special_entropy import xlog1py, xlogy
from symgraph.ops.special_rows import no_slope, scalar, word
from symgraph.scalar import Expr, const, functions
from symgraph.scalar.special import SPECIAL

__all__ = [
    "beta", "betainc", "betainc_da", "betainc_db", "betaincc", "betainccinv", "betaincinv",
    "betaln", "binom", "digamma", "gamma", "gammainc", "gammainc_da", "gammaincc", "gammainccinv",
    "gammaincinv", "lgamma", "multigammaln", "poch", "polygamma", "rgamma", "trigamma", "zeta",
]  # fmt: skip

_TWICE = "which is a derivative by it already"


# gamma --------------------------------------------------------------------------------------------

gamma = elementwise(
    "gamma", "The gamma function, (x-1)! for whole x: NaN at negative integers, infinity at 0.",
    **scalar("gamma"), vjp=lambda g, y, x: (g * y * digamma(x),), domain=(0.5, 6),
    example="special.gamma([1.0, 5.0]) -> [1.0, 24.0]",
)  # fmt: skip
lgamma = elementwise(
    "lgamma", "log(abs(gamma(x))), infinite at the poles; SciPy's gammaln.",
    **scalar("lgamma"), vjp=lambda g, y, x: (g * digamma(x),), domain=(0.5, 9),
    example="special.lgamma([1.0, 1e6]) -> [0.0, 12815504.569147611]",
)  # fmt: skip
rgamma = elementwise(
    "rgamma", "1 / gamma(x), 0 at the poles.",
    **scalar("rgamma"), vjp=lambda g, y, x: (-g * y * digamma(x),), domain=(0.5, 6),
    example="special.rgamma([1.0, -1.0]) -> [1.0, 0.0]",
)  # fmt: skip
digamma = elementwise(
    "digamma", "The derivative of lgamma; SciPy's psi.",
    **scalar("digamma"), vjp=lambda g, y, x: (g * trigamma(x),), domain=(0.5, 9),
    example="special.digamma([2.0]) -> [0.42278433509846713]",
)  # fmt: skip
trigamma = elementwise(
    "trigamma", "The second derivative of lgamma, polygamma(1, x).",
    **scalar("trigamma"), vjp=lambda g, y, x: (-2 * g * zeta(3, x),), domain=(0.5, 9),
    example="special.trigamma([0.0]) -> [inf]",
)  # fmt: skip
_zeta = no_slope(elementwise(
    "zeta", "The zeta function of Hurwitz, the sum of (q + k)**-x for k = 0, 1, ...",
    **scalar("zeta"), vjp=lambda g, y, x, q: (None, -g * x * _zeta(x + 1, q)),
    domain=((1.5, 6), (0.5, 5)), example="special.zeta(1.0, 1.0) -> inf",
), {0: "the exponent"})  # fmt: skip


def zeta(x: Any, q: Any = 1) -> Variable:
    """The zeta function: the sum of (q + k)**-x for k = 0, 1, ... (Hurwitz; Riemann for q = 1).

    NaN for x < 1, infinity at its poles, x = 1 and q = 0, -1, -2, ... Shapes broadcast. By Euler
    and Maclaurin's formula. Differentiable by q.

    >>> import symgraph as sg
    >>> sg.special.zeta([2.0]).eval().round(12).tolist()
    [1.644934066848]
    """
    return _zeta(x, q)


def _polygamma(n: Expr, x: Expr) -> Expr:
    order = functions.add(n, 1)
    odd = functions.eq(functions.mod(n, 2), 1)
    size = functions.mul(word("gamma")(order), word("zeta")(order, x))
    value = functions.select(odd, size, functions.neg(size))
    return functions.select(functions.eq(n, 0), word("digamma")(x), value)


def _polygamma_reference(n: Any, x: Any) -> Any:
    order = (n + 1).astype(n.dtype)
    size = SPECIAL["gamma"].reference(order) * SPECIAL["zeta"].reference(order, x)
    value = np.where(np.equal(np.mod(n, 2), 1), size, -size)
    return np.where(np.equal(n, 0), SPECIAL["digamma"].reference(x), value)[()]


_poly = no_slope(elementwise(
    "polygamma", "The n-th derivative of digamma.",
    dtype=to_float, arity=2, reference=_polygamma_reference, lower=_polygamma,
    vjp=lambda g, y, n, x: (None, g * _poly(n + 1, x)), domain=((1, 1), (0.5, 9)),
    example="special.polygamma(2, [0.0]) -> [-inf]",
), {0: "the order"})  # fmt: skip


def polygamma(n: Any, x: Any) -> Variable:
    """The n-th derivative of digamma, for whole n >= 0; shapes broadcast.

    (-1)^(n+1) n! zeta(n + 1, x). Differentiable by x. Raises ArgumentError for a negative n.

    >>> import symgraph as sg
    >>> sg.special.polygamma(1, [2.0]).eval().round(12).tolist()
    [0.644934066848]
    """
    if isinstance(n, int):
        if n < 0:
            raise ArgumentError(f"polygamma: the order is 0 or more, not {n}")
        if n < 2:
            return (digamma, trigamma)[n](x)
    return _poly(n, x)


def multigammaln(a: Any, d: int) -> Variable:
    """The logarithm of the multivariate gamma function of dimension d, elementwise in a.

    Raises ArgumentError where d is no positive integer. a must exceed (d - 1)/2.

    >>> import symgraph as sg
    >>> sg.special.multigammaln([3.0], 1).eval().round(12).tolist()
    [0.69314718056]
    """
    if not isinstance(d, int) or d < 1:
        raise ArgumentError(f"multigammaln: the dimension is a positive integer, not {d!r}")
    a = as_variable(a)
    total = lgamma(a)
    for k in range(1, d):
        total = total + lgamma(a - k / 2)
    return total + d * (d - 1) / 4 * math.log(math.pi)


# beta and binomials -------------------------------------------------------------------------------

beta = elementwise(
    "beta", "The beta function gamma(a) gamma(b) / gamma(a + b).",
    **scalar("beta"), vjp=lambda g, y, a, b: tuple(g * y * s for s in _betaln_slopes(a, b)),
    domain=(0.5, 5), example="special.beta(2.0, 3.0) -> 0.08333333333333333",
)  # fmt: skip
betaln = elementwise(
    "betaln", "log(abs(beta(a, b))).",
    **scalar("betaln"), vjp=lambda g, y, a, b: tuple(g * s for s in _betaln_slopes(a, b)),
    domain=(0.5, 5), example="special.betaln(1.0, 1.0) -> 0.0",
)  # fmt: skip
binom = elementwise(
    "binom", "The binomial coefficient n over k, for real n and k.",
    **scalar("binom"),
    vjp=lambda g, y, n, k: (
        g * y * (digamma(n + 1) - digamma(n - k + 1)),
        g * y * (digamma(n - k + 1) - digamma(k + 1)),
    ),
    domain=((5.1, 8.9), (0.5, 4.5)), example="special.binom(5.0, 2.0) -> 10.0",
)  # fmt: skip
poch = elementwise(
    "poch", "Pochhammer's symbol, the rising factorial gamma(z + m) / gamma(z).",
    **scalar("poch"),
    vjp=lambda g, y, z, m: (g * y * (digamma(z + m) - digamma(z)), g * y * digamma(z + m)),
    domain=(0.5, 4), example="special.poch(3.0, 2.0) -> 12.0",
)  # fmt: skip


def _betaln_slopes(a: Any, b: Any) -> tuple[Any, Any]:
    both = digamma(a + b)
    return digamma(a) - both, digamma(b) - both


# incomplete gamma ---------------------------------------------------------------------------------


def _gamma_density(a: Any, x: Any) -> Any:
    return exp(xlogy(a - 1, x) - x - lgamma(a))


def _gammainc_da(a: Expr, x: Expr) -> Expr:
    rest = word("gammainc_log_slope")(a, x)
    low = functions.le(x, functions.add(a, 1))
    logarithm, slope = functions.log(x), word("digamma")(a)
    # digamma(a + 1) = digamma(a) + 1/a belongs to the series, digamma(a) to the fraction
    below = functions.sub(functions.sub(logarithm, slope), functions.div(1.0, a))
    first = functions.mul(word("gammainc")(a, x), functions.add(below, rest))
    second = functions.mul(
        word("gammaincc")(a, x), functions.add(functions.sub(logarithm, slope), rest)
    )
    value = functions.select(low, first, functions.neg(second))
    inside = functions.and_(functions.lt(0, x), functions.isfinite(x))
    edge = functions.and_(functions.not_(inside), functions.ge(x, 0))
    return functions.select(functions.and_(edge, functions.lt(0, a)), 0.0, value)


def _gammainc_da_reference(a: Any, x: Any) -> Any:
    with np.errstate(all="ignore"):
        r = {n: SPECIAL[n].reference for n in ("gammainc_log_slope", "digamma")}
        rest, top = r["gammainc_log_slope"](a, x), np.log(x) - r["digamma"](a)
        first = SPECIAL["gammainc"].reference(a, x) * (top - 1 / a + rest)
        second = -SPECIAL["gammaincc"].reference(a, x) * (top + rest)
        value = np.where(x <= a + 1, first, second)
        return np.where((a > 0) & ((x == 0) | np.isposinf(x)), 0, value).astype(value.dtype)[()]


gammainc_da = no_slope(elementwise(
    "gammainc_da", "The derivative of gammainc(a, x) by a.",
    dtype=to_float, arity=2, reference=_gammainc_da_reference, lower=_gammainc_da,
    vjp=lambda g, y, a, x: (None, g * _gamma_density(a, x) * (log(x) - digamma(a))),
    domain=((0.5, 5), (0.5, 5)),
    example="special.gammainc_da(1.0, float('inf')) -> 0.0",
), {0: _TWICE})  # fmt: skip
gammainc = elementwise(
    "gammainc", "The regularised lower incomplete gamma function, from 0 at x = 0 to 1.",
    **scalar("gammainc"),
    vjp=lambda g, y, a, x: (g * gammainc_da(a, x), g * _gamma_density(a, x)),
    domain=((0.5, 5), (0.5, 5)), example="special.gammainc(1.0, 0.0) -> 0.0",
)  # fmt: skip
gammaincc = elementwise(
    "gammaincc", "The regularised upper incomplete gamma function, 1 - gammainc(a, x).",
    **scalar("gammaincc"),
    vjp=lambda g, y, a, x: (-g * gammainc_da(a, x), -g * _gamma_density(a, x)),
    domain=((0.5, 5), (0.5, 5)), example="special.gammaincc(1.0, 0.0) -> 1.0",
)  # fmt: skip
gammaincinv = elementwise(
    "gammaincinv", "The x with gammainc(a, x) = p.",
    **scalar("gammaincinv"),
    vjp=lambda g, y, a, p: (
        -g * gammainc_da(a, y) / _gamma_density(a, y), g / _gamma_density(a, y),
    ),
    domain=((0.8, 5), (0.1, 0.9)), example="special.gammaincinv(1.0, 0.0) -> 0.0",
)  # fmt: skip
gammainccinv = elementwise(
    "gammainccinv", "The x with gammaincc(a, x) = q.",
    **scalar("gammainccinv"),
    vjp=lambda g, y, a, q: (
        -g * gammainc_da(a, y) / _gamma_density(a, y), -g / _gamma_density(a, y),
    ),
    domain=((0.8, 5), (0.1, 0.9)), example="special.gammainccinv(1.0, 1.0) -> 0.0",
)  # fmt: skip


# incomplete beta ----------------------------------------------------------------------------------


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    return exp(xlogy(a - 1, x) + xlog1py(b - 1, -x) - betaln(a, b))


def _beta_slope(a: Expr, b: Expr, x: Expr, rest: Expr, value: tuple[Expr, Expr]) -> Expr:
    """d I_x(a, b) / da, where ``rest`` is 1 - x, ``value`` I_x(a, b) and 1 - I_x(a, b)."""
    f, digamma_of = functions, word("digamma")
    total = f.add(a, b)
    # the continued fraction converges below (p + 1)/(p + q + 2); above, 1 - I_{1-x}(b, a)
    low = f.le(f.mul(x, f.add(total, 2)), f.add(a, 1))
    p, q, u = f.select(low, a, b), f.select(low, b, a), f.select(low, x, rest)
    one, zero = const(1.0, x.dtype), const(0.0, x.dtype)
    first = word("betainc_log_slope")(p, q, u, f.select(low, one, zero))
    top = f.add(f.log(x), f.sub(digamma_of(total), digamma_of(a)))
    first = f.add(f.select(low, f.sub(top, f.div(1.0, a)), top), first)
    slope = f.mul(f.select(low, value[0], f.neg(value[1])), first)
    edge = f.or_(f.eq(x, 0), f.eq(rest, 0))
    return f.select(f.and_(edge, f.and_(f.lt(0, a), f.lt(0, b))), 0.0, slope)


def _beta_slope_reference(a: Any, b: Any, x: Any, rest: Any, value: tuple[Any, Any]) -> Any:
    psi = SPECIAL["digamma"].reference
    with np.errstate(all="ignore"):
        low = x * (a + b + 2) <= a + 1
        pick = [np.where(low, *pair).astype(x.dtype) for pair in ((a, b), (b, a), (x, rest))]
        first = SPECIAL["betainc_log_slope"].reference(*pick, low.astype(x.dtype))
        top = np.log(x) + (psi(a + b) - psi(a))
        found = np.where(low, value[0], -value[1]) * (np.where(low, top - 1 / a, top) + first)
        edge = ((x == 0) | (rest == 0)) & (a > 0) & (b > 0)
        return np.where(edge, 0, found).astype(x.dtype)[()]


def _values(a: Any, b: Any, x: Any) -> tuple[Any, Any]:
    return SPECIAL["betainc"].reference(a, b, x), SPECIAL["betaincc"].reference(a, b, x)


def _betainc_da(a: Expr, b: Expr, x: Expr) -> Expr:
    value = word("betainc")(a, b, x), word("betaincc")(a, b, x)
    return _beta_slope(a, b, x, functions.sub(1.0, x), value)


def _betainc_db(a: Expr, b: Expr, x: Expr) -> Expr:
    value = word("betaincc")(a, b, x), word("betainc")(a, b, x)
    return functions.neg(_beta_slope(b, a, functions.sub(1.0, x), x, value))


def _beta_score(a: Any, b: Any, x: Any) -> Any:
    """The derivative of the logarithm of the density by a."""
    return log(x) + digamma(a + b) - digamma(a)


betainc_da = no_slope(elementwise(
    "betainc_da", "The derivative of betainc(a, b, x) by a.",
    dtype=to_float, arity=3, lower=_betainc_da,
    reference=lambda a, b, x: _beta_slope_reference(
        *np.broadcast_arrays(a, b, x), np.subtract(1, x, dtype=np.result_type(x)), _values(a, b, x)
    ),
    vjp=lambda g, y, a, b, x: (None, None, g * _beta_density(a, b, x) * _beta_score(a, b, x)),
    domain=((0.5, 5), (0.5, 5), (0.1, 0.9)), example="special.betainc_da(1.0, 2.0, 1.0) -> 0.0",
), {0: _TWICE, 1: _TWICE})  # fmt: skip
betainc_db = no_slope(elementwise(
    "betainc_db", "The derivative of betainc(a, b, x) by b.",
    dtype=to_float, arity=3, lower=_betainc_db,
    reference=lambda a, b, x: -_beta_slope_reference(
        *np.broadcast_arrays(b, a, np.subtract(1, x, dtype=np.result_type(x)), x),
        _values(a, b, x)[::-1],
    ),
    vjp=lambda g, y, a, b, x: (None, None, g * _beta_density(a, b, x) * _beta_score(b, a, 1 - x)),
    domain=((0.5, 5), (0.5, 5), (0.1, 0.9)), example="special.betainc_db(1.0, 2.0, 1.0) -> -0.0",
), {0: _TWICE, 1: _TWICE})  # fmt: skip
betainc = elementwise(
    "betainc", "The regularised incomplete beta function I_x(a, b), from 0 at x = 0 to 1 at 1.",
    **scalar("betainc"),
    vjp=lambda g, y, a, b, x: (
        g * betainc_da(a, b, x), g * betainc_db(a, b, x), g * _beta_density(a, b, x),
    ),
    domain=((0.5, 5), (0.5, 5), (0.1, 0.9)), example="special.betainc(2.0, 2.0, 0.5) -> 0.5",
)  # fmt: skip
betaincc = elementwise(
    "betaincc", "1 - betainc(a, b, x), accurate where that is small.",
    **scalar("betaincc"),
    vjp=lambda g, y, a, b, x: (
        -g * betainc_da(a, b, x), -g * betainc_db(a, b, x), -g * _beta_density(a, b, x),
    ),
    domain=((0.5, 5), (0.5, 5), (0.1, 0.9)), example="special.betaincc(2.0, 2.0, 0.5) -> 0.5",
)  # fmt: skip


def _inverse_slopes(g: Any, y: Any, a: Any, b: Any, sign: int) -> tuple[Any, Any, Any]:
    scaled = g / _beta_density(a, b, y)
    return -scaled * betainc_da(a, b, y), -scaled * betainc_db(a, b, y), sign * scaled


betaincinv = elementwise(
    "betaincinv", "The x with betainc(a, b, x) = p.",
    **scalar("betaincinv"), vjp=lambda g, y, a, b, p: _inverse_slopes(g, y, a, b, 1),
    domain=((0.8, 4), (0.8, 4), (0.2, 0.8)), example="special.betaincinv(1.0, 1.0, 0.5) -> 0.5",
)  # fmt: skip
betainccinv = elementwise(
    "betainccinv", "The x with betaincc(a, b, x) = q.",
    **scalar("betainccinv"), vjp=lambda g, y, a, b, q: _inverse_slopes(g, y, a, b, -1),
    domain=((0.8, 4), (0.8, 4), (0.2, 0.8)), example="special.betainccinv(1.0, 1.0, 0.5) -> 0.5",
)  # fmt: skip
