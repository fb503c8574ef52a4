"""What begins with a product, before threads take part: its job, the parts that it needs, how many
threads, and handing the work out."""

from __future__ import annotations

from collections.abc import Callable

from symgraph.codegen import team_llvm
from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.gemm.leaves import Leaves
from symgraph.codegen.gemm.record import JOB
from symgraph.codegen.gemm.tiles import Tile
from symgraph.codegen.writer import FunctionWriter, Value

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
        ints, word = self.ints, self.word
        volume = ints.mul(ints.mul(word("m"), word("n")), ints.mul(word("k"), weight))
        self.volume = ints.mul(ints.add(volume, BEGINNING), word("batch"))
        return team_llvm.how_many(self.fn, word, self.volume, word("least"))

    def run(
        self, body: Value, count: Integer, multiple: int, limit: Value, ranges: Integer = PIECES
    ) -> None:
        """``body`` over 0 .. count, by the team or alone."""
        ints = self.ints

        def grain() -> Integer:
            return ints.up(ints.ceil(count, ints.mul(limit, ranges)), multiple)

        team_llvm.run_job(self.fn, self.word, body, count, grain, limit)

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
