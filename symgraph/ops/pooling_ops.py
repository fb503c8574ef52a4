"""Windows that stride over axes: all their elements, their sums and extremes, and the way back.

Window o of an axis holds the elements o * stride + k * dilation - before for k below its size;
``counts`` says how many windows there are. What lies outside x is padding: 0 in sums and patches,
and never an extreme.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import Shape, Size, TensorType, same_size
from symgraph.loops.compute import (
    Compute,
    Operand,
    Reduction,
    identity,
    index_axes,
    pointwise,
    reduce_axes,
)
from symgraph.ops.cast import cast
from symgraph.ops.comparison import equal, where
from symgraph.ops.creation import iota
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import BroadcastTo, ExpandDims
from symgraph.scalar import Expr, as_expr, as_size, const, guard
from symgraph.scalar import functions as F
from symgraph.scalar.sizes import nonnegative, smaller

UNROLLED = 32  # elements of a window up to which they are written out, without a loop
TRUE = const(True, "bool")


def both(a: Expr, b: Expr) -> Expr:
    """a and b."""
    return b if a.is_const and a.value else a if b.is_const and b.value else F.and_(a, b)


class Windowed(Op, abstract=True):
    """What the ops over windows share."""

    axes: tuple[int, ...]
    size: tuple[Size, ...]
    stride: tuple[int, ...]
    before: tuple[Size, ...]
    dilation: tuple[int, ...]
    counts: tuple[Size, ...]

    def checked(self) -> None:
        """Refuse, at run time, axes of unknown size that have not even one window."""
        for axis, count in zip(self.axes, self.counts, strict=True):
            if not nonnegative(as_size(as_expr(count) - 1)):
                what = f"{self.name}: a window does not fit axis {axis}"
                same_size(smaller(count, 1), 1, what)

    def counted(self, shape: Sequence[Any]) -> list[Any]:
        """The entries over the axes of x with those of the windows in their place."""
        found = list(shape)
        for axis, count in zip(self.axes, self.counts, strict=True):
            found[axis] = count
        return found

    def seen(self, x: Operand, i: Sequence[Expr], k: Sequence[Expr]) -> tuple[list[Expr], Expr]:
        """The index of element k of window i in x, and whether it is there."""
        at, cond = list(i), TRUE
        rows = zip(self.axes, k, self.size, self.stride, self.before, self.dilation, self.counts,
                   strict=True)  # fmt: skip
        for axis, tap, size, stride, before, dilation, count in rows:
            place = at[axis] * stride + tap * dilation - as_expr(before)
            if not nonnegative(as_size(0 - as_expr(before))):
                cond = both(cond, F.le(0, place))
            last = (as_expr(count) - 1) * stride + (as_expr(size) - 1) * dilation - before
            if not nonnegative(as_size(as_expr(x.shape[axis]) - 1 - last)):
                cond = both(cond, F.lt(place, as_expr(x.shape[axis])))
            at[axis] = place
        return at, cond

    def value(self, x: Operand, i: Sequence[Expr], k: Sequence[Expr], combiner: str) -> Expr:
        """Element k of window i, what changes nothing where it is not there."""
        at, cond = self.seen(x, i, k)
        if cond is TRUE:
            return x(*at)
        return F.select(cond, guard(x(*at), cond), const(_start(combiner, x.dtype), x.dtype))

    def few(self) -> list[tuple[Expr, ...]] | None:
        """All taps of a window, one after another, when they are known and not many."""
        sizes = [s for s in self.size if isinstance(s, int)]
        if len(sizes) < len(self.size) or np.prod(sizes, dtype=object) > UNROLLED:
            return None
        return [tuple(map(const, k)) for k in itertools.product(*map(range, sizes))]

    def number(self, taps: Sequence[Expr]) -> Expr:
        """The number of a tap in C order."""
        total = const(0)
        for tap, size in zip(taps, self.size, strict=True):
            total = total * as_expr(size) + tap
        return total

    def parts(self, x: Any) -> Iterator[tuple[tuple[int, ...], list[slice], list[slice]]]:
        """For the reference, each tap with the windows that have it in x and where it is there."""
        for tap in np.ndindex(*self.size):
            windows, places = [slice(None)] * x.ndim, [slice(None)] * x.ndim
            rows = zip(self.axes, tap, self.stride, self.before, self.dilation, self.counts,
                       strict=True)  # fmt: skip
            for axis, k, stride, before, dilation, count in rows:
                shift = k * dilation - int(before)
                first = max(0, -(shift // stride))
                end = min(int(count), (x.shape[axis] - 1 - shift) // stride + 1)
                end = max(first, end)
                start = first * stride + shift
                windows[axis] = slice(first, end)
                places[axis] = slice(start, start + (end - first) * stride, stride)
            yield tap, windows, places


# all elements -------------------------------------------------------------------------------------


class Patches(Windowed):
    """The elements of the windows along new last axes, one for each of ``axes``."""

    name = "patches"

    def infer(self, x: TensorType) -> TensorType:
        self.checked()
        return x.with_shape([*self.counted(x.shape), *self.size])

    def reference(self, x: Any) -> Any:
        out: Any = np.zeros((*self.counted(x.shape), *self.size), x.dtype)
        for tap, windows, places in self.parts(x):
            out[(*windows, *tap)] = x[tuple(places)]
        return out

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (PatchesSum(*self._values, tuple(x.shape[a] for a in self.axes))(g),)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        def element(*i: Expr) -> Expr:
            at, cond = self.seen(x, i[: x.ndim], i[x.ndim :])
            return guard(x(*at), cond)

        return pointwise(out.shape, element)


class PatchesSum(Windowed):
    """The transpose of Patches: each element of an x with these ``sizes`` of its axes is the sum of
    what stands for it in the windows."""

    name = "patches_sum"
    sizes: Shape

    def infer(self, p: TensorType) -> TensorType:
        lead = len(p.shape) - len(self.axes)
        for axis, count in zip(self.axes, self.counts, strict=True):
            same_size(p.shape[axis], count, f"patches_sum: windows differ on axis {axis}")
        for a, b in zip(p.shape[lead:], self.size, strict=True):
            same_size(a, b, "patches_sum: sizes of windows differ")
        return p.with_shape(self.placed(p.shape[:lead]))

    def placed(self, shape: Sequence[Any]) -> list[Any]:
        found = list(shape)
        for axis, size in zip(self.axes, self.sizes, strict=True):
            found[axis] = size
        return found

    def reference(self, p: Any) -> Any:
        lead = p.ndim - len(self.axes)
        out: Any = np.zeros(self.placed(p.shape[:lead]), p.dtype)
        for tap, windows, places in self.parts(out):
            out[tuple(places)] += p[(*windows, *tap)]
        return out

    def vjp(self, g: Variable, y: Variable, p: Variable) -> tuple[Variable]:
        return (Patches(*self._values[:-1])(g),)

    def lower(self, out: TensorType, p: Operand) -> Compute:
        own = index_axes(out.ndim)
        turns = [self._turns(n) for n in range(len(self.axes))]

        def element(j: Sequence[Expr]) -> Expr:
            at, taps, cond = list(own), [], TRUE
            for n, axis in enumerate(self.axes):
                window, tap, there = self._window(n, own[axis], j[n])
                at[axis], cond = window, both(cond, there)
                taps.append(tap)
            return guard(p(*at, *taps), cond)

        known = [t for t in turns if isinstance(t, int)]
        if len(known) == len(turns) and np.prod(known, dtype=object) <= UNROLLED:
            total: Expr | None = None
            for j in itertools.product(*map(range, known)):
                value = element([const(t) for t in j])
                total = value if total is None else F.add(total, value)
            return Compute(own, out.shape, (total if total is not None else const(0, p.dtype),))
        inner = reduce_axes(len(turns))
        return Compute(own, out.shape, (element(inner),), Reduction("add", inner, tuple(turns)))

    def _by_tap(self, n: int) -> Size:
        """In how many windows an element can be, found by its tap: with a stride alone only every
        stride-th tap can be it, else each has to be tried."""
        if self.dilation[n] > 1:
            return self.size[n]
        s = self.stride[n]
        return as_size((as_expr(self.size[n]) + (s - 1)) // s)

    def _all_windows(self, n: int) -> bool:
        """Whether there are so few windows that each is tried."""
        count, taps = self.counts[n], self._by_tap(n)
        return isinstance(count, int) and (not isinstance(taps, int) or count <= taps)

    def _turns(self, n: int) -> Size:
        return self.counts[n] if self._all_windows(n) else self._by_tap(n)

    def _window(self, n: int, i: Expr, j: Expr) -> tuple[Expr, Expr, Expr]:
        """The window and its tap that turn j tries for the place i, and whether they are there."""
        stride, count = self.stride[n], as_expr(self.counts[n])
        size, dilation = as_expr(self.size[n]), self.dilation[n]
        place = i + self.before[n]
        if self._all_windows(n):
            rest = place - j * stride
            tap = rest if dilation == 1 else rest // dilation
            cond = F.and_(F.le(0, rest), F.lt(tap, size))
            return j, tap, cond if dilation == 1 else F.and_(cond, F.eq(rest % dilation, 0))
        cond = TRUE
        if stride == 1:
            tap, window = j, place - j * dilation
        elif dilation == 1:
            window, tap = place // stride - j, place % stride + j * stride
            cond = F.lt(tap, size) if self._uneven(n) else TRUE
        else:
            tap, place = j, place - j * dilation
            window, cond = place // stride, F.eq(place % stride, 0)
        return window, tap, both(cond, F.and_(F.le(0, window), F.lt(window, count)))

    def _uneven(self, n: int) -> bool:
        size = self.size[n]
        return not isinstance(size, int) or size % self.stride[n] != 0


# sums and extremes --------------------------------------------------------------------------------


class Pool(Windowed):
    """The "add", "maximum" or "minimum" of the elements of each window. Of equal extremes the first
    has the whole derivative."""

    name = "pool"
    combiner: str

    def infer(self, x: TensorType) -> TensorType:
        self.checked()
        return x.with_shape(self.counted(x.shape))

    def reference(self, x: Any) -> Any:
        start = _start(self.combiner, x.dtype)
        out: Any = np.full(self.counted(x.shape), start, x.dtype)
        for _, windows, places in self.parts(x):
            part = out[tuple(windows)]
            _UFUNC[self.combiner](part, x[tuple(places)], out=part)
        return out

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        geometry = self._values[:-1]
        shape = (*g.shape, *self.size)
        lead = tuple(range(g.ndim, g.ndim + len(self.axes)))
        spread = BroadcastTo(shape)(ExpandDims(lead)(g))
        if self.combiner != "add":
            winner = PoolPosition(*self._values)(x)
            numbers = cast(_numbers(shape, g.ndim), winner.dtype)
            spread = where(equal(ExpandDims(lead)(winner), numbers), spread, 0)
        return (PatchesSum(*geometry, tuple(x.shape[a] for a in self.axes))(spread),)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        own, taps = index_axes(out.ndim), self.few()
        if taps is not None:
            values = [self.value(x, own, k, self.combiner) for k in taps]
            return Compute(own, out.shape, (_combined(values, self.combiner, x.dtype),))
        inner = reduce_axes(len(self.axes))
        folded = Reduction(self.combiner, inner, self.size)
        return Compute(own, out.shape, (self.value(x, own, inner, self.combiner),), folded)


class PoolPosition(Windowed):
    """The number of the first greatest ("maximum") or least element in each window, in C order; of
    the first NaN if there is one. A window of padding alone has a number beyond its elements.
    Numbers of few elements are int32, which are as wide as the floats they are compared with."""

    name = "pool_position"
    nondifferentiable = "the result is a position"
    combiner: str

    def infer(self, x: TensorType) -> TensorType:
        return TensorType(self._kind(), tuple(self.counted(x.shape)))

    def _kind(self) -> str:
        return "int64" if self.few() is None else "int32"

    def reference(self, x: Any) -> Any:
        best: Any = np.full(self.counted(x.shape), _start(self.combiner, x.dtype), x.dtype)
        total = int(np.prod(self.size, dtype=np.int64))
        out: Any = np.full(best.shape, total, self._kind())
        better = np.greater if self.combiner == "maximum" else np.less
        for tap, windows, places in self.parts(x):
            number = int(np.ravel_multi_index(tap, self.size)) if self.size else 0
            v, old, where_ = x[tuple(places)], best[tuple(windows)], out[tuple(windows)]
            wins = (where_ == total) | better(v, old) | ((v != v) & (old == old))
            old[wins], where_[wins] = v[wins], number
        return out

    def lower(self, out: TensorType, x: Operand) -> Compute:
        own, taps = index_axes(out.ndim), self.few()
        if taps is not None:
            return Compute(own, out.shape, (self._first(x, own, taps),))
        inner, total = reduce_axes(len(self.axes)), const(1)
        for s in self.size:
            total = total * as_expr(s)
        _, cond = self.seen(x, own, inner)
        value, number = self.value(x, own, inner, self.combiner), self.number(inner)
        if cond is not TRUE:
            number = F.select(cond, number, total)
        way = "argmax" if self.combiner == "maximum" else "argmin"
        return Compute(own, out.shape, (value, number), Reduction(way, inner, self.size))

    def _first(self, x: Operand, own: Sequence[Expr], taps: Sequence[Sequence[Expr]]) -> Expr:
        """The number of the first tap that is the extreme, or a NaN."""
        found = _combined(
            [self.value(x, own, k, self.combiner) for k in taps], self.combiner, x.dtype
        )
        place: Expr = const(len(taps), self._kind())
        for number, k in reversed([*enumerate(taps)]):
            at, cond = self.seen(x, own, k)
            value = guard(x(*at), cond)
            hit = F.eq(value, found)
            if dtypes.is_float(x.dtype):
                hit = F.or_(hit, F.isnan(value))
            place = F.select(both(cond, hit), const(number, self._kind()), place)
        return place


def _combined(values: Sequence[Expr], combiner: str, dtype: str) -> Expr:
    start = const(_start(combiner, dtype), dtype)
    return functools.reduce(getattr(F, combiner), values) if values else start


_UFUNC: dict[str, Any] = {"add": np.add, "maximum": np.maximum, "minimum": np.minimum}


def _start(combiner: str, dtype: Any) -> Any:
    return identity(combiner, str(dtype))


def _numbers(shape: Shape, lead: int) -> Variable:
    """The number of each element of a window, along the axes after the first ``lead``."""
    total = iota(shape[lead], len(shape), lead)
    for axis in range(lead + 1, len(shape)):
        width = as_variable(shape[axis])
        total = total * width + iota(shape[axis], len(shape), axis)
    return total
