"""What is known about matrices beyond their elements, and what only a diagonal has to be asked.

``assume`` states a property. That other values have one follows from the graph
(passes/properties.py), and rules take shorter ways for such matrices (passes/structured.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, AssertionFailed, LinAlgError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.ops import reductions
from symgraph.ops.comparison import greater, not_equal
from symgraph.ops.triangular import matrix_operand, square_size

__all__ = ["assume"]

#: properties of square matrices, with those that follow from them
PROPERTIES = {
    "diagonal": ("lower_triangular", "upper_triangular", "symmetric"),
    "lower_triangular": (),
    "upper_triangular": (),
    "symmetric": (),
    "positive_definite": ("symmetric",),
    "orthogonal": (),
}


class Assume(Op):
    """x, whose matrices have the ``properties``; the interpreter looks whether they do."""

    name = "assume"
    properties: tuple[str, ...]

    def infer(self, x: TensorType) -> TensorType:
        square_size(x, "assume")
        return x

    def reference(self, x: Any) -> Any:
        for name in self.properties:
            if not _HOLDS[name](x):
                raise AssertionFailed(f"assume: a matrix is not {name.replace('_', ' ')}")
        return x

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (g,)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        return pointwise(out.shape, lambda *i: x(*i))


def _close(a: Any, b: Any) -> bool:
    error = np.finfo(dtypes.numpy_dtype(str(a.dtype))).eps ** 0.5
    return bool(np.allclose(a, b, rtol=error, atol=error * np.max(np.abs(b), initial=0)))


def _adjoint(x: Any) -> Any:
    return np.swapaxes(x, -1, -2).conj()


def _is_positive_definite(x: Any) -> bool:
    try:
        np.linalg.cholesky(x)
    except np.linalg.LinAlgError:
        return False
    return _close(x, _adjoint(x))


_HOLDS = {
    "diagonal": lambda x: not np.any(x * (1 - np.eye(x.shape[-1]))),
    "lower_triangular": lambda x: not np.any(np.triu(x, 1)),
    "upper_triangular": lambda x: not np.any(np.tril(x, -1)),
    "symmetric": lambda x: _close(x, _adjoint(x)),
    "positive_definite": _is_positive_definite,
    "orthogonal": lambda x: _close(x @ _adjoint(x), np.broadcast_to(np.eye(x.shape[-1]), x.shape)),
}


class CheckedDiagonal(Op):
    """The diagonals d [..., n] themselves. The function stops with a LinAlgError of the operation
    ``what`` where an element is 0, or with ``positive`` where it is not positive."""

    name = "checked_diagonal"
    what: str
    positive: bool = False

    def infer(self, d: TensorType) -> TensorType:
        return d

    def reference(self, d: Any) -> Any:
        if not np.all(d > 0 if self.positive else d != 0):
            raise LinAlgError(self._message())
        return d

    def vjp(self, g: Variable, y: Variable, d: Variable) -> tuple[Variable]:
        return (g,)

    def lower(self, out: TensorType, d: Operand) -> Compute:
        return pointwise(out.shape, lambda *i: d(*i))

    def requires(self, d: Variable) -> list[tuple[Variable, str, str, str]]:
        good = reductions.all(greater(d, 0) if self.positive else not_equal(d, 0))
        return [(good, LinAlgError.code, self._message(), "")]

    def _message(self) -> str:
        if self.positive:
            found = "not positive definite (an element of its diagonal is not positive)"
        else:
            found = "singular (an element of its diagonal is 0)"
        return f"{self.what}: the matrix is {found}"


def assume(x: Any, *properties: str) -> Variable:
    """x, matrices [..., n, n] of which the caller knows more than the graph tells.

    ``properties``: "diagonal", "lower_triangular", "upper_triangular", "symmetric" (of complex
    matrices: Hermitian), "positive_definite" (symmetric too), "orthogonal" (of complex matrices:
    unitary). What follows from them follows for sums, products, transposes and inverses as well:
    systems are then solved by a division, one substitution, a Cholesky factor or a transpose, and
    determinants read off the diagonal. Zeros, triangles, identities, factors and diagonal matrices
    that the graph makes itself are known without being stated.

    Compiled functions believe what is stated; mode="debug" and mode="interpret" look, and raise
    AssertionFailed. Derivatives pass. Raises ArgumentError for an unknown property.

    >>> import symgraph as sg
    >>> a, b = sg.matrix("a", shape=("n", "n")), sg.vector("b", shape=("n",))
    >>> f = sg.compile([a, b], sg.linalg.solve(sg.linalg.assume(a, "diagonal"), b))
    >>> f([[2.0, 0.0], [0.0, 4.0]], [1.0, 1.0]).tolist()
    [0.5, 0.25]
    """
    x = matrix_operand(x, "assume")
    for name in properties:
        if name not in PROPERTIES:
            raise ArgumentError(
                f"assume: unknown property {name!r:.40}", hint=f"known are {', '.join(PROPERTIES)}"
            )
    if not properties:
        raise ArgumentError("assume: no property is given", hint=f"{', '.join(PROPERTIES)}")
    return Assume(tuple(sorted(set(properties))))(x)  # type: ignore[no-any-return]
