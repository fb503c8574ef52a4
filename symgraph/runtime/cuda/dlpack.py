"""DLPack capsules (the plain form, version 0 of the protocol) through ctypes.

The layout is dlpack.h's: DLManagedTensor { DLTensor, manager_ctx, deleter }.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import c_char_p, c_int, c_int32, c_int64, c_uint8, c_uint16, c_uint64, c_void_p
from typing import Any

import numpy as np

from symgraph import dtypes

CUDA = 2  # kDLCUDA
_NAME = b"dltensor"
_CODES = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}
_BFLOAT = 4


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", c_void_p), ("device_type", c_int32), ("device_id", c_int32), ("ndim", c_int32),
        ("code", c_uint8), ("bits", c_uint8), ("lanes", c_uint16),
        ("shape", ctypes.POINTER(c_int64)), ("strides", ctypes.POINTER(c_int64)),
        ("byte_offset", c_uint64),
    ]  # fmt: skip


class _Managed(ctypes.Structure):
    _fields_ = [("tensor", _Tensor), ("context", c_void_p), ("deleter", c_void_p)]


_api = ctypes.pythonapi
_new = ctypes.PYFUNCTYPE(ctypes.py_object, c_void_p, c_char_p, c_void_p)(("PyCapsule_New", _api))
_pointer = ctypes.PYFUNCTYPE(c_void_p, ctypes.py_object, c_char_p)(("PyCapsule_GetPointer", _api))
_is_valid = ctypes.PYFUNCTYPE(c_int, c_void_p, c_char_p)(("PyCapsule_IsValid", _api))
_pointer_of = ctypes.PYFUNCTYPE(c_void_p, c_void_p, c_char_p)(("PyCapsule_GetPointer", _api))

_given: dict[int, tuple[Any, ...]] = {}  # what consumers hold, by the address of their struct


def _forget(address: int | None) -> None:
    _given.pop(address or 0, None)


def _unused(capsule: int) -> None:
    """A capsule that nobody has taken is gone."""
    if _is_valid(capsule, _NAME):
        _forget(_pointer_of(capsule, _NAME))


_deleter = ctypes.CFUNCTYPE(None, c_void_p)(_forget)
_destructor = ctypes.PYFUNCTYPE(None, c_void_p)(_unused)


def capsule(owner: Any, address: int, shape: Sequence[int], dtype: np.dtype[Any]) -> Any:
    """A capsule of memory that ``owner`` keeps alive until the consumer lets go of it.

    Raises BufferError for a dtype that DLPack does not have.
    """
    code = _BFLOAT if dtype.name == "bfloat16" else _CODES.get(dtype.kind)
    if code is None:
        raise BufferError(f"DLPack has no {dtype}")
    sizes = (c_int64 * max(1, len(shape)))(*shape)
    steps = (c_int64 * max(1, len(shape)))()
    step = 1
    for k in reversed(range(len(shape))):
        steps[k] = step
        step *= shape[k]
    tensor = _Tensor(address, CUDA, 0, len(shape), code, 8 * dtype.itemsize, 1, sizes, steps, 0)
    made = _Managed(tensor, None, ctypes.cast(_deleter, c_void_p))
    place = ctypes.addressof(made)
    _given[place] = (made, sizes, steps, owner)
    return _new(place, _NAME, ctypes.cast(_destructor, c_void_p))


def read(given: Any) -> tuple[int, tuple[int, ...], list[int] | None, np.dtype[Any]]:
    """Address, shape, strides (in elements, None for dense) and dtype of a capsule, which stays as
    it is and must be kept as long as the memory is used.

    Raises BufferError for memory that is not a GPU's and dtypes that NumPy does not have.
    """
    found = _Managed.from_address(_pointer(given, _NAME)).tensor
    kinds = {code: kind for kind, code in _CODES.items()}
    bfloat = found.code == _BFLOAT and found.bits == 16
    if found.device_type != CUDA or found.lanes != 1 or not (bfloat or found.code in kinds):
        raise BufferError(
            f"DLPack: device {found.device_type}, type {found.code} of {found.bits} bits"
        )
    letter = "" if bfloat else kinds[found.code]
    kind = "?" if letter == "b" else f"{letter}{found.bits // 8}"
    dtype = dtypes.numpy_dtype("bfloat16") if bfloat else np.dtype(kind)
    shape = tuple(found.shape[k] for k in range(found.ndim))
    strides = [found.strides[k] for k in range(found.ndim)] if found.strides else None
    return (found.data or 0) + found.byte_offset, shape, strides, dtype
