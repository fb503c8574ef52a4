"""Element types. A dtype is its canonical NumPy name, a plain string: `"float32"`.

One table row describes a dtype and everything else follows from it. Promotion is NumPy 2's (NEP
50): arrays promote among themselves by kind and size, Python scalars are weak and give way to any
array of their kind or a higher one.

    >>> promote("int8", "uint8"), promote("float32", 2.5), promote("int8", 2.5)
    ('int16', 'float32', 'float64')
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from symgraph.errors import DTypeError, OutOfRangeError

PythonScalar = bool | int | float
DTypeLike = Any  # a name, a NumPy dtype or scalar type, or one of Python's bool, int, float


class _Row(NamedTuple):
    kind: str  # b bool, i signed, u unsigned, f float
    itemsize: int


_TABLE: dict[str, _Row] = {
    "bool": _Row("b", 1),
    "int8": _Row("i", 1),
    "int16": _Row("i", 2),
    "int32": _Row("i", 4),
    "int64": _Row("i", 8),
    "uint8": _Row("u", 1),
    "uint16": _Row("u", 2),
    "uint32": _Row("u", 4),
    "uint64": _Row("u", 8),
    "float32": _Row("f", 4),
    "float64": _Row("f", 8),
}
ALL = tuple(_TABLE)
BOOLS = tuple(d for d in ALL if _TABLE[d].kind == "b")
INTS = tuple(d for d in ALL if _TABLE[d].kind in "iu")
FLOATS = tuple(d for d in ALL if _TABLE[d].kind == "f")

_KIND_ORDER = "buif"  # u before i: unsigned may become signed but not the reverse
_FLOAT_SIZE_FOR_INT = {1: 2, 2: 4, 4: 8, 8: 8}  # bytes of the float NumPy takes for an integer
_WEAK_DEFAULT = {bool: "bool", int: "int64", float: "float64"}

_by_spec: dict[Any, str] = {d: d for d in ALL}
_by_spec.update(_WEAK_DEFAULT)
_pairs: dict[tuple[str, str], str] = {}
_numpy: dict[str, np.dtype[Any]] = {d: np.dtype(d) for d in ALL}


# looking at one dtype -----------------------------------------------------------------------------


def as_dtype(spec: DTypeLike) -> str:
    """The canonical name of anything NumPy understands as a dtype. Python's bool, int and float
    mean bool, int64 and float64.

    Raises DTypeError for dtypes that symgraph does not have (objects, strings, dates, foreign byte
    order).

    >>> as_dtype("f4"), as_dtype(np.int16), as_dtype(bool)
    ('float32', 'int16', 'bool')
    """
    try:
        found = _by_spec.get(spec)
    except TypeError:  # unhashable, such as a list of fields
        found = None
    if found is not None:
        return found
    return _from_numpy(spec)


def _from_numpy(spec: DTypeLike) -> str:
    try:
        # NumPy reads None as float64, which would hide mistakes
        dtype = np.dtype(spec) if spec is not None else None
    except (TypeError, ValueError):
        dtype = None
    if dtype is None:
        raise DTypeError(f"not a dtype: {spec!r}", hint=f"one of {', '.join(ALL)}")
    if not dtype.isnative:
        raise DTypeError(
            f"unsupported byte order of dtype {dtype.str!r}",
            hint=f"convert the array with .astype({dtype.name!r}) first",
        )
    if dtype.name not in _TABLE:
        raise DTypeError(f"unsupported dtype {dtype.name!r}", hint=f"one of {', '.join(ALL)}")
    return dtype.name


def numpy_dtype(d: str) -> np.dtype[Any]:
    """The NumPy dtype of a canonical name."""
    return _numpy[d]


def itemsize(d: str) -> int:
    """Bytes of one element in memory."""
    return _TABLE[d].itemsize


def kind(d: str) -> str:
    """`b` bool, `i` signed integer, `u` unsigned integer, `f` float."""
    return _TABLE[d].kind


def is_float(d: str) -> bool:
    return _TABLE[d].kind == "f"


def is_int(d: str) -> bool:
    """Signed or unsigned integer; bool is neither."""
    return _TABLE[d].kind in "iu"


def is_bool(d: str) -> bool:
    return _TABLE[d].kind == "b"


def min_value(d: str) -> PythonScalar:
    """The least element, the neutral element of `max`: minus infinity for floats."""
    row = _TABLE[d]
    if row.kind == "f":
        return -math.inf
    if row.kind == "b":
        return False
    return -(1 << (8 * row.itemsize - 1)) if row.kind == "i" else 0


def max_value(d: str) -> PythonScalar:
    """The greatest element, the neutral element of `min`: infinity for floats."""
    row = _TABLE[d]
    if row.kind == "f":
        return math.inf
    if row.kind == "b":
        return True
    return (1 << (8 * row.itemsize - (row.kind == "i"))) - 1


# promotion ----------------------------------------------------------------------------------------


def promote(*operands: Any) -> str:
    """The dtype in which operands meet, by the rules of NumPy 2 (`np.result_type`).

    An operand is a dtype or a Python scalar. Python scalars are weak: the types `int` and `float`
    stand for any value, a value is also checked against the range of the result. Python's bool is
    as strong as the dtype bool.

    Raises DTypeError for what is neither, OutOfRangeError for an integer that does not fit.

    >>> promote("uint8", "int8"), promote("float32", int), promote("uint64", "int64")
    ('int16', 'float32', 'float64')
    """
    if not operands:
        raise DTypeError("promote: no operands")
    strong: list[str] = []
    weak_kind = "b"
    integers: list[int] = []
    for operand in operands:
        scalar_type = operand if isinstance(operand, type) else type(operand)
        if scalar_type is int or scalar_type is float:
            weak_kind = max(weak_kind, "f" if scalar_type is float else "i", key=_KIND_ORDER.index)
            if scalar_type is int and operand is not int:
                integers.append(operand)
        elif scalar_type is bool:
            strong.append("bool")
        else:
            strong.append(as_dtype(operand))
    d = _promote_strong(strong) if strong else "bool"
    if weak_kind == "f" and _TABLE[d].kind != "f":
        d = "float64"
    elif weak_kind == "i" and d == "bool":
        d = "int64"
    for value in integers:
        check_in_range(value, d)
    return d


def _promote_strong(dtypes: list[str]) -> str:
    # Integers meet each other only where no float takes part: promotion is not associative, and
    # NumPy lets the highest kind meet each operand (int16, uint16 and float32 give float32, though
    # int16 and uint16 give int32 and that with float32 gives float64).
    floats = [d for d in dtypes if _TABLE[d].kind == "f"]
    result = floats[0] if floats else dtypes[0]
    for d in dtypes:
        result = promote_pair(result, d)
    return result


def promote_pair(a: str, b: str) -> str:
    """The smallest dtype to which both convert safely, as NumPy tabulates it; `promote` of two
    dtypes, for inner loops.
    """
    if a == b:
        return a
    key = (a, b)
    found = _pairs.get(key)
    if found is None:
        found = _pairs[key] = _pairs[b, a] = _join(a, b)
    return found


def _join(a: str, b: str) -> str:
    low, high = sorted((a, b), key=lambda d: (_KIND_ORDER.index(kind(d)), itemsize(d)))
    p, q = _TABLE[low], _TABLE[high]
    if p.kind == q.kind or p.kind == "b":
        return high
    if q.kind == "f":
        return f"float{8 * max(q.itemsize, _FLOAT_SIZE_FOR_INT[p.itemsize])}"
    if q.itemsize > p.itemsize:  # unsigned and a wider signed
        return high
    return f"int{16 * p.itemsize}" if p.itemsize < 8 else "float64"


def check_in_range(value: int, d: str) -> None:
    """Raises OutOfRangeError when the Python integer `value` cannot be written as dtype `d`; bools
    are taken for any integer.
    """
    row = _TABLE[d]
    if row.kind in "iu" and not min_value(d) <= value <= max_value(d):
        raise OutOfRangeError(
            f"the integer {value} does not fit into {d} ({min_value(d)} to {max_value(d)})",
            hint="cast the other operand to a wider dtype first",
        )
    if row.kind == "f" and abs(value) >> 1024:
        raise OutOfRangeError(f"the integer {value} is too large for {d}")


def can_cast_same_kind(source: str, target: str) -> bool:
    """Whether values may be written into `target` without changing to a lower kind
    (`np.can_cast(..., casting="same_kind")`).

    >>> can_cast_same_kind("float64", "float32"), can_cast_same_kind("float64", "int64")
    (True, False)
    """
    return _KIND_ORDER.index(_TABLE[source].kind) <= _KIND_ORDER.index(_TABLE[target].kind)
