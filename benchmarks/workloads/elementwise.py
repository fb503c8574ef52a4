"""Fused elementwise work on large arrays: Black-Scholes prices, gelu, a polynomial."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
from peers import array_formulas, numba_formula, numexpr_formula

from workloads import Workload, arrays

# Black-Scholes: price of a call and a put --------------------------------------------------------


def options() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    n = 1_000_000
    return rng.uniform(50, 150, n), rng.uniform(50, 150, n), rng.uniform(0.1, 2, n)


def black_scholes(xp: Any, erf: Any, spot: Any, strike: Any, years: Any) -> Any:
    """Prices at 5% interest and 20% volatility; Black and Scholes (1973)."""
    spread = 0.2 * xp.sqrt(years)
    d1 = (xp.log(spot / strike) + 0.07 * years) / spread
    d2 = d1 - spread
    n1, n2 = 0.5 + 0.5 * erf(d1 * math.sqrt(0.5)), 0.5 + 0.5 * erf(d2 * math.sqrt(0.5))
    owed = strike * xp.exp(-0.05 * years)
    return spot * n1 - owed * n2, owed * (1 - n2) - spot * (1 - n1)


def in_library(formula: Any, module: str, erf: str) -> Any:
    """The formula with a library's functions, looked up when it is called."""

    def call(*args: Any) -> Any:
        special, name = erf.rsplit(".", 1)
        return formula(importlib.import_module(module),
                       getattr(importlib.import_module(special), name), *args)  # fmt: skip

    return call


def black_scholes_loop(spot: Any, strike: Any, years: Any) -> Any:
    call, put = np.empty_like(spot), np.empty_like(spot)
    for i in range(spot.size):
        spread = 0.2 * math.sqrt(years[i])
        d1 = (math.log(spot[i] / strike[i]) + 0.07 * years[i]) / spread
        d2 = d1 - spread
        n1, n2 = 0.5 + 0.5 * math.erf(d1 * 0.7071067811865476), 0.5 + 0.5 * math.erf(
            d2 * 0.7071067811865476)  # fmt: skip
        owed = strike[i] * math.exp(-0.05 * years[i])
        call[i] = spot[i] * n1 - owed * n2
        put[i] = owed * (1 - n2) - spot[i] * (1 - n1)
    return call, put


BLACK_SCHOLES = array_formulas(
    numpy=in_library(black_scholes, "numpy", "scipy.special.erf"),
    symgraph=in_library(black_scholes, "symgraph", "symgraph.erf"),
    jax=in_library(black_scholes, "jax.numpy", "jax.scipy.special.erf"),
    torch=in_library(black_scholes, "torch", "torch.erf"),
    pytensor=in_library(black_scholes, "pytensor.tensor", "pytensor.tensor.erf"),
) | {"numba": numba_formula(black_scholes_loop)}


# gelu, the tanh form ------------------------------------------------------------------------------

SCALE = math.sqrt(2 / math.pi)


def gelu(xp: Any, x: Any) -> Any:
    return 0.5 * x * (1 + xp.tanh(SCALE * (x + 0.044715 * (x * x * x))))


def gelu_loop(x: Any) -> Any:
    y = np.empty_like(x)
    scale, cubic = np.float32(SCALE), np.float32(0.044715)
    half, one = np.float32(0.5), np.float32(1)
    for i in range(x.size):
        v = x[i]
        y[i] = half * v * (one + math.tanh(scale * (v + cubic * (v * v * v))))
    return y


def using(formula: Any, module: str) -> Any:
    return lambda *args: formula(importlib.import_module(module), *args)


GELU = array_formulas(
    numpy=using(gelu, "numpy"),
    symgraph=using(gelu, "symgraph"),
    jax=lambda x: importlib.import_module("jax").nn.gelu(x, approximate=True),
    torch=lambda x: importlib.import_module("torch").nn.functional.gelu(x, approximate="tanh"),
    pytensor=using(gelu, "pytensor.tensor"),
) | {
    "numba": numba_formula(gelu_loop),
    "numexpr": numexpr_formula(
        "half * x * (one + tanh(scale * (x + cubic * (x * x * x))))",
        "x",
        half=0.5,
        one=1.0,
        scale=SCALE,
        cubic=0.044715,
    ),
}


# a polynomial of degree 10 ------------------------------------------------------------------------


def polynomial(x: Any) -> Any:
    """The first eleven terms of exp's series by Horner's rule."""
    y = x * 0 + 1 / math.factorial(10)
    for k in range(9, -1, -1):
        y = y * x + 1 / math.factorial(k)
    return y


def polynomial_loop(x: Any) -> Any:
    y = np.empty_like(x)
    for i in range(x.size):
        v = x[i]
        total = 2.755731922398589e-07
        for c in (2.7557319223985893e-06, 2.48015873015873e-05, 0.0001984126984126984,
                  0.001388888888888889, 0.008333333333333333, 0.041666666666666664,
                  0.16666666666666666, 0.5, 1.0, 1.0):  # fmt: skip
            total = total * v + c
        y[i] = total
    return y


def polynomial_text() -> str:
    text = repr(1 / math.factorial(10))
    for k in range(9, -1, -1):
        text = f"({text}) * x + {1 / math.factorial(k)!r}"
    return text


POLYNOMIAL = array_formulas(polynomial, polynomial, polynomial, polynomial, polynomial) | {
    "numba": numba_formula(polynomial_loop),
    "numexpr": numexpr_formula(polynomial_text(), "x"),
}

# a long chain of arithmetic without constants to fold ---------------------------------------------


def unit_interval() -> tuple[np.ndarray, ...]:
    return (np.random.default_rng(0).uniform(0.1, 0.9, 1_000_000),)


def logistic(x: Any) -> Any:
    """Twelve turns of the logistic map."""
    for _ in range(12):
        x = 3.7 * x * (1 - x)
    return x


def logistic_loop(x: Any) -> Any:
    y = np.empty_like(x)
    for i in range(x.size):
        v = x[i]
        for _ in range(12):
            v = 3.7 * v * (1 - v)
        y[i] = v
    return y


LOGISTIC = array_formulas(logistic, logistic, logistic, logistic, logistic) | {
    "numba": numba_formula(logistic_loop),
}

WORKLOADS = [
    Workload("elementwise.black_scholes", "1e6 doubles, two prices", options, BLACK_SCHOLES),
    Workload("elementwise.gelu", "1e6 floats", arrays((1_000_000,), dtype="float32"), GELU),
    Workload("elementwise.gelu_large", "1e7 floats", arrays((10_000_000,), dtype="float32"), GELU),
    Workload("elementwise.polynomial", "degree 10, 1e6 doubles", arrays((1_000_000,)), POLYNOMIAL,
             flops=20e6),
    Workload("elementwise.chain", "twelve steps x * (1 - x) * 3.7, 1e6 doubles", unit_interval,
             LOGISTIC, flops=36e6),
    Workload(
        "elementwise.add", "x + y, 1e6 doubles", arrays((1_000_000,), (1_000_000,)),
        array_formulas(*[lambda x, y: x + y] * 5),
    ),
    Workload(
        "elementwise.row_bias", "x + b, 1024x1024 floats and a row",
        arrays((1024, 1024), (1024,), dtype="float32"), array_formulas(*[lambda x, b: x + b] * 5),
    ),
    Workload(
        "elementwise.transpose", "x.T + y, 1024x1024 floats",
        arrays((1024, 1024), (1024, 1024), dtype="float32"),
        array_formulas(*[lambda x, y: x.T + y] * 5),
    ),
]  # fmt: skip
