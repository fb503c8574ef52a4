"""Blocks of the result: tiles of rows below one another, strips of columns side by side.

Rows are cut into tiles of nearly equal height (all of h or h-1 rows), columns into strips of nearly
equal numbers of vectors, so that no tile is much smaller than the registers allow.
"""

from __future__ import annotations

from collections.abc import Callable

from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.gemm.leaves import DRIVER, Leaves
from symgraph.codegen.gemm.microkernel import parameters
from symgraph.codegen.gemm.tiles import Tile
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value


def strips(
    fn: FunctionWriter, tile: Tile, columns: Integer, body: Callable[[Value, Value], None]
) -> None:
    """``body(first, width)`` for strips of nearly equal numbers of vectors: seven are 3 + 2 + 2.
    Only those that begin at a column from ``%begin`` to ``%end``."""
    ints = Ints(fn)

    def more(carried: list[Value]) -> Value:
        return ints.is_("slt", carried[0], ints.min(columns, "%end"))

    def turn(carried: list[Value]) -> list[Value]:
        (j,) = carried
        left = ints.sub(columns, j)
        vectors = ints.ceil(left, tile.lanes)
        width = ints.mul(ints.ceil(vectors, ints.ceil(vectors, tile.vectors)), tile.lanes)
        ours = ints.is_("sge", j, "%begin")
        fn.if_(ours, lambda: body(j, str(ints.min(left, width))))
        return [str(ints.add(j, width))]

    fn.while_([("i64", "0")], more, turn)


def strip_offset(ints: Ints, tile: Tile, j: Integer, k: Integer) -> Integer:
    """Where the packed strip that begins at column j lies: each has room for what turning writes
    behind it, so that threads may pack them in any order."""
    return ints.mul(j, ints.add(k, tile.lanes))


_BLOCK = [
    ("i64", "tall", ""), ("i64", "low", ""), ("i64", "height", ""), ("i64", "k", ""),
    ("ptr", "a", ""), ("i64", "a_row", ""), ("i64", "a_col", ""), ("i64", "a_panel", ""),
    ("ptr", "b", ""), ("i64", "b_row", ""), ("i64", "b_packed", ""),
    ("ptr", "c", ""), ("i64", "c_row", ""), ("i64", "n", ""), ("i64", "flags", ""),
    ("i64", "begin", ""), ("i64", "end", ""), ("ptr", "parts", ""), ("i64", "c_col", ""),
]  # fmt: skip


def block(module: ModuleWriter, tile: Tile) -> str:
    """block(...): ``tall`` tiles of height + 1 rows, then ``low`` ones of height rows, times n
    columns, of which the strips that begin from ``begin`` to ``end``. ``a_panel`` is the distance
    of packed tiles of A, 0 where A lies as it is. Of an A in an image ``a_row`` and ``a_col`` are
    the tables of its places."""
    in_image = tile.images == "a"
    kinds = {p[1]: p[0] for p in parameters(tile)}
    params = [(kinds.get(name, kind), name, "") for kind, name, _ in _BLOCK]

    def build(fn: FunctionWriter) -> None:
        ints, v = Ints(fn), Lanes(fn, tile.dtype, tile.lanes)
        taller = ints.add("%height", 1)
        steps = []
        packed = ints.is_("ne", "%a_panel", 0)
        for rows in (taller, "%height"):
            lies = rows if in_image else ints.mul(rows, "%a_row")
            steps.append(lies if in_image else ints.pick(packed, "%a_panel", lies))
        ahead = ints.mul("%tall", steps[0])
        if in_image:
            second_a = fn.val(f"getelementptr i32, ptr %a_row, i64 {ahead}")
        else:
            second_a = v.at("%a", ahead)
        second_c = ints.mul(ints.mul("%tall", taller), "%c_row")
        in_strips = ints.is_("ne", "%b_packed", 0)
        leaves = Leaves(fn, tile, "%parts")
        turned = ints.is_("ne", "%c_col", 1) if in_image else ""

        def strip(j: Value, width: Value) -> None:
            padded = ints.up(width, tile.lanes)
            b_row = ints.pick(in_strips, padded, "%b_row")
            b = v.at("%b", ints.pick(in_strips, strip_offset(ints, tile, j, "%k"), j))
            c = v.at("%c", ints.mul(j, "%c_col") if in_image else j)
            first = (taller, "%tall", "%a_row" if in_image else "%a", steps[0], c)
            second = ("%height", "%low", second_a, steps[1], v.at(c, second_c))

            def some(rows: Integer, count: Value, a: Value, step: Integer, where: Value) -> None:
                of_a = f"ptr {a}, i64 %a_row, i64 %a_col"
                if in_image:
                    of_a = f"ptr %a, ptr {a}, ptr %a_col"
                args = [
                    f"i64 {count}", "i64 %k", of_a, f"i64 {step}", f"ptr {b}", f"i64 {b_row}",
                    "i64 0", f"ptr {where}", "i64 %c_row", "i64 %c_col", "i64 %flags",
                ]  # fmt: skip
                fn.if_(
                    ints.is_("sgt", count, 0), lambda: leaves.call_tile(rows, width, args, turned)
                )

            some(*first)
            some(*second)

        strips(fn, tile, "%n", strip)

    return module.once("block", params, "void", build, DRIVER)
