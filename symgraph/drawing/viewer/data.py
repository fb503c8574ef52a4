"""All that the page shows, as one object of plain data.

Everything is linked through numbers: of nodes (the same in all states of a graph), of the user's
lines, of units (the steps of the program) and of buffers.
"""

from __future__ import annotations

import json
import linecache
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from symgraph import segments, stages
from symgraph.codegen.ptx.architecture import Architecture, target_architecture
from symgraph.drawing.program_scene import program_scene
from symgraph.drawing.replay import History, Numbers, histories
from symgraph.drawing.scene import FAMILIES
from symgraph.drawing.theme import COLOURS
from symgraph.drawing.viewer.device import DeviceCode
from symgraph.drawing.viewer.graphs import Boxes, Pictures
from symgraph.drawing.viewer.heat import heat_units, profile_rows
from symgraph.drawing.viewer.program import UNTIL, Code, lines_of, origins
from symgraph.errors import ArgumentError
from symgraph.function import Definition
from symgraph.ir import made_sizes
from symgraph.ir.graph import Apply, Variable
from symgraph.passes.pipeline import PassRecord

AROUND = 3  # lines shown before and after one that made something


def page_data(
    d: Definition,
    words: Sequence[str],
    sizes: Mapping[str, int] | None = None,
    until: str = "asm",
    profile: Any = None,
    target: str = "cpu",
) -> dict[str, Any]:
    """The data of the page for a definition; ``words`` name its outputs and updates, ``sizes`` its
    sizes in the memory plan, ``until`` is the last stage, ``profile`` is what `symgraph profile
    --json` wrote, or a function's profile; of a ``target`` such as cuda:sm_90 the page shows
    launches and PTX. Raises ArgumentError for an unknown stage, TargetError for an unknown
    target."""
    arch = target_architecture(target)
    until = "asm" if until == "ptx" and arch is not None else until
    if until not in UNTIL:
        raise ArgumentError(f"view: {until!r} is no stage", hint=f"stages are {', '.join(UNTIL)}")
    if made_sizes.in_graph(d.graph):
        d = segments.simplified(d)
    if profile is not None and arch is not None:
        raise ArgumentError(f"view: a profile holds times of the CPU, not of {target}",
                            hint="leave the target or the profile out")  # fmt: skip
    parted = segments.has_parts(d.graph)
    return _Data(d, words, sizes or {}, "optimized" if parted else until, parted, arch).all(profile)


class _Data:
    def __init__(
        self, d: Definition, words: Sequence[str], sizes: Mapping[str, int], until: str,
        parted: bool, arch: Architecture | None,
    ) -> None:  # fmt: skip
        self.d, self.words = d, list(words)
        self.target = f"cuda:{arch.name}" if arch is not None else "cpu"
        self.notes = ["A program in parts: symgraph dump shows the code of each."] if parted else []
        record = PassRecord()
        record.near_misses = []
        after = UNTIL.index(until) >= 1
        self.optimized = stages.optimized_graph(d, record) if after else d.graph
        self.numbers = Numbers()
        self.tales = (
            histories(record, self.optimized, self.numbers) if after else [History(d.graph, [])]
        ) or [History(d.graph, [])]
        if len(self.tales) == 1 and not self.tales[0].changes:
            self.tales = [History(d.graph, [])]
        self.boxes = Boxes()
        self.code: Code | None = None
        if UNTIL.index(until) >= 2:
            given = d, self.optimized, self._buffer_words(), sizes, until
            self.code = Code(*given) if arch is None else DeviceCode(*given, arch)
        self.lines: dict[tuple[str, int], int] = {}
        self.spans: list[set[tuple[int, int, int, int]]] = []

    def _buffer_words(self) -> dict[str, str]:
        d, found = self.d, {}
        found.update({f"in{k}": v.name or "input" for k, v in enumerate(d.arguments)})
        found.update({f"state{k}": s.label() for k, s in enumerate(d.shared)})
        found.update({f"out{k}": w for k, w in enumerate(self.words)})
        return found

    def all(self, profile: Any) -> dict[str, Any]:
        graphs = self._graphs()
        units, buffers = self._units()
        slots = self._slots(units)
        rows = profile_rows(profile, self.d.name)
        heat_units(units, rows.get("rows") or rows.get("kernels") or ())
        self._buffer_nodes(buffers)
        program: dict[str, Any] | None = None
        if self.code is not None:
            scene = program_scene(
                self.code.program,
                self.code.words,
                False,
                "program",
                self.code.keys,
                self.code.gists,
            )
            program = self.boxes.picture(scene)
        return {
            "title": self.d.name, "target": self.target, "graphs": graphs, "program": program,
            "boxes": self.boxes.rows, "nodes": slots, "units": units, "buffers": buffers,
            "modules": self.code.module_rows() if self.code is not None else [],
            "slots": self.code.slots() if self.code is not None else [],
            "sizes": self.code.sizes if self.code is not None else {},
            "lines": [[f, n] for f, n in self.lines], "sources": self._sources(),
            "colours": COLOURS, "families": FAMILIES, "notes": self.notes,
            "heat": any("seconds" in u for u in units),
            "shares": self._shares(rows.get("lines") or ()),
        }  # fmt: skip

    # graphs ---------------------------------------------------------------------------------------

    def _graphs(self) -> list[dict[str, Any]]:
        pictures = Pictures(self.boxes, self.numbers)
        rows: list[dict[str, Any]] = []
        for k, h in enumerate(self.tales):
            last = k == len(self.tales) - 1
            if not last and not h.changes:
                continue
            name = "whole program" if last else f"inside a loop ({len(rows) + 1})"
            rows.append(pictures.history(h, name, self.words if last else ()))
        return rows[::-1]

    def _things(self) -> dict[int, Any]:
        """Each number with its node or leaf."""
        return {k: t for t, k in reversed(self.numbers.of.items())}

    # links ----------------------------------------------------------------------------------------

    def _line_numbers(self, found: Iterable[Any]) -> list[list[int]]:
        """For each origin: the number of its line, first column, lines further, last column."""
        rows = []
        for file, line, col, end_line, end_col in lines_of(tuple(found)):
            number = self.lines.setdefault((file, line), len(self.lines))
            rows.append([number, col, end_line - line, end_col])
        return rows

    def _units(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        if self.code is None:
            return [], []
        rows = self.code.rows()
        for row, unit in zip(rows, self.code.units, strict=True):
            row["lines"] = self._line_numbers(origins(unit))
        return rows, self.code.buffers()

    def _slots(self, units: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
        """For each number of a node: its lines and its units."""
        things = self._things()
        homes: dict[int, set[int]] = {}
        if self.code is not None:
            found, _ = self.code.homes()
            homes = {self.numbers(n): u for n, u in found.items()}
            self._homes_backward(homes)
        by_line: dict[Any, set[int]] = {}
        if self.code is not None:
            for k, u in enumerate(self.code.units):
                for o in origins(u):
                    by_line.setdefault(o, set()).add(k)
        rows: list[list[Any]] = []
        for k in range(self.numbers.count):
            thing = things.get(k)
            lines = self._line_numbers(_origins(thing))
            near = homes.get(k)
            if not near and isinstance(thing, Apply):
                near = {u for o in thing.origins for u in by_line.get(o, ())}
                near = near if len(near) <= 4 else set()
            rows.append([lines, sorted(near or ())])
        return rows

    def _homes_backward(self, homes: dict[int, set[int]]) -> None:
        """What rules replaced is computed where its replacement is."""
        for h in reversed(self.tales):
            for c in reversed(h.changes):
                for f in c.firings:
                    after = homes.get(self.numbers(f.after.owner or f.after))
                    if after:
                        homes.setdefault(self.numbers(f.before.owner or f.before), after)
                        if len(c.firings) == 1:
                            for k in c.removed:
                                homes.setdefault(k, after)

    def _buffer_nodes(self, buffers: Sequence[dict[str, Any]]) -> None:
        """For each buffer the numbers of the nodes whose values it holds."""
        if self.code is None:
            return
        held: dict[str, list[int]] = {}
        for v, name in self.code.builder.names.items():
            thing = v.owner or v
            if thing in self.numbers.of:
                held.setdefault(self.code.memory(name), []).append(self.numbers(thing))
        for b in buffers:
            b["nodes"] = sorted(set(held.get(b["name"], ())))

    def _shares(self, rows: Sequence[Mapping[str, Any]]) -> dict[int, float]:
        """The share of the time of each line that a profile knows."""
        found = {str(r.get("line")): float(r.get("share", 0.0)) for r in rows}
        places = {f"{_short(f)}:{n}": k for (f, n), k in self.lines.items()}
        return {places[p]: share for p, share in found.items() if p in places}

    # source ---------------------------------------------------------------------------------------

    def _sources(self) -> list[dict[str, Any]]:
        """The lines that made something, with those around them, by file."""
        wanted: dict[str, set[int]] = {}
        for file, line in self.lines:
            wanted.setdefault(file, set()).add(line)
        found = []
        for file, made in wanted.items():
            text = linecache.getlines(file)
            last = max(len(text), 1)
            near = {n for m in made for n in range(m - AROUND, m + AROUND + 1) if 1 <= n <= last}
            rows = [
                [n, (text[n - 1] if n <= len(text) else "").rstrip("\r\n"),
                 self.lines.get((file, n), -1)]
                for n in sorted(near | made)
            ]  # fmt: skip
            found.append({"file": _short(file), "rows": rows})
        return found


def _short(file: str) -> str:
    try:
        short = os.path.relpath(file)
    except (ValueError, OSError):
        return file
    return os.path.basename(file) if short.startswith(os.pardir) else short


def _origins(thing: Any) -> tuple[Any, ...]:
    if isinstance(thing, Apply):
        return thing.origins
    if isinstance(thing, Variable) and thing.origin is not None:
        return (thing.origin,)
    return ()


def to_json(data: Any) -> str:
    """JSON that cannot end the element it stands in, whatever the strings are."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
