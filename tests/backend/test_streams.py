"""Results written past the caches, forced for small ones too: bits are those of ordinary stores."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config, stages
from symgraph.codegen import llvm, streams_llvm
from symgraph.compiler import stage_definition

STREAMS = "sse2" in llvm.host().features  # the processor has such stores

FORMULAS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "two results": lambda x, y: (x - y, x * y + y),
    "chain": lambda x, y: ((x * y + 3) * y - x) * y + (x - 2 * y) * (x + y),
    "slow": lambda x, y: sg.tanh(x) * y,
    "rows": lambda x, y: x + y[0],
    "transpose": lambda x, y: sg.tanh(x).T + 1,
    "flags": lambda x, y: x < y,
    "narrower": lambda x, y: (sg.cast(x, "float32"), y + 1),
    "softmax": lambda x, y: sg.nn.softmax(x + y, axis=1),
    "below": lambda x, y: sg.concatenate([x, y], 0),
    "beside": lambda x, y: sg.concatenate([x, y * 2], 1),
    "reversed": lambda x, y: x[:, ::-1] + y,
    "fill": lambda x, y: sg.zeros(x.shape) + 3,
}


@pytest.fixture(autouse=True)
def every_kernel_is_made_anew() -> Iterator[None]:
    with config.change(cache=False, parallel_from=0):
        yield


def compiled(formula: Callable[[Any, Any], Any], dtype: str) -> Any:
    x = sg.matrix("x", dtype=dtype)
    y = sg.tensor("y", dtype=dtype, shape=x.shape)
    return sg.compile([x, y], formula(x, y), on_unused_input="ignore")


def arrays(shape: tuple[int, int], dtype: str) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(shape[0])
    return tuple((rng.normal(size=shape) * 9).astype(dtype) for _ in range(2))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64"])
@pytest.mark.parametrize("name", FORMULAS)
def test_bits_are_those_of_ordinary_stores(
    name: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of all lengths: those of whole lines, of which each is aligned, and others."""
    if name == "softmax" and dtype[0] == "i":
        dtype = "float16"
    plain = compiled(FORMULAS[name], dtype)
    monkeypatch.setattr(streams_llvm, "FROM", 0)
    streaming = compiled(FORMULAS[name], dtype)
    for shape in [(1, 0), (1, 1), (3, 64), (64, 64), (5, 257), (200, 128), (33, 1000)]:
        args = arrays(shape, dtype)
        wanted = plain(*args)
        for threads in (1, 2, 3):
            with config.change(num_threads=threads):
                found = streaming(*args)
            several = isinstance(wanted, tuple)
            for a, b in zip(found, wanted, strict=True) if several else [(found, wanted)]:
                assert a.dtype == b.dtype
                assert a.tobytes() == b.tobytes(), (shape, threads)


def kernels_of(*outputs: Any) -> str:
    d = stage_definition(list(outputs))
    graph = stages.optimized_graph(d)
    lowered = stages.emit(d, graph, stages.lower(d, graph))
    return "\n".join(lowered.kernels.values())


def test_which_stores_may_stream() -> None:
    x = sg.vector("x")
    y = sg.tensor("y", shape=x.shape)
    known = sg.tensor("k", shape=(1000,))
    large = sg.tensor("l", shape=(5_000_000,))
    m = sg.matrix("m")
    assert ("!nontemporal" in kernels_of(sg.concatenate([m, m + 1], 1))) is STREAMS
    for word in ("!nontemporal", "sfence"):
        assert (word in kernels_of(x + y)) is STREAMS
        assert (word in kernels_of(large + 1)) is STREAMS
    assert "!nontemporal" not in kernels_of(known + 1)  # never large enough
    rows = sg.tensor("r", shape=(None, 16))
    assert "!nontemporal" not in kernels_of(rows + rows[0])  # loops of a line or so
    assert "!nontemporal" not in kernels_of(x[::-1] * 2)
    matrix = sg.matrix("m")
    text = kernels_of(matrix + matrix[0])
    assert (
        text.count("call void @llvm.x86.sse.sfence") == text.count("define void @kernel") * STREAMS
    )
    assert "!nontemporal" not in kernels_of(sg.sum(x))
    assert "!nontemporal" not in kernels_of(sg.cumsum(x))


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_sizes_around_the_threshold(extra: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_llvm, "FROM", 8 * 4096)
    x = sg.vector("x", dtype="float64")
    f = sg.compile([x], x * 2 + 1)
    values = np.arange(4096.0 + extra)
    for threads in (1, 2):
        with config.change(num_threads=threads):
            np.testing.assert_array_equal(f(values), values * 2 + 1)


def test_results_that_a_caller_in_c_places_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_llvm, "FROM", 0)
    x = sg.tensor("x", "float64", ("n",))
    entry = sg.compile([x], x * 2 + 1).c_entry
    values = np.arange(1000.0)
    pointers, sizes = ctypes.c_void_p * 1, ctypes.c_int64 * 1
    for offset in (0, 1, 3, 8, 56, 64):
        room = np.zeros(1100 * 8, np.uint8)
        first = -room.ctypes.data % 64 + offset
        status = entry.prototype(entry.address)(
            entry.context, pointers(values.ctypes.data), sizes(1000),
            pointers(room.ctypes.data + first),
        )  # fmt: skip
        assert status == 0
        assert room[first : first + 8000].tobytes() == (values * 2 + 1).tobytes()
        assert not room[:first].any() and not room[first + 8000 :].any()


def test_a_state_that_is_written_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_llvm, "FROM", 0)
    start = np.arange(1000.0)
    state = sg.shared(start, "state")
    f = sg.compile([], [state + 1], updates={state: state * 2})
    for turn in range(3):
        (found,) = f()
        np.testing.assert_array_equal(found, start * 2**turn + 1)
    np.testing.assert_array_equal(state.get_value(), start * 8)


def test_the_next_reader_sees_large_results() -> None:
    """Written past the caches by two threads, read at once."""
    x = sg.vector("x", dtype="float32")
    f, g = sg.compile([x], x + 1), sg.compile([x], sg.sum(sg.cast(x, "float64")))
    values = np.ones(streams_llvm.FROM // 4 + 100, np.float32)
    with config.change(num_threads=2):
        for _ in range(3):
            assert float(g(f(values))) == 2.0 * values.size


def test_which_loops_ask_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Light folds of one array that is read in the order of memory (but on a Zen 4), and loops of
    slow functions, that may be long."""
    x = sg.vector("x", dtype="float32")
    y = sg.tensor("y", dtype="float32", shape=x.shape)
    m = sg.tensor("m", dtype="float32", shape=(None, 64))
    folds = [sg.sum(x), sg.max(x), sg.sum(x * x), sg.sum(sg.matrix("n"), 1)]
    usual = llvm.instructions()
    zen4 = usual.features - {"avxvnni"} | {"avx512f", "sse4a"}
    for features in (usual.features - {"sse4a"}, zen4, zen4 | {"avxvnni"}):
        made = usual._replace(features=features)
        monkeypatch.setattr(llvm, "instructions", lambda made=made: made)
        assert "llvm.prefetch" in kernels_of(sg.exp(x) * y)
        for fold in folds:
            assert ("llvm.prefetch" in kernels_of(fold)) == (features != zen4)
    monkeypatch.undo()
    for silent in (sg.sum(x * y), sg.sum(sg.exp(x)), sg.sum(m, 1), sg.sum(x[::2]), x * y):
        assert "llvm.prefetch" not in kernels_of(silent)
