"""The GPU of this process: its driver, one stream for all work, the pool, modules already loaded.

pycuda's context is used where pycuda is installed, the primary one as well; without it, the
driver's library is called directly. Nothing is touched before a function for the GPU is compiled.

All work enters one stream, so memory can be handed out again while what used it still runs, and
temporaries of all functions lie in one piece of memory. A caller's own stream takes part by events:
``following`` lets our work wait for what it was given before, and it for our work.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from symgraph.errors import ArgumentError
from symgraph.runtime.cuda.libcuda import CtypesDriver
from symgraph.runtime.cuda.memory import Block, Pool
from symgraph.runtime.cuda.protocol import Driver
from symgraph.runtime.cuda.reports import Reports
from symgraph.runtime.cuda.staging import Staging
from symgraph.runtime.cuda.with_pycuda import pycuda_driver

_lock = threading.Lock()
_present: Device | None = None
_current = threading.local()


class Device:
    """A driver with what functions share on it."""

    def __init__(self, driver: Driver) -> None:
        self.driver, self.lock = driver, threading.RLock()
        self.stream = driver.stream()
        self.pool = Pool(driver, self.stream)
        self.staging = Staging(driver, self.stream)
        self.reports = Reports(driver, self.stream)
        self.modules: dict[bytes, int] = {}
        self.kept: dict[str, Any] = {}  # what upper layers make once for a device
        self.busy = False  # a call has the addresses of its temporaries but has not entered
        self.pool.relief = self._relieve
        self._workspace: Block | None = None
        self._events: list[int] = []

    def function(self, image: bytes, name: str) -> int:
        """A kernel of a module, which is loaded once for all functions."""
        key = hashlib.sha256(image).digest()
        with self.lock:
            module = self.modules.get(key)
            if module is None:
                module = self.modules[key] = self.driver.load(image)
            return self.driver.function(module, name)

    def workspace(self, size: int) -> int:
        """The address of at least so many bytes, the same for all functions: what they leave there
        is lost at the next call. It moves when more is asked for than ever before."""
        if self._workspace is None or self._workspace.size < size:
            self._workspace = None  # its memory may become a part of the new one
            self._workspace = self.pool.take(size)
        return self._workspace.address

    def _relieve(self) -> bool:
        if self.busy or self._workspace is None:
            return False
        self._workspace = None
        return True

    def give_up_workspace(self) -> None:
        """Let the pool have the memory of temporaries, until a function needs some again."""
        with self.lock:
            self._workspace = None

    def synchronize(self) -> None:
        """Wait for everything; raises what a check on the device has found since the last time."""
        with self.lock:
            self.driver.synchronize(self.stream)
            self.reports.tell()

    # streams of others ----------------------------------------------------------------------------

    @contextmanager
    def following(self, stream: int | None) -> Iterator[None]:
        """Our work in this block comes after what another stream was given before, and before what
        it is given after the block."""
        if stream is None or stream == self.stream:
            yield
            return
        self.order(stream, self.stream)
        try:
            yield
        finally:
            self.order(self.stream, stream)

    def order(self, first: int, then: int) -> None:
        """Let one stream wait for what another has been given up to here."""
        event = self._events.pop() if self._events else self.driver.event()
        self.driver.record(event, first)
        self.driver.wait(then, event)
        self._events.append(event)  # a later record does not move those who wait already


def handle(stream: Any) -> int | None:
    """The handle of a stream: an integer (0 and 1 are the default stream, 2 the thread's own), or
    an object of pycuda, CuPy, PyTorch, Numba or of ``__cuda_stream__``'s protocol; None for None.

    Raises ArgumentError for anything else.
    """
    if stream is None or (isinstance(stream, int) and not isinstance(stream, bool)):
        if stream is not None and stream < 0:
            raise ArgumentError(f"{stream} is no stream of CUDA")
        return stream
    protocol = getattr(stream, "__cuda_stream__", None)
    if protocol is not None:
        return int(protocol()[1])
    for name in ("handle", "ptr", "cuda_stream"):  # pycuda and Numba, CuPy, PyTorch
        found = getattr(stream, name, None)
        found = getattr(found, "value", found)  # Numba's is a ctypes object
        if isinstance(found, int):
            return found
    raise ArgumentError(
        f"{type(stream).__name__} is no stream of CUDA",
        hint="give its handle as an integer, or a stream of pycuda, CuPy or PyTorch",
    )


@contextmanager
def on_stream(stream: Any) -> Iterator[int | None]:
    """Calls in this block and thread follow a stream, as with the argument ``stream``."""
    before = current_stream()
    _current.stream = handle(stream)
    try:
        yield _current.stream
    finally:
        _current.stream = before


def current_stream() -> int | None:
    """The handle of the stream that calls of this thread follow; None for our own alone."""
    return getattr(_current, "stream", None)


def device() -> Device:
    """The GPU, number 0 of those that CUDA_VISIBLE_DEVICES leaves.

    Raises TargetError where there is no driver or no device.
    """
    global _present
    with _lock:
        if _present is None:
            _present = Device(pycuda_driver() or CtypesDriver())
        return _present


@contextmanager
def using(driver: Driver) -> Iterator[Device]:
    """Another driver for a while: functions compiled meanwhile belong to it."""
    global _present
    with _lock:
        before, _present = _present, Device(driver)
        made = _present
    try:
        yield made
    finally:
        with _lock:
            _present = before
