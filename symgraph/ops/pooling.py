"""Pooling: sums, means and extremes of windows of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError
from symgraph.ir.graph import Variable
from symgraph.ir.types import Shape, Size
from symgraph.ops import moments, reductions
from symgraph.ops.arithmetic import absolute, maximum, minimum
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.comparison import greater_equal, less, logical_and, where
from symgraph.ops.complex_numbers import refuse_complex
from symgraph.ops.convolution import paddings
from symgraph.ops.convolution_ops import reach
from symgraph.ops.creation import iota
from symgraph.ops.gathering import TakeAlongAxis
from symgraph.ops.matrix import matmul
from symgraph.ops.operands import as_variable
from symgraph.ops.pooling_ops import Patches, Pool, PoolPosition
from symgraph.ops.shape import as_shape, expand_dims, moveaxis, transpose
from symgraph.ops.window_grids import Grid, grid_of, spatial_axes
from symgraph.scalar import as_expr, as_size, product
from symgraph.scalar.sizes import nonnegative

__all__ = [
    "adaptive_avg_pool", "adaptive_max_pool", "avg_pool", "global_avg_pool", "global_max_pool",
    "lp_pool", "max_pool", "reduce_window",
]  # fmt: skip


# sums and extremes --------------------------------------------------------------------------------


def max_pool(
    x: Any, window: Any, stride: Any = None, padding: Any = "valid", dilation: Any = 1,
    ceil_mode: bool = False, layout: str = "NCHW", return_indices: bool = False,
) -> Any:  # fmt: skip
    """The greatest element of each window, over all spatial axes of x.

    ``x`` is (batch, channels, *sizes), or (batch, *sizes, channels) with ``layout`` "NHWC";
    ``window``, ``stride`` (the window when not given) and ``dilation`` are one int or one for each
    axis, ``padding`` as for :func:`conv`; padding is never the greatest. In ``ceil_mode`` a last
    window may reach beyond the end. Of equal greatest the first in C order has the whole
    derivative; a NaN wins.

    With ``return_indices`` the pair (values, indices): where the greatest is, as an int64 position
    in the spatial axes of x flattened, for :func:`max_unpool`. Raises RankError, ShapeError for a
    window that does not fit, ArgumentError.

    >>> import symgraph as sg
    >>> x = sg.constant([[[1.0, 5.0, 2.0, 4.0]]])
    >>> sg.nn.max_pool(x, 2).eval().tolist()
    [[[5.0, 4.0]]]
    >>> sg.nn.max_pool(x, 2, return_indices=True)[1].eval().tolist()
    [[[1, 3]]]
    """
    x = as_variable(x)
    refuse_complex(x, "max_pool")
    axes = spatial_axes("max_pool", x, layout)
    grid = grid_of("max_pool", x, axes, window, stride, padding, dilation, ceil_mode)
    values = Pool(*grid.fields, "maximum")(x)
    if not return_indices:
        return values
    return values, _flat_places(PoolPosition(*grid.fields, "maximum")(x), grid, x)


def _flat_places(number: Variable, grid: Grid, x: Variable) -> Variable:
    """Positions in the flattened axes, from the numbers of taps in their windows."""
    place: Variable | None = None
    rest = cast(number, "int64")
    parts = []
    for size in reversed(grid.size[1:]):
        width = as_variable(size)
        parts.append(rest % width)
        rest = rest // width
    taps = [rest, *reversed(parts)]
    rows = zip(grid.axes, taps, grid.stride, grid.before, grid.dilation, strict=True)
    for axis, tap, stride, before, dilation in rows:
        first = iota(number.shape[axis], number.ndim, axis) * stride - as_variable(before)
        here = first + tap * dilation
        place = here if place is None else place * as_variable(x.shape[axis]) + here
    assert place is not None
    return place


def avg_pool(
    x: Any, window: Any, stride: Any = None, padding: Any = "valid", dilation: Any = 1,
    ceil_mode: bool = False, count_include_pad: bool = True, layout: str = "NCHW",
) -> Variable:  # fmt: skip
    """The mean of each window; see :func:`max_pool` for the arguments.

    With ``count_include_pad`` the zeros of the padding count as elements, else the sum is divided
    by the number of elements in x; what a last window in ceil mode has beyond the padding never
    counts. Integers become float64.

    >>> import symgraph as sg
    >>> sg.nn.avg_pool([[[1.0, 3.0, 5.0]]], 2, stride=1).eval().tolist()
    [[[2.0, 4.0]]]
    >>> sg.nn.avg_pool([[[1.0, 3.0]]], 2, padding=1, count_include_pad=False).eval().tolist()
    [[[1.0, 3.0]]]
    """
    x = _floats(x)
    axes = spatial_axes("avg_pool", x, layout)
    grid = grid_of("avg_pool", x, axes, window, stride, padding, dilation, ceil_mode)
    limits = _limits(grid, x, padding, count_include_pad)
    return Pool(*grid.fields, "add")(x) / _sizes(grid, limits, x)


def _floats(x: Any) -> Variable:
    x = as_variable(x)
    return x if dtypes.is_float(x.dtype) else cast(x, "float64")


def _limits(grid: Grid, x: Variable, padding: Any, include: bool) -> list[tuple[Size, Size] | None]:
    """For each axis from where to where elements count, None for everywhere."""
    sizes = tuple(x.shape[a] for a in grid.axes)
    if not include:
        return [(0, n) for n in sizes]
    _, after = paddings(padding, sizes, grid.size, grid.stride, grid.dilation, "avg_pool")
    found: list[tuple[Size, Size] | None] = []
    for n, before, wanted, end in zip(sizes, grid.before, after, grid.after, strict=True):
        beyond = as_size(as_expr(wanted) - end)  # in ceil mode windows reach further
        limit = (as_size(0 - as_expr(before)), as_size(as_expr(n) + wanted))
        found.append(None if nonnegative(beyond) else limit)
    return found


def _sizes(grid: Grid, limits: Sequence[tuple[Size, Size] | None], x: Variable) -> Variable:
    """How many elements of each window count."""
    total: Variable | None = None
    for k, (axis, limit) in enumerate(zip(grid.axes, limits, strict=True)):
        if limit is None or _inside(grid, k, limit):
            count = as_variable(grid.size[k])
        else:
            count = _counted(grid, k, axis, limit, x.ndim)
        total = count if total is None else total * count
    assert total is not None
    return cast(total, x.dtype)


def _inside(grid: Grid, k: int, limit: tuple[Size, Size]) -> bool:
    """Whether all windows lie between the limits."""
    first = as_size(0 - as_expr(grid.before[k]) - limit[0])
    last = (as_expr(grid.counts[k]) - 1) * grid.stride[k] - grid.before[k]
    end = last + reach(grid.size[k], grid.dilation[k])
    return nonnegative(first) and nonnegative(as_size(as_expr(limit[1]) - end))


def _counted(grid: Grid, k: int, axis: int, limit: tuple[Size, Size], ndim: int) -> Variable:
    """The number of taps between the limits, for each window of an axis."""
    begin = iota(grid.counts[k], ndim, axis) * grid.stride[k] - as_variable(grid.before[k])
    low, high = (as_variable(v) for v in limit)
    d = grid.dilation[k]
    first = maximum((low - begin + (d - 1)) // d, 0)  # the first tap that is not before the limit
    last = minimum((high - 1 - begin) // d, as_variable(as_size(as_expr(grid.size[k]) - 1)))
    return maximum(last - first + 1, 1)


def lp_pool(
    x: Any, p: float, window: Any, stride: Any = None, padding: Any = "valid", dilation: Any = 1,
    ceil_mode: bool = False, layout: str = "NCHW",
) -> Variable:  # fmt: skip
    """The p-norm of each window, (sum of ``|x| ** p``) ** (1 / p), for a p above 0.

    >>> import symgraph as sg
    >>> sg.nn.lp_pool([[[3.0, 4.0]]], 2.0, 2).eval().tolist()
    [[[5.0]]]
    """
    if not p > 0:
        raise ArgumentError(f"lp_pool: p is above 0, not {p}")
    x = _floats(x)
    axes = spatial_axes("lp_pool", x, layout)
    grid = grid_of("lp_pool", x, axes, window, stride, padding, dilation, ceil_mode)
    powers = x * x if p == 2 else absolute(x) ** p
    total = Pool(*grid.fields, "add")(powers)
    positive = total > 0  # the root of 0 has no derivative: its windows get none
    return where(positive, where(positive, total, 1) ** (1 / p), 0)


def reduce_window(
    x: Any, combiner: str, window: Any, stride: Any = None, padding: Any = "valid",
    dilation: Any = 1,
) -> Variable:  # fmt: skip
    """The "sum", "mean", "max", "min" or "prod" over windows of all axes of x: one size for each
    axis (1 where there is nothing to reduce), as jax.lax.reduce_window.

    Padding is 0 in sums and means, 1 in products, and never an extreme.

    >>> import symgraph as sg
    >>> sg.nn.reduce_window([[1, 2, 3], [4, 5, 6]], "max", (2, 2), stride=1).eval().tolist()
    [[5, 6]]
    """
    x = as_variable(x)
    axes = tuple(range(x.ndim))
    grid = grid_of("reduce_window", x, axes, window, stride, padding, dilation, False)
    kept = tuple(
        k
        for k, (s, t) in enumerate(zip(grid.size, grid.stride, strict=True))
        if not (s == 1 and t == 1 and grid.before[k] == 0 and grid.after[k] == 0)
    )
    part = Grid(*(tuple(v[k] for k in kept) for v in grid))
    names = {"sum": "add", "mean": "add", "max": "maximum", "min": "minimum"}
    if combiner == "prod":
        inner = tuple(range(x.ndim, x.ndim + len(kept)))
        ones = Patches(*part.fields)(x - 1) + 1 if kept else x
        return reductions.prod(ones, inner, dtype=x.dtype) if kept else x
    if combiner not in names:
        known = ", ".join((*names, "prod"))
        raise ArgumentError(f"reduce_window: unknown combiner {combiner!r}", hint=known)
    x = _floats(x) if combiner == "mean" else x
    y = Pool(*part.fields, names[combiner])(x) if kept else x
    return y / cast(as_variable(product(part.size)), x.dtype) if combiner == "mean" else y


# global and adaptive ------------------------------------------------------------------------------


def global_avg_pool(x: Any, layout: str = "NCHW", keepdims: bool = False) -> Variable:
    """The mean of each channel over all spatial axes.

    >>> import symgraph as sg
    >>> sg.nn.global_avg_pool([[[1.0, 3.0]]]).eval().tolist()
    [[2.0]]
    """
    x = as_variable(x)
    return moments.mean(x, spatial_axes("global_avg_pool", x, layout), keepdims=keepdims)


def global_max_pool(x: Any, layout: str = "NCHW", keepdims: bool = False) -> Variable:
    """The greatest of each channel over all spatial axes; the first of equal ones has the whole
    derivative.

    >>> import symgraph as sg
    >>> sg.nn.global_max_pool([[[1.0, 3.0]]]).eval().tolist()
    [[3.0]]
    """
    x = as_variable(x)
    refuse_complex(x, "global_max_pool")
    axes = spatial_axes("global_max_pool", x, layout)
    ones, zero = (1,) * len(axes), (0,) * len(axes)
    sizes = tuple(x.shape[a] for a in axes)
    y = Pool(axes, sizes, ones, zero, ones, ones, "maximum")(x)
    return y if keepdims else y.squeeze(axes)


def _goals(name: str, output: Any, sizes: Shape) -> Shape:
    given = tuple(output) if isinstance(output, tuple | list) else (output,) * len(sizes)
    if len(given) != len(sizes):
        raise ArgumentError(f"{name}: {len(given)} output sizes for {len(sizes)} spatial axes")
    return tuple(
        n if g is None else as_shape(g, name)[0] for g, n in zip(given, sizes, strict=True)
    )


def _even(n: Size, m: Size) -> bool:
    return isinstance(n, int) and isinstance(m, int) and 0 < m <= n and n % m == 0


def _spans(n: Size, m: Size) -> tuple[Variable, Variable]:
    """Where each of m windows over n elements begins and ends, along the first of two axes."""
    i = iota(m, 2, 0)
    n_, m_ = as_variable(n), as_variable(m)
    return i * n_ // m_, ((i + 1) * n_ + (m_ - 1)) // m_


def adaptive_avg_pool(x: Any, output_size: Any, layout: str = "NCHW") -> Variable:
    """Means of windows chosen such that there are ``output_size`` of them (an int, or one for each
    spatial axis; None keeps the axis): window i of m over n elements is i * n // m up to
    ceil((i + 1) * n / m), as in PyTorch.

    >>> import symgraph as sg
    >>> sg.nn.adaptive_avg_pool([[[1.0, 2.0, 3.0]]], 2).eval().tolist()
    [[[1.5, 2.5]]]
    """
    x = _floats(x)
    axes = spatial_axes("adaptive_avg_pool", x, layout)
    goals = _goals("adaptive_avg_pool", output_size, tuple(x.shape[a] for a in axes))
    if all(_even(x.shape[a], m) for a, m in zip(axes, goals, strict=True)):
        window = [x.shape[a] // m for a, m in zip(axes, goals, strict=True)]  # type: ignore[operator]
        return avg_pool(x, window, layout=layout)
    for a, m in zip(axes, goals, strict=True):
        n = x.shape[a]
        begin, end = _spans(n, m)
        j = iota(n, 2, 1)
        inside = cast(logical_and(greater_equal(j, begin), less(j, end)), x.dtype)
        weights = inside / cast(end - begin, x.dtype)
        x = moveaxis(matmul(moveaxis(x, a, -1), transpose(weights)), -1, a)
    return x


def adaptive_max_pool(
    x: Any, output_size: Any, layout: str = "NCHW", return_indices: bool = False
) -> Any:
    """The greatest of windows as in :func:`adaptive_avg_pool`; derivatives and
    ``return_indices`` as in :func:`max_pool`.

    >>> import symgraph as sg
    >>> sg.nn.adaptive_max_pool([[[1.0, 2.0, 3.0]]], 2).eval().tolist()
    [[[2.0, 3.0]]]
    """
    x = as_variable(x)
    refuse_complex(x, "adaptive_max_pool")
    axes = spatial_axes("adaptive_max_pool", x, layout)
    goals = _goals("adaptive_max_pool", output_size, tuple(x.shape[a] for a in axes))
    if all(_even(x.shape[a], m) for a, m in zip(axes, goals, strict=True)):
        window = [x.shape[a] // m for a, m in zip(axes, goals, strict=True)]  # type: ignore[operator]
        return max_pool(x, window, layout=layout, return_indices=return_indices)
    place: Variable | None = None
    sizes = [x.shape[a] for a in axes]
    below: Size = 1
    for a, m, n in reversed(list(zip(axes, goals, sizes, strict=True))):
        begin, end = _spans(n, m)
        j = iota(n, 2, 1)
        inside = logical_and(greater_equal(j, begin), less(j, end))
        rows = expand_dims(moveaxis(x, a, -1), -2)  # (..., 1, n) against (m, n)
        lowest = to_dtype(_least(x.dtype), x.dtype)
        first = moveaxis(reductions.argmax(where(inside, rows, lowest), -1), -1, a)
        x = TakeAlongAxis(a)(x, first)
        here = first * as_variable(below)
        place = here if place is None else here + TakeAlongAxis(a)(place, first)
        below = as_size(as_expr(below) * n)
    return (x, place) if return_indices else x


def _least(dtype: str) -> Any:
    return -float("inf") if dtypes.is_float(dtype) else dtypes.min_value(dtype)
