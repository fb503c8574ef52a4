"""verify_grad: derivatives against differences of values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

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
from symgraph.records import NamedTuple

__all__ = ["GradientCheck", "verify_grad"]

FEW = 64  # elements that are moved one by one to find the worst


class GradientCheck(NamedTuple):
    """The worst of what was tried: both slopes, the relative error, the input moved, and when the
    check fails the ``element`` (its index) that differs most (None: all were moved together)."""

    error: float
    found: float
    expected: float
    position: int
    element: tuple[int, ...] | None = None


def verify_grad(
    fn: Callable[..., Any], values: Sequence[Any], *, directions: int = 2, step: float = 1e-4,
    rtol: float = 1e-6, seed: int = 0, order: int = 1,
) -> GradientCheck:  # fmt: skip
    """Check the derivative of ``fn``, a function of variables, at ``values``; with ``order`` 2 that
    of its gradient too.

    Outputs are weighted by random numbers and summed, of complex ones the real part. Each float or
    complex input is moved along random directions of length about 1; the slope by central
    differences of fourth order (in float64, Abramowitz and Stegun 25.3.22) is compared with the
    gradient, with shorter steps too where the first ones differ. Integer inputs stay as they are.

    Returns the worst direction. Raises GradientError when its error, relative to the size of the
    slope plus that of the value, is above ``rtol``: the message names the element of the input
    whose derivative is wrong.

    >>> import symgraph as sg
    >>> sg.verify_grad(lambda x: sg.exp(x) * x, [[0.5, 1.0]]).error < 1e-6
    True
    """
    if order not in (1, 2):
        raise ArgumentError(f"verify_grad: order is 1 or 2, not {order!r}")
    slopes = _Slopes(fn, values, step, np.random.default_rng(seed), "raise")
    first = _checked(slopes, directions, rtol)
    if order == 1:
        return first

    def gradient(*xs: Any) -> Any:
        cost = slopes.cost_of(fn(*xs))
        return grad(cost, [xs[k] for k in slopes.moved], disconnected="zero")

    again = _Slopes(gradient, slopes.arrays, step, np.random.default_rng(seed), "zero")
    again.names = slopes.names
    second = _checked(again, directions, rtol)
    return first if first.error > second.error else second


def _checked(slopes: _Slopes, directions: int, rtol: float) -> GradientCheck:
    """The worst of random directions; raises GradientError when it is too bad."""
    worst = None
    for k in slopes.moved:
        for _ in range(directions):
            found = slopes.compare(k, slopes.direction(k), rtol)
            if worst is None or not found.error <= worst.error:
                worst = found
    assert worst is not None
    if not worst.error <= rtol:
        raise _failure(slopes, worst, slopes.worst_element(worst.position, rtol), rtol)
    return worst


class _Slopes:
    """A weighted sum of the outputs, its gradient, and its slopes by differences."""

    def __init__(
        self, fn: Callable[..., Any], values: Sequence[Any], step: float,
        rng: np.random.Generator, disconnected: str,
    ) -> None:  # fmt: skip
        self.rng, self.step, self.arrays = rng, step, [_widened(v) for v in values]
        self.names = _parameters(fn, len(self.arrays))
        types = [TensorType(str(a.dtype), a.shape) for a in self.arrays]
        self.inputs = [Input(t, name) for t, name in zip(types, self.names, strict=True)]
        self.weights: list[Any] = []
        self.moved = [k for k, a in enumerate(self.arrays) if a.dtype in ("float64", "complex128")]
        cost = self.cost_of(fn(*self.inputs))
        if not self.moved or cost is None:
            raise ArgumentError("verify_grad: there is no float input or no float output")
        self.graph = Graph(self.inputs, [cost])
        wrt = [self.inputs[k] for k in self.moved]
        made = interpret(
            Graph(self.inputs, grad(cost, wrt, disconnected=disconnected)), self.arrays
        )
        self.gradients = dict(zip(self.moved, made, strict=True))
        self.size = float(np.abs(self.value(self.arrays)))

    def cost_of(self, outputs: Any) -> Any:
        """Random multiples of the elements of all outputs, added: the same ones each time."""
        several = outputs if isinstance(outputs, tuple | list) else [outputs]
        real = [y for y in map(as_variable, several) if dtypes.is_inexact(y.dtype)]
        if not real:
            return None
        if not self.weights:
            shapes = [y.shape for y in real]
            if any(not isinstance(n, int) for s in shapes for n in s):
                shapes = [np.shape(y) for y in interpret(Graph(self.inputs, real), self.arrays)]
            self.weights = [_weights(y, s, self.rng) for y, s in zip(real, shapes, strict=True)]
        parts = zip(real, self.weights, strict=True)
        return sum(reductions.sum(_weighted(y, w)) for y, w in parts)

    def value(self, arrays: Sequence[Any]) -> float:
        return float(interpret(self.graph, arrays)[0])

    def direction(self, k: int) -> Any:
        a, rng = self.arrays[k], self.rng
        d = rng.normal(size=a.shape) / max(1.0, float(np.sqrt(a.size)))
        if a.dtype.kind == "c":
            d = d * np.exp(2j * np.pi * rng.uniform(size=a.shape))
        return d

    def compare(self, k: int, d: Any, rtol: float) -> GradientCheck:
        """Both slopes along d of input k, with the step that makes them most alike: near a corner,
        or where the function bends much, shorter ones are needed."""
        found = float(np.sum(self.gradients[k] * d).real)
        best = None
        for step in (self.step, self.step / 16, self.step / 256):
            expected = self.difference(k, d, step)
            error = abs(found - expected) / (abs(expected) + self.step * self.size + 1e-9)
            if best is None or error < best.error:
                best = GradientCheck(error, found, expected, k)
            if best.error <= rtol:
                break
        assert best is not None
        return best

    def difference(self, k: int, d: Any, step: float) -> float:
        """The derivative along d of input k, with an error of the fourth power of the step."""

        def at(distance: float) -> float:
            there = list(self.arrays)
            there[k] = self.arrays[k] + distance * d
            return self.value(there)

        near, far = at(step) - at(-step), at(2 * step) - at(-2 * step)
        return (8 * near - far) / (12 * step)

    def worst_element(self, k: int, rtol: float) -> GradientCheck:
        """The element of input k whose derivative differs most: of few elements all are tried, of
        many the half that differs more is halved again."""
        shape, size = self.arrays[k].shape, self.arrays[k].size

        def along(places: Any, weights: Any) -> GradientCheck:
            d = np.zeros(size, self.arrays[k].dtype)
            d[places] = weights
            return self.compare(k, d.reshape(shape), rtol)

        def gap(check: GradientCheck) -> float:
            return abs(check.found - check.expected) if np.isfinite(check.error) else np.inf

        places = np.arange(size)
        signs = self.rng.choice([-1.0, 1.0], size)  # so that equal errors do not cancel for sure
        while len(places) > FEW:
            halves = np.array_split(places, 2)
            places = max(halves, key=lambda h: gap(along(h, signs[h])))
        units = (1.0,) if self.arrays[k].dtype.kind != "c" else (1.0, 1j)
        tried = [(along([p], u), p) for p in places for u in units]
        check, place = max(tried, key=lambda row: gap(row[0]))
        return check._replace(element=tuple(map(int, np.unravel_index(place, shape))))


def _failure(
    slopes: _Slopes, whole: GradientCheck, one: GradientCheck, rtol: float
) -> GradientError:
    """The error, about one element where it alone shows the difference."""
    alone = not one.error <= rtol
    at = one if alone else whole
    name, index = slopes.names[at.position], ", ".join(map(str, one.element or ()))
    place = f"{name}[{index}]" if index else name
    what = f"the derivative by {place}" if alone else f"the slope along a direction of {name}"
    v = slopes.inputs[at.position]
    return GradientError(
        f"verify_grad: {what} is {at.found:.9g}, differences give {at.expected:.9g} "
        f"(relative error {at.error:.2g}, allowed {rtol:.2g})",
        operands=[(name, v.type.text(), v.origin)],
        hint="a kink or a discontinuity near the values gives such an error too",
    )


def _parameters(fn: Callable[..., Any], count: int) -> list[str]:
    """What the function calls its arguments."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return named[:count] + [f"x{k}" for k in range(len(named), count)]


def _weights(y: Any, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    weights = rng.uniform(0.5, 1.5, shape)
    return weights + 1j * rng.uniform(0.5, 1.5, shape) if dtypes.is_complex(y.dtype) else weights


def _weighted(y: Any, weights: Any) -> Any:
    """Multiples of the elements, of complex ones the real part."""
    return to_dtype(y * weights, "float64") if dtypes.is_complex(y.dtype) else y * weights


def _widened(value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind == "c":
        return array.astype("complex128")
    return array.astype("float64") if dtypes.kind_of(array.dtype) == "f" else array
