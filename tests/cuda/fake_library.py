"""What stands for NVIDIA's libraries in tests: functions of NumPy's and SciPy's behind their names.

Functions that do work are C functions of 16 words, as native code calls them; they take what the
real ones take, read the emulated device's memory, and enter the stream of their handle. Memory for
a routine's work is overwritten, so that operands that lie there are noticed.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import c_int, c_uint64, c_void_p
from typing import Any, NamedTuple

import numpy as np
import pytest

from symgraph import config
from symgraph.runtime.cuda import libraries
from symgraph.runtime.cuda.device import using
from tests.cuda.fake_driver import FAILED, FakeDriver

WORD = ctypes.CFUNCTYPE(c_int, *[c_uint64] * 16)
DTYPES = {"S": np.float32, "D": np.float64, "C": np.complex64, "Z": np.complex128}
Work = Callable[[], None]


def install(monkeypatch: pytest.MonkeyPatch, **found: Any) -> None:
    """Let these libraries be there, and no others."""
    monkeypatch.setattr(libraries, "path", {n: f"lib{n}.so" for n in found}.get)
    monkeypatch.setattr(libraries, "library", found.get)


class Setting(NamedTuple):
    """A device and the library that is installed for it."""

    gpu: Any
    library: Any


@contextmanager
def installed(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: Callable[[FakeDriver], Any]
) -> Iterator[Setting]:
    """A device beside which this library is there, and no other."""
    driver = FakeDriver()
    library = kind(driver)
    install(monkeypatch, **{name: library})
    with using(driver) as gpu, config.change(cache=False):
        yield Setting(gpu, library)


def put(place: Any, kind: Any, value: int) -> None:
    """Write through a pointer that a caller has made."""
    ctypes.cast(place, ctypes.POINTER(kind))[0] = value


def int32(word: int) -> int:
    """The argument of type int in a word."""
    return ctypes.c_int32(word & 0xFFFFFFFF).value


class FakeLibrary:
    """Handles with streams, and functions as C calls them."""

    def __init__(self, driver: FakeDriver) -> None:
        self.driver = driver
        self.calls: Counter[str] = Counter()
        self.streams: dict[int, int] = {}
        self.native: dict[str, Any] = {}

    def create(self, place: Any) -> int:
        number = 0x7000 + 16 * len(self.streams)
        self.streams[number] = 0
        put(place, c_void_p, number)
        return 0

    def set_stream(self, made: c_void_p, stream: c_void_p) -> int:
        assert made.value in self.streams and stream.value in self.driver.queues
        self.streams[made.value or 0] = stream.value or 0
        return 0

    def function(self, name: str, ready: Callable[..., Work], stream: Any = None) -> Any:
        """A C function: ``ready(*words)`` checks what it is given and says what will be done."""

        def call(*words: int) -> int:
            try:
                work = ready(*words)
                self.calls[name] += 1
                where = self.streams[words[0]] if stream is None else stream(words)
                self.driver._enter("library", where, work)
            except BaseException as error:
                self.driver.raised = error
                return FAILED
            return 0

        if name not in self.native:
            self.native[name] = WORD(call)
        return self.native[name]

    def array(self, address: int, count: int, dtype: Any) -> np.ndarray:
        size = np.dtype(dtype).itemsize
        assert address % size == 0
        return self.driver.at(address, count * size).view(dtype)

    def matrix(self, address: int, rows: int, columns: int, lead: int, dtype: Any) -> np.ndarray:
        """A view of a matrix that lies column by column."""
        assert lead >= max(1, rows)
        flat = self.array(address, lead * (columns - 1) + rows, dtype)
        step = flat.itemsize
        return np.lib.stride_tricks.as_strided(flat, (rows, columns), (step, lead * step))

    def spoil(self, address: int, count: int, dtype: Any) -> None:
        self.array(address, count, dtype)[...] = 123
