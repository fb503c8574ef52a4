"""Random graphs: all ways to compute one agree with its interpretation (tests/fuzz).

A failing seed prints its graph; ``python -m tests.fuzz --seed S --reduce`` prints the smallest one
that fails in the same way, as a program to paste into test_regressions.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.compiler import _all_ops
from symgraph.ir.graph import Graph
from symgraph.ir.op import OPS
from tests.fuzz.case import Case, described
from tests.fuzz.derivatives import check_batches, check_derivatives
from tests.fuzz.python_text import python_text
from tests.fuzz.reducer import reduced
from tests.fuzz.rows import drawable
from tests.fuzz.running import checked, made

# ops that no random graph holds, with the reason
EXCUSED = {
    "print": "writes to the terminal",
    "assert": "raises on purpose",
    "implicit": "a search, which takes seconds: tests/optimize",
    "trajectory": "a differential equation, which takes seconds: tests/optimize",
    "python_op": "the user's own code, not kept in text or files",
}
BY_OPERATIONS = frozenset(
    """scan cond while function_graph philox_0 philox_1 philox_2 philox_3 barrier""".split()
)


def check(seed: int, steps: int = 0, effort: str = "all") -> None:
    case = made(seed, steps)
    problem = checked(case, seed, effort)
    assert not problem, f"{problem}\n{described(case, seed)}"


@pytest.mark.parametrize("block", range(20))
def test_random_graphs(block: int) -> None:
    """500 graphs; of each block of 25 five go all ways, the others the fast ones."""
    for seed in range(25 * block, 25 * block + 25):
        check(seed, 4 + seed % 4, "quick" if seed % 5 else "all")


@pytest.mark.slow
@pytest.mark.parametrize("block", range(50))
def test_many_random_graphs(block: int) -> None:
    for seed in range(10_000 + 100 * block, 10_100 + 100 * block):
        check(seed)


@pytest.mark.parametrize("block", range(4))
def test_derivatives(block: int) -> None:
    """Directional derivatives of smooth graphs by Richardson's differences."""
    for seed in range(10 * block, 10 * block + 10):
        problem = check_derivatives(seed)
        assert not problem, f"seed {seed}: {problem}"


@pytest.mark.parametrize("block", range(4))
def test_batches(block: int) -> None:
    """vmap of a random graph is the loop over its samples."""
    for seed in range(5 * block, 5 * block + 5):
        problem = check_batches(seed)
        assert not problem, f"seed {seed}: {problem}"


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_many_derivatives_and_batches(block: int) -> None:
    for seed in range(10_000 + 100 * block, 10_100 + 100 * block):
        problem = check_derivatives(seed) or check_batches(seed)
        assert not problem, f"seed {seed}: {problem}"


def test_every_op_is_drawn() -> None:
    """A new op is drawn as soon as it has a sample or is an elementwise row."""
    ours = {n for n, op in OPS.items() if _home(op).startswith("symgraph.")}
    lost = ours - set(drawable()) - BY_OPERATIONS - set(EXCUSED)
    assert not lost, f"no random graph can hold {sorted(lost)}"


def _home(op: Any) -> str:
    return str(getattr(op, "home", op.__module__ if isinstance(op, type) else ""))


def test_random_graphs_hold_many_ops() -> None:
    found: set[str] = set()
    for seed in range(120):
        case = made(seed)
        found |= {op.name for op in _all_ops(Graph(case.inputs, case.outputs))}
    assert {"scan", "cond", "while", "function_graph", "philox_0"} <= found
    assert len(found) > 90


def test_a_seed_is_a_graph() -> None:
    assert described(made(5), 5) == described(made(5), 5)


def test_the_reducer_finds_the_smallest_graph() -> None:
    """A pretended fault: anything with an exponential in it fails."""
    x, y = sg.matrix("x", shape=("n", "m")), sg.vector("y", shape=("m",))
    outputs = [sg.tanh(sg.exp(x * y) + 1).sum(0), y * 2]
    arrays = [np.ones((3, 4)), np.arange(4.0)]
    case = Case([x, y], outputs, [], [arrays, arrays])

    def fault(c: Case) -> str:
        ops = {op.name for op in _all_ops(Graph(c.inputs, c.outputs))}
        return "pretended: value" if "exp" in ops else ""

    smaller, problem = reduced(case, fault)
    assert problem == "pretended: value"
    assert [n.op.name for n in Graph(smaller.inputs, smaller.outputs).toposort()] == ["exp"]
    assert len(smaller.calls) == len(smaller.outputs) == 1
    text = python_text(smaller)
    exec(compile(text, "reduced", "exec"), {})  # it runs, and nothing is wrong with it
    assert "sg.exp" in text and text.count("sg.tensor") <= 2
