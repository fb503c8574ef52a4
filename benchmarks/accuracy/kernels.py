"""One vector function in a loop of its own, compiled, as a function over whole arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph.codegen import llvm, vmath
from symgraph.codegen.literals import llvm_type, memory_type
from symgraph.codegen.writer import ModuleWriter

Array = Any


def build(name: str, dtype: str, lanes: int = 0) -> Callable[..., Array]:
    """The function over arrays of any length, ``lanes`` elements at a time (0: a register)."""
    lanes = lanes or llvm.host().vector_bits // (64 if dtype == "float64" else 32)
    module, arity = ModuleWriter(llvm.host().features), vmath.FUNCTIONS[name].arity
    names = ["o", *("ab"[:arity])]
    fn = module.function("kernel", [("ptr", n, "") for n in names] + [("i64", "n", "")])
    vector, element = llvm_type(dtype, lanes), memory_type(dtype)

    def body(i: str, _: list[str]) -> list[str]:
        at = [fn.val(f"getelementptr {element}, ptr %{n}, i64 {i}") for n in names]
        loaded = [fn.fresh(f"load {vector}, ptr {p}, align 4") for p in at[1:]]
        value = vmath.call(fn, module, name, dtype, lanes, loaded)
        fn.raw(f"store {vector} {value}, ptr {at[0]}, align 4")
        return []

    fn.loop(0, "%n", lanes, [], body)
    library = llvm.load_orc(llvm.compile_object(module.text()), ["kernel"])
    native = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (arity + 1), ctypes.c_int64)(
        library.address("kernel")
    )

    def run(*xs: Array, keep: Any = library) -> Array:
        padded = [np.concatenate([x, np.resize(x, -x.size % lanes)]) if x.size % lanes else x
                  for x in xs]  # fmt: skip
        y = np.empty_like(padded[0])
        native(y.ctypes.data, *(x.ctypes.data for x in padded), y.size)
        return y[: xs[0].size]

    return run
