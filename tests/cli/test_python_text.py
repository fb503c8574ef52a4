"""`symgraph dump --format python`: the program that is printed builds the very graph again."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import symgraph as sg
from symgraph.cli.problems import SubjectError
from symgraph.cli.python_text import python_text
from symgraph.ir.graph import Graph
from symgraph.ir.hashing import shared_variables
from symgraph.ir.text import GraphPrinter, graph_text
from symgraph.passes.pipeline import optimize
from tests.fuzz.case import definition
from tests.fuzz.running import made
from tests.ops import evaluation
from tests.ops.test_registry import ALL, outputs_of

FILE = "tests/cli/subjects.py"
GROUP = 100
OPAQUE = ("python_op", "python_op_forward")  # hold a function of Python


def built(text: str) -> Graph:
    """What the program builds."""
    names: dict[str, object] = {}
    exec(compile(text, "<printed>", "exec"), names)
    graph = names["graph"]
    assert isinstance(graph, Graph)
    return graph


def check(graph: Graph) -> str:
    """The text of the graph, which must come back with all its data; returns the program."""
    text = python_text(graph, "it")
    again = built(text)
    before, after = GraphPrinter(graph), GraphPrinter(again)
    assert before.lines == after.lines
    assert [v.name for v in graph.inputs] == [v.name for v in again.inputs]
    for a, b in zip(shared_variables(graph), shared_variables(again), strict=True):
        assert a.get_value().tobytes() == b.get_value().tobytes() and a.type == b.type
    return text


@pytest.mark.parametrize("first", range(0, len(ALL), GROUP))
def test_samples_of_all_ops(first: int) -> None:
    for s in ALL[first : first + GROUP]:
        if s.op in OPAQUE:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            own = evaluation.inputs_for(list(s.arrays), s.symbolic)
            outputs = outputs_of(s.build(*own))
        check(Graph(own, outputs))


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs(seed: int) -> None:
    """With loops, branches, sizes of all kinds, shared variables; also as the rules leave them."""
    d = definition(made(seed))
    check(d.graph)
    check(optimize(d.graph))


def test_it_reads_like_what_was_written() -> None:
    x = sg.matrix("x", dtype="float32", shape=("n", 3))
    w = sg.shared(np.ones((3, 2), "float32"), name="w")
    scores = x @ w / 2
    scores.name = "scores"
    y = sg.sum(sg.exp(-scores[1:3]), axis=1)
    text = check(Graph([x], [y, sg.reshape(x, (x.shape[0] * 3,)), x[:, 1:], x[::-2]]))
    assert (
        text[text.index("x = sg") :]
        == """\
x = sg.tensor("x", "float32", ("n", 3))
w = sg.shared(np.full((3, 2), 1.0, "float32"), "w")
v2 = x @ w
scores = v2 / 2.0
scores.name = "scores"
n = var("n")
v4 = scores[1:3]
v5 = -v4
v6 = sg.exp(v5)
v7 = sg.sum(v6, axis=1)
v8 = sg.reshape(x, shape=(3*n,))
v9 = x[:, 1:3]
v10 = x[::-2]

graph = Graph([x], [v7, v8, v9, v10])"""
    )


def test_names_that_are_no_words() -> None:
    names = ["class", "sg", "np", "a b", 'say "hi"', "it's", "\n#", "ü", "x", "x", None]
    inputs = [sg.vector(n, shape=(k + 1,)) for k, n in enumerate(names)]
    check(Graph(inputs, [sg.exp(v) for v in inputs]))
    sizes = [sg.vector("n", shape=("n",)), sg.vector("m", shape=("class",))]
    check(Graph(sizes, [sg.zeros((v.shape[0] + 1,)) for v in sizes]))


def test_every_bit_of_constants_comes_back() -> None:
    strange = np.array([np.nan, -np.nan, 0.0, -0.0, np.inf, 5e-324])
    strange.view("uint64")[0] += 3  # a NaN with a payload
    arrays = [strange, strange[:1].reshape(()), np.arange(300.0), np.zeros((0, 3)),
              np.array([1 + 2j, -0.0j]), np.full((20, 20), -1.5, "float16"),
              np.array(True), np.array([2**63], "uint64")]  # fmt: skip
    x = sg.scalar("x")
    outputs = [sg.constant(a) for a in arrays]
    again = built(check(Graph([x], [x, *outputs])))
    for a, v in zip(arrays, again.outputs[1:], strict=True):
        assert v.data.tobytes() == a.tobytes()  # type: ignore[attr-defined]


def test_a_deep_chain() -> None:
    x = sg.vector("x", shape=("n",))
    y: sg.Variable = x
    for _ in range(5000):
        y = sg.exp(-y)
    check(Graph([x], [y]))


def test_what_holds_a_function_of_python_is_refused() -> None:
    @sg.python_op(infer="float64[n] -> float64[n]")
    def own(a: np.ndarray) -> np.ndarray:
        return a

    x = sg.vector("x")
    with pytest.raises(SubjectError, match="cannot be written as Python: it holds") as caught:
        python_text(Graph([x], [sg.exp(own(x))]), "it")
    said = caught.value.report()
    assert "the Python function own" in said and f"{Path(__file__).name}:" in said
    assert "own(x)" in said
    y = sg.scan(lambda s: own(s), None, [x], n_steps=3)
    with pytest.raises(SubjectError, match="cannot be written") as caught:
        python_text(Graph([x], [y]), "it")
    assert "lambda s: own(s)" in caught.value.report()


# from the command line ----------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["graph", "optimized"])
@pytest.mark.parametrize("name", ["scores", "both", "train", "graph"])
def test_the_program_is_a_subject_again(
    run: Callable, tmp_path: Path, name: str, stage: str
) -> None:
    path = tmp_path / "again.py"
    assert run("dump", f"{FILE}:{name}", "--stage", stage, "-o", str(path)).status == 0
    before = run("dump", f"{FILE}:{name}", "--stage", stage).out
    assert run("dump", f"{path}:graph").out == before


def test_updates_have_names_of_their_own(run: Callable) -> None:
    text = run("dump", f"{FILE}:train", "--format", "python").out
    assert "\noutputs = [v" in text and "\nupdates = {w: v" in text
    again = built(text)
    assert len(again.outputs) == 2


def test_as_a_process_of_its_own(run: Callable, tmp_path: Path) -> None:
    path = tmp_path / "again.py"
    path.write_text(run("dump", "examples/digits_mlp.py:step", "--format", "python").out)
    with path.open("a") as file:
        file.write("from symgraph.ir.text import graph_text\nprint(graph_text(graph))\n")
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == run("dump", "examples/digits_mlp.py:step").out


def test_redacted_it_still_runs(run: Callable, tmp_path: Path) -> None:
    path = tmp_path / "secret.py"
    path.write_text(
        "import symgraph as sg\n"
        "private = sg.tensor('private', shape=('patients', 3))\n"
        "weights = sg.shared([[7.125, 8.0], [9.0, 1.0], [0.0, 1.0]], name='hidden')\n"
        "y = sg.reshape(private @ weights + [3.5, 4.5], (private.shape[0] * 2,))\n"
    )
    text = run("dump", f"{path}:y", "--format", "python", "--redact").out
    for word in ("private", "patients", "7.125", "hidden", "3.5", "secret"):
        assert word not in text
    again = built(text)
    assert graph_text(again).count("add") == 1
    assert again.inputs[0].type.text() == "float64[s0, 3]"
