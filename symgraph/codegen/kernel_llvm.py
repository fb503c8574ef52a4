"""A kernel of the loop language as one LLVM function, with explicit vectors.

The vector loop runs in full vectors and once more under a mask for the rest. What does not change
inside a loop is computed before it. Folds are written by codegen/folds_llvm.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from symgraph import dtypes
from symgraph.codegen import scalar_llvm as scalars
from symgraph.codegen.folds_llvm import SLOW, Folds, join, most_of
from symgraph.codegen.library_llvm import library_functions, parameter
from symgraph.codegen.literals import lane_numbers, llvm_type, memory_type
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
from symgraph.scalar import Expr, as_expr, postorder, var
from symgraph.scalar.table import SCALAR_OPS

if TYPE_CHECKING:
    from symgraph.codegen import positions_llvm, running_llvm, squares_llvm
    from symgraph.loops import running
else:
    positions_llvm = Later("symgraph.codegen.positions_llvm")
    running_llvm = Later("symgraph.codegen.running_llvm")
    squares_llvm = Later("symgraph.codegen.squares_llvm")
    running = Later("symgraph.loops.running")

LOADS = ("load", "load_if")
POSITIONS = ("argmax", "argmin")
LIGHT = 14  # expression nodes up to which a fold is light enough to run four accumulators
INTERLEAVED = 4  # registers that a chain of operations runs on at once
CHAIN, LONG = 5, 48  # the number of operations for which that is worth its code


def emit_kernel(
    module: ModuleWriter, kernel: Kernel, vector_bits: int, symbol: str = "kernel"
) -> FunctionWriter:
    """The function ``kernel(ptr params..., i64 sizes..., ptr library functions...)`` added to the
    module."""
    params = [("ptr", p.name, "") for p in kernel.params]
    params += [("i64", f"n{k}", "") for k in range(len(kernel.sizes))]
    params += [("ptr", parameter(name), "") for name in library_functions(kernel)]
    fn = module.function(symbol, params, "void", "", "nounwind")
    shapes = {p.name: p.shape for p in kernel.params}
    stored = {s.buffer for s in walk(kernel.body) if isinstance(s, Store)}
    values = Values(fn, module, shapes, {p.name: f"%{p.name}" for p in kernel.params}, stored)
    for k, name in enumerate(kernel.sizes):
        values.bind(var(name), (f"%n{k}", 1))
    Loops(values, kernel, vector_bits).body(kernel.body)
    return fn


class Loops:
    """The statements of a kernel, written one after another."""

    def __init__(self, values: Values, kernel: Kernel, vector_bits: int) -> None:
        self.values, self.fn, self.module = values, values.fn, values.module
        self.vector_bits = vector_bits
        self.stored = values.stored

    def body(self, statements: Sequence[Stmt]) -> None:
        """Write statements one after another; a pair of stores, or folds over the same turns, as
        one."""
        done: Stmt | None = None
        folds: list[Fold] = []
        for s, following in zip_longest(statements, statements[1:]):
            if s is done:
                continue
            if isinstance(s, Fold):
                folds.append(s)
                if following is None or not (join(folds[:1], s) and join(folds, following)):
                    self._folds(folds)
                    folds = []
                continue
            if isinstance(s, Store) and isinstance(following, Store):
                if self.values.store_both(s, following):
                    done = following
                    continue
            match s:
                case For():
                    self._for(s)
                case Let():
                    self.values.bind(s.name, self.values.emit(s.value))
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

        def turn(i: Value, _: list[Value]) -> list[Value]:
            with self.values.inside():
                self.values.bind(s.index, (i, 1))
                self.body(s.body)
            return []

        if lanes == 1:
            self.fn.loop(0, extent, 1, [], turn)
            return
        # One element left over is a scalar: LLVM 22 writes a masked store of a constant lane that
        # truncates as wide as the value was before.
        single = extent.isdigit() and int(extent) % lanes == 1

        def block(base: Value, mask: Value | None, _: list[Value]) -> list[Value]:
            if mask is not None and single:
                return turn(base, [])
            with self.values.vector(s.index, lanes, base, mask):
                self.body(s.body)
            return []

        if self._interleaves(s, lanes):
            self._interleaved(s, extent, lanes)
            return
        self.vectors(extent, lanes, [], block, _is_short(s, lanes))

    def _interleaved(self, s: For, extent: Value, lanes: int) -> None:
        """Several registers at a time, then single ones under a mask."""
        fn, wide = self.fn, lanes * INTERLEAVED

        def block(base: Value, count: int, mask: Value | None) -> list[Value]:
            with self.values.vector(s.index, count, base, mask):
                self.body(s.body)
            return []

        def rest(base: Value, _: list[Value]) -> list[Value]:
            left = scalars.splat(fn, fn.val(f"sub i64 {extent}, {base}"), "int64", lanes)
            kind = llvm_type("int64", lanes)
            return block(base, lanes, fn.val(f"icmp slt {kind} {lane_numbers(lanes)}, {left}"))

        if extent.isdigit():
            whole = str(int(extent) // wide * wide)
        else:
            whole = fn.val(f"and i64 {extent}, {-wide}")
        fn.loop(0, whole, wide, [], lambda i, _: block(i, wide, None))
        if whole != extent:
            fn.loop(whole, extent, lanes, [], rest)

    def vectors(
        self, extent: Value, lanes: int, carried: list[tuple[str, Value]],
        block: Callable[[Value, Value | None, list[Value]], list[Value]], short: bool = False,
    ) -> list[Value]:  # fmt: skip
        """``block(base, mask, values)`` for whole vectors, then under a mask for what is left;
        ``short``: it is one vector at most, and written once."""
        fn = self.fn
        if extent.isdigit():
            whole = str(int(extent) // lanes * lanes)
            some = int(whole) < int(extent)
        else:
            whole, some = "0" if short else fn.val(f"and i64 {extent}, {-lanes}"), True
        if whole != "0":
            finals = fn.loop(0, whole, lanes, carried, lambda i, c: block(i, None, c))
        else:
            finals = [v for _, v in carried]
        if not some:
            return finals

        def tail() -> list[Value]:
            left = extent if short else fn.val(f"sub i64 {extent}, {whole}")
            limit = scalars.splat(fn, left, "int64", lanes)
            wide = llvm_type("int64", lanes)
            mask = fn.val(f"icmp slt {wide} {lane_numbers(lanes)}, {limit}")
            return block(whole, mask, finals)

        if extent.isdigit():
            left = int(extent) - int(whole)
            flags = ", ".join(f"i1 {'true' if k < left else 'false'}" for k in range(lanes))
            return block(whole, f"<{flags}>", finals)
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

    # choices --------------------------------------------------------------------------------------

    def _lanes(self, s: For | Fold) -> int:
        """Lanes of one register for the widest data of the loop; light folds take four registers,
        so that their additions overlap."""
        if self.values.lanes > 1:
            return 1
        exprs = _all_expressions(s)
        floats = [n.dtype for n in exprs if dtypes.is_float(n.dtype)]
        data = floats or [n.dtype for n in exprs if n.op in ("load", "load_if")]
        data = data or [x.value.dtype for x in walk((s,)) if isinstance(x, Store)] or ["int64"]
        lanes = self.vector_bits // (8 * max(dtypes.itemsize(d) for d in data))
        folds = isinstance(s, Fold) or any(isinstance(x, Fold) for x in walk(s.body))
        light = len(exprs) <= LIGHT * (1 if isinstance(s, Fold) else 3)
        if folds and light and not any(n.op in SLOW for n in exprs):
            lanes *= 4
        elif any(isinstance(x, Fold) and x.combiner == "next" for x in walk(s.body)):
            lanes *= 2  # each turn waits for the one before: two chains at once
        most = most_of(s.extent)
        if most is not None:
            while lanes // 2 >= most and lanes > 1:
                lanes //= 2
        return lanes

    def _interleaves(self, s: For, lanes: int) -> bool:
        """Whether a turn is a chain of operations that wait for each other, so that several at once
        are faster, and short enough to be written twice more."""
        if any(not isinstance(x, Let | Store) for x in s.body) or self.values.lanes > 1:
            return False
        if isinstance(s.extent, int) and s.extent < 2 * INTERLEAVED * lanes:
            return False
        ops = [n.op for n in _all_expressions(s) if n.op not in ("load", "load_if")]
        return CHAIN <= len(ops) <= LONG and sum(op in SLOW for op in ops) <= 1

    def _hoist(self, s: For | Fold) -> None:
        """Emit before the loop what no turn of it changes."""
        inner = [s, *walk(s.body)]
        moving: set[Expr] = set()
        written = self.stored
        if isinstance(s, Fold):
            written = {x.buffer for x in inner if isinstance(x, Store)}
        for x in inner:
            if isinstance(x, For):
                moving.add(x.index)
            elif isinstance(x, Fold):
                moving.update((x.index, *x.names))
            elif isinstance(x, Let):
                moving.add(x.name)
        for x in inner:
            extents = [x.extent] if isinstance(x, For | Fold) and x is not s else []
            roots = [*expressions(x), *(as_expr(e) for e in extents)]
            for root in roots:
                self._hoist_from(root, moving, written)

    def _hoist_from(self, root: Expr, moving: set[Expr], written: set[str]) -> None:
        order = postorder([root])
        for e in order:
            changes = e.op in LOADS and e.attr in written
            if e not in moving and (changes or any(a in moving for a in e.args)):
                moving.add(e)
        candidates = [a for e in order if e in moving for a in e.args]
        for a in candidates if root in moving else [root]:
            if a not in moving and (a.op in SCALAR_OPS or a.op == "load") and _safe(a):
                self.values.emit(a)


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


def _safe(e: Expr) -> bool:
    """Whether it may be computed although the loop might not run: loads at positions that depend
    on data are left where they are."""
    return not any(
        n.op in ("load", "load_if") and any(a.op in ("load", "load_if") for a in postorder(n.args))
        for n in postorder([e])
    )


def _all_expressions(s: Stmt) -> list[Expr]:
    """The values computed in a loop (not its indices), each once."""
    roots: list[Expr] = []
    for x in [s, *walk(getattr(s, "body", ()))]:
        match x:
            case Fold():
                roots += x.values
            case Let():
                roots.append(x.value)
            case Store():
                roots.append(x.value)
    order: list[Expr] = []
    done: set[Expr] = set()
    stack = list(roots)
    while stack:
        e = stack.pop()
        if e not in done:
            done.add(e)
            order.append(e)
            if e.op not in ("load", "load_if"):
                stack.extend(e.args)
    return [e for e in order if e.op not in ("const", "var")]


def _is_short(s: For, lanes: int) -> bool:
    """Whether a loop never has more turns than lanes and is not the rest of a longer one, where
    whole vectors are usual."""
    most = most_of(s.extent)
    if most is None or most > lanes or not isinstance(s.extent, Expr):
        return False
    return all(a.is_const or a.op == "var" for a in s.extent.args)


def _may_be_square(s: For) -> bool:
    """Whether a loop may be the outer one of what codegen/squares_llvm.py writes."""
    inner = s.body[0] if len(s.body) == 1 else None
    return isinstance(s.extent, int) and isinstance(inner, For) and inner.kind == "vector"
