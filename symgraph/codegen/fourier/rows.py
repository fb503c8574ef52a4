"""The transform of one long sequence: as a matrix, or by a convolution.

A sequence of n = h w numbers is a matrix of h rows: its columns are transformed, in bundles of as
many as lanes; number (k, j) is turned by exp(-2 pi i j k / n); then the rows are, in bundles too,
and number (k, l) is number k + h l of the result. The matrix between lies so that both ends are
vectors beside each other (Bailey, "FFTs in external or hierarchical memory", 1990).

Where n has a prime factor that is too large, j k = (j^2 + k^2 - (k - j)^2) / 2 makes it a
convolution with exp(pi i j^2 / n), which is done by transforms of a longer, smooth length
(Bluestein, "A linear filtering approach to the computation of discrete Fourier transform", 1970).
"""

from __future__ import annotations

from symgraph.codegen.fourier.pairs import Pair, Pairs
from symgraph.codegen.fourier.record import ENDS, LONG
from symgraph.codegen.gemm.lanes import Ints, Lanes, turn
from symgraph.codegen.literals import llvm_type
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value

PLACES = [("ptr", "plan", ""), ("ptr", "x", ""), ("ptr", "room", "")]


def write_rows(module: ModuleWriter, dtype: str, lanes: int) -> None:
    """Write ``row(plan, x, y, room, turn, scale)``: y is the transform of x, of complex numbers
    beside each other, and may be x. And its halves for several threads: ``columns(plan, x, room,
    turned, j)`` and ``lines(plan, y, room, turned, j, scale)``, which do bundle j."""
    kind = llvm_type(dtype)
    more = [("ptr", "turned", ""), ("i64", "j", "")]
    columns = module.function("columns", [*PLACES, *more], "void", "internal", "noinline nounwind")
    _Half(columns, dtype, lanes).columns()
    lines = [("ptr", "plan", ""), ("ptr", "y", ""), ("ptr", "room", ""), *more, (kind, "scale", "")]
    fn = module.function("lines", lines, "void", "internal", "noinline nounwind")
    _Half(fn, dtype, lanes).lines()
    params = [*PLACES[:2], ("ptr", "y", ""), PLACES[2], ("i64", "turn", ""), (kind, "scale", "")]
    fn = module.function("row", params, "void", "internal", "noinline nounwind")
    _row(fn, dtype, lanes)


def params_of(dtype: str, name: str) -> list[tuple[str, str, str]]:
    """The parameters of a part."""
    if name == "product":
        numbers = [("i64", w, "") for w in ("count", "before", "after")]
        return [*(("ptr", w, "") for w in ("x", "table", "y")), *numbers,
                (llvm_type(dtype), "scale", "")]  # fmt: skip
    return [*(("ptr", w, "") for w in ("plan", "done", "turned")), ("i64", "j", "")]


def write_part(fn: FunctionWriter, dtype: str, lanes: int, name: str) -> None:
    """Write ``turned`` or ``turned_whole``, which bring transformed columns to the matrix, or
    ``product``: y = x table scale, real and imaginary parts exchanged before or after."""
    if name == "product":
        _product(fn, dtype, lanes)
    else:
        _Turned(fn, dtype, lanes, name == "turned_whole").write()


class _Half:
    def __init__(self, fn: FunctionWriter, dtype: str, lanes: int) -> None:
        self.fn, self.ints, self.v = fn, Ints(fn), Lanes(fn, dtype, lanes)
        self.pairs, self.lanes = Pairs(self.v), lanes
        self.high, self.wide = (LONG.get(fn, "%plan", w) for w in ("high", "wide"))
        self.padded = self.ints.up(self.wide, lanes)
        ints = self.ints
        longer = ints.max(ints.up(self.high, lanes), self.padded)
        self.ends = ENDS.slot(fn)
        self.other = self.v.at("%room", ints.mul(longer, 2 * lanes))

    def columns(self) -> None:
        fn, ints, n = self.fn, self.ints, self.lanes
        first = ints.mul("%j", n)
        live = ints.min(ints.sub(self.wide, first), n)
        source = self.v.at("%x", ints.mul(first, 2))
        step = ints.mul(self.wide, 2 * self.v.size)
        ENDS.put(fn, self.ends, x=source, x_step=step, x_live=live)
        plan = LONG.get(fn, "%plan", "of_columns")
        words = f"ptr {plan}, ptr %room, ptr {self.other}, ptr %room, ptr {self.ends}"
        done = fn.fresh(f"call ptr @sequence({words})")
        words = f"ptr %plan, ptr {done}, ptr %turned, i64 %j"
        fn.raw(f"call void {LONG.get(fn, '%plan', 'code')}({words})")

    def lines(self) -> None:
        fn, ints, n = self.fn, self.ints, self.lanes
        first = ints.mul("%j", n)
        live = ints.min(ints.sub(self.high, first), n)
        source = self.pairs.place("%turned", ints.mul("%j", self.padded))
        plan = LONG.get(fn, "%plan", "of_rows")
        target = self.v.at("%y", ints.mul(first, 2))
        step = ints.mul(self.high, 2 * self.v.size)
        ENDS.put(fn, self.ends, y=target, y_step=step, y_live=live)
        put_scale(fn, self.ends, f"{self.v.element} %scale")
        words = f"ptr {plan}, ptr {source}, ptr %room, ptr {self.other}, ptr {self.ends}"
        fn.raw(f"call ptr @sequence({words})")


class _Turned:
    """``whole``: the factors of all bundles are in a table, else those of the first one."""

    def __init__(self, fn: FunctionWriter, dtype: str, lanes: int, whole: bool) -> None:
        self.fn, self.ints, self.v = fn, Ints(fn), Lanes(fn, dtype, lanes)
        self.pairs, self.lanes, self.whole = Pairs(self.v), lanes, whole

    def write(self) -> None:
        fn, ints, n = self.fn, self.ints, self.lanes
        high, wide = (LONG.get(fn, "%plan", w) for w in ("high", "wide"))
        first, padded, last = ints.mul("%j", n), ints.up(wide, n), ints.sub(high, 1)
        near, length = LONG.get(fn, "%plan", "near"), LONG.get(fn, "%plan", "length")
        if self.whole:
            near = self.pairs.place(near, ints.mul("%j", high))

        def block(k: Value, carried: list[Value]) -> list[Value]:
            exponents = list(carried)
            rows: list[Pair] = []
            for i in range(n):
                number = ints.min(ints.add(k, i), last)  # what is behind is not to be computed with
                w = self.pairs.load(near, number)
                if not self.whole:
                    w = self.pairs.times(w, self._coarse(exponents[0]))
                    more = ints.add(exponents[0], first)
                    less = ints.sub(more, length)
                    exponents = [str(ints.pick(ints.is_("sge", less, 0), less, more))]
                rows.append(self.pairs.times(self.pairs.load("%done", number), w))
            group = ints.mul(ints.div(k, n), padded)
            parts = [turn(self.v, [r[part] for r in rows]) for part in (0, 1)]
            for lane, pair in enumerate(zip(*parts, strict=True)):
                self.pairs.store(pair, "%turned", ints.add(ints.add(group, first), lane))
            return exponents

        fn.loop("0", high, n, [] if self.whole else [("i64", "0")], block)

    def _coarse(self, exponent: Value) -> Pair:
        """exp(-2 pi i exponent / n) in all lanes, as a product of two numbers of tables."""
        fn, ints = self.fn, self.ints
        v = Lanes(fn, self.v.dtype, 1)
        shift = LONG.get(fn, "%plan", "shift")
        upper = fn.val(f"lshr i64 {exponent}, {shift}")
        lower = ints.sub(exponent, fn.val(f"shl i64 {upper}, {shift}"))
        found = []
        for table, number in (("coarse", upper), ("fine", lower)):
            place = v.at(LONG.get(fn, "%plan", table), ints.mul(number, 2))
            found.append((v.scalar(place), v.scalar(v.at(place, 1))))
        real, imag = Pairs(v).times(*found)
        return self.v.splat(real), self.v.splat(imag)


def put_scale(fn: FunctionWriter, ends: Value, scale: str) -> None:
    """Note the scale, a typed value."""
    place = fn.val(f"getelementptr i8, ptr {ends}, i64 {ENDS.offset('scale')}")
    fn.raw(f"store {scale}, ptr {place}")


def _product(fn: FunctionWriter, dtype: str, lanes: int) -> None:
    ints, v = Ints(fn), Lanes(fn, dtype, lanes)
    pairs = Pairs(v)
    flags = [ints.is_("ne", w, 0) for w in ("%before", "%after")]

    def exchanged(pair: Pair, flag: Value) -> Pair:
        a, b = (
            fn.val(f"select i1 {flag}, {v.kind} {pair[k]}, {v.kind} {pair[1 - k]}") for k in (1, 0)
        )
        return a, b

    def one(first: Value, _: list[Value]) -> list[Value]:
        masks = pairs.halves(ints.sub("%count", first))
        x, table, y = (v.at(base, ints.mul(first, 2)) for base in ("%x", "%table", "%y"))
        given = exchanged(pairs.numbers(x, masks), flags[0])
        made = pairs.times(given, pairs.numbers(table, masks))
        made = exchanged(pairs.scaled(made, v.splat("%scale")), flags[1])
        pairs.put_numbers(made, y, masks)
        return []

    fn.loop("0", "%count", lanes, [], one)


def _row(fn: FunctionWriter, dtype: str, lanes: int) -> None:
    ints, v = Ints(fn), Lanes(fn, dtype, lanes)
    one = f"{v.element} {Pairs(Lanes(fn, dtype, 1)).number(1.0)}"
    turned = fn.val(f"getelementptr i8, ptr %room, i64 {LONG.get(fn, '%plan', 'turned_at')}")
    length, folded = (LONG.get(fn, "%plan", w) for w in ("length", "folded"))

    def matrix() -> None:
        high, wide = (LONG.get(fn, "%plan", w) for w in ("high", "wide"))

        def columns(j: Value, _: list[Value]) -> list[Value]:
            fn.raw(f"call void @columns(ptr %plan, ptr %x, ptr %room, ptr {turned}, i64 {j})")
            return []

        def lines(j: Value, _: list[Value]) -> list[Value]:
            fn.raw(f"call void @lines(ptr %plan, ptr %y, ptr %room, ptr {turned}, i64 {j},"
                   f" {v.element} %scale)")  # fmt: skip
            return []

        fn.loop("0", ints.ceil(wide, lanes), 1, [], columns)
        fn.loop("0", ints.ceil(high, lanes), 1, [], lines)

    def convolution() -> None:
        code, chirp, filter_ = (LONG.get(fn, "%plan", w) for w in ("code", "chirp", "filter"))
        other = v.at(turned, ints.mul(folded, 2))

        def product(x: Value, table: Value, y: Value, *words: str) -> None:
            before, after, scale, count = words
            numbers = f"i64 {count}, i64 {before}, i64 {after}, {scale}"
            fn.raw(f"call void {code}(ptr {x}, ptr {table}, ptr {y}, {numbers})")

        def inwards(x: Value, y: Value, plan: str) -> None:
            inner = LONG.get(fn, "%plan", plan)
            fn.raw(f"call void @row(ptr {inner}, ptr {x}, ptr {y}, ptr %room, i64 0, {one})")

        product("%x", chirp, turned, "%turn", "0", one, length)
        rest = v.at(turned, ints.mul(length, 2))
        size = ints.mul(ints.sub(folded, length), 2 * v.size)
        fn.declare("void", "llvm.memset.p0.i64", ["ptr", "i8", "i64", "i1"])
        fn.raw(f"call void @llvm.memset.p0.i64(ptr {rest}, i8 0, i64 {size}, i1 false)")
        inwards(turned, other, "inner")
        product(other, filter_, other, "0", "0", one, folded)
        inwards(other, turned, "inner_back")
        product(turned, chirp, "%y", "0", "%turn", f"{v.element} %scale", length)

    whole = LONG.get(fn, "%plan", "whole")

    def at_once() -> None:
        words = f"ptr %plan, ptr %x, ptr %y, ptr {turned}, {v.element} %scale"
        fn.raw(f"call void {whole}({words})")

    def apart() -> None:
        fn.if_(ints.is_("eq", folded, 0), matrix, convolution)

    fn.if_(fn.val(f"icmp ne ptr {whole}, null"), at_once, apart)
