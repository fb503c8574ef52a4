"""The PTX of every kind of kernel, run by the emulator and compared with the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import cuda_stages
from symgraph.codegen.ptx.architecture import architecture
from symgraph.cuda_stages import DeviceProgram
from tests.cuda import running
from tests.cuda.cases import CASES
from tests.cuda.test_schedules import close, inputs_of

_kept: dict[str, tuple[Any, DeviceProgram]] = {}


def device(name: str) -> tuple[Any, DeviceProgram]:
    if name not in _kept:
        d, program = running.scheduled(*CASES[name].outputs)
        _kept[name] = d, cuda_stages.emit(program, running.ARCH)
    return _kept[name]


@pytest.mark.parametrize("name", CASES)
def test_the_emulated_kernels_agree_with_the_cpu(name: str) -> None:
    case = CASES[name]
    d, made = device(name)
    arrays = inputs_of(d, case)
    found = running.emulated(d, made, arrays)
    expected = sg.compile(list(d.graph.inputs), case.outputs)(*arrays)
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        if case.exact:
            np.testing.assert_array_equal(a, b, f"{name}, result {k}")
        else:
            close(a, b, f"{name}, result {k}")


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sin", "pow", "erf", "sigmoid", "expm1"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_have_the_bits_of_the_cpu(name: str, dtype: str) -> None:
    """Portable mathematics: only operations that IEEE 754 rounds are used, in one order. The sign
    of a NaN means nothing: an instruction of AVX-512 makes the logarithm's negative."""
    x = sg.vector("x", dtype=dtype)
    word = {"erf": "special.erf", "sigmoid": "nn.sigmoid", "pow": "power"}.get(name, name)
    function: Any = sg
    for part in word.split("."):
        function = getattr(function, part)
    y = function(sg.abs(x), x / 3) if name == "pow" else function(x)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-30, -1e-30, 700.0, -700.0, 1e30]
    array = np.array([*np.linspace(-20, 20, 120), *special], dtype)
    d, program = running.scheduled(y)
    found = running.emulated(d, cuda_stages.emit(program, running.ARCH), [array])[0]
    wanted = sg.compile([x], y)(array)
    np.testing.assert_array_equal(found, wanted)
    number = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(found)[number], np.signbit(wanted)[number])


@pytest.mark.parametrize("name", ["elementwise_vectors", "whole", "rows", "transposed"])
def test_text_of_modules(golden: Callable[[str, str], None], name: str) -> None:
    golden(f"cuda/llvm_{name}", device(name)[1].llvm)


def test_vectors_of_sixteen_bytes() -> None:
    x = sg.vector("x", dtype="float32")
    _, program = running.scheduled(x * 2 + 1)
    (kernel,) = cuda_stages.emit(program, running.ARCH).kernels.values()
    assert kernel.aligned and "ld.global.nc.v4.b32" in kernel.ptx
    assert "st.global.v4.b32" in kernel.ptx


@pytest.mark.parametrize("shape", [(20_000,), (1, 600), (900, 3), (300, 40)])
def test_long_folds(shape: tuple[int, ...]) -> None:
    """Several blocks and chunks, and an error that does not grow with their number."""
    x = sg.tensor("x", dtype="float32", shape=(None,) * len(shape))
    outputs = [x.sum(), sg.argmax(x), x.sum(axis=0), x.max(axis=-1)]
    array = np.random.default_rng(5).standard_normal(shape).astype("float32") + 3
    d, program = running.scheduled(*outputs)
    found = running.emulated(d, cuda_stages.emit(program, running.ARCH), [array])
    np.testing.assert_allclose(found[0], array.sum(dtype="float64"), rtol=2e-7)
    assert found[1] == array.argmax()
    np.testing.assert_allclose(found[2], array.sum(axis=0, dtype="float64"), rtol=4e-7)
    np.testing.assert_array_equal(found[3], array.max(axis=-1))


@pytest.mark.parametrize(("columns", "threads", "barriers"), [(256, 128, 0), (4096, 256, 4)])
def test_rows_of_known_length_are_read_once_by_vectors(
    columns: int, threads: int, barriers: int
) -> None:
    """Up to 512 elements a warp has a row for itself; a thread's elements stay in registers."""
    x = sg.tensor("x", dtype="float32", shape=(8, columns))
    mean, spread = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
    for y in (sg.nn.softmax(x, axis=1), (x - mean) / sg.sqrt(spread + 1e-5)):
        _, program = running.scheduled(y)
        (kernel,) = cuda_stages.emit(program, running.ARCH).kernels.values()
        assert kernel.threads == threads and kernel.ptx.count("bar.sync") == barriers
        vectors = columns * 8 // 8 // 4 // (32 if columns == 256 else threads)
        assert kernel.ptx.count("ld.global.nc.v4") == kernel.ptx.count("ld.global") == vectors
        assert kernel.ptx.count("st.global.v4") == vectors
        assert ".shared" not in kernel.ptx or barriers


def test_memory_that_is_written_in_place_is_not_promised_to_be_apart() -> None:
    state = sg.shared(np.ones(1000, "float32"))
    f = sg.compile([], [], updates={state: state * 2}, mode="interpret")
    d = f.definition
    program = cuda_stages.scheduled(d, running.stages.optimized_graph(d))
    (kernel,) = cuda_stages.emit(program, running.ARCH).kernels.values()
    assert "noalias" not in kernel.llvm and "ld.global.nc" not in kernel.ptx


@pytest.mark.parametrize("name", ["sm_70", "sm_75", "sm_80", "sm_100", "sm_120"])
def test_every_architecture_has_its_version(name: str) -> None:
    x = sg.vector("x", dtype="float32")
    _, program = running.scheduled(sg.exp(x).sum())
    made = cuda_stages.emit(program, architecture(name))
    assert all(f".target {name}" in k.ptx for k in made.kernels.values())
