"""Padding: x with more elements around it, by constants, by itself, or by statistics of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import Size, TensorType, same_size
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.ops import joining, moments, reductions
from symgraph.ops.arithmetic import floor, maximum, minimum, remainder, rint
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.creation import iota
from symgraph.ops.gathering import scatter
from symgraph.ops.joining import concatenate, part_of, width_pairs
from symgraph.ops.operands import as_variable
from symgraph.ops.quantiles import median
from symgraph.ops.shape import as_shape, broadcast_to
from symgraph.ops.slicing import Slice
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, as_expr, as_size, const
from symgraph.scalar import functions as F
from symgraph.scalar.sizes import larger, nonnegative, smaller

__all__ = ["pad"]


class _Places(NamedTuple):
    """How a mode finds the element of x that stands at distance d from its start: as a scalar
    expression (simpler where less is added than there is, so that nothing is repeated twice) and
    as a tensor."""

    scalar: Callable[[Expr, Size, bool], Expr]
    tensor: Callable[[Variable, Size], Variable]


def _within(d: Expr, n: Size, before: Expr, after: Expr) -> Expr:
    """d, or another place where that is before the start or beyond the end."""
    return F.select(F.le(0, d), F.select(F.lt(d, as_expr(n)), d, after), before)


def _edge(d: Expr, n: Size, once: bool) -> Expr:
    return _within(d, n, const(0), as_expr(n) - 1)


def _edge_tensor(d: Variable, n: Size) -> Variable:
    return minimum(maximum(d, 0), as_variable(as_size(as_expr(n) - 1)))


def _turn(n: Size) -> Size:
    """The distance after which reflection without the edge comes back."""
    return larger(as_size(2 * as_expr(n) - 2), 1)


def _reflect(d: Expr, n: Size, once: bool) -> Expr:
    if once:
        return _within(d, n, 0 - d, as_expr(n) * 2 - 2 - d)
    m = F.mod(d, as_expr(_turn(n)))
    return F.minimum(m, as_expr(_turn(n)) - m) if not _one(n) else const(0)


def _one(n: Size) -> bool:
    return isinstance(n, int) and n == 1


def _symmetric(d: Expr, n: Size, once: bool) -> Expr:
    if once:
        return _within(d, n, -1 - d, as_expr(n) * 2 - 1 - d)
    m = F.mod(d, as_expr(n) * 2)
    return F.minimum(m, as_expr(n) * 2 - 1 - m)


def _symmetric_tensor(d: Variable, n: Size) -> Variable:
    m = remainder(d, as_variable(as_size(as_expr(n) * 2)))
    return minimum(m, as_variable(as_size(as_expr(n) * 2 - 1)) - m)


def _reflect_tensor(d: Variable, n: Size) -> Variable:
    turn = as_variable(_turn(n))
    m = remainder(d, turn)
    return minimum(minimum(m, turn - m), as_variable(as_size(as_expr(n) - 1)))


def _wrap(d: Expr, n: Size, once: bool) -> Expr:
    if not once:
        return F.mod(d, as_expr(n))
    return _within(d, n, d + n, d - n)


_MODES = {
    "edge": _Places(_edge, _edge_tensor),
    "reflect": _Places(_reflect, _reflect_tensor),
    "symmetric": _Places(_symmetric, _symmetric_tensor),
    "wrap": _Places(_wrap, lambda d, n: remainder(d, as_variable(n))),
}


class Pad(Op):
    """x with ``before[k]`` and ``after[k]`` of its own elements around axis k: the nearest one
    ("edge"), mirrored without ("reflect") or with ("symmetric") the edge, or going on from the
    other end ("wrap")."""

    name = "pad"
    mode: str
    before: tuple[Size, ...]
    after: tuple[Size, ...]

    def infer(self, x: TensorType) -> TensorType:
        shape = []
        for k, (n, b, a) in enumerate(zip(x.shape, self.before, self.after, strict=True)):
            if self.pads(k):
                what = f"pad: axis {k} has no elements to pad with"
                room = as_size(as_expr(n) - 1)
                if isinstance(room, int) and room < 0:
                    raise ShapeError(what)
                if not nonnegative(room):
                    same_size(smaller(room, 0), 0, what)
            shape.append(as_size(as_expr(n) + b + a))
        return x.with_shape(shape)

    def pads(self, axis: int) -> bool:
        """Whether an axis grows, or may grow."""
        return not all(isinstance(w, int) and w == 0 for w in (self.before[axis], self.after[axis]))

    def _place(self, axis: int, i: Expr, n: Size) -> Expr:
        """Which element of x stands at index i."""
        if not self.pads(axis):
            return i
        widths, find = (self.before[axis], self.after[axis]), _MODES[self.mode].scalar
        d = i - self.before[axis]
        fits: Expr | None = None  # whether both widths are less than the axis
        for w in widths:
            if not nonnegative(as_size(as_expr(n) - 1 - w)):
                less = F.lt(as_expr(w), as_expr(n))
                fits = less if fits is None else F.and_(fits, less)
        if fits is None or fits.is_const or self.mode == "edge":
            return find(d, n, fits is None)
        return F.select(fits, find(d, n, True), find(d, n, False))

    def reference(self, x: Any) -> Any:
        widths = list(zip(self.before, self.after, strict=True))
        return np.pad(x, widths, mode=self.mode) if widths else x  # type: ignore[call-overload]

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        """What x itself has, and what its copies around it have, added where they came from."""
        for k, n in enumerate(x.shape):
            if self.pads(k):
                before, after = self.before[k], self.after[k]
                core = _stretch(g, k, before, n)
                for start, width in ((0, before), (as_size(as_expr(before) + n), after)):
                    if width != 0:
                        distance = iota(width) + as_variable(as_size(as_expr(start) - before))
                        place = _MODES[self.mode].tensor(distance, n)
                        order = (k, *(j for j in range(g.ndim) if j != k))
                        part = _stretch(g, k, start, width).transpose(order)
                        core = scatter("add", (k,), core, part, (place,))
                g = core
        return (g,)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        def element(*i: Expr) -> Expr:
            return x(*(self._place(k, *row) for k, row in enumerate(zip(i, x.shape, strict=True))))

        return pointwise(out.shape, element)


def _stretch(x: Variable, axis: int, start: Size, size: Size) -> Variable:
    """``size`` elements of an axis from ``start`` on."""
    sizes = [*x.shape]
    starts: list[Size] = [0] * x.ndim
    starts[axis], sizes[axis] = start, size
    return Slice(tuple(starts), (1,) * x.ndim, tuple(sizes))(x)


# function -----------------------------------------------------------------------------------------


def pad(
    x: Any, widths: Any, mode: str = "constant", constant_values: Any = 0, end_values: Any = 0,
    reflect_type: str = "even",
) -> Variable:  # fmt: skip
    """x with ``widths`` (before, after) elements added around each axis.

    ``widths`` is one size, a pair, a pair for each axis, or a dict of axes, as in NumPy. Modes:
    "constant" (with ``constant_values``, given like widths), "edge", "reflect", "symmetric" and
    "wrap" repeat elements of x, "linear_ramp" goes to ``end_values``, "maximum", "minimum",
    "mean" and "median" are those of the lines through x, "empty" fills with 0.

    Raises ArgumentError for another mode, ShapeError for an axis without elements to repeat.

    >>> import symgraph as sg
    >>> sg.pad([1, 2], (1, 2)).eval().tolist()
    [0, 1, 2, 0, 0]
    >>> sg.pad([1, 2, 3], 2, mode="reflect").eval().tolist()
    [3, 2, 1, 2, 3, 2, 1]
    """
    x = as_variable(x)
    if isinstance(widths, dict):
        widths = [widths.get(k, widths.get(k - x.ndim, (0, 0))) for k in range(x.ndim)]
        widths = [w if isinstance(w, tuple | list) else (w, w) for w in widths]
    pairs = width_pairs(widths, x.ndim, lambda p: as_shape(p, "pad"))
    if reflect_type != "even":
        raise ArgumentError('pad: reflect_type is "even"')
    if mode in _MODES:
        before, after = zip(*pairs, strict=True) if pairs else ((), ())
        return Pad(mode, tuple(before), tuple(after))(x)  # type: ignore[no-any-return]
    if mode in ("constant", "empty"):
        return _constant(x, pairs, constant_values if mode == "constant" else 0)
    if mode == "linear_ramp":
        ends = width_pairs(end_values, x.ndim, tuple)
        for k, (pair, ends_k) in enumerate(zip(pairs, ends, strict=True)):
            x = _walled(x, k, pair, lambda x, k, w, e=ends_k: _ramp(x, k, w, e))
        return x
    if mode not in _STATISTICS:
        known = ["constant", "empty", "linear_ramp", *_MODES, *_STATISTICS]
        raise ArgumentError(f"pad: unknown mode {mode!r}", hint=", ".join(known))
    for k, pair in enumerate(pairs):
        x = _walled(x, k, pair, lambda x, k, w: _line(_STATISTICS[mode], x, k, w))
    return x


def _constant(x: Variable, pairs: list[tuple[Size, Size]], values: Any) -> Variable:
    if not (isinstance(values, tuple | list | np.ndarray) and np.ndim(values)):
        return joining.pad(x, pairs, values) if pairs else x
    for k, (pair, ends) in enumerate(zip(pairs, width_pairs(values, x.ndim, tuple), strict=True)):
        x = _walled(x, k, pair, lambda x, k, w, e=ends: (_wall(x, k, w[0], e[0]),
                                                       _wall(x, k, w[1], e[1])))  # fmt: skip
    return x


# modes that join walls of new elements, one axis after another ------------------------------------

_STATISTICS: dict[str, Any] = {
    "maximum": reductions.max, "minimum": reductions.min, "mean": moments.mean, "median": median,
}  # fmt: skip


def _walled(x: Variable, axis: int, widths: tuple[Size, Size], build: Any) -> Variable:
    before, after = build(x, axis, widths)
    return concatenate([before, x, after], axis)


def _wall(x: Variable, axis: int, width: Size, value: Any) -> Variable:
    shape = (*x.shape[:axis], width, *x.shape[axis + 1 :])
    return broadcast_to(to_dtype(value, x.dtype), shape)


def _line(statistic: Any, x: Variable, axis: int, widths: tuple[Size, Size]) -> Any:
    value = statistic(x, axis, keepdims=True)
    if value.dtype != x.dtype:  # the mean of integers
        value = rint(value)
    return tuple(_wall(x, axis, w, value) for w in widths)


def _ramp(x: Variable, axis: int, widths: tuple[Size, Size], ends: tuple[Any, Any]) -> Any:
    def side(width: Size, end: Any, edge: Variable, backward: bool) -> Variable:
        steps = iota(width, x.ndim, axis)
        steps = as_variable(as_size(as_expr(width) - 1)) - steps if backward else steps
        first = to_dtype(end, x.dtype)
        kind = x.dtype if dtypes.is_inexact(x.dtype) else "float64"
        share = cast(steps, kind) / as_variable(width)
        # linspace from the end value to the edge, without the edge
        value = cast(edge - first, kind) * share + cast(first, kind)
        return cast(value if kind == x.dtype else floor(value), x.dtype)

    n = x.shape[axis]
    low, high = part_of(x, axis, 0, 1), part_of(x, axis, as_size(as_expr(n) - 1), 1)
    return side(widths[0], ends[0], low, False), side(widths[1], ends[1], high, True)
