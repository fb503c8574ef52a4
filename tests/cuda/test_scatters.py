"""Scatters with many places: the sums are those of the loop, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

import symgraph as sg
from symgraph.loops.text import kernels
from tests.cuda import running
from tests.cuda.test_products import emulated

RNG = np.random.default_rng(81)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("trailing", [(), (3,)])
def test_gradients_of_gathers(known: bool, trailing: tuple[int, ...]) -> None:
    x = sg.tensor(
        "x", dtype="float32", shape=(9, *trailing) if known else (None,) * (1 + len(trailing))
    )
    i = sg.tensor("i", dtype="int64", shape=(200,) if known else (None,))
    v = sg.tensor(
        "v", dtype="float32", shape=(200, *trailing) if known else (None,) * (1 + len(trailing))
    )
    arrays = {"x": RNG.standard_normal((9, *trailing)).astype("float32"),
              "i": RNG.integers(-9, 9, 200),
              "v": RNG.standard_normal((200, *trailing)).astype("float32")}  # fmt: skip
    slope = sg.grad(sg.sum(x[i] * v), x)
    found, _ = emulated([slope, x * 2], arrays)  # which makes the sizes of x known
    wanted = np.zeros_like(arrays["x"])
    np.add.at(wanted, arrays["i"], arrays["v"])  # one after another, as the loop
    np.testing.assert_array_equal(found, wanted)
    _, program = running.scheduled(slope)
    assert any("_first" in str(k.body) for k in kernels(program))


def test_the_last_one_stays() -> None:
    x, i, v = sg.vector("x"), sg.vector("i", dtype="int64"), sg.vector("v")
    arrays = {"x": np.zeros(6), "i": RNG.integers(0, 6, 100), "v": RNG.standard_normal(100)}
    (found,) = emulated([x.at[i].set(v)], arrays)
    wanted = np.zeros(6)
    wanted[arrays["i"]] = arrays["v"]
    np.testing.assert_array_equal(found, wanted)
