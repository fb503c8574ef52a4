"""Every rule on both sides: EXACT the same bits, STABLE not less accurate, RELAXED nearly equal.

The samples come from the patterns (equations.py); a rule that no sample reaches fails as well.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import symgraph as sg
from symgraph.ir.graph import Graph
from symgraph.ops.arithmetic import maximum, sqrt, square
from symgraph.ops.exponential import exp, log, log1p
from symgraph.ops.reductions import sum as sum_
from symgraph.ops.shape import Transpose
from symgraph.passes.adapter import TENSORS
from symgraph.passes.pipeline import PIPELINE, optimize
from symgraph.rewrite.engine import Record, rewrite
from symgraph.rewrite.pattern import attr, wild
from symgraph.rewrite.rules import CLASSES, EXACT, RELAXED, STABLE, RuleSet, rule, rule_function
from tests.passes.equations import failures, sides

SETS = list({p.name: p.work for p in PIPELINE if isinstance(p.work, RuleSet)}.values())
RULES = [pytest.param(s, r, id=f"{s.name}: {r.name}") for s in SETS for r in s]


@pytest.mark.parametrize("rules, one", RULES)
def test_both_sides_agree(rules, one):
    count, wrong = failures(one)
    assert not wrong, f"{one.location()}: " + "\n".join(wrong)
    assert count, f"no sample matches {one!r}: give it an example in equations.EXAMPLES"


@pytest.mark.parametrize("rules, one", RULES)
def test_the_rule_is_reached(rules, one):
    """Inner parts are rewritten first: a left side that they never leave would be dead code."""
    record = Record()
    for left, inputs in sides(one):
        optimize(Graph(inputs, [left]), "debug", record)
        if one.klass == RELAXED:
            rewrite([left], rules, TENSORS, admit=CLASSES, record=record)
        if any(f.rule is one for f in record.firings):
            return
    pytest.fail(f"{one!r} ({one.location()}) never fires on its own left side")


x, y, f = wild("x"), wild("y"), wild("f", "f")
a, b = attr("a"), attr("b")


@pytest.mark.parametrize(
    "wrong",
    [
        rule(x + 0, x, klass=EXACT),  # -0.0
        rule(f - f, 0, klass=EXACT),  # NaN, inf
        rule(x * 0, 0, klass=EXACT),
        rule(maximum(x, y), x, klass=EXACT),
        rule(x - y, x + y, klass=EXACT),
        rule(log(1 + x), log(x), klass=STABLE),
        rule(log1p(x), log(1 + x), klass=STABLE),  # less accurate
        rule(log(sum_(exp(x), axis=a)), log(sum_(x, axis=a)), klass=STABLE),
        rule(square(x) / x, x, klass=EXACT),
        rule(sqrt(square(f)), f, klass=STABLE),  # negative numbers
        rule(exp(f) * exp(-f), 1, klass=STABLE),  # hides NaN
        rule(log(f / y), log(f) - log(y), klass=STABLE),  # two negative numbers
        rule(exp(f + y), exp(f) - exp(y), klass=RELAXED),
        rule(f / 3, f * 0.3333, klass=RELAXED),
        rule_function(Transpose(a)(Transpose(b)(x)), lambda x, a, b: None),
        rule(Transpose(a)(Transpose(b)(x)), x, klass=EXACT),
        rule(x * math.pi, x, klass=EXACT),
        rule(log(f) * 12345, log(f), klass=STABLE, when=lambda f: False),
    ],
    ids=repr,
)
def test_wrong_rules_are_found(wrong):
    count, problems = failures(wrong)
    assert problems or not count


def test_a_size_that_is_told_to_be_one_stretches():
    """A broadcast that tells so stays where another one, which repeats the axis, follows."""
    rows, first, last = (sg.tensor(name, "float64", (None, 2)) for name in ("rows", "a", "b"))
    one = sg.specify_shape(rows[first.shape[0] : last.shape[0]], (1, 2))
    outputs = [sg.broadcast_to(one, (3, 2)), one + first[:3], sg.sum(one * first[:3], axis=0)]
    f = sg.compile([rows, first, last], outputs)
    data = np.arange(12.0).reshape(6, 2), np.ones((4, 2)), np.ones((5, 2))
    expected = [data[0][4:5] + np.zeros((3, 2)), data[0][4:5] + np.ones((3, 2)), 3 * data[0][4]]
    for got, want in zip(f(*data), expected, strict=True):
        np.testing.assert_array_equal(got, want)
