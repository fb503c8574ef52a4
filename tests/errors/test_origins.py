"""Every node knows the user's lines that it comes from: as it is built, after the passes, in
derivatives and batches and inside loops, and every step of the program that is made of it."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import symgraph as sg
from symgraph import compiler, stages
from symgraph.errors import SymgraphError, VerifyError
from symgraph.ir.graph import Apply, Graph, Variable, apply
from symgraph.ir.hashing import inner_graphs
from symgraph.loops.program import Branch, Call, Loop, Program, Run
from symgraph.lower import build
from symgraph.passes.pipeline import PIPELINE, _check, optimize
from tests.fuzz.case import definition
from tests.fuzz.running import made
from tests.ops import evaluation
from tests.ops.test_registry import ALL, outputs_of

PACKAGE = str(Path(sg.__file__).parent)
NOT_THE_USERS = {contextlib.__file__, functools.__file__, stages.__file__, build.__file__}
GROUP = 60


def nodes(graph: Graph) -> Iterator[Apply]:
    """The nodes of a graph and of the graphs inside it."""
    for n in graph.toposort():
        yield n
        for g in inner_graphs(n.op):
            yield from nodes(g)


def check(graph: Graph, what: str) -> None:
    for g in (graph, optimize(graph)):
        for n in nodes(g):
            assert n.origins, f"{what}: {n!r} has no origin"
            assert all(not o.location().file.startswith(PACKAGE) for o in n.origins[:1]), what


def steps(program: Program) -> Iterator[Any]:
    for s in program.steps:
        if isinstance(s, Run | Call):
            yield s
        elif isinstance(s, Loop):
            yield from steps(s.body)
        elif isinstance(s, Branch):
            yield from steps(s.then)
            yield from steps(s.otherwise)


def scalar(outputs: list[Variable]) -> Any:
    floats = [o for o in outputs if o.dtype in ("float32", "float64")]
    return sum(sg.sum(o) for o in floats) if floats else None


@pytest.mark.parametrize("first", range(0, len(ALL), GROUP))
def test_samples_and_their_derivatives_and_batches(first: int) -> None:
    for s in ALL[first : first + GROUP]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            own = evaluation.inputs_for(list(s.arrays), s.symbolic)
            built = outputs_of(s.build(*own))
        check(Graph(own, built), s.op)
        floats = [v for v in own if v.dtype in ("float32", "float64")]
        cost = scalar(built)
        if s.grad and floats and cost is not None:
            try:
                slopes = sg.grad(cost, floats, disconnected="zero")
            except SymgraphError:
                continue
            check(Graph(own, slopes), f"grad of {s.op}")


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs(seed: int) -> None:
    d = definition(made(seed))
    check(d.graph, f"seed {seed}")
    try:
        program = stages.lower(d, optimize(d.graph))
    except SymgraphError:
        return  # a program in parts, which is lowered part by part
    found = list(steps(program))
    assert all(s.origins for s in found), seed
    assert not {o.location().file for s in found for o in s.origins} & NOT_THE_USERS, seed


def test_what_lowering_checks_belongs_to_the_line_that_it_checks() -> None:
    x, i = sg.vector("x"), sg.vector("i", dtype="int64")
    picked = x[i]
    d = compiler.stage_definition([picked], "f")
    program = stages.lower(d, optimize(d.graph))
    origins = {o for s in steps(program) for o in s.origins}
    assert len(list(steps(program))) > 1  # the check and the reading
    assert {o.location().source_line.strip() for o in origins} == {"picked = x[i]"}


def test_batches() -> None:
    x = sg.matrix("x", shape=("n", 4))
    y = sg.vmap(lambda r: sg.scan(lambda a, s: sg.tanh(a + s), [r], [sg.constant(0.0)]).sum())(x)
    check(Graph([x], [sg.grad(y.sum(), x)]), "vmap of scan")


def test_a_replacement_has_the_lines_of_all_that_it_replaces() -> None:
    x = sg.vector("x")
    e = sg.exp(x)
    one = e + 1
    y = sg.log(one)
    (after,) = optimize(Graph([x], [y])).outputs
    assert after.owner is not None and after.owner.op.name == "softplus"
    lines = [o.location().source_line.strip() for o in after.owner.origins]
    assert lines == ["y = sg.log(one)", "one = e + 1", "e = sg.exp(x)"]


def test_a_pass_that_loses_them_is_found() -> None:
    x = sg.vector("x")
    y = sg.exp(x)
    assert y.owner is not None
    lost = apply(y.owner.op, [apply(y.owner.op, [x], ()).output], ())
    step = next(p for p in PIPELINE if p.name == "specialize")
    with pytest.raises(VerifyError, match=r"specialize: .* belongs to no line"):
        _check(step, Graph([x], [y]), Graph([x], [lost.output]))


def test_an_expression_that_is_written_twice_keeps_its_first_line() -> None:
    """Nodes are unique, so the second line gives the node of the first."""
    x = sg.vector("x")
    first = sg.exp(x) * 3.25
    second = sg.exp(x) * 3.25
    assert first is second and second.origin is not None
    assert second.origin.location().source_line.strip().startswith("first = ")
