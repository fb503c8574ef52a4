"""Sparse matrices from nothing, from parts, from lists of places, from dense ones, and back."""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError
from symgraph.ir import shared as _state
from symgraph.ir.graph import Input, Variable, checked_name
from symgraph.ir.operators import in_language
from symgraph.ir.shared import Shared
from symgraph.ir.types import Shape, TensorType, tensor_type
from symgraph.ops import sparse_border, sparse_ops
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.creation import full, iota
from symgraph.ops.data_sizes import Below, flat_positions
from symgraph.ops.gathering import scatter
from symgraph.ops.indexing import take
from symgraph.ops.nonzeros import truths
from symgraph.ops.operands import as_variable
from symgraph.ops.sets import unique
from symgraph.ops.shape import broadcast_to, ravel
from symgraph.ops.slicing import zeros
from symgraph.ops.sorting import argsort, searchsorted
from symgraph.ops.sparse_variable import SparseVariable, as_sparse, from_parts, held_by
from symgraph.scalar import as_expr, as_size, fresh_size

__all__ = [
    "CSC", "CSR", "SharedSparse", "as_sparse_variable", "coo", "csc_from_dense", "csc_matrix",
    "csr_from_dense", "csr_matrix", "eye", "shared", "square_diagonal", "toarray", "tocsc",
    "tocsr",
]  # fmt: skip


# inputs -------------------------------------------------------------------------------------------


def csr_matrix(
    name: str | None = None, dtype: Any = "float64", shape: Any = (None, None), *,
    nnz: Any = None, index_dtype: Any = "int32",
) -> SparseVariable:  # fmt: skip
    """An input of a compiled function: calls give a CSR matrix or array of scipy.sparse for it.

    Sizes in ``shape``, and ``nnz``, the number of stored elements, are ints, names or None.
    Elements of another dtype are converted where nothing is lost; rows that are not in order, or
    that hold a column twice, are put in order in a copy. ``index_dtype`` is "int32", SciPy's for
    matrices of fewer than 2**31 elements, or "int64".

    >>> import numpy as np, scipy.sparse, symgraph as sg
    >>> A, x = sg.sparse.csr_matrix("A", shape=("n", "m")), sg.vector("x", shape=("m",))
    >>> f = sg.compile([A, x], A @ x)
    >>> f(scipy.sparse.csr_array([[0.0, 2.0], [1.0, 0.0]]), np.array([3.0, 4.0]))
    array([8., 3.])
    """
    return _input("csr", name, dtype, shape, nnz, index_dtype)


def csc_matrix(
    name: str | None = None, dtype: Any = "float64", shape: Any = (None, None), *,
    nnz: Any = None, index_dtype: Any = "int32",
) -> SparseVariable:  # fmt: skip
    """An input that is a CSC matrix, see :func:`csr_matrix`."""
    return _input("csc", name, dtype, shape, nnz, index_dtype)


def _input(format: str, name: Any, dtype: Any, shape: Any, nnz: Any, index: Any) -> SparseVariable:
    kind, index, own = dtypes.as_dtype(dtype), dtypes.as_dtype(index), checked_name(name)
    if index not in ("int32", "int64"):
        raise ArgumentError(f"indices are int32 or int64, not {index}")
    sizes = tensor_type("bool", shape).shape
    if len(sizes) != 2:
        raise RankError(f"a sparse matrix has two axes, not {len(sizes)}")
    (count,) = tensor_type("bool", (nnz,)).shape
    major = sizes[0 if format == "csr" else 1]
    ends = as_size(as_expr(major) + 1)
    types = [TensorType(kind, (count,)), TensorType(index, (count,)), TensorType(index, (ends,))]
    label = own or "sparse"
    parts = [
        Input(t, f"{label}.{n}" if own else None)
        for t, n in zip(types, ("data", "indices", "indptr"), strict=True)
    ]
    known = all(isinstance(n, int) for n in sizes)
    extent = None if known else Input(TensorType("bool", (*sizes, 0)), own)
    return SparseVariable(format, sizes, *parts, own, extent)


# state and constants ------------------------------------------------------------------------------


class SharedSparse(SparseVariable):
    """A sparse matrix that lives across calls; its parts are shared variables."""

    __slots__ = ()

    def get_value(self, borrow: bool = False) -> Any:
        """The present value as a SciPy array."""
        arrays = [p.get_value(borrow) for p in (self.data, self.indices, self.indptr)]  # type: ignore[attr-defined]
        return sparse_border.write(self.layout, self.shape, arrays)  # type: ignore[arg-type]

    def set_value(self, value: Any) -> None:
        """Replace the value, also by one of another structure. Raises InputValueError."""
        arrays = sparse_border.read(self.layout, value, self.label())
        for part, array in zip((self.data, self.indices, self.indptr), arrays, strict=True):
            part.set_value(array)  # type: ignore[attr-defined]


def shared(value: Any, name: str | None = None) -> SharedSparse:
    """State from a matrix of scipy.sparse (copied). Its shape is fixed, its structure is not.

    ``updates={A: B}`` replaces it by a matrix of the same format; where B has the structure of A
    only the elements are written. ``updates={A.data: ...}`` does this too.

    >>> import scipy.sparse, symgraph as sg
    >>> A = sg.sparse.shared(scipy.sparse.csr_array([[0.0, 2.0], [1.0, 0.0]]), name="A")
    >>> sg.compile([], [], updates={A: A * 3})()
    []
    >>> A.get_value().toarray().tolist()
    [[0.0, 6.0], [3.0, 0.0]]
    """
    layout: Any = value
    if isinstance(value, SparseVariable):  # a constant
        arrays = [v.data for v in (value.data, value.indices, value.indptr)]  # type: ignore[attr-defined]
    else:
        layout, arrays = held_by(value, checked_name(name))
    if arrays[0].dtype == "bool":
        arrays[0] = arrays[0].astype("int8")
    count = fresh_size()
    shapes = ((count,), (count,), arrays[2].shape)
    parts = zip(("data", "indices", "indptr"), arrays, shapes, strict=True)
    made: list[Shared] = [
        _state.shared(a, f"{name}.{n}" if name else None, shape=s) for n, a, s in parts
    ]
    return SharedSparse(layout.format, layout.shape, *made, name)


def as_sparse_variable(value: Any, name: str | None = None) -> SparseVariable:
    """A sparse matrix from one of scipy.sparse, as a constant; ours are returned as they are.

    >>> import scipy.sparse, symgraph as sg
    >>> sg.sparse.as_sparse_variable(scipy.sparse.eye_array(3, format="csr"))
    <sparse matrix: csr float64[3, 3]>
    """
    return as_sparse(value, name)


def CSR(data: Any, indices: Any, indptr: Any, shape: Any) -> SparseVariable:
    """A matrix in compressed rows from its three vectors. The indices of a row must ascend and
    differ; that they fit the shape is checked when the function runs.

    >>> import symgraph as sg
    >>> sg.sparse.CSR([5.0, 7.0], [1, 0], [0, 1, 2], (2, 3)).toarray().eval().tolist()
    [[0.0, 5.0, 0.0], [7.0, 0.0, 0.0]]
    """
    return from_parts("csr", data, indices, indptr, shape)


def CSC(data: Any, indices: Any, indptr: Any, shape: Any) -> SparseVariable:
    """A matrix in compressed columns from its three vectors, see :func:`CSR`."""
    return from_parts("csc", data, indices, indptr, shape)


# from places --------------------------------------------------------------------------------------


def keys_of(a: SparseVariable) -> Variable:
    """major * minors + minor for each element, ascending: one number for its place."""
    return a.majors() * as_variable(a.minor) + a.minors()


def from_keys(
    format: str, shape: Shape, keys: Variable, data: Variable, index_dtype: str
) -> SparseVariable:
    """A matrix from ascending different keys."""
    major, minor = shape if format == "csr" else shape[::-1]
    columns = as_variable(minor)
    indices = Below(minor)(cast(keys % columns, index_dtype))
    ends = searchsorted(keys, iota(as_size(as_expr(major) + 1)) * columns)
    return SparseVariable(format, shape, data, indices, cast(ends, index_dtype), sound=True)


def coo(
    data: Any, row: Any, col: Any, shape: Any, *, format: str = "csr",
    sum_duplicates: bool = True,
) -> SparseVariable:  # fmt: skip
    """A matrix from its elements and the row and column of each (vectors), in any order. Elements
    at the same place are added up; ``sum_duplicates=False`` promises that there are none, which
    keeps the number of elements known and the program in one part.

    Places outside of the shape are an error when the function runs.

    >>> import symgraph as sg
    >>> A = sg.sparse.coo([1.0, 2.0, 4.0], [1, 0, 1], [0, 2, 0], (2, 3))
    >>> A.toarray().eval().tolist()
    [[0.0, 0.0, 2.0], [5.0, 0.0, 0.0]]
    """
    if format not in ("csr", "csc"):
        raise ArgumentError(f"coo: the format is csr or csc, not {format!r}")
    sizes = tensor_type("bool", shape).shape
    if len(sizes) != 2:
        raise RankError(f"a sparse matrix has two axes, not {len(sizes)}")
    values, rows, columns = as_variable(data), as_variable(row), as_variable(col)
    if values.dtype == "bool":
        values = cast(values, "int8")
    if rows.ndim != 1 or columns.ndim != 1 or values.ndim > 1:
        raise RankError("coo: data, row and col are vectors")
    rows, columns = (
        take(iota(n), cast(i, "int64")) for i, n in ((rows, sizes[0]), (columns, sizes[1]))
    )  # which checks them and counts negative ones from the end
    values = broadcast_to(values, rows.shape)
    first, second = (rows, columns) if format == "csr" else (columns, rows)
    keys = first * as_variable(sizes[1 if format == "csr" else 0]) + second
    if not sum_duplicates:
        order = argsort(keys)
        return from_keys(format, sizes, take(keys, order), take(values, order), "int32")
    found, place = unique(keys, return_inverse=True)
    total = zeros(TensorType(values.dtype, found.shape))
    return from_keys(format, sizes, found, scatter("add", (0,), total, values, (place,)), "int32")


def eye(n: Any, dtype: Any = "float64", format: str = "csr") -> SparseVariable:
    """The identity matrix of a size.

    >>> import symgraph as sg
    >>> sg.sparse.eye(2).toarray().eval().tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return square_diagonal(full((n,), 1, dtypes.as_dtype(dtype)), format)


def square_diagonal(x: Any, format: str = "csr") -> SparseVariable:
    """The square matrix with the vector x on its diagonal.

    >>> import symgraph as sg
    >>> sg.sparse.square_diagonal([1.0, 2.0]).toarray().eval().tolist()
    [[1.0, 0.0], [0.0, 2.0]]
    """
    v = as_variable(x)
    if v.ndim != 1:
        raise RankError(f"square_diagonal takes a vector, not {v.type.text()}")
    n = v.shape[0]
    indices = Below(n)(cast(iota(n), "int32"))
    indptr = cast(iota(as_size(as_expr(n) + 1)), "int32")
    return SparseVariable(format, (n, n), v, indices, indptr, sound=True)


# dense and sparse ---------------------------------------------------------------------------------


def csr_from_dense(x: Any) -> SparseVariable:
    """The elements of a dense matrix that are not 0. Their number depends on the values.

    >>> import symgraph as sg
    >>> x = sg.matrix("x")
    >>> sg.sparse.csr_from_dense(x).nnz.op, sg.sparse.csr_from_dense(x).eval({x: [[0, 3]]}).nnz
    ('var', 1)
    """
    return _from_dense("csr", x)


def csc_from_dense(x: Any) -> SparseVariable:
    """The elements of a dense matrix that are not 0, in compressed columns."""
    return _from_dense("csc", x)


def _from_dense(format: str, x: Any) -> SparseVariable:
    dense = as_variable(x)
    if dense.ndim != 2:
        raise RankError(f"a sparse matrix has two axes, not {dense.ndim}")
    if dense.dtype == "bool":
        dense = cast(dense, "int8")
    flat = dense if format == "csr" else dense.T
    keys = flat_positions(truths(flat))
    return from_keys(format, dense.shape, keys, take(ravel(flat), keys), "int32")


@in_language("sparse.toarray")
def toarray(a: Any) -> Variable:
    """The dense matrix.

    >>> import scipy.sparse, symgraph as sg
    >>> sg.sparse.toarray(scipy.sparse.csr_array([[0, 2], [1, 0]])).eval().tolist()
    [[0, 2], [1, 0]]
    """
    a = as_sparse(a)
    start = zeros(TensorType(a.dtype, a.shape))
    return scatter("add", (0, 1), start, a.data, a.places())


@in_language("sparse.tocsr")
def tocsr(a: Any) -> SparseVariable:
    """The same matrix in compressed rows: elements are sorted by row.

    >>> import symgraph as sg
    >>> sg.sparse.tocsr(sg.sparse.csc_matrix("A", shape=(2, 3)))
    <sparse matrix: csr float64[2, 3]>
    """
    return _converted(as_sparse(a), "csr")


@in_language("sparse.tocsc")
def tocsc(a: Any) -> SparseVariable:
    """The same matrix in compressed columns, see :func:`tocsr`."""
    return _converted(as_sparse(a), "csc")


def _converted(a: SparseVariable, format: str) -> SparseVariable:
    if a.format == format:
        return a
    arrays = sparse_ops.transposed(a.data, *a.structure, a.minor)
    return SparseVariable(format, a.shape, *arrays, sound=True)


def in_format_of(b: SparseVariable, a: SparseVariable) -> SparseVariable:
    """b in the format of a."""
    return _converted(b, a.format)


def converted_dtype(a: SparseVariable, dtype: str) -> SparseVariable:
    """The matrix with elements of another dtype."""
    return a if a.dtype == dtype else a.with_data(to_dtype(a.data, dtype))
