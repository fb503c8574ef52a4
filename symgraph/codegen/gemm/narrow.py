"""A long operand times a few vectors: products with few columns, or with few rows.

Tiles would leave most lanes of their vectors empty. Here both operands are contiguous along the
summed axis, which goes by in whole vectors: ``LONG`` lines of the long operand times ``FEW`` of the
short one are inner products side by side, whose lanes are added up at the end. Columns of a short
operand whose rows are contiguous are copied apart first.

Each element is one chain of fused multiply-adds for each lane, so it is the same number in
whichever group of lines, on whichever thread it is made.
"""

from __future__ import annotations

from symgraph.codegen.gemm.avx512 import assembled_inner
from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.gemm.leaves import Leaf, Leaves
from symgraph.codegen.gemm.record import JOB
from symgraph.codegen.gemm.tiles import FEW, LONG, Tile, turned_name
from symgraph.codegen.writer import FunctionWriter, Value

DEEP = 2048

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
    """What computes lines begin to end of the long operand, for the thread team: rows
    of the result where ``packs_a`` is 1, else its columns. ``place`` holds the short operand,
    ``room_b`` is how far its lines lie apart, ``tiles`` their number."""
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

        def depths(p: Value, _: list[Value]) -> list[Value]:
            flags = ints.pick(ints.is_("sgt", p, 0), 1, word("adds"))
            self._block(p, ints.min(ints.sub(word("k"), p), DEEP), flags)
            return []

        fn.loop(0, word("k"), DEEP, [], depths)
        complete = fn.val(f"and i1 {tall}, {ints.is_('ne', word('scale'), 0)}")
        follows = fn.val(f"icmp ne ptr {word('after')}, null")

        def after() -> None:
            first, last = (ints.mul(x, word("scale")) for x in ("%begin", "%end"))
            words = f"ptr {word('context')}, i64 {first}, i64 {last}, i64 %worker"
            fn.raw(f"call void {word('after')}({words})")

        fn.if_(fn.val(f"and i1 {follows}, {complete}"), after)

    def _block(self, p: Value, k: Integer, flags: Integer) -> None:
        """All lines over a block of the summed axis."""
        ints, word = self.ints, self.word
        count = ints.sub("%end", "%begin")
        whole = ints.add("%begin", ints.mul(ints.div(count, LONG), LONG))
        fours = ints.mul(ints.div(word("tiles"), FEW), FEW)
        of_x: list[tuple[Integer, Integer, int]] = [("%begin", whole, LONG), (whole, "%end", 1)]
        of_y: list[tuple[Integer, Integer, int]] = [(0, fours, FEW), (fours, word("tiles"), 1)]
        for x in of_x:
            for y in of_y:
                self._group(p, k, flags, x, y)

    def _group(
        self, p: Value, k: Integer, flags: Integer,
        of_x: tuple[Integer, Integer, int], of_y: tuple[Integer, Integer, int],
    ) -> None:  # fmt: skip
        fn, ints, v, word = self.fn, self.ints, self.v, self.word
        name = f"inner_{of_x[2]}x{of_y[2]}"

        def line(i: Value, _: list[Value]) -> list[Value]:
            x = v.at(self.x, ints.add(ints.mul(i, self.x_step), p))

            def some(j: Value, _: list[Value]) -> list[Value]:
                y = v.at(word("place"), ints.add(ints.mul(j, word("room_b")), p))
                c = v.at(word("c"), ints.add(ints.mul(i, self.c_x), ints.mul(j, self.c_y)))
                words = f"ptr {x}, i64 {self.x_step}, ptr {y}, i64 {word('room_b')}, ptr {c}"
                words = f"i64 {k}, {words}, i64 {self.c_x}, i64 {self.c_y}, i64 {flags}"
                self.leaves.call(name, words)
                return []

            fn.loop(*of_y, [], some)
            return []

        fn.loop(*of_x, [], line)
