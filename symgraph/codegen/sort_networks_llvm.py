"""Sorting networks in registers, for unsigned keys.

R registers of L lanes hold R L keys. What is compared is a bit of a key's number: bitonic sorting
(Batcher, 1968; Knuth vol. 3, 5.3.4) merges sequences of 2**k keys by comparing along bit k mirrored
in all lower ones, then along each of those. A bit that numbers registers costs one minimum and one
maximum for two registers. A bit that numbers lanes first changes places with one that numbers
registers: two shuffles, after which whole registers are compared again. Which logical bit is where
is known while the code is written.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from symgraph.codegen.writer import FunctionWriter, Value

Register = TypeVar("Register")
Order = tuple[int, ...]


class Network(ABC, Generic[Register]):
    """Sorts ``values``, a power of two of registers, 2 at least, of ``lanes`` keys. Each value is
    an operand of one instruction, and never used again."""

    def __init__(self, values: Sequence[Register], lanes: int) -> None:
        self.values, self.lanes = list(values), lanes
        count, width = len(self.values).bit_length() - 1, lanes.bit_length() - 1
        self.registers = list(range(count))  # the logical bit that each physical bit numbers
        self.across = list(range(count, count + width))
        self.bits = count + width

    def sorted(self) -> list[Register]:
        """The keys in ascending order, register by register, lane by lane."""
        count, values = len(self.registers), self.values
        for low, high in odd_even_merges(len(values)):
            values[low], values[high] = self._ordered(values[low], values[high])
        steps = [
            (bit, bit == stage)
            for stage in range(count, self.bits)
            for bit in reversed(range(stage + 1))
        ]
        for k, (bit, mirrored) in enumerate(steps):
            self._bring(bit, [b for b, _ in steps[k:]])
            self._compare(bit, mirrored)
        return self._in_order()

    def merged(self) -> list[Register]:
        """The same of keys that rise and then fall, or the other way round, in the order of memory:
        low logical bits number lanes, and high ones registers."""
        width = len(self.across)
        self.across, self.registers = list(range(width)), list(range(width, self.bits))
        steps = list(reversed(range(self.bits)))
        for k, bit in enumerate(steps):
            self._bring(bit, steps[k:])
            self._compare(bit, False)
        return self._in_order()

    # steps ----------------------------------------------------------------------------------------

    def _compare(self, bit: int, mirrored: bool) -> None:
        """Along a bit that numbers registers."""
        step = 1 << self.registers.index(bit)
        turned = flip = 0
        if mirrored:
            turned = sum(1 << k for k, b in enumerate(self.registers) if b < bit)
            flip = sum(1 << k for k, b in enumerate(self.across) if b < bit)
        order = tuple(n ^ flip for n in range(self.lanes))
        old = list(self.values)
        for k, a in enumerate(old):
            if not k & step:
                b = old[k ^ step ^ turned]
                if flip:
                    b = self._turned(b, order)
                self.values[k], self.values[k ^ step] = self._ordered(a, b)

    def _bring(self, bit: int, needed: Sequence[int]) -> None:
        """Let a logical bit number registers, in the place of that which is needed last."""
        if bit in self.registers:
            return
        far = {b: needed.index(b) if b in needed else len(needed) for b in self.registers}
        self._swap(bit, max(self.registers, key=lambda b: far[b]))

    def _swap(self, lane_bit: int, register_bit: int) -> None:
        lane, place = self.across.index(lane_bit), self.registers.index(register_bit)
        flip, step, values = 1 << lane, 1 << place, self.values
        lanes = range(self.lanes)
        first = tuple(n ^ flip | self.lanes if n & flip else n for n in lanes)
        second = tuple(n | self.lanes if n & flip else n ^ flip for n in lanes)
        for k in range(len(values)):
            if not k & step:
                pair = values[k], values[k | step]
                values[k], values[k | step] = self._crossed(*pair, first, second)
        self.across[lane], self.registers[place] = register_bit, lane_bit

    def _in_order(self) -> list[Register]:
        """Low logical bits number lanes, each in its place, and high ones registers."""
        width = len(self.across)
        for bit in [b for b in self.registers if b < width]:
            high = [b for b in self.across if b >= width]
            free = self.across[bit]
            self._swap(free if free >= width else high[0], bit)
        if self.across != sorted(self.across):
            order = tuple(
                sum((n >> b & 1) << k for k, b in enumerate(self.across)) for n in range(self.lanes)
            )
            self.values = [self._turned(v, order) for v in self.values]
        out = list(self.values)
        for k, v in enumerate(self.values):
            out[sum((k >> p & 1) << b - width for p, b in enumerate(self.registers))] = v
        return out

    # instructions ---------------------------------------------------------------------------------

    @abstractmethod
    def _ordered(self, a: Register, b: Register) -> tuple[Register, Register]:
        """The lesser key of each lane, and the greater one."""

    @abstractmethod
    def _turned(self, a: Register, order: Order) -> Register:
        """The lanes of a register in an order."""

    @abstractmethod
    def _crossed(
        self, a: Register, b: Register, first: Order, second: Order
    ) -> tuple[Register, Register]:
        """Lanes of two registers, those of the second counted after those of the first, in two
        orders."""


class VectorNetwork(Network[Value]):
    """A network of LLVM's vectors, of keys of ``bits`` bits."""

    def __init__(self, fn: FunctionWriter, values: Sequence[Value], bits: int, lanes: int) -> None:
        super().__init__(values, lanes)
        self.fn, self.kind, self.suffix = fn, f"<{lanes} x i{bits}>", f"v{lanes}i{bits}"

    def _ordered(self, a: Value, b: Value) -> tuple[Value, Value]:
        words = [(self.kind, a), (self.kind, b)]
        least = self.fn.call(self.kind, f"llvm.umin.{self.suffix}", words)
        return least, self.fn.call(self.kind, f"llvm.umax.{self.suffix}", words)

    def _turned(self, a: Value, order: Order) -> Value:
        return self._shuffle(a, a, order)

    def _crossed(self, a: Value, b: Value, first: Order, second: Order) -> tuple[Value, Value]:
        return self._shuffle(a, b, first), self._shuffle(a, b, second)

    def _shuffle(self, a: Value, b: Value, order: Order) -> Value:
        picks = ", ".join(f"i32 {k}" for k in order)
        words = f"{self.kind} {a}, {self.kind} {b}, <{self.lanes} x i32> <{picks}>"
        return self.fn.val(f"shufflevector {words}")


def odd_even_merges(count: int) -> list[tuple[int, int]]:
    """The comparisons of Batcher's odd-even merge sort of so many, a power of two.

    >>> odd_even_merges(4)
    [(0, 1), (2, 3), (0, 2), (1, 3), (1, 2)]
    """
    out: list[tuple[int, int]] = []
    p = 1
    while p < count:
        k = p
        while k >= 1:
            for j in range(k % p, count - k, 2 * k):
                for i in range(min(k, count - j - k)):
                    if (i + j) // (2 * p) == (i + j + k) // (2 * p):
                        out.append((i + j, i + j + k))
            k //= 2
        p *= 2
    return out
