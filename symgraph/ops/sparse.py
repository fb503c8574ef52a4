"""sg.sparse: matrices of which only the elements that are not zero are kept.

Inputs, state and constants are in compressed rows (CSR) or columns (CSC); calls take and return the
arrays of scipy.sparse. A matrix is a :class:`SparseVariable`, three tensors: elements, indices and
where each row begins. Products with dense operands, functions of elements, sums and conversions are
native code; gradients by a sparse matrix are sparse matrices of the same structure.
"""

from __future__ import annotations

from symgraph.ops import sparse_elements, sparse_making, sparse_products, sparse_shape
from symgraph.ops.sparse_elements import *  # noqa: F403
from symgraph.ops.sparse_making import *  # noqa: F403
from symgraph.ops.sparse_products import *  # noqa: F403
from symgraph.ops.sparse_shape import *  # noqa: F403
from symgraph.ops.sparse_variable import SparseVariable  # noqa: F401

__all__ = sorted([
    "SparseVariable", *sparse_elements.__all__, *sparse_making.__all__, *sparse_products.__all__,
    *sparse_shape.__all__,
])  # fmt: skip


def __dir__() -> list[str]:
    return __all__
