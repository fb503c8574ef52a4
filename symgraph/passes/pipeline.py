"""THE list of passes: read ``PIPELINE`` from top to bottom to know what happens to a graph.

A mode says which classes of rules are admitted. Passes keep the types of the outputs; every value
they replace is equal to the one before in the sense of its rule's class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from symgraph import config
from symgraph.errors import VerifyError
from symgraph.ir.graph import Graph, Variable, apply, toposort
from symgraph.ir.verify import verify
from symgraph.passes.adapter import TENSORS
from symgraph.passes.canonicalize import CANONICALIZE
from symgraph.passes.fold_constants import FOLD_CONSTANTS
from symgraph.passes.inline_functions import inline_functions
from symgraph.passes.merge_scans import merge_scans
from symgraph.passes.specialize import SPECIALIZE
from symgraph.passes.stabilize import STABILIZE
from symgraph.rewrite.engine import Record, rewrite
from symgraph.rewrite.rules import EXACT, STABLE, RuleSet


class Pass(NamedTuple):
    """A named step: rules, or a function of the whole graph. Consecutive passes with ``again`` are
    repeated as a group until nothing changes."""

    name: str
    what: str
    work: RuleSet | Callable[[Graph], Graph]
    again: bool = False


PIPELINE: tuple[Pass, ...] = (
    Pass("inline_functions", "Functions take the place of their calls.",
         inline_functions),
    Pass("canonicalize", "One spelling for each meaning, so that later rules need only one.",
         CANONICALIZE, again=True),
    Pass("fold_constants", "What depends on small constants alone is computed now.",
         FOLD_CONSTANTS, again=True),
    Pass("stabilize", "Cancellation and overflow in the usual spellings are repaired.",
         STABILIZE, again=True),
    Pass("merge_scans", "Loops over the same rows become one; what nobody reads of them goes.",
         merge_scans),
    Pass("specialize", "Powers become products, transposes go into the matrix product.",
         SPECIALIZE),
    Pass("canonicalize", "Once more, for what specialize wrote.",
         CANONICALIZE),
)  # fmt: skip

ADMITTED = {"run": (EXACT, STABLE), "debug": (EXACT, STABLE), "interpret": ()}
ROUNDS = 5  # more than any graph has needed; a bound, should two passes disagree


def optimize(graph: Graph, mode: str = "run", record: Record | None = None) -> Graph:
    """The graph after all passes that the mode admits, with the graphs inside scan and cond.

    ``record`` collects the firings. Raises RewriteError for rules that never end; in mode "debug"
    and under SYMGRAPH_VERIFY=1 VerifyError when a pass breaks the grammar of graphs or a type.
    """
    admit = ADMITTED[mode]
    if not admit:
        return graph
    return _Work(admit, record, mode == "debug" or config.get("verify")).optimize(graph)


class _Work:
    def __init__(self, admit: Sequence[str], record: Record | None, check: bool) -> None:
        self.admit, self.record, self.check = admit, record, check
        self.inner: dict[Graph, Graph] = {}

    def optimize(self, graph: Graph) -> Graph:
        graph = self.owned(graph)
        group: list[Pass] = []
        for step in PIPELINE:
            if step.again:
                group.append(step)
                continue
            graph, group = self.until_stable(graph, group), []
            graph = self.apply(step, graph)
        return self.until_stable(graph, group)

    def until_stable(self, graph: Graph, group: Sequence[Pass]) -> Graph:
        for _ in range(ROUNDS if group else 0):
            before = graph
            for step in group:
                graph = self.apply(step, graph)
            if graph is before:
                break
        return graph

    def apply(self, step: Pass, graph: Graph) -> Graph:
        """One pass; the same graph object when nothing changed."""
        if isinstance(step.work, RuleSet):
            outputs = rewrite(
                graph.outputs, step.work, TENSORS, admit=self.admit, record=self.record
            )
            after = Graph(graph.inputs, outputs)
        else:
            after = step.work(graph)
        if all(a is b for a, b in zip(after.outputs, graph.outputs, strict=True)):
            return graph
        if self.check:
            _check(step, graph, after)
        return after

    def owned(self, graph: Graph) -> Graph:
        """The graph with the graphs that its nodes own optimized; each is done once."""
        new: dict[Variable, Variable] = {}
        for node in toposort(graph.outputs):
            inputs = [new.get(v, v) for v in node.inputs]
            op = node.op
            if callable(getattr(op, "inner", None)):
                owned = {n: g for n in op.fields if isinstance(g := getattr(op, n), Graph)}
                better = {n: self.one(g) for n, g in owned.items()}
                if any(g is not owned[n] for n, g in better.items()):
                    op = op.replace(**better)
            if op is node.op and all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
                continue
            fresh = apply(op, inputs, node.origins)
            new.update(zip(node.outputs, fresh.outputs, strict=True))
        return Graph(graph.inputs, [new.get(v, v) for v in graph.outputs]) if new else graph

    def one(self, graph: Graph) -> Graph:
        found = self.inner.get(graph)
        if found is None:
            found = self.inner[graph] = self.optimize(graph)
            self.inner[found] = found
        return found


def _check(step: Pass, before: Graph, after: Graph) -> None:
    verify(after, step.name)
    for k, (old, new) in enumerate(zip(before.outputs, after.outputs, strict=True)):
        if old.type != new.type:
            what = f"{step.name} made {new.type.text()} of output {k}, {old.type.text()}"
            raise VerifyError(what, origin=old.origin)
