"""Rows for the ops of sparse matrices, which work on the three arrays of a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from symgraph.ops import sparse, sparse_ops
from symgraph.scalar import as_expr
from tests.ops.samples import Sample, array

MATRIX = scipy.sparse.csr_array(np.array([[0.0, 2.0, 0, -1], [0, 0, 0, 0], [1.5, 0, 3, 0.5]]))
OTHER = scipy.sparse.csr_array(np.array([[0.0, 2.0], [1.0, 0.5], [-1.0, 0.0], [3.0, 0.0]]))
SQUARE = scipy.sparse.csr_array(np.array([[4.0, 1.0, 0], [0, 3.0, -1], [2.0, 0, 5.0]]))
EMPTY = scipy.sparse.csr_array((3, 4))
B, TALL, LEFT = array(4, 2), array(3, 2, seed=1), array(3, 2, seed=2)


def parts(m: Any) -> tuple[Any, Any, Any]:
    return m.data, m.indices, m.indptr


def _matrix(arrays: Any, shape: Any) -> Any:
    return scipy.sparse.csr_array(arrays, shape=shape)


def _rows(indptr: Any) -> Any:
    return as_expr(indptr.shape[0]) - 1


def _product(transposed: bool, m: Any, b: Any, minor: int | None = None) -> Sample:
    def build(data: Any, indices: Any, indptr: Any, b: Any) -> Any:
        size = b.shape[0] if minor is None else minor
        return sparse_ops.SparseMatMul(transposed, size)(data, indices, indptr, b)

    def reference(data: Any, indices: Any, indptr: Any, b: Any) -> Any:
        whole = _matrix((data, indices, indptr), (len(indptr) - 1, minor or len(b)))
        return (whole.T if transposed else whole) @ b

    return Sample("sparse_matmul", build, reference, (*parts(m), b))


def _sampled_dot(m: Any, left: Any, right: Any) -> Sample:
    def build(indices: Any, indptr: Any, left: Any, right: Any) -> Any:
        return sparse_ops.SampledDot(right.shape[0])(indices, indptr, left, right)

    def reference(indices: Any, indptr: Any, left: Any, right: Any) -> Any:
        rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        return np.einsum("pk,pk->p", left[rows], right[indices])

    return Sample("sampled_dot", build, reference, (*parts(m)[1:], left, right))


def _times(function: Any) -> Any:
    """A function of two sparse matrices given by their parts."""

    def build(*xs: Any) -> Any:
        a = sparse.CSR(*xs[:3], (_rows(xs[2]), _rows(xs[5])))
        return function(a, sparse.CSR(*xs[3:], (_rows(xs[5]), 2)))

    def reference(*xs: Any) -> Any:
        k = len(xs[5]) - 1
        return function(_matrix(xs[:3], (len(xs[2]) - 1, k)), _matrix(xs[3:], (k, 2)))

    return build, reference


def _solved(transposed: bool) -> Sample:
    def build(data: Any, indices: Any, indptr: Any, b: Any) -> Any:
        return sparse_ops.SparseSolve(transposed)(data, indices, indptr, b)

    def reference(data: Any, indices: Any, indptr: Any, b: Any) -> Any:
        a = _matrix((data, indices, indptr), (3, 3)).toarray()
        return np.linalg.solve(a.T if transposed else a, b)

    return Sample("sparse_solve", build, reference, (*parts(SQUARE), TALL))


_BUILD, _REFERENCE = _times(lambda a, b: (a @ b).toarray())

SAMPLES: list[Sample] = [
    Sample("checked_indices", lambda i, p: sparse_ops.CheckedIndices(4)(i, p) + 1,
           lambda i, p: i + np.int32(1), parts(MATRIX)[1:]),
    *(Sample("element_rows", lambda i, p: sparse_ops.ElementRows(i.shape[0])(p) + i,
             lambda i, p: np.repeat(np.arange(len(p) - 1), np.diff(p)) + i, parts(m)[1:])
      for m in (MATRIX, OTHER, EMPTY)),
    *(_product(False, m, b) for m in (MATRIX, EMPTY) for b in (B, B[:, :1], B[:, :0])),
    *(_product(True, m, b, 4) for m in (MATRIX, EMPTY) for b in (TALL, TALL[:, :1])),
    _product(False, MATRIX.astype("float32"), B.astype("float32")),
    _product(True, MATRIX.astype("complex128"), TALL * 1j, 4),
    *(_sampled_dot(m, left, right) for m in (MATRIX, EMPTY)
      for left, right in ((LEFT, B), (LEFT[:, :1], B[:, :1]))),
    Sample("product_keys", _BUILD, _REFERENCE, (*parts(MATRIX), *parts(OTHER))),
    Sample("sampled_product", _BUILD, _REFERENCE, (*parts(EMPTY), *parts(OTHER))),
    _solved(False), _solved(True),
]  # fmt: skip
