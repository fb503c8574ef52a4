"""A program for a GPU, made ready for one set of sizes, and run.

All that sizes decide is worked out once: the number of blocks of each launch, the places in the
arena, the bytes of copies. A call then gives addresses to inputs and outputs and goes through the
steps in their order. Launches and copies only enter the stream; flags of loops, branches and checks
are read from the device, which waits for it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from symgraph import dtypes
from symgraph.cuda.host import HostCode, HostStep, home
from symgraph.cuda_stages import DeviceProgram
from symgraph.loops.compute import elements
from symgraph.loops.memory import ALIGNMENT, nbytes, plan
from symgraph.loops.program import (
    Branch,
    Buffer,
    Call,
    Copy,
    Failure,
    Loop,
    Program,
    Require,
    Row,
    Run,
    Step,
)
from symgraph.loops.statements import Size
from symgraph.runtime.cuda.device import Device
from symgraph.runtime.cuda.protocol import DeviceError
from symgraph.scalar import evaluate_size

Where = dict[str, int]
Work = Callable[[Where], None]
MOST_BLOCKS = 2**31 - 1


class Stopped(Exception):
    """A check did not hold or a callback raised: the failure, and whether it was a callback."""

    def __init__(self, failure: Failure, raised: bool) -> None:
        super().__init__(failure.what)
        self.failure, self.raised = failure, raised


class Code(NamedTuple):
    """A function's code: the program with its kernels, loaded; the host's steps by the identity of
    the step; the addresses of constants by program and name."""

    made: DeviceProgram
    functions: Mapping[str, int]
    host: HostCode
    host_steps: Mapping[int, HostStep]
    large: Sequence[int]
    small: Mapping[bytes, int]


class Frame:
    """A program with known sizes. ``shared`` gives the addresses of shared variables at a call."""

    def __init__(
        self, device: Device, code: Code, program: Program, sizes: Mapping[str, int],
        shared: list[int],
    ) -> None:  # fmt: skip
        self.device, self.code, self.program = device, code, program
        self.sizes, self.shared = sizes, shared
        found = plan(program)
        self.offsets: list[int] = []
        self.room = 0
        for slot in found.slots:
            self.offsets.append(self.room)
            self.room += -(-self.size(slot) // ALIGNMENT) * ALIGNMENT
        self.slot_of = found.slot_of
        self.bytes = {n: self.size(nbytes(b)) for n, b in program.buffers.items()}
        self.homes = {n: home(program, n) for n in program.buffers}
        self.steps = [self._prepared(k, s) for k, s in enumerate(program.steps)]

    def size(self, size: Size) -> int:
        return size if isinstance(size, int) else int(evaluate_size(size, self.sizes))

    def run(self, given: Mapping[str, int], arena: int) -> None:
        """Go through the steps with these addresses of inputs and outputs, and ``room`` bytes."""
        own = {n: self._address(b, given, arena) for n, b in self.program.buffers.items()
               if not b.alias}  # fmt: skip
        where = {n: own[h] for n, h in self.homes.items()}
        where[""] = arena
        for step in self.steps:
            step(where)

    def _address(self, b: Buffer, given: Mapping[str, int], arena: int) -> int:
        if b.role in ("input", "output"):
            return given[b.name]
        if b.role == "constant":
            return self.code.large[b.position] if b.data is None else self.code.small[b.data]
        if b.role == "shared":
            return self.shared[b.position]
        slot = self.slot_of.get(b.name)
        return arena + (0 if slot is None else self.offsets[slot])

    def _prepared(self, k: int, step: Step) -> Work:
        match step:
            case Run() if step.kernel.name in self.code.made.kernels:
                return self._launch(step)
            case Run() | Call():
                return self._on_host(step)
            case Copy():
                return self._copy(step)
            case Loop():
                return self._loop(k, step)
            case Branch():
                return self._branch(k, step)
            case Require():
                return self._require(step)

    # what enters the stream -----------------------------------------------------------------------

    def _launch(self, step: Run) -> Work:
        kernel = self.code.made.kernels[step.kernel.name]
        blocks = self.size(kernel.blocks)
        if not blocks:
            return lambda where: None
        if blocks > MOST_BLOCKS:
            raise DeviceError(f"{kernel.name}: {blocks} blocks are more than a GPU launches")
        sizes = [self.sizes[n] for n in kernel.sizes]
        function, count = self.code.functions[kernel.name], len(step.buffers) + len(sizes)
        driver, stream, names = self.device.driver, self.device.stream, step.buffers
        launch = driver.launcher(function, blocks, kernel.threads, count)

        def run(where: Where) -> None:
            launch([*(where[n] for n in names), *sizes], stream)

        return run

    def _copy(self, step: Copy) -> Work:
        size, driver, stream = self.bytes[step.target], self.device.driver, self.device.stream

        def run(where: Where) -> None:
            if size and where[step.target] != where[step.source]:
                driver.copy(where[step.target], where[step.source], size, stream)

        return run

    # what the host has to know --------------------------------------------------------------------

    def _flag(self, address: int) -> bool:
        value = ctypes.c_uint8()
        place = ctypes.addressof(value)
        self.device.driver.to_host(place, address, 1, self.device.stream)
        return bool(value.value)

    def _require(self, step: Require) -> Work:
        def run(where: Where) -> None:
            if not self._flag(where[step.flag]):
                raise Stopped(step.failure, False)

        return run

    def _on_host(self, step: Run | Call) -> Work:
        found, host = self.code.host_steps[id(step)], self.code.host
        sizes = [self.sizes[n] for n in self.program.sizes]
        driver, stream = self.device.driver, self.device.stream
        spans = [self.bytes[n] for n in found.homes]

        def run(where: Where) -> None:
            arrays = [_aligned(n) for n in spans]
            for name, array, wanted in zip(found.homes, arrays, found.read, strict=True):
                if wanted and array.nbytes:
                    driver.to_host(array.ctypes.data, where[name], array.nbytes, stream)
            status = host.call(found.number, sizes, [a.ctypes.data for a in arrays])
            if status:
                raise Stopped(host.failures[abs(status) - 1], status < 0)
            for name, array, changed in zip(found.homes, arrays, found.written, strict=True):
                if changed and array.nbytes:
                    driver.to_device(where[name], array.ctypes.data, array.nbytes, stream)

        return run

    # inner programs -------------------------------------------------------------------------------

    def _inner(self, program: Program) -> tuple[Frame, tuple[str, ...]]:
        frame = Frame(self.device, self.code, program, self.sizes, self.shared)
        return frame, (*program.inputs, *program.outputs)

    def _offset(self, k: int) -> int:
        slot = self.slot_of.get(f"#{k}")
        return 0 if slot is None else self.offsets[slot]

    def _row(self, row: Row) -> Callable[[Where, int], int]:
        if not row.rows:
            return lambda where, t: where[row.buffer]
        buffer = self.program.buffers[row.buffer]
        each = self.size(elements(buffer.shape[1:])) * dtypes.itemsize(buffer.dtype)
        start = self.size(row.start)

        def find(where: Where, t: int) -> int:
            if t == 0 and row.first:
                return where[row.first]
            k = start + row.step * t
            return where[row.buffer] + (k % row.modulo if row.modulo else k) * each

        return find

    def _loop(self, k: int, step: Loop) -> Work:
        length, offset = self.size(step.length), self._offset(k)
        frame, names = self._inner(step.body)
        rows = [self._row(r) for r in step.rows]
        finals = [(t, self._row(r), self.bytes[t]) for t, r in step.finals]
        driver, stream = self.device.driver, self.device.stream

        def run(where: Where) -> None:
            turns = 0
            while turns < length and (not step.flag or self._flag(where[step.flag])):
                given = [r(where, turns) for r in rows]
                frame.run(dict(zip(names, given, strict=True)), where[""] + offset)
                turns += 1
            for target, row, size in finals:
                if size:
                    driver.copy(where[target], row(where, turns), size, stream)

        return run

    def _branch(self, k: int, step: Branch) -> Work:
        arms, offset = [self._inner(p) for p in (step.otherwise, step.then)], self._offset(k)

        def run(where: Where) -> None:
            frame, names = arms[self._flag(where[step.pred])]
            given = [where[b] for b in (*step.inputs, *step.outputs)]
            frame.run(dict(zip(names, given, strict=True)), where[""] + offset)

        return run


def _aligned(size: int) -> Any:
    """Host memory for a buffer, as native code expects it."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]
