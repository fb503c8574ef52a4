"""Element types. A dtype is its canonical NumPy name, a plain string: `"float32"`.

One table row describes a dtype and everything else follows from it. Promotion is NumPy 2's (NEP
50): arrays promote among themselves by kind and size, Python scalars are weak and give way to any
array of their kind or a higher one.

    >>> promote("int8", "uint8"), promote("float32", 2.5), promote("int8", 2.5)
    ('int16', 'float32', 'float64')

NumPy has no bfloat16; arrays of it are those of the package ml_dtypes, and it promotes as in JAX:
with float16 to float32 (neither holds the other), with any integer to bfloat16. NumPy would go to a
float that holds every integer, but who computes in bfloat16 has chosen 8 bits of precision already,
and a mask, a count or a label must not widen a network without notice.

    >>> promote("bfloat16", "float16"), promote("bfloat16", "int64"), promote("bfloat16", 2.5)
    ('float32', 'bfloat16', 'bfloat16')
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symgraph.errors import DTypeError, OutOfRangeError
from symgraph.records import NamedTuple

DTypeLike = Any  # a name, a NumPy dtype or scalar type, or Python's bool, int, float, complex


class _Row(NamedTuple):
    kind: str  # b bool, i signed, u unsigned, f float, c complex
    itemsize: int
    digits: int = 0  # of a float: the bits of its significand behind the leading one
    exponent: int = 0  # and the exponent of its greatest number


class FloatLimits(NamedTuple):
    """What `np.finfo` says of a float (which knows no bfloat16)."""

    bits: int
    digits: int  # of the significand behind the leading one
    eps: float  # the distance from 1 to the next number
    smallest_normal: float
    smallest_subnormal: float
    max: float


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
    "float16": _Row("f", 2, 10, 15),
    "bfloat16": _Row("f", 2, 7, 127),
    "float32": _Row("f", 4, 23, 127),
    "float64": _Row("f", 8, 52, 1023),
    "complex64": _Row("c", 8),
    "complex128": _Row("c", 16),
}
ALL = tuple(_TABLE)
BOOLS = tuple(d for d in ALL if _TABLE[d].kind == "b")
INTS = tuple(d for d in ALL if _TABLE[d].kind in "iu")
FLOATS = tuple(d for d in ALL if _TABLE[d].kind == "f")
COMPLEX = tuple(d for d in ALL if _TABLE[d].kind == "c")
NARROW = ("float16", "bfloat16")  # floats that are stored, never computed in: see loops/narrow.py
REALS = (*BOOLS, *INTS, *FLOATS)
#: what kernels move elements as that code generation would convert or take apart: lower/moves.py
WORDS = {"complex64": "uint64", "float16": "uint16", "bfloat16": "uint16"}

_KIND_ORDER = "buifc"  # u before i: unsigned may become signed but not the reverse
_FLOAT_SIZE_FOR_INT = {1: 2, 2: 4, 4: 8, 8: 8}  # bytes of the float NumPy takes for an integer
_WEAK_KIND = {int: "i", float: "f", complex: "c"}
_WEAK_DEFAULT = {bool: "bool", int: "int64", float: "float64", complex: "complex128"}

_by_spec: dict[Any, str] = {d: d for d in ALL}
_by_spec.update(_WEAK_DEFAULT)
_pairs: dict[tuple[str, str], str] = {}
_numpy: dict[str, np.dtype[Any]] = {d: np.dtype(d) for d in ALL if d != "bfloat16"}


# looking at one dtype -----------------------------------------------------------------------------


def as_dtype(spec: DTypeLike) -> str:
    """The canonical name of anything NumPy understands as a dtype, and of "bfloat16". Python's
    bool, int, float and complex mean bool, int64, float64 and complex128.

    Raises DTypeError for dtypes that symgraph does not have (objects, strings, dates, foreign byte
    order).

    >>> as_dtype("f4"), as_dtype(np.int16), as_dtype(bool), as_dtype("c8")
    ('float32', 'int16', 'bool', 'complex64')
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
        hint = f"one of {', '.join(ALL)}"
        if not isinstance(spec, str | type | None):
            hint = "here stands the dtype; a shape is one tuple (3, 4), other arguments go by name"
        raise DTypeError(f"not a dtype: {spec!r:.60}", hint=hint)
    if not dtype.isnative:
        raise DTypeError(
            f"unsupported byte order of dtype {dtype.str!r}",
            hint=f"convert the array with .astype({dtype.name!r}) first",
        )
    if dtype.name not in _TABLE:
        hint = f"one of {', '.join(ALL)}"
        if dtype.kind in "OUS":
            hint = "numbers are needed; np.asarray(value, float) says what stands in the way"
        raise DTypeError(f"unsupported dtype {dtype.name!r}", hint=hint)
    name = dtype.name
    if isinstance(spec, np.dtype):  # its name is put together anew each time
        _by_spec[spec] = name
    return name


def numpy_dtype(d: str) -> np.dtype[Any]:
    """The NumPy dtype of a canonical name; bfloat16 is that of the package ml_dtypes.

    Raises DTypeError for bfloat16 where ml_dtypes is not installed.
    """
    found = _numpy.get(d)
    return _bfloat16(d) if found is None else found


def _bfloat16(d: str) -> np.dtype[Any]:
    if d != "bfloat16":
        raise KeyError(d)
    try:
        import ml_dtypes
    except ImportError:
        raise DTypeError(
            "NumPy has no bfloat16; its arrays come from the package ml_dtypes",
            hint='pip install "symgraph-compiler[bfloat16]"',
        ) from None
    made: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    _numpy[d] = made
    return made


def itemsize(d: str) -> int:
    """Bytes of one element in memory."""
    return _TABLE[d].itemsize


def kind(d: str) -> str:
    """`b` bool, `i` signed integer, `u` unsigned integer, `f` float (bfloat16 too, of which NumPy
    says `V`), `c` complex."""
    return _TABLE[d].kind


def kind_of(dtype: np.dtype[Any]) -> str:
    """The kind of an array's dtype; empty for one that symgraph does not have."""
    return _TABLE[dtype.name].kind if dtype.name in _TABLE else ""


def is_float(d: str) -> bool:
    """A real float; complex is none."""
    return _TABLE[d].kind == "f"


def is_complex(d: str) -> bool:
    return _TABLE[d].kind == "c"


def is_inexact(d: str) -> bool:
    """Float or complex."""
    return _TABLE[d].kind in "fc"


def is_narrow(d: str) -> bool:
    """A float of two bytes: stored narrow, computed in float32."""
    return d in NARROW


def real_of(d: str) -> str:
    """The dtype of the real part: half of a complex dtype, any other dtype itself.

    >>> real_of("complex64"), real_of("int8")
    ('float32', 'int8')
    """
    return f"float{4 * _TABLE[d].itemsize}" if _TABLE[d].kind == "c" else d


def complex_of(d: str) -> str:
    """The complex dtype in which a dtype meets Python's complex numbers.

    >>> complex_of("float32"), complex_of("float16"), complex_of("int8")
    ('complex64', 'complex64', 'complex128')
    """
    return promote(d, complex)


def limits(d: str) -> FloatLimits:
    """The limits of a float dtype, and those of the parts of a complex one.

    >>> limits("float16").max, limits("bfloat16").eps
    (65504.0, 0.0078125)
    """
    _, size, digits, e = _TABLE[real_of(d)]
    normal = math.ldexp(1.0, 1 - e)
    eps = math.ldexp(1.0, -digits)
    return FloatLimits(8 * size, digits, eps, normal, normal * eps, math.ldexp(2.0 - eps, e))


def is_int(d: str) -> bool:
    """Signed or unsigned integer; bool is neither."""
    return _TABLE[d].kind in "iu"


def is_bool(d: str) -> bool:
    return _TABLE[d].kind == "b"


def min_value(d: str) -> bool | int | float:
    """The least element, the neutral element of `max`: minus infinity for floats (complex numbers
    have no order)."""
    row = _TABLE[d]
    if row.kind in "fc":
        return -math.inf
    if row.kind == "b":
        return False
    return -(1 << (8 * row.itemsize - 1)) if row.kind == "i" else 0


def max_value(d: str) -> bool | int | float:
    """The greatest element, the neutral element of `min`: infinity for floats."""
    row = _TABLE[d]
    if row.kind in "fc":
        return math.inf
    if row.kind == "b":
        return True
    return (1 << (8 * row.itemsize - (row.kind == "i"))) - 1


# promotion ----------------------------------------------------------------------------------------


def promote(*operands: Any) -> str:
    """The dtype in which operands meet, by the rules of NumPy 2 (`np.result_type`).

    An operand is a dtype or a Python scalar. Python scalars are weak: the types `int`, `float` and
    `complex` stand for any value, a value is also checked against the range of the result. Python's
    bool is as strong as the dtype bool.

    Raises DTypeError for what is neither, OutOfRangeError for an integer that does not fit.

    >>> promote("uint8", "int8"), promote("float32", int), promote("float32", 1j)
    ('int16', 'float32', 'complex64')
    """
    if not operands:
        raise DTypeError("promote: no operands")
    strong: list[str] = []
    weak_kind = "b"
    integers: list[int] = []
    for operand in operands:
        scalar_type = operand if isinstance(operand, type) else type(operand)
        if scalar_type is int or scalar_type is float or scalar_type is complex:
            weak_kind = max(weak_kind, _WEAK_KIND[scalar_type], key=_KIND_ORDER.index)
            if scalar_type is int and operand is not int:
                integers.append(operand)
        elif scalar_type is bool:
            strong.append("bool")
        else:
            strong.append(as_dtype(operand))
    d = _with_weak(_promote_strong(strong) if strong else "bool", weak_kind)
    for value in integers:
        check_in_range(value, d)
    return d


def _with_weak(d: str, weak_kind: str) -> str:
    """The dtype of an array that met a Python scalar of a kind."""
    kind = _TABLE[d].kind
    if weak_kind == "c" and kind != "c":
        return "complex64" if kind == "f" and _TABLE[d].itemsize < 8 else "complex128"
    if weak_kind == "f" and kind not in "fc":
        return "float64"
    return "int64" if weak_kind == "i" and d == "bool" else d


def _promote_strong(dtypes: list[str]) -> str:
    # Integers meet each other only where no float takes part: promotion is not associative, and
    # NumPy lets the highest kind meet each operand (int16, uint16 and float32 give float32, though
    # int16 and uint16 give int32 and that with float32 gives float64).
    inexact = [d for d in dtypes if _TABLE[d].kind in "fc"]
    result = (inexact or dtypes)[0]
    for d in (*inexact, *dtypes):
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
    if p.kind == "b" or (high == "bfloat16" and p.kind in "iu"):
        return high
    if q.kind == "c":
        part = p.itemsize // 2 if p.kind == "c" else itemsize(_join(low, "float32"))
        return f"complex{16 * max(q.itemsize // 2, part)}"
    if p.kind == q.kind:
        return high if p.itemsize < q.itemsize else "float32"  # float16 and bfloat16
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
    if row.kind in "fc" and abs(value) >> 1024:
        raise OutOfRangeError(f"the integer {value} is too large for {d}")


def can_cast_same_kind(source: str, target: str) -> bool:
    """Whether values may be written into `target` without changing to a lower kind
    (`np.can_cast(..., casting="same_kind")`).

    >>> can_cast_same_kind("float64", "float32"), can_cast_same_kind("float64", "int64")
    (True, False)
    """
    return _KIND_ORDER.index(_TABLE[source].kind) <= _KIND_ORDER.index(_TABLE[target].kind)
