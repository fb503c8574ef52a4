"""NumPy's other names, and its small functions that are made of one or two of ours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ops import reductions
from symgraph.ops.arithmetic import maximum, power, remainder, round, sqrt, trunc
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.comparison import (
    bitwise_and,
    equal,
    invert,
    isnan,
    left_shift,
    right_shift,
    where,
)
from symgraph.ops.complex_numbers import conj
from symgraph.ops.creation import iota
from symgraph.ops.cumulative import cumprod as _cumprod
from symgraph.ops.cumulative import cumsum
from symgraph.ops.differences import diff
from symgraph.ops.exponential import exp, logaddexp
from symgraph.ops.grids import tril_indices, triu_indices
from symgraph.ops.joining import concatenate, pad, vstack
from symgraph.ops.linalg import cross, kron, matrix_transpose, vander
from symgraph.ops.matrix import diag, matmul, vecdot
from symgraph.ops.operands import as_variable, promotable
from symgraph.ops.shape import as_int, expand_dims, ravel, reshape, squeeze
from symgraph.ops.sorting import searchsorted, sort
from symgraph.ops.special_bessel import i0, i0e
from symgraph.ops.trigonometric import cos
from symgraph.scalar import as_expr, as_size

__all__ = [
    "amax", "amin", "apply_over_axes", "around", "array", "asanyarray", "asarray", "bartlett",
    "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_right_shift", "blackman",
    "bmat", "copy", "cross", "cumulative_prod", "cumulative_sum", "diag_indices_from", "diagflat",
    "fix", "hamming", "hanning", "i0", "isin", "kaiser", "kron", "logaddexp2", "matrix_transpose",
    "matvec", "ndim",
    "packbits", "poly", "polydiv", "pow", "row_stack", "shape", "sort_complex", "tril_indices_from",
    "triu_indices_from", "unpackbits", "unwrap", "vander", "vdot", "vecmat",
]  # fmt: skip

amax, amin, around, pow = reductions.max, reductions.min, round, power
bitwise_invert = bitwise_not = invert
bitwise_left_shift, bitwise_right_shift = left_shift, right_shift
fix, row_stack = trunc, vstack


# tensors as such ----------------------------------------------------------------------------------


def asarray(x: Any, dtype: Any = None) -> Variable:
    """The tensor that an operand stands for, in the dtype if one is given.

    >>> import symgraph as sg
    >>> sg.asarray([1, 2], "float32").eval().tolist()
    [1.0, 2.0]
    """
    return as_variable(x) if dtype is None else to_dtype(x, dtypes.as_dtype(dtype))


array = asanyarray = copy = asarray


def ndim(x: Any) -> int:
    """The number of axes.

    >>> import symgraph as sg
    >>> sg.ndim([[1, 2]])
    2
    """
    return as_variable(x).ndim


def shape(x: Any) -> tuple[Any, ...]:
    """The sizes of the axes: ints, or expressions of symbolic sizes.

    >>> import symgraph as sg
    >>> sg.shape([[1, 2]])
    (1, 2)
    """
    return as_variable(x).shape


def bmat(rows: Any) -> Variable:
    """A matrix from rows of blocks, see :func:`block`.

    >>> import symgraph as sg
    >>> sg.bmat([[sg.ones((1, 1)), sg.zeros((1, 1))]]).eval().tolist()
    [[1.0, 0.0]]
    """
    given = rows if rows and isinstance(rows[0], list | tuple) else [rows]
    return concatenate([concatenate(list(r), -1) for r in given], 0)


def apply_over_axes(function: Any, x: Any, axes: Any) -> Variable:
    """``function(x, axis)`` for one axis after another; axes that it takes away become 1.

    >>> import symgraph as sg
    >>> sg.apply_over_axes(sg.sum, [[1, 2], [3, 4]], [0, 1]).eval().tolist()
    [[10]]
    """
    x = as_variable(x)
    rank = x.ndim
    for a in axes if isinstance(axes, tuple | list) else [axes]:
        k = a + rank if a < 0 else a
        found = function(x, k)
        x = expand_dims(found, k) if found.ndim == rank - 1 else found
        if x.ndim != rank:
            raise RankError("apply_over_axes: the function changes the number of axes")
    return x


# running folds of the array API -------------------------------------------------------------------


def _with_start(
    fold: Any, first: int, x: Any, axis: int | None, dtype: Any, include_initial: bool
) -> Variable:
    x = as_variable(x)
    if axis is None and x.ndim != 1:
        raise ArgumentError("the axis of a running fold is given unless x is a vector")
    axis = 0 if axis is None else axis
    found = fold(x, axis, dtype)
    if not include_initial:
        return found  # type: ignore[no-any-return]
    widths = [(0, 0)] * x.ndim
    widths[axis] = (1, 0)
    return pad(found, widths, first)


def cumulative_sum(
    x: Any, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Variable:
    """:func:`cumsum`, beginning with 0 if ``include_initial``.

    >>> import symgraph as sg
    >>> sg.cumulative_sum([1, 2], include_initial=True).eval().tolist()
    [0, 1, 3]
    """
    return _with_start(cumsum, 0, x, axis, dtype, include_initial)


def cumulative_prod(
    x: Any, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Variable:
    """:func:`cumprod`, beginning with 1 if ``include_initial``.

    >>> import symgraph as sg
    >>> sg.cumulative_prod([2, 3], include_initial=True).eval().tolist()
    [1, 2, 6]
    """
    return _with_start(_cumprod, 1, x, axis, dtype, include_initial)


# products -----------------------------------------------------------------------------------------


def vdot(a: Any, b: Any) -> Variable:
    """The dot product of the flattened operands; of complex ones the first is conjugated.

    >>> import symgraph as sg
    >>> sg.vdot([[1, 2], [3, 4]], [[5, 6], [7, 8]]).eval().tolist()
    70
    """
    return vecdot(ravel(as_variable(a)), ravel(as_variable(b)))


def matvec(a: Any, x: Any) -> Variable:
    """Matrices times vectors over the last axes, the leading ones broadcast.

    >>> import symgraph as sg
    >>> sg.matvec([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0]).eval().tolist()
    [3.0, 7.0]
    """
    x = as_variable(x)
    return squeeze(matmul(a, expand_dims(x, x.ndim)), -1)


def vecmat(x: Any, a: Any) -> Variable:
    """Vectors times matrices over the last axes, the leading ones broadcast; complex vectors are
    conjugated.

    >>> import symgraph as sg
    >>> sg.vecmat([1.0, 1.0], [[1.0, 2.0], [3.0, 4.0]]).eval().tolist()
    [4.0, 6.0]
    """
    x = conj(x)
    return squeeze(matmul(expand_dims(x, x.ndim - 1), a), -2)


def diagflat(x: Any, k: int = 0) -> Variable:
    """The matrix with the flattened x on diagonal k.

    >>> import symgraph as sg
    >>> sg.diagflat([[1, 2]]).eval().tolist()
    [[1, 0], [0, 2]]
    """
    return diag(ravel(as_variable(x)), k)


def logaddexp2(a: Any, b: Any) -> Variable:
    """log2(2**a + 2**b) without overflow.

    >>> import symgraph as sg
    >>> sg.logaddexp2(1000.0, 1000.0).eval().round(6).tolist()
    1001.0
    """
    dtype = dtypes.promote(promotable(a), promotable(b), float)
    scale = math.log(2)
    return logaddexp(to_dtype(a, dtype) * scale, to_dtype(b, dtype) * scale) / scale


# indices ------------------------------------------------------------------------------------------


def _matrix_size(x: Any, name: str) -> tuple[int, int]:
    sizes = as_variable(x).shape
    if len(sizes) != 2 or not all(isinstance(n, int) for n in sizes):
        raise ShapeError(f"{name} takes a matrix of known sizes")
    return sizes  # type: ignore[return-value]


def tril_indices_from(x: Any, k: int = 0) -> tuple[Variable, Variable]:
    """:func:`tril_indices` of the shape of x.

    >>> import symgraph as sg
    >>> [i.eval().tolist() for i in sg.tril_indices_from(sg.eye(2))]
    [[0, 1, 1], [0, 0, 1]]
    """
    n, m = _matrix_size(x, "tril_indices_from")
    return tril_indices(n, k, m)


def triu_indices_from(x: Any, k: int = 0) -> tuple[Variable, Variable]:
    """:func:`triu_indices` of the shape of x.

    >>> import symgraph as sg
    >>> [i.eval().tolist() for i in sg.triu_indices_from(sg.eye(2))]
    [[0, 0, 1], [0, 1, 1]]
    """
    n, m = _matrix_size(x, "triu_indices_from")
    return triu_indices(n, k, m)


def diag_indices_from(x: Any) -> tuple[Variable, ...]:
    """:func:`diag_indices` of the shape of x, whose axes are equal.

    >>> import symgraph as sg
    >>> [i.eval().tolist() for i in sg.diag_indices_from(sg.eye(2))]
    [[0, 1], [0, 1]]
    """
    x = as_variable(x)
    if x.ndim < 2:
        raise RankError(f"diag_indices_from needs two axes, got {x.ndim}")
    return (iota(x.shape[0]),) * x.ndim


def isin(x: Any, among: Any, invert: bool = False) -> Variable:
    """Where an element of x is one of ``among``, by binary search among the sorted ones; NaN is
    not.

    >>> import symgraph as sg
    >>> sg.isin([[0, 1], [2, 3]], [3, 1]).eval().tolist()
    [[False, True], [False, True]]
    """
    dtype = dtypes.promote(promotable(x), promotable(among))
    values, table = to_dtype(x, dtype), ravel(to_dtype(among, dtype))
    table = sort(table)
    found = searchsorted(table, values, "right") > searchsorted(table, values)
    if dtypes.is_float(dtype):
        found = found & ~isnan(values)
    return ~found if invert else found


# angles and windows -------------------------------------------------------------------------------


def unwrap(x: Any, discont: Any = None, axis: int = -1, period: float = 2 * math.pi) -> Variable:
    """x along ``axis`` with jumps of more than half a period (or ``discont``) taken away by adding
    periods.

    >>> import symgraph as sg
    >>> sg.unwrap([0.0, 6.0]).eval().round(6).tolist()
    [0.0, -0.283185]
    """
    x = as_variable(x)
    x = x if dtypes.is_float(x.dtype) else cast(x, "float64")
    half = period / 2
    limit = half if discont is None else discont
    step = diff(x, axis=axis)
    turned = remainder(step + half, period) - half
    turned = where(equal(turned, -half) & (step > 0), half, turned)
    correction = where(abs(step) < limit, 0, turned - step)
    k = axis % x.ndim
    widths = [(0, 0)] * x.ndim
    widths[k] = (1, 0)
    n = as_expr(x.shape[k])
    # the sizes n and max(n - 1, 0) + 1 are one for every axis that has elements
    moved = pad(cumsum(correction, k), widths)
    target = (*x.shape[:k], as_size(n), *x.shape[k + 1 :])
    return x + reshape(moved, target)


def _window(n: int, inner: Any) -> Variable:
    """A window over -(n-1), ..., n-1 in steps of 2, which stands for one period."""
    count = as_int(n, "window")
    if count < 1:
        return cast(iota(0), "float64")
    if count == 1:
        return cast(iota(1) + 1, "float64")
    return inner(cast(2 * iota(count) - (count - 1), "float64"), count)  # type: ignore[no-any-return]


def bartlett(n: int) -> Variable:
    """The triangular window of n points that ends in 0.

    >>> import symgraph as sg
    >>> sg.bartlett(5).eval().tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    return _window(n, lambda k, n: where(k <= 0, 1 + k / (n - 1), 1 - k / (n - 1)))


def hanning(n: int) -> Variable:
    """The raised cosine window of n points.

    >>> import symgraph as sg
    >>> sg.hanning(3).eval().tolist()
    [0.0, 1.0, 0.0]
    """
    return _window(n, lambda k, n: 0.5 + 0.5 * cos(math.pi * k / (n - 1)))


def hamming(n: int) -> Variable:
    """The raised cosine window of n points with a pedestal of 0.08.

    >>> import symgraph as sg
    >>> sg.hamming(3).eval().round(6).tolist()
    [0.08, 1.0, 0.08]
    """
    return _window(n, lambda k, n: 0.54 + 0.46 * cos(math.pi * k / (n - 1)))


def blackman(n: int) -> Variable:
    """The window of n points with three cosine terms.

    >>> import symgraph as sg
    >>> sg.blackman(3).eval().round(6).tolist()
    [-0.0, 1.0, -0.0]
    """

    def inner(k: Variable, n: int) -> Variable:
        turn = math.pi * k / (n - 1)
        return 0.42 + 0.5 * cos(turn) + 0.08 * cos(2 * turn)  # type: ignore[no-any-return]

    return _window(n, inner)


def kaiser(n: int, beta: Any) -> Variable:
    """Kaiser's window of n points: the Bessel function i0 of a half circle times ``beta``.

    >>> import symgraph as sg
    >>> sg.kaiser(3, 0.0).eval().tolist()
    [1.0, 1.0, 1.0]
    """

    def inner(k: Variable, n: int) -> Variable:
        place = k / (n - 1)
        # exp(-x) i0(x) does not overflow where beta is large
        wave = beta * sqrt(maximum(1 - place * place, 0))
        return exp(wave - beta) * i0e(wave) / i0e(beta)  # type: ignore[no-any-return]

    return _window(n, inner)


def sort_complex(x: Any) -> Variable:
    """The elements as complex numbers, sorted along the last axis: by their real parts, then by
    their imaginary parts.

    >>> import symgraph as sg
    >>> sg.sort_complex([2.0, 1.0]).eval().tolist()
    [(1+0j), (2+0j)]
    """
    x = as_variable(x)
    return sort(x if dtypes.is_complex(x.dtype) else cast(x, "complex128"))  # type: ignore[no-any-return]


# bits ---------------------------------------------------------------------------------------------


def packbits(x: Any, axis: int | None = None, bitorder: str = "big") -> Variable:
    """Bools (anything not 0) along ``axis`` as bits of uint8, eight to a byte, filled up with 0.

    >>> import symgraph as sg
    >>> sg.packbits([1, 0, 0, 0, 0, 0, 1, 1, 1]).eval().tolist()
    [131, 128]
    """
    x = ravel(as_variable(x)) if axis is None else as_variable(x)
    k = 0 if axis is None else axis % x.ndim
    n = as_expr(x.shape[k])
    count = as_size((n + 7) // 8)
    widths: list[tuple[Any, Any]] = [(0, 0)] * x.ndim
    widths[k] = (0, as_size(as_expr(count) * 8 - n))
    bits = cast(pad(cast(x, "bool"), widths), "uint8")
    bits = reshape(bits, (*x.shape[:k], count, 8, *x.shape[k + 1 :]))
    weights = reshape(as_variable(_powers(bitorder)), (8, *(1,) * (x.ndim - 1 - k)))
    return reductions.sum(bits * weights, k + 1, dtype="uint8")


def unpackbits(x: Any, axis: int | None = None, bitorder: str = "big") -> Variable:
    """The bits of uint8 along ``axis`` as uint8 of 0 and 1.

    >>> import symgraph as sg
    >>> sg.unpackbits(sg.constant([5], "uint8")).eval().tolist()
    [0, 0, 0, 0, 0, 1, 0, 1]
    """
    x = as_variable(x)
    if x.dtype != "uint8":
        raise ArgumentError(f"unpackbits takes uint8, not {x.dtype}")
    x = ravel(x) if axis is None else x
    k = 0 if axis is None else axis % x.ndim
    weights = reshape(as_variable(_powers(bitorder)), (8, *(1,) * (x.ndim - 1 - k)))
    bits = cast(bitwise_and(expand_dims(x, k + 1), weights) > 0, "uint8")
    return reshape(bits, (*x.shape[:k], as_size(as_expr(x.shape[k]) * 8), *x.shape[k + 1 :]))


def _powers(bitorder: str) -> Any:
    if bitorder not in ("big", "little"):
        raise ArgumentError(f"the order of bits is big or little, not {bitorder!r}")
    weights = (1 << np.arange(8)).astype("uint8")
    return weights[::-1].copy() if bitorder == "big" else weights


# polynomials --------------------------------------------------------------------------------------


def poly(roots: Any) -> Variable:
    """The coefficients of the polynomial with these roots (a vector of known size) and 1 in front.

    >>> import symgraph as sg
    >>> sg.poly([1.0, 2.0]).eval().tolist()
    [1.0, -3.0, 2.0]
    """
    zeros = as_variable(roots)
    zeros = zeros if dtypes.is_inexact(zeros.dtype) else cast(zeros, "float64")
    if zeros.ndim != 1 or not isinstance(zeros.shape[0], int):
        raise ShapeError("poly takes a vector of known size")
    found = cast(iota(1) + 1, zeros.dtype)
    for k in range(zeros.shape[0]):
        found = pad(found, (0, 1)) - pad(found * zeros[k], (1, 0))
    return found


def polydiv(u: Any, v: Any) -> tuple[Variable, Variable]:
    """The quotient and remainder of polynomials of known numbers of coefficients. The remainder
    has one coefficient less than v (NumPy drops those that are 0 in front).

    >>> import symgraph as sg
    >>> [p.eval().tolist() for p in sg.polydiv([3.0, 5.0, 2.0], [2.0, 1.0])]
    [[1.5, 1.75], [0.25]]
    """
    dtype = dtypes.promote(promotable(u), promotable(v), float)
    rest, by = ravel(to_dtype(u, dtype)), ravel(to_dtype(v, dtype))
    n, m = rest.shape[0], by.shape[0]
    if not isinstance(n, int) or not isinstance(m, int) or m == 0:
        raise ShapeError("polydiv takes vectors of known sizes")
    if n < m:
        return cast(iota(1) * 0, dtype), rest
    quotient = []
    for _ in range(n - m + 1):
        factor = rest[0] / by[0]
        quotient.append(expand_dims(factor, 0))
        rest = concatenate([rest[1:m] - factor * by[1:], rest[m:]])
    return concatenate(quotient), rest if m > 1 else cast(iota(1) * 0, dtype)
