"""Running sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.operators import in_language
from symgraph.ir.types import TensorType, normalize_axis
from symgraph.loops.routine import Routine
from symgraph.ops.cast import to_dtype
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import ravel

__all__ = ["cumsum"]


class CumSum(Op):
    """Along ``axis`` the sum of the elements up to and including each, counted from the end when
    ``reverse``."""

    name = "cumsum"
    axis: int
    reverse: bool = False

    def infer(self, x: TensorType) -> TensorType:
        return x

    def reference(self, x: Any) -> Any:
        if self.reverse:
            return np.flip(np.cumsum(np.flip(x, self.axis), self.axis, x.dtype), self.axis)
        return np.cumsum(x, self.axis, x.dtype)

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (CumSum(self.axis, not self.reverse)(g),)

    def extern(self, x: TensorType) -> Routine:
        return Routine("cumsum", (("axis", self.axis), ("reverse", self.reverse)))


@in_language("cumsum")
def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Variable:
    """The running sum along ``axis`` (of the flattened x when not given).

    Bools and integers narrower than 64 bits are summed in 64 bits unless ``dtype`` says otherwise.

    >>> import symgraph as sg
    >>> sg.cumsum([1, 2, 3]).eval().tolist()
    [1, 3, 6]
    """
    x = ravel(x) if axis is None else as_variable(x)
    axis = normalize_axis(0 if axis is None else axis, x.ndim, "cumsum: axis")
    if dtype is not None:
        kind = dtypes.as_dtype(dtype)
    elif dtypes.is_float(x.dtype):
        kind = x.dtype
    else:
        kind = "uint64" if dtypes.kind(x.dtype) == "u" else "int64"
    return CumSum(axis)(to_dtype(x, kind))  # type: ignore[no-any-return]
