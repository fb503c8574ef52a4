"""Tasks that helping threads do while the thread that has them goes on with something else.

LLVM's work is done without the interpreter's lock, so a kernel is compiled while Python still
writes the next one. A helper lives no longer than there are tasks, and none is left when `finish`
has returned or raised.
"""

from __future__ import annotations

import contextvars
import os
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

TURN = 5e-4  # seconds


def processors() -> int:
    """How many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def started(thread: threading.Thread) -> threading.Thread | None:
    """The thread, running; None where there can be no other, as while Python ends."""
    try:
        thread.start()
    except RuntimeError:
        return None
    return thread


class _Turns:
    """The time after which a thread that waits for the interpreter gets it from a busy one: 5 ms
    by default, which is what a kernel takes to compile, and less while there is a crew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._usual = 0.0
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        """The threads that had crews do not exist in the child."""
        self._lock = threading.Lock()
        if self._users:
            self._users = 0
            sys.setswitchinterval(self._usual)

    def shorten(self) -> None:
        with self._lock:
            if not self._users:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(min(self._usual, TURN))
            self._users += 1

    def restore(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                sys.setswitchinterval(self._usual)


_turns = _Turns()


class Crew:
    """Up to ``helpers`` threads and, at the end, the one that calls `finish`.

    Tasks are taken in the order of their cost, the dearest first. The first error ends the work:
    tasks that nobody has begun are dropped, and `finish` raises it.

    >>> found = []
    >>> with Crew(helpers=2) as crew:
    ...     for k in range(4):
    ...         crew.add(k, lambda k=k: found.append(k))
    ...     crew.finish()
    >>> sorted(found)
    [0, 1, 2, 3]
    """

    def __init__(self, helpers: int) -> None:
        self.helpers = helpers
        self._lock = threading.Lock()
        self._waiting: list[tuple[float, Callable[[], Any]]] = []
        self._threads: list[threading.Thread] = []
        self._busy = 0  # helpers that may take another task
        self._failed: list[BaseException] = []

    def add(self, cost: float, task: Callable[[], Any]) -> None:
        """Have a task done; a helper begins at once if one is free."""
        with self._lock:
            if self._failed:
                return
            self._waiting.append((cost, task))
            if self._busy >= self.helpers:
                return
            self._busy += 1
        run = contextvars.copy_context().run  # with the settings of a block
        thread = started(threading.Thread(target=run, args=(self._help,), name="symgraph-llvm"))
        if thread is not None:
            self._threads.append(thread)
        else:  # `finish` does it
            with self._lock:
                self._busy -= 1

    def finish(self) -> None:
        """Do what is left, together with the helpers. Raises what a task has raised."""
        while self._take_one():
            pass
        self._join()
        if self._failed:
            raise self._failed[0]

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _help(self) -> None:
        while self._take_one(True):
            pass

    def _take_one(self, helping: bool = False) -> bool:
        """Do one task; False when there is none, upon which a helper has left."""
        with self._lock:
            if not self._waiting:
                self._busy -= helping
                return False
            best = max(range(len(self._waiting)), key=lambda k: self._waiting[k][0])
            task = self._waiting.pop(best)[1]
        try:
            task()
        except BaseException as error:
            with self._lock:
                self._failed.append(error)
                self._waiting.clear()
        return True

    def __enter__(self) -> Crew:
        _turns.shorten()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        """Nobody is left behind where the thread that has the crew gives up."""
        with self._lock:
            self._waiting.clear()
        self._join()
        _turns.restore()
