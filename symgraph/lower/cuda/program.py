"""The steps of a program for a GPU: kernels become launches, some routines kernels of our own.

    Run      launches, one after another (pieces.py); a kernel that calls functions of a C library
             is left as it is, without blocks: it can only run on the CPU
    Call     matmul, windows (convolutions), sort and small linear algebra become kernels; others
             stay, and the CPU does them; where libraries of NVIDIA's are installed a call "choose"
             comes before what they do and what is done otherwise
    Loop, Branch      their bodies likewise
    Copy, Require     stay

What a step of the result is for whoever runs it follows from this: a Run whose kernel has blocks is
a launch, anything else is done by the host or in its order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgraph import dtypes
from symgraph.loops.launch import launch
from symgraph.loops.memory import touched
from symgraph.loops.program import Branch, Buffer, Call, Loop, Program, Run, Step
from symgraph.loops.statements import Kernel, Let, Store, expressions, walk
from symgraph.lower.cuda import (
    convolutions,
    derivatives,
    factors,
    fourier,
    linear,
    pieces,
    products,
    scatters,
    sorting,
    spectra,
    windows,
)
from symgraph.lower.cuda.finishing import Follower, finished
from symgraph.lower.cuda.frame import Frame, memory
from symgraph.lower.schedule import collapse, join_folds
from symgraph.runtime.cuda.routines import CHOOSE
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
        program = finished(program)
        buffers = dict(program.buffers)
        uses: dict[str, int] = {}
        for step in program.steps:
            for name in dict.fromkeys(memory(program, n) for n in touched(step)):
                uses[name] = uses.get(name, 0) + 1
        steps: list[Step] = []
        for step in program.steps:
            match step:
                case Run() if launch(step.kernel) is not None:  # one of ours
                    steps.append(self._shared(step))
                case Run():
                    steps += self._run(program, step, uses, buffers, aligned)
                case Call():
                    steps += self._call(program, step, uses, buffers, aligned)
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
        sorted_first = scatters.scattered(frame, step, self._room(program, buffers))
        if sorted_first is not None:
            return self._scheduled(program, sorted_first, uses, buffers, aligned)
        pieces.cut(frame)
        buffers |= frame.buffers
        return [self._shared(run) for run in frame.runs]

    def _shared(self, run: Run) -> Run:
        """Equal kernels are one."""
        key = (run.kernel.params, run.kernel.sizes, run.kernel.body)
        kernel = run.kernel._replace(name=f"kernel{len(self.known)}")
        return run._replace(kernel=self.known.setdefault(key, kernel))

    def _call(
        self, program: Program, step: Call, uses: dict[str, int], buffers: dict[str, Buffer],
        aligned: bool,
    ) -> list[Step]:  # fmt: skip
        operands = [program.buffers[b] for b in step.buffers]
        if step.routine == "matmul" and operands[2].dtype in ("float32", "float64"):
            if products.by_library(step, operands):
                mode = products.mode(narrow_source(program, step))
                return [step._replace(params=(*step.params, ("mode", mode)))]
            return [*self._product(program, step, aligned)]
        if step.routine == "sort":
            ends = operands[0], operands[-1]
            room = self._room(program, buffers)
            made = sorting.sort_steps(*ends, dict(step.params), step, room)
            return (
                [step] if made is None else self._scheduled(program, made, uses, buffers, aligned)
            )
        if step.routine == "windows":
            room = self._room(program, buffers)
            made = convolutions.convolution_steps(step, operands, dict(step.params), room)
            first = windows.steps_of(step, operands, room)
            return self._choice(program, first, made, uses, buffers, aligned)
        if step.routine == "python":
            room = self._room(program, buffers)
            first = fourier.steps_of(step, operands, room)
            if first is None:
                first = spectra.steps_of(step, operands, room)
            return self._choice(program, first, [step], uses, buffers, aligned)
        if step.routine == "lapack":
            return self._linear(program, step, uses, buffers, aligned)
        return [step]

    def _room(self, program: Program, buffers: dict[str, Buffer]) -> Callable[..., str]:
        """What makes new memory of a program."""

        def room(dtype: str, shape: tuple[Any, ...]) -> str:
            self.names += 1
            name = f"{program.name}_room{self.names}"
            buffers[name] = Buffer(name, dtype, shape, "temp")
            return name

        return room

    def _linear(
        self, program: Program, step: Call, uses: dict[str, int], buffers: dict[str, Buffer],
        aligned: bool,
    ) -> list[Step]:  # fmt: skip
        operands = [program.buffers[b] for b in step.buffers]
        room = self._room(program, buffers)
        if dict(step.params)["name"] == "lower_product":
            flags = (("ta", dict(step.params)["ta"]), ("tb", False))
            product = step._replace(routine="matmul", params=flags)
            return self._call(program, product, uses, buffers, aligned)
        derivative = derivatives.steps_of(step, operands)
        if derivative is not None:
            first, second = derivative
            return self._choice(program, first, second, uses, buffers, aligned)
        made = linear.steps_of(step, operands, dict(step.params), room)
        first = factors.steps_of(step, operands, made is not None, room)
        return self._choice(program, first, made or [step], uses, buffers, aligned)

    def _choice(
        self, program: Program, first: list[Step] | None, second: list[Step], uses: dict[str, int],
        buffers: dict[str, Buffer], aligned: bool,
    ) -> list[Step]:  # fmt: skip
        """The first steps where libraries know all their calls, else the second."""
        kept = self._scheduled(program, second, uses, buffers, aligned)
        if first is None:
            return kept
        asked = self._scheduled(program, first, uses, buffers, aligned)
        counts = (("first", len(asked)), ("second", len(kept)))
        return [Call(CHOOSE, (), counts), *asked, *kept]

    def _scheduled(
        self, program: Program, made: list[Step], uses: dict[str, int], buffers: dict[str, Buffer],
        aligned: bool,
    ) -> list[Step]:  # fmt: skip
        """Steps that stand for a call, as launches where they are not yet."""
        inner = program._replace(buffers=buffers)
        uses = {**uses, **{n: 2 for n in buffers if n not in uses}}
        out: list[Step] = []
        for s in made:
            if isinstance(s, Loop):
                out.append(s._replace(body=self.program(s.body, False)))
            elif isinstance(s, Run) and launch(s.kernel) is None:
                out += self._run(inner, s, uses, buffers, aligned)
            else:
                out.append(self._shared(s) if isinstance(s, Run) else s)
        return out

    def _product(self, program: Program, step: Call, aligned: bool) -> list[Run]:
        params = dict(step.params)
        operands = [program.buffers[b] for b in step.buffers[:3]]
        flags = params["ta"], params["tb"], bool(params.get("accumulate", False))
        exact = narrow_source(program, step)
        bound = step.buffers[:3]
        if "follower" in params:
            then = Follower(params["follower"], step.buffers[2], params["kept"])
            made = products.product_kernels(operands, flags, aligned, then.params, then, exact)
            bound = (*step.buffers[:2], *then.buffers)
        else:
            made = products.product_kernels(operands, flags, aligned, exact=exact)
        return [self._shared(Run(k, bound, step.origins)) for k in made]


def narrow_source(program: Program, step: Call) -> str:
    """The narrow dtype whose numbers both operands of a product are, being casts of such; "" where
    they are not."""
    found: set[str] = set()
    for name in step.buffers[:2]:
        makers = [s for s in program.steps if isinstance(s, Run) and name in s.buffers
                  and s.kernel.params[s.buffers.index(name)].mode != "in"]  # fmt: skip
        found.add(cast_from(makers[0].kernel, makers[0].buffers.index(name)) if len(makers) == 1
                  else "")  # fmt: skip
    return found.pop() if len(found) == 1 else ""


def cast_from(kernel: Kernel, k: int) -> str:
    """The narrow dtype whose elements a kernel stores, as they are, in parameter number ``k``."""
    stores = [s for s in walk(kernel.body) if isinstance(s, Store)]
    values = [s.value for s in stores if s.buffer == kernel.params[k].name]
    lets = {s.name: s.value for s in walk(kernel.body) if isinstance(s, Let)}
    values = [lets.get(v, v) for v in values]
    if len(values) != 1 or values[0].op != "cast" or values[0].dtype != "float32":
        return ""
    source = values[0].args[0]
    return source.dtype if source.op == "load" and dtypes.is_narrow(source.dtype) else ""


def needs_library(kernel: Kernel) -> bool:
    """Whether a kernel calls functions that only a C library on the CPU has."""
    roots = [e for s in walk(kernel.body) for e in expressions(s)]
    return any(e.op in LIBRARY for e in postorder(roots))
