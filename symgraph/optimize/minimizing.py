"""minimize: a cost of many unknowns, by descent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph.autodiff.reverse import grad
from symgraph.errors import ArgumentError
from symgraph.ir.graph import Input, Variable
from symgraph.ops import reductions
from symgraph.ops.arithmetic import absolute, maximum
from symgraph.ops.cast import to_dtype
from symgraph.ops.comparison import isfinite, logical_and, logical_not, where
from symgraph.ops.looping import while_loop
from symgraph.optimize.descent import METHODS, Descent
from symgraph.optimize.implicit import tied
from symgraph.optimize.krylov import dot, norm
from symgraph.optimize.problem import Flat, Traced, of_expression, scalar_cost, traced
from symgraph.optimize.searching import Point, line_search
from symgraph.optimize.tied import frozen
from symgraph.records import NamedTuple

_NAMES = {"l-bfgs-b": "l-bfgs", "lbfgs": "l-bfgs", "gd": "gradient_descent"}


class Minimum(NamedTuple):
    """What minimize returns: the unknown in the structure of x0, the cost there, whether the method
    converged, the number of its steps, and the greatest size of an element of the gradient."""

    x: Any
    fun: Variable
    converged: Variable
    steps: Variable
    slope: Variable


def minimize(
    fn: Any, x0: Any, args: Sequence[Any] = (), method: str = "bfgs", tol: float | None = None,
    max_steps: int = 1000, solver: str = "auto",
) -> Minimum:  # fmt: skip
    """The x near x0 where the scalar ``fn(x, *args)`` has a minimum, x a tensor or a nest of
    tensors.

    ``method``: "bfgs", "l-bfgs" and "newton-cg" (no matrix, for many unknowns), "newton" (the whole
    Hessian), "gradient_descent". All share a line search, so that fn falls with every step. A
    method has converged when max|gradient| * max(|x|, 1) <= ``tol`` * max(|fn|, 1) (Dennis and
    Schnabel, Numerical Methods, 1996, 7.2.5); tol is the root of the rounding unit if it is not
    given. It ends without when ``max_steps`` steps are done or no step makes fn smaller;
    ``converged`` says so, and x is the last point with a finite fn. What converged may be a local
    minimum.

    Derivatives, of any order and in both directions, are those of the exact minimum with respect
    to args and to all that fn reads (the implicit function theorem for gradient = 0), whatever the
    method; they are as accurate as x. ``solver`` is how linear systems with the Hessian are solved:
    "dense" (LinAlgError where it is singular), "cg" or another method of :func:`linear_solve`;
    "auto" takes dense up to 400 unknowns. x0 has no derivative. Under vmap every example is a
    minimization of its own.

    fn may also be an expression, x0 the variables in it, and their values the start: PyTensor's
    way. Raises GradientError when fn gives no real scalar or does not depend on x.

    >>> import symgraph as sg
    >>> a = sg.scalar("a")
    >>> found = sg.optimize.minimize(lambda x: (x - a) ** 2 + x**4, 0.0)
    >>> f = sg.compile([a], [found.x, sg.grad(found.x, a)])
    >>> [v.round(6).item() for v in f(3.0)]
    [1.0, 0.142857]
    """
    name = _NAMES.get(method.lower(), method.lower())
    if name not in METHODS:
        raise ArgumentError(
            f"minimize: unknown method {method!r}", hint=f"known are {', '.join(METHODS)}"
        )
    flat = Flat("minimize", x0)
    own = Input(flat.type, "x")
    cost = scalar_cost(of_expression(fn, x0, "minimize")(flat.nest(own), *args), "minimize")
    problem = traced([own], [to_dtype(cost, flat.dtype)])
    slope = grad(problem.outputs[0], problem.own[0])
    tol = float(np.finfo(flat.dtype).eps) ** 0.5 if tol is None else tol
    loose = problem.loose()
    found = _descend(METHODS[name](loose, slope), frozen([flat.vector()])[0], tol, max_steps)
    x, steps, converged, size = found
    x = tied("minimize", x, slope, problem, solver, True)
    (fun,) = problem.at([x], problem.outputs)
    return Minimum(flat.nest(x), fun, converged, steps, size)


def _descend(
    method: Descent, start: Variable, tol: float, max_steps: int
) -> tuple[Variable, Variable, Variable, Variable]:
    """The last point, the number of steps, whether it is a minimum, and the size of the
    gradient."""
    problem: Traced = method.problem

    def evaluate(x: Variable) -> tuple[Variable, Variable]:
        f, g = problem.at([x], [problem.outputs[0], method.slope])
        return f, g

    def level(at: Point) -> Variable:
        size = reductions.max(absolute(at.g) * maximum(absolute(at.x), 1))
        return size <= tol * maximum(absolute(at.f), 1)

    def going(s: Any) -> Variable:
        return logical_and(s[3], s[2] < max_steps)

    def step(s: Any) -> Any:
        at, memory, k = Point(*s[0]), s[1], s[2]
        d, first = method.direction(at, memory)
        down = logical_and(dot(d, at.g) < 0, isfinite(dot(d, d)))
        d = where(down, d, -at.g)
        new, found = line_search(evaluate, at, d, where(down, first, 1 / maximum(norm(at.g), 1)))
        memory = method.learn(memory, new.x - at.x, new.g - at.g)
        return list(new), memory, k + 1, logical_and(found, logical_not(level(new)))

    at = Point(start, *evaluate(start))
    able = logical_and(isfinite(at.f), isfinite(dot(at.g, at.g)))
    begin = (list(at), method.start(at), 0, logical_and(able, logical_not(level(at))))
    last, _, k, _ = while_loop(going, step, begin)
    end = Point(*last)
    size = reductions.max(absolute(end.g))
    return end.x, k, logical_and(level(end), isfinite(end.f)), size
