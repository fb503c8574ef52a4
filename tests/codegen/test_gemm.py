"""Matrix products of our own, module by module, against NumPy: every table of tiles that this
machine can run, all layouts, odd sizes, with and without memory, by one thread and by several."""

from __future__ import annotations

import ctypes
import functools
import itertools
import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from symgraph import callbacks, executor, products
from symgraph.codegen import llvm
from symgraph.codegen.gemm.driver import SMALL, gemm_module
from symgraph.codegen.gemm.leaves import ATTRIBUTES, Leaf
from symgraph.codegen.gemm.microkernel import microkernel
from symgraph.codegen.gemm.narrow import inner_products
from symgraph.codegen.gemm.packing import straight, turned
from symgraph.codegen.gemm.parts import part_text
from symgraph.codegen.gemm.record import GIVEN, JOB
from symgraph.codegen.gemm.tiles import (
    COPIED_FOR,
    COPYING,
    HEAD,
    SINGLES,
    Tile,
    copying_rows,
    groups,
    parts,
    tile_for,
)
from symgraph.codegen.writer import ModuleWriter
from symgraph.errors import VerifyError
from symgraph.executor import load_code
from symgraph.runtime import shipped

HOST = ModuleWriter(llvm.host().features).features
WIDE = "avx512f" in HOST
TABLES = [("float32", 256, ("avx2",)), ("float64", 256, ("avx2",)), ("float64", 128, ("sse2",))]
if WIDE:
    TABLES += [("float32", 512, HOST), ("float64", 512, HOST), ("float32", 256, HOST)]
SIZES = [
    (1, 1, 1), (1, 1, 300), (8, 8, 8), (1, 100, 33), (100, 1, 33), (13, 10, 2), (17, 33, 5),
    (5, 7, 0), (0, 5, 3), (5, 0, 3), (1, 9, 0), (100, 100, 100), (3, 50, 700), (30, 300, 31),
    (61, 70, 601), (13, 2, 32), (50, 8, 130), (29, 9, 300), (12, 7, 2100), (8, 40, 128),
    (2, 12, 32),
]  # fmt: skip

# count, k, a and its three distances, b and its two, c and its two, last, flags
_N, _P = ctypes.c_int64, ctypes.c_void_p
MICROKERNEL = [_N, _N, _P, _N, _N, _N, _P, _N, _N, _P, _N, _N, _N, _N]
COPY = [_P, _N, _P, _N, _N, _N]
Malloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
Free = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
Threads = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
Body = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
Run = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 3)

_blocks: dict[int, Any] = {}


def _malloc(_: int, size: int) -> int:
    block = ctypes.create_string_buffer(size)
    _blocks[ctypes.addressof(block)] = block
    return ctypes.addressof(block)


def _free(_: int, block: int, size: int) -> None:
    del _blocks[block]


def _run(_: int, body: int, context: int, count: int, grain: int, limit: int) -> None:
    """What the thread team does, in one thread: ranges in any order, by any worker."""
    begins = list(range(0, count, grain))
    order = random.Random(count)
    order.shuffle(begins)
    for begin in begins:
        Body(body)(context, begin, min(count, begin + grain), order.randrange(limit))


MALLOC, NONE, FREE = Malloc(_malloc), Malloc(lambda *_: None), Free(_free)
THREE, RUN = Threads(lambda _: 3), Run(_run)


def address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


@functools.cache
def kernel(dtype: str, bits: int, features: frozenset[str]) -> Callable[[int], int]:
    module = ModuleWriter()
    gemm_module(module, tile_for(dtype, bits, features))
    code = load_code(llvm.compile_object(module.text()), ["kernel"])
    function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(code.address("kernel"))
    function.code = code
    return function


def multiply(
    table: tuple[Any, ...], a: np.ndarray, b: np.ndarray, c: np.ndarray, ta: int, tb: int,
    **more: Any,
) -> None:  # fmt: skip
    """c = op(a) op(b) by a module; ``a``, ``b`` and ``c`` are dense, with one leading axis."""
    dtype, bits, features = table
    (m, n), k = c.shape[1:], a.shape[-2 if ta else -1]
    words = {
        "batch": len(c), "m": m, "n": n, "k": k, "a": a.ctypes.data, "b": b.ctypes.data,
        "c": c.ctypes.data, "a_row": 1 if ta else k, "a_col": m if ta else 1, "a_next": m * k,
        "b_row": 1 if tb else n, "b_col": k if tb else 1, "b_next": k * n, "c_row": n,
        "c_next": m * n, "least": 1 << 60, "malloc": address(MALLOC), "free": address(FREE),
        "run": address(RUN), "threads": address(THREE), "awake": address(THREE),
        "parts": products.record(tile_for(dtype, bits, features).key), **more,
    }  # fmt: skip
    job = np.full(len(JOB.names), 0xABAD1DEA, np.int64)
    for name in GIVEN:
        job[JOB.names.index(name)] = words.get(name, 0)
    failed = kernel(dtype, bits, frozenset(features))(job.ctypes.data)
    assert not _blocks
    if failed:
        raise callbacks.pending()


def operands(
    dtype: str, batch: int, m: int, n: int, k: int, ta: int, tb: int
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(m * n + k)
    a = rng.standard_normal((batch, *((k, m) if ta else (m, k)))).astype(dtype)
    b = rng.standard_normal((batch, *((n, k) if tb else (k, n)))).astype(dtype)
    return a, b


def product(a: np.ndarray, b: np.ndarray, ta: int, tb: int) -> np.ndarray:
    a = a.swapaxes(-1, -2) if ta else a
    return a @ (b.swapaxes(-1, -2) if tb else b)


def check(got: np.ndarray, a: np.ndarray, b: np.ndarray, ta: int, tb: int, old: Any = 0.0) -> None:
    """The error is at most twice that of BLAS, plus some roundings of single terms."""
    k = a.shape[-2 if ta else -1]
    finer = "float64" if got.dtype == "float32" else "longdouble"
    exact = product(a.astype(finer), b.astype(finer), ta, tb)
    scale = np.finfo(got.dtype).eps * np.sqrt(max(k, 1))
    blas = np.abs(product(a, b, ta, tb) - exact).max(initial=0)
    assert np.abs(got - (exact + old)).max(initial=0) <= 2 * blas + 8 * scale


@pytest.mark.parametrize("table", TABLES, ids=lambda t: f"{t[0]}-{t[1]}-{len(t[2])}")
def test_layouts(table: tuple[Any, ...]) -> None:
    for (m, n, k), ta, tb, adds in itertools.product(SIZES, (0, 1), (0, 1), (0, 1)):
        a, b = operands(table[0], 1, m, n, k, ta, tb)
        guarded = np.full((3, m, n), 7.0, table[0])
        c = guarded[1:2]
        c[...] = 0.5 if adds else np.nan
        multiply(table, a, b, c, ta, tb, adds=adds)
        check(c, a, b, ta, tb, 0.5 * adds)
        assert (guarded[::2] == 7).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_operands_are_packed(dtype: str) -> None:
    """Shapes of several blocks of every kind; the first is packed for its size, the second for its
    layout, the third for the distance of its rows."""
    table = (dtype, llvm.host().vector_bits, HOST)
    cases = [(2101, 250, 530, 0, 0), (301, 2100, 530, 0, 1), (130, 270, 1024, 0, 0)]
    for m, n, k, ta, tb in [*cases, (1024, 250, 530, 1, 0)]:
        assert m * n * k > SMALL
        a, b = operands(dtype, 1, m, n, k, ta, tb)
        results = []
        for more in ({}, {"least": 0}, {"malloc": address(NONE)}):
            c = np.full((1, m, n), np.nan, dtype)
            multiply(table, a, b, c, ta, tb, **more)
            results.append(c)
        exact = product(a.astype("float64"), b.astype("float64"), ta, tb)
        for c in results:
            np.testing.assert_allclose(c, exact, rtol=0, atol=k * np.finfo(dtype).eps * 4)
        assert (results[0] == results[1]).all()  # to the bit, for any number of threads


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_threads_do_not_change_a_bit(batch: int) -> None:
    table = ("float32", llvm.host().vector_bits, HOST)
    for (m, n, k), ta, tb in itertools.product(
        [
            (40, 33, 20),
            (9, 500, 70),
            (1, 700, 90),
            (300, 1, 17),
            (65, 65, 600),
            (200, 7, 130),
            (6, 200, 130),
            (5, 7, 9),
            (20, 33, 2500),
            (100, 100, 2050),
        ],
        (0, 1),
        (0, 1),
    ):
        a, b = operands("float32", batch, m, n, k, ta, tb)
        alone, shared = (np.full((batch, m, n), np.nan, "float32") for _ in range(2))
        multiply(table, a, b, alone, ta, tb)
        multiply(table, a, b, shared, ta, tb, least=0)
        assert (alone == shared).all()
        check(alone, a, b, ta, tb)


@pytest.mark.parametrize("m, n, k", [(4, 4, 4), (8, 48, 30), (1, 5, 3), (3, 17, 0), (8, 1, 9)])
def test_a_batch_of_single_tiles(m: int, n: int, k: int) -> None:
    """Each product of a batch has the bits that its rows have in a taller product."""
    table = ("float32", llvm.host().vector_bits, HOST)
    for ta, tb, old in itertools.product((0, 1), (0, 1), (0, 1)):
        a, b = operands("float32", 100, m, n, k, ta, tb)
        c, shared = (np.full((100, m, n), 3, "float32") for _ in range(2))
        multiply(table, a, b, c, ta, tb, adds=old)
        multiply(table, a, b, shared, ta, tb, adds=old, least=0)
        assert (c == shared).all()
        check(c, a, b, ta, tb, 3.0 * old)
        if n > 1:
            tall = np.tile(a[7], (1, 3) if ta else (3, 1))[None]
            one = np.full((1, 3 * m, n), 3, "float32")
            if 3 * m > 1:
                multiply(table, np.ascontiguousarray(tall), b[7:8], one, ta, tb, adds=old)
                assert (one.reshape(3, m, n) == c[7]).all()


@pytest.mark.parametrize("least", [1 << 60, 0])
def test_rows_are_followed_up_once_when_complete(least: int) -> None:
    table = ("float32", llvm.host().vector_bits, HOST)
    for batch, m, n, k in [(1, 40, 33, 20), (3, 500, 40, 8), (1, 9, 600, 9), (2, 1, 70, 5),
                           (2, 70, 1, 5), (1, 2101, 250, 530), (1, 4, 4, 0),
                           (1, 100, 6, 100), (70, 4, 4, 4), (130, 3, 20, 5),
                           (1, 20, 33, 2500)]:  # fmt: skip
        a, b = operands("float32", batch, m, n, k, 0, 0)
        c = np.full((batch, m, n), np.nan, "float32")
        rows, seen = c.reshape(-1, n), np.zeros(batch * m, int)

        def follow(_: int, begin: int, end: int, worker: int) -> None:
            first, last = begin // 5, end // 5
            assert 0 <= worker < 3
            seen[first:last] += 1
            assert not np.isnan(rows[first:last]).any()
            rows[first:last] *= 2

        function = Body(follow)
        multiply(table, a, b, c, 0, 0, least=least, after=address(function), scale=5)
        assert (seen == 1).all()
        check(c / 2, a, b, 0, 0)


def test_few_columns_without_memory_for_a_copy() -> None:
    table = ("float32", llvm.host().vector_bits, HOST)
    a, b = operands("float32", 1, 50, 6, 200, 0, 0)
    c = np.full((1, 50, 6), np.nan, "float32")
    multiply(table, a, b, c, 0, 0, malloc=address(NONE))
    check(c, a, b, 0, 0)


@pytest.mark.parametrize("table", TABLES, ids=lambda t: f"{t[0]}-{t[1]}-{len(t[2])}")
def test_long_sums_are_made_in_stretches(table: tuple[Any, ...]) -> None:
    """The same bits on any number of threads; and without memory for them."""
    for (m, n, k), ta, tb in itertools.product(
        [(20, 33, 2500), (2, 70, 9001), (64, 64, 2048)], (0, 1), (0, 1)
    ):
        a, b = operands(table[0], 1, m, n, k, ta, tb)
        results = []
        for more in ({}, {"least": 0}, {"malloc": address(NONE)}):
            c = np.full((1, m, n), 0.5, table[0])
            multiply(table, a, b, c, ta, tb, adds=1, **more)
            check(c, a, b, ta, tb, 0.5)
            results.append(c)
        assert (results[0] == results[1]).all()


def test_special_values_pass() -> None:
    table = ("float32", llvm.host().vector_bits, HOST)
    for m, n, k in [(20, 30, 40), (1, 30, 40), (30, 1, 40), (30, 2, 40)]:
        a, b = operands("float32", 1, m, n, k, 0, 0)
        a[0, m // 2, 3], b[0, 7, n // 2] = np.nan, np.inf
        c = np.empty((1, m, n), "float32")
        multiply(table, a, b, c, 0, 0)
        with np.errstate(invalid="ignore"):
            want = a @ b
        assert (np.isnan(c) == np.isnan(want)).all()
        assert (np.isinf(c) == np.isinf(want)).all()


def leaf_text(leaf: Leaf) -> str:
    """The module of a part of products."""
    module = ModuleWriter()
    leaf.build(module.function("part", leaf.params, "void", "", ATTRIBUTES))
    return module.text()


def in_both_languages(leaf: Callable[[bool], Leaf], kinds: list[Any]) -> list[Any]:
    """The part in LLVM's language and in assembly language, as functions of such arguments."""
    found = []
    for assembled in (False, True):
        text = leaf_text(leaf(assembled))
        code = load_code(llvm.compile_object(text, llvm.CALLS), ["part"])
        function = ctypes.CFUNCTYPE(None, *kinds)(code.address("part"))
        function.code = code  # lives as long
        found.append(function)
    return found


@pytest.mark.parametrize("assembled", [False, True])
def test_a_tile_keeps_its_sums_in_registers(assembled: bool) -> None:
    """No accumulator goes through the stack inside the loop over the summed axis."""
    if not WIDE:
        assert not tile_for("float32", 256, ("avx2",)).assembled
        return
    tile: Tile = tile_for("float32", 512, HOST)
    level = llvm.CALLS if assembled else llvm.KERNELS
    leaf = microkernel(tile, tile.rows, tile.vectors, assembled=assembled)
    text = llvm.assembly(leaf_text(leaf), level)
    blocks = re.split(r"\n\.L(?:BB|tmp)", text)
    loops = [b for b in blocks if b.count("vfmadd") == tile.rows * tile.vectors]
    assert len(loops) == 1 + assembled  # with masks, and without
    assert not any("rsp" in loop for loop in loops)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_languages_make_the_same_tiles(dtype: str) -> None:
    """All heights and widths, over nothing, little and much, cut and whole, new and added to."""
    if not WIDE:
        assert not tile_for(dtype, 256, ("avx2",)).assembled
        return
    tile, rng = tile_for(dtype, 512, HOST), np.random.default_rng(5)
    assert tile.assembled
    columns = tile.columns
    for rows, vectors in itertools.product(range(1, tile.rows + 1), range(1, tile.vectors + 1)):
        made = in_both_languages(
            functools.partial(microkernel, tile, rows, vectors, ""), MICROKERNEL
        )
        for k, last, adds, (apart, along) in [
            (0, tile.lanes, 0, (1, 2 * rows)), (0, 1, 1, (1, 2 * rows)), (1, 3, 0, (1, 2 * rows)),
            (9, tile.lanes, 1, (11, 1)), (33, tile.lanes - 1, 0, (33, 1)), (7, 2, 1, (1, 2 * rows)),
        ]:  # fmt: skip
            a = rng.standard_normal(max(2 * rows * max(k, 1), 2 * rows * apart) + 64).astype(dtype)
            b = rng.standard_normal((k + 1, columns)).astype(dtype)
            start = rng.standard_normal((2 * rows + 1, columns + 3)).astype(dtype)
            found = []
            for function in made:
                c = start.copy()
                function(2, k, a.ctypes.data, apart, along, rows * apart, b.ctypes.data, columns, 0,
                         c.ctypes.data, columns + 3, 1, last, adds)  # fmt: skip
                found.append(c)
            assert found[0].tobytes() == found[1].tobytes(), (rows, vectors, k, last, adds)
            width = (vectors - 1) * tile.lanes + last
            assert (found[1][:, width:] == start[:, width:]).all()
            assert (found[1][2 * rows :] == start[2 * rows :]).all()
            matrix = np.lib.stride_tricks.as_strided(
                a, (2 * rows, k), [s * a.itemsize for s in (apart, along)]
            )
            want = matrix.astype("float64") @ b[:k, :width] + adds * start[: 2 * rows, :width]
            np.testing.assert_allclose(found[1][: 2 * rows, :width], want, rtol=0, atol=2e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tiles_that_copy_what_they_read(dtype: str) -> None:
    """They make the bits of those that do not, and leave whole vectors, with zeros beyond B."""
    if not WIDE:
        assert not tile_for(dtype, 256, ("avx2",)).assembled
        return
    tile, rng = tile_for(dtype, 512, HOST), np.random.default_rng(6)
    for rows, vectors in itertools.product(copying_rows(tile), range(1, tile.vectors + 1)):
        (plain,) = in_both_languages(
            functools.partial(microkernel, tile, rows, vectors, ""), MICROKERNEL
        )[1:]
        made = in_both_languages(
            functools.partial(microkernel, tile, rows, vectors, "copying"), [*MICROKERNEL, _P]
        )
        wide = vectors * tile.lanes
        for k, last, adds in [(0, 1, 1), (1, tile.lanes, 0), (40, 3, 0), (500, tile.lanes, 1)]:
            width = wide - tile.lanes + last
            a = rng.standard_normal((rows, max(k, 1))).astype(dtype)
            b = rng.standard_normal((k, width)).astype(dtype)
            want = rng.standard_normal((rows, width)).astype(dtype)
            start, strip = want.copy(), np.full((k + 1, wide), 7, dtype)
            ends = [width, 1, last, adds]
            begins = [1, k, a.ctypes.data, max(k, 1), 1, 0, b.ctypes.data, width, 0]
            plain(*begins, want.ctypes.data, *ends)
            for function in made:
                c, strip[...] = start.copy(), 7
                function(*begins, c.ctypes.data, *ends, strip.ctypes.data)
                assert c.tobytes() == want.tobytes()
                assert (strip[:k, :width] == b).all()
                assert not strip[:k, width:].any()
                assert (strip[k] == 7).all()


def test_the_first_of_enough_tiles_is_high_enough_to_copy() -> None:
    for table in TABLES:
        tile = tile_for(*table)
        for m in range(tile.rows * (COPIED_FOR - 1) + 1, 40 * tile.rows):
            count = -(-m // tile.rows)
            assert m // count in copying_rows(tile)
            assert m // count + (m % count > 0) in copying_rows(tile)


def test_copied_strips_change_no_bit() -> None:
    """B across lines of cache and in them, rows that compete for places, many and few tiles."""
    table = ("float32", llvm.host().vector_bits, HOST)
    for m, n, k in [(64, 100, 70), (25, 48, 10), (26, 1024, 33), (530, 97, 600), (600, 49, 1030)]:
        a, b = operands("float32", 1, m, n, k, 0, 0)
        room = np.zeros(b.size + 64, "float32")
        results = []
        for shift in (0, 4, 1):
            start = (-room.ctypes.data % 64) // 4 + shift
            held = room[start : start + b.size].reshape(b.shape)
            held[...] = b
            for more in ({}, {"least": 0}, {"malloc": address(NONE)}):
                c = np.full((1, m, n), np.nan, "float32")
                multiply(table, a, held, c, 0, 0, **more)
                results.append(c)
        check(results[0], a, b, 0, 0)
        alike = {c.tobytes() for q, c in enumerate(results) if q % 3 < 2}
        assert len(alike) == 1


@pytest.mark.parametrize("form", ["", "turned"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_languages_make_the_same_tiles_of_images(dtype: str, form: str) -> None:
    """A's elements are where two tables say; columns of the result lie apart, or its rows."""
    if not WIDE:
        assert not tile_for(dtype, 256, ("avx2",)).assembled
        return
    tile, rng = tile_for(dtype, 512, HOST).of_images("a"), np.random.default_rng(5)
    lanes, image = tile.lanes, rng.standard_normal(900).astype(dtype)
    shapes = itertools.product((3, 5, 8) if form else (1, 2, 7), range(1, tile.vectors + 1))
    for rows, vectors in [*shapes, (6, 4)]:
        made = in_both_languages(
            functools.partial(microkernel, tile, rows, vectors, form), MICROKERNEL
        )
        for k, last, adds in [(0, lanes, 1), (1, 3, 0), (33, lanes - 1, 1), (40, lanes, 0)]:
            places = rng.integers(0, 500, 2 * rows, "int32")
            taps = rng.integers(0, 400, k + 1, "int32")
            width = (vectors - 1) * lanes + last
            b = rng.standard_normal((k + 1, vectors * lanes)).astype(dtype)
            start = rng.standard_normal((vectors * lanes + 2, 2 * rows + 3)).astype(dtype)
            start = start if form else np.ascontiguousarray(start.T)
            apart = start.shape[1]
            found = []
            for function in made:
                c = start.copy()
                function(2, k, image.ctypes.data, places.ctypes.data, taps.ctypes.data, rows,
                         b.ctypes.data, vectors * lanes, 0, c.ctypes.data, 1 if form else apart,
                         apart if form else 1, last, adds)  # fmt: skip
                found.append(c.T if form else c)
            assert found[0].tobytes() == found[1].tobytes(), (rows, vectors, k, last, adds)
            old = start.T if form else start
            want = image[places[:, None] + taps[:k]].astype("float64") @ b[:k, :width]
            want += adds * old[: 2 * rows, :width]
            np.testing.assert_allclose(found[1][: 2 * rows, :width], want, rtol=0, atol=2e-5)
            assert (found[1][:, width:] == old[:, width:]).all()
            assert (found[1][2 * rows :] == old[2 * rows :]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_languages_make_the_same_copies(dtype: str) -> None:
    if not WIDE:
        assert not tile_for(dtype, 256, ("avx2",)).assembled
        return
    tile, rng = tile_for(dtype, 512, HOST), np.random.default_rng(7)
    source = rng.standard_normal(400).astype(dtype)
    for vectors in range(1, tile.vectors + 1):
        made = in_both_languages(functools.partial(straight, tile, tile.lanes, vectors), COPY)
        width = vectors * tile.lanes
        for k, step, valid in [(0, 9, 1), (1, 9, 1), (5, 60, tile.lanes), (7, 33, tile.lanes - 1)]:
            found = []
            for function in made:
                target = np.full((8, width + 2), -1, dtype)
                function(target.ctypes.data, width + 2, source.ctypes.data, step, valid, k)
                found.append(target)
            assert found[0].tobytes() == found[1].tobytes(), (vectors, k, step, valid)
            there = width - tile.lanes + valid
            for p in range(k):
                assert (found[1][p, :there] == source[p * step : p * step + there]).all()
                assert (found[1][p, there:width] == 0).all()
            assert (found[1][k:] == -1).all()
            assert (found[1][:, width:] == -1).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_languages_turn_the_same_blocks(dtype: str) -> None:
    if not WIDE:
        assert not tile_for(dtype, 256, ("avx2",)).assembled
        return
    tile, rng = tile_for(dtype, 512, HOST), np.random.default_rng(8)
    lanes = tile.lanes
    for rows in {min(lanes, tile.panel), lanes}:
        made = in_both_languages(functools.partial(turned, tile, rows), COPY)
        strides = (rows, rows + 5) if rows == lanes else (rows,)
        for k, valid, stride in itertools.product(
            (0, 1, lanes, 3 * lanes - 2, 300), (1, rows - 1, rows), strides
        ):
            source = rng.standard_normal((rows, k + 3)).astype(dtype)
            found = []
            for function in made:
                target = np.full((k + 2 * lanes, stride), -1, dtype)
                function(target.ctypes.data, stride, source.ctypes.data, k + 3, valid, k)
                found.append(target)
            assert found[0].tobytes() == found[1].tobytes(), (rows, k, valid, stride)
            assert (found[1][:k, :valid] == source[:valid, :k].T).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_languages_make_the_same_inner_products(dtype: str) -> None:
    if not WIDE:
        assert not tile_for(dtype, 256, ("avx2",)).assembled
        return
    tile, rng = tile_for(dtype, 512, HOST), np.random.default_rng(9)
    kinds = [_N, _P, _N, _P, _N, _P, _N, _N, _N]
    for few, long in [*groups(tile).items(), *((n, 1) for n in SINGLES)]:
        made = in_both_languages(functools.partial(inner_products, tile, long, few), kinds)
        for k, adds in itertools.product((0, 1, tile.lanes, tile.lanes + 1, 300), (0, 1)):
            x = rng.standard_normal((long, k + 2)).astype(dtype)
            y = rng.standard_normal((few, k + 5)).astype(dtype)
            start = rng.standard_normal((long + 1, few + 3)).astype(dtype)
            for across in (False, True):
                found = []
                for function in made:
                    c = start.copy()
                    steps = (1, long) if across else (few + 3, 1)
                    function(
                        k, x.ctypes.data, k + 2, y.ctypes.data, k + 5, c.ctypes.data, *steps, adds
                    )
                    found.append(c)
                assert found[0].tobytes() == found[1].tobytes(), (long, few, k, adds)
            got = np.lib.stride_tricks.as_strided(
                found[1], (long, few), (found[1].itemsize, long * found[1].itemsize)
            )
            before = np.lib.stride_tricks.as_strided(
                start, (long, few), (start.itemsize, long * start.itemsize)
            )
            want = x[:, :k].astype("float64") @ y[:, :k].T + adds * before
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)


@pytest.mark.parametrize("table", TABLES, ids=lambda t: f"{t[0]}-{t[1]}-{len(t[2])}")
def test_every_part_can_be_made(table: tuple[Any, ...]) -> None:
    tile = tile_for(*table)
    for images in ("", "a", "b"):
        names = parts(tile.of_images(images))
        assert len(names) == len(set(names)) < 62  # the bits of a word
        for name in names:
            result = "i32" if name.endswith("_product") else "void"
            assert f"define {result} @part(" in part_text(tile.of_images(images), name)


def test_only_the_parts_that_are_needed_are_made() -> None:
    """A record of its own for each product: what it asks for, it calls, and nothing beyond the two
    heights of tiles and three widths of strips, or what copies an operand."""
    table = ("float32", llvm.host().vector_bits, HOST)
    tile = tile_for(*table)
    for (m, n, k), ta, tb in itertools.product(SIZES, (0, 1), (0, 1)):
        record = products.Record(tile.key)
        products._by_address[record.address] = record
        a, b = operands("float32", 1, m, n, k, ta, tb)
        c = np.zeros((1, m, n), "float32")
        multiply(table, a, b, c, ta, tb, parts=record.address)
        check(c, a, b, ta, tb)
        words = record.words[HEAD : HEAD + len(record.names)]
        made = [x for x, word in zip(record.names, words, strict=True) if word]
        copying = sum(x.endswith(COPYING) for x in made)
        assert copying <= 4
        assert sum(x.startswith("tile") for x in made) <= 6 + copying
        assert len(made) <= 14 + copying
        if k and m == n == 8:
            packing = [f"turned_{tile.lanes}x{tile.lanes}", "pack_strips", "pack_b"]
            assert set(made) == {"tile_8x1", *packing * tb}
        del products._by_address[record.address]


def test_a_part_that_cannot_be_made_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exception arrives, nothing has been written, and the next call may succeed."""
    table = ("float32", llvm.host().vector_bits, HOST)
    for m, n, k in [(20, 30, 40), (1, 30, 40), (300, 6, 200)]:
        record = products.Record(tile_for(*table).key)
        monkeypatch.setitem(products._by_address, record.address, record)
        a, b = operands("float32", 1, m, n, k, 0, 1)
        c = np.full((1, m, n), 7.0, "float32")
        with monkeypatch.context() as patch:
            patch.setattr(record, "_text", lambda name: "define nonsense")
            patch.setattr(executor, "compiler_digest", lambda: "no such compiler")
            patch.setattr(shipped, "objects", lambda *_: {})
            with pytest.raises(VerifyError):
                multiply(table, a, b, c, 0, 1, parts=record.address, least=0)
        assert (c == 7).all()
        multiply(table, a, b, c, 0, 1, parts=record.address, least=0)
        check(c, a, b, 0, 1)
