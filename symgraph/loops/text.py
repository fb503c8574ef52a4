"""Kernels and programs as readable text: what `symgraph dump --stage loops` shows.

kernel kernel0(p0: in float32[n, 4], p1: out float32[n]) sizes(n) {
  for _i0 in 0 .. n vector {
    fold _t0: float32 = add over _r0 in 0 .. 4 serial {
      yield p0[_i0, _r0]
    }
    p1[_i0] = _t0
  }
}
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from symgraph.loops.program import (
    ENDLESS,
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
from symgraph.loops.statements import Alloc, Fold, For, If, Kernel, Let, Size, Stmt, Store


def kernel_text(kernel: Kernel) -> str:
    """One kernel.

    >>> print(kernel_text(Kernel("nothing", (), (), ())))
    kernel nothing() {
    }
    """
    return _renumbered(_kernel(kernel))


def program_text(program: Program) -> str:
    """A program, then each kernel that it or an inner program runs, once."""
    parts = ["\n".join(_program(program, "", "program"))]
    text = "\n\n".join([*parts, *map(_kernel, kernels(program))])
    return _renumbered(text)


def _kernel(kernel: Kernel) -> str:
    params = ", ".join(f"{p.name}: {p.mode} {type_text(p.dtype, p.shape)}" for p in kernel.params)
    head = f"kernel {kernel.name}({params}){_sizes(kernel.sizes)} {{"
    return "\n".join([head, *_block(kernel.body, "  "), "}"])


def _renumbered(text: str) -> str:
    """Unnamed sizes count from ``?0`` in order of first use: their own numbers tell nothing."""
    numbers: dict[str, str] = {}
    return re.sub(r"\?\d+", lambda m: numbers.setdefault(m[0], f"?{len(numbers)}"), text)


def kernels(program: Program) -> list[Kernel]:
    """The kernels of a program and its inner programs, each once, in order of first use."""
    found: dict[Kernel, None] = {}

    def visit(p: Program) -> None:
        for step in p.steps:
            match step:
                case Run():
                    found[step.kernel] = None
                case Loop():
                    visit(step.body)
                case Branch():
                    visit(step.then)
                    visit(step.otherwise)

    visit(program)
    return list(found)


def type_text(dtype: str, shape: Iterable[Size]) -> str:
    """``float32[n, 4]``; a scalar is its dtype alone."""
    inner = ", ".join(map(str, shape))
    return f"{dtype}[{inner}]" if inner else dtype


def _sizes(names: tuple[str, ...]) -> str:
    return f" sizes({', '.join(names)})" if names else ""


def _block(body: tuple[Stmt, ...], indent: str) -> Iterator[str]:
    for s in body:
        yield from _statement(s, indent)


def _statement(s: Stmt, indent: str) -> Iterator[str]:
    match s:
        case For():
            yield f"{indent}for {s.index} in 0 .. {s.extent} {s.kind} {{"
            yield from _block(s.body, indent + "  ")
            yield indent + "}"
        case Fold():
            names = ", ".join(f"{n}: {n.dtype}" for n in s.names)
            where = f"over {s.index} in 0 .. {s.extent} {s.kind}"
            begin = f"({', '.join(map(str, s.starts))})" if s.starts else ""
            yield f"{indent}fold {names} = {s.combiner}{begin} {where} {{"
            yield from _block(s.body, indent + "  ")
            yield f"{indent}  yield {', '.join(map(str, s.values))}"
            yield indent + "}"
        case If():
            yield f"{indent}if {s.cond} {{"
            yield from _block(s.body, indent + "  ")
            yield indent + "}"
        case Let():
            yield f"{indent}let {s.name}: {s.name.dtype} = {s.value}"
        case Store():
            yield f"{indent}{s.buffer}[{', '.join(map(str, s.indices))}] = {s.value}"
        case Alloc():
            yield f"{indent}alloc {s.buffer}: {type_text(s.dtype, s.shape)}"
        case _:
            yield f"{indent}barrier"


# programs -----------------------------------------------------------------------------------------


def _program(program: Program, indent: str, word: str) -> Iterator[str]:
    inputs, outputs = ", ".join(program.inputs), ", ".join(program.outputs)
    yield f"{indent}{word} {program.name}({inputs} -> {outputs}){_sizes(program.sizes)} {{"
    inner = indent + "  "
    for b in program.buffers.values():
        yield inner + _buffer(b)
    for left, right, what in program.checks:
        yield f"{inner}check {left} == {right}  # {_one_line(what)}"
    for step in program.steps:
        yield from _step(step, inner)
    yield indent + "}"


def _buffer(b: Buffer) -> str:
    text = f"buffer {b.name}: {type_text(b.dtype, b.shape)} {b.role}"
    if b.data is not None:
        shown = b.data[:16].hex() + ("..." if len(b.data) > 16 else "")
        text += f" 0x{shown}"
    elif b.role != "temp":
        text += f" {b.position}"
    return text + (f" alias {b.alias}" if b.alias else "")


def _step(step: Step, indent: str) -> Iterator[str]:
    match step:
        case Run():
            yield f"{indent}run {step.kernel.name}({', '.join(step.buffers)})"
        case Call():
            params = ", ".join(f"{k}={_param(v)}" for k, v in step.params)
            yield f"{indent}call {step.routine}{{{params}}}({', '.join(step.buffers)})"
        case Copy():
            yield f"{indent}copy {step.target} = {step.source}"
        case Loop():
            head = "loop t" if step.length == ENDLESS else f"loop t in 0 .. {step.length}"
            head += f" while {step.flag}" if step.flag else " apart" if step.apart else ""
            yield f"{indent}{head} {{"
            for name, row in zip((*step.body.inputs, *step.body.outputs), step.rows, strict=False):
                yield f"{indent}  {name} = {_row(row)}"
            yield from _program(step.body, indent + "  ", "body")
            for target, row in step.finals:
                yield f"{indent}  finally {target} = {_row(row)}"
            yield indent + "}"
        case Branch():
            given = f"({', '.join(step.inputs)} -> {', '.join(step.outputs)})"
            yield f"{indent}branch {step.pred} {given} {{"
            yield from _program(step.then, indent + "  ", "then")
            yield from _program(step.otherwise, indent + "  ", "otherwise")
            yield indent + "}"
        case Require():
            f = step.failure
            yield f"{indent}require {step.flag} else {f.code} {_one_line(f.what)}"


def _row(row: Row) -> str:
    if row.step == 0 and not row.rows:
        return row.buffer
    place = f"{row.start} + {row.step}*t"
    if row.modulo:
        place = f"({place}) % {row.modulo}"
    return f"{row.buffer}[{place}]" + (f" (at t = 0: {row.first})" if row.first else "")


def _param(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else str(value)


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
