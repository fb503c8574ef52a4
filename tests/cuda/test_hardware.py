"""The programs of test_runtime.py and the kernels of test_ptx.py on a GPU: `make test-cuda`."""

from __future__ import annotations

import gc
from itertools import chain
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import IndexOutOfRange
from symgraph.runtime.cuda.device import Device, device, using
from symgraph.runtime.cuda.libcuda import CtypesDriver
from symgraph.runtime.cuda.protocol import OutOfDeviceMemory
from tests.cuda import programs
from tests.cuda.cases import CASES
from tests.cuda.fake_driver import FakeDriver
from tests.cuda.test_schedules import close

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("name", programs.ALL)
def test_programs_agree_with_the_cpu(name: str) -> None:
    programs.check(name)


@pytest.mark.parametrize("name", CASES)
def test_kernels_agree_with_the_cpu(name: str) -> None:
    case = CASES[name]
    inputs = _inputs(case.outputs)
    arrays = [case.arrays[v.name] for v in inputs]
    found = sg.compile(inputs, case.outputs, target="cuda")(*arrays)
    expected = sg.compile(inputs, case.outputs)(*arrays)
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        if case.exact:
            np.testing.assert_array_equal(a, b, f"{name}, result {k}")
        else:
            close(a, b, f"{name}, result {k}")


def _inputs(outputs: list[Any]) -> list[Any]:
    return [v for v in sg.Graph((), outputs).leaves(sized=True) if not hasattr(v, "get_value")
            and v.name]  # fmt: skip


@pytest.mark.parametrize("name", ["softmax", "product", "reductions"])
def test_the_emulator_has_the_bits_of_the_hardware(name: str) -> None:
    made = programs.PROGRAMS[name]()
    _, real, _ = programs.results(made, "cuda:sm_90" if _number() >= 90 else "cuda")
    with using(FakeDriver()):
        _, emulated, _ = programs.results(programs.PROGRAMS[name](), "cuda")
    for a, b in zip(chain(*real), chain(*emulated), strict=True):
        np.testing.assert_array_equal(a, b)


def _number() -> int:
    major, minor = device().driver.properties.capability
    return 10 * major + minor


def test_large_arrays() -> None:
    x = sg.matrix("x", dtype="float32")
    f = sg.compile([x], [sg.exp(x).sum(), x.sum(axis=0), sg.nn.softmax(x, axis=1)], target="cuda")
    array = np.random.default_rng(0).standard_normal((3001, 1777)).astype("float32")
    total, columns, rows = f(array)
    wide = array.astype("float64")
    np.testing.assert_allclose(total, np.exp(wide).sum(), rtol=1e-6)
    np.testing.assert_allclose(columns, wide.sum(axis=0), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-5)


def test_results_that_stay_and_memory_that_returns() -> None:
    x = sg.vector("x", dtype="float32")
    f = sg.compile([x], x * 2, target="cuda")
    gpu, value = device(), np.ones(1 << 20, "float32")
    f(value)
    gc.collect()
    used = gpu.pool.statistics().used
    for _ in range(10):
        value = f.on_device(value)
    assert value.numpy()[0] == 1024.0  # type: ignore[attr-defined]
    del value
    gc.collect()
    assert gpu.pool.statistics().used == used


def test_graphs_streams_and_late_errors() -> None:
    x, i = sg.vector("x", dtype="float32"), sg.scalar("i", dtype="int64")
    total = sg.shared(np.float32(0), "total")
    f = sg.compile([x, i], x[i] * 2, updates={total: total + 1}, target="cuda")
    values = np.arange(5, dtype="float32")
    assert [float(f(values, k)) for k in (0, 1, 2, 3, 4, 0)] == [0, 2, 4, 6, 8, 0]
    (frame,) = f.frames.values()
    assert frame.replays >= 3
    bad = f.on_device(values, 9)
    with pytest.raises(IndexOutOfRange):
        bad.numpy()
    assert total.get_value() == 6
    gpu = device()
    stream = gpu.driver.stream()
    for handle in (stream, 1, 2):
        assert float(f.on_device(values, 3, stream=handle)) == 6
    gpu.driver.destroy_stream(stream)


def test_branches_on_the_device() -> None:
    x = sg.vector("x", dtype="float32")
    f = sg.compile([x], sg.cond(sg.sum(x) > 0, lambda: sg.cumsum(x), lambda: -x), target="cuda")
    for sign in (1, -1, 1, -1, 1, -1):
        value = np.full(9, sign, "float32")
        np.testing.assert_array_equal(f(value), np.cumsum(value) if sign > 0 else -value)
    (frame,) = f.frames.values()
    assert frame.replays >= 3


def test_more_memory_than_there_is() -> None:
    gpu = device()
    with pytest.raises(OutOfDeviceMemory, match="the GPU has no room for"):
        gpu.pool.take(2 * gpu.driver.properties.memory)
    x = sg.vector("x")
    assert sg.compile([x], x + 1, target="cuda")([1.0]) == [2.0]


def test_both_drivers() -> None:
    with using(CtypesDriver()) as gpu:
        assert isinstance(gpu, Device)
        programs.check("elementwise")
