"""Scalar expressions inside loops as LLVM values: uniform ones as scalars, others as lanes.

Legend: *lane* is the index of the loop that runs as vectors; a value of one lane is the same for
all lanes. The address of a load is a polynomial of the indices: its coefficient at the lane index
says whether to read one element for all lanes (0), neighbours (1), or to gather.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from symgraph import dtypes
from symgraph.codegen import scalar_llvm as scalars
from symgraph.codegen.literals import constant, lane_numbers, llvm_type, memory_type, suffix
from symgraph.codegen.strides_llvm import STRIDES, backwards, strided
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.loops.statements import Size, Store
from symgraph.scalar import Expr, as_expr, coefficient, const, node, postorder, variables

Lanes = tuple[Value, int]  # a value and its number of lanes: 1, or that of the vector loop


class Values:
    """Emits the expressions of one function; ``pointers`` are the addresses of its buffers."""

    def __init__(
        self, fn: FunctionWriter, module: ModuleWriter, shapes: dict[str, tuple[Size, ...]],
        pointers: dict[str, Value], stored: set[str],
    ) -> None:  # fmt: skip
        self.fn, self.module = fn, module
        self.shapes, self.pointers, self.stored = shapes, pointers, stored
        self.known: dict[Expr, Lanes] = {}
        self.places: dict[tuple[tuple[Expr, ...], tuple[Size, ...]], Expr] = {}
        self.lane: Expr | None = None
        self.lanes = 1
        self.base: Value = "0"
        self.mask: Value | None = None
        self.bounds: dict[Expr, int] = {}  # sizes that are known not to exceed a number here

    # context --------------------------------------------------------------------------------------

    @contextmanager
    def inside(self) -> Iterator[None]:
        """A block: what is made in it is not known after it."""
        saved = self.known
        self.known = dict(saved)
        try:
            yield
        finally:
            self.known = saved

    @contextmanager
    def vector(self, lane: Expr, lanes: int, base: Value, mask: Value | None) -> Iterator[None]:
        """A block in which ``lane`` stands for base, base+1, ...; ``mask`` marks the live lanes."""
        with self.inside():
            before = (self.lane, self.lanes, self.base, self.mask)
            self.lane, self.lanes, self.base, self.mask = lane, lanes, base, mask
            yield
            self.lane, self.lanes, self.base, self.mask = before

    def bind(self, name: Expr, value: Lanes) -> None:
        """Let a variable stand for a value."""
        self.known[name] = value

    # values ---------------------------------------------------------------------------------------

    def uniform(self, e: Expr | int) -> Value:
        """The value of an expression that is the same for all lanes."""
        value, lanes = self.emit(as_expr(e))
        if lanes != 1:
            raise ValueError(f"{e} differs between lanes where one value is needed")
        return value

    def wide(self, e: Expr) -> Value:
        """The value in all lanes of the present loop."""
        value, lanes = self.emit(e)
        return value if lanes == self.lanes else scalars.splat(self.fn, value, e.dtype, self.lanes)

    def emit(self, root: Expr) -> Lanes:
        """The value of an expression and its number of lanes."""
        for e in self._unknown(root):
            self.known[e] = self._one(e)
        return self.known[root]

    def _unknown(self, root: Expr) -> list[Expr]:
        if root in self.known:
            return []
        order: list[Expr] = []
        done: set[Expr] = set()
        stack = [(root, False)]
        while stack:
            e, ready = stack.pop()
            if ready:
                order.append(e)
            elif e not in done and e not in self.known:
                done.add(e)
                stack.append((e, True))
                operands = e.args[:1] if e.op == "load_if" else () if e.op == "load" else e.args
                stack.extend((a, False) for a in reversed(operands))
        return order

    def _one(self, e: Expr) -> Lanes:
        if e.op == "const":
            return constant(e.dtype, 1, e.value), 1
        if e.op == "var":
            if e is self.lane:
                start = scalars.splat(self.fn, self.base, "int64", self.lanes)
                steps = lane_numbers(self.lanes)
                wide = llvm_type("int64", self.lanes)
                return self.fn.val(f"add {wide} {start}, {steps}"), self.lanes
            raise ValueError(f"variable {e} is not bound")
        if e.op == "load":
            return self._load(e, e.args, None)
        if e.op == "load_if":
            return self._load(e, e.args[1:], self.known[e.args[0]])
        parts = [self.known[a] for a in e.args]
        lanes = max(n for _, n in parts)
        args = [
            v if n == lanes else scalars.splat(self.fn, v, a.dtype, lanes)
            for (v, n), a in zip(parts, e.args, strict=True)
        ]
        kinds = [a.dtype for a in e.args]
        value = scalars.emit(self.fn, self.module, e.op, e.dtype, lanes, args, kinds, e.attr)
        return value, lanes

    # memory ---------------------------------------------------------------------------------------

    def linear(self, buffer: str, indices: tuple[Expr, ...]) -> Expr:
        """The position of an element: the row-major polynomial of its indices."""
        shape = self.shapes[buffer]
        found = self.places.get((indices, shape))  # most buffers of a kernel have the same
        if found is None:
            found, stride = const(0), const(1)
            for k, index in reversed([*enumerate(indices)]):
                found = found + index * stride
                if k:
                    stride = stride * as_expr(shape[k])
            self.places[indices, shape] = found
        return found

    def step_of(self, position: Expr) -> int | None:
        """By how many elements the position moves from lane to lane: 0, 1, or None for other."""
        step = self._stride(position)
        return step if step in (0, 1) else None

    def _stride(self, position: Expr) -> int | None:
        """The same for any constant number of elements."""
        if self.lane is None:
            return 0
        varies = any(v is not self.lane and self._lanes_of(v) > 1 for v in variables(position))
        step = None if varies else coefficient(position, self.lane)
        if step is None or _reads_lane(position, self.lane):
            return None if varies or _depends(position, self.lane) else 0
        return step.value if step.is_const else None

    def _lanes_of(self, v: Expr) -> int:
        return self.known[v][1] if v in self.known else 1

    def address(self, buffer: str, position: Expr, dtype: str) -> Value:
        """The address of the element, for the first lane when the lane index occurs."""
        base, kind = self.pointers[buffer], memory_type(dtype)
        moves = self.lane is not None and _depends(position, self.lane)
        # what does not move with the lanes first: it leaves the loop, and the rest is an operand
        rest = self.uniform(position - self.lane if moves and self.lane is not None else position)
        for offset in (rest, self.base if moves else "0"):
            if offset != "0":
                base = self.fn.val(f"getelementptr {kind}, ptr {base}, i64 {offset}")
        return base

    def linear_at_first_lane(self, position: Expr, step: int = 1) -> Value:
        """The position with the lane index removed, plus the loop's base: one add per access."""
        assert self.lane is not None
        rest = self.uniform(position - self.lane * step)
        base = self.base if step == 1 else self.fn.val(f"mul i64 {self.base}, {step}")
        return base if rest == "0" else self.fn.val(f"add i64 {rest}, {base}")

    def _load(self, e: Expr, indices: tuple[Expr, ...], cond: Lanes | None) -> Lanes:
        buffer, dtype = e.attr, e.dtype
        if self._are_pairs(buffer, indices):
            return self._load_pairs(e, indices, cond)
        position = self.linear(buffer, indices)
        step = self.step_of(position)
        read = self.fn.fresh if buffer in self.stored else self.fn.val
        if cond is None and step == 0:
            where = self.address(buffer, position, dtype)
            return self._memory_value(read(f"load {memory_type(dtype)}, ptr {where}"), dtype, 1)
        if step == 0 and cond is not None and cond[1] == 1:
            return self._guarded_scalar(buffer, position, dtype, cond[0])
        mask = self._live(cond)
        if step == 1:
            where = self.address(buffer, position, dtype)
            return self._vector_load(read, where, dtype, mask, self.lanes)
        stride = self._stride(position)
        if stride in STRIDES and self.lanes > 1:
            return self._strided(read, buffer, position, dtype, mask, stride)
        return self._gather(read, buffer, position, dtype, mask)

    def _strided(
        self, read: Any, buffer: str, position: Expr, dtype: str, mask: Value | None, stride: int
    ) -> Lanes:
        kind, base = memory_type(dtype, self.lanes), self.pointers[buffer]

        def load(first: Value, live: Value | None) -> Value:
            where = self.fn.val(f"getelementptr {memory_type(dtype)}, ptr {base}, i64 {first}")
            return self._held(read, where, dtype, live, self.lanes)

        first = self.linear_at_first_lane(position, stride)
        held = strided(self.fn, stride, first, mask, load, kind, self.lanes)
        return self._memory_value(held, dtype, self.lanes)

    # Pairs of numbers that lie side by side, such as the parts of complex numbers: those of all
    # lanes are one wide load, taken apart by shuffles, or put together for one wide store.

    def _are_pairs(self, buffer: str, indices: tuple[Expr, ...]) -> bool:
        """Whether the last axis holds two elements and the lanes run through the pairs."""
        if self.lane is None or not indices or self.shapes[buffer][-1] != 2:
            return False
        # a load that is guarded by a condition which never holds may be at any index
        if not indices[-1].is_const or indices[-1].value not in (0, 1):
            return False
        return self._stride(self.linear(buffer, indices)) == 2

    def _pairs_place(self, buffer: str, indices: tuple[Expr, ...], dtype: str) -> Value:
        start = self.linear(buffer, (*indices[:-1], const(0)))
        first = self.linear_at_first_lane(start, 2)
        base = self.pointers[buffer]
        return self.fn.val(f"getelementptr {memory_type(dtype)}, ptr {base}, i64 {first}")

    def _load_pairs(self, e: Expr, indices: tuple[Expr, ...], cond: Lanes | None) -> Lanes:
        """The wanted element of each lane's pair; the other one is known from now on."""
        dtype, lanes = e.dtype, self.lanes
        read = self.fn.fresh if e.attr in self.stored else self.fn.val
        where = self._pairs_place(e.attr, indices, dtype)
        both = self._vector_load(read, where, dtype, self._twice(self._live(cond)), 2 * lanes)[0]
        kind = llvm_type(dtype, 2 * lanes)
        for k in (0, 1):
            picks = ", ".join(f"i32 {2 * n + k}" for n in range(lanes))
            words = f"{kind} {both}, {kind} poison, <{lanes} x i32> <{picks}>"
            part = node(e.op, (*e.args[:-1], const(k)), dtype, e.attr)
            self.known[part] = self.fn.val(f"shufflevector {words}"), lanes
        return self.known[e]

    def _twice(self, mask: Value | None) -> Value | None:
        """Each flag for both elements of a pair."""
        if mask is None:
            return None
        picks = ", ".join(f"i32 {k // 2}" for k in range(2 * self.lanes))
        flags = llvm_type("bool", self.lanes)
        words = f"{flags} {mask}, {flags} poison, <{2 * self.lanes} x i32> <{picks}>"
        return self.fn.val(f"shufflevector {words}")

    def store_both(self, a: Store, b: Store) -> bool:
        """Two stores as one wide one, when they write the two elements of each lane's pair."""
        ends = [s.indices[-1] for s in (a, b) if s.indices]
        neighbours = a.buffer == b.buffer and a.indices[:-1] == b.indices[:-1]
        if not neighbours or b.value.op not in ("var", "const") or len(ends) < 2:
            return False
        if ends[0] is not const(0) or ends[1] is not const(1):
            return False
        if not self._are_pairs(a.buffer, a.indices):
            return False
        dtype, lanes = a.value.dtype, self.lanes
        parts = [scalars.to_memory(self.fn, self.wide(s.value), dtype, lanes) for s in (a, b)]
        kind = memory_type(dtype, lanes)
        picks = ", ".join(f"i32 {n // 2 + n % 2 * lanes}" for n in range(2 * lanes))
        words = f"{kind} {parts[0]}, {kind} {parts[1]}, <{2 * lanes} x i32> <{picks}>"
        held = self.fn.val(f"shufflevector {words}")
        where = self._pairs_place(a.buffer, a.indices, dtype)
        self._vector_store(held, where, dtype, 2 * lanes, self._twice(self.mask))
        return True

    def _memory_value(self, value: Value, dtype: str, lanes: int) -> Lanes:
        return scalars.from_memory(self.fn, value, dtype, lanes), lanes

    def _live(self, cond: Lanes | None) -> Value | None:
        """The lanes to touch: those of the loop's mask where the condition holds as well."""
        if cond is None:
            return self.mask
        value, lanes = cond
        if lanes == 1 and self.lanes > 1:
            value = scalars.splat(self.fn, value, "bool", self.lanes)
        if self.mask is None:
            return value
        return self.fn.val(f"and {llvm_type('bool', self.lanes)} {value}, {self.mask}")

    def _guarded_scalar(self, buffer: str, position: Expr, dtype: str, cond: Value) -> Lanes:
        kind = memory_type(dtype)
        zero = constant(dtype, 1, 0) if dtype != "bool" else "0"

        def read() -> list[Value]:
            with self.inside():
                where = self.address(buffer, position, dtype)
                return [self.fn.fresh(f"load {kind}, ptr {where}")]

        (value,) = self.fn.if_(cond, read, lambda: [zero], [kind])
        return self._memory_value(value, dtype, 1)

    def _vector_load(
        self, read: Any, where: Value, dtype: str, mask: Value | None, lanes: int
    ) -> Lanes:
        return self._memory_value(self._held(read, where, dtype, mask, lanes), dtype, lanes)

    def _held(self, read: Any, where: Value, dtype: str, mask: Value | None, lanes: int) -> Value:
        """Neighbours as they lie in memory; 0 where the mask does not hold."""
        kind, align = memory_type(dtype, lanes), dtypes.itemsize(dtype)
        if mask is None:
            return str(read(f"load {kind}, ptr {where}, align {align}"))
        name = f"llvm.masked.load.{_suffix(dtype, lanes)}.p0"
        flags = llvm_type("bool", lanes)
        self.fn.declare(kind, name, ["ptr", "i32", flags, kind])
        args = f"ptr {where}, i32 {align}, {flags} {mask}, {kind} zeroinitializer"
        return str(read(f"call {kind} @{name}({args})"))

    def _vector_store(
        self, held: Value, where: Value, dtype: str, lanes: int, mask: Value | None
    ) -> None:
        kind, align = memory_type(dtype, lanes), dtypes.itemsize(dtype)
        if mask is None:
            self.fn.raw(f"store {kind} {held}, ptr {where}, align {align}")
            return
        flags = llvm_type("bool", lanes)
        name = f"llvm.masked.store.{_suffix(dtype, lanes)}.p0"
        self.fn.declare("void", name, [kind, "ptr", "i32", flags])
        args = f"{kind} {held}, ptr {where}, i32 {align}, {flags} {mask}"
        self.fn.raw(f"call void @{name}({args})")

    def _gather(
        self, read: Any, buffer: str, position: Expr, dtype: str, mask: Value | None
    ) -> Lanes:
        if self.lanes == 1:
            raise ValueError(f"{position} needs lanes to gather")
        kind, flags = memory_type(dtype, self.lanes), llvm_type("bool", self.lanes)
        where = self._places(buffer, position, dtype)
        name = f"llvm.masked.gather.{_suffix(dtype, self.lanes)}.v{self.lanes}p0"
        self.fn.declare(kind, name, [f"<{self.lanes} x ptr>", "i32", flags, kind])
        live = mask or "splat (i1 true)"
        args = f"<{self.lanes} x ptr> {where}, i32 {dtypes.itemsize(dtype)}, {flags} {live}, "
        value = read(f"call {kind} @{name}({args}{kind} zeroinitializer)")
        return self._memory_value(value, dtype, self.lanes)

    def _places(self, buffer: str, position: Expr, dtype: str) -> Value:
        base, kind = self.pointers[buffer], memory_type(dtype)
        wide = llvm_type("int64", self.lanes)
        step = self._uniform_stride(position)
        if step is None:
            offsets = self.wide(position)
        else:  # how far the lanes are apart leaves the loop
            assert self.lane is not None
            rest = self.uniform(position - self.lane * step)
            apart = self.uniform(step)
            for offset in (rest, self.fn.val(f"mul i64 {self.base}, {apart}")):
                base = self.fn.val(f"getelementptr {kind}, ptr {base}, i64 {offset}")
            offsets = self._offsets(
                apart, self.bounds.get(step, step.value if step.is_const else -1)
            )
        return self.fn.val(f"getelementptr {kind}, ptr {base}, {wide} {offsets}")

    def _offsets(self, apart: Value, most: int) -> Value:
        """The lanes' numbers times a number; ``most`` is its limit, or negative. What fits into 32
        bits is computed there, which gathers twice as many lanes at once."""
        lanes, wide = self.lanes, llvm_type("int64", self.lanes)
        if not 0 <= most * lanes < 1 << 31:
            apart = scalars.splat(self.fn, apart, "int64", lanes)
            return self.fn.val(f"mul {wide} {apart}, {lane_numbers(lanes)}")
        short = llvm_type("int32", lanes)
        number = self.fn.val(f"trunc i64 {apart} to i32")
        number = scalars.splat(self.fn, number, "int32", lanes)
        product = self.fn.val(f"mul {short} {number}, {lane_numbers(lanes, 'int32')}")
        return self.fn.val(f"sext {short} {product} to {wide}")

    def _uniform_stride(self, position: Expr) -> Expr | None:
        """By how many elements the position moves from lane to lane, where that is one number."""
        if self.lane is None or _reads_lane(position, self.lane):
            return None
        if any(v is not self.lane and self._lanes_of(v) > 1 for v in variables(position)):
            return None
        step = coefficient(position, self.lane)
        plain = step is not None and not any(e.op in ("load", "load_if") for e in postorder([step]))
        return step if plain else None

    def store(self, buffer: str, indices: tuple[Expr, ...], value: Expr) -> None:
        """Write an element, or one per live lane."""
        dtype = value.dtype
        position = self.linear(buffer, indices)
        if self.step_of(position) == 0:
            held = scalars.to_memory(self.fn, self.uniform(value), dtype, 1)
            where = self.address(buffer, position, dtype)
            self.fn.raw(f"store {memory_type(dtype)} {held}, ptr {where}")
            return
        self.store_wide(buffer, indices, self.wide(value), dtype)

    def store_wide(self, buffer: str, indices: tuple[Expr, ...], value: Value, dtype: str) -> None:
        """Write a value of all lanes, one element per live lane."""
        position = self.linear(buffer, indices)
        stride, align = self._stride(position), dtypes.itemsize(dtype)
        held = scalars.to_memory(self.fn, value, dtype, self.lanes)
        if stride == 1:
            where = self.address(buffer, position, dtype)
            self._vector_store(held, where, dtype, self.lanes, self.mask)
            return
        if stride == -1:
            first = self.linear_at_first_lane(position, -1)
            held, mask, start = backwards(self.fn, first, self.mask, held, dtype, self.lanes)
            base = self.pointers[buffer]
            where = self.fn.val(f"getelementptr {memory_type(dtype)}, ptr {base}, i64 {start}")
            self._vector_store(held, where, dtype, self.lanes, mask)
            return
        kind, flags = memory_type(dtype, self.lanes), llvm_type("bool", self.lanes)
        where = self._places(buffer, position, dtype)
        name = f"llvm.masked.scatter.{_suffix(dtype, self.lanes)}.v{self.lanes}p0"
        target = f"<{self.lanes} x ptr>"
        self.fn.declare("void", name, [kind, target, "i32", flags])
        live = self.mask or "splat (i1 true)"
        args = f"{kind} {held}, {target} {where}, i32 {align}, {flags} {live}"
        self.fn.raw(f"call void @{name}({args})")


def _suffix(dtype: str, lanes: int) -> str:
    return suffix("int8" if dtype == "bool" else dtype, lanes)


def _depends(e: Expr, index: Expr) -> bool:
    return any(n is index for n in postorder([e]))


def _reads_lane(e: Expr, index: Expr) -> bool:
    """Whether the index occurs inside something that is no sum or product."""
    return any(
        n.op not in ("add", "sub", "mul", "neg") and any(a is index for a in postorder(n.args))
        for n in postorder([e])
    )
