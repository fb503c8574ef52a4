"""Two to four numbers that lie side by side, such as the parts of complex numbers and the places of
points: those of all lanes are one wide load, taken apart by shuffles, or put together for one wide
store. Where the tuples of the lanes lie backwards, the load is taken apart so; where they lie
apart, those of 8 bytes are gathered as words, and those of 16 are a load each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from symgraph import dtypes
from symgraph.codegen import scalar_llvm as scalars
from symgraph.codegen.literals import llvm_type, memory_type
from symgraph.codegen.values import FEW
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.loops.statements import Stmt, Store
from symgraph.scalar import Expr, const, node

if TYPE_CHECKING:
    from symgraph.codegen.values import Lanes, Values

WORD, REGISTER = 8, 16  # bytes
_AT_HAND = ("var", "const")  # values that read nothing which the stores before would change


def size(values: Values, buffer: str, indices: tuple[Expr, ...]) -> int:
    """The elements of the last axis where these are few and the lanes run through the tuples; 0
    elsewhere."""
    few = values.shapes[buffer][-1]
    if values.lane is None or few not in FEW or not isinstance(few, int):
        return 0
    # a load that is guarded by a condition which never holds may be at any index
    if not indices[-1].is_const or not 0 <= indices[-1].value < few:
        return 0
    return few


def load(
    values: Values, e: Expr, indices: tuple[Expr, ...], few: int, cond: Lanes | None
) -> Lanes | None:
    """The wanted element of each lane's tuple; the others are known from now on. None where the
    tuples do not lie so."""
    dtype, lanes = e.dtype, values.lanes
    stride = values.stride(values.linear(e.attr, indices))
    order = range(lanes)
    if stride is not None and abs(stride) == few:
        order = order if stride > 0 else order[::-1]
        whole = _neighbours(values, e, indices, cond, order)
    else:
        gathered = None if stride == 0 else _gathered(values, e, indices, cond)
        if gathered is None:
            return None
        whole = gathered
    kind = llvm_type(dtype, few * lanes)
    for k in range(few):
        part = node(e.op, (*e.args[:-1], const(k)), dtype, e.attr)
        picks = [few * n + k for n in order]
        values.known[part] = _shuffled(values.fn, kind, whole, "poison", picks), lanes
    return values.known[e]


def _neighbours(
    values: Values, e: Expr, indices: tuple[Expr, ...], cond: Lanes | None, order: range
) -> Value:
    """The tuples of all lanes, from the first place in memory on; lane n's is number order[n]."""
    few, lanes = int(values.shapes[e.attr][-1]), values.lanes
    read = values.fn.fresh if e.attr in values.stored else values.fn.val
    start = values.linear(e.attr, (*indices[:-1], const(0)))
    if order.step > 0:
        where = _at(values, e.attr, start, few, e.dtype)
    else:
        first = values.linear_at_first_lane(start, -few)
        lowest = values.fn.val(f"sub i64 {first}, {few * (lanes - 1)}")
        base = values.pointers[e.attr]
        where = values.fn.val(f"getelementptr {memory_type(e.dtype)}, ptr {base}, i64 {lowest}")
    mask = _live(values, cond, few, order)
    return values.vector_load(read, where, e.dtype, mask, few * lanes)[0]


def _gathered(
    values: Values, e: Expr, indices: tuple[Expr, ...], cond: Lanes | None
) -> Value | None:
    """Tuples that lie apart, as words of 8 bytes or as loads of 16; None for others, or where lanes
    that are not live may not be told from those that are."""
    size = int(values.shapes[e.attr][-1]) * dtypes.itemsize(e.dtype)
    position = values.linear(e.attr, (*indices[:-1], const(0)))
    if size == WORD:
        return _words(values, e, position, cond)
    if size != REGISTER or cond is not None or (values.mask is not None and not values.left):
        return None
    step = values.uniform_stride(position)
    return None if step is None else _each(values, e, position, step)


def _words(values: Values, e: Expr, position: Expr, cond: Lanes | None) -> Value:
    where, mask = values.places_of(e.attr, position, e.dtype), values.live(cond)
    read = values.fn.fresh if e.attr in values.stored else values.fn.val
    size = dtypes.itemsize(e.dtype)
    held = values.gathered(read, where, "int64", size, mask)
    kind = llvm_type(e.dtype, WORD // size * values.lanes)
    return values.fn.val(f"bitcast {llvm_type('int64', values.lanes)} {held} to {kind}")


def _each(values: Values, e: Expr, position: Expr, step: Expr) -> Value:
    """The tuples of all lanes by a load each; in the place of lanes that are not live stands what
    the last of them reads."""
    fn, few = values.fn, int(values.shapes[e.attr][-1])
    base, apart = values.first_place(e.attr, position, e.dtype, step)
    kind, align = memory_type(e.dtype, few), dtypes.itemsize(e.dtype)
    last = values.last_lane() if values.mask is not None else ""
    held = []
    for n in range(values.lanes):
        number = fn.call("i64", "llvm.smin.i64", [("i64", last), ("i64", str(n))]) if last else n
        offset = fn.val(f"mul i64 {apart}, {number}")
        where = fn.val(f"getelementptr {memory_type(e.dtype)}, ptr {base}, i64 {offset}")
        held.append(fn.fresh(f"load {kind}, ptr {where}, align {align}"))
    width = few
    while len(held) > 1:
        kind, both = memory_type(e.dtype, width), range(2 * width)
        held = [_shuffled(fn, kind, a, b, both) for a, b in zip(held[::2], held[1::2], strict=True)]
        width *= 2
    return held[0]


def store(values: Values, statements: Sequence[Stmt]) -> int:
    """Write the first of some statements as one wide store, if they are those to neighbours, as
    many as each lane is from the next one; how many they are, or 0."""
    first = statements[0]
    assert isinstance(first, Store)
    few = _together(values, statements)
    if not few:
        return 0
    fn, dtype, lanes = values.fn, first.value.dtype, values.lanes
    parts = [
        scalars.to_memory(fn, values.wide(s.value), dtype, lanes)
        for s in statements[:few] if isinstance(s, Store)
    ]  # fmt: skip
    held = _woven(fn, parts, dtype, lanes)
    where = _at(values, first.buffer, values.linear(first.buffer, first.indices), few, dtype)
    values.vector_store(held, where, dtype, few * lanes, _repeated(values, values.mask, few))
    return few


def _together(values: Values, statements: Sequence[Stmt]) -> int:
    """How many of the first statements are stores to all elements of each lane's tuple."""
    first = statements[0]
    assert isinstance(first, Store)
    start = values.linear(first.buffer, first.indices)
    few = 0 if values.lane is None else values.stride(start)
    if few not in FEW or few is None or len(statements) < few:
        return 0
    for k, s in enumerate(statements[:few]):
        if not isinstance(s, Store) or s.buffer != first.buffer:
            return 0
        if k and s.value.op not in _AT_HAND:
            return 0
        if values.linear(s.buffer, s.indices) - start is not const(k):
            return 0
    return few


def _woven(fn: FunctionWriter, parts: list[Value], dtype: str, lanes: int) -> Value:
    """The first elements of the parts, then the second ones, and so on."""
    few, kind = len(parts), memory_type(dtype, lanes)
    both, wide = list(range(2 * lanes)), memory_type(dtype, 2 * lanes)
    order = [k * lanes + n for n in range(lanes) for k in range(few)]
    if few == 2:
        return _shuffled(fn, kind, parts[0], parts[1], order)
    low = _shuffled(fn, kind, parts[0], parts[1], both)
    high = _shuffled(fn, kind, parts[2], parts[3] if few > 3 else "poison", both)
    return _shuffled(fn, wide, low, high, order)


def _at(values: Values, buffer: str, start: Expr, few: int, dtype: str) -> Value:
    first, base = values.linear_at_first_lane(start, few), values.pointers[buffer]
    return values.fn.val(f"getelementptr {memory_type(dtype)}, ptr {base}, i64 {first}")


def _live(values: Values, cond: Lanes | None, few: int, order: range) -> Value | None:
    """The lanes to touch, each for all elements of a tuple, as these lie in memory."""
    if cond is None or cond[1] > 1 or values.lanes == 1:
        return _repeated(values, values.live(cond), few, order)
    lanes = few * values.lanes  # one flag for all
    same = scalars.splat(values.fn, cond[0], "bool", lanes)
    own = _repeated(values, values.mask, few, order)
    return same if own is None else values.fn.val(f"and {llvm_type('bool', lanes)} {same}, {own}")


def _repeated(
    values: Values, mask: Value | None, few: int, order: Sequence[int] | None = None
) -> Value | None:
    """Each flag for all elements of a tuple."""
    if mask is None:
        return None
    picks = [n for n in order or range(values.lanes) for _ in range(few)]
    return _shuffled(values.fn, llvm_type("bool", values.lanes), mask, "poison", picks)


def _shuffled(fn: FunctionWriter, kind: str, a: Value, b: Value, picks: Sequence[int]) -> Value:
    order = ", ".join(f"i32 {k}" for k in picks)
    return fn.val(f"shufflevector {kind} {a}, {kind} {b}, <{len(picks)} x i32> <{order}>")
