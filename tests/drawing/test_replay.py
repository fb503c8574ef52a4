"""Every state between the user's graph and the optimized one, and that they compute the same."""

from __future__ import annotations

import numpy as np
import pytest

import symgraph as sg
from symgraph import stages
from symgraph.compiler import stage_definition
from symgraph.drawing import replay
from symgraph.drawing.replay import History, Numbers, histories, substitute
from symgraph.ir.interpret import interpret
from symgraph.passes.pipeline import PassRecord


def told(*outputs: sg.Variable) -> tuple[list[History], PassRecord, sg.Graph]:
    record = PassRecord()
    record.near_misses = []
    optimized = stages.optimized_graph(stage_definition(list(outputs)), record)
    return histories(record, optimized, Numbers()), record, optimized


def training_step() -> list[sg.Variable]:
    x = sg.matrix("x", shape=("n", 4))
    start = np.linspace(-1, 1, 12).reshape(4, 3)
    w, b = sg.shared(start, name="w"), sg.shared(np.zeros(3), name="b")
    loss = sg.mean(sg.nn.softmax(sg.relu(x @ w + b)) ** 2.0)
    return [loss, *sg.grad(loss, [w, b])]


def test_rules_alone_explain_an_optimized_graph() -> None:
    (tale,), record, optimized = told(*training_step())
    assert [f for c in tale.changes for f in c.firings] == record.firings
    assert all(c.firings for c in tale.changes)  # no jump
    assert all(v is w for v, w in zip(tale.end.outputs, optimized.outputs, strict=True))


def test_every_state_computes_the_same() -> None:
    (tale,), _, _ = told(*training_step())
    x = np.random.default_rng(0).normal(size=(5, 4))
    want = interpret(tale.start, [x])
    assert len(tale.changes) > 10
    for change in tale.changes:
        for a, b in zip(want, interpret(change.graph, [x]), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_what_is_added_and_removed() -> None:
    x = sg.vector("x")
    (tale,), _, _ = told(sg.exp(sg.log(1 + x) * 2.0))
    (change,) = (c for c in tale.changes if "log1p" in c.firings[0].rule.name)
    assert len(change.added) == 1 and len(change.removed) == 2


def test_loops_have_histories_of_their_own() -> None:
    xs, s = sg.vector("xs", shape=("t",)), sg.scalar("s")
    out = sg.scan(lambda x, a: sg.log(1 + a) + x, [xs], [s])
    tales, _, optimized = told(out)
    assert len(tales) >= 2
    inner = [f.rule.name for tale in tales[:-1] for c in tale.changes for f in c.firings]
    assert any("log1p" in name for name in inner)
    assert tales[-1].end.outputs[0] is optimized.outputs[0]


def test_many_firings_share_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "WORK", 200)
    x = sg.vector("x")
    y = x
    for _ in range(40):
        y = sg.exp(sg.log(1 + y))
    (tale,), record, optimized = told(y)
    assert sum(len(c.firings) for c in tale.changes) == len(record.firings)
    assert len(tale.changes) < len(record.firings) / 4
    assert tale.end.outputs[0] is optimized.outputs[0]


def test_replacements_are_replaced_too() -> None:
    x = sg.vector("x")
    a, b, c = sg.exp(x), sg.log(x), sg.tanh(x)
    (found,), moved = substitute([sg.sin(a)], {a: b, b: c})
    assert found is sg.sin(c) and len(moved) == 1


def test_a_value_inside_its_own_replacement_stays() -> None:
    x = sg.vector("x")
    a = sg.exp(x)
    (found,), _ = substitute([a + 1], {a: sg.tanh(a)})
    assert found is sg.tanh(a) + 1
