"""Blocks and threads, interpreted: each thread is a generator that stops where threads meet.

Between two meetings the threads of a block run one after another, in an order that is a parameter:
first to last, last to first, or mixed. A result that depends on the order is a missing barrier.
Threads that wait at different places, or for one that has ended, are an error.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol

import numpy as np

from symgraph.errors import VerifyError
from symgraph.loops.combining import combine, reduce_threads, start
from symgraph.loops.launch import WARP, meets
from symgraph.loops.statements import Barrier, Fold, For, If, Size, Stmt

ORDERS = ("forward", "reverse", "mixed")
Place = tuple[int, ...]
Event = tuple[Place, Fold | None, list[Any]]
Steps = Generator[Event, list[Any] | None, None]


class Machine(Protocol):
    """What an interpreter of statements offers (loops/interpret.py)."""

    env: dict[str, Any]

    def value(self, e: Any) -> Any: ...

    def size(self, size: Size) -> int: ...

    def statement(self, s: Stmt, wide: bool) -> None: ...

    def bind(self, names: Sequence[Any], values: Sequence[Any]) -> None: ...

    def fork(self) -> Machine: ...


def run_grid(machine: Machine, grid: For, order: str) -> None:
    """Run the blocks of a kernel.

    Raises VerifyError where the threads of a block do not meet.
    """
    numbers = _ordering(machine.size(grid.extent), order)
    for number in numbers():
        block = machine.fork()
        block.env[grid.index.attr] = np.int64(number)
        for s in grid.body[:-1]:
            block.statement(s, False)
        threads = grid.body[-1]
        assert isinstance(threads, For)
        _Block(block, threads, order).run()


def _ordering(count: int, order: str) -> Callable[[], list[int]]:
    mixed = random.Random(count)

    def numbers() -> list[int]:
        found = list(range(count))
        if order == "mixed":
            mixed.shuffle(found)
        return found[::-1] if order == "reverse" else found

    return numbers


class _Block:
    """The threads of one block."""

    def __init__(self, machine: Machine, loop: For, order: str) -> None:
        self.loop, self.count = loop, machine.size(loop.extent)
        self.numbers = _ordering(self.count, order)
        self.met: dict[int, bool] = {}
        self.threads: list[Steps] = []
        for k in range(self.count):
            thread = machine.fork()
            thread.env[loop.index.attr] = np.int64(k)
            self.threads.append(self._steps(thread, loop.body, ()))

    def run(self) -> None:
        events: dict[int, Event] = {}
        answers: dict[int, list[Any] | None] = {}
        going, begun = set(range(self.count)), False
        while going:
            for k in self.numbers():
                if k not in going:
                    continue
                try:
                    thread = self.threads[k]
                    events[k] = thread.send(answers.get(k)) if begun else next(thread)
                except StopIteration:
                    continue
            begun = True
            answers = self._met(events)
            going = set(answers)
            for k in going:
                del events[k]

    def _met(self, events: dict[int, Event]) -> dict[int, list[Any] | None]:
        """What those get who have waited for all that they need: whole warps first, then all."""
        found: dict[int, list[Any] | None] = {}
        for first in range(0, self.count, WARP):
            warp = {k: events[k] for k in range(first, first + WARP) if k in events}
            if any(e is not None and e.kind == "warp" for _, e, _ in warp.values()):
                answer = self._meet(warp, range(first, min(first + WARP, self.count)))
                found |= dict.fromkeys(warp, answer)
        if not found and events:
            answer = self._meet(events, range(self.count))
            found = dict.fromkeys(events, answer)
        return found

    def _meet(self, events: dict[int, Event], threads: range) -> list[Any] | None:
        places = {place for place, _, _ in events.values()}
        if len(places) > 1:
            raise VerifyError(f"threads of a block wait at different places: {sorted(places)}")
        if len(events) < len(threads):
            missing = len(threads) - len(events)
            raise VerifyError(f"threads wait for {missing} others of their block, which have ended")
        fold = next(iter(events.values()))[1]
        if fold is None:
            return None
        values = [np.stack([events[k][2][j] for k in threads]) for j in range(len(fold.names))]
        return reduce_threads(fold.combiner, values, WARP)

    def _meets(self, s: Stmt) -> bool:
        known = self.met.get(id(s))
        if known is None:
            known = self.met[id(s)] = meets(s)
        return known

    def _steps(self, m: Machine, body: Sequence[Stmt], place: Place) -> Steps:
        for k, s in enumerate(body):
            here = (*place, k)
            if not self._meets(s):
                m.statement(s, False)
                continue
            match s:
                case Barrier():
                    yield here, None, []
                case Fold() if s.kind in ("block", "warp"):
                    m.bind(s.names, (yield here, s, [m.value(v) for v in s.values]) or [])
                case If():
                    if m.value(s.cond):
                        yield from self._steps(m, s.body, here)
                case For():
                    for i in range(m.size(s.extent)):
                        m.env[s.index.attr] = np.int64(i)
                        yield from self._steps(m, s.body, here)
                case Fold():
                    yield from self._fold(m, s, here)

    def _fold(self, m: Machine, s: Fold, place: Place) -> Steps:
        """A fold of one thread in whose body threads meet."""
        following = s.combiner == "next"
        values = [m.value(v) for v in s.starts] if following else start(s)
        if following:
            m.bind(s.names, values)
        for i in range(m.size(s.extent)):
            m.env[s.index.attr] = np.int64(i)
            yield from self._steps(m, s.body, place)
            new = [m.value(v) for v in s.values]
            values = new if following else combine(s.combiner, values, new)
            if following:
                m.bind(s.names, values)
        m.bind(s.names, values)
