"""Reductions with NumPy's ``where`` and ``initial``: of some elements, from a value on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import ArgumentError, DTypeError, ShapeError

RNG = np.random.default_rng(3)
FOLDS, MEANS, TRUTHS = ("sum", "prod", "max", "min"), ("mean", "var", "std"), ("any", "all")
SHAPES: list[tuple[tuple[int, ...], Any]] = [
    ((4, 5), None), ((3, 4, 5), (0, 2)), ((0, 3), 0),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.filterwarnings("ignore")
def test_as_numpy(dtype: str, known: bool) -> None:
    for shape, axis in SHAPES:
        a = RNG.integers(0, 2 if dtype == "bool" else 9, shape).astype(dtype)
        x = sg.tensor("x", dtype, shape if known else (None,) * len(shape))
        mask = sg.tensor("mask", "bool", shape[-1:] if known else (None,))
        held = RNG.integers(0, 2, shape[-1:]).astype(bool)
        start = np.array(1).astype(dtype)
        for name in (*FOLDS, *MEANS, *TRUTHS):
            more = {"initial": start} if name in FOLDS else {}
            y = getattr(sg, name)(x, axis=axis, where=mask, **more)
            wanted = getattr(np, name)(a, axis=axis, where=held, **more)
            found = sg.compile([x, mask], y)(a, held)
            assert found.shape == np.shape(wanted)
            np.testing.assert_allclose(np.asarray(found, "float64"), wanted, 1e-5, equal_nan=True)
        for name in FOLDS:  # of what may be nothing, the initial value
            y = getattr(sg, name)(x, axis=axis, initial=start)
            wanted = getattr(np, name)(a, axis=axis, initial=start)
            found = sg.compile([x], y)(a)
            np.testing.assert_allclose(np.asarray(found, "float64"), np.asarray(wanted, "float64"))


def test_methods_nan_and_kept_axes() -> None:
    a = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]])
    seen = np.isfinite(a)
    x = sg.constant(a)
    assert x.sum(axis=1, where=seen).eval().tolist() == [4.0, 15.0]
    assert x.mean(1, keepdims=True, where=seen).eval().tolist() == [[2.0], [5.0]]
    assert x.max(initial=0.0, where=seen).eval() == 6.0
    assert np.isnan(x.max(initial=0.0).eval()) and np.isnan(x.min(initial=0.0).eval())
    assert sg.var(x, 1, ddof=1, where=seen).eval().tolist() == [2.0, 1.0]
    assert sg.any(x > 5, where=[True, True, False]).eval() == False  # noqa: E712


@pytest.mark.parametrize("name", [*FOLDS, *MEANS])
def test_derivatives(name: str) -> None:
    mask = np.array([[True, False, True], [True, True, True]])
    more = {"initial": 0.5} if name in FOLDS else {}
    values = np.array([[1.0, 2.0, 3.5], [0.7, 1.3, -2.0]])
    function = lambda x: getattr(sg, name)(x, axis=1, where=mask, **more)
    sg.verify_grad(function, [values])
    x = sg.matrix("x")
    slopes = sg.grad(sg.sum(function(x)), x)
    slope = sg.compile([x], slopes, on_unused_input="ignore")(values)
    assert slope[0, 1] == 0  # what does not count has none


@pytest.mark.parametrize("name", MEANS)
def test_a_nan_that_does_not_count_leaves_derivatives_alone(name: str) -> None:
    values, x = np.array([[1.0, np.nan, 3.5], [0.7, 1.3, -2.0]]), sg.matrix("x")
    y = sg.sum(getattr(sg, name)(x, axis=1, where=sg.isfinite(x)))
    found = sg.compile([x], sg.grad(y, x))(values)
    assert found[0, 1] == 0
    slopes = sg.grad(sg.sum(getattr(sg, name)(x, axis=1)), x)
    plain = sg.compile([x], slopes, on_unused_input="ignore")
    np.testing.assert_allclose(found[0, [0, 2]], plain(values[:1, [0, 2]])[0])
    np.testing.assert_allclose(found[1], plain(values[1:])[0])


def test_errors() -> None:
    x = sg.matrix("x")
    with pytest.raises(ArgumentError, match="with where= an initial= is needed"):
        sg.max(x, where=x > 0)
    with pytest.raises(DTypeError, match="where is of bools, not float64"):
        sg.sum(x, where=x)
    with pytest.raises(ShapeError):
        sg.sum(sg.ones((2, 3)), where=sg.ones(4, "bool"))
