"""Floats of eight bits: numbers in storage, which graphs round to but do not compute with.

In a graph such a tensor is one of float32 that holds only numbers of the narrow dtype. Its
derivative passes rounding as if it were not there, as that of a cast does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import symgraph as sg
from keras_symgraph.src.tensor import Tensor, is_tracing, of_array, value_of
from symgraph import Variable


class Format(NamedTuple):
    """Bits of the mantissa, the least exponent, the largest number, and what is above it."""

    mantissa: int
    least: int
    largest: float
    above: float


FORMATS = {
    "float8_e4m3fn": Format(3, -6, 448.0, float("nan")),
    "float8_e5m2": Format(2, -14, 57344.0, float("inf")),
}


class Float8(Tensor):
    """A tensor of a graph that holds numbers of eight bits."""

    __slots__ = ("_name",)

    def __init__(self, node: Variable, name: str) -> None:
        super().__init__(node)
        self._name = name

    @property
    def dtype(self) -> str:
        """The dtype of what it holds."""
        return self._name

    def _value(self) -> np.ndarray:
        return super()._value().astype(self._name)


def to_float8(x: Tensor, dtype: str) -> Tensor:
    """`keras.ops.cast` to "float8_e4m3fn" or "float8_e5m2"."""
    if x._array is not None or not is_tracing():
        return of_array(value_of(x).astype(dtype))
    return Float8(_rounded(sg.cast(x.node, "float32"), FORMATS[dtype]), dtype)


def _rounded(x: Variable, format: Format) -> Variable:
    """The nearest numbers of the format, even ones of two that are as near."""

    def forward(x: Variable) -> Variable:
        _, exponent = sg.frexp(sg.abs(x))  # one more than that of a mantissa between 1 and 2
        step = sg.cast(sg.maximum(exponent - 1, format.least) - format.mantissa, "float32")
        quantum = sg.exp2(step)
        near = sg.round(x / quantum) * quantum
        beyond = sg.copysign(sg.constant(format.above, "float32"), x)
        return sg.where(sg.abs(near) > format.largest, beyond, near)

    rounded: Variable = sg.custom_vjp(forward, lambda g, y, x: g)(x)
    return rounded
