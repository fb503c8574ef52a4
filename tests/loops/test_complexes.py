"""Kernels with complex values mean the same when they are rewritten to pairs of floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from symgraph import dtypes
from symgraph.loops.complexes import split
from symgraph.loops.interpret import run_kernel
from symgraph.loops.statements import (
    Fold,
    For,
    If,
    Kernel,
    Let,
    Param,
    Stmt,
    Store,
    expressions,
    walk,
)
from symgraph.loops.verify import verify_kernel
from symgraph.scalar import Expr, call, const, load, load_if, node, postorder, var
from symgraph.scalar import functions as F
from symgraph.scalar.complex_formulas import PAIRS, REALS

K, J = var("_i0"), var("_r0")
N = var("n")
RNG = np.random.default_rng(5)


def kernel(
    *body: Stmt, out: str, dtype: str = "complex128", shape: tuple[Any, ...] = (N,)
) -> Kernel:
    params = (Param("x", dtype, (N,), "in"), Param("y", dtype, (N,), "in"),
              Param("z", out, shape, "out"))  # fmt: skip
    return Kernel("k", params, ("n",), body)


def both(k: Kernel, n: int = 5) -> np.ndarray:
    """The result of the kernel as written; it equals that of the kernel on pairs."""
    dtype = k.params[0].dtype
    x, y = (RNG.normal(size=n) + 1j * RNG.normal(size=n) for _ in "xy")
    out, shape = (
        k.params[2].dtype,
        tuple(n if isinstance(s, Expr) else s for s in k.params[2].shape),
    )
    given = {"x": x.astype(dtype), "y": y.astype(dtype), "z": np.zeros(shape, out)}
    verify_kernel(k)
    pairs = split(k)
    verify_kernel(pairs)
    everything = [e for s in walk(pairs.body) for e in expressions(s)]
    assert not any(dtypes.is_complex(e.dtype) for e in postorder(everything))
    run_kernel(k, given, {"n": n})
    found = given["z"].copy()
    given["z"][...] = 0
    run_kernel(pairs, {name: as_floats(a) for name, a in given.items()}, {"n": n})
    tolerance = 1e-5 if dtype == "complex64" else 1e-12
    np.testing.assert_allclose(given["z"], found, rtol=tolerance, atol=tolerance)
    return found


def as_floats(a: np.ndarray) -> np.ndarray:
    if a.dtype.kind != "c":
        return a
    return a.reshape(*a.shape, 1).view(f"float{4 * a.dtype.itemsize}")


def at(name: str, dtype: str = "complex128") -> Expr:
    return load(name, (K,), dtype)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", sorted({*PAIRS, *REALS}))
def test_every_formula(name: str, dtype: str) -> None:
    operands = [at("x", dtype), at("y", dtype)]
    e = call(name, *operands[: 2 if name in ("add", "sub", "mul", "div", "pow", "eq", "ne") else 1])
    both(kernel(For(K, N, "vector", (Store("z", (K,), e),)), out=e.dtype, dtype=dtype))


@pytest.mark.parametrize("combiner", ["add", "mul"])
@pytest.mark.parametrize("kind", ["serial", "vector"])
def test_folds(combiner: str, kind: str) -> None:
    name = var("_s", "complex128")
    fold = Fold((name,), combiner, J, N, kind, (), (load("x", (J,), "complex128"),))
    k = kernel(fold, Store("z", (), name), out="complex128", shape=())
    both(k)
    assert both(k, 0).item() == (0 if combiner == "add" else 1)


def test_names_choices_and_conditions() -> None:
    t = var("_t", "complex128")
    positive = F.lt(0.0, F.real(t))
    chosen = F.select(positive, F.conj(t), const(2 - 1j, "complex128"))
    ahead = load_if("y", F.lt(K + 1, N), (K + 1,), "complex128")
    body = (
        Let(t, at("x")),
        Store("z", (K,), F.add(chosen, ahead)),
    )
    both(kernel(For(K, N, "serial", body), out="complex128"))
    both(kernel(For(K, N, "serial", (If(F.lt(K, 2), body),)), out="complex128"))


def test_casts() -> None:
    for e in (
        F.cast(F.real(at("x")), "complex128"),
        F.cast(F.cast(at("x"), "complex64"), "complex128"),
        F.cast(at("x"), "bool"),
        F.complex_(F.imag(at("x")), F.abs_(at("y"))),
        node("cast", (at("x"),), "float32"),
    ):
        both(kernel(For(K, N, "vector", (Store("z", (K,), e),)), out=e.dtype))


def test_a_store_reads_both_parts_before_it_writes_one() -> None:
    square = F.mul(load("z", (K,), "complex128"), load("z", (K,), "complex128"))
    body = (Store("z", (K,), at("x")), Store("z", (K,), square))
    loops = (For(K, N, "serial", body[:1]), For(K, N, "serial", body[1:]))
    both(kernel(*loops, out="complex128"))


def test_real_kernels_stay() -> None:
    k = Kernel("k", (Param("z", "float64", (N,), "out"),), ("n",),
               (For(K, N, "vector", (Store("z", (K,), const(1.0, "float64")),)),))  # fmt: skip
    assert split(k) is k
