"""Bits of error over suites of FPCore benchmarks: before (NumPy) and after each library.

Inputs are drawn as Herbie draws them: uniformly over the bit patterns of the float64 that fulfil
the condition, of which those stay where the true value is a finite number. The truth comes from
mpmath: digits are added until two precisions round to the same float64.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import mpmath
import numpy as np

from benchmarks.stability import fpcore
from benchmarks.stability.exact import bits_wrong
from benchmarks.stability.fpcore import Core, Unsupported
from benchmarks.stability.libraries import MAKERS

PRECISIONS = (400, 1200, 3600)  # digits
ENOUGH = 8  # samples below which a benchmark says nothing
WORSE = 0.5  # bits by which the mean must grow to be called worse
_LARGEST = mpmath.mpf(10) ** 320  # of arguments of exponentials, beyond which digits run out


class Outcome(NamedTuple):
    """Mean bits of error by library; ``best`` is the authors' best alternative in NumPy."""

    file: str
    core: Core
    bits: dict[str, float]
    best: float | None
    seconds: float
    worst: str = ""


def measured(
    files: list[Path], libraries: list[str], samples: int
) -> Iterator[tuple[Outcome | None, str]]:
    """Each benchmark's outcome, or None and why it was left out."""
    for path in files:
        for core in fpcore.cores(path.read_text("utf-8")):
            try:
                if isinstance(core, Unsupported):
                    raise core
                yield _outcome(path.stem, core, libraries, samples), ""
            except Unsupported as reason:
                yield None, str(reason)


def _outcome(file: str, core: Core, libraries: list[str], samples: int) -> Outcome:
    arguments, true = _points(core, samples)
    if len(true) < ENOUGH:
        raise Unsupported("(too few inputs with a finite value)")
    found = {n: _bits(n, core.body, core, arguments, true) for n in libraries}
    bits = {n: float(b.mean()) for n, (b, _) in found.items() if b is not None}
    others = []
    for e in core.alternatives:
        try:
            others.append(_bits("numpy", e, core, arguments, true)[0])
        except Unsupported:
            continue
    means = [float(b.mean()) for b in others if b is not None]
    worst = ""
    if "symgraph" in bits and bits["symgraph"] > bits["numpy"] + WORSE:
        k = int(np.argmax(found["symgraph"][0] - found["numpy"][0]))
        worst = ", ".join(f"{n}={a[k]!r}" for n, a in zip(core.arguments, arguments, strict=True))
    seconds = found["symgraph"][1] if "symgraph" in found else 0.0
    return Outcome(file, core, bits, min(means, default=None), seconds, worst)


def _bits(
    library: str, body: Any, core: Core, arguments: list[np.ndarray], true: np.ndarray
) -> tuple[Any, float]:
    """Bits of error of the samples and the seconds to compile; None where a library cannot."""

    def formula(m: Any, *values: Any) -> Any:
        scope = dict(zip(core.arguments, values, strict=True))
        return fpcore.value(body, scope, fpcore.floating(m))

    with np.errstate(all="ignore"):
        try:
            started = time.perf_counter()
            run = MAKERS[library](formula, arguments)
            seconds = time.perf_counter() - started
            result = np.broadcast_to(np.asarray(run(), "float64"), true.shape)
        except Unsupported:
            raise
        except Exception:  # a word that the library lacks must not end the table
            return None, 0.0
    return bits_wrong(result, true), seconds


# inputs -------------------------------------------------------------------------------------------


def _points(core: Core, samples: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Up to ``samples`` inputs that fulfil the condition and have a finite value."""
    rng = np.random.default_rng(sum(map(ord, core.name)))
    kept: list[list[float]] = []
    true: list[float] = []
    tries = 0
    for row in _candidates(core, rng):
        tries += 1
        if len(kept) == samples or tries > 8 * samples:
            break
        v = truth(core.body, dict(zip(core.arguments, row, strict=True)))
        if np.isfinite(v):
            kept.append(row)
            true.append(v)
    columns = [np.array([row[k] for row in kept]) for k in range(len(core.arguments))]
    return columns, np.array(true)


def _candidates(core: Core, rng: np.random.Generator) -> Iterator[list[float]]:
    if not core.arguments:
        raise Unsupported("(no arguments)")
    limits = {n: [-_ordinal(np.inf) + 1, _ordinal(np.inf) - 1] for n in core.arguments}
    _narrow(core.condition, limits)
    if any(low > high for low, high in limits.values()):
        raise Unsupported("(an empty range)")
    for _ in range(60):
        draws = [_float(rng.integers(low, high, 1000, endpoint=True))
                 for low, high in limits.values()]  # fmt: skip
        with np.errstate(all="ignore"):
            scope = dict(zip(core.arguments, draws, strict=True))
            flags = fpcore.value(core.condition, scope, fpcore.floating(np))
        for k in np.flatnonzero(np.broadcast_to(flags, 1000)):
            yield [float(d[k]) for d in draws]


def _narrow(condition: Any, limits: dict[str, list[int]]) -> None:
    """Bounds that a conjunction gives a variable, so that narrow ranges need not be hit."""
    if not isinstance(condition, list):
        return
    head, operands = condition[0], condition[1:]
    if head == "and":
        for e in operands:
            _narrow(e, limits)
    if head in (">", ">="):
        head, operands = "<", operands[::-1]
    if head in ("<", "<="):
        for a, b in pairwise(operands):
            low, high = _number(a), _number(b)
            if low is not None and isinstance(b, str) and b in limits:
                limits[b][0] = max(limits[b][0], _ordinal(low))
            if high is not None and isinstance(a, str) and a in limits:
                limits[a][1] = min(limits[a][1], _ordinal(high))


def _number(e: Any) -> float | None:
    try:
        return float(fpcore.value(e, {}, fpcore.floating(np)))
    except (Unsupported, TypeError):
        return None


def _ordinal(x: float) -> int:
    whole = int(np.float64(x).view("int64"))
    return whole if whole >= 0 else -(2**63) - whole


def _float(ordinals: np.ndarray) -> np.ndarray:
    bits = np.where(ordinals < 0, np.int64(-(2**63)) - ordinals, ordinals)
    return np.asarray(bits, "int64").view("float64")


# the truth ----------------------------------------------------------------------------------------


def truth(body: Any, scope: dict[str, float]) -> float:
    """The value over the reals rounded to float64; NaN where there is none, or none is found."""
    before = None
    for digits in PRECISIONS:
        with mpmath.workdps(digits):
            exact = {n: mpmath.mpf(v) for n, v in scope.items()}
            try:
                v = fpcore.value(body, exact, _WORDS)
                found = float(v) if isinstance(v, mpmath.mpf | int) else np.nan
            except _Cancelled:
                continue
            except (ArithmeticError, ValueError, TypeError, MemoryError):
                return float("nan")
        if before is not None and (found == before or np.isnan(found)):
            return found
        before = found
    return float("nan")


def _exact_function(name: str) -> Any:
    return _EXACT.get(name) or getattr(mpmath, name)


def _exact_constant(name: str) -> Any:
    mp = mpmath
    table = {
        "PI": lambda: +mp.pi, "E": lambda: mp.exp(1), "PI_2": lambda: mp.pi / 2,
        "PI_4": lambda: mp.pi / 4, "M_1_PI": lambda: 1 / mp.pi, "M_2_PI": lambda: 2 / mp.pi,
        "M_2_SQRTPI": lambda: 2 / mp.sqrt(mp.pi), "SQRT2": lambda: mp.sqrt(2),
        "SQRT1_2": lambda: mp.sqrt(mp.mpf(0.5)), "LN2": lambda: mp.log(2),
        "LN10": lambda: mp.log(10), "LOG2E": lambda: 1 / mp.log(2),
        "LOG10E": lambda: 1 / mp.log(10), "TRUE": lambda: True, "FALSE": lambda: False,
    }  # fmt: skip
    if name not in table:
        raise ValueError(name)
    return table[name]()


def _real(v: Any) -> Any:
    if isinstance(v, mpmath.mpc) or mpmath.isnan(v):
        raise ValueError("no real value")
    return v


def _moderate(function: Any) -> Any:
    def guarded(x: Any) -> Any:
        if abs(x) > _LARGEST:
            raise ValueError("too large")
        return function(x)

    return guarded


class _Cancelled(Exception):
    """Too few digits are left of a difference."""


def _binary(head: str, x: Any, y: Any) -> Any:
    if head == "pow":
        return _power(x, y)
    v = fpcore.BINARY[head](x, y)
    if head in "+-" and x and y and abs(v) < max(abs(x), abs(y)) * mpmath.eps * 1e40:
        raise _Cancelled
    return v


def _power(x: Any, y: Any) -> Any:
    if abs(y) > _LARGEST or abs(y * mpmath.log(abs(x) or 1)) > 1e18:
        raise ValueError("too large")
    if y == mpmath.floor(y) and abs(y) > 1e6:  # mpmath would multiply that often
        return mpmath.exp(y * mpmath.log(abs(x))) * (-1 if x < 0 and y % 2 else 1)
    return _real(x**y)


def _cbrt(x: Any) -> Any:
    return mpmath.cbrt(x) if x >= 0 else -mpmath.cbrt(-x)


_EXACT: dict[str, Any] = {
    **{n: _moderate(getattr(mpmath, n)) for n in "exp expm1 sinh cosh tanh sin cos tan".split()},
    **{n: lambda x, n=n: _real(getattr(mpmath, n)(x))
       for n in "sqrt log log10 log1p asin acos acosh atanh".split()},
    "exp2": _moderate(lambda x: mpmath.mpf(2) ** x), "log2": lambda x: _real(mpmath.log(x, 2)),
    "fabs": abs, "fmin": min, "fmax": max, "cbrt": _cbrt, "trunc": lambda x: mpmath.mpf(int(x)),
    "nearbyint": mpmath.nint, "copysign": lambda x, y: abs(x) if y >= 0 else -abs(x),
}  # fmt: skip
_WORDS = fpcore.Words(
    _exact_function,
    lambda q: mpmath.mpf(Fraction(q).numerator) / Fraction(q).denominator,
    _exact_constant,
    lambda flag, then, otherwise: then() if flag else otherwise(),
    lambda head, x, y: _binary(head, x, y),
)


# the table ----------------------------------------------------------------------------------------


def report(files: list[Path], libraries: list[str], samples: int, verbose: bool = True) -> str:
    """Measure all benchmarks; a line for each file, then what got worse and what was left out."""
    found: list[Outcome] = []
    left: Counter[str] = Counter()
    for outcome, reason in measured(files, libraries, samples):
        if outcome is None:
            left[reason] += 1
        else:
            found.append(outcome)
            if verbose:
                cells = "  ".join(f"{n} {b:5.1f}" for n, b in outcome.bits.items())
                best = "" if outcome.best is None else f"  authors {outcome.best:5.1f}"
                print(f"{outcome.file:20s} {outcome.core.name[:40]:40s} {cells}{best}", flush=True)
    return "\n".join([*_table(found, libraries), "", *_worse(found), *_left(left)])


def _table(found: list[Outcome], libraries: list[str]) -> list[str]:
    names = " | ".join(libraries)
    lines = [f"| suite | benchmarks | {names} | worse | of the authors' gain |",
             "|---|---:|" + "---:|" * (len(libraries) + 2)]  # fmt: skip
    for file in [*dict.fromkeys(o.file for o in found), "all"]:
        rows = [o for o in found if file in (o.file, "all")]
        cells = [[o.bits[n] for o in rows if n in o.bits] for n in libraries]
        means = " | ".join(f"{np.mean(c):.2f}" if c else "" for c in cells)
        worse = sum(bool(o.worst) for o in rows)
        known = [o for o in rows if o.best is not None and "symgraph" in o.bits]
        could = sum(max(o.bits["numpy"] - (o.best or 0.0), 0.0) for o in known)
        did = sum(o.bits["numpy"] - o.bits["symgraph"] for o in known)
        gain = f"{did / could:.0%} of {could:.0f} bits in {len(known)}" if could else ""
        lines.append(f"| {file} | {len(rows)} | {means} | {worse} | {gain} |")
    milliseconds = 1e3 * float(np.mean([o.seconds for o in found])) if found else 0.0
    return [*lines, "", f"{milliseconds:.0f} ms to compile one, on average"]


def _worse(found: list[Outcome]) -> list[str]:
    return [f"worse: {o.file}: {o.core.name}: {o.bits['numpy']:.1f} -> {o.bits['symgraph']:.1f} "
            f"bits, for example at {o.worst}" for o in found if o.worst]  # fmt: skip


def _left(left: Counter[str]) -> list[str]:
    if not left:
        return []
    words = ", ".join(f"{n} for {reason}" for reason, n in left.most_common())
    return [f"left out: {sum(left.values())}: {words}"]
