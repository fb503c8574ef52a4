"""The microkernel for AVX-512 in assembly language whose A is in an image: its elements are found
through tables of places, and its results may be turned, columns lying as rows of memory.

As in `avx512.py` it is what LLVM makes of `microkernel.py`, and a test compares the two bit for
bit; LLVM takes 60 to 110 ms over a turned tile, most of them for its stores.
"""

from __future__ import annotations

from collections.abc import Callable

from symgraph.codegen.gemm.avx512 import (
    BYTES,
    SUMS,
    WHOLE,
    Tiles,
    assembled,
    interleaved,
    turned_lines,
)
from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.writer import FunctionWriter, Value


def assembled_image_tiles(
    fn: FunctionWriter, v: Lanes, rows: int, vectors: int, mask: Value, turned: bool, ahead: int
) -> None:
    """The body of a function with `microkernel.IN_IMAGE`, of which ``count`` is at least 1, for so
    many rows and vectors of 64 bytes, the last one under a mask; ``turned``: the columns of the
    result lie ``c_col`` apart, and its rows side by side (`tiles.FEWEST` of them at least). Rows of
    B are asked for so many steps ``ahead``, unless that is 0."""
    ints = Ints(fn)
    whole = ints.pick(ints.is_("eq", "%last", v.lanes), WHOLE, 0)
    c_row = ints.mul("%c_row", v.size)
    memory: dict[str, Integer] = {
        "count": "%count", "length": "%k", "flags": fn.val(f"or i64 %flags, {whole}"),
        "rows_step": ints.mul("%a_step", 4), "b_step": ints.mul("%b_step", v.size),
        "c_row": c_row, "c_step": ints.mul(c_row, rows), "c_col": ints.mul("%c_col", v.size),
        "last": "%last",
    }  # fmt: skip
    for name, pointer in (("image", "a"), ("rows", "a_row"), ("columns", "a_col"),
                          ("b_at", "b"), ("c_at", "c")):  # fmt: skip
        memory[name] = fn.val(f"ptrtoint ptr %{pointer} to i64")
    own = [f"line{i}" for i in range(rows)] + ["table", "b", "k", "place"]
    changed = dict.fromkeys(own, "")
    steady = {"b_row": ints.mul("%b_row", v.size)}
    if ahead:
        steady["ahead"] = ints.mul(steady["b_row"], ahead)

    def lines(held: dict[str, str]) -> list[str]:
        return (_Turned if turned else _Lying)(v, rows, vectors, held).lines()

    assembled(fn, v, lines, changed, steady, memory, mask, interleaved(v) if turned else None)


class _Lying(Tiles):
    """Rows of the result lie as rows of memory."""

    def lines(self) -> list[str]:
        """Tiles from label 1, the summed axis in 2 or with masks 5, the results from 3."""
        held = self.held
        table, k = held["table"], held["k"]
        zeros = [f"vpxord {x}, {x}, {x}" for line in self.sums for x in line]
        some = [f"movq {held['columns']}, {table}", f"movq {held['b_at']}, {held['b']}",
                f"movq {held['length']}, {k}", f"testq {k}, {k}", "jle 3f"]  # fmt: skip
        steps = [("rows", "rows_step"), ("b_at", "b_step"), ("c_at", "c_step")]
        below = [x for to, by in steps for x in (f"movq {held[by]}, {k}", f"addq {k}, {held[to]}")]
        return [
            "1:", *self._asked(), *self._found(), *zeros, *some, *self.loops(), "3:",
            *self._results(), *below, f"decq {held['count']}", "jne 1b",
        ]  # fmt: skip

    def _found(self) -> list[str]:
        """Where the rows of A begin."""
        held = self.held
        lines = [f"movq {held['rows']}, {held['place']}", f"movq {held['image']}, {held['table']}"]
        for i in range(self.rows):
            line = held[f"line{i}"]
            lines += [f"movslq {4 * i or ''}({held['place']}), {line}",
                      f"leaq ({held['table']},{line},{self.v.size}), {line}"]  # fmt: skip
        return lines

    def step(self, masked: bool) -> list[str]:
        """One element of the summed axis; counts it."""
        held = self.held
        products = self.all_products()
        return [
            f"movslq ({held['table']}), {held['place']}", *self.row_of_b(masked), *products,
            f"addq $$4, {held['table']}", f"addq {held['b_row']}, {held['b']}",
            f"decq {held['k']}",
        ]  # fmt: skip

    def place_of(self, i: int) -> str:
        return f"({self.held[f'line{i}']},{self.held['place']},{self.v.size})"

    def _asked(self) -> list[str]:
        return self._in_rows(self.fetched)

    def _results(self) -> list[str]:
        added, stored = self._in_rows(self.added), self._in_rows(self.stored)
        return [f"testb $$1, {self.held['flags']}", "je 4f", *added, "4:", *stored]

    def _in_rows(self, write: Callable[[int, int], str]) -> list[str]:
        held = self.held
        step = f"addq {held['c_row']}, {held['place']}"
        return [f"movq {held['c_at']}, {held['place']}", *self.in_rows(write, step)]


class _Turned(_Lying):
    """Columns of the result are rows of memory: the sums of each vector are transposed, and written
    in pieces as long as a tile has rows."""

    def _asked(self) -> list[str]:
        """Backwards, as the first are stored first, and may all compete for one set of a cache."""
        held = self.held
        step, k, place = held["table"], held["k"], held["place"]
        columns = self.vectors * self.v.lanes
        return [
            f"movq {held['c_col']}, {step}", f"movq $${columns - 1}, {k}", f"imulq {step}, {k}",
            f"movq {held['c_at']}, {place}", f"addq {k}, {place}", f"movq $${columns}, {k}",
            "6:", f"prefetchw ({place})", f"subq {step}, {place}", f"decq {k}", "jne 6b",
        ]  # fmt: skip

    def _results(self) -> list[str]:
        """The rows that exist are in the mask k2; places of columns go by the register ``table``,
        those of the last vector are counted in ``k``."""
        held = self.held
        mask = f"${{{held['k'][1:]}:k}}"
        return [
            f"movq $${(1 << self.rows) - 1}, {held['k']}", f"kmovw {mask}, %k2",
            f"movq {held['c_at']}, {held['place']}", f"movq {held['c_col']}, {held['table']}",
            f"movq {held['last']}, {held['k']}",
            f"testb $$1, {held['flags']}", "jne 7f", *self._pieces(False), "jmp 8f",
            "7:", *self._pieces(True), "8:",
        ]  # fmt: skip

    def _pieces(self, adds: bool) -> list[str]:
        long = 1 << (self.rows - 1).bit_length()
        size = long * self.v.size  # bytes of a column: 16, 32 or 64
        kind, lines = {16: "x", 32: "y", 64: "z"}[size], []
        for j in range(self.vectors):
            registers, spares = [line[j] for line in self.sums], list(range(SUMS, SUMS + 4))
            while len(registers) < long:
                zero = f"%zmm{spares.pop()}"
                lines.append(f"vpxord {zero}, {zero}, {zero}")
                registers.append(zero)
            spare = f"%zmm{spares.pop()}"
            more, turned = turned_lines(self.kind, self.held, registers, spare)
            lines += more
            for register in turned:
                number = register.removeprefix("%zmm")
                piece = f"%{kind}mm{number}"
                for q in range(BYTES // size):
                    if q:  # the first piece has been written, and its place is free
                        word = "vextractf64x4" if kind == "y" else "vextractf32x4"
                        lines.append(f"{word} $${q}, {register}, %{kind}mm{SUMS + 4}")
                        piece = f"%{kind}mm{SUMS + 4}"
                    lines += self._column(piece, adds, j == self.vectors - 1)
        return lines

    def _column(self, piece: str, adds: bool, last: bool) -> list[str]:
        held = self.held
        place = f"({held['place']})"
        lines = [f"decq {held['k']}", "jl 8f"] if last else []
        if adds:
            total = f"%{piece[1]}mm{SUMS + 4}"  # as its other columns are still in that register
            lines.append(f"vaddp{self.kind} {place}, {piece}, {total} {{%k2}} {{z}}")
            piece = total
        return [*lines, f"vmovup{self.kind} {piece}, {place} {{%k2}}",
                f"addq {held['table']}, {held['place']}"]  # fmt: skip
