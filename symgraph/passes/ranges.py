"""Squares and products that are out of range on the way to a result that is not, and differences
whose rounding an exponential enlarges.

A pass of its own after stabilize, whose rules are written for the plain spellings. All are STABLE.
"""

from __future__ import annotations

from symgraph.ir.graph import Variable
from symgraph.ops import stable_forms as forms
from symgraph.ops.arithmetic import sqrt, square
from symgraph.ops.exponential import exp
from symgraph.rewrite.pattern import wild
from symgraph.rewrite.rules import STABLE, RuleSet, rule, rule_function

x, y, z = wild("x", "f"), wild("y", "f"), wild("z", "f")


def _exp_of_difference(x: Variable, y: Variable, root: Variable) -> Variable | None:
    """doubles: half a unit in the last place of a difference of hundreds is hundreds of units in
    its exponential"""
    if root.dtype != "float64":
        return None  # who takes floats prefers the faster softmax
    return forms.exp_of_sum(x, -y)  # type: ignore[no-any-return]


RANGES = RuleSet(
    "ranges",
    rule(sqrt(square(x) + square(y) + square(z)), forms.hypot3(x, y, z)),
    rule(sqrt(square(x) + y), forms.sqrt_of_square_plus(x, y)),
    rule(sqrt(square(x) - y), forms.sqrt_of_square_plus(x, -y)),
    rule(sqrt((x - y) * (x + y)), forms.sqrt_of_product(x - y, x + y)),
    rule(square(x) / square(y), square(x / y)),
    rule(1 / square(x), square(1 / x)),
    rule(x / (square(x) + y), forms.over_square_plus(x, y)),
    rule_function(exp(x - y), _exp_of_difference, klass=STABLE),
)
