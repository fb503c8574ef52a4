"""Loops of programs whose turns stand apart, done by the team of threads.

A turn calls the function of the loop's body in the form that shares nothing out itself, with memory
of the thread's own. It finds in its context

    memory for the threads | table | bytes for a thread | sizes | of each row its base, bytes, start
"""

from __future__ import annotations

from collections.abc import Sequence

from symgraph.codegen import team_llvm
from symgraph.codegen.share_llvm import Sharing, Words, typed
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.loops.cost import loop_turns, turn_cost
from symgraph.loops.memory import ALIGNMENT
from symgraph.loops.program import Loop, Row
from symgraph.loops.statements import Size
from symgraph.records import NamedTuple
from symgraph.scalar import as_expr, as_size

NEVER = 1 << 50  # nanoseconds of work that products in a turn have, from which on they are shared


class Held(NamedTuple):
    """A row of a loop, where its buffer begins, its bytes, and the number of the first one."""

    row: Row
    base: Value
    size: Value
    start: Value


def place(fn: FunctionWriter, held: Held, t: Value) -> Value:
    """The address that step t gives to one input or output of the body, but for the first one."""
    row = held.row
    if not row.rows:
        return held.base
    moved = fn.val(f"mul i64 {t}, {row.step}")
    index = fn.val(f"add i64 {moved}, {held.start}")
    if row.modulo:
        index = fn.val(f"urem i64 {index}, {row.modulo}")
    offset = fn.val(f"mul i64 {index}, {held.size}")
    return fn.val(f"getelementptr i8, ptr {held.base}, i64 {offset}")


def share_turns(
    fn: FunctionWriter, values: Values, sharing: Sharing, step: Loop, program: str, room: Value,
    sizes: Sequence[Value], rows: Sequence[Held],
) -> Value:  # fmt: skip
    """Have the team do all turns, each by @program with ``room`` bytes; the i32 is 0 where nothing
    was done."""
    context: Words = [("ptr", "null"), ("ptr", "%table"), ("i64", room)]
    context += [("i64", size) for size in sizes]
    for held in rows:
        context += [("ptr", held.base), ("i64", held.size), ("i64", held.start)]
    turns = loop_turns(step)
    cost = values.uniform(as_size(turns * as_expr(turn_cost(step))))
    body = _body(sharing, program, len(sizes), [held.row for held in rows])
    return team_llvm.share(
        fn, sharing.table, body, team_llvm.pack(fn, context), values.uniform(as_size(turns)), cost,
        sharing.least, room=room,
    )  # fmt: skip


def _body(sharing: Sharing, program: str, sizes: int, rows: Sequence[Row]) -> str:
    """The function that the team runs."""
    name = f"share_{program}"
    fn = team_llvm.body_function(sharing.module, name)
    kinds = ["ptr", "ptr", "i64", *["i64"] * sizes, *["ptr", "i64", "i64"] * len(rows)]
    memory, table, room, *words = team_llvm.unpack(fn, kinds)
    offset = fn.val(f"mul i64 {room}, %worker")
    arena = fn.val(f"getelementptr i8, ptr {memory}, i64 {offset}")
    held = [Held(row, *words[sizes + 3 * k : sizes + 3 * k + 3]) for k, row in enumerate(rows)]

    def turn(t: Value, _: list[Value]) -> list[Value]:
        given = [("ptr", table), ("ptr", arena), *(("i64", n) for n in words[:sizes])]
        given += [("ptr", place(fn, one, t)) for one in held]
        fn.fresh(f"call i32 @{program}({typed(given)})")
        return []

    fn.loop("%begin", "%end", 1, [], turn)
    return name


def rounded(room: Size) -> Size:
    """Bytes for a thread, so that the next one's are aligned too."""
    return as_size((as_expr(room) + (ALIGNMENT - 1)) // ALIGNMENT * ALIGNMENT)
