"""float16 and bfloat16 in registers against NumPy and ml_dtypes: every number, every rounding.

Both ways of float16 are tested: the machine's instruction (where it has one) and integers.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from symgraph import dtypes
from symgraph.codegen import llvm, narrow_llvm, scalar_llvm
from symgraph.codegen.literals import element_literal, llvm_type
from symgraph.codegen.writer import ModuleWriter
from symgraph.runtime import elf

FEATURES = ["", llvm.host().features]
BITS = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)


def kernel(
    features: str, source: str, target: str, lanes: int, emit: Callable[..., str]
) -> Callable[[Any], Any]:
    """A loop over whole vectors: out[i] = emit(in[i])."""
    module = ModuleWriter(features)
    fn = module.function("f", [("ptr", "out", ""), ("ptr", "x", ""), ("i64", "n", "")])

    def body(i: str, _: list[str]) -> list[str]:
        kinds = [llvm_type(d, lanes) for d in (source, target)]
        at = [fn.val(f"getelementptr {llvm_type(d)}, ptr {p}, i64 {i}")
              for d, p in ((source, "%x"), (target, "%out"))]  # fmt: skip
        x = fn.fresh(f"load {kinds[0]}, ptr {at[0]}, align 1")
        value = emit(fn, module, x, lanes)
        fn.raw(f"store {kinds[1]} {value}, ptr {at[1]}, align 1")
        return []

    fn.loop(0, "%n", lanes, [], body)
    text = module.text()
    loaded = elf.load(llvm.compile_object(text))
    native = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(
        loaded.address("f")
    )

    def run(x: Any) -> Any:
        whole = np.resize(x, x.size + -x.size % lanes)
        out = np.empty(whole.size, dtypes.numpy_dtype(target))
        native(out.ctypes.data, whole.ctypes.data, whole.size)
        assert loaded is not None
        return out[: x.size]

    return run


def same(found: Any, wanted: Any) -> None:
    assert found.dtype == wanted.dtype
    a, b = found.astype("float64"), wanted.astype("float64")
    np.testing.assert_array_equal(a, b)
    number = ~np.isnan(b)
    np.testing.assert_array_equal(np.signbit(a[number]), np.signbit(b[number]))


@pytest.mark.parametrize("lanes", [1, 8, 16])
@pytest.mark.parametrize("features", FEATURES, ids=["integers", "machine"])
@pytest.mark.parametrize("dtype", dtypes.NARROW)
def test_widening_of_every_number(dtype: str, features: str, lanes: int) -> None:
    f = kernel(features, dtype, "float32", lanes,
               lambda fn, m, x, w: narrow_llvm.widened(fn, m, x, dtype, w))  # fmt: skip
    x = BITS.view(dtypes.numpy_dtype(dtype))
    with np.errstate(all="ignore"):
        same(f(x), x.astype("float32"))


def near(dtype: str, source: str) -> Any:
    """Numbers of the dtype, the middles between neighbours, and what lies beside the middles."""
    top = int(np.array(np.inf, dtypes.numpy_dtype(dtype)).view(np.uint16))
    x = np.arange(top + 1, dtype=np.uint16).view(dtypes.numpy_dtype(dtype)).astype(source)
    x[-1] = 2 * x[-2] - x[-3] if source == "float64" or dtype == "float16" else x[-2]
    middle = x[:-1] + (x[1:] - x[:-1]) / 2
    up, down = (np.nextafter(middle, np.array(e, source)) for e in (np.inf, -np.inf))
    rng = np.random.default_rng(0)
    wide = rng.normal(size=10_000) * 10.0 ** rng.uniform(-50, 38, 10_000)
    tiny = [0.0, 1e-300, 5e-324, 1e-45, 1e300, 3e38, np.inf, np.nan]
    with np.errstate(all="ignore"):
        every = np.concatenate([x, middle, up, down, wide.astype(source), np.array(tiny, source)])
    return np.concatenate([every, -every])


@pytest.mark.parametrize("lanes", [1, 8, 16])
@pytest.mark.parametrize("features", FEATURES, ids=["integers", "machine"])
@pytest.mark.parametrize("source", ["float32", "float64"])
@pytest.mark.parametrize("dtype", dtypes.NARROW)
def test_rounding(dtype: str, source: str, features: str, lanes: int) -> None:
    f = kernel(features, source, dtype, lanes,
               lambda fn, m, x, w: narrow_llvm.rounded(fn, m, x, source, dtype, w))  # fmt: skip
    x = near(dtype, source)
    with np.errstate(all="ignore"):
        same(f(x), x.astype(dtypes.numpy_dtype(dtype)))


@pytest.mark.parametrize("target", ["float32", "float64", "int8", "uint8", "int32", "int64"])
@pytest.mark.parametrize("dtype", dtypes.NARROW)
def test_casts_from(dtype: str, target: str) -> None:
    f = kernel(FEATURES[1], dtype, target, 8, lambda fn, m, x, w: scalar_llvm.emit(
        fn, m, "cast", target, w, [x], [dtype]))  # fmt: skip
    x = BITS.view(dtypes.numpy_dtype(dtype))
    with np.errstate(all="ignore"):
        if dtypes.is_int(target):  # what does not fit is left to the C compiler by NumPy
            x = x[np.abs(x.astype("float64")) <= (100 if target[0] == "i" else 0)]
            x = x if target[0] == "i" else np.arange(200).astype(x.dtype)
        same(f(x), x.astype(target))


@pytest.mark.parametrize("source", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("dtype", dtypes.NARROW)
def test_casts_of_integers(dtype: str, source: str) -> None:
    f = kernel(FEATURES[1], source, dtype, 8, lambda fn, m, x, w: scalar_llvm.emit(
        fn, m, "cast", dtype, w, [x], [source]))  # fmt: skip
    low, high = dtypes.min_value(source), dtypes.max_value(source)
    rng = np.random.default_rng(1)
    wide = rng.integers(low, high, 3000, source, endpoint=True)
    x = np.concatenate([wide, wide >> (4 * dtypes.itemsize(source)), np.array([low, high], source)])
    with np.errstate(all="ignore"):
        same(f(x), x.astype(dtypes.numpy_dtype(dtype)))


def test_no_function_of_a_library_is_called() -> None:
    for dtype in dtypes.NARROW:
        for source in ("float32", "float64"):
            kernel("", source, dtype, 1,
                   lambda fn, m, x, w: narrow_llvm.rounded(fn, m, x, source, dtype, w))  # fmt: skip


def test_literals_are_bits() -> None:
    found = [element_literal(d, 1.5) for d in dtypes.NARROW]
    assert found == [str(0x3E00), str(0x3FC0)]
    assert element_literal("float16", float("-inf")) == str(0xFC00 - (1 << 16))


def test_arithmetic_is_not_for_code_generation() -> None:
    with pytest.raises(ValueError, match="add is not defined for float16"):
        module = ModuleWriter()
        fn = module.function("f", [("i16", "x", "")])
        scalar_llvm.emit(fn, module, "add", "float16", 1, ["%x", "%x"], ["float16"] * 2)
