"""What one call of a tiny function costs: ten doubles, so that nearly all of it is overhead."""

from __future__ import annotations

from typing import Any

from peers import array_formulas, numba_formula, numexpr_formula

from workloads import Workload, arrays


def add_one(x: Any) -> Any:
    return x + 1


def three_inputs(a: Any, x: Any, y: Any) -> Any:
    return a * x + y


def everywhere(formula: Any, text: str, names: str) -> dict[str, Any]:
    """The contenders for a formula that every library writes alike."""
    out = array_formulas(formula, formula, formula, formula, formula)
    return out | {"numba": numba_formula(formula), "numexpr": numexpr_formula(text, names)}


WORKLOADS = [
    Workload("call.add_one", "x + 1, 10 doubles", arrays((10,)),
             everywhere(add_one, "x + 1", "x")),
    Workload("call.three_inputs", "a * x + y, 10 doubles each", arrays((10,), (10,), (10,)),
             everywhere(three_inputs, "a * x + y", "a x y")),
]  # fmt: skip
