"""Which values get memory, and what one loop computes for each of them: fusion by substitution.

Every fusible op is one scalar expression over indices. A producer is put in the place of its loads
in its consumer unless it must exist in memory, or computing it again would cost more than keeping
it: used by several consumers or stretched by broadcasting while dear, or the body grown too long.
What remains are *roots*: variables with a buffer, each with its whole expression.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from symgraph.ir.graph import Apply, Constant, Graph, Variable
from symgraph.loops.compute import Compute, Operand, Reduction
from symgraph.lower.widening import lowered
from symgraph.scalar import (
    ELEMENTARY,
    Expr,
    coefficient,
    const,
    guard,
    loads,
    node,
    postorder,
    rebuild,
    substitute,
    transform,
)
from symgraph.scalar.special import SPECIAL

CHEAP = 2  # the cost up to which a value is computed again for each consumer
AGAIN = 8  # ... and that of all computing again: memory that does not fit the cache is dearer
CHEAP_BROADCAST = 3  # ... for each element that broadcasting makes of it
OVERLAP = 24  # ... and for each window that an element is in
LONGEST = 300  # nodes of one body; a longer one is cut, so that code and compile time stay linear

_COSTS = dict.fromkeys(ELEMENTARY, 20) | {
    "const": 0, "var": 0, "load": 0, "load_if": 1, "cast": 1, "bitcast": 0, "div": 4, "sqrt": 4,
    "floordiv": 6, "mod": 6, "pow": 40, "ipow": 20, "add": 1, "sub": 1, "mul": 1, "neg": 1,
}  # fmt: skip
_COSTS |= dict.fromkeys(SPECIAL, 50)


def cost(op: str) -> int:
    """A rough price of one scalar op, in additions."""
    return _COSTS.get(op, 1)


class Root:
    """A variable with memory: ``axes`` run over its non-unit axes, ``target`` are the indices at
    which an element is stored, ``body`` is its whole expression (two of them for argmax)."""

    __slots__ = (
        "axes", "body", "buffer", "extents", "length", "needs", "origins", "reads", "reduction",
        "sources", "target", "variable",
    )  # fmt: skip

    def __init__(
        self, variable: Variable, buffer: str, compute: Compute, origins: tuple[Any, ...]
    ) -> None:
        self.variable, self.buffer, self.origins = variable, buffer, origins
        self.needs: set[int] = set()
        kept = [(a, s) for a, s in zip(compute.axes, compute.shape, strict=True) if s != 1]
        self.axes = tuple(node("var", (), "int64", f"_i{k}") for k in range(len(kept)))
        self.extents = tuple(s for _, s in kept)
        renamed: dict[Expr, Expr] = {a: const(0) for a in compute.axes}
        renamed.update({old: new for (old, _), new in zip(kept, self.axes, strict=True)})
        self.target = tuple(renamed[a] for a in compute.axes)
        self.reduction = compute.reduction
        if self.reduction is not None:
            renamed, self.reduction = _drop_unit_folds(renamed, self.reduction)
        self.body = compute.body
        if any(old is not new for old, new in renamed.items()):
            self.body = tuple(substitute(b, renamed) for b in compute.body)
        nodes = postorder(self.body)
        self.length = len(nodes)
        self.reads = [e for e in nodes if e.op in ("load", "load_if")]
        self.sources = dict.fromkeys(e.attr for e in self.reads)

    @property
    def dtype(self) -> str:
        return self.body[-1].dtype


def _drop_unit_folds(
    renamed: dict[Expr, Expr], reduction: Reduction
) -> tuple[dict[Expr, Expr], Reduction]:
    pairs = zip(reduction.axes, reduction.extents, strict=True)
    kept = [(a, s) for a, s in pairs if s != 1]
    axes = tuple(node("var", (), "int64", f"_r{k}") for k in range(len(kept)))
    renamed = {**renamed, **{a: const(0) for a in reduction.axes}}
    renamed.update({old: new for (old, _), new in zip(kept, axes, strict=True)})
    return renamed, Reduction(reduction.combiner, axes, tuple(s for _, s in kept))


class Inliner:
    """Walks a graph producers first and collects roots.

    ``simplify`` replaces sizes that a check makes equal by one of them. ``buffer_of`` names the
    buffer of a variable; ``emit(root)`` receives each root when it is decided. ``views``: routines
    that can read views of other memory leave them without their own.
    """

    def __init__(
        self,
        graph: Graph,
        buffer_of: Callable[[Variable], str],
        emit: Callable[[Root], None],
        simplify: Callable[[Any], Any],
        views: bool = False,
    ) -> None:
        self.buffer_of, self.emit, self.simplify = buffer_of, emit, simplify
        self.computes: dict[Variable, Compute] = {}  # variables that have no memory (yet)
        self.prices: dict[Variable, int] = {}
        self.lengths: dict[Variable, int] = {}
        self.origins: dict[Variable, tuple[Any, ...]] = {}
        self.needs: dict[Variable, set[int]] = {}
        self.uses = _count_uses(graph)
        self.forced, self.seen_through = _forced(graph, views)
        self.by_buffer: dict[str, Variable] = {}

    def visit(self, apply: Apply, needs: Iterable[int] = ()) -> None:
        """Lower one fusible node: inline its producers, then decide whether it is a root."""
        (out,) = apply.outputs
        raw = self._raw(apply)
        inputs = [i for i in dict.fromkeys(apply.inputs) if i in self.computes]
        self._keep_stretched(raw, inputs)
        inputs = [i for i in inputs if i in self.computes]
        if 1 + sum(self.lengths[i] for i in inputs) > LONGEST:
            for i in sorted(inputs, key=lambda v: -self.lengths[v]):
                if self.lengths[i] > LONGEST // (2 * len(inputs)):
                    self.materialize(i)
            inputs = [i for i in inputs if i in self.computes]
        self.needs[out] = set(needs).union(*(self.needs[i] for i in inputs))
        own = postorder(raw.body)
        self.prices[out] = sum(cost(e.op) for e in own) + sum(self.prices[i] for i in inputs)
        self.lengths[out] = len(own) + sum(self.lengths[i] for i in inputs)
        merged = dict.fromkeys(apply.origins)
        for i in inputs:
            merged.update(dict.fromkeys(self.origins[i]))
        self.origins[out] = tuple(merged)[:8]
        self.computes[out] = raw._replace(body=tuple(self._inline(b) for b in raw.body))
        self.by_buffer[self.buffer_of(out)] = out
        price, again = self.prices[out], self.uses.get(out, 0) - 1
        dear = price > CHEAP and again > 0 and price * again > AGAIN
        hidden = out in self.seen_through and not _is_view(self.computes[out])
        if out in self.forced or hidden or raw.reduction is not None or dear:
            self.materialize(out)

    def materialize(self, v: Variable) -> None:
        """Give a variable memory: it becomes a root, read through its buffer from now on."""
        if v not in self.computes:
            return
        root = Root(v, self.buffer_of(v), self.computes.pop(v), self.origins.pop(v))
        root.needs = self.needs.pop(v)
        self.by_buffer.pop(root.buffer, None)
        self.emit(root)

    def _raw(self, apply: Apply) -> Compute:
        operands = [
            Operand(self.buffer_of(v), v.dtype, [self.simplify(s) for s in v.shape])
            for v in apply.inputs
        ]
        (out,) = apply.outputs
        raw = lowered(apply.op, out.type, operands)
        shape = tuple(self.simplify(s) for s in raw.shape)
        reduction = raw.reduction
        if reduction is not None:
            extents = tuple(self.simplify(s) for s in reduction.extents)
            reduction = reduction._replace(extents=extents)
        scalars = {
            self.buffer_of(v): const(v.data.item(), v.dtype)
            for v in apply.inputs
            if isinstance(v, Constant) and v.data.size == 1
        }
        body = raw.body
        if scalars:
            body = tuple(_with_constants(b, scalars) for b in body)
        return Compute(raw.axes, shape, body, reduction)

    def _keep_stretched(self, raw: Compute, inputs: list[Variable]) -> None:
        """Materialise dear producers that the consumer reads at fewer axes than it loops over, or
        in windows that overlap."""
        dear = {self.buffer_of(i): i for i in inputs if self.prices[i] > CHEAP_BROADCAST}
        if not dear:
            return
        pairs = [*zip(raw.axes, raw.shape, strict=True)]
        if raw.reduction is not None:
            pairs += zip(raw.reduction.axes, raw.reduction.extents, strict=True)
        turning = {a for a, s in pairs if s != 1}
        for read in (x for b in raw.body for x in loads(b)):
            if read.attr not in dear:
                continue
            most = OVERLAP // self.prices[dear[read.attr]]
            long = {a for a, s in pairs if not isinstance(s, int) or s > most}
            if not turning <= set(postorder(read.args)) or _overlap(read.args, long):
                self.materialize(dear[read.attr])

    def _inline(self, body: Expr) -> Expr:
        def visit(e: Expr, args: tuple[Expr, ...]) -> Expr:
            v = self.by_buffer.get(e.attr) if e.op in ("load", "load_if") else None
            if v is None:
                return rebuild(e, args)
            compute = self.computes[v]
            indices = args if e.op == "load" else args[1:]
            value = compute.body[0]
            if indices != compute.axes:
                value = substitute(value, dict(zip(compute.axes, indices, strict=True)))
            if e.op == "load_if":
                zero = const(0, value.dtype)
                value = node("select", (args[0], guard(value, args[0]), zero), value.dtype)
            return value

        return transform([body], visit)[0]


def _overlap(indices: Iterable[Expr], axes: Iterable[Expr]) -> bool:
    """Whether one of some indices is a sum of axes: an element is read as often as one is long."""
    one = const(1)
    return any(sum(coefficient(i, a) is one for a in axes) > 1 for i in indices)


def _with_constants(body: Expr, scalars: dict[str, Expr]) -> Expr:
    def visit(e: Expr, args: tuple[Expr, ...]) -> Expr:
        if e.op == "load" and e.attr in scalars:
            return scalars[e.attr]
        if e.op == "load_if" and e.attr in scalars:
            return node("select", (args[0], scalars[e.attr], const(0, e.dtype)), e.dtype)
        return rebuild(e, args)

    return transform([body], visit)[0]


def _count_uses(graph: Graph) -> dict[Variable, int]:
    uses: dict[Variable, int] = {}
    for apply in graph.toposort():
        for v in dict.fromkeys(apply.inputs):
            uses[v] = uses.get(v, 0) + 1
    for v in graph.outputs:
        uses[v] = uses.get(v, 0) + 1
    return uses


def _forced(graph: Graph, views: bool) -> tuple[set[Variable], set[Variable]]:
    """Outputs, and whatever a routine or an inner graph reads, need memory; and apart from those
    what does not where it is a view of other memory."""
    forced, through = set(graph.outputs), set[Variable]()
    for apply in graph.toposort():
        if views and apply.op.name == "scatter":
            forced.add(apply.inputs[0])
            through.update(apply.inputs[1:])
        elif not hasattr(apply.op, "lower"):
            forced.update(apply.inputs)
    return forced, through - forced


def _is_view(compute: Compute) -> bool:
    """Whether it is one element of other memory, as it is or converted."""
    (body, *more) = compute.body
    while body.op == "cast":
        (body,) = body.args
    return body.op == "load" and not more and compute.reduction is None
