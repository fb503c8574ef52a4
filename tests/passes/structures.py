"""Left sides for the rules about matrices with known properties."""

from __future__ import annotations

from symgraph.ir.graph import Input
from symgraph.ir.types import TensorType
from symgraph.ops.assumptions import assume
from symgraph.ops.comparison import isnan, where
from symgraph.ops.creation import eye, tril, triu
from symgraph.ops.decompositions import cholesky, qr
from symgraph.ops.matrix import Diagonal, DiagonalEmbed, MatMul, diag, matmul
from symgraph.ops.matrix_functions import det, slogdet
from symgraph.ops.shape import swapaxes
from symgraph.ops.solving import solve
from symgraph.ops.triangular import solve_triangular
from symgraph.ops.trigonometric import tanh


def _small(x):
    """Finite numbers from -1 to 1."""
    return where(isnan(x), 0.0, tanh(x))


x, y = (Input(TensorType("float64", (3, 3)), name) for name in "xy")
v = Input(TensorType("float64", (3,)), "v")
LOWER, UPPER = tril(_small(x)) + 3 * eye(3), triu(_small(x)) + 3 * eye(3)
DIAGONAL = diag(_small(v) + 3)
POSITIVE = assume(_small(x) + swapaxes(_small(x), 0, 1) + 9 * eye(3), "positive_definite")
ORTHOGONAL = qr(_small(x) + 3 * eye(3))[0]


def _solutions():
    for a in (LOWER, UPPER, DIAGONAL, POSITIVE, ORTHOGONAL):
        for transposed in (False, True):
            yield solve(a, y, transposed=transposed), [x, v, y]


def _positive_solutions():
    yield solve(DIAGONAL, y, "pos"), [v, y]


def _substitutions():
    for unit in (False, True):
        yield solve_triangular(DIAGONAL, y, 0, True, unit), [v, y]


def _determinants():
    for a in (LOWER, UPPER, DIAGONAL):
        yield det(a), [x, v]


def _logarithms():
    for a in (LOWER, -UPPER, DIAGONAL, POSITIVE):
        yield slogdet(a)[1], [x, v]


def _signs():
    for a in (LOWER, -UPPER, DIAGONAL, POSITIVE):
        yield slogdet(a)[0], [x, v]


def _products():
    for ta in (False, True):
        for tb in (False, True):
            yield MatMul(ta, tb)(DIAGONAL, y), [v, y]
            yield MatMul(ta, tb)(y, DIAGONAL), [v, y]


def _factors():
    low = cholesky(POSITIVE)
    yield cholesky(DIAGONAL), [v]
    yield cholesky(matmul(low, swapaxes(low, 0, 1))), [x]


def _diagonals():
    for offset in (0, 1, -2):
        n = 3 + abs(offset)
        yield Diagonal(offset)(DiagonalEmbed(offset, n, n)(v)), [v]
        yield Diagonal(offset)(-x), [x]


def _diagonals_of_products():
    for ta in (False, True):
        for tb in (False, True):
            yield Diagonal(0)(MatMul(ta, tb)(x, y)), [x, y]


def _assumed():
    yield POSITIVE, [x]


EXAMPLES = {
    "lu, trans=a) -> solved(": _positive_solutions,
    "-> solved(": _solutions,
    "triangular_solve(": _substitutions,
    "log_abs_det(": _logarithms,
    "det_sign(": _signs,
    "-> determinant(": _determinants,
    "-> product(": _products,
    "-> factor(": _factors,
    "-> diagonal_of_product(": _diagonals_of_products,
    "diagonal(diagonal_embed(": _diagonals,
    "diagonal(-x": _diagonals,
    "assume(": _assumed,
}
