"""What a function for a GPU consists of, in a form that the disk cache keeps.

A recipe is made of lists, dicts, text and numbers only: buffers and steps of the program and its
inner programs, the launches of kernels, expressions of sizes. `cuda/frames.py` makes the native
steps of it when the sizes of a call are known. Kernels' code and the host's are kept beside it.

    program   {inputs, outputs, sizes, buffers, slots, slot_of, steps}
    buffers   name -> [dtype, shape, role, position, home, data]
    steps     [launch, kernel, buffers] | [copy, target, source] | [host, number, homes, read,
              written] | [call, routine, buffers, params, number] | [branch, both, pred, then,
              otherwise, inputs, outputs] | [loop, turns, flag, body, rows, finals] |
              [choose, first, second]
    kernels   name -> {blocks, threads, bytes, count, sizes}

A size is an integer or the rows of an expression, each `[op, places of operands, dtype, attr]`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from symgraph import dtypes
from symgraph.cuda.guards import Both
from symgraph.cuda.host import HostStep, home
from symgraph.cuda_stages import DeviceKernel, DeviceProgram
from symgraph.loops.compute import elements
from symgraph.loops.memory import plan
from symgraph.loops.program import (
    Branch,
    Buffer,
    Call,
    Copy,
    Loop,
    Program,
    Require,
    Row,
    Run,
    Step,
)
from symgraph.loops.statements import Size
from symgraph.runtime.cuda import routines
from symgraph.scalar import Expr, postorder

Recipe = dict[str, Any]


def recipe(made: DeviceProgram, host: Mapping[int, HostStep]) -> Recipe:
    """The recipe of a program; ``host`` are the host's steps by the identity of the step."""
    kernels = {name: _kernel(k) for name, k in made.kernels.items()}
    return {"kernels": kernels, "program": _program(made.program, made.kernels, host)}


def programs(program: Program) -> Iterator[Program]:
    """A program and those inside it."""
    yield program
    for step in program.steps:
        for inner in _inside(step):
            yield from programs(inner)


def _inside(step: Step) -> tuple[Program, ...]:
    if isinstance(step, Loop):
        return (step.body,)
    return (step.then, step.otherwise) if isinstance(step, Branch) else ()


def _kernel(k: DeviceKernel) -> Recipe:
    return {
        "blocks": size_rows(k.blocks), "threads": k.threads, "sizes": list(k.sizes),
        "bytes": size_rows(getattr(k, "shared_bytes", 0)), "count": len(k.params),
    }  # fmt: skip


def _program(p: Program, kernels: Mapping[str, DeviceKernel], host: Mapping[int, HostStep]) -> Any:
    found = plan(p)
    return {
        "inputs": list(p.inputs), "outputs": list(p.outputs), "sizes": list(p.sizes),
        "buffers": {n: _buffer(p, b) for n, b in p.buffers.items()},
        "slots": [size_rows(s) for s in found.slots], "slot_of": found.slot_of,
        "steps": [_step(p, k, s, kernels, host) for k, s in enumerate(p.steps)],
    }  # fmt: skip


def _buffer(p: Program, b: Buffer) -> list[Any]:
    data = None if b.data is None else base64.b64encode(b.data).decode()
    shape = [size_rows(s) for s in b.shape]
    return [b.dtype, shape, b.role, b.position, home(p, b.name), data]


def _step(
    p: Program, k: int, step: Step, kernels: Mapping[str, DeviceKernel],
    host: Mapping[int, HostStep],
) -> list[Any]:  # fmt: skip
    match step:
        case Run() if step.kernel.name in kernels:
            return ["launch", step.kernel.name, list(step.buffers)]
        case Call(routine=routines.CHOOSE):
            return [step.routine, *(count for _, count in step.params)]
        case Run() | Call():
            return _on_host(step, host.get(id(step)))
        case Copy():
            return ["copy", step.target, step.source]
        case Loop():
            rows = [_row(p, r) for r in step.rows]
            finals = [[t, *_row(p, r)] for t, r in step.finals]
            body = _program(step.body, kernels, host)
            return ["loop", size_rows(step.length), step.flag, body, rows, finals, f"#{k}"]
        case Branch():
            arms = [_program(a, kernels, host) for a in (step.then, step.otherwise)]
            both = isinstance(step, Both)
            names = [list(step.inputs), list(step.outputs)]
            return ["branch", both, step.pred, *arms, *names, f"#{k}"]
        case Require():
            raise ValueError("checks become kernels before: cuda/guards.py")


def _on_host(step: Run | Call, found: HostStep | None) -> list[Any]:
    words: list[Any] = []
    if found is not None:
        words = ["host", found.number, list(found.homes), list(found.read), list(found.written)]
    if isinstance(step, Run):
        return words
    params = {k: v for k, v in step.params if isinstance(v, bool | int | float | str)}
    sizes = {
        k: {"sizes": [size_rows(n) for n in v]}
        for k, v in step.params
        if isinstance(v, tuple) and all(isinstance(n, int | Expr) for n in v)
    }
    return ["call", step.routine, list(step.buffers), {**params, **sizes}, words]


def _row(p: Program, r: Row) -> list[Any]:
    each: Size = 0
    if r.rows:
        each = elements(p.buffers[r.buffer].shape[1:]) * dtypes.itemsize(p.buffers[r.buffer].dtype)
    return [r.buffer, size_rows(r.start), r.step, r.modulo, size_rows(each), r.first, r.rows]


# sizes --------------------------------------------------------------------------------------------


def size_rows(size: Size) -> Any:
    """A size as rows.

    >>> from symgraph.scalar import var
    >>> size_rows(var("n")), size_rows(3)
    ([['var', [], 'int64', 'n']], 3)
    """
    if not isinstance(size, Expr):
        return size
    place: dict[Expr, int] = {}
    rows: list[list[Any]] = []
    for e in postorder([size]):
        place[e] = len(rows)
        rows.append([e.op, [place[a] for a in e.args], e.dtype, e.attr])
    return rows
