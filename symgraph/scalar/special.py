"""Special functions as scalar operations: which are written by us and which are called in SciPy.

NATIVE ones have vector code of their own (codegen/vmath) and know any target; LIBRARY ones are C
functions of float64, called lane by lane by address, so that only a host processor can run them.
The meaning of both is SciPy's function, but for limits at infinity, where SciPy has NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph.records import NamedTuple
from symgraph.runtime.special_functions import reference
from symgraph.scalar.slopes import SLOPES


class Special(NamedTuple):
    """One row: the number of operands and the meaning."""

    arity: int
    reference: Callable[..., Any]


def _limits(name: str, above: float, below: float) -> Callable[..., Any]:
    """A function with its values at infinity and minus infinity."""
    plain = reference(name)

    def call(x: Any) -> Any:
        ends = np.where(np.asarray(x) > 0, above, below).astype(np.result_type(x))
        return np.where(np.isinf(x), ends, plain(x))[()]

    return call


def _odd(plain: Callable[..., Any]) -> Callable[..., Any]:
    """A function that keeps the sign of zero."""
    return lambda x: np.where(np.equal(x, 0), x, plain(x))[()]


def _hankel(name: str, order: int) -> Callable[..., Any]:
    """J of order 0 or 1. Beyond 2^24 the leading terms of Hankel's expansion, whose angle SciPy
    would round."""
    plain = reference(name)

    def call(x: Any) -> Any:
        dtype, wide = np.result_type(x), np.asarray(x, "float64")
        a = np.abs(np.where(np.isfinite(wide), wide, 1.0))
        a = np.maximum(a, 1.0)
        c, s = np.cos(a), np.sin(a)
        even, odd = (s - c, s + c) if order else (s + c, s - c)
        far = (even + (0.375 if order else 0.125) * odd / a) / np.sqrt(np.pi) / np.sqrt(a)
        far = far * np.copysign(1.0, wide) if order else far
        far = np.where(np.isinf(wide), np.copysign(0.0, wide) if order else 0.0, far)
        found = np.where(np.abs(wide) > 2.0**24, far, plain(wide))
        return found.astype(dtype)[()]

    return call


def _trigamma(x: Any) -> Any:
    wide = np.asarray(x, "float64")
    return reference("zeta")(np.float64(2.0), wide).astype(np.result_type(x))[()]


def _zeta(x: Any, q: Any) -> Any:
    far = np.asarray(q) < -(2.0**14)  # SciPy passes all poles, one by one
    found = reference("zeta")(x, np.where(far, 1, q).astype(np.result_type(q)))
    with np.errstate(all="ignore"):
        first = np.power(np.asarray(q, "float64"), -np.asarray(x, "float64"))
    # of so great an exponent the first term is left, where SciPy finds inf * 0; NaN stays NaN
    found = np.where(np.greater(x, 1e4) & np.greater(q, 0), first, found)
    found = np.where(np.isnan(x) | np.isnan(q), np.nan, found)
    whole = np.equal(np.floor(q), q) & ~np.isnan(x)
    beyond = np.where(np.less(x, 1), np.nan, np.where(whole, np.inf, np.nan))
    return np.where(far, beyond, found).astype(np.result_type(x, q))[()]


NATIVE: dict[str, Special] = {
    "gamma": Special(1, reference("gamma")),
    "lgamma": Special(1, reference("gammaln")),
    "digamma": Special(1, reference("psi")),
    "trigamma": Special(1, _trigamma),
    "zeta": Special(2, _zeta),
    "erfcx": Special(1, reference("erfcx")),
    "erfinv": Special(1, _odd(reference("erfinv"))),
    "erfcinv": Special(1, reference("erfcinv")),
    "ndtr": Special(1, reference("ndtr")),
    "ndtri": Special(1, reference("ndtri")),
    "i0": Special(1, _limits("i0", np.inf, np.inf)),
    "i1": Special(1, _odd(_limits("i1", np.inf, -np.inf))),
    "i0e": Special(1, reference("i0e")),
    "i1e": Special(1, _odd(reference("i1e"))),
    "j0": Special(1, _hankel("j0", 0)),
    "j1": Special(1, _hankel("j1", 1)),
    "k0": Special(1, reference("k0")),
    "k1": Special(1, reference("k1")),
    "k0e": Special(1, reference("k0e")),
    "k1e": Special(1, reference("k1e")),
    **{name: Special(arity, function) for name, (arity, function) in SLOPES.items()},
}

_LIBRARY = """beta 2 betaln 2 betainc 3 betaincc 3 betaincinv 3 betainccinv 3 binom 2 poch 2
gammainc 2 gammaincc 2 gammaincinv 2 gammainccinv 2 rgamma 1 iv 2 ive 2 jv 2 kv 2 kve 2 yv 2 y0 1
y1 1 hyp1f1 3 hyp2f1 4 owens_t 2 dawsn 1 erfi 1 exp1 1 expi 1 spence 1 stdtr 2 stdtrit 2
ndtri_exp 1 wrightomega 1 ellipk 1 ellipe 1""".split()
LIBRARY: dict[str, Special] = {
    name: Special(int(arity), reference(name))
    for name, arity in zip(_LIBRARY[::2], _LIBRARY[1::2], strict=True)
}
SPECIAL = {**NATIVE, **LIBRARY}
