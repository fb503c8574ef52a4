"""What the CUDA target asks of a driver, and how it fails.

Contexts, modules, functions, streams, events, graphs and addresses are plain integers, as CUDA has
them, so those of several libraries mix in the device's primary context. Every call is made with
that context current. Copies enter their stream and return at once where the host's side of them is
pinned memory (``host_alloc``); such memory must stay as it is until they have been done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from symgraph.errors import TargetError
from symgraph.records import NamedTuple

#: the driver's functions that native code calls (symgraph/cuda/walker.py)
ENTRIES = (
    "cuLaunchKernel", "cuMemcpyDtoDAsync_v2", "cuMemcpyDtoHAsync_v2", "cuStreamSynchronize",
)  # fmt: skip


class DeviceError(TargetError, RuntimeError):
    """A call of the driver has failed; ``name`` is the driver's name of the error."""

    def __init__(self, what: str, name: str = "", hint: str = "") -> None:
        super().__init__(what, hint=hint)
        self.name = name


class OutOfDeviceMemory(DeviceError, MemoryError):
    """The device has no room for what a call needs."""


class Properties(NamedTuple):
    """A device: its name, compute capability as (9, 0), processors and bytes of memory."""

    name: str
    capability: tuple[int, int]
    processors: int
    memory: int


class Driver(Protocol):
    """The calls that are needed; all but ``properties`` and ``memory`` are made while working."""

    kind: str
    reads_cubins: bool  # else PTX only
    properties: Properties

    def enter(self) -> None:
        """Make the context current in this thread, before launchers are called."""

    def memory(self) -> tuple[int, int]:
        """The bytes that are free, and all."""

    def alloc(self, size: int) -> int:
        """The address of new memory. Raises OutOfDeviceMemory."""

    def free(self, address: int) -> None:
        """Give memory back; waits for what runs."""

    def host_alloc(self, size: int) -> int:
        """The address of new pinned memory of the host."""

    def host_free(self, address: int) -> None:
        """Give pinned memory back."""

    def to_device(self, address: int, host: int, size: int, stream: int) -> None:
        """Copy from pinned memory; from other memory too, which may be changed on return."""

    def to_host(self, host: int, address: int, size: int, stream: int) -> None:
        """Copy to pinned memory."""

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        """Copy on the device."""

    def fill(self, address: int, byte: int, size: int, stream: int) -> None:
        """Set bytes."""

    def load(self, image: bytes) -> int:
        """A module from a cubin, or from PTX, which the driver translates."""

    def unload(self, module: int) -> None:
        """Forget a module."""

    def function(self, module: int, name: str) -> int:
        """A kernel of a module."""

    def entries(self) -> Mapping[str, int]:
        """The addresses of the C functions in ENTRIES, which return 0 or the number of an error."""

    def failure(self, function: str, status: int) -> DeviceError:
        """The error of such a number."""

    def stream(self) -> int:
        """A new stream that does not wait for the default one."""

    def destroy_stream(self, stream: int) -> None:
        """Forget a stream when its work is done."""

    def synchronize(self, stream: int) -> None:
        """Wait for all work of a stream."""

    def event(self) -> int:
        """A new event."""

    def destroy_event(self, event: int) -> None:
        """Forget an event."""

    def record(self, event: int, stream: int) -> None:
        """Let an event happen when a stream has done its work up to here."""

    def wait(self, stream: int, event: int) -> None:
        """Let a stream wait for an event."""

    def finish(self, event: int) -> None:
        """Wait until an event has happened."""

    def elapsed(self, start: int, end: int) -> float:
        """Milliseconds between two events; waits for the second."""

    # graphs ---------------------------------------------------------------------------------------

    def capture(self, stream: int) -> None:
        """What enters the stream from now on is not done but becomes a graph; nothing may wait."""

    def end_capture(self, stream: int) -> int:
        """The graph. Raises DeviceError when something could not become a part of it."""

    def instantiate(self, graph: int) -> int:
        """An executable form of a graph, which is given up."""

    def launch_graph(self, executable: int, stream: int) -> None:
        """Let all of a graph enter a stream."""

    def destroy_executable(self, executable: int) -> None:
        """Forget an executable graph when its work is done."""
