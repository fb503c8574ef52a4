"""Single kernels: the same formulas in symgraph, CuPy, PyTorch, JAX and Triton."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import symgraph as sg
from benchmarks.cuda import words as places


class Work(NamedTuple):
    """``amount`` is the number of bytes moved, or of additions and multiplications, in ``unit`` per
    second; ``formula(words, *arrays)`` is the expression."""

    formula: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    amount: float
    unit: str
    products: str = "ieee"
    rtol: float = 1e-4

    def arrays(self) -> list[np.ndarray]:
        rng = np.random.default_rng(0)
        return [rng.standard_normal(s, dtype="float32") for s in self.shapes]


def _layer_norm(w: Any, x: Any) -> Any:
    centred = x - w.mean(x, 1)
    return centred / w.sqrt(w.mean(centred * centred, 1) + 1e-5)


def works(tiny: bool) -> dict[str, Work]:
    """All of them, or the same with a few elements."""
    n = 1000 if tiny else 1 << 26
    rows, columns = (5, 70) if tiny else (16384, 4096)
    flat, matrix = ((n,), (n,)), ((rows, columns),)
    size = 4.0 * rows * columns
    found = {
        "x*y+1": Work(lambda w, x, y: x * y + 1, flat, 12.0 * n, "GB/s"),
        "tanh exp sin": Work(
            lambda w, x, y: w.tanh(x) * w.exp(-y * y) + w.sin(x + y), flat, 12.0 * n, "GB/s"
        ),
        "sum": Work(lambda w, x: w.sum(x, None), matrix, size, "GB/s"),
        "sum of rows": Work(lambda w, x: w.sum(x, 1), matrix, size, "GB/s"),
        "sum of columns": Work(lambda w, x: w.sum(x, 0), matrix, size, "GB/s"),
        "softmax": Work(lambda w, x: w.softmax(x), matrix, 2 * size, "GB/s"),
        "layer norm": Work(_layer_norm, matrix, 2 * size, "GB/s"),
        "transpose": Work(lambda w, x: w.turn(x) + 1, matrix, 2 * size, "GB/s"),
        "running sum": Work(lambda w, x: w.cumsum(x), ((n // 4,),), 2.0 * n, "GB/s", rtol=1e-3),
    }
    for side in (9, 20) if tiny else (512, 2048, 8192):
        square = ((side, side), (side, side))
        found[f"matmul {side}"] = Work(lambda w, x, y: x @ y, square, 2.0 * side**3, "FLOP/s")
        for mode, rtol in (("tf32", 1e-2), ("bfloat16", 5e-2)):
            found[f"matmul {side} {mode}"] = Work(
                lambda w, x, y: x @ y, square, 2.0 * side**3, "FLOP/s", mode, rtol
            )
    return found


class Symgraph:
    tanh, exp, sin, sqrt = (staticmethod(f) for f in (sg.tanh, sg.exp, sg.sin, sg.sqrt))
    sum = staticmethod(lambda x, axis: sg.sum(x, axis=axis))
    mean = staticmethod(lambda x, axis: sg.mean(x, axis=axis, keepdims=True))
    softmax = staticmethod(lambda x: sg.nn.softmax(x, axis=1))
    turn = staticmethod(lambda x: x.T)
    cumsum = staticmethod(sg.cumsum)


class Numpy:
    """NumPy's words, and those of a module that is like it."""

    def __init__(self, numpy: Any) -> None:
        self.numpy = numpy
        self.tanh, self.exp, self.sin, self.sqrt = numpy.tanh, numpy.exp, numpy.sin, numpy.sqrt
        self.sum = lambda x, axis: numpy.sum(x, axis=axis)
        self.mean = lambda x, axis: numpy.mean(x, axis=axis, keepdims=True)
        self.turn, self.cumsum = numpy.transpose, numpy.cumsum

    def softmax(self, x: Any) -> Any:
        e = self.numpy.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)


class Torch:
    def __init__(self, torch: Any) -> None:
        self.tanh, self.exp, self.sin, self.sqrt = torch.tanh, torch.exp, torch.sin, torch.sqrt
        self.sum = lambda x, axis: torch.sum(x) if axis is None else torch.sum(x, axis)
        self.mean = lambda x, axis: torch.mean(x, axis, keepdim=True)
        self.softmax = lambda x: torch.softmax(x, 1)
        self.turn = lambda x: x.T
        self.cumsum = lambda x: torch.cumsum(x, 0)


Peer = Callable[[Work, list[np.ndarray]], Callable[[], Any]]


def with_cupy(work: Work, arrays: list[np.ndarray]) -> Callable[[], Any]:
    cupy: Any = importlib.import_module("cupy")
    if work.products != "ieee":
        raise LookupError("CuPy has no such arithmetic for arrays of float32")
    words, given = Numpy(cupy), [cupy.asarray(a) for a in arrays]
    return lambda: work.formula(words, *given)


def with_torch(work: Work, arrays: list[np.ndarray], compiled: bool = False) -> Callable[[], Any]:
    torch: Any = importlib.import_module("torch")
    torch.backends.cuda.matmul.allow_tf32 = work.products == "tf32"
    kind = torch.bfloat16 if work.products == "bfloat16" else torch.float32
    given = [torch.tensor(a, device=places.DEVICE, dtype=kind) for a in arrays]
    words = Torch(torch)

    def formula(*xs: Any) -> Any:
        return work.formula(words, *xs)

    torch.compiler.reset()  # after a few versions of a function it would no longer be compiled
    made = torch.compile(formula) if compiled else formula
    return lambda: made(*given)


def with_jax(work: Work, arrays: list[np.ndarray]) -> Callable[[], Any]:
    jax: Any = importlib.import_module("jax")
    words = Numpy(jax.numpy)
    kind = "bfloat16" if work.products == "bfloat16" else "float32"
    given = [jax.numpy.asarray(a, kind) for a in arrays]
    precision = {"ieee": "highest", "tf32": "tensorfloat32", "bfloat16": "default"}[work.products]

    def formula(*xs: Any) -> Any:
        with jax.default_matmul_precision(precision):
            return work.formula(words, *xs)

    made = jax.jit(formula)
    return lambda: made(*given)


PEERS: dict[str, Peer] = {
    "cupy": with_cupy, "torch": with_torch,
    "torch.compile": lambda work, arrays: with_torch(work, arrays, True), "jax": with_jax,
}  # fmt: skip
