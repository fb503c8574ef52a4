"""Scans of little state as one loop of native code, the state in registers.

Two forms. *Scalars*: states of a few numbers (a filter's mean and covariance, an oscillator) whose
whole step is written out element by element, products of small matrices included. *Lanes*: a step
that is elementwise in states of one shape (Mandelbrot's set, many pendulums): every vector of
elements goes through all steps by itself before the next one begins.

What does not fit becomes a Loop of kernels (lower/routines.py). Both give the same values but for
the order of sums in small products and folds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.ir.graph import Apply, Constant, Variable
from symgraph.ir.types import Size
from symgraph.loops.compute import Compute, Operand, elements, identity, index_axes
from symgraph.loops.program import Step
from symgraph.loops.statements import Fold, Kernel, Let, Param, Stmt, Store
from symgraph.lower.build import Builder
from symgraph.lower.kernels import nest
from symgraph.lower.nests import sizes_of
from symgraph.lower.widening import lowered
from symgraph.ops.control import Scan
from symgraph.ops.matrix import MatMul
from symgraph.ops.shape import Reshape
from symgraph.scalar import (
    Expr,
    as_expr,
    const,
    evaluate,
    guard,
    load,
    node,
    postorder,
    rebuild,
    substitute,
    transform,
    var,
)
from symgraph.scalar import functions as F

SCALARS = 64  # elements of one value that are written out one by one
LONGEST = 2000  # values of a step that is written out
LANES = 1024  # elements of a row up to which the rows of all steps are read column by column
_TURN = var("_t")
_COMBINE: dict[str, Callable[[Expr, Expr], Expr]] = {
    "add": F.add, "mul": F.mul, "maximum": F.maximum, "minimum": F.minimum,
    "and": F.and_, "or": F.or_,
}  # fmt: skip


class _DoesNotFit(Exception):
    """The step cannot be written so."""


def native(b: Builder, scan: Apply, needs: set[int]) -> bool:
    """Add the steps of a scan as one kernel; False where it needs a Loop."""
    if not isinstance(scan.op, Scan):
        return False
    body = scan.op.body
    kinds = {v.dtype for n in body.toposort() for v in (*n.inputs, *n.outputs)}
    kinds |= {v.dtype for v in (*body.inputs, *body.outputs)}
    if any(dtypes.is_narrow(d) or dtypes.is_complex(d) for d in kinds):
        return False
    for form in (_Lanes, _Scalars):
        try:
            form(b, scan).add(needs)
        except _DoesNotFit:
            continue
        return True
    return False


class _Form:
    """What both forms share: the parameters of the kernel, and the names of what a step reads."""

    def __init__(self, b: Builder, scan: Apply) -> None:
        op: Any = scan.op
        self.b, self.scan, self.op, self.body = b, scan, op, op.body
        self.length = b.ctx.simplify(op.length)
        c, s = op.carries, op.carries + op.sequences
        inner = self.body.inputs
        self.states, self.rows, self.fixed = inner[:c], inner[c:s], inner[s:]
        self.params: dict[str, tuple[str, str]] = {}  # parameter -> buffer, mode
        last = as_expr(self.length) - 1
        self.turn = last - _TURN if op.reverse else _TURN
        self.outer = dict(zip(inner, scan.inputs, strict=True))
        self.order = self.body.toposort()
        for n in self.order:
            requires = getattr(n.op, "requires", None)
            if len(n.outputs) != 1 or (requires and requires(*n.inputs)):
                raise _DoesNotFit

    def shape(self, v: Variable) -> tuple[Size, ...]:
        return tuple(self.b.ctx.simplify(n) for n in v.shape)

    def param(self, v: Variable, mode: str = "in") -> str:
        """The parameter that is the memory of an outer variable."""
        buffer = self.b.buffer(v)
        for name, known in self.params.items():
            if known == (buffer, mode):
                return name
        name = f"p{len(self.params)}"
        self.params[name] = buffer, mode
        return name

    def read(self, v: Variable, at: Sequence[Expr]) -> Expr:
        """An element of a row of a sequence, of a constant of the scan or of a literal."""
        if isinstance(v, Constant):
            if v.data.size == 1:
                return const(v.data.item(), v.dtype)
            if all(i.is_const for i in at):
                return const(v.data[tuple(i.value for i in at)].item(), v.dtype)
            return load(self.param(v), tuple(at), v.dtype)
        outer = self.outer[v]
        if any(v is r for r in self.rows):
            return load(self.param(outer), (self.turn, *at), v.dtype)
        if isinstance(outer, Constant):
            return self.read(outer, at)
        return load(self.param(outer), tuple(at), v.dtype)

    def emit(self, body: tuple[Stmt, ...], needs: set[int]) -> None:
        """The kernel as a step of the program."""
        params = []
        for name, (buffer, mode) in self.params.items():
            known = self.b.buffers[buffer]
            params.append(Param(name, known.dtype, known.shape, mode))
        kernel = Kernel("", tuple(params), sizes_of(body, params), body)
        run: Step = self.b.run(kernel, [n for n, _ in self.params.values()], self.scan.origins)
        reads = [n for n, mode in self.params.values() if mode == "in"]
        writes = [n for n, mode in self.params.values() if mode == "out"]
        reads = [n for n in dict.fromkeys((*reads, *map(self.b.buffer, self.scan.inputs)))]
        self.b.add_steps(reads, writes, [run], needs)


def _named(
    stores: Sequence[Store], values: Sequence[Expr]
) -> tuple[tuple[Stmt, ...], tuple[Expr, ...]]:
    """The body and the values of a step, where what is stored and carried has one name for both."""
    stored = {s.value for s in stores}
    lets = {
        e: Let(var(f"_n{k}", e.dtype), e)
        for k, e in enumerate(values) if e in stored and e.op not in ("var", "const")
    }  # fmt: skip
    known = {e: s.name for e, s in lets.items()}
    body: list[Stmt] = [*lets.values()]
    body += [s._replace(value=known.get(s.value, s.value)) for s in stores]
    return tuple(body), tuple(known.get(e, e) for e in values)


# scalars ------------------------------------------------------------------------------------------


class _Scalars(_Form):
    """Every element of every value of the step has an expression of its own."""

    def __init__(self, b: Builder, scan: Apply) -> None:
        super().__init__(b, scan)
        self.count = 0
        if not self.states:
            raise _DoesNotFit
        for v in (*self.states, *self.body.outputs, *(o for n in self.order for o in n.outputs)):
            self.places(v)
        self.cells: dict[Variable, dict[tuple[int, ...], Expr]] = {}
        self.named: dict[Expr, Expr] = {}  # what is computed -> its name, in this order
        self.moving: set[Expr] = {_TURN}  # the names that differ between steps

    def places(self, v: Variable) -> list[tuple[int, ...]]:
        """The indices of all elements."""
        shape = self.shape(v)
        if not all(isinstance(n, int) for n in shape) or math.prod(shape) > SCALARS:  # type: ignore
            raise _DoesNotFit
        return list(itertools.product(*(range(n) for n in shape)))  # type: ignore[arg-type]

    def add(self, needs: set[int]) -> None:
        names, starts, first = [], [], []
        for k, v in enumerate(self.states):
            self.cells[v] = {}
            for j, at in enumerate(self.places(v)):
                names.append(var(f"_c{k}_{j}", v.dtype))
                self.cells[v][at] = names[-1]
                self.moving.add(names[-1])
                value = self.start(v, at)
                if not value.is_const:
                    first.append(Let(var(f"_b{k}_{j}", v.dtype), value))
                    value = first[-1].name
                starts.append(value)
        for n in self.order:
            self.node(n)
        values: list[Expr] = []
        stores: list[Store] = []
        for k, v in enumerate(self.body.outputs):
            cells = {at: self.cell(v, at) for at in self.places(v)}
            if k < len(self.states):
                values += cells.values()
                continue
            name = self.param(self.scan.outputs[k], "out")
            stores += [Store(name, (self.turn, *map(const, at)), e) for at, e in cells.items()]
        before, inside = self.lets([*values, *(s.value for s in stores)])
        loop = Fold(tuple(names), "next", _TURN, self.length, "serial", (*inside, *stores),
                    tuple(values), tuple(starts))  # fmt: skip
        finals = []
        for k, v in enumerate(self.states):
            out = self.param(self.scan.outputs[k], "out")
            finals += [Store(out, tuple(map(const, at)), e) for at, e in self.cells[v].items()]
        self.emit((*first, *before, loop, *finals), needs)

    def start(self, v: Variable, at: tuple[int, ...]) -> Expr:
        outer = self.outer[v]
        if isinstance(outer, Constant):
            return self.read(outer, [const(i) for i in at])
        return load(self.param(outer), tuple(map(const, at)), v.dtype)

    def cell(self, v: Variable, at: tuple[int, ...]) -> Expr:
        """The expression of one element."""
        known = self.cells.get(v)
        return known[at] if known is not None else self.read(v, [const(i) for i in at])

    # one node

    def node(self, n: Apply) -> None:
        if hasattr(n.op, "lower"):
            cells = self.computed(n)
        elif isinstance(n.op, MatMul):
            cells = {at: self.product(n, at) for at in self.places(n.output)}
        elif isinstance(n.op, Reshape):
            pairs = zip(self.places(n.output), self.places(n.inputs[0]), strict=True)
            cells = {at: self.cell(n.inputs[0], source) for at, source in pairs}
        else:
            raise _DoesNotFit
        self.cells[n.output] = {at: self.name(e) for at, e in cells.items()}

    def name(self, e: Expr) -> Expr:
        """A name for a value that is computed, so that what is made of it stays short."""
        if e.op in ("var", "const", "load"):
            return e
        known = self.named.get(e)
        if known is None:
            known = self.named[e] = var(f"_v{len(self.named)}", e.dtype)
            order = postorder([e])
            if any(x in self.moving for x in order):
                self.moving.add(known)
            self.count += len(order)
            if self.count > 8 * LONGEST:
                raise _DoesNotFit
        return known

    def lets(self, needed: Sequence[Expr]) -> tuple[list[Stmt], list[Stmt]]:
        """The names that these values need: what is the same in all steps, and the others."""
        wanted = set(postorder(needed))
        before: list[Stmt] = []
        inside: list[Stmt] = []
        for e, name in reversed(self.named.items()):
            if name in wanted:
                wanted.update(postorder([e]))
                (inside if name in self.moving else before).append(Let(name, e))
        if len(inside) > LONGEST:
            raise _DoesNotFit
        return before[::-1], inside[::-1]

    def product(self, n: Apply, at: tuple[int, ...]) -> Expr:
        """One element of a product of matrices."""
        op: Any = n.op
        a, b = n.inputs
        *lead, i, j = at
        size: Any = self.shape(a)[-2 if op.ta else -1]
        total = const(0, a.dtype)
        for k in range(size):
            left = self.cell(a, (*lead, k, i) if op.ta else (*lead, i, k))
            right = self.cell(b, (*lead, j, k) if op.tb else (*lead, k, j))
            total = F.mul(left, right) if k == 0 else F.fma(left, right, total)
        return total

    def computed(self, n: Apply) -> dict[tuple[int, ...], Expr]:
        operands = [Operand(f"v{k}", v.dtype, self.shape(v)) for k, v in enumerate(n.inputs)]
        raw = lowered(n.op, n.output.type.with_shape(self.shape(n.output)), operands)
        if len(raw.body) != 1:
            raise _DoesNotFit
        return {at: self.element(n, raw, at) for at in self.places(n.output)}

    def element(self, n: Apply, raw: Compute, at: tuple[int, ...]) -> Expr:
        place = dict(zip(raw.axes, map(const, at), strict=True))
        fold = raw.reduction
        if fold is None:
            return self.resolved(n, raw.body[0], place)
        if not all(isinstance(m, int) for m in fold.extents) or fold.combiner not in _COMBINE:
            raise _DoesNotFit
        turns = list(itertools.product(*(range(m) for m in fold.extents)))  # type: ignore[arg-type]
        if len(turns) > SCALARS:
            raise _DoesNotFit
        parts = [
            self.resolved(
                n, raw.body[0], {**place, **dict(zip(fold.axes, map(const, t), strict=True))}
            )
            for t in turns
        ]
        if not parts:
            return const(identity(fold.combiner, raw.dtype), raw.dtype)
        while len(parts) > 1:  # a tree, as short as possible from leaf to root
            pairs = itertools.zip_longest(parts[::2], parts[1::2])
            parts = [a if c is None else _COMBINE[fold.combiner](a, c) for a, c in pairs]
        return parts[0]

    def resolved(self, n: Apply, e: Expr, place: dict[Expr, Expr]) -> Expr:
        """The expression with numbers for indices and the operands' elements for their loads."""

        def visit(e: Expr, args: tuple[Expr, ...]) -> Expr:
            if e in place:
                return place[e]
            if e.op == "select" and args[0].is_const:
                return args[1] if args[0].value else args[2]
            if e.op in ("load", "load_if"):
                given = e.op == "load"
                if not given and args[0].is_const and not args[0].value:
                    return const(0, e.dtype)
                at = args if given else args[1:]
                whole = given or args[0].is_const
                if not whole or not all(i.is_const for i in at):
                    raise _DoesNotFit
                return self.cell(n.inputs[int(e.attr[1:])], tuple(int(i.value) for i in at))
            return _folded(e, args)

        return transform([e], visit)[0]


def _folded(e: Expr, args: tuple[Expr, ...]) -> Expr:
    """The node over new operands; of known integers and truths its value."""
    new = rebuild(e, args)
    if new.is_const or not args or e.dtype not in ("int64", "bool"):
        return new
    if e.op in ("and", "or"):
        for a, other in (args, args[::-1]):
            if a.is_const and a.dtype == "bool":
                return other if bool(a.value) == (e.op == "and") else a
    if all(a.is_const and a.dtype in ("int64", "bool") for a in args):
        return const(evaluate(new, {}).item(), e.dtype)
    return new


# lanes --------------------------------------------------------------------------------------------


class _Lanes(_Form):
    """Every value of the step is an expression over the axes of the states' common shape."""

    def __init__(self, b: Builder, scan: Apply) -> None:
        super().__init__(b, scan)
        if not self.states:
            raise _DoesNotFit
        self.common = self.shape(self.states[0])
        count = elements(self.common)
        known = isinstance(count, int)
        if not self.common or (known and count < 4):  # type: ignore[operator]
            raise _DoesNotFit
        moving = any(self.shape(r) for r in self.rows) or len(self.body.outputs) > len(self.states)
        if moving and (not known or count > LANES):  # type: ignore[operator]
            raise _DoesNotFit
        for v in (*self.states, *self.body.outputs):
            if self.shape(v) != self.common:
                raise _DoesNotFit
        self.axes = index_axes(len(self.common))
        self.made: dict[Variable, Compute] = {}
        self.names = [var(f"_c{k}", v.dtype) for k, v in enumerate(self.states)]

    def add(self, needs: set[int]) -> None:
        for n in self.order:
            if not hasattr(n.op, "lower"):
                raise _DoesNotFit
            self.node(n)
        values = [self.value(v) for v in self.body.outputs]
        if len(postorder(values)) > LONGEST:
            raise _DoesNotFit
        first = []
        for k, v in enumerate(self.states):
            outer = self.outer[v]
            first.append(Let(var(f"_b{k}", v.dtype), self.read_start(outer)))
        count = len(self.states)
        stores = [
            Store(self.param(out, "out"), (self.turn, *self.axes), e)
            for out, e in zip(self.scan.outputs[count:], values[count:], strict=True)
        ]
        body, new = _named(stores, values[:count])
        loop = Fold(tuple(self.names), "next", _TURN, self.length, "serial", body, new,
                    tuple(s.name for s in first))  # fmt: skip
        finals = [
            Store(self.param(out, "out"), self.axes, name)
            for out, name in zip(self.scan.outputs, self.names, strict=False)
        ]
        inside: tuple[Stmt, ...] = (*first, loop, *finals)
        self.emit(nest(self.axes, list(self.common), inside, "vector"), needs)

    def read_start(self, outer: Variable) -> Expr:
        if isinstance(outer, Constant) and outer.data.size == 1:
            return const(outer.data.item(), outer.dtype)
        return load(self.param(outer), self.axes, outer.dtype)

    def node(self, n: Apply) -> None:
        operands = [Operand(f"v{k}", v.dtype, self.shape(v)) for k, v in enumerate(n.inputs)]
        raw = lowered(n.op, n.output.type.with_shape(self.shape(n.output)), operands)
        if raw.reduction is not None or len(raw.body) != 1:
            raise _DoesNotFit

        def visit(e: Expr, args: tuple[Expr, ...]) -> Expr:
            if e.op not in ("load", "load_if"):
                return rebuild(e, args)
            v = n.inputs[int(e.attr[1:])]
            at = args if e.op == "load" else args[1:]
            value = self.operand(v, at)
            if e.op == "load":
                return value
            if any(x.op == "load" and x.attr.startswith("state") for x in postorder([value])):
                raise _DoesNotFit
            zero = const(0, value.dtype)
            return node("select", (args[0], guard(value, args[0]), zero), value.dtype)

        body = transform([raw.body[0]], visit)[0]
        self.made[n.output] = raw._replace(body=(body,))
        if len(postorder([body])) > LONGEST:
            raise _DoesNotFit

    def operand(self, v: Variable, at: Sequence[Expr]) -> Expr:
        """An element of what a node reads; those of states as loads, to be checked at the end."""
        known = self.made.get(v)
        if known is not None:
            return substitute(known.body[0], dict(zip(known.axes, at, strict=True)))
        for k, s in enumerate(self.states):
            if v is s:
                return load(f"state{k}", tuple(at), v.dtype)
        return self.read(v, at)

    def value(self, v: Variable) -> Expr:
        """An output of the step, with the states read at the element's own place only."""

        def visit(e: Expr, args: tuple[Expr, ...]) -> Expr:
            if e.op not in ("load", "load_if") or not e.attr.startswith("state"):
                return rebuild(e, args)
            for i, axis, size in zip(args, self.axes, self.common, strict=True):
                if i is not axis and not (size == 1 and i is const(0)):
                    raise _DoesNotFit
            return self.names[int(e.attr[5:])]

        return transform([self.operand(v, self.axes)], visit)[0]
