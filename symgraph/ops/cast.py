"""Conversion between dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.ir.graph import Variable, apply
from symgraph.ir.op import Op
from symgraph.ir.operators import in_language
from symgraph.ir.types import TensorType
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.ops.operands import as_variable, converted
from symgraph.rewrite.pattern import is_pattern
from symgraph.rewrite.pattern import node as pattern_node
from symgraph.scalar import functions

__all__ = ["cast"]


class Cast(Op):
    """The elements converted to ``dtype`` as NumPy's astype does.

    Floats become integers by truncation, anything becomes bool by ``!= 0``, integers wrap.
    Between floats the derivative passes; integers and bools carry none.
    """

    name = "cast"
    elementwise = True
    dtype: str

    def infer(self, x: TensorType) -> TensorType:
        return x.with_dtype(self.dtype)

    def reference(self, x: Any) -> Any:
        return np.asarray(x).astype(dtypes.numpy_dtype(self.dtype))

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable | None]:
        both = dtypes.is_float(x.dtype) and dtypes.is_float(self.dtype)
        return (to_dtype(g, x.dtype) if both else None,)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        return pointwise(out.shape, lambda *i: functions.cast(x(*i), self.dtype))


def to_dtype(value: Any, dtype: str) -> Variable:
    """The operand in the dtype: constants are converted now, tensors by a cast."""
    found = converted(value, dtype)
    return found if found is not None else apply(Cast(dtype), (as_variable(value),)).outputs[0]


@in_language("cast")
def cast(x: Any, dtype: Any) -> Variable:
    """x converted to another dtype, as ``x.astype(dtype)`` of NumPy; the same shape.

    Raises DTypeError for an unknown dtype.

    >>> import symgraph as sg
    >>> sg.cast([1.7, -1.7], "int32").eval().tolist()
    [1, -1]
    """
    if is_pattern(x):
        return pattern_node("cast", (x,), {"dtype": dtype})  # type: ignore[no-any-return]
    if type(x) in (bool, int, float):
        x = as_variable(x)
    return to_dtype(x, dtypes.as_dtype(dtype))
