"""CTC: against all paths one by one, and figures of PyTorch's."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.special

import symgraph as sg
from symgraph.errors import ArgumentError, DTypeError, IndexOutOfRange, RankError
from tests.nn.agreement import values

nn = sg.nn


def case(time: int, classes: int, labels: list[list[int]], seed: int = 0) -> tuple[Any, Any]:
    x = np.random.default_rng(seed).normal(size=(time, len(labels), classes))
    return scipy.special.log_softmax(x, -1), np.array(labels)


def emitted(path: tuple[int, ...], blank: int) -> list[int]:
    """A path without repetitions, then without blanks."""
    once = [c for k, c in enumerate(path) if k == 0 or c != path[k - 1]]
    return [c for c in once if c != blank]


def by_paths(logp: Any, targets: Any, frames: Any, counts: Any, blank: int = 0) -> Any:
    """The loss as the sum over all paths of classes."""
    out = []
    for b, (t, n) in enumerate(zip(frames, counts, strict=True)):
        total = 0.0
        for path in itertools.product(range(logp.shape[2]), repeat=t):
            if emitted(path, blank) == targets[b, :n].tolist():
                total += np.exp(sum(logp[k, b, c] for k, c in enumerate(path)))
        with np.errstate(divide="ignore"):
            out.append(-np.log(total))
    return np.array(out)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("blank", [0, 2])
def test_against_all_paths(blank: int, symbolic: bool) -> None:
    rows = [[1, 1, 3], [3, 1, 3], [1, 3, 1], [3, 3, 3], [1, 0, 0], [3, 1, 0], [1, 1, 1]]
    logp, targets = case(5, 4, rows)
    frames, counts = np.array([5, 5, 4, 5, 3, 1, 4]), np.array([3, 3, 2, 0, 1, 1, 3])
    (found,) = values(
        lambda *a: nn.ctc_loss(*a, blank=blank), [logp, targets, frames, counts], symbolic
    )
    np.testing.assert_allclose(found, by_paths(logp, targets, frames, counts, blank), rtol=1e-12)
    assert found[-1] == np.inf  # three equal labels need five frames


def test_whole_axes_unless_lengths_are_given() -> None:
    logp, targets = case(4, 3, [[1, 2], [2, 2]])
    wanted = by_paths(logp, targets, [4, 4], [2, 2])
    for mode in ("run", "interpret"):
        np.testing.assert_allclose(values(nn.ctc_loss, [logp, targets], mode=mode)[0], wanted)
    (single,) = values(nn.ctc_loss, [logp.astype("float32"), targets])
    np.testing.assert_allclose(single, wanted, rtol=1e-5)
    assert single.dtype == "float32"


def test_padding_may_be_anything() -> None:
    logp, targets = case(4, 3, [[1, -7], [2, 99]])
    (found,) = values(lambda x, t: nn.ctc_loss(x, t, None, [1, 1]), [logp, targets])
    np.testing.assert_allclose(found, by_paths(logp, targets, [4, 4], [1, 1]), rtol=1e-12)


def test_derivative() -> None:
    logp, targets = case(5, 4, [[1, 1], [2, 3], [1, 0]])

    def loss(x: Any) -> Any:
        return nn.ctc_loss(nn.log_softmax(x), targets, [5, 4, 2], [2, 2, 1])

    sg.verify_grad(loss, [logp])
    x = sg.tensor("x", shape=logp.shape)
    gradient = sg.compile([x], sg.grad(sg.sum(loss(x)), x))(logp)
    assert (gradient[4, 1] == 0).all() and (gradient[2:, 2] == 0).all()  # frames beyond the length


def test_impossible_targets_and_classes() -> None:
    logp, targets = case(2, 3, [[1, 1], [1, 2]])
    logp[:, 1, 0] = -np.inf
    x = sg.tensor("x", shape=logp.shape)
    for zero, first in ((False, np.inf), (True, 0.0)):
        loss = nn.ctc_loss(x, targets, zero_infinity=zero)
        found, gradient = sg.compile([x], [loss, sg.grad(sg.sum(loss), x)])(logp)
        assert found[0] == first
        np.testing.assert_allclose(found[1], -logp[0, 1, 1] - logp[1, 1, 2])
        assert np.isfinite(gradient).all() and (gradient[:, 0] == 0).all()
    (empty,) = values(lambda x: nn.ctc_loss(x, targets, [0, 0], [0, 1]), [logp])
    assert empty.tolist() == [0, np.inf]


def test_reductions() -> None:
    logp, targets = case(5, 4, [[1, 2], [2, 3], [3, 0]])
    counts = np.array([2, 2, 0])
    each = by_paths(logp, targets, [5] * 3, counts)
    sums = values(lambda x: nn.ctc_loss(x, targets, None, counts, reduction="sum"), [logp])
    means = values(lambda x: nn.ctc_loss(x, targets, None, counts, reduction="mean"), [logp])
    np.testing.assert_allclose(sums[0], each.sum())
    np.testing.assert_allclose(means[0], (each / np.maximum(counts, 1)).mean())


def test_long_sequences_agree_with_pytorch() -> None:
    # torch.nn.functional.ctc_loss of PyTorch 2 for this input
    t, c = np.meshgrid(np.arange(50), np.arange(6), indexing="ij")
    x = np.stack([np.sin(0.3 * t + c), np.cos(0.7 * t * (c + 1))], 1)
    targets = [[1, 2, 2, 5, 4, 1, 1, 3, 2, 5], [5, 4, 3, 2, 1, 0, 0, 0, 0, 0]]
    (found,) = values(lambda x: nn.ctc_loss(nn.log_softmax(x), targets, [50, 33], [10, 5]), [x])
    np.testing.assert_allclose(found, FROM_PYTORCH, rtol=1e-12)


FROM_PYTORCH = [44.814319408172004, 41.300443748453716]


def test_mistakes_are_named() -> None:
    logp, targets = case(4, 3, [[1, 2]])
    with pytest.raises(RankError, match=r"takes \[time, batch, classes\]"):
        nn.ctc_loss(logp[0], targets)
    with pytest.raises(DTypeError, match="labels are integers"):
        nn.ctc_loss(logp, targets * 1.0)
    with pytest.raises(RankError, match="lengths are a vector"):
        nn.ctc_loss(logp, targets, 4)
    with pytest.raises(ArgumentError, match="unknown reduction"):
        nn.ctc_loss(logp, targets, reduction="best")
    t = sg.matrix("t", dtype="int64")
    with pytest.raises(IndexOutOfRange):
        sg.compile([t], nn.ctc_loss(logp, t))([[1, 3]])
