"""Methods of descent for minimize: each says in which direction to go from what it remembers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph.autodiff.products import jacobian, jvp
from symgraph.ir.graph import Input, Variable
from symgraph.ops import reductions
from symgraph.ops.arithmetic import absolute, maximum, minimum, sqrt
from symgraph.ops.comparison import logical_and, where
from symgraph.ops.creation import eye
from symgraph.ops.joining import concatenate
from symgraph.ops.looping import while_loop
from symgraph.ops.matrix import matmul, outer
from symgraph.ops.scanning import scan
from symgraph.ops.shape import expand_dims
from symgraph.ops.slicing import zeros
from symgraph.ops.spectral import eigh
from symgraph.optimize.krylov import dot, norm, ratio
from symgraph.optimize.problem import Traced
from symgraph.optimize.searching import Point

MEMORY = 10  # pairs that l-bfgs keeps


class Descent:
    """Plain gradient descent with the step lengths of Barzilai and Borwein, "Two-point step size
    gradient methods", 1988; the base of the others."""

    def __init__(self, problem: Traced, gradient: Variable) -> None:
        self.problem, self.slope = problem, gradient

    def start(self, at: Point) -> Any:
        """What is remembered before the first step."""
        return 1 / maximum(norm(at.g), 1)

    def direction(self, at: Point, memory: Any) -> tuple[Variable, Variable]:
        """Where to go, and how far to try first, in multiples of it."""
        return -at.g, memory

    def learn(self, memory: Any, s: Variable, y: Variable) -> Any:
        """The memory after a step s in which the gradient changed by y."""
        return _length(s, y, memory)


def _length(s: Variable, y: Variable, before: Variable) -> Variable:
    """s.s / s.y, where that is sound."""
    sy, ss = dot(s, y), dot(s, s)
    return where(_curved(s, y), ratio(ss, sy), before)


def _curved(s: Variable, y: Variable) -> Variable:
    """Whether the cost bends upwards along s by more than rounding errors."""
    eps = float(np.finfo(s.dtype).eps)
    return dot(s, y) > eps * norm(s) * norm(y)


class BFGS(Descent):
    """The approximation of the inverse Hessian by Broyden, Fletcher, Goldfarb and Shanno (Nocedal
    and Wright, Numerical Optimization, 2006, 6.17 and 6.20)."""

    def start(self, at: Point) -> Any:
        n = at.x.shape[0]
        return eye(n, dtype=at.x.dtype) / maximum(norm(at.g), 1), at.f * 0

    def direction(self, at: Point, memory: Any) -> tuple[Variable, Variable]:
        return -matmul(memory[0], at.g), at.f * 0 + 1

    def learn(self, memory: Any, s: Variable, y: Variable) -> Any:
        h, count = memory
        good = _curved(s, y)
        first = eye(s.shape[0], dtype=s.dtype) * ratio(dot(s, y), dot(y, y))
        h = where(logical_and(count == 0, good), first, h)
        rho = ratio(dot(s, y) * 0 + 1, dot(s, y))
        hy = matmul(h, y)
        new = h - rho * (outer(s, hy) + outer(hy, s)) + rho * (rho * dot(y, hy) + 1) * outer(s, s)
        return where(good, new, h), where(good, count + 1, count)


class LBFGS(Descent):
    """BFGS from the last ten steps, without a matrix (Nocedal and Wright, 2006, algorithm 7.4)."""

    def start(self, at: Point) -> Any:
        table = zeros(at.x.type.with_shape((MEMORY, at.x.shape[0])))
        return table, table, 1 / maximum(norm(at.g), 1)

    def direction(self, at: Point, memory: Any) -> tuple[Variable, Variable]:
        steps, changes, scale = memory
        rho = reductions.sum(steps * changes, axis=1)
        rho = where(rho != 0, 1 / where(rho != 0, rho, 1), 0)

        def down(s: Variable, y: Variable, r: Variable, q: Variable) -> Any:
            alpha = r * dot(s, q)
            return q - alpha * y, alpha

        def up(s: Variable, y: Variable, r: Variable, alpha: Variable, q: Variable) -> Variable:
            return q + s * (alpha - r * dot(y, q))

        rows = [steps[::-1], changes[::-1], rho[::-1]]
        qs, alphas = scan(down, rows, [at.g, None])
        found = scan(up, [steps, changes, rho, alphas[::-1]], [qs[-1] * scale])
        return -found[-1], at.f * 0 + 1

    def learn(self, memory: Any, s: Variable, y: Variable) -> Any:
        steps, changes, scale = memory
        good = _curved(s, y)
        pairs = ((steps, s), (changes, y))
        new = [where(good, concatenate([t[1:], expand_dims(v, 0)]), t) for t, v in pairs]
        return *new, where(good, ratio(dot(s, y), dot(y, y)), scale)


class Newton(Descent):
    """Newton's method; eigenvalues of the Hessian count by their sizes, so that saddles repel
    (Nocedal and Wright, 2006, section 3.4)."""

    def __init__(self, problem: Traced, gradient: Variable) -> None:
        super().__init__(problem, gradient)
        self.hessian = jacobian(gradient, problem.own[0], "forward")

    def start(self, at: Point) -> Any:
        return ()

    def direction(self, at: Point, memory: Any) -> tuple[Variable, Variable]:
        (h,) = self.problem.at([at.x], [self.hessian])
        w, v = eigh(h)
        size = absolute(w)
        least = maximum(reductions.max(size) * float(np.finfo(w.dtype).eps) * 8, 1e-30)
        return -matmul(v, matmul(at.g, v) / maximum(size, least)), at.f * 0 + 1

    def learn(self, memory: Any, s: Variable, y: Variable) -> Any:
        return memory


class NewtonCG(Newton):
    """Newton's method with products of the Hessian only: conjugate gradients, broken off early or
    where the cost bends downwards (Nocedal and Wright, 2006, algorithm 7.1)."""

    def __init__(self, problem: Traced, gradient: Variable) -> None:
        Descent.__init__(self, problem, gradient)
        self.along = Input(problem.own[0].type)
        self.product = jvp(gradient, problem.own[0], self.along)

    def _times(self, x: Variable, v: Variable) -> Variable:
        own = [*self.problem.own, self.along]
        return self.problem._replace(own=own).at([x, v], [self.product])[0]

    def direction(self, at: Point, memory: Any) -> tuple[Variable, Variable]:
        gg = dot(at.g, at.g)
        goal = minimum(sqrt(gg), 0.25) * gg  # the square of min(1/2, sqrt |g|) |g|
        limit: Any = 2 * at.x.shape[0] + 10

        def going(s: Any) -> Variable:
            return logical_and(logical_and(s[3] > goal, s[4] < limit), s[5])

        def step(s: Any) -> Any:
            z, r, d, rr, k, _ = s
            hd = self._times(at.x, d)
            bend = dot(d, hd)
            up = bend > 0
            alpha = ratio(rr, bend)
            r2 = r + alpha * hd
            new = dot(r2, r2)
            z = where(up, z + alpha * d, where(k == 0, d, z))
            return z, r2, ratio(new, rr) * d - r2, new, k + 1, up

        start = (zeros(at.x.type), at.g, -at.g, gg, 0, gg == gg)
        return while_loop(going, step, start)[0], at.f * 0 + 1


METHODS: dict[str, Callable[[Traced, Variable], Descent]] = {
    "bfgs": BFGS, "l-bfgs": LBFGS, "newton": Newton, "newton-cg": NewtonCG,
    "gradient_descent": Descent,
}  # fmt: skip
