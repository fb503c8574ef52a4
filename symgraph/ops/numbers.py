"""Elementwise functions of NumPy beside the arithmetic proper: C's remainder and extremes, signs
and neighbours of floats, common divisors, comparison with tolerance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import DTypeError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType, broadcast_shapes
from symgraph.loops.routine import Routine
from symgraph.ops import reductions
from symgraph.ops.arithmetic import absolute, copysign, floor_divide, square, trunc
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.comparison import equal, isfinite, isinf, isnan, where
from symgraph.ops.complex_numbers import complex
from symgraph.ops.elementwise import elementwise, integer, number, same, to_float
from symgraph.ops.operands import as_variable, promotable
from symgraph.ops.trigonometric import sin
from symgraph.scalar import Expr, const
from symgraph.scalar import functions as F

__all__ = [
    "allclose", "array_equal", "array_equiv", "bitwise_count", "deg2rad", "degrees", "fabs",
    "float_power", "fmax", "fmin", "fmod", "frexp", "gcd", "heaviside", "isclose", "isneginf",
    "isposinf", "lcm", "ldexp", "modf", "nan_to_num", "nextafter", "rad2deg", "radians", "signbit",
    "sinc", "spacing",
]  # fmt: skip


# remainders and extremes as in C ------------------------------------------------------------------


def _fmod(a: Expr, b: Expr) -> Expr:
    """a - b * trunc(a / b), exactly: the remainder of the magnitudes with the sign of a."""
    if dtypes.is_float(a.dtype):
        return F.copysign(F.mod(F.abs_(a), F.abs_(b)), a)
    if dtypes.kind(a.dtype) == "u":
        return F.mod(a, b)
    m = F.mod(a, b)  # has the sign of b; between 0 and b
    zero = F.eq(m, 0)
    opposite = F.xor(F.lt(a, 0), F.lt(b, 0))
    return F.select(F.and_(opposite, F.not_(zero)), F.sub(m, b), m)


fmod = elementwise(
    "fmod", "a - b * trunc(a / b), with the sign of a as in C; an integer modulo 0 is 0.",
    dtype=number, arity=2, reference=np.fmod, lower=_fmod,
    vjp=lambda g, y, a, b: (g, -(g * trunc(a / b))), domain=((-9, 9), (1, 4)),
    example="fmod([7, -7], 3) -> [1, -1]",
)  # fmt: skip


def _skip_nan(choose: Any, truth: Any) -> Any:
    def lower(a: Expr, b: Expr) -> Expr:
        if a.dtype == "bool":
            return truth(a, b)  # type: ignore[no-any-return]
        if not dtypes.is_float(a.dtype):
            return choose(a, b)  # type: ignore[no-any-return]
        return F.select(F.isnan(a), b, F.select(F.isnan(b), a, choose(a, b)))

    return lower


def _shares(g: Variable, first: Variable, a: Variable, b: Variable) -> tuple[Variable, Variable]:
    """The derivative of a choice: halves where both are equal, nothing to a NaN."""
    tie, first = equal(a, b), first | isnan(b)
    return where(tie, 0.5 * g, where(first, g, 0)), where(tie, 0.5 * g, where(first, 0, g))


fmax = elementwise(
    "fmax", "The greater of a and b; of a number and NaN the number.",
    dtype=same, arity=2, reference=np.fmax, lower=_skip_nan(F.maximum, F.or_),
    vjp=lambda g, y, a, b: _shares(g, a > b, a, b),
    example="fmax([1.0, float('nan')], 0.5) -> [1.0, 0.5]",
)  # fmt: skip
fmin = elementwise(
    "fmin", "The lesser of a and b; of a number and NaN the number.",
    dtype=same, arity=2, reference=np.fmin, lower=_skip_nan(F.minimum, F.and_),
    vjp=lambda g, y, a, b: _shares(g, a < b, a, b),
    example="fmin([1.0, float('nan')], 0.5) -> [0.5, 0.5]",
)  # fmt: skip
heaviside = elementwise(
    "heaviside", "0 where x is negative, 1 where it is positive, ``at_zero`` where it is 0.",
    dtype=to_float, arity=2, reference=np.heaviside,
    lower=lambda x, h: F.select(F.isnan(x), x, F.select(F.lt(x, 0), 0, F.select(F.eq(x, 0), h, 1))),
    vjp=lambda g, y, x, h: (None, where(equal(x, 0), g, 0)),
    example="heaviside([-1.5, 0.0, 2.0], 0.5) -> [0.0, 0.5, 1.0]",
)  # fmt: skip


# the parts of floats ------------------------------------------------------------------------------

_STEP = "it works on the representation of numbers"


def _bits(dtype: str) -> str:
    return f"int{8 * dtypes.itemsize(dtype)}"


def _signbit(x: Expr) -> Expr:
    return F.lt(F.bitcast(x, _bits(x.dtype)), 0)


signbit = elementwise(
    "signbit", "Whether the sign is minus, also of -0.0 and NaN.",
    dtype=to_float, reference=np.signbit, lower=_signbit, result="bool", nondifferentiable=_STEP,
    example="signbit([-0.0, 1.0]) -> [True, False]",
)  # fmt: skip


def _nextafter(x: Expr, y: Expr) -> Expr:
    """The bits of a float count up away from zero."""
    kind = _bits(x.dtype)
    away = F.eq(F.cast(F.lt(x, y), kind), F.cast(F.lt(0, x), kind))
    step = F.select(away, const(1, kind), const(-1, kind))
    moved = F.bitcast(F.add(F.bitcast(x, kind), step), x.dtype)
    smallest = F.bitcast(const(1, kind), x.dtype)
    moved = F.select(F.eq(x, 0), F.copysign(smallest, y), moved)
    moved = F.select(F.eq(x, y), y, moved)
    return F.select(F.or_(F.isnan(x), F.isnan(y)), F.add(x, y), moved)


nextafter = elementwise(
    "nextafter", "The float after x in the direction of y.",
    dtype=to_float, arity=2, reference=np.nextafter, lower=_nextafter, nondifferentiable=_STEP,
    example="nextafter(1.0, 2.0) -> 1.0000000000000002",
)  # fmt: skip
nextafter.widens = False  # type: ignore[misc]  # the next float is that of the dtype itself


def spacing(x: Any) -> Variable:
    """The distance to the next float away from 0, with the sign of x.

    >>> import symgraph as sg
    >>> sg.spacing(1.0).eval().tolist()
    2.220446049250313e-16
    """
    x = as_variable(x)
    found = nextafter(x, copysign(math.inf, x)) - x
    return where(isfinite(x), found, np.array(np.nan, found.dtype))


def ldexp(x: Any, exponent: Any) -> Variable:
    """x * 2**exponent, in two steps so that neither power overflows.

    >>> import symgraph as sg
    >>> sg.ldexp(3.0, [0, 2]).eval().tolist()
    [3.0, 12.0]
    """
    x, power = as_variable(x), as_variable(exponent)
    kind = to_float(x.dtype)
    x = to_dtype(x, kind)
    half = floor_divide(power, 2)
    return x * _power_of_two(half, kind) * _power_of_two(power - half, kind)


def _power_of_two(n: Variable, kind: str) -> Variable:
    return to_dtype(2.0, kind) ** cast(n, kind)  # type: ignore[no-any-return]


def _exponent(x: Expr) -> Expr:
    """The power of two above |x|, read from its bits; those below the normal numbers are scaled up
    first. 0 for zeros, infinities and NaN."""
    kind, digits, bias = {
        "float32": ("int32", 23, 126), "float64": ("int64", 52, 1022),
    }[x.dtype]  # fmt: skip
    size = F.abs_(x)
    smallest = 2.0**-bias  # the least normal number
    small = F.lt(size, smallest)
    bits = F.bitcast(F.select(small, F.mul(size, 2.0**54), size), kind)
    power = F.sub(F.shr(bits, digits), bias)
    power = F.select(small, F.sub(power, 54), power)
    usual = F.and_(F.isfinite(x), F.ne(x, 0))
    return F.cast(F.select(usual, power, const(0, kind)), "int32")


def _power_above(x: Any) -> Any:
    return np.frexp(x)[1].astype("int32")


_power_of = elementwise(
    "binary_exponent", "The exponent e (int32) for which |x| / 2**e is in [0.5, 1); 0 for 0.",
    dtype=to_float, reference=_power_above, lower=_exponent, result="int32",
    nondifferentiable=_STEP,
)  # fmt: skip


def frexp(x: Any) -> tuple[Variable, Variable]:
    """x as m * 2**e: m in [0.5, 1) with the sign of x, and e (int32).

    >>> import symgraph as sg
    >>> [v.eval().tolist() for v in sg.frexp([12.0, -0.25])]
    [[0.75, -0.5], [4, -1]]
    """
    x = to_dtype(x, to_float(promotable(x)))
    e = _power_of(x)
    return ldexp(x, -e), e


def _bit_count(x: Expr) -> Expr:
    """Neighbouring counts are added in parallel: H. S. Warren, Hacker's Delight, 5-1."""
    width = 8 * dtypes.itemsize(x.dtype)
    v = F.abs_(x) if dtypes.kind(x.dtype) == "i" else x
    v = F.bitcast(v, f"uint{width}")

    def mask(byte: int) -> int:
        return int.from_bytes(bytes([byte]) * (width // 8), "little")

    v = F.sub(v, F.and_(F.shr(v, 1), mask(0x55)))
    v = F.add(F.and_(v, mask(0x33)), F.and_(F.shr(v, 2), mask(0x33)))
    v = F.and_(F.add(v, F.shr(v, 4)), mask(0x0F))
    if width > 8:
        v = F.shr(F.mul(v, mask(0x01)), width - 8)
    return F.cast(v, "uint8")


bitwise_count = elementwise(
    "bitwise_count", "The number of bits (uint8) of |x| that are 1.",
    dtype=integer, reference=np.bitwise_count, lower=_bit_count, result="uint8",
    nondifferentiable="it works on integers", example="bitwise_count([5, -1, 255]) -> [2, 1, 8]",
)  # fmt: skip


def modf(x: Any) -> tuple[Variable, Variable]:
    """The fraction and the whole part of x, both with its sign.

    >>> import symgraph as sg
    >>> [v.eval().tolist() for v in sg.modf([1.5, -0.25])]
    [[0.5, -0.25], [1.0, -0.0]]
    """
    x = to_dtype(x, to_float(promotable(x)))
    whole = trunc(x)
    return copysign(where(isinf(x), 0, x - whole), x), copysign(whole, x)


def fabs(x: Any) -> Variable:
    """|x| as a float.

    >>> import symgraph as sg
    >>> sg.fabs(-2).eval().tolist()
    2.0
    """
    return absolute(to_dtype(x, to_float(promotable(x))))


def float_power(a: Any, b: Any) -> Variable:
    """a ** b in float64, also of integers.

    >>> import symgraph as sg
    >>> sg.float_power([1, 2], -1).eval().tolist()
    [1.0, 0.5]
    """
    return to_dtype(a, "float64") ** to_dtype(b, "float64")  # type: ignore[no-any-return]


# angles -------------------------------------------------------------------------------------------


def deg2rad(x: Any) -> Variable:
    """Degrees as radians.

    >>> import symgraph as sg
    >>> sg.deg2rad(180.0).eval().tolist()
    3.141592653589793
    """
    x = to_dtype(x, to_float(promotable(x)))
    return x * (math.pi / 180)


def rad2deg(x: Any) -> Variable:
    """Radians as degrees.

    >>> import symgraph as sg
    >>> sg.rad2deg(sg.pi).eval().tolist()
    180.0
    """
    x = to_dtype(x, to_float(promotable(x)))
    return x * (180 / math.pi)


radians, degrees = deg2rad, rad2deg


def sinc(x: Any) -> Variable:
    """sin(pi x) / (pi x), and 1 at 0.

    >>> import symgraph as sg
    >>> sg.sinc([0.0, 0.5]).eval().round(6).tolist()
    [1.0, 0.63662]
    """
    x = to_dtype(x, to_float(promotable(x)))
    angle = math.pi * where(equal(x, 0), 1, x)
    curve = 1 - square(x) * (math.pi**2 / 6)  # near 0, so that the second derivative is right
    return where(equal(x, 0), curve, sin(angle) / angle)


# divisors -----------------------------------------------------------------------------------------


class Gcd(Op):
    """The greatest common divisor of integers of one dtype and shape, not negative."""

    name = "gcd"
    nondifferentiable = "it works on integers"

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        if a.dtype != b.dtype or not dtypes.is_int(a.dtype):
            raise DTypeError(f"gcd is not defined for {a.dtype} and {b.dtype}")
        return TensorType(a.dtype, broadcast_shapes(a.shape, b.shape, what="gcd: sizes differ"))

    def reference(self, a: Any, b: Any) -> Any:
        return np.gcd(a, b)

    def extern(self, a: TensorType, b: TensorType) -> Routine:
        return Routine("gcd")


def gcd(a: Any, b: Any) -> Variable:
    """The greatest common divisor of |a| and |b|, 0 of two zeros. Shapes broadcast.

    >>> import symgraph as sg
    >>> sg.gcd([12, 7, 0], 18).eval().tolist()
    [6, 1, 18]
    """
    dtype = dtypes.promote(promotable(a), promotable(b))
    if not dtypes.is_int(dtype):
        raise DTypeError(f"gcd is not defined for {dtype}", hint="it works on integers")
    return Gcd()(to_dtype(a, dtype), to_dtype(b, dtype))  # type: ignore[no-any-return]


def lcm(a: Any, b: Any) -> Variable:
    """The least common multiple of |a| and |b|, 0 if one is 0. Shapes broadcast.

    >>> import symgraph as sg
    >>> sg.lcm(4, [6, 0]).eval().tolist()
    [12, 0]
    """
    dtype = dtypes.promote(promotable(a), promotable(b))
    divisor = gcd(a, b)
    a, b = to_dtype(a, dtype), to_dtype(b, dtype)
    return absolute(floor_divide(a, where(equal(divisor, 0), 1, divisor)) * b)


# comparison with tolerance ------------------------------------------------------------------------


def isclose(
    a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Variable:
    """Where |a - b| <= atol + rtol * |b|; infinities equal themselves, NaN too if ``equal_nan``.

    >>> import symgraph as sg
    >>> sg.isclose([1.0, 1.1], 1.0 + 1e-9).eval().tolist()
    [True, False]
    """
    kind = dtypes.promote(promotable(a), promotable(b), float)
    x, y = to_dtype(a, kind), to_dtype(b, kind)
    near = (absolute(x - y) <= atol + rtol * absolute(y)) & isfinite(y)
    found = near | equal(x, y)
    return found | (isnan(x) & isnan(y)) if equal_nan else found  # type: ignore[no-any-return]


def allclose(
    a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Variable:
    """Whether all elements are close, see :func:`isclose`: a 0-d bool tensor.

    >>> import symgraph as sg
    >>> sg.allclose([1.0, 2.0], [1.0, 2.0 + 1e-9]).eval().tolist()
    True
    """
    return reductions.all(isclose(a, b, rtol, atol, equal_nan))


def array_equal(a: Any, b: Any, equal_nan: bool = False) -> Variable:
    """Whether both have the same shape and elements. Sizes that only may differ must agree when the
    function runs.

    >>> import symgraph as sg
    >>> sg.array_equal([1, 2], [1, 2]).eval().tolist(), sg.array_equal([1, 2], [1]).eval().tolist()
    (True, False)
    """
    a, b = as_variable(a), as_variable(b)
    known = [(m, n) for m, n in zip(a.shape, b.shape, strict=False)
             if isinstance(m, int) and isinstance(n, int)]  # fmt: skip
    if a.ndim != b.ndim or any(m != n for m, n in known):
        return as_variable(False)
    found = equal(a, b)
    if equal_nan and dtypes.is_inexact(a.dtype) and dtypes.is_inexact(b.dtype):
        found = found | (isnan(a) & isnan(b))
    return reductions.all(found)


def array_equiv(a: Any, b: Any) -> Variable:
    """Whether both are equal after broadcasting.

    >>> import symgraph as sg
    >>> sg.array_equiv([1, 1], 1).eval().tolist()
    True
    """
    a, b = as_variable(a), as_variable(b)
    try:
        broadcast_shapes(a.shape, b.shape)
    except ValueError:
        return as_variable(False)
    return reductions.all(equal(a, b))


def isposinf(x: Any) -> Variable:
    """Where x is plus infinity.

    >>> import symgraph as sg
    >>> sg.isposinf([1.0, float("inf")]).eval().tolist()
    [False, True]
    """
    return equal(x, math.inf)


def isneginf(x: Any) -> Variable:
    """Where x is minus infinity.

    >>> import symgraph as sg
    >>> sg.isneginf([1.0, -float("inf")]).eval().tolist()
    [False, True]
    """
    return equal(x, -math.inf)


def nan_to_num(
    x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Variable:
    """x with NaN replaced by ``nan`` and infinities by the greatest and least floats, unless
    ``posinf`` and ``neginf`` say otherwise.

    >>> import symgraph as sg
    >>> sg.nan_to_num([1.0, float("nan")]).eval().tolist()
    [1.0, 0.0]
    """
    x = as_variable(x)
    if dtypes.is_complex(x.dtype):
        return complex(*(nan_to_num(part, nan, posinf, neginf) for part in (x.real, x.imag)))
    if not dtypes.is_float(x.dtype):
        return x
    big = dtypes.limits(x.dtype).max
    high, low = (big if posinf is None else posinf), (-big if neginf is None else neginf)
    return where(isnan(x), nan, where(equal(x, math.inf), high, where(equal(x, -math.inf), low, x)))
