"""Graphs that the tests of ir/ read, print, hash and save."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.ir.graph import Graph, Variable, constant
from symgraph.ir.hashing import shared_variables

DEPTH = 50_000


@pytest.fixture(scope="package")
def chain() -> Iterator[Graph]:
    """A chain of 50 000 nodes."""
    x = sg.vector("x", shape=("n",))
    y: Variable = x
    for _ in range(DEPTH):
        y = sg.negative(y)
    yield Graph([x], [y])
    del x, y
    gc.collect()


def rich_graph() -> Graph:
    """Named, unnamed and hostile names, named and unnamed sizes, inner graphs, constants of every
    kind, several outputs of one node."""
    x = sg.tensor("x", shape=("n", 3))
    again = sg.tensor("x", shape=(None, 3))
    hostile = sg.tensor('ev"il\n } return # %', shape=(3,))
    k = sg.tensor("k", dtype="int32", shape=())
    w = sg.shared(np.arange(12.0).reshape(3, 4), name="w")
    loss = (x @ w) * 2.5 + 1
    loss.name = "loss"
    looped = sg.scan(lambda row, s: s + row.sum() + w.sum(), [x], [constant(0.0)])
    chosen = sg.cond(x.sum() > 0, lambda: x * 2, lambda: x - 1)
    large = constant(np.arange(3000.0).reshape(3, 1000))
    middle = constant(np.linspace(0, 1, 20))
    tail = sg.reshape(again, (again.shape[0] * 3,))[1 : again.shape[0]]
    odd = x * constant(-0.0) + constant(float("nan")) - constant(float("inf"))
    ints = k + constant([-(2**31), 2**31 - 1], "int32")
    outputs = [
        loss,
        looped,
        chosen,
        x @ large,
        middle[:3] + hostile,
        tail,
        odd,
        ints,
        x,
        constant(True),
    ]
    return Graph([x, again, hostile, k], outputs)


@pytest.fixture
def graph() -> Graph:
    return rich_graph()


def values(n: int = 4, m: int = 7) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n, 3)), rng.normal(size=(m, 3)), rng.normal(size=3), np.int32(5)]


@pytest.fixture
def arrays() -> list[Any]:
    return values()


def states(graph: Graph) -> dict[Any, np.ndarray]:
    return {s: np.arange(12.0).reshape(3, 4) for s in shared_variables(graph)}


@pytest.fixture
def state_of() -> Any:
    return states
