"""Trigonometric and hyperbolic functions and their inverses; angles are radians."""

from __future__ import annotations

import numpy as np

from symgraph import dtypes
from symgraph.ir.graph import Variable
from symgraph.ops.arithmetic import negative, sqrt
from symgraph.ops.elementwise import elementwise, to_float
from symgraph.scalar import functions

__all__ = [
    "acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh",
    "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "sin", "sinh", "tan", "tanh",
]  # fmt: skip


# of an angle --------------------------------------------------------------------------------------

sin = elementwise(
    "sin", "The sine of an angle.",
    dtype=to_float, on_complex=True, reference=np.sin, lower=functions.sin,
    vjp=lambda g, y, x: (g * cos(x),),
    example="sin([0.0]) -> [0.0]",
)  # fmt: skip
cos = elementwise(
    "cos", "The cosine of an angle.",
    dtype=to_float, on_complex=True, reference=np.cos, lower=functions.cos,
    vjp=lambda g, y, x: (negative(g * sin(x)),), example="cos([0.0]) -> [1.0]",
)  # fmt: skip
tan = elementwise(
    "tan", "The tangent of an angle.",
    dtype=to_float, on_complex=True, reference=np.tan, lower=functions.tan,
    vjp=lambda g, y, x: (g * (1 + y * y),), domain=(-1.4, 1.4), example="tan([0.0]) -> [0.0]",
)  # fmt: skip


# the angle ----------------------------------------------------------------------------------------
# (1 - x)(1 + x) instead of 1 - x*x: no digits are lost near the ends of the domain.

asin = elementwise(
    "asin", "The angle in [-pi/2, pi/2] whose sine is x; NaN outside [-1, 1].",
    dtype=to_float, on_complex=True, reference=np.arcsin, lower=functions.asin,
    vjp=lambda g, y, x: (g / sqrt((1 - x) * (1 + x)),), domain=(-0.9, 0.9),
    example="asin([0.0]) -> [0.0]",
)  # fmt: skip
acos = elementwise(
    "acos", "The angle in [0, pi] whose cosine is x; NaN outside [-1, 1].",
    dtype=to_float, on_complex=True, reference=np.arccos, lower=functions.acos,
    vjp=lambda g, y, x: (negative(g) / sqrt((1 - x) * (1 + x)),), domain=(-0.9, 0.9),
    example="acos([1.0]) -> [0.0]",
)  # fmt: skip
atan = elementwise(
    "atan", "The angle in [-pi/2, pi/2] whose tangent is x.",
    dtype=to_float, on_complex=True, reference=np.arctan, lower=functions.atan,
    vjp=lambda g, y, x: (g / (1 + x * x),), example="atan([0.0]) -> [0.0]",
)  # fmt: skip
atan2 = elementwise(
    "atan2", "The angle in [-pi, pi] of the point with ordinate a and abscissa b.",
    dtype=to_float, arity=2, reference=np.arctan2, lower=functions.atan2,
    vjp=lambda g, y, a, b: (g * b / (a * a + b * b), negative(g * a) / (a * a + b * b)),
    domain=((0.5, 3), (-3, 3)), example="atan2(0.0, 1.0) -> 0.0",
)  # fmt: skip


# hyperbolic ---------------------------------------------------------------------------------------

sinh = elementwise(
    "sinh", "The hyperbolic sine.",
    dtype=to_float, on_complex=True, reference=np.sinh, lower=functions.sinh,
    vjp=lambda g, y, x: (g * cosh(x),),
    example="sinh([0.0]) -> [0.0]",
)  # fmt: skip
cosh = elementwise(
    "cosh", "The hyperbolic cosine.",
    dtype=to_float, on_complex=True, reference=np.cosh, lower=functions.cosh,
    vjp=lambda g, y, x: (g * sinh(x),),
    example="cosh([0.0]) -> [1.0]",
)  # fmt: skip
tanh = elementwise(
    "tanh", "The hyperbolic tangent.",
    dtype=to_float, on_complex=True, reference=np.tanh, lower=functions.tanh,
    vjp=lambda g, y, x: (g * (1 - y * y),), example="tanh([0.0]) -> [0.0]",
)  # fmt: skip
asinh = elementwise(
    "asinh", "The inverse of sinh.",
    dtype=to_float, on_complex=True, reference=np.arcsinh, lower=functions.asinh,
    vjp=lambda g, y, x: (g / sqrt(x * x + 1),), example="asinh([0.0]) -> [0.0]",
)  # fmt: skip


def _acosh_root(x: Variable) -> Variable:
    if dtypes.is_complex(x.dtype):  # the root of the product has another branch
        return sqrt(x - 1) * sqrt(x + 1)
    return sqrt((x - 1) * (x + 1))


acosh = elementwise(
    "acosh", "The inverse of cosh, at least 0; NaN below 1.",
    dtype=to_float, on_complex=True, reference=np.arccosh, lower=functions.acosh,
    vjp=lambda g, y, x: (g / _acosh_root(x),), domain=(1.1, 5),
    example="acosh([1.0]) -> [0.0]",
)  # fmt: skip
atanh = elementwise(
    "atanh", "The inverse of tanh; infinite at -1 and 1, NaN outside.",
    dtype=to_float, on_complex=True, reference=np.arctanh, lower=functions.atanh,
    vjp=lambda g, y, x: (g / ((1 - x) * (1 + x)),), domain=(-0.9, 0.9),
    example="atanh([0.0]) -> [0.0]",
)  # fmt: skip

arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
arcsinh, arccosh, arctanh = asinh, acosh, atanh
