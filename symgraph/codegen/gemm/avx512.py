"""Loops of products for AVX-512 in assembly language: what LLVM makes of them in its own language
(`microkernel.py`, `packing.py`; a test compares the two bit for bit), at a fifth of the time to
compile, since nothing in them is left to choose. They need AVX512VL and BMI2 too, which every
processor with AVX-512 but the Xeon Phi has.

Source of the instructions: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.writer import FunctionWriter, Value

BYTES = 64  # of a vector
SUMS = 24  # at most, in the first registers; three vectors of B and one element of A follow
OWN = 29  # vector registers that a text may use
LONG = 1536  # bytes of a summed axis that is cut into pieces, one for each pair of rows
AT_ONCE = 2
FAR = 24  # steps after which a row of B that nobody has read yet is near
WHOLE = 2  # the flag of tiles whose last vector is not cut
# a row of A by the register that holds 1, 3, 5 or 7 rows' distance, and what that is scaled with
PLACES = {
    1: (1, 1),
    2: (1, 2),
    3: (3, 1),
    4: (1, 4),
    5: (5, 1),
    6: (3, 2),
    7: (7, 1),
    8: (1, 8),
    9: (9, 1),
    10: (5, 2),
    11: (11, 1),
}


def assembled(
    fn: FunctionWriter, v: Lanes, lines: Callable[[dict[str, str]], list[str]],
    changed: Mapping[str, str], steady: Mapping[str, Integer], memory: Mapping[str, Integer],
    mask: Value | None, vectors: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Lines of assembly language, given what its operands are called there.

    ``changed``: registers that begin with a value ("ptr %a"), or with none, and that the text
    changes; ``steady``: numbers and pointers that it reads there; ``memory``: those that it reads
    and changes in memory; ``vectors``: what it reads in the last vector registers. The others are
    the text's own, and so are the mask registers k1 and k2."""
    vectors = vectors or {}
    given = [f"old {name}" for name, value in changed.items() if value]
    names = [*changed, *given, *steady, *memory, *vectors, "mask"]
    held = {name: f"${n}" for n, name in enumerate(names) if mask or name != "mask"}
    ties = [str(n) for n, value in enumerate(changed.values()) if value]
    constraints = ["=&r"] * len(changed) + ties + ["r"] * len(steady) + ["*m"] * len(memory)
    words = [x for x in changed.values() if x]
    words += [str(x) if str(x).startswith("ptr ") else f"i64 {x}" for x in steady.values()]
    for value in memory.values():
        slot = fn.slot("i64", 1, 8)
        fn.raw(f"store i64 {value}, ptr {slot}")
        words.append(f"ptr elementtype(i64) {slot}")
    constraints += ["v"] * len(vectors)
    words += vectors.values()
    if mask:
        constraints.append("^Yk")
        whole = f"i{v.lanes}"
        words.append(f"{whole} {fn.val(f'bitcast {v.flags} {mask} to {whole}')}")
    constraints += [f"~{{zmm{n}}}" for n in range(OWN)]
    constraints += ["~{k1}", "~{k2}", "~{memory}", "~{flags}", "~{dirflag}", "~{fpsr}"]
    kinds = ", ".join(value.split()[0] if value else "i64" for value in changed.values())
    body = "\\0A".join(lines(held))
    text = f'"{body}", "{",".join(constraints)}"'
    fn.raw(f"call {{{kinds}}} asm sideeffect {text}({', '.join(words)})")


def assembled_copy(fn: FunctionWriter, v: Lanes, vectors: int, mask: Value) -> None:
    """The body of a function with `packing.PARAMETERS`, for so many vectors of 64 bytes, the last
    one under a mask: 0 beyond it."""
    ints, kind = Ints(fn), "s" if v.size == 4 else "d"
    steady = {"step": ints.mul("%step", v.size), "stride": ints.mul("%stride", v.size)}

    def lines(held: dict[str, str]) -> list[str]:
        source, target, k = (held[name] for name in ("source", "target", "k"))
        loads, stores = [], []
        for j in range(vectors):
            cut = f" {{{held['mask']}}} {{z}}" if j == vectors - 1 else ""
            loads.append(f"vmovup{kind} {BYTES * j or ''}({source}), %zmm{j}{cut}")
            stores.append(f"vmovup{kind} %zmm{j}, {BYTES * j or ''}({target})")
        return [
            f"testq {k}, {k}", "jle 2f", "1:", *loads, *stores, f"addq {held['step']}, {source}",
            f"addq {held['stride']}, {target}", f"decq {k}", "jne 1b", "2:",
        ]  # fmt: skip

    changed = {"source": "ptr %source", "target": "ptr %target", "k": "i64 %k"}
    assembled(fn, v, lines, changed, steady, {}, mask)


def assembled_turn(fn: FunctionWriter, v: Lanes, rows: int) -> None:
    """The body of `packing.turned` for blocks of so many rows times one vector of 64 bytes.

    A round interleaves the first half of the vectors with the second one (`lanes.turn`): two
    permutations of each pair, for which one register more than there are vectors is enough."""
    ints, lanes = Ints(fn), v.lanes
    step, last = ints.mul("%step", v.size), ints.sub("%valid", 1)
    # a row that does not exist is the last one again
    memory = {f"to{i}": ints.pick(ints.is_("sgt", last, i), step, 0) for i in range(rows - 1)}
    changed = {
        "source": "ptr %source",
        "target": "ptr %target",
        "k": "i64 %k",
        "at": "",
        "some": "",
    }
    steady = {"apart": ints.mul(ints.mul("%stride", v.size), lanes // rows)}

    def lines(held: dict[str, str]) -> list[str]:
        return _turn_lines(v, rows, held)

    assembled(fn, v, lines, changed, steady, memory, None, interleaved(v))


def interleaved(v: Lanes) -> dict[str, str]:
    """The picks of the lower and of the higher halves of two vectors, lane by lane."""
    lanes, number = v.lanes, f"i{8 * v.size}"
    low = [x for k in range(lanes // 2) for x in (k, lanes + k)]
    picks = {}
    for name, first in (("low", 0), ("high", lanes // 2)):
        words = ", ".join(f"{number} {x + first}" for x in low)
        picks[name] = f"<{lanes} x {number}> <{words}>"
    return picks


def turned_lines(
    kind: str, held: Mapping[str, str], registers: list[str], spare: str
) -> tuple[list[str], list[str]]:
    """Lines that transpose what is in some registers (a power of two), and where it is then: each
    round interleaves the first half of them with the second one (`lanes.turn`)."""
    lines, half = [], len(registers) // 2
    for _ in range(len(registers).bit_length() - 1):
        turned = []
        for a, b in zip(registers[:half], registers[half:], strict=True):
            lines += [f"vmovaps {a}, {spare}", f"vpermt2p{kind} {b}, {held['low']}, {a}",
                      f"vpermt2p{kind} {b}, {held['high']}, {spare}"]  # fmt: skip
            turned += [a, spare]
            spare = b
        registers = turned
    return lines, registers


def first_lanes(v: Lanes, count: str, one: str, other: str) -> list[str]:
    """Lines that set k1 to the first lanes, as many as ``count`` or all, by two registers."""
    short, shorter = (f"${{{x[1:]}:k}}" for x in (one, other))
    return [
        f"movq $${v.lanes}, {one}", f"cmpq {one}, {count}", f"cmovlq {count}, {one}",
        f"movq $$-1, {other}", f"bzhil {short}, {shorter}, {shorter}", f"kmovw {shorter}, %k1",
    ]  # fmt: skip


def _turn_lines(v: Lanes, rows: int, held: dict[str, str]) -> list[str]:
    kind = "s" if v.size == 4 else "d"
    source, target, k, at, some = (held[x] for x in ("source", "target", "k", "at", "some"))
    lines = [f"testq {k}, {k}", "jle 2f", "1:", *first_lanes(v, k, at, some)]
    lines.append(f"movq {source}, {at}")
    for i in range(rows):
        lines.append(f"vmovup{kind} ({at}), %zmm{i} {{%k1}} {{z}}")
        if i + 1 < rows:
            lines.append(f"addq {held[f'to{i}']}, {at}")
    registers, spare = [f"%zmm{i}" for i in range(rows)], f"%zmm{rows}"
    more, registers = turned_lines(kind, held, registers, spare)
    lines += more
    for register in registers:
        lines += [f"vmovup{kind} {register}, ({target})", f"addq {held['apart']}, {target}"]
    return [*lines, f"addq $${BYTES}, {source}", f"subq $${v.lanes}, {k}", "jg 1b", "2:"]


def assembled_tiles(
    fn: FunctionWriter, v: Lanes, rows: int, vectors: int, mask: Value | None, ahead: int = 0,
    copying: bool = False,
) -> None:  # fmt: skip
    """The body of a function with `microkernel.PARAMETERS`, of which ``count`` is at least 1, for
    so many rows and vectors of 64 bytes, the last one under a mask. Rows of B are asked for so many
    steps ``ahead``, and rows of the result one by one, unless that is 0. ``copying``: the body of
    one with `microkernel.COPIED`, and ``count`` is 1.

    For each element of the summed axis the vectors of B are loaded, and each element of A's column
    is multiplied with all of them: out of memory, or where there are several through a register.
    A load under a mask takes one of Intel's two units for multiplications too, a turn in 25 of
    a tile of 8x3: where the last vector is whole, the loop is one without masks.
    """
    ints = Ints(fn)
    col, b_row, c_row, row = (
        ints.mul(f"%{x}", v.size) for x in ("a_col", "b_row", "c_row", "a_row")
    )
    apart = {f"row{n}": ints.mul(row, n) for n in sorted({PLACES[i][0] for i in range(1, rows)})}
    changed = {"a": "ptr %a", "b": "ptr %b", "c": "ptr %c", "k": "", "place": ""}
    whole = ints.pick(ints.is_("eq", "%last", v.lanes), WHOLE, 0)
    memory = {
        "count": "%count", "length": "%k", "flags": fn.val(f"or i64 %flags, {whole}"),
        "next_a": ints.sub(ints.mul("%a_step", v.size), ints.mul("%k", col)),
        "next_b": ints.sub(ints.mul("%b_step", v.size), ints.mul("%k", b_row)),
    }  # fmt: skip
    steady = {"col": col, "b_row": b_row, "c_row": c_row, **apart}
    if copying:
        changed["copy"] = "ptr %copy"
        steady["ahead"] = ints.mul(b_row, FAR)
    elif ahead:
        steady["ahead"] = ints.mul(b_row, ahead)
    if ahead:
        long = ints.is_("sge", "%k", LONG // v.size)
        pieces = -(-rows // AT_ONCE)
        shift = pieces.bit_length()  # a last piece of several others: its rows need time as well
        piece = ints.pick(long, fn.val(f"lshr i64 %k, {shift}"), 0)
        memory |= {"piece": piece, "rest": ints.sub("%k", ints.mul(piece, pieces - 1)), "turns": 0}

    def lines(held: dict[str, str]) -> list[str]:
        return (_Copying if copying else Tiles)(v, rows, vectors, held).lines()

    assembled(fn, v, lines, changed, steady, memory, mask)


class Tiles:
    """The lines for operands of these names."""

    def __init__(self, v: Lanes, rows: int, vectors: int, held: dict[str, str]) -> None:
        self.v, self.rows, self.vectors, self.held = v, rows, vectors, held
        self.kind = "s" if v.size == 4 else "d"
        self.sums = [[f"%zmm{i * vectors + j}" for j in range(vectors)] for i in range(rows)]
        self.row = [f"%zmm{SUMS + j}" for j in range(vectors)]
        self.element = f"%zmm{SUMS + vectors}"
        self.lines_of_b = [BYTES * j for j in range(vectors)]  # that are asked for, and how
        self.ask = "prefetcht0"

    def lines(self) -> list[str]:
        """Tiles from label 1, the summed axis in 2 or with masks 5, the results from 3."""
        held = self.held
        zeros = [f"vpxord {x}, {x}, {x}" for line in self.sums for x in line]
        some = [f"movq {held['length']}, {held['k']}", f"testq {held['k']}, {held['k']}", "jle 3f"]
        loops = [*self._each_row(self.fetched), *some, *self.loops(), "3:"]
        if "piece" in held:
            loops = self._in_pieces()
        adds = [f"testb $$1, {held['flags']}", "je 4f"]
        below = [f"leaq ({held['place']},{held['c_row']}), {held['c']}",
                 f"addq {held['next_a']}, {held['a']}", f"addq {held['next_b']}, {held['b']}",
                 f"decq {held['count']}", "jne 1b"]  # fmt: skip
        return [
            "1:", *zeros, *loops, *adds, *self._each_row(self.added),
            "4:", *self._each_row(self.stored), *below,
        ]  # fmt: skip

    def _in_pieces(self) -> list[str]:
        """The summed axis in as many pieces as there are rows, before each of which a row of the
        result is asked for: all at once they would keep what B is waiting for out. A short axis is
        one piece."""
        held = self.held
        k, turns = held["k"], held["turns"]
        one = [*self._each_row(self.fetched), f"movq $$1, {k}", f"movq {k}, {turns}",
               f"movq {held['length']}, {k}", "jmp 8f"]  # fmt: skip
        rows = [self.fetched(0, j) for j in range(self.vectors)]
        rows += [f"addq {held['c_row']}, {held['place']}"]
        return [
            f"movq $${-(-self.rows // AT_ONCE)}, {k}", f"movq {k}, {turns}",
            f"movq {held['piece']}, {k}",
            f"testq {k}, {k}", f"movq {held['c']}, {held['place']}", "jne 6f", *one,
            "6:", *rows * AT_ONCE, f"movq {held['piece']}, {k}",
            f"cmpq $$1, {turns}", "jne 8f", f"movq {held['rest']}, {k}",
            "8:", f"testq {k}, {k}", "jle 3f", *self.loops(),
            "3:", f"decq {turns}", "jne 6b",
        ]  # fmt: skip

    def loops(self) -> list[str]:
        """The loops over the summed axis."""
        return [
            f"testb $${WHOLE}, {self.held['flags']}", "je 5f",
            "2:", *self.step(False), "jne 2b", "jmp 3f", "5:", *self.step(True), "jne 5b",
        ]  # fmt: skip

    def _each_row(self, write: Callable[[int, int], str]) -> list[str]:
        held = self.held
        step = f"addq {held['c_row']}, {held['place']}"
        return [f"movq {held['c']}, {held['place']}", *self.in_rows(write, step)]

    def in_rows(self, write: Callable[[int, int], str], step: str) -> list[str]:
        """What is written for each vector of each row, with a step from row to row."""
        lines = []
        for i in range(self.rows):
            for j in range(self.vectors):
                lines.append(write(i, j))
            if i + 1 < self.rows:
                lines.append(step)
        return lines

    def _at(self, name: str, j: int) -> str:
        return f"{BYTES * j or ''}({self.held[name]})"

    def _cut(self, j: int) -> str:
        last = "mask" in self.held and j == self.vectors - 1
        return f" {{{self.held['mask']}}}" if last else ""

    def fetched(self, _: int, j: int) -> str:
        return f"prefetchw {self._at('place', j)}"

    def added(self, i: int, j: int) -> str:
        x = self.sums[i][j]
        return f"vaddp{self.kind} {self._at('place', j)}, {x}, {x}{self._cut(j)}"

    def stored(self, i: int, j: int) -> str:
        return f"vmovup{self.kind} {self.sums[i][j]}, {self._at('place', j)}{self._cut(j)}"

    def step(self, masked: bool) -> list[str]:
        """One element of the summed axis: a column of A times a row of B; counts it."""
        held, lines = self.held, [*self.row_of_b(masked), *self.all_products()]
        return [*lines, f"addq {held['col']}, {held['a']}", f"addq {held['b_row']}, {held['b']}",
                f"decq {held['k']}"]  # fmt: skip

    def all_products(self) -> list[str]:
        """A column of A times a row of B, while a later one is asked for."""
        held, lines = self.held, []
        for i in range(self.rows):
            lines += self.products(i)
            if "ahead" in held and i < len(self.lines_of_b):
                place = f"{self.lines_of_b[i] or ''}({held['b']},{held['ahead']})"
                lines.append(f"{self.ask} {place}")
        return lines

    def row_of_b(self, masked: bool) -> list[str]:
        """The vectors of a row of B."""
        lines = []
        for j in range(self.vectors):
            cut = self._cut(j) if masked else ""
            lines.append(
                f"vmovup{self.kind} {self._at('b', j)}, {self.row[j]}{cut and cut + ' {z}'}"
            )
        return lines

    def products(self, i: int) -> list[str]:
        """An element of A's column times the row of B."""
        sums, place = self.sums[i], self.place_of(i)
        if self.vectors == 1:
            spread = f"{place}{{1to{self.v.lanes}}}"
            return [f"vfmadd231p{self.kind} {spread}, {self.row[0]}, {sums[0]}"]
        lines = [f"vbroadcasts{self.kind} {place}, {self.element}"]
        for x, b in zip(sums, self.row, strict=True):
            lines.append(f"vfmadd231p{self.kind} {self.element}, {b}, {x}")
        return lines

    def place_of(self, i: int) -> str:
        """An element of A's column."""
        if not i:
            return f"({self.held['a']})"
        n, scale = PLACES[i]
        return f"({self.held['a']},{self.held[f'row{n}']},{scale})"


class _Copying(Tiles):
    """Rows of B, which come from far away, are stored side by side as soon as they are there: the
    units that store have nothing else to do."""

    def __init__(self, v: Lanes, rows: int, vectors: int, held: dict[str, str]) -> None:
        super().__init__(v, rows, vectors, held)
        self.lines_of_b.append(BYTES * vectors - v.size)  # a row may begin anywhere in a line
        self.ask = "prefetcht1"  # rows that lie 4096 bytes apart would push each other out nearer

    def loops(self) -> list[str]:
        return ["5:", *self.step(True), "jne 5b"]

    def row_of_b(self, masked: bool) -> list[str]:
        held, wide = self.held, BYTES * self.vectors
        copies = [f"vmovup{self.kind} {x}, {BYTES * j or ''}({held['copy']})"
                  for j, x in enumerate(self.row)]  # fmt: skip
        return [*super().row_of_b(masked), *copies, f"addq $${wide}, {held['copy']}"]
