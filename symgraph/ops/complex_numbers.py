"""Complex numbers: parts, conjugates and angles, from parts and back.

Every function takes real tensors too: a real number is its own real part and conjugate.
"""

from __future__ import annotations

import math
from typing import Any

from symgraph import dtypes
from symgraph.errors import DTypeError
from symgraph.ir.graph import Variable
from symgraph.ir.operators import in_language
from symgraph.ops.arithmetic import multiply
from symgraph.ops.comparison import equal
from symgraph.ops.complex_parts import (
    complex_number,
    conjugate_part,
    imag_part,
    real_part,
)
from symgraph.ops.creation import ones_like, zeros_like
from symgraph.ops.operands import as_variable
from symgraph.ops.trigonometric import atan2, cos, sin
from symgraph.rewrite.pattern import is_pattern

__all__ = [
    "angle", "complex", "complex_from_polar", "conj", "conjugate", "imag", "iscomplex",
    "iscomplexobj", "isreal", "isrealobj", "real",
]  # fmt: skip

complex = complex_number


def _is_complex(x: Variable) -> bool:
    return dtypes.is_complex(x.dtype)


@in_language("real")
def real(x: Any) -> Variable:
    """The real part, of the dtype of the parts; real tensors are returned as they are.

    The derivative by z = x + iy is 1 (see :func:`grad` for the convention).

    >>> import symgraph as sg
    >>> sg.real([1 + 2j, 3]).eval().tolist()
    [1.0, 3.0]
    """
    if is_pattern(x):
        return real_part(x)
    x = as_variable(x)
    return real_part(x) if _is_complex(x) else x


@in_language("imag")
def imag(x: Any) -> Variable:
    """The imaginary part, of the dtype of the parts; zeros for real tensors.

    >>> import symgraph as sg
    >>> sg.imag([1 + 2j, 3]).eval().tolist()
    [2.0, 0.0]
    """
    if is_pattern(x):
        return imag_part(x)
    x = as_variable(x)
    return imag_part(x) if _is_complex(x) else zeros_like(x)


@in_language("conj")
def conj(x: Any) -> Variable:
    """The conjugate x - iy; real tensors are returned as they are.

    >>> import symgraph as sg
    >>> sg.conj([1 + 2j, 3]).eval().tolist()
    [(1-2j), (3-0j)]
    """
    if is_pattern(x):
        return conjugate_part(x)
    x = as_variable(x)
    return conjugate_part(x) if _is_complex(x) else x


conjugate = conj


def angle(x: Any, deg: bool = False) -> Variable:
    """The angle of the number in (-pi, pi], or in degrees; for real tensors 0 or pi.

    >>> import symgraph as sg
    >>> sg.angle([1j, -1.0]).eval().tolist()
    [1.5707963267948966, 3.141592653589793]
    """
    x = as_variable(x)
    found = atan2(imag(x), real(x))
    return found * (180 / math.pi) if deg else found


def complex_from_polar(magnitude: Any, angle: Any) -> Variable:
    """magnitude * exp(i angle) of real tensors, whose shapes broadcast.

    Raises DTypeError for complex operands.

    >>> import symgraph as sg
    >>> sg.complex_from_polar([2.0, 1.0], 0.0).eval().tolist()
    [(2+0j), (1+0j)]
    """
    return complex(multiply(magnitude, cos(angle)), multiply(magnitude, sin(angle)))


# tests --------------------------------------------------------------------------------------------


def iscomplex(x: Any) -> Variable:
    """Where the imaginary part is not 0, as NumPy.

    >>> import symgraph as sg
    >>> sg.iscomplex([1 + 1j, 1 + 0j]).eval().tolist()
    [True, False]
    """
    x = as_variable(x)
    return imag_part(x) != 0 if _is_complex(x) else zeros_like(x, dtype="bool")


def isreal(x: Any) -> Variable:
    """Where the imaginary part is 0, as NumPy.

    >>> import symgraph as sg
    >>> sg.isreal([1 + 1j, 1 + 0j]).eval().tolist()
    [False, True]
    """
    x = as_variable(x)
    return equal(imag_part(x), 0) if _is_complex(x) else ones_like(x, dtype="bool")


def iscomplexobj(x: Any) -> bool:
    """Whether the dtype is complex, whatever the values.

    >>> import symgraph as sg
    >>> sg.iscomplexobj(1j), sg.iscomplexobj([1.0])
    (True, False)
    """
    return _is_complex(as_variable(x))


def isrealobj(x: Any) -> bool:
    """Whether the dtype is real, whatever the values.

    >>> import symgraph as sg
    >>> sg.isrealobj(1j), sg.isrealobj([1.0])
    (False, True)
    """
    return not iscomplexobj(x)


@in_language("refuse_complex")
def refuse_complex(x: Variable, what: str) -> None:
    """Raises DTypeError when x is complex: ``what`` needs numbers with an order."""
    if _is_complex(x):
        raise DTypeError(
            f"{what}: complex numbers have no order",
            operands=[(x.label(), x.type.text(), x.origin)],
            hint="take x.real, x.imag or sg.abs(x)",
        )
