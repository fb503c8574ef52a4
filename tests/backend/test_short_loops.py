"""Loops of a few turns whose number is known, written turn by turn, repeated rows, and tuples that
lie side by side: against NumPy, on this processor and on one without scatters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import stages
from symgraph.compiler import stage_definition
from symgraph.loops.text import program_text

COUNTS = (0, 1, 2, 7, 8, 15, 16, 17, 33, 64, 100)


def numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    made = np.random.default_rng(5).standard_normal(shape) * 50
    if dtype.startswith("complex"):
        made = made + 1j * np.random.default_rng(6).standard_normal(shape)
    return made > 0 if dtype == "bool" else made.astype(dtype)


def scheduled(*outputs: Any) -> str:
    d = stage_definition(list(outputs))
    return program_text(stages.lower(d, stages.optimized_graph(d)))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bool", "complex64"])
@pytest.mark.parametrize("many", [2, 3, 4, 16, 17])
def test_stacks(dtype: str, many: int, registers: int) -> None:
    """Of what is given, or computed, beside each other or one below the other."""
    xs = [sg.vector(f"x{k}", dtype=dtype) for k in range(many)]
    f = sg.compile(xs, [sg.stack(xs, 1), sg.stack(xs, 0), sg.stack([x * x for x in xs], 1)])
    for count in COUNTS:
        a = [numbers((count,), dtype) + (k % 2) for k in range(many)]
        a = [x.astype(dtype) for x in a]
        right = [np.stack(a, 1), np.stack(a, 0), np.stack([x * x for x in a], 1)]
        for one, other in zip(f(*a), right, strict=True):
            near = 1e-6 if dtype == "complex64" else 0  # NumPy's products are fused ones
            np.testing.assert_allclose(one, other, near)
            assert one.dtype == other.dtype


def test_each_turn_computes_its_own_only() -> None:
    """No choices are left, and each turn computes what it stores."""
    x = sg.vector("x")
    for text in (
        scheduled(sg.stack([sg.exp(x), sg.log(x), x], 1)),
        scheduled(sg.stack([sg.exp(x), x * 2, sg.log(x)], 0)),
    ):
        assert "select" not in text and " if " not in text
        assert text.count("exp(") == text.count("log(") == 1


@pytest.mark.parametrize("dtype", ["float64", "int16"])
@pytest.mark.parametrize("few", [2, 3, 4, 5])
def test_tuples_are_taken_apart_and_put_together(dtype: str, few: int, registers: int) -> None:
    """Points of which each place is read by itself, shifted, turned round and folded."""
    x = sg.tensor("x", dtype=dtype, shape=(None, few))
    shift = sg.tensor("s", dtype=dtype, shape=(few,))
    places = [x[:, k] for k in range(few)]
    outputs = [x + shift, sg.stack(places[::-1], 1), places[0] * places[-1], sg.max(x, 1)]
    f = sg.compile([x, shift], outputs)
    for count in COUNTS:
        a, b = numbers((count, few), dtype), numbers((few,), dtype)
        right = [a + b, a[:, ::-1], a[:, 0] * a[:, -1], a.max(1) if few else a]
        for one, other in zip(f(a, b), right, strict=True):
            np.testing.assert_array_equal(one, other)


def test_cross_products(registers: int) -> None:
    for columns in (None, 3):
        a, b = (sg.tensor(n, dtype="float64", shape=(None, columns)) for n in "ab")
        x, y, z = (a[:, i] * b[:, j] - a[:, j] * b[:, i] for i, j in ((1, 2), (2, 0), (0, 1)))
        known = [sg.cross(a, b)] if columns else []
        f = sg.compile([a, b], [sg.stack([x, y, z], 1), *known])
        for count in (1, 5, 16, 50):
            p, q = numbers((count, 3), "float64"), numbers((count, 3), "float64") + 1
            for one in f(p, q):
                np.testing.assert_allclose(one, np.cross(p, q), 1e-12, 1e-10)


def test_a_result_that_is_read_again_keeps_its_order() -> None:
    """A shared variable whose elements are moved in place by a short loop."""
    s = sg.shared(np.arange(60.0).reshape(20, 3), name="s")
    x = sg.vector("x")
    new = s + sg.stack([x, 2 * x, s[:, 0]], 1)
    f = sg.compile([x], new.sum(), updates={s: new})
    before, a = np.arange(60.0).reshape(20, 3), numbers((20,), "float64")
    after = before + np.stack([a, 2 * a, before[:, 0]], 1)
    np.testing.assert_allclose(f(a), after.sum(), 1e-12)
    np.testing.assert_array_equal(s.get_value(), after)


Form = tuple[str, Callable[[Any], Any], Callable[[np.ndarray], np.ndarray]]
REPEATED: list[Form] = [
    ("columns", lambda x: sg.tile(x, (1, 5)), lambda a: np.tile(a, (1, 5))),
    ("rows", lambda x: sg.tile(x, (4, 1)), lambda a: np.tile(a, (4, 1))),
    ("both", lambda x: sg.tile(x, (3, 2)) * 2, lambda a: np.tile(a, (3, 2)) * 2),
    ("each", lambda x: sg.repeat(x, 7, 1), lambda a: np.repeat(a, 7, 1)),
    ("flat", lambda x: sg.tile(x.ravel(), 3), lambda a: np.tile(a.ravel(), 3)),
    ("mixed", lambda x: sg.tile(x, (1, 3)) + sg.repeat(x, 3, 1),
     lambda a: np.tile(a, (1, 3)) + np.repeat(a, 3, 1)),
]  # fmt: skip


@pytest.mark.parametrize("form", REPEATED, ids=[f[0] for f in REPEATED])
@pytest.mark.parametrize("known", [False, True])
def test_repeated_rows(form: Form, known: bool, registers: int) -> None:
    _, formula, right = form
    for shape in ((1, 1), (3, 5), (5, 16), (2, 33), (0, 4), (4, 0)):
        x = sg.tensor("x", dtype="float32", shape=shape if known else (None, None))
        a = numbers(shape, "float32")
        np.testing.assert_array_equal(sg.compile([x], formula(x))(a), right(a))


def test_no_lane_asks_for_a_remainder() -> None:
    x = sg.matrix("x")
    assert "%" not in scheduled(sg.tile(x, (1, 5)) * 2)
    assert "//" not in scheduled(sg.repeat(x, 7, 1) * 2)
