"""The work of compiling grows with the graph, not with its square: counted in Python's calls, as
times are not to be trusted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.codegen import kernel_llvm
from symgraph.lower import parallel

Model = Callable[[int], Callable[[], Any]]


def deep(layers: int) -> Callable[[], Any]:
    """Residual layers that are alike, and a step by their gradients."""
    weights = [sg.shared(np.full((16, 16), 0.1 + k), name=f"w{k}") for k in range(layers)]
    x = y = sg.tensor("x", shape=(8, 16))
    for w in weights:
        y = y + sg.tanh(y @ w)
    loss = (y * y).sum()
    updates = {w: w - 0.1 * g for w, g in zip(weights, sg.grad(loss, weights), strict=True)}
    return lambda: sg.compile([x], loss, updates=updates)


def unrolled(steps: int) -> Callable[[], Any]:
    """A recurrent network written out: all steps read the same weights."""
    w, u = (sg.shared(np.full((16, 16), 0.1 + k), name=f"w{k}") for k in range(2))
    x, h = sg.tensor("x", shape=(steps, 8, 16)), sg.zeros((8, 16))
    for t in range(steps):
        h = sg.tanh(x[t] @ w + h @ u)
    loss = (h * h).sum()
    return lambda: sg.compile([x], [loss, *sg.grad(loss, [w, u])])


def regressions(count: int) -> Callable[[], Any]:
    """Scalars of their own, all of them updated."""
    x, y = (sg.tensor(name, shape=(count, 20)) for name in "xy")
    numbers = [sg.shared(0.1 * k, name=f"p{k}") for k in range(2 * count)]
    loss = sum(((y[k] - numbers[2 * k] * x[k] - numbers[2 * k + 1]) ** 2).sum()
               for k in range(count))  # fmt: skip
    slopes = sg.grad(loss, numbers)
    return lambda: sg.compile(
        [x, y], loss, updates={p: p - 0.1 * g for p, g in zip(numbers, slopes, strict=True)}
    )


def inputs(count: int) -> Callable[[], Any]:
    """Vectors of unknown lengths."""
    given = [sg.vector(f"x{k}") for k in range(count)]
    loss = sum(sg.exp(-x * x).sum() for x in given)
    return lambda: sg.compile(given, [loss, *sg.grad(loss, given)])


@contextmanager
def counted() -> Iterator[list[int]]:
    """How often functions are called, or go on, in this thread."""
    found = [0]

    def note(frame: Any, event: str, arg: Any) -> None:
        found[0] += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(before)


def calls(model: Model, size: int) -> int:
    """Python's calls while a model of this size is compiled."""
    compile_ = model(size)
    with counted() as found:
        compile_()
    return found[0]


SIZES = {deep: 15, unrolled: 15, regressions: 15, inputs: 50}


@pytest.mark.parametrize("model", SIZES, ids=lambda m: m.__name__)
def test_work_grows_with_the_graph(model: Model) -> None:
    calls(model, 2)  # imports
    small, middle, large = (calls(model, n * SIZES[model]) for n in (1, 2, 4))
    assert large - middle < 2.3 * (middle - small)


@pytest.mark.parametrize(
    "holder, name, model, sizes",
    [(parallel._Cut, "__init__", unrolled, (6, 18)), (kernel_llvm, "emit_kernel", inputs, (4, 12))],
    ids=["layers are cut", "kernels are written"],
)
def test_what_is_alike_is_done_once(
    holder: Any, name: str, model: Model, sizes: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, times = getattr(holder, name), [0, 0]
    for k, size in enumerate(sizes):

        def counting(*args: Any, k: int = k) -> Any:
            times[k] += 1
            return real(*args)

        monkeypatch.setattr(holder, name, counting)
        model(size)()
    assert 0 < times[0] == times[1]
