"""Elements chosen or replaced by conditions and positions: choose, select, piecewise, put ..."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError
from symgraph.ir.graph import Variable
from symgraph.ir.types import broadcast_shapes, normalize_axis
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.changing import At
from symgraph.ops.comparison import equal, where
from symgraph.ops.creation import iota
from symgraph.ops.indexing import in_mode
from symgraph.ops.joining import stack
from symgraph.ops.operands import as_variable, promotable
from symgraph.ops.shape import broadcast_arrays, broadcast_to, ravel, reshape
from symgraph.scalar import as_expr, as_size

__all__ = [
    "choose", "copyto", "fill_diagonal", "piecewise", "place", "put", "put_along_axis", "putmask",
    "select",
]  # fmt: skip


# choosing -----------------------------------------------------------------------------------------


def choose(index: Any, choices: Any, mode: str = "raise") -> Variable:
    """At each place the element of ``choices[index]`` there; all shapes broadcast. An index out of
    range is an error when the function runs, wraps or is clipped, see :func:`take`.

    >>> import symgraph as sg
    >>> sg.choose([1, 0], [[1, 2], [3, 4]]).eval().tolist()
    [3, 2]
    """
    if isinstance(choices, Variable):
        choices = [choices[k] for k in range(_count(choices))]
    dtype = dtypes.promote(*map(promotable, choices))
    rows = broadcast_arrays(as_variable(index), *(to_dtype(c, dtype) for c in choices))
    table = stack(rows[1:])
    place = in_mode(rows[0], len(rows) - 1, mode, "choose")
    if mode == "raise":
        place = where(cast(place, "int64") < 0, len(rows) - 1, cast(place, "int64"))  # out of range
    shape = place.shape
    return table[(place, *(iota(n, len(shape), k) for k, n in enumerate(shape)))]  # type: ignore[no-any-return]


def _count(choices: Variable) -> int:
    n = choices.shape[0] if choices.ndim else 0
    if not isinstance(n, int):
        raise ArgumentError("choose: the number of choices must be known")
    return n


def select(conditions: Sequence[Any], choices: Sequence[Any], default: Any = 0) -> Variable:
    """At each place the choice of the first condition that holds there, else ``default``.

    >>> import symgraph as sg
    >>> x = sg.constant([1, 5, 9])
    >>> sg.select([x < 3, x < 7], [x, 10 * x], -1).eval().tolist()
    [1, 50, -1]
    """
    if len(conditions) != len(choices) or not conditions:
        raise ArgumentError(f"select: {len(conditions)} conditions for {len(choices)} choices")
    dtype = dtypes.promote(*map(promotable, choices), promotable(default))
    found = to_dtype(default, dtype)
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        test = as_variable(condition)
        if test.dtype != "bool":
            raise ArgumentError(f"select: a condition is {test.dtype}, not bool")
        found = where(test, to_dtype(choice, dtype), found)
    shape = broadcast_shapes(*(as_variable(c).shape for c in (*conditions, *choices)))
    return broadcast_to(found, shape)


def piecewise(
    x: Any, conditions: Any, functions: Sequence[Any], *args: Any, **kwargs: Any
) -> Variable:
    """At each place the function (or number) of the last condition that holds there; one more
    function than conditions is for the rest, which else is 0. The result has the dtype of x.

    >>> import symgraph as sg
    >>> x = sg.constant([-2.0, 3.0])
    >>> sg.piecewise(x, [x < 0, x >= 0], [lambda v: -v, 1.0]).eval().tolist()
    [2.0, 1.0]
    """
    x = as_variable(x)
    if isinstance(conditions, Variable) and conditions.ndim <= x.ndim:
        conditions = [conditions]
    tests = [as_variable(c) for c in conditions]
    if len(functions) not in (len(tests), len(tests) + 1):
        raise ArgumentError(f"piecewise: {len(functions)} functions for {len(tests)} conditions")
    values = [f(x, *args, **kwargs) if callable(f) else f for f in functions]
    rest = values[-1] if len(values) > len(tests) else 0
    found = broadcast_to(to_dtype(rest, x.dtype), x.shape)
    for test, value in zip(tests, values, strict=False):
        found = where(cast(test, "bool"), to_dtype(value, x.dtype), found)
    return found


# replacing, in a copy -----------------------------------------------------------------------------


def put(x: Any, indices: Any, values: Any, mode: str = "raise") -> Variable:
    """A copy of x with ``values`` (repeated as often as needed) at the positions ``indices`` of the
    flattened x.

    >>> import symgraph as sg
    >>> sg.put([0, 0, 0, 0], [1, 3], [7, 8]).eval().tolist()
    [0, 7, 0, 8]
    """
    x = as_variable(x)
    flat = ravel(x)
    index = ravel(as_variable(indices))
    index = in_mode(index, flat.shape[0], mode, "put")
    return reshape(At(flat)[index].set(_repeated(values, index.shape[0], x.dtype)), x.shape)


def _repeated(values: Any, size: Any, dtype: str) -> Variable:
    v = ravel(to_dtype(values, dtype))
    n = v.shape[0]
    if n is size or n == size:
        return v
    return v[iota(size) % n] if not (isinstance(n, int) and n == 1) else broadcast_to(v, (size,))


def put_along_axis(x: Any, indices: Any, values: Any, axis: int | None) -> Variable:
    """A copy of x with ``values`` at the positions that :func:`take_along_axis` reads.

    >>> import symgraph as sg
    >>> sg.put_along_axis([[1, 2], [3, 4]], [[1], [0]], 9, 1).eval().tolist()
    [[1, 9], [9, 4]]
    """
    x, index = as_variable(x), as_variable(indices)
    if axis is None:
        flat = ravel(x)
        return reshape(put_along_axis(flat, ravel(index), values, 0), x.shape)
    axis = normalize_axis(axis, x.ndim, "put_along_axis: axis")
    if index.ndim != x.ndim:
        raise RankError(f"put_along_axis: {index.ndim} and {x.ndim} dimensions")
    places = [index if k == axis else iota(n, x.ndim, k) for k, n in enumerate(x.shape)]
    return At(x)[tuple(places)].set(values)


def putmask(x: Any, mask: Any, values: Any) -> Variable:
    """A copy of x with ``values`` where ``mask`` is true: element i of the flattened x becomes
    element i of the values, counted round.

    >>> import symgraph as sg
    >>> sg.putmask([1, 2, 3, 4], [False, True, True, False], [7, 8]).eval().tolist()
    [1, 8, 7, 4]
    """
    x = as_variable(x)
    size = ravel(x).shape[0]
    return where(
        cast(as_variable(mask), "bool"), reshape(_repeated(values, size, x.dtype), x.shape), x
    )


def place(x: Any, mask: Any, values: Any) -> Variable:
    """A copy of x with the first of ``values`` at the first true place of ``mask`` and so on,
    counted round.

    >>> import symgraph as sg
    >>> sg.place([1, 2, 3, 4], [False, True, True, False], [7, 8]).eval().tolist()
    [1, 7, 8, 4]
    """
    x = as_variable(x)
    test = broadcast_to(cast(as_variable(mask), "bool"), x.shape)
    v = ravel(to_dtype(values, x.dtype))
    number = ravel(test).cumsum() - 1
    taken = v[where(number < 0, 0, number) % v.shape[0]]
    return where(test, reshape(taken, x.shape), x)


def copyto(x: Any, values: Any, mask: Any = True) -> Variable:
    """``values`` in the shape and dtype of x, where ``mask`` is true; x elsewhere.

    >>> import symgraph as sg
    >>> sg.copyto([1.0, 2.0], 9, [True, False]).eval().tolist()
    [9.0, 2.0]
    """
    x = as_variable(x)
    source = broadcast_to(to_dtype(values, x.dtype), x.shape)
    return where(broadcast_to(cast(as_variable(mask), "bool"), x.shape), source, x)


def fill_diagonal(x: Any, value: Any, wrap: bool = False) -> Variable:
    """A copy of x with ``value`` (repeated as often as needed) on the main diagonal; of more than
    two axes, which are equal then, at the places with equal indices. With ``wrap`` the diagonal of
    a tall matrix begins anew below its end.

    >>> import symgraph as sg
    >>> sg.fill_diagonal(sg.zeros((2, 2)), 5.0).eval().tolist()
    [[5.0, 0.0], [0.0, 5.0]]
    """
    x = as_variable(x)
    if x.ndim < 2:
        raise RankError(f"fill_diagonal needs two axes, got {x.ndim}")
    rows = [iota(n, x.ndim, k) for k, n in enumerate(x.shape)]
    if wrap and x.ndim == 2:
        width = x.shape[1]
        on = equal((rows[0] * width + rows[1]) % as_size(as_expr(width) + 1), 0)
        number = (rows[0] * width + rows[1]) // as_size(as_expr(width) + 1)
    else:
        on = equal(rows[0], rows[1])
        for r in rows[2:]:
            on = on & equal(rows[0], r)
        number = rows[0]
    v = ravel(to_dtype(value, x.dtype))
    single = isinstance(v.shape[0], int) and v.shape[0] == 1
    return where(on, reshape(v, ()) if single else v[number % v.shape[0]], x)
