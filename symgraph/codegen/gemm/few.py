"""The entries for a row times a matrix, a matrix times a column, and a few of them: parts like the
functions that they call (`skinny.py`, `narrow.py`), as most programs have no such product."""

from __future__ import annotations

import functools

from symgraph.codegen.gemm.entry import DONE, NO_MEMORY, Entry
from symgraph.codegen.gemm.lanes import Integer
from symgraph.codegen.gemm.leaves import Leaf
from symgraph.codegen.gemm.narrow import NOTE, Groups
from symgraph.codegen.gemm.record import JOB
from symgraph.codegen.gemm.skinny import layout
from symgraph.codegen.gemm.tiles import EVERY, SINGLES, Tile, turned_name
from symgraph.codegen.literals import constant
from symgraph.codegen.writer import FunctionWriter, Value

COLUMNS = 64  # threads share a row's columns in multiples of this
# or parts of the summed axis, where rows of the matrix are shorter than so many bytes, as half a
# row at a time is what no processor foresees; a row takes so many steps at least
PARTS, SHORT_ROW, STEPS = 8, 8192, 1024
MEMORY = 3  # how much longer a multiplication takes that waits for its element of the matrix
_JOB = [("ptr", "job", "")]


def thin_product(tile: Tile) -> Leaf:
    """thin_product(job): one row, or one column, of a single product."""

    def build(fn: FunctionWriter) -> None:
        _Few(tile, fn).thin()
        fn.ret("i32", str(DONE))

    return Leaf(_JOB, build, "i32")


def narrow_product(tile: Tile) -> Leaf:
    """narrow_product(job): few columns or few rows; NO_MEMORY, with nothing done, where there is
    none for a copy."""

    def build(fn: FunctionWriter) -> None:
        _Few(tile, fn).narrow()
        fn.ret("i32", str(DONE))

    return Leaf(_JOB, build, "i32")


class _Few(Entry):
    def thin(self) -> None:
        """Share the elements of the row or column, or the matrices."""
        fn, ints, word, leaves = self.fn, self.ints, self.word, self.leaves
        count = ints.mul(word("m"), word("n"))  # one of them is 1
        contiguous, few, _ = layout(fn, self.tile, "%job")
        short = ints.is_("sle", ints.mul(count, self.v.size), SHORT_ROW)
        deep = ints.is_("sge", ints.mul(word("k"), ints.ceil(count, COLUMNS)), STEPS * PARTS)
        apart = functools.reduce(
            lambda a, b: fn.val(f"and i1 {a}, {b}"),
            (contiguous, short, deep, ints.is_("sge", word("k"), STEPS),
             ints.is_("eq", word("batch"), 1)),
        )  # fmt: skip
        JOB.put(fn, "%job", depth=0)
        tile = leaves.tile_bits(1, ints.two_to(ints.div(ints.sub(count, 1), self.tile.lanes)))
        rows = ints.pick(few, tile, leaves.bit("sweep"))

        def run() -> None:
            limit, thin = self.limit(MEMORY), leaves.address("thin")

            def whole() -> None:
                fn.if_(
                    ints.is_("sgt", word("batch"), 1),
                    lambda: self.run(thin, word("batch"), 1, limit),
                    # one range for each thread: long stretches of rows
                    lambda: self.run(thin, count, COLUMNS, limit, 1),
                )

            fn.if_(apart, lambda: self._in_parts(count, limit), whole)
            self.follow()

        rows = ints.union((rows, "true"), (leaves.bit("sweep"), apart))
        bits = ints.pick(contiguous, rows, leaves.bit("dots"))
        self.with_parts(ints.union((bits, "true"), (leaves.bit("thin"), "true")), run)

    def _in_parts(self, count: Integer, limit: Value) -> None:
        """The sums over parts of the summed axis, whatever the number of threads, then their sum:
        a row of ones times what they left."""
        fn, ints, v, word = self.fn, self.ints, self.v, self.word
        stride = ints.up(count, self.tile.lanes)
        need = ints.add(ints.mul(stride, PARTS * v.size), NOTE)
        block = fn.fresh(f"call ptr {word('malloc')}(ptr {word('pool')}, i64 {need})")
        none = fn.val(f"icmp eq ptr {block}, null")
        fn.if_(none, lambda: fn.ret("i32", str(NO_MEMORY)))
        place = fn.val(f"getelementptr i8, ptr {block}, i64 {NOTE}")
        depth = ints.up(ints.ceil(word("k"), PARTS), PARTS)
        JOB.put(fn, "%job", place=place, room_b=stride, depth=depth)
        self.run(self.leaves.address("thin"), str(PARTS), 1, limit)
        one = constant(self.tile.dtype, 1, 1.0)
        fn.raw(f"store {v.element} {one}, ptr {block}, align {v.size}")
        words = f"i64 {count}, i64 {PARTS}, ptr {block}, i64 0, ptr {place}, i64 {stride}"
        self.leaves.call("sweep", f"{words}, ptr {word('c')}, i64 {word('adds')}")
        fn.raw(f"call void {word('free')}(ptr {word('pool')}, ptr {block}, i64 0)")

    def narrow(self) -> None:
        """Place the short operand and share the lines of the long one."""
        fn, ints, word = self.fn, self.ints, self.word
        tall = ints.is_("ne", word("packs_a"), 0)  # the short operand is B
        apart = ints.is_("eq", word("b_row"), 1)  # whose columns are contiguous as they are
        lies = ints.pick(tall, word("b_col"), word("a_row"))
        short = fn.val(f"select i1 {tall}, ptr {word('b')}, ptr {word('a')}")
        m, n = word("m"), word("n")
        JOB.put(fn, "%job", tiles=ints.pick(tall, n, m), place=short, room_a=0, room_b=lies)
        count, few = ints.pick(tall, m, n), ints.pick(tall, n, m)
        bit, known = self.leaves.bit, Groups(self.leaves)
        first = known.first(few)
        second = ints.sub(few, first)
        two = ints.is_("sgt", second, 0)
        second = ints.pick(two, second, first)
        of_two = [ints.rest(count, known.long(n)) for n in (first, second)]
        single = ints.is_("ne", fn.val(f"or i64 {of_two[0]}, {of_two[1]}"), 0)
        bits = ints.union(
            (known.bit(first), "true"), (known.bit(second), two),
            *((bit(f"inner_1x{n}"), single) for n in SINGLES),
            (bit("lines"), "true"),
            (self.leaves.bits("columns_apart", turned_name(self.tile, self.tile.lanes)),
             fn.val(f"xor i1 {apart}, true")),
        )  # fmt: skip

        def run() -> None:
            limit = self.limit()
            fn.if_(
                apart, lambda: self._lines(tall, limit), lambda: self._lines_of_copy(tall, limit)
            )

        self.with_parts(bits, run)

    def _lines(self, tall: Value, limit: Value) -> None:
        fn, ints, word = self.fn, self.ints, self.word
        count = ints.pick(tall, word("m"), word("n"))
        self.run(self.leaves.address("lines"), count, EVERY, limit)
        rows = fn.val(f"and i1 {tall}, {ints.is_('ne', word('scale'), 0)}")  # followed up by ranges
        fn.if_(rows, lambda: None, self.follow)

    def _lines_of_copy(self, tall: Value, limit: Value) -> None:
        """The same with the columns of B copied apart, by each thread for itself: that takes no
        longer than if one does it while the others wait, and what another one has written is far
        away."""
        fn, ints, tile, word = self.fn, self.ints, self.tile, self.word
        stride = ints.add(ints.up(word("k"), tile.lanes), tile.lanes)
        each = ints.add(ints.mul(stride, tile.lanes * self.v.size), NOTE)
        need = ints.mul(each, limit)
        block = fn.fresh(f"call ptr {word('malloc')}(ptr {word('pool')}, i64 {need})")

        def none_yet(at: Value, _: list[Value]) -> list[Value]:
            fn.raw(f"store i64 0, ptr {fn.val(f'getelementptr i8, ptr {block}, i64 {at}')}")
            return []

        def copy() -> None:
            fn.loop(0, need, each, [], none_yet)
            JOB.put(fn, "%job", place=block, room_a=each, room_b=stride)
            self._lines(tall, limit)
            fn.raw(f"call void {word('free')}(ptr {word('pool')}, ptr {block}, i64 0)")

        none = fn.val(f"icmp eq ptr {block}, null")
        fn.if_(none, lambda: fn.ret("i32", str(NO_MEMORY)), copy)
