"""What code generation does not know is spelt out before it: one pass per dtype family.

    complex   loops/complexes.py   a complex value becomes two floats
    narrow    loops/narrow.py      arithmetic of float16 and bfloat16 goes through float32

A pass rewrites one kernel. The program around it keeps its buffers with their dtypes; after the
passes a kernel still names the same memory, if need be as elements of another dtype.
"""

from __future__ import annotations

from symgraph import dtypes
from symgraph.loops.program import Branch, Loop, Program, Run, Step
from symgraph.loops.statements import Kernel, expressions, walk
from symgraph.runtime.later import Later
from symgraph.scalar import postorder

complexes, narrow = Later("symgraph.loops.complexes"), Later("symgraph.loops.narrow")


def legalize(program: Program) -> Program:
    """The program with kernels that hold only what codegen/ can emit.

    A kernel that is run from several places stays one kernel.
    """
    return _program(program, {})


def _program(program: Program, done: dict[int, Kernel]) -> Program:
    steps = tuple(_step(s, done) for s in program.steps)
    return program if steps == program.steps else program._replace(steps=steps)


def _step(step: Step, done: dict[int, Kernel]) -> Step:
    match step:
        case Run():
            found = _once(step.kernel, done)
            phases = tuple(p._replace(kernel=_once(p.kernel, done)) for p in step.phases)
            same = found is step.kernel and phases == step.phases
            return step if same else step._replace(kernel=found, phases=phases)
        case Loop():
            return step._replace(body=_program(step.body, done))
        case Branch():
            then, otherwise = _program(step.then, done), _program(step.otherwise, done)
            return step._replace(then=then, otherwise=otherwise)
    return step


def _once(kernel: Kernel, done: dict[int, Kernel]) -> Kernel:
    found = done.get(id(kernel))
    if found is None:
        found = done[id(kernel)] = legal_kernel(kernel)
    return found


def legal_kernel(kernel: Kernel) -> Kernel:
    """One kernel after all passes."""
    roots = [e for s in walk(kernel.body) for e in expressions(s)]
    used = {*(p.dtype for p in kernel.params), *(e.dtype for e in postorder(roots))}
    if any(map(dtypes.is_complex, used)):
        kernel = complexes.split(kernel)
    if any(map(dtypes.is_narrow, used)):  # no narrow float is a part of a complex number
        kernel = narrow.widen(kernel)
    return kernel
