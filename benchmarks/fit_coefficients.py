"""Compute symgraph/codegen/vmath/coefficients.py: minimax polynomials and split constants.

Run: python benchmarks/fit_coefficients.py [--check]
Needs mpmath. Prints for each polynomial the base-2 logarithm of its weighted error. `--check`
writes nothing and fails when the committed file differs.

Method: Remez's exchange on a Chebyshev grid, in 60 digits. Kinds: "d" float64, "f" float32
arithmetic, "m" float64 arithmetic with a degree that suffices for a float32 result.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import mpmath as mp

TARGET = Path(__file__).parent.parent / "symgraph/codegen/vmath/coefficients.py"
Function = Callable[[Any], Any]
mp.mp.dps = 60


class Job(NamedTuple):
    """A function with its weight on [low, high], and the degree of each kind."""

    what: str
    function: Function
    weight: Function
    low: Any
    high: Any
    degrees: dict[str, int]


def remez(job: Job, degree: int, rounds: int = 12) -> tuple[list[Any], Any]:
    """Coefficients, lowest first, that minimise max |weight (p - function)|, and that maximum."""
    count = degree + 2
    nodes, grid = _chebyshev(job, count), _chebyshev(job, 40 * count)
    samples = [(x, job.function(x), job.weight(x)) for x in grid]
    for _ in range(rounds):
        system, right = mp.matrix(count, count), mp.matrix(count, 1)
        for i, x in enumerate(nodes):
            for j in range(degree + 1):
                system[i, j] = x**j
            system[i, count - 1] = (-1) ** i / job.weight(x)
            right[i] = job.function(x)
        solution = mp.lu_solve(system, right)
        found = [solution[j] for j in range(degree + 1)]
        errors = [(x, w * (mp.polyval(found[::-1], x) - f)) for x, f, w in samples]
        peaks = _alternation(errors, count)
        sizes = [abs(e) for _, e in peaks]
        if len(peaks) < count or max(sizes) / min(sizes) < 1.001:
            break
        nodes = [x for x, _ in peaks]
    return found, max(abs(e) for _, e in errors)


def _chebyshev(job: Job, count: int) -> list[Any]:
    middle, half = (job.low + job.high) / 2, (job.high - job.low) / 2
    angles = [mp.pi * (i + mp.mpf(1) / 2) / count for i in range(count)]
    return [middle - half * mp.cos(t) for t in angles]


def _alternation(errors: list[tuple[Any, Any]], count: int) -> list[tuple[Any, Any]]:
    """The largest error of each run of one sign, cut to `count` neighbours."""
    peaks, best = [], errors[0]
    for e in errors[1:]:
        if (e[1] > 0) == (best[1] > 0):
            best = max(best, e, key=lambda t: abs(t[1]))
        else:
            peaks.append(best)
            best = e
    peaks.append(best)
    while len(peaks) > count:
        peaks.pop(0 if abs(peaks[0][1]) < abs(peaks[-1][1]) else -1)
    return peaks


def _series(f: Function) -> Function:
    """Evaluate quotients that cancel at 0 with digits to spare, and a hair away from 0."""

    def evaluate(x: Any) -> Any:
        with mp.workdps(140):
            return +f(x if abs(x) > mp.mpf("1e-14") else mp.mpf("1e-14"))

    return evaluate


def _one(x: Any) -> Any:
    return mp.mpf(1)


def _exp(r: Any) -> Any:
    return (mp.exp(r) - 1 - r) / r**2


def _cosh(z: Any) -> Any:
    return (mp.cosh(mp.sqrt(z)) - 1) / z


def _sinh(z: Any) -> Any:
    return (mp.sinh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z


def _log1p(f: Any) -> Any:
    return (mp.log(1 + f) - f) / f**2


def _log1p_cube(f: Any) -> Any:
    return (_log1p(f) + mp.mpf(1) / 2) / f


def _softplus(u: Any) -> Any:
    e = u + mp.mpf(1) / 2
    return mp.log(1 + e) / e - 1


def _size(f: Any) -> Any:
    return abs(f) + mp.mpf("1e-3")


def _log(z: Any) -> Any:
    s = mp.sqrt(z)
    return (mp.log((1 + s) / (1 - s)) / s - 2) / z


def _pow_log(z: Any) -> Any:
    return (_log(z) - mp.mpf(2) / 3) / z


def _inverse_cube_root(f: Any) -> Any:
    return (1 + f) ** (-mp.mpf(1) / 3)


def _sin(z: Any) -> Any:
    return (mp.sin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z


def _cos(z: Any) -> Any:
    return (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2


def _tan(z: Any) -> Any:
    return (mp.tan(mp.sqrt(z)) / mp.sqrt(z) - 1) / z


def _atan(w: Any) -> Any:
    with mp.workdps(140):
        u = mp.sqrt(w + mp.mpf(1) / 2 + mp.mpf("1e-40"))
        return mp.atan(u) / u - 1


def _asin(z: Any) -> Any:
    return (mp.asin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z


def _erf(z: Any) -> Any:
    return mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1


def _tanh(z: Any) -> Any:
    return (mp.tanh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z


def _log_erfc(x: Any) -> Any:
    return mp.log(mp.erfc(x))


def _erf_tail(t: Any) -> Any:
    return mp.erfc(t + mp.mpf(5) / 2)


def _log_erfc_weight(x: Any) -> Any:
    return mp.erfc(x) / mp.erf(x)


ERFC_CENTRE = 4


def _erfcx(t: Any, centre: int = ERFC_CENTRE) -> Any:
    """(1 + 2 x) exp(x^2) erfc(x), a mild function of t = (x - 4) / (x + 4)."""
    x = centre * (1 + t) / (1 - t)
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


def _erfcx_near(t: Any) -> Any:
    return _erfcx(t, 2)


def _jobs() -> dict[str, Job]:
    half_ln2 = mp.log(2) / 2
    log_end = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2
    trig_end = (mp.pi / 4) ** 2 * mp.mpf("1.0001")
    zero, one = mp.mpf(0), mp.mpf(1)
    near = mp.mpf("1e-3")

    def erfc_end(x: int) -> Any:
        return mp.mpf(x - ERFC_CENTRE) / (x + ERFC_CENTRE)

    return {
        "EXP": Job("(e**r - 1 - r) / r**2, |r| <= ln(2)/2", _series(_exp), lambda r: r**2 + near,
                   -half_ln2, half_ln2, {"d": 9, "f": 4, "m": 5}),
        "COSH": Job("(cosh(r) - 1) / z, z = r*r, |r| <= ln(2)/2", _series(_cosh), _size, zero,
                    half_ln2**2 * mp.mpf("1.0001"), {"d": 4, "f": 2}),
        "SINH": Job("(sinh(r)/r - 1) / z", _series(_sinh), _size, zero,
                    half_ln2**2 * mp.mpf("1.0001"), {"d": 4, "f": 1}),
        "LOG1P": Job("(log(1+f) - f) / f**2, -1/32 <= f <= 1/16", _series(_log1p), _size,
                     -one / 32, one / 16, {"d": 9, "m": 4}),
        "LOG1P_CUBE": Job("(log(1+f) - f + f**2/2) / f**3, -1/4 <= f <= 1/2", _series(_log1p_cube),
                          lambda f: f**2 + near, -one / 4, one / 2, {"f": 8}),
        "SOFTPLUS": Job("log(1+e)/e - 1 in e - 1/2, 0 < e <= 1", _series(_softplus), _one,
                        mp.mpf("1e-12") - one / 2, one / 2, {"f": 10}),
        "POW_LOG": Job("((log((1+s)/(1-s)) / s - 2) / z - 2/3) / z, z = s*s", _series(_pow_log),
                       _one, zero, log_end, {"d": 9}),
        "INV_CBRT": Job("(1+f)**(-1/3), -1/4 <= f <= 1/2", _inverse_cube_root, _one, -one / 4,
                        one / 2, {"d": 10, "f": 4}),
        "SIN": Job("(sin(r)/r - 1) / z, z = r*r, |r| <= pi/4", _series(_sin), _one, zero, trig_end,
                   {"d": 6, "m": 3}),
        "SIN2": Job("", _series(_sin), _size, zero, trig_end, {"f": 2}),
        "COS": Job("(cos(r) - 1 + z/2) / z**2", _series(_cos), _one, zero, trig_end,
                   {"d": 5, "m": 3, "f": 2}),
        "TAN": Job("(tan(r)/r - 1) / z", _series(_tan), _size, zero, trig_end, {"d": 14, "f": 6}),
        "ATAN": Job("atan(u)/u - 1 in u*u - 1/2, u <= 1", _atan, _one, -one / 2, one / 2,
                    {"d": 20, "f": 9}),
        "ASIN": Job("(asin(u)/u - 1) / z, z = u*u, u <= 1/2", _series(_asin), _one, zero,
                    one / 4, {"d": 12, "f": 4}),
        "TANH": Job("(tanh(x)/x - 1) / z, z = x*x, x <= 5/8", _series(_tanh), _size, zero,
                    mp.mpf(5) ** 2 / 64, {"d": 10, "f": 4}),
        "ERF_LOW": Job("erf(x)/x - 1 in z = x*x, x <= 1", _series(_erf), _one, zero, one,
                       {"d": 12, "f": 6}),
        "ERF_HIGH": Job("log(erfc(x)), 1 <= x <= 6 (4 for float32)", _log_erfc, _log_erfc_weight,
                        one, mp.mpf(6), {"d": 17}),
        "ERF_TAIL": Job("erfc(x) in t = x - 2.5, 1 <= x <= 3.95", _erf_tail, _one, -one * 3 / 2,
                        mp.mpf("1.45"), {"f": 14}),
        "ERFC_LOW": Job("erf(x)/x - 1 in z = x*x, x <= 1/2", _series(_erf), _one, zero, one / 4,
                        {"d": 8}),
        "ERFC": Job("(1+2x) e**(x*x) erfc(x) in t = (x-4)/(x+4), 0 <= x <= 28 (12 for m); f: in\n"
                    "# t = (x-2)/(x+2), 0 <= x <= 10.5",
                    _erfcx, _one, -one, erfc_end(28), {"d": 22}),
        "ERFC12": Job("", _erfcx, _one, -one, erfc_end(12), {"m": 11}),
        "ERFC10": Job("", _erfcx_near, _one, -one, mp.mpf("8.5") / mp.mpf("12.5"), {"f": 11}),
    }  # fmt: skip


def _split(value: Any, parts: int, bits: int = 53) -> list[float]:
    """`value` as a sum of floats; all but the last have at most `bits` bits."""
    out = []
    for k in range(parts):
        scale = mp.mpf(2) ** (bits - mp.frexp(value)[1])
        head = mp.mpf(float(value)) if k == parts - 1 else mp.floor(value * scale) / scale
        out.append(float(head))
        value = value - head
    return out


def _nearest(value: Any, parts: int, bits: int = 53) -> list[float]:
    """`value` as a sum of numbers of `bits` bits, each the nearest to what is left."""
    out = []
    for _ in range(parts):
        scale = mp.mpf(2) ** (bits - mp.frexp(value)[1])
        head = mp.nint(value * scale) / scale
        out.append(float(head))
        value = value - head
    return out


def _constants() -> dict[str, tuple[str, dict[str, list[float]]]]:
    """Constants in parts. The first part of LN2 and LOG10_2 is short, so that its product with an
    exponent is exact."""
    ln2, log10_2 = mp.log(2), mp.log10(2)
    plain = {
        "INV_LN2": ("1 / ln(2)", 1 / ln2, 2),
        "INV_LN10": ("1 / ln(10)", 1 / mp.log(10), 2),
        "PI_2": ("pi / 2", mp.pi / 2, 3),
        "TWO_THIRDS": ("2 / 3", mp.mpf(2) / 3, 2),
    }
    out = {
        "LN2": ("ln(2), first part short", {"d": _split(ln2, 2, 42), "f": _split(ln2, 2, 16)}),
        "LOG10_2": (
            "log10(2), first part short",
            {"d": _split(log10_2, 2, 42), "f": _split(log10_2, 2, 16)},
        ),
    }
    for name, (what, value, parts) in plain.items():
        out[name] = (what, {"d": _nearest(value, parts), "f": _nearest(value, parts, 24)})
    return out


def _reciprocals() -> dict[str, list[float]]:
    """For the sixteenths of the mantissas of m in [3/4, 3/2): c near 1/m with few bits, and -log(c)
    to three bases in two parts, the first as short as that of LN2. c m - 1 is in [-1/32, 1/16]."""
    bases = {"LOG": mp.e, "LOG2": mp.mpf(2), "LOG10": mp.mpf(10)}
    rows: dict[str, list[float]] = {"RECIPROCAL": []}
    for k in range(16):
        low = mp.mpf(16 + k) / 16 / (2 if k >= 8 else 1)
        high = mp.mpf(17 + k) / 16 / (2 if k >= 8 else 1)
        c = mp.ceil(64 * 2 / (low + high)) / 64 if 0 < k < 15 else mp.mpf(1)
        assert c * low - 1 >= mp.mpf(-1) / 32 and c * high - 1 <= mp.mpf(1) / 16
        rows["RECIPROCAL"].append(float(c))
        for name, base in bases.items():
            value = -mp.log(c, base)
            head = mp.nint(value * 2**42) / 2**42
            rows.setdefault(f"RECIPROCAL_{name}", []).append(float(head))
            rows.setdefault(f"RECIPROCAL_{name}_LOW", []).append(float(value - head))
    return rows


def _table(name: str, what: str, kinds: dict[str, list[float]]) -> str:
    rows = [f"# {what}"] if what else []
    rows.append(f"{name} = {{")
    for kind, values in kinds.items():
        rows += [f'    "{kind}": (', *_lines(values, 8), "    ),"]
    return "\n".join([*rows, "}", ""])


def _lines(values: Iterable[float], indent: int) -> list[str]:
    """The numbers, as many in a line as there is room for."""
    text = " ".join(f"{value!r}," for value in values)
    return [" " * indent + line for line in textwrap.wrap(text, 100 - indent)]


def text() -> str:
    """The module's text."""
    parts = [
        '"""Polynomial coefficients (lowest first) and split constants; written by\n'
        "benchmarks/fit_coefficients.py, which says what each one is. Do not edit.\n"
        '"""\n# fmt: off\n\nfrom __future__ import annotations\n'
    ]
    fitted: dict[str, tuple[str, dict[str, list[float]]]] = {}
    for name, job in _jobs().items():
        base = name.rstrip("0123456789")
        what, kinds = fitted.setdefault(base, (job.what, {}))
        for kind, degree in job.degrees.items():
            found, error = remez(job, degree)
            kinds[kind] = [float(x) for x in found]
            level = float(mp.log(error, 2))
            print(f"{name:10s} {kind} degree {degree:2d} error 2**{level:.1f}", file=sys.stderr)
    for name, (what, kinds) in {**fitted, **_constants()}.items():
        parts.append(_table(name, what, kinds))
    parts.append(
        "# 1/m, shortened, for sixteen m in [3/4, 3/2), and minus its logarithms in two parts"
    )
    for name, row in _reciprocals().items():
        parts.append("\n".join([f"{name} = (", *_lines(row, 4), ")", ""]))
    with mp.workdps(420):
        window = int(mp.floor(2 / mp.pi * mp.mpf(2) ** 1280)).to_bytes(160, "big")
    digits = window.hex()
    rows = [f'    "{digits[k : k + 80]}"' for k in range(0, len(digits), 80)]
    rows = ["# 1280 bits of 2/pi after the point", "TWO_OVER_PI = (", *rows, ")", ""]
    parts.append("\n".join(rows))
    return "\n".join(parts)


def main() -> int:
    new = text()
    if "--check" in sys.argv:
        same = TARGET.read_text() == new
        print("coefficients.py is up to date" if same else "coefficients.py differs")
        return 0 if same else 1
    TARGET.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
