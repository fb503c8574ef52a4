"""sg.linalg: linear algebra over the last two axes; leading axes are a batch.

Matrices are float32, float64 or complex (integers become float64); what is said of symmetric
matrices holds for complex Hermitian ones. Factorisations run in LAPACK inside the
compiled program. What cannot be done (a singular system, a matrix that is not positive definite)
raises LinAlgError (SG302) when the function runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ops import (
    assumptions,
    banded,
    decompositions,
    eigen,
    matrix_functions,
    matrix_roots,
    riccati,
    solving,
    spectral,
    triangular,
)
from symgraph.ops.assumptions import *  # noqa: F403
from symgraph.ops.banded import *  # noqa: F403
from symgraph.ops.cast import to_dtype
from symgraph.ops.contraction import tensordot  # noqa: F401  (offered here too)
from symgraph.ops.control import cond as choose
from symgraph.ops.creation import iota
from symgraph.ops.decompositions import *  # noqa: F403
from symgraph.ops.eigen import *  # noqa: F403
from symgraph.ops.joining import concatenate, stack
from symgraph.ops.matrix import diagonal as _diagonal
from symgraph.ops.matrix import matmul, outer, promoted, vecdot  # noqa: F401  (offered here too)
from symgraph.ops.matrix import trace as _trace
from symgraph.ops.matrix_functions import *  # noqa: F403
from symgraph.ops.matrix_roots import *  # noqa: F403
from symgraph.ops.operands import as_variable
from symgraph.ops.padding import pad
from symgraph.ops.riccati import *  # noqa: F403
from symgraph.ops.shape import as_int, expand_dims, moveaxis, reshape, swapaxes
from symgraph.ops.solving import *  # noqa: F403
from symgraph.ops.spectral import *  # noqa: F403
from symgraph.ops.triangular import *  # noqa: F403
from symgraph.scalar import as_expr, as_size

__all__ = sorted([
    *assumptions.__all__, *banded.__all__, *decompositions.__all__, *eigen.__all__,
    *matrix_functions.__all__, *matrix_roots.__all__, *riccati.__all__, *solving.__all__,
    *spectral.__all__, *triangular.__all__,
    "block_diag", "cross", "diagonal", "kron", "matmul", "matrix_transpose", "multi_dot", "outer",
    "tensordot", "trace", "vander", "vecdot",
])  # fmt: skip


def __dir__() -> list[str]:
    return __all__


UNKNOWN = 64  # what a symbolic size counts when the order of products is chosen


def matrix_transpose(x: Any) -> Variable:
    """The last two axes swapped. Raises RankError below two axes.

    >>> import symgraph as sg
    >>> sg.linalg.matrix_transpose([[1, 2], [3, 4]]).eval().tolist()
    [[1, 3], [2, 4]]
    """
    x = as_variable(x)
    if x.ndim < 2:
        raise RankError(f"matrix_transpose: needs a matrix, got {x.type.text()}")
    return swapaxes(x, -1, -2)


def diagonal(x: Any, offset: int = 0) -> Variable:
    """A diagonal of the last two axes, along a new last axis (``sg.diagonal``: of the first two).

    >>> import symgraph as sg
    >>> sg.linalg.diagonal([[1, 2], [3, 4]], 1).eval().tolist()
    [2]
    """
    return _diagonal(x, offset, -2, -1)


def trace(x: Any, offset: int = 0) -> Variable:
    """The sum of a diagonal of the last two axes (``sg.trace`` takes the first two).

    >>> import symgraph as sg
    >>> sg.linalg.trace([[1, 2], [3, 4]]).eval().item()
    5
    """
    return _trace(x, offset, -2, -1)


def kron(a: Any, b: Any) -> Variable:
    """The Kronecker product: blocks of b, one for each element of a.

    >>> import symgraph as sg
    >>> sg.linalg.kron([1, 10], [1, 2]).eval().tolist()
    [1, 2, 10, 20]
    """
    a, b = promoted(a, b)
    rank = max(a.ndim, b.ndim)
    a = reshape(a, ((1,) * (rank - a.ndim) + a.shape))
    b = reshape(b, ((1,) * (rank - b.ndim) + b.shape))
    left = expand_dims(a, tuple(range(1, 2 * rank, 2)))
    right = expand_dims(b, tuple(range(0, 2 * rank, 2)))
    sizes = [as_size(as_expr(m) * n) for m, n in zip(a.shape, b.shape, strict=True)]
    return reshape(left * right, tuple(sizes))


def block_diag(*matrices: Any) -> Variable:
    """The matrix with these blocks along its diagonal and 0 elsewhere; scalars and vectors count as
    matrices of one row. Leading axes must agree.

    >>> import symgraph as sg
    >>> sg.linalg.block_diag([[1, 2]], 3).eval().tolist()
    [[1, 2, 0], [0, 0, 3]]
    """
    if not matrices:
        raise ArgumentError("block_diag: there are no blocks")
    blocks = [expand_dims(x, tuple(range(2 - x.ndim))) if x.ndim < 2 else x
              for x in promoted(*matrices)]  # fmt: skip
    rank = max(x.ndim for x in blocks)
    if any(x.ndim != rank for x in blocks):
        raise RankError("block_diag: the blocks have different numbers of leading axes")
    total = as_size(sum((as_expr(x.shape[-1]) for x in blocks[1:]), as_expr(blocks[0].shape[-1])))
    rows, left = [], as_size(as_expr(0))
    for x in blocks:
        right = as_size(as_expr(total) - left - x.shape[-1])
        rows.append(pad(x, [(0, 0)] * (rank - 1) + [(left, right)]))
        left = as_size(as_expr(left) + x.shape[-1])
    return concatenate(rows, -2)


def multi_dot(arrays: Sequence[Any]) -> Variable:
    """The product of two or more matrices in the order that costs least; the first and the last may
    be vectors. Of three matrices of unknown sizes the call chooses; of more they count as 64.

    >>> import symgraph as sg
    >>> sg.linalg.multi_dot([[1, 2], [[1, 0], [0, 1]], [3, 4]]).eval().item()
    11
    """
    xs = promoted(*arrays)
    if len(xs) < 2:
        raise ArgumentError(f"multi_dot: needs at least two matrices, got {len(xs)}")
    first, last = xs[0].ndim == 1, xs[-1].ndim == 1
    xs[0] = expand_dims(xs[0], 0) if first else xs[0]
    xs[-1] = expand_dims(xs[-1], 1) if last else xs[-1]
    if any(x.ndim != 2 for x in xs):
        raise RankError("multi_dot: the operands are matrices; only the ends may be vectors")
    if len(xs) == 3 and not (first or last):
        return _of_three(*xs)
    sizes = [n if isinstance(n, int) else UNKNOWN for n in (x.shape[0] for x in xs)]
    columns = xs[-1].shape[1]
    sizes.append(columns if isinstance(columns, int) else UNKNOWN)
    y = _product(xs, _splits(sizes), 0, len(xs) - 1)
    axes = [0] * first + [1] * last
    return y.squeeze(tuple(axes)) if axes else y  # type: ignore[no-any-return]


def _of_three(a: Variable, b: Variable, c: Variable) -> Variable:
    """The two orders, of which the sizes choose when the function runs."""
    (m, k), (n, p) = map(as_expr, a.shape), map(as_expr, c.shape)
    gap = as_size(k * p * (m + n) - m * n * (k + p))  # what the second order costs more
    if isinstance(gap, int):
        return matmul(matmul(a, b), c) if gap >= 0 else matmul(a, matmul(b, c))
    first, second = (lambda: matmul(matmul(a, b), c)), (lambda: matmul(a, matmul(b, c)))
    return choose(as_variable(gap) >= 0, first, second)  # type: ignore[no-any-return]


def _splits(sizes: Sequence[int]) -> dict[tuple[int, int], int]:
    """Where to split each run of matrices (Cormen et al., Introduction to Algorithms, 15.2)."""
    count = len(sizes) - 1
    cost = {(k, k): 0 for k in range(count)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            prices = [
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            ]
            cost[i, j], split[i, j] = min(prices)
    return split


def _product(xs: Sequence[Variable], split: dict[tuple[int, int], int], i: int, j: int) -> Variable:
    if i == j:
        return xs[i]
    k = split[i, j]
    return matmul(_product(xs, split, i, k), _product(xs, split, k + 1, j))


def cross(a: Any, b: Any, axis: int = -1) -> Variable:
    """The cross products of vectors of three elements along an axis; other axes broadcast.

    >>> import symgraph as sg
    >>> sg.linalg.cross([1, 0, 0], [0, 1, 0]).eval().tolist()
    [0, 0, 1]
    """
    a, b = promoted(a, b)
    if a.ndim == 0 or b.ndim == 0:
        raise RankError("cross: an operand is a scalar")
    a, b = moveaxis(a, axis, -1), moveaxis(b, axis, -1)
    for x in (a, b):
        if x.shape[-1] != 3:
            raise ShapeError(f"cross: vectors have three elements, not {x.shape[-1]}")
    (x0, x1, x2), (y0, y1, y2) = ([v[..., k] for k in range(3)] for v in (a, b))
    parts = [x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, x0 * y1 - x1 * y0]
    return moveaxis(stack(parts, -1), -1, axis)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Variable:
    """The Vandermonde matrix [..., n, N] of powers of x [..., n], the highest first unless
    ``increasing``; N is n where not given.

    >>> import symgraph as sg
    >>> sg.linalg.vander([2, 3], 3).eval().tolist()
    [[4, 2, 1], [9, 3, 1]]
    """
    x = as_variable(x)
    if x.ndim == 0:
        raise RankError("vander: x is a scalar")
    count = x.shape[-1] if N is None else as_int(N, "vander")
    steps = iota(count)
    exponents = steps if increasing else as_expr(count) - 1 - steps
    return expand_dims(to_dtype(x, "int64") if x.dtype == "bool" else x, -1) ** exponents
