"""The type of a tensor: dtype and shape, with symbolic sizes.

A size is a Python int or an int64 scalar expression over named sizes; equal sizes are equal
objects, so shapes are inferred and checked while the graph is built. Two sizes that may differ at
run time are recorded as a :class:`SizeCheck`, which the compiled function tests before it computes
anything.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from symgraph import dtypes
from symgraph.errors import AxisError, ShapeError
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, as_size, fresh_size, var
from symgraph.scalar.sizes import nonnegative, smaller

Size = int | Expr
Shape = tuple[Size, ...]


class TensorType(NamedTuple):
    """dtype and shape of a tensor.

    >>> print(TensorType("float32", ("batch", 784)).text())
    float32[batch, 784]
    """

    dtype: str
    shape: tuple[Size, ...] = ()

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def text(self) -> str:
        """``float32[batch, 784]``; a scalar prints as its dtype alone."""
        return self.dtype + (f"[{', '.join(map(str, self.shape))}]" if self.shape else "")

    def with_shape(self, shape: Sequence[Size]) -> TensorType:
        return TensorType(self.dtype, tuple(shape))

    def with_dtype(self, dtype: str) -> TensorType:
        return TensorType(dtype, self.shape)


class SizeCheck(NamedTuple):
    """A run-time condition: the two sizes are equal (``what`` says where they meet)."""

    left: Expr | int
    right: Expr | int
    what: str

    def says_all(self) -> bool:
        """Whether it is a bound, minimum(size, 0) == 0, and no equation of two sizes."""
        return isinstance(self.left, Expr) and self.left.op == "minimum" and self.right == 0


def below_zero(name: str, types: Sequence[TensorType], given: Iterable[Shape]) -> list[SizeCheck]:
    """The checks that sizes which an op makes are not negative; those ``given`` were checked."""
    made = [
        (k, n) for t in types for k, n in enumerate(t[1]) if isinstance(n, Expr) and n.op != "var"
    ]
    if not made:
        return []
    known = {n for shape in given for n in shape}
    return [
        SizeCheck(smaller(n, 0), 0, f"{name}: axis {k} has a size below 0, {n}")
        for k, n in made
        if n not in known and not nonnegative(n)
    ]


def tensor_type(dtype: object, shape: Sequence[object] = ()) -> TensorType:
    """A checked type from what a user writes: sizes are ints, names, expressions or None.

    >>> tensor_type("float32", ("n", 3)).ndim
    2
    """
    return TensorType(dtypes.as_dtype(dtype), tuple(_user_size(s) for s in shape))


def _user_size(size: object) -> Size:
    if size is None:
        return fresh_size()
    if isinstance(size, str):
        if not size.isidentifier() or size.startswith("_"):
            raise ShapeError(
                f"{size!r} cannot name a size",
                hint="a size name is an identifier that does not begin with an underscore",
            )
        return var(size)
    if isinstance(size, Expr):
        return as_size(size)
    try:
        value = int(size.__index__())  # type: ignore[attr-defined]
    except AttributeError:
        raise ShapeError(
            f"a size is an int, a name or None, not {size!r}",
            hint="write // for whole sizes"
            if isinstance(size, float)
            else 'as in shape=("batch", 784)',
        ) from None
    if value < 0:
        raise ShapeError(
            f"a size cannot be negative: {value}",
            hint="for a size that is not known: None or a name",
        )
    return value


class _Collector(threading.local):
    """Where this thread collects checks."""

    checks: list[SizeCheck] | None = None


_collector = _Collector()


def collecting_checks() -> list[SizeCheck]:
    """Begin to collect the checks of one node's type rule (the caller reads the list after it)."""
    checks = _collector.checks = []
    return checks


def same_size(a: Size, b: Size, what: str) -> Size:
    """The common size of two axes that must agree; raises when they surely differ.

    Constant sizes win over symbolic ones; sizes that only may differ give a run-time check.
    """
    if a is b or a == b:
        return a
    if isinstance(a, int) and isinstance(b, int):
        raise ShapeError(f"{what}: {a} and {b}")
    if isinstance(a, Expr) and isinstance(b, Expr):
        gap = as_size(a - b)
        if isinstance(gap, int):
            raise ShapeError(f"{what}: {a} and {b}")
    if _collector.checks is not None:
        _collector.checks.append(SizeCheck(a, b, what))
    return a if isinstance(a, int) else b if isinstance(b, int) else a


def broadcast_shapes(*shapes: Sequence[Size], what: str = "sizes differ") -> Shape:
    """NumPy's broadcast of shapes. An unknown size never stretches: only a constant 1 does.

    Raises ShapeError naming the axis. >>> broadcast_shapes((3, 1), (4,))
    (3, 4)
    """
    ndim = max(map(len, shapes), default=0)
    out: list[Size] = []
    for axis in range(ndim):
        common: Size = 1
        for shape in shapes:
            k = axis - ndim + len(shape)
            if k < 0 or (isinstance(shape[k], int) and shape[k] == 1):
                continue
            one = isinstance(common, int) and common == 1
            common = shape[k] if one else same_size(common, shape[k], f"{what} on axis {axis}")
        out.append(common)
    return tuple(out)


def normalize_axis(axis: int, ndim: int, what: str = "axis") -> int:
    """An axis counted from the front; raises AxisError out of range.

    >>> normalize_axis(-1, 3)
    2
    """
    from_end = axis + ndim if axis < 0 else axis
    if not 0 <= from_end < ndim:
        raise AxisError(
            f"{what} {axis} is out of range for {ndim} dimension{'s' * (ndim != 1)}",
            hint=f"axes run from 0 to {ndim - 1}, or from -{ndim} to -1 counted from the end"
            if ndim
            else "a 0-d tensor has no axes",
        )
    return from_end
