"""Accuracy, compile time and speed of the vector mathematics, a row per function and dtype.

Run: python benchmarks/ulp_report.py [--samples N] [--no-speed] [--lanes N] [NAME ...]

Columns: the largest error in units of the last place and where it was found; how many special
values are wrong (of those tried); milliseconds to write and compile the function with its loop;
nanoseconds per element on 10 000 elements, ours and NumPy's (SciPy's for erf, erfc, sigmoid).
References: 80-bit long double, mpmath for erf and erfc; float64 for float32.
"""

from __future__ import annotations

import argparse
import ctypes
import time
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import scipy.special as special

from symgraph.codegen import llvm, vmath
from symgraph.codegen.literals import llvm_type, memory_type
from symgraph.codegen.writer import ModuleWriter

Array = Any
WIDE = np.longdouble
SPECIAL = np.array(
    [0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 0.5, -0.5, 2, -2, 3, -3, 5e-324, -5e-324, 1e-310,
     2.2250738585072014e-308, 1.7976931348623157e308, -1.7976931348623157e308, 709.782712893384,
     709.7827128933841, -745.1332191019411, -745.1332191019412, -708.4, 710.4758600739439,
     710.475860073944, -710.5, 1e22, 5319372648326541416707072.0, 6381956970095103.0 * 2.0**797,
     1e300, 2.5, 1e-5, -1e-5, 1e-200, 26.5, 27.3, -27.3, 10.2, 1024.0, 1023.9999999999999, -1022.0,
     -1074.0, -1075.5, 88.72284, 88.7229, -103.9, -104.0, 128.0, -149.5, 0.9999999999999999,
     1.0000000000000002, 4.0, -4.0, 1000.0, 1e15, 9007199254740993.0, 1.5, -1.5, 7.0, 0.1]
)  # fmt: skip


def _sigmoid(x: Array) -> Array:
    e = np.exp(-abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def _softplus(x: Array) -> Array:
    return np.where(x < 0, 0, x) + np.log1p(np.exp(-abs(x)))


def _precise(function: Callable[[Any], Any]) -> Callable[[Array], Array]:
    def evaluate(x: Array) -> Array:
        with mpmath.workdps(40):
            near = np.clip(np.ravel(x), -100, 100)
            found = [mpmath.nstr(function(mpmath.mpf(float(v))), 30) for v in near]
        y = np.array([WIDE(v) for v in found])
        return np.where((x == 0) & (y == 0), x, y)  # mpmath has no -0

    return evaluate


REFERENCE: dict[str, Callable[..., Array]] = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "sigmoid": _sigmoid, "log": np.log,
    "log1p": np.log1p, "log2": np.log2, "log10": np.log10, "softplus": _softplus, "sin": np.sin,
    "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "atan2": np.arctan2, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh,
    "acosh": np.arccosh, "atanh": np.arctanh, "erf": _precise(mpmath.erf),
    "erfc": _precise(mpmath.erfc), "cbrt": np.cbrt, "pow": np.power, "mod": np.mod,
    "floordiv": np.floor_divide,
}  # fmt: skip
SPEED = {**REFERENCE, "erf": special.erf, "erfc": special.erfc, "sigmoid": special.expit,
         "softplus": lambda x, out: np.logaddexp(x, 0, out=out)}  # fmt: skip
DOMAIN = {
    "exp": (-750, 712), "exp2": (-1080, 1026), "expm1": (-50, 712), "sigmoid": (-750, 50),
    "softplus": (-750, 50), "sin": (-1e4, 1e4), "cos": (-1e4, 1e4), "tan": (-1e4, 1e4),
    "asin": (-1, 1), "acos": (-1, 1), "atan": (-20, 20), "sinh": (-712, 712), "cosh": (-712, 712),
    "tanh": (-25, 25), "asinh": (-1e3, 1e3), "acosh": (1, 100), "atanh": (-1, 1), "erf": (-6, 6),
    "erfc": (-6.5, 27.5), "log": (0, 10), "log1p": (-1, 10), "log2": (0, 10), "log10": (0, 10),
    "cbrt": (-10, 10),
}  # fmt: skip
EXACT = ("mod", "floordiv")


def build(name: str, dtype: str, lanes: int) -> tuple[Callable[..., Array], float]:
    """(function over whole arrays of a multiple of `lanes` elements, milliseconds)."""
    start = time.perf_counter()
    module, arity = ModuleWriter(llvm.host().features), vmath.FUNCTIONS[name].arity
    names = ["o", *("ab"[:arity])]
    fn = module.function("kernel", [("ptr", n, "") for n in names] + [("i64", "n", "")])
    wide, narrow = llvm_type(dtype, lanes), memory_type(dtype)

    def body(i: str, _: list[str]) -> list[str]:
        at = [fn.val(f"getelementptr {narrow}, ptr %{n}, i64 {i}") for n in names]
        loaded = [fn.fresh(f"load {wide}, ptr {p}, align 4") for p in at[1:]]
        value = vmath.call(fn, module, name, dtype, lanes, loaded)
        fn.raw(f"store {wide} {value}, ptr {at[0]}, align 4")
        return []

    fn.loop(0, "%n", lanes, [], body)
    library = llvm.load_orc(llvm.compile_object(module.text()), ["kernel"])
    milliseconds = 1e3 * (time.perf_counter() - start)
    types = [ctypes.c_void_p] * (arity + 1) + [ctypes.c_int64]
    native = ctypes.CFUNCTYPE(None, *types)(library.address("kernel"))

    def run(*xs: Array, out: Array | None = None, keep: Any = library) -> Array:
        padded = [np.concatenate([x, x[: -x.size % lanes]]) if x.size % lanes else x for x in xs]
        y = np.empty_like(padded[0]) if out is None else out
        native(y.ctypes.data, *(x.ctypes.data for x in padded), y.size)
        return y[: xs[0].size]

    return run, milliseconds


def ulps(got: Array, wanted: Array, dtype: str) -> Array:
    """Errors in units of the last place of the true value; 1e9 where special values differ."""
    info = np.finfo(dtype)
    true = wanted.astype(WIDE)
    with np.errstate(all="ignore"):
        _, exponent = np.frexp(true)
        exponent = np.maximum(exponent - 1, info.minexp)
        error = abs(got.astype(WIDE) - true) / np.ldexp(WIDE(1), exponent - info.nmant)
        rounded = true.astype(dtype)
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    finite = np.isfinite(rounded) & np.isfinite(got)
    near = np.where(finite, error, np.where(same, 0, 1e9))
    # an infinite result just beyond the largest number is an error of one place
    edge = abs(true) >= WIDE(info.max)
    return np.where(edge & ~same & (abs(got) == info.max), 1, near)


def samples(name: str, dtype: str, count: int, rng: np.random.Generator) -> tuple[Array, ...]:
    """Random bit patterns, the domain, and near 0."""
    if vmath.FUNCTIONS[name].arity == 2:
        return _pairs(name, dtype, count, rng)
    if name in ("erf", "erfc"):
        count //= 40
    word = "uint64" if dtype == "float64" else "uint32"
    anything = rng.integers(0, np.iinfo(word).max, count, word, endpoint=True).view(dtype)
    low, high = DOMAIN[name]
    x = np.concatenate(
        [
            rng.uniform(low, high, count),
            rng.uniform(-2, 2, count),
            np.exp(rng.uniform(-50, 8, count)) * rng.choice([-1, 1], count),
            np.round(rng.uniform(0, 6e5, count // 4)) * np.pi / 2,
            1 + rng.normal(size=count // 4) * 10 ** rng.uniform(-12, 0, count // 4),
        ]
    )
    with np.errstate(all="ignore"):
        x = np.concatenate([anything, x.astype(dtype)])
    return (x[np.isfinite(x)],)


def _pairs(name: str, dtype: str, count: int, rng: np.random.Generator) -> tuple[Array, ...]:
    uniform, normal = rng.uniform, rng.normal
    if name == "pow" and dtype == "float64":
        near = 1 + normal(size=count) / 1e3
        x = [np.exp(uniform(-700, 700, count)), uniform(0.5, 2, count), near]
        y = [uniform(-1, 1, count), uniform(-1000, 1000, count), uniform(-3e4, 3e4, count)]
    elif name == "pow":
        x = [np.exp(uniform(-80, 80, count)), uniform(0.5, 2, count)]
        y = [uniform(-3, 3, count), uniform(-100, 100, count)]
    else:
        span = 700 if dtype == "float64" else 80
        signs = [rng.choice([-1, 1], count) for _ in range(4)]
        x = [normal(size=count) * 50, signs[0] * np.exp(uniform(-span, span, count))]
        y = [normal(size=count), signs[1] * np.exp(uniform(-span, span, count))]
        x, y = [*x, np.round(normal(size=count) * 50)], [*y, np.round(normal(size=count) * 5)]
    return np.concatenate(x).astype(dtype), np.concatenate(y).astype(dtype)


def reference(name: str, xs: tuple[Array, ...], dtype: str) -> Array:
    """True values, wide enough for ulps."""
    with np.errstate(all="ignore"):
        if name in EXACT:
            return REFERENCE[name](*xs)
        if name in ("erf", "erfc") and dtype == "float32":
            return SPEED[name](xs[0].astype("float64"))
        return REFERENCE[name](*(x.astype(WIDE) for x in xs))


def wrong_specials(name: str, dtype: str, run: Callable[..., Array]) -> list[tuple[float, ...]]:
    """Special arguments with their wrong and right results; the sign of zero counts."""
    with np.errstate(all="ignore"):
        values = SPECIAL.astype(dtype)
    xs: tuple[Array, ...] = (values,)
    if vmath.FUNCTIONS[name].arity == 2:
        xs = tuple(v.ravel().copy() for v in np.meshgrid(values, values))
    got, true = run(*xs), reference(name, xs, dtype)
    with np.errstate(all="ignore"):
        wanted = np.asarray(true).astype(dtype)
    bad = ulps(got, true, dtype) > 2.0
    signs = (np.signbit(got) != np.signbit(wanted)) & ~np.isnan(wanted)
    rows = np.flatnonzero(bad | signs)
    return [(*(float(x[k]) for x in xs), float(got[k]), float(wanted[k])) for k in rows]


def speed(function: Callable[..., Array], name: str, dtype: str) -> float:
    """Nanoseconds per element, the best of 15 runs over 9600 elements in the usual range."""
    rng, n = np.random.default_rng(1), 9600
    xs = [rng.uniform(0.1, 0.9, n).astype(dtype) for _ in range(vmath.FUNCTIONS[name].arity)]
    if name == "acosh":
        xs[0] += 1
    if name in ("sin", "cos", "tan", "exp", "tanh", "erf", "sigmoid", "softplus"):
        xs[0] = rng.uniform(-8, 8, n).astype(dtype)
    out, best = np.empty(n, dtype), float("inf")
    for _ in range(15):
        start = time.perf_counter()
        for _ in range(5):
            function(*xs, out=out)
        best = min(best, (time.perf_counter() - start) / 5)
    return best * 1e9 / n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", default=[*REFERENCE])
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--lanes", type=int, default=0)
    parser.add_argument("--no-speed", action="store_true")
    options = parser.parse_args()
    print("function  dtype     ulp     at                         special   ms    ns    numpy")
    for name in options.names:
        for dtype, native in (("float64", 64), ("float32", 32)):
            lanes = options.lanes or llvm.host().vector_bits // native
            run, ms = build(name, dtype, lanes)
            xs = samples(name, dtype, options.samples, np.random.default_rng(0))
            errors = ulps(run(*xs), reference(name, xs, dtype), dtype)
            k = int(np.argmax(errors))
            at = ", ".join(f"{float(x[k]):.17g}" for x in xs)
            bad = wrong_specials(name, dtype, run)
            line = f"{name:9s} {dtype} {errors[k]:7.3f} {at:28s} {len(bad):5d}  {ms:5.1f}"
            if not options.no_speed:
                line += f" {speed(run, name, dtype):6.2f} {speed(SPEED[name], name, dtype):6.2f}"
            print(line, *(f"{row}" for row in bad[:3]), flush=True)


if __name__ == "__main__":
    main()
