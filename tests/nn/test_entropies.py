"""Cross entropies: labels and probabilities, weights, smoothing, ignored labels, extremes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.special

import symgraph as sg
from symgraph.errors import ArgumentError, DTypeError, IndexOutOfRange, ShapeError
from tests.nn.agreement import agree, slope, values

nn = sg.nn
RNG = np.random.default_rng(0)
X = RNG.normal(0, 2, (5, 4))
LABELS = np.array([3, 0, 2, 2, 1])
SOFT = RNG.dirichlet(np.ones(4), 5)
SOFT[0] = [0, 1, 0, 0]
WEIGHT = np.array([0.5, 2.0, 1.0, 0.25])


def cross_entropy(
    logp: Any, labels: Any, weight: Any, ignore: int | None, smoothing: float, reduction: str
) -> Any:
    """Sample by sample, as PyTorch's documentation writes it."""
    w = np.ones(4) if weight is None else weight
    losses, weights = [], []
    for row, label in zip(logp, labels, strict=True):
        soft = np.ndim(label) == 1
        target = label if soft else np.eye(4)[label]
        target = (1 - smoothing) * target + smoothing / 4
        factor = w if soft or smoothing else np.full(4, w[label])
        kept = soft or label != ignore
        losses.append(
            -sum(t * f * v for t, f, v in zip(target, factor, row, strict=True) if t) * kept
        )
        weights.append(1.0 if soft else w[label] * kept)
    if reduction == "none":
        return np.array(losses)
    return sum(losses) if reduction == "sum" else sum(losses) / sum(weights)


CASES = list(
    itertools.product((None, WEIGHT), (None, 2), (0.0, 0.1), ("none", "mean", "sum"), (0, 1))
)


@pytest.mark.parametrize(("weight", "ignore", "smoothing", "reduction", "axis"), CASES)
def test_labels(weight: Any, ignore: Any, smoothing: float, reduction: str, axis: int) -> None:
    options = {"weight": weight, "ignore_index": ignore, "reduction": reduction, "axis": axis}
    x = X if axis else X.T

    def from_logits(x: Any) -> Any:
        return nn.softmax_cross_entropy(x, LABELS, label_smoothing=smoothing, **options)

    def from_probabilities(x: Any) -> Any:
        p = nn.softmax(x, axis)
        return nn.categorical_cross_entropy(p, LABELS, label_smoothing=smoothing, **options)

    def wanted(x: Any) -> Any:
        logp = scipy.special.log_softmax(x if axis else x.T, -1)
        return cross_entropy(logp, LABELS, weight, ignore, smoothing, reduction)

    np.testing.assert_allclose(values(from_logits, [x])[0], wanted(x), rtol=1e-12)
    np.testing.assert_allclose(values(from_probabilities, [x])[0], wanted(x), rtol=1e-11)
    sg.verify_grad(from_logits, [x])
    sg.verify_grad(from_probabilities, [x])
    if not smoothing:
        found = values(lambda x: nn.nll_loss(nn.log_softmax(x, axis), LABELS, **options), [x])
        np.testing.assert_allclose(found[0], wanted(x), rtol=1e-12)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_probabilities_as_targets(weight: Any, smoothing: float, reduction: str) -> None:
    options = {"weight": weight, "label_smoothing": smoothing, "reduction": reduction}
    agree(
        lambda x, t: nn.softmax_cross_entropy(x, t, **options),
        lambda x, t: cross_entropy(
            scipy.special.log_softmax(x, -1), t, weight, None, smoothing, reduction
        ),
        X, SOFT, grad=smoothing > 0,
    )  # fmt: skip
    sg.verify_grad(lambda x: nn.softmax_cross_entropy(x, SOFT, **options), [X])
    p = scipy.special.softmax(X, -1)
    (found,) = values(lambda p: nn.categorical_cross_entropy(p, SOFT, **options), [p])
    wanted = cross_entropy(np.log(p), SOFT, weight, None, smoothing, reduction)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_images_of_labels() -> None:
    x, labels = RNG.normal(size=(2, 4, 3, 5)), RNG.integers(0, 4, (2, 3, 5))
    (found,) = values(lambda x, t: nn.softmax_cross_entropy(x, t, axis=1), [x, labels])
    logp = scipy.special.log_softmax(x, 1)
    np.testing.assert_allclose(found, -np.take_along_axis(logp, labels[:, None], 1)[:, 0])


def test_impossible_classes_do_no_harm() -> None:
    x = np.array([[0.0, -np.inf, 1e30], [-np.inf, 0.0, 0.0]])
    for labels in ([2, 1], [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]):
        loss = lambda x, t=labels: nn.softmax_cross_entropy(x, t)
        np.testing.assert_allclose(values(loss, [x])[0], [0, np.log(2)])
        assert np.isfinite(slope(loss, x)).all()
    p = np.array([[0.0, 1.0, 0.0]])
    assert values(lambda p: nn.categorical_cross_entropy(p, [0]), [p])[0] == np.inf
    sure = lambda p: nn.categorical_cross_entropy(p, p)
    assert values(sure, [p])[0] == 0


def test_two_classes() -> None:
    p, t = RNG.uniform(0.05, 0.95, (3, 4)), RNG.uniform(0, 1, (3, 4))
    t[0] = [0, 1, 0, 1]

    def entropy(p: Any, t: Any) -> Any:
        return -scipy.special.xlogy(t, p) - scipy.special.xlog1py(1 - t, -p)

    agree(lambda p, t: nn.binary_cross_entropy(p, t), entropy, p, t, grad=False)
    sg.verify_grad(lambda p: nn.binary_cross_entropy(p, t, weight=t), [p])
    x = scipy.special.logit(p)
    agree(
        nn.binary_cross_entropy_with_logits, lambda x, t: entropy(scipy.special.expit(x), t), x, t
    )
    (weighted,) = values(
        lambda x: nn.binary_cross_entropy_with_logits(
            x, t, weight=2.0, positive_weight=[3.0, 1.0, 1.0, 1.0], reduction="mean"
        ),
        [x],
    )
    factor = np.array([3.0, 1, 1, 1])
    parts = -t * np.log(p) * factor - (1 - t) * np.log1p(-p)
    np.testing.assert_allclose(weighted, 2 * parts.mean(), rtol=1e-12)


def test_two_classes_at_extremes() -> None:
    p = np.array([0.0, 1.0, 0.0, 1.0])
    loss = lambda p: nn.binary_cross_entropy(p, [0, 1, 1, 0])
    assert values(loss, [p])[0].tolist() == [0, 0, np.inf, np.inf]
    assert not np.isnan(slope(loss, p)).any()
    x = np.array([1e4, -1e4, 1e30, -1e30])
    for build in (
        lambda x: nn.binary_cross_entropy_with_logits(x, [1, 0, 0, 1]),
        lambda x: nn.focal_loss(x, [1, 0, 0, 1], gamma=0.5),
        lambda x: nn.focal_loss(x, [1, 0, 0, 1]),
    ):
        assert np.isfinite(values(build, [x])[0]).all() and np.isfinite(slope(build, x)).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("alpha", [None, 0.3])
def test_focal_loss(gamma: float, alpha: float | None) -> None:
    x, t = RNG.normal(size=(3, 4)), RNG.integers(0, 2, (3, 4))

    def focal(x: Any) -> Any:
        right = np.where(t == 1, scipy.special.expit(x), scipy.special.expit(-x))
        factor = 1 if alpha is None else np.where(t == 1, alpha, 1 - alpha)
        return -factor * (1 - right) ** gamma * np.log(right)

    agree(lambda x: nn.focal_loss(x, t, gamma, alpha), focal, x)


def test_mistakes_are_named() -> None:
    with pytest.raises(ShapeError, match="2 axes of labels for 2 of scores"):
        nn.softmax_cross_entropy(X, np.ones((5, 4), int))
    with pytest.raises(ShapeError, match="1 axes of probabilities for 2"):
        nn.softmax_cross_entropy(X, X[:, 0])
    with pytest.raises(ShapeError, match="have no ignored label"):
        nn.softmax_cross_entropy(X, SOFT, ignore_index=1)
    with pytest.raises(DTypeError, match="labels are integers"):
        nn.softmax_cross_entropy(X, X[:, 0] > 0)
    with pytest.raises(ArgumentError, match=r"smoothing 2.0 is not in"):
        nn.softmax_cross_entropy(X, LABELS, label_smoothing=2.0)
    with pytest.raises(ShapeError, match="weights of classes are a vector"):
        nn.softmax_cross_entropy(X, LABELS, weight=X)
    labels = sg.vector("labels", dtype="int64")
    f = sg.compile([labels], nn.softmax_cross_entropy(X, labels, ignore_index=-1))
    assert f([-1, 0, -1, 0, 0])[0] == 0
    with pytest.raises(IndexOutOfRange):
        f([-1, 4, 0, 0, 0])
