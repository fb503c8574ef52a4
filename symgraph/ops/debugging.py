"""Looking at values and checking them while a compiled function runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import AssertionFailed, DTypeError, RankError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.loops.routine import Routine
from symgraph.ops import reductions
from symgraph.ops.comparison import isfinite, isnan, logical_not
from symgraph.ops.operands import as_variable

__all__ = ["AssertionFailed", "assert_", "check_nan", "print_value"]


class Print(Op):
    """x itself; its value is printed with the ``label`` when it is computed."""

    name = "print"
    widens = False  # what is shown has the dtype it has
    label: str
    summary: bool = False

    def infer(self, x: TensorType) -> TensorType:
        return x

    def reference(self, x: Any) -> Any:
        print(f"{self.label} = {self._described(x) if self.summary else x}", flush=True)
        return x

    def _described(self, x: Any) -> str:
        text = f"{x.dtype}{list(x.shape)}"
        if not x.size:
            return text
        with np.errstate(all="ignore"):
            parts = f"min {x.min()} max {x.max()} mean {x.mean()}"
        bad = int(np.size(x) - np.isfinite(x).sum())
        return f"{text} {parts}" + (f" not finite {bad}" if bad else "")

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (g,)

    def extern(self, x: TensorType) -> Routine:
        return Routine("python")


class Assert(Op):
    """x itself; the function stops with ``message`` when the 0-d bool ``cond`` is false."""

    name = "assert"
    message: str

    def infer(self, x: TensorType, cond: TensorType) -> TensorType:
        if cond.dtype != "bool":
            raise DTypeError(f"assert_: the condition is bool, not {cond.text()}")
        if cond.ndim:
            raise RankError(f"assert_: the condition is 0-d, not {cond.text()}")
        return x

    def reference(self, x: Any, cond: Any) -> Any:
        if not cond:
            raise AssertionFailed(self.message)
        return x

    def vjp(self, g: Variable, y: Variable, x: Variable, cond: Variable) -> tuple[Any, ...]:
        return g, None

    def lower(self, out: TensorType, x: Operand, cond: Operand) -> Compute:
        return pointwise(out.shape, lambda *i: x(*i))

    def requires(self, x: Variable, cond: Variable) -> list[tuple[Variable, str, str, str]]:
        return [(cond, AssertionFailed.code, self.message, "")]


def print_value(x: Any, label: str | None = None, summary: bool = False) -> Variable:
    """x itself; whenever it is computed, ``label = value`` is printed: with ``summary`` its type,
    least, greatest and mean element instead. Derivatives pass.

    Only what an output depends on is computed, so use the result. The printing is a call back into
    Python. (What depends on constants alone is printed while compiling.)

    >>> import symgraph as sg
    >>> x = sg.scalar("x")
    >>> (sg.print_value(x * 2, "twice") + 1).eval({x: 3.0}).item()
    twice = 6.0
    7.0
    """
    x = as_variable(x)
    return Print(x.label() if label is None else str(label), summary)(x)  # type: ignore[no-any-return]


def assert_(x: Any, cond: Any, message: str = "assertion failed") -> Variable:
    """x itself; a call of the compiled function raises AssertionFailed with the ``message`` at this
    line when ``cond`` (all of its elements) does not hold. It is checked in native code, before
    anything that depends on the result. Derivatives pass.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.sqrt(sg.assert_(x, x >= 0, "x is not negative")).eval({x: [4.0]}).tolist()
    [2.0]
    """
    flag = as_variable(cond)
    flag = flag if flag.dtype == "bool" else flag != 0
    flag = reductions.all(flag) if flag.ndim else flag
    return Assert(str(message))(as_variable(x), flag)  # type: ignore[no-any-return]


def check_nan(x: Any, label: str | None = None, inf: bool = False) -> Variable:
    """x itself; a call raises AssertionFailed when an element is NaN (or, with ``inf``, infinite).

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.check_nan(sg.log(x)).eval({x: [1.0]}).tolist()
    [0.0]
    """
    x = as_variable(x)
    if not dtypes.is_inexact(x.dtype):
        return x
    good = isfinite(x) if inf else logical_not(isnan(x))
    what = "NaN or an infinite value" if inf else "NaN"
    return assert_(x, good, f"{label or x.label()} holds {what}")
