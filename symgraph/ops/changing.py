"""Changed copies: ``x.at[i].set(v)`` and its kin."""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.errors import DTypeError, RankError, ShapeError
from symgraph.ir.graph import Variable, constant
from symgraph.ir.operators import in_language
from symgraph.ir.types import Shape
from symgraph.ops.arithmetic import add, divide, maximum, minimum, multiply, negative
from symgraph.ops.cast import to_dtype
from symgraph.ops.comparison import where
from symgraph.ops.gathering import Gather, scatter
from symgraph.ops.indexing import (
    Plan,
    arrays_to,
    axes_of,
    basic,
    entries_of,
    getitem,
    in_mode,
    is_mask,
    is_whole,
    joined,
    plan,
    rank,
)
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import BroadcastTo, ExpandDims, Reshape, Squeeze, broadcast_to
from symgraph.ops.slicing import Embed, SliceUpdate

__all__ = ["At"]


@in_language("at")
class At:
    """``x.at[key].set(v)``, ``add``, ``subtract``, ``multiply``, ``divide``, ``min``, ``max``: a
    copy of x with the elements at the key changed.

    >>> import symgraph as sg
    >>> sg.zeros(3).at[[0, 0, 2]].add(1.0).eval().tolist()
    [2.0, 0.0, 1.0]
    """

    __slots__ = ("x",)

    def __init__(self, x: Variable) -> None:
        self.x = x

    def __getitem__(self, key: Any) -> Places:
        return Places(self.x, key)


class Places:
    """The elements of x at a key, to be changed in a copy. Values broadcast to ``x[key]`` and take
    the dtype of x, which must be of the same kind. ``mode`` says what an integer index beyond its
    axis does: "raise" IndexOutOfRange when the function runs, "clip" to the nearest, "wrap"."""

    __slots__ = ("key", "x")

    def __init__(self, x: Variable, key: Any) -> None:
        self.x, self.key = x, key

    def get(self, mode: str = "raise") -> Variable:
        """``x[key]``."""
        return getitem(self.x, _in_range(self.x, self.key, mode))

    def set(self, value: Any, mode: str = "raise") -> Variable:
        """x with these elements replaced; of several values for one element the last wins."""
        return self._combined("set", value, mode)

    def add(self, value: Any, mode: str = "raise") -> Variable:
        """x with the values added; several values for one element add up."""
        return self._combined("add", value, mode)

    def subtract(self, value: Any, mode: str = "raise") -> Variable:
        """x with the values subtracted, all of several values for one element."""
        return self._combined("add", negative(self._value(value)), mode)

    def multiply(self, value: Any, mode: str = "raise") -> Variable:
        """x multiplied by the values, by all of several values for one element."""
        return self._combined("mul", value, mode)

    def divide(self, value: Any, mode: str = "raise") -> Variable:
        """x divided by the values, by all of several values for one element; x is a float."""
        if not dtypes.is_float(self.x.dtype):
            raise DTypeError(f"at[...].divide: {self.x.dtype} holds no quotients")
        ones = BroadcastTo(self.x.shape)(constant(1, self.x.dtype))
        return divide(self.x, Places(ones, self.key).multiply(value, mode))

    def min(self, value: Any, mode: str = "raise") -> Variable:
        """x with the lesser of the values and what is there, NaN if one is."""
        return self._combined("minimum", value, mode)

    def max(self, value: Any, mode: str = "raise") -> Variable:
        """x with the greater of the values and what is there, NaN if one is."""
        return self._combined("maximum", value, mode)

    def _combined(self, how: str, value: Any, mode: str) -> Variable:
        v = self._value(value)
        if is_mask(self.key):
            return _masked(self.x, self.key, v, how)
        return _changed(self.x, plan(self.x, _in_range(self.x, self.key, mode)), v, how)

    def _value(self, value: Any) -> Variable:
        if type(value) in (bool, int, float):
            dtypes.promote(self.x.dtype, value)  # refuses integers that do not fit
            kind = {bool: "bool", int: "int64", float: "float64"}[type(value)]
        else:
            value = as_variable(value)
            kind = value.dtype
        weak = type(value) is int and self.x.dtype != "bool"  # 1 may be stored as any number
        if not weak and not dtypes.can_cast_same_kind(kind, self.x.dtype):
            raise DTypeError(
                f"at[...]: cannot store {kind} in {self.x.type.text()}", hint="cast one of them"
            )
        return to_dtype(value, self.x.dtype)


def _in_range(x: Variable, key: Any, mode: str) -> Any:
    """The key with the integers and integer arrays in it taken as the mode has it."""
    if mode == "raise":
        return key
    parts = list(key) if isinstance(key, tuple) else [key]
    entries = [[] if part is Ellipsis else entries_of(part) for part in parts]
    used = sum(axes_of(e) for own in entries for e in own)
    axis = 0
    for k, own in enumerate(entries):
        if parts[k] is Ellipsis:
            axis += x.ndim - used
        elif len(own) == 1 and axis < x.ndim and _is_index(own[0]):
            parts[k] = in_mode(as_variable(own[0]), x.shape[axis], mode, "at[...]")
        axis += sum(map(axes_of, own))
    return tuple(parts)


def _is_index(entry: Any) -> bool:
    if entry is None or isinstance(entry, slice):
        return False
    return not (isinstance(entry, Variable) and entry.dtype == "bool")


def _masked(x: Variable, mask: Variable, v: Variable, mode: str) -> Variable:
    """x with v set at, or combined with, the true elements of a mask: values that are the same for
    all of them need no positions."""
    rest = x.ndim - mask.ndim
    if v.ndim > rest >= 0:
        first = v.shape[0]
        if v.ndim == rest + 1 and isinstance(first, int) and first == 1:
            return _masked(x, mask, Squeeze((0,))(v), mode)
        flat, positions = joined(x, mask)
        v = broadcast_to(v, (positions.shape[0], *flat.shape[1:]))
        new = scatter(mode, (0,), flat, v, (positions,))
        return new if mask.ndim == 1 else Reshape(x.shape)(new)  # type: ignore[no-any-return]
    if rest < 0:
        raise RankError(
            f"too many indices: a mask of {mask.ndim} axes for {x.ndim}",
            hint="a mask has the leading axes of what it selects from",
        )
    test = ExpandDims(tuple(range(mask.ndim, x.ndim)))(mask) if rest else mask
    return where(test, COMBINE[mode](x, v), x)  # type: ignore[no-any-return]


COMBINE: dict[str, Any] = {
    "set": lambda x, v: v, "add": add, "mul": multiply, "minimum": minimum, "maximum": maximum,
}  # fmt: skip


def _changed(x: Variable, p: Plan, v: Variable, mode: str) -> Variable:
    """x with v set at, or combined with, the places of a plan."""
    old = basic(x, p)
    if not p.arrays:
        return _write_basic(x, p, _fitted(v, old.shape, mode), mode)
    gather = Gather(p.gathered)
    count = rank(p)
    shape = arrays_to(gather(old, *p.arrays), p, count).shape
    v = arrays_to(_fitted(v, shape, mode), p, count, back=True)
    new = scatter(mode, p.gathered, old, v, p.arrays)
    return _write_basic(x, p, new, "set")


def _fitted(v: Variable, shape: Shape, mode: str) -> Variable:
    """v in the shape of the places that it is written to."""
    try:
        return broadcast_to(v, shape)
    except (ShapeError, RankError) as error:
        text = ", ".join(map(str, shape))
        raise type(error)(
            f"x.at[...].{mode}: a value of type {v.type.text()} for places of the shape [{text}]",
            hint="a value has the shape of x[...], or broadcasts to it",
        ) from None


def _write_basic(x: Variable, p: Plan, v: Variable, mode: str) -> Variable:
    """x with v, shaped as the basic part of the plan reads it, set there or combined."""
    if mode not in ("set", "add"):
        return _write_basic(x, p, COMBINE[mode](basic(x, p), v), "set")
    v = Squeeze(p.added)(v) if p.added else v
    v = ExpandDims(p.dropped)(v) if p.dropped else v
    if is_whole(p, x.shape):
        return x + v if mode == "add" else v
    if mode == "add":
        return x + Embed(p.start, p.step, x.shape)(v)  # type: ignore[no-any-return]
    return SliceUpdate(p.start, p.step)(x, v)  # type: ignore[no-any-return]
