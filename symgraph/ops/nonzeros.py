"""Where elements are, and what is made of the places: nonzero, argwhere, extract, trim_zeros.

The size of the result is known when the mask has been computed; a compiled function goes on in a
further part then. With ``size`` it is fixed, as in JAX, and everything stays in one part: this also
works inside loops and under vmap.
"""

from __future__ import annotations

from typing import Any

from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.operators import in_language
from symgraph.ir.types import Size
from symgraph.ops import comparison, reductions
from symgraph.ops.arithmetic import floor_divide, minimum, remainder
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.comparison import equal, not_equal
from symgraph.ops.creation import full, iota
from symgraph.ops.cumulative import cumsum
from symgraph.ops.data_sizes import flat_positions, size_from
from symgraph.ops.debugging import assert_
from symgraph.ops.gathering import scatter
from symgraph.ops.indexing import take, unravelled
from symgraph.ops.joining import stack
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import as_shape, broadcast_to, flip, ravel
from symgraph.ops.sorting import searchsorted
from symgraph.scalar import as_expr, as_size

__all__ = ["argwhere", "extract", "flatnonzero", "nonzero", "trim_zeros", "where"]


def truths(x: Any) -> Variable:
    """Where x is not zero."""
    found = as_variable(x)
    return found if found.dtype == "bool" else not_equal(found, 0)  # type: ignore[no-any-return]


def first_positions(mask: Variable, size: Any, fill: Any) -> Variable:
    """The positions of the first ``size`` true elements of a vector; ``fill`` where there are
    fewer. Each true element writes its position at its rank; what does not fit is cut off."""
    (count,) = as_shape(size, "size")
    rank = cumsum(cast(mask, "int64")) - 1
    place = comparison.where(mask, minimum(rank, as_variable(count)), as_variable(count))
    room = full((as_size(as_expr(count) + 1),), to_dtype(fill, "int64"))
    return scatter("set", (0,), room, iota(mask.shape[0]), (place,))[:count]  # type: ignore[no-any-return]


def positions(mask: Variable, size: Any = None, fill: Any = 0) -> Variable:
    """The positions of the true elements of a mask, counted in C order."""
    if size is None:
        return flat_positions(mask)
    return first_positions(ravel(mask), size, fill)


def flatnonzero(x: Any, size: Any = None, fill_value: Any = 0) -> Variable:
    """The positions in C order of the elements that are not 0, as an int64 vector.

    Its size depends on the values, or is ``size``: then positions beyond it are left out and
    missing ones are ``fill_value``.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.flatnonzero(x).eval({x: [3.0, 0.0, 5.0]}).tolist()
    [0, 2]
    >>> sg.flatnonzero(x, size=3, fill_value=-1).eval({x: [3.0, 0.0, 5.0]}).tolist()
    [0, 2, -1]
    """
    return positions(truths(x), size, fill_value)


@in_language("nonzero")
def nonzero(x: Any, size: Any = None, fill_value: Any = 0) -> tuple[Variable, ...]:
    """The positions of the elements that are not 0: one int64 vector for each axis, in C order.

    The size depends on the values, or is ``size`` (see :func:`flatnonzero`; ``fill_value`` may be a
    tuple with one for each axis). Raises RankError for a scalar.

    >>> import symgraph as sg
    >>> x = sg.matrix("x")
    >>> [i.eval({x: [[0.0, 7.0], [8.0, 0.0]]}).tolist() for i in sg.nonzero(x)]
    [[0, 1], [1, 0]]
    """
    mask = truths(x)
    if mask.ndim == 0:
        raise RankError("nonzero of a scalar", hint="sg.atleast_1d makes a vector of it")
    if size is None:
        return tuple(unravelled(mask, mask.shape))
    fills = fill_value if isinstance(fill_value, tuple | list) else (fill_value,) * mask.ndim
    if len(fills) != mask.ndim:
        raise ArgumentError(f"nonzero: {len(fills)} values of fill_value for {mask.ndim} axes")
    flat = first_positions(ravel(mask), size, -1)
    found: list[Variable] = []
    stride: Size = 1
    for n, fill in zip(reversed(mask.shape), reversed(fills), strict=True):
        index = remainder(floor_divide(flat, as_variable(stride)), as_variable(n))
        found.append(comparison.where(flat < 0, to_dtype(fill, "int64"), index))
        stride = as_size(as_expr(stride) * n)
    return tuple(found[::-1])


def where(condition: Any, a: Any = None, b: Any = None) -> Any:
    """The elements of a where ``condition`` is true (not zero), else those of b; all shapes
    broadcast. With the condition alone: :func:`nonzero` of it.

    The derivative of each element passes to the operand it came from and is exactly 0 for the
    other, so that a NaN or infinity there does not leak.

    >>> import symgraph as sg
    >>> sg.where([True, False], 1.0, -1.0).eval().tolist()
    [1.0, -1.0]
    """
    if a is None and b is None:
        return nonzero(condition)
    if a is None or b is None:
        raise ArgumentError("where takes both values or none")
    return comparison.where(condition, a, b)


def argwhere(x: Any, size: Any = None, fill_value: Any = 0) -> Variable:
    """The positions of the elements that are not 0, one row of ``x.ndim`` indices for each.

    >>> import symgraph as sg
    >>> x = sg.matrix("x")
    >>> sg.argwhere(x).eval({x: [[0.0, 7.0], [8.0, 0.0]]}).tolist()
    [[0, 1], [1, 0]]
    """
    mask = truths(x)
    if mask.ndim == 0:
        return full((positions(mask, size).shape[0], 0), 0, "int64")
    return stack(nonzero(mask, size, fill_value), 1)


def extract(condition: Any, x: Any, size: Any = None, fill_value: Any = 0) -> Variable:
    """The elements of x, in C order, at the places where ``condition`` is not 0.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.extract(x > 1, x).eval({x: [1.0, 2.0, 3.0]}).tolist()
    [2.0, 3.0]
    """
    mask, x = ravel(truths(condition)), ravel(as_variable(x))
    if size is None:
        return take(x, flat_positions(mask))
    found = first_positions(mask, size, -1)
    values = take(x, comparison.where(found < 0, 0, found), mode="clip")
    return comparison.where(found < 0, to_dtype(fill_value, x.dtype), values)  # type: ignore[no-any-return]


@in_language("compressed")
def compressed(condition: Variable, x: Variable, axis: int) -> Variable:
    """The slices of x along an axis where a computed vector is not 0."""
    mask = truths(condition)
    if mask.ndim != 1:
        raise RankError(f"compress: the condition is a vector, not of {mask.ndim} dimensions")
    return take(x, flat_positions(mask), axis)


@in_language("repeat_counts")
def repeat_counts(x: Variable, counts: Variable, axis: int) -> Variable:
    """Element k along an axis repeated ``counts[k]`` times: output place j holds the element behind
    whose end, in the running sum of the counts, j does not lie yet."""
    n = x.shape[axis]
    known = isinstance(n, int) and isinstance(counts.shape[0], int)
    if known and counts.shape[0] not in (n, 1):
        raise ShapeError(f"repeat: {counts.shape[0]} counts for an axis of size {n}")
    times = broadcast_to(cast(counts, "int64"), (n,))
    times = assert_(times, reductions.all(times >= 0), "repeat: a count is negative")
    ends = cumsum(times)
    total = size_from(reductions.sum(times))
    return take(x, searchsorted(ends, iota(total), "right"), axis)


def trim_zeros(x: Any, trim: str = "fb") -> Variable:
    """The vector x without the zeros at its front ("f" in ``trim``) and its end ("b").

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.trim_zeros(x).eval({x: [0.0, 1.0, 0.0, 2.0, 0.0]}).tolist()
    [1.0, 0.0, 2.0]
    """
    x = as_variable(x)
    if x.ndim != 1:
        raise RankError(f"trim_zeros takes a vector, not {x.ndim} dimensions")
    sides = trim.lower()
    if not sides or set(sides) - {"f", "b"}:
        raise ArgumentError(f"trim_zeros: trim is made of f and b, not {trim!r}")
    here = not_equal(x, 0)
    start = _leading(here) if "f" in sides else None
    stop = as_variable(x.shape[0]) - _leading(flip(here, 0)) if "b" in sides else None
    return x[start:stop]  # type: ignore[no-any-return]


def _leading(mask: Variable) -> Variable:
    """How many elements stand before the first true one."""
    return reductions.sum(equal(cumsum(cast(mask, "int64")), 0), dtype="int64")
