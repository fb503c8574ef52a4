"""Parts of sparse matrices, and matrices made of several: indexing, diagonals, stacks, blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.operators import in_language
from symgraph.ir.types import Size, same_size
from symgraph.ops.cast import cast
from symgraph.ops.creation import iota
from symgraph.ops.cumulative import cumsum
from symgraph.ops.data_sizes import Below, flat_positions, size_from
from symgraph.ops.indexing import take
from symgraph.ops.joining import concatenate
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import broadcast_arrays, ravel, reshape
from symgraph.ops.slicing import slice_of
from symgraph.ops.sparse_elements import common_dtype, values_at
from symgraph.ops.sparse_making import converted_dtype, tocsc, tocsr
from symgraph.ops.sparse_ops import ElementRows
from symgraph.ops.sparse_variable import SparseVariable, as_sparse
from symgraph.scalar import Expr, as_expr, as_size
from symgraph.scalar.sizes import smaller

__all__ = ["diag", "get_item_2d", "get_item_list", "get_item_scalar", "getitem", "hstack",
           "transpose", "vstack"]  # fmt: skip


# indexing -----------------------------------------------------------------------------------------


@in_language("sparse.getitem")
def getitem(a: Any, key: Any) -> Any:
    """a[key]: ``a[i]``, ``a[i:j]``, ``a[rows]`` with an index array or a mask, each beside the same
    for columns: a sparse matrix of the same format (of one row for ``a[i]``). How many elements it
    has depends on data. ``a[i, j]`` with two numbers, or two index arrays of one shape, are
    elements, dense.

    >>> import scipy.sparse, symgraph as sg
    >>> A = sg.sparse.as_sparse_variable(scipy.sparse.csr_array([[0.0, 2.0, 0.0], [1.0, 0.0, 3.0]]))
    >>> A[1].toarray().eval().tolist(), A[[1, 0], 1:].toarray().eval().tolist()
    ([[1.0, 0.0, 3.0]], [[0.0, 3.0], [2.0, 0.0]])
    >>> A[1, 2].eval().item()
    3.0
    """
    m = as_sparse(a)
    keys = key if isinstance(key, tuple) else (key,)
    if len(keys) > 2 or any(k is None or k is Ellipsis for k in keys):
        raise ArgumentError("a sparse matrix has two axes: a[rows], a[rows, columns]")
    if len(keys) == 2 and not any(isinstance(k, slice) for k in keys):
        return _elements(m, *keys)
    for axis, k in enumerate(keys):
        m = _along(m, axis, k)
    return m


def get_item_2d(a: Any, key: Any) -> Any:
    """Theano's word for ``a[i:j, k:l]``."""
    return getitem(a, key)


def get_item_list(a: Any, rows: Any) -> SparseVariable:
    """Theano's word for ``a[rows]``."""
    return getitem(a, rows)  # type: ignore[no-any-return]


def get_item_scalar(a: Any, key: tuple[Any, Any]) -> Variable:
    """Theano's word for ``a[i, j]``."""
    return getitem(a, key)  # type: ignore[no-any-return]


def _numbers(key: Any, n: Size) -> Variable:
    """The index array that a key is, counted from the front."""
    if isinstance(key, slice):
        start, step, size = slice_of(key, n)
        found = iota(size) * step + as_variable(start)
        return Below(n)(found)  # type: ignore[no-any-return]
    v = as_variable(key)
    if v.dtype == "bool":
        if v.ndim != 1:
            raise RankError("a mask for one axis of a sparse matrix is a vector")
        return flat_positions(v, (n,))
    if v.ndim > 1:
        raise RankError("an index array for one axis of a sparse matrix is a vector")
    return take(iota(n), cast(ravel(v), "int64"))  # which checks the range


def _along(m: SparseVariable, axis: int, key: Any) -> SparseVariable:
    if isinstance(key, slice) and key == slice(None):
        return m
    own = 0 if m.format == "csr" else 1
    if axis != own:  # rows of the matrix in the other format
        turned = _along(tocsc(m) if m.format == "csr" else tocsr(m), axis, key)
        return tocsr(turned) if m.format == "csr" else tocsc(turned)
    return _majors(m, _numbers(key, m.major))


def _majors(m: SparseVariable, wanted: Variable) -> SparseVariable:
    """The rows of a CSR matrix at the indices: each one's elements, one row after another."""
    indices, indptr = m.structure
    begin = cast(take(indptr, wanted), "int64")
    length = cast(take(indptr, wanted + 1), "int64") - begin
    ends = concatenate([cast(as_variable([0]), "int64"), cumsum(length)])
    count = size_from(ends[-1])
    row = ElementRows(count)(ends)
    offset = iota(count) - take(ends, row) + take(begin, row)
    place = Below(m.nnz)(offset)
    new = Below(m.minor)(take(indices, place))
    shape = (wanted.shape[0], m.minor)
    shape = shape if m.format == "csr" else shape[::-1]
    starts = cast(ends, m.indptr.dtype)
    return SparseVariable(m.format, shape, take(m.data, place), new, starts, sound=True)


def _elements(m: SparseVariable, i: Any, j: Any) -> Variable:
    """The elements at pairs of rows and columns."""
    rows, columns = broadcast_arrays(as_variable(i), as_variable(j))
    if "bool" in (rows.dtype, columns.dtype):
        raise ArgumentError("a[mask, mask] of a sparse matrix", hint="a[mask][:, mask] is a part")
    shape = rows.shape
    rows = take(iota(m.shape[0]), cast(ravel(rows), "int64"))
    columns = take(iota(m.shape[1]), cast(ravel(columns), "int64"))
    major, minor = (rows, columns) if m.format == "csr" else (columns, rows)
    return reshape(values_at(m, major * as_variable(m.minor) + minor), shape)


@in_language("sparse.diagonal")
def diag(a: Any) -> Variable:
    """The diagonal, a dense vector.

    >>> import scipy.sparse, symgraph as sg
    >>> sg.sparse.diag(scipy.sparse.csr_array([[5.0, 2.0], [1.0, 0.0]])).eval().tolist()
    [5.0, 0.0]
    """
    m = as_sparse(a)
    n = smaller(*m.shape)
    return values_at(m, iota(n) * (as_variable(m.minor) + 1))


def transpose(a: Any) -> SparseVariable:
    """The transposed matrix, of the other format: nothing is computed."""
    return as_sparse(a).T


# several matrices ---------------------------------------------------------------------------------


def vstack(matrices: Sequence[Any], format: str | None = None, dtype: Any = None) -> SparseVariable:
    """Matrices of one width under each other, in the format of the first unless ``format`` says.

    >>> import scipy.sparse, symgraph as sg
    >>> A = scipy.sparse.csr_array([[0.0, 2.0]])
    >>> sg.sparse.vstack([A, A]).toarray().eval().tolist()
    [[0.0, 2.0], [0.0, 2.0]]
    """
    return _stacked(matrices, 0, format, dtype)


def hstack(matrices: Sequence[Any], format: str | None = None, dtype: Any = None) -> SparseVariable:
    """Matrices of one height beside each other, see :func:`vstack`."""
    return _stacked(matrices, 1, format, dtype)


def _stacked(matrices: Sequence[Any], axis: int, format: Any, dtype: Any) -> SparseVariable:
    found = [as_sparse(m) for m in matrices]
    if not found:
        raise ArgumentError("there are no matrices to stack")
    if format not in (None, "csr", "csc"):
        raise ArgumentError(f"the format is csr or csc, not {format!r}")
    kind = common_dtype(*found) if dtype is None else str(dtype)
    natural = "csr" if axis == 0 else "csc"
    parts = [converted_dtype(tocsr(m) if axis == 0 else tocsc(m), kind) for m in found]
    width = parts[0].minor
    for m in parts[1:]:
        try:
            width = same_size(width, m.minor, "sizes differ")
        except ShapeError:
            raise ShapeError(
                f"{'vstack' if axis == 0 else 'hstack'}: sizes differ on axis {1 - axis}: "
                f"{width} and {m.minor}", operands=[p.operand() for p in found],
            ) from None  # fmt: skip
    parts = [m.sized(_across(m, width)) for m in parts]
    out = _joined(parts, natural, width)
    return tocsr(out) if (format or found[0].format) == "csr" else tocsc(out)


def _across(m: SparseVariable, minor: Size) -> tuple[Size, Size]:
    """The shape of a matrix with another size along the axis that is not compressed."""
    return (m.major, minor) if m.format == "csr" else (minor, m.major)


def _joined(parts: list[SparseVariable], format: str, width: Size) -> SparseVariable:
    """Matrices stacked along the axis that is compressed."""
    index = parts[0].indices.dtype
    ends, before = [cast(parts[0].structure[1], index)], as_expr(parts[0].nnz)
    for m in parts[1:]:
        ends.append(cast(m.structure[1], index)[1:] + cast(as_variable(before), index))
        before = as_expr(before) + m.nnz
    total: Expr | int = as_size(sum((as_expr(m.major) for m in parts), start=as_expr(0)))
    shape = (total, width) if format == "csr" else (width, total)
    data = concatenate([m.data for m in parts])
    indices = Below(width)(concatenate([cast(m.structure[0], index) for m in parts]))
    return SparseVariable(format, shape, data, indices, concatenate(ends), sound=True)
