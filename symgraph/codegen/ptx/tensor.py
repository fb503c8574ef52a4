"""Folds of kind "tensor" as instructions of tensor cores: mma, one for a warp together.

The layouts of fragments are those of the PTX manual, for threads t = 4*group + pair of a warp:

    sums     rows group and group+8, columns 2*pair and 2*pair+1
    tf32     m16n8k8:  a at (group, pair), (group+8, pair), both again 4 further on; b likewise
    16 bits  m16n8k16: two neighbours at (group, 2*pair), (group+8, 2*pair), both again 8 further on
"""

from __future__ import annotations

from typing import Any

from symgraph.codegen.writer import Value
from symgraph.loops.launch import GROUP, PAIR, Fragments, fragments
from symgraph.loops.statements import Fold
from symgraph.scalar import Expr, const, load, substitute

OLDEST = 80  # the first architecture with all of them
_F32 = "float"


def emit(host: Any, s: Fold) -> None:
    """Write the fold; ``host`` writes the other statements of the kernel."""
    found = fragments(s)
    assert found is not None and isinstance(s.extent, int)
    values = host.values
    sums = [values.uniform(v) for v in s.starts]
    depth = 8 if found.dtype == "float32" else 16
    for first in range(0, s.extent, depth):
        with values.inside():
            sums = _step(host, s, found, first, sums)
    for name, value in zip(s.names, sums, strict=True):
        values.bind(name, (value, 1))


def _step(host: Any, s: Fold, found: Fragments, first: int, sums: list[Value]) -> list[Value]:
    """One instruction for each pair of fragments."""
    read = _words if found.dtype == "float32" else _pairs
    left = [read(host, e, e.args[1], first, True) for e in found.rows]
    right = [read(host, e, _own_column(e.args[1]), first, False) for e in found.columns]
    out = list(sums)
    width = 2 * len(right)
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            at = [2 * i * width + 2 * j, (2 * i + 1) * width + 2 * j]
            places = [at[0], at[0] + 1, at[1], at[1] + 1]
            new = _mma(host, found.dtype, a, b, [out[k] for k in places])
            for k, value in zip(places, new, strict=True):
                out[k] = value
    return out


def _own_column(e: Expr) -> Expr:
    """The column ``group`` of a fragment, from its column 2 * pair."""
    return substitute(e, {PAIR: const(0)}) + GROUP


def _words(host: Any, e: Expr, at: Expr, first: int, rows: bool) -> list[Value]:
    """The elements of a fragment that the thread holds, as integers of 32 bits."""
    fn, values = host.values.fn, host.values
    found = []
    for d in (0, 4):
        for r in (0, 8) if rows else (0,):
            element = load(e.attr, (e.args[0], at + r, PAIR + (first + d)), "float32")
            found.append(fn.val(f"bitcast float {values.uniform(element)} to i32"))
    return found


def _pairs(host: Any, e: Expr, at: Expr, first: int, rows: bool) -> list[Value]:
    """Two neighbours along the summed axis in one register."""
    fn, values = host.values.fn, host.values
    found = []
    for d in (0, 8):
        for r in (0, 8) if rows else (0,):
            place = (e.args[0], at + r, PAIR * 2 + (first + d))
            where = values.address(e.attr, values.linear(e.attr, place), e.dtype)
            found.append(fn.fresh(f"load i32, ptr {where}, align 4"))
    return found


def _mma(host: Any, dtype: str, a: list[Value], b: list[Value], c: list[Value]) -> list[Value]:
    fn = host.values.fn
    kind = {"float32": "i32", "bfloat16": "i32", "float16": "<2 x half>"}[dtype]
    name = {
        "float32": "llvm.nvvm.mma.m16n8k8.row.col.tf32",
        "bfloat16": "llvm.nvvm.mma.m16n8k16.row.col.bf16",
        "float16": "llvm.nvvm.mma.m16n8k16.row.col.f32.f32",
    }[dtype]
    if kind != "i32":
        a, b = ([fn.val(f"bitcast i32 {x} to {kind}") for x in side] for side in (a, b))
    result = "{float, float, float, float}"
    types = [kind] * 6 + [_F32] * 4
    fn.declare(result, name, types)
    words = ", ".join(f"{t} {v}" for t, v in zip(types, [*a, *b, *c], strict=True))
    made = fn.fresh(f"call {result} @{name}({words})")
    return [fn.val(f"extractvalue {result} {made}, {k}") for k in range(4)]
