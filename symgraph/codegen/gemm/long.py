"""A few rows times a few columns over a long summed axis, as in x^T x of many observations.

There are hardly tiles enough for one thread. So stretches of the summed axis are products of their
own, which threads share as they do a batch, and their results are added in order. How many they are
depends on the length of the axis alone, and so does every bit of the result.
"""

from __future__ import annotations

from symgraph.codegen.gemm.entry import DONE, NO_MEMORY, Entry
from symgraph.codegen.gemm.lanes import Integer
from symgraph.codegen.gemm.leaves import Leaf
from symgraph.codegen.gemm.record import GIVEN, JOB
from symgraph.codegen.gemm.tiles import Tile
from symgraph.codegen.writer import FunctionWriter, Value

STRETCHES = 8  # at most
LENGTH = 1024  # of a stretch, if there are fewer
LINE = 64  # bytes of cache


def long_product(tile: Tile) -> Leaf:
    """long_product(job): a single product; NO_MEMORY, with nothing done, where there is none for
    the stretches' results. The job says what the entry of all products is."""

    def build(fn: FunctionWriter) -> None:
        _Long(tile, fn).write()
        fn.ret("i32", str(DONE))

    return Leaf([("ptr", "job", "")], build, "i32")


class _Long(Entry):
    def write(self) -> None:
        fn, ints, v, word = self.fn, self.ints, self.v, self.word
        k, area = word("k"), ints.mul(word("m"), word("n"))
        count = ints.min(ints.max(ints.div(k, LENGTH), 2), STRETCHES)
        depth = ints.mul(ints.div(k, ints.mul(count, self.tile.lanes)), self.tile.lanes)
        need = ints.add(ints.mul(ints.mul(count, area), v.size), LINE)
        self.block = fn.fresh(f"call ptr {word('malloc')}(ptr {word('pool')}, i64 {need})")
        none = fn.val(f"icmp eq ptr {self.block}, null")
        fn.if_(none, lambda: fn.ret("i32", str(NO_MEMORY)))
        own = JOB.slot(fn)
        given = {name: word(name) for name in GIVEN}
        JOB.put(fn, own, **{
            **given, "batch": str(count), "k": str(depth), "after": "null", "adds": "0",
            "a_next": str(ints.mul(depth, word("a_col"))), "c": self.block,
            "b_next": str(ints.mul(depth, word("b_row"))), "c_row": word("n"), "c_next": str(area),
        })  # fmt: skip
        self._product(own)
        self._add(count, area)
        done = ints.mul(count, depth)
        rest = ints.sub(k, done)

        def end() -> None:
            a, b = (v.at(word(x), ints.mul(done, word(step))) for x, step in
                    (("a", "a_col"), ("b", "b_row")))  # fmt: skip
            JOB.put(fn, own, batch=1, k=rest, a=a, b=b, c=word("c"), c_row=word("c_row"), adds=1)
            self._product(own)

        fn.if_(ints.is_("sgt", rest, 0), end)
        self._give_back()
        self.follow()

    def _give_back(self) -> None:
        word = self.word
        self.fn.raw(f"call void {word('free')}(ptr {word('pool')}, ptr {self.block}, i64 0)")

    def _product(self, job: Value) -> None:
        """Do a job, or return what it returned."""
        fn = self.fn
        result = fn.fresh(f"call i32 {self.word('kernel')}(ptr {job})")

        def give_up() -> None:
            self._give_back()
            fn.ret("i32", result)

        fn.if_(fn.val(f"icmp ne i32 {result}, {DONE}"), give_up, likely=False)

    def _add(self, count: Integer, area: Integer) -> None:
        """The sum of the stretches' results, in order, and of what C holds if it is added to."""
        fn, ints, v, word = self.fn, self.ints, self.v, self.word
        n = word("n")
        adds = ints.is_("ne", word("adds"), 0)
        whole = ints.mul(ints.div(n, v.lanes), v.lanes)

        def row(i: Value, _: list[Value]) -> list[Value]:
            def piece(j: Value, mask: Value | None) -> list[Value]:
                first = v.at(self.block, ints.add(ints.mul(i, n), j))

                def term(p: Value, carried: list[Value]) -> list[Value]:
                    return [v.add(carried[0], v.load(v.at(first, ints.mul(p, area)), mask))]

                start = [(v.kind, v.load(first, mask))]
                total = fn.loop(1, count, 1, start, term)[0]
                place = v.at(word("c"), ints.add(ints.mul(i, word("c_row")), j))
                new = lambda: [v.add(v.load(place, mask), total)]  # noqa: E731
                v.store(fn.if_(adds, new, lambda: [total], [v.kind])[0], place, mask)
                return []

            fn.loop(0, whole, v.lanes, [], lambda j, _: piece(j, None))
            left = ints.sub(n, whole)
            fn.if_(ints.is_("sgt", left, 0), lambda: piece(str(whole), v.first(left)))
            return []

        fn.loop(0, word("m"), 1, [], row)
