"""sg.fft: discrete Fourier transforms, with NumPy's names, arguments and results.

Transforms of half precision and float32 are complex64, of float64 and integers complex128. ``n``
and ``s`` crop the axes or fill them up with zeros; ``norm`` is "backward" (None), "ortho" or
"forward". Sizes may be symbolic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, DTypeError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.types import Size, normalize_axis
from symgraph.ops.arithmetic import sqrt
from symgraph.ops.cast import to_dtype
from symgraph.ops.comparison import where
from symgraph.ops.complex_numbers import conj
from symgraph.ops.creation import iota
from symgraph.ops.fourier import FFT, IRFFT, OPPOSITE, RFFT, Cosine
from symgraph.ops.joining import part_of
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import as_shape, normalize_axes
from symgraph.ops.slicing import Embed
from symgraph.ops.windows import roll
from symgraph.scalar import as_expr, as_size
from symgraph.scalar.sizes import at_least_zero, smaller

__all__ = [
    "dct", "dst", "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "idct", "idst", "ifft",
    "ifft2", "ifftn", "ifftshift", "ihfft", "irfft", "irfft2", "irfftn", "rfft", "rfft2",
    "rfftfreq", "rfftn",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__


Axes = Sequence[int] | None


# operands -----------------------------------------------------------------------------------------


def _norm(norm: str | None, name: str) -> str:
    found = "backward" if norm is None else norm
    if found not in OPPOSITE:
        raise ArgumentError(f'{name}: norm is "backward", "ortho" or "forward", not {norm!r}')
    return found


def _complex(x: Any) -> Variable:
    x = as_variable(x)
    return to_dtype(x, dtypes.complex_of(x.dtype))


def _real(x: Any, name: str) -> Variable:
    x = as_variable(x)
    if dtypes.is_complex(x.dtype):
        raise DTypeError(
            f"{name}: the input is {x.dtype}", operands=[(x.label(), x.type.text(), x.origin)],
            hint="take x.real, or sg.fft.fft of complex numbers",
        )  # fmt: skip
    return to_dtype(x, dtypes.real_of(dtypes.complex_of(x.dtype)))


def _axis(x: Variable, axis: int, name: str) -> int:
    return normalize_axis(axis, x.ndim, f"{name}: axis")


def _fitted(x: Variable, axis: int, n: Any, name: str) -> Variable:
    """x with n elements along the axis: the first ones, or zeros behind all of them."""
    if n is None:
        return x
    size: Size = as_shape((n,), name)[0]
    if isinstance(size, int) and size < 1:
        raise ShapeError(f"{name}: n is at least 1, not {size}")
    own = x.shape[axis]
    if as_size(as_expr(own) - size) == 0:
        return x
    kept = smaller(own, size)
    if as_size(as_expr(kept) - own) != 0:
        x = part_of(x, axis, 0, kept)
    if as_size(as_expr(kept) - size) == 0:
        return x
    shape = list(x.shape)
    shape[axis] = size
    return Embed((0,) * x.ndim, (1,) * x.ndim, tuple(shape))(x)  # type: ignore[no-any-return]


def _plan(x: Variable, s: Any, axes: Axes, name: str) -> tuple[tuple[int, ...], list[Any]]:
    """The axes and their sizes, as NumPy reads s and axes: without axes the last len(s)."""
    if axes is None:
        count = x.ndim if s is None else len(s)
        axes = tuple(range(x.ndim - count, x.ndim))
    found = normalize_axes(tuple(axes), x.ndim, name)
    sizes = [None] * len(found) if s is None else list(s)
    if len(sizes) != len(found):
        raise ArgumentError(f"{name}: {len(sizes)} sizes for {len(found)} axes")
    return found, [None if isinstance(n, int) and n == -1 else n for n in sizes]


def _transform(x: Variable, axes: tuple[int, ...], inverse: bool, norm: str) -> Variable:
    return FFT(axes, inverse, norm)(x) if axes else x  # type: ignore[no-any-return]


# one axis -----------------------------------------------------------------------------------------


def fft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Variable:
    """The Fourier transform along an axis: y[k] = sum over j of a[j] exp(-2 pi i j k / n).

    Raises ArgumentError for an unknown ``norm``, ShapeError for an empty axis, AxisError.

    >>> import symgraph as sg
    >>> sg.fft.fft([1.0, 0.0, -1.0, 0.0]).eval().tolist()
    [0j, (2+0j), 0j, (2+0j)]
    """
    x = _complex(a)
    k = _axis(x, axis, "fft")
    return _transform(_fitted(x, k, n, "fft"), (k,), False, _norm(norm, "fft"))


def ifft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Variable:
    """The inverse of :func:`fft`.

    >>> import symgraph as sg
    >>> sg.fft.ifft([0.0, 2.0, 0.0, 2.0]).eval().tolist()
    [(1+0j), 0j, (-1+0j), 0j]
    """
    x = _complex(a)
    k = _axis(x, axis, "ifft")
    return _transform(_fitted(x, k, n, "ifft"), (k,), True, _norm(norm, "ifft"))


def rfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Variable:
    """The first n // 2 + 1 elements of the transform of real a; the others are their conjugates.

    Raises DTypeError for complex numbers.

    >>> import symgraph as sg
    >>> sg.fft.rfft([1.0, 0.0, -1.0, 0.0]).eval().tolist()
    [0j, (2+0j), 0j]
    """
    x = _real(a, "rfft")
    k = _axis(x, axis, "rfft")
    return RFFT(k, _norm(norm, "rfft"))(_fitted(x, k, n, "rfft"))  # type: ignore[no-any-return]


def irfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Variable:
    """The real array of n elements (2 (m - 1) where a has m) whose :func:`rfft` is a.

    >>> import symgraph as sg
    >>> sg.fft.irfft([0.0, 2.0, 0.0]).eval().tolist()
    [1.0, 0.0, -1.0, 0.0]
    """
    x = _complex(a)
    k = _axis(x, axis, "irfft")
    n = as_size((as_expr(x.shape[k]) - 1) * 2) if n is None else as_shape((n,), "irfft")[0]
    if isinstance(n, int) and n < 1:
        raise ShapeError(f"irfft: n is at least 1, not {n}")
    x = _fitted(x, k, as_size(as_expr(n) // 2 + 1), "irfft")
    n = at_least_zero(n)  # so that an axis without elements is told, and no shape below 0
    return IRFFT(k, n, _norm(norm, "irfft"))(x)  # type: ignore[no-any-return]


def hfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Variable:
    """The transform, real, of n elements of which the first n // 2 + 1 are a and the others their
    conjugates.

    >>> import symgraph as sg
    >>> sg.fft.hfft([1.0, 2.0, 3.0]).eval().tolist()
    [8.0, -2.0, 0.0, -2.0]
    """
    return irfft(conj(as_variable(a)), n, axis, OPPOSITE[_norm(norm, "hfft")])


def ihfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Variable:
    """The inverse of :func:`hfft`, of real a.

    >>> import symgraph as sg
    >>> sg.fft.ihfft([8.0, -2.0, 0.0, -2.0]).eval().real.tolist()
    [1.0, 2.0, 3.0]
    """
    return conj(rfft(a, n, axis, OPPOSITE[_norm(norm, "ihfft")]))


# several axes -------------------------------------------------------------------------------------


def fftn(a: Any, s: Any = None, axes: Axes = None, norm: str | None = None) -> Variable:
    """The Fourier transform over several axes: all, or those given, with the sizes ``s``.

    >>> import symgraph as sg
    >>> sg.fft.fftn([[1.0, 2.0], [3.0, 4.0]]).eval().real.tolist()
    [[10.0, -2.0], [-4.0, 0.0]]
    """
    return _several(a, s, axes, norm, False, "fftn")


def ifftn(a: Any, s: Any = None, axes: Axes = None, norm: str | None = None) -> Variable:
    """The inverse of :func:`fftn`.

    >>> import symgraph as sg
    >>> sg.fft.ifftn([[10.0, -2.0], [-4.0, 0.0]]).eval().real.tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    return _several(a, s, axes, norm, True, "ifftn")


def _several(a: Any, s: Any, axes: Axes, norm: str | None, inverse: bool, name: str) -> Variable:
    x = _complex(a)
    found, sizes = _plan(x, s, axes, name)
    for k, n in zip(found, sizes, strict=True):
        x = _fitted(x, k, n, name)
    return _transform(x, found, inverse, _norm(norm, name))


def rfftn(a: Any, s: Any = None, axes: Axes = None, norm: str | None = None) -> Variable:
    """:func:`rfft` over the last of several axes, then :func:`fftn` over the others.

    >>> import symgraph as sg
    >>> sg.fft.rfftn([[1.0, 2.0], [3.0, 4.0]]).eval().real.tolist()
    [[10.0, -2.0], [-4.0, 0.0]]
    """
    x = _real(a, "rfftn")
    found, sizes = _plan(x, s, axes, "rfftn")
    if not found:
        raise ArgumentError("rfftn: at least one axis is needed")
    for k, n in zip(found, sizes, strict=True):
        x = _fitted(x, k, n, "rfftn")
    scale = _norm(norm, "rfftn")
    return _transform(RFFT(found[-1], scale)(x), found[:-1], False, scale)


def irfftn(a: Any, s: Any = None, axes: Axes = None, norm: str | None = None) -> Variable:
    """The inverse of :func:`rfftn`; the size of the last axis is 2 (m - 1) unless ``s`` says it.

    >>> import symgraph as sg
    >>> sg.fft.irfftn([[10.0, -2.0], [-4.0, 0.0]]).eval().tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    x = _complex(a)
    found, sizes = _plan(x, s, axes, "irfftn")
    if not found:
        raise ArgumentError("irfftn: at least one axis is needed")
    for k, n in zip(found[:-1], sizes[:-1], strict=True):
        x = _fitted(x, k, n, "irfftn")
    scale = _norm(norm, "irfftn")
    return irfft(_transform(x, found[:-1], True, scale), sizes[-1], found[-1], scale)


def fft2(a: Any, s: Any = None, axes: Axes = (-2, -1), norm: str | None = None) -> Variable:
    """:func:`fftn` over the last two axes.

    >>> import symgraph as sg
    >>> sg.fft.fft2([[1.0, 2.0], [3.0, 4.0]]).eval().real.tolist()
    [[10.0, -2.0], [-4.0, 0.0]]
    """
    return _several(a, s, axes, norm, False, "fft2")


def ifft2(a: Any, s: Any = None, axes: Axes = (-2, -1), norm: str | None = None) -> Variable:
    """:func:`ifftn` over the last two axes.

    >>> import symgraph as sg
    >>> sg.fft.ifft2([[10.0, -2.0], [-4.0, 0.0]]).eval().real.tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    return _several(a, s, axes, norm, True, "ifft2")


def rfft2(a: Any, s: Any = None, axes: Axes = (-2, -1), norm: str | None = None) -> Variable:
    """:func:`rfftn` over the last two axes.

    >>> import symgraph as sg
    >>> sg.fft.rfft2([[1.0, 2.0], [3.0, 4.0]]).eval().real.tolist()
    [[10.0, -2.0], [-4.0, 0.0]]
    """
    return rfftn(a, s, axes, norm)


def irfft2(a: Any, s: Any = None, axes: Axes = (-2, -1), norm: str | None = None) -> Variable:
    """:func:`irfftn` over the last two axes.

    >>> import symgraph as sg
    >>> sg.fft.irfft2([[10.0, -2.0], [-4.0, 0.0]]).eval().tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    return irfftn(a, s, axes, norm)


# cosine and sine transforms -----------------------------------------------------------------------


def dct(a: Any, type: int = 2, n: Any = None, axis: int = -1, norm: str | None = None) -> Variable:
    """The cosine transform of real a along an axis, of type 2, 3 or 4, as SciPy's.

    >>> import symgraph as sg
    >>> sg.fft.dct([1.0, 1.0], norm="ortho").eval().round(12).tolist()
    [1.414213562373, 0.0]
    """
    return _cosine(a, type, n, axis, norm, False, False)


def idct(a: Any, type: int = 2, n: Any = None, axis: int = -1, norm: str | None = None) -> Variable:
    """The inverse of :func:`dct`.

    >>> import symgraph as sg
    >>> sg.fft.idct(sg.fft.dct([1.0, 3.0])).eval().round(12).tolist()
    [1.0, 3.0]
    """
    return _cosine(a, type, n, axis, norm, True, False)


def dst(a: Any, type: int = 2, n: Any = None, axis: int = -1, norm: str | None = None) -> Variable:
    """The sine transform of real a along an axis, of type 2, 3 or 4, as SciPy's.

    >>> import symgraph as sg
    >>> sg.fft.dst([1.0, -1.0], norm="ortho").eval().round(12).tolist()
    [0.0, 1.414213562373]
    """
    return _cosine(a, type, n, axis, norm, False, True)


def idst(a: Any, type: int = 2, n: Any = None, axis: int = -1, norm: str | None = None) -> Variable:
    """The inverse of :func:`dst`.

    >>> import symgraph as sg
    >>> sg.fft.idst(sg.fft.dst([1.0, 3.0])).eval().round(12).tolist()
    [1.0, 3.0]
    """
    return _cosine(a, type, n, axis, norm, True, True)


def _cosine(
    a: Any, type: int, n: Any, axis: int, norm: str | None, inverse: bool, sine: bool
) -> Variable:
    name = ("i" if inverse else "") + ("dst" if sine else "dct")
    if type not in (2, 3, 4):
        raise ArgumentError(f"{name}: type is 2, 3 or 4, not {type!r}")
    x, scale = _real(a, name), _norm(norm, name)
    k = _axis(x, axis, name)
    x = _fitted(x, k, n, name)
    kind = {2: 3, 3: 2, 4: 4}[type] if inverse else type
    if scale == "ortho":
        return Cosine(k, kind, sine)(x)  # type: ignore[no-any-return]
    # beside the orthogonal transform: sqrt(2n), and sqrt(n) at the element without an oscillation
    size, kept = as_variable(x.shape[k]), x.dtype
    wave = sqrt(to_dtype(2 * size, kept))
    place = iota(x.shape[k], x.ndim, k)
    special = place == (size - 1 if sine else 0)
    if kind == 2:
        y = Cosine(k, 2, sine)(x) * where(special, sqrt(to_dtype(4 * size, kept)), wave)
    elif kind == 3:
        y = Cosine(k, 3, sine)(x * where(special, sqrt(to_dtype(size, kept)), wave))
    else:
        y = Cosine(k, 4, sine)(x) * wave
    scaled = inverse == (scale == "backward")
    return y / to_dtype(2 * size, kept) if scaled else y


# frequencies --------------------------------------------------------------------------------------


def fftfreq(n: Any, d: Any = 1.0) -> Variable:
    """The frequencies of the elements of :func:`fft` for samples at distances d: 0, 1, ..., then
    the negative ones, over n d.

    >>> import symgraph as sg
    >>> sg.fft.fftfreq(4, 0.5).eval().tolist()
    [0.0, 0.5, -1.0, -0.5]
    """
    size = as_shape((n,), "fftfreq")[0]
    k = iota(size)
    half = as_variable(as_size((as_expr(size) + 1) // 2))
    return where(k < half, k, k - as_variable(size)) / (to_dtype(as_variable(size), "float64") * d)


def rfftfreq(n: Any, d: Any = 1.0) -> Variable:
    """The frequencies of the elements of :func:`rfft`: 0, 1, ..., n // 2 over n d.

    >>> import symgraph as sg
    >>> sg.fft.rfftfreq(4, 0.5).eval().tolist()
    [0.0, 0.5, 1.0]
    """
    size = as_shape((n,), "rfftfreq")[0]
    k = iota(as_size(as_expr(size) // 2 + 1))
    return k / (to_dtype(as_variable(size), "float64") * d)


def fftshift(x: Any, axes: int | Axes = None) -> Variable:
    """The zero frequency moved to the middle of the axes (all of them where not given).

    >>> import symgraph as sg
    >>> sg.fft.fftshift([0, 1, 2, -2, -1]).eval().tolist()
    [-2, -1, 0, 1, 2]
    """
    return _shifted(x, axes, 1)


def ifftshift(x: Any, axes: int | Axes = None) -> Variable:
    """The inverse of :func:`fftshift`.

    >>> import symgraph as sg
    >>> sg.fft.ifftshift([-2, -1, 0, 1, 2]).eval().tolist()
    [0, 1, 2, -2, -1]
    """
    return _shifted(x, axes, -1)


def _shifted(x: Any, axes: int | Axes, way: int) -> Variable:
    x = as_variable(x)
    given = range(x.ndim) if axes is None else (axes,) if isinstance(axes, int) else axes
    found = normalize_axes(tuple(given), x.ndim, "fftshift")
    return roll(x, [as_size(as_expr(x.shape[k]) // 2 * way) for k in found], found) if found else x
