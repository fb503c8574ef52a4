"""Two kernels by hand in Triton; imported only where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl


@triton.jit
def _multiply_add(x, y, out, n, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    there = at < n
    value = tl.load(x + at, mask=there) * tl.load(y + at, mask=there) + 1
    tl.store(out + at, value, mask=there)


@triton.jit
def _softmax(x, out, columns, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    row, at = tl.program_id(0), tl.arange(0, BLOCK)
    there = at < columns
    value = tl.load(x + row * columns + at, mask=there, other=-float("inf"))
    e = tl.exp(value - tl.max(value, axis=0))
    tl.store(out + row * columns + at, e / tl.sum(e, axis=0), mask=there)


def calls(name: str, arrays: list[np.ndarray]) -> Callable[[], Any] | None:
    """The call for a work of kernels.py; None for one that is not here."""
    given = [torch.tensor(a, device="cuda") for a in arrays]
    out = torch.empty_like(given[0])
    if name == "x*y+1":
        n = out.numel()
        grid = (triton.cdiv(n, 1024),)
        return lambda: (_multiply_add[grid](*given, out, n, BLOCK=1024), out)[1]
    if name == "softmax":
        rows, columns = out.shape
        block = triton.next_power_of_2(columns)
        return lambda: (_softmax[(rows,)](*given, out, columns, BLOCK=block), out)[1]
    return None
