"""`symgraph explain SUBJECT --node N`: why a node is as it is.

The user's line; the rules that changed it, with before and after; the rules that nearly did; what
it became; and where that is computed: in which kernel, with what, and why there.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import Any

from symgraph import segments, stages
from symgraph.cli.console import fold, write, write_json
from symgraph.cli.nearly import near_rules
from symgraph.cli.places import Places
from symgraph.cli.problems import SubjectError
from symgraph.cli.subject import definition
from symgraph.function import Definition
from symgraph.ir import made_sizes
from symgraph.ir.graph import Apply, Constant, Variable
from symgraph.ir.hashing import inner_graphs
from symgraph.ir.text import GraphPrinter
from symgraph.passes.adapter import TENSORS
from symgraph.passes.pipeline import PassRecord
from symgraph.provenance import Origin
from symgraph.records import NamedTuple
from symgraph.rewrite.engine import Firing
from symgraph.rewrite.match import match, matched_nodes

MOST = 8  # lines and rules that are listed
NOTHING: Mapping[Variable, str] = {}


def run(arguments: argparse.Namespace) -> int:
    """Print the story of a node, or list the nodes that have one."""
    d, _ = definition(arguments.code)
    if made_sizes.in_graph(d.graph):
        d = segments.simplified(d)
    tale = Tale(d, arguments.stage)
    if arguments.node in (None, "all"):
        if arguments.json:
            write_json("explain.nodes", {"subject": arguments.code, "nodes": tale.rows()})
        else:
            write(fold("\n".join(tale.printer.lines)))
        return 0
    story = tale.of(tale.find(arguments.node))
    if arguments.json:
        write_json("explain.node", {"subject": arguments.code, "stage": arguments.stage, **story})
    else:
        write(fold("\n".join(_lines(story))))
    return 0


class Event(NamedTuple):
    """A rule replaced the value (``absorbed``: as a part of another value that it replaced)."""

    firing: Firing
    absorbed: bool


class Tale:
    """A definition with all that its optimization and lowering did."""

    def __init__(self, d: Definition, stage: str = "graph") -> None:
        self.d, self.record = d, PassRecord()
        self.record.near_misses = []
        self.optimized = stages.optimized_graph(d, self.record)
        self.graph = d.graph if stage == "graph" else self.optimized
        self.printer = GraphPrinter(self.graph, origins=True)
        self.final = GraphPrinter(self.optimized).words
        self.parted = segments.has_parts(d.graph)

    # which node -----------------------------------------------------------------------------------

    def find(self, text: str) -> Variable:
        """The value that a number or a name stands for."""
        words = {w: v for v, w in self.printer.words.items()}
        found = words.get(text, words.get(f"%{text.lstrip('%')}"))
        if found is None or found.owner is None:
            named = (w for v, w in self.printer.words.items() if v.owner is not None)
            last = max((int(w[1:]) for w in named if w[1:].isdigit()), default=0)
            raise SubjectError(
                f"explain: there is no node {text}",
                hint=f"they are numbered from 0 to {last}; --node all shows them",
            )
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Every node, those of loops too: its word, op, type and line."""
        return [
            {"node": word, "op": n.op.name, "type": v.type.text(),
             "line": n.origin.text() if n.origin else None}
            for v, word in self.printer.words.items() if (n := v.owner) is not None
        ]  # fmt: skip

    # what happened to it --------------------------------------------------------------------------

    def forward(self, value: Variable) -> tuple[list[Event], list[Variable]]:
        """The firings that changed a value, in order, and all that it was, its end last."""
        events: list[Event] = []
        states = [value]
        at, firings, moves = 0, self.record.firings, self.record.moves
        seen: set[tuple[Variable, int]] = set()
        while (value, at) not in seen:
            seen.add((value, at))
            fired = next((k for k in range(at, len(firings)) if firings[k].before is value), None)
            moved = next(((k, new) for k, old, new in moves if old is value and k >= at), None)
            if moved is not None and (fired is None or moved[0] <= fired):
                at, value = moved
            elif fired is not None:
                events.append(Event(firings[fired], False))
                at, value = fired + 1, firings[fired].after
            elif value not in self.final:
                found = self._absorbing(value, at)
                if found is None:
                    break
                events.append(Event(firings[found], True))
                at, value = found + 1, firings[found].after
            states.append(value)
        return events, states

    def _absorbing(self, value: Variable, at: int) -> int | None:
        """The firing whose pattern covered the node that makes the value."""
        for k in range(at, len(self.record.firings)):
            f = self.record.firings[k]
            covered = match(f.rule.pattern, f.before, TENSORS, lambda b: matched_nodes(f.before, b))
            if covered and any(n is value.owner for n in covered):
                return k
        return None

    def backward(self, value: Variable) -> tuple[list[Event], list[Variable]]:
        """The firings that led to a value of the optimized graph, in order, and what it was."""
        events: list[Event] = []
        states = [value]
        at, moves = len(self.record.firings), self.record.moves
        seen: set[tuple[Variable, int]] = set()
        while (value, at) not in seen:
            seen.add((value, at))
            earlier = range(at - 1, -1, -1)
            fired = next((k for k in earlier if self.record.firings[k].after is value), None)
            moved = next(
                ((k, old) for k, old, new in reversed(moves) if new is value and k <= at), None
            )
            if fired is not None and (moved is None or fired >= moved[0]):
                events.insert(0, Event(self.record.firings[fired], False))
                at, value = fired, self.record.firings[fired].before
            elif moved is not None:
                at, value = moved
            states.insert(0, value)
        return events, states

    # the whole story ------------------------------------------------------------------------------

    def of(self, value: Variable) -> dict[str, Any]:
        """All that is known of a node, as plain data."""
        node = value.owner
        assert node is not None
        in_graph = self.graph is not self.optimized
        events, states = self.forward(value) if in_graph else self.backward(value)
        end, chain = states[-1], set(states)
        rules = [
            {"pass": f.pass_name, "rule": f.rule.name, "class": f.rule.klass,
             "where": f.rule.location(), "before": brief(f.before),
             "after": brief(f.after), "as_part": absorbed}
            for f, absorbed in events
        ]  # fmt: skip
        changes = [step.name for step, *graphs in self.record.changes
                   if any(o in chain for n in graphs[0].toposort() for o in n.outputs)]  # fmt: skip
        ends = [end] if end in self.final else self._by_line(node)
        return {
            "node": self.printer.words[value],
            "optimized": not in_graph,
            "what": f"{brief(value, self.printer.words, 1)}: {value.type.text()}",
            "places": [_place(o) for o in node.origins],
            "rules": rules,
            "passes": list(dict.fromkeys(changes)),
            "nearly": [
                {
                    "rule": n.rule.name,
                    "class": n.rule.klass,
                    "where": n.rule.location(),
                    "reason": n.reason,
                    "as_part": n.as_part,
                    "at": brief(n.value),
                }
                for n in near_rules(self.record, states)
            ],
            "becomes": [{"node": self.final[v], "what": brief(v, self.final, 1)} for v in ends],
            "runs": [] if self.parted else Places(self.d, self.optimized, self.final).of(ends),
        }

    def _by_line(self, node: Apply) -> list[Variable]:
        """The values of the optimized graph that come from the same line, where nothing better is
        known: what a pass over the whole graph did is not recorded node by node."""
        lines = set(node.origins)
        nodes = self.optimized.toposort()
        if node not in set(self.graph.toposort()):  # it belongs to a loop or a branch
            waiting, nodes = [g for n in nodes for g in inner_graphs(n.op)], []
            while waiting:
                inner = waiting.pop().toposort()
                nodes += inner
                waiting += [g for n in inner for g in inner_graphs(n.op)]
        near = [n for n in nodes if lines & set(n.origins)]
        found = [v for n in near for v in n.outputs]
        return [v for v in found if v in self.final][:MOST]


def _place(origin: Origin) -> dict[str, Any]:
    found = origin.location()
    return {"at": origin.text(), "source": list(origin.caret_lines(90)), "line": found.line}


def brief(value: Variable, names: Mapping[Variable, str] = NOTHING, depth: int = 3) -> str:
    """A value as an expression of a few levels, which end in the words of the graph."""
    if isinstance(value, Constant):
        return str(value.data.item()) if value.data.size == 1 else f"const {value.type.text()}"
    node = value.owner
    if node is None or (not depth and names):
        return names.get(value) or value.label()
    if not depth:
        return f"{node.op.name}(...)"
    below = ", ".join(brief(v, names, depth - 1) for v in node.inputs)
    end = f"[{value.index}]" if len(node.outputs) > 1 else ""
    return f"{node.op.name}({below}){end}"


# as text ------------------------------------------------------------------------------------------


def _ends(rows: list[dict[str, str]]) -> list[str]:
    """What a node became; the results of one node of the optimized graph together."""
    found: dict[str, list[str]] = {}
    for b in rows:
        found.setdefault(re.sub(r"(?<=\))\[\d+\]$", "", b["what"]), []).append(b["node"])
    return [f"{', '.join(nodes)} = {what}" for what, nodes in found.items()]


def _lines(story: dict[str, Any]) -> list[str]:
    out = [f"{story['node']} = {story['what']}"]
    for k, place in enumerate(story["places"][:MOST]):
        out.append(f"  {'made at' if not k else 'and at'} {place['at']}")
        out += [f"    {line}" for line in place["source"]]
    if not story["places"]:
        out.append("  made by no line of yours")
    for r in story["rules"]:
        part = ", of which it was a part" if r["as_part"] else ""
        out += [f"  {r['pass']}: {r['rule']}  [{r['class']}] {r['where']}{part}",
                f"    before  {r['before']}", f"    after   {r['after']}"]  # fmt: skip
    out += [f"  {name} changed the graph around it" for name in story["passes"]]
    if not story["rules"] and not story["passes"]:
        out.append("  no rule changed it")
    if story["nearly"]:
        out.append("  nearly:")
        for m in story["nearly"][:MOST]:
            part = f", of which it is a part: {m['at']}" if m["as_part"] else ""
            out += [f"    {m['rule']}  [{m['class']}] {m['where']}{part}", f"      {m['reason']}"]
        more = len(story["nearly"]) - MOST
        out += [f"    and {more} more, which --json lists"] * (more > 0)
    made = ", ".join(_ends(story["becomes"]))
    if not story["optimized"]:
        out.append(
            f"  becomes {made} of the optimized graph" if made else "  nothing is left of it"
        )
    for r in story["runs"]:
        out.append(f"  {r['node']} {r['why']}")
        if r["kernel"]:
            shares = f" in {r['shares']}" if r["shares"] else ""
            makes = f", which makes {', '.join(r['makes'])}{shares}" if r["makes"] else ""
            out.append(f"    in {r['kernel']}{makes}")
    return out
