"""Convolutions of images, forward and by both gradients, and pooling. Sizes other than the batch
are known, as in every network."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from measure import Timed
from peers import Contender, jax_module, torch_compiled

from workloads import Workload


class Layer(NamedTuple):
    """A convolution of float images (batch, channels, height, width)."""

    images: tuple[int, int, int, int]
    weights: tuple[int, int, int, int]
    stride: int = 1
    padding: int = 0
    groups: int = 1

    def flops(self) -> float:
        """Multiplications and additions of the forward pass (a gradient takes as many each)."""
        n, _, height, width = self.images
        out, each, kh, kw = self.weights
        turns = [(size + 2 * self.padding - k) // self.stride + 1
                 for size, k in ((height, kh), (width, kw))]  # fmt: skip
        return 2.0 * n * out * turns[0] * turns[1] * each * kh * kw

    def arrays(self) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(0)
        return tuple(rng.normal(size=s).astype("float32") for s in (self.images, self.weights))


def in_symgraph(layer: Layer, gradients: bool) -> Contender:
    def build(x: np.ndarray, w: np.ndarray) -> Timed:
        sg = importlib.import_module("symgraph")
        images = sg.tensor("x", dtype="float32", shape=("batch", *x.shape[1:]))
        weights = sg.tensor("w", dtype="float32", shape=w.shape)
        y = sg.nn.conv2d(images, weights, layer.stride, layer.padding, groups=layer.groups)
        out = sg.grad((y * y).sum(), [images, weights]) if gradients else y
        return Timed(sg.compile([images, weights], out), (x, w))

    return build


def in_torch(layer: Layer, gradients: bool, compiled: bool = False) -> Contender:
    def build(x: np.ndarray, w: np.ndarray) -> Timed:
        torch = importlib.import_module("torch")
        given = tuple(torch.from_numpy(a).requires_grad_(gradients) for a in (x, w))

        def forward(x: Any, w: Any) -> Any:
            y = torch.conv2d(x, w, None, layer.stride, layer.padding, 1, layer.groups)
            return (y * y).sum() if gradients else y

        value = torch_compiled(forward) if compiled else forward

        def slopes(*a: Any) -> Any:
            return torch.autograd.grad(value(*a), a)

        return Timed(slopes if gradients else value, given)

    return build


def in_jax(layer: Layer, gradients: bool) -> Contender:
    def build(x: np.ndarray, w: np.ndarray) -> Timed:
        jax = jax_module()
        pads = [(layer.padding, layer.padding)] * 2

        def forward(x: Any, w: Any) -> Any:
            return jax.lax.conv_general_dilated(
                x, w, (layer.stride,) * 2, pads, feature_group_count=layer.groups
            )

        def cost(x: Any, w: Any) -> Any:
            return (forward(x, w) ** 2).sum()

        call = jax.jit(jax.grad(cost, (0, 1)) if gradients else forward)
        return Timed(call, tuple(map(jax.numpy.asarray, (x, w))), jax.block_until_ready)

    return build


def contenders(layer: Layer, gradients: bool) -> dict[str, Contender]:
    makers: dict[str, Callable[..., Contender]] = {
        "symgraph": in_symgraph, "jax": in_jax, "torch": in_torch,
        "torch.compile": functools.partial(in_torch, compiled=True),
    }  # fmt: skip
    return {name: make(layer, gradients) for name, make in makers.items()}


LAYERS = {
    "wide": Layer((8, 64, 56, 56), (64, 64, 3, 3), 1, 1),
    "lenet": Layer((64, 1, 28, 28), (6, 1, 5, 5)),
    "resnet": Layer((16, 64, 32, 32), (64, 64, 3, 3), 1, 1),
    "stride2": Layer((16, 64, 32, 32), (128, 64, 3, 3), 2, 1),
    "deep": Layer((16, 256, 8, 8), (256, 256, 3, 3), 1, 1),
    "1x1": Layer((16, 64, 32, 32), (256, 64, 1, 1)),
    "depthwise": Layer((16, 64, 32, 32), (64, 1, 3, 3), 1, 1, 64),
}

WORKLOADS = [
    Workload(
        f"images.{name}{'_gradients' * gradients}",
        f"conv {'x'.join(map(str, layer.images))} by {'x'.join(map(str, layer.weights))}"
        + (", both gradients" if gradients else ""),
        layer.arrays,
        contenders(layer, gradients),
        flops=layer.flops() * (3 if gradients else 1),
    )
    for name, layer in LAYERS.items()
    for gradients in (False, True)
]
