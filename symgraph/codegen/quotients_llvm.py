"""Quotients by a divisor that is the same for all turns of a loop, without dividing.

A division of a whole register takes 10 (single) or 16 (double) cycles on Intel's processors with
AVX-512, in which these multiply and add twenty times. The inverse is made once before the loop, as
the sum of two numbers, and each element is the quotient that IEEE 754 asks for, bit for bit:

    high = 1 / b;  low = (1 - b * high) * high      once
    first = a * high + a * low                      less than an ulp away
    rest = a - b * first                            exact
    a / b = first + rest * high                     rounded correctly

Source: P. Markstein, "Computation of elementary functions on the IBM RISC System/6000 processor",
IBM J. Res. Dev. 34 (1990), theorem 7; the two parts of the inverse are those of N. Brisebarre,
J.-M. Muller, S. K. Raina, "Accelerating correctly rounded floating-point division when the divisor
is known in advance", IEEE Trans. Computers 53 (2004).

That holds while nothing underflows. Where the divisor is not a positive number of moderate size its
inverse is NaN; a register in which an element is tiny, or a result is NaN, is divided as ever.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from symgraph import dtypes
from symgraph.codegen.literals import constant, llvm_type, suffix, vector
from symgraph.codegen.scalar_llvm import splat
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.records import NamedTuple
from symgraph.scalar import Expr

if TYPE_CHECKING:
    from symgraph.codegen.values import Values

REGISTER = 64  # bytes: narrower ones divide faster
MANY = 16  # registers of a loop, from which the inverse pays
# exponents of two: divisors lie within the first of 1, and dividends of less than the second are
# divided; quotients are normal numbers then, and no bit of what is left of a dividend is lost
_RANGES = {"float32": (40, -80), "float64": (400, -500)}


class Inverse(NamedTuple):
    """A divisor with its inverse in two parts; ``few`` says that a loop has so few turns that
    dividing is quicker (empty where that is known not to be so)."""

    divisor: Value
    high: Value
    low: Value
    few: Value


def fits(values: Values, e: Expr, vector_bits: int) -> bool:
    """Whether it is a quotient by what is known already, in registers that are slow to divide."""
    if e.op != "div" or e.dtype not in _RANGES or "avx512f" not in values.module.features:
        return False
    divisor = e.args[1]
    if vector_bits < 8 * REGISTER or e.args[0] in values.known or divisor not in values.known:
        return False
    if values.known[divisor][1] != 1:
        return False
    return not (divisor.is_const and math.frexp(divisor.value)[0] == 0.5)  # a product already


def prepare(values: Values, e: Expr, extent: Value) -> Inverse | None:
    """The inverse of a divisor, before a loop of so many turns; None where they are few."""
    fn = values.fn
    least_turns, few = MANY * REGISTER // dtypes.itemsize(e.dtype), ""
    if not extent.isdigit():
        few = fn.val(f"icmp slt i64 {extent}, {least_turns}")
    elif int(extent) < least_turns:
        return None
    b, kind = values.known[e.args[1]][0], llvm_type(e.dtype)
    none = constant(e.dtype, 1, math.nan)

    def invert() -> list[Value]:
        return _inverse(fn, e.dtype, b, none)

    high, low = fn.if_(few, lambda: [none, none], invert, [kind] * 2) if few else invert()
    return Inverse(b, high, low, few)


def _inverse(fn: FunctionWriter, dtype: str, b: Value, none: Value) -> list[Value]:
    """Both parts; ``none``, which is NaN, for a divisor of another size."""
    kind, one = llvm_type(dtype), constant(dtype, 1, 1.0)
    near, _ = _RANGES[dtype]
    least, most = (constant(dtype, 1, 2.0**n) for n in (-near, near))
    above = fn.val(f"fcmp oge {kind} {b}, {least}")
    below = fn.val(f"fcmp ole {kind} {b}, {most}")
    moderate = fn.val(f"and i1 {above}, {below}")
    inverse = fn.val(f"fdiv {kind} {one}, {b}")
    high = fn.val(f"select i1 {moderate}, {kind} {inverse}, {kind} {none}")
    lost = _fma(fn, dtype, 1, fn.val(f"fneg {kind} {b}"), high, one)
    return [high, fn.val(f"fmul {kind} {lost}, {high}")]


def quotient(fn: FunctionWriter, dtype: str, lanes: int, a: Value, by: Inverse) -> Value:
    """The elements of a register, or of several, over the divisor."""
    kind = llvm_type(dtype, lanes)
    b, high, low = (splat(fn, x, dtype, lanes) for x in by[:3])

    def divided() -> list[Value]:
        return [fn.val(f"fdiv {kind} {a}, {b}")]

    def corrected() -> list[Value]:
        first = _fma(fn, dtype, lanes, a, high, fn.val(f"fmul {kind} {a}, {low}"))
        rest = _fma(fn, dtype, lanes, fn.val(f"fneg {kind} {b}"), first, a)
        found = _fma(fn, dtype, lanes, rest, high, first)
        # the sum of a zero and a zero of the other sign lost the dividend's
        name = f"llvm.copysign.{suffix(dtype, lanes)}"
        signed = fn.call(kind, name, [(kind, found), (kind, a)])
        odd = _odd(fn, dtype, lanes, a, found)
        some = fn.val(f"icmp ne i{lanes} {odd}, 0")
        return fn.if_(some, divided, lambda: [signed], [kind], likely=False)

    return fn.if_(by.few, divided, corrected, [kind])[0] if by.few else corrected()[0]


def _odd(fn: FunctionWriter, dtype: str, lanes: int, a: Value, found: Value) -> Value:
    """Bits of the dividends that are tiny, but not 0, and of results that are NaN."""
    bits = 8 * dtypes.itemsize(dtype)
    number, flags = vector(f"i{bits}", lanes), vector("i1", lanes)
    kind = llvm_type(dtype, lanes)
    held = fn.val(f"bitcast {kind} {a} to {number}")
    size = fn.val(f"and {number} {held}, {constant(f'int{bits}', lanes, (1 << bits - 1) - 1)}")
    less = fn.val(f"add {number} {size}, {constant(f'int{bits}', lanes, -1)}")
    mantissa, bias = (23, 127) if bits == 32 else (52, 1023)
    least = ((_RANGES[dtype][1] + bias) << mantissa) - 1
    tiny = fn.val(f"icmp ult {number} {less}, {constant(f'int{bits}', lanes, least)}")
    lost = fn.val(f"fcmp uno {kind} {found}, {constant(dtype, lanes, 0.0)}")
    return fn.val(f"bitcast {flags} {fn.val(f'or {flags} {tiny}, {lost}')} to i{lanes}")


def _fma(fn: FunctionWriter, dtype: str, lanes: int, a: Value, b: Value, c: Value) -> Value:
    kind = llvm_type(dtype, lanes)
    name = f"llvm.fma.{suffix(dtype, lanes)}"
    return fn.call(kind, name, [(kind, x) for x in (a, b, c)])
