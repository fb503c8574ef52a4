"""Derivatives of products where factors are 0: a product is linear in each factor, so that every
derivative by distinct factors is the product of the others, and by one factor twice is 0."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import stages

MODES = ["run", "interpret"]
VECTORS = [[2.0, 3.0, 0.5, -1.5], [0, 3.0, 0.5, -1.5], [0, 3.0, 0, -1.5], [0, 3.0, 0, 0],
           [0.0] * 4]  # fmt: skip


def derivatives(build: Any, x: Any, order: int) -> Any:
    """All derivatives of one order of a scalar by a vector."""
    y = build(x)
    for _ in range(order):
        y = sg.jacobian(y, x)
    return y


def of_product(values: Any, factors: list[int], order: int) -> Any:
    """Those of the product of the ``factors`` among values."""
    out = np.zeros((len(values),) * order)
    for key in itertools.permutations(factors, order):
        out[key] = np.prod([values[k] for k in factors if k not in key])
    return out


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("values", VECTORS, ids=str)
def test_prod(values: list[float], order: int, mode: str) -> None:
    x = sg.vector("x", shape=(4,))
    f = sg.compile([x], derivatives(sg.prod, x, order), mode=mode)
    wanted = of_product(values, list(range(4)), order)
    np.testing.assert_allclose(f(np.array(values)), wanted, atol=1e-15)


def test_prod_over_several_axes_to_fourth_order() -> None:
    x = sg.tensor("x", shape=("a", "b", "c"))
    y = sg.sum(sg.prod(x, axis=(0, 2)))
    a = np.array([[[0.0, 2.0], [3.0, 0.0]], [[0.0, 0.0], [5.0, 0.5]]])
    d = np.random.default_rng(3).uniform(1, 2, a.shape)
    for k in range(4):
        y = sg.sum(sg.grad(y, x) * d)
        wanted = 0.0
        for column in range(2):
            values, along = a[:, column].ravel(), d[:, column].ravel()
            for key in itertools.permutations(range(4), k + 1):
                rest = [values[j] for j in range(4) if j not in key]
                wanted += np.prod(along[list(key)]) * np.prod(rest)
        np.testing.assert_allclose(sg.compile([x], y)(a), wanted, rtol=1e-14)


def test_second_derivatives_of_a_product_do_not_cancel() -> None:
    """By quotients they would be sums of g y / x of all others, of which one is large here."""
    x = sg.vector("x", shape=(3,))
    (moved,) = sg.hvp(sg.prod(x), [x], [sg.constant([0.0, 1.0, 0.0])])
    found = sg.compile([x], moved)(np.array([1e-20, 1e20, 3.0]))
    np.testing.assert_allclose(found, [3.0, 0.0, 1e-20], rtol=1e-15)


PLACES = np.array([[2, 0, -1], [0, 2, 0]])  # of 3: twice 2, thrice 0, once the last counted back
TURNS = [k % 3 for k in PLACES.ravel()]
SLOTS = [[2.0, 3, 5, 7, 0.5, -1], [2.0, 0, 5, 7, 0.5, -1], [0.0, 0, 5, 7, 0, -1], [0.0] * 6]


@pytest.mark.parametrize(("mode", "order"), [*itertools.product(MODES, [1, 2]), ("interpret", 3)])
@pytest.mark.parametrize("first", [1.5, 0.0])
@pytest.mark.parametrize("values", SLOTS, ids=str)
def test_products_into_places(values: Any, first: float, order: int, mode: str) -> None:
    """What stands in a place is a factor like those that are multiplied in."""
    weights = np.array([1.0, 10.0, 100.0])

    def build(x: Any) -> Any:
        new = x[:3].at[PLACES].multiply(sg.reshape(x[3:], (2, 3)))
        return sg.sum(new * weights)

    x = sg.vector("x", shape=(9,))
    f = sg.compile([x], derivatives(build, x, order), mode=mode)
    whole = np.concatenate([[first, -2.0, 4.0], values])
    wanted: Any = 0.0
    for place in range(3):
        factors = [place, *(3 + k for k, p in enumerate(TURNS) if p == place)]
        wanted = wanted + weights[place] * of_product(whole, factors, order)
    np.testing.assert_allclose(f(whole), wanted, atol=1e-13)


def test_products_of_rows_into_places_agree_with_differences() -> None:
    """Rows at pairs of indices, with duplicates and zeros."""
    v = np.array([[2.0, 0.0], [0.0, 3.0], [0.0, 0.0], [1.0, 4.0]])
    rows, columns = [0, 0, 0, 1], [1, 1, 1, 0]

    def build(x: Any, v: Any) -> Any:
        return x.at[rows, :, columns].multiply(v)

    sg.verify_grad(build, [np.arange(8.0).reshape(2, 2, 2), v], order=2)


def test_quotients_of_places() -> None:
    def build(x: Any, v: Any) -> Any:
        return x.at[[0, 2, 0]].divide(v)

    sg.verify_grad(build, [np.array([1.0, 0.0, 2.0]), np.array([2.0, -3.0, 0.5])], order=2)


def test_products_of_rows_of_a_batch() -> None:
    """Derivatives under vmap are those of each row."""
    x = sg.matrix("x", shape=(3, 4))
    one = sg.vector("one", shape=(4,))
    rows = sg.vmap(lambda r: sg.hessian(sg.prod(r) + sg.sum(r.at[[0, 0, 3]].multiply(r[:3])), r))(x)
    each = sg.hessian(sg.prod(one) + sg.sum(one.at[[0, 0, 3]].multiply(one[:3])), one)
    a = np.array([[1.0, 2.0, 3.0, 4.0], [0.0, 2.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    f = sg.compile([one], each)
    np.testing.assert_allclose(sg.compile([x], rows)(a), [f(r) for r in a], atol=1e-14)


def test_the_second_way_is_not_computed_for_first_derivatives() -> None:
    x = sg.vector("x", shape=(50,))
    graph = stages.optimized_graph(sg.compile([x], sg.grad(sg.prod(x), x)).definition)
    assert not any(n.op.name in ("cumprod", "computed_as") for n in graph.toposort())
