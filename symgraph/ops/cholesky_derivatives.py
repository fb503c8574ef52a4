"""The two linear maps between a Cholesky factor and its matrix, and the product their derivatives
need.

For a = l l^T a tangent t of l belongs to the tangent t l^T + l t^T of a, and a cotangent g of l to
the symmetric s for which (2 s l - g) has nothing on and below its diagonal. Differentiating these
two equations gives the same maps again, so derivatives of any order are made of three ops, each as
dear as two factorizations (Murray, "Differentiation of the Cholesky decomposition", 2016; the
equations instead of formulas with inverse factors are what keeps second derivatives cheap).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph.errors import ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType, same_size
from symgraph.loops.routine import Routine
from symgraph.ops.creation import tril
from symgraph.ops.matrix import multiply_matrices
from symgraph.ops.triangular import square_size

__all__: list[str] = []


def _two_sided(low: Any, middle: Any, trans: bool) -> Any:
    """l^-1 m l^-T, or l^-T m l^-1 for ``trans``, of symmetric m. A zero on the diagonal of l makes
    infinities, as in compiled code, where SciPy's own functions raise an error."""
    from scipy.linalg import get_blas_funcs

    out = np.empty_like(middle)
    (solve,) = get_blas_funcs(("trsm",), (low, middle))
    for place in np.ndindex(low.shape[:-2]) if low.size else ():
        half = solve(1.0, low[place], middle[place], lower=1, trans_a=int(trans))
        out[place] = solve(1.0, low[place], half.T, lower=1, trans_a=int(trans))
    return out


def _same_square(first: TensorType, second: TensorType, name: str) -> TensorType:
    """The type of two batches of square matrices that must agree."""
    square_size(first, name)
    what = f"{name}: the operands are {first.text()} and {second.text()}"
    if first.dtype != second.dtype or first.ndim != second.ndim:
        raise ShapeError(what)
    for m, n in zip(first.shape, second.shape, strict=True):
        same_size(m, n, what)
    return second


def _mirrored(low: Any) -> Any:
    return low + np.swapaxes(np.tril(low, -1), -1, -2)


class CholeskyPull(Op):
    """The cotangent s, symmetric, of real matrices l l^T from a cotangent g of l; of both operands
    the lower triangle is read."""

    name = "cholesky_pull"

    def infer(self, low: TensorType, g: TensorType) -> TensorType:
        return _same_square(low, g, self.name)

    def reference(self, low: Any, g: Any) -> Any:
        factor = np.swapaxes(np.tril(low), -1, -2)
        return _two_sided(low, _mirrored(np.tril(factor @ np.tril(g))), True) / 2

    def vjp(
        self, g: Variable, y: Variable, low: Variable, bar: Variable
    ) -> tuple[Variable, Variable]:
        t = CholeskyPush()(low, g)
        return LowerProduct()(y, t) * -2, t

    def extern(self, low: TensorType, g: TensorType) -> Routine:
        return Routine("cholesky_pull")


class CholeskyPush(Op):
    """The tangent of l from the tangent of real matrices l l^T, whose symmetric part is read."""

    name = "cholesky_push"

    def infer(self, low: TensorType, a: TensorType) -> TensorType:
        return _same_square(low, a, self.name)

    def reference(self, low: Any, a: Any) -> Any:
        middle = _two_sided(low, (a + np.swapaxes(a, -1, -2)) / 2, False)
        halves = np.tril(middle) - np.eye(a.shape[-1], dtype=a.dtype) * middle / 2
        return np.tril(np.tril(low) @ halves)

    def vjp(
        self, g: Variable, y: Variable, low: Variable, a: Variable
    ) -> tuple[Variable, Variable]:
        s = CholeskyPull()(low, g)
        return LowerProduct()(s, y) * -2, s

    def extern(self, low: TensorType, a: TensorType) -> Routine:
        return Routine("cholesky_push")


class LowerProduct(Op):
    """The lower triangle of a t (a^T t for ``ta``), of t the lower triangle: a third of the
    operations of a full product."""

    name = "lower_product"
    ta: bool = False

    def infer(self, a: TensorType, t: TensorType) -> TensorType:
        return _same_square(a, t, self.name)

    def reference(self, a: Any, t: Any) -> Any:
        return np.tril((np.swapaxes(a, -1, -2) if self.ta else a) @ np.tril(t))

    def vjp(self, g: Variable, y: Variable, a: Variable, t: Variable) -> tuple[Variable, Variable]:
        low, right = tril(g), tril(t)
        pair = (right, low) if self.ta else (low, right)
        return multiply_matrices(*pair, False, True), LowerProduct(not self.ta)(a, g)

    def extern(self, a: TensorType, t: TensorType) -> Routine:
        return Routine("lower_product", (("ta", self.ta),))
