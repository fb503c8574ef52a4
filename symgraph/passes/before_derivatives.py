"""What derivatives are taken of: the graph with its cancellation and overflow repaired.

The derivative of a formula that cancels cancels worse, and in spellings that no rule knows: that of
``(exp(x) - 1) / x`` is ``exp(x) / x - (exp(x) - 1) / x**2``. So the rules come before derivatives
are taken too, inside loops and choices as well, and the derivative of a stable form is that form's
own.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from symgraph.ir.graph import Graph, Input, Variable, rebuild
from symgraph.ops.arithmetic import is_sum_of_squares, power, sqrt, square
from symgraph.ops.comparison import less, where
from symgraph.passes.pipeline import PIPELINE, Pass, settled
from symgraph.passes.views import AFTER_DERIVATIVES
from symgraph.rewrite.pattern import wild
from symgraph.rewrite.rules import RuleSet, rule

_WITH_THEM = "canonicalize"  # the set with rules that wait for derivatives
_LAST = "ranges"  # of the pipeline's passes what follows is about loops and speed
x = wild("x", "f")


def _no_norm(x: Variable) -> bool:
    """the root is no norm written out, whose derivative at 0 has a convention"""
    return not is_sum_of_squares(x)


# Where the root's slope is infinite, the other factor's 0 would make a NaN of the limit. Below 0
# all are NaN; a constant there would cut x off from further derivatives.
ROOTS = RuleSet(
    "roots",
    rule(x * sqrt(x), power(x, 1.5), when=_no_norm),
    rule(sqrt(power(x, 3)), power(x, 1.5)),
    rule(square(sqrt(x)), where(less(x, 0), power(x, 1.5), x)),
    rule(power(sqrt(x), 2), where(less(x, 0), power(x, 1.5), x)),
)
_ROOTS = Pass("roots", "Roots that are multiplied have finite slopes at 0.", ROOTS, again=True)


def repaired(outputs: Sequence[Variable], fixed: Sequence[Variable]) -> list[Variable]:
    """The outputs, equal over the reals; what is computed from the ``fixed`` variables still is,
    and what gates derivatives still does."""
    cut = {v: Input(v.type, v.name) for v in fixed if v.owner is not None}
    graph = Graph((), rebuild(outputs, dict(cut)) if cut else list(outputs))
    found = settled(graph, _steps()).outputs
    return rebuild(found, {name: v for v, name in cut.items()}) if cut else list(found)


@functools.cache
def _steps() -> tuple[Pass, ...]:
    """The pipeline's rules up to the last of these, without those that wait for derivatives."""
    end = next(k for k, p in enumerate(PIPELINE) if p.name == _LAST) + 1
    return (*(_waiting_left_out(p) for p in PIPELINE[:end] if isinstance(p.work, RuleSet)), _ROOTS)


def _waiting_left_out(step: Pass) -> Pass:
    work, left_out = step.work, set(AFTER_DERIVATIVES)
    # the other sets hold none of them, as a test knows, and are imported when they are needed
    if work.name != _WITH_THEM or left_out.isdisjoint(work):  # type: ignore[union-attr, arg-type]
        return step
    kept = [r for r in work if r not in left_out]  # type: ignore[union-attr]
    return step._replace(work=RuleSet(step.name, kept))
