"""Patterns that go over a row several times, on 4096x1024 floats along either axis."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from peers import array_formulas

from workloads import Workload, arrays


def sg() -> Any:
    return importlib.import_module("symgraph")


def jnn() -> Any:
    return importlib.import_module("jax").nn


def jnp() -> Any:
    return importlib.import_module("jax").numpy


def torch() -> Any:
    return importlib.import_module("torch")


def pt() -> Any:
    return importlib.import_module("pytensor.tensor")


def softmax(axis: int) -> dict[str, Callable[..., Any]]:
    def in_numpy(x: Any) -> Any:
        e = np.exp(x - np.max(x, axis=axis, keepdims=True))
        return e / np.sum(e, axis=axis, keepdims=True)

    return {
        "numpy": in_numpy,
        "symgraph": lambda x: sg().nn.softmax(x, axis),
        "jax": lambda x: jnn().softmax(x, axis=axis),
        "torch": lambda x: torch().softmax(x, axis),
        "pytensor": lambda x: pt().special.softmax(x, axis=axis),
    }


def layernorm(axis: int) -> dict[str, Callable[..., Any]]:
    def in_jax(x: Any) -> Any:
        variance = jnp().var(x, axis=axis, keepdims=True)
        return (x - jnp().mean(x, axis=axis, keepdims=True)) / jnp().sqrt(variance + 1e-5)

    def in_numpy(x: Any) -> Any:
        centred = x - np.mean(x, axis=axis, keepdims=True)
        return centred / np.sqrt(np.mean(centred**2, axis=axis, keepdims=True) + np.float32(1e-5))

    def in_torch(x: Any) -> Any:
        if axis == 1:
            return torch().nn.functional.layer_norm(x, (x.shape[1],))
        variance, mean = torch().var_mean(x, axis, correction=0, keepdim=True)
        return (x - mean) * torch().rsqrt(variance + 1e-5)

    def in_pytensor(x: Any) -> Any:
        centred = x - pt().mean(x, axis=axis, keepdims=True)
        return centred / pt().sqrt(pt().mean(centred**2, axis=axis, keepdims=True) + 1e-5)

    return {
        "numpy": in_numpy,
        "symgraph": lambda x: sg().nn.layer_norm(x, axis),
        "jax": in_jax,
        "torch": in_torch,
        "pytensor": lambda x: in_pytensor(x).astype("float32"),
    }


def logsumexp(axis: int) -> dict[str, Callable[..., Any]]:
    def in_numpy(x: Any) -> Any:
        top = np.max(x, axis=axis)
        return top + np.log(np.sum(np.exp(x - np.expand_dims(top, axis)), axis=axis))

    return {
        "numpy": in_numpy,
        "symgraph": lambda x: sg().logsumexp(x, axis),
        "jax": lambda x: jnn().logsumexp(x, axis=axis),
        "torch": lambda x: torch().logsumexp(x, axis),
        "pytensor": lambda x: pt().logsumexp(x, axis=axis),
    }


def variance(axis: int) -> dict[str, Callable[..., Any]]:
    return {
        "numpy": lambda x: np.var(x, axis=axis),
        "symgraph": lambda x: sg().var(x, axis),
        "jax": lambda x: jnp().var(x, axis=axis),
        "torch": lambda x: torch().var(x, axis, correction=0),
        "pytensor": lambda x: pt().var(x, axis=axis),
    }


def argmax(axis: int) -> dict[str, Callable[..., Any]]:
    return {
        "numpy": lambda x: np.argmax(x, axis=axis),
        "symgraph": lambda x: sg().argmax(x, axis),
        "jax": lambda x: jnp().argmax(x, axis=axis),
        "torch": lambda x: torch().argmax(x, axis),
        "pytensor": lambda x: pt().argmax(x, axis=axis),
    }


WORKLOADS = [
    Workload(
        f"rows.{formulas.__name__}.axis{axis}", "4096x1024 floats",
        arrays((4096, 1024), dtype="float32"), array_formulas(**formulas(axis)),
    )
    for formulas in (softmax, layernorm, logsumexp, variance, argmax)
    for axis in (1, 0)
]  # fmt: skip
