"""Arrays of other libraries, in and out, by small objects that follow their protocols."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import symgraph as sg
import symgraph.cuda
from symgraph import dtypes
from symgraph.errors import InputValueError, TargetError
from symgraph.runtime.cuda import dlpack, libcuda, with_pycuda
from symgraph.runtime.cuda.array import on_device, upload
from symgraph.runtime.cuda.device import Device, using
from symgraph.runtime.cuda.protocol import OutOfDeviceMemory
from tests.cuda.fake_driver import FakeDriver


@pytest.fixture
def gpu() -> Iterator[Device]:
    with using(FakeDriver()) as made:
        yield made


def fake(gpu: Device) -> Any:
    return gpu.driver


class Interface:
    """An array as CuPy, Numba and pycuda describe theirs; ``late`` is what its stream still has to
    write there."""

    def __init__(self, gpu: Device, value: np.ndarray, version: int, stream: int, late: bool):
        self.block = gpu.pool.take(value.nbytes)
        held = value.copy()

        def write() -> None:
            ctypes.memmove(self.block.address, held.ctypes.data, held.nbytes)

        fake(gpu)._enter("late", stream, write) if late else write()
        self.__cuda_array_interface__: dict[str, Any] = {
            "shape": value.shape, "typestr": value.dtype.str, "version": version,
            "data": (self.block.address, True), "strides": None,
        }  # fmt: skip
        if version >= 3:
            self.__cuda_array_interface__["stream"] = stream


@pytest.mark.parametrize(("version", "default"), [(3, False), (3, True), (2, True)])
def test_work_of_their_stream_comes_first(gpu: Device, version: int, default: bool) -> None:
    stream = 1 if default else gpu.driver.stream()
    x = sg.vector("x", dtype="float32")
    f = sg.compile([x], x * 2, target="cuda")
    value = np.arange(5, dtype="float32")
    found = f(Interface(gpu, value, version, stream, late=True))
    np.testing.assert_array_equal(found, value * 2)
    assert not fake(gpu).calls["to_device"]


def test_places_that_kernels_cannot_read_are_copied(gpu: Device) -> None:
    x = sg.vector("x", dtype="float32")
    f = sg.compile([x], x * 2, target="cuda")
    made = upload(gpu, np.arange(8, dtype="float32"))
    view = Interface(gpu, np.zeros(5, "float32"), 3, 1, late=False)
    view.__cuda_array_interface__["data"] = (made.address + 4, False)
    for _ in range(4):
        assert f(view).tolist() == [2, 4, 6, 8, 10]


def test_what_cannot_be_taken(gpu: Device) -> None:
    value = Interface(gpu, np.zeros((2, 3), "float32"), 3, 1, late=False)
    value.__cuda_array_interface__["mask"] = value
    with pytest.raises(InputValueError, match="mask"):
        on_device(gpu, value)

    class Elsewhere:
        def __dlpack_device__(self) -> tuple[int, int]:
            return dlpack.CUDA, 1

    with pytest.raises(InputValueError, match="on GPU 1"):
        on_device(gpu, Elsewhere())

    class Host:
        def __dlpack_device__(self) -> tuple[int, int]:
            return 1, 0

    with pytest.raises(InputValueError, match="no array on this GPU"):
        symgraph.cuda.from_dlpack(Host())


class Exported:
    """An array of ours as another library hands it out: with a stream of its own."""

    def __init__(self, array: Any) -> None:
        self.array, self.streams = array, []  # type: ignore[var-annotated]

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CUDA, 0

    def __dlpack__(self, *, stream: int | None = None) -> Any:
        self.streams.append(stream)
        return self.array.__dlpack__(stream=stream)


@pytest.mark.parametrize("dtype", ["float32", "int8", "bool", "complex64", "bfloat16", "float16"])
def test_dlpack_keeps_values_and_types(gpu: Device, dtype: str) -> None:
    value = np.array([[1, 0, 3]]).astype(dtypes.numpy_dtype(dtype))
    other = Exported(symgraph.cuda.upload(value))
    found = symgraph.cuda.from_dlpack(other)
    assert found.dtype == value.dtype and found.shape == (1, 3)
    np.testing.assert_array_equal(found.numpy(), value)
    assert other.streams == [gpu.stream]
    del found, other
    gc.collect()
    assert not dlpack._given


@pytest.mark.parametrize(("stream", "waits"), [(None, 1), (1, 1), (2, 1), (-1, 0)])
def test_consumers_wait_for_ours(gpu: Device, stream: int | None, waits: int) -> None:
    x = sg.vector("x", dtype="float32")
    made = sg.compile([x], x * 2, target="cuda").on_device(np.ones(3, "float32"))
    before = fake(gpu).calls["synchronize"]
    capsule = made.__dlpack__(stream=stream, max_version=(1, 0))
    assert fake(gpu).calls["wait"] == waits and fake(gpu).calls["synchronize"] == before
    if waits:
        fake(gpu)._drain(stream or 1)
        assert fake(gpu).at(made.address, 4).view("float32")[0] == 2
    assert dlpack.read(capsule)[1] == (3,)
    with pytest.raises(BufferError, match="copy it there"):
        made.__dlpack__(copy=True)
    said = made.__cuda_array_interface__
    assert said["stream"] == gpu.stream and said["version"] == 3 and said["typestr"] == "<f4"


def test_memory_is_counted_and_released(gpu: Device) -> None:
    x = sg.vector("x", dtype="float32")
    f = sg.compile([x], x * 2, target="cuda")
    kept = f.on_device(np.ones(3, "float32"))
    symgraph.cuda.synchronize()
    assert symgraph.cuda.statistics().used > 0
    del f, kept
    gc.collect()
    symgraph.cuda.release()
    assert symgraph.cuda.statistics()[:2] == (0, 0) and not fake(gpu).blocks


def test_temporaries_make_room_before_memory_runs_out() -> None:
    """The temporaries of a larger function are given up for another's results."""
    x = sg.vector("x", dtype="float32")
    with using(FakeDriver(12 << 10)) as gpu:
        f = sg.compile([x], x + 1, target="cuda")
        f(np.ones(1000, "float32"))  # 8 KB: argument and result
        held = upload(gpu, np.ones(700, "float32"))  # 3 KB
        kept = f.on_device(upload(gpu, np.ones(700, "float32")))
        assert kept.numpy()[0] == 2
        with pytest.raises(OutOfDeviceMemory, match=r"no room for .*KiB: symgraph uses .*KiB"):
            f(np.ones(3000, "float32"))
        assert f(np.ones(5, "float32"))[0] == 2 and held.numpy()[3] == 1


# what is missing ----------------------------------------------------------------------------------


class Library:
    """A libcuda.so.1 with the functions of ``missing`` left out and these results."""

    def __init__(self, status: int = 0, count: int = 1, missing: str = "") -> None:
        self.status, self.count, self.missing = status, count, missing

    def __getattr__(self, name: str) -> Any:
        if name == self.missing:
            raise AttributeError(name)

        def call(*args: Any) -> int:
            if name == "cuDeviceGetCount":
                ctypes.cast(args[0], ctypes.POINTER(ctypes.c_int))[0] = self.count
            return self.status if name == "cuInit" else 0

        return type("Entry", (), {"__call__": lambda self, *args: call(*args)})()


@pytest.mark.parametrize(("library", "what", "hint"), [
    (Library(missing="cuGraphLaunch"), "too old: .* has no cuGraphLaunch", "470"),
    (Library(status=100), "finds no GPU", "CUDA_VISIBLE_DEVICES"),
    (Library(count=0), "finds no GPU", "nvidia-smi"),
])  # fmt: skip
def test_it_is_said_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, library: Library, what: str, hint: str
) -> None:
    monkeypatch.setattr(libcuda.ctypes, "CDLL", lambda name: library)
    libcuda.library.cache_clear()
    with pytest.raises(TargetError, match=what) as caught:
        libcuda.library("a library for tests")
    assert hint in caught.value.hint
    libcuda.library.cache_clear()


def test_pycuda_that_cannot_be_used_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pycuda", None)
    assert with_pycuda.pycuda_driver() is None


class Pycuda:
    """What is used of pycuda.driver, with 1000 bytes of memory."""

    class MemoryError(Exception):
        pass

    class Block:
        def __init__(self) -> None:
            self.freed = False

        def __int__(self) -> int:
            return 4096

        def free(self) -> None:
            self.freed = True

    class Stream:
        def __init__(self, flags: int) -> None:
            assert flags == libcuda.NOT_SYNCHRONIZED
            self.handle = 77

    def __init__(self) -> None:
        self.calls: list[str] = []

    def init(self) -> None:
        self.calls.append("init")

    def Device(self, number: int) -> Any:
        self.calls.append(f"device {number}")
        return self

    def retain_primary_context(self) -> str:
        return "context"

    def mem_alloc(self, size: int) -> Block:
        if size > 1000:
            raise self.MemoryError("cuMemAlloc failed: out of memory")
        return self.Block()


def test_pycuda_gives_context_memory_and_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libcuda, "library", lambda: Library())
    module = Pycuda()
    driver = with_pycuda.PycudaDriver(module)
    assert driver.kind == "pycuda" and module.calls == ["init", "device 0"]
    address, stream = driver.alloc(100), driver.stream()
    block = driver.objects[address]
    assert (address, stream) == (4096, 77)
    driver.free(address)
    driver.destroy_stream(stream)
    assert block.freed and not driver.objects
    with pytest.raises(OutOfDeviceMemory, match="out of memory"):
        driver.alloc(2000)


def test_managed_memory_is_never_asked_for() -> None:
    assert not [name for name in libcuda._SIGNATURES if "Managed" in name]
    assert {"cuGraphLaunch", "cuMemHostAlloc"} <= set(libcuda._SIGNATURES)
