"""A square that is stored turned round, through registers.

    for b in 0 .. D { for a in 0 .. E vector { s[a, b] = f(a, b) } }

Lane for lane that is a scatter. Here L values of L lanes each are made for L turns of b, turned in
registers, and stored along b. A turn is log2(L) rounds in which values k and k + L/2 are merged
element by element into values 2k and 2k + 1: each round moves one bit of the row's number to the
end of the column's and one bit of the column's to the end of the row's.
"""

from __future__ import annotations

from symgraph import dtypes
from symgraph.codegen import scalar_llvm as scalars
from symgraph.codegen.literals import memory_type
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.loops.statements import For, Store
from symgraph.scalar import coefficient, const


def emit_turned(values: Values, s: For, vector_bits: int) -> bool:
    """Write the nest that way if it is one; otherwise nothing, and the answer is False."""
    if values.lane is not None or s.kind != "serial" or len(s.body) != 1:
        return False
    inner = s.body[0]
    if not isinstance(inner, For) or inner.kind != "vector" or len(inner.body) != 1:
        return False
    if not isinstance(s.extent, int) or not isinstance(inner.extent, int):
        return False
    store = inner.body[0]
    if not isinstance(store, Store):
        return False
    dtype = store.value.dtype
    lanes = min(vector_bits // (8 * dtypes.itemsize(dtype)), s.extent, inner.extent)
    place = values.linear(store.buffer, store.indices)
    if coefficient(place, s.index) is not const(1) or lanes < 2:
        return False
    if s.extent % lanes or inner.extent % lanes:
        return False
    if coefficient(place, inner.index) is None:
        return False
    for b in range(0, s.extent, lanes):
        for a in range(0, inner.extent, lanes):
            _block(values, s, inner, store, (b, a), lanes)
    return True


def _block(
    values: Values, s: For, inner: For, store: Store, start: tuple[int, int], lanes: int
) -> None:
    dtype = store.value.dtype
    rows: list[Value] = []
    for b in range(start[0], start[0] + lanes):
        with values.inside():
            values.bind(s.index, (str(b), 1))
            with values.vector(inner.index, lanes, str(start[1]), None):
                held = values.wide(store.value)
                rows.append(scalars.to_memory(values.fn, held, dtype, lanes))
    columns = turned(values.fn, rows, memory_type(dtype, lanes), lanes)
    for k, column in enumerate(columns):
        with values.inside():
            values.bind(s.index, (str(start[0]), 1))
            values.bind(inner.index, (str(start[1] + k), 1))
            where = values.address(store.buffer, values.linear(store.buffer, store.indices), dtype)
        align = dtypes.itemsize(dtype)
        values.fn.raw(f"store {memory_type(dtype, lanes)} {column}, ptr {where}, align {align}")


def turned(fn: FunctionWriter, rows: list[Value], kind: str, lanes: int) -> list[Value]:
    """The columns of as many rows as lanes.

    >>> fn = FunctionWriter("f", [("<2 x i8>", "a", ""), ("<2 x i8>", "b", "")])
    >>> turned(fn, ["%a", "%b"], "<2 x i8>", 2)
    ['%v1', '%v2']
    """
    half = lanes // 2
    merges = [
        ", ".join(f"i32 {part * half + k // 2 + k % 2 * lanes}" for k in range(lanes))
        for part in (0, 1)
    ]
    for _ in range(lanes.bit_length() - 1):
        rows = [
            fn.val(f"shufflevector {kind} {a}, {kind} {b}, <{lanes} x i32> <{order}>")
            for a, b in zip(rows[:half], rows[half:], strict=True)
            for order in merges
        ]
    return rows
