"""Convolutions that read images through tables of places, against those by copied columns and BLAS
(`matmul="blas"`) and against the ops' references: layouts, ranks, odd sizes, epilogues, threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config
from symgraph.loops.program import Call
from symgraph.lower import convolution_direct
from symgraph.ops.convolution_ops import Convolution, ConvolutionInput, ConvolutionWeights
from symgraph.stages import lower, optimized_graph

Case = tuple[Any, ...]


@pytest.fixture(autouse=True)
def directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Filters of 3x3 too."""
    monkeypatch.setenv("SYMGRAPH_WINOGRAD", "0")


# images, filters in all, kernel; stride, before, after, dilation, groups
CASES: list[Case] = [
    ((2, 3, 9), 5, (3,), (1,), (2,), (4,), (2,), 1),
    ((3, 8, 17), 6, (5,), (3,), (0,), (0,), (1,), 2),
    ((1, 64, 56, 56), 64, (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1),
    ((5, 1, 28, 28), 6, (5, 5), (1, 1), (2, 2), (2, 2), (1, 1), 1),
    ((5, 6, 14, 14), 16, (5, 5), (1, 1), (0, 0), (0, 0), (1, 1), 1),
    ((2, 7, 13, 1), 9, (3, 1), (2, 1), (3, 0), (1, 2), (1, 1), 1),
    ((2, 6, 11, 12), 9, (2, 3), (2, 3), (1, 2), (2, 0), (2, 1), 3),
    ((2, 4, 5, 5), 3, (1, 1), (1, 1), (0, 0), (0, 0), (1, 1), 1),
    ((2, 4, 5, 5), 3, (1, 1), (2, 2), (5, 6), (7, 1), (1, 1), 1),
    ((1, 5, 1, 1), 17, (3, 3), (1, 1), (4, 4), (4, 4), (1, 1), 1),
    ((0, 3, 7, 7), 4, (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1),
    ((2, 5, 4, 6, 5), 8, (2, 3, 2), (1, 2, 1), (1, 0, 1), (0, 1, 1), (1, 1, 2), 1),
    ((9, 40, 3, 3), 300, (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1),
    ((2, 20, 17, 33), 48, (3, 3), (1, 2), (1, 1), (1, 1), (1, 1), 1),
    ((1, 6, 40, 21), 64, (2, 3), (2, 3), (1, 2), (2, 0), (2, 1), 2),
    ((2, 70, 18, 18), 32, (3, 3), (1, 1), (0, 0), (0, 0), (1, 1), 1),
    ((1, 4, 131, 130), 6, (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1),  # more windows and
    ((1, 700, 6, 5), 4, (5, 5), (1, 1), (0, 1), (0, 1), (1, 1), 1),  # taps than LARGEST
]  # fmt: skip
NAMES = ["x".join(map(str, c[0])) for c in CASES]


def ops_of(case: Case, last: bool, dtype: str) -> tuple[list[Any], list[Any]]:
    """The three ops of a case with arrays for them."""
    (n, c, *sizes), o, kernel, stride, before, after, dilation, groups = case
    geometry = (stride, before, after, dilation, groups, last)
    forward = Convolution(*geometry)
    layout = forward.layout
    shapes = [layout.image(n, c, sizes), layout.weights(o, c // groups, kernel),
              layout.image(n, o, forward.windows(sizes, kernel))]  # fmt: skip
    rng = np.random.default_rng(len(sizes))
    arrays = [rng.normal(size=s).astype(dtype) for s in shapes]
    backward = ConvolutionInput(*geometry, tuple(sizes)), ConvolutionWeights(*geometry, kernel)
    return [forward, *backward], arrays


@pytest.mark.parametrize("case", CASES, ids=NAMES)
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("known", ["weights", "images", "nothing"])
def test_as_columns_and_references(case: Case, last: bool, dtype: str, known: str) -> None:
    ops, arrays = ops_of(case, last, dtype)
    shapes: list[list[Any]] = [list(a.shape) for a in arrays]
    for name, sizes in zip("xwy", shapes, strict=True):
        if known == "nothing" or name != "w":
            sizes[0] = f"{name}0"  # as is the number of images, always
        if known == "nothing" or (known == "weights" and name != "w"):
            sizes[1:] = [f"{name}{k}" for k in range(1, len(sizes))]
    if known == "weights":  # and so are channels
        shapes[0][-1 if last else 1] = arrays[0].shape[-1 if last else 1]
        shapes[2][-1 if last else 1] = arrays[2].shape[-1 if last else 1]
    x, w, y = (
        sg.tensor(name, dtype=dtype, shape=tuple(sizes))
        for name, sizes in zip("xwy", shapes, strict=True)
    )
    pairs = [(0, 1), (2, 1), (0, 2)]
    outputs = [op(*((x, w, y)[k] for k in pair)) for op, pair in zip(ops, pairs, strict=True)]
    found = sg.compile([x, w, y], outputs)(*arrays)
    with config.change(matmul="blas"):
        by_columns = sg.compile([x, w, y], outputs)(*arrays)
    for op, pair, got, other in zip(ops, pairs, found, by_columns, strict=True):
        want = op.reference(*(arrays[k].astype("float64") for k in pair))
        room = (1e-5 if dtype == "float32" else 1e-13) * max(1, np.abs(want).max(initial=0))
        np.testing.assert_allclose(got, want, rtol=0, atol=room)
        np.testing.assert_allclose(got, other, rtol=0, atol=2 * room)


@pytest.mark.parametrize("size", [20, 200])
def test_large_images_are_read_where_they_lie(size: int) -> None:
    """Tables too long to be part of the code are filled when the function runs."""
    x = sg.tensor("x", dtype="float32", shape=("n", 8, size, size))
    w = sg.tensor("w", dtype="float32", shape=(8, 8, 3, 3))
    made = sg.nn.conv2d(x, w, 1, 1)
    for y in [made, *sg.grad((made * made).sum(), [x, w])]:
        f = sg.compile([x, w], y)
        steps = lower(f.definition, optimized_graph(f.definition)).steps
        assert {s.routine for s in steps if isinstance(s, Call)} == {"convolution"}


def test_unknown_sizes_may_be_0() -> None:
    shapes = [("n", "c", "h", "w"), ("o", "c", "k", "l")]
    x, w = (sg.tensor(n, dtype="float32", shape=s) for n, s in zip("xw", shapes, strict=True))
    y = sg.nn.conv2d(x, w, 1, 1)
    f = sg.compile([x, w], [y, *sg.grad((y * y).sum(), [x, w])])
    for n, c, o, size in [(0, 3, 4, 5), (2, 0, 4, 5), (2, 3, 0, 5), (2, 3, 4, 1), (2, 3, 32, 16)]:
        a, b = np.ones((n, c, size, size), "float32"), np.ones((o, c, 3, 3), "float32")
        made, *slopes = f(a, b)
        want = Convolution((1, 1), (1, 1), (1, 1), (1, 1), 1, False).reference(a, b)
        np.testing.assert_array_equal(made, want)
        assert [s.shape for s in slopes] == [a.shape, b.shape]
        if 0 in (n, c, o):
            assert not any(s.any() for s in slopes)


def test_places_fit_32_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution_direct, "MOST", 200)
    x = sg.tensor("x", dtype="float32", shape=("n", 1, "h", "w"))
    w = sg.tensor("w", dtype="float32", shape=(2, 1, 3, 3))
    f = sg.compile([x, w], sg.nn.conv2d(x, w))
    given = np.ones((2, 1, 3, 3), "float32")
    np.testing.assert_array_equal(
        f(np.ones((1, 1, 14, 14), "float32"), given), np.full((1, 2, 12, 12), 9)
    )
    with pytest.raises(sg.errors.ShapeError, match="images of 2\\*\\*31 elements or more"):
        f(np.ones((1, 1, 15, 15), "float32"), given)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES[5:], ids=NAMES[5:])
def test_windows_in_the_place_of_filters(
    case: Case, dtype: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both ways of a product whose channels come first, with an epilogue, mean the same."""
    (forward, *_), (x, w, _) = ops_of(case, False, dtype)
    inputs = [
        sg.tensor("x", dtype=dtype, shape=("n", *x.shape[1:])),
        sg.tensor("w", dtype=dtype, shape=w.shape),
    ]
    made = forward(*inputs)
    outputs = [made, sg.maximum(made * 2 + 1, 0)]
    want = forward.reference(x.astype("float64"), w.astype("float64"))
    room = (1e-5 if dtype == "float32" else 1e-13) * max(1, np.abs(want).max(initial=0))
    for least in (1, 1 << 30):
        for name, value in (("WIDE", least), ("LANES", 1), ("WINDOWS", 1)):
            monkeypatch.setattr(convolution_direct, name, value)
        for count in (1, 3):
            with config.change(cache_dir=str(tmp_path / f"{least}"), parallel_from=0,
                               num_threads=count):  # fmt: skip
                for y, good in zip(outputs, (want, np.maximum(want * 2 + 1, 0)), strict=True):
                    got = sg.compile(inputs, y)(x, w)
                    np.testing.assert_allclose(got, good, rtol=0, atol=3 * room)


@pytest.mark.parametrize(
    "x, w", [((64, 6, 28, 28), (16, 6, 5, 5)), ((128, 4, 14, 14), (12, 4, 3, 3))], ids=str
)
def test_between_two_loops(x: Case, w: Case) -> None:
    """One that lays out the images and one of bias and activation: the convolution runs both."""
    rng = np.random.default_rng(3)
    arrays = [rng.normal(size=s).astype("float32") for s in (x, w, w[0])]
    inputs = [sg.tensor(dtype="float32", shape=a.shape) for a in arrays]
    made = sg.nn.conv2d(inputs[0], inputs[1], 2, 2) + inputs[2][:, None, None]
    got = sg.compile(inputs, sg.maximum(made, 0))(*arrays)
    forward = Convolution((2, 2), (2, 2), (2, 2), (1, 1), 1, False)
    images, filters, bias = (a.astype("float64") for a in arrays)
    want = forward.reference(images, filters) + bias[:, None, None]
    np.testing.assert_allclose(got, np.maximum(want, 0), rtol=0, atol=1e-4)


@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("count", [2, 70], ids=["few", "many"])
def test_followed_by_loops(last: bool, count: int) -> None:
    """Biases, activations and poolings join the convolution and do not change."""
    case = ((count, 3, 10, 12), 8, (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1)
    (forward, *_), (x, w, _) = ops_of(case, last, "float32")
    inputs = [sg.tensor(n, dtype="float32", shape=a.shape) for n, a in (("x", x), ("w", w))]
    bias = np.linspace(-1, 1, 8, dtype="float32").reshape((8,) if last else (8, 1, 1))
    plain = forward(*inputs)
    y = sg.maximum(plain + bias, 0)
    axes = (1, 2) if last else (2, 3)
    outputs = [y, y.sum(axes), plain * 2 + y]
    for kept in ([0], [1], [0, 1], [2]):
        found = sg.compile(inputs, [outputs[k] for k in kept])(x, w)
        made = forward.reference(x, w)
        high = np.maximum(made + bias, 0)
        wanted = [high, high.sum(axes), made * 2 + high]
        for k, got in zip(kept, found, strict=True):
            np.testing.assert_allclose(got, wanted[k], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("images, groups", [((6, 16, 20, 20), 2), ((4, 16, 48, 48), 1)], ids=str)
def test_the_same_for_any_number_of_threads(images: Any, groups: int, last: bool) -> None:
    """Who share images, or those within that are too few for all."""
    case = (images, 24, (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), groups)
    ops, arrays = ops_of(case, last, "float32")
    x, w, y = (
        sg.tensor(n, dtype="float32", shape=a.shape) for n, a in zip("xwy", arrays, strict=True)
    )
    outputs = [ops[0](x, w), ops[1](y, w), ops[2](x, y)]
    with config.change(parallel_from=0):
        f = sg.compile([x, w, y], outputs)
        one, several = [], []
        for threads, kept in ((1, one), (3, several)):
            with config.change(num_threads=threads):
                kept += f(*arrays)
    for a, b in zip(one, several, strict=True):
        np.testing.assert_array_equal(a, b)


def test_steps() -> None:
    """A network's convolution is one step: its padding, its bias and its activation join it."""
    case = ((64, 3, 10, 12), 8, (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1)
    (forward, *_), (x, w, _) = ops_of(case, False, "float32")
    inputs = [sg.tensor(n, dtype="float32", shape=a.shape) for n, a in (("x", x), ("w", w))]
    y = sg.maximum(forward(*inputs) + sg.constant(np.ones((8, 1, 1), "float32")), 0)
    f = sg.compile(inputs, y)
    np.testing.assert_allclose(f(x, w), np.maximum(forward.reference(x, w) + 1, 0), atol=1e-4)


@pytest.mark.parametrize("nd", [1, 2])
@pytest.mark.parametrize("act", [sg.nn.relu, sg.tanh], ids=["relu", "tanh"])
def test_gradients_of_two_layers_of_unknown_sizes(nd: int, act: Any) -> None:
    """Where the gradient of an activation joins a convolution's memory, views of that follow."""
    rng = np.random.default_rng(nd)
    shapes = [(6, 3, *(3,) * nd), (5, 6, *(3,) * nd), (2, 3, *(12,) * nd)]
    arrays = [rng.normal(size=s).astype("float32") / 4 for s in shapes]
    layer = sg.nn.conv1d if nd == 1 else sg.nn.conv2d

    def gradients(known: bool, dtype: str) -> Any:
        xs = [sg.tensor(f"x{k}", dtype=dtype, shape=a.shape if known else (None,) * a.ndim)
              for k, a in enumerate(arrays)]  # fmt: skip
        first, second, images = xs
        cost = sg.sum(layer(act(layer(images, first)), second) ** 2)
        return sg.compile(xs, sg.grad(cost, xs))(*[a.astype(dtype) for a in arrays])

    wanted = gradients(True, "float64")
    for one, other in zip(gradients(False, "float32"), wanted, strict=True):
        np.testing.assert_allclose(one, other, 1e-4, 1e-4 * np.abs(other).max())
