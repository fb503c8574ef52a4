"""The steps of a program while some of them are joined, and which of them touch which memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence

from symgraph.loops.memory import owner_of, touched
from symgraph.loops.program import Program, Step


class Steps:
    """Steps by number, None where one has become part of another. Buffers that share memory count
    as one, the one that owns it. A question about a memory takes no walk over the steps, so large
    programs cost no more for each of them."""

    def __init__(self, program: Program, steps: Sequence[Step]) -> None:
        self._buffers = program.buffers
        self._owners: dict[str, str] = {}
        self._users: dict[str, list[int]] = {}  # in order
        self._steps: list[Step | None] = [None] * len(steps)
        self._memories: list[frozenset[str]] = [frozenset()] * len(steps)
        for k, step in enumerate(steps):
            self[k] = step

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, k: int) -> Step | None:
        return self._steps[k]

    def __setitem__(self, k: int, step: Step | None) -> None:
        for name in self._memories[k]:
            users = self._users[name]
            del users[bisect_left(users, k)]
        self._steps[k] = step
        names = touched(step) if step is not None else ()
        self._memories[k] = frozenset(map(self.memory, names))
        for name in self._memories[k]:
            insort(self._users.setdefault(name, []), k)

    def kept(self) -> tuple[Step, ...]:
        """The steps that are left."""
        return tuple(s for s in self._steps if s is not None)

    def memory(self, name: str) -> str:
        """The buffer that owns the memory of a buffer."""
        found = self._owners.get(name)
        if found is None:
            found = self._owners[name] = owner_of(self._buffers, name)
        return found

    def memories(self, k: int) -> frozenset[str]:
        """What a step reads or writes."""
        return self._memories[k]

    def users(self, memory: str) -> Sequence[int]:
        """The steps that read or write a memory, in order."""
        return self._users.get(memory, ())

    def next_user(self, memory: str, k: int) -> int | None:
        """The first step after the k-th that reads or writes a memory."""
        users = self.users(memory)
        at = bisect_right(users, k)
        return users[at] if at < len(users) else None
