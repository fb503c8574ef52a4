"""The entry of a module of products: what is packed, how the work is cut, who does it.

    kernel(ptr job)      one product or a batch of them; `record.JOB` says what the words are

The summed axis is cut into blocks whose number depends on its length alone; the sums of later
blocks are added to those of earlier ones in order. So an element does not depend on where its tile
begins, on what is packed, or on the number of threads, which share rows and columns only.
"""

from __future__ import annotations

import functools

from symgraph.codegen.gemm.blocks import tiles
from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.gemm.narrow import ALONE, FEW, LONG, SHORT, columns_apart, lines
from symgraph.codegen.gemm.record import JOB
from symgraph.codegen.gemm.skinny import dots, sweep
from symgraph.codegen.gemm.slabs import BODY, SUMS, matrices
from symgraph.codegen.gemm.tiles import Tile
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value

SMALL = 256**3  # multiplications up to which contiguous operands are read where they lie
SLAB_OF_A = 4 << 20  # bytes of A that every strip of B may read again where they lie
FOLLOWED = 1 << 18  # bytes of complete rows at which their epilogue is run,
FEWEST = 4  # and how many tiles that are at least
TURNED = 1 << 19  # the same for elements of a transposed A, each in a cache line of its own
ALIASED = 4096  # rows of A so many bytes apart compete for the same places of a small cache
NEAR = 1 << 18  # bytes of packed parts of an image that are used before more are packed
OFTEN = 8  # tiles of A that are enough to pack B for
STACK = 32768  # bytes of packed operands that need no allocation
MEAGRE = 64  # the block of the summed axis when there is no memory but the stack
COLUMNS = 64  # threads share a row's columns in multiples of this


def gemm_module(module: ModuleWriter, tile: Tile) -> None:
    """Write everything for one dtype into a module; its entry is ``kernel``."""
    fn = module.function("kernel", [("ptr", "job", "")], "void", "", "nounwind")
    _Entry(module, tile, fn).write()


class _Entry:
    def __init__(self, module: ModuleWriter, tile: Tile, fn: FunctionWriter) -> None:
        self.module, self.tile, self.fn = module, tile, fn
        self.ints, self.v = Ints(fn), Lanes(fn, tile.dtype, tile.lanes)

    def word(self, name: str) -> Value:
        return JOB.get(self.fn, "%job", name)

    def write(self) -> None:
        fn, ints, word = self.fn, self.ints, self.word
        m, n, k = word("m"), word("n"), word("k")
        empty = fn.val(f"or i1 {ints.is_('sle', m, 0)}, {ints.is_('sle', n, 0)}")
        fn.if_(empty, lambda: fn.ret())
        row, column = ints.is_("eq", m, 1), ints.is_("eq", n, 1)
        some = ints.is_("sgt", k, 0)
        if self.tile.images:
            self._whole()
            return
        thin = fn.val(f"and i1 {some}, {fn.val(f'or i1 {row}, {column}')}")
        fn.if_(thin, self._thin, self._perhaps_narrow)

    def _limit(self) -> Value:
        """How many threads take part."""
        fn, ints, word = self.fn, self.ints, self.word
        volume = ints.mul(ints.mul(word("m"), word("n")), word("k"))
        self.volume = ints.mul(volume, word("batch"))
        large = ints.is_("sge", self.volume, word("least"))
        threads = f"call i64 {word('threads')}(ptr {word('team')})"
        (limit,) = fn.if_(large, lambda: [fn.fresh(threads)], lambda: ["1"], ["i64"])
        return limit

    def _run(self, body: str, count: Integer, multiple: int, limit: Value, ranges: int = 2) -> None:
        """``body`` over 0 .. count, by the team or alone."""
        fn, ints, word = self.fn, self.ints, self.word

        def team() -> None:
            pieces = ints.mul(limit, ranges)
            grain = ints.up(ints.ceil(count, pieces), multiple)
            words = f"ptr {word('team')}, ptr @{body}, ptr %job, i64 {count}, i64 {grain}"
            fn.raw(f"call void {word('run')}({words}, i64 {limit})")

        def alone() -> None:
            fn.raw(f"call void @{body}(ptr %job, i64 0, i64 {count}, i64 0)")

        fn.if_(ints.is_("sgt", limit, 1), team, alone)

    # a few vectors times a matrix

    def _perhaps_narrow(self) -> None:
        """Few columns or few rows, where the summed axis is contiguous or little to copy."""
        fn, ints, word = self.fn, self.ints, self.word
        m, n, k = word("m"), word("n"), word("k")

        def all_of(*conditions: tuple[str, Integer, Integer]) -> Value:
            flags = [ints.is_(*c) for c in conditions]
            return functools.reduce(lambda a, b: fn.val(f"and i1 {a}, {b}"), flags)

        rows_lie = all_of(("eq", word("a_col"), 1), ("eq", word("batch"), 1))
        apart = ints.is_("eq", word("b_row"), 1)
        either = fn.val(f"or i1 {apart}, {ints.is_('eq', word('b_col'), 1)}")

        def fits(few: Value, long: Value) -> Value:
            deep = ("sge", k, ints.mul(few, SHORT))
            return all_of(("sle", few, self.tile.lanes), ("sge", long, ALONE), deep)

        tall, wide = fits(n, m), fits(m, n)
        tall = fn.val(f"and i1 {tall}, {either}")
        wide = fn.val(f"and i1 {wide}, {apart}")
        narrow = fn.val(f"and i1 {rows_lie}, {fn.val(f'or i1 {tall}, {wide}')}")
        fn.if_(narrow, lambda: self._narrow(tall, apart), self._whole)

    def _narrow(self, tall: Value, apart: Value) -> None:
        """Place the short operand and share the lines of the long one; ``apart``: the columns of B
        are contiguous as they are."""
        fn, ints, word = self.fn, self.ints, self.word
        lies = ints.pick(tall, word("b_col"), word("a_row"))
        short = fn.val(f"select i1 {tall}, ptr {word('b')}, ptr {word('a')}")
        JOB.put(fn, "%job", packs_a=fn.val(f"zext i1 {tall} to i64"),
                tiles=ints.pick(tall, word("n"), word("m")), place=short, room_b=lies)  # fmt: skip
        fn.if_(apart, lambda: self._lines(tall), lambda: self._lines_of_copy(tall))

    def _lines(self, tall: Value) -> None:
        fn, ints, word = self.fn, self.ints, self.word
        count = ints.pick(tall, word("m"), word("n"))
        self._run(lines(self.module, self.tile), count, LONG * FEW, self._limit())
        rows = fn.val(f"and i1 {tall}, {ints.is_('ne', word('scale'), 0)}")  # followed up by ranges
        fn.if_(rows, lambda: None, self._follow)

    def _lines_of_copy(self, tall: Value) -> None:
        """The same with the columns of B copied apart; without memory the tiles do it."""
        fn, ints, tile, word = self.fn, self.ints, self.tile, self.word
        stride = ints.add(ints.up(word("k"), tile.lanes), tile.lanes)
        need = ints.mul(stride, tile.lanes * self.v.size)
        block = fn.fresh(f"call ptr {word('malloc')}(ptr {word('pool')}, i64 {need})")

        def copy() -> None:
            words = f"ptr {block}, i64 {stride}, ptr {word('b')}, i64 {word('b_row')}"
            words += f", i64 {word('n')}, i64 {word('k')}"
            fn.raw(f"call void @{columns_apart(self.module, tile)}({words})")
            JOB.put(fn, "%job", place=block, room_b=stride)
            self._lines(tall)
            fn.raw(f"call void {word('free')}(ptr {word('pool')}, ptr {block}, i64 0)")

        fn.if_(fn.val(f"icmp eq ptr {block}, null"), self._whole, copy)

    # products of matrices

    def _whole(self) -> None:
        ints, tile, word = self.ints, self.tile, self.word
        limit = self._limit()
        if tile.images:
            self._what_to_pack_of_images()
        else:
            self._what_to_pack()
        count = ints.ceil(word("m"), tile.rows)
        height = ints.div(word("m"), count)
        taller = ints.sub(word("m"), ints.mul(height, count))
        JOB.put(self.fn, "%job", tiles=count, height=height, taller=taller)
        blocks = ints.ceil(word("k"), tile.depth)
        depth = ints.ceil(word("k"), ints.max(blocks, 1))
        follows = self.fn.val(f"icmp ne ptr {word('after')}, null")
        most: Integer = tile.width
        if tile.images == "b":  # packed once, read by all tiles out of the second level of cache
            strips = ints.div(NEAR // (tile.columns * self.v.size), ints.max(depth, 1))
            most = ints.mul(ints.max(strips, 1), tile.columns)
        width = ints.pick(self.packs_b, ints.min(word("n"), most), word("n"))
        high = ints.pick(self.packs_a, ints.min(count, tile.height // tile.rows), count)
        # complete rows are to be in cache when they are followed up, and B again for the next ones
        near = ints.div(FOLLOWED // (tile.rows * self.v.size), word("n"))
        high = ints.pick(follows, ints.min(high, ints.max(near, FEWEST)), high)
        self._memory(depth, width, high, limit)

    def _what_to_pack(self) -> None:
        """B where its rows are not contiguous; both where A is too large, or lies too badly, to be
        read again for each strip of B."""
        fn, ints, tile, word = self.fn, self.ints, self.tile, self.word
        size = self.v.size
        volume = ints.mul(ints.mul(word("m"), word("n")), word("k"))
        slab = ints.mul(ints.mul(word("m"), ints.min(word("k"), tile.depth)), size)
        contiguous = ints.is_("eq", word("a_col"), 1)
        step = ints.pick(contiguous, word("a_row"), word("a_col"))
        odd = fn.val(f"and i64 {ints.mul(step, size)}, {ALIASED - 1}")
        turned = ints.pick(contiguous, 0, ints.mul(word("m"), word("k")))
        reasons = [("sgt", slab, SLAB_OF_A), ("eq", odd, 0), ("sgt", turned, TURNED)]
        large = "false"
        for relation, left, right in reasons:
            large = fn.val(f"or i1 {large}, {ints.is_(relation, left, right)}")
        again = [(volume, SMALL), (word("m"), tile.rows), (word("n"), 4 * tile.columns)]
        for left, right in again:
            large = fn.val(f"and i1 {large}, {ints.is_('sgt', left, right)}")
        scattered = ints.is_("ne", word("b_col"), 1)
        some = ints.is_("sgt", word("k"), 0)
        self.packs_b = fn.val(f"and i1 {some}, {fn.val(f'or i1 {large}, {scattered}')}")
        self.packs_a = fn.val(f"and i1 {some}, {large}")
        flags = [fn.val(f"zext i1 {x} to i64") for x in (self.packs_a, self.packs_b)]
        JOB.put(fn, "%job", packs_a=flags[0], packs_b=flags[1])

    def _what_to_pack_of_images(self) -> None:
        """B, in an image, always; where A is in one, B if it is read by many tiles in parts."""
        fn, ints, tile, word = self.fn, self.ints, self.tile, self.word
        self.packs_a, self.packs_b = "false", "true"
        if tile.images == "a":
            scattered = ints.is_("ne", word("b_col"), 1)
            tall = ints.is_("sge", word("m"), OFTEN * tile.rows)
            wide = ints.is_("sgt", word("n"), tile.columns)
            self.packs_b = fn.val(f"or i1 {scattered}, {fn.val(f'and i1 {tall}, {wide}')}")
        JOB.put(fn, "%job", packs_a=0, packs_b=fn.val(f"zext i1 {self.packs_b} to i64"))

    def _memory(self, depth: Integer, width: Integer, high: Integer, limit: Value) -> None:
        """Take memory for the packed parts; without any, do pieces that fit on the stack."""
        fn, ints, tile, word = self.fn, self.ints, self.tile, self.word
        # threads share a batch of products where each of them is small, else the inside of each
        several = ints.is_("sge", word("batch"), limit)
        small = ints.is_("sle", self.volume, ints.mul(word("batch"), 4 * SMALL))
        apart = fn.val(f"and i1 {several}, {small}")
        summed = "false"
        if tile.images:
            summed = ints.is_("eq", word("adds"), SUMS)
            apart = fn.val(f"or i1 {several}, {summed}")
        outer = ints.pick(apart, limit, 1)
        inner = ints.pick(apart, 1, limit)
        room_a, room_b = self._rooms(depth, width, high)
        for_a, for_b = ints.mul(room_a, limit), ints.mul(room_b, outer)
        need = ints.add(for_a, for_b)
        stack = fn.slot("i8", STACK + 64, 64)
        little = ints.is_("sle", need, STACK)

        def take() -> list[Value]:
            asked = ints.add(need, 64)
            return [fn.fresh(f"call ptr {word('malloc')}(ptr {word('pool')}, i64 {asked})")]

        (block,) = fn.if_(little, lambda: [stack], take, ["ptr"])
        none = fn.val(f"icmp eq ptr {block}, null")

        def meagre() -> list[Value]:
            small = [ints.min(depth, MEAGRE), ints.min(width, tile.columns), 1, 1, 1]
            return [*map(str, small), stack]

        def given() -> list[Value]:
            return [*map(str, (depth, width, high, outer, inner)), block]

        kinds = ["i64"] * 5 + ["ptr"]
        depth, width, high, outer, inner, place = fn.if_(none, meagre, given, kinds)
        room_a, room_b = self._rooms(depth, width, high)
        number = fn.fresh(f"ptrtoint ptr {place} to i64")
        gap = fn.val(f"and i64 {ints.sub(0, number)}, 63")
        start = fn.val(f"getelementptr i8, ptr {place}, i64 {gap}")
        JOB.put(fn, "%job", depth=depth, width=width, high=high, place=start, room_a=room_a,
                room_b=room_b, limit=inner)  # fmt: skip
        if tile.images:
            self._run_images(summed, outer)
        else:
            self._run(matrices(self.module, tile), word("batch"), 1, outer)
        own = fn.val(f"icmp ne ptr {place}, {stack}")
        give = f"call void {word('free')}(ptr {word('pool')}, ptr {block}, i64 0)"
        fn.if_(own, lambda: fn.raw(give))

    def _run_images(self, summed: Value, limit: Value) -> None:
        """Threads share images, or for a sum over the batch its tiles: in few ranges then, as each
        packs all of B."""
        word = self.word
        body = matrices(self.module, self.tile)
        each = lambda: self._run(body, word("batch"), 1, limit)  # noqa: E731
        tiles = lambda: self._run(body, word("tiles"), 1, limit, 1)  # noqa: E731
        self.fn.if_(summed, tiles, each)

    def _rooms(self, depth: Integer, width: Integer, high: Integer) -> tuple[Integer, Integer]:
        """Bytes for a packed block of A and one of B, with what turning writes beyond them."""
        ints, tile, size = self.ints, self.tile, self.v.size
        lines = ints.add(depth, tile.lanes)
        a = ints.mul(ints.mul(high, tile.panel), lines)
        b = ints.mul(ints.up(width, tile.lanes), lines)
        a = ints.up(ints.mul(ints.add(a, tile.lanes * tile.panel), size), 64)
        b = ints.up(ints.mul(ints.add(b, tile.lanes * tile.columns), size), 64)
        return ints.pick(self.packs_a, a, 0), ints.pick(self.packs_b, b, 0)

    # a row times a matrix, a matrix times a column

    def _thin(self) -> None:
        word = self.word
        limit = self._limit()
        count = self.ints.mul(word("m"), word("n"))  # one of them is 1
        body = _thin(self.module, self.tile)
        self._run(body, count, COLUMNS, limit)
        self._follow()

    def _follow(self) -> None:
        """The epilogue of everything at once."""
        fn, word = self.fn, self.word
        follows = fn.val(f"icmp ne ptr {word('after')}, null")

        def after() -> None:
            ints = self.ints
            rows = ints.mul(ints.mul(word("batch"), word("m")), word("scale"))
            turns = ints.pick(ints.is_("eq", word("scale"), 0), word("batch"), rows)
            words = f"ptr {word('context')}, i64 0, i64 {turns}, i64 0"
            fn.raw(f"call void {word('after')}({words})")

        fn.if_(follows, after)


def _thin(module: ModuleWriter, tile: Tile) -> str:
    """The name of the function for elements ``begin`` to ``end`` of a row or column of results,
    for each matrix of the batch. A column is the row of the transposed product."""

    def build(fn: FunctionWriter) -> None:
        ints, v = Ints(fn), Lanes(fn, tile.dtype, tile.lanes)

        def word(name: str) -> Value:
            return JOB.get(fn, "%context", name)

        row = ints.is_("eq", word("m"), 1)

        def either(kind: str, a: str, b: str) -> Value:
            return fn.val(f"select i1 {row}, {kind} {word(a)}, {kind} {word(b)}")

        x, matrix = either("ptr", "a", "b"), either("ptr", "b", "a")
        x_next, next_ = either("i64", "a_next", "b_next"), either("i64", "b_next", "a_next")
        x_step = either("i64", "a_col", "b_row")
        along, across = either("i64", "b_row", "a_col"), either("i64", "b_col", "a_row")
        n = ints.sub("%end", "%begin")
        # an inner product of two vectors is contiguous both ways
        one = ints.is_("eq", across, 1)
        contiguous = fn.val(f"and i1 {one}, {ints.is_('ne', along, 1)}")
        few = ints.is_("sle", n, tile.columns)

        def turn(i: Value, _: list[Value]) -> list[Value]:
            at = v.at(x, ints.mul(i, x_next))
            of = v.at(v.at(matrix, ints.mul(i, next_)), ints.mul("%begin", across))
            to = v.at(v.at(word("c"), ints.mul(i, word("c_next"))), "%begin")
            head = f"i64 {n}, i64 {word('k')}, ptr {at}, i64 {x_step}, ptr {of}"
            tail = f"ptr {to}, i64 {word('adds')}"
            narrow = f"ptr {at}, i64 0, i64 {x_step}, i64 0, ptr {of}, i64 {along}, ptr {to}"
            narrow = f"i64 1, i64 {n}, i64 1, i64 {word('k')}, {narrow}, i64 0, i64 {word('adds')}"

            def rows() -> None:
                fn.if_(
                    few,
                    lambda: fn.raw(f"call void @{tiles(module, tile)}({narrow})"),
                    lambda: fn.raw(
                        f"call void @{sweep(module, tile)}({head}, i64 {along}, {tail})"
                    ),
                )

            def columns() -> None:
                fn.raw(f"call void @{dots(module, tile)}({head}, i64 {across}, {tail})")

            fn.if_(contiguous, rows, columns)
            return []

        fn.loop(0, word("batch"), 1, [], turn)

    return module.once("thin", BODY, "void", build, "nounwind")
