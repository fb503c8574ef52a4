"""Folds over rows of a few elements that lie one after another, a row in each lane.

Instead of an element of each row at a time, whole rows are read, as many as a register holds: an
expanding load puts the n elements of each into its own group of G lanes, G a power of two, and the
neutral element into the others. Then the even lanes of two registers are combined with the odd
ones, until a lane is left of each group: rows of 3 floats, 4 in a register,

    a0 a1 a2 0 | b0 b1 b2 0 | ...   a01 a2 b01 b2 ...   a b c d ...

So G loads and 2 (G - 1) permutations make the results of a whole register of rows, which are in
order. Only elements of rows that exist are read.
"""

from __future__ import annotations

from collections.abc import Callable

from symgraph import dtypes
from symgraph.codegen import scalar_llvm as scalars
from symgraph.codegen.literals import constant, llvm_type
from symgraph.codegen.values import Values
from symgraph.codegen.writer import Value
from symgraph.loops.compute import identity
from symgraph.loops.statements import Fold
from symgraph.scalar import Expr, as_expr, coefficient, const, substitute, variables
from symgraph.scalar import functions as F

LONGEST = 8  # elements of a row
KINDS = {"float32": "f32", "float64": "f64", "int32": "i32", "int64": "i64"}
COMBINERS = ("add", "mul", "maximum", "minimum")
_BYTES = 64  # of a register

Combine = Callable[[int, Value, Value], Value]


def fits(values: Values, folds: list[Fold]) -> bool:
    """Whether it is one fold of the elements of rows as they lie in memory, of so few elements,
    and the lanes fill registers; asked on processors with AVX-512."""
    s = folds[0]
    dtype = s.names[0].dtype
    if len(folds) > 1 or s.body or s.combiner not in COMBINERS or dtype not in KINDS:
        return False
    if values.lane is None or values.lanes * dtypes.itemsize(dtype) % _BYTES:
        return False
    step = _step(values, s)
    return step is not None and 0 < values.most(step) <= LONGEST


def _step(values: Values, s: Fold) -> Expr | None:
    """How long rows are, where they are folded from end to end."""
    (e,) = s.values
    if e.op != "load" or not e.args or e.attr in values.rooms or values.lane is None:
        return None
    position = values.linear(e.attr, e.args)
    if any(v is not values.lane and values.moves(v) for v in variables(position)):
        return None
    step = coefficient(position, values.lane)
    if step is None or coefficient(position, s.index) is not const(1):
        return None
    extent = as_expr(s.extent)
    short = extent.op == "minimum" and step in extent.args and F.minimum(step, extent.args[1])
    return step if extent is step or extent is short else None


def folded(values: Values, s: Fold, combine: Combine) -> Value:
    """The results, one in each lane; ``combine(lanes, a, b)`` writes the combiner."""
    fn, dtype = values.fn, s.names[0].dtype
    step = _step(values, s)
    assert step is not None
    one, longest = _BYTES // dtypes.itemsize(dtype), values.most(step)
    (e,) = s.values
    position = substitute(values.linear(e.attr, e.args), {s.index: const(0)})
    first, length = values.first_place(e.attr, position, dtype, step)
    groups = [one // 4]
    while groups[-1] < longest:
        groups.append(2 * groups[-1])

    def of(k: int) -> list[Value]:
        """Rows of at most so many elements, then those that are longer."""
        rows = _Rows(values, s, first, length, groups[k], combine)
        if k + 1 == len(groups):
            return [rows.write()]
        short = fn.val(f"icmp sle i64 {length}, {groups[k]}")
        kind = llvm_type(dtype, values.lanes)
        return fn.if_(short, lambda: [rows.write()], lambda: of(k + 1), [kind])

    if step.is_const:
        groups = [next(g for g in groups if g >= longest)]
    return of(0)[0]


class _Rows:
    """Rows of at most ``group`` elements."""

    def __init__(
        self, values: Values, s: Fold, first: Value, length: Value, group: int, combine: Combine
    ) -> None:  # fmt: skip
        self.values, self.fn, self.dtype = values, values.fn, s.names[0].dtype
        self.first, self.length, self.group, self.combine = first, length, group, combine
        self.one = _BYTES // dtypes.itemsize(self.dtype)
        self.kind, self.flags = llvm_type(self.dtype, self.one), f"<{self.one} x i1>"
        self.neutral = constant(self.dtype, self.one, identity(s.combiner, self.dtype))
        within = self._numbers([k % group for k in range(self.one)])
        short = self.fn.val(f"trunc i64 {length} to i32")
        wide = scalars.splat(self.fn, short, "int32", self.one)
        self.exist = self.fn.val(f"icmp slt <{self.one} x i32> {within}, {wide}")
        self.name = f"llvm.masked.expandload.v{self.one}{KINDS[self.dtype]}"
        self.fn.declare(self.kind, self.name, ["ptr", self.flags, self.kind])

    def _numbers(self, numbers: list[int]) -> str:
        return "<" + ", ".join(f"i32 {n}" for n in numbers) + ">"

    def write(self) -> Value:
        held = [self._register(k) for k in range(0, self.values.lanes, self.one)]
        width = self.one
        while len(held) > 1:
            order, kind = self._numbers([*range(2 * width)]), llvm_type(self.dtype, width)
            held = [
                self.fn.val(f"shufflevector {kind} {a}, {kind} {b}, <{2 * width} x i32> {order}")
                for a, b in zip(held[::2], held[1::2], strict=True)
            ]
            width *= 2
        return held[0]

    def _register(self, start: int) -> Value:
        """The results of a register's rows from one on."""
        each = self.one // self.group
        held = [self._loaded(start + j * each) for j in range(self.group)]
        even, odd = ([*range(k, 2 * self.one, 2)] for k in (0, 1))
        while len(held) > 1:
            held = [
                self.combine(self.one, self._picked(a, b, even), self._picked(a, b, odd))
                for a, b in zip(held[::2], held[1::2], strict=True)
            ]
        return held[0]

    def _picked(self, a: Value, b: Value, order: list[int]) -> Value:
        words = f"{self.kind} {a}, {self.kind} {b}, <{self.one} x i32> {self._numbers(order)}"
        return self.fn.val(f"shufflevector {words}")

    def _loaded(self, row: int) -> Value:
        """The rows of one load, each in its group of lanes."""
        fn, offset = self.fn, self.fn.val(f"mul i64 {self.length}, {row}") if row else "0"
        where = self.first
        if row:
            where = fn.val(f"getelementptr {llvm_type(self.dtype)}, ptr {where}, i64 {offset}")
        words = f"ptr {where}, {self.flags} {self._live(row)}, {self.kind} {self.neutral}"
        return fn.fresh(f"call {self.kind} @{self.name}({words})")

    def _live(self, row: int) -> Value:
        values, fn = self.values, self.fn
        numbers = [row + k // self.group for k in range(self.one)]
        if values.near:
            left = scalars.splat(fn, fn.val(f"trunc i64 {values.left} to i32"), "int32", self.one)
            rows = fn.val(f"icmp slt <{self.one} x i32> {self._numbers(numbers)}, {left}")
        elif values.mask is None:
            return self.exist
        else:
            wide = f"<{values.lanes} x i1>"
            order = f"<{self.one} x i32> {self._numbers(numbers)}"
            rows = fn.val(f"shufflevector {wide} {values.mask}, {wide} poison, {order}")
        return fn.val(f"and {self.flags} {rows}, {self.exist}")
