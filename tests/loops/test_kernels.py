"""Kernels: their text, their meaning, what the verifier refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from symgraph.errors import VerifyError
from symgraph.loops.compute import COMBINERS
from symgraph.loops.interpret import combine, fresh, run_kernel
from symgraph.loops.statements import (
    Alloc,
    Barrier,
    Fold,
    For,
    If,
    Kernel,
    Let,
    Param,
    Stmt,
    Store,
)
from symgraph.loops.text import kernel_text
from symgraph.loops.verify import verify_kernel
from symgraph.scalar import Expr, call, const, load, load_if, var
from symgraph.scalar import functions as F

AT, J, K, N = var("_i"), var("_j"), var("_k"), var("n")
T = var("_t", "float64")
X, Y = Param("x", "float64", (N, 4), "in"), Param("y", "float64", (N,), "out")


def x(*indices: Expr) -> Expr:
    return load("x", indices, "float64")


def kernel(
    *body: Stmt, params: tuple[Param, ...] = (X, Y), sizes: tuple[str, ...] = ("n",)
) -> Kernel:
    return Kernel("k", params, sizes, body)


def rows(fold: Fold, *then: Stmt, kind: str = "serial") -> Kernel:
    return kernel(For(AT, N, kind, (fold, *then)))


SUM = Fold((T,), "add", J, 4, "serial", (Let(K, J * 1),), (x(AT, K),))
GOOD = rows(SUM, Store("y", (AT,), F.mul(T, 2.0)))


def test_the_text_of_a_kernel() -> None:
    everything = kernel(
        Alloc("s", "int8", (N,)),
        Barrier(),
        For(AT, N, "vector", (
            SUM,
            If(F.lt(AT, N - 1), (Store("y", (AT,), T),)),
        )),
    )  # fmt: skip
    verify_kernel(everything)
    assert (
        kernel_text(everything)
        == """\
kernel k(x: in float64[n, 4], y: out float64[n]) sizes(n) {
  alloc s: int8[n]
  barrier
  for _i in 0 .. n vector {
    fold _t: float64 = add over _j in 0 .. 4 serial {
      let _k: int64 = _j
      yield x[_i, _k]
    }
    if _i < n - 1 {
      y[_i] = _t
    }
  }
}"""
    )


def test_unnamed_sizes_are_numbered_by_first_use() -> None:
    p, q = (
        Param("x", "int8", (var("?81"),), "in"),
        Param("y", "int8", (var("?7"), var("?81")), "out"),
    )
    text = kernel_text(Kernel("k", (p, q), ("?81", "?7"), ()))
    assert text == "kernel k(x: in int8[?0], y: out int8[?1, ?0]) sizes(?0, ?1) {\n}"


def run(k: Kernel, n: int = 5, **given: Any) -> dict[str, np.ndarray]:
    verify_kernel(k)
    buffers = {}
    for p in k.params:
        shape = [n if s is N else s for s in p.shape]
        buffers[p.name] = given.get(p.name, fresh(p.dtype, shape))  # type: ignore[arg-type]
    run_kernel(k, buffers, {"n": n})
    return buffers


@pytest.mark.parametrize("outer", ["serial", "vector"])
@pytest.mark.parametrize("inner", ["serial", "vector"])
def test_folds_in_loops(outer: str, inner: str) -> None:
    data = np.random.default_rng(0).normal(size=(5, 4))
    for combiner, expected in (
        ("add", data.sum(1)), ("mul", data.prod(1)),
        ("maximum", data.max(1)), ("minimum", data.min(1)),
    ):  # fmt: skip
        fold = Fold((T,), combiner, J, 4, inner, (), (x(AT, J),))
        got = run(rows(fold, Store("y", (AT,), T), kind=outer), x=data)["y"]
        np.testing.assert_allclose(got, expected, rtol=1e-14)


@pytest.mark.parametrize("kind", ["serial", "vector"])
@pytest.mark.parametrize("combiner", ["argmax", "argmin"])
def test_arg_folds(kind: str, combiner: str) -> None:
    inf, nan = np.inf, np.nan
    data = np.array([
        [1.0, 3.0, 3.0, 2.0], [3.0, 1.0, 1.0, 1.5], [-inf, -inf, -inf, -inf], [inf, inf, inf, inf],
        [1.0, nan, 2.0, nan], [nan, 0.0, 0.0, 0.0], [0.0, -0.0, 0.0, -0.0],
    ])  # fmt: skip
    best, place = var("_b", "float64"), var("_p")
    fold = Fold((best, place), combiner, J, 4, kind, (), (x(AT, J), J))
    out = Param("y", "int64", (N,), "out")
    k = kernel(For(AT, N, "serial", (fold, Store("y", (AT,), place))), params=(X, out))
    got = run(k, 7, x=data)["y"]
    assert got.tolist() == getattr(np, combiner)(data, axis=1).tolist()


@pytest.mark.parametrize("combiner", sorted(COMBINERS))
def test_a_fold_over_nothing_is_the_identity(combiner: str) -> None:
    dtype = "bool" if combiner in ("and", "or") else "float64"
    pair = combiner.startswith("complex")
    element = load("x", (J,), dtype)
    names = [var("_v", dtype), var("_p", dtype if pair else "int64")][: COMBINERS[combiner]]
    values = [element, element if pair else J][: COMBINERS[combiner]]
    params = (Param("x", dtype, (0,), "in"), Param("y", dtype, (), "out"))
    results = []
    for kind in ("serial", "vector"):
        fold = Fold(tuple(names), combiner, J, 0, kind, (), tuple(values))
        results.append(run(kernel(fold, Store("y", (), names[0]), params=params))["y"].item())
    expected = {"add": 0, "mul": 1, "maximum": -np.inf, "minimum": np.inf, "and": True, "or": False,
                "argmax": -np.inf, "argmin": np.inf,
                "complex_add": 0, "complex_mul": 1}[combiner]  # fmt: skip
    assert results == [expected, expected]


def test_combining_does_not_depend_on_the_order() -> None:
    rng = np.random.default_rng(1)
    pairs = [(v, p) for p, v in enumerate(rng.choice([1.0, 2.0, np.nan, -np.inf], 9))]
    for combiner in ("argmax", "argmin"):
        found = set()
        for _ in range(20):
            best: Any = pairs[0]
            order = [pairs[k] for k in rng.permutation(9)]
            best = order[0]
            for p in order[1:]:
                best = combine(combiner, best, p)
            found.add(int(best[1]))
        assert len(found) == 1


def test_vector_loops_with_branches_and_memory_of_their_own() -> None:
    data = np.arange(20.0).reshape(5, 4)
    body = (
        Alloc("s", "float64", (4,)),
        For(J, 4, "vector", (Store("s", (J,), F.mul(x(AT, J), 2.0)),)),
        If(F.lt(const(1), AT), (Store("y", (AT,), load("s", (const(3),), "float64")),)),
    )
    got = run(kernel(For(AT, N, "vector", body)), x=data, y=np.zeros(5))["y"]
    assert got.tolist() == [0, 0, 22, 30, 38]


def test_triangular_loops() -> None:
    fold = Fold((T,), "add", J, AT + 1, "vector", (), (x(const(0), J),))
    data = np.arange(4.0).reshape(1, 4)
    params = (Param("x", "float64", (1, 4), "in"), Param("y", "float64", (4,), "out"))
    k = kernel(For(AT, 4, "vector", (fold, Store("y", (AT,), T))), params=params)
    assert run(k, x=data)["y"].tolist() == [0, 1, 3, 6]


def test_guarded_loads_and_prefix_sums() -> None:
    before = load_if("y", F.lt(const(0), AT), (AT - 1,), "float64")
    k = kernel(For(AT, N, "serial", (Store("y", (AT,), F.add(before, x(AT, const(0)))),)))
    data = np.ones((5, 4))
    assert run(k, x=data)["y"].tolist() == [1, 2, 3, 4, 5]


def test_fresh_memory_is_no_accident() -> None:
    assert np.isnan(fresh("float32", [2])).all()
    assert (fresh("int16", [3]) != 0).all() and fresh("bool", [2]).all()
    assert fresh("int64", [0, 3]).shape == (0, 3)


@pytest.mark.parametrize("kind", ["serial", "vector"])
def test_accesses_outside_a_buffer_are_seen(kind: str) -> None:
    for index in (AT - 1, AT + 1):
        reading = kernel(For(AT, N, kind, (Store("y", (AT,), x(index, const(0))),)))
        with pytest.raises(VerifyError, match="k: x: index"):
            run(reading, x=np.zeros((5, 4)))
        writing = kernel(For(AT, N, kind, (Store("y", (index,), const(0.0, "float64")),)))
        with pytest.raises(VerifyError, match="k: y: index"):
            run(writing)


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(VerifyError, match=r"x is float64\[5, 4\], given float64\[5, 3\]"):
        run(GOOD, x=np.zeros((5, 3)))
    with pytest.raises(VerifyError, match="given float32"):
        run(GOOD, x=np.zeros((5, 4), "float32"))


ZERO = const(0.0, "float64")
STORE = Store("y", (AT,), ZERO)


def loop(*body: Stmt, **changes: Any) -> Kernel:
    return kernel(For(AT, N, "serial", body)._replace(**changes))


def fold(**changes: Any) -> Kernel:
    return loop(SUM._replace(**changes), STORE)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (GOOD._replace(sizes=()), "n: int64 is not bound"),
        (kernel(params=(X, X)), "parameter x is there twice"),
        (kernel(params=(X._replace(mode="rw"),)), "has mode 'rw'"),
        (kernel(params=(X._replace(shape=(-1,)),)), "negative size -1"),
        (loop(STORE, kind="parallel"), "unknown kind 'parallel'"),
        (loop(STORE, index=var("_i", "int32")), "is no int64 variable"),
        (loop(STORE, extent=ZERO), "a size is int64"),
        (loop(For(AT, 3, "serial", ())), "the index _i is bound already"),
        (kernel(STORE), "_i: int64 is not bound"),
        (loop(Store("x", (AT, AT), ZERO)), "store to x, which is only read"),
        (loop(Store("z", (AT,), ZERO)), "unknown buffer z"),
        (loop(Store("y", (AT,), const(0))), "store of int64 at y, which holds float64"),
        (loop(Store("y", (AT, AT), ZERO)), "store with 2 indices at y, which has rank 1"),
        (loop(Store("y", (var("_i", "int32"),), ZERO)), "the index _i of y is int32"),
        (loop(Store("y", (AT,), x(AT))), "load with 1 indices at x"),
        (loop(Let(var("_s", "float32"), load("x", (AT, AT), "float32"))), "load of float32 at x"),
        (
            loop(Store("y", (AT,), load_if("x", AT, (AT, AT), "float64"))),
            "condition of .* is int64",
        ),
        (loop(Let(T, const(1))), "let _t is float64, its value 1 is int64"),
        (loop(Let(T, ZERO), Let(T, ZERO)), "_t is bound already"),
        (loop(Let(ZERO, ZERO)), "0.0 is no name"),
        (
            kernel(For(AT, N, "serial", (Let(T, ZERO),)), Store("y", (const(0),), T)),
            "_t: float64 is not",
        ),
        (loop(If(AT, ())), "if is bool, its value _i is int64"),
        (loop(Alloc("x", "int8", ())), "alloc x: the name is taken"),
        (
            kernel(If(F.lt(N, 3), (Alloc("s", "float64", ()),)), Store("s", (), ZERO)),
            "unknown buffer s",
        ),
        (fold(combiner="average"), "unknown combiner 'average'"),
        (fold(combiner="argmax"), "argmax carries 2 values, not 1"),
        (fold(values=(J,)), "fold _t is float64, its value _j is int64"),
        (fold(values=(T,)), "_t: float64 is not bound"),
        (fold(kind="loop"), "unknown kind 'loop'"),
    ],
)
def test_malformed_kernels_are_refused(bad: Kernel, message: str) -> None:
    verify_kernel(GOOD)
    with pytest.raises(VerifyError, match=message):
        verify_kernel(bad)


def test_malformed_expressions_are_refused() -> None:
    from symgraph.scalar import node

    cases = {
        "unknown scalar operation frobnicate": node("frobnicate", (T,), "float64"),
        "add takes 2 operands": node("add", (T,), "float64"),
        "add of float64, int64": node("add", (T, AT), "float64"),
        "lt of float64, float64 does not give float64": node("lt", (T, T), "float64"),
        "select of int64": node("select", (AT, T, T), "float64"),
        "bitcast of int32": node("bitcast", (F.cast(AT, "int32"),), "float64"),
    }
    for message, e in cases.items():
        with pytest.raises(VerifyError, match=message):
            verify_kernel(loop(Let(T, call("exp", ZERO)), Store("y", (AT,), e)))
