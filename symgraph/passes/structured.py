"""Shorter ways for matrices that are known to be diagonal, triangular, orthogonal or positive
definite (passes/properties.py): no LU factors, no products with zeros.

An error that the long way raises when the function runs, the short way raises too. Sources: Golub
and Van Loan, Matrix Computations, 2013, sections 3.1 and 4.2.
"""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.ir.graph import Variable
from symgraph.ops.arithmetic import absolute, sign, sqrt
from symgraph.ops.assumptions import CheckedDiagonal
from symgraph.ops.complex_numbers import conj
from symgraph.ops.creation import eye, ones_like
from symgraph.ops.decompositions import cholesky, surely_equal
from symgraph.ops.exponential import log
from symgraph.ops.matrix import DiagonalEmbed, diagonal, multiply_matrices
from symgraph.ops.matrix_functions import Det
from symgraph.ops.reductions import prod
from symgraph.ops.reductions import sum as sum_of
from symgraph.ops.shape import broadcast_to, expand_dims
from symgraph.ops.solving import solved
from symgraph.ops.triangular import TriangularSolve, turned
from symgraph.passes.properties import gram, properties
from symgraph.rewrite.pattern import attr, match_op, wild
from symgraph.rewrite.rules import EXACT, STABLE, RuleSet, rule, rule_function

x, y, e, s = wild("x", "fc"), wild("y", "fc"), wild("e"), wild("s")
lu, p, d = wild("lu"), wild("p"), wild("d")
a, b = attr("a"), attr("b")

TRIANGLES = ("lower_triangular", "upper_triangular")


def _diagonal(x: Variable) -> Variable:
    return diagonal(x, 0, -2, -1)


def _solved(x: Variable, e: Variable, s: Variable, a: Any, root: Variable) -> Variable | None:
    """a system with a diagonal, triangular, orthogonal or positive definite matrix"""
    told = properties(x)
    if not told or s.owner is None or s.owner.op.name == "where":  # NaN stands for an error there
        return None
    if "diagonal" in told:
        found = _divided(x, e, "solve")
    elif own := [t for t in TRIANGLES if t in told]:
        found = TriangularSolve(own[0] == TRIANGLES[0], a, what="solve")(x, e)
    elif "orthogonal" in told:
        found = multiply_matrices(conj(x), e, not a)
    elif "positive_definite" in told and len(root.owner.inputs) == 5:  # type: ignore[union-attr]
        found = solved(x, e, (cholesky(x),), a)
    else:
        return None
    return found if found.type == root.type else None


def _divided(x: Variable, e: Variable, what: str) -> Variable:
    return e / expand_dims(CheckedDiagonal(what)(_diagonal(x)), -1)  # type: ignore[no-any-return]


def _substituted(x: Variable, e: Variable, root: Variable) -> Variable | None:
    """substitution in a diagonal matrix is division"""
    op: Any = root.owner.op  # type: ignore[union-attr]
    if "diagonal" not in properties(x) or not op.checked:
        return None
    found = e if op.unit else _divided(x, e, op.what)
    return found if found.type == root.type else None


def _determinant(x: Variable, root: Variable) -> Variable | None:
    """the determinant of a triangular matrix is the product of its diagonal"""
    if not _is_triangular(x):
        return None
    found = Det()(x, prod(_diagonal(x), -1))
    return None if found is root else found


def _log_determinant(x: Variable) -> Variable | None:
    """the logarithm of a determinant by the diagonal of the matrix or of its Cholesky factor"""
    if _is_triangular(x):
        return sum_of(log(absolute(_diagonal(x))), -1)  # type: ignore[no-any-return]
    if "positive_definite" in properties(x) and not dtypes.is_complex(x.dtype):
        return 2 * sum_of(log(_diagonal(cholesky(x))), -1)  # type: ignore[no-any-return]
    return None


def _determinant_sign(x: Variable, d: Variable) -> Variable | None:
    """the sign of a determinant by those of the diagonal"""
    if "positive_definite" in properties(x):
        return ones_like(d)  # type: ignore[no-any-return]
    return prod(sign(_diagonal(x)), -1) if _is_triangular(x) else None


def _is_triangular(x: Variable) -> bool:
    return not properties(x).isdisjoint(TRIANGLES)


def _product(x: Variable, y: Variable, a: Any, b: Any, root: Variable) -> Variable | None:
    """the product with a diagonal matrix scales rows or columns"""
    left, right = properties(x), properties(y)
    if "diagonal" in left:
        found = expand_dims(_diagonal(x), -1) * (turned(y) if b else y)
    elif "diagonal" in right:
        found = (turned(x) if a else x) * expand_dims(_diagonal(y), -2)
    elif "orthogonal" in left & right and gram(root.owner) is not None:
        found = broadcast_to(eye(x.shape[-1], dtype=x.dtype), x.shape)
    else:
        return None
    return found if found.type == root.type else None


def _factor(x: Variable, root: Variable) -> Variable | None:
    """the Cholesky factor of a diagonal matrix, and of the product of such a factor with itself"""
    op: Any = root.owner.op  # type: ignore[union-attr]
    if op.on_failure != "raise" or dtypes.is_complex(x.dtype):
        return None
    if "diagonal" in properties(x):
        n = x.shape[-1]
        side = sqrt(CheckedDiagonal("cholesky", True)(_diagonal(x)))
        return DiagonalEmbed(0, n, n)(side)  # type: ignore[no-any-return]
    factor, turned_first = gram(x.owner) or (None, True)
    if factor is None or turned_first or factor.owner is None:
        return None
    own: Any = factor.owner.op
    return factor if own.name == "cholesky" and own.on_failure == "raise" else None


def _diagonal_of_product(x: Variable, y: Variable, a: Any, b: Any, root: Variable) -> Any:
    """of a product whose diagonal is read only that is computed"""
    left, right = turned(x) if a else x, y if b else turned(y)
    if dtypes.is_narrow(x.dtype) or not all(map(surely_equal, left.shape, right.shape)):
        return None
    found = sum_of(left * right, -1)
    return found if found.type == root.type else None


def _diagonal_at(x: Any) -> Any:
    return match_op("diagonal", x, offset=a)


STRUCTURED = RuleSet(
    "structured",
    rule_function(match_op("solution", x, e, s, lu, p, trans=a), _solved, klass=STABLE),
    rule_function(match_op("solution", x, e, s, lu, trans=a), _solved, klass=STABLE),
    rule_function(match_op("triangular_solve", x, e), _substituted, klass=STABLE),
    rule_function(match_op("det", x, d), _determinant, klass=STABLE),
    rule_function(match_op("log_abs_det", x, d), _log_determinant, klass=STABLE),
    rule_function(match_op("det_sign", x, d), _determinant_sign, klass=STABLE),
    rule_function(match_op("matmul", x, y, ta=a, tb=b), _product, klass=STABLE),
    rule_function(match_op("cholesky", x), _factor, klass=STABLE),
    rule(_diagonal_at(match_op("diagonal_embed", s, offset=a)), s, klass=EXACT),
    rule(_diagonal_at(-x), -_diagonal_at(x), klass=EXACT),
    rule_function(
        match_op("diagonal", match_op("matmul", x, y, ta=a, tb=b), offset=0), _diagonal_of_product,
        klass=STABLE,
    ),
)  # fmt: skip
