"""Errors in units of the last place over many arguments, the worst measured again by mpmath."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from benchmarks.accuracy import bessel, exhaustive, truth
from benchmarks.accuracy.kernels import build

Array = Any
CHUNK = 1 << 16
AGAIN = 240  # the worst places, measured again by mpmath
STRIDE = 1021  # of the sampled bit patterns of float32: 4.2 million, with all low bits

ZEROS = 1000  # of j0 and j1, around which the nearest doubles are tried
RANDOM = 480  # arguments of special functions that mpmath sees in any case
NEGATIVE = 1 << 31  # the bit pattern of -0.0 in float32
Place = tuple[float, tuple[float, ...], float]  # error, arguments, result


class Finding(NamedTuple):
    """The largest error, where it is, and how many arguments were tried; ``wrong`` counts special
    values (NaN, infinities, signs of zero) that differ, ``example`` is one of them."""

    ulp: float
    at: tuple[float, ...]
    tried: int
    wrong: int
    example: tuple[float, ...]
    exhaustive: bool
    seconds: float


def errors(name: str, xs: tuple[Array, ...], got: Array, dtype: str) -> tuple[Array, Array]:
    """Errors in ulp (0 where a special value decides), and which special values are wrong."""
    true, info = truth.wide(name, xs, dtype), np.finfo(dtype)
    with np.errstate(all="ignore"):
        size = np.maximum(abs(true), truth.least_size(name, xs[0])).astype(true.dtype)
        error = abs(got.astype(true.dtype) - true) / _unit(size, info)
        rounded = true.astype(dtype)
    finite = np.isfinite(rounded) & np.isfinite(got)
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    edge = (abs(true) > info.max * (1 - info.eps)) & (abs(got) >= info.max)  # rounded either way
    wrong = ~finite & ~same & ~edge
    wrong |= (got == 0) & (true == 0) & (np.signbit(got) != np.signbit(rounded))
    return np.where(finite, error, 0), wrong


def _unit(size: Array, info: Any) -> Array:
    """One unit in the last place of the dtype at these sizes."""
    if size.dtype == np.float64 and info.nmant == 23:  # a power of two by its bits: fast
        exponent = np.maximum((size.view(np.int64) >> 52) - 1023, info.minexp) - info.nmant
        return ((exponent + 1023) << 52).view(np.float64)
    _, exponent = np.frexp(size)
    exponent = np.maximum(exponent - 1, info.minexp) - info.nmant
    return np.ldexp(size.dtype.type(1), exponent)


def _silent(tried: int, worst: float) -> None:
    pass


def every_float(name: str, show: Callable[[int, float], None] = _silent) -> Finding:
    """The largest error over all 2^32 bit patterns of float32: a sample against the references of
    others, then all of them against our own float64 version, the worst blocks by mpmath."""
    start, found = time.perf_counter(), measure(name, "float32", some_floats())
    first, stop = (0, NEGATIVE) if name in truth.TERM else (0, 1 << 32)
    blocks: list[tuple[float, int]] = []
    wrong, suspect = 0, []
    for at, (worst, bad) in exhaustive.scan(name, first, stop):
        numbers = range(at, at + worst.size * exhaustive.BLOCK, exhaustive.BLOCK)
        blocks = sorted([*blocks, *zip(worst.tolist(), numbers, strict=True)], reverse=True)[:AGAIN]
        suspect += [n for n, b in zip(numbers, bad, strict=True) if b]
        wrong += int(bad.sum())
        show(at - first, blocks[0][0])
    narrow, wide = build(name, "float32"), build(name, "float64")
    places = [_worst_of_block(n, narrow, wide) for _, n in blocks]
    ulp, where = max((found.ulp, found.at), _again(name, "float32", sorted(places, reverse=True)))
    example = found.example or _example(suspect, narrow, wide)
    seconds = time.perf_counter() - start
    return Finding(ulp, where, stop - first, max(wrong, found.wrong), example, True, seconds)


def _block(number: int, narrow: Any, wide: Any) -> tuple[Array, Array, Array]:
    """The arguments of a block, our float32 and our float64 results."""
    bits = np.arange(number, number + exhaustive.BLOCK, dtype=np.int64).astype(np.uint32)
    x = bits.view(np.float32)
    return x, narrow(x), wide(x.astype(np.float64))


def _worst_of_block(number: int, narrow: Any, wide: Any) -> Place:
    x, got, true = _block(number, narrow, wide)
    with np.errstate(all="ignore"):
        error = abs(got.astype(np.float64) - true) / _unit(abs(true), np.finfo("float32"))
        usable = np.isfinite(true.astype(np.float32)) & np.isfinite(got)
    k = int(np.argmax(np.where(usable, error, 0)))
    return float(error[k]), (float(x[k]),), float(got[k])


def _example(suspect: list[int], narrow: Any, wide: Any) -> tuple[float, ...]:
    """An argument and a result of the first block with wrong special values."""
    for number in suspect[:1]:
        x, got, true = _block(number, narrow, wide)
        with np.errstate(all="ignore"):
            rounded = true.astype(np.float32)
        differs = (np.isfinite(got) != np.isfinite(rounded)) | (np.isnan(got) != np.isnan(rounded))
        differs |= (got == 0) & (rounded == 0) & (np.signbit(got) != np.signbit(rounded))
        return float(x[differs][0]), float(got[differs][0])
    return ()


def measure(
    name: str,
    dtype: str,
    chunks: Iterator[tuple[Array, ...]],
    show: Callable[[int, float], None] = _silent,
) -> Finding:
    """The largest error over all chunks; ``show`` is told how far it is."""
    start, run = time.perf_counter(), build(name, dtype)
    tried = wrong = 0
    example: tuple[float, ...] = ()
    places: list[Place] = []
    random: list[Place] = []
    for xs in chunks:
        got = run(*xs)
        error, bad = errors(name, xs, got, dtype)
        tried += got.size
        picked = [int(np.argmax(error))]
        if (
            name not in truth.ELEMENTARY and len(random) < RANDOM
        ):  # their fast reference errs itself
            some = np.arange(0, got.size, max(1, got.size // 24))
            picked += [int(k) for k in some[np.isfinite(got[some]) & ~bad[some]]]
        found = [(float(error[k]), tuple(float(x[k]) for x in xs), float(got[k])) for k in picked]
        places.append(found[0])
        random += found[1:]
        for j in np.flatnonzero(bad)[:8]:
            place = (*(float(x[j]) for x in xs), float(got[j]))
            if _is_wrong(name, place, dtype):
                wrong, example = wrong + int(bad.sum()), example or place
                break
        if len(places) % 256 == 0:
            places = sorted(places, reverse=True)[:AGAIN]
            show(tried, places[0][0])
    ulp, at = _again(name, dtype, sorted(places, reverse=True)[:AGAIN])
    if name in truth.WAVES and dtype == "float64":
        random += _near_zeros(name, run)
    for _, xs, value in random:
        ulp, at = max((ulp, at), (truth.exact_error(name, xs, value, dtype), xs))
    return Finding(ulp, at, tried, wrong, example, False, time.perf_counter() - start)


def _near_zeros(name: str, run: Any) -> list[Place]:
    x = np.array(list(bessel.near_zeros(int(name[1]), ZEROS, np.random.default_rng(0))))
    return [(0.0, (float(v),), float(y)) for v, y in zip(x, run(x), strict=True)]


def _is_wrong(name: str, place: tuple[float, ...], dtype: str) -> bool:
    """Whether mpmath, too, has another value; the fast reference is believed about poles."""
    *xs, got = place
    try:
        return truth.exact_error(name, tuple(xs), got, dtype) > 8
    except (ValueError, ZeroDivisionError, ArithmeticError, TypeError):
        return True


def _again(name: str, dtype: str, places: list[Place]) -> tuple[float, tuple[float, ...]]:
    """The largest error by mpmath; it stops where the fast reference sees less than was found."""
    found = [(0.0, places[0][1])]
    for seen, xs, got in places:
        if seen < 0.9 * found[0][0]:
            break
        found = [max(found[0], (truth.exact_error(name, xs, got, dtype), xs))]
    return found[0]


# arguments ----------------------------------------------------------------------------------------


def some_floats() -> Iterator[tuple[Array, ...]]:
    """Every 1021st bit pattern, and all patterns close to the places where something changes."""
    bits = [np.arange(0, 1 << 32, STRIDE, dtype=np.uint32)]
    corners = np.concatenate([CORNERS, -CORNERS]).astype(np.float32).view(np.uint32)
    near = np.arange(-512, 513, dtype=np.int64)
    bits += [((int(c) + near) & 0xFFFFFFFF).astype(np.uint32) for c in corners]
    x = np.concatenate(bits).view(np.float32)
    for k in range(0, x.size, CHUNK):
        yield (x[k : k + CHUNK],)


with np.errstate(over="ignore"):
    CORNERS = np.array(
        [0.0, 1e-45, 1.1754944e-38, 1e-8, 1e-4, 0.25, 0.35, 0.5, 0.625, 0.70710678, 0.78539816, 1.0,
         1.0397208, 1.41421356, 1.5, 1.5707964, 2.0, 2.5, 3.0, 3.1415927, 4.0, 4.712389, 5.0, 8.0,
         9.0, 9.19, 10.05, 12.0, 15.0, 16.0, 17.3, 20.0, 26.6, 28.0, 33.0, 35.04, 36.0, 64.0, 87.3,
         88.72284, 89.4159, 100.0, 102.97, 103.97208, 126.0, 127.0, 128.0, 149.0, 150.0, 1e3, 1e4,
         1e5, 117435.992, 1e6, 1.3176795e7, 1.6777216e7, 1e10, 1e20, 1e30, 3.4028235e38, np.inf]
    )  # fmt: skip
DOMAIN = {
    "exp": (-750, 712), "exp2": (-1080, 1026), "expm1": (-50, 712), "sigmoid": (-750, 50),
    "softplus": (-750, 50), "asin": (-1, 1), "acos": (-1, 1), "atanh": (-1, 1), "acosh": (1, 100),
    "sinh": (-712, 712), "cosh": (-712, 712), "tanh": (-25, 25), "erf": (-6, 6),
    "erfc": (-6.5, 27.5), "log": (0, 10), "log1p": (-1, 10), "log2": (0, 10), "log10": (0, 10),
    "cbrt": (-10, 10), "gamma": (-170, 171.7), "lgamma": (-30, 100), "digamma": (-30, 100),
    "trigamma": (-30, 100), "erfcx": (-26.6, 30), "erfinv": (-1, 1), "erfcinv": (0, 2),
    "ndtr": (-38.5, 8.5), "ndtri": (0, 1), "i0": (-713, 713), "i1": (-713, 713),
    "i0e": (-800, 800), "i1e": (-800, 800), "j0": (-100, 100), "j1": (-100, 100), "k0": (0, 705),
    "k1": (0, 705), "k0e": (0, 800), "k1e": (0, 800),
}  # fmt: skip


def doubles(name: str, count: int, seed: int = 0) -> Iterator[tuple[Array, ...]]:
    """``count`` doubles or pairs: bit patterns, the domain, both sides of 0 and 1, hard cases."""
    rng = np.random.default_rng(seed)
    yield from _hard(name)
    for _ in range(-(-count // CHUNK)):
        yield _pairs(name, rng, CHUNK) if name in truth.PAIRS else (_single(name, rng, CHUNK),)


def _single(name: str, rng: np.random.Generator, count: int) -> Array:
    n, (low, high) = count // 4, DOMAIN.get(name, (-1e4, 1e4))
    anything = rng.integers(0, 1 << 64, n, np.uint64).view(np.float64)
    signs = rng.choice([-1.0, 1.0], n)
    x = np.concatenate([
        anything, rng.uniform(low, high, n), np.exp(rng.uniform(-50, 8, n)) * signs,
        np.round(rng.uniform(0, 6e5, n // 2)) * (np.pi / 2),
        1 + rng.normal(size=n // 2) * 10 ** rng.uniform(-12, 0, n // 2),
    ])  # fmt: skip
    return x[np.isfinite(x)]


def _pairs(name: str, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    n, uniform = count // 4, rng.uniform
    if name == "pow":
        x = [np.exp(uniform(-700, 700, n)), uniform(0.5, 2, n), 1 + rng.normal(size=n) / 1e3,
             np.exp(uniform(-745, 709, n))]  # fmt: skip
        y = [uniform(-1, 1, n), uniform(-1000, 1000, n), uniform(-3e4, 3e4, n),
             np.round(rng.normal(size=n) * 20)]  # fmt: skip
    else:
        signs = [rng.choice([-1.0, 1.0], n) for _ in range(4)]
        x = [rng.normal(size=n) * 50, signs[0] * np.exp(uniform(-700, 700, n)),
             rng.normal(size=n), signs[2] * np.exp(uniform(-5, 5, n))]  # fmt: skip
        y = [rng.normal(size=n), signs[1] * np.exp(uniform(-700, 700, n)),
             np.exp(uniform(-700, 700, n)), signs[3] * np.exp(uniform(-5, 5, n))]  # fmt: skip
    return np.concatenate(x), np.concatenate(y)


HARD = np.array(
    # nearest to a multiple of pi / 2 (Kahan; Muller 2006), to a midpoint of exp, log, sin, cos
    # (Lefevre and Muller 2001), thresholds of overflow and of subnormal results, and subnormals
    [6381956970095103.0 * 2.0**797, 5319372648326541416707072.0, 1e22, 2.0**1023,
     16367173 * 2.0**72, 7.5417527749959590085e-10, -1.1306268911541437e-09, 1.9999999999999998,
     8.2431e-05, 2.4831e-308, 709.782712893384, 709.7827128933841, -745.1332191019411,
     -745.1332191019412, -708.3964185322641, 710.4758600739439, 710.475860073944,
     1023.9999999999999, 1024.0, -1022.0, -1074.0, -1074.9999999999998, 0.9999999999999999,
     1.0000000000000002, 36.7368005696771, 5e-324, 1e-310, 2.2250738585072014e-308,
     1.7976931348623157e308, 0.6931471805599453, 1.0986122886681098, 1.3862943611198906,
     2.718281828459045, 3.141592653589793, 1.5707963267948966, 4.71238898038469,
     26.543258430632299, 27.226017111108362, 171.6243769563027]
)  # fmt: skip


def _hard(name: str) -> Iterator[tuple[Array, ...]]:
    near = np.arange(-256, 257)
    x = np.concatenate([np.concatenate([(v.view(np.int64) + near).view(np.float64), -(
        v.view(np.int64) + near).view(np.float64)]) for v in HARD])  # fmt: skip
    x = x[np.isfinite(x)]
    if name == "pow":
        base = np.concatenate([[0.5, 2, 3, 10, 1.5, 0.1, 7, 1 + 2.0**-52, 1 - 2.0**-53], x[x > 0]])
        yield base, np.resize([2.0, -1.0, 0.5, 3.0, 100.0, -7.0, 1 / 3, 1e15], base.size)
    elif name == "atan2":
        yield x, np.roll(x, 999)
    else:
        yield (x,)
