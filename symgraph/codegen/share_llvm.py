"""Kernels and copies done by the team of threads where they are large, else by a plain call.

A phase's kernel takes the range of turns as its last two sizes. For the team each kernel has a
function that reads the kernel's address and arguments from a context:

    memory for the threads | kernel | arguments | bytes for a thread | bytes of each private buffer
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgraph import dtypes
from symgraph.codegen import team_llvm
from symgraph.codegen.library_llvm import library_functions
from symgraph.codegen.tables import Table
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.cost import AWAKE
from symgraph.loops.memory import ALIGNMENT
from symgraph.loops.program import Buffer, Phase
from symgraph.loops.statements import Param, Size
from symgraph.scalar import as_expr, as_size

COPIED = 20_000  # bytes that one thread copies in a microsecond
PAGE = 4096

Words = list[tuple[str, Value]]


class Sharing:
    """The functions of one module that the team runs. ``least``: from how many picoseconds of work
    on threads are woken; those that are awake take part earlier."""

    def __init__(self, module: ModuleWriter, table: Table, least: int) -> None:
        self.module, self.table, self.least = module, table, least
        self.bodies: dict[str, str] = {}

    def phase(
        self, fn: FunctionWriter, values: Values, phase: Phase, address: Value, words: Words,
        after: Callable[[], None],
    ) -> None:  # fmt: skip
        """All turns of a phase. ``words`` are the kernel's arguments but for the range, and
        ``after`` writes what follows a run of the team."""
        turns, cost = values.uniform(phase.turns or 0), values.uniform(phase.cost)
        whole = typed(between(phase, words, "0", turns))

        def alone() -> None:
            fn.raw(f"call void {address}({whole})")

        def team() -> list[Value]:
            with values.inside():
                return [self._share(fn, values, phase, address, words, turns, cost)]

        least = self.least // AWAKE
        if cost.isdigit() and int(cost) < least:
            alone()
            return
        large = fn.val(f"icmp sge i64 {cost}, {least}")
        (done,) = fn.if_(large, team, lambda: ["0"], ["i32"])
        fn.if_(fn.fresh(f"icmp ne i32 {done}, 0"), after, alone, likely=False)

    def _share(
        self, fn: FunctionWriter, values: Values, phase: Phase, address: Value, words: Words,
        turns: Value, cost: Value,
    ) -> Value:  # fmt: skip
        rooms = [room_of(values, phase.kernel.params[k]) for k in phase.private]
        total = rooms[0] if rooms else "0"
        for size in rooms[1:]:
            total = fn.val(f"add i64 {total}, {size}")
        context = team_llvm.pack(fn, context_of(address, words, total, rooms))
        return team_llvm.share(
            fn,
            self.table,
            self.body(phase),
            context,
            turns,
            cost,
            self.least,
            phase.multiple,
            total,
        )

    def body(self, phase: Phase) -> str:
        """The function by which the team runs a phase."""
        kernel = phase.kernel
        if kernel.name in self.bodies:
            return self.bodies[kernel.name]
        name = self.bodies[kernel.name] = f"share_{kernel.name}"
        fn = team_llvm.body_function(self.module, name)
        kinds = ["ptr"] * len(kernel.params) + ["i64"] * (len(kernel.sizes) - 2)
        kinds += ["ptr"] * len(library_functions(kernel))
        rooms = ["i64"] * (len(phase.private) + 1) if phase.private else []
        place, address, *words = team_llvm.unpack(fn, ["ptr", "ptr", *kinds, *rooms])
        if phase.private:
            total, *sizes = words[len(kinds) :]
            offset = fn.val(f"mul i64 {total}, %worker")
            for k, size in zip(phase.private, sizes, strict=True):
                words[k] = fn.val(f"getelementptr i8, ptr {place}, i64 {offset}")
                offset = fn.val(f"add i64 {offset}, {size}")
        pairs = list(zip(kinds, words[: len(kinds)], strict=True))
        fn.raw(f"call void {address}({typed(between(phase, pairs, '%begin', '%end'))})")
        return name

    def copy(
        self, fn: FunctionWriter, values: Values, target: Value, source: Value, size: Size
    ) -> None:
        """target = source, ``size`` bytes."""
        count = values.uniform(size)
        least = self.least // 1_000_000 * COPIED

        def alone() -> None:
            memcpy(fn, target, source, count)

        def team() -> list[Value]:
            context = team_llvm.pack(fn, [("ptr", target), ("ptr", source)])
            cost = fn.val(f"mul i64 {count}, {1_000_000 // COPIED}")
            words = (self._copy_body(), context, count, cost, self.least, PAGE)
            return [team_llvm.share(fn, self.table, *words)]

        if count.isdigit() and int(count) < least:
            alone()
            return
        large = fn.val(f"icmp uge i64 {count}, {least}")
        (done,) = fn.if_(large, team, lambda: ["0"], ["i32"])
        fn.if_(fn.fresh(f"icmp eq i32 {done}, 0"), alone)

    def _copy_body(self) -> str:
        if "" not in self.bodies:
            self.bodies[""] = "share_copy"
            fn = team_llvm.body_function(self.module, "share_copy")
            target, source = (
                fn.val(f"getelementptr i8, ptr {p}, i64 %begin")
                for p in team_llvm.unpack(fn, ["ptr", "ptr"])
            )
            memcpy(fn, target, source, fn.val("sub i64 %end, %begin"))
        return self.bodies[""]


def context_of(
    address: Value, words: Words, total: Value = "0", rooms: Sequence[Value] = ()
) -> Words:
    """What the body of a phase finds in its context."""
    private = [("i64", total), *(("i64", r) for r in rooms)] if rooms else []
    return [("ptr", "null"), ("ptr", address), *words, *private]


def between(phase: Phase, words: Words, begin: Value, end: Value) -> Words:
    """A kernel's arguments with the range, which comes after the other sizes."""
    at = len(phase.kernel.params) + len(phase.kernel.sizes) - 2
    return [*words[:at], ("i64", begin), ("i64", end), *words[at:]]


def typed(words: Words) -> str:
    """The arguments of a call."""
    return ", ".join(f"{kind} {value}" for kind, value in words)


def memcpy(fn: FunctionWriter, target: Value, source: Value, count: Value) -> None:
    """Copy bytes that do not overlap."""
    name = "llvm.memcpy.p0.p0.i64"
    fn.declare("void", name, ["ptr", "ptr", "i64", "i1"])
    fn.raw(f"call void @{name}(ptr {target}, ptr {source}, i64 {count}, i1 false)")


def room_of(values: Values, param: Param | Buffer) -> Value:
    """The bytes of a buffer, rounded so that the next one is aligned too."""
    size = as_expr(elements(param.shape)) * dtypes.itemsize(param.dtype)
    return values.uniform(as_size((size + (ALIGNMENT - 1)) // ALIGNMENT * ALIGNMENT))
