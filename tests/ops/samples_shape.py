"""Rows for the ops of shape, joining, slicing, indexing, products and control."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph.ir.graph import constant
from symgraph.ops import contraction, cumulative, indexing, joining, matrix, shape, slicing
from tests.ops.samples import Sample, array, ints

A, B, C = array(2, 3), array(3, 4, 2, seed=1), array(3, 2, 4, seed=2)
S, SQUARE, V = array(seed=3), array(3, 3, seed=4), array(4, seed=5)
EMPTY = np.ones((0, 3))


def _sample(op: str, build: Any, reference: Any, *arrays: Any, **options: Any) -> Sample:
    return Sample(op, build, reference, arrays, **options)


def _both(op: str, function: Any, *arrays: Any, **options: Any) -> Sample:
    """A row whose function works on tensors and on arrays alike."""
    return Sample(op, function, function, arrays, **options)


# shape --------------------------------------------------------------------------------------------

SAMPLES: list[Sample] = [
    _both("reshape", lambda x: x.reshape(3, -1), B),
    _both("reshape", lambda x: x.reshape(-1), ints(2, 3)),
    _both("reshape", lambda x: x.reshape(()), np.array([2.0])),
    _both("reshape", lambda x: x.reshape(3, 0), EMPTY, symbolic=False),
    _sample("reshape", shape.ravel, np.ravel, B),
    _sample("transpose", shape.transpose, np.transpose, B),
    _both("transpose", lambda x: x.T, A),
    _both("transpose", lambda x: x.transpose(2, 0, 1), B),
    _both("transpose", lambda x: x.swapaxes(0, -1), B),
    _sample("transpose", lambda x: shape.moveaxis(x, 0, 1), lambda x: np.moveaxis(x, 0, 1), B),
    _sample(
        "expand_dims", lambda x: shape.expand_dims(x, (0, -1)),
        lambda x: np.expand_dims(x, (0, -1)), A,
    ),
    _sample("expand_dims", lambda x: shape.expand_dims(x, 0), lambda x: np.expand_dims(x, 0), S),
    _sample("squeeze", shape.squeeze, np.squeeze, array(2, 1, 3, 1)),
    _both("squeeze", lambda x: x.squeeze(-1), array(2, 1)),
    _sample(
        "broadcast_to", lambda x: shape.broadcast_to(x, (4, 2, 3)),
        lambda x: np.broadcast_to(x, (4, 2, 3)), array(2, 1), symbolic=False,
    ),
    _sample(
        "broadcast_to", lambda x, y: shape.broadcast_arrays(x, y),
        lambda x, y: np.broadcast_arrays(x, y), array(2, 1), array(3), grad=False,
    ),
    _sample("flip", shape.flip, np.flip, B),
    _sample("flip", lambda x: shape.flip(x, (0, 2)), lambda x: np.flip(x, (0, 2)), B),
    _sample("tile", lambda x: shape.tile(x, 3), lambda x: np.tile(x, 3), A),
    _sample("tile", lambda x: shape.tile(x, (2, 1, 2)), lambda x: np.tile(x, (2, 1, 2)), A),
    _both("repeat", lambda x: x.repeat(2, 1), A),
    _sample("repeat", lambda x: shape.repeat(x, 3), lambda x: np.repeat(x, 3), A),
    _both("gather", lambda x: x.repeat([2, 0, 1], 1), A, symbolic=False),
]  # fmt: skip


# joining and slicing ------------------------------------------------------------------------------


def _joined(function: Any, **options: Any) -> Any:
    return lambda *xs: function(xs, **options)


SAMPLES += [
    _sample(
        "concatenate", _joined(joining.concatenate, axis=1), _joined(np.concatenate, axis=1),
        A, array(2, 1, seed=7), array(2, 4, seed=8),
    ),
    _sample("concatenate", _joined(joining.concatenate), _joined(np.concatenate), A, EMPTY),
    _sample("concatenate", _joined(joining.concatenate, axis=None),
            _joined(np.concatenate, axis=None), A, V),
    _sample("concatenate", _joined(joining.concatenate), _joined(np.concatenate), V, ints(2)),
    _sample("concatenate", _joined(joining.stack, axis=1), _joined(np.stack, axis=1), A, -A, A),
    _sample("concatenate", _joined(joining.vstack), _joined(np.vstack), V, array(2, 4)),
    _sample("concatenate", _joined(joining.hstack), _joined(np.hstack), V, V),
    _sample("slice", lambda x: joining.split(x, 2, 1), lambda x: np.split(x, 2, 1), B),
    _sample("slice", lambda x: joining.split(x, [1, 3], 1), lambda x: np.split(x, [1, 3], 1), B),
    _sample("embed", lambda x: joining.pad(x, ((1, 2), (0, 1))),
            lambda x: np.pad(x, ((1, 2), (0, 1))), A),
    _sample("embed", lambda x: joining.pad(x, 1), lambda x: np.pad(x, 1), ints(2, 3)),
    _sample("slice_update", lambda x: joining.pad(x, (2, 1), constant_values=1.5),
            lambda x: np.pad(x, (2, 1), constant_values=1.5), A),
    _both("slice", lambda x: x[1], B),
    _both("slice", lambda x: x[-1, ..., 0], B),
    _both("slice", lambda x: x[1:, ::2], B),
    _both("slice", lambda x: x[::-1, -3:-1, None], B),
    _both("slice", lambda x: x[5:, 3:0:-2], B),
    _both("slice", lambda x: x[1:] - x[:-1], V),
]  # fmt: skip


# indices ------------------------------------------------------------------------------------------

FIRST, SECOND = np.array([2, -3, 0, 2]), np.array([[1], [-1]])
ALONG = ints(3, 2, 2, low=-4, high=4)


def _changed(key: Any, mode: str) -> Any:
    def change(x: Any, v: Any) -> Any:
        out = x.copy()
        if mode == "add":
            np.add.at(out, key, v)
        else:
            out[key] = v
        return out

    return change


def _at(op: str, key: Any, mode: str, v: Any, **options: Any) -> Sample:
    return Sample(
        op, lambda x, v: getattr(x.at[key], mode)(v), _changed(key, mode), (B, v), **options
    )


SAMPLES += [
    _both("gather", lambda x: x[FIRST], B, symbolic=False),
    _both("gather", lambda x, i: x[i], B, FIRST, grad=False),
    _both("gather", lambda x, i, j: x[i, j], B, FIRST, SECOND, grad=False),
    _both("gather", lambda x, i: x[:, i, 1], B, FIRST, grad=False),
    _both("gather", lambda x, i: x[0, :, i % 2], B, FIRST, grad=False),
    _both("gather", lambda x, i: x[:, None, i], B, SECOND),
    _both("gather", lambda x, i: x[i], B, np.array(1)),
    _sample("gather", lambda x, i: indexing.take(x, i, 1),
            lambda x, i: np.take(x, i, 1), B, SECOND),
    _both("gather", lambda x: x[np.array([True, False, True])], B, symbolic=False),
    _sample("take_along_axis", lambda x, i: indexing.take_along_axis(x, i, 1),
            lambda x, i: np.take_along_axis(x, i, 1), B, ALONG),
    _sample("take_along_axis", lambda x, i: indexing.take_along_axis(x, i, 1),
            lambda x, i: np.take_along_axis(x, i, 1), B, ALONG[:, :1]),
    _sample("take_along_axis", lambda x, i: indexing.take_along_axis(x, i, 1),
            lambda x, i: np.take_along_axis(x, i, 1), B, ALONG[:1]),
    _at("slice_update", (slice(1, None), 2), "set", array(2, 2)),
    _at("slice_update", (..., slice(None, None, -1)), "set", np.array(2.0)),
    _at("embed", (slice(None), slice(None, None, 3)), "add", array(3, 2, 2)),
    _at("scatter", (FIRST,), "add", array(4, 4, 2)),
    _at("scatter", (FIRST,), "set", array(4, 4, 2)),
    _at("scatter", (FIRST, slice(1, 3)), "add", array(4, 2, 2)),
    _at("scatter", (slice(None), SECOND, FIRST % 2), "set", array(3, 2, 4)),
    _at("scatter", (slice(None), FIRST), "add", np.array(0.5)),
]  # fmt: skip


# products and sums --------------------------------------------------------------------------------

M, N = array(3, 4, seed=9), array(4, 2, seed=10)

SAMPLES += [
    _both("matmul", lambda a, b: a @ b, M, N),
    _both("matmul", lambda a, b: a.T @ b, M, array(3, 2)),
    _both("matmul", lambda a, b: a @ b, M.astype("float32"), N.astype("float32"), grad=False),
    _both("matmul", lambda a, b: a @ b, M, V),
    _both("matmul", lambda a, b: a @ b, V, N),
    _both("sum", lambda a, b: a @ b, V, V),
    _both("matmul", lambda a, b: a @ b, B, array(2, 5)),
    _both("matmul", lambda a, b: a @ b, B, C),
    _both("matmul", lambda a, b: a @ b, array(2, 1, 3, 4), B),
    _both("sum", lambda a, b: a @ b, ints(3, 4, dtype="int8"), ints(4, 2, dtype="int8")),
    _both("any", lambda a, b: a @ b, M > 1, N > 1),
    _sample("matmul", contraction.dot, np.dot, M, B),
    _sample("matmul", contraction.inner, np.inner, M, V),
    _sample("multiply", matrix.outer, np.outer, A, V),
    _sample("sum", lambda a, b: matrix.vecdot(a, b, 0), lambda a, b: (a * b).sum(0), A, -A),
    _sample("matmul", lambda a, b: contraction.tensordot(a, b, ([0, 2], [0, 1])),
            lambda a, b: np.tensordot(a, b, ([0, 2], [0, 1])), B, C),
    *(
        _sample("matmul", lambda *xs, s=s: contraction.einsum(s, *xs),
                lambda *xs, s=s: np.einsum(s, *xs), *xs)
        for s, xs in [
            ("ij,jk", (M, N)), ("ij,jk->ki", (M, N)), ("abc,acb->a", (B, C)), ("aa->a", (SQUARE,)),
            ("ab->", (A,)), ("ij,jk,k->i", (M, N, array(2))), ("...j,jk->...k", (B, array(2, 3))),
            ("ij,kj->ikj", (M, array(2, 4))), ("ij,ij->j", (A, A)), ("aa,ab->b", (SQUARE, M)),
        ]
    ),
    _sample("diagonal", matrix.diagonal, np.diagonal, SQUARE),
    _sample("diagonal", lambda x: matrix.diagonal(x, -1, 2, 1),
            lambda x: np.diagonal(x, -1, 2, 1), B),
    _sample("diagonal_embed", lambda x: matrix.diag(x, -2), lambda x: np.diag(x, -2), V),
    _sample("diagonal", matrix.trace, np.trace, M),
    _sample("cumsum", lambda x: cumulative.cumsum(x, 1), lambda x: np.cumsum(x, 1), B),
    _sample("cumsum", cumulative.cumsum, np.cumsum, ints(2, 3, dtype="int8")),
    _sample("cumsum", lambda x: slicing.zeros(x.type) + cumulative.CumSum(0, True)(x),
            lambda x: np.cumsum(x[::-1], 0)[::-1], A),
    _sample("broadcast_to", lambda: constant(1.0) + slicing.fill(constant([1.0, 2.0]).type, 2),
            lambda: np.full(2, 3.0)),
]  # fmt: skip
