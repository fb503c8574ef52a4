"""The Program between graph and machine code, run by its own interpreter.

That interpreter fills fresh memory with NaN and checks every access, so it sees a read of something
unwritten or out of range that native code may survive. What differs here is a fault of lowering;
what differs in test_fuzz alone is one of code generation.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import stages
from symgraph.function import Definition, bind_sizes
from symgraph.ir.hashing import large_constants
from symgraph.ir.interpret import interpret
from symgraph.loops.interpret import run_program
from symgraph.loops.text import program_text
from symgraph.loops.verify import verify_program
from tests.fuzz import oracles
from tests.fuzz.case import described
from tests.fuzz.measuring import Undefined
from tests.fuzz.running import made


def run(d: Definition, arrays: Sequence[np.ndarray], scheduled: bool) -> list[np.ndarray]:
    """The outputs, then the shared variables after the call (which themselves stay unchanged)."""
    program = stages.lower(d, stages.optimized_graph(d), scheduled)
    verify_program(program)
    env = bind_sizes(d, arrays)
    state = [s.get_value() for s in d.shared]
    large = [c.data for c in large_constants(d.graph)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = run_program(program, arrays, env, state, large, {"matmul": oracles.matmul})
    return [*out, *state]


def wanted_of(d: Definition, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    results = interpret(d.graph, arrays)
    count = len(results) - len(d.updates)
    new = dict(zip(d.updates, results[count:], strict=True))
    return [*results[:count], *(new.get(s, s.get_value()) for s in d.shared)]


@pytest.mark.parametrize("block", range(4))
def test_random_programs(block: int) -> None:
    for seed in range(500 + 15 * block, 515 + 15 * block):
        case = made(seed, 8)
        try:
            problem = oracles.loops(oracles.Check(case, seed))
        except Undefined:
            continue  # rounding decides
        assert not problem, f"{problem}\n{described(case, seed)}"


def lowered(d: Definition) -> str:
    return program_text(stages.lower(d, stages.optimized_graph(d)))


def defined(inputs: list[Any], outputs: Any, updates: Any = None) -> Definition:
    return sg.compile(inputs, outputs, updates=updates, mode="interpret").definition


def check(d: Definition, *arrays: np.ndarray) -> None:
    for scheduled in (False, True):
        pairs = zip(run(d, arrays, scheduled), wanted_of(d, arrays), strict=True)
        for found, wanted in pairs:
            assert found.dtype == wanted.dtype and found.shape == wanted.shape
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


X = np.random.default_rng(0).normal(size=(5, 7))


def test_softmax_is_one_kernel() -> None:
    x = sg.matrix("x")
    d = defined([x], sg.nn.softmax(x))
    check(d, X)
    text = lowered(d)
    assert text.count("\n  run ") == 1


def test_layer_norm_is_one_kernel() -> None:
    x = sg.matrix("x")
    d = defined([x], sg.nn.layer_norm(x) * 2 + 1)
    check(d, X)
    assert lowered(d).count("\n  run ") == 1


def test_what_overlapping_windows_read_is_kept() -> None:
    """It is computed once, not once for each window: what is padded, and what is dear."""
    x = sg.vector("x")
    taps = np.linspace(-1, 1, 9)
    d = defined([x], sg.convolve(x, taps))
    check(d, np.arange(20.0))
    assert "if" not in lowered(d).split("fold")[1]
    d = defined([x], sg.sliding_window_view(sg.tanh(x), 3).max(1))
    check(d, np.arange(20.0) / 7)
    assert "tanh" not in lowered(d).split("fold")[1]
    short = defined([x], (sg.sliding_window_view(x * 2, 3) + 1).max(1))
    assert lowered(short).count("\n  run ") == 1


def test_equal_kernels_are_one() -> None:
    x, y = sg.matrix("x", shape=("n", "m")), sg.matrix("y", shape=("n", "m"))
    d = defined([x, y], [sg.cumsum(x, 1), sg.cumsum(y, 1)])
    check(d, X, -X)
    assert lowered(d).count("\nkernel ") == 1


def test_updates_are_written_in_place() -> None:
    w, g = sg.shared(np.ones((5, 7)), "w"), sg.matrix("g", shape=(5, 7))
    d = defined([g], [], {w: w - 0.1 * g})
    check(d, X)
    text = lowered(d)
    assert "alias state0" in text and "copy" not in text


def test_an_update_waits_for_its_last_reader() -> None:
    """A view of the old value is read after the kernel that makes the new one."""
    w = sg.shared(np.ones((5, 7)), "w")
    d = defined([], w.reshape((35,)), {w: w + 5.0})
    check(d)


def test_swapped_shared_variables() -> None:
    a, b = sg.shared(np.ones(3), "a"), sg.shared(np.zeros(3), "b")
    for updates in (
        {a: b, b: a * 2},
        {b: a * 2, a: b},
        {a: b, b: a},
        {a: b.reshape((3,)), b: a + 1},
    ):
        check(defined([], [a + b], updates))


def test_an_update_is_written_after_all_that_may_fail() -> None:
    w, i = sg.shared(np.ones(3), "w"), sg.scalar("i", dtype="int64")
    x = sg.vector("x")
    d = defined([x, i], sg.exp(x)[i], {w: w + 1})
    check(d, np.arange(4.0), np.array(2))
    steps = lowered(d).split("\nkernel")[0]
    writes = [k for k, line in enumerate(steps.splitlines()) if "run" in line and "state0" in line]
    (require,) = [k for k, line in enumerate(steps.splitlines()) if "require" in line]
    assert min(writes) > require


def test_scan_rows_live_in_their_output() -> None:
    x = sg.matrix("x")
    d = defined([x], sg.scan(lambda r, h: sg.tanh(h + r), [x], [sg.zeros(x.shape[1])]))
    check(d, X)


def test_branches_write_into_the_output() -> None:
    x = sg.matrix("x")
    d = defined([x], sg.cond(sg.sum(x) > 0, lambda: sg.exp(x), lambda: x * 2))
    check(d, X)
    check(d, -X)
    assert "copy" not in lowered(d)


def test_views_of_results_are_made_in_the_callers_memory() -> None:
    x = sg.matrix("x")
    made = sg.exp(x) @ x.T
    for outputs in (
        [sg.reshape(made, (-1,))],
        [sg.reshape(made, (-1,)), made, sg.reshape(made, (1, -1))],
        [made, sg.reshape(made, (-1,)), sg.reshape(made, (-1,)) * 2],
        [sg.reshape(x, (-1,)), sg.reshape(sg.cumsum(x, 0), (-1,))],
        [sg.reshape(sg.sin(x), (-1,)), sg.sin(x) + 1],
        [sg.reshape(sg.cumsum(x, 0), (-1,))],
    ):
        d = defined([x], outputs)
        check(d, X)
    text = program_text(stages.lower(d, stages.optimized_graph(d)))
    assert "copy" not in text
    state = sg.shared(X, "state")
    d = defined([x], sg.reshape(state + x, (-1,)), updates={state: state + x})
    check(d, X)


def test_scatter_adds_one_after_another() -> None:
    x, i = sg.matrix("x"), sg.vector("i", dtype="int64")
    d = defined([x, i], x.at[i].add(x[i] * 2))
    check(d, X, np.array([0, 0, 4, -1, 2]))
