"""Rows for padding, assembling, grids, choosing and replacing elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import api
from tests.ops.samples import Sample, array, ints
from tests.ops.samples_stats import row

A, B, V = array(3, 4), array(2, 3, 4, seed=1), array(5, seed=2)
I8 = ints(2, 3, dtype="int8")
ONE, EMPTY = np.array([2.5]), np.ones((0, 3))

# padding ------------------------------------------------------------------------------------------

REPEATING = ("edge", "reflect", "symmetric", "wrap")
WALLS = ("maximum", "minimum", "mean", "median")

SAMPLES: list[Sample] = [
    *(
        row("pad", lambda m, x, k=k, w=w: m.pad(x, w, mode=k), x)
        for k in REPEATING
        for x, w in ((A, ((1, 2), (3, 0))), (V, (11, 9)), (ONE, 2), (I8, ((0, 0), (2, 5))))
    ),
    *(row("concatenate", lambda m, x, k=k: m.pad(x, (1, 2), mode=k), A) for k in WALLS),
    row("concatenate", lambda m, x: m.pad(x, 2, mode="mean"), I8),
    row("concatenate", lambda m, x: m.pad(x, (2, 3), mode="linear_ramp", end_values=(5, -4)), A),
    row("concatenate", lambda m, x: m.pad(x, 2, mode="linear_ramp"), ints(3, 2)),
    row("concatenate", lambda m, x: m.pad(x, 1, constant_values=((1, 2), (3, 4))), A),
    row("embed", lambda m, x: m.pad(x, {1: (1, 2)}), A),
    row("slice_update", lambda m, x: m.pad(x, ((1, 0), (0, 2)), constant_values=7), I8),
]

# joined and taken apart ---------------------------------------------------------------------------

SAMPLES += [
    row("expand_dims", lambda m, x, y: m.atleast_1d(x, y), np.array(2.0), V),
    row("expand_dims", lambda m, x, y: m.atleast_2d(x, y), np.array(2.0), V),
    *(row("expand_dims", lambda m, x: m.atleast_3d(x), x) for x in (np.array(1.0), V, A, B)),
    row("flip", lambda m, x: m.flipud(x), A),
    row("flip", lambda m, x: m.fliplr(x), A),
    *(row("flip", lambda m, x, k=k: m.rot90(x, k, axes=(2, 0)), B) for k in (-1, 0, 1, 2, 3)),
    row("transpose", lambda m, x: m.rollaxis(x, 2), B),
    row("transpose", lambda m, x: m.rollaxis(x, 0, 3), B),
    row("transpose", lambda m, x: m.matrix_transpose(x), B),
    Sample("reshape", lambda x: api.join_dims(x, 1, 2), lambda x: x.reshape(2, 12), (B,)),
    Sample("reshape", lambda x: api.split_dims(x, (2, -1), 2), lambda x: x.reshape(2, 3, 2, 2),
           (B,), symbolic=False),
    Sample("broadcast_to", lambda x: api.specify_shape(x, (None, 4)) + 0, lambda x: x, (A,)),
    row("concatenate", lambda m, x, y: m.dstack((x, y)), A, A[::-1]),
    row("concatenate", lambda m, x, y: m.column_stack((x, y)), V, array(5, 2)),
    row("concatenate", lambda m, x, y: m.block([[x, x], [y]]), A, array(2, 8)),
    row("concatenate", lambda m, x: m.block([x, 2 * x]), V),
    row("concatenate", lambda m, x, y: m.append(x, y), A, V),
    row("concatenate", lambda m, x, y: m.append(x, y, axis=0), A, A),
    *(row("concatenate", lambda m, x, k=k: m.insert(x, *k), x, symbolic=False) for x, k in (
        (A, (1, 9.0, 1)), (V, (-2, [1.0, 2.0])), (A, ([0, 3, 1], [[1.0, 2, 3]], 1)),
        (A, (1, [1.0, 2, 3, 4], 0)), (ints(4), (slice(1, 3), 7)), (A, ([2], [[1.0], [2], [3]], 1)),
    )),
    *(row("gather", lambda m, x, k=k: m.delete(x, *k), x, symbolic=False) for x, k in (
        (A, (1, 0)), (A, ([0, -1], 1)), (V, (slice(None, None, 2),)), (A, ([],)),
        (V, (np.array([True, False, True, True, False]),)),
    )),
    row("gather", lambda m, x: m.compress([True, False, True], x, axis=0), A, symbolic=False),
    row("gather", lambda m, x: m.compress([False, True, True, False, True], x), A, symbolic=False),
    *(row("reshape", lambda m, x, s=s: m.resize(x, s), A) for s in ((2, 3), (5, 5), (7,))),
    *(row("slice", lambda m, x, n=n: m.array_split(x, n), V) for n in (1, 2, 3, 7, [1, 4])),
    row("slice", lambda m, x: m.array_split(x, 3, axis=1), A),
    row("slice", lambda m, x: m.vsplit(x, [1]), A), row("slice", lambda m, x: m.hsplit(x, 2), A),
    row("slice", lambda m, x: m.dsplit(x, 2), B),
    row("slice", lambda m, x: m.unstack(x, axis=1), B, symbolic=False),
]  # fmt: skip

# grids --------------------------------------------------------------------------------------------

X, Y, Z = array(2), array(3, seed=1), ints(2)
SAMPLES += [
    *(row("broadcast_to", lambda m, x, y, z, o=o: m.meshgrid(x, y, z, **o), X, Y, Z, grad=False)
      for o in ({}, {"indexing": "ij"}, {"sparse": True})),
    row("broadcast_to", lambda m, x: m.meshgrid(x), X),
    row("iota", lambda m: m.mgrid[0:3, 1:2:0.5]), row("iota", lambda m: m.mgrid[-1:1:5j]),
    row("iota", lambda m: list(m.ogrid[0:3, 1:4])),
    row("iota", lambda m: m.indices((2, 3))), row("iota", lambda m: m.indices((2, 3), sparse=True)),
    row("gather", lambda m, x: x[m.ix_([2, 0], [1, 1, 3])], A, symbolic=False),
    row("iota", lambda m: m.fromfunction(lambda i, j: i * j, (2, 3))),
    row("gather", lambda m, x: x[m.tril_indices(3, -1)], array(3, 3), symbolic=False),
    row("gather", lambda m, x: x[m.triu_indices(3, 1, 4)], A, symbolic=False),
    row("gather", lambda m, x: x[m.diag_indices(3)], A, symbolic=False),
    row("remainder", lambda m, i: m.unravel_index(i, (2, 3, 4)), ints(5, low=0, high=24)),
    row("multiply", lambda m, i, j: m.ravel_multi_index((i, j), (7, 6)), ints(4, low=0, high=6),
        ints(4, low=0, high=6, seed=3)),
    row("multiply", lambda m, i, j: m.ravel_multi_index((i, j), (7, 6), mode="clip"), ints(4),
        ints(4)),
    row("multiply", lambda m, i, j: m.ravel_multi_index((i, j), (7, 6), mode="wrap"), ints(4),
        ints(4)),
    row("power", lambda m: m.logspace(0, 3, 7)),
    row("power", lambda m: m.logspace(1, 2, 3, base=2.0)),
    row("power", lambda m: m.geomspace(1, 1000, 4)),
    row("power", lambda m: m.geomspace(-1, -16, 5, endpoint=False)),
    row("power", lambda m, x: m.vander(x), V),
    row("power", lambda m, x: m.vander(x, 3, True), ints(3)),
]  # fmt: skip

# choosing and replacing ---------------------------------------------------------------------------

PICK = np.array([[2, 0, 1, 1], [0, 0, 2, 1], [1, 2, 2, 0]])
MASK = A > 0.3


def _in_place(name: str, *extra: Any, **options: Any) -> Any:
    """A function of NumPy that changes its first operand."""

    def call(m: Any, x: Any, *more: Any) -> Any:
        if m is api:
            return getattr(m, name)(x, *extra, *more, **options)
        x = np.array(x)
        getattr(np, name)(x, *extra, *more, **options)
        return x

    return call


def _ufunc_at(key: Any, mode: str, ufunc: Any, v: Any, x: Any = B) -> Sample:
    def change(x: Any, v: Any) -> Any:
        out = x.copy()
        ufunc.at(out, key, v)
        return out

    return Sample("scatter", lambda x, v: getattr(x.at[key], mode)(v), change, (x, v))


TWICE = np.array([1, 0, 1])
SAMPLES += [
    row("gather", lambda m, i, x: m.choose(i, [x, 2 * x, 7.0]), PICK, A),
    row("gather", lambda m, i, x: m.choose(i, x, mode="wrap"), PICK - 4, array(3, 1, 4),
        symbolic=False),
    row("gather", lambda m, i, x: m.choose(i, x, mode="clip"), PICK * 3 - 2, array(3, 3, 4),
        symbolic=False),
    row("where", lambda m, x: m.select([x < 0, x < 1], [x, x * x], 5.0), A),
    row("where", lambda m, x: m.select([x < 0], [2]), A),
    row("where", lambda m, x: m.piecewise(x, [x < 0, x > 1], [lambda v: -v, 2.0,
        lambda v: v * v]), A),
    row("scatter", _in_place("put", [1, -1, 5], [7.0, 8.0]), A),
    row("scatter", _in_place("put", [13, -20], 1.5, mode="wrap"), A),
    row("scatter", _in_place("put_along_axis", PICK[:, :1], 9.0, 1), A),
    row("where", _in_place("putmask", MASK, [1.0, 2.0]), A, symbolic=False),
    row("where", _in_place("place", MASK, [1.0, 2.0, 3.0]), A, symbolic=False),
    row("where", _in_place("copyto", 4.0), A, symbolic=False),
    row("where", _in_place("fill_diagonal", 4.0), A),
    row("where", _in_place("fill_diagonal", 4.0), array(3, 3, 3)),
    row("where", _in_place("fill_diagonal", [1.0, 2.0], True), array(7, 3)),
    *(row("gather", lambda m, x, i, k=k: m.take(x, i, 1, mode=k), A, ints(2, 3, low=-20, high=20))
      for k in ("wrap", "clip")),
    row("gather", lambda m, x: m.take(x, [-30, 30], mode="clip"), A),
    *(_ufunc_at((TWICE,), mode, ufunc, array(3, 3, 4, seed=9)) for mode, ufunc in (
        ("multiply", np.multiply), ("min", np.minimum), ("max", np.maximum),
        ("subtract", np.subtract), ("divide", np.divide))),
    _ufunc_at((slice(None), TWICE, slice(1, 3)), "multiply", np.multiply, np.array(0.0)),
    _ufunc_at((0, slice(None, None, 2)), "max", np.maximum, array(4, seed=5)),
    _ufunc_at((TWICE,), "multiply", np.multiply, np.array([[0.0], [2.0], [3.0]]), A),
    _ufunc_at((TWICE,), "min", np.minimum, ints(3, 3, dtype="int8"), I8),
    _ufunc_at((MASK,), "multiply", np.multiply, np.array(0.5), A),
]  # fmt: skip

# NumPy's other names ------------------------------------------------------------------------------

P, R = array(4, seed=6), array(2, seed=7)
SAMPLES += [
    row("matmul", lambda m, a, x: m.matvec(a, x), B, array(4)),
    row("matmul", lambda m, x, a: m.vecmat(x, a), array(3), B),
    row("sum", lambda m, x, y: m.vdot(x, y), A, A[::-1]),
    row("diagonal_embed", lambda m, x: m.diagflat(x, 1), A),
    row("logaddexp", lambda m, x, y: m.logaddexp2(x, y), A, A[:1]),
    row("cumsum", lambda m, x: m.cumulative_sum(x, axis=1, include_initial=True), A),
    row("cumprod", lambda m, x: m.cumulative_prod(x, axis=0, include_initial=True), A),
    row("sum", lambda m, x: m.apply_over_axes(m.sum, x, [0, 2]), B),
    *(row("searchsorted", lambda m, x, y, i=i: m.isin(x, y, invert=i), x, y)
      for i in (False, True) for x, y in ((I8, ints(4, dtype="int8")), (A, A[0]), (I8, EMPTY))),
    *(row("cumsum", lambda m, x, k=k: m.unwrap(x * 3, axis=k), A, grad=False) for k in (0, 1)),
    row("cumsum", lambda m, x: m.unwrap(x, period=5), V, grad=False),
    *(row("iota", lambda m, k=k, n=n: getattr(m, k)(n)) for n in (0, 1, 2, 7)
      for k in ("bartlett", "hanning", "hamming", "blackman")),
    *(row("bitwise_and", lambda m, x, k=k, o=o: m.unpackbits(x, axis=k, bitorder=o),
          I8.astype("uint8")) for k in (None, 0, 1) for o in ("big", "little")),
    *(row("sum", lambda m, x, k=k, o=o: m.packbits(x, axis=k, bitorder=o), ints(3, 19, high=2,
        low=0))
      for k in (None, 0, 1) for o in ("big", "little")),
    row("gather", lambda m, x: x[m.tril_indices_from(x)], A, symbolic=False),
    row("gather", lambda m, x: x[m.triu_indices_from(x, 1)], A, symbolic=False),
    row("gather", lambda m, x: x[m.diag_indices_from(x)], array(3, 3)),
    row("subtract", lambda m, x: m.poly(x), V, symbolic=False),
    row("subtract", lambda m, u, v: m.polydiv(u, v), P, R, symbolic=False),
    row("subtract", lambda m, u, v: m.polydiv(u, v), V, array(3), symbolic=False),
    row("concatenate", lambda m, x: m.bmat([[x, x]]) * 1.0, A),
    row("trunc", lambda m, x: m.fix(x), A, grad=False),
]  # fmt: skip
SAMPLES += [
    row("svd", lambda m, x, y: m.polyfit(x, y, 2), V, V[::-1] * V, grad=False),
    row("svd", lambda m, x, y: m.polyfit(x, y, 1, w=[1, 2, 1, 1, 3]), V, array(5, 2), grad=False),
]
