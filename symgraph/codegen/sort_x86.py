"""Networks and partitions for sorting as machine code of x86-64 with AVX-512.

LLVM takes 20 to 40 us for each vector instruction of a network, of which there are a thousand; its
assembler takes 1 or 2 us for an instruction whose registers are known. They are known here: a
network has no branches, so a value's register is free after its last use. Each function is one
statement of inline assembly (AT&T order: the result comes last), its arguments in fixed registers.

    few(source, target, n, room)     up to 1 KB of words sorted from source to target, whose last
                                     registers are filled up with the greatest word; ``room``: 1 if
                                     whole registers can be read
    merge(room)                      2 KB of words, of which either half is sorted
    partition(a, lo, hi, pivot, room) -> first     the words lo to hi of a, of more than 1 KB: those
                                     from the first on are not less than the pivot

A partition reads and writes in one place (B. Bramas, "A novel hybrid quicksort algorithm vectorized
using AVX-512", 2017): what lies at its ends is put aside, so that there is room to write; then
eight registers are read from that side which has less of it. Of a register the lesser words are
brought to its front and the others to its end, and it is written whole on either side: what is too
much is overwritten later, and compressing stores are slower.
"""

from __future__ import annotations

from symgraph.codegen.sort_networks_llvm import Network, Order
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value

WIDTH = 64  # bytes of a register
SIZES = (2, 4, 8, 16)  # registers of the networks
FEATURES = frozenset(("avx512f", "avx512vl", "bmi2", "popcnt"))
MOST = SIZES[-1] * WIDTH  # bytes that are few
ROOM = 2 * MOST  # bytes that a partition needs, or few words as a target, or two of these
_REGISTERS = 32
_CHUNK = 8  # registers that a partition reads at a time
_CLOBBERED = ("memory", "dirflag", "fpsr", "flags", "k1", "k2", "k3",
              *(f"zmm{k}" for k in range(_REGISTERS)))  # fmt: skip


def write_functions(module: ModuleWriter, bits: int) -> None:
    """Write the functions for words of 32 or 64 bits."""
    params = [("ptr", "source", ""), ("ptr", "target", ""), ("i64", "n", ""), ("i64", "room", "")]
    _Few(module, bits).build(module.function("few", params, "void", "", "nounwind"))
    _Merge(module, bits).build(module.function("merge", params[:1], "void", "", "nounwind"))
    params = [("ptr", "a", ""), ("i64", "lo", ""), ("i64", "hi", ""), (f"i{bits}", "pivot", "")]
    params += [("ptr", "room", "")]
    _Partition(module, bits).build(module.function("partition", params, "i64", "", "nounwind"))


class _Assembly:
    """The body of a function as one statement."""

    def __init__(self, module: ModuleWriter, bits: int) -> None:
        self.module, self.bits, self.lanes = module, bits, 8 * WIDTH // bits
        self.q = "q" if bits == 64 else "d"  # the last letter of instructions for such words
        self.lines: list[str] = []

    def put(self, text: str) -> None:
        """Append instructions, one a line."""
        self.lines += [line.strip() for line in text.strip().splitlines()]

    def table(self, orders: dict[Order, int]) -> Value:
        """The orders of lanes, one after another."""
        kind = f"[{self.lanes} x i{self.bits}]"
        rows = (", ".join(f"i{self.bits} {k}" for k in order) for order in orders)
        text = ", ".join(f"{kind} [{row}]" for row in rows)
        return self.module.constant(f"[{len(orders)} x {kind}]", f"[{text}]")

    def statement(self, fn: FunctionWriter, ret: str, inputs: dict[str, str], used: str) -> Value:
        """Write the function: ``inputs`` are values by their registers, which must not change;
        ``used`` are the registers that may. The result is that of rax."""
        body = "\n".join(self.lines).replace("$", "$$")
        clobbered = [f"~{{{name}}}" for name in (*used.split(), *_CLOBBERED)]
        words = [f"{{{name}}}" for name in inputs] + clobbered
        if ret != "void":
            words.insert(0, "={rax}")
        text = f'asm sideeffect "\n{body}\n", "{",".join(words)}"({", ".join(inputs.values())})'
        if ret == "void":
            fn.raw(f"call void {text}")
            return ""
        return fn.fresh(f"call {ret} {text}")


# networks -----------------------------------------------------------------------------------------


class _Few(_Assembly):
    """Networks of all sizes one after another, and the choice between them."""

    def build(self, fn: FunctionWriter) -> None:
        orders: dict[Order, int] = {}
        for size in SIZES:
            if size < SIZES[-1]:
                self.put(f"cmpq ${size * self.lanes}, %rdx\nja {size}f")
            _Registers(self, size, orders).write()
            if size < SIZES[-1]:
                self.put(f"jmp 99f\n{size}:")
        self.put("99:\nvzeroupper")
        place = self.table(orders)
        inputs = {
            "rdi": "ptr %source",
            "rsi": "ptr %target",
            "rdx": "i64 %n",
            "rcx": f"ptr {place}",
        }
        self.statement(fn, "void", inputs, "rax r8")


class _Merge(_Assembly):
    """The lesser words of all pairs, one of either half counted from different ends, to the first
    half, and the greater ones to the other: each then rises and falls, and is merged in registers.
    The other one lies there with its registers in reverse."""

    def build(self, fn: FunctionWriter) -> None:
        size = SIZES[-1]
        orders = {tuple(reversed(range(self.lanes))): 0}
        self.put("vmovdqa64 (%rcx), %zmm31")
        for k in range(size):
            one, other = f"{WIDTH * k}(%rdi)", f"{WIDTH * (2 * size - 1 - k)}(%rdi)"
            self.put(
                f"""vmovdqa64 {one}, %zmm0
                vperm{self.q} {other}, %zmm31, %zmm1
                vpminu{self.q} %zmm0, %zmm1, %zmm2
                vpmaxu{self.q} %zmm0, %zmm1, %zmm1
                vmovdqa64 %zmm2, {one}
                vmovdqa64 %zmm1, {other}"""
            )
        self.put(f"movq %rdi, %rax\nmovq %rdi, %rsi\nmovq ${WIDTH}, %r8\n1:")
        for k in range(size):
            self.put(f"vmovdqa64 (%rax), %zmm{k}\naddq %r8, %rax")
        for k, register in enumerate(_Registers(self, size, orders).merged()):
            self.put(f"vmovdqa64 %zmm{register}, {WIDTH * k}(%rsi)")
        self.put(
            f"""leaq {WIDTH * (2 * size - 1)}(%rdi), %rax
            addq ${WIDTH * size}, %rsi
            negq %r8
            js 1b
            vzeroupper"""
        )
        self.statement(
            fn, "void", {"rdi": "ptr %source", "rcx": f"ptr {self.table(orders)}"}, "rax rsi r8"
        )


class _Registers(Network[int]):
    """A network of the registers that are numbered from 0 on. ``orders`` are those of the table in
    memory, with their places."""

    def __init__(self, out: _Assembly, size: int, orders: dict[Order, int]) -> None:
        super().__init__(range(size), out.lanes)
        self.out, self.orders, self.q = out, orders, out.q
        self.free = list(range(size, _REGISTERS))[::-1]
        self.held: dict[Order, int] = {}  # registers with orders
        self.together = {_halves(self.lanes, 64 // out.bits, k): k for k in (0, 1)}

    def write(self) -> None:
        """Read, sort, and write."""
        self._read()
        for k, register in enumerate(self.sorted()):
            self.out.lines.append(f"vmovdqa64 %zmm{register}, {WIDTH * k}(%rsi)")

    def _read(self) -> None:
        """Whole registers; then those that may be partly there, with the greatest words besides.
        Where there is room behind the words, it is read too: what was written just now could not
        be read under a mask before it is in the cache."""
        out, size = self.out, len(self.values)
        whole = size // 2 if size > SIZES[0] else 0
        for k in range(whole):
            out.put(f"vmovdqu64 {WIDTH * k}(%rdi), %zmm{k}")
        ones = f"%zmm{_REGISTERS - 1}"  # its old value, which this instruction waits for, is there
        out.put(f"vpternlogd $255, {ones}, {ones}, {ones}")
        out.put(f"leaq {-whole * self.lanes}(%rdx), %r8\ntestq %r9, %r9\njne {size}0f")
        masked = f"vmovdqu{out.bits} {{place}}(%rdi), {{x}} {{{{%k1}}}}"
        self._read_some(whole, [f"vmovdqa64 {ones}, {{x}}", masked])
        out.put(f"jmp {size}1f\n{size}0:")
        blend = f"vpblendm{self.q} {{x}}, {ones}, {{x}} {{{{%k1}}}}"
        self._read_some(whole, ["vmovdqu64 {place}(%rdi), {x}", blend])
        out.put(f"{size}1:")

    def _read_some(self, whole: int, lines: list[str]) -> None:
        out, lanes, size = self.out, self.lanes, len(self.values)
        each = min(64 // lanes, size - whole)  # registers whose masks are in a word
        for first in range(whole, size, each):
            if first > whole:
                out.put("xorl %eax, %eax\nsubq $64, %r8\ncmovbq %rax, %r8")
            out.put("movq $-1, %rax\nbzhiq %r8, %rax, %rax")
            for k in range(first, first + each):
                out.put("kmovw %eax, %k1")
                for line in lines:
                    out.put(line.format(x=f"%zmm{k}", place=WIDTH * k))
                if k + 1 < first + each:
                    out.put(f"shrq ${lanes}, %rax")

    # instructions ---------------------------------------------------------------------------------

    def _ordered(self, a: int, b: int) -> tuple[int, int]:
        least = self.free.pop()
        self.out.lines += (
            f"vpminu{self.q} %zmm{a}, %zmm{b}, %zmm{least}",
            f"vpmaxu{self.q} %zmm{a}, %zmm{b}, %zmm{a}",
        )
        self.free.append(b)
        return least, a

    def _turned(self, a: int, order: Order) -> int:
        self.out.lines.append(f"vperm{self.q} %zmm{a}, %zmm{self._order(order)}, %zmm{a}")
        return a

    def _crossed(self, a: int, b: int, first: Order, second: Order) -> tuple[int, int]:
        if first in self.together:
            names = [f"vpunpck{'lh'[self.together[order]]}qdq" for order in (first, second)]
            low = self.free.pop()
            self.out.lines += (
                f"{names[0]} %zmm{b}, %zmm{a}, %zmm{low}",
                f"{names[1]} %zmm{b}, %zmm{a}, %zmm{a}",
            )
        else:
            one, two = self._order(first), self._order(second)
            low = self.free.pop()
            self.out.lines += (
                f"vmovdqa64 %zmm{a}, %zmm{low}",
                f"vpermt2{self.q} %zmm{b}, %zmm{one}, %zmm{low}",
                f"vpermt2{self.q} %zmm{b}, %zmm{two}, %zmm{a}",
            )
        self.free.append(b)
        return low, a

    def _order(self, order: Order) -> int:
        """The register with an order, which is read where there is none."""
        register = self.held.get(order)
        if register is None:
            if len(self.free) == 1:  # one is needed for results
                self.free.insert(0, self.held.pop(next(iter(self.held))))
            register = self.held[order] = self.free.pop(0)
            place = self.orders.setdefault(order, WIDTH * len(self.orders))
            self.out.lines.append(f"vmovdqa64 {place}(%rcx), %zmm{register}")
        return register


def _halves(lanes: int, words: int, half: int) -> Order:
    """The order of the instructions that put together the low or the high ``words`` of each 128
    bits of two registers.

    >>> _halves(8, 1, 0)
    (0, 8, 2, 10, 4, 12, 6, 14)
    """
    starts = range(half * words, lanes, 2 * words)
    return tuple(k + which + j for k in starts for which in (0, lanes) for j in range(words))


# partition ----------------------------------------------------------------------------------------


class _Partition(_Assembly):
    """Registers: r10 and r11 where is written next, on the left and on the right; r12 and r13 the
    words between them that are not read yet; r8 the words put aside, rax their bytes."""

    def build(self, fn: FunctionWriter) -> None:
        word = self.bits // 8
        self.put(
            f"""leaq (%rdi,%rsi,{word}), %r10
            leaq (%rdi,%rdx,{word}), %r11
            vpbroadcast{self.q} %{"rcx" if word == 8 else "ecx"}, %zmm31"""
        )
        self.unit = "zmm" if self.bits == 64 else "ymm"  # a register of eight words
        self._aside()
        self._middle()
        self._ends()
        self.put(f"movq %r10, %rax\nsubq %rdi, %rax\nshrq ${word.bit_length() - 1}, %rax")
        self.put("vzeroupper")
        inputs = {"rdi": "ptr %a", "rsi": "i64 %lo", "rdx": "i64 %hi", "r8": "ptr %room"}
        inputs["rcx"] = f"i{self.bits} %pivot"
        orders = [sorted((~m >> k & 1, k) for k in range(8)) for m in range(256)]
        numbers = ", ".join(
            f"i64 {int.from_bytes([k for _, k in order], 'little')}" for order in orders
        )
        inputs["r9"] = f"ptr {self.module.constant('[256 x i64]', f'[{numbers}]')}"
        fn.ret("i64", self.statement(fn, "i64", inputs, "rbx r10 r11 r12 r13 r14 r15"))

    def _aside(self) -> None:
        """A chunk from the right, and one from the left with what is left over of whole chunks."""
        chunk = _CHUNK * WIDTH
        self.put(
            f"""movq %r11, %rax
            subq %r10, %rax
            andl ${chunk - 1}, %eax
            addq ${chunk}, %rax
            leaq (%r10,%rax), %r12
            leaq {-chunk}(%r11), %r13
            movq %r8, %r14
            movq %r10, %r15
            1:
            vmovdqu64 (%r15), %zmm0
            vmovdqa64 %zmm0, (%r14)
            addq ${WIDTH}, %r14
            addq ${WIDTH}, %r15
            cmpq %r12, %r15
            jb 1b
            leaq (%r8,%rax), %r14"""
        )
        for k in range(0, chunk, WIDTH):
            self.put(f"vmovdqu64 {k}(%r13), %zmm0\nvmovdqu64 %zmm0, {k}(%r14)")
        self.put(f"addq ${chunk}, %rax\nsubq ${self.bits}, %r11")

    def _middle(self) -> None:
        """Chunk by chunk. The next one is read before the last one is written, so that nobody waits
        for the choice of its side, which depends on what has been written."""
        self.put("cmpq %r13, %r12\nje 5f")
        self._read(0)
        self.put("jmp 3f\n2:")
        self._read(_CHUNK)
        for k in range(_CHUNK):
            self._part(k)
        for k in range(_CHUNK):
            self.put(f"vmovdqa64 %zmm{k + _CHUNK}, %zmm{k}")
        self.put("3:\ncmpq %r13, %r12\njne 2b")
        for k in range(_CHUNK):
            self._part(k)
        self.put("5:")

    def _read(self, first: int) -> None:
        """A chunk of that side which has less room."""
        chunk = _CHUNK * WIDTH
        self.put(
            f"""movq %r12, %r14
            subq %r10, %r14
            leaq {self.bits}(%r11), %r15
            subq %r13, %r15
            cmpq %r14, %r15
            leaq {-chunk}(%r13), %r15
            leaq {chunk}(%r12), %rbx
            movq %r12, %r14
            cmovbq %r15, %r14
            cmovbq %r15, %r13
            cmovaeq %rbx, %r12"""
        )
        for k in range(_CHUNK):
            self.put(f"vmovdqu64 {WIDTH * k}(%r14), %zmm{first + k}")

    def _ends(self) -> None:
        """What was put aside: first what is less than eight words, while there is room between the
        sides, then the rest, the last of which fills the gap from either side."""
        word, unit = self.bits // 8, self.bits
        self.put(
            f"""movl %eax, %r12d
            andl ${unit - 1}, %r12d
            subq %r12, %rax
            addq %r8, %rax
            vmovdqu64 (%rax), %zmm0
            movl %r12d, %r13d
            shrl ${word.bit_length() - 1}, %r13d
            movl $-1, %r14d
            bzhil %r13d, %r14d, %r14d
            kmovw %r14d, %k3
            vpcmpltu{self.q} %zmm31, %zmm0, %k1 {{%k3}}
            kmovw %k1, %ebx"""
        )
        self._ordered(0, "rbx")
        self.put(
            f"""leaq {unit}(%r11), %r14
            subq %r12, %r14
            vmovdqu{self.bits} %zmm30, (%r10) {{%k3}}
            vmovdqu{self.bits} %zmm30, (%r14) {{%k3}}
            leaq (%r10,%r15,{word}), %r10
            leaq (%r11,%r15,{word}), %r11
            subq %r12, %r11
            movq %r8, %r14
            4:
            vmovdqu64 (%r14), %{self.unit}0
            vpcmpltu{self.q} %zmm31, %zmm0, %k1
            kmovw %k1, %ebx
            movzbl %bl, %ebx"""
        )
        self._eight(0, "rbx")
        self.put(f"addq ${unit}, %r14\ncmpq %rax, %r14\njb 4b")

    def _part(self, k: int) -> None:
        """The words of a register to their sides, eight at a time."""
        self.put(f"vpcmpltu{self.q} %zmm31, %zmm{k}, %k1\nkmovw %k1, %ebx")
        if self.bits == 64:
            self._eight(k, "rbx")
            return
        self.put("movzbl %bl, %r15d")
        self._eight(k, "r15")
        self.put(f"vextracti64x4 $1, %zmm{k}, %ymm{k}\nshrl $8, %ebx")
        self._eight(k, "rbx")

    def _eight(self, k: int, mask: str) -> None:
        x, word, unit = f"%{self.unit}30", self.bits // 8, self.bits
        self._ordered(k, mask)
        self.put(
            f"""vmovdqu64 {x}, (%r10)
            vmovdqu64 {x}, (%r11)
            leaq (%r10,%r15,{word}), %r10
            leaq {-unit}(%r11,%r15,{word}), %r11"""
        )

    def _ordered(self, k: int, mask: str) -> None:
        """In register 30 the words that a mask says are lesser, then the others; r15 is how many
        are lesser. A table has the order for every mask."""
        number = "%ebx" if mask == "rbx" else "%r15d"
        x, order = f"%{self.unit}{k}", f"%{self.unit}30"
        self.put(
            f"""vpmovzxb{self.q} (%r9,%{mask},8), {order}
            popcntl {number}, %r15d
            vperm{self.q} {x}, {order}, {order}"""
        )
