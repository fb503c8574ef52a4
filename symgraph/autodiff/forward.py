"""Forward accumulation: tangents flow with the values, from inputs to outputs.

An op may state its rule for tangents, ``jvp``. Where it does not, its rule for cotangents is linear
in them, and the transpose of that is the rule for tangents: one op at a time, the cotangent is a
fresh variable, and the reverse pass with respect to it gives the tangent (Griewank and Walther,
Evaluating Derivatives, 2008, section 3.2). Ops that own graphs carry the tangents through them,
next to the values: so a while loop, which nothing can run backwards, has forward derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.autodiff.reverse import apply_rule, fitted, pushed, reverse_pass
from symgraph.ir.graph import Apply, Graph, Input, Variable, creating_with, rebuild, toposort
from symgraph.ops.control import Cond, only_used, results, spread, used_inputs
from symgraph.ops.looping import While
from symgraph.ops.slicing import zeros

Tangents = Mapping[Variable, Variable]


def forward_pass(outputs: Sequence[Variable], tangents: Tangents) -> list[Variable | None]:
    """The tangents of ``outputs`` when some variables of the graph have these ``tangents``; None
    where an output does not depend on them."""
    known = dict(tangents)
    for node in toposort(outputs):
        moved = [known.get(v) for v in node.inputs]
        if node.op.nondifferentiable or all(t is None for t in moved):
            continue
        with creating_with(node.origins):
            found = _rule(node)(node, moved)
        for y, t in zip(node.outputs, found, strict=True):
            if t is not None and y not in tangents:
                known[y] = fitted(t, y)
    return [known.get(y) for y in outputs]


def _rule(node: Apply) -> Callable[[Apply, Sequence[Variable | None]], Any]:
    """How tangents pass this op."""
    if callable(getattr(node.op, "jvp", None)):
        return lambda node, moved: pushed(node.op, node.inputs, node.outputs, moved)
    return _RULES.get(node.op.name, _transposed)


def _transposed(node: Apply, moved: Sequence[Variable | None]) -> Sequence[Variable | None]:
    """The transpose of the op's rule for cotangents."""
    seeds = [Input(y.type) if dtypes.is_inexact(y.dtype) else None for y in node.outputs]
    wanted = [t is not None for t in moved]
    rows = zip(node.inputs, apply_rule(node, wanted, tuple(seeds)), moved, strict=True)
    pairs = [(fitted(g, v), t) for v, g, t in rows if g is not None and t is not None]
    real = [s for s in seeds if s is not None]
    pulled = reverse_pass([g for g, _ in pairs], [t for _, t in pairs], real)
    found = iter(_at_zero(pulled, real))
    return [None if s is None else next(found) for s in seeds]


def _at_zero(
    tangents: Sequence[Variable | None], seeds: Sequence[Variable]
) -> Sequence[Variable | None]:
    """The tangents without the fresh cotangents. A rule is linear in these, so that its derivative
    does not depend on their values; one that is not written so (expm's) still mentions them."""
    present = [t for t in tangents if t is not None]
    left = set(Graph((), present).leaves()) & set(seeds)
    if not left:
        return tangents
    made = iter(rebuild(present, {s: zeros(s.type) for s in left}))
    return [None if t is None else next(made) for t in tangents]


# ops that own graphs ------------------------------------------------------------------------------


class _Inside:
    """A graph whose inputs may have tangents: for each of those a further input."""

    def __init__(self, graph: Graph, flags: Sequence[bool]) -> None:
        self.graph, self.flags = graph, flags
        self.inputs = {
            v: Input(v.type) for v, f in zip(graph.inputs, flags, strict=True) if f
        }  # fmt: skip
        self.found = forward_pass(graph.outputs, self.inputs)

    def tangent(self, k: int) -> Variable:
        """Of output k; zeros when it depends on nothing that moves."""
        t = self.found[k]
        return zeros(self.graph.outputs[k].type) if t is None else t


def _moving(graph: Graph, flags: list[bool], count: int) -> list[bool]:
    """The flags of a loop body's inputs with every carry that something moving acts on."""
    rows = zip(graph.inputs, spread(graph, flags, count), strict=True)
    return [f and dtypes.is_inexact(v.dtype) for v, f in rows]


def _flags(node: Apply, moved: Sequence[Variable | None]) -> list[bool]:
    return [
        t is not None and dtypes.is_inexact(v.dtype)
        for v, t in zip(node.inputs, moved, strict=True)
    ]  # fmt: skip


def _start(v: Variable, t: Variable | None) -> Variable:
    return zeros(v.type) if t is None else t


def _scan(node: Apply, moved: Sequence[Variable | None]) -> Sequence[Variable | None]:
    """A scan that carries the tangents of its carries beside them."""
    op: Any = node.op
    c, s = op.carries, op.carries + op.sequences
    flags = _moving(op.body, _flags(node, moved), c)
    inside = _Inside(op.body, flags)
    inner: list[Variable] = []
    given: list[Variable] = []
    for first, last in ((0, c), (c, s), (s, len(flags))):
        active = [k for k in range(first, last) if flags[k]]
        inner += [*op.body.inputs[first:last], *(inside.inputs[op.body.inputs[k]] for k in active)]
        given += [*node.inputs[first:last], *(_start(node.inputs[k], moved[k]) for k in active)]
    carried = [k for k in range(c) if flags[k]]
    stacked = [k for k in range(c, len(node.outputs)) if inside.found[k] is not None]
    outputs = [*op.body.outputs[:c], *(inside.tangent(k) for k in carried), *op.body.outputs[c:]]
    outputs += [inside.tangent(k) for k in stacked]
    whole = op.replace(
        body=Graph(inner, outputs),
        carries=c + len(carried),
        sequences=s - c + sum(flags[c:s]),
    )
    made = results(whole, given)
    places = [*range(c, c + len(carried)), *range(len(made) - len(stacked), len(made))]
    by_output = {k: made[p] for k, p in zip([*carried, *stacked], places, strict=True)}
    return [by_output.get(k) for k in range(len(node.outputs))]


def _while(node: Apply, moved: Sequence[Variable | None]) -> Sequence[Variable | None]:
    """The same loop over the state and its tangent; the condition asks for the state only."""
    op: Any = node.op
    c = op.carries
    flags = _moving(op.body, _flags(node, moved), c)
    inside = _Inside(op.body, flags)
    carried = [k for k in range(c) if flags[k]]
    constant = [k for k in range(c, len(flags)) if flags[k]]

    def extended(own: Sequence[Variable], extra: Any) -> list[Variable]:
        return [*own[:c], *(extra(k) for k in carried), *own[c:], *(extra(k) for k in constant)]

    body_inputs = extended(op.body.inputs, lambda k: inside.inputs[op.body.inputs[k]])
    test_inputs = extended(op.test.inputs, lambda k: Input(op.test.inputs[k].type))
    outputs = [*op.body.outputs, *(inside.tangent(k) for k in carried)]
    loop = While(
        Graph(test_inputs, op.test.outputs), Graph(body_inputs, outputs), c + len(carried), op.most
    )
    made = results(loop, extended(node.inputs, lambda k: _start(node.inputs[k], moved[k])))
    by_output = dict(zip(carried, made[c:], strict=True))
    return [by_output.get(k) for k in range(c)]


def _cond(node: Apply, moved: Sequence[Variable | None]) -> Sequence[Variable | None]:
    """A choice between the tangents of both branches."""
    op: Any = node.op
    flags = _flags(node, moved)[1:]
    branches = [_Inside(branch, flags) for branch in (op.then, op.otherwise)]
    places = [k for k in range(len(node.outputs)) if any(b.found[k] is not None for b in branches)]
    if not places:
        return [None] * len(node.outputs)
    graphs = [
        Graph([*b.graph.inputs, *b.inputs.values()], [b.tangent(k) for k in places])
        for b in branches
    ]
    extra = [t for t, f in zip(moved[1:], flags, strict=True) if f and t is not None]
    values = [*node.inputs[1:], *extra]
    kept = [v for v, used in zip(values, used_inputs(graphs), strict=True) if used]
    made = results(Cond(*only_used(graphs)), [node.inputs[0], *kept])
    by_output = dict(zip(places, made, strict=True))
    return [by_output.get(k) for k in range(len(node.outputs))]


def _function(node: Apply, moved: Sequence[Variable | None]) -> Sequence[Variable | None]:
    """Through the body, unless the function has a derivative of its own."""
    op: Any = node.op
    if op.backward is not None:
        return _transposed(node, moved)
    inside = _Inside(op.body, _flags(node, moved))
    mapping: dict[Variable, Variable] = dict(zip(op.body.inputs, node.inputs, strict=True))
    for v, t in zip(op.body.inputs, moved, strict=True):
        if t is not None and v in inside.inputs:
            mapping[inside.inputs[v]] = t
    real = [t for t in inside.found if t is not None]
    made = iter(rebuild(real, mapping))
    return [None if t is None else next(made) for t in inside.found]


_RULES = {"scan": _scan, "while": _while, "cond": _cond, "function_graph": _function}
