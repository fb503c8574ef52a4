"""Neighbours compared: diff, ediff1d, gradient, trapezoid, interp."""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.types import normalize_axis
from symgraph.ops import reductions
from symgraph.ops.arithmetic import clip, remainder
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.comparison import equal, isnan, not_equal, where
from symgraph.ops.indexing import take
from symgraph.ops.joining import concatenate, part_of
from symgraph.ops.operands import as_variable, promotable
from symgraph.ops.shape import as_int, broadcast_to, expand_dims, normalize_axes, ravel
from symgraph.ops.sorting import argsort, searchsorted
from symgraph.scalar import as_expr, as_size

__all__ = ["diff", "ediff1d", "gradient", "interp", "trapezoid"]


def _part(x: Variable, axis: int, start: Any, stop: Any, step: Any = None) -> Variable:
    return x[(slice(None),) * axis + (slice(start, stop, step),)]  # type: ignore[no-any-return]


def diff(x: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Variable:
    """The differences of neighbours along ``axis``, ``n`` times; for bools whether they differ.
    ``prepend`` and ``append`` are joined to x first (numbers fill one place).

    Raises ArgumentError for a negative ``n``, RankError without axes.

    >>> import symgraph as sg
    >>> sg.diff([1, 4, 9, 16]).eval().tolist(), sg.diff([1, 4, 9, 16], 2).eval().tolist()
    ([3, 5, 7], [2, 2])
    """
    x = as_variable(x)
    if as_int(n, "diff: n") < 0:
        raise ArgumentError(f"diff: n is not negative, got {n}")
    if x.ndim == 0:
        raise RankError("diff needs an axis")
    axis = normalize_axis(axis, x.ndim, "diff: axis")
    if n == 0:
        return x
    parts = [_wall(prepend, x, axis), x, _wall(append, x, axis)]
    x = concatenate([p for p in parts if p is not None], axis)
    for _ in range(n):
        later, earlier = _part(x, axis, 1, None), _part(x, axis, None, -1)
        x = not_equal(later, earlier) if x.dtype == "bool" else later - earlier
    return x


def _wall(value: Any, x: Variable, axis: int) -> Variable | None:
    if value is None:
        return None
    wall = as_variable(value)
    if wall.ndim == 0:
        wall = broadcast_to(wall, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    return wall


def ediff1d(x: Any, to_end: Any = None, to_begin: Any = None) -> Variable:
    """The differences of neighbours of the flattened x, with the given numbers before and behind.

    >>> import symgraph as sg
    >>> sg.ediff1d([1, 2, 4], to_begin=-9).eval().tolist()
    [-9, 1, 2]
    """
    x = ravel(as_variable(x))
    if x.dtype == "bool":
        raise ArgumentError("ediff1d: bools have no differences")
    parts = [to_begin, x[1:] - x[:-1], to_end]
    walls = [ravel(to_dtype(p, x.dtype)) for p in parts if p is not None]
    return concatenate(walls) if len(walls) > 1 else walls[0]


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Variable:
    """The integral of samples y along ``axis`` by the trapezoidal rule, over the points x or with
    the spacing ``dx``.

    >>> import symgraph as sg
    >>> sg.trapezoid([1, 2, 3]).eval().tolist(), sg.trapezoid([1, 2, 3], [4, 6, 8]).eval().tolist()
    (4.0, 8.0)
    """
    y = as_variable(y)
    axis = normalize_axis(axis, y.ndim, "trapezoid: axis")
    gaps = dx
    if x is not None:
        points = as_variable(x)
        if points.ndim == 1:
            gaps = diff(points)
            gaps = expand_dims(gaps, tuple(k for k in range(y.ndim) if k != axis))
        else:
            gaps = diff(points, axis=axis)
    sums = _part(y, axis, 1, None) + _part(y, axis, None, -1)
    return reductions.sum(gaps * sums / 2.0, axis)


# numerical derivatives ----------------------------------------------------------------------------


def gradient(x: Any, *spacing: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """The derivative of samples along each axis (a list if there are several): central differences
    inside, one-sided ones of ``edge_order`` 1 or 2 at both ends. ``spacing`` is one number for all
    axes, one for each, or the vector of the coordinates.

    This is ``np.gradient``; the derivatives of functions are sg.grad. Second-order formulas for
    uneven spacing as NumPy's: A. Quarteroni et al., Numerical Mathematics, 2007, 10.10.

    >>> import symgraph as sg
    >>> sg.gradient([1.0, 2.0, 4.0, 7.0]).eval().tolist()
    [1.0, 1.5, 2.5, 3.0]
    """
    x = as_variable(x)
    x = x if dtypes.is_inexact(x.dtype) else cast(x, "float64")
    axes = tuple(range(x.ndim)) if axis is None else normalize_axes(axis, x.ndim, "gradient")
    if edge_order not in (1, 2):
        raise ArgumentError("gradient: edge_order is 1 or 2")
    steps = list(spacing) or [1.0]
    if len(steps) == 1 and as_variable(steps[0]).ndim == 0:
        steps *= len(axes)
    if len(steps) != len(axes):
        raise ArgumentError(f"gradient: {len(steps)} spacings for {len(axes)} axes")
    found = [_slope(x, h, k, edge_order) for h, k in zip(steps, axes, strict=True)]
    return found[0] if len(found) == 1 else found


def _slope(x: Variable, spacing: Any, axis: int, order: int) -> Variable:
    n = x.shape[axis]
    if isinstance(n, int) and n < order + 1:
        raise ShapeError(f"gradient: axis {axis} has {n} elements, {order + 1} are needed")
    plain = isinstance(spacing, int | float)  # a Python number takes the precision of x
    h = to_dtype(spacing, dtypes.real_of(x.dtype)) if plain else as_variable(spacing)
    inside = as_size(as_expr(n) - 2)
    left, middle, right = (part_of(x, axis, k, inside) for k in range(3))
    if h.ndim == 0:
        inner = (right - left) / (2.0 * h)
        gaps: list[Any] = [h, h, h, h]
    else:
        if h.ndim != 1:
            raise RankError(f"gradient: coordinates are a vector, not of {h.ndim} dimensions")
        m = as_expr(h.shape[0])
        if isinstance(n, int) and isinstance(h.shape[0], int) and n != h.shape[0]:
            what = f"gradient: {h.shape[0]} coordinates for axis {axis} of {n} elements"
            raise ShapeError(what)
        h = broadcast_to(cast(h, x.dtype), (n,))  # as many as there are elements
        step = part_of(h, 0, 1, as_size(m - 1)) - part_of(h, 0, 0, as_size(m - 1))
        step = expand_dims(step, tuple(k for k in range(x.ndim) if k != axis))
        before, after = (part_of(step, axis, k, inside) for k in (0, 1))
        inner = _uneven(left, middle, right, before, after)
        places = [0, 1, as_size(m - 3), as_size(m - 2)] if order == 2 else [0, 0, 0, as_size(m - 2)]
        gaps = [part_of(step, axis, k, 1) for k in places]
    first, last = _ends(x, axis, order, gaps)
    return concatenate([first, inner, last], axis)


def _uneven(a: Variable, b: Variable, c: Variable, left: Variable, right: Variable) -> Variable:
    """The slope of the parabola through three points at the middle one."""
    whole = left + right
    outer = left / (right * whole) * c - right / (left * whole) * a
    return outer + (right - left) / (left * right) * b


def _ends(x: Variable, axis: int, order: int, gaps: list[Any]) -> tuple[Variable, Variable]:
    n = as_expr(x.shape[axis])
    rows = [part_of(x, axis, k, 1) for k in range(order + 1)]
    tail = [part_of(x, axis, as_size(n - 1 - k), 1) for k in range(order + 1)]
    if order == 1:
        return (rows[1] - rows[0]) / gaps[0], (tail[0] - tail[1]) / gaps[3]
    return _edge(rows, gaps[0], gaps[1]), -_edge(tail, gaps[3], gaps[2])


def _edge(rows: list[Variable], near: Any, far: Any) -> Variable:
    """The slope of the parabola through three points at the first one."""
    whole = near + far
    first = -(2.0 * near + far) / (near * whole) * rows[0]
    return first + whole / (near * far) * rows[1] - near / (far * whole) * rows[2]


# interpolation ------------------------------------------------------------------------------------


def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Variable:
    """The piecewise linear function through the points (xp, fp), xp ascending, at x; outside it is
    ``left`` and ``right``, by default the first and last of fp. With a ``period`` both x and xp
    are taken modulo it. Has derivatives by x, xp and fp.

    >>> import symgraph as sg
    >>> sg.interp([0.5, 2.0, 9.0], [1.0, 2.0, 3.0], [3.0, 2.0, 0.0]).eval().tolist()
    [3.0, 2.0, 0.0]
    """
    dtype = dtypes.promote(*(promotable(v) for v in (x, xp, fp)), float)
    at, points, values = (to_dtype(v, dtype) for v in (x, xp, fp))
    if points.ndim != 1 or values.ndim != 1:
        raise RankError("interp: xp and fp are vectors")
    if period is not None:
        at, points, values = _periodic(at, points, values, to_dtype(period, dtype))
        left = right = None
    n = points.shape[0]
    if isinstance(n, int) and n == 0:
        raise ShapeError("interp: there are no points")
    place = searchsorted(points, at, "right") - 1
    last = as_variable(as_size(as_expr(n) - 1))
    low = clip(place, 0, last)
    high = clip(place + 1, 0, last)
    x0, x1, y0, y1 = (take(v, k) for v in (points, values) for k in (low, high))
    gap = x1 - x0
    slope = (y1 - y0) / where(equal(gap, 0), 1, gap)
    inside = where(equal(at, x0), y0, y0 + slope * (at - x0))
    below = values[0] if left is None else to_dtype(left, dtype)
    above = values[-1] if right is None else to_dtype(right, dtype)
    found = where(at < points[0], below, where(at > points[-1], above, inside))
    return where(isnan(at), at, found)


def _periodic(x: Variable, xp: Variable, fp: Variable, period: Variable) -> tuple[Variable, ...]:
    period = period * 1.0
    x, xp = remainder(x, period), remainder(xp, period)
    order = argsort(xp)
    xp, fp = take(xp, order), take(fp, order)
    xp = concatenate([xp[-1:] - period, xp, xp[:1] + period])
    return x, xp, concatenate([fp[-1:], fp, fp[:1]])
