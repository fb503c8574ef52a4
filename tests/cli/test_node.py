"""`symgraph explain SUBJECT --node N`: the line, the rules, what it became and where it runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = """\
import numpy as np
import symgraph as sg

x = sg.matrix("x", shape=("n", 4))
w = sg.shared(np.ones((4, 3)), name="w")
scores = x @ w
loss = sg.mean(sg.log(1 + sg.exp(scores)) * 2.0 / 4)
slope = sg.grad(loss, w)
total = sg.sum(x / 3.0)
running = sg.scan(lambda r, s: sg.log(1 + r) + s, [x[:, 0]], [sg.constant(0.0)])
chosen = x[x > 0].sum()
"""


@pytest.fixture
def told(run: Callable, tmp_path: Path) -> Callable[..., dict]:
    file = tmp_path / "story_subject.py"
    file.write_text(PROGRAM)

    def tell(name: str, node: str, *more: str) -> dict:
        said = run("explain", f"{file}:{name}", "--node", node, "--json", *more)
        assert said.status == 0, said.err
        found: dict = json.loads(said.out)
        assert run("explain", f"{file}:{name}", "--node", node, *more).status == 0
        return found

    return tell


def test_a_node_that_a_rule_replaced_as_a_part(told: Callable) -> None:
    story = told("loss", "2")
    assert story["what"] == "add(1.0, %1): float64[n, 3]"
    (place,) = story["places"]
    assert place["line"] == 7 and place["source"][1].strip() == "^" * len("1 + sg.exp(scores)")
    assert [r["rule"] for r in story["rules"]] == [
        "c + x -> x + c",
        "log(1 + exp(x)) -> softplus(x)",
    ]
    last = story["rules"][-1]
    assert last["as_part"] and last["pass"] == "stabilize" and last["class"] == "stable"
    assert last["before"] == "log(add(exp(matmul(...)), 1.0))"
    assert last["after"] == "softplus(matmul(x, w))"
    assert [b["what"] for b in story["becomes"]] == ["softplus(%0)"]


def test_what_nearly_matched_names_the_condition(told: Callable) -> None:
    story = told("total", "0")
    reasons = {m["rule"]: m["reason"] for m in story["nearly"]}
    assert any("does not hold" in r for r in reasons.values()), story
    assert all(m["where"].partition(":")[0].endswith(".py") for m in story["nearly"])


def test_where_it_runs(told: Callable) -> None:
    (row,) = told("loss", "3")["runs"]
    assert row["kernel"] == "kernel0" and "is computed inside" in row["why"]
    assert "it has one consumer" in row["why"] and row["makes"]
    (row,) = told("loss", "0")["runs"]
    assert row["why"] == "matmul calls matmul: routines and loops do not fuse"
    (row,) = told("loss", "6")["runs"]
    assert "it is a fold" in row["why"]


def test_a_node_of_the_optimized_graph(told: Callable) -> None:
    story = told("loss", "1", "--stage", "optimized")
    assert story["optimized"] and story["what"].startswith("softplus(%0)")
    assert story["rules"][-1]["after"] == "softplus(matmul(x, w))"
    assert {p["line"] for p in story["places"]} == {7}


def test_every_node_has_a_story(told: Callable, run: Callable, tmp_path: Path) -> None:
    file = tmp_path / "story_subject.py"
    for name in ("loss", "slope", "total", "running", "chosen"):
        for stage in ("graph", "optimized"):
            said = run("explain", f"{file}:{name}", "--node", "all", "--json", "--stage", stage)
            nodes = json.loads(said.out)["nodes"]
            assert nodes and all(n["line"] for n in nodes), name
            for n in nodes:
                story = told(name, n["node"], "--stage", stage)
                assert story["node"] == n["node"] and story["places"]
                assert story["becomes"] or story["rules"] or story["passes"]


def test_without_a_number_the_nodes_are_shown(run: Callable) -> None:
    said = run("explain", "tests/cli/subjects.py:total")
    assert (
        said.out.startswith("graph(x: float32[n, 4]) {") and "# tests/cli/subjects.py:" in said.out
    )
