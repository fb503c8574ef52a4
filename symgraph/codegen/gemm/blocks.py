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
from symgraph.records import NamedTuple

GROUP = 2  # tiles before each of which a part of what comes next is asked for
BEGINNING = 4  # vectors of a row of A; the machine asks for the others by itself
ALIASED = 2048  # bytes; lines so far apart compete for few places of a cache


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
    ("ptr", "copy", ""),
]  # fmt: skip


def block(module: ModuleWriter, tile: Tile) -> str:
    """block(...): ``tall`` tiles of height + 1 rows, then ``low`` ones of height rows, times n
    columns, of which the strips that begin from ``begin`` to ``end``. ``a_panel`` is the distance
    of packed tiles of A, 0 where A lies as it is. Of an A in an image ``a_row`` and ``a_col`` are
    the tables of its places. The first tile leaves a copy of each strip for the others, unless the
    place ``copy`` is null."""
    kinds = {p[1]: p[0] for p in parameters(tile)}
    params = [(kinds.get(name, kind), name, "") for kind, name, _ in _BLOCK]
    return module.once("block", params, "void", lambda fn: _Block(fn, tile).write(), DRIVER)


class _Left(NamedTuple):
    """What is left of a column of tiles: so many taller and lower ones, where A and C begin."""

    tall: Integer
    low: Integer
    a: Value
    c: Value


class _Height(NamedTuple):
    """The rows of a tile, and how far A lies from one such tile to the next."""

    rows: Integer
    step: Integer


class _Tiles(NamedTuple):
    """Some tiles of one height: their rows, how many, and how far A lies from one to the next."""

    rows: Integer
    number: Integer
    step: Integer


class _Block:
    def __init__(self, fn: FunctionWriter, tile: Tile) -> None:
        self.fn, self.tile = fn, tile
        self.ints, self.v = Ints(fn), Lanes(fn, tile.dtype, tile.lanes)
        self.leaves = Leaves(fn, tile, "%parts")
        self.in_image = tile.images == "a"

    def write(self) -> None:
        ints, in_image = self.ints, self.in_image
        self.packed = ints.is_("ne", "%a_panel", 0)
        heights = []
        for rows in (ints.add("%height", 1), "%height"):
            lies = rows if in_image else ints.mul(rows, "%a_row")
            step = lies if in_image else ints.pick(self.packed, "%a_panel", lies)
            heights.append(_Height(rows, step))
        self.taller, self.lower = heights
        self.in_strips = ints.is_("ne", "%b_packed", 0)
        self.turned = ints.is_("ne", "%c_col", 1) if in_image else ""
        self.copies = self.fn.val("icmp ne ptr %copy, null")
        strips(self.fn, self.tile, "%n", self._strip)

    def _strip(self, j: Value, width: Value) -> None:
        ints, v, tile = self.ints, self.v, self.tile
        c = v.at("%c", ints.mul(j, "%c_col") if self.in_image else j)
        left = _Left("%tall", "%low", "%a_row" if self.in_image else "%a", c)
        if tile.images:
            self._plainly(left, j, width)
        else:
            self.fn.if_(self.copies, lambda: self._copying(left, j, width),
                        lambda: self._plainly(left, j, width))  # fmt: skip

    def _plainly(self, left: _Left, j: Value, width: Value) -> None:
        ints, tile = self.ints, self.tile
        b_row = ints.pick(self.in_strips, ints.up(width, tile.lanes), "%b_row")
        b = self.v.at("%b", ints.pick(self.in_strips, strip_offset(ints, tile, j, "%k"), j))
        for number, height in (("%tall", self.taller), ("%low", self.lower)):
            tiles = _Tiles(height.rows, number, height.step)
            then = self._after(left, tiles)
            args = self._args(tiles, left, b, b_row)

            def call(tiles: _Tiles = tiles, args: list[str] = args) -> None:
                self.leaves.call_tile(tiles.rows, width, args, self.turned)

            self.fn.if_(ints.is_("sgt", number, 0), call)
            left = left._replace(a=then[0], c=then[1])

    def _copying(self, left: _Left, j: Value, width: Value) -> None:
        """The first tile copies its strip of B, the others read that."""
        ints = self.ints
        ahead = _Ahead(self, left, j, width)
        tiles = self._some(left, 1)
        args = self._args(tiles, left, self.v.at("%b", j), "%b_row")
        self.leaves.call_copying(tiles.rows, width, args, "%copy")
        padded = ints.up(width, self.tile.lanes)

        def more(carried: list[Value]) -> Value:
            return ints.is_("sgt", ints.add(carried[0], carried[1]), 0)

        def some(carried: list[Value]) -> list[Value]:
            left = _Left(*carried[:4])
            tiles = self._some(left, GROUP)
            then = self._then(left, tiles)
            asked = ahead.ask(then, carried[4:])
            self.leaves.call_tile(tiles.rows, width, self._args(tiles, left, "%copy", padded))
            return [*map(str, then), *asked]

        kinds = ["i64", "i64", "ptr", "ptr", "ptr", "i64"]
        start = [*map(str, self._then(left, tiles)), *ahead.start]
        self.fn.while_(list(zip(kinds, start, strict=True)), more, some)

    def _some(self, left: _Left, most: Integer) -> _Tiles:
        """The next tiles, of one height."""
        ints = self.ints
        is_tall = ints.is_("sgt", left.tall, 0)
        rows = ints.pick(is_tall, self.taller.rows, self.lower.rows)
        step = ints.pick(is_tall, self.taller.step, self.lower.step)
        return _Tiles(rows, ints.min(ints.pick(is_tall, left.tall, left.low), most), step)

    def _then(self, left: _Left, tiles: _Tiles) -> _Left:
        """What is left after these tiles."""
        ints = self.ints
        is_tall = ints.is_("sgt", left.tall, 0)
        tall = ints.pick(is_tall, ints.sub(left.tall, tiles.number), 0)
        low = ints.sub(left.low, ints.pick(is_tall, 0, tiles.number))
        return _Left(tall, low, *self._after(left, tiles))

    def _after(self, left: _Left, tiles: _Tiles) -> tuple[Value, Value]:
        """Where A and C begin after these tiles."""
        fn, ints, v = self.fn, self.ints, self.v
        step = ints.mul(tiles.number, tiles.step)
        place = fn.val(f"getelementptr i32, ptr {left.a}, i64 {step}") if self.in_image else ""
        c = v.at(left.c, ints.mul(ints.mul(tiles.number, tiles.rows), "%c_row"))
        return place or v.at(left.a, step), c

    def _args(self, tiles: _Tiles, left: _Left, b: Value, b_row: Integer) -> list[str]:
        """Of a microkernel."""
        of_a = f"ptr {left.a}, i64 %a_row, i64 %a_col"
        if self.in_image:
            of_a = f"ptr %a, ptr {left.a}, ptr %a_col"
        return [
            f"i64 {tiles.number}", "i64 %k", of_a, f"i64 {tiles.step}", f"ptr {b}", f"i64 {b_row}",
            "i64 0", f"ptr {left.c}", "i64 %c_row", "i64 %c_col", "i64 %flags",
        ]  # fmt: skip


class _Ahead:
    """What comes from far away is asked for between tiles, a little at a time, as all at once would
    keep them waiting: the next strip of B, and in the first strip where rows of A begin."""

    def __init__(self, block: _Block, left: _Left, j: Value, width: Value) -> None:
        self.block, self.fn, self.ints, self.v = block, block.fn, block.ints, block.v
        fn, ints = self.fn, self.ints
        there = ints.add(j, width)
        last = ints.is_("sge", there, ints.min("%n", "%end"))
        following = ints.pick(last, "%begin", there)  # the next block begins with the first one
        #: where the rows of the next strip begin that have not been asked for, how many they are
        self.start = [self.v.at("%b", following), "%k"]
        groups = ints.max(ints.div(ints.add(left.tall, left.low), GROUP), 1)
        # rows so far apart would push each other out before they are copied
        apart = fn.val(f"and i64 {ints.mul('%b_row', self.v.size)}, {ALIASED - 1}")
        self.rows = ints.pick(ints.is_("ne", apart, 0), ints.ceil("%k", groups), 0)
        lies = fn.val(f"xor i1 {block.packed}, true")
        first = ints.is_("slt", j, ints.add("%begin", block.tile.lanes))
        for flag in (first, ints.is_("eq", "%a_col", 1)):
            lies = fn.val(f"and i1 {lies}, {flag}")
        self.rows_of_a = ints.pick(lies, ints.mul("%height", GROUP), 0)

    def ask(self, then: _Left, asked: list[Value]) -> list[Value]:
        """Ask for the next part of the strip, and for the tiles that are left then."""
        ints, v, columns = self.ints, self.v, self.block.tile.columns
        place, left = asked
        count = ints.min(self.rows, left)
        place = self._rows(place, count, "%b_row", [*range(0, columns, v.lanes), columns - 1])
        some = ints.is_("sgt", ints.add(then.tall, then.low), 0)
        rows = ints.pick(some, self.rows_of_a, 0)
        self._rows(then.a, rows, "%a_row", [v.lanes * n for n in range(BEGINNING)])
        return [place, str(ints.sub(left, count))]

    def _rows(self, start: Value, count: Integer, step: Value, places: list[int]) -> Value:
        def row(_: Value, carried: list[Value]) -> list[Value]:
            for place in places:
                self.fn.prefetch(self.v.at(carried[0], place), False, 2)
            return [self.v.at(carried[0], step)]

        return self.fn.loop(0, str(count), 1, [("ptr", start)], row)[0]
