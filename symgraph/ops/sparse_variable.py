"""SparseVariable: a symbolic sparse matrix, three tensors and what is known of them.

It is no new type of the graph: its parts are tensors like others, so passes, derivatives, code
generation and the cache know nothing of it. What can be done with one is written in the other
sparse modules, which register it in the language under names that begin with "sparse.".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, DTypeError, RankError, ShapeError
from symgraph.ir.graph import Variable, constant
from symgraph.ir.operators import LANGUAGE
from symgraph.ir.types import Shape, Size, TensorType, tensor_type
from symgraph.ops import sparse_border, sparse_ops
from symgraph.ops.cast import cast
from symgraph.ops.data_sizes import Below
from symgraph.ops.functions import Barrier
from symgraph.ops.nests import register_container
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import broadcast_to
from symgraph.ops.slicing import zeros
from symgraph.ops.sparse_border import Layout
from symgraph.scalar import as_expr, as_size

Structure = tuple[Variable, Variable]


def _binary(name: str) -> tuple[Any, Any]:
    def left(self: Any, other: Any) -> Any:
        return LANGUAGE[f"sparse.{name}"](self, other)

    def right(self: Any, other: Any) -> Any:
        return LANGUAGE[f"sparse.{name}"](other, self)

    return left, right


def _method(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return LANGUAGE[f"sparse.{name}"](self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"The function ``sg.sparse.{name}`` of this matrix."
    return method


class SparseVariable:
    """A sparse matrix in compressed rows ("csr") or columns ("csc"): ``data`` are the elements,
    ``indices`` the column (row) of each, ascending in each row (column), and ``indptr`` says where
    each row (column) begins in them. The parts are tensors and can be used as such.

    ``sound`` says that the structure needs no check, since an op has made it.
    """

    __slots__ = ("__weakref__", "_known", "data", "extent", "format", "indices", "indptr", "name",
                 "shape", "sound")  # fmt: skip
    outranks_tensors = True
    __array_ufunc__ = None  # NumPy arrays defer to our reflected operators
    __array_priority__ = 2000

    def __init__(
        self, format: str, shape: Shape, data: Variable, indices: Variable, indptr: Variable,
        name: str | None = None, extent: Variable | None = None, sound: bool = False,
    ) -> None:  # fmt: skip
        self.format, self.shape = format, shape
        self.data, self.indices, self.indptr = data, indices, indptr
        self.name, self.extent, self.sound = name, extent, sound
        self._known: dict[str, Variable] = {}

    # what it is -----------------------------------------------------------------------------------

    @property
    def dtype(self) -> str:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return 2

    @property
    def nnz(self) -> Size:
        """The number of stored elements."""
        return self.data.shape[0]

    @property
    def major(self) -> Size:
        """The number of rows of CSR, columns of CSC."""
        return self.shape[0 if self.format == "csr" else 1]

    @property
    def minor(self) -> Size:
        """The number of columns of CSR, rows of CSC."""
        return self.shape[1 if self.format == "csr" else 0]

    @property
    def origin(self) -> Any:
        """Where the user made it."""
        return self.data.origin

    @property
    def layout(self) -> Layout:
        return Layout(self.format, self.dtype, self.indices.dtype, self.shape, self.name)

    def label(self) -> str:
        """Its name, or a short description for messages."""
        return self.name or "sparse matrix"

    def operand(self) -> tuple[Any, ...]:
        """How errors list it."""
        return self.label(), self.layout.text(), self.origin

    def __repr__(self) -> str:
        return f"<{self.label()}: {self.layout.text()}>"

    # its structure --------------------------------------------------------------------------------

    @property
    def structure(self) -> Structure:
        """indices and indptr, checked when the function runs."""
        if self.sound:
            return self.indices, self.indptr
        found = self._known.get("checked")
        if found is None:
            op = sparse_ops.CheckedIndices(self.minor)
            found = self._known["checked"] = op(self.indices, self.indptr)
        return found, Barrier()(self.indptr, found)  # nobody reads either before the check

    def majors(self) -> Variable:
        """The row of each element of CSR, the column of each of CSC, as int64."""
        found = self._known.get("majors")
        if found is None:
            _, indptr = self.structure
            found = self._known["majors"] = sparse_ops.ElementRows(self.nnz)(indptr)
        return found

    def minors(self) -> Variable:
        """The column of each element of CSR, the row of each of CSC, as int64."""
        indices, _ = self.structure
        return Below(self.minor)(cast(indices, "int64"))  # type: ignore[no-any-return]

    def places(self) -> Structure:
        """The row and the column of each element."""
        pair = self.majors(), self.minors()
        return pair if self.format == "csr" else pair[::-1]

    def with_data(self, data: Any) -> SparseVariable:
        """A matrix of the same structure with other elements (a vector). Raises ShapeError."""
        v = as_variable(data)
        if v.ndim != 1:
            raise RankError(f"the elements of a matrix are a vector, not {v.type.text()}")
        a, b = v.shape[0], self.nnz
        if isinstance(a, int) and isinstance(b, int) and a != b:
            raise ShapeError(f"{a} elements for a structure of {b}")
        out = SparseVariable(self.format, self.shape, v, self.indices, self.indptr, None,
                             self.extent, self.sound)  # fmt: skip
        out._known = self._known
        return out

    def same_structure(self, other: SparseVariable) -> bool:
        """Whether both surely have elements at the same places."""
        return (
            self.format == other.format
            and self.indices is other.indices
            and self.indptr is other.indptr
        )

    def sized(self, shape: Shape) -> SparseVariable:
        """The matrix, of which it is tested when the function runs that it has this shape."""
        if self.shape == shape:
            return self
        empty = zeros(TensorType("bool", (*self.shape, 0)))  # it costs nothing to compare
        tested = broadcast_to(empty, (*shape, 0))
        indices, indptr = (Barrier()(v, tested) for v in (self.indices, self.indptr))
        return SparseVariable(self.format, shape, self.data, indices, indptr, self.name,
                              sound=self.sound)  # fmt: skip

    @property
    def T(self) -> SparseVariable:
        """The transposed matrix, of the other format: nothing is computed."""
        format = "csc" if self.format == "csr" else "csr"
        out = SparseVariable(format, self.shape[::-1], self.data, self.indices, self.indptr,
                             sound=self.sound)  # fmt: skip
        out._known = self._known
        return out

    def eval(self, values: Mapping[Any, Any] | None = None) -> Any:
        """The value as a SciPy array, for looking: ``(A * 2).eval({A: matrix})``."""
        return LANGUAGE["eval"](self, values)

    # language -------------------------------------------------------------------------------------

    __add__, __radd__ = _binary("add")
    __sub__, __rsub__ = _binary("subtract")
    __mul__, __rmul__ = _binary("multiply")
    __truediv__, __rtruediv__ = _binary("divide")
    __matmul__, __rmatmul__ = _binary("matmul")
    __lt__, __gt__ = _binary("less")
    __le__, __ge__ = _binary("less_equal")
    __eq__ = _binary("equal")[0]
    __ne__ = _binary("not_equal")[0]
    __hash__ = object.__hash__
    __neg__, __abs__, __getitem__ = _method("negative"), _method("abs"), _method("getitem")
    __pow__ = power = _method("power")
    multiply, dot = _method("multiply"), _method("matmul")
    sum, mean, astype, diagonal = (_method(n) for n in ("sum", "mean", "cast", "diagonal"))
    toarray, todense, trace = _method("toarray"), _method("toarray"), _method("trace")
    tocsr, tocsc, conj = _method("tocsr"), _method("tocsc"), _method("conj")
    eliminate_zeros = _method("clean")

    def transpose(self) -> SparseVariable:
        """The transposed matrix."""
        return self.T

    def __len__(self) -> int:
        raise ArgumentError("a sparse matrix has no len()", hint="A.shape[0] are its rows")

    def __bool__(self) -> bool:
        raise ArgumentError("a sparse matrix has no truth value")

    def __iter__(self) -> Any:
        raise ArgumentError("a sparse matrix cannot be iterated over", hint="A[i:i+1] is a row")


# how it is taken apart ----------------------------------------------------------------------------


def _flatten(a: SparseVariable) -> tuple[Sequence[Any], Layout]:
    parts = [a.data, a.indices, a.indptr]
    if not all(isinstance(n, int) for n in a.shape):
        # an array without elements tells the sizes, which the others do not
        extent = a.extent
        parts.append(zeros(TensorType("bool", (*a.shape, 0))) if extent is None else extent)
    return parts, a.layout


def _unflatten(layout: Layout, parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], Variable):
        extent = parts[3] if len(parts) > 3 else None
        shape = extent.shape[:2] if extent is not None else layout.shape
        return SparseVariable(layout.format, shape, *parts[:3], layout.name, extent)
    if any(not isinstance(p, np.ndarray) for p in parts):
        return parts  # of neither kind, such as entries of in_axes
    shape = parts[3].shape[:2] if len(parts) > 3 else layout.shape
    return sparse_border.write(layout, shape, list(parts[:3]))


def _read(layout: Layout, value: Any, what: str) -> Sequence[Any]:
    arrays = sparse_border.read(layout, value, what)
    if not all(isinstance(n, int) for n in layout.shape):
        arrays.append(np.empty((*value.shape, 0), "bool"))
    return arrays


register_container(SparseVariable, _flatten, _unflatten, _read)


# making one of parts ------------------------------------------------------------------------------


def from_parts(
    format: str, data: Any, indices: Any, indptr: Any, shape: Any, name: str | None = None
) -> SparseVariable:
    """A matrix of three vectors; raises ShapeError, RankError and DTypeError for unfit ones."""
    sizes = tensor_type("bool", shape).shape
    if len(sizes) != 2:
        raise RankError(f"a sparse matrix has two axes, not {len(sizes)}")
    parts = [as_variable(x) for x in (data, indices, indptr)]
    for what, v in zip(("data", "indices", "indptr"), parts, strict=True):
        if v.ndim != 1:
            raise RankError(f"{what} of a sparse matrix is a vector, not {v.type.text()}")
        if what != "data" and not dtypes.is_int(v.dtype):
            raise DTypeError(f"{what} of a sparse matrix are integers, not {v.dtype}")
    if parts[0].dtype == "bool":
        parts[0] = cast(parts[0], "int8")
    a, b = parts[0].shape[0], parts[1].shape[0]
    if isinstance(a, int) and isinstance(b, int) and a != b:
        raise ShapeError(f"{a} elements with {b} indices")
    major = sizes[0 if format == "csr" else 1]
    rows = as_size(as_expr(parts[2].shape[0]) - 1)
    kind = "rows" if format == "csr" else "columns"
    if isinstance(rows, int) and isinstance(major, int) and rows != major:
        raise ShapeError(f"indptr has {rows + 1} elements for {major} {kind}")
    return SparseVariable(format, sizes, *parts, name)


def as_sparse(value: Any, name: str | None = None) -> SparseVariable:
    """The sparse matrix that an operand stands for: one of ours, or a constant from SciPy's.

    Raises ArgumentError for anything else.
    """
    if isinstance(value, SparseVariable):
        return value
    layout, arrays = held_by(value, name)
    return from_parts(layout.format, *map(constant, arrays), layout.shape, name)


def held_by(value: Any, name: str | None) -> tuple[sparse_border.Layout, list[np.ndarray]]:
    """The arrays of a matrix of SciPy's, not copied where they are as we want them. Raises
    ArgumentError for anything else."""
    if not sparse_border.is_sparse(value):
        raise ArgumentError(
            f"expected a sparse matrix, not {type(value).__name__}",
            hint="sg.sparse.csr_from_dense(x) makes one of a dense matrix",
        )
    if value.ndim != 2:
        raise RankError(f"a sparse matrix has two axes, not {value.ndim}")
    layout, matrix = sparse_border.layout_of(value, name)
    return layout, sparse_border.read(layout, matrix, "constant")


def is_sparse(value: Any) -> bool:
    """Whether a value is a sparse matrix, of ours or of SciPy's."""
    return isinstance(value, SparseVariable) or sparse_border.is_sparse(value)
