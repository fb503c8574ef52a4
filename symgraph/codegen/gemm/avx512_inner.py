"""Inner products of a few lines of two operands for AVX-512 in assembly language (`avx512.py`)."""

from __future__ import annotations

from symgraph.codegen.gemm.avx512 import BYTES, PLACES, SUMS, assembled, first_lanes
from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.writer import FunctionWriter

_SPARE = f"%zmm{SUMS + 4}"


def assembled_inner(fn: FunctionWriter, v: Lanes, long: int, few: int) -> None:
    """The body of `narrow.inner_products` for so many lines of either operand, at most `SUMS` pairs
    and 4 of one of them, in vectors of 64 bytes."""
    ints = Ints(fn)
    x_step, y_step = ints.mul("%x_step", v.size), ints.mul("%y_step", v.size)
    steady: dict[str, Integer] = {"c": "ptr %c"}
    for name, step, count in (("x", x_step, long), ("y", y_step, few)):
        for n in sorted({PLACES[i][0] for i in range(1, count)}):
            steady[f"{name}{n}"] = ints.mul(step, n)
    memory = {"flags": "%flags", "c_x": ints.mul("%c_x", v.size), "c_y": ints.mul("%c_y", v.size)}
    changed = {"x": "ptr %x", "y": "ptr %y", "k": "i64 %k", "place": "", "row": ""}

    def lines(held: dict[str, str]) -> list[str]:
        return _Inner(v, long, few, held).lines()

    assembled(fn, v, lines, changed, steady, memory, None)


class _Inner:
    """The lines for operands of these names. A load under a mask takes one of Intel's two units for
    multiplications too, so only the last elements are loaded so, as zeros beyond them."""

    def __init__(self, v: Lanes, long: int, few: int, held: dict[str, str]) -> None:
        self.v, self.long, self.few, self.held = v, long, few, held
        self.kind = "s" if v.size == 4 else "d"
        self.sums = [[f"%zmm{i * few + j}" for j in range(few)] for i in range(long)]

    def lines(self) -> list[str]:
        held, k, lanes = self.held, self.held["k"], self.v.lanes
        zeros = [f"vpxord {x}, {x}, {x}" for line in self.sums for x in line]
        whole = [
            f"subq $${lanes}, {k}", "jl 3f", "2:", *self._piece(""),
            f"addq $${BYTES}, {held['x']}", f"addq $${BYTES}, {held['y']}",
            f"subq $${lanes}, {k}", "jge 2b",
        ]  # fmt: skip
        last = [
            f"addq $${lanes}, {k}", "jle 4f",
            *first_lanes(self.v, k, held["place"], held["row"]), *self._piece(" {%k1} {z}"), "4:",
        ]  # fmt: skip
        totals, registers = self._totals()
        adds = [f"testb $$1, {held['flags']}", "je 5f", *self._results(registers, True), "jmp 6f"]
        return [*zeros, *whole, "3:", *last, *totals, *adds,
                "5:", *self._results(registers, False), "6:"]  # fmt: skip

    def _piece(self, mask: str) -> list[str]:
        """The operand of fewer lines stays in registers, while the other's come one by one."""
        lines, load = [], f"vmovup{self.kind}"
        most, least = ("y", "x") if self.few > self.long else ("x", "y")
        count = {"x": self.long, "y": self.few}
        for j in range(count[least]):
            lines.append(f"{load} {self._line(least, j)}, %zmm{SUMS + j}{mask}")
        for i in range(count[most]):
            lines.append(f"{load} {self._line(most, i)}, {_SPARE}{mask}")
            for j in range(count[least]):
                total = self.sums[j][i] if most == "y" else self.sums[i][j]
                lines.append(f"vfmadd231p{self.kind} %zmm{SUMS + j}, {_SPARE}, {total}")
        return lines

    def _line(self, name: str, i: int) -> str:
        if not i:
            return f"({self.held[name]})"
        n, scale = PLACES[i]
        return f"({self.held[name]},{self.held[f'{name}{n}']},{scale})"

    def _totals(self) -> tuple[list[str], list[list[str]]]:
        """The sums of the lanes, in the tree of `Lanes.total`, of all vectors at once: each round
        adds one half of the lanes to the other, and puts the halves of two vectors in one. Four
        lines of the long operand come to lie in the quarters of a vector, the others' in their
        elements. And the vectors of each four lines."""
        lines: list[str] = []

        def halves(values: list[str], low: str, high: str) -> list[str]:
            added = []
            for a, b in zip(values[::2], [*values[1::2], values[-1]], strict=False):
                lines.extend([f"{low}, {b}, {a}, {_SPARE}", f"{high}, {b}, {a}, {a}",
                              f"vaddp{self.kind} {_SPARE}, {a}, {a}"])  # fmt: skip
                added.append(a)
            return added

        found = []
        for first in range(0, self.long, 4):
            columns = [[*x] for x in zip(*self.sums[first : first + 4], strict=True)]
            for low, high in (("0x44", "0xee"), ("0x88", "0xdd")):
                ways = f"vshuff64x2 $${low}", f"vshuff64x2 $${high}"
                columns = [halves(x, *ways) for x in columns]
            packed = [x for (x,) in columns]
            packed = halves(packed, "vshufpd $$0x00", "vshufpd $$0xff")
            if self.kind == "s":
                packed = halves(packed, "vshufps $$0x88", "vshufps $$0xdd")
            found.append(packed)
        return lines, found

    def _results(self, registers: list[list[str]], adds: bool) -> list[str]:
        held, kind, each = self.held, self.kind, 16 // self.v.size
        place, quarter, one = held["place"], f"%xmm{SUMS}", f"%xmm{SUMS + 1}"
        lines = [f"movq {held['c']}, {held['row']}"]
        for i in range(self.long):
            lines.append(f"movq {held['row']}, {place}")
            for j in range(self.few):
                if not j % each:
                    whole = registers[i // 4][j // each]
                    lines.append(f"vextractf32x4 $${i % 4}, {whole}, {quarter}")
                pick = j % each
                lines.append(f"vpermilp{kind} $${pick}, {quarter}, {one}")
                lines += [f"vadds{kind} ({place}), {one}, {one}"] * adds
                lines += [f"vmovs{kind} {one}, ({place})", f"addq {held['c_y']}, {place}"]
            lines.append(f"addq {held['c_x']}, {held['row']}")
        return lines
