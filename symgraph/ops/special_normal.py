"""The relatives of erf: scaled and inverse error functions, the normal distribution, Owen's T."""

from __future__ import annotations

import math
from typing import Any

from symgraph.ops.arithmetic import negative, square
from symgraph.ops.elementwise import elementwise, to_float
from symgraph.ops.exponential import exp
from symgraph.ops.special import erf
from symgraph.ops.special_rows import scalar, word
from symgraph.runtime.special_functions import reference
from symgraph.scalar import Expr, functions

__all__ = [
    "dawsn", "erfcinv", "erfcx", "erfi", "erfinv", "log_ndtr", "ndtr", "ndtri", "ndtri_exp",
    "owens_t",
]  # fmt: skip

_ROOT_HALF, _ROOT_PI = math.sqrt(0.5), math.sqrt(math.pi)
_ROOT_2PI = math.sqrt(2 * math.pi)

erfcx = elementwise(
    "erfcx", "exp(x*x) * erfc(x), which neither overflows nor vanishes for large x.",
    **scalar("erfcx"), vjp=lambda g, y, x: (g * (2 * x * y - 2 / _ROOT_PI),), domain=(-2, 5),
    example="special.erfcx([0.0]) -> [1.0]",
)  # fmt: skip
erfi = elementwise(
    "erfi", "The imaginary error function -i erf(i x).",
    **scalar("erfi"), vjp=lambda g, y, x: (2 / _ROOT_PI * g * exp(x * x),), domain=(-2, 2),
    example="special.erfi([0.0]) -> [0.0]",
)  # fmt: skip
dawsn = elementwise(
    "dawsn", "Dawson's integral exp(-x*x) times the integral of exp(t*t) from 0 to x.",
    **scalar("dawsn"), vjp=lambda g, y, x: (g * (1 - 2 * x * y),), domain=(-3, 3),
    example="special.dawsn([0.0]) -> [0.0]",
)  # fmt: skip
erfinv = elementwise(
    "erfinv", "The inverse of erf on [-1, 1]; NaN outside.",
    **scalar("erfinv"), vjp=lambda g, y, x: (_ROOT_PI / 2 * g * exp(y * y),), domain=(-0.9, 0.9),
    example="special.erfinv([0.0, 1.0]) -> [0.0, inf]",
)  # fmt: skip
erfcinv = elementwise(
    "erfcinv", "The inverse of erfc on [0, 2], accurate for tiny x; NaN outside.",
    **scalar("erfcinv"), vjp=lambda g, y, x: (-_ROOT_PI / 2 * g * exp(y * y),), domain=(0.1, 1.9),
    example="special.erfcinv([0.0]) -> [inf]",
)  # fmt: skip
ndtr = elementwise(
    "ndtr", "The probability that a standard normal number is below x.",
    **scalar("ndtr"), vjp=lambda g, y, x: (g * (exp(x * x * -0.5) / _ROOT_2PI),), domain=(-4, 4),
    example="special.ndtr([0.0]) -> [0.5]",
)  # fmt: skip
ndtri = elementwise(
    "ndtri", "The inverse of ndtr on [0, 1], the quantile of the normal distribution.",
    **scalar("ndtri"), vjp=lambda g, y, p: (g * _ROOT_2PI * exp(y * y * 0.5),), domain=(0.05, 0.95),
    example="special.ndtri([0.5, 0.0]) -> [0.0, -inf]",
)  # fmt: skip


def _log_ndtr(x: Expr) -> Expr:
    f = functions
    scaled = word("erfcx")(f.mul(f.minimum(x, 0), -_ROOT_HALF))
    below = f.fma(f.mul(x, -0.5), x, f.log(f.mul(scaled, 0.5)))
    above = f.log1p(f.neg(word("ndtr")(f.neg(f.maximum(x, 0)))))
    return f.select(f.lt(0, x), above, below)


log_ndtr = elementwise(
    "log_ndtr", "log(ndtr(x)), accurate in both tails.",
    dtype=to_float, reference=reference("log_ndtr"), lower=_log_ndtr,
    vjp=lambda g, y, x: (g * (math.sqrt(2 / math.pi) / erfcx(x * -_ROOT_HALF)),), domain=(-9, 5),
    example="special.log_ndtr([0.0]) -> [-0.6931471805599453]",
)  # fmt: skip
ndtri_exp = elementwise(
    "ndtri_exp", "The inverse of log_ndtr: ndtri(exp(y)), accurate for very negative y.",
    **scalar("ndtri_exp"),
    vjp=lambda g, y, x: (g * math.sqrt(math.pi / 2) * erfcx(y * -_ROOT_HALF),), domain=(-9, -0.1),
    example="special.ndtri_exp([0.0]) -> [inf]",
)  # fmt: skip


def _owens_slopes(g: Any, y: Any, h: Any, a: Any) -> tuple[Any, Any]:
    bell = exp(square(h) * -0.5)
    first = negative(g * bell * erf(a * h * _ROOT_HALF) / (2 * _ROOT_2PI))
    spread = 1 + square(a)
    return first, g * exp(square(h) * spread * -0.5) / (2 * math.pi * spread)


owens_t = elementwise(
    "owens_t", "Owen's T: the probability that X > h and 0 < Y < a X for normal X and Y.",
    **scalar("owens_t"), vjp=_owens_slopes, domain=(-2, 2),
    example="special.owens_t(0.0, 0.0) -> 0.0",
)  # fmt: skip
