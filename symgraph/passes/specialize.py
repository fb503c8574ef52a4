"""Cheaper spellings: powers as products, transposes given to the matrix product."""

from __future__ import annotations

from typing import Any

from symgraph.ir.graph import Variable
from symgraph.ops.arithmetic import rsqrt, sqrt, square
from symgraph.ops.exponential import exp, exp2, expm1
from symgraph.ops.matrix import MatMul
from symgraph.ops.shape import Transpose
from symgraph.rewrite.pattern import attr, match_op, wild
from symgraph.rewrite.rules import EXACT, RELAXED, STABLE, RuleSet, rule, rule_function

x, y = wild("x"), wild("y")
f, g = wild("f", "f"), wild("g", "f")
a, b, p = attr("a"), attr("b"), attr("p")

POWERS = (
    rule(f**0.5, sqrt(f)),
    rule(f**-0.5, rsqrt(f)),
    rule(f**-1, 1 / f),
    rule(f**-2, square(1 / f)),
    rule(x**3, x * square(x)),
    rule(x**4, square(square(x))),
    rule(2**f, exp2(f)),
    rule(1 / sqrt(f), rsqrt(f), klass=EXACT),
    rule(g / sqrt(f), g * rsqrt(f), klass=RELAXED),
    # not among the rules of stabilize: log(1 - exp(x)) has a better form there
    rule(1 - exp(f), -expm1(f)),
)


def _swaps_last_two(p: Any) -> bool:
    n = len(p)
    return n >= 2 and tuple(p) == (*range(n - 2), n - 1, n - 2)


def _left_transposed(x: Variable, y: Variable, a: Any, b: Any, p: Any) -> Variable | None:
    """the left operand is given as it is, to be read transposed"""
    return MatMul(not a, b)(x, y) if _swaps_last_two(p) else None  # type: ignore[no-any-return]


def _right_transposed(x: Variable, y: Variable, a: Any, b: Any, p: Any) -> Variable | None:
    """the right operand is given as it is, to be read transposed"""
    return MatMul(a, not b)(x, y) if _swaps_last_two(p) else None  # type: ignore[no-any-return]


def _transposed_product(x: Variable, y: Variable, a: Any, b: Any, p: Any) -> Variable | None:
    """the transpose of a product is the product of the transposes in reverse"""
    return MatMul(not b, not a)(y, x) if _swaps_last_two(p) else None  # type: ignore[no-any-return]


PRODUCTS = (
    rule_function(MatMul(a, b)(Transpose(p)(x), y), _left_transposed, klass=STABLE),
    rule_function(MatMul(a, b)(x, Transpose(p)(y)), _right_transposed, klass=STABLE),
    rule_function(Transpose(p)(match_op("matmul", x, y, ta=a, tb=b)), _transposed_product,
                  klass=STABLE),
)  # fmt: skip

SPECIALIZE = RuleSet("specialize", POWERS, PRODUCTS)
