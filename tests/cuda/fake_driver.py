"""A driver without a GPU: device memory is the host's, kernels are run from PTX by the emulator.

Memory is filled with a pattern when it is handed out and when it is given back; every address that
a call names must lie inside of one block. What was called is counted.
"""

from __future__ import annotations

import bisect
import ctypes
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from symgraph.runtime.cuda.protocol import DeviceError, Launcher, OutOfDeviceMemory, Properties
from tests.cuda import ptx_machine
from tests.cuda.ptx_text import entry

POISON = 0xCD
GUARD = 64


class FakeDriver:
    """A device of ``size`` bytes."""

    kind = "emulated"
    reads_cubins = False

    def __init__(self, size: int = 1 << 26, capability: tuple[int, int] = (9, 0)) -> None:
        self.properties = Properties("emulated GPU", capability, 2, size)
        self.calls: Counter[str] = Counter()
        self.launched: list[str] = []
        self.blocks: dict[int, np.ndarray] = {}
        self.starts: list[int] = []
        self.used = 0
        self.modules: dict[int, str] = {}
        self.functions: dict[int, tuple[str, str]] = {}
        self.streams: set[int] = set()
        self.events: set[int] = set()
        self.next = 1000

    def _handle(self) -> int:
        self.next += 1
        return self.next

    def enter(self) -> None:
        self.entered = True

    # memory ---------------------------------------------------------------------------------------

    def memory(self) -> tuple[int, int]:
        return self.properties.memory - self.used, self.properties.memory

    def alloc(self, size: int) -> int:
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
        self.calls["free"] += 1
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

    def to_device(self, address: int, host: int, size: int, stream: int) -> None:
        self._note("to_device", stream)
        ctypes.memmove(self.at(address, size).ctypes.data, host, size)

    def to_host(self, host: int, address: int, size: int, stream: int) -> None:
        self._note("to_host", stream)
        ctypes.memmove(host, self.at(address, size).ctypes.data, size)

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        self._note("copy", stream)
        self.at(target, size)[...] = self.at(source, size).copy()

    def fill(self, address: int, byte: int, size: int, stream: int) -> None:
        self._note("fill", stream)
        self.at(address, size)[...] = byte

    def _note(self, what: str, stream: int) -> None:
        self.calls[what] += 1
        if stream and stream not in self.streams:
            raise DeviceError(f"{what}: no stream {stream}")

    # code -----------------------------------------------------------------------------------------

    def load(self, image: bytes) -> int:
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

    def launcher(self, function: int, blocks: int, threads: int, count: int) -> Launcher:
        text, name = self.functions[function]
        head = text[text.index(f".entry {name}(") :]
        kinds = re.findall(r"\.param \.u64( \.ptr)?", head[: head.index(")")])
        assert len(kinds) == count, f"{name} takes {len(kinds)} arguments, given {count}"
        assert blocks > 0

        def run(words: list[int], stream: int) -> None:
            self._note("launch", stream)
            self.launched.append(name)
            self._emulate(text, blocks, threads, words, [bool(k) for k in kinds])

        return run

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

    # streams and events ---------------------------------------------------------------------------

    def stream(self) -> int:
        made = self._handle()
        self.streams.add(made)
        return made

    def destroy_stream(self, stream: int) -> None:
        self.streams.remove(stream)

    def synchronize(self, stream: int) -> None:
        self._note("synchronize", stream)

    def event(self) -> int:
        made = self._handle()
        self.events.add(made)
        return made

    def destroy_event(self, event: int) -> None:
        self.events.remove(event)

    def record(self, event: int, stream: int) -> None:
        assert event in self.events
        self.calls["record"] += 1

    def wait(self, stream: int, event: int) -> None:
        assert event in self.events
        self.calls["wait"] += 1

    def elapsed(self, start: int, end: int) -> float:
        return 0.0
