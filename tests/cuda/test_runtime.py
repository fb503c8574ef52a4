"""Functions for a GPU over a driver without one: results, what is asked of it, what fails."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import ArgumentError, IndexOutOfRange, InputValueError, TargetError
from symgraph.runtime.cuda import dlpack
from symgraph.runtime.cuda.array import from_dlpack, on_device, upload
from symgraph.runtime.cuda.device import Device, using
from symgraph.runtime.cuda.libcuda import library
from symgraph.runtime.cuda.memory import rounded
from symgraph.runtime.cuda.protocol import DeviceError, OutOfDeviceMemory
from tests.cuda import programs
from tests.cuda.fake_driver import POISON, FakeDriver


@pytest.fixture
def gpu() -> Iterator[Device]:
    with using(FakeDriver()) as made:
        yield made


def calls(gpu: Device) -> Any:
    return gpu.driver.calls  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", programs.PROGRAMS)
def test_programs_agree_with_the_cpu_and_leave_nothing(gpu: Device, name: str) -> None:
    f = programs.check(name)
    driver: Any = gpu.driver
    assert f.target == "cuda:sm_90" and driver.launched and not driver.calls["unpinned"]
    del f
    gc.collect()
    gpu.give_up_workspace()
    assert not driver.executables
    assert gpu.pool.statistics().used == 0
    gpu.pool.release()
    assert not driver.blocks


def test_what_one_call_asks_of_the_driver(gpu: Device) -> None:
    x, y = sg.vector("x", dtype="float32"), sg.scalar("y")
    f = sg.compile([x, y], [sg.exp(x) * 2 + 1, y + 1], target="cuda")
    array = np.arange(40, dtype="float32") / 9
    f(array, 1.0)
    calls(gpu).clear()
    f(array, 1.0)  # two small arguments are one copy; memory comes from the pool
    assert calls(gpu) == {"to_device": 1, "launch": 2, "to_host": 2, "synchronize": 1}
    f(array, 1.0)
    calls(gpu).clear()
    for _ in range(3):  # from now on the launches are one
        f(array, 1.0)
    assert calls(gpu) == {"to_device": 3, "graph": 3, "to_host": 6, "synchronize": 3}


def test_results_that_stay_on_the_device(gpu: Device) -> None:
    x = sg.vector("x", dtype="float32")
    f = sg.compile([x], sg.exp(x) * 2, target="cuda")
    array = np.arange(40, dtype="float32") / 40
    calls(gpu).clear()
    first = f.on_device(array)
    second = f.on_device(first)
    assert not calls(gpu)["to_host"] and calls(gpu)["to_device"] == 1
    assert first.shape == (40,) and first.dtype == np.float32 and first.nbytes == 160
    np.testing.assert_allclose(second.block_until_ready().numpy(), np.exp(np.exp(array) * 2) * 2,
                               rtol=1e-5)  # fmt: skip
    np.testing.assert_array_equal(np.asarray(second), second.numpy())
    with pytest.raises(InputValueError, match=r"dtype float64"):
        f(upload(gpu, np.zeros(3)))


@pytest.mark.parametrize("shape", [(), (0,), (3,)])
def test_numbers_and_empty_arrays_stay_too(gpu: Device, shape: tuple[int, ...]) -> None:
    x = sg.tensor("x", dtype="float32", shape=(None,) * len(shape))
    f = sg.compile([x], x + 1, target="cuda")
    value = f.on_device(f.on_device(np.ones(shape, "float32")))
    assert calls(gpu)["to_device"] == (0 not in shape)
    np.testing.assert_array_equal(value.numpy(), np.full(shape, 3, "float32"))


def test_shared_variables_live_on_the_device(gpu: Device) -> None:
    s, x = sg.shared(np.zeros(4, "float32"), "s"), sg.vector("x", dtype="float32")
    f = sg.compile([x], [], updates={s: s + x}, target="cuda")
    one = np.ones(4, "float32")
    f(one)
    calls(gpu).clear()
    for _ in range(3):
        f(one)
    assert calls(gpu)["to_device"] == 3 and not calls(gpu)["to_host"]  # the value stays
    assert not calls(gpu)["synchronize"] and not calls(gpu)["alloc"]
    np.testing.assert_array_equal(s.get_value(), np.full(4, 4))
    s.set_value(np.full(4, 10))
    f(one)
    np.testing.assert_array_equal(s.get_value(), np.full(4, 11))
    s.get_value(borrow=True)[...] = 20
    f(one)
    assert s.get_value()[0] == 21 and pickle.loads(pickle.dumps(s)).get_value()[0] == 21


def test_a_variable_that_the_cpu_uses_too(gpu: Device) -> None:
    s = sg.shared(np.float32(1), "s")
    double = sg.compile([], s, updates={s: s * 2}, target="cuda")
    double()
    add = sg.compile([], s, updates={s: s + 1})
    assert add() == 2.0 and double() == 3.0 and add() == 6.0 and double() == 7.0
    assert s.get_value() == 14.0


def test_a_failed_check_changes_nothing(gpu: Device) -> None:
    x, i = sg.vector("x", dtype="float32"), sg.scalar("i", dtype="int64")
    s = sg.shared(np.float32(0), "s")
    f = sg.compile([x, i], x[i], updates={s: s + 1}, target="cuda")
    with pytest.raises(IndexOutOfRange) as caught:
        f(np.ones(3, "float32"), 5)
    assert "x[i]" in str(caught.value) and s.get_value() == 0
    assert f(np.ones(3, "float32"), 2) == 1 and s.get_value() == 1


def test_arguments_are_checked_as_on_the_cpu(gpu: Device) -> None:
    x, y = sg.vector("x", shape=("n",)), sg.vector("y", shape=("n",))
    f = sg.compile([x, y], {"sum": x + y}, target="cuda")
    assert f([1, 2], y=[3, 4])["sum"].tolist() == [4, 6]
    with pytest.raises(InputValueError, match="has size 3, expected n = 2"):
        f([1.0, 2.0], [1.0, 2.0, 3.0])
    g = pickle.loads(pickle.dumps(f))
    assert g([1.0], [1.0])["sum"].tolist() == [2]


def test_a_size_that_depends_on_data(gpu: Device) -> None:
    x = sg.vector("x", dtype="float32")
    f = sg.compile([x], sg.exp(x[x > 0]), target="cuda")
    array = np.array([1, -1, 0.5, -2], "float32")
    np.testing.assert_allclose(f(array), np.exp(array[array > 0]), rtol=1e-6)


# memory -------------------------------------------------------------------------------------------


def test_sizes_of_blocks() -> None:
    assert [rounded(n) for n in (0, 1, 512, 513, 1 << 20)] == [512, 512, 512, 1024, 1 << 20]
    for n in (1 << 20, (1 << 20) + 1, 3_000_000, 10**9):
        assert n <= rounded(n) <= 1.25 * n and rounded(rounded(n)) == rounded(n)


def test_the_pool_is_emptied_before_memory_runs_out() -> None:
    with using(FakeDriver(8192)) as gpu:
        first = gpu.pool.take(4096)
        del first
        assert gpu.pool.statistics().held == 4096
        second = gpu.pool.take(6000)  # only without the free block
        assert gpu.pool.statistics()[:2] == (second.size, 0) and calls(gpu)["free"] == 1
        with pytest.raises(OutOfDeviceMemory, match=r"no room for 4.0 KiB: symgraph uses 6.0 KiB"):
            gpu.pool.take(4096)


def test_a_call_without_memory_can_be_made_again() -> None:
    x = sg.vector("x", dtype="float32")
    with using(FakeDriver(1 << 16)) as gpu:
        f = sg.compile([x], x + 1, target="cuda")
        with pytest.raises(MemoryError, match="SG701"):
            f(np.ones(1 << 14, "float32"))
        gc.collect()
        assert gpu.pool.statistics().used == 0
        assert f(np.ones(3, "float32")).tolist() == [2, 2, 2]


def test_the_fake_device_sees_wrong_addresses(gpu: Device) -> None:
    block = gpu.pool.take(512)
    host = np.zeros(1024, "uint8")
    with pytest.raises(DeviceError, match="illegal address"):
        gpu.driver.to_host(host.ctypes.data, block.address, 1024, gpu.stream)
    gpu.driver.to_host(host.ctypes.data, block.address, 512, gpu.stream)
    assert (host[:512] == POISON).all()


# other libraries ----------------------------------------------------------------------------------


class Foreign:
    """Another library's array: dense but for ``strides``."""

    def __init__(self, gpu: Device, array: np.ndarray, strides: Any = None, stream: Any = None):
        self.held = upload(gpu, array)
        words = {"shape": array.shape, "typestr": array.dtype.str, "strides": strides, "version": 3,
                 "data": (self.held.address, False), "stream": stream}  # fmt: skip
        self.__cuda_array_interface__ = words


def test_arrays_of_other_libraries_are_taken(gpu: Device) -> None:
    x = sg.matrix("x", dtype="float32")
    f = sg.compile([x], x * 2, target="cuda")
    array = np.arange(6, dtype="float32").reshape(2, 3)
    other = Foreign(gpu, array, stream=gpu.driver.stream())
    calls(gpu).clear()
    np.testing.assert_array_equal(f(other), array * 2)
    assert not calls(gpu)["to_device"] and calls(gpu)["record"] == calls(gpu)["wait"] == 1
    with pytest.raises(InputValueError, match="dense in C order"):
        f(Foreign(gpu, array, (4, 8)))
    assert on_device(gpu, array) is None


def test_dlpack_both_ways(gpu: Device) -> None:
    array = np.arange(6, dtype="int16").reshape(2, 3)
    made = upload(gpu, array)

    class Other:
        def __dlpack_device__(self) -> tuple[int, int]:
            return made.__dlpack_device__()

        def __dlpack__(self, **options: Any) -> Any:
            return made.__dlpack__(**options)

    found = from_dlpack(gpu, Other())
    assert found.address == made.address and len(dlpack._given) == 1
    np.testing.assert_array_equal(found.numpy(), array)
    del found
    gc.collect()
    assert not dlpack._given  # the consumer has let go
    with pytest.raises(BufferError):
        made.__dlpack__(dl_device=(1, 0))


# targets ------------------------------------------------------------------------------------------


def test_without_a_driver_it_is_said_what_is_missing() -> None:
    with pytest.raises(TargetError, match=r"needs NVIDIA's driver") as caught:
        library("libcuda_that_is_not_there.so.1")
    assert "install the driver" in caught.value.hint


@pytest.mark.parametrize(("target", "capability", "message"), [
    ("cuda:sm_100", (9, 0), "does not run on emulated GPU, which is sm_90"),
    ("cuda:sm_90a", (10, 0), "does not run on"),
    ("cuda:sm_5", (9, 0), "unknown CUDA architecture"),
    ("cuda", (6, 1), "the oldest architecture"),
    ("tpu", (9, 0), "unknown target"),
])  # fmt: skip
def test_targets_that_do_not_run(target: str, capability: Any, message: str) -> None:
    x = sg.vector("x")
    with using(FakeDriver(capability=capability)), pytest.raises(TargetError, match=message):
        sg.compile([x], x + 1, target=target)


@pytest.mark.parametrize(("capability", "name"), [((8, 9), "sm_89"), ((9, 1), "sm_90")])
def test_the_architecture_is_the_device_s(capability: Any, name: str) -> None:
    x = sg.vector("x")
    with using(FakeDriver(capability=capability)):
        f = sg.compile([x], x + 1, target="cuda")
        assert f.target == f"cuda:{name}" and f([1.0]) == [2.0]


def test_modes_are_for_the_cpu() -> None:
    x = sg.vector("x")
    with pytest.raises(ArgumentError, match='only target="cpu" has mode'):
        sg.compile([x], x + 1, target="cuda", mode="debug")
