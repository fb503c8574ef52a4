"""Five losses, written once in words that symgraph, PyTorch and JAX all have.

A model is the shapes of its parameters and of its batch, and the loss of both. Sizes are those of a
benchmark, or tiny ones that only show that everything runs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

Shapes = Mapping[str, tuple[int, ...]]


class Model(NamedTuple):
    """``batch`` are normally distributed but for those named ``t``, rows with a single 1."""

    params: Shapes
    batch: Shapes
    loss: Callable[..., Any]

    def arrays(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Parameters, of a size that keeps what comes out near 1, and a batch."""
        rng = np.random.default_rng(0)
        params = [
            (rng.standard_normal(s) / math.sqrt(max(1, math.prod(s[1:] if len(s) > 2 else s[:1]))))
            .astype("float32") for s in self.params.values()
        ]  # fmt: skip
        batch = [
            np.eye(s[-1], dtype="float32")[rng.integers(0, s[-1], s[0])]
            if name == "t" else rng.standard_normal(s).astype("float32")
            for name, s in self.batch.items()
        ]  # fmt: skip
        return params, batch


def _entropy(w: Any, logits: Any, t: Any) -> Any:
    return -w.mean(w.sum(w.log_softmax(logits) * t, 1))


def mlp(tiny: bool) -> Model:
    n, sizes = (6, (5, 7, 3)) if tiny else (256, (784, 512, 512, 10))
    params = {f"w{k}": pair for k, pair in enumerate(itertools.pairwise(sizes))}

    def loss(w: Any, params: list[Any], x: Any, t: Any) -> Any:
        for p in params[:-1]:
            x = w.relu(x @ p)
        return _entropy(w, x @ params[-1], t)

    return Model(params, {"x": (n, sizes[0]), "t": (n, sizes[-1])}, loss)


def lenet(tiny: bool) -> Model:
    n, side, a, b, hidden = (2, 16, 2, 3, 4) if tiny else (128, 28, 20, 50, 500)
    left = ((side - 4) // 2 - 4) // 2
    params = {"c1": (a, 1, 5, 5), "c2": (b, a, 5, 5), "w1": (b * left * left, hidden),
              "w2": (hidden, 10)}  # fmt: skip

    def loss(w: Any, params: list[Any], x: Any, t: Any) -> Any:
        c1, c2, w1, w2 = params
        x = w.max_pool(w.relu(w.conv(x, c1, 0)))
        x = w.max_pool(w.relu(w.conv(x, c2, 0)))
        return _entropy(w, w.relu(x.reshape((n, -1)) @ w1) @ w2, t)

    return Model(params, {"x": (n, 1, side, side), "t": (n, 10)}, loss)


def resnet_block(tiny: bool) -> Model:
    n, channels, side = (1, 2, 5) if tiny else (32, 64, 56)
    params = {"a": (channels, channels, 3, 3), "b": (channels, channels, 3, 3)}

    def loss(w: Any, params: list[Any], x: Any) -> Any:
        y = w.relu(w.conv(x, params[0], 1))
        y = w.relu(w.conv(y, params[1], 1) + x)
        return w.mean(y * y)

    return Model(params, {"x": (n, channels, side, side)}, loss)


def lstm(tiny: bool) -> Model:
    steps, n, width = (2, 2, 3) if tiny else (64, 64, 256)
    params = {"w": (width, 4 * width), "u": (width, 4 * width)}

    def loss(w: Any, params: list[Any], x: Any) -> Any:
        given, recurrent = params

        def step(row: Any, h: Any, c: Any) -> tuple[Any, Any]:
            z = row @ given + h @ recurrent
            i, f, o, g = (z[:, k * width : (k + 1) * width] for k in range(4))
            c = w.sigmoid(f) * c + w.sigmoid(i) * w.tanh(g)
            return w.sigmoid(o) * w.tanh(c), c

        h = w.scan(step, x, [w.zeros((n, width)), w.zeros((n, width))])
        return w.mean(h * h)

    return Model(params, {"x": (steps, n, width)}, loss)


def attention(tiny: bool) -> Model:
    n, length, heads, each = (1, 4, 2, 3) if tiny else (8, 512, 8, 64)
    width = heads * each
    params = {name: (width, width) for name in ("q", "k", "v", "o")}

    def loss(w: Any, params: list[Any], x: Any) -> Any:
        def split(p: Any) -> Any:
            return w.transpose((x @ p).reshape((n, length, heads, each)), (0, 2, 1, 3))

        q, k, v = map(split, params[:3])
        chances = w.softmax((q @ w.transpose(k, (0, 1, 3, 2))) * (1 / math.sqrt(each)))
        y = w.transpose(chances @ v, (0, 2, 1, 3)).reshape((n, length, width)) @ params[3]
        return w.mean(y * y)

    return Model(params, {"x": (n, length, width)}, loss)


MODELS: dict[str, Callable[[bool], Model]] = {
    "MLP": mlp, "LeNet": lenet, "ResNet block": resnet_block, "LSTM": lstm, "attention": attention,
}  # fmt: skip
