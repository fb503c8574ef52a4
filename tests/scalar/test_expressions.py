"""Scalar expressions: the normal form, printing, walking, evaluating, pickling."""

from __future__ import annotations

import gc
import pickle
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symgraph.scalar import (
    SCALAR_OPS,
    Expr,
    as_size,
    call,
    coefficient,
    const,
    depends,
    evaluate,
    evaluate_size,
    guard,
    key,
    load,
    load_if,
    node,
    polynomial,
    postorder,
    product,
    substitute,
    var,
)
from symgraph.scalar import functions as F
from symgraph.scalar.complex_formulas import PAIRS, REALS

NAMES = ("a", "b", "c")
A, B, C = map(var, NAMES)
ENVS = st.fixed_dictionaries({n: st.integers(-9, 9) for n in NAMES})

# An expression as data: built through the normal form on one side, computed directly on the other.
TREES = st.recursive(
    st.integers(-5, 5) | st.sampled_from(NAMES),
    lambda inner: st.tuples(
        st.sampled_from(["add", "sub", "mul", "floordiv", "mod"]), inner, inner
    ),
    max_leaves=12,
)


def build(tree: Any) -> Any:
    if isinstance(tree, int):
        return const(tree)
    if isinstance(tree, str):
        return var(tree)
    op, a, b = tree
    x, y = build(a), build(b)
    return {"add": x.__add__, "sub": x.__sub__, "mul": x.__mul__, "floordiv": x.__floordiv__,
            "mod": x.__mod__}[op](y)  # fmt: skip


def direct(tree: Any, env: dict[str, int]) -> int:
    if isinstance(tree, int):
        return tree
    if isinstance(tree, str):
        return env[tree]
    op, a, b = tree
    x, y = direct(a, env), direct(b, env)
    if op in ("floordiv", "mod") and y == 0:
        raise ZeroDivisionError
    return {"add": x.__add__, "sub": x.__sub__, "mul": x.__mul__, "floordiv": x.__floordiv__,
            "mod": x.__mod__}[op](y)  # fmt: skip


@given(TREES, ENVS)
def test_the_normal_form_means_the_same(tree: Any, env: dict[str, int]) -> None:
    try:
        expected = direct(tree, env)
    except ZeroDivisionError:
        return  # sizes that divide are not zero
    e = build(tree)
    assert evaluate_size(e, env) == expected
    if abs(expected) < 2**31:
        assert int(evaluate(e, env)) == expected


SUMS = st.recursive(
    st.integers(-5, 5) | st.sampled_from(NAMES),
    lambda inner: st.tuples(st.sampled_from(["add", "sub", "mul"]), inner, inner),
    max_leaves=8,
)


@given(SUMS, SUMS, SUMS)
def test_equal_polynomials_are_one_object(x: Any, y: Any, z: Any) -> None:
    a, b, c = build(x), build(y), build(z)
    assert (a + b) * c is c * b + a * c
    assert a - b + b is a + 0 and (a + b) + c is a + (b + c)
    assert as_size(a - a) == 0
    again = build(x)
    assert again is a


@given(SUMS, ENVS)
def test_a_coefficient_rebuilds_a_linear_expression(tree: Any, env: dict[str, int]) -> None:
    e = build(tree)
    c = coefficient(e, A)
    if c is not None:
        rest = substitute(e, {A: const(0)})
        assert evaluate_size(c * A + rest, env) == evaluate_size(e, env)
        assert not depends(c, A)


def test_division_is_exact_where_it_can_be() -> None:
    assert (6 * A * B + 3 * A) // (3 * A) is 2 * B + 1
    assert as_size((4 * A) % 2) == 0 and as_size(A // A) == 1
    assert str((A + 1) // 2) == "(a + 1)//2"
    assert evaluate_size(A // B, {"a": 5, "b": 0}) == 0


def test_arithmetic_wraps_like_the_machine() -> None:
    big = const(2**63 - 1)
    assert (big + 1).value == -(2**63)
    assert (const(-(2**63)) * -1).value == -(2**63)


def test_a_size_and_a_fraction_do_not_mix() -> None:
    for wrong in (lambda: A * 0.5, lambda: 1.5 + A, lambda: A + "x"):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(TypeError):
        const(1.5)
    with pytest.raises(OverflowError):
        const(300, "int8")
    assert const(2.0).value == 2 and isinstance(const(2.0).value, int)


def test_constants_are_told_apart_by_bits() -> None:
    assert const(0.0, "float64") is not const(-0.0, "float64")
    assert const(float("nan"), "float32") is const(float("nan"), "float32")
    assert const(1) is not const(1, "int32") and const(True, "bool") is not const(1)


def test_casts_of_constants_are_those_of_numpy() -> None:
    assert F.cast(const(300), "int8").value == np.int64(300).astype("int8")
    assert F.cast(const(-1), "uint16").value == 65535
    assert F.cast(const(-2.7, "float64"), "int32").value == -2
    assert F.cast(const(0.5, "float32"), "bool").value is True
    assert F.cast(const(True, "bool"), "float32").value == 1.0


def test_keys_tell_dtypes_apart_and_stay_short() -> None:
    assert key(F.cast(var("n", "int32"), "int64")) != key(F.cast(var("n", "uint8"), "int64"))
    assert key(const(1)) != key(const(1, "int8"))
    e: Expr = A
    for _ in range(60):
        e = call("minimum", e, call("maximum", e, B))
    assert len(key(e)) < 1000
    x, y = F.cast(var("n", "int32"), "int64"), F.cast(var("n", "uint8"), "int64")
    assert x * y is y * x and x + y is y + x


FLOATS = st.recursive(
    st.sampled_from(["x", "y"]) | st.floats(-4, 4, width=32),
    lambda inner: st.tuples(
        st.sampled_from(["add", "sub", "mul", "div", "mod", "minimum"]), inner, inner
    ),
    max_leaves=8,
)


def build_float(tree: Any) -> Expr:
    if isinstance(tree, float):
        return const(tree, "float64")
    if isinstance(tree, str):
        return var(tree, "float64")
    return call(tree[0], build_float(tree[1]), build_float(tree[2]))


@given(FLOATS)
def test_the_text_of_floats_has_every_bracket_it_needs(tree: Any) -> None:
    e = build_float(tree)
    names = {"minimum": np.minimum, "x": np.float64(1.7), "y": np.float64(-0.3),
             "nan": np.nan, "inf": np.inf}  # fmt: skip
    with np.errstate(all="ignore"):
        expected = evaluate(e, {"x": 1.7, "y": -0.3})
        try:
            got = eval(str(e), {"__builtins__": {}}, names)
        except ZeroDivisionError:
            return  # Python's own floats; NumPy's give inf
    np.testing.assert_equal(np.float64(got), expected)


def test_texts() -> None:
    i, x = var("i"), var("x", "float32")
    assert str(load("buf", (i + 1, const(0)), "float32")) == "buf[i + 1, 0]"
    assert str(load_if("buf", F.lt(i, A), (i,), "float32")) == "buf[i if i < a]"
    assert str(F.cast(i, "float32")) == "cast<float32>(i)"
    assert str(F.add(x, F.add(x, 1))) == "x + (x + 1.0)"
    assert str(F.mul(F.sub(x, x), F.neg(x))) == "(x - x)*-x"
    assert str((A // 2) * B) == "(a//2)*b" or str((A // 2) * B) == "b*(a//2)"
    assert repr(A) == "Expr(a)"


def test_guard_makes_loads_conditional() -> None:
    i = var("i")
    e = F.add(load("x", (i,), "float64"), 1)
    guarded = guard(e, F.lt(i, 2))
    data = {"x": np.array([10.0, 20.0])}
    assert evaluate(guarded, {"i": 1}, data) == 21 and evaluate(guarded, {"i": 7}, data) == 1
    assert guard(e, const(True, "bool")) is e
    assert guard(e, const(False, "bool")) is const(0.0, "float64")


def test_loads_outside_their_buffer_are_seen() -> None:
    i = var("i")
    data = {"x": np.arange(3.0)}
    for wrong in (-1, 3, np.array([0, 3]), np.array([-1, 0])):
        with pytest.raises(IndexError, match="x: index"):
            evaluate(load("x", (i,), "float64"), {"i": wrong}, data)
    empty = {"x": np.zeros(0)}
    nowhere = load_if("x", F.lt(i, 0), (i,), "float64")
    assert evaluate(nowhere, {"i": np.arange(4)}, empty).tolist() == [0, 0, 0, 0]


def test_variables_bound_to_arrays_give_many_values_at_once() -> None:
    i, j = var("i"), var("j")
    table = np.arange(12.0).reshape(3, 4)
    e = F.select(F.lt(i, j), load("t", (i, j), "float64"), 0.0)
    rows, columns = np.indices((3, 4))
    expected = np.where(rows < columns, table, 0.0)
    np.testing.assert_array_equal(evaluate(e, {"i": rows, "j": columns}, {"t": table}), expected)


@pytest.mark.parametrize("name", sorted(SCALAR_OPS))
@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "int8", "int64", "uint32", "bool", "complex64", "complex128"]
)
def test_every_operation_gives_the_dtype_of_its_row(name: str, dtype: str) -> None:
    row = SCALAR_OPS[name]
    if row.result == "attr" or (name == "mulhi") != (dtype == "uint32"):
        return
    if dtype in ("complex64", "complex128") and name not in (*PAIRS, *REALS):
        return
    if row.result == "complex" and dtype not in ("float32", "float64"):
        return  # made of floats only
    e = call(name, *(var(n, dtype) for n in "xyzw"[: row.arity]))
    try:
        value = evaluate(e, dict.fromkeys("xyzw", 1))
    except TypeError:
        return  # NumPy has no such operation on the dtype
    assert value.dtype == e.dtype


def test_expressions_are_pickled_by_structure() -> None:
    i = var("i")
    for e in (A, const(-0.0, "float32"), A * B + 3 * C, load_if("x", F.lt(i, A), (i,), "int8")):
        assert pickle.loads(pickle.dumps(e)) is e
    names = pickle.loads(pickle.dumps([A + 1, (A + 1) * B]))
    assert names[0] is A + 1 and names[1] is (A + 1) * B


def test_deep_expressions() -> None:
    e: Expr = var("x", "float64")
    for _ in range(50_000):
        e = F.exp(e)
    assert len(postorder([e])) == 50_001
    assert len(str(e)) == 50_000 * 5 + 1
    assert pickle.loads(pickle.dumps(e)) is e
    reference = weakref.ref(e)
    other = substitute(e, {var("x", "float64"): var("y", "float64")})
    assert str(other).count("y") == 1
    del e, other
    gc.collect()
    assert reference() is None


def test_long_sums_do_not_recurse() -> None:
    plain: Expr = A
    for k in range(20_000):
        plain = node("add", (plain, const(k % 3)), "int64")
    assert polynomial(plain)[()] == sum(k % 3 for k in range(20_000))
    assert product((2, A, 3)) is 6 * A
