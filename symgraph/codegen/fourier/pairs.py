"""Complex numbers in registers, their real and imaginary parts in two vectors."""

from __future__ import annotations

from collections.abc import Sequence

from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.literals import constant
from symgraph.codegen.writer import Value

Pair = tuple[Value, Value]  # the real and the imaginary parts


class Pairs:
    """Complex arithmetic on vectors."""

    def __init__(self, v: Lanes) -> None:
        self.v, self.fn, self.ints = v, v.fn, Ints(v.fn)

    def _two(self, word: str, a: Value, b: Value) -> Value:
        return self.fn.val(f"{word} {self.v.kind} {a}, {b}")

    def mul(self, a: Value, b: Value) -> Value:
        """The product of real vectors."""
        return self._two("fmul", a, b)

    def sub(self, a: Value, b: Value) -> Value:
        """The difference of real vectors."""
        return self._two("fsub", a, b)

    def neg(self, a: Value) -> Value:
        """The opposite of a real vector."""
        return self.fn.val(f"fneg {self.v.kind} {a}")

    def number(self, x: float) -> Value:
        """A number in all lanes."""
        return constant(self.v.dtype, self.v.lanes, x)

    def plus(self, a: Pair, b: Pair) -> Pair:
        return self.v.add(a[0], b[0]), self.v.add(a[1], b[1])

    def minus(self, a: Pair, b: Pair) -> Pair:
        return self.sub(a[0], b[0]), self.sub(a[1], b[1])

    def times(self, a: Pair, w: Pair) -> Pair:
        """a w, with two roundings for each part."""
        v = self.v
        real = v.fma(a[0], w[0], self.neg(self.mul(a[1], w[1])))
        return real, v.fma(a[0], w[1], self.mul(a[1], w[0]))

    def scaled(self, a: Pair, factor: Value) -> Pair:
        return self.mul(a[0], factor), self.mul(a[1], factor)

    # bundles: the real parts of a number, then its imaginary ones ---------------------------------

    def load(self, base: Value, number: Integer) -> Pair:
        """A number of a bundle."""
        place = self.place(base, number)
        return self.v.load(place), self.v.load(self.v.at(place, self.v.lanes))

    def store(self, pair: Pair, base: Value, number: Integer) -> None:
        place = self.place(base, number)
        self.v.store(pair[0], place)
        self.v.store(pair[1], self.v.at(place, self.v.lanes))

    def place(self, base: Value, number: Integer) -> Value:
        """Where a number of a bundle lies."""
        return self.v.at(base, self.ints.mul(number, 2 * self.v.lanes))

    def splat_at(self, place: Value) -> Pair:
        """A complex number of a table in all lanes."""
        return self.v.splat(self.v.scalar(place)), self.v.splat(self.v.scalar(self.v.at(place, 1)))

    # arrays: real and imaginary parts in turn -----------------------------------------------------

    def halves(self, live: Integer) -> list[Value]:
        """The masks of two vectors that hold the first ``live`` numbers."""
        twice = self.ints.mul(live, 2)
        return [self.v.first(twice), self.v.first(self.ints.sub(twice, self.v.lanes))]

    def numbers(self, place: Value, masks: Sequence[Value]) -> Pair:
        """As many numbers as lanes, those that the masks of two vectors let through."""
        n = self.v.lanes
        a, b = (self.v.load(self.v.at(place, k * n), m) for k, m in enumerate(masks))
        real, imag = (self.v.shuffle(a, b, [2 * k + part for k in range(n)]) for part in (0, 1))
        return real, imag

    def put_numbers(self, pair: Pair, place: Value, masks: Sequence[Value]) -> None:
        n = self.v.lanes
        for k, mask in enumerate(masks):
            picks = [k * n // 2 + j // 2 + j % 2 * n for j in range(n)]
            self.v.store(self.v.shuffle(*pair, picks), self.v.at(place, k * n), mask)
