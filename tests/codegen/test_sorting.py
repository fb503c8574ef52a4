"""Sorting in native code: networks by simulation, and the modules for every kind of vectors against
NumPy's stable sort, with quicksort, without it, and where it gives up."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from symgraph import dtypes
from symgraph.codegen import llvm, sort_llvm, sort_quick_llvm
from symgraph.codegen.sort_networks_llvm import Network
from symgraph.codegen.writer import ModuleWriter
from symgraph.executor import load_code

HOST = ModuleWriter(llvm.host().features).features
TABLES = [(256, frozenset({"avx2"})), (128, frozenset({"sse2"}))]
if "avx512f" in HOST:
    TABLES.append((512, HOST))
SIZES = [1, 2, 3, 17, 31, 64, 65, 100, 128, 129, 256, 257, 300, 1000, 3001]


class Simulated(Network):
    """A network whose registers are arrays."""

    def _least(self, a, b):
        return np.minimum(a, b)

    def _greatest(self, a, b):
        return np.maximum(a, b)

    def _shuffle(self, a, b, order: Sequence[int]):
        return np.concatenate([a, b])[list(order)]


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
@pytest.mark.parametrize("count", [1, 2, 4, 8, 16])
def test_networks_sort(count: int, lanes: int) -> None:
    rng = np.random.default_rng(count * lanes)
    for bound in (2, 5, 1000):  # a network that sorts zeros and ones sorts everything
        for _ in range(10):
            keys = rng.integers(0, bound, count * lanes)
            rows = list(keys.reshape(count, lanes))
            found = np.concatenate(Simulated(None, rows, 64, lanes).sorted())
            np.testing.assert_array_equal(found, np.sort(keys))


def samples(dtype: str, n: int) -> Iterator[np.ndarray]:
    """Rows with many and with few different elements, in order and not, special ones among them."""
    rng = np.random.default_rng(n)
    yield rng.integers(0, 2, n).astype(dtype)
    yield np.arange(n)[::-1].astype(dtype)
    yield np.full(n, 7).astype(dtype)
    if dtype == "bool":
        return
    if dtypes.is_int(dtype):
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        yield rng.integers(low, high, n, dtype, endpoint=True)
        yield np.where(rng.random(n) < 0.5, high, low).astype(dtype)
        return
    yield rng.normal(size=n).astype(dtype)
    special = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1.0, -1.0, 1e-5], dtype)
    yield rng.choice(special, n)


@functools.cache
def loaded(module: str) -> Any:
    return load_code(llvm.compile_object(module), ("kernel",))


Body = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3)
shared_parts: list[int] = []


def _run(_: int, body: int, context: int, count: int, grain: int, limit: int) -> None:
    """What the thread team does, in one thread and any order."""
    shared_parts.append(count)
    for k in np.random.default_rng(count).permutation(count):
        Body(body)(context, int(k), int(k) + 1, 0)


RUN = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 3)(_run)
THREE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(lambda _: 3)


def run(module: str, x: np.ndarray, count: int, out: np.ndarray, many: int = 1 << 60) -> np.ndarray:
    """The rows of x sorted by a module."""
    rows, n = x.shape
    code = loaded(module)
    rooms = [np.empty(n, "int64") for _ in range(4)]
    words = [ctypes.c_void_p(a.ctypes.data) for a in (x, *rooms, out)]
    types = [ctypes.c_void_p] * 6 + [ctypes.c_int64] * 3 + [ctypes.c_void_p] * 3 + [ctypes.c_int64]
    team = [ctypes.cast(f, ctypes.c_void_p) for f in (RUN, THREE)]
    kernel = ctypes.CFUNCTYPE(None, *types)(code.address("kernel"))
    kernel(*words, rows, n, count, *team, None, many)
    return out


def check(
    module: str,
    dtype: str,
    positions: bool,
    descending: bool,
    sizes: list[int],
    many: int = 1 << 60,
) -> None:
    for n in sizes:
        x = np.stack([row for row in samples(dtype, n)])
        for count in sorted({n, min(n, 5)}):
            order = np.argsort(x, -1, kind="stable")
            if descending:
                order = n - 1 - np.argsort(x[:, ::-1], -1, kind="stable")[:, ::-1]
            out = np.empty((len(x), count), "int64" if positions else dtype)
            found = run(module, x, count, out, many)
            wanted = order if positions else np.take_along_axis(x, order, -1)
            np.testing.assert_array_equal(found, wanted[:, :count], f"{n} {count}")
            if not positions and dtypes.is_float(dtype) and not descending and count == n:
                zeros = np.signbit(found) & (found == 0)
                plus = ~np.signbit(found) & (found == 0)
                assert all(not np.any(p[:-1] & z[1:]) for z, p in zip(zeros, plus, strict=True))


@pytest.mark.parametrize("bits, features", TABLES, ids=["avx2", "sse2", "host"][: len(TABLES)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint64", "int8", "bool"])
def test_modules_sort(dtype: str, bits: int, features: frozenset[str]) -> None:
    for positions, descending in ((False, False), (True, False), (True, True)):
        module = sort_llvm.module_text(dtype, positions, descending, bits, features)
        check(module, dtype, positions, descending, SIZES)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_long_rows_are_shared(dtype: str) -> None:
    for positions, descending in ((False, False), (True, False), (False, True)):
        module = sort_llvm.module_text(dtype, positions, descending, *TABLES[-1])
        shared_parts.clear()
        check(module, dtype, positions, descending, [300, 3001, 20011], many=0)
        quick = TABLES[-1][0] == 512 and (dtype == "float32" or not positions)
        assert (max(shared_parts, default=0) > 4) == quick


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_where_quicksort_gives_up(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sort_quick_llvm, "DEPTH", 1)
    for positions in (False, dtype == "float32"):
        build = sort_llvm.module_text.__wrapped__
        module = build(dtype, positions, False, *TABLES[-1])
        check(module, dtype, positions, False, [1000, 3001])
        check(module, dtype, positions, False, [3001], many=0)
