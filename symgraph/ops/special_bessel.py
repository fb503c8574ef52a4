"""Bessel functions: j, y, i, k of orders 0 and 1 and of any real order.

Derivatives by x follow from the recurrences (DLMF 10.6, 10.29); derivatives by the order are
refused. Orders 0 and 1 of j, i, k are our own code, the others SciPy's (Cephes, Amos).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgraph.ops.arithmetic import negative, sign
from symgraph.ops.comparison import equal, where
from symgraph.ops.elementwise import elementwise
from symgraph.ops.special_rows import no_slope, scalar

__all__ = [
    "i0", "i0e", "i1", "i1e", "iv", "ive", "j0", "j1", "jv", "k0", "k0e", "k1", "k1e", "kv", "kve",
    "y0", "y1", "yv",
]  # fmt: skip

_ORDER = {0: "the order"}


def _over(y: Any, x: Any) -> Any:
    """y / x, and the limit 1/2 at 0."""
    zero = equal(x, 0)
    return where(zero, 0.5, y / where(zero, 1, x))


j0 = elementwise(
    "j0", "The Bessel function of the first kind of order 0.",
    **scalar("j0"), vjp=lambda g, y, x: (negative(g * j1(x)),), domain=(-9, 20),
    example="special.j0([0.0]) -> [1.0]",
)  # fmt: skip
j1 = elementwise(
    "j1", "The Bessel function of the first kind of order 1.",
    **scalar("j1"), vjp=lambda g, y, x: (g * (j0(x) - _over(y, x)),), domain=(-9, 20),
    example="special.j1([0.0]) -> [0.0]",
)  # fmt: skip
y0 = elementwise(
    "y0", "The Bessel function of the second kind of order 0; NaN below 0.",
    **scalar("y0"), vjp=lambda g, y, x: (negative(g * y1(x)),), domain=(0.5, 9),
    example="special.y0([0.0]) -> [-inf]",
)  # fmt: skip
y1 = elementwise(
    "y1", "The Bessel function of the second kind of order 1; NaN below 0.",
    **scalar("y1"), vjp=lambda g, y, x: (g * (y0(x) - y / x),), domain=(0.5, 9),
    example="special.y1([0.0]) -> [-inf]",
)  # fmt: skip
i0 = elementwise(
    "i0", "The modified Bessel function of the first kind of order 0.",
    **scalar("i0"), vjp=lambda g, y, x: (g * i1(x),), domain=(-5, 5),
    example="special.i0([0.0]) -> [1.0]",
)  # fmt: skip
i1 = elementwise(
    "i1", "The modified Bessel function of the first kind of order 1.",
    **scalar("i1"), vjp=lambda g, y, x: (g * (i0(x) - _over(y, x)),), domain=(-5, 5),
    example="special.i1([0.0]) -> [0.0]",
)  # fmt: skip
i0e = elementwise(
    "i0e", "exp(-abs(x)) * i0(x).",
    **scalar("i0e"), vjp=lambda g, y, x: (g * (i1e(x) - sign(x) * y),), domain=(0.2, 9),
    example="special.i0e([0.0]) -> [1.0]",
)  # fmt: skip
i1e = elementwise(
    "i1e", "exp(-abs(x)) * i1(x).",
    **scalar("i1e"), vjp=lambda g, y, x: (g * (i0e(x) - _over(y, x) - sign(x) * y),),
    domain=(0.2, 9), example="special.i1e([0.0]) -> [0.0]",
)  # fmt: skip
k0 = elementwise(
    "k0", "The modified Bessel function of the second kind of order 0; NaN below 0.",
    **scalar("k0"), vjp=lambda g, y, x: (negative(g * k1(x)),), domain=(0.2, 5),
    example="special.k0([0.0]) -> [inf]",
)  # fmt: skip
k1 = elementwise(
    "k1", "The modified Bessel function of the second kind of order 1; NaN below 0.",
    **scalar("k1"), vjp=lambda g, y, x: (negative(g * (k0(x) + y / x)),), domain=(0.2, 5),
    example="special.k1([0.0]) -> [inf]",
)  # fmt: skip
k0e = elementwise(
    "k0e", "exp(x) * k0(x).",
    **scalar("k0e"), vjp=lambda g, y, x: (g * (y - k1e(x)),), domain=(0.2, 9),
    example="special.k0e([0.0]) -> [inf]",
)  # fmt: skip
k1e = elementwise(
    "k1e", "exp(x) * k1(x).",
    **scalar("k1e"), vjp=lambda g, y, x: (g * (y - y / x - k0e(x)),), domain=(0.2, 9),
    example="special.k1e([0.0]) -> [inf]",
)  # fmt: skip


# any order ----------------------------------------------------------------------------------------


def _recurrence(f: Callable[..., Any], up: int) -> Callable[..., Any]:
    """(f(v-1, x) + up f(v+1, x)) / 2."""
    return lambda v, x: 0.5 * (f(v - 1, x) + f(v + 1, x) if up > 0 else f(v - 1, x) - f(v + 1, x))


jv = no_slope(elementwise(
    "jv", "The Bessel function of the first kind of real order v.",
    **scalar("jv"), vjp=lambda g, y, v, x: (None, g * _recurrence(jv, -1)(v, x)),
    domain=((0.5, 4), (0.5, 9)), example="special.jv(0.0, 0.0) -> 1.0",
), _ORDER)  # fmt: skip
yv = no_slope(elementwise(
    "yv", "The Bessel function of the second kind of real order v.",
    **scalar("yv"), vjp=lambda g, y, v, x: (None, g * _recurrence(yv, -1)(v, x)),
    domain=((0.5, 3), (1.5, 9)), example="special.yv(0.0, 0.0) -> -inf",
), _ORDER)  # fmt: skip
iv = no_slope(elementwise(
    "iv", "The modified Bessel function of the first kind of real order v.",
    **scalar("iv"), vjp=lambda g, y, v, x: (None, g * _recurrence(iv, 1)(v, x)),
    domain=((0.5, 3), (0.5, 5)), example="special.iv(0.0, 0.0) -> 1.0",
), _ORDER)  # fmt: skip
ive = no_slope(elementwise(
    "ive", "exp(-abs(x)) * iv(v, x).",
    **scalar("ive"), vjp=lambda g, y, v, x: (None, g * (_recurrence(ive, 1)(v, x) - sign(x) * y)),
    domain=((0.5, 3), (0.5, 5)), example="special.ive(0.0, 0.0) -> 1.0",
), _ORDER)  # fmt: skip
kv = no_slope(elementwise(
    "kv", "The modified Bessel function of the second kind of real order v.",
    **scalar("kv"), vjp=lambda g, y, v, x: (None, negative(g * _recurrence(kv, 1)(v, x))),
    domain=((0.5, 3), (0.8, 5)), example="special.kv(1.0, 0.0) -> inf",
), _ORDER)  # fmt: skip
kve = no_slope(elementwise(
    "kve", "exp(x) * kv(v, x).",
    **scalar("kve"), vjp=lambda g, y, v, x: (None, g * (y - _recurrence(kve, 1)(v, x))),
    domain=((0.5, 3), (0.8, 5)), example="special.kve(1.0, 0.0) -> inf",
), _ORDER)  # fmt: skip
