"""A driver without a GPU: device memory is the host's, kernels are run from PTX by the emulator.

Streams are queues: what enters one is done when somebody waits for it, so memory that is changed or
given away too early is noticed. Memory is filled with a pattern when it is handed out and when it
is given back; every address that a call names must lie inside of one block. Native code calls it
through C functions, as it calls the driver's library. What was called is counted. Inside a capture,
what CUDA does not allow there fails and spoils the graph.
"""

from __future__ import annotations

import bisect
import ctypes
import re
from collections import Counter, deque
from collections.abc import Callable, Sequence
from ctypes import c_int32, c_size_t, c_uint32, c_uint64, c_void_p

import numpy as np

from symgraph.runtime.cuda.protocol import DeviceError, OutOfDeviceMemory, Properties
from tests.cuda import ptx_machine
from tests.cuda.ptx_text import entry

POISON = 0xCD
GUARD = 64
FAILED, UNSUPPORTED, INVALIDATED = 999, 900, 901
_WORDS = [c_uint32] * 7
_KINDS = {
    "cuLaunchKernel": (c_uint64, *_WORDS, c_uint64, c_uint64, c_uint64),
    "cuMemcpyDtoDAsync_v2": (c_uint64, c_uint64, c_size_t, c_uint64),
    "cuMemcpyDtoHAsync_v2": (c_uint64, c_uint64, c_size_t, c_uint64),
    "cuStreamSynchronize": (c_uint64,),
}
Work = Callable[[], None]


class Marker:
    """A place in a stream."""

    def __init__(self, stream: int) -> None:
        self.stream, self.done = stream, False


class FakeDriver:
    """A device of ``size`` bytes."""

    kind = "emulated"
    reads_cubins = False

    def __init__(self, size: int = 1 << 26, capability: tuple[int, int] = (9, 0)) -> None:
        self.properties = Properties("emulated GPU", capability, 2, size)
        self.calls: Counter[str] = Counter()
        self.replayed: Counter[str] = Counter()  # what launches of graphs have done
        self.launched: list[str] = []
        self.blocks: dict[int, np.ndarray] = {}
        self.starts: list[int] = []
        self.pinned: dict[int, np.ndarray] = {}
        self.used = 0
        self.modules: dict[int, str] = {}
        self.functions: dict[int, tuple[str, str]] = {}
        self.queues: dict[int, deque[Work]] = {0: deque(), 1: deque(), 2: deque()}
        self.events: dict[int, Marker | None] = {}
        self.captures: dict[int, list[tuple[str, Work]]] = {}
        self.spoiled = ""
        self.graphs: dict[int, list[tuple[str, Work]]] = {}
        self.executables: dict[int, list[tuple[str, Work]]] = {}
        self.next = 1000
        self.raised: BaseException | None = None
        self.native = self._native()

    def _handle(self) -> int:
        self.next += 1
        return self.next

    def enter(self) -> None:
        self.entered = True

    # streams --------------------------------------------------------------------------------------

    @property
    def streams(self) -> list[int]:
        return [s for s in self.queues if s > 2]

    def _enter(self, what: str, stream: int, work: Work) -> None:
        """Let work enter a stream, or the graph that is captured there."""
        if stream in self.captures:
            self.captures[stream].append((what, work))
            return
        self.calls[what] += 1
        if stream not in self.queues:
            raise DeviceError(f"{what}: no stream {stream}", "CUDA_ERROR_INVALID_HANDLE")
        self.queues[stream].append(work)

    def _outside(self, what: str) -> None:
        """A call that must not be made while something is captured."""
        if self.captures:
            self.spoiled = self.spoiled or what
            raise DeviceError(f"{what} in a capture", "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED")

    def _drain(self, stream: int, until: Marker | None = None) -> None:
        queue = self.queues[stream]
        while queue and not (until is not None and until.done):
            queue.popleft()()

    def everything(self) -> None:
        """Do what all streams were given."""
        for stream in self.queues:
            self._drain(stream)

    def stream(self) -> int:
        made = self._handle()
        self.queues[made] = deque()
        return made

    def destroy_stream(self, stream: int) -> None:
        self._drain(stream)
        del self.queues[stream]

    def synchronize(self, stream: int) -> None:
        self._outside("cuStreamSynchronize")
        self.calls["synchronize"] += 1
        self._drain(stream)

    def event(self) -> int:
        made = self._handle()
        self.events[made] = None
        return made

    def destroy_event(self, event: int) -> None:
        del self.events[event]

    def record(self, event: int, stream: int) -> None:
        self._outside("cuEventRecord")
        assert event in self.events
        marker = self.events[event] = Marker(stream)

        def pass_by() -> None:
            marker.done = True

        self._enter("record", stream, pass_by)

    def wait(self, stream: int, event: int) -> None:
        self._outside("cuStreamWaitEvent")
        marker = self.events[event]

        def meet() -> None:
            if marker is not None and not marker.done:
                self._drain(marker.stream, marker)

        self._enter("wait", stream, meet)

    def finish(self, event: int) -> None:
        self._outside("cuEventSynchronize")
        self.calls["finish"] += 1
        marker = self.events[event]
        if marker is not None:
            self._drain(marker.stream, marker)

    def elapsed(self, start: int, end: int) -> float:
        self.finish(end)
        return 0.0

    # graphs ---------------------------------------------------------------------------------------

    def capture(self, stream: int) -> None:
        self._outside("cuStreamBeginCapture")
        assert stream > 2, "the default streams cannot be captured"
        self.calls["capture"] += 1
        self.captures[stream] = []
        self.spoiled = ""

    def end_capture(self, stream: int) -> int:
        found = self.captures.pop(stream)
        if self.spoiled:
            raise DeviceError(f"the graph was spoiled by {self.spoiled}",
                              "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED")  # fmt: skip
        made = self._handle()
        self.graphs[made] = found
        return made

    def instantiate(self, graph: int) -> int:
        self._outside("cuGraphInstantiate")
        made = self._handle()
        self.executables[made] = self.graphs.pop(graph)
        return made

    def launch_graph(self, executable: int, stream: int) -> None:
        self._outside("cuGraphLaunch")
        for what, work in self.executables[executable]:
            self.replayed[what] += 1
            self.queues[stream].append(work)
        self.calls["graph"] += 1

    def destroy_executable(self, executable: int) -> None:
        del self.executables[executable]

    # memory ---------------------------------------------------------------------------------------

    def memory(self) -> tuple[int, int]:
        return self.properties.memory - self.used, self.properties.memory

    def alloc(self, size: int) -> int:
        self._outside("cuMemAlloc")
        self.calls["alloc"] += 1
        if self.used + size > self.properties.memory:
            raise OutOfDeviceMemory("cuMemAlloc failed", "CUDA_ERROR_OUT_OF_MEMORY")
        raw = np.full(size + 2 * GUARD + 512, POISON, np.uint8)
        start = GUARD + -(raw.ctypes.data + GUARD) % 512
        block = raw[start : start + size]
        address = block.ctypes.data
        self.blocks[address] = block
        bisect.insort(self.starts, address)
        self.used += size
        return address

    def free(self, address: int) -> None:
        self._outside("cuMemFree")
        self.calls["free"] += 1
        self.everything()
        block = self.blocks.pop(address)
        block[...] = POISON
        self.starts.remove(address)
        self.used -= block.size

    def at(self, address: int, size: int) -> np.ndarray:
        """The memory of a block from an address on; refuses what lies in none."""
        k = bisect.bisect_right(self.starts, address) - 1
        block = self.blocks[self.starts[k]] if k >= 0 else None
        offset = address - self.starts[k] if k >= 0 else 0
        if block is None or offset + size > block.size:
            raise DeviceError(f"an illegal address: {size} bytes at {address:#x}")
        return block[offset : offset + size]

    def host_alloc(self, size: int) -> int:
        self._outside("cuMemHostAlloc")
        self.calls["host_alloc"] += 1
        block = np.full(size, POISON, np.uint8)
        self.pinned[block.ctypes.data] = block
        return block.ctypes.data

    def host_free(self, address: int) -> None:
        self._outside("cuMemFreeHost")
        self.everything()
        del self.pinned[address]

    def is_pinned(self, address: int, size: int) -> bool:
        return any(a <= address and address + size <= a + b.size for a, b in self.pinned.items())

    def to_device(self, address: int, host: int, size: int, stream: int) -> None:
        target = self.at(address, size)
        if self.is_pinned(host, size):
            self._enter("to_device", stream,
                        lambda: _move(target.ctypes.data, host, size))  # fmt: skip
            return
        self._outside("a copy from memory that is not pinned")
        held = ctypes.string_at(host, size)
        self.calls["unpinned"] += 1
        self._enter("to_device", stream, lambda: _move(target.ctypes.data, held, size))

    def to_host(self, host: int, address: int, size: int, stream: int) -> None:
        source = self.at(address, size)
        self._enter("to_host", stream, lambda: _move(host, source.ctypes.data, size))
        if not self.is_pinned(host, size):
            self._outside("a copy to memory that is not pinned")
            self.calls["unpinned"] += 1
            self._drain(stream)

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        to, come = self.at(target, size), self.at(source, size)
        self._enter("copy", stream, lambda: _assign(to, come.copy()))

    def fill(self, address: int, byte: int, size: int, stream: int) -> None:
        place = self.at(address, size)
        self._enter("fill", stream, lambda: _assign(place, byte))

    # code -----------------------------------------------------------------------------------------

    def load(self, image: bytes) -> int:
        self._outside("cuModuleLoad")
        self.calls["load"] += 1
        made = self._handle()
        self.modules[made] = image.decode()
        return made

    def unload(self, module: int) -> None:
        del self.modules[module]

    def function(self, module: int, name: str) -> int:
        text = self.modules[module]
        if f".entry {name}(" not in text:
            raise DeviceError(f"no kernel {name} in the module", "CUDA_ERROR_NOT_FOUND")
        made = self._handle()
        self.functions[made] = text, name
        return made

    def launch(
        self, function: int, blocks: int, threads: int, shared: int, stream: int, params: int
    ) -> None:
        """cuLaunchKernel: arguments are read now, the kernel runs later."""
        text, name = self.functions[function]
        head = text[text.index(f".entry {name}(") :]
        kinds = re.findall(r"\.param \.u64( \.ptr)?", head[: head.index(")")])
        pointers = (c_uint64 * len(kinds)).from_address(params)
        words = [c_uint64.from_address(p).value for p in pointers]
        words = [w - (1 << 64) if w >> 63 else w for w in words]
        assert 0 < blocks < 1 << 31 and 0 < threads <= 1024, (name, blocks, threads)
        assert shared <= 227 << 10, f"{name}: {shared} bytes of shared memory"
        for word, pointer in zip(words, kinds, strict=True):
            if pointer:
                self.home(word)

        def run() -> None:
            self.launched.append(name)
            self._emulate(text, blocks, threads, words, [bool(k) for k in kinds])

        self._enter("launch", stream, run)

    def _emulate(
        self, text: str, blocks: int, threads: int, words: Sequence[int], pointers: Sequence[bool]
    ) -> None:
        """Blocks of memory become pieces of the emulator's, and addresses places in those: several
        parameters may lie in one."""
        kernel = entry(text)
        homes = {w: self.home(w) for w, p in zip(words, pointers, strict=True) if p}
        whole = list(dict.fromkeys(homes.values()))
        names = tuple((f"block {h:#x}", 0, 8) for h in whole)
        assert kernel.threads == threads, f"launched with {threads}, made for {kernel.threads}"
        with np.errstate(all="ignore"):
            machine = ptx_machine._Machine(
                kernel._replace(params=names), blocks, threads,
                [(self.blocks[h], True) for h in whole], [],
            )  # fmt: skip
            given = {h: machine.params[n] for h, (n, _, _) in zip(whole, names, strict=True)}
            values = [given[homes[w]] + w - homes[w] if p else w
                      for w, p in zip(words, pointers, strict=True)]  # fmt: skip
            machine.params = {n: v for (n, _, _), v in zip(kernel.params, values, strict=True)}
            machine.run()

    def home(self, address: int) -> int:
        """The block that an address lies in."""
        k = bisect.bisect_right(self.starts, address) - 1
        self.at(address, 1)
        return self.starts[k]

    # what native code calls -----------------------------------------------------------------------

    def _native(self) -> dict[str, Callable[..., int]]:
        def launch(
            f: int, gx: int, gy: int, gz: int, bx: int, by: int, bz: int, shared: int, stream: int,
            params: int, extra: int,
        ) -> None:  # fmt: skip
            assert (gy, gz, by, bz, extra) == (1, 1, 1, 1, 0)
            self.launch(f, gx, bx, shared, stream, params)

        calls = {
            "cuLaunchKernel": launch, "cuMemcpyDtoDAsync_v2": self.copy,
            "cuMemcpyDtoHAsync_v2": self.to_host, "cuStreamSynchronize": self.synchronize,
        }  # fmt: skip
        return {n: ctypes.CFUNCTYPE(c_int32, *_KINDS[n])(self._status(f)) for n, f in calls.items()}

    def _status(self, call: Callable[..., None]) -> Callable[..., int]:
        def run(*args: int) -> int:
            try:
                call(*args)
            except BaseException as error:
                self.raised = error
                return FAILED
            return 0

        return run

    def entries(self) -> dict[str, int]:
        return {n: ctypes.cast(f, c_void_p).value or 0 for n, f in self.native.items()}

    def failure(self, function: str, status: int) -> DeviceError:
        error, self.raised = self.raised, None
        if isinstance(error, DeviceError):
            return error
        if error is not None:
            raise error
        return DeviceError(f"{function} failed with {status}")


def _move(target: int, source: int | bytes, size: int) -> None:
    ctypes.memmove(target, source, size)


def _assign(target: np.ndarray, value: np.ndarray | int) -> None:
    target[...] = value
