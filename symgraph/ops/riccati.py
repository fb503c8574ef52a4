"""Algebraic Riccati equations, and ordered generalised Schur forms by which they are solved.

The derivative of a solution follows from its equation: how x moves is a Lyapunov equation with the
closed-loop matrix (Kao and Hennequin, "Automatic differentiation of Sylvester, Lyapunov, and
algebraic Riccati equations", 2020).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, LinAlgError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType, broadcast_shapes, same_size
from symgraph.loops.routine import Routine
from symgraph.ops.complex_numbers import conj
from symgraph.ops.matrix import matmul, promoted
from symgraph.ops.shape import broadcast_to
from symgraph.ops.solving import solve, solve_discrete_lyapunov, solve_sylvester
from symgraph.ops.triangular import adjoint, matrix_operand, square_size

__all__ = ["ordqz", "solve_continuous_are", "solve_discrete_are"]


# Riccati equations --------------------------------------------------------------------------------


class Riccati(Op):
    """The stabilising x of a Riccati equation, continuous or ``discrete``, for a [..., m, m],
    b [..., m, n], Hermitian q [..., m, m] and r [..., n, n]."""

    name = "solve_are"
    discrete: bool

    @property
    def what(self) -> str:
        """The public function."""
        return "solve_discrete_are" if self.discrete else "solve_continuous_are"

    def infer(self, a: TensorType, b: TensorType, q: TensorType, r: TensorType) -> TensorType:
        m = square_size(a, self.what)
        same_size(m, b.shape[-2], f"{self.what}: sizes of a and b differ")
        same_size(m, square_size(q, self.what), f"{self.what}: sizes of a and q differ")
        n = square_size(r, self.what)
        same_size(n, b.shape[-1], f"{self.what}: sizes of b and r differ")
        for x in (b, q, r):
            for k, (left, right) in enumerate(zip(a.shape[:-2], x.shape[:-2], strict=True)):
                same_size(left, right, f"{self.what}: sizes differ on axis {k}")
        return q

    def reference(self, a: Any, b: Any, q: Any, r: Any) -> Any:
        from scipy import linalg

        solver = linalg.solve_discrete_are if self.discrete else linalg.solve_continuous_are
        wide = np.complex128 if a.dtype.kind == "c" else np.float64
        out = np.empty_like(q)
        for place in np.ndindex(q.shape[:-2]) if q.size else ():
            parts = [x[place].astype(wide) for x in (a, b, q, r)]
            parts[2:] = [(x + x.conj().T) / 2 for x in parts[2:]]
            try:
                out[place] = solver(*parts)
            except (np.linalg.LinAlgError, ValueError) as error:
                index = place[0] if len(place) == 1 else place
                words = f" (batch index {index})" if place else ""
                raise LinAlgError(
                    f"{self.what}: no finite stabilising solution was found{words}",
                    hint="r must be regular and b able to move each unstable part of a",
                ) from error
        return out

    def vjp(self, g: Variable, y: Variable, *given: Variable) -> tuple[Variable, ...]:
        a, b, _, r = given
        g, bh = conj(g), adjoint(b)
        if self.discrete:
            k = solve(r + matmul(matmul(bh, y), b), matmul(matmul(bh, y), a))
            closed = a - matmul(b, k)
            w = solve_discrete_lyapunov(closed, g)
            ga = matmul(matmul(y, closed), w + adjoint(w))
            gr = matmul(matmul(k, w), adjoint(k))
        else:
            k = solve(r, matmul(bh, y))
            closed = a - matmul(b, k)
            w = -solve_sylvester(closed, adjoint(closed), g)
            ga = matmul(y, w + adjoint(w))
            gr = matmul(matmul(k, w), adjoint(k))
        gb = -matmul(ga, adjoint(k))
        return tuple(conj(v) for v in (ga, gb, w, gr))

    def extern(self, *types: TensorType) -> Routine:
        return Routine("python")


def _riccati(discrete: bool, given: list[Any], e: Any, s: Any) -> Variable:
    op = Riccati(discrete)
    names = [*given, *([] if e is None else [e]), *([] if s is None else [s])]
    xs = promoted(*(matrix_operand(x, op.what) for x in names))
    batch: Any = ()
    for x in xs:
        batch = broadcast_shapes(batch, x.shape[:-2], what=f"{op.what}: batch sizes differ")
    xs = [broadcast_to(x, (*batch, *x.shape[-2:])) for x in xs]
    a, b, q, r = xs[:4]
    q, r = (q + adjoint(q)) * 0.5, (r + adjoint(r)) * 0.5
    cross = None if s is None else xs[-1]
    if e is not None:  # in terms of e x e^-1: a e^-1, e^-H q e^-1, e^-H s
        eh = adjoint(xs[4])
        a = adjoint(solve(eh, adjoint(a)))
        half = solve(eh, q)
        q = adjoint(solve(eh, adjoint(half)))
        cross = None if cross is None else solve(eh, cross)
    if cross is not None:  # with a feedback that takes the cross terms away
        back = solve(r, adjoint(cross))
        a, q = a - matmul(b, back), q - matmul(cross, back)
    x = op(a, b, (q + adjoint(q)) * 0.5, r)
    return x  # type: ignore[no-any-return]


def solve_continuous_are(a: Any, b: Any, q: Any, r: Any, e: Any = None, s: Any = None) -> Variable:
    """The stabilising x with a^H x + x a - x b r^-1 b^H x + q = 0, for a and q [..., m, m],
    b [..., m, n] and r [..., n, n]; batches broadcast.

    With ``e`` [..., m, m] and ``s`` [..., m, n] the solution of a^H x e + e^H x a - (e^H x b + s)
    r^-1 (b^H x e + s^H) + q = 0; e must be regular. The symmetric (Hermitian) parts of q and r
    are taken. By an ordered Schur form (Laub, 1979; SciPy's). Raises LinAlgError (SG302) when the
    function runs and there is no finite solution.

    >>> import symgraph as sg
    >>> sg.linalg.solve_continuous_are([[0.0]], [[1.0]], [[4.0]], [[1.0]]).eval().round(12).tolist()
    [[2.0]]
    """
    return _riccati(False, [a, b, q, r], e, s)


def solve_discrete_are(a: Any, b: Any, q: Any, r: Any, e: Any = None, s: Any = None) -> Variable:
    """The stabilising x with a^H x a - x - a^H x b (r + b^H x b)^-1 b^H x a + q = 0, for a and q
    [..., m, m], b [..., m, n] and r [..., n, n]; batches broadcast.

    With ``e`` [..., m, m] and ``s`` [..., m, n] the solution of a^H x a - e^H x e - (a^H x b + s)
    (r + b^H x b)^-1 (b^H x a + s^H) + q = 0; e must be regular, with s also r. The symmetric
    (Hermitian) parts of q and r are taken. By an ordered generalised Schur form (Van Dooren, 1981;
    SciPy's). Raises LinAlgError (SG302) when the function runs and there is no finite solution.

    >>> import symgraph as sg
    >>> sg.linalg.solve_discrete_are([[0.0]], [[1.0]], [[3.0]], [[1.0]]).eval().round(12).tolist()
    [[3.0]]
    """
    return _riccati(True, [a, b, q, r], e, s)


# ordered generalised Schur forms ------------------------------------------------------------------

_SORTS = ("lhp", "rhp", "iuc", "ouc")


class OrderedQZ(Op):
    """(aa, bb, alpha, beta, q, z): the generalised Schur form of a and b with the eigenvalues
    alpha / beta that ``sort`` names first."""

    name = "ordqz"
    sort: str
    output: str
    nondifferentiable = "the order of the eigenvalues and the phases are LAPACK's choice"

    def infer(self, a: TensorType, b: TensorType) -> tuple[TensorType, ...]:
        n = square_size(a, "ordqz")
        if a != b:
            raise ShapeError(f"ordqz: a is {a.text()}, b {b.text()}")
        wide = dtypes.complex_of(a.dtype)
        whole = a.with_dtype(wide) if self.output == "complex" else a
        alpha = TensorType(wide, (*a.shape[:-2], n))
        return whole, whole, alpha, alpha.with_dtype(whole.dtype), whole, whole

    def reference(self, a: Any, b: Any) -> Any:
        from scipy.linalg import ordqz

        kind = str(a.dtype)
        types = self.infer(TensorType(kind, a.shape), TensorType(kind, b.shape))
        outs = [np.zeros(a.shape[: len(t.shape)], dtypes.numpy_dtype(t.dtype)) for t in types]
        for place in np.ndindex(a.shape[:-2]) if a.size else ():
            try:
                found = ordqz(a[place], b[place], self.sort, self.output)
            except (np.linalg.LinAlgError, ValueError) as error:
                raise LinAlgError(
                    "ordqz: the form cannot be found, or not be ordered",
                    hint="eigenvalues may be too close; the matrices may hold NaN or infinities",
                ) from error
            for out, part in zip(outs, found, strict=True):
                out[place] = part
        return tuple(outs)

    def extern(self, a: TensorType, b: TensorType) -> Routine:
        return Routine("python")


def ordqz(a: Any, b: Any, sort: str = "lhp", output: str = "real") -> tuple[Variable, ...]:
    """(aa, bb, alpha, beta, q, z) of two matrices [..., n, n] with a = q aa z^H and b = q bb z^H,
    as SciPy's: the eigenvalues alpha / beta that ``sort`` names come first.

    ``sort``: "lhp" or "rhp", the left or right half of the plane, "iuc" or "ouc", inside or outside
    the unit circle. ``output`` "complex" makes aa triangular for real matrices too; alpha is always
    complex. There are no derivatives, as with :func:`qz`. Raises LinAlgError (SG302) when the
    function runs and eigenvalues cannot be ordered.

    >>> import symgraph as sg
    >>> aa, bb, alpha, beta, q, z = sg.linalg.ordqz([[2.0, 0.0], [0.0, -1.0]], sg.eye(2))
    >>> (alpha / beta).eval().real.tolist()
    [-1.0, 2.0]
    """
    if sort not in _SORTS:
        known = ", ".join(repr(s) for s in _SORTS)
        raise ArgumentError(f"ordqz: unknown sort {sort!r}", hint=f"known are {known}")
    if output not in ("real", "complex"):
        raise ArgumentError(f'ordqz: output is "real" or "complex", not {output!r}')
    a, b = promoted(matrix_operand(a, "ordqz"), matrix_operand(b, "ordqz"))
    output = "complex" if dtypes.is_complex(a.dtype) else output
    return tuple(OrderedQZ(sort, output)(a, b))
