"""Initializers: their distributions by Kolmogorov-Smirnov, fans, orthogonality."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

import symgraph as sg
from symgraph.errors import ArgumentError, DTypeError, RankError

init = sg.nn.initializers
KEY = sg.random.key(7)
SHAPE = (40, 160)  # fans: 40 in, 160 out

UNIFORM = {"glorot_uniform": 6 / 200, "he_uniform": 6 / 40, "lecun_uniform": 3 / 40}
NORMAL = {"glorot_normal": 2 / 200, "he_normal": 2 / 40, "lecun_normal": 1 / 40}


def fits(found: Any, distribution: Any) -> bool:
    return bool(scipy.stats.kstest(found.ravel(), distribution.cdf).pvalue > 1e-3)


@pytest.mark.parametrize("name", UNIFORM)
def test_uniform(name: str) -> None:
    limit = np.sqrt(UNIFORM[name])
    found = getattr(init, name)(KEY, SHAPE).eval()
    assert fits(found, scipy.stats.uniform(-limit, 2 * limit))


@pytest.mark.parametrize("name", NORMAL)
def test_normal(name: str) -> None:
    found = getattr(init, name)(KEY, SHAPE, gain=2.0).eval()
    assert fits(found, scipy.stats.norm(0, 2 * np.sqrt(NORMAL[name])))


def test_plain_distributions() -> None:
    assert fits(init.uniform(KEY, SHAPE, 0.3).eval(), scipy.stats.uniform(-0.3, 0.6))
    assert fits(init.uniform(KEY, SHAPE, 1.0, low=0.5).eval(), scipy.stats.uniform(0.5, 0.5))
    assert fits(init.normal(KEY, SHAPE, 0.3).eval(), scipy.stats.norm(0, 0.3))
    cut = scipy.stats.truncnorm(-2, 2)
    found = init.truncated_normal(KEY, SHAPE, 0.3).eval()
    assert fits(found * cut.std() / 0.3, cut) and found.std() == pytest.approx(0.3, rel=0.05)
    found = init.variance_scaling(KEY, SHAPE, 3.0, "fan_out", "truncated_normal").eval()
    assert found.std() == pytest.approx(np.sqrt(3 / 160), rel=0.05)


def test_fans_of_kernels() -> None:
    found = init.he_normal(KEY, (160, 10, 2, 2), in_axis=1, out_axis=0).eval()
    assert found.std() == pytest.approx(np.sqrt(2 / 40), rel=0.05)


def test_names_of_others() -> None:
    assert init.xavier_uniform is init.glorot_uniform and init.kaiming_normal is init.he_normal


def test_dtypes_and_keys() -> None:
    a = init.glorot_uniform(KEY, (3, 4), dtype="float32")
    assert a.dtype == "float32"
    b = init.glorot_uniform(sg.random.key(8), (3, 4), dtype="float32")
    assert (a.eval() == a.eval()).all() and (a.eval() != b.eval()).any()


@pytest.mark.parametrize(("shape", "axis"), [((6, 4), -1), ((4, 6), -1), ((6, 2, 3), 0)])
def test_orthogonal(shape: tuple[int, ...], axis: int) -> None:
    w = init.orthogonal(KEY, shape, 2.0, out_axis=axis).eval()
    assert w.shape == shape
    flat = np.moveaxis(w, axis, -1).reshape(-1, shape[axis])
    product = flat.T @ flat if flat.shape[0] >= flat.shape[1] else flat @ flat.T
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


def test_mistakes_are_named() -> None:
    with pytest.raises(RankError, match="at least two axes, not 1"):
        init.he_normal(KEY, (3,))
    with pytest.raises(RankError, match="at least two axes, not 1"):
        init.orthogonal(KEY, (3,))
    with pytest.raises(ArgumentError, match="unknown mode 'fan_sum'"):
        init.variance_scaling(KEY, SHAPE, mode="fan_sum")
    with pytest.raises(ArgumentError, match="unknown distribution 'cauchy'"):
        init.variance_scaling(KEY, SHAPE, distribution="cauchy")
    with pytest.raises(DTypeError, match="weights are floats, not int64"):
        init.normal(KEY, SHAPE, dtype="int64")
