"""The line search that all methods of descent share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph.ir.graph import Variable
from symgraph.ops.arithmetic import absolute
from symgraph.ops.comparison import isfinite, logical_and, logical_not, logical_or, where
from symgraph.ops.looping import while_loop
from symgraph.optimize.krylov import dot
from symgraph.records import NamedTuple

ARMIJO, WOLFE = 1e-4, 0.9
TRIALS = 40

Evaluate = Callable[[Variable], "tuple[Variable, Variable]"]  # x -> cost, gradient


class Point(NamedTuple):
    """Where a search stands: the unknown, the cost and its gradient."""

    x: Variable
    f: Variable
    g: Variable


def line_search(
    evaluate: Evaluate, at: Point, direction: Variable, first: Variable
) -> tuple[Point, Variable]:
    """A point along a direction of descent that satisfies the weak Wolfe conditions, found by
    bisection and doubling from the step ``first`` (Lewis and Overton, "Nonsmooth optimization via
    quasi-Newton methods", 2013, algorithm 4.6), and whether there is one. Near a minimum, where
    differences of costs are rounding errors, slopes decide (Hager and Zhang, 2005). Points where
    the cost is not finite count as too far.
    """
    slope = dot(direction, at.g)
    noise = float(np.finfo(at.f.dtype).eps) * 8 * absolute(at.f)
    zero = at.f * 0

    def judged(t: Variable, f: Variable, along: Variable) -> tuple[Variable, Variable]:
        low = f <= at.f + ARMIJO * t * slope
        flat = logical_and(f <= at.f + noise, along <= (2 * ARMIJO - 1) * slope)
        far = logical_not(logical_or(low, flat))
        return logical_or(far, logical_not(isfinite(along))), along < WOLFE * slope

    def trial(t: Variable) -> tuple[Point, Variable, Variable]:
        x = at.x + t * direction
        f, g = evaluate(x)
        return Point(x, f, g), *judged(t, f, dot(direction, g))

    def step(s: Any) -> Any:
        t, low, high, bounded, k, _, best, _ = s
        here, far, near = trial(t)
        high, bounded = where(far, t, high), logical_or(bounded, far)
        keep = logical_not(far)
        low = where(keep, t, low)
        best = [where(keep, a, b) for a, b in zip(here, best, strict=True)]
        done = logical_and(keep, logical_not(near))
        after = where(bounded, 0.5 * (low + high), 2 * t)
        return after, low, high, bounded, k + 1, done, best, logical_or(done, low > 0)

    def going(s: Any) -> Variable:
        return logical_and(logical_not(s[5]), s[4] < TRIALS)

    no = slope != slope
    no = logical_and(no, logical_not(no))
    start = (first + zero, zero, zero, no, 0, no, list(at), no)
    *_, best, found = while_loop(going, step, start)
    return Point(*best), found
