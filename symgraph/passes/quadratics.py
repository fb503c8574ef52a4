"""The schoolbook formula of the roots of a quadratic equation, in its usual spellings.

One rule for stabilize, STABLE: (-b + sqrt(b*b - m*a*c)) / (k*a) for numbers m and k, either sign of
the root, the factors in any order. Other rules have rewritten the sum above by then: it is what
`root_difference` computes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from symgraph.ir.graph import Variable
from symgraph.ops.quadratics import quadratic_root
from symgraph.ops.stable_forms import root_difference
from symgraph.passes.adapter import TENSORS, number
from symgraph.rewrite.pattern import wild
from symgraph.rewrite.rules import STABLE, Rule, rule_function

x, y, z = wild("x", "f"), wild("y", "f"), wild("z", "f")
FACTORS = 5  # in one product


def _factors(v: Variable) -> Iterator[Variable]:
    node = v.owner
    if node is not None and node.op.name == "multiply":
        for i in node.inputs:
            yield from _factors(i)
    elif node is not None and node.op.name == "square":
        yield from (*_factors(node.inputs[0]), *_factors(node.inputs[0]))
    elif node is not None and node.op.name == "negative":
        yield TENSORS.literal(-1.0, v)
        yield from _factors(node.inputs[0])
    else:
        yield v


def _product(v: Variable) -> tuple[float, list[Variable]] | None:
    """The number and the other factors that a product has; None for a long one."""
    found = list(_factors(v))
    numbers = [number(f) for f in found]
    factor = float(math.prod(k for k in numbers if k is not None))
    rest = [f for f, k in zip(found, numbers, strict=True) if k is None]
    return (factor, rest) if len(rest) <= FACTORS and math.isfinite(factor) and factor else None


def _root_of_quadratic(x: Variable, y: Variable, z: Variable, root: Variable) -> Variable | None:
    """(sqrt(x*x + y) - x) / z, where y has the factors of z but for numbers"""
    above, below = _product(y), _product(z)
    if above is None or below is None or not below[1]:
        return None
    (m, factors), (k, leading) = above, below
    for v in leading:
        place = next((n for n, f in enumerate(factors) if f is v), None)
        if place is None:
            return None
        del factors[place]
    # b is halved n times, so that no factor of c is above 1: 4*a*c overflows later than b*b
    n = max(math.ceil(math.log2(abs(m)) / 2), 0)
    a, c = _multiplied(1.0, leading, root), _multiplied(-m / 4.0**n, factors, root)
    found = quadratic_root(_multiplied(0.5**n, [x], root), a, c)
    return _multiplied(2.0**n / k, [found], root)


def _multiplied(k: float, factors: list[Variable], like: Variable) -> Variable:
    parts = list(factors)
    if k != 1 or not parts:
        parts.append(TENSORS.literal(k, like))
    total = parts[0]
    for part in parts[1:]:
        total = TENSORS.build("multiply", [total, part], {}, like)
    return total


QUADRATICS: tuple[Rule, ...] = (
    rule_function(root_difference(x, y) / z, _root_of_quadratic, klass=STABLE),
)
