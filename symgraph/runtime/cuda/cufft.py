"""Fourier transforms by cuFFT, through ctypes, where NVIDIA's library is installed.

    C   complex to complex, along axes one after another, in the memory of the result
    R   real to the first half of complex ones, along an axis
    I   the inverse of R; what is read may be overwritten

A transform along an axis of dense arrays is a plan for many of them: elements and beginnings lie
apart by the sizes of the axes after it. Where axes lie on both sides, there is a call for each
place on the shorter side. Results are not scaled. Plans work in memory of the pool.

Numbers are those of cufft.h of CUDA 11 to 13.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from ctypes import byref, c_int, c_longlong, c_size_t, c_void_p
from typing import Any

from symgraph import dtypes
from symgraph.runtime.cuda import libraries
from symgraph.runtime.cuda.cublas import MOST_CALLS, address
from symgraph.runtime.cuda.routines import NativeCall

#: cufftType, and the end of the name of the function, by kind and by the real numbers' dtype
TYPES = {
    ("C", "float32"): (0x29, "C2C"), ("C", "float64"): (0x69, "Z2Z"),
    ("R", "float32"): (0x2A, "R2C"), ("R", "float64"): (0x6A, "D2Z"),
    ("I", "float32"): (0x2C, "C2R"), ("I", "float64"): (0x6C, "Z2D"),
}  # fmt: skip
FORWARD, INVERSE = -1, 1


class _Plan:
    """A plan of the library, with its memory."""

    def __init__(self, device: Any, rows: Sequence[int], kind: int) -> None:
        """``rows``: the length, then the step and distance of inputs and of outputs, and how
        many."""
        self.lib, plan = libraries.library("cufft"), c_int()
        libraries.do(self.lib, "cufftCreate", byref(plan))
        self.number = plan.value
        length, *steps, count = (c_longlong(n) for n in rows)
        room = c_size_t()
        libraries.do(self.lib, "cufftSetAutoAllocation", plan, c_int(0))
        libraries.do(
            self.lib, "cufftMakePlanMany64", plan, c_int(1), byref(length), byref(length), steps[0],
            steps[1], byref(length), steps[2], steps[3], c_int(kind), count, byref(room),
        )  # fmt: skip
        libraries.do(self.lib, "cufftSetStream", plan, c_void_p(device.stream))
        self.room = device.pool.take(max(1, room.value))
        libraries.do(self.lib, "cufftSetWorkArea", plan, c_void_p(self.room.address))

    def __del__(self) -> None:
        if hasattr(self, "number"):
            self.lib.cufftDestroy(c_int(self.number))


def prepare(
    device: Any, operands: Sequence[Any], params: Mapping[str, Any]
) -> list[NativeCall] | None:
    """The transform of the first operand into the second; None where there is no library, nothing
    to compute, or too many calls would be needed."""
    x, y = operands
    kind, axes = str(params["kind"]), list(params["axes"])
    real = dtypes.real_of(x.dtype) if dtypes.is_complex(x.dtype) else x.dtype
    if libraries.library("cufft") is None or (kind, real) not in TYPES or 0 in (*x.shape, *y.shape):
        return None
    calls: list[NativeCall] = []
    try:
        for k, axis in enumerate(axes):
            source = 0 if k == 0 else 1
            found = _along(device, operands, source, axis, TYPES[kind, real], params)
            if found is None:
                return None
            calls += found
    except libraries.Refused:
        return None
    return calls


def _along(
    device: Any, operands: Sequence[Any], source: int, axis: int, kind: tuple[int, str],
    params: Mapping[str, Any],
) -> list[NativeCall] | None:  # fmt: skip
    """Transforms along one axis."""
    x, y = operands[source], operands[1]
    lengths = x.shape[axis], y.shape[axis]
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    sizes = dtypes.itemsize(x.dtype), dtypes.itemsize(y.dtype)
    if outer <= inner:
        times, count, distances = outer, inner, (1, 1)
        offsets = [n * inner for n in lengths]
    else:
        times, count, distances = inner, outer, (lengths[0] * inner, lengths[1] * inner)
        offsets = [1, 1]
    if times > MOST_CALLS:
        return None
    rows = (max(lengths), inner, distances[0], inner, distances[1], count)
    plan = _Plan(device, rows, kind[0])
    direction = (INVERSE if params["inverse"] else FORWARD,) if kind[1][0] == kind[1][2] else ()
    function = address("cufft", f"cufftExec{kind[1]}")
    return [
        NativeCall(
            function,
            (plan.number, ("buffer", source, t * offsets[0] * sizes[0]),
             ("buffer", 1, t * offsets[1] * sizes[1]), *direction),
            plan,
        )
        for t in range(times)
    ]  # fmt: skip
