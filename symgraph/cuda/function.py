"""Functions for a GPU: what ``compile(..., target="cuda")`` returns.

A call uploads its arguments (arrays that are on the GPU already are taken as they are), runs the
program, and downloads the results. ``on_device`` leaves the results where they are and returns
before they are computed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from symgraph import callbacks, cuda_stages, dtypes, stages
from symgraph.codegen.ptx.architecture import target_architecture
from symgraph.cuda.frames import Code, Frame, Stopped
from symgraph.cuda.host import HostCode
from symgraph.cuda.images import fitting, image, kept_ptx
from symgraph.cuda.state import enter, leave
from symgraph.definition import check_told
from symgraph.errors import InputValueError
from symgraph.function import (
    Compiled,
    Definition,
    bind_arguments,
    bind_sizes,
    check_sizes,
    check_updates,
    failure,
    flat_arguments,
    placed,
)
from symgraph.ir.hashing import large_constants
from symgraph.loops.program import Branch, Call, Loop, Program, Run, Step
from symgraph.runtime.cuda.array import Array, download, on_device, upload
from symgraph.runtime.cuda.device import device

MOST_FRAMES = 32  # sets of sizes that a function is kept ready for


class CudaFunction(Compiled):
    """A function whose calls run on a GPU.

    Raises TargetError where there is none.
    """

    packs = True

    def __init__(self, d: Definition) -> None:
        self.definition = d
        clock = [time.perf_counter()]
        check_told(d)
        target = str(d.options["target"])
        target_architecture(target)  # a name that is not known is told first
        self.device = device()
        driver = self.device.driver
        arch = fitting(target.partition(":")[2], driver)
        program = cuda_stages.scheduled(d, stages.optimized_graph(d))
        clock.append(time.perf_counter())
        made = cuda_stages.emit(program, arch, kept_ptx)
        clock.append(time.perf_counter())
        images = {n: image(k.ptx, arch, driver) for n, k in made.kernels.items()}
        self.program = made
        self.code = self._loaded(images)
        clock.append(time.perf_counter())
        self.target = f"cuda:{arch.name}"
        self.frames: dict[Any, Frame] = {}
        self.lock = threading.RLock()
        self.shared = [0] * len(d.shared)
        self.statistics = {
            "kernels": len(made.kernels), "total": clock[-1] - clock[0],
            "lower": clock[1] - clock[0], "ptx": clock[2] - clock[1], "load": clock[3] - clock[2],
        }  # fmt: skip

    def _loaded(self, images: Mapping[str, bytes]) -> Code:
        """The kernels on the device, the host's steps as native code, constants uploaded."""
        functions = {n: self.device.function(i, n) for n, i in images.items()}
        host, steps = HostCode(), {}
        self.constants: list[Array] = []
        small: dict[bytes, int] = {}
        for program in _programs(self.program.program):
            for step in program.steps:
                if isinstance(step, Call) or (
                    isinstance(step, Run) and step.kernel.name not in functions
                ):
                    steps[id(step)] = host.add(program, step)
            for b in program.buffers.values():
                if b.role == "constant" and b.data is not None and b.data not in small:
                    small[b.data] = self._constant(np.frombuffer(b.data, np.uint8))
        host.finish()
        large = [self._constant(c.data) for c in large_constants(self.definition.graph)]
        return Code(self.program, functions, host, steps, large, small)

    def _constant(self, value: np.ndarray) -> int:
        made = upload(self.device, value)
        self.constants.append(made)
        return made.address

    # calls ----------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        results = []
        with self.lock, self.device.lock:
            for made in self._run(args, keywords):
                results.append(np.empty(made.shape, made.dtype))
                download(self.device, results[-1], made.address)
        return self.definition.outputs.pack(results)

    def on_device(self, *args: Any, **keywords: Any) -> Any:
        """The results as arrays on the GPU (``runtime.cuda.array.Array``), without waiting for
        them; arguments and errors are those of a call."""
        with self.lock, self.device.lock:
            return self.definition.outputs.pack(self._run(args, keywords))

    def _run(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> list[Array]:
        d = self.definition
        self.device.driver.enter()  # the caller's thread may not have been here before
        arrays, there = self._arguments(args, keywords)
        key = (*(a.shape for a in arrays), *(s.held_shape for s in d.shared))
        frame = self.frames.get(key) or self._frame(key, arrays)
        program = self.program.program
        inputs = [there[k] if k in there else upload(self.device, a) for k, a in enumerate(arrays)]
        inputs = [self._straight(a) for a in inputs]
        self.shared[:] = [enter(s, self.device).address for s in d.shared]
        made = [self._output(frame, name) for name in program.outputs]
        given = dict(zip(program.inputs, (a.address for a in inputs), strict=True))
        given.update(zip(program.outputs, (a.address for a in made), strict=True))
        arena = self.device.pool.take(frame.room)
        try:
            frame.run(given, arena.address)
        except Stopped as stop:
            raise self._error(stop, arrays if not there else ()) from None
        for s in d.updates:
            leave(s)
        return made

    def _arguments(
        self, args: Sequence[Any], keywords: Mapping[str, Any]
    ) -> tuple[list[np.ndarray], dict[int, Array]]:
        """The arguments as arrays of the host, and those that are on the device by number: they
        have a stand-in of their shape, whose memory nobody touches."""
        d = self.definition
        flat, named = flat_arguments(d, args, keywords)
        names, there = d.names(), {}

        def stand_in(name: str, value: Any) -> Any:
            found = on_device(self.device, value)
            if found is None or name not in names:
                return value
            k = names.index(name)
            v = d.arguments[k]
            if dtypes.as_dtype(found.dtype) != v.dtype:
                raise InputValueError(
                    f"input {name} is {v.type.text()}; the array on the GPU has dtype "
                    f"{found.dtype}",
                    operands=[(name, v.type.text(), v.origin)],
                )
            there[k] = found
            return np.empty(found.shape, found.dtype)

        places = [*names, *[""] * len(flat)]
        flat = [stand_in(places[k], a) for k, a in enumerate(flat)]
        named = {n: stand_in(n, a) for n, a in named.items()}
        return bind_arguments(d, flat, named), there

    def _frame(self, key: Any, arrays: Sequence[np.ndarray]) -> Frame:
        d = self.definition
        env = bind_sizes(d, arrays)
        check_sizes(d, env)
        check_updates(d, env)
        frame = Frame(self.device, self.code, self.program.program, env, self.shared)
        if len(self.frames) >= MOST_FRAMES:
            del self.frames[next(iter(self.frames))]
        self.frames[key] = frame
        return frame

    def _straight(self, a: Array) -> Array:
        """The array at a multiple of 16 bytes, as kernels read it."""
        if a.address % 16 == 0:
            return a
        block = self.device.pool.take(a.nbytes)
        self.device.driver.copy(block.address, a.address, a.nbytes, self.device.stream)
        return Array(self.device, a.shape, a.dtype, block.address, block)

    def _output(self, frame: Frame, name: str) -> Array:
        b = self.program.program.buffers[name]
        block = self.device.pool.take(frame.bytes[name])
        shape = [frame.size(n) for n in b.shape]
        return Array(self.device, shape, dtypes.numpy_dtype(b.dtype), block.address, block)

    def _error(self, stop: Stopped, arrays: Sequence[np.ndarray]) -> BaseException:
        d = self.definition
        (record,) = stages.failure_records(d.graph, [stop.failure])
        if stop.raised:
            return placed(d, record, callbacks.pending())
        return failure(d, record, arrays)


def _programs(program: Program) -> Iterator[Program]:
    yield program
    for step in program.steps:
        for inner in _inside(step):
            yield from _programs(inner)


def _inside(step: Step) -> tuple[Program, ...]:
    if isinstance(step, Loop):
        return (step.body,)
    return (step.then, step.otherwise) if isinstance(step, Branch) else ()
