"""dtypes.py against NumPy, which is the meaning of every function in it."""

from __future__ import annotations

import sys
from itertools import permutations, product
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from symgraph import dtypes
from symgraph.errors import DTypeError, OutOfRangeError

WEAK: dict[type, Any] = {bool: True, int: 1, float: 1.0, complex: 1j}
NUMPY_S = [d for d in dtypes.ALL if d != "bfloat16"]
OPERANDS = [*NUMPY_S, *WEAK]


def by_numpy(operands: tuple[Any, ...]) -> str:
    return np.result_type(*(WEAK.get(o) or np.dtype(o) for o in operands)).name


@pytest.mark.parametrize("count", [1, 2, 3])
def test_promote_is_numpy_s(count: int) -> None:
    for operands in product(OPERANDS, repeat=count):
        assert dtypes.promote(*operands) == by_numpy(operands), operands


def test_promote_takes_values_and_anything_that_names_a_dtype() -> None:
    assert dtypes.promote(np.dtype("int8"), 3) == "int8"
    assert dtypes.promote("f4", 2.5) == "float32"
    assert dtypes.promote(True, "int8") == "int8"
    assert dtypes.promote(np.float64, "float32") == "float64"


def test_bfloat16_promotes_as_in_jax() -> None:
    # jax.numpy.promote_types of JAX 0.7 with 64 bits enabled
    expected = dict.fromkeys((*dtypes.BOOLS, *dtypes.INTS, "bfloat16"), "bfloat16")
    expected |= {d: d for d in ("float32", "float64", "complex64", "complex128")}
    expected["float16"] = "float32"
    for d, both in expected.items():
        assert dtypes.promote("bfloat16", d) == dtypes.promote(d, "bfloat16") == both
        assert dtypes.promote_pair("bfloat16", d) == both
    weak = [dtypes.promote("bfloat16", w) for w in WEAK]
    assert weak == ["bfloat16", "bfloat16", "bfloat16", "complex64"]


def test_bfloat16_promotes_in_any_order() -> None:
    for three in product(["bfloat16", *NUMPY_S], repeat=2):
        found = {dtypes.promote(*p) for p in permutations(["bfloat16", *three])}
        assert len(found) == 1, three


def test_bfloat16_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    monkeypatch.delitem(dtypes._numpy, "bfloat16", raising=False)
    assert dtypes.as_dtype("bfloat16") == "bfloat16"
    with pytest.raises(DTypeError, match=r"ml_dtypes[\s\S]*symgraph-compiler\[bfloat16\]"):
        dtypes.numpy_dtype("bfloat16")


@pytest.mark.parametrize("d", [*dtypes.FLOATS, *dtypes.COMPLEX])
def test_limits_are_those_of_finfo(d: str) -> None:
    theirs = ml_dtypes.finfo(dtypes.numpy_dtype(d))
    ours = dtypes.limits(d)
    assert ours.bits == theirs.bits
    for field in ("eps", "smallest_normal", "smallest_subnormal", "max"):
        assert getattr(ours, field) == float(getattr(theirs, field)), field


def test_real_and_complex_parts() -> None:
    assert dtypes.COMPLEX == ("complex64", "complex128")
    for d in NUMPY_S:
        part = np.zeros((), d).real.dtype.name
        assert dtypes.real_of(d) == part
        assert dtypes.complex_of(d) == np.result_type(d, 1j).name
        assert dtypes.is_complex(d) == np.iscomplexobj(np.zeros((), d))
        assert dtypes.is_inexact(d) == np.issubdtype(d, np.inexact)
    assert [d for d in dtypes.ALL if dtypes.is_narrow(d)] == ["float16", "bfloat16"]


@pytest.mark.parametrize(("a", "b"), list(product(NUMPY_S, repeat=2)))
def test_pair_and_cast_are_numpy_s(a: str, b: str) -> None:
    assert dtypes.promote_pair(a, b) == np.promote_types(a, b).name
    assert dtypes.can_cast_same_kind(a, b) == np.can_cast(a, b, casting="same_kind")


@pytest.mark.parametrize("d", dtypes.INTS)
def test_python_integers_must_fit(d: str) -> None:
    limits = np.iinfo(d)
    assert (dtypes.min_value(d), dtypes.max_value(d)) == (limits.min, limits.max)
    assert dtypes.promote(d, limits.min) == dtypes.promote(limits.max, d) == d
    for value in (limits.min - 1, limits.max + 1):
        with pytest.raises(OverflowError), np.errstate(all="raise"):
            np.zeros(1, d) + value
        with pytest.raises(OutOfRangeError, match=f"{value} does not fit into {d}") as caught:
            dtypes.promote(d, value)
        assert isinstance(caught.value, OverflowError)


def test_python_integers_must_fit_the_default_dtype_and_floats() -> None:
    assert dtypes.promote("bool", 2**63 - 1) == "int64"
    assert dtypes.promote("float32", 2**1000) == "float32"
    with pytest.raises(OutOfRangeError):
        dtypes.promote("bool", 2**63)
    with pytest.raises(OutOfRangeError):
        dtypes.promote("float64", 10**400)


def test_facts_of_bfloat16() -> None:
    numpy = dtypes.numpy_dtype("bfloat16")
    assert numpy == np.dtype(ml_dtypes.bfloat16) and dtypes.as_dtype(numpy) == "bfloat16"
    assert dtypes.as_dtype(ml_dtypes.bfloat16) == dtypes.as_dtype("bfloat16") == "bfloat16"
    assert (dtypes.kind("bfloat16"), dtypes.itemsize("bfloat16")) == ("f", 2)
    assert dtypes.can_cast_same_kind("bfloat16", "float16")
    assert dtypes.can_cast_same_kind("int64", "bfloat16")
    assert not dtypes.can_cast_same_kind("bfloat16", "int64")


@pytest.mark.parametrize("d", NUMPY_S)
def test_facts(d: str) -> None:
    numpy = np.dtype(d)
    assert dtypes.numpy_dtype(d) is numpy
    assert (dtypes.kind(d), dtypes.itemsize(d)) == (numpy.kind, numpy.itemsize)
    assert dtypes.is_float(d) == np.issubdtype(d, np.floating)
    assert dtypes.is_int(d) == np.issubdtype(d, np.integer)
    assert dtypes.is_bool(d) == (d == "bool")
    least, greatest = dtypes.min_value(d), dtypes.max_value(d)
    assert numpy.type(least) == least and numpy.type(greatest) == greatest


@pytest.mark.parametrize("d", NUMPY_S)
def test_as_dtype_accepts_every_spelling(d: str) -> None:
    numpy = np.dtype(d)
    for spec in (d, numpy, numpy.type, numpy.str, numpy.char):
        assert dtypes.as_dtype(spec) == d


def test_as_dtype_of_python_types() -> None:
    assert [dtypes.as_dtype(t) for t in WEAK] == ["bool", "int64", "float64", "complex128"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("flaot32", "not a dtype: 'flaot32'"),
        (None, "not a dtype: None"),
        (3, "not a dtype: 3"),
        ([("a", "f4")], "unsupported dtype"),
        (object, "unsupported dtype 'object'"),
        ("U3", "unsupported dtype 'str96'"),
        ("datetime64[s]", "unsupported dtype"),
        ("f4" if np.dtype("<f4").byteorder == ">" else ">f4", "unsupported byte order"),
    ],
)
def test_as_dtype_refuses(spec: Any, message: str) -> None:
    with pytest.raises(DTypeError, match=message) as caught:
        dtypes.as_dtype(spec)
    assert isinstance(caught.value, TypeError)


def test_promote_of_nothing() -> None:
    with pytest.raises(DTypeError, match="no operands"):
        dtypes.promote()
