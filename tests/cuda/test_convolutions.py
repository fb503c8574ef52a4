"""Convolutions as products in tiles: the PTX of all three agrees with the functions of the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.loops.program import Call, Loop
from tests.cuda import running
from tests.cuda.test_products import emulated

RNG = np.random.default_rng(83)

# input channels, output channels, sizes, kernel, what else
CASES: dict[str, tuple[int, int, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": (2, 3, (6, 7), (3, 2), {}),
    "padded": (3, 2, (5, 4), (3, 3), {"padding": 1}),
    "strides": (2, 3, (8, 7), (3, 2), {"stride": (2, 3), "padding": (1, 0)}),
    "dilated": (2, 2, (9, 8), (2, 3), {"dilation": (3, 2)}),
    "groups": (4, 6, (5, 5), (2, 2), {"groups": 2}),
    "depthwise": (3, 3, (5, 6), (3, 2), {"groups": 3, "padding": 1}),
    "one tap": (5, 4, (3, 4), (1, 1), {}),
    "one axis": (2, 3, (9,), (4,), {"padding": 2, "stride": 2}),
}


def made(case: str, known: bool, last: bool) -> tuple[list[Any], list[Any], list[np.ndarray]]:
    """A convolution and its derivatives, and arrays for x, w and the cotangent of the result."""
    own, count, sizes, kernel, more = CASES[case]
    groups = more.get("groups", 1)
    x_shape = (2, *sizes, own) if last else (2, own, *sizes)
    w_shape = (*kernel, own // groups, count) if last else (count, own // groups, *kernel)
    x, w = (sg.tensor(n, dtype="float32", shape=s if known else (None, *s[1:]))
            for n, s in zip("xw", (x_shape, w_shape), strict=True))  # fmt: skip
    layout = "N" + "DHW"[-len(sizes) :].join(("", "C") if last else ("C", ""))
    y = sg.nn.conv(x, w, layout=layout, **more)
    arrays = [RNG.standard_normal(s).astype("float32") for s in (x_shape, w_shape)]
    return [x, w], [y, *sg.grad(sg.sum(y * sg.sin(y)), [x, w])], arrays


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_the_three_of_them(case: str, last: bool) -> None:
    inputs, outputs, arrays = made(case, case != "padded", last)
    expected = sg.compile(inputs, outputs)(*arrays)
    found = emulated(outputs, dict(zip("xw", arrays, strict=True)))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=3e-5, atol=3e-5)


def test_few_weights_are_sums_of_parts() -> None:
    x = sg.tensor("x", dtype="float64", shape=(None, 1, 8, 8))
    w = sg.tensor("w", dtype="float64", shape=(2, 1, 3, 3))
    slope = sg.grad(sg.sum(sg.nn.conv2d(x, w) ** 2), w)
    arrays = [RNG.standard_normal(s) for s in ((5, 1, 8, 8), (2, 1, 3, 3))]
    (found,) = emulated([slope], dict(zip("xw", arrays, strict=True)))
    np.testing.assert_allclose(found, sg.compile([x, w], slope)(*arrays), rtol=1e-12)


@pytest.mark.parametrize("last", [False, True])
def test_nothing_is_left_to_the_host(last: bool) -> None:
    _, outputs, _ = made("groups", False, last)
    _, program = running.scheduled(*outputs)
    assert not any(isinstance(s, Call | Loop) for s in program.steps)
