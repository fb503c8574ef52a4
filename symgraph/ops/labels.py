"""Class numbers: one-hot rows, checked labels, and how well they are met: accuracy, confusion."""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.errors import DTypeError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.types import normalize_axis
from symgraph.ops.bounds import InRange
from symgraph.ops.cast import cast
from symgraph.ops.comparison import equal, greater, less, where
from symgraph.ops.counting import bincount
from symgraph.ops.creation import iota
from symgraph.ops.moments import mean
from symgraph.ops.operands import as_variable
from symgraph.ops.reductions import argmax, sum
from symgraph.ops.shape import ExpandDims, as_shape, ravel, reshape
from symgraph.scalar import as_expr, as_size

__all__ = ["accuracy", "binary_accuracy", "confusion_matrix", "one_hot", "top_k_accuracy"]


def as_labels(labels: Any, what: str) -> Variable:
    """The integer tensor; raises DTypeError for another."""
    labels = as_variable(labels)
    if not dtypes.is_int(labels.dtype):
        raise DTypeError(
            f"{what}: labels are integers, not {labels.dtype}",
            hint=f"the integers come first: sg.nn.{what}(indices, table)"
            if what == "embedding"
            else 'labels.astype("int64")',
        )
    return labels


def one_hot(labels: Any, num_classes: Any, dtype: Any = "float64", axis: int = -1) -> Variable:
    """1 at the position of each label along a new axis, else 0; a label out of range gives zeros.

    ``labels`` are integers of any shape, ``num_classes`` is an int or a size. Raises DTypeError.

    >>> import symgraph as sg
    >>> sg.nn.one_hot([2, 0], 3, "int64").eval().tolist()
    [[0, 0, 1], [1, 0, 0]]
    """
    return cast(hits(as_labels(labels, "one_hot"), num_classes, axis), dtype)


def hits(labels: Variable, num_classes: Any, axis: int) -> Variable:
    """Along a new axis, whether each class is the label."""
    where_to = normalize_axis(axis, labels.ndim + 1, "one_hot: axis")
    return equal(ExpandDims((where_to,))(labels), iota(num_classes, labels.ndim + 1, where_to))


def check_labels(labels: Variable, scores: Variable, axis: int, what: str) -> None:
    """Labels have the axes of the scores but one. Raises ShapeError."""
    if labels.ndim != scores.ndim - 1:
        raise ShapeError(
            f"{what}: {labels.ndim} axes of labels for {scores.ndim} of scores",
            operands=[(v.label(), v.type.text(), v.origin) for v in (scores, labels)],
            hint="labels are class numbers, one for each row of scores",
        )


# how often they are met ---------------------------------------------------------------------------


def accuracy(scores: Any, labels: Any, axis: int = -1) -> Variable:
    """The share of samples whose label has the greatest score along ``axis``.

    ``labels`` are integers of the shape of ``scores`` without the axis. Raises DTypeError,
    ShapeError, AxisError.

    >>> import symgraph as sg
    >>> sg.nn.accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1]).eval().item()
    0.5
    """
    scores, labels = as_variable(scores), as_labels(labels, "accuracy")
    axis = normalize_axis(axis, scores.ndim, "accuracy: axis")
    check_labels(labels, scores, axis, "accuracy")
    return mean(equal(argmax(scores, axis), labels))


def top_k_accuracy(scores: Any, labels: Any, k: int = 5, axis: int = -1) -> Variable:
    """The share of samples whose label has fewer than ``k`` greater scores than its own.

    >>> import symgraph as sg
    >>> sg.nn.top_k_accuracy([[3.0, 2.0, 1.0]], [1], k=2).eval().item()
    1.0
    """
    scores, labels = as_variable(scores), as_labels(labels, "top_k_accuracy")
    axis = normalize_axis(axis, scores.ndim, "top_k_accuracy: axis")
    check_labels(labels, scores, axis, "top_k_accuracy")
    known = hits(InRange(scores.shape[axis])(labels), scores.shape[axis], axis)
    own = sum(where(known, scores, 0), axis, keepdims=True)
    return mean(less(sum(greater(scores, own), axis), k))


def binary_accuracy(scores: Any, labels: Any, threshold: float = 0.5) -> Variable:
    """The share of elements where ``scores > threshold`` says what the label, 0 or 1, says.

    >>> import symgraph as sg
    >>> sg.nn.binary_accuracy([0.9, 0.4], [1, 1]).eval().item()
    0.5
    """
    return mean(equal(greater(scores, threshold), greater(labels, 0.5)))


def confusion_matrix(labels: Any, predictions: Any, num_classes: Any) -> Variable:
    """How often label i was predicted as j: int64[num_classes, num_classes].

    Both are integers of one shape. Raises DTypeError; a number that is no class is an
    IndexOutOfRange (SG301) when the function runs.

    >>> import symgraph as sg
    >>> sg.nn.confusion_matrix([0, 1, 1], [0, 0, 1], 2).eval().tolist()
    [[1, 0], [1, 1]]
    """
    (n,) = as_shape(num_classes, "confusion_matrix")
    rows, columns = (
        cast(ravel(InRange(n)(as_labels(v, "confusion_matrix"))), "int64")
        for v in (labels, predictions)
    )
    cells = bincount(rows * as_variable(n) + columns, length=as_size(as_expr(n) * n))
    return reshape(cells, (n, n))
