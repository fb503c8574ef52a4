"""Copies between the host's arrays and a GPU, by way of pinned memory.

The driver copies pinned memory by itself, beside everything else; a caller's array may change as
soon as a call has returned, so it is first copied into a ring of pinned memory, a piece at a time.
A piece is written again only when an event says that its copy is done.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Sequence

import numpy as np

from symgraph.runtime.cuda.protocol import Driver

SIZE = 8 << 20
_LINE = 256


class Staging:
    """A ring of ``size`` bytes of pinned memory for one stream, made when it is first used.

    Places are counted on and on, and taken modulo the size: what lies between ``tail`` and ``head``
    may be in use, and ``busy`` says until where it is free again after which event. An event is
    recorded for an eighth of the ring, not for every piece.
    """

    def __init__(self, driver: Driver, stream: int, size: int = SIZE) -> None:
        self.driver, self.stream, self.size = driver, stream, size
        self.base = self.head = self.tail = self.marked = 0
        self.busy: deque[tuple[int, int]] = deque()
        self.events: list[int] = []  # that can be used again

    def upload(self, parts: Sequence[tuple[int, np.ndarray]]) -> None:
        """Copy dense arrays to addresses, given in rising order. Small ones that lie side by side
        become one copy."""
        group: list[tuple[int, np.ndarray]] = []
        for address, array in parts:
            if group:
                end = group[-1][0] + group[-1][1].nbytes
                fits = address + array.nbytes - group[0][0] <= self.size // 4
                if not (fits and end <= address < end + _LINE):
                    self._upload(group)
                    group = []
            group.append((address, array))
        self._upload(group)

    def _upload(self, group: Sequence[tuple[int, np.ndarray]]) -> None:
        """Arrays that lie side by side; or one."""
        if not group:
            return
        start, end = group[0][0], group[-1][0] + group[-1][1].nbytes
        if len(group) == 1:
            self._pieces(start, group[0][1].ctypes.data, end - start)
            return
        place = self._take(end - start)
        for address, array in group:
            ctypes.memmove(place + address - start, array.ctypes.data, array.nbytes)
        self.driver.to_device(start, place, end - start, self.stream)
        self._mark()

    def _pieces(self, address: int, host: int, size: int) -> None:
        most = self.size // 4
        for start in range(0, size, most):
            count = min(most, size - start)
            place = self._take(count)
            ctypes.memmove(place, host + start, count)
            self.driver.to_device(address + start, place, count, self.stream)
            self._mark()

    def download(self, parts: Sequence[tuple[np.ndarray, int]]) -> None:
        """Copy from addresses into dense arrays; waits until that is done. What fits into half of
        the ring needs one wait."""
        most = self.size // 4
        whole = sum(a.nbytes for a, _ in parts) <= self.size // 2 - len(parts) * _LINE
        waiting: deque[tuple[int, int, int, int]] = deque()
        for array, address in parts:
            for start in range(0, array.nbytes, most):
                count = min(most, array.nbytes - start)
                while not whole and len(waiting) > 1:
                    self._fetch(waiting)
                place = self._take(count)
                self.driver.to_host(place, address + start, count, self.stream)
                event = 0 if whole else self._event()
                waiting.append((array.ctypes.data + start, place, count, event))
        if whole:
            self.driver.synchronize(self.stream)
            self._all_free()
        while waiting:
            self._fetch(waiting)

    def _fetch(self, waiting: deque[tuple[int, int, int, int]]) -> None:
        host, place, count, event = waiting.popleft()
        if event:
            self.driver.finish(event)
            self.events.append(event)
        ctypes.memmove(host, place, count)

    # the ring -------------------------------------------------------------------------------------

    def _take(self, size: int) -> int:
        """The address of a piece. What was taken before has entered the stream by now, and of what
        is read from the device, no more than half of the ring is not fetched yet."""
        if not self.base:
            self.base = self.driver.host_alloc(self.size)
        start = self.head
        if start % self.size + size > self.size:
            start += self.size - start % self.size
        while start + size - self.tail > self.size:
            if not self.busy:
                self._record()
            self.tail, event = self.busy.popleft()
            self.driver.finish(event)
            self.events.append(event)
        self.head = -(-(start + size) // _LINE) * _LINE
        return self.base + start % self.size

    def _event(self) -> int:
        event = self.events.pop() if self.events else self.driver.event()
        self.driver.record(event, self.stream)
        return event

    def _mark(self) -> None:
        """To be called when something has entered the stream."""
        if self.head - self.marked >= self.size // 8:
            self._record()

    def _record(self) -> None:
        self.busy.append((self.head, self._event()))
        self.marked = self.head

    def _all_free(self) -> None:
        """The stream has done everything."""
        self.events += [event for _, event in self.busy]
        self.busy.clear()
        self.tail = self.marked = self.head
