"""least_squares: sums of squares by the method of Levenberg and Marquardt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgraph.autodiff.products import jacobian
from symgraph.autodiff.reverse import grad
from symgraph.errors import ArgumentError
from symgraph.ir.graph import Input, Variable
from symgraph.ops import reductions
from symgraph.ops.arithmetic import absolute, maximum, sqrt
from symgraph.ops.cast import to_dtype
from symgraph.ops.comparison import isfinite, logical_and, logical_not, logical_or, where
from symgraph.ops.joining import concatenate
from symgraph.ops.looping import while_loop
from symgraph.ops.matrix import diag, matmul
from symgraph.ops.slicing import zeros
from symgraph.optimize.implicit import tied
from symgraph.optimize.krylov import dot, least_squares_step, ratio
from symgraph.optimize.problem import Flat, Traced, traced
from symgraph.optimize.roots import default_tolerance, largest
from symgraph.optimize.tied import frozen
from symgraph.records import NamedTuple


class LeastSquares(NamedTuple):
    """What least_squares returns: the unknown, half of the sum of squares there, the residuals,
    whether the method converged, and the number of its steps."""

    x: Any
    cost: Variable
    fun: Any
    converged: Variable
    steps: Variable


def least_squares(
    fn: Callable[..., Any], x0: Any, args: Sequence[Any] = (), tol: float | None = None,
    max_steps: int = 200, solver: str = "auto",
) -> LeastSquares:  # fmt: skip
    """The x near x0 where the sum of the squares of ``fn(x, *args)`` has a minimum; x and the
    residuals are tensors or nests of tensors.

    Levenberg's and Marquardt's method with the scaling of the Jacobian's columns and Nielsen's rule
    for the damping (Madsen, Nielsen, Tingleff, Methods for non-linear least squares problems,
    2004); linear problems by QR. It has converged when a step is at most ``tol`` * max(|x|, 1), or
    the gradient at most tol * max(cost, tol); tol is the rounding unit to the power 2/3 if it is
    not given. Derivatives and ``solver``: as for :func:`minimize`, with the exact Hessian of the
    cost.

    >>> import symgraph as sg
    >>> y = sg.vector("y", shape=(3,))
    >>> t = sg.constant([0.0, 1.0, 2.0])
    >>> found = sg.optimize.least_squares(lambda p: p[0] * sg.exp(p[1] * t) - y, sg.ones(2))
    >>> found.x.eval({y: [2.0, 1.0, 0.5]}).round(6).tolist()
    [2.0, -0.693147]
    """
    flat = Flat("least_squares", x0)
    own = Input(flat.type, "x")
    residuals = Flat("least_squares", fn(flat.nest(own), *args))
    if not any(v.owner is not None for v in residuals.leaves):
        raise ArgumentError("least_squares: fn does not depend on x")
    problem = traced([own], [to_dtype(residuals.vector(), flat.dtype)])
    (image,) = problem.outputs
    tol = default_tolerance(flat.dtype, 2 / 3) if tol is None else tol
    slope = grad(0.5 * dot(image, image), problem.own[0])
    x, converged, steps = _marquardt(problem.loose(), frozen([flat.vector()])[0], tol, max_steps)
    x = tied("least_squares", x, slope, problem, solver, True)
    (r,) = problem.at([x], [image])
    return LeastSquares(flat.nest(x), 0.5 * dot(r, r), residuals.nest(r), converged, steps)


def _marquardt(
    problem: Traced, x0: Variable, tol: float, limit: int
) -> tuple[Variable, Variable, Variable]:
    """The last point, whether it is a minimum, and the number of steps."""
    (image,) = problem.outputs
    matrix = jacobian(image, problem.own[0], "forward")

    def step(s: Any) -> Any:
        x, r, damping, growth, scale, k, _, _ = s
        (j,) = problem.at([x], [matrix])
        scale = maximum(scale, sqrt(reductions.sum(j * j, axis=0)))
        own = where(scale > 0, scale, 1)
        rows = concatenate([j, diag(own * sqrt(damping))])
        d = -least_squares_step(rows, concatenate([r, zeros(x.type)]))
        new = x + d
        (after,) = problem.at([new], [image])
        model = dot(r, r) - dot(r + matmul(j, d), r + matmul(j, d))
        gain = ratio(dot(r, r) - dot(after, after), model)
        # where costs differ by rounding errors only, steps go on as long as they become shorter
        noise = 16 * float(np.finfo(x.dtype).eps) * dot(r, r)
        flat = logical_and(model <= noise, absolute(dot(r, r) - dot(after, after)) <= noise)
        gain = where(flat, 1, gain)
        good = logical_and(gain > 0, isfinite(dot(after, after)))
        easier = maximum(1 / 3, 1 - (2 * gain - 1) ** 3)
        damping = damping * where(good, easier, growth)
        level = largest(matmul(r, j)) <= tol * maximum(0.5 * dot(r, r), tol)
        done = logical_or(largest(d) <= tol * maximum(largest(x), 1), level)
        stuck = logical_or(logical_not(isfinite(dot(d, d))), logical_not(isfinite(damping)))
        x, r = where(good, new, x), where(good, after, r)
        return x, r, damping, where(good, 2, growth * 2), scale, k + 1, done, stuck

    def going(s: Any) -> Variable:
        return logical_and(logical_and(logical_not(s[6]), s[5] < limit), logical_not(s[7]))

    (r0,) = problem.at([x0], [image])
    size = dot(r0, r0)
    bad = logical_not(isfinite(size))
    one = absolute(where(bad, 1, size)) * 0
    begin = (x0, r0, one + 1e-3, one + 2, zeros(x0.type), 0, size < 0, bad)
    x, _, _, _, _, k, done, stuck = while_loop(going, step, begin)
    return x, logical_and(done, logical_not(stuck)), k
