"""`f.profile`: what the counters of a function say, in the words of the user's program.

Rows are the steps of the native program; a row knows the nodes of the user's graph that it
computes, and so operations and lines. The time of a kernel that computes several is divided among
them by their work for one element (`loops/work.py`: an addition 1, an exponential 20).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from symgraph import config
from symgraph.errors import ArgumentError
from symgraph.function import Definition
from symgraph.ir.graph import Apply
from symgraph.ir.hashing import inner_graphs
from symgraph.loops.work import OPERATIONS
from symgraph.profiling import machine, page, tables, traces
from symgraph.profiling.compiling import STAGES
from symgraph.profiling.counters import Counted, Counters, ticks_per_second
from symgraph.provenance import Origin
from symgraph.records import NamedTuple

SCHEMA, VERSION = "symgraph.profile", 1
BY = ("kernel", "op", "line")
VIEWS = frozenset(
    "reshape transpose broadcast_to expand_dims squeeze slice size_value cast identity".split()
)
_SCALAR = {"power": "pow"}
ROUTINE = 1000  # the work of an op that is a routine, beside that of a loop that it runs


class Part(NamedTuple):
    """One native program of a function: its definition, rows and counters."""

    definition: Definition
    rows: Sequence[Mapping[str, Any]]
    counters: Counters
    compiling: Mapping[str, Any]


class Share(NamedTuple):
    """An operation that a row computes, where it was written, and its share of the row."""

    op: str
    origin: Origin | None
    weight: float


class Line(NamedTuple):
    """One row of a profile, counted."""

    number: int
    kind: str
    name: str
    parent: int
    dtype: str
    threads: bool
    shares: tuple[Share, ...]
    counted: Counted


class Profile:
    """Where the time of a function's calls went: ``f.profile`` of ``sg.compile(...,
    profile=True)``. Printing it shows `table`; all times are those of the calls since it was made
    or since `reset`.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> f = sg.compile([x], sg.sum(sg.exp(x)), profile=True)
    >>> _ = f([0.0] * 1000)
    >>> f.profile.calls
    1
    """

    def __init__(self, name: str, parts: Sequence[Part]) -> None:
        self.name, self.parts = name, tuple(parts)
        # rows of Python: calls, seconds, and the ticks of native code that these hold
        self.outside: dict[str, list[Any]] = {}
        self._first = list(self._offsets())

    def _offsets(self) -> Iterable[int]:
        start = 0
        for part in self.parts:
            yield start
            start += len(part.rows)

    def __repr__(self) -> str:
        return self.table()

    # counting -------------------------------------------------------------------------------------

    @property
    def calls(self) -> int:
        """Calls that have ended, by an exception too."""
        return max((p.counters.read()[3].calls for p in self.parts), default=0)

    @property
    def seconds(self) -> float:
        """The time of all calls: the sum of all rows."""
        return sum(line.counted.seconds for line in self.lines())

    @property
    def peak_bytes(self) -> int:
        """The most bytes that one call took for its outputs and temporaries."""
        return max((p.counters.peak for p in self.parts), default=0)

    def reset(self) -> None:
        """Begin anew; what was counted is forgotten."""
        self.outside.clear()
        for part in self.parts:
            part.counters.reset()

    def book(self, name: str, seconds: float, ticks: int) -> None:
        """Count time that was spent in Python, with ticks of native code in it."""
        row = self.outside.setdefault(name, [0, 0.0, 0])
        row[0] += 1
        row[1] += seconds
        row[2] += ticks

    def booked(self) -> tuple[float, int]:
        """The seconds that Python's rows hold so far, and the ticks of native code that they do not
        hold: what may be subtracted of a longer time. Takes some microseconds."""
        held = self.outside.values()
        ticks = sum(p.counters.ticks() for p in self.parts)
        return sum(s for _, s, _ in held), ticks - sum(t for _, _, t in held)

    # rows -----------------------------------------------------------------------------------------

    def lines(self) -> list[Line]:
        """All rows, each after the step that it is inside of."""
        found: list[Line] = []
        for first, part in zip(self._first, self.parts, strict=True):
            several = f" of part {self.parts.index(part)}" if len(self.parts) > 1 else ""
            for k, (row, counted) in enumerate(zip(part.rows, part.counters.read(), strict=True)):
                entry = row["kind"] == "entry"
                parent = -1 if row["parent"] < 0 else first + row["parent"]
                found.append(Line(
                    first + k, row["kind"], row["name"] + (several if entry else ""), parent,
                    row["dtype"], row["shared"], _shares(part.definition, row), counted,
                ))  # fmt: skip
        number = sum(len(p.rows) for p in self.parts)
        second = ticks_per_second() if self.outside else 1.0
        for k, (name, (calls, seconds, ticks)) in enumerate(self.outside.items()):
            counted = Counted(calls, max(0.0, seconds - ticks / second), 0, 0)
            found.append(Line(number + k, "python", name, -1, "", False, (), counted))
        return _as_tree(found)

    def roofline(self, line: Line) -> float | None:
        """The part of the attainable speed that a row has: the least time that the machine needs to
        move the bytes or to do the arithmetic, over the time it took; None where nothing counts."""
        c = line.counted
        if line.kind == "entry" or not c.calls or not c.seconds or not (c.bytes or c.flops):
            return None
        moved, flops, seconds = c.bytes / c.calls, c.flops / c.calls, c.seconds / c.calls
        row = self.limits_of(line)
        return machine.least_seconds(row, moved, flops, line.dtype) / seconds

    def limits_of(self, line: Line) -> dict[str, Any]:
        """The limits of the machine for the threads that a row had: all of them where it may be
        shared out and is long enough for that."""
        threads = config.get("num_threads")
        c = line.counted
        long = c.calls and c.seconds / c.calls * threads > 1e-9 * config.get("parallel_from")
        return machine.of_threads(machine.limits(), threads if line.threads and long else 1)

    def by(self, key: str) -> list[dict[str, Any]]:
        """Time by "op" or "line", the most first: calls, seconds, share and kernels."""
        if key not in BY[1:]:
            raise ArgumentError(f"by is 'kernel', 'op' or 'line', not {key!r}")
        rows: dict[str, dict[str, Any]] = {}
        seen: dict[str, set[int]] = {}
        whole = self.seconds or 1.0
        for line in self.lines():
            for share in line.shares or (Share(f"({line.name})", None, 1.0),):
                place = share.origin
                name = share.op if key == "op" or place is None else _brief(place)
                row = rows.setdefault(name, {
                    key: name, "calls": 0, "seconds": 0.0, "share": 0.0, "kernels": [], "text": "",
                })  # fmt: skip
                counted = seen.setdefault(name, set())
                seconds = share.weight * line.counted.seconds
                row["seconds"] += seconds
                row["share"] += seconds / whole
                if line.number not in counted:
                    counted.add(line.number)
                    row["calls"] += line.counted.calls
                if line.name not in row["kernels"]:
                    row["kernels"].append(line.name)
                if key == "line" and place is not None:
                    row["text"] = place.location().source_line.strip()
        return sorted(rows.values(), key=lambda r: -r["seconds"])

    def compiling(self) -> list[dict[str, Any]]:
        """Of each native program the seconds by stage, pass and rule, when it was compiled."""
        found = []
        for p in self.parts:
            held = p.compiling["stages"]
            stages = {n: held[n] for n in STAGES if n in held}
            found.append({"name": p.definition.name, **p.compiling, "stages": stages})
        return found

    # forms ----------------------------------------------------------------------------------------

    def data(self) -> dict[str, Any]:
        """The whole profile as plain dicts and lists; docs/profile.md explains the schema."""
        whole = self.seconds or 1.0
        rows = [{**self._row(line), "share": line.counted.seconds / whole} for line in self.lines()]
        return {
            "schema": SCHEMA, "version": VERSION, "function": self.name, "calls": self.calls,
            "seconds": self.seconds, "peak_bytes": self.peak_bytes,
            "allocations": self._allocations(), "machine": machine.limits(), "rows": rows,
            "ops": self.by("op"), "lines": self.by("line"), "compile": self.compiling(),
        }  # fmt: skip

    def _row(self, line: Line) -> dict[str, Any]:
        c = line.counted
        rate = 1e-9 / c.seconds if c.seconds and line.kind != "entry" else 0.0
        shares = [
            {"op": s.op, "line": _brief(s.origin) if s.origin else None, "weight": s.weight,
             "text": s.origin.location().source_line.strip() if s.origin else ""}
            for s in line.shares
        ]  # fmt: skip
        return {
            "number": line.number, "parent": line.parent, "kind": line.kind, "name": line.name,
            "calls": c.calls, "seconds": c.seconds, "bytes": c.bytes, "flops": c.flops,
            "gbytes_per_second": c.bytes * rate, "gflops_per_second": c.flops * rate,
            "roofline": self.roofline(line), "dtype": line.dtype, "ops": shares,
        }  # fmt: skip

    def _allocations(self) -> dict[str, Any]:
        rows = [line for line in self.lines() if line.kind == "entry"]
        found = {}
        for name in ("outputs", "temporaries"):
            held = [r.counted for r in rows if r.name.startswith(name)]
            found[name] = {
                "calls": sum(c.calls for c in held if c.bytes),
                "bytes": sum(c.bytes for c in held),
            }
        return found

    def table(self, by: str = "kernel", width: int | None = None) -> str:
        """The profile for a terminal ``width`` columns wide (default: of the terminal)."""
        if by not in BY:
            raise ArgumentError(f"by is 'kernel', 'op' or 'line', not {by!r}")
        return tables.table(self.data(), by, width)

    def json(self) -> str:
        """`data` as text."""
        return json.dumps(self.data(), indent=2)

    def html(self, path: str | os.PathLike[str]) -> None:
        """Write a page that works offline: flame graph, roofline plot, tables."""
        _write(path, page.html([self.data()]))

    def trace_calls(self, events: int = 1 << 16) -> None:
        """From now on keep the times of the next so many steps, for `trace`."""
        for part in self.parts:
            part.counters.trace(events)

    def trace(self, path: str | os.PathLike[str]) -> None:
        """Write what `trace_calls` kept in the format of Chrome's trace viewer and Perfetto."""
        _write(path, json.dumps(traces.document([self])))


def _write(path: str | os.PathLike[str], text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _brief(origin: Origin) -> str:
    return origin.brief().split(" in ")[0]


def _as_tree(lines: Sequence[Line]) -> list[Line]:
    inside: dict[int, list[Line]] = {}
    for line in lines:
        inside.setdefault(line.parent, []).append(line)
    found: list[Line] = []
    stack = inside.get(-1, [])[::-1]
    while stack:
        line = stack.pop()
        found.append(line)
        stack += inside.get(line.number, [])[::-1]
    return found


def _shares(d: Definition, row: Mapping[str, Any]) -> tuple[Share, ...]:
    """The operations of a row; without views, unless it has nothing else."""
    nodes = dict.fromkeys(n for n in (_node(d, path) for path in row["origins"]) if n is not None)
    real = [n for n in nodes if n.op.name not in VIEWS] or list(nodes)
    weights = [_weight(n, row["kind"]) for n in real]
    whole = sum(weights) or 1
    return tuple(
        Share(n.op.name, n.origins[0] if n.origins else None, w / whole)
        for n, w in zip(real, weights, strict=True)
    )


def _weight(node: Apply, kind: str) -> int:
    if kind == "call" and not hasattr(node.op, "lower"):
        return ROUTINE
    return OPERATIONS.get(_SCALAR.get(node.op.name, node.op.name), 1)


def _node(d: Definition, path: Sequence[int]) -> Apply | None:
    """The node of the user's graph at a path."""
    graph = d.graph
    node: Apply | None = None
    for k in range(0, len(path), 2):
        nodes = graph.toposort()
        if path[k] >= len(nodes):
            return None
        node = nodes[path[k]]
        if k + 1 < len(path):
            graph = inner_graphs(node.op)[path[k + 1]]
    return node
