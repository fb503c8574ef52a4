"""Transforms of a few complex numbers in registers, a number of another sequence in each lane.

Powers of two are halved into even and odd ones (Cooley and Tukey, 1965). Of an odd prime the
numbers k and r - k are taken together, whose cosines are equal and whose sines are opposite.
"""

from __future__ import annotations

import math

from symgraph.codegen.fourier.pairs import Pair, Pairs
from symgraph.codegen.writer import Value


def transform(pairs: Pairs, x: list[Pair]) -> list[Pair]:
    """The transform of so many numbers: a power of two, or an odd prime."""
    if len(x) == 1:
        return x
    return _odd(pairs, x) if len(x) % 2 else _halved(pairs, x)


def _halved(pairs: Pairs, x: list[Pair]) -> list[Pair]:
    even, odd = transform(pairs, x[::2]), transform(pairs, x[1::2])
    turned = [_turned(pairs, t, k, len(x)) for k, t in enumerate(odd)]
    low = [pairs.plus(e, t) for e, t in zip(even, turned, strict=True)]
    return low + [pairs.minus(e, t) for e, t in zip(even, turned, strict=True)]


def _turned(pairs: Pairs, t: Pair, k: int, n: int) -> Pair:
    """t exp(-2 pi i k / n) for k < n / 2."""
    if k == 0:
        return t
    if 4 * k == n:
        return t[1], pairs.neg(t[0])
    if 8 * k in (n, 3 * n):
        half = pairs.number(math.sqrt(0.5))
        plus, minus = pairs.v.add(t[0], t[1]), pairs.sub(t[1], t[0])
        pair = (plus, minus) if 8 * k == n else (minus, pairs.neg(plus))
        return pairs.scaled(pair, half)
    cosine, sine = wave(k, n)
    return pairs.times(t, (pairs.number(cosine), pairs.number(-sine)))


def _odd(pairs: Pairs, x: list[Pair]) -> list[Pair]:
    n, half = len(x), len(x) // 2
    sums = [pairs.plus(x[k], x[n - k]) for k in range(1, half + 1)]
    differences = [pairs.minus(x[k], x[n - k]) for k in range(1, half + 1)]
    first = x[0]
    for s in sums:
        first = pairs.plus(first, s)
    low, high = [first], []
    for i in range(1, half + 1):
        c, s = _waves(pairs, x[0], sums, differences, i, n)
        low.append((pairs.v.add(c[0], s[1]), pairs.sub(c[1], s[0])))
        high.append((pairs.sub(c[0], s[1]), pairs.v.add(c[1], s[0])))
    return low + high[::-1]


def _waves(
    pairs: Pairs, start: Pair, sums: list[Pair], differences: list[Pair], i: int, n: int
) -> tuple[Pair, Pair]:
    """The parts of number i with cosines and those with sines."""
    c, s = start, None
    for k, (a, b) in enumerate(zip(sums, differences, strict=True), 1):
        cosine, sine = map(pairs.number, wave(i * k % n, n))
        c = _more(pairs, c, a, cosine)
        s = pairs.scaled(b, sine) if s is None else _more(pairs, s, b, sine)
    assert s is not None
    return c, s


def _more(pairs: Pairs, total: Pair, x: Pair, factor: Value) -> Pair:
    return pairs.v.fma(x[0], factor, total[0]), pairs.v.fma(x[1], factor, total[1])


def wave(k: int, n: int) -> tuple[float, float]:
    """The cosine and the sine of 2 pi k / n to the last place: of an angle in the first eighth.

    >>> wave(0, 3), wave(3, 4)[1]
    ((1.0, 0.0), -1.0)
    """
    quarter = (8 * k + n) // (2 * n)
    angle = 2 * math.pi * ((4 * k - quarter * n) / (4 * n))
    cosine, sine = math.cos(angle), math.sin(angle)
    return ((cosine, sine), (-sine, cosine), (-cosine, -sine), (sine, -cosine))[quarter % 4]
