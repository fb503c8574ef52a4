"""Scalar operations as LLVM instructions, for any number of lanes.

`emit` knows every operation of the closed scalar table except the leaves. Meaning is NumPy's: no
operand makes poison or traps. Integer division by zero is 0, shifts by the width and more give what
shifting out every bit gives, casts from float saturate or wrap, never more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from symgraph import dtypes
from symgraph.codegen import library_llvm, vmath
from symgraph.codegen.literals import (
    ELEMENTS,
    constant,
    constants,
    lane_numbers,
    literal_int,
    llvm_type,
    memory_type,
    suffix,
    vector,
)
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.runtime.later import Later
from symgraph.scalar.special import LIBRARY

if TYPE_CHECKING:
    from symgraph.codegen import narrow_llvm
else:
    narrow_llvm = Later("symgraph.codegen.narrow_llvm")

__all__ = [
    "constant",
    "constants",
    "emit",
    "from_memory",
    "lane_numbers",
    "llvm_type",
    "memory_type",
    "splat",
    "to_memory",
]


def emit(
    fn: FunctionWriter,
    module: ModuleWriter,
    op: str,
    dtype: str,
    lanes: int,
    args: Sequence[Value],
    arg_dtypes: Sequence[str],
    attr: object = None,
) -> Value:
    """The value of one scalar operation.

    `dtype` is the result's; `args` are value names or literals with `lanes` lanes each and the
    dtypes `arg_dtypes`. `attr` is accepted because nodes carry one; a cast's target is `dtype`.
    Raises ValueError for an operation that is not defined for the dtype.

    >>> fn, module = FunctionWriter("f", [("<4 x i32>", "x", "")]), ModuleWriter()
    >>> _ = emit(fn, module, "floordiv", "int32", 4, ["%x", constant("int32", 4, 8)], ["int32"] * 2)
    >>> print(fn.text(), end="")
    define void @f(<4 x i32> %x) {
    entry:
      %v1 = ashr <4 x i32> %x, splat (i32 3)
      ret void
    }
    """
    if op in vmath.FUNCTIONS and dtype in vmath.DTYPES:
        return vmath.call(fn, module, op, dtype, lanes, list(args))
    if op in LIBRARY and dtype in vmath.DTYPES:
        return library_llvm.call(fn, module, op, dtype, lanes, list(args))
    handler = _HANDLERS.get(op)
    if op not in _BITS and any(map(dtypes.is_narrow, arg_dtypes)):
        handler = None  # loops/narrow.py has not been run
    value = handler(_Operation(fn, module, op, dtype, lanes, args, arg_dtypes)) if handler else None
    if value is None:
        raise ValueError(f"scalar operation {op} is not defined for {', '.join(arg_dtypes)}")
    return value


def splat(fn: FunctionWriter, value: Value, dtype: str, lanes: int) -> Value:
    """A scalar in all lanes.

    >>> splat(FunctionWriter("f", []), "5", "int64", 4)
    'splat (i64 5)'
    """
    if lanes == 1:
        return value
    element, wide = ELEMENTS[dtype].llvm, llvm_type(dtype, lanes)
    if not value.startswith("%"):
        return f"splat ({element} {value})"
    first = fn.val(f"insertelement {wide} poison, {element} {value}, i64 0")
    order = f"<{lanes} x i32> zeroinitializer"
    return fn.val(f"shufflevector {wide} {first}, {wide} poison, {order}")


def to_memory(fn: FunctionWriter, value: Value, dtype: str, lanes: int) -> Value:
    """The value as it is stored: a bool becomes a byte 0 or 1."""
    if dtype != "bool":
        return value
    return fn.val(f"zext {llvm_type(dtype, lanes)} {value} to {memory_type(dtype, lanes)}")


def from_memory(fn: FunctionWriter, value: Value, dtype: str, lanes: int) -> Value:
    """A loaded value as it is used: any byte but 0 is True (NumPy lets bytes be viewed as bool)."""
    if dtype != "bool":
        return value
    return fn.val(f"icmp ne {memory_type(dtype, lanes)} {value}, {constant('int8', lanes, 0)}")


class _Operation:
    """One operation about to be written, with the short words its handler uses."""

    __slots__ = ("args", "bits", "dtype", "fn", "kind", "lanes", "module", "op", "result", "type")

    def __init__(
        self,
        fn: FunctionWriter,
        module: ModuleWriter,
        op: str,
        result: str,
        lanes: int,
        args: Sequence[Value],
        arg_dtypes: Sequence[str],
    ) -> None:
        self.fn, self.module, self.op, self.result, self.lanes = fn, module, op, result, lanes
        self.args = list(args)
        self.dtype = arg_dtypes[-1]  # of select: the arms' dtype
        _, self.kind, self.bits = ELEMENTS[self.dtype]
        self.type = llvm_type(self.dtype, lanes)

    def c(self, value: bool | int | float) -> Value:
        return constant(self.dtype, self.lanes, value)

    def two(self, instruction: str, a: Value, b: Value) -> Value:
        return self.fn.val(f"{instruction} {self.type} {a}, {b}")

    def select(self, mask: Value, a: Value, b: Value) -> Value:
        masks = vector("i1", self.lanes)
        return self.fn.val(f"select {masks} {mask}, {self.type} {a}, {self.type} {b}")

    def mask(self, instruction: str, a: Value, b: Value) -> Value:
        return self.fn.val(f"{instruction} {vector('i1', self.lanes)} {a}, {b}")

    def less(self, a: Value, b: Value) -> Value:
        word = {"f": "fcmp olt", "i": "icmp slt", "u": "icmp ult", "b": "icmp ult"}[self.kind]
        return self.two(word, a, b)

    def convert(self, instruction: str, value: Value, source: str, target: str) -> Value:
        return self.fn.val(f"{instruction} {source} {value} to {target}")

    def intrinsic(self, name: str, *args: Value) -> Value:
        words = [(self.type, a) for a in args]
        return self.fn.call(self.type, f"llvm.{name}.{suffix(self.dtype, self.lanes)}", words)


_Handler = Callable[[_Operation], "Value | None"]


def _by_kind(f: str = "", i: str = "", u: str = "", b: str = "") -> _Handler:
    """A handler that writes one instruction chosen by the operands' kind; "" where undefined."""
    words = {"f": f, "i": i, "u": u or i, "b": b}

    def write(o: _Operation) -> Value | None:
        word = words[o.kind]
        return o.two(word, o.args[0], o.args[1]) if word else None

    return write


def _neg(o: _Operation) -> Value | None:
    if o.kind == "f":
        return o.fn.val(f"fneg {o.type} {o.args[0]}")
    return o.two("sub", o.c(0), o.args[0]) if o.kind in "iu" else None


def _abs(o: _Operation) -> Value:
    if o.kind == "f":
        return o.intrinsic("fabs", o.args[0])
    if o.kind == "i":
        x = o.args[0]
        return o.select(o.less(x, o.c(0)), o.two("sub", o.c(0), x), x)
    return o.args[0]


def _extreme(o: _Operation) -> Value:
    a, b = o.args
    first = o.less(a, b) if o.op == "minimum" else o.less(b, a)
    chosen = o.select(first, a, b)
    if o.kind != "f":
        return chosen
    # with NaN the comparison is false and b is taken, so that only a NaN in a is left to care for;
    # this shape is one machine minimum and one blend
    return o.select(o.two("fcmp uno", a, a), a, chosen)


def _fma(o: _Operation) -> Value:
    a, b, c = o.args
    if o.kind == "f":
        return o.intrinsic("fma", a, b, c)
    times, plus = ("and", "or") if o.kind == "b" else ("mul", "add")
    return o.two(plus, o.two(times, a, b), c)


def _sign(o: _Operation) -> Value:
    x, zero, one = o.args[0], o.c(0), o.c(1)
    if o.kind == "b":
        return x
    positive = o.select(o.less(zero, x), one, zero)
    if o.kind == "u":
        return positive
    y = o.select(o.less(x, zero), o.c(-1), positive)
    return y if o.kind == "i" else o.select(o.two("fcmp uno", x, x), x, y)


def _copysign(o: _Operation) -> Value | None:
    return o.intrinsic("copysign", *o.args) if o.kind == "f" else None


def _rounding(o: _Operation) -> Value:
    name = "roundeven" if o.op == "rint" else o.op
    return o.intrinsic(name, o.args[0]) if o.kind == "f" else o.args[0]


def _sqrt(o: _Operation) -> Value | None:
    return o.intrinsic("sqrt", o.args[0]) if o.kind == "f" else None


def _not(o: _Operation) -> Value | None:
    return None if o.kind == "f" else o.two("xor", o.args[0], o.c(1 if o.kind == "b" else -1))


def _shift(o: _Operation) -> Value | None:
    if o.kind not in "iu":
        return None
    a, b = o.args
    word = "shl" if o.op == "shl" else "ashr" if o.kind == "i" else "lshr"
    count = literal_int(b)
    if word == "lshr" and o.bits == 64 and count == 32 and o.lanes > 1:
        return _upper_halves(o, a)
    if count is not None and 0 <= count < o.bits:
        return o.two(word, a, b)
    # a count read as unsigned is also too big when it is negative, as in NumPy
    inside = o.two("icmp ult", b, o.c(o.bits))
    if word == "ashr":
        return o.two(word, a, o.select(inside, b, o.c(o.bits - 1)))
    return o.select(inside, o.two(word, a, b), o.c(0))


def _upper_halves(o: _Operation, a: Value) -> Value:
    """A shift by 32 as the permutation that it is. Beside a product LLVM would make the upper half
    of a narrower one of it, in three times as many instructions."""
    wide = llvm_type("uint32", 2 * o.lanes)
    halves = o.fn.val(f"bitcast {o.type} {a} to {wide}")
    picks = (f"i32 {2 * k + 1}, i32 {2 * o.lanes}" for k in range(o.lanes))
    order = f"<{2 * o.lanes} x i32> <{', '.join(picks)}>"
    moved = o.fn.val(f"shufflevector {wide} {halves}, {wide} zeroinitializer, {order}")
    return o.fn.val(f"bitcast {wide} {moved} to {o.type}")


def _classify(o: _Operation) -> Value:
    if o.kind != "f":
        return constant("bool", o.lanes, o.op == "isfinite")
    x = o.args[0]
    if o.op == "isnan":
        return o.two("fcmp uno", x, x)
    word = "oeq" if o.op == "isinf" else "one"
    return o.two(f"fcmp {word}", o.intrinsic("fabs", x), o.c(float("inf")))


def _select(o: _Operation) -> Value:
    return o.select(*o.args)


def _mulhi(o: _Operation) -> Value | None:
    if o.kind not in "iu":
        return None
    wide, extend = vector(f"i{2 * o.bits}", o.lanes), "sext" if o.kind == "i" else "zext"
    a, b = (o.convert(extend, x, o.type, wide) for x in o.args)
    shift = str(o.bits) if o.lanes == 1 else f"splat (i{2 * o.bits} {o.bits})"
    product = o.fn.val(f"mul {wide} {a}, {b}")
    return o.convert("trunc", o.fn.val(f"lshr {wide} {product}, {shift}"), wide, o.type)


# integer division ---------------------------------------------------------------------------------


def _divide(o: _Operation) -> Value | None:
    """Floor division and its remainder for integers."""
    if o.kind not in "iu":
        return None
    divisor = literal_int(o.args[1])
    if divisor is None:
        return _divide_by_value(o)
    if o.kind == "u":
        divisor &= (1 << o.bits) - 1
    if divisor == 0:
        return o.c(0)
    if divisor > 0 and divisor & (divisor - 1) == 0:  # floors for negative numbers too
        if o.op == "mod":
            return o.two("and", o.args[0], o.c(divisor - 1))
        shift = o.c(divisor.bit_length() - 1)
        return o.two("ashr" if o.kind == "i" else "lshr", o.args[0], shift)
    if divisor == -1:
        return o.c(0) if o.op == "mod" else o.two("sub", o.c(0), o.args[0])
    if divisor > 0 and o.lanes > 1:
        return _divide_by_constant(o, divisor)
    return _floored(o, _quotient(o, *o.args), *o.args)


def _divide_by_constant(o: _Operation, divisor: int) -> Value:
    """Division in lanes by a positive number, which LLVM makes a product of: floor(a / d) is
    a / d where a >= 0, and ~(~a / d) where it is not. Bytes are divided as words of two."""
    (a, _), kind, by = o.args, o.type, o.c(divisor)
    sign = o.two("ashr", a, o.c(o.bits - 1)) if o.kind == "i" else ""
    size = o.two("xor", a, sign) if sign else a
    if o.bits == 8:
        kind = vector("i16", o.lanes)
        size, by = o.convert("zext", size, o.type, kind), f"splat (i16 {divisor})"
    q = o.fn.val(f"udiv {kind} {size}, {by}")
    q = o.convert("trunc", q, kind, o.type) if o.bits == 8 else q
    q = o.two("xor", q, sign) if sign else q
    return q if o.op == "floordiv" else o.two("sub", a, o.two("mul", q, o.args[1]))


def _divide_by_value(o: _Operation) -> Value:
    # the machine traps on x / 0 and on MIN / -1: both divide by 1 instead, which is right already
    # for the second and for the remainder of the first
    a, b = o.args
    zero = o.two("icmp eq", b, o.c(0))
    bad = zero
    if o.kind == "i":
        lowest = o.two("icmp eq", a, o.c(-(1 << (o.bits - 1))))
        bad = o.mask("or", zero, o.mask("and", lowest, o.two("icmp eq", b, o.c(-1))))
    b = o.select(bad, o.c(1), b)
    value = _floored(o, _quotient(o, a, b), a, b)
    return value if o.op == "mod" else o.select(zero, o.c(0), value)


def _quotient(o: _Operation, a: Value, b: Value) -> Value:
    """a / b towards zero; b is neither 0 nor -1 under the lowest number."""
    if o.lanes == 1 or o.bits > 32:
        return o.two("sdiv" if o.kind == "i" else "udiv", a, b)
    # there are no vector divisions of integers. 32 bits fit in a double, and 16 in a float, with so
    # much room that the rounded quotient cannot reach the next integer.
    letter = "s" if o.kind == "i" else "u"
    wide = llvm_type("float64" if o.bits > 16 else "float32", o.lanes)
    x, y = (o.convert(f"{letter}itofp", v, o.type, wide) for v in (a, b))
    return o.convert(f"fpto{letter}i", o.fn.val(f"fdiv {wide} {x}, {y}"), wide, o.type)


def _floored(o: _Operation, q: Value, a: Value, b: Value) -> Value:
    """From the quotient towards zero to the floored quotient or remainder."""
    remainder = o.two("sub", a, o.two("mul", q, b))
    if o.kind == "u":
        return remainder if o.op == "mod" else q
    odd_signs = o.less(o.two("xor", remainder, b), o.c(0))
    below = o.mask("and", odd_signs, o.two("icmp ne", remainder, o.c(0)))
    if o.op == "mod":
        return o.select(below, o.two("add", remainder, b), remainder)
    return o.select(below, o.two("sub", q, o.c(1)), q)


def _ipow(o: _Operation) -> Value | None:
    if o.kind not in "iu":
        return None
    base, exponent = o.args
    n = literal_int(exponent)
    if n is not None and 0 <= n <= 64:
        return _power(o, base, n)
    name = f"sg_ipow_{o.kind}{o.bits}_{o.lanes}"
    params = [(o.type, "base", ""), (o.type, "exponent", "")]

    def build(fn: FunctionWriter) -> None:
        inner = _Operation(fn, o.module, o.op, o.result, o.lanes, o.args, [o.dtype])
        fn.ret(o.type, _power_loop(inner, "%base", "%exponent"))

    o.module.once(name, params, o.type, build, "noinline nounwind memory(none)")
    return o.fn.call(o.type, name, [(o.type, base), (o.type, exponent)])


def _power(o: _Operation, base: Value, n: int) -> Value:
    result = None
    while n:
        if n & 1:
            result = base if result is None else o.two("mul", result, base)
        n >>= 1
        if n:
            base = o.two("mul", base, base)
    return o.c(1) if result is None else result


def _power_loop(o: _Operation, base: Value, exponent: Value) -> Value:
    """Repeated squaring of all lanes until the longest exponent is used up."""
    fn = o.fn
    negative = o.less(exponent, o.c(0))  # never true of an unsigned exponent
    start = o.select(negative, o.c(0), exponent)

    def going(values: list[Value]) -> Value:
        left = o.two("icmp ne", values[2], o.c(0))
        if o.lanes == 1:
            return left
        masks = vector("i1", o.lanes)
        return fn.call("i1", f"llvm.vector.reduce.or.v{o.lanes}i1", [(masks, left)])

    def turn(values: list[Value]) -> list[Value]:
        result, square, left = values
        odd = o.two("icmp ne", o.two("and", left, o.c(1)), o.c(0))
        result = o.select(odd, o.two("mul", result, square), result)
        return [result, o.two("mul", square, square), o.two("lshr", left, o.c(1))]

    carried = [(o.type, o.c(1)), (o.type, base), (o.type, start)]
    result = fn.while_(carried, going, turn)[0]
    # a negative power is 1 // base**n: only 1 and -1 have one that is not 0
    odd = o.two("icmp ne", o.two("and", exponent, o.c(1)), o.c(0))
    unit = o.select(o.two("icmp eq", base, o.c(-1)), o.select(odd, o.c(-1), o.c(1)), o.c(0))
    unit = o.select(o.two("icmp eq", base, o.c(1)), o.c(1), unit)
    return o.select(negative, unit, result)


# conversions --------------------------------------------------------------------------------------


def _cast(o: _Operation) -> Value:
    x, target = o.args[0], llvm_type(o.result, o.lanes)
    _, kind, bits = ELEMENTS[o.result]
    if o.result == o.dtype:
        return x
    if dtypes.is_narrow(o.dtype) or dtypes.is_narrow(o.result):
        return _narrow_cast(o, x)
    if kind == "b":
        return o.two("fcmp une" if o.kind == "f" else "icmp ne", x, o.c(0))
    if o.kind == "f":
        if kind != "f":
            return _float_to_int(o, x, kind, bits)
        return o.convert("fpext" if bits > o.bits else "fptrunc", x, o.type, target)
    if kind == "f" and o.kind == "b":  # one instruction beside the comparison
        one, zero = (constant(o.result, o.lanes, c) for c in (1.0, 0.0))
        return o.fn.val(f"select {o.type} {x}, {target} {one}, {target} {zero}")
    if kind == "f":
        return o.convert("sitofp" if o.kind == "i" else "uitofp", x, o.type, target)
    if bits == o.bits:
        return x
    word = "trunc" if bits < o.bits else "sext" if o.kind == "i" else "zext"
    return o.convert(word, x, o.type, target)


def _narrow_cast(o: _Operation, x: Value) -> Value:
    """To and from float16 and bfloat16: through float32, but for a float64 (see narrow_llvm)."""
    source = o.dtype
    if dtypes.is_narrow(source):
        x, source = narrow_llvm.widened(o.fn, o.module, x, source, o.lanes), "float32"
    through = o.result
    if dtypes.is_narrow(through):
        through = source if source == "float64" else "float32"
    x = emit(o.fn, o.module, "cast", through, o.lanes, [x], [source])
    if through == o.result:
        return x
    return narrow_llvm.rounded(o.fn, o.module, x, through, o.result, o.lanes)


def _float_to_int(o: _Operation, x: Value, kind: str, bits: int) -> Value:
    """NumPy leaves numbers that do not fit to the C compiler. Here NaN gives 0; int32, int64 and
    uint64 saturate; the narrower ones wrap around as they do on x86 (so -1.0 is 255 as uint8)."""
    if (kind, bits) == ("u", 64):
        unsigned = _saturated(o, x, "u", 64)
        signed = _saturated(o, x, "i", 64)  # -1.0 wraps around like the narrower ones
        masks, wide = vector("i1", o.lanes), vector("i64", o.lanes)
        negative = o.less(x, o.c(0))
        return o.fn.val(f"select {masks} {negative}, {wide} {signed}, {wide} {unsigned}")
    through = 64 if (kind, bits) == ("u", 32) else max(bits, 32)
    value = _saturated(o, x, "i", through)
    if through == bits:
        return value
    wide, target = vector(f"i{through}", o.lanes), vector(f"i{bits}", o.lanes)
    return o.convert("trunc", value, wide, target)


def _saturated(o: _Operation, x: Value, kind: str, bits: int) -> Value:
    if kind == "i" and o.lanes > 1:
        return _saturated_lanes(o, x, bits)
    word, result = ("fptosi" if kind == "i" else "fptoui"), vector(f"i{bits}", o.lanes)
    to = f"i{bits}" if o.lanes == 1 else f"v{o.lanes}i{bits}"
    name = f"llvm.{word}.sat.{to}.{suffix(o.dtype, o.lanes)}"
    return o.fn.call(result, name, [(o.type, x)])


def _saturated_lanes(o: _Operation, x: Value, bits: int) -> Value:
    """The same by the processor's conversion of what fits, which LLVM's takes to pieces."""
    flags, result = vector("i1", o.lanes), vector(f"i{bits}", o.lanes)
    half = 1 << (bits - 1)
    low = o.c(-float(half))
    inside = o.select(o.less(low, x), x, low)
    exact = half - 1 <= 1 << dtypes.limits(o.dtype).digits  # the greatest number is a float, too
    if exact:
        high = o.c(float(half - 1))
        inside = o.select(o.less(inside, high), inside, high)
        fits = o.two("fcmp ord", x, x)
    else:
        fits = o.less(x, o.c(float(half)))
    value = o.convert("fptosi", o.select(fits, inside, o.c(0)), o.type, result)
    if exact:
        return value
    above, most = o.two("fcmp oge", x, o.c(float(half))), f"splat (i{bits} {half - 1})"
    return o.fn.val(f"select {flags} {above}, {result} {most}, {result} {value}")


def _bitcast(o: _Operation) -> Value:
    target = llvm_type(o.result, o.lanes)
    if target == o.type:
        return o.args[0]
    if o.kind == "b":
        return o.convert("zext", o.args[0], o.type, target)
    if o.result == "bool":
        return o.two("icmp ne", o.args[0], o.c(0))
    return o.convert("bitcast", o.args[0], o.type, target)


_BITS = frozenset(("cast", "bitcast", "select"))  # what works on values of any dtype

_HANDLERS: dict[str, _Handler] = {
    "add": _by_kind(f="fadd", i="add", b="or"),
    "sub": _by_kind(f="fsub", i="sub"),
    "mul": _by_kind(f="fmul", i="mul", b="and"),
    "div": _by_kind(f="fdiv"),
    "floordiv": _divide,
    "mod": _divide,
    "neg": _neg,
    "abs": _abs,
    "minimum": _extreme,
    "maximum": _extreme,
    "fma": _fma,
    "sign": _sign,
    "copysign": _copysign,
    "ipow": _ipow,
    "lt": _by_kind(f="fcmp olt", i="icmp slt", u="icmp ult", b="icmp ult"),
    "le": _by_kind(f="fcmp ole", i="icmp sle", u="icmp ule", b="icmp ule"),
    "eq": _by_kind(f="fcmp oeq", i="icmp eq", b="icmp eq"),
    "ne": _by_kind(f="fcmp une", i="icmp ne", b="icmp ne"),
    "and": _by_kind(i="and", b="and"),
    "or": _by_kind(i="or", b="or"),
    "xor": _by_kind(i="xor", b="xor"),
    "not": _not,
    "shl": _shift,
    "shr": _shift,
    "floor": _rounding,
    "ceil": _rounding,
    "trunc": _rounding,
    "rint": _rounding,
    "sqrt": _sqrt,
    "isnan": _classify,
    "isinf": _classify,
    "isfinite": _classify,
    "select": _select,
    "mulhi": _mulhi,
    "cast": _cast,
    "bitcast": _bitcast,
}
