"""The one writer of LLVM IR text, for every target.

A FunctionWriter appends lines and hands out value names; a ModuleWriter collects functions,
declarations and constants and prints them in the order in which they were asked for, so that the
same program always gives the same text. Strings rather than llvmlite.ir because building objects
costs about twenty times as much, and because the text is what golden tests compare.

Legend of the emitted names: `%vN` values, `%sN` stack slots, `hintN:` blocks, `@sg_*` functions of
our own, `@kN` constants made on demand.

Pure values are shared: asking twice for the same right-hand side gives the same name, as long as
the first one dominates the second. A scope (a loop body, a branch) sees what was made before it,
and what is made inside is forgotten when it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

Value = str
Carried = Sequence[tuple[str, Value]]  # (LLVM type, initial value)
Builder = Callable[["FunctionWriter"], None]

# metadata nodes of the module: branch weights, !0 for an unlikely branch and !1 for a likely one,
# and !2, which non-temporal stores name
_NOTES = (
    ("!prof !0", '!0 = !{!"branch_weights", i32 1, i32 100000}'),
    ("!prof !1", '!1 = !{!"branch_weights", i32 100000, i32 1}'),
    ("!nontemporal !2", "!2 = !{i32 1}"),
)


class FunctionWriter:
    """Writes one function.

    `params` are (LLVM type, name, attributes) triples; `%name` is then a value. `linkage` stands
    before the return type ("internal", "dso_local"), `attributes` after the parameters. The entry
    block is open from the start; a function without results gets its `ret void` by itself.

    >>> fn = FunctionWriter("twice", [("double", "x", "")], "double")
    >>> fn.ret("double", fn.val("fadd double %x, %x"))
    >>> print(fn.text(), end="")
    define double @twice(double %x) {
    entry:
      %v1 = fadd double %x, %x
      ret double %v1
    }
    """

    def __init__(
        self,
        name: str,
        params: Sequence[tuple[str, str, str]],
        ret: str = "void",
        linkage: str = "",
        attributes: str = "",
    ) -> None:
        self.name = name
        self.result = ret
        self.declarations: dict[str, str] = {}
        self.current = "entry"
        self.inline_math = False
        self.hides_counters = True
        words = [" ".join(w for w in (t, a, f"%{n.lstrip('%')}") if w) for t, n, a in params]
        head = " ".join(w for w in ("define", linkage, ret, f"@{name}({', '.join(words)})") if w)
        self._head = f"{head} {attributes}".rstrip() + " {"
        self._slots: list[str] = []
        self._lines: list[str] = []
        self._memo: dict[str, Value] = {}
        self._made: list[str] = []  # of these, what is made in the innermost scope
        self._values = 0
        self._labels = 0
        self._open = True

    # lines ----------------------------------------------------------------------------------------

    def raw(self, line: str) -> None:
        """Append a line that makes no value: a store, a call without result."""
        self._lines.append("  " + line)

    def fresh(self, rhs: str) -> Value:
        """A new value even where the same text was written before: loads, calls with effects."""
        self._values += 1
        name = f"%v{self._values}"
        self._lines.append(f"  {name} = {rhs}")
        return name

    def val(self, rhs: str) -> Value:
        """The value of a pure right-hand side, made once in a scope.

        >>> fn = FunctionWriter("f", [("i64", "n", "")])
        >>> fn.val("add i64 %n, 1") == fn.val("add i64 %n, 1")
        True
        """
        name = self._memo.get(rhs)
        if name is None:
            name = self._memo[rhs] = self.fresh(rhs)
            self._made.append(rhs)
        return name

    def call(self, ret: str, function: str, args: Sequence[tuple[str, Value]]) -> Value:
        """A pure call, shared like any value. Intrinsics (`llvm.*`) are declared on the way."""
        words = ", ".join(f"{t} {v}" for t, v in args)
        if function.startswith("llvm."):
            self.declare(ret, function, [t for t, _ in args])
        return self.val(f"call {ret} @{function}({words})")

    def declare(self, ret: str, function: str, arg_types: Sequence[str]) -> None:
        """Note an external declaration; the module prints each once."""
        self.declarations[function] = f"declare {ret} @{function}({', '.join(arg_types)})"

    def prefetch(self, place: Value, writes: bool, locality: int) -> None:
        """Ask for the cache line of an address: to write to it or not, 3 for the nearest cache."""
        name = "llvm.prefetch.p0"
        self.declare("void", name, ["ptr", "i32", "i32", "i32"])
        self.raw(f"call void @{name}(ptr {place}, i32 {int(writes)}, i32 {locality}, i32 1)")

    def slot(self, element: str, count: int = 1, align: int = 64) -> Value:
        """The address of `count` elements on the stack. Slots are made in the entry block: one made
        in a loop would grow the stack each turn."""
        name = f"%s{len(self._slots)}"
        self._slots.append(f"  {name} = alloca [{count} x {element}], align {align}")
        return name

    # blocks ---------------------------------------------------------------------------------------

    def label(self, hint: str) -> str:
        """A block name that no other block of this function has."""
        self._labels += 1
        return f"{hint}{self._labels}"

    def block(self, name: str) -> None:
        """Open a block; the previous one must have been closed by a branch."""
        if self._open:
            raise ValueError(f"{self.name}: block {self.current} is not closed before {name}")
        self._lines.append(f"{name}:")
        self.current = name
        self._open = True

    def br(self, target: str) -> None:
        """Close the block with a jump."""
        self._close(f"br label %{target}")

    def cond_br(self, cond: Value, then: str, other: str, likely: bool | None = None) -> None:
        """Close the block with a branch; `likely` says how `cond` mostly is."""
        hint = "" if likely is None else f", !prof !{int(likely)}"
        self._close(f"br i1 {cond}, label %{then}, label %{other}{hint}")

    def ret(self, type_: str = "void", value: Value = "") -> None:
        """Close the block by returning."""
        self._close(f"ret {type_} {value}".rstrip())

    def _close(self, line: str) -> None:
        if not self._open:
            raise ValueError(f"{self.name}: block {self.current} is closed twice")
        self.raw(line)
        self._open = False

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Forget at the end which values were made inside: they do not dominate what follows."""
        outside = self._made
        self._made = []
        try:
            yield
        finally:
            for rhs in self._made:
                del self._memo[rhs]
            self._made = outside

    # structured control ---------------------------------------------------------------------------

    def loop(
        self,
        start: Value | int,
        stop: Value | int,
        step: Value | int,
        carried: Carried,
        body: Callable[[Value, list[Value]], Sequence[Value]],
    ) -> list[Value]:
        """A counted i64 loop from `start` while below `stop` (above, for a negative literal step).

        `carried` are (type, initial value); `body(i, values)` returns the next values; the result
        are the final ones. Runs zero times where start >= stop; with literal bounds the test before
        the loop is left out, and a single turn is written without a loop.

        >>> fn = FunctionWriter("triangle", [("i64", "n", "")], "i64")
        >>> total, = fn.loop(0, "%n", 1, [("i64", "0")],
        ...                  lambda i, c: [fn.val(f"add i64 {c[0]}, {i}")])
        >>> fn.ret("i64", total)
        """
        turns = _turns(start, stop, step)
        if turns == 0:
            return [value for _, value in carried]
        if turns == 1:
            with self.scope():
                return list(body(str(start), [value for _, value in carried]))
        down = _literal(step) is not None and int(step) < 0
        more = f"icmp {'sgt' if down else 'slt'} i64"
        head, done, before = self.label("loop"), self.label("done"), self.current
        # an unguarded loop has its single way out at the latch, so its values reach what follows
        if turns is None:
            self.cond_br(self.val(f"{more} {start}, {stop}"), head, done)
        else:
            self.br(head)
        with self.scope():
            self.block(head)
            mark = len(self._lines)
            index, *names = self._phis(1 + len(carried))
            values = list(body(index, names))
            following = self._hidden(self.fresh(f"add nsw i64 {index}, {step}"))
            again = self.fresh(f"{more} {following}, {stop}")
            latch = self.current
            self.cond_br(again, head, done)
            starts, nexts = [str(start)], [following]
            starts += [value for _, value in carried]
            nexts += values
            types = ["i64", *(t for t, _ in carried)]
            for k, (name, t) in enumerate(zip([index, *names], types, strict=True)):
                arms = [(starts[k], before), (nexts[k], latch)]
                self._lines[mark + k] = f"  {name} = {_phi(t, arms)}"
        self.block(done)
        if turns is not None:
            return values
        return [
            self.phi(t, [(first, before), (last, latch)])
            for (t, first), last in zip(carried, values, strict=True)
        ]

    def _hidden(self, number: Value) -> Value:
        """The same i64 in the same register, without LLVM knowing where it comes from.

        A loop whose counter is hidden has nothing for loop strength reduction, which takes a fifth
        of the time to compile a kernel (two thirds, of a stencil) to find the addresses that our
        text has already, now better and now worse. A GPU's module does without: its loops are
        unrolled by passes that count their turns.
        """
        if not self.hides_counters:
            return number
        return self.fresh(f'call i64 asm "", "=r,0"(i64 {number})')

    def while_(
        self,
        carried: Carried,
        cond: Callable[[list[Value]], Value],
        body: Callable[[list[Value]], Sequence[Value]],
    ) -> list[Value]:
        """Repeat `body` while `cond(values)` holds, testing first; the result are the final values.

        Values that `cond` makes dominate what follows, but are not shared with it.
        """
        head, inside, done = self.label("while"), self.label("body"), self.label("done")
        before = self.current
        self.br(head)
        with self.scope():
            self.block(head)
            mark = len(self._lines)
            names = self._phis(len(carried))
            self.cond_br(cond(names), inside, done)
            self.block(inside)
            values = list(body(names))
            latch = self.current
            self.br(head)
            for k, (t, first) in enumerate(carried):
                arms = [(first, before), (values[k], latch)]
                self._lines[mark + k] = f"  {names[k]} = {_phi(t, arms)}"
        self.block(done)
        return names

    def if_(
        self,
        cond: Value,
        then: Callable[[], Sequence[Value] | None],
        otherwise: Callable[[], Sequence[Value] | None] | None = None,
        types: Sequence[str] = (),
        likely: bool | None = None,
    ) -> list[Value]:
        """Branch on an i1. With `types`, both arms return that many values, which are merged.

        >>> fn = FunctionWriter("f", [("i1", "c", ""), ("ptr", "p", "")])
        >>> fn.if_("%c", lambda: fn.raw("store i64 1, ptr %p"))
        []
        """
        if types and otherwise is None:
            raise ValueError(f"{self.name}: an if with results needs both arms")
        yes, end = self.label("then"), self.label("end")
        no = self.label("else") if otherwise else end
        self.cond_br(cond, yes, no, likely)
        exits: list[tuple[list[Value], str]] = []
        for name, arm in ((yes, then), (no, otherwise)):
            if arm is None:
                continue
            self.block(name)
            with self.scope():
                values = list(arm() or ())
            if self._open:  # an arm may have returned from the function
                exits.append((values, self.current))
                self.br(end)
        self.block(end)
        return [self.phi(t, [(v[k], at) for v, at in exits]) for k, t in enumerate(types)]

    def phi(self, type_: str, arms: Sequence[tuple[Value, str]]) -> Value:
        """Merge values at the head of a block; arms are (value, block it comes from)."""
        return self.fresh(_phi(type_, arms))

    def _phis(self, count: int) -> list[Value]:
        """Names whose lines are written once the values coming round the loop are known."""
        names = []
        for _ in range(count):
            self._values += 1
            names.append(f"%v{self._values}")
            self._lines.append("")
        return names

    def text(self) -> str:
        """The definition, complete."""
        if self._open and self.result == "void":
            self.ret()
        if self._open:
            raise ValueError(f"{self.name}: block {self.current} is not closed")
        return "\n".join([self._head, "entry:", *self._slots, *self._lines, "}", ""])


class ModuleWriter:
    """Collects what one LLVM module holds.

    `features` are the target's in LLVM's form ("+avx2,-avx512f"): some functions have a shorter
    text, with the same results, where an instruction is known to be there.

    >>> module = ModuleWriter()
    >>> fn = module.function("f", [("ptr", "p", "")])
    >>> fn.raw("store i8 0, ptr %p")
    >>> print(module.text(), end="")
    define void @f(ptr %p) {
    entry:
      store i8 0, ptr %p
      ret void
    }
    """

    def __init__(self, features: str = "") -> None:
        self.features = frozenset(w[1:] for w in features.split(",") if w.startswith("+"))
        self._globals: dict[str, str] = {}
        self._contents: dict[tuple[str, str], str] = {}
        self._functions: dict[str, FunctionWriter] = {}

    def add(self, fn: FunctionWriter) -> FunctionWriter:
        """Take a function in. Names are unique in a module."""
        if fn.name in self._functions:
            raise ValueError(f"the module has a function {fn.name} already")
        self._functions[fn.name] = fn
        return fn

    def function(
        self,
        name: str,
        params: Sequence[tuple[str, str, str]],
        ret: str = "void",
        linkage: str = "",
        attributes: str = "",
    ) -> FunctionWriter:
        """Start a function of this module; the arguments are FunctionWriter's."""
        return self.add(FunctionWriter(name, params, ret, linkage, attributes))

    def has(self, name: str) -> bool:
        """Whether there is a function of that name."""
        return name in self._functions

    def once(
        self,
        name: str,
        params: Sequence[tuple[str, str, str]],
        ret: str,
        build: Builder,
        attributes: str = "",
    ) -> str:
        """The name of an internal function, which `build` writes when it is first asked for."""
        if name not in self._functions:
            fn = self.function(name, params, ret, "internal", attributes)
            build(fn)
        return name

    def global_(self, name: str, text: str) -> str:
        """A named global, `text` being what follows the equals sign. Returns `@name`."""
        if self._globals.setdefault(name, text) != text:
            raise ValueError(f"the module has another global {name}")
        return f"@{name}"

    def constant(self, type_: str, value: str, align: int = 64) -> str:
        """The address of constant data; equal data is held once."""
        key = (type_, value)
        name = self._contents.get(key)
        if name is None:
            name = self._contents[key] = f"k{len(self._contents)}"
            text = f"internal unnamed_addr constant {type_} {value}, align {align}"
            self.global_(name, text)
        return f"@{name}"

    def text(self) -> str:
        """The whole module; functions stand in the order of their making."""
        functions = [fn.text() for fn in self._functions.values()]
        known: dict[str, str] = {}
        for fn in self._functions.values():
            known.update(fn.declarations)
        declared = [known[name] for name in sorted(known) if name not in self._functions]
        parts = [f"@{name} = {text}" for name, text in self._globals.items()]
        parts = ["\n".join(part) + "\n" for part in (parts, declared) if part]
        body = "\n".join(parts + functions)
        used = [line for name, line in _NOTES if name in body]
        return "\n".join([body, *used, ""]) if used else body


def _phi(type_: str, arms: Sequence[tuple[Value, str]]) -> str:
    return f"phi {type_} " + ", ".join(f"[ {value}, %{block} ]" for value, block in arms)


def _literal(value: Value | int) -> int | None:
    text = str(value)
    return int(text) if text.lstrip("-").isdigit() else None


def _turns(start: Value | int, stop: Value | int, step: Value | int) -> int | None:
    """How often a loop with literal bounds runs; None where that is not known."""
    a, b, c = _literal(start), _literal(stop), _literal(step)
    if a is None or b is None or c is None:
        return None
    return len(range(a, b, c))
