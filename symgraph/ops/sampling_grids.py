"""Spatial transformers: images read at a grid of positions (Jaderberg et al., 2015).

Positions are those of PyTorch: -1 and 1 are the edges of the image, or with ``align_corners`` the
centres of its outermost pixels; a grid is [batch, height, width, 2] with x before y.
"""

from __future__ import annotations

from typing import Any

from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.types import Size
from symgraph.ops.activations import as_floats
from symgraph.ops.arithmetic import absolute, clip, floor, maximum, minimum, rint
from symgraph.ops.cast import cast
from symgraph.ops.comparison import greater, greater_equal, less_equal, where
from symgraph.ops.creation import iota, ones_like
from symgraph.ops.indexing import getitem
from symgraph.ops.joining import stack
from symgraph.ops.losses import together
from symgraph.ops.matrix import matmul
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import (
    as_shape,
    broadcast_arrays,
    expand_dims,
    moveaxis,
    reshape,
    swapaxes,
)
from symgraph.scalar import as_expr, as_size

__all__ = ["affine_grid", "grid_sample"]


def affine_grid(theta: Any, size: Any, align_corners: bool = False) -> Variable:
    """The grid that an affine map reads at: [batch, height, width, 2] from matrices ``theta``
    [batch, 2, 3] and the ``size`` (height, width) of the result. Raises RankError.

    >>> import symgraph as sg
    >>> sg.nn.affine_grid([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]], (1, 2)).eval().tolist()
    [[[[-0.5, 0.0], [0.5, 0.0]]]]
    """
    theta = as_floats(theta)
    if theta.ndim != 3:
        raise RankError(f"affine_grid: theta is [batch, 2, 3], not {theta.type.text()}")
    height, width = as_shape(size, "affine_grid: size")
    y = _line(height, align_corners, theta.dtype)
    x = _line(width, align_corners, theta.dtype)
    x, y = broadcast_arrays(expand_dims(x, 0), expand_dims(y, 1))
    points = stack([x, y, ones_like(x)], 2)  # [height, width, 3]
    flat = reshape(points, (as_size(as_expr(height) * width), 3))
    moved = matmul(expand_dims(flat, 0), swapaxes(theta, 1, 2))
    return reshape(moved, (theta.shape[0], height, width, 2))


def _line(size: Size, align_corners: bool, dtype: str) -> Variable:
    """Positions of the centres of pixels, from -1 to 1."""
    place, n = cast(iota(size), dtype), cast(as_variable(size), dtype)
    if align_corners:
        return where(greater(n, 1), 2 * place / maximum(n - 1, 1) - 1, 0)
    return (2 * place + 1) / n - 1


def grid_sample(
    x: Any, grid: Any, method: str = "bilinear", padding: str = "zeros",
    align_corners: bool = False, layout: str = "NCHW",
) -> Variable:  # fmt: skip
    """Images x [batch, channels, height, width] (or "NHWC") read at the positions of a ``grid``
    [batch, new height, new width, 2].

    ``method`` is bilinear or nearest; ``padding`` says what is beyond the image: zeros, border (the
    outermost pixels) or reflection. Derivatives pass to the image and, for bilinear, to the grid.
    Raises ArgumentError, RankError, ShapeError.

    >>> import symgraph as sg
    >>> image = [[[[0.0, 4.0]]]]
    >>> sg.nn.grid_sample(image, [[[[0.0, 0.0], [0.5, 0.0]]]]).eval().tolist()
    [[[[2.0, 4.0]]]]
    """
    x, grid = together(x, grid)
    if x.ndim != 4 or grid.ndim != 4:
        raise RankError("grid_sample: the image and the grid have four axes")
    if isinstance(grid.shape[3], int) and grid.shape[3] != 2:
        raise ShapeError(f"grid_sample: positions have 2 numbers, not {grid.shape[3]}")
    if method not in ("bilinear", "nearest") or padding not in ("zeros", "border", "reflection"):
        raise ArgumentError(
            f"grid_sample: unknown method {method!r} or padding {padding!r}",
            hint="bilinear or nearest; zeros, border or reflection",
        )
    if layout not in ("NCHW", "NHWC"):
        raise ArgumentError(f"grid_sample: unknown layout {layout!r}", hint="NCHW or NHWC")
    x = moveaxis(x, 1, 3) if layout == "NCHW" else x
    height, width = x.shape[1], x.shape[2]
    across = _pixels(getitem(grid, (..., 0)), width, align_corners, padding)
    down = _pixels(getitem(grid, (..., 1)), height, align_corners, padding)
    image = Image(x, padding == "zeros")
    if method == "nearest":
        out = image.at(rint(down), rint(across))
    else:
        out = _bilinear(image, down, across)
    return moveaxis(out, 3, 1) if layout == "NCHW" else out


class Image:
    """Images [batch, height, width, channels], read at whole positions [batch, h, w]."""

    def __init__(self, x: Variable, zeros_beyond: bool) -> None:
        self.x, self.zeros_beyond = x, zeros_beyond

    def at(self, down: Variable, across: Variable) -> Variable:
        """The pixels at the nearest place there is, or zeros beyond."""
        last = [as_variable(as_size(as_expr(n) - 1)) for n in self.x.shape[1:3]]
        places = [
            cast(clip(v, 0, cast(n, v.dtype)), "int64")
            for v, n in zip((down, across), last, strict=True)
        ]
        batch = iota(self.x.shape[0], 3, 0)
        found = getitem(self.x, (batch, *places))
        if not self.zeros_beyond:
            return found
        inside: Any = True
        for v, n in zip((down, across), last, strict=True):
            inside = inside & greater_equal(v, 0) & less_equal(v, cast(n, v.dtype))
        return where(expand_dims(inside, 3), found, 0)


def _bilinear(image: Image, down: Variable, across: Variable) -> Variable:
    top, left = floor(down), floor(across)
    low, right = expand_dims(down - top, 3), expand_dims(across - left, 3)
    upper = image.at(top, left) * (1 - right) + image.at(top, left + 1) * right
    lower = image.at(top + 1, left) * (1 - right) + image.at(top + 1, left + 1) * right
    return upper * (1 - low) + lower * low


def _pixels(place: Variable, size: Size, align_corners: bool, padding: str) -> Variable:
    """Positions between -1 and 1 as numbers of pixels, brought into the image as padding says."""
    n = cast(as_variable(size), place.dtype)
    pixel = (place + 1) * 0.5 * (n - 1) if align_corners else ((place + 1) * n - 1) * 0.5
    if padding == "zeros":
        return pixel
    if padding == "reflection":
        pixel = _reflected(pixel, n, align_corners)
    return clip(pixel, 0, n - 1)


def _reflected(pixel: Variable, n: Variable, align_corners: bool) -> Variable:
    """Folded back at the centres of the outermost pixels, or at the edges of the image."""
    first, span = (0.0, maximum(n - 1, 1)) if align_corners else (-0.5, n)
    turn = absolute(pixel - first) % (2 * span)
    return minimum(turn, 2 * span - turn) + first
