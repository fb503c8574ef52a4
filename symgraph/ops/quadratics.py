"""Roots of quadratic equations to the last digits, for coefficients of any size.

Rewriting puts this in the place of the schoolbook formula; users need not know it. Source: Higham,
Accuracy and Stability of Numerical Algorithms, 2002, section 1.8 and problem 26.3; the discriminant
by two fused operations is Kahan's.
"""

from __future__ import annotations

from typing import Any

from symgraph.ops.stable_forms import row
from symgraph.scalar import Expr, functions
from symgraph.scalar.functions import abs_, and_, const, div, lt, maximum, minimum, select

__all__: list[str] = []

# bits of the mantissa, the bias of the exponent, and the integers of the same width
_FORMAT = {"float64": (52, 1023, "int64"), "float32": (23, 127, "int32")}


def _power_of_two(n: Expr, dtype: str) -> Expr:
    """2**n for an exponent of a normal number."""
    bits, bias, _ = _FORMAT[dtype]
    return functions.bitcast(functions.shl(n + bias, bits), dtype)


def _times_power(x: Expr, n: Expr) -> Expr:
    """x * 2**n; the exponent may be three times that of a number."""
    _, bias, _ = _FORMAT[x.dtype]
    for _ in range(3):
        part = maximum(minimum(n, bias), 1 - bias)
        x, n = x * _power_of_two(part, x.dtype), n - part
    return x


def _split(x: Expr) -> tuple[Expr, Expr]:
    """The mantissa, between 1 and 2 with the sign, and the exponent; of 0 itself and a very small
    exponent."""
    bits, bias, whole = _FORMAT[x.dtype]
    tiny, zero = lt(abs_(x), 2.0 ** (2 + bits - bias)), functions.eq(x, 0)
    word = functions.bitcast(select(tiny, x * 2.0 ** (2 * bits), x), whole)
    mask = (2 * bias + 1) << bits
    e = functions.shr(functions.and_(word, mask), bits) - bias
    e = e - select(tiny, const(2 * bits, whole), const(0, whole))
    near_one = functions.or_(functions.and_(word, ~mask), bias << bits)
    mantissa = select(zero, x, functions.bitcast(near_one, x.dtype))
    return mantissa, select(zero, const(-4 * bias, whole), e)


def _root_of_discriminant(a: Expr, b: Expr, c: Expr) -> Expr:
    """sqrt(b*b - a*c), by fused operations so that nothing is lost where the terms agree."""
    product = a * c
    error = functions.fma(-a, c, product)
    return functions.sqrt(functions.fma(b, b, -product) + error)


def _quadratic_root(b: Expr, a: Expr, c: Expr) -> Expr:
    bits, _, whole = _FORMAT[a.dtype]
    (p, i), (q, j), (r, k) = _split(a), _split(b), _split(c)
    # b*b and a*c are multiplied by 2**(-2n), where 2**n is near the larger one's root
    n = maximum(j, functions.shr(i + k + 1, 1))
    low = const(-4 * bits, whole)
    q = q * _power_of_two(maximum(j - n, low), a.dtype)
    p_scaled = p * _power_of_two(maximum(i + k - n - n, low), a.dtype)
    root = _root_of_discriminant(p_scaled, q, r)
    far = root + abs_(q)  # the root that does not cancel is -(b + copysign(root, b)) / a
    cancels = functions.gt(b, 0)
    found = div(select(cancels, -r, far), select(cancels, far, p))
    found = _times_power(found, select(cancels, k - n, n - i))
    finite = and_(functions.isfinite(a), and_(functions.isfinite(b), functions.isfinite(c)))
    regular = and_(finite, functions.ne(a, 0))
    written = div(functions.sqrt(b * b - a * c) - b, a)
    return select(regular, found, written)


def _vjp(g: Any, y: Any, b: Any, a: Any, c: Any) -> tuple[Any, Any, Any]:
    # of a*y*y + 2*b*y + c = 0, where a*y + b is the root of the discriminant
    part = g / (a * y + b)
    return -part * y, part * y * y * -0.5, part * -0.5


quadratic_root = row(
    "quadratic_root",
    "(sqrt(b*b - a*c) - b) / a, a root of a*x*x + 2*b*x + c, for coefficients of any size.",
    _quadratic_root, _vjp, 3, ((3, 5), (0.5, 2), (0.5, 2)),
)  # fmt: skip
