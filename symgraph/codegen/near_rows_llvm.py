"""One element of each of some short rows, by loads of whole registers and permutations.

Lane k reads element k * n of what begins at an address, where n is found when the kernel runs and
is no more than SHORT. A gather asks the cache for every lane; where a row has at most NEAR bytes,
two registers of neighbours at a time are read here, of which each lane picks its own if that is
among them: n / 2 turns of some ten instructions. Nothing after the element of the last row is
touched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from symgraph import dtypes
from symgraph.codegen import scalar_llvm as scalars
from symgraph.codegen.literals import memory_type
from symgraph.codegen.writer import FunctionWriter, Value

if TYPE_CHECKING:
    from symgraph.codegen.values import Values

SHORT = 16  # elements of a row, of which it is known that there are no more
NEAR = 24  # bytes of a row, up to which this is quicker than a gather
_BYTES = 64  # of a register
_PERMUTE = {"float32": "ps", "float64": "pd", "int32": "d", "uint32": "d", "int64": "q",
            "uint64": "q"}  # fmt: skip


def fits(values: Values, dtype: str, most: int) -> bool:
    """Whether there is a permutation of two registers for a dtype, rows of at most ``most``
    elements are short, and the lanes fill registers."""
    known = dtype in _PERMUTE and "avx512f" in values.module.features
    return known and 0 <= most <= SHORT and values.lanes * dtypes.itemsize(dtype) % _BYTES == 0


def load(
    values: Values, base: Value, step: Value, offsets: Value, dtype: str,
    gather: Callable[[], list[Value]],
) -> Value:  # fmt: skip
    """Element k * ``step`` after the address in lane k; ``offsets`` are these numbers as int32,
    those of lanes that are not live equal to the last one that is. ``gather`` writes the gather for
    rows that are longer."""
    most, kind = NEAR // dtypes.itemsize(dtype), memory_type(dtype, values.lanes)

    def near() -> list[Value]:
        return [_near(values, base, step, offsets, dtype)]

    def far() -> list[Value]:
        with values.inside():
            return gather()

    if step.isdigit():
        return (near() if int(step) <= most else far())[0]
    few = values.fn.val(f"icmp sle i64 {step}, {most}")
    return values.fn.if_(few, near, far, [kind])[0]


def _near(values: Values, base: Value, step: Value, offsets: Value, dtype: str) -> Value:
    """The same by registers of neighbours."""
    fn, one = values.fn, _BYTES // dtypes.itemsize(dtype)
    count = values.lanes // one
    last = fn.val(f"mul i64 {values.last_lane()}, {step}")
    end = fn.val(f"add i64 {fn.val(f'mul i64 {step}, {one - 1}')}, 1")
    kind, numbers = memory_type(dtype, one), f"<{one} x i32>"
    bases, carried = [], []
    for k in range(count):
        begin = fn.val(f"mul i64 {step}, {k * one}")
        bases.append(fn.val(f"getelementptr {memory_type(dtype)}, ptr {base}, i64 {begin}"))
        wide = f"<{values.lanes} x i32>"
        order = ", ".join(f"i32 {k * one + n}" for n in range(one))
        own = fn.val(f"shufflevector {wide} {offsets}, {wide} poison, <{one} x i32> <{order}>")
        first = scalars.splat(fn, fn.val(f"trunc i64 {begin} to i32"), "int32", one)
        rest = fn.val(f"trunc i64 {fn.val(f'sub i64 {last}, {begin}')} to i32")
        carried += [(numbers, fn.val(f"sub {numbers} {own}, {first}"))]
        carried += [(numbers, scalars.splat(fn, rest, "int32", one)), (kind, "zeroinitializer")]

    def turn(j: Value, held: list[Value]) -> list[Value]:
        out = []
        for k, first in enumerate(bases):
            own, rest, old = held[3 * k : 3 * k + 3]
            where = fn.val(f"getelementptr {memory_type(dtype)}, ptr {first}, i64 {j}")
            out += [fn.val(f"sub {numbers} {own}, splat (i32 {2 * one})"),
                    fn.val(f"sub {numbers} {rest}, splat (i32 {2 * one})"),
                    _picked(fn, where, own, rest, old, dtype, one)]  # fmt: skip
        return out

    found = fn.loop(0, end, 2 * one, carried, turn)[2::3]
    while len(found) > 1:
        kind = memory_type(dtype, one)
        order = ", ".join(f"i32 {k}" for k in range(2 * one))
        found = [
            fn.val(f"shufflevector {kind} {a}, {kind} {b}, <{2 * one} x i32> <{order}>")
            for a, b in zip(found[::2], found[1::2], strict=True)
        ]
        one *= 2
    return found[0]


def _picked(
    fn: FunctionWriter, where: Value, own: Value, last: Value, old: Value, dtype: str, one: int
) -> Value:  # fmt: skip
    """A register of picked elements with those that lie in the two registers at an address: lane k
    wants number own[k] of what is there, of which numbers up to ``last`` may be read."""
    kind, numbers, flags = memory_type(dtype, one), f"<{one} x i32>", f"<{one} x i1>"
    suffix = f"v{one}{'f' if dtypes.is_float(dtype) else 'i'}{8 * dtypes.itemsize(dtype)}"
    name = f"llvm.masked.load.{suffix}.p0"
    fn.declare(kind, name, ["ptr", "i32", flags, kind])
    pair = []
    for k in (0, one):
        mine = "<" + ", ".join(f"i32 {k + n}" for n in range(one)) + ">"
        mask = fn.val(f"icmp sle {numbers} {mine}, {last}")
        at = fn.val(f"getelementptr {memory_type(dtype)}, ptr {where}, i64 {k}")
        words = f"ptr {at}, i32 {dtypes.itemsize(dtype)}, {flags} {mask}, {kind} zeroinitializer"
        pair.append(fn.fresh(f"call {kind} @{name}({words})"))
    inside = fn.val(f"icmp ult {numbers} {own}, splat (i32 {2 * one})")
    order, word = own, "i32"
    if dtypes.itemsize(dtype) == 8:
        word = "i64"
        order = fn.val(f"sext {numbers} {own} to <{one} x i64>")
    permute = f"llvm.x86.avx512.vpermi2var.{_PERMUTE[dtype]}.512"
    fn.declare(kind, permute, [kind, f"<{one} x {word}>", kind])
    args = f"{kind} {pair[0]}, <{one} x {word}> {order}, {kind} {pair[1]}"
    picked = fn.val(f"call {kind} @{permute}({args})")
    return fn.val(f"select {flags} {inside}, {kind} {picked}, {kind} {old}")
