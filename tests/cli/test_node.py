"""`symgraph explain SUBJECT --node N`: the line, the rules, what it became and where it runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from symgraph.cli.nearly import near_rules
from symgraph.passes.adapter import TENSORS
from symgraph.passes.pipeline import PIPELINE, PassRecord, optimize
from symgraph.rewrite.match import match
from symgraph.rewrite.rules import RuleSet
from tests.fuzz.case import definition
from tests.fuzz.running import made

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
turned = sg.exp(x).T
scaled = x / sg.sqrt(1 + x * x)
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


def nearly(story: dict) -> dict[str, str]:
    assert all(m["where"].partition(":")[0].endswith(".py") for m in story["nearly"])
    return {m["rule"]: m["reason"] for m in story["nearly"]}


def test_what_nearly_matched_names_the_condition_and_its_constants(told: Callable) -> None:
    assert nearly(told("total", "0"))["x / c -> x * (1 / c)"] == (
        "c is a power of two whose reciprocal is exact: does not hold (c = 3)"
    )


def test_of_a_function_the_line_that_declined_is_told(told: Callable) -> None:
    found = nearly(told("turned", "1"))
    said = found["transpose(x, axes=a) -> transpose_nothing(...)"]
    assert said.startswith("its function declined at views.py:")
    assert said.endswith(": it needs tuple(a) == tuple(range(len(a)))")
    said = nearly(told("total", "1"))["sum(x, axes=a) -> sum_of_nothing(...)"]
    assert said.endswith("because not all((is_one(x.shape[k]) for k in a))")


def test_a_class_that_is_not_admitted_is_near(told: Callable) -> None:
    reason = nearly(told("scaled", "3"))["g / sqrt(f) -> g * rsqrt(f)"]
    assert reason == "it is relaxed: mode run admits exact and stable"


def test_a_rule_of_which_the_node_is_a_part_is_near(told: Callable) -> None:
    story = told("loss", "4")
    (outer,) = [m for m in story["nearly"] if m["rule"].endswith("sum_of_outer_products(...)")]
    assert outer["as_part"] and outer["at"].startswith("sum(multiply(")
    roots = [m["as_part"] for m in story["nearly"]]
    assert roots == sorted(roots)  # those at the node itself come first


def test_near_rules_are_those_that_match_and_do_not_fire() -> None:
    """On every value of many graphs: nothing that matched is forgotten, nothing else is told."""
    for seed in range(12):
        d = definition(made(seed))
        record = PassRecord()
        record.near_misses = []
        optimize(d.graph, record=record)
        for node in d.graph.toposort():
            value = node.outputs[0]
            told = {n.rule.name for n in near_rules(record, [value]) if not n.as_part}
            for miss in record.near_misses:
                if miss.value is value and miss.rule.root:
                    assert miss.rule.name in told
            for rule in (r for p in PIPELINE if isinstance(p.work, RuleSet) for r in p.work):
                if rule.name in told:
                    assert match(rule.pattern, value, TENSORS, lambda b: b) is not None


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


LOOP = """
import numpy as np
import symgraph as sg

x, h = sg.matrix("x", shape=("n", 4)), sg.vector("h", shape=(4,))
w = sg.shared(np.ones((4, 4)), name="w")
def step(row, state):
    return sg.tanh(
        state @ w + row)
last = sg.scan(step, [x], [h])[-1]
slope = sg.grad(sg.sum(last), w)
"""


def test_a_node_inside_a_loop_is_told_its_kernel(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "loop_subject.py").write_text(LOOP)
    subject = f"{tmp_path}/loop_subject.py:slope"
    nodes = json.loads(run("explain", subject, "--node", "all", "--json").out)["nodes"]
    inner = [n["node"] for n in nodes if n["op"] == "tanh"]
    assert inner
    loops: list[dict] = []
    for node in inner:
        story = json.loads(run("explain", subject, "--node", node, "--json").out)
        assert story["runs"] and all("not computed" not in r["why"] for r in story["runs"])
        loops += [r for r in story["runs"] if "in each turn of scan" in r["why"]]
    text = run("dump", subject, "--stage", "program").out
    kernels = {r["kernel"] for r in loops if r["kernel"]}
    assert kernels and all(f"run {k}(" in text for k in kernels)


def test_the_results_of_a_loop_are_one_row(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "loop_subject.py").write_text(LOOP)
    said = run("explain", f"{tmp_path}/loop_subject.py:slope", "--node", "all", "--json")
    scan = next(n["node"] for n in json.loads(said.out)["nodes"] if n["op"] == "scan")
    said = run("explain", f"{tmp_path}/loop_subject.py:slope", "--node", scan)
    assert said.out.count("is a step of its own") == said.out.count(" = scan(") - 1
