"""The microkernel: some rows times some vectors of the result, kept in registers while the summed
axis goes by. Everything else in this package calls it.

    count tiles below one another:  C[i, j] (+)= sum over p < k of A[i, p] B[p, j]

Each element is one chain of fused multiply-adds from zero in the order of p, so it is the same
number in whichever tile, on whichever thread it is made.
"""

from __future__ import annotations

from symgraph.codegen.gemm.avx512 import assembled_tiles
from symgraph.codegen.gemm.avx512_images import assembled_image_tiles
from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes, turn
from symgraph.codegen.gemm.leaves import Leaf
from symgraph.codegen.gemm.tiles import Tile
from symgraph.codegen.writer import FunctionWriter, Value

# a_row, a_col: how far A's rows and columns lie apart; a_step: from tile to tile; b_row likewise,
# and b_step is 0 but for a batch of products of one tile each.
# last: how many lanes of the last vector exist; flags: 1 adds to what C holds
PARAMETERS = [
    ("i64", "count", ""), ("i64", "k", ""), ("ptr", "a", "noalias readonly"), ("i64", "a_row", ""),
    ("i64", "a_col", ""), ("i64", "a_step", ""), ("ptr", "b", "noalias readonly"),
    ("i64", "b_row", ""), ("i64", "b_step", ""), ("ptr", "c", "noalias"), ("i64", "c_row", ""),
    ("i64", "c_col", ""), ("i64", "last", ""), ("i64", "flags", ""),
]  # fmt: skip

#: of A's elements in an image: the table of the places of a tile's rows (``a_step`` of them from
#: tile to tile), and that of its columns
IN_IMAGE = [
    p if p[1] not in ("a_row", "a_col") else ("ptr", p[1], "noalias readonly") for p in PARAMETERS
]


#: with where the strip of B is copied to, in whole vectors
COPIED = [*PARAMETERS, ("ptr", "copy", "noalias")]


def place_at(fn: FunctionWriter, table: Value, k: Integer = 0) -> Value:
    """Entry k of a table of places: 32-bit numbers of elements."""
    at = fn.val(f"getelementptr i32, ptr {table}, i64 {k}") if k != 0 else table
    return fn.val(f"sext i32 {fn.fresh(f'load i32, ptr {at}')} to i64")


def parameters(tile: Tile) -> list[tuple[str, str, str]]:
    """What the microkernel of a tile takes."""
    return IN_IMAGE if tile.images == "a" else PARAMETERS


def microkernel(
    tile: Tile, rows: int, vectors: int, form: str = "", assembled: bool = False
) -> Leaf:
    """The microkernel for so many rows and vectors; the form ``whole`` says that the last vector is
    never cut short, which spares masks where they are dear, ``turned`` that the columns of the
    result lie ``c_col`` apart and its rows side by side, ``copying`` that there is one tile, which
    leaves a copy of what it reads of B. ``assembled``: in assembly language, for ``count`` of at
    least 1."""

    def build(fn: FunctionWriter) -> None:
        made = _FORMS.get(form, _Microkernel)(fn, tile, rows, vectors, form)
        if assembled and tile.images == "a" and made.mask is not None:
            assembled_image_tiles(
                fn, made.v, rows, vectors, made.mask, form == "turned", tile.ahead
            )
        elif assembled:
            assembled_tiles(fn, made.v, rows, vectors, made.mask, tile.ahead, form == "copying")
        else:
            made.write()

    return Leaf(COPIED if form == "copying" else parameters(tile), build)


class _Microkernel:
    def __init__(self, fn: FunctionWriter, tile: Tile, rows: int, vectors: int, form: str) -> None:
        self.fn, self.rows, self.vectors = fn, rows, vectors
        self.in_image = tile.images == "a"
        self.ints, self.v = Ints(fn), Lanes(fn, tile.dtype, tile.lanes)
        self.mask = None if form == "whole" else self.v.first("%last")

    def write(self) -> None:
        if not self.in_image:
            self.offsets = [self.ints.mul("%a_row", i) for i in range(self.rows)]
        start = "%a_row" if self.in_image else "%a"
        carried = [("ptr", start), ("ptr", "%b"), ("ptr", "%c")]
        self.fn.loop(0, "%count", 1, carried, self._tile)

    def _tile(self, _: Value, carried: list[Value]) -> list[Value]:
        fn, v = self.fn, self.v
        a, b, c = carried
        lines = [c]
        for _i in range(1, self.rows):
            lines.append(v.at(lines[-1], "%c_row"))
        self._prefetch(lines)
        start = [(v.kind, "zeroinitializer")] * (self.rows * self.vectors)
        carry = [("ptr", a), ("ptr", b), *start]
        if self.in_image:
            self.lines = [v.at("%a", place_at(fn, a, i)) for i in range(self.rows)]
            carry[0] = ("ptr", "%a_col")
        self._finish(fn.loop(0, "%k", 1, carry, self._step)[2:], lines)
        end = v.at(lines[-1], "%c_row")
        below = fn.val(f"getelementptr i32, ptr {a}, i64 %a_step") if self.in_image else v.at(
            a, "%a_step")  # fmt: skip
        return [below, v.at(b, "%b_step"), end]

    def _finish(self, sums: list[Value], lines: list[Value]) -> None:
        fn, v = self.fn, self.v
        adds = fn.val("trunc i64 %flags to i1")
        kinds = [v.kind] * len(sums)
        sums = fn.if_(adds, lambda: self._added(sums, lines), lambda: sums, kinds)
        for k, value in enumerate(sums):
            place, mask = self._place(lines, k)
            v.store(value, place, mask)

    def _prefetch(self, lines: list[Value]) -> None:
        for line in lines:
            for j in range(self.vectors):
                self.fn.prefetch(self.v.at(line, j * self.v.lanes), True, 3)

    def _row(self, _: Value, b: Value) -> list[Value]:
        """The vectors of a row of B."""
        v, row = self.v, []
        for j in range(self.vectors):
            mask = self.mask if j == self.vectors - 1 else None
            row.append(v.load(v.at(b, j * v.lanes), mask))
        return row

    def _step(self, p: Value, carried: list[Value]) -> list[Value]:
        """One element of the summed axis: a column of A times a row of B."""
        v = self.v
        a, b, *sums = carried
        row = self._row(p, b)
        place = place_at(self.fn, a) if self.in_image else ""
        for i in range(self.rows):
            where = v.at(self.lines[i], place) if self.in_image else v.at(a, self.offsets[i])
            x = v.splat(v.scalar(where))
            for j in range(self.vectors):
                k = i * self.vectors + j
                sums[k] = v.fma(x, row[j], sums[k])
        step = self.fn.val(f"getelementptr i32, ptr {a}, i64 1") if self.in_image else ""
        return [step or v.at(a, "%a_col"), v.at(b, "%b_row"), *sums]

    def _place(self, lines: list[Value], k: int) -> tuple[Value, Value | None]:
        i, j = divmod(k, self.vectors)
        mask = self.mask if j == self.vectors - 1 else None
        return self.v.at(lines[i], j * self.v.lanes), mask

    def _added(self, sums: list[Value], lines: list[Value]) -> list[Value]:
        places = [self._place(lines, k) for k in range(len(sums))]
        return [
            self.v.add(value, self.v.load(place, mask))
            for value, (place, mask) in zip(sums, places, strict=True)
        ]


class _Turned(_Microkernel):
    """Columns of the result are rows of its memory: the tile is transposed once its sums are
    complete, and written in pieces as long as it has rows."""

    def _prefetch(self, lines: list[Value]) -> None:
        # backwards, as the first are stored first, and may all compete for one set of a cache
        for k in reversed(range(self.vectors * self.v.lanes)):
            place = self.v.at(lines[0], self.ints.mul("%c_col", k))
            self.fn.prefetch(place, True, 3)

    def _finish(self, sums: list[Value], lines: list[Value]) -> None:
        adds = self.fn.val("trunc i64 %flags to i1")
        self.fn.if_(adds, lambda: self._pieces(sums, lines[0], True),
                    lambda: self._pieces(sums, lines[0], False))  # fmt: skip

    def _pieces(self, sums: list[Value], c: Value, adds: bool) -> None:
        fn, v, ints = self.fn, self.v, self.ints
        # two at least: a vector of one element has no mask
        long = min(max(2, 1 << (self.rows - 1).bit_length()), v.lanes)
        piece = Lanes(fn, v.dtype, long)
        for j in range(self.vectors):
            held = [sums[i * self.vectors + j] for i in range(self.rows)]
            for top in range(0, self.rows, long):
                some = held[top : top + long]
                count = len(some)
                turned = turn(v, some + ["zeroinitializer"] * (long - count))
                for k in range(v.lanes):
                    m, first = divmod(k * long, v.lanes)
                    value = v.shuffle(turned[m], turned[m], list(range(first, first + long)))
                    place = v.at(v.at(c, ints.mul("%c_col", j * v.lanes + k)), top)
                    mask = None if count == long else piece.first(count)
                    if self.mask is not None and j == self.vectors - 1:
                        there = ints.pick(ints.is_("sgt", "%last", k), count, 0)
                        mask = piece.first(there)
                    if adds:
                        value = piece.add(value, piece.load(place, mask))
                    piece.store(value, place, mask)


class _Copying(_Microkernel):
    """Rows of B are stored as they have been read, side by side."""

    def _row(self, p: Value, b: Value) -> list[Value]:
        row, lanes = super()._row(p, b), self.v.lanes
        place = self.v.at("%copy", self.ints.mul(p, self.vectors * lanes))
        for j, value in enumerate(row):
            self.v.store(value, self.v.at(place, j * lanes))
        return row


_FORMS = {"turned": _Turned, "copying": _Copying}
