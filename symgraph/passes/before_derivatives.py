"""What derivatives are taken of: the graph with its cancellation and overflow repaired.

The derivative of a formula that cancels cancels worse, and in spellings that no rule knows: that of
``(exp(x) - 1) / x`` is ``exp(x) / x - (exp(x) - 1) / x**2``. So the rules come before derivatives
are taken too, and the derivative of a stable form is that form's own. Graphs inside loops and
choices stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgraph.ir.graph import Graph, Input, Variable, rebuild
from symgraph.passes.pipeline import settled, steps_without
from symgraph.passes.views import AFTER_DERIVATIVES
from symgraph.rewrite.rules import RuleSet

_LAST = "ranges"  # of the pipeline's passes what follows is about loops and speed


def repaired(outputs: Sequence[Variable], fixed: Sequence[Variable]) -> list[Variable]:
    """The outputs, equal over the reals; what is computed from the ``fixed`` variables still is,
    and what gates derivatives still does."""
    cut = {v: Input(v.type, v.name) for v in fixed if v.owner is not None}
    graph = Graph((), rebuild(outputs, dict(cut)) if cut else list(outputs))
    steps = steps_without(tuple(r.name for r in AFTER_DERIVATIVES))
    end = next(k for k, p in enumerate(steps) if p.name == _LAST) + 1
    rules = [p for p in steps[:end] if isinstance(p.work, RuleSet)]
    found = settled(graph, rules).outputs
    return rebuild(found, {name: v for v, name in cut.items()}) if cut else list(found)
