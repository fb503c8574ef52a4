"""The graph as it was after each firing of a rule, from the record that the passes keep.

A firing says which value took the place of which. Substituting one after another gives every state
of the graph between the user's and the optimized one. Nodes keep a number over the states: a node
that is only rebuilt over new operands is drawn as the same box, and what a rule makes is a new one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from symgraph.ir.graph import Apply, Graph, Variable, apply
from symgraph.passes.pipeline import Pass, PassRecord
from symgraph.records import NamedTuple
from symgraph.rewrite.engine import Firing

WORK = 150_000  # nodes that are looked at in all states together; more firings share a state


class Change(NamedTuple):
    """How a state came from the one before: rules that fired, or a pass over the whole graph.

    ``added`` and ``removed`` are numbers of nodes.
    """

    name: str
    what: str
    firings: tuple[Firing, ...]
    graph: Graph
    added: tuple[int, ...]
    removed: tuple[int, ...]


class History(NamedTuple):
    """A graph, the user's or one inside a loop, and the changes that made the optimized one."""

    start: Graph
    changes: list[Change]

    @property
    def end(self) -> Graph:
        """The last state."""
        return self.changes[-1].graph if self.changes else self.start


class Numbers:
    """A number for everything that is drawn as one box, for all states."""

    def __init__(self) -> None:
        self.of: dict[Any, int] = {}
        self.count = 0

    def __call__(self, thing: Any) -> int:
        number = self.of.get(thing)
        if number is None:
            number = self.of[thing] = self.count
            self.count += 1
        return number

    def same(self, new: Any, old: Any) -> None:
        """``new`` is drawn where ``old`` was."""
        if new not in self.of:
            self.of[new] = self(old)


def histories(record: PassRecord, optimized: Graph, numbers: Numbers) -> list[History]:
    """A history for every graph that was optimized, those inside loops first, the user's last.

    >>> import symgraph as sg
    >>> from symgraph.passes.pipeline import optimize
    >>> x, record = sg.vector("x"), PassRecord()
    >>> record.near_misses = []
    >>> graph = optimize(sg.Graph([x], [sg.log(1 + x)]), record=record)
    >>> [c.firings[0].rule.name for c in histories(record, graph, Numbers())[-1].changes]
    ['c + x -> x + c', 'log(1 + x) -> log1p(x)']
    """
    found: list[History] = []
    better: dict[Graph, Graph] = {}
    marks = [*record.graphs, (optimized, len(record.firings), len(record.changes))]
    for (graph, first, begin), (_, last, end) in pairwise(marks):
        goal = optimized if len(found) == len(record.graphs) - 1 else None
        replay = _Replay(graph, numbers)
        replay.inside(better)
        replay.run(record.firings[first:last], record.changes[begin:end])
        if goal is not None:
            replay.jump("optimized", "What else the passes did.", goal)
        found.append(History(graph, replay.changes))
        better[graph] = found[-1].end
    return found


class _Replay:
    def __init__(self, graph: Graph, numbers: Numbers) -> None:
        self.graph, self.numbers = graph, numbers
        self.changes: list[Change] = []
        self.here = self._present()

    def _present(self) -> dict[int, None]:
        return {self.numbers(n): None for n in self.graph.toposort()}

    def run(self, firings: Sequence[Firing], jumps: Sequence[tuple[Pass, Graph, Graph]]) -> None:
        """All firings in order, and the passes over the whole graph where their turn comes."""
        waiting = list(jumps)
        share = max(1, -(-len(firings) * len(self.here) // WORK))
        at = 0
        while True:
            while waiting and _same(self.graph.outputs, waiting[0][1].outputs):
                step, _, after = waiting.pop(0)
                self.jump(step.name, step.what, after)
            if at == len(firings):
                break
            batch = _batch(firings, at, share)
            self._fire(batch)
            at += len(batch)
        for step, _, after in waiting[-1:]:
            self.jump(step.name, step.what, after)

    def _fire(self, batch: Sequence[Firing]) -> None:
        table = {f.before: f.after for f in batch}
        outputs, moved = substitute(self.graph.outputs, table)
        for old, new in moved.items():
            self.numbers.same(new, old)
        self._enter(batch[0].pass_name, "", tuple(batch), Graph(self.graph.inputs, outputs))

    def jump(self, name: str, what: str, graph: Graph) -> None:
        """A state that no rule explains; nodes of one op, type and line stay the same boxes."""
        if _same(graph.outputs, self.graph.outputs):
            return
        new = graph.toposort()
        kept = set(new)
        old: dict[Any, list[Apply]] = {}
        for n in self.graph.toposort():
            if n not in kept:
                old.setdefault(_look(n), []).append(n)
        for n in new:
            twins = old.get(_look(n))
            if n not in self.numbers.of and twins:
                self.numbers.same(n, twins.pop(0))
        self._enter(name, what, (), Graph(self.graph.inputs, graph.outputs))

    def inside(self, better: Mapping[Graph, Graph]) -> None:
        """The graph with the graphs inside its nodes as they became."""
        new: dict[Variable, Variable] = {}
        for node in self.graph.toposort():
            held = {f: better[v] for f, v in zip(node.op.fields, node.op._values, strict=True)
                    if isinstance(v, Graph) and better.get(v, v) is not v}  # fmt: skip
            inputs = [new.get(v, v) for v in node.inputs]
            if held or any(a is not b for a, b in zip(inputs, node.inputs, strict=True)):
                op = node.op.replace(**held) if held else node.op
                fresh = apply(op, inputs, node.origins)
                self.numbers.same(fresh, node)
                new.update(zip(node.outputs, fresh.outputs, strict=True))
        if new:
            outputs = [new.get(v, v) for v in self.graph.outputs]
            graph = Graph(self.graph.inputs, outputs)
            self.jump("inside loops", "The graphs inside were optimized first.", graph)

    def _enter(self, name: str, what: str, firings: tuple[Firing, ...], graph: Graph) -> None:
        self.graph, before = graph, self.here
        self.here = self._present()
        added = tuple(k for k in self.here if k not in before)
        removed = tuple(k for k in before if k not in self.here)
        self.changes.append(Change(name, what, firings, graph, added, removed))


def _same(a: Sequence[Variable], b: Sequence[Variable]) -> bool:
    return all(v is w for v, w in zip(a, b, strict=True))


def _look(node: Apply) -> tuple[Any, ...]:
    return node.op.name, tuple(v.type for v in node.outputs), node.origins


def _batch(firings: Sequence[Firing], at: int, most: int) -> Sequence[Firing]:
    """The next firings of one pass, no two of them about the same value."""
    seen: set[Variable] = set()
    stop = at
    while stop < min(at + most, len(firings)):
        f = firings[stop]
        if f.pass_name != firings[at].pass_name or f.before in seen:
            break
        seen.add(f.before)
        stop += 1
    return firings[at:stop]


def substitute(
    outputs: Sequence[Variable], table: Mapping[Variable, Variable]
) -> tuple[list[Variable], dict[Apply, Apply]]:
    """The outputs with values replaced as the table says, also inside the replacements; and the
    nodes that were rebuilt for it.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> y = sg.exp(x)
    >>> substitute([y + 1], {y: x})[0][0] is x + 1
    True
    """
    final: dict[Variable, Variable] = {}
    moved: dict[Apply, Apply] = {}
    turned: dict[Variable, tuple[Variable, Variable]] = {}  # being replaced; also its rebuilt form
    stack = list(outputs)
    while stack:
        v = stack[-1]
        if v in final:
            stack.pop()
        elif v in turned:
            goal, new = turned[v]
            final[v] = final[new] = final.get(goal, goal)
            stack.pop()
        else:
            operands = () if v.owner is None else v.owner.inputs
            # a value in its own replacement stays
            waiting = [i for i in operands if i not in final and i not in turned]
            if waiting:
                stack += waiting
                continue
            new = _over(v, final, moved)
            goal = table.get(new, new)
            if goal is new or goal in turned:
                final[v] = final[new] = new
            else:
                turned[v] = turned[new] = goal, new
                stack.append(goal)
    return [final[v] for v in outputs], moved


def _over(v: Variable, final: Mapping[Variable, Variable], moved: dict[Apply, Apply]) -> Variable:
    """The value over final operands."""
    node = v.owner
    if node is None or all(final.get(i, i) is i for i in node.inputs):
        return v
    new = apply(node.op, [final.get(i, i) for i in node.inputs], node.origins)
    moved.setdefault(node, new)
    return new.outputs[v.index]
