"""The microkernel: some rows times some vectors of the result, kept in registers while the summed
axis goes by. Everything else in this package calls it.

    count tiles below one another:  C[i, j] (+)= sum over p < k of A[i, p] B[p, j]

Each element is one chain of fused multiply-adds from zero in the order of p, so it is the same
number in whichever tile, on whichever thread it is made.
"""

from __future__ import annotations

from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.gemm.leaves import Leaf
from symgraph.codegen.gemm.tiles import Tile
from symgraph.codegen.writer import FunctionWriter, Value

# a_row, a_col: how far A's rows and columns lie apart; a_step: from tile to tile; b_row likewise.
# last: how many lanes of the last vector exist; flags: 1 adds to what C holds
PARAMETERS = [
    ("i64", "count", ""), ("i64", "k", ""), ("ptr", "a", "noalias readonly"), ("i64", "a_row", ""),
    ("i64", "a_col", ""), ("i64", "a_step", ""), ("ptr", "b", "noalias readonly"),
    ("i64", "b_row", ""), ("ptr", "c", "noalias"), ("i64", "c_row", ""), ("i64", "last", ""),
    ("i64", "flags", ""),
]  # fmt: skip

#: of A's elements in an image: the table of the places of a tile's rows (``a_step`` of them from
#: tile to tile), and that of its columns
IN_IMAGE = [
    p if p[1] not in ("a_row", "a_col") else ("ptr", p[1], "noalias readonly") for p in PARAMETERS
]


def place_at(fn: FunctionWriter, table: Value, k: Integer = 0) -> Value:
    """Entry k of a table of places: 32-bit numbers of elements."""
    at = fn.val(f"getelementptr i32, ptr {table}, i64 {k}") if k != 0 else table
    return fn.val(f"sext i32 {fn.fresh(f'load i32, ptr {at}')} to i64")


def parameters(tile: Tile) -> list[tuple[str, str, str]]:
    """What the microkernel of a tile takes."""
    return IN_IMAGE if tile.images == "a" else PARAMETERS


def microkernel(tile: Tile, rows: int, vectors: int, whole: bool = False) -> Leaf:
    """The microkernel for so many rows and vectors; ``whole`` says that the last vector is never
    cut short, which spares masks where they are dear."""

    def build(fn: FunctionWriter) -> None:
        _Microkernel(fn, tile, rows, vectors, whole).write()

    return Leaf(parameters(tile), build)


class _Microkernel:
    def __init__(
        self, fn: FunctionWriter, tile: Tile, rows: int, vectors: int, whole: bool
    ) -> None:
        self.fn, self.rows, self.vectors = fn, rows, vectors
        self.in_image = tile.images == "a"
        self.ints, self.v = Ints(fn), Lanes(fn, tile.dtype, tile.lanes)
        self.mask = None if whole else self.v.first("%last")
        if not self.in_image:
            self.offsets = [self.ints.mul("%a_row", i) for i in range(rows)]

    def write(self) -> None:
        start = "%a_row" if self.in_image else "%a"
        self.fn.loop(0, "%count", 1, [("ptr", start), ("ptr", "%c")], self._tile)

    def _tile(self, _: Value, carried: list[Value]) -> list[Value]:
        fn, v = self.fn, self.v
        a, c = carried
        lines = [c]
        for _i in range(1, self.rows):
            lines.append(v.at(lines[-1], "%c_row"))
        self._prefetch(lines)
        start = [(v.kind, "zeroinitializer")] * (self.rows * self.vectors)
        carry = [("ptr", a), ("ptr", "%b"), *start]
        if self.in_image:
            self.lines = [v.at("%a", place_at(fn, a, i)) for i in range(self.rows)]
            carry[0] = ("ptr", "%a_col")
        sums = fn.loop(0, "%k", 1, carry, self._step)[2:]
        adds = fn.val("trunc i64 %flags to i1")
        kinds = [v.kind] * len(sums)
        sums = fn.if_(adds, lambda: self._added(sums, lines), lambda: sums, kinds)
        for k, value in enumerate(sums):
            place, mask = self._place(lines, k)
            v.store(value, place, mask)
        end = v.at(lines[-1], "%c_row")
        return [fn.val(f"getelementptr i32, ptr {a}, i64 %a_step") if self.in_image
                else v.at(a, "%a_step"), end]  # fmt: skip

    def _prefetch(self, lines: list[Value]) -> None:
        for line in lines:
            for j in range(self.vectors):
                self.fn.prefetch(self.v.at(line, j * self.v.lanes), True, 3)

    def _step(self, _: Value, carried: list[Value]) -> list[Value]:
        """One element of the summed axis: a column of A times a row of B."""
        v = self.v
        a, b, *sums = carried
        row = []
        for j in range(self.vectors):
            mask = self.mask if j == self.vectors - 1 else None
            row.append(v.load(v.at(b, j * v.lanes), mask))
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
