"""Chains of light operations run on several registers at once: bits do not depend on how many."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config
from symgraph.codegen import lanes_llvm
from symgraph.loops.statements import For, Let, Store
from symgraph.scalar import load, var


def _logistic(x: Any) -> Any:
    for _ in range(5):
        x = x * (1 - x) * 3.7
    return x


def _crowded(x: Any) -> Any:
    parts = [x * k + 1 for k in range(2, 7)]
    for a, b in itertools.pairwise(parts):
        x = x * a - b
    return x


FORMULAS: dict[str, Callable[[Any], Any]] = {
    "logistic": _logistic,
    "crowded": _crowded,
    "one function": lambda x: ((x * 0.5 + 1) * x + 2) * sg.tanh(x * 0.25) * x,
    "functions": lambda x: sg.erf((sg.log(x * x + 1) * 2 - 1) * x) * sg.exp(-x) + 3,
    "horner": lambda x: ((((x + 3) * x - 5) * x + 7) * x - 9) * x,
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("name", FORMULAS)
def test_bits_for_any_number_of_registers(
    name: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    sizes = [0, 1, 7, 63, 64, 127, 128, 129, 255, 256, 300, 1023, 5000]
    for few, count in ((3, 4), (99, 4), (0, 4), (0, 1)):
        monkeypatch.setattr(lanes_llvm, "FEW_LIVE", few)
        monkeypatch.setattr(lanes_llvm, "INTERLEAVED", count)
        with config.change(cache=False):
            x = sg.vector("x", dtype=dtype)
            f = sg.compile([x], FORMULAS[name](x))
        values = [np.linspace(-1, 9, n).astype(dtype) for n in sizes]
        found.append([f(v).tobytes() for v in values])
    assert all(f == found[0] for f in found)


def loop(values: list[Any]) -> For:
    i = var("_i")
    names = [var(f"t{k}", "float64") for k in range(len(values))]
    lets = tuple(Let(n, v) for n, v in zip(names, values, strict=True))
    return For(i, var("n"), "vector", (*lets, Store("y", (i,), names[-1])))


def test_how_many_registers_go_at_once() -> None:
    i = var("_i")
    x = load("x", (i,), "float64")
    light = loop([((((x + 3.0) * x - 5.0) * x + 7.0) * x - 9.0) * x])
    assert [lanes_llvm.interleaved(light, 8, 512), lanes_llvm.interleaved(light, 4, 256)] == [8, 4]
    others = [load(name, (i,), "float64") for name in "abcd"]
    a, b, c, d = others
    held = [a + b, a - b, c * d, c - d]
    crowded = loop([(held[0] * held[1] + held[2]) * held[3] + a * b * c * d])
    assert lanes_llvm.interleaved(crowded, 8, 512) == 4
    assert lanes_llvm.interleaved(loop([a + b]), 8, 512) == 1
