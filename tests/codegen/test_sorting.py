"""Sorting in native code: networks by simulation, the functions in assembly language, and the
modules for every kind of vectors against NumPy's stable sort, with every branch of quicksort."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from symgraph import dtypes
from symgraph.codegen import llvm, sort_llvm, sort_order_llvm, sort_rows_llvm, sort_x86
from symgraph.codegen.sort_keys_llvm import Keys
from symgraph.codegen.sort_networks_llvm import Network
from symgraph.codegen.writer import ModuleWriter
from symgraph.executor import load_code

HOST = ModuleWriter(llvm.host().features).features
TABLES = [(256, frozenset({"avx2"})), (128, frozenset({"sse2"}))]
if "avx512f" in HOST:
    TABLES.append((512, HOST))
SIZES = [
    1,
    2,
    3,
    17,
    31,
    64,
    65,
    100,
    128,
    129,
    255,
    256,
    257,
    300,
    511,
    512,
    513,
    1000,
    3001,
    5003,
]


WIDE = sort_x86.FEATURES <= HOST
ALONE = sort_llvm.ALONE


class Simulated(Network[np.ndarray]):
    """A network whose registers are arrays."""

    def _ordered(self, a, b):
        return np.minimum(a, b), np.maximum(a, b)

    def _turned(self, a, order):
        return a[list(order)]

    def _crossed(self, a, b, first, second):
        both = np.concatenate([a, b])
        return both[list(first)], both[list(second)]


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
@pytest.mark.parametrize("count", [2, 4, 8, 16])
def test_networks_sort(count: int, lanes: int) -> None:
    rng = np.random.default_rng(count * lanes)
    for bound in (2, 5, 1000):  # a network that sorts zeros and ones sorts everything
        for _ in range(10):
            keys = rng.integers(0, bound, count * lanes)
            found = np.concatenate(Simulated(keys.reshape(count, lanes), lanes).sorted())
            np.testing.assert_array_equal(found, np.sort(keys))


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
@pytest.mark.parametrize("count", [2, 4, 16])
def test_networks_merge(count: int, lanes: int) -> None:
    rng = np.random.default_rng(count + lanes)
    for bound in (2, 5, 1000):
        for _ in range(20):
            keys, top = rng.integers(0, bound, count * lanes), rng.integers(0, count * lanes)
            keys = np.concatenate([np.sort(keys[:top]), np.sort(keys[top:])[::-1]])
            keys = rng.choice([1, -1]) * keys  # that rise and fall, or fall and rise
            found = np.concatenate(Simulated(keys.reshape(count, lanes), lanes).merged())
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


Modules = dict[str, str]


@functools.cache
def loaded(module: str) -> Any:
    symbols = [
        line.split("@")[1].split("(")[0] for line in module.splitlines() if line[:6] == "define"
    ]
    return load_code(llvm.compile_object(module, llvm.level(module)), symbols)


def address(modules: Modules, kind: str) -> int:
    """Where a function for words is."""
    (name,) = [n for n in modules if n.startswith("words")]
    return loaded(modules[name]).address(kind)


Body = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3)
shared_parts: list[int] = []


def _run(_: int, body: int, context: int, count: int, grain: int, limit: int) -> None:
    """What the thread team does, in one thread and any order."""
    shared_parts.append(count)
    for k in np.random.default_rng(count).permutation(count):
        Body(body)(context, int(k), int(k) + 1, 0)


RUN = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 3)(_run)
THREE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(lambda _: 3)


def run(
    modules: Modules, x: np.ndarray, count: int, out: np.ndarray, many: int = ALONE
) -> np.ndarray:
    """The rows of x sorted by modules."""
    rows, n = x.shape
    if len(modules) == 3:  # long rows by the first, others by those that follow
        names, short = list(modules), n <= sort_rows_llvm.STACK
        modules = {k: modules[k] for k in (names[1:] if short else names[:1])}
    code = loaded(next(iter(modules.values())))
    rooms = [np.empty(n, "int64") for _ in range(4)]
    if len(modules) == 1:
        words = [ctypes.c_void_p(a.ctypes.data) for a in (x, *rooms, out)]
        types = [ctypes.c_void_p] * 6 + [ctypes.c_int64] * 3
        ctypes.CFUNCTYPE(None, *types)(code.address("kernel"))(*words, rows, n, count)
        return out
    held: dict[str, Any] = {k: address(modules, k) for k in ("few", "partition", "merge")}
    held |= {k: a.ctypes.data for k, a in (("x", x), ("room", rooms[0]), ("out", out))}
    held |= {"n": n, "count": count, "many": many, "team": 0}
    team = {"run": RUN, "threads": THREE}
    held |= {k: ctypes.cast(f, ctypes.c_void_p).value for k, f in team.items()}
    context = (ctypes.c_int64 * len(held))(*(held[name] for name in sort_rows_llvm.CONTEXT))
    Body(code.address("kernel"))(ctypes.addressof(context), 0, rows, 0)
    return out


def check(
    modules: Modules, dtype: str, positions: bool, descending: bool, sizes: list[int],
    many: int = ALONE,
) -> None:  # fmt: skip
    for n in sizes:
        x = np.stack([row for row in samples(dtype, n)])
        for count in sorted({n, min(n, 5)}):
            order = np.argsort(x, -1, kind="stable")
            if descending:
                order = n - 1 - np.argsort(x[:, ::-1], -1, kind="stable")[:, ::-1]
            out = np.empty((len(x), count), "int64" if positions else dtype)
            found = run(modules, x, count, out, many)
            wanted = order if positions else np.take_along_axis(x, order, -1)
            np.testing.assert_array_equal(found, wanted[:, :count], f"{n} {count}")
            if not positions and dtypes.is_float(dtype) and not descending and count == n:
                zeros = np.signbit(found) & (found == 0)
                plus = ~np.signbit(found) & (found == 0)
                assert all(not np.any(p[:-1] & z[1:]) for z, p in zip(zeros, plus, strict=True))


KINDS = [(False, False), (True, False), (True, True), (False, True)]


@pytest.mark.parametrize("bits, features", TABLES, ids=["avx2", "sse2", "host"][: len(TABLES)])
@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "int32", "uint64", "int8", "uint16", "float16", "bool"]
)
def test_modules_sort(dtype: str, bits: int, features: frozenset[str]) -> None:
    for positions, descending in KINDS:
        modules = sort_llvm.modules(dtype, positions, descending, bits, features)
        check(modules, dtype, positions, descending, SIZES)


def test_which_modules() -> None:
    """Words of 32 and 64 bits are sorted in registers of 512, long rows of others by bytes."""
    wide = sort_x86.FEATURES
    for dtype, positions, names in (
        ("float32", False, ["sort_float32", "words32"]),
        ("int8", False, ["sort_int8_long", "sort_int8", "words32"]),
        ("int8", True, ["argsort_int8", "words64"]),
        ("float64", True, ["argsort_float64", "words64"]),
    ):
        assert list(sort_llvm.modules(dtype, positions, False, 512, wide)) == names
        if len(names) == 3:
            for length, of_length in ((30, names[1:]), (sort_rows_llvm.STACK + 1, names[:1])):
                found = sort_llvm.modules(dtype, positions, False, 512, wide, length)
                assert list(found) == of_length
        for bits, features in ((256, wide), (512, wide - {"bmi2"})):
            assert list(sort_llvm.modules(dtype, positions, False, bits, features)) == names[-2:-1]


# what needs AVX-512: elsewhere nothing of it is made, and there is nothing to test ----------------


def kinds_of_rows() -> list[tuple[bool, bool]]:
    return KINDS if WIDE else []


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_long_rows_are_shared(dtype: str) -> None:
    for positions, descending in kinds_of_rows():
        modules = sort_llvm.modules(dtype, positions, descending, *TABLES[-1])
        shared_parts.clear()
        check(modules, dtype, positions, descending, [300, 3001, 20011], many=0)
        assert max(shared_parts) > 4


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_where_samples_end(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pivots between the least and the greatest word, from the first division on."""
    for positions, descending in kinds_of_rows():
        modules = sort_llvm.modules(dtype, positions, descending, *TABLES[-1])
        name = next(iter(modules))
        assert f"i64 {sort_rows_llvm.DEPTH})" in modules[name]
        shallow = modules | {name: modules[name].replace(f"i64 {sort_rows_llvm.DEPTH})", "i64 0)")}
        check(shallow, dtype, positions, descending, [1000, 3001])
        check(shallow, dtype, positions, descending, [3001], many=0)


def test_more_parts_than_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts beyond those that can wait are sorted by the thread that divides."""
    monkeypatch.setattr(sort_rows_llvm, "PARTS", 3)
    for positions, descending in kinds_of_rows():
        sort_llvm._rows_text.cache_clear()
        modules = sort_llvm.modules("float64", positions, descending, *TABLES[-1])
        shared_parts.clear()
        check(modules, "float64", positions, descending, [20011], many=0)
        assert max(shared_parts) == 3
    sort_llvm._rows_text.cache_clear()


@pytest.mark.parametrize("bits", [32, 64])
def test_few_words(bits: int) -> None:
    if WIDE:
        modules = {f"words{bits}": sort_llvm._words(bits)}
        few = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, ctypes.c_int64)(
            address(modules, "few")
        )
        rng, dtype = np.random.default_rng(bits), f"uint{bits}"
        room = np.zeros(sort_x86.ROOM + 64, "uint8")
        target = room[-room.ctypes.data % 64 :][: sort_x86.MOST].view(dtype)
        for n in range(sort_x86.MOST * 8 // bits + 1):
            for most in (1, 2 ** (bits - 1), 2**bits - 1):
                words = rng.integers(0, most, n + 2, dtype, endpoint=True)
                few(words[1:].ctypes.data, target.ctypes.data, n, 0)
                np.testing.assert_array_equal(target[:n], np.sort(words[1 : n + 1]))
                padded = np.append(words, words[:1].repeat(sort_x86.MOST * 8 // bits))
                target[:] = 0
                few(padded[1:].ctypes.data, target.ctypes.data, n, 1)
                np.testing.assert_array_equal(target[:n], np.sort(words[1 : n + 1]))


@pytest.mark.parametrize("bits", [32, 64])
def test_merged_halves(bits: int) -> None:
    if WIDE:
        merge = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(
            address({f"words{bits}": sort_llvm._words(bits)}, "merge")
        )
        rng, dtype = np.random.default_rng(bits), f"uint{bits}"
        room = np.zeros(sort_x86.ROOM + 64, "uint8")
        target = room[-room.ctypes.data % 64 :][: sort_x86.ROOM].view(dtype)
        for most in (1, 30, 2 ** (bits - 1), 2**bits - 1):
            for _ in range(20):
                words = rng.integers(0, most, len(target), dtype, endpoint=True)
                words[len(words) // 2 :] //= rng.integers(1, 4, dtype=dtype)
                target[:] = np.sort(words.reshape(2, -1), axis=1).reshape(-1)
                merge(target.ctypes.data)
                np.testing.assert_array_equal(target, np.sort(words))


@pytest.mark.parametrize("bits", [32, 64])
def test_partitions(bits: int) -> None:
    """Every number of words above whole chunks, between words that are not touched."""
    if WIDE:
        modules = {f"words{bits}": sort_llvm._words(bits)}
        word, number = (ctypes.c_uint32, ctypes.c_uint64)[bits == 64], ctypes.c_int64
        types = (ctypes.c_void_p, number, number, word, ctypes.c_void_p)
        part = ctypes.CFUNCTYPE(number, *types)(address(modules, "partition"))
        rng, dtype, few = np.random.default_rng(bits), f"uint{bits}", sort_x86.MOST * 8 // bits
        room = np.zeros(sort_x86.ROOM + 64, "uint8")
        work = room[-room.ctypes.data % 64 :]
        for n in (*range(few + 1, few + 150), 3 * few, 7 * few + 77, 20011):
            words = rng.integers(0, 2**bits - 1, n + 90, dtype, endpoint=True)
            for pivot in (0, 2 ** (bits - 2), 2 ** (bits - 1), 2**bits - 1):
                a, lo, hi = words.copy(), 37, 37 + n
                middle = part(a.ctypes.data, lo, hi, pivot, work.ctypes.data)
                old = words[lo:hi]
                assert middle == lo + np.count_nonzero(old < pivot)
                for found, wanted in ((a[lo:middle], old[old < pivot]),
                                      (a[middle:hi], old[old >= pivot])):  # fmt: skip
                    np.testing.assert_array_equal(np.sort(found), np.sort(wanted))
                assert np.array_equal(a[:lo], words[:lo]) and np.array_equal(a[hi:], words[hi:])


def ties(dtype: str, n: int) -> Iterator[np.ndarray]:
    """Elements that differ in high bits, in low bits, in both, and hardly ever."""
    rng = np.random.default_rng(n)
    if dtype == "float64":
        yield 1 + rng.integers(0, 50, n) * 2.0**-52
        yield np.where(rng.random(n) < 0.5, -1e300, 1e-300) * (1 + rng.integers(0, 9, n) * 2.0**-52)
        yield rng.choice(np.array([np.nan, -0.0, 0.0, 5e-324, -5e-324, np.inf, -np.inf, 3.0]), n)
        return
    info = np.iinfo(dtype)
    yield rng.choice(np.array([info.min, info.min + 1, info.max - 1, info.max], dtype), n)
    yield (rng.integers(0, 3, n) * 2**60 + rng.integers(0, 40, n)).astype(dtype)
    yield np.sort((rng.integers(0, 3, n) * 2**61 + rng.integers(0, 4, n)).astype(dtype))


@pytest.mark.parametrize("least", [1, 30, 40, 60])
@pytest.mark.parametrize("dtype", ["float64", "int64", "uint64"])
def test_order_of_ties(dtype: str, least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of which only a part finds room above positions: one level, two, three, and many."""
    monkeypatch.setattr(sort_order_llvm.Order, "least_bits", least)
    for descending in (False, True) if WIDE else ():
        module = ModuleWriter()
        sort_order_llvm.Order(module, Keys(dtype, True, descending)).write()
        modules = {"argsort": module.text(), "words64": sort_llvm._words(64)}
        for n in (1, 2, 9, 40, 200, 3001):
            for x in ties(dtype, n):
                order = np.argsort(x, kind="stable")
                if descending:
                    order = n - 1 - np.argsort(x[::-1], kind="stable")[::-1]
                for count in sorted({n, min(n, 5)}):
                    out = np.empty((1, count), "int64")
                    found = run(modules, x[None], count, out)
                    np.testing.assert_array_equal(found[0], order[:count], f"{n} {count}")
