"""Short rows read by whole registers: bits are those of gathers, and nothing else is touched."""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config
from symgraph.codegen import near_rows_llvm

ROWS = (1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 257, 300)


def several(x: Any) -> list[Any]:
    return [sg.sum(x * x, 1), sg.max(x, 1), sg.argmin(x, 1), sg.sum(x[:, None, 0] - x, 1)]


def compiled(dtype: str) -> Any:
    x = sg.matrix("x", dtype=dtype)
    with config.change(cache=False):
        return sg.compile([x], several(x))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint32"])
def test_bits_are_those_of_gathers(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    near = compiled(dtype)
    monkeypatch.setattr(near_rows_llvm, "SHORT", -1)
    gathering = compiled(dtype)
    rng = np.random.default_rng(0)
    for rows in ROWS:
        for n in (1, 2, 3, 4, 5, 7, 8, 10, 15, 16, 17):
            a = (rng.normal(size=(rows, n)) * 100).astype(dtype)
            for found, wanted in zip(near(a), gathering(a), strict=True):
                assert found.tobytes() == wanted.tobytes(), (rows, n)


def at_the_end_of_memory(values: np.ndarray) -> tuple[mmap.mmap, np.ndarray]:
    """A copy after whose last byte, and before whose first page, nothing may be touched."""
    size = -(-values.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    room = mmap.mmap(-1, size + 2 * mmap.PAGESIZE)
    first = ctypes.addressof(ctypes.c_char.from_buffer(room))
    protect = ctypes.CDLL(None).mprotect
    for place in (first, first + mmap.PAGESIZE + size):
        assert protect(ctypes.c_void_p(place), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    begin = mmap.PAGESIZE + size - values.nbytes
    held = np.frombuffer(room, values.dtype, values.size, begin).reshape(values.shape)
    held[...] = values
    return room, held


def test_nothing_beyond_the_rows_is_touched() -> None:
    if not sys.platform.startswith("linux"):
        return  # memory is protected in the way of Linux
    for dtype in ("float32", "float64"):
        f = compiled(dtype)
        for rows in ROWS:
            for n in (1, 3, 4, 7, 16):
                a = np.arange(rows * n, dtype=dtype).reshape(rows, n)
                _, held = at_the_end_of_memory(a)
                for found, wanted in zip(f(held), f(a), strict=True):
                    assert found.tobytes() == wanted.tobytes()
