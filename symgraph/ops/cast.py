"""Conversion between dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import DTypeError
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

    Floats become integers by truncation, anything becomes bool by ``!= 0``, integers wrap, of a
    complex number the real part stays (the function ``cast`` refuses that; ``x.real`` says it).
    Between floats and complex numbers the derivative passes; integers and bools carry none.
    """

    name = "cast"
    elementwise = True
    dtype: str

    def infer(self, x: TensorType) -> TensorType:
        return x.with_dtype(self.dtype)

    def reference(self, x: Any) -> Any:
        x = np.asarray(x)
        parts = x.dtype.kind == "c" and dtypes.kind(self.dtype) not in "bc"
        return (x.real if parts else x).astype(dtypes.numpy_dtype(self.dtype))

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable | None]:
        both = dtypes.is_inexact(x.dtype) and dtypes.is_inexact(self.dtype)
        return (to_dtype(g, x.dtype) if both else None,)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        return pointwise(out.shape, lambda *i: functions.cast(x(*i), self.dtype))


def to_dtype(value: Any, dtype: str) -> Variable:
    """The operand in the dtype: constants are converted now, tensors by a cast."""
    found = converted(value, dtype)
    return found if found is not None else apply(Cast(dtype), (as_variable(value),)).outputs[0]


def computed_in(x: Variable) -> Variable:
    """x as what sums of several steps are taken in: float32 for float16 and bfloat16, else x."""
    return to_dtype(x, "float32") if dtypes.is_narrow(x.dtype) else x


@in_language("cast")
def cast(x: Any, dtype: Any) -> Variable:
    """x converted to another dtype, as ``x.astype(dtype)`` of NumPy; the same shape.

    Raises DTypeError for an unknown dtype, and for complex numbers that would lose their imaginary
    part.

    >>> import symgraph as sg
    >>> sg.cast([1.7, -1.7], "int32").eval().tolist()
    [1, -1]
    """
    if is_pattern(x):
        return pattern_node("cast", (x,), {"dtype": dtype})  # type: ignore[no-any-return]
    x, wanted = as_variable(x), dtypes.as_dtype(dtype)
    if dtypes.is_complex(x.dtype) and dtypes.kind(wanted) not in "bc":
        raise DTypeError(
            f"cast: {x.dtype} to {wanted} would drop the imaginary part",
            operands=[(x.label(), x.type.text(), x.origin)],
            hint="x.real, x.imag and sg.abs(x) say which number is meant",
        )
    return to_dtype(x, wanted)
