"""A kernel of the loop language as one LLVM function, with explicit vectors.

The vector loop runs in full vectors and once more under a mask for the rest. A vector fold keeps
one accumulator per lane and combines the lanes in a fixed tree at the end; long float sums, along
lanes and down columns alike, add blocks into a compensated total, so that the error does not grow
with the length.
What does not change inside a loop is computed before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest

from symgraph import dtypes
from symgraph.codegen import scalar_llvm as scalars
from symgraph.codegen.library_llvm import library_functions, parameter
from symgraph.codegen.literals import constant, lane_numbers, llvm_type
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.loops.compute import identity
from symgraph.loops.statements import Fold, For, If, Kernel, Let, Stmt, Store, expressions, walk
from symgraph.scalar import Expr, as_expr, postorder, var
from symgraph.scalar.special import SPECIAL
from symgraph.scalar.table import SCALAR_OPS

BLOCK = 16  # vectors added one after another before they join the compensated total: NumPy's too
_SUMS, _PAIRS = ("add", "complex_add"), ("complex_add", "complex_mul")
LIGHT = 14  # expression nodes up to which a fold is light enough to run four accumulators
_SLOW = frozenset(
    "exp exp2 expm1 log log1p log2 log10 sin cos tan asin acos atan atan2 sinh cosh tanh asinh"
    " acosh atanh sigmoid softplus erf erfc pow mod floordiv div".split()
) | set(SPECIAL)


def emit_kernel(module: ModuleWriter, kernel: Kernel, vector_bits: int) -> FunctionWriter:
    """The function ``kernel(ptr params..., i64 sizes..., ptr library functions...)`` added to the
    module."""
    params = [("ptr", p.name, "") for p in kernel.params]
    params += [("i64", f"n{k}", "") for k in range(len(kernel.sizes))]
    params += [("ptr", parameter(name), "") for name in library_functions(kernel)]
    fn = module.function("kernel", params, "void", "", "nounwind")
    shapes = {p.name: p.shape for p in kernel.params}
    stored = {s.buffer for s in walk(kernel.body) if isinstance(s, Store)}
    values = Values(fn, module, shapes, {p.name: f"%{p.name}" for p in kernel.params}, stored)
    for k, name in enumerate(kernel.sizes):
        values.bind(var(name), (f"%n{k}", 1))
    _Loops(values, kernel, vector_bits).body(kernel.body)
    return fn


class _Loops:
    def __init__(self, values: Values, kernel: Kernel, vector_bits: int) -> None:
        self.values, self.fn, self.module = values, values.fn, values.module
        self.vector_bits = vector_bits
        self.stored = values.stored

    def body(self, statements: Sequence[Stmt]) -> None:
        done: Stmt | None = None
        for s, following in zip_longest(statements, statements[1:]):
            if s is done:
                continue
            if isinstance(s, Store) and isinstance(following, Store):
                if self.values.store_both(s, following):
                    done = following
                    continue
            match s:
                case For():
                    self._for(s)
                case Fold():
                    self._fold(s)
                case Let():
                    self.values.bind(s.name, self.values.emit(s.value))
                case Store():
                    self.values.store(s.buffer, s.indices, s.value)
                case If():
                    self._if(s)

    def _if(self, s: If) -> None:
        def then() -> None:
            with self.values.inside():
                self.body(s.body)

        self.fn.if_(self.values.uniform(s.cond), then)

    # loops ----------------------------------------------------------------------------------------

    def _for(self, s: For) -> None:
        lanes = self._lanes(s) if s.kind == "vector" else 1
        extent = self.values.uniform(s.extent)
        self._hoist(s)

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

        self._vectors(extent, lanes, [], block)

    def _vectors(
        self, extent: Value, lanes: int, carried: list[tuple[str, Value]],
        block: Callable[[Value, Value | None, list[Value]], list[Value]],
    ) -> list[Value]:  # fmt: skip
        """``block(base, mask, values)`` for whole vectors, then under a mask for what is left."""
        fn = self.fn
        if extent.isdigit():
            whole = str(int(extent) // lanes * lanes)
            some = int(whole) < int(extent)
        else:
            whole, some = fn.val(f"and i64 {extent}, {-lanes}"), True
        if whole != "0":
            finals = fn.loop(0, whole, lanes, carried, lambda i, c: block(i, None, c))
        else:
            finals = [v for _, v in carried]
        if not some:
            return finals

        def tail() -> list[Value]:
            left = fn.val(f"sub i64 {extent}, {whole}")
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

    def _fold(self, s: Fold) -> None:
        lanes = self._lanes(s) if s.kind == "vector" and self.values.lanes == 1 else 1
        extent = self.values.uniform(s.extent)
        self._hoist(s)
        if lanes == 1:
            self._serial_fold(s, extent)
        else:
            self._vector_fold(s, extent, lanes)

    def _start(self, s: Fold, lanes: int) -> list[tuple[str, Value]]:
        neutral = identity(s.combiner, s.names[0].dtype)
        start = [(llvm_type(s.names[0].dtype, lanes), constant(s.names[0].dtype, lanes, neutral))]
        if s.combiner in _PAIRS:
            start.append((start[0][0], constant(s.names[1].dtype, lanes, 0.0)))
        elif len(s.names) == 2:  # the position of nothing comes after every other
            last = dtypes.max_value("int64")
            start.append((llvm_type("int64", lanes), constant("int64", lanes, last)))
        return start

    def _serial_fold(self, s: Fold, extent: Value) -> None:
        """A loop that carries one value (or one per lane of the enclosing vector loop)."""
        lanes = self.values.lanes

        def turn(i: Value, carried: list[Value]) -> list[Value]:
            with self.values.inside():
                self.values.bind(s.index, (i, 1))
                self.body(s.body)
                return self._combine(s, lanes, carried, [self.values.wide(v) for v in s.values])

        if _long_sum(s, extent, 1):
            finals = self._compensated(s, extent, 1, lanes, lambda i, _, c: turn(i, c))
        else:
            finals = self.fn.loop(0, extent, 1, self._start(s, lanes), turn)
        for name, value in zip(s.names, finals, strict=True):
            self.values.bind(name, (value, lanes))

    def _vector_fold(self, s: Fold, extent: Value, lanes: int) -> None:
        start = self._start(s, lanes)

        def block(base: Value, mask: Value | None, carried: list[Value]) -> list[Value]:
            with self.values.vector(s.index, lanes, base, mask):
                self.body(s.body)
                new = [self.values.wide(v) for v in s.values]
            if mask is not None:
                new = [
                    self.fn.val(f"select {llvm_type('bool', lanes)} {mask}, {t} {v}, {t} {z}")
                    for v, (t, z) in zip(new, start, strict=True)
                ]
            return self._combine(s, lanes, carried, new)

        if _long_sum(s, extent, lanes):
            finals = self._compensated(s, extent, lanes, lanes, block)
        else:
            finals = self._vectors(extent, lanes, start, block)
        for name, value in zip(s.names, self._across(s, lanes, finals), strict=True):
            self.values.bind(name, (value, 1))

    def _compensated(
        self, s: Fold, extent: Value, lanes: int, width: int,
        block: Callable[[Value, Value | None, list[Value]], list[Value]],
    ) -> list[Value]:  # fmt: skip
        """Sums of BLOCK vectors, added with the rounding error carried along (Knuth's two-sum);
        ``lanes`` turns are taken at once, by values of ``width`` lanes."""
        fn = self.fn
        kind = llvm_type(s.names[0].dtype, width)
        zero = constant(s.names[0].dtype, width, 0.0)
        step = BLOCK * lanes
        whole = extent if lanes == 1 else fn.val(f"and i64 {extent}, {-lanes}")

        def add(total: Value, error: Value, x: Value) -> list[Value]:
            new = fn.val(f"fadd {kind} {total}, {x}")
            part = fn.val(f"fsub {kind} {new}, {total}")
            lost = fn.val(f"fsub {kind} {new}, {part}")
            lost = fn.val(f"fsub {kind} {total}, {lost}")
            rest = fn.val(f"fsub {kind} {x}, {part}")
            return [new, fn.val(f"fadd {kind} {error}, {fn.val(f'fadd {kind} {lost}, {rest}')}")]

        count = len(s.names)
        zeros = [(kind, zero)] * count

        def join(carried: list[Value], parts: list[Value]) -> list[Value]:
            """One more block: totals and errors alternate."""
            pairs = zip(carried[::2], carried[1::2], parts, strict=True)
            return [v for total, error, x in pairs for v in add(total, error, x)]

        def blocks(i: Value, carried: list[Value]) -> list[Value]:
            end = fn.val(f"add i64 {i}, {step}")
            fn.declare("i64", "llvm.smin.i64", ["i64", "i64"])
            end = fn.val(f"call i64 @llvm.smin.i64(i64 {end}, i64 {whole})")
            return join(carried, fn.loop(i, end, lanes, zeros, lambda k, c: block(k, None, c)))

        sums = fn.loop(0, whole, step, zeros * 2, blocks)

        def tail() -> list[Value]:
            left = fn.val(f"sub i64 {extent}, {whole}")
            wide = llvm_type("int64", lanes)
            limit = scalars.splat(fn, left, "int64", lanes)
            mask = fn.val(f"icmp slt {wide} {lane_numbers(lanes)}, {limit}")
            return join(sums, block(whole, mask, [zero] * count))

        if lanes > 1:
            more = fn.val(f"icmp slt i64 {whole}, {extent}")
            sums = fn.if_(more, tail, lambda: sums, [kind] * (2 * count))
        # An infinite total has a NaN error: the total alone is the answer then.
        flags = llvm_type("bool", width)
        found = []
        for total, error in zip(sums[::2], sums[1::2], strict=True):
            sane = fn.val(f"fcmp ord {kind} {error}, {zero}")
            kept = fn.val(f"select {flags} {sane}, {kind} {error}, {kind} {zero}")
            found.append(fn.val(f"fadd {kind} {total}, {kept}"))
        return found

    def _combine(self, s: Fold, lanes: int, old: list[Value], new: list[Value]) -> list[Value]:
        kind = s.names[0].dtype

        def op(name: str, a: Value, b: Value) -> Value:
            return scalars.emit(self.fn, self.module, name, kind, lanes, [a, b], [kind] * 2)

        if s.combiner == "complex_add":
            return [op("add", a, b) for a, b in zip(old, new, strict=True)]
        if s.combiner == "complex_mul":
            (a, b), (c, d) = old, new
            real = op("sub", op("mul", a, c), op("mul", b, d))
            return [real, op("add", op("mul", a, d), op("mul", b, c))]
        if len(old) == 2:
            return self._better(s, lanes, old, new)
        return [op(s.combiner, old[0], new[0])]

    def _better(self, s: Fold, lanes: int, old: list[Value], new: list[Value]) -> list[Value]:
        """The pair (value, position) that wins: NaN first, then the extreme, then the earlier."""
        fn, kind = self.fn, s.names[0].dtype
        t, b = llvm_type(kind, lanes), llvm_type("bool", lanes)
        if dtypes.is_float(kind):
            way = "ogt" if s.combiner == "argmax" else "olt"
            wins = fn.val(f"fcmp {way} {t} {new[0]}, {old[0]}")
            strange, was = (fn.val(f"fcmp uno {t} {v}, {v}") for v in (new[0], old[0]))
            first = fn.val(f"xor {b} {was}, {constant('bool', lanes, True)}")
            wins = fn.val(f"or {b} {wins}, {fn.val(f'and {b} {strange}, {first}')}")
            same = fn.val(f"fcmp oeq {t} {new[0]}, {old[0]}")
            same = fn.val(f"or {b} {same}, {fn.val(f'and {b} {strange}, {was}')}")
            wins = fn.val(f"and {b} {wins}, {fn.val(f'or {b} {strange}, {first}')}")
        else:
            sign = "s" if dtypes.kind(kind) == "i" else "u"
            way = "gt" if s.combiner == "argmax" else "lt"
            wins = fn.val(f"icmp {sign}{way} {t} {new[0]}, {old[0]}")
            same = fn.val(f"icmp eq {t} {new[0]}, {old[0]}")
        wide = llvm_type("int64", lanes)
        earlier = fn.val(f"icmp slt {wide} {new[1]}, {old[1]}")
        wins = fn.val(f"or {b} {wins}, {fn.val(f'and {b} {same}, {earlier}')}")
        return [
            fn.val(f"select {b} {wins}, {t} {new[0]}, {t} {old[0]}"),
            fn.val(f"select {b} {wins}, {wide} {new[1]}, {wide} {old[1]}"),
        ]

    def _across(self, s: Fold, lanes: int, finals: list[Value]) -> list[Value]:
        """Combine the lanes by halves."""
        width = lanes
        while width > 1:
            half = width // 2
            low = ", ".join(f"i32 {k}" for k in range(half))
            high = ", ".join(f"i32 {k + half}" for k in range(half))
            parts = []
            for order in (low, high):
                picked = []
                for v, name in zip(finals, s.names, strict=True):
                    t = llvm_type(name.dtype, width)
                    if half == 1:
                        k = 0 if order == low else 1
                        picked.append(self.fn.val(f"extractelement {t} {v}, i64 {k}"))
                    else:
                        picks = f"<{half} x i32> <{order}>"
                        picked.append(self.fn.val(f"shufflevector {t} {v}, {t} poison, {picks}"))
                parts.append(picked)
            finals = self._combine(s, half, parts[0], parts[1])
            width = half
        return finals

    # choices --------------------------------------------------------------------------------------

    def _lanes(self, s: For | Fold) -> int:
        """Lanes of one register for the widest data of the loop; light folds take four registers,
        so that their additions overlap."""
        if self.values.lanes > 1:
            return 1
        exprs = _all_expressions(s)
        floats = [n.dtype for n in exprs if dtypes.is_float(n.dtype)]
        data = floats or [n.dtype for n in exprs if n.op in ("load", "load_if")] or ["int64"]
        lanes = self.vector_bits // (8 * max(dtypes.itemsize(d) for d in data))
        folds = isinstance(s, Fold) or any(isinstance(x, Fold) for x in walk(s.body))
        light = len(exprs) <= LIGHT * (1 if isinstance(s, Fold) else 3)
        if folds and light and not any(n.op in _SLOW for n in exprs):
            lanes *= 4
        if isinstance(s.extent, int):
            while lanes // 2 >= s.extent and lanes > 1:
                lanes //= 2
        return lanes

    def _hoist(self, s: For | Fold) -> None:
        """Emit before the loop what no turn of it changes."""
        inner = [s, *walk(s.body)]
        moving: set[Expr] = set()
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
                self._hoist_from(root, moving)

    def _hoist_from(self, root: Expr, moving: set[Expr]) -> None:
        order = postorder([root])
        for e in order:
            kept = e.op in ("load", "load_if") and e.attr in self.stored
            if e not in moving and (kept or any(a in moving for a in e.args)):
                moving.add(e)
        candidates = [a for e in order if e in moving for a in e.args]
        for a in candidates if root in moving else [root]:
            if a not in moving and (a.op in SCALAR_OPS or a.op == "load") and _safe(a):
                self.values.emit(a)


def _long_sum(s: Fold, extent: Value, lanes: int) -> bool:
    """Whether it adds so many floats that the rounding errors would show."""
    long = not extent.isdigit() or int(extent) > 2 * BLOCK * lanes
    return s.combiner in _SUMS and dtypes.is_float(s.names[0].dtype) and long


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
