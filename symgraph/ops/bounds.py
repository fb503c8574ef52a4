"""Integers that are checked: labels of classes, and numbers that are counted in bins."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import DTypeError, IndexOutOfRange
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import Size, TensorType
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.ops.comparison import greater_equal, less, logical_and
from symgraph.ops.operands import as_variable
from symgraph.ops.reductions import all as all_


class InRange(Op):
    """Integers unchanged; an error at run time when one is not in 0 .. ``size`` - 1. ``bins``: the
    integers are what bincount counts, not labels."""

    name = "in_range"
    nondifferentiable = "it is defined on integers"
    size: Size
    bins: bool = False

    def infer(self, x: TensorType) -> TensorType:
        if not dtypes.is_int(x.dtype):
            raise DTypeError(f"labels are integers, not {x.dtype}", hint="sg.cast them to int64")
        return x

    def reference(self, x: Any) -> Any:
        wrong = x[(x < 0) | (x >= self.size)]
        if wrong.size:
            raise IndexOutOfRange(self._failed(wrong.flat[0]), hint=self._hint())
        return np.array(x)

    def requires(self, x: Variable) -> list[tuple[Variable, str, str, str]]:
        """All must be in range."""
        good = all_(logical_and(greater_equal(x, 0), less(x, as_variable(self.size))))
        return [(good, "SG301", self._failed(), self._hint())]

    def _failed(self, value: Any = None) -> str:
        known = isinstance(self.size, int)
        if self.bins:
            word = "a value" if value is None else value
            return f"bincount: {word} is in none of the {f'{self.size} ' if known else ''}bins"
        word = "a label" if value is None else f"label {value}"
        return f"{word} is not one of {self.size if known else 'the'} classes"

    def _hint(self) -> str:
        return "bins count from 0, so no integer is negative" if self.bins else "they count from 0"

    def bound(self, x: TensorType) -> Size:
        """What the results stay below."""
        return self.size

    def lower(self, out: TensorType, x: Operand) -> Compute:
        return pointwise(out.shape, lambda *i: x(*i))
