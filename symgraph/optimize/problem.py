"""Functions of nests as graphs over one vector, and what they read besides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, DTypeError, GradientError, ShapeError
from symgraph.ir.graph import Graph, Input, Variable, rebuild
from symgraph.ir.types import Size, TensorType
from symgraph.ops.cast import to_dtype
from symgraph.ops.control import close_over
from symgraph.ops.joining import concatenate, part_of
from symgraph.ops.nests import flatten
from symgraph.ops.operands import as_variable
from symgraph.ops.retyping import replaced
from symgraph.ops.shape import reshape
from symgraph.optimize.tied import frozen
from symgraph.records import NamedTuple
from symgraph.scalar import as_expr, as_size, product

Vector = Callable[..., Any]


class Flat:
    """A nest of real tensors as one vector, and back: float32 or float64, integers become
    float64."""

    def __init__(self, what: str, nest: Any) -> None:
        leaves, self.pack = flatten(nest)
        self.leaves = [as_variable(v) for v in leaves]
        if not self.leaves:
            raise ArgumentError(f"{what}: there is no unknown")
        dtype = float_dtype(leaves)
        if dtype not in ("float32", "float64"):
            raise DTypeError(
                f"{what}: the unknown is {dtype}", hint="float32 and float64 are supported"
            )
        self.what, self.dtype = what, dtype
        self.sizes = [product(v.shape) for v in self.leaves]
        total: Any = 0
        for s in self.sizes:
            total = as_size(as_expr(total) + s)
        self.n: Size = total
        self.type = TensorType(dtype, (self.n,))

    def vector(self, leaves: Sequence[Variable] | None = None) -> Variable:
        """The leaves, or others of the same shapes, one after the other."""
        parts = [
            reshape(to_dtype(v, self.dtype), (s,))
            for v, s in zip(leaves or self.leaves, self.sizes, strict=True)
        ]
        return parts[0] if len(parts) == 1 else concatenate(parts)

    def nest(self, x: Variable) -> Any:
        """A vector as the nest."""
        found, start = [], as_expr(0)
        for v, s in zip(self.leaves, self.sizes, strict=True):
            part = x if len(self.sizes) == 1 else part_of(x, 0, as_size(start), s)
            found.append(reshape(part, v.shape))
            start = start + s
        return self.pack(found)

    def like(self, values: Any, what: str) -> Variable:
        """Values of the same structure and shapes as a vector. Raises ArgumentError, ShapeError."""
        leaves = [as_variable(v) for v in flatten(values)[0]]
        if len(leaves) != len(self.leaves):
            raise ArgumentError(
                f"{self.what}: {what} has {len(leaves)} parts, the unknown {len(self.leaves)}"
            )
        for k, (a, b) in enumerate(zip(leaves, self.leaves, strict=True)):
            if a.ndim != b.ndim or any(
                isinstance(m, int) and isinstance(n, int) and m != n
                for m, n in zip(a.shape, b.shape, strict=True)
            ):
                raise ShapeError(
                    f"{self.what}: part {k} of {what} is {a.type.text()}, of the unknown "
                    f"{b.type.text()}"
                )
        return self.vector(leaves)


def float_dtype(values: Sequence[Any]) -> str:
    """The common dtype of values, Python numbers taking that of the others; at least float64 where
    there are integers only."""
    kinds = [type(v) if type(v) in (bool, int, float) else as_variable(v).dtype for v in values]
    dtype = dtypes.promote(*kinds)
    return dtype if dtypes.is_inexact(dtype) else "float64"


class Traced(NamedTuple):
    """Outputs over the inputs ``own`` and ``inner``; the latter stand for what is ``captured``."""

    own: list[Input]
    inner: list[Input]
    outputs: list[Variable]
    captured: list[Variable]

    def graph(self, *outputs: Variable) -> Graph:
        """These outputs over all inputs."""
        return Graph([*self.own, *self.inner], outputs)

    def at(self, values: Sequence[Variable], outputs: Sequence[Variable]) -> list[Variable]:
        """Outputs where ``own`` has these values."""
        mapping = zip([*self.own, *self.inner], [*values, *self.captured], strict=True)
        return rebuild(outputs, dict(mapping))

    def loose(self) -> Traced:
        """The same without derivatives by what is captured."""
        return self._replace(captured=frozen(self.captured))


def traced(own: Sequence[Input], outputs: Sequence[Variable]) -> Traced:
    """Outputs over ``own`` with all else that they read as further inputs."""
    captured, inner, found = close_over(outputs, own)
    return Traced(list(own), inner, found, captured)


def of_expression(fn: Any, x0: Any, what: str) -> Callable[..., Any]:
    """``fn``; an expression of the variables x0 becomes a function of them."""
    leaves, _ = flatten(fn)
    if callable(fn) and not isinstance(fn, Variable):
        return fn
    if not all(isinstance(v, Variable) for v in leaves):
        raise ArgumentError(f"{what}: fn is a function of tensors, or an expression of x0")
    olds, _ = flatten(x0)
    if not all(isinstance(v, Variable) for v in olds):
        raise ArgumentError(
            f"{what}: fn is an expression, so that x0 must be the variables in it",
            hint="or give a function: lambda x: ...",
        )
    _, pack = flatten(fn)

    def function(x: Any, *args: Any) -> Any:
        return pack(replaced(leaves, dict(zip(olds, flatten(x)[0], strict=True))))

    return function


def scalar_cost(value: Any, what: str) -> Variable:
    """The value of a cost. Raises GradientError when it is no real scalar."""
    cost = value if isinstance(value, Variable) else as_variable(value)
    if cost.ndim or not dtypes.is_float(cost.dtype):
        raise GradientError(
            f"{what}: fn gives {cost.type.text()}, not a real scalar",
            operands=[(cost.label(), cost.type.text(), cost.origin)],
            hint="take sg.sum or sg.mean of it",
        )
    return cost
