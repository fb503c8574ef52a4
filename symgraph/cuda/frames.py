"""A function made ready for one set of sizes: its tape, its places in memory, its graphs.

Temporaries, and the function's own copies of what comes from the host or goes there, lie in the
device's workspace, at places that are known beforehand. A call puts the remaining addresses into
the table and walks over the tape. Addresses that have come twice are worth a CUDA graph: the walk
is captured, and after that the call is one launch. Arguments that lie elsewhere at every call would
never meet a graph again: where they are small they are copied to a place of our own first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping

import numpy as np

from symgraph import dtypes
from symgraph.cuda.sizes import number
from symgraph.cuda.tape import Code, Tape
from symgraph.cuda.walker import walker
from symgraph.cuda.walker_ir import STOPPED
from symgraph.errors import SymgraphError
from symgraph.runtime.cuda.device import Device
from symgraph.runtime.cuda.protocol import DeviceError

ALIGNMENT = 256
WARM = 2  # walks with the same addresses before a graph is made
MOST_GRAPHS = 8
MOST_SEEN = 32
MOST_PLACED = 32 << 20  # bytes of an array that is worth a place in the workspace
WORTH = 2 << 20  # bytes that are copied on the device in the time of a launch


class Stopped(SymgraphError):
    """A step of the host did not succeed: the number of its failure, and whether a callback
    raised."""

    def __init__(self, number: int, raised: bool) -> None:
        super().__init__(f"failure {number}")
        self.number, self.raised = number, raised


class Frame:
    """``slots`` by the names of inputs and outputs; ``status`` names the output that is the stop
    word, "" where nothing can fail."""

    def __init__(
        self, device: Device, code: Code, sizes: Mapping[str, int], status: str = ""
    ) -> None:
        self.device, self.code, self.status = device, code, status
        program = code.recipe["program"]
        tape = Tape(device, code, sizes)
        self.tape, self.words = tape, tape.finished()
        self.where = np.zeros(max(1, tape.count), np.int64)
        for slot, address in tape.fixed:
            self.where[slot] = address
        self.slots, self.shared = tape.slots, sorted(tape.shared.items())
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.bytes: dict[str, int] = {}
        for name in self.slots:
            dtype, shape = program["buffers"][name][:2]
            self.shapes[name] = tuple(number(n, sizes) for n in shape)
            self.bytes[name] = dtypes.itemsize(dtype) * int(np.prod(self.shapes[name]))
        self.base = 0
        self.places: dict[str, int] = {}
        self.room = tape.room
        self.graphs: dict[tuple[int, ...], int] = {}
        self.seen: dict[tuple[int, ...], int] = {}
        self.unsteady = False
        self.replays = self.walks = 0

    # places ---------------------------------------------------------------------------------------

    def placed(self, name: str) -> bool:
        """Whether an array is small enough for a place of ours."""
        return self.bytes[name] <= MOST_PLACED

    def settle(self, names: Iterable[str]) -> None:
        """See that these inputs and outputs have places, and where the workspace is now.

        Raises OutOfDeviceMemory.
        """
        for name in names:
            if name not in self.places:
                self.room = -(-self.room // ALIGNMENT) * ALIGNMENT
                self.places[name] = self.room
                self.room += max(1, self.bytes[name])
        base = self.device.workspace(self.room)
        if base != self.base:
            self.base = base
            for slot, offset in self.tape.arena:
                self.where[slot] = base + offset
            self.forget()

    def at(self, name: str) -> int:
        """The address of our place for an input or output."""
        return self.base + self.places[name]

    def set(self, name: str, address: int) -> None:
        """Where an input or output is at this call."""
        self.where[self.slots[name]] = address

    def set_shared(self, addresses: list[int]) -> None:
        """Where shared variables are at this call, by their numbers."""
        for position, slot in self.shared:
            self.where[slot] = addresses[position]

    # running --------------------------------------------------------------------------------------

    def run(self) -> None:
        """Let everything enter the stream."""
        if self.tape.waits or not self.tape.launches:
            self._walk()
            return
        key = tuple(self.where[: len(self.slots)].tolist())
        key += tuple(int(self.where[s]) for _, s in self.shared)
        graph = self.graphs.get(key)
        if graph is None:
            graph = self._graph(key)
        if graph is None:
            self._walk()
            return
        self.replays += 1
        self.device.driver.launch_graph(graph, self.device.stream)

    def _graph(self, key: tuple[int, ...]) -> int | None:
        """A graph for addresses that have come often enough."""
        count = self.seen[key] = self.seen.get(key, 0) + 1
        if count <= WARM:
            if len(self.seen) > MOST_SEEN:
                self.seen.clear()
                moved = sum(n for name, n in self.bytes.items() if self.placed(name))
                self.unsteady = moved <= WORTH * self.tape.launches
            return None
        driver, stream = self.device.driver, self.device.stream
        try:
            driver.capture(stream)
            try:
                self._walk()
            finally:
                captured = driver.end_capture(stream)
            made = driver.instantiate(captured)
        except DeviceError:  # a library that cannot be captured, a driver that cannot
            self.tape.waits = True
            return None
        if len(self.graphs) >= MOST_GRAPHS:
            self._drop(next(iter(self.graphs)))
        self.graphs[key] = made
        return made

    def _drop(self, key: tuple[int, ...]) -> None:
        self.device.driver.destroy_executable(self.graphs.pop(key))

    def forget(self) -> None:
        """Give up the graphs."""
        self.seen.clear()
        for key in list(self.graphs):
            self._drop(key)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # the driver may be gone at the end of the process
            self.forget()

    def _walk(self) -> None:
        self.walks += 1
        status = int(self.where[self.slots[self.status]]) if self.status else 0
        found, place = walker(self.device).run(self.words, self.where, status, self._host)
        if found > 0:
            what = {1: "cuLaunchKernel", 2: "cuMemcpyDtoDAsync", 6: "a library's routine"}
            name = what.get(int(self.words[place]) if place >= 0 else 0, "a step")
            raise self.device.driver.failure(name, found)

    # what the host does ---------------------------------------------------------------------------

    def _host(self, k: int) -> int:
        work, staging = self.tape.host[k], self.device.staging
        if self.status and self._stopped():
            return STOPPED
        arrays = [_aligned(n) for n in work.spans]
        addresses = [int(self.where[s]) for s in work.slots]
        wanted = [(a, p) for a, p, r in zip(arrays, addresses, work.read, strict=True)
                  if r and a.nbytes]  # fmt: skip
        staging.download(wanted)
        assert self.code.host is not None
        status = self.code.host.call(work.number, work.sizes, [a.ctypes.data for a in arrays])
        if status:
            raise Stopped(abs(status), status < 0)
        for array, address, changed in zip(arrays, addresses, work.written, strict=True):
            if changed and array.nbytes:
                staging.upload([(address, array)])
        return 0

    def _stopped(self) -> bool:
        word = np.zeros(1, np.int32)
        self.device.staging.download([(word, int(self.where[self.slots[self.status]]))])
        return bool(word[0])


def _aligned(size: int) -> np.ndarray:
    """Host memory for a buffer, as native code expects it."""
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size]
