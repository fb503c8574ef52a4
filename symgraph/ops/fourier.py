"""Discrete Fourier, cosine and sine transforms as ops.

The references, and the cosine transforms of compiled programs, are those of pocketfft (Reinecke and
Seljebotn), through SciPy or, where that is not installed, NumPy; compiled Fourier transforms are
kernels (`lower/fourier.py`). They are linear, so their derivatives are transforms again: the matrix
of the Fourier transform is symmetric; that of the real one drops rows, that of its inverse counts
the middle ones twice. ``norm`` says which direction is scaled by 1/n: "backward" the inverse one,
"forward" the other, "ortho" both by 1/sqrt(n).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import DTypeError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import Size, TensorType
from symgraph.loops.routine import Routine
from symgraph.ops.comparison import greater, where
from symgraph.ops.complex_parts import conjugate_part, real_part
from symgraph.ops.creation import iota
from symgraph.ops.operands import as_variable
from symgraph.ops.slicing import Embed
from symgraph.scalar import as_expr, as_size

OPPOSITE = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _routine(axes: tuple[int, ...], back: bool, norm: str) -> Routine:
    """The transform over some axes, and what the result is divided by: the length, or its root."""
    scale = "root" if norm == "ortho" else "length" if (norm == "backward") is back else ""
    return Routine("fourier", (("axes", axes), ("inverse", back), ("scale", scale)))


def _library() -> Any:
    try:
        from scipy import fft
    except ImportError:
        return np.fft
    return fft


def _checks(x: Variable, axes: tuple[int, ...], name: str) -> list[tuple[Variable, str, str, str]]:
    """At run time, axes of unknown size must have elements."""
    sizes = [x.shape[k] for k in axes if not isinstance(x.shape[k], int)]
    what = f"{name} over an axis without elements"
    return [(greater(as_variable(n), 0), "SG101", what, "") for n in sizes]


def _some(x: TensorType | np.ndarray, axes: tuple[int, ...], name: str) -> None:
    if any(isinstance(x.shape[k], int) and x.shape[k] == 0 for k in axes):
        raise ShapeError(f"{name} over an axis without elements")


class FFT(Op):
    """The transform of complex x over ``axes``: sums of x[j] exp(-2 pi i j k / n), with exp(+...)
    for the ``inverse`` one."""

    name = "fft"
    axes: tuple[int, ...]
    inverse: bool = False
    norm: str = "backward"

    def infer(self, x: TensorType) -> TensorType:
        _some(x, self.axes, self.name)
        if not dtypes.is_complex(x.dtype):
            raise DTypeError(f"fft computes in complex numbers, not {x.dtype}")
        return x

    def requires(self, x: Variable) -> list[tuple[Variable, str, str, str]]:
        """See `_checks`."""
        return _checks(x, self.axes, self.name)

    def reference(self, x: Any) -> Any:
        _some(x, self.axes, self.name)
        function = getattr(_library(), "ifftn" if self.inverse else "fftn")
        if x.size == 0:
            return np.array(x)
        return function(x, axes=self.axes, norm=self.norm)

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (self(g),)

    def extern(self, x: TensorType) -> Routine:
        return _routine(self.axes, self.inverse, self.norm)


class RFFT(Op):
    """The first n // 2 + 1 elements of the transform of real x over ``axis``; the others are their
    conjugates."""

    name = "rfft"
    axis: int
    norm: str = "backward"

    def infer(self, x: TensorType) -> TensorType:
        _some(x, (self.axis,), self.name)
        if not dtypes.is_float(x.dtype):
            raise DTypeError(f"rfft transforms floats, not {x.dtype}")
        shape = list(x.shape)
        shape[self.axis] = as_size(as_expr(shape[self.axis]) // 2 + 1)
        return TensorType(dtypes.complex_of(x.dtype), tuple(shape))

    def requires(self, x: Variable) -> list[tuple[Variable, str, str, str]]:
        """See `_checks`."""
        return _checks(x, (self.axis,), self.name)

    def reference(self, x: Any) -> Any:
        _some(x, (self.axis,), self.name)
        if x.size == 0:
            t = self.infer(TensorType(str(x.dtype), x.shape))
            return np.zeros(t.shape, t.dtype)  # type: ignore[arg-type]
        return _library().rfft(x, axis=self.axis, norm=self.norm)

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        start, step = (0,) * x.ndim, (1,) * x.ndim
        whole = Embed(start, step, x.shape)(g)
        return (real_part(FFT((self.axis,), False, self.norm)(whole)),)

    def extern(self, x: TensorType) -> Routine:
        return _routine((self.axis,), False, self.norm)


class IRFFT(Op):
    """The inverse of rfft: n real elements from n // 2 + 1 complex ones. Of the first, and for even
    n of the last, only the real part counts."""

    name = "irfft"
    axis: int
    n: Size
    norm: str = "backward"

    def infer(self, x: TensorType) -> TensorType:
        if not dtypes.is_complex(x.dtype):
            raise DTypeError(f"irfft transforms complex numbers, not {x.dtype}")
        shape = list(x.shape)
        shape[self.axis] = self.n
        return TensorType(dtypes.real_of(x.dtype), tuple(shape))

    def requires(self, x: Variable) -> list[tuple[Variable, str, str, str]]:
        """At run time, a result of unknown size must have elements."""
        if isinstance(self.n, int):
            return []
        return [(greater(as_variable(self.n), 0), "SG101", "irfft to an axis without elements", "")]

    def reference(self, x: Any) -> Any:
        if self.n < 1 or x.size == 0:  # type: ignore[operator]
            t = self.infer(TensorType(str(x.dtype), x.shape))
            if self.n < 1:  # type: ignore[operator]
                raise ShapeError("irfft to an axis without elements")
            return np.zeros(t.shape, t.dtype)  # type: ignore[arg-type]
        return _library().irfft(x, n=self.n, axis=self.axis, norm=self.norm)

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        k = iota(x.shape[self.axis], x.ndim, self.axis)
        once = (k == 0) | (2 * k == as_variable(self.n))
        back = conjugate_part(RFFT(self.axis, OPPOSITE[self.norm])(g))
        return (where(once, back, back + back),)

    def extern(self, x: TensorType) -> Routine:
        return _routine((self.axis,), True, self.norm)


class Cosine(Op):
    """The orthogonal cosine (``sine``: sine) transform of ``type`` 2, 3 or 4 over ``axis``: types 2
    and 3 are inverse to each other and each other's transposed, type 4 is its own."""

    name = "dct"
    axis: int
    type: int
    sine: bool = False

    def infer(self, x: TensorType) -> TensorType:
        _some(x, (self.axis,), "dst" if self.sine else "dct")
        if not dtypes.is_float(x.dtype):
            raise DTypeError(f"dct transforms floats, not {x.dtype}")
        return x

    def reference(self, x: Any) -> Any:
        from scipy import fft

        _some(x, (self.axis,), self.name)
        function = fft.dst if self.sine else fft.dct
        if x.size == 0:
            return np.array(x)
        return function(x, self.type, axis=self.axis, norm="ortho")

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (self.replace(type={2: 3, 3: 2, 4: 4}[self.type])(g),)

    def extern(self, x: TensorType) -> Routine:
        return Routine("python")
