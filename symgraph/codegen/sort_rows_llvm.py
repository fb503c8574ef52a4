"""Rows sorted by networks and quicksort, where the processor has AVX-512.

A row's words are written to one room and sorted there: short rows on the stack, others where their
result will be, if it is as long as the row. Up to 1 KB of them is few: a network sorts them in
registers; halves of up to 2 KB are sorted so and merged. More are quicksort's (Hoare, 1961): parted
by a pivot from a sorted sample (codegen/sort_x86.py), the left part sorted first, so that of a row
of which only the first words are wanted what lies behind those is left alone. Where nothing is less
than the pivot, the words equal to it are set apart, and are in place. Where parts were divided too
often, the pivot is the middle between the least and the greatest word, which ends after as many
divisions as a word has bits (as introsort, Musser, 1997, turns to another method).

A long row is divided by one thread until its parts are enough for all threads.
"""

from __future__ import annotations

from collections.abc import Callable

from symgraph.codegen import sort_x86, team_llvm
from symgraph.codegen.literals import lane_numbers
from symgraph.codegen.sort_keys_llvm import Keys
from symgraph.codegen.sort_vectors_llvm import Vectors
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value

DEPTH = 64  # divisions of divisions up to which pivots come from samples
MANY = 2048  # words of which a larger sample is taken
PARTS = 64  # parts that wait for threads
EACH = 8  # a part that waits is at most this part of its row
STACK = 4096  # words of a row that are sorted on the stack

#: what a caller hands over; ``many``: from how many words on a row is shared by threads
CONTEXT = ("x", "room", "out", "n", "count", "many", "run", "threads", "team", "few", "partition",
           "merge")  # fmt: skip
#: what the functions of one row share, before the parts that wait: begin, end, depth
JOB = ("a", "out", "count", "few", "partition", "merge", "most", "parts", "low")
_POINTERS = frozenset(
    ("x", "room", "out", "run", "threads", "team", "few", "partition", "merge", "a")
)

Names = dict[str, Value]


def kind_of(name: str) -> str:
    """The LLVM type of a word of the context or of a row's job."""
    return "ptr" if name in _POINTERS else "i64"


class Rows:
    """Writes the module of one kind of keys: ``kernel(context, begin, end, worker)`` sorts the rows
    begin to end, as a body of the thread team."""

    def __init__(self, module: ModuleWriter, keys: Keys) -> None:
        self.module, self.keys = module, keys
        self.bits, self.lanes = keys.word, 512 // keys.word
        self.base = sort_x86.MOST * 8 // self.bits
        self.result = 64 if keys.positions else keys.bits

    def write(self) -> None:
        """Write the function."""
        fn = self.module.function("kernel", team_llvm.BODY, "void", "", "nounwind")
        names = dict(zip(CONTEXT, team_llvm.unpack(fn, list(map(kind_of, CONTEXT))), strict=True))
        names["work"] = fn.slot("i8", sort_x86.ROOM)
        names["job"] = fn.slot("i64", len(JOB) + 3 * PARTS)
        whole = fn.fresh(f"icmp eq i64 {names['count']}, {names['n']}")
        short = fn.fresh(f"icmp sle i64 {names['n']}, {STACK}")
        own = fn.slot(f"i{self.bits}", STACK + self.lanes)

        def row(k: Value, _: list[Value]) -> list[Value]:
            x = self.place(fn, names["x"], fn.fresh(f"mul i64 {k}, {names['n']}"), self.keys.bits)
            out = fn.fresh(f"mul i64 {k}, {names['count']}")
            out = self.place(fn, names["out"], out, self.result)
            a = fn.fresh(f"select i1 {whole}, ptr {out}, ptr {names['room']}")
            a = fn.fresh(f"select i1 {short}, ptr {own}, ptr {a}")
            self.row(fn, names | {"x": x, "out": out, "a": a})
            return []

        fn.loop("%begin", "%end", 1, [], row)

    # memory ---------------------------------------------------------------------------------------

    def place(self, fn: FunctionWriter, base: Value, index: Value, bits: int = 0) -> Value:
        """The address of a word."""
        return fn.fresh(f"getelementptr i{bits or self.bits}, ptr {base}, i64 {index}")

    def job_place(self, fn: FunctionWriter, job: Value, name: str) -> Value:
        """Where a word of a row's job is."""
        return self.place(fn, job, str(JOB.index(name)), 64)

    def read(self, fn: FunctionWriter, job: Value, name: str) -> Value:
        """A word of a row's job."""
        return fn.fresh(f"load {kind_of(name)}, ptr {self.job_place(fn, job, name)}")

    # one row --------------------------------------------------------------------------------------

    def row(self, fn: FunctionWriter, names: Names) -> None:
        """Sort a row."""
        n, work = names["n"], names["work"]

        def small() -> None:  # not in one place: rows would wait for one another
            self._encode(fn, names["x"], names["a"], n)
            fn.raw(f"call void {names['few']}(ptr {names['a']}, ptr {work}, i64 {n}, i64 1)")
            self.finish(fn, work, names["out"], names["count"], names["job"])

        def more() -> None:
            self._encode(fn, names["x"], names["a"], n)
            fn.if_(self._two(fn, n, names["count"]), two, large)

        def two() -> None:
            self.halves(fn, names, names["a"], work, n, 1)
            self.finish(fn, work, names["out"], names["count"], names["job"])

        def large() -> None:
            self.begin(fn, names | {"low": "0"})
            self.sort(fn, names)

        fn.if_(fn.fresh(f"icmp sle i64 {n}, {self.base}"), small, more)

    def _two(self, fn: FunctionWriter, n: Value, wanted: Value) -> Value:
        """Whether words that are more than few are to be sorted by halves; where only few of them
        are wanted, a partition leaves most of the others alone."""
        little = fn.fresh(f"icmp sle i64 {n}, {2 * self.base}")
        return fn.fresh(f"and i1 {little}, {fn.fresh(f'icmp sgt i64 {wanted}, {self.base}')}")

    def halves(
        self, fn: FunctionWriter, names: Names, source: Value, work: Value, n: Value, room: int
    ) -> None:
        """Sort what is more than few, but no more than twice as much, to ``work``: the halves, of
        which the other one is filled up with the greatest word, and then both."""

        def body(fn: FunctionWriter) -> None:
            kind = f"<{self.lanes} x i{self.bits}>"
            behind = self.place(fn, "%work", str(self.base))
            fn.raw(f"call void %few(ptr %source, ptr %work, i64 {self.base}, i64 1)")

            def fill(k: Value, _: list[Value]) -> list[Value]:
                fn.raw(f"store {kind} splat (i{self.bits} -1), ptr {self.place(fn, behind, k)}")
                return []

            fn.loop("0", self.base, self.lanes, [], fill)
            rest, left = self.place(fn, "%source", str(self.base)), f"sub i64 %n, {self.base}"
            words = f"ptr {rest}, ptr {behind}, i64 {fn.fresh(left)}, i64 %room"
            fn.raw(f"call void %few({words})")
            fn.raw("call void %merge(ptr %work)")

        pointers = ("few", "merge", "source", "work")
        params = [("ptr", name, "") for name in pointers] + [("i64", x, "") for x in ("n", "room")]
        self.module.once("halves", params, "void", body, "noinline nounwind")
        words = f"ptr {names['few']}, ptr {names['merge']}, ptr {source}, ptr {work}"
        fn.raw(f"call void @halves({words}, i64 {n}, i64 {room})")

    def _encode(self, fn: FunctionWriter, x: Value, room: Value, n: Value) -> None:
        """Write the words of n elements, whole registers of them: short rows have room behind."""

        def body(fn: FunctionWriter) -> None:
            v, narrow = Vectors(fn, self.bits, self.lanes), self.keys.bits

            def words(i: Value, mask: Value) -> Value:
                raw = v.load(v.at("%x", i, narrow), mask, 0, narrow)
                places = self.positions(v, i) if self.keys.paired else ""
                key = self.keys.encoded(fn, raw, self.lanes)
                return self.keys.worded(fn, key, places, self.lanes)

            self.fill(v, words)

        params = [("ptr", "x", ""), ("ptr", "room", ""), ("i64", "n", "")]
        self.module.once("encode", params, "void", body, "noinline nounwind")
        fn.raw(f"call void @encode(ptr {x}, ptr {room}, i64 {n})")

    def fill(self, v: Vectors, words: Callable[[Value, Value], Value]) -> None:
        """Write %n words to %room, ``words(i, mask)`` being a register of them. Where short rows
        end no two stores overlap, since what is read next would wait for both."""
        fn = v.fn

        def turn(i: Value, mask: Value, _: list[Value]) -> list[Value]:
            v.store(v.at("%room", i), words(i, mask))
            return []

        def rest(i: Value, begin: Value) -> None:
            held, short = words(begin, ""), fn.fresh(f"icmp sle i64 %n, {STACK}")
            place = fn.fresh(f"select i1 {short}, i64 {i}, i64 {begin}")
            moved = fn.fresh(f"sub i64 {place}, {begin}")
            moved = v.splat(fn.fresh(f"trunc i64 {moved} to i32") if self.bits == 32 else moved)
            numbers = ", ".join(f"i{self.bits} {k}" for k in range(self.lanes))
            order = fn.fresh(f"add {v.kind} {moved}, <{numbers}>")
            name = f"llvm.x86.avx512.permvar.{'si' if self.bits == 32 else 'di'}.512"
            v.store(v.at("%room", place), fn.call(v.kind, name, [(v.kind, held), (v.kind, order)]))

        v.each("%n", turn, rest=rest)

    def positions(self, v: Vectors, i: Value) -> Value:
        """The positions of a register's words, of which the first is given."""
        wide = f"<{self.lanes} x i64>"
        return v.fn.fresh(f"add {wide} {v.splat(i, 64)}, {lane_numbers(self.lanes)}")

    def finish(self, fn: FunctionWriter, work: Value, out: Value, n: Value, job: Value) -> None:
        """Store the results of n sorted words, which have room behind them."""

        def body(fn: FunctionWriter) -> None:
            v = Vectors(fn, self.bits, self.lanes)

            def turn(i: Value, mask: Value, _: list[Value]) -> list[Value]:
                done = self.finished(v, v.load(v.at("%work", i)))
                v.store(v.at("%out", i, self.result), done, mask, self.result)
                return []

            v.each("%n", turn)

        params = [("ptr", "work", ""), ("ptr", "out", ""), ("i64", "n", ""), ("ptr", "job", "")]
        self.module.once("finish", params, "void", body, "noinline nounwind")
        fn.raw(f"call void @finish(ptr {work}, ptr {out}, i64 {n}, ptr {job})")

    def finished(self, v: Vectors, words: Value) -> Value:
        """The results of words."""
        return self.keys.result(v.fn, words, self.lanes)

    # quicksort ------------------------------------------------------------------------------------

    def begin(self, fn: FunctionWriter, names: Names) -> None:
        """Write the job of a row."""
        for name in JOB:
            value = names.get(name, "0")
            fn.raw(f"store {kind_of(name)} {value}, ptr {self.job_place(fn, names['job'], name)}")

    def sort(self, fn: FunctionWriter, names: Names) -> None:
        """Sort the n words of a row's job; from ``many`` on the thread team takes part."""
        n, job = names["n"], names["job"]
        most = self.job_place(fn, job, "most")

        def threads() -> list[Value]:
            return [fn.fresh(f"call i64 {names['threads']}(ptr {names['team']})")]

        worth = fn.fresh(f"icmp sge i64 {n}, {names['many']}")
        (limit,) = fn.if_(worth, threads, lambda: ["1"], ["i64"])
        several = fn.fresh(f"icmp sgt i64 {limit}, 1")
        each = fn.fresh(f"udiv i64 {n}, {EACH}")
        fn.raw(f"store i64 {fn.fresh(f'select i1 {several}, i64 {each}, i64 -1')}, ptr {most}")
        self.quick(fn, job, names["work"], ("0", n, str(DEPTH)))

        def share() -> None:
            fn.raw(f"store i64 -1, ptr {most}")
            parts = self.read(fn, job, "parts")
            self.module.once("parts", team_llvm.BODY, "void", self._parts, "noinline nounwind")
            words = f"ptr {names['team']}, ptr @parts, ptr {job}, i64 {parts}, i64 1, i64 {limit}"
            fn.raw(f"call void {names['run']}({words})")

        fn.if_(several, share)

    def _parts(self, fn: FunctionWriter) -> None:
        """The parts number begin to end, for the thread team."""
        work = fn.slot("i8", sort_x86.ROOM)

        def part(t: Value, _: list[Value]) -> list[Value]:
            place = self._part(fn, "%context", t)
            words = [self.place(fn, place, str(k), 64) for k in range(3)]
            lo, hi, depth = (fn.fresh(f"load i64, ptr {word}") for word in words)
            self.quick(fn, "%context", work, (lo, hi, depth))
            return []

        fn.loop("%begin", "%end", 1, [], part)

    def _part(self, fn: FunctionWriter, job: Value, number: Value) -> Value:
        place = fn.fresh(f"add i64 {fn.fresh(f'mul i64 {number}, 3')}, {len(JOB)}")
        return self.place(fn, job, place, 64)

    def quick(self, fn: FunctionWriter, job: Value, work: Value, part: tuple[Value, ...]) -> None:
        """Sort a part of a row: begin, end, and how often it may be divided by samples."""
        params = [("ptr", "job", ""), ("ptr", "work", "")]
        params += [("i64", name, "") for name in ("lo", "hi", "depth")]
        self.module.once("quick", params, "void", self._divisions, "noinline nounwind")
        words = ", ".join(f"i64 {word}" for word in part)
        fn.raw(f"call void @quick(ptr {job}, ptr {work}, {words})")

    def _divisions(self, fn: FunctionWriter) -> None:
        """Sort the words lo to hi: the left part in a call, the right one in the next turn."""
        a, out, count, few, part, merge, most = (self.read(fn, "%job", name) for name in JOB[:7])
        stop = fn.call("i64", "llvm.smin.i64", [("i64", "%hi"), ("i64", count)])

        def parted(lo: Value, by: Value) -> Value:
            words = f"(ptr {a}, i64 {lo}, i64 %hi, i{self.bits} {by}, ptr %work)"
            return fn.fresh(f"call i64 {part}{words}")

        def turn(c: list[Value]) -> list[Value]:
            lo, depth = c
            size = fn.fresh(f"sub i64 %hi, {lo}")
            here, place = self.place(fn, a, lo), self.place(fn, out, lo, self.result)

            def one() -> None:
                fn.raw(f"call void {few}(ptr {here}, ptr %work, i64 {size}, i64 0)")

            def two() -> None:
                self.halves(fn, {"few": few, "merge": merge}, here, "%work", size, 0)

            def leaf() -> None:
                fn.if_(fn.fresh(f"icmp sle i64 {size}, {self.base}"), one, two)
                self.finish(fn, "%work", place, fn.fresh(f"sub i64 {stop}, {lo}"), "%job")
                fn.ret()

            few_or_two = self._two(fn, size, fn.fresh(f"sub i64 {stop}, {lo}"))
            small = fn.fresh(f"icmp sle i64 {size}, {self.base}")
            fn.if_(fn.fresh(f"or i1 {small}, {few_or_two}"), leaf)
            fn.if_(fn.fresh(f"icmp sle i64 {size}, {most}"), lambda: self._wait(fn, lo, depth))
            pivot = self._pivot(fn, here, size, fn.fresh(f"sub i64 {count}, {lo}"), few, depth)
            middle, less = parted(lo, pivot), fn.fresh(f"sub i64 {depth}, 1")

            def both() -> list[Value]:
                self.quick(fn, "%job", "%work", (lo, middle, less))
                return [middle]

            def equal() -> list[Value]:
                following = fn.fresh(f"add i{self.bits} {pivot}, 1")
                last = fn.fresh(f"icmp eq i{self.bits} {following}, 0")
                (end,) = fn.if_(last, lambda: ["%hi"], lambda: [parted(lo, following)], ["i64"])
                found = fn.call("i64", "llvm.smin.i64", [("i64", end), ("i64", stop)])
                self._same(fn, pivot, place, fn.fresh(f"sub i64 {found}, {lo}"))
                return [end]

            none = fn.fresh(f"icmp eq i64 {middle}, {lo}")
            return [*fn.if_(none, equal, both, ["i64"]), less]

        def wanted(c: list[Value]) -> Value:
            return fn.fresh(f"icmp slt i64 {c[0]}, {stop}")

        fn.while_([("i64", "%lo"), ("i64", "%depth")], wanted, turn)

    def _same(self, fn: FunctionWriter, word: Value, out: Value, n: Value) -> None:
        """Store the results of n words that are equal."""

        def fill(i: Value, _: list[Value]) -> list[Value]:
            fn.raw(f"store i{self.bits} {word}, ptr {self.place(fn, '%work', i)}")
            return []

        def some(i: Value, _: list[Value]) -> list[Value]:
            left = fn.fresh(f"sub i64 {n}, {i}")
            count = fn.call("i64", "llvm.smin.i64", [("i64", left), ("i64", str(self.base))])
            self.finish(fn, "%work", self.place(fn, out, i, self.result), count, "%job")
            return []

        fn.loop(0, self.base, 1, [], fill)
        fn.loop("0", n, self.base, [], some)

    def _wait(self, fn: FunctionWriter, lo: Value, depth: Value) -> None:
        """Leave a part to the threads, if there is a place where it can wait."""
        parts = self.job_place(fn, "%job", "parts")
        held = fn.fresh(f"load i64, ptr {parts}")

        def note() -> None:
            place = self._part(fn, "%job", held)
            for k, word in enumerate((lo, "%hi", depth)):
                fn.raw(f"store i64 {word}, ptr {self.place(fn, place, str(k), 64)}")
            fn.raw(f"store i64 {fn.fresh(f'add i64 {held}, 1')}, ptr {parts}")
            fn.ret()

        fn.if_(fn.fresh(f"icmp slt i64 {held}, {PARTS}"), note)

    # pivots ---------------------------------------------------------------------------------------

    def _pivot(
        self, fn: FunctionWriter, here: Value, size: Value, wanted: Value, few: Value, depth: Value
    ) -> Value:
        params = [("ptr", "a", ""), ("i64", "size", ""), ("i64", "wanted", "")]
        params += [("ptr", "few", ""), ("ptr", "work", "")]
        t = f"i{self.bits}"
        self.module.once("pivot", params, t, self._sample, "noinline nounwind")
        self.module.once("middle", params[:2], t, self._middle, "noinline nounwind")

        def sample() -> list[Value]:
            words = f"(ptr {here}, i64 {size}, i64 {wanted}, ptr {few}, ptr %work)"
            return [fn.fresh(f"call {t} @pivot{words}")]

        def middle() -> list[Value]:
            return [fn.fresh(f"call {t} @middle(ptr {here}, i64 {size})")]

        usual = fn.fresh(f"icmp sgt i64 {depth}, 0")
        return fn.if_(usual, sample, middle, [t], likely=True)[0]

    def _sample(self, fn: FunctionWriter) -> None:
        """The middle of a sorted sample, or such a one that what is wanted will lie below it."""
        t, least = f"i{self.bits}", 2 * self.lanes
        many = fn.fresh(f"icmp sge i64 %size, {MANY}")
        shift = fn.fresh(
            f"select i1 {many}, i64 {least.bit_length()}, i64 {least.bit_length() - 1}"
        )
        total = fn.fresh(f"shl i64 1, {shift}")
        step = fn.fresh(f"lshr i64 %size, {shift}")

        half = fn.fresh(f"lshr i64 {step}, 1")
        v, wide = Vectors(fn, self.bits, self.lanes), f"<{self.lanes} x i64>"
        apart = fn.fresh(f"mul {wide} {v.splat(step, 64)}, {lane_numbers(self.lanes)}")
        name = f"llvm.masked.gather.v{self.lanes}i{self.bits}.v{self.lanes}p0"
        fn.declare(v.kind, name, [f"<{self.lanes} x ptr>", "i32", v.flags, v.kind])

        def take(i: Value, _: list[Value]) -> list[Value]:
            first = fn.fresh(f"add i64 {fn.fresh(f'mul i64 {i}, {step}')}, {half}")
            where = fn.fresh(f"add {wide} {apart}, {v.splat(first, 64)}")
            where = fn.fresh(f"getelementptr {t}, ptr %a, {wide} {where}")
            words = f"<{self.lanes} x ptr> {where}, i32 {self.bits // 8}, {v.flags} splat (i1 true)"
            v.store(v.at("%work", i), fn.fresh(f"call {v.kind} @{name}({words}, {v.kind} poison)"))
            return []

        fn.loop("0", total, self.lanes, [], take)
        fn.raw(f"call void %few(ptr %work, ptr %work, i64 {total}, i64 1)")
        rank = fn.fresh(f"udiv i64 {fn.fresh(f'mul i64 %wanted, {total}')}, %size")
        rank = fn.fresh(f"add i64 {rank}, 2")
        last = fn.fresh(f"sub i64 {total}, 1")
        rank = fn.call("i64", "llvm.smin.i64", [("i64", rank), ("i64", last)])
        all_ = fn.fresh("icmp sge i64 %wanted, %size")
        middle = fn.fresh(f"lshr i64 {total}, 1")
        rank = fn.fresh(f"select i1 {all_}, i64 {middle}, i64 {rank}")
        fn.ret(t, fn.fresh(f"load {t}, ptr {self.place(fn, '%work', rank)}"))

    def _middle(self, fn: FunctionWriter) -> None:
        """Half the way from the least word to the greatest one: neither side is then empty, if they
        differ."""
        t = f"i{self.bits}"

        def look(i: Value, c: list[Value]) -> list[Value]:
            word = fn.fresh(f"load {t}, ptr {self.place(fn, '%a', i)}")
            pairs = (("umin", c[0]), ("umax", c[1]))
            return [fn.call(t, f"llvm.{n}.{t}", [(t, b), (t, word)]) for n, b in pairs]

        least, greatest = fn.loop("0", "%size", 1, [(t, "-1"), (t, "0")], look)
        half = fn.fresh(f"lshr {t} {fn.fresh(f'sub {t} {greatest}, {least}')}, 1")
        differ = fn.fresh(f"zext i1 {fn.fresh(f'icmp ne {t} {least}, {greatest}')} to {t}")
        fn.ret(t, fn.fresh(f"add {t} {fn.fresh(f'add {t} {least}, {half}')}, {differ}"))
