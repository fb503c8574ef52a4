"""Products of matrices, and their diagonals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.operators import in_language
from symgraph.ir.types import Size, TensorType, broadcast_shapes, same_size
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.loops.routine import Routine
from symgraph.ops import reductions
from symgraph.ops.cast import computed_in, to_dtype
from symgraph.ops.complex_parts import conjugate_part
from symgraph.ops.operands import as_variable, describe, promotable
from symgraph.ops.shape import (
    as_int,
    broadcast_to,
    expand_dims,
    is_one,
    moveaxis,
    ravel,
    reshape,
    swapaxes,
)
from symgraph.scalar import Expr, as_expr, as_size, guard, product
from symgraph.scalar.functions import eq
from symgraph.scalar.sizes import at_least_zero, smaller

__all__ = ["diag", "diagonal", "matmul", "outer", "trace", "vecdot"]


class MatMul(Op):
    """The matrix product over the last two axes of float tensors; leading axes agree.

    ``ta`` and ``tb`` say that an operand is given transposed, so that derivatives need no copies.
    """

    name = "matmul"
    ta: bool = False
    tb: bool = False

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        batch = []
        for k, (m, n) in enumerate(zip(a.shape[:-2], b.shape[:-2], strict=True)):
            batch.append(same_size(m, n, f"matmul: sizes differ on axis {k}"))
        rows, left = a.shape[:-3:-1] if self.ta else a.shape[-2:]
        right, columns = b.shape[:-3:-1] if self.tb else b.shape[-2:]
        same_size(left, right, "matmul: inner sizes differ")
        return a.with_shape((*batch, rows, columns))

    def reference(self, a: Any, b: Any) -> Any:
        a = np.swapaxes(a, -1, -2) if self.ta else a
        return np.matmul(a, np.swapaxes(b, -1, -2) if self.tb else b)

    def vjp(self, g: Variable, y: Variable, a: Variable, b: Variable) -> tuple[Variable, Variable]:
        ta, tb = self.ta, self.tb
        ga = multiply_matrices(b, g, tb, True) if ta else multiply_matrices(g, b, False, not tb)
        gb = multiply_matrices(g, a, True, ta) if tb else multiply_matrices(a, g, not ta, False)
        return ga, gb

    def extern(self, a: TensorType, b: TensorType) -> Routine:
        return Routine("matmul", (("ta", self.ta), ("tb", self.tb)))


def multiply_matrices(a: Variable, b: Variable, ta: bool = False, tb: bool = False) -> Variable:
    """The matrix product over the last two axes of tensors of one dtype and equal leading axes.

    Integers, bools and an inner size of 1 need no BLAS: they become a product and a sum that fuse.
    """
    single = is_one(a.shape[-2 if ta else -1])
    if dtypes.is_inexact(a.dtype) and not single:
        return MatMul(ta, tb)(a, b)  # type: ignore[no-any-return]
    left = swapaxes(a, -1, -2) if ta else a
    right = swapaxes(b, -1, -2) if tb else b
    if single:
        return left * right  # type: ignore[no-any-return]
    products = expand_dims(left, -1) * expand_dims(right, -3)
    if a.dtype == "bool":
        return reductions.any(products, axis=-2)
    return to_dtype(reductions.sum(products, axis=-2), a.dtype)


class Diagonal(Op):
    """The diagonal number ``offset`` (above the main one when positive) of the last two axes."""

    name = "diagonal"
    offset: int

    def infer(self, x: TensorType) -> TensorType:
        rows, columns = x.shape[-2:]
        length = smaller(
            as_size(as_expr(rows) + min(self.offset, 0)),
            as_size(as_expr(columns) - max(self.offset, 0)),
        )
        return x.with_shape((*x.shape[:-2], at_least_zero(length)))

    def reference(self, x: Any) -> Any:
        return np.diagonal(x, self.offset, -2, -1)

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (DiagonalEmbed(self.offset, *x.shape[-2:])(g),)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        down, right = max(-self.offset, 0), max(self.offset, 0)
        return pointwise(out.shape, lambda *i: x(*i[:-1], i[-1] + down, i[-1] + right))


class DiagonalEmbed(Op):
    """Zero matrices of ``rows`` by ``columns`` with x along the diagonal number ``offset``."""

    name = "diagonal_embed"
    offset: int
    rows: Size
    columns: Size

    def infer(self, x: TensorType) -> TensorType:
        whole = TensorType(x.dtype, (*x.shape[:-1], self.rows, self.columns))
        length = Diagonal(self.offset).infer(whole).shape[-1]
        same_size(length, x.shape[-1], "diagonal_embed: lengths differ")
        return whole

    def reference(self, x: Any) -> Any:
        out = np.zeros((*x.shape[:-1], self.rows, self.columns), x.dtype)
        k = np.arange(x.shape[-1])
        out[..., k + max(-self.offset, 0), k + max(self.offset, 0)] = x
        return out

    def vjp(self, g: Variable, y: Variable, x: Variable) -> tuple[Variable]:
        return (Diagonal(self.offset)(g),)

    def lower(self, out: TensorType, x: Operand) -> Compute:
        def element(*i: Expr) -> Expr:
            row, column = i[-2:]
            here = x(*i[:-2], row - max(-self.offset, 0))
            return guard(here, eq(column - row, self.offset))

        return pointwise(out.shape, element)


# functions ----------------------------------------------------------------------------------------


def promoted(*xs: Any) -> list[Variable]:
    """The operands as tensors of their common dtype."""
    dtype = dtypes.promote(*map(promotable, xs))
    return [to_dtype(x, dtype) for x in xs]


@in_language("matmul")
def matmul(a: Any, b: Any) -> Variable:
    """The matrix product of the last two axes; leading axes broadcast, vectors are rows or columns.

    Raises ShapeError when the inner sizes differ, RankError for scalars.

    >>> import symgraph as sg
    >>> sg.matmul([[1, 2], [3, 4]], [1, 1]).eval().tolist()
    [3, 7]
    """
    a, b = promoted(a, b)
    if a.ndim == 0 or b.ndim == 0:
        raise RankError("matmul: an operand is a scalar", hint="use * for scalars")
    if a.ndim == b.ndim == 1:
        return _sum_of_products(a, b)
    _check_inner(a, b)
    if b.ndim == 1:
        return matmul(a, expand_dims(b, 1)).squeeze(-1)  # type: ignore[no-any-return]
    if a.ndim == 1:
        return matmul(expand_dims(a, 0), b).squeeze(-2)  # type: ignore[no-any-return]
    if b.ndim == 2 and a.ndim > 2 and dtypes.is_inexact(a.dtype):
        # one large product instead of a batch of small ones
        rows = reshape(a, (product(a.shape[:-1]), a.shape[-1]))
        return reshape(multiply_matrices(rows, b), (*a.shape[:-1], b.shape[-1]))
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2], what="matmul: batch sizes differ")
    return multiply_matrices(_stretched(a, batch), _stretched(b, batch))


def _stretched(x: Variable, batch: Sequence[Size]) -> Variable:
    """The matrices with all leading axes; axes that need not stretch keep their own sizes, which
    the product compares, so that nothing stands between it and what made the operand."""
    own = x.shape[:-2]
    missing = len(batch) - len(own)
    kept = [new if is_one(old) else old for old, new in zip(own, batch[missing:], strict=True)]
    return broadcast_to(x, (*batch[:missing], *kept, *x.shape[-2:]))


def _check_inner(a: Variable, b: Variable) -> None:
    m, n = a.shape[-1], b.shape[-2 if b.ndim > 1 else -1]
    try:
        same_size(m, n, "matmul: inner sizes differ")
    except ShapeError as error:
        error.operands = describe((a, b))
        error.hint = _fitting(a, b)
        raise


def _fitting(a: Variable, b: Variable) -> str:
    """Which transposes make a product possible."""
    names = ("the first operand", "the second operand")
    a_name, b_name = (v.name or n for v, n in zip((a, b), names, strict=True))
    if a.ndim > 1 and b.ndim > 1:
        if a.shape[-1] == b.shape[-1]:
            return f"{b_name} transposed fits: {b.name or 'b'}.mT"
        if a.shape[-2] == b.shape[-2]:
            return f"{a_name} transposed fits: {a.name or 'a'}.mT"
    if a.shape[0] == b.shape[-1]:
        return "the operands fit in the other order"
    return ""


def vecdot(a: Any, b: Any, axis: int = -1) -> Variable:
    """The sum of products along an axis; the other axes broadcast. Of complex operands the first
    one is conjugated.

    >>> import symgraph as sg
    >>> sg.vecdot([1, 2], [3, 4]).eval().item()
    11
    """
    a, b = promoted(a, b)
    if not a.ndim or not b.ndim:
        raise RankError("vecdot: an operand is a scalar")
    a = conjugate_part(a) if dtypes.is_complex(a.dtype) else a
    return _sum_of_products(moveaxis(a, axis, -1), moveaxis(b, axis, -1))


def _sum_of_products(left: Variable, right: Variable) -> Variable:
    same_size(left.shape[-1], right.shape[-1], "vecdot: sizes differ")
    if left.dtype == "bool":
        return reductions.any(left & right, axis=-1)
    products = computed_in(left) * computed_in(right)
    return to_dtype(reductions.sum(products, axis=-1), left.dtype)


def outer(a: Any, b: Any) -> Variable:
    """All products of an element of a and one of b, both flattened.

    >>> import symgraph as sg
    >>> sg.outer([1, 2], [3, 4]).eval().tolist()
    [[3, 4], [6, 8]]
    """
    return expand_dims(ravel(a), 1) * expand_dims(ravel(b), 0)  # type: ignore[no-any-return]


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Variable:
    """The elements x[..., k, ..., k + offset, ...] of two axes, along a new last axis.

    Raises RankError below two dimensions.

    >>> import symgraph as sg
    >>> sg.diagonal([[1, 2], [3, 4]]).eval().tolist()
    [1, 4]
    """
    x = as_variable(x)
    if x.ndim < 2:
        raise RankError(f"diagonal: needs two dimensions, got {x.ndim}")
    x = moveaxis(x, (axis1, axis2), (-2, -1))
    return Diagonal(as_int(offset, "diagonal"))(x)  # type: ignore[no-any-return]


def diag(x: Any, offset: int = 0) -> Variable:
    """The matrix with a vector along its diagonal, or the diagonal of a matrix.

    >>> import symgraph as sg
    >>> sg.diag([1, 2]).eval().tolist()
    [[1, 0], [0, 2]]
    """
    x = as_variable(x)
    if x.ndim == 2:
        return diagonal(x, offset)
    if x.ndim != 1:
        raise RankError(f"diag: needs a vector or a matrix, got {x.ndim} dimensions")
    n = as_size(as_expr(x.shape[0]) + abs(offset))
    return DiagonalEmbed(as_int(offset, "diag"), n, n)(x)  # type: ignore[no-any-return]


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Variable:
    """The sum of a diagonal.

    >>> import symgraph as sg
    >>> sg.trace([[1, 2], [3, 4]]).eval().item()
    5
    """
    return reductions.sum(diagonal(x, offset, axis1, axis2), axis=-1)
