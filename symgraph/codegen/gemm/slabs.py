"""The loops of a product of matrices, and what threads share of them.

for each matrix                                     (threads, where matrices are small)
    for each block of columns, block of the summed axis
        pack B's part, where its rows are scattered (threads share the strips)
        for each block of tiles                     (threads share the tiles)
            pack A's part
            for each strip: its tiles, one below the other: microkernel,
                the first of which may copy the strip for the others
            the epilogue of the rows that are complete
"""

from __future__ import annotations

import functools

from symgraph.codegen.gemm.blocks import block
from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.gemm.leaves import DRIVER, Leaf, Leaves
from symgraph.codegen.gemm.record import JOB, SLAB
from symgraph.codegen.gemm.tiles import Tile
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value

#: what the thread team calls: the turns from begin to end, in thread number worker
BODY = [("ptr", "context", ""), ("i64", "begin", ""), ("i64", "end", ""), ("i64", "worker", "")]
WHOLE = (1 << 62) - 1  # the end of a range that has none
TOGETHER = 64  # matrices of one tile that are followed up together
#: times as many columns as rows, which threads share then although there are rows for all of them:
#: each reads its part of B alone, in place of all of it. What follows complete rows wants rows
WIDE = 8
SUMS = 2  # the word ``adds`` of a convolution whose result is a sum over the batch


def matrices(module: ModuleWriter, tile: Tile) -> str:
    """The name of the function that computes matrices begin to end of a job's batch."""

    def build(fn: FunctionWriter) -> None:
        _Matrices(module, tile, fn).write()

    return module.once("matrices", BODY, "void", build, DRIVER)


class _Part:
    """A function that does a part of a job."""

    def __init__(self, module: ModuleWriter, tile: Tile, fn: FunctionWriter) -> None:
        self.module, self.tile, self.fn = module, tile, fn
        self.ints, self.v = Ints(fn), Lanes(fn, tile.dtype, tile.lanes)
        self.job = "%context"

    def word(self, name: str) -> Value:
        return JOB.get(self.fn, self.job, name)

    def flag(self, name: str) -> Value:
        return self.ints.is_("ne", self.word(name), 0)

    def after(self, begin: Integer, end: Integer) -> None:
        """The epilogue of rows, counted through the batch."""
        self.turns(*(self.ints.mul(x, self.word("scale")) for x in (begin, end)))

    def turns(self, begin: Integer, end: Integer) -> None:
        """Turns of the epilogue."""
        words = f"ptr {self.word('context')}, i64 {begin}, i64 {end}, i64 %worker"
        self.fn.raw(f"call void {self.word('after')}({words})")


class _Matrices(_Part):
    def write(self) -> None:
        fn, ints = self.fn, self.ints
        self.slab = SLAB.slot(fn)
        own = ints.mul("%worker", ints.add(self.word("room_a"), self.word("room_b")))
        self.place = fn.val(f"getelementptr i8, ptr {self.word('place')}, i64 {own}")
        room_b = self.word("room_b")
        place_a = fn.val(f"getelementptr i8, ptr {self.place}, i64 {room_b}")
        tiles, limit = self.word("tiles"), self.word("limit")

        def several() -> list[Value]:  # few tiles for many threads: those of each strip apart
            lanes = ints.ceil(self.word("width"), self.tile.columns)
            pieces = self.word("pieces")
            enough = ints.is_("sge", tiles, pieces)
            groups = ints.pick(enough, 1, ints.ceil(pieces, tiles))
            groups = ints.min(lanes, ints.pick(self.flag("wide"), pieces, groups))
            return [str(groups), str(ints.mul(ints.ceil(lanes, groups), self.tile.columns))]

        alone = ints.is_("eq", limit, 1)
        groups, width = fn.if_(alone, lambda: ["1", "0"], several, ["i64"] * 2)
        self.groups = groups
        SLAB.put(fn, self.slab, job="%context", place_a=place_a, groups=groups, group_width=width)
        turns: tuple[Value, Value] = ("%begin", "%end")
        if self.tile.images:  # a sum over the batch is shared out by its tiles
            summed = ints.is_("eq", self.word("adds"), SUMS)
            turns = (str(ints.pick(summed, 0, "%begin")),
                     str(ints.pick(summed, self.word("batch"), "%end")))  # fmt: skip
            self.tiles = (ints.pick(summed, "%begin", 0), ints.pick(summed, "%end", tiles))
        self.start = turns[0]
        fn.loop(*turns, 1, [], self._matrix)

    def _matrix(self, i: Value, _: list[Value]) -> list[Value]:
        fn, ints, v, word = self.fn, self.ints, self.v, self.word
        self.adds: Integer = word("adds")
        if self.tile.images:
            a, b, c = self._of_image(i)
        else:
            a, b, c = (v.at(word(x), ints.mul(i, word(f"{x}_next"))) for x in "abc")
        first = ints.mul(i, word("m"))
        SLAB.put(fn, self.slab, first_row=first)
        self.packs = self.flag("packs_b")
        if self.tile.images == "a":
            self.packs = fn.val(f"and i1 {self.packs}, {self._other_b(i)}")

        def columns(j: Value, _: list[Value]) -> list[Value]:
            def depths(p: Value, _: list[Value]) -> list[Value]:
                self._slab(a, b, c, j, p)
                return []

            # a product over nothing still writes its zeros
            fn.loop(0, ints.max(word("k"), 1), ints.max(word("depth"), 1), [], depths)
            return []

        fn.loop(0, word("n"), word("width"), [], columns)
        follows = fn.val(f"icmp ne ptr {word('after')}, null")
        parted = ints.is_("sgt", self.groups, 1)
        at_end = fn.val(f"or i1 {parted}, {ints.is_('eq', word('scale'), 0)}")
        rows = word("m")
        if self.tile.images == "a":  # columns that are rows are complete with the last tile
            turned = ints.is_("ne", word("c_col"), 1)
            at_end = fn.val(f"or i1 {at_end}, {turned}")
            rows = str(ints.pick(turned, word("n"), rows))
            first = ints.mul(i, rows)
        at_end = fn.val(f"and i1 {follows}, {at_end}")
        fn.if_(at_end, lambda: self._after_all(i, first, ints.add(first, rows)))
        return []

    def _of_image(self, i: Value) -> list[Value]:
        """Where the operands of the i-th group of an image lie, and what is done before."""
        fn, ints, v, word = self.fn, self.ints, self.v, self.word
        image = ints.div(i, word("groups"))
        group = ints.sub(i, ints.mul(image, word("groups")))
        later = fn.val(f"zext i1 {ints.is_('sgt', image, 0)} to i64")
        self.adds = ints.pick(ints.is_("eq", word("adds"), SUMS), later, word("adds"))
        precedes = fn.val(f"icmp ne ptr {word('before')}, null")

        def before() -> None:
            begin = ints.mul(i, word("before_scale"))
            words = f"ptr {word('before_context')}, i64 {begin}"
            words += f", i64 {ints.add(begin, word('before_scale'))}, i64 %worker"
            fn.raw(f"call void {word('before')}({words})")

        fn.if_(precedes, before)
        found = []
        for x in "abc":
            offset = ints.mul(image, word(f"{x}_next"))
            found.append(v.at(word(x), ints.add(offset, ints.mul(group, word(f"{x}_group")))))
        return found

    def _other_b(self, i: Value) -> Value:
        """Whether B is not what was packed for the image before, the whole of it at once."""
        fn, ints, word = self.fn, self.ints, self.word
        whole = (("n", "width"), ("k", "depth"))
        flags = [ints.is_("eq", i, self.start), ints.is_("ne", word("b_next"), 0),
                 ints.is_("ne", word("groups"), 1)]  # fmt: skip
        flags += [ints.is_("sgt", word(x), word(most)) for x, most in whole]
        return functools.reduce(lambda a, b: fn.val(f"or i1 {a}, {b}"), flags)

    def _after_all(self, i: Value, begin: Integer, end: Integer) -> None:
        """The epilogue of a whole matrix whose rows were not completed one by one; that may be a
        single turn."""
        single = self.ints.is_("eq", self.word("scale"), 0)
        pairs = ((i, self.ints.mul(begin, self.word("scale"))),
                 (self.ints.add(i, 1), self.ints.mul(end, self.word("scale"))))  # fmt: skip
        self.turns(*(self.ints.pick(single, *pair) for pair in pairs))

    def _slab(self, a: Value, b: Value, c: Value, j: Value, p: Value) -> None:
        """The columns from j over the block of the summed axis from p."""
        fn, ints, v, word = self.fn, self.ints, self.v, self.word
        left_n, left_k = ints.sub(word("n"), j), ints.sub(word("k"), p)
        n, k = ints.min(left_n, word("width")), ints.min(left_k, word("depth"))
        flags = ints.pick(ints.is_("sgt", p, 0), 1, self.adds)
        if self.tile.images == "b":
            b_from = b
        else:
            b_from = v.at(b, ints.add(ints.mul(p, word("b_row")), ints.mul(j, word("b_col"))))
        packs = self.flag("packs_b")
        b_at = fn.val(f"select i1 {packs}, ptr {self.place}, ptr {b_from}")
        a_from = a if self.tile.images == "a" else v.at(a, ints.mul(p, word("a_col")))
        if self.tile.images:
            table = word("row_table" if self.tile.images == "b" else "col_table")
            table = fn.val(f"getelementptr i32, ptr {table}, i64 {p}")
            SLAB.put(fn, self.slab, table=table, first=j)
        ends = fn.val(f"and i1 {ints.is_('eq', n, left_n)}, {ints.is_('eq', k, left_k)}")
        follows = fn.val(f"icmp ne ptr {word('after')}, null")
        by_rows = fn.val(f"and i1 {follows}, {ints.is_('ne', word('scale'), 0)}")
        whole = fn.val(f"and i1 {by_rows}, {ints.is_('eq', self.groups, 1)}")
        c_at = v.at(c, j)
        if self.tile.images == "a":
            whole = fn.val(f"and i1 {whole}, {ints.is_('eq', word('c_col'), 1)}")
            c_at = v.at(c, ints.mul(j, word("c_col")))
        last = fn.val(f"zext i1 {fn.val(f'and i1 {whole}, {ends}')} to i64")
        SLAB.put(fn, self.slab, a=a_from, b=b_at, b_from=b_from, c=c_at, n=n, k=k,
                 flags=flags, last=last)  # fmt: skip
        leaves = Leaves(fn, self.tile, word("parts"))
        strips = lambda: leaves.address("pack_strips")  # noqa: E731
        fn.if_(self.packs, lambda: self._run(strips(), n, self.tile.columns))
        rows = f"@{_rows(self.module, self.tile)}"
        count = ints.mul(word("tiles"), self.groups)
        self._run(rows, count, 1, self.tiles if self.tile.images else (0, count))

    def _run(
        self, body: str, count: Integer, multiple: int, alone_: tuple[Integer, Integer] = (0, 0)
    ) -> None:
        begin, end = alone_ if alone_ != (0, 0) else (0, count)
        fn, ints, word = self.fn, self.ints, self.word
        limit = word("limit")

        def team() -> None:
            grain = ints.up(ints.ceil(count, word("pieces")), multiple)
            words = f"ptr {word('team')}, ptr {body}, ptr {self.slab}, i64 {count}, i64 {grain}"
            fn.raw(f"call void {word('run')}({words}, i64 {limit})")

        def alone() -> None:
            fn.raw(f"call void {body}(ptr {self.slab}, i64 {begin}, i64 {end}, i64 %worker)")

        fn.if_(ints.is_("sgt", limit, 1), team, alone)


def many(module: ModuleWriter, tile: Tile) -> str:
    """The name of the function that computes matrices begin to end of a batch whose products are
    one tile each, of operands as they lie."""

    def build(fn: FunctionWriter) -> None:
        _Many(module, tile, fn).write()

    return module.once("many", BODY, "void", build, DRIVER)


class _Many(_Part):
    """Tiles of a batch are one below the other, each with a B of its own; after some of them, while
    they are near, comes their epilogue."""

    def write(self) -> None:
        fn, ints, word = self.fn, self.ints, self.word
        leaves = Leaves(fn, self.tile, word("parts"))
        follows = fn.val(f"icmp ne ptr {word('after')}, null")
        some = ints.pick(follows, TOGETHER, WHOLE)

        def group(i: Value, _: list[Value]) -> list[Value]:
            count = ints.min(ints.sub("%end", i), some)
            a, b, c = (self.v.at(word(x), ints.mul(i, word(f"{x}_next"))) for x in "abc")
            args = [
                f"i64 {count}", f"i64 {word('k')}", f"ptr {a}", f"i64 {word('a_row')}",
                f"i64 {word('a_col')}", f"i64 {word('a_next')}", f"ptr {b}",
                f"i64 {word('b_row')}", f"i64 {word('b_next')}", f"ptr {c}",
                f"i64 {word('c_row')}", "i64 1", f"i64 {word('adds')}",
            ]  # fmt: skip
            leaves.call_tile(word("m"), word("n"), args)
            fn.if_(follows, lambda: self._after(i, ints.add(i, count)))
            return []

        fn.loop("%begin", "%end", some, [], group)

    def _after(self, begin: Integer, end: Integer) -> None:
        ints, word = self.ints, self.word
        rows = ints.mul(word("m"), word("scale"))
        turns = ints.pick(ints.is_("eq", word("scale"), 0), 1, rows)
        self.turns(ints.mul(begin, turns), ints.mul(end, turns))


def pack_strips(tile: Tile) -> Leaf:
    """What packs the strips of a slab's B that begin at columns begin to end, for the team."""

    def build(fn: FunctionWriter) -> None:
        def word(name: str) -> Value:
            return SLAB.get(fn, "%context", name)

        def given(name: str) -> Value:
            return JOB.get(fn, word("job"), name)

        leaves = Leaves(fn, tile, given("parts"))
        ends = f"i64 {word('n')}, i64 {word('k')}, i64 %begin, i64 %end, ptr {leaves.record}"
        words = f"ptr {word('b')}, ptr {word('b_from')}"
        if tile.images == "b":
            words += f", ptr {word('table')}, ptr {given('col_table')}, i64 {given('run_length')}"
            leaves.call("pack_image", f"{words}, i64 {word('first')}, {ends}")
        else:
            words += f", i64 {given('b_row')}, i64 {given('b_col')}"
            leaves.call("pack_b", f"{words}, {ends}")

    return Leaf(BODY, build)


def _rows(module: ModuleWriter, tile: Tile) -> str:
    """The function that computes a slab's tiles begin to end; those of further groups of columns
    are counted after those of the first."""

    def build(fn: FunctionWriter) -> None:
        _Rows(module, tile, fn).write()

    return module.once("rows", BODY, "void", build, DRIVER)


class _Rows(_Part):
    def __init__(self, module: ModuleWriter, tile: Tile, fn: FunctionWriter) -> None:
        super().__init__(module, tile, fn)
        self.job = self.slab("job")

    def slab(self, name: str) -> Value:
        return SLAB.get(self.fn, "%context", name)

    def write(self) -> None:
        fn, ints = self.fn, self.ints
        tiles = self.word("tiles")
        limit = self.word("limit")
        # a thread that works alone has its room by now, one of several gets it here
        several = ints.is_("sgt", limit, 1)
        own = ints.pick(several, ints.mul("%worker", self.word("room_a")), 0)
        self.place = fn.val(f"getelementptr i8, ptr {self.slab('place_a')}, i64 {own}")
        first, last = ints.div("%begin", tiles), ints.ceil("%end", tiles)

        def group(g: Value, _: list[Value]) -> list[Value]:
            start = ints.mul(g, tiles)
            begin = ints.max(ints.sub("%begin", start), 0)
            end = ints.min(ints.sub("%end", start), tiles)
            left = ints.mul(g, self.slab("group_width"))
            right = ints.add(left, self.slab("group_width"))
            final = ints.is_("eq", ints.add(g, 1), self.slab("groups"))
            right = ints.pick(final, WHOLE, right)
            fn.loop(str(begin), str(end), self.word("high"), [],
                    lambda t, _: self._block(t, end, left, right))  # fmt: skip
            return []

        fn.loop(str(first), str(last), 1, [], group)

    def _block(self, t: Value, end: Integer, left: Integer, right: Integer) -> list[Value]:
        """The tiles from t on that are packed together, from column left to right."""
        fn, ints, v, word, slab = self.fn, self.ints, self.v, self.word, self.slab
        stop = ints.min(ints.add(t, word("high")), end)
        first, below = self._row(t), self._row(stop)
        tall = ints.max(ints.sub(ints.min(stop, word("taller")), t), 0)
        low = ints.sub(ints.sub(stop, t), tall)
        c_at = v.at(slab("c"), ints.mul(first, word("c_row")))
        if self.tile.images:
            of_a = self._lying(first)
        else:
            of_a = self._perhaps_packed(first, tall, low)
        args = [
            f"i64 {tall}", f"i64 {low}", f"i64 {word('height')}", f"i64 {slab('k')}", of_a,
            f"ptr {slab('b')}", f"i64 {word('b_row')}", f"i64 {word('packs_b')}", f"ptr {c_at}",
            f"i64 {word('c_row')}", f"i64 {slab('n')}", f"i64 {slab('flags')}", f"i64 {left}",
            f"i64 {right}", f"ptr {word('parts')}",
            f"i64 {word('c_col') if self.tile.images == 'a' else 1}", f"ptr {self._copy()}",
        ]  # fmt: skip
        fn.raw(f"call void @{block(self.module, self.tile)}({', '.join(args)})")
        base = slab("first_row")
        complete = ints.is_("ne", slab("last"), 0)
        fn.if_(complete, lambda: self.after(ints.add(base, first), ints.add(base, below)))
        return []

    def _copy(self) -> Value:
        """Where this thread's copy of a strip of B is, or null."""
        fn = self.fn
        if self.tile.images:
            return "null"
        place = fn.val(f"getelementptr i8, ptr {self.place}, i64 {self.word('strip_at')}")
        return fn.val(f"select i1 {self.flag('copies_b')}, ptr {place}, ptr null")

    def _lying(self, first: Integer) -> str:
        """A as it is, from a row on: a matrix, or places in an image."""
        word, slab = self.word, self.slab
        if self.tile.images == "a":
            row = self.fn.val(f"getelementptr i32, ptr {word('row_table')}, i64 {first}")
            return f"ptr {slab('a')}, ptr {row}, ptr {slab('table')}, i64 0"
        a = self.v.at(slab("a"), self.ints.mul(first, word("a_row")))
        return f"ptr {a}, i64 {word('a_row')}, i64 {word('a_col')}, i64 0"

    def _perhaps_packed(self, first: Integer, tall: Integer, low: Integer) -> str:
        """Rows of A from the first on, packed now where that is wanted."""
        fn, ints, v, word, slab = self.fn, self.ints, self.v, self.word, self.slab
        a_from = v.at(slab("a"), ints.mul(first, word("a_row")))
        packs = self.flag("packs_a")
        words = f"ptr {self.place}, ptr {a_from}, i64 {word('a_row')}, i64 {word('a_col')}"
        words += f", i64 {tall}, i64 {low}, i64 {word('height')}, i64 {slab('k')}"
        words += f", ptr {word('parts')}"
        leaves = Leaves(fn, self.tile, word("parts"))
        fn.if_(packs, lambda: leaves.call("pack_a", words))
        panel = self.tile.panel
        a_at = fn.val(f"select i1 {packs}, ptr {self.place}, ptr {a_from}")
        a_row = ints.pick(packs, 1, word("a_row"))
        a_col = ints.pick(packs, panel, word("a_col"))
        a_panel = ints.pick(packs, ints.mul(slab("k"), panel), 0)
        return f"ptr {a_at}, i64 {a_row}, i64 {a_col}, i64 {a_panel}"

    def _row(self, t: Integer) -> Integer:
        """The first row of a tile."""
        ints = self.ints
        return ints.add(ints.mul(t, self.word("height")), ints.min(t, self.word("taller")))
