"""What the elementwise operations mean in mpmath, whose derivatives of any order are exact to as
many digits as are asked for. Arguments are in the order of the operands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp

Function = Callable[..., Any]


def _log(x: Any) -> Any:
    return mp.log(x)


def _softplus(x: Any) -> Any:
    return mp.log1p(mp.exp(x)) if x < 0 else x + mp.log1p(mp.exp(-x))


def _ndtr(x: Any) -> Any:
    return mp.erfc(-x / mp.sqrt(2)) / 2


def _ndtri(p: Any) -> Any:
    return mp.sqrt(2) * mp.erfinv(2 * p - 1)


def _gammainc(a: Any, x: Any) -> Any:
    return mp.gammainc(a, 0, x, regularized=True)


def _gammaincc(a: Any, x: Any) -> Any:
    return mp.gammainc(a, x, mp.inf, regularized=True)


def _betainc(a: Any, b: Any, x: Any) -> Any:
    return mp.betainc(a, b, 0, x, regularized=True)


def _stdtr(df: Any, t: Any) -> Any:
    tail = _betainc(df / 2, mp.mpf(1) / 2, df / (df + t * t)) / 2
    return 1 - tail if t > 0 else tail


def _root(f: Function, start: float) -> Any:
    return mp.findroot(f, mp.mpf(start), tol=mp.mpf(10) ** (-2 * mp.mp.dps + 8), verify=False)


def _ndtri_exp(y: Any) -> Any:
    start = -mp.sqrt(-2 * y) if y < -2 else mp.mpf(_ndtri(mp.exp(y)))
    return _root(lambda x: mp.log(_ndtr(x)) - y, start)


def _owens_t(h: Any, a: Any) -> Any:
    return mp.quad(lambda t: mp.exp(-h * h * (1 + t * t) / 2) / (1 + t * t), [0, a]) / (2 * mp.pi)


def _boxcox(x: Any, power: Any) -> Any:
    return mp.expm1(power * mp.log(x)) / power if power else mp.log(x)


def _bessel(f: Function, scale: Function | None = None) -> Function:
    return lambda v, x: f(v, x) * (scale(x) if scale else 1)


def _order(f: Function, v: int) -> Function:
    return lambda x: f(v, x)


UP, DOWN = mp.exp, lambda x: mp.exp(-abs(x))
IVE, KVE = _bessel(mp.besseli, DOWN), _bessel(mp.besselk, UP)

ANALYTIC: dict[str, Function] = {
    "add": lambda x, y: x + y, "subtract": lambda x, y: x - y, "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y, "negative": lambda x: -x, "square": lambda x: x * x,
    "reciprocal": lambda x: 1 / x, "power": lambda x, y: x**y, "sqrt": mp.sqrt,
    "rsqrt": lambda x: 1 / mp.sqrt(x), "cbrt": lambda x: mp.cbrt(x), "exp": mp.exp,
    "exp2": lambda x: mp.mpf(2) ** x, "expm1": mp.expm1, "log": _log, "log1p": mp.log1p,
    "log2": lambda x: mp.log(x, 2), "log10": mp.log10,
    "logaddexp": lambda x, y: y + _softplus(x - y), "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "softplus": _softplus, "sin": mp.sin, "cos": mp.cos, "tan": mp.tan, "asin": mp.asin,
    "acos": mp.acos, "atan": mp.atan, "atan2": mp.atan2, "sinh": mp.sinh, "cosh": mp.cosh,
    "tanh": mp.tanh, "asinh": mp.asinh, "acosh": mp.acosh, "atanh": mp.atanh, "hypot": mp.hypot,
    "hypot3": lambda x, y, z: mp.sqrt(x * x + y * y + z * z),
    "multiply_add": lambda x, y, z: x * y + z, "sin_over_x": lambda x: mp.sinc(x),
    "softsign": lambda x: x / (1 + abs(x)), "logit": lambda p: mp.log(p) - mp.log1p(-p),
    "exprel": lambda x: mp.expm1(x) / x if x else mp.mpf(1),
    "xlogy": lambda x, y: x * mp.log(y), "xlog1py": lambda x, y: x * mp.log1p(y),
    "entr": lambda x: -x * mp.log(x), "rel_entr": lambda x, y: x * mp.log(x / y),
    "kl_div": lambda x, y: x * mp.log(x / y) - x + y,
    "log1mexp": lambda x: mp.log(-mp.expm1(x)),
    "huber": lambda d, r: r * r / 2 if abs(r) <= d else d * (abs(r) - d / 2),
    "pseudo_huber": lambda d, r: d * d * (mp.sqrt(1 + (r / d) ** 2) - 1),
    "boxcox": _boxcox, "boxcox1p": lambda x, power: _boxcox(1 + x, power),
    "inv_boxcox": lambda y, power: mp.exp(mp.log1p(power * y) / power),
    "inv_boxcox1p": lambda y, power: mp.expm1(mp.log1p(power * y) / power),
    "log_of_product": lambda x, y: mp.log(x * y), "log_of_quotient": lambda x, y: mp.log(x / y),
    "sqrt_of_square_plus": lambda x, q: mp.sqrt(x * x + q),
    "over_square_plus": lambda x, q: x / (x * x + q),
    "sqrt_of_product": lambda x, y: mp.sqrt(x * y),
    "exp_of_sum": lambda x, y: mp.exp(x + y), "compound": lambda x, n: (1 + x) ** n,
    "sqrt1pm1": lambda x: mp.sqrt(1 + x) - 1, "acos1m": lambda x: mp.acos(1 - x),
    "root_difference": lambda x, q: mp.sqrt(x * x + q) - x, "x_minus_sin": lambda x: x - mp.sin(x),
    "sin_minus_x_cos": lambda x: mp.sin(x) - x * mp.cos(x), "tan_minus_x": lambda x: mp.tan(x) - x,
    "compound_of_reciprocal": lambda x: mp.power(1 + 1 / x, x),
    "x_minus_sin_over_tan_minus_x": lambda x: (x - mp.sin(x)) / (mp.tan(x) - x),
    "reciprocal_minus_cot": lambda x: 1 / x - mp.cot(x),
    "exp_share": lambda x, y: 1 / (1 + mp.exp(y - x)),
    "exp_over_expm1": lambda x: 1 / -mp.expm1(-x),
}  # fmt: skip

SPECIAL: dict[str, Function] = {
    "erf": mp.erf, "erfc": mp.erfc, "erfcx": lambda x: mp.exp(x * x) * mp.erfc(x), "erfi": mp.erfi,
    "dawsn": lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x), "erfinv": mp.erfinv,
    "erfcinv": lambda x: mp.erfinv(1 - x), "ndtr": _ndtr, "ndtri": _ndtri,
    "log_ndtr": lambda x: mp.log(_ndtr(x)), "ndtri_exp": _ndtri_exp, "owens_t": _owens_t,
    "gamma": mp.gamma, "lgamma": lambda x: mp.loggamma(x), "rgamma": mp.rgamma,
    "digamma": mp.digamma,
    "trigamma": lambda x: mp.psi(1, x), "zeta": mp.zeta, "polygamma": lambda n, x: mp.psi(n, x),
    "beta": mp.beta, "betaln": lambda a, b: mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b),
    "binom": mp.binomial, "poch": mp.rf, "gammainc": _gammainc, "gammaincc": _gammaincc,
    "gammaincinv": lambda a, p: _root(lambda x: _gammainc(a, x) - p, a),
    "gammainccinv": lambda a, p: _root(lambda x: _gammaincc(a, x) - p, a),
    "betainc": _betainc, "betaincc": lambda a, b, x: 1 - _betainc(a, b, x),
    "betaincinv": lambda a, b, p: _root(lambda x: _betainc(a, b, x) - p, a / (a + b)),
    "betainccinv": lambda a, b, p: _root(lambda x: 1 - _betainc(a, b, x) - p, a / (a + b)),
    "gammainc_da": lambda a, x: mp.diff(lambda t: _gammainc(t, x), a),
    "betainc_da": lambda a, b, x: mp.diff(lambda t: _betainc(t, b, x), a),
    "betainc_db": lambda a, b, x: mp.diff(lambda t: _betainc(a, t, x), b),
    "j0": _order(mp.besselj, 0), "j1": _order(mp.besselj, 1), "y0": _order(mp.bessely, 0),
    "y1": _order(mp.bessely, 1), "i0": _order(mp.besseli, 0), "i1": _order(mp.besseli, 1),
    "i0e": _order(IVE, 0), "i1e": _order(IVE, 1), "k0": _order(mp.besselk, 0),
    "k1": _order(mp.besselk, 1), "k0e": _order(KVE, 0), "k1e": _order(KVE, 1),
    "jv": mp.besselj, "yv": mp.bessely, "iv": mp.besseli, "ive": IVE, "kv": mp.besselk, "kve": KVE,
    "hyp1f1": mp.hyp1f1, "hyp2f1": mp.hyp2f1,
    "hyp2f1_da": lambda a, b, c, x: mp.diff(lambda t: mp.hyp2f1(t, b, c, x), a),
    "hyp2f1_dc": lambda a, b, c, x: mp.diff(lambda t: mp.hyp2f1(a, b, t, x), c),
    "exp1": mp.e1, "expi": mp.ei, "spence": lambda x: mp.polylog(2, 1 - x), "ellipk": mp.ellipk,
    "ellipe": mp.ellipe, "wrightomega": lambda x: mp.lambertw(mp.exp(x)).real,
    "lambertw": lambda x: mp.lambertw(x).real, "stdtr": _stdtr,
    "stdtrit": lambda df, p: _root(lambda t: _stdtr(df, t) - p, _ndtri(p)),
}  # fmt: skip
