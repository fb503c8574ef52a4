"""verify_grad: derivatives against differences of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from symgraph import dtypes
from symgraph.autodiff.reverse import grad
from symgraph.errors import ArgumentError, GradientError
from symgraph.ir.graph import Graph, Input
from symgraph.ir.interpret import interpret
from symgraph.ir.types import TensorType
from symgraph.ops import reductions
from symgraph.ops.cast import to_dtype
from symgraph.ops.operands import as_variable

__all__ = ["GradientCheck", "verify_grad"]


class GradientCheck(NamedTuple):
    """The worst of the directions tried: both slopes, the relative error, and the input moved."""

    error: float
    found: float
    expected: float
    position: int


def verify_grad(
    fn: Callable[..., Any], values: Sequence[Any], *, directions: int = 2, step: float = 1e-4,
    rtol: float = 1e-6, seed: int = 0,
) -> GradientCheck:  # fmt: skip
    """Check the derivative of ``fn``, a function of variables, at ``values``.

    Outputs are weighted by random numbers and summed, of complex ones the real part. Each float or
    complex input is moved along random directions of length about 1; the slope by central
    differences of fourth order (in float64, Abramowitz and Stegun 25.3.22) is compared with the
    gradient. Integer inputs stay as they are.
    Returns the worst direction; raises GradientError when its error, relative to the size of the
    slope plus that of the value, is above ``rtol``.

    >>> import symgraph as sg
    >>> sg.verify_grad(lambda x: sg.exp(x) * x, [[0.5, 1.0]]).error < 1e-6
    True
    """
    rng = np.random.default_rng(seed)
    arrays = [_widened(v) for v in values]
    inputs = [Input(TensorType(str(a.dtype), a.shape), f"x{k}") for k, a in enumerate(arrays)]
    outputs = fn(*inputs)
    outputs = outputs if isinstance(outputs, tuple | list) else [outputs]
    real = [as_variable(y) for y in outputs if dtypes.is_inexact(y.dtype)]
    moved = [k for k, a in enumerate(arrays) if a.dtype in ("float64", "complex128")]
    if not real or not moved:
        raise ArgumentError("verify_grad: there is no float input or no float output")
    shapes = [np.shape(y) for y in interpret(Graph(inputs, real), arrays)]
    weighted = (_weighted(y, s, rng) for y, s in zip(real, shapes, strict=True))
    cost: Any = sum(map(reductions.sum, weighted))
    gradients = interpret(Graph(inputs, grad(cost, [inputs[k] for k in moved])), arrays)
    graph = Graph(inputs, [cost])
    size = float(np.abs(interpret(graph, arrays)[0]))
    worst = None
    for k, g in zip(moved, gradients, strict=True):
        for _ in range(directions):
            d = rng.normal(size=arrays[k].shape) / max(1.0, float(np.sqrt(arrays[k].size)))
            if arrays[k].dtype.kind == "c":
                d = d * np.exp(2j * np.pi * rng.uniform(size=arrays[k].shape))
            expected = _slope(graph, arrays, k, d, step)
            found = float(np.sum(g * d).real)
            error = abs(found - expected) / (abs(expected) + step * size + 1e-9)
            if worst is None or not error <= worst.error:
                worst = GradientCheck(error, found, expected, k)
    assert worst is not None
    if not worst.error <= rtol:
        raise GradientError(
            f"verify_grad: along input {worst.position} the gradient gives the slope "
            f"{worst.found:.9g}, differences give {worst.expected:.9g}",
            hint="a kink or a discontinuity near the values gives such an error too",
        )
    return worst


def _weighted(y: Any, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Random multiples of the elements, of complex ones the real part."""
    weights = rng.uniform(0.5, 1.5, shape)
    if not dtypes.is_complex(y.dtype):
        return y * weights
    return to_dtype(y * (weights + 1j * rng.uniform(0.5, 1.5, shape)), "float64")


def _widened(value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind == "c":
        return array.astype("complex128")
    return array.astype("float64") if dtypes.kind_of(array.dtype) == "f" else array


def _slope(graph: Graph, arrays: list[Any], k: int, d: Any, step: float) -> float:
    """The derivative along d of input k, with an error of the fourth power of the step."""

    def at(distance: float) -> float:
        there = list(arrays)
        there[k] = arrays[k] + distance * d
        return float(interpret(graph, there)[0])

    near, far = at(step) - at(-step), at(2 * step) - at(-2 * step)
    return (8 * near - far) / (12 * step)
