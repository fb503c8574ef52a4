"""Pairs of numbers that lie side by side, such as the parts of complex numbers: those of all lanes
are one wide load, taken apart by shuffles, or put together for one wide store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symgraph.codegen import scalar_llvm as scalars
from symgraph.codegen.literals import llvm_type, memory_type
from symgraph.codegen.writer import Value
from symgraph.loops.statements import Store
from symgraph.scalar import Expr, const, node

if TYPE_CHECKING:
    from symgraph.codegen.values import Lanes, Values


def are_pairs(values: Values, buffer: str, indices: tuple[Expr, ...]) -> bool:
    """Whether the last axis holds two elements and the lanes run through the pairs."""
    if values.lane is None or not indices or values.shapes[buffer][-1] != 2:
        return False
    # a load that is guarded by a condition which never holds may be at any index
    if not indices[-1].is_const or indices[-1].value not in (0, 1):
        return False
    return values.stride(values.linear(buffer, indices)) == 2


def load(values: Values, e: Expr, indices: tuple[Expr, ...], cond: Lanes | None) -> Lanes:
    """The wanted element of each lane's pair; the other one is known from now on."""
    dtype, lanes = e.dtype, values.lanes
    read = values.fn.fresh if e.attr in values.stored else values.fn.val
    where = _place(values, e.attr, indices, dtype)
    mask = _live_twice(values, cond)
    both = values.vector_load(read, where, dtype, mask, 2 * lanes)[0]
    kind = llvm_type(dtype, 2 * lanes)
    for k in (0, 1):
        picks = ", ".join(f"i32 {2 * n + k}" for n in range(lanes))
        words = f"{kind} {both}, {kind} poison, <{lanes} x i32> <{picks}>"
        part = node(e.op, (*e.args[:-1], const(k)), dtype, e.attr)
        values.known[part] = values.fn.val(f"shufflevector {words}"), lanes
    return values.known[e]


def store_both(values: Values, a: Store, b: Store) -> bool:
    """Two stores as one wide one, when they write the two elements of each lane's pair."""
    ends = [s.indices[-1] for s in (a, b) if s.indices]
    neighbours = a.buffer == b.buffer and a.indices[:-1] == b.indices[:-1]
    if not neighbours or b.value.op not in ("var", "const") or len(ends) < 2:
        return False
    if ends[0] is not const(0) or ends[1] is not const(1):
        return False
    if not are_pairs(values, a.buffer, a.indices):
        return False
    fn, dtype, lanes = values.fn, a.value.dtype, values.lanes
    parts = [scalars.to_memory(fn, values.wide(s.value), dtype, lanes) for s in (a, b)]
    kind = memory_type(dtype, lanes)
    picks = ", ".join(f"i32 {n // 2 + n % 2 * lanes}" for n in range(2 * lanes))
    words = f"{kind} {parts[0]}, {kind} {parts[1]}, <{2 * lanes} x i32> <{picks}>"
    held = fn.val(f"shufflevector {words}")
    where = _place(values, a.buffer, a.indices, dtype)
    values.vector_store(held, where, dtype, 2 * lanes, _twice(values, values.mask))
    return True


def _place(values: Values, buffer: str, indices: tuple[Expr, ...], dtype: str) -> Value:
    start = values.linear(buffer, (*indices[:-1], const(0)))
    first, base = values.linear_at_first_lane(start, 2), values.pointers[buffer]
    return values.fn.val(f"getelementptr {memory_type(dtype)}, ptr {base}, i64 {first}")


def _live_twice(values: Values, cond: Lanes | None) -> Value | None:
    """The lanes to touch, each for both elements of a pair."""
    if cond is None or cond[1] > 1 or values.lanes == 1:
        return _twice(values, values.live(cond))
    lanes = 2 * values.lanes  # one flag for all
    same, own = scalars.splat(values.fn, cond[0], "bool", lanes), _twice(values, values.mask)
    return same if own is None else values.fn.val(f"and {llvm_type('bool', lanes)} {same}, {own}")


def _twice(values: Values, mask: Value | None) -> Value | None:
    """Each flag for both elements of a pair."""
    if mask is None:
        return None
    picks = ", ".join(f"i32 {k // 2}" for k in range(2 * values.lanes))
    flags = llvm_type("bool", values.lanes)
    words = f"{flags} {mask}, {flags} poison, <{2 * values.lanes} x i32> <{picks}>"
    return values.fn.val(f"shufflevector {words}")
