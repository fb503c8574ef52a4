"""Where sparse matrices meet SciPy: its matrices as arrays, arrays as its matrices, routines."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import InputValueError, LinAlgError
from symgraph.ir.types import Shape
from symgraph.records import NamedTuple


class Layout(NamedTuple):
    """What is known of a sparse matrix beside its arrays: ``format`` is csr or csc."""

    format: str
    dtype: str
    index_dtype: str
    shape: Shape
    name: str | None = None

    def text(self) -> str:
        return f"{self.format} {self.dtype}[{', '.join(map(str, self.shape))}]"

    @property
    def major(self) -> int:
        """The axis that is compressed."""
        return 0 if self.format == "csr" else 1


def is_sparse(value: Any) -> bool:
    """Whether a value is a matrix of scipy.sparse; SciPy is not imported for that."""
    return type(value).__module__.startswith("scipy.sparse")


def read(layout: Layout, value: Any, what: str) -> list[np.ndarray]:
    """The arrays of a SciPy matrix of this layout: elements, indices, indptr. Rows that are not
    sorted, or hold an index twice, are put in order in a copy.

    Raises InputValueError for another format, dtype, rank or size.
    """
    if not is_sparse(value):
        raise _unfit(layout, what, f"is {type(value).__name__}, not a matrix of scipy.sparse",
                     f"scipy.sparse.{layout.format}_array(value)")  # fmt: skip
    if value.format != layout.format:
        raise _unfit(layout, what, f"has the format {value.format}",
                     f"convert it: value.to{layout.format}()")  # fmt: skip
    for axis, (size, held) in enumerate(zip(layout.shape, value.shape, strict=False)):
        if value.ndim != 2 or (isinstance(size, int) and size != held):
            raise _unfit(layout, what, f"has shape {value.shape} (axis {axis})", "")
    wanted = dtypes.numpy_dtype(layout.dtype)
    if value.dtype != wanted and not np.can_cast(value.dtype, wanted, "safe"):
        raise _unfit(layout, what, f"has dtype {value.dtype}", f"value.astype({layout.dtype!r})")
    if not value.has_canonical_format:
        value = value.copy()
        value.sum_duplicates()
    index = dtypes.numpy_dtype(layout.index_dtype)
    count = len(value.indices)
    if max(count, *value.shape) > np.iinfo(index).max:
        raise _unfit(layout, what, f"is too large for indices of {index}", 'index_dtype="int64"')
    arrays = [np.ascontiguousarray(value.data, wanted)]
    arrays += [np.ascontiguousarray(x, index) for x in (value.indices, value.indptr)]
    held = int(value.indptr[-1])
    return arrays if held == count else [arrays[0][:held], arrays[1][:held], arrays[2]]


def _unfit(layout: Layout, what: str, problem: str, hint: str) -> InputValueError:
    name = layout.name or what
    return InputValueError(f"{name} is {layout.text()}; the value given {problem}", hint=hint)


def write(layout: Layout, shape: tuple[int, int], arrays: list[Any]) -> Any:
    """The SciPy array of these arrays."""
    import scipy.sparse

    kind = scipy.sparse.csr_array if layout.format == "csr" else scipy.sparse.csc_array
    return kind(tuple(arrays), shape=shape)


def layout_of(value: Any, name: str | None = None) -> tuple[Layout, Any]:
    """The layout of a SciPy matrix as it is, and the matrix in one of our formats."""
    if value.format not in ("csr", "csc"):
        value = value.tocsr()
    shape = tuple(int(n) for n in value.shape)
    dtype = dtypes.as_dtype(value.dtype)
    return Layout(value.format, dtype, dtypes.as_dtype(value.indices.dtype), shape, name), value


def product_keys(ai: Any, ap: Any, bi: Any, bp: Any, minor: int) -> Any:
    """row * minor + column of the elements of a product, ascending."""
    import scipy.sparse

    n, k = len(ap) - 1, len(bp) - 1
    a = scipy.sparse.csr_array((np.ones(len(ai), "bool"), ai, ap), shape=(n, k))
    b = scipy.sparse.csr_array((np.ones(len(bi), "bool"), bi, bp), shape=(k, minor))
    c = a @ b
    c.sort_indices()
    rows = np.repeat(np.arange(n), np.diff(c.indptr))
    return rows * np.int64(minor) + c.indices


def solve(data: Any, indices: Any, indptr: Any, b: Any, transposed: bool) -> Any:
    """The solution of op(A) x = b; raises LinAlgError where A is singular."""
    import scipy.sparse
    import scipy.sparse.linalg

    n = len(indptr) - 1
    if n == 0:
        return b
    turned = scipy.sparse.csc_array((data, indices.astype("int32"), indptr.astype("int32")),
                                    shape=(n, n))  # fmt: skip
    try:
        factors = scipy.sparse.linalg.splu(turned)  # of the transposed matrix
    except RuntimeError as error:
        raise LinAlgError(f"spsolve: {error}") from None
    return factors.solve(np.ascontiguousarray(b), "N" if transposed else "T")
