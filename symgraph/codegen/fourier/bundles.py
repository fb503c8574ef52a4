"""Bundles of sequences, of those that lie beside each other or of rows: the body of the team."""

from __future__ import annotations

from symgraph.codegen import team_llvm
from symgraph.codegen.fourier.record import ENDS, FROM_REAL, JOB, REAL, TO_REAL
from symgraph.codegen.fourier.rows import put_scale
from symgraph.codegen.fourier.sequences import scale_of
from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value


def write_bundles(module: ModuleWriter, dtype: str, lanes: int) -> None:
    """Write ``bundles``, which does those numbers of bundles that it is given."""
    _Bundles(team_llvm.body_function(module, "bundles"), dtype, lanes).write()


class _Bundles:
    def __init__(self, fn: FunctionWriter, dtype: str, lanes: int) -> None:
        self.fn, self.ints, self.v, self.lanes = fn, Ints(fn), Lanes(fn, dtype, lanes), lanes
        self.scale = f"{self.v.element} {scale_of(fn, dtype)}"
        self.ends = ENDS.slot(fn)

    def word(self, name: str) -> Value:
        return JOB.get(self.fn, "%context", name)

    def write(self) -> None:
        fn, ints, word, size = self.fn, self.ints, self.word, self.v.size
        kind = word("kind")
        self.from_real, self.to_real = (ints.is_("eq", kind, k) for k in (FROM_REAL, TO_REAL))
        odd = ints.is_("eq", word("length"), word("n"))
        self.spread_in = ints.pick(fn.val(f"and i1 {self.from_real}, {odd}"), 2, 1)
        self.spread_out = ints.pick(fn.val(f"and i1 {self.to_real}, {odd}"), 2, 1)
        self.odd = odd
        self.turn_in = ints.pick(self.to_real, 0, word("turn"))
        self.parts_in = ints.pick(self.from_real, 1, 2)  # real numbers of an element
        self.parts_out = ints.pick(self.to_real, 1, 2)
        self.along = ints.is_("eq", word("inner"), 1)
        room = fn.val(
            f"getelementptr i8, ptr {word('room')}, i64 {ints.mul(word('each'), '%worker')}"
        )
        other = fn.val(f"getelementptr i8, ptr {room}, i64 {ints.div(word('each'), 2)}")
        self.bytes = [ints.mul(p, size) for p in (self.parts_in, self.parts_out)]

        def one(t: Value, _: list[Value]) -> list[Value]:
            live, *offsets = self._where(t)
            x, y = (fn.val(f"getelementptr i8, ptr {word(w)}, i64 {offset}")
                    for w, offset in zip("xy", offsets, strict=True))  # fmt: skip
            self._in(x, room, live)
            step = ints.mul(word("inner"), self.bytes[1])
            ENDS.put(fn, self.ends, x=x, x_live=live, y=y, y_step=step, y_live=live)
            put_scale(fn, self.ends, self.scale)
            words = f"ptr {word('plan')}, ptr {room}, ptr {other}, ptr {room}, ptr {self.ends}"
            done = fn.fresh(f"call ptr @sequence({words})")
            self._out(y, done, other, live)
            return []

        fn.loop("%begin", "%end", 1, [], one)

    def _where(self, t: Value) -> list[Value]:
        """The lanes that are there, and where bundle t begins in x and in y, in bytes."""
        fn, ints, word, n = self.fn, self.ints, self.word, self.lanes

        def rows() -> list[Value]:
            first = ints.mul(t, n)
            live = ints.min(ints.sub(word("outer"), first), n)
            places = [ints.mul(ints.mul(first, word(count)), size) for count, size in
                      zip(("read", "written"), self.bytes, strict=True)]  # fmt: skip
            return [*map(str, (live, *places))]

        def beside() -> list[Value]:
            row = ints.div(t, word("bundles"))
            first = ints.mul(ints.sub(t, ints.mul(row, word("bundles"))), n)
            live = ints.min(ints.sub(word("inner"), first), n)
            places = []
            for count, size in zip(("read", "written"), self.bytes, strict=True):
                start = ints.mul(ints.mul(row, word("inner")), word(count))
                places.append(ints.mul(ints.add(start, first), size))
            return [*map(str, (live, *places))]

        return fn.if_(self.along, rows, beside, ["i64"] * 3)

    def _in(self, x: Value, room: Value, live: Value) -> None:
        fn, ints, word = self.fn, self.ints, self.word

        def call(step: Integer, count: Integer, turn: Integer) -> None:
            where = f"i64 {live}, i64 {self.spread_in}, i64 {turn}"
            words = f"ptr {x}, ptr {room}, i64 {step}, i64 {count}, {where}"
            fn.raw(f"call void {word('in')}({words})")

        def rows() -> None:
            turned = ints.mul(word("read"), self.parts_in)
            call(ints.mul(word("read"), self.bytes[0]), turned, self.turn_in)

        def beside() -> None:
            step = ints.mul(word("inner"), self.bytes[0])
            ENDS.put(fn, self.ends, x=x, x_step=step, x_live=live)
            words = f"ptr {word('end_plan')}, ptr {room}, ptr {room}, ptr {room}, ptr {self.ends}"
            brings = lambda: fn.raw(f"call ptr @sequence({words})")  # noqa: E731
            fn.if_(self.to_real, brings)
            fn.if_(self.from_real, lambda: call(step, word("read"), 0))

        fn.if_(self.along, rows, beside)
        odd = fn.val(f"and i1 {self.from_real}, {self.odd}")
        fn.if_(fn.val(f"or i1 {odd}, {self.to_real}"), lambda: self._step(room))

    def _step(self, z: Value) -> None:
        """What stands beside a transform of real numbers."""
        plan = self.word("real_plan")
        words = f"ptr {z}, i64 {self.word('length')}, ptr {plan}"
        self.fn.raw(f"call void {REAL.get(self.fn, plan, 'code')}({words})")

    def _out(self, y: Value, done: Value, other: Value, live: Value) -> None:
        fn, ints, word = self.fn, self.ints, self.word
        even = fn.val(f"and i1 {self.from_real}, {fn.val(f'xor i1 {self.odd}, true')}")
        fn.if_(even, lambda: self._step(done))

        def call(step: Integer, count: Integer) -> None:
            where = f"i64 {live}, i64 {self.spread_out}, i64 {word('turn')}, {self.scale}"
            words = f"ptr {y}, ptr {done}, i64 {step}, i64 {count}, {where}"
            fn.raw(f"call void {word('out')}({words})")

        def rows() -> None:
            turned = ints.mul(word("written"), self.parts_out)
            call(ints.mul(word("written"), self.bytes[1]), turned)

        def beside() -> None:
            words = f"ptr {word('end_plan')}, ptr {done}, ptr {other}, ptr {other}"
            carries = lambda: fn.raw(f"call ptr @sequence({words}, ptr {self.ends})")  # noqa: E731
            fn.if_(self.from_real, carries)
            step = ints.mul(word("inner"), self.bytes[1])
            fn.if_(self.to_real, lambda: call(step, word("written")))

        fn.if_(self.along, rows, beside)
