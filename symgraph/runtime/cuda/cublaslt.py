"""Matrix products by cuBLASLt, through ctypes, where NVIDIA's library is installed.

The library reads matrices column by column; a dense row-major matrix is there the transposed one.
So c = a b is asked for as c^T = b^T a^T: its first operand is our second one. What a product needs
(descriptors, the algorithm that the library's heuristics put first) is made once for a set of
sizes; a call is then one C function of 16 words. Float32 is IEEE arithmetic unless a mode asks for
tensor cores; sums are float32 in any case.

Numbers are those of cublasLt.h and library_types.h of CUDA 12 and 13.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping, Sequence
from ctypes import byref, c_int, c_int32, c_int64, c_size_t, c_uint64, c_void_p, sizeof
from typing import Any

from symgraph.runtime.cuda import libraries
from symgraph.runtime.cuda.routines import NativeCall

KINDS = {"float32": 0, "float64": 1}  # cudaDataType
COMPUTE = {"ieee": 68, "float16": 74, "bfloat16": 75, "tf32": 77}  # cublasComputeType_t
COMPUTE_DOUBLE = 70
TRANSPOSED_A, TRANSPOSED_B = 3, 4  # cublasLtMatmulDescAttributes_t
BATCH, STRIDE = 5, 6  # cublasLtMatrixLayoutAttribute_t
MOST_WORKSPACE = 1  # cublasLtMatmulPreferenceAttributes_t
WORKSPACE = 32 << 20  # bytes, which Hopper's algorithms want


class _Heuristic(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t."""

    _fields_ = [
        ("algorithm", c_uint64 * 8), ("workspace", c_size_t), ("state", c_int),
        ("waves", ctypes.c_float), ("reserved", c_int * 4),
    ]  # fmt: skip


def prepare(
    device: Any, operands: Sequence[Any], params: Mapping[str, Any]
) -> list[NativeCall] | None:
    """The product of two operands (dtype, shape) into the third; None where the library is missing
    or cannot do it: other dtypes, leading axes that are repeated in part, nothing to compute."""
    lib, made = libraries.library("cublasLt"), libraries.handle(device, "cublasLt", _create)
    a, b, c = operands[:3]
    if made is None or c.dtype not in KINDS or 0 in (*a.shape, *b.shape):
        return None
    batch = math.prod(c.shape[:-2])
    if any(x.shape[:-2] != c.shape[:-2] and math.prod(x.shape[:-2]) != 1 for x in (a, b)):
        return None
    try:
        return [_Maker(lib, made).product(a, b, c, batch, params)]
    except libraries.Refused:
        return None


def _create(lib: Any) -> int:
    made = c_void_p()
    libraries.do(lib, "cublasLtCreate", byref(made))
    return _word(made)


class _Maker:
    def __init__(self, lib: Any, made: int) -> None:
        self.lib, self.handle = lib, made

    def _do(self, name: str, *arguments: Any) -> None:
        libraries.do(self.lib, name, *arguments)

    def _set(self, what: str, where: c_void_p, attribute: int, value: Any) -> None:
        name = f"cublasLt{what}SetAttribute"
        self._do(name, where, c_int(attribute), byref(value), c_size_t(sizeof(value)))

    def _layout(self, x: Any, batch: int) -> c_void_p:
        """A row-major matrix as the library sees it: its columns are our rows."""
        rows, columns = x.shape[-2:]
        made = c_void_p()
        sizes = c_uint64(columns), c_uint64(rows), c_int64(columns)
        self._do("cublasLtMatrixLayoutCreate", byref(made), c_int(KINDS[x.dtype]), *sizes)
        if batch > 1:
            own = math.prod(x.shape[:-2]) > 1
            self._set("MatrixLayout", made, BATCH, c_int32(batch))
            self._set("MatrixLayout", made, STRIDE, c_int64(rows * columns * own))
        return made

    def product(self, a: Any, b: Any, c: Any, batch: int, params: Mapping[str, Any]) -> NativeCall:
        double = c.dtype == "float64"
        compute = COMPUTE_DOUBLE if double else COMPUTE[params.get("mode", "ieee")]
        how = c_void_p()
        self._do("cublasLtMatmulDescCreate", byref(how), c_int(compute), c_int(KINDS[c.dtype]))
        self._set("MatmulDesc", how, TRANSPOSED_A, c_int32(bool(params["tb"])))
        self._set("MatmulDesc", how, TRANSPOSED_B, c_int32(bool(params["ta"])))
        first, second, result = (self._layout(x, batch) for x in (b, a, c))
        found = self._algorithm(how, first, second, result)
        number = ctypes.c_double if double else ctypes.c_float
        alpha, beta = number(1.0), number(float(bool(params.get("accumulate"))))
        kept = (how, first, second, result, found, alpha, beta, self.lib)
        words = (
            self.handle, _word(how), ctypes.addressof(alpha),
            ("buffer", 1, 0), _word(first), ("buffer", 0, 0), _word(second), ctypes.addressof(beta),
            ("buffer", 2, 0), _word(result), ("buffer", 2, 0), _word(result),
            ctypes.addressof(found.algorithm), ("workspace", 0), int(found.workspace), ("stream",),
        )  # fmt: skip
        function = ctypes.cast(self.lib.cublasLtMatmul, c_void_p).value or 0
        return NativeCall(function, words, kept, max(1, int(found.workspace)))

    def _algorithm(self, how: c_void_p, *layouts: c_void_p) -> _Heuristic:
        wish, count, found = c_void_p(), c_int(), (_Heuristic * 1)()
        self._do("cublasLtMatmulPreferenceCreate", byref(wish))
        try:
            self._set("MatmulPreference", wish, MOST_WORKSPACE, c_uint64(WORKSPACE))
            first, second, result = layouts
            self._do(
                "cublasLtMatmulAlgoGetHeuristic", c_void_p(self.handle), how, first, second,
                result, result, wish, c_int(1), found, byref(count),
            )  # fmt: skip
        finally:
            self._do("cublasLtMatmulPreferenceDestroy", wish)
        if count.value < 1 or found[0].state:
            raise libraries.Refused("cublasLtMatmulAlgoGetHeuristic")
        return found[0]


def _word(x: c_void_p) -> int:
    return int(x.value or 0)
