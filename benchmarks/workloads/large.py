"""Large graphs: training steps by SGD of networks of many layers, and of many regressions at once.

They are about compilers, not kernels: `large_graphs.py` measures their first calls.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from workloads import Workload
from workloads.networks import Network, Words, in_jax, in_symgraph

Start = list[np.ndarray]
DEEP, UNROLLED, LAYERS, BLOCKS, REGRESSIONS = 400, 50, 24, 8, 200
UNITS, WORDS, LENGTH, HEADS = 256, 1000, 128, 4


def weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    inner = math.prod(shape[1:]) if len(shape) == 4 else shape[0]
    return (rng.normal(size=shape) / math.sqrt(inner)).astype("float32")


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, "float32")


# networks -----------------------------------------------------------------------------------------


def deep(w: Words, x: Any, y: Any, p: list[Any]) -> Any:
    """Residual layers of 128 units."""
    for k in range(0, len(p) - 1, 2):
        x = x + w.tanh(x @ p[k] + p[k + 1])
    return w.loss(x @ p[-1], y)


def unrolled(w: Words, x: Any, y: Any, p: list[Any]) -> Any:
    """Gated recurrent units (Cho et al., 2014), written out step by step."""
    h = x[:, 0] * 0
    for t in range(UNROLLED):
        z = w.sigmoid(x[:, t] @ p[0] + h @ p[1])
        r = w.sigmoid(x[:, t] @ p[2] + h @ p[3])
        h = (1 - z) * h + z * w.tanh(x[:, t] @ p[4] + (r * h) @ p[5])
    return w.loss(h @ p[6], y)


def transformer(w: Words, x: Any, y: Any, p: list[Any]) -> Any:
    """Layers of attention and gelu (Radford et al., 2019); the next word is scored at each place.
    Every place sees all others."""
    rest = iter(p)
    table = next(rest)
    h = table[x] + next(rest)
    for _ in range(LAYERS):
        parts = _normalized(w, h, rest) @ next(rest)
        heads = (x.shape[0], LENGTH, HEADS, UNITS // HEADS)
        q, k, v = (parts[..., i * UNITS : (i + 1) * UNITS].reshape(heads).swapaxes(1, 2)
                   for i in range(3))  # fmt: skip
        seen = w.softmax(q @ k.swapaxes(-1, -2) * math.sqrt(HEADS / UNITS)) @ v
        h = h + seen.swapaxes(1, 2).reshape(h.shape) @ next(rest)
        h = h + w.gelu(_normalized(w, h, rest) @ next(rest)) @ next(rest)
    scores = _normalized(w, h, rest) @ table.swapaxes(0, 1)
    places = x.shape[0] * LENGTH
    return w.loss(scores.reshape((places, WORDS)), y.reshape((places,)))


def _normalized(w: Words, h: Any, rest: Iterator[Any]) -> Any:
    off = h - h.mean(-1, keepdims=True)
    return off * w.rsqrt((off * off).mean(-1, keepdims=True) + 1e-5) * next(rest) + next(rest)


def residual(w: Words, x: Any, y: Any, p: list[Any]) -> Any:
    """Four stages of BLOCKS blocks (He et al., 2015)."""
    rest = iter(p)

    def convolved(h: Any, stride: int, padding: int) -> Any:
        return w.normalize(w.convolve(h, next(rest), stride, padding, 1), next(rest), next(rest))

    h = w.relu(convolved(x, 1, 1))
    for stage in range(4):
        for block in range(BLOCKS):
            changes = stage > 0 and block == 0
            inner = w.relu(convolved(h, 1 + changes, 1))
            inner = convolved(inner, 1, 1)
            h = w.relu((convolved(h, 2, 0) if changes else h) + inner)
    return w.loss(h.mean((2, 3)) @ next(rest), y)


def regressions(w: Words, x: Any, y: Any, p: list[Any]) -> Any:
    """A slope, an intercept and a scale for each row, all numbers of their own."""
    total = 0.0
    for k in range(REGRESSIONS):
        a, b, s = p[3 * k : 3 * k + 3]
        off = (y[k] - a - b * x[k]) * w.exp(-s)
        total = total + (off * off / 2 + s).sum() + a * a / 2 + b * b / 8 + s * s
    return total


# starting values ----------------------------------------------------------------------------------


def _start(network: Network) -> Start:
    rng = np.random.default_rng(1)
    if network is deep:
        return [*(a for _ in range(DEEP) for a in (weights(rng, 128, 128), 0 * ones(128))),
                weights(rng, 128, 10)]  # fmt: skip
    if network is unrolled:
        return [*(weights(rng, 64, 64) for _ in range(6)), weights(rng, 64, 10)]
    if network is transformer:
        return _of_transformer(rng)
    if network is residual:
        return _of_residual(rng)
    return [np.float32(v) for v in 0.1 * rng.normal(size=3 * REGRESSIONS)]


def _of_transformer(rng: np.random.Generator) -> Start:
    d, norm = UNITS, [ones(UNITS), 0 * ones(UNITS)]
    out = [weights(rng, WORDS, d), weights(rng, LENGTH, d)]
    for _ in range(LAYERS):
        out += [*norm, weights(rng, d, 3 * d), weights(rng, d, d)]
        out += [*norm, weights(rng, d, 4 * d), weights(rng, 4 * d, d)]
    return [*out, *norm]


def _of_residual(rng: np.random.Generator) -> Start:
    def layer(made: int, given: int, side: int) -> Start:
        return [weights(rng, made, given, side, side), ones(made, 1, 1), 0 * ones(made, 1, 1)]

    out, held = layer(64, 3, 3), 64
    for channels in (64, 128, 256, 512):
        for _ in range(BLOCKS):
            out += [*layer(channels, held, 3), *layer(channels, channels, 3)]
            out += layer(channels, held, 1) if channels != held else []
            held = channels
    return [*out, weights(rng, 512, 10)]


# workloads ----------------------------------------------------------------------------------------


def _workload(network: Network, what: str, x: tuple[int, ...], y: tuple[int, ...]) -> Workload:
    def make() -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(0)
        numbers = network is not transformer
        given = rng.normal(size=x).astype("float32") if numbers else rng.integers(0, WORDS, x)
        return given, rng.normal(size=y).astype("float32") if x == y and numbers else (
            rng.integers(0, 10, y)
        )  # fmt: skip

    start = _start(network)
    return Workload(
        f"large.{network.__name__}", what, make,
        {"symgraph": in_symgraph(network, start, x[0]), "jax": in_jax(network, start)},
    )  # fmt: skip


WORKLOADS = [
    _workload(deep, f"{DEEP} layers of 128, batch 64", (64, 128), (64,)),
    _workload(unrolled, f"a GRU of 64, {UNROLLED} steps written out, batch 32",
              (32, UNROLLED, 64), (32,)),
    _workload(transformer, f"{LAYERS} layers of {UNITS}, 8x{LENGTH} words",
              (8, LENGTH), (8, LENGTH)),
    _workload(residual, f"{8 * BLOCKS + 4} convolutions, batch 16 of 3x32x32",
              (16, 3, 32, 32), (16,)),
    _workload(regressions, f"{REGRESSIONS} regressions of 200 points",
              (REGRESSIONS, 200), (REGRESSIONS, 200)),
]  # fmt: skip
