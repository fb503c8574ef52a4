"""root and fixed_point: systems of equations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgraph.autodiff.products import jacobian, jvp
from symgraph.errors import ArgumentError
from symgraph.ir.graph import Input, Variable
from symgraph.ops import reductions
from symgraph.ops.arithmetic import absolute, maximum
from symgraph.ops.comparison import isfinite, logical_and, logical_not, logical_or, where
from symgraph.ops.control import cond
from symgraph.ops.creation import eye
from symgraph.ops.joining import concatenate
from symgraph.ops.looping import while_loop
from symgraph.ops.matrix import matmul, outer
from symgraph.ops.shape import expand_dims
from symgraph.ops.slicing import zeros
from symgraph.ops.triangular import adjoint as transposed
from symgraph.optimize.implicit import tied
from symgraph.optimize.krylov import dot, gmres, least_squares_step, norm, ratio
from symgraph.optimize.problem import Flat, Traced, of_expression, traced
from symgraph.optimize.tied import frozen
from symgraph.records import NamedTuple

HALVINGS = 30
PAIRS = 5  # that Anderson's method keeps


class Root(NamedTuple):
    """What root, root_scalar and fixed_point return: the unknown in the structure of x0, the values
    of fn there, whether the method converged, and the number of its steps."""

    x: Any
    fun: Any
    converged: Variable
    steps: Variable


def largest(v: Variable) -> Variable:
    """The greatest size of an element."""
    return reductions.max(absolute(v))


def default_tolerance(dtype: str, power: float) -> float:
    """A power of the rounding unit."""
    return float(np.finfo(dtype).eps) ** power


# methods ------------------------------------------------------------------------------------------


class Newton:
    """Steps by the whole Jacobian; where it is singular, those of least squares."""

    def __init__(self, problem: Traced) -> None:
        self.problem = problem
        self.jacobian = jacobian(problem.outputs[0], problem.own[0], "forward")

    def start(self, x: Variable) -> Any:
        return ()

    def step(self, x: Variable, f: Variable, memory: Any) -> tuple[Variable, Variable]:
        """The step, and whether it solves the linear model, so that a short one is the end."""
        (j,) = self.problem.at([x], [self.jacobian])
        d = -least_squares_step(j, f)
        return d, largest(matmul(j, d) + f) <= 1e-3 * largest(f)

    def learn(self, memory: Any, x: Variable, s: Variable, y: Variable, good: Variable) -> Any:
        return memory


class Krylov(Newton):
    """Newton's method with products of the Jacobian only, by gmres (Knoll and Keyes,
    "Jacobian-free Newton-Krylov methods", 2004)."""

    def __init__(self, problem: Traced) -> None:
        self.problem = problem
        self.along = Input(problem.own[0].type)
        self.product = jvp(problem.outputs[0], problem.own[0], self.along)

    def step(self, x: Variable, f: Variable, memory: Any) -> tuple[Variable, Variable]:
        linear = self.problem._replace(own=[*self.problem.own, self.along])

        def product(v: Variable) -> Variable:
            return linear.at([x, v], [self.product])[0]

        found = gmres(product, -f, zeros(f.type), 1e-4, 10 * f.shape[0] + 100)
        return found.x, found.residual <= 1e-3 * norm(f)


class Broyden(Newton):
    """Steps by an inverse Jacobian that is computed once and then kept up with the changes of fn
    (Broyden, "A class of methods for solving nonlinear simultaneous equations", 1965); it is
    computed again where it leads nowhere."""

    def start(self, x: Variable) -> Any:
        return self._inverse(x)

    def _inverse(self, x: Variable) -> Variable:
        (j,) = self.problem.at([x], [self.jacobian])
        return least_squares_step(j, eye(x.shape[0], dtype=x.dtype))

    def step(self, x: Variable, f: Variable, memory: Any) -> tuple[Variable, Variable]:
        d = -matmul(memory, f)
        return d, d[0] != d[0]

    def learn(self, memory: Any, x: Variable, s: Variable, y: Variable, good: Variable) -> Any:
        hy, sh = matmul(memory, y), matmul(s, memory)
        new = memory + outer(s - hy, sh) * ratio(dot(s, s) * 0 + 1, dot(sh, y))
        return cond(good, lambda: new, lambda: self._inverse(x))


METHODS: dict[str, Callable[[Traced], Newton]] = {
    "newton": Newton, "broyden": Broyden, "krylov": Krylov,
}  # fmt: skip
_NAMES = {"hybr": "newton", "broyden1": "broyden", "newton-krylov": "krylov"}


def root(
    fn: Any, x0: Any, args: Sequence[Any] = (), method: str = "newton", tol: float | None = None,
    max_steps: int = 100, solver: str = "auto",
) -> Root:  # fmt: skip
    """The x near x0 with ``fn(x, *args)`` = 0, x a tensor or a nest of tensors and fn of the same
    structure and shapes.

    ``method``: "newton", "broyden" (fewer Jacobians) and "krylov" (no matrix, for many unknowns);
    steps that do not make the norm of fn smaller are halved. A method has converged when every
    element of fn is at most ``tol`` in size, or when a whole step solved the linear model and was
    at most tol * max(|x|, 1); tol is the rounding unit to the power 3/4 (1.8e-12 in float64) if it
    is not given. Otherwise ``converged`` is false, after ``max_steps`` steps or where no step
    helps, and x is the last point with a finite fn.

    Derivatives and ``solver``: as for :func:`minimize`, by the implicit function theorem for fn =
    0; a singular Jacobian raises LinAlgError. fn may be an expression, x0 the variables in it.

    >>> import symgraph as sg
    >>> a = sg.scalar("a")
    >>> found = sg.optimize.root(lambda x: x * x - a, 1.0)
    >>> [v.round(6).item() for v in sg.compile([a], [found.x, sg.grad(found.x, a)])(4.0)]
    [2.0, 0.25]
    """
    name = _NAMES.get(method.lower(), method.lower())
    if name not in METHODS:
        raise ArgumentError(
            f"root: unknown method {method!r}", hint=f"known are {', '.join(METHODS)}"
        )
    flat = Flat("root", x0)
    own = Input(flat.type, "x")
    image = flat.like(of_expression(fn, x0, "root")(flat.nest(own), *args), "fn(x)")
    problem = traced([own], [image])
    tol = default_tolerance(flat.dtype, 0.75) if tol is None else tol
    loop = METHODS[name](problem.loose())
    x, converged, steps = _solve(loop, frozen([flat.vector()])[0], tol, max_steps)
    return finished("root", flat, problem, x, converged, steps, solver)


def finished(
    title: str, flat: Flat, problem: Traced, x: Variable, converged: Variable, steps: Variable,
    solver: str,
) -> Root:  # fmt: skip
    """The result for a solution x of the problem, with its derivatives."""
    (equations,) = problem.outputs
    x = tied(title, x, equations, problem, solver, False)
    return Root(flat.nest(x), flat.nest(problem.at([x], [equations])[0]), converged, steps)


def _solve(
    method: Newton, x0: Variable, tol: float, max_steps: int
) -> tuple[Variable, Variable, Variable]:
    """The last point, whether it is a root, and the number of steps."""

    def evaluate(x: Variable) -> Variable:
        return method.problem.at([x], method.problem.outputs)[0]

    def going(s: Any) -> Variable:
        return logical_and(logical_not(s[4]), logical_and(s[3] < max_steps, s[5] < 2))

    def step(s: Any) -> Any:
        x, f, memory, k, _, failed = s
        d, sound = method.step(x, f, memory)
        new, image, whole, good = _backtracking(evaluate, x, f, d)
        short = largest(d) <= tol * maximum(largest(x), 1)
        memory = method.learn(memory, new, new - x, image - f, good)
        done = logical_or(largest(image) <= tol, logical_and(logical_and(short, sound), whole))
        return new, image, memory, k + 1, done, where(good, 0, failed + 1)

    f0 = evaluate(x0)
    begin = (x0, f0, method.start(x0), 0, largest(f0) <= tol, where(isfinite(norm(f0)), 0, 2))
    x, _, _, k, done, _ = while_loop(going, step, begin)
    return x, done, k


def _backtracking(
    evaluate: Callable[[Variable], Variable], x: Variable, f: Variable, d: Variable
) -> tuple[Variable, Variable, Variable, Variable]:
    """The first of x + d, x + d/2, x + d/4 ... where the norm of f is smaller: the point, f there,
    whether it is x + d or x cannot be told from it, and whether there is one; else x."""
    before = norm(f)

    def trial(t: Variable) -> tuple[Variable, Variable, Variable]:
        new = x + t * d
        image = evaluate(new)
        return new, image, norm(image) <= (1 - 1e-4 * t) * before

    def step(s: Any) -> Any:
        t = s[0] * 0.5
        return (t, *trial(t), s[4] + 1)

    one = before * 0 + 1
    begin = (where(one == 1, one, 1), *trial(where(one == 1, one, 1)), 0)
    t, new, image, good, _ = while_loop(
        lambda s: logical_and(logical_not(s[3]), s[4] < HALVINGS), step, begin
    )
    whole = logical_or(t == 1, logical_not(good))
    return where(good, new, x), where(good, image, f), whole, good


# fixed points -------------------------------------------------------------------------------------


def fixed_point(
    fn: Callable[..., Any], x0: Any, args: Sequence[Any] = (), method: str = "anderson",
    tol: float | None = None, max_steps: int = 1000, solver: str = "auto",
) -> Root:  # fmt: skip
    """The x near x0 with ``fn(x, *args)`` = x, x a tensor or a nest of tensors.

    ``method``: "iteration", x = fn(x) again and again, which converges where fn contracts, or
    "anderson", which combines the last five values so that the linear part of what is missing is
    least (Anderson, "Iterative procedures for nonlinear integral equations", 1965; Walker and Ni,
    2011). Converged is max|fn(x) - x| <= ``tol`` * max(|x|, 1); tol is the rounding unit to the
    power 3/4 if it is not given. Otherwise ``converged`` is false and x the last point with a
    finite fn. ``fun`` is fn(x) - x. Derivatives and ``solver``: as for :func:`root`.

    >>> import symgraph as sg
    >>> a = sg.scalar("a")
    >>> found = sg.optimize.fixed_point(lambda x: (x + a / x) / 2, 1.0)
    >>> [v.round(6).item() for v in sg.compile([a], [found.x, sg.grad(found.x, a)])(9.0)]
    [3.0, 0.166667]
    """
    if method not in ("iteration", "anderson"):
        raise ArgumentError(
            f"fixed_point: unknown method {method!r}", hint="known are iteration and anderson"
        )
    flat = Flat("fixed_point", x0)
    own = Input(flat.type, "x")
    problem = traced([own], [flat.like(fn(flat.nest(own), *args), "fn(x)") - own])
    tol = default_tolerance(flat.dtype, 0.75) if tol is None else tol
    loose, start = problem.loose(), frozen([flat.vector()])[0]

    def evaluate(x: Variable) -> Variable:
        return loose.at([x], loose.outputs)[0]

    def level(x: Variable, f: Variable) -> Variable:
        return largest(f) <= tol * maximum(largest(x), 1)

    def going(s: Any) -> Variable:
        x, f, _, k, able = s
        return logical_and(logical_and(logical_not(level(x, f)), k < max_steps), able)

    def step(s: Any) -> Any:
        x, f, memory, k, _ = s
        new = x + f if method == "iteration" else x + _mixed(f, memory)
        image = evaluate(new)
        able = isfinite(norm(image))
        if method == "anderson":
            memory = tuple(
                concatenate([table[1:], expand_dims(v, 0)])
                for table, v in zip(memory, (new - x, image - f), strict=True)
            )
        return where(able, new, x), where(able, image, f), memory, k + 1, able

    table = zeros(start.type.with_shape((PAIRS, flat.n)))
    f0 = evaluate(start)
    memory = (table, table) if method == "anderson" else ()
    x, f, _, k, _ = while_loop(going, step, (start, f0, memory, 0, isfinite(norm(f0))))
    return finished("fixed_point", flat, problem, x, level(x, f), k, solver)


def _mixed(f: Variable, memory: tuple[Variable, Variable]) -> Variable:
    """Anderson's step from the last steps and changes of f."""
    steps, changes = memory
    small = default_tolerance(f.dtype, 1.0) * maximum(norm(changes), 1e-30)
    rows = concatenate([transposed(changes), small * eye(PAIRS, dtype=f.dtype)])
    weights = least_squares_step(rows, concatenate([f, zeros(f.type.with_shape((PAIRS,)))]))
    return f - matmul(weights, steps + changes)
