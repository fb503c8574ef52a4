"""Many small matrices, one in each lane of a register.

A register's worth of matrices, a group, is turned so that a vector holds one element of all of
them: then a factorisation is the textbook's loops, on vectors, and no lane waits for another, where
a library spends most of its time on calls and on divisions one at a time. Matrices are turned in
flat blocks of as many elements as there are lanes, so rows of every length go the same way. The
last group repeats its last matrix, which is computed and stored the same every time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from symgraph import dtypes
from symgraph.codegen import team_llvm
from symgraph.codegen.lanes_llvm import live
from symgraph.codegen.literals import constant, llvm_type, suffix
from symgraph.codegen.squares_llvm import turned
from symgraph.codegen.tables import Table
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.loops.cost import AWAKE

MOST = 32  # rows of the largest matrix, as `lower/lapack.py` has it
SPARE = 3  # rows behind a group's matrices that a kernel may run over
#: picoseconds that a group takes: for each cubed row, for each element, for each row
CUBED, EACH, ROW = 70, 1500, 15_000

CONTEXT = ("ptr", "ptr", "ptr", "i64", "i64")  # a, out, what else is written, n, count

_G = TypeVar("_G", bound="Group")


class Group:
    """The kernel's text for one element type; the matrices of a group lie in %held."""

    def __init__(self, fn: FunctionWriter, dtype: str, vector_bits: int, more: int = 0) -> None:
        """``more``: words of the context after those that all have."""
        self.fn, self.dtype, self.size = fn, dtype, dtypes.itemsize(dtype)
        self.lanes = vector_bits // (8 * self.size)
        self.kind, self.element = llvm_type(dtype, self.lanes), llvm_type(dtype)
        self.flags = llvm_type("bool", self.lanes)
        self.held = fn.slot(self.kind, MOST * (MOST + SPARE) + self.lanes)
        self.places, self.inside = (fn.slot("ptr", self.lanes, 8) for _ in range(2))
        words = team_llvm.unpack(fn, (*CONTEXT, *["i64"] * more))
        self.a, self.out, self.third, self.n, self.count = words[: len(CONTEXT)]
        self.more = words[len(CONTEXT) :]
        self.whole = fn.val(f"mul i64 {self.n}, {self.n}")

    # memory ---------------------------------------------------------------------------------------

    def at(self, row: Value, column: Value) -> Value:
        """Where a vector of elements is."""
        place = self.fn.val(f"add i64 {self.fn.val(f'mul i64 {row}, {self.n}')}, {column}")
        return self.fn.val(f"getelementptr {self.kind}, ptr {self.held}, i64 {place}")

    def load(self, where: Value) -> Value:
        return self.fn.fresh(f"load {self.kind}, ptr {where}")

    def store(self, value: Value, where: Value) -> None:
        self.fn.raw(f"store {self.kind} {value}, ptr {where}")

    def number(self, x: float) -> Value:
        return constant(self.dtype, self.lanes, x)

    def op(self, word: str, *args: Value) -> Value:
        """A value of an instruction, or of an intrinsic."""
        if word in ("fadd", "fsub", "fmul", "fdiv", "fneg"):
            return self.fn.fresh(f"{word} {self.kind} {', '.join(args)}")
        name = f"llvm.{word}.{suffix(self.dtype, self.lanes)}"
        return self.fn.call(self.kind, name, [(self.kind, a) for a in args])

    # all elements of a group, turned --------------------------------------------------------------

    def blocks(self, outwards: bool) -> None:
        """Bring all elements from the matrices to where the group is held, or back."""
        fn, every = self.fn, ", ".join(["i1 true"] * self.lanes)

        def block(first: Value, _: list[Value]) -> list[Value]:
            left = fn.val(f"sub i64 {self.whole}, {first}")
            bytes_ = fn.val(f"mul i64 {first}, {self.size}")
            matrix = f"ptr {self.places}, i64 {bytes_}", live(fn, left, self.lanes, self.size)
            width = fn.val(f"mul i64 {bytes_}, {self.lanes}")
            group = f"ptr {self.inside}, i64 {width}", f"<{every}>"
            ways = (group, matrix) if outwards else (matrix, group)
            words = ", ".join(f"{where}, {self.flags} {mask}" for where, mask in ways)
            fn.raw(f"call void @turn({words})")
            return []

        fn.loop("0", self.whole, self.lanes, [], block)

    def point(self, base: Value, first: Value, last: Value) -> None:
        """Let the table of places name a group's matrices, from the first on, none after the
        last."""
        fn = self.fn

        def place(k: Value, _: list[Value]) -> list[Value]:
            mine = fn.fresh(f"add i64 {first}, {k}")
            number = fn.fresh(f"call i64 @llvm.smin.i64(i64 {mine}, i64 {last})")
            offset = fn.fresh(f"mul i64 {number}, {self.whole}")
            at = fn.fresh(f"getelementptr {self.element}, ptr {base}, i64 {offset}")
            slot = fn.fresh(f"getelementptr ptr, ptr {self.places}, i64 {k}")
            fn.raw(f"store ptr {at}, ptr {slot}")
            return []

        fn.loop("0", self.lanes, 1, [], place)

    def point_inside(self) -> None:
        """The same for the first vectors of where a group is held."""
        fn = self.fn

        def place(k: Value, _: list[Value]) -> list[Value]:
            at = fn.fresh(f"getelementptr {self.kind}, ptr {self.held}, i64 {k}")
            slot = fn.fresh(f"getelementptr ptr, ptr {self.inside}, i64 {k}")
            fn.raw(f"store ptr {at}, ptr {slot}")
            return []

        fn.loop("0", self.lanes, 1, [], place)

    def write_turn(self, module: ModuleWriter) -> None:
        """The function that turns a block: from and to as many places as there are lanes, so many
        bytes after those in a table."""
        kind, flags = ("ptr", "i64", self.flags), ("from", "to")
        params = [(k, f"{w}{k[0] if k != self.flags else 'm'}", "") for w in flags for k in kind]
        fn = module.function("turn", params, "void", "internal", "noinline nounwind")
        end = f"{suffix(self.dtype, self.lanes)}.p0"
        fn.declare(self.kind, f"llvm.masked.load.{end}", ["ptr", "i32", self.flags, self.kind])
        fn.declare("void", f"llvm.masked.store.{end}", [self.kind, "ptr", "i32", self.flags])

        def place(way: str, k: int) -> Value:
            slot = fn.val(f"getelementptr ptr, ptr %{way}p, i64 {k}")
            base = fn.fresh(f"load ptr, ptr {slot}")
            return fn.fresh(f"getelementptr i8, ptr {base}, i64 %{way}i")

        rest = f"i32 {self.size}, {self.flags} %fromm, {self.kind} zeroinitializer"
        loads = (f"ptr {place('from', k)}, {rest}" for k in range(self.lanes))
        rows = [fn.fresh(f"call {self.kind} @llvm.masked.load.{end}({words})") for words in loads]
        for k, value in enumerate(turned(fn, rows, self.kind, self.lanes)):
            words = f"ptr {place('to', k)}, i32 {self.size}, {self.flags} %tom"
            fn.raw(f"call void @llvm.masked.store.{end}({self.kind} {value}, {words})")

    def each(self, body: Callable[[Value], None], start: Value = "0", count: Value = "") -> None:
        """``body(place)`` for every vector of the group, or so many from one of them."""
        fn = self.fn

        def one(k: Value, _: list[Value]) -> list[Value]:
            place = fn.fresh(f"add i64 {start}, {k}")
            body(fn.fresh(f"getelementptr {self.kind}, ptr {self.held}, i64 {place}"))
            return []

        fn.loop("0", count or self.whole, 1, [], one)

    def any_of(self, flags: Value) -> Value:
        """Whether one of the lanes has its flag."""
        bits = self.fn.fresh(f"bitcast {self.flags} {flags} to i{self.lanes}")
        return self.fn.fresh(f"icmp ne i{self.lanes} {bits}, 0")


def kernel_text(
    make: Callable[[FunctionWriter], _G], each: Callable[[_G, Value, Value], None]
) -> str:
    """The module whose ``kernel(context, begin, end, worker)`` does the groups begin to end;
    ``each(group, first, last)`` writes what is done with the matrices from the first on, none after
    the last."""
    module = ModuleWriter()
    fn = module.function("kernel", team_llvm.BODY, "void", "", "nounwind")
    g = make(fn)
    g.write_turn(module)
    fn.declare("i64", "llvm.smin.i64", ["i64", "i64"])
    last = fn.val(f"sub i64 {g.count}, 1")

    def group(number: Value, _: list[Value]) -> list[Value]:
        each(g, fn.val(f"mul i64 {number}, {g.lanes}"), last)
        return []

    g.point_inside()
    fn.loop("%begin", "%end", 1, [], group)
    return module.text()


def emit_groups(
    fn: FunctionWriter, table: Table, name: str, words: Sequence[Value], lanes: int, least: int
) -> None:
    """Call the kernel of that name for all groups, with ``words`` as `CONTEXT` has them, and more.
    ``least``: from how many nanoseconds of work on threads take part."""
    n, count = words[3:5]
    kernel = table.load(fn, "kernel", name)
    kinds = (*CONTEXT, *["i64"] * (len(words) - len(CONTEXT)))
    context = team_llvm.pack(fn, list(zip(kinds, words, strict=True)))
    groups = fn.val(f"udiv i64 {fn.val(f'add i64 {count}, {lanes - 1}')}, {lanes}")
    square = fn.val(f"mul i64 {n}, {n}")
    each = fn.val(f"add i64 {fn.val(f'mul i64 {n}, {CUBED}')}, {EACH}")
    each = fn.val(f"add i64 {fn.val(f'mul i64 {square}, {each}')}, {ROW}")
    cost = fn.val(f"mul i64 {groups}, {each}")

    def team() -> list[Value]:
        return [team_llvm.share(fn, table, kernel, context, groups, cost, 1000 * least)]

    large = fn.val(f"icmp sge i64 {cost}, {1000 * least // AWAKE}")
    (done,) = fn.if_(large, team, lambda: ["0"], ["i32"])

    def alone() -> None:
        fn.raw(f"call void {kernel}(ptr {context}, i64 0, i64 {groups}, i64 0)")

    fn.if_(fn.fresh(f"icmp eq i32 {done}, 0"), alone)
