"""The implicit function theorem: derivatives of what solves equations, and linear systems.

Where F(x, p) = 0, dx = -(dF/dx)^-1 (dF/dp) dp (Griewank and Walther, Evaluating Derivatives, 2008,
section 15.4; Blondel et al., "Efficient and modular implicit differentiation", 2022). The loop that
found x is not differentiated, and how it works does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph.autodiff.products import jacobian
from symgraph.autodiff.reverse import reverse_pass
from symgraph.errors import ArgumentError
from symgraph.ir.graph import Graph, Input, Variable, rebuild
from symgraph.ops.debugging import assert_
from symgraph.ops.looping import builtin_callable
from symgraph.ops.matrix import matmul
from symgraph.ops.operands import as_variable
from symgraph.ops.slicing import zeros
from symgraph.ops.solving import solve
from symgraph.ops.special import stop_gradient
from symgraph.optimize import krylov
from symgraph.optimize.problem import Flat, Traced, traced
from symgraph.optimize.tied import Pulled, Tied
from symgraph.records import NamedTuple

SOLVERS = ("auto", "dense", "cg", "bicgstab", "gmres", "normal_cg")
DENSE = 400  # unknowns up to which "auto" builds the matrix


class Implicit(Tied):
    """The first input x, which solves the ``equations`` in x and the other inputs. ``solver`` is
    how linear systems with their Jacobian are solved; ``symmetric`` says that it is symmetric."""

    name = "implicit"
    title: str = ""
    equations: Graph = Graph((), ())
    solver: str = "dense"
    symmetric: bool = False

    def pulled(
        self, wanted: Sequence[bool], g: Variable, y: Variable, given: Sequence[Variable]
    ) -> Pulled:
        """Minus the adjoint solution times the derivative of the equations by the other inputs."""
        x, *inner = self.equations.inputs
        (f,) = self.equations.outputs
        asked = [v for v, w in zip(inner, wanted, strict=True) if w]
        seed = Input(f.type)
        found = reverse_pass([f], [seed], asked)
        places = [k for k, v in enumerate(found) if v is not None]
        if not places:
            return (None,) * len(given)
        here = dict(zip([x, *inner], [y, *given], strict=True))
        adjoint = self._adjoint(x, f, here, g)
        pulled = rebuild([found[k] for k in places], {**here, seed: -adjoint})
        by_input = dict(zip((asked[k] for k in places), pulled, strict=True))
        return tuple(by_input.get(v) for v in inner)

    def _adjoint(
        self, x: Variable, f: Variable, here: dict[Variable, Variable], g: Variable
    ) -> Variable:
        """w with J^T w = g, J the derivative of f by x."""
        if self.solver == "dense":
            (j,) = rebuild([jacobian(f, x, "forward" if self.symmetric else "reverse")], here)
            return solved_dense(j, g, True)
        seed = Input(f.type)
        (product,) = reverse_pass([f], [seed], [x])
        if product is None:
            product = zeros(x.type)
        linear = traced([seed], rebuild([product], here))
        found, info = solved(self.title, linear, g, self.solver, self.symmetric)
        message = f"{self.title}: {self.solver} did not solve the linear system of the derivative"
        return assert_(found, info.converged, message)


def tied(
    title: str, x: Variable, equations: Variable, problem: Traced, solver: str, symmetric: bool
) -> Variable:
    """x as the solution of ``equations``, an output over the inputs of the problem."""
    chosen = chosen_solver(title, solver, x.shape[0], symmetric)
    op = Implicit(
        title=title, equations=problem.graph(equations), solver=chosen, symmetric=symmetric
    )
    return op(stop_gradient(x), *problem.captured)  # type: ignore[no-any-return]


def chosen_solver(title: str, solver: str, n: Any, symmetric: bool) -> str:
    """What "auto" means for n unknowns. Raises ArgumentError."""
    if solver not in SOLVERS:
        raise ArgumentError(
            f"{title}: unknown solver {solver!r}", hint=f"known are {', '.join(SOLVERS)}"
        )
    if solver != "auto":
        return solver
    if not isinstance(n, int) or n <= DENSE:
        return "dense"
    return "cg" if symmetric else "gmres"


def solved_dense(j: Variable, b: Variable, transposed: bool) -> Variable:
    """The solution of one system with a matrix; of a 1 x 1 matrix by a division."""
    if j.shape[0] == 1:
        return b / j[0]  # type: ignore[no-any-return]
    return solve(j, b, transposed=transposed)


# linear systems -----------------------------------------------------------------------------------


class LinearInfo(NamedTuple):
    """How a linear system was solved."""

    converged: Variable
    steps: Variable
    residual: Variable


class LinearSolution(NamedTuple):
    """What linear_solve returns: ``residual`` is the norm of b - a x (of a^T of it for
    "normal_cg"), ``converged`` whether it is at most tol times that of b, ``steps`` the number of
    products with a."""

    x: Any
    converged: Variable
    steps: Variable
    residual: Variable


def solved(
    title: str, linear: Traced, b: Variable, solver: str, symmetric: bool,
    tol: float | None = None, max_steps: int | None = None, x0: Variable | None = None,
) -> tuple[Variable, LinearInfo]:  # fmt: skip
    """The solution of ``linear`` (one vector to one vector) = b, with its derivatives."""
    eps = float(np.finfo(b.dtype).eps)
    tol = eps**0.625 if tol is None else tol  # about 1.6e-10 in float64, 5e-5 in float32
    n = b.shape[0]
    limit: Any = 10 * n + 100 if max_steps is None else max_steps
    (own,), (out,) = linear.own, linear.outputs
    loose, right = linear.loose(), stop_gradient(b)

    def product(v: Variable) -> Variable:
        return loose.at([v], [out])[0]

    size = right
    start = zeros(b.type) if x0 is None else stop_gradient(x0)
    if solver == "dense":
        matrix = loose.at([right], [jacobian(out, own, "forward")])[0]
        x = krylov.least_squares_step(matrix, right)
        found = krylov.Solved(x, as_variable(n), krylov.norm(right - product(x)))
    elif solver == "normal_cg":
        seed = Input(out.type)
        (back,) = reverse_pass([out], [seed], [own])
        back = zeros(own.type) if back is None else back

        def transposed(v: Variable) -> Variable:
            mapping: dict[Variable, Variable] = dict(zip(linear.inner, loose.captured, strict=True))
            return rebuild([back], {**mapping, seed: v})[0]

        size = transposed(right)
        found = krylov.cg(lambda v: transposed(product(v)), size, start, tol, limit)
    else:
        found = getattr(krylov, solver)(product, right, start, tol, limit)
    known = Input(b.type)
    whole = Traced(linear.own, [*linear.inner, known], [out], [*linear.captured, b])
    x = tied(title, found.x, out - known, whole, solver, symmetric)
    slack = 4 if solver in ("bicgstab", "dense") else 1.0001
    good = found.residual <= tol * slack * krylov.norm(size)
    return x, LinearInfo(good, found.steps, found.residual)


def linear_solve(
    a: Any, b: Any, method: str = "auto", symmetric: bool = False, tol: float | None = None,
    max_steps: int | None = None, x0: Any = None,
) -> LinearSolution:  # fmt: skip
    """x with a(x) = b for a linear function ``a`` of tensors or nests of the shapes of b, or a
    matrix ``a`` [n, n] and a vector b. No matrix is built but by "dense".

    ``method``: "cg" for symmetric positive definite a (implies ``symmetric``), "gmres" and
    "bicgstab" for any, "normal_cg" (cg for a^T a), "dense" (QR of the matrix); "auto" takes "dense"
    up to 400 unknowns, then cg or gmres. Iterations end when the norm of b - a(x) is at most
    ``tol`` (about 1.6e-10 in float64, 5e-5 in float32) times that of b, or after ``max_steps``
    products (10 n + 100); ``converged`` says which.

    Derivatives, of any order and in both directions, are linear systems of the same method with
    respect to b and to all that ``a`` reads; they raise AssertionFailed when they do not converge.
    Under vmap each example has its own system.

    >>> import symgraph as sg
    >>> b = sg.vector("b", shape=(3,))
    >>> found = sg.optimize.linear_solve(lambda x: 4 * x + sg.roll(x, 1), b, method="gmres")
    >>> found.x.eval({b: [7.0, 9.0, 14.0]}).round(9).tolist()
    [1.0, 2.0, 3.0]
    """
    flat = Flat("linear_solve", b)
    symmetric = symmetric or method == "cg"
    method = chosen_solver("linear_solve", method, flat.n, symmetric)
    matrix = None
    if isinstance(a, Variable) or not builtin_callable(a):
        matrix = as_variable(a)
        if matrix.ndim != 2 or len(flat.leaves) != 1:
            raise ArgumentError(
                f"linear_solve: a is a function or, for a vector b, a matrix, not "
                f"{matrix.type.text()}"
            )
    own = Input(flat.type, "x")
    image = matmul(matrix, own) if matrix is not None else a(flat.nest(own))
    linear = traced([own], [flat.like(image, "a(x)")])
    start = None if x0 is None else flat.like(x0, "x0")
    x, info = solved(
        "linear_solve", linear, flat.vector(), method, symmetric, tol, max_steps, start
    )
    return LinearSolution(flat.nest(x), *info)
