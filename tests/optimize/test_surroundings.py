"""What is around the searches: modes, files, Theano's words, the example."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import symgraph as sg
from symgraph.interop.porting import equivalent
from tests.test_examples import run


@pytest.mark.parametrize("mode", ["run", "debug", "interpret"])
def test_modes(mode: str) -> None:
    a = sg.scalar("a")
    root = sg.optimize.root_scalar(lambda x: x**3 - a, bracket=(0.0, 9.0)).x
    low = sg.optimize.minimize(lambda x: sg.cosh(x - a), 0.0).x
    y = sg.integrate.odeint(lambda y, t: -a * y, 1.0, [0.0, 0.5])[1]
    f = sg.compile([a], [root, low, y, *(sg.grad(v, a) for v in (root, low, y))], mode=mode)
    wanted = [2, 8, np.exp(-4), 1 / 12, 1, -0.5 * np.exp(-4)]
    np.testing.assert_allclose(f(8.0), wanted, rtol=1e-4)


def test_names_of_sizes_may_change() -> None:
    b = sg.vector("b", shape=("n",))
    x = sg.optimize.root(lambda x: x**3 + x - b, b).x
    total = sg.function_graph([b], sg.sum(x))
    c = sg.vector("c", shape=(3,))
    f = sg.compile([c], sg.grad(total(c), c))
    np.testing.assert_allclose(f(np.array([0.0, 2.0, 10.0])), [1, 1 / 4, 1 / 13])


def test_other_libraries_names() -> None:
    for name in ("minimize", "minimize_scalar", "root", "root_scalar"):
        assert equivalent(f"pytensor.tensor.optimize.{name}").write == f"sg.optimize.{name}"


def test_the_example(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="its data")
    printed = run("penalty_tuning", tmp_path)
    losses = [float(v) for v in re.findall(r"penalties: loss ([\d.]+)", printed)]
    assert "converged: True" in printed and losses[1] < 0.6 * losses[0]
