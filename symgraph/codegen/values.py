"""Scalar expressions inside loops as LLVM values: uniform ones as scalars, others as lanes.

Legend: *lane* is the index of the loop that runs as vectors; a value of one lane is the same for
all lanes. The address of a load is a polynomial of the indices: its coefficient at the lane index
says whether to read one element for all lanes (0), neighbours (1), or to gather.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from symgraph import dtypes
from symgraph.codegen import scalar_llvm as scalars
from symgraph.codegen.counts_llvm import is_count, quotient
from symgraph.codegen.literals import constant, lane_numbers, llvm_type, memory_type, suffix
from symgraph.codegen.strides_llvm import PICKED, STRIDES, UNDER_MASK, backwards, strided
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.loops.statements import Size
from symgraph.runtime.later import Later
from symgraph.scalar import Expr, as_expr, coefficient, const, depends, postorder, variables
from symgraph.scalar.polynomial import Polynomial, build, polynomial

if TYPE_CHECKING:
    from symgraph.codegen import ahead_llvm, near_rows_llvm, quotients_llvm, tuples_llvm
else:
    near_rows_llvm = Later("symgraph.codegen.near_rows_llvm")
    quotients_llvm = Later("symgraph.codegen.quotients_llvm")
    tuples_llvm = Later("symgraph.codegen.tuples_llvm")

FEW = (2, 3, 4)  # elements of a last axis that are read and written together
_LATER = 1 << 30  # the level of names that are not bound yet
Lanes = tuple[Value, int]  # a value and its number of lanes: 1, or that of the vector loop


class Values:
    """Emits the expressions of one function; ``pointers`` are the addresses of its buffers."""

    apart = True  # whether addresses are made part by part

    def __init__(
        self, fn: FunctionWriter, module: ModuleWriter, shapes: dict[str, tuple[Size, ...]],
        pointers: dict[str, Value], stored: set[str],
    ) -> None:  # fmt: skip
        self.fn, self.module = fn, module
        self.shapes, self.pointers, self.stored = shapes, pointers, stored
        self.known: dict[Expr, Lanes] = {}
        self.level = 0  # of blocks within blocks
        self.levels: dict[Expr, int] = {}  # where names were bound
        self.inverses: dict[Expr, quotients_llvm.Inverse] = {}  # of what loops divide by
        self.counts: set[Expr] = set()  # names of what is never negative
        self.places: dict[tuple[tuple[Expr, ...], tuple[Size, ...]], Expr] = {}
        self.lane: Expr | None = None
        self.lanes = 1
        self.wide_names = False  # whether some name has stood for a value of several lanes
        self.base: Value = "0"
        self.mask: Value | None = None
        self.left: Value = ""  # how many lanes are live, or more than there are, where it is known
        self.near = False  # whether gathers read for the others what the last of them reads
        self.bounds: dict[Expr, int] = {}  # sizes that are known not to exceed a number here
        self.rooms: set[str] = set()  # buffers on the stack
        self.ahead: ahead_llvm.Ahead | None = None  # what the rows of the present loop ask for
        self.candidates: frozenset[str] = frozenset()  # results to write past the caches if large
        self.streams: dict[str, Value] = {}  # those of the present loop: whether to do so
        self.in_rows: dict[tuple[str, Expr], Value] = {}  # where rows are loops: by their columns
        self.streamed: dict[str, str] = {}  # the first of each such loop, and its dtype

    # context --------------------------------------------------------------------------------------

    @contextmanager
    def inside(self) -> Iterator[None]:
        """A block: what is made in it is not known after it."""
        saved, inverses = self.known, self.inverses
        self.known, self.inverses = dict(saved), dict(inverses)
        self.level += 1
        try:
            yield
        finally:
            self.known, self.inverses = saved, inverses
            self.level -= 1

    @contextmanager
    def vector(
        self, lane: Expr, lanes: int, base: Value, mask: Value | None, left: Value = "",
        near: bool = False,
    ) -> Iterator[None]:  # fmt: skip
        """A block in which ``lane`` stands for base, base+1, ...; ``mask`` marks the live lanes,
        the first ``left`` of them if that is given."""
        with self.inside():
            before = self.lane, self.lanes, self.base, self.mask, self.left, self.near
            self.lane, self.lanes, self.base, self.mask, self.left = lane, lanes, base, mask, left
            self.near = near
            self.levels[lane] = self.level
            self.counts.add(lane)
            yield
            self.lane, self.lanes, self.base, self.mask, self.left, self.near = before

    def bind(self, name: Expr, value: Lanes, count: bool = False) -> None:
        """Let a variable stand for a value; ``count``: a size or an index, never negative."""
        self.known[name] = value
        self.levels[name] = self.level
        (self.counts.add if count else self.counts.discard)(name)
        if value[1] > 1:
            self.wide_names = True

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
        if e.op == "div" and e.args[1] in self.inverses and parts[0][1] == self.lanes > 1:
            by = self.inverses[e.args[1]]
            return quotients_llvm.quotient(self.fn, e.dtype, lanes, parts[0][0], by), lanes
        args = [
            v if n == lanes else scalars.splat(self.fn, v, a.dtype, lanes)
            for (v, n), a in zip(parts, e.args, strict=True)
        ]
        if e.op in ("floordiv", "mod") and lanes == 1 and self.are_counts(*e.args):
            return quotient(self.fn, e.op, *args), 1
        kinds = [a.dtype for a in e.args]
        value = scalars.emit(self.fn, self.module, e.op, e.dtype, lanes, args, kinds, e.attr)
        return value, lanes

    def are_counts(self, *parts: Expr) -> bool:
        """Whether all are made of sizes and indices so that they cannot be negative."""
        return all(is_count(e, self.counts) for e in parts)

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
        step = self.stride(position)
        return step if step in (0, 1) else None

    def stride(self, position: Expr) -> int | None:
        """The same for any constant number of elements."""
        if self.lane is None:
            return 0
        varies = self._varies(position)
        step = None if varies else coefficient(position, self.lane)
        if step is None:
            return None if varies or depends(position, self.lane) else 0
        return step.value if step.is_const else None

    def _varies(self, e: Expr) -> bool:
        """Whether anything but the lane index differs between lanes."""
        if not self.wide_names:
            return False
        return any(v is not self.lane and self._lanes_of(v) > 1 for v in variables(e))

    def moves(self, v: Expr) -> bool:
        """Whether a variable differs between lanes."""
        return v is self.lane or self._lanes_of(v) > 1

    def _lanes_of(self, v: Expr) -> int:
        return self.known[v][1] if v in self.known else 1

    def address(self, buffer: str, position: Expr, dtype: str) -> Value:
        """The address of the element, for the first lane when the lane index occurs. What inner
        blocks do not change comes first, so that it leaves their loops."""
        base, kind = self.pointers[buffer], memory_type(dtype)
        for _, part in self._parts(position):
            offset = self.base if part is self.lane else self.uniform(part)
            if offset != "0":
                base = self.fn.val(f"getelementptr {kind}, ptr {base}, i64 {offset}")
        return base

    def begin_address(self, buffer: str, indices: tuple[Expr, ...], dtype: str) -> None:
        """The part of an address that the loop which follows does not change."""
        position, base = self.linear(buffer, indices), self.pointers[buffer]
        for level, part in self._parts(position):
            if level == _LATER or any(e.op in ("load", "load_if") for e in postorder([part])):
                return
            offset = self.base if part is self.lane else self.uniform(part)
            if offset != "0":
                base = self.fn.val(f"getelementptr {memory_type(dtype)}, ptr {base}, i64 {offset}")

    def _parts(self, position: Expr) -> list[tuple[int, Expr]]:
        """A position as a sum, by the blocks in which the terms are known; the lane index is one
        of them."""
        lane = self.lane
        if not self.apart:
            moves = lane is not None and depends(position, lane)
            return [(0, position - lane), (0, lane)] if moves and lane else [(0, position)]
        terms = polynomial(position)
        groups: dict[int, Polynomial] = {}
        for m, c in terms.items():
            level = max([self._level(x) for x in m], default=0)
            groups.setdefault(level, {})[m] = c
        out = []
        for level in sorted(groups):
            group = groups[level]
            if lane is not None and group.get((lane,)) == 1:
                rest = {m: c for m, c in group.items() if m != (lane,)}
                out += [(level, build(rest))] * bool(rest) + [(level, lane)]
            else:
                out.append((level, build(group) if len(groups) > 1 else position))
        return out

    def _level(self, e: Expr) -> int:
        """The innermost block that binds a variable of an expression."""
        if e.op == "var":
            return self.levels.get(e, _LATER) if e in self.known or e is self.lane else _LATER
        return max([self._level(v) for v in variables(e)], default=0)

    def linear_at_first_lane(self, position: Expr, step: int = 1) -> Value:
        """The position with the lane index removed, plus the loop's base: one add per access."""
        assert self.lane is not None
        rest = self.uniform(position - self.lane * step)
        base = self.base if step == 1 else self.fn.val(f"mul i64 {self.base}, {step}")
        return base if rest == "0" else self.fn.val(f"add i64 {rest}, {base}")

    def _load(self, e: Expr, indices: tuple[Expr, ...], cond: Lanes | None) -> Lanes:
        buffer, dtype = e.attr, e.dtype
        if indices and self.shapes[buffer][-1] in FEW:
            few = tuples_llvm.size(self, buffer, indices)
            found = tuples_llvm.load(self, e, indices, few, cond) if few else None
            if found is not None:
                return found
        position = self.linear(buffer, indices)
        step = self.step_of(position)
        read = self.fn.fresh if buffer in self.stored else self.fn.val
        if cond is None and step == 0:
            where = self.address(buffer, position, dtype)
            return self._memory_value(read(f"load {memory_type(dtype)}, ptr {where}"), dtype, 1)
        if step == 0 and cond is not None and cond[1] == 1:
            return self._guarded_scalar(buffer, position, dtype, cond[0])
        mask = self.live(cond) if cond is not None else self._mask_of(buffer, position)
        if step == 1:
            where = self.address(buffer, position, dtype)
            return self.vector_load(read, where, dtype, mask, self.lanes)
        stride = self.stride(position)
        if self.lanes > 1 and stride in self._strides(mask):
            return self._strided(read, buffer, position, dtype, mask, stride)
        return self._gather(read, buffer, position, dtype, mask)

    def _strides(self, mask: Value | None) -> tuple[int, ...]:
        """The steps from lane to lane that are read as neighbours."""
        if mask is None:
            return STRIDES
        return UNDER_MASK if self._counted(mask) else PICKED

    def _counted(self, mask: Value | None) -> bool:
        """Whether a mask marks the first lanes, and how many of them is known."""
        return mask is not None and mask == self.mask and self.left != ""

    def last_lane(self) -> Value:
        """The number of the last live lane, where that of live lanes is known."""
        live = [("i64", self.left), ("i64", str(self.lanes))]
        return self.fn.val(f"add i64 {self.fn.call('i64', 'llvm.smin.i64', live)}, -1")

    def _strided(
        self, read: Any, buffer: str, position: Expr, dtype: str, mask: Value | None, stride: int
    ) -> Lanes:
        kind, base = memory_type(dtype, self.lanes), self.pointers[buffer]

        def load(first: Value, live: Value | None) -> Value:
            where = self.fn.val(f"getelementptr {memory_type(dtype)}, ptr {base}, i64 {first}")
            return self._held(read, where, dtype, live, self.lanes)

        first, last = self.linear_at_first_lane(position, stride), ""
        if stride > 0 and self._counted(mask):
            last = self.fn.val(f"mul i64 {self.last_lane()}, {stride}")
        held = strided(self.fn, stride, first, mask, load, kind, self.lanes, last)
        return self._memory_value(held, dtype, self.lanes)

    def _mask_of(self, buffer: str, position: Expr) -> Value | None:
        """The loop's mask, without which whole registers of a buffer on the stack are touched."""
        shape = self.shapes[buffer]
        whole = buffer in self.rooms and position is self.lane and len(shape) == 1
        return None if whole and as_expr(shape[0]).value % self.lanes == 0 else self.mask

    def _memory_value(self, value: Value, dtype: str, lanes: int) -> Lanes:
        return scalars.from_memory(self.fn, value, dtype, lanes), lanes

    def live(self, cond: Lanes | None) -> Value | None:
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

    def vector_load(
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

    def vector_store(
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

    def _store_streaming(self, flag: Value, held: Value, where: Value, dtype: str) -> None:
        """A whole vector: past the caches where the flag holds, which says that it is aligned."""
        kind = memory_type(dtype, self.lanes)
        past = f"store {kind} {held}, ptr {where}, align 64, !nontemporal !2"
        self.fn.if_(
            flag, lambda: self.fn.raw(past),
            lambda: self.vector_store(held, where, dtype, self.lanes, None), likely=False,
        )  # fmt: skip

    def _gather(
        self, read: Any, buffer: str, position: Expr, dtype: str, mask: Value | None
    ) -> Lanes:
        if self.lanes == 1:
            raise ValueError(f"{position} needs lanes to gather")
        step = self.uniform_stride(position)

        def scattered() -> list[Value]:
            where = self.places_of(buffer, position, dtype)
            return [self.gathered(read, where, dtype, dtypes.itemsize(dtype), mask)]

        if self.near and mask == self.mask and step is not None and self._is_near(step):
            mask = None  # places are repeated
            if near_rows_llvm.fits(self, dtype, self.most(step)):
                first, apart = self.first_place(buffer, position, dtype, step)
                offsets = self._offsets(step, True)
                words = self, first, apart, offsets, dtype, scattered
                return self._memory_value(near_rows_llvm.load(*words), dtype, self.lanes)
        return self._memory_value(scattered()[0], dtype, self.lanes)

    def gathered(
        self, read: Any, where: Value, dtype: str, align: int, mask: Value | None
    ) -> Value:
        """What lies at the lanes' addresses; 0 where the mask does not hold."""
        kind, flags = memory_type(dtype, self.lanes), llvm_type("bool", self.lanes)
        name = f"llvm.masked.gather.{_suffix(dtype, self.lanes)}.v{self.lanes}p0"
        self.fn.declare(kind, name, [f"<{self.lanes} x ptr>", "i32", flags, kind])
        live = mask or "splat (i1 true)"
        args = f"<{self.lanes} x ptr> {where}, i32 {align}, {flags} {live}, "
        return str(read(f"call {kind} @{name}({args}{kind} zeroinitializer)"))

    def reads_neighbours(
        self, buffer: str, indices: tuple[Expr, ...], lanes: Sequence[Expr]
    ) -> bool:
        """Whether an access is to one element or to neighbours, whichever of some indices runs
        through the lanes."""
        position = self.linear(buffer, indices)
        steps = (coefficient(position, v) for v in lanes)
        return not self._varies(position) and all(s in (const(0), const(1)) for s in steps)

    def begin_gather(self, buffer: str, indices: tuple[Expr, ...]) -> None:
        """What a gather needs that no turn of the loops inside changes: how far its lanes are from
        the first one. Nothing for a load of another kind."""
        position = self.linear(buffer, indices)
        stride = self.stride(position)
        if stride is not None and (stride in (0, 1) or stride in self._strides(self.mask)):
            return
        step = self.uniform_stride(position)
        if step is not None and all(v in self.known for v in variables(step)):
            self._offsets(step, True)

    def places_of(self, buffer: str, position: Expr, dtype: str) -> Value:
        """The addresses of the lanes' elements."""
        base, kind = self.pointers[buffer], memory_type(dtype)
        wide = llvm_type("int64", self.lanes)
        step = self.uniform_stride(position)
        if step is None:
            offsets = self.wide(position)
        else:  # how far the lanes are apart leaves the loop
            base, _ = self.first_place(buffer, position, dtype, step)
            offsets = self._offsets(step)
        return self.fn.val(f"getelementptr {kind}, ptr {base}, {wide} {offsets}")

    def first_place(
        self, buffer: str, position: Expr, dtype: str, step: Expr
    ) -> tuple[Value, Value]:
        """The address of the first lane's element, and how far the lanes are apart."""
        assert self.lane is not None
        base, apart = self.pointers[buffer], self.uniform(step)
        parts = self._parts(position - self.lane * step)
        where = self.levels[self.lane]
        for _, part in sorted([*parts, (where, self.lane)], key=lambda p: p[0]):
            own = part is self.lane
            offset = self.fn.val(f"mul i64 {self.base}, {apart}") if own else self.uniform(part)
            base = self.fn.val(f"getelementptr {memory_type(dtype)}, ptr {base}, i64 {offset}")
        return base, apart

    def _offsets(self, step: Expr, begin: bool = False) -> Value:
        """The lanes' numbers times a number. What is known to fit into 32 bits is computed there,
        which gathers twice as many lanes at once."""
        apart, lanes, wide = self.uniform(step), self.lanes, llvm_type("int64", self.lanes)
        if not self._is_near(step):
            apart = scalars.splat(self.fn, apart, "int64", lanes)
            return self.fn.val(f"mul {wide} {apart}, {lane_numbers(lanes)}")
        short = llvm_type("int32", lanes)
        number = self.fn.val(f"trunc i64 {apart} to i32")
        number = scalars.splat(self.fn, number, "int32", lanes)
        numbers = lane_numbers(lanes, "int32")
        if self.near:
            last = self.fn.val(f"trunc i64 {self.fn.val(f'add i64 {self.left}, -1')} to i32")
            last = scalars.splat(self.fn, last, "int32", lanes)
            name = f"llvm.umin.v{lanes}i32"
            numbers = self.fn.call(short, name, [(short, last), (short, numbers)])
        product = self.fn.val(f"mul {short} {number}, {numbers}")
        if begin:  # only in the block of the gather is it seen that the numbers are short
            return product
        return self.fn.val(f"sext {short} {product} to {wide}")

    def _is_near(self, step: Expr) -> bool:
        """Whether lanes so far apart are known to be reached by 32 bits."""
        return 0 <= self.most(step) * self.lanes < 1 << 31

    def most(self, step: Expr) -> int:
        """A number that a size is known not to exceed, -1 where none is."""
        return int(self.bounds.get(step, step.value if step.is_const else -1))

    def uniform_stride(self, position: Expr) -> Expr | None:
        """By how many elements the position moves from lane to lane, where that is one number."""
        if self.lane is None or self._varies(position):
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
        stride, align = self.stride(position), dtypes.itemsize(dtype)
        held = scalars.to_memory(self.fn, value, dtype, self.lanes)
        if stride == 1:
            where = self.address(buffer, position, dtype)
            mask = self._mask_of(buffer, position)
            if mask is None and buffer in self.streams:
                self._store_streaming(self.streams[buffer], held, where, dtype)
            else:
                self.vector_store(held, where, dtype, self.lanes, mask)
            return
        if stride == -1:
            first = self.linear_at_first_lane(position, -1)
            held, mask, start = backwards(self.fn, first, self.mask, held, dtype, self.lanes)
            base = self.pointers[buffer]
            where = self.fn.val(f"getelementptr {memory_type(dtype)}, ptr {base}, i64 {start}")
            self.vector_store(held, where, dtype, self.lanes, mask)
            return
        kind, flags = memory_type(dtype, self.lanes), llvm_type("bool", self.lanes)
        where = self.places_of(buffer, position, dtype)
        name = f"llvm.masked.scatter.{_suffix(dtype, self.lanes)}.v{self.lanes}p0"
        target = f"<{self.lanes} x ptr>"
        self.fn.declare("void", name, [kind, target, "i32", flags])
        live = self.mask or "splat (i1 true)"
        args = f"{kind} {held}, {target} {where}, i32 {align}, {flags} {live}"
        self.fn.raw(f"call void @{name}({args})")


def _suffix(dtype: str, lanes: int) -> str:
    return suffix("int8" if dtype == "bool" else dtype, lanes)
