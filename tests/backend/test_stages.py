"""The text of every stage of four small programs, for a processor of 256-bit vectors.

A change of a pass, of scheduling or of code generation shows here what it does; `make golden`
accepts it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import stages
from symgraph.codegen import llvm
from symgraph.function import Definition
from symgraph.ir.text import graph_text
from symgraph.loops.text import program_text


def rows() -> tuple[Any, Any, Any]:
    """Softmax and position of the largest, in one kernel over the rows."""
    x = sg.matrix("x", dtype="float32", shape=("n", 10))
    return [x], [sg.nn.softmax(x), sg.argmax(x, 1)], {}


def regression() -> tuple[Any, Any, Any]:
    """A training step: product, gradient, update in place."""
    x, y = sg.matrix("x", shape=("n", 3)), sg.vector("y", shape=("n",))
    w = sg.shared(np.zeros(3), "w")
    loss = sg.mean((x @ w - y) ** 2)
    return [x, y], loss, {w: w - 0.1 * sg.grad(loss, w)}


def table() -> tuple[Any, Any, Any]:
    """Rows read and written at places that are checked."""
    t, i = sg.matrix("t", shape=("n", 4)), sg.vector("i", dtype="int64")
    return [t, i], [sg.sum(t[i], 0), t.at[i].add(1.0)], {}


def recurrence() -> tuple[Any, Any, Any]:
    """A scan with a state, and a branch."""
    x = sg.matrix("x", shape=("n", 4))
    h = sg.scan(lambda r, s: sg.tanh(r + s * 0.5), [x], [sg.zeros(4)])
    return [x], sg.cond(sg.sum(x) > 0, lambda: h * 2, lambda: h - 1), {}


PROGRAMS = {f.__name__: f for f in (rows, regression, table, recurrence)}


def defined(name: str) -> Definition:
    inputs, outputs, updates = PROGRAMS[name]()
    d: Definition = sg.compile(
        inputs, outputs, updates=updates, mode="interpret", name=name
    ).definition
    return d._replace(options={"mode": "run"})


def stage_text(d: Definition, stage: str) -> str:
    optimized = stages.optimized_graph(d)
    match stage:
        case "graph":
            return graph_text(d.graph)
        case "optimized":
            return graph_text(optimized)
        case "loops":
            return program_text(stages.lower(d, optimized, scheduled=False))
        case "scheduled":
            return program_text(stages.lower(d, optimized))
    # the module with the entry holds offsets of Python's and NumPy's objects
    kernels = stages.emit(d, optimized, stages.lower(d, optimized)).kernels
    return "\n".join(f"; {name}\n{text}" for name, text in kernels.items())


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """One machine for the text, whatever the tests run on."""
    host = llvm.HostTarget("haswell", "+avx2,+fma", 256, True, "x86_64-unknown-linux-gnu", "22")
    monkeypatch.setattr(llvm, "_host", host)


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("stage", ["graph", "optimized", "loops", "scheduled", "llvm"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_text(golden: Callable[[str, str], None], name: str, stage: str) -> None:
    golden(f"{stage}/{name}", stage_text(defined(name), stage))
