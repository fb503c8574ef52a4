"""Rows sorted by vectors: networks for what fits into registers, quicksort above.

Quicksort (Hoare, 1961) writes a segment of one room to the same places of the other one, the lesser
words from the left and the others from the right, whole registers at a time, their words brought
together by the compress instruction (Bramas, 2017). The pivot is taken from a sorted sample. Where
nothing is less than the pivot, the words equal to it are set apart, and are in place. A segment
whose ancestors were too many fails: the row is then sorted by radix. Of a row of which only the
first words are wanted, segments behind those are left alone. A long row is divided by one thread
until its segments are parts enough for all threads.
"""

from __future__ import annotations

from collections.abc import Callable

from symgraph.codegen.literals import lane_numbers
from symgraph.codegen.sort_keys_llvm import Keys
from symgraph.codegen.sort_networks_llvm import Network
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value

PARTS = 64  # segments that wait for threads
EACH = 8  # a segment that waits is at most this part of its row
HEAD = ("a", "b", "out", "count", "failed", "parts")  # words that threads share, before segments
DEPTH = 100  # divisions of divisions up to which quicksort goes on
_SIZES = (2, 4, 8, 16)  # registers of the networks


class Vectors:
    """Loads and stores of words, so many lanes at a time, in one function."""

    def __init__(self, fn: FunctionWriter, bits: int, lanes: int) -> None:
        self.fn, self.bits, self.lanes = fn, bits, lanes
        self.kind, self.flags = f"<{lanes} x i{bits}>", f"<{lanes} x i1>"

    def at(self, base: Value, index: Value, bits: int = 0) -> Value:
        return self.fn.fresh(f"getelementptr i{bits or self.bits}, ptr {base}, i64 {index}")

    def splat(self, value: Value, bits: int = 0) -> Value:
        kind = f"<{self.lanes} x i{bits or self.bits}>"
        first = self.fn.fresh(f"insertelement {kind} poison, i{bits or self.bits} {value}, i64 0")
        zeros = f"<{self.lanes} x i32> zeroinitializer"
        return self.fn.fresh(f"shufflevector {kind} {first}, {kind} poison, {zeros}")

    def below(self, count: Value) -> Value:
        """The first lanes."""
        numbers = lane_numbers(self.lanes)
        return self.fn.fresh(f"icmp ult <{self.lanes} x i64> {numbers}, {self.splat(count, 64)}")

    def load(self, where: Value, mask: Value = "", other: int = -1, bits: int = 0) -> Value:
        bits = bits or self.bits
        kind = f"<{self.lanes} x i{bits}>"
        if not mask:
            return self.fn.fresh(f"load {kind}, ptr {where}, align {bits // 8}")
        name = f"llvm.masked.load.v{self.lanes}i{bits}.p0"
        self.fn.declare(kind, name, ["ptr", "i32", self.flags, kind])
        words = f"ptr {where}, i32 {bits // 8}, {self.flags} {mask}, {kind} splat (i{bits} {other})"
        return self.fn.fresh(f"call {kind} @{name}({words})")

    def store(self, where: Value, value: Value, mask: Value = "") -> None:
        if not mask:
            self.fn.raw(f"store {self.kind} {value}, ptr {where}, align {self.bits // 8}")
            return
        name = f"llvm.masked.store.v{self.lanes}i{self.bits}.p0"
        self.fn.declare("void", name, [self.kind, "ptr", "i32", self.flags])
        words = f"{self.kind} {value}, ptr {where}, i32 {self.bits // 8}, {self.flags} {mask}"
        self.fn.raw(f"call void @{name}({words})")

    def each(self, start: Value, stop: Value, body: Callable[[Value, Value], None]) -> None:
        """``body(index, mask)`` for whole registers, then under a mask for what is left."""
        fn = self.fn
        count = fn.fresh(f"sub i64 {stop}, {start}")
        whole = fn.fresh(f"add i64 {start}, {fn.fresh(f'and i64 {count}, {-self.lanes}')}")

        def turn(i: Value, _: list[Value]) -> list[Value]:
            body(i, "")
            return []

        fn.loop(start, whole, self.lanes, [], turn)
        left = fn.fresh(f"sub i64 {stop}, {whole}")
        more = fn.fresh(f"icmp sgt i64 {left}, 0")
        fn.if_(more, lambda: body(whole, self.below(left)))


def _word(fn: FunctionWriter, base: Value, k: int | Value) -> Value:
    return fn.fresh(f"getelementptr i64, ptr {base}, i64 {k}")


class VectorSort:
    """Writes the functions that sort the words of a row."""

    def __init__(self, module: ModuleWriter, keys: Keys, vector_bits: int, quick: bool) -> None:
        self.module, self.keys, self.quick = module, keys, quick
        self.bits, self.lanes = keys.word, vector_bits // keys.word
        most = 16 if vector_bits == 512 else 8  # half of the registers there are
        self.sizes = [n for n in _SIZES if n <= most]
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
            middle = self._partition(fn, source, target, lo, hi, pivot)

            def both() -> list[Value]:
                return [put(put(top, middle, hi, after), lo, middle, after)]

            def equal() -> list[Value]:
                following = fn.fresh(f"add {t} {pivot}, 1")
                last = fn.fresh(f"icmp eq {t} {following}, 0")
                end = fn.fresh(f"call i64 @partition(ptr {source}, ptr {target}, i64 {lo}, "
                               f"i64 {hi}, {t} {following})")  # fmt: skip
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
        """From a sorted sample, one for each lane: the middle one, or such that what is wanted will
        lie below it."""
        fn, lanes, wide = v.fn, self.lanes, f"<{self.lanes} x i64>"
        step = fn.fresh(f"lshr i64 {size}, {lanes.bit_length() - 1}")
        places = fn.fresh(f"mul {wide} {v.splat(step, 64)}, {lane_numbers(lanes)}")
        first = fn.fresh(f"add i64 {lo}, {fn.fresh(f'lshr i64 {step}, 1')}")
        places = fn.fresh(f"add {wide} {places}, {v.splat(first, 64)}")
        where = fn.fresh(f"getelementptr i{self.bits}, ptr {source}, {wide} {places}")
        name = f"llvm.masked.gather.v{lanes}i{self.bits}.v{lanes}p0"
        fn.declare(v.kind, name, [f"<{lanes} x ptr>", "i32", v.flags, v.kind])
        words = f"<{lanes} x ptr> {where}, i32 {self.bits // 8}, {v.flags} splat (i1 true)"
        held = fn.fresh(f"call {v.kind} @{name}({words}, {v.kind} poison)")
        with fn.scope():
            (held,) = Network(fn, [held], self.bits, lanes).sorted()
        rank = fn.fresh(f"udiv i64 {fn.fresh(f'mul i64 {wanted}, {lanes}')}, {size}")
        rank = fn.fresh(f"add i64 {rank}, 2")
        rank = fn.call("i64", "llvm.smin.i64", [("i64", rank), ("i64", str(lanes - 1))])
        all_ = fn.fresh(f"icmp sge i64 {wanted}, {size}")
        rank = fn.fresh(f"select i1 {all_}, i64 {lanes // 2}, i64 {rank}")
        return fn.fresh(f"extractelement {v.kind} {held}, i64 {rank}")

    def _partition(
        self, fn: FunctionWriter, source: Value, target: Value, lo: Value, hi: Value, pivot: Value
    ) -> Value:
        t = f"i{self.bits}"
        params = [("ptr", n, "") for n in ("source", "target")]
        params += [("i64", "lo", ""), ("i64", "hi", ""), (t, "pivot", "")]
        self.module.once("partition", params, "i64", self._partition_body, "noinline nounwind")
        words = f"(ptr {source}, ptr {target}, i64 {lo}, i64 {hi}, {t} {pivot})"
        return fn.fresh(f"call i64 @partition{words}")

    def _partition_body(self, fn: FunctionWriter) -> None:
        """Where the words that are not less than the pivot begin. While a register's words are
        still to come there is room for a whole register between both sides."""
        v, lanes = Vectors(fn, self.bits, self.lanes), self.lanes
        pivot = v.splat("%pivot")
        name = f"llvm.experimental.vector.compress.v{lanes}i{self.bits}"
        fn.declare(v.kind, name, [v.kind, v.flags, v.kind])
        true = "splat (i1 true)"

        def compressed(held: Value, mask: Value) -> Value:
            words = f"{v.kind} {held}, {v.flags} {mask}, {v.kind} poison"
            return fn.fresh(f"call {v.kind} @{name}({words})")

        def count(mask: Value) -> Value:
            bits = fn.fresh(f"bitcast {v.flags} {mask} to i{lanes}")
            number = fn.call(f"i{lanes}", f"llvm.ctpop.i{lanes}", [(f"i{lanes}", bits)])
            return fn.fresh(f"zext i{lanes} {number} to i64")

        def turn(i: Value, left: Value, right: Value, some: Value) -> list[Value]:
            held = v.load(v.at("%source", i), some)
            less = fn.fresh(f"icmp ult {v.kind} {held}, {pivot}")
            other = fn.fresh(f"xor {v.flags} {less}, {some or true}")
            if some:
                less = fn.fresh(f"and {v.flags} {less}, {some}")
                other = fn.fresh(f"xor {v.flags} {less}, {some}")
            lesser = count(less)
            rest = count(other) if some else fn.fresh(f"sub i64 {lanes}, {lesser}")
            v.store(v.at("%target", left), compressed(held, less), v.below(lesser) if some else "")
            right = fn.fresh(f"sub i64 {right}, {rest}")
            v.store(v.at("%target", right), compressed(held, other), v.below(rest))
            return [fn.fresh(f"add i64 {left}, {lesser}"), right]

        size = fn.fresh("sub i64 %hi, %lo")
        whole = fn.fresh(f"add i64 %lo, {fn.fresh(f'and i64 {size}, {-lanes}')}")
        start = [("i64", "%lo"), ("i64", "%hi")]
        ends = fn.loop("%lo", whole, lanes, start, lambda i, c: turn(i, c[0], c[1], ""))

        def last(i: Value, c: list[Value]) -> list[Value]:
            return turn(i, c[0], c[1], v.below(fn.fresh(f"sub i64 %hi, {i}")))

        left, _ = fn.loop(whole, "%hi", lanes, list(zip(["i64"] * 2, ends, strict=True)), last)
        fn.ret("i64", left)
