"""Every second, third ... element, or the elements backwards, as plain loads and shuffles instead
of a gather.

Lane k reads element p + s k, or p - k. No element outside of those that the lanes read is touched
at the ends, since it may lie outside of the buffer: s loads of L elements, the last of which ends
with element p + s (L - 1), hold all of the first kind; under a mask only the wanted elements are
loaded, or those up to the last one.
"""

from __future__ import annotations

from collections.abc import Callable

from symgraph.codegen import scalar_llvm as scalars
from symgraph.codegen.literals import lane_numbers, llvm_type, memory_type
from symgraph.codegen.writer import FunctionWriter, Value

STRIDES = (2, 3, 4, 5, 6, 7, 8, -1)
UNDER_MASK = (2, 3, 4, 5, 6, -1)  # up to which this is quicker where each load needs a mask
PICKED = (2, -1)  # the same where that mask is picked from one of lanes anywhere

Load = Callable[[Value, "Value | None"], Value]  # (first position, mask) -> L elements


def strided(
    fn: FunctionWriter,
    stride: int,
    first: Value,
    mask: Value | None,
    load: Load,
    kind: str,
    lanes: int,
    last: Value = "",
) -> Value:
    """The elements of all lanes; ``first`` is the position of lane 0, ``kind`` the vector type.
    ``last``: how far after it the last one lies that may be read, if the mask says no more."""
    if stride == -1:
        start = fn.val(f"sub i64 {first}, {lanes - 1}")
        turned = [lanes - 1 - k for k in range(lanes)]
        held = load(start, _picked(fn, mask, turned, lanes))
        return _shuffled(fn, kind, held, held, turned)
    parts: list[Value] = []
    order = [0] * lanes
    for begin in (*range(0, (stride - 1) * lanes, lanes), (stride - 1) * (lanes - 1)):
        own = {k: stride * k - begin for k in range(lanes) if 0 <= stride * k - begin < lanes}
        if last:
            live: Value | None = _up_to(fn, last, begin, lanes)
        else:
            wanted = {n: k for k, n in own.items()}
            live = _picked(fn, mask, [wanted.get(n, lanes) for n in range(lanes)], lanes)
        parts.append(load(fn.val(f"add i64 {first}, {begin}") if begin else first, live))
        order = [lanes * (len(parts) > 1) + own[k] if k in own else order[k] for k in range(lanes)]
        if len(parts) > 1:
            parts = [_shuffled(fn, kind, parts[0], parts[1], order)]
            order = [*range(lanes)]
    return parts[0]


def backwards(
    fn: FunctionWriter, first: Value, mask: Value | None, held: Value, dtype: str, lanes: int
) -> tuple[Value, Value | None, Value]:
    """A value whose lanes go to elements ``first``, ``first`` - 1, ... as it is stored: turned
    round, with its mask, and the position of the lowest element."""
    order = [lanes - 1 - k for k in range(lanes)]
    start = fn.val(f"sub i64 {first}, {lanes - 1}")
    kind = memory_type(dtype, lanes)
    return _shuffled(fn, kind, held, held, order), _picked(fn, mask, order, lanes), start


def _up_to(fn: FunctionWriter, last: Value, begin: int, lanes: int) -> Value:
    """The mask of the elements from ``begin`` on that do not lie after the last one."""
    number = fn.val(f"trunc i64 {fn.val(f'sub i64 {last}, {begin}')} to i32")
    most = scalars.splat(fn, number, "int32", lanes)
    return fn.val(f"icmp sle {llvm_type('int32', lanes)} {lane_numbers(lanes, 'int32')}, {most}")


def _picked(
    fn: FunctionWriter, mask: Value | None, lanes_of: list[int], lanes: int
) -> Value | None:
    """The mask of the lanes that the elements belong to; number ``lanes`` is nobody."""
    if mask is None:
        return None
    flags = llvm_type("bool", lanes)
    order = ", ".join(f"i32 {k}" for k in lanes_of)
    words = f"{flags} {mask}, {flags} zeroinitializer, <{lanes} x i32> <{order}>"
    return fn.val(f"shufflevector {words}")


def _shuffled(fn: FunctionWriter, kind: str, a: Value, b: Value, order: list[int]) -> Value:
    picks = ", ".join(f"i32 {k}" for k in order)
    return fn.val(f"shufflevector {kind} {a}, {kind} {b}, <{len(order)} x i32> <{picks}>")
