"""Joining tensors and taking them apart: concatenate, stack, split."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import Size, TensorType, normalize_axis, same_size
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.ops.cast import to_dtype
from symgraph.ops.operands import as_variable, promotable
from symgraph.ops.shape import as_shape, expand_dims
from symgraph.ops.slicing import Embed, Slice, SliceUpdate, fill
from symgraph.scalar import Expr, as_expr, as_size, guard
from symgraph.scalar.functions import and_, le, lt, select

__all__ = ["concatenate", "hstack", "split", "stack", "vstack"]


class Concatenate(Op):
    """The inputs one after another along ``axis``; all other sizes agree."""

    name = "concatenate"
    axis: int

    def infer(self, *xs: TensorType) -> TensorType:
        shape = list(xs[0].shape)
        for x in xs[1:]:
            for k, size in enumerate(x.shape):
                if k == self.axis:
                    shape[k] = as_size(as_expr(shape[k]) + size)
                else:
                    shape[k] = same_size(shape[k], size, f"concatenate: sizes differ on axis {k}")
        return xs[0].with_shape(shape)

    def reference(self, *xs: Any) -> Any:
        return np.concatenate(xs, self.axis)

    def vjp(self, g: Variable, y: Variable, *xs: Variable) -> tuple[Variable, ...]:
        parts = []
        offset: Size = 0
        for x in xs:
            parts.append(part_of(g, self.axis, offset, x.shape[self.axis]))
            offset = as_size(as_expr(offset) + x.shape[self.axis])
        return tuple(parts)

    def lower(self, out: TensorType, *xs: Operand) -> Compute:
        axis = self.axis

        def element(*i: Expr) -> Expr:
            j = i[axis]
            begins: list[Size] = [0]
            for x in xs:
                begins.append(as_size(as_expr(begins[-1]) + x.shape[axis]))
            found: Expr | None = None
            for x, begin, end in reversed(list(zip(xs, begins, begins[1:], strict=False))):
                here = x(*i[:axis], j - begin, *i[axis + 1 :])
                tests = [] if begin == 0 else [le(as_expr(begin), j)]
                if found is not None:
                    tests.append(lt(j, as_expr(end)))
                if tests:
                    here = guard(here, tests[0] if len(tests) == 1 else and_(*tests))
                found = here if found is None else select(lt(j, as_expr(end)), here, found)
            assert found is not None
            return found

        return pointwise(out.shape, element)


def part_of(x: Variable, axis: int, start: Size, size: Size) -> Variable:
    """``size`` elements of one axis from ``start`` on, known to be in range."""
    starts: list[Size] = [0] * x.ndim
    sizes = list(x.shape)
    starts[axis], sizes[axis] = start, size
    return Slice(tuple(starts), (1,) * x.ndim, tuple(sizes))(x)  # type: ignore[no-any-return]


def _joined(xs: Any, what: str) -> list[Variable]:
    """The operands as tensors of their common dtype."""
    if isinstance(xs, Variable):
        if not xs.ndim or not isinstance(xs.shape[0], int):
            raise ArgumentError(
                f"{what} takes a list of tensors, not the one tensor {xs.label()}",
                operands=[(xs.label(), xs.type.text(), xs.origin)],
                hint=f"write sg.{what}([x, y])",
            )
        xs = list(xs)
    if not isinstance(xs, tuple | list) or not xs:
        given = "an empty one" if isinstance(xs, tuple | list) else type(xs).__name__
        raise ArgumentError(
            f"{what} takes a sequence of at least one tensor, not {given}",
            hint=f"write sg.{what}([x, y])",
        )
    dtype = dtypes.promote(*map(promotable, xs))
    return [to_dtype(x, dtype) for x in xs]


def concatenate(xs: Sequence[Any], axis: int | None = 0) -> Variable:
    """The tensors one after another along an existing axis (flattened first when it is None).

    Raises ShapeError when another size differs, RankError when the ranks do.

    >>> import symgraph as sg
    >>> sg.concatenate([[1, 2], [3]]).eval().tolist()
    [1, 2, 3]
    """
    parts = _joined(xs, "concatenate")
    if axis is None:
        parts, axis = [p.reshape(-1) for p in parts], 0
    ranks = sorted({p.ndim for p in parts})
    if ranks[0] == 0 or len(ranks) > 1:
        text = " and ".join(map(str, ranks))
        hint = "x[None] adds a leading axis" if ranks[0] else "sg.stack joins along a new axis"
        raise RankError(f"concatenate: cannot join tensors of {text} dimensions", hint=hint)
    axis = normalize_axis(axis, ranks[0], "concatenate: axis")
    return parts[0] if len(parts) == 1 else Concatenate(axis)(*parts)  # type: ignore[no-any-return]


def stack(xs: Sequence[Any], axis: int = 0) -> Variable:
    """Tensors of one shape along a new axis.

    >>> import symgraph as sg
    >>> sg.stack([[1, 2], [3, 4]], axis=1).eval().tolist()
    [[1, 3], [2, 4]]
    """
    parts = _joined(xs, "stack")
    ranks = sorted({p.ndim for p in parts})
    if len(ranks) > 1:
        raise RankError(f"stack: tensors of {ranks[0]} and {ranks[-1]} dimensions")
    return concatenate([expand_dims(p, axis) for p in parts], axis)


def vstack(xs: Sequence[Any]) -> Variable:
    """Tensors joined along the first axis; vectors become rows.

    >>> import symgraph as sg
    >>> sg.vstack([[1, 2], [3, 4]]).eval().tolist()
    [[1, 2], [3, 4]]
    """
    rows = [as_variable(x) for x in xs]
    return concatenate([r.reshape(1, -1) if r.ndim < 2 else r for r in rows])


def hstack(xs: Sequence[Any]) -> Variable:
    """Tensors joined along the second axis, vectors along their only one.

    >>> import symgraph as sg
    >>> sg.hstack([[1, 2], [3]]).eval().tolist()
    [1, 2, 3]
    """
    parts = [as_variable(x) for x in xs]
    parts = [p.reshape(1) if p.ndim == 0 else p for p in parts]
    return concatenate(parts, 0 if not parts or parts[0].ndim == 1 else 1)


def split(x: Any, parts: Any, axis: int = 0) -> list[Variable]:
    """x cut along an axis into equal ``parts`` (an int), or before the positions ``parts``.

    Raises ShapeError when the axis cannot be cut equally.

    >>> import symgraph as sg
    >>> [p.eval().tolist() for p in sg.split([1, 2, 3, 4], 2)]
    [[1, 2], [3, 4]]
    """
    x = as_variable(x)
    axis = normalize_axis(axis, x.ndim, "split: axis")
    n = x.shape[axis]
    if isinstance(parts, tuple | list | np.ndarray):
        cuts = [None, *parts, None]
        whole = (slice(None),) * axis
        return [x[(*whole, slice(a, b))] for a, b in pairwise(cuts)]
    (count,) = as_shape(parts, "split")
    if not isinstance(count, int) or count == 0:
        raise ArgumentError("split: the number of parts is a positive int")
    if isinstance(n, int) and n % count:
        raise ShapeError(
            f"split: an axis of size {n} cannot be cut into {count} equal parts",
            hint="sg.array_split makes parts that differ by 1; "
            f"sg.split(x, [{n // count}]) cuts there",
        )
    size = as_size(as_expr(n) // count)
    whole_axis = (*x.shape[:axis], as_size(as_expr(size) * count), *x.shape[axis + 1 :])
    x = x.reshape(whole_axis)  # the same shape; checks at run time that the parts are equal
    return [part_of(x, axis, as_size(as_expr(size) * k), size) for k in range(count)]


# padding by constants (ops/padding.py has the public function and the other modes) ----------------


def pad(x: Any, widths: Any, constant_values: Any = 0) -> Variable:
    """x with ``widths`` (before, after) elements of one value added around each axis.

    >>> pad([1, 2], (1, 2)).type.text()
    'int64[5]'
    """
    x = as_variable(x)
    pairs = width_pairs(widths, x.ndim, lambda p: as_shape(p, "pad"))
    before = tuple(b for b, _ in pairs)
    rows = zip(x.shape, pairs, strict=True)
    shape = tuple(as_size(as_expr(n) + b + a) for n, (b, a) in rows)
    ones = (1,) * x.ndim
    if not isinstance(constant_values, Variable) and constant_values == 0:
        return Embed(before, ones, shape)(x)  # type: ignore[no-any-return]
    if isinstance(constant_values, Variable):
        ground = to_dtype(constant_values, x.dtype) + fill(TensorType(x.dtype, shape), 0)
    else:
        ground = fill(TensorType(x.dtype, shape), constant_values)
    return SliceUpdate(before, ones)(ground, x)  # type: ignore[no-any-return]


def width_pairs(given: Any, ndim: int, convert: Any) -> list[tuple[Any, Any]]:
    """(before, after) of each axis, from the forms that NumPy takes: one, a pair, pairs."""
    if not isinstance(given, tuple | list | np.ndarray):
        given = (given, given)
    rows = [w if isinstance(w, tuple | list | np.ndarray) else None for w in given]
    if all(r is None for r in rows):
        rows = [given]
    if any(r is None or len(r) not in (1, 2) for r in rows) or len(rows) not in (1, ndim):
        raise ArgumentError(f"pad: {given} do not fit {ndim} dimensions")
    pairs = [convert(tuple(r)) for r in rows if r is not None]
    full = [(p[0], p[-1]) for p in pairs]
    return full * ndim if len(full) == 1 else full
