"""Rows for results whose size depends on values: masks, positions, sets, computed bounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import api
from tests.ops.samples import Sample, array, ints
from tests.ops.samples_stats import row

A, B, V = array(3, 4), array(2, 3, 4, seed=1), array(6, seed=2)
IS, EMPTY, ONE = ints(7, low=0, high=4, seed=3), np.ones(0), np.array([2.5])
NAN = np.array([1.0, np.nan, -0.0, np.nan, 1.0, 0.0, np.inf])
ROWS = np.array([[1.0, 2.0], [0.0, 5.0], [1.0, 2.0], [0.0, 4.0]])
N = np.array(5)


def _at(key: Any, mode: str, values: Any, *arrays: Any) -> Sample:
    """``x.at[key(x)].mode(values(x))`` against NumPy's assignment."""

    def reference(x: Any) -> Any:
        out = x.copy()
        ufunc = {"add": np.add, "multiply": np.multiply, "max": np.maximum}.get(mode)
        old = out[key(np, x)]
        new = values(np, x)
        out[key(np, x)] = new if ufunc is None else ufunc(old, new)
        return out

    return Sample(
        "flatnonzero", lambda x: getattr(x.at[key(api, x)], mode)(values(api, x)), reference, arrays
    )


SAMPLES: list[Sample] = [
    Sample("size_from", lambda n: api.zeros((api.size_from(n), 2)), lambda n: np.zeros((n, 2)),
           (N,)),
    Sample("below", lambda x: x[x > 0], lambda x: x[x > 0], (V,)),
    *(row("flatnonzero", lambda m, x: x[x > 0], x) for x in (A, B, V, ONE, EMPTY, -ONE)),
    row("flatnonzero", lambda m, x: x[m.sum(x, -1) > 0], B),
    row("flatnonzero", lambda m, x: x[:, m.sum(x, (0, 2)) > 0], B),
    row("flatnonzero", lambda m, x: x[..., x[0, 0] > 0], B),
    row("flatnonzero", lambda m, x: x[0, x[1] > 0], B),
    row("flatnonzero", lambda m, x: x[m.sum(x, -1) > 0, 1::2], B),
    row("flatnonzero", lambda m, x: x[1, None, x[0, :, 0] > 0], B),
    row("flatnonzero", lambda m, x: x[m.sum(x, 1) > 0, [0]], A),
    row("flatnonzero", lambda m, x, y: m.extract(y > 0, x), A, B[0]),
    row("flatnonzero", lambda m, x, y: m.compress(y > 0, x, axis=1), A, A[0]),
    row("flatnonzero", lambda m, x, y: m.compress(y > 0, x), A, V),
    row("flatnonzero", lambda m, x: m.delete(x, m.flatnonzero(x > 1)), V),
    *(row("flatnonzero", lambda m, x: m.nonzero(x > 0), x) for x in (A, B, V)),
    *(row("flatnonzero", lambda m, x: m.where(x > 0), x) for x in (A, V)),
    *(row("flatnonzero", lambda m, x: m.argwhere(x), x) for x in (A, IS, EMPTY)),
    *(row("flatnonzero", lambda m, x: m.flatnonzero(x), x) for x in (NAN, IS, EMPTY)),
    *(row("size_from", lambda m, x, t=t: m.trim_zeros(x, t), x, grad=False)
      for t in ("fb", "f", "b") for x in (np.array([0.0, 0, 3, 0, 1, 0]), EMPTY, np.zeros(3))),
    _at(lambda m, x: x > 0, "set", lambda m, x: x[x > 0] * 2, A),
    _at(lambda m, x: x > 0, "add", lambda m, x: x[x > 0] ** 2, A),
    _at(lambda m, x: m.sum(x, 1) > 0, "multiply", lambda m, x: x[m.sum(x, 1) > 0], A),
    _at(lambda m, x: (slice(None), x[0] > 0), "max", lambda m, x: 0.5, A),
    _at(lambda m, x: x > 0, "set", lambda m, x: m.arange((x > 0).sum()) * 1.0, V),
]  # fmt: skip

# sets ---------------------------------------------------------------------------------------------

SAMPLES += [
    *(row("sort", lambda m, x: m.unique(x), x, grad=False) for x in (A, V, NAN, EMPTY, IS, IS > 1)),
    *(row("sort", lambda m, x: m.unique(x, True, True, True), x, grad=False)
      for x in (IS, ONE, EMPTY, NAN[[0, 1, 3, 4, 6]], ints(3, 4, high=2))),
    *(row("sort", lambda m, x, k=k: m.unique(x, True, True, True, axis=k), ROWS, grad=False,
          symbolic=False) for k in (0, 1)),
    row("sort", lambda m, x: m.unique(x, axis=1), ints(2, 4, 2, high=1), symbolic=False),
    *(row("sort", lambda m, x, f=f: getattr(m, f)(x), NAN, grad=False)
      for f in ("unique_values", "unique_counts")),
    *(row("sort", lambda m, x, f=f: tuple(getattr(m, f)(x)), IS)
      for f in ("unique_inverse", "unique_all")),
    *(row("sort", lambda m, x, y, f=f: getattr(m, f)(x, y), x, y)
      for f in ("union1d", "intersect1d", "setdiff1d", "setxor1d")
      for x, y in ((IS, ints(5, low=2, high=6)), (EMPTY, ONE), (IS, IS))),
    row("sort", lambda m, x, y: m.intersect1d(x, y, return_indices=True), IS,
        ints(5, low=2, high=6)),
    row("sort", lambda m, x, y: m.setdiff1d(x, y, assume_unique=True), V, V[::2], grad=False),
]  # fmt: skip

# sizes that tensors tell --------------------------------------------------------------------------

COUNTS = np.array([2, 0, 1, 3, 0, 1])
SAMPLES += [
    *(row("size_from", lambda m, n: m.arange(n), np.array(k)) for k in (5, 0, -3)),
    *(row("size_from", lambda m, n, s=s: m.arange(n, 12, s), np.array(k))
      for k in (5, 20) for s in (1, 3, -2)),
    row("size_from", lambda m, x: m.arange(0.5, x, 0.25), np.array(2.1), grad=False),
    *(row("size_from", lambda m, x, n: x[n:], V, np.array(k)) for k in (-9, -2, 0, 2, 9)),
    *(row("size_from", lambda m, x, n: x[:n], V, np.array(k)) for k in (-9, -2, 0, 2, 9)),
    *(row("size_from", lambda m, x, n: x[n::-2], V, np.array(k)) for k in (-9, -2, 0, 2, 9)),
    *(row("size_from", lambda m, x, n: x[4:n:-1], V, np.array(k)) for k in (-9, -2, 0, 2, 9)),
    row("size_from", lambda m, x, n, k: x[1, k:n:2], A, np.array(4), np.array(1)),
    row("size_from", lambda m, x, c: m.repeat(x, c), V, COUNTS),
    row("size_from", lambda m, x, c: m.repeat(x, c, axis=0), A, COUNTS[:3]),
    *(row("size_from", lambda m, x, n=n: m.bincount(x, minlength=n), x)
      for x in (IS, np.zeros(0, "int64")) for n in (0, 9)),
    row("size_from", lambda m, x, w: m.bincount(x, w), IS, array(7), grad=False),
]  # fmt: skip
