"""Kernels on float16 and bfloat16: what they become before code generation is sound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from symgraph import dtypes
from symgraph.loops.interpret import fresh, run_kernel
from symgraph.loops.legalize import legal_kernel
from symgraph.loops.narrow import widen
from symgraph.loops.statements import Alloc, Fold, For, Kernel, Let, Param, Stmt, Store
from symgraph.loops.text import kernel_text
from symgraph.loops.verify import verify_kernel
from symgraph.scalar import Expr, const, load, var
from symgraph.scalar import functions as F

AT, J, K = var("_i"), var("_j"), var("_k")
NARROW = dtypes.NARROW


def x(dtype: str, *indices: Expr) -> Expr:
    return load("x", indices, dtype)


def kernel(dtype: str, *body: Stmt, shape: tuple[int, ...] = (7,), out: Any = None) -> Kernel:
    given = Param("x", dtype, shape, "in")
    return Kernel("k", (given, Param("y", *(out or (dtype, (7,))), "out")), (), body)


def body_text(kernel: Kernel) -> list[str]:
    verify_kernel(kernel)
    return [line.strip() for line in kernel_text(kernel).splitlines()[1:-1]]


def run(kernel: Kernel, given: Any) -> Any:
    out = kernel.params[1]
    y = fresh(out.dtype, out.shape)
    run_kernel(kernel, {"x": given, "y": y}, {})
    return y


def array(dtype: str, values: Any) -> Any:
    return np.asarray(values).astype(dtypes.numpy_dtype(dtype))


def test_each_operation_is_rounded() -> None:
    value = F.add(F.mul(x("float16", AT), x("float16", AT)), const(0.5, "float16"))
    made = widen(kernel("float16", For(AT, 7, "serial", (Store("y", (AT,), value),))))
    assert body_text(made)[1] == (
        "y[_i] = cast<float16>(cast<float32>(cast<float16>("
        "cast<float32>(x[_i])*cast<float32>(x[_i]))) + 0.5)"
    )


@pytest.mark.parametrize("dtype", NARROW)
def test_what_only_picks_is_not_rounded(dtype: str) -> None:
    a = x(dtype, AT)
    value = F.select(F.lt(a, 0), F.neg(F.floor(a)), F.maximum(a, const(1, dtype)))
    made = widen(kernel(dtype, For(AT, 7, "serial", (Store("y", (AT,), value),))))
    assert body_text(made)[1].count(f"<{dtype}>(") == 1
    moved = widen(kernel(dtype, For(AT, 7, "serial", (Store("y", (AT,), a),))))
    assert body_text(moved)[1] == "y[_i] = x[_i]"


def test_bits_are_those_of_the_narrow_number() -> None:
    value = F.bitcast(F.neg(x("bfloat16", AT)), "int16")
    made = widen(
        kernel("bfloat16", For(AT, 7, "serial", (Store("y", (AT,), value),)), out=("int16", (7,)))
    )
    assert body_text(made)[1] == "y[_i] = bitcast<int16>(cast<bfloat16>(-cast<float32>(x[_i])))"
    data = array("bfloat16", np.arange(7) - 3.5)
    np.testing.assert_array_equal(run(made, data), (-data).view("int16"))


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("combiner", ["add", "mul", "maximum"])
def test_folds_carry_a_float32(dtype: str, combiner: str) -> None:
    """Two nested folds round once, at the end of the outer one."""
    inner, total = var("_s", dtype), var("_t", dtype)
    rows = Fold((inner,), combiner, K, 5, "serial", (), (x(dtype, AT, J, K),))
    whole = Fold((total,), combiner, J, 400, "serial", (rows,), (inner,))
    body = For(AT, 7, "serial", (whole, Store("y", (AT,), total)))
    given = kernel(dtype, body, shape=(7, 400, 5))
    made = widen(given)
    rounded = [line for line in body_text(made) if dtype in line]
    assert len(rounded) == 1
    data = array(dtype, np.random.default_rng(0).uniform(0.97, 1.03, (7, 400, 5)))
    wide = data.astype("float64")
    wanted = {"add": wide.sum, "mul": wide.prod, "maximum": wide.max}[combiner](axis=(1, 2))
    found = run(given, data).astype("float64")
    np.testing.assert_allclose(found, wanted, rtol=2.0 ** -dtypes.limits(dtype).digits)


@pytest.mark.parametrize("dtype", NARROW)
def test_the_interpreter_and_the_rewritten_kernel_agree(dtype: str) -> None:
    t, best, at = var("_t", dtype), var("_b", dtype), var("_p")
    body: tuple[Stmt, ...] = (
        Alloc("row", dtype, (5,)),
        Let(t, F.exp(x(dtype, AT, const(0)))),
        For(J, 5, "vector", (Store("row", (J,), F.div(x(dtype, AT, J), t)),)),
        Fold((best, at), "argmax", K, 5, "vector", (), (load("row", (K,), dtype), K)),
        Store("y", (AT,), F.add(best, F.cast(at, dtype))),
    )
    given = kernel(dtype, For(AT, 7, "serial", body), shape=(7, 5))
    made = legal_kernel(given)
    verify_kernel(made)
    data = array(dtype, np.random.default_rng(1).normal(size=(7, 5)))
    row = (data / np.exp(data[:, :1].astype("float32")).astype(data.dtype)).astype(data.dtype)
    wanted = row.max(1) + array(dtype, row.argmax(1))
    for k in (given, made):
        np.testing.assert_array_equal(run(k, data).astype("float64"), wanted.astype("float64"))


def test_kernels_of_other_dtypes_stay_the_same_object() -> None:
    wide = kernel("float32", For(AT, 7, "serial", (Store("y", (AT,), x("float32", AT)),)))
    assert widen(wide) is wide


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["fold first", "let first"])
def test_a_name_may_stand_for_something_else_in_another_loop(order: tuple[int, int]) -> None:
    """From the fuzzer: a sum, and then what memory holds of it, under one name."""
    total = var("_t0", "float16")
    twice = Store("y", (AT,), F.add(total, total))
    fold = Fold((total,), "add", K, 3, "serial", (), (x("float16", K),))
    loops = [For(AT, 7, "serial", (fold, twice)),
             For(AT, 7, "vector", (Let(total, x("float16", AT)), twice))]  # fmt: skip
    plain = kernel("float16", *(loops[k] for k in order))
    given = np.arange(7, dtype="float16") / 3
    sums = np.full(7, 2 * given[:3].sum())
    np.testing.assert_allclose(run(plain, given), (sums, 2 * given)[order[-1]], rtol=1e-3)
    verify_kernel(widen(plain))
