"""What code generation does not know, or not as well, is spelt out before it: small passes.

    complex   loops/complexes.py   a complex value becomes two floats
    narrow    loops/narrow.py      arithmetic of float16 and bfloat16 goes through float32
    words     loops/words.py       products of 32-bit words in 64 bits, for processors with vectors
    opposites loops/opposites.py   functions of x and of -x share what is long in them

A pass rewrites one kernel. The program around it keeps its buffers with their dtypes; after the
passes a kernel still names the same memory, if need be as elements of another dtype.
"""

from __future__ import annotations

from collections.abc import Callable

from symgraph import dtypes
from symgraph.loops.program import Branch, Loop, Program, Run, Step
from symgraph.loops.statements import Kernel, expressions, walk
from symgraph.runtime.later import Later
from symgraph.scalar import postorder

complexes, narrow = Later("symgraph.loops.complexes"), Later("symgraph.loops.narrow")
opposites, words = Later("symgraph.loops.opposites"), Later("symgraph.loops.words")


def legalize(program: Program, vectors: bool = False) -> Program:
    """The program with kernels that hold only what codegen/ can emit, and with ``vectors`` what is
    better for them.

    A kernel that is run from several places stays one kernel.
    """
    done: dict[int, Kernel] = {}

    def once(kernel: Kernel) -> Kernel:
        found = done.get(id(kernel))
        if found is None:
            found = done[id(kernel)] = legal_kernel(kernel, vectors)
        return found

    return _program(program, once)


def _program(program: Program, once: Callable[[Kernel], Kernel]) -> Program:
    steps = tuple(_step(s, once) for s in program.steps)
    return program if steps == program.steps else program._replace(steps=steps)


def _step(step: Step, once: Callable[[Kernel], Kernel]) -> Step:
    match step:
        case Run():
            found = once(step.kernel)
            phases = tuple(p._replace(kernel=once(p.kernel)) for p in step.phases)
            same = found is step.kernel and phases == step.phases
            return step if same else step._replace(kernel=found, phases=phases)
        case Loop():
            return step._replace(body=_program(step.body, once))
        case Branch():
            then, otherwise = _program(step.then, once), _program(step.otherwise, once)
            return step._replace(then=then, otherwise=otherwise)
    return step


def legal_kernel(kernel: Kernel, vectors: bool = False) -> Kernel:
    """One kernel after all passes."""
    roots = [e for s in walk(kernel.body) for e in expressions(s)]
    order = postorder(roots)
    used = {*(p.dtype for p in kernel.params), *(e.dtype for e in order)}
    if vectors and any(e.op == "mulhi" for e in order):
        kernel = words.widen(kernel)
    if any(map(dtypes.is_complex, used)):
        kernel = complexes.split(kernel)
    if any(map(dtypes.is_narrow, used)):  # no narrow float is a part of a complex number
        kernel = narrow.widen(kernel)
    if any(e.op in ("sigmoid", "softplus") for e in order):
        kernel = opposites.share(kernel)
    return kernel
