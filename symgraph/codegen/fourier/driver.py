"""The entry of a module of Fourier transforms over one axis: which way, whose memory and threads.

    i32 kernel(ptr job)      `record.JOB` says what the words are

It returns 0, or 1 where an exception waits: there was no plan, or no memory; nothing has been done
then. Sequences are done in bundles of as many as lanes, those that lie beside each other or rows
that are turned; or one by one, as the matrix that `rows.py` describes, which long rows are, and
those with a prime factor that is too large for a pass. What a sequence becomes does not depend on
what the others hold, nor on the number of threads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from symgraph.codegen import team_llvm
from symgraph.codegen.fourier.bundles import write_bundles
from symgraph.codegen.fourier.passes import write_sequence
from symgraph.codegen.fourier.record import (
    BESIDE,
    BRING,
    BUNDLE,
    BUNDLE_OF_REAL,
    BY_LENGTH,
    BY_ROOT,
    CARRY,
    COMPLEX,
    END,
    ENDS_OF_BUNDLES,
    FORGET,
    FROM_REAL,
    FUNCTION,
    JOB,
    KINDS_OF_PLANS,
    LINE,
    LONG,
    NO_MEMORY,
    PLAN,
    PLANS,
    ROW,
    ROW_OF_REAL,
    TO_REAL,
)
from symgraph.codegen.fourier.rows import write_rows
from symgraph.codegen.fourier.sequences import scale_of, write_sequences
from symgraph.codegen.gemm.lanes import Integer, Ints, Lanes
from symgraph.codegen.literals import llvm_type
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value

DONE, WAITING = 0, 1  # what the entry returns
LEAST_ROW = 64  # numbers from which on a row is a matrix
SQUARES = 4  # of as many rows as lanes, of which a matrix is large
LARGEST_BUNDLE = 8192  # numbers up to which a bundle stays in cache
SHARED = 1 << 14  # numbers from which on several threads do one sequence
RATE = 300  # picoseconds that a number takes in one of log2(n) steps
PIECES = 4  # ranges for each thread, as one of them may be slower
STACK = 32768  # bytes of memory that need no allocation


def fourier_module(module: ModuleWriter, dtype: str, lanes: int) -> None:
    """Write everything for real numbers of a dtype; the entry is ``kernel``."""
    write_sequence(module)
    write_rows(module, dtype, lanes)
    write_sequences(module, dtype, lanes)
    write_bundles(module, dtype, lanes)
    for half in ("columns", "lines"):
        _half(module, dtype, half)
    params = [("ptr", "job", "")]
    fn = module.function("transform", params, "i32", "internal", "noinline nounwind")
    _Kernel(fn, dtype, lanes).write()
    fn.ret("i32", str(DONE))
    _entry(module.function("kernel", params, "i32", "", "nounwind"))


def _entry(fn: FunctionWriter) -> None:
    """As long as it runs no plan is forgotten; what was too much is when it ends."""
    plans = JOB.get(fn, "%job", "plans")
    running, full = (
        fn.val(f"getelementptr i8, ptr {plans}, i64 {PLANS.offset(w)}") for w in ("running", "full")
    )
    fn.fresh(f"atomicrmw add ptr {running}, i64 1 seq_cst")
    result = fn.fresh("call i32 @transform(ptr %job)")
    fn.fresh(f"atomicrmw sub ptr {running}, i64 1 seq_cst")
    much = fn.fresh(f"icmp ne i64 {fn.fresh(f'load i64, ptr {full}')}, 0")
    forget = f"call ptr {PLANS.get(fn, plans, 'ask')}(ptr {plans}, i64 {FORGET})"
    fn.if_(much, lambda: fn.fresh(forget) and None, likely=False)
    fn.ret("i32", result)


class _Kernel:
    def __init__(self, fn: FunctionWriter, dtype: str, lanes: int) -> None:
        self.fn, self.ints, self.v = fn, Ints(fn), Lanes(fn, dtype, lanes)
        self.lanes = lanes
        self.stack = fn.slot("i8", STACK + LINE, LINE)

    def word(self, name: str) -> Value:
        return JOB.get(self.fn, "%job", name)

    def write(self) -> None:
        fn, ints, word = self.fn, self.ints, self.word
        self.count = ints.mul(word("outer"), word("inner"))
        fn.if_(ints.is_("sle", self.count, 0), lambda: fn.ret("i32", str(DONE)))
        self._lengths()
        self._scale()
        limit = self._limit()
        along = ints.is_("eq", word("inner"), 1)
        alone = fn.val(f"and i1 {along}, {self._better_alone()}")
        alone = fn.val(f"or i1 {alone}, {ints.is_('sgt', self.length, LARGEST_BUNDLE)}")
        whole = ints.is_("eq", word("kind"), COMPLEX)
        self.beside = fn.val(f"and i1 {whole}, {fn.val(f'xor i1 {along}, true')}")
        kind = ints.pick(self.beside, ints.add(word("turn"), BESIDE), BUNDLE)
        bundle = self._plan_if(fn.val(f"xor i1 {alone}, true"), self.length, kind)
        none = fn.val(f"icmp eq ptr {bundle}, null")

        def has_passes() -> list[Value]:
            return [ints.is_("sge", PLAN.get(fn, bundle, "count"), 0)]

        bundled = fn.if_(none, lambda: ["false"], has_passes, ["i1"])[0]
        fn.if_(
            bundled, lambda: self._bundled(bundle, along, limit), lambda: self._one_by_one(limit)
        )

    def _better_alone(self) -> Value:
        """Whether rows are quicker as matrices than in a bundle, which they are where the matrix
        consists of squares of as many rows as lanes, or is so large that its borders do not count,
        and where they do not fill a bundle."""
        fn, ints = self.fn, self.ints
        square = self.lanes * self.lanes
        whole = ints.is_("eq", fn.val(f"and i64 {self.length}, {square - 1}"), 0)
        large = ints.is_("sge", self.length, SQUARES * square)
        few = ints.is_("slt", self.word("outer"), self.lanes)
        any_of = functools.reduce(lambda a, b: fn.val(f"or i1 {a}, {b}"), (whole, large, few))
        long = ints.is_("sge", self.length, LEAST_ROW)
        return fn.val(f"and i1 {long}, {any_of}")

    def _lengths(self) -> None:
        fn, ints, word = self.fn, self.ints, self.word
        n, kind = word("n"), word("kind")
        even = ints.is_("eq", fn.val(f"and i64 {n}, 1"), 0)
        self.halved = fn.val(f"and i1 {even}, {ints.is_('ne', kind, COMPLEX)}")
        half = ints.div(n, 2)
        self.length = ints.pick(self.halved, half, n)
        some = ints.add(half, 1)
        read = ints.pick(ints.is_("eq", kind, TO_REAL), some, n)
        written = ints.pick(ints.is_("eq", kind, FROM_REAL), some, n)
        JOB.put(fn, "%job", length=self.length, read=read, written=written)

    def _scale(self) -> None:
        fn, v, word = self.fn, self.v, self.word
        n = fn.val(f"uitofp i64 {word('n')} to double")
        root = fn.call("double", "llvm.sqrt.f64", [("double", n)])
        inverses = [fn.val(f"fdiv double 1.0, {x}") for x in (n, root)]
        scale = "1.0"
        for norm, inverse in ((BY_LENGTH, inverses[0]), (BY_ROOT, inverses[1])):
            flag = self.ints.is_("eq", word("norm"), norm)
            scale = fn.val(f"select i1 {flag}, double {inverse}, double {scale}")
        if v.element == "float":
            scale = fn.val(f"fptrunc double {scale} to float")
        place = fn.val(f"getelementptr i8, ptr %job, i64 {JOB.offset('scale')}")
        fn.raw(f"store {v.element} {scale}, ptr {place}")

    def _limit(self) -> Value:
        """How many threads take part."""
        fn, ints, word = self.fn, self.ints, self.word
        zeros = fn.call("i64", "llvm.ctlz.i64", [("i64", f"{self.length}"), ("i1", "false")])
        each = ints.mul(ints.mul(ints.sub(65, zeros), RATE), self.length)
        return team_llvm.how_many(fn, word, ints.mul(each, self.count), word("least"))

    # plans and memory -----------------------------------------------------------------------------

    def _plan(self, n: Integer, kind: Integer) -> Value:
        """A plan; where there is none the function returns."""
        fn, ints = self.fn, self.ints
        number = ints.add(ints.mul(n, KINDS_OF_PLANS), kind)
        found = fn.fresh(f"call ptr @find(ptr {self.word('plans')}, i64 {number})")
        none = fn.val(f"icmp eq ptr {found}, null")
        fn.if_(none, lambda: fn.ret("i32", str(WAITING)), likely=False)
        return found

    def _plan_if(self, flag: Value, n: Integer, kind: Integer) -> Value:
        return self.fn.if_(flag, lambda: [self._plan(n, kind)], lambda: ["null"], ["ptr"])[0]

    def _end(self, flag: Value, along: Value, way: str) -> Value:
        """The function that brings bundles in or out, where there is one."""
        fn, ints = self.fn, self.ints
        numbers = [ENDS_OF_BUNDLES.index(f"{what}_{way}") for what in ("rows", "reals")]

        def code() -> list[Value]:
            return [FUNCTION.get(fn, self._plan(ints.pick(along, *numbers), END), "code")]

        return fn.if_(flag, code, lambda: ["null"], ["ptr"])[0]

    def _with_memory(self, need: Integer, use: Callable[[Value], None]) -> None:
        fn, ints, word = self.fn, self.ints, self.word

        def take() -> list[Value]:
            asked = ints.add(need, LINE)
            return [fn.fresh(f"call ptr {word('malloc')}(ptr {word('pool')}, i64 {asked})")]

        little = ints.is_("sle", need, STACK)
        block = fn.if_(little, lambda: [self.stack], take, ["ptr"])[0]
        none = fn.val(f"icmp eq ptr {block}, null")

        def give_up() -> None:
            fn.raw(f"call ptr @find(ptr {word('plans')}, i64 {NO_MEMORY})")
            fn.ret("i32", str(WAITING))

        fn.if_(none, give_up, likely=False)
        number = fn.fresh(f"ptrtoint ptr {block} to i64")
        gap = fn.val(f"and i64 {ints.sub(0, number)}, {LINE - 1}")
        use(fn.val(f"getelementptr i8, ptr {block}, i64 {gap}"))
        give = f"call void {word('free')}(ptr {word('pool')}, ptr {block}, i64 0)"
        fn.if_(fn.val(f"icmp ne ptr {block}, {self.stack}"), lambda: fn.raw(give))

    def _run(self, body: str, count: Integer, limit: Value) -> None:
        """Body over 0 .. count, by the team or alone."""

        def grain() -> Integer:
            return self.ints.ceil(count, self.ints.mul(limit, PIECES))

        team_llvm.run_job(self.fn, self.word, f"@{body}", count, grain, limit)

    # the ways -------------------------------------------------------------------------------------

    def _bundled(self, plan: Value, along: Value, limit: Value) -> None:
        fn, ints, word = self.fn, self.ints, self.word
        to_real, from_real = (ints.is_("eq", word("kind"), k) for k in (TO_REAL, FROM_REAL))
        back = fn.val(f"zext i1 {to_real} to i64")
        some = fn.val(f"or i1 {to_real}, {from_real}")
        real = self._plan_if(some, word("n"), ints.add(back, BUNDLE_OF_REAL))
        both = fn.val(f"or i1 {along}, {self.beside}")
        ends = {
            "in": self._end(fn.val(f"or i1 {along}, {from_real}"), along, "in"),
            "out": self._end(fn.val(f"or i1 {along}, {to_real}"), along, "out"),
        }
        count = ints.add(ints.div(word("n"), 2), 1)
        end = self._plan_if(fn.val(f"xor i1 {both}, true"), count, ints.pick(to_real, BRING, CARRY))
        # two places of so many numbers; turned rows come in blocks of as many as lanes
        each = ints.mul(
            ints.add(ints.up(word("n"), self.lanes), self.lanes), 4 * self.lanes * self.v.size
        )
        beside = ints.ceil(word("inner"), self.lanes)
        bundles = ints.pick(
            along, ints.ceil(word("outer"), self.lanes), ints.mul(word("outer"), beside)
        )

        def use(room: Value) -> None:
            JOB.put(fn, "%job", plan=plan, room=room, each=each, bundles=beside, real_plan=real,
                    end_plan=end, **ends)  # fmt: skip
            self._run("bundles", bundles, limit)

        self._with_memory(ints.mul(each, limit), use)

    def _one_by_one(self, limit: Value) -> None:
        fn, ints, word = self.fn, self.ints, self.word
        plan = self._plan(self.length, ints.add(word("turn"), ROW))
        back = fn.val(f"zext i1 {ints.is_('eq', word('kind'), TO_REAL)} to i64")
        real = self._plan_if(self.halved, word("n"), ints.add(back, ROW_OF_REAL))
        rows = ints.up(ints.mul(ints.add(word("n"), 2), 2 * self.v.size), LINE)
        each = ints.add(LONG.get(fn, plan, "room"), ints.mul(rows, 2))
        few = ints.is_("slt", self.count, ints.mul(limit, 2))
        long = ints.is_("sge", self.length, SHARED)
        plain = ints.is_("eq", LONG.get(fn, plan, "folded"), 0)
        together = fn.val(f"and i1 {few}, {fn.val(f'and i1 {long}, {plain}')}")
        together = fn.val(f"and i1 {together}, {ints.is_('sgt', limit, 1)}")

        def use(room: Value) -> None:
            JOB.put(fn, "%job", plan=plan, room=room, each=each, real_plan=real)

            def shared() -> None:
                # the matrix and both rows of the first room are for all; bundles lie in the others
                place = fn.val(f"getelementptr i8, ptr {room}, i64 {each}")
                JOB.put(fn, "%job", rooms=place)
                fn.loop("0", self.count, 1, [], lambda t, _: self._together(t, plan, room, limit))

            fn.if_(together, shared, lambda: self._run("sequences", self.count, limit))

        threads = ints.add(limit, fn.val(f"zext i1 {together} to i64"))
        self._with_memory(ints.mul(each, threads), use)

    def _together(self, t: Value, plan: Value, room: Value, limit: Value) -> list[Value]:
        """One sequence by several threads."""
        fn, ints = self.fn, self.ints
        source = fn.fresh(f"call ptr @begin(ptr %job, i64 {t}, ptr {room})")
        target = fn.fresh(f"call ptr @aim(ptr %job, i64 {t}, ptr {room})")
        JOB.put(fn, "%job", row=source, target=target)
        for half, size in (("columns", "wide"), ("lines", "high")):
            count = ints.ceil(LONG.get(fn, plan, size), self.lanes)
            self._run(f"{half}_of_row", count, limit)
        fn.raw(f"call void @finish(ptr %job, i64 {t}, ptr {target})")
        return []


def _half(module: ModuleWriter, dtype: str, half: str) -> None:
    """Bundles of the columns or rows of a sequence that several threads do."""
    fn = team_llvm.body_function(module, f"{half}_of_row")
    ints = Ints(fn)
    plan, shared, rooms, each = (
        JOB.get(fn, "%context", w) for w in ("plan", "room", "rooms", "each")
    )
    room = fn.val(f"getelementptr i8, ptr {rooms}, i64 {ints.mul(each, '%worker')}")
    turned = fn.val(f"getelementptr i8, ptr {shared}, i64 {LONG.get(fn, plan, 'turned_at')}")
    end = JOB.get(fn, "%context", "row" if half == "columns" else "target")
    words = f"ptr {plan}, ptr {end}, ptr {room}, ptr {turned}"
    scale = f", {llvm_type(dtype)} {scale_of(fn, dtype)}" if half == "lines" else ""

    def one(j: Value, _: list[Value]) -> list[Value]:
        fn.raw(f"call void @{half}({words}, i64 {j}{scale})")
        return []

    fn.loop("%begin", "%end", 1, [], one)
