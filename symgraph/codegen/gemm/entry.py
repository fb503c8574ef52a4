"""What begins with a product, before threads take part: its job, the parts that it needs, how many
threads, and handing the work out."""

from __future__ import annotations

from collections.abc import Callable

from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.gemm.leaves import Leaves
from symgraph.codegen.gemm.record import JOB
from symgraph.codegen.gemm.tiles import Tile
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.loops.cost import AWAKE

BEGINNING = 512  # multiplications that take as long as to begin with a product of a batch
PIECES = 2  # of a job for each thread, as one of them may be slower
DONE, NO_PARTS, NO_MEMORY = 0, 1, 2  # what an entry returns


class Entry:
    """A function of one argument, ``%job``, that returns DONE, or NO_PARTS where some could not be
    made; nothing has been done then."""

    def __init__(self, tile: Tile, fn: FunctionWriter) -> None:
        self.tile, self.fn = tile, fn
        self.ints, self.v = Ints(fn), Lanes(fn, tile.dtype, tile.lanes)
        self.leaves = Leaves(fn, tile, self.word("parts"))

    def word(self, name: str) -> Value:
        """A word of the job."""
        return JOB.get(self.fn, "%job", name)

    def there(self, bits: Integer) -> Value:
        """Whether these parts are there, after those that were missing have been asked for."""
        return self.leaves.there(bits)

    def with_parts(
        self, bits: Integer, do: Callable[[], None], give_up: Callable[[], None] = lambda: None
    ) -> None:
        """Do what needs these parts."""

        def missing() -> None:
            give_up()
            self.fn.ret("i32", str(NO_PARTS))

        self.fn.if_(self.there(bits), do, missing, likely=True)

    def limit(self, weight: int = 1) -> Value:
        """How many threads take part; ``weight``: of a multiplication beside those of tiles."""
        fn, ints, word = self.fn, self.ints, self.word
        volume = ints.mul(ints.mul(word("m"), word("n")), ints.mul(word("k"), weight))
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

    def run(
        self, body: Value, count: Integer, multiple: int, limit: Value, ranges: Integer = PIECES
    ) -> None:
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

    def follow(self) -> None:
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
