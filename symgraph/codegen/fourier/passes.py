"""The passes of a transform of bundles: as many sequences as lanes, number by number.

A pass of radix r takes numbers j, j + n/r, j + 2n/r ... together and writes what it makes of them
where the next pass finds it (Stockham's order, in which no digits are to be reversed): with s, the
product of the radices before, and m r s = n

    y[q + s (r p + i)] = w^(p i) sum over k of x[q + s (p + m k)] exp(-2 pi i k / r)

for p < m, q < s, i < r, where w = exp(-2 pi i / (m r)). Sources: Cochran et al., "What is the fast
Fourier transform?" (1967); Swarztrauber, "FFT algorithms for vector computers" (1984).

A pass is a part (`parts.py`). Its name says its radix, which is 0
for primes that are not written out, and both ends: `b` a bundle, `c` an array of complex numbers
in which the lanes lie beside each other, `i` the same with real and imaginary parts exchanged. An
array is the source of a first pass (s = 1), the target of a last one (m = 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgraph.codegen.fourier.butterflies import transform
from symgraph.codegen.fourier.pairs import Pair, Pairs
from symgraph.codegen.fourier.record import ENDS, PASS, PASS_AT, PLAN, PRIMES
from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value

PARAMS = [("ptr", "x", ""), ("ptr", "y", ""), ("ptr", "step", ""), ("ptr", "ends", "")]


def write_pass(fn: FunctionWriter, dtype: str, lanes: int, name: str) -> None:
    """Write the pass of that name, a function of PARAMS: bundles, a PASS, and an ENDS where there
    are arrays."""
    radix, ends = name.split()
    found = _Pass(fn, dtype, lanes, *ends)
    found.write(int(radix)) if radix != "0" else found.of_prime()


class _Pass:
    def __init__(
        self, fn: FunctionWriter, dtype: str, lanes: int, source: str, target: str
    ) -> None:
        self.fn, self.ints, self.v = fn, Ints(fn), Lanes(fn, dtype, lanes)
        self.pairs, self.source, self.target = Pairs(self.v), source, target
        self.s, self.m, self.factors = (PASS.get(fn, "%step", w) for w in ("s", "m", "factors"))
        self.masks = {
            end: self.pairs.halves(ENDS.get(fn, "%ends", f"{end}_live"))
            for end, form in (("x", source), ("y", target))
            if form != "b"
        }
        if target != "b":
            place = fn.val(f"getelementptr i8, ptr %ends, i64 {ENDS.offset('scale')}")
            self.scale = self.v.splat(self.v.scalar(place))

    # ends -----------------------------------------------------------------------------------------

    def row(self, end: str, number: Integer) -> Value:
        """Where the lanes' numbers lie in an array."""
        step = ENDS.get(self.fn, "%ends", f"{end}_step")
        base = ENDS.get(self.fn, "%ends", f"{end}")
        return self.fn.val(f"getelementptr i8, ptr {base}, i64 {self.ints.mul(number, step)}")

    def load(self, number: Integer) -> Pair:
        if self.source == "b":
            return self.pairs.load("%x", number)
        real, imag = self.pairs.numbers(self.row("x", number), self.masks["x"])
        return (imag, real) if self.source == "i" else (real, imag)

    def store(self, pair: Pair, number: Integer) -> None:
        if self.target == "b":
            self.pairs.store(pair, "%y", number)
            return
        real, imag = self.pairs.scaled(pair, self.scale)
        made = (imag, real) if self.target == "i" else (real, imag)
        self.pairs.put_numbers(made, self.row("y", number), self.masks["y"])

    # passes ---------------------------------------------------------------------------------------

    def write(self, radix: int) -> None:
        """The pass with its radix known."""
        ints, pairs = self.ints, self.pairs
        apart = ints.mul(self.m, self.s)  # between the numbers that are taken together

        def each(p: Value, factors: Sequence[Pair]) -> None:
            begin, end = ints.mul(p, self.s), ints.mul(ints.mul(p, radix), self.s)

            def one(q: Value) -> None:
                here = ints.add(begin, q)
                x = [self.load(ints.add(here, ints.mul(apart, k))) for k in range(radix)]
                for i, number in enumerate(transform(pairs, x)):
                    if i and factors:
                        number = pairs.times(number, factors[i - 1])
                    self.store(number, ints.add(ints.add(end, q), ints.mul(self.s, i)))

            self._all(one)

        def place(p: Value, k: int) -> Value:
            return self.v.at(self.factors, ints.add(ints.mul(p, 2 * (radix - 1)), 2 * k))

        each("0", ())
        if self.target == "b":
            self._others(lambda p: each(p, [pairs.splat_at(place(p, k)) for k in range(radix - 1)]))

    def _all(self, one: Callable[[Value], None]) -> None:
        """For all q: of a first pass there is one."""
        if self.source != "b":
            one("0")
            return

        def turn(q: Value, _: list[Value]) -> list[Value]:
            one(q)
            return []

        self.fn.loop("0", self.s, 1, [], turn)

    def _others(self, each: Callable[[Value], None]) -> None:
        """What is done for all p but the first, whose factors are 1; there are none in a last
        pass."""

        def one(p: Value, _: list[Value]) -> list[Value]:
            each(p)
            return []

        self.fn.loop("1", self.m, 1, [], one)

    def of_prime(self) -> None:
        """The pass of a radix that a register holds: an odd prime, up to the largest of PRIMES."""
        fn, ints, v, pairs = self.fn, self.ints, self.v, self.pairs
        held = fn.slot(
            v.kind, 4 * (PRIMES[-1] // 2 + 1)
        )  # sums, differences of numbers k and r - k
        radix, table = PASS.get(fn, "%step", "radix"), PASS.get(fn, "%step", "table")
        apart, half = ints.mul(self.m, self.s), ints.div(radix, 2)
        count = ints.add(half, 1)

        def together(here: Integer) -> Pair:
            """Sums and differences are held; the sum of all is told."""
            first = self.load(here)

            def one(k: Value, sums: list[Value]) -> list[Value]:
                a = self.load(ints.add(here, ints.mul(apart, k)))
                b = self.load(ints.add(here, ints.mul(apart, ints.sub(radix, k))))
                at, plus = pairs.place(held, ints.mul(k, 2)), pairs.plus(a, b)
                pairs.store(plus, at, 0)
                pairs.store(pairs.minus(a, b), at, 1)
                return [*pairs.plus((sums[0], sums[1]), plus)]

            pairs.store(first, held, 0)
            real, imag = fn.loop("1", count, 1, [(v.kind, x) for x in first], one)
            return real, imag

        def waves(i: Value) -> tuple[Pair, Pair]:
            """The parts of number i with cosines and those with sines."""

            def more(k: Value, c: list[Value]) -> list[Value]:
                number = ints.add(ints.mul(ints.sub(i, 1), half), ints.sub(k, 1))
                cosine, sine = pairs.splat_at(v.at(table, ints.mul(number, 2)))
                at = pairs.place(held, ints.mul(k, 2))
                plus, minus = pairs.load(at, 0), pairs.load(at, 1)
                return [
                    v.fma(plus[0], cosine, c[0]), v.fma(plus[1], cosine, c[1]),
                    v.fma(minus[0], sine, c[2]), v.fma(minus[1], sine, c[3]),
                ]  # fmt: skip

            start = [*pairs.load(held, 0), *["zeroinitializer"] * 2]
            c0, c1, s0, s1 = fn.loop("1", count, 1, [(v.kind, x) for x in start], more)
            return (c0, c1), (s0, s1)

        def each(p: Value) -> None:
            begin, end = ints.mul(p, self.s), ints.mul(ints.mul(p, radix), self.s)
            row = v.at(self.factors, ints.mul(ints.mul(p, ints.sub(radix, 1)), 2))

            def put(number: Pair, q: Value, i: Integer) -> None:
                if p != "0":
                    factor = v.at(row, ints.mul(ints.sub(i, 1), 2))
                    number = pairs.times(number, pairs.splat_at(factor))
                self.store(number, ints.add(ints.add(end, q), ints.mul(self.s, i)))

            def one(q: Value) -> None:
                self.store(together(ints.add(begin, q)), ints.add(end, q))

                def two(i: Value, _: list[Value]) -> list[Value]:
                    (c0, c1), (s0, s1) = waves(i)
                    put((v.add(c0, s1), pairs.sub(c1, s0)), q, i)
                    put((pairs.sub(c0, s1), v.add(c1, s0)), q, ints.sub(radix, i))
                    return []

                fn.loop("1", count, 1, [], two)

            self._all(one)

        each("0")
        if self.target == "b":
            self._others(each)


def write_sequence(module: ModuleWriter) -> None:
    """Write ``sequence(plan, x, y, z, ends) -> ptr``, the transform of a bundle at x by way of y
    and z, which tells where it lies; z may be x."""
    params = [("ptr", w, "") for w in ("plan", "x", "y", "z", "ends")]
    fn = module.function("sequence", params, "ptr", "internal", "noinline nounwind")
    ints = Ints(fn)

    def one(k: Value, places: list[Value]) -> list[Value]:
        source, target, other = places
        step = fn.val(f"getelementptr i8, ptr %plan, i64 {ints.mul(k, 8 * len(PASS.names))}")
        step = fn.val(f"getelementptr i8, ptr {step}, i64 {PASS_AT}")
        words = f"ptr {source}, ptr {target}, ptr {step}, ptr %ends"
        fn.raw(f"call void {PASS.get(fn, step, 'code')}({words})")
        return [target, other, target]

    start = [("ptr", "%x"), ("ptr", "%y"), ("ptr", "%z")]
    last, *_ = fn.loop("0", PLAN.get(fn, "%plan", "count"), 1, start, one)
    fn.ret("ptr", last)
