"""Functions for a GPU: what ``compile(..., target="cuda")`` returns.

A call uploads its arguments (arrays that are on the GPU already are taken as they are), lets the
program enter the device's stream, and downloads the results. ``on_device`` leaves the results where
they are and returns before they are computed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symgraph import callbacks, dtypes
from symgraph.codegen.ptx.architecture import target_architecture
from symgraph.cuda.frames import Frame, Stopped
from symgraph.cuda.images import fitting
from symgraph.cuda.loading import ready
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
from symgraph.runtime.artifact import Key
from symgraph.runtime.cuda.array import Array, on_device
from symgraph.runtime.cuda.device import current_stream, device, handle
from symgraph.runtime.cuda.memory import Block
from symgraph.runtime.cuda.protocol import OutOfDeviceMemory
from symgraph.runtime.cuda.reports import Outcome

MOST_FRAMES = 32  # sets of sizes that a function is kept ready for


class CudaFunction(Compiled):
    """A function whose calls run on a GPU. ``key`` is what the disk cache has it under.

    Raises TargetError where there is none.
    """

    packs = True

    def __init__(self, d: Definition, key: Key | None = None) -> None:
        self.definition = d
        check_told(d)
        target = str(d.options["target"])
        target_architecture(target)  # a name that is not known is told first
        self.device = device()
        self.device.driver.enter()
        arch = fitting(target.partition(":")[2], self.device.driver)
        self.made = ready(d, arch, self.device, key)
        self.code = self.made.code
        self.target = f"cuda:{arch.name}"
        self.frames: dict[Any, Frame] = {}
        self.lock = threading.RLock()
        self.statistics = self.made.statistics
        program = self.code.recipe["program"]
        outputs = program["outputs"]
        self.inputs = list(program["inputs"])
        self.outputs = [n for n in outputs if n != self.made.status]
        self.dtypes = [dtypes.numpy_dtype(program["buffers"][n][0]) for n in self.outputs]

    # calls ----------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        with self.lock, self.device.lock:
            stream = self._stream(keywords)
            with self.device.following(stream):
                frame, outcome, arrays, blocks = self._run(args, keywords, ())
                results = [np.empty(frame.shapes[n], t)
                           for n, t in zip(self.outputs, self.dtypes, strict=True)]  # fmt: skip
                places = [blocks[n].address if n in blocks else frame.at(n) for n in self.outputs]
                self._fetch(results, places, outcome)
                self._told(outcome, arrays)
        return self.definition.outputs.pack(results)

    def on_device(self, *args: Any, **keywords: Any) -> Any:
        """The results as arrays on the GPU (``runtime.cuda.array.Array``), without waiting for
        them; arguments and errors are those of a call. A check on the device that fails is told by
        whoever waits for a result, or for anything, later."""
        with self.lock, self.device.lock:
            stream = self._stream(keywords)
            with self.device.following(stream):
                frame, outcome, _, blocks = self._run(args, keywords, self.outputs)
            made = [
                Array(self.device, frame.shapes[n], t, blocks[n].address, blocks[n], outcome)
                for n, t in zip(self.outputs, self.dtypes, strict=True)
            ]
            return self.definition.outputs.pack(made)

    def _stream(self, keywords: dict[str, Any]) -> int | None:
        """The caller's stream: the argument ``stream``, unless an input has this name."""
        if "stream" in keywords and "stream" not in self.definition.names():
            given = handle(keywords.pop("stream"))
            return given if given is not None else current_stream()
        return current_stream()

    def _fetch(self, results: list[np.ndarray], places: list[int], outcome: Any) -> None:
        """Wait for the results, or at least for the outcome."""
        parts = [(a, p) for a, p in zip(results, places, strict=True) if a.nbytes]
        if parts:
            self.device.staging.download(parts)
        elif outcome is not None:
            self.device.driver.synchronize(self.device.stream)

    def _told(self, outcome: Outcome | None, arrays: Sequence[np.ndarray]) -> None:
        """Raise the error of this call, or of an earlier one that nobody was told of."""
        if outcome is not None:
            self.device.reports.look()
            if outcome.number > 0:
                outcome.told = True
                raise self._error(outcome.number, False, arrays)
        self.device.reports.tell()

    def _run(
        self, args: Sequence[Any], keywords: Mapping[str, Any], keep: Sequence[str]
    ) -> tuple[Frame, Outcome | None, Sequence[np.ndarray], dict[str, Block]]:
        """Let a call enter the stream. ``keep``: the outputs that the caller keeps. Returns also
        the arguments, if all are the host's, and the memory of outputs without a place."""
        self.device.driver.enter()  # the caller's thread may not have been here before
        self.device.reports.tell()
        arrays, there = self._arguments(args, keywords)
        key = (*(a.shape for a in arrays), *(s.held_shape for s in self.definition.shared))
        frame = self.frames.get(key) or self._frame(key, arrays)
        known = () if there else arrays
        self.device.busy = True
        try:
            try:
                blocks = self._enter(frame, arrays, there, keep)
            except OutOfDeviceMemory:  # temporaries of the largest function may be in the way
                self.device.give_up_workspace()
                blocks = self._enter(frame, arrays, there, keep)
            frame.run()
        except Stopped as stop:
            number = self.made.checks + stop.number
            raise self._error(number, stop.raised, known) from None
        finally:
            self.device.busy = False
        self._hand_over(frame, blocks, keep)
        outcome = None
        if self.made.status:
            address = frame.at(self.made.status)
            outcome = self.device.reports.after(address, lambda n: self._error(n, False, ()))
        for s in self.definition.updates:
            leave(s)
        return frame, outcome, known, blocks

    def _enter(
        self, frame: Frame, arrays: Sequence[np.ndarray], there: Mapping[int, Array],
        keep: Sequence[str],
    ) -> dict[str, Block]:  # fmt: skip
        """Give all inputs, outputs and shared variables their addresses; what comes from the host
        is uploaded."""
        dev, blocks = self.device, {}
        own = [n for n in self.outputs if frame.placed(n) and (n not in keep or frame.unsteady)]
        own += [self.made.status] * bool(self.made.status)
        own += [n for k, n in enumerate(self.inputs) if self._has_place(frame, k, n, there)]
        frame.settle(own)
        placed = set(own)
        for name in self.outputs:
            if name not in placed or name in keep:
                blocks[name] = dev.pool.take(frame.bytes[name])
            frame.set(name, frame.at(name) if name in placed else blocks[name].address)
        if self.made.status:
            frame.set(self.made.status, frame.at(self.made.status))
        parts = []
        for k, (name, array) in enumerate(zip(self.inputs, arrays, strict=True)):
            if name in placed:
                frame.set(name, frame.at(name))
                if k in there:
                    dev.driver.copy(frame.at(name), there[k].address, array.nbytes, dev.stream)
                elif array.nbytes:
                    parts.append((frame.at(name), array))
            else:
                block = blocks[name] = self._block(there.get(k), array)
                frame.set(name, block.address)
        dev.staging.upload(parts)
        frame.set_shared([enter(s, dev).address for s in self.definition.shared])
        return blocks

    def _has_place(self, frame: Frame, k: int, name: str, there: Mapping[int, Array]) -> bool:
        """Whether an argument is copied to a place of ours: it comes from the host, or always from
        elsewhere, or lies where kernels cannot read it."""
        if not frame.placed(name):
            return False
        if k not in there:
            return True
        return bool(frame.bytes[name]) and (frame.unsteady or there[k].address % 16 != 0)

    def _block(self, there: Array | None, array: np.ndarray) -> Any:
        """The memory of an argument without a place of ours, uploaded if need be."""
        dev = self.device
        if there is not None and (there.address % 16 == 0 or not array.nbytes):
            return there
        block = dev.pool.take(array.nbytes)
        if there is not None:
            dev.driver.copy(block.address, there.address, array.nbytes, dev.stream)
        else:
            dev.staging.upload([(block.address, array)])
        return block

    def _hand_over(self, frame: Frame, blocks: Mapping[str, Block], keep: Sequence[str]) -> None:
        """Copy kept outputs out of places of ours."""
        for name in keep:
            place, target = int(frame.where[frame.slots[name]]), blocks[name].address
            if place != target and frame.bytes[name]:
                self.device.driver.copy(target, place, frame.bytes[name], self.device.stream)

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
        frame = Frame(self.device, self.code, env, self.made.status)
        if len(self.frames) >= MOST_FRAMES:
            del self.frames[next(iter(self.frames))]
        self.frames[key] = frame
        return frame

    def _error(self, number: int, raised: bool, arrays: Sequence[np.ndarray]) -> BaseException:
        d, record = self.definition, self.made.failures[number - 1]
        if raised:
            return placed(d, record, callbacks.pending())
        return failure(d, record, arrays)
