"""Fourier transforms by cuFFT: whole programs, over a library and a device that are not there."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config
from symgraph.runtime.cuda import cufft
from symgraph.runtime.cuda.protocol import DeviceError
from tests.cuda.fake_cufft import FakeCufft
from tests.cuda.fake_library import Setting, installed

RNG = np.random.default_rng(103)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Any:
    with installed(monkeypatch, "cufft", FakeCufft) as setting:
        yield setting


def normal(*shape: int, dtype: str = "complex128") -> np.ndarray:
    x = RNG.standard_normal(shape)
    return (x + 1j * RNG.standard_normal(shape) if dtype.startswith("c") else x).astype(dtype)


def agree(make: Callable[..., Any], *arrays: np.ndarray) -> Any:
    inputs = [sg.tensor(f"x{k}", dtype=str(a.dtype), shape=(None,) * a.ndim)
              for k, a in enumerate(arrays)]  # fmt: skip
    outputs = list(make(*inputs))
    f = sg.compile(inputs, outputs, target="cuda")
    for a, b in zip(f(*arrays), sg.compile(inputs, outputs)(*arrays), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        rtol = 2e-5 if a.dtype in (np.float32, np.complex64) else 1e-12
        np.testing.assert_allclose(a, b, rtol=rtol, atol=10 * rtol)
    return f


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_complex_transforms(there: Setting, dtype: str, axis: int) -> None:
    def make(x: Any) -> list[Any]:
        return [sg.fft.fft(x, axis=axis), sg.fft.ifft(x, axis=axis),
                sg.fft.ifft(x, axis=axis, norm="ortho")]  # fmt: skip

    agree(make, normal(3, 4, 5, dtype=dtype))
    # the shorter side of the axis is gone along: one line of it is one call
    assert sum(there.library.calls.values()) == 3 * {0: 1, 1: 3, 2: 1}[axis]


def test_several_axes(there: Setting) -> None:
    agree(lambda x: [sg.fft.fftn(x), sg.fft.ifft2(x, norm="forward")], normal(2, 3, 4))
    assert there.library.calls["cufftExecZ2Z"] == 1 + 2 + 1 + 2 + 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 5, 6])
def test_real_transforms(there: Setting, dtype: str, n: int) -> None:
    def make(x: Any) -> list[Any]:
        y = sg.fft.rfft(x, axis=0)
        return [y, sg.fft.irfft(y * (1 + 2j), n=n, axis=0), sg.fft.rfft(x, axis=1, norm="ortho")]

    agree(make, normal(n, 4, dtype=dtype))
    assert len(there.library.calls) == 2


def test_derivatives_and_arguments_that_stay_as_they_are(there: Setting) -> None:
    x = sg.vector("x", dtype="complex128")
    back = sg.fft.irfft(x, n=6)
    f = sg.compile([x], [back, x * 1], target="cuda")
    array = normal(4)
    found = f(array)
    np.testing.assert_allclose(found[0], np.fft.irfft(array, 6), rtol=1e-12)
    np.testing.assert_array_equal(found[1], array)
    agree(lambda v: [sg.grad(sg.sum(sg.abs(sg.fft.rfft(v)) ** 2), v)], normal(6, dtype="float64"))


def test_graphs_plans_and_memory(there: Setting) -> None:
    x = sg.matrix("x", dtype="complex64")
    f = sg.compile([x], sg.fft.fft2(x), target="cuda")
    array = normal(3, 4, dtype="complex64")
    for _ in range(5):
        np.testing.assert_allclose(f(array), np.fft.fft2(array), rtol=1e-4, atol=1e-5)
    (frame,) = f.frames.values()
    assert frame.replays == 3 and len(there.library.plans) == 2
    del f, frame
    gc.collect()
    assert not there.library.plans and there.library.destroyed == 2


def test_what_stays_with_the_host(there: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    agree(lambda x: [sg.fft.fft(x, axis=1)], normal(0, 2, 3))
    monkeypatch.setattr(cufft, "MOST_CALLS", 2)
    agree(lambda x: [sg.fft.fft(x, axis=1)], normal(3, 2, 3))
    with config.change(libraries=False):
        agree(lambda x: [sg.fft.fft(x)], normal(3, 2))
    assert not there.library.calls


@pytest.mark.parametrize(
    ("name", "value"),
    [("FORWARD", 1), ("INVERSE", -1), ("TYPES", {**cufft.TYPES, ("C", "float64"): (0x29, "C2C")})],
)
def test_a_wrong_number_is_noticed(
    there: Setting, monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    monkeypatch.setattr(cufft, name, value)
    wrong = False
    try:
        agree(lambda x: [sg.fft.fft(x), sg.fft.ifft(x)], normal(3, 5))
    except (AssertionError, DeviceError):
        wrong = True
    assert wrong
