"""A kernel with blocks and threads as LLVM IR for NVPTX.

The writer of the CPU's kernels writes what one thread does, one lane wide. Added here are the
numbers of block and thread, shared memory, barriers and folds over threads. A ``vector`` loop is
one access of up to 16 bytes: the schedule has seen to it that its places are neighbours and begin
at a multiple of their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from symgraph import dtypes
from symgraph.codegen.folds_llvm import Folds
from symgraph.codegen.kernel_llvm import Loops
from symgraph.codegen.literals import memory_type
from symgraph.codegen.ptx import collectives, tensor
from symgraph.codegen.ptx.ranges import Ranges
from symgraph.codegen.values import Lanes, Values
from symgraph.codegen.writer import Builder, FunctionWriter, ModuleWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.launch import WARP, Launch, launch
from symgraph.loops.statements import Alloc, Barrier, Fold, For, Kernel, Let, Stmt, Store, walk
from symgraph.scalar import Expr, depends, postorder, var

TRIPLE = "nvptx64-nvidia-cuda"
ALIGNMENT = 16  # bytes to which every buffer's address is a multiple, where the program says so
_VECTOR_BITS = 128
_UNROLLED = 32  # turns of a recurrence
_HELD = 16  # turns of another loop
_SHARED = "addrspace(3) "
_NARROW = {"add": "add", "sub": "sub", "mul": "mul", "floordiv": "udiv", "mod": "urem"}
_ANNOTATIONS = 90  # the number of the module's first metadata node; the writer's own are smaller


class DeviceModule(ModuleWriter):
    """A module for one kernel. Functions of ours become part of their callers: a call on a GPU
    passes all its values through memory."""

    def add(self, fn: FunctionWriter) -> FunctionWriter:
        fn.hides_counters = False
        return super().add(fn)

    def once(
        self, name: str, params: Sequence[tuple[str, str, str]], ret: str, build: Builder,
        attributes: str = "",
    ) -> str:  # fmt: skip
        words = [w for w in attributes.split() if w not in ("noinline", "optnone", "cold")]
        return super().once(name, params, ret, build, " ".join(["alwaysinline", *words]))


def kernel_text(
    kernel: Kernel, apart: bool = False, aligned: bool = False, number: int = tensor.OLDEST
) -> str:
    """The module of a kernel: ``ptx_kernel void name(ptr params..., i64 sizes...)``.

    ``apart``: what is written never lies in the memory of another parameter; ``aligned``: all
    addresses are multiples of ALIGNMENT; ``number`` is that of the architecture: those before
    tensor cores with float32 sums add turn by turn. Raises ValueError for a kernel without blocks
    and threads.
    """
    found = launch(kernel)
    if found is None:
        raise ValueError(f"{kernel.name} has no blocks and threads")
    module = DeviceModule()
    written = {s.buffer for s in walk(kernel.body) if isinstance(s, Store)}
    params = [("ptr", p.name, _attributes(p, p.name in written, apart, aligned))
              for p in kernel.params]  # fmt: skip
    params += [("i64", f"n{k}", "") for k in range(len(kernel.sizes))]
    fn = module.function(kernel.name, params, "void", "ptx_kernel", "nounwind")
    shapes = {p.name: p.shape for p in kernel.params}
    values = _DeviceValues(fn, module, shapes, {p.name: f"%{p.name}" for p in kernel.params},
                           written)  # fmt: skip
    values.ranges, values.halves = Ranges(kernel), {}
    for k, name in enumerate(kernel.sizes):
        values.bind(var(name), (f"%n{k}", 1))
    _DeviceLoops(values, kernel, found, number >= tensor.OLDEST).body(kernel.body)
    head = f'target triple = "{TRIPLE}"\n'
    note = f'!{{ptr @{kernel.name}, !"maxntidx", i32 {found.threads}}}'
    tail = f"\n!nvvm.annotations = !{{!{_ANNOTATIONS}}}\n!{_ANNOTATIONS} = {note}\n"
    return head + module.text() + tail


def _attributes(p: Any, written: bool, apart: bool, aligned: bool) -> str:
    words = ["noalias"] * apart + ["readonly"] * (not written)
    align = max(ALIGNMENT if aligned else 1, dtypes.itemsize(dtypes.real_of(p.dtype)))
    return " ".join([*words, f"align {align}"])


class _DeviceValues(Values):
    """Whole vectors are aligned to their size; small indices are computed in 32 bits."""

    apart = False  # small parts of an address are computed in 32 bits
    ranges: Ranges
    halves: dict[Value, Value]  # of numbers that have been widened

    def _one(self, e: Expr) -> Lanes:
        if not self.ranges.narrow(e):
            return super()._one(e)
        parts = [self.known[a] for a in e.args]
        if any(lanes != 1 for _, lanes in parts):
            return super()._one(e)
        a, b = (self._half(v) for v, _ in parts)
        if e.op in ("minimum", "maximum"):
            word = "umin" if e.op == "minimum" else "umax"
            self.fn.declare("i32", f"llvm.{word}.i32", ["i32", "i32"])
            value = self.fn.val(f"call i32 @llvm.{word}.i32(i32 {a}, i32 {b})")
        else:
            value = self.fn.val(f"{_NARROW[e.op]} i32 {a}, {b}")
        return self.widened(value), 1

    def widened(self, half: Value) -> Value:
        """A small number in 64 bits."""
        whole = self.fn.val(f"zext i32 {half} to i64")
        self.halves[whole] = half
        return whole

    def _half(self, whole: Value) -> Value:
        if whole.isdigit():
            return whole
        return self.halves.get(whole) or self.fn.val(f"trunc i64 {whole} to i32")

    def _held(self, read: Any, where: Value, dtype: str, mask: Value | None, lanes: int) -> Value:
        if mask is not None:
            return super()._held(read, where, dtype, mask, lanes)
        kind, align = memory_type(dtype, lanes), dtypes.itemsize(dtype) * lanes
        return str(read(f"load {kind}, ptr {where}, align {align}"))

    def vector_store(
        self, held: Value, where: Value, dtype: str, lanes: int, mask: Value | None
    ) -> None:
        if mask is not None:
            super().vector_store(held, where, dtype, lanes, mask)
            return
        kind, align = memory_type(dtype, lanes), dtypes.itemsize(dtype) * lanes
        self.fn.raw(f"store {kind} {held}, ptr {where}, align {align}")

    def address(self, buffer: str, position: Expr, dtype: str) -> Value:
        """Shared memory keeps its address space, from which LLVM knows its alignment."""
        base, kind = self.pointers[buffer], memory_type(dtype)
        if not base.startswith(_SHARED):
            return super().address(buffer, position, dtype)
        first = self.linear_at_first_lane(position) if self._moves(position) else None
        offset = self.uniform(position) if first is None else first
        if offset == "0":
            return base
        return _SHARED + self.fn.val(f"getelementptr {kind}, ptr {base}, i64 {offset}")

    def _moves(self, position: Expr) -> bool:
        return self.lane is not None and depends(position, self.lane)

    meetings = 0  # how often memory was forgotten

    @contextmanager
    def inside(self) -> Iterator[None]:
        before = self.meetings
        with super().inside():
            yield
        if self.meetings != before:
            self.forget_memory()

    def store(self, buffer: str, indices: tuple[Expr, ...], value: Expr) -> None:
        super().store(buffer, indices, value)
        self.forget_memory()

    def forget_memory(self) -> None:
        """This thread or others have written since: what was read there is not known any more."""
        self.meetings += 1
        kept: dict[Expr, Any] = {}
        stale: set[Expr] = set()
        for e, value in self.known.items():
            if not self._reads_written(e, stale):
                kept[e] = value
        self.known = kept

    def _reads_written(self, e: Expr, stale: set[Expr]) -> bool:
        for n in postorder([e]):
            mine = n.op in ("load", "load_if") and n.attr in self.stored
            if mine or any(a in stale for a in n.args):
                stale.add(n)
        return e in stale


class _DeviceLoops(Loops):
    """Statements of one thread; the loops over blocks and threads are their numbers."""

    values: _DeviceValues

    def __init__(
        self, values: _DeviceValues, kernel: Kernel, found: Launch, tensor_cores: bool
    ) -> None:
        super().__init__(values, kernel, _VECTOR_BITS)
        self.tensor_cores = tensor_cores
        self.kernel, self.launch = kernel, found
        self.folds = 0

    def body(self, statements: Sequence[Stmt]) -> None:
        waiting: list[Stmt] = []
        for s in statements:
            if not _is_own(s):
                waiting.append(s)
                continue
            super().body(waiting)
            waiting = []
            self._own(s)
        super().body(waiting)

    def _own(self, s: Stmt) -> None:
        match s:
            case Barrier():
                collectives.barrier(self.fn)
                self.values.forget_memory()
            case For():
                self._bound(s)
            case Fold():
                self._fold_of_threads(s)

    def _bound(self, s: For) -> None:
        register = "ctaid" if s.kind == "grid" else "tid"
        if s.kind == "grid":
            for a in self.launch.shared:
                self._share(a)
        narrow = collectives.register(self.fn, f"{register}.x")
        number = self.values.widened(narrow)
        with self.values.inside():
            self.values.bind(s.index, (number, 1))
            self.body([x for x in s.body if s.kind == "block" or not isinstance(x, Alloc)])

    def _share(self, a: Alloc) -> None:
        count = elements(a.shape)
        assert isinstance(count, int)
        kind = f"[{max(1, count)} x {memory_type(a.dtype)}]"
        name = self.module.global_(
            f"shared_{a.buffer}", f"internal addrspace(3) global {kind} undef, align {ALIGNMENT}"
        )
        self.values.shapes[a.buffer] = a.shape
        self.values.pointers[a.buffer] = _SHARED + name

    def _fold_of_threads(self, s: Fold) -> None:
        given = [self.values.uniform(v) for v in s.values]
        room = f"shared_fold{self.folds}"
        self.folds += 1
        threads = self.launch.threads if s.kind == "block" else WARP
        results = collectives.fold(self, s, given, threads, room)
        self.values.forget_memory()
        for name, value in zip(s.names, results, strict=True):
            self.values.bind(name, (value, 1))

    def _for(self, s: For) -> None:
        self._forget_before(s)
        if not self._is_short(s):
            super()._for(s)
            return
        self._hoist(s)
        assert isinstance(s.extent, int)
        for k in range(s.extent):
            with self.values.inside():
                self.values.bind(s.index, (str(k), 1))
                self.body(s.body)

    def _is_short(self, s: For | Fold) -> bool:
        """Whether a loop is written turn by turn, so that its loads are on their way together, and
        what one loop has read or computed of a row stays in registers for the next."""
        short = isinstance(s.extent, int) and s.extent <= _HELD and s.kind == "serial"
        nested = [x for x in walk(s.body) if isinstance(x, For | Fold)]
        alone = self.values.lanes == 1
        return short and alone and all(x.kind == "vector" for x in nested)

    def _folds(self, folds: list[Fold]) -> None:
        for s in folds:
            self._forget_before(s)
        if not all(s.combiner != "next" and self._is_short(s) for s in folds):
            super()._folds(folds)
            return
        for s in folds:
            self._short_fold(s)

    def _short_fold(self, s: Fold) -> None:
        """The turns of a fold one after another."""
        assert isinstance(s.extent, int)
        self._hoist(s)
        writer = Folds(cast(Any, self), [s], str(s.extent))
        total = [neutral for _, neutral in writer.start(s)]
        for k in range(s.extent):
            with self.values.inside():
                self.values.bind(s.index, (str(k), 1))
                self.body(s.body)
                part = [self.values.uniform(v) for v in s.values]
                total = writer.combined(s, total, part)
        for name, value in zip(s.names, total, strict=True):
            self.values.bind(name, (value, 1))

    def _recurrence(self, s: Fold, extent: Value) -> None:
        """Short ones without loops inside are written turn by turn, so that what a turn reads is on
        its way while the one before computes."""
        if s.kind == "tensor" and self.tensor_cores:
            tensor.emit(self, s)
            return
        plain = all(isinstance(x, Let) for x in s.body)
        if not (extent.isdigit() and int(extent) <= _UNROLLED and plain and s.body):
            super()._recurrence(s, extent)
            return
        carried = [self.values.uniform(v) for v in s.starts]
        for k in range(int(extent)):
            with self.values.inside():
                self.values.bind(s.index, (str(k), 1))
                for name, value in zip(s.names, carried, strict=True):
                    self.values.bind(name, (value, 1))
                self.body(s.body)
                carried = [self.values.uniform(v) for v in s.values]
        for name, value in zip(s.names, carried, strict=True):
            self.values.bind(name, (value, 1))

    def _forget_before(self, s: For | Fold) -> None:
        """A turn must not use what was read before the loop and is written in the turn before."""
        if any(isinstance(x, Store | Barrier) for x in walk(s.body)):
            self.values.forget_memory()

    def _lanes(self, s: For | Fold) -> int:
        assert isinstance(s.extent, int)
        return s.extent


def _is_own(s: Stmt) -> bool:
    if isinstance(s, For | Fold):
        return s.kind in ("grid", "block", "warp")
    return isinstance(s, Barrier)
