"""A graph for many inputs at once: every value that depends on a batched one gets a leading axis.

Rules say how an op acts along it. An op without a rule becomes a loop over the batch, so that
everything can be batched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from symgraph.errors import ShapeError
from symgraph.ir.graph import Apply, Graph, Input, Variable, apply, creating_with, toposort
from symgraph.ir.types import Size, TensorType
from symgraph.ops.control import Scan, results
from symgraph.ops.shape import BroadcastTo
from symgraph.records import NamedTuple


class Value(NamedTuple):
    """A variable, and whether its first axis is the batch."""

    v: Variable
    batched: bool


Rule = Callable[["Batch", Apply, "list[Value]"], Sequence[Value]]
RULES: dict[str, Rule] = {}  # op name -> rule; ops that are alike are recognized by `general`


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Decorator: this is the rule of the ops of these names."""

    def register(function: Rule) -> Rule:
        for name in names:
            RULES[name] = function
        return function

    return register


class Batch:
    """A batch of ``size``; ``general`` finds the rule of an op that has no row in RULES."""

    def __init__(self, size: Size, general: Callable[[Any], Rule | None]) -> None:
        self.size, self.general = size, general

    def run(self, outputs: Sequence[Variable], values: Mapping[Variable, Value]) -> list[Value]:
        """The outputs with these values in the places of inputs."""
        new = dict(values)
        for node in toposort(outputs):
            if not any(v in new for v in node.inputs) or all(o in new for o in node.outputs):
                continue
            given = [new.get(v) or Value(v, False) for v in node.inputs]
            with creating_with(node.origins):
                found = self.node(node, given)
            new.update(zip(node.outputs, found, strict=True))
        return [new.get(v) or Value(v, False) for v in outputs]

    def node(self, node: Apply, given: list[Value]) -> Sequence[Value]:
        """The outputs of one node."""
        if not any(x.batched for x in given):
            fresh = apply(node.op, [x.v for x in given], node.origins)
            return [Value(v, False) for v in fresh.outputs]
        if node.op.makes:
            raise ShapeError(
                f"vmap: {node.op.name} would give a result of another size for each element",
                origin=node.origin,
                operands=[(i.label(), i.type.text(), i.origin) for i in node.inputs],
                hint="give it a fixed size (size=, fill_value=), or take sg.where and a fold",
            )
        found = RULES.get(node.op.name) or self.general(node.op) or by_rows
        return found(self, node, given)

    def type(self, t: TensorType) -> TensorType:
        """The type of a batch of such values."""
        return t.with_shape((self.size, *t.shape))

    def full(self, x: Value) -> Variable:
        """The value with a batch axis, repeated if it has none."""
        if x.batched:
            return x.v
        return BroadcastTo((self.size, *x.v.shape))(x.v)  # type: ignore[no-any-return]

    def inner_inputs(self, inputs: Sequence[Variable], flags: Sequence[bool]) -> list[Value]:
        """New inputs for a graph inside an op, batched where the flags say so."""
        rows = zip(inputs, flags, strict=True)
        return [Value(Input(self.type(v.type) if f else v.type, v.name), f) for v, f in rows]


def by_rows(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    """The op in a loop over the batch: right for every op."""
    inputs = [Input(v.type, v.name) for v in node.inputs]
    rows = [k for k, x in enumerate(given) if x.batched]
    fixed = [k for k, x in enumerate(given) if not x.batched]
    body = Graph([inputs[k] for k in (*rows, *fixed)], apply(node.op, inputs, node.origins).outputs)
    out = results(Scan(body, 0, len(rows), batch.size), [given[k].v for k in (*rows, *fixed)])
    return [Value(v, True) for v in out]


def axes_moved(v: Variable) -> Variable:
    """The first two axes exchanged: a batch of sequences as a sequence of batches, or back."""
    order = (1, 0, *range(2, v.ndim))
    return v.transpose(order)  # type: ignore[no-any-return]
