"""Rows that are asked for ahead: the bits are those of kernels that do not ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config, stages
from symgraph.codegen import ahead_llvm, llvm
from symgraph.compiler import stage_definition

FORMULAS: dict[str, Callable[[Any], Any]] = {
    "softmax": lambda x: sg.nn.softmax(x, axis=-1),
    "layernorm": lambda x: sg.nn.layer_norm(x, -1),
    "logsumexp": lambda x: sg.logsumexp(x, axis=-1),
    "variance": lambda x: sg.var(x, axis=-1),
    "two results": lambda x: (x - sg.mean(x, axis=-1, keepdims=True), sg.max(x, axis=-1)),
    "distance": lambda x: sg.sum(sg.square(x - x[::-1]) / sg.sum(x * x, -1, keepdims=True), -1),
}


@pytest.fixture(autouse=True)
def every_kernel_is_made_anew() -> Iterator[None]:
    with config.change(cache=False, parallel_from=0):
        yield


def asks(result: Any, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each array that the rows of some kernel ask for, whether it is written."""
    plan, found = ahead_llvm._plan, []

    def watched(*args: Any) -> Any:
        made = plan(*args)
        if made is not None:
            found.extend(x.written for x in made.streams)
        return made

    d = stage_definition(result)
    graph = stages.optimized_graph(d)
    with monkeypatch.context() as patch:
        patch.setattr(ahead_llvm, "_plan", watched)
        text = stages.emit(d, graph, stages.lower(d, graph)).text
    assert not found or "call void @llvm.prefetch" in text
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("name", FORMULAS)
def test_bits_are_those_of_kernels_that_do_not_ask(
    name: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of all lengths and any number, in memory that ends with the last one."""
    x = sg.tensor("x", dtype=dtype, shape=(None, None, None))
    asking = sg.compile([x], FORMULAS[name](x))
    monkeypatch.setattr(ahead_llvm, "MOST", 0)
    plain = sg.compile([x], FORMULAS[name](x))
    assert not asks(FORMULAS[name](x), monkeypatch)
    rng = np.random.default_rng(7)
    for shape in [(1, 1, 1), (1, 3, 65), (2, 12, 17), (1, 2, 1000), (3, 7, 64), (0, 4, 4)]:
        value = rng.normal(size=shape).astype(dtype)
        for a, b in zip(leaves(asking(value)), leaves(plain(value)), strict=True):
            np.testing.assert_array_equal(a, b)


def test_folds_inside_folds_ask_for_nothing_that_is_not_known_yet() -> None:
    """What the outer fold asks for must not depend on the inner one's index."""
    x, i = sg.tensor("x", shape=(3, None, 17)), sg.tensor("i", dtype="int64", shape=(3,))
    for result in (sg.sum(sg.tanh(x), (0, 1)), sg.sum(sg.tanh(sg.take(x, i, 0)), (0, 1))):
        d = stage_definition(result)
        graph = stages.optimized_graph(d)
        text = stages.emit(d, graph, stages.lower(d, graph, False)).text
        assert "define void @" in text


@pytest.mark.parametrize("rows", [1, 5, 40])
def test_rows_whose_numbers_are_found_are_asked_for(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers are read no further than the last, which is the end of the memory here."""
    rng = np.random.default_rng(rows)
    i, x = sg.vector("i", dtype="int64"), sg.matrix("x")
    result = sg.sum(x[i], 0)
    asking = sg.compile([i, x], result)
    monkeypatch.setattr(ahead_llvm, "found_rows", lambda *_: None)
    plain = sg.compile([i, x], result)
    table = rng.normal(size=(7, 33))
    index = np.empty(512 + rows, "int64")[512:]
    index[:] = rng.integers(0, 7, rows)
    np.testing.assert_array_equal(asking(index, table), plain(index, table))
    np.testing.assert_allclose(plain(index, table), table[index].sum(0))


def leaves(result: Any) -> list[np.ndarray]:
    return [np.asarray(a) for a in (result if isinstance(result, (list, tuple)) else [result])]


def test_the_slowest_pass_asks_for_what_is_read_and_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = sg.matrix("x", dtype="float32")
    assert asks(sg.nn.softmax(x, axis=1), monkeypatch) == [False, True]
    assert asks(sg.nn.layer_norm(x, 1), monkeypatch) == [False, True]
    assert asks(sg.logsumexp(x, axis=1), monkeypatch) == [False]


def test_nobody_asks_where_rows_pass_once_or_are_tiny_or_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = sg.matrix("x", dtype="float32")
    assert not asks(sg.sum(x, axis=1), monkeypatch) and not asks(sg.exp(x), monkeypatch)
    for columns, wanted in ((10, []), (500, [False, True]), (1 << 20, [])):
        x = sg.tensor("x", dtype="float32", shape=(None, columns))
        assert asks(sg.nn.softmax(x, axis=1), monkeypatch) == wanted


def test_stacks_are_aligned_where_registers_are_put_there() -> None:
    """A register across two pages is slow; LLVM aligns them only when it is told early."""
    x = sg.matrix("x", dtype="float32")
    for formula, wanted in ((sg.logsumexp(x, axis=1), True), (x + 1, False)):
        d = stage_definition(formula)
        graph = stages.optimized_graph(d)
        text = stages.emit(d, graph, stages.lower(d, graph)).kernels["kernel0"]
        assert (f"alignstack({llvm.host().vector_bits // 8})" in text) == wanted
