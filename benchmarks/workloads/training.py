"""Training steps: a softmax regression on digits, and an MLP 784-512-512-10, batch 128, SGD.

Every contender keeps its parameters to itself, changes them at each call and returns the loss.
"""

from __future__ import annotations

import functools
import importlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from measure import Timed
from peers import Contender, jax_module, torch_compiled

from workloads import Workload

RATE = 0.01


def initial(sizes: tuple[int, ...]) -> list[np.ndarray]:
    """Weights and biases, one after another, for a contender to keep."""
    return [p.copy() for p in drawn(sizes)]


@functools.cache
def drawn(sizes: tuple[int, ...]) -> list[np.ndarray]:
    """Weights by He's rule and zero biases; drawn with the data, before anything is timed."""
    rng = np.random.default_rng(1)
    out = []
    for a, b in itertools.pairwise(sizes):
        out += [(rng.normal(size=(a, b)) * np.sqrt(2 / a)).astype("f4"), np.zeros(b, "f4")]
    return out


def data(batch: int, sizes: tuple[int, ...]) -> Callable[[], tuple[np.ndarray, ...]]:
    def make() -> tuple[np.ndarray, ...]:
        drawn(sizes)
        rng = np.random.default_rng(0)
        x = rng.normal(size=(batch, sizes[0])).astype("float32")
        return x, rng.integers(0, sizes[-1], size=batch)

    return make


def logits(relu: Any, x: Any, parameters: list[Any]) -> Any:
    for k in range(0, len(parameters), 2):
        x = x @ parameters[k] + parameters[k + 1]
        if k + 2 < len(parameters):
            x = relu(x)
    return x


def in_symgraph(sizes: tuple[int, ...]) -> Contender:
    def build(x: np.ndarray, y: np.ndarray) -> Timed:
        sg = importlib.import_module("symgraph")
        images = sg.tensor("x", dtype="float32", shape=("batch", sizes[0]))
        labels = sg.tensor("y", dtype="int64", shape=("batch",))
        parameters = [sg.shared(p, name=f"p{k}") for k, p in enumerate(initial(sizes))]
        out = logits(sg.nn.relu, images, parameters)
        loss = sg.mean(sg.nn.softmax_cross_entropy(out, labels))
        gradients = sg.grad(loss, parameters)
        updates = {p: p - RATE * g for p, g in zip(parameters, gradients, strict=True)}
        return Timed(sg.compile([images, labels], loss, updates=updates), (x, y))

    return build


def in_numpy(sizes: tuple[int, ...]) -> Contender:
    """The derivatives by hand, in place where that is easy."""

    def build(x: np.ndarray, y: np.ndarray) -> Timed:
        parameters = initial(sizes)
        rows = np.arange(len(y))

        def step(x: np.ndarray, y: np.ndarray) -> Any:
            inputs = [x]
            for k in range(0, len(parameters) - 2, 2):
                inputs.append(np.maximum(inputs[-1] @ parameters[k] + parameters[k + 1], 0))
            out = inputs[-1] @ parameters[-2] + parameters[-1]
            out -= out.max(1, keepdims=True)
            e = np.exp(out)
            total = e.sum(1, keepdims=True)
            loss = np.mean(np.log(total[:, 0]) - out[rows, y])
            g = e / total
            g[rows, y] -= 1
            g /= np.float32(len(y))
            for k in range(len(parameters) - 2, -1, -2):
                h = inputs.pop()
                gw, gb = h.T @ g, g.sum(0)
                if k:
                    g = g @ parameters[k].T
                    g *= h > 0
                parameters[k] -= np.float32(RATE) * gw
                parameters[k + 1] -= np.float32(RATE) * gb
            return loss

        return Timed(step, (x, y))

    return build


def in_jax(sizes: tuple[int, ...]) -> Contender:
    def build(x: np.ndarray, y: np.ndarray) -> Timed:
        jax = jax_module()
        jnp = jax.numpy

        def loss_of(parameters: Any, x: Any, y: Any) -> Any:
            scores = jax.nn.log_softmax(logits(jax.nn.relu, x, parameters))
            return -jnp.mean(jnp.take_along_axis(scores, y[:, None], 1))

        def update(parameters: Any, x: Any, y: Any) -> Any:
            loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y)
            return loss, [p - RATE * g for p, g in zip(parameters, gradients, strict=True)]

        compiled = jax.jit(update, donate_argnums=0)
        state = [jnp.asarray(p) for p in initial(sizes)]

        def step(x: Any, y: Any) -> Any:
            nonlocal state
            loss, state = compiled(state, x, y)
            return loss

        return Timed(step, (jnp.asarray(x), jnp.asarray(y)), jax.block_until_ready)

    return build


def in_torch(sizes: tuple[int, ...], compiled: bool = False) -> Contender:
    def build(x: np.ndarray, y: np.ndarray) -> Timed:
        torch = importlib.import_module("torch")
        parameters = [torch.from_numpy(p).requires_grad_(True) for p in initial(sizes)]

        def loss_of(x: Any, y: Any) -> Any:
            return torch.nn.functional.cross_entropy(logits(torch.relu, x, parameters), y)

        forward = torch_compiled(loss_of) if compiled else loss_of

        def step(x: Any, y: Any) -> Any:
            loss = forward(x, y)
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                torch._foreach_add_(parameters, gradients, alpha=-RATE)
            return loss.detach()

        return Timed(step, (torch.from_numpy(x), torch.from_numpy(y)))

    return build


def in_pytensor(sizes: tuple[int, ...]) -> Contender:
    def build(x: np.ndarray, y: np.ndarray) -> Timed:
        pytensor = importlib.import_module("pytensor")
        pt = importlib.import_module("pytensor.tensor")
        images = pt.tensor("x", dtype="float32", shape=(None, sizes[0]))
        labels = pt.tensor("y", dtype="int64", shape=(None,))
        parameters = [pytensor.shared(p) for p in initial(sizes)]
        out = logits(lambda v: pt.maximum(v, np.float32(0)), images, parameters)
        scores = pt.special.log_softmax(out, axis=1)
        loss = -scores[pt.arange(labels.shape[0]), labels].mean(dtype="float32")
        rate = np.float32(RATE)
        updates = [
            (p, p - rate * g)
            for p, g in zip(parameters, pytensor.grad(loss, parameters), strict=True)
        ]
        function = pytensor.function([images, labels], loss, updates=updates)
        function.trust_input = True
        return Timed(function, (x, y))

    return build


def contenders(sizes: tuple[int, ...]) -> dict[str, Contender]:
    return {
        "symgraph": in_symgraph(sizes), "numpy": in_numpy(sizes), "jax": in_jax(sizes),
        "torch": in_torch(sizes), "torch.compile": in_torch(sizes, compiled=True),
        "pytensor": in_pytensor(sizes),
    }  # fmt: skip


DIGITS, SMALL, MLP = (64, 10), (64, 32, 10), (784, 512, 512, 10)

WORKLOADS = [
    Workload("training.digits_softmax", "64-10, batch 64", data(64, DIGITS), contenders(DIGITS)),
    Workload("training.small_mlp", "64-32-10, batch 32", data(32, SMALL), contenders(SMALL)),
    Workload(
        "training.mlp",
        "784-512-512-10, batch 128",
        data(128, MLP),
        contenders(MLP),
        flops=128 * 2 * (2 * 784 * 512 + 3 * 512 * 512 + 3 * 512 * 10.0),
    ),
]
