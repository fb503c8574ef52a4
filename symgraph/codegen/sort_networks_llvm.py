"""Sorting networks in registers, for unsigned keys.

R registers of L lanes hold R L keys. What is compared is a bit of a key's number: bitonic sorting
(Batcher, 1968; Knuth vol. 3, 5.3.4) merges sequences of 2**k keys by comparing along bit k mirrored
in all lower ones, then along each of those. A bit that numbers registers costs one minimum and one
maximum for two registers. A bit that numbers lanes first changes places with one that numbers
registers: two shuffles, after which whole registers are compared again. Which logical bit is where
is known while the code is written.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgraph.codegen.writer import FunctionWriter, Value


class Network:
    """Sorts ``values``, as many registers as a power of two, of ``lanes`` keys of ``bits`` bits."""

    def __init__(self, fn: FunctionWriter, values: Sequence[Value], bits: int, lanes: int) -> None:
        self.fn, self.values, self.lanes = fn, list(values), lanes
        self.kind, self.suffix = f"<{lanes} x i{bits}>", f"v{lanes}i{bits}"
        count, width = len(self.values).bit_length() - 1, lanes.bit_length() - 1
        self.registers = list(range(count))  # the logical bit that each physical bit numbers
        self.across = list(range(count, count + width))
        self.bits = count + width

    def sorted(self) -> list[Value]:
        """The keys in ascending order, register by register, lane by lane."""
        count = len(self.registers)
        for low, high in odd_even_merges(len(self.values)):
            self._exchange(low, high)
        steps = [
            (bit, bit == stage)
            for stage in range(count, self.bits)
            for bit in reversed(range(stage + 1))
        ]
        for k, (bit, mirrored) in enumerate(steps):
            if not count:
                self._within(bit, mirrored)
                continue
            self._bring(bit, [b for b, _ in steps[k:]])
            self._compare(bit, mirrored)
        return self._in_order()

    # steps ----------------------------------------------------------------------------------------

    def _exchange(self, low: int, high: int) -> None:
        a, b = self.values[low], self.values[high]
        self.values[low], self.values[high] = self._least(a, b), self._greatest(a, b)

    def _compare(self, bit: int, mirrored: bool) -> None:
        """Along a bit that numbers registers."""
        step = 1 << self.registers.index(bit)
        turned = turned_lanes = 0
        if mirrored:
            turned = sum(1 << k for k, b in enumerate(self.registers) if b < bit)
            turned_lanes = sum(1 << k for k, b in enumerate(self.across) if b < bit)
        old = list(self.values)
        for k in range(len(old)):
            if not k & step:
                a, b = old[k], self._moved(old[k ^ step ^ turned], turned_lanes)
                self.values[k], self.values[k ^ step] = self._least(a, b), self._greatest(a, b)

    def _within(self, bit: int, mirrored: bool) -> None:
        """Along a bit that numbers the lanes of a single register."""
        (x,) = self.values
        other = self._moved(x, (2 << bit) - 1 if mirrored else 1 << bit)
        low, high = self._least(x, other), self._greatest(x, other)
        order = [k + self.lanes if k >> bit & 1 else k for k in range(self.lanes)]
        self.values = [self._shuffle(low, high, order)]

    def _bring(self, bit: int, needed: Sequence[int]) -> None:
        """Let a logical bit number registers, in the place of that which is needed last."""
        if bit in self.registers:
            return
        far = {b: needed.index(b) if b in needed else len(needed) for b in self.registers}
        self._swap(bit, max(self.registers, key=lambda b: far[b]))

    def _swap(self, lane_bit: int, register_bit: int) -> None:
        lane, place = self.across.index(lane_bit), self.registers.index(register_bit)
        for k in range(len(self.values)):
            if k >> place & 1:
                continue
            a, b = self.values[k], self.values[k | 1 << place]
            flip = 1 << lane
            first = [n ^ flip | self.lanes if n & flip else n for n in range(self.lanes)]
            second = [n | self.lanes if n & flip else n ^ flip for n in range(self.lanes)]
            self.values[k] = self._shuffle(a, b, first)
            self.values[k | 1 << place] = self._shuffle(a, b, second)
        self.across[lane], self.registers[place] = register_bit, lane_bit

    def _in_order(self) -> list[Value]:
        """Low logical bits number lanes, each in its place, and high ones registers."""
        width = len(self.across)
        for bit in [b for b in self.registers if b < width]:
            high = [b for b in self.across if b >= width]
            free = self.across[bit]
            self._swap(free if free >= width else high[0], bit)
        if self.across != sorted(self.across):
            order = [
                sum((n >> b & 1) << k for k, b in enumerate(self.across)) for n in range(self.lanes)
            ]
            self.values = [self._shuffle(v, v, order) for v in self.values]
        out = list(self.values)
        for k, v in enumerate(self.values):
            out[sum((k >> p & 1) << b - width for p, b in enumerate(self.registers))] = v
        return out

    # instructions ---------------------------------------------------------------------------------

    def _least(self, a: Value, b: Value) -> Value:
        return self.fn.call(self.kind, f"llvm.umin.{self.suffix}", [(self.kind, a), (self.kind, b)])

    def _greatest(self, a: Value, b: Value) -> Value:
        return self.fn.call(self.kind, f"llvm.umax.{self.suffix}", [(self.kind, a), (self.kind, b)])

    def _moved(self, a: Value, flip: int) -> Value:
        return self._shuffle(a, a, [n ^ flip for n in range(self.lanes)]) if flip else a

    def _shuffle(self, a: Value, b: Value, order: Sequence[int]) -> Value:
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
