"""A cuBLASLt that is not there: it takes what the real one takes, and multiplies by NumPy.

Matrices are read column by column, as the library reads them, from the emulated device's memory;
every descriptor must have been made here, and be of the right kind.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from ctypes import c_int, c_size_t, c_uint64, c_void_p
from typing import Any

import numpy as np

from tests.cuda.fake_driver import FakeDriver

WORD = ctypes.CFUNCTYPE(c_int, *[c_uint64] * 16)
KINDS = {0: np.float32, 1: np.float64}


class FakeCublasLt:
    """``refuses``: the heuristics find no algorithm."""

    def __init__(self, driver: FakeDriver, refuses: bool = False) -> None:
        self.driver, self.refuses = driver, refuses
        self.made: dict[int, dict[Any, Any]] = {}
        self.calls: Counter[str] = Counter()
        self.computes: list[int] = []
        self.cublasLtMatmul = WORD(self._matmul)

    def _new(self, place: Any, **what: Any) -> int:
        number = 0x1000 + 16 * len(self.made)
        self.made[number] = what
        ctypes.cast(place, ctypes.POINTER(c_void_p))[0] = number
        return 0

    def cublasLtCreate(self, place: Any) -> int:
        self.calls["create"] += 1
        return self._new(place, kind="handle")

    def cublasLtMatmulDescCreate(self, place: Any, compute: c_int, scale: c_int) -> int:
        self.computes.append(compute.value)
        return self._new(place, kind="desc", scale=scale.value)

    def cublasLtMatrixLayoutCreate(
        self, place: Any, dtype: c_int, rows: Any, columns: Any, lead: Any
    ) -> int:
        assert lead.value >= rows.value
        shape = rows.value, columns.value, lead.value
        return self._new(place, kind="layout", dtype=KINDS[dtype.value], shape=shape)

    def cublasLtMatmulPreferenceCreate(self, place: Any) -> int:
        return self._new(place, kind="preference")

    def cublasLtMatmulPreferenceDestroy(self, what: c_void_p) -> int:
        assert self.made[what.value or 0]["kind"] == "preference"
        return 0

    def _set(self, what: Any, attribute: c_int, value: Any, size: c_size_t, sizes: Any) -> int:
        assert sizes[attribute.value] == size.value
        kind = {4: ctypes.c_int32, 8: ctypes.c_int64}[size.value]
        self.made[what.value][attribute.value] = ctypes.cast(value, ctypes.POINTER(kind))[0]
        return 0

    def cublasLtMatmulDescSetAttribute(self, *given: Any) -> int:
        return self._set(*given, {3: 4, 4: 4})

    def cublasLtMatrixLayoutSetAttribute(self, *given: Any) -> int:
        return self._set(*given, {5: 4, 6: 8})

    def cublasLtMatmulPreferenceSetAttribute(self, *given: Any) -> int:
        return self._set(*given, {1: 8})

    def cublasLtMatmulAlgoGetHeuristic(
        self, handle: Any, how: Any, a: Any, b: Any, c: Any, d: Any, wish: Any, most: c_int,
        results: Any, count: Any,
    ) -> int:  # fmt: skip
        kinds = [self.made[x.value]["kind"] for x in (handle, how, a, b, c, d, wish)]
        assert kinds == ["handle", "desc", *["layout"] * 4, "preference"] and most.value == 1
        self.calls["heuristic"] += 1
        results[0].workspace, results[0].state = 4096, 0
        results[0].algorithm[0] = 77
        ctypes.cast(count, ctypes.POINTER(c_int))[0] = int(not self.refuses)
        return 0

    def _matmul(self, *words: int) -> int:
        (handle, how, alpha, a, la, b, lb, beta, c, lc, d, ld, algorithm, room, size, stream) = (
            words
        )
        assert self.made[handle]["kind"] == "handle" and (c, lc) == (d, ld)
        assert ctypes.cast(algorithm, ctypes.POINTER(c_uint64))[0] == 77
        assert self.driver.at(room, size).size == size == 4096
        desc = self.made[how]
        number = ctypes.c_double if desc["scale"] else ctypes.c_float
        scales = [ctypes.cast(p, ctypes.POINTER(number))[0] for p in (alpha, beta)]

        def work() -> None:
            left, right = self._matrices(a, la), self._matrices(b, lb)
            out = self._matrices(d, ld)
            for x, y, z in zip(left, right, out, strict=True):
                x, y = (x.T if desc.get(3) else x), (y.T if desc.get(4) else y)
                z[...] = scales[0] * (x @ y) + (scales[1] * z if scales[1] else 0)

        self.driver._enter("library", stream, work)
        return 0

    def _matrices(self, address: int, layout: int) -> list[np.ndarray]:
        """The matrices of a batch, column by column, in the device's memory."""
        held = self.made[layout]
        rows, columns, lead = held["shape"]
        size = np.dtype(held["dtype"]).itemsize
        found = []
        for k in range(held.get(5, 1)):
            start = address + k * held.get(6, 0) * size
            raw = self.driver.at(start, lead * columns * size).view(held["dtype"])
            found.append(raw.reshape(columns, lead)[:, :rows].T)
        return found
