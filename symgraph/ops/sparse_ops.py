"""The ops of sparse matrices. A matrix is three arrays in compressed rows: the elements, the column
of each, and where each row begins (and the last one ends). In compressed columns the same arrays
are those of the transposed matrix, so every op speaks of rows only.

The derivative of a product by the elements is a sampled product, and the reverse: `sparse_matmul`
and `sampled_dot`, and `sampled_product` by itself, are closed under differentiation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import DTypeError, IndexOutOfRange, ShapeError
from symgraph.ir.graph import Variable, making
from symgraph.ir.op import Op
from symgraph.ir.types import Size, TensorType, same_size
from symgraph.loops.routine import Routine
from symgraph.ops import reductions, sparse_border
from symgraph.ops.cast import cast
from symgraph.ops.comparison import equal
from symgraph.ops.creation import iota
from symgraph.ops.data_sizes import Below
from symgraph.ops.indexing import take
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import reshape
from symgraph.ops.sorting import argsort, searchsorted
from symgraph.scalar import as_expr, as_size

_LAPACK = ("float32", "float64", "complex64", "complex128")
Requirement = tuple[Variable, str, str, str]
_COUNTS = "elements and indices differ in number"
_BROKEN = "the arrays of a sparse matrix do not fit each other"
_HINT = (
    "indices lie below the other size; indptr begins with 0, does not fall, ends with their number"
)


def rows_of(indptr: TensorType) -> Size:
    """The number of rows that begin in an array of their beginnings."""
    return as_size(as_expr(indptr.shape[0]) - 1)


def _structure(name: str, indices: TensorType, indptr: TensorType) -> None:
    for what, t in (("indices", indices), ("indptr", indptr)):
        if not dtypes.is_int(t.dtype) or t.ndim != 1:
            raise DTypeError(f"{name}: {what} is a vector of integers, not {t.text()}")


def _number(size: Any) -> Any:
    """A size that is known when a reference runs."""
    return size


def _row_numbers(indptr: Any) -> Any:
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


# structure ----------------------------------------------------------------------------------------


class CheckedIndices(Op):
    """The indices of a matrix with ``minor`` columns, of which it is checked that they and
    ``indptr`` are those of a matrix: products then read without looking."""

    name = "checked_indices"
    minor: Size
    nondifferentiable = "the elements are positions"

    def infer(self, indices: TensorType, indptr: TensorType) -> TensorType:
        _structure(self.name, indices, indptr)
        return indices

    def bound(self, indices: TensorType, indptr: TensorType) -> Size:
        """The elements are below this."""
        return self.minor

    def reference(self, indices: Any, indptr: Any) -> Any:
        good = indptr[0] == 0 and indptr[-1] == len(indices) and (np.diff(indptr) >= 0).all()
        if not (good and ((indices >= 0) & (indices < self.minor)).all()):
            raise IndexOutOfRange(_BROKEN, hint=_HINT)
        return indices

    def extern(self, indices: TensorType, indptr: TensorType) -> Routine:
        return Routine("barrier")

    def requires(self, indices: Variable, indptr: Variable) -> list[Requirement]:
        inside = reductions.all((indices >= 0) & (indices < self.minor))
        rising = reductions.all(indptr[1:] >= indptr[:-1])
        ends = equal(indptr[0], 0) & equal(indptr[-1], as_variable(indices.shape[0]))
        return [(inside & rising & ends, IndexOutOfRange.code, _BROKEN, _HINT)]


class ElementRows(Op):
    """The row of each of the ``count`` elements of a matrix."""

    name = "element_rows"
    count: Size
    nondifferentiable = "the elements are positions"

    def infer(self, indptr: TensorType) -> TensorType:
        _structure(self.name, indptr, indptr)
        return TensorType("int64", (self.count,))

    def bound(self, indptr: TensorType) -> Size:
        """The elements are below this."""
        return rows_of(indptr)

    def reference(self, indptr: Any) -> Any:
        return _row_numbers(indptr)

    def extern(self, indptr: TensorType) -> Routine:
        return Routine("element_rows")


class ProductKeys(Op):
    """Where a product of two sparse matrices can be other than zero: row * columns + column of
    each element, ascending. ``minor``, a 0-d operand, are the columns of the second matrix."""

    name = "product_keys"
    makes = "count"
    nondifferentiable = "the result holds positions"
    count: Size

    def infer(
        self, ai: TensorType, ap: TensorType, bi: TensorType, bp: TensorType, minor: TensorType
    ) -> TensorType:
        _structure(self.name, ai, ap)
        _structure(self.name, bi, bp)
        return TensorType("int64", (self.count,))

    def reference(self, ai: Any, ap: Any, bi: Any, bp: Any, minor: Any) -> Any:
        return sparse_border.product_keys(ai, ap, bi, bp, int(minor))

    def extern(self, *types: TensorType) -> Routine:
        return Routine("python")


# products -----------------------------------------------------------------------------------------


class SparseMatMul(Op):
    """The product of a sparse matrix of ``minor`` columns, or of its transpose, with a dense b
    [.., k]. For each row the elements are added in their order (CSR times dense matrix)."""

    name = "sparse_matmul"
    transposed: bool
    minor: Size

    def infer(
        self, data: TensorType, indices: TensorType, indptr: TensorType, b: TensorType
    ) -> TensorType:
        _structure(self.name, indices, indptr)
        if data.dtype != b.dtype:
            raise DTypeError(f"{self.name}: {data.dtype} and {b.dtype}")
        same_size(data.shape[0], indices.shape[0], _COUNTS)
        rows = rows_of(indptr)
        inner, outer = (rows, self.minor) if self.transposed else (self.minor, rows)
        same_size(inner, b.shape[0], "matmul: inner sizes differ")
        return b.with_shape((outer, b.shape[1]))

    def reference(self, data: Any, indices: Any, indptr: Any, b: Any) -> Any:
        own = _row_numbers(indptr)
        to, of = (indices, own) if self.transposed else (own, indices)
        size = _number(self.minor) if self.transposed else len(indptr) - 1
        out = np.zeros((size, b.shape[1]), b.dtype)
        np.add.at(out, to, data[:, None] * b[of])
        return out

    def vjp(
        self, g: Variable, y: Variable, data: Variable, indices: Variable, indptr: Variable,
        b: Variable,
    ) -> tuple[Any, ...]:  # fmt: skip
        left, right = (b, g) if self.transposed else (g, b)
        gb = SparseMatMul(not self.transposed, self.minor)(data, indices, indptr, g)
        return SampledDot(self.minor)(indices, indptr, left, right), None, None, gb

    def extern(self, *types: TensorType) -> Routine:
        return Routine("sparse_matmul", (("transposed", self.transposed),))


class SampledDot(Op):
    """The elements of left [rows, k] right^T [k, minor] at the places of a sparse matrix."""

    name = "sampled_dot"
    minor: Size

    def infer(
        self, indices: TensorType, indptr: TensorType, left: TensorType, right: TensorType
    ) -> TensorType:
        _structure(self.name, indices, indptr)
        if left.dtype != right.dtype:
            raise DTypeError(f"{self.name}: {left.dtype} and {right.dtype}")
        same_size(rows_of(indptr), left.shape[0], "sampled_dot: rows differ")
        same_size(self.minor, right.shape[0], "sampled_dot: columns differ")
        same_size(left.shape[1], right.shape[1], "sampled_dot: inner sizes differ")
        return left.with_shape(indices.shape)

    def reference(self, indices: Any, indptr: Any, left: Any, right: Any) -> Any:
        return np.sum(left[_row_numbers(indptr)] * right[indices], 1, dtype=left.dtype)

    def vjp(
        self, g: Variable, y: Variable, indices: Variable, indptr: Variable, left: Variable,
        right: Variable,
    ) -> tuple[Any, ...]:  # fmt: skip
        gleft = SparseMatMul(False, self.minor)(g, indices, indptr, right)
        return None, None, gleft, SparseMatMul(True, self.minor)(g, indices, indptr, left)

    def extern(self, *types: TensorType) -> Routine:
        return Routine("sampled_dot")


class SampledProduct(Op):
    """The elements of the product of two sparse matrices, a with ``inner`` and b with ``minor``
    columns, at the places of a third one: row by row, with a dense row to add up in (Gustavson
    1978)."""

    name = "sampled_product"
    inner_size: Size
    minor: Size

    def infer(
        self, a: TensorType, ai: TensorType, ap: TensorType, b: TensorType, bi: TensorType,
        bp: TensorType, ci: TensorType, cp: TensorType,
    ) -> TensorType:  # fmt: skip
        if a.dtype != b.dtype:
            raise DTypeError(f"{self.name}: {a.dtype} and {b.dtype}")
        same_size(self.inner_size, rows_of(bp), "matmul: inner sizes differ")
        for elements, indices in ((a, ai), (b, bi)):
            same_size(elements.shape[0], indices.shape[0], _COUNTS)
        same_size(rows_of(ap), rows_of(cp), "sampled_product: rows differ")
        return a.with_shape(ci.shape)

    def reference(
        self, a: Any, ai: Any, ap: Any, b: Any, bi: Any, bp: Any, ci: Any, cp: Any
    ) -> Any:
        out = np.zeros(len(ci), a.dtype)
        for i in range(len(ap) - 1):
            row: Any = np.zeros(_number(self.minor), a.dtype)
            for p in range(ap[i], ap[i + 1]):
                part = slice(bp[ai[p]], bp[ai[p] + 1])
                np.add.at(row, bi[part], a[p] * b[part])
            out[cp[i] : cp[i + 1]] = row[ci[cp[i] : cp[i + 1]]]
        return out

    def vjp(self, g: Variable, y: Variable, *xs: Variable) -> tuple[Any, ...]:
        a, ai, ap, b, bi, bp, ci, cp = xs
        n, k, m = rows_of(ap.type), self.inner_size, self.minor
        bt, at = transposed(b, bi, bp, m), transposed(a, ai, ap, k)
        ga = SampledProduct(m, k)(g, ci, cp, *bt, ai, ap)
        gb = SampledProduct(n, m)(*at, g, ci, cp, bi, bp)
        return ga, None, None, gb, None, None, None, None

    def extern(self, *types: TensorType) -> Routine:
        return Routine("sampled_product", (("minor", self.minor),))


_SOLVED = ("float32", "float64", "complex64", "complex128")  # SuperLU's dtypes


class SparseSolve(Op):
    """x with A x = b, or A^T x = b, for a sparse square A and b [n, k]: SciPy's splu (SuperLU)."""

    name = "sparse_solve"
    transposed: bool

    def infer(
        self, data: TensorType, indices: TensorType, indptr: TensorType, b: TensorType
    ) -> TensorType:
        _structure(self.name, indices, indptr)
        if data.dtype != b.dtype or b.dtype not in _SOLVED:
            raise DTypeError(
                f"spsolve: the matrix is {data.dtype}, b is {b.dtype}",
                hint=f"it works in {', '.join(_SOLVED)}; sg.cast both to one of them",
            )
        if b.ndim != 2:
            raise ShapeError(f"{self.name}: b has {b.ndim} axes")
        same_size(data.shape[0], indices.shape[0], _COUNTS)
        same_size(rows_of(indptr), b.shape[0], "spsolve: sizes differ")
        return b

    def reference(self, data: Any, indices: Any, indptr: Any, b: Any) -> Any:
        return sparse_border.solve(data, indices, indptr, b, self.transposed)

    def vjp(
        self, g: Variable, y: Variable, data: Variable, indices: Variable, indptr: Variable,
        b: Variable,
    ) -> tuple[Any, ...]:  # fmt: skip
        gb = SparseSolve(not self.transposed)(data, indices, indptr, g)
        left, right = (y, gb) if self.transposed else (gb, y)
        gdata = SampledDot(rows_of(indptr.type))(indices, indptr, left, right)
        return -gdata, None, None, gb

    def extern(self, *types: TensorType) -> Routine:
        return Routine("python")


# what they share ----------------------------------------------------------------------------------


def transposed(
    data: Variable, indices: Variable, indptr: Variable, minor: Size
) -> tuple[Variable, Variable, Variable]:
    """The arrays of the transposed matrix: elements sorted by column, rows ascending in each."""
    order = argsort(indices)
    rows = ElementRows(indices.shape[0])(indptr)
    new = take(indices, order)
    ends = starts(new, minor, indptr.dtype)
    inner = Below(rows_of(indptr.type))(cast(take(rows, order), indices.dtype))
    return take(data, order), inner, ends


def starts(numbers: Variable, count: Size, dtype: str) -> Variable:
    """Where each of ``count`` rows begins, and the last ends, among ascending numbers of rows."""
    wanted = cast(iota(as_size(as_expr(count) + 1)), numbers.dtype)
    return cast(searchsorted(numbers, wanted), dtype)


def product_keys(*arrays: Variable, minor: Size) -> Variable:
    """The keys of a product, see ProductKeys."""
    return making(ProductKeys(0), (*arrays, as_variable(minor))).output


def column(x: Variable) -> Variable:
    """A vector as a matrix of one column, in the same memory."""
    return reshape(x, (x.shape[0], 1))
