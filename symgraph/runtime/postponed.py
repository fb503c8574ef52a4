"""Writing what can wait: artefacts go to the disk a moment after the call that made them.

A first call makes some ten artefacts, and to write each takes half a millisecond, a tenth of what
small functions compile in. A thread writes them when none has come for a while, at once when the
process ends, and before it forks. A process that is killed first leaves the cache as it was.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from symgraph.runtime.crew import started

DELAY = 0.03  # seconds since the last artefact
TICK = 0.005  # between two looks whether the process ends


class Postponed:
    """Tasks by key, done in their order by a thread that lives no longer than there are any.

    >>> done = []
    >>> later = Postponed()
    >>> later.add("a", "what a is", lambda: done.append("a"))
    >>> later.find("a"), later.settle(), later.find("a"), done
    ('what a is', None, None, ['a'])
    """

    def __init__(self) -> None:
        self._forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self.settle, after_in_child=self._forget)

    def _forget(self) -> None:
        """In a forked child: other threads, and the locks that they held, do not exist there."""
        self._lock, self._working = threading.Lock(), threading.Lock()
        self._waiting: dict[Any, tuple[Any, Callable[[], Any]]] = {}
        self._thread: threading.Thread | None = None
        self._hurry = threading.Event()
        self._latest = 0.0

    def add(self, key: Any, what: Any, task: Callable[[], Any]) -> None:
        """Have a task done later; until then ``find`` finds what it is about."""
        with self._lock:
            self._waiting[key] = what, task
            self._latest = time.monotonic()
            if self._thread is None:
                self._hurry.clear()
                self._thread = started(threading.Thread(target=self._wait, name="symgraph-cache"))
            alone = self._thread is None
        if alone:  # Python ends
            self._work()

    def find(self, key: Any) -> Any:
        """What a task is about that has not been done, else None."""
        found = self._waiting.get(key)
        return None if found is None else found[0]

    def settle(self) -> None:
        """Return when all tasks are done."""
        self._hurry.set()
        self._work()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _wait(self) -> None:
        main = threading.main_thread()
        while (rest := self._latest + DELAY - time.monotonic()) > 0 and main.is_alive():
            if self._hurry.wait(min(rest, TICK)):
                break
        with self._lock:
            self._thread = None  # who comes now has another
        self._work()

    def _work(self) -> None:
        with self._working:  # who gets in finds done what others had begun
            while self._waiting:
                with self._lock:
                    key = next(iter(self._waiting), None)
                    work = self._waiting.get(key)
                if work is None:
                    return
                try:
                    work[1]()
                finally:
                    with self._lock:
                        if self._waiting.get(key) is work:
                            del self._waiting[key]


LATER = Postponed()  # the process's
