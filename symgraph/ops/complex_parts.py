"""The parts of complex numbers, and numbers made of parts.

A derivative with respect to a complex number z = x + iy is df/dx - i df/dy, as in JAX. So the
cotangents of holomorphic functions follow the rules of the real ones, and those of real, imag and
conj are here. A step of gradient descent is ``z - rate * conj(grad)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.ops.elementwise import elementwise
from symgraph.scalar import functions
from symgraph.scalar.table import SCALAR_OPS


def complex_only(*operands: Any) -> str:
    """The promoted dtype, or complex128 for Python's numbers; refuses what is real."""
    found = dtypes.promote(*operands)
    return found if dtypes.is_complex(found) else ""


def wide_float(*operands: Any) -> str:
    """float32 or float64, the dtypes of the parts of complex numbers."""
    return dtypes.real_of(dtypes.complex_of(dtypes.promote(*operands)))


real_part = elementwise(
    "real", "The real part of complex numbers.",
    dtype=complex_only, on_complex=True, result="part", reference=np.real,
    lower=functions.real, vjp=lambda g, y, x: (complex_number(g, 0.0),),
)  # fmt: skip
imag_part = elementwise(
    "imag", "The imaginary part of complex numbers.",
    dtype=complex_only, on_complex=True, result="part", reference=np.imag,
    lower=functions.imag, vjp=lambda g, y, x: (complex_number(0.0, -g),),
)  # fmt: skip
conjugate_part = elementwise(
    "conj", "Complex numbers with the sign of the imaginary part changed.",
    dtype=complex_only, on_complex=True, reference=np.conjugate, lower=functions.conj,
    vjp=lambda g, y, x: (conjugate_part(g),),
)  # fmt: skip
complex_number = elementwise(
    "complex", "a + ib of two real numbers; float64 parts give complex128, narrower complex64.",
    dtype=wide_float, arity=2, result="complex", reference=SCALAR_OPS["complex"].reference,
    lower=functions.complex_, vjp=lambda g, y, a, b: (real_part(g), -imag_part(g)),
    example="complex([1.0, 2.0], 0.5) -> [(1+0.5j), (2+0.5j)]",
)  # fmt: skip
