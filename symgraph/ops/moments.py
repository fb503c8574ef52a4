"""Means, variances and standard deviations over axes."""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.ir.graph import Variable
from symgraph.ir.operators import in_language
from symgraph.ir.types import Size
from symgraph.loops.compute import elements
from symgraph.ops.arithmetic import absolute, maximum, sqrt, square
from symgraph.ops.cast import cast, computed_in
from symgraph.ops.comparison import equal
from symgraph.ops.comparison import where as chosen
from symgraph.ops.masked import counted
from symgraph.ops.reductions import as_float, reduced_axes, sum
from symgraph.ops.settled import stable_as_written
from symgraph.scalar import as_expr, as_size

__all__ = ["mean", "std", "var"]


def _count(x: Variable, axis: Any, name: str) -> Size:
    return elements([x.shape[k] for k in reduced_axes(axis, x.ndim, name)])


@in_language("mean")
def mean(
    x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, *, where: Any = None
) -> Variable:
    """The arithmetic mean; integers and bools as float64, NaN over nothing.

    >>> import symgraph as sg
    >>> sg.mean([[1, 2], [3, 4]], axis=1).eval().tolist()
    [1.5, 3.5]
    """
    x = as_float(x, dtype)
    wide = computed_in(x)
    total = sum(wide, axis, keepdims=keepdims, where=where)
    return cast(total / _number(wide, axis, keepdims, where, "mean"), x.dtype)


def _number(x: Variable, axis: Any, keepdims: bool, where: Any, name: str) -> Any:
    """How many elements count."""
    ones = counted(x, where, name)
    return _count(x, axis, name) if ones is None else sum(ones, axis, keepdims=keepdims)


@in_language("var")
@stable_as_written
def var(
    x: Any, axis: Any = None, dtype: Any = None, ddof: int = 0, keepdims: bool = False, *,
    where: Any = None,
) -> Variable:  # fmt: skip
    """The variance: the sum of squared distances from the mean over n - ddof. Two passes, so that
    no digits cancel; integers and bools as float64. Of complex numbers the distance is a
    magnitude, so that the variance is real.

    >>> import symgraph as sg
    >>> sg.var([1, 2, 3, 4]).eval().tolist()
    1.25
    """
    x = as_float(x, dtype)
    kind = dtypes.real_of(x.dtype)
    x = computed_in(x)
    count = _number(x, axis, keepdims, where, "var")
    if isinstance(count, Variable):
        count = maximum(count - ddof, 0)
    else:
        count = as_size(as_expr(count) - ddof)
        count = 0 if isinstance(count, int) and count < 0 else count
    distance = x - mean(x, axis, keepdims=True, where=where)
    if dtypes.is_complex(x.dtype):
        distance = absolute(distance)
    return cast(sum(square(distance), axis, keepdims=keepdims, where=where) / count, kind)


@in_language("std")
def std(
    x: Any, axis: Any = None, dtype: Any = None, ddof: int = 0, keepdims: bool = False, *,
    where: Any = None,
) -> Variable:  # fmt: skip
    """The standard deviation, the square root of :func:`var`; of equal numbers its derivative is 0.

    >>> import symgraph as sg
    >>> sg.std([1, 2, 3, 4, 5, 6]).eval().round(6).tolist()
    1.707825
    """
    x = as_float(x, dtype)
    kind = dtypes.real_of(x.dtype)
    return cast(root(var(computed_in(x), axis, None, ddof, keepdims, where=where)), kind)


def root(total: Variable) -> Variable:
    """The square root of a sum of squares. Its derivative at 0 is 0, the middle of the slopes in
    all directions, where the square root's is infinite."""
    nothing = equal(total, 0)
    return chosen(nothing, 0, sqrt(chosen(nothing, 1, total)))  # type: ignore[no-any-return]
