"""Training steps of convolutional networks by SGD: LeNet-5, a residual and a depthwise block.

Each network is written once over the few functions of :class:`Words`; every contender keeps the
parameters to itself, changes them at each call and returns the loss.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from measure import Timed
from peers import Contender, jax_module, torch_compiled

from workloads import Workload

RATE = 0.01
EPSILON = 1e-5


class Words(NamedTuple):
    """What the networks say: convolution (x, w, stride, padding, groups), relu, the largest of each
    2x2, normalisation over batch and places (x, scale, bias), flat rows, the loss of scores, and
    functions of elements but for softmax, which is one of rows."""

    convolve: Callable[..., Any]
    relu: Callable[[Any], Any]
    pool: Callable[[Any], Any]
    normalize: Callable[[Any, Any, Any], Any]
    flat: Callable[[Any], Any]
    loss: Callable[[Any, Any], Any]
    exp: Callable[[Any], Any]
    tanh: Callable[[Any], Any]
    sigmoid: Callable[[Any], Any]
    gelu: Callable[[Any], Any]
    rsqrt: Callable[[Any], Any]
    softmax: Callable[[Any], Any]


Network = Callable[[Words, Any, Any, list[Any]], Any]


def lenet(w: Words, x: Any, y: Any, p: list[Any]) -> Any:
    """LeCun et al. (1998) with relu and maxima: two convolutions, three layers."""
    h = w.pool(w.relu(w.convolve(x, p[0], 1, 2, 1) + p[1]))
    h = w.flat(w.pool(w.relu(w.convolve(h, p[2], 1, 0, 1) + p[3])))
    h = w.relu(h @ p[4] + p[5])
    h = w.relu(h @ p[6] + p[7])
    return w.loss(h @ p[8] + p[9], y)


def residual(w: Words, x: Any, y: Any, p: list[Any]) -> Any:
    """Two 3x3 convolutions with normalisation around a short cut (He et al., 2015)."""
    h = w.relu(w.normalize(w.convolve(x, p[0], 1, 1, 1), p[1], p[2]))
    h = w.relu(x + w.normalize(w.convolve(h, p[3], 1, 1, 1), p[4], p[5]))
    return w.loss(h.mean((2, 3)) @ p[6], y)


def depthwise(w: Words, x: Any, y: Any, p: list[Any]) -> Any:
    """A convolution of each channel, then one of the channels (Howard et al., 2017)."""
    h = w.relu(w.normalize(w.convolve(x, p[0], 1, 1, x.shape[1]), p[1], p[2]))
    h = w.relu(w.normalize(w.convolve(h, p[3], 1, 0, 1), p[4], p[5]))
    return w.loss(h.mean((2, 3)) @ p[6], y)


def parameters(shapes: tuple[tuple[int, ...], ...]) -> list[np.ndarray]:
    """Weights by He's rule; vectors are zeros, those of a normalisation's scale have an entry."""
    rng = np.random.default_rng(1)
    out = []
    for shape in shapes:
        inner = math.prod(shape[1:]) if len(shape) == 4 else shape[0]
        drawn = rng.normal(size=shape) * math.sqrt(2 / inner)
        scale = len(shape) == 3 and shape[1:] == (1, 1) and len(out) % 3 == 1
        out.append((np.ones(shape) if scale else drawn if len(shape) in (2, 4) else 0 * drawn)
                   .astype("float32"))  # fmt: skip
    return out


# the libraries ------------------------------------------------------------------------------------


def symgraph_words() -> Words:
    sg = importlib.import_module("symgraph")
    nn = sg.nn

    def normalize(x: Any, scale: Any, bias: Any) -> Any:
        mean = x.mean((0, 2, 3), keepdims=True)
        off = x - mean
        return off * sg.rsqrt((off * off).mean((0, 2, 3), keepdims=True) + EPSILON) * scale + bias

    return Words(
        lambda x, w, s, p, g: nn.conv2d(x, w, s, p, groups=g), nn.relu,
        lambda x: nn.max_pool(x, (2, 2)), normalize,
        lambda x: x.reshape((x.shape[0], math.prod(x.shape[1:]))),
        lambda z, y: nn.softmax_cross_entropy(z, y).mean(),
        sg.exp, sg.tanh, sg.sigmoid, nn.gelu, sg.rsqrt, lambda x: nn.softmax(x, axis=-1),
    )  # fmt: skip


def jax_words() -> Words:
    jax = jax_module()
    jnp, lax = jax.numpy, jax.lax

    def convolve(x: Any, w: Any, s: int, p: int, g: int) -> Any:
        return lax.conv_general_dilated(x, w, (s, s), [(p, p)] * 2, feature_group_count=g)

    def normalize(x: Any, scale: Any, bias: Any) -> Any:
        off = x - x.mean((0, 2, 3), keepdims=True)
        return off * lax.rsqrt((off * off).mean((0, 2, 3), keepdims=True) + EPSILON) * scale + bias

    def loss(z: Any, y: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], 1).mean()

    def pool(x: Any) -> Any:
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    return Words(
        convolve, jax.nn.relu, pool, normalize, lambda x: x.reshape(x.shape[0], -1), loss,
        jnp.exp, jnp.tanh, jax.nn.sigmoid, lambda x: jax.nn.gelu(x, approximate=False),
        lax.rsqrt, jax.nn.softmax,
    )  # fmt: skip


def torch_words() -> Words:
    torch = importlib.import_module("torch")
    f = torch.nn.functional

    def normalize(x: Any, scale: Any, bias: Any) -> Any:
        return f.batch_norm(x, None, None, scale.reshape(-1), bias.reshape(-1), True, 0.1, EPSILON)

    return Words(
        lambda x, w, s, p, g: f.conv2d(x, w, None, s, p, 1, g), torch.relu,
        lambda x: f.max_pool2d(x, 2), normalize, lambda x: x.flatten(1), f.cross_entropy,
        torch.exp, torch.tanh, torch.sigmoid, f.gelu, torch.rsqrt, lambda x: torch.softmax(x, -1),
    )  # fmt: skip


def in_symgraph(network: Network, start: list[np.ndarray], batch: int | str = "batch") -> Contender:
    def build(x: np.ndarray, y: np.ndarray) -> Timed:
        sg = importlib.import_module("symgraph")
        images = sg.tensor("x", dtype=x.dtype.name, shape=(batch, *x.shape[1:]))
        labels = sg.tensor("y", dtype=y.dtype.name, shape=(batch, *y.shape[1:]))
        values = [sg.shared(p, name=f"p{k}") for k, p in enumerate(start)]
        loss = network(symgraph_words(), images, labels, values)
        pairs = zip(values, sg.grad(loss, values), strict=True)
        updates = {p: p - RATE * g for p, g in pairs}
        return Timed(sg.compile([images, labels], loss, updates=updates), (x, y))

    return build


def in_jax(network: Network, start: list[np.ndarray]) -> Contender:
    def build(x: np.ndarray, y: np.ndarray) -> Timed:
        jax = jax_module()
        words = jax_words()

        def update(p: Any, x: Any, y: Any) -> Any:
            loss, slopes = jax.value_and_grad(lambda p: network(words, x, y, p))(p)
            return loss, [a - RATE * g for a, g in zip(p, slopes, strict=True)]

        compiled = jax.jit(update, donate_argnums=0)
        state = [jax.numpy.array(p) for p in start]

        def step(x: Any, y: Any) -> Any:
            nonlocal state
            loss, state = compiled(state, x, y)
            return loss

        return Timed(step, (jax.numpy.asarray(x), jax.numpy.asarray(y)), jax.block_until_ready)

    return build


def in_torch(network: Network, start: list[np.ndarray], compiled: bool = False) -> Contender:
    def build(x: np.ndarray, y: np.ndarray) -> Timed:
        torch = importlib.import_module("torch")
        words = torch_words()
        values = [torch.from_numpy(p.copy()).requires_grad_(True) for p in start]

        def loss_of(x: Any, y: Any) -> Any:
            return network(words, x, y, values)

        forward = torch_compiled(loss_of) if compiled else loss_of

        def step(x: Any, y: Any) -> Any:
            loss = forward(x, y)
            slopes = torch.autograd.grad(loss, values)
            with torch.no_grad():
                torch._foreach_add_(values, slopes, alpha=-RATE)
            return loss.detach()

        return Timed(step, (torch.from_numpy(x), torch.from_numpy(y)))

    return build


def contenders(network: Network, shapes: tuple[tuple[int, ...], ...]) -> dict[str, Contender]:
    start = parameters(shapes)
    return {
        "torch": in_torch(network, start), "symgraph": in_symgraph(network, start),
        "jax": in_jax(network, start), "torch.compile": in_torch(network, start, compiled=True),
    }  # fmt: skip


def images(*shape: int) -> Callable[[], tuple[np.ndarray, ...]]:
    def make() -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(0)
        return rng.normal(size=shape).astype("float32"), rng.integers(0, 10, shape[0])

    return make


LENET = ((6, 1, 5, 5), (6, 1, 1), (16, 6, 5, 5), (16, 1, 1), (400, 120), (120,), (120, 84), (84,),
         (84, 10), (10,))  # fmt: skip
C = 64
RESIDUAL = ((C, C, 3, 3), (C, 1, 1), (C, 1, 1), (C, C, 3, 3), (C, 1, 1), (C, 1, 1), (C, 10))
DEPTHWISE = ((C, 1, 3, 3), (C, 1, 1), (C, 1, 1), (2 * C, C, 1, 1), (2 * C, 1, 1), (2 * C, 1, 1),
             (2 * C, 10))  # fmt: skip
PLACES = 32 * 32 * 16

WORKLOADS = [
    Workload("networks.lenet5", "batch 64 of 1x28x28 floats", images(64, 1, 28, 28),
             contenders(lenet, LENET), flops=6.0 * 64 * (28 * 28 * 150 + 100 * 2400 + 58920)),
    Workload("networks.residual_block", "batch 16 of 64x32x32 floats", images(16, C, 32, 32),
             contenders(residual, RESIDUAL), flops=6.0 * PLACES * 2 * 9 * C * C),
    Workload("networks.depthwise_block", "batch 16 of 64x32x32 floats", images(16, C, 32, 32),
             contenders(depthwise, DEPTHWISE), flops=6.0 * PLACES * (9 * C + 2 * C * C)),
]  # fmt: skip
