"""Rules of the caller's own, and a monitor of the interpreter."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config
from symgraph.errors import ArgumentError, DebugError, RewriteError
from symgraph.passes.pipeline import optimize
from symgraph.rewrite import RELAXED, const, match_op, rule, rule_function, wild

x, y, c = wild("x"), wild("y"), const("c")
a, b = sg.vector("a", shape=("n",)), sg.vector("b", shape=("n",))
A, B = np.array([0.5, 1.0, 2.0]), np.array([1.5, -1.0, 0.25])
ADDITION = rule(sg.sin(x) * sg.cos(y) + sg.cos(x) * sg.sin(y), sg.sin(x + y))
FORMULA = sg.sin(a) * sg.cos(b) + sg.cos(a) * sg.sin(b)


def ops(e: Any, *rules: Any) -> list[str]:
    return [n.op.name for n in optimize(sg.Graph([a, b], [e]), rules=rules).toposort()]


def test_an_equation_is_used() -> None:
    assert ops(FORMULA).count("cos") == 2
    assert ops(FORMULA, ADDITION) == ["add", "sin"]
    for mode in ("run", "debug"):
        f = sg.compile([a, b], FORMULA, rules=[ADDITION], mode=mode)
        np.testing.assert_allclose(f(A, B), np.sin(A + B))


def test_one_rule_needs_no_list_and_inner_graphs_are_reached() -> None:
    total = sg.scan(lambda u, s: s + (sg.sin(u) * sg.cos(s) + sg.cos(u) * sg.sin(s)), a, [b[0]])
    plain, own = (sg.compile([a, b], total, rules=r) for r in ((), ADDITION))
    np.testing.assert_allclose(own(A, B), plain(A, B))
    graph = optimize(sg.Graph([a, b], [sg.as_variable(total)]), rules=[ADDITION])
    inner = [n.op.inner()[0] for n in graph.toposort() if hasattr(n.op, "inner")]
    assert inner and not any(n.op.name == "cos" for g in inner for n in g.toposort())


def test_rules_see_what_was_written_and_what_other_rules_made_of_it() -> None:
    # `log(1 + x)` becomes log1p(x) in the pipeline; a rule for either is used
    for left in (sg.log(1 + x), sg.log1p(x)):
        assert "sqrt" in ops(sg.log(1 + a), rule(left, sg.sqrt(x), klass=RELAXED))


def test_conditions_and_functions() -> None:
    def large(c: Any) -> bool:
        """c is above 10"""
        return float(c.data) > 10

    cut = rule(sg.minimum(x, c), x, when=large)
    assert "minimum" not in ops(sg.minimum(a, 11.0), cut)
    assert "minimum" in ops(sg.minimum(a, 9.0), cut)

    def halves(x: Any, axes: Any) -> Any:
        """a sum of halves"""
        return None if axes != (0,) else (sg.exp(x) / 2).sum() * 2

    made = rule_function(match_op("sum", sg.exp(x), axes=sg.rewrite.attr("axes")), halves)
    f = sg.compile([a], sg.exp(a).sum(), rules=[made])
    np.testing.assert_allclose(f(A), np.exp(A).sum())
    assert "divide" in ops(sg.exp(a).sum(), made) or "multiply" in ops(sg.exp(a).sum(), made)


def test_relaxed_rules_are_used_because_they_were_asked_for() -> None:
    assert "exp" not in ops(sg.exp(a), rule(sg.exp(x), 1 + x, klass=RELAXED))


def test_debug_mode_judges_them() -> None:
    wrong = rule(sg.exp(x), 1 + x)
    f = sg.compile([a], sg.exp(a), rules=[wrong], mode="debug")
    with pytest.raises(DebugError, match=r"exp\(x\) -> 1 \+ x"):
        f(A)
    assert sg.compile([a], sg.exp(a), rules=[wrong])(A).tolist() == (1 + A).tolist()


def test_rules_that_never_end_are_an_error() -> None:
    swap = [rule(sg.sin(x), sg.cos(x)), rule(sg.cos(x), sg.sin(x))]
    with pytest.raises(RewriteError, match=r"never end.*sin\(x\) -> cos\(x\)"):
        sg.compile([a], sg.sin(a), rules=swap)


def test_what_is_no_rule_is_refused() -> None:
    with pytest.raises(ArgumentError, match="is no rule"):
        sg.compile([a], a, rules=[sg.sin])
    with pytest.raises(ValueError, match="unbound"):
        rule(sg.sin(x), sg.sin(y))


def test_functions_with_rules_are_not_kept(tmp_path: Any) -> None:
    with config.change(cache_dir=str(tmp_path)):
        for _ in range(2):
            f = sg.compile([a, b], FORMULA, rules=[ADDITION])
            assert not f.statistics["cached"]
        sg.compile([a, b], FORMULA)
        assert sg.compile([a, b], FORMULA).statistics["cached"]


def test_a_pickled_function_has_its_rules() -> None:
    f = pickle.loads(pickle.dumps(sg.compile([a, b], FORMULA, rules=[ADDITION])))
    assert f.definition.options["rules"][0].equation() == ADDITION.equation()
    np.testing.assert_allclose(f(A, B), np.sin(A + B))


# what fired ---------------------------------------------------------------------------------------


def test_a_function_tells_the_rules_that_fired() -> None:
    f = sg.compile([a, b], FORMULA + sg.log(1 + a), rules=[ADDITION])
    told = [(step.pass_name, step.rule.equation()) for step in f.rewrites()]
    assert ("rules", ADDITION.equation()) in told
    assert ("stabilize", "log(1 + x) -> log1p(x)") in told
    line = next(str(s) for s in f.rewrites() if s.pass_name == "rules")
    assert line.startswith("rules: ") and "test_own_rules.py:" in line
    assert sg.compile([a], a, mode="interpret").rewrites() == []


# a monitor ----------------------------------------------------------------------------------------


def test_a_monitor_sees_every_value() -> None:
    seen: list[tuple[str, list[Any], list[Any]]] = []

    def note(node: Any, inputs: Any, outputs: Any) -> None:
        seen.append((node.op.name, [v.tolist() for v in inputs], [v.tolist() for v in outputs]))

    f = sg.compile([a], sg.exp(a).sum(), mode="interpret", monitor=note)
    f([0.0, 0.0])
    assert seen == [("exp", [[0.0, 0.0]], [[1.0, 1.0]]), ("sum", [[1.0, 1.0]], [2.0])]


def test_a_monitor_sees_each_turn_of_a_loop_and_may_stop_it() -> None:
    states: list[float] = []

    def note(node: Any, inputs: Any, outputs: Any) -> None:
        if node.op.name == "multiply":
            states.append(outputs[0].item())
            if outputs[0] > 5:
                raise OverflowError("enough")

    doubled = sg.scan(lambda s: s * 2.0, None, [sg.constant(1.0)], n_steps=10)
    f = sg.compile([], doubled, mode="interpret", monitor=note)
    with pytest.raises(OverflowError, match="enough"):
        f()
    assert states == [2.0, 4.0, 8.0]


def test_native_functions_have_no_monitor() -> None:
    with pytest.raises(ArgumentError, match="monitor"):
        sg.compile([a], a, monitor=print)
