"""The GPU of this process: its driver, one stream for all work, the pool, modules already loaded.

pycuda's context is used where pycuda is installed, the primary one as well; without it, the
driver's library is called directly. Nothing is touched before a function for the GPU is compiled.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from symgraph.runtime.cuda.libcuda import CtypesDriver
from symgraph.runtime.cuda.memory import Pool
from symgraph.runtime.cuda.protocol import Driver
from symgraph.runtime.cuda.with_pycuda import pycuda_driver

_lock = threading.Lock()
_present: Device | None = None


class Device:
    """A driver with what functions share on it."""

    def __init__(self, driver: Driver) -> None:
        self.driver, self.lock = driver, threading.RLock()
        self.stream = driver.stream()
        self.pool = Pool(driver, self.stream)
        self.modules: dict[bytes, int] = {}

    def function(self, image: bytes, name: str) -> int:
        """A kernel of a module, which is loaded once for all functions."""
        key = hashlib.sha256(image).digest()
        with self.lock:
            module = self.modules.get(key)
            if module is None:
                module = self.modules[key] = self.driver.load(image)
            return self.driver.function(module, name)

    def synchronize(self) -> None:
        """Wait for everything."""
        self.driver.synchronize(self.stream)


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
