"""Activations: functions of one tensor between the layers of a network, with their usual names.

Each keeps its value and its derivative finite at numbers of any size, and most of them at
infinities too: a product like x * sigmoid(x) does not see an x so low that the other factor is 0.
They are expressions of elementwise rows, so that they are computed inside the loops around them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.types import Size, normalize_axis
from symgraph.ops.arithmetic import (
    absolute,
    clip,
    maximum,
    minimum,
    negative,
    reciprocal,
    sign,
    square,
)
from symgraph.ops.cast import cast
from symgraph.ops.comparison import greater, greater_equal, less, where
from symgraph.ops.elementwise import elementwise, to_float
from symgraph.ops.exponential import exp, expm1
from symgraph.ops.joining import part_of
from symgraph.ops.moments import mean, var
from symgraph.ops.operands import as_variable
from symgraph.ops.reductions import greatest, log_of_sum, max, sum
from symgraph.ops.settled import stable_as_written
from symgraph.ops.shape import normalize_axes, reshape
from symgraph.ops.special import erfc, relu, sigmoid, softplus, stop_gradient
from symgraph.ops.stable_forms import hypot
from symgraph.ops.trigonometric import tanh
from symgraph.scalar import as_expr, as_size, functions

__all__ = [
    "celu", "elu", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish",
    "hard_tanh", "leaky_relu", "log_sigmoid", "log_softmax", "maxout", "mish", "prelu", "relu",
    "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softmin", "softplus", "softsign",
    "sparse_plus", "sparse_sigmoid", "squareplus", "standardize", "swish", "tanh", "tanh_shrink",
    "threshold", "ultra_fast_sigmoid",
]  # fmt: skip

LOWEST = -1000.0  # below it sigmoid, erfc and softplus are 0 in every float


def as_floats(x: Any) -> Variable:
    """The tensor, integers and bools as float64."""
    x = as_variable(x)
    return x if dtypes.is_float(x.dtype) else cast(x, "float64")


# made of exponentials -----------------------------------------------------------------------------


@stable_as_written
def gelu(x: Any, approximate: bool = False) -> Variable:
    """x times the probability that a standard normal is below x (Hendrycks and Gimpel, 2016).

    Computed by erfc, so that it does not vanish early for negative x; ``approximate`` uses tanh.

    >>> import symgraph as sg
    >>> sg.nn.gelu([0.0, 100.0]).eval().tolist()
    [0.0, 100.0]
    """
    x = as_floats(x)
    if approximate:
        near = clip(x, -10.0, 10.0)  # outside, tanh is 1; the cube would overflow
        inner = math.sqrt(2 / math.pi) * (near + 0.044715 * (near * near * near))
        return 0.5 * maximum(x, LOWEST) * (1 + tanh(inner))
    return 0.5 * maximum(x, LOWEST) * erfc(-math.sqrt(0.5) * x)


@stable_as_written
def silu(x: Any) -> Variable:
    """x * sigmoid(x), also called swish.

    >>> import symgraph as sg
    >>> sg.nn.silu([0.0, 100.0]).eval().tolist()
    [0.0, 100.0]
    """
    x = as_floats(x)
    return maximum(x, LOWEST) * sigmoid(x)


swish = silu


def mish(x: Any) -> Variable:
    """x * tanh(softplus(x)) (Misra, 2019).

    >>> import symgraph as sg
    >>> sg.nn.mish([0.0, 100.0]).eval().tolist()
    [0.0, 100.0]
    """
    x = as_floats(x)
    return maximum(x, LOWEST) * tanh(softplus(x))


def elu(x: Any, alpha: float = 1.0) -> Variable:
    """x where it is positive, else alpha * (exp(x) - 1) (Clevert et al., 2015).

    >>> import symgraph as sg
    >>> sg.nn.elu([0.0, 2.0]).eval().tolist()
    [0.0, 2.0]
    """
    x = as_floats(x)
    # the exponential sees no positive x, whose overflow would make the derivative NaN
    return where(greater(x, 0), x, alpha * expm1(minimum(x, 0)))


def celu(x: Any, alpha: float = 1.0) -> Variable:
    """x where it is positive, else alpha * (exp(x / alpha) - 1), whose derivative is continuous
    for every alpha (Barron, 2017).

    >>> import symgraph as sg
    >>> sg.nn.celu([0.0, 2.0], alpha=2.0).eval().tolist()
    [0.0, 2.0]
    """
    x = as_floats(x)
    return where(greater(x, 0), x, alpha * expm1(minimum(x, 0) / alpha))


SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def selu(x: Any) -> Variable:
    """A scaled elu that keeps mean 0 and variance 1 from layer to layer (Klambauer et al., 2017).

    >>> import symgraph as sg
    >>> sg.nn.selu([0.0, 1.0]).eval().tolist()
    [0.0, 1.0507009873554805]
    """
    return SELU_SCALE * elu(x, SELU_ALPHA)


def log_sigmoid(x: Any) -> Variable:
    """log(sigmoid(x)) without overflow or loss, as -softplus(-x).

    >>> import symgraph as sg
    >>> sg.nn.log_sigmoid([-1000.0]).eval().tolist()
    [-1000.0]
    """
    return negative(softplus(negative(x)))


def tanh_shrink(x: Any) -> Variable:
    """x - tanh(x).

    >>> import symgraph as sg
    >>> sg.nn.tanh_shrink([0.0, 100.0]).eval().tolist()
    [0.0, 99.0]
    """
    x = as_floats(x)
    return x - tanh(x)


# rational and algebraic ---------------------------------------------------------------------------


softsign = elementwise(
    "softsign", "x / (1 + abs(x)).",
    dtype=to_float, reference=lambda x: x / (1 + np.abs(x)),
    lower=lambda x: functions.div(x, functions.add(functions.abs_(x), 1)),
    # written down because the derivative of the quotient is a difference of almost equal terms
    vjp=lambda g, y, x: (g * square(reciprocal(1 + absolute(x))),), domain=(-8, 8),
    example="nn.softsign([-1.0, 0.0, 3.0]) -> [-0.5, 0.0, 0.75]",
)  # fmt: skip


def squareplus(x: Any, b: float = 4.0) -> Variable:
    """(x + sqrt(x * x + b)) / 2, a smooth relu without exponentials (Barron, 2021); b is positive.

    Without cancellation for negative x, and without overflow.

    >>> import symgraph as sg
    >>> sg.nn.squareplus([0.0, 1e200]).eval().tolist()
    [1.0, 1e+200]
    """
    x = as_floats(x)
    above = greater_equal(x, 0)
    size = where(above, x, negative(x))
    greater_root = 0.5 * (hypot(x, math.sqrt(b)) + size)
    return where(above, greater_root, (0.25 * b) / greater_root)


def sparse_plus(x: Any) -> Variable:
    """0 up to -1, x from 1 on, and (x + 1)**2 / 4 between: a softplus that reaches its limits.

    >>> import symgraph as sg
    >>> sg.nn.sparse_plus([-2.0, 0.0, 3.0]).eval().tolist()
    [0.0, 0.25, 3.0]
    """
    x = as_floats(x)
    between = clip(x, -1.0, 1.0) + 1
    return where(greater_equal(x, 1), x, 0.25 * between * between)


def sparse_sigmoid(x: Any) -> Variable:
    """The derivative of sparse_plus: (x + 1) / 2 kept between 0 and 1.

    >>> import symgraph as sg
    >>> sg.nn.sparse_sigmoid([-2.0, 0.0, 3.0]).eval().tolist()
    [0.0, 0.5, 1.0]
    """
    return clip(0.5 * as_floats(x) + 0.5, 0.0, 1.0)


def ultra_fast_sigmoid(x: Any) -> Variable:
    """Theano's approximation of sigmoid by pieces without an exponential; at most 0.08 off.

    >>> import symgraph as sg
    >>> sg.nn.ultra_fast_sigmoid([0.0, 100.0]).eval().tolist()
    [0.5, 0.997527376843365]
    """
    half = 0.5 * as_floats(x)
    size = minimum(absolute(half), 3.0)
    rising = 1.5 * size / (1 + size)
    flat = 0.935409070603099 + 0.0458812946797165 * (size - 1.7)
    end = where(less(size, 3), flat, 0.99505475368673)
    return 0.5 * (sign(half) * where(less(size, 1.7), rising, end) + 1)


# pieces of straight lines -------------------------------------------------------------------------


def leaky_relu(x: Any, slope: float = 0.01) -> Variable:
    """x where it is positive, else slope * x.

    >>> import symgraph as sg
    >>> sg.nn.leaky_relu([-1.0, 2.0]).eval().tolist()
    [-0.01, 2.0]
    """
    x = as_floats(x)
    return where(greater(x, 0), x, slope * x)


def prelu(x: Any, slope: Any) -> Variable:
    """leaky_relu whose ``slope`` is learnt: a tensor that broadcasts with x (He et al., 2015).

    >>> import symgraph as sg
    >>> sg.nn.prelu([[-1.0, -1.0]], [0.5, 2.0]).eval().tolist()
    [[-0.5, -2.0]]
    """
    x = as_floats(x)
    return where(greater(x, 0), x, slope * x)


def relu6(x: Any) -> Variable:
    """x kept between 0 and 6.

    >>> import symgraph as sg
    >>> sg.nn.relu6([-1.0, 9.0]).eval().tolist()
    [0.0, 6.0]
    """
    return minimum(maximum(x, 0), 6)


def hard_sigmoid(x: Any, slope: float = 1 / 6, shift: float = 0.5) -> Variable:
    """slope * x + shift kept between 0 and 1. Theano's and old Keras' slope is 0.2.

    >>> import symgraph as sg
    >>> sg.nn.hard_sigmoid([-9.0, 0.0, 9.0]).eval().tolist()
    [0.0, 0.5, 1.0]
    """
    return clip(slope * as_floats(x) + shift, 0.0, 1.0)


def hard_tanh(x: Any, low: float = -1.0, high: float = 1.0) -> Variable:
    """x kept between ``low`` and ``high``.

    >>> import symgraph as sg
    >>> sg.nn.hard_tanh([-9.0, 0.5, 9.0]).eval().tolist()
    [-1.0, 0.5, 1.0]
    """
    return clip(as_floats(x), low, high)


def hard_silu(x: Any) -> Variable:
    """x * hard_sigmoid(x), also called hard_swish (Howard et al., 2019).

    >>> import symgraph as sg
    >>> sg.nn.hard_silu([0.0, 1.5, 9.0]).eval().tolist()
    [0.0, 1.125, 9.0]
    """
    x = as_floats(x)
    return maximum(x, -3.0) * hard_sigmoid(x)


hard_swish = hard_silu


def hard_shrink(x: Any, size: float = 0.5) -> Variable:
    """x, but 0 between -size and size.

    >>> import symgraph as sg
    >>> sg.nn.hard_shrink([-0.4, 2.0]).eval().tolist()
    [0.0, 2.0]
    """
    x = as_floats(x)
    return where(greater(absolute(x), size), x, 0)


def soft_shrink(x: Any, size: float = 0.5) -> Variable:
    """x moved towards 0 by ``size``, and 0 between -size and size.

    >>> import symgraph as sg
    >>> sg.nn.soft_shrink([-0.4, 2.0]).eval().tolist()
    [0.0, 1.5]
    """
    x = as_floats(x)
    return x - clip(x, -size, size)


def threshold(x: Any, limit: float, value: float) -> Variable:
    """x where it is above ``limit``, else ``value``.

    >>> import symgraph as sg
    >>> sg.nn.threshold([0.5, 2.0], 1.0, -7.0).eval().tolist()
    [-7.0, 2.0]
    """
    x = as_floats(x)
    return where(greater(x, limit), x, value)


# along an axis ------------------------------------------------------------------------------------


def shifted(x: Any, axis: Any) -> Variable:
    """x less its greatest along the axis: exp of it is at most 1. Softmax does not depend on the
    shift, so no derivative passes through it."""
    x = as_floats(x)
    axes = normalize_axes(axis, x.ndim, "softmax") if axis is not None else axis
    return x - stop_gradient(greatest(x, axes))


@stable_as_written
def softmax(x: Any, axis: Any = -1) -> Variable:
    """exp(x) over its sum along ``axis`` (an int or a tuple), without overflow; NaN where all are
    -inf. Raises AxisError.

    >>> import symgraph as sg
    >>> sg.nn.softmax([1000.0, 1000.0]).eval().tolist()
    [0.5, 0.5]
    """
    e = exp(shifted(x, axis))
    return e / sum(e, axis, keepdims=True)


def softmin(x: Any, axis: Any = -1) -> Variable:
    """softmax of -x: the least gets the most. Raises AxisError.

    >>> import symgraph as sg
    >>> sg.nn.softmin([0.0, 1000.0]).eval().tolist()
    [1.0, 0.0]
    """
    return softmax(negative(x), axis)


@stable_as_written
def log_softmax(x: Any, axis: Any = -1) -> Variable:
    """log(softmax(x)), finite where softmax itself is too small for a float. Raises AxisError.

    >>> import symgraph as sg
    >>> sg.nn.log_softmax([0.0, -1000.0]).eval().tolist()
    [0.0, -1000.0]
    """
    rest = shifted(x, axis)
    return rest - log_of_sum(rest, axis)


def standardize(x: Any, axis: Any = -1, epsilon: float = 1e-5) -> Variable:
    """x less its mean, over the square root of its variance plus ``epsilon``, along ``axis``.

    >>> import symgraph as sg
    >>> sg.nn.standardize([1.0, 3.0], epsilon=0.0).eval().tolist()
    [-1.0, 1.0]
    """
    x = as_floats(x)
    centred = x - mean(x, axis, keepdims=True)
    return centred / (var(x, axis, keepdims=True) + epsilon) ** 0.5


def glu(x: Any, axis: int = -1) -> Variable:
    """The first half of x along ``axis`` times the sigmoid of the second (Dauphin et al., 2016).

    Raises AxisError, and ShapeError for an odd size.

    >>> import symgraph as sg
    >>> sg.nn.glu([1.0, 2.0, 0.0, 0.0]).eval().tolist()
    [0.5, 1.0]
    """
    x = as_floats(x)
    axis = normalize_axis(axis, x.ndim, "glu: axis")
    half = _part(x.shape[axis], 2, "glu")
    return part_of(x, axis, 0, half) * sigmoid(part_of(x, axis, half, half))


def maxout(x: Any, pieces: int, axis: int = -1) -> Variable:
    """The greatest of each ``pieces`` neighbours along ``axis`` (Goodfellow et al., 2013); the size
    of the axis is a multiple of ``pieces``. Raises AxisError, ShapeError, ArgumentError.

    >>> import symgraph as sg
    >>> sg.nn.maxout([1.0, 5.0, 3.0, 2.0], 2).eval().tolist()
    [5.0, 3.0]
    """
    x = as_variable(x)
    if pieces < 1:
        raise ArgumentError(f"maxout: {pieces} pieces")
    axis = normalize_axis(axis, x.ndim, "maxout: axis")
    count = _part(x.shape[axis], pieces, "maxout")
    apart = reshape(x, (*x.shape[:axis], count, pieces, *x.shape[axis + 1 :]))
    return max(apart, axis + 1)


def _part(size: Size, pieces: int, what: str) -> Size:
    if isinstance(size, int) and size % pieces:
        raise ShapeError(f"{what}: the size {size} is not a multiple of {pieces}")
    return as_size(as_expr(size) // pieces)
