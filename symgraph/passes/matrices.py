"""Matrix expressions that are better asked for otherwise: no inverse to multiply with, no
determinant that overflows, no product of which only the diagonal is read.

Sources: Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 14.1 (solving is more
accurate than multiplying with an inverse, and cheaper).
"""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.ir.graph import Variable
from symgraph.ops.exponential import log, log1p
from symgraph.ops.matrix import MatMul
from symgraph.ops.matrix_functions import slogdet
from symgraph.ops.reductions import Sum
from symgraph.ops.shape import swapaxes
from symgraph.ops.solving import solve
from symgraph.passes.properties import is_identity
from symgraph.rewrite.pattern import attr, match_op, wild
from symgraph.rewrite.rules import STABLE, rule_function

x, y, e, s = wild("x", "fc"), wild("y", "fc"), wild("e"), wild("s")
lu, p, d = wild("lu"), wild("p"), wild("d", "f")
a, b = attr("a"), attr("b")


def _transposed(v: Variable) -> Variable:
    return swapaxes(v, -1, -2)  # type: ignore[no-any-return]


def _solved_left(
    x: Variable, e: Variable, y: Variable, a: Any, b: Any, root: Variable
) -> Variable | None:
    """the product of an inverse with a matrix is a solution"""
    if not is_identity(e):
        return None
    found = solve(x, _transposed(y) if b else y, transposed=a)
    return found if found.type == root.type else None


def _solved_right(
    x: Variable, e: Variable, y: Variable, a: Any, b: Any, root: Variable
) -> Variable | None:
    """the product of a matrix with an inverse is the transpose of a solution"""
    if not is_identity(e):
        return None
    found = _transposed(solve(x, y if a else _transposed(y), transposed=not b))
    return found if found.type == root.type else None


def _log_determinant(x: Variable) -> Variable:
    """the logarithm of a determinant by that of its size; NaN when it is negative"""
    sign, size = slogdet(x)
    return size + log1p(sign - 1)  # type: ignore[no-any-return]


def _trace_of_product(x: Variable, y: Variable, a: Any, b: Any, axes: Any, root: Variable) -> Any:
    """the trace of a product is the sum of the elementwise product with the transpose"""
    if x.ndim != y.ndim or axes != (root.ndim,) or dtypes.is_narrow(x.dtype):
        return None
    left = _transposed(x) if a else x
    right = y if b else _transposed(y)
    if left.shape[-2:] != right.shape[-2:]:
        return None  # the product is not square, or may not be
    return Sum((root.ndim, root.ndim + 1))(left * right)


_INVERSE = match_op("solution", x, e, s, lu, p, trans=False)

MATRICES = (
    rule_function(match_op("matmul", _INVERSE, y, ta=a, tb=b), _solved_left, klass=STABLE),
    rule_function(match_op("matmul", y, _INVERSE, ta=a, tb=b), _solved_right, klass=STABLE),
    rule_function(log(match_op("det", x, d)), _log_determinant, klass=STABLE),
    rule_function(
        Sum(attr("axes"))(match_op("diagonal", MatMul(a, b)(x, y), offset=0)), _trace_of_product,
        klass=STABLE,
    ),
)  # fmt: skip
