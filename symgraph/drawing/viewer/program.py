"""The lowered program as the page wants it: its steps ("units") with their texts, its buffers, the
memory plan, and which unit computes which node of the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symgraph import stages
from symgraph.codegen import llvm
from symgraph.drawing.families import routine_family
from symgraph.drawing.program_scene import gist, reads, writes
from symgraph.errors import SymgraphError
from symgraph.function import Definition
from symgraph.ir.graph import Apply, Graph, Variable
from symgraph.loops.memory import nbytes, plan, touched, workspace
from symgraph.loops.program import Branch, Call, Copy, Loop, Program, Require, Run, Step
from symgraph.loops.routine import Routine
from symgraph.loops.text import kernel_text, type_text
from symgraph.provenance import Origin
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, evaluate_size, postorder
from symgraph.stages import Lowered

LONGEST = 1500  # lines of one text on the page
MOST = 12_000_000  # characters of all LLVM and machine code on the page
UNTIL = ("graph", "optimized", "program", "loops", "scheduled", "llvm", "asm")


class Unit(NamedTuple):
    """A step of the program or of a program inside it; ``plain`` is the same before scheduling."""

    step: Step
    plain: Step
    depth: int
    place: int  # the number of the outermost step around it


def units(scheduled: Program, plain: Program) -> list[Unit]:
    """All steps, each followed by those inside it."""
    found: list[Unit] = []

    def visit(p: Program, q: Program, depth: int, place: int) -> None:
        same = len(p.steps) == len(q.steps)
        for k, step in enumerate(p.steps):
            other = q.steps[k] if same else step
            if len(_programs(other)) != len(_programs(step)):
                other = step
            at = k if depth == 0 else place
            found.append(Unit(step, other, depth, at))
            for a, b in zip(_programs(step), _programs(other), strict=True):
                visit(a, b, depth + 1, at)

    visit(scheduled, plain, 0, 0)
    return found


def _programs(step: Step) -> tuple[Program, ...]:
    if isinstance(step, Loop):
        return (step.body,)
    return (step.then, step.otherwise) if isinstance(step, Branch) else ()


def origins(unit: Unit) -> tuple[Origin, ...]:
    """The user's lines of a step; of a loop those of the steps inside it."""
    step = unit.step
    if isinstance(step, Require):
        return tuple(dict.fromkeys(step.failure.origins))
    inner = [s for p in _programs(step) for s in p.steps]
    own = tuple(getattr(step, "origins", ()))
    found = (*own, *(o for s in inner for o in getattr(s, "origins", ())))
    return tuple(dict.fromkeys(found))


class Code:
    """A definition lowered as far as ``until`` says."""

    def __init__(
        self, d: Definition, optimized: Graph, words: Mapping[str, str], sizes: Mapping[str, int],
        until: str,
    ) -> None:  # fmt: skip
        self.d, self.graph, self.words = d, optimized, words
        self.until = UNTIL.index(until)
        self.gists: dict[int, str] = {}  # by the id of a step: other words than its own
        self._lower()
        self.sizes = self._sizes(sizes)
        self.keys = {id(u.step): k for k, u in enumerate(self.units)}

    def _lower(self) -> None:
        self.builder, self.program = stages.planned(self.d, self.graph)
        self.units = units(self.program, stages.lower(self.d, self.graph, scheduled=False))
        low = stages.emit(self.d, self.graph, self.program) if self.until >= 5 else None
        self.modules = _modules(low) if low is not None else {}

    def _sizes(self, given: Mapping[str, int]) -> dict[str, int]:
        names = {e.attr for b in self.program.buffers.values() for s in b.shape
                 if isinstance(s, Expr) for e in postorder([s]) if e.op == "var"}  # fmt: skip
        names |= set(self.program.sizes)
        return {n: given.get(n, 64) for n in sorted(names)}

    # texts ----------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """Every unit: title, family, texts, buffers."""
        return [self._row(u) for u in self.units]

    def _row(self, u: Unit) -> dict[str, Any]:
        step = u.step
        name, family = _title(step)
        outer = u.depth == 0
        row: dict[str, Any] = {
            "name": name, "family": family, "depth": u.depth, "place": u.place,
            "reads": [self.memory(b) for b in dict.fromkeys(reads(step))] if outer else [],
            "writes": [self.memory(b) for b in dict.fromkeys(writes(step))] if outer else [],
            "gist": "", "text": {}, "modules": [],
        }  # fmt: skip
        if isinstance(step, Run):
            row["gist"] = gist(step.kernel)[0]
            row["kernel"] = step.kernel.name
            row["params"] = parameters(step)
            if self.until >= 3 and isinstance(u.plain, Run):
                row["text"]["loops"] = cut(kernel_text(u.plain.kernel), "loops")
            if self.until >= 4:
                row["text"]["scheduled"] = cut(kernel_text(step.kernel), "scheduled")
            row["modules"] = [m for m in self.modules if _belongs(m, step.kernel.name)]
        elif isinstance(step, Call) and step.routine == "matmul":
            dtype = self.program.buffers[step.buffers[-1]].dtype if outer else ""
            row["modules"] = [m for m in self.modules if m == f"matmul_{dtype}"]
        return row

    def module_rows(self) -> list[dict[str, Any]]:
        """Every LLVM module: its text and its machine code."""
        rows, room = [], MOST
        for name, text in self.modules.items():
            row = {"name": name, "llvm": cut(text, "llvm"), "asm": ""}
            room -= len(text)
            if self.until >= 6 and room > 0:
                row["asm"] = self._machine_code(name, text)
            rows.append(row)
        return rows

    def _machine_code(self, name: str, text: str) -> str:
        return cut(_clean(_assembly(text)), "asm")

    # buffers --------------------------------------------------------------------------------------

    def memory(self, name: str) -> str:
        """The buffer whose memory this is."""
        while name in self.program.buffers and self.program.buffers[name].alias:
            name = self.program.buffers[name].alias
        return name

    def buffers(self) -> list[dict[str, Any]]:
        """Every buffer with memory of its own: how large, from when to when, in which slot."""
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        for k, step in enumerate(self.program.steps):
            for name in map(self.memory, touched(step)):
                first.setdefault(name, k)
                last[name] = k
        held = plan(self.program)
        rows = []
        for b in self.program.buffers.values():
            if b.alias or b.name not in first:
                continue
            rows.append({
                "name": b.name, "word": self.words.get(b.name, ""), "role": b.role,
                "type": type_text(b.dtype, b.shape), "bytes": self._bytes(nbytes(b)),
                "first": 0 if b.role in ("input", "shared", "constant") else first[b.name],
                "last": len(self.program.steps) - 1 if b.role in ("output", "shared")
                else last[b.name],
                "slot": held.slot_of.get(b.name, -1),
            })  # fmt: skip
        for k, step in enumerate(self.program.steps):
            slot = held.slot_of.get(f"#{k}")
            if slot is not None:
                rows.append({
                    "name": f"work of step {k}", "word": "", "role": "work", "type": "bytes",
                    "bytes": self._bytes(workspace(step)), "first": k, "last": k, "slot": slot,
                })  # fmt: skip
        return rows

    def slots(self) -> list[int | None]:
        """The bytes of each slot of the arena."""
        return [self._bytes(s) for s in plan(self.program).slots]

    def _bytes(self, size: Any) -> int | None:
        try:
            return evaluate_size(size, self.sizes)
        except (KeyError, ZeroDivisionError):
            return None

    # which unit computes what ---------------------------------------------------------------------

    def homes(self) -> tuple[dict[Apply, set[int]], dict[str, Variable]]:
        """The units that compute each node of the optimized graph, and the value that each buffer
        holds."""
        values = {b: v for v, b in reversed(self.builder.names.items())}
        writer: dict[str, int] = {}
        for k, u in enumerate(self.units):
            if u.depth == 0:
                writer.update(dict.fromkeys(writes(u.step), k))
        found: dict[Apply, set[int]] = {}
        users: dict[Apply, list[Apply]] = {}
        order = self.graph.toposort()
        for n in order:
            for v in n.inputs:
                if v.owner is not None:
                    users.setdefault(v.owner, []).append(n)
        for n in reversed(order):
            here = {writer[b] for v in n.outputs
                    if (b := self.builder.names.get(v, "")) in writer}  # fmt: skip
            if not here:
                here = {k for m in users.get(n, ()) for k in found.get(m, ())}
            found[n] = here
        return found, values


def parameters(run: Run) -> list[list[str]]:
    """Name, buffer, mode and type of each."""
    pairs = zip(run.kernel.params, run.buffers, strict=True)
    return [[p.name, b, p.mode, type_text(p.dtype, p.shape)] for p, b in pairs]


def _modules(low: Lowered) -> dict[str, str]:
    return {**low.kernels, "function": low.main}


def _belongs(module: str, kernel: str) -> bool:
    rest = module.removeprefix(kernel)
    return module.startswith(kernel) and (not rest or (rest[0] == "_" and rest[1:].isdigit()))


def _assembly(text: str) -> str:
    try:
        return llvm.assembly(text)
    except SymgraphError as error:
        return f"# {error.what}"


def _clean(text: str) -> str:
    """Machine code without the directives that no reader wants and without its constants."""
    away = ("\t.cfi_", "\t.p2align", "\t.section", "\t.type", "\t.size", "\t.file", "\t.addrsig")
    kept, constants = [], False
    for line in text.splitlines():
        if not line.startswith("\t"):
            constants = line.startswith(".LCPI")
        if not constants and not line.startswith(away):
            kept.append(line)
    return "\n".join(kept)


def cut(text: str, stage: str) -> str:
    """The text, or as much of it as fits on the page."""
    lines = text.splitlines()
    if len(lines) <= LONGEST:
        return text
    more = len(lines) - LONGEST
    mark = "#" if stage == "asm" else ";" if stage == "llvm" else "//"
    note = f"{mark} ... {more} more lines, which symgraph dump --stage {stage} shows"
    return "\n".join([*lines[:LONGEST], note])


def _title(step: Step) -> tuple[str, str]:
    """The word for a step, and its family."""
    match step:
        case Run():
            return step.kernel.name, "reduction" if gist(step.kernel)[1] else "elementwise"
        case Call():
            return step.routine, routine_family(Routine(step.routine))
        case Copy():
            return "copy", "view"
        case Loop():
            return f"loop of {step.length} steps", "control"
        case Branch():
            return "branch", "control"
        case Require():
            return f"require {step.failure.code}", "check"


def lines_of(found: Sequence[Origin]) -> list[tuple[str, int, int, int, int]]:
    """The places of origins: file, line, first column, last line, last column."""
    places = []
    for o in found:
        at = o.location()
        places.append((at.file, at.line, at.col or 0, at.end_line, at.end_col or 0))
    return places
