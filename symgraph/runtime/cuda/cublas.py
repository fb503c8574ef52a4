"""Triangular systems by cuBLAS, and its handle.

Numbers and signatures are those of cublas_api.h of CUDA 12 and 13. The library reads matrices
column by column: a dense row-major matrix is there the transposed one, so x = op(a)^-1 b is asked
for as x^T = b^T op(a^T)^-1, with the triangle's name turned round.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping, Sequence
from ctypes import c_size_t, c_void_p
from typing import Any

from symgraph import dtypes
from symgraph.runtime.cuda import libraries
from symgraph.runtime.cuda.routines import NativeCall

LETTERS = {"float32": "S", "float64": "D", "complex64": "C", "complex128": "Z"}
RIGHT = 1  # cublasSideMode_t
LOWER, UPPER = 0, 1  # cublasFillMode_t
PLAIN, TURNED = 0, 1  # cublasOperation_t
WORKSPACE = 4 << 20  # bytes

# Where a library is asked (guesses; nothing has been timed): beside kernels of our own, which
# have a block for each matrix, from WIDE rows and for few matrices or from SURE rows; in the place
# of the host from LEAST rows. A call is made for each matrix.
LEAST, WIDE, SURE = 64, 256, 1025
MOST_CALLS = 256


def worth(rows: int, batch: int, own: bool) -> bool:
    """Whether a library is asked for matrices of so many rows; ``own``: else a kernel does it."""
    if own:
        return batch <= MOST_CALLS and (rows >= SURE or (rows >= WIDE and 16 * batch <= rows))
    return LEAST <= rows and batch <= MOST_CALLS


def scalar(dtype: str, value: float) -> Any:
    """A number of a dtype in the host's memory, for a library to read."""
    real = "32" in dtype if not dtypes.is_complex(dtype) else "64" in dtype
    kind = ctypes.c_float if real else ctypes.c_double
    return (kind * 2)(value, 0.0) if dtypes.is_complex(dtype) else (kind * 1)(value)


def cublas(device: Any) -> int | None:
    """The handle of cuBLAS, with memory of the pool for its work."""

    def make(lib: Any) -> int:
        made = libraries.on_stream(lib, device, "cublasCreate_v2", "cublasSetStream_v2")
        room = device.kept["cublas workspace"] = device.pool.take(WORKSPACE)
        libraries.do(
            lib, "cublasSetWorkspace_v2", c_void_p(made), c_void_p(room.address),
            c_size_t(WORKSPACE),
        )  # fmt: skip
        return made

    return libraries.handle(device, "cublas", make)


def address(name: str, function: str) -> int:
    """The address of a function of a library."""
    return ctypes.cast(getattr(libraries.library(name), function), c_void_p).value or 0


def prepare(
    device: Any, operands: Sequence[Any], params: Mapping[str, Any]
) -> list[NativeCall] | None:
    """Triangular systems: operands are the matrices and the right sides, which become the
    solutions; None where there is no library, or a call of it would not be worth it."""
    x = operands[1]
    n, k = x.shape[-2:]
    batch = math.prod(x.shape[:-2])
    if 0 in x.shape or not worth(n, batch, bool(params["own"])):
        return None
    made = cublas(device)
    if made is None:
        return None
    one, size = scalar(x.dtype, 1.0), dtypes.itemsize(x.dtype)
    flags = (
        RIGHT, UPPER if params["low"] else LOWER, TURNED if params["trans"] else PLAIN,
        int(params["unit"]),
    )  # fmt: skip
    function = address("cublas", f"cublas{LETTERS[x.dtype]}trsm_v2")
    return [
        NativeCall(
            function,
            (made, *flags, k, n, ctypes.addressof(one), ("buffer", 0, b * n * n * size), n,
             ("buffer", 1, b * n * k * size), k),
            (one, libraries.library("cublas")),
        )
        for b in range(batch)
    ]  # fmt: skip


def turn(
    device: Any, dtype: str, rows: int, columns: int, source: Any, target: Any
) -> NativeCall | None:
    """A dense matrix of columns, each of ``rows`` elements, transposed; None without cuBLAS."""
    made = cublas(device)
    if made is None:
        return None
    one, zero = scalar(dtype, 1.0), scalar(dtype, 0.0)
    words = (
        made, TURNED, PLAIN, columns, rows, ctypes.addressof(one), source, rows,
        ctypes.addressof(zero), target, columns, target, columns,
    )  # fmt: skip
    function = address("cublas", f"cublas{LETTERS[dtype]}geam")
    return NativeCall(function, words, (one, zero, libraries.library("cublas")))
