"""Squares and products that are out of range on the way to a result that is not.

A pass of its own after stabilize, whose rules are written for the plain spellings. All are STABLE.
"""

from __future__ import annotations

from symgraph.ops import stable_forms as forms
from symgraph.ops.arithmetic import sqrt, square
from symgraph.rewrite.pattern import wild
from symgraph.rewrite.rules import RuleSet, rule

x, y, z = wild("x", "f"), wild("y", "f"), wild("z", "f")

RANGES = RuleSet(
    "ranges",
    rule(sqrt(square(x) + square(y) + square(z)), forms.hypot3(x, y, z)),
    rule(sqrt(square(x) + y), forms.sqrt_of_square_plus(x, y)),
    rule(sqrt(square(x) - y), forms.sqrt_of_square_plus(x, -y)),
    rule(sqrt((x - y) * (x + y)), forms.sqrt_of_product(x - y, x + y)),
    rule(square(x) / square(y), square(x / y)),
    rule(1 / square(x), square(1 / x)),
    rule(x / (square(x) + y), forms.over_square_plus(x, y)),
)
