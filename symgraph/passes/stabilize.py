"""Repair the mathematics that people write: cancellation and overflow, in the usual spellings.

All rules are STABLE: equal over the reals, and at least as accurate on every input that the left
side can compute. They are written for the form that canonicalize leaves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from symgraph.ir.graph import Constant, Variable
from symgraph.ops.arithmetic import absolute, sqrt, square
from symgraph.ops.comparison import less, where
from symgraph.ops.exponential import exp, exp2, expm1, log, log1p, log2, logaddexp
from symgraph.ops.reductions import Sum
from symgraph.ops.shape import ExpandDims
from symgraph.ops.special import erf, erfc, sigmoid, softplus
from symgraph.ops.special_entropy import log1mexp
from symgraph.ops.trigonometric import cos, cosh, sin, sinh, tanh
from symgraph.passes.adapter import number
from symgraph.passes.cancellation import CANCELLATION, counts, shares
from symgraph.passes.differences import DIFFERENCES_OF_NEIGHBOURS
from symgraph.passes.fractions import FRACTIONS
from symgraph.passes.matrices import MATRICES
from symgraph.passes.quadratics import QUADRATICS
from symgraph.passes.special_functions import SPECIAL_FUNCTIONS
from symgraph.rewrite.pattern import attr, const, node, wild
from symgraph.rewrite.rules import RuleSet, rule

x, y, z, s = wild("x", "f"), wild("y", "f"), wild("z", "f"), wild("s", "f")
c = const("c", "f")
a, b = attr("a"), attr("b")

_LN2 = math.log(2.0)


# conditions ---------------------------------------------------------------------------------------


def _positive(c: Constant) -> bool:
    """c is a positive number"""
    value = number(c)
    return value is not None and 0 < value < math.inf


def _unshifted(x: Variable) -> bool:
    """x is not shifted by its greatest element already"""
    node = x.owner
    if node is None or node.op.name != "subtract":
        return True
    whole, stack, seen = node.inputs[0], [node.inputs[1]], 0
    while stack and seen < 16:  # the shift is the maximum behind views and a test for infinity
        v, seen = stack.pop(), seen + 1
        taken = v.owner is not None and v.owner.op.name in ("max", "greatest")
        if taken and v.owner.inputs[0] is whole:  # type: ignore[union-attr]
            return False
        if v.owner is not None:
            stack.extend(v.owner.inputs)
    return True


def _shifted(x: Variable) -> bool:
    """x is shifted by its greatest element"""
    return not _unshifted(x)


def _shifted_leading(x: Variable, a: Any) -> bool:
    """x is shifted by its greatest element, and the axes are the first ones"""
    return a == tuple(range(len(a))) and _shifted(x)


def _unshifted_positive(x: Variable, c: Constant) -> bool:
    """c is a positive number and x is not shifted already"""
    return _positive(c) and _unshifted(x)


def _of_rank_kept(x: Variable, y: Variable, a: Any) -> bool:
    """y has the axes that are left, and x is not shifted already"""
    return y.ndim == x.ndim - len(a) and _unshifted(x)


def _of_rank_zero(x: Variable, y: Variable) -> bool:
    """y has no axes, and x is not shifted already"""
    return y.ndim == 0 and _unshifted(x)


def _leading(x: Variable, a: Any) -> bool:
    """x is not shifted already, and the axes are the first ones"""
    return a == tuple(range(len(a))) and _unshifted(x)


# equations ----------------------------------------------------------------------------------------


def _logsumexp(x: Any, axes: Any) -> Any:
    return node("logsumexp", (x,), {"axes": axes})


def _log_of_sum(x: Any, axes: Any) -> Any:
    return node("log_of_sum", (x,), {"axes": axes})


def _softmax(x: Any, axes: Any) -> Any:
    return node("softmax", (x,), {"axes": axes})


LOGARITHMS = (
    rule(log(exp(x)), x),
    rule(log2(exp2(x)), x),
    rule(log1p(expm1(x)), x),
    rule(log(sqrt(x)), log(x) * 0.5),
    rule(log(square(x)), log(absolute(x)) * 2),
    rule(log(1 / x), -log(x)),
    rule(log(sigmoid(x)), -softplus(-x)),
    rule(log1p(-sigmoid(x)), -softplus(x)),
    rule(log(1 + exp(x)), softplus(x)),
    rule(log1p(exp(x)), softplus(x)),
    rule(log(exp(x) + exp(y)), logaddexp(x, y)),
    rule(log(exp(x) - exp(y)), x + log1mexp(y - x)),
    rule(log(1 - exp(x)), log1mexp(x)),
    rule(log(cosh(x) * 2), logaddexp(x, -x)),
    rule(
        log(cosh(x)),
        where(
            less(absolute(x), 1),
            log1p(square(sinh(x * 0.5)) * 2),
            absolute(x) - _LN2 + log1p(exp(absolute(x) * -2)),
        ),
    ),
    rule(log(1 + x), log1p(x)),
    rule(log(1 - x), log1p(-x)),
)


def _log_of_mean(x: Any, axes: Any, mean: Callable[[Any], Any], count: Any) -> Any:
    """By the sum of expm1 where the result is near 0: there the logarithms would cancel."""
    far = _logsumexp(x, axes) - count
    return where(less(absolute(far), 0.5), log1p(mean(Sum(axes)(expm1(x)))), far)


def _counts_unshifted(y: Variable, x: Variable, a: Any) -> bool:
    """y is the number of elements that are added, and x is not shifted already"""
    return counts(y, x, a) and _unshifted(x)


def _shares_unshifted(c: Constant, x: Variable, a: Any) -> bool:
    """c is one over the number of elements that are added, and x is not shifted already"""
    return shares(c, x, a) and _unshifted(x)


_WIDE = ExpandDims(a)(s)
SUMS_OF_EXPONENTIALS = (
    rule(log(Sum(a)(exp(x))), _logsumexp(x, a), when=_unshifted),
    rule(log(Sum(a)(exp(x)) / y), _log_of_mean(x, a, lambda s: s / y, log(y)),
         when=_counts_unshifted),
    rule(log(Sum(a)(exp(x)) * c), _log_of_mean(x, a, lambda s: s * c, -log(c)),
         when=_shares_unshifted),
    rule(log(Sum(a)(exp(x)) / y), _logsumexp(x, a) - log(y), when=_unshifted),
    rule(log(Sum(a)(exp(x)) * c), _logsumexp(x, a) + log(c), when=_unshifted_positive),
    rule(log(exp(x) / ExpandDims(a)(Sum(a)(exp(x)))), x - _log_of_sum(x, a), when=_shifted),
    rule(log(exp(x) / Sum(a)(exp(x))), x - _log_of_sum(x, a), when=_shifted_leading),
    rule(exp(x) / ExpandDims(a)(Sum(a)(exp(x))), _softmax(x, a), when=_unshifted),
    rule(exp(x) / Sum(a)(exp(x)), _softmax(x, a), when=_leading),
    # the derivative of log(sum(exp(x))) as autodiff writes it
    rule(exp(x) * ExpandDims(a)(y / Sum(a)(exp(x))), _softmax(x, a) * ExpandDims(a)(y),
         when=_of_rank_kept),
    rule(exp(x) * ExpandDims(a)(y / Sum(a)(exp(x))), _softmax(x, a) * y, when=_of_rank_zero),
    # and that of exp(x) / sum(exp(x)), of which nothing but the quotient is needed then
    rule(x * (y / _WIDE + ExpandDims(a)(-Sum(a)(y * (x / _WIDE) / _WIDE))),
         (x / _WIDE) * (y - ExpandDims(a)(Sum(a)(y * (x / _WIDE))))),
)  # fmt: skip

SIGMOIDS = (
    rule(1 / (1 + exp(x)), sigmoid(-x)),
    rule(exp(x) / (1 + exp(x)), sigmoid(x)),
    rule(expm1(x) / (exp(x) + 1), tanh(x * 0.5)),
    rule((1 - exp(x)) / (exp(x) + 1), -tanh(x * 0.5)),
    rule(y / (1 + exp(x)), y * sigmoid(-x)),
    rule((tanh(x) + 1) * 0.5, sigmoid(x * 2)),
    rule(1 / exp(x), exp(-x)),
    rule(y / exp(x), y * exp(-x)),
)

DIFFERENCES = (
    rule(exp(x) - 1, expm1(x)),
    rule(exp(x) - exp(-x), sinh(x) * 2),
    rule(exp(-x) - exp(x), sinh(x) * -2),
    rule(exp(x) + exp(-x), cosh(x) * 2),
    rule((sinh(x) * 2) / (cosh(x) * 2), tanh(x)),
    rule(sinh(x) / cosh(x), tanh(x)),
    rule(1 - cos(x), square(sin(x * 0.5)) * 2),
    rule(cos(x) - 1, square(sin(x * 0.5)) * -2),
    rule(cosh(x) - 1, square(sinh(x * 0.5)) * 2),
    rule(1 - erf(x), erfc(x)),
    rule(1 - erfc(x), erf(x)),
    rule(1 + erf(x), erfc(-x)),
    rule(square(x) - square(y), (x - y) * (x + y)),
    rule(square(x) - 1, (x - 1) * (x + 1)),
    rule(1 - square(x), (1 - x) * (x + 1)),
    rule(sqrt(square(x)), absolute(x)),
)

STABILIZE = RuleSet(
    "stabilize",
    LOGARITHMS,
    SUMS_OF_EXPONENTIALS,
    SIGMOIDS,
    DIFFERENCES,
    DIFFERENCES_OF_NEIGHBOURS,
    FRACTIONS,
    CANCELLATION,
    QUADRATICS,
    MATRICES,
    SPECIAL_FUNCTIONS,
)
