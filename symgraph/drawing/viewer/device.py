"""A program for a GPU as the page shows it: launches in the place of kernels, PTX in the place of
machine code. Nothing here needs a GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symgraph import config, cuda_stages, stages
from symgraph.codegen.ptx.architecture import Architecture
from symgraph.drawing.program_scene import gist, writes
from symgraph.drawing.viewer.program import Code, Unit, cut, parameters, units
from symgraph.function import Definition
from symgraph.ir.graph import Graph
from symgraph.loops.launch import launch
from symgraph.loops.program import Branch, Call, Loop, Program, Run, Step
from symgraph.runtime.cuda.routines import ALONE, CHOOSE
from symgraph.scalar.text import text


class DeviceCode(Code):
    """A definition lowered for an architecture. ``loops`` are the CPU's, of the step that a launch
    was made from; ``asm`` is PTX."""

    def __init__(
        self, d: Definition, optimized: Graph, words: Mapping[str, str], sizes: Mapping[str, int],
        until: str, arch: Architecture,
    ) -> None:  # fmt: skip
        self.arch = arch
        super().__init__(d, optimized, words, sizes, until)

    def _lower(self) -> None:
        with config.change(matmul="blas"):  # as `cuda_stages.scheduled` does
            self.builder, plain = stages.planned(self.d, self.graph, False)
        self.program = cuda_stages.scheduled(self.d, self.graph)
        self.units = units(self.program, _beside(self.program, plain))
        self.gists = {id(u.step): _gist(u) for u in self.units}
        self._seen: dict[int, str] = {}  # steps, and the launch that shows their loops
        self.kernels = cuda_stages.emit(self.program, self.arch).kernels if self.until >= 5 else {}
        self.modules = {name: k.llvm for name, k in self.kernels.items()}

    def _row(self, u: Unit) -> dict[str, Any]:
        row = super()._row(u)
        step, plain = u.step, u.plain
        if isinstance(step, Run):
            name = step.kernel.name
            row["modules"] = [name] if name in self.kernels else []
            row["gist"] = ", ".join(filter(None, [self.gists[id(step)], launched(step)]))
            if "loops" in row["text"] and isinstance(plain, Run):
                self._before(row, plain)
        elif isinstance(step, Call):
            row["modules"], row["gist"] = [], called(step)
        return row

    def _before(self, row: dict[str, Any], plain: Run) -> None:
        """The parameters of the kernel that a launch was made from, and its loops but once."""
        row["params_before"] = parameters(plain)
        if id(plain) in self._seen:
            row["text"]["loops"] = f"// as of {self._seen[id(plain)]}, above"
        self._seen.setdefault(id(plain), row["name"])

    def _machine_code(self, name: str, _: str) -> str:
        lines = [line for line in self.kernels[name].ptx.splitlines() if line.strip(" /")]
        return cut("\n".join(lines), "ptx")


def called(step: Call) -> str:
    """Who does a call, or what it chooses from."""
    if step.routine == CHOOSE:
        first, second = (n for _, n in step.params)
        return f"the next {first} steps where libraries do all their calls, else {second} after"
    return "by a library of NVIDIA's" if step.routine in ALONE else "on the host"


def launched(step: Run) -> str:
    """So many blocks of so many threads."""
    found = launch(step.kernel)
    if found is None:
        return "on the host"
    blocks = found.blocks if isinstance(found.blocks, int) else text(found.blocks)
    return f"{blocks} × {found.block.extent} threads"


def _gist(u: Unit) -> str:
    """What the step before was about; the launch itself counts blocks and threads."""
    if isinstance(u.plain, Call):
        return u.plain.routine
    run = u.plain if isinstance(u.plain, Run) else u.step
    return gist(run.kernel)[0] if isinstance(run, Run) else ""


def _beside(program: Program, plain: Program) -> Program:
    """A program with as many steps as ``program``, each the one of ``plain`` that it comes from: a
    kernel may have become several launches, of which the last write what it wrote."""
    makers: dict[str, Step] = {b: step for step in plain.steps for b in writes(step)}
    steps: list[Step] = []
    near: Step | None = None
    for step in reversed(program.steps):
        known = [makers[b] for b in writes(step) if b in makers]
        near = known[0] if known else near
        steps.append(_inside(step, near if near is not None else step))
    return plain._replace(steps=tuple(steps[::-1]))


def _inside(step: Step, plain: Step) -> Step:
    if isinstance(step, Loop) and isinstance(plain, Loop):
        return plain._replace(body=_beside(step.body, plain.body))
    if isinstance(step, Branch) and isinstance(plain, Branch):
        pairs: Sequence[Program] = [
            _beside(a, b) for a, b in ((step.then, plain.then), (step.otherwise, plain.otherwise))
        ]
        return plain._replace(then=pairs[0], otherwise=pairs[1])
    return plain if not isinstance(step, Loop | Branch) else step
