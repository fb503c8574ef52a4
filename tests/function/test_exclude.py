"""compile(exclude=): passes and rules left out by name."""

from __future__ import annotations

import numpy as np
import pytest

import symgraph as sg
from symgraph import stages

TINY = np.array([1e-17, 1e-3])


def ops(f: object) -> set[str]:
    definition = f.definition  # type: ignore[attr-defined]
    return {n.op.name for n in stages.optimized_graph(definition).toposort()}


@pytest.mark.parametrize("mode", ["run", "debug", "nan"])
def test_a_rule_and_a_pass_are_left_out(mode: str) -> None:
    x = sg.vector("x")
    y = sg.log(1 + x)
    with_all = sg.compile([x], y, mode=mode)
    without_rule = sg.compile([x], y, mode=mode, exclude=["log(1 + x) -> log1p(x)"])
    without_pass = sg.compile([x], y, mode=mode, exclude="stabilize")
    assert "log1p" in ops(with_all)
    assert with_all(TINY)[0] == 1e-17
    for f in (without_rule, without_pass):
        assert "log1p" not in ops(f)
        assert f(TINY)[0] == 0.0


def test_functions_with_and_without_are_kept_apart_in_the_cache() -> None:
    x = sg.vector("x")
    for _ in range(2):
        assert sg.compile([x], sg.exp(x) - 1)(TINY)[0] == 1e-17
        assert sg.compile([x], sg.exp(x) - 1, exclude=["stabilize"])(TINY)[0] == 0.0


def test_unknown_names_are_refused() -> None:
    x = sg.vector("x")
    with pytest.raises(sg.errors.ArgumentError, match="no pass or rule 'stabilise'"):
        sg.compile([x], x + 1, exclude=["stabilise"])
