"""Cholesky factors of many small matrices, one matrix in each lane.

A register's worth of matrices is turned so that a vector holds one element of all of them: then a
factorisation is the textbook's loop over columns, on vectors, and no lane waits for another, where
a library spends most of its time on calls and on square roots one at a time. Matrices are turned in
flat blocks of as many elements as there are lanes, so rows of every length go the same way. The
last group repeats its last matrix, which is computed and stored the same every time.

A column is made of dot products of rows before it (left-looking), TILE rows at a time; the last
tile runs over the end of the matrix, into rows of zeros.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from symgraph import dtypes
from symgraph.codegen import team_llvm
from symgraph.codegen.lanes_llvm import live
from symgraph.codegen.literals import constant, llvm_type, suffix
from symgraph.codegen.squares_llvm import turned
from symgraph.codegen.tables import Table
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.cost import AWAKE
from symgraph.loops.program import Buffer

MOST = 32  # rows of the largest matrix, as `lower/lapack.py` has it
TILE = 4  # rows whose dot products run beside each other
#: picoseconds that a group takes: for each cubed row, for each element, for each row
CUBED, EACH, ROW = 70, 1500, 15_000

_CONTEXT = ("ptr", "ptr", "ptr", "i64", "i64")  # a, out, where to note a failure, n, count


class _Group:
    """The kernel's text for one element type; the matrices of a group lie in %held."""

    def __init__(self, fn: FunctionWriter, dtype: str, vector_bits: int) -> None:
        self.fn, self.dtype, self.size = fn, dtype, dtypes.itemsize(dtype)
        self.lanes = vector_bits // (8 * self.size)
        self.kind, self.element = llvm_type(dtype, self.lanes), llvm_type(dtype)
        self.flags = llvm_type("bool", self.lanes)
        self.held = fn.slot(self.kind, MOST * (MOST + TILE - 1) + self.lanes)
        self.places, self.inside = (fn.slot("ptr", self.lanes, 8) for _ in range(2))
        self.a, self.out, self.failed, self.n, self.count = team_llvm.unpack(fn, _CONTEXT)
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
        if word[0] == "f" and word != "fma":
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

    # the factors ----------------------------------------------------------------------------------

    def lower(self, symmetrize: bool) -> None:
        """The lower triangle of what is factorised, and zeros above it."""
        fn = self.fn

        def row(i: Value, _: list[Value]) -> list[Value]:
            def column(j: Value, _: list[Value]) -> list[Value]:
                below, above = self.at(i, j), self.at(j, i)
                if symmetrize:
                    both = self.op("fadd", self.load(below), self.load(above))
                    self.store(self.op("fmul", both, self.number(0.5)), below)
                self.store("zeroinitializer", above)
                return []

            fn.loop("0", i, 1, [], column)
            return []

        fn.loop("1", self.n, 1, [], row)

    def factorise(self) -> Value:
        """The factors in the place of the lower triangles; the lanes that failed, as flags."""
        fn, kind = self.fn, self.kind

        def column(j: Value, carried: list[Value]) -> list[Value]:
            def tile(i: Value, c: list[Value]) -> list[Value]:
                values = self.dots(i, j)

                def first() -> list[Value]:
                    root = self.op("sqrt", values[0])
                    return [values[0], root, self.op("fdiv", self.number(1.0), root)]

                c = fn.if_(fn.val(f"icmp eq i64 {i}, {j}"), first, lambda: c, [kind] * 3)
                for t, value in enumerate(values):
                    row = fn.val(f"add i64 {i}, {t}")
                    self.store(self.op("fmul", value, c[2]), self.at(row, j))
                return c

            nothing = [(kind, "zeroinitializer")] * 3
            pivot, root, _ = fn.loop(j, self.n, TILE, nothing, tile)
            self.store(root, self.at(j, j))
            bad = fn.fresh(f"fcmp ole {kind} {pivot}, zeroinitializer")
            return [fn.fresh(f"or {self.flags} {carried[0]}, {bad}")]

        start = [(self.flags, "zeroinitializer")]
        return fn.loop("0", self.n, 1, start, column)[0]

    def note(self, failed: Value, nan: bool) -> None:
        """What becomes of lanes that failed: NaN, or a word to the caller."""
        fn = self.fn
        if not nan:
            fn.raw(f"store atomic i32 1, ptr {self.failed} monotonic, align 4")
            return

        def spoil(place: Value) -> None:
            words = f"{self.flags} {failed}, {self.kind} {self.number(float('nan'))}, {self.kind}"
            self.store(fn.fresh(f"select {words} {self.load(place)}"), place)

        self.each(spoil)

    def dots(self, i: Value, j: Value) -> list[Value]:
        """Column j of rows i, i + 1 ... less what the columns before it contribute."""
        fn = self.fn
        rows = [fn.val(f"add i64 {i}, {t}") if t else i for t in range(TILE)]

        def term(k: Value, carried: list[Value]) -> list[Value]:
            other = self.op("fneg", self.load(self.at(j, k)))
            mine = [self.load(self.at(row, k)) for row in rows]
            return [self.op("fma", m, other, c) for m, c in zip(mine, carried, strict=True)]

        starts = [(self.kind, self.load(self.at(row, j))) for row in rows]
        return fn.loop("0", j, 1, starts, term)


@functools.cache
def module_text(dtype: str, symmetrize: bool, nan: bool, vector_bits: int) -> str:
    """The module whose ``kernel(context, begin, end, worker)`` does the groups begin to end.
    ``nan``: a matrix that is not positive definite becomes NaN, otherwise it is noted."""
    module = ModuleWriter()
    fn = module.function("kernel", team_llvm.BODY, "void", "", "nounwind")
    g = _Group(fn, dtype, vector_bits)
    g.write_turn(module)
    fn.declare("i64", "llvm.smin.i64", ["i64", "i64"])
    last = fn.val(f"sub i64 {g.count}, 1")

    def group(number: Value, _: list[Value]) -> list[Value]:
        first = fn.val(f"mul i64 {number}, {g.lanes}")
        g.point(g.a, first, last)
        g.blocks(outwards=False)
        rest = fn.val(f"mul i64 {g.n}, {TILE - 1}")
        g.each(lambda place: g.store("zeroinitializer", place), g.whole, rest)
        g.lower(symmetrize)
        failed = g.factorise()
        some = fn.fresh(f"bitcast {g.flags} {failed} to i{g.lanes}")
        bad = fn.fresh(f"icmp ne i{g.lanes} {some}, 0")
        fn.if_(bad, lambda: g.note(failed, nan), likely=False)
        g.point(g.out, first, last)
        g.blocks(outwards=True)
        return []

    g.point_inside()
    fn.loop("%begin", "%end", 1, [], group)
    return module.text()


def emit_factors(
    fn: FunctionWriter, table: Table, values: Values, name: str,
    operands: Sequence[tuple[Value, Buffer]], vector_bits: int, least: int,
) -> Value:  # fmt: skip
    """Call the kernel of that name for all matrices; whether one failed, as i1. ``least``: from how
    many nanoseconds of work on threads take part."""
    (a, held), (out, _) = operands
    lanes = vector_bits // (8 * dtypes.itemsize(held.dtype))
    n, count = values.uniform(held.shape[-1]), values.uniform(elements(held.shape[:-2]))
    kernel, failed = table.load(fn, "kernel", name), fn.slot("i32", 1, 8)
    fn.raw(f"store i32 0, ptr {failed}")
    pairs = zip(_CONTEXT, (a, out, failed, n, count), strict=True)
    context = team_llvm.pack(fn, list(pairs))
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
    return fn.fresh(f"icmp ne i32 {fn.fresh(f'load i32, ptr {failed}')}, 0")
