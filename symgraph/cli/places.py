"""Where the values of an optimized graph are computed, and why there: for `explain --node`."""

from __future__ import annotations

from typing import Any

from symgraph import stages
from symgraph.drawing.program_scene import writes
from symgraph.function import Definition
from symgraph.ir.graph import Apply, Graph, Variable
from symgraph.ir.hashing import inner_graphs
from symgraph.loops.program import Branch, Call, Loop, Program, Run, Step
from symgraph.lower.partition import CHEAP, cost
from symgraph.scalar import postorder

MOST = 8  # companions that are listed


def _programs(step: Step) -> list[Program]:
    """The programs inside a step."""
    if isinstance(step, Loop):
        return [step.body]
    return [step.then, step.otherwise] if isinstance(step, Branch) else []


class Places:
    """The kernels of a definition, with the variables that they compute; ``words`` name the
    variables of the optimized graph."""

    program: Program

    def __init__(self, d: Definition, optimized: Graph, words: dict[Variable, str]) -> None:
        self.words, self.graph = words, optimized
        self.builder, self.program = stages.planned(d, optimized)
        self.users: dict[Variable, list[Apply]] = {}
        for n in self.graph.toposort():
            for v in dict.fromkeys(n.inputs):
                self.users.setdefault(v, []).append(n)
        self.inside: dict[Apply, Apply] = {}  # nodes of loops and branches: the outermost of these
        for n in self.graph.toposort():
            waiting = list(inner_graphs(n.op))
            while waiting:
                for m in waiting.pop().toposort():
                    self.inside.setdefault(m, n)
                    waiting += inner_graphs(m.op)
        self.groups = self.builder.grouping.groups
        self.roots = {m.variable: g for g in self.groups for m in g.members}

    def of(self, values: list[Variable]) -> list[dict[str, Any]]:
        """A row for each value; the results of a loop or a routine have one together."""
        found: dict[Any, list[Variable]] = {}
        for v in dict.fromkeys(values):
            if v.owner is not None:
                found.setdefault(v if hasattr(v.owner.op, "lower") else v.owner, []).append(v)
        rows = []
        for together in found.values():
            words = ", ".join(filter(None, (self.words.get(v) for v in together)))
            rows.append({**self._row(together[0]), "node": words})
        return rows

    def _row(self, value: Variable) -> dict[str, Any]:
        node = value.owner
        assert node is not None
        row: dict[str, Any] = {
            "node": self.words.get(value, ""),
            "kernel": None,
            "makes": [],
            "shares": "",
        }
        around = self.inside.get(node)
        if around is not None:
            words = ", ".join(filter(None, (self.words.get(v) for v in around.outputs)))
            row["kernel"] = self._inner_kernel(node, around)
            return {**row, "why": f"is computed in each turn of {around.op.name}, {words}"}
        if not hasattr(node.op, "lower"):
            names = {self.builder.names.get(v) for v in node.outputs}
            calls = [
                str(s.routine) for s in self.program.steps
                if isinstance(s, Call) and names & set(s.buffers[-len(node.outputs) :])
            ]  # fmt: skip
            how = f"calls {', '.join(calls)}" if calls else "is a step of its own"
            return {**row, "why": f"{node.op.name} {how}: routines and loops do not fuse"}
        home = self.roots.get(value)
        if home is not None:
            row["why"] = f"has memory: {self._why_kept(value)}"
            return {**row, **self._kernel(home)}
        users, homes = self.users.get(value, []), self._homes(value)
        count = len(users)
        why = "it has one consumer" if count == 1 else (
            f"it is cheap enough to compute again for each of its {count} consumers")  # fmt: skip
        into = ", ".join(self.words.get(u.outputs[0], u.op.name) for u in users[:MOST])
        row["why"] = f"is computed inside {into}: {why}" if users else "is not computed"
        for g in homes:
            row = {**row, **self._kernel(g)}
        return row

    def _inner_kernel(self, node: Apply, around: Apply) -> str | None:
        """The kernel inside a loop or a branch whose lines are the most like the node's."""
        names = {self.builder.names.get(v) for v in around.outputs}
        for s in self.program.steps:
            if isinstance(s, Run) and names & set(writes(s)):
                return s.kernel.name  # the whole loop is one kernel
        loops = [s for s in self.program.steps if _programs(s)]
        own = [s for s in loops if names & set(writes(s))]
        waiting = [p for s in own or loops for p in _programs(s)]
        best, most = None, 0
        while waiting:
            for step in waiting.pop().steps:
                waiting += _programs(step)
                shared = len(set(node.origins) & set(getattr(step, "origins", ())))
                if isinstance(step, Run) and shared > most:
                    best, most = step.kernel.name, shared
        return best

    def _homes(self, value: Variable) -> list[Any]:
        """The groups that compute a value inside others."""
        found: dict[int, Any] = {}
        waiting, seen = [value], {value}
        while waiting:
            v = waiting.pop()
            if v in self.roots:
                found[self.roots[v].number] = self.roots[v]
                continue
            for n in self.users.get(v, ()):
                new = [o for o in n.outputs if o not in seen and hasattr(n.op, "lower")]
                seen.update(new)
                waiting += new
        return [found[k] for k in sorted(found)]

    def _why_kept(self, value: Variable) -> str:
        node, users = value.owner, self.users.get(value, [])
        assert node is not None
        if value in set(self.graph.outputs):
            return "it is a result"
        opaque = [n.op.name for n in users if not hasattr(n.op, "lower")]
        if opaque:
            return f"{opaque[0]} reads it"
        member = next(m for m in self.roots[value].members if m.variable is value)
        if member.reduction is not None:
            return "it is a fold, which is complete only when its loop has ended"
        price = sum(cost(e.op) for e in postorder(member.body))
        if len(users) > 1 and price > CHEAP:
            return f"{len(users)} consumers read it, and it costs about {price} additions"
        return "its consumer reads it more than once for each element, or is too long with it"

    def _kernel(self, group: Any) -> dict[str, Any]:
        buffers = {m.buffer for m in group.members}
        runs = [s for s in self.program.steps if isinstance(s, Run) and buffers & set(s.buffers)]
        origins = {o for m in group.members for o in m.origins}
        run = max(runs, key=lambda s: len(origins & set(s.origins)), default=None)
        made = [self.words.get(m.variable, "") for m in group.members]
        kind = "the same outer loop" if group.kind == "row" else "the same loop over elements"
        return {
            "kernel": run.kernel.name if run is not None else None,
            "makes": [w for w in made if w][:MOST],
            "shares": kind if len(group.members) > 1 else "",
        }
