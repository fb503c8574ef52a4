"""The pool of a device's memory: what was freed is handed out again, since the driver's own calls
wait for all that runs.

Sizes are rounded to 512 bytes, above a mebibyte to an eighth of their power of two, and there is a
list of free blocks for each. All work is ordered by one stream, so a block may be handed out while
a kernel that used it still runs. When the device has no more memory the free blocks are given back
to the driver, and only if that does not help the error is raised.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from symgraph.records import NamedTuple
from symgraph.runtime.cuda.protocol import Driver, OutOfDeviceMemory

SMALLEST = 512
LARGE = 1 << 20


class Statistics(NamedTuple):
    """Bytes in use, held but free, the most that was in use; blocks in use; calls of the driver."""

    used: int
    held: int
    most: int
    blocks: int
    allocations: int
    frees: int


def rounded(size: int) -> int:
    """The size of the block for so many bytes.

    >>> rounded(0), rounded(513), rounded((1 << 20) + 1) - (1 << 20)
    (512, 1024, 131072)
    """
    unit = SMALLEST if size <= LARGE else 1 << size.bit_length() - 4
    return max(SMALLEST, -(-size // unit) * unit)


class Pool:
    """Blocks of a driver's memory."""

    def __init__(self, driver: Driver, stream: int) -> None:
        self.driver, self.stream = driver, stream
        self.lock = threading.RLock()  # a block's end may come while one is taken
        self.relief: Callable[[], bool] = lambda: False  # gives up blocks that can be had again
        self.free: dict[int, list[int]] = {}
        self.used = self.held = self.most = self.blocks = self.allocations = self.frees = 0

    def take(self, size: int) -> Block:
        """A block of at least so many bytes.

        Raises OutOfDeviceMemory with what was asked for, used and free.
        """
        room = rounded(size)
        with self.lock:
            waiting = self.free.get(room)
            if waiting:
                address = waiting.pop()
                self.held -= room
            else:
                address = self._new(room)
            self.used += room
            self.blocks += 1
            self.most = max(self.most, self.used)
        return Block(self, address, room)

    def _new(self, room: int) -> int:
        self.allocations += 1
        try:
            return self.driver.alloc(room)
        except OutOfDeviceMemory:
            self.release()
        try:
            return self.driver.alloc(room)
        except OutOfDeviceMemory:
            if self.relief():
                self.release()
        try:
            return self.driver.alloc(room)
        except OutOfDeviceMemory as error:
            left, whole = self.driver.memory()
            raise OutOfDeviceMemory(
                f"the GPU has no room for {_bytes(room)}: symgraph uses {_bytes(self.used)}, "
                f"{_bytes(left)} of {_bytes(whole)} are free",
                error.name,
                "give up arrays and functions that hold memory, make the batch smaller, or see "
                "with nvidia-smi who else uses the GPU",
            ) from None

    def give(self, address: int, room: int) -> None:
        """Take a block back."""
        with self.lock:
            self.free.setdefault(room, []).append(address)
            self.used -= room
            self.held += room
            self.blocks -= 1

    def release(self) -> None:
        """Give all free blocks back to the driver."""
        with self.lock:
            if any(self.free.values()):
                self.driver.synchronize(self.stream)
            for waiting in self.free.values():
                while waiting:
                    self.driver.free(waiting.pop())
                    self.frees += 1
            self.free.clear()
            self.held = 0

    def statistics(self) -> Statistics:
        """How much is used."""
        with self.lock:
            return Statistics(
                self.used, self.held, self.most, self.blocks, self.allocations, self.frees
            )


class Block:
    """Memory of a pool, which goes back there when nobody holds this object."""

    __slots__ = ("address", "pool", "size")

    def __init__(self, pool: Pool, address: int, size: int) -> None:
        self.address, self.size, self.pool = address, size, pool

    def __del__(self) -> None:
        self.pool.give(self.address, self.size)


def _bytes(n: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n} bytes"
