"""One-hot rows, accuracies and confusion."""

from __future__ import annotations

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import DTypeError, IndexOutOfRange, ShapeError
from tests.nn.agreement import agree, values

nn = sg.nn
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_one_hot(axis: int) -> None:
    labels = RNG.integers(-1, 4, (2, 3))
    eye = np.concatenate([np.eye(3), np.zeros((2, 3))])  # 3 and -1 are no classes
    agree(
        lambda v: nn.one_hot(v, 3, axis=axis), lambda v: np.moveaxis(eye[v], -1, axis), labels,
        grad=False,
    )  # fmt: skip
    assert nn.one_hot(labels, "classes", "int8").type.text() == "int8[2, 3, classes]"


def test_accuracies() -> None:
    scores, labels = RNG.normal(size=(50, 7)), RNG.integers(0, 7, 50)
    order = np.argsort(-scores, 1)
    agree(nn.accuracy, lambda s, t: np.mean(order[:, 0] == t), scores, labels, grad=False)
    for k in (1, 3):
        agree(
            lambda s, t, k=k: nn.top_k_accuracy(s, t, k),
            lambda s, t, k=k: np.mean((order[:, :k] == t[:, None]).any(1)), scores, labels,
            grad=False,
        )  # fmt: skip
    (front,) = values(lambda s, t: nn.accuracy(s, t, axis=0), [scores.T.copy(), labels])
    assert front == np.mean(order[:, 0] == labels)
    (binary,) = values(lambda s, t: nn.binary_accuracy(s, t, 0.0), [scores[:, 0], labels % 2])
    assert binary == np.mean((scores[:, 0] > 0) == (labels % 2 == 1))


def test_confusion_matrix() -> None:
    labels, predictions = RNG.integers(0, 4, (2, 30)), RNG.integers(0, 4, (2, 30))
    wanted = np.zeros((4, 4), int)
    np.add.at(wanted, (labels.ravel(), predictions.ravel()), 1)
    agree(lambda a, b: nn.confusion_matrix(a, b, 4), lambda *_: wanted, labels, predictions,
          grad=False)  # fmt: skip
    t = sg.vector("t", dtype="int64")
    with pytest.raises(IndexOutOfRange):
        sg.compile([t], nn.confusion_matrix(t, [0], 2))([2])


def test_mistakes_are_named() -> None:
    with pytest.raises(DTypeError, match="accuracy: labels are integers"):
        nn.accuracy(np.zeros((2, 3)), [0.0, 1.0])
    with pytest.raises(ShapeError, match="2 axes of labels for 2 of scores"):
        nn.top_k_accuracy(np.zeros((2, 3)), [[0, 1]])
