"""Two to four numbers that lie side by side, such as the parts of complex numbers and the places of
points: those of all lanes are one wide load, taken apart by shuffles, or put together for one wide
store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from symgraph.codegen import scalar_llvm as scalars
from symgraph.codegen.literals import llvm_type, memory_type
from symgraph.codegen.values import FEW
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.loops.statements import Stmt, Store
from symgraph.scalar import Expr, const, node

if TYPE_CHECKING:
    from symgraph.codegen.values import Lanes, Values

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
    return few if values.stride(values.linear(buffer, indices)) == few else 0


def load(values: Values, e: Expr, indices: tuple[Expr, ...], cond: Lanes | None) -> Lanes:
    """The wanted element of each lane's tuple; the others are known from now on."""
    dtype, lanes, few = e.dtype, values.lanes, int(values.shapes[e.attr][-1])
    read = values.fn.fresh if e.attr in values.stored else values.fn.val
    where = _place(values, e.attr, indices, dtype)
    mask = _live(values, cond, few)
    whole = values.vector_load(read, where, dtype, mask, few * lanes)[0]
    kind = llvm_type(dtype, few * lanes)
    for k in range(few):
        part = node(e.op, (*e.args[:-1], const(k)), dtype, e.attr)
        picks = [few * n + k for n in range(lanes)]
        values.known[part] = _shuffled(values.fn, kind, whole, "poison", picks), lanes
    return values.known[e]


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


def _place(values: Values, buffer: str, indices: tuple[Expr, ...], dtype: str) -> Value:
    start = values.linear(buffer, (*indices[:-1], const(0)))
    return _at(values, buffer, start, int(values.shapes[buffer][-1]), dtype)


def _at(values: Values, buffer: str, start: Expr, few: int, dtype: str) -> Value:
    first, base = values.linear_at_first_lane(start, few), values.pointers[buffer]
    return values.fn.val(f"getelementptr {memory_type(dtype)}, ptr {base}, i64 {first}")


def _live(values: Values, cond: Lanes | None, few: int) -> Value | None:
    """The lanes to touch, each for all elements of a tuple."""
    if cond is None or cond[1] > 1 or values.lanes == 1:
        return _repeated(values, values.live(cond), few)
    lanes = few * values.lanes  # one flag for all
    same = scalars.splat(values.fn, cond[0], "bool", lanes)
    own = _repeated(values, values.mask, few)
    return same if own is None else values.fn.val(f"and {llvm_type('bool', lanes)} {same}, {own}")


def _repeated(values: Values, mask: Value | None, few: int) -> Value | None:
    """Each flag for all elements of a tuple."""
    if mask is None:
        return None
    picks = [k // few for k in range(few * values.lanes)]
    return _shuffled(values.fn, llvm_type("bool", values.lanes), mask, "poison", picks)


def _shuffled(fn: FunctionWriter, kind: str, a: Value, b: Value, picks: Sequence[int]) -> Value:
    order = ", ".join(f"i32 {k}" for k in picks)
    return fn.val(f"shufflevector {kind} {a}, {kind} {b}, <{len(picks)} x i32> <{order}>")
