"""Cross entropies: losses of classification from logits and from probabilities.

A loss gives one number for each sample unless ``reduction`` is "sum" or "mean"; with weights of
classes, or labels that are ignored, the mean is the weighted one. Targets are class numbers
(integers, without the axis of the classes) or probabilities (floats, with it).

What stands at a label is taken from there, one element of each row; the derivative compares class
numbers with the label (TakeAlongAxis.vjp), so that backward is a single pass without a scatter.
"""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.types import normalize_axis
from symgraph.ops.activations import as_floats, shifted, sigmoid, softplus
from symgraph.ops.arithmetic import maximum, negative, power
from symgraph.ops.cast import cast
from symgraph.ops.comparison import equal, greater, not_equal, where
from symgraph.ops.exponential import log, log1p
from symgraph.ops.gathering import TakeAlongAxis
from symgraph.ops.labels import InRange, as_labels, check_labels
from symgraph.ops.losses import reduced, together
from symgraph.ops.operands import as_variable
from symgraph.ops.reductions import log_of_sum, sum
from symgraph.ops.shape import ExpandDims, squeeze

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "categorical_cross_entropy",
    "focal_loss", "nll_loss", "softmax_cross_entropy",
]  # fmt: skip


class Classes:
    """The targets of a loss over classes along ``axis``, and what is asked of its rows."""

    def __init__(
        self, what: str, scores: Variable, targets: Any, axis: int, weight: Any,
        ignore_index: int | None, label_smoothing: float,
    ) -> None:  # fmt: skip
        self.axis = normalize_axis(axis, scores.ndim, f"{what}: axis")
        self.size = scores.shape[self.axis]
        if not 0 <= label_smoothing <= 1:
            raise ArgumentError(f"{what}: the smoothing {label_smoothing} is not in [0, 1]")
        self.smoothing = label_smoothing
        self.weight = None if weight is None else self._along(cast(weight, scores.dtype), scores)
        self.keep: Variable | None = None
        targets = as_variable(targets)
        self.soft = dtypes.is_float(targets.dtype)
        if self.soft:
            if targets.ndim != scores.ndim or ignore_index is not None:
                raise ShapeError(
                    f"{what}: {targets.ndim} axes of probabilities for {scores.ndim} of scores"
                    if ignore_index is None else f"{what}: probabilities have no ignored label",
                    operands=[(v.label(), v.type.text(), v.origin) for v in (scores, targets)],
                    hint="targets that are class numbers are integers",
                )  # fmt: skip
            targets = cast(targets, scores.dtype)
            if label_smoothing:
                targets = (1 - label_smoothing) * targets + label_smoothing / as_variable(self.size)
            self.targets = cast(targets, scores.dtype)
            return
        check_labels(targets, scores, self.axis, what)
        as_labels(targets, what)
        if ignore_index is not None:
            self.keep = not_equal(targets, ignore_index)
            targets = where(self.keep, targets, 0)
        labels = InRange(self.size)(cast(targets, "int64"))
        self.targets = ExpandDims((self.axis,))(labels)

    def _along(self, weight: Variable, scores: Variable) -> Variable:
        if weight.ndim != 1:
            raise ShapeError(f"weights of classes are a vector, not {weight.type.text()}")
        return ExpandDims(tuple(k for k in range(scores.ndim) if k != self.axis))(weight)

    def _at_label(self, values: Variable) -> Variable:
        """The value of each sample's class."""
        return squeeze(TakeAlongAxis(self.axis)(values, self.targets), self.axis)

    def of_probabilities(self, p: Variable) -> Variable:
        """-log of the label's probability: one logarithm for each sample."""
        return self._finished(negative(log(self._at_label(p))))

    def of_logarithms(self, logp: Variable, total: Variable | None = None) -> Variable:
        """The loss of each sample where log p is ``logp`` less, if given, ``total``."""
        if self.soft:
            factor = self.targets if self.weight is None else self.targets * self.weight
            parts = where(equal(factor, 0), 0, factor * where(equal(factor, 0), 0, logp))
            loss = negative(sum(parts, self.axis))
            return loss if total is None else total * sum(factor, self.axis) + loss
        own = self._at_label(logp)
        loss = negative(own) if total is None else total - own
        loss = self._finished(loss)
        if not self.smoothing:
            return loss
        rest = negative(sum(logp if self.weight is None else self.weight * logp, self.axis))
        if total is not None:
            count = as_variable(self.size) if self.weight is None else sum(self.weight)
            rest = cast(count, logp.dtype) * total + rest
        share = self.smoothing / cast(as_variable(self.size), logp.dtype)
        rest = rest if self.keep is None else where(self.keep, rest, 0)
        return (1 - self.smoothing) * loss + share * rest

    def _finished(self, loss: Variable) -> Variable:
        """Times the label's weight; 0 for labels that are ignored."""
        if self.weight is not None:
            loss = loss * self._at_label(self.weight)
        return loss if self.keep is None else where(self.keep, loss, 0)

    def reduced(self, loss: Variable, reduction: str) -> Variable:
        """The loss as the caller wants it; the mean is over the weights of the labels."""
        if self.soft or reduction != "mean" or (self.weight is None and self.keep is None):
            return reduced(loss, reduction)
        if self.weight is None:
            weights = cast(self.keep, loss.dtype)
        else:
            weights = self._at_label(self.weight)
            weights = weights if self.keep is None else where(self.keep, weights, 0)
        return reduced(loss, reduction, weights)


def softmax_cross_entropy(
    logits: Any, labels: Any, axis: int = -1, *, weight: Any = None,
    ignore_index: int | None = None, label_smoothing: float = 0.0, reduction: str = "none",
) -> Variable:  # fmt: skip
    """-log_softmax(logits) at the labels: the loss of each sample.

    ``labels`` are integers of the shape of ``logits`` without ``axis``, or probabilities (floats of
    the shape of ``logits``). ``weight`` has a factor for each class; samples with the label
    ``ignore_index`` count nothing; ``label_smoothing`` mixes that share of the uniform distribution
    into the targets (Szegedy et al., 2015). Raises DTypeError, ShapeError, AxisError, and at run
    time IndexOutOfRange (SG301) for a label that is no class.

    >>> import symgraph as sg
    >>> sg.nn.softmax_cross_entropy([[0.0, 1000.0], [1000.0, 1.0]], [0, 1]).eval().tolist()
    [1000.0, 999.0]
    """
    logits = as_floats(logits)
    targets = Classes(
        "softmax_cross_entropy", logits, labels, axis, weight, ignore_index, label_smoothing
    )
    rest = shifted(logits, targets.axis)
    total = squeeze(log_of_sum(rest, targets.axis), targets.axis)
    loss = targets.of_logarithms(rest, total)
    return targets.reduced(loss, reduction)


def nll_loss(
    log_probabilities: Any, labels: Any, axis: int = -1, *, weight: Any = None,
    ignore_index: int | None = None, reduction: str = "none",
) -> Variable:  # fmt: skip
    """Minus the log probability at the label. Arguments and errors as for
    :func:`softmax_cross_entropy`, of which this is the part after :func:`log_softmax`.

    >>> import symgraph as sg
    >>> sg.nn.nll_loss([[-1.0, -2.0]], [1]).eval().tolist()
    [2.0]
    """
    logp = as_floats(log_probabilities)
    targets = Classes("nll_loss", logp, labels, axis, weight, ignore_index, 0.0)
    return targets.reduced(targets.of_logarithms(logp), reduction)


def categorical_cross_entropy(
    probabilities: Any, labels: Any, axis: int = -1, *, weight: Any = None,
    ignore_index: int | None = None, label_smoothing: float = 0.0, reduction: str = "none",
) -> Variable:  # fmt: skip
    """-log(probabilities) at the labels, integers ("sparse") or probabilities; inf where the label
    has probability 0. Arguments and errors as for :func:`softmax_cross_entropy`, which is the one
    to use where the logits are at hand.

    >>> import symgraph as sg
    >>> sg.nn.categorical_cross_entropy([[0.5, 0.5]], [0]).eval().tolist()
    [0.6931471805599453]
    >>> sg.nn.categorical_cross_entropy([[0.5, 0.5]], [[1.0, 0.0]]).eval().tolist()
    [0.6931471805599453]
    """
    p = as_floats(probabilities)
    targets = Classes(
        "categorical_cross_entropy", p, labels, axis, weight, ignore_index, label_smoothing
    )
    if targets.soft:
        loss = targets.of_logarithms(log(where(equal(targets.targets, 0), 1, p)))
    elif label_smoothing:
        loss = targets.of_logarithms(log(p))
    else:
        loss = targets.of_probabilities(p)
    return targets.reduced(loss, reduction)


# two classes --------------------------------------------------------------------------------------


def binary_cross_entropy(
    probabilities: Any, targets: Any, *, weight: Any = None, reduction: str = "none"
) -> Variable:
    """-t * log(p) - (1 - t) * log(1 - p) for targets t between 0 and 1; a term whose factor is 0 is
    0, so that certain and right is 0 and certain and wrong is inf. Shapes broadcast; ``weight``
    multiplies the elements.

    >>> import symgraph as sg
    >>> sg.nn.binary_cross_entropy([0.5, 0.0], [1, 1]).eval().tolist()
    [0.6931471805599453, inf]
    """
    p, t = together(probabilities, targets)
    yes, no = greater(t, 0), not_equal(t, 1)
    loss = negative(t * log(where(yes, p, 1)) + (1 - t) * log1p(where(no, negative(p), 0)))
    return reduced(loss if weight is None else loss * cast(weight, loss.dtype), reduction)


def binary_cross_entropy_with_logits(
    logits: Any, targets: Any, *, weight: Any = None, positive_weight: Any = None,
    reduction: str = "none",
) -> Variable:  # fmt: skip
    """-t * log(sigmoid(x)) - (1 - t) * log(1 - sigmoid(x)) for targets t between 0 and 1, accurate
    for all finite x. Shapes broadcast. ``positive_weight`` multiplies the first term, ``weight``
    the whole.

    >>> import symgraph as sg
    >>> sg.nn.binary_cross_entropy_with_logits([1000.0, -1000.0], [1, 1]).eval().tolist()
    [0.0, 1000.0]
    """
    logits = as_floats(logits)
    targets = cast(targets, logits.dtype)
    first = targets * softplus(negative(logits))
    if positive_weight is not None:
        first = first * cast(positive_weight, logits.dtype)
    loss = first + (1 - targets) * softplus(logits)
    return reduced(loss if weight is None else loss * cast(weight, loss.dtype), reduction)


def focal_loss(
    logits: Any, targets: Any, gamma: float = 2.0, alpha: float | None = 0.25,
    reduction: str = "none",
) -> Variable:  # fmt: skip
    """binary_cross_entropy_with_logits times (1 - p)**gamma, p being the probability given to the
    right answer, and times ``alpha`` for positives, 1 - alpha for negatives, unless it is None
    (Lin et al., 2017).

    >>> import symgraph as sg
    >>> sg.nn.focal_loss([0.0], [1], alpha=None).eval().item() == 0.25 * sg.log(2.0).eval().item()
    True
    """
    x = as_floats(logits)
    t = cast(targets, x.dtype)
    loss = binary_cross_entropy_with_logits(x, t)
    if gamma:
        wrong = t * sigmoid(negative(x)) + (1 - t) * sigmoid(x)
        # not 0, where powers below 1 have no derivative
        tiny = 1e-30 if x.dtype in ("float32", "float64") else 1e-7
        loss = loss * power(maximum(wrong, tiny), gamma)
    if alpha is not None:
        loss = loss * (alpha * t + (1 - alpha) * (1 - t))
    return reduced(loss, reduction)
