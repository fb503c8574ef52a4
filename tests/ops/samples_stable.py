"""The formulas that rewriting uses, in extended precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph.ops import stable_forms  # noqa: F401  (registers the ops)

Formula = Callable[..., Any]


def _wide(formula: Formula) -> Formula:
    """A formula in NumPy's longest float, as a function in the dtype of the operands."""

    def function(*arrays: Any) -> Any:
        found = np.asarray(formula(*(np.asarray(a, "longdouble") for a in arrays)))
        return found.astype(arrays[0].dtype)

    return function


def _near_zero(formula: Formula, limit: float) -> Formula:
    return lambda x: np.where(x == 0, np.longdouble(limit), formula(np.where(x == 0, 1, x)))


def _series(divisor: int, first: int) -> Formula:
    """Sums of the alternating series of sin(x) and cos(x), for |x| below 1."""

    def formula(x: Any) -> Any:
        total = np.zeros_like(x)
        for k in range(1, 14):
            scale = 2 * k if divisor == 3 else 1
            total = total + scale * (-1) ** (k + 1) * x ** (2 * k + 1) / _factorial(2 * k + 1)
        return total

    return formula


def _factorial(n: int) -> Any:
    return np.prod(np.arange(1, n + 1, dtype="longdouble"))


def _split(near: Formula, far: Formula) -> Formula:
    def formula(x: Any) -> Any:
        small = np.abs(x) < 1
        return np.where(small, near(np.where(small, x, 0)), far(x))

    return formula


_X_MINUS_SIN = _split(_series(6, 1), lambda x: x - np.sin(x))
_SIN_MINUS_X_COS = _split(_series(3, 1), lambda x: np.sin(x) - x * np.cos(x))
_TAN_MINUS_X = _split(lambda x: _series(3, 1)(x) / np.cos(x), lambda x: np.tan(x) - x)


def _root_difference(x: Any, q: Any) -> Any:
    near = _wide(lambda x, q: q / (np.sqrt(x * x + q) + x))(x, q)
    root = np.sqrt(x * x + q)
    return np.where((x > 0) & np.isfinite(root), near, root - x).astype(x.dtype)


ELEMENTWISE: dict[str, Formula] = {
    "cbrt": np.cbrt,
    "log_of_product": _wide(lambda x, y: np.log(x * y)),
    "log_of_quotient": _wide(lambda x, y: np.log(x / y)),
    "hypot": np.hypot,
    "exp_of_sum": _wide(lambda x, y: np.exp(x + y)),
    "compound": _wide(
        lambda x, n: np.where(
            (n == 0) | (x == 0) | (x < -0.5), (1 + x) ** n, np.exp(n * np.log1p(x))
        )
    ),
    "sqrt1pm1": _wide(lambda x: np.where(x < 1, x / (np.sqrt(x + 1) + 1), np.sqrt(x + 1) - 1)),
    "root_difference": _root_difference,
    "x_minus_sin": _wide(_X_MINUS_SIN),
    "sin_minus_x_cos": _wide(_SIN_MINUS_X_COS),
    "tan_minus_x": _wide(_TAN_MINUS_X),
    "exp_over_expm1": _wide(lambda x: np.where(x > 0, -1 / np.expm1(-x), np.exp(x) / np.expm1(x))),
    "sin_over_x": _wide(_near_zero(lambda x: np.sin(x) / x, 1)),
}
SAMPLES: list[Any] = []
