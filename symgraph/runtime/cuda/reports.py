"""What checks on the device have found: numbers that arrive some time after a call.

A call whose program can fail lets the number of its failure (0: none) be copied to a word of pinned
memory behind its work, and nobody waits for that. Whoever waits for other reasons looks then, and
the call's error is raised there.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable

from symgraph.runtime.cuda.protocol import Driver

WORDS = 1024
_PENDING = -1

Fail = Callable[[int], BaseException]


class Outcome:
    """The outcome of one call; ``fail`` makes the error of a number."""

    __slots__ = ("error", "fail", "number", "place", "told")

    def __init__(self, place: int, fail: Fail) -> None:
        self.place, self.fail = place, fail
        self.number = _PENDING
        self.error: BaseException | None = None
        self.told = False

    def check(self) -> None:
        """Raise the call's error, if it is known to have one."""
        if self.number > 0 and self.error is None:
            self.error = self.fail(self.number)
        if self.error is not None:
            self.told = True
            raise self.error


class Reports:
    """The words of a device, and the calls that wait for theirs."""

    def __init__(self, driver: Driver, stream: int) -> None:
        self.driver, self.stream = driver, stream
        self.waiting: deque[Outcome] = deque()
        self.failed: deque[Outcome] = deque()  # and nobody may have been told
        self.free: list[int] = []
        self.base = 0

    def after(self, status: int, fail: Fail) -> Outcome:
        """Copy the number at an address when the stream comes to here."""
        if not self.base:
            self.base = self.driver.host_alloc(4 * WORDS)
            self.free = [self.base + 4 * k for k in range(WORDS)]
        if not self.free:
            self.driver.synchronize(self.stream)
            self.look()
        made = Outcome(self.free.pop(), fail)
        ctypes.c_int32.from_address(made.place).value = _PENDING
        self.driver.to_host(made.place, status, 4, self.stream)
        self.waiting.append(made)
        return made

    def look(self) -> None:
        """Take what has arrived."""
        while self.waiting:
            first = self.waiting[0]
            number = ctypes.c_int32.from_address(first.place).value
            if number == _PENDING:
                return
            first.number = number
            self.free.append(first.place)
            self.waiting.popleft()
            if number:
                self.failed.append(first)

    def tell(self) -> None:
        """Raise the first error that has arrived and that nobody was told."""
        self.look()
        while self.failed:
            outcome = self.failed.popleft()
            if not outcome.told:
                outcome.check()
