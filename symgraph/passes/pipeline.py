"""THE list of passes: read ``PIPELINE`` from top to bottom to know what happens to a graph.

A mode says which classes of rules are admitted. Passes keep the types of the outputs; every value
they replace is equal to the one before in the sense of its rule's class.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

from symgraph import config
from symgraph.errors import ArgumentError, VerifyError
from symgraph.ir.graph import Graph, Variable, apply
from symgraph.ir.verify import verify
from symgraph.passes import loading
from symgraph.passes.inline_functions import inline_functions
from symgraph.passes.loading import LaterRules, over_loops
from symgraph.records import NamedTuple
from symgraph.rewrite.record import Record
from symgraph.rewrite.rules import EXACT, STABLE, OwnRules, Rule, RuleSet
from symgraph.runtime.later import Later

CANONICALIZE = LaterRules("canonicalize", loading.unsettled)
FOLD_CONSTANTS = LaterRules("fold_constants", loading.with_constants)
STABILIZE = LaterRules("stabilize", loading.cancelling)
STRUCTURED = LaterRules("structured", loading.structured)
RANGES = LaterRules("ranges", loading.unsettled)
SPECIALIZE = LaterRules("specialize", loading.unsettled)
_engine, _adapter = Later("symgraph.rewrite.engine"), Later("symgraph.passes.adapter")
merge_scans, scan_ends = over_loops("merge_scans"), over_loops("scan_ends")
scan_before, scan_after = over_loops("scan_before"), over_loops("scan_after")


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
    Pass("structured", "Diagonal, triangular, orthogonal and definite matrices go shorter ways.",
         STRUCTURED, again=True),
    Pass("ranges", "Squares that are out of range on the way are scaled, differences kept.",
         RANGES),
    Pass("scan_ends", "The last row of a state is its carry after the loop.",
         scan_ends),
    Pass("merge_scans", "Loops over the same rows become one; what nobody reads of them goes.",
         merge_scans),
    Pass("scan_before", "Products of sequences and what stays the same leave the loop.",
         scan_before),
    Pass("scan_after", "Sums of products, and outputs no step needs, are computed after the loop.",
         scan_after),
    Pass("ranges", "Squares that are out of range on the way are scaled, differences kept.",
         RANGES),
    Pass("merge_scans", "Again, for loops that now do less.",
         merge_scans),
    Pass("specialize", "Powers become products, transposes go into the matrix product.",
         SPECIALIZE),
    Pass("canonicalize", "Once more, for what ranges and specialize wrote.",
         CANONICALIZE),
    Pass("merge_scans", "And again, for loops over what has one spelling only now.",
         merge_scans),
)  # fmt: skip

# "probe" compiles a graph that has been optimized already
ADMITTED = {"run": (EXACT, STABLE), "debug": (EXACT, STABLE), "nan": (EXACT, STABLE),
            "interpret": (), "probe": ()}  # fmt: skip
# mode "nan" names the step of a loop in which a value went wrong: what belongs to steps stays there
LEFT_OUT = {"nan": ("scan_before", "scan_after")}
ROUNDS = 5  # more than any graph has needed; a bound, should two passes disagree


class PassRecord(Record):
    """A record that also knows the graph in which a rule fired, and what the passes did that are
    functions of the whole graph.

    ``graphs``: a graph, outer or inside a loop, and the number of the firing at which its turn
    began; ``changes``: such a pass, the graph before and the graph after.
    """

    def __init__(self) -> None:
        super().__init__()
        self.graphs: list[tuple[Graph, int, int]] = []
        self.changes: list[tuple[Pass, Graph, Graph]] = []

    def begin(self, graph: Graph) -> None:
        """From here on rules fire in this graph, whose own graphs are done."""
        self.graphs.append((graph, len(self.firings), len(self.changes)))


def optimize(
    graph: Graph,
    mode: str = "run",
    record: Record | None = None,
    exclude: Sequence[str] = (),
    rules: Sequence[Rule] = (),
) -> Graph:
    """The graph after all passes that the mode admits, with the graphs inside scan and cond.

    ``record`` collects the firings; ``exclude`` names passes and rules to leave out; ``rules`` are
    tried on the graph as it was written and again with those of each round. Raises
    RewriteError for rules that never end; in mode "debug" and under SYMGRAPH_VERIFY=1 VerifyError
    when a pass breaks the grammar of graphs or a type.
    """
    admit = ADMITTED[mode]
    if not admit:
        return graph
    check = mode == "debug" or config.get("verify")
    exclude = (*exclude, *LEFT_OUT.get(mode, ()))
    steps = steps_without(exclude) if exclude else PIPELINE
    steps = (*steps[:1], _own(rules), *steps[1:]) if rules else steps
    return _Work(steps, admit, record, check, mode == "debug").optimize(graph)


def _own(rules: Sequence[Rule]) -> Pass:
    return Pass("rules", "The caller's own rules.", OwnRules("rules", rules), again=True)


def settled(graph: Graph, steps: Sequence[Pass]) -> Graph:
    """The graph, and those inside loops and choices, after these passes instead of all."""
    return _Work(steps, ADMITTED["run"], None, False).optimize(graph)


@functools.cache
def steps_without(exclude: tuple[str, ...]) -> tuple[Pass, ...]:
    """The pipeline without the passes and rules of these names.

    Raises ArgumentError for a name that is neither.
    """
    rules = {r.name: p for p in PIPELINE if isinstance(p.work, RuleSet) for r in p.work}
    known = {*rules, *(p.name for p in PIPELINE)}
    for name in exclude:
        if name not in known:
            import difflib  # only for the message

            near = difflib.get_close_matches(str(name), known, 1)
            raise ArgumentError(
                f"exclude: there is no pass or rule {name!r}",
                hint=f"did you mean {near[0]!r}?" if near else
                f"passes are {', '.join(dict.fromkeys(p.name for p in PIPELINE))}; "
                "a rule's name is its equation",
            )  # fmt: skip
    kept = [p for p in PIPELINE if p.name not in exclude]
    return tuple(p._replace(work=_without(p.work, exclude)) for p in kept)


def _without(work: Any, exclude: Sequence[str]) -> Any:
    if not isinstance(work, RuleSet) or not any(r.name in exclude for r in work):
        return work
    return RuleSet(work.name, [r for r in work if r.name not in exclude])


class _Work:
    def __init__(
        self, steps: Sequence[Pass], admit: Sequence[str], record: Record | None, check: bool,
        all_rules: bool = False,
    ) -> None:  # fmt: skip
        self.steps, self.admit, self.record, self.check = steps, admit, record, check
        self.all_rules = all_rules  # also those that cannot fire
        self.inner: dict[Graph, Graph] = {}
        # the normal forms under each rule set, for its next turn; near misses are told anew
        self.normal: dict[RuleSet, dict[Any, Any]] = {}

    def optimize(self, graph: Graph) -> Graph:
        whole, graph = graph, self.owned(graph)
        if isinstance(self.record, PassRecord):
            self.record.begin(whole)
        group: list[Pass] = []
        for step in self.steps:
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
        seconds = getattr(self.record, "pass_seconds", None)
        if seconds is None:
            return self.applied(step, graph)
        start = time.perf_counter()
        after = self.applied(step, graph)
        row = seconds.setdefault(step.name, [0.0, 0])
        row[0] += time.perf_counter() - start
        row[1] += 1
        return after

    def applied(self, step: Pass, graph: Graph) -> Graph:
        if isinstance(step.work, RuleSet):
            again = getattr(self.record, "near_misses", None) is None
            later = again and not self.all_rules and isinstance(step.work, LaterRules)
            if later and not step.work.concerns(graph):  # type: ignore[attr-defined, union-attr]
                return graph
            memo = self.normal.setdefault(step.work, {}) if again else None
            outputs = _engine.rewrite(
                graph.outputs, step.work, _adapter.TENSORS,
                admit=self.admit, record=self.record, memo=memo,
            )  # fmt: skip
            after = Graph(graph.inputs, outputs)
        else:
            after = step.work(graph)
            if isinstance(self.record, PassRecord) and after is not graph:
                self.record.changes.append((step, graph, after))
        if all(a is b for a, b in zip(after.outputs, graph.outputs, strict=True)):
            return graph
        if self.check:
            _check(step, graph, after)
        return after

    def owned(self, graph: Graph) -> Graph:
        """The graph with the graphs that its nodes own optimized; each is done once."""
        new: dict[Variable, Variable] = {}
        order = graph.toposort()
        if not any(callable(getattr(node.op, "inner", None)) for node in order):
            return graph
        for node in order:
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
    lost = next((n for n in after.toposort() if not n.origins), None)
    if lost is not None and all(n.origins for n in before.toposort()):
        raise VerifyError(f"{step.name}: {lost!r} belongs to no line of the user's")
    for k, (old, new) in enumerate(zip(before.outputs, after.outputs, strict=True)):
        if old.type != new.type:
            what = f"{step.name} made {new.type.text()} of output {k}, {old.type.text()}"
            raise VerifyError(what, origin=old.origin)
