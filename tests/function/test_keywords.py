"""Arguments by name: native code takes them in every order, and leaves what is wrong to Python."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import ArgumentError, InputValueError


def difference() -> sg.Function:
    x, y, z = sg.vector("x"), sg.vector("y"), sg.scalar("z")
    return sg.compile([x, y, z], (x - y) * z)


def test_every_order_by_place_and_name() -> None:
    f, given = difference(), {"x": np.array([5.0, 7.0]), "y": np.array([1.0, 2.0]), "z": 2.0}
    for count in range(4):
        first = [given[k] for k in "xyz"[:count]]
        for rest in itertools.permutations("xyz"[count:]):
            assert f(*first, **{k: given[k] for k in rest}).tolist() == [8.0, 10.0]


def test_names_that_nobody_interned() -> None:
    name = "".join(["a", " name"])
    x, y = sg.scalar(name), sg.scalar("y")
    f = sg.compile([x, y], x - y)
    assert f(**{"".join(["a ", "name"]): 3.0, "y": 1.0}) == 2.0


def test_what_is_wrong_is_told() -> None:
    f, x = difference(), np.ones(2)
    with pytest.raises(ArgumentError, match="has no input 'w'"):
        f(x, x, w=1.0)
    with pytest.raises(ArgumentError, match="'x' is given twice"):
        f(x, x=x, z=1.0)
    with pytest.raises(ArgumentError, match="lacks the input z"):
        f(x, y=x)
    with pytest.raises(InputValueError, match="input z is float64"):
        f(x=x, z="a", y=x)


def test_names_are_of_the_function_though_its_code_is_shared() -> None:
    pairs = []
    for first, second in (("x", "y"), ("y", "x")):
        a, b = sg.scalar(first), sg.scalar(second)
        pairs.append(sg.compile([a, b], a - 2 * b))
    assert [f(x=5.0, y=1.0).item() for f in pairs] == [3.0, -9.0]


def test_defaults_and_nests() -> None:
    x, step = sg.vector("x"), sg.scalar("step", default=0.5)
    f = sg.compile([x, step], x * step)
    assert f(x=np.ones(2)).tolist() == [0.5, 0.5]
    assert f(step=2.0, x=np.ones(2)).tolist() == [2.0, 2.0]
    a, b = sg.vector("a"), sg.vector("b")
    g = sg.compile([{"a": a, "b": b}], a - b)
    assert g({"b": np.ones(1), "a": np.zeros(1)}).tolist() == [-1.0]
