"""What the rules made of a graph before its derivatives, read back from the disk cache."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.autodiff import repairs
from symgraph.ir import replay
from symgraph.ir.graph import Graph, toposort
from symgraph.ir.text import graph_text
from symgraph.ops.settled import mark_of, marked
from symgraph.runtime.cache import open_cache

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path) -> Iterator[Path]:
    with sg.config.change(cache_dir=str(tmp_path), cache=True):
        yield tmp_path


def bell() -> Any:
    x = sg.vector("x", shape=("n",))
    off = x - sg.mean(x)
    return sg.sum(sg.exp(-(off * off) / 2) / sg.sqrt(1 + off * off))


def entropy() -> Any:
    z = sg.matrix("z", "float32", shape=("n", 10))
    p = sg.exp(z) / sg.sum(sg.exp(z), axis=1, keepdims=True)
    return -sg.mean(sg.log(p + 1e-9))


def loop() -> Any:
    x = sg.vector("x", shape=(8,))
    s = sg.scan(lambda x, s: sg.log(1 + sg.exp(s * x * x)), x, sg.constant(0.5))[1]
    return sg.sum(s * s)


def choice() -> Any:
    x = sg.scalar("x")
    return sg.cond(x > 0, lambda: sg.log(1 + x) / x, lambda: (sg.exp(x) - 1) / x)


def covariance() -> Any:
    x = sg.matrix("x", shape=(5, 3))
    factor = sg.linalg.cholesky(x @ x.T + sg.eye(5))
    return sg.sum(sg.log(sg.diagonal(factor))) + sg.sum(sg.linalg.inv(factor) ** 2)


GRAPHS: list[Callable[[], Any]] = [bell, entropy, loop, choice, covariance]


def text(outputs: Any) -> str:
    return graph_text(Graph((), outputs))


def lines(outputs: Any) -> list[Any]:
    """Where each node comes from, and whether it is part of a stable formula."""
    found: list[Any] = []
    for node in toposort(outputs):
        found.append((node.op.name, node.origins, [mark_of(v) for v in node.outputs]))
        inner = getattr(node.op, "inner", None)
        for graph in inner() if callable(inner) else ():
            found += lines(graph.outputs)
    return found


@pytest.mark.parametrize("build", GRAPHS)
def test_rows_give_the_graph_that_the_rules_gave(build: Callable[[], Any]) -> None:
    before = build()
    after = repairs.repaired([before], [])
    assert after[0] is not before
    held = replay.Numbering([before])
    rows = replay.written(held, after, mark_of)
    again = replay.followed(held, rows, marked)
    assert again is not None and text(again) == text(after)
    loops = any(hasattr(node.op, "inner") for node in toposort(after))
    assert loops or again[0] is after[0]  # nodes are unique but for graphs of their own
    wanted, places = text(after), lines(after)
    del after, again
    gc.collect()
    made = replay.followed(held, rows, marked)
    assert made is not None and text(made) == wanted and lines(made) == places


@pytest.mark.parametrize("build", GRAPHS)
def test_rows_are_read_for_another_graph_of_the_same_form(
    build: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build()
    wanted = text(repairs.repaired([first], []))
    cache = open_cache()
    assert cache is not None and cache.stats()["kinds"] == {"repaired": 1}
    second = build()
    assert second is not first
    refused: Any = pytest.fail
    monkeypatch.setitem(repairs.LANGUAGE, "repaired", refused)
    found = repairs.repaired([second], [])
    assert text(found) == wanted
    old = {o for node in toposort([second]) for o in node.origins}
    assert all(node.origins and set(node.origins) <= old for node in toposort(found))


def test_lines_that_are_shared_otherwise_have_rows_of_their_own() -> None:
    def near(apart: bool) -> Any:
        x = sg.vector("x", shape=(4,))
        parts = [sg.log(1 + x), sg.log(2 + x)] if apart else [sg.log(k + x) for k in (1, 2)]
        return sg.sum(parts[0] / parts[1] / 3)

    for apart in (False, True, True, False):
        before = near(apart)
        (after,) = repairs.repaired([before], [])
        log1p = next(node for node in toposort([after]) if node.op.name == "log1p")
        log = next(node for node in toposort([before]) if node.op.name == "log")
        assert set(log.origins) <= set(log1p.origins)
    cache = open_cache()
    assert cache is not None and cache.stats()["kinds"] == {"repaired": 2}


def test_what_is_fixed_is_part_of_the_key() -> None:
    x = sg.scalar("x")
    y = 1 + x
    z = sg.log(y) / 3
    assert any(n.op.name == "log1p" for n in toposort(repairs.repaired([z], [])))
    for _ in range(2):
        kept = repairs.repaired([z], [y])
        assert not any(n.op.name == "log1p" for n in toposort(kept))


def test_sizes_that_data_tell_are_left_to_the_rules() -> None:
    x = sg.vector("x")
    some = x[x > 0]
    y = sg.sum(sg.log(1 + some) / some)
    for _ in range(2):
        assert any(n.op.name == "log1p" for n in toposort(repairs.repaired([y], [])))
    cache = open_cache()
    assert cache is not None and not cache.stats()["entries"]


def test_rows_that_do_not_fit_are_not_followed() -> None:
    held = replay.Numbering([bell()])
    good = {"rows": [[["square", "", None], [0], [0], [0]]], "outputs": [1]}
    assert replay.followed(held, good, marked) is not None
    faults: list[Any] = [
        {},
        {"rows": [], "outputs": [99]},
        {"rows": [], "outputs": []},
        {"rows": [[["square", "", None], [99], [0], [0]]], "outputs": [1]},
        {"rows": [[["no such op", "", None], [0], [0], [0]]], "outputs": [1]},
        {"rows": [[["no such op", "os", None], [0], [0], [0]]], "outputs": [1]},
        {"rows": [[["square", "", None], [0, 0], [0], [0]]], "outputs": [1]},
        {"rows": [["float64", [3], "00"]], "outputs": [1]},
        {"rows": [5], "outputs": [1]},
    ]
    for bad in faults:
        assert replay.followed(held, bad, marked) is None


def test_a_warm_gradient_loads_no_rules(fresh: Path) -> None:
    program = """
import sys, symgraph as sg
x = sg.vector("x", shape=("n",))
f = sg.compile([x], sg.grad(sg.sum(sg.exp(-x * x) / (1 + sg.exp(x))), x))
print(f([0.5, 1.0]).tolist(), f.statistics["cached"], "symgraph.passes.pipeline" in sys.modules)
"""
    config = {"SYMGRAPH_CACHE_DIR": str(fresh), "PYTHONPATH": str(ROOT)}
    runs = [
        subprocess.run(
            [sys.executable, "-c", program], env=config, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert runs[0].endswith("False True\n") and runs[1].endswith("True False\n")
    assert runs[0].split("]")[0] == runs[1].split("]")[0]


def test_without_a_cache_the_rules_work_alone() -> None:
    with sg.config.change(cache=False):
        x = sg.scalar("x")
        slope = sg.grad(sg.log(1 + x) / x, x)
    np.testing.assert_allclose(slope.eval({x: 1e-9}), -0.5, rtol=1e-6)
