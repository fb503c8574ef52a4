"""What the combiners of folds mean, by NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.loops.compute import identity
from symgraph.loops.statements import Fold

_UFUNC: dict[str, np.ufunc] = {
    "add": np.add, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum,
    "and": np.bitwise_and, "or": np.bitwise_or,
}  # fmt: skip


def start(fold: Fold) -> list[Any]:
    """What a fold carries before its first turn: the identity, and position 0 for argmax."""
    kinds = [dtypes.numpy_dtype(n.dtype).type for n in fold.names]
    first = kinds[0](identity(fold.combiner, fold.names[0].dtype))
    return [first, *(kind(0) for kind in kinds[1:])]


def combine(combiner: str, a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
    """One turn. argmax and argmin prefer the first NaN, then the extreme value, then the smaller
    position."""
    if combiner in _UFUNC:
        return [_UFUNC[combiner](a[0], b[0])]
    if combiner == "complex_add":
        return [a[0] + b[0], a[1] + b[1]]
    if combiner == "complex_mul":
        return [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]
    better = np.greater if combiner == "argmax" else np.less
    nan_a, nan_b = np.not_equal(a[0], a[0]), np.not_equal(b[0], b[0])
    tie = np.equal(a[0], b[0]) | (nan_a & nan_b)
    wins = np.where(tie, np.less(b[1], a[1]), ~nan_a & (nan_b | better(b[0], a[0])))
    return [np.where(wins, y, x)[()] for x, y in zip(a, b, strict=True)]


def reduce(combiner: str, values: Sequence[np.ndarray]) -> list[Any]:
    """All turns of one fold at once."""
    if combiner in _UFUNC:
        return [_UFUNC[combiner].reduce(values[0], dtype=values[0].dtype)]
    best = [values[0][0], values[1][0]]
    for v, p in zip(values[0][1:], values[1][1:], strict=True):
        best = combine(combiner, best, [v, p])
    return best


def reduce_threads(combiner: str, values: Sequence[np.ndarray], warp: int) -> list[Any]:
    """The values of all threads of a block, in the order that loops/launch.py fixes."""
    rows = [np.asarray(v).reshape(-1, warp) for v in values]
    half = warp // 2
    while half:
        rows = combine(combiner, [r[:, :half] for r in rows], [r[:, half : 2 * half] for r in rows])
        half //= 2
    firsts = [r[:, 0] for r in rows]
    total = [r[0] for r in firsts]
    for k in range(1, len(firsts[0])):
        total = combine(combiner, total, [r[k] for r in firsts])
    return total
