"""The steps of a program for a GPU: kernels become launches, some routines kernels of our own.

    Run      launches, one after another (pieces.py); a kernel that calls functions of a C library
             is left as it is, without blocks: it can only run on the CPU
    Call     matmul and sort become kernels; the others stay: the CPU or a library does them
    Loop, Branch      their bodies likewise
    Copy, Require     stay

What a step of the result is for whoever runs it follows from this: a Run whose kernel has blocks is
a launch, anything else is done by the host or in its order.
"""

from __future__ import annotations

from symgraph.loops.memory import touched
from symgraph.loops.program import Branch, Buffer, Call, Loop, Program, Run, Step
from symgraph.loops.statements import Kernel, expressions, walk
from symgraph.lower.cuda import pieces, sorting
from symgraph.lower.cuda.frame import Frame, memory
from symgraph.lower.cuda.products import product_kernel
from symgraph.lower.schedule import collapse, join_folds
from symgraph.scalar import postorder
from symgraph.scalar.special import LIBRARY


def schedule_for_gpu(program: Program) -> Program:
    """The program with launches in the place of its kernels.

    ``program`` holds unscheduled, legal kernels. What it computes is the same; sums are taken in
    another order.
    """
    return _Scheduler().program(program, aligned=True)


class _Scheduler:
    def __init__(self) -> None:
        self.names = 0
        self.known: dict[tuple, Kernel] = {}

    def program(self, program: Program, aligned: bool) -> Program:
        """``aligned``: the memory of every buffer begins at a multiple of 16 bytes, which rows of
        an array, as the body of a loop is given them, need not."""
        buffers = dict(program.buffers)
        uses: dict[str, int] = {}
        for step in program.steps:
            for name in dict.fromkeys(memory(program, n) for n in touched(step)):
                uses[name] = uses.get(name, 0) + 1
        steps: list[Step] = []
        for step in program.steps:
            match step:
                case Run():
                    steps += self._run(program, step, uses, buffers, aligned)
                case Call():
                    steps += self._call(program, step, buffers)
                case Loop():
                    steps.append(step._replace(body=self.program(step.body, False)))
                case Branch():
                    then, otherwise = (self.program(p, False) for p in (step.then, step.otherwise))
                    steps.append(step._replace(then=then, otherwise=otherwise))
                case _:
                    steps.append(step)
        return program._replace(buffers=buffers, steps=tuple(steps))

    def _run(
        self, program: Program, step: Run, uses: dict[str, int], buffers: dict[str, Buffer],
        aligned: bool,
    ) -> list[Step]:  # fmt: skip
        if needs_library(step.kernel):
            return [step]
        kernel = collapse(join_folds(step.kernel))
        homes = [memory(program, b) for b in step.buffers]
        own = {
            p.name for p, home in zip(kernel.params, homes, strict=True)
            if program.buffers[home].role == "temp" and uses[home] == 1 and homes.count(home) == 1
        }  # fmt: skip
        self.names += 1
        prefix = f"{program.name}_{step.kernel.name}_{self.names}"
        frame = Frame(program, step, kernel, own, prefix, aligned)
        pieces.cut(frame)
        buffers |= frame.buffers
        return [self._shared(run) for run in frame.runs]

    def _shared(self, run: Run) -> Run:
        """Equal kernels are one."""
        key = (run.kernel.params, run.kernel.sizes, run.kernel.body)
        kernel = run.kernel._replace(name=f"kernel{len(self.known)}")
        return run._replace(kernel=self.known.setdefault(key, kernel))

    def _call(self, program: Program, step: Call, buffers: dict[str, Buffer]) -> list[Step]:
        params = dict(step.params)
        operands = [program.buffers[b] for b in step.buffers]
        if step.routine == "matmul" and operands[2].dtype in ("float32", "float64"):
            flags = params["ta"], params["tb"], bool(params.get("accumulate", False))
            kernel = product_kernel("product", operands[:3], flags)
            return [self._shared(Run(kernel, step.buffers[:3], step.origins))]
        if step.routine == "sort":
            run = sorting.sort_run(operands[0], operands[-1], params, step)
            return [self._shared(run)] if run is not None else [step]
        return [step]


def needs_library(kernel: Kernel) -> bool:
    """Whether a kernel calls functions that only a C library on the CPU has."""
    roots = [e for s in walk(kernel.body) for e in expressions(s)]
    return any(e.op in LIBRARY for e in postorder(roots))
