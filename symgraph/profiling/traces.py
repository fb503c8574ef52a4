"""Traces in the JSON format that Chrome's about:tracing and Perfetto read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any


def document(profiles: Sequence[Any]) -> dict[str, Any]:
    """Each function is a thread of one process; calls, loops and steps are nested slices."""
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": os.getpid(), "tid": 0,
         "args": {"name": "symgraph"}},
    ]  # fmt: skip
    thread = 0
    for profile in profiles:
        for k, part in enumerate(profile.parts):
            thread += 1
            name = profile.name if len(profile.parts) == 1 else f"{profile.name}.{k}"
            events.append({"ph": "M", "name": "thread_name", "pid": os.getpid(), "tid": thread,
                           "args": {"name": name}})  # fmt: skip
            slices = _Slices(name, part.rows, thread)
            for row, at in part.counters.events():
                slices.event(row, at)
            events += slices.found
    return {"traceEvents": events, "displayTimeUnit": "ns"}


class _Slices:
    """Slices from marks: each step ends at its mark and began at the one before; a loop spans the
    marks of the steps inside it."""

    def __init__(self, name: str, rows: Sequence[Any], thread: int) -> None:
        self.name, self.rows, self.thread = name, rows, thread
        self.found: list[dict[str, Any]] = []
        self.last = self.began = 0.0
        self.open: list[tuple[int, float]] = []  # loops that run, with their begin

    def event(self, row: int, at: float) -> None:
        if row < 0:
            self.began = self.last = at
            self.open.clear()
            return
        path = self._path(row)
        while self.open and self.open[-1][0] not in path:
            self._close()
        known = {number for number, _ in self.open}
        for number in path[:-1]:
            if number not in known:
                self.open.append((number, self.last))
        if path[-1] not in known:
            self._slice(row, self.last, at)
        self.last = at
        if self.rows[row]["name"] == "return":
            while self.open:
                self._close()
            self._slice(-1, self.began, at)

    def _path(self, row: int) -> list[int]:
        path = [row]
        while self.rows[path[-1]]["parent"] >= 0:
            path.append(self.rows[path[-1]]["parent"])
        return path[::-1]

    def _close(self) -> None:
        number, began = self.open.pop()
        self._slice(number, began, self.last)

    def _slice(self, row: int, began: float, ended: float) -> None:
        name = self.name if row < 0 else self.rows[row]["name"]
        kind = "call of the function" if row < 0 else self.rows[row]["kind"]
        self.found.append({
            "ph": "X", "name": name, "cat": kind, "pid": os.getpid(), "tid": self.thread,
            "ts": round(1e6 * began, 4), "dur": round(1e6 * (ended - began), 4),
        })  # fmt: skip
