"""Gradients of images by phases, where a convolution has a stride above 1, against the ops'
references: ranks, layouts, groups, paddings, sizes that strides do not divide, unknown ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config
from symgraph.loops.program import Loop
from symgraph.lower import convolution_phases
from symgraph.ops.convolution_ops import Convolution, ConvolutionInput
from symgraph.stages import lower, optimized_graph

# images, filters in all, kernel; stride, before, after, groups
CASES: list[Any] = [
    ((2, 3, 9), 5, (3,), (2,), (1,), (1,), 1),
    ((3, 8, 17), 6, (5,), (3,), (0,), (4,), 2),
    ((2, 6, 12, 12), 9, (3, 3), (2, 2), (1, 1), (1, 1), 1),
    ((2, 6, 12, 12), 8, (4, 4), (2, 2), (1, 1), (1, 1), 2),
    ((2, 5, 11, 14), 7, (3, 2), (2, 2), (0, 2), (3, 1), 1),
    ((1, 4, 9, 10), 6, (3, 5), (1, 3), (2, 0), (0, 1), 1),
    ((2, 3, 10, 8), 4, (5, 4), (2, 2), (3, 3), (3, 4), 1),
    ((0, 3, 8, 8), 4, (2, 2), (2, 2), (0, 0), (0, 0), 1),
    ((2, 4, 5, 6, 8), 5, (2, 2, 3), (2, 2, 2), (1, 0, 1), (0, 1, 1), 1),
]
NAMES = ["x".join(map(str, c[0])) for c in CASES]


@pytest.fixture(autouse=True)
def worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few windows too."""
    monkeypatch.setattr(convolution_phases, "WINDOWS", 1)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("known", ["all", "some", "none"])
def test_as_references(case: Any, last: bool, known: str) -> None:
    (n, c, *sizes), o, kernel, stride, before, after, groups = case
    geometry = (stride, before, after, (1,) * len(kernel), groups, last)
    layout = Convolution(*geometry).layout
    windows = Convolution(*geometry).windows(sizes, kernel)
    shapes = [layout.image(n, o, windows), layout.weights(o, c // groups, kernel)]
    rng = np.random.default_rng(len(sizes))
    given, filters = (rng.normal(size=s) for s in shapes)
    want = ConvolutionInput(*geometry, tuple(sizes)).reference(given, filters)
    shape = list(given.shape)
    if known != "all":
        shape[0] = "n"
    room = tuple(sizes)
    if known == "none":  # but for the channels
        shape[1:] = [f"y{k}" for k in range(1, len(shape))]
        shape[-1 if last else 1] = o
    y = sg.tensor("y", dtype="float64", shape=tuple(shape))
    w = sg.tensor("w", dtype="float64", shape=filters.shape)
    with config.change(verify=True, cache=False):
        f = sg.compile([y, w], ConvolutionInput(*geometry, room)(y, w))
    program = lower(f.definition, optimized_graph(f.definition))
    blocks = any(isinstance(s, Loop) and not s.apart for s in program.steps)
    assert not blocks or n == 0 or groups > 1  # nothing is copied into columns
    np.testing.assert_allclose(f(given, filters), want, rtol=0, atol=1e-13 * max(1, c * o))
    with config.change(matmul="blas"):
        others = sg.compile([y, w], ConvolutionInput(*geometry, room)(y, w))
    np.testing.assert_allclose(others(given, filters), want, rtol=0, atol=1e-13 * max(1, c * o))


def test_a_transposed_convolution() -> None:
    """What generators of images are made of, in float32."""
    x = sg.tensor("x", dtype="float32", shape=("batch", 32, 16, 16))
    w = sg.tensor("w", dtype="float32", shape=(32, 8, 4, 4))
    f = sg.compile([x, w], sg.nn.conv_transpose2d(x, w, stride=2, padding=1))
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=s).astype("float32") for s in ((3, 32, 16, 16), (32, 8, 4, 4)))
    want = np.zeros((3, 8, 34, 34))
    for i in range(4):
        for j in range(4):
            taps = np.einsum("nohw,oc->nchw", a.astype("f8"), b[:, :, i, j].astype("f8"))
            want[:, :, i : i + 32 : 2, j : j + 32 : 2] += taps
    np.testing.assert_allclose(f(a, b), want[:, :, 1:33, 1:33], rtol=0, atol=1e-4)


def test_those_without_a_tap_in_each_phase_are_not() -> None:
    """A filter that is smaller than its stride leaves zeros between."""
    geometry = ((2, 2), (0, 0), (0, 0), (1, 1), 1, False)
    given, filters = np.ones((1, 2, 10, 10)), np.ones((2, 3, 1, 1))
    y, w = (sg.tensor(n, dtype="float64", shape=a.shape) for n, a in (("y", given), ("w", filters)))
    op = ConvolutionInput(*geometry, (19, 20))
    np.testing.assert_array_equal(
        sg.compile([y, w], op(y, w))(given, filters), op.reference(given, filters)
    )
