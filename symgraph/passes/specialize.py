"""Cheaper spellings: powers as products, transposes given to the matrix product."""

from __future__ import annotations

from typing import Any

from symgraph.ir.graph import Variable
from symgraph.ir.types import broadcast_shapes
from symgraph.ops.arithmetic import rsqrt, sqrt, square
from symgraph.ops.complex_parts import conjugate_part
from symgraph.ops.cumulative import CumLogSumExp
from symgraph.ops.exponential import exp, exp2, expm1
from symgraph.ops.matrix import MatMul
from symgraph.ops.reductions import Sum
from symgraph.ops.shape import ExpandDims, Transpose, is_one, squeeze, swapaxes
from symgraph.rewrite.pattern import attr, match_op, wild
from symgraph.rewrite.rules import EXACT, RELAXED, STABLE, RuleSet, rule, rule_function

x, y = wild("x"), wild("y")
f, g, h = wild("f", "f"), wild("g", "f"), wild("h", "f")
v, z = wild("v", "c"), wild("z", "c")
a, b, p, q = attr("a"), attr("b"), attr("p"), attr("q")

LONG = 8  # products below which their sum is no matrix product

POWERS = (
    rule(f**0.5, sqrt(f)),
    rule(f**-0.5, rsqrt(f)),
    rule(f**1.5, f * sqrt(f)),
    rule(f**2.5, square(f) * sqrt(f)),
    rule(f**-1.5, 1 / (f * sqrt(f))),
    rule(f**-2.5, 1 / (square(f) * sqrt(f))),
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


def _sum_of_outer_products(g: Variable, h: Variable, axes: Any, root: Variable) -> Variable | None:
    """a sum along an axis of products, of which each operand has an axis of its own, is a matrix
    product; leading axes that both have make a batch of it"""
    x, y = g, h
    shape, ndim = broadcast_shapes(x.shape, y.shape), x.ndim
    if x.ndim != y.ndim or len(axes) != 1 or x.dtype not in ("float32", "float64"):
        return None
    own = [[k for k in range(ndim) if is_one(b.shape[k]) and not is_one(a.shape[k])]
           for a, b in ((x, y), (y, x))]  # fmt: skip
    if [len(k) for k in own] != [1, 1] or axes[0] in (own[0][0], own[1][0]):
        return None
    if sorted((*axes, own[0][0], own[1][0])) != [ndim - 3, ndim - 2, ndim - 1]:
        return None
    if isinstance(shape[axes[0]], int) and shape[axes[0]] < LONG:
        return None
    if own[0] > own[1]:
        x, y, own = y, x, own[::-1]
    rows, columns = squeeze(x, own[1][0]), squeeze(y, own[0][0])
    found = MatMul(axes[0] < own[0][0], own[1][0] < axes[0])(rows, columns)
    return found if found.type == root.type else None


def _column_times_row(a: Any, b: Any, root: Variable) -> Variable | None:
    """a complex column times a row is broadcast: there is nothing to add up"""
    assert root.owner is not None
    x, y = root.owner.inputs
    left, right = swapaxes(x, -1, -2) if a else x, swapaxes(y, -1, -2) if b else y
    return left * right if is_one(left.shape[-1]) else None  # type: ignore[no-any-return]


PRODUCTS = (
    rule_function(Sum(attr("axes"))(g * h), _sum_of_outer_products, klass=STABLE),
    rule_function(MatMul(a, b)(Transpose(p)(x), y), _left_transposed, klass=STABLE),
    rule_function(MatMul(a, b)(x, Transpose(p)(y)), _right_transposed, klass=STABLE),
    rule_function(Transpose(p)(match_op("matmul", x, y, ta=a, tb=b)), _transposed_product,
                  klass=STABLE),
    rule_function(MatMul(a, b)(ExpandDims(p)(v), ExpandDims(q)(z)), _column_times_row,
                  klass=STABLE),
    # a conjugated matrix would be written once more; a vector is short
    rule(MatMul(a, b)(conjugate_part(z), ExpandDims(p)(v)),
         conjugate_part(MatMul(a, b)(z, conjugate_part(ExpandDims(p)(v))))),
    rule(MatMul(a, b)(ExpandDims(p)(v), conjugate_part(z)),
         conjugate_part(MatMul(a, b)(conjugate_part(ExpandDims(p)(v)), z))),
)  # fmt: skip


def _by_records(f: Variable, a: Any, r: Any) -> Variable | None:
    """sums of exponentials are scaled by the greatest so far, and vectors compute the terms; narrow
    floats would be rounded on the way"""
    if f.dtype not in ("float32", "float64"):
        return None
    return CumLogSumExp(a, r).by_records(f)  # type: ignore[no-any-return]


RUNNING = rule_function(CumLogSumExp(a, attr("r"))(f), _by_records, klass=STABLE)
ASSUMED = rule(match_op("assume", x), x, klass=EXACT)

SPECIALIZE = RuleSet("specialize", POWERS, PRODUCTS, RUNNING, ASSUMED)
