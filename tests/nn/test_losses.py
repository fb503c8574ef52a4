"""Losses of differences, margins, probabilities and embeddings, against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
from mpmath import mp

import symgraph as sg
from symgraph.errors import ArgumentError, DTypeError, IndexOutOfRange, ShapeError
from tests.nn.agreement import agree, slope, values

nn = sg.nn
RNG = np.random.default_rng(0)
X, Y = RNG.normal(0, 2, (4, 6)), RNG.normal(0, 2, (4, 6))
P = RNG.uniform(0.05, 0.95, (4, 6))
SIGNS = np.where(RNG.uniform(size=(4, 6)) < 0.5, -1.0, 1.0)
LABELS = np.array([3, 0, 5, 3])
COUNTS = RNG.poisson(3, (4, 6))


def relu(x: Any) -> Any:
    return np.maximum(x, 0)


def huber(x: Any, y: Any, d: float) -> Any:
    far = abs(x - y)
    return np.where(far <= d, far**2 / 2, d * (far - d / 2))


def multi_margin(x: Any, labels: Any, power: int) -> Any:
    out = np.zeros(len(x))
    for row, label in enumerate(labels):
        others = [c for c in range(x.shape[1]) if c != label]
        short = [max(0, 0.5 - x[row, label] + x[row, c]) ** power for c in others]
        out[row] = sum(short) / x.shape[1]
    return out


def kl(logq: Any, p: Any) -> Any:
    return scipy.special.xlogy(p, p) - p * logq


def poisson(x: Any, t: Any) -> Any:
    stirling = np.where(t > 1, t * np.log(np.maximum(t, 1)) - t, 0)
    return np.exp(x) - t * x + stirling + np.where(t > 1, np.log(2 * np.pi * t + (t == 0)) / 2, 0)


def cosine(a: Any, b: Any) -> Any:
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def distance(a: Any, b: Any) -> Any:
    return np.linalg.norm(a - b, axis=-1)


def dice(p: Any, t: Any) -> Any:
    return 1 - (2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)


FIRST = SIGNS[:, 0]
ROWS: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = {
    "mse": (lambda x, y, **k: nn.mse(x, y, **k), lambda x, y: (x - y) ** 2, (X, Y)),
    "mae": (lambda x, y, **k: nn.mae(x, y, **k), lambda x, y: abs(x - y), (X, Y)),
    "huber": (lambda x, y, **k: nn.huber(x, y, 0.7, **k), lambda x, y: huber(x, y, 0.7), (X, Y)),
    "smooth_l1": (
        lambda x, y, **k: nn.smooth_l1(x, y, 0.7, **k), lambda x, y: huber(x, y, 0.7) / 0.7, (X, Y),
    ),
    "smooth_l1_0": (
        lambda x, y, **k: nn.smooth_l1(x, y, 0.0, **k), lambda x, y: abs(x - y), (X, Y),
    ),
    "log_cosh": (nn.log_cosh, lambda x, y: np.log(np.cosh(x - y)), (X, Y)),
    "hinge": (lambda x, **k: nn.hinge(x, SIGNS, **k), lambda x: relu(1 - x * SIGNS), (X,)),
    "squared_hinge": (
        lambda x, **k: nn.squared_hinge(x, SIGNS, 0.5, **k),
        lambda x: relu(0.5 - x * SIGNS) ** 2, (X,),
    ),
    "multi_margin": (
        lambda x, t, **k: nn.multi_margin_loss(x, t, 0.5, **k),
        lambda x, t: multi_margin(x, t, 1), (X, LABELS),
    ),
    "multi_margin_2": (
        lambda x, t, **k: nn.multi_margin_loss(x.T, t, 0.5, 2, axis=0, **k),
        lambda x, t: multi_margin(x, t, 2), (X, LABELS),
    ),
    "margin_ranking": (
        lambda x, y, **k: nn.margin_ranking_loss(x, y, SIGNS, 0.3, **k),
        lambda x, y: relu(0.3 - SIGNS * (x - y)), (X, Y),
    ),
    "kl_div": (nn.kl_div, kl, (np.log(P), P[::-1])),
    "kl_div_log": (
        lambda q, p, **k: nn.kl_div(q, p, log_target=True, **k),
        lambda q, p: kl(q, np.exp(p)), (np.log(P), np.log(P[::-1])),
    ),
    "poisson_nll": (
        lambda x, t, **k: nn.poisson_nll(x, t, full=True, **k), poisson, (X, COUNTS),
    ),
    "poisson_nll_rates": (
        lambda x, t, **k: nn.poisson_nll(x, t, log_input=False, epsilon=0.1, **k),
        lambda x, t: x - t * np.log(x + 0.1), (P, COUNTS),
    ),
    "gaussian_nll": (
        lambda x, y, v, **k: nn.gaussian_nll(x, y, v, full=True, **k),
        lambda x, y, v: -scipy.stats.norm.logpdf(y, x, np.sqrt(v)), (X, Y, P),
    ),
    "cosine_similarity": (lambda a, b: nn.cosine_similarity(a, b), cosine, (X, Y)),
    "cosine_embedding": (
        lambda a, b, **k: nn.cosine_embedding_loss(a, b, FIRST, 0.1, **k),
        lambda a, b: np.where(FIRST > 0, 1 - cosine(a, b), relu(cosine(a, b) - 0.1)), (X, Y),
    ),
    "triplet": (
        lambda a, p, n, **k: nn.triplet_loss(a, p, n, 0.5, **k),
        lambda a, p, n: relu(0.5 + distance(a, p) - distance(a, n)), (X, Y, P),
    ),
    "contrastive": (
        lambda a, b, **k: nn.contrastive_loss(a, b, FIRST, 9.0, **k),
        lambda a, b: np.where(
            FIRST > 0, distance(a, b) ** 2 / 2, relu(9 - distance(a, b)) ** 2 / 2
        ), (X, Y),
    ),
    "dice": (nn.dice_loss, dice, (P, P[::-1] > 0.5)),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_against_numpy(name: str) -> None:
    build, reference, arrays = ROWS[name]
    if name == "cosine_similarity":
        agree(build, reference, *arrays)
        return
    agree(lambda *a: build(*a, reduction="none"), reference, *arrays, symbolic="2" not in name)
    for word, reduce in (("mean", np.mean), ("sum", np.sum)):
        (found,) = values(lambda *a, w=word: build(*a, reduction=w), arrays)
        np.testing.assert_allclose(found, reduce(reference(*arrays)), rtol=1e-12)


def test_means_are_what_mse_and_mae_give() -> None:
    assert nn.mse([1.0, 3.0], [0.0, 0.0]).eval() == 5 and nn.mae([1, -3], [0, 0]).eval() == 2


def test_log_cosh_keeps_small_and_large_differences() -> None:
    x = np.array([1e-9, 1e-4, 0.999999, 1.000001, 50.0, 1e300])
    (found,) = values(lambda x: nn.log_cosh(x, 0.0), [x])
    with mp.workdps(50):
        wanted = [float(mp.log(mp.cosh(mp.mpf(v)))) for v in x[:-1].tolist()] + [1e300]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    np.testing.assert_allclose(slope(lambda x: nn.log_cosh(x, 0.0), x), np.tanh(x), rtol=1e-12)


def test_divergence_where_a_probability_is_0() -> None:
    q = np.array([-np.inf, 0.0, -1.0])
    loss = lambda q: nn.kl_div(q, np.array([0.0, 0.0, 1.0]))
    assert values(loss, [q])[0].tolist() == [0, 0, 1]
    assert slope(loss, q).tolist() == [0, 0, -1]
    both = nn.kl_div([-np.inf, -1.0], [-np.inf, 0.0], log_target=True)
    assert both.eval().tolist() == [0, 1]


def test_distances_of_0_have_finite_slopes() -> None:
    x = np.zeros((2, 3))
    for build in (
        lambda v: nn.triplet_loss(v, x, x),
        lambda v: nn.contrastive_loss(v, x, [1, 0]),
        lambda v: nn.cosine_similarity(v, x + 1),
    ):
        assert np.isfinite(slope(build, x)).all()


def test_mistakes_are_named() -> None:
    with pytest.raises(ArgumentError, match="unknown reduction 'average'"):
        nn.huber(X, Y, reduction="average")
    with pytest.raises(DTypeError, match="labels are integers"):
        nn.multi_margin_loss(X, X[:, 0])
    with pytest.raises(ShapeError, match="2 axes of labels for 2 of scores"):
        nn.multi_margin_loss(X, np.ones((4, 1), int))
    labels = sg.vector("labels", dtype="int64")
    with pytest.raises(IndexOutOfRange):
        sg.compile([labels], nn.multi_margin_loss(X, labels))([0, 1, 2, 6])
