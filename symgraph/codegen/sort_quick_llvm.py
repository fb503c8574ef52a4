"""Rows sorted by vectors: networks for what fits into registers, quicksort above.

Quicksort (Hoare, 1961) writes a segment of one room to the same places of the other one, the lesser
words from the left and the others from the right, whole registers at a time
(codegen/sort_partition_llvm.py). The pivot is taken from a sorted sample. Where nothing is less
than the pivot, the words equal to it are set apart, and are in place. A segment whose ancestors
were too many fails: the row is then sorted by radix. Of a row of which only the first words are
wanted, segments behind those are left alone. A long row is divided by one thread until its segments
are parts enough for all threads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from symgraph.codegen.literals import lane_numbers
from symgraph.codegen.sort_keys_llvm import Keys
from symgraph.codegen.sort_networks_llvm import Network
from symgraph.codegen.sort_partition_llvm import Partition, Vectors
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value

PARTS = 64  # segments that wait for threads
EACH = 8  # a segment that waits is at most this part of its row
HEAD = ("a", "b", "out", "count", "failed", "parts")  # words that threads share, before segments
DEPTH = 100  # divisions of divisions up to which quicksort goes on
MANY = 2048  # words of which four registers of samples are taken for a pivot
_SIZES = (2, 4, 8, 16)  # registers of the networks


def _word(fn: FunctionWriter, base: Value, k: int | Value) -> Value:
    return fn.fresh(f"getelementptr i64, ptr {base}, i64 {k}")


class VectorSort:
    """Writes the functions that sort the words of a row."""

    def __init__(self, module: ModuleWriter, keys: Keys, vector_bits: int, quick: bool) -> None:
        self.module, self.keys, self.quick = module, keys, quick
        self.bits, self.lanes = keys.word, vector_bits // keys.word
        most = 16 if vector_bits == 512 else 8  # half of the registers there are
        self.sizes = [n for n in _SIZES if n <= most]
        self.partition = Partition(module, self.bits, self.lanes)
        self.base = self.lanes * self.sizes[-1]  # words that the largest network sorts

    def encode(self, fn: FunctionWriter, x: Value, room: Value) -> None:
        """The words of all %n elements from x on."""
        v, narrow = Vectors(fn, self.bits, self.lanes), self.keys.bits

        def turn(i: Value, mask: Value) -> None:
            raw = v.load(v.at(x, i, narrow), mask, 0, narrow)
            places = ""
            if self.keys.paired:
                wide = f"<{self.lanes} x i64>"
                places = fn.fresh(f"add {wide} {v.splat(i, 64)}, {lane_numbers(self.lanes)}")
            key = self.keys.encoded(fn, raw, self.lanes)
            v.store(v.at(room, i), self.keys.worded(fn, key, places, self.lanes), mask)

        with fn.scope():
            v.each("0", "%n", turn)

    def small(self, fn: FunctionWriter, source: Value, out: Value, n: Value, count: Value) -> None:
        """Sort n words, at most ``base``, and store the results of the first ``count``."""
        params = [("ptr", "source", ""), ("ptr", "out", ""), ("i64", "n", ""), ("i64", "count", "")]
        words = f"(ptr {source}, ptr {out}, i64 {n}, i64 {count})"

        def choose(sizes: list[int]) -> None:
            name = f"network{sizes[0]}"
            self.module.once(name, params, "void", self._network(sizes[0]), "noinline nounwind")
            if len(sizes) == 1:
                fn.raw(f"call void @{name}{words}")
                return
            fits = fn.fresh(f"icmp sle i64 {n}, {sizes[0] * self.lanes}")
            fn.if_(fits, lambda: fn.raw(f"call void @{name}{words}"), lambda: choose(sizes[1:]))

        choose(self.sizes)

    def _network(self, size: int) -> Callable[[FunctionWriter], None]:
        def build(fn: FunctionWriter) -> None:
            v = Vectors(fn, self.bits, self.lanes)
            numbers, wide = lane_numbers(self.lanes), f"<{self.lanes} x i64>"
            limits = {name: v.splat(name, 64) for name in ("%n", "%count")}

            def inside(k: int, limit: str) -> Value:
                at = fn.fresh(f"add {wide} {numbers}, splat (i64 {k * self.lanes})")
                return fn.fresh(f"icmp slt {wide} {at}, {limits[limit]}")

            rows = [
                v.load(v.at("%source", str(k * self.lanes)), inside(k, "%n")) for k in range(size)
            ]
            for k, row in enumerate(Network(fn, rows, self.bits, self.lanes).sorted()):
                held = self.keys.result(fn, row, self.lanes)
                v.store(v.at("%out", str(k * self.lanes)), held, inside(k, "%count"))

        return build

    # quicksort ------------------------------------------------------------------------------------

    def large(self, fn: FunctionWriter, a: Value, b: Value, out: Value) -> Value:
        """Sort the %n words of room a; false where that takes too long. From %many words on the
        thread team takes part."""

        def threads() -> list[Value]:
            return [fn.fresh("call i64 %threads(ptr %team)")]

        worth = fn.fresh("icmp sge i64 %n, %many")
        (limit,) = fn.if_(worth, threads, lambda: ["1"], ["i64"])
        several = fn.fresh(f"icmp sgt i64 {limit}, 1")
        alone = f"ptr {a}, ptr {b}, ptr {out}, i64 0, i64 %n, i64 0, i64 %count"
        return fn.if_(
            several,
            lambda: [self._together(fn, a, b, out, limit)],
            lambda: [self._sorted(fn, f"{alone}, i64 -1, ptr null")],
            ["i1"],
        )[0]

    def _sorted(self, fn: FunctionWriter, words: str) -> Value:
        params = [("ptr", "a", ""), ("ptr", "b", ""), ("ptr", "out", ""), ("i64", "begin", "")]
        params += [(kind, n, "") for kind, n in (("i64", "end"), ("i64", "state"), ("i64", "count"),
                                                 ("i64", "most"), ("ptr", "shared"))]  # fmt: skip
        name = self.module.once("quicksort", params, "i1", self._segments, "noinline nounwind")
        return fn.fresh(f"call i1 @{name}({words})")

    def _together(self, fn: FunctionWriter, a: Value, b: Value, out: Value, limit: Value) -> Value:
        """Divide the row, and share what comes of it."""
        shared = fn.slot("i64", len(HEAD) + 3 * PARTS)
        for kind, name, value in (("ptr", "a", a), ("ptr", "b", b), ("ptr", "out", out),
                                  ("i64", "count", "%count"), ("i64", "failed", "0"),
                                  ("i64", "parts", "0")):  # fmt: skip
            fn.raw(f"store {kind} {value}, ptr {_word(fn, shared, HEAD.index(name))}")
        most = fn.fresh(f"udiv i64 %n, {EACH}")
        row = f"ptr {a}, ptr {b}, ptr {out}, i64 0, i64 %n, i64 0, i64 %count"
        divided = self._sorted(fn, f"{row}, i64 {most}, ptr {shared}")
        parts = fn.fresh(f"load i64, ptr {_word(fn, shared, HEAD.index('parts'))}")
        params = [("ptr", "context", ""), ("i64", "begin", ""), ("i64", "end", ""),
                  ("i64", "worker", "")]  # fmt: skip
        body = self.module.once("parts", params, "void", self._parts, "noinline nounwind")
        fn.raw(f"call void %run(ptr %team, ptr @{body}, ptr {shared}, i64 {parts}, i64 1, "
               f"i64 {limit})")  # fmt: skip
        failed = fn.fresh(f"load i64, ptr {_word(fn, shared, HEAD.index('failed'))}")
        return fn.fresh(f"and i1 {divided}, {fn.fresh(f'icmp eq i64 {failed}, 0')}")

    def _parts(self, fn: FunctionWriter) -> None:
        """The segments number begin to end, for the thread team."""

        def word(k: int | Value, kind: str = "i64") -> Value:
            return fn.fresh(f"load {kind}, ptr {_word(fn, '%context', k)}")

        rooms = ", ".join(f"ptr {word(k, 'ptr')}" for k in range(3))
        count = word(HEAD.index("count"))

        def part(t: Value, _: list[Value]) -> list[Value]:
            first = fn.fresh(f"add i64 {fn.fresh(f'mul i64 {t}, 3')}, {len(HEAD)}")
            places = [first, *(fn.fresh(f"add i64 {first}, {k}") for k in (1, 2))]
            lo, hi, state = map(word, places)
            words = f"{rooms}, i64 {lo}, i64 {hi}, i64 {state}, i64 {count}, i64 -1, ptr null"
            wrong = fn.fresh(f"xor i1 {self._sorted(fn, words)}, true")
            failed = _word(fn, "%context", HEAD.index("failed"))
            fn.if_(wrong, lambda: fn.raw(f"store i64 1, ptr {failed}"))
            return []

        fn.loop("%begin", "%end", 1, [], part)

    def _segments(self, fn: FunctionWriter) -> None:
        """The segments that wait lie on a stack: begin, end, 2 depth + room. Those of at most
        ``most`` words are noted in ``shared`` instead, as long as there is room."""
        stack, v = fn.slot("i64", 3 * (DEPTH + 4)), Vectors(fn, self.bits, self.lanes)

        def put(top: Value, *words: Value) -> Value:
            place = fn.fresh(f"mul i64 {top}, 3")
            for k, word in enumerate(words):
                at = fn.fresh(f"add i64 {place}, {k}")
                fn.raw(f"store i64 {word}, ptr {v.at(stack, at, 64)}")
            return fn.fresh(f"add i64 {top}, 1")

        def waits(c: list[Value]) -> Value:
            return fn.fresh(f"icmp sgt i64 {c[0]}, 0")

        def segment(c: list[Value]) -> list[Value]:
            top = fn.fresh(f"sub i64 {c[0]}, 1")
            place = fn.fresh(f"mul i64 {top}, 3")
            places = [place, *(fn.fresh(f"add i64 {place}, {k}") for k in (1, 2))]
            lo, hi, state = (fn.fresh(f"load i64, ptr {v.at(stack, at, 64)}") for at in places)
            first = fn.fresh(f"icmp eq i64 {fn.fresh(f'and i64 {state}, 1')}, 0")
            source = fn.fresh(f"select i1 {first}, ptr %a, ptr %b")
            target = fn.fresh(f"select i1 {first}, ptr %b, ptr %a")
            size = fn.fresh(f"sub i64 {hi}, {lo}")
            wanted = fn.fresh(f"sub i64 %count, {lo}")

            def leaf() -> list[Value]:
                # another thread may have sorted what follows
                own = fn.call("i64", "llvm.smin.i64", [("i64", wanted), ("i64", size)])
                self.small(fn, v.at(source, lo), self._place(v, lo), size, own)
                return [top]

            def divide() -> list[Value]:
                return self._divide(v, (lo, hi, state, top, size, wanted), source, target, put)

            def here() -> list[Value]:
                small = fn.fresh(f"icmp sle i64 {size}, {self.base}")
                return fn.if_(small, leaf, divide, ["i64"])

            def shared() -> list[Value]:
                parts = _word(fn, "%shared", HEAD.index("parts"))
                held = fn.fresh(f"load i64, ptr {parts}")

                def note() -> list[Value]:
                    first = fn.fresh(f"add i64 {fn.fresh(f'mul i64 {held}, 3')}, {len(HEAD)}")
                    for k, word in enumerate((lo, hi, state)):
                        at = fn.fresh(f"add i64 {first}, {k}")
                        fn.raw(f"store i64 {word}, ptr {_word(fn, '%shared', at)}")
                    fn.raw(f"store i64 {fn.fresh(f'add i64 {held}, 1')}, ptr {parts}")
                    return [top]

                return fn.if_(fn.fresh(f"icmp slt i64 {held}, {PARTS}"), note, here, ["i64"])

            def some() -> list[Value]:
                return fn.if_(fn.fresh(f"icmp sle i64 {size}, %most"), shared, here, ["i64"])

            return fn.if_(fn.fresh(f"icmp sgt i64 {wanted}, 0"), some, lambda: [top], ["i64"])

        (left,) = fn.while_([("i64", put("0", "%begin", "%end", "%state"))], waits, segment)
        fn.ret("i1", fn.fresh(f"icmp eq i64 {left}, 0"))

    def _place(self, v: Vectors, index: Value) -> Value:
        return v.at("%out", index, 64 if self.keys.paired else self.bits)

    def _divide(
        self, v: Vectors, words: tuple[Value, ...], source: Value, target: Value,
        put: Callable[..., Value],
    ) -> list[Value]:  # fmt: skip
        fn, (lo, hi, state, top, size, wanted) = v.fn, words
        after = fn.fresh(f"add i64 {fn.fresh(f'xor i64 {state}, 1')}, 2")
        deep = fn.fresh(f"icmp sgt i64 {after}, {2 * DEPTH}")

        def go() -> list[Value]:
            t = f"i{self.bits}"
            pivot = self._pivot(v, source, lo, size, wanted)
            middle = self.partition.call(fn, source, target, lo, hi, pivot)

            def both() -> list[Value]:
                return [put(put(top, middle, hi, after), lo, middle, after)]

            def equal() -> list[Value]:
                following = fn.fresh(f"add {t} {pivot}, 1")
                last = fn.fresh(f"icmp eq {t} {following}, 0")
                end = self.partition.call(fn, source, target, lo, hi, following)
                end = fn.fresh(f"select i1 {last}, i64 {hi}, i64 {end}")
                held = v.splat(pivot)
                with fn.scope():
                    result = self.keys.result(fn, held, self.lanes)
                    stop = fn.call("i64", "llvm.smin.i64", [("i64", end), ("i64", "%count")])
                    v.each(lo, stop, lambda i, m: v.store(self._place(v, i), result, m))
                return [put(top, end, hi, after)]

            none = fn.fresh(f"icmp eq i64 {middle}, {lo}")
            return fn.if_(none, equal, both, ["i64"])

        def stop() -> list[Value]:
            fn.ret("i1", "false")
            return []

        fn.if_(deep, stop, likely=False)
        return go()

    def _pivot(self, v: Vectors, source: Value, lo: Value, size: Value, wanted: Value) -> Value:
        """From a sorted sample, one for each lane of some registers: the middle one, or such that
        what is wanted will lie below it."""
        t = f"i{self.bits}"
        params = [("ptr", "source", ""), *(("i64", n, "") for n in ("lo", "size", "wanted"))]
        words = f"(ptr {source}, i64 {lo}, i64 {size}, i64 {wanted})"

        def of(name: str, registers: int) -> Callable[[], list[Value]]:
            build = functools.partial(self._sample, registers=registers)
            self.module.once(name, params, t, build, "noinline nounwind")
            return lambda: [v.fn.fresh(f"call {t} @{name}{words}")]

        many = v.fn.fresh(f"icmp sge i64 {size}, {MANY}")
        return v.fn.if_(many, of("pivot_of_many", 4), of("pivot", 1), [t])[0]

    def _sample(self, fn: FunctionWriter, registers: int) -> None:
        v, lanes, wide = Vectors(fn, self.bits, self.lanes), self.lanes, f"<{self.lanes} x i64>"
        total = lanes * registers
        step = fn.fresh(f"lshr i64 %size, {total.bit_length() - 1}")
        places = fn.fresh(f"mul {wide} {v.splat(step, 64)}, {lane_numbers(lanes)}")
        first = fn.fresh(f"add i64 %lo, {fn.fresh(f'lshr i64 {step}, 1')}")
        name = f"llvm.masked.gather.v{lanes}i{self.bits}.v{lanes}p0"
        fn.declare(v.kind, name, [f"<{lanes} x ptr>", "i32", v.flags, v.kind])
        rows = []
        for k in range(registers):
            begin = fn.fresh(f"add i64 {first}, {fn.fresh(f'mul i64 {step}, {k * lanes}')}")
            at = fn.fresh(f"add {wide} {places}, {v.splat(begin, 64)}")
            where = fn.fresh(f"getelementptr i{self.bits}, ptr %source, {wide} {at}")
            words = f"<{lanes} x ptr> {where}, i32 {self.bits // 8}, {v.flags} splat (i1 true)"
            rows.append(fn.fresh(f"call {v.kind} @{name}({words}, {v.kind} poison)"))
        rows = Network(fn, rows, self.bits, lanes).sorted()
        held = fn.slot(f"i{self.bits}", total)
        for k, row in enumerate(rows):
            v.store(v.at(held, str(k * lanes)), row)
        rank = fn.fresh(f"udiv i64 {fn.fresh(f'mul i64 %wanted, {total}')}, %size")
        rank = fn.fresh(f"add i64 {rank}, {1 + registers}")
        rank = fn.call("i64", "llvm.smin.i64", [("i64", rank), ("i64", str(total - 1))])
        all_ = fn.fresh("icmp sge i64 %wanted, %size")
        rank = fn.fresh(f"select i1 {all_}, i64 {total // 2}, i64 {rank}")
        fn.ret(f"i{self.bits}", fn.fresh(f"load i{self.bits}, ptr {v.at(held, rank)}"))
