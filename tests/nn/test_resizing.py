"""Resizing against sums over taps in NumPy and figures of PyTorch's; pixel shuffling."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import ArgumentError, RankError, ShapeError
from tests.nn.agreement import agree, values

nn = sg.nn
IMAGE = np.random.default_rng(0).normal(size=(2, 3, 5, 7))


def triangle(t: float) -> float:
    return max(0.0, 1 - abs(t))


def keys(t: float, a: float) -> float:
    d = abs(t)
    if d < 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def matrix(old: int, new: int, method: str, corners: bool, half: bool, antialias: bool) -> Any:
    """The weights of the old pixels in each new one."""
    found = np.zeros((new, old))
    a = -0.5 if antialias else -0.75
    for i in range(new):
        if method == "area":
            first, end = i * old // new, math.ceil((i + 1) * old / new)
            found[i, first:end] = 1 / (end - first)
            continue
        at = (i + 0.5) * old / new - 0.5 if half else i * old / new
        at = i * (old - 1) / max(new - 1, 1) if corners else at
        if method == "nearest":
            whole = math.floor(at + 0.5 if half or corners else at)
            found[i, min(max(whole, 0), old - 1)] = 1
            continue
        kernel = triangle if method == "bilinear" else lambda t: keys(t, a)
        if antialias:
            wide = max(1, old / new)
            row = np.array([kernel((k - at) / wide) for k in range(old)])
            found[i] = row / row.sum()
            continue
        for k in range(math.floor(at) - 1, math.floor(at) + 3):
            found[i, min(max(k, 0), old - 1)] += kernel(at - k)
    return found


def resized(x: Any, size: Any, *how: Any) -> Any:
    for axis, n in zip((2, 3), size, strict=True):
        weights = matrix(x.shape[axis], n, *how)
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ weights.T, -1, axis)
    return x


SIZES = [(10, 14), (3, 4), (8, 3), (5, 7), (1, 1), (13, 6)]
WAYS = [
    *itertools.product(("nearest", "bilinear", "bicubic"), (False, True), (True,), (False,)),
    *itertools.product(("nearest", "bilinear", "bicubic"), (False,), (False,), (False,)),
    *itertools.product(("bilinear", "bicubic"), (False,), (True,), (True,)),
    ("area", False, True, False),
]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_resize(way: Any) -> None:
    method, corners, half, antialias = way
    options = {"align_corners": corners, "half_pixel": half, "antialias": antialias}
    for size in SIZES:
        wanted = resized(IMAGE, size, *way)
        (found,) = values(lambda x, s=size: nn.resize(x, s, method, **options), [IMAGE])
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12, err_msg=str(size))
    last = np.moveaxis(IMAGE, 1, 3).copy()
    agree(
        lambda x: nn.resize(x, (8, 3), method, layout="NHWC", **options),
        lambda x: np.moveaxis(resized(np.moveaxis(x, 3, 1), (8, 3), *way), 1, 3), last,
    )  # fmt: skip


def test_one_and_three_axes_of_space() -> None:
    (found,) = values(lambda x: nn.resize(x, 9, "linear", layout="NCW"), [IMAGE[0]])
    wanted = resized(IMAGE[:1], (5, 9), "bilinear", False, True, False)[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    x = IMAGE[None]
    (found,) = values(lambda x: nn.resize(x, (6, 5, 7), "trilinear"), [x])
    weights = matrix(3, 6, "bilinear", False, True, False)
    np.testing.assert_allclose(found, np.einsum("ij,abjcd->abicd", weights, x), rtol=1e-12)


def test_sizes_by_name() -> None:
    x = sg.tensor("x", shape=("n", 3, "h", "w"))
    double = nn.resize(x, (2 * x.shape[2], x.shape[3]), "bicubic")
    np.testing.assert_allclose(
        double.eval({x: IMAGE}), resized(IMAGE, (10, 7), "bicubic", False, True, False), atol=1e-12
    )


def test_integers_stay_integers_for_nearest() -> None:
    x = np.arange(4).reshape(1, 1, 2, 2)
    assert nn.resize(x, (3, 3), "nearest").dtype == "int64"
    assert nn.resize(x, (3, 3)).dtype == "float64"


def test_no_rounding_moves_a_nearest_pixel() -> None:
    for old, new in itertools.product(range(1, 40), (7, 10, 49, 100)):
        (found,) = values(lambda x, n=new: nn.resize(x, n, "nearest"), [np.arange(old)[None, None]])
        wanted = [(2 * i + 1) * old // (2 * new) for i in range(new)]
        assert found[0, 0].tolist() == wanted


def test_figures_of_pytorch() -> None:
    # torch.nn.functional.interpolate of PyTorch 2, size (3, 4): sums over the rows
    x = np.sin(np.arange(30.0)).reshape(1, 1, 5, 6)
    for (method, antialias), wanted in PYTORCH.items():
        found = nn.resize(x, (3, 4), method, antialias=antialias).eval()
        np.testing.assert_allclose(found[0, 0].sum(0), wanted, rtol=1e-12)


PYTORCH: dict[tuple[str, bool], list[float]] = {
    ("bilinear", False): [
        -0.8223526067227961,
        2.34492627878504,
        1.1496260639465519,
        -2.192911166377113,
    ],
    ("bilinear", True): [
        -0.49244099976943867,
        2.1123084549524904,
        1.0396663987676995,
        -1.963270248340032,
    ],
    ("bicubic", False): [
        -0.9368471282287227,
        2.566030578390524,
        1.1729354966742116,
        -2.3204159964831836,
    ],
    ("bicubic", True): [
        -0.6434423800548508,
        2.387513277297943,
        1.1163162351117382,
        -2.1587786782977174,
    ],
    ("area", False): [
        -0.1616569855984493,
        1.9591925541460835,
        0.503256271113936,
        -1.734948447437165,
    ],
}


def test_upsample() -> None:
    agree(lambda x: nn.upsample(x, (2, 3)), lambda x: x.repeat(2, 2).repeat(3, 3), IMAGE)
    agree(
        lambda x: nn.upsample(x, 2, "bilinear", align_corners=True),
        lambda x: resized(x, (10, 14), "bilinear", True, True, False), IMAGE,
    )  # fmt: skip
    last = np.moveaxis(IMAGE, 1, 3).copy()
    (found,) = values(lambda x: nn.upsample(x, 2, layout="NHWC"), [last])
    np.testing.assert_array_equal(found, last.repeat(2, 1).repeat(2, 2))


@pytest.mark.parametrize("ratio", [1, 2, 3, 4, 5])
def test_bilinear_upsampling_is_theanos(ratio: int) -> None:
    """Zeros between the pixels, the border repeated once, and a pyramid of weights."""
    half = np.arange(1, ratio + 1)
    kernel = np.concatenate([half, half[-2::-1]]) / ratio

    def along(v: Any) -> Any:
        v = np.concatenate([v[:1], v, v[-1:]])
        apart = np.zeros(len(v) * ratio)
        apart[::ratio] = v
        first = 2 * ratio - (ratio - 1) // 2 - 1
        return np.convolve(apart, kernel)[first : first + (len(v) - 2) * ratio]

    def reference(x: Any) -> Any:
        return np.apply_along_axis(along, 3, np.apply_along_axis(along, 2, x))

    agree(lambda x: nn.bilinear_upsampling(x, ratio), reference, IMAGE)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_pixel_shuffle(layout: str) -> None:
    x = np.arange(2 * 8 * 3 * 5.0).reshape(2, 8, 3, 5)
    wanted = np.zeros((2, 2, 6, 10))
    for c, i, j in itertools.product(range(8), range(3), range(5)):
        wanted[:, c // 4, 2 * i + c % 4 // 2, 2 * j + c % 2] = x[:, c, i, j]
    if layout == "NHWC":
        x, wanted = np.moveaxis(x, 1, 3).copy(), np.moveaxis(wanted, 1, 3).copy()
    agree(lambda x: nn.pixel_shuffle(x, 2, layout), lambda x: wanted, x, grad=False)
    agree(lambda y: nn.pixel_unshuffle(y, 2, layout), lambda y: x, wanted, grad=False)
    sg.verify_grad(lambda x: nn.pixel_shuffle(x, 2, layout), [x])


def test_grayscale() -> None:
    factors = np.array([0.2989, 0.587, 0.114])
    agree(nn.rgb_to_grayscale, lambda x: np.einsum("nchw,c->nhw", x, factors)[:, None], IMAGE)
    last = np.moveaxis(IMAGE, 1, 3).copy()
    (found,) = values(lambda x: nn.rgb_to_grayscale(x, "NHWC"), [last])
    np.testing.assert_allclose(found[..., 0], last @ factors)


def test_mistakes_are_named() -> None:
    with pytest.raises(ArgumentError, match="unknown method 'lanczos'"):
        nn.resize(IMAGE, (2, 2), "lanczos")
    with pytest.raises(RankError, match="resize"):
        nn.resize(IMAGE[0], (2, 2))
    with pytest.raises(ArgumentError, match="unknown layout 'HWNC'"):
        nn.resize(IMAGE, (2, 2), layout="HWNC")
    with pytest.raises(ArgumentError, match="antialias is for linear and cubic"):
        nn.resize(IMAGE, (2, 2), antialias=True, align_corners=True)
    with pytest.raises(ArgumentError, match="upsample"):
        nn.upsample(IMAGE, 1.5)
    with pytest.raises(ShapeError, match="3 channels are no multiple of 4"):
        nn.pixel_shuffle(IMAGE, 2)
    with pytest.raises(ShapeError, match="5 times 7 pixels"):
        nn.pixel_unshuffle(IMAGE, 2)
    with pytest.raises(ShapeError, match="2 channels, not 3"):
        nn.rgb_to_grayscale(IMAGE[:, :2])
