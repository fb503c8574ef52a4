"""dopri5: steps as long as the error allows, and the adjoint equation for derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph.autodiff import forward
from symgraph.autodiff.reverse import reverse_pass
from symgraph.batching.engine import rule
from symgraph.batching.vectorize import vmap
from symgraph.integrate.tableaus import DOPRI5, DOPRI5_ERROR, Slope, combined, stages
from symgraph.ir.graph import Apply, Graph, Input, Variable, rebuild
from symgraph.ops import moments, reductions
from symgraph.ops.arithmetic import absolute, clip, maximum, minimum, sqrt
from symgraph.ops.comparison import isfinite, logical_and, logical_not, where
from symgraph.ops.debugging import assert_
from symgraph.ops.joining import concatenate, part_of, stack
from symgraph.ops.looping import while_loop
from symgraph.ops.scanning import scan
from symgraph.ops.shape import expand_dims, flip, reshape
from symgraph.ops.slicing import zeros
from symgraph.optimize.krylov import dot
from symgraph.optimize.problem import Traced, traced
from symgraph.optimize.tied import Pulled, Tied, frozen, tied_batch
from symgraph.scalar import as_expr, as_size, product

SAFETY, LEAST, MOST = 0.9, 0.2, 10.0


class Trajectory(Tied):
    """The first input, which holds in row i the solution at ``t[i]`` of dy/dt = f(y, t) with y =
    ``y0`` at ``t[0]``. Inputs: rows, y0, t, and what f reads besides y and t."""

    name = "trajectory"
    slopes: Graph = Graph((), ())
    rtol: float = 0.0
    atol: float = 0.0
    max_steps: int = 0

    def pulled(
        self, wanted: Sequence[bool], g: Variable, y: Variable, given: Sequence[Variable]
    ) -> Pulled:
        """The continuous adjoint: a with da/dt = -J^T a, back in time from row to row."""
        _, t, *rest = given
        asked = [k for k, w in enumerate(wanted[2:]) if w]
        backward = _Backward(self, asked, rest)
        a, sums = backward.run(g, y, t)
        found: list[Variable | None] = [None] * len(given)
        if wanted[0]:
            found[0] = a + g[0]
        if wanted[1]:
            found[1] = backward.times(g, y, t, a)
        for k, v in zip(asked, backward.split(sums), strict=True):
            found[2 + k] = v
        return found


class _Backward:
    """The adjoint equation for the inputs ``asked`` among those that f reads."""

    def __init__(self, op: Trajectory, asked: Sequence[int], rest: Sequence[Variable]) -> None:
        self.op, self.rest = op, list(rest)
        y, t, *inner = op.slopes.inputs
        (dy,) = op.slopes.outputs
        self.own = [y, t]
        self.inner = inner
        self.read = [inner[k] for k in asked]
        self.sizes = [product(v.shape) for v in self.read]
        self.seed = Input(dy.type)
        found = reverse_pass([dy], [self.seed], [y, *self.read])
        self.pulled = [
            zeros(v.type) if f is None else f for f, v in zip(found, [y, *self.read], strict=True)
        ]

    def at(self, outputs: Sequence[Variable], y: Variable, t: Variable, a: Any) -> list[Variable]:
        """Outputs over the inputs of f and the adjoint."""
        mapping = dict(zip([*self.own, *self.inner], [y, t, *self.rest], strict=True))
        return rebuild(outputs, mapping if a is None else {**mapping, self.seed: a})

    def slope(self, state: Variable, t: Variable) -> Variable:
        """Of y, a and the integrals for the inputs, one after the other."""
        n = self.own[0].shape[0]
        y, a = part_of(state, 0, 0, n), part_of(state, 0, n, n)
        (dy,) = self.at(self.op.slopes.outputs, y, t, None)
        back = [-v for v in self.at(self.pulled, y, t, a)]
        flat = [reshape(v, (s,)) for v, s in zip(back[1:], self.sizes, strict=True)]
        return concatenate([dy, back[0], *flat])

    def run(self, g: Variable, y: Variable, t: Variable) -> tuple[Variable, Variable]:
        """The adjoint at t[0] without g[0], and the integrals."""
        n = self.own[0].shape[0]
        none = zeros(y.type.with_shape((n,)))
        sums = [zeros(v.type.with_shape((s,))) for v, s in zip(self.read, self.sizes, strict=True)]
        total = concatenate(sums) if sums else none[:0]

        def back(
            yi: Variable, gi: Variable, late: Variable, early: Variable, a: Variable, sums: Variable
        ) -> list[Variable]:
            start = concatenate([yi, a + gi, *([sums * 0] if self.sizes else [])])
            ends = stack([late, early])
            rows = adaptive(self.slope, start, ends, self.op.rtol, self.op.atol, self.op.max_steps)
            last = rows[1]
            own = part_of(last, 0, n, n)
            if not self.sizes:
                return [own, sums]
            return [own, sums + part_of(last, 0, as_size(as_expr(n) * 2), sums.shape[0])]

        rows = [flip(v, 0) for v in (y[1:], g[1:], t[1:], t[:-1])]
        a, sums = scan(back, rows, [none, total])
        # without an interval nothing comes back
        return _last(a, none), _last(sums, total)

    def times(self, g: Variable, y: Variable, t: Variable, a: Variable) -> Variable:
        """The cotangent of t: each row moves along its slope, all of them against that of t[0]."""
        outputs = self.op.slopes.outputs
        slopes = scan(lambda yi, ti: self.at(outputs, yi, ti, None)[0], [y, t])
        along = reductions.sum(g * slopes, axis=1)
        first = expand_dims(-dot(a, slopes[0]), 0)
        return concatenate([first, along[1:]])

    def split(self, sums: Variable) -> list[Variable]:
        """The integrals in the shapes of the inputs."""
        found, start = [], as_expr(0)
        for v, s in zip(self.read, self.sizes, strict=True):
            found.append(reshape(part_of(sums, 0, as_size(start), s), v.shape))
            start = start + s
        return found


def _last(rows: Variable, start: Variable) -> Variable:
    return concatenate([expand_dims(start, 0), rows])[-1]


def adaptive(
    f: Slope, y0: Variable, t: Variable, rtol: float, atol: float, max_steps: int
) -> Variable:
    """The rows of the solution at the times t, with their derivatives."""
    own = [Input(y0.type, "y"), Input(t.type.with_shape(()), "t")]
    problem = traced(own, [f(*own)])
    rows = _integrated(problem.loose(), *frozen([y0, t]), rtol, atol, max_steps)
    op = Trajectory(
        slopes=problem.graph(*problem.outputs), rtol=rtol, atol=atol, max_steps=max_steps
    )
    return op(rows, y0, t, *problem.captured)  # type: ignore[no-any-return]


# the loop -----------------------------------------------------------------------------------------


def _integrated(
    problem: Traced, y0: Variable, t: Variable, rtol: float, atol: float, max_steps: int
) -> Variable:
    def f(y: Variable, t: Variable) -> Variable:
        return problem.at([y, t], problem.outputs)[0]

    def size(e: Variable, y: Variable, z: Variable) -> Variable:
        """The norm in which errors are measured (Hairer, Norsett, Wanner, Solving Ordinary
        Differential Equations I, 1993, II.4.11)."""
        scaled = e / (atol + rtol * maximum(absolute(y), absolute(z)))
        return sqrt(moments.mean(scaled * scaled))

    def advance(
        t1: Variable, t0: Variable, y: Variable, k: Variable, h: Variable
    ) -> list[Variable]:
        forth = where(t1 >= t0, 1.0, -1.0).astype(h.dtype)

        def step(s: Any) -> Any:
            t, y, k, h, count = s
            left = absolute(t1 - t)
            last = h >= left * (1 - 1e-6)
            used = forth * minimum(h, left)
            slopes = stages(DOPRI5, f, y, t, used, k)
            new = y + used * combined(DOPRI5.weights, slopes)
            end = f(new, where(last, t1, t + used))
            error = size(used * combined(DOPRI5_ERROR, [*slopes, end]), y, new)
            fine = logical_and(error <= 1, isfinite(error))
            factor = clip(SAFETY * maximum(error, 1e-10) ** -0.2, LEAST, MOST)
            factor = where(isfinite(error), factor, LEAST)
            grown = where(logical_and(fine, last), maximum(h, absolute(used) * factor),
                          absolute(used) * factor)  # fmt: skip
            t = where(fine, where(last, t1, t + used), t)
            return t, where(fine, new, y), where(fine, end, k), grown, count + 1

        begin = (t0, y, k, h, 0)
        t, y, k, h, _ = while_loop(lambda s: logical_and(s[0] != t1, s[4] < max_steps), step, begin)
        y = assert_(y, t == t1, f"odeint: more than {max_steps} steps between two times")
        return [y, k, h]

    k0 = f(y0, t[0])
    h0 = _first_step(f, size, y0, t, k0)
    rows, _, _ = scan(advance, [t[1:], t[:-1]], [y0, k0, h0])
    return concatenate([expand_dims(y0, 0), rows])


def _first_step(f: Slope, size: Any, y: Variable, t: Variable, k: Variable) -> Variable:
    """A step whose error is likely to be allowed (Hairer, Norsett, Wanner, II.4)."""
    forth = where(t[-1] >= t[0], 1.0, -1.0).astype(y.dtype)
    d0, d1 = size(y, y, y), size(k, y, y)
    small = logical_and(d0 > 1e-5, d1 > 1e-5)
    h = where(small, 0.01 * d0 / where(small, d1, 1), 1e-6)
    d2 = size(f(y + forth * h * k, t[0] + forth * h) - k, y, y) / h
    d = maximum(d1, d2)
    other = where(d > 1e-15, (0.01 / maximum(d, 1e-15)) ** 0.2, maximum(1e-6, h * 1e-3))
    found = minimum(100 * h, other)
    tiny = float(np.finfo(y.dtype).tiny)
    return where(logical_and(isfinite(found), logical_not(found < tiny)), found, 1e-6)


# tangents and batches -----------------------------------------------------------------------------


def _tangents(node: Apply, moved: Sequence[Variable | None]) -> Sequence[Variable | None]:
    """Forward derivatives: the equation of the tangents beside that of the values."""
    return [_tangent(node.op, node.outputs[0], node.inputs, moved)]


def _tangent(
    op: Any, value: Variable, inputs: Sequence[Variable], moved: Sequence[Variable | None]
) -> Variable:
    if op.batched:
        flags = op.batched[-1]
        single = op.replace(batched=op.batched[:-1])
        places = [k for k, d in enumerate(moved) if d is not None]

        def one(value: Variable, *rest: Variable) -> Variable:
            known = dict(zip(places, rest[len(flags) :], strict=True))
            moved = [known.get(k) for k in range(len(flags))]
            return _tangent(single, value, rest[: len(flags)], moved)

        axes = [0 if f else None for f in flags]
        given = [*inputs, *(moved[k] for k in places)]
        return vmap(one, (0, *axes, *(axes[k] for k in places)))(value, *given)  # type: ignore[no-any-return]
    _, y0, t, *rest = inputs
    y, time, *inner = op.slopes.inputs
    (dy,) = op.slopes.outputs
    along = Input(y.type)
    tangents: dict[Variable, Variable] = {y: along}
    mapping: dict[Variable, Variable] = dict(zip(inner, rest, strict=True))
    for v, d in zip(inner, moved[3:], strict=True):
        if d is not None:
            tangents[v] = Input(v.type)
            mapping[tangents[v]] = d
    (ddy,) = forward.forward_pass([dy], tangents)
    ddy = zeros(dy.type) if ddy is None else ddy
    n = y.shape[0]

    def slope(state: Variable, now: Variable) -> Variable:
        here = {y: part_of(state, 0, 0, n), along: part_of(state, 0, n, n), time: now}
        return concatenate(rebuild([dy, ddy], {**mapping, **here}))

    start = zeros(y0.type) if moved[1] is None else moved[1]
    dt = moved[2]
    if dt is not None:
        (first,) = rebuild([dy], {**mapping, y: y0, time: t[0]})
        start = start - dt[0] * first
    rows = adaptive(slope, concatenate([y0, start]), t, op.rtol, op.atol, op.max_steps)
    found = part_of(rows, 1, n, n)  # the second half
    if dt is not None:
        pairs = [value, t]
        slopes = scan(lambda yi, ti: rebuild([dy], {**mapping, y: yi, time: ti})[0], pairs)
        found = found + expand_dims(dt, 1) * slopes
    return found


forward._RULES["trajectory"] = _tangents
rule("trajectory")(tied_batch)
