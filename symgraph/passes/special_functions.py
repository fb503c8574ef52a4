"""Logarithms and tails of special functions in the usual spellings.

More rules for stabilize, all STABLE: the functions on the right neither overflow nor lose their
tails.
"""

from __future__ import annotations

import math

from symgraph.ir.graph import Constant
from symgraph.ops.arithmetic import square
from symgraph.ops.comparison import less, where
from symgraph.ops.exponential import exp, expm1, log, log1p
from symgraph.ops.special import erf, erfc, sigmoid
from symgraph.ops.special_entropy import log1mexp, logit
from symgraph.ops.special_gamma import beta, betaln, gamma, lgamma
from symgraph.ops.special_normal import erfcx, log_ndtr, ndtr
from symgraph.passes.adapter import number
from symgraph.rewrite.pattern import const, wild
from symgraph.rewrite.rules import rule

x, y = wild("x", "f"), wild("y", "f")
c = const("c", "f")
_ROOT_2 = math.sqrt(2.0)


def _one_half(c: Constant) -> bool:
    """c is 1/2"""
    return bool(number(c) == 0.5)


SPECIAL_FUNCTIONS = (
    rule(log1p(-exp(x)), log1mexp(x)),
    rule(log(-expm1(x)), log1mexp(x)),
    rule(log(gamma(x)), lgamma(x), doc="where gamma is negative its logarithm was NaN"),
    rule(log(beta(x, y)), betaln(x, y)),
    rule(log(ndtr(x)), log_ndtr(x)),
    rule(log1p(-ndtr(x)), log_ndtr(-x)),
    rule(1 - ndtr(x), ndtr(-x)),
    rule(log(erfc(x)), where(less(x, 0.5), log1p(-erf(x)), log(erfcx(x)) - square(x))),
    rule(log(erfc(x) * c), log_ndtr(x * -_ROOT_2), when=_one_half),
    rule(exp(square(x)) * erfc(x), erfcx(x)),
    rule(logit(sigmoid(x)), x),
)
