"""A kernel of the loop language as one LLVM function, with explicit vectors.

A vector loop runs in full vectors and once more under a mask for the rest; where a turn is long, it
runs in groups of registers, then in single ones that are all under a mask. How many lanes a loop
has is chosen by codegen/lanes_llvm.py. What does not change inside a loop is computed before it.
Folds are written by codegen/folds_llvm.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from symgraph.codegen import ahead_llvm, streams_llvm
from symgraph.codegen import lanes_llvm as choices
from symgraph.codegen.folds_llvm import Folds, join
from symgraph.codegen.library_llvm import library_functions, parameter
from symgraph.codegen.literals import llvm_type, memory_type
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.statements import (
    Alloc,
    Fold,
    For,
    If,
    Kernel,
    Let,
    Stmt,
    Store,
    expressions,
    walk,
)
from symgraph.runtime.later import Later
from symgraph.scalar import Expr, postorder, var
from symgraph.scalar.table import SCALAR_OPS

if TYPE_CHECKING:
    from symgraph.codegen import (
        positions_llvm,
        quotients_llvm,
        running_llvm,
        squares_llvm,
        tuples_llvm,
    )
    from symgraph.loops import running
else:
    positions_llvm = Later("symgraph.codegen.positions_llvm")
    quotients_llvm = Later("symgraph.codegen.quotients_llvm")
    running_llvm = Later("symgraph.codegen.running_llvm")
    squares_llvm = Later("symgraph.codegen.squares_llvm")
    tuples_llvm = Later("symgraph.codegen.tuples_llvm")
    running = Later("symgraph.loops.running")

LOADS = ("load", "load_if")
POSITIONS = ("argmax", "argmin")


def emit_kernel(
    module: ModuleWriter, kernel: Kernel, vector_bits: int, symbol: str = "kernel"
) -> FunctionWriter:
    """The function ``kernel(ptr params..., i64 sizes..., ptr library functions...)`` added to the
    module."""
    params = [("ptr", p.name, "") for p in kernel.params]
    params += [("i64", f"n{k}", "") for k in range(len(kernel.sizes))]
    params += [("ptr", parameter(name), "") for name in library_functions(kernel)]
    attributes = "nounwind"
    if choices.spills(kernel):
        attributes += f" alignstack({vector_bits // 8})"
    fn = module.function(symbol, params, "void", "", attributes)
    shapes = {p.name: p.shape for p in kernel.params}
    stored = {s.buffer for s in walk(kernel.body) if isinstance(s, Store)}
    values = Values(fn, module, shapes, {p.name: f"%{p.name}" for p in kernel.params}, stored)
    for k, name in enumerate(kernel.sizes):
        values.bind(var(name), (f"%n{k}", 1), True)
    streams_llvm.prepare(values, kernel)
    Loops(values, kernel, vector_bits).body(kernel.body)
    streams_llvm.fence(values)
    return fn


class Loops:
    """The statements of a kernel, written one after another."""

    def __init__(self, values: Values, kernel: Kernel, vector_bits: int) -> None:
        self.values, self.fn, self.module = values, values.fn, values.module
        self.vector_bits = vector_bits
        self.stored = values.stored

    def body(self, statements: Sequence[Stmt]) -> None:
        """Write statements one after another; stores to all elements of tuples, or folds over the
        same turns, as one."""
        done = 0
        folds: list[Fold] = []
        for k, (s, following) in enumerate(zip_longest(statements, statements[1:])):
            if k < done:
                continue
            if isinstance(s, Fold):
                folds.append(s)
                if following is None or not (join(folds[:1], s) and join(folds, following)):
                    self._folds(folds)
                    folds = []
                continue
            if isinstance(s, Store) and isinstance(following, Store):
                same = s.buffer == following.buffer
                if same and (count := tuples_llvm.store(self.values, statements[k:])):
                    done = k + count
                    continue
            match s:
                case For():
                    self._for(s)
                case Let():
                    count = self.values.are_counts(s.value)
                    self.values.bind(s.name, self.values.emit(s.value), count)
                case Store():
                    self.values.store(s.buffer, s.indices, s.value)
                case If():
                    self._if(s)
                case Alloc():
                    self._alloc(s)

    def _alloc(self, s: Alloc) -> None:
        """Memory on the stack, of a size known now; a name may come again in a later body."""
        count = elements(s.shape)
        if not isinstance(count, int):
            raise ValueError(f"{s.buffer}: the size of memory on the stack must be known")
        self.values.shapes[s.buffer] = s.shape
        if len(s.shape) == 1:
            self.values.rooms.add(s.buffer)
        self.values.pointers[s.buffer] = self.fn.slot(memory_type(s.dtype), max(1, count))

    def _if(self, s: If) -> None:
        def then() -> None:
            before = self.values.bounds
            self.values.bounds = before | _bounds(s.cond)
            with self.values.inside():
                self.body(s.body)
            self.values.bounds = before

        self.fn.if_(self.values.uniform(s.cond), then)

    # loops ----------------------------------------------------------------------------------------

    def _for(self, s: For) -> None:
        lanes = self._lanes(s) if s.kind == "vector" else 1
        extent = self.values.uniform(s.extent)
        self._hoist(s)
        if _may_be_square(s) and squares_llvm.emit_turned(self.values, s, self.vector_bits):
            return
        ahead_llvm.begin(self.values, [s])
        if lanes == 1:
            with ahead_llvm.rows(self.values, s):
                self.fn.loop(0, extent, 1, [], lambda i, _: self._turn(s, i))
        elif self.values.rooms or any(isinstance(x, Fold) for x in walk(s.body)):
            self._long_turns(s, extent, lanes)
        elif self.values.ahead is not None:
            self._plain_turns(s, extent, lanes)
        else:
            with streams_llvm.streaming(self.values, s, lanes, self.vector_bits // 8):
                self._plain_turns(s, extent, lanes)

    def _plain_turns(self, s: For, extent: Value, lanes: int) -> None:
        """A loop of vectors without folds."""
        count, one = choices.interleaved(s, lanes, self.vector_bits), lanes
        if count > 1 and not choices.is_written_once(s, lanes * count):
            self._interleaved(s, extent, lanes, count)
            return
        lanes *= count
        self.vectors(
            extent, lanes, [], lambda base, mask, _: self._block(s, base, lanes, mask),
            choices.is_short(s, lanes), self.vector_bits // 8 // one,
        )  # fmt: skip

    def _turn(self, s: For, i: Value) -> list[Value]:
        with self.values.inside():
            self.values.bind(s.index, (i, 1), True)
            self.body(s.body)
        return []

    def _block(
        self, s: For, base: Value, lanes: int, mask: Value | None, left: Value = "",
        near: bool = False,
    ) -> list[Value]:  # fmt: skip
        """Some turns at a time."""
        # One element left over is a scalar: LLVM 22 writes a masked store of a constant lane that
        # truncates as wide as the value was before.
        if mask is not None and mask.count("true") == 1:
            return self._turn(s, base)
        with self.values.vector(s.index, lanes, base, mask, left, near):
            if mask is None and self.values.ahead is not None:
                ahead_llvm.ask(self.values, [s])
            elif mask is None:
                self._further_on(s)
            self.body(s.body)
        return []

    def _further_on(self, s: For) -> None:
        """A loop of slow functions, whose turns are so long that a processor does not begin the
        loads of the next ones early, asks for what it will read."""
        if any(not isinstance(x, Let | Store) for x in s.body):
            return
        order = choices.computed(s)
        if any(e.op in choices.CALLED for e in order):
            loads = [e for e in order if e.op == "load"]
            ahead_llvm.further_on(self.values, loads, choices.most_of(s.extent))

    def _long_turns(self, s: For, extent: Value, lanes: int) -> None:
        """Several registers at a time, then single ones, all of which are under a mask: beside a
        fold that costs nothing, and each turn of a loop is written twice at most. So are loops over
        the buffers of a strip, that is after each of its folds."""
        fn, most, one = self.fn, choices.most_of(s.extent), choices.register(s, self.vector_bits)
        size, one = self.vector_bits // 8 // one, min(one, lanes)
        rows = most is not None and not self.values.rooms and not extent.isdigit()
        near = rows and not any(isinstance(x, For) for x in s.body)
        if rows:  # some hundred of them in lanes: written once, and shorter where they are stored
            lanes = one = min(lanes, 2 * one if near else one)
        whole = "0"
        if extent.isdigit():
            whole = str(int(extent) // lanes * lanes)
        elif lanes > one:
            whole = fn.val(f"and i64 {extent}, {-lanes}")
        fn.loop(0, whole, lanes, [], lambda i, _: self._block(s, i, lanes, None))
        if extent.isdigit() and int(extent) % one == 0:
            fn.loop(whole, extent, one, [], lambda i, _: self._block(s, i, one, None))
            return

        folds = any(isinstance(x, Fold) for x in s.body)

        def rest(base: Value, _: list[Value]) -> list[Value]:
            if all(isinstance(x, Store) and x.buffer in self.values.rooms for x in s.body):
                return self._block(s, base, one, None)
            if base.isdigit() and extent.isdigit():
                left = str(int(extent) - int(base))
            else:
                left = fn.val(f"sub i64 {extent}, {base}")
                if lanes == one and most is None:
                    left = fn.call("i64", "llvm.smin.i64", [("i64", left), ("i64", str(one))])
            mask = choices.live(fn, left, one, size)
            if folds and mask.startswith("%"):
                mask = choices.held(fn, mask, one, size, self.vector_bits)
            return self._block(s, base, one, mask, left, near)

        fn.loop(whole, extent, one, [], rest)

    def _interleaved(self, s: For, extent: Value, lanes: int, count: int) -> None:
        """Several registers at a time, then single ones under a mask."""
        fn, wide = self.fn, lanes * count

        def rest(base: Value, _: list[Value]) -> list[Value]:
            left = fn.val(f"sub i64 {extent}, {base}")
            mask = choices.live(fn, left, lanes, self.vector_bits // 8 // lanes)
            return self._block(s, base, lanes, mask, left)

        if extent.isdigit():
            whole = str(int(extent) // wide * wide)
        else:
            whole = fn.val(f"and i64 {extent}, {-wide}")
        fn.loop(0, whole, wide, [], lambda i, _: self._block(s, i, wide, None))
        if whole != extent:
            fn.loop(whole, extent, lanes, [], rest)

    def vectors(
        self, extent: Value, lanes: int, carried: list[tuple[str, Value]],
        block: Callable[[Value, Value | None, list[Value]], list[Value]], short: bool = False,
        size: int = 0,
    ) -> list[Value]:  # fmt: skip
        """``block(base, mask, values)`` for whole vectors, then under a mask for what is left;
        ``short``: it is one vector at most, and written once; ``size``: bytes of an element, where
        there are several registers."""
        fn, size = self.fn, size or self.vector_bits // 8 // lanes
        if extent.isdigit():
            whole = str(int(extent) // lanes * lanes)
            finals = fn.loop(0, whole, lanes, carried, lambda i, c: block(i, None, c))
            left = int(extent) - int(whole)
            return (
                block(whole, choices.live(fn, str(left), lanes, size), finals) if left else finals
            )
        whole = "0" if short else fn.val(f"and i64 {extent}, {-lanes}")
        finals = fn.loop(0, whole, lanes, carried, lambda i, c: block(i, None, c))

        def tail() -> list[Value]:
            left = extent if short else fn.val(f"sub i64 {extent}, {whole}")
            return block(whole, choices.live(fn, left, lanes, size), finals)

        more = fn.val(f"icmp slt i64 {whole}, {extent}")
        types = [t for t, _ in carried]
        return fn.if_(more, tail, (lambda: finals) if types else None, types)

    # folds ----------------------------------------------------------------------------------------

    def _folds(self, folds: list[Fold]) -> None:
        """Folds over the same turns."""
        s = folds[0]
        lanes = 1
        if s.kind == "vector" and self.values.lanes == 1:
            lanes = min(map(self._lanes, folds))
        extent = self.values.uniform(s.extent)
        before = set(self.values.known)
        for f in folds:
            self._hoist(f)
        ahead_llvm.begin(self.values, folds)
        hoisted = [e for e in self.values.known if e not in before and self._may_change(e)]
        rest = positions_llvm.offset(s) if s.combiner in POSITIONS else None
        found = None
        if s.combiner == "next" and s.kind == "vector":
            found = running.running(s)
        if found is not None and self.values.lanes == 1:
            running_llvm.emit(self, s, extent, found, self.vector_bits)
        elif s.combiner == "next":
            self._recurrence(s, extent)
        elif rest is not None:
            positions_llvm.emit(self, s, extent, lanes, rest)
        elif lanes == 1:
            Folds(self, folds, extent).serial()
        else:
            Folds(self, folds, extent).vector(lanes)
        for e in hoisted:  # what comes next may store there
            del self.values.known[e]

    def _may_change(self, e: Expr) -> bool:
        """Whether it reads memory that the kernel writes."""
        return any(n.op in LOADS and n.attr in self.stored for n in postorder([e]))

    def _recurrence(self, s: Fold, extent: Value) -> None:
        """A loop that carries values in registers, those of all lanes of the enclosing loop."""
        lanes = self.values.lanes
        kinds = [llvm_type(n.dtype, lanes) for n in s.names]
        start = list(zip(kinds, [self.values.wide(v) for v in s.starts], strict=True))

        def turn(i: Value, carried: list[Value]) -> list[Value]:
            with self.values.inside():
                self.values.bind(s.index, (i, 1))
                for name, value in zip(s.names, carried, strict=True):
                    self.values.bind(name, (value, lanes))
                self.body(s.body)
                return [self.values.wide(v) for v in s.values]

        finals = self.fn.loop(0, extent, 1, start, turn)
        for name, value in zip(s.names, finals, strict=True):
            self.values.bind(name, (value, lanes))

    def _lanes(self, s: For | Fold) -> int:
        """Lanes of a vector loop, of which only the outermost has any."""
        return 1 if self.values.lanes > 1 else choices.lanes_of(s, self.vector_bits)

    def _hoist(self, s: For | Fold) -> None:
        """Emit before the loop what no turn of it changes."""
        inner = [s, *walk(s.body)]
        moving: set[Expr] = set()
        written = self.stored
        if isinstance(s, Fold):
            written = {x.buffer for x in inner if isinstance(x, Store)}
        roots: list[Expr] = []
        for x in inner:
            roots += expressions(x)
            if isinstance(x, For):
                moving.add(x.index)
            elif isinstance(x, Fold):
                moving.update((x.index, *x.names))
            elif isinstance(x, Let):
                moving.add(x.name)
        for e in self._unmoved(roots, moving, written):
            self.values.emit(e)
        if s.kind == "vector":
            self._invert(s, roots)
        if self.values.apart:
            self._begin_addresses(inner, roots)

    def _invert(self, s: For | Fold, roots: list[Expr]) -> None:
        """The inverses of what many elements are divided by."""
        for e in postorder(roots):
            if e.op == "div" and quotients_llvm.fits(self.values, e, self.vector_bits):
                found = quotients_llvm.prepare(self.values, e, self.values.uniform(s.extent))
                if found is not None:
                    self.values.inverses[e.args[1]] = found

    def _begin_addresses(self, inner: list[Stmt], roots: list[Expr]) -> None:
        """What addresses are made of that no turn changes."""
        values = self.values
        places = [(e.attr, e.args[e.op == "load_if" :], e.dtype)
                  for e in postorder(roots) if e.op in LOADS]  # fmt: skip
        places += [(x.buffer, x.indices, x.value.dtype) for x in inner if isinstance(x, Store)]
        lanes = [x.index for x in inner if isinstance(x, For | Fold) and x.kind == "vector"]
        if values.lane is not None:
            lanes = [values.lane]
        for buffer, indices, dtype in dict.fromkeys(places):
            if buffer in values.pointers and values.reads_neighbours(buffer, indices, lanes):
                values.begin_address(buffer, indices, dtype)
            elif values.lanes > 1:
                values.begin_gather(buffer, indices)

    def _unmoved(
        self, roots: list[Expr], moving: set[Expr], written: Collection[str]
    ) -> list[Expr]:
        """The largest parts of some expressions that do not depend on what moves and may be
        computed although the loop might not run. Loads at positions that depend on data are left
        where they are, and what differs between lanes and looks like a part of an index, which
        addresses are not made of."""
        loading: set[Expr] = set()
        left = set(moving)
        found: dict[Expr, None] = {}
        for e in postorder(roots):
            args, load = e.args, e.op in LOADS
            if load and not loading.isdisjoint(args):
                left.add(e)
            if load or not loading.isdisjoint(args):
                loading.add(e)
            if not moving.isdisjoint(args) or (load and e.attr in written):
                moving.add(e)
            if e in moving:
                found.update(dict.fromkeys(args))
            elif not left.isdisjoint(args):
                left.add(e)
        found.update(dict.fromkeys(roots))
        return [
            e for e in found
            if e not in moving and e not in left and (e.op in SCALAR_OPS or e.op == "load")
            and not self._is_place(e)
        ]  # fmt: skip

    def _is_place(self, e: Expr) -> bool:
        """Whether it is made as indices are."""
        if e.dtype != "int64" or not self.values.apart:
            return False
        return all(n.op in ("var", "const", "add", "sub", "mul", "neg") for n in postorder([e]))


def _bounds(cond: Expr) -> dict[Expr, int]:
    """What a condition says of the most that sizes can be."""
    found: dict[Expr, int] = {}
    stack = [cond]
    while stack:
        e = stack.pop()
        if e.op == "and":
            stack += e.args
        elif e.op == "le" and e.args[0].op == "var" and e.args[1].is_const:
            found[e.args[0]] = e.args[1].value
    return found


def _may_be_square(s: For) -> bool:
    """Whether a loop may be the outer one of what codegen/squares_llvm.py writes."""
    inner = s.body[0] if len(s.body) == 1 else None
    return isinstance(s.extent, int) and isinstance(inner, For) and inner.kind == "vector"
