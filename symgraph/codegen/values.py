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
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.loops.statements import Size
from symgraph.scalar import Expr, as_expr, coefficient, const, postorder, variables

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
        self.lane: Expr | None = None
        self.lanes = 1
        self.base: Value = "0"
        self.mask: Value | None = None

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
        total, stride = const(0), const(1)
        for index, size in zip(reversed(indices), reversed(self.shapes[buffer]), strict=True):
            total = total + index * stride
            stride = stride * as_expr(size)
        return total

    def step_of(self, position: Expr) -> int | None:
        """By how many elements the position moves from lane to lane: 0, 1, or None for other."""
        if self.lane is None:
            return 0
        varies = any(v is not self.lane and self._lanes_of(v) > 1 for v in variables(position))
        step = None if varies else coefficient(position, self.lane)
        if step is None or _reads_lane(position, self.lane):
            return None if varies or _depends(position, self.lane) else 0
        return step.value if step.is_const and step.value in (0, 1) else None

    def _lanes_of(self, v: Expr) -> int:
        return self.known[v][1] if v in self.known else 1

    def address(self, buffer: str, position: Expr, dtype: str) -> Value:
        """The address of the element, for the first lane when the lane index occurs."""
        if self.lane is not None and _depends(position, self.lane):
            first = self.linear_at_first_lane(position)
        else:
            first = self.uniform(position)
        base = self.pointers[buffer]
        if first == "0":
            return base
        return self.fn.val(f"getelementptr {memory_type(dtype)}, ptr {base}, i64 {first}")

    def linear_at_first_lane(self, position: Expr) -> Value:
        """The position with the lane index removed, plus the loop's base: one add per access."""
        assert self.lane is not None
        rest = self.uniform(position - self.lane)
        return self.base if rest == "0" else self.fn.val(f"add i64 {rest}, {self.base}")

    def _load(self, e: Expr, indices: tuple[Expr, ...], cond: Lanes | None) -> Lanes:
        buffer, dtype = e.attr, e.dtype
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
            return self._vector_load(read, where, dtype, mask)
        return self._gather(read, buffer, position, dtype, mask)

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
        zero = "0.0" if dtypes.is_float(dtype) else "0"

        def read() -> list[Value]:
            with self.inside():
                where = self.address(buffer, position, dtype)
                return [self.fn.fresh(f"load {kind}, ptr {where}")]

        (value,) = self.fn.if_(cond, read, lambda: [zero], [kind])
        return self._memory_value(value, dtype, 1)

    def _vector_load(self, read: Any, where: Value, dtype: str, mask: Value | None) -> Lanes:
        kind, align = memory_type(dtype, self.lanes), dtypes.itemsize(dtype)
        if mask is None:
            return self._memory_value(
                read(f"load {kind}, ptr {where}, align {align}"), dtype, self.lanes
            )
        name = f"llvm.masked.load.{_suffix(dtype, self.lanes)}.p0"
        flags = llvm_type("bool", self.lanes)
        self.fn.declare(kind, name, ["ptr", "i32", flags, kind])
        args = f"ptr {where}, i32 {align}, {flags} {mask}, {kind} zeroinitializer"
        return self._memory_value(read(f"call {kind} @{name}({args})"), dtype, self.lanes)

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
        offsets = self.wide(position)
        base = self.pointers[buffer]
        wide = llvm_type("int64", self.lanes)
        return self.fn.val(f"getelementptr {memory_type(dtype)}, ptr {base}, {wide} {offsets}")

    def store(self, buffer: str, indices: tuple[Expr, ...], value: Expr) -> None:
        """Write an element, or one per live lane."""
        dtype = value.dtype
        position = self.linear(buffer, indices)
        step = self.step_of(position)
        align = dtypes.itemsize(dtype)
        if step == 0:
            held = scalars.to_memory(self.fn, self.uniform(value), dtype, 1)
            where = self.address(buffer, position, dtype)
            self.fn.raw(f"store {memory_type(dtype)} {held}, ptr {where}")
            return
        held = scalars.to_memory(self.fn, self.wide(value), dtype, self.lanes)
        kind, flags = memory_type(dtype, self.lanes), llvm_type("bool", self.lanes)
        if step == 1:
            where = self.address(buffer, position, dtype)
            if self.mask is None:
                self.fn.raw(f"store {kind} {held}, ptr {where}, align {align}")
                return
            name, target = f"llvm.masked.store.{_suffix(dtype, self.lanes)}.p0", "ptr"
        else:
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
