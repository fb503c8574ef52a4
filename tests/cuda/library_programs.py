"""Programs for NVIDIA's libraries, at any size: on hardware, and tiny over libraries of tests'.

What comes out is compared with the CPU as it is or, where signs and phases are open, put together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import symgraph as sg


class Case(NamedTuple):
    """``library`` is what it needs; ``make(*inputs)`` gives the outputs, ``arrays(n)`` arguments
    for matrices of about n rows; ``rtol`` is for float32, of the largest element."""

    library: str
    make: Callable[..., list[Any]]
    arrays: Callable[[int], list[np.ndarray]]
    rtol: float = 1e-4


def _normal(*shape: int, dtype: str = "float32") -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if dtype.startswith("c") else x).astype(dtype)


def _positive(*shape: int, dtype: str = "float32") -> np.ndarray:
    a = _normal(*shape, shape[-1], dtype=dtype)
    whole = a @ np.swapaxes(a, -1, -2).conj() / shape[-1] + np.eye(shape[-1])
    return whole.astype(dtype)


def _qr(x: Any) -> list[Any]:
    q, r = sg.linalg.qr(x)
    return [sg.abs(r), q @ r, sg.conj(sg.swapaxes(q, -1, -2)) @ q]


def _svd(x: Any) -> list[Any]:
    u, s, v = sg.linalg.svd(x, full_matrices=False)
    return [s, (u * s) @ v, sg.linalg.svdvals(x)]


def _eigh(x: Any) -> list[Any]:
    w, v = sg.linalg.eigh(x)
    return [w, (v * w) @ v.T, sg.linalg.eigvalsh(x)]


def _training(a: Any, b: Any) -> list[Any]:
    loss = sg.sum(sg.linalg.solve(a, b) ** 2) + sg.linalg.slogdet(a)[1]
    return [loss, *sg.grad(loss, [a, b])]


def _convolution(layout: str, **more: Any) -> Callable[..., list[Any]]:
    def make(x: Any, w: Any) -> list[Any]:
        y = sg.nn.conv(x, w, layout=layout, **more)
        return [y, *sg.grad(sg.sum(y * sg.sin(y)), [x, w])]

    return make


CASES: dict[str, Case] = {
    "product": Case("cublasLt", lambda x, y: [x @ y, x.T @ y], lambda n: [_normal(n, n)] * 2),
    "cholesky": Case("cusolver", lambda x: [sg.linalg.cholesky(x)], lambda n: [_positive(n)]),
    "cholesky of a batch": Case(
        "cusolver", lambda x: [sg.linalg.cholesky(x)],
        lambda n: [_positive(2, n, dtype="complex128")],
    ),
    "triangular": Case(
        "cublas", lambda a, b: [sg.linalg.solve_triangular(a, b, lower=True)],
        lambda n: [_positive(n), _normal(n, 3)],
    ),
    "solve": Case(
        "cusolver", lambda a, b: [sg.linalg.solve(a, b), sg.linalg.slogdet(a)[1]],
        lambda n: [_positive(n, dtype="float64")[::-1].copy(), _normal(n, 2, dtype="float64")],
    ),
    "solve complex": Case("cusolver", lambda a, b: [sg.linalg.solve(a, b)],
                          lambda n: [_positive(n, dtype="complex64")[::-1].copy(),
                                     _normal(n, 2, dtype="complex64")], 2e-3),
    "derivatives": Case("cusolver", _training, lambda n: [_positive(n), _normal(n, 2)], 2e-3),
    "qr": Case("cusolver", _qr, lambda n: [_normal(n + 9, n)]),
    "qr wide": Case("cusolver", _qr, lambda n: [_normal(n, n + 9, dtype="complex128")]),
    "svd": Case("cusolver", _svd, lambda n: [_normal(n + 9, n)]),
    "svd wide": Case("cusolver", _svd, lambda n: [_normal(n, n + 9, dtype="float64")]),
    "eigh": Case("cusolver", _eigh, lambda n: [_positive(n)]),
    "spectra of complex matrices": Case(
        "cusolver",
        lambda x: [*_svd(x), sg.linalg.eigvalsh(x @ sg.conj(sg.swapaxes(x, -1, -2)))],
        lambda n: [_normal(n, n + 9, dtype="complex128")],
    ),
    "fourier": Case(
        "cufft", lambda x: [sg.fft.fftn(x), sg.fft.ifft(x, axis=0), sg.fft.fft(x, norm="ortho")],
        lambda n: [_normal(n, 6, dtype="complex64")],
    ),
    "real fourier": Case(
        "cufft", lambda x: [sg.abs(sg.fft.rfft(x)), sg.fft.irfft(sg.fft.rfft(x), n=x.shape[1])],
        lambda n: [_normal(3, n)],
    ),
    "convolution": Case(
        "cudnn", _convolution("NCHW", padding=1, stride=2),
        lambda n: [_normal(2, 4, n, n + 1), _normal(6, 4, 3, 3)],
    ),
    "convolution, channels last": Case(
        "cudnn", _convolution("NHWC", groups=2, dilation=2),
        lambda n: [_normal(2, n, n + 1, 4), _normal(2, 2, 2, 6)],
    ),
    "convolution of lines": Case(
        "cudnn", _convolution("NCW", padding=2),
        lambda n: [_normal(2, 3, n), _normal(4, 3, 5)],
    ),
}  # fmt: skip


def check(name: str, n: int) -> int:
    """A program on the GPU against the CPU; returns how many calls of libraries a call makes."""
    case = CASES[name]
    arrays = case.arrays(n)
    inputs = [sg.tensor(f"x{k}", dtype=str(a.dtype), shape=(None,) * a.ndim)
              for k, a in enumerate(arrays)]  # fmt: skip
    outputs = case.make(*inputs)
    f = sg.compile(inputs, outputs, target="cuda")
    wanted = sg.compile(inputs, outputs)(*arrays)
    for _ in range(4):  # the last ones as a graph, where that can be
        for a, b in zip(f(*arrays), wanted, strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape
            narrow = a.dtype in (np.float32, np.complex64)
            rtol = case.rtol if narrow else 1e-6 * case.rtol
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max(), err_msg=name)
    (frame,) = f.frames.values()
    return int(frame.tape.calls)
