"""Words of neural networks: activations, softmax and losses, each safe at extreme values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, DTypeError, IndexOutOfRange, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import Size, TensorType, normalize_axis
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.ops.arithmetic import maximum, minimum, negative
from symgraph.ops.cast import cast
from symgraph.ops.comparison import equal, greater, greater_equal, less, logical_and, where
from symgraph.ops.creation import iota
from symgraph.ops.exponential import exp, expm1, log
from symgraph.ops.operands import as_variable
from symgraph.ops.random import bernoulli
from symgraph.ops.reductions import all as all_
from symgraph.ops.reductions import logsumexp, max, mean, sum, var
from symgraph.ops.shape import ExpandDims
from symgraph.ops.special import erfc, relu, sigmoid, softplus, stop_gradient
from symgraph.ops.trigonometric import tanh

__all__ = [
    "binary_cross_entropy_with_logits", "dropout", "elu", "gelu", "layer_norm", "leaky_relu",
    "log_sigmoid", "log_softmax", "logsumexp", "one_hot", "relu", "relu6", "sigmoid", "silu",
    "softmax", "softmax_cross_entropy", "softplus", "tanh",
]  # fmt: skip


# activations --------------------------------------------------------------------------------------


def _floats(x: Any) -> Variable:
    x = as_variable(x)
    return x if dtypes.is_float(x.dtype) else cast(x, "float64")


def gelu(x: Any, approximate: bool = False) -> Variable:
    """x times the probability that a standard normal is below x (Hendrycks and Gimpel, 2016).

    Computed by erfc, so that it does not vanish early for negative x; ``approximate`` uses tanh.

    >>> import symgraph as sg
    >>> sg.nn.gelu([0.0, 100.0]).eval().tolist()
    [0.0, 100.0]
    """
    x = _floats(x)
    if approximate:
        return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))
    return 0.5 * x * erfc(-math.sqrt(0.5) * x)


def silu(x: Any) -> Variable:
    """x * sigmoid(x), also called swish.

    >>> import symgraph as sg
    >>> sg.nn.silu([0.0, 100.0]).eval().tolist()
    [0.0, 100.0]
    """
    x = _floats(x)
    return x * sigmoid(x)


def leaky_relu(x: Any, slope: float = 0.01) -> Variable:
    """x where it is positive, else slope * x.

    >>> import symgraph as sg
    >>> sg.nn.leaky_relu([-1.0, 2.0]).eval().tolist()
    [-0.01, 2.0]
    """
    x = _floats(x)
    return where(greater(x, 0), x, slope * x)


def elu(x: Any, alpha: float = 1.0) -> Variable:
    """x where it is positive, else alpha * (exp(x) - 1).

    >>> import symgraph as sg
    >>> sg.nn.elu([0.0, 2.0]).eval().tolist()
    [0.0, 2.0]
    """
    x = _floats(x)
    # the exponential sees no positive x, whose overflow would make the derivative NaN
    return where(greater(x, 0), x, alpha * expm1(minimum(x, 0)))


def relu6(x: Any) -> Variable:
    """x kept between 0 and 6.

    >>> import symgraph as sg
    >>> sg.nn.relu6([-1.0, 9.0]).eval().tolist()
    [0.0, 6.0]
    """
    return minimum(maximum(x, 0), 6)


def log_sigmoid(x: Any) -> Variable:
    """log(sigmoid(x)) without overflow or loss, as -softplus(-x).

    >>> import symgraph as sg
    >>> sg.nn.log_sigmoid([-1000.0]).eval().tolist()
    [-1000.0]
    """
    return negative(softplus(negative(x)))


# softmax ------------------------------------------------------------------------------------------


def _shifted(x: Any, axis: Any) -> Variable:
    # the greatest taken out: exp of the rest is at most 1; softmax does not depend on the shift
    x = _floats(x)
    return x - stop_gradient(max(x, axis, keepdims=True))


def softmax(x: Any, axis: Any = -1) -> Variable:
    """exp(x) over its sum along ``axis`` (an int or a tuple), without overflow; NaN where all are
    -inf. Raises AxisError.

    >>> import symgraph as sg
    >>> sg.nn.softmax([1000.0, 1000.0]).eval().tolist()
    [0.5, 0.5]
    """
    e = exp(_shifted(x, axis))
    return e / sum(e, axis, keepdims=True)


def log_softmax(x: Any, axis: Any = -1) -> Variable:
    """log(softmax(x)), finite where softmax itself is too small for a float. Raises AxisError.

    >>> import symgraph as sg
    >>> sg.nn.log_softmax([0.0, -1000.0]).eval().tolist()
    [0.0, -1000.0]
    """
    rest = _shifted(x, axis)
    return rest - log(sum(exp(rest), axis, keepdims=True))


# labels -------------------------------------------------------------------------------------------


class InRange(Op):
    """Integers unchanged; an error at run time when one is not in 0 .. ``size`` - 1."""

    name = "in_range"
    nondifferentiable = "it is defined on integers"
    size: Size

    def infer(self, x: TensorType) -> TensorType:
        if not dtypes.is_int(x.dtype):
            raise DTypeError(f"labels are integers, not {x.dtype}", hint="sg.cast them to int64")
        return x

    def reference(self, x: Any) -> Any:
        wrong = x[(x < 0) | (x >= self.size)]
        if wrong.size:
            raise IndexOutOfRange(f"label {wrong.flat[0]} is not one of {self.size} classes")
        return np.array(x)

    def requires(self, x: Variable) -> list[tuple[Variable, str, str, str]]:
        """All labels must be in range."""
        good = all_(logical_and(greater_equal(x, 0), less(x, as_variable(self.size))))
        count = self.size if isinstance(self.size, int) else "the"
        return [(good, "SG301", f"a label is not one of {count} classes", "they count from 0")]

    def lower(self, out: TensorType, x: Operand) -> Compute:
        return pointwise(out.shape, lambda *i: x(*i))


def one_hot(labels: Any, num_classes: Any, dtype: Any = "float64", axis: int = -1) -> Variable:
    """1 at the position of each label along a new axis, else 0; a label out of range gives zeros.

    ``labels`` are integers of any shape, ``num_classes`` is an int or a size. Raises DTypeError.

    >>> import symgraph as sg
    >>> sg.nn.one_hot([2, 0], 3, "int64").eval().tolist()
    [[0, 0, 1], [1, 0, 0]]
    """
    labels = as_variable(labels)
    if not dtypes.is_int(labels.dtype):
        raise DTypeError(f"one_hot: labels are integers, not {labels.dtype}")
    return cast(_hits(labels, num_classes, axis), dtype)


def _hits(labels: Variable, num_classes: Any, axis: int) -> Variable:
    where_to = normalize_axis(axis, labels.ndim + 1, "one_hot: axis")
    return equal(ExpandDims((where_to,))(labels), iota(num_classes, labels.ndim + 1, where_to))


def softmax_cross_entropy(logits: Any, labels: Any, axis: int = -1) -> Variable:
    """-log_softmax(logits) at the integer labels: the loss of each sample.

    ``labels`` has the shape of ``logits`` without ``axis``. The label is picked by comparison and
    not by a gather, so that forward and backward are single passes over the logits without a
    scatter. Raises DTypeError, ShapeError, AxisError, and at run time IndexOutOfRange (SG301) for
    a label that is no class.

    >>> import symgraph as sg
    >>> sg.nn.softmax_cross_entropy([[0.0, 1000.0], [1000.0, 1.0]], [0, 1]).eval().tolist()
    [1000.0, 999.0]
    """
    logits, labels = _floats(logits), as_variable(labels)
    axis = normalize_axis(axis, logits.ndim, "softmax_cross_entropy: axis")
    if labels.ndim != logits.ndim - 1:
        raise ShapeError(
            f"softmax_cross_entropy: {labels.ndim} axes of labels for {logits.ndim} of logits",
            operands=[(v.label(), v.type.text(), v.origin) for v in (logits, labels)],
            hint="labels are class numbers, one for each row of logits",
        )
    labels = InRange(logits.shape[axis])(labels)
    hits = _hits(labels, logits.shape[axis], axis)
    rest = _shifted(logits, axis)
    return log(sum(exp(rest), axis)) - sum(where(hits, rest, 0), axis)


def binary_cross_entropy_with_logits(logits: Any, targets: Any) -> Variable:
    """-t * log(sigmoid(x)) - (1 - t) * log(1 - sigmoid(x)) for targets t between 0 and 1, accurate
    for all finite x. Shapes broadcast.

    >>> import symgraph as sg
    >>> sg.nn.binary_cross_entropy_with_logits([1000.0, -1000.0], [1, 1]).eval().tolist()
    [0.0, 1000.0]
    """
    logits, targets = _floats(logits), as_variable(targets)
    targets = cast(targets, logits.dtype)
    return targets * softplus(negative(logits)) + (1 - targets) * softplus(logits)


# layers -------------------------------------------------------------------------------------------


def layer_norm(x: Any, axis: Any = -1, epsilon: float = 1e-5) -> Variable:
    """x minus its mean over its standard deviation along ``axis`` (Ba, Kiros and Hinton, 2016);
    ``epsilon`` is added to the variance.

    >>> import symgraph as sg
    >>> sg.nn.layer_norm([[1.0, 3.0]], epsilon=0.0).eval().tolist()
    [[-1.0, 1.0]]
    """
    x = _floats(x)
    centred = x - mean(x, axis, keepdims=True)
    return centred / (var(x, axis, keepdims=True) + epsilon) ** 0.5


def dropout(key: Any, x: Any, rate: float) -> Variable:
    """x with each element set to 0 with probability ``rate``, the others divided by 1 - rate
    (Srivastava et al., 2014). ``key`` is one of sg.random. Raises ArgumentError.

    >>> import symgraph as sg
    >>> sg.nn.dropout(sg.random.key(0), [1.0, 1.0], 0.0).eval().tolist()
    [1.0, 1.0]
    """
    if not 0 <= rate < 1:
        raise ArgumentError(f"dropout: the rate {rate} is not in [0, 1)")
    x = _floats(x)
    return where(bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)
