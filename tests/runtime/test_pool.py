import ctypes
import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from numpy._core.multiarray import get_handler_name

from symgraph import config
from symgraph.codegen import pool_ir
from symgraph.runtime import abi, elf, pool
from symgraph.runtime.pool import POOL_FROM, Pool

BIG = POOL_FROM  # bytes
IMMORTAL = []


@pytest.fixture(params=[True, False], ids=["mapped", "malloc"])
def small_pool(request, emit):
    """A pool of its own with a cap of 4 MB."""
    made = Pool(elf.load(emit(pool_ir.pool_module(request.param))), 4 << 20)
    IMMORTAL.append(made)  # as pools are: the frames of a failed test may hold arrays for long
    yield made
    gc.collect()
    assert made.stats()["live"] == 0
    made.trim()
    assert made.stats()["kept"] == 0


def test_the_table_is_the_one_the_code_reads():
    assert pool._STATE == pool_ir.STATE
    assert pool._WORDS == pool_ir.WORDS and pool.POOL_FROM == pool_ir.POOL_FROM


def test_the_object_needs_nothing_from_outside(emit):
    blob = emit(pool_ir.pool_module())
    obj = elf._parse(blob)
    undefined = [obj.name(s) for s in obj.symbols if s.section == 0 and s.name]
    assert undefined == []


def test_arrays_own_their_pooled_memory(small_pool):
    a = small_pool.empty((512, 256), "f4")
    assert get_handler_name(a) == "symgraph_pool"
    assert a.flags.owndata and a.flags.c_contiguous and a.flags.writeable and a.base is None
    assert a.shape == (512, 256) and a.dtype == np.float32 and a.ctypes.data % 64 == 0
    a[:] = 3
    view = a[5:]
    del a
    gc.collect()
    assert view.sum() == 3 * view.size and small_pool.stats()["live"] >= BIG
    del view
    stats = small_pool.stats()
    assert stats["live"] == 0 and stats["kept"] >= BIG


def test_blocks_are_used_again(small_pool):
    a = small_pool.empty((BIG,), "u1")
    where = a.ctypes.data
    del a
    b = small_pool.empty((BIG + 1000,), "u1")  # of the same class
    assert b.ctypes.data == where and small_pool.stats()["hits"] == 1
    del b


@pytest.mark.parametrize("small_pool", [True], indirect=True, ids=["mapped"])
def test_mapped_blocks_do_not_alias_in_their_pages(small_pool):
    """Blocks from malloc start where malloc likes, so that only mapped ones have a known offset."""
    arrays = [small_pool.empty((BIG,), "u1") for _ in range(8)]
    assert len({a.ctypes.data % 4096 for a in arrays}) == 8
    del arrays


def test_blocks_are_aligned(small_pool):
    arrays = [small_pool.empty((BIG,), "u1") for _ in range(8)]
    assert all(a.ctypes.data % 64 == 0 for a in arrays)
    del arrays


@pytest.mark.parametrize("size", [BIG - 1, BIG, BIG + 1, 300_000, 524_287, 524_288, 1_048_577])
def test_every_byte_of_a_block_is_ours(small_pool, size):
    arrays = [small_pool.empty((size,), "u1") for _ in range(3)]
    for k, a in enumerate(arrays):
        a[:] = k + 1
    for k, a in enumerate(arrays):
        assert (a == k + 1).all()
    del a, arrays


def test_small_and_odd_requests_are_numpys(small_pool):
    for shape, dtype in (((3,), "f8"), ((0, 5), "f8"), ((), "f4"), ((BIG,), object)):
        a = small_pool.empty(shape, dtype)
        assert a.shape == shape and get_handler_name(a) == "default_allocator"
    with pytest.raises(ValueError):
        small_pool.empty((-1, BIG), "u1")
    with pytest.raises((MemoryError, ValueError)):
        small_pool.empty((1 << 45,), "f8")


@pytest.mark.parametrize("first", [1000, BIG, 3 * BIG])
@pytest.mark.parametrize("last", [10, BIG // 2, BIG, BIG + 5000, 6 * BIG])
def test_resize_keeps_the_contents(small_pool, first, last):
    a = small_pool.empty((max(first, BIG),), "u1")
    a[:] = np.arange(a.size) % 251
    for size in (first, last):
        a.resize(size, refcheck=False)
        common = min(first, size)
        assert (a[:common] == np.arange(common) % 251).all()
    assert not a[first:].any() or last <= first
    del a


def test_calloc_clears_and_refuses_overflow(small_pool):
    address = small_pool._code.address("pool_calloc")
    size = ctypes.c_size_t
    calloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, size, size)(address)
    a = small_pool.empty((BIG,), "u1")
    a[:] = 9
    del a
    block = calloc(small_pool.ctx, BIG // 8, 8)
    assert ctypes.string_at(block, BIG) == bytes(BIG)
    small_pool._release(small_pool.ctx, block, BIG)
    assert calloc(small_pool.ctx, 1 << 40, 1 << 40) is None
    assert small_pool._alloc(small_pool.ctx, (1 << 63) - 1) is None
    small_pool._release(small_pool.ctx, None, 0)


def test_the_cap_bounds_what_is_kept(small_pool):
    arrays = [small_pool.empty((BIG,), "u1") for _ in range(40)]
    del arrays
    assert 0 < small_pool.stats()["kept"] <= small_pool.cap
    huge = small_pool.empty((8 << 20,), "u1")
    del huge
    assert small_pool.stats()["kept"] <= small_pool.cap


def test_a_full_pool_makes_room_for_new_sizes(small_pool):
    arrays = [small_pool.empty((BIG,), "u1") for _ in range(20)]
    del arrays
    a = small_pool.empty((2 << 20,), "u1")
    where = a.ctypes.data
    del a
    b = small_pool.empty((2 << 20,), "u1")
    assert b.ctypes.data == where
    del b


def test_trim_and_a_smaller_cap_give_memory_back(small_pool):
    arrays = [small_pool.empty((BIG,), "u1") for _ in range(5)]
    live = small_pool.stats()["live"]
    assert small_pool.trim() == 0
    del arrays
    assert small_pool.trim() == live and small_pool.stats()["kept"] == 0
    a = small_pool.empty((BIG,), "u1")
    del a
    small_pool.cap = 0
    assert small_pool.stats()["kept"] == 0
    a = small_pool.empty((BIG,), "u1")
    del a
    assert small_pool.stats()["kept"] == 0


def test_many_threads(small_pool):
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        kept = []
        for k in range(300):
            # ctypes calls of the pool run without the interpreter's lock
            a = small_pool.empty((int(rng.integers(BIG, 4 * BIG)),), "u1")
            a[:16], a[-16:] = seed, seed
            kept.append(a)
            if k % 7 == 0:
                small_pool.trim()
            if len(kept) > 3:
                old = kept.pop(int(rng.integers(len(kept))))
                if not ((old[:16] == seed).all() and (old[-16:] == seed).all()):
                    wrong.append(seed)

    threads = [threading.Thread(target=work, args=(s,)) for s in range(1, 5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_forked_child_does_not_wait_for_a_lock_held_elsewhere(emit, tmp_path):
    (tmp_path / "pool.o").write_bytes(emit(pool_ir.pool_module()))
    script = """if True:
        import os, sys
        from symgraph.runtime import elf, pool
        with open(sys.argv[1], "rb") as file:
            made = pool.install(elf.load(file.read()))
        made._state[0] = 1  # as if another thread were inside
        pid = os.fork()
        if pid == 0:
            os._exit(made.empty((1 << 20,), "u1").nbytes != 1 << 20)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "pool.o")],
        env={**os.environ, "PYTHONPATH": root},
        check=True,
        timeout=30,
    )


def test_install_makes_one_pool(emit):
    code = elf.load(emit(pool_ir.pool_module()))
    first = pool.install(code)
    assert first is not None and pool.install(code) is first and pool.current() is first
    assert first.handler == id(first._capsule) and first.ctx and first.malloc and first.free


def test_the_setting_turns_the_pool_off(emit, monkeypatch):
    monkeypatch.setattr(pool, "_current", None)
    with config.change(pool_size=0):
        assert pool.install(elf.load(emit(pool_ir.pool_module()))) is None
    assert pool.current() is None


def test_a_doubtful_handler_place_turns_the_pool_off(emit, monkeypatch):
    assert pool.handler_place_verified()
    monkeypatch.setattr(pool, "_current", None)
    monkeypatch.setattr(abi, "A_HANDLER", abi.A_HANDLER - 8)
    assert not pool.handler_place_verified()
    assert pool.install(elf.load(emit(pool_ir.pool_module()))) is None


def test_the_default_cap_is_a_quarter_of_memory():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < pool.default_cap() <= memory // 4
