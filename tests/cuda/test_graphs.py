"""Graphs, streams, staging and the walker over the emulated driver, which does work late."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.cuda import frames
from symgraph.errors import ArgumentError
from symgraph.runtime.cuda import device as devices
from symgraph.runtime.cuda.array import upload
from symgraph.runtime.cuda.device import Device, on_stream, using
from symgraph.runtime.cuda.protocol import DeviceError
from symgraph.runtime.cuda.routines import ROUTINES, NativeCall
from symgraph.runtime.cuda.staging import Staging
from tests.cuda.fake_driver import FakeDriver


@pytest.fixture
def gpu() -> Iterator[Device]:
    with using(FakeDriver()) as made:
        yield made


def fake(gpu: Device) -> Any:
    return gpu.driver


def increment() -> Any:
    x = sg.vector("x", dtype="float32")
    return sg.compile([x], x + 1, target="cuda")


# graphs -------------------------------------------------------------------------------------------


def test_a_graph_computes_what_the_walk_does(gpu: Device) -> None:
    f = increment()
    for k in range(5):
        np.testing.assert_array_equal(f(np.full(3, k, "float32")), np.full(3, k + 1))
    (frame,) = f.frames.values()
    assert frame.walks == 3 and frame.replays == 3  # the third walk was captured
    assert fake(gpu).replayed == {"launch": 3}


def test_other_sizes_have_other_graphs(gpu: Device) -> None:
    f = increment()
    for k in range(4):
        for n in (3, 5):
            np.testing.assert_array_equal(f(np.full(n, k, "float32")), np.full(n, k + 1))
    assert [len(frame.graphs) for frame in f.frames.values()] == [1, 1]


def test_a_workspace_that_moves_makes_graphs_anew(gpu: Device) -> None:
    f, g = increment(), increment()
    for _ in range(4):
        f(np.ones(3, "float32"))
    (frame,) = f.frames.values()
    before = frame.base
    g(np.ones(1000, "float32"))  # needs more room than f
    assert f(np.ones(3, "float32")).tolist() == [2, 2, 2]
    assert frame.base != before and not frame.graphs


def test_arguments_that_are_always_elsewhere_get_a_place(gpu: Device) -> None:
    f = increment()
    values = [upload(gpu, np.full(3, k, "float32")) for k in range(frames.MOST_SEEN + 9)]
    kept = [f.on_device(v) for v in values]
    (frame,) = f.frames.values()
    assert frame.unsteady and frame.replays >= 4
    for k, value in enumerate(kept):
        assert value.numpy().tolist() == [k + 1] * 3


def test_the_number_of_graphs_is_limited(gpu: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MOST_GRAPHS", 2)
    f = increment()
    values = [upload(gpu, np.full(3, k, "float32")) for k in range(4)]
    for v in values:
        for _ in range(4):
            f(v)
    (frame,) = f.frames.values()
    assert len(frame.graphs) == 2 and len(fake(gpu).executables) == 2


def test_what_cannot_become_a_graph_is_walked(gpu: Device) -> None:
    class Unwilling(FakeDriver):
        def instantiate(self, graph: int) -> int:
            raise DeviceError("no graphs here", "CUDA_ERROR_NOT_SUPPORTED")

    with using(Unwilling()) as other:
        f = increment()
        for _ in range(5):
            assert f(np.ones(2, "float32")).tolist() == [2, 2]
        assert fake(other).calls["graph"] == 0 and fake(other).calls["capture"] == 1


@pytest.mark.parametrize("call", [
    lambda g: g.driver.alloc(8), lambda g: g.driver.synchronize(g.stream),
    lambda g: g.driver.finish(g.driver.event()), lambda g: g.driver.load(b".entry k("),
    lambda g: g.driver.to_device(g.pool.take(8).address, ctypes.addressof(ctypes.c_int64()), 8,
                                 g.stream),
])  # fmt: skip
def test_the_emulated_driver_spoils_graphs(gpu: Device, call: Any) -> None:
    gpu.pool.take(8)
    gpu.driver.capture(gpu.stream)
    with pytest.raises(DeviceError, match="in a capture"):
        call(gpu)
    with pytest.raises(DeviceError, match="spoiled"):
        gpu.driver.end_capture(gpu.stream)


# streams ------------------------------------------------------------------------------------------


class Torch:
    def __init__(self, stream: int) -> None:
        self.cuda_stream = stream


class Cupy:
    def __init__(self, stream: int) -> None:
        self.ptr = stream


class Pycuda:
    def __init__(self, stream: int) -> None:
        self.handle = stream


class Protocol:
    def __init__(self, stream: int) -> None:
        self.stream = stream

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.stream


@pytest.mark.parametrize("kind", [int, Torch, Cupy, Pycuda, Protocol])
def test_streams_of_others(gpu: Device, kind: Any) -> None:
    """Our work comes after what the stream was given before, and before what it is given then."""
    stream, driver = gpu.driver.stream(), fake(gpu)
    source, target = gpu.pool.take(512), gpu.pool.take(512)
    f = increment()
    value = upload(gpu, np.zeros(3, "float32"))
    gpu.synchronize()
    driver.fill(value.address, 0, 12, stream)
    driver.fill(value.address + 3, 0x40, 1, stream)  # the first is 2.0
    result = f.on_device(value, stream=kind(stream))
    driver.copy(target.address, result.address, 12, stream)
    driver._drain(stream)  # nobody has waited for our own
    assert driver.at(target.address, 12).view("float32").tolist() == [3, 1, 1]
    del source


def test_the_stream_of_a_block(gpu: Device) -> None:
    f, stream = increment(), gpu.driver.stream()
    with on_stream(stream):
        assert devices.current_stream() == stream
        fake(gpu).calls.clear()
        f.on_device(upload(gpu, np.ones(2, "float32")))
        assert fake(gpu).calls["wait"] == 2
    assert devices.current_stream() is None
    with pytest.raises(ArgumentError, match="no stream"):
        f(np.ones(2, "float32"), stream="main")
    with pytest.raises(ArgumentError, match="no stream"):
        f(np.ones(2, "float32"), stream=-3)


def test_an_input_named_stream(gpu: Device) -> None:
    x = sg.vector("stream")
    f = sg.compile([x], x * 2, target="cuda")
    assert f(stream=[1.0, 2.0]).tolist() == [2, 4]


# staging ------------------------------------------------------------------------------------------


def test_arguments_may_change_after_a_call(gpu: Device) -> None:
    f, array = increment(), np.zeros(4, "float32")
    values = []
    for k in range(6):
        array[:] = k
        values.append(f.on_device(array))
    array[:] = 99
    assert [v.numpy()[0] for v in values] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("size", [0, 1, 255, 1024, 4096, 5000, 20000])
def test_arrays_go_through_a_small_ring(gpu: Device, size: int) -> None:
    staging = Staging(gpu.driver, gpu.stream, 4096)
    rng = np.random.default_rng(size)
    arrays = [rng.integers(0, 255, size, "uint8") for _ in range(3)]
    places = [gpu.pool.take(size).address for _ in arrays]
    blocks = [gpu.pool.take(size) for _ in arrays]
    places = [b.address for b in blocks]
    for place, array in zip(places, arrays, strict=True):
        held = array.copy()
        staging.upload([(place, held)])
        held[...] = 0
    back = [np.empty(size, "uint8") for _ in arrays]
    staging.download([(a, p) for a, p in zip(back, places, strict=True) if size])
    for a, b in zip(arrays, back, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not fake(gpu).calls["unpinned"] and len(fake(gpu).events) <= 8


def test_neighbours_become_one_copy(gpu: Device) -> None:
    block, staging = gpu.pool.take(4096), gpu.staging
    parts = [(block.address + 256 * k, np.full(100, k, "uint8")) for k in range(4)]
    fake(gpu).calls.clear()
    staging.upload([*parts, (block.address + 3000, np.ones(8, "uint8"))])
    assert fake(gpu).calls["to_device"] == 2
    gpu.synchronize()
    for address, array in parts:
        np.testing.assert_array_equal(fake(gpu).at(address, 100), array)


# routines of libraries ----------------------------------------------------------------------------


def test_a_routine_of_a_library_is_called_by_the_walker(
    gpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for a library's product: the walker calls its C function with addresses."""
    seen: list[Any] = []
    driver = fake(gpu)
    kind = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_uint64] * 6)

    def solve(a: int, b: int, x: int, n: int, stream: int, room: int) -> int:
        seen.append((n, stream, driver.at(room, 1000).size))

        def work() -> None:
            m = driver.at(a, 4 * n * n).view("float32").reshape(n, n)
            v = driver.at(b, 4 * n).view("float32")
            driver.at(x, 4 * n).view("float32")[...] = np.linalg.solve(m, v)

        driver._enter("library", stream, work)
        return 0

    function = kind(solve)

    def prepare(device: Device, operands: Any, params: Any) -> list[NativeCall]:
        assert operands[0].dtype == "float32"
        n = operands[0].shape[-1]
        address = ctypes.cast(function, ctypes.c_void_p).value or 0
        words = (("buffer", 0, 0), ("buffer", 1, 0), ("buffer", len(operands) - 1, 0), n,
                 ("stream",), ("workspace", 0))  # fmt: skip
        return [NativeCall(address, words, function, 1000)]

    monkeypatch.setitem(ROUTINES, "python", prepare)
    a, b = sg.matrix("a", dtype="float32"), sg.vector("b", dtype="float32")
    op = sg.python_op(infer="float32[n, n], float32[n] -> float32[n]")(np.linalg.solve)
    f = sg.compile([a, b], op(a, b) * 2, target="cuda")
    matrix = np.array([[2, 0], [0, 4]], "float32")
    for k in range(1, 6):
        value = np.full(2, 4 * k, "float32")
        np.testing.assert_allclose(f(matrix, value), np.linalg.solve(matrix, value) * 2)
    assert seen[0] == (2, gpu.stream, 1000) and driver.replayed["library"] == 3
