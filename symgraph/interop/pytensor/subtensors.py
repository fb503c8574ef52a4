"""Indexing: parts of tensors, and tensors with changed parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import api as sg
from symgraph.interop.pytensor.table import Untranslatable, translates
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import is_one
from symgraph.scalar import Expr, as_expr, as_size


def _entry(v: Any, t: Any) -> Any:
    """One index: None, a slice, a size or a tensor."""
    if v is None or isinstance(v, int | np.integer):
        return v
    kind = type(v.type).__name__
    if kind == "NoneTypeT":
        return None
    if kind == "SliceType":
        return _slice(v, t)
    known = t.known(v)
    if known is not None and not isinstance(known, tuple):
        return known
    x = t.get(v)
    if x.dtype == "bool" and t.outer is not None:
        raise Untranslatable("a mask inside a loop")
    return x


def _slice(v: Any, t: Any) -> slice:
    if hasattr(v, "data"):
        return v.data
    if v.owner is not None and type(v.owner.op).__name__ == "MakeSlice":
        return slice(*(_bound(p, t) for p in v.owner.inputs))
    raise Untranslatable("a slice that is a value")


def _bound(v: Any, t: Any) -> Any:
    found = _entry(v, t)
    if hasattr(found, "ndim") and t.outer is not None and not isinstance(found, Expr):
        raise Untranslatable("a slice inside a loop has a bound that depends on data")
    return found


def _old_key(entries: Any, inputs: list[Any], t: Any) -> tuple[Any, ...]:
    """The key from the list of an op before PyTensor 3, where a type stands for the next input."""
    rest = iter(inputs)

    def one(entry: Any, bound: bool = False) -> Any:
        if isinstance(entry, slice):
            return slice(*(one(p, True) for p in (entry.start, entry.stop, entry.step)))
        if entry is None or isinstance(entry, int | np.integer):
            return entry
        v = next(rest)
        return _bound(v, t) if bound else _entry(v, t)

    return tuple(one(e) for e in entries)


def _new_key(entries: Any, inputs: list[Any], t: Any) -> tuple[Any, ...]:
    """The key from the list of an op since PyTensor 3, where a number is the place of an input."""

    def part(place: Any) -> Any:
        return None if place is None else _bound(inputs[place], t)

    return tuple(
        slice(part(e.start), part(e.stop), part(e.step))
        if isinstance(e, slice)
        else _entry(inputs[e], t)
        for e in entries
    )


def key_of(op: Any, inputs: list[Any], t: Any) -> tuple[Any, ...]:
    """What stands in the brackets."""
    entries = getattr(op, "idx_list", None)
    if entries is None:
        return tuple(_entry(v, t) for v in inputs)
    flat = [
        p for e in entries for p in ((e.start, e.stop, e.step) if isinstance(e, slice) else (e,))
    ]
    old = any(not isinstance(p, int | np.integer | type(None)) for p in flat)
    if old or not inputs or len([p for p in flat if p is not None]) != len(inputs):
        return _old_key(entries, inputs, t)
    return _new_key(entries, inputs, t)


def _masks_stretched(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Masks beside other index arrays as positions, which stretch when the data leave only one."""
    masks = [k for k, e in enumerate(key) if getattr(e, "dtype", "") == "bool" and e.ndim == 1]
    others = [e for e in key if getattr(e, "ndim", 0)]
    if not masks or len(others) < 2 or any(e.ndim > 1 for e in others):
        return key
    found = [sg.nonzero(e)[0] if k in masks else e for k, e in enumerate(key)]
    places = [k for k, e in enumerate(found) if getattr(e, "ndim", 0)]
    counts = [as_variable(found[k].shape[0]) for k in places]
    count = counts[0]
    for other in counts[1:]:
        count = sg.where(count == 1, other, count)
    size = sg.size_from(count)
    for k, own in zip(places, counts, strict=True):
        array = sg.assert_(found[k], (own == 1) | (own == count), "index arrays: sizes differ")
        found[k] = sg.take(array, sg.arange(size) % sg.maximum(own, 1))
    return tuple(found)


@translates("Subtensor", "AdvancedSubtensor", "AdvancedSubtensor1")
def subtensor(op: Any, node: Any, t: Any) -> Any:
    """x[key]."""
    source, *inputs = node.inputs
    key = key_of(op, inputs, t)
    known = t.known(source)
    if isinstance(known, tuple) and len(key) == 1:
        (k,) = key
        if isinstance(k, int) and -len(known) <= k < len(known):
            t.sizes[node.outputs[0]] = known[k]
            return None
        parts = (k.start, k.stop, k.step) if isinstance(k, slice) else (object(),)
        if all(isinstance(p, int | type(None)) for p in parts):
            t.sizes[node.outputs[0]] = known[k]
            return None
    return t.get(source)[_places_stretched(_masks_stretched(key), t)]


@translates("IncSubtensor", "AdvancedIncSubtensor", "AdvancedIncSubtensor1")
def inc_subtensor(op: Any, node: Any, t: Any) -> Any:
    """x with x[key] set or added to."""
    source, added, *inputs = node.inputs
    x, y = t.get(source), t.get(added)
    key = key_of(op, inputs, t)
    key = _places_stretched(key, t)
    y = sg.cast(y, x.dtype)
    y = y if _by_places(op, key) else _stretched(y, x, key, t)
    if op.set_instead_of_inc:
        return x.at[key].set(y)
    if getattr(op, "ignore_duplicates", False):
        return x.at[key].set(x[key] + y)
    return x.at[key].add(y)


def _by_places(op: Any, key: tuple[Any, ...]) -> bool:
    """Whether one vector of places is all that is given, with which nothing stretches that is not
    known to be 1."""
    found = [k for k in key if not isinstance(k, slice) or k != slice(None)]
    if len(found) != 1 or not type(op).__name__.startswith("AdvancedInc"):
        return False
    return getattr(found[0], "ndim", 0) == 1 and found[0].dtype != "bool"


def _differ(a: Any, b: Any) -> bool:
    """Whether two sizes may differ when neither is known to be 1."""
    return not (is_one(a) or is_one(b)) and as_size(as_expr(a) - b) != 0


def _places_stretched(key: tuple[Any, ...], t: Any) -> tuple[Any, ...]:
    """Index arrays of sizes that may turn out to be 1, which stretches them."""
    at = [k for k, e in enumerate(key) if getattr(e, "ndim", 0)]
    if len(at) < 2 or any(key[k].dtype == "bool" for k in at):
        return key
    found = list(key)
    for axis in range(1, 1 + max(key[k].ndim for k in at)):
        have = [k for k in at if found[k].ndim >= axis]
        counts = [found[k].shape[-axis] for k in have]
        if any(_differ(counts[0], n) for n in counts[1:]) and not t.strictly("index arrays"):
            t.raises[_UNEQUAL] = (IndexError, _UNEQUAL)  # as NumPy
            _stretch_places(found, have, axis)
    return tuple(found)


_UNEQUAL = "index arrays: sizes differ"


def _stretch_places(found: list[Any], at: list[int], axis: int) -> None:
    counts = [as_variable(found[k].shape[-axis]) for k in at]
    count = counts[0]
    for other in counts[1:]:
        count = sg.where(count == 1, other, count)
    size = sg.size_from(count)
    for k, own in zip(at, counts, strict=True):
        array = sg.assert_(found[k], (own == 1) | (own == count), _UNEQUAL)
        places = sg.arange(size) % sg.maximum(own, 1)
        found[k] = sg.take(array, places, axis=array.ndim - axis)


def _stretched(y: Any, x: Any, key: tuple[Any, ...], t: Any) -> Any:
    """y over the shape of x[key]. A size that is not known before the call may turn out to be 1
    there, which PyTensor lets stretch in this place alone."""
    masks = any(getattr(k, "dtype", "") == "bool" for k in key)
    if masks or all(isinstance(n, int) for n in y.shape):
        return y
    target = x[key].shape
    if len(target) < y.ndim:
        return y
    for axis, (have, want) in enumerate(zip(y.shape, target[len(target) - y.ndim :], strict=True)):
        if isinstance(have, int) or as_size(as_expr(have) - want) == 0:
            continue
        if t.strictly("the new part"):
            continue
        size, wanted = as_variable(have), as_variable(want)
        y = sg.assert_(y, (size == 1) | (size == wanted), "shape mismatch: sizes differ")
        places = sg.arange(want) % sg.maximum(size, 1)
        y = sg.take(y, places, axis=axis)
    return y
