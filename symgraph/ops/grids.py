"""Coordinates: meshgrid, mgrid, indices, triangles' indices, logarithmic ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Constant, Variable, constant
from symgraph.ops.arithmetic import absolute, sign
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.comparison import equal, where
from symgraph.ops.creation import arange, full, iota, linspace, zeros
from symgraph.ops.exponential import log10
from symgraph.ops.joining import stack
from symgraph.ops.operands import as_variable, promotable
from symgraph.ops.shape import as_int, as_shape, broadcast_arrays, broadcast_to, expand_dims, ravel
from symgraph.scalar import Expr

__all__ = [
    "diag_indices", "empty", "empty_like", "fromfunction", "geomspace", "indices", "ix_",
    "logspace", "meshgrid", "mgrid", "ogrid", "ravel_multi_index", "tril_indices", "triu_indices",
    "unravel_index",
]  # fmt: skip


# grids --------------------------------------------------------------------------------------------


def meshgrid(*xs: Any, indexing: str = "xy", sparse: bool = False) -> list[Variable]:
    """The coordinates of the points of a grid, of which the vectors are the axes: one tensor for
    each vector, of the shape of the grid (with sizes of 1 when ``sparse``). With "xy" the first two
    axes change places, as in pictures; not with "ij".

    >>> import symgraph as sg
    >>> [g.eval().tolist() for g in sg.meshgrid([1, 2], [3, 4, 5], indexing="ij")]
    [[[1, 1, 1], [2, 2, 2]], [[3, 4, 5], [3, 4, 5]]]
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid: indexing is xy or ij, not {indexing!r}")
    vectors = [ravel(as_variable(x)) for x in xs]
    ndim = len(vectors)
    order = list(range(ndim))
    if indexing == "xy" and ndim > 1:
        order[:2] = [1, 0]
    rows = [
        expand_dims(v, tuple(j for j in range(ndim) if j != k)) if ndim > 1 else v
        for k, v in zip(order, vectors, strict=True)
    ]
    return rows if sparse or not rows else broadcast_arrays(*rows)


class _Grid:
    """``mgrid[0:3, 0:1:5j]``: ranges as slices; an imaginary step is a number of points."""

    __slots__ = ("dense",)

    def __init__(self, dense: bool) -> None:
        self.dense = dense

    def __getitem__(self, key: Any) -> Any:
        """One range for each slice: stacked as one tensor when dense, else a list."""
        single = isinstance(key, slice)
        ranges = [_range(s) for s in ((key,) if single else key)]
        if single:
            return ranges[0]
        dtype = dtypes.promote(*(r.dtype for r in ranges))
        grids = meshgrid(
            *(to_dtype(r, dtype) for r in ranges), indexing="ij", sparse=not self.dense
        )
        return stack(grids) if self.dense else grids


def _range(part: slice) -> Variable:
    start = 0 if part.start is None else part.start
    step = 1 if part.step is None else part.step
    if isinstance(step, complex):
        return linspace(float(start), float(part.stop), int(abs(step)))
    return arange(start, part.stop, step)


mgrid, ogrid = _Grid(True), _Grid(False)


def indices(dimensions: Any, dtype: Any = "int64", sparse: bool = False) -> Any:
    """The indices of every element of a shape: one tensor stacked along a first axis, or a tuple
    that broadcasts when ``sparse``.

    >>> import symgraph as sg
    >>> sg.indices((2, 2)).eval().tolist()
    [[[0, 0], [1, 1]], [[0, 1], [0, 1]]]
    """
    shape = as_shape(dimensions, "indices")
    rows = [cast(iota(n, len(shape), k), dtype) for k, n in enumerate(shape)]
    if sparse:
        return tuple(rows)
    if not rows:
        return zeros((0,), dtype)
    return stack([broadcast_to(r, shape) for r in rows])


def ix_(*xs: Any) -> tuple[Variable, ...]:
    """The vectors as index arrays of a grid: ``x[sg.ix_(rows, columns)]``. Constant masks become
    positions.

    >>> import symgraph as sg
    >>> sg.constant([[1, 2], [3, 4]])[sg.ix_([1, 0], [1])].eval().tolist()
    [[4], [2]]
    """
    found = []
    for k, x in enumerate(xs):
        v = as_variable(x)
        if v.ndim != 1:
            raise RankError(f"ix_ takes vectors, got {v.ndim} dimensions")
        if isinstance(v, Constant) and v.dtype == "bool":
            v = constant(np.flatnonzero(v.data))
        v = cast(v, "int64") if v.shape == (0,) else v
        found.append(
            expand_dims(v, tuple(j for j in range(len(xs)) if j != k)) if len(xs) > 1 else v
        )
    return tuple(found)


def fromfunction(function: Any, shape: Any, dtype: Any = "float64") -> Any:
    """``function`` of the indices of every element.

    >>> import symgraph as sg
    >>> sg.fromfunction(lambda i, j: i + j, (2, 2), dtype="int64").eval().tolist()
    [[0, 1], [1, 2]]
    """
    sizes = as_shape(shape, "fromfunction")
    grid = [broadcast_to(cast(iota(n, len(sizes), k), dtype), sizes) for k, n in enumerate(sizes)]
    return function(*grid)


# filled with anything -----------------------------------------------------------------------------


def empty(shape: Any, dtype: Any = "float64") -> Variable:
    """A tensor of the shape, whose elements nobody should count on (they are 0).

    >>> import symgraph as sg
    >>> sg.empty((2, 3)).shape
    (2, 3)
    """
    return full(shape, 0, dtype)


def empty_like(x: Any, dtype: Any = None) -> Variable:
    """:func:`empty` in the shape and, unless given, the dtype of x.

    >>> import symgraph as sg
    >>> sg.empty_like([1, 2]).shape
    (2,)
    """
    x = as_variable(x)
    return full(x.shape, 0, x.dtype if dtype is None else dtype)


# indices of triangles and diagonals ---------------------------------------------------------------


def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Variable, Variable]:
    """The row and column indices of the lower triangle, below and on diagonal k, of an n x m
    matrix. The sizes are ints.

    >>> import symgraph as sg
    >>> [i.eval().tolist() for i in sg.tril_indices(2)]
    [[0, 1, 1], [0, 0, 1]]
    """
    return _triangle(np.tril_indices, n, k, m)


def triu_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Variable, Variable]:
    """The row and column indices of the upper triangle, above and on diagonal k, of an n x m
    matrix. The sizes are ints.

    >>> import symgraph as sg
    >>> [i.eval().tolist() for i in sg.triu_indices(2)]
    [[0, 0, 1], [0, 1, 1]]
    """
    return _triangle(np.triu_indices, n, k, m)


def _triangle(function: Any, n: Any, k: int, m: Any) -> tuple[Variable, Variable]:
    if isinstance(n, Expr) or isinstance(m, Expr):
        raise ShapeError("the indices of a triangle need known sizes", hint="sg.tril, sg.triu mask")
    rows, columns = function(as_int(n, "triangle"), k, None if m is None else as_int(m, "triangle"))
    return constant(rows), constant(columns)


def diag_indices(n: Any, ndim: int = 2) -> tuple[Variable, ...]:
    """Indices of the main diagonal of a tensor of ``ndim`` axes of size n.

    >>> import symgraph as sg
    >>> [i.eval().tolist() for i in sg.diag_indices(2)]
    [[0, 1], [0, 1]]
    """
    return (iota(n),) * ndim


# positions as one number --------------------------------------------------------------------------


def unravel_index(index: Any, shape: Any) -> tuple[Variable, ...]:
    """The indices into each axis of a shape, of positions counted over it in C order.

    Positions are not checked; those out of range come round the first axis.

    >>> import symgraph as sg
    >>> [i.eval().tolist() for i in sg.unravel_index([5, 0], (2, 3))]
    [[1, 0], [2, 0]]
    """
    sizes = as_shape(shape, "unravel_index")
    rest = cast(as_variable(index), "int64")
    found = []
    for n in reversed(sizes):
        found.append(rest % n)
        rest = rest // n
    return tuple(reversed(found))


def ravel_multi_index(multi_index: Sequence[Any], dims: Any, mode: str = "raise") -> Variable:
    """The positions in C order of the indices into each axis of a shape. Modes "wrap" and "clip"
    bring indices into range; "raise" leaves them (constants are checked).

    >>> import symgraph as sg
    >>> sg.ravel_multi_index(([1, 0], [2, 0]), (2, 3)).eval().tolist()
    [5, 0]
    """
    sizes = as_shape(dims, "ravel_multi_index")
    given = list(multi_index)
    if len(given) != len(sizes):
        raise ArgumentError(f"ravel_multi_index: {len(given)} indices for {len(sizes)} axes")
    if mode not in ("raise", "wrap", "clip"):
        raise ArgumentError(f"ravel_multi_index: unknown mode {mode!r}", hint="raise, wrap or clip")
    found: Variable = constant(0)
    for i, n in zip(given, sizes, strict=True):
        index = cast(as_variable(i), "int64")
        if isinstance(index, Constant) and isinstance(n, int) and mode == "raise":
            if ((index.data < 0) | (index.data >= n)).any():
                raise ArgumentError(f"ravel_multi_index: an index is out of range for size {n}")
        index = index % n if mode == "wrap" else index
        index = index.clip(0, n - 1) if mode == "clip" else index
        found = found * n + index
    return found


# ranges of powers ---------------------------------------------------------------------------------


def logspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None
) -> Variable:
    """``base`` to the powers of :func:`linspace`.

    >>> import symgraph as sg
    >>> sg.logspace(0, 2, 3).eval().tolist()
    [1.0, 10.0, 100.0]
    """
    powers = linspace(start, stop, num, endpoint)
    found = to_dtype(base, dtypes.promote(promotable(base), powers.dtype)) ** powers
    return found if dtype is None else cast(found, dtype)


def geomspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None
) -> Variable:
    """``num`` numbers from start to stop, each the same multiple of the one before; both have one
    sign and neither is 0.

    >>> import symgraph as sg
    >>> sg.geomspace(1, 8, 4).eval().round(9).tolist()
    [1.0, 2.0, 4.0, 8.0]
    """
    kind = dtypes.promote(promotable(start), promotable(stop), float)
    low, high = to_dtype(start, kind), to_dtype(stop, kind)
    side = sign(low)
    found = logspace(log10(absolute(low)), log10(absolute(high)), num, endpoint)
    (count,) = as_shape(num, "geomspace")
    place = iota(count)
    found = side * found
    found = where(equal(place, 0), low, found)  # the ends are exact
    if endpoint:
        last = count - 1
        found = where(equal(place, last) & (place > 0), high, found)
    return found if dtype is None else cast(found, dtype)
