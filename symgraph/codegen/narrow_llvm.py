"""float16 and bfloat16 between memory and registers: conversions to and from float32 and float64.

A narrow float is an i16 everywhere in the code that is written; it becomes a float before anything
is computed (loops/narrow.py sees to that). Rounding is to the nearest, ties to even, overflow gives
infinity, subnormal numbers are kept, a NaN stays a NaN.

bfloat16 is the upper half of a float32. float16 goes through the machine's instruction where there
is one (F16C, ARMv8) and through integers elsewhere, since LLVM would call a function of a library
that is not there. Sequences for integers: F. Giesen, "float->half variants" (public domain).
"""

from __future__ import annotations

from symgraph.codegen.literals import constant, llvm_type, suffix, vector
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value


def widened(
    fn: FunctionWriter, module: ModuleWriter, value: Value, dtype: str, lanes: int
) -> Value:
    """The float32 equal to a narrow float given by its bits.

    >>> fn = FunctionWriter("f", [("i16", "x", "")])
    >>> _ = widened(fn, ModuleWriter(), "%x", "bfloat16", 1)
    >>> print(fn.text(), end="")
    define void @f(i16 %x) {
    entry:
      %v1 = zext i16 %x to i32
      %v2 = shl i32 %v1, 16
      %v3 = bitcast i32 %v2 to float
      ret void
    }
    """
    return _Conversion(fn, module, lanes).widened(value, dtype)


def rounded(
    fn: FunctionWriter, module: ModuleWriter, value: Value, source: str, dtype: str, lanes: int
) -> Value:
    """The bits of the narrow float nearest to a float32 or float64.

    bfloat16 rounds a float64 to float32 first, as ml_dtypes and XLA do; float16 rounds once, as
    NumPy does.
    """
    return _Conversion(fn, module, lanes).rounded(value, source, dtype)


class _Conversion:
    def __init__(self, fn: FunctionWriter, module: ModuleWriter, lanes: int) -> None:
        self.fn, self.lanes = fn, lanes
        self.native = not module.features.isdisjoint(("f16c", "neon"))
        self.i16, self.i32 = vector("i16", lanes), vector("i32", lanes)
        self.float, self.half = vector("float", lanes), vector("half", lanes)

    # words ----------------------------------------------------------------------------------------

    def c(self, value: int) -> Value:
        return constant("uint32", self.lanes, value)

    def op(self, word: str, a: Value, b: Value) -> Value:
        return self.fn.val(f"{word} {self.i32} {a}, {b}")

    def to(self, word: str, source: str, value: Value, target: str) -> Value:
        return self.fn.val(f"{word} {source} {value} to {target}")

    def select(self, mask: Value, a: Value, b: Value) -> Value:
        flags = vector("i1", self.lanes)
        return self.fn.val(f"select {flags} {mask}, {self.i32} {a}, {self.i32} {b}")

    def bits(self, value: Value) -> Value:
        return self.to("bitcast", self.float, value, self.i32)

    def from_bits(self, value: Value) -> Value:
        return self.to("bitcast", self.i32, value, self.float)

    # to float32 -----------------------------------------------------------------------------------

    def widened(self, x: Value, dtype: str) -> Value:
        if dtype == "bfloat16":
            wide = self.to("zext", self.i16, x, self.i32)
            return self.from_bits(self.op("shl", wide, self.c(16)))
        if self.native:
            half = self.to("bitcast", self.i16, x, self.half)
            return self.to("fpext", self.half, half, self.float)
        return self._float_of_half(self.to("zext", self.i16, x, self.i32))

    def _float_of_half(self, h: Value) -> Value:
        """Exponent and fraction move to their places in a float32, whose exponent is then put
        right; a subnormal number is normalised by a subtraction."""
        c, op = self.c, self.op
        size = op("shl", op("and", h, c(0x7FFF)), c(13))
        exponent = op("and", size, c(0x7C00 << 13))
        usual = op("add", size, c((127 - 15) << 23))
        strange = op("add", usual, c((128 - 16) << 23))
        small = self.from_bits(op("add", usual, c(1 << 23)))
        magic = constant("float32", self.lanes, 2.0**-14)
        small = self.bits(self.fn.val(f"fsub {self.float} {small}, {magic}"))
        value = self.select(op("icmp eq", exponent, c(0)), small, usual)
        value = self.select(op("icmp eq", exponent, c(0x7C00 << 13)), strange, value)
        sign = op("shl", op("and", h, c(0x8000)), c(16))
        return self.from_bits(op("or", value, sign))

    # from float32 and float64 ---------------------------------------------------------------------

    def rounded(self, x: Value, source: str, dtype: str) -> Value:
        if source == "float64":
            x = self._float_of_double(x) if dtype == "float16" else self._nearest_float(x)
        if dtype == "bfloat16":
            return self.to("trunc", self.i32, self._bfloat(x), self.i16)
        if self.native:
            half = self.to("fptrunc", self.float, x, self.half)
            return self.to("bitcast", self.half, half, self.i16)
        return self.to("trunc", self.i32, self._half(self.bits(x)), self.i16)

    def _nearest_float(self, x: Value) -> Value:
        return self.to("fptrunc", llvm_type("float64", self.lanes), x, self.float)

    def _float_of_double(self, x: Value) -> Value:
        """The float32 towards zero from a float64, its last bit set where bits were lost ("round to
        odd"), so that rounding it once more is as rounding once (Boldo, Melquiond, 2008)."""
        fn, op = self.fn, self.op
        double = llvm_type("float64", self.lanes)
        nearest = self._nearest_float(x)
        back = self.to("fpext", self.float, nearest, double)
        name = f"llvm.fabs.{suffix('float64', self.lanes)}"
        sizes = [fn.call(double, name, [(double, v)]) for v in (back, x)]
        flags = vector("i1", self.lanes)
        above = self.to(
            "zext", flags, fn.val(f"fcmp ogt {double} {sizes[0]}, {sizes[1]}"), self.i32
        )
        lost = self.to("zext", flags, fn.val(f"fcmp one {double} {back}, {x}"), self.i32)
        return self.from_bits(op("or", op("sub", self.bits(nearest), above), lost))

    def _bfloat(self, x: Value) -> Value:
        c, op = self.c, self.op
        bits = self.bits(x)
        odd = op("and", op("lshr", bits, c(16)), c(1))
        nearest = op("lshr", op("add", op("add", bits, c(0x7FFF)), odd), c(16))
        quiet = op("or", op("lshr", bits, c(16)), c(0x0040))
        return self.select(self.fn.val(f"fcmp uno {self.float} {x}, {x}"), quiet, nearest)

    def _half(self, bits: Value) -> Value:
        c, op = self.c, self.op
        sign = op("and", bits, c(0x80000000))
        size = op("xor", bits, sign)
        strange = self.select(op("icmp ugt", size, c(0x7F800000)), c(0x7E00), c(0x7C00))
        magic = constant("float32", self.lanes, 0.5)  # aligns the last bit of a subnormal half
        moved = self.fn.val(f"fadd {self.float} {self.from_bits(size)}, {magic}")
        small = op("sub", self.bits(moved), c(126 << 23))
        odd = op("and", op("lshr", size, c(13)), c(1))
        usual = op("add", op("add", size, c(((15 - 127) << 23) + 0xFFF)), odd)
        value = op("lshr", usual, c(13))
        value = self.select(op("icmp ult", size, c(113 << 23)), small, value)
        value = self.select(op("icmp uge", size, c(143 << 23)), strange, value)
        return op("or", value, op("lshr", sign, c(16)))
