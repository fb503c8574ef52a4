"""From what users say of windows to the parameters of the ops over them."""

from __future__ import annotations

from typing import Any

from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.types import Shape, Size
from symgraph.ops.convolution import channels_last, named, paddings, per_axis
from symgraph.ops.convolution_ops import reach
from symgraph.ops.shape import as_shape
from symgraph.records import NamedTuple
from symgraph.scalar import as_expr, as_size
from symgraph.scalar import functions as F


class Grid(NamedTuple):
    """Windows over axes of x: the parameters of the ops, and what pads behind."""

    axes: tuple[int, ...]
    size: Shape
    stride: tuple[int, ...]
    before: Shape
    dilation: tuple[int, ...]
    counts: Shape
    after: Shape

    @property
    def fields(self) -> tuple[Any, ...]:
        """The parameters that the ops over windows share."""
        return self[:6]


def spatial_axes(name: str, x: Variable, layout: str) -> tuple[int, ...]:
    """The axes of images other than batch and channels. Raises RankError, ArgumentError."""
    last = channels_last(layout, name)
    if x.ndim < 3:
        order = "(batch, *sizes, channels)" if last else "(batch, channels, *sizes)"
        raise RankError(f"{name}: images have at least 3 axes, not {x.ndim}",
                        operands=[named(x)], hint=f"they are {order}")  # fmt: skip
    return tuple(range(1, x.ndim - 1)) if last else tuple(range(2, x.ndim))


def grid_of(
    name: str, x: Variable, axes: tuple[int, ...], window: Any, stride: Any, padding: Any,
    dilation: Any, ceil_mode: bool,
) -> Grid:  # fmt: skip
    """The windows that a user asks for. Raises ShapeError where none fits, ArgumentError."""
    count = len(axes)
    size = as_shape(window, name)
    size = size * count if len(size) == 1 else size
    if len(size) != count or any(isinstance(s, int) and s < 1 for s in size):
        raise ArgumentError(f"{name}: a window of {window} for {count} axes")
    if stride is None:
        if any(not isinstance(s, int) for s in size):
            raise ArgumentError(f"{name}: a window of unknown size needs a stride")
        stride = size
    steps = per_axis(stride, count, f"{name}: stride")
    spread = per_axis(dilation, count, f"{name}: dilation")
    sizes = tuple(x.shape[a] for a in axes)
    before, after = paddings(padding, sizes, size, steps, spread, name)
    counts, ends = [], []
    for row in zip(axes, sizes, size, steps, before, after, spread, strict=True):
        found, end = _count(name, x, ceil_mode, *row)
        counts.append(found)
        ends.append(end)
    return Grid(axes, size, steps, before, spread, tuple(counts), tuple(ends))


def _count(
    name: str, x: Variable, ceil_mode: bool, axis: int, n: Size, window: Size, stride: int,
    before: Size, after: Size, dilation: int,
) -> tuple[Size, Size]:  # fmt: skip
    """How many windows stand on an axis, and what then is behind it. In ceil mode a last window may
    reach beyond the padding, when it begins before that."""
    span = reach(window, dilation)
    room = as_size(n + before + after - span)
    padded = f" padded by {before} and {after}" if before or after else ""
    if isinstance(room, int) and room < 0:
        raise ShapeError(f"{name}: a window of {span} does not fit axis {axis} of size {n}{padded}",
                         operands=[named(x)])  # fmt: skip
    found = room // stride + 1
    if ceil_mode:
        more = (room + (stride - 1)) // stride + 1
        first, end = as_size((more - 1) * stride), as_size(n + before)
        if isinstance(first, int) and isinstance(end, int):
            found = more if first < end else more - 1
        else:
            begins = F.lt(as_expr(first), as_expr(end))
            found = F.select(begins, as_expr(more), as_expr(more - 1))
    behind = (found - 1) * stride + span - n - before
    return as_size(found), as_size(behind)
