"""Losses between predictions and targets, of margins and of embeddings.

A loss is returned for each element or sample, so that masks and weights are the user's; with
``reduction="mean"`` or ``"sum"`` it is one number. :func:`mse` and :func:`mae` say in their names
that they are means. Shapes broadcast; targets that are integers are converted.
"""

from __future__ import annotations

import math
from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError
from symgraph.ir.graph import Variable
from symgraph.ir.types import normalize_axis
from symgraph.ops.activations import as_floats, relu, softplus
from symgraph.ops.arithmetic import absolute, clip, maximum, minimum, sqrt, square
from symgraph.ops.bounds import InRange
from symgraph.ops.cast import cast
from symgraph.ops.comparison import greater, less, where
from symgraph.ops.exponential import exp, log, log1p
from symgraph.ops.labels import as_labels, check_labels, hits
from symgraph.ops.moments import mean
from symgraph.ops.operands import promotable
from symgraph.ops.reductions import sum
from symgraph.ops.trigonometric import sinh

__all__ = [
    "contrastive_loss", "cosine_embedding_loss", "cosine_similarity", "dice_loss", "gaussian_nll",
    "hinge", "huber", "kl_div", "log_cosh", "mae", "margin_ranking_loss", "mse",
    "multi_margin_loss", "poisson_nll", "smooth_l1", "squared_hinge", "triplet_loss",
]  # fmt: skip


def reduced(loss: Variable, reduction: str, weight: Variable | None = None) -> Variable:
    """The loss, its sum or its mean, which is over the sum of the weights if there are any.

    Raises ArgumentError for another word.
    """
    if reduction == "none":
        return loss
    if reduction == "sum":
        return sum(loss)
    if reduction == "mean":
        return mean(loss) if weight is None else sum(loss) / sum(weight)
    raise ArgumentError(f"unknown reduction {reduction!r}", hint="none, sum or mean")


def together(*values: Any) -> list[Variable]:
    """The operands in one float dtype."""
    found = dtypes.promote(*map(promotable, values))
    kind = found if dtypes.is_float(found) else "float64"
    return [cast(v, kind) for v in values]


# differences --------------------------------------------------------------------------------------


def mse(predictions: Any, targets: Any, reduction: str = "mean") -> Variable:
    """The mean of the squared differences.

    >>> import symgraph as sg
    >>> sg.nn.mse([1.0, 3.0], [1, 1]).eval().item()
    2.0
    """
    x, y = together(predictions, targets)
    return reduced(square(x - y), reduction)


def mae(predictions: Any, targets: Any, reduction: str = "mean") -> Variable:
    """The mean of the absolute differences.

    >>> import symgraph as sg
    >>> sg.nn.mae([1.0, 3.0], [1, 1]).eval().item()
    1.0
    """
    x, y = together(predictions, targets)
    return reduced(absolute(x - y), reduction)


def huber(predictions: Any, targets: Any, delta: float = 1.0, reduction: str = "none") -> Variable:
    """Half the squared difference up to ``delta``, beyond it delta * (abs(difference) - delta / 2)
    (Huber, 1964).

    >>> import symgraph as sg
    >>> sg.nn.huber([1.0, 3.0], [0.0, 0.0]).eval().tolist()
    [0.5, 2.5]
    """
    x, y = together(predictions, targets)
    far = absolute(x - y)
    near = minimum(far, delta)
    return reduced(near * (far - 0.5 * near), reduction)


def smooth_l1(
    predictions: Any, targets: Any, beta: float = 1.0, reduction: str = "none"
) -> Variable:
    """The absolute difference less beta / 2, and a parabola up to ``beta``: huber over beta. With
    beta 0 the absolute difference itself.

    >>> import symgraph as sg
    >>> sg.nn.smooth_l1([1.0, 3.0], [0.0, 0.0], beta=2.0).eval().tolist()
    [0.25, 2.0]
    """
    if beta == 0:
        return mae(predictions, targets, reduction)
    return huber(predictions, targets, beta, reduction) / beta


def log_cosh(predictions: Any, targets: Any, reduction: str = "none") -> Variable:
    """log(cosh(difference)) without overflow: a parabola near 0, straight lines far away.

    >>> import symgraph as sg
    >>> sg.nn.log_cosh([0.0, 1000.0], [0.0, 0.0]).eval().tolist()
    [0.0, 999.3068528194401]
    """
    x, y = together(predictions, targets)
    far = absolute(x - y)
    near = sinh(0.5 * clip(x - y, -1.0, 1.0))  # log(cosh(2 u)) = log1p(2 * sinh(u)**2)
    loss = where(less(far, 1), log1p(2 * square(near)), far + softplus(-2 * far) - math.log(2))
    return reduced(loss, reduction)


# margins ------------------------------------------------------------------------------------------


def hinge(scores: Any, labels: Any, margin: float = 1.0, reduction: str = "none") -> Variable:
    """max(0, margin - label * score) for labels -1 and 1.

    >>> import symgraph as sg
    >>> sg.nn.hinge([0.5, 0.5], [1, -1]).eval().tolist()
    [0.5, 1.5]
    """
    x, y = together(scores, labels)
    return reduced(relu(margin - x * y), reduction)


def squared_hinge(
    scores: Any, labels: Any, margin: float = 1.0, reduction: str = "none"
) -> Variable:
    """The square of :func:`hinge`.

    >>> import symgraph as sg
    >>> sg.nn.squared_hinge([0.5, 0.5], [1, -1]).eval().tolist()
    [0.25, 2.25]
    """
    return reduced(square(hinge(scores, labels, margin)), reduction)


def multi_margin_loss(
    scores: Any, labels: Any, margin: float = 1.0, power: int = 1, axis: int = -1,
    reduction: str = "none",
) -> Variable:  # fmt: skip
    """max(0, margin - score of the label + score of another class) to the ``power``, over all other
    classes, divided by the number of classes (Crammer and Singer, 2001).

    ``labels`` are integers of the shape of ``scores`` without ``axis``. Raises DTypeError,
    ShapeError, AxisError; a label that is no class is an IndexOutOfRange (SG301) at run time.

    >>> import symgraph as sg
    >>> sg.nn.multi_margin_loss([[1.0, 1.5]], [0]).eval().tolist()
    [0.75]
    """
    scores, labels = as_floats(scores), as_labels(labels, "multi_margin_loss")
    axis = normalize_axis(axis, scores.ndim, "multi_margin_loss: axis")
    check_labels(labels, scores, axis, "multi_margin_loss")
    classes = scores.shape[axis]
    known = hits(InRange(classes)(labels), classes, axis)
    own = sum(where(known, scores, 0), axis, keepdims=True)
    short = where(known, 0, relu(margin - own + scores))
    return reduced(mean(short if power == 1 else short**power, axis), reduction)


def margin_ranking_loss(
    first: Any, second: Any, order: Any, margin: float = 0.0, reduction: str = "none"
) -> Variable:
    """max(0, margin - order * (first - second)): ``order`` is 1 where the first should be greater,
    -1 where the second.

    >>> import symgraph as sg
    >>> sg.nn.margin_ranking_loss([1.0], [3.0], [1]).eval().tolist()
    [2.0]
    """
    x, y, sign = together(first, second, order)
    return reduced(relu(margin - sign * (x - y)), reduction)


# probabilities ------------------------------------------------------------------------------------


def kl_div(
    log_predictions: Any, targets: Any, log_target: bool = False, reduction: str = "none"
) -> Variable:
    """target * (log(target) - log prediction), the parts of the Kullback-Leibler divergence; 0
    where the target is 0. ``log_target``: the targets are logarithms too.

    The divergence itself is the sum; "mean" is over the elements.

    >>> import symgraph as sg
    >>> sg.nn.kl_div([0.0, 0.0], [0.0, 1.0]).eval().tolist()
    [0.0, 0.0]
    """
    q, p = together(log_predictions, targets)
    if log_target:
        present = greater(p, -math.inf)
        logp = where(present, p, 0)
        return reduced(where(present, exp(logp) * (logp - where(present, q, 0)), 0), reduction)
    present = greater(p, 0)
    loss = p * (log(where(present, p, 1)) - where(present, q, 0))
    return reduced(loss, reduction)


def poisson_nll(
    predictions: Any, targets: Any, log_input: bool = True, full: bool = False,
    epsilon: float = 1e-8, reduction: str = "none",
) -> Variable:  # fmt: skip
    """-log of the Poisson probability of ``targets`` without the term of the targets alone:
    exp(x) - t * x, or x - t * log(x + epsilon) when the rates themselves are predicted.

    ``full`` adds Stirling's approximation of that term for targets above 1.

    >>> import symgraph as sg
    >>> sg.nn.poisson_nll([0.0], [3]).eval().tolist()
    [1.0]
    """
    x, t = together(predictions, targets)
    loss = exp(x) - t * x if log_input else x - t * log(x + epsilon)
    if full:
        safe = maximum(t, 1)
        stirling = safe * log(safe) - safe + 0.5 * log(2 * math.pi * safe)
        loss = loss + where(greater(t, 1), stirling, 0)
    return reduced(loss, reduction)


def gaussian_nll(
    predictions: Any, targets: Any, variance: Any, full: bool = False, epsilon: float = 1e-6,
    reduction: str = "none",
) -> Variable:  # fmt: skip
    """-log of the normal density of ``targets``: half of log(variance) + difference**2 / variance,
    the variance at least ``epsilon``; ``full`` adds log(2 pi) / 2.

    >>> import symgraph as sg
    >>> sg.nn.gaussian_nll([1.0], [3.0], [1.0]).eval().tolist()
    [2.0]
    """
    x, t, v = together(predictions, targets, variance)
    v = maximum(v, epsilon)
    loss = 0.5 * (log(v) + square(x - t) / v)
    return reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


# embeddings ---------------------------------------------------------------------------------------


def length(x: Variable, axis: int) -> Variable:
    """The Euclidean length along the axis; its derivative at 0 is 0."""
    total = sum(square(x), axis)
    positive = greater(total, 0)
    return where(positive, sqrt(where(positive, total, 1)), 0)


def cosine_similarity(a: Any, b: Any, axis: int = -1, epsilon: float = 1e-8) -> Variable:
    """The cosine of the angle between a and b along ``axis``; each length at least ``epsilon``.

    >>> import symgraph as sg
    >>> sg.nn.cosine_similarity([3.0, 4.0], [4.0, 3.0]).eval().item()
    0.96
    """
    a, b = together(a, b)
    lengths = maximum(length(a, axis), epsilon) * maximum(length(b, axis), epsilon)
    return sum(a * b, axis) / lengths


def cosine_embedding_loss(
    a: Any, b: Any, labels: Any, margin: float = 0.0, axis: int = -1, reduction: str = "none"
) -> Variable:
    """1 - cosine for pairs with the label 1, max(0, cosine - margin) for the label -1.

    >>> import symgraph as sg
    >>> sg.nn.cosine_embedding_loss([[3.0, 4.0]], [[3.0, 4.0]], [1]).eval().tolist()
    [0.0]
    """
    cosine = cosine_similarity(a, b, axis)
    return reduced(where(greater(labels, 0), 1 - cosine, relu(cosine - margin)), reduction)


def triplet_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, axis: int = -1,
    reduction: str = "none",
) -> Variable:  # fmt: skip
    """max(0, margin + distance(anchor, positive) - distance(anchor, negative)), Euclidean along
    ``axis`` (Schroff et al., 2015).

    >>> import symgraph as sg
    >>> sg.nn.triplet_loss([[0.0, 0.0]], [[3.0, 4.0]], [[1.0, 0.0]]).eval().tolist()
    [5.0]
    """
    a, p, n = together(anchor, positive, negative)
    return reduced(relu(margin + length(a - p, axis) - length(a - n, axis)), reduction)


def contrastive_loss(
    a: Any, b: Any, same: Any, margin: float = 1.0, axis: int = -1, reduction: str = "none"
) -> Variable:
    """Half the squared distance of a and b where ``same`` is 1, else half the square of
    max(0, margin - distance) (Hadsell, Chopra and LeCun, 2006).

    >>> import symgraph as sg
    >>> sg.nn.contrastive_loss([[0.0]], [[2.0]], [1]).eval().tolist()
    [2.0]
    """
    a, b = together(a, b)
    apart = length(a - b, axis)
    loss = where(greater(same, 0), square(apart), square(relu(margin - apart)))
    return reduced(0.5 * loss, reduction)


def dice_loss(
    probabilities: Any, targets: Any, axis: Any = None, smooth: float = 1.0,
    reduction: str = "none",
) -> Variable:  # fmt: skip
    """1 - (2 * overlap + smooth) / (sum of both + smooth) along ``axis``, an int or a tuple; of all
    axes but the first unless given (Milletari et al., 2016).

    >>> import symgraph as sg
    >>> sg.nn.dice_loss([[1.0, 0.0]], [[1, 0]]).eval().tolist()
    [0.0]
    """
    p, t = together(probabilities, targets)
    axis = tuple(range(1, p.ndim)) if axis is None else axis
    overlap = sum(p * t, axis)
    return reduced(1 - (2 * overlap + smooth) / (sum(p, axis) + sum(t, axis) + smooth), reduction)
