"""Linear algebra, Fourier transforms and convolutions: the same calls in symgraph, CuPy, PyTorch
and JAX."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import symgraph as sg
from benchmarks.cuda import words


class Work(NamedTuple):
    """``call(words, *arrays)`` gives one array; ``arrays()`` makes the arguments."""

    call: Callable[..., Any]
    arrays: Callable[[], list[np.ndarray]]


def _square(n: int, *batch: int) -> np.ndarray:
    return np.random.default_rng(n).standard_normal((*batch, n, n), dtype="float32")


def _positive(n: int, *batch: int) -> np.ndarray:
    a = _square(n, *batch)
    return (a @ np.swapaxes(a, -1, -2) / n + np.eye(n)).astype("float32")  # type: ignore[no-any-return]


def _signal(n: int) -> np.ndarray:
    pair = np.random.default_rng(n).standard_normal((2, n), dtype="float32")
    return (pair[0] + 1j * pair[1]).astype("complex64")  # type: ignore[no-any-return]


def _images(tiny: bool) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = ((2, 3, 6, 6), (4, 3, 3, 3)) if tiny else ((32, 64, 56, 56), (64, 64, 3, 3))
    return [rng.standard_normal(s, dtype="float32") for s in shapes]


def works(tiny: bool) -> dict[str, Work]:
    """All of them, or the same with a few elements."""
    small, middle, large = (4, 5, 6) if tiny else (32, 512, 2048)
    return {
        f"cholesky {large}": Work(lambda w, a: w.cholesky(a), lambda: [_positive(large)]),
        f"cholesky 256 x {small}": Work(
            lambda w, a: w.cholesky(a), lambda: [_positive(small, 2 if tiny else 256)]
        ),
        f"solve {large}": Work(
            lambda w, a, b: w.solve(a, b), lambda: [_positive(large), _square(large)[:, :16].copy()]
        ),
        f"qr {middle}": Work(lambda w, a: w.triangle(a), lambda: [_square(middle)]),
        f"svd {middle}": Work(lambda w, a: w.singular(a), lambda: [_square(middle)]),
        f"eigh {middle}": Work(lambda w, a: w.values(a), lambda: [_positive(middle)]),
        "fft": Work(lambda w, x: w.fft(x), lambda: [_signal(64 if tiny else 1 << 22)]),
        "conv 3x3": Work(lambda w, x, k: w.conv(x, k), lambda: _images(tiny)),
    }


class Symgraph:
    cholesky, solve = staticmethod(sg.linalg.cholesky), staticmethod(sg.linalg.solve)
    triangle = staticmethod(lambda a: sg.linalg.qr(a)[1])
    singular, values = staticmethod(sg.linalg.svdvals), staticmethod(sg.linalg.eigvalsh)
    fft = staticmethod(sg.fft.fft)
    conv = staticmethod(lambda x, k: sg.nn.conv2d(x, k, 1, 1))


class Numpy:
    """NumPy's words, and those of a module that is like it; ``conv`` is given."""

    def __init__(self, numpy: Any, conv: Callable[..., Any] | None = None) -> None:
        linalg = numpy.linalg
        self.cholesky, self.solve, self.values = linalg.cholesky, linalg.solve, linalg.eigvalsh
        self.triangle = lambda a: linalg.qr(a)[1]
        self.singular = lambda a: linalg.svd(a, compute_uv=False)
        self.fft = numpy.fft.fft
        if conv is not None:
            self.conv = conv


class Torch:
    def __init__(self, torch: Any) -> None:
        linalg = torch.linalg
        self.cholesky, self.solve, self.values = linalg.cholesky, linalg.solve, linalg.eigvalsh
        self.triangle = lambda a: linalg.qr(a)[1]
        self.singular, self.fft = linalg.svdvals, torch.fft.fft
        self.conv = lambda x, k: torch.nn.functional.conv2d(x, k, padding=1)


def with_torch(work: Work) -> Callable[[], Any]:
    torch: Any = importlib.import_module("torch")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    made = Torch(torch)
    given = [torch.tensor(a, device=words.DEVICE) for a in work.arrays()]
    return lambda: work.call(made, *given)


def with_cupy(work: Work) -> Callable[[], Any]:
    cupy: Any = importlib.import_module("cupy")
    made, given = Numpy(cupy), [cupy.asarray(a) for a in work.arrays()]
    return lambda: work.call(made, *given)


def with_jax(work: Work) -> Callable[[], Any]:
    jax: Any = importlib.import_module("jax")

    def conv(x: Any, k: Any) -> Any:
        return jax.lax.conv_general_dilated(x, k, (1, 1), [(1, 1)] * 2)

    made, given = Numpy(jax.numpy, conv), [jax.numpy.asarray(a) for a in work.arrays()]

    def formula(*xs: Any) -> Any:
        with jax.default_matmul_precision("highest"):
            return work.call(made, *xs)

    function = jax.jit(formula)
    return lambda: function(*given)


PEERS: dict[str, Callable[[Work], Callable[[], Any]]] = {
    "cupy": with_cupy, "torch": with_torch, "jax": with_jax,
}  # fmt: skip


def reference(work: Work) -> np.ndarray:
    """What NumPy says, in double precision."""
    wide = [a.astype("complex128" if a.dtype.kind == "c" else "float64") for a in work.arrays()]
    return np.asarray(work.call(Numpy(np, _conv), *wide))


def _conv(x: Any, k: Any) -> Any:
    """Products of the taps of the first image alone: it is enough to compare."""
    padded = np.pad(x[:1], ((0, 0), (0, 0), (1, 1), (1, 1)))
    rows, columns = x.shape[2:]
    taps = [np.einsum("nchw,oc->nohw", padded[:, :, i : i + rows, j : j + columns], k[:, :, i, j])
            for i in range(3) for j in range(3)]  # fmt: skip
    return sum(taps)
