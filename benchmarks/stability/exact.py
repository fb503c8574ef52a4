"""The namespace of mpmath: the true value of a formula, for arguments that are given exactly."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

DIGITS = 800  # more than the span of the exponents of two float64


class Exact:
    """NumPy's words over object arrays of mpf."""

    def __getattr__(self, name: str) -> Any:
        function = getattr(mpmath, {"arctan": "atan", "arcsin": "asin", "arccos": "acos"}
                           .get(name, name))  # fmt: skip
        lifted = np.frompyfunc(function, 1, 1)
        return lambda x: lifted(x)

    def sum(self, x: Any) -> Any:
        return np.add.reduce(x, axis=-1, keepdims=True)

    def mean(self, x: Any) -> Any:
        return self.sum(x) / x.shape[-1]

    def prod(self, x: Any) -> Any:
        return np.multiply.reduce(x, axis=-1, keepdims=True)

    def hypot(self, x: Any, y: Any) -> Any:
        return self.sqrt(x * x + y * y)


def exactly(x: np.ndarray) -> np.ndarray:
    """The same numbers as mpf."""
    made: np.ndarray = np.frompyfunc(lambda v: mpmath.mpf(float(v)), 1, 1)(x)
    return made


def true_values(formula: Any, arguments: list[np.ndarray]) -> np.ndarray:
    """The formula's values rounded to float64: NaN where it has none."""
    with mpmath.workdps(DIGITS), np.errstate(all="ignore"):
        try:
            found = formula(Exact(), *map(exactly, arguments))
        except (ZeroDivisionError, ValueError):
            return np.full(arguments[0].shape, np.nan)
        return np.asarray(np.frompyfunc(_rounded, 1, 1)(found), "float64")


def _rounded(v: Any) -> float:
    if isinstance(v, mpmath.mpc):
        return float(v.real) if v.imag == 0 else float("nan")
    return float(v)


def bits_wrong(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """log2(1 + distance in units in the last place), as Herbie counts; 64 for NaN where there is a
    value."""
    found, true = np.broadcast_arrays(np.asarray(found, "float64"), true)
    distance = np.abs(_ordinal(found).astype(object) - _ordinal(true).astype(object))
    bits = np.log2(1 + distance.astype("float64"))
    return np.where(np.isnan(found) & ~np.isnan(true), 64.0, bits)


def _ordinal(x: np.ndarray) -> np.ndarray:
    """Neighbouring floats have neighbouring numbers."""
    whole = np.ascontiguousarray(x).view("int64")
    return np.where(whole < 0, np.int64(-(2**63)) - whole, whole)
