"""Attention over 4x8 heads of 256 positions and 64 units: forward, and all gradients."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
from measure import Timed
from peers import (
    Contender,
    jax_formula,
    jax_module,
    numpy_formula,
    symgraph_formula,
    torch_compiled,
    torch_formula,
)

from workloads import Workload, arrays

BATCH, HEADS, LENGTH, UNITS = 4, 8, 256, 64
SHAPE = (BATCH, HEADS, LENGTH, UNITS)
SCALE = 1 / math.sqrt(UNITS)


def in_numpy(q: Any, k: Any, v: Any) -> Any:
    scores = (q @ k.swapaxes(-1, -2)) * np.float32(SCALE)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)) @ v


def in_symgraph(q: Any, k: Any, v: Any) -> Any:
    return importlib.import_module("symgraph").nn.scaled_dot_product_attention(q, k, v)


def in_jax(q: Any, k: Any, v: Any) -> Any:
    scores = (q @ k.swapaxes(-1, -2)) * SCALE
    return jax_module().nn.softmax(scores, -1) @ v


def in_torch(q: Any, k: Any, v: Any) -> Any:
    return importlib.import_module("torch").nn.functional.scaled_dot_product_attention(q, k, v)


def numpy_gradient(q: Any, k: Any, v: Any) -> Any:
    """By hand, of the sum of squares."""
    scores = (q @ k.swapaxes(-1, -2)) * np.float32(SCALE)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    g = 2 * (p @ v)
    gp = g @ v.swapaxes(-1, -2)
    gs = p * (gp - (gp * p).sum(-1, keepdims=True)) * np.float32(SCALE)
    return gs @ k, gs.swapaxes(-1, -2) @ q, p.swapaxes(-1, -2) @ g


def symgraph_gradient(*args: Any) -> Any:
    y = in_symgraph(*args)
    return importlib.import_module("symgraph").grad((y * y).sum(), list(args))


def jax_gradient(*args: Any) -> Any:
    return jax_module().grad(lambda *a: (in_jax(*a) ** 2).sum(), (0, 1, 2))(*args)


def torch_gradient(compiled: bool) -> Contender:
    def build(*args: np.ndarray) -> Timed:
        torch = importlib.import_module("torch")
        given = tuple(torch.from_numpy(a).requires_grad_(True) for a in args)
        value = torch_compiled(_squares) if compiled else _squares
        return Timed(lambda *a: torch.autograd.grad(value(*a), a), given)

    return build


def _squares(*args: Any) -> Any:
    y = in_torch(*args)
    return (y * y).sum()


PRODUCTS = 4.0 * BATCH * HEADS * LENGTH * LENGTH * UNITS
FORWARD = {
    "numpy": numpy_formula(in_numpy), "symgraph": symgraph_formula(in_symgraph),
    "jax": jax_formula(in_jax), "torch": torch_formula(in_torch),
    "torch.compile": torch_formula(in_torch, compiled=True),
}  # fmt: skip
GRADIENT = {
    "numpy": numpy_formula(numpy_gradient), "symgraph": symgraph_formula(symgraph_gradient),
    "jax": jax_formula(jax_gradient), "torch": torch_gradient(compiled=False),
    "torch.compile": torch_gradient(compiled=True),
}  # fmt: skip
WHAT = "x".join(map(str, SHAPE)) + " floats"

WORKLOADS = [
    Workload("attention.forward", WHAT, arrays(SHAPE, SHAPE, SHAPE, dtype="float32"), FORWARD,
             flops=PRODUCTS),
    Workload("attention.gradient", WHAT, arrays(SHAPE, SHAPE, SHAPE, dtype="float32"), GRADIENT,
             flops=3 * PRODUCTS),
]  # fmt: skip
