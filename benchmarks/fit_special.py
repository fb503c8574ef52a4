"""Compute symgraph/codegen/vmath/special_coefficients.py: rational functions for special functions.

Run: python benchmarks/fit_special.py [--check]
Needs mpmath. Prints for each fit the base-2 logarithm of its greatest relative error. `--check`
writes nothing and fails when the committed file differs.

Method: interpolation by a rational function p/q at Chebyshev nodes, in 60 digits: a linear system,
and at these smooth functions within a small factor of the minimax error. Kinds as in
fit_coefficients.py: "d" for float64 results, "m" for float32 results of float64 arithmetic.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import mpmath as mp

TARGET = Path(__file__).parent.parent / "symgraph/codegen/vmath/special_coefficients.py"
Function = Callable[[Any], Any]
Degrees = tuple[int, int]
mp.mp.dps = 60


class Fit(NamedTuple):
    """A function on [low, high] and the degrees of numerator and denominator for each kind. What is
    fitted is the function less `lead`, with errors relative to the function."""

    what: str
    function: Function
    low: Any
    high: Any
    degrees: dict[str, Degrees]
    lead: Any = 0


def rational(fit: Fit, degrees: Degrees) -> tuple[list[Any], list[Any], Any]:
    """Numerator and denominator, lowest first, and the greatest relative error."""
    m, n = degrees
    nodes = _chebyshev(fit, m + n + 1)
    system, right = mp.matrix(m + n + 1, m + n + 1), mp.matrix(m + n + 1, 1)
    for i, x in enumerate(nodes):
        f = fit.function(x)
        for j in range(m + 1):
            system[i, j] = x**j / f
        for j in range(1, n + 1):
            system[i, m + j] = -(x**j) * (f - fit.lead) / f
        right[i] = (f - fit.lead) / f
    found = list(mp.lu_solve(system, right))
    top, under = found[: m + 1], [mp.mpf(1), *found[m + 1 :]]
    worst = mp.mpf(0)
    for x in _chebyshev(fit, 5 * (m + n + 1) + 1):
        f = fit.function(x)
        found_here = fit.lead + mp.polyval(top[::-1], x) / mp.polyval(under[::-1], x)
        worst = max(worst, abs(found_here / f - 1))
    return top, under, worst


def _chebyshev(fit: Fit, count: int) -> list[Any]:
    middle, half = (fit.low + fit.high) / 2, (fit.high - fit.low) / 2
    return [middle - half * mp.cos(mp.pi * (i + mp.mpf(1) / 2) / count) for i in range(count)]


# functions ----------------------------------------------------------------------------------------

DIGAMMA_ROOT = mp.findroot(mp.digamma, mp.mpf("1.46"))
HALF_LOG_2PI = mp.log(2 * mp.pi) / 2


def _reciprocal(f: Function) -> Function:
    """f(x) as a function of 1/x."""
    return lambda w: f(1 / w)


def _squared_reciprocal(f: Function) -> Function:
    """f(x) as a function of 1/x^2."""
    return lambda z: f(1 / mp.sqrt(z))


def _root(f: Function) -> Function:
    """f(x) as a function of x^2."""
    return lambda z: f(mp.sqrt(z))


def _lgamma(s: Any) -> Any:
    away = mp.mpf("1e-25")  # from 0 and 1, where the quotient is 0/0
    s = s if abs(s) > away else away
    s = s if abs(s - 1) > away else 1 + away
    with mp.workdps(110):
        return mp.loggamma(1 + s) / (s * (s - 1))


def _stirling(x: Any) -> Any:
    """What Stirling's formula lacks of log(gamma(x))."""
    with mp.workdps(90):
        return mp.loggamma(x) - (x - mp.mpf(1) / 2) * mp.log(x) + x - mp.log(2 * mp.pi) / 2


def _digamma(s: Any) -> Any:
    return mp.digamma(1 + s) / (1 + s - DIGAMMA_ROOT)


def _digamma_high(x: Any) -> Any:
    with mp.workdps(90):
        return x * x * (mp.log(x) - 1 / (2 * x) - mp.digamma(x))


def _trigamma(x: Any) -> Any:
    with mp.workdps(90):
        return x * (x * mp.polygamma(1, x) - 1)


def _erfinv_tail(r: Any) -> Any:
    """The inverse of erfc at exp(-r^2), over r."""
    t = mp.exp(-r * r)
    start = mp.sqrt(r * r - mp.log(r * mp.sqrt(mp.pi))) if r > 2 else mp.mpf(r) * 0.75
    with mp.workdps(80):
        x = start
        for _ in range(60):  # Newton on log(erfc(x))
            e = mp.erfc(x)
            step = (mp.log(e) - mp.log(t)) * e * mp.sqrt(mp.pi) / (2 * mp.exp(-x * x))
            x += step
            if abs(step) < mp.mpf("1e-70"):
                break
        return x / r


def _erfinv(z: Any) -> Any:
    x = mp.sqrt(z)
    with mp.workdps(80):
        return mp.erfinv(x) / x


def _erfcx(x: Any) -> Any:
    return mp.exp(x * x) * mp.erfc(x)


def _i_low(order: int) -> Function:
    return lambda x: mp.besseli(order, x) / x**order


def _tail_i(order: int) -> Function:
    return lambda x: mp.exp(-x) * mp.besseli(order, x) * mp.sqrt(x)


def _tail_k(order: int) -> Function:
    return lambda x: mp.exp(x) * mp.besselk(order, x) * mp.sqrt(x)


def _k0_low(x: Any) -> Any:
    with mp.workdps(90):
        return mp.besselk(0, x) + mp.log(x) * mp.besseli(0, x)


def _k1_low(x: Any) -> Any:
    with mp.workdps(90):
        return (mp.besselk(1, x) - 1 / x - mp.log(x) * mp.besseli(1, x)) / x


def _fits() -> dict[str, Fit]:
    zero, one, tiny = mp.mpf(0), mp.mpf(1), mp.mpf("1e-12")
    third = one / 3
    fits = {
        "LGAMMA_LOW": Fit("lgamma(1+s) / (s (s-1)) - 0.45, s <= 2", _lgamma, zero, 2 * one,
                          {"d": (8, 8), "m": (4, 4)}, mp.mpf(0.45)),
        "LGAMMA_HIGH": Fit("x (lgamma(x) - Stirling's formula) in 1/x^2, x >= 3",
                           _squared_reciprocal(lambda x: x * _stirling(x)), tiny, one / 9,
                           {"d": (5, 5), "m": (2, 2)}),
        "GAMMA_LOW": Fit("gamma(1+s) - 1, s <= 2", lambda s: mp.gamma(1 + s), zero, 2 * one,
                         {"d": (9, 9), "m": (6, 6)}, 1),
        "GAMMA_HIGH": Fit("gamma(x) sqrt(2 pi) / Stirling's formula - sqrt(2 pi) in 1/x, x >= 3",
                          _reciprocal(lambda x: mp.exp(_stirling(x) + HALF_LOG_2PI)), tiny, third,
                          {"d": (7, 6), "m": (3, 3)}, mp.mpf(math.sqrt(2 * math.pi))),
        "DIGAMMA_LOW": Fit("digamma(1+s) / (1+s-root) - 0.75, s <= 2", _digamma, zero, 2 * one,
                           {"d": (7, 7), "m": (4, 4)}, mp.mpf(0.75)),
        "DIGAMMA_HIGH": Fit("x^2 (log(x) - 1/2x - digamma(x)) in 1/x^2, x >= 3",
                            _squared_reciprocal(_digamma_high), tiny, one / 9,
                            {"d": (6, 6), "m": (2, 2)}),
        "TRIGAMMA": Fit("x (x trigamma(x) - 1) in 1/x, x >= 1", _reciprocal(_trigamma), tiny, one,
                        {"d": (11, 11), "m": (5, 5)}),
        "ERFINV_LOW": Fit("erfinv(x) / x - 1 in 0.64 - x^2, x <= 0.8",
                          lambda v: _erfinv(mp.mpf("0.64") - v), zero, mp.mpf("0.64") - tiny,
                          {"d": (8, 8), "m": (4, 4)}, 1),
        "ERFINV_MID": Fit("erfcinv(exp(-r^2)) / r - 1, 1.26 <= r <= 6.1", _erfinv_tail,
                          mp.mpf("1.26"), mp.mpf("6.1"), {"d": (13, 10), "m": (6, 6)}, 1),
        "ERFINV_HIGH": Fit("the same, 6 <= r <= 27.5", _erfinv_tail, mp.mpf(6), mp.mpf("27.5"),
                           {"d": (10, 10), "m": (5, 5)}, 1),
        "ERFCX_LOW": Fit("erfcx(x) - 0.5, 0 <= x <= 2", _erfcx, mp.mpf(0), mp.mpf(2),
                         {"d": (8, 8), "m": (5, 5)}, mp.mpf(0.5)),
        "K0_LOG": Fit("i0(x) in x^2, x <= 1", _root(lambda x: mp.besseli(0, x)), tiny, one,
                      {"d": (7, 0), "m": (4, 0)}),
        "K1_LOG": Fit("i1(x) / x in x^2, x <= 1", _root(lambda x: mp.besseli(1, x) / x), tiny, one,
                      {"d": (7, 0), "m": (4, 0)}),
        "K0_LOW": Fit("k0(x) + log(x) i0(x) in x^2, x <= 1", _root(_k0_low), tiny, one,
                      {"d": (8, 0), "m": (5, 0)}),
        "K1_LOW": Fit("(k1(x) - 1/x - log(x) i1(x)) / x in x^2, x <= 1", _root(_k1_low), tiny, one,
                      {"d": (7, 0), "m": (4, 0)}),
    }  # fmt: skip
    for k in (0, 1):
        fits |= {
            f"I{k}_LOW": Fit(f"i{k}(x){' / x' if k else ''} in x^2, x <= 15", _root(_i_low(k)),
                             tiny, mp.mpf(225), {"d": (24, 0), "m": (17, 0)}),
            f"I{k}_HIGH": Fit(f"i{k}e(x) sqrt(x) - sqrt(1/2pi) in 1/x, x >= 15",
                              _reciprocal(_tail_i(k)), tiny, one / 15,
                              {"d": (14, 0), "m": (5, 0)}, mp.mpf(math.sqrt(0.5 / math.pi))),
            f"K{k}_HIGH": Fit(f"k{k}e(x) sqrt(x) - sqrt(pi/2) in 1/x, x >= 1",
                              _reciprocal(_tail_k(k)), tiny, one, {"d": (11, 11), "m": (5, 5)},
                              mp.mpf(math.sqrt(math.pi / 2))),
        }  # fmt: skip
    return fits


def _parts(value: Any, count: int) -> list[float]:
    out = []
    for _ in range(count):
        out.append(float(value))
        value = value - mp.mpf(out[-1])
    return out


def wrapped(words: list[str]) -> list[str]:
    """Words in lines of the generated module."""
    lines, line = [], "       "
    for word in words:
        if len(line) + len(word) > 98:
            lines.append(line)
            line = "       "
        line += f" {word}"
    return [*lines, line]


def _table(name: str, fit: Fit) -> str:
    rows = [f"# {fit.what}", f"{name} = {{"]
    for kind, degrees in fit.degrees.items():
        top, under, worst = rational(fit, degrees)
        print(f"{name:12s} {kind} {degrees} 2**{float(mp.log(worst, 2)):.1f}", file=sys.stderr)
        words = [f"{float(x)!r}," for x in top] + [f"{float(x)!r}," for x in under]
        words[0], words[len(top)] = "(" + words[0], "(" + words[len(top)]
        words[len(top) - 1] += "),"
        words[-1] += "),"
        rows += [f'    "{kind}": (', *wrapped(words), "    ),"]
    return "\n".join([*rows, "}", ""])


def text(only: list[str]) -> str:
    """The module's text."""
    parts = [
        '"""Rational functions (numerator and denominator, lowest first) and constants in parts;\n'
        "written by benchmarks/fit_special.py, which says what each one is. Do not edit.\n"
        '"""\n# fmt: off\n\nfrom __future__ import annotations\n'
    ]
    for name, fit in _fits().items():
        if not only or name in only:
            parts.append(_table(name, fit))
    constants = {"DIGAMMA_ROOT": [DIGAMMA_ROOT], "DIGAMMA_ROOT_LESS_1": [DIGAMMA_ROOT - 1]}
    for name, values in constants.items():
        rows = [f"    {tuple(_parts(v, 2))!r}," for v in values]
        parts.append("\n".join([f"{name} = (", *rows, ")", ""]))
    return "\n".join(parts)


def main() -> int:
    only = [a for a in sys.argv[1:] if not a.startswith("-")]
    new = text(only)
    if "--check" in sys.argv:
        same = TARGET.read_text() == new
        print("special_coefficients.py is up to date" if same else "it differs")
        return 0 if same else 1
    if not only:
        TARGET.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
