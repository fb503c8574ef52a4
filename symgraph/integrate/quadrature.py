"""Integrals of functions and of samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.batching.vectorize import vmap
from symgraph.errors import ArgumentError, ShapeError
from symgraph.ir.graph import Variable, constant
from symgraph.ir.types import normalize_axis
from symgraph.ops import reductions
from symgraph.ops.cast import to_dtype
from symgraph.ops.cumulative import cumsum
from symgraph.ops.differences import diff, trapezoid
from symgraph.ops.joining import concatenate
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import broadcast_to, moveaxis

__all__ = ["cumulative_trapezoid", "fixed_quad", "simpson", "trapezoid"]


def _samples(y: Any, x: Any, dx: Any, axis: int, what: str) -> tuple[Variable, Variable, int]:
    """The samples with their axis last, the gaps between them, and the axis."""
    y = as_variable(y)
    y = y if dtypes.is_inexact(y.dtype) else to_dtype(y, "float64")
    axis = normalize_axis(axis, y.ndim, f"{what}: axis")
    rows = moveaxis(y, axis, -1)
    shape = (*rows.shape[:-1], diff(rows).shape[-1])
    if x is None:
        return rows, broadcast_to(to_dtype(as_variable(dx), y.dtype), shape), axis
    points = as_variable(x)
    gaps = diff(points if points.ndim == 1 else moveaxis(points, axis, -1))
    return rows, broadcast_to(to_dtype(gaps, y.dtype), shape), axis


def cumulative_trapezoid(
    y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1, initial: Any = None
) -> Variable:
    """The integrals of samples y from the first to each of the others, by the trapezoidal rule,
    over the points x or with the spacing ``dx``; ``initial`` (0) is put in front if it is given.

    >>> import symgraph as sg
    >>> sg.integrate.cumulative_trapezoid([1.0, 2.0, 3.0], initial=0).eval().tolist()
    [0.0, 1.5, 4.0]
    """
    rows, gaps, axis = _samples(y, x, dx, axis, "cumulative_trapezoid")
    sums = cumsum(gaps * (rows[..., 1:] + rows[..., :-1]) / 2, axis=-1)
    if initial is not None:
        first = broadcast_to(to_dtype(as_variable(initial), sums.dtype), (*sums.shape[:-1], 1))
        sums = concatenate([first, sums], axis=-1)
    return moveaxis(sums, -1, axis)


def simpson(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Variable:
    """The integral of samples y by Simpson's rule, over the points x or with the spacing ``dx``.
    For an even number of samples the last gap is integrated by the parabola through the last three
    (Cartwright, "Simpson's rule cumulative integration with MS Excel and irregularly-spaced data",
    2017), as in SciPy. Raises ShapeError where the number of samples is not known.

    >>> import symgraph as sg
    >>> sg.integrate.simpson([0.0, 1.0, 4.0, 9.0]).eval().round(9).item()
    9.0
    """
    rows, h, _ = _samples(y, x, dx, axis, "simpson")
    n = rows.shape[-1]
    if not isinstance(n, int):
        raise ShapeError(
            f"simpson: the rule differs for even and odd numbers of samples, here {n}",
            hint="sg.specify_shape tells the number",
        )
    if n < 3:
        return reductions.sum(h * (rows[..., 1:] + rows[..., :-1]) / 2, -1)
    pairs = (n - 1) // 2 * 2
    a, b = h[..., 0:pairs:2], h[..., 1:pairs:2]
    left, middle, right = rows[..., 0:pairs:2], rows[..., 1:pairs:2], rows[..., 2 : pairs + 1 : 2]
    parts = left * (2 - b / a) + middle * ((a + b) ** 2 / (a * b)) + right * (2 - a / b)
    total = reductions.sum(parts * (a + b) / 6, -1)
    if n % 2 == 0:
        a, b = h[..., -2], h[..., -1]
        total = total + rows[..., -1] * ((2 * b**2 + 3 * a * b) / (6 * (a + b)))
        total = total + rows[..., -2] * ((b**2 + 3 * a * b) / (6 * a))
        total = total - rows[..., -3] * (b**3 / (6 * a * (a + b)))
    return total  # type: ignore[no-any-return]


def fixed_quad(
    fn: Callable[..., Any], a: Any, b: Any, args: Sequence[Any] = (), n: int = 20
) -> Variable:
    """The integral of ``fn(x, *args)`` over x from a to b by the rule of Gauss and Legendre with
    ``n`` points, exact for polynomials below degree 2 n. fn is a function of a scalar; it may give
    a tensor. a, b and all that fn reads have derivatives.

    >>> import symgraph as sg
    >>> b = sg.scalar("b")
    >>> area = sg.integrate.fixed_quad(lambda x: sg.exp(-x * x), 0.0, b)
    >>> [v.round(6).item() for v in sg.compile([b], [area, sg.grad(area, b)])(1.0)]
    [0.746824, 0.367879]
    """
    if n < 1:
        raise ArgumentError(f"fixed_quad: n is a positive number of points, not {n}")
    ends = [as_variable(v) for v in (a, b)]
    dtype = dtypes.promote(*(v.dtype for v in ends))
    dtype = dtype if dtypes.is_float(dtype) else "float64"
    low, high = (to_dtype(v, dtype) for v in ends)
    points, weights = (constant(v.astype(dtype)) for v in np.polynomial.legendre.leggauss(n))
    half = 0.5 * (high - low)
    values = vmap(lambda x: fn(x, *args))(0.5 * (high + low) + half * points)
    values = moveaxis(as_variable(values), 0, -1)
    return reductions.sum(values * to_dtype(weights, values.dtype), -1) * half
