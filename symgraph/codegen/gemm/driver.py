"""The entry of a module of products: what is packed, how the work is cut, who does it.

    i32 kernel(ptr job)      one product or a batch of them; `record.JOB` says what the words are

It returns 0, or 1 where parts of it (`leaves.py`) could not be made; nothing has been done then.

The summed axis is cut into blocks whose number depends on its length alone; the sums of later
blocks are added to those of earlier ones in order. So an element does not depend on where its tile
begins, on what is packed, or on the number of threads, which share rows and columns only.
"""

from __future__ import annotations

import functools

from symgraph.codegen.gemm.entry import DONE, NO_MEMORY, NO_PARTS, PIECES, Entry
from symgraph.codegen.gemm.lanes import Integer
from symgraph.codegen.gemm.leaves import there
from symgraph.codegen.gemm.record import JOB
from symgraph.codegen.gemm.slabs import SUMS, WIDE, many, matrices
from symgraph.codegen.gemm.tiles import (
    ALONE,
    COPIED_FOR,
    SHORT,
    WRITTEN_OUT,
    Tile,
    copying_rows,
    straight_name,
    turned_name,
)
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value

SMALL = 256**3  # multiplications up to which A is read where it lies
LEAST_COPIED = 1 << 20  # multiplications from which on strips of B may be copied
# a result of so few elements is the sum of products over stretches of the summed axis, where that
# has so many elements and is so many times as long as rows and columns
FEW_ELEMENTS, DEEP, DEEPER = 1 << 14, 2048, 16
SLAB_OF_A = 4 << 20  # bytes of A that every strip of B may read again where they lie
FOLLOWED = 1 << 21  # bytes of complete rows at which their epilogue is run,
FEWEST = 4  # and how many tiles that are at least
TURNED = 1 << 19  # the same for elements of a transposed A, each in a cache line of its own
ALIASED = 4096  # rows of A so many bytes apart compete for the same places of a small cache
FAR = 4 << 20  # bytes of B that are copied for many tiles, as its strips come from far away
OFTEN, OFTENER = 8, 48  # so many are enough for it, and where B is nearer (`Tile.far`)
NEAR_TILES = 8  # tiles of A in an image that meet all strips of B before the next ones
RANGES = 4  # of images for each thread, as one of them may be slower
IDLE, SHARED = 8, 1 << 21  # the part of images that waits at most; multiplications for each thread
LINE = 64  # bytes of cache
STACK = 32768  # bytes of packed operands that need no allocation
MEAGRE = 64  # the block of the summed axis when there is no memory but the stack


def gemm_module(module: ModuleWriter, tile: Tile) -> None:
    """Write everything for one dtype into a module; its entry is ``kernel``."""
    fn = module.function("kernel", [("ptr", "job", "")], "i32", "", "nounwind")
    _Kernel(module, tile, fn).write()
    fn.ret("i32", str(DONE))


class _Kernel(Entry):
    packs_a: Value
    packs_b: Value
    copies_b: Value

    def __init__(self, module: ModuleWriter, tile: Tile, fn: FunctionWriter) -> None:
        super().__init__(tile, fn)
        self.module = module

    def there(self, bits: Integer) -> Value:
        asked = f"ptr {self.leaves.record}, i64 {bits}"
        return self.fn.fresh(f"call i1 @{there(self.module, self.tile)}({asked})")

    def write(self) -> None:
        fn, ints, word = self.fn, self.ints, self.word
        m, n, k = word("m"), word("n"), word("k")
        empty = fn.val(f"or i1 {ints.is_('sle', m, 0)}, {ints.is_('sle', n, 0)}")
        fn.if_(empty, lambda: fn.ret("i32", str(DONE)))
        if not self.tile.images:
            row, column = ints.is_("eq", m, 1), ints.is_("eq", n, 1)
            either = fn.val(f"or i1 {row}, {column}")
            thin = fn.val(f"and i1 {either}, {ints.is_('sgt', k, 0)}")
            fn.if_(thin, lambda: fn.ret("i32", self._entry("thin_product")))
            self._perhaps_long()
            self._perhaps_narrow()
        self._whole()

    def _entry(self, name: str) -> Value:
        """What another entry returns, which is a part."""
        fn = self.fn

        def call() -> list[Value]:
            return [fn.fresh(f"call i32 {self.leaves.address(name)}(ptr %job)")]

        found = self.there(self.leaves.bit(name))
        (result,) = fn.if_(found, call, lambda: [str(NO_PARTS)], ["i32"], likely=True)
        return result

    def _perhaps_long(self) -> None:
        """A result of few elements, each of which is a long sum."""
        fn, ints, word = self.fn, self.ints, self.word
        m, n, k = word("m"), word("n"), word("k")
        area = ints.mul(m, n)
        conditions = [
            ints.is_("eq", word("batch"), 1), ints.is_("sle", area, FEW_ELEMENTS),
            ints.is_("sge", k, ints.max(ints.mul(ints.max(m, n), DEEPER), DEEP)),
            ints.is_("sge", ints.mul(area, k), LEAST_COPIED),
        ]  # fmt: skip
        long = functools.reduce(lambda a, b: fn.val(f"and i1 {a}, {b}"), conditions)

        def stretches() -> None:
            JOB.put(fn, "%job", kernel="@kernel")
            result = self._entry("long_product")
            made = fn.fresh(f"icmp ne i32 {result}, {NO_MEMORY}")
            fn.if_(made, lambda: fn.ret("i32", result))

        fn.if_(long, stretches, likely=False)

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

        def lines() -> None:
            JOB.put(fn, "%job", packs_a=fn.val(f"zext i1 {tall} to i64"))
            result = self._entry("narrow_product")
            made = fn.fresh(f"icmp ne i32 {result}, {NO_MEMORY}")
            fn.if_(made, lambda: fn.ret("i32", result))

        fn.if_(narrow, lines)

    # products of matrices

    def _nearly_equal(self, columns: Value, width: int) -> Value:
        """The width of blocks of columns, of which there are no more than with that width."""
        ints, tile = self.ints, self.tile

        def several() -> list[Value]:
            each = ints.ceil(columns, ints.ceil(columns, width))
            return [str(ints.up(each, tile.columns))]

        more = ints.is_("sgt", columns, width)
        (found,) = self.fn.if_(more, several, lambda: [columns], ["i64"])
        return found

    def _whole(self) -> None:
        ints, tile, word = self.ints, self.tile, self.word
        limit = self.limit()
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
        fn, n = self.fn, word("n")
        most: Integer = self._nearly_equal(n, tile.width)
        if tile.images == "b":  # packed once, read by all tiles out of the second level of cache
            strips = ints.div(tile.room // (tile.columns * self.v.size), ints.max(depth, 1))
            most = ints.mul(ints.max(strips, 1), tile.columns)
        width = ints.pick(self.packs_b, ints.min(n, most), n)
        self._threads(limit)
        wide = ints.is_("sge", width, ints.mul(word("m"), WIDE))
        for flag in (follows, self.packs_a):
            wide = fn.val(f"and i1 {wide}, {fn.val(f'xor i1 {flag}, true')}")
        high = ints.min(count, NEAR_TILES) if tile.images == "a" else count
        pieces = ints.mul(self.inner, PIECES)
        if not tile.images:
            high, pieces = self._blocks(count, wide)
        # complete rows are to be in cache when they are followed up, and B again for the next ones
        near = ints.div(FOLLOWED // (tile.rows * self.v.size), word("n"))
        high = ints.pick(follows, ints.min(high, ints.max(near, FEWEST)), high)
        JOB.put(fn, "%job", pieces=pieces, wide=fn.val(f"zext i1 {wide} to i64"))
        self._memory(depth, width, high, limit)

    def _blocks(self, count: Integer, wide: Value) -> tuple[Integer, Integer]:
        """How many tiles are done together, in blocks of nearly equal height, and in how many
        pieces threads share all of them: as each piece copies B, none is less than such a block,
        unless there are too few for all threads. B is not copied for few tiles."""
        fn, ints, most = self.fn, self.ints, max(self.tile.height // self.tile.rows, 1)
        each = ints.div(count, ints.mul(self.inner, most))
        pieces = ints.mul(self.inner, ints.max(ints.min(each, PIECES), 1))
        own = ints.pick(wide, count, ints.ceil(count, pieces))
        high = ints.max(ints.ceil(own, ints.max(ints.ceil(own, most), 1)), 1)
        self.copies_b = fn.val(f"and i1 {self.copies_b}, {ints.is_('sge', high, COPIED_FOR)}")
        JOB.put(fn, "%job", copies_b=fn.val(f"zext i1 {self.copies_b} to i64"))
        return high, pieces

    def _what_to_pack(self) -> None:
        """B where its rows are not contiguous; A where it is too large, or lies too badly, to be
        read again for each strip of B. Of a B whose rows are contiguous each thread copies the
        strips that it uses often while it uses them first: where it packs A, where they come from
        far away, or where vectors of B lie across two lines of cache."""
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
        far = "false"
        for tiles, most in ((OFTEN, FAR), (OFTENER, tile.far)):
            often = ints.is_("sge", word("m"), tiles * tile.rows)
            both = fn.val(f"and i1 {often}, {ints.is_('sgt', size_of_b, most)}")
            far = fn.val(f"or i1 {far}, {both}")
        start = fn.fresh(f"ptrtoint ptr {word('b')} to i64")
        places = fn.val(f"or i64 {start}, {ints.mul(word('b_row'), size)}")
        across = ints.is_("ne", fn.val(f"and i64 {places}, {LINE - 1}"), 0)
        worth = functools.reduce(lambda a, b: fn.val(f"or i1 {a}, {b}"), (large, far, across))
        worth = fn.val(f"and i1 {worth}, {ints.is_('sge', volume, LEAST_COPIED)}")
        self.packs_b = fn.val(f"and i1 {some}, {scattered}")
        self.copies_b = fn.val(f"and i1 {fn.val(f'xor i1 {scattered}, true')}, {worth}")
        self.packs_a = fn.val(f"and i1 {some}, {large}")
        flags = [fn.val(f"zext i1 {x} to i64") for x in (self.packs_a, self.packs_b)]
        JOB.put(fn, "%job", packs_a=flags[0], packs_b=flags[1])

    def _what_to_pack_of_images(self) -> None:
        """B, in an image, always; where A is in one, B if it is read by many tiles in parts."""
        fn, ints, tile, word = self.fn, self.ints, self.tile, self.word
        self.packs_a, self.packs_b, self.copies_b = "false", "true", "false"
        if tile.images == "a":
            scattered = ints.is_("ne", word("b_col"), 1)
            tall = ints.is_("sge", word("m"), OFTEN * tile.rows)
            wide = ints.is_("sgt", word("n"), tile.columns)
            self.packs_b = fn.val(f"or i1 {scattered}, {fn.val(f'and i1 {tall}, {wide}')}")
        JOB.put(fn, "%job", packs_a=0, packs_b=fn.val(f"zext i1 {self.packs_b} to i64"))

    def _threads(self, limit: Value) -> None:
        """They share a batch of products where each of them is small, else the inside of each."""
        fn, ints, word = self.fn, self.ints, self.word
        several = ints.is_("sge", word("batch"), limit)
        small = ints.is_("sle", self.volume, ints.mul(word("batch"), 4 * SMALL))
        apart = fn.val(f"and i1 {several}, {small}")
        self.summed = "false"
        if self.tile.images:
            self.summed = ints.is_("eq", word("adds"), SUMS)
            uneven = self._uneven(limit)
            apart = fn.val(f"and i1 {several}, {fn.val(f'xor i1 {uneven}, true')}")
            apart = fn.val(f"or i1 {apart}, {self.summed}")
        self.outer, self.inner = ints.pick(apart, limit, 1), ints.pick(apart, 1, limit)

    def _uneven(self, limit: Value) -> Value:
        """Whether threads would wait for those that have an image more than they have, each of
        which is work for all of them."""
        fn, ints, word = self.fn, self.ints, self.word
        rounds = ints.mul(ints.ceil(word("batch"), limit), limit)
        waits = ints.mul(ints.sub(rounds, word("batch")), IDLE)
        each = ints.div(self.volume, ints.max(word("batch"), 1))
        long = ints.is_("sge", each, ints.mul(limit, SHARED))
        return fn.val(f"and i1 {long}, {ints.is_('sgt', waits, word('batch'))}")

    def _memory(self, depth: Integer, width: Integer, high: Integer, limit: Value) -> None:
        """Take memory for the packed parts; without any, do pieces that fit on the stack."""
        fn, ints, tile, word = self.fn, self.ints, self.tile, self.word
        room_a, room_b = self._rooms(depth, width, high)
        for_a, for_b = ints.mul(room_a, limit), ints.mul(room_b, self.outer)
        need = ints.add(for_a, for_b)
        stack = fn.slot("i8", STACK + LINE, LINE)
        little = ints.is_("sle", need, STACK)

        def take() -> list[Value]:
            asked = ints.add(need, LINE)
            return [fn.fresh(f"call ptr {word('malloc')}(ptr {word('pool')}, i64 {asked})")]

        (block,) = fn.if_(little, lambda: [stack], take, ["ptr"])
        none = fn.val(f"icmp eq ptr {block}, null")

        def meagre() -> list[Value]:
            small = [ints.min(depth, MEAGRE), ints.min(width, tile.columns), 1, 1, 1]
            return [*map(str, small), stack]

        def given() -> list[Value]:
            return [*map(str, (depth, width, high, self.outer, self.inner)), block]

        kinds = ["i64"] * 5 + ["ptr"]
        depth, width, high, outer, inner, place = fn.if_(none, meagre, given, kinds)
        room_a, room_b = self._rooms(depth, width, high)
        number = fn.fresh(f"ptrtoint ptr {place} to i64")
        gap = fn.val(f"and i64 {ints.sub(0, number)}, {LINE - 1}")
        start = fn.val(f"getelementptr i8, ptr {place}, i64 {gap}")
        JOB.put(fn, "%job", depth=depth, width=width, high=high, place=start, room_a=room_a,
                room_b=room_b, limit=inner)  # fmt: skip
        give = f"call void {word('free')}(ptr {word('pool')}, ptr {block}, i64 0)"

        def give_back() -> None:
            fn.if_(fn.val(f"icmp ne ptr {place}, {stack}"), lambda: fn.raw(give))

        def run() -> None:
            if tile.images:
                self._run_images(outer)
            else:
                names = [f(self.module, tile) for f in (many, matrices)]
                body = fn.val(f"select i1 {self._single()}, ptr @{names[0]}, ptr @{names[1]}")
                self.run(body, word("batch"), 1, outer)

        self.with_parts(self._bits(width), run, give_back)
        give_back()

    def _single(self) -> Value:
        """Whether each product of the batch is one tile of operands as they lie."""
        fn, ints, tile, word = self.fn, self.ints, self.tile, self.word
        packs = fn.val(f"or i1 {self.packs_a}, {self.packs_b}")  # one tile is never copied for
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
                      (self.leaves.bit("pack_a"), self.packs_a),
                      (self._bits_of_copies(height, tall, widths), self.copies_b)]  # fmt: skip
        strips = self.leaves.bits("pack_strips", "pack_image" if tile.images == "b" else "pack_b")
        found += [(self._bits_of_b(narrow, widths), self.packs_b), (strips, self.packs_b)]
        return ints.union(*found)

    def _bits_of_copies(self, height: Integer, tall: Value, widths: Integer) -> Integer:
        """The microkernels that copy, of the job's heights: where there are any."""
        ints, least = self.ints, copying_rows(self.tile)[0]
        low = self.leaves.copying_bits(ints.max(height, least), widths)
        high = self.leaves.copying_bits(ints.max(ints.add(height, 1), least), widths)
        return ints.union((low, "true"), (high, tall))

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
        flip = leaves.bit(turned_name(tile, tile.lanes))
        if not tile.images:  # tiles copy strips that are not scattered
            return flip
        copies = fn.val(f"shl i64 {widths}, {leaves.numbers[straight_name(tile.lanes, 1)]}")
        across = ints.is_("eq", word("b_col"), 1)
        return ints.pick(across, copies, flip)

    def _run_images(self, limit: Value) -> None:
        """Threads share images, one by one if there are few, or for a sum over the batch its tiles:
        in few ranges then, as each packs all of B."""
        ints, word = self.ints, self.word
        count = ints.pick(self.summed, word("tiles"), word("batch"))
        body = f"@{matrices(self.module, self.tile)}"
        self.run(body, count, 1, limit, ints.pick(self.summed, 1, RANGES))

    def _rooms(self, depth: Integer, width: Integer, high: Integer) -> tuple[Integer, Integer]:
        """Bytes for a packed block of A and one of B, with what turning writes beyond them."""
        ints, tile, size = self.ints, self.tile, self.v.size
        lines = ints.add(depth, tile.lanes)
        a = ints.mul(ints.mul(high, tile.panel), lines)
        b = ints.mul(ints.up(width, tile.lanes), lines)
        a = ints.up(ints.mul(ints.add(a, tile.lanes * tile.panel), size), LINE)
        b = ints.up(ints.mul(ints.add(b, tile.lanes * tile.columns), size), LINE)
        a = ints.pick(self.packs_a, a, 0)
        JOB.put(self.fn, "%job", strip_at=str(a))
        strip = ints.pick(self.copies_b, ints.mul(ints.mul(depth, tile.columns), size), 0)
        return ints.add(a, ints.up(strip, LINE)), ints.pick(self.packs_b, b, 0)
