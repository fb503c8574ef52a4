"""Updates that are written over the shared variable that they replace, instead of being copied
there at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from symgraph.loops.memory import owner_of, touched
from symgraph.loops.program import Branch, Buffer, Call, Loop, Require, Step
from symgraph.lower.groups import Group
from symgraph.scalar import Expr

INTERRUPTIBLE = 1000  # turns of a loop that a signal should be able to stop


class InPlace:
    """Knows where each buffer is read last and where the program may stop last, so that a question
    takes no walk over the steps. ``buffers`` may gain aliases between questions, ``maker`` are the
    numbers of the steps that make them; ``order`` is the order of the steps, those with negative
    numbers, and the copies from ``at_end``, after all others."""

    def __init__(
        self, buffers: Mapping[str, Buffer], maker: Mapping[str, int],
        steps: Mapping[int, Step | Group | list[Step]], order: Sequence[int],
        at_end: Sequence[str],
    ) -> None:  # fmt: skip
        self.buffers, self.maker, self.steps = buffers, maker, steps
        self.place = {number: k for k, number in enumerate(order)}
        self.views: dict[str, list[str]] = {}  # of shared variables, themselves among them
        for name in buffers:
            self.views.setdefault(owner_of(buffers, name), []).append(name)
        self.last = {name: len(order) for name in at_end}
        self.stop = -1
        self.places: dict[int, dict[str, set[tuple[Expr, ...] | None]]] = {}
        for number, step in steps.items():
            self._note(step, self.place.get(number, len(order)))

    def _note(self, step: Step | Group | list[Step], place: int) -> None:
        if isinstance(step, Group):
            names = list(step.sources)
        else:
            inner = step if isinstance(step, list) else [step]
            names = [n for s in inner for n in touched(s)]
            if any(map(_may_fail, inner)) and place < len(self.place):
                self.stop = max(self.stop, place)
        for n in names:
            self.last[n] = max(self.last.get(n, -1), place)

    def allows(self, target: str, source: str) -> bool:
        """Whether the kernel that makes ``source`` may write it over ``target``: nothing reads the
        old value elsewhere in it or later, nothing fails later."""
        made = self.maker.get(source)
        item = self.steps.get(made) if made is not None else None
        held, written = self.buffers[source], self.buffers[target]
        if made is None or not isinstance(item, Group) or item.kind != "column":
            return False
        if held.role != "temp" or held.alias or held.shape != written.shape:
            return False
        root = item.by_buffer[source]
        if root.reduction is not None or self.stop > self.place[made]:
            return False
        for view in self.views[target]:
            if self.last.get(view, -1) > self.place[made]:
                return False
            if view in item.sources and view != target:
                return False
        return self._places(item).get(target, set()) <= {root.target}

    def _places(self, group: Group) -> dict[str, set[tuple[Expr, ...] | None]]:
        """Where a group reads each buffer, None for a place in a fold."""
        found = self.places.get(group.number)
        if found is None:
            found = self.places[group.number] = {}
            for m in group.members:
                for read in m.reads:
                    place = read.args if m.reduction is None else None
                    found.setdefault(read.attr, set()).add(place)
        return found


def _may_fail(step: Step) -> bool:
    """Whether the step, or one inside it, can stop the program."""
    match step:
        case Require():
            return True
        case Call():
            return bool({"graph", "failure"} & {k for k, _ in step.params})
        case Loop():  # a long one may be interrupted
            long = not isinstance(step.length, int) or step.length > INTERRUPTIBLE
            return long or any(map(_may_fail, step.body.steps))
        case Branch():
            return any(map(_may_fail, (*step.then.steps, *step.otherwise.steps)))
    return False
