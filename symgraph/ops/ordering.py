"""Positions that sort: what indexing needs of sorting, which builds on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.ir.op import Op
from symgraph.ir.types import Size, TensorType
from symgraph.loops.routine import Routine

NATIVE = frozenset(dtypes.REALS)


class ArgSort(Op):
    """The positions (int64) along the last axis that put x in ascending order; of equal elements
    the first one first, NaN last. When ``descending`` the greatest element comes first, NaN before
    it, and of equal ones the first one first."""

    name = "argsort"
    nondifferentiable = "the result are positions"
    descending: bool = False

    def infer(self, x: TensorType) -> TensorType:
        return x.with_dtype("int64")

    def bound(self, x: TensorType) -> Size:
        """The positions are below this."""
        return x.shape[-1]

    def reference(self, x: Any) -> Any:
        return order_of(x, self.descending)

    def extern(self, x: TensorType) -> Routine:
        return sorting_routine(x, True, self.descending)


def sorting_routine(x: TensorType, positions: bool, descending: bool = False) -> Routine:
    """The routine that sorts, or finds positions."""
    if x.dtype not in NATIVE:
        return Routine("python")
    return Routine("sort", (("positions", positions), ("descending", descending)))


def order_of(x: Any, descending: bool) -> Any:
    """The positions of NumPy arrays, for references."""
    if not descending:
        return np.argsort(x, -1, kind="stable").astype("int64")
    back = np.argsort(np.flip(x, -1), -1, kind="stable").astype("int64")
    return x.shape[-1] - 1 - np.flip(back, -1)
