"""sigmoid and softplus of x and of -x in one kernel: computed together, as precise as apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.loops.interpret import run_kernel
from symgraph.loops.legalize import legal_kernel
from symgraph.loops.statements import For, Kernel, Param, Store, expressions, walk
from symgraph.loops.verify import verify_kernel
from symgraph.scalar import call, load, postorder, var
from symgraph.scalar import functions as F

I = var("_i")  # noqa: E741
FUNCTIONS = ("sigmoid", "softplus")
SPECIAL = [0.0, -0.0, 1.0, -1.0, 20.0, -20.0, 88.0, -88.0, 200.0, -200.0, np.inf, -np.inf, np.nan]


def arguments(dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([SPECIAL, rng.normal(size=1000), 30 * rng.normal(size=1000)], dtype=dtype)


def truth(name: str, x: np.ndarray) -> np.ndarray:
    x = x.astype("longdouble")
    e = np.exp(-np.abs(x))
    if name == "sigmoid":
        return np.where(x < 0, e, 1) / (1 + e)
    return np.maximum(x, 0) + np.log1p(e)


def errors(got: np.ndarray, want: np.ndarray) -> Any:
    """In units of the last place; NaN and infinities agree."""
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite].astype(got.dtype))
    unit = np.spacing(np.abs(want[finite]).astype(got.dtype)).astype("longdouble")
    return np.max(np.abs(got[finite] - want[finite]) / unit)


def count(kernel: Kernel, name: str) -> int:
    roots = [e for s in walk(kernel.body) for e in expressions(s)]
    return sum(e.op == name for e in postorder(roots))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_call_in_the_place_of_two(name: str) -> None:
    x = load("x", (I,), "float64")
    stores = Store("y", (I,), call(name, x)), Store("z", (I,), call(name, F.neg(x)))
    params = [Param(k, "float64", (13,), "in" if k == "x" else "out") for k in "xyz"]
    given = Kernel("k", tuple(params), (), (For(I, 13, "vector", stores),))
    made = legal_kernel(given)
    verify_kernel(made)
    assert (count(given, name), count(made, name)) == (2, 1)
    held = {"x": np.array(SPECIAL), "y": np.empty(13), "z": np.empty(13)}
    run_kernel(made, held, {})
    assert errors(held["y"], truth(name, held["x"])) <= 4
    assert errors(held["z"], truth(name, -held["x"])) <= 4


@pytest.mark.parametrize("name", FUNCTIONS)
def test_alone_it_stays(name: str) -> None:
    x = load("x", (I,), "float32")
    for other in (x, F.add(x, 1), F.mul(x, -1)):
        params = Param("x", "float32", (9,), "in"), Param("y", "float32", (9,), "out")
        store = Store("y", (I,), F.add(call(name, x), call(name, other)))
        kernel = Kernel("k", params, (), (For(I, 9, "vector", (store,)),))
        assert legal_kernel(kernel) is kernel


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compiled(name: str, dtype: str) -> None:
    x = sg.vector("x", dtype=dtype)
    f = getattr(sg, name)
    both = sg.compile([x], [f(x), f(-x)])
    data = arguments(dtype)
    y, z = both(data)
    assert errors(y, truth(name, data)) <= 1.6
    assert errors(z, truth(name, -data)) <= 1.6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_derivative_of_sigmoid_keeps_its_tails(dtype: str) -> None:
    x = sg.vector("x", dtype=dtype)
    slope = sg.compile([x], sg.grad(sg.sigmoid(x).sum(), x))
    data = arguments(dtype)
    want = truth("sigmoid", data) * truth("sigmoid", -data)
    assert errors(slope(data), want) <= 3
