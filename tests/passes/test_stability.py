"""Textbook formulas, compiled: how many bits are wrong, against mpmath."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.stability.__main__ import measured
from benchmarks.stability.exact import bits_wrong, true_values
from benchmarks.stability.expressions import CASES, Case

# bits at the worst of the samples here, with a margin of about half a bit for other processors
WORST = 2.6
LEFT = {"log(prod(x))": 3.2, "(x + 1)**(1/n) - x**(1/n)": 4.0}
UNREPAIRED = ("norm of a vector",)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_formula(case: Case) -> None:
    if case.name in UNREPAIRED:
        return
    found = measured(case, ["symgraph"], 40)["symgraph"]
    assert found["worst"] <= LEFT.get(case.name, WORST)


def test_no_formula_gets_worse() -> None:
    for case in CASES:
        rows = measured(case, ["symgraph", "numpy"], 30)
        assert rows["symgraph"]["mean"] <= rows["numpy"]["mean"] + 0.5, case.name


def test_bits_are_counted_as_neighbours() -> None:
    one = np.array([1.0, -1.0, 0.0, np.inf])
    assert bits_wrong(one, one).tolist() == [0, 0, 0, 0]
    assert bits_wrong(np.nextafter(one[:2], 2), one[:2]).tolist() == [1, 1]
    assert bits_wrong(np.array([-0.0, np.nan]), np.array([0.0, 1.0])).tolist() == [0, 64]


def test_true_values_are_exact() -> None:
    x = np.array([1e-17, 2.0])
    assert true_values(lambda m, x: m.log(1 + x) / x, [x]).tolist() == [1.0, np.log(3.0) / 2]
