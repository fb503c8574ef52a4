"""Routines along an axis: running folds, linear recurrences, searching, sorting.

Each is a loop nest of the loop language (sort is a call of native code), written once for every
target. The axis runs serially; where it is not the last one, the last one goes as vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgraph import dtypes
from symgraph.ir.graph import Apply
from symgraph.ir.types import Size, TensorType
from symgraph.loops.compute import identity, index_axes
from symgraph.loops.program import Call
from symgraph.loops.running import compensated_sum, running_fold
from symgraph.loops.statements import Fold, Let, Stmt, Store
from symgraph.lower.build import Builder
from symgraph.lower.kernels import kernel, nest
from symgraph.scalar import Expr, as_expr, as_size, const, load, load_if, var
from symgraph.scalar import functions as F

STEPS = (*range(2, 24, 2), 28, 32, 40)  # bits of a position, of which no memory holds more elements
BLOCK = 512  # values that are searched for together


# running folds ------------------------------------------------------------------------------------


def _logaddexp(a: Expr, b: Expr) -> Expr:
    """log(exp(a) + exp(b)), right for infinities: equal operands are taken apart."""
    high, low = F.maximum(a, b), F.minimum(a, b)
    usual = F.add(high, F.log1p(F.exp(F.sub(low, high))))
    return F.select(F.eq(a, b), F.add(a, 0.6931471805599453), usual)


def _extreme(number: Callable[..., Expr], truth: Callable[..., Expr]) -> Callable[..., Expr]:
    return lambda a, b: (truth if a.dtype == "bool" else number)(a, b)


COMBINE: dict[str, Callable[[Expr, Expr], Expr]] = {
    "add": F.add, "mul": F.mul, "logaddexp": _logaddexp,
    "maximum": _extreme(F.maximum, F.or_), "minimum": _extreme(F.minimum, F.and_),
}  # fmt: skip


class _Line:
    """The loop nest along an axis: ``at`` are the indices of the element whose turn it is,
    ``prior`` those of the one before, ``later`` whether there is one before; ``across`` are the
    indices of the other axes."""

    def __init__(self, shape: list[Size], axis: int, reverse: bool) -> None:
        self.axes = list(index_axes(len(shape)))
        self.shape, self.axis = shape, axis
        turn = self.axes[axis]
        here = as_expr(shape[axis]) - 1 - turn if reverse else turn
        before = here + 1 if reverse else here - 1
        self.at = tuple(here if k == axis else a for k, a in enumerate(self.axes))
        self.prior = tuple(before if k == axis else a for k, a in enumerate(self.axes))
        self.later = F.lt(const(0), turn)
        self.across = tuple(a for k, a in enumerate(self.axes) if k != axis)
        self.across_shape = tuple(n for k, n in enumerate(shape) if k != axis)

    def loops(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        last = len(self.axes) - 1
        others = [k for k in range(last + 1) if k != self.axis]
        vector = [others.pop()] if others and others[-1] == last else []
        order = [*others, self.axis, *vector]
        kind = "vector" if vector else "serial"
        return nest([self.axes[k] for k in order], [self.shape[k] for k in order], body, kind)

    def around(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """The loops over the other axes."""
        others = [k for k in range(len(self.axes)) if k != self.axis]
        return nest([self.axes[k] for k in others], [self.shape[k] for k in others], body)


def _in_blocks(line: _Line, combiner: str, value: Expr) -> Fold | None:
    """The turns along the last axis as a running fold, where their order does not matter."""
    dtype, turn = value.dtype, line.axes[line.axis]
    number = dtypes.is_int(dtype) or dtype in ("float32", "float64")
    inexact = combiner == "logaddexp" or (combiner == "mul" and dtypes.is_float(dtype))
    if line.axis + 1 < len(line.axes) or not number or inexact:
        return None
    extent = line.shape[line.axis]
    if combiner == "add" and dtype == "float64":
        return compensated_sum(turn, extent, value, "p1", line.at)
    term = F.cast(value, "float64") if combiner == "add" and dtype == "float32" else value
    start = const(identity(combiner, term.dtype), term.dtype)
    store = Store("p1", line.at, F.cast(var("_new", term.dtype), dtype))
    return running_fold(combiner, turn, extent, term, start, store)


def _in_order(
    line: _Line, dtype: str, later: Callable[[Expr], Expr], first: Expr, buffer: str
) -> tuple[Stmt, ...]:
    """out[k] = later(out[k-1]) along the axis, starting with ``first``. Along the last one what is
    carried stays in a register; along others rows follow each other."""
    if not _carries(line, dtype):
        carried = load_if(buffer, line.later, line.prior, dtype)
        return line.loops((Store(buffer, line.at, F.select(line.later, later(carried), first)),))
    start = const(0, dtype)
    return _chain(line, lambda held: F.select(line.later, later(held), first), start, buffer)


def _carries(line: _Line, dtype: str) -> bool:
    """Whether the axis is the last one, along which a register carries a value."""
    return line.axis + 1 == len(line.axes) and dtype in ("float32", "float64")


def _chain(line: _Line, step: Callable[[Expr], Expr], start: Expr, buffer: str) -> tuple[Stmt, ...]:
    """out[k] = step(out[k-1]) along the last axis, where ``start`` stands before the first."""
    held, new = var("_held", start.dtype), var("_new", start.dtype)
    body = (Let(new, step(held)), Store(buffer, line.at, new))
    turn, extent = line.axes[line.axis], line.shape[line.axis]
    return line.around((Fold((held,), "next", turn, extent, "serial", body, (new,), (start,)),))


def cumulative(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """out[k] = combine(out[k-1], x[k]) along the axis, starting with x[0]."""
    x, out = b.buffer(apply.inputs[0]), b.buffer(apply.output)
    line = _Line(list(b.buffers[x].shape), params["axis"], params["reverse"])
    dtype = b.buffers[out].dtype
    value = load("p0", line.at, dtype)
    fold = _in_blocks(line, params["combiner"], value)
    if fold is not None:
        body = line.around((fold,))
        b.add_steps([x], [out], [kernel(b, [x, out], "io", body, apply.origins)], needs)
        return
    if params["combiner"] == "add" and dtypes.is_float(dtype):
        wide = dtype != "float64"
        room = TensorType("float64", line.across_shape)
        rooms = [b.scratch(room) for _ in range(1 if wide else 2)]
        body = line.loops((_widened if wide else _compensated)(line, value))
        made = kernel(b, [x, out, *rooms], "io" + "o" * len(rooms), body, apply.origins)
        b.add_steps([x], [out, *rooms], [made], needs)
        return
    combine = COMBINE[params["combiner"]]
    if params["combiner"] == "mul" and _carries(line, dtype):  # 1 x is x, with nothing to choose
        body = _chain(line, lambda held: F.mul(held, value), const(1, dtype), "p1")
    else:
        body = _in_order(line, dtype, lambda carried: combine(carried, value), value, "p1")
    b.add_steps([x], [out], [kernel(b, [x, out], "io", body, apply.origins)], needs)


def _widened(line: _Line, value: Expr) -> tuple[Stmt, ...]:
    """One more term of a running sum of float32: p2 has the sum in float64."""
    total = F.add(load_if("p2", line.later, line.across, "float64"), F.cast(value, "float64"))
    new = var("_total", "float64")
    rounded = F.cast(new, value.dtype)
    return Let(new, total), Store("p1", line.at, rounded), Store("p2", line.across, new)


def _compensated(line: _Line, value: Expr) -> tuple[Stmt, ...]:
    """One more term of a running sum: p2 has the rounded sum and p3 the rounding errors so far
    (Knuth's two-sum), so that the error does not grow with the length. Beyond an infinity the
    error is NaN and left out."""
    dtype = value.dtype
    total, error = (load_if(room, line.later, line.across, dtype) for room in ("p2", "p3"))
    new, part, lost, kept = (var(name, dtype) for name in ("_total", "_part", "_lost", "_error"))
    return (
        Let(new, F.add(total, value)),
        Let(part, F.sub(new, total)),
        Let(lost, F.add(F.sub(total, F.sub(new, part)), F.sub(value, part))),
        Let(kept, F.add(error, lost)),
        Store("p1", line.at, F.add(new, F.select(F.isnan(kept), const(0.0, dtype), kept))),
        Store("p2", line.across, new),
        Store("p3", line.across, kept),
    )


def recurrence(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """out[k] = a[k] * out[k-1] + x[k] along the axis, starting with x[0]."""
    names = [b.buffer(v) for v in (*apply.inputs, apply.output)]
    line = _Line(list(b.buffers[names[1]].shape), params["axis"], params["reverse"])
    dtype = b.buffers[names[2]].dtype
    a, x = load("p0", line.at, dtype), load("p1", line.at, dtype)
    if _carries(line, dtype):  # 1 * -0 + x is x, of any sign: the choice is not on the way
        factor = F.select(line.later, a, 1)
        step = lambda held: F.add(F.mul(factor, held), x)  # noqa: E731
        body = _chain(line, step, const(-0.0, dtype), "p2")
    else:
        body = _in_order(line, dtype, lambda carried: F.add(F.mul(a, carried), x), x, "p2")
    b.add_steps(names[:2], names[2:], [kernel(b, names, "iio", body, apply.origins)], needs)


# searching ----------------------------------------------------------------------------------------


def less(a: Expr, b: Expr) -> Expr:
    """a < b in the order of sorting, where NaN is greater than all."""
    if not dtypes.is_float(a.dtype):
        return F.lt(a, b) if a.dtype != "bool" else F.and_(F.not_(a), b)
    return F.or_(F.lt(a, b), F.and_(F.isnan(b), F.not_(F.isnan(a))))


def searchsorted(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """The place of each value in a sorted row, found bit by bit from the highest: the position
    grows by 2**k where the element before the new position still comes first. So lanes search side
    by side, a block of values at a time, whose positions stay in the nearest cache."""
    names = [b.buffer(v) for v in (*apply.inputs, apply.output)]
    a, v = (b.buffers[n] for n in names[:2])
    axes, extents = list(index_axes(len(v.shape))), list(v.shape)
    n, turn = a.shape[-1], var("_k")
    lead, at = tuple(axes[: len(a.shape) - 1]), tuple(axes)
    bits = n.bit_length() if isinstance(n, int) else as_size(_bits(as_expr(n)))
    around: list[tuple[Expr, Size]] = []
    if axes and not b.ctx.device:  # whose lanes are all values
        block, i = var("_block"), axes[-1]
        at = (*axes[:-1], block * BLOCK + i)
        count = (as_expr(extents[-1]) + (BLOCK - 1)) // BLOCK
        around = [*zip(axes[:-1], extents[:-1], strict=True), (block, as_size(count))]
        rest = F.minimum(as_expr(extents[-1]) - block * BLOCK, const(BLOCK))
        axes, extents = [i], [as_size(rest)]
    place = load("p2", at, "int64")
    moved = place + F.shl(const(1), as_expr(bits) - 1 - turn)
    inside = F.le(moved, as_expr(n))
    element = load_if("p0", inside, (*lead, moved - 1), a.dtype)
    value = load("p1", at, v.dtype)
    first = F.not_(less(value, element)) if params["right"] else less(element, value)
    step = Store("p2", at, F.select(F.and_(inside, first), moved, place))
    start = nest(axes, extents, (Store("p2", at, const(0)),), "vector")
    search = (*start, *nest([turn], [bits], nest(axes, extents, (step,), "vector")))
    body = nest([i for i, _ in around], [m for _, m in around], search)
    b.add_steps(names[:2], names[2:], [kernel(b, names, "iio", body, apply.origins)], needs)


def _bits(n: Expr) -> Expr:
    """As many bits as a size has, or some more."""
    found: Expr = const(STEPS[-1])
    for bits in reversed(STEPS[:-1]):
        found = F.select(F.lt(n, const(1 << bits)), const(bits), found)
    return found


# sorting ------------------------------------------------------------------------------------------


def sort(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """Rows sorted by native code (codegen/sort_llvm.py), with room for the words of one row."""
    names = [b.buffer(v) for v in (*apply.inputs, apply.output)]
    x = b.buffers[names[0]]
    n = x.shape[-1]
    bits = 8 * dtypes.itemsize(x.dtype)
    paired = params["positions"] and bits <= 32  # a key and its position in one word
    word = TensorType("uint64" if paired else f"uint{bits}", (n,))
    rooms = [b.scratch(word), b.scratch(word)]
    if params["positions"] and not paired:
        rooms += [b.scratch(TensorType("int64", (n,))) for _ in range(2)]
    call = Call("sort", (names[0], *rooms, names[1]), tuple(params.items()), apply.origins)
    b.add_steps(names[:1], [*rooms, names[1]], [call], needs)
