"""Windows of images taken apart into rows or columns, and put together again."""

from __future__ import annotations

from typing import Any

from symgraph.errors import ArgumentError, RankError
from symgraph.ir.graph import Variable
from symgraph.ir.types import TensorType
from symgraph.ops.convolution import named
from symgraph.ops.creation import iota
from symgraph.ops.gathering import scatter
from symgraph.ops.operands import as_variable
from symgraph.ops.pooling_ops import Patches, PatchesSum
from symgraph.ops.shape import as_int, as_shape, reshape, transpose
from symgraph.ops.slicing import zeros
from symgraph.ops.window_grids import grid_of, spatial_axes
from symgraph.scalar import as_expr, as_size, product

__all__ = ["fold", "images2neibs", "max_unpool", "neibs2images", "unfold"]


def max_unpool(x: Any, indices: Any, sizes: Any, layout: str = "NCHW") -> Variable:
    """The values of a :func:`max_pool` back at their places in images of these spatial ``sizes``,
    0 elsewhere; values for the same place add up.

    >>> import symgraph as sg
    >>> x, places = sg.nn.max_pool([[[1.0, 5.0, 2.0, 4.0]]], 2, return_indices=True)
    >>> sg.nn.max_unpool(x, places, 4).eval().tolist()
    [[[0.0, 5.0, 0.0, 4.0]]]
    """
    x, indices = as_variable(x), as_variable(indices)
    axes = spatial_axes("max_unpool", x, layout)
    goal = as_shape(sizes, "max_unpool")
    goal = goal * len(axes) if len(goal) == 1 else goal
    if len(goal) != len(axes):
        raise ArgumentError(f"max_unpool: {len(goal)} sizes for {len(axes)} spatial axes")
    first, last = axes[0], axes[-1]
    flat = (*x.shape[:first], product(tuple(x.shape[a] for a in axes)), *x.shape[last + 1 :])
    values, places = reshape(x, flat), reshape(indices, flat)
    whole = (*flat[:first], product(goal), *flat[first + 1 :])
    at = [places if k == first else iota(n, 3, k) for k, n in enumerate(flat)]
    empty = zeros(TensorType(x.dtype, whole))
    out = scatter("add", tuple(range(len(flat))), empty, values, at)
    return reshape(out, (*x.shape[:first], *goal, *x.shape[last + 1 :]))


def unfold(
    x: Any, window: Any, stride: Any = 1, padding: Any = "valid", dilation: Any = 1
) -> Variable:
    """im2col: the windows of images (batch, channels, *sizes) as columns, of shape (batch,
    channels * elements of a window, windows).

    >>> import symgraph as sg
    >>> sg.nn.unfold([[[1.0, 2.0, 3.0]]], 2).eval().tolist()
    [[[1.0, 2.0], [2.0, 3.0]]]
    """
    x = as_variable(x)
    axes = spatial_axes("unfold", x, "NCHW")
    grid = grid_of("unfold", x, axes, window, stride, padding, dilation, False)
    p = Patches(*grid.fields)(x)
    d = len(axes)
    order = (0, 1, *range(2 + d, 2 + 2 * d), *range(2, 2 + d))
    inner = as_size(as_expr(x.shape[1]) * as_expr(product(grid.size)))
    return reshape(transpose(p, order), (x.shape[0], inner, product(grid.counts)))


def fold(
    x: Any, sizes: Any, window: Any, stride: Any = 1, padding: Any = "valid", dilation: Any = 1
) -> Variable:
    """col2im: images of these spatial ``sizes`` from the columns of :func:`unfold`, what stands for
    the same element added up.

    >>> import symgraph as sg
    >>> sg.nn.fold([[[1.0, 2.0], [2.0, 3.0]]], (3,), 2).eval().tolist()
    [[[1.0, 4.0, 3.0]]]
    """
    x = as_variable(x)
    if x.ndim != 3:
        raise RankError(f"fold: columns have 3 axes, not {x.ndim}", operands=[named(x)])
    goal = as_shape(sizes, "fold")
    d = len(goal)
    ghost = zeros(TensorType(x.dtype, (x.shape[0], 1, *goal)))
    grid = grid_of("fold", ghost, tuple(range(2, 2 + d)), window, stride, padding, dilation, False)
    channels = as_size(as_expr(x.shape[1]) // as_expr(product(grid.size)))
    p = reshape(x, (x.shape[0], channels, *grid.size, *grid.counts))
    order = (0, 1, *range(2 + d, 2 + 2 * d), *range(2, 2 + d))
    return PatchesSum(*grid.fields, goal)(transpose(p, order))  # type: ignore[no-any-return]


def images2neibs(x: Any, neib_shape: Any, neib_step: Any = None, mode: str = "valid") -> Variable:
    """Theano's images2neibs: every window of ``neib_shape`` of images (batch, channels, height,
    width) as a row of a matrix; ``neib_step`` is the stride, the window when not given.

    ``mode`` "valid" and "ignore_borders" leave out what does not fill a window, "half" and "full"
    pad by zeros.

    >>> import symgraph as sg
    >>> sg.nn.images2neibs([[[[1, 2], [3, 4]]]], (1, 2)).eval().tolist()
    [[1, 2], [3, 4]]
    """
    x = as_variable(x)
    if x.ndim != 4:
        raise RankError(f"images2neibs: images have 4 axes, not {x.ndim}", operands=[named(x)])
    window = as_shape(neib_shape, "images2neibs")
    word = "valid" if mode == "ignore_borders" else mode
    grid = grid_of("images2neibs", x, (2, 3), window, neib_step, word, 1, False)
    p = Patches(*grid.fields)(x)
    rows = as_size(as_expr(product(x.shape[:2])) * as_expr(product(grid.counts)))
    return reshape(p, (rows, product(grid.size)))


def neibs2images(neibs: Any, neib_shape: Any, original_shape: Any) -> Variable:
    """The images of this shape from the rows of :func:`images2neibs` without overlap; what the
    windows left out is 0.

    >>> import symgraph as sg
    >>> sg.nn.neibs2images([[1, 2], [3, 4]], (1, 2), (1, 1, 2, 2)).eval().tolist()
    [[[[1, 2], [3, 4]]]]
    """
    neibs = as_variable(neibs)
    window, whole = as_shape(neib_shape, "neibs2images"), as_shape(original_shape, "neibs2images")
    if len(window) != 2 or len(whole) != 4:
        raise ArgumentError("neibs2images: a window of 2 and images of 4 axes are wanted")
    counts = tuple(as_size(as_expr(n) // k) for n, k in zip(whole[2:], window, strict=True))
    p = reshape(neibs, (*whole[:2], *counts, *window))
    steps = tuple(as_int(k, "neibs2images: neib_shape") for k in window)
    op = PatchesSum((2, 3), window, steps, (0, 0), (1, 1), counts, whole[2:])
    return op(p)  # type: ignore[no-any-return]
