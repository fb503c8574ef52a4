"""The value of an index that is out of range inside a loop is found, soon or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import IndexOutOfRange
from symgraph.ir import retrace


def said(inputs: list[Any], output: sg.Variable, *arrays: Any) -> str:
    """What a call of the compiled function says."""
    with pytest.raises(IndexOutOfRange) as caught:
        sg.compile(inputs, output)(*arrays)
    assert caught.value.origin is not None
    return str(caught.value.what)


def spy(seen: list[str]) -> Any:
    """An operation on floats that tells when its reference is run."""

    @sg.python_op(infer="float64[n] -> float64[n]")
    def slow(a: Any) -> Any:
        seen.append("run")
        return a + 1

    return slow


x = sg.vector("x")
i = sg.vector("i", dtype="int64")


def test_of_a_sequence_without_computing_the_floats() -> None:
    seen: list[str] = []
    slow = spy(seen)
    y = sg.scan(lambda k, s: slow(s) * x[k], [i], [x])
    arrays = np.ones(3), np.array([0, 2, -4])
    assert said([x, i], y, *arrays) == "index -4 is out of range for axis 0 of size 3"
    count = len(seen)  # of the native run
    error = retrace.error_of(sg.Graph([x, i], [y]), y.owner, arrays)
    assert error is not None and len(seen) == count


def test_of_a_state_of_integers() -> None:
    y = sg.scan(lambda k, s: (k + 2, s * x[k]), None, [sg.constant(0), sg.constant(1.0)], n_steps=5)
    assert said([x], y[1], np.ones(5)) == "index 6 is out of range for axis 0 of size 5"


def test_of_a_state_of_floats() -> None:
    seen: list[str] = []
    slow = spy(seen)

    def turn(s: sg.Variable) -> sg.Variable:
        return slow(s) + x[sg.cast(sg.sum(s), "int64")]

    y = sg.scan(turn, None, [sg.zeros(2)], n_steps=50)
    assert said([x], y, np.zeros(5)) == "index 6 is out of range for axis 0 of size 5"
    count = len(seen)
    assert retrace.error_of(sg.Graph([x], [y]), y.owner, [np.zeros(5)]) is not None
    assert len(seen) > count  # there is no way around it


def test_of_a_loop_in_a_loop() -> None:
    m = sg.matrix("m")
    y = sg.scan(lambda k: sg.scan(lambda j: m[k, j], [sg.arange(6)]), [i])
    assert said([m, i], y, np.ones((5, 4)), [1]) == "index 4 is out of range for axis 1 of size 4"


def test_of_a_branch() -> None:
    y = sg.cond(sg.sum(x) > 0, lambda: x[i] + 1, lambda: x[i] * x[i])
    assert said([x, i], y, -np.ones(3), [7]) == "index 7 is out of range for axis 0 of size 3"


def test_a_long_loop_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrace, "SECONDS", 0.0)
    y = sg.scan(lambda k: x[k] * 3, [i])
    assert said([x, i], y, np.ones(3), [0, 3]) == "index out of range for axis 0"


def test_no_error_is_no_answer() -> None:
    y = sg.scan(lambda k: x[k] * 5, [i])
    graph = sg.Graph([x, i], [y])
    assert retrace.error_of(graph, y.owner, [np.ones(3), np.array([1])]) is None
