"""Functions that build scalar expressions: the words in which operations write their kernels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from symgraph import dtypes
from symgraph.scalar.expr import Expr, Operand, as_expr, call, const, load, load_if, node
from symgraph.scalar.table import SCALAR_OPS


def _function(name: str) -> Callable[..., Expr]:
    def build(*args: Operand) -> Expr:
        first = next(a for a in args if isinstance(a, Expr))
        return call(name, *(as_expr(a, first.dtype) for a in args))

    build.__name__ = name
    build.__doc__ = f"The scalar operation ``{name}``; Python numbers take the operands' dtype."
    return build


_all = {name: _function(name) for name in SCALAR_OPS if name not in ("select", "cast", "bitcast")}
add, sub, mul, div = _all["add"], _all["sub"], _all["mul"], _all["div"]
floordiv, mod, neg, abs_ = _all["floordiv"], _all["mod"], _all["neg"], _all["abs"]
minimum, maximum, fma, sign = _all["minimum"], _all["maximum"], _all["fma"], _all["sign"]
copysign, pow_, ipow = _all["copysign"], _all["pow"], _all["ipow"]
and_, or_, xor, not_ = _all["and"], _all["or"], _all["xor"], _all["not"]
shl, shr, mulhi = _all["shl"], _all["shr"], _all["mulhi"]
floor, ceil, trunc, rint = (_all[n] for n in ("floor", "ceil", "trunc", "rint"))
sqrt, cbrt = _all["sqrt"], _all["cbrt"]
exp, exp2, expm1 = _all["exp"], _all["exp2"], _all["expm1"]
log, log1p, log2, log10 = _all["log"], _all["log1p"], _all["log2"], _all["log10"]
sin, cos, tan, asin, acos = (_all[n] for n in ("sin", "cos", "tan", "asin", "acos"))
atan, atan2 = _all["atan"], _all["atan2"]
sinh, cosh, tanh = _all["sinh"], _all["cosh"], _all["tanh"]
asinh, acosh, atanh = _all["asinh"], _all["acosh"], _all["atanh"]
sigmoid, softplus, erf, erfc = (_all[n] for n in ("sigmoid", "softplus", "erf", "erfc"))
lt, le, eq, ne = _all["lt"], _all["le"], _all["eq"], _all["ne"]
isnan, isinf, isfinite = _all["isnan"], _all["isinf"], _all["isfinite"]
real, imag, conj, complex_ = _all["real"], _all["imag"], _all["conj"], _all["complex"]


def gt(a: Operand, b: Operand) -> Expr:
    """a > b, as b < a."""
    return lt(b, a)


def ge(a: Operand, b: Operand) -> Expr:
    """a >= b, as b <= a."""
    return le(b, a)


def select(cond: Expr, then: Operand, otherwise: Operand) -> Expr:
    """``then`` where ``cond`` holds, else ``otherwise``; both are evaluated.

    >>> from symgraph.scalar.expr import var
    >>> x = var("x", "float32")
    >>> str(select(lt(x, 0), 0, x))
    'select(x < 0.0, 0.0, x)'
    """
    dtype = next((a.dtype for a in (then, otherwise) if isinstance(a, Expr)), None)
    if dtype is None:
        raise TypeError("select needs one expression among its branches to know the dtype")
    a, b = as_expr(then, dtype), as_expr(otherwise, dtype)
    if cond.is_const:
        return a if cond.value else b
    return a if a is b else node("select", (cond, a, b), dtype)


def cast(x: Expr, dtype: str) -> Expr:
    """x converted as NumPy's astype does (floats to integers truncate, anything to bool: != 0)."""
    if x.dtype == dtype:
        return x
    if x.is_const:
        with np.errstate(all="ignore"):  # out of range wraps, as it does at run time
            number = np.asarray(x.value, dtypes.numpy_dtype(x.dtype))
            parts = dtypes.is_complex(x.dtype) and dtypes.kind(dtype) not in "bc"
            value = (number.real if parts else number).astype(dtypes.numpy_dtype(dtype))
        return const(value.item(), dtype)
    return node("cast", (x,), dtype)


def bitcast(x: Expr, dtype: str) -> Expr:
    """The same bits read as another dtype of the same width."""
    if dtypes.itemsize(x.dtype) != dtypes.itemsize(dtype):
        raise TypeError(f"bitcast {x.dtype} to {dtype}: widths differ")
    return x if x.dtype == dtype else node("bitcast", (x,), dtype)


__all__ = [
    "abs_",
    "acos",
    "acosh",
    "add",
    "and_",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bitcast",
    "cast",
    "cbrt",
    "ceil",
    "complex_",
    "conj",
    "const",
    "copysign",
    "cos",
    "cosh",
    "div",
    "eq",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "floordiv",
    "fma",
    "ge",
    "gt",
    "imag",
    "ipow",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "load",
    "load_if",
    "log",
    "log1p",
    "log2",
    "log10",
    "lt",
    "maximum",
    "minimum",
    "mod",
    "mul",
    "mulhi",
    "ne",
    "neg",
    "not_",
    "or_",
    "pow_",
    "real",
    "rint",
    "select",
    "shl",
    "shr",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softplus",
    "sqrt",
    "sub",
    "tan",
    "tanh",
    "trunc",
    "xor",
]  # fmt: skip
