"""Packing: parts of an operand copied into the order in which the microkernel reads them.

A panel is a strip of A's rows or B's columns; packed, the elements of one p lie side by side:
``target[p * stride + w] = source(w, p)``. Where the operand is contiguous across the panel that is
a copy of vectors; where it is contiguous along p, blocks are turned in registers. Turning may write
up to a vector of lines beyond the panel: A's panels are packed in ascending order with room behind
the last one, B's strips have room behind each.
"""

from __future__ import annotations

from symgraph.codegen.gemm.avx512 import assembled_copy, assembled_turn
from symgraph.codegen.gemm.blocks import strip_offset, strips
from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes, turn
from symgraph.codegen.gemm.leaves import Leaf, Leaves
from symgraph.codegen.gemm.microkernel import place_at
from symgraph.codegen.gemm.tiles import WRITTEN_OUT, Tile, straight_name, turned_name
from symgraph.codegen.writer import FunctionWriter, Value

PARAMETERS = [
    ("ptr", "target", "noalias"), ("i64", "stride", ""), ("ptr", "source", "noalias readonly"),
    ("i64", "step", ""), ("i64", "valid", ""), ("i64", "k", ""),
]  # fmt: skip


def straight(tile: Tile, lanes: int, vectors: int, assembled: bool = False) -> Leaf:
    """What copies so many vectors for each p; ``step`` is the distance from one p to the next,
    ``valid`` counts the lanes of the last vector that exist. ``assembled``: in assembly
    language."""

    def build(fn: FunctionWriter) -> None:
        v = Lanes(fn, tile.dtype, lanes)
        if assembled:
            assembled_copy(fn, v, vectors, v.first("%valid"))
            return

        def copy(mask: Value | None) -> None:
            def line(_: Value, carried: list[Value]) -> list[Value]:
                source, target = carried
                parts = []
                for j in range(vectors):
                    held = mask if j == vectors - 1 else None
                    parts.append(v.load(v.at(source, j * lanes), held))
                for j, part in enumerate(parts):
                    v.store(part, v.at(target, j * lanes))
                return [v.at(source, "%step"), v.at(target, "%stride")]

            fn.loop(0, "%k", 1, [("ptr", "%source"), ("ptr", "%target")], line)

        if tile.masks:
            copy(v.first("%valid"))
            return
        full = fn.val(f"icmp eq i64 %valid, {lanes}")
        fn.if_(full, lambda: copy(None), lambda: copy(v.first("%valid")))

    return Leaf(PARAMETERS, build)


def turned(tile: Tile, rows: int, assembled: bool = False) -> Leaf:
    """What turns blocks of ``rows`` (a power of two, at most a vector's lanes) times one vector;
    ``step`` is the distance from row to row, ``valid`` how many rows exist. With fewer rows than
    lanes the panel must be just that wide (stride = rows). ``assembled``: in assembly language."""
    lanes = tile.lanes

    def build(fn: FunctionWriter) -> None:
        if assembled:
            assembled_turn(fn, Lanes(fn, tile.dtype, lanes), rows)
            return
        v, ints = Lanes(fn, tile.dtype, lanes), Ints(fn)
        last = ints.sub("%valid", 1)
        starts = [v.at("%source", ints.mul(ints.min(i, last), "%step")) for i in range(rows)]
        whole = "%k" if tile.masks else str(ints.mul(ints.div("%k", lanes), lanes))

        def block(p: Value, mask: Value | None) -> None:
            held = [v.load(v.at(s, p), mask) for s in starts]
            held = turn(v, held)
            target = v.at("%target", ints.mul(p, "%stride"))
            each = lanes // rows  # elements of p that one vector holds
            for q, value in enumerate(held):
                v.store(value, v.at(target, ints.mul(q * each, "%stride")))

        def step(p: Value, _: list[Value]) -> list[Value]:
            block(p, v.first(ints.sub("%k", p)) if tile.masks else None)
            return []

        def rest() -> None:
            block(whole, v.first(ints.sub("%k", whole)))

        fn.loop(0, whole, lanes, [], step)
        if not tile.masks:
            fn.if_(ints.is_("slt", whole, "%k"), rest)

    return Leaf(PARAMETERS, build)


COPY = 3  # words of a copy: its place in the image, in the line, and its length


def gathered(tile: Tile, copies: int) -> Leaf:
    """What copies pieces of an image side by side for each p: p's place is in the table ``taps``,
    the pieces (each at most a vector) are listed in ``list``. A store may write beyond its piece,
    where the next one is written later. 0 copies: any number, ``count``."""
    params = [
        ("ptr", "target", "noalias"), ("i64", "stride", ""), ("ptr", "source", "noalias readonly"),
        ("ptr", "taps", "noalias readonly"), ("i64", "k", ""), ("ptr", "list", "readonly"),
        ("i64", "count", ""),
    ]  # fmt: skip

    def build(fn: FunctionWriter) -> None:
        v, ints = Lanes(fn, tile.dtype, tile.lanes), Ints(fn)

        def word(c: Integer, k: int) -> Value:
            at = ints.add(ints.mul(c, COPY), k)
            where = fn.val(f"getelementptr i64, ptr %list, i64 {at}")
            return fn.val(f"load i64, ptr {where}")

        def piece(c: Integer) -> tuple[Value, Value, Value]:
            return word(c, 0), word(c, 1), v.first(word(c, 2))

        held = [piece(c) for c in range(copies)]

        def line(p: Value, carried: list[Value]) -> list[Value]:
            (target,) = carried
            source = v.at("%source", place_at(fn, "%taps", p))

            def copy(at: Value, to: Value, mask: Value) -> None:
                v.store(v.load(v.at(source, at), mask), v.at(target, to))

            def one(c: Value, _: list[Value]) -> list[Value]:
                copy(*piece(c))
                return []

            for each in held:
                copy(*each)
            if not copies:
                fn.loop(0, "%count", 1, [], one)
            return [v.at(target, "%stride")]

        fn.loop(0, "%k", 1, [("ptr", "%target")], line)

    return Leaf(params, build)


# whole parts of an operand ------------------------------------------------------------------------


def pack_a(tile: Tile) -> Leaf:
    """pack_a(target, a, a_row, a_col, tall, low, height, k, parts): the tiles as panels."""
    lanes = min(tile.lanes, tile.panel)
    vectors = tile.panel // lanes
    flip = turned_name(tile, lanes)
    params = [
        ("ptr", "target", ""), ("ptr", "a", ""), ("i64", "a_row", ""), ("i64", "a_col", ""),
        ("i64", "tall", ""), ("i64", "low", ""), ("i64", "height", ""), ("i64", "k", ""),
        ("ptr", "parts", ""),
    ]  # fmt: skip

    def build(fn: FunctionWriter) -> None:
        ints, v = Ints(fn), Lanes(fn, tile.dtype, tile.lanes)
        leaves = Leaves(fn, tile, "%parts")
        across = ints.is_("eq", "%a_row", 1)
        size = ints.mul("%k", tile.panel)

        def panel(t: Value, carried: list[Value]) -> list[Value]:
            source, target = carried
            taller = ints.is_("slt", t, "%tall")
            rows = str(ints.pick(taller, ints.add("%height", 1), "%height"))

            def straight_() -> None:
                used = ints.ceil(rows, lanes)
                valid = ints.sub(rows, ints.mul(ints.sub(used, 1), lanes))
                args = f"ptr {target}, i64 {tile.panel}, ptr {source}, i64 %a_col, i64 {valid}"
                leaves.call_nth(straight_name(lanes, 1), used, f"{args}, i64 %k")

            def turned_() -> None:
                for q in range(vectors):
                    valid = ints.max(ints.min(ints.sub(rows, q * lanes), lanes), 1)
                    at = v.at(target, q * lanes)
                    first = ints.min(q * lanes, ints.sub(rows, 1))
                    start = v.at(source, ints.mul(first, "%a_row"))
                    args = f"ptr {at}, i64 {tile.panel}, ptr {start}, i64 %a_row, i64 {valid}"
                    leaves.call(flip, f"{args}, i64 %k")

            fn.if_(across, straight_, turned_)
            return [v.at(source, ints.mul(rows, "%a_row")), v.at(target, size)]

        count = ints.add("%tall", "%low")
        fn.loop(0, count, 1, [("ptr", "%a"), ("ptr", "%target")], panel)

    return Leaf(params, build)


def pack_b(tile: Tile) -> Leaf:
    """pack_b(target, b, b_row, b_col, n, k, begin, end, parts): n columns as strips, of which those
    that begin at a column from ``begin`` to ``end``. Of two matrices tiles copy the strips of a B
    whose rows are contiguous: it is packed only where they are scattered."""
    flip = turned_name(tile, tile.lanes)
    params = [
        ("ptr", "target", ""), ("ptr", "b", ""), ("i64", "b_row", ""), ("i64", "b_col", ""),
        ("i64", "n", ""), ("i64", "k", ""), ("i64", "begin", ""), ("i64", "end", ""),
        ("ptr", "parts", ""),
    ]  # fmt: skip

    def build(fn: FunctionWriter) -> None:
        ints, v = Ints(fn), Lanes(fn, tile.dtype, tile.lanes)
        leaves = Leaves(fn, tile, "%parts")
        across = ints.is_("eq", "%b_col", 1) if tile.images else ""

        def strip(j: Value, width: Value) -> None:
            target = v.at("%target", strip_offset(ints, tile, j, "%k"))
            source = v.at("%b", ints.mul(j, "%b_col"))
            vectors = ints.ceil(width, tile.lanes)
            padded = ints.mul(vectors, tile.lanes)
            valid = ints.sub(width, ints.sub(padded, tile.lanes))

            def straight_() -> None:
                args = f"ptr {target}, i64 {padded}, ptr {source}, i64 %b_row, i64 {valid}"
                leaves.call_nth(straight_name(tile.lanes, 1), vectors, f"{args}, i64 %k")

            def turned_() -> None:
                def group(w: Value, _: list[Value]) -> list[Value]:
                    there = ints.min(ints.sub(width, w), tile.lanes)
                    start = v.at(source, ints.mul(w, "%b_col"))
                    args = f"ptr {v.at(target, w)}, i64 {padded}, ptr {start}, i64 %b_col"
                    leaves.call(flip, f"{args}, i64 {there}, i64 %k")
                    return []

                fn.loop(0, width, tile.lanes, [], group)

            if across:
                fn.if_(across, straight_, turned_)
            else:
                turned_()

        strips(fn, tile, "%n", strip)

    return Leaf(params, build)


def pack_image(tile: Tile) -> Leaf:
    """pack_image(target, b, taps, runs, run, first, n, k, begin, end, parts): n columns from the
    first on as strips, as `pack_b` does. Column j of line p lies in b at
    taps[p] + runs[j / run] + j % run, where a run is a row of places side by side."""
    params = [
        ("ptr", "target", ""), ("ptr", "b", ""), ("ptr", "taps", ""), ("ptr", "runs", ""),
        ("i64", "run", ""), ("i64", "first", ""), ("i64", "n", ""), ("i64", "k", ""),
        ("i64", "begin", ""), ("i64", "end", ""), ("ptr", "parts", ""),
    ]  # fmt: skip

    def build(fn: FunctionWriter) -> None:
        ints, v = Ints(fn), Lanes(fn, tile.dtype, tile.lanes)
        leaves = Leaves(fn, tile, "%parts")
        pieces = fn.slot("i64", COPY * (tile.columns + tile.vectors))

        def strip(j: Value, width: Value) -> None:
            target = v.at("%target", strip_offset(ints, tile, j, "%k"))
            padded = ints.up(width, tile.lanes)
            start = ints.add("%first", j)
            row = ints.div(start, "%run")
            at = ints.sub(start, ints.mul(row, "%run"))

            def segment(carried: list[Value]) -> list[Value]:
                done, row, at, count = carried
                there = ints.min(ints.sub("%run", at), ints.sub(width, done))
                place = ints.add(place_at(fn, "%runs", row), at)

                def piece(c: Value, carried: list[Value]) -> list[Value]:
                    size = ints.min(ints.sub(there, c), tile.lanes)
                    entry = ints.mul(carried[0], COPY)
                    for k, value in enumerate((ints.add(place, c), ints.add(done, c), size)):
                        where = ints.add(entry, k)
                        to = fn.val(f"getelementptr i64, ptr {pieces}, i64 {where}")
                        fn.raw(f"store i64 {value}, ptr {to}")
                    return [str(ints.add(carried[0], 1))]

                (count,) = fn.loop(0, str(there), tile.lanes, [("i64", count)], piece)
                return [str(ints.add(done, there)), str(ints.add(row, 1)), "0", count]

            def more(carried: list[Value]) -> Value:
                return ints.is_("slt", carried[0], width)

            carry = [("i64", "0"), ("i64", str(row)), ("i64", str(at)), ("i64", "0")]
            count = fn.while_(carry, more, segment)[3]
            words = f"ptr {target}, i64 {padded}, ptr %b, ptr %taps, i64 %k, ptr {pieces}"

            few = ints.is_("sle", count, WRITTEN_OUT)
            copies = ints.pick(few, count, 0)
            leaves.call_nth("gathered_1", copies, f"{words}, i64 {count}")

        strips(fn, tile, "%n", strip)

    return Leaf(params, build)
