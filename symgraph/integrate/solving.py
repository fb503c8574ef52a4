"""odeint: the solution of an ordinary differential equation at given times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError
from symgraph.integrate.adaptive import adaptive
from symgraph.integrate.tableaus import FIXED, Slope, Tableau, combined, stages
from symgraph.ir.graph import Variable
from symgraph.ops.cast import to_dtype
from symgraph.ops.joining import concatenate, part_of
from symgraph.ops.looping import fori_loop
from symgraph.ops.operands import as_variable
from symgraph.ops.scanning import scan
from symgraph.ops.shape import expand_dims, reshape
from symgraph.optimize.problem import Flat
from symgraph.scalar import as_expr, as_size


def odeint(
    fn: Callable[..., Any], y0: Any, t: Any, args: Sequence[Any] = (), method: str = "dopri5",
    rtol: float = 1e-6, atol: float = 1e-9, max_steps: int = 10_000, substeps: int = 1,
    checkpoint: int | bool = True,
) -> Any:  # fmt: skip
    """The solution of dy/dt = ``fn(y, t, *args)`` with y = y0 at ``t[0]``: for each time of the
    vector t a row, the first being y0. y is a tensor or a nest of tensors; fn gives its structure
    and shapes. Times rise or fall.

    ``method``:

    * "dopri5" chooses steps so that the error of each is about atol + rtol * |y| (Dormand and
      Prince, 1980). More than ``max_steps`` of them between two times, as for a stiff equation or a
      solution that becomes infinite, raise AssertionFailed at this line.
      Gradients solve the adjoint equation back in time (Pontryagin 1962; Chen et al., "Neural
      ordinary differential equations", 2018), beginning anew from each row: memory does not grow
      with the number of steps, and gradients have errors of the size of the tolerances. Forward
      derivatives solve the equation of the tangents.
    * "rk4", "midpoint", "heun", "euler" take ``substeps`` equal steps between two times. Their
      derivatives are those of the steps themselves, exact for the discrete solution; ``checkpoint``
      keeps the states of only some intervals for gradients, as for :func:`scan`.

    y0, t, args and all that fn reads have derivatives of any order, in both directions.

    >>> import symgraph as sg
    >>> k = sg.scalar("k")
    >>> y = sg.integrate.odeint(lambda y, t: -k * y, 1.0, [0.0, 1.0, 2.0])
    >>> f = sg.compile([k], [y, sg.grad(y[2], k)])
    >>> [v.round(4).tolist() for v in f(0.5)]
    [[1.0, 0.6065, 0.3679], -0.7358]
    """
    flat = Flat("odeint", y0)
    times = as_variable(t)
    if times.ndim != 1:
        raise RankError(f"odeint: t is a vector of times, not {times.type.text()}")
    if not dtypes.is_float(times.dtype) or times.dtype != flat.dtype:
        times = to_dtype(times, flat.dtype)

    def slope(y: Variable, t: Variable) -> Variable:
        return to_dtype(flat.like(fn(flat.nest(y), t, *args), "fn(y, t)"), flat.dtype)

    start = flat.vector()
    if method == "dopri5":
        rows = adaptive(slope, start, times, float(rtol), float(atol), int(max_steps))
    elif method in FIXED:
        rows = _fixed(FIXED[method], slope, start, times, int(substeps), checkpoint)
    else:
        known = ", ".join(["dopri5", *FIXED])
        raise ArgumentError(f"odeint: unknown method {method!r}", hint=f"known are {known}")
    return _as_nest(flat, rows)


def _fixed(
    table: Tableau, f: Slope, start: Variable, times: Variable, substeps: int, checkpoint: Any
) -> Variable:
    """Steps of equal length between two times."""

    def interval(t1: Variable, t0: Variable, y: Variable) -> Variable:
        h = (t1 - t0) / substeps

        def step(k: Any, y: Variable) -> Variable:
            return y + h * combined(table.weights, stages(table, f, y, t0 + k * h, h))

        if substeps == 1:
            return step(0, y)
        return fori_loop(0, substeps, lambda k, y: step(to_dtype(k, y.dtype), y), y)

    rows = scan(interval, [times[1:], times[:-1]], [start], checkpoint=checkpoint)
    return concatenate([expand_dims(start, 0), rows])


def _as_nest(flat: Flat, rows: Variable) -> Any:
    """Rows of vectors as a nest whose leaves have the times in front."""
    count = rows.shape[0]
    parts, start = [], as_expr(0)
    for v, s in zip(flat.leaves, flat.sizes, strict=True):
        parts.append(reshape(part_of(rows, 1, as_size(start), s), (count, *v.shape)))
        start = start + s
    return flat.pack(parts)
