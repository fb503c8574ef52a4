"""Special functions and the activations made of one expression."""

from __future__ import annotations

import math

import numpy as np

from symgraph.ops.arithmetic import negative
from symgraph.ops.comparison import greater, where
from symgraph.ops.elementwise import elementwise, same, to_float
from symgraph.ops.exponential import exp
from symgraph.scalar import functions
from symgraph.scalar.table import SCALAR_OPS

__all__ = ["erf", "erfc", "relu", "sigmoid", "softplus", "stop_gradient"]

_ERF_SLOPE = 2.0 / math.sqrt(math.pi)

sigmoid = elementwise(
    "sigmoid", "The logistic function 1 / (1 + exp(-x)), without overflow.",
    dtype=to_float, reference=SCALAR_OPS["sigmoid"].reference, lower=functions.sigmoid,
    vjp=lambda g, y, x: (g * (y * (1 - y)),), domain=(-8, 8), example="sigmoid([0.0]) -> [0.5]",
)  # fmt: skip
softplus = elementwise(
    "softplus", "log(1 + exp(x)) without overflow.",
    dtype=to_float, reference=SCALAR_OPS["softplus"].reference, lower=functions.softplus,
    vjp=lambda g, y, x: (g * sigmoid(x),), domain=(-8, 8),
    example="softplus([-1000.0, 1000.0]) -> [0.0, 1000.0]",
)  # fmt: skip
relu = elementwise(
    "relu", "max(x, 0), NaN for NaN. Its derivative at 0 is 0.",
    dtype=same, reference=lambda x: np.maximum(x, np.zeros((), np.result_type(x))),
    lower=lambda x: functions.maximum(x, 0),
    vjp=lambda g, y, x: (where(greater(x, 0), g, 0),), example="relu([-1.0, 2.0]) -> [0.0, 2.0]",
)  # fmt: skip
erf = elementwise(
    "erf", "The error function, 2/sqrt(pi) times the integral of exp(-t*t) from 0 to x.",
    dtype=to_float, reference=SCALAR_OPS["erf"].reference, lower=functions.erf,
    vjp=lambda g, y, x: (_ERF_SLOPE * g * exp(negative(x * x)),), example="erf([0.0]) -> [0.0]",
)  # fmt: skip
erfc = elementwise(
    "erfc", "1 - erf(x), accurate where that is small.",
    dtype=to_float, reference=SCALAR_OPS["erfc"].reference, lower=functions.erfc,
    vjp=lambda g, y, x: (-_ERF_SLOPE * g * exp(negative(x * x)),), example="erfc([0.0]) -> [1.0]",
)  # fmt: skip
stop_gradient = elementwise(
    "stop_gradient", "x itself; its derivative is 0.",
    dtype=same, reference=np.array, lower=lambda x: x, vjp=lambda g, y, x: (None,),
    example="stop_gradient([1.0]) -> [1.0]",
)  # fmt: skip
