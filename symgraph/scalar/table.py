"""The closed table of scalar operations: name, number of operands, result type and meaning.

The meaning of an operation is its NumPy function; the interpreters evaluate it and the code
generators are tested against it. Adding an operation means one row here, one emitter in codegen/.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph.records import NamedTuple
from symgraph.scalar.special import SPECIAL


class ScalarOp(NamedTuple):
    """One row: ``result`` is "same" (the operands' dtype), "bool", "part" (of complex operands the
    dtype of a part, else as same), "complex" (made of two parts) or "attr" (given by the node)."""

    name: str
    arity: int
    result: str
    reference: Callable[..., Any]
    symbol: str = ""


def _each(function: Callable[..., float]) -> Callable[..., Any]:
    """Lift a scalar function of Python floats over arrays, keeping the dtype of the operands."""
    lifted = np.frompyfunc(function, 1, 1)

    def apply(x: Any) -> Any:
        return np.asarray(lifted(np.asarray(x, "float64")), "float64").astype(np.result_type(x))[()]

    return apply


def _sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(np.isnan(x), x, np.where(x >= 0, 1 / (1 + e), e / (1 + e))).astype(e.dtype)[()]


def _select(c: Any, a: Any, b: Any) -> Any:
    return np.where(c, a, b)[()]


def _mulhi(a: Any, b: Any) -> Any:
    wide = np.asarray(a, "uint64") * np.asarray(b, "uint64")
    return (wide >> np.uint64(32)).astype("uint32")[()]


def _ipow(a: Any, b: Any) -> Any:
    """Integer power; a negative exponent truncates towards zero, as 1 // a**n would."""
    base, exponent = np.broadcast_arrays(np.asarray(a), np.asarray(b))
    odd = (exponent & np.ones((), exponent.dtype)).astype(bool)
    small = np.where(base == 1, 1, np.where(base + 1 == 0, np.where(odd, -1, 1), 0))
    positive = np.power(base, np.where(exponent < 0, 0, exponent).astype(base.dtype))
    return np.where(exponent < 0, small.astype(base.dtype), positive)[()]


def _fma(a: Any, b: Any, c: Any) -> Any:
    wide = np.longdouble
    out = np.asarray(a, wide) * np.asarray(b, wide) + np.asarray(c, wide)
    return out.astype(np.result_type(a, b, c))[()]


def _complex(x: Any, y: Any) -> Any:
    # x + 1j * y would lose the signs of zeros and make NaN of infinities
    x, y = np.broadcast_arrays(x, y)
    return np.stack([x, y], -1).view("complex64" if x.dtype == "float32" else "complex128")[..., 0]


_PARTS: tuple[tuple[str, Any], ...] = (("abs", np.abs), ("real", np.real), ("imag", np.imag))


def _rows() -> list[ScalarOp]:
    same: list[tuple[str, int, Any, str]] = [
        ("add", 2, np.add, "+"),
        ("sub", 2, np.subtract, "-"),
        ("mul", 2, np.multiply, "*"),
        ("div", 2, np.true_divide, "/"),
        ("floordiv", 2, np.floor_divide, "//"),
        ("mod", 2, np.remainder, "%"),
        ("neg", 1, np.negative, "-"),
        ("minimum", 2, np.minimum, ""),
        ("maximum", 2, np.maximum, ""),
        ("fma", 3, _fma, ""),
        ("sign", 1, np.sign, ""),
        ("copysign", 2, np.copysign, ""),
        ("pow", 2, np.power, "**"),
        ("ipow", 2, _ipow, "**"),
        ("and", 2, np.bitwise_and, "&"),
        ("or", 2, np.bitwise_or, "|"),
        ("xor", 2, np.bitwise_xor, "^"),
        ("not", 1, np.invert, "~"),
        ("shl", 2, np.left_shift, "<<"),
        ("shr", 2, np.right_shift, ">>"),
        ("floor", 1, np.floor, ""),
        ("ceil", 1, np.ceil, ""),
        ("trunc", 1, np.trunc, ""),
        ("rint", 1, np.rint, ""),
        ("sqrt", 1, np.sqrt, ""),
        ("cbrt", 1, np.cbrt, ""),
        ("exp", 1, np.exp, ""),
        ("exp2", 1, np.exp2, ""),
        ("expm1", 1, np.expm1, ""),
        ("log", 1, np.log, ""),
        ("log1p", 1, np.log1p, ""),
        ("log2", 1, np.log2, ""),
        ("log10", 1, np.log10, ""),
        ("sin", 1, np.sin, ""),
        ("cos", 1, np.cos, ""),
        ("tan", 1, np.tan, ""),
        ("asin", 1, np.arcsin, ""),
        ("acos", 1, np.arccos, ""),
        ("atan", 1, np.arctan, ""),
        ("atan2", 2, np.arctan2, ""),
        ("sinh", 1, np.sinh, ""),
        ("cosh", 1, np.cosh, ""),
        ("tanh", 1, np.tanh, ""),
        ("asinh", 1, np.arcsinh, ""),
        ("acosh", 1, np.arccosh, ""),
        ("atanh", 1, np.arctanh, ""),
        ("sigmoid", 1, _sigmoid, ""),
        ("softplus", 1, lambda x: np.logaddexp(x, np.zeros((), np.result_type(x))), ""),
        ("erf", 1, _each(math.erf), ""),
        ("erfc", 1, _each(math.erfc), ""),
        ("mulhi", 2, _mulhi, ""),
    ]
    boolean: list[tuple[str, int, Any, str]] = [
        ("lt", 2, np.less, "<"),
        ("le", 2, np.less_equal, "<="),
        ("eq", 2, np.equal, "=="),
        ("ne", 2, np.not_equal, "!="),
        ("isnan", 1, np.isnan, ""),
        ("isinf", 1, np.isinf, ""),
        ("isfinite", 1, np.isfinite, ""),
    ]
    rows = [ScalarOp(name, arity, "same", f, symbol) for name, arity, f, symbol in same]
    rows += [ScalarOp(name, arity, "bool", f, symbol) for name, arity, f, symbol in boolean]
    rows += [ScalarOp(name, 1, "part", f) for name, f in _PARTS]
    rows.append(ScalarOp("conj", 1, "same", np.conj))
    rows.append(ScalarOp("complex", 2, "complex", _complex))
    rows += [ScalarOp(name, arity, "same", f) for name, (arity, f) in SPECIAL.items()]
    rows.append(ScalarOp("select", 3, "attr", _select))
    rows.append(ScalarOp("cast", 1, "attr", lambda x: x))
    rows.append(ScalarOp("bitcast", 1, "attr", lambda x: x))
    return rows


SCALAR_OPS: dict[str, ScalarOp] = {row.name: row for row in _rows()}
# the functions that take some dozen cycles: with the vector code of codegen/vmath
ELEMENTARY = frozenset(
    "exp exp2 expm1 log log1p log2 log10 sin cos tan asin acos atan atan2 sinh cosh tanh asinh"
    " acosh atanh cbrt sigmoid softplus pow erf erfc".split()
)
LEAVES = ("const", "var", "load", "load_if")
