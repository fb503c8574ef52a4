"""Compute: what one fusible op means, as one scalar expression over indices.

``out[axes...] = body`` or, with a reduction, the fold of ``body`` over further axes. Fusion is
substitution: the body of a producer replaces the loads of its buffer in the body of its consumer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgraph import dtypes
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, const, load, product, var

Size = Expr | int


class Reduction(NamedTuple):
    """The axes folded by ``combiner``, one of COMBINERS, with their extents."""

    combiner: str
    axes: tuple[Expr, ...]
    extents: tuple[Size, ...]


class Compute(NamedTuple):
    """``out[axes] = fold(reduction, body)``; argmax and argmin fold the pair (value, position)
    and keep the position."""

    axes: tuple[Expr, ...]
    shape: tuple[Size, ...]
    body: tuple[Expr, ...]
    reduction: Reduction | None = None

    @property
    def dtype(self) -> str:
        return self.body[-1].dtype


class Operand:
    """An input of an op while it is lowered: calling it with indices gives its element.

    >>> x = Operand("x", "float32", (var("n"), 3))
    >>> str(x(var("_i0"), const(1)))
    'x[_i0, 1]'
    """

    __slots__ = ("buffer", "dtype", "shape")

    def __init__(self, buffer: str, dtype: str, shape: Sequence[Size]) -> None:
        self.buffer, self.dtype, self.shape = buffer, dtype, tuple(shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __call__(self, *indices: Expr) -> Expr:
        return load(self.buffer, tuple(indices), self.dtype)

    def at_broadcast(self, indices: Sequence[Expr]) -> Expr:
        """The element that NumPy's broadcasting puts at ``indices`` of the common shape."""
        own = indices[len(indices) - self.ndim :]
        zero = const(0)
        return self(*(zero if s == 1 else i for i, s in zip(own, self.shape, strict=True)))


def index_axes(ndim: int) -> tuple[Expr, ...]:
    """The index variables of an output: ``_i0, _i1, ...`` (user size names have no underscore)."""
    return tuple(var(f"_i{k}") for k in range(ndim))


def reduce_axes(ndim: int) -> tuple[Expr, ...]:
    """The index variables of a reduction: ``_r0, _r1, ...``"""
    return tuple(var(f"_r{k}") for k in range(ndim))


def pointwise(shape: Sequence[Size], body: Callable[..., Expr]) -> Compute:
    """A Compute without reduction: ``body(*axes)`` is the element."""
    axes = index_axes(len(shape))
    return Compute(axes, tuple(shape), (body(*axes),))


def elements(shape: Sequence[Size]) -> Size:
    """The number of elements of a shape."""
    return product(tuple(shape))


# combiner -> number of carried values; their meaning is in IDENTITY and loops.interpreter.
COMBINERS = {
    "add": 1, "mul": 1, "maximum": 1, "minimum": 1, "and": 1, "or": 1, "argmax": 2, "argmin": 2,
    "complex_add": 2, "complex_mul": 2,
}  # fmt: skip


def identity(combiner: str, dtype: str) -> float | int | bool:
    """The neutral element of a combiner at a dtype.

    >>> identity("maximum", "float32"), identity("add", "int8")
    (-inf, 0)
    """
    if combiner in ("add", "or", "complex_add"):
        return False if dtype == "bool" else 0
    if combiner in ("mul", "and", "complex_mul"):
        return True if dtype == "bool" else 1
    largest = combiner in ("minimum", "argmin")
    if dtypes.is_float(dtype):
        return float("inf") if largest else float("-inf")
    return dtypes.max_value(dtype) if largest else dtypes.min_value(dtype)
