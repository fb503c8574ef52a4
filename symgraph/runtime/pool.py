"""The output pool as Python sees it: its table, the memory handler of arrays, statistics.

`install` takes the loaded object of `pool_ir`'s module and makes the process's one pool. An entry
allocates a large output with `pool_malloc`, wraps it by `PyArray_NewFromDescr`, then stores the
handler (a new reference) at `A_HANDLER` of the array and sets OWNDATA: NumPy frees it through the
handler, `base` is None, `resize` works. Pool, code and handler are immortal, because arrays outlive
functions and modules.

The place of the handler in an array is verified when the pool is made. On any doubt there is no
pool, and NumPy allocates.

Sources: NEP 49 (data allocation strategies); size classes as in jemalloc, colours as in Bonwick's
slab allocator (1994).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph import config
from symgraph.runtime import abi
from symgraph.runtime.elf import LoadedCode

# the layout of the table, as pool_ir writes it; a test holds the two against each other
_STATE = (
    "lock", "kept", "cap", "hits", "misses", "live", "mmap", "munmap", "madvise", "malloc", "free",
    "memcpy", "memset", "yield",
)  # fmt: skip
_WORDS = 16 + 256
_AT = {name: k for k, name in enumerate(_STATE)}
POOL_FROM = 1 << 18  # bytes from which an output is worth a pooled block

_CAPSULE_NAME = b"mem_handler"  # NumPy asks for exactly this name


class _Handler(ctypes.Structure):
    """PyDataMem_Handler of numpy/ndarraytypes.h."""

    _fields_ = [
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("allocator", ctypes.c_void_p * 5),  # ctx, malloc, calloc, realloc, free
    ]


class Pool:
    """The process's output pool. `malloc`, `free`, `ctx` and `handler` are the addresses that an
    entry needs; they are valid for the life of the process."""

    def __init__(self, code: LoadedCode, cap: int) -> None:
        self._code = code
        self._state = (ctypes.c_int64 * _WORDS)()
        self.ctx = ctypes.addressof(self._state)
        self._fill_table(cap)
        self.malloc, self.free = code.address("pool_malloc"), code.address("pool_free")
        self._trim = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(code.address("pool_trim"))
        self._alloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(
            self.malloc
        )
        self._release = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(
            self.free
        )
        self._memory = _Handler()
        self._capsule = self._make_handler()
        self.handler = id(self._capsule)

    def _fill_table(self, cap: int) -> None:
        process = ctypes.CDLL(None)
        for name in _STATE[_AT["mmap"] :]:
            symbol = "sched_yield" if name == "yield" else name
            self._state[_AT[name]] = abi.address_in(process, symbol)
        self._state[_AT["cap"]] = cap

    def _make_handler(self) -> Any:
        self._memory.name, self._memory.version = b"symgraph_pool", 1
        functions = ("pool_malloc", "pool_calloc", "pool_realloc", "pool_free")
        table = (ctypes.c_void_p * 5)(self.ctx, *(self._code.address(f) for f in functions))
        self._memory.allocator = table
        self._name = ctypes.create_string_buffer(_CAPSULE_NAME)
        make = ctypes.PYFUNCTYPE(
            ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
        )(abi.pyaddr("PyCapsule_New"))
        return make(ctypes.addressof(self._memory), ctypes.addressof(self._name), None)

    def empty(self, shape: Sequence[int], dtype: Any) -> np.ndarray[Any, Any]:
        """An uninitialised C-order array; from 256 KB on its memory is the pool's.

        Raises MemoryError and ValueError as `numpy.empty` does.
        """
        dt = np.dtype(dtype)
        sizes = tuple(int(n) for n in shape)
        total = dt.itemsize
        for n in sizes:
            total *= n
        if dt.hasobject or not POOL_FROM <= total < 1 << 46 or min(sizes, default=0) < 0:
            return np.empty(sizes, dt)
        data = self._alloc(self.ctx, total)
        if not data:
            return np.empty(sizes, dt)
        try:
            array = _wrap(data, sizes, dt)
        except BaseException:
            self._release(self.ctx, data, total)
            raise
        self._own(array)
        return array

    def _own(self, array: np.ndarray[Any, Any]) -> None:
        _incref(self._capsule)
        ctypes.c_void_p.from_address(id(array) + abi.A_HANDLER).value = self.handler
        ctypes.c_int32.from_address(id(array) + abi.A_FLAGS).value |= abi.OWNDATA

    def trim(self) -> int:
        """Give all kept blocks back to the system; returns the bytes."""
        return int(self._trim(self.ctx))

    @property
    def cap(self) -> int:
        """Bytes of freed blocks that the pool keeps at most; may be assigned."""
        return int(self._state[_AT["cap"]])

    @cap.setter
    def cap(self, value: int) -> None:
        self._state[_AT["cap"]] = max(0, int(value))
        if self._state[_AT["kept"]] > value:
            self.trim()

    def stats(self) -> dict[str, int]:
        """`live` and `kept` bytes, the `cap`, and how many blocks were reused (`hits`) and fresh
        (`misses`)."""
        return {n: int(self._state[_AT[n]]) for n in ("live", "kept", "cap", "hits", "misses")}

    def reset_lock(self) -> None:
        """After a fork: the thread that held the lock does not exist in the child."""
        self._state[_AT["lock"]] = 0


_current: Pool | None = None


def current() -> Pool | None:
    """The process's pool, None before `install` and where it is off."""
    return _current


def install(code: LoadedCode) -> Pool | None:
    """Make the process's pool from loaded code; later calls return the same pool.

    Returns None where the setting `pool_size` is 0 or where the way to hand memory to an array does
    not verify on this NumPy. Raises KeyError when the code lacks a function of the pool.
    """
    global _current
    if _current is not None:
        return _current
    cap = config.get("pool_size")
    cap = default_cap() if cap is None else cap
    if not cap or not handler_place_verified():
        return None
    pool = Pool(code, cap)
    _incref(pool)  # immortal, with the code and the handler
    if not _works(pool):
        return None
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=pool.reset_lock)
    _current = pool
    return pool


def default_cap() -> int:
    """A quarter of the machine's memory, or of the control group's where that is less."""
    total = 4 << 30
    if sys.platform.startswith("linux"):
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
            try:
                with open(path, "rb", 0) as file:
                    total = min(total, int(file.read()))
            except (OSError, ValueError):  # no such group, or "max"
                continue
    return total // 4


def handler_place_verified() -> bool:
    """Whether `A_HANDLER` is where arrays keep the owner of their data: NumPy's own handler must be
    read there from fresh arrays, and nothing from views."""
    if not abi.native_entry_usable() or abi.A_HANDLER != abi.A_FLAGS + 24:
        return False
    address = abi.numpy_address("PyDataMem_GetHandler")
    handler = ctypes.PYFUNCTYPE(ctypes.py_object)(address)()
    for array in (np.empty(5), np.zeros((3, 4), np.int8), np.arange(7), np.empty(())):
        if abi.read_word(id(array) + abi.A_HANDLER) != id(handler):
            return False
    view = np.empty(8)[2:]
    return abi.read_word(id(view) + abi.A_HANDLER) == 0


def _works(pool: Pool) -> bool:
    """One array made, looked at and dropped."""
    from numpy._core.multiarray import get_handler_name

    array = pool.empty((POOL_FROM,), np.uint8)
    named = get_handler_name(array) == "symgraph_pool"
    sound = named and array.flags.owndata and array.base is None and array.nbytes == POOL_FROM
    array[0] = array[-1] = 1
    live = pool.stats()["live"]
    del array
    return bool(sound and live >= POOL_FROM and pool.stats()["live"] == 0)


def _wrap(data: int, sizes: tuple[int, ...], dt: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """An array over foreign memory, through PyArray_NewFromDescr."""
    _incref(dt)  # stolen, even by a call that fails
    dims = (ctypes.c_ssize_t * max(1, len(sizes)))(*sizes)
    word, number = ctypes.c_void_p, ctypes.c_int
    new = ctypes.PYFUNCTYPE(
        ctypes.py_object, word, word, number, word, word, word, number, word
    )(abi.numpy_address("PyArray_NewFromDescr"))  # fmt: skip
    array: np.ndarray[Any, Any] = new(
        id(np.ndarray), id(dt), len(sizes), ctypes.addressof(dims), None, data, abi.CARRAY, None
    )
    return array


def _incref(obj: object) -> None:
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(obj))
