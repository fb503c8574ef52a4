"""Formulas in LaTeX."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import ArgumentError

x, mu, sigma = sg.vector("x"), sg.scalar("mu"), sg.scalar("sigma")
a, w = sg.matrix("A", shape=("n", "n")), sg.vector("w_1", shape=("n",))


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [
        (x + mu * 2, r"x + \mu \cdot 2"),
        (2 * mu * x, r"2 \, \mu \, x"),
        ((x + mu) * sigma, r"\left(x + \mu\right) \, \sigma"),
        (x - (mu - sigma), r"x - \left(\mu - \sigma\right)"),
        (x - mu - sigma, r"x - \mu - \sigma"),
        (-(x + mu), r"-\left(x + \mu\right)"),
        (mu * -3.5, r"\mu \cdot \left(-3.5\right)"),
        ((-x) ** 2, r"\left(-x\right)^{2}"),
        (x**mu**sigma, r"x^{\mu^{\sigma}}"),
        (sg.sqrt(x**2 + 1) / 2, r"\frac{\sqrt{ x^{2} + 1 }}{2}"),
        (abs(x), r"\left| x \right|"),
        (sg.exp(x).sum(), r"\sum_{0} \exp\left(x\right)"),
        ((x + 1).sum(), r"\sum_{0} \left(x + 1\right)"),
        (a.T @ w, r"A^{\top} \, w_{1}"),
        (sg.linalg.inv(a) @ w, r"A^{-1} \, w_{1}"),
        (sg.linalg.solve(a, w), r"A^{-1} \, w_{1}"),
        (sg.linalg.slogdet(a)[1], r"\ln\left|\det A\right|"),
        (x < mu, r"x < \mu"),
        (1e-12 * x, r"1 \cdot 10^{-12} \, x"),
        (x + np.array([1.0, 2.0]), r"x + \begin{bmatrix} 1 & 2 \end{bmatrix}"),
        (x + np.inf, r"x + \infty"),
        (sg.special.erf(x), r"\operatorname{erf}\left(x\right)"),
        (sg.vector("my_long name"), r"\mathrm{my}_{long name}"),
    ],
)
def test_formulas(formula: Any, wanted: str) -> None:
    assert sg.latex(formula) == wanted


def test_a_choice() -> None:
    found = sg.latex(sg.where(x > 0, x, 0.0) - 1)
    assert r"\begin{cases} x & \text{if } 0 < x \\ 0 & \text{otherwise} \end{cases}" in found


def test_what_is_used_twice_is_written_once() -> None:
    t = sg.exp(x * mu + sigma)
    assert sg.latex(t * t + t).splitlines() == [
        r"\begin{aligned}",
        r"t_{1} &= \exp\left(x \, \mu + \sigma\right) \\",
        r"& t_{1} \, t_{1} + t_{1}",
        r"\end{aligned}",
    ]


def test_long_chains_and_many_uses_stay_short() -> None:
    y = x
    for _ in range(200):
        y = sg.sin(y) * y + mu
    assert len(sg.latex(y)) < 20_000


def test_braces_match_everywhere() -> None:
    e = [sg.nn.softmax(x), sg.linalg.qr(a)[1], sg.sort(x), x[1:], sg.cumsum(x), sg.grad(x.sum(), x)]
    text = sg.latex(*e)
    assert text.count("{") == text.count("}") and text.count(r"\left") == text.count(r"\right")


def test_refused() -> None:
    with pytest.raises(ArgumentError, match="no expression"):
        sg.latex(3)
