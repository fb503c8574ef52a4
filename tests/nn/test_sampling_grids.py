"""Spatial transformers: grids of affine maps, and images read at grids, against NumPy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import ArgumentError, RankError, ShapeError
from tests.nn.agreement import agree, values

nn = sg.nn
RNG = np.random.default_rng(0)
IMAGE = RNG.normal(size=(2, 3, 4, 5))
GRID = RNG.uniform(-1.6, 1.6, (2, 3, 6, 2))


def line(n: int, corners: bool) -> Any:
    return np.linspace(-1, 1, n) if corners else (2 * np.arange(n) + 1) / n - 1


@pytest.mark.parametrize("corners", [False, True])
def test_affine_grid(corners: bool) -> None:
    def reference(theta: Any) -> Any:
        y, x = np.meshgrid(line(3, corners), line(4, corners), indexing="ij")
        points = np.stack([x, y, np.ones_like(x)], -1)
        return np.einsum("hwk,nik->nhwi", points, theta)

    agree(lambda t: nn.affine_grid(t, (3, 4), corners), reference, RNG.normal(size=(2, 2, 3)))
    assert nn.affine_grid(np.zeros((1, 2, 3)), (1, 1), True).eval().tolist() == [[[[0, 0]]]]


def reflected(at: float, n: int, corners: bool) -> float:
    low, high = (0, n - 1) if corners else (-0.5, n - 0.5)
    while not low <= at <= high:
        at = 2 * low - at if at < low else 2 * high - at
    return at


def sampled(x: Any, grid: Any, method: str, padding: str, corners: bool) -> Any:
    """Position by position."""
    n, c, h, w = x.shape
    out = np.zeros((n, c, *grid.shape[1:3]))

    def pixel(b: int, i: int, j: int) -> Any:
        if padding != "zeros":
            i, j = min(max(i, 0), h - 1), min(max(j, 0), w - 1)
        return x[b, :, i, j] if 0 <= i < h and 0 <= j < w else np.zeros(c)

    for b, i, j in itertools.product(range(n), *map(range, grid.shape[1:3])):
        places = []
        for size, at in zip((w, h), grid[b, i, j], strict=True):
            at = (at + 1) / 2 * (size - 1) if corners else ((at + 1) * size - 1) / 2
            at = reflected(at, size, corners) if padding == "reflection" else at
            places.append(at if padding == "zeros" else min(max(at, 0), size - 1))
        across, down = places
        if method == "nearest":
            out[b, :, i, j] = pixel(b, round(down), round(across))
            continue
        top, left = int(np.floor(down)), int(np.floor(across))
        for y, x_ in itertools.product((top, top + 1), (left, left + 1)):
            out[b, :, i, j] += (1 - abs(down - y)) * (1 - abs(across - x_)) * pixel(b, y, x_)
    return out


WAYS = list(itertools.product(
    ("bilinear", "nearest"), ("zeros", "border", "reflection"), (False, True)
))  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_grid_sample(way: Any) -> None:
    agree(
        lambda x, g: nn.grid_sample(x, g, *way), lambda x, g: sampled(x, g, *way), IMAGE, GRID,
        grad=way[0] == "bilinear",
    )  # fmt: skip
    sg.verify_grad(lambda x: nn.grid_sample(x, GRID, *way), [IMAGE])
    last = np.moveaxis(IMAGE, 1, 3).copy()
    (found,) = values(lambda x: nn.grid_sample(x, GRID, *way, layout="NHWC"), [last])
    np.testing.assert_allclose(np.moveaxis(found, 3, 1), sampled(IMAGE, GRID, *way), atol=1e-12)


@pytest.mark.parametrize("corners", [False, True])
def test_the_identity_changes_nothing(corners: bool) -> None:
    theta = np.array([[[1.0, 0, 0], [0, 1.0, 0]]] * 2)
    grid = nn.affine_grid(theta, (4, 5), corners)
    found = nn.grid_sample(IMAGE, grid, align_corners=corners).eval()
    np.testing.assert_allclose(found, IMAGE, atol=1e-12)


def test_mistakes_are_named() -> None:
    with pytest.raises(RankError, match=r"theta is \[batch, 2, 3\]"):
        nn.affine_grid(np.zeros((2, 3)), (2, 2))
    with pytest.raises(RankError, match="have four axes"):
        nn.grid_sample(IMAGE[0], GRID)
    with pytest.raises(ShapeError, match="positions have 2 numbers, not 3"):
        nn.grid_sample(IMAGE, np.zeros((2, 3, 6, 3)))
    with pytest.raises(ArgumentError, match="unknown method 'bicubic'"):
        nn.grid_sample(IMAGE, GRID, "bicubic")
    with pytest.raises(ArgumentError, match="unknown layout"):
        nn.grid_sample(IMAGE, GRID, layout="CHWN")
