"""Functions that people differentiate: models, filters, networks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.derivatives.formulas import Case, numbers


def _rosenbrock(m: Any, x: Any) -> Any:
    return m.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def _gaussian_process(m: Any, log_scale: Any, log_noise: Any, y: Any) -> Any:
    t = np.linspace(0, 2, 8)
    distance = (t[:, None] - t[None, :]) ** 2
    kernel = m.exp(-0.5 * distance / m.exp(2 * log_scale)) + m.exp(log_noise) * np.eye(8)
    low = m.linalg.cholesky(kernel)
    z = m.linalg.solve_triangular(low, y, lower=True)
    return 0.5 * m.sum(z * z) + m.sum(m.log(m.diagonal(low))) + 4 * math.log(2 * math.pi)


def _kalman(m: Any, transition: Any, noise: Any, rows: Any) -> Any:
    def step(state: Any, y: Any) -> Any:
        mean, variance = state
        mean, variance = transition * mean, transition**2 * variance + m.exp(noise)
        gain = variance / (variance + 0.5)
        return mean + gain * (y - mean), (1 - gain) * variance

    mean, variance = m.loop2(step, (m.zeros(()) + transition * 0, m.ones(()) + noise * 0), rows)
    return mean**2 + m.log(variance)


def _lstm(m: Any, w: Any, u: Any, rows: Any) -> Any:
    def step(state: Any, x: Any) -> Any:
        h, c = state
        gates = x @ w + h @ u
        i, f, o = (m.special.expit(gates[k * 3 : k * 3 + 3]) for k in range(3))
        c = f * c + i * m.tanh(gates[9:])
        return o * m.tanh(c), c

    h, _ = m.loop2(step, (m.zeros(3), m.zeros(3)), rows)
    return m.sum(h**2)


def _network(m: Any, x: Any, w: Any, v: Any) -> Any:
    hidden = m.nn.relu(m.conv(x, w))
    pooled = m.max_pool(hidden, 2)
    return m.sum(m.tanh(m.reshape(pooled, (2, 12)) @ v) ** 2)


def _attention(m: Any, q: Any, k: Any, v: Any) -> Any:
    return m.sum((m.nn.softmax(q @ k.T / 2.0) @ v) ** 3)


def _softmax_regression(m: Any, w: Any, x: Any) -> Any:
    labels = np.eye(3)[[0, 2, 1, 0, 1]]
    return -m.mean(m.sum(labels * m.nn.log_softmax(x @ w), 1)) + 0.1 * m.sum(w * w)


def _logistic(m: Any, w: Any, x: Any) -> Any:
    y = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    z = x @ w
    return m.mean(m.nn.softplus(z) - y * z)


def _planets(m: Any, position: Any) -> Any:
    between = position[:, None, :] - position[None, :, :]
    distance = m.sqrt(m.sum(between**2, -1) + 0.01)
    return -m.sum(m.triu(1 / distance, 1))


def _boltzmann(m: Any, w: Any, v: Any) -> Any:
    return -m.sum(m.nn.softplus(v @ w))


def _layer_norm(m: Any, x: Any, g: Any) -> Any:
    centred = x - m.mean(x, -1, keepdims=True)
    return m.sum((centred / m.sqrt(m.var(x, -1, keepdims=True) + 1e-5) * g) ** 3)


def _pendulum(m: Any, state: Any) -> Any:
    def step(s: Any, _: Any) -> Any:
        return s + 0.1 * m.stack([s[1], -m.sin(s[0])])

    return m.sum(m.loop(step, state, np.zeros(20)) ** 2)


def _vae(m: Any, w: Any, mu: Any, log_var: Any) -> Any:
    noise = numbers(2, 3, seed=12)
    z = mu + m.exp(0.5 * log_var) * noise
    kl = -0.5 * m.sum(1 + log_var - mu**2 - m.exp(log_var))
    logits = z @ w
    return m.sum(m.nn.softplus(logits) - 0.4 * logits) + kl


def _forward_algorithm(m: Any, transition: Any, emission: Any) -> Any:
    observed = emission[:, np.array([0, 1, 1, 2, 0])].T
    weights = m.nn.log_softmax(transition)

    def step(alpha: Any, row: Any) -> Any:
        return m.special.logsumexp(alpha[:, None] + weights, 0) + row

    return m.special.logsumexp(m.loop(step, m.zeros(3), observed), 0)


def _ridge(m: Any, strength: Any, x: Any) -> Any:
    y = np.array([0.1, -0.4, 0.7, 0.2, 0.5])
    w = m.linalg.solve(x.T @ x + m.exp(strength) * np.eye(3), x.T @ y)
    return m.sum((x @ w - y) ** 2)


def _branches(m: Any, x: Any) -> Any:
    return m.choose(m.sum(x) > 0, lambda: m.sum(m.sin(x)), lambda: m.sum(m.exp(x) * x))


def classics() -> Iterator[Case]:
    """One case each."""
    data = numbers(5, 3, seed=20)
    cases: list[tuple[str, Any, tuple[np.ndarray, ...]]] = [
        ("Rosenbrock", _rosenbrock, (numbers(6, seed=21),)),
        ("Gaussian process", _gaussian_process,
         (np.array(-0.3), np.array(-1.0), numbers(8, seed=22))),
        ("Kalman filter", _kalman, (np.array(0.8), np.array(-0.5), numbers(10, seed=23))),
        ("LSTM", _lstm, (numbers(2, 12, seed=24), numbers(3, 12, seed=25), numbers(6, 2, seed=26))),
        ("convolution net", _network,
         (numbers(2, 1, 6, 6, seed=27), numbers(3, 1, 3, 3, seed=28), numbers(12, 2, seed=29))),
        ("attention", _attention,
         (numbers(4, 3, seed=30), numbers(5, 3, seed=31), numbers(5, 2, seed=32))),
        ("softmax regression", _softmax_regression, (numbers(3, 3, seed=33), data)),
        ("logistic regression", _logistic, (numbers(3, seed=34), data)),
        ("planets", _planets, (numbers(5, 2, seed=35),)),
        ("Boltzmann machine", _boltzmann, (numbers(3, 4, seed=36), data)),
        ("layer norm", _layer_norm, (data, numbers(3, seed=37))),
        ("pendulum", _pendulum, (numbers(2, seed=38),)),
        ("variational autoencoder", _vae,
         (numbers(3, 4, seed=39), numbers(2, 3, seed=40), numbers(2, 3, seed=41))),
        ("hidden Markov model", _forward_algorithm,
         (numbers(3, 3, seed=42), numbers(3, 3, seed=43))),
        ("ridge regression", _ridge, (np.array(0.2), data)),
        ("branches", _branches, (numbers(4, seed=44),)),
    ]  # fmt: skip
    for name, formula, arrays in cases:
        yield Case("classics", name, formula, arrays)
