"""Real sequences of even length, transformed as complex ones of half the length.

With z[j] = x[2j] + i x[2j+1] and Z its transform, h = n / 2 and w = exp(-2 pi i / n)

    E[k] = (Z[k] + conj Z[h-k]) / 2,  O[k] = (Z[k] - conj Z[h-k]) / 2i,  X[k] = E[k] + w^k O[k]

where k and h - k are done together, as E and O of one are conjugate to those of the other
(Sorensen et al., "Real-valued fast Fourier transform algorithms", 1987). Of odd length the numbers
become complex ones, and the way back begins with the other half of them.
"""

from __future__ import annotations

from symgraph.codegen.fourier.pairs import Pair, Pairs
from symgraph.codegen.fourier.record import REAL
from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.writer import FunctionWriter, Value

#: of the steps of rows, from x to z, which may be x; those of bundles are in place
PARAMS = [("ptr", "x", ""), ("ptr", "z", ""), ("i64", "h", ""), ("ptr", "plan", "")]
STEPS = ("after", "before", "after_row", "before_row", "real", "mirror")


def params_of(name: str) -> list[tuple[str, str, str]]:
    """The parameters of a step: ``h`` numbers, and a REAL."""
    return PARAMS if name.endswith("row") else PARAMS[1:]


def write_step(fn: FunctionWriter, dtype: str, lanes: int, name: str) -> None:
    """Write one of STEPS: after the transform and before the one back, of bundles or of rows; of
    bundles of odd length, the imaginary parts cleared, and the other half of the numbers. Before
    they are transformed back, bundles have their real and imaginary parts exchanged."""
    if name.endswith("row"):
        _Row(fn, dtype, lanes).write(name == "after_row")
    elif name in ("real", "mirror"):
        getattr(_Bundle(fn, dtype, lanes), name)()
    else:
        _Bundle(fn, dtype, lanes).write(name == "after")


class _Step:
    def __init__(self, fn: FunctionWriter, dtype: str, lanes: int) -> None:
        self.fn, self.ints, self.v = fn, Ints(fn), Lanes(fn, dtype, lanes)
        self.pairs, self.lanes = Pairs(self.v), lanes

    def both(self, pairs: Pairs, a: Pair, b: Pair, w: Pair, forwards: bool) -> tuple[Pair, Pair]:
        """Numbers k and h - k after the step, of those before it."""
        mirrored = b[0], pairs.neg(b[1])
        plus, minus = pairs.plus(a, mirrored), pairs.minus(a, mirrored)
        if forwards:  # O = minus / 2i
            half = pairs.number(0.5)
            e = pairs.scaled(plus, half)
            turned = pairs.scaled(pairs.times((minus[1], pairs.neg(minus[0])), w), half)
        else:  # i O, twice
            e = plus
            o = pairs.times(minus, (w[0], pairs.neg(w[1])))
            turned = pairs.neg(o[1]), o[0]
        one, other = pairs.plus(e, turned), pairs.minus(e, turned)
        return one, (other[0], pairs.neg(other[1]))


class _Bundle(_Step):
    def write(self, forwards: bool) -> None:
        fn, ints, pairs = self.fn, self.ints, self.pairs
        table = REAL.get(fn, "%plan", "near")
        if not forwards:  # of the first and the last number only the real parts count
            for number in ("0", "%h"):
                place = self.v.at(pairs.place("%z", number), self.lanes)
                self.v.store("zeroinitializer", place)

        def one(k: Value, _: list[Value]) -> list[Value]:
            other = ints.sub("%h", k)
            there = ints.pick(ints.is_("eq", k, 0), "0", other) if forwards else other
            a, b = pairs.load("%z", k), pairs.load("%z", there)
            w = pairs.splat_at(self.v.at(table, ints.mul(k, 2)))
            x, y = self.both(pairs, a, b, w, forwards)
            for number, place in ((x, k), (y, other)):
                pairs.store(number if forwards else number[::-1], "%z", place)
            return []

        fn.loop("0", ints.add(ints.div("%h", 2), 1), 1, [], one)

    def mirror(self) -> None:
        fn, ints, pairs = self.fn, self.ints, self.pairs
        first = pairs.load("%z", 0)
        pairs.store(("zeroinitializer", first[0]), "%z", 0)

        def one(k: Value, _: list[Value]) -> list[Value]:
            a = pairs.load("%z", k)
            pairs.store((a[1], a[0]), "%z", k)
            pairs.store((pairs.neg(a[1]), a[0]), "%z", ints.sub("%h", k))
            return []

        fn.loop("1", ints.add(ints.div("%h", 2), 1), 1, [], one)

    def real(self) -> None:
        def one(k: Value, _: list[Value]) -> list[Value]:
            self.v.store("zeroinitializer", self.v.at(self.pairs.place("%z", k), self.lanes))
            return []

        self.fn.loop("0", "%h", 1, [], one)


class _Row(_Step):
    """Numbers as arrays have them, real and imaginary parts in turn."""

    def write(self, forwards: bool) -> None:
        fn, ints = self.fn, self.ints
        near, groups = REAL.get(fn, "%plan", "near"), REAL.get(fn, "%plan", "groups")
        self._first(forwards)
        # as many from k on as lanes, and as many up to h - k: in the middle they meet
        n, half = self.lanes, ints.div("%h", 2)

        def block(k: Value, _: list[Value]) -> list[Value]:
            live = ints.min(ints.add(ints.sub(half, k), 1), n)
            twice, low = ints.mul(live, 2), self.pairs.halves(live)
            high = [self._not(self.v.first(ints.sub(x, twice))) for x in (2 * n, n)]
            numbers = k, ints.sub(ints.sub("%h", k), n - 1)
            group = self.v.at(groups, ints.mul(ints.div(ints.sub(k, 1), n), 2))
            w = self.pairs.times(self._table(near), self.pairs.splat_at(group))
            a, b = (self.pairs.numbers(self.at(number, "%x"), masks)
                    for number, masks in zip(numbers, (low, high), strict=True))  # fmt: skip
            x, y = self.both(self.pairs, a, self._reversed(b), w, forwards)
            self.pairs.put_numbers(x, self.at(numbers[0]), low)
            self.pairs.put_numbers(self._reversed(y), self.at(numbers[1]), high)
            return []

        fn.loop("1", ints.add(half, 1), n, [], block)

    def _first(self, forwards: bool) -> None:
        """Numbers 0 and h, which are real: sum and difference of the two parts of number 0, which
        is where they come from."""
        v = Lanes(self.fn, self.v.dtype, 1)
        alone = Pairs(v)
        first, last, *given = (self.at(k, base) for base in ("%z", "%x") for k in ("0", "%h"))
        if forwards:
            a, b, rest = v.scalar(given[0]), v.scalar(v.at(given[0], 1)), alone.number(0.0)
            stores = [(v.add(a, b), first), (alone.sub(a, b), last), (rest, v.at(first, 1)),
                      (rest, v.at(last, 1))]  # fmt: skip
        else:
            a, b = map(v.scalar, given)
            stores = [(v.add(a, b), first), (alone.sub(a, b), v.at(first, 1))]
        for value, place in stores:
            v.store(value, place)

    def at(self, k: Integer, base: str = "%z") -> Value:
        return self.v.at(base, self.ints.mul(k, 2))

    def _not(self, mask: Value) -> Value:
        return self.fn.val(f"xor {self.v.flags} {mask}, splat (i1 true)")

    def _reversed(self, pair: Pair) -> Pair:
        order = [*range(self.lanes)][::-1]
        return self.v.shuffle(pair[0], pair[0], order), self.v.shuffle(pair[1], pair[1], order)

    def _table(self, near: Value) -> Pair:
        """The factors of the first numbers from 1 on."""
        return self.v.load(near), self.v.load(self.v.at(near, self.lanes))
