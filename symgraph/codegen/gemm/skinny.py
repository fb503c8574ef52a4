"""A row times a matrix: every element of the matrix is used once, so memory sets the pace and
each cache line should be read once, in order.

    sweep   c[j] (+)= sum over p of a[p] B[p, j]    rows of B contiguous: added some at a time
    dots    c[j] (+)= sum over p of a[p] B[p, j]    columns of B contiguous: inner products
"""

from __future__ import annotations

from collections.abc import Callable

from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.gemm.leaves import Leaf, Leaves
from symgraph.codegen.gemm.record import JOB
from symgraph.codegen.gemm.slabs import BODY
from symgraph.codegen.gemm.tiles import Tile
from symgraph.codegen.writer import FunctionWriter, Value

SWEPT = 8  # rows of B added at once,
SIDE_BY_SIDE = 4  # and vectors of each: a stretch of cache lines, and as many chains of additions
CHAINS = 8  # sums that run side by side: an addition takes four cycles and two start in each
LINES = 4  # columns of B whose inner products are made at once, as long stretches of each
AHEAD = 1024  # bytes: rows that lie apart are not foreseen by the processor, most of all at 4096

# b_step: from row to row of B for sweep, from column to column for dots
PARAMETERS = [
    ("i64", "n", ""), ("i64", "k", ""), ("ptr", "a", "noalias readonly"), ("i64", "a_col", ""),
    ("ptr", "b", "noalias readonly"), ("i64", "b_step", ""), ("ptr", "c", "noalias"),
    ("i64", "flags", ""),
]  # fmt: skip


def sweep(tile: Tile) -> Leaf:
    """For contiguous rows; ``k`` is at least 1."""

    def build(fn: FunctionWriter) -> None:
        _Sweep(fn, tile).write()

    return Leaf(PARAMETERS, build)


class _Sweep:
    def __init__(self, fn: FunctionWriter, tile: Tile) -> None:
        self.fn, self.ints = fn, Ints(fn)
        self.v = Lanes(fn, tile.dtype, tile.lanes)

    def write(self) -> None:
        fn, ints = self.fn, self.ints
        whole = ints.mul(ints.div("%k", SWEPT), SWEPT)
        adds = fn.val("trunc i64 %flags to i1")

        def rows(count: int) -> None:
            start, stop = (0, whole) if count > 1 else (whole, "%k")

            def turn(p: Value, _: list[Value]) -> list[Value]:
                later = fn.val(f"icmp ne i64 {p}, 0")
                self._rows(p, count, fn.val(f"or i1 {later}, {adds}"))
                return []

            fn.loop(start, stop, count, [], turn)

        rows(SWEPT)
        rows(1)

    def _rows(self, p: Value, count: int, old: Value) -> None:
        """Add so many rows of B from number p on to the result, or to zero, all columns."""
        fn, ints, v = self.fn, self.ints, self.v
        factors, lines = [], []
        for q in range(count):
            at = ints.add(p, q)
            factors.append(v.splat(v.scalar(v.at("%a", ints.mul(at, "%a_col")))))
            lines.append(v.at("%b", ints.mul(at, "%b_step")))
        whole = ints.mul(ints.div("%n", v.lanes), v.lanes)

        def pieces(j: Value, number: int, mask: Value | None) -> None:
            places = [ints.add(j, i * v.lanes) for i in range(number)]
            totals = []
            for at in places:
                held = v.load(v.at("%c", at), mask)
                totals.append(fn.val(f"select i1 {old}, {v.kind} {held}, {v.kind} zeroinitializer"))
            for x, line in zip(factors, lines, strict=True):
                for i, at in enumerate(places):
                    totals[i] = v.fma(x, v.load(v.at(line, at), mask), totals[i])
            for at, total in zip(places, totals, strict=True):
                v.store(total, v.at("%c", at), mask)

        def turns(start: Integer, stop: Integer, number: int) -> None:
            def turn(j: Value, _: list[Value]) -> list[Value]:
                pieces(j, number, None)
                return []

            fn.loop(str(start), str(stop), number * v.lanes, [], turn)

        together = SIDE_BY_SIDE * v.lanes
        most = ints.mul(ints.div("%n", together), together)
        turns(0, most, SIDE_BY_SIDE)
        turns(most, whole, 1)
        rest = ints.is_("slt", whole, "%n")
        fn.if_(rest, lambda: pieces(str(whole), 1, v.first(ints.sub("%n", whole))))


def dots(tile: Tile) -> Leaf:
    """For contiguous columns; A is contiguous too."""

    def build(fn: FunctionWriter) -> None:
        _Dots(fn, tile).write()

    return Leaf(PARAMETERS, build)


class _Dots:
    def __init__(self, fn: FunctionWriter, tile: Tile) -> None:
        self.fn, self.ints = fn, Ints(fn)
        self.v = Lanes(fn, tile.dtype, tile.lanes)

    def write(self) -> None:
        fn, ints = self.fn, self.ints
        whole = ints.mul(ints.div("%n", LINES), LINES)

        def columns(count: int) -> None:
            start, stop = (0, whole) if count > 1 else (whole, "%n")

            def turn(j: Value, _: list[Value]) -> list[Value]:
                self._columns(j, count)
                return []

            fn.loop(start, stop, count, [], turn)

        columns(LINES)
        columns(1)

    def _columns(self, j: Value, count: int) -> None:
        """So many inner products at once, each in several chains."""
        fn, ints, v = self.fn, self.ints, self.v
        chains = SIDE_BY_SIDE if count > 1 else CHAINS
        lines = [v.at("%b", ints.mul(ints.add(j, q), "%b_step")) for q in range(count)]
        length = v.lanes * chains
        stop = str(ints.mul(ints.div("%k", length), length))

        def whole() -> list[Value]:
            def turn(p: Value, sums: list[Value]) -> list[Value]:
                return self._piece(p, lines, sums, chains, None)

            start = [(v.kind, "zeroinitializer")] * (count * chains)
            sums = fn.loop(0, stop, length, start, turn)
            return [self._sum(sums[q * chains : (q + 1) * chains]) for q in range(count)]

        def rest(p: Value, sums: list[Value]) -> list[Value]:
            return self._piece(p, lines, sums, 1, v.first(ints.sub("%k", p)))

        long, none = ints.is_("sgt", stop, 0), ["zeroinitializer"] * count
        sums = fn.if_(long, whole, lambda: none, [v.kind] * count)
        sums = fn.loop(stop, "%k", v.lanes, [(v.kind, s) for s in sums], rest)
        for q, total in enumerate(sums):
            self._finish(ints.add(j, q), total)

    def _piece(
        self, p: Value, lines: list[Value], sums: list[Value], parts: int, mask: Value | None
    ) -> list[Value]:
        v, ints = self.v, self.ints
        new = list(sums)
        chains = len(sums) // len(lines)
        for part in range(parts):
            at = ints.add(p, part * v.lanes)
            x = v.load(v.at("%a", at), mask)
            for q, line in enumerate(lines):
                place = v.at(line, at)
                if mask is None and len(lines) > 1:
                    self.fn.prefetch(v.at(place, AHEAD // v.size), False, 3)
                k = q * chains + part
                new[k] = v.fma(x, v.load(place, mask), new[k])
        return new

    def _sum(self, chains: list[Value]) -> Value:
        while len(chains) > 1:
            half = len(chains) // 2
            pairs = zip(chains[:half], chains[half:], strict=True)
            chains = [self.v.add(a, b) for a, b in pairs]
        return chains[0]

    def _finish(self, j: Integer, lanes: Value) -> None:
        """Add the lanes up and store the result."""
        fn, v = self.fn, self.v
        total = v.total(lanes)
        place = v.at("%c", j)
        adds = fn.val("trunc i64 %flags to i1")

        def added() -> list[Value]:
            return [fn.fresh(f"fadd {v.element} {total}, {v.scalar(place)}")]

        (total,) = fn.if_(adds, added, lambda: [total], [v.element])
        fn.raw(f"store {v.element} {total}, ptr {place}, align {v.size}")


def layout(fn: FunctionWriter, tile: Tile, job: Value) -> tuple[Value, Value, Callable[..., Value]]:
    """Of a row or column of results: whether the matrix's elements for neighbouring results are
    contiguous, whether a tile holds all results, what picks the word of a row or of a column."""
    ints = Ints(fn)

    def word(name: str) -> Value:
        return JOB.get(fn, job, name)

    row = ints.is_("eq", word("m"), 1)

    def either(kind: str, a: str, b: str) -> Value:
        return fn.val(f"select i1 {row}, {kind} {word(a)}, {kind} {word(b)}")

    # an inner product of two vectors is contiguous both ways
    one = ints.is_("eq", either("i64", "b_col", "a_row"), 1)
    apart = ints.is_("ne", either("i64", "b_row", "a_col"), 1)
    few = ints.is_("sle", ints.mul(word("m"), word("n")), tile.columns)
    return fn.val(f"and i1 {one}, {apart}"), few, either


def thin(tile: Tile) -> Leaf:
    """What computes elements ``begin`` to ``end`` of a row or column of results, for the team; of
    several matrices, the whole rows or columns ``begin`` to ``end``; and where the summed axis is
    cut into blocks of ``depth``, the sums over these blocks, which are left at ``place``,
    ``room_b`` apart. A column is the row of the transposed product."""

    def build(fn: FunctionWriter) -> None:
        ints, v = Ints(fn), Lanes(fn, tile.dtype, tile.lanes)

        def word(name: str) -> Value:
            return JOB.get(fn, "%context", name)

        contiguous, few, either = layout(fn, tile, "%context")
        leaves = Leaves(fn, tile, word("parts"))
        x, matrix = either("ptr", "a", "b"), either("ptr", "b", "a")
        of_x, of_matrix = either("i64", "a_next", "b_next"), either("i64", "b_next", "a_next")
        x_step = either("i64", "a_col", "b_row")
        along, across = either("i64", "b_row", "a_col"), either("i64", "b_col", "a_row")
        depth = word("depth")
        parts = ints.is_("ne", depth, 0)
        several = fn.val(f"or i1 {ints.is_('sgt', word('batch'), 1)}, {parts}")
        turns = ints.pick(several, "%begin", 0), ints.pick(several, "%end", 1)
        first = ints.pick(several, 0, "%begin")
        n = ints.pick(several, ints.mul(word("m"), word("n")), ints.sub("%end", "%begin"))
        # how far a turn's operands and result lie from those of the one before
        x_next = ints.pick(parts, ints.mul(depth, x_step), of_x)
        next_ = ints.pick(parts, ints.mul(depth, along), of_matrix)
        c = fn.val(f"select i1 {parts}, ptr {word('place')}, ptr {word('c')}")
        c_next = ints.pick(parts, word("room_b"), word("c_next"))
        adds = ints.pick(parts, 0, word("adds"))

        def turn(i: Value, _: list[Value]) -> list[Value]:
            left = ints.min(ints.sub(word("k"), ints.mul(i, depth)), depth)
            k = ints.pick(parts, left, word("k"))
            at = v.at(x, ints.mul(i, x_next))
            of = v.at(v.at(matrix, ints.mul(i, next_)), ints.mul(first, across))
            to = v.at(v.at(c, ints.mul(i, c_next)), first)
            head = f"i64 {n}, i64 {k}, ptr {at}, i64 {x_step}, ptr {of}"
            tail = f"ptr {to}, i64 {adds}"
            narrow = f"ptr {at}, i64 0, i64 {x_step}, i64 0, ptr {of}, i64 {along}, i64 0, ptr {to}"
            words = ["i64 1", f"i64 {k}", narrow, "i64 0, i64 1", f"i64 {adds}"]

            def rows() -> None:
                fn.if_(
                    few,
                    lambda: leaves.call_tile(1, str(n), words),
                    lambda: leaves.call("sweep", f"{head}, i64 {along}, {tail}"),
                )

            def columns() -> None:
                leaves.call("dots", f"{head}, i64 {across}, {tail}")

            fn.if_(contiguous, rows, columns)
            return []

        fn.loop(*turns, 1, [], turn)

    return Leaf(BODY, build)
