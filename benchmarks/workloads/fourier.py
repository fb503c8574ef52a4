"""Fourier transforms: one, of many rows, over two axes, and a filter with its gradient."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from peers import array_formulas

from workloads import Workload, arrays


def named(name: str) -> dict[str, Any]:
    """A transform that all libraries but PyTensor, whose numbers are pairs, have under one name."""

    def of(module: str) -> Any:
        return lambda x: getattr(importlib.import_module(module).fft, name)(x)

    return array_formulas(
        numpy=of("numpy"), symgraph=of("symgraph"), jax=of("jax.numpy"), torch=of("torch")
    )


def complex_arrays(*shape: int) -> Callable[[], tuple[np.ndarray, ...]]:
    """The same for an array of complex numbers."""

    def make() -> tuple[np.ndarray, ...]:
        real, imag = arrays(shape, shape)()
        return (real + 1j * imag,)

    return make


def work(count: float, length: int, real: bool = False) -> float:
    """The additions and multiplications that transforms are said to take."""
    return count * 5 * np.log2(length) / (2 if real else 1)


def band(fft: Any) -> Callable[[Any], Any]:
    """The lower half of the frequencies, back in time."""

    def formula(x: Any) -> Any:
        z = fft().rfft(x)
        return fft().irfft(z[:, :1025], 4096)

    return formula


BAND = array_formulas(
    numpy=band(lambda: np.fft),
    symgraph=band(lambda: importlib.import_module("symgraph").fft),
    jax=band(lambda: importlib.import_module("jax.numpy").fft),
    torch=band(lambda: importlib.import_module("torch").fft),
)

WORKLOADS = [
    Workload("fourier.one", "fft of 4096 complex doubles", complex_arrays(4096), named("fft"),
             flops=work(4096, 4096)),
    Workload("fourier.rows", "rfft of 1000 rows of 256 doubles", arrays((1000, 256)),
             named("rfft"), flops=work(256_000, 256, real=True)),
    Workload("fourier.plane", "fft2 of 512x512 complex doubles", complex_arrays(512, 512),
             named("fft2"), flops=work(512 * 512, 512 * 512)),
    Workload("fourier.band", "the lower half of the frequencies of 256 rows of 4096 floats",
             arrays((256, 4096), dtype="float32"), BAND),
]  # fmt: skip
