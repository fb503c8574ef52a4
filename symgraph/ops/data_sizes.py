"""The ops whose results have a size that only data can tell: positions of true elements, and a
size that is the value of a tensor.

All else of this kind is made of these two and ops of ordinary sizes. A compiled function computes
what they read, learns the size, and goes on in a further part (segments.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import DTypeError, RankError
from symgraph.ir.graph import Constant, Variable, making
from symgraph.ir.op import Op
from symgraph.ir.types import Shape, Size, TensorType, same_size
from symgraph.loops.compute import Compute, Operand, elements, pointwise
from symgraph.loops.routine import Routine
from symgraph.ops.operands import as_variable
from symgraph.scalar import as_size

__all__ = ["size_from"]


class FlatNonzero(Op):
    """The positions of the true elements of a mask in C order, in a vector of the size ``count``;
    ``shape`` is the shape of what the mask selects from."""

    name = "flatnonzero"
    makes = "count"
    nondifferentiable = "the result holds positions"
    shape: Shape
    count: Size

    def infer(self, mask: TensorType) -> TensorType:
        if mask.dtype != "bool":
            raise DTypeError(f"flatnonzero: the mask is {mask.dtype}")
        for k, (a, b) in enumerate(zip(mask.shape, self.shape, strict=True)):
            same_size(a, b, f"mask and array: sizes differ on axis {k}")
        return TensorType("int64", (self.count,))

    def bound(self, mask: TensorType) -> Size:
        """The positions are below this."""
        return elements(self.shape)

    def reference(self, mask: Any) -> Any:
        return mask.ravel().nonzero()[0]

    def extern(self, mask: TensorType) -> Routine:
        return Routine("python")


class SizeFrom(Op):
    """A 0-d integer as a size: an array with as many rows as it says, none where it is negative,
    and without elements."""

    name = "size_from"
    makes = "count"
    nondifferentiable = "the result is a size"
    count: Size

    def infer(self, n: TensorType) -> TensorType:
        if n.shape or n.dtype != "int64":
            raise DTypeError(f"size_from: a size is a 0-d int64, not {n.text()}")
        return TensorType("bool", (self.count, 0))

    def reference(self, n: Any) -> Any:
        return np.empty((max(int(n), 0), 0), np.bool_)

    def extern(self, n: TensorType) -> Routine:
        return Routine("python")


class Below(Op):
    """x itself, of which it is known that its elements are at least 0 and below ``limit``: indices
    from another part of a program need no second look."""

    name = "below"
    limit: Size
    nondifferentiable = "the elements are positions"

    def infer(self, x: TensorType) -> TensorType:
        return x

    def bound(self, x: TensorType) -> Size:
        """The elements are below this."""
        return self.limit

    def reference(self, x: Any) -> Any:
        return x

    def lower(self, out: TensorType, x: Operand) -> Compute:
        return pointwise(out.shape, lambda *i: x(*i))


def flat_positions(mask: Variable, shape: Shape | None = None) -> Variable:
    """The positions of the true elements of a mask, which selects from an array of ``shape``."""
    return making(FlatNonzero(mask.shape if shape is None else shape, 0), (mask,)).output


def size_from(n: Any) -> Size:
    """The value of a 0-d integer tensor as a size, wherever a size can stand (negative ones are
    0): for :func:`zeros`, :func:`reshape`, ``n_steps`` of a scan ...

    What is computed with it runs in a part of its own, after the value is known. Inside the step of
    a loop it is an error. Raises RankError, DTypeError.

    >>> import symgraph as sg
    >>> n = sg.scalar("n", dtype="int64")
    >>> sg.compile([n], sg.zeros((sg.size_from(n + 1), 2)))(2).shape
    (3, 2)
    """
    x = as_variable(n)
    if x.ndim:
        raise RankError(f"a size is a scalar, got {x.type.text()}")
    if not dtypes.is_int(x.dtype):
        raise DTypeError(f"a size is an integer, not {x.type.text()}")
    if isinstance(x, Constant):
        return max(int(x.data), 0)
    if x.owner is not None and x.owner.op.name == "size_value":
        return as_size(x.owner.op.size)  # type: ignore[attr-defined]
    if x.dtype != "int64":
        x = x.astype("int64")
    return making(SizeFrom(0), (x,)).output.shape[0]
