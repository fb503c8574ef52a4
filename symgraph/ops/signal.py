"""sg.signal: convolution and correlation of arrays of any rank, as in scipy.signal."""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.types import Size
from symgraph.ops import fft, windows
from symgraph.ops.cast import to_dtype
from symgraph.ops.complex_numbers import conj
from symgraph.ops.joining import part_of
from symgraph.ops.matrix import promoted
from symgraph.ops.shape import flip, normalize_axes
from symgraph.scalar import as_expr, as_size
from symgraph.scalar.sizes import nonnegative

__all__ = ["convolve", "correlate", "fftconvolve"]


def __dir__() -> list[str]:
    return __all__


_MODES = ("full", "same", "valid")


def fftconvolve(a: Any, v: Any, mode: str = "full", axes: Any = None) -> Variable:
    """The convolution of two arrays of one rank over ``axes`` (all where not given; the other axes
    broadcast), by Fourier transforms: n log n instead of n m operations.

    ``mode`` "full" gives n + m - 1 elements, "same" the middle n (the size of a), "valid" those
    where the smaller array lies wholly in the larger one. Integers become floats.
    Raises RankError for different ranks, ArgumentError for an unknown mode.

    >>> import symgraph as sg
    >>> sg.signal.fftconvolve([1.0, 2.0, 3.0], [2.0, 1.0, 0.5]).eval().round(12).tolist()
    [2.0, 5.0, 8.5, 4.0, 1.5]
    """
    a, v = promoted(a, v)
    kind = dtypes.promote(a.dtype, "float32")
    a, v = to_dtype(a, kind), to_dtype(v, kind)
    _check(a, v, mode, "fftconvolve")
    found = tuple(range(a.ndim)) if axes is None else normalize_axes(axes, a.ndim, "fftconvolve")
    if not found:
        return a * v  # type: ignore[no-any-return]
    full = [as_size(as_expr(a.shape[k]) + v.shape[k] - 1) for k in found]
    sizes = [_fast(n) for n in full]
    if dtypes.is_complex(kind):
        y = fft.ifftn(fft.fftn(a, sizes, found) * fft.fftn(v, sizes, found), None, found)
    else:
        y = fft.irfftn(fft.rfftn(a, sizes, found) * fft.rfftn(v, sizes, found), sizes, found)
    for k, n in zip(found, full, strict=True):
        y = _cropped(y, k, a.shape[k], v.shape[k], n, mode)
    return y


def _check(a: Variable, v: Variable, mode: str, name: str) -> None:
    if mode not in _MODES:
        raise ArgumentError(f'{name}: mode is "full", "same" or "valid", not {mode!r}')
    if a.ndim != v.ndim:
        raise RankError(f"{name}: the operands have {a.ndim} and {v.ndim} axes")
    if 0 in a.shape or 0 in v.shape:
        raise ShapeError(f"{name}: an operand has no elements")


def _fast(n: Size) -> Size:
    """The next size that is a product of 2, 3 and 5, of known sizes."""
    if not isinstance(n, int):
        return n
    while True:
        rest = n
        for p in (2, 3, 5):
            while rest % p == 0:
                rest //= p
        if rest == 1:
            return n
        n += 1


def _cropped(y: Variable, axis: int, n: Size, m: Size, full: Size, mode: str) -> Variable:
    if mode == "full":
        return part_of(y, axis, 0, full)
    if mode == "same":
        return part_of(y, axis, as_size((as_expr(full) - n) // 2), n)
    if nonnegative(as_size(as_expr(n) - m)):
        return part_of(y, axis, as_size(as_expr(m) - 1), as_size(as_expr(n) - m + 1))
    if nonnegative(as_size(as_expr(m) - n)):
        return part_of(y, axis, as_size(as_expr(n) - 1), as_size(as_expr(m) - n + 1))
    raise ShapeError(f"which of the sizes {n} and {m} is larger is not known", hint='mode="full"')


def convolve(a: Any, v: Any, mode: str = "full", method: str = "auto") -> Variable:
    """The convolution of two arrays of one rank. ``method`` "direct" sums over windows (vectors
    only), "fft" is :func:`fftconvolve`; "auto" sums where the rank is 1 and a size is below 64.

    >>> import symgraph as sg
    >>> sg.signal.convolve([1, 2, 3], [0, 1, 2]).eval().tolist()
    [0, 1, 4, 7, 6]
    """
    if method not in ("auto", "direct", "fft"):
        raise ArgumentError(f'convolve: method is "auto", "direct" or "fft", not {method!r}')
    a, v = promoted(a, v)
    _check(a, v, mode, "convolve")
    small = a.ndim == 1 and any(isinstance(n, int) and n < 64 for n in (*a.shape, *v.shape))
    exact = not dtypes.is_inexact(a.dtype)
    if method == "fft" or a.ndim > 1 or (method == "auto" and not small and not exact):
        if method == "direct":
            raise RankError("convolve: direct sums are for vectors", hint='method="fft"')
        return fftconvolve(a, v, mode)
    if mode == "same":  # the size of a, where NumPy takes the larger one
        return _cropped(windows.convolve(a, v), 0, a.shape[0], v.shape[0],
                        as_size(as_expr(a.shape[0]) + v.shape[0] - 1), mode)  # fmt: skip
    return windows.convolve(a, v, mode)


def correlate(a: Any, v: Any, mode: str = "full", method: str = "auto") -> Variable:
    """The correlation of two arrays of one rank: the convolution with v reversed along all axes and
    conjugated. See :func:`convolve`.

    >>> import symgraph as sg
    >>> sg.signal.correlate([1, 2, 3], [0, 1, 2]).eval().tolist()
    [2, 5, 8, 3, 0]
    """
    a, v = promoted(a, v)
    return convolve(a, conj(flip(v)), mode, method)
