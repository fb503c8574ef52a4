"""The loops of kernels for a GPU: their text, and what they compute in any order of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.loops.launch import launch, meets
from symgraph.loops.program import Program, Run
from symgraph.loops.text import kernels, program_text
from symgraph.loops.threads import ORDERS
from tests.cuda import running
from tests.cuda.cases import CASES, Case

QUICK = ("elementwise", "rows", "whole", "softmax", "layernorm", "scatter", "running")
GOLDEN = ("elementwise", "elementwise_vectors", "rows", "whole", "softmax", "transposed")


def inputs_of(d: Any, case: Case) -> list[np.ndarray]:
    return [case.arrays[v.name] for v in d.graph.inputs]


def wanted(d: Any, case: Case) -> list[np.ndarray]:
    f = sg.compile(list(d.graph.inputs), case.outputs, mode="interpret")
    return list(f(*inputs_of(d, case)))


def close(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    assert found.dtype == expected.dtype and found.shape == expected.shape, what
    rtol = {"float32": 3e-6, "float64": 1e-14}.get(str(expected.dtype), 0)
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol, err_msg=what)


def _named(name: str) -> Any:
    """The interpreter goes thread by thread and element by element: a few cases are for always."""
    return name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize("name", [_named(n) for n in CASES])
def test_every_order_of_threads_gives_the_result(name: str) -> None:
    case = CASES[name]
    d, program = running.scheduled(*case.outputs)
    expected = wanted(d, case)
    meeting = any(meets(s) for k in kernels(program) for s in k.body)
    orders = ORDERS if meeting else ("mixed",)
    found = [running.interpreted(d, program, inputs_of(d, case), order) for order in orders]
    for k, e in enumerate(expected):
        close(found[0][k], e, f"{name}, result {k}")
        for other in found[1:]:
            np.testing.assert_array_equal(other[k], found[0][k])


@pytest.mark.parametrize("name", GOLDEN)
def test_text_of_schedules(golden: Callable[[str, str], None], name: str) -> None:
    _, program = running.scheduled(*CASES[name].outputs)
    golden(f"cuda/scheduled_{name}", program_text(program))


def _templates() -> dict[str, Any]:
    def known(*shape: int, name: str = "x", dtype: str = "float32") -> Any:
        return sg.tensor(name, dtype=dtype, shape=shape)

    x, i = known(8, 256), known(100, name="i", dtype="int64")
    return {
        "warps": sg.nn.softmax(x, axis=1), "registers": sg.nn.softmax(known(2, 4096), axis=1),
        "skinny": known(4, 40) @ known(40, 300, name="y"),
        "sort": sg.argsort(known(3, 40), axis=1), "merges": sg.sort(known(5000)),
        "scatter": known(9).at[i].add(1.0),
        "cholesky": sg.linalg.cholesky(known(2, 6, 6)),
        "lu": sg.linalg.det(known(5, 5)),
    }  # fmt: skip


@pytest.mark.parametrize("name", _templates())
def test_text_of_templates(golden: Callable[[str, str], None], name: str) -> None:
    _, program = running.scheduled(_templates()[name])
    golden(f"cuda/template_{name}", program_text(program))


@pytest.mark.parametrize("name", CASES)
def test_every_kernel_is_launched(name: str) -> None:
    _, program = running.scheduled(*CASES[name].outputs)
    assert all(launch(k) is not None for k in kernels(program))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1)])
def test_sizes_at_the_edges(shape: tuple[int, int]) -> None:
    x = sg.matrix("x", dtype="float64")
    outputs = [x * 2, x.T + 1, x.sum(), x.sum(axis=0), x.sum(axis=1), sg.nn.softmax(x, axis=1)]
    array = np.random.default_rng(3).standard_normal(shape)
    case = Case(outputs, {"x": array})
    d, program = running.scheduled(*outputs)
    for k, (a, b) in enumerate(
        zip(running.interpreted(d, program, [array]), wanted(d, case), strict=True)
    ):
        close(a, b, f"{shape}, result {k}")


def launches(program: Program) -> int:
    return sum(isinstance(s, Run) for s in program.steps)


def test_long_folds_take_two_launches_and_short_ones_one() -> None:
    long, short = (sg.tensor("x", dtype="float32", shape=(n,)) for n in (100_000, 1000))
    assert launches(running.scheduled(long.sum())[1]) == 2
    assert launches(running.scheduled(short.sum())[1]) == 1
    wide = sg.tensor("x", dtype="float32", shape=(1000, 100_000))
    narrow = sg.tensor("x", dtype="float32", shape=(100_000, 10))
    assert launches(running.scheduled(wide.sum(axis=0))[1]) == 1
    assert launches(running.scheduled(narrow.sum(axis=0))[1]) == 2


def test_equal_kernels_are_one() -> None:
    x, y = sg.vector("x", dtype="float32"), sg.vector("y", dtype="float32")
    _, program = running.scheduled(x[:, None] + 1, sg.exp(y), sg.exp(x.reshape(-1)))
    assert len(kernels(program)) < launches(program) + 1


def test_loops_and_branches_hold_launches() -> None:
    x = sg.vector("x", dtype="float64")
    total = sg.scan(lambda row, t: sg.cond(row > 0, lambda: t + row, lambda: t * 2), [x],
                    [sg.constant(1.0)])  # fmt: skip
    d, program = running.scheduled(total)
    array = np.array([1.0, -2.0, 3.0, -4.0])
    assert kernels(program) and all(launch(k) for k in kernels(program))
    found = running.interpreted(d, program, [array])
    np.testing.assert_allclose(found[0], wanted(d, Case([total], {"x": array}))[0])


def test_new_names_are_not_those_of_a_kernel() -> None:
    """The sum over four axes has indices up to `_r3`, and is done in two launches."""
    x = sg.tensor("x", dtype="float32", shape=(None, 2, 4, 4))
    loss = sg.mean(x**2)
    d, program = running.scheduled(loss, sg.grad(loss, x))
    array = np.random.default_rng(5).standard_normal((3, 2, 4, 4)).astype("float32")
    found = running.interpreted(d, program, [array])
    np.testing.assert_allclose(found[0], np.mean(array**2), rtol=1e-6)
    np.testing.assert_allclose(found[1], array / 48, rtol=1e-6)
