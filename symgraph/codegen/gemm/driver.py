"""The entry of a module of products: what is packed, how the work is cut, who does it.

    i32 kernel(ptr job)      one product or a batch of them; `record.JOB` says what the words are

It returns 0, or 1 where parts of it (`leaves.py`) could not be made; nothing has been done then.

The summed axis is cut into blocks whose number depends on its length alone; the sums of later
blocks are added to those of earlier ones in order. So an element does not depend on where its tile
begins, on what is packed, or on the number of threads, which share rows and columns only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.gemm.leaves import Leaves
from symgraph.codegen.gemm.narrow import ALONE, FEW, LONG, SHORT
from symgraph.codegen.gemm.record import JOB
from symgraph.codegen.gemm.skinny import layout
from symgraph.codegen.gemm.slabs import SUMS, many, matrices
from symgraph.codegen.gemm.tiles import WRITTEN_OUT, Tile, straight_name, turned_name
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.loops.cost import AWAKE

SMALL = 256**3  # multiplications up to which contiguous operands are read where they lie
SLAB_OF_A = 4 << 20  # bytes of A that every strip of B may read again where they lie
FOLLOWED = 1 << 18  # bytes of complete rows at which their epilogue is run,
FEWEST = 4  # and how many tiles that are at least
TURNED = 1 << 19  # the same for elements of a transposed A, each in a cache line of its own
ALIASED = 4096  # rows of A so many bytes apart compete for the same places of a small cache
FAR = 4 << 20  # bytes of B that are packed for many tiles, as its strips come from far away
NEAR = 1 << 18  # bytes of packed parts of an image that are used before more are packed
OFTEN = 8  # tiles of A that are enough to pack B for
BEGINNING = 512  # multiplications that take as long as to begin with a product of a batch
NEAR_TILES = 8  # tiles of A in an image that meet all strips of B before the next ones
STACK = 32768  # bytes of packed operands that need no allocation
MEAGRE = 64  # the block of the summed axis when there is no memory but the stack
COLUMNS = 64  # threads share a row's columns in multiples of this


def gemm_module(module: ModuleWriter, tile: Tile) -> None:
    """Write everything for one dtype into a module; its entry is ``kernel``."""
    fn = module.function("kernel", [("ptr", "job", "")], "i32", "", "nounwind")
    _Entry(module, tile, fn).write()
    fn.ret("i32", "0")


class _Entry:
    def __init__(self, module: ModuleWriter, tile: Tile, fn: FunctionWriter) -> None:
        self.module, self.tile, self.fn = module, tile, fn
        self.ints, self.v = Ints(fn), Lanes(fn, tile.dtype, tile.lanes)
        self.leaves = Leaves(fn, tile, self.word("parts"))

    def word(self, name: str) -> Value:
        return JOB.get(self.fn, "%job", name)

    def _with(self, bits: Integer, do: Callable[[], None], give_up: Callable[[], None]) -> None:
        """Do what needs these parts."""

        def missing() -> None:
            give_up()
            self.fn.ret("i32", "1")

        self.fn.if_(self.leaves.there(bits), do, missing, likely=True)

    def write(self) -> None:
        fn, ints, word = self.fn, self.ints, self.word
        m, n, k = word("m"), word("n"), word("k")
        empty = fn.val(f"or i1 {ints.is_('sle', m, 0)}, {ints.is_('sle', n, 0)}")
        fn.if_(empty, lambda: fn.ret("i32", "0"))
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
        self.volume = ints.mul(ints.add(volume, BEGINNING), word("batch"))
        least = word("least")

        def how_many(who: str) -> list[Value]:
            return [fn.fresh(f"call i64 {word(who)}(ptr {word('team')})")]

        def fewer() -> list[Value]:
            enough = ints.is_("sge", self.volume, ints.div(least, AWAKE))
            return fn.if_(enough, lambda: how_many("awake"), lambda: ["1"], ["i64"])

        large = ints.is_("sge", self.volume, least)
        (limit,) = fn.if_(large, lambda: how_many("threads"), fewer, ["i64"])
        return limit

    def _run(self, body: str, count: Integer, multiple: int, limit: Value, ranges: int = 2) -> None:
        """``body`` over 0 .. count, by the team or alone."""
        fn, ints, word = self.fn, self.ints, self.word

        def team() -> None:
            pieces = ints.mul(limit, ranges)
            grain = ints.up(ints.ceil(count, pieces), multiple)
            words = f"ptr {word('team')}, ptr {body}, ptr %job, i64 {count}, i64 {grain}"
            fn.raw(f"call void {word('run')}({words}, i64 {limit})")

        def alone() -> None:
            fn.raw(f"call void {body}(ptr %job, i64 0, i64 {count}, i64 0)")

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
        m, n = word("m"), word("n")
        JOB.put(fn, "%job", packs_a=fn.val(f"zext i1 {tall} to i64"),
                tiles=ints.pick(tall, word("n"), word("m")), place=short, room_b=lies)  # fmt: skip
        count, few = ints.pick(tall, m, n), ints.pick(tall, n, m)
        fours, ones = ints.is_("sge", few, FEW), ints.is_("ne", ints.rest(few, FEW), 0)
        single = ints.is_("ne", ints.rest(count, LONG), 0)
        bit = self.leaves.bit
        bits = ints.union(
            (bit(f"inner_{LONG}x{FEW}"), fours), (bit(f"inner_{LONG}x1"), ones),
            (bit(f"inner_1x{FEW}"), fn.val(f"and i1 {single}, {fours}")),
            (bit("inner_1x1"), fn.val(f"and i1 {single}, {ones}")),
            (bit("lines"), "true"),
            (self.leaves.bits("columns_apart", turned_name(self.tile, self.tile.lanes)),
             fn.val(f"xor i1 {apart}, true")),
        )  # fmt: skip

        def run() -> None:
            fn.if_(apart, lambda: self._lines(tall), lambda: self._lines_of_copy(tall))

        self._with(bits, run, lambda: None)

    def _lines(self, tall: Value) -> None:
        fn, ints, word = self.fn, self.ints, self.word
        count = ints.pick(tall, word("m"), word("n"))
        self._run(self.leaves.address("lines"), count, LONG * FEW, self._limit())
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
            words += f", i64 {word('n')}, i64 {word('k')}, ptr {word('parts')}"
            self.leaves.call("columns_apart", words)
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
        self.height, self.taller = height, taller
        JOB.put(self.fn, "%job", tiles=count, height=height, taller=taller)
        blocks = ints.ceil(word("k"), tile.depth)
        depth = ints.ceil(word("k"), ints.max(blocks, 1))
        follows = self.fn.val(f"icmp ne ptr {word('after')}, null")
        most: Integer = tile.width
        if tile.images == "b":  # packed once, read by all tiles out of the second level of cache
            strips = ints.div(NEAR // (tile.columns * self.v.size), ints.max(depth, 1))
            most = ints.mul(ints.max(strips, 1), tile.columns)
        width = ints.pick(self.packs_b, ints.min(word("n"), most), word("n"))
        most_high = ints.min(count, NEAR_TILES) if tile.images == "a" else count
        high = ints.pick(self.packs_a, ints.min(count, tile.height // tile.rows), most_high)
        # complete rows are to be in cache when they are followed up, and B again for the next ones
        near = ints.div(FOLLOWED // (tile.rows * self.v.size), word("n"))
        high = ints.pick(follows, ints.min(high, ints.max(near, FEWEST)), high)
        self._memory(depth, width, high, limit)

    def _what_to_pack(self) -> None:
        """B where its rows are not contiguous, or it is large and much used; both where A is too
        large, or lies too badly, to be read again for each strip of B."""
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
        size_of_b = ints.mul(ints.mul(word("k"), word("n")), size)
        often = ints.is_("sge", word("m"), OFTEN * tile.rows)
        far = fn.val(f"and i1 {often}, {ints.is_('sgt', size_of_b, FAR)}")
        b_only = fn.val(f"or i1 {far}, {scattered}")
        self.packs_b = fn.val(f"and i1 {some}, {fn.val(f'or i1 {large}, {b_only}')}")
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
        give = f"call void {word('free')}(ptr {word('pool')}, ptr {block}, i64 0)"

        def give_back() -> None:
            fn.if_(fn.val(f"icmp ne ptr {place}, {stack}"), lambda: fn.raw(give))

        def run() -> None:
            if tile.images:
                self._run_images(summed, outer)
            else:
                each = lambda f: self._run(f"@{f(self.module, tile)}", word("batch"), 1, outer)  # noqa: E731
                fn.if_(self._single(), lambda: each(many), lambda: each(matrices))

        self._with(self._bits(width), run, give_back)
        give_back()

    def _single(self) -> Value:
        """Whether each product of the batch is one tile of operands as they lie."""
        fn, ints, tile, word = self.fn, self.ints, self.tile, self.word
        packs = fn.val(f"or i1 {self.packs_a}, {self.packs_b}")
        follow = ints.is_("eq", word("c_next"), ints.mul(word("m"), word("c_row")))
        limits = [("m", tile.rows), ("n", tile.columns), ("k", tile.depth)]
        small = [ints.is_("sle", word(x), most) for x, most in limits]
        both = functools.reduce(lambda a, b: fn.val(f"and i1 {a}, {b}"), [follow, *small])
        return fn.val(f"and i1 {both}, {fn.val(f'xor i1 {packs}, true')}")

    def _bits(self, width: Integer) -> Integer:
        """The parts for tiles of the job's heights, in blocks of so many columns."""
        ints, tile, word = self.ints, self.tile, self.word
        n, height = word("n"), self.height
        rest = ints.rest(ints.sub(n, 1), width)  # the last block's columns, less one
        vectors = ints.add(ints.div(rest, tile.lanes), 1)
        strips = ints.ceil(vectors, tile.vectors)
        narrow, wide = ints.div(vectors, strips), ints.ceil(vectors, strips)
        more = ints.is_("sgt", n, width)
        widths = ints.union(
            (1 << (tile.vectors - 1), more), (ints.two_to(ints.sub(narrow, 1)), "true"),
            (ints.two_to(ints.sub(wide, 1)), "true"),
        )  # fmt: skip
        tall = ints.is_("sgt", self.taller, 0)
        turned = ints.is_("ne", word("c_col"), 1) if tile.images == "a" else ""
        found = [(self.leaves.tile_bits(height, widths, turned), "true"),
                 (self.leaves.tile_bits(ints.add(height, 1), widths, turned), tall)]  # fmt: skip
        if not tile.images:
            most = ints.pick(tall, ints.add(height, 1), height)
            found += [(self._bits_of_a(most), self.packs_a),
                      (self.leaves.bit("pack_a"), self.packs_a)]  # fmt: skip
        strips = self.leaves.bits("pack_strips", "pack_image" if tile.images == "b" else "pack_b")
        found += [(self._bits_of_b(narrow, widths), self.packs_b), (strips, self.packs_b)]
        return ints.union(*found)

    def _bits_of_a(self, rows: Integer) -> Integer:
        """The parts that pack panels of A of at most so many rows."""
        ints, tile, bit = self.ints, self.tile, self.leaves.bit
        side = min(tile.lanes, tile.panel)
        straight = [bit(straight_name(side, q + 1)) for q in range(tile.panel // side)]
        used = ints.ceil(rows, side)
        one = straight[0] if len(straight) == 1 else ints.pick(
            ints.is_("eq", used, 1), straight[0], sum(straight))  # fmt: skip
        return ints.pick(ints.is_("eq", self.word("a_row"), 1), one, bit(turned_name(tile, side)))

    def _bits_of_b(self, narrow: Integer, widths: Integer) -> Integer:
        """The parts that pack strips of B of these widths."""
        fn, ints, tile, leaves, word = self.fn, self.ints, self.tile, self.leaves, self.word
        if tile.images == "b":
            # a strip is pieces of runs: at least its vectors, at most two more for each run in it
            runs = ints.add(ints.div(tile.columns - 1, word("run_length")), 2)
            most = ints.add(ints.mul(runs, 2), tile.vectors)
            least = ints.min(narrow, WRITTEN_OUT)
            upper = ints.two_to(ints.add(ints.min(most, WRITTEN_OUT), 1))
            some = ints.sub(upper, ints.two_to(least))
            any_ = ints.pick(ints.is_("sgt", most, WRITTEN_OUT), 1, 0)
            either = fn.val(f"or i64 {some}, {any_}")
            return fn.val(f"shl i64 {either}, {leaves.numbers['gathered_0']}")
        copies = fn.val(f"shl i64 {widths}, {leaves.numbers[straight_name(tile.lanes, 1)]}")
        across = ints.is_("eq", word("b_col"), 1)
        return ints.pick(across, copies, leaves.bit(turned_name(tile, tile.lanes)))

    def _run_images(self, summed: Value, limit: Value) -> None:
        """Threads share images, or for a sum over the batch its tiles: in few ranges then, as each
        packs all of B."""
        word = self.word
        body = f"@{matrices(self.module, self.tile)}"
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
        fn, ints, word, leaves = self.fn, self.ints, self.word, self.leaves
        count = ints.mul(word("m"), word("n"))  # one of them is 1
        contiguous, few, _ = layout(fn, self.tile, "%job")
        tile = leaves.tile_bits(1, ints.two_to(ints.div(ints.sub(count, 1), self.tile.lanes)))
        rows = ints.pick(few, tile, leaves.bit("sweep"))

        def run() -> None:
            self._run(leaves.address("thin"), count, COLUMNS, self._limit())
            self._follow()

        bits = ints.pick(contiguous, rows, leaves.bit("dots"))
        self._with(ints.union((bits, "true"), (leaves.bit("thin"), "true")), run, lambda: None)

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
