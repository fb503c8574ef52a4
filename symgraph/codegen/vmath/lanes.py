"""Arithmetic on vectors of floats, in the words of a numerical analyst.

A `Lanes` writes into a FunctionWriter; every method returns the name of a value. Operands are value
names or Python numbers, which become literals.

Three kinds of arithmetic: "d" works in float64 for a float64 result; "f" in float32 for float32;
"m" in float64 for a float32 result, where the 29 spare bits make all corrections needless.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from symgraph.codegen.literals import (
    ELEMENTS,
    constant,
    constants,
    element_literal,
    lane_numbers,
    llvm_type,
    suffix,
    vector,
)
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value

Operand = Value | float | int
Pair = tuple[Value, Value]  # a double-double: an unevaluated sum, the second part the smaller


class Lanes:
    """Floats of one dtype and kind; `F` is their LLVM type, `I` that of integers as wide, `M` of
    masks."""

    def __init__(self, fn: FunctionWriter, module: ModuleWriter, kind: str, lanes: int) -> None:
        self.fn, self.module, self.kind, self.lanes = fn, module, kind, lanes
        self.dtype = "float32" if kind == "f" else "float64"
        self.integer = "int32" if kind == "f" else "int64"
        self.bits = ELEMENTS[self.dtype].bits
        self.mantissa = 23 if kind == "f" else 52
        self.bias = 127 if kind == "f" else 1023
        self.F, self.I = llvm_type(self.dtype, lanes), llvm_type(self.integer, lanes)
        self.M = vector("i1", lanes)
        # adding this leaves the rounded integer in the low bits; its own low two bits are 0
        self.magic = 1.5 * 2.0**self.mantissa
        self._rounded: dict[Value, Value] = {}  # integer lanes and the same as floats
        # whole registers of a processor that has the instructions for exponents
        self.avx512 = self.bits * lanes % 512 == 0 and "avx512dq" in module.features

    # operands -------------------------------------------------------------------------------------

    def c(self, x: Operand) -> Value:
        return x if isinstance(x, str) else constant(self.dtype, self.lanes, x)

    def i(self, k: Operand) -> Value:
        return k if isinstance(k, str) else constant(self.integer, self.lanes, k)

    def _two(self, word: str, a: Operand, b: Operand) -> Value:
        return self.fn.val(f"{word} {self.F} {self.c(a)}, {self.c(b)}")

    # float arithmetic -----------------------------------------------------------------------------

    def add(self, a: Operand, b: Operand) -> Value:
        return self._two("fadd", a, b)

    def sub(self, a: Operand, b: Operand) -> Value:
        return self._two("fsub", a, b)

    def mul(self, a: Operand, b: Operand) -> Value:
        return self._two("fmul", a, b)

    def div(self, a: Operand, b: Operand) -> Value:
        return self._two("fdiv", a, b)

    def neg(self, a: Operand) -> Value:
        return self.fn.val(f"fneg {self.F} {a}") if isinstance(a, str) else self.c(-a)

    def intrinsic(self, name: str, *args: Operand) -> Value:
        words = [(self.F, self.c(a)) for a in args]
        return self.fn.call(self.F, f"llvm.{name}.{suffix(self.dtype, self.lanes)}", words)

    def fma(self, a: Operand, b: Operand, c: Operand) -> Value:
        """a b + c, rounded once."""
        return self.intrinsic("fma", a, b, c)

    def nfma(self, a: Operand, b: Operand, c: Operand) -> Value:
        """c - a b, rounded once."""
        return self.fma(self.neg(a), b, c)

    def abs(self, a: Operand) -> Value:
        return self.intrinsic("fabs", a)

    def sqrt(self, a: Operand) -> Value:
        return self.intrinsic("sqrt", a)

    def trunc(self, a: Operand) -> Value:
        return self.intrinsic("trunc", a)

    def floor(self, a: Operand) -> Value:
        return self.intrinsic("floor", a)

    def rint(self, a: Operand) -> Value:
        return self.intrinsic("roundeven", a)

    def copysign(self, a: Operand, b: Operand) -> Value:
        return self.intrinsic("copysign", a, b)

    def poly(self, coefficients: tuple[float, ...], x: Value) -> Value:
        """A polynomial by Horner's rule in x^2, odd and even terms apart: half the latency."""
        if len(coefficients) < 4:
            return self._horner(coefficients, x)
        x2 = self.mul(x, x)
        odd, even = coefficients[1::2], coefficients[0::2]
        return self.fma(self._horner(odd, x2), x, self._horner(even, x2))

    def long_poly(self, coefficients: tuple[float, ...], x: Value) -> Value:
        """The same with four sums in x^4: a quarter of the latency, for long polynomials on whose
        value everything else waits."""
        x2 = self.mul(x, x)
        x4 = self.mul(x2, x2)
        sums = [self._horner(coefficients[k::4], x4) for k in range(4)]
        pairs = [self.fma(sums[k + 1], x, sums[k]) for k in (0, 2)]
        return self.fma(pairs[1], x2, pairs[0])

    def tree_poly(self, coefficients: tuple[float, ...], x: Value) -> Value:
        """The same in pairs of pairs (G. Estrin): as few steps one after another as can be, for a
        power of x more each time the number of coefficients doubles."""
        terms = [self.c(c) for c in coefficients]
        while True:
            pairs = [self.fma(terms[k + 1], x, terms[k]) for k in range(0, len(terms) - 1, 2)]
            terms = pairs + terms[2 * len(pairs) :]
            if len(terms) == 1:
                return terms[0]
            x = self.mul(x, x)

    def _horner(self, coefficients: tuple[float, ...], x: Value) -> Value:
        r = self.c(coefficients[-1])
        for k in reversed(coefficients[:-1]):
            r = self.fma(r, x, k)
        return r

    # comparing and choosing -----------------------------------------------------------------------

    def cmp(self, predicate: str, a: Operand, b: Operand) -> Value:
        return self._two(f"fcmp {predicate}", a, b)

    def sel(self, mask: Value, a: Operand, b: Operand) -> Value:
        return self.fn.val(f"select {self.M} {mask}, {self.F} {self.c(a)}, {self.F} {self.c(b)}")

    def both(self, a: Value, b: Value) -> Value:
        return self.fn.val(f"and {self.M} {a}, {b}")

    def either(self, a: Value, b: Value) -> Value:
        return self.fn.val(f"or {self.M} {a}, {b}")

    def invert(self, a: Value) -> Value:
        return self.fn.val(f"xor {self.M} {a}, {constant('bool', self.lanes, True)}")

    def clamp(self, x: Operand, low: float, high: float) -> Value:
        """Into [low, high]; NaN passes."""
        x = self.sel(self.cmp("olt", x, low), low, x)
        return self.sel(self.cmp("ogt", x, high), high, x)

    def any(self, mask: Value) -> Value:
        """An i1: does the mask hold in some lane?"""
        if self.lanes == 1:
            return mask
        return self.fn.call("i1", f"llvm.vector.reduce.or.v{self.lanes}i1", [(self.M, mask)])

    # bits -----------------------------------------------------------------------------------------

    def to_bits(self, a: Value) -> Value:
        return self.fn.val(f"bitcast {self.F} {a} to {self.I}")

    def from_bits(self, a: Value) -> Value:
        return self.fn.val(f"bitcast {self.I} {a} to {self.F}")

    def int_op(self, word: str, a: Operand, b: Operand) -> Value:
        return self.fn.val(f"{word} {self.I} {self.i(a)}, {self.i(b)}")

    def int_cmp(self, predicate: str, a: Operand, b: Operand) -> Value:
        return self.int_op(f"icmp {predicate}", a, b)

    def int_sel(self, mask: Value, a: Operand, b: Operand) -> Value:
        return self.fn.val(f"select {self.M} {mask}, {self.I} {self.i(a)}, {self.I} {self.i(b)}")

    def int_min(self, a: Operand, b: Operand) -> Value:
        return self.int_sel(self.int_cmp("slt", a, b), a, b)

    def int_max(self, a: Value, b: Operand) -> Value:
        return self.int_sel(self.int_cmp("sgt", a, b), a, b)

    def to_float(self, a: Value) -> Value:
        """Integer lanes as floats: those that `round_scaled` rounded are at hand."""
        return self._rounded.get(a) or self.fn.val(f"sitofp {self.I} {a} to {self.F}")

    def pow2(self, n: Value) -> Value:
        """2^n for integers n in the range of normal numbers."""
        return self.from_bits(self.int_op("shl", self.int_op("add", n, self.bias), self.mantissa))

    def scale(self, v: Value, n: Value) -> Value:
        """v 2^n. Two steps, the first exact, so that results may be subnormal or overflow; in kind
        "m" both are out of reach."""
        if self.avx512:  # one instruction instead of seven, the same result
            return self.x86("mask.scalef", "FFF", v, self.to_float(n), v)
        if self.kind == "m":
            return self.mul(v, self.pow2(n))
        half = self.int_op("ashr", n, 1)
        return self.mul(self.mul(v, self.pow2(half)), self.pow2(self.int_op("sub", n, half)))

    def x86(self, name: str, kinds: str, *args: Value) -> Value:
        """An intrinsic of AVX-512, register by register: `kinds` says which arguments are floats,
        integers (F, I) or numbers of the instruction (N). All lanes are written, rounded to
        nearest."""
        one, found = Lanes(self.fn, self.module, self.kind, 512 // self.bits), []
        types = {"F": one.F, "I": one.I, "N": "i32"}
        for at in range(0, self.lanes, one.lanes):
            words = [(types[k], self._register(k, a, at)) for k, a in zip(kinds, args, strict=True)]
            if name.startswith("mask."):
                words += [(f"i{one.lanes}", "-1"), ("i32", "4")]
            letter = "s" if self.kind == "f" else "d"
            found.append(self.fn.call(one.F, f"llvm.x86.avx512.{name}.p{letter}.512", words))
        width = one.lanes
        while len(found) > 1:
            type_ = llvm_type(self.dtype, width)
            order = f"<{2 * width} x i32> {lane_numbers(2 * width, 'int32')}"
            found = [
                self.fn.val(f"shufflevector {type_} {found[k]}, {type_} {found[k + 1]}, {order}")
                for k in range(0, len(found), 2)
            ]
            width *= 2
        return found[0]

    def _register(self, kind: str, a: Value, at: int) -> Value:
        """The 512 bits of a value from a lane on; literals stay."""
        if not a.startswith("%") or self.bits * self.lanes == 512:
            return a
        type_ = self.I if kind == "I" else self.F
        places = lane_numbers(self.lanes, "int32")[1:-1].split(", ")[at : at + 512 // self.bits]
        order = f"<{len(places)} x i32> <{', '.join(places)}>"
        return self.fn.val(f"shufflevector {type_} {a}, {type_} poison, {order}")

    def lookup(self, values: tuple[float, ...], index: Value) -> Value:
        """One of 16 doubles by the low four bits of integer lanes."""
        if self.avx512:
            low, high = (constants(self.dtype, values[k : k + 8]) for k in (0, 8))
            return self.x86("vpermi2var", "FIF", low, index, high)
        words = ", ".join(f"double {element_literal(self.dtype, v)}" for v in values)
        table = self.module.constant(f"[{len(values)} x double]", f"[{words}]")
        place = self.int_op("and", index, len(values) - 1)
        if self.lanes == 1 or "avx2" not in self.module.features:  # GPUs gather nothing either
            return self._each(place, lambda one: self._loaded(table, one))
        at = self.fn.val(f"getelementptr double, ptr {table}, {self.I} {place}")
        name = f"llvm.masked.gather.{suffix(self.dtype, self.lanes)}.v{self.lanes}p0"
        flags = constant("bool", self.lanes, True)
        given = [(vector("ptr", self.lanes), at), ("i32", "8"), (self.M, flags), (self.F, "poison")]
        return self.fn.call(self.F, name, given)

    def _loaded(self, table: Value, place: Value) -> Value:
        at = self.fn.val(f"getelementptr double, ptr {table}, i64 {place}")
        return self.fn.val(f"load double, ptr {at}, align 8")

    def _each(self, a: Value, work: Callable[[Value], Value]) -> Value:
        """A function of single elements, of integer lanes one by one."""
        if self.lanes == 1:
            return work(a)
        found = "poison"
        for k in range(self.lanes):
            one = work(self.fn.val(f"extractelement {self.I} {a}, i32 {k}"))
            element = llvm_type(self.dtype)
            found = self.fn.val(f"insertelement {self.F} {found}, {element} {one}, i32 {k}")
        return found

    def round_scaled(self, x: Value, factor: float) -> tuple[Value, Value]:
        """The integer nearest to x factor, as a float and as integer lanes. No conversion is
        needed: after adding `magic` the integer stands in the low bits."""
        t = self.fma(x, factor, self.magic)
        n = self.sub(t, self.magic)
        count = self.int_op("sub", self.to_bits(t), self._magic_bits())
        self._rounded[count] = n
        return n, count

    def _magic_bits(self) -> int:
        form = ("<f", "<i") if self.kind == "f" else ("<d", "<q")
        number: int = struct.unpack(form[1], struct.pack(form[0], self.magic))[0]
        return number

    # double-double (Dekker, Knuth) ----------------------------------------------------------------

    def two_sum(self, a: Operand, b: Operand) -> Pair:
        """a + b exactly."""
        s = self.add(a, b)
        bb = self.sub(s, a)
        return s, self.add(self.sub(a, self.sub(s, bb)), self.sub(b, bb))

    def fast_two_sum(self, a: Operand, b: Operand) -> Pair:
        """a + b exactly, where |a| >= |b| or a = 0."""
        s = self.add(a, b)
        return s, self.sub(b, self.sub(s, a))

    def two_product(self, a: Operand, b: Operand) -> Pair:
        """a b exactly (but for underflow)."""
        p = self.mul(a, b)
        return p, self.fma(a, b, self.neg(p))

    def ratio(self, n: Pair, d: Pair) -> Pair:
        """n / d to nearly twice the precision, by one division; both must be normalised."""
        inverse = self.div(1.0, d[0])
        q = self.mul(n[0], inverse)
        rest = self.add(self.nfma(q, d[0], n[0]), self.nfma(q, d[1], n[1]))
        return q, self.mul(rest, inverse)

    def total(self, pair: Pair) -> Value:
        return self.add(*pair)
