"""Sequences one by one: brought beside each other where they are not, transformed, brought back."""

from __future__ import annotations

from symgraph.codegen import team_llvm
from symgraph.codegen.fourier.record import (
    COMPLEX,
    FROM_REAL,
    GOLDEN,
    JOB,
    LINE,
    LONG,
    PLANS,
    REAL,
    SLOTS,
    TO_REAL,
)
from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.literals import llvm_type
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value

AHEAD = 1 << 14  # bytes of a row up to which the next one is asked for


def write_sequences(module: ModuleWriter, dtype: str, lanes: int) -> None:
    """Write ``find(plans, number)``; ``begin(job, t, room)``, ``aim(job, t, room)`` and
    ``finish(job, t, target)``: where sequence t is read, where its transform is to go, and what is
    done with it there; and ``sequences``, which does all that as a body of the team."""
    _find(module)
    _strided(module, dtype)
    held = [("ptr", "context", ""), ("i64", "t", "")]
    for name, last in (("begin", "room"), ("aim", "room"), ("finish", "target")):
        result = "void" if name == "finish" else "ptr"
        fn = module.function(name, [*held, ("ptr", last, "")], result, "internal", "nounwind")
        getattr(_Sequence(fn, dtype), name)()
    fn = team_llvm.body_function(module, "sequences")
    _Sequence(fn, dtype).all()


def scale_of(fn: FunctionWriter, dtype: str) -> Value:
    """The scale, in a function that is given the job as its context."""
    place = fn.val(f"getelementptr i8, ptr %context, i64 {JOB.offset('scale')}")
    return fn.val(f"load {llvm_type(dtype)}, ptr {place}")


def _find(module: ModuleWriter) -> None:
    """A plan that was asked for last, whose first word is its number, or what asking gives."""
    params = [("ptr", "plans", ""), ("i64", "number", "")]
    fn = module.function("find", params, "ptr", "internal", "noinline nounwind")
    slot = fn.val(f"lshr i64 {fn.val(f'mul i64 %number, {GOLDEN}')}, {64 - SLOTS.bit_length() + 1}")
    slot = fn.val(f"add i64 {slot}, {len(PLANS.names)}")
    place = fn.val(f"getelementptr ptr, ptr %plans, i64 {slot}")
    found = fn.fresh(f"load atomic ptr, ptr {place} acquire, align 8")

    def ask() -> list[Value]:
        return [fn.fresh(f"call ptr {PLANS.get(fn, '%plans', 'ask')}(ptr %plans, i64 %number)")]

    def same() -> list[Value]:
        own = fn.fresh(f"load i64, ptr {found}")
        return fn.if_(fn.val(f"icmp eq i64 {own}, %number"), lambda: [found], ask, ["ptr"])

    none = fn.val(f"icmp eq ptr {found}, null")
    fn.ret("ptr", fn.if_(none, ask, same, ["ptr"])[0])


def _strided(module: ModuleWriter, dtype: str) -> None:
    """``strided(x, x_step, y, y_step, count, width)``: numbers of one or two real parts, so many
    bytes apart, are copied."""
    params = [("ptr", "x", ""), ("i64", "xs", ""), ("ptr", "y", ""), ("i64", "ys", ""),
              ("i64", "count", ""), ("i64", "width", "")]  # fmt: skip
    fn = module.function("strided", params, "void", "internal", "noinline nounwind")
    ints, kind = Ints(fn), llvm_type(dtype)
    both = f"<2 x {kind}>"
    align = 4 if kind == "float" else 8

    def copies(what: str) -> None:
        def one(k: Value, _: list[Value]) -> list[Value]:
            x, y = (
                fn.fresh(f"getelementptr i8, ptr %{w}, i64 {ints.mul(k, f'%{w}s')}") for w in "xy"
            )
            value = fn.fresh(f"load {what}, ptr {x}, align {align}")
            fn.raw(f"store {what} {value}, ptr {y}, align {align}")
            return []

        fn.loop("0", "%count", 1, [], one)

    fn.if_(ints.is_("eq", "%width", 2), lambda: copies(both), lambda: copies(kind))


class _Sequence:
    def __init__(self, fn: FunctionWriter, dtype: str) -> None:
        self.fn, self.ints, self.v = fn, Ints(fn), Lanes(fn, dtype, 1)
        ints, word = self.ints, self.word
        self.from_real, self.to_real, self.complex = (
            ints.is_("eq", word("kind"), k) for k in (FROM_REAL, TO_REAL, COMPLEX)
        )
        self.odd = ints.is_("eq", word("length"), word("n"))
        self.along = ints.is_("eq", word("inner"), 1)
        self.one, self.two = self.v.size, 2 * self.v.size
        self.bytes_in = ints.pick(self.from_real, self.one, self.two)
        self.bytes_out = ints.pick(self.to_real, self.one, self.two)

    def word(self, name: str) -> Value:
        return JOB.get(self.fn, "%context", name)

    def at(self, base: Value, offset: Integer) -> Value:
        return self.fn.val(f"getelementptr i8, ptr {base}, i64 {offset}")

    def both(self, a: Value, b: Value) -> Value:
        return self.fn.val(f"and i1 {a}, {b}")

    def not_(self, a: Value) -> Value:
        return self.fn.val(f"xor i1 {a}, true")

    def start(self, name: str, t: Integer, count: str, size: Integer) -> Value:
        """Where sequence t begins."""
        ints, word = self.ints, self.word
        row = ints.div(t, word("inner"))
        column = ints.sub(t, ints.mul(row, word("inner")))
        first = ints.add(ints.mul(ints.mul(row, word("inner")), word(count)), column)
        return self.at(word(name), ints.mul(first, size))

    def rows(self, room: Value) -> list[Value]:
        """Two rows behind a thread's room."""
        first = self.at(room, LONG.get(self.fn, self.word("plan"), "room"))
        size = self.ints.up(self.ints.mul(self.ints.add(self.word("n"), 2), self.two), LINE)
        return [first, self.at(first, size)]

    def copy(
        self, x: Value, xs: Integer, y: Value, ys: Integer, count: Integer, width: Integer
    ) -> None:
        self.fn.raw(f"call void @strided(ptr {x}, i64 {xs}, ptr {y}, i64 {ys}, i64 {count},"
                    f" i64 {width})")  # fmt: skip

    def begin(self) -> None:
        fn, ints, word = self.fn, self.ints, self.word
        x = self.start("x", "%t", "read", self.bytes_in)
        alone = self.both(self.from_real, self.odd)
        made = self.fn.val(f"or i1 {self.to_real}, {alone}")
        near = self.both(self.along, self.not_(made))
        row = self.rows("%room")[0]

        def back(direct: Value) -> None:
            given = fn.val(f"select i1 {direct}, ptr {x}, ptr {row}")
            fn.if_(self.odd, lambda: self._mirror(row), lambda: self._step(given, row))

        def brought() -> list[Value]:
            step = ints.mul(word("inner"), self.bytes_in)
            width = ints.pick(self.from_real, 1, 2)

            def clear() -> None:
                fn.declare("void", "llvm.memset.p0.i64", ["ptr", "i8", "i64", "i1"])
                size = ints.mul(word("n"), self.two)
                fn.raw(f"call void @llvm.memset.p0.i64(ptr {row}, i8 0, i64 {size}, i1 false)")

            fn.if_(alone, clear)
            apart = ints.pick(self.both(self.from_real, self.not_(self.odd)), self.one, self.two)
            direct = self.both(self.to_real, self.both(self.along, self.not_(self.odd)))
            copy = lambda: self.copy(x, step, row, apart, word("read"), width)  # noqa: E731
            fn.if_(self.not_(direct), copy)
            fn.if_(self.to_real, lambda: back(direct))
            return [row]

        fn.ret("ptr", fn.if_(near, lambda: [x], brought, ["ptr"])[0])

    def _step(self, x: Value, z: Value) -> None:
        """What stands beside a transform of real numbers."""
        plan = self.word("real_plan")
        words = f"ptr {x}, ptr {z}, i64 {self.word('length')}, ptr {plan}"
        self.fn.raw(f"call void {REAL.get(self.fn, plan, 'code')}({words})")

    def _mirror(self, row: Value) -> None:
        """The other half of the numbers, conjugate to the first one."""
        fn, ints, v, n = self.fn, self.ints, self.v, self.word("n")
        v.store("0.0", v.at(row, 1))

        def one(k: Value, _: list[Value]) -> list[Value]:
            here, there = (v.at(row, ints.mul(x, 2)) for x in (k, ints.sub(n, k)))
            v.store(v.scalar(here), there)
            v.store(fn.val(f"fneg {v.kind} {v.scalar(v.at(here, 1))}"), v.at(there, 1))
            return []

        fn.loop("1", ints.add(ints.div(n, 2), 1), 1, [], one)

    def _direct(self) -> Value:
        """Whether the transform goes where the result is."""
        return self.both(self.along, self.fn.val(f"or i1 {self.complex}, {self.not_(self.odd)}"))

    def aim(self) -> None:
        y = self.start("y", "%t", "written", self.bytes_out)
        self.fn.ret("ptr", self.fn.val(
            f"select i1 {self._direct()}, ptr {y}, ptr {self.rows('%room')[1]}"))  # fmt: skip

    def finish(self) -> None:
        fn, ints, word = self.fn, self.ints, self.word
        even = self.both(self.from_real, self.not_(self.odd))
        fn.if_(even, lambda: self._step("%target", "%target"))

        def back() -> None:
            y = self.start("y", "%t", "written", self.bytes_out)
            step = ints.mul(word("inner"), self.bytes_out)
            apart = ints.pick(self.both(self.to_real, self.not_(self.odd)), self.one, self.two)
            width = ints.pick(self.to_real, 1, 2)
            self.copy("%target", apart, y, step, word("written"), width)

        fn.if_(self.not_(self._direct()), back)

    def ask_ahead(self, place: Value, count: Integer) -> None:
        """Ask for so many bytes of the next row."""

        def one(k: Value, _: list[Value]) -> list[Value]:
            self.fn.prefetch(self.fn.fresh(f"getelementptr i8, ptr {place}, i64 {k}"), False, 3)
            return []

        self.fn.loop("0", count, LINE, [], one)

    def all(self) -> None:
        """The body of the team."""
        fn, word = self.fn, self.word
        room = self.at(word("room"), self.ints.mul(word("each"), "%worker"))
        scale = f"{self.v.element} {scale_of(fn, self.v.dtype)}"
        row = self.ints.mul(word("read"), self.bytes_in)
        ahead = self.ints.pick(self.both(self.along, self.ints.is_("sle", row, AHEAD)), row, 0)

        def one(t: Value, _: list[Value]) -> list[Value]:
            source = fn.fresh(f"call ptr @begin(ptr %context, i64 {t}, ptr {room})")
            self.ask_ahead(self.start("x", self.ints.add(t, 1), "read", self.bytes_in), ahead)
            target = fn.fresh(f"call ptr @aim(ptr %context, i64 {t}, ptr {room})")
            words = f"ptr {word('plan')}, ptr {source}, ptr {target}, ptr {room}"
            fn.raw(f"call void @row({words}, i64 {word('turn')}, {scale})")
            fn.raw(f"call void @finish(ptr %context, i64 {t}, ptr {target})")
            return []

        fn.loop("%begin", "%end", 1, [], one)
