"""The formulas that rewriting uses, in extended precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np

from symgraph.ops import neighbours, quadratics, stable_forms  # noqa: F401  (registers the ops)

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
    x, q = np.asarray(x, "longdouble"), np.asarray(q, "longdouble")
    root = np.sqrt(x * x + q)
    return np.where((x > 0) & np.isfinite(root), q / (root + x), root - x)


def _step(f: Formula, near: Formula) -> Formula:
    """A difference by its identity, and as it is written where that is not finite."""

    def formula(x: Any, e: Any) -> Any:
        found = near(x, e)
        return np.where(np.isfinite(found), found, f(x + e) - f(x))

    return formula


def _long(x: Any) -> Any:
    return np.asarray(x, "longdouble")


def _log_of_ratio(x: Any, e: Any) -> Any:
    far = np.log(_long(x + e) / _long(x))
    return np.where(abs(e / x) < 0.5, np.log1p(e / x), far).astype(x.dtype)


def _log_step(x: Any, e: Any) -> Any:
    return np.where(x > 0, _log_of_ratio(x, e), np.log(x + e) - np.log(x))


def _power_step(x: Any, e: Any, p: Any) -> Any:
    part = p * _log_of_ratio(x, e)
    base = np.power(x, p)
    found = base * np.expm1(part)
    near = (x > 0) & (abs(part) < 1) & np.isfinite(found)
    return np.where(near, found, np.power(x + e, p) - base)


def _exp_step(x: Any, e: Any) -> Any:
    near = (abs(e) < 1) & np.isfinite(np.exp(x))
    return np.where(near, np.exp(x) * np.expm1(e), np.exp(x + e) - np.exp(x))


def _log_exp_step(x: Any, e: Any) -> Any:
    whole = x + np.where(e > 1, e + np.log1p(-np.exp(-e)), np.log(np.expm1(e)))
    written = np.log(np.exp(x + e) - np.exp(x))
    return np.where(x == -np.inf, written, whole)


def _log_exp_fall(x: Any, e: Any) -> Any:
    whole = _wide(lambda x, e: x + np.where(
        e < -1, np.log1p(-np.exp(e)), np.log(-np.expm1(e))))(x, e)  # fmt: skip
    written = np.log(-_exp_step(x, e))
    return np.where((x == -np.inf) | (abs(written) < 1), written, whole)


def _atan_step(x: Any, e: Any) -> Any:
    product = x * (x + e)
    far = np.arctan(x + e) - np.arctan(x)
    return np.where(np.isfinite(product), np.arctan2(e, product + 1), far)


def _angles(f: Formula, near: Formula) -> Formula:
    """By an identity, and as it is written where x + e loses more than the last digits."""

    def formula(x: Any, e: Any) -> Any:
        far = f(x + e) - f(x)
        return np.where(abs(x) + abs(e) < 1e3, _wide(near)(x, e), far)

    return formula


STEPS: dict[str, Formula] = {
    "gap_over_sum": lambda p, q, e: np.where(np.isfinite(e / (p + q)), e / (p + q), p - q),
    "gap_over_squares": lambda p, q, e: np.where(
        np.isfinite(e / (p * p + p * q + q * q)), e / (p * p + p * q + q * q), p - q),
    "cbrt_step": _step(np.cbrt, lambda x, e: e / (
        np.cbrt(x + e) ** 2 + np.cbrt(x + e) * np.cbrt(x) + np.cbrt(x) ** 2)),
    "rsqrt_step": _step(lambda x: 1 / np.sqrt(x), lambda x, e: (
        -e / (np.sqrt(x + e) + np.sqrt(x)) / np.sqrt(x + e) / np.sqrt(x))),
    "reciprocal_step": _wide(lambda x, e: np.where(
        np.isinf(e), 1 / (x + e) - 1 / x, np.where(
            abs(x + e) < abs(x), -e / x / (x + e), -e / (x + e) / x))),
    "power_step": _power_step,
    "log_step": _log_step,
    "log_near_one": _wide(lambda u, v, e: np.where(
        abs(e / v) < 0.5, np.log1p(e / v), np.log(u / v))),
    "exp_step": _exp_step,
    "log_exp_step": _wide(_log_exp_step),
    "log_exp_fall": _log_exp_fall,
    "xlogx_step": _step(lambda x: np.where(x == 0, 0, x * np.log(x)),
                        lambda x, e: x * _log_step(x, e) + e * np.log(x + e)),
    "sin_step": _angles(np.sin, lambda x, e: 2 * np.cos(x + e / 2) * np.sin(e / 2)),
    "cos_step": _angles(np.cos, lambda x, e: -2 * np.sin(x + e / 2) * np.sin(e / 2)),
    "tan_step": _angles(np.tan, lambda x, e: np.sin(e) / (np.cos(x) * np.cos(x + e))),
    "atan_step": _step(np.arctan, _atan_step),
}  # fmt: skip


def _exact_far(exact: Formula) -> Formula:
    """A formula that cancels near 0, by mpmath there."""

    def one(x: Any) -> float:
        with mpmath.workdps(200):
            try:
                return float(exact(mpmath.mpf(float(x))))
            except (ValueError, ZeroDivisionError):
                return float("nan")

    lifted = np.frompyfunc(one, 1, 1)
    return lambda x: np.asarray(lifted(x), "float64").astype(np.asarray(x).dtype)


ELEMENTWISE: dict[str, Formula] = {
    **STEPS,
    "acos1m": _wide(lambda x: np.where(x < 1, 2 * np.arcsin(np.sqrt(x / 2)), np.arccos(1 - x))),
    "multiply_add": _wide(lambda x, a, b: x * a + b),
    "hypot3": _wide(lambda x, y, z: np.sqrt(x * x + y * y + z * z)),
    "sqrt_of_square_plus": _wide(lambda x, q: np.sqrt(x * x + q)),
    "over_square_plus": _wide(lambda x, q: x / (x * x + q)),
    "sqrt_of_product": _wide(lambda x, y: np.sqrt(x * y)),
    "quadratic_root": _wide(lambda b, a, c: (np.sqrt(b * b - a * c) - b) / a),
    "exp_share": _wide(lambda a, b: 1 / (1 + np.exp(b - a))),
    "x_minus_sin_over_tan_minus_x": _exact_far(
        lambda x: (x - mpmath.sin(x)) / (mpmath.tan(x) - x) if x else mpmath.mpf(0.5)
    ),
    "reciprocal_minus_cot": _exact_far(lambda x: 1 / x - mpmath.cot(x) if x else x),
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
    "compound_of_reciprocal": _wide(
        lambda n: np.where(
            (abs(n) < 2) | np.isinf(n), (1 + 1 / n) ** n, np.exp(n * np.log1p(1 / n))
        )
    ),
    "sqrt1pm1": _wide(lambda x: np.where(x < 1, x / (np.sqrt(x + 1) + 1), np.sqrt(x + 1) - 1)),
    "root_difference": _wide(_root_difference),
    "x_minus_sin": _wide(_X_MINUS_SIN),
    "sin_minus_x_cos": _wide(_SIN_MINUS_X_COS),
    "tan_minus_x": _wide(_TAN_MINUS_X),
    "exp_over_expm1": _wide(lambda x: np.where(x > 0, -1 / np.expm1(-x), np.exp(x) / np.expm1(x))),
    "sin_over_x": _wide(_near_zero(lambda x: np.sin(x) / x, 1)),
}
SAMPLES: list[Any] = []
