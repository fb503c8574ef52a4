"""`keras.ops.numpy`: arithmetic, comparison and logic of two tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras.src.backend.common import dtypes

import symgraph as sg
from keras_symgraph.src.ops.promotion import is_inexact, kind, promoted, real_of, result_type
from keras_symgraph.src.tensor import Tensor, node_of, wrap
from symgraph import Variable

Binary = Callable[[Any, Any], Tensor]


def _of_two(function: Any, name: str) -> Binary:
    """A function of two tensors of one dtype."""

    def op(x1: Any, x2: Any) -> Tensor:
        return wrap(function(*promoted(x1, x2)))

    op.__name__ = op.__qualname__ = name
    return op


def _of_two_floats(function: Any, name: str) -> Binary:
    """A function of two tensors as floats."""

    def op(x1: Any, x2: Any) -> Tensor:
        return wrap(function(*promoted(x1, x2, also=(float,))))

    op.__name__ = op.__qualname__ = name
    return op


def _of_two_numbers(function: Any, name: str) -> Binary:
    """A function of two tensors that takes truth values as int32."""

    def op(x1: Any, x2: Any) -> Tensor:
        nodes = promoted(x1, x2)
        if nodes[0].dtype == "bool":
            nodes = [x.astype("int32") for x in nodes]
        return wrap(function(*nodes))

    op.__name__ = op.__qualname__ = name
    return op


def _of_two_computed(function: Any, name: str) -> Binary:
    """A function that takes integers as JAX does, 64 bits of them as float64."""

    def op(x1: Any, x2: Any) -> Tensor:
        dtype = result_type(kind(x1), kind(x2))
        dtype = dtype if is_inexact(dtype) else real_of(dtype)
        return wrap(function(node_of(x1, dtype), node_of(x2, dtype)))

    op.__name__ = op.__qualname__ = name
    return op


def _of_truths(function: Any, name: str) -> Binary:
    """A function of truth values."""

    def op(x1: Any, x2: Any) -> Tensor:
        return wrap(function(node_of(x1).astype("bool"), node_of(x2).astype("bool")))

    op.__name__ = op.__qualname__ = name
    return op


add = _of_two(sg.add, "add")
subtract = _of_two(sg.subtract, "subtract")
multiply = _of_two(sg.multiply, "multiply")
maximum = _of_two(sg.maximum, "maximum")
minimum = _of_two(sg.minimum, "minimum")
fmax = _of_two(sg.fmax, "fmax")
fmin = _of_two(sg.fmin, "fmin")
gcd = _of_two(sg.gcd, "gcd")
lcm = _of_two(sg.lcm, "lcm")

equal = _of_two(sg.equal, "equal")
not_equal = _of_two(sg.not_equal, "not_equal")
less = _of_two(sg.less, "less")
less_equal = _of_two(sg.less_equal, "less_equal")
greater = _of_two(sg.greater, "greater")
greater_equal = _of_two(sg.greater_equal, "greater_equal")

divide = _of_two_floats(sg.divide, "divide")
true_divide = _of_two_floats(sg.divide, "true_divide")
arctan2 = _of_two_floats(sg.arctan2, "arctan2")
logaddexp = _of_two_floats(sg.logaddexp, "logaddexp")
logaddexp2 = _of_two_floats(sg.logaddexp2, "logaddexp2")
float_power = _of_two_floats(sg.power, "float_power")
nextafter = _of_two_floats(sg.nextafter, "nextafter")

mod = _of_two_numbers(sg.mod, "mod")
fmod = _of_two_numbers(sg.fmod, "fmod")
floor_divide = _of_two_numbers(sg.floor_divide, "floor_divide")

heaviside = _of_two_computed(sg.heaviside, "heaviside")
copysign = _of_two_computed(sg.copysign, "copysign")
hypot = _of_two_computed(sg.hypot, "hypot")

logical_and = _of_truths(sg.logical_and, "logical_and")
logical_or = _of_truths(sg.logical_or, "logical_or")
logical_xor = _of_truths(sg.logical_xor, "logical_xor")


def power(x1: Any, x2: Any) -> Tensor:
    """Integers to integers stay integers; a negative exponent then cuts what it makes to 0, 1 or
    -1, as integer division does."""
    base, exponent = promoted(x1, x2)
    if is_inexact(base.dtype):
        return wrap(_float_power(base, x2, exponent))
    if base.dtype == "bool":
        return wrap(sg.power(base.astype("int32"), exponent.astype("int32")))
    if base.dtype.startswith("u"):
        return wrap(sg.power(base, exponent))
    whole = sg.power(base, sg.maximum(exponent, sg.zeros_like(exponent)))
    unit = sg.where(sg.equal(sg.abs(base), 1), sg.power(base, sg.abs(exponent)), 0)
    return wrap(sg.where(sg.less(exponent, 0), unit.astype(base.dtype), whole))


def _float_power(base: Variable, given: Any, exponent: Variable) -> Variable:
    """A whole Python exponent stays one, since products are faster than a logarithm."""
    if isinstance(given, int) and abs(given) <= 64:
        return sg.power(base, given)
    return sg.power(base, exponent)


def divide_no_nan(x1: Any, x2: Any) -> Tensor:
    """0 where the divisor is 0; the divisor there is replaced before the division, so that no
    derivative is NaN."""
    top, below = promoted(x1, x2, also=(float,))
    zero = sg.equal(below, 0)
    quotient = top / sg.where(zero, sg.ones_like(below), below)
    return wrap(sg.where(zero, sg.zeros_like(quotient), quotient))


def ldexp(x1: Any, x2: Any) -> Tensor:
    """x1 * 2**x2; raises TypeError for an exponent that is no integer."""
    exponent = node_of(x2)
    if exponent.dtype not in dtypes.INT_TYPES:
        raise TypeError(
            f"ldexp exponent must be an integer type. Received: x2 dtype={exponent.dtype}"
        )
    dtype = result_type(kind(x1), kind(x2), float)
    return wrap(sg.ldexp(node_of(x1, dtype), exponent.astype("int32")).astype(dtype))


def isclose(
    x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    a, b = promoted(x1, x2)
    return wrap(sg.isclose(a, b, rtol, atol, equal_nan))


def allclose(
    x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    a, b = promoted(x1, x2)
    return wrap(sg.allclose(a, b, rtol, atol, equal_nan))


# bits: Keras names these operands otherwise -------------------------------------------------------


def _of_bits(function: Any, name: str) -> Binary:
    """A function of two tensors of one dtype, of integers or truth values."""

    def op(x: Any, y: Any) -> Tensor:
        return wrap(function(*promoted(x, y)))

    op.__name__ = op.__qualname__ = name
    return op


bitwise_and = _of_bits(sg.bitwise_and, "bitwise_and")
bitwise_or = _of_bits(sg.bitwise_or, "bitwise_or")
bitwise_xor = _of_bits(sg.bitwise_xor, "bitwise_xor")
bitwise_left_shift = _of_bits(sg.left_shift, "bitwise_left_shift")
left_shift = _of_bits(sg.left_shift, "left_shift")
bitwise_right_shift = _of_bits(sg.right_shift, "bitwise_right_shift")
right_shift = _of_bits(sg.right_shift, "right_shift")
