"""Builds element-wise kernels out of scalar operations and runs them, for the tests of codegen."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from symgraph.codegen import llvm, scalar_llvm
from symgraph.codegen.literals import llvm_type, memory_type
from symgraph.codegen.writer import FunctionWriter, ModuleWriter
from symgraph.runtime import elf

Emit = Callable[[FunctionWriter, ModuleWriter, int, list[str]], str]


class Kernels:
    """Kernels of one module: add them all, then `build`, then call them by name."""

    def __init__(self) -> None:
        self.module = ModuleWriter()
        self._signatures: dict[str, tuple[list[str], str, int]] = {}

    def add(self, name: str, dtypes: Sequence[str], result: str, lanes: int, emit: Emit) -> None:
        """A loop over whole vectors: out[i] = emit(inputs[i])."""
        names = [f"a{k}" for k in range(len(dtypes))]
        params = [("ptr", n, "") for n in ["out", *names]] + [("i64", "n", "")]
        fn = self.module.function(name, params)

        def address(array: str, dtype: str, i: str) -> str:
            return fn.val(f"getelementptr {memory_type(dtype)}, ptr %{array}, i64 {i}")

        def body(i: str, _: list[str]) -> list[str]:
            loaded = []
            for array, dtype in zip(names, dtypes, strict=True):
                type_ = memory_type(dtype, lanes)
                raw = fn.fresh(f"load {type_}, ptr {address(array, dtype, i)}, align 1")
                loaded.append(scalar_llvm.from_memory(fn, raw, dtype, lanes))
            value = emit(fn, self.module, lanes, loaded)
            assert fn.val(f"freeze {llvm_type(result, lanes)} {value}")  # the type is as promised
            stored = scalar_llvm.to_memory(fn, value, result, lanes)
            at = address("out", result, i)
            fn.raw(f"store {memory_type(result, lanes)} {stored}, ptr {at}, align 1")
            return []

        fn.loop(0, "%n", lanes, [], body)
        self._signatures[name] = (list(dtypes), result, lanes)

    def build(self) -> None:
        self.loaded = elf.load(llvm.compile_object(self.module.text()))

    def __call__(self, name: str, *inputs: Any) -> Any:
        """The kernel over 1-d arrays of any length (padded with their own elements)."""
        dtypes, result, lanes = self._signatures[name]
        n = inputs[0].size
        typed = [x.astype(d) for x, d in zip(inputs, dtypes, strict=True)]
        whole = [np.resize(x, n + -n % lanes) for x in typed]
        out = np.empty(whole[0].size, result)
        types = [ctypes.c_void_p] * (len(whole) + 1) + [ctypes.c_int64]
        native = ctypes.CFUNCTYPE(None, *types)(self.loaded.address(name))
        native(out.ctypes.data, *(x.ctypes.data for x in whole), out.size)
        return out[:n]


@pytest.fixture(scope="module")
def kernels() -> type[Kernels]:
    return Kernels


@pytest.fixture(scope="session")
def native_lanes() -> Callable[[str], int]:
    """Lanes that fill one register."""

    def lanes(dtype: str) -> int:
        return llvm.host().vector_bits // (8 * np.dtype(dtype).itemsize)

    return lanes
