"""Exponentials and logarithms."""

from __future__ import annotations

import math

import numpy as np

from symgraph.ops.arithmetic import divide
from symgraph.ops.comparison import equal, isinf, logical_and, where
from symgraph.ops.elementwise import elementwise, to_float
from symgraph.scalar import Expr, functions

__all__ = ["exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "logaddexp"]

_LN2, _LN10 = math.log(2.0), math.log(10.0)

exp = elementwise(
    "exp", "Natural exponential e**x.",
    dtype=to_float, on_complex=True, reference=np.exp, lower=functions.exp,
    vjp=lambda g, y, x: (g * y,),
    domain=(-10, 10), example="exp([0.0, 1.0]) -> [1.0, 2.718281828459045]",
)  # fmt: skip
exp2 = elementwise(
    "exp2", "2**x.",
    dtype=to_float, on_complex=True, reference=np.exp2, lower=functions.exp2,
    vjp=lambda g, y, x: (g * y * _LN2,),
    domain=(-10, 10), example="exp2([0.0, 3.0]) -> [1.0, 8.0]",
)  # fmt: skip
expm1 = elementwise(
    "expm1", "e**x - 1, accurate near 0.",
    dtype=to_float, on_complex=True, reference=np.expm1, lower=functions.expm1,
    # y + 1 would lose the digits of exp(x) where x is very negative
    vjp=lambda g, y, x: (g * exp(x),), domain=(-5, 5), example="expm1([0.0]) -> [0.0]",
)  # fmt: skip
log = elementwise(
    "log", "Natural logarithm; -inf at 0 and NaN below.",
    dtype=to_float, on_complex=True, reference=np.log, lower=functions.log,
    vjp=lambda g, y, x: (g / x,),
    domain=(0.1, 9), example="log([1.0]) -> [0.0]",
)  # fmt: skip
log1p = elementwise(
    "log1p", "log(1 + x), accurate near 0.",
    dtype=to_float, on_complex=True, reference=np.log1p, lower=functions.log1p,
    vjp=lambda g, y, x: (g / (1 + x),),
    domain=(-0.9, 5), example="log1p([0.0]) -> [0.0]",
)  # fmt: skip
log2 = elementwise(
    "log2", "Logarithm to base 2.",
    dtype=to_float, on_complex=True, reference=np.log2, lower=functions.log2,
    vjp=lambda g, y, x: (g / (x * _LN2),),
    domain=(0.1, 9), example="log2([8.0]) -> [3.0]",
)  # fmt: skip
log10 = elementwise(
    "log10", "Logarithm to base 10.",
    dtype=to_float, on_complex=True, reference=np.log10, lower=functions.log10,
    vjp=lambda g, y, x: (g / (x * _LN10),), domain=(0.1, 9), example="log10([100.0]) -> [2.0]",
)  # fmt: skip


def _logaddexp(a: Expr, b: Expr) -> Expr:
    # equal operands apart: the difference of two infinities would be NaN
    gap = functions.abs_(functions.sub(a, b))
    larger = functions.maximum(a, b)
    usual = functions.add(larger, functions.log1p(functions.exp(functions.neg(gap))))
    return functions.select(functions.eq(a, b), functions.add(a, _LN2), usual)


def _share(g: object, a: object, b: object) -> object:
    # exp(a) / (exp(a) + exp(b)), finite for all operands; with slopes where finite ones are equal
    gap = where(logical_and(equal(a, b), isinf(a)), 0, b - a)  # type: ignore[operator]
    return divide(g, exp(gap) + 1)


logaddexp = elementwise(
    "logaddexp", "log(exp(a) + exp(b)) without overflow.",
    dtype=to_float, arity=2, reference=np.logaddexp, lower=_logaddexp,
    vjp=lambda g, y, a, b: (_share(g, a, b), _share(g, b, a)),
    example="logaddexp(-float('inf'), 1.0) -> 1.0",
)  # fmt: skip
