"""Compute symgraph/codegen/vmath/bessel_coefficients.py: the polynomials of j0 and j1.

Run: python benchmarks/fit_bessel.py [--check]
Needs mpmath. Prints for each fit the base-2 logarithm of its greatest relative error. `--check`
writes nothing and fails when the committed file differs.

Up to 7 (order 0) or 8 (order 1) a polynomial on each of three pieces, in the distance from the zero
of the piece, which is divided out. Beyond, with z = 1/x^2,
J(x) = sqrt(2/pi) M(z)/sqrt(x) cos(x - c - phase) with c = pi/4 (order 0) or 3pi/4 (order 1) and
phase = (A + z B(z))/x, A = 1/8 or -3/8. J. Harrison, Fast and accurate Bessel function computation,
ARITH 2009. Method of the fits as in fit_special.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath as mp
from fit_special import Fit, rational, wrapped

TARGET = Path(__file__).parent.parent / "symgraph/codegen/vmath/bessel_coefficients.py"
LEAD = (mp.mpf(1) / 8, -mp.mpf(3) / 8)
# ends of the pieces: where the quotient of j(x) and h is not much smaller than at its zero
ENDS = ((1, mp.mpf("3.75"), 7), (2, mp.mpf("5.4"), 8))
ZEROS = tuple([mp.besseljzero(order, k) for k in (1, 2)] for order in (0, 1))
PRECISE = (50, 44)  # degrees of the phase in double-double
DIGITS = 130


def _polar(order: int, x: Any) -> tuple[Any, Any]:
    """The phase and M of the modulus at x."""
    with mp.workdps(DIGITS):
        turned = mp.expj(mp.pi / 4 + order * mp.pi / 2 - x)
        v = mp.mpc(mp.besselj(order, x), mp.bessely(order, x)) * turned
        return -mp.arg(v), abs(v) * mp.sqrt(x)


def _phase(order: int) -> Callable[[Any], Any]:
    def rest(z: Any) -> Any:
        with mp.workdps(DIGITS):
            x = 1 / mp.sqrt(z)
            return (_polar(order, x)[0] * x - LEAD[order]) / z

    return rest


def _modulus(order: int) -> Callable[[Any], Any]:
    return lambda z: _polar(order, 1 / mp.sqrt(z))[1]


def _near_zero(order: int) -> Callable[[Any], Any]:
    """On the first piece, in z = x^2: (j0(x) - 1)/z, or (j1(x)/x - 1/2)/z."""

    def quotient(z: Any) -> Any:
        with mp.workdps(90):
            x = mp.sqrt(z)
            value = mp.besselj(1, x) / x if order else mp.besselj(0, x)
            return (value - (mp.mpf(1) / 2 if order else 1)) / z

    return quotient


def _around(order: int, zero: Any) -> Callable[[Any], Any]:
    """j(x)/h in h = x - zero."""

    def quotient(h: Any) -> Any:
        with mp.workdps(90):
            if abs(h) < mp.mpf("1e-40"):
                return mp.besselj(order, zero, 1)
            return mp.besselj(order, zero + h) / h

    return quotient


DEGREES = (
    {"START": (6, 4), "FIRST": (16, 10), "SECOND": (16, 10), "PHASE": (18, 11), "MODULUS": (15, 7)},
    {"START": (8, 5), "FIRST": (17, 11), "SECOND": (15, 10), "PHASE": (16, 10), "MODULUS": (13, 6)},
)


def _fits() -> dict[str, Fit]:
    tiny, fits = mp.mpf("1e-12"), {}
    for k in (0, 1):
        first, second, third = (mp.mpf(x) for x in ENDS[k])
        (one, two), end = ZEROS[k], 1 / third**2
        ranges = {
            "START": ("(j1(x)/x - 1/2)/x^2" if k else "(j0(x) - 1)/x^2", _near_zero(k), tiny,
                      first**2),
            "FIRST": (f"j{k}(x)/h, h = x - its first zero, to {float(second)}", _around(k, one),
                      first - one, second - one),
            "SECOND": (f"the same with its second zero, to {float(third)}", _around(k, two),
                       second - two, third - two),
            "PHASE": ("B in 1/x^2", _phase(k), tiny, end),
            "MODULUS": ("sqrt(2/pi) M in 1/x^2", _modulus(k), tiny, end),
        }  # fmt: skip
        for name, row in ranges.items():
            wide, narrow = DEGREES[k][name]
            fits[f"J{k}_{name}"] = Fit(*row, {"d": (wide, 0), "m": (narrow, 0)})
    return fits


def _pair(value: Any) -> tuple[float, float]:
    high = float(value)
    return high, float(value - mp.mpf(high))


def _precise(order: int) -> str:
    """The phase's B in double-double, lowest first."""
    with mp.workdps(DIGITS):
        end = 1 / mp.mpf(ENDS[order][2]) ** 2
        fit = Fit("B in double-double", _phase(order), mp.mpf("1e-12"), end, {})
        top, _, worst = rational(fit, (PRECISE[order], 0))
        print(
            f"J{order}_PRECISE {PRECISE[order]} 2**{float(mp.log(worst, 2)):.1f}", file=sys.stderr
        )
        rows = [f"    {_pair(c)!r}," for c in top]
    return "\n".join(["# B in double-double", f"J{order}_PRECISE = (", *rows, ")", ""])


def _table(name: str, fit: Fit) -> str:
    rows = [f"# {fit.what}", f"{name} = {{"]
    for kind, degrees in fit.degrees.items():
        top, _, worst = rational(fit, degrees)
        print(f"{name:12s} {kind} {degrees} 2**{float(mp.log(worst, 2)):.1f}", file=sys.stderr)
        words = [f"{float(x)!r}," for x in top]
        words[0], words[-1] = "(" + words[0], words[-1] + "),"
        rows += [f'    "{kind}":', *wrapped(words)]
    return "\n".join([*rows, "}", ""])


def text() -> str:
    """The module's text."""
    parts = [
        '"""Polynomials of the Bessel functions j0 and j1, lowest first; written by\n'
        "benchmarks/fit_bessel.py, which says what each one is. Do not edit.\n"
        '"""\n# fmt: off\n\nfrom __future__ import annotations\n'
    ]
    parts += [_table(name, fit) for name, fit in _fits().items()]
    parts += [_precise(order) for order in (0, 1)]
    for order in (0, 1):
        rows = [f"    {_pair(z)!r}," for z in ZEROS[order]]
        parts.append("\n".join([f"J{order}_ZEROS = (", *rows, ")", ""]))
    ends = [tuple(float(x) for x in row) for row in ENDS]
    parts.append(f"ENDS = {tuple(ends)!r}\n")
    return "\n".join(parts)


def main() -> int:
    new = text()
    if "--check" in sys.argv:
        same = TARGET.read_text() == new
        print("bessel_coefficients.py is up to date" if same else "it differs")
        return 0 if same else 1
    TARGET.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
