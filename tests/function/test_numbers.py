"""Numbers of Python and NumPy as arguments: what native code takes by itself is what the
interpreter, which converts by NumPy, makes of them; so is what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import dtypes
from symgraph.errors import SymgraphError

NUMBERS: list[Any] = [
    0, 1, -1, 7, 127, 128, 255, 256, -128, -129, 2**15, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1,
    2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), 10**30, True, False,
    0.5, -0.0, 1e300, float("nan"), float("inf"), 1 + 2j, np.int8(3), np.int64(5), np.uint64(2**63),
    np.float16(2), np.float32(0.5), np.float64(0.5), np.bool_(True), np.complex64(1 + 1j),
    np.complex128(1j), np.array(3), np.array(3.5), np.array([1]), "a", None,
]  # fmt: skip


@pytest.mark.parametrize("dtype", dtypes.ALL)
@pytest.mark.filterwarnings("ignore")
def test_numbers_for_inputs_of_every_dtype(dtype: str) -> None:
    x = sg.scalar("x", dtype=dtype)
    y = sg.logical_not(x) if dtype == "bool" else sg.stack([x, x])
    native, slow = sg.compile([x], y), sg.compile([x], y, mode="interpret")
    for number in NUMBERS:
        found = []
        for f in (native, slow):
            try:
                found.append(np.asarray(f(number)).tobytes())
            except SymgraphError as error:
                found.append((type(error), str(error).split("\n")[0]))
        assert found[0] == found[1], number


def test_a_number_of_another_type_is_converted_once_and_not_kept() -> None:
    class Own(int):
        pass

    x, y = sg.scalar("x", dtype="int32"), sg.scalar("y", dtype="float32")
    f = sg.compile([x, y], [x + 1, y * 2])
    for number in (Own(4), 4, np.int32(4)):
        assert [r.item() for r in f(number, 0.25)] == [5, 0.5]
    assert [r.item() for r in f(4, 3)] == [5, 6.0]
