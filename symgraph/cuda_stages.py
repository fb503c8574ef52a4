"""The stages of the CUDA target: optimize and lower as for the CPU, then launches and PTX.

    scheduled   lower/cuda/: unscheduled kernels -> launches of blocks and threads
    llvm        codegen/ptx/kernel.py: one module for each kernel
    ptx         codegen/ptx/nvptx.py
    cubin       codegen/ptx/assemble.py, where an assembler is installed

What comes out is a :class:`DeviceProgram`. Nothing here needs a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from symgraph import config
from symgraph.codegen.ptx.architecture import Architecture
from symgraph.codegen.ptx.assemble import Cubin, assemble
from symgraph.codegen.ptx.kernel import kernel_text
from symgraph.codegen.ptx.nvptx import ptx
from symgraph.function import Definition
from symgraph.ir.graph import Graph
from symgraph.loops.launch import launch
from symgraph.loops.legalize import legalize
from symgraph.loops.memory import plan
from symgraph.loops.program import Branch, Loop, Program, Run
from symgraph.loops.statements import Kernel, Param, Size
from symgraph.loops.text import kernels
from symgraph.loops.verify import verify_program
from symgraph.lower.cuda.program import schedule_for_gpu
from symgraph.records import NamedTuple
from symgraph.runtime.collecting import uncollected
from symgraph.stages import lower


class DeviceKernel(NamedTuple):
    """A kernel as it is launched: ``name`` is its entry in ``ptx``; ``blocks`` along x (an
    expression over ``sizes``; with 0 there is nothing to launch) of ``threads`` along x. It takes
    the addresses of ``params``, in order, then ``sizes`` as 64-bit integers. Its shared memory is
    part of the code. ``aligned``: addresses must be multiples of 16."""

    name: str
    llvm: str
    ptx: str
    blocks: Size
    threads: int
    params: tuple[Param, ...]
    sizes: tuple[str, ...]
    aligned: bool

    def cubin(self, arch: Architecture, assembler: str = "") -> Cubin:
        """Its machine code. Raises TargetError where no assembler is installed."""
        return assemble(self.ptx, arch, assembler)


class DeviceProgram(NamedTuple):
    """A program for a GPU: ``program`` says what is launched over which buffers, in which order (a
    Run whose kernel is not in ``kernels`` and every Call are for the host), and ``kernels`` what is
    launched. Buffers lie in memory as ``loops.memory.plan(program)`` says."""

    arch: Architecture
    program: Program
    kernels: dict[str, DeviceKernel]

    @property
    def llvm(self) -> str:
        """The modules of all kernels for reading."""
        return "\n".join(f"; {k.name}\n{k.llvm}" for k in self.kernels.values())

    @property
    def ptx(self) -> str:
        """The PTX of all kernels for reading."""
        return "\n".join(f"// {k.name}\n{k.ptx}" for k in self.kernels.values())


@uncollected()
def scheduled(d: Definition, optimized: Graph) -> Program:
    """The Program of an optimized graph with launches in the place of its kernels."""
    with config.change(matmul="blas"):  # products and windows as they are, not in the CPU's order
        program = legalize(lower(d, optimized, scheduled=False, device=True))
    found = schedule_for_gpu(program)
    if config.get("verify"):
        verify_program(found)
    return found


@uncollected()
def emit(
    program: Program, arch: Architecture, translate: Callable[[str, Architecture], str] = ptx
) -> DeviceProgram:
    """The kernels of a scheduled program as LLVM IR and, by ``translate``, PTX.

    Raises TargetError where this llvmlite cannot write PTX.
    """
    apart, aligned = _apart(program), _aligned(program)
    made: dict[str, DeviceKernel] = {}
    for kernel in kernels(program):
        found = launch(kernel)
        if found is None:
            continue
        straight = kernel.name in aligned
        text = kernel_text(kernel, kernel.name in apart, straight, arch.number)
        made[kernel.name] = DeviceKernel(
            kernel.name, text, translate(text, arch), found.blocks, found.threads, kernel.params,
            kernel.sizes, straight,
        )  # fmt: skip
    return DeviceProgram(arch, program, made)


def _programs(program: Program, top: bool = True) -> Iterator[tuple[Program, bool]]:
    yield program, top
    for step in program.steps:
        match step:
            case Loop():
                yield from _programs(step.body, False)
            case Branch():
                yield from _programs(step.then, False)
                yield from _programs(step.otherwise, False)


def _runs(program: Program) -> Iterator[tuple[Kernel, Program, Run, bool]]:
    for inner, top in _programs(program):
        for step in inner.steps:
            if isinstance(step, Run):
                yield step.kernel, inner, step, top


def _aligned(program: Program) -> set[str]:
    """The kernels that are only run on whole buffers, which begin at multiples of 16 bytes; the
    rows that a loop gives its body need not."""
    runs = list(_runs(program))
    return {k.name for k, *_ in runs} - {k.name for k, _, _, top in runs if not top}


def _apart(program: Program) -> set[str]:
    """The kernels that never write into memory of another of their parameters."""
    plans = {id(p): plan(p) for p, _ in _programs(program)}
    shared: set[str] = set()
    for kernel, inner, step, top in _runs(program):
        places = [_place(inner, plans[id(inner)].slot_of, b) for b in step.buffers]
        written = [k for k, p in enumerate(kernel.params) if p.mode != "in"]
        if not top or any(places.count(places[k]) > 1 for k in written):
            shared.add(kernel.name)
    return {k.name for k, *_ in _runs(program)} - shared


def _place(program: Program, slots: dict[str, int], name: str) -> str:
    while program.buffers[name].alias:
        name = program.buffers[name].alias
    return f"slot {slots[name]}" if name in slots else name
