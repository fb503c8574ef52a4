"""How ops that own graphs are batched: their graphs are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph.batching.engine import Batch, Value, axes_moved, rule
from symgraph.batching.rules import raised
from symgraph.ir.graph import Apply, Graph, Variable, apply
from symgraph.ops import reductions
from symgraph.ops.comparison import where
from symgraph.ops.control import Cond, spread
from symgraph.ops.looping import While


def _values(inputs: Sequence[Variable], values: Sequence[Value]) -> dict[Variable, Value]:
    return dict(zip(inputs, values, strict=True))


@rule("scan")
def _scan(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    """A loop whose carries are batches; sequences and outputs have the steps in front."""
    op: Any = node.op
    body: Graph = op.body
    c, s = op.carries, op.carries + op.sequences
    flags = spread(body, [x.batched for x in given], c)
    inputs = batch.inner_inputs(body.inputs, flags)
    found = batch.run(body.outputs, _values(body.inputs, inputs))
    outputs = [batch.full(x) if f else x.v for x, f in zip(found[:c], flags, strict=False)]
    outputs += [x.v for x in found[c:]]
    values = [batch.full(x) if f else x.v for x, f in zip(given[:c], flags, strict=False)]
    values += [axes_moved(x.v) if x.batched else x.v for x in given[c:s]]
    values += [x.v for x in given[s:]]
    fresh = apply(op.replace(body=Graph([x.v for x in inputs], outputs)), values, node.origins)
    results = [Value(v, f) for v, f in zip(fresh.outputs[:c], flags, strict=False)]
    stacked = zip(fresh.outputs[c:], found[c:], strict=True)
    return results + [Value(axes_moved(v) if x.batched else v, x.batched) for v, x in stacked]


@rule("cond")
def _cond(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    """With one predicate a choice of batched graphs; with one for each of the batch both graphs are
    computed and the elements chosen."""
    op: Any = node.op
    pred, *rest = given
    branches = (op.then, op.otherwise)
    if pred.batched:
        pair = [batch.run(b.outputs, _values(b.inputs, rest)) for b in branches]
        return [_chosen(batch, pred.v, a, b) for a, b in zip(*pair, strict=True)]
    flags = [x.batched for x in rest]
    made = []
    for branch in branches:
        inputs = batch.inner_inputs(branch.inputs, flags)
        made.append((inputs, batch.run(branch.outputs, _values(branch.inputs, inputs))))
    wide = [a.batched or b.batched for a, b in zip(made[0][1], made[1][1], strict=True)]
    graphs = []
    for inputs, outputs in made:
        ends = [batch.full(x) if w else x.v for x, w in zip(outputs, wide, strict=True)]
        graphs.append(Graph([x.v for x in inputs], ends))
    fresh = apply(Cond(*graphs), [pred.v, *(x.v for x in rest)], node.origins)
    return [Value(v, w) for v, w in zip(fresh.outputs, wide, strict=True)]


def _chosen(batch: Batch, flags: Variable, a: Value, b: Value) -> Value:
    """a where the flag of the batch holds, else b."""
    rank = a.v.ndim - a.batched
    if a.v is b.v and not a.batched:
        return a
    sides = [raised(x, rank) for x in (a, b)]
    return Value(where(raised(Value(flags, True), rank), *sides), True)


@rule("while")
def _while(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    """The loop goes on while the condition holds for any of the batch; the others stay as they
    are."""
    op: Any = node.op
    flags = spread(op.body, [x.batched for x in given], op.carries)
    inputs = batch.inner_inputs(op.body.inputs, flags)
    (test,) = batch.run(op.test.outputs, _values(op.test.inputs, inputs))
    if test.batched:
        flags = [True] * op.carries + flags[op.carries :]
        inputs = batch.inner_inputs(op.body.inputs, flags)
        (test,) = batch.run(op.test.outputs, _values(op.test.inputs, inputs))
    new = batch.run(op.body.outputs, _values(op.body.inputs, inputs))
    going = test.v
    if test.batched:
        pairs = zip(new, inputs, strict=False)
        new = [_chosen(batch, test.v, a, b) for a, b in pairs]
        going = reductions.any(test.v)
    own = [x.v for x in inputs]
    ends = [batch.full(x) if f else x.v for x, f in zip(new, flags, strict=False)]
    values = [batch.full(x) if f else x.v for x, f in zip(given, flags, strict=True)]
    fresh = apply(
        While(Graph(own, [going]), Graph(own, ends), op.carries, op.most), values, node.origins
    )
    return [Value(v, f) for v, f in zip(fresh.outputs, flags, strict=False)]


@rule("function_graph")
def _function(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    """The function of a batch; its own derivative is batched too."""
    op: Any = node.op
    flags = [x.batched for x in given]
    inputs = batch.inner_inputs(op.body.inputs, flags)
    found = batch.run(op.body.outputs, _values(op.body.inputs, inputs))
    own = [x.v for x in inputs]
    body = Graph(own, [x.v for x in found])
    backward = None
    if op.backward is not None:
        made = [x.batched for x in found]
        rest = batch.inner_inputs(op.backward.inputs[len(own) :], [*made, *made])
        back = batch.run(op.backward.outputs, _values(op.backward.inputs, [*inputs, *rest]))
        outputs = [_collected(batch, x, flags[k]) for x, k in zip(back, op.wrt, strict=True)]
        backward = Graph([*own, *(x.v for x in rest)], outputs)
    fresh = apply(op.replace(body=body, backward=backward), [x.v for x in given], node.origins)
    return [Value(v, x.batched) for v, x in zip(fresh.outputs, found, strict=True)]


def _collected(batch: Batch, cotangent: Value, batched: bool) -> Variable:
    """The cotangent of an argument; one that the batch shares gets the sum over the batch."""
    whole = batch.full(cotangent)
    return whole if batched else reductions.sum(whole, axis=0)
