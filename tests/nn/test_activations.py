"""Activations: against NumPy and SciPy, at extremes, along axes, and their derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
from mpmath import mp

import symgraph as sg
from symgraph.errors import ArgumentError, AxisError, ShapeError
from tests.nn.agreement import agree, slope, values

nn = sg.nn
X = np.random.default_rng(0).normal(0, 3, (4, 6))
A, S = 1.6732632423543772, 1.0507009873554805


def relu(x: Any) -> Any:
    return np.maximum(x, 0)


def elu(x: Any, a: float = 1.0) -> Any:
    return np.where(x > 0, x, a * np.expm1(np.minimum(x, 0)))


def softplus(x: Any) -> Any:
    return np.logaddexp(x, 0)


expit = scipy.special.expit


def gelu_tanh(x: Any) -> Any:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def fast_sigmoid(x: Any) -> Any:
    """Theano's code, element by element."""

    def one(x: float) -> float:
        x = 0.5 * x
        if x < 0:
            return 1 - one(-2 * x)
        if x < 1.7:
            z = 1.5 * x / (1 + x)
        elif x < 3:
            z = 0.935409070603099 + 0.0458812946797165 * (x - 1.7)
        else:
            z = 0.99505475368673
        return 0.5 * (z + 1)

    return np.vectorize(one)(x)


ROWS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "relu": (nn.relu, relu),
    "relu6": (nn.relu6, lambda x: np.clip(x, 0, 6)),
    "leaky_relu": (lambda x: nn.leaky_relu(x, 0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    "elu": (lambda x: nn.elu(x, 1.5), lambda x: elu(x, 1.5)),
    "celu": (lambda x: nn.celu(x, 1.5), lambda x: elu(x / 1.5) * 1.5),
    "selu": (nn.selu, lambda x: S * elu(x, A)),
    "gelu": (nn.gelu, lambda x: x * scipy.special.ndtr(x)),
    "gelu_tanh": (lambda x: nn.gelu(x, approximate=True), gelu_tanh),
    "silu": (nn.silu, lambda x: x * expit(x)),
    "swish": (nn.swish, lambda x: x * expit(x)),
    "mish": (nn.mish, lambda x: x * np.tanh(softplus(x))),
    "softplus": (nn.softplus, softplus),
    "softsign": (nn.softsign, lambda x: x / (1 + abs(x))),
    "squareplus": (lambda x: nn.squareplus(x, 3.0), lambda x: (x + np.sqrt(x * x + 3)) / 2),
    "sparse_plus": (
        nn.sparse_plus,
        lambda x: np.where(x >= 1, x, np.where(x <= -1, 0, (x + 1) ** 2 / 4)),
    ),
    "sparse_sigmoid": (nn.sparse_sigmoid, lambda x: np.clip((x + 1) / 2, 0, 1)),
    "hard_sigmoid": (nn.hard_sigmoid, lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    "theanos": (lambda x: nn.hard_sigmoid(x, 0.2), lambda x: np.clip(0.2 * x + 0.5, 0, 1)),
    "ultra_fast_sigmoid": (nn.ultra_fast_sigmoid, fast_sigmoid),
    "hard_tanh": (lambda x: nn.hard_tanh(x, -2, 1), lambda x: np.clip(x, -2, 1)),
    "hard_swish": (nn.hard_swish, lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "hard_shrink": (nn.hard_shrink, lambda x: np.where(abs(x) > 0.5, x, 0)),
    "soft_shrink": (nn.soft_shrink, lambda x: np.sign(x) * relu(abs(x) - 0.5)),
    "tanh_shrink": (nn.tanh_shrink, lambda x: x - np.tanh(x)),
    "threshold": (lambda x: nn.threshold(x, 1.0, -2.0), lambda x: np.where(x > 1, x, -2.0)),
    "log_sigmoid": (nn.log_sigmoid, lambda x: -softplus(-x)),
    "softmax": (nn.softmax, lambda x: scipy.special.softmax(x, -1)),
    "softmin": (lambda x: nn.softmin(x, 0), lambda x: scipy.special.softmax(-x, 0)),
    "log_softmax": (lambda x: nn.log_softmax(x, 0), lambda x: scipy.special.log_softmax(x, 0)),
    "softmax_all": (lambda x: nn.softmax(x, (0, 1)), scipy.special.softmax),
    "logsumexp": (lambda x: nn.logsumexp(x, -1), lambda x: scipy.special.logsumexp(x, -1)),
    "standardize": (
        nn.standardize,
        lambda x: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5),
    ),
    "glu": (nn.glu, lambda x: x[:, :3] * expit(x[:, 3:])),
    "glu_front": (lambda x: nn.glu(x, 0), lambda x: x[:2] * expit(x[2:])),
    "maxout": (lambda x: nn.maxout(x, 3), lambda x: x.reshape(4, 2, 3).max(-1)),
    "maxout_front": (lambda x: nn.maxout(x, 2, 0), lambda x: x.reshape(2, 2, 6).max(1)),
}


@pytest.mark.parametrize("name", ROWS)
def test_against_numpy(name: str) -> None:
    agree(*ROWS[name], X)


@pytest.mark.parametrize("shape", [(0, 6), (1, 6), (2, 1, 6)])
@pytest.mark.parametrize("name", ["gelu", "softmax", "squareplus", "softsign", "standardize"])
def test_shapes(name: str, shape: tuple[int, ...]) -> None:
    agree(*ROWS[name], np.ones(shape), grad=0 not in shape)


def test_prelu_learns_its_slope() -> None:
    agree(nn.prelu, lambda x, s: np.where(x > 0, x, s * x), X, np.linspace(0.1, 0.5, 6))


ELEMENTWISE = [
    n for n in ROWS
    if not any(w in n for w in ("softm", "log_s", "logs", "standardize", "glu", "maxout"))
]  # fmt: skip
EXTREMES = [0.0, 1e-30, -1e-30, 30.0, -30.0, 1e4, -1e4, 1e38, -1e38]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_values_and_slopes_are_finite_at_extremes(name: str, dtype: str) -> None:
    x = np.array(EXTREMES if dtype == "float32" else [*EXTREMES, 1e300, -1e300], dtype)
    (y,) = values(ROWS[name][0], [x])
    assert np.isfinite(y).all() and y.dtype == dtype
    assert np.isfinite(slope(ROWS[name][0], x)).all()


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "silu", "mish", "hard_swish", "elu"])
def test_limits_at_infinity(name: str) -> None:
    (y,) = values(ROWS[name][0], [np.array([-np.inf, np.inf, np.nan])])
    assert y[0] == (-1.5 if name == "elu" else 0) and y[1] == np.inf and np.isnan(y[2])


def test_softmax_of_extremes() -> None:
    x = np.array([[1e38, -1e38, 0.0], [-np.inf, 0.0, -np.inf], [800.0, 800.0, 800.0]])
    (p, logp) = values(lambda x: [nn.softmax(x), nn.log_softmax(x)], [x])
    np.testing.assert_array_equal(p[:2], [[1, 0, 0], [0, 1, 0]])
    assert not np.isnan(logp).any() and p[2].sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("squareplus", lambda x: (x + mp.sqrt(x * x + 3)) / 2),
        ("log_sigmoid", lambda x: -mp.log(1 + mp.exp(-x))),
        ("gelu", lambda x: x * mp.ncdf(x)),
        ("softsign", lambda x: x / (1 + abs(x))),
    ],
)
def test_nothing_is_lost_to_cancellation(name: str, exact: Callable[[Any], Any]) -> None:
    x = np.array([-1e6, -30.0, -8.0, -1.0, -1e-8, 1e-8, 1.0, 8.0, 1e6])
    (found,) = values(ROWS[name][0], [x])
    found_slope = slope(ROWS[name][0], x)
    with mp.workdps(60):
        wanted = [float(exact(mp.mpf(v))) for v in x.tolist()]
        slopes = [float(mp.diff(exact, mp.mpf(v))) for v in x.tolist()]
    np.testing.assert_allclose(found, wanted, rtol=2e-13)
    np.testing.assert_allclose(found_slope, slopes, rtol=1e-9, atol=1e-40)


def test_kinks_have_the_slopes_of_their_names() -> None:
    zero = np.zeros(1)
    assert slope(nn.relu, zero) == 0 and slope(nn.leaky_relu, zero) == 0.01
    assert slope(nn.squareplus, zero) == 0.5 and slope(nn.softsign, zero) == 1


def test_integers_become_floats() -> None:
    assert nn.gelu([1, 2]).dtype == "float64" and nn.softsign(np.int8([1])).dtype == "float32"


def test_mistakes_are_named() -> None:
    with pytest.raises(ShapeError, match="size 5 is not a multiple of 2"):
        nn.glu(np.zeros(5))
    with pytest.raises(ShapeError, match="size 5 is not a multiple of 3"):
        nn.maxout(np.zeros(5), 3)
    with pytest.raises(ArgumentError, match="0 pieces"):
        nn.maxout(np.zeros(5), 0)
    with pytest.raises(AxisError):
        nn.softmax(np.zeros(5), 1)
