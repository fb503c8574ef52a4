"""A long operand times a few vectors: products with few columns, or with few rows.

Tiles would leave most lanes of their vectors empty. Here both operands are contiguous along the
summed axis, which goes by in whole vectors: a few lines of the long operand times all of the short
one, or half of them, are inner products side by side, whose lanes are added up at the end. So the
long operand is read once. Columns of a short operand whose rows are contiguous are copied apart
first.

Each element is one chain of fused multiply-adds for each lane, so it is the same number in
whichever group of lines, on whichever thread it is made.
"""

from __future__ import annotations

from symgraph.codegen.gemm.avx512_inner import assembled_inner
from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.gemm.leaves import Leaf, Leaves
from symgraph.codegen.gemm.record import JOB
from symgraph.codegen.gemm.tiles import (
    EVERY,
    SINGLES,
    Tile,
    first_group,
    groups,
    turned_name,
)
from symgraph.codegen.writer import FunctionWriter, Value

# of the summed axis at once, for few lines of the short operand and for more than so many
DEEP, LESS_DEEP, SEVERAL = 2048, 1024, 4
NOTE = 64  # bytes of a note before a copy

# x: the long operand, y: the short one; from line to line they lie x_step and y_step apart, the
# results c_x and c_y; flags: 1 adds to what c holds
PARAMETERS = [
    ("i64", "k", ""), ("ptr", "x", "noalias readonly"), ("i64", "x_step", ""),
    ("ptr", "y", "noalias readonly"), ("i64", "y_step", ""), ("ptr", "c", "noalias"),
    ("i64", "c_x", ""), ("i64", "c_y", ""), ("i64", "flags", ""),
]  # fmt: skip


def inner_products(tile: Tile, long: int, few: int, assembled: bool = False) -> Leaf:
    """For so many lines of either operand. ``assembled``: in assembly language."""

    def build(fn: FunctionWriter) -> None:
        if assembled:
            assembled_inner(fn, Lanes(fn, tile.dtype, tile.lanes), long, few)
        else:
            _Inner(fn, tile, long, few).write()

    return Leaf(PARAMETERS, build)


class _Inner:
    def __init__(self, fn: FunctionWriter, tile: Tile, long: int, few: int) -> None:
        self.fn, self.ints = fn, Ints(fn)
        self.v = Lanes(fn, tile.dtype, tile.lanes)
        self.xs = [self.v.at("%x", self.ints.mul("%x_step", i)) for i in range(long)]
        self.ys = [self.v.at("%y", self.ints.mul("%y_step", j)) for j in range(few)]

    def write(self) -> None:
        fn, ints, v = self.fn, self.ints, self.v
        whole = ints.mul(ints.div("%k", v.lanes), v.lanes)
        count = len(self.xs) * len(self.ys)
        start = [(v.kind, "zeroinitializer")] * count
        sums = fn.loop(0, whole, v.lanes, start, lambda p, sums: self._piece(p, sums, None))

        def tail() -> list[Value]:
            return self._piece(str(whole), sums, v.first(ints.sub("%k", whole)))

        short = ints.is_("slt", whole, "%k")
        sums = fn.if_(short, tail, lambda: sums, [v.kind] * count)
        adds = fn.val("trunc i64 %flags to i1")
        for k, value in enumerate(sums):
            i, j = divmod(k, len(self.ys))
            self._finish(v.total(value), ints.add(ints.mul("%c_x", i), ints.mul("%c_y", j)), adds)

    def _piece(self, p: Value, sums: list[Value], mask: Value | None) -> list[Value]:
        v = self.v
        y = [v.load(v.at(line, p), mask) for line in self.ys]
        new: list[Value] = []
        for line in self.xs:
            x = v.load(v.at(line, p), mask)
            for each in y:
                new.append(v.fma(x, each, sums[len(new)]))
        return new

    def _finish(self, total: Value, at: Integer, adds: Value) -> None:
        fn, v = self.fn, self.v
        place = v.at("%c", at)

        def added() -> list[Value]:
            return [fn.fresh(f"fadd {v.element} {total}, {v.scalar(place)}")]

        (value,) = fn.if_(adds, added, lambda: [total], [v.element])
        fn.raw(f"store {v.element} {value}, ptr {place}, align {v.size}")


def columns_apart(tile: Tile) -> Leaf:
    """columns_apart(target, stride, b, b_row, n, k, parts): at most a vector's lanes of columns,
    each made contiguous, ``stride`` apart; there is room for as many columns as lanes."""
    params = [
        ("ptr", "target", ""), ("i64", "stride", ""), ("ptr", "b", ""), ("i64", "b_row", ""),
        ("i64", "n", ""), ("i64", "k", ""), ("ptr", "parts", ""),
    ]  # fmt: skip

    def build(fn: FunctionWriter) -> None:
        ints, v = Ints(fn), Lanes(fn, tile.dtype, tile.lanes)
        leaves = Leaves(fn, tile, "%parts")

        def block(p: Value, _: list[Value]) -> list[Value]:
            valid = ints.min(ints.sub("%k", p), tile.lanes)
            source = v.at("%b", ints.mul(p, "%b_row"))
            words = f"ptr {v.at('%target', p)}, i64 %stride, ptr {source}, i64 %b_row"
            leaves.call(turned_name(tile, tile.lanes), f"{words}, i64 {valid}, i64 %n")
            return []

        fn.loop(0, "%k", tile.lanes, [], block)

    return Leaf(params, build)


def lines(tile: Tile) -> Leaf:
    """What computes lines begin to end of the long operand, for the thread team: rows of the result
    where ``packs_a`` is 1, else its columns. ``place`` holds the short operand, ``room_b`` is how
    far its lines lie apart, ``tiles`` their number. Where ``room_a`` is not 0 each thread has so
    many bytes at ``place``: a note whether it has copied them there, and the copy."""
    body = [("ptr", "context", ""), ("i64", "begin", ""), ("i64", "end", ""), ("i64", "worker", "")]

    def build(fn: FunctionWriter) -> None:
        _Lines(tile, fn).write()

    return Leaf(body, build)


class _Lines:
    def __init__(self, tile: Tile, fn: FunctionWriter) -> None:
        self.tile, self.fn = tile, fn
        self.ints, self.v = Ints(fn), Lanes(fn, tile.dtype, tile.lanes)
        self.leaves = Leaves(fn, tile, self.word("parts"))

    def word(self, name: str) -> Value:
        return JOB.get(self.fn, "%context", name)

    def write(self) -> None:
        fn, ints, word = self.fn, self.ints, self.word
        tall = ints.is_("ne", word("packs_a"), 0)
        self.x = fn.val(f"select i1 {tall}, ptr {word('a')}, ptr {word('b')}")
        self.x_step = ints.pick(tall, word("a_row"), word("b_col"))
        self.c_x, self.c_y = ints.pick(tall, word("c_row"), 1), ints.pick(tall, 1, word("c_row"))

        apart = ints.is_("ne", word("room_a"), 0)
        (self.y,) = fn.if_(apart, self._copied, lambda: [word("place")], ["ptr"])
        several = ints.is_("sgt", word("tiles"), SEVERAL)
        deep = ints.pick(several, LESS_DEEP, DEEP)

        def depths(p: Value, _: list[Value]) -> list[Value]:
            flags = ints.pick(ints.is_("sgt", p, 0), 1, word("adds"))
            self._block(p, ints.min(ints.sub(word("k"), p), deep), flags)
            return []

        fn.loop(0, word("k"), deep, [], depths)
        complete = fn.val(f"and i1 {tall}, {ints.is_('ne', word('scale'), 0)}")
        follows = fn.val(f"icmp ne ptr {word('after')}, null")

        def after() -> None:
            first, last = (ints.mul(x, word("scale")) for x in ("%begin", "%end"))
            words = f"ptr {word('context')}, i64 {first}, i64 {last}, i64 %worker"
            fn.raw(f"call void {word('after')}({words})")

        fn.if_(fn.val(f"and i1 {follows}, {complete}"), after)

    def _copied(self) -> list[Value]:
        """This thread's copy, made the first time."""
        fn, ints, word = self.fn, self.ints, self.word
        own = ints.mul("%worker", word("room_a"))
        note = fn.val(f"getelementptr i8, ptr {word('place')}, i64 {own}")
        place = fn.val(f"getelementptr i8, ptr {note}, i64 {NOTE}")

        def copy() -> None:
            words = f"ptr {place}, i64 {word('room_b')}, ptr {word('b')}, i64 {word('b_row')}"
            words += f", i64 {word('n')}, i64 {word('k')}, ptr {word('parts')}"
            self.leaves.call("columns_apart", words)
            fn.raw(f"store i64 1, ptr {note}")

        missing = fn.fresh(f"icmp eq i64 {fn.fresh(f'load i64, ptr {note}')}, 0")
        fn.if_(missing, copy)
        return [place]

    def _block(self, p: Value, k: Integer, flags: Integer) -> None:
        """All lines over a block of the summed axis: so many that they are still in cache for the
        second group of lines of the short operand."""
        fn, ints, few = self.fn, self.ints, self.word("tiles")
        first = Groups(self.leaves).first(few)

        def some(i: Value, _: list[Value]) -> list[Value]:
            end = ints.min(ints.add(i, EVERY), "%end")

            def group(j: Value, _: list[Value]) -> list[Value]:
                self._group(p, k, flags, (i, end), (j, ints.min(first, ints.sub(few, j))))
                return []

            fn.loop(0, few, first, [], group)
            return []

        fn.loop("%begin", "%end", EVERY, [], some)

    def _group(
        self, p: Value, k: Integer, flags: Integer,
        of_x: tuple[Integer, Integer], of_y: tuple[Integer, Integer],
    ) -> None:  # fmt: skip
        """Lines begin to end of the long operand times so many of the short one from some on."""
        fn, ints, v, word = self.fn, self.ints, self.v, self.word
        (begin, end), (start, count) = of_x, of_y
        known = Groups(self.leaves)
        long = known.long(count)
        whole = ints.add(begin, ints.mul(ints.div(ints.sub(end, begin), long), long))

        def words(i: Value, j: Integer) -> str:
            x = v.at(self.x, ints.add(ints.mul(i, self.x_step), p))
            y = v.at(self.y, ints.add(ints.mul(j, word("room_b")), p))
            c = v.at(word("c"), ints.add(ints.mul(i, self.c_x), ints.mul(j, self.c_y)))
            found = f"ptr {x}, i64 {self.x_step}, ptr {y}, i64 {word('room_b')}, ptr {c}"
            return f"i64 {k}, {found}, i64 {self.c_x}, i64 {self.c_y}, i64 {flags}"

        def lines(i: Value, _: list[Value]) -> list[Value]:
            self.leaves.call_nth(known.names[0], known.number(count), words(i, start))
            return []

        def line(i: Value, _: list[Value]) -> list[Value]:
            at, last = start, ints.add(start, count)
            for size in SINGLES:
                done = ints.add(at, ints.mul(ints.div(ints.sub(last, at), size), size))

                def single(j: Value, _: list[Value], size: int = size) -> list[Value]:
                    self.leaves.call(f"inner_1x{size}", words(i, j))
                    return []

                fn.loop(at, done, size, [], single)
                at = done
            return []

        fn.loop(begin, whole, long, [], lines)
        fn.loop(whole, end, 1, [], line)


class Groups:
    """The inner products there are for so many lines of the short operand, at most a vector's
    lanes: tables of numbers below 16, each table one word."""

    def __init__(self, leaves: Leaves) -> None:
        self.leaves, self.ints, self.known = leaves, leaves.ints, groups(leaves.tile)
        self.names = [f"inner_{i}x{j}" for j, i in self.known.items()]

    def first(self, few: Integer) -> Integer:
        """The lines of the first group; those of a second one are the rest."""
        tile = self.leaves.tile
        return self._nth([first_group(tile, n + 1) for n in range(tile.lanes)], few)

    def long(self, count: Integer) -> Integer:
        """How many lines of the long operand a group of so many goes with."""
        return self._nth([self.known.get(n + 1, 1) for n in range(max(self.known))], count)

    def number(self, count: Integer) -> Integer:
        """Which of the names is that of so many lines, counted from 1."""
        order = list(self.known)
        found = [order.index(n + 1) + 1 if n + 1 in order else 0 for n in range(max(order))]
        return self._nth(found, count)

    def bit(self, count: Integer) -> Integer:
        """The bit of the part."""
        first = self.leaves.numbers[self.names[0]]
        return self.ints.two_to(self.ints.add(self.number(count), first - 1))

    def _nth(self, table: list[int], n: Integer) -> Integer:
        fn, ints = self.leaves.fn, self.ints
        packed = sum(x << (4 * k) for k, x in enumerate(table))
        moved = fn.val(f"lshr i64 {packed}, {ints.mul(ints.sub(n, 1), 4)}")
        return fn.val(f"and i64 {moved}, 15")
