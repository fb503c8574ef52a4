"""Products with sparse matrices, linear systems, norms and sums."""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.operators import in_language
from symgraph.ir.types import Size, TensorType, normalize_axis
from symgraph.ops import reductions, sparse_ops
from symgraph.ops.arithmetic import absolute, sqrt
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.gathering import scatter
from symgraph.ops.operands import as_variable, promotable
from symgraph.ops.shape import moveaxis, reshape
from symgraph.ops.slicing import zeros
from symgraph.ops.sparse_making import converted_dtype, from_keys, tocsr
from symgraph.ops.sparse_variable import SparseVariable, as_sparse, is_sparse
from symgraph.ops.triangular import float_operand
from symgraph.scalar import product as times

__all__ = [
    "dot", "matmul", "mean", "norm", "sampling_dot", "sp_sum", "spsolve", "structured_dot", "sum",
    "trace", "true_dot", "usmm",
]  # fmt: skip


# products -----------------------------------------------------------------------------------------


@in_language("sparse.matmul")
def matmul(a: Any, b: Any) -> Any:
    """The matrix product, also written ``a @ b``; at least one operand is sparse.

    Sparse [n, m] with dense [m], [m, k] or [.., m, k], and the reverse, is dense; gradients by the
    sparse operand have its structure. Sparse with sparse is sparse, in the format of a: where its
    elements are depends on data, which SciPy finds between two parts of the program.

    Raises ShapeError for sizes that differ, RankError for scalars.

    >>> import scipy.sparse, symgraph as sg
    >>> A = scipy.sparse.csr_array([[0.0, 2.0], [1.0, 0.0]])
    >>> sg.sparse.matmul(A, [3.0, 4.0]).eval().tolist()
    [8.0, 3.0]
    >>> sg.sparse.matmul(A, A).toarray().eval().tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    if is_sparse(a) and is_sparse(b):
        return _sparse_sparse(as_sparse(a), as_sparse(b))
    if is_sparse(a):
        return _sparse_dense(as_sparse(a), as_variable(b))
    if is_sparse(b):
        return _dense_sparse(as_variable(a), as_sparse(b))
    raise ArgumentError("sparse.matmul: no operand is sparse", hint="sg.matmul multiplies tensors")


def dot(a: Any, b: Any) -> Any:
    """The matrix product, see :func:`matmul`."""
    return matmul(a, b)


def structured_dot(a: Any, b: Any) -> Any:
    """Theano's word for :func:`matmul`, whose gradients always have the structure of the matrix."""
    return matmul(a, b)


def true_dot(a: Any, b: Any, grad_preserves_dense: bool = True) -> Any:
    """Theano's word for :func:`matmul`. Gradients by a sparse operand have its structure, which
    ``grad_preserves_dense`` does not change."""
    return matmul(a, b)


def _common(a: Any, b: Any) -> str:
    return dtypes.promote(promotable(a.data if isinstance(a, SparseVariable) else a),
                          promotable(b.data if isinstance(b, SparseVariable) else b))  # fmt: skip


def _inner(a: Any, b: Any, left: Size, right: Size) -> None:
    """Sizes that surely differ, with both operands named."""
    if isinstance(left, int) and isinstance(right, int) and left != right:
        pairs = [v.operand() if isinstance(v, SparseVariable) else
                 (v.label(), v.type.text(), v.origin) for v in (a, b)]  # fmt: skip
        raise ShapeError(f"matmul: inner sizes differ: {left} and {right}", operands=pairs)


def _sparse_dense(a: SparseVariable, x: Variable) -> Variable:
    if x.ndim == 0:
        raise RankError("matmul: an operand is a scalar", hint="the operator * scales a matrix")
    axis = 0 if x.ndim == 1 else x.ndim - 2
    _inner(a, x, a.shape[1], x.shape[axis])
    dtype = _common(a, x)
    a, x = converted_dtype(a, dtype), to_dtype(x, dtype)
    front = moveaxis(x, axis, 0) if axis else x
    rest = front.shape[1:]
    flat = front if x.ndim == 2 else reshape(front, (front.shape[0], times(rest)))
    indices, indptr = a.structure
    op = sparse_ops.SparseMatMul(a.format == "csc", a.minor)
    out = op(a.data, indices, indptr, flat)
    if x.ndim == 2:
        return out  # type: ignore[no-any-return]
    shaped = reshape(out, (a.shape[0], *rest))
    return moveaxis(shaped, 0, axis) if axis else shaped


def _dense_sparse(x: Variable, a: SparseVariable) -> Variable:
    """x A is the transposed A^T x^T."""
    if x.ndim == 0:
        raise RankError("matmul: an operand is a scalar", hint="the operator * scales a matrix")
    _inner(x, a, x.shape[-1], a.shape[0])
    if x.ndim == 1:
        return _sparse_dense(a.T, x)
    return _sparse_dense(a.T, x.swapaxes(-1, -2)).swapaxes(-1, -2)  # type: ignore[no-any-return]


def _sparse_sparse(a: SparseVariable, b: SparseVariable) -> SparseVariable:
    """Gustavson's algorithm, after the places of the result are known."""
    _inner(a, b, a.shape[1], b.shape[0])
    if a.format == "csc":  # (a b)^T = b^T a^T, all in rows
        return _sparse_sparse(b.T if b.format == "csc" else tocsr(b.T), a.T).T
    dtype = _common(a, b)
    a, b = converted_dtype(a, dtype), converted_dtype(tocsr(b), dtype)
    shape = a.shape[0], b.shape[1]
    keys = sparse_ops.product_keys(*a.structure, *b.structure, minor=shape[1])
    found = from_keys("csr", shape, keys, keys, a.indices.dtype)
    op = sparse_ops.SampledProduct(a.minor, shape[1])
    data = op(a.data, *a.structure, b.data, *b.structure, *found.structure)
    return found.with_data(data)


def sampling_dot(x: Any, y: Any, p: Any) -> SparseVariable:
    """p * (x y^T) for dense x [n, k], y [m, k] and a sparse p [n, m], computed where p has
    elements only.

    >>> import scipy.sparse, symgraph as sg
    >>> p = scipy.sparse.csr_array([[0.0, 2.0], [1.0, 0.0]])
    >>> sg.sparse.sampling_dot([[1.0], [2.0]], [[3.0], [4.0]], p).toarray().eval().tolist()
    [[0.0, 8.0], [6.0, 0.0]]
    """
    a, left, right = as_sparse(p), as_variable(x), as_variable(y)
    if left.ndim != 2 or right.ndim != 2:
        raise RankError("sampling_dot: x and y are matrices")
    dtype = dtypes.promote(left.dtype, right.dtype)
    first, second = to_dtype(left, dtype), to_dtype(right, dtype)
    if a.format == "csc":
        first, second = second, first
    data = sparse_ops.SampledDot(a.minor)(*a.structure, first, second)
    return a.with_data(a.data * data)


def usmm(alpha: Any, x: Any, y: Any, z: Any) -> Variable:
    """alpha * (x @ y) + z for a sparse x and dense y and z.

    >>> import scipy.sparse, symgraph as sg
    >>> x = scipy.sparse.csr_array([[0.0, 2.0]])
    >>> sg.sparse.usmm(2.0, x, [[1.0], [3.0]], [[1.0]]).eval().tolist()
    [[13.0]]
    """
    return as_variable(z) + alpha * matmul(x, y)  # type: ignore[no-any-return]


# systems ------------------------------------------------------------------------------------------


def spsolve(a: Any, b: Any) -> Variable:
    """x with a x = b for a sparse square a [n, n] and a dense b [n] or [n, k], by SciPy's sparse
    LU factorisation (SuperLU), which the program calls. The derivative is another system with the
    transposed matrix.

    Raises LinAlgError (SG302) when the function runs and a is singular.

    >>> import scipy.sparse, symgraph as sg
    >>> A = scipy.sparse.csr_array([[0.0, 2.0], [4.0, 0.0]])
    >>> sg.sparse.spsolve(A, [2.0, 8.0]).eval().tolist()
    [2.0, 1.0]
    """
    m, right = as_sparse(a), as_variable(b)
    n, k = m.shape
    if isinstance(n, int) and isinstance(k, int) and n != k:
        raise ShapeError(f"spsolve: the matrix is not square: {n} and {k}", operands=[m.operand()])
    if right.ndim not in (1, 2):
        raise RankError(f"spsolve: b is a vector or a matrix, not {right.type.text()}")
    right = float_operand(right, "spsolve") if not dtypes.is_inexact(right.dtype) else right
    dtype = dtypes.promote(_common(m, right), "float32")
    m = converted_dtype(m, dtype)
    given = to_dtype(right, dtype)
    flat = sparse_ops.column(given) if right.ndim == 1 else given
    x = sparse_ops.SparseSolve(m.format == "csc")(m.data, *m.structure, flat)
    return reshape(x, right.shape) if right.ndim == 1 else x  # type: ignore[no-any-return]


# sums ---------------------------------------------------------------------------------------------


@in_language("sparse.sum")
def sum(a: Any, axis: int | None = None) -> Variable:
    """The sum of all elements, or of each column (``axis=0``) or row (``axis=1``), dense.

    >>> import scipy.sparse, symgraph as sg
    >>> sg.sparse.sum(scipy.sparse.csr_array([[0.0, 2.0], [1.0, 3.0]]), axis=0).eval().tolist()
    [1.0, 5.0]
    """
    m = as_sparse(a)
    if axis is None:
        return reductions.sum(m.data)
    k = normalize_axis(axis, 2, "sum: axis")
    data = m.data
    if dtypes.is_int(data.dtype):
        data = cast(data, "uint64" if dtypes.kind(data.dtype) == "u" else "int64")
    place = m.places()[1 - k]
    return scatter("add", (0,), zeros(TensorType(data.dtype, (m.shape[1 - k],))), data, (place,))


def sp_sum(x: Any, axis: int | None = None, sparse_grad: bool = False) -> Variable:
    """Theano's word for :func:`sum`; the gradient has the structure of x in any case."""
    return sum(x, axis)


@in_language("sparse.mean")
def mean(a: Any, axis: int | None = None) -> Variable:
    """The mean of all elements, those that are not stored included, or along an axis."""
    m = as_sparse(a)
    count = times(m.shape) if axis is None else m.shape[normalize_axis(axis, 2, "mean: axis")]
    return sum(m, axis) / as_variable(count)  # type: ignore[no-any-return]


@in_language("sparse.trace")
def trace(a: Any) -> Variable:
    """The sum of the diagonal."""
    m = as_sparse(a)
    rows, columns = m.places()
    return reductions.sum(cast(rows == columns, m.dtype) * m.data)


def norm(a: Any, ord: Any = None) -> Variable:
    """The norm of a matrix: Frobenius (None, "fro"), the greatest sum of absolute values of a
    column (1) or of a row (inf).

    >>> import scipy.sparse, symgraph as sg
    >>> sg.sparse.norm(scipy.sparse.csr_array([[0.0, 3.0], [4.0, 0.0]])).eval().item()
    5.0
    """
    m = as_sparse(a)
    size = absolute(m.data)
    if ord in (None, "fro"):
        return sqrt(reductions.sum(size * size))  # type: ignore[no-any-return]
    if ord not in (1, float("inf")):
        raise ArgumentError(f"sparse.norm: ord is None, 'fro', 1 or inf, not {ord!r}")
    return reductions.max(sum(m.with_data(size), 0 if ord == 1 else 1))
