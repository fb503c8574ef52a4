"""What the CPU does in a program for a GPU: routines of LAPACK, callbacks, a few kernels.

Each such step is compiled to native code, as the CPU's target would. Its buffers are copied to the
host, and what it may have written is copied back.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from symgraph import callbacks, config
from symgraph.codegen import llvm
from symgraph.codegen.program_llvm import ProgramModule
from symgraph.codegen.writer import ModuleWriter
from symgraph.executor import Loaded, compiled_objects, link
from symgraph.loops.memory import touched
from symgraph.loops.program import Call, Failure, Program, Run
from symgraph.records import NamedTuple
from symgraph.runtime.later import Later

_products = Later("symgraph.products")

_ENTRY = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64
)


class HostStep(NamedTuple):
    """A step for the host: ``homes`` are the buffers whose memory it touches, in the order in which
    it takes their addresses; ``read`` and ``written`` say which are copied where."""

    number: int
    homes: tuple[str, ...]
    read: tuple[bool, ...]
    written: tuple[bool, ...]


def home(program: Program, name: str) -> str:
    """The buffer whose memory a buffer is a view of."""
    while program.buffers[name].alias:
        name = program.buffers[name].alias
    return name


class HostCode:
    """Collects steps, then compiles them as one module."""

    def __init__(self) -> None:
        host = llvm.host()
        self.module = ModuleWriter(host.features)
        least = config.get("parallel_from")
        self.programs = ProgramModule(self.module, host.vector_bits, host.features, least)
        self.functions: list[tuple[str, int, int]] = []

    def add(self, program: Program, step: Run | Call) -> HostStep:
        """Write a step of a program; to be called before ``finish``."""
        names = list(dict.fromkeys(touched(step)))
        homes = tuple(dict.fromkeys(home(program, n) for n in names))
        views = dict.fromkeys([*homes, *names])
        buffers = {
            n: program.buffers[n]._replace(role="input" if n in homes else "temp", data=None,
                                           alias="" if n in homes else home(program, n))
            for n in views
        }  # fmt: skip
        alone = Program("host", homes, (), buffers, program.sizes, (), (step,))
        with config.change(matmul="blas"):  # as the program was lowered
            name = self.programs.emit(alone, stops=False)
        self.functions.append((name, len(program.sizes), len(homes)))
        written = [True] * len(homes)
        read = [True] * len(homes)
        if isinstance(step, Run):
            modes = [(home(program, b), p.mode)
                     for b, p in zip(step.buffers, step.kernel.params, strict=True)]  # fmt: skip
            written = [any(h == n and m != "in" for h, m in modes) for n in homes]
        constant = [program.buffers[n].role == "constant" for n in homes]
        written = [w and not c for w, c in zip(written, constant, strict=True)]
        return HostStep(len(self.functions) - 1, homes, tuple(read), tuple(written))

    @property
    def failures(self) -> list[Failure]:
        """The failures that a status may name."""
        return self.programs.failures

    def finish(self) -> HostObjects | None:
        """Compile what was added; None where that is nothing."""
        if not self.functions:
            return None
        params = [("ptr", "table", ""), ("ptr", "arena", ""), ("ptr", "words", ""),
                  ("i64", "which", "")]  # fmt: skip
        fn = self.module.function("entry", params, "i32", "", "nounwind")
        for k, (name, sizes, buffers) in enumerate(self.functions):

            def arm(name: str = name, sizes: int = sizes, count: int = sizes + buffers) -> None:
                words = ["ptr %table", "ptr %arena"]
                for j in range(count):
                    place = fn.fresh(f"getelementptr i64, ptr %words, i64 {j}")
                    kind = "i64" if j < sizes else "ptr"
                    words.append(f"{kind} {fn.fresh(f'load {kind}, ptr {place}')}")
                fn.ret("i32", fn.fresh(f"call i32 @{name}({', '.join(words)})"))

            fn.if_(fn.fresh(f"icmp eq i64 %which, {k}"), arm)
        fn.ret("i32", "0")
        objects = compiled_objects(self.module.text(), self.programs.kernels)
        layout = [list(row) for row in self.programs.table.layout()]
        return HostObjects(objects, layout, list(self.programs.callbacks))


class HostObjects(NamedTuple):
    """The host's steps compiled: object files, the layout of their table, callbacks of Python."""

    objects: dict[str, bytes]
    layout: list[list[str]]
    callbacks: list[Any]


class HostRunner:
    """The host's steps, loaded."""

    def __init__(self, made: HostObjects) -> None:
        python = [callbacks.make(*c) for c in made.callbacks]
        self.loaded: Loaded = link(
            made.objects, made.layout, None, None, (), (), python, products=_products
        )
        self.run = _ENTRY(self.loaded.entry)

    def call(self, number: int, sizes: Sequence[int], addresses: Sequence[int]) -> int:
        """Run a step; 0, or the number of a failure, with a minus when a callback raised."""
        words = (ctypes.c_int64 * max(1, len(sizes) + len(addresses)))(*sizes, *addresses)
        arena = (ctypes.c_char * 64)()
        status: int = self.run(
            ctypes.addressof(self.loaded.table), ctypes.addressof(arena),
            ctypes.addressof(words), number,
        )  # fmt: skip
        return status
