"""Indexing with Python's brackets: slices, integer arrays, both."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, DTypeError, IndexOutOfRange, RankError
from symgraph.ir.graph import Constant, Variable, constant
from symgraph.ir.operators import in_language
from symgraph.ir.types import Shape, Size, normalize_axis
from symgraph.loops.compute import elements
from symgraph.ops.arithmetic import (
    clip,
    floor_divide,
    maximum,
    minimum,
    remainder,
)
from symgraph.ops.cast import to_dtype
from symgraph.ops.comparison import less, where
from symgraph.ops.data_sizes import flat_positions, size_from
from symgraph.ops.gathering import Gather, TakeAlongAxis
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import (
    ExpandDims,
    Reshape,
    Squeeze,
    as_int,
    ravel,
    transpose,
)
from symgraph.ops.slice_steps import has_tensor_step, places, plain
from symgraph.ops.slicing import STEP_HINT, Slice, slice_of, valid_indices
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, as_expr, as_size
from symgraph.scalar.sizes import at_least_zero, ceil_div, count_from_end

__all__ = ["take", "take_along_axis"]


# from a key to a plan -----------------------------------------------------------------------------


class Plan(NamedTuple):
    """What a key means: a Slice of every axis; ``dropped`` axes of it squeezed; new axes at
    ``added``; then a gather along the axes ``gathered`` by ``arrays``, whose own axes come to stand
    at position ``place`` of the result."""

    start: tuple[Size, ...]
    step: tuple[int, ...]
    size: tuple[Size, ...]
    dropped: tuple[int, ...]
    added: tuple[int, ...]
    gathered: tuple[int, ...]
    arrays: tuple[Variable, ...]
    place: int


def plan(x: Variable, key: Any) -> Plan:
    """The plan of ``x[key]``; raises IndexOutOfRange, DTypeError or RankError for a bad key."""
    entries = _expand(key, x)
    parts: list[tuple[Size, int, Size]] = []
    dropped: list[int] = []
    added: list[int] = []
    gathered: list[int] = []
    arrays: list[Variable] = []
    advanced: list[int] = []
    kept = 0  # axes of the result of the basic part so far
    for position, entry in enumerate(entries):
        if entry is None:
            added.append(kept)
            kept += 1
            continue
        axis = len(parts)
        n = x.shape[axis]
        if isinstance(entry, slice):
            parts.append(_span(entry, n))
            kept += 1
        elif isinstance(entry, Variable):
            _check_constant(entry, axis, n)
            parts.append((0, 1, n))
            gathered.append(kept)
            arrays.append(to_dtype(entry, "int64"))
            advanced.append(position)
            kept += 1
        else:
            parts.append((_position(entry, axis, n), 1, 1))
            dropped.append(axis)
            advanced.append(position)
    place = _place(entries, advanced) if arrays else 0
    start, step, size = zip(*parts, strict=True) if parts else ((), (), ())
    basic = (start, step, size, tuple(dropped), tuple(added))
    return Plan(*basic, tuple(gathered), tuple(arrays), place)


def _expand(key: Any, x: Variable) -> list[Any]:
    """The key as a list with one entry for each axis (and None for new ones), the ellipsis and
    constant masks resolved."""
    given = list(key) if isinstance(key, tuple) else [key]
    entries: list[Any] = []
    ellipsis = None
    for entry in given:
        if entry is Ellipsis:
            if ellipsis is not None:
                raise ArgumentError(
                    "an index can have only one ellipsis", hint="write : for each other axis"
                )
            ellipsis = len(entries)
        else:
            entries.extend(entries_of(entry))
    used = sum(axes_of(e) for e in entries)
    if used > x.ndim:
        raise RankError(
            f"too many indices: {used} for {x.ndim} dimension{'s' * (x.ndim != 1)}",
            hint="None in an index adds an axis: x[:, None]",
        )
    where_ = len(entries) if ellipsis is None else ellipsis
    entries[where_:where_] = [slice(None)] * (x.ndim - used)
    return _without_masks(entries, x.shape)


def axes_of(entry: Any) -> int:
    """How many axes of the tensor an entry indexes."""
    if isinstance(entry, Variable) and entry.dtype == "bool":
        return entry.ndim
    return int(entry is not None)


def _without_masks(entries: list[Any], shape: Shape) -> list[Any]:
    """The entries with index arrays, one for each axis, in the places of masks: their size is known
    when the mask has been computed."""
    found: list[Any] = []
    axis = 0
    for entry in entries:
        count = axes_of(entry)
        if isinstance(entry, Variable) and entry.dtype == "bool":
            if not count:
                raise RankError(
                    "a mask without axes stands alone in an index", hint="x[None][mask[None]]"
                )
            found += unravelled(entry, shape[axis : axis + count])
        else:
            found.append(entry)
        axis += count
    return found


def unravelled(mask: Variable, shape: Shape) -> list[Variable]:
    """For each axis of ``shape`` the positions of the true elements of a mask."""
    flat = flat_positions(mask, shape)
    if len(shape) == 1:
        return [flat]
    found: list[Variable] = []
    stride: Size = 1
    for n in reversed(shape):
        at = flat if stride == 1 else floor_divide(flat, as_variable(stride))
        found.append(remainder(at, as_variable(n)))
        stride = as_size(as_expr(stride) * n)
    return found[::-1]


def _span(part: slice, n: Size) -> tuple[Size, int, Size]:
    """(start, step, size) of a slice of an axis of size n; bounds that are tensors become sizes,
    clamped as Python does."""
    if has_tensor_step(part):
        raise ArgumentError(
            "the step of a slice that is changed is an int, not a tensor",
            hint="change the elements at sg.arange(start, stop, step) instead",
        )
    given = (part.start, part.stop)
    if not any(isinstance(b, Variable) for b in given):
        return slice_of(part, n)
    step = 1 if part.step is None else as_int(part.step, "slice step")
    if step == 0:
        raise ArgumentError("slice step cannot be zero", hint=STEP_HINT)
    if step > 0:
        first, end = (_edge(b, d, n, 0) for b, d in zip(given, (0, n), strict=True))
        return first, step, at_least_zero(ceil_div(as_size(as_expr(end) - first), step))
    last = as_size(as_expr(n) - 1)
    first, end = (_edge(b, d, n, -1) for b, d in zip(given, (last, -1), strict=True))
    return first, step, at_least_zero(ceil_div(as_size(as_expr(first) - end), -step))


def _edge(bound: Any, default: Size, n: Size, low: int) -> Size:
    """A bound of a slice as a size from ``low`` to n + low."""
    if bound is None:
        return default
    at = as_variable(bound)
    if at.ndim or not dtypes.is_int(at.dtype):
        raise DTypeError(f"a slice bound is a 0-d integer, not {at.type.text()}")
    at = to_dtype(at, "int64")
    size = as_variable(n)
    at = where(less(at, 0), maximum(at + size, low), minimum(at, size + low))
    return as_size(as_expr(size_from(at - low)) + low)


def entries_of(entry: Any) -> list[Any]:
    """One item of a key as what :func:`plan` knows: None, a slice, a size or an integer tensor."""
    if entry is None or isinstance(entry, slice | Expr):
        return [entry]
    if isinstance(entry, bool | np.bool_):
        raise DTypeError("a bool is no index", hint="use an int, or a list of bools for a mask")
    if isinstance(entry, int | np.integer):
        return [int(entry)]
    if isinstance(entry, list) and not entry:
        entry = np.zeros(0, "int64")
    index = as_variable(entry)
    if index.dtype == "bool":
        if not isinstance(index, Constant):
            return [index]
        return [constant(found) for found in np.nonzero(index.data)]
    if not dtypes.is_int(index.dtype):
        raise DTypeError(
            f"an index is an integer, a slice or a mask, not {index.type.text()}",
            hint='i.astype("int64") makes integers of it; i // 2 stays an integer, i / 2 does not',
        )
    return [index]


def _position(index: Size, axis: int, n: Size) -> Size:
    found = count_from_end(index, n)
    if isinstance(found, int) and isinstance(n, int) and not 0 <= found < n:
        what = f"index {index} is out of range for axis {axis} of size {n}"
        raise IndexOutOfRange(what, hint=valid_indices(n))
    return found


def _check_constant(index: Variable, axis: int, n: Size) -> None:
    """Constant indices into an axis of known size are checked now."""
    if isinstance(index, Constant) and isinstance(n, int):
        bad = index.data[(index.data < -n) | (index.data >= n)]
        if bad.size:
            what = f"index {bad[0]} is out of range for axis {axis} of size {n}"
            raise IndexOutOfRange(what, hint=valid_indices(n))


def _place(entries: list[Any], advanced: list[int]) -> int:
    """NumPy's rule: the axes of the index arrays stand where these were when they were neighbours,
    else in front; an int counts as an index array here."""
    if advanced[-1] - advanced[0] + 1 != len(advanced):
        return 0
    return sum(1 for e in entries[: advanced[0]] if e is None or isinstance(e, slice))


# reading ------------------------------------------------------------------------------------------


def is_whole(p: Plan, shape: Shape) -> bool:
    plain = zip(p.start, p.step, p.size, shape, strict=True)
    return all(a == 0 and k == 1 and (s is n or s == n) for a, k, s, n in plain)


def basic(x: Variable, p: Plan) -> Variable:
    out = x if is_whole(p, x.shape) else Slice(p.start, p.step, p.size)(x)
    out = Squeeze(p.dropped)(out) if p.dropped else out
    return ExpandDims(p.added)(out) if p.added else out


def arrays_to(y: Variable, p: Plan, count: int, back: bool = False) -> Variable:
    """Move the ``count`` axes of the index arrays from the front to their place, or back."""
    if not p.place:
        return y
    order = list(range(count, y.ndim))
    order[p.place : p.place] = range(count)
    return transpose(y, np.argsort(order).tolist() if back else order)


def rank(p: Plan) -> int:
    return max(a.ndim for a in p.arrays)


@in_language("getitem")
def getitem(x: Any, key: Any) -> Variable:
    """``x[key]`` with NumPy's meaning: ints, slices, None, ellipsis, integer tensors and arrays,
    masks.

    A tensor as mask, or as bound or step of a slice, gives a size that is known when it has been
    computed: a compiled function goes on in a further part then (docs/sizes.md). Raises
    IndexOutOfRange at once where the size is known, else when the function runs.

    >>> import symgraph as sg
    >>> sg.constant([[1, 2, 3], [4, 5, 6]])[:, [2, 0]].eval().tolist()
    [[3, 1], [6, 4]]
    """
    x = as_variable(x)
    if is_mask(key):
        return _selected(x, key)
    x, key = _without_tensor_steps(x, key)
    p = plan(x, key)
    out = basic(x, p)
    if p.arrays:
        out = arrays_to(Gather(p.gathered)(out, *p.arrays), p, rank(p))
    return out


def _without_tensor_steps(x: Variable, key: Any) -> tuple[Variable, Any]:
    """x read along the axes whose slices have a tensor as step, and the rest of the key."""
    given = key if isinstance(key, tuple) else (key,)
    if not any(has_tensor_step(part) for part in given):
        return x, key
    entries = _expand(tuple(plain(p) if has_tensor_step(p) else p for p in given), x)
    axis = 0
    for k, entry in enumerate(entries):
        if has_tensor_step(entry):
            x = take(x, places(entry, x.shape[axis]), axis)
            entries[k] = slice(None)
        axis += axes_of(entry)
    return x, tuple(entries)


def is_mask(key: Any) -> bool:
    """Whether a key is one mask whose number of true elements is known at run time only."""
    return isinstance(key, Variable) and key.dtype == "bool" and not isinstance(key, Constant)


def _selected(x: Variable, mask: Variable) -> Variable:
    """``x[mask]``: the axes of the mask become one, which is read at the true elements."""
    flat, positions = joined(x, mask)
    return Gather((0,))(flat, positions)  # type: ignore[no-any-return]


def joined(x: Variable, mask: Variable) -> tuple[Variable, Variable]:
    """x with the axes of a mask as one, and the positions of the true elements on it."""
    if mask.ndim > x.ndim:
        raise RankError(f"too many indices: a mask of {mask.ndim} axes for {x.ndim}")
    over = x.shape[: mask.ndim]
    positions = flat_positions(mask, over)
    if mask.ndim == 1:
        return x, positions
    return Reshape((elements(over), *x.shape[mask.ndim :]))(x), positions


def take(x: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Variable:
    """The elements of x at ``indices`` along ``axis`` (of the flattened x when not given).

    The shape is ``x.shape[:axis] + indices.shape + x.shape[axis+1:]``. An index out of range is an
    error ("raise"; negative ones count from the end), comes round the axis ("wrap"), or becomes
    the nearest one there is ("clip", where negative ones become 0).

    >>> import symgraph as sg
    >>> sg.take([10, 20, 30], [2, 0]).eval().tolist()
    [30, 10]
    >>> sg.take([10, 20, 30], [4, -5], mode="clip").eval().tolist()
    [30, 10]
    """
    x = ravel(x) if axis is None else as_variable(x)
    axis = normalize_axis(0 if axis is None else axis, x.ndim, "take: axis")
    index = as_variable(indices)
    if index.dtype == "bool":
        raise DTypeError("take: indices are integers, not bools")
    if not dtypes.is_int(index.dtype) and index.shape == (0,):
        index = to_dtype(index, "int64")  # an empty list
    index = in_mode(index, x.shape[axis], mode, "take")
    return getitem(x, (slice(None),) * axis + (index,))


def in_mode(index: Variable, n: Size, mode: str, what: str) -> Variable:
    """The indices into an axis of size n as the mode has it: raise, wrap or clip.

    Raises ArgumentError for another mode.
    """
    if mode == "raise":
        return index
    if mode not in ("wrap", "clip"):
        raise ArgumentError(f"{what}: unknown mode {mode!r}", hint="raise, wrap or clip")
    if not dtypes.is_int(index.dtype):
        raise DTypeError(f"{what}: indices are integers, not {index.dtype}")
    index = to_dtype(index, "int64")
    if mode == "clip":
        return clip(index, 0, as_variable(as_size(as_expr(n) - 1)))
    return remainder(index, as_variable(n))


def take_along_axis(x: Any, indices: Any, axis: int) -> Variable:
    """Along ``axis`` the elements at ``indices``, of the rank of x; other axes broadcast.

    >>> import symgraph as sg
    >>> sg.take_along_axis([[1, 2], [3, 4]], [[1], [0]], 1).eval().tolist()
    [[2], [3]]
    """
    x, index = as_variable(x), as_variable(indices)
    if not dtypes.is_int(index.dtype):
        raise DTypeError(f"take_along_axis: indices are integers, not {index.dtype}")
    if index.ndim != x.ndim:
        raise RankError(f"take_along_axis: {index.ndim} and {x.ndim} dimensions")
    axis = normalize_axis(axis, x.ndim, "take_along_axis: axis")
    _check_constant(index, axis, x.shape[axis])
    return TakeAlongAxis(axis)(x, to_dtype(index, "int64"))  # type: ignore[no-any-return]
