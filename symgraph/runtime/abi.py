"""Where things lie in memory: the heads of NumPy arrays and dtypes, and addresses of C functions.

The native entry of a compiled function reads array fields directly instead of asking NumPy's C API.
Offsets are NumPy 2's and CPython's; `verify_layout` holds every one of them against the public
attributes of probe arrays before any is used. Where it fails, nothing native reads a field.

Sources: `numpy/ndarraytypes.h` (PyArrayObject_fields, _PyArray_Descr), the order of the API table
in `numpy/_core/code_generators/numpy_api.py`, CPython's `object.h`.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

try:
    from _ctypes import dlsym as _dlsym
except ImportError:  # Windows
    _dlsym = None  # type: ignore[assignment]

# the object head: 16 bytes, 32 on a free-threaded build
HDR = object.__basicsize__
OB_TYPE = HDR - 8

TUPLE_ITEMS = tuple.__basicsize__  # the first of a tuple's items; their number is at HDR

# PyArrayObject_fields
A_DATA = HDR
A_ND = HDR + 8  # int32
A_DIMS = HDR + 16
A_STRIDES = HDR + 24
A_BASE = HDR + 32
A_DESCR = HDR + 40
A_FLAGS = HDR + 48  # int32
A_HANDLER = np.ndarray.__basicsize__ - 8  # the last field: the owner of the data

# PyArray_Descr: kind, type, byteorder and a byte of former flags, then type_num (int32)
D_KIND = HDR + 8
D_TYPE = HDR + 9
D_BYTEORDER = HDR + 10
D_TYPENUM = HDR + 12

# array flags
C_CONTIGUOUS, F_CONTIGUOUS, OWNDATA, ALIGNED, WRITEABLE = 0x1, 0x2, 0x4, 0x100, 0x400
CARRAY = C_CONTIGUOUS | ALIGNED | WRITEABLE

# `descr_word` reads eight bytes from D_KIND; the byte of former flags does not count
DESCR_MASK = -1 ^ (0xFF << 24)

# PY_VECTORCALL_ARGUMENTS_OFFSET: bit 63 of nargsf is not part of the count
NARGS_MASK = (1 << 63) - 1

# slots of NumPy's C API table
API = {
    "PyArray_GetNDArrayCVersion": 0,
    "PyArray_Type": 2,
    "PyArrayDescr_Type": 3,
    "PyArray_DescrFromType": 45,
    "PyArray_FromAny": 69,
    "PyArray_NewFromDescr": 94,
    "PyArray_Zeros": 183,
    "PyArray_Empty": 184,
    "PyArray_GetNDArrayCFeatureVersion": 211,
    "PyArray_SetBaseObject": 282,
    "PyDataMem_GetHandler": 305,
}


@functools.cache
def _numpy_table() -> int:
    """The address of NumPy's C API table. Slots are named in `API`."""
    core = importlib.import_module("numpy._core._multiarray_umath")
    get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        pyaddr("PyCapsule_GetPointer")
    )
    return int(get(core._ARRAY_API, None))


def numpy_address(name: str) -> int:
    """The address of a function or type of NumPy's C API by its name. KeyError for unknown names.

    >>> numpy_address("PyArray_Type") == id(np.ndarray)
    True
    """
    return read_word(_numpy_table() + 8 * API[name])


@functools.cache
def pyaddr(name: str) -> int:
    """The address of a function of CPython's C API. Raises AttributeError where there is none.

    >>> pyaddr("PyTuple_New") > 0
    True
    """
    return address_in(ctypes.pythonapi, name)


def address_in(library: Any, name: str) -> int:
    """The address of a function of a loaded library. Raises AttributeError where there is none.

    >>> address_in(ctypes.pythonapi, "PyTuple_New") == pyaddr("PyTuple_New")
    True
    """
    if _dlsym is not None:  # a tenth of the time that a function object and a cast take
        try:
            return int(_dlsym(library._handle, name))
        except OSError as error:
            raise AttributeError(name) from error
    return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0


@functools.cache
def pyobject(name: str) -> int:
    """The address of a C global of the interpreter, as `PyFloat_Type`; ValueError for unknown ones.

    >>> pyobject("PyFloat_Type") == id(float)
    True
    """
    return ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, name))


def descr_word(dtype: Any) -> int:
    """The masked eight bytes at D_KIND of a dtype: kind, type code, byte order and type number as
    one int64.

    An entry compares this word and not the descriptor's address, because arrays that were unpickled
    carry a descriptor of their own. It is a constant of NumPy's ABI, the same in every process.

    >>> hex(descr_word("float32"))
    '0xb003d6666'
    """
    dt = np.dtype(dtype)
    head = dt.kind.encode() + dt.char.encode() + dt.byteorder.encode() + b"\0"
    return int.from_bytes(head + dt.num.to_bytes(4, "little"), "little")


@functools.cache
def native_entry_usable() -> bool:
    """Whether emitted code may read arrays by these offsets here: checked once, about 0.2 ms.

    >>> isinstance(native_entry_usable(), bool)
    True
    """
    try:
        return verify_layout()
    except Exception:  # a NumPy or Python unlike any known one: the safe path serves
        return False


def verify_layout() -> bool:
    """Read the fields of probe arrays raw and compare them with their public attributes."""
    if ctypes.sizeof(ctypes.c_void_p) != 8 or sys.byteorder != "little":
        return False
    if sys.implementation.name != "cpython" or np.ndarray.__basicsize__ < A_FLAGS + 16:
        return False
    if numpy_address("PyArray_Type") != id(np.ndarray):
        return False
    version = ctypes.PYFUNCTYPE(ctypes.c_uint)(numpy_address("PyArray_GetNDArrayCVersion"))()
    if version >> 24 != 2:
        return False
    probes = _probes()
    kinds = [a.dtype for a in probes] + [np.dtype(c) for c in "?bihqBHILQd"]
    return all(map(_array_fields_match, probes)) and all(map(_descr_fields_match, kinds))


def _probes() -> list[np.ndarray[Any, Any]]:
    """Arrays that differ from each other in every field."""
    cube = np.arange(210, dtype=np.float32).reshape(5, 6, 7)
    frozen = np.arange(4, dtype=np.int16)
    frozen.flags.writeable = False
    unaligned = np.zeros(17, np.uint8)[1:].view(np.float64)
    return [
        cube,
        cube[1:, ::2],
        cube.T,
        cube[::-1],
        np.zeros((), ">f8"),
        frozen,
        np.empty((3, 0), np.complex128),
        unaligned,
    ]


def _array_fields_match(a: np.ndarray[Any, Any]) -> bool:
    head = ctypes.string_at(id(a), A_FLAGS + 4)

    def word(at: int, size: int = 8) -> int:
        return int.from_bytes(head[at : at + size], "little", signed=True)

    flags, held, base = word(A_FLAGS, 4), a.flags, a.base
    return (
        word(OB_TYPE) == id(type(a))
        and word(A_ND, 4) == a.ndim
        and word(A_DATA) == a.__array_interface__["data"][0]
        and _words(word(A_DIMS), a.ndim) == a.shape
        and _words(word(A_STRIDES), a.ndim) == a.strides
        and word(A_DESCR) == id(a.dtype)
        and word(A_BASE) == (0 if base is None else id(base))
        and bool(flags & C_CONTIGUOUS) == held.c_contiguous
        and bool(flags & F_CONTIGUOUS) == held.f_contiguous
        and bool(flags & OWNDATA) == held.owndata
        and bool(flags & ALIGNED) == held.aligned
        and bool(flags & WRITEABLE) == held.writeable
    )


def _descr_fields_match(dt: np.dtype[Any]) -> bool:
    return (
        read_word(id(dt) + D_KIND) & DESCR_MASK == descr_word(dt)
        and read_i32(id(dt) + D_TYPENUM) == dt.num
    )


def read_word(address: int) -> int:
    """The int64 at an address. The caller answers for the address."""
    return ctypes.c_int64.from_address(address).value


def read_i32(address: int) -> int:
    """The int32 at an address. The caller answers for the address."""
    return ctypes.c_int32.from_address(address).value


def _words(address: int, count: int) -> Sequence[int]:
    return tuple(read_word(address + 8 * k) for k in range(count))
