"""Sums of fractions whose leading terms cancel, over their common denominator.

One rule for stabilize, STABLE: 1/(x + 1) - 2/x + 1/(x - 1), x/(x + 1) - (x + 1)/(x - 1). All
numbers are computed exactly; the sum is rewritten only where its numerator is a constant, a
multiple of the variable, or the sum of both by one rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce

from symgraph.ir.graph import Variable
from symgraph.ops.stable_forms import multiply_add
from symgraph.passes.adapter import TENSORS
from symgraph.passes.linear import Fraction, linear
from symgraph.rewrite.pattern import wild
from symgraph.rewrite.rules import STABLE, Rule, rule_function

x, y = wild("x", "f"), wild("y", "f")
TERMS = 4  # in one sum
Polynomial = tuple[Fraction, ...]  # the coefficients, of the constant first


def _terms(v: Variable, sign: int) -> Iterator[tuple[Variable, int]]:
    node = v.owner
    if node is not None and node.op.name in ("add", "subtract"):
        a, b = node.inputs
        yield from _terms(a, sign)
        yield from _terms(b, sign if node.op.name == "add" else -sign)
    else:
        yield v, sign


def _times(p: Polynomial, q: Polynomial) -> Polynomial:
    found = [Fraction(0)] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            found[i + j] += a * b
    return tuple(found)


def _plus(p: Polynomial, q: Polynomial) -> Polynomial:
    n = max(len(p), len(q))
    wide = [(*r, *(Fraction(0),) * (n - len(r))) for r in (p, q)]
    return tuple(a + b for a, b in zip(*wide, strict=True))


def _degree(p: Polynomial) -> int:
    return max((k for k, c in enumerate(p) if c), default=-1)


class _Sum:
    """The fractions of a sum: numerator and denominator as polynomials of one variable."""

    def __init__(self, root: Variable) -> None:
        self.variable: Variable | None = None
        self.good = True
        self.below: dict[Polynomial, Variable] = {}
        self.fractions: list[tuple[Polynomial, Polynomial | None]] = []
        for count, (v, sign) in enumerate(_terms(root, 1)):
            if not self.good or count >= TERMS:
                self.good = False
                return
            self.take(v, sign)

    def take(self, v: Variable, sign: int) -> None:
        node = v.owner
        if node is None or node.op.name != "divide":
            self.fractions.append((_times(self.polynomial(v), (Fraction(sign),)), None))
            return
        above, below = (self.polynomial(i) for i in node.inputs)
        if len(below) < 2:
            self.good = False
            return
        # u and -2*u are the same denominator
        for known in self.below:
            ratio = below[1] / known[1]
            if tuple(c * ratio for c in known) == below:
                self.fractions.append((_times(above, (Fraction(sign) / ratio,)), known))
                return
        self.below[below] = node.inputs[1]
        self.fractions.append((_times(above, (Fraction(sign),)), below))

    def polynomial(self, v: Variable) -> Polynomial:
        form = linear(v)
        if len(form.terms) > 1:
            self.good = False
        if not form.terms:
            return (form.constant,)
        ((own, factor),) = list(form.terms.items())[:1]
        if self.variable is None:
            self.variable = own
        self.good = self.good and self.variable is own
        return (form.constant, factor)


def _over_common_denominator(root: Variable) -> Variable | None:
    """the fractions have a sum whose numerator is short"""
    found = _Sum(root)
    if not found.good or not found.below or found.variable is None:
        return None
    numerator: Polynomial = (Fraction(0),)
    degrees = []
    for above, below in found.fractions:
        rest = (d for d in found.below if d != below)
        term = reduce(_times, rest, above)
        degrees.append(_degree(term))
        numerator = _plus(numerator, term)
    degree = _degree(numerator)
    exact = all(Fraction(float(c)) == c for c in numerator)
    if not 0 <= degree <= 1 or degree >= max(degrees) or not exact:
        return None
    if degree == 1 and not any(_degree(a) > 0 and b for a, b in found.fractions):
        return None  # at infinity the numerator over the denominator is NaN, the sum is not
    # a power of two is left to the end, lest the numerator overflow where the sum does not
    scale = max(2.0 ** math.ceil(math.log2(abs(numerator[1]))), 1.0) if degree else 1.0
    value = _numerator(tuple(c / Fraction(scale) for c in numerator), found.variable, root)
    for divisor in found.below.values():
        value = TENSORS.build("divide", [value, divisor], {}, root)
    if scale != 1:
        value = TENSORS.build("multiply", [value, TENSORS.literal(scale, root)], {}, root)
    return value


def _numerator(p: Polynomial, v: Variable, like: Variable) -> Variable:
    numbers = [TENSORS.literal(float(c), like) for c in p]
    if _degree(p) == 0:
        return numbers[0]
    if p[0] == 0:
        return TENSORS.build("multiply", [v, numbers[1]], {}, like)
    return multiply_add(v, numbers[1], numbers[0])  # type: ignore[no-any-return]


FRACTIONS: tuple[Rule, ...] = (
    rule_function(x - y, _over_common_denominator, klass=STABLE, among=("divide",)),
    rule_function(x + y, _over_common_denominator, klass=STABLE, among=("divide",)),
)
