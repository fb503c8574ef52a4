"""Bits of error of the derivatives of textbook formulas, by differences of 9000 bits."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

import symgraph as sg
from benchmarks.stability.exact import Exact, bits_wrong
from benchmarks.stability.expressions import CASES, Case

BITS = 9000  # arguments reach from 1e-300 to 1e300, and their squares meet in sums
STEP = 400  # bits by which an argument is moved, relative to itself
SCALAR = tuple(c for c in CASES if not c.rows)


def true_slopes(case: Case, arguments: list[np.ndarray]) -> np.ndarray:
    """The derivative by the first argument, NaN where the formula has no value."""
    found = []
    with mpmath.workprec(BITS), np.errstate(all="ignore"):
        for k in range(len(arguments[0])):
            at = [mpmath.mpf(float(a[k])) for a in arguments]
            step = abs(at[0]) * mpmath.mpf(2) ** -STEP
            try:
                high, low = (case.formula(Exact(), np.array([at[0] + s], object), *at[1:])[0]
                             for s in (step, -step))  # fmt: skip
                slope = (high - low) / (2 * step)
                found.append(float(slope) if isinstance(slope, mpmath.mpf) else np.nan)
            except (ZeroDivisionError, ValueError, OverflowError):
                found.append(np.nan)
    return np.array(found)


def slope_bits(case: Case, samples: int) -> tuple[float, float]:
    """The worst and the mean error of the compiled derivative, in bits."""
    rng = np.random.default_rng(sum(map(ord, case.name)))
    arguments = [near.sample(rng, (samples,)) for near in case.arguments]
    true = true_slopes(case, arguments)
    xs: list[Any] = [sg.vector(f"x{k}") for k in range(len(arguments))]
    slope = sg.grad(sg.sum(case.formula(sg, *xs)), xs[0])
    found = np.asarray(sg.compile(xs, slope, on_unused_input="ignore")(*arguments))
    bits = bits_wrong(found, true)[np.isfinite(true)]
    return (float(bits.max()), float(bits.mean())) if bits.size else (0.0, 0.0)
