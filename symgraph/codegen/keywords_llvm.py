"""Arguments of an entry that are given by their names.

Python gives the values of keywords behind the other arguments, and a tuple of their names. Names in
a program are interned, so a name is found by its address; one that is not is left to the slow path,
as is a name that is unknown or whose place is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.runtime import abi

if TYPE_CHECKING:
    from symgraph.codegen.entry_llvm import Entry


def arguments(entry: Entry, count: Value, inputs: int) -> Value:
    """The address of as many arguments as inputs, in their order, or null; ``count`` are given by
    their place."""
    fn = entry.fn
    places = fn.slot("ptr", inputs, 8)
    # the words of the table lie beside each other, as nobody else asks for names
    first, *_ = (entry.table.slot("name", str(k)) for k in range(inputs))
    names = fn.val(f"getelementptr i8, ptr {entry.context}, i64 {8 * first}")
    by_place = fn.fresh("icmp eq ptr %kw, null")

    def some() -> list[Value]:
        name = entry.module.once("named", _PARAMS, "ptr", _write, "noinline nounwind")
        words = f"ptr %args, i64 {count}, ptr %kw, ptr {names}, i64 {inputs}, ptr {places}"
        return [fn.fresh(f"call ptr @{name}({words})")]

    def all_() -> list[Value]:
        right = fn.fresh(f"icmp eq i64 {count}, {inputs}")
        return [fn.fresh(f"select i1 {right}, ptr %args, ptr null")]

    return fn.if_(by_place, all_, some, ["ptr"], likely=True)[0]


_PARAMS = [
    ("ptr", "args", ""), ("i64", "count", ""), ("ptr", "kw", ""), ("ptr", "names", ""),
    ("i64", "inputs", ""), ("ptr", "places", ""),
]  # fmt: skip


def _write(fn: FunctionWriter) -> None:
    """Fill in the places; null where they are not filled, each once."""

    def at(base: Value, k: Value) -> Value:
        return fn.fresh(f"getelementptr ptr, ptr {base}, i64 {k}")

    size = fn.fresh(f"getelementptr i8, ptr %kw, i64 {abi.HDR}")
    named = fn.fresh(f"load i64, ptr {size}")
    total = fn.fresh(f"add i64 %count, {named}")
    wrong = fn.fresh(f"icmp ne i64 {total}, %inputs")
    fn.if_(wrong, lambda: fn.ret("ptr", "null"), likely=False)
    items = fn.fresh(f"getelementptr i8, ptr %kw, i64 {abi.TUPLE_ITEMS}")

    def begin(k: Value, _: list[Value]) -> list[Value]:
        given = fn.fresh(f"icmp slt i64 {k}, %count")
        value = fn.if_(given, lambda: [fn.fresh(f"load ptr, ptr {at('%args', k)}")],
                       lambda: ["null"], ["ptr"])[0]  # fmt: skip
        fn.raw(f"store ptr {value}, ptr {at('%places', k)}")
        return []

    def keyword(j: Value, _: list[Value]) -> list[Value]:
        name = fn.fresh(f"load ptr, ptr {at(items, j)}")

        def look(k: Value, found: list[Value]) -> list[Value]:
            held = fn.fresh(f"load ptr, ptr {at('%names', k)}")
            same = fn.fresh(f"icmp eq ptr {held}, {name}")
            return [fn.fresh(f"select i1 {same}, i64 {k}, i64 {found[0]}")]

        (place,) = fn.loop("0", "%inputs", 1, [("i64", "-1")], look)
        unknown = fn.fresh(f"icmp slt i64 {place}, 0")
        fn.if_(unknown, lambda: fn.ret("ptr", "null"), likely=False)
        before = fn.fresh(f"load ptr, ptr {at('%places', place)}")
        taken = fn.fresh(f"icmp ne ptr {before}, null")
        fn.if_(taken, lambda: fn.ret("ptr", "null"), likely=False)
        value = fn.fresh(f"load ptr, ptr {at('%args', fn.fresh(f'add i64 %count, {j}'))}")
        fn.raw(f"store ptr {value}, ptr {at('%places', place)}")
        return []

    fn.loop("0", "%inputs", 1, [], begin)
    fn.loop("0", named, 1, [], keyword)
    fn.ret("ptr", "%places")
