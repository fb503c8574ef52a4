"""The two linear maps between the factors of an LU decomposition and its matrix.

For a = l u, l unit lower and u upper triangular in one square matrix, a tangent t of the factors
belongs to the tangent tril(t, -1) u + l triu(t) of a, and a cotangent g of them to the s for which
tril(s u^T, -1) + triu(l^T s) = g. Differentiating these two equations gives the same maps again, so
derivatives of any order are made of both and of products of triangles. Each map is the blocked
elimination run forwards or backwards with its derivative, and as dear as two factorizations, where
the formula l^-T (tril(l^T g, -1) + triu(g u^T)) u^-T by full products and solutions costs nine
(Smith, "Differentiation of the Cholesky algorithm", 1995, for elimination as a program; Griewank
and Walther, "Evaluating derivatives", 2008).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph.errors import ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType, same_size
from symgraph.loops.routine import Routine
from symgraph.ops.cholesky_derivatives import LowerProduct
from symgraph.ops.creation import tril, triu
from symgraph.ops.triangular import square_size, turned

__all__: list[str] = []


class _Map(Op, abstract=True):
    """What both maps share: the packed factors, and what is mapped."""

    leading = True

    def infer(self, lu: TensorType, x: TensorType) -> TensorType:
        square_size(lu, self.name)
        what = f"{self.name}: the operands are {lu.text()} and {x.text()}"
        if lu.dtype != x.dtype or lu.ndim != x.ndim:
            raise ShapeError(what)
        for m, n in zip(lu.shape, x.shape, strict=True):
            same_size(m, n, what)
        return x

    def extern(self, lu: TensorType, x: TensorType) -> Routine:
        return Routine("lu_map", (("name", self.name),))


class LUPull(_Map):
    """The cotangent s of real matrices l u from a cotangent g of the packed factors."""

    name = "lu_pull"

    def reference(self, lu: Any, g: Any) -> Any:
        low, up = _factors(lu)
        middle = np.tril(_t(low) @ np.tril(g, -1), -1) + np.triu(np.triu(g) @ _t(up))
        return _t(np.linalg.solve(up, _t(np.linalg.solve(_t(low), middle))))

    def vjp(
        self, g: Variable, y: Variable, lu: Variable, bar: Variable
    ) -> tuple[Variable, Variable]:
        t = LUPush()(lu, g)
        return _by_factors(y, t), t


class LUPush(_Map):
    """The tangent of the packed factors from the tangent of real matrices l u."""

    name = "lu_push"

    def reference(self, lu: Any, a: Any) -> Any:
        low, up = _factors(lu)
        middle = _t(np.linalg.solve(_t(up), _t(np.linalg.solve(low, a))))
        return np.tril(low @ np.tril(middle, -1), -1) + np.triu(np.triu(middle) @ up)

    def vjp(self, g: Variable, y: Variable, lu: Variable, a: Variable) -> tuple[Variable, Variable]:
        s = LUPull()(lu, g)
        return _by_factors(s, y), s


def _by_factors(s: Variable, t: Variable) -> Variable:
    """The cotangent of the packed factors from a pulled s and a pushed t."""
    low = LowerProduct()(s, turned(t))
    up = turned(LowerProduct(True)(s, tril(t, -1)))
    return -(tril(low, -1) + triu(up))


def _factors(lu: Any) -> tuple[Any, Any]:
    return np.tril(lu, -1) + np.eye(lu.shape[-1], dtype=lu.dtype), np.triu(lu)


def _t(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)
