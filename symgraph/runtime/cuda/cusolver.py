"""Factorizations by cuSOLVER, through ctypes, where NVIDIA's library is installed.

    potrf   (a, info)              the lower triangle of a, in rows, becomes the factor
    getrf   (t, info, pivots)      t holds the matrices by columns; pivots from 1, 32 bits wide
    geqrf   (t, tau, info)         orgqr   (tau, q, info)
    syevd   (t, w, info)           t becomes eigenvectors by columns, w ascending
    gesvd   (t, u, v, s, info)     u and v become the factors u and v^H by columns; (t, s, info)
                                   for job N

The routines are those of LAPACK (cusolverDn.h of CUDA 11 to 13) with memory for their work after
the matrices, and ``info`` in the memory of the device, one for each matrix. A matrix of a batch is
a call. The library may wait for the device inside of a call, so none is a part of a graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from ctypes import byref, c_int, c_void_p
from typing import Any

from symgraph import dtypes
from symgraph.records import NamedTuple
from symgraph.runtime.cuda import libraries
from symgraph.runtime.cuda.cublas import LETTERS, LOWER, UPPER, address, turn, worth
from symgraph.runtime.cuda.routines import NativeCall

VALUES, VECTORS = 0, 1  # cusolverEigMode_t
ITERATED = 2  # times the rows from which a library is asked: iterations cost more calls
NOTHING = c_void_p()


def cusolver(device: Any) -> int | None:
    """The handle of cuSOLVER."""

    def make(lib: Any) -> int:
        return libraries.on_stream(lib, device, "cusolverDnCreate", "cusolverDnSetStream")

    return libraries.handle(device, "cusolver", make)


class _Task(NamedTuple):
    """What a routine is asked for: its device, handle, operands and parameters."""

    device: Any
    handle: int
    operands: Sequence[Any]
    params: Mapping[str, Any]
    dtype: str
    batch: int

    @property
    def name(self) -> str:
        return f"cusolverDn{LETTERS[self.dtype]}"

    def room(self, routine: str, *words: Any) -> int:
        """The elements of memory that a routine wants for its work."""
        found = c_int()
        function = f"{self.name}{routine}_bufferSize"
        libraries.do(
            libraries.library("cusolver"), function, c_void_p(self.handle), *words, byref(found)
        )
        return max(1, found.value)

    def each(
        self, routine: str, words: Callable[[int], tuple[Any, ...]], workspace: int
    ) -> list[NativeCall]:
        """A call for each matrix, with ``words(k)`` after the handle."""
        function, kept = address("cusolver", f"{self.name}{routine}"), libraries.library("cusolver")
        return [
            NativeCall(function, (self.handle, *words(b)), kept, workspace, False)
            for b in range(self.batch)
        ]

    def at(self, k: int, b: int) -> tuple[Any, ...]:
        """The address of matrix or vector number ``b`` of operand ``k``."""
        x = self.operands[k]
        return ("buffer", k, b * (math.prod(x.shape) // self.batch) * dtypes.itemsize(x.dtype))

    def itemsize(self) -> int:
        return dtypes.itemsize(self.dtype)


def prepare(
    device: Any, operands: Sequence[Any], params: Mapping[str, Any]
) -> list[NativeCall] | None:
    """The calls of a routine; None where there is no library, or a call would not be worth it."""
    matrix = operands[1 if params["name"] == "orgqr" else 0]
    batch = math.prod(matrix.shape[:-2])
    times = ITERATED if params["name"] in ("syevd", "gesvd") else 1
    wide = max(matrix.shape[-2:]) > 2**31 // max(1, min(matrix.shape[-2:]))  # integers are 32 bits
    if 0 in matrix.shape or wide:
        return None
    if not worth(min(matrix.shape[-2:]) // times, batch, bool(params["own"])):
        return None
    made = cusolver(device)
    if made is None:
        return None
    try:
        return _ROUTINES[params["name"]](_Task(device, made, operands, params, matrix.dtype, batch))
    except libraries.Refused:
        return None


def _potrf(t: _Task) -> list[NativeCall]:
    n = t.operands[0].shape[-1]
    size = t.room("potrf", c_int(UPPER), c_int(n), NOTHING, c_int(n))

    def words(b: int) -> tuple[Any, ...]:
        return UPPER, n, t.at(0, b), n, ("workspace", 0), size, t.at(1, b)

    return t.each("potrf", words, size * t.itemsize())


def _getrf(t: _Task) -> list[NativeCall]:
    n, m = t.operands[0].shape[-2:]
    size = t.room("getrf", c_int(m), c_int(n), NOTHING, c_int(m))

    def words(b: int) -> tuple[Any, ...]:
        return m, n, t.at(0, b), m, ("workspace", 0), t.at(2, b), t.at(1, b)

    return t.each("getrf", words, size * t.itemsize())


def _geqrf(t: _Task) -> list[NativeCall]:
    n, m = t.operands[0].shape[-2:]
    size = t.room("geqrf", c_int(m), c_int(n), NOTHING, c_int(m))

    def words(b: int) -> tuple[Any, ...]:
        return m, n, t.at(0, b), m, t.at(1, b), ("workspace", 0), size, t.at(2, b)

    return t.each("geqrf", words, size * t.itemsize())


def _orgqr(t: _Task) -> list[NativeCall]:
    n, m = t.operands[1].shape[-2:]
    k = t.operands[0].shape[-1]
    routine = "ungqr" if dtypes.is_complex(t.dtype) else "orgqr"
    sizes = c_int(m), c_int(n), c_int(k)
    size = t.room(routine, *sizes, NOTHING, c_int(m), NOTHING)

    def words(b: int) -> tuple[Any, ...]:
        return m, n, k, t.at(1, b), m, t.at(0, b), ("workspace", 0), size, t.at(2, b)

    return t.each(routine, words, size * t.itemsize())


def _syevd(t: _Task) -> list[NativeCall]:
    n = t.operands[0].shape[-1]
    job = VECTORS if t.params["vectors"] else VALUES
    routine = "heevd" if dtypes.is_complex(t.dtype) else "syevd"
    size = t.room(routine, c_int(job), c_int(LOWER), c_int(n), NOTHING, c_int(n), NOTHING)

    def words(b: int) -> tuple[Any, ...]:
        return job, LOWER, n, t.at(0, b), n, t.at(1, b), ("workspace", 0), size, t.at(2, b)

    return t.each(routine, words, size * t.itemsize())


def _gesvd(t: _Task) -> list[NativeCall]:
    """The library wants no less rows than columns: wide matrices are turned, and so are then the
    factors, which change places."""
    columns, rows = t.operands[0].shape[-2:]
    m, n = max(rows, columns), min(rows, columns)
    size = t.room("gesvd", c_int(m), c_int(n))
    job = str(t.params["job"])
    letter, item = ord(job), t.itemsize()
    last = len(t.operands) - 1
    if rows >= columns:

        def words(b: int) -> tuple[Any, ...]:
            u, v = (0, 0) if job == "N" else (t.at(1, b), t.at(2, b))
            return (
                letter, letter, m, n, t.at(0, b), m, t.at(last - 1, b), u, m, v, n,
                ("workspace", 0), size, 0, t.at(last, b),
            )  # fmt: skip

        return t.each("gesvd", words, size * item)
    # room: for the routine's work, the turned matrix, and its factors
    wide = m if job == "A" else n
    places = [0]
    for count in (size, m * n, m * wide, n * n):
        places.append(places[-1] + -(-count * item // 256) * 256)
    a, u, v = (("workspace", p) for p in places[1:4])

    def turned(b: int) -> tuple[Any, ...]:
        left, right = (0, 0) if job == "N" else (u, v)
        return (
            letter, letter, m, n, a, m, t.at(last - 1, b), left, m, right, n,
            ("workspace", 0), size, 0, t.at(last, b),
        )  # fmt: skip

    calls: list[NativeCall | None] = []
    for b, call in enumerate(t.each("gesvd", turned, places[4])):
        calls += [turn(t.device, t.dtype, n, m, t.at(0, b), a), call]
        if job != "N":
            calls.append(turn(t.device, t.dtype, n, n, v, t.at(1, b)))
            calls.append(turn(t.device, t.dtype, m, wide, u, t.at(2, b)))
    if any(c is None for c in calls):
        raise libraries.Refused("cublas")
    return [c._replace(workspace=places[4]) for c in calls if c is not None]


_ROUTINES: dict[str, Callable[[_Task], list[NativeCall]]] = {
    "potrf": _potrf, "getrf": _getrf, "geqrf": _geqrf, "orgqr": _orgqr, "syevd": _syevd,
    "gesvd": _gesvd,
}  # fmt: skip
