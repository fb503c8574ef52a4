"""Programs for a GPU without one: schedules by the interpreter, PTX by the emulator.

What the host would do of a program (copies, loops, routines) is done by the interpreter of programs
in both cases.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symgraph import cuda_stages, stages
from symgraph.codegen.ptx.architecture import architecture
from symgraph.compiler import stage_definition
from symgraph.cuda_stages import DeviceProgram
from symgraph.function import Definition
from symgraph.ir.hashing import large_constants
from symgraph.ir.interpret import interpret
from symgraph.loops.interpret import run_kernel, run_program
from symgraph.loops.launch import launch
from symgraph.loops.program import Program
from symgraph.loops.statements import Kernel
from symgraph.loops.verify import verify_program
from symgraph.scalar import Expr, evaluate_size
from tests.cuda import ptx_machine
from tests.fuzz import oracles

ARCH = architecture("sm_90")


def scheduled(*outputs: Any) -> tuple[Definition, Program]:
    """The schedule of some expressions, verified."""
    d = stage_definition(list(outputs))
    program = cuda_stages.scheduled(d, stages.optimized_graph(d))
    verify_program(program)
    return d, program


def interpreted(
    d: Definition, program: Program, arrays: Sequence[np.ndarray], order: str = "forward"
) -> list[np.ndarray]:
    """The outputs by the interpreter of loops, blocks and threads in this order."""

    def run(kernel: Kernel, buffers: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> None:
        run_kernel(kernel, buffers, sizes, order)

    return _run(d, program, arrays, run)


def emulated(d: Definition, device: DeviceProgram, arrays: Sequence[np.ndarray]) -> list[Any]:
    """The outputs by the PTX of every kernel."""

    def run(kernel: Kernel, buffers: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> None:
        if launch(kernel) is None:
            run_kernel(kernel, buffers, sizes)
        else:
            emulate(device, kernel.name, buffers, sizes)

    return _run(d, device.program, arrays, run)


def emulate(
    device: DeviceProgram, name: str, buffers: Mapping[str, np.ndarray], sizes: Mapping[str, int],
    blocks: int | None = None, ptx: str = "", conflicts: Counter[str] | None = None,
) -> None:  # fmt: skip
    """One kernel by its PTX; tests change the number of blocks or the text."""
    k = device.kernels[name]
    given = [(buffers[p.name], p.mode != "in") for p in k.params]
    count = evaluate_size(k.blocks, sizes) if blocks is None else blocks
    numbers = [int(sizes[n]) for n in k.sizes]
    ptx_machine.run(ptx or k.ptx, count, k.threads, given, numbers, conflicts)


def sizes_of(d: Definition, arrays: Sequence[np.ndarray]) -> dict[str, int]:
    """The named sizes, read off the arrays."""
    found: dict[str, int] = {}
    for v, a in zip(d.graph.inputs, arrays, strict=True):
        for s, n in zip(v.shape, np.shape(a), strict=True):
            if isinstance(s, Expr) and s.op == "var":
                found[s.attr] = n
    return found


def _run(
    d: Definition, program: Program, arrays: Sequence[np.ndarray], run: Callable[..., None]
) -> list[np.ndarray]:
    large = [c.data for c in large_constants(d.graph)]
    state = [s.get_value() for s in d.shared]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return run_program(
            program, arrays, sizes_of(d, arrays), state, large, ROUTINES, run
        )  # fmt: skip


def _python(params: Mapping[str, Any], *arrays: np.ndarray) -> None:
    graph = params["graph"]
    count = len(graph.inputs)
    for target, value in zip(arrays[count:], interpret(graph, arrays[:count]), strict=True):
        target[...] = value


ROUTINES = {"matmul": oracles.matmul, "python": _python}
