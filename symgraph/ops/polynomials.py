"""Polynomials given by coefficients, the highest power first, as in ``np.polyval``."""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ops import reductions
from symgraph.ops.arithmetic import sqrt
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.creation import iota
from symgraph.ops.joining import concatenate, pad
from symgraph.ops.linalg import vander
from symgraph.ops.matrix_functions import lstsq
from symgraph.ops.operands import as_variable, promotable
from symgraph.ops.shape import as_int, expand_dims, ravel
from symgraph.ops.windows import convolve

__all__ = ["polyadd", "polyder", "polyfit", "polyint", "polymul", "polysub", "polyval"]


def _coefficients(p: Any) -> Variable:
    p = as_variable(p)
    if p.ndim > 1:
        raise RankError(f"a polynomial is a vector of coefficients, not of {p.ndim} dimensions")
    return ravel(p)


def polyval(p: Any, x: Any) -> Variable:
    """The polynomial p at x, by Horner's rule. The number of coefficients is known.

    >>> import symgraph as sg
    >>> sg.polyval([3, 0, 1], [5, 1]).eval().tolist()
    [76, 4]
    """
    p = _coefficients(p)
    n = p.shape[0]
    if not isinstance(n, int):
        raise ShapeError("polyval: the number of coefficients must be known")
    x = as_variable(x)
    found = x * 0
    for k in range(n):
        found = found * x + p[k]
    return cast(found, dtypes.promote(promotable(p), promotable(x)))


def _aligned(a: Any, b: Any) -> tuple[Variable, Variable]:
    p, q = _coefficients(a), _coefficients(b)
    n, m = p.shape[0], q.shape[0]
    if n is m or n == m:
        return p, q
    if not isinstance(n, int) or not isinstance(m, int):
        raise ShapeError("the numbers of coefficients must be known")
    return (pad(p, (m - n, 0)), q) if n < m else (p, pad(q, (n - m, 0)))


def polyadd(a: Any, b: Any) -> Variable:
    """The sum of two polynomials.

    >>> import symgraph as sg
    >>> sg.polyadd([1, 2], [9, 5, 4]).eval().tolist()
    [9, 6, 6]
    """
    p, q = _aligned(a, b)
    return p + q  # type: ignore[no-any-return]


def polysub(a: Any, b: Any) -> Variable:
    """The difference of two polynomials.

    >>> import symgraph as sg
    >>> sg.polysub([1, 2], [9, 5, 4]).eval().tolist()
    [-9, -4, -2]
    """
    p, q = _aligned(a, b)
    return p - q  # type: ignore[no-any-return]


def polymul(a: Any, b: Any) -> Variable:
    """The product of two polynomials, the convolution of their coefficients.

    >>> import symgraph as sg
    >>> sg.polymul([1, 2], [1, -2]).eval().tolist()
    [1, 0, -4]
    """
    return convolve(_coefficients(a), _coefficients(b))


def polyder(p: Any, m: int = 1) -> Variable:
    """The coefficients of the m-th derivative.

    >>> import symgraph as sg
    >>> sg.polyder([1, 1, 1, 1]).eval().tolist()
    [3, 2, 1]
    """
    p = _coefficients(p)
    if as_int(m, "polyder: m") < 0:
        raise ArgumentError("polyder: m is not negative")
    for _ in range(m):
        n = p.shape[0]
        powers = n - 1 - iota(n)
        p = (p * cast(powers, p.dtype if dtypes.is_inexact(p.dtype) else "int64"))[:-1]
    return p


def polyfit(x: Any, y: Any, degree: int, rcond: Any = None, w: Any = None) -> Variable:
    """The coefficients of the polynomial of the degree that is nearest to the points (x, y) in the
    sum of squares, each distance times its weight ``w``; y may have columns. By the singular values
    of the scaled matrix of powers.

    >>> import symgraph as sg
    >>> sg.polyfit([0.0, 1.0, 2.0], [1.0, 3.0, 5.0], 1).eval().round(9).tolist()
    [2.0, 1.0]
    """
    count = as_int(degree, "polyfit: degree") + 1
    if count < 1:
        raise ArgumentError("polyfit: the degree is not negative")
    dtype = dtypes.promote(promotable(x), promotable(y), float)
    x, y = to_dtype(x, dtype), to_dtype(y, dtype)
    if x.ndim != 1 or y.ndim not in (1, 2):
        raise RankError("polyfit takes a vector x, and a vector or matrix y")
    powers = vander(x, count)
    if w is not None:
        weights = to_dtype(w, dtype)
        powers = powers * expand_dims(weights, 1)
        y = y * (expand_dims(weights, 1) if y.ndim == 2 else weights)
    scale = sqrt(reductions.sum(powers * powers, 0))
    found = lstsq(powers / scale, y, rcond)[0]
    return found / (expand_dims(scale, 1) if found.ndim == 2 else scale)  # type: ignore[no-any-return]


def polyint(p: Any, m: int = 1, k: Any = 0) -> Variable:
    """The coefficients of the m-th integral, with the constant(s) of integration ``k``.

    >>> import symgraph as sg
    >>> sg.polyint([1.0, 1.0]).eval().tolist()
    [0.5, 1.0, 0.0]
    """
    p = _coefficients(p)
    p = p if dtypes.is_inexact(p.dtype) else cast(p, "float64")
    if as_int(m, "polyint: m") < 0:
        raise ArgumentError("polyint: m is not negative")
    constants = list(k) if isinstance(k, tuple | list) else [k] * m
    if len(constants) != m:
        raise ArgumentError(f"polyint: {len(constants)} constants for {m} integrations")
    for c in constants:
        n = p.shape[0]
        p = concatenate([p / cast(n - iota(n), p.dtype), ravel(to_dtype(c, p.dtype))])
    return p
