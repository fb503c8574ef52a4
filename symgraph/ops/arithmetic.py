"""Arithmetic with the semantics of Python's operators and NumPy 2's functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import DTypeError
from symgraph.ir.graph import Constant, Variable
from symgraph.ir.op import OPS
from symgraph.ir.operators import in_language
from symgraph.ops.cast import cast
from symgraph.ops.comparison import equal, greater, less, less_equal, logical_and, where
from symgraph.ops.complex_parts import conjugate_part, real_part
from symgraph.ops.elementwise import (
    elementwise,
    not_bool,
    number,
    same,
    to_float,
    to_float64,
)
from symgraph.ops.operands import as_variable, promotable
from symgraph.rewrite.pattern import is_pattern
from symgraph.scalar import Expr, functions
from symgraph.scalar.table import SCALAR_OPS

__all__ = [
    "abs", "absolute", "add", "cbrt", "ceil", "clip", "copysign", "divide", "divmod", "floor",
    "floor_divide", "maximum", "minimum", "mod", "multiply", "negative", "positive",
    "power", "reciprocal", "remainder", "rint", "round", "rsqrt", "sign", "sqrt", "square",
    "subtract", "true_divide", "trunc",
]  # fmt: skip


def _by_kind(floats: Any, others: Any) -> Any:
    """A lowering that depends on whether the operands are floats."""
    return lambda x, *rest: (floats if dtypes.is_inexact(x.dtype) else others)(x, *rest)


def _complex(x: Variable) -> bool:
    return dtypes.is_complex(x.dtype)


def _itself(x: Expr) -> Expr:
    return x


# sums and products --------------------------------------------------------------------------------

add = elementwise(
    "add", "a + b; on bools, or.",
    dtype=same, on_complex=True, arity=2, reference=np.add, lower=functions.add,
    vjp=lambda g, y, a, b: (g, g), example="add([1, 2], 0.5) -> [1.5, 2.5]",
)  # fmt: skip
subtract = elementwise(
    "subtract", "a - b; integers wrap around.",
    dtype=not_bool, on_complex=True, arity=2, reference=np.subtract, lower=functions.sub,
    vjp=lambda g, y, a, b: (g, negative(g)), example="subtract([1, 2], 0.5) -> [0.5, 1.5]",
)  # fmt: skip
multiply = elementwise(
    "multiply", "a * b; on bools, and.",
    dtype=same, on_complex=True, arity=2, reference=np.multiply, lower=functions.mul,
    vjp=lambda g, y, a, b: (g * b, g * a), example="multiply([1, 2], 0.5) -> [0.5, 1.0]",
)  # fmt: skip
negative = elementwise(
    "negative", "-x; unsigned integers wrap around.",
    dtype=not_bool, on_complex=True, reference=np.negative, lower=functions.neg,
    vjp=lambda g, y, x: (negative(g),), example="negative([1, -2]) -> [-1, 2]",
)  # fmt: skip
square = elementwise(
    "square", "x * x.",
    dtype=number, on_complex=True, reference=np.square, lower=lambda x: functions.mul(x, x),
    vjp=lambda g, y, x: (2 * g * x,), example="square([3, -2]) -> [9, 4]",
)  # fmt: skip


# quotients ----------------------------------------------------------------------------------------

divide = elementwise(
    "divide", "a / b in floats; all integers are divided as float64.",
    dtype=to_float64, on_complex=True, arity=2, reference=np.true_divide, lower=functions.div,
    vjp=lambda g, y, a, b: (g / b, negative(g * y / b)), domain=((-3, 3), (0.5, 3)),
    example="divide([1, 3], 2) -> [0.5, 1.5]",
)  # fmt: skip
floor_divide = elementwise(
    "floor_divide",
    "The floor of a / b, as Python's //; integers divided by 0 give 0. The derivative is 0.",
    dtype=number, arity=2, reference=np.floor_divide, lower=functions.floordiv,
    vjp=lambda g, y, a, b: (None, None), domain=((-9, 9), (1, 4)),
    example="floor_divide([7, -7], 2) -> [3, -4]",
)  # fmt: skip
remainder = elementwise(
    "remainder",
    "a - b * floor(a / b), with the sign of b as Python's %; an integer modulo 0 is 0.",
    dtype=number, arity=2, reference=np.remainder, lower=functions.mod,
    vjp=lambda g, y, a, b: (g, negative(g * floor_divide(a, b))), domain=((-9, 9), (1, 4)),
    example="remainder([7, -7], 3) -> [1, 2]",
)  # fmt: skip


def _reciprocal(x: Any) -> Any:
    return np.true_divide(1, x, dtype=np.result_type(x))


reciprocal = elementwise(
    "reciprocal", "1 / x in floats (NumPy truncates integers instead).",
    dtype=to_float64, on_complex=True, reference=_reciprocal,
    lower=lambda x: functions.div(1, x), vjp=lambda g, y, x: (negative(g * y * y),),
    domain=(0.5, 3), example="reciprocal([2.0, 4.0]) -> [0.5, 0.25]",
)  # fmt: skip


# powers and roots ---------------------------------------------------------------------------------


def _power_reference(a: Any, b: Any) -> Any:
    row = "pow" if np.result_type(a).kind in "fc" else "ipow"
    return SCALAR_OPS[row].reference(a, b)


def _power_vjp(g: Variable, y: Variable, a: Variable, b: Variable) -> tuple[Any, Any]:
    wrt_base = where(equal(b, 0), 0, g * b * _power(a, b - 1))
    if isinstance(b, Constant):
        return wrt_base, None
    log = _log(where(equal(a, 0), 1, a))
    return wrt_base, g * y * where(equal(a, 0), 0, log)


def _log(x: Variable) -> Variable:
    # ln through the language of ops would import a sibling that imports this module; log is made
    # of rows alone there, so the row is looked up when a derivative is built.
    return OPS["log"](x)  # type: ignore[no-any-return]


_power = elementwise(
    "power",
    """a ** b.

Integers wrap around; where a dynamic integer exponent is negative the result is the truncated
quotient 1 // a**-b (0, 1 or -1). The derivative by the base is 0 where b is 0, the one by the
exponent is 0 where a is 0 and NaN where a is negative.""",
    dtype=number, on_complex=True, arity=2, reference=_power_reference,
    lower=_by_kind(functions.pow_, functions.ipow), vjp=_power_vjp, domain=((0.2, 3), (-2, 3)),
)  # fmt: skip


def power(a: Any, b: Any) -> Variable:
    """a ** b, shapes broadcast. Integers to integers wrap around.

    Raises DTypeError for integers to a constant negative power, as NumPy does (where an exponent
    is only known at run time, such elements are 1 // a**-b truncated: 0, 1 or -1).

    >>> import symgraph as sg
    >>> sg.power([1.0, 2.0, 3.0], 2).eval().tolist()
    [1.0, 4.0, 9.0]
    """
    if is_pattern(a) or is_pattern(b):
        return _power(a, b)
    if not isinstance(b, Variable | Expr) or isinstance(b, Constant):
        exponent = b.data if isinstance(b, Constant) else np.asarray(b)
        base = promotable(a)
        if exponent.dtype.kind == "i" and (exponent < 0).any() and not _is_float(base):
            raise DTypeError(
                "power: integers to negative integer powers are not integers",
                hint="make the base or the exponent a float",
            )
    return _power(a, b)


def _is_float(operand: Any) -> bool:
    if isinstance(operand, str):
        return dtypes.is_inexact(operand)
    return type(operand) in (float, complex)


def _sqrt_vjp(g: Any, y: Any, x: Any) -> tuple[Any]:
    """Infinite at 0, but 0 where the root is a norm written out: there the slopes of the squares
    are 0, and their product with infinity would be NaN."""
    if not is_sum_of_squares(x):
        return (0.5 * g / y,)
    zero = equal(y, 0)
    return (where(zero, 0, 0.5 * g / where(zero, 1, y)),)


def is_sum_of_squares(x: Variable, depth: int = 8) -> bool:
    """Whether a value is written as a sum of squares of reals."""
    node = x.owner
    if node is None or not depth or dtypes.is_complex(x.dtype):
        return False
    name, inputs = node.op.name, node.inputs
    if name == "square" or (name == "multiply" and inputs[0] is inputs[1]):
        return True
    if name == "power":
        exponent = inputs[1]
        return isinstance(exponent, Constant) and exponent.ndim == 0 and exponent.data == 2
    if name == "add":
        return all(is_sum_of_squares(v, depth - 1) for v in inputs)
    return name in _ADDING and is_sum_of_squares(inputs[0], depth - 1)


_ADDING = frozenset("sum expand_dims squeeze reshape transpose broadcast_to".split())
sqrt = elementwise(
    "sqrt", "The square root; NaN below 0.",
    dtype=to_float, on_complex=True, reference=np.sqrt, lower=functions.sqrt,
    vjp=_sqrt_vjp, domain=(0.1, 9), example="sqrt([4.0, 9.0]) -> [2.0, 3.0]",
)  # fmt: skip
rsqrt = elementwise(
    "rsqrt", "1 / sqrt(x).",
    dtype=to_float, on_complex=True, reference=lambda x: _reciprocal(np.sqrt(x)),
    lower=lambda x: functions.div(1, functions.sqrt(x)),
    vjp=lambda g, y, x: (-0.5 * g * y / x,), domain=(0.1, 9), example="rsqrt([4.0]) -> [0.5]",
)  # fmt: skip


cbrt = elementwise(
    "cbrt", "The real cube root, also of negative numbers.",
    dtype=to_float, reference=np.cbrt, lower=functions.cbrt,
    vjp=lambda g, y, x: (g * square(reciprocal(y)) / 3,), domain=(0.2, 9),
    example="cbrt([-1.0, 8.0]) -> [-1.0, 2.0]",
)  # fmt: skip


# sign ---------------------------------------------------------------------------------------------

absolute = elementwise(
    "absolute", "The magnitude |x|. Its derivative at 0 is 0.",
    dtype=same, on_complex=True, result="part", reference=np.absolute, lower=functions.abs_,
    vjp=lambda g, y, x: (g * (conjugate_part(sign(x)) if _complex(x) else sign(x)),),
    example="absolute([-1.5, 2.0]) -> [1.5, 2.0]",
)  # fmt: skip
abs = absolute


def _sign_vjp(g: Variable, y: Variable, x: Variable) -> tuple[Variable | None]:
    """Of complex x the direction turns: (g - Re(g y) conj(y)) / |x|."""
    if not _complex(x):
        return (None,)
    length = absolute(x)
    along = real_part(g * y) * conjugate_part(y)
    return ((g - along) / where(equal(length, 0), 1, length),)


sign = elementwise(
    "sign",
    """-1, 0 or 1; NaN for NaN. Its derivative is 0. Of complex numbers x / |x|, and 0 for 0.""",
    dtype=not_bool, on_complex=True, reference=np.sign, lower=functions.sign,
    vjp=_sign_vjp, example="sign([-1.5, 0.0]) -> [-1.0, 0.0]",
)  # fmt: skip
copysign = elementwise(
    "copysign", "The magnitude of a with the sign of b, whose sign of zero counts.",
    dtype=to_float, arity=2, reference=np.copysign, lower=functions.copysign,
    vjp=lambda g, y, a, b: (g * sign(a) * copysign(1, b), None),
    example="copysign([1.0, 2.0], -0.0) -> [-1.0, -2.0]",
)  # fmt: skip


@in_language("positive")
def positive(x: Any) -> Variable:
    """x itself, as +x. Raises DTypeError for bool, as NumPy does.

    >>> import symgraph as sg
    >>> sg.positive([1, -2]).eval().tolist()
    [1, -2]
    """
    found = as_variable(x)
    if found.dtype == "bool":
        raise DTypeError("positive is not defined for bool", hint="sg.cast it to an integer first")
    return found


# rounding: integers are what they are -------------------------------------------------------------

floor = elementwise(
    "floor", "The greatest integer not above x, in x's dtype. Its derivative is 0.",
    dtype=same, reference=np.floor, lower=_by_kind(functions.floor, _itself),
    vjp=lambda g, y, x: (None,), example="floor([1.5, -1.5]) -> [1.0, -2.0]",
)  # fmt: skip
ceil = elementwise(
    "ceil", "The least integer not below x, in x's dtype. Its derivative is 0.",
    dtype=same, reference=np.ceil, lower=_by_kind(functions.ceil, _itself),
    vjp=lambda g, y, x: (None,), example="ceil([1.5, -1.5]) -> [2.0, -1.0]",
)  # fmt: skip
trunc = elementwise(
    "trunc", "x without its fraction, in x's dtype. Its derivative is 0.",
    dtype=same, reference=np.trunc, lower=_by_kind(functions.trunc, _itself),
    vjp=lambda g, y, x: (None,), example="trunc([1.5, -1.5]) -> [1.0, -1.0]",
)  # fmt: skip
rint = elementwise(
    "rint", "The nearest integer as a float, halves to the even one. Its derivative is 0.",
    dtype=to_float, reference=np.rint, lower=functions.rint,
    vjp=lambda g, y, x: (None,), example="rint([0.5, 1.5]) -> [0.0, 2.0]",
)  # fmt: skip


@in_language("round")
def round(x: Any, decimals: int = 0) -> Variable:
    """x rounded to decimals, halves to even, in x's dtype; negative decimals round tens, hundreds.

    As in NumPy x is scaled by a power of ten, rounded and scaled back. The derivative is 0.

    >>> import symgraph as sg
    >>> sg.round([0.5, 1.5, 2.5]).eval().tolist(), sg.round(15, -1).eval().tolist()
    ([0.0, 2.0, 2.0], 20)
    """
    x = as_variable(x)
    if not dtypes.is_float(x.dtype):
        return x if decimals >= 0 else cast(_scaled_round(cast(x, "float64"), decimals), x.dtype)
    return _scaled_round(x, decimals)


def _scaled_round(x: Variable, decimals: int) -> Variable:
    scale = 10.0 ** (decimals if decimals >= 0 else -decimals)
    if decimals > 0:
        return rint(x * scale) / scale
    return rint(x) if decimals == 0 else rint(x / scale) * scale


# extremes: NaN propagates, ties share the derivative ----------------------------------------------


def _shares(g: Variable, first: Variable, tie: Variable) -> Variable:
    return where(first, g, where(tie, 0.5 * g, 0))


minimum = elementwise(
    "minimum", "The lesser of a and b, NaN if one is. Where equal, each gets half the derivative.",
    dtype=same, arity=2, reference=np.minimum, lower=functions.minimum,
    vjp=lambda g, y, a, b: (_shares(g, a < b, equal(a, b)), _shares(g, b < a, equal(a, b))),
    example="minimum([1, 5], 3) -> [1, 3]",
)  # fmt: skip
maximum = elementwise(
    "maximum", "The greater of a and b, NaN if one is. Where equal, each gets half the derivative.",
    dtype=same, arity=2, reference=np.maximum, lower=functions.maximum,
    vjp=lambda g, y, a, b: (_shares(g, a > b, equal(a, b)), _shares(g, b > a, equal(a, b))),
    example="maximum([1, 5], 3) -> [3, 5]",
)  # fmt: skip


def _clip_vjp(g: Variable, y: Variable, x: Variable, lo: Variable, hi: Variable) -> tuple[Any, ...]:
    crossed = less(hi, lo)
    above = where(crossed, True, greater(x, hi))
    below = logical_and(less(x, lo), less_equal(lo, hi))
    inside = logical_and(less_equal(lo, x), less_equal(x, hi))
    return where(inside, g, 0), where(below, g, 0), where(above, g, 0)


_clip = elementwise(
    "clip",
    """minimum(maximum(x, lo), hi). The derivative passes to x between the bounds, these included,
and else to the bound that took its place.""",
    dtype=same, arity=3, reference=lambda x, lo, hi: np.minimum(np.maximum(x, lo), hi),
    lower=lambda x, lo, hi: functions.minimum(functions.maximum(x, lo), hi), vjp=_clip_vjp,
    domain=((-3, 3), (-2, -1), (1, 2)),
)  # fmt: skip


@in_language("clip")
def clip(x: Any, min: Any = None, max: Any = None) -> Variable:
    """x kept between the bounds; None is no bound. Shapes broadcast; max wins over min.

    The derivative passes where min <= x <= max.

    >>> import symgraph as sg
    >>> sg.clip([-2, 0.5, 9], 0, 1).eval().tolist()
    [0.0, 0.5, 1.0]
    """
    if is_pattern(x):
        return _clip(x, min, max)
    if min is None and max is None:
        return as_variable(x)
    kind = dtypes.promote(*(promotable(v) for v in (x, min, max) if v is not None))
    low = dtypes.min_value(kind) if min is None else min
    return _clip(x, low, dtypes.max_value(kind) if max is None else max)


@in_language("divmod")
def divmod(a: Any, b: Any) -> tuple[Variable, Variable]:
    """``(a // b, a % b)``.

    >>> import symgraph as sg
    >>> [v.eval().tolist() for v in sg.divmod(-7, 2)]
    [-4, 1]
    """
    return floor_divide(a, b), remainder(a, b)


true_divide, mod = divide, remainder

for _name, _function in (
    ("add", add), ("subtract", subtract), ("multiply", multiply), ("divide", divide),
    ("floor_divide", floor_divide), ("remainder", remainder), ("power", power),
    ("negative", negative), ("absolute", absolute),
):  # fmt: skip
    in_language(_name)(_function)
