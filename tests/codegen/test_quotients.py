"""Quotients by one divisor have the bits of a division, whatever the processor does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import symgraph as sg
from symgraph import config, stages
from symgraph.codegen import llvm
from symgraph.compiler import stage_definition

FLOATS = {"float32": (np.uint32, 23), "float64": (np.uint64, 52)}
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0]


@pytest.fixture(autouse=True)
def every_kernel_is_made_anew() -> Iterator[None]:
    with config.change(cache=False):
        yield


def quotients(dtype: str) -> sg.Function:
    x, s = sg.vector("x", dtype=dtype), sg.scalar("s", dtype=dtype)
    return sg.compile([x, s], x / s)


def check(f: sg.Function, a: np.ndarray, b: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        wanted = a / b
    found = f(a, b)
    bits = FLOATS[a.dtype.name][0]
    same = (found.view(bits) == wanted.view(bits)) | (np.isnan(found) & np.isnan(wanted))
    assert same.all(), (a[~same][:3], b, found[~same][:3], wanted[~same][:3])


def divisors(dtype: str) -> np.ndarray:
    """Of all sizes and signs, with mantissas that are hard: all ones, one more than a power."""
    bits, mantissa = FLOATS[dtype]
    rng = np.random.default_rng(1)
    some = rng.integers(0, 1 << mantissa, 12, dtype=bits)
    hard = np.array([0, 1, 2, (1 << mantissa) - 1, (1 << mantissa) - 2, 1 << mantissa - 1], bits)
    one = np.ones(1, dtype).view(bits)
    moderate = (np.concatenate([some, hard]) | one).view(dtype)
    limits = np.finfo(dtype)
    extremes = [limits.tiny, limits.smallest_subnormal, limits.max, 7 * limits.tiny, *SPECIAL]
    exponents = [-41, -40, 40, 41] if dtype == "float32" else [-401, -399, 399, 401]
    far = np.ldexp(np.full(4, 1.3, dtype), exponents)
    signs = np.concatenate([moderate, -moderate[:6], np.array(extremes, dtype), far])
    return signs.astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_all_kinds_of_numbers(dtype: str) -> None:
    bits, _ = FLOATS[dtype]
    f, rng = quotients(dtype), np.random.default_rng(2)
    top = np.iinfo(bits).max
    any_bits = rng.integers(0, top, 4096, dtype=bits, endpoint=True).view(dtype)
    with np.errstate(over="ignore"):
        sizes = np.ldexp(rng.uniform(1, 2, 4096), rng.integers(-1074, 1024, 4096)).astype(dtype)
    edges = np.ldexp(np.ones(9), [-82, -81, -80, -79, -502, -501, -500, -499, 0]).astype(dtype)
    near = np.concatenate([edges, np.nextafter(edges, np.zeros(1, dtype))])
    limits = np.finfo(dtype)
    special = np.array([*SPECIAL, limits.max, limits.tiny, limits.smallest_subnormal], dtype)
    for b in divisors(dtype):
        for a in (any_bits, sizes, near, special, -special, np.resize(special, 67)):
            check(f, a, b)


@pytest.mark.parametrize("negative", [False, True])
def test_all_mantissas(negative: bool) -> None:
    """Every dividend of [1, 2) in single precision, so every mantissa there is."""
    f = quotients("float32")
    a = np.arange(0x3F800000, 0x40000000, dtype=np.uint32).view(np.float32)
    for b in divisors("float32")[: 18 : 1 + negative]:
        check(f, -a if negative else a, b)


def test_dividends_next_to_midpoints() -> None:
    """In double precision: products of divisors and numbers halfway between two quotients."""
    f, rng = quotients("float64"), np.random.default_rng(3)
    for b in divisors("float64")[:18]:
        whole = int(b * 2**52)
        halves = [int(n) * 2 + 1 for n in rng.integers(1 << 52, 1 << 53, 500)]
        around = [(h * whole) >> 53 for h in halves]  # dividends: the midpoint's, rounded down
        a = np.array([float(p + d) for p in around for d in (-1, 0, 1, 2)])
        check(f, a, b)


@pytest.mark.parametrize("dtype", FLOATS)
def test_in_loops_of_all_kinds(dtype: str) -> None:
    """Rows with divisors of their own, folds of quotients, constants, and what is left of rows."""
    x = sg.matrix("x", dtype=dtype)
    scale = sg.sum(sg.abs(x), axis=1, keepdims=True)
    f = sg.compile(
        [x], (x / scale, sg.max(x / scale, axis=1), x / 3, x / 8, x[0] / sg.expand_dims(x[:, 0], 1))
    )
    rng = np.random.default_rng(4)
    for shape in ((1, 1), (3, 16), (5, 33), (40, 70), (7, 1000)):
        a = rng.normal(size=shape).astype(dtype)
        found = f(a)
        scales = np.abs(a).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(found[0], a / scales, rtol=1e-5)
        np.testing.assert_allclose(found[1], (a / scales).max(axis=1), rtol=1e-5)
        assert np.array_equal(found[2], a / a.dtype.type(3))
        assert np.array_equal(found[3], a / a.dtype.type(8))
        assert np.array_equal(found[4], a[0] / a[:, :1])


def test_where_registers_are_slow_to_divide() -> None:
    x, s = sg.vector("x", dtype="float64"), sg.scalar("s", dtype="float64")
    d = stage_definition([x / s])
    graph = stages.optimized_graph(d)
    lowered = stages.emit(d, graph, stages.lower(d, graph))
    text = "".join(lowered.kernels.values())
    assert ("llvm.copysign" in text) is ("avx512f" in llvm.host().features)
