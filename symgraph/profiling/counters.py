"""The memory in which one native function counts, and the clock by which it does.

`codegen/profile_llvm.py` says how the words are laid out. The counters outlive their function, so
that a profile can be read when the function is gone.
"""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Callable
from typing import Any

from symgraph.codegen.profile_llvm import (
    EVENT,
    HEADER,
    WIDTH,
    buffer_words,
    clock_module,
    has_cycle_counter,
)
from symgraph.executor import cached_object, load_code
from symgraph.records import NamedTuple

SETTLED = 20_000_000  # nanoseconds after which the clock's rate is known to a part in 10 000


class Counted(NamedTuple):
    """What was booked under one row."""

    calls: int
    seconds: float
    bytes: int
    flops: int


class Counters:
    """The counters of one function with so many rows.

    >>> c = Counters(1)
    >>> c.read()
    [Counted(calls=0, seconds=0.0, bytes=0, flops=0)]
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._memory = (ctypes.c_int64 * (buffer_words(rows) + 8))()
        self._base = -ctypes.addressof(self._memory) % 64 // 8
        self._events: Any = None
        clock()  # the rate of the clock is known the better the earlier it was begun

    def addresses(self) -> dict[str, int]:
        """The words of the function's table."""
        found = {"buffer": ctypes.addressof(self._memory) + 8 * self._base}
        if not has_cycle_counter():
            address = ctypes.cast(ctypes.CDLL(None).clock_gettime, ctypes.c_void_p).value
            found["clock_gettime"] = address or 0
        return found

    def read(self) -> list[Counted]:
        """The counts of all rows."""
        second = ticks_per_second()
        words, start = self._memory, self._base + HEADER
        return [
            Counted(words[k], words[k + 1] / second, words[k + 2], words[k + 3])
            for k in range(start, start + WIDTH * self.rows, WIDTH)
        ]

    def ticks(self) -> int:
        """What all rows have booked, in ticks of the clock."""
        first = self._base + HEADER
        return sum(self._memory[first + 1 : first + WIDTH * self.rows : WIDTH])

    @property
    def peak(self) -> int:
        """The most bytes that one call took for its outputs and temporaries."""
        return int(self._memory[self._base + 3])

    def reset(self) -> None:
        """Forget everything; a running trace begins anew."""
        for k in range(len(self._memory)):
            self._memory[k] = 0
        if self._events is not None:
            self.trace(len(self._events) * 8 // EVENT)

    # trace ----------------------------------------------------------------------------------------

    def trace(self, events: int) -> None:
        """Keep the next so many events."""
        self._events = (ctypes.c_int64 * (events * EVENT // 8))()
        start = ctypes.addressof(self._events)
        self._memory[self._base] = start
        self._memory[self._base + 1] = start + events * EVENT

    def events(self) -> list[tuple[int, float]]:
        """(row, seconds of `time.perf_counter`) of each event so far; row -1 begins a call."""
        if self._events is None:
            return []
        count = (self._memory[self._base] - ctypes.addressof(self._events)) // EVENT
        ticks, nanoseconds = clock().start
        second = ticks_per_second()
        words = self._events
        return [
            (words[2 * k], nanoseconds / 1e9 + (words[2 * k + 1] - ticks) / second)
            for k in range(count)
        ]


# the clock ----------------------------------------------------------------------------------------


class _Clock(NamedTuple):
    read: Callable[[], int]
    start: tuple[int, int]  # its reading, and perf_counter_ns at that moment
    code: Any


@functools.cache
def clock() -> _Clock:
    """The clock of the marks, and when it was first read."""
    if not has_cycle_counter():
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        return _Clock(
            lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC), (now, time.perf_counter_ns()), None
        )
    text = clock_module()
    code = load_code(cached_object("runtime", {"module": text}, lambda: text), ["clock"])
    read = ctypes.CFUNCTYPE(ctypes.c_int64)(code.address("clock"))
    return _Clock(read, _together(read), code)


def ticks_per_second() -> float:
    """The rate of the clock, measured since it was first read; waits where that was just now."""
    if not has_cycle_counter():
        return 1e9
    found = clock()
    ticks, nanoseconds = found.start
    wait = nanoseconds + SETTLED - time.perf_counter_ns()
    if wait > 0:
        time.sleep(wait / 1e9)
    now, then = _together(found.read)
    return (now - ticks) / (then - nanoseconds) * 1e9


def _together(read: Callable[[], int]) -> tuple[int, int]:
    """Both clocks read at the same moment: of a few tries the one that took the shortest."""
    tries: list[tuple[int, int, int]] = []
    for _ in range(5):
        before = time.perf_counter_ns()
        ticks = read()
        after = time.perf_counter_ns()
        tries.append((after - before, ticks, (before + after) // 2))
    _, ticks, nanoseconds = min(tries)
    return ticks, nanoseconds
