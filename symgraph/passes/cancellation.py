"""Differences of neighbours, and values that are out of range on the way only.

More rules for stabilize, all STABLE. Where a repaired form needs several steps its formula is an op
of `ops/stable_forms.py`, computed in one pass.
"""

from __future__ import annotations

from typing import Any

from symgraph.ir.graph import Constant, Variable
from symgraph.ops import stable_forms as forms
from symgraph.ops.arithmetic import absolute, power, sign, sqrt, square
from symgraph.ops.comparison import less, logical_and, where
from symgraph.ops.exponential import exp, expm1, log, log1p
from symgraph.ops.reductions import Prod, Sum
from symgraph.ops.shape import ExpandDims
from symgraph.ops.special import sigmoid, softplus
from symgraph.ops.special_entropy import exprel, log1mexp, xlogy
from symgraph.ops.trigonometric import (
    arccos,
    arccosh,
    arcsinh,
    cos,
    cosh,
    sin,
    sinh,
    tan,
)
from symgraph.passes.adapter import number
from symgraph.rewrite.pattern import attr, const, wild
from symgraph.rewrite.rules import rule
from symgraph.scalar import product

x, y, z = wild("x", "f"), wild("y", "f"), wild("z", "f")
c = const("c", "f")
a = attr("a")


# conditions ---------------------------------------------------------------------------------------


def _finite(c: Constant) -> bool:
    """c is a number of moderate size"""
    value = number(c)
    return value is not None and 1e-30 < abs(value) < 1e30


def _vary(x: Variable, y: Variable) -> bool:
    """neither is a constant"""
    return not isinstance(x, Constant) and not isinstance(y, Constant)


def _grows(y: Variable) -> bool:
    """the exponent is not a small constant, with which powers are products"""
    value = number(y) if isinstance(y, Constant) else None
    return value is None or abs(value) > 32


def _count(x: Variable, a: Any) -> Any:
    return product([x.shape[k] for k in a])


def shares(c: Constant, x: Variable, a: Any) -> bool:
    """c is one over the number of elements that are added"""
    count, value = _count(x, a), number(c)
    return isinstance(count, int) and count > 0 and value == 1 / count


def counts(y: Variable, x: Variable, a: Any) -> bool:
    """y is the number of elements that are added"""
    if isinstance(y, Constant):
        return bool(number(y) == _count(x, a))
    node: Any = y.owner
    if node is not None and node.op.name == "cast":
        node = node.inputs[0].owner
    return bool(node and node.op.name == "size_value" and node.op.size == _count(x, a))


# equations ----------------------------------------------------------------------------------------


NEAR_ONE = (
    rule(sqrt(x + 1) - 1, forms.sqrt1pm1(x)),
    rule(1 - sqrt(x + 1), -forms.sqrt1pm1(x)),
    rule(sqrt(1 - x) - 1, forms.sqrt1pm1(-x)),
    rule(1 - sqrt(1 - x), -forms.sqrt1pm1(-x)),
    rule(power(x + 1, y), forms.compound(x, y), when=_grows),
    rule(forms.compound(1 / x, x), forms.compound_of_reciprocal(x)),
    rule(1 - sigmoid(x), sigmoid(-x)),
    rule(softplus(x) - x, softplus(-x)),
    rule(softplus(-x) + x, softplus(x)),
    rule(log(expm1(x)), x + log1mexp(-x)),
    rule(exp(x) / expm1(x), forms.exp_over_expm1(x)),
    rule(exp(x) / (exp(x) + exp(y)), forms.exp_share(x, y)),
    rule(cosh(x) * 2 - 2, square(sinh(x * 0.5)) * 4),
    rule(2 - cosh(x) * 2, square(sinh(x * 0.5)) * -4),
    rule(exp(x) - 2 + exp(-x), square(sinh(x * 0.5)) * 4),
    rule(exp(-x) - 2 + exp(x), square(sinh(x * 0.5)) * 4),
    rule(arccos(1 - x), forms.acos1m(x)),
    rule(log(forms.root_difference(x, 1)), -arcsinh(x)),
    rule(log(sqrt(square(x) + 1) + absolute(x)), arcsinh(absolute(x))),
    rule(log(x + sqrt((x - 1) * (x + 1))), arccosh(x)),
    rule(log(x + sqrt(x - 1) * sqrt(x + 1)), arccosh(x)),
)

ANGLES = (
    rule(x - sin(x), forms.x_minus_sin(x)),
    rule(sin(x) - x, -forms.x_minus_sin(x)),
    rule(tan(x) - x, forms.tan_minus_x(x)),
    rule(x - tan(x), -forms.tan_minus_x(x)),
    rule(tan(x) - sin(x), tan(x) * square(sin(x * 0.5)) * 2),
    rule(sin(x) - tan(x), tan(x) * square(sin(x * 0.5)) * -2),
    rule(square(sin(x * 0.5)) * 2 / sin(x), tan(x * 0.5)),
    rule(sin(x) / (cos(x) + 1), tan(x * 0.5)),
    rule(sin(x) / cos(x), tan(x)),
    rule(tan(x) / sin(x), 1 / cos(x)),
    rule(1 / x - 1 / tan(x), forms.reciprocal_minus_cot(x)),
    rule(1 / tan(x) - 1 / x, -forms.reciprocal_minus_cot(x)),
    rule(1 / x - cos(x) / sin(x), forms.reciprocal_minus_cot(x)),
    rule(cos(x) / sin(x) - 1 / x, -forms.reciprocal_minus_cot(x)),
    rule(forms.x_minus_sin(x) / forms.tan_minus_x(x), forms.x_minus_sin_over_tan_minus_x(x)),
)

LIMITS = (
    rule(sin(x) / x, forms.sin_over_x(x)),
    rule(expm1(x) / x, exprel(x)),
    rule(x * log(x), xlogy(x, x)),
    rule(square(sin(x * 0.5)) * 2 / square(x), square(forms.sin_over_x(x * 0.5)) * 0.5),
)

ROOTS = (
    rule(sqrt(square(x) + y) - x, forms.root_difference(x, y)),
    rule(sqrt(square(x) - y) - x, forms.root_difference(x, -y)),
    rule(x - sqrt(square(x) + y), -forms.root_difference(x, y)),
    rule(x - sqrt(square(x) - y), -forms.root_difference(x, -y)),
    rule(sqrt(square(x) + y) - absolute(x), forms.root_difference(absolute(x), y)),
    rule(sqrt(square(x) - y) - absolute(x), forms.root_difference(absolute(x), -y)),
    rule(absolute(x) - sqrt(square(x) + y), -forms.root_difference(absolute(x), y)),
    rule(absolute(x) - sqrt(square(x) - y), -forms.root_difference(absolute(x), -y)),
    rule(sqrt(square(x) + y) + x, forms.root_difference(-x, y)),
    rule(sqrt(square(x) - y) + x, forms.root_difference(-x, -y)),
    rule(-x - sqrt(square(x) + y), -forms.root_difference(-x, y)),
    rule(-x - sqrt(square(x) - y), -forms.root_difference(-x, -y)),
)

RANGE = (
    rule(x / c * c, x, when=_finite),
    rule(sqrt(square(x) + square(y)), forms.hypot(x, y)),
    rule(log(x * y), forms.log_of_product(x, y), when=_vary),
    rule(log(x / y), forms.log_of_quotient(x, y), when=_vary),
    rule(exp(x) * exp(y), forms.exp_of_sum(x, y)),
    rule(
        log(Prod(a)(x)),
        where(
            logical_and(less(1e-30, Prod(a)(x)), less(Prod(a)(x), 1e30)),
            log(absolute(Prod(a)(x))),
            Sum(a)(log(absolute(x))) + log1p(Prod(a)(sign(x)) - 1),
        ),
    ),
)

MOMENTS = (
    rule(
        Sum(a)(square(x)) * c - square(Sum(a)(x) * c),
        Sum(a)(square(x - ExpandDims(a)(Sum(a)(x) * c))) * c,
        when=shares,
    ),
    rule(
        Sum(a)(square(x)) / y - square(Sum(a)(x) / y),
        Sum(a)(square(x - ExpandDims(a)(Sum(a)(x) / y))) / y,
        when=counts,
    ),
)

CANCELLATION = (NEAR_ONE, ANGLES, LIMITS, ROOTS, RANGE, MOMENTS)
