"""The words of models.py in symgraph, PyTorch and JAX, and a training step in each."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import symgraph as sg
from benchmarks.cuda.models import Model

RATE = 0.01
DEVICE = "cuda"  # of PyTorch's tensors; a dry run has its peers on the CPU
Step = Callable[[], Any]  # one step; what it returns has to be waited for


class Symgraph:
    relu = staticmethod(lambda x: sg.maximum(x, 0))
    tanh, sigmoid = staticmethod(sg.tanh), staticmethod(sg.nn.sigmoid)
    sum, mean, transpose = staticmethod(sg.sum), staticmethod(sg.mean), staticmethod(sg.transpose)
    softmax = staticmethod(lambda x: sg.nn.softmax(x, axis=-1))
    log_softmax = staticmethod(lambda x: sg.nn.log_softmax(x, axis=-1))
    conv = staticmethod(lambda x, w, padding: sg.nn.conv2d(x, w, 1, padding))
    max_pool = staticmethod(lambda x: sg.nn.max_pool(x, 2))

    @staticmethod
    def zeros(shape: tuple[int, ...]) -> Any:
        return sg.constant(np.zeros(shape, "float32"))

    @staticmethod
    def scan(step: Callable[..., Any], xs: Any, start: list[Any]) -> Any:
        return sg.scan(step, [xs], start)[0]


class Torch:
    """PyTorch's words; tensors live on the GPU."""

    def __init__(self, torch: Any) -> None:
        f = torch.nn.functional
        self.torch = torch
        self.relu, self.tanh, self.sigmoid = torch.relu, torch.tanh, torch.sigmoid
        self.mean, self.sum = torch.mean, torch.sum
        self.transpose = torch.permute
        self.softmax = lambda x: torch.softmax(x, -1)
        self.log_softmax = lambda x: torch.log_softmax(x, -1)
        self.conv = lambda x, w, padding: f.conv2d(x, w, padding=padding)
        self.max_pool = lambda x: f.max_pool2d(x, 2)

    def zeros(self, shape: tuple[int, ...]) -> Any:
        return self.torch.zeros(shape, device=DEVICE)

    def scan(self, step: Callable[..., Any], xs: Any, start: list[Any]) -> Any:
        states, out = start, []
        for row in xs:
            states = list(step(row, *states))
            out.append(states[0])
        return self.torch.stack(out)


class Jax:
    def __init__(self, jax: Any) -> None:
        nn, numpy = jax.nn, jax.numpy
        self.jax = jax
        self.relu, self.tanh, self.sigmoid = nn.relu, numpy.tanh, nn.sigmoid
        self.mean, self.sum, self.zeros = numpy.mean, numpy.sum, numpy.zeros
        self.transpose = numpy.transpose
        self.softmax, self.log_softmax = nn.softmax, nn.log_softmax

    def conv(self, x: Any, w: Any, padding: int) -> Any:
        return self.jax.lax.conv_general_dilated(x, w, (1, 1), [(padding, padding)] * 2)

    def max_pool(self, x: Any) -> Any:
        lax = self.jax.lax
        return lax.reduce_window(x, -np.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def scan(self, step: Callable[..., Any], xs: Any, start: list[Any]) -> Any:
        def turn(states: Any, row: Any) -> Any:
            states = tuple(step(row, *states))
            return states, states[0]

        return self.jax.lax.scan(turn, tuple(start), xs)[1]


# training steps -----------------------------------------------------------------------------------


def in_symgraph(model: Model, upload: Callable[[np.ndarray], Any]) -> tuple[Step, Any]:
    """The step with its batch on the device, and the compiled function."""
    params, batch = model.arrays()
    shared = [sg.shared(a, n) for a, n in zip(params, model.params, strict=True)]
    inputs = [sg.tensor(n, dtype="float32", shape=s) for n, s in model.batch.items()]
    loss = model.loss(Symgraph, shared, *inputs)
    updates = {p: p - RATE * g for p, g in zip(shared, sg.grad(loss, shared), strict=True)}
    f = sg.compile(inputs, loss, updates=updates, target="cuda")
    given = [upload(a) for a in batch]
    return lambda: f.on_device(*given), f


def in_torch(model: Model, compiled: bool) -> Step:
    """A step with gradients by autograd, through torch.compile when asked."""
    torch: Any = importlib.import_module("torch")
    words = Torch(torch)
    arrays = model.arrays()
    params, batch = ([torch.tensor(a, device=DEVICE) for a in side] for side in arrays)
    for p in params:
        p.requires_grad_(True)

    def loss(*given: Any) -> Any:
        return model.loss(words, params, *given)

    torch.compiler.reset()  # after a few versions of a function it would no longer be compiled
    forward = torch.compile(loss) if compiled else loss

    def step() -> Any:
        value = forward(*batch)
        with torch.no_grad():
            slopes = torch.autograd.grad(value, params)
            for p, g in zip(params, slopes, strict=True):
                p -= RATE * g
        return value

    return step


def in_jax(model: Model) -> Step:
    jax: Any = importlib.import_module("jax")
    words = Jax(jax)
    params, batch = (list(map(jax.numpy.asarray, side)) for side in model.arrays())

    def loss(params: Sequence[Any], *given: Any) -> Any:
        return model.loss(words, params, *given)

    @jax.jit
    def update(params: Sequence[Any], *given: Any) -> Any:
        value, slopes = jax.value_and_grad(loss)(params, *given)
        return value, [p - RATE * g for p, g in zip(params, slopes, strict=True)]

    def step() -> Any:
        value, params[:] = update(params, *batch)
        return value

    return step
