"""Deep graphs: nothing recurses, everything takes time in proportion to the length."""

from __future__ import annotations

import copy
import inspect
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.ir.graph import Graph
from symgraph.ir.parse import parse_graph
from symgraph.ir.text import graph_text

X = np.linspace(0.0, 1.0, 7)


@contextmanager
def shallow(frames: int) -> Iterator[None]:
    """At most so many more frames than now."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + frames)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def chain(length: int) -> tuple[Any, Any]:
    x = sg.vector("x")
    y = x
    for k in range(length):
        y = sg.sin(y) * 0.5 if k % 10 == 0 else y + 1.0 if k % 2 else y * 0.999
    return x, y


def value(length: int) -> Any:
    y, slope = X, np.ones_like(X)
    for k in range(length):
        if k % 10 == 0:
            y, slope = np.sin(y) * 0.5, np.cos(y) * 0.5 * slope
        else:
            y, slope = (y + 1.0, slope) if k % 2 else (y * 0.999, slope * 0.999)
    return y, slope


def everything(length: int) -> None:
    """Builds, differentiates, prints, parses, pickles, compiles, runs, interprets."""
    x, y = chain(length)
    slope = sg.grad(sg.sum(y), x)
    text = graph_text(Graph([x], [y]))
    assert text.count("\n") > length
    assert graph_text(parse_graph(text)) == text
    f = sg.compile([x], [y, slope])
    wanted = value(length)
    for g in (f, pickle.loads(pickle.dumps(f)), sg.compile([x], [y, slope], mode="interpret")):
        for found, want in zip(g(X), wanted, strict=True):
            np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-250)
    assert copy.deepcopy(y).type == y.type
    assert repr(y) and hash(y)


def test_a_chain_needs_no_recursion() -> None:
    with shallow(250):
        everything(1500)


def test_a_wide_sum_needs_no_recursion() -> None:
    x = sg.vector("x")
    total = x
    for k in range(600):
        total = total + sg.exp(x * k)
    f = sg.compile([x], sg.grad(sg.sum(total), x))
    wanted = 1 + sum(k * np.exp(0.01 * X * k) * 0.01 for k in range(600)) * 100
    np.testing.assert_allclose(f(0.01 * X), wanted, rtol=1e-12)


def test_a_deep_scan_body() -> None:
    def step(r: Any, s: Any) -> Any:
        for k in range(300):
            s = s * 0.5 + r if k % 2 else sg.tanh(s)
        return s

    x = sg.vector("x")
    out = sg.scan(step, [x], [sg.constant(0.0)])
    with shallow(250):
        f = sg.compile([x], [out, sg.grad(out[-1], x)])
    h = 0.0
    for r in X:
        for k in range(300):
            h = h * 0.5 + r if k % 2 else np.tanh(h)
    np.testing.assert_allclose(f(X)[0][-1], h, rtol=1e-12)


def test_many_outputs() -> None:
    x = sg.vector("x")
    f = sg.compile([x], [sg.sum(x * k) for k in range(300)])
    np.testing.assert_allclose(f(X), [X.sum() * k for k in range(300)])


def test_many_inputs() -> None:
    xs = [sg.vector(f"x{k}", shape=("n",)) for k in range(200)]
    total = xs[0]
    for x in xs[1:]:
        total = total + x
    np.testing.assert_allclose(sg.compile(xs, total)(*[X + k for k in range(200)]), 200 * X + 19900)


@pytest.mark.slow
def test_fifty_thousand_nodes() -> None:
    with shallow(250):
        everything(50_000)
