"""Loops over strides: quotients and remainders of indices leave the innermost loop, and what comes
is what came before."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.loops.text import kernel_text
from symgraph.stages import lower, optimized_graph

Case = tuple[Any, tuple[int, ...]]


def pooled(kind: str, size: int, stride: int, pad: int = 0) -> Any:
    pool = getattr(sg.nn, f"{kind}_pool")
    return lambda x: slope(pool(x, size, stride, [(pad, pad)] * 2), x)


def slope(y: Any, x: Any) -> Any:
    return sg.grad((y * y).sum(), x)


CASES: dict[str, Case] = {
    "largest of 2x2": (pooled("max", 2, 2), (2, 3, 20, 24)),
    "of an odd image": (pooled("max", 2, 2), (2, 3, 21, 23)),
    "that overlap": (pooled("max", 3, 2), (2, 3, 19, 33)),
    "with padding": (pooled("max", 3, 2, 1), (1, 2, 20, 20)),
    "with a wide padding": (pooled("max", 4, 3, 2), (1, 2, 26, 27)),
    "apart": (pooled("max", 2, 4), (1, 2, 33, 35)),
    "means": (pooled("avg", 2, 2), (2, 3, 18, 26)),
    "means with padding": (pooled("avg", 3, 3, 1), (2, 3, 18, 25)),
    "every second": (lambda x: slope(x[..., ::2], x), (3, 40)),
    "every third, odd": (lambda x: slope(x[..., 1::3], x), (3, 41)),
    "of rows and columns": (lambda x: slope(x[:, 1::2, ::4], x), (2, 9, 33)),
    "repeated": (lambda x: sg.repeat(x, 2, axis=-1), (5, 17)),
    "repeated rows": (lambda x: sg.repeat(x, 3, axis=0) * 2, (5, 17)),
    "nearest": (lambda x: sg.nn.upsample(x, 2), (1, 2, 9, 9)),
    "with what lies there": (lambda x: sg.repeat(x[:, ::4], 4, axis=1) + x, (4, 32)),
    "of integers in the values": (lambda x: x[:, sg.arange(30) // 2] + sg.arange(30) % 2, (4, 30)),
}


def results(formula: Any, array: np.ndarray, known: bool) -> tuple[Any, np.ndarray, np.ndarray]:
    shape = array.shape if known else tuple(f"n{k}" for k in range(array.ndim))
    x = sg.tensor("x", dtype=str(array.dtype), shape=shape)
    y = formula(x)
    f = sg.compile(x, y)
    return f, f(array), sg.compile(x, y, mode="interpret")(array)


OF_KNOWN_SIZES = ("with what lies there", "of integers in the values")
BOTH = [(name, known) for name in CASES for known in (True, False)
        if known or name not in OF_KNOWN_SIZES]  # fmt: skip


@pytest.mark.parametrize("name, known", BOTH)
def test_the_same_values(name: str, known: bool) -> None:
    formula, shape = CASES[name]
    rng = np.random.default_rng(0)
    for dtype in ("float32", "float64"):
        _, got, want = results(formula, rng.normal(size=shape).astype(dtype), known)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("size", range(1, 14))
def test_short_rows(size: int) -> None:
    formula = pooled("max", 2, 2)
    given = np.random.default_rng(size).normal(size=(2, 1, size + 1, size + 1))
    for known in (True, False):
        _, got, want = results(formula, given, known)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    "name", ["largest of 2x2", "of an odd image", "with padding", "every second"]
)
def test_nothing_is_divided_in_lanes(name: str) -> None:
    """But by the few turns that a row has left."""
    formula, shape = CASES[name]
    f, _, _ = results(formula, np.zeros(shape), True)
    program = lower(f.definition, optimized_graph(f.definition))
    texts = [kernel_text(s.kernel) for s in program.steps if hasattr(s, "kernel")]
    loops = [t for text in texts for t in re.split(r"\n *for ", text) if t.startswith("_istride")]
    assert loops and not any("%" in t or "//" in t for t in loops)


def test_two_extremes_and_none() -> None:
    """Of equal ones the first has the derivative; NaN is the greatest; infinities are elements."""
    inf, nan = np.inf, np.nan
    rows = [[1, 1, 0, 3], [nan, 2, 5, nan], [-inf, -inf, inf, inf]]
    given = np.repeat(np.array(rows), 6, axis=1).reshape(3, 1, 4, 6)
    x = sg.tensor("x", shape=(3, 1, 4, 6))
    for pad in (0, 1):
        y = sg.nn.max_pool(x, 2 + pad, 2, [(pad, pad)] * 2)
        got = sg.compile(x, sg.grad(y.sum(), x))(given)
        np.testing.assert_array_equal(
            got, sg.compile(x, sg.grad(y.sum(), x), mode="interpret")(given)
        )
        assert got.sum() == y.type.shape[-1] * y.type.shape[-2] * 3


MODES = ["edge", "reflect", "symmetric", "wrap"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sizes", [(9, 40), (3, 4), (2, 1), (40, 3)], ids=str)
def test_padding_with_elements(mode: str, sizes: tuple[int, int]) -> None:
    """Widths beyond a size of which nothing is known; whole rows that do not ask are copies."""
    x, widths = sg.matrix("x", shape=("n", "m")), ((2, 1), (3, 5))
    y = sg.pad(x, widths, mode=mode)
    given = np.arange(float(np.prod(sizes))).reshape(sizes)
    wanted = np.pad(given, widths, mode)
    np.testing.assert_array_equal(sg.compile(x, y)(given), wanted)
    slope = sg.compile(x, sg.grad((y * y).sum(), x))(given)
    came_from = np.pad(np.arange(given.size).reshape(sizes), widths, mode).ravel()
    by_hand = np.bincount(came_from, 2 * wanted.ravel(), given.size).reshape(sizes)
    np.testing.assert_array_equal(slope, by_hand)


@pytest.mark.parametrize("name", [*MODES, "roll"])
def test_most_of_a_row_is_a_copy(name: str) -> None:
    x = sg.matrix("x", shape=("n", "m"))
    y = sg.roll(x, 3, 1) if name == "roll" else sg.pad(x, ((0, 0), (3, 4)), mode=name)
    f = sg.compile(x, y)
    (run,) = lower(f.definition, optimized_graph(f.definition)).steps
    first = kernel_text(run.kernel).split("if ~")[0]  # where the widths are below the size
    loads = re.findall(r"= (p0\[.*)", first)
    assert len(loads) == (2 if name == "roll" else 3)
    assert not any("select" in text or "%maximum" in text for text in loads)
