"""Every other element, or the elements backwards, as plain loads and a shuffle instead of a gather.

Lane k reads element p + 2 k, or p - k. No element outside of those that the lanes read is touched
at the ends, since it may lie outside of the buffer: two loads of L elements, one from p on and one
up to p + 2 (L - 1), hold all of the first kind; under a mask only the wanted elements are loaded.
"""

from __future__ import annotations

from collections.abc import Callable

from symgraph.codegen.literals import llvm_type, memory_type
from symgraph.codegen.writer import FunctionWriter, Value

STRIDES = (2, -1)

Load = Callable[[Value, "Value | None"], Value]  # (first position, mask) -> L elements


def strided(
    fn: FunctionWriter,
    stride: int,
    first: Value,
    mask: Value | None,
    load: Load,
    kind: str,
    lanes: int,
) -> Value:
    """The elements of all lanes; ``first`` is the position of lane 0, ``kind`` the vector type."""
    if stride == -1:
        start = fn.val(f"sub i64 {first}, {lanes - 1}")
        held = load(start, _picked(fn, mask, [lanes - 1 - k for k in range(lanes)], lanes))
        return _shuffled(fn, kind, held, held, [lanes - 1 - k for k in range(lanes)])
    half = lanes // 2
    low = [k // 2 if k % 2 == 0 else lanes for k in range(lanes)]
    high = [(k + lanes - 1) // 2 if (k + lanes - 1) % 2 == 0 else lanes for k in range(lanes)]
    second = fn.val(f"add i64 {first}, {lanes - 1}")
    a = load(first, _picked(fn, mask, low, lanes))
    b = load(second, _picked(fn, mask, high, lanes))
    order = [2 * k if k < half else 2 * k + 1 for k in range(lanes)]
    return _shuffled(fn, kind, a, b, order)


def backwards(
    fn: FunctionWriter, first: Value, mask: Value | None, held: Value, dtype: str, lanes: int
) -> tuple[Value, Value | None, Value]:
    """A value whose lanes go to elements ``first``, ``first`` - 1, ... as it is stored: turned
    round, with its mask, and the position of the lowest element."""
    order = [lanes - 1 - k for k in range(lanes)]
    start = fn.val(f"sub i64 {first}, {lanes - 1}")
    kind = memory_type(dtype, lanes)
    return _shuffled(fn, kind, held, held, order), _picked(fn, mask, order, lanes), start


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
