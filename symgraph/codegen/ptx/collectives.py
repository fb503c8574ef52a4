"""Where the threads of a block meet: barriers, and folds over one value of each thread.

32 neighbouring threads combine by halves through shuffles (thread k takes from k + 16, then k + 8
...), the first of them puts the result into shared memory, and after a barrier every thread
combines those from the first to the last. So the order is fixed and all threads know the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph.codegen.folds_llvm import Folds
from symgraph.codegen.literals import ELEMENTS, llvm_type, memory_type
from symgraph.codegen.scalar_llvm import from_memory, to_memory
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.loops.launch import WARP
from symgraph.loops.statements import Fold

_ALL = "i32 -1"


def register(fn: FunctionWriter, name: str) -> Value:
    """A special register, such as ``tid.x``, as an i32.

    >>> register(FunctionWriter("f", []), "tid.x")
    '%v1'
    """
    return fn.call("i32", f"llvm.nvvm.read.ptx.sreg.{name}", [])


def barrier(fn: FunctionWriter) -> None:
    """All threads of the block arrive before any goes on."""
    fn.declare("void", "llvm.nvvm.barrier0", [])
    fn.raw("call void @llvm.nvvm.barrier0()")


def shuffled(fn: FunctionWriter, mode: str, value: Value, dtype: str, lane: int) -> Value:
    """The value that another thread of the warp holds: ``down`` by so many, or number ``idx``."""
    kind, (_, _, bits) = llvm_type(dtype), ELEMENTS[dtype]
    if dtype in ("float32", "float64"):
        value = fn.val(f"bitcast {kind} {value} to i{bits}")
    if bits == 64:
        low = _shuffle(fn, mode, fn.val(f"trunc i64 {value} to i32"), lane)
        high = fn.val(f"lshr i64 {value}, 32")
        high = _shuffle(fn, mode, fn.val(f"trunc i64 {high} to i32"), lane)
        low, high = (fn.val(f"zext i32 {x} to i64") for x in (low, high))
        found = fn.val(f"or i64 {fn.val(f'shl i64 {high}, 32')}, {low}")
    else:
        wide = value if bits == 32 else fn.val(f"zext i{bits} {value} to i32")
        found = _shuffle(fn, mode, wide, lane)
        if bits < 32:
            found = fn.val(f"trunc i32 {found} to i{bits}")
    if dtype in ("float32", "float64"):
        found = fn.val(f"bitcast i{bits} {found} to {kind}")
    return found


def _shuffle(fn: FunctionWriter, mode: str, value: Value, lane: int) -> Value:
    name = f"llvm.nvvm.shfl.sync.{mode}.i32"
    fn.declare("i32", name, ["i32"] * 4)
    return fn.fresh(f"call i32 @{name}({_ALL}, i32 {value}, i32 {lane}, i32 {WARP - 1})")


def fold(host: Any, s: Fold, values: Sequence[Value], threads: int, room: str) -> list[Value]:
    """The fold of what all threads hold; ``room`` names its shared memory."""
    folds = Folds(host, [s], str(threads))
    fn = host.values.fn
    kinds = [n.dtype for n in s.names]
    found = list(values)
    step = WARP // 2
    while step:
        others = [shuffled(fn, "down", v, d, step) for v, d in zip(found, kinds, strict=True)]
        found = folds.combined(s, found, others)
        step //= 2
    if threads == WARP:
        fn.declare("void", "llvm.nvvm.bar.warp.sync", ["i32"])
        fn.raw(f"call void @llvm.nvvm.bar.warp.sync({_ALL})")
        return [shuffled(fn, "idx", v, d, 0) for v, d in zip(found, kinds, strict=True)]
    return _across_warps(host, folds, s, found, threads // WARP, room)


def _across_warps(
    host: Any, folds: Folds, s: Fold, found: list[Value], warps: int, room: str
) -> list[Value]:
    fn, module = host.values.fn, host.values.module
    kinds = [n.dtype for n in s.names]
    rooms = []
    for k, dtype in enumerate(kinds):
        array = f"[{warps} x {memory_type(dtype)}]"
        text = f"internal addrspace(3) global {array} undef, align 16"
        rooms.append(module.global_(f"{room}_{k}", text))
    thread = register(fn, "tid.x")
    lane = fn.val(f"and i32 {thread}, {WARP - 1}")
    warp = fn.val(f"zext i32 {fn.val(f'lshr i32 {thread}, {WARP.bit_length() - 1}')} to i64")

    def leave() -> None:
        for place, value, dtype in zip(rooms, found, kinds, strict=True):
            where = _place(fn, place, dtype, warp)
            held = to_memory(fn, value, dtype, 1)
            fn.raw(f"store {memory_type(dtype)} {held}, ptr addrspace(3) {where}")

    barrier(fn)  # an earlier turn's results have been read
    fn.if_(fn.val(f"icmp eq i32 {lane}, 0"), leave)
    barrier(fn)
    total: list[Value] = []
    for k in range(warps):
        part = [_part(fn, place, dtype, k) for place, dtype in zip(rooms, kinds, strict=True)]
        total = folds.combined(s, total, part) if k else part
    return total


def _place(fn: FunctionWriter, room: Value, dtype: str, at: Value) -> Value:
    return fn.val(f"getelementptr {memory_type(dtype)}, ptr addrspace(3) {room}, i64 {at}")


def _part(fn: FunctionWriter, room: Value, dtype: str, k: int) -> Value:
    where = _place(fn, room, dtype, str(k))
    return from_memory(
        fn, fn.fresh(f"load {memory_type(dtype)}, ptr addrspace(3) {where}"), dtype, 1
    )
