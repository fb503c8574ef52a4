"""Comparison, logic, bits and choice. Derivatives pass through ``where`` alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.ir.graph import Variable
from symgraph.ir.operators import in_language
from symgraph.ops.elementwise import (
    choice,
    elementwise,
    integer,
    integral,
    same,
    truth,
)
from symgraph.ops.operands import as_variable, promotable
from symgraph.rewrite.pattern import is_pattern
from symgraph.scalar import functions
from symgraph.scalar.table import SCALAR_OPS

__all__ = [
    "bitwise_and", "bitwise_or", "bitwise_xor", "equal", "greater", "greater_equal", "invert",
    "isfinite", "isinf", "isnan", "left_shift", "less", "less_equal", "logical_and", "logical_not",
    "logical_or", "logical_xor", "not_equal", "right_shift",
]  # fmt: skip

_STEP = "the result is a truth value"
_BITS = "it works on the bits of integers"


# comparison ---------------------------------------------------------------------------------------

_less = elementwise(
    "less", "Where a < b; false where one is NaN.",
    dtype=same, result="bool", arity=2, reference=np.less, lower=functions.lt,
    nondifferentiable=_STEP, example="less([1.0, 2.0], 2) -> [True, False]",
)  # fmt: skip
_less_equal = elementwise(
    "less_equal", "Where a <= b; false where one is NaN.",
    dtype=same, result="bool", arity=2, reference=np.less_equal, lower=functions.le,
    nondifferentiable=_STEP, example="less_equal([1.0, 2.0], 2) -> [True, True]",
)  # fmt: skip
_equal = elementwise(
    "equal", "Where a == b; NaN equals nothing.",
    dtype=same, on_complex=True, result="bool", arity=2, reference=np.equal, lower=functions.eq,
    nondifferentiable=_STEP, example="equal([1, 2], 2) -> [False, True]",
)  # fmt: skip
_not_equal = elementwise(
    "not_equal", "Where a != b; NaN differs from everything.",
    dtype=same, on_complex=True, result="bool", arity=2, reference=np.not_equal, lower=functions.ne,
    nondifferentiable=_STEP, example="not_equal([1, 2], 2) -> [True, False]",
)  # fmt: skip

# What a comparison is where the left operand is below every value that the right one can have.
_WHEN_BELOW = {"less": True, "less_equal": True, "equal": False, "not_equal": True}


def _compare(row: Any, a: Any, b: Any) -> Variable:
    """Compare exactly: also a Python integer beyond the other's dtype, and signed with uint64,
    which have no common integer dtype (NumPy 2 does the same)."""
    if is_pattern(a) or is_pattern(b):
        return row(a, b)  # type: ignore[no-any-return]
    kinds = (promotable(a), promotable(b))
    for value, other, is_left in ((kinds[0], kinds[1], True), (kinds[1], kinds[0], False)):
        if type(value) is int and isinstance(other, str) and not _fits(value, other):
            below = (value < 0) == is_left
            answer = _WHEN_BELOW[row.name] if below else row.name == "not_equal"
            array = as_variable(b if is_left else a)
            return (_equal if answer else _not_equal)(array, array)
    if "uint64" in kinds and any(k in ("int8", "int16", "int32", "int64") for k in kinds):
        return _compare_uint64(row, as_variable(a), as_variable(b))
    return row(a, b)  # type: ignore[no-any-return]


def _fits(value: int, dtype: str) -> bool:
    return not dtypes.is_int(dtype) or dtypes.min_value(dtype) <= value <= dtypes.max_value(dtype)


def _compare_uint64(row: Any, a: Variable, b: Variable) -> Variable:
    signed, left = (a, True) if a.dtype != "uint64" else (b, False)
    below = _WHEN_BELOW[row.name] if left else row.name == "not_equal"
    whole = row(*(v if v.dtype == "uint64" else v.astype("uint64") for v in (a, b)))
    return logical_or(signed < 0, whole) if below else logical_and(signed >= 0, whole)


@in_language("less")
def less(a: Any, b: Any) -> Variable:
    """Where a < b, false where one is NaN. Shapes broadcast; integers compare exactly whatever
    their dtypes.

    >>> import symgraph as sg
    >>> sg.less([1.0, 2.0], 2).eval().tolist()
    [True, False]
    """
    return _compare(_less, a, b)


@in_language("less_equal")
def less_equal(a: Any, b: Any) -> Variable:
    """Where a <= b, false where one is NaN. Shapes broadcast; integers compare exactly.

    >>> import symgraph as sg
    >>> sg.less_equal([1.0, 2.0], 2).eval().tolist()
    [True, True]
    """
    return _compare(_less_equal, a, b)


def greater(a: Any, b: Any) -> Variable:
    """Where a > b, as b < a.

    >>> import symgraph as sg
    >>> sg.greater([1.0, 3.0], 2).eval().tolist()
    [False, True]
    """
    return _compare(_less, b, a)


def greater_equal(a: Any, b: Any) -> Variable:
    """Where a >= b, as b <= a.

    >>> import symgraph as sg
    >>> sg.greater_equal([1.0, 2.0], 2).eval().tolist()
    [False, True]
    """
    return _compare(_less_equal, b, a)


@in_language("equal")
def equal(a: Any, b: Any) -> Variable:
    """Where a == b; NaN equals nothing. Shapes broadcast; integers compare exactly.

    >>> import symgraph as sg
    >>> sg.equal([1, 2], 2).eval().tolist()
    [False, True]
    """
    return _compare(_equal, a, b)


@in_language("not_equal")
def not_equal(a: Any, b: Any) -> Variable:
    """Where a != b; NaN differs from everything. Shapes broadcast; integers compare exactly.

    >>> import symgraph as sg
    >>> sg.not_equal([1, 2], 2).eval().tolist()
    [True, False]
    """
    return _compare(_not_equal, a, b)


# logic: every dtype is a truth value (anything but zero, so NaN is true) --------------------------

logical_and = elementwise(
    "logical_and", "Where both are true (not zero).",
    dtype=truth, on_complex=True, arity=2, reference=np.logical_and, lower=functions.and_,
    nondifferentiable=_STEP, example="logical_and([1, 0], [True, True]) -> [True, False]",
)  # fmt: skip
logical_or = elementwise(
    "logical_or", "Where at least one is true (not zero).",
    dtype=truth, on_complex=True, arity=2, reference=np.logical_or, lower=functions.or_,
    nondifferentiable=_STEP, example="logical_or([1, 0], [0, 0]) -> [True, False]",
)  # fmt: skip
logical_xor = elementwise(
    "logical_xor", "Where exactly one is true (not zero).",
    dtype=truth, on_complex=True, arity=2, reference=np.logical_xor, lower=functions.xor,
    nondifferentiable=_STEP, example="logical_xor([1, 1], [0, 1]) -> [True, False]",
)  # fmt: skip
logical_not = elementwise(
    "logical_not", "Where x is zero.",
    dtype=truth, on_complex=True, reference=np.logical_not, lower=functions.not_,
    nondifferentiable=_STEP, example="logical_not([1.5, 0.0]) -> [False, True]",
)  # fmt: skip


# bits ---------------------------------------------------------------------------------------------

bitwise_and = elementwise(
    "bitwise_and", "The bits that both have; on bools, and.",
    dtype=integral, arity=2, reference=np.bitwise_and, lower=functions.and_,
    nondifferentiable=_BITS, example="bitwise_and(6, 3) -> 2",
)  # fmt: skip
bitwise_or = elementwise(
    "bitwise_or", "The bits that one has; on bools, or.",
    dtype=integral, arity=2, reference=np.bitwise_or, lower=functions.or_,
    nondifferentiable=_BITS, example="bitwise_or(6, 3) -> 7",
)  # fmt: skip
bitwise_xor = elementwise(
    "bitwise_xor", "The bits in which they differ; on bools, exclusive or.",
    dtype=integral, arity=2, reference=np.bitwise_xor, lower=functions.xor,
    nondifferentiable=_BITS, example="bitwise_xor(6, 3) -> 5",
)  # fmt: skip
invert = elementwise(
    "invert", "All bits flipped (-x - 1 for signed integers); on bools, not.",
    dtype=integral, reference=np.invert, lower=functions.not_,
    nondifferentiable=_BITS, example="invert([0, 5]) -> [-1, -6]",
)  # fmt: skip
left_shift = elementwise(
    "left_shift", "a * 2**n in the bits of a's dtype; 0 when n is negative or the width or more.",
    dtype=integer, arity=2, reference=np.left_shift, lower=functions.shl,
    nondifferentiable=_BITS, domain=((-50, 50), (0, 9)), example="left_shift(3, 2) -> 12",
)  # fmt: skip
right_shift = elementwise(
    "right_shift",
    "floor(a / 2**n); 0 (or -1 for a negative a) when n is negative or the width or more.",
    dtype=integer, arity=2, reference=np.right_shift, lower=functions.shr,
    nondifferentiable=_BITS, domain=((-50, 50), (0, 9)), example="right_shift(-12, 2) -> -3",
)  # fmt: skip


# classes of floats --------------------------------------------------------------------------------

isnan = elementwise(
    "isnan", "Where x is not a number; nowhere for integers.",
    dtype=same, on_complex=True, result="bool", reference=np.isnan, lower=functions.isnan,
    nondifferentiable=_STEP, example="isnan([0.0, float('nan')]) -> [False, True]",
)  # fmt: skip
isinf = elementwise(
    "isinf", "Where x is infinite, of either sign; nowhere for integers.",
    dtype=same, on_complex=True, result="bool", reference=np.isinf, lower=functions.isinf,
    nondifferentiable=_STEP, example="isinf([0.0, -float('inf')]) -> [False, True]",
)  # fmt: skip
isfinite = elementwise(
    "isfinite", "Where x is neither infinite nor NaN; everywhere for integers.",
    dtype=same, on_complex=True, result="bool", reference=np.isfinite, lower=functions.isfinite,
    nondifferentiable=_STEP, example="isfinite([0.0, float('inf')]) -> [True, False]",
)  # fmt: skip


# choice -------------------------------------------------------------------------------------------

where = elementwise(
    "where",
    """The elements of a where ``cond`` is true (not zero), else those of b.

The derivative of each element passes to the operand it came from and is exactly 0 for the other,
so that a NaN or infinity there does not leak.""",
    dtype=choice, on_complex=True, arity=3, reference=SCALAR_OPS["select"].reference,
    lower=functions.select,
    vjp=lambda g, y, c, a, b: (None, where(c, g, 0), where(c, 0, g)),
    domain=((0, 2), (-3, 3), (-3, 3)), example="where([True, False], 1.0, -1.0) -> [1.0, -1.0]",
)  # fmt: skip


for _name, _row in (
    ("bitwise_and", bitwise_and), ("bitwise_or", bitwise_or), ("bitwise_xor", bitwise_xor),
    ("invert", invert), ("left_shift", left_shift), ("right_shift", right_shift),
):  # fmt: skip
    in_language(_name)(_row)
