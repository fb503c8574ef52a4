"""The walker of a device: native code that enters a program's steps into its stream.

Its machine code comes from the disk cache; nothing is compiled for a function.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph.codegen import llvm
from symgraph.cuda.walker_ir import CONTEXT, RAISED, walker_module
from symgraph.executor import cached_object, load_code
from symgraph.runtime.cuda.device import Device
from symgraph.runtime.cuda.protocol import ENTRIES
from symgraph.runtime.sources import compiler_digest

_WALK = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64
)
_PYTHON = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int64)


@functools.cache
def _code() -> Any:
    ingredients = {"module": "walker", "compiler": compiler_digest()}
    return load_code(cached_object("runtime", ingredients, walker_module, llvm.CALLS), ["walk"])


class Walker:
    """Walks over tapes for one device; one walk at a time."""

    def __init__(self, device: Device) -> None:
        self.code = _code()
        self.walk = _WALK(self.code.address("walk"))
        self.python = _PYTHON(self._python)
        self.error: BaseException | None = None
        self.host: Callable[[int], int] | None = None
        self.context = (ctypes.c_int64 * len(CONTEXT))()
        self.place = {name: k for k, name in enumerate(CONTEXT)}
        entries = device.driver.entries()
        for name in ENTRIES:
            self.context[self.place[name]] = entries[name]
        self._set("stream", device.stream)
        self._set("pinned", device.driver.host_alloc(64))
        self._set("python", ctypes.cast(self.python, ctypes.c_void_p).value or 0)

    def _set(self, name: str, value: int) -> None:
        self.context[self.place[name]] = value

    def run(
        self, tape: np.ndarray, where: np.ndarray, status: int, host: Callable[[int], int]
    ) -> tuple[int, int]:
        """Walk over a whole tape. The result, and where on the tape it failed (-1: it did not).
        ``host`` does the host's steps; what it raises is raised here."""
        self._set("where", where.ctypes.data)
        self._set("status", status)
        self._set("failed", -1)
        self.host, self.error = host, None
        found = self.walk(ctypes.addressof(self.context), tape.ctypes.data, 0, len(tape))
        self.host = None
        if found == RAISED and self.error is not None:
            raise self.error
        return found, self.context[self.place["failed"]]

    def _python(self, number: int) -> int:
        assert self.host is not None
        try:
            return self.host(number)
        except BaseException as error:  # goes on where the walk has ended
            self.error = error
            return RAISED


def walker(device: Device) -> Walker:
    """The walker of a device."""
    found: Walker | None = device.kept.get("walker")
    if found is None:
        found = device.kept["walker"] = Walker(device)
    return found
