"""Operations that rewriting puts in the place of formulas which lose digits.

Users need not know them; each is a formula in one name, computed so that nothing cancels and
nothing overflows on the way. Sources: Higham, Accuracy and Stability of Numerical Algorithms, 2002
(sums with their rounding error, section 4.3); IEEE 754-2019 (compound, hypot).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from symgraph.ops.arithmetic import absolute, sqrt
from symgraph.ops.comparison import equal, less, where
from symgraph.ops.elementwise import elementwise, to_float
from symgraph.ops.exponential import expm1, log1p
from symgraph.ops.trigonometric import cos, sin, tan
from symgraph.scalar import Expr, functions, var
from symgraph.scalar.functions import abs_, div, exp, select
from symgraph.scalar.walk import evaluate

__all__ = ["hypot"]

Body = Callable[..., Expr]
# products and squares of numbers with exponents up to this are finite and normal
_EXPONENT = {"float64": 500, "float32": 60}


# one body, two meanings ---------------------------------------------------------------------------


def _reference(body: Body) -> Callable[..., Any]:
    """The body over arrays, by the NumPy meanings of its scalar operations."""

    def reference(*arrays: Any) -> Any:
        given = [np.asarray(a) for a in arrays]
        dtype = given[0].dtype
        wide = [a.astype("float32") if a.itemsize < 4 else a for a in given]
        names = [var(f"x{k}", str(a.dtype)) for k, a in enumerate(wide)]
        found = np.asarray(evaluate(body(*names), {f"x{k}": a for k, a in enumerate(wide)}))
        return found.astype(dtype, copy=False)[()]

    return reference


def row(name: str, doc: str, body: Body, vjp: Callable[..., Any], arity: int = 1,
        domain: tuple[Any, ...] = (-3, 3), example: str = "") -> Any:  # fmt: skip
    """An elementwise op whose reference is its own scalar expression, by NumPy's meanings."""
    return elementwise(
        name, doc, dtype=to_float, arity=arity, reference=_reference(body), lower=body,
        vjp=vjp, domain=domain, example=example,
    )  # fmt: skip


def _nested(t: Expr, divisors: tuple[int, ...]) -> Expr:
    """1 - t/d0 (1 - t/d1 (1 - ...)): an alternating series by its ratios of neighbours."""
    one = functions.const(1.0, t.dtype)
    return reduce(lambda rest, d: 1 - t * (1.0 / d) * rest, reversed(divisors), one)


# out of range on the way --------------------------------------------------------------------------


def _moderate(x: Expr) -> tuple[Expr, Expr]:
    """x times a power of two that brings it near 1 when it is far, and the logarithm taken out."""
    e = _EXPONENT[x.dtype]
    size, shift = abs_(x), 2.0 ** (e + e // 10)
    far, near = functions.gt(size, 2.0**e), functions.lt(size, 2.0**-e)
    scaled = select(far, x * (1 / shift), select(near, x * shift, x))
    out = math.log(shift)
    return scaled, select(far, out, select(near, -out, functions.const(0.0, x.dtype)))


def _log_of(value: Expr, error: Expr) -> Expr:
    """log(value + error), for an error far below the value: what counts where value is near 1."""
    part = div(error, value)
    zero = functions.const(0.0, value.dtype)
    return functions.log(value) + select(functions.isfinite(part), part, zero)


def _log_of_product(x: Expr, y: Expr) -> Expr:
    (a, p), (b, q) = _moderate(x), _moderate(y)
    product = a * b
    return _log_of(product, functions.fma(a, b, -product)) + (p + q)


def _log_of_quotient(x: Expr, y: Expr) -> Expr:
    (a, p), (b, q) = _moderate(x), _moderate(y)
    quotient = div(a, b)
    return _log_of(quotient, div(functions.fma(-quotient, b, a), b)) + (p - q)


def _hypot(x: Expr, y: Expr) -> Expr:
    p, q = abs_(x), abs_(y)
    scale, back = _into_range(functions.maximum(p, q))
    a, b = p * scale, q * scale
    infinite = functions.or_(functions.isinf(p), functions.isinf(q))
    return select(infinite, math.inf, functions.sqrt(a * a + b * b) * back)


def _into_range(longest: Expr) -> tuple[Expr, Expr]:
    """A power of two that brings squares into range, and its reciprocal."""
    e = _EXPONENT[longest.dtype]
    up = 2.0 ** (e + e // 10)
    far, near = functions.gt(longest, 2.0**e), functions.lt(longest, 2.0**-e)
    one = functions.const(1.0, longest.dtype)
    return select(far, 1 / up, select(near, up, one)), select(far, up, select(near, 1 / up, one))


def _hypot3(x: Expr, y: Expr, z: Expr) -> Expr:
    p, q, r = abs_(x), abs_(y), abs_(z)
    scale, back = _into_range(functions.maximum(functions.maximum(p, q), r))
    a, b, c = p * scale, q * scale, r * scale
    return functions.sqrt(a * a + b * b + c * c) * back


def _scale_of_square_plus(x: Expr, q: Expr) -> tuple[Expr, Expr]:
    """A power of two that brings x*x + q into range when it is multiplied twice, and its
    reciprocal."""
    e = _EXPONENT[x.dtype]
    up, size, one = 2.0 ** (e + e // 10), abs_(x), functions.const(1.0, x.dtype)
    far = functions.gt(size, 2.0**e)
    near = functions.and_(functions.lt(size, 2.0**-e), functions.lt(abs_(q), 2.0 ** (-2 * e)))
    return select(far, 1 / up, select(near, up, one)), select(far, up, select(near, 1 / up, one))


def _sqrt_of_square_plus(x: Expr, q: Expr) -> Expr:
    scale, back = _scale_of_square_plus(x, q)
    a = x * scale
    return functions.sqrt(a * a + q * scale * scale) * back


def _over_square_plus(x: Expr, q: Expr) -> Expr:
    scale, _ = _scale_of_square_plus(x, q)
    a = x * scale
    return div(a, a * a + q * scale * scale) * scale


def _sqrt_of_product(x: Expr, y: Expr) -> Expr:
    root = functions.sqrt(x * y)
    e = _EXPONENT[x.dtype]
    product = abs_(x * y)
    low, high = functions.gt(product, 2.0 ** (-2 * e)), functions.lt(product, 2.0 ** (2 * e))
    apart = functions.sqrt(abs_(x)) * functions.sqrt(abs_(y))
    same = functions.eq(functions.sign(x), functions.sign(y))
    lost = functions.and_(same, functions.not_(functions.and_(low, high)))
    return select(lost, apart, root)


log_of_product = row(
    "log_of_product", "log(x * y), also where the product is out of range.", _log_of_product,
    lambda g, y, a, b: (g / a, g / b), 2, (0.1, 9),
)  # fmt: skip
log_of_quotient = row(
    "log_of_quotient", "log(x / y), also where the quotient is out of range.", _log_of_quotient,
    lambda g, y, a, b: (g / a, -g / b), 2, (0.1, 9),
)  # fmt: skip
hypot = row(
    "hypot", "sqrt(x*x + y*y), also where the squares are out of range. Its derivative at 0 is 0.",
    _hypot, lambda g, y, a, b: tuple(g * where(equal(y, 0), 0, v / y) for v in (a, b)), 2,
    example="hypot(3.0, 4.0) -> 5.0",
)  # fmt: skip
hypot3 = row(
    "hypot3", "sqrt(x*x + y*y + z*z), also where the squares are out of range.", _hypot3,
    lambda g, y, *xs: tuple(g * where(equal(y, 0), 0, v / y) for v in xs), 3,
)  # fmt: skip
sqrt_of_square_plus = row(
    "sqrt_of_square_plus", "sqrt(x*x + q), also where the square is out of range.",
    _sqrt_of_square_plus, lambda g, y, x, q: (g * (x / y), g * 0.5 / y), 2, ((-3, 3), (0.5, 4)),
)  # fmt: skip
over_square_plus = row(
    "over_square_plus", "x / (x*x + q), also where the square is out of range.", _over_square_plus,
    lambda g, y, x, q: (g * (y / x - 2 * y * y), -g * y * (y / x)), 2, ((0.5, 3), (0.5, 4)),
)  # fmt: skip
sqrt_of_product = row(
    "sqrt_of_product", "sqrt(x * y), also where the product is out of range.", _sqrt_of_product,
    lambda g, y, a, b: (g * 0.5 * (y / a), g * 0.5 * (y / b)), 2, (0.2, 4),
)  # fmt: skip


# sums with their rounding error -------------------------------------------------------------------


def _two_sum(a: Expr, b: Expr) -> tuple[Expr, Expr]:
    """The sum as a float, and its error, exactly (Knuth); none where the sum is that large that
    only its size counts."""
    total = a + b
    part = total - a
    error = (a - (total - part)) + (b - part)
    small = functions.lt(abs_(error), 1)
    return total, select(small, error, functions.const(0.0, a.dtype))


def _exp_of_sum(a: Expr, b: Expr) -> Expr:
    total, error = _two_sum(a, b)
    return exp(total) * (error + 1)


def _compound(x: Expr, n: Expr) -> Expr:
    total, error = _two_sum(functions.const(1.0, x.dtype), x)
    rest = select(functions.eq(total, 0), functions.const(0.0, x.dtype), div(error, total))
    rounded = functions.pow_(total, n)
    part = n * rest
    final = functions.or_(functions.eq(rounded, 0), functions.isinf(rounded))
    exact = functions.or_(functions.eq(rest, 0), functions.isnan(x))
    return select(functions.or_(final, exact), rounded, rounded * exp(part))


multiply_add = row(
    "multiply_add", "x * a + b, rounded once.", functions.fma,
    lambda g, y, x, a, b: (g * a, g * x, g), 3,
)  # fmt: skip
exp_of_sum = row(
    "exp_of_sum", "exp(a) * exp(b), also where one of the factors is out of range.", _exp_of_sum,
    lambda g, y, a, b: (g * y, g * y), 2,
)  # fmt: skip
compound = row(
    "compound", "(1 + x) ** n, without the rounding of 1 + x.", _compound,
    lambda g, y, x, n: (g * n * compound(x, n - 1), g * y * log1p(x)), 2, ((-0.5, 2), (-4, 4)),
)  # fmt: skip


def _power_slope(u: Any) -> Any:
    """log1p(u) - u / (1 + u): both by s = u / (2 + u), of which the first orders cancel exactly."""
    s = u / (u + 2)
    t = s * s
    series = reduce(lambda total, n: total * t + 1 / n, range(23, 1, -2), 0.0)
    near = (t / (s + 1) + s * t * series) * 2
    return where(less(absolute(s), 0.2), near, log1p(u) - u / (u + 1))


compound_of_reciprocal = row(
    "compound_of_reciprocal", "(1 + 1 / x) ** x.", lambda x: _compound(div(1.0, x), x),
    lambda g, y, x: (g * y * _power_slope(1 / x),), domain=(0.5, 4),
)  # fmt: skip


# differences of neighbours ------------------------------------------------------------------------


def _sqrt1pm1(x: Expr) -> Expr:
    root = functions.sqrt(x + 1)
    return select(functions.lt(x, 1), div(x, root + 1), root - 1)


def _acos1m(x: Expr) -> Expr:
    near = functions.asin(functions.sqrt(x * 0.5)) * 2
    return select(functions.lt(x, 1), near, functions.acos(1 - x))


def _root_difference(x: Expr, q: Expr) -> Expr:
    root = _sqrt_of_square_plus(x, q)
    half = root * 0.5 + abs_(x) * 0.5
    by_other_root = functions.and_(functions.gt(x, 0), functions.isfinite(half))
    return select(by_other_root, div(q * 0.5, half), root - x)


def _x_minus_sin(x: Expr) -> Expr:
    t = x * x
    series = x * t * (1.0 / 6.0) * _nested(t, (20, 42, 72, 110, 156, 210, 272, 342))
    return select(functions.lt(abs_(x), 1), series, x - functions.sin(x))


def _sin_minus_x_cos(x: Expr) -> Expr:
    t = x * x
    series = x * t * (1.0 / 3.0) * _nested(t, (10, 28, 54, 88, 130, 180, 238, 304))
    return select(functions.lt(abs_(x), 1), series, functions.sin(x) - x * functions.cos(x))


def _tan_minus_x(x: Expr) -> Expr:
    near = div(_sin_minus_x_cos(x), functions.cos(x))
    return select(functions.lt(abs_(x), 1), near, functions.tan(x) - x)


def _x_minus_sin_over_tan_minus_x(x: Expr) -> Expr:
    t, cosine = x * x, functions.cos(x)
    above = _nested(t, (20, 42, 72, 110, 156, 210, 272, 342)) * 0.5
    below = _nested(t, (10, 28, 54, 88, 130, 180, 238, 304))
    far = div(x - functions.sin(x), functions.tan(x) - x)
    return select(functions.lt(abs_(x), 1), div(above, below) * cosine, far)


def _reciprocal_minus_cot(x: Expr) -> Expr:
    t = x * x
    sine = select(functions.eq(x, 0), functions.const(1.0, x.dtype), div(functions.sin(x), x))
    series = x * (1.0 / 3.0) * _nested(t, (10, 28, 54, 88, 130, 180, 238, 304))
    far = div(1.0, x) - div(1.0, functions.tan(x))
    return select(functions.lt(abs_(x), 1), div(series, sine), far)


def _exp_share(a: Expr, b: Expr) -> Expr:
    total, error = _two_sum(a, -b)
    larger = functions.gt(total, 0)
    part = exp(-abs_(total)) * (select(larger, -error, error) + 1)  # of the smaller and the larger
    return div(select(larger, functions.const(1.0, a.dtype), part), part + 1)


def _exp_over_expm1(x: Expr) -> Expr:
    positive = div(-1.0, functions.expm1(-x))
    return select(functions.gt(x, 0), positive, div(exp(x), functions.expm1(x)))


def _sin_over_x(x: Expr) -> Expr:
    return select(functions.eq(x, 0), functions.const(1.0, x.dtype), div(functions.sin(x), x))


sqrt1pm1 = row(
    "sqrt1pm1", "sqrt(1 + x) - 1.", _sqrt1pm1, lambda g, y, x: (g * 0.5 / (y + 1),),
    domain=(-0.8, 4),
)  # fmt: skip
acos1m = row(
    "acos1m", "arccos(1 - x).", _acos1m, lambda g, y, x: (g / sqrt(x * (2 - x)),),
    domain=(0.1, 1.9),
)  # fmt: skip
root_difference = row(
    "root_difference", "sqrt(x*x + q) - x: half of it is a root of r*r + x*r - q/4.",
    _root_difference,
    lambda g, y, x, q: (-g * y / (x + y), g * 0.5 / (x + y)), 2, ((-3, 3), (0.5, 4)),
)  # fmt: skip
x_minus_sin = row(
    "x_minus_sin", "x - sin(x).", _x_minus_sin,
    lambda g, y, x: (g * (2.0 * sin(x * 0.5) ** 2),),
)  # fmt: skip
sin_minus_x_cos = row(
    "sin_minus_x_cos", "sin(x) - x * cos(x).", _sin_minus_x_cos,
    lambda g, y, x: (g * x * sin(x),),
)  # fmt: skip
tan_minus_x = row(
    "tan_minus_x", "tan(x) - x.", _tan_minus_x, lambda g, y, x: (g * tan(x) ** 2,),
    domain=(-1.4, 1.4),
)  # fmt: skip
# of the derivative of the quotient below, over x, in powers of x**2: quotients of the Taylor series
_QUOTIENT = (
    -0.45, 0.03857142857142857, -0.0014464285714285714, 1.8645640074211503e-05,
    -6.328492935635793e-07, -1.9289384085302453e-08, -1.245571800981465e-09,
    -6.980361801083665e-11, -3.8920645697500746e-12, -2.1417228889788815e-13,
    -1.166818936791877e-14, -6.304338772113628e-16,
)  # fmt: skip


def _quotient_slope(y: Any, x: Any) -> Any:
    near = x * reduce(lambda total, c: total * (x * x) + c, reversed(_QUOTIENT))
    far = ((1 - cos(x)) - y * tan(x) ** 2) / tan_minus_x(x)
    return where(less(absolute(x), 1), near, far)


x_minus_sin_over_tan_minus_x = row(
    "x_minus_sin_over_tan_minus_x", "(x - sin(x)) / (tan(x) - x).", _x_minus_sin_over_tan_minus_x,
    lambda g, y, x: (g * _quotient_slope(y, x),), domain=(0.3, 1.4),
)  # fmt: skip
_BERNOULLI = (1 / 6, 1 / 30, 1 / 42, 1 / 30, 5 / 66, 691 / 2730, 7 / 6, 3617 / 510, 43867 / 798,
              174611 / 330)  # fmt: skip


def _cosecant_squared_rest(x: Any) -> Any:
    """1 / sin(x)**2 - 1 / x**2, near 0 by its series (Abramowitz and Stegun 4.3.70, term by
    term)."""
    t, total = x * x, 0.0
    for n in range(len(_BERNOULLI), 0, -1):
        size = (2 * n - 1) * _BERNOULLI[n - 1] * 4.0**n / math.factorial(2 * n)
        total = total * t + size
    return where(less(absolute(x), 0.5), total, 1 / sin(x) ** 2 - 1 / x**2)


reciprocal_minus_cot = row(
    "reciprocal_minus_cot", "1 / x - 1 / tan(x).", _reciprocal_minus_cot,
    lambda g, y, x: (g * _cosecant_squared_rest(x),), domain=(0.2, 3),
)  # fmt: skip
exp_share = row(
    "exp_share", "exp(a) / (exp(a) + exp(b)).", _exp_share,
    lambda g, y, a, b: (g * y * exp_share(b, a), -g * y * exp_share(b, a)), 2,
)  # fmt: skip
exp_over_expm1 = row(
    "exp_over_expm1", "exp(x) / (exp(x) - 1).", _exp_over_expm1,
    lambda g, y, x: (-g * y / expm1(x),), domain=(0.5, 3),
)  # fmt: skip
sin_over_x = row(
    "sin_over_x", "sin(x) / x, 1 at 0.", _sin_over_x,
    lambda g, y, x: (-g * where(
        less(absolute(x), 1e-4), x / 3 * (1 - x * x / 10), sin_minus_x_cos(x) / x / x),),
)  # fmt: skip
